"""Odd rows in SQLite files, under every command: see `odd.py`. For the servers: `test_odd.py`."""

import contextlib
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.cli.odd import SOUND, nothing_is_hidden

_KEYS = [
    ("id INTEGER PRIMARY KEY AUTOINCREMENT", ""),
    ("id INTEGER PRIMARY KEY AUTOINCREMENT", ""),
    ("id INTEGER PRIMARY KEY", ""),
    ("id INTEGER PRIMARY KEY", "WITHOUT ROWID"),
    ("id TEXT PRIMARY KEY", ""),
    ("id REAL PRIMARY KEY", "WITHOUT ROWID"),
    ("id BIGINT PRIMARY KEY NOT NULL", ""),
    ("id", ""),
]
_TYPES = ["TEXT", "TEXT", "TEXT", "INTEGER", "NUMERIC", "UUID", "STRING", "REAL", "BLOB", ""]
_COLLATIONS = ["", "", "", "COLLATE NOCASE", "COLLATE RTRIM", "COLLATE BINARY"]
_RARE = ["created_at", "tool_calls", "tool_call_id", "name", "parts", "extra"]
_META = "CREATE TABLE messages_meta (conversation_id {}, name {}, value {})"


def _values(dice: random.Random) -> list[Any]:
    return [
        None, "", "text", "5", "{}", "[]", "null", '{"a": 1}', '{"synmem": 5}', '[{"id": 1}]', "NaN",
        '{"synmem": {"tool_calls": 7}}', '{"synmem": {"role": []}}', "[" * 3000, "\0\x01\u202e",
        b"", b"\xff\x00", b"text", b"\x17", "CAST(x'ff61' AS TEXT)", "CAST(x'7b22ff' AS TEXT)",
        0, 5, -5, 2**63 - 1, -(2**63), 0.5, 1e300, float("inf"), "2026-01-01T00:00:00Z", "1e400",
        dice.random(), dice.randrange(2**40),
    ]  # fmt: skip


def _put(db: sqlite3.Connection, table: str, row: dict[str, Any]) -> bool:
    """Write a row; whether the table has taken it. Text that begins with CAST is SQL."""
    marks, given = [], []
    for value in row.values():
        is_sql = isinstance(value, str) and value.startswith("CAST(")
        marks.append(value if is_sql else "?")
        given += [] if is_sql else [value]
    into = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(marks)})"
    try:
        db.execute(into, given)
    except sqlite3.IntegrityError:
        return False
    return True


