"""How the rows of the table `messages` in an SQLite file are numbered, and what its columns are."""

import re
import sqlite3
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, NamedTuple

from synmem.backends.sqlite.errors import code_of
from synmem.backends.sqlite.file import File
from synmem.backends.sqlite.ids import Ids, ids_of
from synmem.layouts.own.sqlite_columns import affinity
from synmem.layouts.own.sqlite_tables import Column, OwnTable, SynapseKitTable, Table

TABLES: Final[dict[str, Callable[[Sequence[Column]], Table]]] = {
    "synapsekit": SynapseKitTable,
    "synmem": OwnTable,
}


class Shape(NamedTuple):
    """How the rows of a table `messages` are numbered: perhaps not as we and SynapseKit do it."""

    columns: tuple[Column, ...] = ()
    key: str = "id"
    """What numbers them, in their order."""
    numbered: bool = True
    """Whether that is `id`, an integer that no two rows have: else nothing is written."""
    unique: bool = True
    """Whether no two rows of different conversations have the same."""
    lasting: bool = True
    """Whether no number is given twice."""
    ids: Ids = Ids()
    generated: str = ""
    """A column of the layout that is computed from others: nothing is written."""
    beside: bool = True
    """Whether there is a table for what lies beside conversations, as our own layout has it."""
    exact: bool = True
    """Whether text comes back as the text it is from all columns of the layout."""

    @property
    def names(self) -> set[str]:
        """Of the columns."""
        return {column.name for column in self.columns}


async def shape_of(file: File) -> Shape:
    """Of the table as it is now; generated and hidden columns are not told, unless a layout is
    not there without them."""
    told = await file.look("PRAGMA table_info(messages)")
    if not told:
        return Shape()
    [(kind, sql, encoding, beside)] = await file.look(
        "SELECT type, coalesce(sql, ''), (SELECT encoding FROM pragma_encoding), "
        "(SELECT count(*) FROM pragma_table_info('messages_meta') "
        "WHERE name IN ('conversation_id', 'name', 'value')) "
        "FROM sqlite_schema WHERE lower(name) = 'messages' AND type IN ('table', 'view')"
    )
    strict = kind == "table" and "strict" in sql.rpartition(")")[2].lower()
    names = {row[1] for row in told}
    ours = needed(TABLES["synapsekit"](())) - names
    if ours:  # perhaps they are computed from others
        rows = await file.look("PRAGMA table_xinfo(messages)")
        told += [row[:6] for row in rows if row[6] in _GENERATED and row[1] in ours]
        ours &= {row[1] for row in told}
    columns = tuple(_column(row, strict=strict) for row in told)
    types = {column.name: column.type for column in columns}
    known = types.keys() & needed(TABLES["synmem"](())) - {"id", "conversation_id"}
    ids = ids_of(kind, sql, encoding, types.get("conversation_id", ""))
    if not ids.plain and "conversation_id" in types:  # else it is the table of somebody else
        plan = await file.look(
            f"EXPLAIN QUERY PLAN SELECT 1 FROM messages WHERE {ids.match('?1')}", [""]
        )
        ids = ids._replace(sought=any(step[3].startswith("SEARCH") for step in plan))
    shape = Shape(
        columns,
        ids=ids,
        generated=min(ours, default=""),
        beside=beside == 3,
        exact=all(affinity(types[name]) in ("TEXT", "BLOB") for name in known),
    )
    keys = [row for row in told if row[5]]
    alone = len(keys) == 1 and keys[0][1] == "id"
    declared = keys[0][2].upper() if alone else ""
    without_rowid = "without" in sql.rpartition(")")[2].lower()
    if declared == "INTEGER" and not without_rowid:
        return shape._replace(lasting=LASTING.search(sql) is not None)
    if "INT" in declared and (keys[0][3] or without_rowid):
        odd = await file.look("SELECT 1 FROM messages WHERE typeof(id) <> 'integer' LIMIT 1")
        if not odd:
            return shape._replace(lasting=False)
    taken = {column.name.lower() for column in columns}
    key = await row_number(file, "messages", taken) if kind == "table" else None
    return shape._replace(key=key or "id", numbered=False, unique=key is not None, lasting=False)


_GENERATED: Final = (2, 3)
"""What `table_xinfo` says of a column that is computed from others."""


def _column(row: Sequence[Any], *, strict: bool) -> Column:
    _, name, declared, required, default, _ = row
    declared = "" if strict and declared.upper() == "ANY" else declared
    return Column(name, declared, bool(required), (default or "NULL").upper() != "NULL")


async def row_number(file: File, table: str, taken: Collection[str]) -> str | None:
    """What SQLite numbers the rows of a table (its name quoted) by, beside all of its columns,
    whose names are taken, in lower case; or None."""
    name = next((each for each in ("rowid", "oid", "_rowid_") if each not in taken), None)
    if name is None:
        return None
    try:
        await file.look(f"SELECT {name} FROM {table} LIMIT 0")
    except sqlite3.OperationalError as error:
        if code_of(error) != sqlite3.SQLITE_ERROR:
            raise
        return None
    return name


LASTING: Final = re.compile(
    r"primary\s+key\s+((asc|desc)\s+)?(on\s+conflict\s+\w+\s+)?autoincrement", re.IGNORECASE
)


def needed(table: Table) -> set[str]:
    """The columns without which a table is none of this layout."""
    others = len(table.columns) - len(table.others)
    return {"id", "conversation_id", *table.columns[:others]}
