"""Cursor's composers and bubbles: what is listed without reading them, what is never read."""

import json
import shutil
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from synmem.backends.sqlite.foreign_whole import on
from synmem.errors import UnknownLayout
from synmem.layouts.foreign.cursor import SHAPES, head, unfold
from synmem.messages import Message, Unreadable
from synmem.store import Part
from tests.backends.sqlite.test_store import opened
from tests.cli.moved import run as command
from tests.conformance import details, ids, items, run
from tests.layouts.foreign.odd import JSON, document, is_well_told
from tests.layouts.foreign.wholes import (
    FIXTURES,
    WholeReading,
    check,
    database,
    fit_of,
    made_as,
    read,
    rows_of,
    spoiled,
)

CURSOR = FIXTURES / "cursor-vscdb" / "state.vscdb"
TABS = "workbench.panel.aichat.view.aichat.chatdata"
PLAIN = "b264fbf8-a4eb-4dfe-bf81-71a96588f6ef"
AT = datetime(2026, 9, 21, 14, 13, 21, tzinfo=UTC)


def copied(tmp_path: Path) -> Path:
    """The fixture, to be changed."""
    return Path(shutil.copy(CURSOR, tmp_path / "state.vscdb"))


def put(db: sqlite3.Connection, key: str, value: Any, table: str = "cursorDiskKV") -> None:
    """A value under a key: what is no text or bytes as JSON."""
    if not isinstance(value, str | bytes | None):
        value = json.dumps(value)
    db.execute(f"INSERT INTO {table} VALUES (?, ?)", (key, value))


def add(db: sqlite3.Connection, id_: str, *bubbles: Any, **more: Any) -> None:
    """A composer, and its bubbles `0`, `1`, ..., of which those that are ... are gone."""
    headers = [{"bubbleId": str(n), "type": 1} for n in range(len(bubbles))]
    composer = {"composerId": id_, "fullConversationHeadersOnly": headers, **more}
    put(db, f"composerData:{id_}", composer)
    for n, bubble in enumerate(bubbles):
        if bubble is not ...:
            put(db, f"bubbleId:{id_}:{n}", bubble)


def said(text: Any, kind: Any = 1, **more: Any) -> dict[str, Any]:
    return {"type": kind, "text": text, **more}


def told(*bubbles: Any, **more: Any) -> list[Any]:
    """What the bubbles of a composer say, as they are stored."""
    headers = [{"bubbleId": str(n), "type": 1} for n in range(len(bubbles))]
    composer = json.dumps({"fullConversationHeadersOnly": headers, **more})
    rows = [[str(n), json.dumps(bubble)] for n, bubble in enumerate(bubbles)]
    return [*unfold("c", {"composers": [[composer]], "bubbles": rows}).messages]


# --- bubbles --------------------------------------------------------------------------------


def test_each_bubble_is_a_message_and_a_tool_has_its_result_behind_it() -> None:
    tool = {
        "toolCallId": "c", "name": "f", "tool": 40, "rawArgs": '{"a": 1}', "params": "{}",
        "result": '{"b": 2}', "status": "completed", "additionalData": {"large": 1},
    }  # fmt: skip
    found = told(
        said(
            "Hi", createdAt="2026-09-21T14:13:21.000Z", context={"large": 1}, tokenCount={"in": 1}
        ),
        said("", 2, thinking={"text": "hm", "signature": ""}, createdAt=1790000001000),
        said("", 2, thinking="hm"),
        said("", 2, toolFormerData=tool),
        said("It is 21.", 2),
    )
    assert found == [
        Message("user", "Hi", created_at=AT, extra={"cursor": {"tokenCount": {"in": 1}}}),
        Message(
            "assistant", "", created_at=AT,
            extra={"cursor": {"blocks": [{"type": "thinking", "text": "hm"}]}},
        ),
        Message(
            "assistant", "", extra={"cursor": {"blocks": [{"type": "thinking", "text": "hm"}]}}
        ),
        Message(
            "assistant", "", tool_calls=[{"id": "c", "name": "f", "arguments": {"a": 1}}],
            extra={"cursor": {"blocks": [{"type": "tool", "tool": 40, "status": "completed"}]}},
        ),
        Message("tool", '{"b": 2}', tool_call_id="c", name="f"),
        Message("assistant", "It is 21."),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("tool", "arguments", "results"),
    [
        ({"rawArgs": '{"a"', "params": '{"b": 1}'}, {"b": 1}, []),
        ({"params": {"b": 1}, "result": {"c": 1}}, {"b": 1}, ['{"c":1}']),
        ({"rawArgs": "x", "result": ""}, "x", [""]),
        ({"rawArgs": "x", "params": "y", "result": None}, "y", []),
    ],
)
def test_a_tool_that_runs_or_was_stopped_has_no_result(
    tool: Any, arguments: Any, results: list[str]
) -> None:
    call, *rest = told(said("", 2, toolFormerData={"toolCallId": "c", "name": "f", **tool}))
    assert call.tool_calls == [{"id": "c", "name": "f", "arguments": arguments}]
    assert [each.content for each in rest] == results


