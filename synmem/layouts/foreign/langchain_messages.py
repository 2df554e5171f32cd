"""LangChain's message histories: `{"type": ..., "data": {...}}`, the same JSON in every container.

`human` is user, `ai` assistant, a `chat` message has the role that it says. Content is text, or a
list of blocks: those are `parts`. What has no word of ours lies in `extra["langchain"]` under its
own key of `data`: what stands there is written as it is, and what is missing has LangChain's
default. A `type` there is the one that the role alone would not say (`function`,
`AIMessageChunk`, ...). Times, metadata, titles: there is no place for them.

Written is what LangChain's own reader takes and gives back unchanged; it raises on the rest, and
with that on the whole conversation.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec

from synmem import messages as model
from synmem.messages import (
    Holds,
    JSONObject,
    Message,
    are_objects,
    ascii_json,
    parse_json,
    text_of_parts,
)

NAME: Final = "langchain"

HOLDS: Final = Holds(
    fields=frozenset({"role", "content", "tool_calls", "tool_call_id", "name", "parts", "extra"}),
    conversation_fields=frozenset(),
    own=False,
    extra_of=NAME,
)

_CHUNKS: Final = {
    "HumanMessageChunk": "human", "AIMessageChunk": "ai", "SystemMessageChunk": "system",
    "ToolMessageChunk": "tool", "FunctionMessageChunk": "function", "ChatMessageChunk": "chat",
}  # fmt: skip
"""Parts of a message that is streamed, or their sum: what they are parts of."""

_ROLES: Final = {
    "human": "user", "ai": "assistant", "system": "system", "tool": "tool", "function": "tool",
}  # fmt: skip
_TYPES: Final = {
    "user": "human", "assistant": "ai", "system": "system", "developer": "system", "tool": "tool",
}  # fmt: skip
KINDS: Final = frozenset({*_ROLES, *_CHUNKS, "chat", "remove"})
"""The types that LangChain's reader knows."""

_DEVELOPER: Final = {"__openai_role__": "developer"}
"""What langchain-openai adds to a system message that is a developer's."""

_OF_TYPE: Final[dict[str, JSONObject]] = {
    "ai": {"tool_calls": [], "invalid_tool_calls": [], "usage_metadata": None},
    "tool": {"tool_call_id": None, "artifact": None, "status": "success"},
}
_OF_STREAM: Final[JSONObject] = {"tool_call_chunks": [], "chunk_position": None}
"""What LangChain writes beside what every message has."""


# --- a message of theirs -> ours ------------------------------------------------------------


def message_in(text: str | bytes) -> Message:
    """The message of the JSON that LangChain stores; ValueError says why there is none."""
    try:
        found = _ordinary(text)
        return Message(_ROLES[found.data.type], found.data.content)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass  # there is more to it, or something is wrong
    try:
        said = parse_json(text)
    except ValueError as error:
        raise ValueError(f"its message is not JSON: {error}") from error
    return message_of(said)


def texts_in(stored: Sequence[str]) -> list[tuple[str, str]] | None:
    """Role and content of messages that are no more than these, as LangChain writes them; None
    where one of them may be."""
    try:
        found = [_ordinary(text).data for text in stored]
    except (msgspec.DecodeError, UnicodeError, RecursionError, TypeError):
        return None
    return [(_ROLES[data.type], data.content) for data in found]


def message_of(said: Any) -> Message:
    """The message of the JSON object that LangChain stores; ValueError says why there is none."""
    kind, data = parted(said)
    if kind == "generic":  # so LangChain.js calls what is `chat` in Python
        kind, data = "chat", {**data, "type": "chat"}
    content, parts = _content(data.get("content"))
    message = Message(
        _role(kind, data),
        content,
        tool_calls=_calls(data),
        tool_call_id=_text(data.get("tool_call_id")),
        name=_text(data.get("name")),
        parts=parts,
    )
    own: JSONObject = {} if kind == _TYPES.get(message.role, "chat") else {"type": kind}
    usual = _usual(message, kind)
    if data != usual:
        own |= {k: value for k, value in data.items() if k not in usual or usual[k] != value}
    if message.tool_calls and "tool_calls" not in data:
        own["tool_calls"] = []  # LangChain finds them elsewhere, as here
    if own:
        message = Message(
            message.role, content, None, None, message.tool_calls, message.tool_call_id,
            message.name, parts, {NAME: own},
        )  # fmt: skip
    return message


