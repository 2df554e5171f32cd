"""A table within a text: its cells are wrapped, and where there is no room, stand one below the
other. No character of a cell is cut; `tables` is for lists, which may cut theirs."""

from typing import Final

from synmem.cli.screen.pieces import Line, Piece, width_of, wrapped
from synmem.cli.screen.styles import DIM

BETWEEN: Final = " │ "
"""What stands between two cells."""

_NARROWEST: Final = 8
_RULE: Final = "─"
_CROSSING: Final = "─┼─"
_SHORT: Final = 3


class Grid:
    """The rows of a table, the first its head, all of so many cells; and how its columns are
    aligned: "", "left", "center" or "right"."""

    def __init__(self) -> None:
        self.rows: list[list[Line]] = []
        self.aligned: list[str] = []

    def lines(self, width: int) -> list[Line]:
        """The lines of the table, in a grid if it fits; a rule behind each row if one has several
        lines."""
        widths = self._widths(width)
        if widths is None:
            return self._stacked()
        rows = [self._row(row, widths) for row in self.rows]
        rule: Line = [Piece(_CROSSING.join(_RULE * each for each in widths), DIM)]
        is_simple = all(len(row) == 1 for row in rows)
        lines = [*rows[0], rule]
        for number, row in enumerate(rows[1:]):
            lines += [*([] if is_simple or not number else [rule]), *row]
        return lines if is_simple else [*lines, rule]

    def _widths(self, width: int) -> list[int] | None:
        """How wide each column is; None where they have no room beside one another."""
        room = width - len(BETWEEN) * (len(self.aligned) - 1)
        columns = range(len(self.aligned))
        widths = [max(1, *(width_of(row[i]) for row in self.rows)) for i in columns]
        least = [min(each, _NARROWEST) for each in widths]
        if sum(least) > room:
            return None
        while (over := sum(widths) - room) > 0:
            widest = max(columns, key=lambda i: widths[i])
            second = max([each for each in widths if each < widths[widest]], default=0)
            alike = widths.count(widths[widest])
            taken = max(1, min(widths[widest] - max(second, least[widest]), over // alike))
            widths[widest] -= taken
        return widths

    def _row(self, row: list[Line], widths: list[int]) -> list[Line]:
        """The lines of a row, of which each cell has as many as its neighbours."""
        cells = [wrapped(cell, each) for cell, each in zip(row, widths, strict=True)]
        lines: list[Line] = []
        for number in range(max(map(len, cells))):
            line: Line = []
            for i, cell in enumerate(cells):
                part = cell[number] if number < len(cell) else []
                line += [Piece(BETWEEN, DIM)] if i else []
                line += _padded(part, widths[i], self.aligned[i])
            lines.append(line)
        return lines

    def _stacked(self) -> list[Line]:
        """Each cell on a line of its own, a short rule between two rows."""
        lines: list[Line] = []
        for number, row in enumerate(self.rows):
            lines += [[Piece(_RULE * _SHORT, DIM)]] if number else []
            lines += [cell for cell in row if cell]
        return lines


def _padded(line: Line, width: int, aligned: str) -> Line:
    space = max(0, width - width_of(line))
    before = {"right": space, "center": space // 2}.get(aligned, 0)
    return [Piece(" " * before), *line, Piece(" " * (space - before))]
