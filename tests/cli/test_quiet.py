"""With -q a command that succeeds says nothing on stderr; what is wrong with data is said."""

from pathlib import Path

import pytest

from synmem import folders
from tests.at_places import FIXTURES
from tests.cli.moved import lines, make, run

QUIET = [
    ["ls"], ["show", "a"], ["stats"], ["check"], ["check", "--json"], ["export"],
    ["export", "-f", "openai"], ["export", "-o", "x.jsonl"], ["export", "-o", "x/"],
    ["export", "-o", "y.jsonl", "--split", "1"], ["context", "a"], ["search", "one"],
    ["search", "one", "--json"], ["entities", "--help"], ["summarize", "a", "--method", "extractive"],
    ["add", "a", "three"], ["clear", "b", "--dry-run"], ["clear", "b", "--yes"],
    ["undo", "--dry-run"], ["undo"], ["undo", "--list"],
    ["clear", "b", "--yes", "--no-backup"], ["clear", "a", "--keep-last", "1", "--yes"],
    ["profile", "add", "x", "x.db"], ["profile", "use", "x"], ["profile", "list"],
    ["profile", "show", "x"], ["profile", "path"], ["profile", "remove", "x"], ["discover", "."],
]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = make(tmp_path / "chat.db", {"a": ["one", "two"], "b": ["one", "Alice"]})
    monkeypatch.setenv("SYNMEM_PROFILE", str(path))
    return path


def test_what_succeeds_says_nothing(store: Path) -> None:
    for words in QUIET:
        result = run(*words, "-q")
        assert (result.exit_code, result.stderr) == (0, ""), words


def test_moving_says_nothing(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "two.jsonl"
    assert run("export", "--seal", "-o", file, "-q").stderr == ""
    file.write_bytes(file.read_bytes() * 2)  # which is how two backups are put together
    for words in (
        ["import", file, "-p", "d.db"], ["migrate", file, "e.db"], ["check", "d.db", file],
        ["export", "-p", file], ["migrate", store, "d.db", "--archive"], ["show", "a", "-p", file],
        ["migrate", "d.db", "f.db", "--move", "--yes"], ["import", file, "-p", "d.db", "--dry-run"],
    ):  # fmt: skip
        result = run(*words, "-q")
        assert (result.exit_code, result.stderr) == (0, ""), words


def test_a_shorter_export_in_parts_says_nothing(store: Path) -> None:
    assert run("export", "-o", "y.jsonl", "--split", "1", "-q").stderr == ""
    result = run("export", "-o", "y.jsonl", "--split", "100", "-q")
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(list(Path().glob("y-*.jsonl"))) == 1


@pytest.mark.parametrize("fixture", ["llm-logs-new/logs.db", "chatgpt-export", "claude-code"])
def test_stores_of_others_say_nothing(fixture: str, tmp_path: Path) -> None:
    place = FIXTURES / fixture
    for words in (
        ["ls", "-p"],
        ["stats", "-p"],
        ["search", "the", "-p"],
        ["export", "-p"],
        ["check"],
    ):
        result = run(*words, place, "-q")
        assert (result.exit_code, result.stderr) == (0, ""), words
    result = run("migrate", place, tmp_path / "d.db", "-q")
    assert (result.exit_code, result.stderr) == (0, "")


def test_what_is_wrong_with_data_is_said_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "broken.jsonl"
    file.write_bytes(lines({"a": ["1"]}) + b"{\n")
    dest = tmp_path / "d.db"
    for words in (["check", file], ["export", "-p", file], ["migrate", file, dest]):
        result = run(*words, "-q")
        assert result.exit_code == 6
        assert "not JSON" in result.stderr or "torn" in result.stderr or "column" in result.stderr


def test_what_a_model_summarizes_says_nothing(store: Path) -> None:
    config = folders.config_file()
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text('[llm]\nprovider = "command"\ncommand = "cat"\n')
    config.chmod(0o600)
    result = run("summarize", "a", "--method", "llm", "-q")
    assert (result.exit_code, result.stderr) == (0, "")
