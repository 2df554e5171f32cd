"""`stats` on a terminal: the totals of a store, its roles as bars, its months as sparks."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from synmem.cli.render import visible_line
from synmem.cli.screen.bars import bar, sparks
from synmem.cli.screen.columns import cells, cut, cut_middle, folded, padded, prose_width
from synmem.cli.screen.styles import BAD, DIM, STRONG, of_role, painted
from synmem.cli.times import ago, shown
from synmem.cli.words import size

if TYPE_CHECKING:
    from synmem.operations.derived import IndexFile
    from synmem.operations.stats import Largest, Stats

_INDENT: Final = "  "
_WIDEST_BAR: Final = 40
_ROLES: Final = 12
"""So many roles have a bar; what a store calls a role may be anything."""


def numbers(name: str, total: "Stats", indexes: "Sequence[IndexFile]") -> list[str]:
    """The lines, each within the width."""
    width = prose_width()
    parts = [
        [painted(cut_middle(visible_line(name), width), STRONG), *_totals(total, width)],
        _roles(total.roles, width),
        _months(total.by_month(), width),
        _largest(total.largest, total.messages, width),
        _indexes(indexes, width),
    ]
    lines: list[str] = []
    for part in filter(None, parts):
        lines += [*([""] if lines else []), *part]
    return lines


def _totals(total: "Stats", width: int) -> list[str]:
    counts = {
        "conversations": total.conversations, "messages": total.messages,
        "characters": total.characters, "tokens, about": total.estimated_tokens,
    }  # fmt: skip
    rows = [(name, f"{number:,}", "") for name, number in counts.items()]
    if total.unreadable:
        rows.append(("unreadable", f"{len(total.unreadable):,}", BAD))
    wide = max(len(name) for name, _, _ in rows)
    right = max(len(number) for _, number, _ in rows)
    lines = [
        f"{_INDENT}{painted(name.ljust(wide), DIM)}  {painted(number.rjust(right), style)}"
        for name, number, style in rows
    ]
    if total.first_at and total.last_at:
        span = f"{shown(total.first_at)[:10]} to {shown(total.last_at)[:10]}"
        last = f" ({ago(total.last_at)})"
        is_said = ago(total.last_at) == shown(total.last_at)[:10]
        has_room = len(_INDENT) + wide + 2 + len(span + last) <= width
        span += last if has_room and not is_said else ""
        lines.append(f"{_INDENT}{painted('from'.ljust(wide), DIM)}  {span}")
    return lines


def _roles(roles: Mapping[str, int], width: int) -> list[str]:
    """A bar for each, as long as its part of the messages."""
    rows = sorted(roles.items(), key=lambda row: -row[1])
    if len(rows) > _ROLES:
        rest = sum(count for _, count in rows[_ROLES - 1 :])
        rows = [*rows[: _ROLES - 1], (f"{len(rows) - _ROLES + 1} others", rest)]
    if not rows:
        return []
    names = [cut(visible_line(role), width // 4) for role, _ in rows]
    wide = max(map(cells, names))
    right = max(len(f"{count:,}") for _, count in rows)
    room = min(_WIDEST_BAR, width - len(_INDENT) - wide - right - 11)
    all_ = sum(count for _, count in rows)
    lines = [painted("roles", DIM)]
    for (role, count), name in zip(rows, names, strict=True):
        drawn = painted(bar(count / all_, room), of_role(role))
        counted = f"{count:>{right},}  {_percent(count, all_)}"
        lines.append(f"{_INDENT}{padded(name, wide)}  {counted}  {drawn}".rstrip())
    return lines


def _months(months: Mapping[str, int], width: int) -> list[str]:
    """A spark for each, from the first to the last, of so many as the line has room for."""
    if len(months) < 2:
        return []
    room = width - len(_INDENT) - 2 * len(" 2026-01")
    names = [*months][-room:]
    drawn = sparks([months[name] for name in names])
    line = f"{_INDENT}{painted(names[0], DIM)} {drawn} {painted(names[-1], DIM)}"
    most = max(names, key=lambda name: months[name])
    return [painted(f"messages a month, {months[most]:,} in {most}", DIM), line]


def _largest(largest: "Sequence[Largest]", messages: int, width: int) -> list[str]:
    """The conversations of the most messages, where there are others beside them."""
    if len(largest) < 2:
        return []
    right = max(len(f"{each.messages:,}") for each in largest)
    lines = [painted("largest", DIM)]
    room = width - len(_INDENT) - right - 8
    for each in largest:
        if each.title:
            name = cut(visible_line(each.title), room)
            left = room - cells(name) - 2
            if left >= 12:
                name += "  " + painted(cut_middle(visible_line(each.conversation), left), DIM)
        else:
            name = cut_middle(visible_line(each.conversation), room)
        counted = f"{each.messages:>{right},}  {_percent(each.messages, messages)}"
        lines.append(f"{_INDENT}{counted}  {name}")
    return lines


def _percent(part: int, of: int) -> str:
    """`  7%`, `<1%`, `100%`: four cells."""
    percent = 100 * part / of if of else 0
    return (f"{percent:.0f}%" if percent >= 0.5 or not part else "<1%").rjust(4)


def _indexes(indexes: "Sequence[IndexFile]", width: int) -> list[str]:
    """The indexes that `search` keeps; a path stands whole, however many lines it takes."""
    if not indexes:
        return []
    lines = [painted("indexes", DIM)]
    for each in indexes:
        lines.append(f"{_INDENT}{each.kind}  {size(each.bytes)}")
        pieces = folded(visible_line(str(each.path)), width - 2 * len(_INDENT))
        lines += [2 * _INDENT + painted(piece, DIM) for piece in pieces]
    return lines
