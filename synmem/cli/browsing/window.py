"""The part of a conversation that is in memory: it moves along as one scrolls, and stays small."""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

from synmem.cli.browsing.rows import Row
from synmem.messages import Message, Unreadable
from synmem.store import START, Page, Position, Store

STEP: Final = 60
"""So many messages are read at once."""

MOST: Final = 240
"""So many are kept; those at the other end go, and are read again when one comes back to them."""


class Placed(NamedTuple):
    """A message, where it stands in its store, and the how-manieth it is, counted from 1; None
    where that is not known."""

    item: Message | Unreadable
    position: Position
    number: int | None


class Window:
    """Consecutive messages of a conversation, oldest first."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.placed: list[Placed] = []
        self.total = row.info.messages
        self.at_start = self.at_end = False

    async def newest(self) -> None:
        """The last messages."""
        store, name = self.row.store, self.row.info.id
        found, self.total = await store.ask(lambda s: _newest(s, name, self.total))
        self.placed = _numbered(found, last=self.total)
        self.at_start, self.at_end = len(found) < STEP, True

    async def around(self, number: int) -> None:
        """Those around the one of that number."""
        store, name = self.row.store, self.row.info.id
        upto = number + STEP // 2
        found, count = await store.ask(lambda s: _until(s, name, upto))
        self.placed = _numbered(found, last=count)
        self.at_start, self.at_end = count == len(found), count < upto

    async def older(self) -> None:
        """Those in front of what is here."""
        if self.at_start or not self.placed:
            return
        first = self.placed[0]
        found = await self._read(after=first.position, reverse=True)
        last = None if first.number is None else first.number - 1
        self.at_start = len(found) < STEP
        self.placed[:0] = _numbered(found[::-1], last=last)
        if len(self.placed) > MOST:
            self.at_end = False
            del self.placed[MOST:]

    async def newer(self) -> None:
        """Those behind what is here."""
        if self.at_end or not self.placed:
            return
        last = self.placed[-1]
        found = await self._read(after=last.position)
        self.at_end = len(found) < STEP
        end = None if last.number is None else last.number + len(found)
        self.placed += _numbered(found, last=end)
        if len(self.placed) > MOST:
            self.at_start = False
            del self.placed[: len(self.placed) - MOST]

    async def _read(self, *, after: Position, reverse: bool = False) -> "list[_Found]":
        name = self.row.info.id
        return await self.row.store.ask(
            lambda s: _all(s.read([name], after=after, reverse=reverse, limit=STEP))
        )


_Found = tuple[Message | Unreadable, Position]


def _numbered(found: "Sequence[_Found]", *, last: int | None) -> list[Placed]:
    """Each with its number, where that of the last is known."""
    first = None if last is None else last - len(found) + 1
    numbers = [None] * len(found) if first is None else range(first, first + len(found))
    return [Placed(*pair, number) for pair, number in zip(found, numbers, strict=True)]


async def _all(pages: AsyncIterator[Page]) -> "list[_Found]":
    return [pair async for page in pages for pair in _of(page)]


def _of(page: Page) -> "list[_Found]":
    return [(item, page.position(i)) for i, item in enumerate(page.items)]


async def _newest(store: Store, name: str, total: int | None) -> "tuple[list[_Found], int | None]":
    """The last messages, oldest first, and how many there are now."""
    async for page in store.conversations([name], details=True):
        for info in page:
            total = info.messages
    found = await _all(store.read([name], reverse=True, limit=STEP))
    if len(found) < STEP:
        total = len(found)
    return found[::-1], total


async def _until(store: Store, name: str, upto: int) -> "tuple[list[_Found], int]":
    """The messages before that one, oldest first, as far as they are kept; and how many there are
    up to it."""
    kept: deque[_Found] = deque(maxlen=2 * STEP)
    count = 0
    async for page in store.read([name], after=START, limit=upto):
        kept += _of(page)
        count += len(page.items)
    return list(kept), count
