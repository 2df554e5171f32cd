"""Recall: of the whole conversation the messages nearest in meaning to a text."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Final

from synmem.errors import Changed
from synmem.messages import Message, Unreadable
from synmem.store import START, Position, Store
from synmem.strategies.context import Background, Context, Decision
from synmem.strategies.history import (
    History,
    Said,
    Unit,
    fill,
    newest_first,
    read_history,
    units_of,
)
from synmem.strategies.meter import Meter

_AROUND: Final = (8, 64, 256)
"""How far around a message the rest of its unit is sought, in messages: further where needed."""

_LOOK_BACK: Final = 1000
"""How far back the last message of the user's is sought, in messages."""

_MORE: Final = 4
"""Candidates for each message wanted: some do not fit, some belong to one unit."""

_MOST: Final = 200
"""Candidates at the most: around each of them something is read."""


@dataclass(frozen=True)
class Recalled:
    """A message that is near: the `number`-th (from 1) of `total`, right after `before`."""

    number: int
    total: int
    before: Position
    score: float


Nearest = Callable[[str, str, int], Awaitable[Sequence[Recalled]]]
"""The messages of a conversation that are nearest to a text, nearest first, so many."""


@dataclass(frozen=True)
class Recall:
    """The newest message, and the `messages` nearest to `query` that fit, in their own order.

    Without a `query` it is the last message of the user's. A tool call and its results are taken
    together, or not at all; the nearer are asked first, and one that does not fit leaves its room
    to the next. Only they and what stands around them are read.
    """

    nearest: Nearest
    query: str | None = None
    messages: float = 5
    max_tokens: float = math.inf
    background: tuple[Background, ...] = ()
    meter: Meter = field(default_factory=Meter)

    async def context(self, store: Store, conversation: str) -> Context:
        """See `Strategy.context`."""
        history = await read_history(store, conversation, messages=1, meter=self.meter)
        newest = replace(history, units=history.units[-1:], left_out=[], whole=True)
        query = self.query or await _last_of_user(store, conversation)
        near: list[_Near] = []
        if query:
            wanted = int(min(_MORE * self.messages, _MOST))
            found = await self.nearest(conversation, query, wanted)
            near = [each async for each in _units(store, conversation, found, self.meter)]
        return self._chosen(newest, near)

    def _chosen(self, newest: History, near: "Sequence[_Near]") -> Context:
        """What is sent of the newest unit, the background, and what is near."""
        first = fill(newest, self.background, self.max_tokens, math.inf, self.meter)
        asked = newest.asked_apart
        if asked is None or len(first.messages) == len(newest.units[-1].messages):
            asked = None  # it is the newest, or does not fit
        tokens, messages = self.max_tokens - first.tokens, self.messages
        taken: list[Said] = [asked] if asked else []
        decisions: list[Decision] = []
        for each in near:
            unit = each.unit.without(asked)
            over = unit.tokens > tokens
            out = over or len(unit.messages) > messages
            if not out:
                taken += unit.messages
                tokens -= unit.tokens
                messages -= len(unit.messages)
            why = "over the budget" if over else "others are nearer" if out else "near"
            decisions += unit.explained(taken=not out, why=f"{why} ({each.score:.2f})")
        taken.sort(key=lambda said: said.place)
        recalled = [said.message for said in taken]
        sent = first.messages[1:] if asked else first.messages
        decisions = sorted([*first.decisions, *decisions], key=lambda it: it.place or -math.inf)
        return replace(first, messages=recalled + sent, decisions=decisions)


async def _last_of_user(store: Store, conversation: str) -> str | None:
    """What the user said last; or, where that is long ago, what anybody did; None: nothing."""
    newest = None
    seen = 0
    async with aclosing(newest_first(store, conversation)) as items:
        async for item in items:
            seen += 1
            if isinstance(item, Message) and item.content.strip():
                newest = newest or item.content
                if item.role == "user":
                    return item.content
            if seen >= _LOOK_BACK:
                break
    return newest


# --- the units around what is near ----------------------------------------------------------


@dataclass(frozen=True)
class _Near:
    """A unit with a message that is near; its places are those in the conversation."""

    unit: Unit
    score: float


async def _units(
    store: Store, conversation: str, found: Sequence[Recalled], meter: Meter
) -> AsyncIterator[_Near]:
    """The unit of each message, the nearest first, each once; without the newest of all."""
    taken: set[int] = set()
    for each in found:
        place = each.number - each.total - 1
        if place in taken:
            continue
        unit = await _unit(store, conversation, each, meter)
        if unit is not None:
            taken |= {said.place for said in unit.messages}
            yield _Near(unit, each.score)


async def _unit(store: Store, conversation: str, near: Recalled, meter: Meter) -> Unit | None:
    """The unit of a message; None where it is the newest, is gone, or has no place in any."""
    place = near.number - near.total - 1
    for around in _AROUND:
        try:
            window = await _window(store, conversation, near, around)
        except Changed:
            return None
        if window is None:
            return None
        units = units_of(window.items, meter)
        own = window.at - len(window.items)  # its place in the window
        at = next((i for i, u in enumerate(units) if own in {s.place for s in u.messages}), None)
        if at is None:
            continue  # a result whose call stands further away, or nowhere
        if at == len(units) - 1 and window.to_end:
            return None
        inner = (at > 0 or window.from_start) and at < len(units) - 1
        if inner and (around == _AROUND[-1] or _is_unaltered(units[at], window.items)):
            shift = place - own
            messages = [replace(said, place=said.place + shift) for said in units[at].messages]
            return Unit(messages)
    return None


def _is_unaltered(unit: Unit, items: Sequence[Message | Unreadable]) -> bool:
    """Whether no call was taken out, whose result may stand outside of the window."""
    return all(said.message is items[said.place] for said in unit.messages)


@dataclass(frozen=True)
class _Window:
    """Some messages, in order, around the one at index `at`."""

    items: list[Message | Unreadable]
    at: int
    from_start: bool
    to_end: bool


async def _window(store: Store, conversation: str, near: Recalled, around: int) -> _Window | None:
    """The message, and so many in front of it and behind it; None where it is gone."""
    ahead: list[Message | Unreadable] = []
    position = START
    async for page in store.read([conversation], after=near.before, limit=around + 1):
        position = position or page.position(0)
        ahead += page.items
    if not ahead:
        return None
    behind: list[Message | Unreadable] = []
    async for page in store.read([conversation], after=position, reverse=True, limit=around):
        behind += page.items
    return _Window(
        [*reversed(behind), *ahead], len(behind), len(behind) < around, len(ahead) <= around
    )
