"""Ids of conversations in SQLite: of whatever kind, each is read as itself, or named."""

import asyncio
import contextlib
import itertools
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from synmem.backends.sqlite import ids as sqlite_ids
from synmem.errors import Rejected, StoreError
from synmem.messages import Conversation, Message
from synmem.store import START, Part, SupportsStrays, once
from tests.backends.sqlite.test_copying import moved
from tests.backends.sqlite.test_shapes import BARE_ID, COLUMNS, META, NUMBERED, dump, opened
from tests.conformance import add, begin, contents, details, ids, items, numbered

NOT_UTF8 = object()
TYPES = [
    "INTEGER", "NUMERIC", "UUID", "STRING", "REAL", "BLOB", "", "TEXT", "VARCHAR(36)",
    "TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM", "COLLATE NOCASE", "INTEGER COLLATE RTRIM",
]  # fmt: skip
VALUES: list[Any] = [
    1001, "1001", 7, "007", 0.5, 2.0**60, "bob", "Bob", "BOB ", "bob ", 2**63 - 1, -5, "é", "a\0b",
    10, 9, "1e3", "0x10",
]  # fmt: skip


def filled(
    path: Path,
    layout: str,
    column: str,
    values: Sequence[Any] = VALUES,
    *,
    rows: int = 5,
    key: str = NUMBERED,
    tail: str = "",
    before: Sequence[str] = (),
) -> Path:
    """A file whose column conversation_id is declared so, with rows of these conversations in
    turn: the nth of each says its value and n."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        for statement in before:
            db.execute(statement)
        _collation(db)
        columns = COLUMNS[layout].replace("conversation_id TEXT", f"conversation_id {column}", 1)
        db.execute(f"CREATE TABLE messages ({key}, {columns}) {tail}")
        db.execute("CREATE INDEX idx_conv_id ON messages(conversation_id)")
        if layout == "synmem":
            db.execute(META)
        put_rows(db, values, rows)
    return path


def put_rows(db: sqlite3.Connection, values: Sequence[Any], rows: int) -> None:
    for n, value in itertools.product(range(rows), values):
        text = "CAST(x'ff61' AS TEXT)" if value is NOT_UTF8 else "?"
        given = [] if value is NOT_UTF8 else [value]
        db.execute(
            "INSERT INTO messages (conversation_id, role, content) "
            f"VALUES ({text}, 'user', ? || ' ' || ?)",
            [*given, "odd" if value is NOT_UTF8 else repr(value), f"{n}"],
        )


def _collation(db: sqlite3.Connection) -> None:
    db.create_collation("theirs", lambda one, other: (one.lower() > other.lower()) * 2 - 1)


def lying(path: Path) -> dict[tuple[str, Any], list[str]]:
    """What each value in the column says, by its type and itself, in the order of the rows."""
    found: dict[tuple[str, Any], list[str]] = {}
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        for kind, value, content in db.execute(
            "SELECT typeof(conversation_id), conversation_id, content FROM messages ORDER BY id"
        ):
            found.setdefault((kind, value), []).append(content)
    return found


def meant(path: Path) -> tuple[dict[str, list[str]], int]:
    """What is to be read, by id; and how many values are to be named as stray."""
    there = lying(path)
    texts = {value for kind, value in there if kind == "text"}
    found: dict[str, list[str]] = {}
    strays = 0
    for (kind, value), said in there.items():
        shown = value if kind == "text" else repr(value)
        if (
            kind in ("null", "blob")
            or "\udcff" in shown
            or not shown
            or (kind != "text" and shown in texts)
        ):
            strays += 1
        else:
            found[shown] = said
    return found, strays


async def read_as(store: Any, expected: dict[str, list[str]]) -> None:
    """Every way of reading gives these conversations, and no other."""
    assert sorted(await ids(store)) == sorted(expected)
    told = await details(store)
    assert {i: info.messages for i, info in told.items()} == {
        i: len(said) for i, said in expected.items()
    }
    named = [i async for page in store.conversations([*expected, "none", "8"]) for i in page]
    assert sorted(info.id for info in named) == sorted(expected)
    for conversation, said in expected.items():
        assert await contents(store, conversation) == said
        backwards = [m.content for m in await items(store, conversation, reverse=True)]
        assert backwards == said[::-1]
    for more in ({}, {"limit": 2}, {"limit": 2, "reverse": True}):
        found: dict[str, list[str]] = {}
        async for page in store.read([*expected, "none"], **more):
            found.setdefault(page.conversation, []).extend(m.content for m in page.items)
        cut = {
            i: said[::-1][:2] if "reverse" in more else said[: more.get("limit")]
            for i, said in expected.items()
        }
        assert found == cut, more
    assert [m async for m in store.read(["none", "8", "BoB"])] == []


@pytest.fixture(params=["synmem", "synapsekit"])
def layout(request: Any) -> str:
    return str(request.param)


@pytest.mark.parametrize("column", TYPES)
@pytest.mark.parametrize(("key", "tail"), [(NUMBERED, ""), (BARE_ID, "WITHOUT ROWID")])
def test_an_id_of_any_kind_is_read_as_its_text_or_named(
    tmp_path: Path, layout: str, column: str, key: str, tail: str
) -> None:
    path = filled(tmp_path / "s.db", layout, column, key=key, tail=tail) if not tail else None
    if path is None:
        path = tmp_path / "s.db"
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            columns = COLUMNS[layout].replace(
                "conversation_id TEXT", f"conversation_id {column}", 1
            )
            db.execute(f"CREATE TABLE messages (id INTEGER PRIMARY KEY, {columns}) WITHOUT ROWID")
            if layout == "synmem":
                db.execute(META)
            for number, (n, value) in enumerate(itertools.product(range(5), VALUES)):
                db.execute(
                    "INSERT INTO messages (id, conversation_id, role, content) "
                    "VALUES (?, ?, 'user', ?)",
                    [number, value, f"{value!r} {n}"],
                )
    before = dump(path)
    expected, strays = meant(path)
    assert len(expected) + strays >= len(VALUES) - 5

    async def main() -> None:
        async with opened(path, page_size=2) as store:
            await read_as(store, expected)
            assert isinstance(store, SupportsStrays)
            assert len(await store.strays()) == len(await store.damage()) == strays
            async with opened(tmp_path / "dest.db", layout="synmem") as dest:
                await moved(store, dest)
                await read_as(dest, expected)

    asyncio.run(main())
    assert dump(path) == before


@pytest.mark.parametrize("column", TYPES)
def test_an_id_of_any_kind_is_written_as_itself_or_refused(
    tmp_path: Path, layout: str, column: str
) -> None:
    path = filled(tmp_path / "s.db", layout, column)
    expected, _ = meant(path)
    others = lying(path)

    async def main() -> None:
        async with opened(path, page_size=2) as store:
            for conversation in (
                "1001",
                "7",
                "bob",
                "Bob",
                "BOB ",
                "0.5",
                "new",
                "New",
                "12",
                "08",
            ):
                part = Part(Conversation(conversation), [Message("user", "more")])
                try:
                    await store.append([part])
                except Rejected as error:
                    assert "makes another id" in str(error), conversation
                    assert conversation not in expected
                    continue
                expected.setdefault(conversation, []).append("more")
                assert await contents(store, conversation) == expected[conversation]
            await read_as(store, expected)
            for conversation in ("bob", "7", "1001", "0.5"):
                if conversation not in expected:
                    continue
                said = expected[conversation]
                positions = [
                    p.position(i)
                    async for p in store.read([conversation])
                    for i in range(len(p.items))
                ]
                part = Part(Conversation(conversation), numbered(1))
                await store.append([part], keep=len(said))
                expected[conversation] = said = [*said[1:], numbered(1)[0].content]
                assert await contents(store, conversation) == said
                begins = await begin(store, conversation)
                upto = positions[3]
                await store.replace(
                    Conversation(conversation), once([Message("user", "front")]), upto=upto,
                    begins=begins,
                )  # fmt: skip
                expected[conversation] = ["front", *said[3:]]
                assert await contents(store, conversation) == expected[conversation]
            await read_as(store, expected)
            assert await store.delete("Bob")
            assert not await store.delete("Bob")
            del expected["Bob"]
            await read_as(store, expected)

    asyncio.run(main())
    kinds = {(kind, value) for kind, value in others if value != "Bob"}
    assert kinds <= {*lying(path)}  # none has become of another kind


def test_a_number_goes_back_to_a_column_of_numbers_and_not_to_one_of_any_kind(
    tmp_path: Path, layout: str
) -> None:
    async def main() -> None:
        for column, refused in (("INTEGER", set()), ("", {"1002"})):
            path = filled(tmp_path / f"{column}.db", layout, column, [1002, "bob"])
            async with opened(path) as store:
                before = dump(path)
                assert {*await store.refuses_back(["1002", "bob"])} == refused
                assert dump(path) == before

    asyncio.run(main())


def test_a_collation_that_only_its_program_knows_hinders_no_reading(
    tmp_path: Path, layout: str
) -> None:
    path = filled(tmp_path / "s.db", layout, "TEXT COLLATE theirs", ["a", "A", "b", "7"])
    expected, _ = meant(path)
    assert [*expected] == ["a", "A", "b", "7"]

    async def main() -> None:
        async with opened(path) as store:
            await read_as(store, expected)
            assert await store.damage() == []
            with pytest.raises(StoreError, match="no such collation sequence"):
                await add(store, "a", numbered(1))
            async with opened(tmp_path / "dest.db") as dest:
                await moved(store, dest)
                await read_as(dest, expected)

    asyncio.run(main())


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
def test_ids_of_a_file_in_utf16_come_in_an_order_that_loses_none(
    tmp_path: Path, layout: str, encoding: str
) -> None:
    """There a text is compared by other bytes than Python compares it."""
    names = ["a", "ā", "b", "Ā", "é", "中", "aa", "~", "\U0001f600", "\uffee"]
    path = filled(
        tmp_path / "s.db", layout, "TEXT", names, rows=3, before=[f"PRAGMA encoding='{encoding}'"]
    )
    expected, _ = meant(path)

    async def main() -> None:
        async with opened(path, page_size=2) as store:
            await read_as(store, expected)
            async with opened(tmp_path / "dest.db", layout="synmem") as dest:
                await moved(store, dest)
                await read_as(dest, expected)
            await store.delete("ā")
            del expected["ā"]
            await read_as(store, expected)

    asyncio.run(main())


@pytest.mark.parametrize("column", ["TEXT", "", "INTEGER", "TEXT COLLATE NOCASE"])
def test_an_id_that_is_not_utf8_hides_no_other(tmp_path: Path, layout: str, column: str) -> None:
    path = filled(tmp_path / "s.db", layout, column, ["a", NOT_UTF8, "b", "é", "\U0001f600", "c"])
    expected, strays = meant(path)
    assert (len(expected), strays) == (5, 1)

    async def main() -> None:
        for first in ("damage", "ids"):
            async with opened(path, page_size=2) as store:
                if first == "ids":
                    await read_as(store, expected)
                [damage] = await store.damage()
                assert damage.position == "row 2"
                assert "not UTF-8" in damage.reason
                assert "5 such rows" in damage.reason
                await read_as(store, expected)
                assert len(await store.strays()) == 1
        async with opened(path, write=False) as store, opened(tmp_path / "d.db") as dest:
            await moved(store, dest)
            await read_as(dest, expected)

    asyncio.run(main())


@pytest.mark.parametrize(
    "view",
    [
        "SELECT * FROM log",
        "SELECT 7 AS id, conversation_id, role, content, metadata FROM log",
        "SELECT NULL AS id, conversation_id, role, content, metadata FROM log",
        "SELECT CAST(id / 3 AS TEXT) AS id, conversation_id, role, content, metadata FROM log",
        "SELECT a.id, a.conversation_id, a.role, a.content, a.metadata FROM log AS a, three",
    ],
)
def test_where_nothing_numbers_the_rows_each_comes_once(tmp_path: Path, view: str) -> None:
    """A join that gives a row three times gives three messages, and not for ever."""
    path = filled(tmp_path / "s.db", "synapsekit", "TEXT", ["a", "b"], rows=40)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("ALTER TABLE messages RENAME TO log")
        db.execute("CREATE TABLE three (n)")
        db.executemany("INSERT INTO three VALUES (?)", [(1,), (2,), (3,)])
        db.execute(f"CREATE VIEW messages AS {view}")
        there = [row[0] for row in db.execute("SELECT content FROM messages")]

    async def main() -> None:
        async with opened(path, page_size=2) as store:
            for name in ("a", "b"):
                found = await contents(store, name)
                assert sorted(found) == sorted(c for c in there if c.startswith(repr(name)))
                back = [m.content for m in await items(store, name, reverse=True)]
                assert back == found[::-1]
                last = [m.content for m in await items(store, name, reverse=True, limit=9)]
                assert last == found[::-1][:9]
                pages = [page async for page in store.read([name], limit=11)]
                after = pages[-1].position(-1)
                rest = [m.content for m in await items(store, name, after=after)]
                assert rest == found[11:]
                before = await items(store, name, after=after, reverse=True)
                assert [m.content for m in before] == found[:10][::-1]
            assert {i.messages for i in (await details(store)).values()} == {len(there) // 2}
            async with opened(tmp_path / "dest.db", layout="synmem") as dest:
                entries, _ = await moved(store, dest)
                assert [entry[7] for entry in entries] == [True, True]

    asyncio.run(main())


@pytest.mark.parametrize("computed", ["conversation_id", "content", "metadata", "role"])
@pytest.mark.parametrize("kept", ["STORED", "VIRTUAL"])
def test_a_column_of_the_layout_that_is_computed_is_read(
    tmp_path: Path, computed: str, kept: str
) -> None:
    path = tmp_path / "s.db"
    columns = {"conversation_id": "TEXT", "role": "TEXT", "content": "TEXT", "metadata": "TEXT"}
    columns[computed] = f"TEXT GENERATED ALWAYS AS (upper(_{computed})) {kept}"
    given = {"conversation_id": "c", "role": "user", "content": "hello", "metadata": None}
    given[f"_{computed}"] = given.pop(computed)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        told = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        db.execute(f"CREATE TABLE messages ({NUMBERED}, _{computed} TEXT, {told})")
        db.execute(
            f"INSERT INTO messages ({', '.join(given)}) VALUES ({', '.join('?' * len(given))})",
            [*given.values()],
        )

    async def main() -> None:
        async with opened(path) as store:
            name = "C" if computed == "conversation_id" else "c"
            assert await ids(store) == [name]
            assert [m.content.lower() for m in await items(store, name)] == ["hello"]
            for attempt in (add(store, name, numbered(1)), store.delete(name)):
                with pytest.raises(StoreError, match="is computed from other columns"):
                    await attempt
            async with opened(tmp_path / "dest.db", layout="synmem") as dest:
                entries, _ = await moved(store, dest)
                assert [entry[7] for entry in entries] == [True]

    asyncio.run(main())


def test_the_end_of_numbers_is_said(tmp_path: Path, layout: str) -> None:
    for name, statement in {
        "high": f"UPDATE messages SET id = {2**63 - 1} WHERE id = 4",
        "counter": f"UPDATE sqlite_sequence SET seq = {2**63 - 1}",
        "large": "UPDATE sqlite_sequence SET seq = 1e300",
    }.items():
        path = filled(tmp_path / f"{name}.db", layout, "TEXT", ["a", "b"], rows=2)
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.execute(statement)
        before = dump(path)
        expected, _ = meant(path)

        async def main(path: Path = path, expected: Any = expected) -> None:
            async with opened(path) as store:
                await read_as(store, expected)
                with pytest.raises(StoreError, match="no higher one free"):
                    await add(store, "a", numbered(1))
                with pytest.raises(StoreError, match="no higher one free"):
                    await store.replace(Conversation("c"), once(numbered(1)), upto=START)

        asyncio.run(main())
        assert dump(path) == before
    path = filled(tmp_path / "low.db", layout, "TEXT", ["a", "b"], rows=2)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(f"UPDATE messages SET id = {-(2**63)} WHERE id = 1")

    async def low() -> None:
        async with opened(path) as store:
            with pytest.raises(StoreError, match="no lower one free"):
                await store.replace(Conversation("a"), once(numbered(1)), upto=START)
            await add(store, "a", numbered(1))

    asyncio.run(low())


@pytest.mark.parametrize("value", ["abc", None, b"x", 1.5, 0, -7, ""])
def test_a_counter_of_numbers_that_is_none_misleads_nobody(tmp_path: Path, value: Any) -> None:
    path = filled(tmp_path / "s.db", "synapsekit", "TEXT", ["a", "b"], rows=2)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE sqlite_sequence SET seq = ?", [value])
        db.execute("INSERT INTO sqlite_sequence VALUES ('messages', ?)", [value])

    async def main() -> None:
        async with opened(path) as store:
            await add(store, "a", numbered(2))
            assert len(await items(store, "a")) == 4
            assert await contents(store, "a") == [
                "'a' 0",
                "'a' 1",
                *(await contents(store, "a"))[2:],
            ]

    asyncio.run(main())


TRIGGERS = {
    "left out": "BEFORE INSERT ON messages WHEN new.content LIKE '%bad%' "
    "BEGIN SELECT RAISE(IGNORE); END",
    "taken away": "AFTER INSERT ON messages WHEN new.content LIKE '%bad%' "
    "BEGIN DELETE FROM messages WHERE id = new.id; END",
    "altered": "AFTER INSERT ON messages WHEN new.content LIKE '%bad%' "
    "BEGIN UPDATE messages SET content = 'good' WHERE id = new.id; END",
    "moved": "AFTER INSERT ON messages WHEN new.content LIKE '%bad%' "
    "BEGIN UPDATE messages SET conversation_id = 'z' WHERE id = new.id; END",
}


@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("rich", [False, True])
def test_what_a_trigger_does_not_let_in_is_refused_by_name(
    tmp_path: Path, layout: str, trigger: str, rich: bool
) -> None:
    path = filled(tmp_path / "s.db", layout, "TEXT", ["a"], rows=3)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(f"CREATE TRIGGER t {TRIGGERS[trigger]}")
    before = dump(path)
    many = [Message("user", f"{n}", {"k": n} if rich else None) for n in range(120)]
    many[70] = Message("user", "bad", {"k": 1} if rich else None)

    async def main() -> None:
        async with opened(path) as store:
            with pytest.raises(Rejected) as refused:
                await store.append([Part(Conversation("a"), many)])
            assert [(i, n) for i, n, _ in refused.value.reasons] == [("a", 70)]
            with pytest.raises(Rejected) as refused:
                await store.replace(Conversation("a"), once(many), upto=START)
            assert [(i, n) for i, n, _ in refused.value.reasons] == [("a", 70)]
            assert dump(path) == before
            assert await store.append([Part(Conversation("a"), many[:70])])
            await store.delete("a")

    asyncio.run(main())


def test_a_trigger_that_keeps_rows_is_said_where_they_are_removed(
    tmp_path: Path, layout: str
) -> None:
    path = filled(tmp_path / "s.db", layout, "TEXT", ["a", "b"], rows=3)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "CREATE TRIGGER t BEFORE DELETE ON messages WHEN old.conversation_id = 'a' "
            "BEGIN SELECT RAISE(IGNORE); END"
        )
    before = dump(path)

    async def main() -> None:
        async with opened(path) as store:
            with pytest.raises(StoreError, match="would not let them go"):
                await store.delete("a")
            with pytest.raises(StoreError, match="would not let them go"):
                await store.replace(
                    Conversation("a"), once(numbered(1)), upto=(await begin(store, "a"))
                )
            assert dump(path) == before
            assert await store.delete("b")

    asyncio.run(main())


def test_a_trigger_may_fill_what_was_left_empty(tmp_path: Path) -> None:
    path = filled(tmp_path / "s.db", "synapsekit", "TEXT", ["a"], rows=1)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("ALTER TABLE messages ADD COLUMN changed TEXT")
        db.execute(
            "CREATE TRIGGER t AFTER INSERT ON messages "
            "BEGIN UPDATE messages SET changed = 'now' WHERE id = new.id; END"
        )

    async def main() -> None:
        async with opened(path) as store:
            await add(store, "a", numbered(3))
            await store.replace(Conversation("a"), once(numbered(2)), upto=START)
            assert len(await items(store, "a")) == 6

    asyncio.run(main())


def test_text_that_a_column_makes_a_number_of_is_refused(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "s.db"
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        columns = COLUMNS[layout].replace("content TEXT", "content NUMERIC")
        db.execute(f"CREATE TABLE messages ({NUMBERED}, {columns})")
        if layout == "synmem":
            db.execute(META)

    async def main() -> None:
        async with opened(path) as store:
            with pytest.raises(Rejected) as refused:
                await add(store, "a", [Message("user", "words"), Message("user", "007")])
            assert [n for _, n, _ in refused.value.reasons] == [1]
            await add(store, "a", [Message("user", "words")])
            assert await contents(store, "a") == ["words"]

    asyncio.run(main())


@pytest.mark.parametrize("column", ["INTEGER", "", "TEXT", "TEXT COLLATE NOCASE"])
def test_an_index_finds_ids_of_every_kind(tmp_path: Path, column: str) -> None:
    """A question about one conversation looks at no other's rows."""
    path = filled(tmp_path / "s.db", "synapsekit", column, [1001, "b"])
    with contextlib.closing(sqlite3.connect(path)) as db:
        kept = sqlite_ids.ids_of("table", f"x {column}", "UTF-8", column.partition(" COLL")[0])
        one = 1001 if column in ("INTEGER", "") else "1001"
        for values in ([one], [one, "b"], [one, 5, "b", "c"]):
            where, given = kept.where(values)
            plan = db.execute(f"EXPLAIN QUERY PLAN SELECT * FROM messages WHERE {where}", given)
            assert "SCAN" not in str([*plan])


