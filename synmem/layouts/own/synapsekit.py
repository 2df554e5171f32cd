"""SynapseKit's rows and list items: role, content, metadata; shared with its programs.

A message of role, content and metadata is stored as SynapseKit 2.0.1 stores it: metadata as
`json.dumps` writes it, NULL or absent where there is none. All else a message has rides in one
reserved key, `metadata["synmem"]`, an object with `"v": 1` and any of

- `created_at`, `tool_calls`, `tool_call_id`, `name`, `parts`, `extra`: as in the JSON form;
- `role`, `content`: the exact text, where it holds a lone surrogate and the store takes only
  UTF-8; the row itself then has `?` in the place of each;
- `metadata`: the value of the user's own key `synmem`.

Reading takes it out again. A `synmem` key of any other shape is the user's own and stays.
"""

import json
from typing import Any, Final

from synmem.messages import (
    FIELDS,
    JSONObject,
    Message,
    as_dict,
    encodable,
    format_time,
    from_dict,
    parse_json,
    plain,
    replaced,
)

RESERVED: Final = "synmem"
_CARRIED: Final = frozenset({"v", *FIELDS})
_REST: Final = frozenset(FIELDS) - {"role", "content", "metadata"}


def pack(message: Message, *, utf8: bool) -> tuple[str, str, JSONObject | None]:
    """Role, content and metadata as SynapseKit knows them; `utf8`: the store takes only that."""
    metadata = message.metadata or None
    if plain(message) and RESERVED not in (metadata or ()):
        if message.created_at is not None:
            rides = {"v": 1, "created_at": format_time(message.created_at)}
            metadata = {**(metadata or {}), RESERVED: rides}
        return message.role, message.content, metadata
    rest = {field: value for field, value in as_dict(message).items() if field in _REST}
    role, content = message.role, message.content
    if utf8:
        for field, text in (("role", role), ("content", content)):
            if not encodable(text):
                rest[field] = text
        role, content = replaced(role), replaced(content)
    if metadata and RESERVED in metadata:
        rest["metadata"] = metadata[RESERVED]
    if rest:
        metadata = {**(metadata or {}), RESERVED: {"v": 1, **rest}}
    return role, content, metadata


def unpack(role: str, content: str, metadata: JSONObject) -> Message:
    """The message that `pack` was given, or SynapseKit's own."""
    rest = metadata.get(RESERVED)
    if rest is None:
        return Message(role, content, metadata or None)
    if isinstance(rest, dict) and _is_packed(rest):
        own = {key: value for key, value in metadata.items() if key != RESERVED}
        if "metadata" in rest:
            own[RESERVED] = rest["metadata"]
        carried = {key: value for key, value in rest.items() if key not in ("v", "metadata")}
        try:
            return from_dict(
                {"role": role, "content": content, "metadata": own, **carried}, origin=RESERVED
            )
        except ValueError:
            pass  # not what pack writes: somebody else's key of that name
    return Message(role, content, metadata or None)


def _is_packed(rest: JSONObject) -> bool:
    """Whether `pack` can have written this: the version, and something that it carries."""
    version = rest.get("v")
    return type(version) is int and version == 1 and len(rest) > 1 and rest.keys() <= _CARRIED


def metadata_text(metadata: JSONObject | None) -> str | None:
    """The metadata as SynapseKit writes it to a column: `json.dumps`, or NULL."""
    return json.dumps(metadata) if metadata else None


def parse_metadata(text: Any) -> JSONObject | None:
    """The metadata of a column; ValueError says why it cannot be read."""
    if text is None or text == "":
        return None
    if not isinstance(text, str):
        raise ValueError(f"metadata is {called(text)}, not JSON text")
    try:
        metadata = parse_json(text)
    except ValueError as error:
        raise ValueError(f"metadata is not JSON: {error}") from error
    if metadata is not None and not isinstance(metadata, dict):
        raise ValueError("metadata is JSON, but not an object")
    return metadata or None


def called(value: Any) -> str:
    """What a value is that is no text, for a person."""
    kinds = {bytes: "a BLOB", int: "a number", float: "a number", type(None): "NULL"}
    if isinstance(value, bytes) and type(value) is not bytes:
        return "text that is not UTF-8"
    return kinds.get(type(value), "something else")
