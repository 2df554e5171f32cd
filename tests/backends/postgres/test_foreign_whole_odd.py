"""Conversations of several tables, and arrays of JSON, in which a time is none that Python has, or a
text is not UTF-8: that record is named or told as it stands, and hides nothing else."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from synmem.messages import Message, Unreadable
from tests.backends.postgres.test_foreign_odd import Base, base
from tests.backends.postgres.test_foreign_types import ODD, encoded
from tests.conformance import details, ids, items, run
from tests.layouts.foreign.test_llamaindex import said, text

__all__ = ["base"]  # a fixture

DIFY = (
    "CREATE TABLE conversations (id text PRIMARY KEY, app_id text, mode text, name text, created_at timestamp)",
    "CREATE TABLE messages (id text PRIMARY KEY, conversation_id text, query text, answer text,"
    " created_at timestamp, parent_message_id text, message_metadata text)",
)
CHATS = (
    'CREATE TABLE "Chat" (id text PRIMARY KEY, title text)',
    'CREATE TABLE "Message_v2" (id text PRIMARY KEY, "chatId" text, role text, parts json,'
    ' "createdAt" timestamp)',
)
ADK = (
    "CREATE TABLE sessions (app_name varchar, user_id varchar, id varchar, state jsonb,"
    " create_time timestamp, update_time timestamptz)",
    "CREATE TABLE events (id varchar, app_name varchar, user_id varchar, session_id varchar,"
    " invocation_id varchar, author varchar, timestamp timestamp, content jsonb, actions bytea)",
)


def adk(base: Base, text: str, at: str, *sessions: str) -> None:
    """An event of Google ADK, in its session."""
    for session in sessions:
        base.run(
            "INSERT INTO sessions VALUES ('app', 'me', $1, '{}', $2::text::timestamp, now())",
            values=[session, at],
        )
        for n, when in enumerate([at, "2024-01-01"]):
            base.run(
                "INSERT INTO events (id, app_name, user_id, session_id, author, timestamp, content)"
                " VALUES ($1, 'app', 'me', $2, 'user', $3::text::timestamp, $4)",
                values=[f"{session} {n}", session, when, json.dumps({"parts": [{"text": text}]})],
            )


async def told(store: Any) -> dict[str, list[str]]:
    """What each conversation says; of what cannot be read `?`, and why."""
    found: dict[str, list[str]] = {}
    for name in await ids(store):
        every = await items(store, name)
        assert await items(store, name, reverse=True) == every[::-1]
        found[name] = [_said(each) for each in every]
    infos = await details(store)
    assert {name: info.messages for name, info in infos.items()} == {
        name: len(every) for name, every in found.items()
    }
    return found


def _said(each: Message | Unreadable) -> str:
    return f"? {each.reason}" if isinstance(each, Unreadable) else each.content


def opened_and_told(base: Base) -> tuple[dict[str, list[str]], Sequence[Any]]:
    """What it says, and what is in no conversation."""

    async def main() -> Any:
        async with base.opened() as store:
            return await told(store), await store.strays()

    found: tuple[dict[str, list[str]], Sequence[Any]] = run(main())
    return found


@pytest.mark.parametrize("odd", ODD)
def test_one_odd_time_hides_no_message_and_is_no_other_time(base: Base, odd: str) -> None:
    base.run(*ADK, "SELECT")
    adk(base, "fine", "2024-01-02", "a", "c")
    adk(base, "odd", odd, "b")

    async def main() -> None:
        async with base.opened() as store:
            assert await told(store) == {"a": ["fine"] * 2, "b": ["odd"] * 2, "c": ["fine"] * 2}
            (message,) = [
                m for m in await items(store, "b") if m.extra["google_adk"]["id"] == "b 0"
            ]
            assert message.created_at is None
            assert message.extra["google_adk"]["timestamp"].startswith(odd[:9])
            (info,) = [i async for page in store.conversations(["b"], details=True) for i in page]
            assert info.extra["google_adk"]["create_time"].startswith(odd[:9])
            (info,) = [i async for page in store.conversations(["a"], details=True) for i in page]
            assert info.extra["google_adk"]["create_time"] == "2024-01-02T00:00:00"

    run(main())


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_time_of_a_row_that_is_read_as_json_stays_what_it_is(base: Base, odd: str) -> None:
    base.run(*CHATS, "INSERT INTO \"Chat\" VALUES ('a', 'T')", "SELECT")
    for n, at in enumerate([odd, "2024-01-01"]):
        base.run(
            """INSERT INTO "Message_v2" VALUES ($1, 'a', 'user', $2, $3::text::timestamp)""",
            values=[str(n), json.dumps([{"type": "text", "text": at}]), at],
        )

    async def main() -> None:
        async with base.opened() as store:
            found = {m.content: m for m in await items(store, "a")}
            assert found.keys() == {odd, "2024-01-01"}
            assert found[odd].created_at is None
            assert found[odd].extra["vercel_ai"]["createdAt"].startswith(odd[:9])

    run(main())


def test_text_that_is_no_utf_8_is_named_in_its_place(base: Base) -> None:
    with encoded(base, "SQL_ASCII"):
        base.run(
            *DIFY,
            "INSERT INTO conversations (id, name) VALUES ('a', 'A'), ('b', E'\\xff'), ('é', 'é'), (E'\\xfe', 'x')",
            "INSERT INTO messages VALUES ('1', 'a', 'q1', 'a1', '2024-01-01'),"
            " ('2', 'a', E'\\xff', 'a2', '2024-01-02'), ('3', 'a', 'q3', 'é', '2024-01-03'),"
            " ('4', 'b', 'q4', 'a4', '2024-01-01'), ('5', 'é', 'q5', 'a5', '2024-01-01'),"
            " ('6', E'\\xfd', 'q6', 'a6', '2024-01-01')",
            "SELECT",
        )
        found, strays = opened_and_told(base)
        assert found.keys() == {"a", "b", "é"}
        first, answer, odd, *last = found["a"]
        assert (first, answer, last) == ("q1", "a1", ["q3", "é"])
        assert odd.startswith("? the row cannot be read: ")
        assert found["b"][0].startswith("? conversation b: the row cannot be read: ")
        assert found["b"][1:] == ["q4", "a4"]
        assert found["é"] == ["q5", "a5"]
        assert strays[0].reason == "the id of a conversation is not UTF-8"
        assert "\\xfd" in strays[1].position


def test_text_that_is_no_utf_8_in_columns_of_their_own_is_named_in_its_place(base: Base) -> None:
    with encoded(base, "SQL_ASCII"):
        base.run(*ADK, "SELECT")
        adk(base, "fine", "infinity", "a", "b")
        base.run(
            "UPDATE events SET content = convert_from('\\x7b227061727473223a5b7b2274657874223a22ff227d5d7d',"
            " 'SQL_ASCII')::jsonb WHERE id = 'b 0'",
            "SELECT",
        )
        found, strays = opened_and_told(base)
        assert found["a"] == ["fine"] * 2
        assert sorted(found["b"]) == [
            "? event b 0: its content is not JSON: its content is no text",
            "fine",
        ]
        assert not strays


@pytest.mark.parametrize("kind", ["json", "jsonb"])
def test_an_array_of_json_that_is_no_utf_8_hides_no_other(base: Base, kind: str) -> None:
    with encoded(base, "SQL_ASCII"):
        base.run(
            f"CREATE TABLE chatstore (id SERIAL PRIMARY KEY, key VARCHAR NOT NULL UNIQUE, value {kind}[])",
            "SELECT",
        )
        one, two = (
            json.dumps(said("user", text(each)), ensure_ascii=False) for each in ("one", "é")
        )
        for name in ("a", "b"):
            base.run(
                f"INSERT INTO chatstore (key, value) VALUES ($1, $2::text[]::{kind}[])",
                values=[name, [one, two]],
            )
        base.run(
            "INSERT INTO chatstore (key, value) SELECT 'c', "
            f"replace(value::text, 'one', E'\\xff')::{kind}[] FROM chatstore WHERE key = 'a'",
            "SELECT",
        )
        found, _ = opened_and_told(base)
        assert found["a"] == found["b"] == ["one", "é"]
        (odd,) = found["c"]
        assert odd.startswith("? ")
