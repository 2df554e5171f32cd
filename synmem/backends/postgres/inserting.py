"""How rows come into a PostgreSQL store: a few in one statement, many by COPY."""

import itertools
from array import array
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from synmem.backends.postgres.numbers import check_above
from synmem.backends.postgres.table import Table, identifier
from synmem.messages import chunks, format_time
from synmem.store import Position

NamedRow = Sequence[Any]
"""A row as `Table.encode` makes it, behind the session_id that it goes to; it may have one value
more, for columns that are not ours."""

_TIME: Final = 4
"""Where in it the time stands: behind session_id, role, content and metadata."""

# What asyncpg sends as -infinity and infinity.
_ENDS: Final = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
AT_ONCE: Final = 10_000  # rows in one COPY, ids in one answer: each done well within a timeout


async def ends_of(connection: Any, table: Table, names: Sequence[str]) -> dict[str, Position]:
    """Where each of these conversations ends, those that exist."""
    found = await connection.fetch(
        f"SELECT session, (SELECT max(id) FROM {table.rows} "
        f"WHERE {table.session} = wanted.session) FROM unnest($1::text[]) AS wanted(session)",
        names,
    )
    return {name: str(number) for name, number in found if number is not None}


async def insert_few(
    connection: Any, table: Table, names: Sequence[str], rows: Sequence[NamedRow]
) -> tuple[dict[str, Position], dict[str, Position]]:
    """Insert rows and tell where these conversations ended before, and end now: one statement,
    which sees the table as it was before it. StoreError where they would not come last."""
    columns = [[row[i] for row in rows] for i in range(len(table.columns))]
    columns[_TIME] = [None if at is None else format_time(at) for at in columns[_TIME]]
    found = await connection.fetch(_few_sql(table), names, *columns)
    before = {name: str(number) for name, number, _, _ in found if number is not None}
    after = {name: str(number) for name, _, _, number in found if number is not None}
    first = {name: number for name, _, number, _ in found if number is not None}
    check_above(table, before, first)
    return before, after


async def copy(
    connection: Any, table: Table, names: Sequence[str], rows: Sequence[NamedRow]
) -> dict[str, Position]:
    """Insert rows by COPY, their ids given by the server, and tell where these conversations end
    then."""
    ends = any(row[_TIME] in _ENDS for row in rows)
    if ends or table.folds or brings_own(table, rows):
        numbers = await new_numbers(connection, table, len(rows))
        numbered = zip(rows, numbers, strict=True)
        await copy_numbered(connection, table, ((row[0], n, *row[1:]) for row, n in numbered))
    else:
        for some in chunks(rows, AT_ONCE):
            await _copy(connection, table, table.columns, some)
    return await ends_of(connection, table, names)


async def copy_csv(connection: Any, table: Table, lines: Sequence[bytes]) -> None:
    """Insert rows by COPY as `Csv` has them, their ids given by the server."""

    async def all_at_once() -> AsyncIterator[bytes]:
        yield b"".join(lines)

    await connection.copy_to_table(
        table.name,
        schema_name=table.schema,
        columns=table.columns[: _TIME + 1],
        format="csv",
        source=all_at_once(),
    )


