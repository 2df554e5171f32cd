"""Fields that a store cannot hold as they are, carried beside those that it can.

Each store of text or numbers lacks something: NUL or lone surrogates in text, NaN, 2**70, -0.0 or
the difference between 1 and 1.0 in numbers. A message is `split` into the fields that would come
back the same, stored natively, and one text, `carried`: an ASCII JSON object of the others,
exact. `role` and `content` are always native too, for other programs to read, with `?` for what
the store cannot hold; where `carried` has them, it is right.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from synmem.messages import JSONObject, Message, ascii_json, from_dict, parse_json

TEXTS: Final = ("role", "content", "tool_call_id", "name")
JSONS: Final = ("metadata", "tool_calls", "parts", "extra")
_FIELDS: Final = frozenset((*TEXTS, *JSONS))

_UNUSUAL: Final = re.compile("[\x00\ud800-\udfff]")


def plain_text(text: str) -> bool:
    """Whether the text has neither NUL nor a lone surrogate."""
    return _UNUSUAL.search(text) is None


def split(
    message: Message,
    *,
    holds_json: Callable[[Any], bool],
    holds_text: Callable[[str], bool] = plain_text,
) -> tuple[JSONObject, str | None]:
    """The native fields that are not empty (`created_at` a datetime), and `carried` or None."""
    native: JSONObject = {}
    carried: JSONObject = {}
    for field in TEXTS:
        text = getattr(message, field)
        if text is not None:
            (native if holds_text(text) else carried)[field] = text
    for field in JSONS:
        value = getattr(message, field)
        if value:
            (native if holds_json(value) else carried)[field] = value
    if message.created_at is not None:
        native["created_at"] = message.created_at
    for field in ("role", "content"):
        if field in carried:
            native[field] = _UNUSUAL.sub("?", carried[field])
    return native, ascii_json(carried) if carried else None


def join(native: JSONObject, carried: str | None) -> Message:
    """The message that was split; ValueError says why it cannot be read."""
    if carried is None:
        return Message(**native)
    try:
        exact = parse_json(carried)
    except ValueError as error:
        raise ValueError(f"carried is not JSON: {error}") from error
    if not isinstance(exact, dict) or not exact.keys() <= _FIELDS:
        raise ValueError("carried is not a JSON object of a message's fields")
    at = native.pop("created_at", None)
    message = from_dict({**native, **exact}, origin="carried")
    return message if at is None else msgspec.structs.replace(message, created_at=at)
