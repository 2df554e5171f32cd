"""The commands of a page as a person pastes them: into one shell, on a terminal of 80 columns."""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from tests.pages.blocks import Step
from tests.screens import Screen

_SIZE: Final = (24, 80)
_MARK: Final = "\x1e"
_SECONDS: Final = 240


@dataclass
class Stage:
    """Where commands run: the reader's home, which is also the current folder; variables; and what
    stands on the page instead of what is there, an address say."""

    home: Path
    variables: dict[str, str] = field(default_factory=dict)
    instead: dict[str, str] = field(default_factory=dict)


class Ran(NamedTuple):
    """What a command printed, both streams together, and its exit code; `written` is that with the
    codes for a terminal, where it ran on one."""

    shown: str
    code: int
    written: str = ""


def run(steps: Sequence[Step], stage: Stage) -> list[Ran]:
    """Run them one after the other in one shell, so that `cd` and variables last."""
    script = stage.home.parent / "script.sh"
    script.write_text("".join(_said(number, step, stage) for number, step in enumerate(steps)))
    parts = _on_terminal(["sh", str(script)], stage).split(_MARK)
    return [
        _ran(steps[number], number, written, int(code), stage)
        for number, (written, code) in enumerate(zip(parts[:-1:2], parts[1::2], strict=True))
    ]


def _ran(step: Step, number: int, written: str, code: int, stage: Stage) -> Ran:
    if step.on_terminal:
        shown = "\n".join(Screen(_SIZE[1]).feed(written).shown())
    else:
        shown = _file(number, stage).read_text()
    return Ran(_as_on_the_page(shown, stage), code, written)


def _said(number: int, step: Step, stage: Stage) -> str:
    """A step as the shell gets it; `$?` is what the step before it left."""
    command = step.command
    for said, there in stage.instead.items():
        command = command.replace(said, there)
    into = "" if step.on_terminal else f" >'{_file(number, stage)}' 2>&1 </dev/null"
    return f"(exit $code)\n{{ {command}\n}}{into}\ncode=$?\nprintf '{_MARK}%s{_MARK}' $code\n"


def _file(number: int, stage: Stage) -> Path:
    return stage.home.parent / f"printed-{number}"


def _as_on_the_page(shown: str, stage: Stage) -> str:
    for said, there in stage.instead.items():
        shown = shown.replace(there, said)
    return shown.replace(str(stage.home), "/home/ada")


def _on_terminal(command: list[str], stage: Stage) -> str:
    """All that it writes to a terminal, with the marks."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(stage.home)
        os.execvpe(command[0], command, _environment(stage))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *_SIZE, 0, 0))
    shown = b""
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end and (chunk := _read(terminal)) is not None:
        shown += chunk
    os.close(terminal)
    os.waitpid(child, 0)
    return shown.decode("utf-8", "replace")


def _read(terminal: int) -> bytes | None:
    """What it shows next, perhaps nothing yet; None at the end."""
    if not select.select([terminal], [], [], 1)[0]:
        return b""
    try:
        return os.read(terminal, 65536) or None
    except OSError:  # Linux: the other side is closed
        return None


def _environment(stage: Stage) -> dict[str, str]:
    """That of a fresh machine, with `synmem` on its path."""
    command = stage.home.parent / "bin" / "synmem"
    command.parent.mkdir(exist_ok=True)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m synmem "$@"\n')
    command.chmod(0o755)
    return {
        "HOME": str(stage.home), "PATH": f"{command.parent}:{os.environ['PATH']}", "TZ": "UTC",
        "LANG": "C.UTF-8", "TERM": "xterm-256color", "PAGER": "cat", **stage.variables,
    }  # fmt: skip
