"""Tool calls and results as the APIs of models want them.

They refuse a result that does not stand right behind its call, under the call's id, and one of no
call at all. Conversations have them otherwise: somebody speaks while a tool works, some programs
give calls no ids, a memory of role and content has no calls.
"""

from collections.abc import Mapping, Sequence

import msgspec

from synmem.messages import Message

_Answers = dict[int, dict[str, Message]]
"""For each message that calls tools, by index: the results, by the calls' ids."""


def linked(messages: Sequence[Message]) -> list[Message]:
    """The messages with each result right behind its call; one of no call is the user's.

    A call that nothing answers is left out, unless nothing was said since: its result may come.
    """
    identified = [_identified(message, i) for i, message in enumerate(messages)]
    answers, alone = _answers(identified)
    last = max((i for i in range(len(messages)) if i in answers or i in alone), default=-1)
    found: list[Message] = []
    for i, message in enumerate(identified):
        if i in alone:
            found.append(msgspec.structs.replace(message, role="user", tool_call_id=None))
        elif i in answers:
            results = answers[i]
            found += [message] if i == last else _answered_only(message, results)
            calls = message.tool_calls or ()
            found += [results[call["id"]] for call in calls if call["id"] in results]
    return found


def _answered_only(message: Message, results: Mapping[str, Message]) -> list[Message]:
    calls = message.tool_calls or []
    kept = [call for call in calls if call["id"] in results]
    if len(kept) == len(calls):
        return [message]
    if not kept and not message.content and not message.parts:
        return []
    return [msgspec.structs.replace(message, tool_calls=kept or None)]


def _answers(messages: Sequence[Message]) -> tuple[_Answers, set[int]]:
    """The results of each message, and which messages are results of no call.

    A result without an id answers the next call of the message that it stands behind.
    """
    answers: _Answers = {}
    waiting: dict[int, list[str]] = {}
    callers: dict[str, int] = {}
    alone = set()
    before = -1
    for i, message in enumerate(messages):
        if message.role != "tool":
            before = i
            answers[i] = {}
            waiting[i] = [call["id"] for call in message.tool_calls or ()]
            callers |= dict.fromkeys(waiting[i], i)
            continue
        name = message.tool_call_id
        caller = before if name is None else callers.get(name, -1)
        names = waiting.get(caller, [])
        if name is None and names:
            name = names[0]
        if name is None or name not in names:
            alone.add(i)
            continue
        names.remove(name)
        answers[caller][name] = msgspec.structs.replace(message, tool_call_id=name)
    return answers, alone


def _identified(message: Message, place: int) -> Message:
    """The message with an id for each of its calls."""
    calls = message.tool_calls or []
    if all(isinstance(call.get("id"), str) for call in calls):
        return message
    named = [
        call if isinstance(call.get("id"), str) else {**call, "id": f"call_{place}_{n}"}
        for n, call in enumerate(calls)
    ]
    return msgspec.structs.replace(message, tool_calls=named)
