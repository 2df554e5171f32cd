"""Conversations that lie in several tables of a database: the contract, in the layouts of two
frameworks; that each is read as it was at one moment, by whoever may read it, through a pooler."""

import asyncio
import contextlib
import json
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from synmem.backends.postgres import foreign_whole
from synmem.backends.postgres.store import open as open_postgres
from synmem.errors import AccessDenied, CorruptData, Unnamed, Unsupported
from synmem.layouts import registry
from synmem.layouts.shapes import Plan, Told, Whole
from synmem.messages import Conversation, Holds, Message, replaced
from synmem.store import Part, Store
from tests.conformance import (
    IDS,
    PAGE_SIZE,
    add,
    contents,
    ids,
    items,
    numbered,
    run,
)
from tests.layouts.foreign.reading import ReadingTheirs
from tests.services import Server, unique
from tests.services.pooler import pooling
from tests.services.postgres import Postgres

AT = datetime(2026, 9, 21, 14, 13, 21, 125_000)

THREADS = """
CREATE TABLE threads (id text PRIMARY KEY, "createdAt" text, name text, "userId" text,
    "userIdentifier" text, tags text[], metadata jsonb);
CREATE TABLE steps (id text PRIMARY KEY, name text, type text, "threadId" text, "parentId" text,
    "isError" boolean, metadata jsonb, tags text[], input text, output text, "createdAt" text,
    start text, "end" text, generation jsonb)
"""
CHATS = """
CREATE TABLE "Chat" (id text PRIMARY KEY, "createdAt" timestamp, "userId" text, title text);
CREATE TABLE "Message_v2" (id text PRIMARY KEY, "chatId" text, role varchar, parts json,
    attachments json, "createdAt" timestamp)
"""


class Place:
    """A schema of the test's own, on the session's server; and `run`, for plain SQL in it."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self.schema = unique()

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Any]:
        connection = await asyncpg.connect(
            self.url, server_settings={"search_path": f'"{self.schema}"'}
        )
        try:
            yield connection
        finally:
            await connection.close()

    async def sql(self, *statements: str) -> None:
        async with self.connected() as connection:
            for statement in statements:
                await connection.execute(statement)

    @contextlib.asynccontextmanager
    async def opened(self, *, write: bool = False, **settings: Any) -> AsyncIterator[Any]:
        given = {"dsn": self.url, "schema": self.schema, **settings}
        store = await open_postgres(given, write=write, page_size=PAGE_SIZE)
        try:
            yield store
        finally:
            await store.close()


@pytest.fixture
def place(postgres_server: Server) -> Iterator[Place]:
    place = Place(postgres_server)
    run(place.sql(f'CREATE SCHEMA "{place.schema}"'))
    yield place
    run(place.sql(f'DROP SCHEMA "{place.schema}" CASCADE'))


async def threads(connection: Any, parts: Sequence[Part]) -> None:
    """Put these conversations into Chainlit's tables, where others of them may be."""
    for part in parts:
        id_ = part.conversation.id
        await connection.execute('DELETE FROM steps WHERE "threadId" = $1', id_)
        await connection.execute("DELETE FROM threads WHERE id = $1", id_)
        await connection.execute("INSERT INTO threads (id) VALUES ($1)", id_)
        await connection.executemany(
            'INSERT INTO steps (id, type, output, "threadId", "createdAt")'
            " VALUES ($1, $2, $3, $4, $5)",
            [
                (f"{id_} {n}", _kind(message), _plain(message.content), id_, f"{n:09}")
                for n, message in enumerate(part.messages)
            ],
        )


def _kind(message: Message) -> str:
    return "assistant_message" if message.role == "assistant" else "user_message"


def _plain(text: str) -> str:
    """The text as PostgreSQL has it, which knows neither NUL nor lone surrogates."""
    return replaced(text).replace("\0", "?")