async def copy_numbered(connection: Any, table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
    """Write rows with their ids, which stand behind their session_ids."""
    rows = iter(rows)
    while some := list(itertools.islice(rows, AT_ONCE)):
        if table.folds or (table.own and any(_own(table, row) for row in some)):
            await insert(connection, table, some)
            continue
        await _copy(connection, table, [*table.types], some)
        ends = [
            (row[0], row[1], format_time(at)) for row in some if (at := row[_TIME + 1]) in _ENDS
        ]
        if ends:
            await connection.execute(
                f"UPDATE {table.rows} AS wrong SET created_at = given.right_at::timestamptz "
                "FROM unnest($1::text[], $2::bigint[], $3::text[]) AS given(session, n, right_at) "
                f"WHERE {table.session_of('wrong')} = given.session AND wrong.id = given.n",
                *map(list, zip(*ends, strict=True)),
            )


async def _copy(
    connection: Any, table: Table, columns: Sequence[str], rows: Sequence[NamedRow]
) -> None:
    await connection.copy_records_to_table(
        table.name, schema_name=table.schema, columns=columns, records=rows
    )


def brings_own(table: Table, rows: Sequence[NamedRow]) -> bool:
    """Whether any of these rows has values for columns that are not ours."""
    return bool(table.own) and any(len(row) > len(table.columns) for row in rows)


async def insert(connection: Any, table: Table, rows: Sequence[NamedRow]) -> None:
    """Insert rows with their ids and with what they bring for columns that are not ours, cast by
    the server."""
    for filled, run in itertools.groupby(rows, lambda row: _filled(table, row)):
        await _insert_run(connection, table, filled, list(run))


def _filled(table: Table, row: NamedRow) -> frozenset[str]:
    """What it brings for columns that the server fills where they are left out: an INSERT cannot
    leave one out of some of its rows."""
    return frozenset(
        column.name for column in table.own if column.filled and column.name in _own(table, row)
    )


def _own(table: Table, row: NamedRow) -> dict[str, str | None]:
    """What a row, which has its id, brings for columns that are not ours."""
    return row[-1] if len(row) > len(table.types) else {}


async def _insert_run(
    connection: Any, table: Table, filled: frozenset[str], rows: Sequence[NamedRow]
) -> None:
    """Insert rows that all bring the same for columns that the server fills; others are NULL
    where a row brings nothing, as they would be without."""
    values_of = [_own(table, row) for row in rows]
    brought = filled.union(*values_of)
    own = [column for column in table.own if column.name in brought]
    columns = [[row[i] for row in rows] for i in range(len(table.types))]
    columns[_TIME + 1] = [None if at is None else format_time(at) for at in columns[_TIME + 1]]
    columns += [[values.get(column.name) for values in values_of] for column in own]
    # By numbers: a column that is not ours may be called as any of these.
    given = [f"c{n}" for n in range(len(columns))]
    kinds = [*table.types.values(), *(column.type for column in own)]
    values = [f"{name}::{kind}" for name, kind in zip(given, kinds, strict=True)]
    names = [*table.types, *(column.name for column in own)]
    arrays = [f"${n + 1}::{'bigint' if n == 1 else 'text'}[]" for n in range(len(columns))]
    await connection.execute(
        f"INSERT INTO {table.rows} ({', '.join(map(identifier, names))}) "
        f"SELECT {', '.join(values)} FROM unnest({', '.join(arrays)}) AS given({', '.join(given)})",
        *columns,
    )


async def new_numbers(connection: Any, table: Table, count: int) -> "array[int]":
    """New ids, ascending; another writer's may lie between them."""
    numbers = array("q")
    while len(numbers) < count:
        text = await connection.fetchval(
            f"SELECT string_agg(nextval({table.numbers})::text, ' ') "
            "FROM generate_series(1, $1::int)",
            min(AT_ONCE, count - len(numbers)),
        )
        numbers.extend(map(int, text.split(" ")))
    return numbers


def _few_sql(table: Table) -> str:
    types = table.layout.columns
    casts = {"jsonb": "::jsonb", "timestamp with time zone": "::timestamptz", "text": ""}
    names = ", ".join(map(identifier, types))
    values = ", ".join(f"{identifier(name)}{casts[kind]}" for name, kind in types.items())
    arrays = ", ".join(f"${n}::text[]" for n in range(2, len(types) + 3))
    return (
        f"WITH new AS (INSERT INTO {table.rows} (session_id, id, {names}) "
        f"SELECT session, nextval({table.numbers}), {values} "
        f"FROM unnest({arrays}) AS given(session, {names}) RETURNING session_id, id) "
        f"SELECT session, (SELECT max(id) FROM {table.rows} "
        f"WHERE {table.session} = wanted.session), "
        f"(SELECT min(id) FROM new WHERE {table.session} = wanted.session), "
        f"(SELECT max(id) FROM new WHERE {table.session} = wanted.session) "
        "FROM unnest($1::text[]) AS wanted(session)"
    )
