"""Items of a Redis list as SynapseKit pushes them, and messages; both ways.

An item is `json.dumps` of `{"role", "content"[, "metadata"]}`: ASCII, the same bytes for the same
message. What else a message has rides in `metadata["synmem"]` (see `synapsekit.py`). SynapseKit
does not look at what it is given, so programs have stored more than text. Content that is a list
of objects is read as `parts` (content is then their text, joined by newlines), null content and
an empty list as empty text; other keys of the item are kept. `extra["synapsekit"]` says how it
was, and so it is written back: other keys as they are, and `content` null, an empty list, or
`"parts"` where the list is in `parts`; the list itself where the item had others beside it. A
`synmem` key in the metadata that is not ours is written back as it is, too.
"""

import json
from collections.abc import Iterator
from json.encoder import encode_basestring_ascii
from typing import Final

import msgspec

from synmem.layouts.own.synapsekit import RESERVED, pack, unpack
from synmem.messages import JSONObject, Message, are_objects, parse_json, plain, text_of_parts

ORIGIN: Final = "synapsekit"
_FROM_PARTS: Final = "parts"

_dump = json.JSONEncoder().encode  # as json.dumps writes it by default


class _Item(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: str
    content: str
    metadata: JSONObject | None = None


_fast_item = msgspec.json.Decoder(_Item).decode


def encode(message: Message) -> bytes:
    """The item of a message that can be held."""
    m = message
    if plain(m) and m.created_at is None and RESERVED not in (m.metadata or ()):
        known = f', "metadata": {_dump(m.metadata)}' if m.metadata else ""
        content = encode_basestring_ascii(m.content)
        return f'{{"role": "{m.role}", "content": {content}{known}}}'.encode()
    as_it_was = (item for item in _foreign(message) if _is_item_of(message, item))
    return next(as_it_was, None) or _item(*pack(message, utf8=False), {})


def _foreign(message: Message) -> Iterator[bytes]:
    """What the item may have been where another program wrote it."""
    bare, others = _apart(message)
    if RESERVED in (bare.metadata or ()):  # as a key of somebody's own
        yield _item(bare.role, bare.content, bare.metadata, others)
    if others:
        yield _item(*pack(bare, utf8=False), others)


def _apart(message: Message) -> tuple[Message, JSONObject]:
    """The message without what `_with` has given it, and that."""
    extra = message.extra or {}
    others = extra.get(ORIGIN)
    if not isinstance(others, dict):
        return message, {}
    left = {key: value for key, value in extra.items() if key != ORIGIN}
    bare = msgspec.structs.replace(message, extra=left or None)
    if others.get("content") != _FROM_PARTS:
        return bare, others
    return msgspec.structs.replace(bare, parts=None), {**others, "content": message.parts}


def _is_item_of(message: Message, item: bytes) -> bool:
    try:
        return decode(item) == message
    except ValueError:
        return False


def _item(role: str, content: str, metadata: JSONObject | None, others: JSONObject) -> bytes:
    item: JSONObject = {"role": role, "content": content, **others}
    if metadata:
        item["metadata"] = metadata
    return _dump(item).encode()


def decode(item: bytes) -> Message:
    """The message of an item; ValueError says why it cannot be read."""
    try:
        fast = _fast_item(item)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _decode_unusual(item)
    metadata = fast.metadata
    if metadata and RESERVED in metadata:
        return unpack(fast.role, fast.content, metadata)
    return Message(fast.role, fast.content, metadata or None)


def _decode_unusual(item: bytes) -> Message:
    """What the quick way does not take: a lone surrogate, NaN, or another program's shape."""
    try:
        data = parse_json(item)
    except ValueError as error:
        raise ValueError(f"the item is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise ValueError("the item is JSON, but not an object")
    for key in ("role", "content"):
        if key not in data:
            raise ValueError(f"the item has no {key}")
    role, content, metadata = data.pop("role"), data.pop("content"), data.pop("metadata", None)
    if not isinstance(role, str):
        raise ValueError("role is not text")
    if metadata is not None and not isinstance(metadata, dict):
        raise ValueError("metadata is JSON, but not an object")
    parts = None
    if content and are_objects(content):
        parts, content = content, text_of_parts(content)
    elif content is None or content == []:
        data["content"], content = content, ""
    if not isinstance(content, str):
        raise ValueError("content is neither text nor a list of content parts")
    return _with(unpack(role, content, metadata or {}), parts, data)


def _with(message: Message, parts: list[JSONObject] | None, others: JSONObject) -> Message:
    """The message with what stood outside of role, content and metadata."""
    if parts is not None and message.parts is None:
        message = msgspec.structs.replace(message, parts=parts)
        others = {"content": _FROM_PARTS, **others}
    elif parts is not None:
        others = {"content": parts, **others}
    if not others:
        return message
    extra = message.extra or {}
    kept = extra.get(ORIGIN)
    ours = {**(kept if isinstance(kept, dict) else {}), **others}
    return msgspec.structs.replace(message, extra={**extra, ORIGIN: ours})
