"""Interchange lines from an SQLite file, made by SQLite of many rows at once."""

import asyncio
import contextlib
import itertools
import sqlite3
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Mapping,
    Sequence,
)
from typing import Any, Final, TypeVar

from synmem.backends.paging import storable
from synmem.backends.sqlite.file import File
from synmem.backends.sqlite.line_sql import (
    Run,
    counts_sql,
    finished,
    line_sql,
    lines_query,
    probe,
    runs_of,
)
from synmem.backends.sqlite.place import IDS_A_QUERY, Place, marks
from synmem.backends.sqlite.reading import Reader
from synmem.backends.sqlite.shape import LASTING, needed
from synmem.finishing import to_its_end
from synmem.layouts.own.sqlite_tables import Table
from synmem.messages import chunks
from synmem.store import Lines, Page

_T = TypeVar("_T")
_R = TypeVar("_R")

_TEXT: Final = ("TEXT", 1)
"""Type and NOT NULL of a column in which nothing but text and BLOBs can lie."""


class LineMaker:
    """Makes lines without messages; what that cannot be done of comes in pages."""

    def __init__(self, place: Place, reader: Reader, *, page_size: int) -> None:
        self._place = place
        self._file, self._table, self._ids = place.file, place.table, place.ids
        self._reader = reader
        self._page_size = page_size
        self._makes_lines: bool | None = None

    async def lines(
        self, conversations: Sequence[str], *, apart: Collection[str] = ()
    ) -> AsyncIterator[Lines | Page]:
        """See `SupportsLines.lines`. While what one query gave goes out, the next one runs."""
        ids = sorted(storable(conversations))
        if not await self.is_usual():
            async for page in self._reader.read(ids):
                yield page
            return
        runs = [run for some in chunks(ids, IDS_A_QUERY) for run in await self._runs(some, apart)]
        async with contextlib.aclosing(one_ahead(self._file, self._texts, runs)) as done:
            async for run, texts in done:
                async for each in self._made(run, texts):
                    yield each

    async def _made(self, run: Run, texts: Sequence[str] | None) -> AsyncIterator[Lines | Page]:
        """Lines, and pages where there can be none."""
        data = finished(self._table, texts) if texts is not None else [None]
        if len(data) == 1 and data[0] is not None:
            yield Lines(run.ids, run.messages, data[0])
            return
        there = data if len(data) == len(run.ids) else [None] * len(run.ids)
        each = zip(run.ids, run.counts, there, strict=True)
        for can, group in itertools.groupby(each, lambda one: one[2] is not None):
            if not can:
                async for page in self._reader.read([one[0] for one in group]):
                    yield page
                continue
            for conversation, count, lines in group:
                yield Lines([conversation], count, lines or b"")

    async def _runs(self, ids: Sequence[str], apart: Collection[str]) -> list[Run]:
        """How to read these conversations."""
        async with self._file.step():
            rows = await self._file.rows(counts_sql("messages", marks(ids)), ids)
        return runs_of(rows, apart, most=2 * self._page_size)

    async def is_usual(self) -> bool:
        """Whether SQLite and the tables are as `makes_lines` asks for."""
        if self._makes_lines is None:
            async with self._file.step():
                self._makes_lines = self._ids.plain and await makes_lines(
                    self._file, {"main": self._table}
                )
        return self._makes_lines

    async def _texts(self, run: Run) -> list[str] | None:
        """The lines as SQLite makes them, of all together or of each; None where it cannot."""
        if run.messages > 2 * self._page_size:
            return None
        sql, values = lines_query("messages", line_sql(self._table.columns), run)
        async with self._file.step():
            return await texts_of(self._file, sql, values, run)


async def one_ahead(
    file: File, work: Callable[[_T], Coroutine[Any, Any, _R]], items: Sequence[_T]
) -> AsyncGenerator[tuple[_T, _R], None]:
    """Each item with what the work makes of it, in order; while one is looked at, the work on the
    next goes on in SQLite's thread."""
    coming: asyncio.Future[_R] | None = None
    try:
        for item, after in itertools.zip_longest(items, items[1:]):
            coming = coming or asyncio.ensure_future(work(item))
            result = await coming
            coming = None if after is None else asyncio.ensure_future(work(after))
            if coming is not None:
                await file.begun(coming)
            yield item, result
    finally:
        if coming is not None:
            coming.cancel()
            await to_its_end(asyncio.wait([coming]))
            if not coming.cancelled():
                coming.exception()  # nobody is to hear of it any more


async def makes_lines(file: File, tables: Mapping[str, Table]) -> bool:
    """Whether this SQLite writes JSON as we do, byte for byte, and the tables (by the names under
    which their files are attached) are as we and SynapseKit make them."""
    sql, values, answer = probe()
    try:
        if await file.look(sql, values) != [(answer,)]:
            return False
    except sqlite3.OperationalError:  # it was built without JSON
        return False
    return all([await is_plain(file, table, schema) for schema, table in tables.items()])


async def is_plain(file: File, table: Table, schema: str = "main") -> bool:
    """Whether the table has no other columns than its layout knows, text where there must be
    some, and no id is given twice."""
    made = await file.look(
        f"SELECT lower(sql) FROM {schema}.sqlite_schema WHERE type = 'table' AND name = 'messages'"
    )
    rows = await file.look(f"PRAGMA {schema}.table_info(messages)")
    columns = {row[1]: (row[2].upper(), row[3]) for row in rows}
    return (
        bool(made)
        and LASTING.search(made[0][0]) is not None
        and "collate" not in made[0][0]
        and columns.keys() == needed(table)
        and all(columns.get(name) == _TEXT for name in ("conversation_id", "role", "content"))
    )


async def texts_of(file: File, sql: str, values: Sequence[Any], run: Run) -> list[str] | None:
    """What a `lines_query` gives; None where it cannot tell, or the run is not as it was."""
    rows = await told(file, sql, values)
    if rows is None or [(row[0], row[1]) for row in rows] != run.expected():
        return None
    return [row[2] for row in rows]


async def told(file: File, sql: str, values: Sequence[Any]) -> list[list[Any]] | None:
    """The rows of a query whose last column is text as bytes; None where a value stands in its
    way: a BLOB, text that is not UTF-8, more text than SQLite holds in one."""
    try:
        rows = await file.rows(sql, values)
    except (sqlite3.OperationalError, sqlite3.DataError) as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code not in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG):
            raise
        return None
    try:
        # Of no rows there is no text: they went after they were counted.
        return [[*row[:-1], (row[-1] or b"").decode()] for row in rows]
    except UnicodeDecodeError:
        return None
