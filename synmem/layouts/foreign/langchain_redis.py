"""LangChain's message histories in Redis: as the items of a list, and as JSON documents."""

import json
from datetime import UTC, datetime
from typing import Final

from msgspec import structs

from synmem.layouts.foreign.langchain_messages import (
    HOLDS,
    NAME,
    json_of,
    message_in,
    message_of,
    parted,
    refusal,
)
from synmem.layouts.shapes import Keys, Lists
from synmem.messages import JSONObject, Message, parse_json


def _unfold(item: bytes) -> list[Message]:
    """The message of an item of a list."""
    return [message_in(item)]


def _tells(item: bytes) -> bool:
    """Whether an item of a list has the form of a message."""
    try:
        parted(parse_json(item))
    except ValueError:
        return False
    return True


LISTS: Final = Lists(
    prefix="message_store:",
    id_of=str,
    key_of=str,
    newest_first=True,
    tells=_tells,
    unfold=_unfold,
    holds=HOLDS,
    fold=lambda message: json.dumps(json_of(message)).encode(),
    refusal=refusal,
)
"""`RedisChatMessageHistory` of langchain-community."""


def _order_of(rest: str, document: JSONObject) -> tuple[float, str]:
    id_, _, ulid = rest.rpartition(":")
    if document.get("session_id") != id_:
        raise ValueError(f"its session_id is {str(document.get('session_id'))[:50]!r}")
    at = document.get("timestamp")
    if not isinstance(at, int | float) or isinstance(at, bool):
        raise ValueError("its timestamp is no number")
    return at, ulid


def _unfold_document(document: JSONObject) -> list[Message]:
    try:
        at = datetime.fromtimestamp(document["timestamp"], UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(f"its timestamp is no time: {error}") from error
    message = message_of(document)
    known = ("type", "data", "session_id", "timestamp")
    beside = {key: value for key, value in document.items() if key not in known}
    extra = {NAME: {**(message.extra or {}).get(NAME, {}), **beside}} if beside else message.extra
    return [structs.replace(message, created_at=at, extra=extra)]


def _tells_document(document: JSONObject) -> bool:
    try:
        parted(document)
    except ValueError:
        return False
    return isinstance(document.get("session_id"), str)


DOCUMENTS: Final = Keys(
    prefix="chat:",
    version="RedisJSON",
    id_of=lambda rest: rest.rpartition(":")[0] if ":" in rest else None,
    order_of=_order_of,
    tells=_tells_document,
    unfold=_unfold_document,
    holds=structs.replace(HOLDS, fields=HOLDS.fields | {"created_at"}),
)
"""`RedisChatMessageHistory` of langchain-redis, which keeps no calls, names and ids."""

JS_LISTS: Final = structs.replace(
    LISTS,
    prefix="",
    version="LangChain.js",
    id_of=lambda key: None if key.startswith(LISTS.prefix) else key,
    fold=None,
    refusal=None,
)
"""`RedisChatMessageHistory` of @langchain/redis: the key is the session's bare id."""
