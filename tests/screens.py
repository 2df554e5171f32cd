"""What a terminal shows of what a program writes: text, colours, and a line that is written anew.

It knows what synmem writes when it prints: SGR codes, carriage returns, lines that are cleared. It
has no scrolling: what was written stays, however much.
"""

import re
from dataclasses import dataclass, field, replace

from wcwidth import iter_graphemes, wcswidth

_CODE = re.compile(r"\x1b\[([0-9;?]*)([@-~])|\x1b[78=>]|\x1b\][^\x07]*\x07")


@dataclass(frozen=True)
class Style:
    """How a cell is drawn. `color` is one of the 16, None the terminal's own."""

    color: int | None = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underlined: bool = False
    reversed: bool = False
    struck: bool = False

    def then(self, codes: str) -> "Style":
        """What follows these SGR codes."""
        style = self
        for code in map(int, filter(None, codes.split(";"))):
            style = replace(style, **_changes(code))
        return style if codes.strip("0;") else Style()


_ON = {1: "bold", 2: "dim", 3: "italic", 4: "underlined", 7: "reversed", 9: "struck"}
_OFF = {23: "italic", 24: "underlined", 27: "reversed", 29: "struck"}


def _changes(code: int) -> dict[str, int | bool | None]:
    if code in _ON:
        return {_ON[code]: True}
    if code in _OFF:
        return {_OFF[code]: False}
    if code == 0:
        return vars(Style())
    if code == 22:
        return {"bold": False, "dim": False}
    if 30 <= code <= 37 or 90 <= code <= 97:
        return {"color": code - 30 if code < 40 else code - 82}
    if code == 39:
        return {"color": None}
    raise ValueError(f"SGR {code}: more than 16 colours, or a background")


Cell = tuple[str, Style]
"""A grapheme; an empty one behind a wide one."""


@dataclass
class Screen:
    """Lines of cells. Where a line is full, the next character begins another, as on a terminal."""

    columns: int = 80
    lines: list[list[Cell]] = field(default_factory=lambda: [[]])
    style: Style = Style()
    row: int = 0
    column: int = 0

    def feed(self, written: str) -> "Screen":
        """Show that."""
        end = 0
        for match in _CODE.finditer(written):
            self._text(written[end : match.start()])
            self._code(match[1] or "", match[2] or "")
            end = match.end()
        self._text(written[end:])
        return self

    def shown(self) -> list[str]:
        """The lines as text."""
        return ["".join(cell for cell, _ in line).rstrip() for line in self.lines]

    def _code(self, numbers: str, what: str) -> None:
        if what == "m":
            self.style = self.style.then(numbers or "0")
        elif what == "K":
            line = self.lines[self.row]
            del line[0 if numbers == "2" else self.column :]
        elif what == "A":
            self.row = max(0, self.row - int(numbers or 1))
        elif what not in ("h", "l", ""):
            raise ValueError(f"CSI {numbers}{what} is not known")

    def _text(self, text: str) -> None:
        for piece in re.split("([\r\n])", text):
            if piece == "\r":
                self.column = 0
            elif piece == "\n":
                self._line_feed()
            else:
                for grapheme in iter_graphemes(piece):
                    self._put(grapheme)

    def _line_feed(self) -> None:
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append([])

    def _put(self, grapheme: str) -> None:
        wide = max(1, wcswidth(grapheme))
        if self.column + wide > self.columns:
            self._line_feed()
            self.column = 0
        line = self.lines[self.row]
        line += [(" ", Style())] * (self.column - len(line))
        line[self.column : self.column + wide] = [(grapheme, self.style)] + [("", self.style)] * (
            wide - 1
        )
        self.column += wide
