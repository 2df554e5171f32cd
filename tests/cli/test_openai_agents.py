"""OpenAI Agents' sessions in an SQLite file, through every command: read as they are, and written so
that each kind of session reads the same. What the real SDK says to it is in the tests marked
`real`."""

import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synmem.layouts.foreign.openai_agents_items import message_of
from tests.backends.sqlite.test_openai_agents import alchemy
from tests.cli.moved import make, run
from tests.cli.test_langchain import done
from tests.layouts.foreign.test_openai_agents_items import ARGUMENTS, IMAGE, answer, output
from tests.layouts.foreign.test_openai_agents_items import said as text_of
from tests.services.openai_agents import Agents, agents

LAYOUT = "?layout=openai_agents"
TALK: list[Any] = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": [{"type": "input_text", "text": "Grüße 👋🏽 \u2028"}, IMAGE]},
    {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "hm"}]},
    {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": ARGUMENTS, "id": "fc"},
    output('{"a": 1}'),
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "x"}},
    answer(text_of("a", logprobs=[]), text_of("b")),
    {"role": "user", "content": "\ud800 and \x00", "new": [2**70, None]},
]
Read = Callable[[Path, str], list[Any]]
FIRST = "2026-11-21 07:08:56"


def filled(path: Path, talks: dict[str, list[Any]]) -> Path:
    """A file with these items, as a program that ran a while ago has left them."""
    items = path.with_suffix(".jsonl")
    done("add", "a", "x", "-p", f"{path}{LAYOUT}")  # makes the tables
    done("clear", "a", "--yes", "--no-backup", "-p", f"{path}{LAYOUT}")
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        for name, talk in talks.items():
            db.execute("INSERT INTO agent_sessions VALUES (?, ?, ?)", (name, FIRST, FIRST))
            rows = [(name, json.dumps(item), FIRST) for item in talk]
            db.executemany("INSERT INTO agent_messages (session_id, message_data, created_at) VALUES (?, ?, ?)", rows)  # fmt: skip
    items.unlink(missing_ok=True)
    return path


def stored(path: Path, session: str) -> list[Any]:
    """What a session would read, of either kind."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        (kind,) = db.execute("SELECT type FROM pragma_table_info('agent_messages') WHERE name = 'session_id'").fetchone()  # fmt: skip
        order = "created_at, id" if kind == "VARCHAR" else "id"
        sql = f"SELECT message_data FROM agent_messages WHERE session_id = ? ORDER BY {order}"
        return [json.loads(row[0]) for row in db.execute(sql, [session])]


def sessions(path: Path) -> list[str]:
    """The sessions that have a row of their own."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute("SELECT session_id FROM agent_sessions ORDER BY 1")]


def journey(tmp_path: Path, path: Path, new: Path, read: Read) -> None:
    """Through other stores and back, trimmed, deleted, replaced, and undone."""
    own, named = tmp_path / "chat.db", f"{new}{LAYOUT}"
    talk = read(path, "a")
    assert talk == TALK
    done("migrate", path, own)
    done("check", path, own)
    done("migrate", own, named)
    done("check", path, new)
    assert read(new, "a") == talk
    assert read(new, "b") == read(path, "b")
    assert sessions(new) == ["a", "b"]
    done("clear", "a", "--keep-last", "3", "--yes", "-p", named)
    assert read(new, "a") == talk[-3:]
    done("add", "a", "later", "-p", named)
    done("undo", "-p", named)
    assert read(new, "a") == [*talk, {"role": "user", "content": "later"}]
    done("clear", "b", "--yes", "-p", named)
    assert read(new, "b") == []
    assert sessions(new) == ["a"]
    done("undo", "-p", named)
    assert read(new, "b") == read(path, "b")
    assert sessions(new) == ["a", "b"]
    done("summarize", "a", "--replace", "--max-messages", "4", "--yes", "-p", named)
    assert read(new, "a")[-5:-1] != talk[-5:-1]
    assert read(new, "a")[-3:-1] == talk[-2:]
    done("undo", "-p", named)
    assert read(new, "a")[:-1] == talk
    assert run("check", path, new).stdout.startswith("> a")


