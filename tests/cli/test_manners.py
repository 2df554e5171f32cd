"""How the command line behaves where something is odd: pagers, closed streams, options twice."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from synmem.cli.app import COMMANDS
from synmem.errors import AddressError
from tests.cli.moved import make, run, said
from tests.cli.processes import PROGRAM, in_pipe, on_terminal, unwrapped

SAID = {"a": ["one", "two"], "b": ["three"], "c": ["four"]}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make(tmp_path / "chat.db", SAID)


# --- the terminal ---------------------------------------------------------------------------


class Screen:
    """What a person sees in the end: lines, carriage returns, erased lines, the cursor going up."""

    def __init__(self, shown: str) -> None:
        self.lines, row, column = [""], 0, 0
        for piece in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|[^\x1b]", shown):
            if piece == "\n":
                row += 1
                self.lines += [""] * (row + 1 - len(self.lines))
            elif piece == "\r":
                column = 0
            elif piece == "\x1b[2K":
                self.lines[row] = ""
            elif piece.endswith("A"):
                row -= int(piece[2:-1] or 1)
            elif len(piece) == 1:
                line = self.lines[row].ljust(column)
                self.lines[row] = line[:column] + piece + line[column + 1 :]
                column += 1


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_what_is_listed_beside_a_bar_stands_on_lines_of_its_own(
    tmp_path: Path, as_json: list[str]
) -> None:
    one = make(tmp_path / "one.db", {f"c{i}": ["x"] for i in range(30)})
    two = make(tmp_path / "two.db", {f"d{i}": ["x"] for i in range(3)})
    code, shown = on_terminal("check", str(one), str(two), *as_json)
    assert code == 7
    lines = [line.rstrip() for line in Screen(shown).lines]
    if as_json:
        data, _ = json.JSONDecoder().raw_decode("\n".join(lines))
        assert len(data["conversations"]) == 33
    else:
        listed = {line.split()[1] for line in lines if line[:2] in ("+\t", "+ ", "- ")}
        assert listed == {f"c{i}" for i in range(30)} | {f"d{i}" for i in range(3)}
        assert not [line for line in lines if "Comparing" in line]


@pytest.mark.parametrize(
    "pager", ["nothere", "nothere --x", "X=1 nothere", "/no/such/pager -R", "'less"]
)
def test_a_pager_that_is_not_there_is_named_and_done_without(store: Path, pager: str) -> None:
    code, shown = on_terminal("show", "a", "-p", str(store), PAGER=pager)
    assert code == 0
    assert f"PAGER is {pager}, which is no program here" in shown
    assert "two" in shown


@pytest.mark.parametrize("pager", ["LESS=F cat", "command cat", "cat -", "{ cat; }"])
def test_a_pager_may_be_a_line_of_the_shell(store: Path, pager: str) -> None:
    code, shown = on_terminal("show", "a", "-p", str(store), PAGER=pager)
    assert code == 0
    assert "two" in shown
    assert "no program" not in shown


def test_colours_reach_a_less_with_options_of_its_own(store: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    for less, given in (("-i", "-R -i"), ("", "-R")):
        pager = f"(echo $LESS; cat) > {seen}"
        on_terminal("show", "a", "-p", str(store), PAGER=pager, LESS=less)
        assert seen.read_text().splitlines()[0] == given


# --- streams --------------------------------------------------------------------------------

PRINTING = [
    ["--version"], ["--version", "--help"], ["--help"], ["show", "--help"],
    ["--show-completion", "bash"], ["export"], ["ls"], ["ls", "--json"], ["stats"], ["show", "a"],
    ["check", "chat.db", "other.db"], ["profile", "path"], ["context", "a"],
]  # fmt: skip


@pytest.mark.parametrize("where", ["> /dev/full", ">&-"])
@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_what_nobody_could_hear_was_not_done(store: Path, where: str, arguments: list[str]) -> None:
    make(store.parent / "other.db", {"z": ["x"]})
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$@" {where}', "sh", *PROGRAM, *arguments],
        capture_output=True, text=True, cwd=store.parent,
        env={**os.environ, "SYNMEM_PROFILE": str(store)},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert re.search("No space left on device|Bad file descriptor", done.stderr)


def test_where_both_streams_go_to_one_file_each_line_stands_where_it_was_said(store: Path) -> None:
    done = subprocess.run(
        [*PROGRAM, "migrate", store, store.with_name("new.db"), "--dry-run"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True,
    )  # fmt: skip
    *listed, last = done.stdout.splitlines()
    assert [line.split("\t") for line in listed] == [
        ["copy", "2", "a"],
        ["copy", "1", "b"],
        ["copy", "1", "c"],
    ]
    assert last.startswith("3 conversations: 3 would be copied")


def test_what_prints_nothing_needs_no_stdout(store: Path) -> None:
    command = ["/bin/sh", "-c", '"$@" >&-', "sh", *PROGRAM, "add", "a", "x", "-p", str(store)]
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert said(store)["a"] == ["one", "two", "x"]


# --- options --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [["ls", "-f", "ids"], ["ls", "-f", "jsonl"], ["show", "a", "-f", "text"],
     ["show", "a", "-f", "jsonl"], ["export", "-f", "csv"], ["context", "a", "-f", "text"]],
)  # fmt: skip
def test_two_forms_are_one_too_many(store: Path, arguments: list[str]) -> None:
    result = run(*arguments, "--json", "-p", store)
    assert result.exit_code == 2
    assert "--json" in result.stderr
    assert result.stdout == ""


def test_json_twice_said_is_json(store: Path) -> None:
    for arguments in (["ls"], ["show", "a"], ["export"]):
        assert run(*arguments, "--json", "-f", "json", "-p", store).exit_code == 0


def test_several_globs_take_what_fits_any(store: Path, tmp_path: Path) -> None:
    globs = ["--match", "a", "--match", "[bx]"]
    assert run("ls", "-p", store, *globs).stdout == "a\nb\n"
    assert len(json.loads(run("export", "-p", store, "--json", *globs).stdout)) == 2
    assert run("migrate", store, tmp_path / "two.db", *globs).exit_code == 0
    assert set(said(tmp_path / "two.db")) == {"a", "b"}
    assert run("check", store, tmp_path / "two.db", *globs).exit_code == 0
    assert run("check", store, tmp_path / "two.db").exit_code == 7
    run("export", "-p", store, "-o", tmp_path / "x.jsonl")
    assert run("import", tmp_path / "x.jsonl", "-p", tmp_path / "new.db", *globs).exit_code == 0
    assert set(said(tmp_path / "new.db")) == {"a", "b"}
    assert run("summarize", "-p", store, "--method", "extractive", *globs).exit_code == 0
    assert run("clear", "-p", store, "--yes", *globs).exit_code == 0
    assert set(said(store)) == {"c"}
    assert run("ls", "-p", store, "--match", "nothing").stdout == ""


@pytest.mark.parametrize("arguments", [["add", "c", "-5"], ["show", "-x1"], ["ls", "--nothing"]])
def test_who_means_a_text_that_begins_with_a_dash_is_told_how(
    store: Path, arguments: list[str]
) -> None:
    result = run(*arguments, "-p", store)
    assert result.exit_code == 2
    assert "put --" in result.stderr
    assert run("add", "-p", store, "--", "c", "-5").exit_code == 0
    assert said(store)["c"] == ["four", "-5"]


LONG = "9" * 5000
FOREIGN = ["Input should", "valid integer", "set_int_max_str_digits", "Traceback", "Value error",
           "pydantic", "limit (4300"]  # fmt: skip


@pytest.mark.parametrize("number", ["x", "1.5", "", LONG, "9" * 25, "-" + "9" * 25, "1e3"])
@pytest.mark.parametrize(
    "arguments",
    [["show", "a", "--last"], ["ls", "--limit"], ["clear", "a", "--yes", "--keep-last"],
     ["context", "a", "--max-tokens"], ["search", "x", "-k"], ["migrate", "x.db", "y.db", "--jobs"]],
)  # fmt: skip
def test_what_is_no_number_is_told_in_words_of_ours(
    store: Path, arguments: list[str], number: str
) -> None:
    result = run(*arguments, number, *(["-p", store] if arguments[0] != "migrate" else []))
    assert result.exit_code == 2, result.output
    assert not [words for words in FOREIGN if words in result.output]
    assert len(result.stderr) < 300
    assert "whole number" in result.stderr or "too large" in result.stderr
    assert said(store) == SAID


def test_what_is_no_choice_and_no_json_is_told_in_words_of_ours(
    store: Path, tmp_path: Path
) -> None:
    result = run("--show-completion", "x")
    assert "'x' is not one of bash, zsh, fish" in result.stderr
    result = run("add", "a", "x", "-p", store, "-m", f'{{"n": {LONG}}}')
    assert result.exit_code == 2
    assert "a number of 5,000 digits" in result.stderr
    line = f'{{"conversation_id":"d","role":"user","content":"x","metadata":{{"n":{LONG}}}}}\n'
    for name, text in (
        ("in.jsonl", line),
        ("in.json", f"[{line}]"),
        ("in.csv", f'conversation_id,role,content,metadata\nd,user,x,"{{""n"":{LONG}}}"\n'),
    ):
        (tmp_path / name).write_text(text)
        result = run("import", tmp_path / name, "-p", store)
        assert result.exit_code == 6, result.output
        assert "a number of 5,000 digits" in result.stderr
        assert not [words for words in FOREIGN if words in result.output]


@pytest.mark.parametrize(
    "url", ["mysql://h/db", "nosuch://x", "postgres:x", "dynamodb://eu", "file://host/x.jsonl"]
)
@pytest.mark.parametrize("command", ["ls", "export", "stats", "profile"])
def test_what_is_no_address_of_a_store_is_usage(url: str, command: str) -> None:
    arguments = ["profile", "add", "x", url] if command == "profile" else [command, "-p", url]
    result = run(*arguments, "--json")
    assert result.exit_code == 2, result.output
    assert json.loads(result.stderr)["error"]["kind"] == "usage"
    assert run("migrate", url, "x.db").exit_code == 2
    assert issubclass(AddressError, Exception)


# --- show -----------------------------------------------------------------------------------


def test_the_text_form_has_the_tool_calls(tmp_path: Path) -> None:
    calls = [
        {"id": "c1", "name": "look", "arguments": {"q": "x" * 600}},
        {"id": "c2", "name": "raw", "arguments": "not json"},
    ]
    message = {"conversation_id": "a", "role": "assistant", "content": "", "tool_calls": calls}
    (tmp_path / "in.jsonl").write_text(json.dumps(message) + "\n")
    shown = run("show", "a", "-p", tmp_path / "in.jsonl").stdout
    assert shown == (
        "Assistant: \n"
        f'-> look({{"q":"{"x" * 600}"}})  c1\n'
        "-> raw(not json)  c2\n"
    )  # fmt: skip


@pytest.mark.parametrize("query", ["laiout=x", "max_messages=x", "timestamps=perhaps"])
def test_a_url_with_a_key_or_value_that_is_none_is_usage(store: Path, query: str) -> None:
    result = run("ls", "-p", f"sqlite://{store}?{query}")
    assert result.exit_code == 2, result.stderr
    assert query.partition("=")[0] in result.stderr


# --- nothing there yet ----------------------------------------------------------------------


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As the README begins: a profile whose file the first `add` makes."""
    monkeypatch.setenv("SYNMEM_CONFIG", str(tmp_path / "config.toml"))
    assert run("profile", "add", "local", tmp_path / "chat.db", "--default").exit_code == 0
    assert run("profile", "add", "gone", tmp_path / "no" / "chat.db").exit_code == 0
    assert run("profile", "add", "file", tmp_path / "chat.jsonl").exit_code == 0
    return tmp_path


