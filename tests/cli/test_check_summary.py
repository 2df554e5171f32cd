"""`check --summary`, and the root digest of a store: the same where two hold the same."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from synmem.messages import Digest, Message
from tests.at_places import FIXTURES
from tests.cli.moved import lines, make, run
from tests.cli.processes import on_terminal

SAID = {"b": ["1", "2"], "a\n\u202e": ["3"], "é": ["4"]}
ROOT = r"sha256:[0-9a-f]{64}"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make(tmp_path / "chat.db", SAID, title="t", extra={"x": {"y": 1}})


def told(*arguments: Any) -> dict[str, Any]:
    result = run("check", *arguments, "--json")
    assert result.exit_code in (0, 6), result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def root(place: Path, *more: str) -> str:
    return str(told(place, *more)["digests"]["root"])


def test_in_a_pipe_the_summary_stands_behind_a_hash(store: Path) -> None:
    result = run("check", store, "--summary", "-q")
    assert (result.exit_code, result.stderr) == (0, "")
    line = f"# {re.escape(str(store))}: 3 conversations, 4 messages: sound; root digest {ROOT}\n"
    assert re.fullmatch(line, result.stdout)
    assert run("check", store, "-q").stdout == ""
    without = run("check", store)
    assert (without.stdout, without.stderr) == ("", result.stdout.removeprefix("# "))


def test_of_two_stores_and_of_a_receipt_too(store: Path, tmp_path: Path) -> None:
    dest, receipt = tmp_path / "d.db", tmp_path / "receipt.json"
    assert run("migrate", store, dest, "--receipt", receipt).exit_code == 0
    result = run("check", store, dest, "--summary")
    assert (result.stdout, result.stderr) == ("# 3 conversations: 3 equal\n", "")
    result = run("check", dest, "--receipt", receipt, "--summary", "-v")
    assert result.stdout.splitlines()[-1] == "# 3 conversations: 3 equal"
    assert len(result.stdout.splitlines()) == 4
    assert run("clear", "b", "--yes", "-p", dest).exit_code == 0
    result = run("check", store, dest, "--summary", "-q")
    assert result.exit_code == 7
    assert result.stdout == "+ b\n# 3 conversations: 2 equal, 1 only in the source\n"


def test_on_a_terminal_it_is_said_as_ever(store: Path) -> None:
    code, shown = on_terminal("check", str(store), "--summary")
    assert code == 0
    assert "# " not in shown
    assert "4 messages: sound; root digest sha256:" in re.sub(r"\s+", " ", shown)


def test_summary_and_json_are_two(store: Path) -> None:
    assert run("check", store, "--summary", "--json").exit_code == 2


def test_two_stores_that_are_equal_have_one_root(store: Path, tmp_path: Path) -> None:
    sealed, plain, dest = tmp_path / "s.jsonl.gz", tmp_path / "p.jsonl", tmp_path / "d.db"
    assert run("export", "-p", store, "--seal", "-o", sealed).exit_code == 0
    assert run("export", "-p", store, "-o", plain).exit_code == 0
    receipt = json.loads(run("import", plain, "-p", dest, "--json").stdout)
    roots = {root(each) for each in (store, sealed, plain, dest)}
    assert len(roots) == 1
    assert told(dest)["digests"]["content"] == receipt["content"]
    assert told(store)["digests"]["fields"] == receipt["fields"]
    assert run("check", store, dest).exit_code == 0


@pytest.mark.parametrize(
    ("said", "own"),
    [
        ({**SAID, "b": ["1", "3"]}, {}), ({**SAID, "b": ["2", "1"]}, {}), ({**SAID, "c": ["1"]}, {}),
        ({k: v for k, v in SAID.items() if k != "b"} | {"B": SAID["b"]}, {}),
        (SAID, {"title": "u"}), (SAID, {"extra": {"x": {"y": 2}}}), (SAID, {"title": None}),
        ({**SAID, "b": ["1"]}, {}), ({"b": ["1", "2"]}, {}),
    ],
)  # fmt: skip
def test_two_that_are_not_have_two(
    store: Path, tmp_path: Path, said: dict[str, list[str]], own: dict[str, Any]
) -> None:
    other = make(tmp_path / "o.db", said, **{"title": "t", "extra": {"x": {"y": 1}}, **own})
    assert run("check", store, other).exit_code == 7
    assert root(store) != root(other)


def test_the_root_is_over_lines_that_anybody_can_make(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_bytes(lines({"b": ["1", "2"], "a": ["3"]}))

    def digest(*texts: str) -> str:
        made = Digest()
        made.update([Message("user", text) for text in texts])
        return str(made)

    rows: list[dict[str, Any]] = [
        {"scheme": 1},
        {"conversation_id": "a", "messages": 1, "digest": digest("3")},
        {"conversation_id": "b", "messages": 2, "digest": digest("1", "2")},
    ]
    text = "".join(json.dumps(row, sort_keys=True, separators=(",", ":")) + "\n" for row in rows)
    assert root(file) == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_of_what_cannot_be_read_whole_there_is_no_root(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_bytes(lines({"a": ["1"]}) + b'{"conversation_id": "a", "role": 1}\n')
    assert told(file)["digests"] is None
    result = run("check", file, "--summary")
    assert result.exit_code == 6
    assert "root digest" not in result.output
    assert result.stdout.splitlines()[-1].startswith("# ")


def test_a_choice_has_a_root_of_its_own(store: Path) -> None:
    assert root(store, "--match", "b") != root(store)
    assert root(store, "--match", "*") == root(store)


def test_the_root_of_what_others_wrote(tmp_path: Path) -> None:
    """Read twice, and as a copy."""
    logs = FIXTURES / "llm-logs-new" / "logs.db"
    assert root(logs) == root(logs)
    dest = tmp_path / "d.db"
    receipt = json.loads(run("migrate", logs, dest, "--json").stdout)
    assert told(logs)["digests"]["content"] == receipt["content"]
