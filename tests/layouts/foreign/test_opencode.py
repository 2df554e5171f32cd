"""opencode's sessions: their parts, what was reverted, both versions in one file."""

import json
import shutil
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from synmem.layouts.foreign.opencode import unfold
from synmem.layouts.foreign.opencode_steps import Part as OfStep
from synmem.layouts.foreign.opencode_steps import Step, session
from synmem.layouts.shapes import Told
from synmem.messages import Message, Unreadable
from synmem.store import Part
from tests.backends.sqlite.test_store import opened
from tests.conformance import details, run
from tests.layouts.foreign.odd import JSON, document, is_well_told
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

OPENCODE = FIXTURES / "opencode-sqlite" / "opencode.db"
BRANCH = "ses_ddc70dc1affeYcMA82jf536e20"
PLAIN = "ses_ddc70e304ffeOLprqcYXXirmQu"
AT = datetime(2026, 11, 28, 19, 8, 31, 370000, tzinfo=UTC)
MS = 1795892911370


class TestOpencode(WholeReading):
    def fill(self, db: sqlite3.Connection, parts: Sequence[Part]) -> None:
        made_as(db, OPENCODE)
        for part in parts:
            id_ = part.conversation.id
            add_session(db, id_)
            for n, message in enumerate(part.messages):
                add_message(db, id_, f"{id_} {n:04}", {"role": message.role, "time": {}})
                add_part(db, f"{id_} {n:04}", "p", {"type": "text", "text": message.content})

    def spoil(self, db: sqlite3.Connection) -> None:
        db.execute("UPDATE message SET data = '{oops' WHERE id = 'a 0001'")

    def held(self, index: int, message: Message) -> Message:
        about = {"id": f"a {index:04}", "blocks": [{"type": "text", "id": f"a {index:04} p"}]}
        return Message(message.role, message.content, extra={"opencode": about})


def add_session(db: sqlite3.Connection, id_: str, table: str = "session", **more: Any) -> None:
    values = {
        "id": id_, "project_id": "global", "slug": "s", "directory": "/d", "title": "", "version": "1",
        "time_created": 1, "time_updated": 1, **more,
    }  # fmt: skip
    marks = ", ".join("?" * len(values))
    db.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", [*values.values()])


def add_message(db: sqlite3.Connection, session: str, id_: str, data: Any) -> None:
    db.execute("INSERT INTO message VALUES (?, ?, 1, 1, ?)", (id_, session, json.dumps(data)))


def add_part(db: sqlite3.Connection, message: str, id_: str, data: Any) -> None:
    values = (f"{message} {id_}", message, "any", json.dumps(data))
    db.execute("INSERT INTO part VALUES (?, ?, ?, 1, 1, ?)", values)


def copied(tmp_path: Path) -> Path:
    """The fixture, to be changed."""
    return Path(shutil.copy(OPENCODE, tmp_path / "opencode.db"))


def step(id_: str, role: str, *parts: dict[str, Any], **more: Any) -> Step:
    data = {"role": role, "time": {"created": MS}, **more}
    return Step(id_, data, [OfStep(f"{id_}{n}", part) for n, part in enumerate(parts)])


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **more}


def tool(**state: Any) -> dict[str, Any]:
    return {"type": "tool", "callID": "c", "tool": "bash", "state": {"input": {"a": 1}, **state}}


def contents(told: Told) -> list[str]:
    return [each.content for each in told.messages if isinstance(each, Message)]


# --- version 1 ------------------------------------------------------------------------------


