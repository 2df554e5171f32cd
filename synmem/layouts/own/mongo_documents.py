"""A message as a document of MongoDB, both ways.

`role`, `content`, `metadata`, `tool_calls`, `tool_call_id`, `name`, `parts` and `extra` as BSON,
each where it is not empty; `created_at` a BSON date, in milliseconds, for queries, and
`created_us` the exact time, microseconds since 1970 in UTC. A field that BSON or a server of its
kind would not give back the same lies in `carried` (see `carried.py`): text with NUL or a lone
surrogate; and JSON with such text, with integers beyond 64 bits, with NaN, an infinity or -0.0,
with a key that is empty, begins with `$` or holds a `.`, with an array directly in an array, or
nested more than 30 levels deep (BSON ends at 100).

Any other field but `_id`, `session_id` and `n` is somebody else's (`tenant`, say): it is read into
`extra["synmem"]`, and what stands there is written as fields, where it can be. What JSON is made
of their values is the backend's to say, as it knows BSON.

`session_id` is the conversation's id; in one that holds NUL, or U+0010 itself, U+0010 followed by
`0` stands for NUL and twice U+0010 for one.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from synmem.layouts.own.carried import JSONS, TEXTS, join, plain_text, split
from synmem.messages import JSONObject, Message, are_objects, plain

FIELDS: Final = (*TEXTS, *JSONS, "created_at", "created_us", "carried")
"""Every key of a document that belongs to its message."""

OURS: Final = frozenset({"_id", "session_id", "n", *FIELDS})
"""Every key that is not somebody else's."""

_COMMON: Final = OURS - {*TEXTS, *JSONS, "carried"} | {"role", "content", "metadata"}
"""The keys of nearly every document: of one that has no others, no more are looked for."""

ORIGIN: Final = "synmem"
"""Where in a message's `extra` somebody else's fields are."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_INT64: Final = 2**63
_DEEPEST: Final = 30
_ESCAPE: Final = "\x10"


# --- ids ------------------------------------------------------------------------------------


def session_of(conversation: str) -> str:
    """The `session_id` of a conversation."""
    if "\0" in conversation or _ESCAPE in conversation:
        return conversation.replace(_ESCAPE, _ESCAPE * 2).replace("\0", _ESCAPE + "0")
    return conversation


def conversation_of(session: str) -> str:
    """The conversation whose `session_id` this is."""
    if _ESCAPE not in session:
        return session
    parts = (part.replace(_ESCAPE + "0", "\0") for part in session.split(_ESCAPE * 2))
    return _ESCAPE.join(parts)


def is_session(session: str) -> bool:
    """Whether a conversation has it: another program may have written NUL or U+0010 otherwise."""
    if "\0" not in session and _ESCAPE not in session:
        return True
    return session_of(conversation_of(session)) == session


# --- writing --------------------------------------------------------------------------------


def encode(
    message: Message, fields_of: Callable[[JSONObject], JSONObject] | None = None
) -> JSONObject:
    """The keys and values that hold the message; `fields_of` says which of somebody else's fields
    can be fields of the document, and with which values."""
    others = (message.extra or {}).get(ORIGIN) if fields_of is not None else None
    if fields_of is not None and isinstance(others, dict) and (fields := fields_of(others)):
        left = {key: value for key, value in others.items() if key not in fields}
        return {**fields, **_encode(_with_others(message, left))}
    return _encode(message)


def _encode(message: Message) -> JSONObject:
    m = message
    if plain(m):
        document: JSONObject = {"role": m.role, "content": m.content}
        if m.metadata:
            document["metadata"] = m.metadata
        carried = None
    else:
        document, carried = split(message, holds_json=holds_json)
    if m.created_at is not None:
        document["created_at"] = m.created_at
        document["created_us"] = (m.created_at - _EPOCH) // _MICROSECOND
    if carried is not None:
        document["carried"] = carried
    return document


def holds_json(value: Any, depth: int = 0) -> bool:
    """Whether a document gives this JSON value back the same, on every server of the kind."""
    kind = type(value)
    if value is None or kind is bool:
        return True
    if kind is str:
        return plain_text(value)
    if kind is int:
        return bool(-_INT64 <= value < _INT64)
    if kind is float:
        return math.isfinite(value) and (value != 0 or math.copysign(1, value) > 0)
    if depth == _DEEPEST:
        return False
    if kind is list:
        return all(type(item) is not list and holds_json(item, depth + 1) for item in value)
    return all(_holds_key(key) and holds_json(item, depth + 1) for key, item in value.items())


def _holds_key(key: str) -> bool:
    return bool(key) and key[0] != "$" and "." not in key and plain_text(key)


# --- reading --------------------------------------------------------------------------------


def decode(document: JSONObject, json_of: Callable[[str, Any], Any] | None = None) -> Message:
    """The message of a document; ValueError says why it cannot be read. `json_of` makes JSON of
    the value of somebody else's field."""
    message = _decode(document)
    if document.keys() <= OURS:
        return message
    json_of = json_of or _json
    kept = (message.extra or {}).get(ORIGIN)
    others = {**kept} if isinstance(kept, dict) else {}
    others |= {key: json_of(key, value) for key, value in document.items() if key not in OURS}
    return _with_others(message, others)


