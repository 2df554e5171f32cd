"""The conversations that were listed so far, and those of them that a filter lets through."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from operator import attrgetter
from typing import Final

from synmem.cli.browsing.aside import Aside
from synmem.store import ConversationInfo, Store

_AT_ONCE: Final = 20_000
"""So many are looked at between two looks at the keyboard: some milliseconds."""

_AGE: Final = attrgetter("age")


class Row:
    """A conversation in the list: what the store says of it, and in which store it is."""

    __slots__ = ("age", "info", "store", "text", "words")

    def __init__(self, info: ConversationInfo, store: Aside) -> None:
        self.info = info
        self.store = store
        self.words: str | None = None
        """How its first message begins, once that was looked up."""
        self.text = _sought(info, "")
        """What a filter looks at: the id and what stands in the list."""
        self.age = -info.last_at.timestamp() if info.last_at is not None else float("inf")
        """What they are sorted by: the newest first, those without a time behind them."""

    def begins(self, words: str) -> None:
        """It was looked up how its first message begins, which stands where there is no title."""
        self.words = words
        self.text = _sought(self.info, words)

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from every other."""
        return self.store.label, self.info.id


def _sought(info: ConversationInfo, words: str) -> str:
    return f"{info.id}\n{info.title or words}".casefold()


async def listed(store: Aside) -> AsyncIterator[list[Row]]:
    """The rows of a store, page by page; what makes them runs beside the screen, too."""

    async def making(opened: Store) -> AsyncIterator[list[Row]]:
        async for page in opened.conversations(details=True):
            yield [Row(info, store) for info in page]

    async for page in store.pages(making):
        yield page


class Rows:
    """All rows in their order, and in `shown` those that hold every word of the filter."""

    def __init__(self) -> None:
        self.all: list[Row] = []
        self.shown: list[Row] = []
        self._words: list[str] = []
        self._version = 0
        self._filtering: object | None = None
        """What the filtering that is under way, if any, is known by: a newer one takes over."""

    @property
    def filtered(self) -> bool:
        """Whether there is a filter."""
        return bool(self._words)

    def clear(self) -> None:
        """Forget them all; the filter stays."""
        self._version += 1
        self.all, self.shown = [], []

    def add(self, rows: Sequence[Row]) -> None:
        """What one page of a listing brought."""
        self.all += rows
        if self._filtering is None:  # which comes to them by itself
            self.shown += filter(self._fits, rows)

    def sort(self) -> None:
        """The newest first; those without a time behind them."""
        self._version += 1
        self.all.sort(key=_AGE)
        if self.filtered or self._filtering:
            self.shown.sort(key=_AGE)
        else:
            self.shown = self.all.copy()

    def remove(self, row: Row) -> None:
        """It is not in the store any more."""
        self._version += 1
        for rows in (self.all, self.shown):
            if row in rows:
                rows.remove(row)

    async def filter(self, text: str) -> None:
        """Show those that hold all of these words in their id or title, whatever their case;
        without a title in how they begin, of what was on the screen."""
        self._words = text.casefold().split()
        mine = self._filtering = object()
        try:
            self.shown = await self._found()
        finally:
            if self._filtering is mine:
                self._filtering = None

    async def _found(self) -> list[Row]:
        found: list[Row] = []
        version, looked_at = self._version, 0
        while looked_at < len(self.all):
            some = self.all[looked_at : looked_at + _AT_ONCE]
            found += filter(self._fits, some) if self._words else some
            looked_at += len(some)
            await asyncio.sleep(0)
            if version != self._version:  # the order is another now
                version, looked_at = self._version, 0
                found.clear()
        return found

    def _fits(self, row: Row) -> bool:
        return all(word in row.text for word in self._words)
