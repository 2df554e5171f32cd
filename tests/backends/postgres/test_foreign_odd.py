"""LangChain's tables as somebody else made them, or lets us see them: in other schemas, as views, by
roles that only read, under policies, of other types; what must be named, and what is only read."""

import asyncio
import contextlib
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from synmem.backends.postgres import foreign_csv, foreign_sweep
from synmem.backends.postgres.store import open as open_postgres
from synmem.errors import (
    AccessDenied,
    Changed,
    CorruptData,
    Rejected,
    StoreError,
    StoreNotFound,
    UnknownLayout,
    Unnamed,
    Unsupported,
)
from synmem.messages import MAX_PLAIN, Conversation, Message, Unreadable
from synmem.store import Store
from tests.conformance import add, contents, ids, items, numbered, run
from tests.services import Server, unique
from tests.services.postgres import Postgres

DDL = "CREATE TABLE {} (id SERIAL PRIMARY KEY, session_id TEXT NOT NULL, message JSONB NOT NULL)"
NAMES = ["a", "B", "b", "Ä", "ä", "é", "中", "\U0001f600", "\uffee", "a b", "A"]


def human(text: str) -> str:
    """A message as LangChain stores it."""
    return json.dumps({"type": "human", "data": {"content": text}})


class Base:
    """A database of the test's own."""

    def __init__(self, server: Postgres, name: str) -> None:
        self.url = urlsplit(server.url)._replace(path=f"/{name}").geturl()

    def run(self, *statements: str, values: Sequence[Any] = ()) -> list[Any]:
        """What plain SQL says, the last statement of several."""

        async def main() -> list[Any]:
            connection = await asyncpg.connect(self.url)
            try:
                for statement in statements[:-1]:
                    await connection.execute(statement)
                return list(await connection.fetch(statements[-1], *values))
            finally:
                await connection.close()

        return asyncio.run(main())

    def fill(self, table: str, talks: dict[str, int], columns: str = "") -> None:
        """Rows of these conversations, one of each at a time."""
        self.run(columns.format(table) if columns else DDL.format(table))
        self.insert(table, [(name, human(f"message {n}")) for n in range(9) for name, size in talks.items() if n < size])  # fmt: skip

    def insert(self, table: str, rows: Sequence[tuple[str, str]], kind: str = "jsonb") -> None:
        """Rows of these sessions and messages, in this order; `kind`: of the message."""
        self.run(
            f"INSERT INTO {table} (session_id, message) SELECT a, b::{kind} "
            "FROM unnest($1::text[], $2::text[]) AS given(a, b)",
            values=[[row[0] for row in rows], [row[1] for row in rows]],
        )

    @contextlib.asynccontextmanager
    async def opened(self, *, write: bool = False, page_size: int = 2, **settings: Any) -> Any:
        store = await open_postgres({"dsn": self.url, **settings}, write=write, page_size=page_size)
        try:
            yield store
        finally:
            await store.close()

    def contents(self, **settings: Any) -> dict[str, list[str]]:
        """What every conversation says, read one by one and together, both ways."""

        async def main() -> dict[str, list[str]]:
            async with self.opened(**settings) as store:
                names = await ids(store)
                found = {name: await contents(store, name) for name in names}
                assert await together(store, names) == found
                for name in names:
                    assert await contents(store, name, reverse=True) == found[name][::-1]
                    async for page in store.read([name]):
                        rest = await contents(store, name, after=page.position(-1))
                        assert rest == found[name][found[name].index(page.items[-1].content) + 1 :]
                last = {p.conversation: p.items[0].content async for p in store.read(names, limit=1, reverse=True)}  # fmt: skip
                assert last == {name: said[-1] for name, said in found.items()}
                return found

        return run(main())  # type: ignore[no-any-return]

    def opens(self, **settings: Any) -> str:
        """Open it, and what it remarks."""

        async def main() -> str:
            async with self.opened(**settings) as store:
                return store.remark() if hasattr(store, "remark") else "own"

        return run(main())  # type: ignore[no-any-return]


