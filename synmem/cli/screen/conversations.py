"""The table of conversations on a terminal: `ls`, and what `clear` would remove."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from synmem.cli.render import visible_line
from synmem.cli.screen.columns import PROSE, cells
from synmem.cli.screen.styles import DIM
from synmem.cli.screen.tables import Column, Table
from synmem.cli.times import ago, shown
from synmem.cli.words import size

if TYPE_CHECKING:
    from synmem.operations.glances import Glance
    from synmem.store import ConversationInfo

_FITTED: Final = 1000
"""The columns are fitted to so many rows; in those behind them more is cut."""


class Conversations:
    """A row for each conversation. The widths are known before first words are read: their column
    takes what is left of the line."""

    def __init__(
        self,
        found: "Sequence[ConversationInfo]",
        whose: Sequence[str] | None = None,
        *,
        long: bool = False,
    ) -> None:
        """`whose`: the store of each; `long`: first time, last role and size too."""
        self._whose, self._long = whose, long
        sample = found[:_FITTED]
        rows = [self._cells(info, number, None) for number, info in enumerate(sample)]
        if rows:
            rows.append(self._widest(found, rows))
        self._kept = [
            number
            for number, column in enumerate(_COLUMNS)
            if column.title == "title" or any(row[number] for row in rows)
        ]
        columns = [_COLUMNS[number] for number in self._kept]
        self._table = Table(columns, map(self._of_kept, rows))

    @property
    def titled(self) -> bool:
        """Whether there is room for titles, or first words in their place."""
        return "title" in self._table.shown

    def head(self) -> bytes:
        """The line of the titles."""
        return self._table.head().encode() + b"\n"

    def rows(
        self, found: "Sequence[ConversationInfo]", first: int, glances: "Sequence[Glance | None]"
    ) -> bytes:
        """The lines of these, of which the first has that number among all."""
        lines = []
        for number, (info, glance) in enumerate(zip(found, glances, strict=True), first):
            row = self._of_kept(self._cells(info, number, glance))
            untitled = {len(row) - 1: DIM} if not info.title else {}
            lines.append(self._table.row(row, untitled))
        return "\n".join([*lines, ""]).encode("utf-8", "backslashreplace")

    def _of_kept(self, row: Sequence[str]) -> list[str]:
        return [row[number] for number in self._kept]

    def _cells(
        self, info: "ConversationInfo", number: int, glance: "Glance | None"
    ) -> tuple[str, ...]:
        weight = "" if glance is None or glance.bytes is None else size(glance.bytes)
        return (
            self._whose[number] if self._whose else "",
            info.id,
            "" if info.messages is None else f"{info.messages:,}",
            weight,
            shown(info.first_at)[:10] if self._long else "",
            ago(info.last_at),
            (glance and glance.last_role) or "",
            info.title or (glance.words if glance else ""),
        )

    def _widest(
        self, found: "Sequence[ConversationInfo]", rows: Sequence[tuple[str, ...]]
    ) -> tuple[str, ...]:
        """What the columns must have room for that is not known yet, or not in these rows."""
        most = max((info.messages or 0 for info in found), default=0)
        untitled = any(not info.title for info in found)
        oldest = min((info.last_at for info in found if info.last_at), default=None)
        return (
            "", "", f"{most:,}" if most else "",
            "99.9 MB" if self._long else "", "", ago(oldest), "assistant" if self._long else "",
            " " * PROSE if untitled else max((row[-1] for row in rows), key=_cells_of),
        )  # fmt: skip


def _cells_of(text: str) -> int:
    return cells(visible_line(text))


_COLUMNS: Final = (
    Column("store", least=8, middle=True, most=30, style=DIM),
    Column("conversation", least=12, middle=True),
    Column("messages", right=True, goes=3),
    Column("size", right=True, goes=4),
    Column("first", goes=6, style=DIM),
    Column("last", goes=2, style=DIM),
    Column("role", goes=5, least=6, style=DIM),
    Column("title", goes=1, least=20, most=PROSE),
)
