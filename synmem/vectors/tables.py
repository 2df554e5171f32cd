"""The tables of the built-in vector store: each function is a piece of work in a transaction."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from synmem.errors import CorruptData
from synmem.messages import parse_json
from synmem.vectors.nearest import Block, nearest, only, packed_numbers

if TYPE_CHECKING:
    from synmem.vectors.embedding import Vector

_VERSION: Final = 0x53560001  # "SV", 1

_TABLES: Final = """
CREATE TABLE text(
    id INTEGER PRIMARY KEY AUTOINCREMENT, text BLOB NOT NULL, metadata TEXT NOT NULL,
    embedded INTEGER NOT NULL);
CREATE INDEX text_to_embed ON text(id) WHERE embedded = 0;
CREATE TABLE block(id INTEGER PRIMARY KEY, numbers BLOB NOT NULL, vectors BLOB NOT NULL);
CREATE TABLE about(kind TEXT NOT NULL);
"""


class Vectors(NamedTuple):
    """The vectors of some texts, packed, and for each vector the index of its text.

    `kind` tells which model made them and how long they are; None where there are none.
    """

    kind: str | None
    owners: Sequence[int]
    data: bytes


def prepare(db: sqlite3.Connection, file: Path) -> None:
    """Make the tables in a file that is new. CorruptData where it is another program's."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == _VERSION:
        return
    if version or db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise CorruptData(f"{file} is an SQLite file, but no vector store", hint="name another")
    for statement in _TABLES.split(";"):
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {_VERSION}")


def add(db: sqlite3.Connection, rows: Sequence[tuple[bytes, str]], vectors: Vectors) -> None:
    """Texts and metadata, with their vectors where the others are of this kind too."""
    if vectors.kind is not None and _kind(db) is None:
        db.execute("INSERT INTO about VALUES (?)", (vectors.kind,))
    sql = "INSERT INTO text(text, metadata, embedded) VALUES (?, ?, 0) RETURNING id"
    embed(db, [db.execute(sql, row).fetchone()[0] for row in rows], vectors)


def embed(db: sqlite3.Connection, ids: Sequence[int], vectors: Vectors) -> None:
    """Give the texts of these ids their vectors, unless the others are of another kind by now."""
    kind, owners, data = vectors
    if kind not in (None, _kind(db)):
        return
    there = {number for (number,) in db.execute("SELECT id FROM text WHERE embedded = 0")}
    db.executemany("UPDATE text SET embedded = 1 WHERE id = ?", ((number,) for number in ids))
    block = only(Block(0, packed_numbers([ids[owner] for owner in owners]), data), there)
    if block is not None:
        row = (block.numbers, block.vectors)
        db.execute("INSERT INTO block(numbers, vectors) VALUES (?, ?)", row)


def is_whole(db: sqlite3.Connection, kind: str) -> bool:
    """Whether every text has its vectors, of this kind."""
    left = db.execute("SELECT 1 FROM text WHERE embedded = 0 LIMIT 1").fetchone()
    return _kind(db) in (kind, None) and left is None


def begin_anew(db: sqlite3.Connection, kind: str, count: int) -> list[tuple[int, str]]:
    """Some texts that have no vectors of this kind; those of another kind are forgotten."""
    if _kind(db) != kind:
        db.execute("DELETE FROM block")
        db.execute("UPDATE text SET embedded = 0")
        db.execute("UPDATE about SET kind = ?", (kind,))
    rows = db.execute("SELECT id, text FROM text WHERE embedded = 0 LIMIT ?", (count,))
    return [(number, _text(data)) for number, data in rows]


def search(
    db: sqlite3.Connection, vector: "Vector", k: int, metadata_filter: Mapping[str, Any] | None
) -> list[tuple[str, float, Any]]:
    """The k texts nearest to a vector: text, score and metadata."""
    found = []
    for near in nearest(_blocks(db, _fitting(db, metadata_filter)), vector, k):
        row = db.execute("SELECT text, metadata FROM text WHERE id = ?", (near.number,)).fetchone()
        found.append((_text(row[0]), near.score, parse_json(row[1])))
    return found


def delete(db: sqlite3.Connection, metadata_filter: Mapping[str, Any] | None) -> int:
    """Forget the texts that fit, or all; how many they were."""
    gone = _fitting(db, metadata_filter)
    if gone is None:
        db.execute("DELETE FROM block")
        return db.execute("DELETE FROM text").rowcount
    for block in list(_blocks(db, None)):
        kept = only(block, gone, keep=False)
        if kept is None:
            db.execute("DELETE FROM block WHERE id = ?", (block.key,))
        elif kept is not block:
            row = (kept.numbers, kept.vectors, block.key)
            db.execute("UPDATE block SET numbers = ?, vectors = ? WHERE id = ?", row)
    db.executemany("DELETE FROM text WHERE id = ?", ((number,) for number in gone))
    return len(gone)


def count(db: sqlite3.Connection) -> int:
    """How many texts there are."""
    return int(db.execute("SELECT count(*) FROM text").fetchone()[0])


def _kind(db: sqlite3.Connection) -> str | None:
    row = db.execute("SELECT kind FROM about").fetchone()
    return None if row is None else str(row[0])


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _fitting(db: sqlite3.Connection, wanted: Mapping[str, Any] | None) -> set[int] | None:
    """The ids of the texts whose metadata has all these values; None for every text."""
    if not wanted:
        return None
    fits = set()
    for number, text in db.execute("SELECT id, metadata FROM text"):
        metadata = parse_json(text)
        if all(key in metadata and metadata[key] == value for key, value in wanted.items()):
            fits.add(number)
    return fits


def _blocks(db: sqlite3.Connection, numbers: set[int] | None) -> Iterator[Block]:
    for row in db.execute("SELECT id, numbers, vectors FROM block ORDER BY id"):
        block: Block | None = Block(*row)
        if numbers is not None and block is not None:
            block = only(block, numbers)
        if block is not None:
            yield block
