"""The tables of a word index, in SQLite with FTS5, and what is written there and asked of them.

Each function is one piece of work for the index's thread.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from synmem.operations.searching import index_file, words
from synmem.operations.searching.near import Near
from synmem.operations.searching.wanted import TITLE, Wanted
from synmem.store import START, Position

_VERSION: Final = words.VERSION * 1000 + index_file.VERSION + 2

_TABLES: Final = """
CREATE TABLE message(
    id INTEGER PRIMARY KEY, conversation INTEGER NOT NULL, number INTEGER NOT NULL,
    before TEXT NOT NULL, at INTEGER, role BLOB NOT NULL);
CREATE INDEX message_conversation ON message(conversation);
CREATE TABLE title(name TEXT PRIMARY KEY, text TEXT NOT NULL, at INTEGER) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5(text, tokenize = 'ascii');
"""
# 'ascii' parts at ASCII punctuation only and folds A to Z only: a normal form has neither.


class Proposal(msgspec.Struct, frozen=True):
    """A message that may match: the `number`-th of its conversation, right after `before`; `text`
    is the normal form of what is searched of it. Number 0: the conversation's title."""

    conversation: str
    number: int
    before: Position
    at_us: int | None
    score: float
    text: str


def make_tables(db: sqlite3.Connection) -> None:
    """Make them where they are missing, or those of another version anew."""
    index_file.make_tables(db, _VERSION, _TABLES, ("message", "title", "words"))


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


def note_titles(db: sqlite3.Connection, titles: Sequence[tuple[str, str, int | None]]) -> None:
    """Remember the titles of these conversations: name, normal form, time; "" forgets one."""
    db.executemany("DELETE FROM title WHERE name = ?", ((n,) for n, text, _ in titles if not text))
    db.executemany(
        "INSERT INTO title VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET"
        " text = excluded.text, at = excluded.at"
        " WHERE text IS NOT excluded.text OR at IS NOT excluded.at",
        (each for each in titles if each[1]),
    )


def drop_titles(db: sqlite3.Connection) -> None:
    """Forget the titles of conversations that are gone."""
    db.execute("DELETE FROM title WHERE name NOT IN (SELECT name FROM conversation)")


def near(db: sqlite3.Connection, words_near: Near) -> None:
    """Hand it the words of the index that may be near."""
    db.execute(
        "CREATE VIRTUAL TABLE IF NOT EXISTS temp.vocabulary USING fts5vocab(main, words, row)"
    )
    for first, shortest, longest in words_near.ranges():
        rows = db.execute(
            "SELECT term FROM temp.vocabulary WHERE term >= ? AND term < ?"
            " AND length(term) BETWEEN ? AND ?",
            (first, chr(ord(first) + 1), shortest, longest),
        )
        words_near.take(term for (term,) in rows)
    for (text,) in db.execute("SELECT text FROM title"):
        words_near.take(text.split())


def propose(
    db: sqlite3.Connection,
    query: words.Query,
    conversation: str | None,
    wanted: Wanted,
    take: Callable[[Proposal], None],
) -> None:
    """Hand every message, of a role that is wanted, whose words match to `take`, with its score;
    and every title."""
    rows = db.execute(
        "SELECT c.name, m.number, m.before, m.at, m.role, words.text FROM words"
        " JOIN message m ON m.id = words.rowid JOIN conversation c ON c.id = m.conversation"
        " WHERE words MATCH ? AND (? IS NULL OR c.name = ?)",
        (" AND ".join(map(_matching, query.phrases)), conversation, conversation),
    )
    for name, number, before, at, role, text in rows:
        score = query.score_normal(text) if wanted.has_role(role) else None
        if score is not None:
            take(Proposal(name, number, before, at, score, text))
    if wanted.has_role(TITLE):
        _propose_titles(db, query, conversation, take)


def _matching(phrase: str) -> str:
    """What finds a phrase, as FTS5 wants it."""
    return f'"{" ".join(phrase.split())}"' + ("*" if words.is_beginning(phrase) else "")


def _propose_titles(
    db: sqlite3.Connection,
    query: words.Query,
    conversation: str | None,
    take: Callable[[Proposal], None],
) -> None:
    holds = " AND instr(text, ?)" * len(query.phrases)
    rows = db.execute(
        f"SELECT name, text, at FROM title WHERE (? IS NULL OR name = ?){holds}",
        (conversation, conversation, *query.phrases),
    )
    for name, text, at in rows:
        score = query.score_normal(text)
        if score is not None:
            take(Proposal(name, 0, START, at, score, text))
