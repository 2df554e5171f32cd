"""ShareGPT: what many who train models on conversations read.

A conversation is an object, `{"id", "conversations": [{"from", "value"}, ...]}`, perhaps with a
`title`. Who speaks is `human`, `gpt`, `system`, `observation` (a tool); other words for them are
read too. A call of tools is a turn of its own, `function_call`, with JSON as its value. What a turn
has besides lies in its message's `extra["sharegpt"]` under its own key, and so does what would be
written otherwise than it was read; as a whole, `turn`, where keys are missing. What an object has
besides lies in the conversation's extra; a system prompt that stands there is a message.
"""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from msgspec import structs

from synmem.layouts.interchange.objects import (
    each_read,
    list_under,
    own_of,
    read_objects,
    same,
    says,
    unfit,
)
from synmem.layouts.interchange.openai import arguments_of
from synmem.layouts.shapes import Told
from synmem.messages import (
    Holds,
    JSONObject,
    Message,
    Unreadable,
    are_objects,
    flat_call,
    parse_json,
)

NAME: Final = "sharegpt"

HOLDS: Final = Holds(
    fields=frozenset({"role", "content", "tool_calls", "extra"}),
    own=False,
    extra_of=NAME,
)

ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool"})

_ROLES: Final = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant",
    "chatgpt": "assistant", "bing": "assistant", "bard": "assistant", "system": "system",
    "tool": "tool", "observation": "tool", "function_response": "tool",
}  # fmt: skip
_FROM: Final = {
    "user": "human", "assistant": "gpt", "system": "system", "developer": "system",
    "tool": "observation",
}  # fmt: skip
_CALL: Final = "function_call"


# --- reading --------------------------------------------------------------------------------


def read_lines(file: BinaryIO, *, conversation: str | None = None, **_: Any) -> Iterator[bytes]:
    """The file as JSON Lines: see `objects.read_objects`."""
    return read_objects(file, unfold, conversation=conversation)


def unfold(data: JSONObject, name: str) -> Told:
    """The conversation of that name that an object is; ValueError says why it is none."""
    said = list_under(data, "conversations")
    others = {key: value for key, value in data.items() if key != "conversations"}
    title = others.pop("title") if isinstance(others.get("title"), str) else None
    if others.get("id") == name:
        del others["id"]
    messages: list[Message | Unreadable] = []
    if isinstance(system := others.get("system"), str) and system:
        del others["system"]
        messages.append(Message("system", system, extra={NAME: {"beside": True}}))
    messages += each_read(said, lambda item: [message_of(item)])
    return Told(messages=messages, title=title, extra={NAME: others} if others else None)


def message_of(item: Any) -> Message:
    """The message of a turn; ValueError says why it is none."""
    if not isinstance(item, dict):
        raise ValueError("not a JSON object")
    speaker, value = _text(item, "from"), _text(item, "value")
    calls = _calls(value) if speaker == _CALL else None
    role = "assistant" if speaker == _CALL else _ROLES.get(speaker, speaker)
    message = Message(role, "" if calls else value, tool_calls=calls)
    own = _beside(message, item)
    return structs.replace(message, extra={NAME: own}) if own else message


def _beside(message: Message, item: JSONObject) -> JSONObject:
    """What of a turn its message does not say."""
    if not item.keys().isdisjoint(("turn", "beside")):
        return {"turn": item}
    [usual] = _usual(message)
    return {k: v for k, v in item.items() if k not in usual or not same(usual[k], v)}


def _text(item: JSONObject, key: str) -> str:
    value = item.get(key)
    if not isinstance(value, str):
        raise ValueError(f"no {key}" if value is None else f"{key} is not text")
    return value


def _calls(value: str) -> list[JSONObject] | None:
    """The calls that a value says; None where it says none."""
    try:
        said = parse_json(value)
    except ValueError:
        return None
    calls = said if isinstance(said, list) else [said]
    if not are_objects(calls) or not all(isinstance(call.get("name"), str) for call in calls):
        return None
    known = ("id", "name", "arguments")
    return [{key: _value(call, key) for key in known if key in call} for call in calls] or None


def _value(call: JSONObject, key: str) -> Any:
    return arguments_of(call[key]) if key == "arguments" else call[key]


# --- writing --------------------------------------------------------------------------------


def refusal(message: Message) -> str | None:
    """Why no turn says the message, or None."""
    if message.role not in ROLES and _own(message).get("from") != message.role:
        return f"ShareGPT has no role {message.role!r}"
    if message.role != "assistant" and message.tool_calls:
        return f"ShareGPT has calls of the assistant's only, not of the role {message.role!r}"
    return unfit(fold(message))


def fold(message: Message) -> list[JSONObject]:
    """The turns of a message that is not refused: as they were read, where they say the same."""
    own, usual = _own(message), _usual(message)
    if not own or len(usual) > 1:
        return usual
    turn = own.get("turn")
    item = turn if isinstance(turn, dict) else {**usual[0], **own}
    return [item] if says(item, message, message_of, HOLDS) else usual


def lost(message: Message) -> list[str]:
    """The kinds of what of a message has no place there, beside whole fields."""
    found = ["role developer"] if message.role == "developer" else []
    return found + ["id of a tool call" for call in message.tool_calls or () if call.get("id")]


def stands_beside(message: Message) -> bool:
    """Whether it is a system prompt that stood beside the turns."""
    return message.role == "system" and _own(message) == {"beside": True}


def _own(message: Message) -> JSONObject:
    return own_of(message.extra, NAME)


_as_python = json.JSONEncoder(ensure_ascii=False).encode


def _usual(message: Message) -> list[JSONObject]:
    """The turns of a message of which nothing lies in `extra`."""
    turns = []
    if message.content or not message.tool_calls:
        turns.append({"from": _FROM.get(message.role), "value": message.content})
    if message.tool_calls:
        calls = [_written_call(call) for call in message.tool_calls]
        value = _as_python(calls[0] if len(calls) == 1 else calls)
        turns.append({"from": _CALL, "value": value})
    return turns


def _written_call(call: JSONObject) -> JSONObject:
    flat = flat_call(call)
    arguments = arguments_of(flat.get("arguments"))
    return {"name": flat.get("name"), "arguments": {} if arguments is None else arguments}
