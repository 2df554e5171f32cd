"""Writing to an SQLite file: rows on their way into its table, and out of it."""

import itertools
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Final, cast

from synmem.backends.paging import changed, storable
from synmem.backends.sqlite.beside import Beside
from synmem.backends.sqlite.errors import Refused
from synmem.backends.sqlite.file import File
from synmem.backends.sqlite.place import Place, check_count, marks
from synmem.backends.sqlite.steps import Steps
from synmem.errors import Rejected, StoreError
from synmem.layouts.own.sqlite_columns import DEFAULT, grouped
from synmem.layouts.own.sqlite_tables import Row, Table
from synmem.messages import chunks
from synmem.store import START, Part, Position

_ROWS_A_STATEMENT: Final = 50
_ROWS_A_LOOK: Final = 500
_MOST_VALUES: Final = 999  # SQLite before 3.32 takes no more parameters
_HIGHEST: Final = 2**63 - 1


class Writer:
    """Appending and deleting, each in one transaction."""

    def __init__(self, place: Place, beside: Beside, steps: Steps) -> None:
        self._name = place.name
        self._place = place
        self._file, self._table, self._ids = place.file, place.table, place.ids
        self._beside = beside
        self._steps = steps

    async def append(
        self,
        parts: Sequence[Part],
        encoded: Sequence[Sequence[Row]],
        keep: int | None,
        token: str | None,
    ) -> list[Position]:
        """See `Store.append`, with the rows of each part; Refused where the file's own tables
        refuse any."""
        async with self._place.transaction():
            ends = await self._place.ends([part.conversation.id for part in parts])
            if await self._steps.is_known(token):
                return [ends.get(part.conversation.id, START) for part in parts]
            for part in parts:
                if part.expect is not None and part.expect != ends.get(part.conversation.id, START):
                    raise changed(part.conversation.id, self._name)
            number = await last_number(self._place, sum(len(part.messages) for part in parts))
            await self._insert(parts, encoded, number + 1)
            for part in parts:
                number += len(part.messages)
                if part.messages:
                    ends[part.conversation.id] = str(number)
            if not self._place.shape.lasting:
                ends = await self._place.ends([*ends])
            await self._beside.describe(
                [p.conversation for p in parts if p.conversation.id in ends]
            )
            if keep is not None:
                await self._trim(list(ends), keep)
                ends = ends if keep else {}
            await self._steps.remember(token)
        return [ends.get(part.conversation.id, START) for part in parts]

    def encoded(self, parts: Sequence[Part]) -> list[list[Row]]:
        """The rows of each part, where bare only the common columns; Rejected names every message
        that cannot be held."""
        bare = self._table.bare
        encoded: list[list[Row]] = []
        reasons: list[tuple[str, int, str]] = []
        for conversation, messages in ((p.conversation, p.messages) for p in parts):
            if why := self._place.id_refusal(conversation):
                reasons.append((conversation.id, 0, why))
            rows = [bare(message) for message in messages]
            for index, row in enumerate(rows):
                if row is None:
                    if why := self._place.refusal(messages[index]):
                        reasons.append((conversation.id, index, why))
                    elif not reasons:
                        rows[index] = self._short(self._table.encode(messages[index]))
            encoded.append(cast("list[Row]", rows))
        if reasons:
            raise Rejected(reasons)
        return encoded

    def _short(self, row: Row) -> Row:
        """A row without the columns that are not common, where nothing is in them."""
        if self._table.others:
            return row
        common = self._table.common
        return row[:common] if all(value is None for value in row[common:]) else row

    async def _insert(
        self, parts: Sequence[Part], encoded: Sequence[Sequence[Row]], first: int
    ) -> None:
        """Write the rows of each part, numbered from `first` on."""
        numbers = itertools.count(first)
        stored = await self._place.stored([part.conversation.id for part in parts])
        rows = (
            (next(numbers), stored[part.conversation.id], *row)
            for part, some in zip(parts, encoded, strict=True)
            for row in some
        )
        await insert(self._place, rows)

    async def _trim(self, ids: Sequence[str], keep: int) -> None:
        own = self._ids.match("?1")
        await self._file.many(
            f"DELETE FROM messages WHERE {own} AND id <= (SELECT id FROM messages "
            f"WHERE {own} ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            [(value, keep) for value in await self._place.lying(ids)],
        )
        for conversation in ids if keep == 0 else ():
            await self._beside.forget(conversation)

    async def delete(
        self,
        conversation: str,
        *,
        upto: Position | None = None,
        begins: Position | None = None,
        token: str | None = None,
    ) -> bool:
        """See `Store.delete`: one transaction."""
        self._steps.check(token)
        if not self._file.made or not storable([conversation]):
            return False
        async with self._place.transaction():
            if await self._steps.is_known(token):
                return True
            end = (await self._place.ends([conversation])).get(conversation)
            if end is None:
                return False
            await self._place.check_begin(conversation, begins)
            where, values = self._ids.where(await self._place.lying([conversation]))
            if upto is not None:
                await self._place.check_there(conversation, upto)
                where += " AND id <= ?"
                values.append(self._place.number_at(upto))
            await self._file.execute(f"DELETE FROM messages WHERE {where}", values)
            await self._place.check_gone(where, values)
            if upto is None or self._place.number_at(upto) >= self._place.number_at(end):
                await self._beside.forget(conversation)
            await self._steps.remember(token)
        return True