class _Data(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The data of a message that has nothing but a text, which most are: what `_usual` gives."""

    content: str
    additional_kwargs: Annotated[JSONObject, msgspec.Meta(max_length=0)]
    response_metadata: Annotated[JSONObject, msgspec.Meta(max_length=0)]
    name: None
    id: None


class _HumanData(_Data):
    type: Literal["human"]


class _SystemData(_Data):
    type: Literal["system"]


class _AIData(_Data):
    type: Literal["ai"]
    tool_calls: Annotated[list[Any], msgspec.Meta(max_length=0)]
    invalid_tool_calls: Annotated[list[Any], msgspec.Meta(max_length=0)]
    usage_metadata: None


class _Human(msgspec.Struct, tag="human", forbid_unknown_fields=True, gc=False):
    data: _HumanData


class _System(msgspec.Struct, tag="system", forbid_unknown_fields=True, gc=False):
    data: _SystemData


class _AI(msgspec.Struct, tag="ai", forbid_unknown_fields=True, gc=False):
    data: _AIData


_ordinary = msgspec.json.Decoder(_Human | _System | _AI).decode
"""A message that has nothing but a text, in a quarter of the time."""


def parted(said: Any) -> tuple[str, JSONObject]:
    """Type and data of the JSON object; ValueError where it has none."""
    if not isinstance(said, dict):
        raise ValueError("the message is JSON, but not an object")
    kind, data = said.get("type"), said.get("data")
    if not isinstance(kind, str) or not isinstance(data, dict):
        raise ValueError('the message is not {"type": text, "data": object}')
    if data.get("type", kind) != kind:
        raise ValueError(f"its type is {kind!r}, and in its data it is {data['type']!r}")
    return kind, data


def _role(kind: str, data: JSONObject) -> str:
    kind = _CHUNKS.get(kind, kind)
    if kind == "chat":
        if not isinstance(data.get("role"), str):
            raise ValueError("a chat message without a role")
        return str(data["role"])
    if kind == "system" and _is_developer(data):
        return "developer"
    return _ROLES.get(kind, kind)


def _is_developer(data: JSONObject) -> bool:
    more = data.get("additional_kwargs")
    return isinstance(more, dict) and {**more, **_DEVELOPER} == more


def _content(content: Any) -> tuple[str, list[JSONObject] | None]:
    """Text, and the blocks that it is part of."""
    if isinstance(content, str):
        return content, None
    if not isinstance(content, list) or not all(isinstance(b, (str, dict)) for b in content):
        raise ValueError("its content is neither text nor a list of blocks")
    parts = [{"type": "text", "text": b} if isinstance(b, str) else b for b in content]
    return text_of_parts(parts), parts or None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _calls(data: JSONObject) -> list[JSONObject] | None:
    """The tool calls; of an older message those that LangChain finds in its additional_kwargs."""
    calls = data.get("tool_calls")
    if not calls and not data.get("invalid_tool_calls") and not data.get("tool_call_chunks"):
        more = data.get("additional_kwargs")
        return _older_calls(more) if more else None
    if not are_objects(calls):
        return None
    return [_call(call) for call in calls] or None


def _call(call: JSONObject) -> JSONObject:
    others = {k: v for k, v in call.items() if k not in ("id", "name", "args", "type")}
    return {
        "id": call.get("id"), "name": call.get("name"), "arguments": call.get("args"), **others,
    }  # fmt: skip


def _older_calls(more: Any) -> list[JSONObject] | None:
    """OpenAI's calls, where all of them can be read."""
    raw = more.get("tool_calls") if isinstance(more, dict) else None
    calls: list[JSONObject] = []
    try:
        for each in raw if isinstance(raw, list) else ():
            function = each["function"]
            arguments = parse_json(function["arguments"]) or {}
            if not isinstance(arguments, dict):
                return None
            name = function["name"] or ""
            calls.append({"id": each.get("id"), "name": name, "arguments": arguments})
    except (LookupError, TypeError, AttributeError, ValueError):
        return None
    return calls or None


# --- a message of ours -> theirs ------------------------------------------------------------


def json_of(message: Message) -> JSONObject:
    """The JSON object as LangChain would write it, from a message that is not refused."""
    own = (message.extra or {}).get(NAME) or {}
    kind = own.get("type") or _TYPES.get(message.role, "chat")
    return {"type": kind, "data": {**_usual(message, kind), **own}}


def _usual(message: Message, kind: str) -> JSONObject:
    """The data of a message of which nothing lies in `extra`."""
    m, base = message, _CHUNKS.get(kind, kind)
    data: JSONObject = {
        "content": m.parts or m.content, "additional_kwargs": {}, "response_metadata": {},
        "type": kind, "name": m.name, "id": None, **_OF_TYPE.get(base, {}),
    }  # fmt: skip
    if kind == "AIMessageChunk":
        data |= _OF_STREAM
    if m.role == "developer" and base == "system":
        data["additional_kwargs"] = _DEVELOPER
    if m.tool_calls:
        data["tool_calls"] = [_their_call(call) for call in m.tool_calls]
    if m.tool_call_id is not None:
        data["tool_call_id"] = m.tool_call_id
    if base == "chat":
        data["role"] = m.role
    return data


def _their_call(call: JSONObject) -> JSONObject:
    others = {k: v for k, v in call.items() if k not in ("id", "name", "arguments")}
    return {
        "name": call.get("name"), "args": call.get("arguments"), "id": call.get("id"),
        "type": "tool_call", **others,
    }  # fmt: skip


def refusal(message: Message) -> str | None:
    """Why LangChain would not read the message, or would read another one; None if it would."""
    if model.plain(message) and message.role != "tool":
        return None
    if why := model.refusal(message):
        return why
    own = (message.extra or {}).get(NAME, {})
    if type(own) is not dict or not isinstance(own.get("type", ""), str):
        return f"extra.{NAME} is not what LangChain has beside"
    said = json_of(message)
    if why := _misread(said["type"], said["data"]):
        return f"LangChain would not read it: {why}"
    try:
        same = model.canonical(message_of(said), HOLDS) == model.canonical(message, HOLDS)
    except ValueError as error:
        return f"LangChain has no such message: {error}"
    return None if same else _otherwise(message)


def _otherwise(message: Message) -> str:
    if message.parts and message.content != text_of_parts(message.parts):
        return "its content is not the text of its parts, and LangChain stores one of them"
    return "LangChain would read it as another message"


def _misread(kind: str, data: JSONObject) -> str | None:
    """On what LangChain's reader would raise, or what it would take for something else."""
    if kind not in KINDS:
        return f"there is no type {kind!r}"
    for key in data:
        if key in ("self", "content_blocks") or not model.encodable(key):
            return f"its data cannot have {_shown(key)}"
    base = _CHUNKS.get(kind, kind)
    why = None
    for kinds in (_EVERY, _EACH.get(base, {}), _STREAM if kind == "AIMessageChunk" else {}):
        why = why or _first_wrong(kinds, data)
    if why is None and base == "ai":
        why = _wrong_calls(data) or (_wrong_chunks(data) if kind == "AIMessageChunk" else None)
    if why is None and kind == "remove" and data["content"] != "":
        why = "a remove message has no content"
    return why


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: Any) -> bool:
    return value is None or _is_text(value)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_content(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_object(block) or _is_text(block) for block in value)
    return _is_text(value)


