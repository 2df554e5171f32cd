"""A line on its way to the screen: pieces of text, each in one style."""

from collections.abc import Iterable
from typing import NamedTuple

from synmem.cli.screen.columns import cells, folded, spans
from synmem.cli.screen.styles import painted


class Piece(NamedTuple):
    """A text that passed the gate, and the SGR codes that it is to have."""

    text: str
    style: str = ""


Line = list[Piece]


def text_of(line: Iterable[Piece]) -> str:
    """The line without its styles."""
    return "".join(piece.text for piece in line)


def width_of(line: Iterable[Piece]) -> int:
    """How many columns it takes."""
    return cells(text_of(line))


def drawn(line: Iterable[Piece]) -> str:
    """The line with its codes, where colours are wanted; no space at its end."""
    pieces = [*line]
    while pieces and not pieces[-1].text.rstrip(" "):
        pieces.pop()
    if pieces:
        pieces[-1] = pieces[-1]._replace(text=pieces[-1].text.rstrip(" "))
    return "".join(painted(piece.text, piece.style) for piece in pieces)


def wrapped(line: Line, width: int) -> list[Line]:
    """The line in lines that fit, broken as `columns.wrapped` does it."""
    return _cut_up(line, spans(text_of(line), width))


def folded_line(line: Line, width: int) -> list[Line]:
    """The line in lines that fit, with every space of it: for code."""
    found, at = [], 0
    for piece in folded(text_of(line), width):
        found.append((at, at + len(piece)))
        at += len(piece)
    return _cut_up(line, found)


def _cut_up(line: Line, places: Iterable[tuple[int, int]]) -> list[Line]:
    """These parts of the line, which follow one another."""
    lines: list[Line] = []
    number = begins = 0  # the piece that is at hand, and where it begins in the line
    for start, end in places:
        part: Line = []
        while number < len(line):
            text, style = line[number]
            if taken := text[max(0, start - begins) : max(0, end - begins)]:
                part.append(Piece(taken, style))
            if begins + len(text) > end:
                break
            begins += len(text)
            number += 1
        lines.append(part)
    return lines
