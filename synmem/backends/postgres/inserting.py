"""How rows come into a PostgreSQL store: a few in one statement, many by COPY; and where they wait
until they may."""

import contextlib
import itertools
import tempfile
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import IO, Any, Final

import asyncpg

from synmem.backends.postgres.errors import is_of_a_row, said_of
from synmem.backends.postgres.numbers import check_above
from synmem.backends.postgres.opening import Table, identifier
from synmem.layouts.own import postgres_rows as layout
from synmem.messages import Message, decode_line, encode_line, format_time, line_prefix
from synmem.store import Position
from synmem.temporary import room

NamedRow = Sequence[Any]
"""A row, behind the session_id that it goes to; as `layout.encode_own` makes it, it may have one
value more than our columns."""

_NAMED: Final = ("session_id", *layout.COLUMNS)
_NUMBERED: Final = ("session_id", "id", *layout.COLUMNS)
_TIME: Final = _NAMED.index("created_at")
# What asyncpg sends as -infinity and infinity.
_ENDS: Final = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
_AT_ONCE: Final = 10_000  # rows in one COPY, ids in one answer: each done well within a timeout
_TOLD: Final = 100  # of so many refused messages it is said which they are
_IN_MEMORY_BYTES: Final = 4_000_000


async def ends_of(connection: Any, table: Table, names: Sequence[str]) -> dict[str, Position]:
    """Where each of these conversations ends, those that exist."""
    found = await connection.fetch(
        f"SELECT session, (SELECT max(id) FROM {table.rows} "
        f"WHERE {table.session} = wanted.session) FROM unnest($1::text[]) AS wanted(session)",
        names,
    )
    return {name: str(number) for name, number in found if number is not None}


async def insert_few(
    connection: Any, store: str, table: Table, names: Sequence[str], rows: Sequence[NamedRow]
) -> tuple[dict[str, Position], dict[str, Position]]:
    """Insert rows and tell where these conversations ended before, and end now: one statement,
    which sees the table as it was before it. StoreError where they would not come last."""
    columns = [[row[i] for row in rows] for i in range(len(_NAMED))]
    columns[_TIME] = [None if at is None else format_time(at) for at in columns[_TIME]]
    found = await connection.fetch(_few_sql(table), names, *columns)
    before = {name: str(number) for name, number, _, _ in found if number is not None}
    after = {name: str(number) for name, _, _, number in found if number is not None}
    first = {name: number for name, _, number, _ in found if number is not None}
    check_above(store, table, before, first)
    return before, after


async def copy(
    connection: Any, table: Table, names: Sequence[str], rows: Sequence[NamedRow]
) -> dict[str, Position]:
    """Insert rows by COPY, their ids given by the server, and tell where these conversations end
    then."""
    ends = any(row[_TIME] in _ENDS for row in rows)
    if ends or table.folds or (table.own and any(map(brings_own, rows))):
        numbers = await new_numbers(connection, table, len(rows))
        numbered = zip(rows, numbers, strict=True)
        await copy_numbered(connection, table, ((row[0], n, *row[1:]) for row, n in numbered))
    else:
        for start in range(0, len(rows), _AT_ONCE):
            await _copy(connection, table, _NAMED, rows[start : start + _AT_ONCE])
    return await ends_of(connection, table, names)


async def copy_csv(connection: Any, table: Table, lines: Sequence[bytes]) -> None:
    """Insert rows by COPY as `Csv` has them, their ids given by the server."""

    async def all_at_once() -> AsyncIterator[bytes]:
        yield b"".join(lines)

    await connection.copy_to_table(
        table.name,
        schema_name=table.schema,
        columns=_NAMED[: _TIME + 1],
        format="csv",
        source=all_at_once(),
    )


