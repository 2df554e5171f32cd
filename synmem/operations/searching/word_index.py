"""The words of a large store, in an SQLite file (FTS5) of the state folder.

An index proposes; what it proposes is read again from the store and matched there, so a result
is the same with it and without it. It holds each message in its normal form (see `words`), under
the position in front of it, and remembers of each conversation how far it reaches: what was
appended is added, a conversation that changed otherwise is taken anew, one that is gone goes.

It is made anew at any time: whatever is wrong with the file raises `Unusable`, and the search
does without. One at a time may bring it up to date; the others do without too.
"""

import contextlib
import functools
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final

from synmem.messages import Unreadable
from synmem.operations.searching import index_file, words
from synmem.operations.searching import word_tables as tables
from synmem.operations.searching.following import follow, version_of
from synmem.operations.searching.index_file import Known, Run, Unusable, Worker, forget
from synmem.operations.searching.near import Near
from synmem.operations.searching.wanted import Wanted, role_key, time_of
from synmem.operations.searching.word_tables import Proposal
from synmem.store import ConversationInfo, Page, Position, Store

__all__ = ["Unusable", "WordIndex", "forget", "open_index"]

_CHARACTERS: Final = 4_000_000  # written at a time


@contextlib.asynccontextmanager
async def open_index(file: Path) -> AsyncIterator["WordIndex"]:
    """The index in this file, made if it is missing; one of another version is made anew."""
    with index_file.failing():
        connection = index_file.connect(file)
    try:
        worker = Worker(connection)
        await worker.run(tables.make_tables)
        yield WordIndex(worker)
    finally:
        connection.close()


class WordIndex:
    """See the module."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def update(
        self,
        store: Store,
        listing: AsyncIterator[list[ConversationInfo]],
        *,
        complete: bool,
        advance: Callable[[int], object] = lambda count: None,
    ) -> None:
        """Bring the index up to date with the conversations listed (with details).

        `complete`: there are no others, and what is known of others goes. `advance` hears how many
        messages were taken in, time and again.
        """
        run = self._worker.run
        version = await version_of(store)
        await run(lambda db: db.execute("BEGIN IMMEDIATE"))
        try:
            if version is not None and version == await run(index_file.store_version):
                await self._worker.rollback()
                return
            new = await run(lambda db: _New(db, self._worker, advance))
            await follow(new, store, self._noting_titles(listing))
            await run(new.write)
            gone = await run(index_file.unseen) if complete else []
            await run(lambda db: tables.drop(db, gone))
            if gone or new.dropped:
                await run(tables.drop_titles)
                await run(tables.erase)
            if complete:
                await run(lambda db: index_file.set_store_version(db, version))
            await run(lambda db: db.execute("COMMIT"))
        except BaseException:
            await self._worker.rollback()
            raise

    async def _noting_titles(
        self, listing: AsyncIterator[list[ConversationInfo]]
    ) -> AsyncIterator[list[ConversationInfo]]:
        """The same listing, whose titles are taken in."""
        async for infos in listing:
            titles = [(i.id, words.normal(i.title or ""), time_of(i.last_at)) for i in infos]
            await self._worker.run(functools.partial(tables.note_titles, titles=titles))
            yield infos

    async def propose(
        self,
        query: words.Query,
        conversation: str | None,
        wanted: Wanted,
        take: Callable[[Proposal], None],
    ) -> None:
        """See `word_tables.propose`."""
        await self._worker.run(lambda db: tables.propose(db, query, conversation, wanted, take))

    async def near(self, query: words.Query) -> list[str]:
        """Words of the store that are near those of a query."""
        found = Near(query)
        await self._worker.run(lambda db: tables.near(db, found))
        return found.words()

    async def unreadable(self, conversation: str | None) -> list[tuple[str, int, str]]:
        """The records that could not be read: conversation, number, why."""
        return await self._worker.run(lambda db: index_file.unreadable(db, conversation))

    async def drop(self, conversation: str) -> None:
        """Forget a conversation, which then is taken anew."""
        await self._worker.run(lambda db: tables.drop_named(db, conversation))


class _New:
    """Rows on their way into the index, written many at a time."""

    def __init__(
        self, db: sqlite3.Connection, worker: Worker, advance: Callable[[int], object]
    ) -> None:
        """Ids go on behind those that there are."""
        self._worker = worker
        self._advance = advance
        db.execute("DELETE FROM temp.seen")
        self._conversation = index_file.last_id(db, "conversation")
        self._message = index_file.last_id(db, "message")
        self.dropped = False
        self._clear()

    def _clear(self) -> None:
        self._conversations: list[tuple[int | str, ...]] = []
        self._messages: list[tuple[int, int, int, Position, int | None, bytes]] = []
        self._unreadable: list[tuple[int, int, str]] = []
        self._texts: list[tuple[int, str]] = []
        self._size = 0

    async def known(self, names: Sequence[str]) -> dict[str, Known]:
        """See `following.Index`."""
        return await self._worker.run(lambda db: index_file.known_of(db, names))

    async def drop(self, known: Sequence[Known]) -> None:
        """See `following.Index`."""
        self.dropped = self.dropped or bool(known)
        await self._worker.run(lambda db: tables.drop(db, [each.id for each in known]))

    def next_id(self) -> int:
        """See `following.Index`."""
        self._conversation += 1
        return self._conversation

    async def add(self, run: Run, page: Page) -> None:
        """See `following.Index`."""
        for number, before, item in run.cover(page):
            if isinstance(item, Unreadable):
                self._unreadable.append((run.id, number, index_file.reason(item)))
            elif text := words.normal_of(item):
                self._message += 1
                at, role = time_of(item.created_at), role_key(item.role)
                self._messages.append((self._message, run.id, number, before, at, role))
                self._texts.append((self._message, text))
                self._size += 100 + len(text)
        self._advance(len(page.items))
        if self._size >= _CHARACTERS:
            await self._worker.run(self.write)

    async def finish(self, run: Run) -> None:
        """See `following.Index`."""
        run.lose_guard()
        self._conversations.append(run.row)

    async def seen(self, names: Sequence[str]) -> None:
        """See `following.Index`."""
        await self._worker.run(lambda db: index_file.mark_seen(db, names))

    def write(self, db: sqlite3.Connection) -> None:
        """Write what has come together."""
        index_file.write_conversations(db, self._conversations)
        db.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?)", self._messages)
        db.executemany("INSERT INTO unreadable VALUES (?, ?, ?)", self._unreadable)
        db.executemany("INSERT INTO words(rowid, text) VALUES (?, ?)", self._texts)
        self._clear()
