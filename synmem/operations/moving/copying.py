"""Messages on their way into a store: many conversations in one call, one huge one in many.

Every call tells the end that it expects of each conversation, so a second run beside this one
doubles nothing. Memory holds one call.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from synmem.errors import Changed, CorruptData, Rejected
from synmem.messages import (
    Conversation,
    Holds,
    Message,
    Unreadable,
    refusals,
)
from synmem.operations.proof import Proof, compared_lines, parted, unreadable
from synmem.store import START, Page, Part, Position, Store

CALL_MESSAGES = 5_000
CALL_BYTES = 8_000_000
"""No append of ours is larger: what is held is what is in flight."""

Reject = Callable[[str, int, Message | Unreadable, str], None]
"""Told of every message that stays behind: conversation, number of messages before it, why."""


class Copy:
    """One conversation on its way: what of it is in the destination for certain."""

    def __init__(
        self,
        source: str,
        conversation: Conversation,
        action: str,
        proof: Proof,
        *,
        end: Position | None = START,
        base: int = 0,
    ) -> None:
        self.source = source
        self.conversation = conversation
        self.action = action
        self.proof = proof
        self.end = end
        self.base = base
        """The number of the source's first message in its conversation, less one."""
        self.taken = proof.messages
        self.written = 0
        self.own: dict[str, str] = {}
        self.after: Position = START
        self.at: int | None = 0
        """How many messages of the destination stand before what the proof is over, if known."""
        self.last: Page | None = None
        self.kind: str | None = None
        self.problem: str | None = None
        self.own_problem: str | None = None
        """Why not all of title and extra came along: the messages did."""
        self.changed = False
        self.finished = False
        """Whether its source was read to the end."""
        self.left = 0
        """How many messages stayed behind."""
        self.described = conversation.title is None and conversation.extra is None

    def stop(self, kind: str, problem: str) -> None:
        """It ends here; what follows stays behind."""
        self.kind, self.problem = kind, problem


