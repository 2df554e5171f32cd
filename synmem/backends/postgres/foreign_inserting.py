"""How rows come into a table of another framework and go from it; each function is a step of a
transaction."""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import islice
from typing import Any, Final

from synmem.backends.paging import changed
from synmem.backends.placing import Placing
from synmem.backends.postgres.aside import Aside
from synmem.backends.postgres.foreign_table import ForeignTable
from synmem.backends.postgres.inserting import AT_ONCE
from synmem.backends.postgres.table import identifier, literal
from synmem.backends.records import Row, position_at, spot_at
from synmem.errors import Rejected, StoreError, Unsupported
from synmem.store import Position

_AS_THEY_ARE: Final = {
    "smallint": "bigint", "integer": "bigint", "bigint": "bigint", "boolean": "boolean",
    "real": "float8", "double precision": "float8", "bytea": "bytea",
}  # fmt: skip
"""Types of columns whose values are sent as such, in arrays of these; others as text."""

_LOWEST: Final = {"smallint": -(2**15), "integer": -(2**31), "bigint": -(2**63)}


class Inserted:
    """What stands in the table of new rows of a conversation: the first number and the last row."""

    def __init__(self, first: int, last: Row) -> None:
        self.first = first
        self.last = last


async def insert(
    connection: Any, table: ForeignTable, placing: Placing, rows: Sequence[Row], *, numbered: bool
) -> dict[str, Inserted]:
    """Insert these rows, in their order, with their numbers or with those that the server gives;
    what was inserted, by conversation. Rejected lists the ids that are others there."""
    names = [table.last, table.id.name, *placing.columns]
    sent = [[*map(_sent, column)] for column in zip(*map(placing.values, rows), strict=True)]
    sent[1] = table.id.values(sent[1])
    if not numbered:
        names, sent = names[1:], sent[1:]
    kinds = [table.type_of(name) for name in names]
    arrays = [f"${n}::{_AS_THEY_ARE.get(kind, 'text')}[]" for n, kind in enumerate(kinds, 1)]
    arrays[int(numbered)] = f"${1 + int(numbered)}::{table.id.type}[]"
    given = [f"c{n}" for n in range(len(names))]
    values = [f"{name}::{kind}" for name, kind in zip(given, kinds, strict=True)]
    for index, name in enumerate(names):
        if default := table.default_of(name):
            values[index] = f"coalesce({values[index]}, {default})"
    found = await connection.fetch(
        f"WITH new AS (INSERT INTO {table.name} ({', '.join(map(identifier, names))}) "
        f"{'OVERRIDING SYSTEM VALUE ' if numbered else ''}SELECT {', '.join(values)} "
        f"FROM unnest({', '.join(arrays)}) WITH ORDINALITY AS given({', '.join(given)}, nth) "
        f"ORDER BY nth RETURNING {table.columns_sql()}) "
        "SELECT DISTINCT ON (s) *, min(n) OVER (PARTITION BY s) FROM new ORDER BY s, n DESC",
        *sent,
    )
    inserted = {row[0]: Inserted(row[-1], table.as_row(row)) for row in found}
    if changed_ids := {row.conversation for row in rows} - inserted.keys():
        why = f"the table's column {table.id.name!r} does not keep the id as it is"
        raise Rejected([(id_, 0, why) for id_ in sorted(changed_ids)])
    return inserted


async def put(
    connection: Any,
    table: ForeignTable,
    placing: Placing,
    conversation: str,
    aside: Aside,
    first: int | None = None,
    *,
    behind: Sequence[Any] = (),
) -> None:
    """Write what was laid aside, numbered from the first on or by the server, in front of a row
    that is ordered by these."""
    messages, done = aside.messages(), 0
    before: Sequence[Any] = ()
    while some := [*islice(messages, AT_ONCE)]:
        number = (0 if first is None else first - 1) + done
        rows = placing.rows(conversation, some, number, before=before, behind=behind, nth=done)
        await insert(connection, table, placing, rows, numbered=first is not None)
        before, done = rows[-1].keys, done + len(rows)