async def chats(connection: Any, parts: Sequence[Part]) -> None:
    """Put these conversations into the tables of the AI SDK's template."""
    for part in parts:
        id_ = part.conversation.id
        await connection.execute('DELETE FROM "Message_v2" WHERE "chatId" = $1', id_)
        await connection.execute('DELETE FROM "Chat" WHERE id = $1', id_)
        await connection.execute('INSERT INTO "Chat" (id) VALUES ($1)', id_)
        await connection.executemany(
            'INSERT INTO "Message_v2" (id, "chatId", role, parts, "createdAt")'
            " VALUES ($1, $2, $3, $4, $5)",
            [
                (
                    f"{id_} {n}", id_, _plain(message.role),
                    json.dumps([{"type": "text", "text": message.content}]), AT + timedelta(seconds=n),
                )
                for n, message in enumerate(part.messages)
            ],
        )  # fmt: skip


class ReadingTables(ReadingTheirs):
    """The contract on tables that a test writes in a layout's own form."""

    ddl: str
    fill: Callable[[Any, Sequence[Part]], Any]
    spoil: str
    """What breaks the record of `message 1` in the conversation `a`."""

    @pytest.fixture(autouse=True)
    def _place(self, place: Place) -> None:
        self.place = place

    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        await self.place.sql(self.ddl)
        await self.put([*parts, Part(Conversation("nothing"), [])], tmp_path)
        async with self.place.opened() as store:
            yield store

    async def put(self, parts: Sequence[Part], tmp_path: Any) -> None:
        async with self.place.connected() as connection:
            await type(self).fill(connection, parts)

    async def spoil_one(self, tmp_path: Any) -> None:
        await self.place.sql(self.spoil)

    def test_ids_are_opaque(self, tmp_path: Any) -> None:
        possible = [id_ for id_ in IDS if "\0" not in id_]
        parts = [Part(Conversation(i), [Message("user", f"of {i}")]) for i in possible]

        async def test(store: Store) -> None:
            assert await ids(store) == sorted(possible)
            for conversation in possible:
                assert await contents(store, conversation) == [f"of {conversation}"]
            assert await items(store, "nul\0inside") == []

        self.check(tmp_path, parts, test)


class TestChainlit(ReadingTables):
    ddl = THREADS
    fill = threads
    spoil = "UPDATE steps SET type = NULL WHERE id = 'a 1'"

    def held(self, index: int, message: Message) -> Message:
        role = "assistant" if message.role == "assistant" else "user"
        own = {"id": f"a {index}", "createdAt": f"{index:09}"}
        return Message(role, _plain(message.content), extra={"chainlit": own})