async def insert(place: Place, rows: Iterable[Row], *, trial: bool = False) -> None:
    """Write rows: id, conversation, and the values of all columns, or of the common ones. Those
    with nothing in the rarer columns bind only the common ones, which takes a quarter less.

    Refused where a trigger left one out, or where it is there otherwise than it was given: that
    the caller looks at by itself in a `trial`.
    """
    file, table = place.file, place.table
    bare: list[Row] = []
    full: list[Row] = []
    width = table.common + 2
    for row in rows:
        (bare if len(row) == width else full).append(row)
    written = await _insert_rows(file, table.columns[: table.common], bare)
    for names, some in by_columns(table, full):
        written += await _insert_rows(file, names, some)
    if trial:
        return
    check_count(file, written, len(bare) + len(full))
    if not place.shape.exact or await file.is_watched():
        await _check_rows(place, [*bare, *full])


async def _check_rows(place: Place, given: Sequence[Row]) -> None:
    """Refused where rows are not as they were given. What was left empty may be filled."""
    file, table = place.file, place.table
    columns = ", ".join(("id", "conversation_id", *table.columns))
    for some in chunks(given, _ROWS_A_LOOK):
        rows = await file.rows(
            f"SELECT {columns} FROM messages WHERE id IN ({marks(some)})", [row[0] for row in some]
        )
        there = {row[0]: row for row in rows}
        for row in some:
            after = there.get(row[0])
            if after is None or (type(after[1]), after[1]) != (type(row[1]), row[1]):
                raise Refused(f"{file.path}: a trigger of its table takes it away")
            if name := _altered(table, row[2:], after[2:]):
                raise Refused(f"{file.path}: its table makes something else of {name!r}")


def _altered(table: Table, given: Row, there: Row) -> str | None:
    """A column that has another value than it was given."""
    meant = [
        after if value is None or value is DEFAULT else value
        for value, after in zip(given, there, strict=False)
    ]
    try:
        return table.differing([*meant, *there[len(meant) :]], there)
    except ValueError:
        return "metadata"


def by_columns(table: Table, rows: Sequence[Row]) -> list[tuple[Sequence[str], Sequence[Row]]]:
    """Rows with all columns, by those of them that do not get their default."""
    return [*grouped(table.columns, rows).items()] if table.others else [(table.columns, rows)]


async def _insert_rows(file: File, names: Sequence[str], rows: Sequence[Row]) -> int:
    """Write rows of these columns, many a statement: that takes half the time of one a row. Tell
    how many were written."""
    into = f"INSERT INTO messages ({', '.join(('id', 'conversation_id', *names))}) VALUES "
    row = f"(?, ?, {marks(names)})"
    size = max(1, min(_ROWS_A_STATEMENT, _MOST_VALUES // (len(names) + 2)))
    whole = len(rows) - len(rows) % size
    written = 0
    if whole:
        several = [[*chain.from_iterable(rows[i : i + size])] for i in range(0, whole, size)]
        written += await file.many(into + marks(range(size), row), several)
    if whole < len(rows):
        written += await file.many(into + row, rows[whole:])
    return written


async def last_number(place: Place, room: int) -> int:
    """The highest id ever given, where the table remembers it: a deleted one is not given again.
    Else the highest there is. StoreError where there is no room for so many behind it."""
    if place.shape.lasting:
        # What another program wrote there may be no number.
        rows = await place.file.rows(
            "SELECT max(coalesce((SELECT max(id) FROM messages), 0), coalesce((SELECT "
            "max(CASE WHEN typeof(seq) IN ('integer', 'real') THEN CAST(seq AS INTEGER) END) "
            "FROM sqlite_sequence WHERE lower(name) = 'messages'), 0))"
        )
    else:
        rows = await place.file.rows("SELECT max(coalesce(max(id), 0), 0) FROM messages")
    last = int(rows[0][0])
    if last > _HIGHEST - room:
        raise _no_room(place, "no higher")
    return last


async def lowest_number(place: Place, room: int) -> int:
    """What `replace` puts in front of other messages stands below this id: none is free between
    the rows of two conversations. StoreError where there is no room for so many."""
    rows: list[Any] = await place.file.rows("SELECT min(id) FROM messages")
    lowest = min(rows[0][0], 1) if rows[0][0] is not None else 1
    if lowest <= room - _HIGHEST:
        raise _no_room(place, "no lower")
    return lowest


def _no_room(place: Place, which: str) -> StoreError:
    return StoreError(
        f"{place.name}: the ids in its table messages leave {which} one free; nothing was written",
        hint="see max(id), min(id) and sqlite_sequence; or migrate to a new file",
    )
