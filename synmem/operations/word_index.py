"""The words of a large store, in an SQLite file (FTS5) of the state folder.

An index proposes; what it proposes is read again from the store and matched there, so a result
is the same with it and without it. It holds each message in its normal form (see `words`), under
the position in front of it, and remembers of each conversation how far it reaches: what was
appended is added, a conversation that changed otherwise is taken anew, one that is gone goes.

It is made anew at any time: whatever is wrong with the file raises `Unusable`, and the search
does without. One at a time may bring it up to date; the others do without too.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from synmem.messages import Unreadable
from synmem.notes import Covered, fingerprint, tail_of
from synmem.operations import word_tables as tables
from synmem.operations import words
from synmem.operations.word_tables import Known, Proposal
from synmem.store import START, ConversationInfo, Page, Position, Store

_CHARACTERS: Final = 4_000_000  # written at a time

Result = TypeVar("Result")


class Unusable(Exception):
    """The index cannot be used now: damaged, held by another search, or SQLite has no FTS5."""


@contextlib.asynccontextmanager
async def open_index(file: Path) -> AsyncIterator["WordIndex"]:
    """The index in this file, made if it is missing; one of another version is made anew."""
    with _failing():
        connection = tables.connect(file)
    try:
        index = WordIndex(connection)
        await index.prepare()
        yield index
    finally:
        connection.close()


def forget(file: Path) -> None:
    """Remove an index: it is damaged, or what it was made from is to be erased."""
    for suffix in ("", "-journal"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)


class WordIndex:
    """See the module. Its SQLite calls run in a thread, one at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def prepare(self) -> None:
        """Make the tables where they are missing, or of another version."""
        await self._run(tables.make_tables)

    async def update(
        self, store: Store, listing: AsyncIterator[list[ConversationInfo]], *, complete: bool
    ) -> None:
        """Bring the index up to date with the conversations listed (with details).

        `complete`: there are no others, and what is known of others goes.
        """
        await self._run(lambda db: db.execute("BEGIN IMMEDIATE"))
        try:
            new = await self._run(_New)
            async for infos in listing:
                await self._update_batch(store, infos, new)
            await self._run(new.write)
            if complete:
                await self._run(tables.drop_unseen)
            await self._run(lambda db: db.execute("COMMIT"))
        except BaseException:
            await asyncio.to_thread(self._connection.rollback)
            raise

    async def propose(
        self, query: words.Query, conversation: str | None, take: Callable[[Proposal], None]
    ) -> None:
        """Hand every message whose words match to `take`, with its score."""
        await self._run(lambda db: tables.propose(db, query, conversation, take))

    async def unreadable(self, conversation: str | None) -> list[tuple[str, int, str]]:
        """The records that could not be read: conversation, number, why."""
        return await self._run(lambda db: tables.unreadable(db, conversation))

    async def drop(self, conversation: str) -> None:
        """Forget a conversation, which then is taken anew."""
        await self._run(lambda db: tables.drop_named(db, conversation))

    async def _update_batch(
        self, store: Store, infos: Sequence[ConversationInfo], new: "_New"
    ) -> None:
        names = [info.id for info in infos]
        known = await self._run(lambda db: tables.known_of(db, names))
        heads, lasts = await _ends(store, names, False), await _ends(store, names, True)
        anew = []
        for info in infos:
            old = known.get(info.id)
            if old is None or heads.get(info.id) != old.head:
                anew.append(info.id)
            elif not old.is_whole(info, lasts.get(info.id)):
                grown = await self._extend(store, info, old, new)
                anew += [] if grown else [info.id]
        outdated = [known[name].id for name in anew if name in known]
        await self._run(lambda db: tables.drop(db, outdated))
        if anew:
            await self._take(store, anew, new)
        await self._run(lambda db: tables.mark_seen(db, names))

    async def _extend(self, store: Store, info: ConversationInfo, old: Known, new: "_New") -> bool:
        """Add what was appended; False where more than that has changed."""
        if info.messages is not None and info.messages <= old.reach.messages:
            return False
        tail = await tail_of(store, info.id, old.reach)
        if tail is None:
            return False
        run = _Run(old.id, info.id, old.head, Covered(old.reach, tail), tail[-1][0])
        async for page in store.read([info.id], after=tail[-1][0]):
            await self._add(run, page, new)
        new.finish(run)
        return True

    async def _take(self, store: Store, names: list[str], new: "_New") -> None:
        run: _Run | None = None
        async for page in store.read(names):
            if run is None or run.name != page.conversation:
                if run is not None:
                    new.finish(run)
                run = _Run(new.next_id(), page.conversation, _end(page), Covered(), START)
            await self._add(run, page, new)
        if run is not None:
            new.finish(run)

    async def _add(self, run: "_Run", page: Page, new: "_New") -> None:
        new.add(run, page)
        if new.size >= _CHARACTERS:
            await self._run(new.write)

    async def _run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        running = asyncio.ensure_future(asyncio.to_thread(work, self._connection))
        try:
            with _failing():
                return await asyncio.shield(running)
        except asyncio.CancelledError:
            # The thread goes on by itself, and must not once the connection is closed.
            self._connection.interrupt()
            await asyncio.gather(running, return_exceptions=True)
            raise


