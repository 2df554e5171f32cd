"""Stats: how much there is in a store, in one pass over it."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from synmem.messages import Message, Unreadable
from synmem.operations.listing import select
from synmem.operations.looking import Skipped
from synmem.store import Page, Store
from synmem.strategies.meter import Meter

_METER = Meter()


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


async def stats(store: Store) -> Stats:
    """Count everything; an unreadable record is listed, and not counted as a message."""
    total = Stats()
    async for batch in select(store):
        name, number = None, 0
        async for page in store.read(batch):
            if page.conversation != name:
                name, number = page.conversation, 0
                total.conversations += 1
            _count(page, number, total)
            number += len(page.items)
    return total


def _count(page: Page, number: int, total: Stats) -> None:
    for i, item in enumerate(page.items, start=number + 1):
        if isinstance(item, Unreadable):
            total.unreadable.append(Skipped(page.conversation, i, item.reason))
        else:
            total.count(item)
