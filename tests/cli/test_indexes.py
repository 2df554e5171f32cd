"""Databases that hold only an index of conversations, which lie elsewhere: each is named for what
it is, and taken for no store."""

from pathlib import Path

import pytest

from tests.cli.moved import make, run
from tests.layouts.foreign.wholes import database

CLINE = "CREATE TABLE sessions (session_id TEXT, source TEXT, pid INTEGER, status TEXT, cwd TEXT, prompt TEXT, messages_path TEXT, parent_session_id TEXT)"
COPILOT = """CREATE TABLE sessions (id TEXT, cwd TEXT, repository TEXT, branch TEXT, summary TEXT, created_at TEXT);
    CREATE TABLE turns (id INTEGER PRIMARY KEY, session_id TEXT, turn_index INTEGER, user_message TEXT, assistant_response TEXT, timestamp TEXT);
    INSERT INTO sessions (id) VALUES ('a');
    INSERT INTO turns VALUES (1, 'a', 0, 'Hi', 'Hello.', 'now')"""
STATE = "CREATE TABLE ItemTable (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)"


@pytest.mark.parametrize(
    ("name", "tables", "what", "where"),
    [
        ("sessions.db", CLINE, "Cline's index of its sessions", "~/.cline/data/sessions"),
        ("session-store.db", COPILOT, "Copilot CLI's index", "~/.copilot/session-state"),
        ("state.vscdb", STATE, "the state of VS Code", "chatSessions"),
    ],
)
def test_an_index_is_named_and_where_its_conversations_lie(
    name: str, tables: str, what: str, where: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    with database(path) as db:
        db.executescript(tables)
    for command in (("ls", "-p", path), ("check", path), ("export", "-p", path)):
        done = run(*command)
        assert done.exit_code == 1
        assert f"{path}: this is {what}" in done.stderr
        assert "no conversations lie in it" in done.stderr
        assert where in done.stderr
        assert "of a version that is not known" not in done.stderr


def test_where_there_are_conversations_too_they_are_read(tmp_path: Path) -> None:
    path = make(tmp_path / "chat.db", {"a": ["x"]})
    with database(path) as db:
        db.executescript(STATE)
    assert run("ls", "-p", path).stdout == "a\n"
