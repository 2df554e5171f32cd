"""OpenAI Agents' items, those of the Responses API, as JSON: the same in every kind of session.

A message is an item, and so is a call of a function, what it gave back, and a thought
(`reasoning`). Content is text or a list of blocks: those are `parts`, by the names that the chat
API has for them (`input_text` and `output_text` are `text`, `input_image` is `image_url`). What has
no word of ours lies in `extra["openai_agents"]` under its own key; an item that no message says, as
those of the tools that OpenAI itself runs, lies there whole, as `item`.

A session gives back whatever lies in it. Written is what reads back equal here, as an item that the
models take: a text and a call at once would be two items there.
"""

from datetime import UTC, datetime
from json import JSONEncoder
from typing import Any, Final

from msgspec import structs

from synmem import messages as model
from synmem.messages import (
    Holds,
    JSONObject,
    Message,
    are_objects,
    ascii_json,
    parse_json,
    parse_time,
    text_of_parts,
)

NAME: Final = "openai_agents"

HOLDS: Final = Holds(
    fields=frozenset({"role", "content", "tool_calls", "tool_call_id", "parts", "extra"}),
    conversation_fields=frozenset(),
    own=False,
    extra_of=NAME,
)
"""What an item has."""

TIMED: Final = structs.replace(HOLDS, fields=HOLDS.fields | {"created_at"}, time_us=1_000_000)
"""What it has where it lies in a row that has a time."""

ROLES: Final = ("user", "assistant", "system", "developer")
"""Those of a message, for a model."""

_FAKE_ID: Final = "__fake_id__"
"""What Agents gives for an id where a model gave none, and does not send to one."""

_compact = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""How a model writes the arguments of a call."""


# --- an item of theirs -> a message ---------------------------------------------------------


def message_of(item: Any, created_at: datetime | None = None) -> Message:
    """The message that an item is; ValueError says why it is none."""
    if not isinstance(item, dict):
        raise ValueError("the item is JSON, but not an object")
    kind = item.get("type", "message")
    if kind == "message":
        message = _said(item)
    elif read := _READ.get(kind if isinstance(kind, str) else ""):
        message = read(item)
    else:
        message = _other(item, kind)
    own = _beside(message, item)
    if not own and created_at is None:
        return message
    return Message(
        message.role, message.content, None, created_at, message.tool_calls, message.tool_call_id,
        None, message.parts, {NAME: own} if own else None,
    )  # fmt: skip


def _beside(message: Message, item: JSONObject) -> JSONObject:
    """What of an item its message does not say."""
    usual = _usual(message)
    own = {key: value for key, value in item.items() if key not in usual or usual[key] != value}
    if "item" in own or not usual or usual.keys() - item.keys():
        return {"item": item}
    return own


def _said(item: JSONObject) -> Message:
    role = item.get("role")
    if not isinstance(role, str):
        if item.get("__enc__") == 1:
            raise ValueError("OpenAI Agents' EncryptedSession wrote it: only its key opens it")
        raise ValueError("the item has no role, and no type that stands for one")
    content, parts = _content(item.get("content"), "content")
    return Message(role, content, parts=parts)


def _call(item: JSONObject) -> Message:
    call = {
        "id": _text(item, "call_id"), "name": _text(item, "name"),
        "arguments": _arguments(_text(item, "arguments")),
    }  # fmt: skip
    return Message("assistant", "", tool_calls=[call])


def _arguments(text: str) -> Any:
    """What they say; the text itself where it is no JSON."""
    try:
        return parse_json(text)
    except ValueError:
        return text


def _output(item: JSONObject) -> Message:
    content, parts = _content(item.get("output"), "output")
    return Message("tool", content, tool_call_id=_text(item, "call_id"), parts=parts)


def _reasoning(item: JSONObject) -> Message:
    """The summary, or the thoughts themselves where there is none."""
    said = _texts(item.get("summary"), "summary_text")
    return Message("reasoning", said or _texts(item.get("content"), "reasoning_text"))


def _texts(blocks: Any, kind: str) -> str:
    """What the blocks of that kind say."""
    texts = [
        block["text"]
        for block in (blocks if are_objects(blocks) else ())
        if block.get("type") == kind and isinstance(block.get("text"), str)
    ]
    return "\n".join(texts)


def _other(item: JSONObject, kind: Any) -> Message:
    """What a tool that OpenAI runs was asked or gave back, and whatever else there is."""
    if not isinstance(kind, str):
        raise ValueError(f"the item's type is not text: {str(kind)[:30]}")
    call_id, output = item.get("call_id"), item.get("output")
    if not kind.endswith("_output") or not isinstance(call_id, str):
        return Message("assistant", "")
    return Message("tool", output if isinstance(output, str) else "", tool_call_id=call_id)


_READ: Final = {
    "function_call": _call, "function_call_output": _output, "reasoning": _reasoning,
}  # fmt: skip


def _text(item: JSONObject, key: str) -> str:
    if not isinstance(value := item.get(key), str):
        raise ValueError(f"the {item['type']} has no {key}")
    return value


def _content(content: Any, key: str) -> tuple[str, list[JSONObject] | None]:
    """Text, and the parts that it is of."""
    if isinstance(content, str):
        return content, None
    if not are_objects(content):
        raise ValueError(f"its {key} is neither text nor a list of blocks")
    parts = [_part(block) for block in content]
    return text_of_parts(parts), parts or None


def _part(block: JSONObject) -> JSONObject:
    """A block as a part; one that the chat API does not have stays as it is."""
    kind = block.get("type")
    if kind in ("input_text", "output_text") and isinstance(block.get("text"), str):
        part = block | {"type": "text"}
        if part.get("annotations") == [] and kind == "output_text":
            del part["annotations"]
        return part
    if kind == "input_image" and isinstance(block.get("image_url"), str):
        rest = {key: value for key, value in block.items() if key not in ("image_url", "detail")}
        image = {key: block[key] for key in ("detail",) if key in block}
        return rest | {"type": "image_url", "image_url": {"url": block["image_url"]} | image}
    if kind == "input_file" and block.keys() <= {"type", *_OF_FILE}:
        return {"type": "file", "file": {k: v for k, v in block.items() if k != "type"}}
    return block


_OF_FILE: Final = ("file_data", "file_id", "filename")


# --- a message -> an item -------------------------------------------------------------------


def json_of(message: Message) -> JSONObject:
    """The item as Agents would write it, of a message that is not refused."""
    own: JSONObject = (message.extra or {}).get(NAME) or {}
    item: JSONObject | None = own.get("item")
    return item if item is not None else {**_usual(message), **own}


def compact(message: Message) -> str:
    """The item's text, as every session but those of `SQLiteSession` writes it."""
    return ascii_json(json_of(message))


