"""The progress bar: for a person on a terminal, and for nobody else."""

import subprocess
import sys

import pytest

from synmem.cli.progress import progress

CODE = """
import sys, time
from synmem.cli.progress import progress
with progress("Copying [red]x[/red]\\x1b[2J", total=1000, quiet="-q" in sys.argv) as bar:
    for _ in range(1000):
        bar.advance()
    time.sleep(0.3)
print(bar.done)
"""


LATE = """
import asyncio, sys
from synmem.cli.progress import late_progress
async def work():
    async with late_progress("Copying") as bar:
        bar.expect(10)
        bar.advance(4)
        await asyncio.sleep(float(sys.argv[1]))
        bar.advance()
    print(bar.done)
asyncio.run(work())
"""


def on_terminal(*arguments: str, code: str = CODE, **environment: str) -> str:
    import os
    import pty

    child, terminal = pty.fork()
    if child == 0:
        os.environ.update({"TERM": "xterm", **environment})
        os.execv(sys.executable, [sys.executable, "-c", code, *arguments])
    shown = b""
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    os.close(terminal)
    os.waitpid(child, 0)
    return shown.decode()


def test_in_a_pipe_nothing_is_drawn_and_rich_not_loaded() -> None:
    code = f"{CODE}\nassert 'rich' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1000\n", "")


def test_it_counts_what_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("x") as bar:
        bar.expect(10)
        bar.advance()
        bar.advance(5)
    assert bar.done == 6
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminal")
def test_on_a_terminal_it_is_drawn_as_text() -> None:
    shown = on_terminal()
    assert "Copying [red]x[/red]^[[2J" in shown
    assert "/1,000" in shown
    assert on_terminal("-q") == on_terminal(TERM="dumb") == "1000\r\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminal")
def test_what_is_done_at_once_is_not_drawn() -> None:
    assert on_terminal("0", code=LATE) == "5\r\n"
    late = on_terminal("1.5", code=LATE)
    assert "Copying 4/10" in late
    assert late.endswith("5\r\n")
