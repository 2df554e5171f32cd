"""One store under two names, which no name gives away: `migrate --move` removes nothing of it."""

import itertools
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import redis

from synmem.profiles import from_address
from tests.cli.moved import make, run
from tests.cli.places import BACKENDS, Places
from tests.services.proxy import Proxy

SAID = {"a": ["1", "2"], "b": ["x"]}
DEFAULTS = {"postgres": "&schema=public", "mongo": "&collection_name=conversations"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make(tmp_path / "source.db", SAID)


def filled(places: Places, backend: str, source: Path, more: str = "") -> str:
    place = places.new(backend) + more
    assert run("migrate", source, place).exit_code == 0
    return place


@contextmanager
def other_name(way: str, place: str) -> Iterator[str]:
    """The same place as it is called this way."""
    server = re.search(r"127\.0\.0\.1:(\d+)", place)
    if way.startswith("&"):
        yield place + way
    elif server is None:
        pytest.skip("the server of the environment is not on 127.0.0.1")
    elif way == "localhost":
        yield place.replace("127.0.0.1:", "localhost:")
    else:
        with Proxy(int(server[1])) as proxy:
            yield place.replace(server[0], f"127.0.0.1:{proxy.port}")


@pytest.mark.parametrize(
    ("backend", "way"),
    [*itertools.product(BACKENDS[1:], ("localhost", "tunnel")), *DEFAULTS.items()],
)
def test_nothing_is_removed_from_a_server_under_two_names(
    places: Places, source: Path, backend: str, way: str
) -> None:
    place = filled(places, backend, source)
    with other_name(way, place) as other:
        assert from_address(other).identity != from_address(place).identity
        result = run("migrate", place, other, "--move", "--yes")
        assert result.exit_code == 2, result.stderr
        assert "are the same store (nothing was removed)" in result.stderr
        assert "synmem undo" not in result.stderr
        assert run("check", source, place).exit_code == 0


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
@pytest.mark.parametrize("layout", ["own", "foreign"])
def test_nothing_is_removed_from_a_file_with_two_names(
    tmp_path: Path, source: Path, link: str, layout: str
) -> None:
    if layout == "foreign":  # it holds no notes
        source = tmp_path / "foreign.db"
        with closing(sqlite3.connect(source)) as raw:
            raw.executescript(
                "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT,"
                " conversation_id TEXT NOT NULL, role TEXT NOT NULL, content TEXT NOT NULL,"
                " metadata TEXT, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);"
                "INSERT INTO messages (conversation_id, role, content) VALUES ('a', 'user', '1');"
            )
    getattr(tmp_path / "link.db", link)(source)
    result = run("migrate", source, tmp_path / "link.db", "--move", "--yes")
    assert result.exit_code == 2
    assert "same store" in result.stderr
    assert "a" in run("ls", "-p", source).stdout


@pytest.mark.parametrize("backend", BACKENDS)
def test_between_two_stores_of_one_kind_all_is_moved_also_what_gets_another_name(
    places: Places, tmp_path: Path, source: Path, backend: str
) -> None:
    ours = str(source) if backend == "sqlite" else filled(places, backend, source)
    theirs = filled(places, backend, make(tmp_path / "other.db", {"a": ["another"]}))
    moved = run("migrate", ours, theirs, "--move", "--yes", "--on-conflict", "rename")
    assert moved.exit_code == 0, moved.stderr
    assert "2 conversations removed from the source" in moved.stderr
    assert run("ls", "-p", ours).stdout == ""
    listed = run("ls", "-p", theirs).stdout
    assert sorted(line.partition(" (from")[0] for line in listed.splitlines()) == ["a", "a", "b"]
    if backend == "sqlite":
        with closing(sqlite3.connect(theirs)) as raw:
            assert raw.execute("SELECT * FROM messages_meta").fetchall() == []


def test_what_expires_in_redis_expires_no_later_and_nothing_stays_beside_it(
    places: Places, source: Path
) -> None:
    place = filled(places, "redis", source, "&ttl_seconds=1000")
    settings = from_address(place).settings
    with closing(redis.Redis.from_url(settings["url"])) as raw:
        before = raw.ttl(f"{settings['prefix']}a:messages")
        with other_name("localhost", place) as other:
            assert run("migrate", place, other, "--move", "--yes").exit_code == 2
        found = {key.decode() for key in raw.scan_iter(f"{settings['prefix']}*:synmem")}
        assert found == set()
        assert 0 < raw.ttl(f"{settings['prefix']}a:messages") <= before


@pytest.mark.parametrize("as_json", [(), ("--json",)])
@pytest.mark.parametrize(
    "url",
    [
        "redis://u:s3crpw@h/0",
        "redis://h/0?password=s3crpw",
        "postgresql://u:s3crpw@h/x",
        "mongodb://u:s3crpw@h,h2/x",
    ],
)
def test_no_password_is_printed_where_both_are_one(url: str, as_json: tuple[str, ...]) -> None:
    result = run("migrate", url, url, *as_json)
    assert result.exit_code == 2
    assert "same store" in result.stderr
    assert "s3crpw" not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("backend", "key"), [("redis", "prefix"), ("mongo", "db_name"), ("mongo", "collection_name")]
)
def test_two_stores_on_one_server_are_told_apart_in_all_that_is_said(
    places: Places, tmp_path: Path, source: Path, backend: str, key: str
) -> None:
    ours, theirs = filled(places, backend, source), places.new(backend)
    if key == "collection_name":
        theirs = f"{ours}&collection_name=other"
    value = from_address(theirs).settings[key]
    asked = run("migrate", ours, theirs, "--move")
    assert asked.exit_code == 8
    assert f"{key}={value}" in asked.stderr
    receipt = tmp_path / "receipt.json"
    back = run("migrate", ours, theirs, "--move", "--yes", "--receipt", receipt)
    assert back.exit_code == 0, back.stderr
    assert f"{key}={value}" in receipt.read_text()
    first = from_address(ours).where
    assert first != from_address(theirs).where
    assert first in receipt.read_text()
    undone = run("undo", back.stderr.rpartition("synmem undo ")[2].split()[0])
    assert undone.exit_code == 0
    assert f"to {first}\n" in undone.stderr
