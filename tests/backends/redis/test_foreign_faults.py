"""Writes to lists of other frameworks whose answer is lost: nothing there tells that they were done,
and none is done twice."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from synmem.backends.redis.foreign_scripts import APPEND, CUT
from synmem.messages import Conversation, Message
from synmem.store import START, Part, Store, once
from tests.backends.redis.place import opened
from tests.backends.redis.test_faults import private
from tests.conformance import add, contents, ids, numbered, run
from tests.services.proxy import Proxy

SAME = [Message("user", "same")]


def writes(sent: bytes) -> bool:
    return APPEND.sha.encode() in sent or CUT.sha.encode() in sent


@pytest.fixture(params=["langchain", "openai_agents"])
def layout(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    with private(tmp_path) as server, Proxy(server.port) as proxy:
        yield proxy


@asynccontextmanager
async def store_of(proxy: Proxy, layout: str) -> AsyncIterator[Store]:
    """A store that was written to before, so that the server knows the scripts."""
    async with opened(f"redis://127.0.0.1:{proxy.port}/0", layout=layout) as store:
        end = await add(store, "a", numbered(6))
        await store.delete("a", upto=end)
        await add(store, "a", numbered(6))
        yield store


async def position(store: Store, n: int) -> str:
    return [p.position(i) async for p in store.read(["a"]) for i in range(len(p.items))][n]


async def appended(store: Store) -> None:
    await add(store, "a", numbered(2, 6))


async def appended_to_many(store: Store) -> None:
    parts = [Part(Conversation("a"), numbered(2, 6)), Part(Conversation("b"), numbered(1), START)]
    await store.append([*parts, Part(Conversation("c"), [])])


async def appended_and_trimmed(store: Store) -> None:
    await add(store, "a", numbered(4, 6), keep=3)


async def trimmed_to_nothing(store: Store) -> None:
    await add(store, "a", numbered(1, 6), keep=0)


async def front_deleted(store: Store) -> None:
    assert await store.delete("a", upto=await position(store, 3))


async def all_deleted(store: Store) -> None:
    assert await store.delete("a")


async def front_replaced(store: Store) -> None:
    new = once(numbered(3, 10))
    await store.replace(Conversation("a"), new, upto=await position(store, 1))


async def put_in_front(store: Store) -> None:
    await store.replace(Conversation("a"), once(numbered(2, 10)), upto=START)


async def made(store: Store) -> None:
    await store.replace(Conversation("new"), once(numbered(2)), upto=START, begins=START)


Write = Callable[[Store], Coroutine[Any, Any, None]]
WRITES: dict[Write, list[str]] = {
    appended: ["a 0 1 2 3 4 5 6 7"],
    appended_to_many: ["a 0 1 2 3 4 5 6 7", "b 0"],
    appended_and_trimmed: ["a 7 8 9"],
    trimmed_to_nothing: [],
    front_deleted: ["a 4 5"],
    all_deleted: [],
    front_replaced: ["a 10 11 12 2 3 4 5"],
    put_in_front: ["a 10 11 0 1 2 3 4 5"],
    made: ["a 0 1 2 3 4 5", "new 0 1"],
}


async def said(store: Store) -> list[str]:
    """What each conversation says, in short."""
    found = {name: await contents(store, name) for name in await ids(store)}
    return [
        " ".join([name, *(each.split()[-1] for each in texts)]) for name, texts in found.items()
    ]


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
def test_a_write_whose_answer_was_lost_is_done_once(
    proxy: Proxy, layout: str, write: Write
) -> None:
    async def main() -> None:
        async with store_of(proxy, layout) as store:
            proxy.cut_after_request(writes, times=2)
            await write(store)
            assert proxy.cuts == 2
            assert await said(store) == WRITES[write]

    run(main())


def test_the_same_words_again_and_again_are_told_apart(proxy: Proxy, layout: str) -> None:
    async def main() -> None:
        async with store_of(proxy, layout) as store:
            await store.delete("a")
            for n in range(30):
                proxy.cut_after_request(writes)
                await add(store, "a", SAME)
                assert await contents(store, "a") == ["same"] * (n + 1)
            for n in (7, 1, 0):
                left = len(await contents(store, "a")) - n - 1
                proxy.cut_after_request(writes)
                await store.delete("a", upto=await position(store, n))
                assert await contents(store, "a") == ["same"] * left
            left = len(await contents(store, "a"))
            proxy.cut_after_request(writes)
            await store.replace(Conversation("a"), once(SAME * 3), upto=await position(store, 2))
            assert await contents(store, "a") == ["same"] * left

    run(main())


def test_many_writers_beside_a_bad_line_lose_and_double_nothing(proxy: Proxy, layout: str) -> None:
    async def main() -> None:
        async with store_of(proxy, layout) as one, store_of(proxy, layout) as two:
            await one.delete("a")
            proxy.cut_after_request(writes, times=5)

            async def writer(store: Store, name: str) -> None:
                for n in range(10):
                    await add(store, "a", [Message("user", f"{name} {n}")])

            writers = [writer(one, "one"), writer(two, "two"), writer(two, "three")]
            outcomes = await asyncio.gather(*writers, return_exceptions=True)
            found = await contents(one, "a")
            assert len(found) == len(set(found))
            for name, outcome in zip(("one", "two", "three"), outcomes, strict=True):
                mine = [each for each in found if each.split()[0] == name]
                assert mine == [f"{name} {n}" for n in range(len(mine))]
                assert len(mine) == 10 or outcome is not None

    run(main())
