"""Messages on their way into a store: many conversations in one call, one huge one in many.

Every call tells the end that it expects of each conversation, so a second run beside this one
doubles nothing. Memory holds one call.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from synmem.errors import Changed, CorruptData, Rejected
from synmem.messages import (
    Conversation,
    Holds,
    Message,
    Unreadable,
    refusals,
)
from synmem.operations.moving.receipt import Entry, as_utf8
from synmem.operations.proof import Proof, compared_lines, parted, unreadable
from synmem.store import START, Page, Part, Position, Store

CALL_MESSAGES = 5_000
CALL_BYTES = 8_000_000
"""No append of ours is larger: what is held is what is in flight."""

Reject = Callable[[str, int, Message | Unreadable, str], None]
"""Told of every message that stays behind: conversation, number of messages before it, why."""


class Copy:
    """One conversation on its way: what of it is in the destination for certain.

    `entry` is what the ledger will say, as far as it is known before the end. `conversation` has
    the title and the extra that go with the next append; where that is to be expected is `end`.
    `base` messages stand in the conversation before the first of the source.
    """

    def __init__(
        self,
        entry: Entry,
        conversation: Conversation,
        proof: Proof,
        *,
        end: Position | None = START,
        base: int = 0,
        description_problem: str | None = None,
    ) -> None:
        self.entry = entry
        self.conversation = conversation
        self.proof = proof
        self.end = end
        self.taken = proof.messages
        """How many records of the source were dealt with."""
        self.last: Page | None = None
        """The last page of the source."""
        self.changed = False
        """Whether somebody else wrote meanwhile: it is to be looked at again."""
        self.left = 0
        """How many messages stayed behind."""
        self._base = base
        self._description_problem = description_problem
        self._finished = False

    @property
    def described(self) -> bool:
        """Whether nothing of title and extra is to be set any more."""
        return self.conversation.title is None and self.conversation.extra is None

    @property
    def stopped(self) -> bool:
        """Whether it ended before its end; what follows stays behind."""
        return self.entry.problem is not None

    @property
    def over(self) -> bool:
        """Whether its source was read as far as it goes, and nobody else wrote."""
        return (self._finished or self.stopped) and not self.changed

    def number(self, at: int) -> int:
        """The number, in its conversation, of the record of the source behind `at` others."""
        return self._base + at + 1

    def is_there(self, messages: Sequence[Message], lines: Sequence[bytes]) -> None:
        """The destination has these already."""
        self.proof.take(messages, lines)
        self.taken += len(messages)

    def append(self, messages: Sequence[Message], lines: Sequence[bytes], end: Position) -> None:
        """These were appended, with title and extra; the destination now ends there."""
        self.end = end
        self.conversation = Conversation(self.conversation.id)
        self.proof.take(messages, lines)
        self.entry = replace(self.entry, written=self.entry.written + len(messages))

    def stop(self, kind: str, problem: str) -> None:
        """It ends here; what follows stays behind."""
        self.entry = replace(self.entry, kind=kind, problem=problem)

    def leave(self) -> str:
        """One more message stays behind; why."""
        self.left += 1
        problem = self.entry.problem
        return f"follows {problem}" if self.left > 1 else str(problem)

    def finish(self) -> None:
        """Its source was read to the end."""
        self._finished = True

    def done(self) -> Entry:
        """What became of it."""
        entry, messages = self.entry, self.proof.messages
        problems = [entry.problem] if entry.problem is not None else []
        if self._description_problem is not None and (messages or not problems):
            problems.append(self._description_problem)
        return replace(
            entry,
            action=entry.action if entry.written or not self.left else "nothing",
            messages=messages,
            digest=str(self.proof) if messages else None,
            description=entry.description if messages else {},
            kind=entry.kind or ("unreadable" if problems else None),
            problem=as_utf8("; ".join(problems)) if problems else None,
        )


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
        if not copy.stopped:
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
        while parts := [Part(c.conversation, w.messages, c.end) for c, w in waiting.items()]:
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
                if copy.stopped:
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
        if not copy.stopped and not copy.changed:
            number = copy.number(copy.taken)
            copy.stop("unreadable", f"message {number:,} cannot be read: {bad.reason}")

    def _leave(self, copy: Copy, at: int, items: Sequence[Message | Unreadable]) -> None:
        for i, item in enumerate(items, at):
            self._reject(copy.conversation.id, copy.number(i) - 1, item, copy.leave())

    def _book(self, waiting: dict[Copy, _Waiting], ends: Sequence[Position]) -> None:
        for (copy, part), end in zip(waiting.items(), ends, strict=True):
            copy.append(part.messages, part.lines, end)
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
        problem = f"message {copy.number(part.first + index):,}: {why}"
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
