"""Whose tables are in an SQLite file, and making our own in it."""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from synmem.backends.sqlite.errors import code_of
from synmem.backends.sqlite.file import File
from synmem.backends.sqlite.ids import ids_of
from synmem.backends.sqlite.shape import LASTING, TABLES, Shape, needed
from synmem.errors import Changed, StoreNotFound
from synmem.layouts.own.sqlite_columns import WideTable, affinity
from synmem.layouts.own.sqlite_tables import Column, Table


async def detect(file: File, layout: str | None, *, write: bool) -> Table | None:
    """Whose tables these are, by their columns; a file without any is ours to make. None where
    they are somebody else's."""
    shape = await _shape(file)
    for name in ("synmem", "synapsekit"):  # the first has all columns of the second
        table = TABLES[name](shape.columns)
        if shape.names >= needed(table) and layout in (None, name):
            file.made = True
            file.shape = shape
            others = [each for each in shape.columns if each.name not in needed(table)]
            if shape.key != "id":
                others.insert(0, next(each for each in shape.columns if each.name == "id"))
            return WideTable(table, others) if others else table
    if not await file.look("SELECT 1 FROM sqlite_schema LIMIT 1"):
        # Nothing but perhaps a header, where who made it was killed before its tables.
        await file.close()
        return TABLES[layout or "synmem"](())
    if layout and write and not shape.columns:
        return TABLES[layout](())  # asked for by name, beside somebody's other tables
    return None


async def create(file: File, table: Table) -> None:
    """Make the tables, in one transaction; a second process that does the same waits, and sees
    them. A new file of our own is in WAL mode: readers and a writer do not wait for each other."""
    if not file.path.parent.is_dir():
        raise StoreNotFound(f"{file.path}: its folder is not there", hint="make it first")
    if file.connection is None:
        await file.connect(write=True)
        try:
            empty = not await file.look("SELECT 1 FROM sqlite_schema LIMIT 1")
            if table.holds.own and empty and not file.has_other_names():
                await file.look("PRAGMA journal_mode=WAL")
        except BaseException:
            await file.close()  # who tries again begins here
            raise
    try:
        await file.execute("BEGIN IMMEDIATE")
        shape = await _shape(file)
        for statement in () if shape.columns else table.schema:
            await file.execute(statement)
        if shape.columns and not (shape.lasting and shape.names == needed(table)):
            raise Changed(f"{file.path}: another program made it meanwhile", hint="run again")
        await file.execute("COMMIT")
    except BaseException:
        await file.rollback()
        raise
    file.made = True


async def _shape(file: File) -> Shape:
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
    key = await _row_number(file, columns) if kind == "table" else None
    return shape._replace(key=key or "id", numbered=False, unique=key is not None, lasting=False)


_GENERATED: Final = (2, 3)
"""What `table_xinfo` says of a column that is computed from others."""


def _column(row: Sequence[Any], *, strict: bool) -> Column:
    _, name, declared, required, default, _ = row
    declared = "" if strict and declared.upper() == "ANY" else declared
    return Column(name, declared, bool(required), (default or "NULL").upper() != "NULL")


async def _row_number(file: File, columns: Sequence[Column]) -> str | None:
    """What SQLite numbers the rows of the table by, beside all of its columns; or None."""
    taken = {column.name.lower() for column in columns}
    name = next((each for each in ("rowid", "oid", "_rowid_") if each not in taken), None)
    if name is None:
        return None
    try:
        await file.look(f"SELECT {name} FROM messages LIMIT 0")
    except sqlite3.OperationalError as error:
        if code_of(error) != sqlite3.SQLITE_ERROR:
            raise
        return None
    return name
