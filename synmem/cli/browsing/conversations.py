"""The list of the conversations: one line for each, and drawn only where it is seen."""

from typing import ClassVar, Final

from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from synmem.cli.browsing.lines import Line, Span, between, strip
from synmem.cli.browsing.rows import Row, Rows
from synmem.cli.render import visible_line
from synmem.cli.screen.columns import cells, cut, cut_middle
from synmem.cli.screen.styles import DIM
from synmem.cli.times import ago

_COUNTED: Final = 56
"""So wide the list also says how many messages a conversation has."""

_LABEL: Final = 14


class Conversations(ScrollView, can_focus=True, inherit_bindings=False):
    """The rows that are shown, with one of them current."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "turn(-1)", show=False),
        Binding("pagedown", "turn(1)", show=False),
        Binding("home,g", "go(0)", show=False),
        Binding("end,G", "go(-1)", show=False),
        Binding("enter,right,l", "open", show=False),
    ]

    class Current(Message):
        """Another row is current; or none, where none is shown."""

        def __init__(self, row: Row | None) -> None:
            super().__init__()
            self.row = row

    class Opened(Message):
        """The current row is to be read."""

        def __init__(self, row: Row) -> None:
            super().__init__()
            self.row = row

    class Seen(Message):
        """These rows came to be seen, and nobody knows how they begin."""

        def __init__(self, rows: list[Row]) -> None:
            super().__init__()
            self.rows = rows

    def __init__(self, rows: Rows) -> None:
        super().__init__(id="conversations")
        self.rows = rows
        self.several = False
        """Whether each says in which store it is."""
        self.saying = ""
        """What stands in the place of rows, where there are none."""
        self._cursor = 0
        self._moved = False
        self._told: tuple[str, str] | None = None

    @property
    def current(self) -> Row | None:
        """The row at the cursor."""
        shown = self.rows.shown
        return shown[self._cursor] if self._cursor < len(shown) else None

    def changed(self, *, keep: Row | None = None) -> None:
        """The rows are others now, or in another order: `keep` stays the current one, if it can.

        Until somebody has moved, the first is current.
        """
        shown = self.rows.shown
        if keep is not None and self._moved and keep in shown:
            self._cursor = shown.index(keep)
        self._cursor = max(0, min(self._cursor, len(shown) - 1))
        self.virtual_size = Size(self.size.width, len(shown))
        self._show_cursor()

    def begin(self) -> None:
        """As if it had never been moved: at the first row."""
        self._cursor, self._moved, self._told = 0, False, None
        self.scroll_to(y=0, animate=False)
        self.changed()

    def select(self, key: tuple[str, str]) -> None:
        """Make the row of that key current, if it is shown."""
        for number, row in enumerate(self.rows.shown):
            if row.key == key:
                self.action_go(number)
                break

    # --- keys ---

    def action_move(self, by: int) -> None:
        """So many rows down."""
        self.action_go(max(0, self._cursor + by))

    def action_turn(self, by: int) -> None:
        """So many pages down."""
        self.action_move(by * max(1, self.size.height - 1))

    def action_go(self, to: int) -> None:
        """To that row; -1 is the last."""
        last = max(0, len(self.rows.shown) - 1)
        self._cursor = last if to < 0 else min(to, last)
        self._moved = True
        self._show_cursor()

    def action_open(self) -> None:
        """Read the current one."""
        if self.current is not None:
            self.post_message(self.Opened(self.current))

    def on_click(self, event: Click) -> None:
        """A click makes a row current, and opens the one that is."""
        at = self.scroll_offset.y + event.y
        if at < len(self.rows.shown):
            again = at == self._cursor
            self.action_go(at)
            if again:
                self.action_open()

    # --- drawing ---

    def on_resize(self, event: Resize) -> None:
        """The rows are as wide as this is."""
        self.virtual_size = Size(event.size.width, len(self.rows.shown))
        self._show_cursor()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Other rows are seen."""
        super().watch_scroll_y(old_value, new_value)
        self._tell_seen()

    def on_focus(self) -> None:
        """The mark shows where the keys go."""
        self.refresh()

    def on_blur(self) -> None:
        """See `on_focus`."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """The row that is seen there."""
        number, width = self.scroll_offset.y + y, self.size.width
        if number >= len(self.rows.shown):
            saying = self.saying if not self.rows.shown and y == 0 else ""
            return strip([Span(f" {cut(saying, width - 1)}", DIM)], width)
        is_current = number == self._cursor
        line = self._line(self.rows.shown[number], width - 2)
        mark = Span("▌" if is_current else " ", "36" if self.has_focus else DIM)
        return strip([mark, *line, Span(" ")], width, bold=is_current)

    def _line(self, row: Row, width: int) -> Line:
        at = ago(row.info.last_at)
        if width >= _COUNTED:
            count = "" if row.info.messages is None else f"{row.info.messages:,}"
            at = f"{count:>7}  {at:>10}"
        room = width - len(at) - 1
        whose = []
        if self.several:
            label = cut(visible_line(row.store.label), min(_LABEL, room // 3))
            whose = [Span(label + " ", DIM)]
            room -= cells(label) + 1
        title = row.info.title or row.words
        text = cut(visible_line(title), room) if title else _id(row, room)
        return between([*whose, Span(text)], Span(at, DIM), width)

    def _show_cursor(self) -> None:
        """Scroll to where it is seen, draw, and tell who wants to know."""
        top, height = round(self.scroll_y), max(1, self.size.height)
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False, force=True)
        elif self._cursor >= top + height:
            self.scroll_to(y=self._cursor - height + 1, animate=False, force=True)
        self.refresh()
        self._tell_seen()
        row = self.current
        key = row.key if row is not None else None
        if key != self._told:
            self._told = key
            self.post_message(self.Current(row))

    def _tell_seen(self) -> None:
        first = round(self.scroll_y)
        seen = self.rows.shown[first : first + self.size.height]
        unknown = [row for row in seen if row.words is None and not row.info.title]
        if unknown:
            self.post_message(self.Seen(unknown))


def _id(row: Row, room: int) -> str:
    return cut_middle(visible_line(row.info.id), max(1, room))
