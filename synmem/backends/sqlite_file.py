"""An SQLite file: opened so that reading leaves no trace, made, and its errors translated."""

import asyncio
import contextlib
import os
import re
import sqlite3
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiosqlite

from synmem import leftovers
from synmem.errors import (
    AccessDenied,
    Changed,
    CorruptData,
    StoreError,
    StoreNotFound,
    StoreUnavailable,
)
from synmem.layouts.sqlite_columns import WideTable, affinity
from synmem.layouts.sqlite_ids import Ids, ids_of
from synmem.layouts.sqlite_tables import Column, OwnTable, SynapseKitTable, Table

BUSY_TIMEOUT_S: Final = 5.0
"""How long a lock of another program is waited for."""

TABLES: Final[dict[str, Callable[[Sequence[Column]], Table]]] = {
    "synapsekit": SynapseKitTable,
    "synmem": OwnTable,
}


class Refused(StoreError):
    """A constraint or a trigger of the file's tables does not let that be written."""


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
    exact: bool = True
    """Whether text comes back as the text it is from all columns of the layout."""

    @property
    def names(self) -> set[str]:
        """Of the columns."""
        return {column.name for column in self.columns}


class File:
    """A database file and the one connection to it, which an empty or absent file has not."""

    made = False
    """Whether our tables are in it: until then there is nothing to read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection: aiosqlite.Connection | None = None
        self._copy: leftovers.Claim | None = None
        self._uri = ""
        self.shape = Shape()
        """Of the table of messages."""

    def uri_to_read(self) -> str:
        """How another connection reads what this one does, and never writes to it."""
        return self._uri.replace("?mode=rwc", "?mode=ro").replace("?mode=rw", "?mode=ro")

    @property
    def is_copied(self) -> bool:
        """Whether a private copy is read, as the file was when it was opened."""
        return self._copy is not None

    def is_empty(self) -> bool:
        """Whether there is nothing in the file, or no file; CorruptData for a folder or a pipe."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return True
        if stat.S_ISDIR(status.st_mode):
            raise CorruptData(f"{self.path}: a folder, not an SQLite file")
        if not stat.S_ISREG(status.st_mode):
            raise CorruptData(f"{self.path}: not a regular file, so not an SQLite file")
        return status.st_size == 0 and not _size(self.path, "-wal")

    async def connect(self, *, write: bool) -> None:
        """Open for writing, or in the way of reading that changes nothing."""
        if write:
            await self._open(f"{_uri(self.path)}?mode=rwc")
            await self.execute("PRAGMA secure_delete=ON")  # what is cleared is gone from the file
            # Of 16 MB each: more of the index stays at hand, and pages go to the file less often.
            await self.execute("PRAGMA cache_size=-16000")
            await self.execute("PRAGMA wal_autocheckpoint=4000")
            return
        try:
            await self._open(_read_uri(self.path))
            await self.execute("PRAGMA query_only=ON")
            await self.look("SELECT count(*) FROM sqlite_schema")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (
                sqlite3.SQLITE_READONLY,
                sqlite3.SQLITE_CANTOPEN,
            ):
                raise
            if not _allowed(self.path, os.R_OK):
                raise
            # A hot journal, or a WAL whose index cannot be made here: what was committed can only
            # be had by writing, so that is done to a copy.
            await self.close()
            self._copy = leftovers.temporary()
            copied = await asyncio.to_thread(_copy, self.path, self._copy.subfolder())
            await self._open(f"{_uri(copied)}?mode=rw")
            await self.execute("PRAGMA query_only=ON")

    async def _open(self, uri: str) -> None:
        self._uri = uri
        failed: list[sqlite3.Error] = []

        def connector() -> sqlite3.Connection:
            # Where opening fails, aiosqlite leaves its thread to end by itself, perhaps after the
            # event loop: it is given a connection that can be closed in order instead.
            try:
                return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)
            except sqlite3.Error as error:
                failed.append(error)
                return sqlite3.connect(":memory:")

        connection = aiosqlite.Connection(connector, iter_chunk_size=1000)
        self.connection = await connection
        if failed:
            raise failed[0]

    async def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement for what it does; tell to how many rows."""
        assert self.connection is not None
        cursor = await self.connection.execute(sql, values)
        await cursor.close()
        return cursor.rowcount

    async def is_watched(self, table: str = "messages") -> bool:
        """Whether a trigger may do something else with its rows than what it is told."""
        sql = "SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) = ? LIMIT 1"
        return bool(await self.look(sql, [table]))

    async def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run a statement for each row, in one round trip to the thread; tell how many rows it
        wrote: a trigger may have left some out."""
        assert self.connection is not None
        cursor = await self.connection.executemany(sql, rows)
        await cursor.close()
        return cursor.rowcount

    async def rollback(self) -> None:
        """End a transaction that is still open. Queued behind whatever an interrupted task left
        running in the thread: where that was the COMMIT, there is nothing to roll back."""
        if self.connection is not None:
            await self.connection.rollback()

    async def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query; none where the tables are not made yet."""
        return await self.look(sql, values) if self.made else []

    async def look(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query on the file, whatever is in it; none where there is no file yet."""
        if self.connection is None:
            return []
        return list(await self.connection.execute_fetchall(sql, values))

    async def close(self) -> None:
        """Close the connection and forget a private copy; twice is once."""
        if self.connection is not None:
            connection, self.connection = self.connection, None
            await connection.close()
        if self._copy is not None:
            self._copy.release()