def _usual(message: Message) -> JSONObject:
    """The item of a message of which nothing lies in `extra`; empty where there is none."""
    m = message
    if m.tool_calls:
        call = m.tool_calls[0]
        return {
            "type": "function_call", "call_id": call.get("id"), "name": call.get("name"),
            "arguments": _compact(call.get("arguments")),
        }  # fmt: skip
    if m.role == "tool":
        output = _blocks(m.parts, "input_text") if m.parts else m.content
        return {"type": "function_call_output", "call_id": m.tool_call_id, "output": output}
    if m.role == "reasoning":
        summary = [{"text": m.content, "type": "summary_text"}] if m.content else []
        return {"id": _FAKE_ID, "summary": summary, "type": "reasoning"}
    if not m.parts:
        return {"content": m.content, "role": m.role}
    if m.role != "assistant":
        return {"role": m.role, "content": _blocks(m.parts, "input_text")}
    return {
        "id": _FAKE_ID, "content": _blocks(m.parts, "output_text"), "role": m.role,
        "status": "completed", "type": "message",
    }  # fmt: skip


def _blocks(parts: list[JSONObject], text: str) -> list[JSONObject]:
    return [_block(part, text) for part in parts]


def _block(part: JSONObject, text: str) -> JSONObject:
    """The block that `_part` makes this part of, or the part itself."""
    kind = part.get("type")
    if kind == "text":
        block: JSONObject = {"annotations": []} if text == "output_text" else {}
        return {**block, **part, "type": text}
    if kind == "image_url" and isinstance(image := part.get("image_url"), dict):
        said = {"image_url": image.get("url"), **{k: v for k, v in image.items() if k != "url"}}
        return {**part, **said, "type": "input_image"}
    if kind == "file" and isinstance(file := part.get("file"), dict):
        return {**file, "type": "input_file"}
    return part


def refusal(message: Message) -> str | None:
    """Why Agents would split the message, make another one of it, or give a model what none takes;
    None if it keeps it."""
    if model.plain(message) and message.role in ROLES:
        return None
    own = (message.extra or {}).get(NAME)
    why = model.refusal(message) or _misfit(message, own)
    if why is not None:
        return why
    try:
        back = message_of(json_of(message))
    except ValueError as error:
        return f"OpenAI Agents has no such item: {error}"
    same = model.canonical(back, HOLDS) == model.canonical(message, HOLDS)
    return None if same else _otherwise(message)


def _misfit(message: Message, own: Any) -> str | None:
    """What of a message no item has."""
    if own is not None and type(own) is not dict:
        return f"extra.{NAME} is not what an item has beside"
    if own and type(own.get("item")) is dict:
        return None
    if message.tool_calls and (message.content or message.parts or len(message.tool_calls) > 1):
        what = "calls" if not message.content and not message.parts else "text and calls"
        return f"OpenAI Agents keeps {what} as items of their own: its reader would split them"
    if message.tool_calls or message.role in ("tool", "reasoning", *ROLES):
        return None
    return f"OpenAI Agents has no role {message.role!r}"


def _otherwise(message: Message) -> str:
    if message.parts and message.content != text_of_parts(message.parts):
        return "its content is not the text of its parts, and OpenAI Agents stores one of them"
    return "OpenAI Agents would read it as another message"


# --- rows -----------------------------------------------------------------------------------


def unfold(text: Any, created_at: Any = None) -> list[Message]:
    """The message of an item's text; ValueError where it is none, or the time is no time."""
    if not isinstance(text, str | bytes):
        raise ValueError("its item is no text")
    try:
        item = parse_json(text)
    except ValueError as error:
        raise ValueError(f"its item is not JSON: {error}") from error
    return [message_of(item, time_of(created_at))]


def time_of(value: Any) -> datetime | None:
    """The time of a row, which is in UTC and says no zone; ValueError where it is none."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError(f"its created_at is no time: {value!r}") from error
    if not isinstance(value, datetime):
        raise ValueError("its created_at is no time")
    return value.replace(tzinfo=UTC) if value.tzinfo is None else parse_time(value.isoformat())
