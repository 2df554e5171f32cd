"""Chainlit's steps: which are messages, what is kept of each; what its own data layers wrote."""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import given

from synmem.layouts.foreign.chainlit import SHAPES, unfold
from synmem.messages import Conversation, Message, Unreadable, replaced
from synmem.store import Part
from tests.layouts.foreign.odd import is_well_told
from tests.layouts.foreign.rows import odd_rows, rows
from tests.layouts.foreign.wholes import WholeReading

AT = datetime(2026, 9, 21, 14, 13, 21, tzinfo=UTC)
THREAD = {"id": "t", "name": "A title", "userId": "u", "metadata": '{"chat_profile": "x"}'}


def step(id_: str, kind: str, output: Any, **more: Any) -> dict[str, Any]:
    at = "2026-09-21T14:13:21.000Z"
    return {"id": id_, "type": kind, "output": output, "createdAt": at, "threadId": "t", **more}


def test_a_tool_is_a_call_and_its_result_and_wrappers_are_nothing() -> None:
    told = unfold(
        "t",
        rows(
            threads=[THREAD],
            steps=[
                step("1", "user_message", "Hi", name="demo-user", start="a", input=""),
                step("2", "run", "no", start="b"),
                step("4", "assistant_message", None, start="d", isError=True),
                step("3", "tool", "oops", start="c", name="f", input='{"a": 1}', isError=True),
                step("5", "tool", None, start="e", name="g", input="no JSON"),
                step("6", "llm", "no", start="f"),
            ],
            feedbacks=[{"forId": "1", "id": "f", "value": 1, "comment": "good"}],
        ),
    )
    assert told.title == "A title"
    assert told.extra == {"chainlit": {"userId": "u", "metadata": {"chat_profile": "x"}}}
    rated = [{"id": "f", "value": 1, "comment": "good"}]
    assert told.messages == [
        Message(
            "user", "Hi", created_at=AT,
            extra={"chainlit": {"id": "1", "name": "demo-user", "start": "a", "feedback": rated}},
        ),
        Message(
            "assistant", "", created_at=AT,
            tool_calls=[{"id": "3", "name": "f", "arguments": {"a": 1}}],
            extra={"chainlit": {"id": "3", "start": "c", "isError": True}},
        ),
        Message(
            "tool", "oops", created_at=AT, tool_call_id="3", name="f",
            extra={"chainlit": {"id": "3"}},
        ),
        Message(
            "assistant", "", created_at=AT,
            extra={"chainlit": {"id": "4", "start": "d", "isError": True}},
        ),
        Message(
            "assistant", "", created_at=AT,
            tool_calls=[{"id": "5", "name": "g", "arguments": "no JSON"}],
            extra={"chainlit": {"id": "5", "start": "e"}},
        ),
    ]  # fmt: skip


def test_a_whole_second_comes_before_its_fractions() -> None:
    at = ("2026-09-21T14:13:21Z", "2026-09-21T14:13:21.500000Z", "2026-09-21T14:13:22Z")
    steps = [step(str(n), "user_message", str(n)) | {"createdAt": at[n]} for n in (2, 1, 0)]
    told = unfold("t", rows(threads=[THREAD], steps=steps))
    assert [each.content for each in told.messages if isinstance(each, Message)] == ["0", "1", "2"]


def test_elements_are_images_or_files_of_their_step() -> None:
    image = {"forId": "1", "id": "e", "type": "image", "mime": "image/png", "url": "https://x/a"}
    file = {"forId": "1", "id": "f", "type": "file", "objectKey": "k"}
    lists = [{"forId": run, "id": f"of {run}", "type": "tasklist"} for run in ("2", None)]
    told = unfold(
        "t",
        rows(
            threads=[THREAD],
            steps=[step("1", "user_message", "Hi"), step("2", "run", "")],
            elements=[image, file, *lists],
        ),
    )
    assert told.extra is not None
    assert told.extra["chainlit"]["elements"] == [
        {"id": "of 2", "type": "tasklist", "forId": "2"},
        {"id": "of None", "type": "tasklist"},
    ]
    (message,) = told.messages
    assert isinstance(message, Message)
    assert message.parts == [
        {"type": "text", "text": "Hi"},
        {"type": "image_url", "image_url": {"url": "https://x/a"}},
    ]
    assert message.extra is not None
    kept = [each["element"]["id"] for each in message.extra["chainlit"]["blocks"]]
    assert kept == ["e", "f"]


def test_a_row_that_cannot_be_read_is_named_and_hides_nothing() -> None:
    found = rows(
        threads=[THREAD],
        steps=[step("1", "user_message", "one"), step("2", "user_message", 5), "no row"],
    )
    names = [each.content if isinstance(each, Message) else each for each in unfold("t", found).messages]  # fmt: skip
    assert names == [
        Unreadable("step", "the row cannot be read: the row is no object"),
        "one",
        Unreadable("2", "step 2: its output is no text"),
    ]


def test_without_its_thread_a_conversation_is_none() -> None:
    assert unfold("t", rows(steps=[step("1", "user_message", "one")])).messages == []


@given(
    odd_rows(
        threads=("id", "name", "metadata", "userId"),
        steps=("id", "type", "output", "input", "name", "createdAt", "start", "startTime"),
        elements=("forId", "type", "url", "mime", "objectKey"),
        feedbacks=("forId", "value"),
    )
)
def test_anything_at_all_is_told_or_named(found: Any) -> None:
    found["threads"].insert(0, ['{"id": "t"}'])
    found["steps"].insert(0, ['{"id": "a", "type": "tool", "output": "b"}'])
    for shape in SHAPES["postgres"]:
        assert is_well_told(lambda shape=shape: shape.unfold("t", found))  # type: ignore[misc]


class TestInAFile(WholeReading):
    """The contract; SQLite has no lone surrogates."""

    def fill(self, db: sqlite3.Connection, parts: Sequence[Part]) -> None:
        for table in ("threads", "steps"):
            db.execute(f"DROP TABLE IF EXISTS {table}")
        db.executescript(
            """CREATE TABLE threads (id TEXT, name TEXT, "createdAt" TEXT, "userId" TEXT, metadata TEXT);
            CREATE TABLE steps (id TEXT, "threadId" TEXT, type TEXT, output TEXT, "createdAt" TEXT,
                start TEXT)"""
        )
        for part in [*parts, Part(Conversation("nothing"), [])]:
            id_ = part.conversation.id
            db.execute("INSERT INTO threads (id) VALUES (?)", [id_])
            for n, message in enumerate(part.messages):
                values = (f"{id_} {n}", id_, _kind(message), replaced(message.content), f"{n:09}")
                db.execute("INSERT INTO steps VALUES (?, ?, ?, ?, ?, NULL)", values)

    def held(self, index: int, message: Message) -> Message:
        role = "assistant" if message.role == "assistant" else "user"
        own = {"id": f"a {index}", "createdAt": f"{index:09}"}
        return Message(role, replaced(message.content), extra={"chainlit": own})

    def spoil(self, db: sqlite3.Connection) -> None:
        db.execute("UPDATE steps SET output = x'6162' WHERE id = 'a 1'")


def _kind(message: Message) -> str:
    return "assistant_message" if message.role == "assistant" else "user_message"
