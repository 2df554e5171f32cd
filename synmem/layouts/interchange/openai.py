"""OpenAI's chat messages, as its API, fine-tuning and most of those who train models take them.

A conversation is an object, `{"messages": [...], "tools": [...]}`. A message's content is text,
null beside tool calls, or a list of parts, which is what `parts` has. Arguments of a call are JSON
as text there: where that is an object, it is an object here. What a message has besides lies in its
`extra["openai"]` under its own key, and so does what would be written otherwise than it was read;
as a whole, `message`, where keys are missing that are usually there. What an object has besides
lies in the conversation's extra. It is written back as it was, as long as it says what the message
says. A line of a batch, `{"custom_id", "method", "url", "body": {"messages": [...]}}`, is one too.
"""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, NamedTuple

from msgspec import structs

from synmem.layouts.interchange import dialects
from synmem.layouts.interchange.objects import (
    each_read,
    list_under,
    own_of,
    read_objects,
    same,
    says,
    unfit,
)
from synmem.layouts.shapes import Told
from synmem.messages import (
    Holds,
    JSONObject,
    Message,
    are_objects,
    flat_call,
    parse_json,
    parts_beside_calls,
    text_of_parts,
)

NAME: Final = "openai"

HOLDS: Final = Holds(
    fields=frozenset({"role", "content", "tool_calls", "tool_call_id", "name", "parts", "extra"}),
    conversation_fields=frozenset({"extra"}),
    own=False,
    extra_of=NAME,
)

ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool"})

_PARTS_OF: Final = {
    "user": {"text", "image_url", "input_audio", "file"},
    "assistant": {"text", "refusal"},
}
"""The kinds of parts, by whose messages have them; others have text alone."""


# --- reading --------------------------------------------------------------------------------


def read_lines(file: BinaryIO, *, conversation: str | None = None, **_: Any) -> Iterator[bytes]:
    """The file as JSON Lines: see `objects.read_objects`."""
    return read_objects(file, unfold, conversation=conversation)


def unfold(data: JSONObject, name: str) -> Told:
    """The conversation of that name that an object is; ValueError says why it is none."""
    if why := dialects.refused(dialects.bare(data), NAME):
        raise ValueError(why)
    body = data["body"] if (is_batch := dialects.is_batch(data)) else data
    messages = each_read(list_under(body, "messages"), lambda item: [message_of(item)])
    others = {key: value for key, value in body.items() if key != "messages"}
    others = {**data, "body": others} if is_batch else others
    return Told(messages=messages, extra={NAME: others} if others else None)


def message_of(item: Any) -> Message:
    """The message of an object; ValueError says why it is none."""
    if not isinstance(item, dict):
        raise ValueError("not a JSON object")
    role = item.get("role")
    if not isinstance(role, str):
        raise ValueError("no role" if role is None else "role is not text")
    content, parts = _content(item)
    message = Message(
        "tool" if role == "function" else role,
        content,
        tool_calls=_calls(item),
        tool_call_id=_text(item, "tool_call_id"),
        name=_text(item, "name"),
        parts=parts,
    )
    own = _beside(message, item)
    return structs.replace(message, extra={NAME: own}) if own else message


def _beside(message: Message, item: JSONObject) -> JSONObject:
    """What of an object its message does not say."""
    usual = _usual(message).item
    if usual.keys() - item.keys() or "message" in item:
        return {"message": item}
    return {k: v for k, v in item.items() if k not in usual or not same(usual[k], v)}


_SAYS: Final = ("tool_calls", "function_call", "refusal", "audio")
"""What an answer may say in the place of content."""


def _content(item: JSONObject) -> tuple[str, list[JSONObject] | None]:
    content = item.get("content")
    if isinstance(content, str):
        return content, None
    if isinstance(content, list):
        if not are_objects(content):
            raise ValueError("content is a list that holds something else than parts")
        return text_of_parts(content), content or None
    if content is not None:
        raise ValueError("content is neither text nor a list of parts")
    if "content" not in item and not any(item.get(key) for key in _SAYS):
        raise ValueError("no content")
    return "", None


def _text(item: JSONObject, key: str) -> str | None:
    value = item.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{key} is not text")
    return value


