"""`synmem show` on a terminal: a page that fits it, opened at the newest, with all of a message."""

import asyncio
import json
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from synmem.backends import open_store
from synmem.cli import showing
from synmem.cli.app import app
from synmem.cli.screen.columns import cells
from synmem.messages import Conversation, Message
from synmem.operations.looking import infos_of
from synmem.store import Part
from tests.cli.processes import in_pipe, on_terminal, start
from tests.cli.screen.reading import SGR

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
CALL = {"id": "call_1", "name": "Read", "arguments": {"file_path": "/x", "more": "y" * 300}}
TALK = [
    Message(
        "user", "Which **List<String>**?\n日本語 שלום e\u0301 👍🏽", created_at=START, name="Ada"
    ),
    Message("assistant", "", tool_calls=[CALL], created_at=START + timedelta(seconds=9)),
    Message("tool", "first\n" + "line\n" * 99, tool_call_id="call_1"),
    Message("assistant", "word " * 50, created_at=START + timedelta(days=1), metadata={"k": "v"}),
]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def fill(file: Path, messages: list[Message], *, title: str | None = None) -> Path:
    async def write() -> None:
        async with open_store("sqlite", {"db_path": str(file)}, write=True) as store:
            await store.append([Part(Conversation("a", title=title), messages)])

    asyncio.run(write())
    return file


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return fill(tmp_path / "chat.db", TALK, title="A talk \x1b[2Jabout [bold]lists[/bold]")


@pytest.fixture
def long(tmp_path: Path) -> Path:
    return fill(tmp_path / "chat.db", [Message("user", f"message {i}") for i in range(1, 251)])


def shown(store: Path, *arguments: str, columns: int = 80, **environment: str) -> str:
    code, text = on_terminal(
        "show", "a", "-p", store.name, *arguments, cwd=store.parent, TZ="UTC",
        COLUMNS=str(columns), **environment,
    )  # fmt: skip
    assert code == 0, text
    return text.replace("\r\n", "\n")


def plain(store: Path, *arguments: str, columns: int = 80) -> str:
    return SGR.sub("", shown(store, *arguments, columns=columns))


def test_a_page_has_a_head_days_and_messages(store: Path) -> None:
    assert plain(store, columns=200) == (
        "A talk ^[[2Jabout [bold]lists[/bold]\n"
        "a · 4 messages · 2026-01-01 to 2026-01-02 · chat.db\n\n"
        f"── Thu 2026-01-01 {'─' * 82}\n\n"
        "user Ada  #1  12:00:00\n  Which List<String>?\n  日本語 שלום e\u0301 👍🏽\n\n"
        f'assistant  #2  12:00:09\n  → Read({{"file_path":"/x","more":"{"y" * 64}…\n\n'
        "tool  #3\n  ← Read 501 B, 101 lines: first\n\n"
        f"── Fri 2026-01-02 {'─' * 82}\n\n"
        f"assistant  #4  12:00:00\n  {('word ' * 19).strip()}\n"
        + f"  {('word ' * 19).strip()}\n  {('word ' * 12).strip()}\n"
    )


@pytest.mark.parametrize("columns", [20, 50, 80, 110, 200])
@pytest.mark.parametrize("option", [[], ["--full"]])
def test_every_line_fits_the_terminal_and_is_at_most_100_wide(
    store: Path, columns: int, option: list[str]
) -> None:
    lines = plain(store, *option, columns=columns).split("\n")
    assert max(map(cells, lines)) <= min(100, columns)


def test_colours_tell_roles_and_none_come_where_none_are_wanted(store: Path) -> None:
    text = shown(store)
    assert "\x1b[1;36muser" in text and "\x1b[1;32massistant" in text and "\x1b[1;35mtool" in text
    assert "\x1b[1mList<String>" in text and "\x1b[4" not in text.replace("\x1b[4m", "")
    for options in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        bare = shown(store, **options)
        assert "\x1b" not in bare and "**List<String>**" in bare


def test_full_unfolds_and_raw_is_as_stored(store: Path) -> None:
    full = plain(store, "--full")
    assert full.count("line") >= 99 and '"file_path": "/x"' in full and '"k": "v"' in full
    raw = plain(store, "--raw")
    assert "Which **List<String>**?" in raw and "word " * 50 in raw
    assert json.dumps(CALL, separators=(",", ":")) in raw


def test_of_many_the_newest_are_shown_and_it_is_said(long: Path) -> None:
    text = plain(long)
    assert "250 messages" in text and "the newest 200: --last N, --first N, --around N" in text
    assert "#51\n  message 51\n" in text and "message 50\n" not in text and "#250" in text
    for options in (["--last", "250"], ["--first", "300"]):
        assert "#1\n  message 1\n" in plain(long, *options)
    assert plain(long, "--last", "2").count("#") == 2
    assert in_pipe("show", "a", "-p", str(long)).stdout.count(b"\n") == 250