def test_parts_of_an_answer_are_messages_and_what_they_have_beside_is_kept() -> None:
    parts = [
        {"type": "step-start"},
        {"type": "reasoning", "text": "hm"},
        text("Let me see."),
        tool(status="completed", output="21", title="t"),
        text("It is 21."),
    ]
    told = session(
        {"id": "s", "title": "T"}, [step("m", "assistant", *parts, cost=1, parentID="u")]
    )
    assert told.title == "T"
    assert told.messages == [
        Message(
            "assistant", "Let me see.", created_at=AT,
            tool_calls=[{"id": "c", "name": "bash", "arguments": {"a": 1}}],
            extra={"opencode": {"id": "m", "cost": 1, "parentID": "u", "blocks": [
                {"type": "step-start", "id": "m0"},
                {"type": "reasoning", "text": "hm", "id": "m1"},
                {"type": "text", "id": "m2"},
                {"type": "tool", "state": {"status": "completed", "title": "t"}, "id": "m3"},
            ]}},
        ),
        Message(
            "tool", "21", created_at=AT, tool_call_id="c", name="bash",
            extra={"opencode": {"id": "m"}},
        ),
        Message(
            "assistant", "It is 21.", created_at=AT,
            extra={"opencode": {"id": "m", "blocks": [{"type": "text", "id": "m4"}]}},
        ),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "result"),
    [
        ({"status": "completed", "output": ""}, ""),
        ({"status": "error", "error": "no such file"}, "no such file"),
        ({"status": "error", "error": {"type": "x", "message": "no"}}, "no"),
        ({"status": "error", "error": {"type": "x"}}, '{"type":"x"}'),
        ({"status": "error"}, ""),
        ({"status": "running"}, None),
        ({"status": "pending", "raw": "{"}, None),
        ({}, None),
    ],
)
def test_a_call_has_its_result_when_it_has_ended(state: Any, result: str | None) -> None:
    found = session({}, [step("m", "assistant", tool(**state))]).messages
    assert all(isinstance(each, Message) for each in found)
    call, *results = found
    assert isinstance(call, Message)
    assert call.tool_calls == [{"id": "c", "name": "bash", "arguments": {"a": 1}}]
    assert [each.content for each in results if isinstance(each, Message)] == (
        [] if result is None else [result]
    )


def test_what_the_program_added_to_a_prompt_is_not_listed_and_is_kept() -> None:
    told = session(
        {},
        [
            step("a", "user", text("Hi"), text("<file>", synthetic=True), system="Be terse."),
            step("b", "user", text("only added", synthetic=True)),
            step("c", "user", {"type": "compaction", "auto": True}),
            step("d", "assistant"),
            step("e", "user"),
        ],
    )
    assert contents(told) == ["Hi", ""]
    (asked, answered) = told.messages
    assert isinstance(asked, Message)
    assert asked.extra is not None
    assert asked.extra["opencode"]["system"] == "Be terse."
    assert asked.extra["opencode"]["blocks"][1] == {**text("<file>", synthetic=True), "id": "a1"}
    assert isinstance(answered, Message)
    assert answered.role == "assistant"


@pytest.mark.parametrize(
    ("file", "url"),
    [
        ({"mime": "image/png", "url": "data:image/png;base64,AA"}, "data:image/png;base64,AA"),
        ({"mime": "text/plain", "url": "file:///etc/passwd", "filename": "a"}, None),
        ({"mime": "image/png", "url": 5}, None),
    ],
)
def test_an_image_is_a_part_and_another_file_is_kept(file: Any, url: str | None) -> None:
    (message,) = session({}, [step("m", "user", text("x"), {"type": "file", **file})]).messages
    assert isinstance(message, Message)
    images = [part["image_url"]["url"] for part in message.parts or () if "image_url" in part]
    assert images == ([] if url is None else [url])
    assert message.extra is not None
    assert message.extra["opencode"]["blocks"][1]["mime"] == file["mime"]
    (alone,) = session({}, [step("m", "user", {"type": "file", **file})]).messages
    assert isinstance(alone, Message)
    assert (alone.role, alone.content) == ("user", "")


def test_a_part_that_cannot_be_read_is_named_and_hides_no_other() -> None:
    steps = [
        step("a", "user", text("one"), {"type": "text", "text": 5}),
        step("b", "assistant", {"type": None}),
        Step("c", ValueError("its data is not JSON")),
        step("d", "user", text("two")),
    ]
    steps[3] = steps[3]._replace(parts=[*steps[3].parts, OfStep("p", ValueError("oops"))])
    found = session({}, steps).messages
    assert [each.content if isinstance(each, Message) else each for each in found] == [
        "one",
        Unreadable("a1", "part a1: its text is no text"),
        Unreadable("b0", "part b0: its type is no text"),
        Unreadable("c", "message c: its data is not JSON"),
        "two",
        Unreadable("p", "part p: oops"),
    ]


