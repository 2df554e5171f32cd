"""Several processes on one Redis store, and random runs against the reference store."""

import multiprocessing
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from synmem.backends.inmemory import InMemoryStore
from synmem.errors import Changed
from synmem.messages import Conversation, Message
from synmem.store import START, Part, once
from tests.backends.redis.place import Place, drop, opened
from tests.conformance import add, contents, items, numbered, run


@pytest.fixture
def place(redis_server: Any) -> Iterator[Place]:
    with redis.Redis.from_url(redis_server.url) as raw:
        place = Place(redis_server.url, raw)
        yield place
    drop(place.url, place.prefix)


# --- several processes ---


def append_many(url: str, prefix: str, name: str, count: int) -> None:
    async def main() -> None:
        async with opened(url, prefix=prefix) as store:
            for n in range(count):
                await add(store, "c", [Message(name, f"{n} {k}") for k in range(2)])

    run(main())


@pytest.mark.parametrize(
    ("writers", "each"), [(3, 60), pytest.param(8, 25, marks=pytest.mark.real)]
)
def test_processes_that_write_one_conversation_lose_nothing(
    place: Place, writers: int, each: int
) -> None:
    spawn = multiprocessing.get_context("spawn")
    started = [
        spawn.Process(target=append_many, args=(place.url, place.prefix, f"w{n}", each))
        for n in range(writers)
    ]
    for writer in started:
        writer.start()
    for writer in started:
        writer.join()
        assert writer.exitcode == 0
    found = place.read("c")
    assert len(found) == writers * each * 2
    for n in range(writers):
        said = [m.content for m in found if m.role == f"w{n}"]
        assert said == [f"{k} {half}" for k in range(each) for half in range(2)]


def test_a_client_that_is_killed_leaves_whole_calls(place: Place) -> None:
    spawn = multiprocessing.get_context("spawn")
    for delay in (0.0, 0.05, 0.1):
        writer = spawn.Process(target=append_many, args=(place.url, place.prefix, "w", 100_000))
        writer.start()
        before = place.raw.llen(place.key("c:messages"))
        while place.raw.llen(place.key("c:messages")) == before:
            time.sleep(0.01)
        time.sleep(delay)
        writer.kill()
        writer.join()
        assert len(place.read("c")) % 2 == 0


# --- a random run against the reference ---


@pytest.mark.parametrize("seed", range(6))
def test_a_random_run_ends_as_in_memory(place: Place, seed: int) -> None:
    chance = random.Random(seed)

    async def test(store: Any) -> None:
        reference = InMemoryStore(page_size=2)
        for n in range(120):
            name, step = chance.choice("abc"), chance.choice(STEPS)
            keep = chance.choice([None, None, None, 0, 1, 7])
            at, count = chance.random(), chance.randrange(6)
            outcomes = []
            for each in (store, reference):
                outcomes.append(await step(each, name, at, numbered(count, n * 10), keep))
            assert outcomes[0] == outcomes[1]
            assert await state(store) == await state(reference)

    place.with_store(test)


async def state(store: Any) -> Any:
    infos = [i async for page in store.conversations(details=True) for i in page]
    return {i.id: (i, await contents(store, i.id)) for i in sorted(infos, key=lambda i: i.id)}


async def place_in(store: Any, name: str, at: float) -> str:
    found = [p.position(i) async for p in store.read([name]) for i in range(len(p.items))]
    return str([START, *found][int(at * (len(found) + 1))])


async def appended(store: Any, name: str, at: float, new: list[Message], keep: Any) -> Any:
    title = f"title {at}" if at < 0.3 else None
    await store.append([Part(Conversation(name, title), new)], keep=keep)


async def expected(store: Any, name: str, at: float, new: list[Message], keep: Any) -> Any:
    try:
        end = await place_in(store, name, at)
        await store.append([Part(Conversation(name), new, end)])
    except Changed:
        return "changed"
    return "done"


async def deleted(store: Any, name: str, at: float, new: list[Message], keep: Any) -> Any:
    return await store.delete(name, upto=await place_in(store, name, at) if at > 0.2 else None)


async def replaced(store: Any, name: str, at: float, new: list[Message], keep: Any) -> Any:
    upto = await place_in(store, name, at)
    await store.replace(Conversation(name, extra={"at": at}), once(new), upto=upto)


async def read_on(store: Any, name: str, at: float, new: list[Message], keep: Any) -> Any:
    after = await place_in(store, name, at)
    limit = len(new) or None
    return [
        [m.content for m in await items(store, name, after=after, reverse=reverse, limit=limit)]
        for reverse in (False, True)
    ]


async def noted(store: Any, name: str, at: float, new: list[Message], keep: Any) -> Any:
    before = await store.note(name, "n")
    await store.set_note(name, "n", at if new else None)
    return before


STEPS = [appended, appended, appended, expected, deleted, replaced, read_on, noted]
