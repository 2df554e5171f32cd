"""Tool calls and results as the APIs of models want them.

They refuse a result that does not stand right behind its call, under the call's id, one of no call
at all, and ids and names of other letters than they know. Conversations have them otherwise:
somebody speaks while a tool works, some programs give calls no ids, or count them anew in each
answer, a memory of role and content has no calls.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from synmem.messages import JSONObject, Message, flat_call
from synmem.strategies.names import function_name

Call = tuple[int, int]
"""A tool call: the index of its message, and its own in there."""


def linked(messages: Sequence[Message], ids: re.Pattern[str]) -> list[Message]:
    """The messages with each result right behind its call; one of no call is the user's.

    A call that nothing answers is left out, unless nothing was said since: its result may come.
    Each call that is sent has a name, and an id that matches `ids` and that no other has: its own
    where that is so, else one that is made for it.
    """
    pairs = paired(messages)
    results = {call: messages[i] for i, call in pairs.items()}
    last = max((i for i in range(len(messages)) if i not in pairs), default=-1)
    own = _Ids(messages, ids)
    found: list[Message] = []
    for i, message in enumerate(messages):
        calls = message.tool_calls or []
        if i in pairs:
            continue
        if message.role == "tool":
            found.append(msgspec.structs.replace(message, role="user", tool_call_id=None))
        elif not calls:
            found.append(message)
        else:
            kept = [n for n in range(len(calls)) if i == last or (i, n) in results]
            names = {n: own.of(calls[n], (i, n)) for n in kept}
            if kept or message.content or message.parts:
                found.append(_calling(message, names))
            found += [
                msgspec.structs.replace(results[i, n], tool_call_id=names[n])
                for n in kept
                if (i, n) in results
            ]
    return found


def paired(messages: Sequence[Message]) -> dict[int, Call]:
    """The call of each result, by index; a result of no call is not in it.

    Where several calls have its id it is the newest message's, and there the first that has no
    result yet. A result without an id answers the next call of the message that it stands behind.
    """
    waiting: dict[int, list[int]] = {}
    callers: dict[str, int] = {}
    found: dict[int, Call] = {}
    before = -1
    for i, message in enumerate(messages):
        if message.role != "tool":
            calls = message.tool_calls or ()
            before = i
            waiting[i] = list(range(len(calls)))
            callers |= {call["id"]: i for call in calls if isinstance(call.get("id"), str)}
            continue
        name = message.tool_call_id
        caller = before if name is None else callers.get(name, -1)
        calls = messages[caller].tool_calls or ()
        for n in waiting.get(caller, ()):
            if name is None or calls[n].get("id") == name:
                waiting[caller].remove(n)
                found[i] = (caller, n)
                break
    return found


def _calling(message: Message, ids: Mapping[int, str]) -> Message:
    """The message with these of its calls, under these ids."""
    calls: list[JSONObject] = message.tool_calls or []
    kept = [
        {**flat_call(calls[n]), "id": name, "name": function_name(calls[n])}
        for n, name in ids.items()
    ]
    return msgspec.structs.replace(message, tool_calls=kept or None)


class _Ids:
    """Ids for calls, each given once."""

    def __init__(self, messages: Sequence[Message], accepted: re.Pattern[str]) -> None:
        self._accepted = accepted
        self._known = {call.get("id") for each in messages for call in each.tool_calls or ()
                       if isinstance(call.get("id"), str)}  # fmt: skip
        self._given: set[str] = set()

    def of(self, call: JSONObject, place: Call) -> str:
        """The call's own, or one that is nobody's."""
        name = call.get("id")
        if not isinstance(name, str) or name in self._given or not self._accepted.fullmatch(name):
            name = f"call_{place[0]}_{place[1]}"
            while name in self._known or name in self._given:
                name += "_"
        self._given.add(name)
        return name
