"""An SQLite file: opened so that reading leaves no trace, made, and its errors translated."""

import asyncio
import os
import re
import sqlite3
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import aiosqlite

from synmem import leftovers
from synmem.backends.sqlite.errors import (
    code_of,
    is_in_the_way,
    is_later,
    is_waited_for,
)
from synmem.backends.sqlite.ids import Ids, ids_of
from synmem.backends.sqlite.place import Name, Seen, allowed, copy, is_young, name_of
from synmem.errors import (
    Changed,
    StoreError,
    StoreNotFound,
    StoreUnavailable,
)
from synmem.finishing import to_its_end
from synmem.layouts.own.sqlite_columns import WideTable, affinity
from synmem.layouts.own.sqlite_tables import Column, OwnTable, SynapseKitTable, Table
from synmem.temporary import HINT, has_no_room

BUSY_TIMEOUT_S: Final = 5.0
"""How long a lock of another program is waited for."""

_BUSY_AT_ONCE_S: Final = 0.1
"""How long of that without looking up: the thread that waits hears of no cancellation."""

_PAUSE_S: Final = 0.01

T = TypeVar("T")

_TRIES: Final = 50
_REOPENED: Final = 3
_SOON_S: Final = 0.02
"""So often, and after so long, a file is looked at again that changes while it is opened."""

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


class _Cursor(sqlite3.Cursor):
    """A cursor that ends its query where a row cannot be had (text that is not UTF-8): as long as
    it stood there, nobody could write to the file."""

    def fetchall(self) -> list[Any]:
        try:
            return super().fetchall()
        except BaseException:
            self.close()
            raise


