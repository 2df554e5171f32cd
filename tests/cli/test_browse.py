"""`synmem browse`, as a command and as a real process: where it starts, and how it ends."""

import contextlib
import fcntl
import os
import pty
import signal
import struct
import termios
from pathlib import Path

import pytest

from tests.cli.processes import PROGRAM, in_pipe, on_terminal
from tests.test_layers import loaded

ALTERNATE = "\x1b[?1049h"
BACK = "\x1b[?1049l"


@pytest.fixture
def store(tmp_path: Path) -> str:
    path = str(tmp_path / "chat.db")
    in_pipe("add", "talk", "Is anybody there?", "-p", path)
    return path


def test_without_a_terminal_it_names_the_commands_that_need_none(store: str) -> None:
    done = in_pipe("browse", store)
    assert done.returncode == 2
    assert b"synmem ls" in done.stderr
    assert b"synmem show" in done.stderr


def test_a_dumb_terminal_is_none(store: str) -> None:
    code, shown = on_terminal("browse", store, TERM="dumb")
    assert code == 2
    assert ALTERNATE not in shown


@pytest.mark.parametrize(("typed", "code"), [(b"q", 0), (b"\x03", 130)])
def test_it_leaves_at_once_and_the_terminal_as_it_was(store: str, typed: bytes, code: int) -> None:
    ended, shown = on_terminal("browse", store, typed=typed, prompt=b"Is anybody there?")
    assert ended == code
    assert shown.index(ALTERNATE) < shown.rindex(BACK)
    assert shown.rindex("\x1b[?25h") > shown.index(ALTERNATE)  # the cursor is there again


def test_a_signal_ends_it_and_leaves_the_terminal_as_it_was(store: str) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(PROGRAM[0], [*PROGRAM, "browse", store])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    shown, sent = b"", False
    with contextlib.suppress(OSError):  # Linux: the other side is closed
        while chunk := os.read(terminal, 65536):
            shown += chunk
            if b"Is anybody there?" in shown and not sent:
                os.kill(child, signal.SIGTERM)
                sent = True
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 143
    assert b"terminated" in shown.rpartition(BACK.encode())[2]


def test_a_store_that_is_not_there_is_exit_3_and_said_on_the_terminal(tmp_path: Path) -> None:
    code, shown = on_terminal("browse", str(tmp_path / "none.db"))
    assert code == 3
    assert "none.db" in shown.rpartition(BACK)[2]


def test_a_server_that_is_not_there_is_exit_4() -> None:
    code, shown = on_terminal("browse", "redis://127.0.0.1:1/0")
    assert code == 4
    assert "127.0.0.1" in shown.rpartition(BACK)[2]


def test_there_are_no_colours_where_none_are_wanted(store: str) -> None:
    _, shown = on_terminal("browse", store, typed=b"q", prompt=b"there?", NO_COLOR="1")
    assert "\x1b[36m" not in shown
    assert ";36m" not in shown


def test_without_textual_it_names_the_extra(store: str, tmp_path: Path) -> None:
    (tmp_path / "hiding").mkdir()
    (tmp_path / "hiding" / "textual.py").write_text("raise ImportError('not installed')\n")
    code, shown = on_terminal("browse", store, PYTHONPATH=str(tmp_path / "hiding"))
    assert code == 1
    assert "pip install 'synmem-cli[tui]'" in shown


def test_other_commands_do_not_load_textual() -> None:
    assert "textual" not in loaded("--help")
    assert "textual" not in loaded("browse", "--help")
