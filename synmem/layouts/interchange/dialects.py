"""Whose words a file of JSON speaks, by its first objects: which form it has, or is like."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from synmem.layouts.heads import Head, parsed
from synmem.messages import JSONObject

_LOOKED_AT: Final = 20
"""So many messages of an object are."""

_OPENAI: Final = frozenset({
    "role", "content", "name", "tool_calls", "tool_call_id", "function_call", "refusal", "audio",
    "weight", "annotations", "reasoning", "reasoning_content", "reasoning_details", "prefix",
    "train", "loss",
})  # fmt: skip
"""What a message of OpenAI's has, and of those who speak like it."""

_ANTHROPIC: Final = frozenset({
    "role", "content", "id", "type", "model", "usage", "stop_reason", "stop_sequence", "container",
})  # fmt: skip
"""What a turn of Anthropic's has; an answer has more than what is sent."""

BATCH: Final = frozenset({"custom_id", "method", "url", "body"})
"""What stands around a request in a file of a batch of OpenAI's."""

_OPENAI_ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")
_INSTEAD: Final = ("tool_calls", "function_call", "refusal", "audio")
_ANTHROPIC_KEYS: Final = frozenset({"system", "anthropic_version", "stop_sequences", "top_k"})
_ANTHROPIC_BLOCKS: Final = frozenset({
    "tool_use", "tool_result", "thinking", "redacted_thinking", "server_tool_use",
})  # fmt: skip


class Like(NamedTuple):
    """A form that a file is of, or is like."""

    form: str
    misses: str
    """What it lacks; nothing where it is of that form."""


@lru_cache(maxsize=1)
def of_head(text: bytes) -> Like | None:
    """What a file that begins so is like; None where it is like none of these."""
    if b'"messages"' not in text and b'"conversations"' not in text:
        return None
    objects = [each for each in _objects(text) if each.get("messages") != []]
    found = like(objects[0]) if objects else None
    if found is None or found.form != "openai" or found.misses:
        return found
    signs = [sign for sign in map(_sign, objects) if sign]
    asked = all({"model", "max_tokens"} <= each.keys() for each in objects)
    weak = "anthropic" if asked and not signs and _is_claude(objects[0]) else "openai"
    other = like(objects[0], signs[0] if signs else weak)
    return other or found


def is_batch(data: JSONObject) -> bool:
    """Whether an object is a line of a batch of OpenAI's: its body is a request with messages."""
    body = data.get("body")
    return data.keys() >= BATCH and isinstance(body, dict) and "messages" in body


def bare(data: JSONObject) -> JSONObject:
    """The object, with what a body in it has, where it is a line of a batch."""
    return {**data, **data["body"]} if is_batch(data) else data


def _objects(text: bytes) -> list[JSONObject]:
    """The objects that a file begins with: its lines, or the elements of its array, perhaps cut off
    in the last one: what is left of its last message is then left out, where it has others."""
    head = Head("", text, whole=False)
    if lines := _dicts(head.lines or [*_lines(text)]):
        return lines
    if (value := parsed(text)) is not None:
        return _dicts(value)
    found = _dicts(head.value)
    for key in ("messages", "conversations"):
        if found and isinstance(items := found[-1].get(key), list):
            found[-1] = {**found[-1], key: items[:-1] or [*map(_mended, items)]}
    return found


def _dicts(value: Any) -> list[JSONObject]:
    objects = value if isinstance(value, list) else [value]
    return [bare(each) for each in objects if isinstance(each, dict)]


def _mended(message: Any) -> Any:
    """A message that is cut off behind what it says of who speaks."""
    if not isinstance(message, dict):
        return message
    said: JSONObject = {"value": ""} if "from" in message else {"content": ""}
    return {**said, **message} if message.get("content") != [{}] else {**message, **said}