@pytest.mark.parametrize("times", [1, 99])
def test_what_arrives_while_it_is_counted_moves_no_position(
    long: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Whoever writes without an end has no positions shown; wrong ones never."""
    arrived = 0

    async def counted(store: Any, ids: Any, **details: Any) -> Any:
        nonlocal arrived
        if arrived < times:
            arrived += 1
            async with open_store("sqlite", {"db_path": str(long)}, write=True) as other:
                message = Message("user", f"message {250 + arrived}")
                await other.append([Part(Conversation("a"), [message])])
        return await infos_of(store, ids, **details)

    monkeypatch.setattr(showing, "infos_of", counted)
    result = run("show", "a", "-p", long, "-f", "pretty", "--last", "201")
    assert result.exit_code == 0
    last = 251 if times == 1 else 250 + arrived - 1
    numbers = re.findall(r"#(\d+)\n  message (\d+)\n", result.stdout)
    assert f"  message {last}\n" in result.stdout
    if times == 1:
        assert [*map(int, chain(*numbers))] == [n for n in range(51, 252) for _ in range(2)]
    else:
        assert numbers == [] and "#" not in result.stdout


def test_positions_are_those_of_search(long: Path) -> None:
    hits = json.loads(run("search", '"message 77"', "-p", long, "--json").stdout)
    assert hits[0]["position"] == 77
    for options in (["--around", "77"], ["--last", "200"], ["--first", "99"], ["-r", "user"]):
        assert "#77" in plain(long, *options)


def test_around_shows_what_stands_beside_a_message(long: Path) -> None:
    text = plain(long, "--around", "77")
    assert "#77 ◀\n  message 77\n" in text and text.count("◀") == 1
    assert [f"#{i}" in text for i in (71, 72, 82, 83)] == [False, True, True, False]
    found = json.loads(run("show", "a", "-p", long, "--around", "77", "--json").stdout)
    assert [each["content"] for each in found] == [f"message {i}" for i in range(72, 83)]
    piped = run("show", "a", "-p", long, "--around", "1").stdout
    assert piped.split("\n")[0] == "User: message 1" and piped.count("\n") == 6
    assert run("show", "a", "-p", long, "--around", "250").stdout.count("\n") == 6


@pytest.mark.parametrize("number", ["251", "256", "1000000"])
def test_a_position_beyond_the_end_is_exit_3_and_says_how_many_there_are(
    long: Path, number: str
) -> None:
    done = run("show", "a", "-p", long, "--around", number)
    assert (done.exit_code, done.stdout) == (3, "")
    assert "it has 250" in done.stderr
    done = run("show", "b", "-p", long, "--around", number)
    assert done.exit_code == 3 and "no conversation" in done.stderr


@pytest.fixture
def less(tmp_path: Path) -> Path:
    """A program that is called less, and writes down how it was called and what it was given."""
    program = tmp_path / "bin" / "less"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/args\ncat > {tmp_path}/seen\n')
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ([], "+G"), (["--last", "152"], "+G"), (["--since", "2020-01-01"], None), (["--first", "99"], ""),
        (["--around", "99"], "+19"), (["--around", "250"], "+6"),
    ],
)  # fmt: skip
def test_less_opens_at_the_newest_or_at_what_was_asked_for(
    long: Path, less: Path, options: list[str], start: str | None
) -> None:
    text = shown(long, *options, PAGER=str(less), LINES="16")
    args = less.parent.parent / "args"
    if start is None:  # it fits the screen
        assert not args.exists() and text
    else:
        assert args.read_text().strip() == start and text == ""
        seen = (less.parent.parent / "seen").read_text()
        assert "message 99\n" in seen or "message 250\n" in seen


def test_what_fits_the_screen_needs_no_pager(store: Path, less: Path) -> None:
    assert "A talk" in shown(store, PAGER=str(less), LINES="60")
    assert not (less.parent.parent / "args").exists()


def test_a_record_that_cannot_be_read_is_named_in_its_place(store: Path) -> None:
    with sqlite3.connect(store) as database:
        database.execute("UPDATE messages SET metadata = '{broken' WHERE role = 'tool'")
    database.close()
    code, text = on_terminal("show", "a", "-p", str(store), COLUMNS="200")
    assert code == 6
    before, _, after = SGR.sub("", text).partition("#3  record 3 cannot be read: ")
    assert "#2" in before and "#4" in after and "1 record cannot be read" in after


def test_follow_draws_what_arrives(store: Path) -> None:
    process = start("show", "a", "-p", str(store), "-f", "pretty", "--last", "1", "--follow")
    assert process.stdout is not None
    try:
        seen = iter(process.stdout.readline, b"")
        assert any(b"#4" in line for line in seen)
        run("add", "a", "more", "-p", store)
        assert any(line.startswith(b"user  #5") for line in seen)
        assert next(seen) == b"  more\n"
    finally:
        process.kill()
        process.communicate()


def test_pretty_in_a_pipe_is_whole_100_wide_and_has_no_colours(store: Path) -> None:
    text = in_pipe("show", "a", "-p", str(store), "-f", "pretty").stdout.decode()
    assert "\x1b" not in text and text.count("line") >= 99 and "**List<String>**" in text
    assert max(map(cells, text.split("\n"))) <= 100


def test_the_text_form_says_of_itself_what_it_is_for() -> None:
    assert "for reading, not for parsing" in " ".join(run("show", "--help").stdout.split())
