"""`synmem show` for a person: a page that fits the terminal, opened at its newest message."""

import shutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from synmem.cli import render
from synmem.cli.screen.columns import PROSE, terminal_width
from synmem.cli.screen.conversation import Sheet
from synmem.cli.words import count
from synmem.messages import Unreadable
from synmem.operations.looking import infos_of
from synmem.operations.show import BESIDE
from synmem.store import ConversationInfo, Store

if TYPE_CHECKING:
    from synmem.operations.show import Item, Reading

NEWEST: Final = 200
"""So many messages are shown where nothing says which: a pager that opens at the end reads all that
comes before it, and a person waits."""

_LOOKS: Final = 5
"""So often what grows while it is counted is looked at anew; then it has no positions."""


class Pretty:
    """What stdout gets of a conversation, where a person looks at it."""

    def __init__(
        self, store: Store, reading: "Reading", conversation: str, *, full: bool, raw: bool
    ) -> None:
        is_terminal = render.is_terminal()
        width = terminal_width() if is_terminal else PROSE
        # What is not for a screen is never cut.
        self._sheet = Sheet(width, full=full or not is_terminal, raw=raw)
        self._store = store
        self._reading = reading
        self._conversation = conversation
        self._next: int | None = None
        """The position of what arrives next, where it is known."""
        self.unreadable = 0

    async def newest(self, last: int | None) -> bytes:
        """The head, and the newest messages: `last` of them, or as many as are soon there."""
        wanted = NEWEST + 1 if last is None else last
        items, info = await self._last(wanted)
        total = info.messages
        numbers = [total + 1 - each if total else None for each in self._reading.numbers]
        self._next = total + 1 if total and self._reading.is_whole else None
        note = ""
        if last is None and len(items) == wanted:
            items, numbers = items[1:], numbers[1:]
            note = f"the newest {NEWEST}: --last N, --first N, --around N show others"
        return _encoded(
            self._sheet.head(info, self._store.name, note) + self._lines(items, numbers)
        )

    async def _last(self, wanted: int) -> "tuple[list[Item], ConversationInfo]":
        """The newest messages, and what is known of the conversation as they were its newest: their
        positions are told by how many there are."""
        for _ in range(_LOOKS):
            items = await self._reading.last(wanted)
            info = await self._info()
            if len(items) < wanted and self._reading.is_whole:
                return items, replace(info, messages=len(items))  # whatever has arrived since
            if info.messages is None or await self._reading.is_at_end():
                return items, info
        return items, replace(info, messages=None)

    async def pages(self, first: int | None, out: Callable[[bytes], object]) -> None:
        """The head, and the messages from the oldest on."""
        begun = False
        async for items in self._reading.all(first):
            lines = [] if begun else self._sheet.head(await self._info(), self._store.name)
            begun = True
            out(_encoded([*lines, *self._lines(items, self._reading.numbers)]))

    async def around(self, number: int) -> tuple[bytes, int]:
        """The head and what stands around a message; and at which line a screen of it begins."""
        items = await self._reading.around(number, BESIDE)
        lines = self._sheet.head(await self._info(), self._store.name)
        at = len(lines)
        for item, place in zip(items, self._reading.numbers, strict=True):
            at = len(lines) + 2 if place == number else at  # behind an empty line
            lines += self._one(item, place, marked=place == number)
        last = len(lines) + 2 - shutil.get_terminal_size().lines  # the screen's last row is less's
        return _encoded(lines), max(1, min(at, last))

    def page(self, items: "Sequence[Item]") -> bytes:
        """Messages that have just arrived; one that was written further has its position again."""
        if self._next is None:
            return _encoded(self._lines(items, [None] * len(items)))
        first = self._next - self._reading.again
        self._next = first + len(items)
        return _encoded(self._lines(items, range(first, self._next)))

    def tell_unreadable(self) -> None:
        """Say behind the page what stands within it: it may have scrolled by."""
        if self.unreadable:
            render.note(f"{count(self.unreadable, 'record')} cannot be read")

    def _lines(self, items: "Sequence[Item]", numbers: Sequence[int | None]) -> list[str]:
        pairs = zip(items, numbers, strict=True)
        return [line for item, number in pairs for line in self._one(item, number)]

    def _one(self, item: "Item", number: int | None, *, marked: bool = False) -> list[str]:
        if isinstance(item, Unreadable):
            self.unreadable += 1
            return self._sheet.unreadable(item, number)
        return self._sheet.message(item, number, marked=marked)

    async def _info(self) -> ConversationInfo:
        found = await infos_of(self._store, [self._conversation], details=True)
        return found.get(self._conversation) or ConversationInfo(id=self._conversation)


def _encoded(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
