"""Whether all of a text is on the screen: read in lockstep, by other rules than it was drawn."""

import re
from collections.abc import Iterable, Sequence

from wcwidth import iter_graphemes

from synmem.cli.screen.columns import cells

SGR = re.compile(r"\x1b\[[0-9;]*m")
LAYOUT = frozenset("│─┼▣")
"""What the screen may show that is not in the text: bars, rules, borders, the sign of an image."""
MARKS = frozenset("*_`~>|:-\\![]")
"""What the text may have that is not on the screen: the marks of Markdown that was rendered."""
MARKS_WITHOUT_COLORS = frozenset("*_>|:-\\![]")
"""The same where the marks of emphasis, code and fences stay: those of rules, borders, quotations,
escapes and links."""
_SAME = re.compile(r"\[([^\[\]()\s]+)\]\(\1\)")


def missing(text: str, lines: Sequence[str], marks: frozenset[str] = MARKS) -> str | None:
    """What of the text (which passed the gate) is not on the screen, or not in its order; or what
    is there that is not in the text. None where all is well.

    All ways to read the screen are followed at once, so that none is missed: a character of the
    text that is a mark may be passed over, and an address that the text of its link says; a
    character of the screen that is layout may be.
    """
    wanted, over = _wanted(text)
    at = _passed({0}, wanted, over, marks)
    seen = ""
    for character in _in_order([SGR.sub("", line) for line in lines]):
        after = {i + 1 for i in at if i < len(wanted) and wanted[i] == character}
        if character in LAYOUT:
            after |= at
        seen += character
        if not after:
            return f"behind {seen[-30:]!r}: {wanted[max(at) : max(at) + 30]!r}"
        at = _passed(after, wanted, over, marks)
    return None if len(wanted) in at else f"at the end: {wanted[max(at) :]!r}"


def _wanted(text: str) -> tuple[str, dict[int, int]]:
    """The characters that one sees, and where an address may be passed over: from, to."""
    numbers, wanted = [], ""
    for character in text:
        numbers.append(len(wanted))
        wanted += "" if character.isspace() else character
    numbers.append(len(wanted))
    over = {numbers[m.end(1)]: numbers[m.end()] for m in _SAME.finditer(text)}
    return wanted, over


def _passed(at: set[int], wanted: str, over: dict[int, int], marks: frozenset[str]) -> set[int]:
    found, todo = set(at), [*at]
    while todo:
        i = todo.pop()
        following = [over[i]] if i in over else []
        if i < len(wanted) and wanted[i] in marks:
            following.append(i + 1)
        todo += [each for each in following if each not in found]
        found.update(following)
    return found


def _in_order(lines: list[str]) -> Iterable[str]:
    """The characters of the screen, a table's cell by cell."""
    grids = [_grid(line) for line in lines]
    number = 0
    while number < len(lines):
        end = number
        offsets: list[int] = []
        for rule in range(number, len(lines)):
            offsets = [i for i, each in enumerate(grids[rule]) if each == "┼"]
            if offsets:
                end = rule
                break
            if "│" not in lines[rule]:
                break
        if not offsets or not _is_row(grids[number], offsets):
            yield from (each for each in lines[number] if not each.isspace())
            number += 1
            continue
        while end < len(lines) and (_is_row(grids[end], offsets) or "┼" in lines[end]):
            end += 1
        yield from _by_cell(grids[number:end], offsets)
        number = end


def _grid(line: str) -> list[str]:
    """The line by columns: what is wide is followed by nothing."""
    found: list[str] = []
    for each in iter_graphemes(line):
        wide = cells(each)
        if not wide and found:
            found[-1] += each
        else:
            found += [each, *[""] * (wide - 1)]
    return found


def _is_row(grid: list[str], offsets: Sequence[int]) -> bool:
    return len(grid) > offsets[-1] and all(grid[i] == "│" for i in offsets)


def _by_cell(grids: list[list[str]], offsets: list[int]) -> Iterable[str]:
    """Where there is one rule, each line is a row; else a row ends at each."""
    rules = [i for i, grid in enumerate(grids) if not _is_row(grid, offsets)]
    rows = [grids[start + 1 : end] for start, end in zip([-1, *rules], [*rules, None], strict=True)]
    if len(rules) == 1:
        rows = [[grid] for grid in grids]
    for row in rows:
        for start, stop in zip([0, *(each + 1 for each in offsets)], [*offsets, None], strict=True):
            for grid in row:
                yield from (c for each in grid[start:stop] for c in each if not c.isspace())
