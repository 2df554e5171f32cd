"""Lines of a pane: text that passed the gate, in the colours of `screen.styles`."""

from collections.abc import Sequence
from typing import Final

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from synmem.cli.screen.columns import cells, cut, padded
from synmem.cli.screen.pieces import Piece

Line = Sequence[Piece]


def strip(line: Line, width: int, *, bold: bool = False) -> Strip:
    """The line as Textual draws it, exactly so wide."""
    segments = [Segment(each.text, _style(each.style, bold)) for each in line if each.text]
    return Strip(segments).adjust_cell_length(width)


def from_codes(text: str) -> Line:
    """The line of a text that holds SGR codes, as the printed commands have them."""
    found = Text.from_ansi(text, end="")
    pieces, plain, end = [], found.plain, 0
    for start, stop, style in found.spans:
        pieces += [Piece(plain[end:start]), Piece(plain[start:stop], str(style))]
        end = stop
    return [*pieces, Piece(plain[end:])]


def between(left: Line, right: Piece, width: int) -> Line:
    """Both on one line of that width: what is at the left gives way."""
    room = max(0, width - cells(right.text) - 1)
    fitted, taken = [], 0
    for piece in left:
        text = cut(piece.text, room - taken) if room > taken else ""
        fitted.append(piece._replace(text=text))
        taken += cells(text)
    return [*fitted, Piece(padded("", max(0, room + 1 - taken))), right]


_STYLES: dict[tuple[str, bool], Style] = {}
_WORDS: Final = {
    "1": "bold", "2": "dim", "3": "italic", "4": "underline", "31": "red", "32": "green",
    "34": "blue", "35": "magenta", "36": "cyan", "95": "bright_magenta",
}  # fmt: skip


def _style(codes: str, bold: bool) -> Style:
    key = codes, bold
    if key not in _STYLES:
        words = [_WORDS.get(code, code) for code in codes.split(";") if code]
        _STYLES[key] = Style.parse(" ".join([*words, "bold" if bold else ""]).strip())
    return _STYLES[key]