@pytest.mark.parametrize("kind", ["sqlite", "sqlalchemy"])
def test_its_way_through_other_stores_and_back(tmp_path: Path, kind: str) -> None:
    path = filled(tmp_path / "sessions.db", {"a": TALK, "b": TALK[:2]})
    new = tmp_path / "new.db"
    if kind == "sqlalchemy":
        alchemy(new)
    journey(tmp_path, path, new, stored)


def test_a_file_that_is_made_has_the_tables_of_the_session_and_nothing_else(tmp_path: Path) -> None:
    theirs = Path(__file__).parent.parent / "fixtures" / "openai-agents-sqlite" / "sessions.db"
    done("add", "a", "x", "-p", f"{tmp_path / 'new.db'}{LAYOUT}")
    schemas = []
    for path in (f"file:{theirs}?immutable=1", f"file:{tmp_path / 'new.db'}"):
        with contextlib.closing(sqlite3.connect(path, uri=True)) as db:
            schemas.append(sorted(db.execute("SELECT name, sql FROM sqlite_schema")))
    assert schemas[0] == schemas[1]


@pytest.mark.parametrize("table", ["hist", "my items", 'a"b'])
def test_the_items_may_lie_in_a_table_of_any_name(tmp_path: Path, table: str) -> None:
    from urllib.parse import quote

    place = f"{tmp_path / 'new.db'}{LAYOUT}&table={quote(table)}"
    done("add", "a", "x", "-p", place)
    done("add", "a", "y", "-p", place)
    assert done("show", "a", "-p", tmp_path / "new.db") == "User: x\nUser: y\n"
    assert f"layout openai_agents (SQLiteSession), table {table}" in done(
        "profile", "test", tmp_path / "new.db"
    )
    assert sessions(tmp_path / "new.db") == ["a"]


def test_the_row_of_a_session_is_found_where_the_items_refer_to_it(tmp_path: Path) -> None:
    path = filled(tmp_path / "sessions.db", {"a": TALK})
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE agent_sessions RENAME TO talks")
    done("add", "b", "x", "-p", f"{path}{LAYOUT}")
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT session_id FROM talks").fetchall() == [("a",), ("b",)]


def test_where_there_are_no_rows_of_sessions_nothing_is_written(tmp_path: Path) -> None:
    path = filled(tmp_path / "sessions.db", {"a": TALK})
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE agent_sessions")
    result = run("add", "a", "x", "-p", f"{path}{LAYOUT}")
    assert result.exit_code == 1
    assert "no table agent_sessions, which has a row for each conversation" in result.stderr
    assert stored(path, "a") == TALK


def test_a_session_is_touched_by_what_is_written_and_its_row_stays_as_long_as_it_has_any(
    tmp_path: Path,
) -> None:
    path = filled(tmp_path / "sessions.db", {"a": TALK, "b": TALK[:1]})
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO agent_sessions (session_id) VALUES ('empty')")
    done("add", "a", "x", "-p", f"{path}{LAYOUT}")
    done("clear", "a", "--keep-last", "2", "--yes", "-p", f"{path}{LAYOUT}")
    run("clear", "empty", "--yes", "-p", f"{path}{LAYOUT}")
    with contextlib.closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT session_id, created_at, updated_at > created_at FROM agent_sessions").fetchall()  # fmt: skip
    assert rows[:2] == [("a", FIRST, 1), ("b", FIRST, 0)]
    assert rows[2][0] == "empty"


