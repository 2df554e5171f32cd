"""How wide a text is on a terminal, and how it is made to fit: wrapped, cut, padded.

A column is a terminal's cell: a CJK character or an emoji takes two, a combining mark none. What
comes here passed the gate (`render.visible`), and may hold the SGR codes of `styles`, which take
no column and never end within a line that is wrapped.
"""

import os
import re
import shutil
import sys
from typing import Final

PROSE: Final = 100
"""Text is wrapped at so many columns at most: longer lines are hard to read."""

_LEAST: Final = 20
_ELLIPSIS: Final = "…"
_WORD: Final = re.compile("( *)([^ ]+)")
_WHOLE: Final = re.compile(" *+(?:[^ `]*+`[^`]*+`[^ ]*+|[^ ]++)")
"""Possessive: of thousands of spaces none is tried a second time."""


def terminal_width() -> int:
    """The columns of the terminal; COLUMNS says otherwise."""
    return max(_LEAST, shutil.get_terminal_size().columns)


def prose_width() -> int:
    """How wide running text is here."""
    return min(PROSE, terminal_width())


def error_columns() -> int:
    """The columns of the terminal that stderr is, also where stdout is a pipe; 0 where it is none,
    or does not know."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        return 0


def error_width() -> int:
    """How wide running text is on stderr."""
    columns = error_columns()
    return min(PROSE, max(_LEAST, columns)) if columns else prose_width()


def cells(text: str) -> int:
    """How many columns the text takes."""
    if text.isascii() and "\x1b" not in text:
        return len(text)
    from wcwidth import width

    return width(text)


def wrapped(text: str, width: int) -> list[str]:
    """The lines of a text, each at most so wide: broken at spaces, a longer word anywhere.

    Its own line breaks stay, and so do empty lines; the spaces at a break go.
    """
    lines: list[str] = []
    for line in text.split("\n"):
        if "\x1b" in line:
            lines += [line] if cells(line) <= width else _wrapped_styled(line, width)
        else:
            lines += [line[start:end] for start, end in spans(line, width)]
    return lines


def filled(text: str, width: int) -> list[str]:
    """As `wrapped`, but a word that is longer than a line stays whole, and so does what stands in
    `backticks`: the terminal breaks it where it must, and it is copied as it is."""
    lines: list[str] = []
    for line in text.split("\n"):
        begun, taken = "", 0
        said = line.rstrip(" ")
        for piece in _WHOLE.findall(said):
            wide = cells(piece)
            if begun and taken + wide > width:
                lines.append(begun)
                begun = piece = piece.lstrip(" ")
                taken = cells(piece)
            else:
                begun, taken = begun + piece, taken + wide
        lines.append(begun + line[len(said) :])
    return lines


def _wrapped_styled(line: str, width: int) -> list[str]:
    from wcwidth import wrap

    # The text's own hyphens and tabs are no places of ours to break it or to change it.
    return wrap(line, width, break_on_hyphens=False, expand_tabs=False) or [""]


def spans(line: str, width: int) -> list[tuple[int, int]]:
    """Where the pieces of a line without codes begin and end, if it is wrapped at that width.

    Written out: the time that a library took of each grew with the square of the longest word. So
    did that of `_WORD` with the spaces at the end of the line, which it does not see.
    """
    if len(line) <= width and line.isascii():
        return [(0, len(line))]
    found: list[tuple[int, int]] = []
    start = end = taken = 0
    for match in _WORD.finditer(line.rstrip(" ")):
        word, wide, at = match[2], cells(match[2]), match.start(2)
        room = width - taken - len(match[1])
        if wide > room and not (_may_break(word, wide, width) and room >= 2 + width // 4):
            if end > start:
                found.append((start, end))
            start, room = at, width
        if wide > room:
            for piece in folded(word, width, first=room)[:-1]:
                found.append((start, at + len(piece)))
                start = at = at + len(piece)
            taken = cells(line[at : match.end()])
        else:
            taken = width - room + wide
        end = match.end()
    return [*found, (start, end)]


def _may_break(word: str, wide: int, width: int) -> bool:
    """Whether a line may end within this word: it fits on none, or it has wide characters (CJK)."""
    return wide > min(width, len(word))


def folded(line: str, width: int, *, first: int | None = None) -> list[str]:
    """A line in pieces of at most that width (the first perhaps of another), every character of it
    kept: for code."""
    room = width if first is None else first
    if cells(line) <= room:
        return [line]
    if line.isascii() and "\x1b" not in line:
        return [line[:room], *(line[i : i + width] for i in range(room, len(line), width))]
    from wcwidth import iter_graphemes

    pieces: list[str] = []
    begun = at = taken = 0
    for grapheme in iter_graphemes(line):
        wide = cells(grapheme)
        if taken + wide > room and at > begun:
            pieces.append(line[begun:at])
            begun, taken, room = at, 0, width
        at += len(grapheme)
        taken += wide
    return [*pieces, line[begun:]]


def cut(text: str, width: int) -> str:
    """The text, or as much of its beginning as fits, with … behind it; so that the line does not
    break either where a terminal shows the parts of an emoji side by side."""
    if "\x1b" in text:
        return text if cells(text) <= width else _part(text, 0, width - 1).rstrip() + _ELLIPSIS
    if text.isascii():
        return text if len(text) <= width else text[: max(0, width - 1)].rstrip() + _ELLIPSIS
    from wcwidth import iter_graphemes

    taken, kept = 0, 0
    room, ends = width - 1, 0
    for grapheme in iter_graphemes(text):
        taken += _most_cells(grapheme)
        kept += len(grapheme)
        if taken <= room:
            ends = kept
        elif taken > width:
            return text[:ends].rstrip() + _ELLIPSIS
    return text


def spread(text: str) -> int:
    """How many columns more it takes where the parts of its emoji are not joined."""
    if text.isascii():
        return 0
    from wcwidth import iter_graphemes

    return sum(_most_cells(each) - cells(each) for each in iter_graphemes(text))


def _most_cells(grapheme: str) -> int:
    """How many columns it takes where its parts are not joined."""
    from wcwidth import wcwidth

    return max(cells(grapheme), sum(max(0, wcwidth(character)) for character in grapheme))


def cut_middle(text: str, width: int) -> str:
    """The text, or its beginning and its end with … between: an id can be told by both."""
    whole = cells(text)
    if whole <= width:
        return text
    begins = _part(text, 0, width // 2)
    return begins + _ELLIPSIS + _part(text, whole - (width - cells(begins) - 1), whole)


def _part(text: str, first: int, end: int) -> str:
    """What stands whole in these columns."""
    from wcwidth import clip

    return clip(text, first, end, fillchar="")


def padded(text: str, width: int, *, right: bool = False) -> str:
    """The text with spaces behind it, or in front of it, up to that width."""
    space = " " * (width - cells(text))
    return space + text if right else text + space
