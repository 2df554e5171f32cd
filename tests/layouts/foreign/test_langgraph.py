"""LangGraph's checkpoints: in which channel messages are, what else lies there, and that nothing is
made of it."""

import json
import pickle
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from synmem.layouts.foreign import langgraph
from synmem.layouts.foreign.langchain_messages import json_of, message_of
from synmem.messages import Conversation, Message, Unreadable, ascii_json, encodable
from synmem.store import Part
from tests.backends.sqlite.test_store import opened
from tests.conformance import contents, details, ids, items, run
from tests.layouts.foreign.test_langchain import said
from tests.layouts.foreign.wholes import (
    ANY_JSON,
    FIXTURES,
    WholeReading,
    check,
    database,
    made_as,
    read,
    rows_of,
    spoiled,
)
from tests.services import framework

SQLITE = FIXTURES / "langgraph-sqlite" / "checkpoints.sqlite"
POSTGRES = FIXTURES / "langgraph-postgres"

encode = msgspec.msgpack.encode


def made(data: Any, code: int = 5, name: str = "HumanMessage") -> msgspec.msgpack.Ext:
    """An object as LangGraph writes one."""
    return msgspec.msgpack.Ext(code, encode(["langchain_core.messages", name, data, "how"]))


def human(text: str) -> msgspec.msgpack.Ext:
    return made(said("human", content=text)["data"])


def put(db: sqlite3.Connection, thread: str, kind: str | None, data: Any, ns: str = "") -> None:
    """A newer checkpoint of a thread."""
    (count,) = db.execute("SELECT count(*) FROM checkpoints").fetchone()
    db.execute(
        "INSERT INTO checkpoints VALUES (?, ?, ?, NULL, ?, ?, ?)",
        (thread, ns, f"{count:05}", kind, data, b'{"step": 1}'),
    )


class TestCheckpoints(WholeReading):
    """The older kind has JSON, which has lone surrogates; MessagePack has none."""

    def fill(self, db: sqlite3.Connection, parts: Sequence[Part]) -> None:
        made_as(db, SQLITE)
        for part in [*parts, Part(Conversation("nothing"), [])]:
            all_data = [json_of(message)["data"] for message in part.messages]
            id_ = part.conversation.id
            put(db, id_, "msgpack", encode({"channel_values": {"messages": [human("before")]}}))
            if encodable(ascii_json(all_data).encode().decode("unicode_escape")):
                values: Any = {"messages": [made(data) for data in all_data]}
                put(db, id_, "msgpack", encode({"channel_values": values}))
            else:
                values = {
                    "messages": [
                        {"lc": 2, "type": "constructor", "kwargs": data} for data in all_data
                    ]
                }
                put(db, id_, "json", ascii_json({"channel_values": values}).encode())

    def spoil(self, db: sqlite3.Connection) -> None:
        said = [human("message 0"), made({"type": 5}), human("message 2")]
        put(db, "a", "msgpack", encode({"channel_values": {"messages": said}}))

    def held(self, index: int, message: Message) -> Message:
        return message_of(json_of(message))


def thread(path: Path, values: Any, **more: Any) -> Path:
    """A file with one thread, whose newest checkpoint has these values."""
    with database(path) as db:
        made_as(db, SQLITE)
        put(db, "a", "msgpack", encode({"channel_values": values, **more}))
    return path


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ({"messages": [human("x")], "history": [human("y"), human("z")]}, ["x"]),
        ({"talk": [human("x")], "other": [1, 2, 3], "more": "text"}, ["x"]),
        ({"messages": [], "talk": [human("x")]}, ["x"]),
        (
            {"messages": "none", "talk": [human("x")], "longer": [human("y"), human("z")]},
            ["y", "z"],
        ),
        ({"messages": []}, []),
        ({"messages": None}, []),
        ({"other": 1}, []),
        ({"messages": msgspec.msgpack.Ext(7, encode([human("x")]))}, ["x"]),
    ],
)
def test_messages_are_in_their_channel_or_in_the_one_that_has_some(
    tmp_path: Path, values: Any, texts: list[str]
) -> None:
    path = thread(tmp_path / "c.db", values)
    assert [m.content for m in read(path)] == texts

    async def main() -> None:
        async with opened(path) as store:
            assert await ids(store) == (["a"] if texts else [])

    run(main())


