"""Tables of other frameworks in PostgreSQL: the contract on LangChain's, all kinds of it, directly
and through a pooler; what is found in a database, and what must be named."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import asyncpg
import pytest

from synmem.backends.postgres.store import open as open_postgres
from synmem.errors import Rejected
from synmem.layouts.foreign.langchain import SHAPES
from synmem.layouts.foreign.llamaindex import SHAPES as LLAMAINDEX
from synmem.messages import Conversation, Message
from synmem.store import Part, Store
from tests.backends.langchain import WritingLangChain
from tests.backends.llamaindex import CALL, WritingMemory
from tests.backends.openai_agents import WritingItems
from tests.conformance import (
    AT,
    IDS,
    PAGE_SIZE,
    Opener,
    add,
    contents,
    details,
    ids,
    items,
    numbered,
    run,
)
from tests.services import Server, unique
from tests.services.pooler import pooling
from tests.services.postgres import Postgres

MEMORY = LLAMAINDEX["postgres"][0]
COMMUNITY, UUIDS, ALCHEMY, JAVASCRIPT = SHAPES["postgres"]


class Space:
    """A schema of the test's own, on the session's server."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self.schema = unique()

    @contextlib.asynccontextmanager
    async def opened(self, *, write: bool = False, **settings: Any) -> AsyncIterator[Any]:
        settings = {"dsn": self.url, "schema": self.schema, **settings}
        store = await open_postgres(settings, write=write, page_size=PAGE_SIZE)
        try:
            yield store
        finally:
            await store.close()

    def rows(self, *statements: str, values: Sequence[Any] = ()) -> list[Any]:
        """What plain SQL says, the last statement of several; bare names are in the schema."""

        async def main() -> list[Any]:
            connection = await asyncpg.connect(
                self.url, server_settings={"search_path": self.schema}
            )
            try:
                for statement in statements[:-1]:
                    await connection.execute(statement)
                return list(await connection.fetch(statements[-1], *values))
            finally:
                await connection.close()

        return asyncio.run(main())


@pytest.fixture
def space(postgres_server: Server) -> Iterator[Space]:
    space = Space(postgres_server)
    space.rows(f"CREATE SCHEMA {space.schema}")
    yield space
    space.rows(f"DROP SCHEMA {space.schema} CASCADE")


class WritingLangChain(WritingLangChain):
    """What a table of LangChain's promises; `table` is what makes it."""

    table: Sequence[str] = ()
    shape = COMMUNITY

    @pytest.fixture(autouse=True)
    def _space(self, space: Space) -> Iterator[None]:
        self.space = space
        if self.table:
            space.rows(*self.table)
        yield

    def stores(self, tmp_path: Any) -> Opener:
        return lambda: self.space.opened(write=True, layout="langchain")

    def can_hold(self, message: Message) -> bool:
        assert self.shape.write is not None
        return self.shape.write.refusal(message) is None

    def test_ids_are_opaque(self, tmp_path: Any) -> None:
        names = [name for name in IDS if "\0" not in name]
        parts = [Part(Conversation(i), [Message("user", f"of {i}")]) for i in names]

        async def test(store: Store) -> None:
            assert await ids(store) == sorted(names)
            for name in names:
                assert await contents(store, name) == [f"of {name}"]
            with pytest.raises(Rejected, match="NUL"):
                await add(store, "a\0", numbered(1))
            assert await contents(store, "a\0") == []

        self.check(tmp_path, parts, test)


class TestCommunity(WritingLangChain):
    pass


class TestSQLAlchemy(WritingLangChain):
    """`SQLChatMessageHistory`, with an index that a user has made."""

    shape = ALCHEMY
    table = (
        "CREATE TABLE message_store "
        "(id SERIAL NOT NULL, session_id TEXT, message TEXT, PRIMARY KEY (id))",
        "CREATE INDEX ON message_store (session_id)",
    )