class _Waiting:
    """What of one conversation goes with the next call."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.messages: list[Message] = []
        self.lines: list[bytes] = []


class _Refused(NamedTuple):
    """What the store refused of one conversation, and what follows it."""

    copy: Copy
    at: int
    messages: list[Message]
    kind: str
    problem: str


class Writer:
    """Gathers messages and appends them, as many in one call as the store may take."""

    def __init__(self, dest: Store, holds: Holds, reject: Reject, *, dry_run: bool = False) -> None:
        self.written = 0
        self._dest = dest
        self._holds = holds
        self._reject = reject
        self._append = self._pretend if dry_run else dest.append
        self._messages = min(dest.holds.call_messages, CALL_MESSAGES)
        self._bytes = min(dest.holds.call_bytes, CALL_BYTES)
        self._waiting: dict[Copy, _Waiting] = {}
        self._room = self._messages
        self._space = self._bytes

    async def take(self, copy: Copy, items: Sequence[Message | Unreadable]) -> None:
        """The next records of a conversation; the first that cannot be read ends it."""
        if copy.changed:
            return
        if copy.problem is None:
            messages, items = parted(items)
            await self._gather(copy, messages)
            if (bad := unreadable(items)) is not None:
                await self._end_unreadable(copy, bad)
        if items and not copy.changed:
            self._leave(copy, copy.taken, items)
            copy.taken += len(items)

    def describe(self, copy: Copy) -> None:
        """A conversation of which only title or extra are to be set."""
        if not copy.described:
            self._waiting.setdefault(copy, _Waiting(copy.taken))

    async def flush(self) -> None:
        """Append what was gathered. Where somebody else wrote meanwhile, nothing of the call is
        written, and its conversations are marked `changed`."""
        waiting, self._waiting = self._waiting, {}
        self._room, self._space = self._messages, self._bytes
        refused: list[_Refused] = []
        while parts := [self._part(copy, w) for copy, w in waiting.items()]:
            try:
                ends = await self._append(parts)
            except Changed:
                for copy in (*waiting, *(each.copy for each in refused)):
                    copy.changed = True
                return
            except Rejected as error:
                refused += _cut(waiting, error)
            except CorruptData as error:
                refused.append(_without(waiting, error))
            else:
                self._book(waiting, ends)
                break
        for each in refused:
            each.copy.stop(each.kind, each.problem)
            self._leave(each.copy, each.at, each.messages)

    def is_waiting(self, copy: Copy) -> bool:
        """Whether something of it was not written yet."""
        return copy in self._waiting

    async def _gather(self, copy: Copy, messages: Sequence[Message]) -> None:
        lines = compared_lines(messages, self._holds)
        start = 0
        while start < len(messages):
            stop = self._fitting(lines, start)
            waiting = self._waiting.get(copy)
            if waiting is None:
                waiting = self._waiting[copy] = _Waiting(copy.taken)
            waiting.messages += messages[start:stop]
            waiting.lines += lines[start:stop]
            copy.taken += stop - start
            start = stop
            if self._room <= 0 or self._space <= 0:
                await self.flush()
                if copy.changed:
                    return
                if copy.problem is not None:
                    self._leave(copy, copy.taken, messages[start:])
                    copy.taken += len(messages) - start
                    return

    def _fitting(self, lines: list[bytes], start: int) -> int:
        """Where the messages end that still go with this call: at least one."""
        stop = min(len(lines), start + self._room)
        size = sum(map(len, lines[start:stop]))
        while size > self._space and stop > start + 1:
            stop -= 1
            size -= len(lines[stop])
        self._room -= stop - start
        # Something was left over: the call is full.
        self._space = self._space - size if stop == len(lines) else 0
        return stop

    async def _end_unreadable(self, copy: Copy, bad: Unreadable) -> None:
        await self.flush()  # so that what stays behind is told in order
        if copy.problem is None and not copy.changed:
            number = copy.base + copy.taken + 1
            copy.stop("unreadable", f"message {number:,} cannot be read: {bad.reason}")

    def _part(self, copy: Copy, waiting: _Waiting) -> Part:
        conversation = copy.conversation
        if copy.described:
            conversation = Conversation(conversation.id)
        return Part(conversation, waiting.messages, copy.end)

    def _leave(self, copy: Copy, at: int, items: Sequence[Message | Unreadable]) -> None:
        for number, item in enumerate(items, copy.base + at):
            reason = f"follows {copy.problem}" if copy.left else str(copy.problem)
            copy.left += 1
            self._reject(copy.conversation.id, number, item, reason)

    def _book(self, waiting: dict[Copy, _Waiting], ends: Sequence[Position]) -> None:
        for (copy, part), end in zip(waiting.items(), ends, strict=True):
            copy.end = end
            copy.described = True
            copy.proof.take(part.messages, part.lines)
            copy.written += len(part.messages)
            self.written += len(part.messages)

    async def _pretend(self, parts: Sequence[Part]) -> list[Position]:
        """What an append would say to these messages, without one."""
        given = [(part.conversation, part.messages) for part in parts]
        if reasons := refusals(given, self._dest.refusal):
            raise Rejected(reasons)
        return [part.expect or START for part in parts]


def _cut(waiting: dict[Copy, _Waiting], error: Rejected) -> list[_Refused]:
    """Take out of a call what was refused, and what follows it in its conversation."""
    first: dict[str, tuple[int, str]] = {}
    for conversation, index, why in error.reasons:
        if conversation not in first or index < first[conversation][0]:
            first[conversation] = index, why
    refused = []
    for copy in [copy for copy in waiting if copy.conversation.id in first]:
        part = waiting[copy]
        index, why = first[copy.conversation.id]
        problem = f"message {copy.base + part.first + index + 1:,}: {why}"
        left = part.messages[index:]
        refused.append(_Refused(copy, part.first + index, left, "rejected", problem))
        del part.messages[index:], part.lines[index:]
        if not part.messages:
            del waiting[copy]
    if not refused:
        raise error
    return refused


def _without(waiting: dict[Copy, _Waiting], error: CorruptData) -> _Refused:
    """Take out of a call the one conversation that cannot be written to; raises where it is none
    of these."""
    for copy, part in waiting.items():
        if copy.conversation.id == error.conversation:
            del waiting[copy]
            return _Refused(copy, part.first, part.messages, "unreadable", str(error))
    raise error
