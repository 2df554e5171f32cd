"""What the queries find that the layouts of apps ask of PostgreSQL (Flowise's also of SQLite)."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from synmem.messages import Message
from tests.backends.postgres.test_foreign_whole import Place, place
from tests.backends.sqlite.test_store import opened
from tests.conformance import contents, ids, items, run
from tests.services.chainlit import PRISMA

__all__ = ["place"]  # a fixture

NIL = "00000000-0000-0000-0000-000000000000"
ONE, TWO, THREE = (f"{n}0000000-0000-0000-0000-000000000000" for n in (1, 2, 3))

FLOWISE = """
CREATE TABLE chat_message (id {uuid} PRIMARY KEY, role varchar, chatflowid {uuid}, content text,
    "createdDate" {time}, "chatType" varchar, "chatId" varchar, "memoryType" varchar,
    "sessionId" varchar, "usedTools" text, "fileUploads" text);
CREATE TABLE chat_message_feedback (id {uuid}, "messageId" {uuid}, rating varchar);
INSERT INTO chat_message (id, role, chatflowid, content, "createdDate", "chatId", "sessionId")
VALUES
    ('{one}', 'userMessage', '{one}', 'one', '2026-09-21 14:13:21', 'chat', 'same'),
    ('{two}', 'userMessage', '{two}', 'two', '2026-09-21 14:13:21', 'chat', 'same'),
    ('{three}', 'userMessage', '{two}', 'three', '2026-09-21 14:13:20', 'chat', ''),
    ('{nil}', 'apiMessage', '{two}', 'four', '2026-09-21 14:13:20', 'chat', NULL);
INSERT INTO chat_message_feedback VALUES ('{one}', '{two}', 'THUMBS_UP')
"""
NAMES = {"one": ONE, "two": TWO, "three": THREE, "nil": NIL}


async def _check_flowise(store: Any) -> None:
    same = [f"{ONE}/same", f"{TWO}/same"]
    assert await ids(store) == [*same, "chat"]
    assert await contents(store, "chat") == ["three", "four"]
    assert [await contents(store, each) for each in same] == [["one"], ["two"]]
    for other in ("same", f"{THREE}/same", f"{TWO}/chat", "none", "/same", f"{ONE}/"):
        assert await items(store, other) == []
    (message,) = await items(store, same[1])
    assert message.extra["flowise"]["feedback"][0]["rating"] == "THUMBS_UP"


def test_a_session_that_several_chatflows_have_is_named_by_both(place: Place) -> None:
    async def main() -> None:
        await place.sql(FLOWISE.format(uuid="uuid", time="timestamp", **NAMES))
        async with place.opened() as store:
            await _check_flowise(store)
            (message,) = await items(store, f"{ONE}/same")
            assert message.created_at is None

    run(main())


def test_the_same_in_a_file_where_times_are_in_utc(tmp_path: Path) -> None:
    path = tmp_path / "database.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(FLOWISE.format(uuid="varchar", time="datetime", **NAMES))

    async def main() -> None:
        async with opened(path) as store:
            await _check_flowise(store)
            (message,) = await items(store, f"{ONE}/same")
            assert str(message.created_at) == "2026-09-21 14:13:21+00:00"

    run(main())


@pytest.mark.parametrize("others", [49, 50, 51, 109, 110, 400])
def test_a_row_of_many_columns_is_read_whole(tmp_path: Path, others: int) -> None:
    path = tmp_path / "flowise.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(FLOWISE.format(**NAMES, uuid="varchar", time="datetime"))
        own = {f"own {n}": f'{n}}}{{"\0,' if n else None for n in range(others)}
        for name in own:
            db.execute(f'ALTER TABLE chat_message ADD COLUMN "{name}"')
        some = ", ".join(f'"{name}" = ?' for name in own)
        db.execute(f"UPDATE chat_message SET {some} WHERE content = 'one'", [*own.values()])
        db.commit()

    async def main() -> None:
        async with opened(path) as store:
            (message,) = await items(store, f"{ONE}/same")
            found = message.extra["flowise"]
            assert {name: found.get(name) for name in own} == own
            assert await contents(store, "chat") == ["three", "four"]

    run(main())


def test_chainlits_official_layer_is_ordered_by_when_a_step_began(place: Place) -> None:
    step = 'INSERT INTO "Step" (id, "threadId", metadata, output, type, "startTime", "endTime")'

    async def main() -> None:
        await place.sql(
            PRISMA,
            """INSERT INTO "Thread" (id, name, metadata, "deletedAt") VALUES
                ('t', 'A title', '{}', NULL), ('gone', 'b', '{}', now())""",
            f"""{step} VALUES ('2', 't', '{{}}', 'two', 'assistant_message', '2026-01-02', now()),
                ('1', 't', '{{}}', 'one', 'user_message', '2026-01-01', now()),
                ('0', 't', '{{}}', 'no', 'run', '2026-01-01', now()),
                ('9', 'gone', '{{}}', 'no', 'user_message', '2026-01-01', now())""",
            """INSERT INTO "Element" (id, "threadId", "stepId", metadata, mime, name, url)
                VALUES ('e', 't', '1', '{}', 'image/png', 'a.png', 'https://x/a.png')""",
            """INSERT INTO "Feedback" (id, "stepId", name, value, comment)
                VALUES ('f', '2', 'user_feedback', 1, 'good')""",
        )
        async with place.opened() as store:
            assert store.remark() == "layout chainlit (the official one), table Thread"
            assert await ids(store) == ["t"]
            one, two = await items(store, "t")
            assert (one.content, two.content) == ("one", "two")
            assert str(one.created_at) == "2026-01-01 00:00:00+00:00"
            assert one.parts[1]["image_url"] == {"url": "https://x/a.png"}
            assert two.extra["chainlit"]["feedback"][0]["comment"] == "good"
            assert await items(store, "gone") == []

    run(main())


DIFY = """
CREATE TABLE conversations (id uuid, app_id uuid, mode varchar, name varchar, is_deleted boolean);
CREATE TABLE messages (id uuid, conversation_id uuid, query text, answer text, message json,
    parent_message_id uuid, created_at timestamp)
