"""The commands on a Redis server: each once, and how they end where the server fails them."""

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.backends.redis.place import Place, drop
from tests.backends.redis.test_faults import private
from tests.cli.moved import make, run
from tests.cli.processes import in_pipe, start
from tests.services import free_port

SAID = {"a": ["1", "2", "3"], "b / é\n*": ["\ud800", "NUL \0"], ":messages": ["x"]}


@pytest.fixture
def place(redis_server: Any) -> Iterator[Place]:
    with redis.Redis.from_url(redis_server.url) as raw:
        place = Place(redis_server.url, raw)
        yield place
    drop(place.url, place.prefix)


@pytest.fixture
def config(place: Place, tmp_path: Path) -> Path:
    """A config.toml whose only profile is the place."""
    path = tmp_path / "config.toml"
    path.write_text(
        f'default_profile = "cache"\n[profiles.cache]\nbackend = "redis"\n'
        f'url = "{place.url}"\nprefix = "{place.prefix}"\n'
    )
    path.chmod(0o600)
    return path


def test_every_command_works(place: Place, config: Path, tmp_path: Path) -> None:
    def told(*arguments: Any, code: int = 0, stdin: bytes | None = None) -> str:
        result = run(*arguments, "--config", config, stdin=stdin)
        assert result.exit_code == code, (arguments, result.output)
        return str(result.stdout)

    assert "ok: cache (redis), 0 conversations" in told("profile", "test", "cache")
    assert told("ls") == ""
    told("add", "user-1", "Hello from Redis!")
    told("add", "user-1", "An answer", "-r", "assistant", "-m", '{"k": 1}')
    told("add", "user-2", "Another")
    assert told("show", "user-1") == "User: Hello from Redis!\nAssistant: An answer\n"
    assert told("show", "user-1", "--last", "1") == "Assistant: An answer\n"
    listed = json.loads(told("ls", "--json"))
    assert {each["conversation_id"]: each["messages"] for each in listed} == {
        "user-1": 2, "user-2": 1,
    }  # fmt: skip
    assert [each["content"] for each in json.loads(told("search", "answer", "--json"))] == [
        "An answer"
    ]
    assert json.loads(told("stats", "--json"))["messages"] == 3
    told("context", "user-1")
    exported = told("export", "--seal")
    told("check", "cache")
    told("clear", "user-1", "--yes")
    told("show", "user-1", code=3)
    told("undo")
    assert told("show", "user-1") == "User: Hello from Redis!\nAssistant: An answer\n"
    told("clear", "--all", "--confirm", "cache")
    assert told("ls") == ""
    told("import", stdin=exported.encode())
    assert told("show", "user-1") == "User: Hello from Redis!\nAssistant: An answer\n"
    told("summarize", "user-1", "--method", "extractive")
    told("migrate", "cache", tmp_path / "copy.db")
    told("check", "cache", tmp_path / "copy.db")


def test_there_and_back_is_the_same(place: Place, config: Path, tmp_path: Path) -> None:
    source = make(tmp_path / "source.db", SAID, title="T \u2028", extra={"k": [1.0, 2**70]})
    back = tmp_path / "back.db"
    for arguments in (
        ("migrate", source, "cache"),
        ("check", source, "cache"),
        ("migrate", "cache", back),
        ("check", source, back),
        ("migrate", source, "cache"),
    ):
        result = run(*arguments, "--config", config)
        assert result.exit_code == 0, result.output
    assert "3 equal already; 0 messages written" in result.stderr


def test_ghosts_and_orphans_are_told_and_are_no_fault(place: Place, config: Path) -> None:
    run("add", "whole", "x", "--config", config)
    place.raw.sadd(place.key("conversations"), "ghost")
    place.raw.rpush(place.key("orphan:messages"), '{"role": "u", "content": "x"}')
    result = run("check", "cache", "--config", config)
    assert result.exit_code == 0
    assert "'ghost': ghost: " in result.stderr
    assert "'orphan': orphan: " in result.stderr
    assert "2 conversations, 2 messages: sound" in result.stderr
    exported = run("export", "--config", config)
    assert exported.exit_code == 0
    assert "ghost" not in exported.output
    place.raw.sadd(place.key("conversations"), b"\xff")
    assert run("check", "cache", "--config", config).exit_code == 6


def test_an_item_that_cannot_be_read_is_named(place: Place, config: Path, tmp_path: Path) -> None:
    place.raw.rpush(place.key("c:messages"), '{"role": "u", "content": "x"}', "broken")
    assert run("check", "cache", "--config", config).exit_code == 6
    result = run("migrate", "cache", tmp_path / "copy.db", "--config", config)
    assert result.exit_code == 6
    assert "not JSON" in result.stderr


# --- how they end where the server fails them ---


@pytest.mark.parametrize("arguments", [("ls",), ("add", "c", "x"), ("show", "c"), ("stats",)])
def test_a_server_that_is_not_there_is_exit_4_within_seconds(arguments: Any) -> None:
    begun = time.monotonic()
    done = in_pipe(*arguments, "-p", f"redis://:hidden-word@127.0.0.1:{free_port()}/0")
    assert time.monotonic() - begun < 20
    assert (done.returncode, done.stdout) == (4, b"")
    assert b"hidden-word" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2, done.stderr


def test_a_wrong_password_is_exit_5_and_not_shown(tmp_path: Path) -> None:
    with private(tmp_path, password="right-word") as server:
        for user in ("", ":wrong-word@", "nobody:wrong-word@"):
            done = in_pipe("ls", "-v", "-p", f"redis://{user}127.0.0.1:{server.port}/0")
            assert (done.returncode, done.stdout) == (5, b"")
            assert b"wrong-word" not in done.stderr
        config = tmp_path / "config.toml"
        config.write_text(
            f'[profiles.p]\nbackend = "redis"\nurl = "redis://127.0.0.1:{server.port}/0"\n'
            'password = "right-word"\n'
        )
        config.chmod(0o600)
        done = in_pipe("add", "c", "x", "-p", "p", "--config", str(config))
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kills", [1, pytest.param(4, marks=pytest.mark.real)])
def test_a_migration_that_was_killed_is_completed_by_a_second_run_at_once(
    place: Place, config: Path, tmp_path: Path, kills: int
) -> None:
    source = make(
        tmp_path / "source.db",
        {"long": [str(n) for n in range(20_000)], **{f"c{n}": ["x", "y"] for n in range(1_500)}},
    )
    arguments = ("migrate", str(source), "cache", "--config", str(config))
    for _ in range(kills):
        first = start(*arguments)
        time.sleep(random.uniform(0.3, 1.2))
        first.kill()
        second = in_pipe(*arguments)
        first.communicate()
        assert second.returncode == 0, second.stderr
        assert in_pipe("check", str(source), "cache", "--config", str(config)).returncode == 0
        drop(place.url, place.prefix)