def paragraph(*nodes: Any) -> dict[str, Any]:
    return {"type": "paragraph", "children": [*nodes]}


def node(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


@pytest.mark.parametrize(
    ("rich", "text"),
    [
        ({"root": {"children": [paragraph(node("a"), node("b")), paragraph(node("c"))]}}, "ab\nc"),
        ({"root": {"children": [paragraph(node("a"), {"type": "linebreak"}, node("b"))]}}, "a\nb"),
        ({"root": {"children": [paragraph({"type": "mention", "text": "@x"})]}}, "@x"),
        ({"root": 5}, ""),
        ({"root": {"children": 5, "text": 5}}, ""),
        ({}, ""),
        ("{oops", ""),
        (5, ""),
    ],
)
def test_where_the_text_is_empty_the_rich_text_is_shown(rich: Any, text: str) -> None:
    (kept,) = told(said("as typed", richText=json.dumps(rich)))
    assert kept.content == "as typed"
    for stored in (rich, json.dumps(rich)):
        (found,) = told(said("", richText=stored))
        assert found.content == text


def test_an_image_is_a_part_by_its_path() -> None:
    images = [{"path": "a.png", "uuid": "u"}, {"data": {"0": 1}, "uuid": "v"}]
    (found,) = told(said("x", images=images))
    assert found.parts == [
        {"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "a.png"}},
    ]  # fmt: skip
    assert found.extra["cursor"]["blocks"] == [
        {"type": "image", "uuid": "u"}, {"type": "image", "uuid": "v"},
    ]  # fmt: skip


def test_what_cannot_be_read_stands_in_its_place_and_null_says_nothing(tmp_path: Path) -> None:
    path = copied(tmp_path)
    with database(path) as db:
        add(
            db, "a", said("one"), "{oops", b"\xff", "[1]", said("x", 3), said(5), None, "null", ...,
            b'{"text": "as bytes"}', said("x", images=5), said("two"),
        )  # fmt: skip
        add(db, "none", None, "null", ...)
        put(db, "composerData:null", "null")
        put(db, "composerData:odd", "{oops")
        put(db, "composerData:list", b"[1]")
        put(db, "composerData:headers", {"fullConversationHeadersOnly": [1]})
        put(db, "composerData:empty", {"name": "nothing said yet"})
    found = read(path, "a")
    assert [each.content for each in found if isinstance(each, Message)] == [
        "one", "as bytes", "two",
    ]  # fmt: skip
    assert [each.reason for each in found[1:6]] == [
        "bubble 1: it is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        "bubble 2: it is not JSON: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        "bubble 3: it is no object",
        "bubble 4: its type is 3",
        "bubble 5: its text is no text",
    ]

    async def main() -> None:
        async with opened(path) as store:
            listed = await details(store)
            assert listed["a"].extra["cursor"]["missing_bubbles"] == 1
            assert {"odd", "list", "headers"} <= listed.keys()
            assert {"null", "empty"}.isdisjoint(listed)
            for id_ in ("odd", "list", "headers"):
                (each,) = await items(store, id_)
                assert isinstance(each, Unreadable)

    run(main())


# --- composers, and what was before them ----------------------------------------------------


def test_early_composers_hold_their_bubbles_themselves(tmp_path: Path) -> None:
    path = copied(tmp_path)
    with database(path) as db:
        inline = [
            {"bubbleId": "x", **said("one")},
            {"bubbleId": "y", **said("two", 2)},
            {"type": 5},
        ]
        put(db, "composerData:early", {"conversation": inline, "name": "Early"})
    found = read(path, "early")
    assert [each.content for each in found[:2]] == ["one", "two"]
    assert isinstance(found[2], Unreadable)

    async def main() -> None:
        async with opened(path) as store:
            assert (await details(store))["early"].title == "Early"

    run(main())


CHAT = {
    "tabs": [
        {"tabId": "t1", "chatTitle": "A chat", "lastSendTime": 1700000000000, "bubbles": [
            {"type": "user", "id": "b1", "text": "Hi"}, {"type": "ai", "id": "b2", "rawText": "Hello."},
        ]},
        {"tabId": "t2", "bubbles": []},
        {"tabId": PLAIN, "bubbles": [{"type": "user", "text": "a composer has that id"}]},
        5,
        {"bubbles": [{"type": "user", "text": "x"}]},
    ]
}  # fmt: skip


@pytest.mark.parametrize("composers", [True, False])
def test_the_tabs_from_before_there_were_composers_are_read(
    tmp_path: Path, composers: bool
) -> None:
    path = copied(tmp_path)
    with database(path) as db:
        put(db, TABS, CHAT, "ItemTable")
        if not composers:
            db.execute("DROP TABLE cursorDiskKV")
    found = read(path, "t1")
    assert [(each.role, each.content) for each in found] == [
        ("user", "Hi"),
        ("assistant", "Hello."),
    ]

    async def main() -> None:
        async with opened(path) as store:
            listed = await details(store)
            assert listed["t1"].title == "A chat"
            assert listed["t1"].extra == {"cursor": {"lastSendTime": 1700000000000}}
            assert len(listed) == (8 if composers else 2)
            strays = [each.reason for each in await store.strays()]
            assert strays == ["the id of a conversation is NULL"]
            first = (await items(store, PLAIN))[0].content
            assert first == ("Hello, what is the capital of France?" if composers else "a composer has that id")  # fmt: skip

    run(main())


@pytest.mark.parametrize("value", ["{oops", "5", "{}", b"\xff"])
def test_tabs_that_cannot_be_read_are_named(tmp_path: Path, value: Any) -> None:
    path = copied(tmp_path)
    with database(path) as db:
        put(db, TABS, value, "ItemTable")

    async def main() -> None:
        async with opened(path) as store:
            assert len(await ids(store)) == 7
            (stray,) = await store.strays()
            assert stray.reason == "it is no JSON with a list of tabs (1 such)"

    run(main())


# --- what is read, and what is not ----------------------------------------------------------


def test_only_keys_and_ranges_of_them_are_looked_up() -> None:
    with database(CURSOR) as db:
        plan = fit_of(db, "cursor").plan
        queries = [*plan.queries.values(), *plan.heads.values(), plan.listing, plan.strays]
        for sql in queries:
            values = ["a", "b"] if "{ids}" in sql or "{values}" in sql else []
            for *_, step in db.execute(f"EXPLAIN QUERY PLAN {on(sql, len(values))}", values):
                assert not step.startswith(
                    ("SCAN k", "SCAN b", "SCAN e", "SCAN i", "SCAN c", "SCAN I")
                )
        heads = db.execute(f"EXPLAIN QUERY PLAN {on(plan.heads['heads'], 1)}", ["a"]).fetchall()
        looked = [step for *_, step in heads if "SEARCH b" in step]
        assert len(looked) == 3
        assert all("COVERING INDEX" in step for step in looked)


def test_credentials_are_never_read(tmp_path: Path) -> None:
    path = copied(tmp_path)
    with database(path) as db:
        put(db, "secret://x", "SECRET-2", "ItemTable")
        more = {"blobEncryptionKey": "SECRET-3", "subagentInfo": {"a": [{"xEncryptionKey": "SECRET-4"}]}}  # fmt: skip
        add(db, "a", said("Hi", blobEncryptionKey="SECRET-5", modelInfo={"EncryptionKey": "SECRET-6"}), **more)  # fmt: skip
    for words in (("export", "-p", path), ("ls", "--json", "-p", path), ("check", path), ("search", "SECRET", "-p", path)):  # fmt: skip
        done = command(*words)
        assert done.exit_code == 0, done.stderr
        assert "SECRET" not in done.stdout + done.stderr


def test_a_listing_reads_only_the_ends_of_a_conversation(tmp_path: Path) -> None:
    path = copied(tmp_path)
    with database(path) as db:
        add(db, "a", ..., said("one", createdAt=1790000001000), "{oops", said("two", createdAt=1790000002000), ..., name="A")  # fmt: skip
        add(db, "between nothing", None, said("x"), "null")

    async def main() -> None:
        async with opened(path) as store:
            found = (await details(store))["a"]
            assert (found.title, found.messages) == ("A", None)
            assert (found.last_at - found.first_at).total_seconds() == 1
            assert found.first_at == AT
            assert found.extra["cursor"]["missing_bubbles"] == 2
            some = [each.id async for page in store.conversations(["a", "gone"]) for each in page]
            assert some == ["a"]
            found = (await details(store))["between nothing"]
            assert (found.first_at, found.last_at) == (None, None)
            assert len(await items(store, "between nothing")) == 1

    run(main())


@pytest.mark.parametrize("key", ["bubbles", "bubble:s ' %_"])
def test_a_listing_knows_a_bubble_whose_type_stands_only_in_the_header(
    tmp_path: Path, key: str
) -> None:
    path = copied(tmp_path)
    with database(path) as db:
        bubbles = [{"text": text, "createdAt": 1790000001000} for text in ("one", "two")]
        add(db, key, ..., *bubbles, ...)
    assert [(each.role, each.content) for each in read(path, key)] == [
        ("user", "one"),
        ("user", "two"),
    ]

    async def main() -> None:
        async with opened(path) as store:
            found = (await details(store))[key]
            assert found.first_at == found.last_at == AT
            with database(path) as db:
                (rows,) = [
                    db.execute(on(sql, 1), [key]).fetchall()
                    for sql in fit_of(db, "cursor").plan.heads.values()
                    if "composerData" in sql
                ]
            told = head(key, {"heads": [row[1:] for row in rows]})
            assert [type(each) for each in told.messages] == [Message, Message]

    run(main())


def test_the_state_of_an_editor_without_chats_is_not_cursors(tmp_path: Path) -> None:
    path = tmp_path / "state.vscdb"
    with database(path) as db:
        db.execute("CREATE TABLE ItemTable (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)")
        put(db, "chat.ChatSessionStore.index", {"entries": {}}, "ItemTable")

    async def main() -> None:
        async with opened(path):
            pass

    with pytest.raises(UnknownLayout):
        run(main())


class TestCursor(WholeReading):
    counts = False

    def fill(self, db: sqlite3.Connection, parts: Sequence[Part]) -> None:
        made_as(db, CURSOR)
        for part in parts:
            bubbles = [
                said(m.content, 2 if m.role == "assistant" else 1, bubbleId=f"{part.conversation.id} {n}")
                for n, m in enumerate(part.messages)
            ]  # fmt: skip
            add(db, part.conversation.id, *bubbles)

    def spoil(self, db: sqlite3.Connection) -> None:
        db.execute("UPDATE cursorDiskKV SET value = '{oops' WHERE key = 'bubbleId:a:1'")

    def held(self, index: int, message: Message) -> Message:
        role = "assistant" if message.role == "assistant" else "user"
        return Message(role, message.content, extra={"cursor": {"bubbleId": f"a {index}"}})


@settings(max_examples=300, deadline=None)
@given(spoiled(rows_of(CURSOR, "cursor")))
def test_whatever_stands_there_is_messages_or_unreadable(found: Any) -> None:
    check(unfold, *found)


@given(
    document("name", "fullConversationHeadersOnly", "conversation", "subagentInfo", "createdAt"),
    some.lists(document("bubbleId", "type"), max_size=2),
    document("type", "text", "richText", "thinking", "toolFormerData", "images", "createdAt"),
    document("toolCallId", "name", "rawArgs", "params", "result"),
    JSON,
)
def test_anything_at_all_is_told_or_named(
    composer: Any, headers: Any, bubble: Any, tool: Any, other: Any
) -> None:
    for each in (
        composer,
        {**composer, "fullConversationHeadersOnly": [*headers, {"bubbleId": "a"}]},
    ):
        for one in (bubble, {**bubble, "type": 2, "text": "", "toolFormerData": tool}, other):
            value = json.dumps(one)
            found = {"composers": [[json.dumps(each)]], "bubbles": [["a", value]]}
            assert is_well_told(lambda found=found: unfold("c", found))  # type: ignore[misc]
            ends = ["bubbleId:c:a", value, None, None]
            heads = {"heads": [[json.dumps(each), *ends, 1]]}
            assert is_well_told(lambda heads=heads: head("c", heads))  # type: ignore[misc]
            tabs = {"tabs": [[json.dumps({"bubbles": [one, each]})], [value]]}
            assert is_well_told(lambda tabs=tabs: unfold("c", tabs))  # type: ignore[misc]


def test_both_shapes_have_heads() -> None:
    assert all(shape.head is head for shape in SHAPES["sqlite"])