def test_times_order_a_session_of_sqlalchemy_and_what_does_not_fit_is_named(tmp_path: Path) -> None:
    path, place = alchemy(tmp_path / "new.db"), f"{tmp_path / 'new.db'}{LAYOUT}"
    lines = [
        {"conversation_id": "late", "role": "user", "content": "1", "created_at": "2026-01-02T00:00:00Z"},
        {"conversation_id": "late", "role": "user", "content": "2", "created_at": "2026-01-01T00:00:00Z"},
        {"conversation_id": "future", "role": "user", "content": "1", "created_at": "2999-01-01T00:00:00Z"},
        {"conversation_id": "good", "role": "system", "content": "0"},
        {"conversation_id": "good", "role": "user", "content": "1", "created_at": "2026-01-02T00:00:00.5Z"},
        {"conversation_id": "good", "role": "user", "content": "2"},
    ]  # fmt: skip
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = run("import", source, "-p", place)
    assert result.exit_code == 6
    assert "late: refused: message 2: by its time, it was said before the message in front of it" in result.stderr  # fmt: skip
    assert "future: refused: message 1: it is of a time to come" in result.stderr
    assert done("ls", "-p", path) == "good\nlate\n"  # of which the first message fits
    assert [item["content"] for item in stored(path, "good")] == ["0", "1", "2"]
    with contextlib.closing(sqlite3.connect(path)) as db:
        times = {row[0] for row in db.execute("SELECT created_at FROM agent_messages WHERE session_id = 'good'")}  # fmt: skip
    assert times == {"2026-01-02 00:00:00"}  # what the next call brings may be as old
    own = tmp_path / "chat.db"
    done("import", source, "-p", own)
    result = run("migrate", own, place, "--match", "good")
    assert result.exit_code == 0, result.stderr
    assert "openai_agents's, created_at" in result.stderr  # not compared
    result = run("migrate", own, place, "--match", "good", "--move", "--yes")
    assert "its created_at does not travel" in result.stderr
    assert "good" in done("ls", "-p", own)


def test_what_would_not_come_back_in_its_place_is_not_removed(tmp_path: Path) -> None:
    path = alchemy(tmp_path / "new.db")
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        for n, at in enumerate(
            ("2026-01-01T00:00:00", "2026-01-01T00:00:00", "2999-01-01 00:00:00")
        ):
            row = (f"c{min(n, 1)}", json.dumps({"role": "user", "content": "x"}), at)
            db.execute("INSERT INTO agent_messages (session_id, message_data, created_at) VALUES (?, ?, ?)", row)  # fmt: skip
    result = run("clear", "c1", "--yes", "-p", f"{path}{LAYOUT}")
    assert result.exit_code != 0
    assert "of a time to come" in result.stderr
    assert len(stored(path, "c1")) == 2
    done("clear", "c0", "--yes", "-p", f"{path}{LAYOUT}")
    done("undo", "-p", f"{path}{LAYOUT}")
    assert len(stored(path, "c0")) == 1


def test_a_text_and_calls_at_once_are_refused_by_name(tmp_path: Path) -> None:
    own, new = tmp_path / "chat.db", tmp_path / "new.db"
    call = {"id": "1", "name": "f", "arguments": {}}
    lines = [
        {"conversation_id": "both", "role": "assistant", "content": "x", "tool_calls": [call]},
        {"conversation_id": "call", "role": "assistant", "content": "", "tool_calls": [call]},
        {"conversation_id": "role", "role": "narrator", "content": "x"},
    ]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done("import", source, "-p", own)
    result = run("migrate", own, f"{new}{LAYOUT}")
    assert result.exit_code == 6
    assert "keeps text and calls as items of their own: its reader would split" in result.stderr
    assert "no role 'narrator'" in result.stderr
    assert done("ls", "-p", new) == "call\n"


def test_what_is_encrypted_is_named_and_counted_by_every_command(tmp_path: Path) -> None:
    envelope = {"__enc__": 1, "v": 1, "kid": "hkdf-v1", "payload": "gAAAA"}
    path = filled(tmp_path / "sessions.db", {"a": [envelope, *TALK[:1]], "b": TALK[:1]})
    for command in (("show", "a", "-p", path), ("export", "-p", path), ("profile", "test", path)):
        result = run(*command)
        assert result.exit_code == 6
        assert "only its key opens it" in result.stderr
    assert run("migrate", path, tmp_path / "chat.db").exit_code == 6
    assert done("ls", "-p", tmp_path / "chat.db") == "b\n"


# --- the real one ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Iterator[Agents]:
    with agents() as running:
        yield running


def place_of(kind: str, path: Path) -> str:
    """What opens a session of that kind."""
    return f"sqlite+aiosqlite:///{path}" if kind == "sqlalchemy" else str(path)


