"""LlamaIndex's chat stores: `{"role", "additional_kwargs", "blocks"}`, the same in every container;
before 0.12 a `content`, text or null, in place of the blocks.

`chatbot` and `model` are assistant, `function` is tool. Content is the text of the text blocks;
several, or others than text and calls, are `parts`: an image as OpenAI has it, any other as it is,
with its `block_type` as `type` too. Calls are blocks, or where there are none
`additional_kwargs.tool_calls`, in the form of OpenAI or of Anthropic; the call that a result
belongs to, and a name, are there too.

What has no word of ours lies in `extra["llamaindex"]` under its own key, and `blocks` do where they
are more than a text: what stands there is written as it is, and what is missing is made from the
message. Written is what LlamaIndex reads as it is: it raises on the rest, and with that on
the whole conversation, or drops what it does not know.
"""

from typing import Any, Final

from synmem import messages as model
from synmem.layouts.foreign.llamaindex_blocks import (
    DATA_URL,
    IMAGES,
    READ,
    as_base64,
    is_base64,
    misread,
    suffix,
)
from synmem.messages import Holds, JSONObject, Message, are_objects, parse_json

NAME: Final = "llamaindex"

_BLOCKS: Final = frozenset({(NAME, "blocks")})

HOLDS: Final = Holds(
    fields=frozenset({"role", "content", "tool_calls", "tool_call_id", "name", "parts", "extra"}),
    conversation_fields=frozenset(),
    own=False,
    extra_of=NAME,
    columns=_BLOCKS,
    defaults=_BLOCKS,  # made from the parts and calls of a message that has none
)

_ROLES: Final = {"chatbot": "assistant", "model": "assistant", "function": "tool"}


# --- a message of theirs -> ours ------------------------------------------------------------


def tells(said: Any) -> bool:
    """Whether it is a message of LlamaIndex's, be it one that cannot be read."""
    return (
        isinstance(said, dict)
        and isinstance(said.get("role"), str)
        and not said.keys().isdisjoint(("blocks", "content"))
    )


def message_of(said: Any) -> Message:
    """The message of the JSON object that LlamaIndex stores, in which bytes may stand for base64;
    ValueError says why there is none."""
    if not isinstance(said, dict):
        raise ValueError("the message is JSON, but not an object")
    role = said.get("role")
    if not isinstance(role, str):
        raise ValueError("the message has no role")
    said, blocks = _normal(said)
    more = said["additional_kwargs"]
    content, parts = _content(blocks)
    calls = _calls(blocks) or _older_calls(_of(more, "tool_calls"))
    message = Message(
        _ROLES.get(role, role),
        content,
        tool_calls=calls,
        tool_call_id=_text(_of(more, "tool_call_id")),
        name=_text(_of(more, "name")),
        parts=parts,
    )
    usual = _usual(message)
    usual["blocks"] = None if calls else [_text_block(content)]
    own = {key: value for key, value in said.items() if key not in usual or usual[key] != value}
    return with_extra(message, own) if own else message


def with_extra(message: Message, own: JSONObject) -> Message:
    """The message with this as what LlamaIndex has beside."""
    m = message
    return Message(
        m.role, m.content, None, None, m.tool_calls, m.tool_call_id, m.name, m.parts, {NAME: own}
    )


def _normal(said: JSONObject) -> tuple[JSONObject, list[JSONObject]]:
    """What is said as it is written now, and the blocks that count: those of a `content` that is
    text or a list, where there is one, which older versions had alone."""
    blocks, content = said.get("blocks"), said.get("content")
    if isinstance(content, str):
        content = [_text_block(content)]
    counts = content if isinstance(content, list) else [] if blocks is None else blocks
    counts = _readable(counts)
    rest = {key: value for key, value in said.items() if key not in ("blocks", "content")}
    both = blocks is not None and said.get("content") is not None
    hidden = {"content": said["content"]} if both else {}
    kept = _readable(blocks) if both else counts
    return {"additional_kwargs": {}, **rest, "blocks": kept, **hidden}, counts


def _readable(blocks: Any) -> list[JSONObject]:
    if not are_objects(blocks):
        raise ValueError("its blocks are not a list of objects")
    found: list[JSONObject] = [_as_json(block) for block in blocks]
    for block in found:
        if not isinstance(block.get("block_type"), str):
            raise ValueError("one of its blocks has no block_type")
        if block["block_type"] == "text" and not isinstance(block.get("text"), str):
            raise ValueError("one of its text blocks has no text")
    return found


def _as_json(value: Any) -> Any:
    """The same with text for bytes, which are base64 already, or are made so."""
    if isinstance(value, dict):
        return {key: _as_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_as_json(each) for each in value]
    if not isinstance(value, bytes):
        return value
    return value.decode() if is_base64(value) else as_base64(value)


def _content(blocks: list[JSONObject]) -> tuple[str, list[JSONObject] | None]:
    """Text, and the blocks that it is part of, but for the calls."""
    parts = [_part(block) for block in blocks if block["block_type"] != "tool_call"]
    texts = [block["text"] for block in blocks if block["block_type"] == "text"]
    return "\n".join(texts), parts if len(parts) > 1 or len(parts) > len(texts) else None


