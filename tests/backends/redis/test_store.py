"""The Redis store: the contract on a server; the raw keys as the docstring has them; keys shared
with SynapseKit; records and keys that are not what they should be."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from synmem.errors import Changed, CorruptData, Unsupported
from synmem.messages import GHOST, ORPHAN, STRAY, Conversation, Message, Unreadable
from synmem.store import START, Part, Step, SupportsDamage, once
from tests.backends.redis.place import Place, drop, opened, spoil
from tests.conformance import (
    AT,
    FULL,
    Opener,
    Writing,
    add,
    contents,
    ids,
    items,
    numbered,
)
from tests.services import unique

FIXTURE = Path(__file__).parents[2] / "fixtures" / "synapsekit-redis"


class TestRedis(Writing):
    @pytest.fixture(autouse=True)
    def server(self, redis_server: Any) -> Iterator[None]:
        self.url, self.prefix = redis_server.url, unique("a*b?[c]\\^-") + ":"
        yield
        drop(self.url, self.prefix)

    def stores(self, tmp_path: Any) -> Opener:
        return lambda: opened(self.url, prefix=self.prefix)

    def spoil(self, tmp_path: Any, conversation: str, field: str) -> None:
        with redis.Redis.from_url(self.url) as raw:
            spoil(raw, self.prefix, conversation, field)


@pytest.fixture
def place(redis_server: Any) -> Iterator[Place]:
    with redis.Redis.from_url(redis_server.url) as raw:
        place = Place(redis_server.url, raw)
        yield place
    drop(place.url, place.prefix)


# --- the data layout ---


def test_the_raw_keys_are_as_documented(place: Place) -> None:
    async def test(store: Any) -> None:
        await store.append([Part(Conversation("c", "Tïtle", {"k": 1}), [FULL, Message("u", "é")])])
        await store.set_note("c", "summary", {"text": "s"})

    place.with_store(test)
    raw = place.raw
    *named, token = place.names()
    assert named == ["c:messages", "c:synmem", "conversations"]
    assert token.startswith("synmem:token:")
    assert 0 < raw.ttl(place.key(token)) <= 3600
    full, plain = raw.lrange(place.key("c:messages"), 0, -1)
    assert plain == b'{"role": "u", "content": "\\u00e9"}'
    item = json.loads(full)
    assert item.keys() == {"role", "content", "metadata"}
    assert item["metadata"]["k"] == 1
    assert item["metadata"]["synmem"]["created_at"] == "2026-11-21T06:00:00.123456Z"
    assert raw.smembers(place.key("conversations")) == {b"c"}
    assert raw.hgetall(place.key("c:synmem")) == {
        b"title": b'"T\\u00eftle"' , b"extra": b'{"k":1}',
        b"note:summary": b'{"text":"s"}',
    }  # fmt: skip
    assert [raw.ttl(place.key(name)) for name in named] == [-1, -1, -1]


def test_an_empty_title_leaves_no_field_and_a_null_note_is_none(place: Place) -> None:
    async def test(store: Any) -> None:
        await store.append([Part(Conversation("c", "T", {"k": 1}), numbered(2))])
        place.raw.hset(place.key("c:synmem"), "note:null", "null")
        assert await store.notes(["c"]) == {}
        await store.append([Part(Conversation("c", ""), numbered(1))])
        assert set(place.raw.hgetall(place.key("c:synmem"))) == {b"extra", b"note:null"}
        await store.replace(Conversation("c", None, {}), once([]), upto=START)
        assert set(place.raw.hgetall(place.key("c:synmem"))) == {b"note:null"}

    place.with_store(test)


def test_only_the_last_token_lies_about(place: Place) -> None:
    async def test(store: Any) -> None:
        for n in range(20):
            await add(store, "c", numbered(1, n))

    place.with_store(test)
    assert len([key for key in place.names() if key.startswith("synmem:")]) == 1


TOKENS = ["0" * 32, "0" * 31 + "1.0", "f" * 32 + ".123"]


def test_a_token_that_was_given_is_the_key_that_is_documented(place: Place) -> None:
    async def test(store: Any) -> None:
        ends = await store.append([Part(Conversation("c"), numbered(3))], token=TOKENS[0])
        await store.delete("c", upto=ends[0], token=TOKENS[1])
        steps = [Step("c", token) for token in TOKENS]
        assert await store.call_off(steps) == set(steps[:2])
        names = [f"synmem:step:{token}" for token in TOKENS]
        assert place.names() == names
        assert [place.raw.get(place.key(name)) for name in names] == [
            ends[0].encode(),
            b"1",
            b"off",
        ]
        for name in names:
            assert 89 * 86_400 < place.raw.ttl(place.key(name)) <= 90 * 86_400
        for token in ("x:messages", "0" * 32 + ":synmem", "", "conversations"):
            with pytest.raises(ValueError, match="token"):
                await store.delete("c", token=token)

    place.with_store(test)


def test_a_replacement_that_is_known_leaves_nothing_staged(place: Place) -> None:
    async def test(store: Any) -> None:
        await add(store, "c", numbered(1))
        for _ in range(2):
            await store.replace(Conversation("c"), once(numbered(2)), upto=START, token=TOKENS[0])
        await store.call_off([Step("c", TOKENS[1])])
        with pytest.raises(Changed):
            await store.replace(Conversation("c"), once(numbered(2)), upto=START, token=TOKENS[1])

    place.with_store(test)
    assert not [key for key in place.names() if "staged" in key]


def test_a_store_that_is_read_tells_of_steps_and_changes_none(place: Place) -> None:
    async def test(store: Any) -> None:
        assert await store.steps_done([Step("c", TOKENS[0])]) == set()
        for attempt in (
            store.call_off([Step("c", TOKENS[0])]),
            store.forget_steps([Step("c", TOKENS[0])]),
            store.expire({"c": 5.0}),
        ):
            with pytest.raises(Unsupported):
                await attempt

    place.with_store(test, write=False)
    assert place.names() == []


def test_what_a_replacement_stages_is_gone_afterwards(place: Place) -> None:
    async def test(store: Any) -> None:
        end = await add(store, "c", numbered(3))
        await store.replace(Conversation("c"), once(numbered(9)), upto=end)

    place.with_store(test)
    assert not [key for key in place.names() if "staged" in key]


HOSTILE = [
    "conversations", "a:messages", ":messages", "a:synmem", "synmem:token:" + "0" * 32,
    "synmem:staged:x", "synmem:step:" + "0" * 32, "synmem:step", "synmem", "a", "",
]  # fmt: skip


def test_no_id_is_taken_for_a_key_of_ours(place: Place) -> None:
    names = [name for name in HOSTILE if name]

    async def test(store: Any) -> None:
        for name in names:
            await store.append([Part(Conversation(name, f"title of {name}"), [Message("u", name)])])
            await store.set_note(name, "n", name)
        assert await ids(store) == sorted(names)
        for name in names:
            assert await contents(store, name) == [name]
            assert await store.note(name, "n") == name
        steps = [Step(name, f"{n:032x}") for n, name in enumerate(names)]
        assert await store.call_off(steps) == set()
        await store.forget_steps(steps)
        for n, name in enumerate(names):
            assert await store.delete(name, token=steps[n].token)
            assert await contents(store, name) == []
        assert await store.steps_done(steps) == set(steps)
        assert await ids(store) == []
        assert await store.damage() == []

    place.with_store(test)


# --- shared with SynapseKit ---


def test_a_plain_message_is_stored_as_synapsekit_stores_it(place: Place) -> None:
    samples = [("user", "Grüße 👋 \ud83d", {"b": [1.5, None], "a": "é"}), ("assistant", "x\x00y", None)]  # fmt: skip
    with place.memory("theirs") as memory:
        for role, content, metadata in samples:
            memory.add(role, content, metadata)
    place.write("ours", [Message(*sample) for sample in samples])
    mine, wanted = (place.raw.lrange(place.key(f"{i}:messages"), 0, -1) for i in ("ours", "theirs"))
    assert mine == wanted
    assert place.raw.smembers(place.key("conversations")) == {b"ours", b"theirs"}


def test_synapsekit_and_synmem_read_what_the_other_writes(place: Place) -> None:
    with place.memory("c é") as memory:
        place.write("c é", [Message("user", "from synmem", {"n": 1})])
        memory.add("assistant", "from synapsekit", {"m": [1]})
        place.write("c é", [Message("user", "again", created_at=AT)])
        found = memory.get_messages()
        assert [m["content"] for m in found] == ["from synmem", "from synapsekit", "again"]
        assert [m.get("metadata") for m in found[:2]] == [{"n": 1}, {"m": [1]}]
        assert memory.list_conversations() == ["c é"]
        assert len(memory) == 3
        assert place.read("c é") == [
            Message("user", "from synmem", {"n": 1}),
            Message("assistant", "from synapsekit", {"m": [1]}),
            Message("user", "again", created_at=AT),
        ]
        memory.clear()
        assert place.read("c é") == []


def test_a_synapsekit_window_trims_what_synmem_wrote(place: Place) -> None:
    place.write("c", numbered(10))
    with place.memory("c", window=2) as memory:
        memory.add("user", "last")
    assert [m.content for m in place.read("c")] == ["message 7", "message 8", "message 9", "last"]


def test_a_conversation_that_synapsekit_cleared_does_not_keep_its_title(place: Place) -> None:
    async def test(store: Any) -> None:
        await store.append([Part(Conversation("c", "old", {"k": 1}), numbered(1))])
        await store.set_note("c", "n", 1)
        with place.memory("c") as memory:
            memory.clear()
        assert await store.note("c", "n") is None
        await add(store, "c", numbered(1))
        (page,) = [page async for page in store.conversations(details=True)]
        assert (page[0].title, page[0].extra) == (None, None)
        assert await store.note("c", "n") is None

    place.with_store(test)


def test_the_store_that_synapsekit_wrote_is_read_whole(place: Place) -> None:
    for key, value in json.loads((FIXTURE / "redis.json").read_text()).items():
        name = key.replace("synapsekit:memory:", place.prefix, 1)
        (place.raw.sadd if value["type"] == "set" else place.raw.rpush)(name, *value["value"])
    expected = json.loads((FIXTURE / "expected.json").read_text())["conversations"]

    async def test(store: Any) -> None:
        assert await ids(store) == sorted(about["id"] for about in expected)
        for about in expected:
            found = await items(store, about["id"])
            assert [(m.role, m.content) for m in found] == [
                (m["role"], m["text"]) for m in about["messages"]
            ]
            for message, wanted in zip(found, about["messages"], strict=True):
                assert (message.metadata or {}) == wanted.get("metadata", {})
                if isinstance(wanted.get("raw"), list):
                    assert message.parts == wanted["raw"]
        assert await store.damage() == []

    place.with_store(test, write=False)


# --- records and keys that are not what they should be ---


def test_one_bad_item_does_not_hide_the_others(place: Place) -> None:
    bad = [b"not json", b"[1]", b'{"role": "user"}', b'{"content": "x"}', b"\xff\xfe",
           b'{"role": 1, "content": "x"}', b'{"role": "u", "content": 5}',
           b'{"role": "u", "content": "x", "metadata": [1]}']  # fmt: skip
    good = b'{"role": "user", "content": "good", "metadata": null}'
    place.raw.rpush(place.key("c:messages"), *[item for b in bad for item in (b, good)])
    found = place.read("c")
    assert [type(item) for item in found] == [Unreadable, Message] * len(bad)
    assert found[0].position == "item 0"
    assert found[0].text == "not json"
    assert "not JSON" in found[0].reason
    assert place.read("c", reverse=True) == found[::-1]


def test_what_other_programs_put_into_an_item_is_kept(place: Place) -> None:
    given: list[dict[str, Any]] = [
        {"role": "user", "content": "x", "timestamp": 5.5, "id": "a"},
        {"role": "user", "content": None},
        {"role": "user", "content": []},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    ]
    place.raw.rpush(place.key("c:messages"), *map(json.dumps, given))
    found = place.read("c")
    assert found == [
        Message("user", "x", extra={"synapsekit": {"timestamp": 5.5, "id": "a"}}),
        Message("user", "", extra={"synapsekit": {"content": None}}),
        Message("user", "", extra={"synapsekit": {"content": []}}),
        Message(
            "user", "a\nb", parts=given[3]["content"], extra={"synapsekit": {"content": "parts"}}
        ),
    ]
    place.write("copy", found)
    assert place.read("copy") == found


FOREIGN: list[dict[str, Any]] = [
    {"role": "user", "content": "x", "tenant": "acme", "n": [1.0, 2**70, None], "\ud800": {"": 1}},
    {"role": "user", "content": None, "tool_calls": [{"id": 1}], "tenant": None},
    {"role": "user", "content": [], "metadata": {"k": 1}},
    {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]},
    {"role": "user", "content": [{"text": "a"}], "name": "bob", "metadata": {"synmem": "theirs"}},
    {"role": "user", "content": [{"text": "a"}], "parts": "theirs", "created_at": 5,
     "metadata": {"synmem": {"v": 1, "parts": [{"type": "text"}], "extra": {"other": 1}}}},
    {"role": "user", "content": "", "extra": {"tenant": 1}, "synmem": 1, "synapsekit": {"a": 1},
     "metadata": {"synmem": {"v": 1, "created_at": "2026-11-21T06:00:00.123456Z"}}},
    {"role": "user", "content": "a", "metadata": {"synmem": {"v": 1, "parts": [{"text": "a"}]}}},
]  # fmt: skip


def test_a_foreign_item_is_the_same_json_after_delete_and_replace(place: Place) -> None:
    place.raw.rpush(place.key("c:messages"), *map(json.dumps, FOREIGN))

    async def test(store: Any) -> None:
        found = await items(store, "c")
        (end,) = [page.position(-1) async for page in store.read(["c"], reverse=True, limit=1)]
        assert await store.delete("c", upto=end)
        await store.replace(Conversation("c"), once(found), upto=START, begins=START)
        assert await items(store, "c") == found

    place.with_store(test)
    raw = [json.loads(item) for item in place.raw.lrange(place.key("c:messages"), 0, -1)]
    assert raw == FOREIGN
    assert list(map(repr, raw[0]["n"])) == ["1.0", str(2**70), "None"]


KEPT: list[Any] = [
    {"role": "assistant"}, {"content": "y"}, {"metadata": {"k": 1}}, {"metadata": None},
    {"content": "parts"}, {"content": [{"text": "y"}]}, {}, "text", {"content": []}, {"a": 1},
]  # fmt: skip


@pytest.mark.parametrize("kept", KEPT, ids=str)
def test_whatever_a_message_brings_as_foreign_keys_comes_back(place: Place, kept: Any) -> None:
    given = [
        Message("user", text, metadata, parts=parts, extra={"synapsekit": kept, "other": [1]})
        for text in ("", "x")
        for metadata in (None, {"synmem": {"v": 1, "parts": []}})
        for parts in (None, [{"type": "text", "text": "x"}])
    ]
    place.write("c", given)
    assert place.read("c") == given


def test_a_key_of_somebody_else_is_named_and_left_alone(place: Place) -> None:
    place.raw.set(place.key("b:messages"), "mine")
    place.raw.sadd(place.key("conversations"), "b")

    async def test(store: Any) -> None:
        await add(store, "a", numbered(3))
        await add(store, "z", numbered(1))
        assert await ids(store) == ["a", "b", "z"]
        found = {page.conversation: page.items async for page in store.read(["a", "b", "z"])}
        assert isinstance(found["b"][0], Unreadable)
        assert "string" in found["b"][0].reason
        for attempt in (
            add(store, "b", numbered(1)),
            store.append([Part(Conversation("new"), numbered(1)), Part(Conversation("b"), numbered(1))]),
            store.delete("b"),
            store.replace(Conversation("b"), once(numbered(1)), upto=START),
            store.set_note("b", "n", 1),
        ):  # fmt: skip
            with pytest.raises(CorruptData, match="b:messages"):
                await attempt
        assert await contents(store, "new") == []

    place.with_store(test)
    assert place.raw.get(place.key("b:messages")) == b"mine"


def test_a_set_key_of_somebody_else_is_named(place: Place) -> None:
    place.raw.set(place.key("conversations"), "mine")

    async def test(store: Any) -> None:
        for attempt in (ids(store), add(store, "a", numbered(1))):
            with pytest.raises(CorruptData, match="conversations"):
                await attempt

    place.with_store(test)
    assert place.raw.get(place.key("conversations")) == b"mine"


def test_ghosts_orphans_and_strays_are_told_apart(place: Place) -> None:
    place.write("whole", numbered(1))
    place.raw.sadd(place.key("conversations"), "ghost", b"\xff", "")
    place.raw.rpush(place.key("orphan:messages"), '{"role": "u", "content": "x"}')
    place.raw.rpush(place.prefix.encode() + b"\xfe:messages", "x")

    async def test(store: Any) -> None:
        assert await ids(store) == ["orphan", "whole"]
        assert [(d.kind, d.position) for d in await store.damage()] == [
            (GHOST, "'ghost'"), (ORPHAN, "'orphan'"), (STRAY, "b''"), (STRAY, "b'\\xfe'"),
            (STRAY, "b'\\xff'"),
        ]  # fmt: skip
        await add(store, "orphan", numbered(1))
        assert await store.delete("ghost") is False
        assert {d.kind for d in await store.damage()} == {STRAY}
        assert isinstance(store, SupportsDamage)

    place.with_store(test)
