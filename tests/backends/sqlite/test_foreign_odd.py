"""LangChain's table as somebody else made it: a file of UTF-16, ids of rows that repeat or are none,
columns that it does not know."""

import asyncio
import contextlib
import json
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synmem.backends.sqlite import file as sqlite_file
from synmem.backends.sqlite import foreign_sweep, foreign_table
from synmem.backends.sqlite.foreign_sweep import Sweep
from synmem.errors import CorruptData, Rejected, StoreError, Unsupported
from synmem.messages import Conversation, Message, Unreadable
from synmem.store import START, Part
from tests.backends.sqlite.test_ids import ids, moved, read_as
from tests.backends.sqlite.test_store import opened
from tests.conformance import add, contents, items, numbered

NAMES = ["a", "ā", "b", "Ā", "é", "中", "aa", "~", "\U0001f600", "\uffee", "aĀ"]


def human(text: str) -> str:
    """A message as LangChain stores it."""
    return json.dumps({"type": "human", "data": {"content": text}})


def filled(
    path: Path, columns: str, rows: Sequence[Sequence[Any]], more: Sequence[str] = ()
) -> dict[str, list[str]]:
    """A file with a table of these columns and rows (id, session, text); what SQLite itself gives
    in the order that LangChain asks for."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.create_collation("theirs", lambda one, other: (one > other) - (one < other))
        for statement in (*more, f"CREATE TABLE message_store ({columns})"):
            db.execute(statement)
        db.executemany(
            "INSERT INTO message_store (id, session_id, message) VALUES (?, ?, ?)",
            [(number, name, human(text)) for number, name, text in rows],
        )
        db.commit()
        expected: dict[str, list[str]] = {}
        for name, said in db.execute(
            "SELECT session_id, message FROM message_store ORDER BY id, rowid"
        ):
            expected.setdefault(name, []).append(json.loads(said)["data"]["content"])
    return expected


@pytest.mark.parametrize("remembered", [1, 4, 1000])
@pytest.mark.parametrize("index", ["", ", UNIQUE (session_id, id)"])
@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
def test_a_file_in_utf16_is_read_in_the_order_that_all_stores_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, index: str, remembered: int
) -> None:
    """There a text is compared by other bytes; out of order, half of them would not be copied."""
    monkeypatch.setattr(foreign_sweep, "_ROWS", remembered)
    path = tmp_path / "m.db"
    rows = [(None, name, f"{name} {n}") for n in range(3) for name in NAMES]
    columns = f"id INTEGER NOT NULL, session_id TEXT, message TEXT, PRIMARY KEY (id){index}"
    expected = filled(path, columns, rows, [f"PRAGMA encoding='{encoding}'"])

    async def main() -> None:
        for write in (False, True):
            async with opened(path, page_size=2, layout="langchain", write=write) as store:
                assert await ids(store) == sorted(NAMES)
                await read_as(store, expected)
                assert await store.strays() == []
                if write:
                    await add(store, "ā", numbered(1))
                    await store.delete("Ā")
                    expected["ā"].append("message 0")
                    del expected["Ā"]
                    await read_as(store, expected)
                async with opened(tmp_path / f"{write}.db", write=True) as dest:
                    await moved(store, dest)
                    await read_as(dest, expected)

    asyncio.run(main())


def test_a_table_that_is_made_in_a_file_of_utf16(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA encoding='UTF-16le'")
        db.execute("CREATE TABLE unrelated (x)")

    async def main() -> None:
        async with opened(path, layout="langchain", write=True, page_size=2) as store:
            for name in NAMES:
                await add(store, name, numbered(1))
            await read_as(store, {name: ["message 0"] for name in NAMES})
            assert await ids(store) == sorted(NAMES)

    asyncio.run(main())


def test_what_is_no_utf16_is_named_and_hides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    columns = "id INTEGER PRIMARY KEY, session_id TEXT, message TEXT"
    expected = filled(
        path, columns, [(None, "a", "1"), (None, "b", "2")], ["PRAGMA encoding='UTF-16le'"]
    )
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO message_store VALUES (7, CAST(x'610000d8' AS TEXT), '')")
        db.execute("INSERT INTO message_store VALUES (8, '', '')")
        db.execute("INSERT INTO message_store VALUES (9, x'61', '')")
        db.commit()

    async def main() -> None:
        async with opened(path) as store:
            await read_as(store, expected)
            assert [(d.position, d.reason) for d in await store.strays()] == [
                ("row 7", "its session_id is not UTF-16"),
                ("row 8", "its session_id is empty"),
                ("row 9", "its session_id is a BLOB"),
            ]

    asyncio.run(main())


@pytest.mark.parametrize("index", ["", ", UNIQUE (session_id, message)"])
@pytest.mark.parametrize(
    ("declared", "numbers"),
    [
        ("INTEGER", [7, 7, 7, 7, 7, 7, 7]),
        ("INTEGER", [None, 2, None, 1, 2, -3, None]),
        ("INTEGER PRIMARY KEY DESC", [3, 2, None, 1, 7, -3, None]),
        ("TEXT", ["10", "9", "1", "b", "", None, "10"]),
        ("TEXT PRIMARY KEY", ["10", "9", "1", "b", "", "ä", "a"]),
        ("", [b"\xff", 1.5, float("inf"), "x", None, -float("inf"), b""]),
        ("VARCHAR COLLATE NOCASE", ["b", "A", "a", "B", "C", "c", "A"]),
    ],
)
def test_rows_whose_id_does_not_number_them_come_each_once_in_its_order(
    tmp_path: Path, declared: str, numbers: Sequence[Any], index: str
) -> None:
    path = tmp_path / "m.db"
    rows = [
        (number, name, f"{name} {n}")
        for n, number in enumerate(numbers)
        for name in (("a", "b", "c") if "PRIMARY" not in declared else ("a",))
    ]
    expected = filled(path, f"id {declared}, session_id TEXT, message TEXT{index}", rows)
    before = path.read_bytes()

    async def main() -> None:
        async with opened(path, page_size=2) as store:
            await read_as(store, expected)
            async with opened(tmp_path / "dest.db", write=True) as dest:
                await moved(store, dest)
                await read_as(dest, expected)
        async with opened(path, layout="langchain", write=True) as store:
            for write in (add(store, "a", numbered(1)), store.delete("a"), store.refuses_back([])):
                with pytest.raises(Unsupported, match="id is no INTEGER PRIMARY KEY"):
                    await write

    asyncio.run(main())
    assert path.read_bytes() == before


def test_a_row_that_is_put_elsewhere_between_two_pages_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    filled(path, "id, session_id, message", [(n, "a", str(n)) for n in range(6)])

    async def main() -> None:
        async with opened(path, page_size=2) as store:
            pages = store.read(["a"])
            await anext(pages)
            with contextlib.closing(sqlite3.connect(path)) as db:
                db.execute("UPDATE message_store SET id = 9 WHERE id = 1")
                db.commit()
            with pytest.raises(StoreError, match="changed while it was used"):
                await anext(pages)

    asyncio.run(main())


def test_a_table_in_which_nothing_numbers_the_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(
            "CREATE TABLE message_store (id TEXT, session_id TEXT, message TEXT, "
            "PRIMARY KEY (session_id, id)) WITHOUT ROWID"
        )

    async def main() -> None:
        async with opened(path):
            pass

    with pytest.raises(CorruptData, match="nothing numbers the rows of its table message_store"):
        asyncio.run(main())


def test_a_column_of_somebody_that_must_have_a_value_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    expected = filled(
        path,
        "id INTEGER PRIMARY KEY, session_id TEXT, message TEXT, tenant TEXT NOT NULL DEFAULT 'x'",
        [(None, "a", "1")],
    )

    async def main() -> None:
        async with opened(path, layout="langchain", write=True) as store:
            await add(store, "a", numbered(1))
            expected["a"].append("message 0")
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute(
                "CREATE TABLE other (id INTEGER PRIMARY KEY, session_id, message, tenant NOT NULL)"
            )
            db.execute("INSERT INTO other SELECT * FROM message_store")
            db.execute("DROP TABLE message_store")
            db.commit()
        async with opened(path, layout="langchain", table="OTHER", write=True) as store:
            with pytest.raises(Rejected, match="column 'tenant' must have a value"):
                await add(store, "a", numbered(1))
            await read_as(store, expected)
            assert store.holds.unread == ("tenant",)

    asyncio.run(main())


@pytest.mark.parametrize("index", ["", ", UNIQUE (session_id, id)"])
def test_what_others_write_while_many_are_read_hides_no_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: str
) -> None:
    """Between the look that tells the numbers of rows and their reading, all rows of one
    conversation are replaced by others."""
    path = tmp_path / "m.db"
    names = [f"c{n}" for n in range(9)]
    columns = f"id INTEGER NOT NULL, session_id TEXT, message TEXT, PRIMARY KEY (id){index}"
    expected = filled(
        path, columns, [(None, name, f"{name} {n}") for n in (0, 1) for name in names]
    )
    numbers = Sweep.numbers

    async def then_written(
        sweep: Sweep, some: Sequence[str], **how: bool
    ) -> dict[str, list[Any] | None]:
        told = await numbers(sweep, some, **how)
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("DELETE FROM message_store WHERE session_id = 'c5'")
            rows = [("c5", human(text)) for text in expected["c5"]]
            db.executemany("INSERT INTO message_store (session_id, message) VALUES (?, ?)", rows)
            db.commit()
        return told

    async def main() -> None:
        monkeypatch.setattr(Sweep, "numbers", then_written)
        async with opened(path, page_size=100) as store:
            found: dict[str, list[str]] = {}
            async for page in store.read(names):
                found.setdefault(page.conversation, []).extend(m.content for m in page.items)
            assert found == expected

    asyncio.run(main())


def test_no_query_looks_through_more_rows_than_others_can_wait_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as one runs, nobody else can write to the file."""
    monkeypatch.setattr(foreign_table, "A_LOOK", 25)
    monkeypatch.setattr(foreign_sweep, "_ROWS", 60)
    path = tmp_path / "m.db"
    names = [f"c{n:02}" for n in range(20)]
    rows = [(None, name, f"{name} {n}") for n in range(25) for name in names]
    expected = filled(path, "id INTEGER PRIMARY KEY, session_id TEXT, message TEXT", rows)
    longest = [0]
    execute = sqlite_file._Connection.execute

    def counting(self: Any, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        steps = [0]

        def step() -> int:
            steps[0] += 100
            longest[0] = max(longest[0], steps[0])
            return 0

        if "message_store" in sql:
            self.set_progress_handler(step, 100)
        return execute(self, sql, parameters)

    async def main() -> None:
        monkeypatch.setattr(sqlite_file._Connection, "execute", counting)
        async with opened(path, page_size=2) as store:
            await read_as(store, expected)
            assert await store.strays() == []
            assert await contents(store, "c07", reverse=True) == expected["c07"][::-1]

    asyncio.run(main())
    assert 0 < longest[0] < 25 * 60  # of 500 rows, of which each takes at least 5 steps


@given(
    numbers=st.sets(st.integers(-(2**63), 2**63 - 1) | st.integers(-20, 40), max_size=60),
    ends=st.tuples(st.integers(-30, 50), st.integers(-30, 50)),
    reverse=st.booleans(),
)
@settings(deadline=None, max_examples=50)
def test_ranges_have_every_number_once(
    numbers: set[int], ends: tuple[int, int], reverse: bool
) -> None:
    low, high = min(*ends, *numbers), max(*ends, *numbers)

    async def main() -> list[tuple[int, int]]:
        async with opened(path) as store:
            table = store._table
            async with table.file.step():
                return [each async for each in table.ranges(low, high, reverse=reverse)]

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(foreign_table, "A_LOOK", 7)
        path = Path(folder) / "m.db"
        filled(
            path,
            "id INTEGER PRIMARY KEY, session_id TEXT, message TEXT",
            [(number, "a", "") for number in numbers | {0}],
        )
        found = asyncio.run(main())
    if reverse:
        found.reverse()
    assert (found[0][0], found[-1][1]) == (low, high)
    assert all(last + 1 == first for (_, last), (first, _) in pairwise(found))
    assert all(sum(a <= n <= z for n in numbers | {0}) <= 7 for a, z in found)


def test_what_others_write_between_two_readings_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    rows = [(10 + n, "ab"[n % 2], f"{n}") for n in range(4)]
    filled(path, "id INTEGER PRIMARY KEY, session_id TEXT, message TEXT", rows)
    steps = [
        ("INSERT INTO message_store VALUES (14, 'a', ?)", {"a": "024", "b": "13"}),  # behind
        ("INSERT INTO message_store VALUES (5, 'b', ?)", {"a": "024", "b": "413"}),  # in front
        ("UPDATE message_store SET session_id = 'b' WHERE id = 14 AND ? > ''", {"a": "02", "b": "4134"}),
        ("DELETE FROM message_store WHERE id > 12 AND ? > ''", {"a": "02", "b": "41"}),
        ("INSERT INTO message_store VALUES (13, 'c', ?)", {"a": "02", "b": "41", "c": "4"}),
    ]  # fmt: skip

    async def main() -> None:
        async with opened(path, page_size=2) as store:
            await read_as(store, {"a": ["0", "2"], "b": ["1", "3"]})
            for sql, expected in steps:
                with contextlib.closing(sqlite3.connect(path)) as db:
                    db.execute(sql, [human("4")])
                    db.commit()
                await read_as(store, {name: [*said] for name, said in expected.items()})

    asyncio.run(main())


@pytest.mark.parametrize("index", ["", ", UNIQUE (session_id, id)"])
@pytest.mark.parametrize("listed", [False, True])
def test_an_id_that_is_not_utf8_is_named_whoever_asks_first(
    tmp_path: Path, index: str, listed: bool
) -> None:
    path = tmp_path / "m.db"
    columns = f"id INTEGER PRIMARY KEY, session_id TEXT, message TEXT{index}"
    expected = filled(
        path, columns, [(None, name, name) for name in ("a", "b", "\U0010ffff" * 400)]
    )
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO message_store VALUES (30, CAST(x'ff41' AS TEXT), '')")
        db.commit()

    async def main() -> None:
        async with opened(path) as store:
            if listed:
                await read_as(store, expected)
            for _ in range(2):
                [damage] = await store.strays()
                assert (damage.position, damage.reason) == ("row 30", "its session_id is not UTF-8")
            await read_as(store, expected)

    asyncio.run(main())


@pytest.mark.parametrize("declared", ["INTEGER", "UUID", "REAL"])
def test_a_column_that_makes_numbers_of_ids_takes_none_that_look_like_one(
    tmp_path: Path, declared: str
) -> None:
    path = tmp_path / "m.db"
    columns = f"id INTEGER PRIMARY KEY, session_id {declared}, message TEXT"
    filled(path, columns, [(None, "a", "1"), (None, "7", "2")])

    async def main() -> None:
        async with opened(path, layout="langchain", write=True) as store:
            await read_as(store, {"a": ["1"]})
            assert [damage.position for damage in await store.strays()] == ["row 2"]
            assert not await store.delete("7")
            for name in ("7", "01", " 7.0 ", "1e3"):
                with pytest.raises(Rejected, match="makes a number of it"):
                    await add(store, name, numbered(1))
            await add(store, "user-7", numbered(1))
            await read_as(store, {"a": ["1"], "user-7": ["message 0"]})

    asyncio.run(main())


@pytest.mark.parametrize(
    ("columns", "after"),
    [
        (
            "message TEXT",
            "CREATE TRIGGER t BEFORE DELETE ON message_store BEGIN SELECT RAISE(IGNORE); END",
        ),
        ("message TEXT", "CREATE TRIGGER t AFTER INSERT ON Message_Store BEGIN SELECT 1; END"),
        ("message TEXT UNIQUE ON  CONFLICT IGNORE", ""),
    ],
)
def test_what_may_do_something_else_with_a_row_is_not_written(
    tmp_path: Path, columns: str, after: str
) -> None:
    path = tmp_path / "m.db"
    expected = filled(
        path, f"id INTEGER PRIMARY KEY, session_id TEXT, {columns}", [(None, "a", "1")]
    )
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(after or "SELECT 1")

    async def main() -> None:
        async with opened(path, layout="langchain", write=True) as store:
            for write in (
                add(store, "a", numbered(1)),
                store.delete("a"),
                store.refuses_back(["a"]),
            ):
                with pytest.raises(Unsupported, match=r"trigger|ON CONFLICT"):
                    await write
            await read_as(store, expected)

    asyncio.run(main())


def test_a_message_that_is_not_utf8_hides_nothing_wherever_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    filled(path, "id INTEGER PRIMARY KEY, session_id TEXT, message TEXT", [(2, "a", "1")])
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO message_store VALUES (1, 'a', CAST(x'ff41' AS TEXT))")
        db.commit()

    async def main() -> None:
        async with opened(path) as store:
            broken, message = await items(store, "a")
            assert isinstance(broken, Unreadable)
            assert message.content == "1"

    asyncio.run(main())


@pytest.mark.parametrize("collation", ["RTRIM", "NOCASE", "theirs"])
def test_ids_are_told_apart_by_their_bytes_whatever_their_collation(
    tmp_path: Path, collation: str
) -> None:
    path = tmp_path / "m.db"
    columns = f"id INTEGER PRIMARY KEY, session_id TEXT COLLATE {collation}, message TEXT"
    expected = filled(path, columns, [(None, name, name) for name in ("  ", "a", "A", "a ")])

    async def main() -> None:
        async with opened(path) as store:
            await read_as(store, expected)
            assert await store.strays() == []

    asyncio.run(main())


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
@pytest.mark.parametrize(("collation", "other"), [("NOCASE", "Bob"), ("RTRIM", "bob ")])
def test_what_the_table_takes_for_another_conversation_is_not_written(
    tmp_path: Path, collation: str, other: str, encoding: str
) -> None:
    path = tmp_path / "m.db"
    columns = f"id INTEGER PRIMARY KEY, session_id TEXT COLLATE {collation}, message TEXT"
    more = [f"PRAGMA encoding='{encoding}'"]
    expected = filled(path, columns, [(None, name, name) for name in (other, "c", "C ")], more)

    async def main() -> None:
        async with opened(path, layout="langchain", write=True) as store:
            parts = [Part(Conversation(name), numbered(1)) for name in ("new", "new ", "NEW")]
            for write in (
                add(store, "bob", numbered(1)),
                store.append(parts),
                store.replace(Conversation("bob"), _pages(numbered(1)), upto=START),
            ):
                with pytest.raises(Rejected, match="are one to the table's column 'session_id'"):
                    await write
            await read_as(store, expected)
            await add(store, other, numbered(1))
            await add(store, "d", numbered(1))
            assert await store.refuses_back([other, "d"]) == {}

    asyncio.run(main())


def test_one_of_two_conversations_that_the_table_takes_for_one_is_not_removed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "m.db"
    columns = "id INTEGER PRIMARY KEY, session_id TEXT COLLATE NOCASE, message TEXT"
    expected = filled(path, columns, [(None, name, name) for name in ("Bob", "bob")])

    async def main() -> None:
        async with opened(path, layout="langchain", write=True) as store:
            assert {*await store.refuses_back(["bob", "d"])} == {"bob"}
            with pytest.raises(Rejected, match=r"'bob'.*'Bob' are one"):
                await store.delete("bob")
            await read_as(store, expected)

    asyncio.run(main())


_LEAN = "session_id TEXT, message TEXT"


@pytest.mark.parametrize(
    ("columns", "more"),
    [
        ("session_id TEXT, message TEXT CHECK (length(message) < 70)", ""),
        ("session_id TEXT, message TEXT CHECK (theirs(message))", ""),
        (f"{_LEAN}, CHECK (length(message) < 70)", ""),
        (f"{_LEAN}, size INT AS (length(message)), CHECK (size < 70)", ""),
        (_LEAN, "CREATE UNIQUE INDEX u ON message_store (length(message))"),
    ],
)
def test_what_the_table_would_not_take_back_is_told_before_it_goes(
    tmp_path: Path, columns: str, more: str
) -> None:
    """LangChain's words for a message are longer than those that somebody wrote it in."""
    path = tmp_path / "m.db"
    made = f"CREATE TABLE message_store (id INTEGER PRIMARY KEY, {columns})"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.create_function("theirs", 1, lambda text: len(text) < 70, deterministic=True)
        for statement in (made, more):
            db.execute(statement)
        for number, name, text in ((1, "a", "x"), (2, "a", "yy"), (3, "b", "z" * 80)):
            with contextlib.suppress(sqlite3.IntegrityError):
                db.execute(
                    "INSERT INTO message_store VALUES (?, ?, ?)", (number, name, human(text))
                )
        db.commit()
        before = db.execute("SELECT * FROM message_store").fetchall()

    async def main() -> None:
        async with opened(path, layout="langchain", write=True) as store:
            refused = await store.refuses_back(["a", "none"])
            if more:
                assert refused == {}
            else:
                assert {*refused} == {"a"}
                assert "does not take it" in refused["a"]
                with pytest.raises(Rejected, match=r"'c', message 1: .* does not take it"):
                    await add(store, "c", numbered(2))

    asyncio.run(main())
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT * FROM message_store").fetchall() == before


def test_the_message_that_a_table_refuses_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    filled(path, f"id INTEGER PRIMARY KEY, {_LEAN} CHECK (message NOT LIKE '%message 2%')", [])

    async def main() -> None:
        async with opened(path, layout="langchain", write=True) as store:
            with pytest.raises(Rejected, match="conversation 'a', message 3"):
                await add(store, "a", numbered(5))
            assert await ids(store) == []
            await add(store, "a", numbered(2))

    asyncio.run(main())


@pytest.mark.parametrize("layout", ["langchain", "llamaindex", "openai_agents"])
def test_in_a_table_as_its_framework_makes_it_nothing_is_tried(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "m.db"

    async def main() -> None:
        async with opened(path, layout=layout, write=True) as store:
            await add(store, "a", numbered(3))
            ran: list[str] = []
            await store._file.connection.set_trace_callback(ran.append)
            assert await store.refuses_back(["a", "none"]) == {}
            assert ran
            assert not [sql for sql in ran if sql.startswith(("BEGIN", "DELETE", "INSERT"))]

    asyncio.run(main())


async def _pages(messages: Sequence[Message]) -> AsyncIterator[Sequence[Message]]:
    yield messages


def test_names_know_no_capitals_and_what_is_computed_is_not_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    columns = "ID INTEGER PRIMARY KEY, Session_Id TEXT, MESSAGE TEXT"
    expected = filled(
        path,
        f"{columns}, size INT NOT NULL GENERATED ALWAYS AS (length(message))",
        [(None, "a", "1")],
    )

    async def main() -> None:
        async with opened(path, layout="langchain", table="Message_Store", write=True) as store:
            await add(store, "a", numbered(1))
            expected["a"].append("message 0")
            await read_as(store, expected)
            assert await store.refuses_back(["a"]) == {}

    asyncio.run(main())


def test_a_name_that_sqlite_keeps_for_itself_leaves_no_file_behind(tmp_path: Path) -> None:
    path = tmp_path / "m.db"

    async def main() -> None:
        async with opened(path, layout="langchain", table="sqlite_x", write=True):
            pass

    with pytest.raises(Unsupported, match="SQLite keeps such names for itself"):
        asyncio.run(main())
    assert not path.exists()


def test_ids_that_a_file_of_utf16_would_alter_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA encoding='UTF-16le'")
        db.execute("CREATE TABLE unrelated (x)")

    async def main() -> None:
        async with opened(path, layout="langchain", write=True) as store:
            with pytest.raises(Rejected, match=r"U\+FFFE"):
                await add(store, "x\uffff", numbered(1))

    asyncio.run(main())
