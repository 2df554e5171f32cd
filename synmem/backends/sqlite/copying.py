"""Copying from one SQLite file to another inside SQLite, and telling that it arrived.

The source's file is attached read-only to the destination's connection, for one call, while its
own store keeps it open: so nothing is written to it or left beside it. In one transaction the
rows of conversations that are absent are looked at (as lines, see `line_sql.py`) and
inserted as they stand. What is not plainly readable there, or would be written in another form,
is left to the ordinary way.
"""

import asyncio
import contextlib
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Final

from synmem.backends.paging import storable
from synmem.backends.sqlite.beside import Beside
from synmem.backends.sqlite.errors import Refused, code_of
from synmem.backends.sqlite.file import File
from synmem.backends.sqlite.line_sql import (
    Run,
    alike,
    counts_sql,
    line_sql,
    lines_query,
    parted,
    runs_of,
)
from synmem.backends.sqlite.lines import is_plain, makes_lines, one_ahead, texts_of
from synmem.backends.sqlite.place import IDS_A_QUERY, Place, marks
from synmem.errors import StoreUnavailable
from synmem.finishing import to_its_end
from synmem.layouts.own.sqlite_tables import Table
from synmem.messages import Conversation, chunks, conversation_refusal
from synmem.store import Copied

_Found = tuple[str, int, str]  # a conversation, how many messages it has, its lines

BESIDE: Final = "source"
"""The name under which another file is attached."""

_IN_ONE_OF_THEM: Final = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
}

CALL_MESSAGES: Final = 10_000
"""About so many messages are copied in one transaction: others wait for the lock no longer."""


@contextlib.contextmanager
def in_either(file: File) -> Iterator[None]:
    """Where SQLite does not tell which of two files is damaged: StoreUnavailable, so that each is
    asked by itself."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if code_of(error) not in _IN_ONE_OF_THEM:
            raise
        raise StoreUnavailable(f"{file.path}, or what is copied into it: {error}") from error


async def attach(file: File, source: File) -> None:
    """Put the other file beside ours; StoreUnavailable where that cannot be."""
    if source.connection is None or file.path.samefile(source.path):
        raise StoreUnavailable(f"{source.path}: not to be attached")
    try:
        await file.execute(f"ATTACH ? AS {BESIDE}", [source.uri_to_read()])
    except sqlite3.OperationalError as error:
        raise StoreUnavailable(f"{source.path}: {error}") from error


async def detach(file: File) -> None:
    """Take it off again.

    Where a query of another task was cut off, that cannot be yet: it stays, read-only and
    harmless, and the next `attach` fails.
    """
    with contextlib.suppress(sqlite3.OperationalError):
        await file.execute(f"DETACH {BESIDE}")


class Copier:
    """Takes rows over from another file, and tells which were."""

    def __init__(self, place: Place, beside: Beside, *, page_size: int) -> None:
        self._name = place.name
        self._place = place
        self._file, self._table, self._ids = place.file, place.table, place.ids
        self._beside = beside
        self._page_size = page_size
        self._copying = asyncio.Lock()  # one copy at a time has another file attached

    async def copy(
        self, source: Place, conversations: Sequence[Conversation]
    ) -> tuple[list[Copied], list[Conversation]]:
        """See `SupportsCopy.copy`: a transaction of some thousand messages."""
        known = {c.id: c for c in conversations if conversation_refusal(c) is None}
        ids = sorted(known)[:IDS_A_QUERY]
        if not (ids and self._takes_rows_of(source)):
            return [], []
        await self._place.make()
        try:
            async with self._copying, self._attached(source) as copying, self._place.transaction():
                looked, copied = await copying.some(ids, await self._place.ends(ids))
                await self._beside.describe([known[each.conversation] for each in copied])
        except (StoreUnavailable, Refused):  # the ordinary way waits, and says what is the matter
            return [], []
        for conversation in ids[:looked]:
            del known[conversation]
        return copied, [*known.values()]

    def _takes_rows_of(self, source: Place) -> bool:
        """Whether rows of that layout can be rows of this: it has no columns that we lack, and
        both have plain ids."""
        plain = self._ids.plain and source.ids.plain
        return plain and {*self._table.columns} >= {*source.table.columns}

    @contextlib.asynccontextmanager
    async def _attached(self, source: Place) -> AsyncIterator["Copying"]:
        """The other file, attached; StoreUnavailable where its rows cannot be taken over."""
        try:
            async with self._file.step():
                await attach(self._file, source.file)
                tables = {"main": self._table, BESIDE: source.table}
                if await self._file.is_watched():
                    raise StoreUnavailable(f"{self._name}: a trigger may change what is written")
                with in_either(self._file):
                    plain = await makes_lines(self._file, tables)
                if not plain:
                    raise StoreUnavailable(f"{source.name}: no plain table")
            yield Copying(
                self._file, self._table, source.file, source.table, most=2 * self._page_size
            )
        finally:
            await to_its_end(self._detached())

    async def _detached(self) -> None:
        async with self._file.step():
            await detach(self._file)

    async def digests(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsCopy.digests`."""
        ids = sorted(storable(conversations))
        found: dict[str, str] = {}
        for chunk in chunks(ids, IDS_A_QUERY):
            async with self._file.step():
                found |= await _digests_of(self._place, chunk, most=2 * self._page_size)
        return found