def test_the_newest_checkpoint_counts_and_those_of_graphs_within_do_not(tmp_path: Path) -> None:
    path = thread(tmp_path / "c.db", {"messages": [human("x")]})
    with database(path) as db:
        put(db, "a", "msgpack", encode({"ts": "now", "channel_values": {"talk": [human("y")]}}))
        put(db, "a", "msgpack", encode({"channel_values": {"messages": [human("z")]}}), ns="inner")
        put(db, "b", "msgpack", encode({"channel_values": {"messages": [human("z")]}}), ns="inner")

    async def main() -> None:
        async with opened(path) as store:
            assert await contents(store, "a") == ["y"]
            assert await ids(store) == ["a"]
            assert (await details(store))["a"].extra == {
                "langgraph": {
                    "checkpoint_id": "00001",
                    "ts": "now",
                    "metadata": {"step": 1},
                    "channel": "talk",
                }
            }

    run(main())


def test_what_a_thread_left_behind_where_it_went_on_from_earlier_is_a_branch(
    tmp_path: Path,
) -> None:
    path = thread(tmp_path / "c.db", {"messages": [human("one")]})
    with database(path) as db:
        for n, parent, texts in (
            (1, 0, ["one", "two"]),
            (2, 1, ["one", "two", "three"]),
            (3, 0, ["one"]),  # says nothing that the newest does not
            (4, 0, ["one", "other"]),
            (5, 4, ["one", "other", "last"]),
        ):
            values = {"messages": [human(text) for text in texts]}
            put(db, "a", "msgpack", encode({"channel_values": values}))
            db.execute(
                "UPDATE checkpoints SET parent_checkpoint_id = ? WHERE checkpoint_id = ?",
                (f"{parent:05}", f"{n:05}"),
            )

    async def main() -> None:
        async with opened(path) as store:
            assert await contents(store, "a") == ["one", "other", "last"]
            assert store.passed_over() == 1
            assert await contents(store, "a#00002") == ["one", "two", "three"]
            assert await store.leaf("a") == "00005"
        with database(path) as db:
            db.execute("UPDATE checkpoints SET type = 'pickle' WHERE checkpoint_id = '00005'")
        async with opened(path) as store:
            (only,) = await items(store, "a")
            assert "checkpoint 00005" in only.reason
            assert await contents(store, "a#00002") == ["one", "two", "three"]

    run(main())


def test_what_follows_a_checkpoint_in_a_copy_of_its_thread_follows_none_in_its_own(
    tmp_path: Path,
) -> None:
    path = thread(tmp_path / "c.db", {"messages": [human("one")]})
    with database(path) as db:
        for n, (name, parent, texts) in enumerate(
            [
                ("a", 0, ["one", "left"]),
                ("a", 0, ["one", "gone on with"]),
                ("copy", 1, ["one", "left", "further"]),
            ],
            start=1,
        ):
            values = {"messages": [human(text) for text in texts]}
            put(db, name, "msgpack", encode({"channel_values": values}))
            db.execute(
                "UPDATE checkpoints SET parent_checkpoint_id = ? WHERE checkpoint_id = ?",
                (f"{parent:05}", f"{n:05}"),
            )
    told = rows_of(path, "langgraph")
    assert [*langgraph._unfold("a", told["a"]).branches] == ["00001"]
    assert not langgraph._unfold("copy", told["copy"]).branches