def _sent(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


async def check_zone(place: Any, table: ForeignTable) -> None:
    """Unsupported, where rows are ordered by times without a zone that are not in UTC here: asked
    of a connection or of the database."""
    if not any(table.type_of(key) == "timestamp without time zone" for key in table.keys):
        return
    if await place.fetch("SELECT WHERE extract(timezone FROM now()) <> 0"):
        raise Unsupported(
            f"{table.database.name}: its rows are ordered by times that say no zone, and the "
            "server's is not UTC: where a new one stands cannot be said",
            hint="ALTER ROLE ... SET timezone TO 'UTC'",
        )


async def last_rows(connection: Any, table: ForeignTable, ids: Sequence[str]) -> dict[str, Row]:
    """The last row of each of these conversations, those that exist."""
    rows = await table.end_rows(ids, True, 1, connection)
    return {row.conversation: row for row in rows}


async def first_row(connection: Any, table: ForeignTable, conversation: str) -> Row | None:
    """The first row of a conversation, if there is one."""
    return next(iter(await table.end_rows([conversation], False, 1, connection)), None)


async def cut(
    connection: Any, table: ForeignTable, conversation: str, upto: Position | None
) -> None:
    """Delete a conversation, or its front; Changed where no message stands at its end."""
    of, values = table.id.among("$1"), table.id.values([conversation])
    delete = f"DELETE FROM {table.name} WHERE {of}{table.live}"
    if upto is None:
        await connection.execute(delete, values)
        return
    number = spot_at(upto).number
    at = "SELECT * FROM ({}) AS found WHERE n = $2"
    rows = await table.rows(at, of, [values, number], connection)
    if not rows or position_at(rows[0]) != upto:
        raise changed(conversation, table.database.name)
    front = f"SELECT n FROM ({{}}) AS found WHERE {table.not_before('$2', reverse=True)}"
    front = front.replace("{}", table.selected(of))
    await connection.execute(f"{delete} AND {identifier(table.last)} IN ({front})", values, number)


async def trim(connection: Any, table: ForeignTable, ids: Sequence[str], keep: int) -> None:
    """Delete what is older than the newest `keep` messages of each of these conversations."""
    of, order = table.id.among("$1"), table.order(reverse=True)
    ranked = f"SELECT s, n, row_number() OVER (PARTITION BY s ORDER BY {order}) AS nth"
    await connection.execute(
        f"WITH old AS MATERIALIZED (SELECT s, n FROM ({ranked} FROM ({table.selected(of)}) AS "
        f"found) AS ranked WHERE nth > $2) DELETE FROM {table.name} USING old "
        f"WHERE {of} AND {table.id.text} = old.s AND {identifier(table.last)} = old.n",
        table.id.values(ids),
        keep,
    )


async def namesakes(place: Any, table: ForeignTable, ids: Sequence[str]) -> dict[str, str]:
    """Of these ids those that the column takes for another one that is in it too, and which: asked
    of a connection or of the database."""
    if table.id.same is None or not ids:
        return {}
    same = table.id.same.format(row="other", value="asked.id")
    found = await place.fetch(
        f"SELECT DISTINCT ON (asked.id) asked.id, {table.id.text} FROM unnest($1::text[]) "
        f"AS asked(id) JOIN {table.name} AS other ON {same} "
        f'WHERE {table.id.text} <> asked.id COLLATE "C"{table.live}',
        table.id.values(ids),
    )
    return dict(found)


async def lowest(connection: Any, table: ForeignTable, room: int) -> int:
    """From which number on so many are free in front of the lowest; StoreError where none is."""
    found = await connection.fetchval(f"SELECT min({identifier(table.last)}) FROM {table.name}")
    first = min(found, 1) - room
    if first < _LOWEST[table.type_of(table.last)]:
        raise StoreError(f"{table.database.name}: the numbers in its table leave no lower one free")
    return int(first)


def check_behind(
    table: ForeignTable, before: Mapping[str, Row], inserted: Mapping[str, Inserted]
) -> None:
    """StoreError, where new rows have not come behind those that were there."""
    for name, new in inserted.items():
        if name in before and new.first <= before[name].number:
            raise behind(table)


def behind(table: ForeignTable) -> StoreError:
    """What a writer is told where the sequence is behind its table."""
    name, column = literal(table.name), literal(table.last)
    sequence = f"pg_get_serial_sequence({name}, {column})"
    highest = f"(SELECT max({identifier(table.last)}) FROM {table.name})"
    return StoreError(
        f"{table.database.name}: the sequence of the column {table.last} is behind its table, and a"
        " new message would come before older ones; nothing was written",
        hint=f"SELECT setval({sequence}, {highest})",
    )
