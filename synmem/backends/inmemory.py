"""Conversations in this process: the reference store. Read this one first.

Data layout: a dict from id to a `_Held`, whose messages stand in the order of their numbers. A
new message takes the last number given plus one; what `replace` puts in front takes numbers
below the lowest ever given. No number is given twice, so a position whose message is gone is
known to be gone. Nothing is kept when the process ends.
"""

import copy
import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterable, AsyncIterator, Collection, Mapping, Sequence
from typing import Any

from synmem import messages as model
from synmem.backends.paging import called_off
from synmem.errors import Changed, Rejected
from synmem.messages import Conversation, Holds, JSONObject, Message, Unreadable, chunks
from synmem.store import START, ConversationInfo, Page, Part, Position, Step


async def open(
    settings: Mapping[str, Any], *, write: bool = False, page_size: int = 1000
) -> "InMemoryStore":
    """A new, empty store."""
    return InMemoryStore(page_size=page_size)


class _Held:
    """One conversation: numbers and messages side by side, in order."""

    def __init__(self) -> None:
        self.title: str | None = None
        self.extra: JSONObject | None = None
        self.numbers: list[int] = []
        self.messages: list[Message | Unreadable] = []
        self.notes: dict[str, Any] = {}

    @property
    def end(self) -> Position:
        return str(self.numbers[-1]) if self.numbers else START

    def cut(self, position: Position) -> int:
        """How many messages stand up to and with this position."""
        if position == START:
            return 0
        index = bisect_left(self.numbers, int(position))
        if index == len(self.numbers) or self.numbers[index] != int(position):
            raise Changed("the message at which to go on is gone: it changed while it was read",
                          hint="run again")  # fmt: skip
        return index + 1

    def describe(self, conversation: Conversation) -> None:
        """Take over a title and an extra that are set; an empty one is forgotten."""
        if conversation.title is not None:
            self.title = conversation.title or None
        if conversation.extra is not None:
            self.extra = copy.deepcopy(conversation.extra) or None


