"""The tables of a word index, in SQLite with FTS5, and what is written there and asked of them.

Each function is one piece of work for the index's thread.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from synmem.operations.searching import index_file, words
from synmem.store import Position

_VERSION: Final = words.VERSION * 1000 + index_file.VERSION + 1

_TABLES: Final = """
CREATE TABLE message(
    id INTEGER PRIMARY KEY, conversation INTEGER NOT NULL, number INTEGER NOT NULL,
    before TEXT NOT NULL, at INTEGER);
CREATE INDEX message_conversation ON message(conversation);
CREATE VIRTUAL TABLE words USING fts5(text, tokenize = 'ascii');
"""
# 'ascii' parts at ASCII punctuation only and folds A to Z only: a normal form has neither.


class Proposal(msgspec.Struct, frozen=True):
    """A message that may match: the `number`-th of its conversation, right after `before`; `text`
    is its content's normal form."""

    conversation: str
    number: int
    before: Position
    at_us: int | None
    score: float
    text: str


def make_tables(db: sqlite3.Connection) -> None:
    """Make them where they are missing, or those of another version anew."""
    index_file.make_tables(db, _VERSION, _TABLES, ("message", "words"))


def drop_named(db: sqlite3.Connection, name: str) -> None:
    """Forget a conversation, in a transaction of its own."""
    rows = db.execute("SELECT id FROM conversation WHERE name = ?", (name,)).fetchall()
    db.execute("BEGIN IMMEDIATE")
    drop(db, [number for (number,) in rows])
    erase(db)
    index_file.set_store_version(db, None)
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


def erase(db: sqlite3.Connection) -> None:
    """Let no word stay of what was dropped: FTS5 takes those out when it merges (a million
    messages: about a second)."""
    db.execute("INSERT INTO words(words) VALUES ('optimize')")


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
            take(Proposal(name, number, before, at, score, text))
