"""Whether a table that may be somebody's own would take back what is taken from it.

Where the table and its companions are as we make them, and the role may write to them, nothing can
refuse, and nothing is tried. Else every row is: in transactions that the caller rolls back it is
removed, written by the ways of `append` and `replace`, read, and compared column by column. What is
generated, and the `id`, are not compared: they come about anew.
"""

import functools
import itertools
import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import asyncpg

from synmem.backends.paging import storable
from synmem.backends.patience import again
from synmem.backends.postgres.beside import put_beside
from synmem.backends.postgres.errors import Lost, may_pass, said_of
from synmem.backends.postgres.inserting import NamedRow, copy_numbered, new_numbers
from synmem.backends.postgres.table import Table, identifier
from synmem.backends.postgres.writing import begin_sql
from synmem.messages import Message, chunks

CONVERSATIONS_AT_ONCE: Final = 200
ROWS_AT_ONCE: Final = 1_000
"""So many in a transaction: their rows, which may be large, are held."""

Rest = tuple[Sequence[str], int | None]
"""The conversations that are still to be tried, and the row of the first of them behind which."""

_PLAIN: Final = """
SELECT c.relkind = 'r' AND NOT (c.relispartition OR c.relhassubclass OR c.relhasrules
        OR c.relhastriggers OR c.relrowsecurity)
    AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
    AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE')
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = c.oid AND contype NOT IN ('p', 'n'))
    AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND (NOT indisprimary
        AND indisunique OR indisexclusion OR indexprs IS NOT NULL OR indpred IS NOT NULL))
    AND ARRAY(SELECT a.attname::text FROM pg_index AS i
            CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k(n, nth)
            JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.n
            WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY k.nth) = {key}::text[]
    AND ARRAY(SELECT a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
                || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
                || CASE WHEN a.attgenerated <> '' OR a.attidentity <> '' THEN ' made' ELSE '' END
            FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0
            AND NOT a.attisdropped ORDER BY a.attnum) @> {columns}::text[]
    AND (SELECT count(*) FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0
            AND NOT a.attisdropped) = cardinality({columns}::text[])
FROM pg_class AS c WHERE c.oid = to_regclass({table}::text)
"""
"""Whether a table is as we make it, with this key and these columns, and this role may write."""


async def refuses_back(table: Table, conversations: Sequence[str]) -> dict[str, str]:
    """See `SupportsTrial.refuses_back`: under the locks, as a write is."""
    names = [table.stored_id(each) for each in storable(conversations)]
    # Somebody may have altered the table since it was opened.
    await table.look()
    if not names or not table.made or await _is_plain(table):
        return {}
    found: dict[str, str] = {}
    for these in chunks(names, CONVERSATIONS_AT_ONCE):
        rest: Rest = (these, None)
        while rest[0]:
            some, rest = await again(functools.partial(_try_back, table, rest), (Lost,))
            found |= some
    return {table.shown_id(name): why for name, why in found.items()}


async def _try_back(table: Table, rest: Rest) -> tuple[dict[str, str], Rest]:
    names, _ = rest
    async with table.database.connection() as connection:
        if why := await _for_all(connection, table):
            there = await connection.fetch(_those_there_sql(table), names)
            return {name: why for (name,) in there}, ((), None)
        await connection.execute(begin_sql(table, names))
        answer = await refusals(connection, table, rest)
        await connection.execute("ROLLBACK")
        return answer


