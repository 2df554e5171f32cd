"""LlamaIndex's memory in an SQLite file, through every command: read as it is, and written so that
LlamaIndex reads the same. What the real LlamaIndex says to it is in the tests marked `real`."""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.moved import make, run
from tests.cli.test_langchain import done, state
from tests.layouts.foreign.test_llamaindex import CALL, IMAGE, OLDER, THINKING, said, text
from tests.services.llamaindex import LlamaIndex, llamaindex

LAYOUT = "?layout=llamaindex"
NOW = 1795244941860404730
TALK = [
    said("system", text("be brief")),
    said("user", text("Grüße 👋🏽 \u2028"), IMAGE, text("b"), name="alice"),
    said("assistant", THINKING, text("x"), CALL, k=[2**70, None]),
    said("tool", text('{"a": 1}'), name="f", tool_call_id="call_1"),
    {**said("assistant", tool_calls=[OLDER]), "blocks": []},
    said("model", text("gemini says")),
    said("chatbot", text("\ud800 and \x00")),
    said("user", text("")),
]
Read = Callable[[Path, str], list[Any]]
THEIRS = Path(__file__).parent.parent / "fixtures" / "llamaindex-sqlalchemy-sqlite" / "memory.db"


def filled(path: Path, talks: dict[str, list[Any]]) -> Path:
    """A file with these messages, as a program that ran a while ago has left them; the first ones
    are archived."""
    with contextlib.closing(sqlite3.connect(f"file:{THEIRS}?immutable=1", uri=True)) as db:
        schema = [row[0] for row in db.execute("SELECT sql FROM sqlite_schema")]
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        for statement in schema:
            db.execute(statement)
        for name, talk in talks.items():
            for n, each in enumerate(talk):
                status = "active" if n else "archived"
                row = (name, NOW + n // 2, each["role"], status, json.dumps(each))
                db.execute('INSERT INTO llama_index_memory ("key", timestamp, role, status, data) VALUES (?, ?, ?, ?, ?)', row)  # fmt: skip
    return path


def stored(path: Path, key: str) -> list[Any]:
    """What `Memory` would read, archived messages too."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        sql = 'SELECT data FROM llama_index_memory WHERE "key" = ? ORDER BY timestamp, id'
        return [json.loads(row[0]) for row in db.execute(sql, [key])]


def rows(path: Path, key: str) -> list[Any]:
    """What stands in the rows beside the messages."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        sql = 'SELECT timestamp, role, status FROM llama_index_memory WHERE "key" = ? ORDER BY timestamp, id'  # fmt: skip
        return db.execute(sql, [key]).fetchall()


def test_it_is_found_and_read_by_every_command_and_left_as_it_was(tmp_path: Path) -> None:
    path = filled(tmp_path / "memory.db", {"a": TALK, "b:1/ü": TALK[:2]})
    before = state(path)
    assert done("ls", "-p", path).splitlines() == ["a", "b:1/ü"]
    assert [each["messages"] for each in json.loads(done("ls", "--json", "-p", path))] == [8, 2]
    assert "Grüße" in done("show", "a", "-p", path)
    assert "a\t" in done("search", "brief", "-p", path)
    assert "be brief" in done("context", "a", "-p", path)
    assert done("export", "-p", path).count("\n") == 10
    assert run("check", path).exit_code == 0
    said = done("profile", "test", path)
    assert "layout llamaindex (SQLAlchemyChatStore), table llama_index_memory" in said
    assert state(path) == before


def journey(tmp_path: Path, path: Path, read: Read) -> None:
    """Through other stores and back, trimmed, deleted, replaced, and undone."""
    own, new = tmp_path / "chat.db", tmp_path / "new.db"
    named = f"{new}{LAYOUT}"
    talk = read(path, "a")
    assert len(talk) == len(TALK)
    done("migrate", path, own)
    done("check", path, own)
    done("migrate", own, named)
    done("check", path, new)
    assert read(new, "a") == talk
    assert read(new, "b") == read(path, "b")
    assert rows(new, "a") == rows(path, "a")
    done("clear", "a", "--keep-last", "3", "--yes", "-p", named)
    assert read(new, "a") == talk[-3:]
    done("add", "a", "later", "-p", named)
    done("undo", "-p", named)
    assert read(new, "a")[:-1] == talk
    assert rows(new, "a")[:-1] == rows(path, "a")
    done("clear", "b", "--yes", "-p", named)
    assert read(new, "b") == []
    done("undo", "-p", named)
    assert rows(new, "b") == rows(path, "b")
    done("summarize", "a", "--replace", "--max-messages", "4", "--yes", "-p", named)
    assert read(new, "a")[-5:-1] != talk[-5:-1]
    done("undo", "-p", named)
    assert read(new, "a")[:-1] == talk
    assert rows(new, "a")[:-1] == rows(path, "a")


def test_its_way_through_other_stores_and_back(tmp_path: Path) -> None:
    path = filled(tmp_path / "memory.db", {"a": TALK, "b": TALK[:2]})
    journey(tmp_path, path, stored)


def test_a_file_that_is_made_has_the_table_of_the_memory_and_nothing_else(tmp_path: Path) -> None:
    done("add", "a", "x", "-p", f"{tmp_path / 'new.db'}{LAYOUT}")
    schemas = []
    for path in (f"file:{THEIRS}?immutable=1", f"file:{tmp_path / 'new.db'}"):
        with contextlib.closing(sqlite3.connect(path, uri=True)) as db:
            schemas.append(sorted(db.execute("SELECT name, sql FROM sqlite_schema")))
    assert schemas[0] == schemas[1]


def test_what_is_written_must_be_named_and_a_chat_store_is_not_written(tmp_path: Path) -> None:
    path = filled(tmp_path / "memory.db", {"a": TALK})
    own = make(tmp_path / "chat.db", {"b": ["x"]})
    before = state(path)
    for command in (("add", "a", "x", "-p", path), ("migrate", own, path)):
        result = run(*command)
        assert result.exit_code == 2, command
        assert "--layout llamaindex;" in result.stderr
    assert state(path) == before


# --- the real one ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Iterator[LlamaIndex]:
    with llamaindex("sqlite") as running:
        yield running


def where(path: Path) -> dict[str, Any]:
    return {
        "kind": "sqlalchemy", "table_name": "llama_index_memory",
        "async_database_uri": f"sqlite+aiosqlite:///{path}",
    }  # fmt: skip


@pytest.mark.real
def test_the_real_llamaindex_reads_the_same_after_every_step(tmp_path: Path, real: LlamaIndex) -> None:  # fmt: skip
    path = tmp_path / "memory.db"
    for key, talk in (("a", TALK), ("b", TALK[:2])):
        real.ask("call", method="add_messages", given={"key": key, "messages": talk}, **where(path))
    real.ask("call", method="archive_oldest_messages", given={"key": "a", "n": 2}, **where(path))
    assert stored(path, "a") == TALK

    def read(at: Path, key: str) -> list[Any]:
        given = {"key": key, "status": None}
        found: list[Any] = real.ask("call", method="get_messages", given=given, **where(at))
        return found

    journey(tmp_path, path, read)


@pytest.mark.real
def test_the_real_llamaindex_writes_beside_us(tmp_path: Path, real: LlamaIndex) -> None:
    path = tmp_path / "new.db"
    done("add", "a", "ours", "-p", f"{path}{LAYOUT}")
    given = {"key": "a", "message": said("user", text("theirs"))}
    real.ask("call", method="add_message", given=given, **where(path))
    done("add", "a", "ours again", "-p", f"{path}{LAYOUT}")
    found = real.ask("call", method="get_messages", given={"key": "a"}, **where(path))
    assert [each["blocks"][0]["text"] for each in found] == ["ours", "theirs", "ours again"]