def test_what_looks_like_a_word_of_mongodb_s_is_not_taken_for_one(tmp_path: Path) -> None:
    call = {"id": "1", "name": "find", "args": {"_id": {"$oid": "5f"}, "at": {"$date": "now"}}}
    data = said("ai", content="", tool_calls=[call])["data"]
    (message,) = read(thread(tmp_path / "c.db", {"messages": [made(data, name="AIMessage")]}))
    assert message.tool_calls[0]["arguments"] == call["args"]


def test_values_of_other_classes_are_what_they_are_made_of(tmp_path: Path) -> None:
    odd = {
        "when": msgspec.msgpack.Ext(3, encode(["datetime", "datetime", "2026-01-01T00:00:00", "fromisoformat"])),
        "set": msgspec.msgpack.Ext(0, encode(["builtins", "set", [1, 2]])),
        "named": made({"a": 1}, 2, "Named"),
        "bytes": b"\x00\xff",
        "torn": msgspec.msgpack.Ext(5, b"\xc1"),
        "other": msgspec.msgpack.Ext(99, encode(5)),
    }  # fmt: skip
    data = said("human", content="x", response_metadata=odd)["data"]
    (message,) = read(thread(tmp_path / "c.db", {"messages": [made(data)]}))
    assert message.extra["langchain"]["response_metadata"] == {
        "when": "2026-01-01T00:00:00", "set": [1, 2], "named": {"a": 1}, "bytes": "AP8=", "torn": None, "other": 5,
    }  # fmt: skip


class _Evil:
    def __reduce__(self) -> Any:
        return (open, ("unpickled", "w"))


@pytest.mark.parametrize(
    ("kind", "data", "why"),
    [
        ("pickle", pickle.dumps(_Evil()), "nothing is unpickled"),
        ("msgpack+aes", b"\x00\x01", "only its key opens it"),
        ("json+custom", b"\x00\x01", "only its key opens it"),
        (None, pickle.dumps(_Evil()), "not known"),
        ("other", b"", "not known"),
        ("msgpack", "text", "not known"),
        ("msgpack", b"\xc1", "no msgpack"),
        ("msgpack", b"\x91" * 100_000, "no msgpack"),
        ("json", b"{oops", "no json"),
        ("json", b"[" * 100_000, "no json"),
        ("msgpack", encode([1]), "no object"),
        ("msgpack", encode({"channel_values": [1]}), "no object"),
        ("msgpack", encode({"channel_values": {}, "channel_versions": {"messages": "2"}}), "changes since"),
    ],
)  # fmt: skip
def test_a_checkpoint_that_cannot_be_read_is_named_and_hides_no_other_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None, data: Any, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = thread(tmp_path / "c.db", {"messages": [human("x")]})
    with database(path) as db:
        put(db, "b", kind, data)
    (only,) = read(path, "b")
    assert why in only.reason
    assert [m.content for m in read(path)] == ["x"]
    assert not (tmp_path / "unpickled").exists()


def test_a_message_that_cannot_be_read_stands_in_its_place(tmp_path: Path) -> None:
    said = [human("x"), 5, made({"type": "human", "content": 5}), {"role": "user"}, human("y")]
    found = read(thread(tmp_path / "c.db", {"messages": said}))
    assert [type(each) for each in found] == [Message, *[Unreadable] * 3, Message]
    assert "message 1" in found[1].reason


