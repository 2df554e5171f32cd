"""The meanings of a store: the vectors of its messages, in an SQLite file of the state folder.

It holds of each message the vectors of its pieces, the position in front of it and a digest of
its text, by which a message that is read again is known to be the same. It follows the store as
the index of words does, in small transactions: a run that ends early is gone on with by the next.
Vectors of another model, or of another length, give way to new ones.

One process at a time brings it up to date, the others wait for it; all of them may ask.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from synmem.errors import ModelError
from synmem.messages import Unreadable, chunks
from synmem.operations.searching import index_file
from synmem.operations.searching import meaning_tables as tables
from synmem.operations.searching.following import follow, version_of
from synmem.operations.searching.index_file import Known, Run, Unusable, Worker, lock_of
from synmem.operations.searching.meaning_tables import Place, Text, digest
from synmem.operations.searching.wanted import Wanted, time_of
from synmem.store import ConversationInfo, Page, Store
from synmem.vectors.embedding import EMBEDDED, Embedder, kind_of, pieces
from synmem.vectors.nearest import packed_vectors

if TYPE_CHECKING:
    from synmem.vectors.embedding import Vector

_PIECES: Final = 4096  # embedded and written at a time
_BUSY_S: Final = 10.0
_WAIT_S: Final = 60.0  # for another process that brings it up to date


@contextlib.asynccontextmanager
async def open_index(
    file: Path | None, embedder: Embedder, kind: str
) -> AsyncIterator["MeaningIndex"]:
    """The index in this file, made if it is missing; without a file it is in memory only."""
    with index_file.failing():
        connection = index_file.connect(file, busy_s=_BUSY_S)
    try:
        worker = Worker(connection)
        await worker.run(tables.make_tables)
        yield MeaningIndex(worker, file, embedder, kind)
    finally:
        connection.close()


class MeaningIndex:
    """See the module. `kind` says which vectors it is to hold (see `vectors.embedding`)."""

    def __init__(self, worker: Worker, file: Path | None, embedder: Embedder, kind: str) -> None:
        self._worker = worker
        self._file = file
        self._embedder = embedder
        self._kind = kind

    async def update(
        self,
        store: Store,
        listing: AsyncIterator[list[ConversationInfo]],
        *,
        complete: bool,
        note: Callable[[str], None] = lambda text: None,
        advance: Callable[[int], None] = lambda count: None,
    ) -> int:
        """Bring the index up to date with the conversations listed (with details).

        `complete`: there are no others, and what is known of others goes. `advance` hears how
        many messages were taken in, time and again; their sum is returned. `note` hears of those
        that are too long to be taken in whole.
        """
        try:
            async with _alone(self._file, note):
                new = await self._update(store, listing, complete, advance)
        except _Waited:
            note("another search is still indexing this store: what is new may be missing")
            return 0
        if new is not None and new.long:
            which = "message" if new.long == 1 else "messages"
            note(f"of {new.long:,} {which} the first {EMBEDDED:,} characters were indexed, no more")
        return 0 if new is None else new.count

    async def _update(
        self,
        store: Store,
        listing: AsyncIterator[list[ConversationInfo]],
        complete: bool,
        advance: Callable[[int], None],
    ) -> "_New | None":
        run = self._worker.run
        await run(lambda db: tables.prepare(db, self._kind))
        version = await version_of(store)
        if version is not None and version == await run(index_file.store_version):
            return None
        new = _New(self._worker, self._embedder, self._kind, advance)
        await follow(new, store, listing)
        await new.flush()
        if complete:
            await run(lambda db: tables.drop(db, index_file.unseen(db)))
            await run(lambda db: index_file.set_store_version(db, version))
        return new

    async def nearest(
        self, vector: "Vector", conversation: str | None, k: int, wanted: Wanted
    ) -> tuple[list[Place], int]:
        """See `meaning_tables.nearest_to`."""
        return await self._worker.run(
            lambda db: tables.nearest_to(db, self._kind, vector, conversation, k, wanted)
        )

    async def unreadable(self, conversation: str | None) -> list[tuple[str, int, str]]:
        """The records that could not be read: conversation, number, why."""
        return await self._worker.run(lambda db: index_file.unreadable(db, conversation))

    async def drop(self, conversation: str) -> None:
        """Forget a conversation, which then is taken anew."""

        def drop(db: sqlite3.Connection) -> None:
            index_file.set_store_version(db, None)
            tables.drop(
                db, [known.id for known in index_file.known_of(db, [conversation]).values()]
            )

        await self._worker.run(drop)


class _Waited(Exception):
    """Somebody else has been at it for too long."""


@contextlib.asynccontextmanager
async def _alone(file: Path | None, note: Callable[[str], None]) -> AsyncIterator[None]:
    """No other process is in here. It ends with the process, however that ends.

    It is SQLite's lock on an empty file beside the index, not on the index: others may ask.
    """
    if file is None:
        yield
        return
    with index_file.failing():
        connection = index_file.connect(lock_of(file), busy_s=0)
    try:
        await _lock(connection, note)
        yield
    finally:
        connection.close()


async def _lock(connection: sqlite3.Connection, note: Callable[[str], None]) -> None:
    started, told = time.monotonic(), False
    while True:
        try:
            with index_file.failing():
                connection.execute("BEGIN IMMEDIATE")
            return
        except Unusable as error:
            waited = time.monotonic() - started
            if not error.busy:
                raise
            if waited > _WAIT_S:
                raise _Waited from error
        if waited > 1 and not told:
            note("waiting for another search, which is indexing this store")
            told = True
        await asyncio.sleep(0.05)


class _New:
    """Messages on their way into the index, embedded and written many at a time."""

    def __init__(
        self, worker: Worker, embedder: Embedder, kind: str, advance: Callable[[int], None]
    ) -> None:
        self._worker = worker
        self._embedder = embedder
        self._kind = kind
        self._advance = advance
        self._last = 0
        self.count = 0
        self.long = 0
        self._clear()

    def _clear(self) -> None:
        self._runs: dict[int, Run] = {}
        self._texts: dict[int, list[Text]] = {}
        self._unreadable: list[tuple[int, int, str]] = []
        self._pieces = self._messages = 0

    async def known(self, names: Sequence[str]) -> dict[str, Known]:
        """See `following.Index`."""
        await self.flush()  # ids go on behind those that are written
        self._last = await self._worker.run(lambda db: index_file.last_id(db, "conversation"))
        return await self._worker.run(lambda db: index_file.known_of(db, names))

    async def drop(self, known: Sequence[Known]) -> None:
        """See `following.Index`."""
        await self._worker.run(lambda db: tables.drop(db, [each.id for each in known]))

    def next_id(self) -> int:
        """See `following.Index`."""
        self._last += 1
        return self._last

    async def add(self, run: Run, page: Page) -> None:
        """See `following.Index`."""
        texts = self._texts.setdefault(run.id, [])
        for number, before, item in run.cover(page):
            if isinstance(item, Unreadable):
                self._unreadable.append((run.id, number, index_file.reason(item)))
            elif cut := pieces(item.content):
                at_us = time_of(item.created_at)
                texts.append(Text(number, before, digest(item), item.role, at_us, cut))
                self._pieces += len(cut)
                self.long += len(item.content) > EMBEDDED
            self._messages += 1
        self._runs[run.id] = run
        if self._pieces >= _PIECES:
            await self.flush()

    async def finish(self, run: Run) -> None:
        """See `following.Index`: what `flush` writes reaches as far as what was added."""
        if run.lose_guard():
            self._runs[run.id] = run  # perhaps written with it

    async def seen(self, names: Sequence[str]) -> None:
        """See `following.Index`."""
        await self._worker.run(lambda db: index_file.mark_seen(db, names))

    async def flush(self) -> None:
        """Embed and write what has come together."""
        if not self._runs:
            return
        cut = [piece for texts in self._texts.values() for text in texts for piece in text.pieces]
        vectors = [await self._embedded(some) for some in chunks(cut, _PIECES)]
        await self._worker.run(lambda db: self._write(db, b"".join(vectors), len(cut)))
        self.count += self._messages
        self._advance(self._messages)
        self._clear()

    async def _embedded(self, texts: list[str]) -> bytes:
        matrix = await self._embedder.embed(texts)
        if kind_of(self._embedder, matrix[0]) != self._kind:
            raise ModelError("the embedding model answers with vectors of several lengths")
        return packed_vectors(matrix)

    def _write(self, db: sqlite3.Connection, vectors: bytes, count: int) -> None:
        size = len(vectors) // max(count, 1)
        start = 0
        db.execute("BEGIN IMMEDIATE")
        for run, texts in self._texts.items():
            end = start + size * sum(len(text.pieces) for text in texts)
            if texts:
                tables.write_block(db, run, texts, vectors[start:end])
            start = end
        index_file.write_conversations(db, [run.row for run in self._runs.values()])
        db.executemany("INSERT INTO unreadable VALUES (?, ?, ?)", self._unreadable)
        db.execute("COMMIT")
