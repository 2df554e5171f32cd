"""Lists of other frameworks in Redis: the contract on LangChain's, whose newest item stands in front,
and on OpenAI Agents', with a hash beside each; items of several messages or none; lists of any
name."""

import asyncio
import contextlib
import itertools
import json
import sys
from base64 import b32encode
from collections.abc import AsyncIterator, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as some
from msgspec import structs

from synmem.backends.redis.finding import ListsFit
from synmem.backends.redis.foreign_lists import ForeignLists
from synmem.errors import Changed, CorruptData, Unsupported
from synmem.layouts import registry
from synmem.layouts.foreign.langchain_messages import json_of
from synmem.layouts.foreign.langchain_messages import refusal as langchain_refuses
from synmem.layouts.foreign.llamaindex_messages import json_of as llamaindex_json
from synmem.layouts.foreign.llamaindex_messages import refusal as llamaindex_refuses
from synmem.layouts.foreign.openai_agents_items import refusal as agents_refuses
from synmem.layouts.shapes import Lists
from synmem.messages import (
    Conversation,
    Holds,
    Message,
    Unreadable,
    as_dict,
    ascii_json,
    from_dict,
    refusal,
)
from synmem.store import START, Part, Store, once
from tests.backends.redis.place import drop, opened
from tests.backends.redis.test_rights import reader_of
from tests.cli.moved import run as cli
from tests.conformance import (
    AT,
    FULL,
    IDS,
    Opener,
    Reading,
    Writing,
    add,
    contents,
    details,
    ids,
    items,
    numbered,
    run,
)
from tests.services import unique