@pytest.mark.real
@pytest.mark.parametrize("kind", ["sqlite", "async", "sqlalchemy"])
def test_the_real_sessions_read_the_same_after_every_step(
    tmp_path: Path, real: Agents, kind: str
) -> None:
    def read(at: Path, name: str) -> Any:
        return real.ask("read", kind=kind, place=place_of(kind, at), name=name)

    path, new = tmp_path / "sessions.db", tmp_path / "new.db"
    for name, items in (("a", TALK), ("b", TALK[:2])):
        real.ask("add", kind=kind, place=place_of(kind, path), name=name, items=items)
    if kind == "sqlalchemy":
        real.ask("read", kind=kind, place=place_of(kind, new), name="a")  # makes its tables
    journey(tmp_path, path, new, read)
    real.ask("add", kind=kind, place=place_of(kind, new), name="a", items=TALK[:1])
    done("add", "a", "ours again", "-p", f"{new}{LAYOUT}")
    last = {"role": "user", "content": "ours again"}
    assert read(new, "a")[-2:] == [TALK[0], last]
    assert real.ask("pop", kind=kind, place=place_of(kind, new), name="a") == last


@pytest.mark.real
def test_the_real_branches_and_what_the_real_sdk_encrypts(tmp_path: Path, real: Agents) -> None:
    path = tmp_path / "advanced.db"
    talk = [
        {"role": "user", "content": "1"},
        answer(text_of("2")),
        {"role": "user", "content": "3"},
    ]
    real.ask("add", kind="advanced", place=str(path), name="a", items=talk)
    real.ask("branch", place=str(path), name="a", turn=2, items=[{"role": "user", "content": "4"}])
    assert real.ask("read", kind="advanced", place=str(path), name="a") == talk
    lines = [json.loads(line) for line in done("export", "-p", path, "--branches").split("\n")[:-1]]
    found: dict[str, list[str]] = {}
    for line in lines:
        found.setdefault(line["conversation_id"], []).append(line["content"])
    assert found == {"a": ["1", "2", "3"], "a#other 2": ["1", "2", "4"]}
    assert "left out: another branch" in run("export", "-p", path).stderr
    path = tmp_path / "encrypted.db"
    real.ask("add", kind="encrypted", place=str(path), name="a", items=talk)
    result = run("show", "a", "-p", path)
    assert result.exit_code == 6
    assert result.stderr.count("only its key opens it") == 3


@pytest.mark.real
@pytest.mark.parametrize("kind", ["sqlite", "sqlalchemy"])
def test_a_live_program_never_fails_beside_our_reader(
    tmp_path: Path, real: Agents, kind: str
) -> None:
    path = tmp_path / "sessions.db"
    real.ask("add", kind=kind, place=place_of(kind, path), name="first", items=TALK)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        rows = [(f"s{n % 3000}", json.dumps(TALK[0]), FIRST) for n in range(30_000)]
        db.executemany("INSERT INTO agent_messages (session_id, message_data, created_at) VALUES (?, ?, ?)", rows)  # fmt: skip
    answer: dict[str, Any] = {}

    def live() -> None:
        where = {"kind": kind, "place": place_of(kind, path), "name": "live"}
        answer.update(real.ask("live", seconds=8, **where))

    thread = threading.Thread(target=live)
    thread.start()
    count = 0
    while thread.is_alive():
        done("export", "-q", "-o", tmp_path / f"{count}.jsonl", "-p", path)
        done("ls", "--json", "-p", path)
        count += 1
    assert answer["errors"] == []
    assert answer["count"] > 5
    assert count > 1


def test_an_item_is_a_message_as_the_commands_show_it(tmp_path: Path) -> None:
    path = filled(tmp_path / "sessions.db", {"a": TALK})
    lines = [json.loads(line) for line in done("export", "-p", path).split("\n")[:-1]]
    assert [line["role"] for line in lines] == [message_of(item).role for item in TALK]
    assert {line["created_at"][:19] for line in lines} == {"2026-11-21T07:08:56"}
    own = make(tmp_path / "chat.db", {"x": ["y"]})
    done("migrate", own, f"{path}{LAYOUT}")
    assert stored(path, "x") == [{"content": "y", "role": "user"}]
