"""The tables of a word index, in SQLite with FTS5, and what is written there and asked of them.

Each function is one piece of work for the index's thread.
"""

import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from synmem.notes import Reach
from synmem.operations import words
from synmem.store import ConversationInfo, Position

_VERSION: Final = words.VERSION * 1000 + 1
_BUSY_S: Final = 1.0

_TABLES: Final = """
CREATE TABLE conversation(
    id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, head TEXT NOT NULL, last TEXT NOT NULL,
    reach_position TEXT NOT NULL, reach_digest TEXT NOT NULL, reach_before TEXT NOT NULL,
    messages INTEGER NOT NULL);
CREATE TABLE message(
    id INTEGER PRIMARY KEY, conversation INTEGER NOT NULL, number INTEGER NOT NULL,
    before TEXT NOT NULL, at INTEGER);
CREATE INDEX message_conversation ON message(conversation);
CREATE TABLE unreadable(
    conversation INTEGER NOT NULL, number INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE INDEX unreadable_conversation ON unreadable(conversation);
CREATE VIRTUAL TABLE words USING fts5(text, tokenize = 'ascii');
"""
# 'ascii' parts at ASCII punctuation only and folds A to Z only: a normal form has neither.


class Proposal(msgspec.Struct, frozen=True):
    """A message that may match: the `number`-th of its conversation, right after `before`."""

    conversation: str
    number: int
    before: Position
    at_us: int | None
    score: float


class Known(msgspec.Struct, frozen=True):
    """What the index remembers of a conversation; `head` and `last` tell its ends."""

    id: int
    head: str
    last: str
    reach: Reach

    def is_whole(self, info: ConversationInfo, last: str | None) -> bool:
        """Whether nothing was appended: the same number of messages, and the same last one."""
        if info.messages is None:
            return last == self.last
        # A count says more than a position, which a store may write in several ways.
        same = last is not None and last.split()[0] == self.last.split()[0]
        return same and info.messages == self.reach.messages


def connect(file: Path) -> sqlite3.Connection:
    """Quick: SQLite looks into a file when it is first asked something."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not file.exists():
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))  # words of chats: private
    return sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)


def make_tables(db: sqlite3.Connection) -> None:
    """Make them where they are missing, or those of another version anew."""
    db.execute("CREATE TEMP TABLE seen(id INTEGER PRIMARY KEY)")
    if db.execute("PRAGMA user_version").fetchone()[0] == _VERSION:
        return
    db.execute("BEGIN IMMEDIATE")
    if db.execute("PRAGMA user_version").fetchone()[0] != _VERSION:  # another made them just now
        for table in ("conversation", "message", "unreadable", "words"):
            db.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in _TABLES.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {_VERSION}")
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
            found[name] = Known(row[0], row[2], row[3], Reach(*row[4:]))
    return found


def mark_seen(db: sqlite3.Connection, names: Sequence[str]) -> None:
    """These conversations are still in the store."""
    db.executemany(
        "INSERT OR IGNORE INTO temp.seen SELECT id FROM conversation WHERE name = ?",
        ((name,) for name in names),
    )


def drop_unseen(db: sqlite3.Connection) -> None:
    """Forget the conversations that were not marked: they are gone."""
    gone = db.execute("SELECT id FROM conversation WHERE id NOT IN (SELECT id FROM temp.seen)")
    drop(db, [number for (number,) in gone.fetchall()])


def drop_named(db: sqlite3.Connection, name: str) -> None:
    """Forget a conversation, in a transaction of its own."""
    rows = db.execute("SELECT id FROM conversation WHERE name = ?", (name,)).fetchall()
    db.execute("BEGIN IMMEDIATE")
    drop(db, [number for (number,) in rows])
    db.execute("COMMIT")


def drop(db: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Forget the conversations of these ids."""
    for number in numbers:
        db.execute(
            "DELETE FROM words WHERE rowid IN (SELECT id FROM message WHERE conversation = ?)",
            (number,),
        )
        db.execute("DELETE FROM message WHERE conversation = ?", (number,))
        db.execute("DELETE FROM unreadable WHERE conversation = ?", (number,))
        db.execute("DELETE FROM conversation WHERE id = ?", (number,))


def propose(
    db: sqlite3.Connection,
    query: words.Query,
    conversation: str | None,
    take: Callable[[Proposal], None],
) -> None:
    """Hand every message whose words match to `take`, with its score."""
    match = " AND ".join(f'"{" ".join(phrase.split())}"' for phrase in query.phrases)
    rows = db.execute(
        "SELECT c.name, m.number, m.before, m.at, words.text FROM words"
        " JOIN message m ON m.id = words.rowid JOIN conversation c ON c.id = m.conversation"
        " WHERE words MATCH ? AND (? IS NULL OR c.name = ?)",
        (match, conversation, conversation),
    )
    for name, number, before, at, text in rows:
        score = query.score_normal(text)
        if score is not None:
            take(Proposal(name, number, before, at, score))


def unreadable(db: sqlite3.Connection, conversation: str | None) -> list[tuple[str, int, str]]:
    """The records that could not be read, of one conversation or all: which, number, why."""
    return db.execute(
        "SELECT c.name, u.number, u.reason FROM unreadable u"
        " JOIN conversation c ON c.id = u.conversation WHERE ? IS NULL OR c.name = ?"
        " ORDER BY c.name, u.number",
        (conversation, conversation),
    ).fetchall()