def _lay(path: Path, dice: random.Random) -> tuple[list[str], list[str], bool]:
    """A file with a table of its own kind, sound conversations and odd rows in it: ids by which
    these could be known, a mark in each, and whether it can be written."""
    key, tail = dice.choice(_KEYS)
    own = dice.random() < 0.6
    columns = ["conversation_id", "role", "content", "metadata", *(_RARE if own else [])]
    plain = dice.random() < 0.4  # odd values, in the table as it should be
    if plain:
        key, tail = _KEYS[0]
    made = [key]
    for name in columns:
        # What is sound must come back as it is: only of ids a number is as good as its text.
        types = _TYPES if name == "conversation_id" else ["TEXT", "", "BLOB"]
        kind = "TEXT" if plain else f"{dice.choice(types)} {dice.choice(_COLLATIONS)}"
        made.append(f"{name} {kind}")
    odd: list[str] = []
    marks: list[str] = []
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        if not plain and dice.random() < 0.2:
            db.execute("PRAGMA encoding='UTF-16le'")
        db.execute(f"CREATE TABLE messages ({', '.join(made)}) {tail}")
        if dice.random() < 0.7:
            db.execute("CREATE INDEX idx_conv_id ON messages(conversation_id)")
        if own:
            db.execute(_META.format("TEXT", "TEXT", "TEXT") if plain else _META.format("", "", ""))
        numbers = iter(range(1, 10_000))
        explicit = "AUTOINCREMENT" not in key
        for n in range(3):
            for name, texts in SOUND.items():
                row = {"conversation_id": name, "role": "user", "content": texts[n]}
                if explicit:
                    row["id"] = next(numbers)
                assert _put(db, "messages", row)
        values = _values(dice)
        for n in range(30):
            mark = f"mark-{n}-{dice.randrange(10**9)}"
            conversation = dice.choice([f"odd-{n}", dice.choice(values)])
            row = {"conversation_id": conversation, "role": "user", "content": mark}
            if explicit and ("NOT NULL" in key or dice.random() < 0.9):
                row["id"] = next(numbers)
            for name in dice.sample(columns[3:], dice.choice([0, 0, 1, len(columns) - 3])):
                row[name] = dice.choice(values)
            if dice.random() < 0.1:
                row["role"] = dice.choice(values)
            if dice.random() < 0.1:
                row["content"] = dice.choice(values)
                mark = ""
            if _put(db, "messages", row):
                odd += [str(conversation)] if isinstance(conversation, (str, int, float)) else []
                marks += [mark] if mark else []
        for n in range(12 if own else 0):
            name = dice.choice(["title", "extra", "note:summary", "note:entities", "step:x", 5])
            value = dice.choice(values)
            _put(db, "messages_meta", {
                "conversation_id": dice.choice([f"odd-{n}", *values]), "name": name, "value": value,
            })  # fmt: skip
        changed = _change(db, dice)
    usable = [each for each in dict.fromkeys(odd) if each and "\0" not in each]
    usable = [each for each in usable if "CAST" not in each and len(each) < 100]
    return usable[:4], marks, "INTEGER PRIMARY" in key and not changed


def _change(db: sqlite3.Connection, dice: random.Random) -> bool:
    """Put something in the way of the rows; whether they cannot be written now."""
    what = dice.choice(["", "", "view", "numbers", "virtual", "gone", "trigger"])
    columns = [row[1] for row in db.execute("PRAGMA table_info(messages)")]
    if what in ("view", "numbers", "virtual"):
        db.execute("ALTER TABLE messages RENAME TO log")
        told = ["id / 3 AS id" if what == "numbers" else "id", *columns[1:]]
        if what == "virtual":
            db.execute(f"CREATE VIRTUAL TABLE messages USING fts5({', '.join(columns)})")
            db.execute(f"INSERT INTO messages SELECT * FROM log ORDER BY {_order(db)}")
        else:
            db.execute(f"CREATE VIEW messages AS SELECT {', '.join(told)} FROM log")
        return True
    if what == "gone":
        db.execute("DROP TABLE IF EXISTS messages_meta")
    if what == "trigger":
        do = dice.choice(["BEFORE INSERT ON messages", "BEFORE DELETE ON messages"])
        row = "new" if "INSERT" in do else "old"
        db.execute(
            f"CREATE TRIGGER t {do} WHEN {row}.conversation_id LIKE 'odd%' "
            "BEGIN SELECT RAISE(IGNORE); END"
        )
    return False


def _order(db: sqlite3.Connection) -> str:
    """How the rows were put there: a table without rowid has no other order than its ids'."""
    try:
        db.execute("SELECT rowid FROM log LIMIT 1")
    except sqlite3.OperationalError:
        return "id"
    return "rowid"


def rows_hide_nothing(path: Path, folder: Path, seed: int) -> None:
    """One generated file, under every command."""
    odd, marks, writes = _lay(path, random.Random(seed))
    folder.mkdir()
    nothing_is_hidden(str(path), folder, odd=odd, marks=marks, writes=writes)


@pytest.mark.parametrize("seed", range(4))
def test_odd_rows_hide_nothing(tmp_path: Path, seed: int) -> None:
    rows_hide_nothing(tmp_path / "s.db", tmp_path / "copies", seed)


@pytest.mark.real
@pytest.mark.parametrize("seed", range(4, 44))
def test_many_odd_rows_hide_nothing(tmp_path: Path, seed: int) -> None:
    rows_hide_nothing(tmp_path / "s.db", tmp_path / "copies", seed)
