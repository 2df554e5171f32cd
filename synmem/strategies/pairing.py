"""Which tool call each result answers, of messages that pass by in order.

A result belongs to the newest call of its id, if that has none yet; one without an id to the
assistant's message right in front of it, whether that calls anything or not.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from synmem.messages import Message, Unreadable

REACH: Final = 1000
"""So many messages behind its call a result is looked for, where a history is cut."""

_MOST: Final = 4096
"""Calls that are remembered at once, so that memory stays flat however long the history is."""


class Pairing:
    """Sees messages in order, and remembers the calls that a result may still come for.

    `waiting` are the calls without a result so far, by the number of their message. Of more than
    4,096 messages that call something the oldest are forgotten: `unanswered` counts them too.
    """

    def __init__(self) -> None:
        self.waiting: dict[int, list[object]] = {}
        self._forgotten = 0
        self._by_id: dict[str, int] = {}
        self._before: int | None = None

    def see(
        self, first: int, items: Iterable[Message | Unreadable]
    ) -> list[tuple[int, int | None]]:
        """The next messages, numbered from `first` on: the number of each tool result among them,
        and of the message that it answers; None where it answers none. Numbers grow."""
        results: list[tuple[int, int | None]] = []
        for number, item in enumerate(items, first):
            if isinstance(item, Unreadable):
                continue
            role = item.role
            if role == "tool":
                results.append((number, self._answered(item.tool_call_id)))
                continue
            self._before = number if role == "assistant" else None
            if item.tool_calls:
                self._call(number, [call.get("id") for call in item.tool_calls])
        return results

    def _answered(self, name: str | None) -> int | None:
        caller = self._before if name is None else self._by_id.get(name)
        calls = self.waiting.get(caller, []) if caller is not None else []
        if name is None:
            del calls[:1]
            return caller
        if name not in calls:
            return None
        calls.remove(name)
        return caller

    def _call(self, number: int, ids: list[object]) -> None:
        self.waiting[number] = ids
        self._by_id |= {each: number for each in ids if isinstance(each, str)}
        if len(self.waiting) > _MOST:
            self.waiting = {at: calls for at, calls in self.waiting.items() if calls}
            for at in list(self.waiting)[: -_MOST // 2]:
                self._forgotten += len(self.waiting.pop(at))
            self._by_id = {name: at for name, at in self._by_id.items() if at >= number - _MOST}

    @property
    def unanswered(self) -> int:
        """How many calls have no result so far."""
        return self._forgotten + sum(map(len, self.waiting.values()))

    def awaits(self, number: int, start: int) -> bool:
        """Whether the message of this number, or one behind it, may be a result of what was seen
        in front of `start`, no more than `REACH` messages before."""
        near = range(number - REACH, start)
        return self._before in near or any(
            calls and at in near for at, calls in self.waiting.items()
        )


def whole_from(start: int, pairs: Iterable[tuple[int, int]]) -> int:
    """Where to begin, at `start` or before it, so that no result stands without its call.

    `pairs` are the numbers of each result and of its call's message. What is taken in for one
    result may hold results itself: their calls are taken in too.
    """
    for result, caller in sorted(pairs, reverse=True):
        if result < start:
            break
        start = min(start, caller)
    return start


def whole_tail(items: Sequence[Message | Unreadable], count: int) -> int:
    """How many of the last of these to keep: `count`, or more where a result would lose its call;
    no more than `REACH` more."""
    results = Pairing().see(0, items)
    pairs = [(result, caller) for result, caller in results if caller is not None]
    start = max(0, len(items) - count)
    return len(items) - whole_from(start, (pair for pair in pairs if pair[1] >= start - REACH))
