"""Anthropic's messages: bodies of requests, as its API takes them.

A conversation is an object, `{"system": ..., "messages": [...]}`. System messages that begin a
conversation are its `system`, others stand among the messages. A message's content is text or a
list of blocks. What follows one another in one role is one message there, a *turn*: results of
tools stand in the user's, in front of what the user says. So a turn is read as several of our
messages: its results, and the rest.

Blocks are `parts`, images in the form that OpenAI has for them; a call of a tool is a tool call,
and a block `tool_use` of the parts too, where it has more to say or does not stand at the end. What
a turn has besides lies under `turn` in `extra["anthropic"]` of its first message, and so does its
`content`, where it would be written otherwise; what a result has besides, in its own. What an
object has besides lies in the conversation's extra. It is written back as it was, as long as it
says what the messages say.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Final

from msgspec import structs

from synmem.layouts.interchange import dialects
from synmem.layouts.interchange.objects import (
    each_read,
    list_under,
    own_of,
    read_objects,
    same,
    unfit,
    unread,
)
from synmem.layouts.interchange.openai import arguments_of
from synmem.layouts.shapes import Told
from synmem.messages import (
    Holds,
    JSONObject,
    Message,
    Unreadable,
    are_objects,
    canonical,
    flat_call,
    text_of_parts,
)

NAME: Final = "anthropic"

HOLDS: Final = Holds(
    fields=frozenset({"role", "content", "tool_calls", "tool_call_id", "parts", "extra"}),
    conversation_fields=frozenset({"extra"}),
    own=False,
    extra_of=NAME,
)

ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool"})

ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
"""What it takes for the id of a call, which no other has."""

_DATA_URL: Final = re.compile(r"data:(image/(?:jpeg|png|gif|webp));base64,(.*)", re.DOTALL)


# --- reading --------------------------------------------------------------------------------


def read_lines(file: BinaryIO, *, conversation: str | None = None, **_: Any) -> Iterator[bytes]:
    """The file as JSON Lines: see `objects.read_objects`."""
    return read_objects(file, unfold, conversation=conversation)


def unfold(data: JSONObject, name: str) -> Told:
    """The conversation of that name that an object is; ValueError says why it is none."""
    if why := dialects.refused(data, NAME):
        raise ValueError(why)
    said = list_under(data, "messages")
    others = {key: value for key, value in data.items() if key != "messages"}
    messages: list[Message | Unreadable] = []
    if others.get("system"):
        messages += _system(others.pop("system"))
    messages += each_read(said, turn_of)
    return Told(messages=messages, extra={NAME: others} if others else None)


def _system(system: Any) -> list[Message | Unreadable]:
    try:
        return [*turn_of({"role": "system", "content": system})]
    except ValueError as error:
        return [unread("system", str(error).replace("content", "system"), system)]


def turn_of(item: Any) -> list[Message]:
    """The messages of a turn; ValueError says why it is none."""
    if not isinstance(item, dict):
        raise ValueError("not a JSON object")
    role, content = item.get("role"), item.get("content")
    if not isinstance(role, str):
        raise ValueError("no role" if role is None else "role is not text")
    if role not in ("user", "assistant", "system"):
        raise ValueError(f"Anthropic has no role {role!r}")
    messages = _said(role, content)
    own = {key: value for key, value in item.items() if key not in ("role", "content")}
    if not same(content_of(messages), content):
        own["content"] = content
    if own:
        first = {**((messages[0].extra or {}).get(NAME) or {}), "turn": own}
        messages[0] = structs.replace(messages[0], extra={NAME: first})
    return messages


def _said(role: str, content: Any) -> list[Message]:
    """The messages that a content is, without what only `extra` says."""
    if isinstance(content, str):
        return [Message(role, content)]
    if not are_objects(content):
        raise ValueError("content is neither text nor a list of blocks")
    results = [block for block in content if block.get("type") == "tool_result"]
    rest = [block for block in content if block.get("type") != "tool_result"]
    messages = [_result(block) for block in results]
    if rest or not results:
        messages.append(_of_blocks(role, rest, alone=not results))
    return messages


def _of_blocks(role: str, blocks: list[JSONObject], *, alone: bool) -> Message:
    """The message of blocks; `alone`: nothing else is in its turn."""
    uses = [block for block in blocks if block.get("type") == "tool_use"]
    others = [block for block in blocks if block.get("type") != "tool_use"]
    calls = [_call(block) for block in uses] or None
    last = blocks[len(others) :] == uses
    if last and all(block.keys() == {"type", "id", "name", "input"} for block in uses):
        parts = [_part(block) for block in others]
    else:
        parts = [_part(block) for block in blocks]
    content = text_of_parts(parts)
    if len(parts) == 1 and parts[0] == {"type": "text", "text": content} and (calls or not alone):
        return Message(role, content, tool_calls=calls)
    return Message(role, content, tool_calls=calls, parts=parts or None)


def _call(block: JSONObject) -> JSONObject:
    found = {"id": block.get("id"), "name": block.get("name"), "arguments": block.get("input")}
    return {key: value for key, value in found.items() if value is not None}


def _result(block: JSONObject) -> Message:
    content, id_ = block.get("content", ""), block.get("tool_use_id")
    if not isinstance(id_, str):
        raise ValueError("a tool_result has no tool_use_id")
    own = {k: v for k, v in block.items() if k not in ("type", "tool_use_id", "content")}
    extra = {NAME: own} if own else None
    if isinstance(content, str):
        return Message("tool", content, tool_call_id=id_, extra=extra)
    if not are_objects(content):
        raise ValueError("the content of a tool_result is neither text nor a list of blocks")
    parts = [_part(inner) for inner in content]
    return Message("tool", text_of_parts(parts), tool_call_id=id_, parts=parts or None, extra=extra)


def _part(block: JSONObject) -> JSONObject:
    """A block as a part: an image as OpenAI has it, any other as it is."""
    source = block.get("source")
    if block.get("type") != "image" or not isinstance(source, dict):
        return block
    if source.get("type") == "base64":
        url = f"data:{source.get('media_type')};base64,{source.get('data')}"
    else:
        url = str(source.get("url"))
    rest = {key: value for key, value in block.items() if key != "source"}
    part = {**rest, "type": "image_url", "image_url": {"url": url}}
    return part if _block(part) == block else block


# --- writing --------------------------------------------------------------------------------

_OF_USER: Final = {"text", "image", "document", "search_result", "container_upload"}
_OF_RESULT: Final = {
    "text", "image", "document", "search_result", "tool_reference", "browser_state",
}  # fmt: skip
_OF_ASSISTANT: Final = {
    "text", "thinking", "redacted_thinking", "server_tool_use", "web_search_tool_result",
    "web_fetch_tool_result", "code_execution_tool_result", "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result", "tool_search_tool_result", "container_upload",
}  # fmt: skip
_BLOCKS: Final = {
    "user": _OF_USER, "tool": _OF_RESULT, "assistant": _OF_ASSISTANT, "system": {"text"},
}  # fmt: skip
"""The kinds of blocks, by whose messages have them."""

_NEEDS: Final = {"text": "text", "thinking": "signature", "redacted_thinking": "data"}
"""What a block of a kind must have, as text."""


def refusal(message: Message) -> str | None:
    """Why no block says the message, or None."""
    if message.role not in ROLES:
        return f"Anthropic has no role {message.role!r}"
    if message.role != "assistant" and message.tool_calls:
        return f"Anthropic has calls of the assistant's only, not of the role {message.role!r}"
    for call in message.tool_calls or ():
        flat = flat_call(call)
        if not isinstance(flat.get("name"), str):
            return "a tool call has no name"
        if not isinstance(_input(flat), dict):
            return "the arguments of a tool call are no JSON object"
    return unfit(turn([message])[0])


def role_of(message: Message) -> str:
    """In whose turn a message stands."""
    if message.role in ("assistant", "user"):
        return message.role
    return "user" if message.role == "tool" else "system"


def turn(messages: Sequence[Message]) -> tuple[JSONObject, list[str]]:
    """The turn of messages that stand in one: as it was read, where it says the same still; and the
    kinds of what of them has no place there."""
    item: JSONObject = {"role": role_of(messages[0]), "content": None}
    pieces: list[Any] = []
    lost: list[str] = []
    at = 0
    while at < len(messages):
        own = _turn_beside(messages[at])
        read = _as_read(item["role"], own["content"], messages[at:]) if "content" in own else 0
        if read:
            pieces.append(own["content"])
        else:
            some, missing = _blocks(messages[at])
            pieces.append(some)
            lost += missing
        if at == 0:
            item |= {key: value for key, value in own.items() if key not in item}
        at += read or 1
    item["content"] = pieces[0] if len(pieces) == 1 else [*_joined(pieces)]
    said = sum(message.role != "tool" for message in messages)
    lost += ["where a message ends and the next of its role begins"] * (said - 1)
    lost += ["role developer" for message in messages if message.role == "developer"]
    return item, lost


def content_of(messages: Sequence[Message]) -> Any:
    """What a turn of these messages says."""
    return turn(messages)[0]["content"]


def _turn_beside(message: Message) -> JSONObject:
    found = own_of(message.extra, NAME).get("turn")
    return found if isinstance(found, dict) else {}


def _as_read(role: str, content: Any, messages: Sequence[Message]) -> int:
    """How many of the messages a content is; none, where it is not what they say."""
    try:
        back = _said(role, content)
    except ValueError:
        return 0
    there = [_plain(message) for message in messages[: len(back)]]
    return len(back) if there == [_plain(message) for message in back] else 0


_PLAIN: Final = structs.replace(HOLDS, fields=HOLDS.fields - {"extra"}, extra_of="")


def _plain(message: Message) -> bytes:
    return canonical(message, _PLAIN)


def _joined(pieces: Iterable[Any]) -> Iterator[JSONObject]:
    """The blocks of several contents; a text that says nothing is none of them."""
    for piece in pieces:
        if not isinstance(piece, str):
            yield from piece
        elif piece:
            yield {"type": "text", "text": piece}


def _blocks(message: Message) -> tuple[Any, list[str]]:
    """The content of a message: text, where that is all, or blocks; and what has no place there."""
    if message.role == "tool":
        return _written_result(message)
    said, lost = _written(message, role_of(message))
    placed = {block["id"] for block in said if isinstance(block, dict) and _is_use(block)}
    uses = [_use(call) for call in message.tool_calls or () if call.get("id") not in placed]
    return [*_joined([said]), *uses] if uses else said, lost


def _written(message: Message, role: str) -> tuple[Any, list[str]]:
    """Text or blocks of what a message says beside its calls, but for those that stand between."""
    if not message.parts:
        return message.content, []
    calls = {call.get("id"): call for call in message.tool_calls or ()}
    kept, lost = [], []
    for part in message.parts:
        block = _block(part)
        if _is_use(block) and block.get("id") in calls:
            kept.append({**block, **_use(calls[block["id"]])})
        elif _has_place(block, role):
            kept.append(block)
        else:
            lost.append(f"parts {part.get('type')}")
    return kept or message.content, lost


def _is_use(block: JSONObject) -> bool:
    return block.get("type") == "tool_use" and isinstance(block.get("id"), str)


def _has_place(block: JSONObject, role: str) -> bool:
    kind = block.get("type")
    if not isinstance(kind, str) or kind not in _BLOCKS[role]:
        return False
    if kind == "image":
        return isinstance(block.get("source"), dict)
    return kind not in _NEEDS or isinstance(block.get(_NEEDS[kind]), str)


def _written_result(message: Message) -> tuple[list[JSONObject], list[str]]:
    content, lost = _written(message, "tool")
    own = own_of(message.extra, NAME)
    block = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": content}
    kept = {key: value for key, value in own.items() if key not in block and key != "turn"}
    return [{**block, **kept}], lost


def _block(part: JSONObject) -> JSONObject:
    """A part as a block: an image as Anthropic has it, any other as it is."""
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    if part.get("type") != "image_url" or not isinstance(url, str):
        return part
    data = _DATA_URL.fullmatch(url)
    if data:
        source = {"type": "base64", "media_type": data[1], "data": data[2]}
    elif url.startswith(("https://", "http://")):
        source = {"type": "url", "url": url}
    else:
        return part
    rest = {key: value for key, value in part.items() if key != "image_url"}
    return {**rest, "type": "image", "source": source}


def _use(call: JSONObject) -> JSONObject:
    flat = flat_call(call)
    return {
        "type": "tool_use", "id": flat.get("id"), "name": flat.get("name"), "input": _input(flat),
    }  # fmt: skip


def _input(call: JSONObject) -> Any:
    arguments = arguments_of(call.get("arguments"))
    return {} if arguments is None else arguments
