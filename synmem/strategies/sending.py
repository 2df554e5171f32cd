"""A Context in the forms that models and people take: OpenAI, Anthropic, text."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from synmem.messages import JSONObject, Message, parse_json, parts_beside_calls
from synmem.strategies.context import QUESTION, Context, Decision
from synmem.strategies.lines import arguments_text, message_line, prompt_line
from synmem.strategies.linking import linked, paired
from synmem.strategies.meter import SYSTEM
from synmem.strategies.names import speaker

EMPTY_QUESTION: Final = "..."
"""What the user is made to say where Anthropic wants the user to begin and nobody does."""

_DATA_URL = re.compile(r"data:([^;,]+);base64,(.*)", re.DOTALL)


def as_text(context: Context) -> str:
    """`Role: content` lines, what goes on in further lines set in: see `lines`."""
    lines = [prompt_line("system", each.text) for each in context.background]
    lines += [message_line(each) for each in context.messages]
    return "\n".join(lines)


def as_openai(context: Context) -> list[JSONObject]:
    """The `messages` of a Chat Completions request; a role that it does not know is the user.

    Ids and names are as they were said, where OpenAI takes them: see `linked` and `names`.
    """
    background = [{"role": "system", "content": each.text} for each in context.background]
    messages = linked(context.messages, _OPENAI_ID)
    return background + [_openai_message(message) for message in messages]


def _openai_message(message: Message) -> JSONObject:
    role = message.role if message.role in _OPENAI_ROLES else "user"
    data: JSONObject = {"role": role, "content": _openai_parts(message) or message.content}
    if message.tool_calls:
        data["tool_calls"] = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": arguments_text(call)},
            }
            for call in message.tool_calls
        ]
    for key, value in (("tool_call_id", message.tool_call_id), ("name", speaker(message.name))):
        if value is not None:
            data[key] = value
    return data


def _openai_parts(message: Message) -> list[JSONObject]:
    """The parts, without a text that is none."""
    return [
        part
        for part in parts_beside_calls(message)
        if part.get("type") != "text" or isinstance(part.get("text"), str)
    ]


def as_anthropic(context: Context) -> JSONObject:
    """`system` and `messages` of a Messages request.

    System messages go to `system`, wherever they stand, but for their images, which the user shows
    at that place: `system` takes none. Neighbours of one role become one message; one that says
    nothing is left out. A call without a name is one of `unnamed`. See `from_user_on` for how it
    begins, and `linked` for ids.
    """
    context = from_user_on(context)
    system: list[JSONObject] = []
    for each in context.background:
        if not each.text.strip():
            continue
        block: JSONObject = {"type": "text", "text": each.text}
        system.append(block | {"cache_control": {"type": "ephemeral"}} if each.cached else block)
    said = []
    for message in context.messages:
        if message.role not in SYSTEM:
            said.append(message)
            continue
        system += [block for block in _content(message) if block["type"] == "text"]
        if images := [part for part in message.parts or () if part.get("type") == "image_url"]:
            said.append(Message("user", "", parts=images))
    messages = _alternating(linked(said, _ANTHROPIC_ID))
    return {"system": system, "messages": messages} if system else {"messages": messages}


def from_user_on(context: Context) -> Context:
    """What Anthropic takes of it: the first message is the user's.

    An answer in front of that is left out, and its tool calls' results; `decisions` say so. The
    newest message is not: where it is the result of such a call, or nobody asks anything, an empty
    question stands in front.
    """
    messages = context.messages
    pairs = paired(messages)
    start = next((i for i, each in enumerate(messages) if _asks(each)), 0)
    newest = len(messages) - 1
    if newest in pairs:
        start = min(start, pairs[newest][0])
    out = [
        (i < start and each.role not in SYSTEM) or (i in pairs and pairs[i][0] < start)
        for i, each in enumerate(messages)
    ]
    kept = [each for each, left in zip(messages, out, strict=True) if not left]
    decisions = _without(context.decisions, out)
    first = next((each for each in kept if each.role not in SYSTEM and _blocks(each)), None)
    if first is not None and first.role != "assistant":
        decisions = [each for each in decisions if each.place or each.what != QUESTION]
    return replace(context, messages=kept, decisions=decisions)


def _asks(message: Message) -> bool:
    """Whether the user says something in it."""
    return message.role not in ("assistant", "tool", *SYSTEM) and bool(_content(message))


def _without(decisions: Sequence[Decision], out: Sequence[bool]) -> list[Decision]:
    """The decisions, where some of the messages that are in are out after all."""
    left = iter(out)
    return [
        replace(each, taken=False, why=_NOT_FIRST)
        if each.taken and each.place and next(left, False)
        else each
        for each in decisions
    ]


_OPENAI_ROLES: Final = (*SYSTEM, "user", "assistant", "tool")
_OPENAI_ID: Final = re.compile(r".{1,40}", re.DOTALL)
_ANTHROPIC_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
_NOT_FIRST: Final = "Anthropic takes nothing in front of the user's first message"


def _alternating(messages: list[Message]) -> list[JSONObject]:
    """One message of the user's, one of the assistant's; results stand first, as they must."""
    merged: list[tuple[str, list[JSONObject]]] = []
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _result(message) if message.role == "tool" else _blocks(message)
        if blocks and merged and merged[-1][0] == role:
            merged[-1][1].extend(blocks)
        elif blocks:
            merged.append((role, blocks))
    if not merged or merged[0][0] != "user":
        merged.insert(0, ("user", [{"type": "text", "text": EMPTY_QUESTION}]))
    last = merged[-1][1][-1]
    if merged[-1][0] == "assistant" and last["type"] == "text":
        last["text"] = last["text"].rstrip()  # refused otherwise: it would be gone on from
    return [{"role": role, "content": _simplest(blocks)} for role, blocks in merged]


def _simplest(blocks: list[JSONObject]) -> Any:
    if not blocks:
        return ""  # a tool that gave nothing
    plain = len(blocks) == 1 and blocks[0]["type"] == "text"
    return blocks[0]["text"] if plain else blocks


def _result(message: Message) -> list[JSONObject]:
    content = _simplest(_content(message))
    return [{"type": "tool_result", "tool_use_id": message.tool_call_id, "content": content}]


def _blocks(message: Message) -> list[JSONObject]:
    return _content(message) + [
        {
            "type": "tool_use",
            "id": call.get("id"),
            "name": call.get("name"),
            "input": _arguments_object(call),
        }
        for call in message.tool_calls or ()
    ]


def _content(message: Message) -> list[JSONObject]:
    """Blocks of text and images; one without text would be refused, and is left out."""
    if not message.parts:
        return [{"type": "text", "text": message.content}] if message.content.strip() else []
    return [block for block in map(_part, parts_beside_calls(message)) if block is not None]


def _part(part: JSONObject) -> JSONObject | None:
    if part.get("type") == "text":
        text = part.get("text")
        said = isinstance(text, str) and text.strip()
        return {"type": "text", "text": text} if said else None
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    if part.get("type") == "image_url" and isinstance(url, str):
        data = _DATA_URL.fullmatch(url)
        source = (
            {"type": "base64", "media_type": data[1], "data": data[2]}
            if data
            else {"type": "url", "url": url}
        )
        return {"type": "image", "source": source}
    return {"type": "text", "text": f"[{part.get('type')}]"}  # Anthropic knows no such part


def _arguments_object(call: JSONObject) -> JSONObject:
    arguments = call.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = parse_json(arguments)
        except ValueError:
            return {"arguments": arguments}
    if isinstance(arguments, dict):
        return arguments
    return {} if arguments is None else {"arguments": arguments}