class TestPooled(WritingLangChain):
    """Through a pooler that gives every transaction another server connection."""

    @pytest.fixture(autouse=True)
    def _pooler(self, postgres_server: Server, _space: None) -> Iterator[None]:
        if not isinstance(postgres_server, Postgres):
            pytest.skip("the pooler needs a server that lets it in without a password")
        with pooling(postgres_server.port) as pooler:
            self.dsn = f"postgresql://any@127.0.0.1:{pooler.port}/postgres"
            yield

    def stores(self, tmp_path: Any) -> Opener:
        return lambda: self.space.opened(write=True, layout="langchain", dsn=self.dsn)


# --- ids that are UUIDs, and times ----------------------------------------------------------


def uuid(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, name))


def test_the_table_of_langchain_postgres_has_uuids_and_times(space: Space) -> None:
    names = [uuid(f"{n}") for n in range(5)]

    async def main() -> None:
        how: Any = {"write": True, "layout": "langchain", "table": "chat_history"}
        async with space.opened(**how) as store:
            for name in names:
                await add(store, name, numbered(3))
                await add(store, name, [Message("user", "timed", created_at=AT)])
            assert store.remark() == "layout langchain (langchain-postgres), table chat_history"
            assert await ids(store) == sorted(names)
            found = await details(store)
            assert {info.last_at for info in found.values()} == {AT}
            assert all(info.first_at is not None for info in found.values())
            for other in ("a", names[0].upper(), f"{{{names[0]}}}", ""):
                with pytest.raises(Rejected):
                    await add(store, other, numbered(1))
                assert await items(store, other) == []
            end = await add(store, names[1], numbered(1), keep=2)
            assert await contents(store, names[1]) == ["timed", "message 0"]
            assert await store.delete(names[1], upto=end)
            assert not await store.delete(names[1])
            some = [i.id async for page in store.conversations(names[:2]) for i in page]
            assert some == names[:1]

    run(main())
    assert space.rows(
        "SELECT indexname FROM pg_indexes WHERE schemaname = $1 ORDER BY 1", values=[space.schema]
    ) == [("chat_history_pkey",), ("idx_chat_history_session_id",)]


# --- what is ordered by times ---------------------------------------------------------------


class TestOpenAIAgents(WritingItems):
    timed = stamped = True
    precise = True

    @pytest.fixture(autouse=True)
    def _space(self, space: Space) -> None:
        self.space = space

    def stores(self, tmp_path: Any) -> Opener:
        return lambda: self.space.opened(write=True, layout="openai_agents")

    def test_ids_are_opaque(self, tmp_path: Any) -> None:
        pytest.skip("as with LangChain's: all but those with NUL")


class TestLlamaIndexMemory(WritingMemory):
    backend = "postgres"

    @pytest.fixture(autouse=True)
    def _space(self, space: Space) -> None:
        self.space = space

    def stores(self, tmp_path: Any) -> Opener:
        return lambda: self.space.opened(write=True, layout="llamaindex")

    def test_ids_are_opaque(self, tmp_path: Any) -> None:
        pytest.skip("as with LangChain's: all but those with NUL")


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (5, "row"),
        ({"timestamp": 1.5}, "row"),
        ({"timestamp": 2**70}, "nanoseconds"),
        ({"status": 5}, "row"),
        ({"other": 1}, "row"),
    ],
)
def test_what_no_row_of_llamaindex_has_is_refused(row: Any, why: str) -> None:
    assert MEMORY.write is not None
    message = Message("user", "x", created_at=AT, extra={"llamaindex": {"row": row}})
    assert why in str(MEMORY.write.refusal(message))
    assert MEMORY.write.refusal(Message("user", "x", created_at=AT.replace(year=2500)))
    number = Message("assistant", "", tool_calls=[{**CALL, "arguments": {"n": math.nan}}])
    assert MEMORY.write.refusal(number)
