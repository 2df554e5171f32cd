"""What other frameworks keep by whole conversations, through every command: read as it is, copied
with all that it has, never written; the branches of its trees; what of it cannot be read."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.moved import make, run
from tests.cli.test_langchain import done, state
from tests.layouts.foreign.wholes import FIXTURES, database
from tests.layouts.test_fixtures import ALL, expected_of

PLACES = {
    "agno-sqlite-v2": "agno.db",
    "agno-sqlite-v3": "agno.db",
    "anythingllm": "anythingllm.db",
    "crush": "crush.db",
    "cursor-vscdb": "state.vscdb",
    "google-adk-sqlalchemy": "sessions.db",
    "google-adk-sqlite": "session.db",
    "goose": "sessions.db",
    "langgraph-sqlite": "checkpoints.sqlite",
    "llm-logs-legacy": "logs.db",
    "llm-logs-mixed": "logs.db",
    "llm-logs-new": "logs.db",
    "open-webui": "webui.db",
    "opencode-sqlite": "opencode.db",
    "zed-threads": "threads.db",
}
WEBUI = "open-webui"
BRANCH = "87c88bfe-2cb0-4852-8d38-df8b3fbee10a"


def copied(name: str, tmp_path: Path) -> Path:
    """That fixture, to be changed."""
    return Path(shutil.copy(FIXTURES / name / PLACES[name], tmp_path / PLACES[name]))


def listed(path: Path, *more: str) -> Mapping[str, int]:
    """How many messages each conversation has; where a listing does not tell it, as are shown."""
    found = {
        each["conversation_id"]: each["messages"]
        for each in json.loads(done("ls", "--json", "-p", path, *more))
    }
    for id_ in [id_ for id_, count in found.items() if count is None]:
        found[id_] = len(json.loads(run("show", id_, "--json", "-p", path).stdout))
    return found


@pytest.mark.parametrize("name", PLACES)
def test_it_is_found_and_read_by_every_command_and_left_as_it_was(
    name: str, tmp_path: Path
) -> None:
    path = copied(name, tmp_path)
    before = state(path)
    found = listed(path)
    fixture = next(each for each in ALL if each.name == name and each.backend == "sqlite")
    expected = expected_of(fixture)
    assert sum(found.values()) == sum(len(each["messages"]) for each in expected)
    for conversation, count in found.items():
        assert len(json.loads(done("show", conversation, "--json", "-p", path))) == count
    assert done("search", "Grüße", "-p", path)
    assert f"messages\t{sum(found.values())}" in done("stats", "-p", path)
    assert f"conversations\t{len(found)}" in done("stats", "-p", path)
    assert done("export", "-p", path)
    longest = max(found, key=found.__getitem__)
    assert done("summarize", longest, "--max-messages", "2", "-p", path)
    assert f"{name.replace('-', '_')[:3]}" in done("profile", "test", path)
    assert run("check", path).exit_code == 0
    assert state(path) == before
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == [path.name]


@pytest.mark.parametrize(
    ("name", "table", "id_", "of"),
    [
        ("agno-sqlite-v3", "agno_sessions", "session_id", "agno_runs of session_id"),
        ("crush", "sessions", "id", "messages of session_id"),
        ("goose", "sessions", "id", "messages of session_id"),
        ("google-adk-sqlalchemy", "sessions", "id", "events of session"),
        ("google-adk-sqlite", "sessions", "id", "events of session"),
        ("open-webui", "chat", "id", "chat_message of chat_id"),
        ("opencode-sqlite", "session", "id", "message of session_id"),
    ],
)
def test_what_is_left_of_a_conversation_that_is_gone_is_named(
    name: str, table: str, id_: str, of: str, tmp_path: Path
) -> None:
    path = copied(name, tmp_path)
    before = listed(path)
    with database(path) as db:
        ((gone,),) = db.execute(f"SELECT {id_} FROM {table} ORDER BY {id_} LIMIT 1")
        db.execute(f"DELETE FROM {table} WHERE {id_} = ?", (gone,))
        db.commit()
    for command in (("ls", "-p", path, "--json"), ("check", path), ("export", "-p", path)):
        result: Any = run(*command)
        assert result.exit_code == 6, result.stderr
        assert f"stray: there is no such row in {table} (" in result.stderr
        assert of in result.stderr
        assert gone in result.stderr
    assert len(before) == len(json.loads(run("ls", "-p", path, "--json").stdout)) + 1
    assert run("migrate", path, tmp_path / "ours.db").exit_code == 6


@pytest.mark.parametrize("name", PLACES)
def test_it_is_copied_with_all_that_it_has_and_not_written(name: str, tmp_path: Path) -> None:
    path, own = copied(name, tmp_path), tmp_path / "own.db"
    done("migrate", path, own)
    done("check", path, own)
    assert json.loads(done("export", "--json", "-p", own)) == json.loads(
        done("export", "--json", "-p", path)
    )
    before, some = state(path), next(iter(listed(path)))
    other = make(tmp_path / "chat.db", {"b": ["x"]})
    for command in (
        ("add", "a", "x", "-p", path), ("clear", some, "--yes", "-p", path), ("migrate", other, path),
    ):  # fmt: skip
        result = run(*command)
        assert result.exit_code == 1
        assert "can be read, not written" in result.stderr
        assert "--no-backup" not in result.stderr
    assert state(path) == before


def test_a_branch_that_has_the_id_of_another_conversation_is_named(tmp_path: Path) -> None:
    path = copied(WEBUI, tmp_path)
    with database(path) as db:
        ((other,),) = db.execute("SELECT id FROM chat WHERE id <> ? LIMIT 1", (BRANCH,))
        db.execute("UPDATE chat SET id = ? WHERE id = ?", (f"{BRANCH}#bran-m1", other))
        db.execute("DELETE FROM chat_message WHERE chat_id = ?", (other,))
        db.commit()
    assert run("ls", "-p", path).exit_code == 0
    for command in (
        ("ls", "-p", path), ("check", path), ("export", "-p", path),
        ("migrate", path, tmp_path / "ours.db"),
    ):  # fmt: skip
        result: Any = run(*command, "--branches")
        assert result.exit_code == 6, result.stderr
        why = "stray: the id of this branch is that of another conversation"
        assert f"'{BRANCH}#bran-m1': {why}" in result.stderr
        assert "--branches" not in result.stderr


def test_other_branches_are_counted_and_given_where_they_are_asked_for(tmp_path: Path) -> None:
    path = copied(WEBUI, tmp_path)
    result = run("show", BRANCH, "-p", path)
    assert "Blue" in result.stdout
    assert "Red" not in result.stdout
    assert f"{BRANCH}#bran-m1" not in listed(path)
    assert "left out: another branch" in run("ls", "-p", path).stderr
    other = next(id_ for id_ in listed(path) if id_ != BRANCH)
    note = "left out: another branch (--branches: each as a conversation of its own)\n"
    assert run("check", path, path).stderr.count(note) == 2  # each store's own
    for command in (("ls", "--match", other), ("export", other), ("show", other)):
        assert run(*command, "-p", path).stderr == ""
    assert listed(path, "--branches")[f"{BRANCH}#bran-m1"] == 2
    assert "Red" in done("show", f"{BRANCH}#bran-m1", "-p", path)
    own = tmp_path / "own.db"
    result = run("migrate", path, own)
    assert "--branches" in result.stderr
    done("migrate", path, own, "--branches")
    assert listed(own)[f"{BRANCH}#bran-m1"] == 2


@pytest.mark.parametrize(
    ("name", "spoil", "conversation"),
    [
        ("agno-sqlite-v3", "UPDATE agno_runs SET run_data = '{' WHERE session_id = 'tricky'", "tricky"),
        ("anythingllm", "UPDATE workspace_chats SET response = '{' WHERE prompt LIKE 'line1%'", "api-tricky"),
        ("crush", "UPDATE messages SET parts = '{' WHERE parts LIKE '%line1%'", "fd6dea2d"),
        ("cursor-vscdb", "UPDATE cursorDiskKV SET value = '{' WHERE value LIKE '%line1%'", "ef44228b"),
        ("goose", "UPDATE messages SET content_json = '{' WHERE content_json LIKE '%line1%'", "20260921_6"),
        ("google-adk-sqlite", "UPDATE events SET event_data = '{' WHERE session_id = 'tricky'", "tricky"),
        ("langgraph-sqlite", "UPDATE checkpoints SET checkpoint = x'c1' WHERE thread_id = 'tricky'", "tricky"),
        ("langgraph-sqlite", "UPDATE checkpoints SET type = 'msgpack+aes' WHERE thread_id = 'tricky'", "tricky"),
        ("llm-logs-legacy", "UPDATE responses SET response = x'00' WHERE conversation_id = 'tricky'", "tricky"),
        ("llm-logs-new", "UPDATE parts SET payload = '{' WHERE text LIKE 'line1%'", "tricky"),
        ("open-webui", "UPDATE chat_message SET content = '{' WHERE id LIKE '%tric-m0'", "ed50b666"),
        ("opencode-sqlite", "UPDATE part SET data = '{' WHERE data LIKE '%line1%'", "ses_ddc70dcc4"),
        ("zed-threads", "UPDATE threads SET data = x'28b52ffd' WHERE summary = 'tricky'", "753197f5"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_and_hides_no_other(
    name: str, spoil: str, conversation: str, tmp_path: Path
) -> None:
    path = copied(name, tmp_path)
    count = len(listed(path))
    with database(path) as db:
        assert db.execute(spoil).rowcount > 0
    assert len(listed(path)) == count
    for command in (("check", path), ("export", "-p", path, "-o", tmp_path / "out.jsonl")):
        result: Any = run(*command)
        assert result.exit_code == 6, result.stderr
        assert conversation in result.stdout + result.stderr