# --- what was reverted ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("revert", "left"),
    [
        ({"messageID": "c"}, ["one", "two", "three"]),
        ({"messageID": "b", "partID": "b1"}, ["one", "two"]),
        ({"messageID": "b", "partID": "b0"}, ["one"]),
        ({"messageID": "b", "partID": "gone"}, ["one", "two", "three"]),
        ({"messageID": "a"}, []),
    ],
)
def test_what_was_reverted_is_another_branch(revert: Any, left: list[str]) -> None:
    answer = [text("two"), tool(status="running"), text("three")]
    steps = [step("a", "user", text("one")), step("b", "assistant", *answer), step("c", "user", text("four"))]  # fmt: skip
    told = session({"id": "s", "revert": revert}, steps)
    assert contents(told) == left
    (branch,) = told.branches.values()
    assert [each.content for each in branch if isinstance(each, Message)] == ["one", "two", "three", "four"]  # fmt: skip
    assert [*told.branches] == ["c"]
    assert told.leaf == {0: None, 1: "a", 2: "b", 3: "b"}[len(left)]
    assert told.extra == {"opencode": {"revert": revert, "reverted": 4 - len(left)}}


@pytest.mark.parametrize("revert", [{"messageID": "gone"}, {}, "x", None, [1]])
def test_where_nothing_is_undone_all_stands(revert: Any) -> None:
    told = session({"revert": revert}, [step("a", "user", text("one"))])
    assert contents(told) == ["one"]
    assert not told.branches


def test_what_was_undone_is_read_where_it_is_asked_for(tmp_path: Path) -> None:
    path = copied(tmp_path)
    assert [m.content for m in read(path, BRANCH)] == ["Pick a colour", "Blue"]
    undone = read(path, f"{BRANCH}#msg_2238f25c3001J9QR49meOQpAs4")
    assert [m.content for m in undone] == ["Pick a colour", "Blue", "Why?", "It is calm."]


# --- version 2 ------------------------------------------------------------------------------


def newer(id_: str, kind: str, **data: Any) -> Step:
    return Step(id_, {"time": {"created": MS}, **data}, kind=kind)


