"""A table of another framework, as its layout declares it: its rows, their messages, and where each
of these stands.

A position (see `backends/records.py`) has the row's number and a hash: without AUTOINCREMENT the
number of the newest row of all is given again once that row is deleted. Only who then says the same
again, in its place, gets the same position.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final, NamedTuple

from synmem.backends.records import Row
from synmem.backends.sqlite.file import File
from synmem.backends.sqlite.place import marks
from synmem.backends.sqlite.shape import row_number
from synmem.errors import CorruptData
from synmem.layouts.own.sqlite_columns import NUMBER, affinity, quoted
from synmem.layouts.registry import RowsFit
from synmem.messages import chunks

IDS_A_QUERY: Final = 500  # SQLite before 3.32 takes 999 parameters

A_LOOK: Final = 20_000
"""So many rows are looked through in a query, where no index finds those that are asked for: each
holds the file's lock, and others who write wait for it."""

SWEEP: Final = 20
"""So many pages are fetched at once, where each fetch looks through the whole table."""

UTF8: Final = "synmem_utf8"
"""What `knowing_utf8` calls the function from the bytes of a text to those in UTF-8."""


class ColumnInfo(NamedTuple):
    """A column of the table."""

    name: str
    type: str
    required: bool
    """Whether a row must give it a value."""