class TestVercel(ReadingTables):
    """A text may be any: JSON has NUL and lone surrogates."""

    ddl = CHATS
    fill = chats
    spoil = """UPDATE "Message_v2" SET parts = '[5]' WHERE id = 'a 1'"""

    def held(self, index: int, message: Message) -> Message:
        at = (AT + timedelta(seconds=index)).replace(tzinfo=UTC)
        own = {"id": f"a {index}"}
        return Message(
            _plain(message.role), message.content, created_at=at, extra={"vercel_ai": own}
        )

    def test_rows_of_one_moment_come_as_they_were_written(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            await self.place.sql("""UPDATE "Message_v2" SET "createdAt" = now()""")
            assert await contents(store, "a") == [f"message {n}" for n in range(7)]

        self.check(tmp_path, [Part(Conversation("a"), numbered(7))], test)


class TestVercelPooled(TestVercel):
    """The same through a pooler that gives every transaction another server connection."""

    @pytest.fixture(autouse=True)
    def _pooled(self, place: Place, postgres_server: Server) -> Iterator[None]:
        if not isinstance(postgres_server, Postgres):
            pytest.skip("the server of the environment lets no pooler in")
        with pooling(postgres_server.port) as pooler:
            self.pooler = pooler
            yield
            assert pooler.served == 0 or pooler.switches > 0

    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        async with super().holding(parts, tmp_path):
            dsn = f"postgresql://any@127.0.0.1:{self.pooler.port}/postgres"
            async with self.place.opened(dsn=dsn) as store:
                yield store


# --- one moment -----------------------------------------------------------------------------


def chat(name: str, count: int = 1) -> Part:
    """A conversation of so many messages."""
    return Part(Conversation(name), numbered(count))


async def made(place: Place, *parts: Part) -> None:
    """The tables of the template, with these."""
    await place.sql(CHATS)
    async with place.connected() as connection:
        await chats(connection, parts)


def test_a_conversation_is_read_as_it_was_at_one_moment(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch, asked = asyncpg.Connection.fetch, list[str]()

    async def slow(self: Any, sql: str, *values: Any, **how: Any) -> Any:
        """Between two queries another program changes both tables at once."""
        if asked:
            await place.sql(
                "BEGIN", """UPDATE "Chat" SET title = 'new'""",
                """INSERT INTO "Message_v2" VALUES ('x', 'a', 'user', '[]', '[]', now())""",
                "COMMIT",
            )  # fmt: skip
        asked.append(sql)
        return await fetch(self, sql, *values, **how)

    async def main() -> None:
        await made(place, chat("a"))
        async with place.opened() as store:
            monkeypatch.setattr(asyncpg.Connection, "fetch", slow)
            (info,) = [i async for page in store.conversations(["a"], details=True) for i in page]
            assert (info.messages, info.title) == (1, None)
            assert len(asked) == 2
            monkeypatch.undo()
            (info,) = [i async for page in store.conversations(["a"], details=True) for i in page]
            assert info.title == "new"

    run(main())


def test_nothing_is_held_while_a_page_is_looked_at(place: Place) -> None:
    async def main() -> None:
        await made(place, chat("a", 5))
        async with place.opened() as store, place.connected() as other:
            async for _ in store.read(["a"]):
                busy = await other.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'"
                    " AND query LIKE '%Message_v2%'"
                )
                assert busy == 0
            async for _ in store.conversations():
                await other.execute("SET lock_timeout = '1s'")
                await other.execute('ALTER TABLE "Message_v2" ADD COLUMN IF NOT EXISTS more text')

    run(main())


def test_a_server_that_ends_its_connections_is_asked_again(place: Place) -> None:
    async def main() -> None:
        await made(place, chat("a", 5), chat("b", 2))
        async with place.opened() as store, place.connected() as other:
            seen = []
            async for page in store.read(["a", "b"]):
                seen += [each.content for each in page.items]
                await other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND query LIKE '%Message_v2%'"
                )
            assert len(seen) == 7

    run(main())


