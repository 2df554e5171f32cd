"""Tables that fit the terminal: what is too long is cut, and then a column goes, never a line
breaks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from synmem.cli.render import paged, visible_line
from synmem.cli.screen.columns import cells, cut, cut_middle, padded, spread, terminal_width
from synmem.cli.screen.styles import DIM, painted

_GAP: Final = "  "
_NEVER_CUT: Final = 10**9


class Column(NamedTuple):
    """One column: what stands above it, and how it gives way where the line is too narrow."""

    title: str
    right: bool = False
    """Numbers stand at the right."""
    least: int = _NEVER_CUT
    """Down to so many cells it is cut; never, unless it is told."""
    middle: bool = False
    """Cut in its middle (an id), not at its end."""
    goes: int = 0
    """The column with the highest goes first; one with 0 stays."""
    most: int = _NEVER_CUT
    """It takes no more cells than these, however wide the terminal is."""
    style: str = ""


class Table:
    """Rows in columns that were fitted to a width. The cells come as they are stored, and pass
    the gate here."""

    def __init__(
        self, columns: Sequence[Column], rows: Iterable[Sequence[str]], *, width: int | None = None
    ) -> None:
        """Fitted to these rows; other rows are cut to what these left them."""
        width = terminal_width() if width is None else width
        wanted = [cells(column.title) for column in columns]
        for row in rows:
            wanted = [max(w, cells(visible_line(c))) for w, c in zip(wanted, row, strict=True)]
        wanted = [min(w, column.most) for w, column in zip(wanted, columns, strict=True)]
        self._kept = _kept(columns, wanted, width)
        self._columns = [columns[i] for i in self._kept]
        self._widths = _widths(self._columns, [wanted[i] for i in self._kept], width)

    @property
    def shown(self) -> list[str]:
        """The titles of the columns that had room."""
        return [column.title for column in self._columns]

    def head(self) -> str:
        """The line of the titles."""
        titles = [column._replace(style=DIM) for column in self._columns]
        return self._line(titles, [column.title for column in titles])

    def row(self, row: Sequence[str], styles: Mapping[int, str] | None = None) -> str:
        """The line of a row, which has a cell for each column, also for those that went.

        `styles` are of its own cells, by their numbers, in the place of their columns'.
        """
        columns = self._columns
        if styles:
            columns = [
                column._replace(style=styles.get(i, column.style))
                for i, column in zip(self._kept, columns, strict=True)
            ]
        return self._line(columns, [visible_line(row[i]) for i in self._kept])

    def _line(self, columns: Sequence[Column], row: Sequence[str]) -> str:
        """The last cell leaves room for the emoji before it whose parts a pager (`less`) shows side
        by side: the line would break there."""
        shown: list[str] = []
        for number, (column, cell) in enumerate(zip(columns, row, strict=True)):
            width = self._widths[number]
            is_last = number == len(columns) - 1 and not column.right
            if is_last:
                width = max(1, width - sum(map(spread, shown)))
            text = (cut_middle if column.middle else cut)(cell, width)
            text = text if is_last else padded(text, width, right=column.right)
            shown.append(painted(text, column.style))
        return _GAP.join(shown).rstrip()


def show_table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    styles: Sequence[Mapping[int, str]] = (),
) -> None:
    """A table on the terminal, through the pager, fitted to its rows; nothing where there are none.

    Columns in which nothing stands are left out. `styles`, where they are told, are for each row.
    """
    if not rows:
        return
    used = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    rows = [[row[i] for i in used] for row in rows]
    table = Table([columns[i] for i in used], rows)
    lines = [table.head()]
    for number, row in enumerate(rows):
        its = styles[number] if styles else {}
        lines.append(table.row(row, {at: its[i] for at, i in enumerate(used) if i in its}))
    with paged() as out:
        out("\n".join([*lines, ""]).encode("utf-8", "backslashreplace"))


def _kept(columns: Sequence[Column], wanted: Sequence[int], width: int) -> list[int]:
    """The columns that have room where all are as narrow as they may be."""
    kept = [*range(len(columns))]
    while _least(columns, wanted, kept) > width:
        first = max(kept, key=lambda i: columns[i].goes)
        if not columns[first].goes:
            break
        kept.remove(first)
    return kept


def _least(columns: Sequence[Column], wanted: Sequence[int], kept: Sequence[int]) -> int:
    return sum(min(wanted[i], columns[i].least) for i in kept) + len(_GAP) * (len(kept) - 1)


def _widths(columns: Sequence[Column], wanted: Sequence[int], width: int) -> list[int]:
    """What each gets: all that it wants, or the widest are cut to one width that fits."""
    over = sum(wanted) + len(_GAP) * (len(columns) - 1) - width
    widths = list(wanted)
    while over > 0:
        wide = [i for i, column in enumerate(columns) if widths[i] > min(column.least, wanted[i])]
        if not wide:
            break
        widest = max(wide, key=lambda i: widths[i])
        widths[widest] -= 1
        over -= 1
    if over > 0:  # there is no room for what may not be cut either: the first gives way
        widths[0] = max(1, widths[0] - over)
    return widths
