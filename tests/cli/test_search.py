"""`synmem search` as a person and a script see it."""

import asyncio
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import wcwidth
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
        ["conversation_id", "position", "role", "content", "score", "created_at", "title", "tools"]
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


@pytest.fixture
def described(tmp_path: Path) -> str:
    """A store with a title, times and tools."""
    file = tmp_path / "described.jsonl"
    file.write_text(
        '{"conversation_id": "plans", "title": "Redis plans"}\n'
        '{"conversation_id": "plans", "role": "user", "content": "A redis pool?", "created_at": "2026-01-02T00:00:00Z"}\n'
        '{"conversation_id": "plans", "role": "assistant", "content": "", "tool_calls": [{"id": "1", "name": "redis_get", "arguments": {}}]}\n'
        '{"conversation_id": "plans", "role": "tool", "content": "42", "name": "redis_get", "created_at": "2026-01-03T00:00:00Z"}\n'
    )
    return str(file)


def test_a_title_is_found_under_a_role_of_its_own(described: str) -> None:
    code, out, _ = run("redis plans", "-p", described)
    assert (code, out) == (0, "plans\t1\ttitle\tRedis plans\n")
    assert run("redis", "-p", described, "--role", "title")[1] == out
    found = json.loads(run("plans", "-p", described, "--json")[1])
    assert found == [
        {
            "conversation_id": "plans", "position": 1, "role": "title", "content": "Redis plans",
            "score": found[0]["score"], "created_at": "2026-01-03T00:00:00.000000Z",
            "title": "Redis plans", "tools": [],
        }
    ]  # fmt: skip


def test_names_of_tools_and_beginnings_of_words_are_found(described: str) -> None:
    out = json.loads(run("get", "-p", described, "--json")[1])
    assert [(each["position"], each["tools"]) for each in out] == [
        (3, ["redis_get"]),
        (2, ["redis_get"]),
    ]
    assert run("poo*", "-p", described)[1] == "plans\t1\tuser\tA redis pool?\n"


def test_roles_and_times_choose_and_what_has_no_time_is_told(described: str) -> None:
    assert run("redis", "-p", described, "-r", "user", "--role", "tool")[1].count("\n") == 2
    code, out, err = run(
        "redis", "-p", described, "--since", "2026-01-02", "--until", "2026-01-02T12:00Z"
    )
    assert (code, out) == (0, "plans\t1\tuser\tA redis pool?\n")
    assert err == "left out 1 message without a time\n"
    assert run("redis", "-p", described, "--since", "never")[0] == 2


def test_in_a_pipe_only_v_says_how_many_there_are(described: str) -> None:
    assert run("redis", "-p", described, "-k", "1")[2] == ""
    assert "1 of 4\n" in run("redis", "-p", described, "-k", "1", "-v")[2]
    both = run("redis", "-p", described, "-p", described.replace("described", "other"), "-v")
    assert both[0] == 6


def test_several_stores_are_counted_together(described: str, database: str) -> None:
    code, out, err = run("redis", "-p", described, "-p", database, "-k", "2", "-v")
    assert code == 0
    assert out.count("\n") == 2
    assert "2 of 6\n" in err
    seen, said = both_of_terminal("search", "redis", "-p", described, "-p", database, "-k", "9")
    assert said.startswith(("6 of 6\n", "6 of 6 · "))
    assert b"u/1  #3  user" in re.sub(rb"\x1b\[[0-9;]*m", b"", seen)


def test_a_person_sees_title_place_time_and_how_to_go_on(described: str) -> None:
    seen, said = both_of_terminal("search", "redis", "-p", described, "--no-color")
    shown = seen.decode()
    assert "Redis plans  plans  #1  user  2026-01-02" in shown
    assert "  A redis pool?" in shown
    assert "plans  title  2026-01-03" in shown
    assert "  <- redis_get" in shown
    assert said.startswith("4 of 4")
    assert f"synmem show {described} plans --around 3\n" in said
    said = both_of_terminal("search", "redis", "-p", described, "-k", "3")[1]
    assert said.startswith("3 of 4 · -k 4 for all")


