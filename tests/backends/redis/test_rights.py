"""A user who may only read, and run no scripts, reads everything in plain commands."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from synmem.errors import AccessDenied, Changed, StoreError
from synmem.messages import Conversation, Message, Unreadable
from synmem.store import Part, Step, Store
from tests.backends.redis.place import Place, drop, opened
from tests.backends.redis.test_faults import private
from tests.conformance import FULL, Reading, add, contents, details, ids, items, numbered, run
from tests.services import unique


def reader_of(url: str, raw: Any, *rights: str) -> str:
    """The URL of a new user who may read everything, and run no scripts."""
    name = unique()
    rules = rights or ("+@read", "-@scripting", "~*")
    raw.execute_command("ACL", "SETUSER", name, "on", ">pw", "resetchannels", *rules)
    return urlsplit(url)._replace(netloc=f"{name}:pw@127.0.0.1:{urlsplit(url).port}").geturl()


@pytest.fixture
def place(redis_server: Any) -> Iterator[Place]:
    with redis.Redis.from_url(redis_server.url) as raw:
        place = Place(redis_server.url, raw)
        yield place
    drop(place.url, place.prefix)


class TestOfAReader(Reading):
    @pytest.fixture(autouse=True)
    def server(self, redis_server: Any) -> Iterator[None]:
        self.url, self.prefix = redis_server.url, unique() + ":"
        with redis.Redis.from_url(self.url) as raw:
            self.reader = reader_of(self.url, raw)
        yield
        drop(self.url, self.prefix)

    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        async with opened(self.url, prefix=self.prefix) as writer:
            for part in parts:
                await writer.append([part])
        async with opened(self.reader, prefix=self.prefix, write=False) as store:
            yield store


def test_where_the_front_is_trimmed_the_place_is_found_again_or_lost(place: Place) -> None:
    reader = reader_of(place.url, place.raw)
    place.write("c", numbered(60) + [Message("user", "same")] * 60)

    async def main() -> None:
        async with opened(reader, prefix=place.prefix, write=False) as store:
            positions = [
                p.position(i) async for p in store.read(["c"]) for i in range(len(p.items))
            ]
            place.raw.ltrim(place.key("c:messages"), 7, -1)
            assert await contents(store, "c", after=positions[40], limit=2) == [
                "message 41",
                "message 42",
            ]
            before = await contents(store, "c", after=positions[30], reverse=True, limit=2)
            assert before == ["message 29", "message 28"]
            assert len(await contents(store, "c", after=positions[65], reverse=True)) == 58
            for lost in (positions[3], positions[119]):  # trimmed, and like others below
                with pytest.raises(Changed):
                    await contents(store, "c", after=lost)
            place.raw.delete(place.key("c:messages"))
            with pytest.raises(Changed):
                await contents(store, "c", after=positions[40])

    run(main())


def test_what_is_no_list_and_what_cannot_be_read_hides_nothing(place: Place) -> None:
    reader = reader_of(place.url, place.raw)
    place.write("a", numbered(1))
    place.raw.rpush(place.key("b:messages"), "{oops", '{"role": "user", "content": "x"}')
    place.raw.set(place.key("s:messages"), "text")

    async def main() -> None:
        async with opened(reader, prefix=place.prefix, write=False) as store:
            bad, good = await items(store, "b")
            assert isinstance(bad, Unreadable)
            assert good.content == "x"
            [bad] = await items(store, "s")
            assert "is a string, not a list" in bad.reason
            found = {
                p.conversation: len(p.items) async for p in store.read(["a", "s", "none", "b"])
            }
            assert found == {"a": 1, "s": 1, "b": 2}
            assert [i.id async for p in store.conversations(["s", "a"]) for i in p] == ["s", "a"]

    run(main())


def test_what_lies_beside_is_read_too(place: Place) -> None:
    reader = reader_of(place.url, place.raw)

    async def main() -> None:
        async with place.store() as writer:
            await writer.append([Part(Conversation("c", "Title", {"k": 1}), [FULL])])
            await writer.set_note("c", "summary", {"text": "s"})
            await writer.expire({"c": 1000.0})
            step = Step("c", "a" * 32)
            await add(writer, "d", numbered(1), token=step.token)
            async with opened(reader, prefix=place.prefix, write=False) as store:
                assert await details(store) == await details(writer)
                assert await store.note("c", "summary") == {"text": "s"}
                assert await store.notes(["c", "d"]) == {"c": {"summary": {"text": "s"}}}
                assert 900 < (await store.expiring(["c", "d"]))["c"] <= 1000
                assert await store.steps_done([step, Step("d", "b" * 32)]) == {step}
                assert await store.damage() == []

    run(main())


def test_a_user_who_may_not_even_read_is_told(place: Place) -> None:
    place.write("c", numbered(1))
    stranger = reader_of(place.url, place.raw, "+@read", "-@scripting", "~other:*")

    async def main() -> None:
        async with opened(stranger, prefix=place.prefix, write=False) as store:
            with pytest.raises(AccessDenied):
                await items(store, "c")

    run(main())


def test_who_may_not_run_scripts_cannot_write(place: Place) -> None:
    reader = reader_of(place.url, place.raw, "+@all", "-@scripting", "~*")

    async def main() -> None:
        async with opened(reader, prefix=place.prefix) as store:
            with pytest.raises(AccessDenied, match="eval"):
                await add(store, "c", numbered(1))
            assert await ids(store) == []

    run(main())


def test_a_server_that_has_no_scripts_at_all_is_read(tmp_path: Path) -> None:
    names = [word for name in ("EVAL", "EVALSHA") for word in ("--rename-command", name, "")]
    with private(tmp_path, *names) as server, redis.Redis.from_url(server.url) as raw:
        raw.rpush("synapsekit:memory:a:messages", '{"role": "user", "content": "x"}')
        raw.sadd("synapsekit:memory:conversations", "a")

        async def main() -> None:
            async with opened(server.url) as store:
                assert await ids(store) == ["a"]
                assert await contents(store, "a") == ["x"]
                with pytest.raises(StoreError, match="unknown command"):
                    await add(store, "a", numbered(1))
                assert await contents(store, "a") == ["x"]

        run(main())
