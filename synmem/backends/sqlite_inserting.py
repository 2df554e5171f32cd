"""Rows on their way into an SQLite file, within a transaction that the caller holds."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Final

from synmem.backends.sqlite_file import File
from synmem.backends.sqlite_reading import marks
from synmem.layouts.sqlite_columns import grouped
from synmem.layouts.sqlite_tables import Row, Table
from synmem.messages import ascii_json

_ROWS_A_STATEMENT: Final = 50
_MOST_VALUES: Final = 999  # SQLite before 3.32 takes no more parameters


async def insert(file: File, table: Table, rows: Iterable[Row]) -> None:
    """Write rows: id, conversation, and the values of all columns, or of the common ones. Those
    with nothing in the rarer columns bind only the common ones, which takes a quarter less."""
    bare: list[Row] = []
    full: list[Row] = []
    width = table.common + 2
    for row in rows:
        (bare if len(row) == width else full).append(row)
    await _insert_rows(file, table.columns[: table.common], bare)
    for names, some in by_columns(table, full):
        await _insert_rows(file, names, some)


def by_columns(table: Table, rows: Sequence[Row]) -> list[tuple[Sequence[str], Sequence[Row]]]:
    """Rows with all columns, by those of them that do not get their default."""
    return [*grouped(table.columns, rows).items()] if table.others else [(table.columns, rows)]


async def _insert_rows(file: File, names: Sequence[str], rows: Sequence[Row]) -> None:
    """Write rows of these columns, many a statement: that takes half the time of one a row."""
    into = f"INSERT INTO messages ({', '.join(('id', 'conversation_id', *names))}) VALUES "
    row = f"(?, ?, {marks(names)})"
    size = max(1, min(_ROWS_A_STATEMENT, _MOST_VALUES // (len(names) + 2)))
    whole = len(rows) - len(rows) % size
    if whole:
        several = [[*chain.from_iterable(rows[i : i + size])] for i in range(0, whole, size)]
        await file.many(into + marks(range(size), row), several)
    if whole < len(rows):
        await file.many(into + row, rows[whole:])


async def last_number(file: File) -> int:
    """The highest id ever given, where the table remembers it: a deleted one is not given again.
    Else the highest there is."""
    if file.shape.lasting:
        rows = await file.rows(
            "SELECT max(coalesce((SELECT max(id) FROM messages), 0), "
            "coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'messages'), 0))"
        )
    else:
        rows = await file.rows("SELECT max(coalesce(max(id), 0), 0) FROM messages")
    return int(rows[0][0])


async def lowest_number(file: File) -> int:
    """What `replace` puts in front of other messages stands below this id: none is free between
    the rows of two conversations."""
    rows: list[Any] = await file.rows("SELECT min(id) FROM messages")
    return min(rows[0][0], 1) if rows[0][0] is not None else 1


async def set_beside(file: File, values: Sequence[tuple[str, str, Any]]) -> None:
    """Remember values beside conversations, under (conversation, name); None forgets one."""
    if not values:
        return
    await file.many(
        "DELETE FROM messages_meta WHERE conversation_id = ? AND name = ?",
        [(conversation, name) for conversation, name, _ in values],
    )
    await file.many(
        "INSERT INTO messages_meta (conversation_id, name, value) VALUES (?, ?, ?)",
        [
            (conversation, name, ascii_json(value))
            for conversation, name, value in values
            if value is not None
        ],
    )
