"""Which rows a table refuses, where somebody's own rules do, and why."""

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import asyncpg

from synmem.backends.postgres.errors import is_of_a_row, said_of
from synmem.backends.postgres.inserting import AT_ONCE, NamedRow, insert, new_numbers
from synmem.backends.postgres.table import Table

T = TypeVar("T")

Put = Callable[[Any, Sequence[T]], Awaitable[object]]
"""Inserts over a connection, within its transaction."""

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

        async def put(connection: Any, some: Sequence[tuple[int, NamedRow]]) -> None:
            await insert(connection, table, [row for _, row in some])

        for (index, row), why in await refused_ones(connection, given, put, _TOLD - len(found)):
            found.append((table.shown_id(row[0]), index, why))
    return found


async def refused_ones(
    connection: Any, given: Sequence[T], put: Put[T], most: int = _TOLD
) -> list[tuple[T, str]]:
    """Put these; which of them the server refuses, so many at most, and why: where it refuses some,
    each half is put by itself. In a transaction that the caller rolls back."""
    why = await refused(connection, lambda connection: put(connection, given))
    if why is None or most < 1:
        return []
    if len(given) == 1:
        return [(given[0], why)]
    half = len(given) // 2
    found = await refused_ones(connection, given[:half], put, most)
    return found + await refused_ones(connection, given[half:], put, most - len(found))


async def refused(connection: Any, step: Callable[[Any], Awaitable[object]]) -> str | None:
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
