"""Where a history may be cut, so that no tool result loses its call: its front, and its tail.

A call's results are looked for up to `REACH` messages behind it.
"""

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from synmem.errors import Changed
from synmem.messages import Conversation, Message, Unreadable, chunks
from synmem.store import START, Page, Part, Position, Store
from synmem.strategies.history import Unmet
from synmem.strategies.pairing import REACH, Pairing, whole_from, whole_tail

Item = Message | Unreadable

_ATTEMPTS: Final = 8
_FURTHER: Final = 100  # messages looked at once where a call is sought, or a result


class Front:
    """The front of a conversation, which goes, and what is seen behind it, which stays.

    `messages` are the front's; `ended` is set once the first that stays was reached.
    """

    def __init__(self) -> None:
        self.messages = 0
        self.ended = False
        self.first_at: datetime | None = None
        self._seen = 0
        self._pairing = Pairing()
        self._pairs: list[tuple[int, int]] = []
        self._pages: deque[tuple[int, Page]] = deque()  # those near the end, with what is in front

    def take(self, page: Page, stop: int) -> None:
        """The first `stop` messages of the next page go."""
        if not stop:
            return
        if not self.messages and isinstance(first := page.items[0], Message):
            self.first_at = first.created_at
        self._pages.append((self.messages, page))
        self.messages += stop
        while len(self._pages) > 1 and self._pages[1][0] < self.messages - REACH:
            self._pages.popleft()
        self._see(page.items[:stop])
        if len(self._pairs) > 2 * REACH:
            self._pairs = [pair for pair in self._pairs if pair[0] > self.messages - REACH]

    def goes_on(self, kept: Sequence[Item]) -> bool:
        """Messages that stay; whether a call of the front may have its result behind them."""
        for some in chunks(kept, _FURTHER):
            if not self._awaits:
                return False
            self._see(some)
        return self._awaits

    @property
    def _awaits(self) -> bool:
        return self.messages > 0 and self._pairing.awaits(self._seen + 1, self.messages + 1)

    def whole(self) -> int:
        """How many messages may go: all of the front, or those before a call that stays."""
        nearest = self.messages - REACH
        pairs = (pair for pair in self._pairs if pair[1] > nearest)
        return whole_from(self.messages + 1, pairs) - 1

    def at(self, number: int) -> tuple[Page, int]:
        """Where the message of that number is, one of the last of the front."""
        before, page = next(each for each in reversed(self._pages) if each[0] < number)
        return page, number - before - 1

    def _see(self, items: Sequence[Item]) -> None:
        results = self._pairing.see(self._seen + 1, items)
        self._pairs += [(result, caller) for result, caller in results if caller is not None]
        self._seen += len(items)


async def append_keeping(
    store: Store, conversation: Conversation, message: Message, keep: int
) -> int:
    """Append, and trim to the newest `keep` messages (at least 1) in the same step, or to more
    where a tool result would lose its call; return to how many.

    Reads no more than what is kept, and up to `REACH` messages in front of it where a call is
    missing. Where others append again and again meanwhile, it is appended and nothing is trimmed:
    the next one does.
    """
    for attempt in range(_ATTEMPTS):
        tail, end = await _tail(store, conversation.id, message, keep)
        most = max(keep, whole_tail(tail, keep))
        try:
            await store.append([Part(conversation, [message], expect=end)], keep=most)
        except Changed:
            await asyncio.sleep(random.uniform(0, 0.01 * attempt))
        else:
            return most
    await store.append([Part(conversation, [message])])
    return keep


async def _tail(
    store: Store, conversation: str, message: Message, keep: int
) -> tuple[list[Item], Position]:
    """The end of the conversation with the message behind it, as far back as a call may stand
    whose result is kept; and where it ends now."""
    newest: list[Item] = [message]
    end = after = START
    calls = Unmet()
    calls.see(message)
    limit = max(keep - 1, 1)
    while True:
        count = 0
        async for page in store.read([conversation], reverse=True, after=after, limit=limit):
            end = end or page.position(0)
            after = page.position(-1)
            count += len(page.items)
            for item in page.items:
                if len(newest) < keep or calls.awaited:
                    newest.append(item)
                    calls.see(item)
        if count < limit or not calls.awaited or len(newest) >= keep + REACH:
            return newest[::-1], end
        limit = _FURTHER