def test_on_postgres_each_channel_has_a_row_of_its_own() -> None:
    """What the server does with the queries is in the tests of its driver."""
    leaf = ["c", '{"step": 1}', json.dumps({"ts": "now", "channel_values": {"n": 1}})]
    other, mine = (
        ["talk", "msgpack", encode([human("x")])],
        ["messages", "msgpack", encode([human("y")])],
    )
    locked = ["talk", "msgpack+aes", b"\x00"]
    unfold = langgraph._unfold_blobs

    def of(*blobs: list[Any]) -> list[list[Any]]:
        return [["c", *blob] for blob in blobs]

    (message,) = unfold("a", {"leaves": [leaf], "blobs": of(other, mine)}).messages
    assert message == message_of(said("human", content="y"))
    (message,) = unfold("a", {"leaves": [leaf], "blobs": of(locked, mine)}).messages
    assert isinstance(message, Message)
    (message,) = unfold("a", {"leaves": [leaf], "blobs": of(locked)}).messages
    assert isinstance(message, Unreadable)
    assert "only its key opens it" in message.reason
    (message,) = unfold(
        "a", {"leaves": [leaf], "blobs": of(["messages", "msgpack+aes", b""])}
    ).messages
    assert "only its key opens it" in message.reason


# --- whatever stands there ------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(spoiled(rows_of(SQLITE, "langgraph")))
def test_whatever_stands_there_is_messages_or_unreadable(
    spoilt: tuple[str, Mapping[str, Sequence[Sequence[Any]]]],
) -> None:
    check(langgraph._unfold, *spoilt)


OBJECTS = some.recursive(
    ANY_JSON.filter(lambda value: _packs(value)) | some.binary(max_size=5),
    lambda inner: some.lists(inner, max_size=3)
    | some.builds(lambda code, value: msgspec.msgpack.Ext(code, encode(value)), some.integers(0, 8), inner)
    | some.builds(lambda code, value: made(value, code), some.integers(0, 8), inner)
    | some.builds(
        lambda key, value: made({**said("ai", tool_calls=[{}])["data"], key: value}),
        some.sampled_from(["content", "type", "name", "tool_calls", "additional_kwargs"]),
        inner,
    ),
    max_leaves=5,
)  # fmt: skip


def _packs(value: Any) -> bool:
    try:
        encode(value)
    except (OverflowError, UnicodeEncodeError):
        return False
    return True


@settings(max_examples=300, deadline=None)
@given(OBJECTS, some.binary(max_size=3))
def test_whatever_objects_there_are_in_a_checkpoint_too(value: Any, cut: bytes) -> None:
    for values in ({"messages": value}, {"messages": [value, human("x")]}, value):
        whole = encode({"channel_values": values})
        for data in (whole, whole[: -len(cut) or None], whole + cut):
            check(langgraph._unfold, "a", {"leaves": [["c", None, "msgpack", data]]})


@settings(max_examples=100, deadline=None)
@given(
    some.binary() | ANY_JSON.map(lambda value: json.dumps(value).encode()),
    some.sampled_from(["msgpack", "json"]),
)
def test_whatever_bytes_there_are_too(data: bytes, kind: str) -> None:
    check(langgraph._unfold, "a", {"leaves": [["c", None, kind, data]]})
    leaf = ["c", None, '{"channel_values": {}}']
    check(
        langgraph._unfold_blobs, "a", {"leaves": [leaf], "blobs": [["c", "messages", kind, data]]}
    )


# --- what LangGraph itself writes -----------------------------------------------------------

PACKAGES = ("langgraph==1.2.22", "langgraph-checkpoint-sqlite==3.1.2")


@pytest.mark.real
def test_what_langgraph_writes_is_read_as_it_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    with framework.running(PACKAGES, "langgraph_program.py") as graph:
        written = graph.ask("write", path=str(path))
        for conversation in written:
            expected = graph.ask("read", path=str(path), conversation=conversation)
            assert len(expected) in (4, 8)
            assert [json_of(message) for message in read(path, conversation)] == expected
        (first, *_) = written
        left = read(path, first)
        graph.ask("fork", path=str(path), conversation=first)
        expected = graph.ask("read", path=str(path), conversation=first)

    async def main() -> None:
        async with opened(path, branches=True) as store:
            assert [json_of(message) for message in await items(store, first)] == expected
            (branch,) = [name for name in await ids(store) if name.startswith(f"{first}#")]
            assert await items(store, branch) == left

    run(main())
    assert expected[4]["data"]["content"] == "instead"
