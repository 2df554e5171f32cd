"""The tables of an index of meanings, in SQLite, and what is written there and asked of them.

Each function is one piece of work for the index's thread. A `block` holds the vectors of some
messages of one conversation (see `vectors.nearest`), its `place` for each of these messages, in
their order, the position in front of it, its role and its time (JSON) and a digest of its text.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from synmem.messages import Message, dump_json, parse_json
from synmem.operations.searching import index_file
from synmem.operations.searching.index_file import Unusable
from synmem.operations.searching.wanted import Wanted
from synmem.store import Position
from synmem.vectors.nearest import Block, nearest, only, packed_numbers, unpacked_numbers

if TYPE_CHECKING:
    from synmem.vectors.embedding import Vector

_VERSION: Final = index_file.VERSION + 2
_DIGEST: Final = 8

_TABLES: Final = """
CREATE TABLE about(kind TEXT NOT NULL);
CREATE TABLE block(
    id INTEGER PRIMARY KEY, conversation INTEGER NOT NULL, numbers BLOB NOT NULL,
    vectors BLOB NOT NULL);
CREATE INDEX block_conversation ON block(conversation);
CREATE TABLE place(
    block INTEGER PRIMARY KEY, befores TEXT NOT NULL, digests BLOB NOT NULL, about TEXT NOT NULL);
"""


class Place(msgspec.Struct, frozen=True):
    """A message: the `number`-th of `total` in its conversation, right after `before`."""

    conversation: str
    number: int
    total: int
    before: Position
    digest: bytes
    score: float


class Text(NamedTuple):
    """The text of a message: the `number`-th of its conversation, right after `before`; and the
    pieces that each have a vector."""

    number: int
    before: Position
    digest: bytes
    role: str
    at_us: int | None
    pieces: list[str]


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
    texts: Sequence[Text],
    vectors: bytes,
) -> None:
    """Texts of a conversation, and their vectors."""
    numbers = packed_numbers([text.number for text in texts for _ in text.pieces])
    row = db.execute(
        "INSERT INTO block(conversation, numbers, vectors) VALUES (?, ?, ?)",
        (conversation, numbers, vectors),
    )
    befores = dump_json([text.before for text in texts]).decode()
    digests = b"".join(text.digest for text in texts)
    about = dump_json([(text.role, text.at_us) for text in texts]).decode()
    db.execute("INSERT INTO place VALUES (?, ?, ?, ?)", (row.lastrowid, befores, digests, about))


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
    db: sqlite3.Connection,
    kind: str,
    vector: "Vector",
    conversation: str | None,
    k: int,
    wanted: Wanted,
) -> tuple[list[Place], int]:
    """The k messages nearest to a vector, the nearest first, of those that are wanted; and how many
    were left out since they have no time. Unusable with a vector of another kind."""
    untimed: list[int] = []
    db.execute("BEGIN")  # the blocks, their places and their kind as they are at one moment
    try:
        if db.execute("SELECT kind FROM about").fetchone() != (kind,):
            raise Unusable("another search changes it to another embedding model")
        blocks = _blocks(db, conversation)
        if not wanted.is_all:
            blocks = _wanted_of(db, blocks, wanted, untimed.append)
        found = nearest(blocks, vector, k)
        return [_place(db, near.key, near.number, near.score) for near in found], sum(untimed)
    finally:
        db.execute("COMMIT")


def _wanted_of(
    db: sqlite3.Connection,
    blocks: Iterator[Block],
    wanted: Wanted,
    untimed: Callable[[int], object],
) -> Iterator[Block]:
    """The texts of these blocks that are wanted; `untimed` hears how many lack only a time."""
    for block in blocks:
        row = db.execute("SELECT about FROM place WHERE block = ?", (block.key,)).fetchone()
        numbers = unpacked_numbers(block.numbers)
        of_role = {
            number: at_us
            for number, (role, at_us) in zip(numbers, parse_json(row[0]), strict=True)
            if wanted.has_role(role)
        }
        chosen = {number for number, at_us in of_role.items() if wanted.has_time(at_us)}
        untimed(sum(at is None and n not in chosen for n, at in of_role.items()))
        if some := only(block, chosen):
            yield some


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