def test_text_that_is_not_utf8_leaves_no_lock(tmp_path: Path, layout: str) -> None:
    """A query that broke off stood in the file, and whoever wanted to write waited for it."""
    path = filled(tmp_path / "s.db", layout, "TEXT", ["a", NOT_UTF8])

    async def main() -> None:
        async with opened(path, write=False) as store, opened(path) as other:
            assert await ids(store) == ["a"]
            assert len(await store.damage()) == 1
            await add(other, "a", numbered(1))

    asyncio.run(main())


@pytest.mark.parametrize("instead", ["", "CREATE TABLE messages_meta (k, v)"])
def test_messages_are_read_and_written_where_the_table_beside_them_is_gone(
    tmp_path: Path, instead: str
) -> None:
    path = filled(tmp_path / "s.db", "synmem", "TEXT", ["a", "b"])
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TABLE messages_meta")
        if instead:
            db.execute(instead)
    expected, _ = meant(path)

    async def main() -> None:
        async with opened(path) as store:
            assert not store.holds.conversation_fields
            await read_as(store, expected)
            await add(store, "a", numbered(1))
            assert await store.delete("a")
            async with opened(tmp_path / "dest.db") as dest:
                entries, _ = await moved(store, dest)
                assert [entry[7] for entry in entries] == [True]

    asyncio.run(main())


@pytest.mark.parametrize("column", ["INTEGER", "TEXT COLLATE NOCASE", "TEXT COLLATE theirs"])
def test_where_no_index_finds_them_a_look_through_the_table_is_for_many_conversations(
    tmp_path: Path, column: str
) -> None:
    path = filled(tmp_path / "s.db", "synapsekit", column, [*range(1000, 1600)], rows=3)
    if "theirs" not in column:  # of which the index cannot be used at all
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.execute("DROP INDEX idx_conv_id")
    expected, _ = meant(path)
    looks = 0

    def count() -> None:
        nonlocal looks
        looks += 1

    async def main() -> None:
        async with opened(path, layout="synapsekit", page_size=500) as store:
            connection = store.place.file.connection
            await connection.set_progress_handler(count, 1000)
            pages = [page async for page in store.read(sorted(expected))]
        found: dict[str, list[str]] = {}
        for page in pages:
            found.setdefault(page.conversation, []).extend(m.content for m in page.items)
        assert found == expected

    asyncio.run(main())
    # In thousands of steps: 600 looks through 1,800 rows would be more than 3,000.
    assert looks < 1000
