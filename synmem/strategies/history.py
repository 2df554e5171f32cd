"""How a history is read for a context: from its end, no further than is needed.

A tool call and its results are one *unit*: they are sent together or not at all.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from math import inf
from typing import Final

import msgspec

from synmem.errors import ConversationNotFound
from synmem.messages import JSONObject, Message, Unreadable
from synmem.store import START, Store
from synmem.strategies.context import QUESTION, Background, Budget, Context, Decision
from synmem.strategies.meter import SYSTEM, Meter

Item = Message | Unreadable

_ESTIMATE: Final = Meter()
_LOOK_BACK: Final = 256
"""How far behind the budget a tool result's call is sought, in messages."""

_ASKED_BACK: Final = 1000
"""How far back what the user said last is sought, in messages: tools may work for long."""


@dataclass(frozen=True)
class Said:
    """A message, its place counted from the newest, -1, and what it costs."""

    place: int
    message: Message
    tokens: float

    def explained(self, *, taken: bool, why: str) -> Decision:
        """The decision on it."""
        return Decision(self.place, self.message.role, self.tokens, taken, why)


@dataclass(frozen=True)
class Unit:
    """Messages that are sent together or not at all, in order."""

    messages: list[Said]

    @property
    def tokens(self) -> float:
        """What all of them cost."""
        return sum(each.tokens for each in self.messages)

    def without(self, said: Said | None) -> "Unit":
        """The other messages of it."""
        return Unit([each for each in self.messages if said is None or each.place != said.place])

    def explained(self, *, taken: bool, why: str) -> list[Decision]:
        """The same decision on each message."""
        return [each.explained(taken=taken, why=why) for each in self.messages]


@dataclass(frozen=True)
class History:
    """The end of a conversation, as far as it was read: its units, oldest first."""

    units: list[Unit]
    left_out: list[Decision]
    unreadable: list[Unreadable]
    whole: bool
    asked: Said | None = None
    """What the user said last, which may stand in front of what was read."""
    silent: bool = False
    """Whether the user says nothing in all messages in which that was sought."""

    @property
    def newest_tokens(self) -> float:
        """What the newest unit costs, which is always sent."""
        return self.units[-1].tokens if self.units else 0

    @property
    def asked_apart(self) -> Said | None:
        """What the user said last, where the newest unit does not hold it."""
        newest = self.units[-1].messages if self.units else []
        asked = self.asked
        return asked if asked and all(each.place != asked.place for each in newest) else None

    def take(self, budget: Budget, pinned: Said | None) -> list[Message]:
        """The newest units that fit, up to the first that does not; the newest one always, and
        `pinned`, which is paid for."""
        taken: list[Unit] = []
        left = ""
        for unit in reversed(self.units):
            newest = not taken
            rest = unit.without(pinned)
            fits = rest.tokens <= budget.tokens and len(unit.messages) <= budget.messages
            if not (newest or fits):
                over = rest.tokens > budget.tokens
                left = "over the budget" if over else "before the window"
                break
            taken.append(unit)
            budget.tokens -= rest.tokens
            budget.messages -= len(unit.messages)
            why = "the newest" if newest else "recent"
            budget.decisions += rest.explained(taken=True, why=why)
        for unit in self.units[: len(self.units) - len(taken)]:
            budget.decisions += unit.without(pinned).explained(taken=False, why=left)
        budget.decisions += self.left_out
        said = [each for unit in reversed(taken) for each in unit.messages]
        if pinned and pinned not in said:
            said.insert(0, pinned)
        return [each.message for each in said]


