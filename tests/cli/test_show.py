"""`synmem show`: the messages exactly, in every form, and nothing of them as the terminal's own."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from synmem.cli.app import app
from tests.cli.processes import PROGRAM, in_pipe, on_terminal, start
from tests.layouts.foreign import test_claude_code as claude
from tests.layouts.foreign.folders import lines as claude_lines
from tests.layouts.foreign.wholes import FIXTURES

CHATGPT = FIXTURES / "chatgpt-export" / "conversations.json"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


def fill(store: Path, count: int = 5, conversation: str = "a") -> None:
    for i in range(count):
        role = "user" if i % 2 == 0 else "assistant"
        result = run(
            "add", conversation, f"message {i}", "-r", role, "--at", f"2026-01-0{i + 1}T00:00:00Z",
            "-p", str(store),
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr


def shown(store: Path, *arguments: str) -> str:
    result = run("show", "a", "-p", str(store), *arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_in_a_pipe_it_is_role_and_content(store: Path) -> None:
    fill(store, 2)
    assert shown(store) == "User: message 0\nAssistant: message 1\n"


def test_content_is_exact_in_a_pipe(store: Path) -> None:
    text = "\x1b[31m [/INST] [link=http://x]a[/link] :smile: \u202e \0 " + "x" * 5000
    assert in_pipe("add", "a", "-p", str(store), stdin=text.encode()).returncode == 0
    done = in_pipe("show", "a", "-p", str(store))
    assert done.stdout == f"User: {text}\n".encode()


def test_json_is_an_array_and_jsonl_a_line_each(store: Path) -> None:
    fill(store, 3)
    messages = json.loads(shown(store, "--json"))
    assert [each["content"] for each in messages] == ["message 0", "message 1", "message 2"]
    assert messages[0] == {
        "role": "user", "content": "message 0", "created_at": messages[0]["created_at"],
    }  # fmt: skip
    assert json.loads(shown(store, "-f", "json")) == messages
    lines = shown(store, "-f", "jsonl").split("\n")
    assert [json.loads(line) for line in lines[:-1]] == messages
    assert shown(store, "--json", "--role", "tool") == "[]\n"


def test_first_and_last(store: Path) -> None:
    fill(store)
    assert shown(store, "--last", "2") == "User: message 4\n".join(["Assistant: message 3\n", ""])
    assert shown(store, "--first", "1") == "User: message 0\n"
    assert shown(store, "--last", "0") == shown(store, "--first", "0") == ""
    assert shown(store, "--last", "99") == shown(store, "--first", "99") == shown(store)


def test_filters(store: Path) -> None:
    fill(store)
    assert shown(store, "--role", "assistant", "--last", "1") == "Assistant: message 3\n"
    both = shown(store, "-r", "assistant", "-r", "user")
    assert both == shown(store)
    span = shown(store, "--since", "2026-01-02T00:00Z", "--until", "2026-01-04T00:00Z")
    assert span == "Assistant: message 1\nUser: message 2\n"
    assert shown(store, "--role", "nobody") == ""


def test_a_filter_by_time_says_how_many_have_none(store: Path) -> None:
    with sqlite3.connect(store) as database:
        database.execute(
            "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id TEXT "
            "NOT NULL, role TEXT NOT NULL, content TEXT NOT NULL, metadata TEXT)"
        )
        for i in range(3):
            database.execute(
                "INSERT INTO messages (conversation_id, role, content) VALUES ('a', 'user', ?)",
                (str(i),),
            )
    database.close()
    result = run("show", "a", "--since", "30d", "-p", str(store))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "3 messages without a time" in result.stderr


def test_a_record_that_cannot_be_read_is_named_and_the_rest_shown(store: Path) -> None:
    fill(store, 3)
    with sqlite3.connect(store) as database:
        database.execute("UPDATE messages SET metadata = '{broken' WHERE content = 'message 1'")
    database.close()
    result = run("show", "a", "-p", str(store))
    assert result.exit_code == 6
    assert result.stdout == "User: message 0\nUser: message 2\n"
    assert "record 2 cannot be read" in result.stderr
    assert len(json.loads(run("show", "a", "--json", "-p", str(store)).stdout)) == 2


def test_what_is_not_there_is_exit_3_and_prints_nothing(store: Path) -> None:
    fill(store, 1)
    for arguments in ([], ["--json"], ["--last", "3"], ["--follow"], ["--role", "user"]):
        result = run("show", "zz", "-p", str(store), *arguments)
        assert (result.exit_code, result.stdout) == (3, "")
    assert run("show", "a", "-p", str(store.with_name("none.db"))).exit_code == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["--last", "1", "--first", "1"],
        ["--last", "1", "--around", "1"],
        ["--around", "1", "--first", "1"],
        ["--around", "0"],
        ["--follow", "--around", "1"],
        ["--last", "-1"],
        ["--first", "-1"],
        ["--last", "x"],
        ["-f", "xml"],
        ["--since", "soon"],
        ["--follow", "--json"],
        ["--follow", "--first", "1"],
        ["--follow", "--until", "1h"],
    ],
)
def test_what_makes_no_sense_is_a_usage_error(store: Path, arguments: list[str]) -> None:
    fill(store, 1)
    assert run("show", "a", "-p", str(store), *arguments).exit_code == 2


def test_markdown_quotes_each_message(store: Path) -> None:
    fill(store, 2)
    text = shown(store, "-f", "markdown")
    assert text.startswith("## User")
    assert "> message 0\n" in text
    assert "## Assistant" in text


def test_reading_changes_nothing(store: Path) -> None:
    fill(store, 2)
    before = {file.name: file.read_bytes() for file in store.parent.glob("chat.db*")}
    shown(store)
    assert {file.name: file.read_bytes() for file in store.parent.glob("chat.db*")} == before


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_pipe_ends_it_quietly(store: Path, unbuffered: str) -> None:
    assert in_pipe("add", "a", "-p", str(store), stdin=b"x" * 1_000_000).returncode == 0
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$0" -m synmem show a -p "$1" | head -c 10',
         sys.executable, str(store)],
        capture_output=True, timeout=60, env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (141, b"User: xxxx", b"")


# --- on a terminal ----------------------------------------------------------------------------


HOSTILE = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m\u202e[bold]x[/bold][/INST] :smile:"


def test_nothing_stored_reaches_the_terminal_as_its_own(store: Path) -> None:
    added = in_pipe(
        "add", "a", "-r", "user", "-m", json.dumps({"k\x1b[2J": "\x1b[2J"}), "-p", str(store),
        stdin=HOSTILE.encode(),
    )  # fmt: skip
    assert added.returncode == 0
    for form in ("pretty", "text", "markdown", "json", "jsonl"):
        code, text = on_terminal("show", "a", "-p", str(store), "-f", form)
        assert code == 0
        for bad in ("\x1b[2J", "\x1b]", "\x07", "\x9b", "\u202e"):
            assert bad not in text, form
        assert ":smile:" in text
    for form in ("json", "jsonl"):
        text = on_terminal("show", "a", "-p", str(store), "-f", form)[1]
        data = json.loads(text)
        assert (data[0] if form == "json" else data)["content"] == HOSTILE


def test_what_is_long_goes_through_the_pager(store: Path, tmp_path: Path) -> None:
    fill(store, 3)
    seen = tmp_path / "seen"
    pager = f"(echo LESS=$LESS; cat) > {seen}"
    code, text = on_terminal("show", "a", "-p", str(store), PAGER=pager)
    assert (code, text) == (0, "")
    lines = seen.read_text().splitlines()
    assert lines[0] == "LESS=FRX"
    assert "message 2" in lines[-1]
    assert "message 2" in on_terminal("show", "a", "-p", str(store), "--no-pager", PAGER=pager)[1]
    assert "message 2" in on_terminal("show", "a", "-p", str(store), PAGER="")[1]


def test_leaving_the_pager_early_ends_it_quietly(store: Path) -> None:
    assert in_pipe("add", "a", "-p", str(store), stdin=b"x" * 3_000_000).returncode == 0
    assert on_terminal("show", "a", "-p", str(store), PAGER="true") == (0, "")


# --- following --------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_follow_goes_on_with_what_arrives_until_ctrl_c(store: Path) -> None:
    fill(store, 3)
    process = start("show", "a", "--last", "1", "--follow", "-p", str(store))
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"User: message 2\n"
        for i in range(3):
            run("add", "a", f"new {i}", "-p", str(store))
            assert process.stdout.readline() == f"User: new {i}\n".encode()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_follow_ends_when_nobody_reads_any_more(store: Path) -> None:
    fill(store, 1)
    process = start("show", "a", "--follow", "-p", str(store))
    assert process.stdout is not None
    try:
        process.stdout.readline()
        process.stdout.close()
        for _ in range(50):
            run("add", "a", "more", "-p", str(store))
            time.sleep(0.1)
            if process.poll() is not None:
                break
        assert process.stderr is not None
        assert process.wait(30) == 141
        assert process.stderr.read() == b""
        process.stderr.close()
    finally:
        process.kill()
        process.wait()


def test_start_up_imports_only_what_it_needs(store: Path) -> None:
    fill(store, 1)
    code = (
        "import sys; from synmem.cli.app import app\n"
        f"try: app(['show', 'a', '-p', {str(store)!r}])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'rich', 'tomlkit', 'tomli_w', 'httpx', 'redis', 'synmem.cli.add',"
        " 'synmem.formats', 'synmem.cli.times'}\n"
        "print(heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "User: message 0\nset()\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_stdout_is_named_and_behind_stderr_changes_no_exit_code(
    tmp_path: Path,
) -> None:
    file = str(tmp_path / "chat.db")
    in_pipe("add", "a", "hello", "-p", file)
    with Path("/dev/full").open("wb") as full:
        show = [*PROGRAM, "show", "-p", file]
        done = subprocess.run([*show, "a"], stdout=full, stderr=subprocess.PIPE)
        assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
        assert b"stdout: No space left" in done.stderr
        for options in ([], ["--json"]):
            assert subprocess.run([*show, "none", *options], stderr=full).returncode == 3


def test_a_record_that_cannot_be_read_is_named_once(tmp_path: Path) -> None:
    file = tmp_path / "-home" / claude.FILE.rpartition("/")[2]
    file.parent.mkdir()
    file.write_bytes(claude_lines(claude.asked("u1", None, "q")) + b'{"type":"user", broken\n')
    done = run("show", "-p", str(tmp_path), claude.SESSION)
    assert done.exit_code == 6
    name = f"-home/{file.name}"
    assert f"record {name}:2 cannot be read: Expecting" in done.stderr
    assert done.stderr.count(name) == 1
    cut = tmp_path / "trunc.json"
    cut.write_bytes(CHATGPT.read_bytes()[:200])
    done = run("check", str(cut))
    assert done.exit_code == 6
    assert done.stderr.startswith(f"{cut}: stray: it cannot be read: ")