class InMemoryStore:
    """A `Store` in this process (DESIGN: `memory:`); with notes, and it remembers steps."""

    name = "memory:"
    holds = Holds()

    def __init__(self, *, page_size: int = 1000) -> None:
        self._page_size = page_size
        self._held: dict[str, _Held] = {}
        self._steps: dict[str, bool] = {}
        """Of each token whether its write was done; else it was called off."""
        self._last = 0
        self._first = 1

    def refusal(self, message: Message) -> str | None:
        """What no store can hold; this one holds all else."""
        return model.refusal(message)

    async def append(
        self, parts: Sequence[Part], *, keep: int | None = None, token: str | None = None
    ) -> list[Position]:
        """See `Store.append`."""
        if self._is_known(token):
            return [self._end(part.conversation.id) for part in parts]
        self._check(parts)
        self._remember(token)
        return [self._append(part, keep) for part in parts]

    async def read(
        self,
        conversations: Sequence[str],
        *,
        after: Position = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Page]:
        """See `Store.read`."""
        for conversation in conversations:
            anchor, left = after, limit
            while left is None or left > 0:
                size = self._page_size if left is None else min(left, self._page_size)
                page = self._page(conversation, anchor, reverse, size)
                if page is None:
                    break
                anchor = page.position(-1)
                left = None if left is None else left - len(page.items)
                yield page

    async def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`."""
        names = list(self._held) if ids is None else list(dict.fromkeys(ids))
        for page in chunks(names, self._page_size):
            found = [self._info(name, details) for name in page if name in self._held]
            if found:
                yield found

    async def delete(
        self,
        conversation: str,
        *,
        upto: Position | None = None,
        begins: Position | None = None,
        token: str | None = None,
    ) -> bool:
        """See `Store.delete`."""
        if self._is_known(token):
            return True
        held = self._held.get(conversation)
        if held is None:
            return False
        self._check_begin(conversation, begins)
        self._cut(conversation, len(held.numbers) if upto is None else held.cut(upto))
        self._remember(token)
        return True

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
        begins: Position | None = None,
        token: str | None = None,
    ) -> None:
        """See `Store.replace`."""
        new = [message async for page in messages for message in page]
        if self._is_known(token):
            return
        self._check([Part(conversation, new)])
        self._check_begin(conversation.id, begins)
        held = self._held.get(conversation.id, _Held())
        cut = held.cut(upto)
        self._remember(token)
        self._first -= len(new)
        held.numbers[:cut] = range(self._first, self._first + len(new))
        held.messages[:cut] = copy.deepcopy(new)
        held.describe(conversation)
        if held.numbers:
            self._held[conversation.id] = held
        else:
            self._held.pop(conversation.id, None)

    async def note(self, conversation: str, name: str) -> Any | None:
        """See `SupportsNotes.note`."""
        held = self._held.get(conversation)
        return copy.deepcopy(held.notes.get(name)) if held else None

    async def set_note(self, conversation: str, name: str, value: Any | None) -> None:
        """See `SupportsNotes.set_note`."""
        held = self._held.get(conversation)
        if held is not None:
            held.notes.pop(name, None)
            if value is not None:
                held.notes[name] = copy.deepcopy(value)

    async def notes(self, conversations: Sequence[str]) -> dict[str, dict[str, Any]]:
        """See `SupportsNotes.notes`."""
        held = {each: self._held[each] for each in conversations if each in self._held}
        return {each: copy.deepcopy(one.notes) for each, one in held.items() if one.notes}

    # --- steps ---

    async def steps_done(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.steps_done`."""
        return {step for step in steps if self._steps.get(step.token)}

    async def call_off(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.call_off`."""
        return {step for step in steps if self._steps.setdefault(step.token, False)}

    async def forget_steps(self, steps: Collection[Step]) -> None:
        """See `SupportsSteps.forget_steps`."""
        for step in steps:
            self._steps.pop(step.token, None)

    def _is_known(self, token: str | None) -> bool:
        """Whether a write with this token was done; Changed where it was called off."""
        if token is None or (done := self._steps.get(token)) is None:
            return False
        if not done:
            raise called_off(self.name)
        return True

    def _remember(self, token: str | None) -> None:
        if token is not None:
            self._steps[token] = True

    async def version(self) -> str | None:
        """See `SupportsChanges.version`; it tells none."""
        return None

    async def fingerprints(self, upto: Mapping[str, Position]) -> dict[str, str]:
        """See `SupportsChanges.fingerprints`."""
        found = {}
        for name, position in upto.items():
            if (held := self._held.get(name)) is not None:
                count = bisect_right(held.numbers, int(position))
                front = held.numbers[:count], held.messages[:count]
                found[name] = hashlib.sha256(repr(front).encode("utf-8", "replace")).hexdigest()
        return found

    async def total(self) -> int:
        """See `SupportsTotal`."""
        return sum(len(held.messages) for held in self._held.values())

    async def close(self) -> None:
        """Nothing to give back; what was stored stays until the object goes."""

    def _check(self, parts: Sequence[Part]) -> None:
        """All that could stop an append, before its first write."""
        if reasons := model.refusals(
            [(part.conversation, part.messages) for part in parts], self.refusal
        ):
            raise Rejected(reasons)
        for part in parts:
            if part.expect is not None and part.expect != self._end(part.conversation.id):
                raise Changed(
                    f"conversation {part.conversation.id!r} in {self.name} changed meanwhile",
                    hint="run again",
                )

    def _end(self, conversation: str) -> Position:
        held = self._held.get(conversation)
        return held.end if held else START

    def _check_begin(self, conversation: str, begins: Position | None) -> None:
        """Changed, where its first message is not this one."""
        held = self._held.get(conversation)
        if begins is not None and begins != (str(held.numbers[0]) if held else START):
            raise Changed(f"conversation {conversation!r} changed meanwhile", hint="run again")

    def _append(self, part: Part, keep: int | None) -> Position:
        held = self._held.get(part.conversation.id, _Held())
        held.numbers += range(self._last + 1, self._last + 1 + len(part.messages))
        held.messages += copy.deepcopy(list(part.messages))
        self._last += len(part.messages)
        if held.numbers:
            held.describe(part.conversation)
            self._held[part.conversation.id] = held
        if keep is not None and len(held.numbers) > keep:
            self._cut(part.conversation.id, len(held.numbers) - keep)
        return held.end

    def _cut(self, conversation: str, count: int) -> None:
        held = self._held[conversation]
        del held.numbers[:count], held.messages[:count]
        if not held.numbers:
            del self._held[conversation]

    def _page(self, conversation: str, anchor: Position, reverse: bool, size: int) -> Page | None:
        held = self._held.get(conversation)
        if held is None:
            if anchor != START:
                _Held().cut(anchor)  # there was one a page ago
            return None
        if reverse:
            stop = len(held.numbers) if anchor == START else held.cut(anchor) - 1
            chosen = slice(max(0, stop - size), stop)
        else:
            start = held.cut(anchor)
            chosen = slice(start, start + size)
        numbers, items = held.numbers[chosen], held.messages[chosen]
        if reverse:
            numbers, items = numbers[::-1], items[::-1]
        return Page(conversation, items, lambda i: str(numbers[i])) if items else None

    def _info(self, conversation: str, details: bool) -> ConversationInfo:
        if not details:
            return ConversationInfo(id=conversation)
        held = self._held[conversation]
        first, last = held.messages[0], held.messages[-1]
        return ConversationInfo(
            id=conversation,
            messages=len(held.messages),
            first_at=first.created_at if isinstance(first, Message) else None,
            last_at=last.created_at if isinstance(last, Message) else None,
            title=held.title,
            extra=held.extra,
        )
