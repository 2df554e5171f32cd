"""The progress bar: for a person on a terminal, after half a second, and for nobody else."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from wcwidth import width

from synmem.cli.progress import progress
from synmem.cli.screen.bars import bar, progress_line, sparks
from tests.cli.processes import on_terminal as program
from tests.screens import Screen

CODE = """
import sys, threading
from synmem.cli import render
from synmem.cli.progress import progress
drawn = threading.Event()
def again(bar):
    drawn.clear()
    assert not bar.watched or drawn.wait(50)
text = "Copying [red]x[/red]\\x1b[2J"
with progress(text, total=1000, quiet="-q" in sys.argv, beside=lambda: drawn.set() or "") as bar:
    for number in range(1000):
        bar.advance()
        if number == 990:
            again(bar)
            render.line("said on stdout")
            render.note("said on stderr")
            render.write(b"not ended ")
            again(bar)
            again(bar)
            render.write(b"until now\\n")
            again(bar)
            again(bar)
print(bar.done)
"""

LATE = """
import sys, threading
from synmem.cli.progress import progress
drawn = threading.Event()
with progress("Copying", beside=lambda: drawn.set() or "") as bar:
    bar.expect(10)
    bar.advance(4)
    assert "at once" in sys.argv or drawn.wait(50)
    bar.advance()
print(bar.done)
"""


def on_terminal(*arguments: str, code: str = CODE, **environment: str) -> str:
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


SAID = ["said on stdout", "said on stderr", "not ended until now", "1000", ""]


def test_in_a_pipe_nothing_is_drawn_and_rich_not_loaded() -> None:
    code = f"{CODE}\nassert 'rich' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (
        0, "said on stdout\nnot ended until now\n1000\n", "said on stderr\n",
    )  # fmt: skip


def test_it_counts_what_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("x") as bar:
        bar.expect(10)
        bar.advance()
        bar.advance(5)
    assert bar.done == 6
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminal")
def test_on_a_terminal_it_is_drawn_as_text_and_goes_away() -> None:
    written = on_terminal()
    assert "Copying [red]x[/red]^[[2J  991/1,000" in written
    assert Screen().feed(written).shown() == SAID
    plain = "\r\n".join(SAID)
    assert on_terminal("-q") == on_terminal(TERM="dumb") == plain


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminal")
def test_what_is_said_meanwhile_stands_above_it_and_never_on_its_line() -> None:
    written = on_terminal(NO_COLOR="1")
    screen = Screen()
    for part in re.split(r"(\r\x1b\[2K)", written):
        screen.feed(part)
        for line in screen.shown():
            assert ("said" in line or "ended" in line) + ("Copying" in line) <= 1
            assert not (line.startswith("Copying") and "1000" in line)
    assert screen.shown() == SAID


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminal")
def test_what_is_done_at_once_is_not_drawn() -> None:
    assert on_terminal("at once", code=LATE) == "5\r\n"
    late = on_terminal(code=LATE)
    assert "Copying  4/10" in late
    assert Screen().feed(late).shown() == ["5", ""]


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminal")
def test_a_second_bar_below_another_is_not_drawn() -> None:
    code = """
import threading
from synmem.cli.progress import progress
drawn = threading.Event()
with progress("Outer", beside=lambda: drawn.set() or ""), progress("Inner") as bar:
    assert not bar.watched
    assert drawn.wait(50)
print("done")
"""
    written = on_terminal(code=code)
    assert "Outer" in written
    assert "Inner" not in written
    assert Screen().feed(written).shown() == ["done", ""]


@pytest.mark.parametrize("columns", [10, 20, 30, 50, 80, 110, 200])
@pytest.mark.parametrize("total", [None, 0, 18_331, 7_800_000_000])
@pytest.mark.parametrize("text", ["Copying chat.db → prod", "日本語の店" * 20, "x"])
def test_its_line_is_one_line(columns: int, total: int | None, text: str) -> None:
    for beside in ("", "1,204 conversations"):
        line = progress_line(text, 7_800, total, width=columns, rate=1863.4, beside=beside)
        assert width(line) <= columns
        assert "\n" not in line
        assert line.count("7,800") or columns < 20


def test_what_has_no_room_goes_by_what_it_is_worth() -> None:
    def line(columns: int) -> str:
        shown = progress_line(
            "Copying chat.db → prod", 7_800, 18_331, width=columns, rate=1863, beside="9 conversations"
        )  # fmt: skip
        return " ".join(re.sub(r"\x1b\[\d*m|━+", "", shown).split())

    whole = "Copying chat.db → prod 7,800/18,331 in 9 conversations 42% 1,863/s 0:06 left"
    assert line(110) == whole
    assert line(80) == whole.replace("in 9 conversations ", "")
    assert line(49) == "Copying chat.d… 7,800/18,331 42% 1,863/s 0:06"
    assert line(40) == "Copying chat.db →… 7,800/18,331 42% 0:06"
    assert line(20) == "Copyin… 7,800/18,331"


def test_bars_and_sparks() -> None:
    assert [bar(part, 4) for part in (0, 0.001, 0.5, 0.6, 1, 2)] == ["", "▏", "██", "██▍", "████", "████"]  # fmt: skip
    assert sparks([0, 1, 50, 100]) == " ▁▅█"
    assert sparks([0, 0]) == "  "


def test_check_writes_its_lines_above_the_bar(tmp_path: Path) -> None:
    """Two stores of 3,000 conversations that all differ: the bar is drawn between their lines."""
    sides = []
    for text in ("x", "y"):
        file = tmp_path / f"{text}.jsonl"
        lines = (
            {"conversation_id": f"c{number:04}", "role": "user", "content": text * (number % 7 + 1)}
            for number in range(3000)
        )
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        sides.append(str(file))
    code, written = program("check", *sides, columns=100)
    shown = Screen(100).feed(written).shown()
    assert code == 7
    lines = [line for line in shown if line.startswith("* c")]
    assert len(lines) == 3000
    assert all(re.fullmatch(r"\* c\d{4}  message 1: content", line) for line in lines)
    assert not [line for line in shown if line.startswith("Comparing")]
