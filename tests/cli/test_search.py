"""`synmem search` as a person and a script see it."""

import asyncio
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from synmem.backends import open_store
from synmem.cli.app import app
from synmem.messages import Conversation, Message
from synmem.store import Part

TALK = {
    "u/1": ["Hello", "A Redis\tcluster\nwith hash tags \\o/", "\x1b[31m redis\u202e [link=x]"],
    "u 2": ["nothing of that kind"],
}


@pytest.fixture
def database(tmp_path: Path) -> str:
    file = tmp_path / "chat.db"

    async def fill() -> None:
        async with open_store("sqlite", {"db_path": str(file)}, write=True) as store:
            await store.append(
                [
                    Part(Conversation(name), [Message("user", text) for text in texts])
                    for name, texts in TALK.items()
                ]
            )

    asyncio.run(fill())
    return str(file)


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["search", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_a_pipe_gets_a_line_for_each_message(database: str) -> None:
    code, out, _ = run("REDIS cluster", "-p", database)
    assert (code, out) == (0, "u/1\t2\tuser\tA Redis\\tcluster\\nwith hash tags \\\\o/\n")


def test_json_has_the_exact_content(database: str) -> None:
    code, out, _ = run("redis", "-p", database, "--json")
    found = json.loads(out)
    assert code == 0
    assert [list(each) for each in found] == [
        ["conversation_id", "position", "role", "content", "score"]
    ] * 2
    assert {each["content"] for each in found} == set(TALK["u/1"][1:])


def test_nothing_found_is_no_failure(database: str) -> None:
    assert run("zebra", "-p", database)[:2] == (0, "")
    assert run("zebra", "-p", database, "--json")[:2] == (0, "[]\n")


def test_a_conversation_that_was_named_must_be_there(database: str) -> None:
    assert run("nothing", "-p", database, "--conversation", "u 2")[0] == 0
    assert run("nothing", "-p", database, "--conversation", "u/1")[:2] == (0, "")
    assert run("nothing", "-p", database, "--conversation", "gone")[0] == 3


def test_senseless_queries_and_numbers_are_usage_errors(database: str) -> None:
    assert run("?!", "-p", database)[0] == 2
    assert run("a", "-k", "0", "-p", database)[0] == 2


def test_the_default_store_is_empty_until_something_is_added() -> None:
    assert run("anything")[:2] == (0, "")
    assert run("anything", "-p", "nowhere.db")[0] == 3


def test_an_unreadable_record_is_named_and_the_rest_is_found(tmp_path: Path) -> None:
    file = tmp_path / "chat.jsonl"
    file.write_text(
        '{"conversation_id":"a","role":"user","content":"redis one"}\n'
        '{"conversation_id":"a","role":"user","content":7}\n'
        '{"conversation_id":"a","role":"user","content":"redis two"}\n'
    )
    code, out, err = run("redis", "-p", str(file))
    assert code == 6
    assert {line.split("\t")[1] for line in out.splitlines()} == {"1", "3"}
    assert "a, message 2 cannot be read" in err


def test_a_terminal_sees_no_control_characters_of_the_chat(database: str) -> None:
    shown = on_terminal("search", "redis", "-p", database)
    assert b"^[[31m" in shown
    assert b"<U+202E> [link=x]" in shown
    assert b"\x1b[31m" not in shown
    plain = on_terminal("search", "redis", "-p", database, "--no-color")
    assert b"\x1b" not in plain


def on_terminal(*arguments: str) -> bytes:
    main, side = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen(
        [sys.executable, "-m", "synmem", *arguments], stdout=side, stderr=side, env=environment
    )
    os.close(side)
    shown = b""
    try:
        while piece := os.read(main, 4096):
            shown += piece
    except OSError:  # Linux says so at the end of a terminal
        pass
    finally:
        os.close(main)
        assert process.wait() == 0
    return shown
