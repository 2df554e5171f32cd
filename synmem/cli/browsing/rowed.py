"""A list of which one row is current: drawn only where it is seen, however long it is."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from synmem.cli.browsing.lines import Line, strip
from synmem.cli.browsing.scrolled import Scrolled
from synmem.cli.screen.columns import cut
from synmem.cli.screen.pieces import Piece
from synmem.cli.screen.styles import DIM

MARK = "36"


class Rowed(Scrolled, can_focus=True, inherit_bindings=False):
    """What is listed says its subclass."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "turn(-1)", show=False),
        Binding("pagedown", "turn(1)", show=False),
        Binding("home,g", "go(0)", show=False),
        Binding("end,G", "go(-1)", show=False),
        Binding("enter,right,l", "open", show=False),
    ]

    class Opened(Message):
        """The current row is chosen."""

        def __init__(self, rowed: "Rowed") -> None:
            super().__init__()
            self.rowed = rowed

        @property
        def control(self) -> "Rowed":
            """The list in which it is."""
            return self.rowed

    def __init__(self, id: str, *, tall: int = 1) -> None:
        super().__init__(id=id)
        self.saying = ""
        self.cursor = 0
        self._tall = tall

    # --- what a subclass says ---

    def count(self) -> int:
        """How many rows there are."""
        raise NotImplementedError

    def line(self, number: int, part: int, width: int) -> Line:
        """The line of a row: its first or, where rows are taller, another."""
        raise NotImplementedError

    def empty(self) -> str:
        """What stands in the place of rows, where there are none."""
        return self.saying

    def arrived(self) -> None:
        """The cursor is where it is now, and other rows may be seen."""

    # --- keys ---

    def action_move(self, by: int) -> None:
        """So many rows down."""
        self.action_go(max(0, self.cursor + by))

    def action_turn(self, by: int) -> None:
        """So many pages down."""
        self.action_move(by * max(1, self.size.height // self._tall - 1))

    def action_go(self, to: int) -> None:
        """To that row; -1 is the last."""
        last = max(0, self.count() - 1)
        self.cursor = last if to < 0 else min(to, last)
        self.show_cursor()

    def action_open(self) -> None:
        """Choose the current one."""
        if self.count():
            self.post_message(self.Opened(self))

    def on_click(self, event: Click) -> None:
        """A click makes a row current, and chooses the one that is."""
        at = (self.scroll_offset.y + event.y) // self._tall
        if at < self.count():
            again = at == self.cursor
            self.action_go(at)
            if again:
                self.action_open()

    # --- drawing ---

    def changed(self) -> None:
        """There are other rows now, or other lines of them."""
        self.cursor = max(0, min(self.cursor, self.count() - 1))
        self.virtual_size = Size(self.size.width, self.count() * self._tall)
        self.show_cursor()

    def on_resize(self, event: Resize) -> None:
        """The rows are as wide as this is."""
        self.changed()

    def on_focus(self) -> None:
        """The mark shows where the keys go."""
        self.refresh()

    def on_blur(self) -> None:
        """See `on_focus`."""
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Other rows are seen."""
        super().watch_scroll_y(old_value, new_value)
        self.arrived()

    def render_line(self, y: int) -> Strip:
        """What is seen there."""
        number, part = divmod(self.scroll_offset.y + y, self._tall)
        width = self.size.width
        if number >= self.count():
            saying = self.empty() if not self.count() and y == 0 else ""
            return strip([Piece(f" {cut(saying, width - 1)}", DIM)], width)
        is_current = number == self.cursor
        mark = Piece("▌" if is_current else " ", MARK if self.has_focus else DIM)
        line = self.line(number, part, width - 2)
        return strip([mark, *line, Piece(" ")], width, bold=is_current and part == 0)

    def show_cursor(self) -> None:
        """Scroll to where it is seen, and draw."""
        top, height = round(self.scroll_y), max(self._tall, self.size.height)
        first, end = self.cursor * self._tall, (self.cursor + 1) * self._tall
        if first < top:
            self.scroll_to(y=first, animate=False, force=True)
        elif end > top + height:
            self.scroll_to(y=end - height, animate=False, force=True)
        self.refresh()
        self.arrived()