async def detect(file: File, layout: str | None, *, write: bool) -> Table:
    """Whose tables these are, by their columns; a file without any is ours to make."""
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
    tables = [
        row[0] for row in await file.look("SELECT name FROM sqlite_schema WHERE type='table'")
    ]
    raise CorruptData(
        f"{file.path}: no conversations in a layout that synmem knows"
        f" (its tables: {', '.join(tables) or 'none'})",
        hint="name one with ?layout=" + "|".join(TABLES),
    )


async def create(file: File, table: Table) -> None:
    """Make the tables, in one transaction; a second process that does the same waits, and sees
    them. A new file of our own is in WAL mode: readers and a writer do not wait for each other."""
    if not file.path.parent.is_dir():
        raise StoreNotFound(f"{file.path}: its folder is not there", hint="make it first")
    if file.connection is None:
        await file.connect(write=True)
        if table.holds.own and not await file.look("SELECT 1 FROM sqlite_schema LIMIT 1"):
            await _switch_on_wal(file)
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
    [(kind, sql, encoding)] = await file.look(
        "SELECT type, coalesce(sql, ''), (SELECT encoding FROM pragma_encoding) FROM sqlite_schema "
        "WHERE lower(name) = 'messages' AND type IN ('table', 'view')"
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
    shape = Shape(
        columns,
        ids=ids_of(kind, sql, encoding, types.get("conversation_id", "")),
        generated=min(ours, default=""),
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
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_ERROR:
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


async def _switch_on_wal(file: File) -> None:
    """SQLite does not wait for a lock here by itself: two that make one file at once would fail."""
    patience = BUSY_TIMEOUT_S
    while True:
        try:
            await file.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _LATER or patience <= 0:
                raise
            patience -= 0.05
            await asyncio.sleep(0.05)
        else:
            return


def _read_uri(path: Path) -> str:
    """How to open a file so that reading leaves it, and what lies beside it, as it was.

    With a rollback journal beside it, or something in its WAL: mode=ro, which neither rolls back
    nor checkpoints. Else read-write with query_only (set by the caller), since mode=ro would
    leave an index behind where the file is in WAL mode; where the folder cannot be written, as
    immutable. The header is not looked at: closing a second descriptor of a file drops the locks
    that this process has on it.
    """
    if _size(path, "-journal") or _size(path, "-wal"):
        return f"{_uri(path)}?mode=ro"
    if _allowed(path, os.W_OK) and _allowed(path.parent, os.W_OK):
        return f"{_uri(path)}?mode=rw"
    return f"{_uri(path)}?mode=ro&immutable=1"


def _allowed(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _uri(path: Path) -> str:
    return path.absolute().as_uri()


def _size(path: Path, suffix: str) -> int:
    try:
        return path.with_name(path.name + suffix).stat().st_size
    except OSError:
        return 0


def _copy(path: Path, folder: Path) -> Path:
    import shutil

    for suffix in ("", "-journal", "-wal"):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            # A hot journal names no database: the copies belong together by their names alone.
            shutil.copyfile(beside, folder / beside.name)
    return folder / path.name


_DENIED: Final = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
_LATER: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_NOT_WRITTEN: Final = {
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
}


@contextlib.contextmanager
def translating(store: str) -> Iterator[None]:
    """SQLite's exceptions as ours."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _LATER:
            raise StoreUnavailable(
                f"{store}: locked by another program", hint="try again later"
            ) from error
        if code in _DENIED:
            raise AccessDenied(f"{store}: {error}", hint="check the file's permissions") from error
        if code == sqlite3.SQLITE_CANTOPEN:
            raise AccessDenied(
                f"{store}: cannot be opened", hint="check the permissions of file and folder"
            ) from error
        if code == sqlite3.SQLITE_NOTADB:
            raise CorruptData(f"{store}: not an SQLite database") from error
        if code == sqlite3.SQLITE_CORRUPT:
            raise CorruptData(f"{store}: damaged: {error}", hint="sqlite3's .recover") from error
        if code == sqlite3.SQLITE_FULL:
            raise StoreError(
                f"{store}: the disk is full; nothing of this call was written",
                hint="make room, and run again",
            ) from error
        if getattr(error, "sqlite_errorcode", 0) in _NOT_WRITTEN:
            raise StoreError(
                f"{store}: {error}: it cannot be written; nothing of this call was",
                hint="is the disk full, or a quota, or the limit on a file's size (ulimit -f)?",
            ) from error
        kind = Refused if isinstance(error, sqlite3.IntegrityError) else StoreError
        raise kind(f"{store}: {error}") from error
    except PermissionError as error:
        raise AccessDenied(f"{store}: {error.strerror}") from error
