"""A Redis list has no ids and may expire: positions while another program trims it, and TTLs."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from synmem.errors import Changed
from synmem.messages import GHOST, Conversation, Message
from synmem.store import START, Part, Store, SupportsExpiry, once
from tests.backends.redis.place import Place, drop
from tests.conformance import (
    add,
    contents,
    ids,
    items,
    numbered,
)


@pytest.fixture
def place(redis_server: Any) -> Iterator[Place]:
    with redis.Redis.from_url(redis_server.url) as raw:
        place = Place(redis_server.url, raw)
        yield place
    drop(place.url, place.prefix)


# --- positions in a list whose items have no id ---


def test_a_reader_holds_its_place_while_another_program_trims_and_pushes(place: Place) -> None:
    place.write("c", numbered(60))

    async def test(store: Any) -> None:
        said: list[str] = []
        with place.memory("c", window=20) as memory:
            n = 60
            async for page in store.read(["c"], after=await position(store, "c", 40)):
                said += [m.content for m in page.items]
                if n < 75:
                    memory.add("user", f"message {n}")
                    n += 1
        assert said == [f"message {k}" for k in range(41, n)]

    place.with_store(test)


def test_a_reader_that_lost_its_place_is_told_and_skips_nothing(place: Place) -> None:
    async def test(store: Any) -> None:
        await add(store, "c", numbered(40))
        pages = store.read(["c"])
        await anext(pages)
        place.raw.ltrim(place.key("c:messages"), 5, -1)
        with pytest.raises(Changed):
            await anext(pages)
        place.raw.delete(place.key("c:messages"))
        for reverse in (False, True):
            with pytest.raises(Changed):
                await items(store, "c", after="3:4:" + "0" * 40 + ":" + "0" * 40, reverse=reverse)

    place.with_store(test)


def test_a_place_that_two_runs_of_messages_share_is_lost(place: Place) -> None:
    async def test(store: Any) -> None:
        await add(store, "c", numbered(5) + [Message("user", "same")] * 60)
        where = await position(store, "c", 60)
        assert len(await contents(store, "c", after=where)) == 4
        place.raw.ltrim(place.key("c:messages"), 10, -1)
        place.raw.rpush(place.key("c:messages"), *['{"role": "u", "content": "new"}'] * 9)
        for attempt in (contents(store, "c", after=where), store.delete("c", upto=where)):
            with pytest.raises(Changed):
                await attempt

    place.with_store(test)


def test_a_position_is_not_good_for_another_message(place: Place) -> None:
    async def test(store: Any) -> None:
        end = await add(store, "c", numbered(20))
        await store.delete("c")
        await add(store, "c", [*numbered(19), Message("user", "another")])
        for attempt in (
            contents(store, "c", after=end),
            store.delete("c", upto=end),
            store.replace(Conversation("c"), once([]), upto=end),
            store.append([Part(Conversation("c"), numbered(1), end)]),
        ):
            with pytest.raises(Changed):
                await attempt
        assert len(await contents(store, "c")) == 20

    place.with_store(test)


def test_an_expected_end_must_be_the_very_end(place: Place) -> None:
    async def test(store: Any) -> None:
        end = await add(store, "c", numbered(20))
        place.raw.ltrim(place.key("c:messages"), 1, -1)
        with pytest.raises(Changed):
            await store.append([Part(Conversation("c"), numbered(1), end)])
        assert await contents(store, "c", after=end) == []  # a reader still finds its place
        await store.delete("c", upto=end)
        assert await ids(store) == []

    place.with_store(test)


@pytest.mark.parametrize("text", ["x", "1", "1:2:3", "-1:1:a:b", "1:1::", "0:1:" + "g" * 39 + ":"])
def test_what_is_no_position_is_refused(place: Place, text: str) -> None:
    async def test(store: Any) -> None:
        await add(store, "c", numbered(3))
        for attempt in (contents(store, "c", after=text), store.delete("c", upto=text)):
            with pytest.raises(ValueError, match="position"):
                await attempt

    place.with_store(test)


async def position(store: Store, conversation: str, index: int) -> str:
    """The position of the message at this index."""
    found = [p.position(i) async for p in store.read([conversation]) for i in range(len(p.items))]
    return found[index]


def test_positions_are_the_same_whichever_way_they_are_read(place: Place) -> None:
    async def test(store: Any) -> None:
        end = await add(store, "c", numbered(40))

        async def all_of(**how: Any) -> list[str]:
            return [
                p.position(i) async for p in store.read(["c"], **how) for i in range(len(p.items))
            ]

        found = await all_of()
        assert await all_of(reverse=True) == found[::-1]
        assert await all_of(after=found[20]) == found[21:]
        assert await all_of(after=found[20], reverse=True) == found[19::-1]
        assert found[-1] == end
        page = await anext(store.read(["c"]))
        assert (page.position(-1), page.position(-2)) == (found[1], found[0])

    place.with_store(test)


# --- what expires ---


def ttl(place: Place) -> dict[str, int]:
    return {key: place.raw.ttl(place.key(key)) for key in place.names() if ":token:" not in key}


def test_writes_set_the_ttl_and_reads_do_not_touch_it(place: Place) -> None:
    async def test(store: Any) -> None:
        await store.append([Part(Conversation("c", "t"), numbered(9))])
        assert ttl(place) == {"c:messages": 1000, "c:synmem": 1000, "conversations": -1}
        for name in ("c:messages", "c:synmem"):
            place.raw.expire(place.key(name), 500)
        await contents(store, "c")
        assert [p async for p in store.conversations(details=True)]
        await store.expiring(["c"])
        await store.damage()
        await store.set_note("c", "n", 1)
        assert ttl(place)["c:messages"] == ttl(place)["c:synmem"] == 500
        await add(store, "c", numbered(1))
        assert ttl(place)["c:messages"] == ttl(place)["c:synmem"] == 1000

    place.with_store(test, ttl_seconds=1000)


def test_without_the_setting_a_list_keeps_the_ttl_it_has(place: Place) -> None:
    async def test(store: Any) -> None:
        end = await add(store, "c", numbered(3))
        place.raw.expire(place.key("c:messages"), 500)
        await add(store, "c", numbered(1))
        await store.append([Part(Conversation("c", "t"), [])])
        assert ttl(place) == {"c:messages": 500, "c:synmem": 500, "conversations": -1}
        await store.replace(Conversation("c"), once(numbered(2)), upto=end)
        last = [p.position(-1) async for p in store.read(["c"])][-1]
        await store.replace(Conversation("c"), once(numbered(2)), upto=last)
        assert ttl(place)["c:messages"] == ttl(place)["c:synmem"] == 500
        await add(store, "stays", numbered(1))
        assert isinstance(store, SupportsExpiry)
        left = await store.expiring(["c", "stays", "none", "\ud800"])
        assert left.keys() == {"c"}
        assert 499 < left["c"] <= 500

    place.with_store(test)


def test_what_lies_beside_passes_with_the_list_whose_time_is_set(place: Place) -> None:
    place.raw.set(place.key("other:messages"), "mine")

    async def test(store: Any) -> None:
        await store.append([Part(Conversation("c", "t"), numbered(3))])
        await add(store, "bare", numbered(3))
        await store.expire({"c": 500.0, "bare": 400.0, "other": 5.0, "none": 5.0, "\ud800": 1.0})
        assert ttl(place) == {
            "bare:messages": 400, "c:messages": 500, "c:synmem": 500, "conversations": -1,
            "other:messages": -1,
        }  # fmt: skip
        await store.expire({"c": 0.0, "bare": 0.0001})
        await asyncio.sleep(0.05)
        assert await contents(store, "c") == []
        assert await store.expiring(["c", "bare"]) == {}

    place.with_store(test)


def test_a_list_begins_with_the_item_that_stands_there_now(place: Place) -> None:
    async def test(store: Any) -> None:
        await add(store, "c", numbered(20))
        first, third = await position(store, "c", 0), await position(store, "c", 2)
        place.raw.ltrim(place.key("c:messages"), 2, -1)
        for begins in (first, third, START):
            with pytest.raises(Changed):
                await store.delete("c", begins=begins)
            with pytest.raises(Changed):
                await store.replace(Conversation("c"), once([]), upto=START, begins=begins)
        assert await store.delete("c", begins=await position(store, "c", 0))
        with pytest.raises(Changed):
            await store.replace(Conversation("c"), once(numbered(1)), upto=START, begins=first)
        await store.replace(Conversation("c"), once(numbered(1)), upto=START, begins=START)
        assert await contents(store, "c") == ["message 0"]

    place.with_store(test)


def test_a_conversation_that_expires_between_list_and_read(place: Place) -> None:
    async def test(store: Any) -> None:
        for name in ("a", "b", "c"):
            await add(store, name, numbered(6))
        pages = store.conversations(details=True)
        first = await anext(pages)
        reading = store.read(["a"])
        await anext(reading)
        for name in ("a", "b", "c"):
            place.raw.pexpire(place.key(f"{name}:messages"), 1)
        await asyncio.sleep(0.05)
        assert len(first) == 2
        assert [page async for page in pages] == []
        assert [page async for page in store.read(["a", "b", "c"])] == []
        with pytest.raises(Changed):
            await anext(reading)
        assert {d.kind for d in await store.damage()} == {GHOST}

    place.with_store(test)
