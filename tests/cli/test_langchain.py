"""LangChain's history in an SQLite file, through every command: read as it is, and written so that
LangChain reads the same. What the real LangChain says to it is in the tests marked `real`."""

import contextlib
import hashlib
import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from synmem import folders
from tests.cli.moved import make, run
from tests.layouts.foreign.test_langchain import CALL, USAGE, said
from tests.services.langchain import LangChain, langchain

LAYOUT = "?layout=langchain"
DDL = (
    "CREATE TABLE {} (\n\tid INTEGER NOT NULL, \n\tsession_id TEXT, \n\tmessage TEXT, "
    "\n\tPRIMARY KEY (id)\n)"
)
TALK = [
    said("system", content="be brief"),
    said("human", content="Grüße 👋🏽 \u2028", name="alice", id="m1"),
    said("ai", content="", tool_calls=[CALL], usage_metadata=USAGE, response_metadata={"m": 1}),
    said("tool", content='{"a": 1}', artifact={"k": [1, None]}),
    said("ai", content=[{"type": "text", "text": "a"}, {"type": "image_url", "url": "u"}]),
    said("chat", role="narrator"),
    said("human", content=["a", "b"], unknown={"new": 2**70}),
    said("function"),
]
Read = Callable[[Path, str], list[Any]]


def store(path: Path, talks: dict[str, Sequence[Any]], table: str = "message_store") -> Path:
    """A file as LangChain makes it."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        table = table if table.isidentifier() else f'"{table}"'
        db.execute(DDL.format(table))
        rows = [(name, json.dumps(each)) for name, talk in talks.items() for each in talk]
        db.executemany(f"INSERT INTO {table} (session_id, message) VALUES (?, ?)", rows)
        db.commit()
    return path


def stored(path: Path, session: str) -> list[Any]:
    """What LangChain would read of a session."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        sql = "SELECT message FROM message_store WHERE session_id = ? ORDER BY id"
        return [json.loads(row[0]) for row in db.execute(sql, [session])]


def done(*arguments: Any) -> str:
    """What a command that does as it is told prints."""
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def refuses_plans(own: Path, place: Any, layout: str, conversation: str = "a") -> None:
    """Where a layout must be named to be written, nothing is planned either, and nobody asked."""
    exported = own.with_suffix(".jsonl")
    exported.write_text(done("export", "-p", own))
    for command in (
        ("clear", conversation, "--dry-run", "-p", place),
        ("clear", conversation, "--yes", "-p", place),
        ("clear", "--match", "*", "--dry-run", "--json", "-p", place),
        ("migrate", own, place, "--dry-run"), ("migrate", place, own, "--move", "--dry-run"),
        ("import", exported, "--dry-run", "-p", place),
        ("summarize", conversation, "--replace", "--max-messages", "2", "--yes", "-p", place),
    ):  # fmt: skip
        result = run(*command)
        assert result.exit_code == 2, command
        assert "must be named" in result.stderr
        assert f"--layout {layout};" in result.stderr
        assert not re.search("remove |replace the", result.stderr, re.IGNORECASE)
        assert result.stdout == ""