def _is_usage(value: Any) -> bool:
    """Token counts, and perhaps parts of them."""
    if value is None:
        return True
    if not isinstance(value, dict) or not all(type(value.get(key)) is int for key in _COUNTS):
        return False
    for name, parts in _DETAILS.items():
        details = value.get(name, {})
        if not isinstance(details, dict) or any(type(details.get(k, 0)) is not int for k in parts):
            return False
    return True


_COUNTS: Final = ("input_tokens", "output_tokens", "total_tokens")
_DETAILS: Final = {
    "input_token_details": ("audio", "cache_creation", "cache_read"),
    "output_token_details": ("audio", "reasoning"),
}

_EVERY: Final[Mapping[str, Any]] = {
    "content": _is_content, "additional_kwargs": _is_object, "response_metadata": _is_object,
    "name": _is_text_or_none, "id": _is_text_or_none,
}  # fmt: skip
"""What every message must have, and of which kind."""

_EACH: Final[Mapping[str, Mapping[str, Any]]] = {
    "ai": {"usage_metadata": _is_usage},
    "tool": {"tool_call_id": _is_text, "status": lambda status: status in ("success", "error")},
    "chat": {"role": _is_text},
    "function": {"name": _is_text},
    "remove": {"id": _is_text},
}

_STREAM: Final[Mapping[str, Any]] = {"chunk_position": lambda value: value in (None, "last")}

_CALL: Final = {"name": _is_text, "args": _is_object, "id": _is_text_or_none}
_INVALID: Final = dict.fromkeys(("name", "args", "id", "error"), _is_text_or_none)
_CHUNK: Final = {
    **dict.fromkeys(("name", "args", "id"), _is_text_or_none),
    "index": lambda value: value is None or type(value) in (int, str),
}
_CALLS: Final[Mapping[str, tuple[Mapping[str, Any], set[str]]]] = {
    "tool_calls": (_CALL, {"extras"}),
    "invalid_tool_calls": (_INVALID, set()),
    "tool_call_chunks": (_CHUNK, set()),
}
"""What each of these must have, and what it may."""


def _first_wrong(kinds: Mapping[str, Any], data: JSONObject) -> str | None:
    for key, fits in kinds.items():
        if not fits(data.get(key)):
            return f"its {key} cannot be {_shown(data.get(key))}"
    return None


def _wrong_calls(data: JSONObject) -> str | None:
    for key, (kinds, more) in _CALLS.items():
        calls = data.get(key, [])
        if not are_objects(calls):
            return f"its {key} are no list of objects"
        for call in calls:
            if odd := call.keys() - kinds.keys() - more - {"type"}:
                return f"one of its {key} has a {min(odd)!r}"
            if missing := kinds.keys() - call.keys():
                return f"one of its {key} has no {min(missing)!r}"
            if why := _first_wrong(kinds, call):
                return f"in one of its {key}, {why}"
    return None


def _wrong_chunks(data: JSONObject) -> str | None:
    """What is streamed is put together anew from its chunks, and the other way round."""
    if len(data["tool_call_chunks"]) == len(data["tool_calls"]) + len(data["invalid_tool_calls"]):
        return None
    return "its tool_call_chunks are not those of its tool_calls"


def _shown(value: Any) -> str:
    return ascii_json(value)[:50]
