"""A TTL of the source is reported, and set anew where the destination has one."""

import asyncio
from pathlib import Path

from synmem.backends import open_store
from synmem.store import SupportsExpiry
from tests.cli.moved import run
from tests.cli.places import Places
from tests.services import Server


def expiring(place: str, server: Server) -> dict[str, float]:
    prefix = place.partition("prefix=")[2].partition("&")[0]

    async def main() -> dict[str, float]:
        async with open_store("redis", {"url": server.url, "prefix": prefix}) as store:
            assert isinstance(store, SupportsExpiry)
            return await store.expiring(["a", "b"])

    return asyncio.run(main())


def test_what_expires_in_the_source_is_told_and_the_destination_has_its_own_ttl(
    tmp_path: Path, places: Places, redis_server: Server
) -> None:
    source = places.new("redis")
    run("add", "a", "stays", "-p", source)
    run("add", "b", "goes", "-p", f"{source}&ttl_seconds=1000")
    moved = run("migrate", source, tmp_path / "dest.db")
    assert moved.exit_code == 0, moved.stderr
    assert "1 conversation of the source will expire there; " in moved.stderr
    dest = places.new("redis")
    assert run("migrate", source, f"{dest}&ttl_seconds=500").exit_code == 0
    left = expiring(dest, redis_server)
    assert sorted(left) == ["a", "b"]
    assert all(400 < seconds <= 500 for seconds in left.values())
    assert list(expiring(source, redis_server)) == ["b"]
