"""Google ADK's sessions: what they are called, every kind of part, and what cannot be read."""

import json
import pickle
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from synmem.layouts.foreign import google_adk
from synmem.messages import Message, Unreadable
from synmem.store import Part
from tests.backends.sqlite.test_store import opened
from tests.conformance import contents, details, ids, run
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

SQLITE = FIXTURES / "google-adk-sqlite" / "session.db"
SQLALCHEMY = FIXTURES / "google-adk-sqlalchemy" / "sessions.db"


class TestSessions(WholeReading):
    def fill(self, db: sqlite3.Connection, parts: Sequence[Part]) -> None:
        made_as(db, SQLITE)
        for part in parts:
            id_ = part.conversation.id
            db.execute("INSERT INTO sessions VALUES ('app', 'me', ?, '{}', 0, 0)", [id_])
            for n, message in enumerate(part.messages):
                event = {
                    "author": message.role,
                    "content": {"parts": [{"text": message.content}]},
                }
                db.execute(
                    "INSERT INTO events VALUES (?, 'app', 'me', ?, 'i', ?, ?)",
                    (f"e{n}", id_, 5.5, json.dumps(event)),
                )

    def spoil(self, db: sqlite3.Connection) -> None:
        db.execute(
            "UPDATE events SET event_data = '{}' || event_data WHERE id = 'e1' AND session_id = 'a'"
        )

    def held(self, index: int, message: Message) -> Message:
        role = "user" if message.role == "user" else "assistant"
        return Message(role, message.content, extra={"google_adk": {"author": message.role}})


def session(path: Path, *events: Mapping[str, Any], id_: str = "a") -> Path:
    """A file with a session of these events."""
    with database(path) as db:
        made_as(db, SQLITE)
        db.execute("INSERT INTO sessions VALUES ('app', 'me', ?, '{\"k\": 1}', 1, 2)", [id_])
        for n, event in enumerate(events):
            db.execute(
                "INSERT INTO events VALUES (?, 'app', 'me', ?, 'i', 1, ?)",
                (f"{n}", id_, json.dumps({"id": f"{n}", "author": "agent", **event})),
            )
    return path


def of(*parts: Any, **event: Any) -> dict[str, Any]:
    """An event with these parts."""
    return {"content": {"role": "model", "parts": [*parts]}, **event}


