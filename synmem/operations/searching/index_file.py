"""An index in an SQLite file of the state folder: what the index of words and that of meanings
have in common.

It is made anew at any time: whatever is wrong with the file raises `Unusable`.
"""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec

from synmem import folders
from synmem.exhaustion import exhausted
from synmem.finishing import to_its_end
from synmem.messages import Message, Unreadable
from synmem.notes import Covered, Reach, fingerprint
from synmem.store import START, ConversationInfo, Page, Position

_BUSY_S: Final = 1.0

CONVERSATION_TABLES: Final = """
CREATE TABLE conversation(
    id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, head TEXT NOT NULL, last TEXT NOT NULL,
    reach_position TEXT NOT NULL, reach_digest TEXT NOT NULL, reach_before TEXT NOT NULL,
    messages INTEGER NOT NULL, upto TEXT NOT NULL, print TEXT NOT NULL);
CREATE TABLE unreadable(
    conversation INTEGER NOT NULL, number INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE INDEX unreadable_conversation ON unreadable(conversation);
CREATE TABLE version(of_store TEXT NOT NULL);
"""
"""What every index remembers of the store: how far it reaches, and what could not be read; what the
messages up to `upto` were known by before they were read; and the store's version before all were.
"""

VERSION: Final = 1
"""Goes up when these change: an index made before is made anew."""

Result = TypeVar("Result")


class Unusable(Exception):
    """The index cannot be used now: damaged, held by another search, or SQLite has no FTS5."""

    @property
    def damaged(self) -> bool:
        """Whether it stays so until the file is made anew."""
        return "malformed" in str(self) or "not a database" in str(self)

    @property
    def busy(self) -> bool:
        """Whether somebody else holds it now."""
        return "locked" in str(self)


class Known(msgspec.Struct, frozen=True):
    """What an index remembers of a conversation; `head` and `last` tell its ends, `guard` what
    cannot be told from them."""

    id: int
    head: str
    last: str
    reach: Reach
    guard: "Guard"

    def is_whole(self, info: ConversationInfo, last: str | None) -> bool:
        """Whether nothing was appended: the same number of messages, and the same last one."""
        if info.messages is None:
            return last == self.last
        # A count says more than a position, which a store may write in several ways.
        same = last is not None and last.split()[0] == self.last.split()[0]
        return same and self.is_counted(info)

    def is_counted(self, info: ConversationInfo) -> bool:
        """Whether it is known to have as many messages."""
        return info.messages == self.reach.messages


class Guard(NamedTuple):
    """What the messages up to a position were known by (see `SupportsChanges.fingerprints`), before
    they were read. Both empty: that was not told."""

    upto: Position = START
    print: str = ""


class Run:
    """A conversation that is being taken in, page by page: with a guard, up to its position."""

    def __init__(
        self,
        number: int,
        name: str,
        head: str,
        covered: Covered,
        before: Position,
        guard: Guard = Guard(),
    ) -> None:
        self.id = number
        self.name = name
        self.head = head
        self.covered = covered
        self.before = before
        self.guard = guard
        self.last = ""
        self.ended = False

    def cover(self, page: Page) -> Iterator[tuple[int, Position, Message | Unreadable]]:
        """The messages of a page, which then are covered: number, position in front, message."""
        for i, item in enumerate(page.items):
            before, self.before = self.before, page.position(i)
            self.covered.add(self.before, item)
            yield self.covered.messages, before, item
            if self.before == self.guard.upto:
                self.ended = True  # what came since is not guarded: the next time
                break
        self.last = end_of(page, i)

    def lose_guard(self) -> bool:
        """At the end of what was read: let go of a guard whose last message was not met."""
        lost = self.guard != Guard() and not self.ended
        if lost:
            self.guard = Guard()
        return lost

    @property
    def row(self) -> tuple[int | str, ...]:
        """Its row of the table `conversation`."""
        reach = self.covered.reach
        return (self.id, self.name, self.head, self.last,
                reach.position, reach.digest, reach.before, reach.messages,
                *self.guard)  # fmt: skip


def end_of(page: Page, i: int = 0) -> str:
    """What tells a message at an end of its conversation: digest and position."""
    return f"{fingerprint([page.items[i]])} {page.position(i)}"


def reason(item: Unreadable) -> str:
    """Why a record cannot be read, as SQLite can hold it."""
    return item.reason.encode("utf-8", "backslashreplace").decode()


# --- the file -------------------------------------------------------------------------------


