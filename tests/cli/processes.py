"""The program as a real process: in a pipe, and on a terminal of its own."""

import os
import select
import subprocess
import sys
import time
from pathlib import Path

PROGRAM = [sys.executable, "-m", "synmem"]
_CTRL_C = b"\x03"


def in_pipe(
    *arguments: str | bytes, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Run it with all three streams in pipes."""
    return subprocess.run(
        [*PROGRAM, *arguments], input=stdin, capture_output=True, timeout=60,
        env={**os.environ, **environment},
    )  # fmt: skip


def unwrapped(shown: str) -> str:
    """What was shown on a terminal, in one line: as it is said, wherever it was wrapped."""
    return " ".join(shown.split())


def start(*arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    """Start it with stdout and stderr in pipes."""
    return subprocess.Popen(
        [*PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**os.environ, **environment},
    )  # fmt: skip


def on_terminal(
    *arguments: str,
    typed: bytes = b"",
    prompt: bytes = b"? ",
    cwd: Path | None = None,
    columns: int = 80,
    **environment: str,
) -> tuple[int, str]:
    """Run it on a terminal of so many columns; exit code and all that was shown.

    `typed` is typed when the `prompt` is there; a Ctrl-C is typed again while nothing comes of it,
    since one that falls between Python's look for signals and its read is not heard.
    """
    import fcntl
    import pty
    import struct
    import termios

    child, terminal = pty.fork()
    if child == 0:
        if cwd is not None:
            os.chdir(cwd)
        # Of COLUMNS, which pytest's readline sets, os.environ need not know: it is not handed on.
        kept = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        given = {**kept, "TERM": "xterm-256color", "PAGER": "cat", **environment}
        os.execve(PROGRAM[0], [*PROGRAM, *arguments], given)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    shown = b""
    end = time.monotonic() + 60
    again = end
    try:
        while time.monotonic() < end:
            if typed and prompt in shown:
                os.write(terminal, typed)
                again = time.monotonic() + 5 if typed.endswith(_CTRL_C) else end
                typed = b""
            elif time.monotonic() > again:
                os.write(terminal, _CTRL_C)
                again = time.monotonic() + 5
            if select.select([terminal], [], [], 0.1)[0]:
                try:
                    chunk = os.read(terminal, 65536)
                except OSError:  # Linux: the other side is closed
                    break
                if not chunk:
                    break
                shown += chunk
    finally:
        os.close(terminal)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), shown.decode("utf-8", "replace")
