"""Goose's rows: calls and results of both forms, what was not shown, older versions."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from synmem.layouts.foreign.goose import session, unfold
from synmem.messages import Message, Unreadable, replaced
from synmem.store import Part
from tests.layouts.foreign.folders import lines, messages, texts, unfolded
from tests.layouts.foreign.odd import JSON, document, is_well_told
from tests.layouts.foreign.rows import odd_rows
from tests.layouts.foreign.wholes import (
    FIXTURES,
    WholeReading,
    check,
    database,
    made_as,
    read,
    rows_of,
    spoiled,
)

GOOSE = FIXTURES / "goose" / "sessions.db"
AT = datetime(2026, 9, 21, 14, 13, 21, tzinfo=UTC)


def record(role: str, *content: Any, **more: Any) -> dict[str, Any]:
    return {"id": "m", "role": role, "created": 1790000001, "content": [*content], **more}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def response(**result: Any) -> dict[str, Any]:
    return {"type": "toolResponse", "id": "c", "toolResult": result}


def test_an_answer_and_its_results_are_messages_and_keep_what_they_have() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    value = {"name": "f", "arguments": {"a": 1}}
    called = {"type": "toolRequest", "id": "c", "toolCall": {"status": "success", "value": value}}
    told = session(
        {"id": "s", "name": "", "description": "A title", "working_dir": "/d"},
        [
            record("assistant", thought, text("Let me see."), called, tokens=5),
            record("user", response(status="success", value=[text("2"), text("1")]), text("and?")),
        ],
    )
    assert told.title == "A title"
    assert told.extra == {"goose": {"working_dir": "/d"}}
    assert told.messages == [
        Message(
            "assistant", "Let me see.", created_at=AT,
            tool_calls=[{"id": "c", "name": "f", "arguments": {"a": 1}}],
            extra={"goose": {"id": "m", "tokens": 5, "blocks": [
                thought, {"type": "toolRequest", "toolCall": {"status": "success"}},
            ]}},
        ),
        Message(
            "tool", "2\n1", created_at=AT, tool_call_id="c",
            extra={"goose": {"id": "m", "blocks": [
                {"type": "toolResponse", "toolResult": {"status": "success"}},
            ]}},
        ),
        Message("user", "and?", created_at=AT, extra={"goose": {"id": "m"}}),
    ]  # fmt: skip


IMAGE = {"type": "image", "data": "AA==", "mimeType": "image/png"}


@pytest.mark.parametrize(
    ("result", "said", "kept"),
    [
        ({"status": "error", "error": "no such tool"}, "no such tool", {"status": "error"}),
        ({"status": "error", "error": {"a": 1}}, '{"a":1}', {"status": "error"}),
        ({"status": "success"}, "", {"status": "success"}),
        (
            {"status": "success", "value": {"content": [text("x")], "isError": True}},
            "x", {"status": "success", "value": {"isError": True}},
        ),
        (
            {"status": "success", "value": {"content": [text("x"), IMAGE], "isError": False}},
            "x", {"status": "success", "value": {"content": [text("x"), IMAGE], "isError": False}},
        ),
        ({"status": "success", "value": [IMAGE]}, "", {"status": "success", "value": [IMAGE]}),
    ],
)  # fmt: skip
def test_a_result_is_told_whatever_form_it_has(result: Any, said: str, kept: Any) -> None:
    (found,) = session({}, [record("user", response(**result))]).messages
    assert isinstance(found, Message)
    assert (found.role, found.content, found.tool_call_id) == ("tool", said, "c")
    assert found.extra is not None
    assert found.extra["goose"]["blocks"] == [{"type": "toolResponse", "toolResult": kept}]


def test_a_call_that_could_not_be_read_says_why() -> None:
    call = {"status": "error", "error": "bad JSON"}
    asked = {"type": "toolRequest", "id": "c", "toolCall": call}
    (found,) = session({}, [record("assistant", asked)]).messages
    assert isinstance(found, Message)
    assert found.tool_calls == [{"id": "c", "name": None, "arguments": None}]
    assert found.extra is not None
    assert found.extra["goose"]["blocks"] == [{"type": "toolRequest", "toolCall": call}]


def test_what_was_not_shown_is_counted_and_what_goose_said_itself_is_no_message() -> None:
    hidden = {"userVisible": False, "agentVisible": True}
    told = session(
        {"id": "s"},
        [
            record("user", text("one"), metadata={"userVisible": True, "agentVisible": False}),
            record("user", text("summary"), metadata=hidden),
            record("assistant", text("summary"), text("x"), metadata=hidden),
            record("assistant", {"type": "conversationCompacted", "msg": "compacted"}),
            record("user", {"type": "toolConfirmationRequest", "id": "x"}),
            record("assistant"),
        ],
    )
    assert [each.content for each in told.messages if isinstance(each, Message)] == ["one", ""]
    assert told.extra == {"goose": {"hidden": 2}}


def test_an_image_is_a_part() -> None:
    lost = {"type": "image", "mimeType": "image/png"}
    (found,) = session({}, [record("user", text("x"), IMAGE, lost)]).messages
    assert isinstance(found, Message)
    assert found.parts == [
        text("x"), {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ]  # fmt: skip


def test_a_record_that_cannot_be_read_is_named_and_hides_no_other() -> None:
    records = [
        record("user", text("one")),
        record("user", {"type": "text"}),
        {**record("user"), "content": "{oops"},
        {**record("user"), "content": "5"},
        record("assistant", {"type": "toolRequest", "id": "c"}),
        record("user", response(value=[{"type": "text"}])),
        ValueError("the line is torn"),
        record("user", text("two")),
    ]
    found = session({}, records).messages
    assert [each.content for each in found if isinstance(each, Message)] == ["one", "two"]
    reasons = [each.reason for each in found if isinstance(each, Unreadable)]
    assert reasons[0] == "message m: its text is no text"
    assert "its content is not JSON" in reasons[1]
    assert reasons[2:] == [
        "message m: its content are no list of objects",
        "message m: its toolCall is no object",
        "message m: its text is no text",
        "the line is torn",
    ]


def test_the_first_version_has_fewer_columns(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    with database(path) as db:
        db.executescript(
            "CREATE TABLE schema_version (version INTEGER);"
            "CREATE TABLE sessions (id TEXT, description TEXT, working_dir TEXT, extension_data TEXT);"
            "CREATE TABLE messages (id INTEGER PRIMARY KEY, session_id TEXT, role TEXT,"
            " content_json TEXT, created_timestamp INTEGER);"
            "INSERT INTO sessions VALUES ('a', 'A title', '/d', '{}');"
        )
        for n in (2, 1):
            said = json.dumps([text(str(n))])
            db.execute("INSERT INTO messages VALUES (?, 'a', 'user', ?, 1790000001)", (n, said))
    found = read(path, "a")
    assert [(each.content, each.created_at) for each in found] == [("1", AT), ("2", AT)]


class TestGoose(WholeReading):
    def fill(self, db: sqlite3.Connection, parts: Sequence[Part]) -> None:
        made_as(db, GOOSE)
        for number, part in enumerate(parts):
            id_ = part.conversation.id
            db.execute("INSERT INTO sessions (id, working_dir) VALUES (?, '/d')", [id_])
            for n, message in enumerate(part.messages):
                said = json.dumps([text(message.content)])
                values = (number * 10_000 + n, id_, replaced(message.role), said, f"{id_} {n}")
                db.execute(
                    "INSERT INTO messages (id, session_id, role, content_json, created_timestamp, timestamp)"
                    " VALUES (?, ?, ?, ?, 1790000001, ?)",
                    values,
                )

    def spoil(self, db: sqlite3.Connection) -> None:
        db.execute("UPDATE messages SET content_json = '{oops' WHERE timestamp = 'a 1'")

    def held(self, index: int, message: Message) -> Message:
        about = {"id": index, "timestamp": f"a {index}"}
        return Message(
            replaced(message.role), message.content, created_at=AT, extra={"goose": about}
        )


# --- files of lines -------------------------------------------------------------------------

ABOUT = {"working_dir": "/d", "description": "A title", "message_count": 2}


def test_a_file_of_lines_is_a_session_that_is_called_as_it_is() -> None:
    said = lines(ABOUT, record("user", text("a")), record("assistant", text("b"), created=0))
    [(id_, told)] = unfolded("goose", {"sessions/20250801_120000.jsonl": said}).items()
    assert (id_, told.title) == ("20250801_120000", "A title")
    assert told.extra == {"goose": {"working_dir": "/d", "message_count": 2}}
    assert texts([*told.messages]) == [("user", "a"), ("assistant", "b")]


def test_what_was_not_shown_is_counted_in_a_file_too() -> None:
    summary = record("assistant", text("so far"), metadata={"userVisible": False})
    told = unfolded("goose", {"s.jsonl": lines(ABOUT, record("user", text("a")), summary)})["s"]
    assert texts([*told.messages]) == [("user", "a")]
    assert told.extra is not None
    assert told.extra["goose"]["hidden"] == 1


def test_a_line_that_cannot_be_read_is_named_and_hides_no_other() -> None:
    data = lines(ABOUT, "{", "[]", record("user", 3), record("user", text("a"))) + b'{"role": "as'
    *odd, said = messages("goose", {"s.jsonl": data})
    assert [each.position for each in odd] == ["s.jsonl:2", "s.jsonl:3", "s.jsonl:4"]
    assert texts([said]) == [("user", "a")]


def test_lines_of_others_are_not_taken_for_a_session() -> None:
    for first in ({"working_dir": "/d"}, {"description": "x", "message_count": 1}, {}):
        said = lines(first, record("user", text("a")))
        assert unfolded("goose", {"s.jsonl": said}) == {}


@settings(max_examples=200, deadline=None)
@given(spoiled(rows_of(GOOSE, "goose")))
def test_whatever_stands_there_is_messages_or_unreadable(found: Any) -> None:
    check(unfold, *found)


@given(
    odd_rows(
        sessions=("id", "name", "description", "extension_data"),
        messages=("id", "role", "content_json", "created_timestamp", "metadata_json"),
    ),
    document("type", "text", "toolCall", "toolResult", "data", "id"),
    JSON,
)
def test_anything_at_all_is_told_or_named(found: Any, part: Any, other: Any) -> None:
    assert is_well_told(lambda: unfold("s", found))
    for kind in ("toolRequest", "toolResponse", "image", "text"):
        records = [record("user", {**part, "type": kind}), {**record("user"), "content": other}]
        assert is_well_told(lambda records=records: session({}, records))  # type: ignore[misc]
