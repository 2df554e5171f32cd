"""Bars, sparks, and the line of a bar that moves."""

import os
from collections.abc import Sequence
from typing import Final, NamedTuple

from synmem.cli.render import styled
from synmem.cli.screen.columns import cells, cut

_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_SPARKS: Final = "▁▂▃▄▅▆▇█"
_WIDEST: Final = 40


def bar(part: float, width: int) -> str:
    """So much of the width, to an eighth of a cell; what is something is never nothing."""
    eighths = round(max(0.0, min(1.0, part)) * width * 8)
    eighths = max(eighths, 1 if part > 0 else 0)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def sparks(numbers: Sequence[int]) -> str:
    """A cell for each, as high as it is beside the highest; nothing is a space."""
    most = max(numbers, default=0)
    return "".join(
        _SPARKS[round(number / most * (len(_SPARKS) - 1))] if number else " " for number in numbers
    )


class _Way(NamedTuple):
    """One way to put the line together: what lies between its parts, the least that the bar and the
    text must have, what follows the time that is left, and which parts there are."""

    gap: str
    bar: int
    text: int
    word: str
    parts: str


_WAYS: Final = (
    _Way("  ", 6, 100, " left", "count beside bar percent rate left"),
    _Way("  ", 6, 24, " left", "count bar percent rate left"),
    _Way(" ", 3, 12, "", "count bar percent rate left"),
    _Way(" ", 0, 12, "", "count percent rate left"),
    _Way(" ", 0, 12, "", "count percent left"),
    _Way(" ", 0, 12, "", "count percent"),
    _Way(" ", 0, 0, "", "count"),
)


def progress_line(
    text: str, done: int, total: int | None, *, width: int, rate: float, beside: str = ""
) -> str:
    """What is done, how much of it, how fast and for how long still, on one line of that width.

    Where all has no room, it moves together, and then what matters less goes.
    """
    total = None if total is None else max(total, done)
    part = done / total if total else None
    known = {
        "count": f"{done:,}" + (f"/{total:,}" if total is not None else ""),
        "beside": f"in {beside}" if beside else "",
        "percent": f"{int(100 * part)}%" if part is not None else "",
        "rate": f"{rate:,.0f}/s" if rate >= 0.5 else "",
        "left": _left((total - done) / rate) if total is not None and rate > 0 else "",
    }
    for way in _WAYS:
        pieces = {name: known.get(name, "") for name in way.parts.split() if known.get(name, "-")}
        if pieces.get("left"):
            pieces["left"] += way.word
        if part is None:
            pieces.pop("bar", None)
        least = way.bar if "bar" in pieces else 0
        room = width - sum(map(cells, pieces.values())) - len(way.gap) * len(pieces)
        if room - least >= min(cells(text), way.text):
            break
    if room < 1:
        return cut(known["count"], width)
    text = cut(text, room - least)
    if "bar" in pieces and part is not None:
        pieces["bar"] = _moving(part, min(room - cells(text), _WIDEST))
    return way.gap.join([text, *pieces.values()])


def _moving(part: float, width: int) -> str:
    """The bar itself, with what is left of it dim."""
    full = int(part * width)
    done, rest = "━" * full, "━" * (width - full)
    if os.environ.get("NO_COLOR"):
        return done + " " * len(rest)
    return (styled(done, "36") if done else "") + (styled(rest, "2") if rest else "")


def _left(seconds: float) -> str:
    """`0:12`, `1:05:00`; nothing where nobody waits so long."""
    if seconds >= 100 * 3600:
        return ""
    minutes, second = divmod(int(seconds + 0.5), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
