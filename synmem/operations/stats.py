"""Stats: how much there is in a store, in one pass over it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from synmem.messages import Message, Unreadable
from synmem.operations.listing import select
from synmem.operations.looking import Skipped
from synmem.store import Page, Store
from synmem.strategies.meter import Meter

_METER = Meter()
_LARGEST = 5
_YEARS = 50
"""Of so many, the last, the months are told: a time that is wrong may be of any."""


class Largest(NamedTuple):
    """One of the conversations of the most messages."""

    conversation: str
    messages: int
    title: str | None = None


@dataclass
class Stats:
    """What was counted. The times are the earliest and the latest of any message.

    `characters` are those of the contents; `tokens` is what sending all messages would cost, as
    `context --explain` counts it: content or parts, names and tool calls.
    """

    conversations: int = 0
    messages: int = 0
    roles: Counter[str] = field(default_factory=Counter)
    characters: int = 0
    tokens: float = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    unreadable: list[Skipped] = field(default_factory=list)
    months: Counter[int] = field(default_factory=Counter)
    """Messages by the month, in UTC, in which they were written: twelve times the year, and the
    month from 0 on."""
    largest: list[Largest] = field(default_factory=list)
    """The conversations of the most messages, the largest first."""

    def by_month(self) -> dict[str, int]:
        """The messages of each month, `2026-01`, from the first to the last that has any."""
        if not self.months:
            return {}
        first, last = min(self.months), max(self.months)
        first = max(first, last - 12 * _YEARS)
        return {
            f"{month // 12:04}-{month % 12 + 1:02}": self.months[month]
            for month in range(first, last + 1)
        }

    @property
    def estimated_tokens(self) -> int:
        """A token for four characters of what would be sent."""
        return int(self.tokens)

    def count(self, message: Message) -> None:
        """One more message."""
        self.messages += 1
        self.roles[message.role] += 1
        self.characters += len(message.content)
        self.tokens += _METER.message(message)
        at = message.created_at
        if at is not None:
            self.first_at = at if self.first_at is None else min(self.first_at, at)
            self.last_at = at if self.last_at is None else max(self.last_at, at)
            self.months[12 * at.year + at.month - 1] += 1

    def rank(self, conversation: str, messages: int) -> None:
        """Keep this one among the largest, if it is one of them; of equal ones by their ids."""
        if len(self.largest) == _LARGEST and messages < self.largest[-1].messages:
            return
        self.largest.append(Largest(conversation, messages))
        self.largest.sort(key=lambda each: (-each.messages, each.conversation))
        del self.largest[_LARGEST:]


async def stats(store: Store, heard: Callable[[int], object] = lambda messages: None) -> Stats:
    """Count everything; an unreadable record is listed, and not counted as a message. `heard` is
    told how many records were looked at, page by page."""
    total = Stats()
    async for batch in select(store):
        name, number, before = None, 0, 0
        async for page in store.read(batch):
            if page.conversation != name:
                if name is not None:
                    total.rank(name, total.messages - before)
                name, number, before = page.conversation, 0, total.messages
                total.conversations += 1
            _count(page, number, total)
            number += len(page.items)
            heard(len(page.items))
        if name is not None:
            total.rank(name, total.messages - before)
    total.largest = await _titled(store, total.largest)
    return total


async def _titled(store: Store, largest: list[Largest]) -> list[Largest]:
    """The same with their titles."""
    ids = [each.conversation for each in largest]
    if not ids or "title" not in store.holds.conversation_fields:
        return largest
    pages = store.conversations(ids, details=True)
    titles = {info.id: info.title async for page in pages for info in page}
    return [each._replace(title=titles.get(each.conversation)) for each in largest]


def _count(page: Page, number: int, total: Stats) -> None:
    for i, item in enumerate(page.items, start=number + 1):
        if isinstance(item, Unreadable):
            total.unreadable.append(Skipped(page.conversation, i, item.reason))
        else:
            total.count(item)
