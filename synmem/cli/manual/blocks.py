"""A page of the manual: its blocks, and how they look as plain text of a width."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from synmem.cli.screen.columns import cells, padded, wrapped
from synmem.cli.screen.styles import STRONG, painted

_INDENT: Final = "  "
_USAGE: Final = "Usage: "
_GAP: Final = "  "
_WIDEST_TERM: Final = 28


class Usage(NamedTuple):
    """How the command is typed, in one way or several."""

    lines: Sequence[str]


class Heading(NamedTuple):
    """What the blocks behind it are about."""

    text: str


class Text(NamedTuple):
    """A paragraph."""

    text: str


class Lines(NamedTuple):
    """Lines that stand as they are: examples."""

    lines: Sequence[str]


class Terms(NamedTuple):
    """Names, each with what it means."""

    rows: Sequence[tuple[str, str]]


Block = Usage | Heading | Text | Lines | Terms


def plain(blocks: Iterable[Block], width: int) -> str:
    """The page as text: headings at the left, bold where there are colours, all else indented."""
    lines: list[str] = []
    before: Block | None = None
    for block in blocks:
        if before is not None and not isinstance(before, Heading):
            lines.append("")
        lines += _lines(block, width)
        before = block
    return "\n".join([*lines, ""])


def _lines(block: Block, width: int) -> list[str]:
    if isinstance(block, Heading):
        return [painted(block.text, STRONG)]
    if isinstance(block, Usage):
        return _usage(block.lines, width)
    if isinstance(block, Text):
        return [_INDENT + line for line in wrapped(block.text, width - len(_INDENT))]
    if isinstance(block, Lines):
        return [(_INDENT + line).rstrip() for line in block.lines]
    return _terms(block.rows, width)


def _usage(ways: Sequence[str], width: int) -> list[str]:
    lines: list[str] = []
    for way in ways:
        first, *more = wrapped(way, width - len(_USAGE))
        lines += [(" " * len(_USAGE) if lines else _USAGE) + first]
        lines += [" " * len(_USAGE) + _INDENT + line for line in more]
    return lines


def _terms(rows: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Two columns; a name that is too long for its column stands on a line of its own."""
    most = min(_WIDEST_TERM, width // 3)
    column = max((cells(term) for term, _ in rows if cells(term) <= most), default=most)
    margin = " " * (len(_INDENT) + column + len(_GAP))
    lines = []
    for term, text in rows:
        told = wrapped(text, max(20, width - len(margin))) if text else [""]
        if cells(term) <= column:
            head, told = _INDENT + padded(term, column) + _GAP + told[0], told[1:]
            lines.append(head.rstrip())
        else:
            lines.append(_INDENT + term)
        lines += [margin + line for line in told]
    return lines
