"""`--lock NAME`: two that must not run at once do not, and nothing but the kernel frees it."""

import json
import os
import signal
from pathlib import Path

import pytest

from synmem.cli.commands import COMMANDS
from tests.cli.moved import lines, make, run
from tests.cli.processes import in_pipe, start


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make(tmp_path / "chat.db", {"a": ["1"]})


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """What is read until somebody has written to it."""
    path = tmp_path / "pipe.jsonl"
    os.mkfifo(path)
    return path


def test_a_lock_that_is_held_ends_the_second_at_once_with_4(store: Path, fifo: Path) -> None:
    holding = start("import", "-p", str(store), "--lock", "nightly", str(fifo))
    with fifo.open("wb") as writing:  # opened by the other side: it has the lock
        result = in_pipe("ls", "-p", str(store), "--lock", "nightly")
        assert (result.returncode, result.stdout) == (4, b"")
        assert b"the lock nightly is held by another synmem" in result.stderr
        assert b"it is free when that one ends" in result.stderr
        error = json.loads(in_pipe("ls", "-p", str(store), "--lock", "nightly", "--json").stderr)
        assert (error["error"]["kind"], error["error"]["retryable"]) == ("unavailable", True)
        assert in_pipe("ls", "-p", str(store), "--lock", "weekly").stdout == b"a\n"
        assert in_pipe("ls", "-p", str(store)).stdout == b"a\n"
        writing.write(lines({"b": ["2"]}))
    assert holding.wait(60) == 0
    holding.communicate()
    assert in_pipe("ls", "-p", str(store), "--lock", "nightly").stdout == b"a\nb\n"


def test_the_kernel_frees_the_lock_of_what_was_killed(store: Path, fifo: Path) -> None:
    holding = start("import", "-p", str(store), "--lock", "nightly", str(fifo))
    with fifo.open("wb"):
        assert in_pipe("ls", "-p", str(store), "--lock", "nightly").returncode == 4
        holding.send_signal(signal.SIGKILL)
        assert holding.wait(60) == -signal.SIGKILL
        assert in_pipe("ls", "-p", str(store), "--lock", "nightly").stdout == b"a\n"
    holding.communicate()


def test_no_child_has_the_lock(store: Path, fifo: Path, tmp_path: Path) -> None:
    """A program that we start and that outlives us, as a pager may."""
    config = tmp_path / "config.toml"
    config.write_text(
        '[profiles.remote]\nbackend = "redis"\nurl = "redis://127.0.0.1:1"\n'
        f"password_command = 'cat \"{fifo}\"'\n"
    )
    config.chmod(0o600)
    asking = start("ls", "-p", "remote", "--config", str(config), "--lock", "nightly")
    with fifo.open("wb"):  # it reads
        assert in_pipe("ls", "-p", str(store), "--lock", "nightly").returncode == 4
        asking.send_signal(signal.SIGKILL)
        asking.wait(60)
        assert in_pipe("ls", "-p", str(store), "--lock", "nightly").stdout == b"a\n"
    asking.communicate()


@pytest.mark.parametrize("name", ["", "a/b", "..\\x", "a b", "ä", "x" * 101, "a\n"])
def test_a_lock_that_is_no_name_is_a_usage_error(store: Path, name: str) -> None:
    result = run("ls", "-p", store, "--lock", name)
    assert result.exit_code == 2
    assert "letters, digits" in result.stderr


@pytest.mark.parametrize("name", [".", "..", "x" * 100, "A-b_c.d"])
def test_every_other_name_is_one(store: Path, name: str, own_folders: Path) -> None:
    assert run("ls", "-p", store, "--lock", name).exit_code == 0
    [file] = (own_folders / "state" / "synmem" / "locks").iterdir()
    assert file.name == f"{name}.lock"


def test_where_no_lock_can_be_it_is_said_and_nothing_done(store: Path, own_folders: Path) -> None:
    (own_folders / "state").write_text("a file")
    result = run("clear", "a", "--yes", "-p", store, "--lock", "nightly")
    assert result.exit_code == 1
    assert result.stderr.startswith("synmem: --lock nightly: ")
    assert run("ls", "-p", store).stdout == "a\n"


def test_every_command_has_it() -> None:
    for words in (*COMMANDS.keys() - {"help", "profile"}, "profile list", "profile test"):
        assert "--lock NAME" in run(*words.split(), "--help").stdout