class _Run:
    """A conversation that is being taken in, page by page."""

    def __init__(
        self, number: int, name: str, head: str, covered: Covered, before: Position
    ) -> None:
        self.id = number
        self.name = name
        self.head = head
        self.covered = covered
        self.before = before
        self.last = ""


class _New:
    """Rows on their way into the index, written many at a time."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Ids go on behind those that there are."""
        db.execute("DELETE FROM temp.seen")
        self._conversation = tables.last_id(db, "conversation")
        self._message = tables.last_id(db, "message")
        self._clear()

    def _clear(self) -> None:
        self._conversations: list[tuple[int | str, ...]] = []
        self._messages: list[tuple[int, int, int, Position, int | None]] = []
        self._unreadable: list[tuple[int, int, str]] = []
        self._texts: list[tuple[int, str]] = []
        self.size = 0

    def next_id(self) -> int:
        """An id for a conversation."""
        self._conversation += 1
        return self._conversation

    def add(self, run: _Run, page: Page) -> None:
        """Take the messages of a page in."""
        for i, item in enumerate(page.items):
            position = page.position(i)
            run.covered.add(position, item)
            number = run.covered.messages
            if isinstance(item, Unreadable):
                reason = item.reason.encode("utf-8", "backslashreplace").decode()
                self._unreadable.append((run.id, number, reason))
            elif text := words.normal(item.content):
                self._message += 1
                at = None if item.created_at is None else microseconds(item.created_at)
                self._messages.append((self._message, run.id, number, run.before, at))
                self._texts.append((self._message, text))
                self.size += 100 + len(text)
            run.before = position
        run.last = _end(page, -1)

    def finish(self, run: _Run) -> None:
        """The conversation is taken in up to here."""
        reach = run.covered.reach
        self._conversations.append((
            run.id, run.name, run.head, run.last,
            reach.position, reach.digest, reach.before, reach.messages,
        ))  # fmt: skip

    def write(self, db: sqlite3.Connection) -> None:
        """Write what has come together."""
        db.executemany(
            "INSERT OR REPLACE INTO conversation VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            self._conversations,
        )
        db.executemany(
            "INSERT OR IGNORE INTO temp.seen VALUES (?)", ((row[0],) for row in self._conversations)
        )
        db.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?)", self._messages)
        db.executemany("INSERT INTO unreadable VALUES (?, ?, ?)", self._unreadable)
        db.executemany("INSERT INTO words(rowid, text) VALUES (?, ?)", self._texts)
        self._clear()


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(moment: datetime) -> int:
    """A time as a whole number that sorts as times do."""
    return int((moment - _EPOCH) // timedelta(microseconds=1))


async def _ends(store: Store, names: Sequence[str], reverse: bool) -> dict[str, str]:
    """What tells the first message of each conversation, or the last."""
    ends = {}
    async for page in store.read(names, reverse=reverse, limit=1):
        ends[page.conversation] = _end(page)
    return ends


def _end(page: Page, i: int = 0) -> str:
    return f"{fingerprint([page.items[i]])} {page.position(i)}"


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise Unusable(str(error)) from error
