"""The contract of a store to its readers, on the tables of apps and frameworks that a test writes in
their own form."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, timedelta
from typing import Any
from uuid import UUID

import pytest

from synmem.errors import Changed
from synmem.messages import Conversation, Message, Unreadable
from synmem.store import START, Part, Store
from tests.backends.postgres.test_foreign_whole import AT, Place, ReadingTables, _plain, place
from tests.conformance import contents, ids, items, numbered, run

__all__ = ["place"]  # a fixture


async def flows(connection: Any, parts: Sequence[Part]) -> None:
    """Put these conversations into Flowise's table, where others of them may be."""
    for part in parts:
        id_ = part.conversation.id
        await connection.execute('DELETE FROM chat_message WHERE "sessionId" = $1', id_)
        await connection.executemany(
            "INSERT INTO chat_message (id, role, content, chatflowid, \"createdDate\", \"chatId\", "
            "\"sessionId\") VALUES ($1, $2, $3, 'flow', $4, 'chat', $5)",
            [
                (
                    f"{id_} {n}", "apiMessage" if m.role == "assistant" else "userMessage",
                    _plain(m.content), AT + timedelta(seconds=n), id_,
                )
                for n, m in enumerate(part.messages)
            ],
        )  # fmt: skip


class TestFlowise(ReadingTables):
    ddl = """CREATE TABLE chat_message (id text, role text, content text, chatflowid text,
        "createdDate" timestamp, "chatId" text, "sessionId" text, "usedTools" text)"""
    fill = flows
    spoil = "UPDATE chat_message SET \"usedTools\" = '[5]' WHERE id = 'a 1'"

    def held(self, index: int, message: Message) -> Message:
        role = "assistant" if message.role == "assistant" else "user"
        at = (AT + timedelta(seconds=index)).isoformat(timespec="milliseconds")
        own = {"id": f"a {index}", "createdDate": at}
        return Message(role, _plain(message.content), extra={"flowise": own})

    def test_rows_of_one_moment_come_as_they_were_written(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            await self.place.sql('UPDATE chat_message SET "createdDate" = now()')
            assert await contents(store, "a") == [f"message {n}" for n in range(7)]

        self.check(tmp_path, [Part(Conversation("a"), numbered(7))], test)


async def topics(connection: Any, parts: Sequence[Part]) -> None:
    """The same of LobeChat's tables."""
    for part in parts:
        id_ = part.conversation.id
        await connection.execute("DELETE FROM messages WHERE topic_id = $1", id_)
        await connection.execute("DELETE FROM topics WHERE id = $1", id_)
        await connection.execute("INSERT INTO topics (id) VALUES ($1)", id_)
        await connection.executemany(
            "INSERT INTO messages (id, role, content, topic_id, created_at) "
            "VALUES ($1, $2, $3, $4, $5)",
            [
                (
                    f"{id_} {n}", _plain(m.role), _plain(m.content), id_,
                    (AT + timedelta(seconds=n)).replace(tzinfo=UTC),
                )
                for n, m in enumerate(part.messages)
            ],
        )  # fmt: skip


class TestLobeChat(ReadingTables):
    ddl = """CREATE TABLE topics (id text, title text);
        CREATE TABLE messages (id text, role text, content text, tools jsonb, topic_id text,
        session_id text, thread_id text, created_at timestamptz)"""
    fill = topics
    spoil = "UPDATE messages SET tools = '[5]' WHERE id = 'a 1'"

    def held(self, index: int, message: Message) -> Message:
        at = (AT + timedelta(seconds=index)).replace(tzinfo=UTC)
        own = {"id": f"a {index}"}
        role = _plain(message.role)
        return Message(role, _plain(message.content), created_at=at, extra={"lobechat": own})


_TYPES = {"assistant": "ASSISTANT", "system": "SYSTEM", "tool": "TOOL"}


async def memories(connection: Any, parts: Sequence[Part]) -> None:
    """The same of Spring AI's table."""
    for part in parts:
        id_ = part.conversation.id
        await connection.execute(
            "DELETE FROM spring_ai_chat_memory WHERE conversation_id = $1", id_
        )
        await connection.executemany(
            "INSERT INTO spring_ai_chat_memory VALUES ($1, $2, $3, $4, $5)",
            [
                (id_, _plain(m.content), _TYPES.get(m.role, "USER"), AT + timedelta(seconds=n), n)
                for n, m in enumerate(part.messages)
            ],
        )


class TestSpringAi(ReadingTables):
    ddl = """CREATE TABLE spring_ai_chat_memory (conversation_id text, content text, type text,
        "timestamp" timestamp, sequence_id bigint)"""
    fill = memories
    spoil = """UPDATE spring_ai_chat_memory SET type = 'WHO' WHERE conversation_id = 'a'
        AND sequence_id = 1"""

    def held(self, index: int, message: Message) -> Message:
        own = {"timestamp": (AT + timedelta(seconds=index)).isoformat()}
        role = message.role if message.role in _TYPES else "user"
        return Message(role, _plain(message.content), extra={"spring_ai": own})


class TestSpringAiWithoutNumbers(TestSpringAi):
    """As version 1 made it: the times are the order."""

    ddl = """CREATE TABLE spring_ai_chat_memory (conversation_id text, content text, type text,
        "timestamp" timestamp)"""
    spoil = f"""UPDATE spring_ai_chat_memory SET type = 'WHO' WHERE conversation_id = 'a'
        AND "timestamp" = '{AT + timedelta(seconds=1)}'"""

    @staticmethod
    async def fill(connection: Any, parts: Sequence[Part]) -> None:  # type: ignore[override]
        for part in parts:
            id_ = part.conversation.id
            await connection.execute(
                "DELETE FROM spring_ai_chat_memory WHERE conversation_id = $1", id_
            )
            await connection.executemany(
                "INSERT INTO spring_ai_chat_memory VALUES ($1, $2, $3, $4)",
                [
                    (id_, _plain(m.content), _TYPES.get(m.role, "USER"), AT + timedelta(seconds=n))
                    for n, m in enumerate(part.messages)
                ],
            )


# --- Dify: a row is a question and its answer -----------------------------------------------

DIFY = """CREATE TABLE conversations (id uuid, app_id uuid, mode varchar, name varchar);
    CREATE TABLE messages (id uuid, conversation_id uuid, query text, answer text, message json,
    parent_message_id uuid, created_at timestamp)"""
A, B = (str(UUID(int=n)) for n in (1, 2))


@contextlib.asynccontextmanager
async def dify(place: Place, rows: int) -> AsyncIterator[Store]:
    """A store of two conversations, in `A` so many rows."""
    await place.sql(DIFY)
    async with place.connected() as connection:
        for id_ in (A, B):
            await connection.execute("INSERT INTO conversations (id) VALUES ($1)", id_)
        await asked(connection, A, rows)
        await asked(connection, B, 1)
    async with place.opened() as store:
        yield store


async def asked(connection: Any, conversation: str, rows: int, start: int = 0) -> None:
    """So many more rows, each behind the one before."""
    said = [each.content for each in numbered(2 * (start + rows))]
    for n in range(start, start + rows):
        await connection.execute(
            "INSERT INTO messages (id, conversation_id, query, answer, parent_message_id, created_at)"
            " VALUES ($1, $2, $3, $4, $5, $6)",
            UUID(int=UUID(conversation).int * 1000 + n), conversation, said[2 * n],
            said[2 * n + 1], UUID(int=UUID(conversation).int * 1000 + n - 1) if n else None,
            AT + timedelta(seconds=n),
        )  # fmt: skip


SAID = [each.content for each in numbered(20)]


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_dify_is_read_both_ways_from_every_position_on(place: Place, rows: int) -> None:
    async def main() -> None:
        async with dify(place, rows) as store:
            expected = SAID[: 2 * rows]
            assert await ids(store) == [A, B]
            assert await contents(store, A) == expected
            assert await contents(store, A, reverse=True) == expected[::-1]
            places = [
                page.position(i) async for page in store.read([A]) for i in range(len(page.items))
            ]
            for n, position in enumerate([START, *places]):
                assert await contents(store, A, after=position) == expected[n:]
            for n, position in enumerate(places):
                before = await contents(store, A, after=position, reverse=True)
                assert before == expected[:n][::-1]
            for limit in range(1, 2 * rows + 2):
                assert await contents(store, A, limit=limit) == expected[:limit]
                newest = await contents(store, A, limit=limit, reverse=True)
                assert newest == expected[::-1][:limit]
            pages = store.read([A, B])
            assert (await anext(pages)).conversation in (A, B)
            await pages.aclose()
            assert await contents(store, B) == SAID[:2]

    run(main())


def test_difys_row_that_cannot_be_read_hides_nothing(place: Place) -> None:
    async def main() -> None:
        async with dify(place, 3) as store:
            await place.sql(f"UPDATE messages SET answer = NULL WHERE id = '{UUID(int=1001)}'")
            for reverse in (False, True):
                found = await items(store, A, reverse=reverse)
                assert [type(each) for each in found] == [Message] * 2 + [Unreadable] + [
                    Message
                ] * 2
            assert await contents(store, B) == SAID[:2]

    run(main())


def test_what_is_said_to_dify_under_a_reader_is_found_and_what_goes_is_told(place: Place) -> None:
    async def main() -> None:
        async with dify(place, 2) as store:
            last = [page.position(-1) async for page in store.read([A])][-1]
            async with place.connected() as connection:
                await asked(connection, A, 2, start=2)
            assert await contents(store, A, after=last) == SAID[4:8]
            await place.sql(f"DELETE FROM messages WHERE id >= '{UUID(int=1001)}'")
            with pytest.raises(Changed):
                await contents(store, A, after=last)
            assert await contents(store, A) == SAID[:2]
            assert await items(store, Conversation("none").id) == []

    run(main())