def fill(
    history: History,
    background: Sequence[Background],
    tokens: float,
    messages: float,
    meter: Meter = _ESTIMATE,
) -> Context:
    """The newest message and the background that stays the same; what the user said last, also
    where that stands in front of the newest `messages`; then the other background, and what still
    fits of history.

    Where what is sent may not begin with the user, the meter's question is paid for.
    """
    newest = history.units[-1].messages if history.units else []
    opening = meter.opening([each.message for each in newest])
    budget = Budget(tokens - opening - history.newest_tokens, messages, meter)
    for part in background:
        if part.cached:
            budget.offer(part)
    asked, pinned = history.asked_apart, None
    if asked is not None:
        saved = opening - meter.opening([asked.message])
        if asked.tokens <= budget.tokens + saved:
            pinned, opening = asked, opening - saved
            budget.tokens += saved - asked.tokens
            budget.decisions.append(asked.explained(taken=True, why=_ASKED))
    if opening:
        budget.decisions.append(Decision(0, QUESTION, opening, True, _NOT_USER))
    for part in background:
        if not part.cached:
            budget.offer(part)
    budget.tokens += history.newest_tokens
    taken = history.take(budget, pinned)
    if budget.tokens < 0:
        budget.warnings.append("the newest message alone is over the budget")
    if asked and not pinned:
        budget.warnings.append("what the user said last does not fit in the budget, left out")
        if all(asked not in unit.messages for unit in history.units):
            budget.decisions.append(asked.explained(taken=False, why="over the budget"))
    elif history.silent:
        budget.warnings.append(f"the user says nothing in the newest {_ASKED_BACK:,} messages")
    for why in (_ORPHAN, _UNANSWERED):
        if any(decision.why == why for decision in history.left_out):
            budget.warnings.append(f"{why} is left out")
    decisions = sorted(budget.decisions, key=lambda each: each.place or -inf)
    return Context(
        budget.background, taken, decisions, budget.warnings, history.unreadable, history.whole
    )


# --- reading --------------------------------------------------------------------------------

_ASKED: Final = "what the user said last"
_NOT_USER: Final = "the user has to begin"
_ORPHAN: Final = "a tool result whose call is not there"
_UNANSWERED: Final = "a tool call that has no result"


async def read_history(
    store: Store,
    conversation: str,
    *,
    tokens: float = inf,
    messages: float = inf,
    meter: Meter = _ESTIMATE,
) -> History:
    """The newest messages, a little more than so many tokens or messages, in units.

    Stops there, so a long conversation costs no more than a short one. ConversationNotFound
    where there is none.
    """
    items: list[Item] = []
    costs: list[float] = []
    calls = Unmet()
    beyond = 0
    whole = False
    asked: Said | None = None
    async with aclosing(newest_first(store, conversation)) as newest:
        async for item in newest:
            items.append(item)
            costs.append(meter.message(item) if isinstance(item, Message) else 0)
            tokens -= costs[-1]
            if asked is None and isinstance(item, Message) and asks(item):
                asked = Said(-len(items), item, costs[-1])
            calls.see(item)
            if tokens < 0 or len(items) > messages:
                beyond += 1
                if not calls.awaited or beyond > _LOOK_BACK:
                    break
        else:
            whole = True
        seen = len(items)
        if asked is None and not whole:
            async for item in newest:
                seen += 1
                if isinstance(item, Message) and asks(item):
                    asked = Said(-seen, item, meter.message(item))
                if asked is not None or seen >= _ASKED_BACK:
                    break
    if not items:
        raise ConversationNotFound(conversation, store.name)
    history = _history(items[::-1], costs[::-1], meter, whole)
    return replace(history, asked=asked, silent=asked is None and seen >= _ASKED_BACK)


def asks(message: Message) -> bool:
    """Whether the user says something in it."""
    spoken = message.role not in ("assistant", "tool", *SYSTEM)
    return spoken and bool(message.content.strip() or message.parts)


async def newest_first(store: Store, conversation: str) -> AsyncGenerator[Item]:
    """The messages of a conversation from the newest on, read a few at first, then more."""
    after, size = START, 64
    while True:
        count = 0
        async for page in store.read([conversation], reverse=True, after=after, limit=size):
            count += len(page.items)
            after = page.position(-1)
            for item in page.items:
                yield item
        if count < size:
            return
        size = min(4 * size, 1024)