class _Connection(sqlite3.Connection):
    """A connection with such cursors."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        return self.cursor(_Cursor).execute(sql, parameters)


class File:
    """A database file and the one connection to it, which an empty or absent file has not."""

    made = False
    """Whether our tables are in it: until then there is nothing to read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection: aiosqlite.Connection | None = None
        self.shape = Shape()
        """Of the table of messages."""
        self.writes = False
        self._name = name_of(path)
        self._copy: leftovers.Claim | None = None
        self._uri = ""
        self._seen: Seen = ()
        self._follows = True
        self._reads = False
        self._functions: dict[str, Callable[[Any], Any]] = {}

    def uri_to_read(self) -> str:
        """How another connection reads what this one does, and never writes to it."""
        return self._uri.replace("?mode=rwc", "?mode=ro").replace("?mode=rw", "?mode=ro")

    @property
    def is_copied(self) -> bool:
        """Whether a private copy is read, as the file was when it was opened."""
        return self._copy is not None

    def has_other_names(self) -> bool:
        """Whether a WAL beside it could be beside the wrong name."""
        return self._name.has_other_names()

    def is_empty(self) -> bool:
        """Whether there is nothing in the file, or no file; CorruptData for a folder or a pipe."""
        return self._name.is_empty()

    async def connect(self, *, write: bool) -> None:
        """Open for writing, or in the way of reading that changes nothing."""
        self._name.check_names()
        try:
            await (self._open_to_write() if write else self._open_to_read())
        except BaseException:
            await self._disconnect()  # who tries again begins anew
            raise

    async def _open_to_write(self) -> None:
        self.writes = True
        await self._open(self._name.uri("rwc"))
        await self._fetched("PRAGMA secure_delete=ON")  # what is cleared is gone from the file
        # Of 16 MB each: more of the index stays at hand, and pages go to the file less often.
        await self._fetched("PRAGMA cache_size=-16000")
        await self._fetched("PRAGMA wal_autocheckpoint=4000")

    async def _open_to_read(self) -> None:
        failed: Exception | None = None
        for _ in range(_TRIES):
            self._seen = self._name.seen()
            try:
                if await self._opens_as_it_is():
                    self._reads = True
                    return
                failed = None
            except (sqlite3.DatabaseError, FileNotFoundError) as error:
                if is_later(error) or (self._is_as_seen() and not is_young(self._seen)):
                    raise
                failed = error
            await self._disconnect()
            await asyncio.sleep(_SOON_S)
        raise failed if failed is not None and self._follows else self._restless()

    async def _opens_as_it_is(self) -> bool:
        """Open it as what lies beside it asks for; False while that changes."""
        uri = self._name.uri_to_read()
        self._follows = "immutable" not in uri
        if self._follows:
            try:
                await self._look_into(uri)
            except sqlite3.OperationalError as error:
                if not is_in_the_way(error) or not allowed(self._name.path, os.R_OK):
                    raise
                await self._disconnect()
            else:
                return True
        if is_young(self._seen) or not self._is_as_seen():
            return False
        self._follows = False
        if self._name.holds("-wal") or self._name.holds("-journal"):
            # A hot journal, or a WAL whose index cannot be made here: what was committed can only
            # be had by writing, so that is done to a copy.
            uri = (await self._copied()).uri("rw")
        else:
            uri = self._name.uri_of_immutable()
        await self._look_into(uri)
        return self._is_as_seen()

    async def _look_into(self, uri: str) -> None:
        await self._open(uri)
        await self._fetched("PRAGMA query_only=ON")
        await self._fetched("SELECT count(*) FROM sqlite_schema")

    async def _copied(self) -> Name:
        """A copy of the file, in the folder for what is temporary."""
        try:
            self._copy = leftovers.temporary()
            return await asyncio.to_thread(copy, self._name, self._copy.subfolder())
        except OSError as error:
            if not has_no_room(error) and self._copy is not None:
                raise
            folder = self._copy.folder if self._copy else "a folder for temporary files"
            raise StoreError(
                f"{self.path}: what stands in it can only be read from a copy, and none can be "
                f"made in {folder}: {error.strerror}",
                hint=HINT,
            ) from error

    def _is_as_seen(self) -> bool:
        return self._name.seen() == self._seen

    def is_torn(self) -> bool:
        """Whether what was read may be part old and part new: the file changed, and is opened in a
        way that does not notice."""
        return not (self._follows or self._is_as_seen())

    def _restless(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"{self.path}: another program is writing it all the time, and it can only be read "
            "here while nobody does",
            hint="try again later",
        )

    async def _open(self, uri: str) -> None:
        self._uri = uri
        failed: list[sqlite3.Error] = []

        def connector() -> sqlite3.Connection:
            # Where opening fails, aiosqlite leaves its thread to end by itself, perhaps after the
            # event loop: it is given a connection that can be closed in order instead.
            try:
                return sqlite3.connect(
                    uri,
                    uri=True,
                    isolation_level=None,
                    timeout=_BUSY_AT_ONCE_S,
                    factory=_Connection,
                )
            except sqlite3.Error as error:
                failed.append(error)
                return sqlite3.connect(":memory:")

        async def opening() -> None:
            self.connection = await aiosqlite.Connection(connector, iter_chunk_size=1000)

        await to_its_end(opening())
        if failed:
            raise failed[0]

    async def _ask(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What SQLite says; asked again while another program has the file locked."""
        patience: float | None = None
        while True:
            try:
                return await work()
            except sqlite3.OperationalError as error:
                if not is_waited_for(error):
                    raise
                now = time.monotonic()
                patience = patience or now + BUSY_TIMEOUT_S - _BUSY_AT_ONCE_S
                if now >= patience:
                    raise
                await asyncio.sleep(_PAUSE_S)

    async def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement for what it does; tell to how many rows. One that answers with rows, as
        some PRAGMAs do, is looked at instead: whoever is cancelled here would leave it open, and
        with it a lock that outlives the connection."""
        connection = self.connection
        assert connection is not None

        async def work() -> int:
            cursor = await connection.execute(sql, values)
            await cursor.close()
            return cursor.rowcount

        return await self._ask(work)

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
        """End a transaction that is still open. Queued behind whatever a cancelled task left
        running in the thread, and waited for: nothing of that goes on, and no lock of it stays.
        Where it was the COMMIT, there is nothing to roll back."""
        if self.connection is not None:
            await to_its_end(self.connection.rollback())

    async def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query; none where the tables are not made yet."""
        return await self.look(sql, values) if self.made else []

    async def look(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query on the file, whatever is in it; none where there is no file yet."""
        if self._reads:
            return await self._looked(sql, values)
        return [] if self.connection is None else await self._fetched(sql, values)

    async def _fetched(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        connection = self.connection
        assert connection is not None

        async def work() -> list[Any]:
            return list(await connection.execute_fetchall(sql, values))

        return await self._ask(work)

    async def _looked(self, sql: str, values: Sequence[Any]) -> list[Any]:
        """The same of a file that is read: as it is now, whatever other programs do to it."""
        stopped = 0
        for _ in range(_TRIES):
            self._check_same()
            if self.connection is None or self.is_torn():
                await self._reopen()
            try:
                rows = await self._fetched(sql, values)
            except sqlite3.DatabaseError as error:
                if self.is_torn():
                    continue
                # A journal that has come meanwhile looks hot; a WAL has lost its index.
                stopped += 1
                if stopped > _REOPENED or not is_in_the_way(error):
                    raise
                await self._reopen()
            else:
                if not self.is_torn():
                    return rows
        raise self._restless()

    async def _reopen(self) -> None:
        """Open it in the way that is right now; how text is taken stays."""
        taken = str if self.connection is None else self.connection.text_factory
        await self._disconnect()
        await self._open_to_read()
        assert self.connection is not None
        self.connection.text_factory = taken
        for name, function in self._functions.items():
            await self.connection.create_function(name, 1, function, deterministic=True)

    async def define(self, name: str, function: Callable[[Any], Any]) -> None:
        """Let queries call a function of one value."""
        self._functions[name] = function
        if self.connection is not None:
            await self.connection.create_function(name, 1, function, deterministic=True)

    def _check_same(self) -> None:
        """Changed, where a file of that name is another one by now, or none: this one is no longer
        written by anybody."""
        before, now = self._seen[0], self._name.seen_itself()
        if before is not None and (now is None or now[0] != before[0]):
            raise Changed(
                f"{self.path}: it was removed, or another file took its place", hint="run again"
            )

    async def close(self) -> None:
        """Close the connection and forget a private copy; twice is once."""
        self._reads = False
        await self._disconnect()

    async def _disconnect(self) -> None:
        try:
            if self.connection is not None:
                connection, self.connection = self.connection, None
                await to_its_end(connection.close())
        finally:
            if self._copy is not None:
                copied, self._copy = self._copy, None
                copied.release()


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


LASTING: Final = re.compile(
    r"primary\s+key\s+((asc|desc)\s+)?(on\s+conflict\s+\w+\s+)?autoincrement", re.IGNORECASE
)


def needed(table: Table) -> set[str]:
    """The columns without which a table is none of this layout."""
    others = len(table.columns) - len(table.others)
    return {"id", "conversation_id", *table.columns[:others]}