async def _is_plain(table: Table) -> bool:
    """Whether nothing can refuse, neither in the table of messages nor in its companions: one
    query of the catalog."""
    ours = ("session_id", "id", "role", "content")
    rows = [
        f"{name} {kind}{' NOT NULL' if name in ours else ''}" for name, kind in table.types.items()
    ]
    meta = [f"{name} text NOT NULL" for name in ("session_id", "name", "value")]
    calls = ["token uuid NOT NULL", "at timestamp with time zone NOT NULL"]
    tables = [
        (table.rows, ["session_id", "id"], rows),
        (table.meta, ["session_id", "name"], meta),
        (table.calls, ["token"], calls),
    ]
    plain = [
        f"coalesce(({_PLAIN.format(table=f'${n}', key=f'${n + 1}', columns=f'${n + 2}')}), false)"
        for n in (2, 5, 8)
    ]
    ((is_it,),) = await table.database.fetch(
        f"SELECT {' AND '.join(plain)} "
        "AND has_sequence_privilege(to_regclass($1::text)::oid, 'USAGE, UPDATE')",
        table.sequence, *itertools.chain(*tables),
    )  # fmt: skip
    return bool(is_it)


async def _for_all(connection: Any, table: Table) -> str | None:
    """Why no conversation would come back as it is, whatever is in its rows, or None."""
    if table.hidden:
        return f"this role may not read the table's column {table.hidden[0]}"
    other: str | None = await connection.fetchval(
        "SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'f' "
        "AND confrelid = to_regclass($1::text) AND confdeltype IN ('c', 'n', 'd') LIMIT 1",
        table.rows,
    )
    return other and f"the table {other} loses what refers to a row that is deleted"


async def refusals(connection: Any, table: Table, rest: Rest) -> tuple[dict[str, str], Rest]:
    """Why conversations, as `session_id` has them, would not be taken back, as far as some of
    their rows tell, and what is still to be tried. Nothing stays of it but in a transaction that
    is committed."""
    names, after = rest
    # As it is read, and all of it as text.
    columns = f"{table.columns_sql(times_as_text=True)}, {_whole(table)}"
    rows = await connection.fetch(_rows_sql(table, columns), names, after, ROWS_AT_ONCE)
    found: dict[str, str] = {}
    tried: list[_Tried] = []
    for row in rows:
        try:
            (message,) = table.decode([row[:-1]])
            tried.append((row[0], row[1], row[-1], (row[0], *_encoded(table, message))))
        except ValueError as error:
            found.setdefault(row[0], f"row {row[1]}: {error}")
    await _refusals(connection, table, tried, found)
    if len(rows) < ROWS_AT_ONCE:
        return found, ((), None)
    last, behind = rows[-1][:2]
    left = names[names.index(last) :]
    return found, ((left[1:], None) if last in found else (left, behind))


def _encoded(table: Table, message: Message) -> Sequence[Any]:
    """As the store writes it; ValueError where it would refuse it."""
    if why := table.refusal(message):
        raise ValueError(why)
    return table.encode(message)


_Tried = tuple[str, int, Sequence[str | None], NamedRow]
"""A row that is tried: its session_id and id, how it reads now, how it is written back."""


async def _refusals(
    connection: Any, table: Table, rows: Sequence[_Tried], found: dict[str, str]
) -> None:
    """Add why these rows would not be taken back. What an error says of many is asked again of
    each half; where neither has it, it is of them all."""
    rows = [row for row in rows if row[0] not in found]
    if not rows:
        return
    told = await _rolled_back(connection, table, rows)
    if isinstance(told, dict):
        found |= told
        return
    before = len(found)
    if len(rows) > 1:
        half = len(rows) // 2
        for part in (rows[:half], rows[half:]):
            await _refusals(connection, table, part, found)
    if len(found) == before:
        found |= {row[0]: said_of(told) for row in rows}


async def _rolled_back(
    connection: Any, table: Table, rows: Sequence[_Tried]
) -> dict[str, str] | Exception:
    told: dict[str, str] | Exception
    await connection.execute("SAVEPOINT trial")
    try:
        told = await _try(connection, table, rows)
    except asyncpg.PostgresError as error:
        if may_pass(error):
            raise
        told = error
    await connection.execute("ROLLBACK TO SAVEPOINT trial; RELEASE SAVEPOINT trial")
    return told


