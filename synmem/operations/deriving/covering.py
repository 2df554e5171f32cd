"""Covering: reading a conversation on from a note, all but its newest messages, oldest first.

Whoever derives something from a history reads it so: what the note covers is not read again, and
memory stays flat however long the history is.
"""

from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import datetime
from math import inf

from synmem.errors import ConversationNotFound
from synmem.messages import Message, Unreadable
from synmem.notes import Covered, Note, Reach, tail_of
from synmem.operations.looking import Skipped
from synmem.store import START, Position, Store
from synmem.strategies.meter import Meter

Placed = tuple[Position, Message | Unreadable]


class Newest:
    """The newest messages, which stay uncovered: no more than `messages` of them."""

    def __init__(self, messages: float = inf) -> None:
        self._messages = messages
        self.items: deque[Placed] = deque()

    def add(self, position: Position, item: Message | Unreadable) -> None:
        """The next message."""
        self.items.append((position, item))

    def pop(self) -> Placed:
        """The oldest of them gives way."""
        return self.items.popleft()

    def leaving(self) -> Iterator[Placed]:
        """Those that give way, the oldest first."""
        while len(self.items) > self._messages:
            yield self.pop()


class NewestTokens(Newest):
    """The newest messages that have no more than `most` tokens, one at least.

    Once they have more, they give way until they have no more than `target`: so that not every
    new message makes another give way.
    """

    def __init__(self, most: float, target: float, meter: Meter) -> None:
        super().__init__()
        self._most = most
        self._target = target
        self._meter = meter
        self._costs: deque[float] = deque()
        self._tokens = 0.0

    def add(self, position: Position, item: Message | Unreadable) -> None:
        """See `Newest.add`."""
        super().add(position, item)
        self._costs.append(self._meter.message(item) if isinstance(item, Message) else 0)
        self._tokens += self._costs[-1]

    def pop(self) -> Placed:
        """See `Newest.pop`."""
        self._tokens -= self._costs.popleft()
        return super().pop()

    def leaving(self) -> Iterator[Placed]:
        """See `Newest.leaving`."""
        if self._tokens > self._most:
            self._most = self._target
        while self._tokens > self._most and len(self.items) > 1:
            yield self.pop()

    def shrink(self, most: float) -> None:
        """No more than so many tokens from now on."""
        self._most = self._target = most


class Covering:
    """Reads a conversation, and covers all but its newest messages.

    `upto` is the last position covered, `at` its message's time, `more` whether any message was
    covered beyond the note.
    """

    def __init__(self, store: Store, conversation: str) -> None:
        self._store = store
        self._conversation = conversation
        self._covered = Covered()
        self._open_calls: set[str] = set()
        self._last: Message | Unreadable | None = None
        self.upto: Position = START
        self.more = False
        self.unreadable: list[Skipped] = []

    @classmethod
    async def begin(cls, store: Store, conversation: str, note: Note | None) -> "Covering":
        """From the start of a conversation, or behind a note that fits."""
        covering = cls(store, conversation)
        tail = note and await tail_of(store, conversation, note.reach)
        if note and tail:
            covering._covered = Covered(note.reach, tail)
            covering.upto, covering._last = tail[-1]
            for _, item in tail:
                covering._see(item)
        return covering

    async def read(self, newest: Newest) -> AsyncGenerator[tuple[int, Message]]:
        """Each message that is covered, with its number from 1, to the end of the conversation.

        It counts as covered when the next one is asked for. A tool result goes where its call
        went. ConversationNotFound where there is nothing to read.
        """
        async for page in self._store.read([self._conversation], after=self.upto):
            for i, item in enumerate(page.items):
                newest.add(page.position(i), item)
            for message in self._leaving(newest):
                yield message
        if not newest.items and not self.messages:
            raise ConversationNotFound(self._conversation, self._store.name)
        for message in self.giving_way(newest):
            yield message

    def giving_way(self, newest: Newest) -> Iterator[tuple[int, Message]]:
        """Of the newest, once all are read, each message that leaves them, as `read` gives them:
        a tool result goes where its call goes."""
        yield from self._leaving(newest)
        yield from self._results(newest)

    def _leaving(self, newest: Newest) -> Iterator[tuple[int, Message]]:
        for position, item in newest.leaving():
            yield from self._cover(position, item)

    def _results(self, newest: Newest) -> Iterator[tuple[int, Message]]:
        """Of the newest those that hold results of calls that are covered."""
        if self.messages:
            for _ in range(_belonging(newest.items, self._open_calls)):
                yield from self._cover(*newest.pop())

    def _cover(
        self, position: Position, item: Message | Unreadable
    ) -> Iterator[tuple[int, Message]]:
        number = self.messages + 1
        if isinstance(item, Message):
            yield number, item
            self._see(item)
        else:
            self.unreadable.append(Skipped(self._conversation, number, item.reason))
        self._covered.add(position, item)
        self._last = item
        self.upto = position
        self.more = True

    def _see(self, item: Message | Unreadable) -> None:
        if isinstance(item, Message):
            self._open_calls |= {str(call.get("id")) for call in item.tool_calls or ()}
            self._open_calls.discard(item.tool_call_id or "")

    @property
    def messages(self) -> int:
        """How many messages are covered."""
        return self._covered.messages

    @property
    def at(self) -> datetime | None:
        """The time of the last message covered."""
        return self._last.created_at if isinstance(self._last, Message) else None

    @property
    def reach(self) -> Reach:
        """How far it covers; at least one message."""
        return self._covered.reach


def _belonging(newest: Sequence[Placed], calls: set[str]) -> int:
    """How many of the newest, from the oldest on, hold results of these calls; or of none, where
    they stand in front: nothing of them could be sent. The newest of all is none of them."""
    belonging = 0
    for i, (_, item) in enumerate(newest):
        if not isinstance(item, Message) or item.role != "tool":
            continue
        if belonging == i or item.tool_call_id in calls:
            belonging = i + 1
    return max(0, min(belonging, len(newest) - 1))
