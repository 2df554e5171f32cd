"""The list of the conversations: one line for each."""

from collections.abc import Sequence
from typing import Final

from textual.message import Message

from synmem.cli.browsing.lines import Line, between
from synmem.cli.browsing.rowed import Rowed
from synmem.cli.browsing.rows import Row, Rows
from synmem.cli.render import visible_line
from synmem.cli.screen.columns import cells, cut, cut_middle, padded
from synmem.cli.screen.pieces import Piece
from synmem.cli.screen.styles import DIM
from synmem.cli.times import ago

_COUNTED: Final = 56
"""So wide the list also says how many messages a conversation has."""

_LABEL: Final = 14
_NO_MATCH: Final = "none; esc, / searches in all"


class Conversations(Rowed):
    """The rows that are shown, with one of them current."""

    class Current(Message):
        """Another row is current; or none, where none is shown."""

        def __init__(self, row: Row | None) -> None:
            super().__init__()
            self.row = row

    class Seen(Message):
        """These rows came to be seen, and nobody knows how they begin."""

        def __init__(self, rows: list[Row]) -> None:
            super().__init__()
            self.rows = rows

    def __init__(self, rows: Rows) -> None:
        super().__init__("conversations")
        self.rows = rows
        self.label = 0
        """How wide the store stands before each; 0 where there is one."""
        self._moved = False
        self._told: tuple[str, str] | None = None

    @property
    def current(self) -> Row | None:
        """The row at the cursor."""
        shown = self.rows.shown
        return shown[self.cursor] if self.cursor < len(shown) else None

    def count(self) -> int:
        """See `Rowed.count`."""
        return len(self.rows.shown)

    def follow(self, row: Row | None) -> None:
        """The rows are in another order, or more: that one stays current, if somebody chose it.

        Until somebody has moved, the first is current.
        """
        if self._moved and row is not None and self.current is not row:
            shown = self.rows.shown
            self.cursor = shown.index(row) if row in shown else self.cursor
        self.changed()

    def tell_apart(self, stores: Sequence[str]) -> None:
        """In which store each is, if there are several."""
        self.label = max(map(cells, map(visible_line, stores))) if len(stores) > 1 else 0

    def begin(self) -> None:
        """As if it had never been moved: at the first row."""
        self.cursor, self._moved, self._told = 0, False, None
        self.scroll_to(y=0, animate=False)
        self.changed()

    def select(self, key: tuple[str, str], *, tell: bool = True) -> bool:
        """Make the row of that key current; whether it is shown. Who says so himself, need not be
        told."""
        for number, row in enumerate(self.rows.shown):
            if row.key == key:
                self._told = self._told if tell else key
                self.action_go(number)
                return True
        return False

    def tell_again(self) -> None:
        """Say what is current, though it is what was: it was changed, perhaps."""
        self._told = None
        self.changed()

    def action_go(self, to: int) -> None:
        """To that row; -1 is the last."""
        self._moved = True
        super().action_go(to)

    # --- drawing ---

    def line(self, number: int, part: int, width: int) -> Line:
        """Title, or first words, or id; and when something was last said."""
        row = self.rows.shown[number]
        at = ago(row.info.last_at)
        if width >= _COUNTED:
            count = "" if row.info.messages is None else f"{row.info.messages:,}"
            at = f"{count:>7}  {at:>10}"
        room = width - len(at) - 1
        whose = []
        if self.label:
            wide = min(self.label, _LABEL, room // 3)
            label = padded(cut(visible_line(row.store.label), wide), wide)
            whose = [Piece(label + " ", DIM)]
            room -= wide + 1
        title = row.info.title or row.words
        text = cut(visible_line(title), room) if title else _id(row, room)
        return between([*whose, Piece(text)], Piece(at, DIM), width)

    def empty(self) -> str:
        """See `Rowed.empty`; where a filter leaves none, what looks into the messages."""
        return _NO_MATCH if self.rows.all else self.saying

    def arrived(self) -> None:
        """Tell who wants to know, once."""
        first = round(self.scroll_y)
        seen = self.rows.shown[first : first + self.size.height]
        unknown = [row for row in seen if row.words is None and not row.info.title]
        if unknown:
            self.post_message(self.Seen(unknown))
        row = self.current
        key = row.key if row is not None else None
        if key != self._told:
            self._told = key
            self.post_message(self.Current(row))


def _id(row: Row, room: int) -> str:
    return cut_middle(visible_line(row.info.id), max(1, room))
