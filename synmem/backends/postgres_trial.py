"""Whether a table that may be somebody's own would take back what is taken from it.

Tried out on the first row of each conversation, in a transaction that the caller rolls back: it is
removed, written by the way of `replace`, read, and compared column by column. What is generated,
and the `id`, are not compared: they come about anew.
"""

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

import asyncpg

from synmem.backends.postgres_errors import may_pass
from synmem.backends.postgres_inserting import NamedRow, copy_numbered, new_numbers, put_beside
from synmem.backends.postgres_opening import Table, identifier
from synmem.backends.postgres_reading import columns_sql, decode_rows, raw_columns_sql
from synmem.errors import Rejected
from synmem.layouts.postgres_rows import COLUMNS
from synmem.messages import Message

AT_ONCE: Final = 200
"""So many conversations in a transaction: their first messages, which may be large, are held."""

Encode = Callable[[Message], NamedRow]
"""As the store encodes a message; ValueError where it would refuse it."""


async def refusals(
    connection: Any, table: Table, names: Sequence[str], encode: Encode
) -> dict[str, str]:
    """Why these conversations, as `session_id` has them, would not be taken back; those that
    would not. Nothing stays of it but in a transaction that is committed."""
    why = await _for_all(connection, table)
    if why is None:
        return await _refusals(connection, table, names, encode)
    there = await connection.fetch(_first_sql(table, "found.session_id"), names)
    return {name: why for (name,) in there}


async def _refusals(
    connection: Any, table: Table, names: Sequence[str], encode: Encode
) -> dict[str, str]:
    """As `refusals`. What one error says of many is asked again of each."""
    found = await _rolled_back(connection, table, names, encode)
    if isinstance(found, dict):
        return found
    if len(names) == 1:
        return {names[0]: _why(found)}
    each = [await _refusals(connection, table, [name], encode) for name in names]
    return {name: why for some in each for name, why in some.items()}


async def _rolled_back(
    connection: Any, table: Table, names: Sequence[str], encode: Encode
) -> dict[str, str] | Exception:
    found: dict[str, str] | Exception
    await connection.execute("SAVEPOINT trial")
    try:
        found = await _try(connection, table, names, encode)
    except (asyncpg.PostgresError, Rejected) as error:
        if isinstance(error, asyncpg.PostgresError) and may_pass(error):
            raise
        found = error
    await connection.execute("ROLLBACK TO SAVEPOINT trial; RELEASE SAVEPOINT trial")
    return found


async def _for_all(connection: Any, table: Table) -> str | None:
    """What is so of the table, whatever is in its rows."""
    if table.hidden:
        return f"this role may not read the table's column {table.hidden[0]}"
    other: str | None = await connection.fetchval(
        "SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'f' "
        "AND confrelid = to_regclass($1::text) AND confdeltype IN ('c', 'n', 'd') LIMIT 1",
        table.rows,
    )
    return other and f"the table {other} loses what refers to a row that is deleted"


def _why(error: BaseException) -> str:
    if isinstance(error, Rejected):
        return error.reasons[0][2]
    return str(getattr(error, "message", None) or error)


async def _try(
    connection: Any, table: Table, names: Sequence[str], encode: Encode
) -> dict[str, str]:
    # As it is read, and all of it as text.
    columns = f"{columns_sql(table, times_as_text=True)}, {_whole(table)}"
    rows = await connection.fetch(_first_sql(table, columns), names)
    found: dict[str, str] = {}
    encoded: list[NamedRow] = []
    for row in rows:
        try:
            (message,) = decode_rows(table, [row[:-1]])
            encoded.append((row[0], *encode(message)))
        except ValueError as error:
            found[row[0]] = f"row {row[1]}: {error}"
    tried = [row for row in rows if row[0] not in found]
    beside = await _beside(connection, table, names)
    await _remove(connection, table, tried)
    numbers = await _put_back(connection, table, encoded)
    await put_beside(connection, table, beside)
    # What is only looked at by a COMMIT is looked at here.
    await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    back = await connection.fetch(_these_sql(table), [row[0] for row in encoded], numbers)
    after = {row[0]: row[-1] for row in back}
    for row in tried:
        if why := _difference(table, row[-1], after.get(row[0])):
            found[row[0]] = why
    return found


async def _remove(connection: Any, table: Table, rows: Sequence[Any]) -> None:
    await connection.execute(
        f"DELETE FROM {table.rows} AS old USING unnest($1::text[], $2::bigint[]) "
        "AS given(session, n) WHERE old.session_id = given.session AND old.id = given.n",
        [row[0] for row in rows], [row[1] for row in rows],
    )  # fmt: skip


async def _put_back(connection: Any, table: Table, rows: Sequence[NamedRow]) -> list[int]:
    """Write them as `replace` would, before what is left of each conversation; their ids."""
    new = await new_numbers(connection, table, len(rows))
    left = await connection.fetch(
        f"SELECT session FROM unnest($1::text[]) AS wanted(session) WHERE EXISTS "
        f"(SELECT FROM {table.rows} WHERE session_id = wanted.session)",
        [row[0] for row in rows],
    )
    begun = {session for (session,) in left}
    numbers = [-n if row[0] in begun else n for n, row in zip(new, rows, strict=True)]
    numbered = ((row[0], n, *row[1:]) for n, row in zip(numbers, rows, strict=True))
    await copy_numbered(connection, table, numbered)
    return numbers


async def _beside(connection: Any, table: Table, names: Sequence[str]) -> list[Any]:
    return list(
        await connection.fetch(
            f"DELETE FROM {table.meta} WHERE session_id = ANY($1::text[]) "
            "RETURNING session_id, name, value",
            names,
        )
    )


def _first_sql(table: Table, columns: str) -> str:
    """The first row of each of the conversations `$1`."""
    return (
        f"SELECT {columns} FROM unnest($1::text[]) AS wanted(session) CROSS JOIN LATERAL "
        f"(SELECT {raw_columns_sql(table)} FROM {table.rows} "
        "WHERE session_id = wanted.session ORDER BY id LIMIT 1) AS found"
    )


def _these_sql(table: Table) -> str:
    """The rows of these ids, all of them as text."""
    return (
        f"SELECT found.session_id, {_whole(table)} FROM unnest($1::text[], $2::bigint[]) "
        f"AS given(s, n) JOIN {table.rows} AS found "
        "ON found.session_id = given.s AND found.id = given.n"
    )


def _compared(table: Table) -> list[str]:
    return ["session_id", *COLUMNS, *(column.name for column in table.own), *table.bound]


def _whole(table: Table) -> str:
    texts = ", ".join(f"found.{identifier(name)}::text" for name in _compared(table))
    return f"ARRAY[{texts}]"


def _difference(
    table: Table, before: Sequence[str | None], after: Sequence[str | None] | None
) -> str | None:
    """What would not come back as it is, or None."""
    if after is None:
        return "what is written to the table does not stay in it"
    for name, old, new in zip(_compared(table), before, after, strict=True):
        if old != new and not (COLUMNS.get(name) == "jsonb" and _same_json(old, new)):
            return f"its column {name} would come back with another value"
    return None


def _same_json(one: str | None, other: str | None) -> bool:
    """Whether both are the same by value: 1.50 is 1.5."""
    if one is None or other is None:
        return False
    return bool(_exact(one) == _exact(other))


def _exact(text: str) -> Any:
    return json.loads(text, parse_int=_number, parse_float=_number)


def _number(text: str) -> tuple[str, Decimal]:
    return ("number", Decimal(text))  # a pair: to Python, true is 1
