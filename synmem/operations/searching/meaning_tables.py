"""The tables of an index of meanings, in SQLite, and what is written there and asked of them.

Each function is one piece of work for the index's thread. A `block` holds the vectors of some
messages of one conversation (see `vectors.nearest`), its `place` for each of these messages, in
their order, the position in front of it (JSON) and a digest of its text.
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from synmem.messages import Message, dump_json, parse_json
from synmem.operations.searching import index_file
from synmem.operations.searching.index_file import Unusable
from synmem.store import Position
from synmem.vectors.nearest import Block, nearest, packed_numbers, unpacked_numbers

if TYPE_CHECKING:
    from synmem.vectors.embedding import Vector

_VERSION: Final = index_file.VERSION + 1
_DIGEST: Final = 8

_TABLES: Final = """
CREATE TABLE about(kind TEXT NOT NULL);
CREATE TABLE block(
    id INTEGER PRIMARY KEY, conversation INTEGER NOT NULL, numbers BLOB NOT NULL,
    vectors BLOB NOT NULL);
CREATE INDEX block_conversation ON block(conversation);
CREATE TABLE place(block INTEGER PRIMARY KEY, befores TEXT NOT NULL, digests BLOB NOT NULL);
"""


class Place(msgspec.Struct, frozen=True):
    """A message: the `number`-th of `total` in its conversation, right after `before`."""

    conversation: str
    number: int
    total: int
    before: Position
    digest: bytes
    score: float


def digest(message: Message) -> bytes:
    """What tells a text from another, in few bytes."""
    text = message.content.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=_DIGEST).digest()


def make_tables(db: sqlite3.Connection) -> None:
    """Make them where they are missing, or those of another version anew."""
    index_file.make_tables(db, _VERSION, _TABLES, ("about", "block", "place"))


def prepare(db: sqlite3.Connection, kind: str) -> None:
    """Forget all vectors of another kind, and which conversations were seen."""
    db.execute("DELETE FROM temp.seen")
    if db.execute("SELECT kind FROM about").fetchone() == (kind,):
        return
    db.execute("BEGIN IMMEDIATE")
    for table in ("about", "block", "place", "unreadable", "conversation", "version"):
        db.execute(f"DELETE FROM {table}")
    db.execute("INSERT INTO about VALUES (?)", (kind,))
    db.execute("COMMIT")


def write_block(
    db: sqlite3.Connection,
    conversation: int,
    texts: Sequence[tuple[int, Position, bytes, list[str]]],
    vectors: bytes,
) -> None:
    """Texts of a conversation (number, position in front, digest, pieces), and their vectors."""
    numbers = packed_numbers([text[0] for text in texts for _ in text[3]])
    row = db.execute(
        "INSERT INTO block(conversation, numbers, vectors) VALUES (?, ?, ?)",
        (conversation, numbers, vectors),
    )
    befores = dump_json([text[1] for text in texts]).decode()
    digests = b"".join(text[2] for text in texts)
    db.execute("INSERT INTO place VALUES (?, ?, ?)", (row.lastrowid, befores, digests))


def drop(db: sqlite3.Connection, conversations: Sequence[int]) -> None:
    """Forget the conversations of these ids, in a transaction of its own."""
    if not conversations:
        return
    of_these = [(number,) for number in conversations]
    db.execute("BEGIN IMMEDIATE")
    db.executemany(
        "DELETE FROM place WHERE block IN (SELECT id FROM block WHERE conversation = ?)", of_these
    )
    for table in ("block", "unreadable"):
        db.executemany(f"DELETE FROM {table} WHERE conversation = ?", of_these)
    db.executemany("DELETE FROM conversation WHERE id = ?", of_these)
    db.execute("COMMIT")


def nearest_to(
    db: sqlite3.Connection, kind: str, vector: "Vector", conversation: str | None, k: int
) -> list[Place]:
    """The k messages nearest to a vector, the nearest first; Unusable with one of another kind."""
    db.execute("BEGIN")  # the blocks, their places and their kind as they are at one moment
    try:
        if db.execute("SELECT kind FROM about").fetchone() != (kind,):
            raise Unusable("another search changes it to another embedding model")
        found = nearest(_blocks(db, conversation), vector, k)
        return [_place(db, near.key, near.number, near.score) for near in found]
    finally:
        db.execute("COMMIT")


def _blocks(db: sqlite3.Connection, conversation: str | None) -> Iterator[Block]:
    rows = db.execute(
        "SELECT id, numbers, vectors FROM block ORDER BY id"
        if conversation is None
        else "SELECT id, numbers, vectors FROM block"
        " WHERE conversation = (SELECT id FROM conversation WHERE name = ?) ORDER BY id",
        () if conversation is None else (conversation,),
    )
    return (Block(*row) for row in rows)


def _place(db: sqlite3.Connection, block: int, number: int, score: float) -> Place:
    name, total, numbers, befores, digests = db.execute(
        "SELECT c.name, c.messages, b.numbers, p.befores, p.digests FROM block b"
        " JOIN place p ON p.block = b.id JOIN conversation c ON c.id = b.conversation"
        " WHERE b.id = ?",
        (block,),
    ).fetchone()
    i = unpacked_numbers(numbers).index(number)
    told = digests[i * _DIGEST : (i + 1) * _DIGEST]
    return Place(name, number, total, parse_json(befores)[i], told, score)
