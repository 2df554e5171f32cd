"""Opening a Redis store: settings and addresses, a cluster, a Unix socket; reading leaves no trace."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from synmem.errors import ProfileError, StoreError, Unsupported
from synmem.messages import Conversation
from synmem.store import (
    START,
    once,
)
from tests.backends.redis.place import Place, drop, opened
from tests.conformance import (
    FULL,
    add,
    contents,
    ids,
    numbered,
    run,
)
from tests.services import Missing, without
from tests.services.redis import running


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Any:
    try:
        with running(tmp_path_factory.mktemp("cluster"), cluster=True) as server:
            yield server
    except Missing as missing:
        without("redis", str(missing))


@pytest.fixture
def place(redis_server: Any) -> Iterator[Place]:
    with redis.Redis.from_url(redis_server.url) as raw:
        place = Place(redis_server.url, raw)
        yield place
    drop(place.url, place.prefix)


# --- settings and addresses ---


def test_a_cluster_needs_a_hash_tag_in_its_prefix(cluster: Any) -> None:
    async def main(prefix: str) -> None:
        async with opened(cluster.url, cluster=True, prefix=prefix) as store:
            await add(store, "c", numbered(3))
            assert await ids(store) == ["c"]

    for prefix in ("synapsekit:memory:", "a{}b{c}:", "a}b{:", "{"):
        with pytest.raises(ProfileError, match="hash tag") as caught:
            run(main(prefix))
        assert "{" in (caught.value.hint or "")
    run(main("a{b}c:"))


def test_a_cluster_that_is_not_called_one_is_said_to_be_one(cluster: Any) -> None:
    async def main() -> None:
        async with opened(cluster.url, prefix="plain:") as store:
            await add(store, "a", numbered(1))

    with pytest.raises(StoreError) as caught:
        run(main())
    assert "cluster = true" in (caught.value.hint or "")


def test_a_server_that_is_no_cluster_is_said_to_be_none(place: Place) -> None:
    async def main() -> None:
        async with opened(place.url, cluster=True, prefix="{x}:") as store:
            await ids(store)

    with pytest.raises(StoreError, match="luster"):
        run(main())


@pytest.mark.parametrize(
    ("settings", "error", "word"),
    [
        ({"layout": "nope"}, Unsupported, "nope"),
        ({"url": "redis://h:port/0"}, ProfileError, "no URL"),
        ({"url": "redis://h/0?frobnicate=1"}, ProfileError, "no parameter 'frobnicate'"),
        ({"url": "redis://h/0?socket_timeout=soon"}, ProfileError, "socket_timeout"),
        ({"url": "redis://h/chat"}, ProfileError, "the database is a number, not 'chat'"),
        ({"prefix": "\ud800"}, ProfileError, "UTF-8"),
        ({"url": "unix:///s", "cluster": True, "prefix": "{x}"}, ProfileError, "TCP"),
        ({"url": "redis://h/3", "cluster": True, "prefix": "{x}"}, ProfileError, "database"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings: Any, error: Any, word: str) -> None:
    async def main() -> None:
        async with opened(**{"url": "redis://h", **settings}):
            pass

    with pytest.raises(error, match=word):
        run(main())


def test_a_url_cannot_change_what_the_store_relies_on(place: Place) -> None:
    url = f"{place.url}?decode_responses=true&protocol=3&retry_on_timeout=true&socket_timeout=30"

    async def main() -> None:
        async with opened(url, prefix=place.prefix) as store:
            await add(store, "c", numbered(3))
            assert len(await contents(store, "c")) == 3

    run(main())


def test_a_unix_socket_is_an_address(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("s")
    with running(folder) as server:
        if not server.socket.exists():
            pytest.skip("the path of the socket is too long here")

        async def main() -> None:
            async with opened(f"unix://{server.socket}?db=1") as store:
                await add(store, "c", numbered(3))
                assert await ids(store) == ["c"]

        run(main())
        with redis.Redis.from_url(f"redis://127.0.0.1:{server.port}/1") as raw:
            assert raw.llen("synapsekit:memory:c:messages") == 3


def test_reading_writes_nothing(place: Place) -> None:
    place.write("c", [FULL, *numbered(5)])
    before = fingerprint(place)

    async def test(store: Any) -> None:
        await contents(store, "c", limit=1)
        assert [page async for page in store.read(["c", "d"], reverse=True)]
        assert [page async for page in store.conversations(details=True)]
        assert await store.note("c", "n") is None
        await store.damage()
        for attempt in (
            add(store, "c", numbered(1)), store.delete("c"), store.set_note("c", "n", 1),
            store.replace(Conversation("c"), once([]), upto=START),
        ):  # fmt: skip
            with pytest.raises(Unsupported):
                await attempt

    place.with_store(test, write=False)
    assert fingerprint(place) == before


def fingerprint(place: Place) -> dict[str, str]:
    return {
        key: hashlib.sha256(place.raw.dump(place.key(key))).hexdigest() for key in place.names()
    }