def like(data: JSONObject, form: str = "") -> Like | None:
    """What an object is like, or how it is like this form; None where it is like none."""
    if "conversations" in data:
        return Like("sharegpt", _misses(data["conversations"], "turn", _misses_in_turn))
    if "messages" not in data or "conversation_id" in data:
        return None
    form = form or _sign(data) or "openai"
    misses = _misses_in_block_turn if form == "anthropic" else _misses_in_message
    return Like(form, _misses(data["messages"], "message", misses))


def refused(data: JSONObject, form: str) -> str | None:
    """Why an object in a file of this form is none of it: it speaks the words of the other."""
    other = _sign(data)
    if other is None or other == form:
        return None
    return f"it is like {other}'s, not {form}'s: -f {other} reads it"


def _lines(text: bytes) -> Iterator[JSONObject]:
    """The lines that are objects, be the first one broken."""
    for line in text.split(b"\n")[:_LOOKED_AT]:
        if b'"messages"' in line or b'"conversations"' in line:
            value = parsed(line)
            if isinstance(value, dict):
                yield value


def _messages(data: JSONObject) -> list[JSONObject]:
    messages = data.get("messages")
    return (
        [each for each in messages if isinstance(each, dict)] if isinstance(messages, list) else []
    )


def _sign(data: JSONObject) -> str | None:
    """Whose words an object speaks that the other does not know; None where it speaks none."""
    if data.keys() >= BATCH:
        return "openai"
    messages = _messages(data)
    parts = [part for each in messages for part in _parts(each)]
    if any(
        each.get("role") in ("developer", "tool", "function")
        or not each.keys().isdisjoint(_INSTEAD)
        for each in messages
    ) or any(part.get("type") == "image_url" for part in parts):
        return "openai"
    if not data.keys().isdisjoint(_ANTHROPIC_KEYS) or any(map(_is_block, parts)):
        return "anthropic"
    return "openai" if any(each.get("role") == "system" for each in messages) else None


def _parts(message: JSONObject) -> list[JSONObject]:
    content = message.get("content")
    return [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []


def _is_block(part: JSONObject) -> bool:
    """Whether it is a block that Anthropic alone has."""
    kind = part.get("type")  # of any JSON type
    known = isinstance(kind, str) and kind in _ANTHROPIC_BLOCKS
    return known or isinstance(part.get("source"), dict)


def _is_claude(data: JSONObject) -> bool:
    return "claude" in str(data.get("model")).lower()


# --- what is missing ------------------------------------------------------------------------


def _misses(items: Any, what: str, missing: Callable[[JSONObject], str]) -> str:
    """What the first of these lack."""
    if not isinstance(items, list):
        return f"its {what}s are no JSON array"
    for number, item in enumerate(items[:_LOOKED_AT], 1):
        if why := missing(item) if isinstance(item, dict) else "is no JSON object":
            return f"{what} {number} {why}"
    return "" if items else f"it has no {what}s"


def _misses_in_turn(turn: JSONObject) -> str:
    for key in ("from", "value"):
        if not isinstance(turn.get(key), str):
            return f"has no text {key!r}"
    return ""


def _misses_in_message(message: JSONObject) -> str:
    if message.get("role") not in _OPENAI_ROLES:
        return _no_role(message)
    if strange := [key for key in message if key not in _OPENAI]:
        return f"has {strange[0]!r}, which none of OpenAI's has"
    if message.get("content") is None and not message.keys().isdisjoint(_INSTEAD):
        return ""
    return _misses_in_content(message)


def _misses_in_block_turn(message: JSONObject) -> str:
    if message.get("role") not in ("user", "assistant", "system"):
        return _no_role(message)
    if strange := [key for key in message if key not in _ANTHROPIC]:
        return f"has {strange[0]!r}, which none of Anthropic's has"
    return _misses_in_content(message)


def _no_role(message: JSONObject) -> str:
    role = message.get("role")
    return "has no role" if role is None else f"has the role {str(role)[:30]!r}"


def _misses_in_content(message: JSONObject) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return ""
    if not isinstance(content, list):
        return "has no content"
    typed = all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in content)
    return "" if typed else "has content that is neither text nor parts of a type"