def test_of_version_2_what_was_asked_answered_and_run_is_listed() -> None:
    content = [
        {"type": "reasoning", "text": "hm"},
        text("Let me see."),
        {"type": "tool", "id": "c", "name": "bash", "time": {"created": 1}, "state": {
            "status": "completed", "input": {"a": 1},
            "content": [text("2"), {"type": "file", "uri": "u", "mime": "image/png"}, text("1")],
        }},
        {"type": "tool", "id": "d", "name": "bash", "state": {"status": "streaming", "input": '{"b'}},
        text("It is 21."),
        {"type": "other"},
    ]  # fmt: skip
    steps = [
        newer("a", "agent-switched", agent="build"),
        newer("b", "user", text="What?", files=[
            {"uri": "data:image/png;base64,AA", "mime": "image/png"}, {"uri": "file:///x", "mime": "text/plain"},
        ]),
        newer("c", "synthetic", text="added"),
        newer("d", "system", text="added"),
        newer("e", "assistant", content=content, agent="build"),
        newer("f", "shell", command="ls", output="a\nb", shellID="sh"),
        newer("g", "shell", command="ls", output={"output": "a", "truncated": False}),
        newer("h", "shell", command="ls"),
        newer("i", "compaction", summary="all", recent=""),
        newer("j", "assistant", content=[], error={"type": "aborted", "message": "stop"}),
    ]  # fmt: skip
    told = session({"id": "s", "title": None}, steps)
    found = [each for each in told.messages if isinstance(each, Message)]
    assert [(each.role, each.content) for each in found] == [
        ("user", "What?"), ("assistant", "Let me see."), ("tool", "2\n1"), ("assistant", "It is 21."),
        ("user", "$ ls\na\nb"), ("user", "$ ls\na"), ("user", "$ ls"), ("assistant", ""),
    ]  # fmt: skip
    assert found[0].parts == [
        text("What?"), {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
    ]  # fmt: skip
    assert found[1].tool_calls == [
        {"id": "c", "name": "bash", "arguments": {"a": 1}},
        {"id": "d", "name": "bash", "arguments": '{"b'},
    ]
    assert found[-1].extra == {
        "opencode": {"id": "j", "error": {"type": "aborted", "message": "stop"}}
    }
    assert told.title is None


def test_of_version_2_what_cannot_be_read_is_named() -> None:
    steps = [
        newer("a", "user", text=5), newer("b", "assistant", content="x"), newer("c", "user", text="x"),
        newer("d", "assistant", content=[{"type": "text"}]), newer("e", "shell"),
    ]  # fmt: skip
    found = session({}, steps).messages
    assert [type(each) is Message for each in found] == [False, False, True, False, False]


V2 = """
CREATE TABLE session_v2 (id text PRIMARY KEY, project_id text, parent_id text, slug text NOT NULL,
    directory text NOT NULL, title text, version text NOT NULL, revert text, time_created integer,
    time_updated integer);
CREATE TABLE IF NOT EXISTS session_message (id text PRIMARY KEY, session_id text NOT NULL,
    type text NOT NULL, seq integer NOT NULL, time_created integer, time_updated integer, data text);
"""


def add_newer(db: sqlite3.Connection, session: str, seq: int, said: str) -> None:
    values = (f"{session} {seq}", session, seq, json.dumps({"text": said, "time": {"created": MS}}))
    db.execute("INSERT INTO session_message VALUES (?, ?, 'user', ?, 1, 1, ?)", values)


def test_a_session_that_is_in_both_versions_is_listed_once_as_the_newer_has_it(
    tmp_path: Path,
) -> None:
    path = copied(tmp_path)
    with database(path) as db:
        db.executescript(V2)
        for id_ in (PLAIN, BRANCH, "new", "child"):
            parent = "new" if id_ == "child" else None
            add_session(db, id_, "session_v2", title=f"{id_} now", parent_id=parent)
        for seq, said in ((2, "second"), (1, "first")):
            add_newer(db, PLAIN, seq, said)
            add_newer(db, "new", seq, said)
        add_newer(db, "child", 1, "sub task")
    assert [m.content for m in read(path, PLAIN)] == ["first", "second"]
    assert [m.content for m in read(path, "new")] == ["first", "second"]
    # It was taken over and not yet filled: what was said is there, and what was undone is not.
    assert [m.content for m in read(path, BRANCH)][:2] == ["Pick a colour", "Blue"]

    async def main() -> None:
        async with opened(path) as store:
            found = await details(store)
            assert len(found) == 9
            assert found[PLAIN].title == f"{PLAIN} now"
            assert found[PLAIN].messages == 2
            assert found["child"].extra["opencode"]["parent_id"] == "new"

    run(main())


def test_version_2_may_be_there_alone(tmp_path: Path) -> None:
    path = tmp_path / "opencode.db"
    with database(path) as db:
        db.executescript(V2)
        add_session(db, "a", "session_v2")
        add_newer(db, "a", 1, "first")
    assert [m.content for m in read(path, "a")] == ["first"]


def test_before_version_2_a_session_may_have_only_messages_of_the_new_kind(tmp_path: Path) -> None:
    path = copied(tmp_path)
    with database(path) as db:
        add_session(db, "new")
        add_newer(db, "new", 1, "first")
        add_newer(db, PLAIN, 1, "again")
    assert [m.content for m in read(path, "new")] == ["first"]
    assert read(path, PLAIN)[0].content == "Hello, what is the capital of France?"


def test_an_older_file_lacks_tables_and_columns(tmp_path: Path) -> None:
    path = tmp_path / "opencode.db"
    with database(path) as db:
        db.executescript(
            "CREATE TABLE session (id text, slug text, title text, version text, directory text);"
            "CREATE TABLE message (id text, session_id text, time_created integer, data text);"
            "CREATE TABLE part (id text, message_id text, data text);"
        )
        db.execute("INSERT INTO session VALUES ('a', 's', 'T', '1.2', '/d')")
        db.execute("""INSERT INTO message VALUES ('m', 'a', 1795892911370, '{"role": "user"}')""")
        db.execute("""INSERT INTO part VALUES ('p', 'm', '{"type": "text", "text": "Hi"}')""")
    (message,) = read(path, "a")
    assert (message.content, message.created_at) == ("Hi", AT)


# --- whatever stands there ------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(spoiled(rows_of(OPENCODE, "opencode")))
def test_whatever_stands_there_is_messages_or_unreadable(found: Any) -> None:
    check(unfold, *found)


@given(
    document("title", "revert", "time", "id"),
    document("role", "time", "text", "content", "files", "command", "output", "error"),
    document("type", "text", "tool", "callID", "state", "mime", "url", "synthetic"),
    JSON,
)
def test_anything_at_all_is_told_or_named(about: Any, data: Any, part: Any, id_: Any) -> None:
    for kind in ("user", "assistant", "shell", "other", None):
        steps = [Step(id_, data, [OfStep(id_, part)], kind), Step("b", {**data, "role": "user"})]
        assert is_well_told(lambda steps=steps: session(about, steps))  # type: ignore[misc]