class Prefixed:
    """A prefix of the test's own, in one of the layouts."""

    layout: str
    holds_none: tuple[str, ...]
    refuses: Any

    @pytest.fixture(autouse=True)
    def server(self, redis_server: Any) -> Iterator[None]:
        self.url, self.prefix = redis_server.url, unique("a*b?[c]\\^-") + ":"
        with redis.Redis.from_url(self.url) as self.raw:
            yield
        drop(self.url, self.prefix)

    def stores(self, tmp_path: Any) -> Opener:
        return lambda: opened(self.url, prefix=self.prefix, layout=self.layout)

    def conversation_fields(self) -> frozenset[str]:
        return frozenset()

    def can_hold(self, message: Message) -> bool:
        return type(self).refuses(message) is None

    def _as_held(self, messages: list[Message]) -> list[Message]:
        nothing = dict.fromkeys(self.holds_none)
        return [structs.replace(message, **nothing) for message in messages]

    def test_metadata_survives_exactly(self, tmp_path: Any) -> None:
        pytest.skip("its messages have no metadata")

    def test_details_of_conversations(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            found = await details(store)
            assert {i: info.messages for i, info in found.items()} == {"a": 3, "b": 5}
            assert {info.first_at for info in found.values()} == {None}
            some = [i.id async for page in store.conversations(["b", "none"]) for i in page]
            assert some == ["b"]

        parts = [Part(Conversation(i), numbered(count)) for i, count in (("a", 3), ("b", 5))]
        self.check(tmp_path, parts, test)  # type: ignore[attr-defined]


class TestLangChain(Prefixed, Writing):
    layout = "langchain"
    holds_none = ("metadata", "created_at")
    refuses = langchain_refuses

    def test_every_field_survives(self, tmp_path: Any) -> None:
        messages = [
            FULL,
            Message("Human", "roles are not touched"),
            Message("developer", "be brief"),
            Message("tool", "result", tool_call_id="call_1", name=""),
            Message("user", "\ud83d", extra={"langchain": {"id": "7", "new": 2**70}}),
        ]

        async def test(store: Store) -> None:
            assert await items(store, "a") == self._as_held(messages)

        self.check(tmp_path, [Part(Conversation("a"), messages)], test)

    def test_the_newest_item_stands_in_front(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            key = self.prefix + "a"
            said = [json.loads(item)["data"]["content"] for item in self.raw.lrange(key, 0, -1)]
            assert said == ["message 2", "message 1", "message 0"]
            assert [k.decode() for k in self.raw.scan_iter() if self.prefix.encode() in k] == [key]

        self.check(tmp_path, [Part(Conversation("a"), numbered(3))], test)

    def test_what_is_pushed_meanwhile_shifts_nothing(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            for reverse in (False, True):
                said: list[str] = []
                async for page in store.read(["a"], reverse=reverse):
                    said += [m.content for m in page.items]  # type: ignore[union-attr]
                    if len(said) < 20:
                        await add(store, "a", [Message("user", "later")])
                expected = [f"message {n}" for n in range(30)]
                assert [each for each in said if each != "later"] == expected[
                    :: -1 if reverse else 1
                ]

        self.check(tmp_path, [Part(Conversation("a"), numbered(30))], test)


class TestAgents(Prefixed, Writing):
    layout = "openai_agents"
    holds_none = ("metadata", "created_at", "name")
    refuses = agents_refuses

    @pytest.mark.parametrize("name", ["empty"])
    def test_text_survives(self, tmp_path: Any, name: str) -> None:
        pytest.skip("its items of a call have no text: see the test of its own")

    def test_every_text_survives(self, tmp_path: Any) -> None:
        from tests.conformance import TEXTS

        messages = [Message("user", text) for text in TEXTS.values()]

        async def test(store: Store) -> None:
            assert await items(store, "a") == messages

        self.check(tmp_path, [Part(Conversation("a"), messages)], test)

    def test_every_field_survives(self, tmp_path: Any) -> None:
        call = {"id": "call_1", "name": "f", "arguments": {"n": 2**70}}
        messages = [
            Message("user", "x", metadata={"k": 1}, created_at=AT),
            Message("assistant", "", tool_calls=[call]),
            Message("tool", "result", tool_call_id="call_1"),
            Message("reasoning", "hm"),
            Message("assistant", "a", parts=[{"type": "text", "text": "a"}]),
        ]

        async def test(store: Store) -> None:
            assert await items(store, "a") == self._as_held(messages)

        self.check(tmp_path, [Part(Conversation("a"), messages)], test)

    def test_what_one_wrote_another_reads(self, tmp_path: Any) -> None:
        async def main() -> None:
            opener = self.stores(tmp_path)
            async with opener() as one, opener() as two:
                await add(one, "a", [structs.replace(FULL, tool_calls=None, tool_call_id=None)])
                [said] = await items(two, "a")
                assert (said.content, said.parts) == (FULL.content, FULL.parts)

        run(main())

    async def _write_at_once(self, stores: Sequence[Store]) -> None:
        async def writer(store: Store, name: str) -> None:
            for n in range(10):
                await add(store, "a", [Message("user", f"{name} {n}")])

        await asyncio.gather(*(writer(s, f"w{n}") for n, s in enumerate(stores)))
        found = await contents(stores[0], "a")
        assert len(found) == 10 * len(stores)
        for n in range(len(stores)):
            mine = [said for said in found if said.startswith(f"w{n} ")]
            assert mine == [f"w{n} {k}" for k in range(10)]

    def test_the_hash_beside_is_kept_in_step(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            key, raw = self.prefix + ":a", self.raw
            end = await add(store, "a", numbered(1))
            made = raw.hgetall(key)
            assert made.keys() == {b"session_id", b"created_at", b"updated_at"}
            assert made[b"session_id"] == b"a"
            raw.hset(key, mapping={"created_at": "1", "updated_at": "1"})
            await add(store, "a", numbered(2))
            assert raw.hget(key, "created_at") == b"1"
            assert int(raw.hget(key, "updated_at")) > 1
            raw.hset(key, "updated_at", "1")
            await store.delete("a", upto=end)
            assert int(raw.hget(key, "updated_at")) > 1
            await store.delete("a")
            assert not raw.exists(key, key + ":messages")

        self.check(tmp_path, [], test)

    def test_a_list_is_that_conversations_which_its_hash_names(self, tmp_path: Any) -> None:
        """`agents:session` and `agents:session:x` may both be prefixes."""

        async def test(store: Store) -> None:
            other = {"prefix": self.prefix + ":x", "layout": self.layout}
            async with opened(self.url, **other) as longer:
                await add(longer, "b", numbered(1))
                assert await ids(longer) == ["b"]
            assert await ids(store) == ["a"]

        self.check(tmp_path, [Part(Conversation("a"), numbered(1))], test)

    def test_a_session_whose_list_is_anothers_hash_is_not_written(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            with pytest.raises(CorruptData, match="is a hash") as caught:
                await add(store, "a", numbered(1))
            assert caught.value.conversation == "a"
            [bad] = await items(store, "a")
            assert isinstance(bad, Unreadable)
            assert await ids(store) == ["a:messages"]

        self.check(tmp_path, [Part(Conversation("a:messages"), numbered(1))], test)

    def test_a_field_that_is_not_theirs_would_not_come_back(self, tmp_path: Any) -> None:
        async def test(store: Any) -> None:
            self.raw.hset(self.prefix + ":a", "mine", "x")
            assert "mine" in (await store.refuses_back(["a", "b"]))["a"]

        parts = [Part(Conversation(name), numbered(1)) for name in "ab"]
        self.check(tmp_path, parts, test)


def test_what_one_call_could_not_bring_back_is_named_before_it_is_removed(
    redis_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synmem.backends.redis.foreign_writing.MOST_ITEM_BYTES", 5000)
    url, prefix = redis_server.url, unique()

    async def main() -> None:
        async with opened(url, prefix=prefix, layout="langchain") as store:
            with redis.Redis.from_url(url) as raw:
                for _ in range(60):  # in fewer words than LangChain's: written anew it is larger
                    raw.lpush(f"{prefix}a", ascii_json({"type": "human", "data": {"content": "x"}}))
            await add(store, "b", numbered(3))
            whole = [m for m in await items(store, "a") if isinstance(m, Message)]
            with pytest.raises(Unsupported, match="more than Redis takes at once"):
                await store.replace(Conversation("a"), once(whole), upto=START)
            refused = await store.refuses_back(["a", "b", "none"])
            assert [*refused] == ["a"]
            assert "bytes are more than Redis takes at once" in refused["a"]
            large = Message("user", "\0" * 6000)  # plain text of that size is not counted
            assert "512 MB" in (store.refusal(large) or "")

    run(main())
    drop(url, prefix)


FIELDS = (
    "type", "data", "content", "role", "blocks", "block_type", "additional_kwargs", "contents",
    "text", "call_id", "arguments", "output", "summary", "tool_calls", "item", "uri", "result",
)  # fmt: skip

# --- TTLs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "keys"), [("langchain", ["a"]), ("openai_agents", [":a:messages", ":a"])]
)
def test_a_list_keeps_its_ttl_until_a_write_renews_it(
    redis_server: Any, layout: str, keys: list[str]
) -> None:
    url, prefix = redis_server.url, unique() + ":"

    async def main() -> None:
        with redis.Redis.from_url(url) as raw:

            def left() -> list[bool]:
                return [0 < raw.ttl(prefix + key) <= 1000 for key in keys]

            async with opened(url, prefix=prefix, layout=layout) as store:
                end = await add(store, "a", numbered(3))
                await store.expire({"a": 1000.0, "none": 5.0})
                assert 900 < (await store.expiring(["a", "none"]))["a"] <= 1000
                await add(store, "a", numbered(3))
                await store.replace(Conversation("a"), once(numbered(2)), upto=end)
                assert all(left())
                assert await contents(store, "a") != []
                last = [p.position(-1) async for p in store.read(["a"])][-1]
                await store.replace(Conversation("a"), once(numbered(2)), upto=last)
                assert all(left())
            async with opened(url, prefix=prefix, layout=layout, ttl_seconds=5000) as store:
                before = [raw.pexpiretime(prefix + key) for key in keys]
                assert await items(store, "a")
                assert await details(store)
                assert [raw.pexpiretime(prefix + key) for key in keys] == before
                await add(store, "a", numbered(1))
                assert all(4000 < raw.ttl(prefix + key) <= 5000 for key in keys)

    run(main())
    drop(url, prefix)


# --- lists of any name ----------------------------------------------------------------------


class TestLlamaIndex(Reading):
    """It alone has a database: in any other there are lists of other tests."""

    @pytest.fixture(autouse=True)
    def server(self, redis_server: Any) -> Iterator[None]:
        self.url = redis_server.url.removesuffix("/0") + "/11"
        with redis.Redis.from_url(self.url) as self.raw:
            self.raw.flushdb()
            yield
            self.raw.flushdb()

    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        for part in parts:
            said = [llamaindex_json(message) for message in part.messages]
            self.raw.rpush(part.conversation.id, *map(ascii_json, said))
        self.raw.rpush("a queue", "{}", "job 1")
        self.raw.set("a text", "x")
        async with opened(
            reader_of(self.url, self.raw, "+@read", "+select", "-@scripting", "~*"),
            write=False,
            layout="llamaindex",
        ) as store:
            yield store

    def conversation_fields(self) -> frozenset[str]:
        return frozenset()

    def can_hold(self, message: Message) -> bool:
        return llamaindex_refuses(message) is None

    def _as_held(self, messages: list[Message]) -> list[Message]:
        return [structs.replace(m, metadata=None, created_at=None) for m in messages]

    async def _refused(self, store: Store, message: Message) -> None:
        assert store.refusal(message)
        with pytest.raises(Unsupported):
            await add(store, "a", [message])

    test_metadata_survives_exactly = None  # type: ignore[assignment]
    test_every_field_survives = None  # type: ignore[assignment]
    test_details_of_conversations = None  # type: ignore[assignment]

    def test_a_broken_message_hides_neither_its_conversation_nor_the_others(
        self, tmp_path: Any
    ) -> None:
        async def test(store: Store) -> None:
            self.raw.lset("a", 0, "{oops")
            self.raw.lset("a", -1, "[5]")
            assert await ids(store) == ["a", "b"]
            said = await items(store, "a")
            assert [type(each) for each in said] == [Unreadable, Message, Message, Unreadable]
            assert said[0].position == "item 0"
            assert said[0].text == "{oops"

        parts = [Part(Conversation(i), numbered(4)) for i in "ab"]
        self.check(tmp_path, parts, test)


# --- items of several messages, or of none --------------------------------------------------


def _unfold(item: bytes) -> list[Message]:
    return [from_dict(each, origin="turns") for each in json.loads(item)]


TURNS = Lists(
    prefix="turns:",
    id_of=lambda rest: rest or None,
    key_of=str,
    tells=lambda item: item.startswith(b"["),
    single=False,
    unfold=_unfold,
    holds=Holds(conversation_fields=frozenset(), own=False, lasting_positions=False),
)


def in_records(messages: Sequence[Message]) -> list[Sequence[Message]]:
    """Messages as records of none to three of them."""
    left, sizes = [*messages], itertools.cycle((0, 1, 3, 0, 0, 0, 2))
    records: list[Sequence[Message]] = []
    while left:
        size = next(sizes)
        records.append(left[:size])
        left = left[size:]
    return [*records, [], [], []]


class Turns(Reading):
    newest_first = False

    @pytest.fixture(autouse=True)
    def server(self, redis_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setitem(registry.LAYOUTS, "turns", ("redis",))
        shape = structs.replace(TURNS, newest_first=self.newest_first)
        module = SimpleNamespace(SHAPES={"redis": (shape,)})
        monkeypatch.setitem(sys.modules, "synmem.layouts.foreign.turns", module)
        self.url = redis_server.url.removesuffix("/0") + "/12"
        with redis.Redis.from_url(self.url) as self.raw:
            self.raw.flushdb()
            yield
            self.raw.flushdb()

    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        push = self.raw.lpush if self.newest_first else self.raw.rpush
        for part in parts:
            for record in in_records(part.messages):
                push(f"turns:{part.conversation.id}", ascii_json([*map(as_dict, record)]))
        async with opened(self.url, write=False) as store:
            if parts:
                assert store.remark() == "layout turns, lists turns:..."
                yield store
            else:
                yield store

    def conversation_fields(self) -> frozenset[str]:
        return frozenset()

    test_details_of_conversations = None  # type: ignore[assignment]

    async def _refused(self, store: Store, message: Message) -> None:
        raise AssertionError("it holds all")


class TestSeveralMessagesAnItem(Turns):
    pass


class TestSeveralMessagesAnItemNewestFirst(Turns):
    newest_first = True


del Turns


class TestAgentFramework(Reading):
    """Of a session its newer key says more than its id, so that only all keys tell where it is."""

    @pytest.fixture(autouse=True)
    def server(self, redis_server: Any) -> Iterator[None]:
        self.url, self.prefix = redis_server.url, unique()
        with redis.Redis.from_url(self.url) as self.raw:
            yield
        drop(self.url, self.prefix)

    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        for part in parts:
            said = [
                {
                    "type": "message",
                    "role": m.role,
                    "contents": [{"type": "text", "text": m.content}],
                }
                for m in part.messages
            ]
            code = b32encode(part.conversation.id.encode()).decode().rstrip("=").lower()
            for key in (f"|v2|~none|app|~none|s|~redis-session-{code}", f":{part.conversation.id}"):
                self.raw.rpush(self.prefix + key, *map(ascii_json, said))
        async with opened(
            self.url, write=False, layout="agent_framework", prefix=self.prefix
        ) as store:
            yield store

    def conversation_fields(self) -> frozenset[str]:
        return frozenset()

    def _as_held(self, messages: list[Message]) -> list[Message]:
        return [Message(message.role, message.content) for message in messages]

    test_metadata_survives_exactly = None  # type: ignore[assignment]
    test_every_field_survives = None  # type: ignore[assignment]
    test_details_of_conversations = None  # type: ignore[assignment]

    def test_a_session_that_comes_meanwhile_is_read_too(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            assert await ids(store) == ["a"]
            self.raw.rpush(
                self.prefix + ":later",
                '{"type": "message", "role": "user", "contents": []}',
                "{oops",
            )
            found, bad = await items(store, "later")
            assert found == Message("user", "")
            assert isinstance(bad, Unreadable)
            assert await ids(store) == ["a", "later"]
            self.raw.delete(self.prefix + ":later")
            assert await items(store, "later") == []

        self.check(tmp_path, [Part(Conversation("a"), numbered(3))], test)


# --- what is changed under the reader -------------------------------------------------------


def test_a_reader_whose_place_was_trimmed_away_is_told_and_else_goes_on(redis_server: Any) -> None:
    url, prefix = redis_server.url, unique() + ":"

    async def main() -> None:
        async with opened(url, prefix=prefix, layout="langchain") as store:
            await add(store, "a", numbered(60))
            positions = [
                p.position(i) async for p in store.read(["a"]) for i in range(len(p.items))
            ]
            with redis.Redis.from_url(url) as raw:
                raw.ltrim(prefix + "a", 0, 49)  # the oldest ten are gone
                rest = await contents(store, "a", after=positions[40])
                assert rest == [f"message {n}" for n in range(41, 60)]
                assert await contents(store, "a", after=positions[30], reverse=True, limit=1) == [
                    "message 29"
                ]
                with pytest.raises(Changed):
                    await contents(store, "a", after=positions[5])
                await store.delete("a", upto=positions[40])
                assert await contents(store, "a") == rest
                raw.delete(prefix + "a")
                with pytest.raises(Changed):
                    await contents(store, "a", after=positions[40])

    run(main())
    drop(url, prefix)


def test_a_key_that_is_no_list_is_named_and_hides_nothing(redis_server: Any) -> None:
    url, prefix = redis_server.url, unique() + ":"

    async def main() -> None:
        with redis.Redis.from_url(url) as raw:
            raw.set(prefix + "text", "x")
            raw.hset(prefix + "hash", "a", "b")
            raw.lpush(prefix + "a", ascii_json(json_of(Message("user", "x"))))
        async with opened(url, prefix=prefix, write=False) as store:
            assert await ids(store) == ["a"]
            assert [(d.kind, d.reason) for d in await store.damage()] == [
                ("stray", "is a hash, not a list"), ("stray", "is a string, not a list"),
            ]  # fmt: skip
            found = {p.conversation: p.items async for p in store.read(["text", "a", "none"])}
            assert isinstance(found["text"][0], Unreadable)
            assert found["a"] == [Message("user", "x")]

    run(main())
    drop(url, prefix)


@pytest.mark.parametrize("layout", ["agent_framework", "langchain", "openai_agents"])
def test_a_list_of_which_the_id_can_be_none_is_named_as_a_stray(
    redis_server: Any, layout: str
) -> None:
    url, prefix = redis_server.url, unique()
    before, behind = {"langchain": (b"", b""), "openai_agents": (b":", b":messages")}.get(
        layout, (b":", b"")
    )
    named = {
        b"": "the id has 0 bytes of UTF-8, not 1 to 1,024",
        b"\xff": "the id is not UTF-8",
        b"x" * 1025: "the id has 1025 bytes of UTF-8, not 1 to 1,024",
    }
    keys = [prefix.encode() + before + id_ + behind for id_ in named]

    async def main() -> None:
        with redis.Redis.from_url(url) as raw:
            for key in (*keys, prefix.encode() + before + b"a" + behind):
                raw.rpush(key, b"{}")
            raw.rpush(prefix + "-another's", b"{}")
            raw.set(prefix.encode() + before + b"b\xff" + behind, "no list")
        async with opened(url, prefix=prefix, layout=layout, write=False) as store:
            listed = {"a", "-another's"} if layout == "langchain" else {"a"}
            expected = {repr(key)[:60]: why for key, why in zip(keys, named.values(), strict=True)}
            assert {each.position: each.reason for each in await store.strays()} == expected
            assert {*await ids(store)} == listed
            assert {each.position: each.reason for each in await store.strays()} == expected
            found = {each.position: each.reason for each in await store.damage()}
            assert found.items() >= expected.items()

    run(main())
    drop(url, prefix)


def test_where_any_list_may_be_a_conversation_only_one_that_tells_is_a_stray(
    redis_server: Any,
) -> None:
    url = redis_server.url.removesuffix("/0") + "/12"
    item = ascii_json(llamaindex_json(Message("user", "x")))

    async def main() -> None:
        async with opened(url, layout="llamaindex", prefix="", write=False) as store:
            assert await ids(store) == ["a"]
            assert [(each.position, each.reason) for each in await store.strays()] == [
                ("b'a\\xff'", "the id is not UTF-8")
            ]

    with redis.Redis.from_url(url) as raw:
        raw.flushdb()
        for key in (b"a", b"a\xff"):
            raw.rpush(key, item)
        raw.rpush(b"queue\xff", b"\x80\x04N.")
        raw.rpush("message_store:", ascii_json(json_of(Message("user", "LangChain's"))))
        run(main())
        raw.flushdb()


@pytest.mark.parametrize("id_", [b"", b"\xff"])
def test_a_place_that_has_but_stray_lists_is_found(redis_server: Any, id_: bytes) -> None:
    url = redis_server.url.removesuffix("/0") + "/12"
    with redis.Redis.from_url(url) as raw:
        raw.flushdb()
        raw.rpush(b"message_store:" + id_, ascii_json(json_of(Message("user", "lost"))))
        for command in ("ls", "check", "export"):
            result = cli(command, "-p", url)
            assert result.exit_code == 6
            assert "b'message_store:" in result.stderr
        raw.flushdb()


def test_a_stray_list_is_named_by_each_command_that_looks_at_all(redis_server: Any) -> None:
    url, prefix = redis_server.url, unique() + ":"
    with redis.Redis.from_url(url) as raw:
        raw.rpush(prefix + "a", ascii_json(json_of(Message("user", "x"))))
        raw.rpush(prefix, ascii_json(json_of(Message("user", "lost"))))
        place = f"{url}?layout=langchain&prefix={prefix}"
        for command in ("ls", "check", "export"):
            result = cli(command, "-p", place)
            assert result.exit_code == 6
            assert "the id has 0 bytes of UTF-8, not 1 to 1,024" in result.stderr
    drop(url, prefix)


@pytest.mark.parametrize("layout", ["langchain", "openai_agents"])
def test_a_key_of_another_type_is_written_by_nobody(redis_server: Any, layout: str) -> None:
    url, prefix = redis_server.url, unique() + ":"
    key = f"{prefix}:text:messages" if layout == "openai_agents" else f"{prefix}text"

    async def main() -> None:
        with redis.Redis.from_url(url) as raw:
            raw.set(key, "x")
            async with opened(url, prefix=prefix, layout=layout) as store:
                for attempt in (
                    add(store, "text", numbered(1)),
                    store.append([Part(Conversation("new"), numbered(1)), Part(Conversation("text"), numbered(1), START)]),
                    store.delete("text"),
                    store.replace(Conversation("text"), once(numbered(1)), upto=START),
                ):  # fmt: skip
                    with pytest.raises(CorruptData, match="is a string") as caught:
                        await attempt
                    assert caught.value.conversation == "text"
                await store.expire({"text": 5.0})
                assert await ids(store) == []
            assert (raw.get(key), raw.ttl(key)) == (b"x", -1)

    run(main())
    drop(url, prefix)


@pytest.mark.parametrize("layout", ["langchain", "openai_agents"])
def test_hostile_ids_are_their_keys(redis_server: Any, layout: str) -> None:
    url, prefix = redis_server.url, unique() + ":"

    async def main() -> None:
        async with opened(url, prefix=prefix, layout=layout) as store:
            await store.append([Part(Conversation(i), numbered(1), START) for i in IDS])
            assert await ids(store) == sorted(IDS)
            with redis.Redis.from_url(url) as raw:
                raw.lpush(prefix.encode() + b":\xff:messages", "x")
            assert await ids(store) == sorted(IDS)
            for name in IDS:
                assert await store.delete(name)
            assert await ids(store) == []

    run(main())
    drop(url, prefix)


# --- whatever lies there --------------------------------------------------------------------

JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=3),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(some.sampled_from(FIELDS) | some.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("layout", ["agent_framework", "langchain", "llamaindex", "openai_agents"])
@given(item=some.binary(max_size=20) | JSON.map(lambda each: json.dumps(each).encode()))
def test_whatever_lies_in_a_list_is_messages_or_says_why_not(layout: str, item: bytes) -> None:
    for shape in registry.shapes(layout, "redis"):
        if isinstance(shape, Lists):
            shape.tells(item)
            lists = ForeignLists(None, ListsFit(layout, shape, shape.prefix), "x")  # type: ignore[arg-type]
            for said in lists.said(item, 0):
                assert isinstance(said, Unreadable) or refusal(said) is None