def _with_others(message: Message, others: JSONObject) -> Message:
    """The message with these fields of somebody else's, and no others."""
    extra = {key: value for key, value in (message.extra or {}).items() if key != ORIGIN}
    if others:
        extra[ORIGIN] = others
    return msgspec.structs.replace(message, extra=extra or None)


def _decode(document: JSONObject) -> Message:
    role, content = document.get("role"), document.get("content")
    if type(role) is not str or type(content) is not str:
        field = "role" if type(role) is not str else "content"
        raise ValueError(f"{field} is {called(document.get(field))}, not text")
    if document.keys() <= _COMMON:
        metadata = document.get("metadata")
        checked = None if metadata is None else _structure("metadata", metadata)
        return Message(role, content, checked, time_of(document))
    native: JSONObject = {"role": role, "content": content}
    for field in ("tool_call_id", "name"):
        if (text := document.get(field)) is not None:
            if type(text) is not str:
                raise ValueError(f"{field} is {called(text)}, not text")
            native[field] = text
    for field in JSONS:
        if (value := document.get(field)) is not None:
            native[field] = _structure(field, value)
    if (at := time_of(document)) is not None:
        native["created_at"] = at
    carried = document.get("carried")
    if carried is not None and type(carried) is not str:
        raise ValueError(f"carried is {called(carried)}, not text")
    return join(native, carried)


def time_of(document: JSONObject) -> datetime | None:
    """`created_at`: the exact time, or what another program wrote as a date; ValueError where it
    is neither."""
    exact, date = document.get("created_us"), document.get("created_at")
    if exact is None:
        if date is None:
            return None
        try:
            if isinstance(date, str | bytes | bool | float):
                raise TypeError
            return _moment(int(date) * 1000)  # as the driver gives it: milliseconds since 1970
        except (TypeError, ValueError):
            raise ValueError(f"created_at is {called(date)}, not a date") from None
    if isinstance(exact, bool) or not isinstance(exact, int):
        raise ValueError(f"created_us is {called(exact)}, not an integer")
    return _moment(exact)


def _moment(microseconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        raise ValueError("created_at is beyond the years 1 to 9999") from None


def _structure(field: str, value: Any) -> Any:
    if field in ("metadata", "extra"):
        if not isinstance(value, dict):
            raise ValueError(f"{field} is {called(value)}, not an object")
    elif not are_objects(value):
        raise ValueError(f"{field} is not an array of objects")
    return _json(field, value)


def _json(field: str, value: Any) -> Any:
    """Plain JSON: the driver has a type of its own for integers of 64 bits."""
    kind = type(value)
    if value is None or kind in (str, bool, int, float):
        return value
    if isinstance(value, int):
        return int(value)
    if kind is dict:
        return {key: _json(field, item) for key, item in value.items()}
    if kind is list:
        return [_json(field, item) for item in value]
    raise ValueError(f"{field} holds a {type(value).__name__}, which is not JSON")


def called(value: Any) -> str:
    """What a value is that should be another, for a person."""
    kinds = {
        type(None): "missing", dict: "an object", list: "an array", str: "text",
        bool: "a boolean",
    }  # fmt: skip
    if type(value) not in kinds and isinstance(value, int | float):
        return "a number"
    name = type(value).__name__
    return kinds.get(type(value), f"{'an' if name[0] in 'AEIOU' else 'a'} {name}")