class ForeignTable:
    """The rows of the table that was found; queries on them."""

    def __init__(
        self,
        file: File,
        fit: RowsFit,
        *,
        columns: Sequence[ColumnInfo] = (),
        number: str | None = None,
        encoding: str = "UTF-8",
        sql: str = "",
    ) -> None:
        """`number`: what SQLite numbers the rows by, where the layout's last key is not that;
        `sql`: how the table was made."""
        self.file = file
        shape = fit.shape
        known = {shape.conversation, *shape.order, *shape.record}
        self.others = [column for column in columns if column.name.lower() not in known]
        """The columns that the layout does not know."""
        kinds = {column.name.lower(): affinity(column.type) for column in columns}
        self._takes_numbers = kinds.get(shape.conversation) in ("NUMERIC", "REAL")
        self.shape = shape
        self.name = quoted(fit.table)
        self.id = quoted(shape.conversation)
        *self._keys, last = map(quoted, shape.order)
        if number is None:
            self.number = last
        else:
            self.number = number
            self._keys.append(last)
        write = shape.write
        self.is_placed = len(self._keys) == (write is not None and write.key is not None)
        """Whether a new row can be given its place."""
        self.is_numbered = not self._keys
        """Whether their numbers alone order the rows, so that a new one has its place."""
        self._may_collate = "collate" in sql.lower()
        self.passes_over = "on conflict" in " ".join(sql.lower().split())
        """Whether it may leave out or replace a row without an error."""
        self.live = f" AND ({shape.live})" if shape.live else ""
        self._columns = ", ".join((self.id, self.number, *self._keys, *map(quoted, shape.record)))
        self._sought: bool | None = None
        self._is_utf8 = encoding == "UTF-8"
        self.codec = encoding[:6]  # UTF-16le and UTF-16be are one to a person
        text = f"CASE typeof({self.id}) WHEN 'text' THEN CAST({self.id} AS BLOB) END"
        self.is_readable = f"{UTF8}({text}) IS NOT NULL"
        """The condition that an id is text that can be read; `strays` names the others."""
        self.by_id = f"{self.id} COLLATE BINARY" if self._is_utf8 else f"{UTF8}({text})"
        """What sorts by the bytes of an id in UTF-8, as everything does that reads a store."""
        self.is_text = f"typeof({self.id}) = 'text'" if self._is_utf8 else self.is_readable

    def order(self, *, reverse: bool = False) -> str:
        """What the rows of a conversation are sorted by."""
        way = "DESC" if reverse else "ASC"
        return ", ".join(f"{key} {way}" for key in (*self._keys, self.number))

    def of(self, count: int = 1) -> str:
        """The condition that a row is of one of so many conversations, and live."""
        # A column of numbers would take a text for one.
        is_text = f"typeof({self.id}) = 'text'"
        return f"{self.id} COLLATE BINARY IN ({marks(range(count))}) AND {is_text}{self.live}"

    def is_last(self, count: int) -> str:
        """The condition that a row is the last one of one of so many conversations."""
        if self.is_numbered:
            of_each = f"{self.of(count)} GROUP BY {self.id} COLLATE BINARY"
            return f"{self.number} IN (SELECT max({self.number}) FROM {self.name} WHERE {of_each})"
        # Of each by itself: an index that has its times gives the last one at once.
        last = (
            f"SELECT {self.number} FROM {self.name} WHERE {self.id} COLLATE BINARY = asked.column1 "
            f"AND typeof({self.id}) = 'text'{self.live} ORDER BY {self.order(reverse=True)} LIMIT 1"
        )
        asked = ", ".join(f"({mark})" for mark in ["?"] * count)
        return f"{self.number} IN (SELECT ({last}) FROM (VALUES {asked}) AS asked)"

    def id_refusal(self, id_: str) -> str | None:
        """Why the table would make another id of this one, or None."""
        if self._takes_numbers and NUMBER.fullmatch(id_):
            return f"the table's column {self.shape.conversation!r} makes a number of it"
        if not self._is_utf8 and not {"\ufffe", "\uffff"}.isdisjoint(id_):
            return "SQLite makes other characters of U+FFFE and U+FFFF in a file of UTF-16"
        return None

    async def namesakes(self, ids: Sequence[str]) -> dict[str, str]:
        """Of these ids those that the column takes for another one that is in it too, as by COLLATE
        NOCASE, and which; within a step."""
        found: dict[str, str] = {}
        for some in chunks(ids if self._may_collate else (), IDS_A_QUERY):
            asked = ", ".join(["(?)"] * len(some))
            # By the column's own comparison: it stands on the left.
            sql = (
                f"SELECT asked.column1, {self.id} FROM (VALUES {asked}) AS asked, {self.name} "
                f"WHERE {self.id} = asked.column1 AND {self.id} COLLATE BINARY <> asked.column1 "
                f"AND typeof({self.id}) = 'text'{self.live} GROUP BY 1"
            )
            found.update(await self.file.forgiving(sql, some))
        return found

    def from_id(self, id_: str | bytes, than: str) -> tuple[str, str | bytes]:
        """The condition that an id is text and comes so (`>`, `>=`) behind this one, and what goes
        into its placeholder."""
        kind = "TEXT" if self._is_utf8 else "BLOB"
        at = id_ if self._is_utf8 or isinstance(id_, bytes) else id_.encode()
        return f"{self.by_id} {than} CAST(? AS {kind}) AND {self.is_text}", at

    async def rows(self, where: str, values: Sequence[Any]) -> list[Row]:
        """Rows of the table; within a step."""
        sql = f"SELECT {self._columns} FROM {self.name} WHERE {where}"
        width = 2 + len(self._keys)
        return [
            Row(row[0], row[1], row[2:width], row[width:])
            for row in await self.file.forgiving(sql, values)
        ]

    async def span(self) -> tuple[int, int] | None:
        """The lowest and the highest number of a row; within a step, where these order them."""
        # Each by itself, which SQLite answers at once; both in one are a look through all rows.
        ends = (f"(SELECT {end}({self.number}) FROM {self.name})" for end in ("min", "max"))
        sql = f"SELECT {', '.join(ends)}"
        [(low, high)] = await self.file.rows(sql) or [(None, None)]
        return None if low is None else (low, high)

    async def ranges(
        self, low: int, high: int, *, reverse: bool = False
    ) -> AsyncGenerator[tuple[int, int], None]:
        """What divides the numbers from one to the other, both included, into ranges of a look
        each; within a step."""
        end, way, bound = ("min", "DESC", "<=") if reverse else ("max", "ASC", ">=")
        while low <= high:
            some = (
                f"SELECT {self.number} AS number FROM {self.name} WHERE {self.number} {bound} ? "
                f"ORDER BY {self.number} {way} LIMIT {A_LOOK}"
            )
            sql = f"SELECT {end}(number), count(*) FROM ({some})"
            [(last, count)] = await self.file.rows(sql, [high if reverse else low])
            if count < A_LOOK or not low <= last <= high:
                yield low, high
                return
            yield (last, high) if reverse else (low, last)
            low, high = (low, last - 1) if reverse else (last + 1, high)

    async def rows_from(
        self, conversation: str, number: int | None, reverse: bool, size: int
    ) -> list[Row]:
        """So many rows of a conversation, all or from the one with this number on."""
        where, values = self.of(), list[Any]([conversation])
        order = f"ORDER BY {self.order(reverse=reverse)} LIMIT ?"
        if await self.is_swept():
            return await self._looked_for(
                f"{where} AND {{}} {order}", conversation, number, reverse, size
            )
        if number is not None:
            where += f" AND {self.not_before('?2', reverse=reverse)}"
            values.append(number)
        async with self.file.step():
            return await self.rows(f"{where} {order}", [*values, size])

    async def _looked_for(
        self, where: str, conversation: str, number: int | None, reverse: bool, size: int
    ) -> list[Row]:
        """The same where each row must be looked at."""
        found: list[Row] = []
        async with self.file.step():
            span = await self.span()
            if span is None:
                return []
            low, high = span
            if number is not None:
                low, high = (low, min(high, number)) if reverse else (max(low, number), high)
            async with aclosing(self.ranges(low, high, reverse=reverse)) as ranges:
                async for first, last in ranges:
                    some = where.format(f"{self.number} BETWEEN {first} AND {last}")
                    found += await self.rows(some, [conversation, size - len(found)])
                    if len(found) == size:
                        break
        return found

    def not_before(self, number: str, *, reverse: bool) -> str:
        """The condition that a row does not come before the one of that number."""
        than = "<" if reverse else ">"
        sql = f"{self.number} {than}= {number}"
        for key in reversed(self._keys):
            # Of each column as it is, with its collation; NULL comes before everything.
            at = f"(SELECT {key} FROM {self.name} WHERE {self.number} = {number})"
            low, high = (key, at) if reverse else (at, key)
            behind = f"{key} {than} {at} OR ({low} IS NULL AND {high} IS NOT NULL)"
            sql = f"({behind} OR ({key} IS {at} AND {sql}))"
        return sql

    async def is_sorted(self) -> bool:
        """Whether an index gives ids in their order: else each page of them is a look through all
        rows."""
        return self._is_utf8 and await self.is_sought()

    async def is_swept(self) -> bool:
        """Whether each row is looked at, in ranges of their numbers."""
        return self.is_numbered and not await self.is_sought()

    async def is_sought(self) -> bool:
        """Whether an index finds the rows of a conversation: else each look is through them all."""
        if self._sought is None:
            sql = f"EXPLAIN QUERY PLAN SELECT 1 FROM {self.name} WHERE {self.of()}"
            async with self.file.step():
                plan = await self.file.rows(sql, [""])
            self._sought = any(step[3].startswith("SEARCH") for step in plan)
        return self._sought


