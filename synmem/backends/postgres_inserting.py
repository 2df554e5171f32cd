"""How rows come into a PostgreSQL store: a few in one statement, many by COPY; and where they wait
until they may."""

import itertools
import tempfile
from array import array
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import IO, Any, Final

from synmem.backends.postgres_opening import Table, identifier
from synmem.layouts import postgres_rows as layout
from synmem.messages import Message, decode_line, encode_line, format_time, line_prefix
from synmem.store import Position

NamedRow = Sequence[Any]
"""A row, behind the session_id that it goes to."""

_NAMED: Final = ("session_id", *layout.COLUMNS)
_NUMBERED: Final = ("session_id", "id", *layout.COLUMNS)
_TIME: Final = _NAMED.index("created_at")
# What asyncpg sends as -infinity and infinity.
_ENDS: Final = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
_AT_ONCE: Final = 10_000  # rows in one COPY, ids in one answer: each done well within a timeout
_IN_MEMORY_BYTES: Final = 4_000_000


async def ends_of(connection: Any, table: Table, names: Sequence[str]) -> dict[str, Position]:
    """Where each of these conversations ends, those that exist."""
    found = await connection.fetch(
        f"SELECT session, (SELECT max(id) FROM {table.rows} "
        "WHERE session_id = wanted.session) FROM unnest($1::text[]) AS wanted(session)",
        names,
    )
    return {name: str(number) for name, number in found if number is not None}


async def insert_few(
    connection: Any, table: Table, names: Sequence[str], rows: Sequence[NamedRow]
) -> tuple[dict[str, Position], dict[str, Position]]:
    """Insert rows and tell where these conversations ended before, and end now: one statement,
    which sees the table as it was before it."""
    columns = [[row[i] for row in rows] for i in range(len(_NAMED))]
    columns[_TIME] = [None if at is None else format_time(at) for at in columns[_TIME]]
    found = await connection.fetch(_few_sql(table), names, *columns)
    before = {name: str(number) for name, number, _ in found if number is not None}
    after = {name: str(number) for name, _, number in found if number is not None}
    return before, after


async def copy(
    connection: Any, table: Table, names: Sequence[str], rows: Sequence[NamedRow]
) -> dict[str, Position]:
    """Insert rows by COPY, their ids given by the server, and tell where these conversations end
    then."""
    if any(row[_TIME] in _ENDS for row in rows):
        numbers = await new_numbers(connection, table, len(rows))
        numbered = zip(rows, numbers, strict=True)
        await copy_numbered(connection, table, ((row[0], n, *row[1:]) for row, n in numbered))
    else:
        for start in range(0, len(rows), _AT_ONCE):
            await _copy(connection, table, _NAMED, rows[start : start + _AT_ONCE])
    return await ends_of(connection, table, names)


async def copy_csv(connection: Any, table: Table, lines: Sequence[bytes]) -> None:
    """Insert rows by COPY as `store.Csv` has them, their ids given by the server."""

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
    """Write rows with their ids."""
    rows = iter(rows)
    while some := list(itertools.islice(rows, _AT_ONCE)):
        await _copy(connection, table, _NUMBERED, some)
        ends = [
            (row[0], row[1], format_time(at)) for row in some if (at := row[_TIME + 1]) in _ENDS
        ]
        if ends:
            await connection.execute(
                f"UPDATE {table.rows} AS wrong SET created_at = given.right_at::timestamptz "
                "FROM unnest($1::text[], $2::bigint[], $3::text[]) AS given(session, n, right_at) "
                "WHERE wrong.session_id = given.session AND wrong.id = given.n",
                *map(list, zip(*ends, strict=True)),
            )


async def _copy(
    connection: Any, table: Table, columns: Sequence[str], rows: Sequence[NamedRow]
) -> None:
    await connection.copy_records_to_table(
        table.name, schema_name=table.schema, columns=columns, records=rows
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
        f"SELECT session, (SELECT max(id) FROM {table.rows} WHERE session_id = wanted.session), "
        "(SELECT max(id) FROM new WHERE session_id = wanted.session) "
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
        self._file.close()

    def put(self, messages: Sequence[Message]) -> None:
        """Lay messages behind those that are there."""
        prefix = line_prefix("")
        self._file.writelines(encode_line(prefix, message) for message in messages)
        self.count += len(messages)

    def messages(self) -> Iterator[Message]:
        """All of them, from the first; as often as it is asked."""
        self._file.seek(0)
        for line in self._file:
            yield decode_line(line)[1]
