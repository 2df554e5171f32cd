"""Agent Framework's histories: `{"type": "message", "role", "contents"}`, a JSON object each.

Content is the text of the text contents; several, or others than text and calls, are `parts`: an
image as OpenAI has it, any other as it is. A result of a function is a message of its own, so that
one object may be several. `author_name` is the name. What has no word of ours lies in
`extra["agent_framework"]`, in the part or in the call that it belongs to, under its own key.

In Redis a key says more than a session: for which tenant, application, agent and source it is.
Where one session has several such keys, each is a conversation that is called as the key goes on.
The older key, which says the session alone, is passed over where a newer one has it.

In a folder each session has a file: lines of JSON, or records of MessagePack behind the length of
each. It is called as the session, or as the session in base32.
"""

import contextlib
import re
from base64 import b32decode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from synmem.layouts.foreign import json_lines
from synmem.layouts.foreign.named_files import each_ending, stem
from synmem.layouts.foreign.values import as_json, told
from synmem.layouts.heads import Head
from synmem.layouts.shapes import Files, Folder, Lists, Told
from synmem.messages import (
    Holds,
    JSONObject,
    Message,
    Unreadable,
    are_objects,
    ascii_json,
    parse_json,
)

NAME: Final = "agent_framework"
TITLE: Final = "Agent Framework"

HOLDS: Final = Holds(
    fields=frozenset({"role", "content", "tool_calls", "tool_call_id", "name", "parts", "extra"}),
    conversation_fields=frozenset(),
    own=False,
    extra_of=NAME,
)

_KINDS: Final = ("message", "chat_message")
_USUAL: Final[tuple[tuple[str, Any], ...]] = (("additional_properties", {}), ("hosted", False))
"""What is written though it says nothing."""


def messages_of(said: Any) -> list[Message]:
    """The messages of a JSON object of theirs; ValueError says why there are none."""
    if not isinstance(said, dict):
        raise ValueError("the message is JSON, but not an object")
    role, contents = _role(said.get("role")), said.get("contents")
    if not are_objects(contents):
        raise ValueError("its contents are not a list of objects")
    own = _beside(said, "role", "contents", "author_name")
    if own.get("type") == _KINDS[0]:
        del own["type"]
    name = said.get("author_name")
    if not isinstance(name, str):
        own |= {} if name is None else {"author_name": name}
        name = None
    results = [each for each in contents if each.get("type") == "function_result"]
    others = [each for each in contents if each.get("type") != "function_result"]
    found = [_result(each, name) for each in results]
    if others or not results:
        at = len(found) if contents and contents[0] in results else 0
        found.insert(at, _message(role, others, name))
    return [_with(found[0], own), *found[1:]]


def _role(role: Any) -> str:
    """Older versions had an object for it."""
    if isinstance(role, dict):
        role = role.get("value")
    if not isinstance(role, str):
        raise ValueError("the message has no role")
    return role


def _beside(said: JSONObject, *known: str) -> JSONObject:
    return {k: v for k, v in said.items() if k not in known and (k, v) not in _USUAL}


def _with(message: Message, own: JSONObject) -> Message:
    """The message with this beside, too."""
    if not own:
        return message
    m, extra = message, {NAME: {**(message.extra or {}).get(NAME, {}), **own}}
    return Message(
        m.role, m.content, None, None, m.tool_calls, m.tool_call_id, m.name, m.parts, extra
    )


def _message(role: str, contents: Sequence[JSONObject], name: str | None) -> Message:
    calls = [_call(each) for each in contents if each.get("type") == "function_call"]
    content, parts = _content([each for each in contents if each.get("type") != "function_call"])
    return Message(role, content, tool_calls=calls or None, name=name, parts=parts)


def _content(contents: Sequence[JSONObject]) -> tuple[str, list[JSONObject] | None]:
    """The text of these, and all of them, where they are more than a text."""
    parts = [_part(each) for each in contents]
    texts = [part["text"] for part in parts if part.get("type") == "text"]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("one of its text contents has no text")
    if not parts or (len(parts) == 1 and texts and parts[0].keys() == {"type", "text"}):
        parts = []
    return "\n".join(texts), parts or None


def _part(content: JSONObject) -> JSONObject:
    kind, uri = content.get("type"), content.get("uri")
    if kind == "text" and "text" not in content:
        raise ValueError("one of its text contents has no text")
    if kind not in ("data", "uri") or not isinstance(uri, str):
        return _beside(content)
    media = content.get("media_type")
    if not (uri.startswith("data:image/") or str(media).startswith("image/")):
        return _beside(content)
    return {"type": "image_url", "image_url": {"url": uri}, **_beside(content, "type", "uri")}