class Unmet:
    """Tool results, seen newest first, whose calls have not been seen yet."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._nameless = False

    def see(self, message: Item) -> None:
        """The next older message."""
        if isinstance(message, Unreadable):
            return
        if message.role == "tool":
            self._nameless = self._nameless or message.tool_call_id is None
            if message.tool_call_id is not None:
                self._ids.add(message.tool_call_id)
            return
        self._nameless = False
        for call in message.tool_calls or ():
            self._ids.discard(call.get("id", ""))

    @property
    def awaited(self) -> bool:
        """Whether an older message may belong to one that was seen."""
        return self._nameless or bool(self._ids)


def _history(items: Sequence[Item], costs: Sequence[float], meter: Meter, whole: bool) -> History:
    """Units of what was read (oldest first), without results that have no call and the like."""
    callers = _callers(items)
    answered = {(j, items[i].tool_call_id) for i, j in callers.items()}  # type: ignore[union-attr]
    units: list[Unit] = []
    left_out: list[Decision] = []
    unreadable: list[Unreadable] = []
    ends = _unit_ends(callers, len(items))
    newest = max((i for i, item in enumerate(items) if isinstance(item, Message)), default=-1)
    current: list[Said] = []
    for i, item in enumerate(items):
        place = i - len(items)
        if isinstance(item, Unreadable):
            unreadable.append(item)
            left_out.append(Decision(place, "?", 0, False, f"cannot be read: {item.reason}"))
        elif item.role == "tool" and i not in callers and i != newest:
            left_out.append(Decision(place, "tool", costs[i], False, _ORPHAN))
        else:
            sent = item if ends[i] >= newest else _answered_only(item, i, answered)
            if sent is not item:
                left_out.append(Decision(place, item.role, 0, False, _UNANSWERED))
            if sent is not None:
                cost = costs[i] if sent is item else meter.message(sent)
                current.append(Said(place, sent, cost))
        if ends[i] == i and current:
            units.append(Unit(current))
            current = []
    return History(units, left_out, unreadable, whole)


def units_of(items: Sequence[Item], meter: Meter = _ESTIMATE) -> list[Unit]:
    """The units of these messages (oldest first), each message's place counted from the last."""
    costs = [meter.message(item) if isinstance(item, Message) else 0 for item in items]
    return _history(items, costs, meter, True).units


def _callers(items: Sequence[Item]) -> dict[int, int]:
    """For each tool result that has one, by index: the message that made the call.

    A result without an id belongs to the assistant's message right in front of it.
    """
    by_id: dict[str, int] = {}
    callers: dict[int, int] = {}
    before: int | None = None
    for i, item in enumerate(items):
        if isinstance(item, Unreadable):
            continue
        if item.role != "tool":
            before = i if item.role == "assistant" else None
            by_id |= {call["id"]: i for call in item.tool_calls or () if _has_id(call)}
        elif item.tool_call_id is None and before is not None:
            callers[i] = before
        elif item.tool_call_id in by_id:
            callers[i] = by_id[item.tool_call_id]
    return callers


def _has_id(call: JSONObject) -> bool:
    return isinstance(call.get("id"), str)


def _unit_ends(callers: dict[int, int], count: int) -> list[int]:
    """For each index the last one of its unit: calls and results, and what stands between."""
    ends = list(range(count))
    for i, j in callers.items():
        ends[j] = max(ends[j], i)
    start = 0
    while start < count:
        stop = start
        i = start
        while i <= stop:
            stop = max(stop, ends[i])
            i += 1
        ends[start : stop + 1] = [stop] * (stop + 1 - start)
        start = stop + 1
    return ends


def _answered_only(
    message: Message, i: int, answered: set[tuple[int, str | None]]
) -> Message | None:
    """The message without calls that nothing answers, which no provider takes; or nothing."""
    calls = message.tool_calls
    if not calls or (i, None) in answered:
        return message
    kept = [call for call in calls if (i, call.get("id")) in answered]
    if len(kept) == len(calls):
        return message
    if not kept and not message.content and not message.parts:
        return None
    return msgspec.structs.replace(message, tool_calls=kept or None)
