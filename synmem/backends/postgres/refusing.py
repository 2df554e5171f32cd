"""Which rows a table refuses, where somebody's own rules do, and why."""

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

import asyncpg

from synmem.backends.postgres.errors import is_of_a_row, said_of
from synmem.backends.postgres.inserting import AT_ONCE, NamedRow, insert, new_numbers
from synmem.backends.postgres.table import Table

_TOLD: Final = 100  # of so many refused messages it is said which they are


async def refused_rows(
    connection: Any, table: Table, rows: Iterable[NamedRow]
) -> list[tuple[str, int, str]]:
    """Which of these rows the server does not take, and why, for `Rejected`; of many the first.

    In a transaction that the caller rolls back: those that it takes are there then.
    """
    rows = iter(rows)
    seen: Counter[str] = Counter()  # messages of each conversation so far
    found: list[tuple[str, int, str]] = []
    while len(found) < _TOLD and (some := list(itertools.islice(rows, AT_ONCE))):
        numbers = await new_numbers(connection, table, len(some))
        given = []
        for number, row in zip(numbers, some, strict=True):
            given.append((seen[row[0]], (row[0], number, *row[1:])))
            seen[row[0]] += 1
        await _find_refused(connection, table, given, found)
    return found


async def _find_refused(
    connection: Any,
    table: Table,
    given: Sequence[tuple[int, NamedRow]],
    found: list[tuple[str, int, str]],
) -> None:
    """Insert these; where the server refuses some, each half by itself."""
    rows = [row for _, row in given]
    why = await refused(connection, lambda connection: insert(connection, table, rows))
    if why is None:
        return
    if len(given) == 1:
        ((index, row),) = given
        found.append((table.shown_id(row[0]), index, why))
        return
    half = len(given) // 2
    for part in (given[:half], given[half:]):
        if len(found) < _TOLD:
            await _find_refused(connection, table, part, found)


async def refused(connection: Any, step: Callable[[Any], Awaitable[None]]) -> str | None:
    """Do something within a transaction; why the server refuses a row, and then it is undone."""
    await connection.execute("SAVEPOINT attempt")
    try:
        await step(connection)
    except asyncpg.PostgresError as error:
        if not is_of_a_row(error):
            raise
        await connection.execute("ROLLBACK TO SAVEPOINT attempt; RELEASE SAVEPOINT attempt")
        return said_of(error)
    await connection.execute("RELEASE SAVEPOINT attempt")
    return None
