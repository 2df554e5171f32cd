"""Agno's sessions of versions 2 and 3: runs, members of teams, and what cannot be read."""

import json
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from synmem.layouts.foreign.agno import _unfold
from synmem.messages import Message, Unreadable
from synmem.store import Part
from tests.backends.sqlite.test_store import opened
from tests.conformance import contents, details, ids, items, run
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
from tests.services import framework

V2 = FIXTURES / "agno-sqlite-v2" / "agno.db"
V3 = FIXTURES / "agno-sqlite-v3" / "agno.db"


def _said(index: int, message: Message) -> dict[str, Any]:
    return {
        "id": str(index),
        "role": message.role,
        "content": message.content,
        "name": message.name,
    }


def _held(index: int, message: Message) -> Message:
    about = {"agno": {"id": str(index)}}
    return Message(message.role, message.content, name=message.name, extra=about)


class TestVersion2(WholeReading):
    """Two messages a run, in JSON within JSON."""

    def fill(self, db: sqlite3.Connection, parts: Sequence[Part]) -> None:
        made_as(db, V2)
        for part in parts:
            said = [_said(n, message) for n, message in enumerate(part.messages)]
            runs = [{"messages": said[n : n + 2]} for n in range(0, len(said), 2)]
            db.execute(
                "INSERT INTO agno_sessions (session_id, session_type, runs, created_at) "
                "VALUES (?, 'agent', ?, 0)",
                (part.conversation.id, json.dumps(json.dumps(runs))),
            )

    def spoil(self, db: sqlite3.Connection) -> None:
        (text,) = db.execute("SELECT runs FROM agno_sessions WHERE session_id = 'a'").fetchone()
        runs = json.loads(json.loads(text))
        runs[0]["messages"][1] = {"role": 5}
        db.execute("UPDATE agno_sessions SET runs = ? WHERE session_id = 'a'", [json.dumps(runs)])

    def held(self, index: int, message: Message) -> Message:
        return _held(index, message)


class TestVersion3(WholeReading):
    """A run for each message."""

    def fill(self, db: sqlite3.Connection, parts: Sequence[Part]) -> None:
        made_as(db, V3)
        for part in parts:
            id_ = part.conversation.id
            db.execute(
                "INSERT INTO agno_sessions (session_id, session_type, created_at) "
                "VALUES (?, 'agent', 0)",
                [id_],
            )
            for n, message in enumerate(part.messages):
                db.execute(
                    "INSERT INTO agno_runs (run_id, session_id, run_type, run_index, run_data, "
                    "created_at) VALUES (?, ?, 'agent', ?, ?, 0)",
                    (f"{id_} {n}", id_, n, json.dumps({"messages": [_said(n, message)]})),
                )

    def spoil(self, db: sqlite3.Connection) -> None:
        db.execute("UPDATE agno_runs SET run_data = '{oops' WHERE run_id = 'a 1'")

    def held(self, index: int, message: Message) -> Message:
        return _held(index, message)


def session(path: Path, *runs: Any) -> Path:
    """A file of version 3 with a session of these runs."""
    with database(path) as db:
        made_as(db, V3)
        about = json.dumps({"session_name": "A title"})
        db.execute(
            "INSERT INTO agno_sessions (session_id, session_type, session_data, created_at) "
            "VALUES ('a', 'team', ?, 0)",
            [about],
        )
        for n, data in enumerate(runs):
            db.execute(
                "INSERT INTO agno_runs (run_id, session_id, run_type, run_index, run_data, "
                "created_at) VALUES (?, 'a', 'agent', ?, ?, 0)",
                (f"r{n}", n, json.dumps(data)),
            )
    return path


def test_the_system_message_comes_when_it_changes(tmp_path: Path) -> None:
    def of(system: str, text: str) -> Any:
        return {
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": text}]
        }

    path = session(tmp_path / "a.db", of("s", "1"), of("s", "2"), of("t", "3"), of("s", "4"))
    assert [m.content for m in read(path)] == ["s", "1", "2", "t", "3", "s", "4"]


def test_what_a_member_of_a_team_said_is_a_branch(tmp_path: Path) -> None:
    path = session(
        tmp_path / "a.db",
        {"messages": [{"role": "user", "content": "all of you"}]},
        {"parent_run_id": "r0", "messages": [{"role": "assistant", "content": "as a member"}]},
        {"parent_run_id": "r0", "messages": []},
        {"messages": [{"role": "assistant", "content": "as the team"}]},
    )

    async def main() -> None:
        async with opened(path) as store:
            assert await contents(store, "a") == ["all of you", "as the team"]
            assert store.passed_over() == 1
            assert await contents(store, "a#r1") == ["as a member"]
            assert (await details(store))["a"].title == "A title"

    run(main())