"""


def test_difys_deleted_conversations_are_not_there_and_branches_are_conversations(
    place: Place,
) -> None:
    async def main() -> None:
        await place.sql(
            DIFY,
            f"INSERT INTO conversations (id, name, is_deleted) VALUES ('{ONE}', 'a', false), "
            f"('{TWO}', 'b', true), ('{THREE}', 'c', NULL)",
            "INSERT INTO messages (id, conversation_id, query, answer, parent_message_id, "
            f"created_at) VALUES ('{ONE}', '{ONE}', 'q', 'a', NULL, '2026-01-01'), "
            f"('{TWO}', '{ONE}', 'q2', 'b', '{ONE}', '2026-01-02'), "
            f"('{THREE}', '{ONE}', 'q2', 'c', '{ONE}', '2026-01-03'), "
            f"('{NIL}', '{TWO}', 'q', 'a', NULL, '2026-01-01')",
        )
        async with place.opened() as store:
            assert await ids(store) == [ONE]
            assert await contents(store, ONE) == ["q", "a", "q2", "c"]
            assert await contents(store, f"{ONE}#{TWO}") == ["q", "a", "q2", "b"]
            assert await items(store, TWO) == []
            assert store.passed_over() == 1
        async with place.opened(branches=True) as store:
            assert await ids(store) == [ONE, f"{ONE}#{TWO}"]

    run(main())


def test_lobechats_topics_and_sessions_are_kept_apart(place: Place) -> None:
    async def main() -> None:
        await place.sql(
            "CREATE TABLE topics (id text, title text)",
            """CREATE TABLE messages (id text, role text, content text, tools jsonb, topic_id text,
                session_id text, thread_id text, created_at timestamptz)""",
            "CREATE TABLE messages_files (message_id text, file_id text)",
            "CREATE TABLE files (id text, file_type text, url text)",
            "INSERT INTO topics VALUES ('tpc', 'A title')",
            """INSERT INTO messages VALUES
                ('1', 'user', 'of the topic', NULL, 'tpc', 'ssn', NULL, '2026-01-01'),
                ('2', 'user', 'of the session', NULL, NULL, 'ssn', NULL, '2026-01-01'),
                ('3', 'user', 'of a thread', NULL, 'tpc', 'ssn', 'thd', '2026-01-01'),
                ('4', 'user', 'of nobody', NULL, NULL, NULL, NULL, '2026-01-01')""",
            "INSERT INTO messages_files VALUES ('1', 'f'), ('2', 'g')",
            "INSERT INTO files VALUES ('f', 'image/png', 'a.png'), ('g', 'text/plain', 'b.txt')",
        )
        async with place.opened() as store:
            assert await ids(store) == ["ssn", "tpc"]
            (topic,), (session,) = await items(store, "tpc"), await items(store, "ssn")
            assert (topic.content, session.content) == ("of the topic", "of the session")
            assert topic.parts[1]["image_url"] == {"url": "a.png"}
            assert session.parts is None
            assert isinstance(session, Message)
            (stray,) = await store.strays()
            assert stray.reason == "the id of a conversation is NULL"

    run(main())


def test_a_chat_that_is_gone_is_named_also_where_ids_are_of_another_type(place: Place) -> None:
    async def main() -> None:
        await place.sql(
            'CREATE TABLE "Chat" (id uuid, title text)',
            'CREATE TABLE "Message_v2" (id uuid, "chatId" text, role text, parts json, '
            '"createdAt" timestamp)',
            f"""INSERT INTO "Chat" VALUES ('{ONE}', 'A title')""",
            *(f"""INSERT INTO "Message_v2" VALUES ('{ONE}', '{of}', 'user', '[{{"type": "text", "text": "x"}}]', now())"""
              for of in (ONE, TWO, TWO, "no uuid")),
        )  # fmt: skip
        async with place.opened() as store:
            assert await ids(store) == [ONE]
            why = "there is no such row in Chat"
            assert {each.position: each.reason for each in await store.strays()} == {
                f"Message_v2 of chatId {TWO}": f"{why} (2 such)",
                "Message_v2 of chatId no uuid": f"{why} (1 such)",
            }

    run(main())


def test_what_is_left_of_the_ai_sdks_older_table_is_not_read_twice(place: Place) -> None:
    async def main() -> None:
        table = '("id" uuid, "chatId" uuid, "role" varchar, {} json, "createdAt" timestamp)'
        await place.sql(
            f'CREATE TABLE "Message" {table.format("content")}',
            f"""INSERT INTO "Message" VALUES ('{ONE}', '{ONE}', 'user', '"old"', now())""",
        )
        async with place.opened() as store:
            assert "before SDK 5" in store.remark()
            assert await contents(store, ONE) == ["old"]
        await place.sql(
            f'CREATE TABLE "Message_v2" {table.format("parts")}',
            f"""INSERT INTO "Message_v2" VALUES ('{ONE}', '{ONE}', 'user',
                '[{{"type": "text", "text": "new"}}]', now())""",
        )
        async with place.opened() as store:
            assert await contents(store, ONE) == ["new"]

    run(main())


@pytest.mark.parametrize(("chat", "created"), [("chatId", "createdAt"), ("chat_id", "created_at")])
def test_a_copy_of_the_ai_sdks_table_under_another_name_is_read(
    place: Place, chat: str, created: str
) -> None:
    call = {"type": "tool-f", "toolCallId": "1", "state": "output-available", "input": {}}
    parts = json.dumps([{**call, "output": "r"}, {"type": "text", "text": "b"}])

    async def main() -> None:
        await place.sql(
            f"""CREATE TABLE talk (id uuid, "{chat}" uuid, role text, parts jsonb,
                "{created}" timestamp)""",
            f"INSERT INTO talk VALUES ('{ONE}', '{ONE}', 'assistant', '{parts}', '2026-01-02')",
            f"INSERT INTO talk VALUES ('{TWO}', '{ONE}', 'user', '[{{"
            '"type": "text", "text": "a"'
            "}]', '2026-01-01')",
        )
        async with place.opened() as store:
            assert store.remark() == "layout vercel_ai (a copy under another name), table talk"
            assert await ids(store) == [ONE]
            assert await contents(store, ONE) == ["a", "", "r", "b"]
            assert await contents(store, ONE, reverse=True) == ["b", "r", "", "a"]

    run(main())