def test_of_very_many_hits_no_more_are_offered_than_anybody_reads(tmp_path: Path) -> None:
    line = '{"conversation_id": "a", "role": "user", "content": "redis"}\n'
    (tmp_path / "chat.jsonl").write_text(line * 150)
    where = ["-p", str(tmp_path / "chat.jsonl")]
    assert both_of_terminal("search", "redis", *where)[1].startswith("5 of 150 · -k 100 for more")
    said = both_of_terminal("search", "redis", "-k", "140", *where)[1]
    assert said.startswith("140 of 150 · -k 150 for all")


def test_each_hit_is_marked_for_a_person(described: str) -> None:
    shown = on_terminal("search", "re* pool", "-p", described)
    assert shown.count(b"\x1b[1;31m") == 2
    assert b"\x1b[36muser" in shown


def test_where_there_is_nothing_a_person_hears_what_is_near(described: str) -> None:
    where = ["-p", described]
    assert both_of_terminal("search", "redus", *where) == (b"", "nothing found; near: redis\n")
    assert both_of_terminal("search", "qqqqq", *where) == (b"", "nothing found\n")
    assert both_of_terminal("search", "redus", "-q", *where) == (b"", "")
    assert run("redus", "-p", described) == (0, "", "")


def test_of_several_stores_what_is_near_is_looked_for_where_none_has_it(
    described: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ("-p", described, "-p", database)
    assert both_of_terminal("search", "redus", *where) == (b"", "nothing found; near: redis\n")
    monkeypatch.setattr("synmem.cli.search._is_seen", lambda session: True)
    monkeypatch.setattr("synmem.operations.searching.search._near_by_scan", None)
    code, out, _ = run("hello", *where)  # which only one of them has
    assert (code, "u/1" in out) == (0, True)


def test_a_hostile_title_and_id_stay_on_their_line(tmp_path: Path) -> None:
    lines = [
        {"conversation_id": "a\n\x1b[2J", "title": "evil\x1b]0;x\x07\n\u202eredis"},
        {"conversation_id": "a\n\x1b[2J", "role": "u\x1b[31m\n", "content": "redis"},
    ]
    file = tmp_path / "chat.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    shown = on_terminal("search", "redis", "-p", str(file), "--no-color")
    assert b"\x1b" not in shown
    assert b"\x07" not in shown
    assert b"a^J^[[2J" in shown


@pytest.mark.parametrize("width", ["40", "50", "80", "110"])
def test_everything_fits_the_width(width: str, tmp_path: Path) -> None:
    texts = ["日本語 redis " * 40, "redis " + "x" * 300, "e\u0301 redis 👩‍👧 " * 20]
    lines = [
        json.dumps({"conversation_id": name, "title": f"{name} redis"}) + "\n"
        + "".join(
            json.dumps({"conversation_id": name, "role": "user", "content": text}) + "\n"
            for text in texts
        )
        for name in ("i" * 90, "日" * 50)
    ]  # fmt: skip
    (tmp_path / "chat.jsonl").write_text("".join(lines))
    shown = on_terminal(
        "search", "redis", "-k", "9", "-q", "--no-color", "-p", str(tmp_path / "chat.jsonl"),
        columns=width,
    )  # fmt: skip
    assert max(wcwidth.width(line) for line in shown.decode().splitlines()) <= int(width)


def test_a_terminal_sees_no_control_characters_of_the_chat(database: str) -> None:
    shown = on_terminal("search", "redis", "-p", database)
    assert b"^[[31m" in shown
    assert b"<U+202E> [link=x]" in shown
    assert b"\x1b[31m" not in shown
    plain = on_terminal("search", "redis", "-p", database, "--no-color")
    assert b"\x1b" not in plain


def on_terminal(*arguments: str, columns: str = "80") -> bytes:
    return both_of_terminal(*arguments, columns=columns)[0]


def both_of_terminal(*arguments: str, columns: str = "80") -> tuple[bytes, str]:
    """What stdout shows on a terminal; and stderr, which is none: no bar is drawn there."""
    main, side = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": columns}
    process = subprocess.Popen(
        [sys.executable, "-m", "synmem", *arguments],
        stdout=side, stderr=subprocess.PIPE, env=environment,
    )  # fmt: skip
    os.close(side)
    shown = b""
    try:
        while piece := os.read(main, 4096):
            shown += piece
    except OSError:  # Linux says so at the end of a terminal
        pass
    finally:
        os.close(main)
        said = process.communicate()[1].decode()
        assert process.returncode == 0, said
    return shown, said
