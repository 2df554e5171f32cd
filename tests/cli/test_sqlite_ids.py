"""Ids and rows that SQLite keeps otherwise than we do, at the command line."""

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.cli.moved import run

TABLE = (
    "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id {}, "
    "role TEXT NOT NULL, content TEXT NOT NULL, metadata TEXT)"
)


def filled(path: Path, column: str, *rows: tuple[Any, str], more: str = "") -> Path:
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(TABLE.format(column))
        db.execute("CREATE INDEX idx_conv_id ON messages(conversation_id)")
        for conversation, content in rows:
            text = "CAST(? AS TEXT)" if conversation == b"\xff" else "?"
            db.execute(
                f"INSERT INTO messages (conversation_id, role, content) VALUES ({text}, 'user', ?)",
                [conversation, content],
            )
        if more:
            db.execute(more)
    return path


@pytest.mark.parametrize("column", ["INTEGER", "NUMERIC", "UUID", "STRING", "", "BLOB"])
def test_a_number_is_an_id_in_every_command(tmp_path: Path, column: str) -> None:
    path = filled(
        tmp_path / "s.db", column, (1001, "hello there"), ("bob", "hello bob"), (1001, "again")
    )
    at = ["-p", path]
    assert run("ls", *at).stdout == "1001\nbob\n"
    exported = [json.loads(line) for line in run("export", *at).stdout.splitlines()]
    assert [line["content"] for line in exported] == ["hello there", "again", "hello bob"]
    assert "2 conversations, 3 messages: sound" in run("check", path).stderr
    assert run("show", "1001", *at).stdout == "User: hello there\nUser: again\n"
    assert "1001\t1\tuser\thello there" in run("search", "hello", *at).stdout
    assert json.loads(run("stats", "--json", *at).stdout)["messages"] == 3
    assert "hello there" in run("context", "1001", *at).stdout
    assert run("summarize", "1001", "--method", "extractive", *at).exit_code == 0
    dest = tmp_path / "dest.db"
    assert run("migrate", path, dest).exit_code == 0
    assert run("check", path, dest).exit_code == 0
    assert run("add", "1001", "more", *at).exit_code == 0
    whole = run("show", "1001", *at).stdout
    assert whole == "User: hello there\nUser: again\nUser: more\n"
    cleared = run("clear", "1001", "--yes", *at)
    if column in ("", "BLOB"):  # it would come back as a text
        assert (cleared.exit_code, run("show", "1001", *at).stdout) == (6, whole)
        assert "would take it back as text" in cleared.stderr
        assert run("clear", "1001", "--yes", "--no-backup", *at).exit_code == 0
        assert run("ls", *at).stdout == "bob\n"
        return
    assert cleared.exit_code == 0
    assert run("ls", *at).stdout == "bob\n"
    assert run("undo").exit_code == 0
    assert run("show", "1001", *at).stdout == whole
    with contextlib.closing(sqlite3.connect(path)) as db:
        kinds = db.execute("SELECT DISTINCT typeof(conversation_id) FROM messages").fetchall()
    assert sorted(kinds) == [("integer",), ("text",)]


@pytest.mark.parametrize("collation", ["NOCASE", "RTRIM"])
def test_a_collation_merges_no_conversations(tmp_path: Path, collation: str) -> None:
    names = ["abc", "ABC", "abc "]
    rows = [(name, f"{name!r} {n}") for n in range(2) for name in names]
    path = filled(tmp_path / "s.db", f"TEXT NOT NULL COLLATE {collation}", *rows)
    at = ["-p", path]
    assert run("ls", *at).stdout.splitlines() == sorted(names)
    dest = tmp_path / "dest.db"
    assert run("migrate", path, dest).exit_code == 0
    assert run("check", path, dest).exit_code == 0
    for place in (path, dest):
        for name in names:
            shown = run("show", "-p", place, "--", name).stdout
            assert shown == "".join(f"User: {name!r} {n}\n" for n in range(2))
    assert run("clear", "ABC", "--yes", *at).exit_code == 0
    assert run("ls", *at).stdout.splitlines() == ["abc", "abc "]
    assert run("undo").exit_code == 0
    assert run("check", path, dest).exit_code == 0


