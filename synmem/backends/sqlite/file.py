"""An SQLite file: opened so that reading leaves no trace, made, and its errors translated."""

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import aiosqlite

from synmem import leftovers
from synmem.backends.paging import closed
from synmem.backends.sqlite.errors import (
    is_in_the_way,
    is_later,
    is_undecodable,
    is_waited_for,
    translating,
)
from synmem.backends.sqlite.ids import text_or_bytes
from synmem.backends.sqlite.names import Name, Seen, allowed, copy, is_young, name_of
from synmem.errors import (
    Changed,
    StoreError,
    StoreUnavailable,
)
from synmem.finishing import to_its_end
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

    begins: Callable[[], object] | None = None
    """What is told, in SQLite's thread, that a query begins."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        begins = self.begins  # which may be taken back meanwhile
        if begins is not None:
            begins()
        return self.cursor(_Cursor).execute(sql, parameters)


class File:
    """A database file and the one connection to it, which an empty or absent file has not."""

    made = False
    """Whether our tables are in it: until then there is nothing to read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self.connection: aiosqlite.Connection | None = None
        self.writes = False
        self._name = name_of(path)
        self._copy: leftovers.Claim | None = None
        self._uri = ""
        self._seen: Seen = ()
        self._follows = True
        self._reads = False
        self._functions: dict[str, Callable[[Any], Any]] = {}
        self._turn = asyncio.Lock()  # one statement or transaction at a time
        self._in_thread: _Connection | None = None
        self._ended = False

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
                self._in_thread = sqlite3.connect(
                    uri,
                    uri=True,
                    isolation_level=None,
                    timeout=_BUSY_AT_ONCE_S,
                    factory=_Connection,
                )
                return self._in_thread
            except sqlite3.Error as error:
                failed.append(error)
                return sqlite3.connect(":memory:")

        async def opening() -> None:
            self.connection = await aiosqlite.Connection(connector, iter_chunk_size=1000)

        await to_its_end(opening())
        if failed:
            raise failed[0]
        assert self.connection is not None
        for name, function in self._functions.items():
            await self.connection.create_function(name, 1, function, deterministic=True)

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

    @contextlib.asynccontextmanager
    async def step(self) -> AsyncIterator[None]:
        """The connection to ourselves, and SQLite's exceptions as ours."""
        async with self._turn:
            if self._ended:
                raise closed(self.name)
            with translating(self.name, temporary=not self.writes):
                yield

    @contextlib.asynccontextmanager
    async def transaction(self, *, keeps: bool = True) -> AsyncIterator[None]:
        """The write lock from the first look to the commit, everything or nothing; within a step.
        Unless it `keeps` what was done, all of it is rolled back."""
        kept = False
        try:
            # Within: whoever is cut off here does not know whether it has begun.
            await self.execute("BEGIN IMMEDIATE")
            yield
            if keeps:
                await self.execute("COMMIT")
                kept = True
        finally:
            if not kept:
                await self.rollback()

    async def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query; none where the tables are not made yet."""
        return await self.look(sql, values) if self.made else []

    async def forgiving(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """The same, in which text that is not UTF-8 is left as the bytes it is."""
        return await self.look_at_all(sql, values) if self.made else []

    async def look_at_all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """The same of a query on the file, whatever is in it."""
        try:
            return await self.look(sql, values)
        except sqlite3.OperationalError as error:
            if not is_undecodable(error):
                raise
        connection = self.connection
        assert connection is not None
        connection.text_factory = text_or_bytes
        try:
            return await self.look(sql, values)
        finally:
            connection.text_factory = str

    async def at_once(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What it reads, all of one moment; within a step. It reads again where the file had to be
        opened anew meanwhile."""
        for _ in range(_TRIES):
            try:
                await self.look("BEGIN")
                connection = self.connection
                found = await work()
            finally:
                await self.rollback()
            if self.connection is connection:
                return found
        raise self._restless()

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

    async def begun(self, work: "asyncio.Future[Any]") -> None:
        """Wait until SQLite's thread is at a query of this work, or the work is over. Whoever goes
        on at once holds Python's lock, and the thread would stand still instead."""
        if self._in_thread is None:
            return
        loop = asyncio.get_running_loop()
        begun: asyncio.Future[None] = loop.create_future()
        connection = self._in_thread
        connection.begins = lambda: loop.call_soon_threadsafe(begun.cancel)
        try:
            await asyncio.wait((work, begun), return_when=asyncio.FIRST_COMPLETED)
        finally:
            connection.begins = None

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

    async def end(self) -> None:
        """Close it for good: whoever asks once more is not told that there is nothing."""
        self._ended = True
        await self.close()

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
