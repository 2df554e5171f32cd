"""Trimming keeps a tool's result with its call, on every store, and says how many stay for it."""

import json
from pathlib import Path

import pytest

from tests.cli.moved import run
from tests.cli.places import BACKENDS, Places

CALL = {"id": "x", "name": "look", "arguments": {}}
TALK = [
    {"role": "user", "content": "what?"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "42", "tool_call_id": "x"},
    {"role": "assistant", "content": "it is 42"},
]


@pytest.fixture
def talk(tmp_path: Path) -> str:
    file = tmp_path / "talk.jsonl"
    at = {"created_at": "2020-01-01T00:00:00Z"}
    lines = [{"conversation_id": name, **each, **at} for name in ("a", "b") for each in TALK]
    file.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return str(file)


def roles(place: str, conversation: str = "a") -> list[str]:
    shown = run("show", conversation, "--json", "-p", place)
    return [each["role"] for each in json.loads(shown.stdout)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_result_keeps_its_call(backend: str, places: Places, talk: str) -> None:
    place = places.new(backend)
    assert run("import", talk, "-p", place).exit_code == 0
    cut = run("clear", "a", "--keep-last", "2", "--yes", "-p", place)
    assert cut.exit_code == 0, cut.stderr
    assert cut.stderr.startswith("Remove the front of 1 conversation (a): 1 message")
    assert "; 1 message more stays, so that no tool result loses its call (--exact" in cut.stderr
    assert roles(place) == ["assistant", "tool", "assistant"]
    window = f"{place if '://' in place else 'sqlite:///' + place}"
    window += f"{'&' if '?' in window else '?'}max_messages=3"
    added = run("add", "b", "thanks", "-p", window)
    assert added.exit_code == 0, added.stderr
    assert "1 message more than the window of 3 stays" in added.stderr
    assert roles(place, "b") == ["assistant", "tool", "assistant", "user"]
    added = run("add", "b", "bye", "-r", "assistant", "-p", window)
    assert (added.exit_code, "more than" in added.stderr) == (0, False)
    assert roles(place, "b") == ["assistant", "user", "assistant"]
    exact = run("clear", "a", "--keep-last", "2", "--exact", "--yes", "-p", place)
    assert (exact.exit_code, "stays" in exact.stderr) == (0, False)
    assert roles(place) == ["tool", "assistant"]


def test_what_stays_is_told_before(places: Places, talk: str) -> None:
    place = places.new("sqlite")
    run("import", talk, "-p", place)
    trims = ("clear", "--idle", "30d", "--keep-last", "2", "-p", place)
    looked = run(*trims, "--dry-run")
    first, *_ = looked.stderr.splitlines()
    assert first.startswith("Would remove the front of 2 idle conversations (a, b): 2 messages")
    assert "2 messages more stay" in first
    assert json.loads(run(*trims, "--dry-run", "--json").stdout)["spared"] == 2
    run("add", "a", "now", "-p", place)
    assert json.loads(run(*trims, "--yes", "--json").stdout)["conversations"] == 1
    assert [len(roles(place, each)) for each in ("a", "b")] == [5, 3]
    nothing = run("clear", "b", "--keep-last", "2", "--yes", "-p", place)
    assert nothing.exit_code == 0
    assert "nothing to remove; 1 message more stays" in nothing.stderr


def test_exact_is_for_a_trim(places: Places) -> None:
    assert run("clear", "a", "--exact", "--yes", "-p", places.new("sqlite")).exit_code == 2