class Copying:
    """Rows of an attached file that become rows of ours; all of it within a transaction."""

    def __init__(self, file: File, table: Table, from_: File, source: Table, *, most: int) -> None:
        self._file = file
        self._table = table
        self._from = from_
        self._source = source
        self._most = most
        """Messages whose lines are held at once; a larger conversation is not copied here."""

    async def some(self, ids: Sequence[str], present: Iterable[str]) -> tuple[int, list[Copied]]:
        """Copy the first of these conversations (sorted) but those that are present; tell how
        many were looked at, and which were copied. StoreUnavailable where the ordinary way has to
        say which of the two files is damaged, or the source is not what it was."""
        with in_either(self._file):
            done = await self._some(ids, present)
        if self._from.is_torn():
            raise StoreUnavailable(f"{self._from.path}: it changed while it was copied")
        return done

    async def _some(self, ids: Sequence[str], present: Iterable[str]) -> tuple[int, list[Copied]]:
        counts = await self._file.rows(counts_sql(f"{BESIDE}.messages", marks(ids)), ids)
        known = {row[0]: row for row in counts}
        there = {*present}
        chosen: list[Any] = []
        room = CALL_MESSAGES
        looked = 0
        for conversation in ids:
            row = known.get(conversation)
            if row is not None and row[1] <= self._most and conversation not in there:
                if chosen and row[1] > room:
                    break
                room -= row[1]
                chosen.append(row)
            looked += 1
        return looked, await self._copy(chosen)

    async def _copy(self, rows: Sequence[tuple[str, int, int, int]]) -> list[Copied]:
        ends = {row[0]: row[3] for row in rows}
        line = line_sql(self._table.columns, self._source.columns)
        runs = runs_of(rows, (), most=self._most)
        copied: list[Copied] = []
        async with aclosing(
            one_ahead(self._file, lambda run: self._texts(run, line), runs)
        ) as done:
            async for _, found in done:
                for conversation, count, text in self._fitting(found):
                    end = partial(str, ends[conversation])
                    copied.append(Copied(conversation, count, digest_of(text), end))
        await self._insert(copied)
        return copied

    def _fitting(self, found: Sequence[_Found]) -> Sequence[_Found]:
        """Those that can be taken over as they stand."""
        fit = alike(self._source, self._table, [each[2] for each in found])
        return [each for each, fits in zip(found, fit, strict=True) if fits]

    async def _texts(self, run: Run, line: str) -> list[_Found]:
        """The lines of each conversation of a run; without those of which there can be none."""
        sql, values = lines_query(f"{BESIDE}.messages", line, run)
        texts = await texts_of(self._file, sql, values, run)
        each = None if texts is None else parted(run, texts)
        if each is not None:
            return [*zip(run.ids, run.counts, each, strict=True)]
        if len(run.ids) == 1 and run.low is None:
            return []
        one_by_one = zip(run.ids, run.counts, strict=True)
        return [
            found
            for conversation, count in one_by_one
            for found in await self._texts(Run([conversation], [count], None), line)
        ]

    async def _insert(self, copied: Sequence[Copied]) -> None:
        if not copied:
            return
        columns = ", ".join(("conversation_id", *self._source.columns))
        ids = [each.conversation for each in copied]
        await self._file.execute(
            f"INSERT INTO main.messages ({columns}) SELECT {columns} FROM {BESIDE}.messages "
            f"WHERE conversation_id IN ({marks(ids)}) ORDER BY conversation_id, id",
            ids,
        )
        [(changes,)] = await self._file.rows("SELECT changes()")
        if changes != sum(each.messages for each in copied):
            raise StoreUnavailable(f"{self._file.path}: other rows were copied than were looked at")


async def _digests_of(place: Place, ids: Sequence[str], *, most: int) -> dict[str, str]:
    """The digests of the rows of these conversations, as `copy` tells them; those it cannot make
    are left out."""
    file, table = place.file, place.table
    if not (place.ids.plain and await is_plain(file, table)):
        return {}
    counts = await file.rows(counts_sql("messages", marks(ids)), ids)
    counts = [row for row in counts if row[1] <= most]
    line = line_sql(table.columns)

    async def texts(run: Run) -> list[str] | None:
        return await texts_of(file, *lines_query("messages", line, run), run)

    found: dict[str, str] = {}
    async with aclosing(one_ahead(file, texts, runs_of(counts, (), most=most))) as done:
        async for run, some in done:
            each = None if some is None else parted(run, some)
            if each is not None:
                found.update(zip(run.ids, map(digest_of, each), strict=True))
    return found


def digest_of(text: str) -> str:
    """A hash of a conversation's rows: equal rows, equal hash, whatever file they lie in."""
    return "rows:" + hashlib.sha256(text.encode()).hexdigest()
