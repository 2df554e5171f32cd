"""Conversations that lie in several tables of a file: the contract; that each is read as it was at
one moment; ids that cannot be read, and files of UTF-16."""

import asyncio
import contextlib
import sqlite3
import sys
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import structs

from synmem.backends.sqlite.file import File
from synmem.errors import UnknownLayout, Unsupported
from synmem.layouts import registry
from synmem.layouts.shapes import Plan, Record, Sketch, Told, Whole
from synmem.messages import (
    Conversation,
    Holds,
    Message,
    Unreadable,
    as_dict,
    ascii_json,
    from_dict,
    parse_json,
)
from synmem.store import Part, Store
from tests.backends.sqlite.test_store import opened
from tests.cancelling import cancelled_at
from tests.conformance import Reading, add, contents, details, ids, items, numbered, run


def _plan(sketch: Sketch) -> Plan:
    title = "title" if "title" in sketch["books"] else "NULL"
    return Plan(
        listing="SELECT id FROM books",
        queries={
            "book": f"SELECT id, {title}, extra FROM books WHERE id IN {{ids}}",
            "pages": "SELECT book, said FROM pages WHERE book IN {ids} AND book IN "
            "(SELECT id FROM books WHERE id IN {ids}) ORDER BY page",
        },
    )


def _unfold(id_: str, rows: Mapping[str, Sequence[Record]]) -> Told:
    ((title, extra),) = rows["book"]
    return Told(
        messages=[_page(*row) for row in rows["pages"]],
        title=title if title is None else parse_json(title),
        extra=parse_json(extra),
    )


def _page(said: Any) -> Message | Unreadable:
    try:
        return from_dict(parse_json(said), origin="books")
    except (ValueError, TypeError) as error:
        return Unreadable("page", str(error))


BOOKS = Whole(
    tables={"books": frozenset({"id", "extra"}), "pages": frozenset({"book", "page", "said"})},
    without=frozenset({"scrolls"}),
    version="bound",
    plan=_plan,
    unfold=_unfold,
    holds=Holds(own=False),
)


@pytest.fixture(autouse=True)
def books(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layout that is one file, and one line of the registry."""
    monkeypatch.setitem(registry.LAYOUTS, "books", ("sqlite",))
    module = SimpleNamespace(SHAPES={"sqlite": (BOOKS,)})
    monkeypatch.setitem(sys.modules, "synmem.layouts.foreign.books", module)


def filled(path: Path, parts: Sequence[Part], *, encoding: str = "UTF-8") -> Path:
    """A file with these conversations, and one that has no messages."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA encoding = '{encoding}'")
        db.execute("CREATE TABLE books (id TEXT, title TEXT, extra TEXT)")
        db.execute("CREATE TABLE pages (book TEXT, page INTEGER, said TEXT)")
        for part in [*parts, Part(Conversation("nothing"), [])]:
            about = part.conversation
            row = (about.id, ascii_json(about.title), ascii_json(about.extra))
            db.execute("INSERT INTO books VALUES (?, ?, ?)", row)
            for n, message in enumerate(part.messages):
                said = ascii_json(as_dict(message))
                db.execute("INSERT INTO pages VALUES (?, ?, ?)", (about.id, n, said))
        db.commit()
    return path


def book(name: str, count: int = 1) -> Part:
    """A conversation of so many messages."""
    return Part(Conversation(name), numbered(count))


class TestBooks(Reading):
    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        async with opened(filled(tmp_path / "books.db", parts)) as store:
            yield store


class TestBooksInUtf16(Reading):
    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        path = filled(tmp_path / "books.db", parts, encoding="UTF-16le")
        async with opened(path) as store:
            yield store


def _headed(sketch: Sketch) -> Plan:
    """The same books, of which a listing looks at the first page and the last one alone."""
    end = "(SELECT said FROM pages AS p WHERE p.book = b.id ORDER BY page {} LIMIT 1)"
    return structs.replace(
        _plan(sketch),
        heads={
            "ends": f"SELECT b.id, b.title, {end.format('ASC')}, {end.format('DESC')} "
            "FROM {values} AS w JOIN books AS b ON b.id = w.column1"
        },
        tells="SELECT 1 FROM books WHERE extra = 'null'",
    )


def _head(id_: str, rows: Mapping[str, Sequence[Record]]) -> Told:
    ((title, *ends),) = rows["ends"]
    return Told(messages=[_page(end) for end in ends if end], title=parse_json(title))


