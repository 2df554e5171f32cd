"""The messages of a conversation: the newest at the bottom, older ones as one scrolls up."""

import asyncio
import contextlib
from bisect import bisect_right
from collections.abc import Iterator
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from synmem.cli.browsing.drawing import day_of, drawn, names_of, rule
from synmem.cli.browsing.lines import Line, strip
from synmem.cli.browsing.rowed import MARK
from synmem.cli.browsing.rows import Row
from synmem.cli.browsing.scrolled import Scrolled
from synmem.cli.browsing.window import Placed, Window
from synmem.cli.render import visible_line
from synmem.cli.screen.columns import cells, cut, cut_middle
from synmem.cli.screen.pieces import Piece
from synmem.cli.screen.styles import DIM
from synmem.cli.words import count
from synmem.errors import Changed, SynmemError

_STEP = 3
"""So many lines a key moves within a message that is longer than the screen."""


_LEAST_ID = 12

_RULED = 2
"""So many lines a day takes."""


class Messages(Scrolled, can_focus=True, inherit_bindings=False):
    """The messages of the current conversation, one of them current."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "turn(-1)", show=False),
        Binding("pagedown", "turn(1)", show=False),
        Binding("home,g", "oldest", show=False),
        Binding("end,G", "newest", show=False),
        Binding("enter,space", "fold", show=False),
        Binding("a", "fold_all", show=False),
    ]

    class Shown(Message):
        """Another conversation is shown, or none."""

    class Failed(Message):
        """The messages cannot be read."""

        def __init__(self, error: SynmemError) -> None:
            super().__init__()
            self.error = error

    def __init__(self) -> None:
        super().__init__(id="messages")
        self.saying = ""
        self._window: Window | None = None
        self._placed: list[Placed] = []
        """Those that are drawn: the window's, but for what is on its way."""
        self._lines: list[list[Line]] = []
        self._starts: list[int] = []
        self._ruled: set[int] = set()
        """Those above which a day stands."""
        self._unfolded: set[str] = set()
        self._made: dict[tuple[str, bool], list[Line]] = {}
        """Lines that were made for this width, of what is in the window; to wrap them takes its
        time."""
        self._cursor = 0
        self._reading: object | None = None
        """What the reading that is under way, if any, is known by: a newer one takes over."""
        self._at_end = True
        """Whether the last line was seen: then it is also where there is less room."""

    @property
    def row(self) -> Row | None:
        """The conversation that is shown."""
        return self._window.row if self._window is not None else None

    def described(self, room: int) -> str:
        """The id of the conversation that is shown, and how many messages it has."""
        if self._window is None:
            return ""
        total = self._window.total
        many = "" if total is None else f"  {count(total, 'message')}"
        many = many if cells(many) + _LEAST_ID <= room else ""
        return cut_middle(visible_line(self._window.row.info.id), room - cells(many)) + many

    @property
    def current(self) -> Placed | None:
        """The message at the cursor."""
        return self._placed[self._cursor] if self._cursor < len(self._placed) else None

    def clear(self) -> None:
        """Show nothing."""
        self.workers.cancel_node(self)
        self._window, self.saying, self._cursor = None, "", 0
        self._placed = []
        self.post_message(self.Shown())
        self._reading = None
        self._unfolded.clear()
        self._made.clear()
        self._draw()

    @work(exclusive=True, group="messages")
    async def show(self, row: Row, number: int | None = None) -> None:
        """The newest messages of a conversation, or those around one."""
        window = Window(row)
        try:
            with self._under_way():
                await (window.newest() if number is None else window.around(number))
                self._unfolded = {each.position for each in window.placed if each.number == number}
                self._made.clear()
                await self._make(window.placed)
        except SynmemError as error:
            self.clear()
            self.saying = "cannot be read"
            self.post_message(self.Failed(error))
            return
        self._window, self._placed = window, []
        self.post_message(self.Shown())
        self.saying = "" if window.placed else "it is gone"
        self._draw()
        numbers = [each.number for each in self._placed]
        if number in numbers:
            self._cursor = numbers.index(number)
            self._scroll(self._starts[self._cursor])
        else:
            self._cursor = max(0, len(numbers) - 1)
            self._scroll(self.virtual_size.height)

    @contextlib.contextmanager
    def _under_way(self) -> Iterator[None]:
        """While messages are read and wrapped: no more are asked for, which would end that."""
        mine = self._reading = object()
        try:
            yield
        finally:
            if self._reading is mine:
                self._reading = None

    # --- keys ---

    def action_move(self, by: int) -> None:
        """To the message before or behind; through a long one by lines."""
        if not self._lines:
            return
        top, height = round(self.scroll_y), self.size.height
        first, end = self._extent(self._cursor)
        if by > 0 and end > top + height:
            self._scroll(min(top + _STEP, end - height))
        elif by < 0 and first < top:
            self._scroll(max(top - _STEP, first))
        else:
            self._go(self._cursor + by)

    def action_turn(self, by: int) -> None:
        """A page down or up; the current message is one that is seen."""
        self._scroll(round(self.scroll_y) + by * max(1, self.size.height - 2))
        top = round(self.scroll_y)
        at = top if by < 0 else min(top + self.size.height, self.virtual_size.height) - 1
        self._cursor = self._at(at)
        self.refresh()

    def action_oldest(self) -> None:
        """To the first message."""
        if self._window is not None and not self._window.at_start:
            self.show(self._window.row, 1)
        else:
            self._go(0)
            self._scroll(0)

    def action_newest(self) -> None:
        """To the last message."""
        if self._window is not None and not self._window.at_end:
            self.show(self._window.row)
        else:
            self._go(len(self._lines) - 1)
            self._scroll(self.virtual_size.height)

    def action_fold(self) -> None:
        """Show all of the current message, or fold it again."""
        if self.current is not None:
            self._unfold(self._unfolded ^ {self.current.position})

    def action_fold_all(self) -> None:
        """Show all of every message that is here, or fold them again."""
        every = {each.position for each in self._placed}
        self._unfold(set() if self._unfolded >= every else every)

    @work(exclusive=True, group="drawing")
    async def _unfold(self, unfolded: set[str]) -> None:
        self._unfolded = unfolded
        await self._make(self._placed)
        self._draw()
        self._go(self._cursor)

    def on_click(self, event: Click) -> None:
        """A click makes a message current, and folds the one that is."""
        if self._lines:
            at = self._at(self.scroll_offset.y + event.y)
            if at == self._cursor:
                self.action_fold()
            else:
                self._go(at)

    # --- more of the conversation ---

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Near an end of what is here, more is read."""
        super().watch_scroll_y(old_value, new_value)
        self._at_end = new_value >= self.max_scroll_y
        self._look_for_more()

    def _look_for_more(self) -> None:
        window, height = self._window, self.size.height
        if window is None or self._reading or not height:
            return
        if self.scroll_y < height and not window.at_start:
            self._more(older=True)
        elif self.scroll_y + 2 * height > self.virtual_size.height and not window.at_end:
            self._more(older=False)

    @work(exclusive=True, group="messages")
    async def _more(self, *, older: bool) -> None:
        window = self._window
        assert window is not None
        try:
            with self._under_way():
                await (window.older() if older else window.newer())
                await self._make(window.placed)
        except Changed:
            self.show(window.row)
            return
        except SynmemError as error:
            window.at_start = window.at_end = True  # it is not asked again and again
            self.post_message(self.Failed(error))
            return
        anchor = self._anchor()
        self._draw()
        self._return_to(anchor)
        self.call_after_refresh(self._look_for_more)

    def _anchor(self) -> tuple[str, int]:
        """Which message is seen at the top, and how far above or below that it ends: at its
        beginning a day may come or go."""
        if not self._starts:
            return "", 0
        top = round(self.scroll_y)
        at = self._at(top)
        return self._placed[at].position, top - self._extent(at)[1]

    def _return_to(self, anchor: tuple[str, int]) -> None:
        position, below = anchor
        for at, each in enumerate(self._placed):
            if each.position == position:
                self._scroll(self._extent(at)[1] + below)

    # --- drawing ---

    def on_resize(self, event: Resize) -> None:
        """The lines are as wide as this is."""
        self._made.clear()
        self._wrap_anew()

    @work(exclusive=True, group="drawing")
    async def _wrap_anew(self) -> None:
        await self._make(self._placed)
        anchor, at_end = self._anchor(), self._at_end
        self._draw()
        if at_end:
            self._scroll(self.virtual_size.height)
        else:
            self._return_to(anchor)

    def on_focus(self) -> None:
        """The mark shows where the keys go."""
        self.refresh()

    def on_blur(self) -> None:
        """See `on_focus`."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """The line that is seen there."""
        at, width = self.scroll_offset.y + y, self.size.width
        if at >= self.virtual_size.height or not self._lines:
            return strip([Piece(cut(self.saying, width) if y == 0 else "", DIM)], width)
        number = self._at(at)
        part, lines = at - self._starts[number], self._lines[number]
        is_its_own = (_RULED if number in self._ruled else 0) <= part < len(lines) - 1
        is_current = number == self._cursor and self.has_focus
        return strip(
            [Piece("▌ " if is_current and is_its_own else "  ", MARK), *lines[part]], width
        )

    @property
    def _width(self) -> int:
        """What a line has beside the mark and the bar, which lies on the last column."""
        return max(10, self.size.width - 3)

    def _draw(self) -> None:
        """Show the lines of the window as it is now; what was current stays so."""
        current, width = self.current, self._width
        self._placed = list(self._window.placed) if self._window is not None else []
        self._lines, self._starts = [], []
        self._ruled.clear()
        day, start = "", 0
        for each in self._placed:
            lines = self._made.get(self._key(each), [[]])
            if (its := day_of(each)) and its != day:
                day = its
                self._ruled.add(len(self._lines))
                lines = [rule(day, width), [], *lines]
            self._lines.append(lines)
            self._starts.append(start)
            start += len(lines)
        places = [each.position for each in self._placed]
        here = set(places)
        self._made = {key: lines for key, lines in self._made.items() if key[0] in here}
        if current is not None and current.position in places:
            self._cursor = places.index(current.position)
        self._cursor = max(0, min(self._cursor, len(places) - 1))
        self.virtual_size = Size(self.size.width, start)
        self.refresh()

    async def _make(self, placed: list[Placed]) -> None:
        """Make the lines of these, in a thread: long ones take longer than a key may wait."""
        width, names = self._width, names_of(placed)
        missing = {self._key(each): each for each in placed if self._key(each) not in self._made}

        def making() -> dict[tuple[str, bool], list[Line]]:
            return {
                key: drawn(each, width, names, unfolded=key[1]) for key, each in missing.items()
            }

        made = await asyncio.to_thread(making)
        if width == self._width:
            self._made |= made
        else:  # it was resized meanwhile
            await self._make(placed)

    def _key(self, placed: Placed) -> tuple[str, bool]:
        return placed.position, placed.position in self._unfolded

    def _at(self, line: int) -> int:
        """Which message has that line."""
        return max(0, bisect_right(self._starts, line) - 1)

    def _extent(self, number: int) -> tuple[int, int]:
        start = self._starts[number]
        return start, start + len(self._lines[number])

    def _go(self, to: int) -> None:
        """Make that message current, and show it."""
        if not self._lines:
            return
        self._cursor = max(0, min(to, len(self._lines) - 1))
        first, end = self._extent(self._cursor)
        top, height = round(self.scroll_y), self.size.height
        if first < top or end - first > height:
            self._scroll(first)
        elif end > top + height:
            self._scroll(end - height)
        self.refresh()

    def _scroll(self, to: float) -> None:
        self.scroll_to(y=to, animate=False, force=True)
        self._at_end = self.scroll_y >= self.max_scroll_y
