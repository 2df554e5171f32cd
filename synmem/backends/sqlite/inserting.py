"""Rows on their way into an SQLite file, within a transaction that the caller holds."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Final

from synmem.backends.sqlite.errors import Refused
from synmem.backends.sqlite.file import File
from synmem.backends.sqlite.reading import marks
from synmem.errors import StoreError
from synmem.layouts.own.sqlite_columns import DEFAULT, grouped
from synmem.layouts.own.sqlite_tables import Row, Table
from synmem.messages import ascii_json

_ROWS_A_STATEMENT: Final = 50
_ROWS_A_LOOK: Final = 500
_MOST_VALUES: Final = 999  # SQLite before 3.32 takes no more parameters
_HIGHEST: Final = 2**63 - 1


async def insert(file: File, table: Table, rows: Iterable[Row], *, trial: bool = False) -> None:
    """Write rows: id, conversation, and the values of all columns, or of the common ones. Those
    with nothing in the rarer columns bind only the common ones, which takes a quarter less.

    Refused where a trigger left one out, or where it is there otherwise than it was given: that
    the caller looks at by itself in a `trial`.
    """
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
    if not file.shape.exact or await file.is_watched():
        await _check_rows(file, table, [*bare, *full])


def check_count(file: File, written: int, given: int) -> None:
    """Refused where not every row was written: a trigger may pass one over without a word."""
    if written != given:
        raise Refused(f"{file.path}: a trigger of its table kept {given - written:,} of them out")


async def _check_rows(file: File, table: Table, given: Sequence[Row]) -> None:
    """Refused where rows are not as they were given. What was left empty may be filled."""
    columns = ", ".join(("id", "conversation_id", *table.columns))
    for start in range(0, len(given), _ROWS_A_LOOK):
        some = given[start : start + _ROWS_A_LOOK]
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


async def last_number(file: File, room: int) -> int:
    """The highest id ever given, where the table remembers it: a deleted one is not given again.
    Else the highest there is. StoreError where there is no room for so many behind it."""
    if file.shape.lasting:
        # What another program wrote there may be no number.
        rows = await file.rows(
            "SELECT max(coalesce((SELECT max(id) FROM messages), 0), coalesce((SELECT "
            "max(CASE WHEN typeof(seq) IN ('integer', 'real') THEN CAST(seq AS INTEGER) END) "
            "FROM sqlite_sequence WHERE lower(name) = 'messages'), 0))"
        )
    else:
        rows = await file.rows("SELECT max(coalesce(max(id), 0), 0) FROM messages")
    last = int(rows[0][0])
    if last > _HIGHEST - room:
        raise _no_room(file, "no higher")
    return last


async def lowest_number(file: File, room: int) -> int:
    """What `replace` puts in front of other messages stands below this id: none is free between
    the rows of two conversations. StoreError where there is no room for so many."""
    rows: list[Any] = await file.rows("SELECT min(id) FROM messages")
    lowest = min(rows[0][0], 1) if rows[0][0] is not None else 1
    if lowest <= room - _HIGHEST:
        raise _no_room(file, "no lower")
    return lowest


def _no_room(file: File, which: str) -> StoreError:
    return StoreError(
        f"{file.path}: the ids in its table messages leave {which} one free; nothing was written",
        hint="see max(id), min(id) and sqlite_sequence; or migrate to a new file",
    )


async def set_beside(
    file: File, values: Sequence[tuple[str, str, Any]], *, trial: bool = False
) -> None:
    """Remember values beside conversations, under (conversation, name); None forgets one. Refused
    where a trigger left one out, which in a `trial` the caller looks at by itself."""
    if not values:
        return
    await file.many(
        "DELETE FROM messages_meta WHERE conversation_id = ? COLLATE BINARY AND name = ?",
        [(conversation, name) for conversation, name, _ in values],
    )
    rows = [
        (conversation, name, ascii_json(value))
        for conversation, name, value in values
        if value is not None
    ]
    into = "INSERT INTO messages_meta (conversation_id, name, value) VALUES (?, ?, ?)"
    written = await file.many(into, rows)
    if not trial:
        check_count(file, written, len(rows))
