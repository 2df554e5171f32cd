"""A line that makes no sense is refused in our words, with what to type; TAB knows the values."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from synmem.cli.app import app
from synmem.cli.commands import ALIASES, COMMANDS
from synmem.formats import FORMATS
from tests.cli.processes import in_pipe

DASHES = "in front of a text or an id that begins with -, put --"

LINES = {
    "add": "CONVERSATION is missing (`synmem add CONVERSATION [TEXT]`)",
    "migrate a.db": "DEST is missing (`synmem migrate SOURCE DEST`)",
    "show a.db b c": "more than synmem show takes: c (`synmem show [STORE] CONVERSATION`)",
    "ls a.db b": "more than synmem ls takes: b (`synmem show a.db b`)",
    "ls redis://u:t0p@h b": "more than synmem ls takes: b (`synmem show 'redis://u:***@h' b`)",
    "add a.db b c": "more than synmem add takes: c (`synmem add -p a.db b c`)",
    "search a.db two words": "more than synmem search takes: words (`synmem search a.db 'two words'`)",
    "search of three words": "more than synmem search takes: words (`synmem search 'of three words'`)",
    "show x -n 3": "there is no option -n of synmem show (did you mean --last?)",
    "ls --max 3": "there is no option --max of synmem ls (did you mean --limit?)",
    "profile rm x": "there is no command rm of synmem profile (did you mean remove?)",
    "show x --lst 3": "there is no option --lst of synmem show (did you mean --last?)",
    "show -z": f"there is no option -z of synmem show (`synmem show --help`; {DASHES})",
    "ls --prfile x": "there is no option --prfile of synmem ls (did you mean --profile?)",
    "show x --last": "--last lacks its value (`synmem show --help`)",
    "ls --json=3": "--json takes no value (`synmem ls --help`)",
    "show x --last x": "--last: 'x' is not a whole number (`synmem show --help`)",
    "ls --limit 1.5": "--limit: '1.5' is not a whole number (`synmem ls --help`)",
    "ls --limit=": "--limit: '' is not a whole number (`synmem ls --help`)",
    "profile lst": "there is no command lst of synmem profile (did you mean list?)",
    "profile xyzzy": "there is no command xyzzy of synmem profile (`synmem profile --help` lists "
    "them)",
    "--show-completion x": "--show-completion: 'x' is not one of bash, zsh, fish (`synmem --help`)",
    "search x -k 0": "-k is 1 or more",
    "ls --sort x": "--sort 'x' (one of id, messages, updated)",
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_refused_in_our_words(line: str) -> None:
    result = CliRunner().invoke(app, line.split(), prog_name="synmem")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"synmem: {LINES[line]}\n"


@pytest.mark.parametrize(("word", "told"), [("a'b", "'a'\"'\"'b'"), ('it"s', "'it\"s'")])
def test_a_word_that_is_no_command_is_told_whole(word: str, told: str) -> None:
    result = CliRunner().invoke(app, ["profile", word], prog_name="synmem")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"synmem: there is no command {told} of synmem profile (")


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in (*ALIASES, "help")])
def test_an_option_that_is_not_there_is_named_of_every_command(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--jsno"], prog_name="synmem")
    assert result.exit_code == 2
    assert f"there is no option --jsno of synmem {name} (" in result.stderr


# --- what TAB offers ------------------------------------------------------------------------


def offered(*words: str) -> list[str]:
    done = in_pipe(
        _SYNMEM_COMPLETE="complete_bash", COMP_WORDS="\n".join(["synmem", *words]),
        COMP_CWORD=str(len(words)),
    )  # fmt: skip
    assert not done.stderr
    return done.stdout.decode().split("\n")[:-1] if done.stdout.strip() else []


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["export", "-f", ""], list(FORMATS)), (["export", "--format=m"], ["markdown"]),
        (["import", "-f", "a"], ["auto", "anthropic"]),
        (["show", "-f", "j"], ["json", "jsonl"]), (["ls", "--sort", ""], ["id", "messages", "updated"]),
        (["context", "--strategy", "s"], ["smart", "summary-buffer"]),
        (["migrate", "--on-conflict", "s"], ["skip", "stop"]),
        (["ls", "--layout", "lang"], ["langchain", "langgraph"]),
        (["summarize", "--method", "l"], ["llm"]), (["help", "exi"], ["exit-codes"]),
        (["help", "sh"], ["show"]), (["l"], ["ls"]), (["ls", "--pro"], ["--profile"]),
        (["-p", "chat.db", "sta"], ["stats"]),
    ],
    ids=str,
)  # fmt: skip
def test_values_are_completed(words: list[str], found: list[str]) -> None:
    assert offered(*words) == found


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    CliRunner().invoke(app, ["add", "chimes", "hello", "-p", "chat.db"])
    (tmp_path / "chapter.txt").touch()
    (tmp_path / "chore").touch()
    return tmp_path


def test_a_store_is_completed_where_it_may_stand_first(here: Path) -> None:
    assert offered("ls", "cha") == offered("show", "cha") == ["chapter.txt", "chat.db"]
    assert offered("search", "chat") == offered("stats", "chat") == ["chat.db"]
    assert offered("show", "chat.db", "") == ["chimes"]
    assert offered("context", "chat.db", "ch") == ["chimes"]
    assert offered("show", "-p", "chat.db", "ch") == ["chimes"]
    assert offered("search", "chat.db", "word", "-c", "") == ["chimes"]
    assert offered("-p", "chat.db", "show", "ch") == ["chimes"]
    assert "SYNMEM_PROFILE" not in os.environ


@pytest.mark.parametrize(
    "words",
    [
        ["export", "-o"], ["migrate", "a", "b", "--receipt"], ["ls", "--config"], ["import"],
        ["import", "--rejects"], ["summarize", "--prompt"], ["check", "--receipt"],
    ],
    ids=str,
)  # fmt: skip
def test_where_a_file_is_wanted_the_shell_is_left_to_name_it(here: Path, words: list[str]) -> None:
    """The scripts let the shell offer files where the program offers nothing."""
    assert offered(*words, "ch") == []