def _calls(item: JSONObject) -> list[JSONObject] | None:
    calls = item.get("tool_calls")
    if calls is None and isinstance(call := item.get("function_call"), dict):
        return [_call({"function": call})]
    if calls is not None and not are_objects(calls):
        raise ValueError("tool_calls holds something that is not a JSON object")
    return [_call(call) for call in calls or ()] or None


def _call(call: JSONObject) -> JSONObject:
    """A call as ours are: id, name, arguments."""
    custom = call.get("custom")
    if isinstance(custom, dict):
        name, arguments = custom.get("name"), custom.get("input")
    else:
        flat = flat_call(call)
        name, arguments = flat.get("name"), arguments_of(flat.get("arguments"))
    found = {"id": call.get("id"), "name": name, "arguments": arguments}
    return {key: value for key, value in found.items() if value is not None}


def arguments_of(value: Any) -> Any:
    """What the text of arguments says, where that is a JSON object; else the value itself."""
    if isinstance(value, str):
        try:
            said = parse_json(value)
        except ValueError:
            return value
        return said if isinstance(said, dict) else value
    return value


# --- writing --------------------------------------------------------------------------------


def parted(own: JSONObject) -> tuple[JSONObject, JSONObject]:
    """What an object has besides its messages: around them, in a batch, and beside them."""
    body = own.get("body")
    if not isinstance(body, dict) or "messages" in body or not own.keys() >= dialects.BATCH:
        return {}, own
    return {key: value for key, value in own.items() if key != "body"}, body


class Folded(NamedTuple):
    """A message as an object, and the kinds of what of it that has no place for."""

    item: JSONObject
    lost: list[str]


def fold(message: Message) -> Folded:
    """The object of a message that is not refused: as it was read, where it says the same still."""
    own, usual = own_of(message.extra, NAME), _usual(message)
    if not own:
        return usual
    whole = own.get("message")
    item = whole if isinstance(whole, dict) else {**usual.item, **own}
    return Folded(item, []) if says(item, message, message_of, HOLDS) else usual


def is_older(message: Message) -> bool:
    """Whether it is a call or a result in the older form, which is told by no id."""
    if not (message.extra or {}).get(NAME):
        return False
    item = fold(message).item
    return "function_call" in item or item["role"] == "function"


def refusal(message: Message) -> str | None:
    """Why no object says the message, or None."""
    if message.role not in ROLES:
        return f"OpenAI has no role {message.role!r}"
    if message.role != "assistant" and message.tool_calls:
        return f"OpenAI has calls of the assistant's only, not of the role {message.role!r}"
    if any(not isinstance(flat_call(call).get("name"), str) for call in message.tool_calls or ()):
        return "a tool call has no name"
    return unfit(fold(message).item)


def _usual(message: Message) -> Folded:
    """The object of a message of which nothing lies in `extra`."""
    content, lost = _written_content(message)
    item: JSONObject = {"role": message.role, "content": content}
    if message.tool_calls:
        item["content"] = content or None
        item["tool_calls"] = [_written_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        item["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        item["name"] = message.name
    return Folded(item, lost)


def _written_content(message: Message) -> tuple[Any, list[str]]:
    """Text or a list of parts; and what parts there are no place for."""
    if not message.parts:
        return message.content, []
    known = _PARTS_OF.get(message.role, {"text"})
    kept, lost = [], []
    for part in parts_beside_calls(message):
        kind = part.get("type")
        if isinstance(kind, str) and kind in known and isinstance(part.get(kind), str | dict):
            kept.append({"type": kind, kind: part[kind]})
        else:
            lost.append(f"parts {kind}")
    if lost and all(part["type"] == "text" for part in kept):
        return message.content, lost
    return kept, lost


_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _written_call(call: JSONObject) -> JSONObject:
    flat = flat_call(call)
    function = {"name": flat.get("name"), "arguments": arguments_text(flat.get("arguments"))}
    return {"id": flat.get("id"), "type": "function", "function": function}


def arguments_text(arguments: Any) -> str:
    """The text of arguments, as models write it."""
    if isinstance(arguments, str):
        return arguments
    return _compact({} if arguments is None else arguments)
