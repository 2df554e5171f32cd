"""Crush's rows: parts, commands of the user, rows of one second, sessions of sub-agents."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from synmem.layouts.foreign.crush import unfold
from synmem.messages import Message, Unreadable, replaced
from synmem.store import Part
from tests.layouts.foreign.odd import is_well_told
from tests.layouts.foreign.rows import odd_rows, rows
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

CRUSH = FIXTURES / "crush" / "crush.db"
AT = datetime(2026, 9, 21, 14, 13, 21, tzinfo=UTC)
SESSION = {"id": "s", "title": "A title", "message_count": 2, "todos": '[{"content": "x"}]'}


def row(role: str, *parts: Any, **more: Any) -> dict[str, Any]:
    return {"id": "m", "role": role, "parts": json.dumps(parts), "created_at": 1790000001, **more}


def part(kind: str, **data: Any) -> dict[str, Any]:
    return {"type": kind, "data": data}


def told(*messages: Any) -> Any:
    return unfold("s", rows(sessions=[SESSION], messages=[*messages]))


def test_parts_are_messages_and_what_they_have_beside_is_kept() -> None:
    thought = part("reasoning", thinking="hm", signature="s")
    found = told(
        row(
            "assistant", thought, part("text", text="Let me see."),
            part("tool_call", id="c", name="f", input='{"a": 1}', finished=True),
            part("finish", reason="tool_use", time=1), model="m-1", provider="p", is_summary_message=0,
        ),
        row("tool", part("tool_result", tool_call_id="c", name="f", content="21", is_error=False)),
        row("tool", part("finish", reason="x")),
        row("assistant", is_summary_message=1),
    )  # fmt: skip
    assert found.title == "A title"
    assert found.extra == {"crush": {"message_count": 2, "todos": [{"content": "x"}]}}
    assert found.messages == [
        Message(
            "assistant", "Let me see.", created_at=AT,
            tool_calls=[{"id": "c", "name": "f", "arguments": {"a": 1}}],
            extra={"crush": {"id": "m", "model": "m-1", "provider": "p", "blocks": [
                thought, part("tool_call", finished=True), part("finish", reason="tool_use", time=1),
            ]}},
        ),
        Message(
            "tool", "21", created_at=AT, tool_call_id="c", name="f",
            extra={"crush": {"id": "m", "blocks": [part("tool_result", is_error=False)]}},
        ),
        Message("assistant", "", created_at=AT, extra={"crush": {"id": "m", "is_summary_message": 1}}),
    ]  # fmt: skip


def test_a_command_of_the_user_is_told_as_the_model_is_told() -> None:
    ran = part("shell_command", command="ls", output="a\nb", exit_code=1)
    (found,) = told(row("user", ran)).messages
    assert (found.role, found.content) == ("user", "$ ls\na\nb\n(exit code 1)")
    assert found.extra["crush"]["blocks"] == [ran]


@pytest.mark.parametrize(
    ("file", "url"),
    [
        (part("image_url", url="https://x/a.png", detail="low"), "https://x/a.png"),
        (part("binary", Path="a.png", MIMEType="image/png", Data="AA=="), "data:image/png;base64,AA=="),
        (part("binary", Path="a.txt", MIMEType="text/plain", Data="AA=="), None),
        (part("binary", Path="a.png", MIMEType="image/png"), None),
    ],
)  # fmt: skip
def test_an_image_is_a_part_and_another_file_is_kept(file: Any, url: str | None) -> None:
    (found,) = told(row("user", part("text", text="x"), file)).messages
    images = [each["image_url"]["url"] for each in found.parts or () if "image_url" in each]
    assert images == ([] if url is None else [url])
    (block,) = found.extra["crush"]["blocks"]
    assert block["type"] == file["type"]
    assert block["data"].get("Path") == file["data"].get("Path")
    (alone,) = told(row("user", file)).messages
    assert (alone.role, alone.content) == ("user", "")


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ("{", "not JSON"),
        ("5", "its parts are no list of objects"),
        ('[{"type": "text"}]', "what its text says is no object"),
        ('[{"type": "text", "data": {}}]', "its text is no text"),
        ('[{"data": {}}]', "a part's type is no text"),
        ('[{"type": "tool_result", "data": {"content": 5}}]', "its result is no text"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_and_hides_no_other(parts: str, why: str) -> None:
    good = row("user", part("text", text="x"))
    first, odd, last = told(good, {**good, "parts": parts}, good).messages
    assert isinstance(first, Message)
    assert isinstance(last, Message)
    assert isinstance(odd, Unreadable)
    assert why in odd.reason


def test_rows_of_one_second_come_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "crush.db"
    with database(path) as db:
        # As in the program that Crush came from: no provider, no summaries, and milliseconds.
        db.executescript(
            "CREATE TABLE sessions (id TEXT, parent_session_id TEXT, title TEXT, message_count INTEGER,"
            " updated_at INTEGER, created_at INTEGER);"
            "CREATE TABLE messages (id TEXT, session_id TEXT, role TEXT, parts TEXT, model TEXT,"
            " created_at INTEGER, updated_at INTEGER, finished_at INTEGER);"
            "INSERT INTO sessions VALUES ('a', 'parent', 'T', 0, 1, 1);"
        )
        for id_ in ("z", "b", "a"):
            said = json.dumps([part("text", text=id_)])
            db.execute(
                "INSERT INTO messages VALUES (?, 'a', 'user', ?, NULL, 1790000001000, 1, NULL)",
                (id_, said),
            )
    found = read(path, "a")
    assert [each.content for each in found] == ["z", "b", "a"]
    assert found[0].created_at == AT


class TestCrush(WholeReading):
    def fill(self, db: sqlite3.Connection, parts: Sequence[Part]) -> None:
        made_as(db, CRUSH)
        for each in parts:
            id_ = each.conversation.id
            db.execute("INSERT INTO sessions (id, title, updated_at, created_at) VALUES (?, '', 1, 1)", [id_])  # fmt: skip
            for n, message in enumerate(each.messages):
                said = json.dumps([part("text", text=message.content)])
                values = (f"{id_} {n}", id_, replaced(message.role), said)
                db.execute(
                    "INSERT INTO messages (id, session_id, role, parts, created_at, updated_at) VALUES (?, ?, ?, ?, 1790000001, 1)",
                    values,
                )

    def spoil(self, db: sqlite3.Connection) -> None:
        db.execute("UPDATE messages SET parts = '{oops' WHERE id = 'a 1'")

    def held(self, index: int, message: Message) -> Message:
        about = {"id": f"a {index}", "updated_at": 1}
        return Message(
            replaced(message.role), message.content, created_at=AT, extra={"crush": about}
        )


@settings(max_examples=200, deadline=None)
@given(spoiled(rows_of(CRUSH, "crush")))
def test_whatever_stands_there_is_messages_or_unreadable(found: Any) -> None:
    check(unfold, *found)


@given(odd_rows(sessions=("id", "title", "todos"), messages=("id", "role", "parts", "created_at")))
def test_anything_at_all_is_told_or_named(found: Any) -> None:
    found["messages"].append(
        ['{"role": "user", "parts": "[{\\"type\\": \\"text\\", \\"data\\": 5}]"}']
    )
    assert is_well_told(lambda: unfold("s", found))