# --- who reads ------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def reader(place: Place, *rights: str) -> AsyncIterator[str]:
    """The URL of a role that may do only this."""
    name = f"reader_{uuid.uuid4().hex[:8]}"
    grants = [f"GRANT {right} TO {name}" for right in rights]
    await place.sql(
        f"CREATE ROLE {name} LOGIN PASSWORD 'pw'",
        f'GRANT USAGE ON SCHEMA "{place.schema}" TO {name}',
        *grants,
    )
    try:
        yield place.url.replace(place.url.split("@")[0], f"postgresql://{name}:pw")
    finally:
        await place.sql(f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_a_role_that_may_only_read_reads(place: Place) -> None:
    async def main() -> None:
        await made(place, chat("a", 3))
        async with (
            reader(place, 'SELECT ON "Chat", "Message_v2"') as dsn,
            place.opened(dsn=f"{dsn}?options=-cdefault_transaction_read_only%3Don") as store,
        ):
            assert len(await contents(store, "a")) == 3

    run(main())


def test_a_role_that_may_read_columns_only_is_told_what_it_lacks(place: Place) -> None:
    async def main() -> None:
        await made(place, chat("a", 3))
        rights = 'SELECT (id, "chatId", role, parts, "createdAt") ON "Message_v2"'
        async with reader(place, rights) as dsn, place.opened(dsn=dsn) as store:
            with pytest.raises(AccessDenied, match="table Message_v2") as refused:
                await contents(store, "a")
            assert "GRANT" in (refused.value.hint or "")

    run(main())


def test_rows_that_a_policy_hides_are_not_there(place: Place) -> None:
    async def main() -> None:
        await made(place, chat("a", 3), chat("b"))
        await place.sql(
            'ALTER TABLE "Chat" ENABLE ROW LEVEL SECURITY',
            'ALTER TABLE "Message_v2" ENABLE ROW LEVEL SECURITY',
            "CREATE POLICY p ON \"Chat\" USING (id = 'a')",
            'CREATE POLICY p ON "Message_v2" USING ("chatId" = \'a\')',
        )
        async with (
            reader(place, 'SELECT ON "Chat", "Message_v2"') as dsn,
            place.opened(dsn=dsn) as store,
        ):
            assert await ids(store) == ["a"]
            assert await contents(store, "b") == []

    run(main())


def test_a_right_that_is_taken_away_meanwhile_is_said(place: Place) -> None:
    async def main() -> None:
        await made(place, chat("a", 3))
        async with (
            reader(place, 'SELECT ON "Chat", "Message_v2"') as dsn,
            place.opened(dsn=dsn) as store,
        ):
            role = dsn.split("//")[1].split(":")[0]
            await place.sql(f'REVOKE SELECT ON "Message_v2" FROM {role}')
            with pytest.raises(AccessDenied, match="Message_v2"):
                await contents(store, "a")

    run(main())


# --- ids ------------------------------------------------------------------------------------


def test_ids_are_listed_over_many_queries_in_the_order_of_their_bytes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign_whole, "_SLICE", 1)
    names = ["a", "ā", "b", "Ā", "é", "中", "aa", "~", "\U0001f600", "\uffee", "aĀ", "B"]

    async def main() -> None:
        await made(place, *map(chat, names))
        async with place.opened() as store:
            found = [info.id async for page in store.conversations() for info in page]
            assert found == sorted(names)

    run(main())


def test_ids_that_are_uuids_are_found_and_others_are_not_there(place: Place) -> None:
    some = str(uuid.uuid4())

    async def main() -> None:
        await place.sql(CHATS.replace("id text", "id uuid").replace('Id" text', 'Id" uuid'))
        await place.sql(
            f"INSERT INTO \"Chat\" (id) VALUES ('{some}')",
            'INSERT INTO "Message_v2" (id, "chatId", role, parts) VALUES '
            f"(gen_random_uuid(), '{some}', 'assistant', '[]')",
        )
        async with place.opened() as store:
            assert await ids(store) == [some]
            assert await contents(store, some) == [""]
            for other in ("none", "", some.upper(), some[:-1], f"{some}\n"):
                assert await items(store, other) == []

    run(main())


def test_what_has_no_id_is_named_and_hides_nothing(place: Place) -> None:
    async def main() -> None:
        await made(place, chat("a"))
        await place.sql('DROP TABLE "Chat"')
        for id_ in ("NULL", "''"):
            values = f"(gen_random_uuid(), {id_}, 'user', '[]')"
            await place.sql(f'INSERT INTO "Message_v2" (id, "chatId", role, parts) VALUES {values}')
        async with place.opened() as store:
            assert await ids(store) == ["a"]
            found = [(stray.position, stray.reason) for stray in await store.strays()]
            where = "table Message_v2"
            assert found == [
                (where, "the id of a conversation is NULL"),
                (where, "the id of a conversation is empty"),
            ]

    run(main())


def test_it_says_whose_it_is_and_is_not_written(place: Place) -> None:
    async def main() -> None:
        await made(place, chat("a"))
        for settings in ({}, {"layout": "vercel_ai"}, {"table": "Message_v2"}):
            async with place.opened(write=True, **settings) as store:
                assert store.remark() == "layout vercel_ai (Message_v2), table Message_v2"
                with pytest.raises(Unsupported, match="not written"):
                    await add(store, "a", numbered(1))
        async with place.opened() as store:
            before = await store.version()
            assert before == await store.version()
            await place.sql("""UPDATE "Chat" SET title = 'x'""")
            assert before != await store.version()

    run(main())


