"""Tool calls and their results as the APIs of models take them: each result right behind its call,
under the call's id."""

import re
from typing import Final, NamedTuple

from msgspec import structs

from synmem.messages import Message, flat_call

ANY: Final = re.compile(r".+", re.DOTALL)


class LeftOut(NamedTuple):
    """What no API takes: of the message of this number, the whole or the calls that are named."""

    number: int
    reason: str
    whole: bool


class Linked(NamedTuple):
    """What is known now of the messages that passed by."""

    messages: list[Message]
    """Those whose calls have all their results, which follow them."""
    left_out: list[LeftOut]


class _Group(NamedTuple):
    """A message that calls something, and the results that it has so far, by the call's index."""

    number: int
    message: Message
    own_ids: list[object]
    """The ids that its calls had."""
    results: dict[int, Message]


class Linking:
    """Sees the messages of a conversation in order, and gives back those that can be sent.

    A result that answers none of the calls in front of it is left out. So is a call that has no
    result when something else is said; where nothing is, its result may be what is asked for. A
    call's id is its own where that matches `ids`, and with `unique` no call before had it: else one
    is made for it.
    """

    def __init__(self, ids: re.Pattern[str] = ANY, *, unique: bool = False) -> None:
        self.renamed = 0
        """How many calls have another id now."""
        self._ids = ids
        self._unique = unique
        self._given: set[str] = set()
        self._group: _Group | None = None

    def take(self, number: int, message: Message) -> Linked:
        """The next message, which has this number."""
        if message.role == "tool":
            return self._answer(number, message)
        if not message.tool_calls:
            return self.pass_by(message)
        settled = self._settle(ended=False)
        own_ids = [call.get("id") for call in message.tool_calls]
        self._group = _Group(number, self._named(number, message, own_ids), own_ids, {})
        return settled

    def pass_by(self, message: Message) -> Linked:
        """The next message, whose calls and results are left as they are."""
        settled = self._settle(ended=False)
        settled.messages.append(message)
        return settled

    def end(self) -> Linked:
        """There are no more."""
        self._given.clear()
        return self._settle(ended=True)

    def _answer(self, number: int, result: Message) -> Linked:
        group = self._group
        calls = (group.message.tool_calls or []) if group else []
        for n, call in enumerate(calls):
            if group and n not in group.results and result.tool_call_id in (None, group.own_ids[n]):
                group.results[n] = structs.replace(result, tool_call_id=call["id"])
                return Linked([], [])
        return Linked([], [LeftOut(number, "it is the result of no call in front of it", True)])

    def _settle(self, *, ended: bool) -> Linked:
        group, self._group = self._group, None
        if group is None:
            return Linked([], [])
        calls = group.message.tool_calls or []
        results = [*group.results.values()]
        lacking = [call for n, call in enumerate(calls) if n not in group.results]
        if not lacking or (ended and not results):
            return Linked([group.message, *results], [])
        kept = [call for call in calls if call not in lacking]
        message = structs.replace(group.message, tool_calls=kept or None)
        said = [message] if kept or message.content or message.parts else []
        names = ", ".join(str(flat_call(call).get("name")) for call in lacking)
        why = f"its call of {names} has no result"
        return Linked([*said, *results], [LeftOut(group.number, why, not said)])

    def _named(self, number: int, message: Message, own_ids: list[object]) -> Message:
        """The message with ids for its calls, in its parts too."""
        calls = [
            {**call, "id": self._id(call.get("id"), f"call_{number}_{n}")}
            for n, call in enumerate(message.tool_calls or (), 1)
        ]
        ids = {own: call["id"] for own, call in zip(own_ids, calls, strict=True) if own is not None}
        if own_ids == [call["id"] for call in calls]:
            return message
        parts = [
            {**part, "id": ids[part["id"]]}
            if part.get("type") == "tool_use" and part.get("id") in ids
            else part
            for part in message.parts or ()
        ]
        return structs.replace(message, tool_calls=calls, parts=parts or None)

    def _id(self, own: object, made: str) -> str:
        given = own if isinstance(own, str) and self._ids.fullmatch(own) else None
        if given is None or given in self._given:
            self.renamed += own is not None
            while made in self._given:
                made += "_"
            given = made
        if self._unique:
            self._given.add(given)
        return given