class Worker:
    """Runs SQLite calls in a thread, one at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """What `work` gives back; `Unusable` where SQLite fails."""
        # The thread goes on by itself, and must not once the connection is closed.
        running = asyncio.to_thread(work, self._connection)
        with failing():
            return await to_its_end(running, hurry=self._connection.interrupt)

    async def rollback(self) -> None:
        """Take back what was not committed."""
        await to_its_end(asyncio.to_thread(self._connection.rollback))


@contextlib.contextmanager
def failing() -> Iterator[None]:
    """Make the errors of SQLite and of the folder `Unusable`."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        ran_out = exhausted(error)
        raise Unusable(ran_out.what if ran_out else str(error)) from error


def connect(file: Path | None, *, busy_s: float = _BUSY_S) -> sqlite3.Connection:
    """Quick: SQLite looks into a file when it is first asked something. None: in memory."""
    if file is not None:
        folders.private(file.parent)
        if not file.exists():
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))  # from chats: private
    name = ":memory:" if file is None else file
    made = sqlite3.connect(name, timeout=busy_s, isolation_level=None, check_same_thread=False)
    made.execute("PRAGMA secure_delete = ON")  # what its store has no more stays nowhere in it
    return made


def forget(file: Path) -> None:
    """Remove an index: it is damaged, or what it was made from is to be erased."""
    for each in (file, lock_of(file)):
        for suffix in ("", "-journal"):
            each.with_name(each.name + suffix).unlink(missing_ok=True)


def lock_of(file: Path) -> Path:
    """The file that whoever fills a large index locks, beside it: others may ask the index."""
    return file.with_name(file.name + ".lock")


# --- its tables -----------------------------------------------------------------------------


def make_tables(db: sqlite3.Connection, version: int, schema: str, names: Sequence[str]) -> None:
    """Make them where they are missing; those of another version, of these names, anew."""
    db.execute("CREATE TEMP TABLE seen(id INTEGER PRIMARY KEY)")
    if db.execute("PRAGMA user_version").fetchone()[0] == version:
        return
    db.execute("BEGIN IMMEDIATE")
    if db.execute("PRAGMA user_version").fetchone()[0] != version:  # another made them just now
        for table in ("conversation", "unreadable", "version", *names):
            db.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in (CONVERSATION_TABLES + schema).split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {version}")
    db.execute("COMMIT")


def last_id(db: sqlite3.Connection, table: str) -> int:
    """The highest id in a table; 0 where it is empty."""
    return int(db.execute(f"SELECT ifnull(max(id), 0) FROM {table}").fetchone()[0])


def known_of(db: sqlite3.Connection, names: Sequence[str]) -> dict[str, Known]:
    """What is known of these conversations, those that are in the index."""
    found = {}
    for name in names:
        row = db.execute("SELECT * FROM conversation WHERE name = ?", (name,)).fetchone()
        if row is not None:
            found[name] = Known(row[0], row[2], row[3], Reach(*row[4:8]), Guard(*row[8:]))
    return found


def write_conversations(db: sqlite3.Connection, rows: Sequence[tuple[int | str, ...]]) -> None:
    """Remember how far these conversations are covered, and that they were seen."""
    row = ", ".join(["?"] * 10)
    db.executemany(f"INSERT OR REPLACE INTO conversation VALUES ({row})", rows)
    db.executemany("INSERT OR IGNORE INTO temp.seen VALUES (?)", ((row[0],) for row in rows))


def store_version(db: sqlite3.Connection) -> str | None:
    """The version of the store that all of the index was last known to be of, or younger."""
    row = db.execute("SELECT of_store FROM version").fetchone()
    return None if row is None else str(row[0])


def set_store_version(db: sqlite3.Connection, version: str | None) -> None:
    """Remember it; None: forget it."""
    db.execute("DELETE FROM version")
    if version is not None:
        db.execute("INSERT INTO version VALUES (?)", (version,))


def mark_seen(db: sqlite3.Connection, names: Sequence[str]) -> None:
    """These conversations are still in the store."""
    db.executemany(
        "INSERT OR IGNORE INTO temp.seen SELECT id FROM conversation WHERE name = ?",
        ((name,) for name in names),
    )


def unseen(db: sqlite3.Connection) -> list[int]:
    """The conversations that were not marked: they are gone."""
    rows = db.execute("SELECT id FROM conversation WHERE id NOT IN (SELECT id FROM temp.seen)")
    return [number for (number,) in rows.fetchall()]


def unreadable(db: sqlite3.Connection, conversation: str | None) -> list[tuple[str, int, str]]:
    """The records that could not be read, of one conversation or all: which, number, why."""
    return db.execute(
        "SELECT c.name, u.number, u.reason FROM unreadable u"
        " JOIN conversation c ON c.id = u.conversation WHERE ? IS NULL OR c.name = ?"
        " ORDER BY c.name, u.number",
        (conversation, conversation),
    ).fetchall()