def test_where_several_apps_have_their_tables_each_is_chosen_by_its_name(place: Place) -> None:
    async def main() -> None:
        await made(place, chat("a", 2))
        await place.sql(THREADS)
        async with place.connected() as connection:
            await threads(connection, [chat("b", 3)])
        with pytest.raises(Unnamed, match="threads") as several:
            async with place.opened():
                pass
        hint = several.value.hint or ""
        for layout, table in (("chainlit", "threads"), ("vercel_ai", "Message_v2")):
            assert f"layout={layout}&table={table}" in hint
        async with place.opened(layout="chainlit") as store:
            assert await ids(store) == ["b"]
        async with place.opened(table="Message_v2") as store:
            assert await ids(store) == ["a"]

    run(main())


def test_tables_of_an_unknown_version_are_said_to_look_like_it(place: Place) -> None:
    async def main() -> None:
        await place.sql("CREATE TABLE threads (id text)", "CREATE TABLE steps (id text)")
        with pytest.raises(CorruptData, match=r"looks like.*chainlit"):
            async with place.opened():
                pass

    run(main())


_WAITING = """
SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '"Message_v2"'::regclass
"""


def test_who_is_cancelled_leaves_no_query_behind(place: Place) -> None:
    async def main() -> None:
        await made(place, chat("a", 2))
        async with place.opened() as store, place.connected() as other:
            async with other.transaction():
                await other.execute('LOCK TABLE "Message_v2"')
                reading = asyncio.ensure_future(contents(store, "a"))
                async with asyncio.timeout(60):
                    while not await other.fetchval(_WAITING):  # noqa: ASYNC110  # a server does
                        await asyncio.sleep(0.02)
                reading.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reading
                assert await other.fetchval(_WAITING) == 0
            assert len(await contents(store, "a")) == 2

    run(main())


def test_a_time_that_is_none_in_python_is_told_as_text_and_hides_no_other_record(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A layout that asks for times as they are."""
    sql = "SELECT talk, said, at FROM spoken WHERE talk IN {ids} ORDER BY at"
    plan = Plan(listing="SELECT talk AS id FROM spoken", queries={"said": sql})
    shape = Whole(
        tables={"spoken": frozenset({"talk", "said", "at"})},
        plan=lambda sketch: plan,
        unfold=lambda _, rows: Told(messages=[Message("user", str(at)) for _, at in rows["said"]]),
        holds=Holds(),
    )
    monkeypatch.setitem(registry.LAYOUTS, "spoken", ("postgres",))
    module = SimpleNamespace(SHAPES={"postgres": (shape,)})
    monkeypatch.setitem(sys.modules, "synmem.layouts.foreign.spoken", module)

    async def main() -> None:
        await place.sql(
            "CREATE TABLE spoken (talk text, said text, at timestamp)",
            "INSERT INTO spoken SELECT n::text, 'x', '2026-01-01' FROM generate_series(1, 20) AS n",
            "INSERT INTO spoken VALUES ('7', 'y', '10000-01-01'), ('7', 'z', 'infinity')",
            "UPDATE spoken SET at = '-infinity' WHERE talk = '8'",
        )
        async with place.opened() as store:
            pages = [page async for page in store.read([str(n) for n in range(1, 21)])]
        found: dict[str, list[Any]] = {}
        for page in pages:
            found.setdefault(page.conversation, []).extend(page.items)
        times = {name: [each.content for each in said] for name, said in found.items()}
        plain = "2026-01-01 00:00:00"
        assert times.pop("7") == [plain, "10000-01-01 00:00:00", "infinity"]
        assert times.pop("8") == ["-infinity"]
        assert [*times.values()] == [[plain]] * 18

    run(main())
