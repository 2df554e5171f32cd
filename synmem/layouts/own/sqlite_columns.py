"""Columns that somebody added to a `messages` table, carried in a message's `extra`.

`extra[LAYOUT][COLUMN]` is the value: text, a number, or `{"base64": "..."}` for a BLOB. NULL is
left out; where the column has a default it is null, since a message that says nothing gets the
default. What a column would not give back as it is (true, a list, `"5"` in a column of numbers)
stays in `extra`, as it does in a table without that column.
"""

import base64
import binascii
import math
import re
from collections.abc import Sequence
from datetime import datetime
from itertools import compress
from typing import Any, Final

from msgspec.structs import replace

from synmem.layouts.own.sqlite_tables import Column, Row, Table
from synmem.messages import JSONObject, Message, encodable


class _Default:
    """What stands in a row for a column that is to get its default."""


DEFAULT: Final = _Default()


def quoted(name: str) -> str:
    """A name as SQL takes it. Of one in double quotes that is not there, SQLite makes a text."""
    return "`" + name.replace("`", "``") + "`"


def grouped(columns: Sequence[str], rows: Sequence[Row]) -> dict[tuple[str, ...], list[Row]]:
    """Rows (two values, then one for each column) by the columns that do not get their default."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        filled = [value is not DEFAULT for value in row[2:]]
        some = groups.setdefault(tuple(compress(columns, filled)), [])
        some.append((*row[:2], *compress(row[2:], filled)))
    return groups


class WideTable:
    """A table of one of the layouts with columns that the layout does not know."""

    def __init__(self, table: Table, others: Sequence[Column]) -> None:
        self._table = table
        self._others = others
        self._width = len(table.columns)
        self._asks = any(column.required and not column.default for column in others)
        self.name = table.name
        self.holds = replace(
            table.holds,
            columns=frozenset((table.name, column.name) for column in others),
            defaults=frozenset((table.name, column.name) for column in others if column.default),
        )
        self.common = table.common
        self.time_column = table.time_column
        self.schema = table.schema
        self.others = tuple(column.name for column in others)
        self.columns = (*table.columns, *map(quoted, self.others))

    def refusal(self, message: Message) -> str | None:
        """See `Table.refusal`: a column that must have a value has none."""
        if why := self._table.refusal(message):
            return why
        given = self._given(message)
        for column in self._others:
            has = column.name in given
            if column.required and (
                (has and not _fits(column, given[column.name])) or not (has or column.default)
            ):
                return (
                    f"the table's column {column.name!r} must have a value that it can hold: "
                    f"as {column.name!r} of {self.name!r} in the message's extra"
                )
        return None

    def encode(self, message: Message) -> Row:
        """See `Table.encode`; `DEFAULT` where a column is to get that."""
        given = self._given(message)
        taken = {
            column.name: given[column.name]
            for column in self._others
            if column.name in given and _fits(column, given[column.name])
        }
        values = [
            _as_value(given[column.name] if column.name in taken else None)
            if column.name in given or not column.default
            else DEFAULT
            for column in self._others
        ]
        return (*self._table.encode(_without(message, self.name, taken)), *values)

    def bare(self, message: Message) -> Row | None:
        """See `Table.bare`."""
        return None if self._asks else self._table.bare(message)

    def decode(self, values: Row) -> Message:
        """See `Table.decode`."""
        message = self._table.decode(values[: self._width])
        found = {
            column.name: _as_json(column.name, value)
            for column, value in zip(self._others, values[self._width :], strict=True)
            if value is not None or column.default
        }
        return self._with(message, found) if found else message

    def decode_all(self, rows: Sequence[Row]) -> list[Message]:
        """See `Table.decode_all`."""
        return [self.decode(row[2:]) for row in rows]

    def time_of(self, value: Any) -> datetime | None:
        """See `Table.time_of`."""
        return self._table.time_of(value)

    def differing(self, before: Row, after: Row) -> str | None:
        """See `Table.differing`."""
        for name, one, other in zip(
            self.others, before[self._width :], after[self._width :], strict=True
        ):
            if type(one) is not type(other) or one != other:
                return name
        return self._table.differing(before[: self._width], after[: self._width])

    def _given(self, message: Message) -> JSONObject:
        """What the message says of columns of this layout."""
        given = message.extra.get(self.name) if message.extra else None
        return given if isinstance(given, dict) else {}

    def _with(self, message: Message, found: JSONObject) -> Message:
        """The message with what stands in the columns."""
        extra = message.extra or {}
        beside = extra.get(self.name, {})
        if not isinstance(beside, dict):
            raise ValueError(f"extra has another {self.name!r} than its columns")
        for name, value in found.items():
            if value is not None and name in beside:
                raise ValueError(f"{name!r} stands in a column and in extra")
        return replace(message, extra={**extra, self.name: {**found, **beside}})


def _without(message: Message, layout: str, taken: JSONObject) -> Message:
    """The message without what has columns."""
    if not taken or not message.extra:
        return message
    extra = dict(message.extra)
    beside = {name: value for name, value in extra.pop(layout).items() if name not in taken}
    if beside:
        extra[layout] = beside
    return replace(message, extra=extra or None)


def _as_json(name: str, value: Any) -> Any:
    if type(value) is bytes:
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, bytes):
        raise ValueError(f"{name} is text that is not UTF-8")
    return value


def _as_value(value: Any) -> Any:
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value


NUMBER: Final = re.compile(
    r"[ \t\n\v\f\r]*[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?[ \t\n\v\f\r]*"
)
"""Text of which SQLite makes a number in a column of numbers."""


def _fits(column: Column, value: Any) -> bool:
    """Whether the column gives the value back as it is (https://sqlite.org/datatype3.html)."""
    if value is None:
        return not column.required
    if isinstance(value, dict):
        return _is_blob(value)
    kept = affinity(column.type)
    if type(value) is str:
        numeric = kept not in ("TEXT", "BLOB") and NUMBER.fullmatch(value)
        return encodable(value) and not numeric
    if type(value) is int:
        return kept in ("BLOB", "NUMERIC") and -(2**63) <= value < 2**63
    if type(value) is float and not math.isnan(value):  # of which SQLite makes NULL
        whole = value.is_integer() and abs(value) < 2**63
        signed = value == 0 and math.copysign(1, value) < 0
        fits = {"NUMERIC": not whole, "REAL": not signed, "BLOB": True}
        return fits.get(kept, False)
    return False


def affinity(declared: str) -> str:
    """What a column makes of values, from its declared type; INTEGER does as NUMERIC."""
    declared = declared.upper()
    for words, kept in (
        (("INT",), "NUMERIC"),
        (("CHAR", "CLOB", "TEXT"), "TEXT"),
        (("BLOB",), "BLOB"),
        (("REAL", "FLOA", "DOUB"), "REAL"),
    ):
        if any(word in declared for word in words):
            return kept
    return "NUMERIC" if declared else "BLOB"


def _is_blob(value: JSONObject) -> bool:
    """Whether it is how a BLOB is written in JSON."""
    text = value.get("base64")
    if len(value) != 1 or type(text) is not str:
        return False
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
    except (ValueError, binascii.Error):
        return False