def state(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_is_found_and_read_by_every_command_and_left_as_it_was(tmp_path: Path) -> None:
    path = store(tmp_path / "message_store.db", {"a": TALK, "b:1/ü": TALK[:2]})
    before = state(path)
    assert done("ls", "-p", path).splitlines() == ["a", "b:1/ü"]
    assert [each["messages"] for each in json.loads(done("ls", "--json", "-p", path))] == [8, 2]
    assert "Grüße" in done("show", "a", "-p", path)
    assert len(json.loads(done("show", "a", "--last", "3", "--json", "-p", path))) == 3
    assert "a\t" in done("search", "brief", "-p", path)
    assert "messages\t10" in done("stats", "-p", path)
    assert "be brief" in done("context", "a", "-p", path)
    assert done("summarize", "a", "--max-messages", "2", "-p", path)
    assert done("export", "-p", path).count("\n") == 10
    assert run("check", path).exit_code == 0
    assert "layout langchain, table message_store" in done("profile", "test", path)
    assert state(path) == before
    assert [each.name for each in tmp_path.iterdir() if each.suffix != ""] == [path.name]


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
    done("clear", "a", "--keep-last", "3", "--yes", "-p", named)
    assert read(new, "a") == talk[-3:]
    done("add", "a", "later", "-p", named)
    done("undo", "-p", named)
    assert read(new, "a")[:-1] == talk
    done("clear", "b", "--yes", "-p", named)
    assert read(new, "b") == []
    done("undo", "-p", named)
    assert read(new, "b") == read(path, "b")
    done("summarize", "a", "--replace", "--max-messages", "4", "--yes", "-p", named)
    assert read(new, "a")[-5:-1] != talk[-5:-1]
    assert read(new, "a")[-3:-1] == talk[-2:]
    done("undo", "-p", named)
    assert read(new, "a")[:-1] == talk
    assert run("check", path, new).stdout.startswith("> a")


def test_its_way_through_other_stores_and_back(tmp_path: Path) -> None:
    path = store(tmp_path / "message_store.db", {"a": TALK, "b": TALK[:2]})
    journey(tmp_path, path, stored)
    with contextlib.closing(sqlite3.connect(tmp_path / "new.db")) as db:
        assert db.execute("SELECT sql FROM sqlite_schema").fetchall() == [(DDL.format("message_store"),)]  # fmt: skip
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_what_is_written_must_be_named(tmp_path: Path) -> None:
    path = store(tmp_path / "message_store.db", {"a": TALK})
    before = state(path)
    own = make(tmp_path / "chat.db", {"b": ["x"]})
    for command in (
        ("add", "a", "x", "-p", path), ("clear", "a", "--yes", "-p", path), ("migrate", own, path),
        ("summarize", "a", "--replace", "--max-messages", "2", "--yes", "-p", path),
    ):  # fmt: skip
        result = run(*command)
        assert result.exit_code == 2, command
        assert "--layout langchain;" in result.stderr
    assert state(path) == before
    done("add", "a", "x", "-p", f"sqlite:///{path}{LAYOUT}")
    done("clear", "a", "--keep-last", "1", "--yes", "-p", path, "--layout", "langchain")
    done("undo")
    done("profile", "add", "lc", f"{path}{LAYOUT}")
    done("add", "a", "y", "-p", "lc")
    assert [each["data"]["content"] for each in stored(path, "a")[-2:]] == ["x", "y"]


def test_nothing_is_planned_in_what_must_be_named(tmp_path: Path) -> None:
    path = store(tmp_path / "message_store.db", {"a": TALK})
    before = state(path)
    own = make(tmp_path / "chat.db", {"b": ["x"]})
    refuses_plans(own, path, "langchain")
    done("clear", "b", "--yes", "-p", own)
    [backup] = json.loads(done("undo", "--list", "--json"))
    result = run("undo", backup["backup"], "--dry-run", "-p", path)
    assert result.exit_code == 2
    assert "must be named" in result.stderr
    path.chmod(0o444)
    assert done("clear", "a", "--dry-run", "-p", path, "--layout", "langchain") == "a\n"
    assert state(path) == before
    assert {each.name for each in tmp_path.glob("*.db*")} == {path.name, own.name}


def test_the_layout_of_the_destination_and_that_of_a_profile_are_options(tmp_path: Path) -> None:
    path = store(tmp_path / "message_store.db", {"a": TALK})
    new = tmp_path / "new.db"
    done("migrate", path, new, "--layout", "langchain", "--to-layout", "langchain")
    assert stored(new, "a") == stored(path, "a")
    done("profile", "add", "plain", path)
    done("clear", "a", "--yes", "-p", "plain", "--layout", "langchain")
    assert stored(path, "a") == []
    done("undo")  # which knows the layout that the profile does not name
    assert stored(path, "a") == stored(new, "a")
    result = run("ls", "-p", path, "--layout", "nope")
    assert result.exit_code == 2
    assert "no layout 'nope' on SQLite" in result.stderr
    assert run("ls", "-p", "memory:", "--layout", "langchain").exit_code == 1


def test_whose_it_is_and_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    path = store(tmp_path / "message_store.db", {"a": TALK})
    whose = "layout langchain, table message_store"
    assert whose in done("profile", "test", path)
    assert whose in run("check", path).stderr
    assert json.loads(run("check", path, "--json").stdout)["remark"] == whose
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE message_store SET message = '[' WHERE id IN (1, 4)")
        db.execute("INSERT INTO message_store (message) VALUES ('{}')")
    result = run("profile", "test", path)
    assert result.exit_code == 6
    assert "unreadable: a: row 1: its message is not JSON" in result.stderr
    assert "unreadable: a: row 4: its message is not JSON" in result.stderr
    assert "row 9" in result.stderr
    found = json.loads(run("profile", "test", path, "--json").stdout)
    assert [each[:8] for each in found["unreadable"]] == ["a: row 1", "a: row 4"]


def test_of_several_tables_one_must_be_chosen(tmp_path: Path) -> None:
    path = store(tmp_path / "two.db", {"a": TALK})
    store(path, {"b": TALK[:1]}, "Other store;")
    for command in (("ls",), ("show", "a"), ("export",), ("stats",)):
        result = run(*command, "-p", path)
        assert result.exit_code == 2
        assert "?layout=langchain&table=message_store" in result.stderr
        assert "?layout=langchain&table=Other%20store%3B" in result.stderr
    other = f"{path}?table=Other%20store%3B"
    assert done("ls", "-p", other) == "b\n"
    assert run("add", "b", "x", "-p", other).exit_code == 2
    named = f"{other}&layout=langchain"
    for place, session in ((f"{path}{LAYOUT}&table=message_store", "a"), (named, "b")):
        done("clear", session, "--yes", "-p", place)
    assert "brought back 1 conversation, 8" in run("undo", "-p", f"{path}{LAYOUT}&table=message_store").stderr  # fmt: skip
    assert "brought back 1 conversation, 1" in run("undo", "-p", named).stderr
    assert done("ls", "-p", named) == "b\n"


def test_an_empty_table_of_a_common_form_is_none_beside_conversations(tmp_path: Path) -> None:
    path = store(tmp_path / "message_store.db", {"a": TALK})
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE settings (id INTEGER PRIMARY KEY, key TEXT, value TEXT)")
        db.execute("CREATE TABLE audit (id INTEGER PRIMARY KEY, session_id TEXT, message TEXT)")
    assert done("ls", "-p", path) == "a\n"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE message_store")
    result = run("ls", "-p", path)
    assert result.exit_code == 1
    assert (
        "no conversations in a layout that synmem knows (its tables: settings, audit)"
        in result.stderr
    )
    result = run("add", "a", "x", "-p", path, "--layout", "llm")
    assert "what llm stores can only be read" in result.stderr


def test_beside_our_own_tables_it_is_another_store(tmp_path: Path) -> None:
    path = make(tmp_path / "chat.db", {"ours": ["x"]})
    assert run("ls", "-p", path).stderr == ""
    done("add", "theirs", "y", "-p", f"{path}{LAYOUT}")
    assert done("ls", "-p", path) == "ours\n"
    assert "(message_store: ?layout=langchain&table=message_store)" in run("ls", "-p", path).stderr
    assert done("ls", "-p", f"{path}{LAYOUT}") == "theirs\n"
    done("search", "x", "-p", path)
    assert done("search", "x", "-p", f"{path}{LAYOUT}") == ""


def test_a_virtual_table_that_cannot_be_opened_here_is_passed_over(tmp_path: Path) -> None:
    path = store(tmp_path / "message_store.db", {"a": TALK})
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA writable_schema = ON")
        sql = "CREATE VIRTUAL TABLE vectors USING absent(x)"
        db.execute("INSERT INTO sqlite_schema VALUES ('table', 'vectors', 'vectors', 0, ?)", [sql])
        db.commit()
    assert done("ls", "-p", path) == "a\n"


def test_a_table_that_only_looks_like_it_is_not_taken_for_it(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE mails (id INTEGER PRIMARY KEY, session_id TEXT, message TEXT)")
        db.execute("INSERT INTO mails VALUES (1, 'a', 'Dear Alice')")
        db.commit()
    result = run("ls", "-p", path)
    assert result.exit_code == 1
    assert "its tables: mails" in result.stderr
    assert "langchain" in result.stderr
    assert run("ls", "-p", f"{path}{LAYOUT}&table=mails").exit_code == 1


def test_a_record_that_cannot_be_read_hides_nothing_and_a_row_of_nobody_is_named(
    tmp_path: Path,
) -> None:
    path = store(tmp_path / "message_store.db", {"a": TALK[:2], "b": TALK[:1]})
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE message_store SET message = '{\"type\": oops' WHERE id = 1")
        db.execute("INSERT INTO message_store (message) VALUES ('{}')")
        db.execute("INSERT INTO message_store (session_id, message) VALUES (CAST(x'ff' AS TEXT), '{}')")  # fmt: skip
        db.commit()
    result = run("show", "a", "-p", path)
    assert result.exit_code == 6
    assert "row 1" in result.stderr
    assert "Grüße" in result.stdout
    result = run("ls", "-p", path)
    assert result.exit_code == 6
    assert result.stdout == "a\nb\n"
    assert "its session_id is NULL" in result.stderr
    assert "not UTF-8" in result.stderr
    assert run("migrate", path, tmp_path / "chat.db").exit_code == 6
    assert done("ls", "-p", tmp_path / "chat.db") == "b\n"


def test_what_would_not_come_back_is_not_removed(tmp_path: Path) -> None:
    path = store(tmp_path / "message_store.db", {"a": TALK})
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE message_store ADD COLUMN rating INTEGER DEFAULT 5")
    result = run("clear", "a", "--yes", "-p", f"{path}{LAYOUT}")
    assert result.exit_code != 0
    assert "rating" in result.stderr
    assert len(stored(path, "a")) == len(TALK)
    done("add", "a", "x", "-p", f"{path}{LAYOUT}")


def test_a_table_whose_rows_nothing_numbers_is_read_and_a_write_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    path = store(tmp_path / "message_store.db", {"a": TALK})
    shown = done("show", "a", "-p", path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE copied AS SELECT 1 AS id, session_id, message FROM message_store")
        db.execute("DROP TABLE message_store")
        db.commit()
    before = state(path)
    assert done("show", "a", "-p", path) == shown
    done("migrate", path, tmp_path / "chat.db")
    done("check", path, tmp_path / "chat.db")
    for command in (("add", "a", "x"), ("clear", "a", "--yes")):
        result = run(*command, "-p", f"{path}{LAYOUT}")
        assert result.exit_code != 0
        assert "id is no INTEGER PRIMARY KEY" in result.stderr
    assert state(path) == before
    assert run("undo", "--list").stdout == ""


@pytest.mark.parametrize("table", ["message_store", "hist"])
@pytest.mark.parametrize("named", ["", LAYOUT, "{}&table={}"])
def test_undo_finds_what_was_removed_however_the_file_is_named(
    tmp_path: Path, table: str, named: str
) -> None:
    path = store(tmp_path / "message_store.db", {"a": TALK}, table)
    before = done("show", "a", "--json", "-p", path)
    done("clear", "a", "--yes", "-p", f"{path}{LAYOUT}&table={table}")
    assert done("ls", "-p", path) == ""
    named = named.format(LAYOUT, table)
    assert len(json.loads(done("undo", "--list", "--json", "-p", f"{path}{named}"))) == 1
    result = run("undo", "-p", f"{path}{named}")
    assert result.exit_code == 0, result.stderr
    assert "another store" not in result.stderr
    assert done("show", "a", "--json", "-p", path) == before


def test_undo_finds_it_by_a_table_that_was_not_named_then(tmp_path: Path) -> None:
    path = store(make(tmp_path / "chat.db", {"a": ["ours"]}), {"a": TALK})
    before = stored(path, "a")
    done("clear", "a", "--yes", "-p", path, "--layout", "langchain")
    assert run("undo", "-p", f"{path}?layout=synapsekit").exit_code == 1  # nothing of that
    done("undo", "-p", f"{path}{LAYOUT}&table=message_store")
    assert stored(path, "a") == before


def test_what_is_removed_from_two_layouts_of_a_file_comes_back_to_each(tmp_path: Path) -> None:
    path = store(make(tmp_path / "chat.db", {"a": ["ours"]}), {"a": TALK})
    own, theirs = done("show", "a", "-p", path), stored(path, "a")
    first = json.loads(done("clear", "a", "--yes", "--json", "-p", path))["backup"]
    done("clear", "a", "--yes", "-p", path, "--layout", "langchain")
    done("undo", first)  # what was removed later is another store's
    assert done("show", "a", "-p", path) == own
    assert stored(path, "a") == []
    done("undo", "-p", path)
    assert stored(path, "a") == theirs
    assert done("show", "a", "-p", path) == own


def test_what_is_derived_goes_with_what_it_was_derived_from(tmp_path: Path) -> None:
    """Who reads the file names no layout; who clears it does."""
    path = store(tmp_path / "message_store.db", {"a": TALK * 8})
    done("summarize", "a", "-p", path)
    notes = folders.state_folder() / "notes"
    assert [*notes.rglob("*-summary.json")]
    done("clear", "a", "--yes", "--no-backup", "-p", f"{path}{LAYOUT}")
    assert not [*notes.rglob("*-summary.json")]


def test_two_tables_of_a_file_are_two_stores(tmp_path: Path) -> None:
    path = store(tmp_path / "two.db", {"a": TALK}, "one")
    store(path, {"b": TALK}, "other")
    one, other = (f"{path}{LAYOUT}&table={name}" for name in ("one", "other"))
    done("migrate", one, other)
    assert done("ls", "-p", other) == "a\nb\n"
    assert run("check", one, other, "--one-way").exit_code == 0
    result = run("migrate", one, f"{path}{LAYOUT}&table=ONE")
    assert result.exit_code == 2
    assert "are the same store" in result.stderr


def test_what_its_table_has_no_column_for_is_refused_by_add(tmp_path: Path) -> None:
    path = store(tmp_path / "message_store.db", {"a": TALK})
    for option, value, field in (
        ("-m", '{"a": 1}', "metadata"),
        ("--at", "2020-01-01", "created_at"),
    ):
        result = run("add", "a", "x", option, value, "-p", f"{path}{LAYOUT}")
        assert result.exit_code == 2
        assert f"holds no {field}" in result.stderr
    assert len(stored(path, "a")) == len(TALK)


def test_columns_that_are_not_langchains_are_said_to_stay(tmp_path: Path) -> None:
    path = store(tmp_path / "message_store.db", {"a": TALK})
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE message_store ADD COLUMN rating INTEGER")
    result = run("migrate", path, tmp_path / "chat.db")
    assert result.exit_code == 0
    assert "column rating" in result.stderr
    assert "column rating" in run("check", path, tmp_path / "chat.db").stderr
    assert "rating" in run("export", "-p", path).stderr
    assert "columns: rating" in run("check", path).stderr


@pytest.mark.parametrize("place", ["?layout=langchain", "?layout=synapsekit", "?table=hist"])
def test_what_is_asked_for_and_not_there_is_named(tmp_path: Path, place: str) -> None:
    path = tmp_path / "chat.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE unrelated (x)")
    result = run("ls", "-p", f"{path}{place}")
    assert result.exit_code == 1
    assert "its tables: unrelated" in result.stderr
    assert place.partition("=")[2] in result.stderr


def test_what_has_the_name_but_not_the_columns_is_said_to_look_like_it(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE Message_Store (id, session, body)")
    result = run("ls", "-p", path)
    assert result.exit_code == 1
    assert "it looks like langchain, of a version that is not known" in result.stderr


@pytest.mark.parametrize("asked", ["?layout=agno", "?table=mails"])
def test_what_lies_there_of_another_layout_is_said(tmp_path: Path, asked: str) -> None:
    path = store(tmp_path / "message_store.db", {"a": TALK})
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE mails (x)")
    result = run("ls", "-p", f"{path}{asked}")
    assert result.exit_code == 1
    assert "; message_store is langchain's" in result.stderr
    assert "not known" not in result.stderr
    assert "?layout=langchain&table=message_store" in result.stderr


def test_a_table_that_is_named_and_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    path = store(tmp_path / "message_store.db", {"a": TALK})
    result = run("ls", "-p", f"{path}{LAYOUT}&table=nope")
    assert result.exit_code != 0
    assert "no table nope (its tables: message_store)" in result.stderr


def test_what_langchain_would_refuse_is_named_and_what_does_not_travel_stays(
    tmp_path: Path,
) -> None:
    lines = [
        {"conversation_id": "good", "role": "user", "content": "x", "metadata": {"k": 1}},
        {"conversation_id": "bad", "role": "tool", "content": "no call"},
        {"conversation_id": "odd", "role": "user", "content": "x", "extra": {"other": {"k": 1}}},
    ]
    source, dest = tmp_path / "in.jsonl", f"{tmp_path / 'new.db'}{LAYOUT}"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    own = tmp_path / "chat.db"
    done("import", source, "-p", own)
    result = run("migrate", own, dest, "--move", "--yes")
    assert result.exit_code == 6
    assert "extra that is not langchain's" in result.stderr
    assert "tool_call_id" in result.stderr
    assert done("ls", "-p", own).split() == ["bad", "good", "odd"]  # not all of them went over
    assert done("ls", "-p", dest).split() == ["good", "odd"]
    receipt = tmp_path / "receipt.json"
    done("migrate", own, dest, "--match", "odd", "--receipt", receipt)
    assert run("check", own, dest, "--match", "odd").exit_code == 0


# --- the real one ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Iterator[LangChain]:
    with langchain() as running:
        yield running


@pytest.mark.real
def test_the_real_langchain_reads_the_same_after_every_step(tmp_path: Path, real: LangChain) -> None:  # fmt: skip
    path = tmp_path / "message_store.db"
    real.ask("add", path=str(path), session="a", messages=TALK)
    real.ask("add", path=str(path), session="b", messages=TALK[:2])
    assert stored(path, "a") == TALK
    journey(tmp_path, path, lambda at, name: real.ask("read", path=str(at), session=name))


@pytest.mark.real
def test_the_real_langchain_writes_beside_us(tmp_path: Path, real: LangChain) -> None:
    path = tmp_path / "new.db"
    done("add", "a", "ours", "-p", f"{path}{LAYOUT}")
    real.ask("add", path=str(path), session="a", messages=[said("human", content="theirs")])
    done("add", "a", "ours again", "-p", f"{path}{LAYOUT}")
    contents = [each["kwargs"]["content"] for each in real.ask("read", path=str(path), session="a")]
    assert contents == ["ours", "theirs", "ours again"]


@pytest.mark.real
def test_a_live_program_that_waits_for_a_second_never_fails_beside_our_reader(
    tmp_path: Path, real: LangChain
) -> None:
    path = store(tmp_path / "message_store.db", {f"s{n}": TALK for n in range(3000)})
    with contextlib.closing(sqlite3.connect(path)) as db:  # no index: each look is through them all
        db.execute(
            "INSERT INTO message_store (session_id, message) SELECT 's' || (number % 500), message "
            "FROM (SELECT id AS number, message FROM message_store), json_each('[1,2,3,4]')"
        )
        db.commit()
    answer: dict[str, Any] = {}

    def live() -> None:
        answer.update(real.ask("live", path=str(path), session="live", timeout=1, seconds=15))

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