@pytest.mark.parametrize(
    ("command", "printed"),
    [(["ls"], ""), (["ls", "--json"], "[]\n"), (["stats"], "conversations\t0"),
     (["profile", "test", "local"], "ok: local (sqlite), 0 conversations, "),
     (["search", "x"], "")],
)  # fmt: skip
def test_a_profile_without_its_file_has_nothing_yet(
    configured: Path, command: list[str], printed: str
) -> None:
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert printed in result.stdout
    assert "local: nothing there yet" in result.stderr
    assert not (configured / "chat.db").exists()
    assert run(*command, "-q").stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [["export"], ["migrate", "local", "x.db"], ["check", "local"], ["show", "a"],
     ["clear", "a", "--yes"], ["ls", "-p", "gone"], ["stats", "-p", "gone"], ["ls", "-p", "file"],
     ["profile", "test", "gone"], ["profile", "test", "file"]],
    ids=" ".join,
)  # fmt: skip
def test_elsewhere_what_is_not_there_is_not_found(configured: Path, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 3
    # `add` would not make a file in a folder that is not there.
    assert "gone" not in arguments or "nor is its folder there" in result.stderr


def test_a_path_that_was_typed_and_is_not_there_is_not_found(configured: Path) -> None:
    for command in (["ls", "-p"], ["stats", "-p"], ["profile", "test"]):
        for target in (configured / "typed.db", f"sqlite:///{configured}/typed.db"):
            assert run(*command, target).exit_code == 3


# --- times ----------------------------------------------------------------------------------


@pytest.fixture
def timed(tmp_path: Path) -> Path:
    store = tmp_path / "timed.db"
    for at in ("2020-01-01T00:00:00Z", "2020-06-01T00:00:00Z", "2024-01-01T00:00:00Z"):
        assert run("add", "a", at, "--at", at, "-p", store).exit_code == 0
    return store


@pytest.mark.parametrize(
    "command",
    [["clear", "a", "--older-than"], ["clear", "--idle"], ["migrate", "--move", "--since"],
     ["migrate", "--move", "--until"]],
)  # fmt: skip
def test_minutes_are_not_taken_for_months_where_something_goes(
    timed: Path, command: list[str]
) -> None:
    place = [timed, timed.parent / "new.db"] if command[0] == "migrate" else ["-p", timed]
    result = run(*command, "3m", *place, "--yes")
    assert result.exit_code == 2
    assert "3min or 3mo" in result.stderr
    assert len(said(timed)["a"]) == 3
    assert run("ls", "--idle", "3m", "-p", timed).exit_code == 0  # nothing goes


@pytest.mark.parametrize(
    ("command", "told"),
    [(["--older-than", "2022-01-01"], "; older than 2022-01-01 00:00:00"),
     (["--older-than", "1640995200"], "; older than 2022-01-01 00:00:00"),
     (["--idle", "20250101"], "; idle since 2025-01-01 00:00:00")],
)  # fmt: skip
def test_the_question_has_the_moment_that_was_understood(
    timed: Path, command: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    choice = ["a"] if command[0] == "--older-than" else []
    assert told in run("clear", *choice, *command, "--dry-run", "-p", timed).stderr
    _, shown = on_terminal(
        "clear", *choice, *command, "-p", str(timed), typed=b"n\n", prompt=b"[y/N]"
    )
    assert told in unwrapped(shown)
    _, shown = on_terminal(
        "migrate", str(timed), str(timed.parent / "n.db"), "--move", "--until", command[1],
        typed=b"n\n", prompt=b"[y/N]",
    )  # fmt: skip
    assert f"; until {told[-19:]}" in unwrapped(shown)


def test_every_command_is_here() -> None:
    done = in_pipe("--help")
    assert all(
        name.encode() in done.stdout
        for name in COMMANDS
        if name not in ("cat", "list", "list-conversations")
    )
