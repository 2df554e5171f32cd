"""The part of a message that shows why it was found: the words around the hits, each marked."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from synmem.cli import render
from synmem.cli.screen.columns import cells, cut, wrapped
from synmem.cli.screen.styles import MATCH, painted

if TYPE_CHECKING:
    from synmem.operations.searching.words import Query, Span

_LINES: Final = 3
_MOST_LINES: Final = 5
_WINDOWS: Final = 3  # pieces of a text, of which each says less
_NUDGE: Final = 15  # characters in which a window's edge looks for a space
_SAMPLE: Final = 200
_BLANK: Final = re.compile(r"[ \t\r\n]+")


def snippet(text: str, query: "Query | None", width: int) -> list[str]:
    """Lines of a text around what was looked for, wrapped at words; without a query, or where it
    is not in there, those that it begins with."""
    marks = [] if query is None else _marks(text, query)
    if not marks:
        begins = len(text) - len(text.lstrip())
        marks = [(begins, begins)]
    room = _room(text, marks[0][0], width)
    windows = _windows(text, marks, room // (2 * _WINDOWS))
    if len(windows) < _WINDOWS:  # there is more room for each
        windows = _windows(text, marks, room // (2 * len(windows)))
    pieces = [_piece(text, window, marks) for window in windows]
    before = "…" if windows[0][0] and text[: windows[0][0]].strip() else ""
    after = "…" if text[windows[-1][1] :].strip() else ""
    lines = wrapped(before + " … ".join(pieces) + after, width)
    if len(lines) > _MOST_LINES:  # long words leave much of a line empty
        lines = [*lines[: _MOST_LINES - 1], cut(lines[_MOST_LINES - 1] + "…", width)]
    return lines


def _marks(text: str, query: "Query") -> "list[Span]":
    """All hits: the first of each word that was looked for in front."""
    from synmem.operations.searching.words import spans

    found = list(spans(text, query).values())
    firsts = sorted(each[0] for each in found)
    return [*firsts, *sorted(span for each in found for span in each[1:])]


def _room(text: str, start: int, width: int) -> int:
    """How many characters there is room for: some take two cells, others are shown as several."""
    sample = text[max(0, start - _SAMPLE // 2) :][:_SAMPLE] or " "
    wide = max(1.0, cells(render.visible_line(_BLANK.sub(" ", sample))) / len(sample))
    return int((width * _LINES - 8) / wide)


def _windows(text: str, marks: "Sequence[Span]", around: int) -> "list[Span]":
    """The parts to be shown, from left to right: those of the first marks, and what else they
    hold."""
    windows: list[Span] = []
    for start, end in marks:
        if any(first <= start and end <= last for first, last in windows):
            continue
        if len(windows) < _WINDOWS:
            windows.append(_window(text, start, min(end, start + 2 * around), around))
    joined: list[Span] = []
    for first, last in sorted(windows):
        if joined and first <= joined[-1][1]:
            first, last = joined[-1][0], max(last, joined.pop()[1])
        joined.append((first, last))
    return joined


def _window(text: str, start: int, end: int, around: int) -> "Span":
    """So many characters before and behind a mark, from one space to another; an emoji or a letter
    of several characters is not parted."""
    first, last = max(0, start - around), min(len(text), end + around)
    if first > 0 and (space := _BLANK.search(text, first, min(start, first + _NUDGE))):
        first = space.end()
    if last < len(text) and (spaces := [*_BLANK.finditer(text, max(end, last - _NUDGE), last)]):
        last = spaces[-1].start()
    return _whole(text, first), last if last == len(text) else max(end, _whole(text, last))


def _whole(text: str, at: int) -> int:
    """Where the letter begins of which the character there is a part, if that is near."""
    if text[at : at + 1].isascii():
        return at
    from wcwidth import grapheme_boundary_before

    first = max(0, at - _NUDGE)
    return first + grapheme_boundary_before(text[first : at + 1], at + 1 - first)


def _piece(text: str, window: "Span", marks: "Sequence[Span]") -> str:
    """A part of a text as a terminal shows it, its marks in colour."""
    at, end = window
    shown = []
    for first, last in sorted(marks):
        if at <= first and last <= end:
            shown += [_plain(text[at:first]), _marked(text[first:last])]
            at = last
    return "".join([*shown, _plain(text[at:end])]).strip()


def _plain(text: str) -> str:
    return render.visible_line(_BLANK.sub(" ", text))


def _marked(text: str) -> str:
    return " ".join(painted(word, MATCH) for word in _plain(text).split(" "))