async def _try(connection: Any, table: Table, rows: Sequence[_Tried]) -> dict[str, str]:
    beside = await _beside(connection, table, list({row[0] for row in rows}))
    await _remove(connection, table, rows)
    in_front = await _in_front(connection, table, rows)
    # Behind all, as where nothing else is left; and before what is left, as `replace` does it.
    await connection.execute("SAVEPOINT behind")
    told = await _back(connection, table, rows, beside, sign=1)
    await connection.execute("ROLLBACK TO SAVEPOINT behind; RELEASE SAVEPOINT behind")
    return {**await _back(connection, table, in_front, beside, sign=-1), **told}


async def _back(
    connection: Any, table: Table, rows: Sequence[_Tried], beside: Sequence[Any], *, sign: int
) -> dict[str, str]:
    """Write them again, and tell what is another then."""
    numbers = [sign * n for n in await new_numbers(connection, table, len(rows))]
    if sign < 0:
        numbers.reverse()
    numbered = ((row[3][0], n, *row[3][1:]) for n, row in zip(numbers, rows, strict=True))
    await copy_numbered(connection, table, numbered)
    await put_beside(connection, table, beside)
    # What is only looked at by a COMMIT is looked at here.
    await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    back = await connection.fetch(_these_sql(table), [row[0] for row in rows], numbers)
    after = {(row[0], row[1]): row[2] for row in back}
    told: dict[str, str] = {}
    for (name, _, before, _), number in zip(rows, numbers, strict=True):
        if why := _difference(table, before, after.get((name, number))):
            told.setdefault(name, why)
    return told


async def _in_front(connection: Any, table: Table, rows: Sequence[_Tried]) -> list[_Tried]:
    """Those of these rows, which are removed, that may come back before others: the conversation
    has more than the one."""
    count = Counter(row[0] for row in rows)
    left = await connection.fetch(_those_there_sql(table), list(count))
    more = {session for (session,) in left}
    return [row for row in rows if row[0] in more or count[row[0]] > 1]


async def _remove(connection: Any, table: Table, rows: Sequence[_Tried]) -> None:
    await connection.execute(
        f"DELETE FROM {table.rows} AS old USING unnest($1::text[], $2::bigint[]) "
        f"AS given(session, n) WHERE {table.session_of('old')} = given.session "
        "AND old.id = given.n",
        [row[0] for row in rows], [row[1] for row in rows],
    )  # fmt: skip


async def _beside(connection: Any, table: Table, names: Sequence[str]) -> list[Any]:
    return list(
        await connection.fetch(
            f"DELETE FROM {table.meta} WHERE session_id = ANY($1::text[]) "
            "RETURNING session_id, name, value",
            names,
        )
    )


def _those_there_sql(table: Table) -> str:
    """A query of those of the conversations `$1` that have rows."""
    return (
        "SELECT session FROM unnest($1::text[]) AS wanted(session) WHERE EXISTS "
        f"(SELECT FROM {table.rows} WHERE {table.session} = wanted.session)"
    )


def _rows_sql(table: Table, columns: str) -> str:
    """The rows of the conversations `$1`, one after another as they are named, of the first those
    behind `$2`; `$3` in all."""
    return (
        f"SELECT {columns} FROM unnest($1::text[]) WITH ORDINALITY AS wanted(session, nth) "
        f"CROSS JOIN LATERAL (SELECT {table.raw_columns_sql()} FROM {table.rows} "
        f"WHERE {table.session} = wanted.session "
        "AND (wanted.nth > 1 OR $2::bigint IS NULL OR id > $2::bigint) "
        "ORDER BY id LIMIT $3) AS found LIMIT $3"
    )


def _these_sql(table: Table) -> str:
    """The rows of these ids, all of them as text."""
    return (
        f"SELECT {table.session_of('found')}, found.id, {_whole(table)} "
        "FROM unnest($1::text[], $2::bigint[]) "
        f"AS given(s, n) JOIN {table.rows} AS found "
        f"ON {table.session_of('found')} = given.s AND found.id = given.n"
    )


def _compared(table: Table) -> list[str]:
    return [*table.columns, *(column.name for column in table.own), *table.bound]


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
        if old != new and not (table.types.get(name) == "jsonb" and _same_json(old, new)):
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