def test_a_run_that_another_one_took_the_place_of_is_a_branch(tmp_path: Path) -> None:
    def of(answer: str, **about: Any) -> Any:
        said = [("system", "s"), ("user", "again?"), ("assistant", answer)]
        return {"messages": [{"role": role, "content": text} for role, text in said], **about}

    path = session(
        tmp_path / "a.db",
        {"messages": [{"role": "user", "content": "1"}]},
        of("no", status="REGENERATED"),
        of("yes", status="COMPLETED", regenerated_from="r1"),
    )

    async def main() -> None:
        async with opened(path) as store:
            assert await contents(store, "a") == ["1", "s", "again?", "yes"]
            assert store.passed_over() == 1
            assert await contents(store, "a#r1") == ["1", "s", "again?", "no"]
            assert await store.leaf("a") == "r2"
            assert await store.leaf("a#r1") == "r1"

    run(main())


def test_results_that_are_one_message_with_gemini_are_one_each(tmp_path: Path) -> None:
    calls = [
        {"tool_call_id": "1", "tool_name": "f", "content": "as sent"},
        {"tool_call_id": "2", "tool_name": "g", "content": "two"},
    ]
    said = {"id": "m", "role": "tool", "content": [{"as": "given"}], "tool_calls": calls}
    path = session(
        tmp_path / "a.db", {"messages": [{**said, "metrics": {"n": 1}, "created_at": 5}]}
    )
    one, two = read(path)
    assert [(m.content, m.tool_call_id, m.name, m.tool_calls) for m in (one, two)] == [
        ('{"as":"given"}', "1", "f", None), ("two", "2", "g", None),
    ]  # fmt: skip
    assert one.created_at == two.created_at
    assert one.extra["agno"] == {"id": "m", "metrics": {"n": 1}}
    assert two.extra["agno"] == {"id": "m"}


def test_nothing_of_a_call_or_of_what_was_asked_is_lost(tmp_path: Path) -> None:
    files = [{"url": "u"}]
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}", "n": 1}}]
    path = session(
        tmp_path / "a.db",
        {"input": {"input_content": "go", "files": files}, "content": "done"},
        {
            "input": {"input_content": "go", "files": files},
            "messages": [{"role": "user", "content": "go", "files": files}],
        },
        {"messages": [{"role": "tool", "content": "r", "tool_call_id": 5, "tool_name": 6}]},
        {"messages": [{"role": "assistant", "content": "", "tool_calls": calls}]},
    )
    _, done, asked, result, call = read(path)
    assert done.extra["agno"]["run"] == {"input": {"files": files}}
    assert asked.extra["agno"] == {"files": files}
    assert result.extra["agno"] == {"tool_call_id": 5, "tool_name": 6}
    assert call.extra["agno"]["tool_calls"] == calls


def test_a_run_that_keeps_no_messages_says_what_was_asked_and_answered(tmp_path: Path) -> None:
    path = session(
        tmp_path / "a.db",
        {"input": "go", "content": {"done": True}, "step_results": [1], "created_at": 5},
        {"input": {"input_content": "and"}, "content": "done", "messages": []},
    )
    found = read(path)
    assert [(m.role, m.content) for m in found] == [
        ("user", "go"), ("assistant", '{"done":true}'), ("user", "and"), ("assistant", "done"),
    ]  # fmt: skip
    assert found[1].extra["agno"]["run"] == {"content": {"done": True}, "step_results": [1]}
    assert [m.created_at and m.created_at.timestamp() for m in found] == [5, 5, None, None]


def test_what_messages_and_runs_have_beside_is_kept_once(tmp_path: Path) -> None:
    said = [
        {"role": "user", "content": "Hi", "created_at": 5, "files": [{"url": "u"}],
         "images": [{"url": "i"}, {"content": "QQ==", "mime_type": "image/gif", "id": "1"}, {"detail": "x"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "a"}, "b", 5], "reasoning_content": "r",
         "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{oops"}, "own": 1}]},
        {"role": "tool", "content": None, "tool_call_id": "c", "tool_name": "f", "tool_args": {"x": 1}},
    ]  # fmt: skip
    run_ = {
        "messages": said,
        "input": {"input_content": "Hi"},
        "content": "",
        "model": "m",
        "none": None,
    }
    user, answer, tool = read(session(tmp_path / "a.db", run_))
    assert user.created_at.timestamp() == 5
    assert [part.get("image_url", {}).get("url") for part in user.parts] == [
        None, "i", "data:image/gif;base64,QQ==",
    ]  # fmt: skip
    assert user.extra["agno"]["images"] == [
        {"url": "i"},
        {"mime_type": "image/gif", "id": "1"},
        {"detail": "x"},
    ]
    assert user.extra["agno"]["files"] == [{"url": "u"}]
    assert answer.content == "a\nb\n5"
    assert answer.tool_calls == [{"id": "c", "name": "f", "arguments": "{oops"}]
    assert answer.extra["agno"]["tool_calls"][0]["own"] == 1
    assert answer.extra["agno"]["reasoning_content"] == "r"
    assert (tool.content, tool.name, tool.tool_call_id) == ("", "f", "c")
    assert tool.extra["agno"]["run"] == {"model": "m"}