@pytest.mark.parametrize(
    ("column", "stray", "why"),
    [
        ("TEXT", b"\xff", "not UTF-8"),
        ("TEXT", b"\0\1", "a BLOB"),
        ("TEXT", None, "NULL"),
        ("TEXT", "", "empty"),
        ("", 1001, "a number, and the text '1001' another one's"),
        ("INTEGER", b"1001", "a BLOB"),
    ],
)
def test_what_is_no_id_is_named_wherever_all_is_asked_for(
    tmp_path: Path, column: str, stray: Any, why: str
) -> None:
    path = filled(tmp_path / "s.db", column, ("1001", "hello"), (stray, "lost"), ("bob", "hello"))
    at = ["-p", path]
    dest = tmp_path / "dest.db"
    for arguments in (
        ["ls", *at], ["ls", "--json", *at], ["stats", *at], ["search", "hello", *at],
        ["export", *at], ["export", "-f", "csv", *at], ["migrate", path, dest, "--dry-run"],
        ["migrate", path, dest], ["clear", "--all", "--dry-run", *at],
    ):  # fmt: skip
        result = run(*arguments)
        assert result.exit_code == 6, (arguments, result.output)
        assert f"row 2: stray: its conversation_id is {why}" in result.stderr, arguments
    checked = run("check", path)
    assert checked.exit_code == 6
    assert why in checked.output
    assert run("ls", "--match", "*", *at).stdout == "1001\nbob\n"
    # What has no id is like none: who chooses by ids is told nothing of it, but by `check`.
    for arguments in (
        ["ls", *at], ["export", *at], ["migrate", path, tmp_path / "some.db"], ["check", path, dest],
        ["clear", "--dry-run", *at],
    ):  # fmt: skip
        result = run(*arguments, "--match", "*")
        assert result.exit_code == 0, (arguments, result.output)
        assert "stray" not in result.stderr, arguments
    assert run("check", path, "--match", "*").exit_code == 6
    assert run("ls", "-p", dest).stdout == "1001\nbob\n"
    assert run("show", "1001", *at).stdout == "User: hello\n"


def test_add_counts_what_was_written(tmp_path: Path) -> None:
    path = filled(
        tmp_path / "s.db", "TEXT", ("a", "x"),
        more="CREATE TRIGGER t BEFORE INSERT ON messages WHEN new.content LIKE '%bad%' "
        "BEGIN SELECT RAISE(IGNORE); END",
    )  # fmt: skip
    result = run("add", "a", "bad", "-p", path)
    assert result.exit_code != 0
    assert "a trigger of its table kept 1 of them out" in result.stderr
    lines = "".join(
        json.dumps({"conversation_id": name, "role": "user", "content": text}) + "\n"
        for name, text in [("b", "good"), ("b", "bad"), ("b", "better"), ("c", "good")]
    )
    result = run("import", "-p", path, stdin=lines.encode())
    assert result.exit_code == 6
    assert "b" in result.stderr
    assert run("export", "-p", path, "c").exit_code == 0
    assert "bad" not in run("export", "-p", path).stdout


def test_ids_that_are_not_unique_give_each_row_once(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE log (id, conversation_id, role, content, metadata)")
        db.executemany(
            "INSERT INTO log VALUES (7, 'c', 'user', ?, NULL)", [(f"{n}",) for n in range(1200)]
        )
        db.execute("CREATE VIEW messages AS SELECT * FROM log")
    exported = run("export", "-p", path)
    assert exported.exit_code == 0
    assert len(exported.stdout.splitlines()) == 1200
    dest = tmp_path / "dest.db"
    assert run("migrate", path, dest).exit_code == 0
    assert len(run("export", "-p", dest).stdout.splitlines()) == 1200


@pytest.mark.parametrize("value", [b"\x17a", 5])
def test_what_is_no_text_where_text_belongs_is_named(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "s.db"
    assert run("add", "a", "sound", "-p", path).exit_code == 0
    assert run("add", "a", "odd", "-p", path).exit_code == 0
    for column in ("name", "tool_call_id", "metadata", "created_at", "parts", "tool_calls"):
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.execute(f"ALTER TABLE messages RENAME COLUMN {column} TO was")
            db.execute(f"ALTER TABLE messages ADD COLUMN {column}")
            db.execute(f"UPDATE messages SET {column} = ? WHERE content = 'odd'", [value])
        for form in ("json", "csv", "markdown", "jsonl"):
            exported = run("export", "-f", form, "-p", path)
            assert exported.exit_code == 6, (column, exported.output)
            assert f"message 2 cannot be read: row 2: {column} is " in exported.stderr
            assert "sound" in exported.stdout
        assert run("check", path).exit_code == 6
        assert run("context", "a", "-p", path).exit_code == 6
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.execute(f"ALTER TABLE messages DROP COLUMN {column}")
            db.execute(f"ALTER TABLE messages RENAME COLUMN was TO {column}")


@pytest.mark.parametrize("column", ["INTEGER", "", "TEXT COLLATE NOCASE"])
def test_search_notices_what_is_edited_in_the_middle(tmp_path: Path, column: str) -> None:
    rows = [(name, f"hello {n}") for n in range(3) for name in (1001, "bob", "Bob")]
    path = filled(tmp_path / "s.db", column, *rows)
    at = ["-k", "50", "-p", path]
    assert len(run("search", "hello", *at).stdout.splitlines()) == 9
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE messages SET content = 'zebra' WHERE id IN (1, 5)")
    found = run("search", "zebra", *at).stdout.splitlines()
    assert sorted(line.split("\t")[:2] for line in found) == [["1001", "1"], ["bob", "2"]]
    assert len(run("search", "hello", *at).stdout.splitlines()) == 7
