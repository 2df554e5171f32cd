"""A picture of what a command shows on a terminal, as an SVG that looks the same everywhere.

python -m tests.pictures OUT.svg [--columns N] [--dark] -- COMMAND ...

It is text in the reader's own monospace font: each run of cells is set to its width, so that the
columns stay. Nothing is loaded from anywhere.
"""

import argparse
import fcntl
import os
import pty
import select
import shlex
import struct
import sys
import termios
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from tests.screens import Cell, Screen, Style

_CELL, _LINE, _SIZE, _MARGIN = 8.4, 19.0, 14, 14
_FONT: Final = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_DIM: Final = 0.6

LIGHT: Final = (
    "#ffffff", "#1f2328",
    ("#24292f", "#c4262e", "#116329", "#8a5a00", "#0550ae", "#8250df", "#0b6b77", "#57606a",
     "#57606a", "#a40e26", "#1a7f37", "#7d4e00", "#218bff", "#a475f9", "#3192aa", "#8c959f"),
)  # fmt: skip
DARK: Final = (
    "#0d1117", "#e6edf3",
    ("#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4",
     "#6e7681", "#ffa198", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#ffffff"),
)  # fmt: skip
Theme = tuple[str, str, tuple[str, ...]]
"""The ground, the text and the 16 colours."""


def shown(command: Sequence[str], *, columns: int = 80, rows: int = 40) -> str:
    """All that a command writes on a terminal of that size."""
    child, terminal = pty.fork()
    if child == 0:
        kept = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        os.execvpe(command[0], list(command), {**kept, "TERM": "xterm-256color", "PAGER": "cat"})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    written = b"".join(_chunks(terminal))
    os.close(terminal)
    os.waitpid(child, 0)
    return written.decode("utf-8", "replace")


def _chunks(terminal: int) -> Iterator[bytes]:
    while True:
        select.select([terminal], [], [])
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # Linux: the other side is closed
            return
        if not chunk:
            return
        yield chunk


def svg(screen: Screen, *, theme: Theme = LIGHT, typed: str = "") -> str:
    """The picture; `typed` is the command that stands above."""
    ground, text, _ = theme
    lines = [*([[(character, Style(bold=True)) for character in f"$ {typed}"]] if typed else []),
             *screen.lines]  # fmt: skip
    while lines and not lines[-1]:
        lines.pop()
    width = screen.columns * _CELL + 2 * _MARGIN
    height = len(lines) * _LINE + 2 * _MARGIN
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="{escape(_FONT)}" '
        f'font-size="{_SIZE}" fill="{text}" xml:space="preserve">',
        f'<rect width="100%" height="100%" rx="6" fill="{ground}"/>',
        *(each for number, line in enumerate(lines) for each in _line(line, number, theme)),
        "</svg>",
    ]
    return "\n".join(drawn) + "\n"


def _line(line: list[Cell], number: int, theme: Theme) -> Iterator[str]:
    """A text element for each run of one style, where it begins and as wide as it is."""
    y = _MARGIN + number * _LINE + _SIZE
    for first, run, style in _runs(line):
        text = "".join(cell for cell, _ in run)
        if text.strip():
            place = f'x="{_MARGIN + first * _CELL:.1f}" y="{y:.1f}"'
            length = f'textLength="{len(run) * _CELL:.1f}" lengthAdjust="spacingAndGlyphs"'
            yield f"<text {place} {length}{_attributes(style, theme)}>{escape(text)}</text>"


def _runs(line: list[Cell]) -> Iterator[tuple[int, list[Cell], Style]]:
    """Words of one style: what lies between two spaces keeps its column in every font."""
    run: list[Cell] = []
    first = 0
    for at, cell in enumerate([*line, (" ", Style())]):
        if cell[0] == " " or (run and cell[1] != run[0][1]):
            if run:
                yield first, run, run[0][1]
            run, first = [], at
        if cell[0] != " ":
            first = first if run else at
            run.append(cell)


def _attributes(style: Style, theme: Theme) -> str:
    said = ""
    if style.color is not None:
        said += f' fill="{theme[2][style.color]}"'
    if style.dim:
        said += f' opacity="{_DIM}"'
    said += ' font-weight="bold"' if style.bold else ""
    said += ' font-style="italic"' if style.italic else ""
    lines = [*(["underline"] if style.underlined else []),
             *(["line-through"] if style.struck else [])]  # fmt: skip
    return said + (f' text-decoration="{" ".join(lines)}"' if lines else "")


def main(arguments: Sequence[str]) -> None:
    """Write one picture."""
    parser = argparse.ArgumentParser(prog="python -m tests.pictures", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--columns", type=int, default=80)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--typed", help="the command as the picture shows it; '' for none")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args(arguments)
    screen = Screen(given.columns).feed(shown(given.command, columns=given.columns))
    typed = shlex.join(given.command) if given.typed is None else given.typed
    picture = svg(screen, theme=DARK if given.dark else LIGHT, typed=typed)
    given.out.write_text(picture, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