async def table_of(file: File, fit: RowsFit) -> ForeignTable:
    """The table that was found, perhaps still to be made."""
    encoding = await knowing_utf8(file)
    if not file.made:
        return ForeignTable(file, fit, encoding=encoding)
    name, last = quoted(fit.table), quoted(fit.shape.order[-1])
    told = await file.look(f"PRAGMA table_xinfo({name})")
    columns = [
        ColumnInfo(row[1], row[2], bool(row[3]) and row[4] is None)
        for row in told
        if not row[6]  # it is computed from others
    ]
    plan = await file.look(f"EXPLAIN QUERY PLAN SELECT 1 FROM {name} WHERE {last} = 1")
    number = None
    if not any("USING INTEGER PRIMARY KEY" in step[3] for step in plan):
        number = await row_number(file, name, {row[1].lower() for row in told})
        if number is None:
            raise CorruptData(
                f"{file.path}: nothing numbers the rows of its table {fit.table}: "
                f"{fit.shape.order[-1]} is no INTEGER PRIMARY KEY, and the table is WITHOUT ROWID",
                hint="copy its rows into a table that has row numbers",
            )
    made = await file.look("SELECT sql FROM sqlite_schema WHERE name = ?", [fit.table])
    return ForeignTable(
        file, fit, columns=columns, number=number, encoding=encoding, sql=made[0][0]
    )


async def knowing_utf8(file: File) -> str:
    """The encoding of a file's text; its queries can then make UTF-8 of it."""
    encoding = "UTF-8"
    if told := await file.look("PRAGMA encoding"):
        encoding = told[0][0]
    await file.define(UTF8, _utf8_of(encoding))
    return encoding


def _utf8_of(encoding: str) -> Callable[[bytes | None], bytes | None]:
    """From a text's bytes in a file to those in UTF-8; None where they are no text."""
    codec = encoding.lower()

    def utf8(data: bytes | None) -> bytes | None:
        try:
            return None if data is None else data.decode(codec).encode()
        except UnicodeDecodeError:
            return None

    return utf8