@pytest.fixture
def headed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layout as it lists by heads."""
    shape = structs.replace(BOOKS, plan=_headed, head=_head)
    module = SimpleNamespace(SHAPES={"sqlite": (shape,)})
    monkeypatch.setitem(sys.modules, "synmem.layouts.foreign.books", module)


@pytest.mark.usefixtures("headed")
def test_a_listing_by_heads_reads_no_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled(tmp_path / "books.db", [book(f"c{n:03}", 3) for n in range(120)])
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE pages SET said = '{oops' WHERE page = 1")
        db.execute("UPDATE books SET title = '{oops' WHERE id = 'c001'")
        db.commit()
    forgiving, asked = File.forgiving, list[str]()

    async def watched(self: File, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        asked.append(sql)
        return await forgiving(self, sql, values)

    monkeypatch.setattr(File, "forgiving", watched)

    async def main() -> None:
        async with opened(path, page_size=100) as store:
            found = await details(store)
            assert len(found) == 120  # the one without messages is none
            assert {info.messages for info in found.values()} == {None}
            some = [i.id async for page in store.conversations(["c000", "gone"]) for i in page]
            assert some == ["c000"]
            assert len(asked) == 4
            assert all("ORDER BY page ASC" in sql for sql in asked)
            said = [each async for page in store.read(["c000"]) for each in page.items]
            assert [type(each) for each in said] == [Message, Unreadable, Message]

    run(main())


@pytest.mark.usefixtures("headed")
def test_tables_that_a_row_must_tell_are_the_layouts_where_it_is_there(tmp_path: Path) -> None:
    path = filled(tmp_path / "books.db", [book("a")])

    async def main() -> None:
        async with opened(path) as store:
            assert await ids(store) == ["a"]

    run(main())
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE books SET extra = '{}'")
        db.commit()
    with pytest.raises(UnknownLayout):
        run(main())


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_a_listing_is_in_the_order_of_the_ids_bytes(tmp_path: Path, encoding: str) -> None:
    names = ["a", "ā", "b", "Ā", "é", "中", "aa", "~", "\U0001f600", "\uffee", "aĀ", "n\0ul"]
    path = filled(tmp_path / "books.db", [book(name) for name in names], encoding=encoding)

    async def main() -> None:
        async with opened(path) as store:
            found = [info.id async for page in store.conversations() for info in page]
            assert found == sorted(names)

    run(main())


def test_a_conversation_is_read_as_it_was_at_one_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled(tmp_path / "books.db", [book("a", 1)])
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")  # where a reader stops no writer
        forgiving, asked = File.forgiving, list[str]()

        async def slow(self: File, sql: str, values: Sequence[Any] = ()) -> list[Any]:
            """Between two queries another program changes both tables at once."""
            if asked:
                db.execute("UPDATE books SET extra = '{\"k\": 2}'")
                db.execute("INSERT INTO pages VALUES ('a', 1, ?)", [ascii_json({"role": "user", "content": "new"})])  # fmt: skip
                db.commit()
            asked.append(sql)
            return await forgiving(self, sql, values)

        monkeypatch.setattr(File, "forgiving", slow)

        async def main() -> None:
            async with opened(path) as store:
                for expected in ((1, None), (2, {"k": 2})):
                    asked.clear()
                    (info,) = [i async for p in store.conversations(["a"], details=True) for i in p]
                    assert (info.messages, info.extra) == expected
                    assert len(asked) == 2

        run(main())


def test_a_file_that_must_be_opened_anew_meanwhile_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled(tmp_path / "books.db", [book("a", 2)])
    forgiving, asked = File.forgiving, list[str]()

    async def reopening(self: File, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        asked.append(sql)
        if len(asked) == 2:
            await self._reopen()
        return await forgiving(self, sql, values)

    monkeypatch.setattr(File, "forgiving", reopening)

    async def main() -> None:
        async with opened(path) as store:
            assert await contents(store, "a") == ["message 0", "message 1"]
            assert len(asked) == 4  # two queries, and once more both of them

    run(main())


def test_a_program_that_writes_beside_a_reader_never_fails(tmp_path: Path) -> None:
    path = filled(tmp_path / "books.db", [book(f"c{n}", 20) for n in range(30)])
    done, written = threading.Event(), list[int]()

    def write() -> None:
        with contextlib.closing(sqlite3.connect(path, timeout=1)) as db:
            while not done.is_set():
                db.execute("INSERT INTO pages VALUES ('c0', 100, '5')")
                db.commit()
                written.append(1)
                time.sleep(0.005)

    async def main() -> None:
        async with opened(path) as store:
            for _ in range(3):
                async for page in store.read([f"c{n}" for n in range(30)]):
                    assert page.items
                    await asyncio.sleep(0.001)  # whoever reads takes its time
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        run(main())
    finally:
        done.set()
        writer.join()
    assert len(written) > 3


@pytest.mark.parametrize("at", range(8))
def test_who_is_cancelled_leaves_no_lock_behind_and_the_next_call_reads(
    tmp_path: Path, at: int
) -> None:
    path = filled(tmp_path / "books.db", [book("a", 3)])

    async def main() -> None:
        async with opened(path) as store:
            for turns in range(3):
                await cancelled_at(contents(store, "a"), at, turns=turns)
                with contextlib.closing(sqlite3.connect(path, timeout=0)) as db:
                    db.execute("UPDATE books SET title = 'null'")
                    db.commit()
                assert len(await contents(store, "a")) == 3

    run(main())


def test_ids_that_cannot_be_read_are_named_and_hide_nothing(tmp_path: Path) -> None:
    path = filled(tmp_path / "books.db", [book("a")])
    with contextlib.closing(sqlite3.connect(path)) as db:
        for odd in ("NULL", "''", "x'00'", "CAST(x'ff61' AS TEXT)"):
            db.execute(f"INSERT INTO books VALUES ({odd}, 'null', 'null')")
            db.execute(f"INSERT INTO pages VALUES ({odd}, 1, '{{}}')")
        db.commit()

    async def main() -> None:
        async with opened(path) as store:
            assert await ids(store) == ["a"]
            found = [(stray.position, stray.reason) for stray in await store.strays()]
            assert found == [
                ("table books", f"the id of a conversation is {kind}")
                for kind in ("a BLOB", "empty", "NULL", "not UTF-8")
            ]
            assert await store.damage() == await store.strays()

    run(main())


def test_text_that_is_not_utf8_spoils_its_record_alone(tmp_path: Path) -> None:
    path = filled(tmp_path / "books.db", [book("a", 2), book("b")])
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE pages SET said = CAST(x'7bff' AS TEXT) WHERE book = 'a' AND page = 0")
        db.commit()

    async def main() -> None:
        async with opened(path) as store:
            first, second = await items(store, "a")
            assert isinstance(first, Unreadable)
            assert second == numbered(1, 1)[0]
            assert await contents(store, "b") == ["message 0"]

    run(main())


def test_an_id_is_its_bytes_also_where_its_column_is_compared_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE books (id TEXT COLLATE NOCASE, title TEXT, extra TEXT)")
        db.execute("CREATE TABLE pages (book TEXT COLLATE NOCASE, page INTEGER, said TEXT)")
        for name in ("A", "a"):
            db.execute("INSERT INTO books VALUES (?, 'null', 'null')", [name])
            said = ascii_json({"role": "user", "content": name})
            db.execute("INSERT INTO pages VALUES (?, 1, ?)", [name, said])
        db.commit()

    async def main() -> None:
        async with opened(path) as store:
            assert await ids(store) == ["A", "a"]
            assert [await contents(store, name) for name in "Aa"] == [["A"], ["a"]]

    run(main())


def test_columns_that_an_older_version_lacks_are_not_asked_for(tmp_path: Path) -> None:
    path = filled(tmp_path / "books.db", [Part(Conversation("a", "A title"), numbered(1))])
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE books DROP COLUMN title")

    async def main() -> None:
        async with opened(path) as store:
            assert (await details(store))["a"].title is None

    run(main())


def test_it_says_whose_it_is_and_is_not_written(tmp_path: Path) -> None:
    path = filled(tmp_path / "books.db", [book("a")])
    before = path.read_bytes()

    async def main() -> None:
        for settings in ({}, {"layout": "books"}, {"table": "books"}, {"table": "BOOKS"}):
            async with opened(path, write=True, **settings) as store:
                assert store.remark() == "layout books (bound), table books"
                with pytest.raises(Unsupported, match="not written"):
                    await add(store, "a", numbered(1))

    run(main())
    assert path.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {"books.db", "home"}


def test_a_table_that_must_not_stand_beside_makes_it_another_layout(tmp_path: Path) -> None:
    path = filled(tmp_path / "books.db", [book("a")])
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE scrolls (x)")

    async def main() -> None:
        async with opened(path):
            pass

    with pytest.raises(Exception, match="scrolls"):
        run(main())
