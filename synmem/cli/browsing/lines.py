"""Lines of a pane: text that passed the gate, in the colours of `screen.styles`."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from synmem.cli.screen.columns import cells, cut, padded

NORMAL: Final = ""


class Span(NamedTuple):
    """A piece of a line, and the SGR codes of its colour."""

    text: str
    codes: str = NORMAL


Line = Sequence[Span]


def strip(line: Line, width: int, *, bold: bool = False) -> Strip:
    """The line as Textual draws it, exactly so wide."""
    segments = [Segment(span.text, _style(span.codes, bold)) for span in line if span.text]
    return Strip(segments).adjust_cell_length(width)


def from_codes(text: str) -> Line:
    """The line of a text that holds SGR codes, as the printed commands have them."""
    found = Text.from_ansi(text, end="")
    spans, plain, end = [], found.plain, 0
    for start, stop, style in found.spans:
        spans += [Span(plain[end:start]), Span(plain[start:stop], str(style))]
        end = stop
    return [*spans, Span(plain[end:])]


def between(left: Line, right: Span, width: int) -> Line:
    """Both on one line of that width: what is at the left gives way."""
    room = max(0, width - cells(right.text) - 1)
    fitted, taken = [], 0
    for span in left:
        text = cut(span.text, room - taken) if room > taken else ""
        fitted.append(Span(text, span.codes))
        taken += cells(text)
    return [*fitted, Span(padded("", max(0, room + 1 - taken))), right]


_STYLES: dict[tuple[str, bool], Style] = {}
_WORDS: Final = {
    "1": "bold", "2": "dim", "3": "italic", "4": "underline", "31": "red", "32": "green",
    "33": "yellow", "34": "blue", "35": "magenta", "36": "cyan",
}  # fmt: skip


def _style(codes: str, bold: bool) -> Style:
    key = codes, bold
    if key not in _STYLES:
        words = [_WORDS.get(code, code) for code in codes.split(";") if code]
        _STYLES[key] = Style.parse(" ".join([*words, "bold" if bold else ""]).strip())
    return _STYLES[key]
