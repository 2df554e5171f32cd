"""Values that the driver has nothing for: times outside of the years 1 to 9999, infinite ones, and
text that is not UTF-8. They are asked for once more, as text and as bytes."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final

import asyncpg

from synmem.backends.postgres.encoding import bytes_sql, is_text_sql, text_of
from synmem.backends.postgres.table import is_time_sql
from synmem.errors import StoreError

ENDS: Final = frozenset({datetime.min, datetime.max, date.min, date.max})
"""What the driver makes of an infinite time."""

_TIMES: Final = ("timestamptz", "timestamp", "date")
_SAFE: Final = frozenset({
    "bool", "int2", "int4", "int8", "float4", "float8", "numeric", "bytea", "uuid", "oid",
})  # fmt: skip
"""Types, as the driver calls them, of which it has every value."""


def if_time_sql(value: str) -> tuple[str, str]:
    """A time where the driver has it, and as text where not; else NULL."""
    is_time = is_time_sql(value)
    return (
        f"CASE WHEN {is_time} THEN {value} END",
        f"CASE WHEN NOT ({is_time}) THEN {value}::text END",
    )


def if_text_sql(value: str) -> tuple[str, str]:
    """A value where the server can tell it as text, and as bytes where not; else NULL."""
    is_text = is_text_sql(value)
    return (
        f"CASE WHEN {is_text} THEN {value} END",
        f"CASE WHEN NOT {is_text} THEN {bytes_sql(value)} END",
    )


def either(value: Any, other: str | bytes | None) -> Any:
    """A value of such a pair."""
    return value if other is None else text_of(other)


def is_no_text(error: StoreError) -> bool:
    """Whether the server could not tell a text, since it is not UTF-8."""
    return isinstance(error.__cause__, asyncpg.CharacterNotInRepertoireError)


def has_ends(rows: Iterable[Sequence[Any]]) -> bool:
    """Whether a time may be infinite: the driver has the first and the last for these."""
    return any(isinstance(each, date) and each in ENDS for row in rows for each in row)


async def fetch_odd(connection: Any, sql: str, values: Sequence[Any]) -> list[Sequence[Any]]:
    """The rows of a query, whatever is in them, within a transaction: a time that is no datetime is
    text, and text that is not UTF-8 is bytes."""
    # Without a name: a pooler may give the next transaction to another server connection.
    kinds = [each.type.name for each in (await connection.prepare(sql, name="")).get_attributes()]
    names = [f"c{n}" for n in range(len(kinds))]
    pairs = [_pair(name, kind) for name, kind in zip(names, kinds, strict=True)]
    told = ", ".join([*(value for value, _ in pairs), *(other for _, other in pairs)])
    rows = await connection.fetch(
        f"SELECT {told} FROM ({sql}) AS told({', '.join(names)})", *values
    )
    width = len(kinds)
    return [[*map(either, row[:width], row[width:])] for row in map(tuple, rows)]


def _pair(name: str, kind: str) -> tuple[str, str]:
    if kind in _TIMES:
        return if_time_sql(name)
    return (name, "NULL") if kind in _SAFE else if_text_sql(name)
