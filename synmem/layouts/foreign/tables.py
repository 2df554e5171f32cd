"""Queries of whole rows, each as the JSON text of an object: the same for every version of a
framework, which has a column more or less, and for PostgreSQL and SQLite."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from synmem.layouts.foreign.sql import ownerless
from synmem.layouts.foreign.values import object_of, told
from synmem.layouts.shapes import Columns, Plan, Record, Sketch
from synmem.messages import JSONObject, Message, Unreadable, chunks, parse_json

_UUID: Final = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"

_MOST: Final = 60
"""So many columns SQLite's function takes at once."""


class Tables:
    """The tables of a place, as statements of its backend name them."""

    def __init__(self, backend: str, sketch: Sketch) -> None:
        self._is_postgres = backend == "postgres"
        self._sketch: Mapping[str, Columns] = sketch
        if not self._is_postgres:  # SQLite's names know no capitals
            self._sketch = {name.lower(): columns for name, columns in sketch.items()}

    def has(self, table: str, column: str) -> bool:
        """Whether the table is there, and has the column."""
        columns = self._sketch.get(self._name(table), {})
        return self._name(column) in map(self._name, columns)

    def _name(self, name: str) -> str:
        return name if self._is_postgres else name.lower()

    def rows(
        self,
        table: str,
        conversation: str,
        *,
        join: str = "",
        owner: str | None = None,
        where: str = "",
        order: Sequence[str] = (),
    ) -> str:
        """A query of the rows, called `t`, of which the column `conversation` is a wanted id; that
        of the table `owner`, called `o`, where they are joined with it. In this order, and then as
        they were written."""
        of = f"{'t' if owner is None else 'o'}.{quoted(conversation)}"
        by = ", ".join([*order, "t.ctid" if self._is_postgres else "t.rowid"])
        return (
            f"SELECT {self.text(of)}, {self.json(table)} FROM {quoted(table)} AS t {join} WHERE "
            f"{self._wanted(owner or table, conversation, of)}{where and f' AND {where}'} "
            f"ORDER BY {by}"
        )

    def ownerless(self, table: str, column: str, owner: str, *, where: str = "") -> str:
        """A query, for `Plan.strays`, of the rows of a table of which the column is the id of no
        row of the owner."""
        kinds = {
            self._sketch[self._name(each)].get(self._name(name))
            for each, name in ((table, column), (owner, "id"))
        }
        as_text = self._is_postgres and len(kinds) > 1
        return ownerless(table, column, owner, as_text=as_text, where=where)

    def text(self, column: str) -> str:
        """The column as text."""
        return f"{column}::text" if self._is_postgres else column

    def _wanted(self, table: str, column: str, of: str) -> str:
        """Whether it is one of the ids; in a form for which an index on it is of use."""
        if not self._is_postgres:
            return f"{of} IN {{ids}}"
        kind = self._sketch.get(table, {}).get(column)
        if kind == "uuid":
            ids = f"(SELECT w::uuid FROM {{ids}} AS wanted(w) WHERE w ~ '{_UUID}')"
            return f"{of} = ANY (ARRAY{ids})"
        text = of if kind in ("text", "character varying") else f"{of}::text"
        return f"{text} = ANY (ARRAY{{ids}})"

    def json(self, table: str, row: str = "t") -> str:
        """A row, called so, as the JSON text of an object with all its columns."""
        columns = [*self._sketch[self._name(table)]]
        if self._is_postgres:
            values = ", ".join(f"{row}.{quoted(name)}" for name in columns)
            return f"(SELECT to_json(r) FROM (SELECT {values}) AS r)"
        some = [
            f"json_object({', '.join(_pair(name, row) for name in names)})"
            for names in chunks(columns, _MOST)
        ]
        if len(some) == 1:
            return some[0]
        within = " || ',' || ".join(f"substr({each}, 2, length({each}) - 2)" for each in some)
        return f"'{{' || {within} || '}}'"


def of_owners(
    sketch: Sketch, *, owners: str, records: str, column: str, order: Sequence[str]
) -> Plan:
    """The plan of a place in SQLite where each conversation is a row of the table `owners`, and its
    records are those of another table which have its id in the column."""
    tables = Tables("sqlite", sketch)
    return Plan(
        listing=f"SELECT id FROM {owners}",
        queries={
            owners: tables.rows(owners, "id"),
            records: tables.rows(records, column, order=order),
        },
        strays=tables.ownerless(records, column, owners),
    )


def _pair(name: str, row: str) -> str:
    """A column for SQLite's function, which takes no BLOB: that is an object of its digits."""
    key = "'" + name.replace("'", "''") + "'"
    value = f"{row}.{quoted(name)}"
    digits = f"json_object('hex', hex({value}))"
    return f"{key}, CASE typeof({value}) WHEN 'blob' THEN {digits} ELSE {value} END"


def quoted(name: str) -> str:
    """A name, in a statement."""
    return '"' + name.replace('"', '""') + '"'


def objects(rows: Sequence[Record]) -> list[JSONObject | ValueError]:
    """The objects of such rows; in its place why one cannot be read."""
    return [_object(row) for row in rows]


def _object(row: Record) -> JSONObject | ValueError:
    try:
        (text,) = row
        return object_of(parse_json(text), "the row")
    except (ValueError, TypeError) as error:
        return ValueError(f"the row cannot be read: {error}")


def about_of(
    rows: Sequence[Record], what: str, conversation: str
) -> tuple[JSONObject | None, list[Message | Unreadable]]:
    """What the conversation's own row says, None where there is none; and what stands before its
    messages where that cannot be read."""
    for row in objects(rows):
        if isinstance(row, dict):
            return row, []
        return {}, [Unreadable(conversation, f"{what} {conversation}: {row}")]
    return None, []


def beside(rows: Sequence[Record], key: str) -> dict[Any, list[JSONObject]]:
    """What stands beside the messages, by the id of each under `key`, None where it has none; what
    cannot be read is left out."""
    found: dict[Any, list[JSONObject]] = {}
    for each in objects(rows):
        if isinstance(each, dict) and isinstance(each.get(key), str | int | None):
            found.setdefault(each.pop(key, None), []).append(each)
    return found


def told_row(
    what: str,
    row: JSONObject | ValueError,
    make: Callable[..., Sequence[Message | Unreadable]],
    *given: Any,
) -> Sequence[Message | Unreadable]:
    """The messages of such a row, made of it and what is given; one `Unreadable` that names it
    where they cannot be made."""
    if isinstance(row, ValueError):
        return [Unreadable(what, str(row))]
    return told(what, row.get("id"), make, row, *given)