async def copy_numbered(connection: Any, table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
    """Write rows with their ids, which stand behind their session_ids."""
    rows = iter(rows)
    while some := list(itertools.islice(rows, _AT_ONCE)):
        if table.folds or (table.own and any(map(_own, some))):
            await _insert(connection, table, some)
            continue
        await _copy(connection, table, _NUMBERED, some)
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


def brings_own(row: NamedRow) -> bool:
    """Whether it has values for columns that are not ours."""
    return len(row) > len(_NAMED)


async def _insert(connection: Any, table: Table, rows: Sequence[NamedRow]) -> None:
    """Insert rows with their ids and with what they bring for columns that are not ours, cast by
    the server."""
    for filled, run in itertools.groupby(rows, lambda row: _filled(table, row)):
        await _insert_run(connection, table, filled, list(run))


async def refused_rows(
    connection: Any, table: Table, rows: Iterable[NamedRow]
) -> list[tuple[str, int, str]]:
    """Which of these rows the server does not take, and why, for `Rejected`; of many the first.

    In a transaction that the caller rolls back: those that it takes are there then.
    """
    rows = iter(rows)
    seen: Counter[str] = Counter()  # messages of each conversation so far
    found: list[tuple[str, int, str]] = []
    while len(found) < _TOLD and (some := list(itertools.islice(rows, _AT_ONCE))):
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
    why = await refused(connection, lambda connection: _insert(connection, table, rows))
    if why is None:
        return
    if len(given) == 1:
        ((index, row),) = given
        found.append((layout.shown_id(row[0]), index, why))
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


def _filled(table: Table, row: NamedRow) -> frozenset[str]:
    """What it brings for columns that the server fills where they are left out: an INSERT cannot
    leave one out of some of its rows."""
    return frozenset(
        column.name for column in table.own if column.filled and column.name in _own(row)
    )


def _own(row: NamedRow) -> dict[str, str | None]:
    return row[-1] if len(row) > len(_NUMBERED) else {}


async def _insert_run(
    connection: Any, table: Table, filled: frozenset[str], rows: Sequence[NamedRow]
) -> None:
    """Insert rows that all bring the same for columns that the server fills; others are NULL
    where a row brings nothing, as they would be without."""
    brought = filled.union(*map(_own, rows))
    own = [column for column in table.own if column.name in brought]
    columns = [[row[i] for row in rows] for i in range(len(_NUMBERED))]
    columns[_TIME + 1] = [None if at is None else format_time(at) for at in columns[_TIME + 1]]
    columns += [[_own(row).get(column.name) for row in rows] for column in own]
    # By numbers: a column that is not ours may be called as any of these.
    given = [f"c{n}" for n in range(len(columns))]
    kinds = ["text", "bigint", *layout.COLUMNS.values(), *(column.type for column in own)]
    values = [f"{name}::{kind}" for name, kind in zip(given, kinds, strict=True)]
    names = [*_NUMBERED, *(column.name for column in own)]
    arrays = [f"${n + 1}::{'bigint' if n == 1 else 'text'}[]" for n in range(len(columns))]
    await connection.execute(
        f"INSERT INTO {table.rows} ({', '.join(map(identifier, names))}) "
        f"SELECT {', '.join(values)} FROM unnest({', '.join(arrays)}) AS given({', '.join(given)})",
        *columns,
    )


async def put_beside(connection: Any, table: Table, rows: Sequence[Sequence[str]]) -> None:
    """Set titles, extras and notes: session_id, name, and the value as JSON."""
    if not rows:
        return
    await connection.execute(
        f"INSERT INTO {table.meta} (session_id, name, value) "
        "SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) "
        "ON CONFLICT (session_id, name) DO UPDATE SET value = excluded.value",
        *map(list, zip(*rows, strict=True)),
    )


async def forget_beside(connection: Any, table: Table, rows: Sequence[Sequence[str]]) -> None:
    """Forget titles and extras: session_id and name."""
    if not rows:
        return
    await connection.execute(
        f"DELETE FROM {table.meta} AS old USING unnest($1::text[], $2::text[]) "
        "AS given(session, name) WHERE old.session_id = given.session AND old.name = given.name",
        *map(list, zip(*rows, strict=True)),
    )


async def new_numbers(connection: Any, table: Table, count: int) -> "array[int]":
    """New ids, ascending; another writer's may lie between them."""
    numbers = array("q")
    while len(numbers) < count:
        text = await connection.fetchval(
            f"SELECT string_agg(nextval({table.numbers})::text, ' ') "
            "FROM generate_series(1, $1::int)",
            min(_AT_ONCE, count - len(numbers)),
        )
        numbers.extend(map(int, text.split(" ")))
    return numbers


def _few_sql(table: Table) -> str:
    columns = list(layout.COLUMNS)
    casts = {"jsonb": "::jsonb", "timestamp with time zone": "::timestamptz", "text": ""}
    names = ", ".join(map(identifier, columns))
    values = ", ".join(f"{identifier(c)}{casts[layout.COLUMNS[c]]}" for c in columns)
    arrays = ", ".join(f"${n}::text[]" for n in range(2, len(columns) + 3))
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


class Aside:
    """Messages laid aside until they are written: a few in memory, many in a file of no name."""

    def __init__(self) -> None:
        self.count = 0
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115

    def __enter__(self) -> "Aside":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # what did not fit before does not fit now
            self._file.close()

    def put(self, messages: Sequence[Message]) -> None:
        """Lay messages behind those that are there."""
        prefix = line_prefix("")
        with room():
            self._file.writelines(encode_line(prefix, message) for message in messages)
        self.count += len(messages)

    def messages(self) -> Iterator[Message]:
        """All of them, from the first; as often as it is asked."""
        with room():
            self._file.seek(0)
        for line in self._file:
            yield decode_line(line)[1]