def test_sessions_with_one_id_are_called_by_all_of_their_key(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(Path(shutil.copy(SQLITE, tmp_path))) as store:
            assert {"fixture_app/alice/plain", "fixture_app/bob/plain"} < {*await ids(store)}
            assert await contents(store, "fixture_app/bob/plain") == ["I am Bob"]
            assert await contents(store, "plain") == []
            about = (await details(store))["fixture_app/bob/plain"].extra["google_adk"]
            assert (about["app_name"], about["user_id"], about["id"]) == (
                "fixture_app",
                "bob",
                "plain",
            )
            assert about["state"] == {"x": 2}

    run(main())


def test_a_name_that_is_of_several_sessions_is_never_a_wrong_one(tmp_path: Path) -> None:
    path = session(tmp_path / "s.db", of({"text": "x"}), id_="app/me/a")
    with database(path) as db:
        for user in ("me", "you"):
            db.execute("INSERT INTO sessions VALUES ('app', ?, 'a', '{}', 1, 2)", [user])
    (only,) = read(path, "app/me/a")
    assert "several sessions" in only.reason


def test_every_kind_of_part_is_kept(tmp_path: Path) -> None:
    path = session(
        tmp_path / "s.db",
        of({"text": "because", "thought": True}, {"text": "so", "thought_signature": "sig"}),
        of({"inline_data": {"data": "QQ==", "mime_type": "image/png", "display_name": "n"}}),
        of({"file_data": {"file_uri": "gs://x", "mime_type": "image/png"}}, {"text": "this"}, author="user"),
        of({"inline_data": {"data": "QQ==", "mime_type": "audio/wav"}}, author="user"),
        of({"executable_code": {"code": "1+1"}}, {"code_execution_result": {"output": "2"}}),
        of({"function_call": {"name": "f", "id": "c"}}, {"function_call": {"name": "g", "id": "d", "args": {"x": [1]}}}),
        of({"function_response": {"name": "f", "id": "c", "response": {"result": 5}}}, {"function_response": {"name": "g", "id": "d"}}),
        of(),
        {"content": None, "error_code": "E"},
    )  # fmt: skip
    thought, image, file, audio, code, call, one, two = read(path, "a")
    assert thought.content == "so"
    assert [
        b.get("thought") or b["thought_signature"] for b in thought.extra["google_adk"]["blocks"]
    ] == [True, "sig"]
    assert image.parts[0]["image_url"]["url"] == "data:image/png;base64,QQ=="
    assert image.extra["google_adk"]["blocks"][0]["inline_data"]["display_name"] == "n"
    assert (file.role, file.content, file.parts[0]["image_url"]["url"]) == (
        "user",
        "this",
        "gs://x",
    )
    assert (audio.role, audio.content) == ("user", "")
    assert audio.extra["google_adk"]["blocks"][0]["inline_data"]["mime_type"] == "audio/wav"
    assert code.extra["google_adk"]["blocks"][1] == {"code_execution_result": {"output": "2"}}
    assert call.tool_calls == [
        {"id": "c", "name": "f", "arguments": {}},
        {"id": "d", "name": "g", "arguments": {"x": [1]}},
    ]
    assert (one.role, one.content, one.tool_call_id) == ("tool", "5", "c")
    assert (two.role, two.content, two.name) == ("tool", "{}", "g")


def test_what_a_call_and_its_answer_have_beside_is_kept(tmp_path: Path) -> None:
    call = {"id": "c", "name": "f", "args": {"x": 1}, "will_continue": True}
    answer = {"id": "c", "name": "f", "response": {"result": "r"}, "parts": [{"inline_data": {}}]}
    path = session(
        tmp_path / "s.db",
        of({"function_call": call}, {"function_response": answer}),
        of({"function_call": {"id": 5, "name": "f"}}),
    )
    one, result, odd = read(path, "a")
    assert one.tool_calls == [{"id": "c", "name": "f", "arguments": {"x": 1}}]
    assert one.extra["google_adk"]["blocks"] == [{"function_call": call}]
    assert (result.content, result.tool_call_id) == ("r", "c")
    assert result.extra["google_adk"]["blocks"] == [{"function_response": answer}]
    assert odd.extra["google_adk"]["blocks"][0]["function_call"]["id"] == 5


def test_an_image_is_in_the_base64_that_others_read(tmp_path: Path) -> None:
    image = {"data": "-Pn6-_z9_v_7__4=", "mime_type": "image/png"}
    (message,) = read(session(tmp_path / "s.db", of({"inline_data": image})), "a")
    assert message.parts[0]["image_url"]["url"] == "data:image/png;base64,+Pn6+/z9/v/7//4="


def test_what_was_said_aloud_is_a_message(tmp_path: Path) -> None:
    path = session(
        tmp_path / "s.db",
        {"author": "user", "input_transcription": {"text": "Hi", "finished": True}},
        {"output_transcription": {"text": "Hello"}, "usage_metadata": {"total": 3}},
        {"output_transcription": {"finished": True}},
        {"output_transcription": "?"},
    )
    asked, answer = read(path, "a")
    assert (asked.role, asked.content) == ("user", "Hi")
    assert asked.extra["google_adk"]["input_transcription"] == {"finished": True}
    assert (answer.role, answer.content) == ("assistant", "Hello")
    assert answer.extra["google_adk"] == {
        "id": "1", "author": "agent", "usage_metadata": {"total": 3},
    }  # fmt: skip


def rewind(before: Any) -> dict[str, Any]:
    """An event that undoes an invocation, and what followed."""
    return {"author": "user", "actions": {"rewind_before_invocation_id": before}}


def test_what_was_rewound_is_a_branch(tmp_path: Path) -> None:
    def told(*events: Any) -> tuple[str, str | None, dict[str, str]]:
        path = tmp_path / "s.db"
        path.unlink(missing_ok=True)
        rows = rows_of(session(path, *events), "google_adk")["a"]
        found = google_adk._unfold("a", rows)
        others = {id_: _texts(m) for id_, m in found.branches.items()}
        return _texts(found.messages), found.leaf, others

    a, b, c, d = (of({"text": text}, invocation_id=text) for text in "abcd")
    assert told(a, b, b, rewind("b"), c) == ("ac", "4", {"2": "abb"})
    assert told(a, b, rewind("b"), c, rewind("c"), d) == ("ad", "5", {"1": "ab", "3": "ac"})
    assert told(a, b, rewind("b"), rewind("a"), d) == ("d", "4", {"1": "ab"})
    assert told(a, b, c, rewind("b"), d, rewind("c")) == ("ab", "1", {"2": "abc", "4": "ad"})
    assert told(a, rewind("b"), b, rewind(5), {"actions": 5}, c) == ("abc", "5", {})


def _texts(messages: Sequence[Any]) -> str:
    return "".join(message.content for message in messages)


def test_events_of_one_time_come_as_the_service_reads_them(tmp_path: Path) -> None:
    events = [of({"text": text}) for text in "cab"]
    path = session(tmp_path / "s.db", *events)
    with database(path) as db:
        db.execute("UPDATE events SET id = CASE id WHEN '0' THEN 'z' ELSE id END")
    assert [m.content for m in read(path, "a")] == [*"cab"]  # SqliteSessionService: by rowid
    with database(path) as db:
        db.execute("ALTER TABLE events RENAME TO before")
        (sql,) = (
            sqlite3.connect(SQLALCHEMY)
            .execute("SELECT sql FROM sqlite_schema WHERE name = 'events'")
            .fetchone()
        )
        db.execute(sql)
        db.execute("INSERT INTO events SELECT * FROM before")
    assert [m.content for m in read(path, "a")] == [*"abc"]  # DatabaseSessionService: by id


def test_the_time_is_that_of_the_event(tmp_path: Path) -> None:
    path = session(tmp_path / "s.db", of({"text": "x"}, timestamp=1795244954.6482294))
    (message,) = read(path, "a")
    assert message.created_at.isoformat() == "2026-11-21T07:09:14.648229+00:00"


class _Evil:
    def __reduce__(self) -> Any:
        return (open, ("unpickled", "w"))


def test_the_older_schema_is_read_and_nothing_in_it_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = older(tmp_path / "s.db")

    async def main() -> None:
        async with opened(path) as store:
            assert store.remark() == "layout google_adk (0), table sessions"

    run(main())
    user, call, result, odd = read(path, "a")
    assert (user.role, user.content, user.created_at) == ("user", "Hi", None)
    assert user.extra["google_adk"]["timestamp"] == "2025-01-01 00:00:00.000000"
    assert call.tool_calls == [{"id": "c", "name": "f", "arguments": {"x": 1}}]
    assert call.extra["google_adk"]["usage_metadata"] == {"total": 3}
    assert (result.role, result.content) == ("tool", '{"sky":"☀️"}')
    assert isinstance(odd, Unreadable)
    assert not (tmp_path / "unpickled").exists()


def older(path: Path) -> Path:
    """A file of schema 0."""
    said: list[tuple[str, Any]] = [
        ("user", {"parts": [{"text": "Hi"}], "role": "user"}),
        ("agent", {"parts": [{"function_call": {"id": "c", "name": "f", "args": {"x": 1}}}]}),
        ("agent", {"parts": [{"function_response": {"id": "c", "name": "f", "response": {"sky": "☀️"}}}]}),
        ("agent", [5]),
        ("agent", None),
    ]  # fmt: skip
    with database(path) as db:
        db.execute(
            "CREATE TABLE sessions (app_name VARCHAR(128), user_id VARCHAR(128), id VARCHAR(128), "
            "state TEXT NOT NULL, create_time DATETIME NOT NULL, update_time DATETIME NOT NULL)"
        )
        db.execute(
            "CREATE TABLE events (id VARCHAR(128), app_name VARCHAR(128), user_id VARCHAR(128), "
            "session_id VARCHAR(128), invocation_id VARCHAR(256), author VARCHAR(256), actions BLOB, "
            "long_running_tool_ids_json TEXT, branch VARCHAR(256), timestamp DATETIME, content TEXT, "
            "grounding_metadata TEXT, custom_metadata TEXT, usage_metadata TEXT, partial BOOLEAN, "
            "turn_complete BOOLEAN, error_code VARCHAR(256), error_message VARCHAR(1024), interrupted BOOLEAN)"
        )
        db.execute(
            "INSERT INTO sessions VALUES ('app', 'me', 'a', '{}', '2025-01-01', '2025-01-01')"
        )
        for n, (author, content) in enumerate(said):
            db.execute(
                "INSERT INTO events (id, app_name, user_id, session_id, author, actions, timestamp, "
                "content, usage_metadata) VALUES (?, 'app', 'me', 'a', ?, ?, ?, ?, '{\"total\": 3}')",
                (f"e{n}", author, pickle.dumps(_Evil()), f"2025-01-01 00:00:0{n}.000000",
                 None if content is None else json.dumps(content)),
            )  # fmt: skip
    return path


# --- whatever stands there ------------------------------------------------------------------

THERE = [rows_of(path, "google_adk") for path in (SQLITE, SQLALCHEMY)]


@settings(max_examples=300, deadline=None)
@given(some.sampled_from(THERE).flatmap(spoiled))
def test_whatever_stands_there_is_messages_or_unreadable(
    spoilt: tuple[str, Mapping[str, Sequence[Sequence[Any]]]],
) -> None:
    check(google_adk._unfold, *spoilt)


@settings(max_examples=200, deadline=None)
@given(some.data())
def test_whatever_stands_in_the_older_schema_too(
    tmp_path_factory: pytest.TempPathFactory, data: some.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "older.db"
    if not path.exists():
        older(path)
    check(google_adk._unfold_0, *data.draw(spoiled(rows_of(path, "google_adk"))))


# --- what ADK itself writes -----------------------------------------------------------------


PACKAGES = ("google-adk[db]==2.13.0", "asyncpg")


def as_adk_says(messages: Sequence[Any]) -> list[Any]:
    """What is read, as the program tells it."""
    return [
        {
            "author": m.extra["google_adk"]["author"],
            "text": "" if m.role == "tool" else m.content,
            "calls": [[call["name"], call["arguments"]] for call in m.tool_calls or ()],
            "at": m.created_at.timestamp(),
        }
        for m in messages
    ]


@pytest.mark.real
@pytest.mark.parametrize("service", ["sqlite", "database"])
def test_what_adk_writes_is_read_as_adk_reads_it(tmp_path: Path, service: str) -> None:
    path = tmp_path / "sessions.db"
    with framework.running(PACKAGES, "google_adk_program.py") as adk:
        adk.ask("write", path=str(path), service=service)
        expected = adk.ask("read", path=str(path), service=service)
    assert len(expected) == 3
    for conversation, messages in expected.items():
        assert as_adk_says(read(path, conversation)) == messages