def _call(content: JSONObject) -> JSONObject:
    arguments = content.get("arguments")
    if isinstance(arguments, str):
        with contextlib.suppress(ValueError):  # kept as it was said
            arguments = parse_json(arguments)
    others = _beside(content, "type", "call_id", "name", "arguments")
    called = {"id": content.get("call_id"), "name": content.get("name")}
    return {**others, **called, "arguments": arguments}


def _result(content: JSONObject, name: str | None) -> Message:
    result, items, call = content.get("result"), content.get("items"), content.get("call_id")
    if not isinstance(call, str):
        raise ValueError("a function's result has no call_id")
    own = _beside(content, "type", "call_id", "result")
    said, parts = _content(items) if are_objects(items) else ("", None)
    if result is None or result == said:
        result = said
        own.pop("items", None)
    elif not isinstance(result, str):
        own["result"] = result
        result = ascii_json(result)
        parts = None
    if parts is not None and result != said:
        parts = None
    return _with(Message("tool", result, tool_call_id=call, name=name, parts=parts), own)


# --- Redis ----------------------------------------------------------------------------------

_SCOPED: Final = "|v2|"
_ENCODED: Final = "~redis-session-"


def _unfold(item: bytes) -> list[Message]:
    try:
        said = parse_json(item)
    except ValueError as error:
        raise ValueError(f"its message is not JSON: {error}") from error
    return messages_of(said)


def _tells(item: bytes) -> bool:
    try:
        said = parse_json(item)
    except ValueError:
        return False
    return isinstance(said, dict) and said.get("type") in _KINDS and "contents" in said


def _id_of(rest: str) -> str | None:
    """The session of a key, be it a newer or an older one."""
    if rest.startswith(_SCOPED):
        scope = rest.removeprefix(_SCOPED).split("|")
        return _decoded(scope[-1], _ENCODED) if len(scope) == 5 else None
    return rest[1:] if rest.startswith(":") else None


def _decoded(segment: str, prefix: str) -> str:
    """A session as it was called; one of which there is only a digest, as that."""
    code = segment.removeprefix(prefix)
    try:
        text = b32decode(code.upper() + "=" * (-len(code) % 8)).decode()
    except ValueError:
        return segment
    return text if segment.startswith(prefix) else segment


def _keys_of(rests: Sequence[str]) -> Mapping[str, str]:
    scoped = [rest for rest in rests if rest.startswith(_SCOPED)]
    counts = Counter(map(_id_of, scoped))
    keys: dict[str, str] = {}
    for rest in sorted(scoped):
        id_ = _id_of(rest)
        if id_ is not None:
            keys[id_ if counts[id_] == 1 else rest.removeprefix(_SCOPED)] = rest
    for rest in rests:
        if rest.startswith(":"):
            keys.setdefault(rest[1:], rest)
    return keys


_LISTS: Final = Lists(
    prefix="chat_messages",
    id_of=_id_of,
    keys_of=_keys_of,
    tells=_tells,
    single=False,
    unfold=_unfold,
    holds=HOLDS,
)
"""`RedisHistoryProvider` of agent-framework-redis."""

# --- files ----------------------------------------------------------------------------------

_LENGTH: Final = 4
"""So many bytes say how long a record of MessagePack is."""

_BINARY: Final = re.compile(rb".{4}(?:[\x80-\x8f]|\xde..)\xa4type\xa7message", re.DOTALL)
"""With what a file of such records begins."""

_unpacked = msgspec.msgpack.Decoder().decode


def unfold(files: Files) -> dict[str, Told]:
    """The conversation of a file."""
    ((name, data),) = files.data.items()
    if name.endswith(".msgpack"):
        records = enumerate(_records(data), 1)
        said = [m for number, each in records for m in told("record", number, _unpack, each)]
    else:
        said = json_lines.told(name, data, messages_of)
    return {_decoded(stem(name), "~session-"): Told(messages=said)}


def _records(data: bytes) -> Iterator[bytes]:
    """What lies behind each length; a last one that is being written is left out."""
    at = 0
    while at + _LENGTH <= len(data):
        start, at = at + _LENGTH, at + _LENGTH + int.from_bytes(data[at : at + _LENGTH], "big")
        if at > len(data):
            return
        yield data[start:at]


def _unpack(record: bytes) -> Sequence[Message | Unreadable]:
    try:
        return messages_of(as_json(_unpacked(record)))
    except msgspec.DecodeError as error:
        raise ValueError(f"it is no MessagePack: {error}") from error


def _misses(head: Head) -> str | None:
    if head.name.endswith(".msgpack"):
        return "" if _BINARY.match(head.data) else None
    first = head.readable
    is_one = first.get("type") in _KINDS and isinstance(first.get("contents"), list)
    return "" if is_one else None


_FILES: Final = Folder(
    version="FileHistoryProvider",
    group=each_ending(".jsonl", ".msgpack"),
    misses=_misses,
    unfold=unfold,
    holds=HOLDS,
)

SHAPES: Final = {"file": (_FILES,), "redis": (_LISTS,)}