async def together(store: Store, names: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    async for page in store.read(names):
        found.setdefault(page.conversation, []).extend(m.content for m in page.items)  # type: ignore[union-attr]
    return found


@pytest.fixture
def base(postgres_server: Server) -> Iterator[Base]:
    if not isinstance(postgres_server, Postgres):
        pytest.skip("it needs a server on which databases and roles may be made")
    name = unique()
    postgres_server.run(f"CREATE DATABASE {name}")
    yield Base(postgres_server, name)
    postgres_server.run(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def role(base: Base, *grants: str) -> Iterator[str]:
    """The DSN of a role that has these rights, `{}` being its name."""
    name = unique("r")
    base.run(f"CREATE ROLE {name} LOGIN PASSWORD 'p'", *(each.format(name) for each in grants), "SELECT")  # fmt: skip
    try:
        parts = urlsplit(base.url)
        yield parts._replace(netloc=f"{name}:p@{parts.netloc.rpartition('@')[2]}").geturl()
    finally:
        base.run(f"DROP OWNED BY {name}", f"DROP ROLE {name}", "SELECT")


def said(talks: dict[str, int]) -> dict[str, list[str]]:
    return {name: [f"message {n}" for n in range(size)] for name, size in talks.items()}


TALKS = {name: n % 7 + 1 for n, name in enumerate(NAMES)}


# --- where it lies --------------------------------------------------------------------------


def test_it_is_found_and_an_empty_database_is_an_empty_store(base: Base) -> None:
    assert base.opens() == "own"
    base.fill("message_store", TALKS)
    assert base.opens() == "layout langchain (langchain-community), table message_store"
    assert base.contents() == said(TALKS)
    assert sorted(base.contents()) == sorted(TALKS)


def test_our_own_table_keeps_its_place(base: Base) -> None:
    base.fill("message_store", {"theirs": 1})

    async def main() -> None:
        async with base.opened(write=True, layout="synmem") as store:
            await add(store, "ours", numbered(1))

    run(main())
    for settings in ({}, {"layout": "synmem"}, {"table": "synapsekit_conversations"}):
        assert base.opens(**settings) == "own"
        assert base.opens(write=True, **settings) == "own"
    assert "langchain" in base.opens(layout="langchain")
    assert "langchain" in base.opens(table="message_store")


def test_our_own_table_is_opened_without_a_look_at_other_layouts(base: Base) -> None:
    async def main() -> None:
        async with base.opened(write=True) as store:
            await add(store, "a", numbered(1))

    run(main())
    code = (
        "import asyncio, sys; from synmem.backends import open_store\n"
        "async def main():\n"
        f"    async with open_store('postgres', {{'dsn': {base.url!r}}}, write=True) as store:\n"
        "        async for page in store.read(['a']): pass\n"
        "        await store.delete('a')\n"
        "asyncio.run(main())\n"
        "print(*[m for m in sys.modules if 'foreign' in m or 'registry' in m or 'shapes' in m])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_another_program_may_make_the_table_meanwhile(base: Base) -> None:
    async def main() -> None:
        async with base.opened(write=True, layout="langchain") as store:
            assert await ids(store) == []
            assert await items(store, "a") == []
            connection = await asyncpg.connect(base.url)
            await connection.execute(DDL.format("message_store"))
            await connection.execute(
                "INSERT INTO message_store (session_id, message) VALUES ('a', $1)", human("theirs")
            )
            await connection.close()
            await add(store, "a", numbered(1))
            assert await contents(store, "a") == ["theirs", "message 0"]

    run(main())


def test_what_is_written_must_be_named(base: Base) -> None:
    base.fill("message_store", {"a": 1})
    for settings in ({}, {"table": "message_store"}):
        with pytest.raises(Unnamed) as caught:
            base.opens(write=True, **settings)
        assert "--layout langchain" in str(caught.value.hint)
    assert base.opens(write=True, layout="langchain")
    assert base.run("SELECT count(*) FROM pg_class WHERE relname LIKE 'synapsekit%'") == [(0,)]


def test_of_several_tables_one_must_be_chosen(base: Base) -> None:
    base.fill("message_store", {"a": 1})
    base.fill('"Message Store;"', {"b": 2})
    with pytest.raises(Unnamed) as caught:
        base.opens()
    assert "?layout=langchain&table=message_store" in str(caught.value.hint)
    assert "?layout=langchain&table=Message%20Store%3B" in str(caught.value.hint)
    assert base.contents(table="Message Store;") == said({"b": 2})
    assert base.contents(table="message_store") == said({"a": 1})


def test_names_that_differ_in_capitals_are_two(base: Base) -> None:
    base.fill('"Chats"', {"a": 1})
    base.fill("chats", {"b": 2})
    base.run('CREATE TABLE "CHATS" (id int, "Session_ID" text, message jsonb)')
    assert base.contents(table="Chats") == said({"a": 1})
    assert base.contents(table="chats") == said({"b": 2})
    with pytest.raises(CorruptData, match="Session_ID"):
        base.opens(table="CHATS")


def test_other_schemas_are_named_and_chosen(base: Base) -> None:
    base.run('CREATE SCHEMA "My chats"', "CREATE SCHEMA other", "SELECT")
    base.fill('"My chats".message_store', TALKS)
    with pytest.raises(Unnamed) as caught:
        base.opens()
    assert "My chats.message_store" in str(caught.value)
    assert "?layout=langchain&schema=My%20chats" in str(caught.value.hint)
    assert base.contents(schema="My chats") == said(TALKS)
    assert base.opens(schema="My chats") == "layout langchain (langchain-community), table message_store"  # fmt: skip
    with pytest.raises(StoreNotFound):
        base.opens(schema="other")
    assert base.opens(write=True) == "own"  # what is elsewhere is no reason not to make our own

    async def main() -> None:
        async with base.opened(write=True, layout="langchain", schema="other") as store:
            await add(store, "new", numbered(1))

    run(main())
    assert base.contents(schema="other") == said({"new": 1})


def test_the_search_path_of_the_url_counts(base: Base) -> None:
    base.run("CREATE SCHEMA one", "CREATE SCHEMA two", "SELECT")
    base.fill("one.message_store", {"one": 1})
    base.fill("two.message_store", {"two": 1})
    base.url += "?options=-csearch_path%3Dtwo,one"
    assert base.contents() == said({"two": 1})


def test_what_only_looks_like_it_is_named(base: Base) -> None:
    base.run("CREATE TABLE message_store (id int, sender text)", "SELECT")
    with pytest.raises(CorruptData) as caught:
        base.opens()
    assert "its tables: message_store" in str(caught.value)
    assert "it looks like langchain, of a version that is not known" in str(caught.value)
    base.run("CREATE TABLE mails (id serial PRIMARY KEY, session_id text, message jsonb)", "SELECT")
    base.run("INSERT INTO mails (session_id, message) VALUES ('a', '{}')")
    with pytest.raises(CorruptData):
        base.opens()
    assert base.opens(write=True) == "own"


@pytest.mark.parametrize("asked", [{"layout": "agno"}, {"table": "mails"}])
def test_what_lies_there_of_another_layout_is_said(base: Base, asked: dict[str, str]) -> None:
    base.fill("message_store", {"a": 1})
    base.run("CREATE TABLE mails (id int, sender text)", "SELECT")
    for where, place in ({}, "message_store"), ({"schema": "public"}, "public.message_store"):
        with pytest.raises(UnknownLayout) as caught:
            base.opens(**asked, **where)
        assert str(caught.value).endswith(f"; {place} is langchain's")
        assert "not known" not in str(caught.value)
        assert "?layout=langchain&table=message_store" in str(caught.value.hint)
    assert "&schema=public" in str(caught.value.hint)


def test_partitions_are_one_table(base: Base) -> None:
    base.run(
        "CREATE TABLE message_store (id SERIAL, session_id TEXT NOT NULL, message JSONB NOT NULL, "
        "PRIMARY KEY (session_id, id)) PARTITION BY HASH (session_id)",
        "CREATE TABLE p0 PARTITION OF message_store FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
        "CREATE TABLE p1 PARTITION OF message_store FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        "SELECT",
    )
    base.fill("message_store", TALKS, columns="SELECT '{}'")
    assert base.contents() == said(TALKS)

    async def main() -> None:
        async with base.opened(write=True, layout="langchain") as store:
            await add(store, "a", numbered(1, 1), keep=2)
            assert await contents(store, "a") == ["message 0", "message 1"]

    run(main())


# --- who looks ------------------------------------------------------------------------------


def test_a_role_that_only_reads_reads(base: Base) -> None:
    base.fill("message_store", TALKS)
    with role(base, "GRANT SELECT ON message_store TO {}") as dsn:
        assert base.contents(dsn=dsn) == said(TALKS)

        async def main() -> None:
            async with base.opened(dsn=dsn, write=True, layout="langchain") as store:
                with pytest.raises(AccessDenied):
                    await add(store, "a", numbered(1))
                with pytest.raises(AccessDenied):
                    await store.delete("a")

        run(main())
    assert base.contents() == said(TALKS)


@pytest.mark.parametrize(
    ("grant", "why"),
    [
        ("SELECT", "may not read its table message_store"),
        ("GRANT SELECT (id, session_id) ON message_store TO {}",
         "may not read the columns message of its table message_store"),
    ],
)  # fmt: skip
def test_a_role_that_may_not_read_it_is_told_so(base: Base, grant: str, why: str) -> None:
    base.fill("message_store", TALKS)
    base.run("CREATE TABLE other (n int)", "SELECT")
    with role(base, grant) as dsn:
        for settings in ({}, {"layout": "langchain"}, {"table": "message_store"}):
            with pytest.raises(AccessDenied, match=why):
                base.opens(dsn=dsn, **settings)
        with pytest.raises(AccessDenied, match=why):
            base.opens(dsn=dsn, schema="public")


def test_the_grant_that_is_missing_is_named_with_its_schema(base: Base) -> None:
    base.run('CREATE SCHEMA "My app"', "SELECT")
    base.fill('"My app".chat', TALKS)
    with role(base) as dsn:
        for settings in ({}, {"layout": "langchain"}):
            with pytest.raises(AccessDenied) as caught:
                base.contents(dsn=dsn, schema="My app", **settings)
            assert "GRANT USAGE ON SCHEMA" in str(caught.value.hint)
    with role(base, 'GRANT USAGE ON SCHEMA "My app" TO {}') as dsn:
        with pytest.raises(AccessDenied) as caught:
            base.opens(dsn=dsn, schema="My app")
        grant = str(caught.value.hint).removesuffix(" lets it")
        base.run(f"{grant} TO {urlsplit(dsn).username}", "SELECT")
        assert base.contents(dsn=dsn, schema="My app") == said(TALKS)


def test_a_table_of_nobody_s_layout_that_a_role_may_not_read_is_nothing(base: Base) -> None:
    base.run("CREATE TABLE other (n int)", "SELECT")
    with role(base) as dsn:
        assert base.opens(dsn=dsn) == "own"


def test_a_role_that_only_appends_appends(base: Base) -> None:
    base.fill("message_store", {"a": 1})
    grants = "GRANT SELECT, INSERT ON message_store TO {0}; GRANT USAGE ON SEQUENCE message_store_id_seq TO {0}"  # fmt: skip
    with role(base, grants) as dsn:

        async def main() -> None:
            async with base.opened(dsn=dsn, write=True, layout="langchain") as store:
                await add(store, "a", numbered(1, 1))
                with pytest.raises(AccessDenied):
                    await store.delete("a")

        run(main())
    assert base.contents() == said({"a": 2})


def test_columns_that_a_role_may_not_read_do_not_matter(base: Base) -> None:
    base.fill("message_store", TALKS, DDL[:-1] + ", secret text)")
    with role(base, "GRANT SELECT (id, session_id, message) ON message_store TO {}") as dsn:
        assert base.contents(dsn=dsn) == said(TALKS)


def test_policies_hide_rows_and_refuse_them(base: Base) -> None:
    base.fill("message_store", {"mine": 3, "theirs": 2})
    base.run(
        "ALTER TABLE message_store ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY p ON message_store USING (session_id LIKE 'mine%')",
        "SELECT",
    )
    grants = "GRANT ALL ON message_store TO {0}; GRANT USAGE ON SEQUENCE message_store_id_seq TO {0}"  # fmt: skip
    with role(base, grants) as dsn:
        assert base.contents(dsn=dsn) == said({"mine": 3})

        async def main() -> None:
            async with base.opened(dsn=dsn, write=True, layout="langchain") as store:
                await add(store, "mine too", numbered(1))
                with pytest.raises(Rejected, match="row-level security"):
                    await add(store, "theirs", numbered(1))

        run(main())
    assert base.contents() == said({"mine": 3, "mine too": 1, "theirs": 2})


# --- views, and tables of other columns -----------------------------------------------------


def test_a_view_that_is_not_filled_hinders_nothing(base: Base) -> None:
    base.run(
        "CREATE TABLE message_store (id SERIAL PRIMARY KEY, session_id TEXT, message JSONB)",
        "CREATE MATERIALIZED VIEW gone AS SELECT * FROM message_store WITH NO DATA",
        "INSERT INTO message_store (session_id, message) "
        """VALUES ('a', '{"type": "human", "data": {"content": "x"}}')""",
        "SELECT",
    )
    assert base.opens() == "layout langchain (langchain-community), table message_store"


@pytest.mark.parametrize("materialized", ["", "MATERIALIZED "])
def test_a_view_of_that_shape_is_read_and_not_written(base: Base, materialized: str) -> None:
    base.run("CREATE TABLE raw (n int, who text, what jsonb, gone bool)", "SELECT")
    base.run(
        f"CREATE {materialized}VIEW chats AS SELECT n AS id, who AS session_id, what AS message "
        "FROM raw WHERE NOT gone",
        "SELECT",
    )
    rows = [(n, name, human(f"message {n}")) for n in range(9) for name, size in TALKS.items() if n < size]  # fmt: skip
    base.run(
        "INSERT INTO raw SELECT a, b, c::jsonb, false "
        "FROM unnest($1::int[], $2::text[], $3::text[]) AS given(a, b, c) ORDER BY a DESC",
        values=[list(column) for column in zip(*rows, strict=True)],
    )
    if materialized:
        base.run("REFRESH MATERIALIZED VIEW chats", "SELECT")
    assert base.contents() == said(TALKS)
    check_only_read(base, "no ordinary table")


def check_only_read(base: Base, why: str) -> None:
    async def main() -> None:
        async with base.opened(write=True, layout="langchain") as store:
            name = (await ids(store))[0]
            before = await contents(store, name)
            for attempt in (add(store, name, numbered(1)), store.delete(name)):
                with pytest.raises(Unsupported, match=why):
                    await attempt
            assert await contents(store, name) == before

    run(main())


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        (("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
          "CREATE TRIGGER t BEFORE INSERT ON message_store FOR EACH ROW EXECUTE FUNCTION f()"), "trigger"),
        (("CREATE RULE r AS ON DELETE TO message_store DO INSTEAD NOTHING",), "rule"),
        (("CREATE TABLE likes (message int REFERENCES message_store ON DELETE CASCADE)",), "refers"),
        (("ALTER TABLE message_store ALTER id DROP DEFAULT",), "numbers new rows"),
        (("ALTER TABLE message_store DROP CONSTRAINT message_store_pkey",), "numbers new rows"),
        (("ALTER TABLE message_store DROP COLUMN message",
          "ALTER TABLE message_store ADD message jsonb GENERATED ALWAYS AS ('{\"type\": \"human\", \"data\": {\"content\": \"x\"}}') STORED"), "computed"),
    ],
)  # fmt: skip
def test_where_a_row_would_become_something_else_it_is_only_read(
    base: Base, statements: Sequence[str], why: str
) -> None:
    base.fill("message_store", {"a": 3})
    base.run(*statements, "SELECT")
    check_only_read(base, why)


def test_columns_of_somebodys_own_stay_and_are_named(base: Base) -> None:
    base.fill("message_store", {"a": 2}, DDL[:-1] + ", tenant int DEFAULT 7, words tsvector GENERATED ALWAYS AS (to_tsvector('simple', session_id)) STORED)")  # fmt: skip

    async def main() -> None:
        async with base.opened(write=True, layout="langchain") as store:
            assert store.holds.unread == ("tenant", "words")
            await add(store, "a", numbered(1, 2))
            assert "tenant" in (await store.refuses_back(["a"]))["a"]

    run(main())
    assert base.run("SELECT DISTINCT tenant FROM message_store") == [(7,)]
    base.run("ALTER TABLE message_store ALTER tenant DROP DEFAULT, ALTER tenant SET NOT NULL", "SELECT")  # fmt: skip

    async def refused() -> None:
        async with base.opened(write=True, layout="langchain") as store:
            assert "tenant" in store.refusal(Message("user", "x"))
            with pytest.raises(Rejected, match="tenant"):
                await add(store, "a", numbered(1))

    run(refused())


def test_what_the_server_computes_comes_back_by_itself(base: Base) -> None:
    base.fill("message_store", {"a": 2}, DDL[:-1] + ", kind text GENERATED ALWAYS AS (message->>'type') STORED)")  # fmt: skip

    async def main() -> None:
        async with base.opened(write=True, layout="langchain") as store:
            assert await store.refuses_back(["a"]) == {}
            before = await items(store, "a")
            assert await store.delete("a")
            await add(store, "a", before)

    run(main())
    assert base.run("SELECT DISTINCT kind FROM message_store") == [("human",)]


@pytest.mark.parametrize("index", ["", "CREATE INDEX ON message_store (session_id)"])
@pytest.mark.parametrize(
    "kind",
    [
        "text",
        'text COLLATE "C"',
        "varchar(20)",
        "char(20)",
        "text COLLATE folded",
        "citext",
        "mood",
    ],
)
def test_ids_of_any_type_are_told_apart_by_their_bytes(base: Base, kind: str, index: str) -> None:
    needed = {
        "text COLLATE folded": "CREATE COLLATION folded (provider = icu, "
        "locale = 'und-u-ks-level2', deterministic = false)",
        "citext": "CREATE EXTENSION citext",
    }
    try:
        base.run(needed.get(kind, "SELECT"), "SELECT")
    except (asyncpg.FeatureNotSupportedError, asyncpg.UndefinedFileError) as error:
        pytest.skip(f"this server cannot: {error}")
    if kind == "mood":
        values = ", ".join(f"'{name}'" for name in NAMES)
        base.run(f"CREATE TYPE mood AS ENUM ({values})", "SELECT")
    base.run(
        f"CREATE TABLE message_store (id SERIAL PRIMARY KEY, session_id {kind}, message JSONB)",
        index or "SELECT",
        "SELECT",
    )
    names = [name for name in NAMES if kind != "mood" or len(name) < 60]
    cast = kind.partition(" ")[0].partition("(")[0].replace("char", "varchar").replace("varvarchar", "varchar")  # fmt: skip
    for n in range(3):
        base.run(
            f"INSERT INTO message_store (session_id, message) SELECT a::{cast}, $2::jsonb "
            "FROM unnest($1::text[]) AS given(a)",
            values=[names, human(f"message {n}")],
        )
    if kind == "mood":  # a type that no framework has: it has to be named
        with pytest.raises(CorruptData):
            base.opens()
        return
    assert base.contents() == said(dict.fromkeys(names, 3))


@pytest.mark.parametrize("index", ["", "CREATE INDEX ON message_store (session_id)"])
def test_rows_whose_numbers_repeat_or_are_null_come_each_once(base: Base, index: str) -> None:
    base.run(
        "CREATE TABLE message_store (id int, session_id text, message jsonb)",
        index or "SELECT",
        "SELECT",
    )
    for n, number in enumerate([7, 7, 7, None, 2, None, 1, 7, 2]):
        for name in ("a", "b"):
            base.run("INSERT INTO message_store VALUES ($1, $2, $3)", values=[number, name, human(f"{n}")])  # fmt: skip
    expected = ["6", "4", "8", "0", "1", "2", "7", "3", "5"]
    assert base.contents() == {"a": expected, "b": expected}


# --- rows that are not as they should be ----------------------------------------------------


def test_a_row_that_cannot_be_read_hides_nothing_and_one_of_nobody_is_named(base: Base) -> None:
    base.run(
        "CREATE TABLE message_store (id SERIAL PRIMARY KEY, session_id TEXT, message JSONB)",
        "INSERT INTO message_store (session_id, message) VALUES ('', '{}'), (NULL, '{}')",
        "SELECT",
    )
    base.fill("message_store", {"a": 5}, columns="SELECT '{}'")
    base.run("UPDATE message_store SET message = '[5, null]' WHERE id = 5", "SELECT")

    async def main() -> None:
        async with base.opened() as store:
            found = await items(store, "a")
            assert [type(each) for each in found] == [
                Message,
                Message,
                Unreadable,
                Message,
                Message,
            ]
            assert found[2].text == "[5, null]"
            assert await ids(store) == ["a"]
            strays = [(each.position, each.reason) for each in await store.strays()]
            assert strays == [("row 1", "its session_id is empty"), ("row 2", "its session_id is NULL")]  # fmt: skip
            assert await store.total() == 7

    run(main())


def test_what_is_changed_under_the_reader_is_told(base: Base) -> None:
    base.fill("message_store", {"a": 6})

    async def main(statement: str, *, changes: bool) -> None:
        async with base.opened() as store:
            pages = store.read(["a"])
            page = await anext(pages)
            connection = await asyncpg.connect(base.url)
            await connection.execute(statement)
            await connection.close()
            if not changes:
                assert len([item async for page in pages for item in page.items]) in (3, 4, 5)
                return
            with pytest.raises(Changed):
                await anext(pages)
            with pytest.raises(Changed):
                await contents(store, "a", after=page.position(-1))

    run(main("DELETE FROM message_store WHERE id = 1", changes=False))
    run(main("INSERT INTO message_store (session_id, message) VALUES ('a', '{}')", changes=False))
    new = human("another").replace("'", "''")
    run(main(f"UPDATE message_store SET message = '{new}' WHERE id = 3", changes=True))
    run(main("DELETE FROM message_store WHERE id <= 4", changes=True))


def test_a_sequence_that_is_behind_writes_nothing(base: Base) -> None:
    base.fill("message_store", {"a": 5, "b": 1})
    base.run("SELECT setval('message_store_id_seq', 1)")

    async def main() -> None:
        async with base.opened(write=True, layout="langchain") as store:
            with pytest.raises(StoreError, match="sequence") as caught:
                await add(store, "a", numbered(1))
            assert await contents(store, "a") == said({"a": 5})["a"]
            base_hint.append(str(caught.value.hint))

    base_hint: list[str] = []
    run(main())
    base.run(base_hint[0])

    async def again() -> None:
        async with base.opened(write=True, layout="langchain") as store:
            await add(store, "a", numbered(1, 5))
            assert await contents(store, "a") == said({"a": 6})["a"]

    run(again())


# --- as CSV ---------------------------------------------------------------------------------


def test_plain_conversations_are_copied_as_csv_and_the_others_left(base: Base) -> None:
    base.fill("message_store", {'a"b,c': 3, "d": 2, "tools": 2, "broken": 2, "é\n": 1})
    call = json.dumps({"type": "ai", "data": {"content": "", "tool_calls": [{"name": "f", "args": {}, "id": "1"}]}})  # fmt: skip
    for name, text in (("tools", call), ("broken", "[]"), ("d", human('"\n,\\ \u2028'))):
        base.run("INSERT INTO message_store (session_id, message) VALUES ($1, $2)", values=[name, text])  # fmt: skip

    async def main() -> None:
        async with base.opened() as source, base.opened(write=True, layout="synmem") as dest:
            names = await ids(source)
            copied, left = await dest.copy(source, [Conversation(name) for name in names])
            assert sorted(each.conversation for each in copied) == ['a"b,c', "d", "é\n"]
            assert left == []
            told = {each.conversation: each.digest for each in copied}
            assert await dest.digests([*told]) == told
            for each in copied:
                assert await items(dest, each.conversation) == await items(
                    source, each.conversation
                )
                end = [page.position(-1) async for page in source.read([each.conversation])][-1]
                assert each.source_end() == end

    run(main())


@pytest.mark.parametrize("index", ["", "CREATE INDEX ON message_store (session_id)"])
@pytest.mark.parametrize(
    ("numbers", "most", "fresh"),
    [(1, 5, 10.0), (3, 2, 10.0), (7, 100, 10.0), (1000, 6, 10.0), (7, 5, 0.0)],
)
def test_csv_is_of_whole_conversations_however_little_is_known_at_once(
    base: Base,
    monkeypatch: pytest.MonkeyPatch,
    numbers: int,
    most: int,
    fresh: float,
    index: str,
) -> None:
    """Also where a look takes longer than what it told stays fresh."""
    monkeypatch.setattr(foreign_sweep, "_FRESH_S", fresh)
    monkeypatch.setattr(foreign_sweep, "_NUMBERS", numbers)
    monkeypatch.setattr(foreign_csv, "_MOST", most)
    base.fill("message_store", TALKS)
    base.run(index or "SELECT", "SELECT")

    async def main() -> None:
        async with base.opened() as source, base.opened(write=True, layout="synmem") as dest:
            for _ in range(2):
                waiting = [Conversation(name) for name in reversed(TALKS)]
                while waiting:
                    before = len(waiting)
                    _, waiting = await dest.copy(source, waiting)
                    assert len(waiting) < before
                found = await together(dest, await ids(dest))
                assert all(said(TALKS)[name] == told for name, told in found.items())
                small = {name for name, size in TALKS.items() if size < min(numbers, most)}
                assert small <= found.keys()

    run(main())


def fill_in_a_row(base: Base, talks: dict[str, list[str]], kind: str = "jsonb") -> None:
    """Rows of these conversations, one conversation behind the other."""
    base.run(DDL.replace("JSONB", kind).format("message_store"))
    rows = [(name, text) for name, texts in talks.items() for text in texts]
    base.insert("message_store", rows, kind)


def full(text: str) -> str:
    """A message with all that LangChain writes."""
    own = {"content": text, "additional_kwargs": {}, "response_metadata": {}, "type": "human"}
    return json.dumps({"type": "human", "data": {**own, "name": None, "id": None}})


@pytest.mark.parametrize(
    ("then", "copied"),
    [
        ("SELECT", "abcd"),
        # What came behind the listing, as if it had come behind the read: another run brings it.
        (f"INSERT INTO message_store (session_id, message) VALUES ('a', '{full('4')}')", "abcd"),
        (f"INSERT INTO message_store (session_id, message) VALUES ('e', '{full('1')}')", "abcd"),
        ("DELETE FROM message_store WHERE id = 2", "bcd"),
        ("DELETE FROM message_store WHERE session_id = 'a'", "bcd"),
        ("UPDATE message_store SET session_id = 'b' WHERE id = 2", "cd"),
        ("UPDATE message_store SET session_id = 'e' WHERE id = 5", "acd"),
        ("UPDATE message_store SET id = 99 WHERE id = 5", "acd"),
        (
            "UPDATE message_store SET session_id = CASE id WHEN 3 THEN 'b' ELSE 'a' END "
            "WHERE id IN (3, 4)",
            "abcd",
        ),
    ],
)
def test_what_was_listed_is_copied_as_it_is_now(base: Base, then: str, copied: str) -> None:
    talks = {name: [full(str(n)) for n in range(3)] for name in "dabc"}
    fill_in_a_row(base, dict(sorted(talks.items())))

    async def main() -> None:
        async with base.opened() as source, base.opened(write=True, layout="synmem") as dest:
            names = await ids(source)
            await asyncio.to_thread(base.run, then)
            done, left = await dest.copy(source, [Conversation(name) for name in names])
            assert left == []
            assert {each.conversation for each in done} == {*copied}
            for name in copied:
                behind = 3 if "INSERT" in then else None
                assert await items(dest, name) == (await items(source, name))[:behind]

    run(main())


def test_what_was_listed_needs_no_further_look(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the order of the conversations is in the table, as long as each is in a row."""
    talks = {name: [full(f"{name} {n}") for n in range(n_of)] for n_of, name in enumerate(NAMES, 1)}
    fill_in_a_row(base, talks)
    monkeypatch.setattr(foreign_csv, "_MOST", 9)

    async def no_look(self: object, first: str) -> None:
        raise AssertionError(first)

    monkeypatch.setattr(foreign_sweep.Sweep, "_look", no_look)

    async def main() -> None:
        async with base.opened() as source, base.opened(write=True, layout="synmem") as dest:
            waiting = [Conversation(name) for name in await ids(source)]
            while waiting:
                _, waiting = await dest.copy(source, waiting)
            found = await together(dest, await ids(dest))
            assert found == {
                name: [f"{name} {n}" for n in range(len(said))]
                for name, said in talks.items()
                if len(said) <= 9
            }

    run(main())


def test_csv_of_many_texts_leaves_what_csv_cannot_hold(base: Base) -> None:
    long = "x" * (MAX_PLAIN + 1)
    talks = {
        "nul": [full("a\0b")],
        "half": [full("\ud800")],
        "long": [full(long)],
        "longer together": [full(long[:-1]), full("b")],
        "quotes": [full('"a" ""'), full('"'), full("\n\\.\n"), full("")],
    }
    fill_in_a_row(base, talks, "json")

    async def main() -> None:
        async with base.opened() as source, base.opened(write=True, layout="synmem") as dest:
            names = await ids(source)
            copied, _ = await dest.copy(source, [Conversation(name) for name in names])
            assert sorted(each.conversation for each in copied) == ["longer together", "quotes"]
            for each in copied:
                assert await items(dest, each.conversation) == await items(
                    source, each.conversation
                )

    run(main())


def test_csv_has_the_times_that_rows_have(base: Base) -> None:
    columns = (
        "CREATE TABLE {} (id SERIAL PRIMARY KEY, session_id UUID NOT NULL, message JSONB NOT NULL, "
        "created_at TIMESTAMPTZ NOT NULL)"
    )
    base.run(columns.format("chat_history"))
    talks = {str(uuid.UUID(int=n)): n for n in (1, 2, 3)}
    for number in range(3):
        for name, size in talks.items():
            if number < size:
                base.run(
                    "INSERT INTO chat_history (session_id, message, created_at) VALUES ($1, $2, $3)",
                    values=[name, human(f"message {number}"), datetime(2026, 11, 1 + number, tzinfo=UTC)],
                )  # fmt: skip
    odd = str(uuid.UUID(int=9))
    base.run(
        "INSERT INTO chat_history (session_id, message, created_at) VALUES ($1, $2, 'infinity')",
        values=[odd, human("when?")],
    )

    async def main() -> None:
        async with base.opened() as source, base.opened(write=True, layout="synmem") as dest:
            names = await ids(source)
            assert names == [*talks, odd]
            copied, left = await dest.copy(source, [Conversation(name) for name in names])
            assert {each.conversation: each.messages for each in copied} == talks
            assert left == []
            for name in talks:
                assert await items(dest, name) == await items(source, name)

    run(main())