def _part(block: JSONObject) -> JSONObject:
    if block["block_type"] == "text":
        return {"type": "text", "text": block["text"]}
    if block["block_type"] == "image" and (url := _url_of(block)):
        detail = block.get("detail")
        return {
            "type": "image_url",
            "image_url": {"url": url, "detail": detail} if detail else {"url": url},
        }
    return {**block, "type": block["block_type"]}


def _url_of(image: JSONObject) -> str | None:
    """Where the image is, or all of it."""
    if isinstance(image.get("image"), str) and image["image"]:
        return f"data:{image.get('image_mimetype') or 'image/*'};base64,{image['image']}"
    return _text(image.get("url")) or _text(image.get("path"))


def _calls(blocks: list[JSONObject]) -> list[JSONObject] | None:
    return [
        {
            "id": block.get("tool_call_id"),
            "name": block.get("tool_name"),
            "arguments": _arguments(block.get("tool_kwargs")),
        }
        for block in blocks
        if block["block_type"] == "tool_call"
    ] or None


def _older_calls(raw: Any) -> list[JSONObject] | None:
    """The calls in `additional_kwargs`, where all of them can be read."""
    calls = []
    for each in raw if isinstance(raw, list) else ():
        function = each.get("function", each) if isinstance(each, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            return None
        arguments = function["arguments"] if "arguments" in function else function.get("input")
        calls.append(
            {"id": each.get("id"), "name": function["name"], "arguments": _arguments(arguments)}
        )
    return calls or None


def _arguments(said: Any) -> Any:
    """What is an object, also where it is written as text."""
    try:
        read = parse_json(said) if isinstance(said, str) else said
    except ValueError:
        return said
    return read if isinstance(read, dict) else said


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _of(more: Any, key: str) -> Any:
    return more.get(key) if isinstance(more, dict) else None


# --- a message of ours -> theirs ------------------------------------------------------------


def json_of(message: Message) -> JSONObject:
    """The JSON object as LlamaIndex would write it, from a message that is not refused."""
    own = (message.extra or {}).get(NAME) or {}
    said = _usual(message)
    if "blocks" not in own:
        said["blocks"] = _made_blocks(message)
    return {**said, **own}


def _usual(message: Message) -> JSONObject:
    """What is said of a message of which nothing lies in `extra`, but for its blocks."""
    more = {"name": message.name, "tool_call_id": message.tool_call_id}
    return {
        "role": message.role,
        "additional_kwargs": {key: value for key, value in more.items() if value is not None},
        "blocks": [],
    }


def _text_block(text: str) -> JSONObject:
    return {"block_type": "text", "text": text}


def _made_blocks(message: Message) -> list[JSONObject]:
    """The blocks of a message that says nothing of its own; ValueError where there are none."""
    calls = [_call_block(call) for call in message.tool_calls or []]
    if message.parts:
        return [*map(_block, message.parts), *calls]
    return calls if calls and not message.content else [_text_block(message.content), *calls]


def _call_block(call: JSONObject) -> JSONObject:
    return {
        "block_type": "tool_call", "tool_call_id": call.get("id"), "tool_name": call.get("name"),
        "tool_kwargs": call.get("arguments"),
    }  # fmt: skip


def _block(part: JSONObject) -> JSONObject:
    kind = part.get("type")
    if kind == "text" and isinstance(part.get("text"), str):
        return _text_block(part["text"])
    if kind == "image_url" and isinstance(part.get("image_url"), dict):
        return _image_block(part["image_url"])
    if not isinstance(kind, str) or part.get("block_type") != kind:
        raise ValueError(f"there is no block for a part of type {model.ascii_json(kind)[:50]}")
    return {key: value for key, value in part.items() if key != "type"}


def _image_block(image: JSONObject) -> JSONObject:
    url = image.get("url")
    held = DATA_URL.fullmatch(url) if isinstance(url, str) else None
    guessed = IMAGES.get(suffix(url)) if isinstance(url, str) else None
    return {
        "block_type": "image", "image": held["data"] if held else None, "path": None,
        "url": None if held else url, "image_mimetype": held["type"] if held else guessed,
        "detail": image.get("detail"),
    }  # fmt: skip


def refusal(message: Message) -> str | None:
    """Why LlamaIndex would not read the message, or would read another one; None if it would."""
    if model.plain(message) and message.role in READ - _ROLES.keys():
        return None
    if why := model.refusal(message):
        return why
    own = (message.extra or {}).get(NAME, {})
    if type(own) is not dict:
        return f"extra.{NAME} is not what LlamaIndex has beside"
    try:
        said = json_of(message)
        if why := misread(said):
            return f"LlamaIndex would not read it: {why}"
        same = model.canonical(message_of(said), HOLDS) == model.canonical(message, HOLDS)
    except ValueError as error:
        return f"LlamaIndex has no such message: {error}"
    return None if same else _otherwise(message)


def _otherwise(message: Message) -> str:
    texts = [part.get("text") for part in message.parts or () if part.get("type") == "text"]
    if message.parts and [message.content] == texts and len(message.parts) == 1:
        return "its one part is its content, and LlamaIndex knows no difference"
    if message.parts and message.content != "\n".join(map(str, texts)):
        return "its content is not the text of its parts, and LlamaIndex stores one of them"
    return "LlamaIndex would read it as another message"
