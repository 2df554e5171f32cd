"""`synmem ls`: complete, exact, and never two ids read as one."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from synmem.cli.app import app
from tests.cli.processes import in_pipe, on_terminal


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def add(store: Path, conversation: str, *times: str) -> None:
    for time in times or ("2026-01-01T00:00:00Z",):
        result = run("add", "-p", str(store), "--at", time, "--", conversation, "x")
        assert result.exit_code == 0, result.stderr


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


def test_one_id_a_line_sorted_by_its_bytes(store: Path) -> None:
    ids = ["b", "a", "B", "é", "\U0001f600", "\uffee", "a b", "a/b*%_:'\""]
    for each in ids:
        add(store, each)
    assert run("ls", "-p", str(store)).stdout.split("\n")[:-1] == sorted(ids, key=str.encode)


def test_the_alias_is_the_command(store: Path) -> None:
    add(store, "a")
    assert run("list-conversations", "-p", str(store)).stdout == "a\n"


@pytest.mark.parametrize("command", ["ls", "list-conversations", "stats"])
def test_the_store_may_stand_first(
    command: str, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, "a", "2026-01-01")
    told = run(command, "-p", str(store))
    assert told.stdout
    monkeypatch.setenv("SYNMEM_PROFILE", "another")
    assert run(command, str(store)).stdout == told.stdout
    assert run(command, "--json", str(store)).stdout == run(command, "-p", str(store), "--json").stdout  # fmt: skip
    both = run(command, "-p", str(store), "other.db")
    assert (both.exit_code, both.stdout) == (2, "")
    assert "other.db" in both.stderr
    assert run(command, "none.db").exit_code == 3


def test_an_id_with_a_control_character_is_named_and_left_out(store: Path) -> None:
    for each in ("plain", "a\nb", "esc\x1b[2J", "c1\x9b", "del\x7f"):
        add(store, each)
    result = run("ls", "-p", str(store))
    assert (result.exit_code, result.stdout) == (6, "plain\n")
    for shown in ("a^Jb", "esc^[[2J", "c1<U+009B>", "del^?"):
        assert shown in result.stderr
    assert "\x1b" not in result.stderr


def test_with_0_every_id_ends_in_nul(store: Path) -> None:
    for each in ("plain", "a\nb", "esc\x1b"):
        add(store, each)
    done = in_pipe("ls", "-0", "-p", str(store))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"a\nb\0esc\x1b\0plain\0", b"")


def test_json_and_jsonl(store: Path) -> None:
    add(store, "a\nb", "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z")
    add(store, "c")
    objects = [
        {
            "conversation_id": "a\nb", "messages": 2, "first_at": "2026-01-01T00:00:00.000000Z",
            "last_at": "2026-01-03T00:00:00.000000Z", "title": None,
        },
        {
            "conversation_id": "c", "messages": 1, "first_at": "2026-01-01T00:00:00.000000Z",
            "last_at": "2026-01-01T00:00:00.000000Z", "title": None,
        },
    ]  # fmt: skip
    for arguments in (["--json"], ["-f", "json"]):
        assert json.loads(run("ls", "-p", str(store), *arguments).stdout) == objects
    lines = run("ls", "-f", "jsonl", "-p", str(store)).stdout.split("\n")[:-1]
    assert [json.loads(line) for line in lines] == objects


def test_sort_and_limit(store: Path) -> None:
    add(store, "a", "2026-01-05T00:00:00Z")
    add(store, "b", *["2026-01-01T00:00:00Z"] * 3)
    add(store, "c", *["2026-01-09T00:00:00Z"] * 2)
    for sort, order in (("id", "abc"), ("messages", "bca"), ("updated", "cab")):
        for limit in (0, 2, 3, 9):
            result = run("ls", "--sort", sort, "--limit", str(limit), "-p", str(store))
            assert result.stdout == "".join(f"{each}\n" for each in order[:limit])


def test_match_and_idle(store: Path) -> None:
    add(store, "user-1", "2020-01-01T00:00:00Z")
    add(store, "user-2", "1h")
    add(store, "User-3", "2020-01-01T00:00:00Z")
    assert run("ls", "--match", "user-*", "-p", str(store)).stdout == "user-1\nuser-2\n"
    assert run("ls", "--idle", "30d", "-p", str(store)).stdout == "User-3\nuser-1\n"
    assert (
        run("ls", "--idle", "10s", "--match", "u*", "-p", str(store)).stdout == "user-1\nuser-2\n"
    )
    nothing = run("ls", "--match", "zz*", "-p", str(store))
    assert (nothing.exit_code, nothing.stdout) == (0, "")


def test_before_anything_was_added_there_is_nothing() -> None:
    assert (run("ls").exit_code, run("ls").stdout) == (0, "")
    assert run("ls", "--json").stdout == "[]\n"
    assert run("ls", "-f", "jsonl").stdout == ""


def test_a_store_that_was_named_and_is_not_there_is_an_error(store: Path) -> None:
    result = run("ls", "-p", str(store))
    assert result.exit_code == 3
    assert not store.exists()


@pytest.mark.parametrize(
    "arguments",
    [["--sort", "size"], ["-f", "xml"], ["--limit", "-1"], ["-0", "--json"], ["--idle", "soon"]],
)
def test_what_makes_no_sense_is_a_usage_error(store: Path, arguments: list[str]) -> None:
    add(store, "a")
    assert run("ls", "-p", str(store), *arguments).exit_code == 2


def test_no_colours_where_they_are_not_wanted(store: Path) -> None:
    add(store, "a")
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b[" not in on_terminal("ls", "-p", str(store), **environment)[1]
    assert "\x1b[" not in on_terminal("ls", "--no-color", "-p", str(store))[1]


def test_a_filter_by_time_says_how_many_have_no_time(store: Path) -> None:
    lines = [
        json.dumps({"conversation_id": each, "role": "user", "content": "x"}).encode() + b"\n"
        for each in ("untimed", "other")
    ]
    assert in_pipe("import", "-p", str(store), stdin=b"".join(lines)).returncode == 0
    add(store, "old")
    result = run("ls", "--idle", "1h", "-p", str(store))
    assert (result.exit_code, result.stdout) == (0, "old\n")
    assert result.stderr == "left out 2 conversations whose last message has no time\n"
    named = run("ls", "--idle", "1h", "--match", "unt*", "-p", str(store))
    assert "left out 1 conversation " in named.stderr
    cleared = run("clear", "--idle", "1h", "--match", "unt*", "--yes", "-p", str(store))
    assert "left out 1 conversation " in cleared.stderr
    assert run("ls", "-p", str(store)).stderr == ""
