"""The PostgreSQL store on a real server: the contract, directly and through a pooler in transaction
mode; the raw rows as the docstring has them; tables that are not what they should be; the CLI."""

import asyncio
import contextlib
import json
import math
import random
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from synmem.backends.inmemory import InMemoryStore
from synmem.backends.postgres.store import open as open_postgres
from synmem.errors import (
    AccessDenied,
    Changed,
    CorruptData,
    ProfileError,
    Rejected,
    StoreNotFound,
    StoreUnavailable,
    Unsupported,
)
from synmem.layouts.own import postgres_rows
from synmem.messages import Conversation, Message, Unreadable
from synmem.store import START, Part, Store, SupportsNotes, once
from tests.cli.moved import make, said
from tests.cli.moved import run as cli
from tests.conformance import (
    AT,
    FULL,
    PAGE_SIZE,
    Opener,
    Writing,
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
from tests.services.postgres import PASSWORD, Postgres


class Place:
    """A table of the test's own, on the session's server."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self.table = unique()

    @contextlib.asynccontextmanager
    async def opened(self, *, write: bool = False, **settings: Any) -> AsyncIterator[Any]:
        settings = {"dsn": self.url, "table": self.table, **settings}
        store = await open_postgres(settings, write=write, page_size=PAGE_SIZE)
        try:
            yield store
        finally:
            await store.close()

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """What plain SQL says; `{}` is the table."""

        async def main() -> list[Any]:
            connection = await asyncpg.connect(self.url)
            try:
                return list(await connection.fetch(sql.format(f'"{self.table}"'), *values))
            finally:
                await connection.close()

        return asyncio.run(main())

    def spoil(self, conversation: str, field: str) -> None:
        """Make a title or extra one that cannot be read."""
        if field == "head":
            pytest.skip("in PostgreSQL no head places the messages")
        where = "WHERE session_id = $1 AND name = $2"
        self.rows(f"UPDATE \"{self.table}_meta\" SET value = 'no' {where}", conversation, field)

    def drop(self) -> None:
        for ending in ("_meta", "_calls", ""):
            self.rows(f'DROP TABLE IF EXISTS "{self.table}{ending}" CASCADE')
        self.rows(f'DROP SEQUENCE IF EXISTS "{self.table}_seq"')


@pytest.fixture
def place(postgres_server: Server) -> Iterator[Place]:
    place = Place(postgres_server)
    yield place
    place.drop()


class TestPostgres(Writing):
    @pytest.fixture(autouse=True)
    def _place(self, place: Place) -> None:
        self.place = place

    def stores(self, tmp_path: Any) -> Opener:
        return lambda: self.place.opened(write=True)

    def spoil(self, tmp_path: Any, conversation: str, field: str) -> None:
        self.place.spoil(conversation, field)


class TestPooled(Writing):
    """The same through a pooler that gives every transaction another server connection."""

    @pytest.fixture(autouse=True)
    def _place(self, place: Place, postgres_server: Server) -> Iterator[None]:
        if not isinstance(postgres_server, Postgres):
            pytest.skip("the pooler needs a server that lets it in without a password")
        self.place = place
        with pooling(postgres_server.port) as pooler:
            self.dsn = f"postgresql://any@127.0.0.1:{pooler.port}/postgres"
            yield
            assert not pooler.served or pooler.switches

    def stores(self, tmp_path: Any) -> Opener:
        return lambda: self.place.opened(write=True, dsn=self.dsn)

    def spoil(self, tmp_path: Any, conversation: str, field: str) -> None:
        self.place.spoil(conversation, field)


def write(place: Place, conversation: str, messages: list[Message], **settings: Any) -> None:
    async def main() -> None:
        async with place.opened(write=True, **settings) as store:
            await add(store, conversation, messages)

    run(main())


def read(place: Place, conversation: str, **settings: Any) -> list[Any]:
    async def main() -> list[Any]:
        async with place.opened(**settings) as store:
            return await items(store, conversation)

    return run(main())  # type: ignore[no-any-return]


# --- the data layout ---


def test_the_raw_rows_are_as_documented(place: Place) -> None:
    odd = Message(
        "user", "a\x00b\ud800", {"f": math.nan}, tool_calls=[{"n": 2**70, "f": 1.5}], name="\x00"
    )

    async def main() -> None:
        async with place.opened(write=True) as store:
            await store.append([Part(Conversation("c", "Title\x00", {"k": 1}), [FULL, odd])])
            assert isinstance(store, SupportsNotes)
            await store.set_note("c", "summary", {"text": "s"})
            await add(store, "nul\x00dle\x10", numbered(1))

    run(main())
    full, odd_row, other = place.rows("SELECT * FROM {} ORDER BY id")
    assert list(full.keys()) == [
        "session_id", "id", "role", "content", "metadata", "created_at", "tool_calls",
        "tool_call_id", "name", "parts", "extra", "carried",
    ]  # fmt: skip
    assert list(full)[:4] == ["c", 1, "assistant", "text of the parts"]
    assert full["created_at"] == AT
    for field in ("metadata", "tool_calls", "parts", "extra"):
        assert json.loads(full[field]) == getattr(FULL, field)
    assert (full["tool_call_id"], full["name"], full["carried"]) == ("call_0", "bob", None)
    assert (odd_row["content"], odd_row["metadata"], odd_row["name"]) == ("a?b?", None, None)
    assert json.loads(odd_row["tool_calls"]) == odd.tool_calls
    assert odd_row["carried"].isascii()
    carried = json.loads(odd_row["carried"])
    assert carried.keys() == {"content", "metadata", "name"}
    assert carried["content"] == odd.content
    assert other["session_id"] == "nul\x100dle\x10P"
    meta = place.rows(f'SELECT * FROM "{place.table}_meta" ORDER BY name')
    assert [tuple(row) for row in meta] == [
        ("c", "extra", '{"k":1}'), ("c", "note:summary", '{"text":"s"}'),
        ("c", "title", '"Title\\u0000"'),
    ]  # fmt: skip
    assert len(place.rows(f'SELECT token FROM "{place.table}_calls"')) == 3
    assert place.rows("SELECT pg_get_serial_sequence($1, 'id')", f'"{place.table}"')[0][0].endswith(
        f"{place.table}_seq"
    )
    (key,) = place.rows(
        "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = $1::text::regclass",
        f'"{place.table}"',
    )
    assert key[0].endswith("(session_id, id)")


def test_a_front_takes_negated_new_numbers_and_no_number_is_given_twice(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True) as store:
            await add(store, "c", numbered(3))
            first = await anext(store.read(["c"], limit=1))
            await store.replace(Conversation("c"), once(numbered(2)), upto=first.position(0))
            await store.delete("c")
            await add(store, "c", numbered(1))
            await store.replace(Conversation("c"), once(numbered(150)), upto="6")

    run(main())
    numbers = [row[0] for row in place.rows("SELECT id FROM {} ORDER BY id")]
    assert numbers == list(range(7, 157))


def test_many_and_few_messages_are_stored_alike(place: Place) -> None:
    ends = [at.replace(tzinfo=UTC) for at in (datetime.min, datetime.max)]
    messages = [FULL, Message("user", "x\x00", created_at=AT), Message("user", "é", {"a": [1]})]
    messages += [Message("user", "from end to end", created_at=at) for at in ends]

    async def main() -> None:
        async with place.opened(write=True) as store:
            await add(store, "few", messages)
            await add(store, "many", messages * 40)

    run(main())
    columns = ", ".join(postgres_rows.COLUMNS)
    few = place.rows(f"SELECT {columns} FROM {{}} WHERE session_id = 'few' ORDER BY id")
    many = place.rows(f"SELECT {columns} FROM {{}} WHERE session_id = 'many' ORDER BY id")
    assert many == few * 40


@pytest.mark.parametrize(
    "value",
    [1.0, 1, 0.0, 0.1, 123456789.0, 999999999999999.0, 1e-7, 5e-324, 2**70, -(2**3000), 0.1 + 0.2,
     1e15, 1e16, 1.7976931348623157e308, -0.0, 2**20_000 // 7**5000, math.inf, "\x00", "\ud800"],
    ids=lambda v: str(v)[:20].encode("ascii", "backslashreplace").decode(),
)  # fmt: skip
def test_jsonb_gives_back_what_is_said_to_be_held_and_the_rest_is_carried(
    place: Place, value: Any
) -> None:
    for metadata in ({"v": value}, {"deep": [{"v": value}]}):
        write(place, "c", [Message("user", "x", metadata)])
        assert read(place, "c")[-1] == Message("user", "x", metadata)
    held = place.rows("SELECT metadata IS NOT NULL AND carried IS NULL FROM {}")
    assert {row[0] for row in held} == {postgres_rows.holds_json(value)}


@given(st.text(alphabet="\x00\x100PaA\x11"))
def test_every_id_comes_back_from_what_is_stored(name: str) -> None:
    stored = postgres_rows.stored_id(name)
    assert "\x00" not in stored
    assert postgres_rows.shown_id(stored) == name
    if not {"\x00", "\x10"} & set(name):
        assert stored == name


def test_a_wrong_end_is_changed_where_many_messages_are_copied(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True) as store:
            end = await add(store, "a", numbered(150))
            (end2,) = await store.append([Part(Conversation("a"), numbered(150, 150), end)])
            assert await contents(store, "a", after=end2) == []
            for part in (
                Part(Conversation("a"), numbered(150), end),
                Part(Conversation("a"), numbered(150), START),
                Part(Conversation("b"), numbered(150), end),
            ):
                with pytest.raises(Changed):
                    await store.append([Part(Conversation("new"), numbered(1)), part])
            assert await ids(store) == ["a"]
            assert await contents(store, "a") == [f"message {n}" for n in range(300)]

    run(main())


@pytest.mark.parametrize(
    "seeds", [range(4), pytest.param(range(4, 40), marks=pytest.mark.real)], ids=str
)
def test_whatever_is_done_the_in_memory_store_does_the_same(place: Place, seeds: range) -> None:
    async def main() -> None:
        reference = InMemoryStore(page_size=PAGE_SIZE)
        async with place.opened(write=True) as store:
            for seed in seeds:
                await _same(reference, store, random.Random(seed))

    run(main())


async def _same(reference: Store, store: Store, chance: random.Random) -> None:
    names = ["a", "b\x00", "c", "d"]
    for _ in range(25):
        name = chance.choice(names)
        cut = chance.random()
        new = [Message("user", f"{chance.random()}\x00", {"n": 1.0}) for _ in range(chance.choice([0, 1, 3, 120]))]  # fmt: skip
        keep = chance.choice([None, None, 0, 2])
        title = chance.choice([None, "t", "u\ud800"])
        what = chance.choice(["append", "append", "delete", "upto", "replace", "note"])
        outcomes = []
        for each in (reference, store):
            positions = [START, *[p.position(i) async for p in each.read([name]) for i in range(len(p.items))]]  # fmt: skip
            upto = positions[int(cut * len(positions))]
            if what == "append":
                other = next(n for n in names if n != name)
                await each.append([Part(Conversation(name, title), new), Part(Conversation(other), new[:1])], keep=keep)  # fmt: skip
            elif what == "delete":
                outcomes.append(await each.delete(name))
            elif what == "upto":
                outcomes.append(await each.delete(name, upto=upto))
            elif what == "replace":
                await each.replace(Conversation(name, title), once(new[:5]), upto=upto)
            elif isinstance(each, SupportsNotes):
                await each.set_note(name, "n", title)
                outcomes.append(await each.note(name, "n"))
        assert not outcomes or outcomes[0] == outcomes[1]
        assert await _everything(store) == await _everything(reference)


async def _everything(store: Store) -> dict[str, Any]:
    found = {i.id: [i] async for page in store.conversations(details=True) for i in page}
    async for page in store.read(list(found)):
        found[page.conversation] += page.items  # type: ignore[arg-type]
    return found


def test_a_window_is_cut_without_reading_the_messages_for_each_other(place: Place) -> None:
    async def main(messages: list[Message]) -> None:
        async with place.opened(write=True) as store:
            await add(store, "a", messages, keep=2500)

    run(main(numbered(1)))
    place.rows("ALTER TABLE {} SET (autovacuum_enabled = off)")
    place.rows("ANALYZE {}")  # from here on the planner believes that there is one message
    run(main(numbered(2499, 1)))
    run(main(numbered(2, 2500)))
    read = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = $1"
    ((rows,),) = place.rows(read, place.table)
    assert rows < 100_000  # not the half of 2500 * 2500
    left = place.rows("SELECT content FROM {} ORDER BY id")
    assert [content for (content,) in left] == [each.content for each in numbered(2500, 2)]


def test_what_was_written_is_forgotten_after_the_hour(place: Place) -> None:
    write(place, "c", numbered(1))
    calls = f'"{place.table}_calls"'
    place.rows(f"UPDATE {calls} SET at = now() - interval '2 hours'")
    (old,) = place.rows(f"SELECT token FROM {calls}")

    for _ in range(20):
        write_many(place, 60)
        if old not in place.rows(f"SELECT token FROM {calls}"):
            return
    pytest.fail("nobody forgot it")


def write_many(place: Place, count: int) -> None:
    async def main() -> None:
        async with place.opened(write=True) as store:
            for n in range(count):
                await add(store, "c", numbered(1, n))

    run(main())


# --- rows that another program wrote ---


def test_one_bad_row_does_not_hide_the_others(place: Place) -> None:
    write(place, "c", [Message("user", "good 1", created_at=AT)])
    bad = [
        "metadata) VALUES ('c', 'u', 'x', '[1]'",
        "tool_calls) VALUES ('c', 'u', 'x', '[1]'",
        "carried) VALUES ('c', 'u', 'x', '{not json'",
        "created_at) VALUES ('c', 'u', 'x', '0044-03-15 12:00 BC'",
        "created_at) VALUES ('c', 'u', 'x', '20000-01-01'",
        "created_at) VALUES ('c', 'u', 'x', 'infinity'",
    ]
    for values in bad:
        place.rows(
            f"INSERT INTO {{}} (session_id, role, content, {values})".replace("{not", "{{not")
        )
    write(place, "c", [Message("user", "good 2", created_at=AT)])

    async def main() -> None:
        async with place.opened() as store:
            found = await items(store, "c")
            assert [m.content for m in found if isinstance(m, Message)] == ["good 1", "good 2"]
            assert [m.created_at for m in found if isinstance(m, Message)] == [AT, AT]
            unreadable = [m for m in found if isinstance(m, Unreadable)]
            assert found[1:-1] == unreadable
            assert [m.position for m in unreadable] == [str(n) for n in range(2, 8)]
            reasons = " ".join(m.reason for m in unreadable)
            assert "metadata" in reasons
            assert "created_at" in reasons
            assert await items(store, "c", reverse=True) == found[::-1]
            (info,) = [i async for p in store.conversations(details=True) for i in p]
            assert (info.messages, info.first_at, info.last_at) == (8, AT, AT)

    run(main())


def test_a_listing_ends_where_somebody_elses_id_is_no_escape_of_ours(place: Place) -> None:
    write(place, "a", numbered(1))
    for session in ("b\x10z", "c", "d\x10", "d\x10A", "e\x10z"):
        place.rows("INSERT INTO {} (session_id, role, content) VALUES ($1, 'u', 'x')", session)

    async def main() -> None:
        async with place.opened() as store:
            found: list[str] = []
            async for page in store.conversations():
                found += [info.id for info in page]
                assert len(found) <= 6
            assert found == ["a", "c"]
            assert len(await store.strays()) == 4
            assert await store.damage() == await store.strays()

    run(main())


@pytest.mark.parametrize(
    ("field", "value"), [("title", "no JSON"), ("title", "5"), ("extra", "[]")]
)
def test_what_lies_beside_and_cannot_be_read_is_named(place: Place, field: str, value: str) -> None:
    write(place, "c", numbered(1))
    for name, text in ((field, value), ("note:n", "no JSON")):
        place.rows(f"INSERT INTO \"{place.table}_meta\" VALUES ('c', $1, $2)", name, text)

    async def main() -> None:
        async with place.opened() as store:
            why = str((await details(store))["c"].unreadable)
            assert why.startswith(f"{field} is")
            assert "_meta" in why
            with pytest.raises(CorruptData, match="note:n is not JSON"):
                await store.note("c", "n")
            assert len(await contents(store, "c")) == 1

    run(main())


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:s3cr/pw@127.0.0.1:1/db",
        "postgresql://u:s3cr#pw@127.0.0.1:1/db",
        "postgresql://u:s3cr?pw@127.0.0.1:1/db",
        "postgresql://u:12/s3cr@127.0.0.1:1/db",
        "postgresql://u:12?s3cr@127.0.0.1:1/db",
        "postgresql://u:s3cr:t@/?#pw@127.0.0.1:1/db",
    ],
)
def test_a_password_that_is_not_quoted_is_said_to_be_so_and_no_piece_of_it_is_shown(
    dsn: str, config: Path
) -> None:
    result = cli("ls", "-p", dsn)
    assert result.exit_code == 1
    assert "in a password" in result.stderr
    assert "s3cr" not in result.output + result.stderr
    assert "pw" not in result.output + result.stderr


@pytest.mark.parametrize("time", ["infinity", "-infinity", "0044-03-15 BC", "20000-01-01"])
def test_a_listing_leaves_times_out_that_no_datetime_can_be(place: Place, time: str) -> None:
    write(place, "c", numbered(1))
    place.rows(f"UPDATE {{}} SET created_at = '{time}'")

    async def main() -> None:
        async with place.opened() as store:
            (info,) = [i async for p in store.conversations(details=True) for i in p]
            assert (info.first_at, info.last_at) == (None, None)

    run(main())


# --- places that are not what they should be ---


def test_a_table_of_somebody_elses_shape_is_named_and_left_alone(place: Place) -> None:
    place.rows("CREATE TABLE {} (session_id uuid, message jsonb)")
    for how in (True, False):
        with pytest.raises(CorruptData, match="message") as caught:
            run(opening(place, write=how))
        assert "?table=" in str(caught.value.hint)
    assert place.rows("SELECT * FROM {}") == []


def test_a_table_without_its_companions_is_named(place: Place) -> None:
    write(place, "c", numbered(1))
    place.rows(f'DROP TABLE "{place.table}_meta"')
    with pytest.raises(CorruptData, match="_meta"):
        run(opening(place))


async def opening(place: Place, **how: Any) -> None:
    async with place.opened(**how):
        pass


def test_a_table_that_was_named_and_is_not_there(place: Place) -> None:
    with pytest.raises(StoreNotFound, match=place.table):
        run(opening(place))


def test_a_table_is_made_by_the_first_write_only(place: Place) -> None:
    unmade = "SELECT WHERE to_regclass($1) IS NULL"

    async def main() -> None:
        async with place.opened(write=True) as store, place.opened(write=True) as other:
            assert await ids(store) == []
            assert await contents(store, "c") == []
            assert await store.delete("c") is False
            assert await store.note("c", "n") is None
            await store.set_note("c", "n", 1)
            with pytest.raises(Rejected):
                await add(store, "c", [Message("user", "\ud83d\ude00")])
            assert await asyncio.to_thread(place.rows, unmade, f'"{place.table}"')
            await add(store, "c", numbered(1))
            assert await contents(other, "c") == ["message 0"]

    run(main())


def test_two_that_make_the_tables_at_once_both_succeed(place: Place) -> None:
    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            stores = [await stack.enter_async_context(place.opened(write=True)) for _ in range(6)]
            await asyncio.gather(*(add(s, f"c{n}", numbered(1)) for n, s in enumerate(stores)))
            assert await ids(stores[0]) == [f"c{n}" for n in range(6)]

    run(main())


def test_the_default_table_is_an_empty_store_until_something_is_written(
    postgres_server: Server, place: Place
) -> None:
    database = unique("d")
    place.rows(f"CREATE DATABASE {database}")
    try:
        dsn = place.url.rpartition("/")[0] + f"/{database}"

        async def main() -> None:
            store = await open_postgres({"dsn": dsn})
            assert await ids(store) == []
            with pytest.raises(Unsupported):
                await add(store, "c", numbered(1))
            await store.close()
            store = await open_postgres({"dsn": dsn}, write=True, page_size=PAGE_SIZE)
            await add(store, "c", numbered(1))
            assert await ids(store) == ["c"]
            await store.close()
            connection = await asyncpg.connect(dsn)
            assert await connection.fetchval("SELECT count(*) FROM synapsekit_conversations") == 1
            await connection.close()

        run(main())
    finally:
        place.rows(f"DROP DATABASE {database} WITH (FORCE)")


@pytest.mark.parametrize(
    "name", ['a"b', "sp ace", "x'; DROP TABLE y; --", "ünï", "SELECT", "a.b", "back\\slash", "{x}"]
)
def test_hostile_names_are_quoted(place: Place, name: str) -> None:
    place.rows(f'CREATE SCHEMA "{place.table}"')
    try:
        write(place, "c", numbered(1), schema=place.table, table=name)
        assert [m.content for m in read(place, "c", schema=place.table, table=name)] == [
            "message 0"
        ]
        (found,) = place.rows(
            "SELECT count(*) FROM pg_tables WHERE schemaname = $1 AND tablename = $2",
            place.table, name,
        )  # fmt: skip
        assert found[0] == 1
    finally:
        place.rows(f'DROP SCHEMA "{place.table}" CASCADE')


@pytest.mark.parametrize("name", ["x" * 58, "é" * 29, "a\x00b"])
def test_names_that_the_server_would_cut_are_refused(place: Place, name: str) -> None:
    with pytest.raises(ProfileError, match="57 bytes"):
        run(opening(place, table=name))


def test_a_schema_or_a_database_that_is_not_there(place: Place) -> None:
    with pytest.raises(StoreNotFound):
        write(place, "c", numbered(1), schema=unique("no"))
    with pytest.raises(StoreNotFound, match="does not exist"):
        run(opening(place, dsn=place.url.rpartition("/")[0] + "/" + unique("no")))


def test_another_layout_is_refused(place: Place) -> None:
    with pytest.raises(Unsupported, match="no layout 'synapsekit' on PostgreSQL"):
        run(opening(place, layout="synapsekit"))


def test_a_database_in_another_encoding_can_be_read_and_not_written(place: Place) -> None:
    database = unique("d")
    place.rows(f"CREATE DATABASE {database} ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    try:
        dsn = place.url.rpartition("/")[0] + f"/{database}"
        with pytest.raises(Unsupported, match="LATIN1"):
            write(place, "c", numbered(1), dsn=dsn)
    finally:
        place.rows(f"DROP DATABASE {database} WITH (FORCE)")


@contextlib.contextmanager
def role(place: Place) -> Iterator[tuple[str, str]]:
    """A role without rights, with a password: its name and a DSN with it."""
    name = unique("r")
    place.rows(f"CREATE ROLE {name} LOGIN PASSWORD 'hush hush'")
    host = place.url.rpartition("@")[2]
    try:
        yield name, f"postgresql://{name}:hush%20hush@{host}"
    finally:
        place.rows(f"DROP OWNED BY {name}")
        place.rows(f"DROP ROLE {name}")


def test_what_a_role_may_not_do_is_access_denied(place: Place) -> None:
    with role(place) as (name, dsn):
        with pytest.raises(AccessDenied, match="permission denied"):
            write(place, "c", numbered(1), dsn=dsn)  # no CREATE in the schema public
        write(place, "c", numbered(1))
        with pytest.raises(AccessDenied, match="permission denied"):
            read(place, "c", dsn=dsn)
        place.rows(f"GRANT SELECT ON {{}} TO {name}")
        assert len(read(place, "c", dsn=dsn)) == 1
        with pytest.raises(AccessDenied):
            write(place, "c", numbered(1), dsn=dsn)
        place.rows(f"ALTER ROLE {name} SET default_transaction_read_only = on")
        place.rows(f'GRANT ALL ON {{}}, "{place.table}_meta", "{place.table}_calls" TO {name}')
        place.rows(f'GRANT ALL ON SEQUENCE "{place.table}_seq" TO {name}')
        with pytest.raises(AccessDenied, match="read-only"):
            write(place, "c", numbered(1), dsn=dsn)
        place.rows(f"ALTER ROLE {name} RESET default_transaction_read_only")
        write(place, "c", numbered(1), dsn=dsn)
        assert len(read(place, "c")) == 2


def test_tls_that_the_server_does_not_do_is_access_denied(
    place: Place, postgres_server: Server
) -> None:
    if not isinstance(postgres_server, Postgres):
        pytest.skip("another server may do TLS")
    with pytest.raises(AccessDenied, match="SSL"):
        run(opening(place, dsn=f"{place.url}?sslmode=require"))


def test_a_server_that_has_no_room_is_unavailable(place: Place) -> None:
    with role(place) as (name, dsn):
        place.rows(f"ALTER ROLE {name} CONNECTION LIMIT 0")
        with pytest.raises(StoreUnavailable, match="too many connections"):
            run(opening(place, dsn=dsn))


def test_a_stricter_isolation_by_default_changes_nothing(place: Place) -> None:
    with role(place) as (name, dsn):
        write(place, "c", numbered(1))
        place.rows(f"ALTER ROLE {name} SUPERUSER")
        place.rows(f"ALTER ROLE {name} SET default_transaction_isolation = 'serializable'")

        async def main() -> None:
            async with (
                place.opened(write=True, dsn=dsn) as one,
                place.opened(write=True, dsn=dsn) as two,
            ):
                await asyncio.gather(
                    *(add(s, "c", numbered(1, n)) for n in range(10) for s in (one, two))
                )
                assert len(await items(one, "c")) == 21

        run(main())


def test_parameters_that_only_libpq_knows_are_left_out(place: Place) -> None:
    write(place, "c", numbered(1))
    for extra in ("connect_timeout=3", "keepalives=1&channel_binding=prefer", "application_name=x"):
        assert len(read(place, "c", dsn=f"{place.url}?{extra}")) == 1
        assert len(read(place, "c", dsn=f"{place.url}?{extra}&sslmode=prefer")) == 1
    with pytest.raises(ProfileError, match="channel_binding"):
        read(place, "c", dsn=f"{place.url}?channel_binding=require")
    with pytest.raises(ProfileError):
        read(place, "c", dsn=f"{place.url}?sslmode=perhaps")


def test_a_socket_folder_and_several_hosts_are_addresses_too(
    place: Place, postgres_server: Server
) -> None:
    if not isinstance(postgres_server, Postgres):
        pytest.skip("only of our own server is the socket known")
    write(place, "c", numbered(1))
    head, _, host = place.url.rpartition("@")
    folder, port = postgres_server.socket_folder, postgres_server.port
    assert len(read(place, "c", dsn=f"{head}@/postgres?host={folder}&port={port}")) == 1
    assert len(read(place, "c", dsn=f"{head}@127.0.0.1:1,{host}")) == 1


# --- the command line ---


@pytest.fixture
def config(place: Place, tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    profiles = {
        "db": {"backend": "postgres", "dsn": place.url, "table": place.table},
        "wrong": {"backend": "postgres", "dsn": place.url.replace("s3cr", "wr0ng"), "table": "t"},
    }
    path.write_text(tomli_w.dumps({"default_profile": "db", "profiles": profiles}))
    path.chmod(0o600)
    return path


def test_the_commands_work_on_it(place: Place, config: Path, tmp_path: Path) -> None:
    def ok(*arguments: Any, stdin: bytes | None = None) -> str:
        result = cli(*arguments, "--config", config, stdin=stdin)
        assert result.exit_code == 0, (arguments, result.stderr)
        assert PASSWORD not in result.output
        return result.stdout

    ok("add", "c", "hello there")
    ok("add", "c", "general", "-r", "assistant", "-m", '{"k": 1}')
    assert "hello there" in ok("show", "c")
    (listed,) = json.loads(ok("ls", "--json"))
    assert (listed["conversation_id"], listed["messages"]) == ("c", 2)
    assert json.loads(ok("search", "general", "--json"))[0]["conversation_id"] == "c"
    exported = ok("export")
    ok("clear", "c", "--yes")
    assert ok("ls") == ""
    ok("undo")
    assert ok("export") == exported
    ok("clear", "c", "--yes")
    ok("import", stdin=exported.encode())
    assert ok("export") == exported
    ok("profile", "test", "db")
    there = tmp_path / "there.db"
    ok("migrate", "db", there)
    ok("check", "db", there)
    assert said(there) == {"c": ["hello there", "general"]}
    here = make(tmp_path / "here.db", {"new": ["one", "two"]})
    ok("migrate", here, "db")
    ok("check", "db", "db")
    ok("stats")
    ok("summarize", "new", "--method", "extractive")


def test_a_wrong_password_is_access_denied_and_shown_nowhere(config: Path) -> None:
    for command in (["ls"], ["add", "c", "x"], ["-v", "profile", "test", "wrong"]):
        words = [w for w in command if w != "-v"]
        if "profile" not in words:
            words += ["-p", "wrong"]
        result = cli(*words, "--config", config)
        assert result.exit_code == 5, result.output
        assert "wr0ng" not in result.output + result.stderr
        assert "password authentication failed" in result.stderr