def test_a_session_from_before_version_3_has_its_runs_where_they_were(tmp_path: Path) -> None:
    path = session(tmp_path / "a.db")
    with database(path) as db:
        db.execute("ALTER TABLE agno_sessions ADD COLUMN runs JSON")
        runs = json.dumps(json.dumps([{"messages": [{"role": "user", "content": "old"}]}]))
        db.execute("UPDATE agno_sessions SET runs = ?", [runs])
    assert [m.content for m in read(path)] == ["old"]
    session_ = {"messages": [{"role": "user", "content": "new"}]}
    with database(path) as db:
        db.execute(
            "INSERT INTO agno_runs (run_id, session_id, run_type, run_index, run_data, created_at) "
            "VALUES ('r', 'a', 'agent', 0, ?, 0)",
            [json.dumps(session_)],
        )
    assert [m.content for m in read(path)] == ["new"]


def test_what_cannot_be_read_is_named_and_hides_nothing(tmp_path: Path) -> None:
    path = session(
        tmp_path / "a.db",
        {"messages": [{"role": "user", "content": "1"}, 5, {"content": "no role"}]},
        {"messages": 5},
        [],
        {"messages": [{"role": "user", "content": "2"}]},
    )
    found = read(path)
    assert [type(each) for each in found] == [Message, *[Unreadable] * 4, Message]
    path = Path(shutil.copy(V2, tmp_path / "v2.db"))
    with database(path) as db:
        db.execute("UPDATE agno_sessions SET runs = '5' WHERE session_id = 'plain'")

    async def main() -> None:
        async with opened(path) as store:
            assert store.remark() == "layout agno (2), table agno_sessions"
            (only,) = await items(store, "plain")
            assert "no list" in only.reason
            assert len(await ids(store)) == 7

    run(main())


def test_a_session_of_which_there_are_runs_alone_is_not_there(tmp_path: Path) -> None:
    path = session(tmp_path / "a.db", {"messages": [{"role": "user", "content": "1"}]})
    with database(path) as db:
        db.execute("UPDATE agno_sessions SET session_id = 'b'")
    assert read(path) == []


def test_an_id_that_several_sessions_have_is_said(tmp_path: Path) -> None:
    rows = rows_of(session(tmp_path / "a.db"), "agno")["a"]
    with pytest.raises(ValueError, match="several sessions"):
        _unfold("a", {**rows, "session": [*rows["session"]] * 2})


def test_a_content_that_is_too_deep_to_be_written_hides_nothing() -> None:
    session_ = [[None] * 14]
    for depth in range(800, 1000):  # up to where it cannot be read either
        text = "[" * depth + "]" * depth
        said = f'[{{"role": "user", "content": {text}}}, {{"role": "user", "content": "2"}}]'
        rows = {"session": session_, "runs": [["r", f'{{"messages": {said}}}']]}
        check(_unfold, "a", rows)


THERE = [rows_of(path, "agno") for path in (V2, V3)]


@settings(max_examples=300, deadline=None)
@given(some.sampled_from(THERE).flatmap(spoiled))
def test_whatever_stands_there_is_messages_or_unreadable(
    spoilt: tuple[str, Mapping[str, Sequence[Sequence[Any]]]],
) -> None:
    check(_unfold, *spoilt)


# --- what Agno itself writes ----------------------------------------------------------------


def packages(version: str) -> Sequence[str]:
    """Those of that version."""
    return (f"agno=={version}", "sqlalchemy==2.1.9", "greenlet", "psycopg[binary]")


def as_agno_says(messages: Sequence[Any]) -> list[Any]:
    """What is read, as the program tells it."""
    return [
        {
            "id": m.extra["agno"]["id"],
            "role": m.role,
            "text": m.content,
            "calls": [call["name"] for call in m.tool_calls or ()],
            "answers": m.tool_call_id,
            "images": sum(part["type"] == "image_url" for part in m.parts or ()),
            "at": m.created_at.timestamp(),
        }
        for m in messages
    ]


@pytest.mark.real
@pytest.mark.parametrize("version", ["2.9.0", "3.1.10"])
def test_what_agno_writes_is_read_as_agno_reads_it(tmp_path: Path, version: str) -> None:
    path = tmp_path / "agno.db"
    with framework.running(packages(version), "agno_program.py") as agno:
        written = agno.ask("write", path=str(path))
        for conversation in written:
            expected = agno.ask("read", path=str(path), conversation=conversation)
            assert expected
            assert as_agno_says(read(path, conversation)) == expected
