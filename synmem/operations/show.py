"""Reading a conversation for a person: the first or last messages that fit."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from typing import Final

from synmem.errors import Changed, ConversationNotFound, MessageNotFound
from synmem.messages import Message, Unreadable
from synmem.store import START, Page, Position, Store

Item = Message | Unreadable

BESIDE: Final = 5
"""So many messages are shown before the one that was asked for, and behind it."""


class Filter:
    """Which messages are wanted: of these roles, `since` and before `until`.

    A filter by time leaves out what has no time, and counts it in `untimed`. A record that
    cannot be read is never left out.
    """

    def __init__(
        self,
        roles: Collection[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> None:
        self._roles = frozenset(roles)
        self._since = since
        self._until = until
        self._by_time = since is not None or until is not None
        self.untimed = 0

    @property
    def takes_all(self) -> bool:
        """Whether nothing is left out."""
        return not self._roles and not self._by_time

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Those that are wanted."""
        return items if self.takes_all else [item for item in items if self._wants(item)]

    def places(self, items: Sequence[Item]) -> Sequence[int]:
        """Where among them those stand that are wanted."""
        if self.takes_all:
            return range(len(items))
        return [i for i, item in enumerate(items) if self._wants(item)]

    def _wants(self, item: Item) -> bool:
        if isinstance(item, Unreadable):
            return True
        if self._roles and item.role not in self._roles:
            return False
        if not self._by_time:
            return True
        if item.created_at is None:
            self.untimed += 1
            return False
        return (self._since is None or item.created_at >= self._since) and (
            self._until is None or item.created_at < self._until
        )


class Reading:
    """A conversation, read from its start or its end; `end` is where the last message seen is."""

    def __init__(self, store: Store, conversation: str, wanted: Filter) -> None:
        self._store = store
        self._conversation = conversation
        self._wanted = wanted
        self.end: Position = START
        self._before: Position | None = None
        """The end before the last message seen; None where that is not known."""
        self.numbers: Sequence[int] = ()
        """The positions of the messages given last, from 1; `last` counts them from the end."""
        self.again = False
        """Whether the first of those that `new` gave last is one that was given before."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out of what is read."""
        return self._wanted.takes_all

    async def all(self, first: int | None = None) -> AsyncIterator[Sequence[Item]]:
        """The messages that are wanted, oldest first, in pages; no more than `first`.

        ConversationNotFound where there is no such conversation.
        """
        left = first
        limit = max(first, 1) if first is not None and self._wanted.takes_all else None
        passed = 0
        async for page in self._pages(limit=limit):
            self._pass(page)
            places = self._wanted.places(page.items)
            if left is not None:
                places = places[:left]
                left -= len(places)
            if places:
                self.numbers = _from(passed + 1, places)
                whole = len(places) == len(page.items)
                yield page.items if whole else [page.items[i] for i in places]
            passed += len(page.items)
            if left == 0:
                break

    async def last(self, count: int) -> list[Item]:
        """The newest `count` messages that are wanted, oldest first; no more is read, but two at
        the least: who follows them asks where the last but one stands."""
        found: list[Item] = []
        numbers: list[int] = []
        passed = 0
        self.end, self._wanted.untimed = START, 0  # of an earlier look
        limit = max(count, 2) if self._wanted.takes_all else None
        async for page in self._pages(reverse=True, limit=limit):
            if self.end == START:
                self.end = page.position(0)
                self._before = page.position(1) if len(page.items) > 1 else None
            for item in page.items:
                if len(found) == count:
                    break
                passed += 1
                if wanted := self._wanted.of([item]):
                    found += wanted
                    numbers.append(passed)
            if len(found) == count:
                break
        self.numbers = numbers[::-1]
        return found[::-1]

    async def is_at_end(self) -> bool:
        """Whether the message that was read last is the newest still."""
        try:
            async for _ in self._store.read([self._conversation], after=self.end, limit=1):
                return False
        except Changed:
            return False
        return True

    async def around(self, number: int, beside: int) -> list[Item]:
        """The message at that position, and up to `beside` before and behind it that are wanted.

        MessageNotFound where there are not so many. What stands before them is read, and let go.
        """
        first = max(1, number - beside)
        after, passed = START, 0
        if first > 1:
            from synmem.operations.looking import position_of

            after, passed = await position_of(self._store, self._conversation, first - 1)
        items: list[Item] = []
        if passed == first - 1:
            pages = self._store.read(
                [self._conversation], after=after, limit=number + beside - passed
            )
            items = [item async for page in pages for item in page.items]
        if not passed and not items:
            raise ConversationNotFound(self._conversation, self._store.name)
        if (there := passed + len(items)) < number:
            raise MessageNotFound(
                f"{self._conversation!r} has no message {number:,}: it has {there:,}"
            )
        places = self._wanted.places(items)
        self.numbers = _from(passed + 1, places)
        return [items[i] for i in places]

    async def new(self, *, every_s: float = 0.3) -> AsyncIterator[Sequence[Item]]:
        """What arrives behind `end`, for ever; Changed where the message there is gone.

        A program may write an answer piece by piece: where the message at `end` is another one now,
        and those in front of it are not, it comes again.
        """
        while True:
            try:
                async for items in self._arrived():
                    yield items
            except Changed:
                if self._before is None:
                    raise
                self.end, self._before = self._before, None
                first = [items async for items in self._arrived()]
                if not first:
                    raise
                for number, items in enumerate(first):
                    self.again = not number
                    yield items
                self.again = False
            await asyncio.sleep(every_s)

    async def _arrived(self) -> AsyncIterator[Sequence[Item]]:
        async for page in self._store.read([self._conversation], after=self.end):
            self._pass(page)
            if items := self._wanted.of(page.items):
                yield items

    def _pass(self, page: Page) -> None:
        """The messages of this page were seen."""
        self._before = page.position(-2) if len(page.items) > 1 else self.end
        self.end = page.position(-1)

    async def _pages(
        self, *, reverse: bool = False, limit: int | None = None
    ) -> AsyncIterator[Page]:
        found = False
        async for page in self._store.read([self._conversation], reverse=reverse, limit=limit):
            found = True
            yield page
        if not found:
            raise ConversationNotFound(self._conversation, self._store.name)


def _from(first: int, places: Sequence[int]) -> Sequence[int]:
    """The positions of these places, where `first` is that of the first one."""
    if isinstance(places, range):
        return range(first + places.start, first + places.stop)
    return [first + i for i in places]
