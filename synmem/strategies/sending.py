"""A Context in the forms that models and people take: OpenAI, Anthropic, text."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from synmem.messages import JSONObject, Message, parse_json
from synmem.strategies.context import Context, Decision
from synmem.strategies.lines import arguments_text, message_line, role_line
from synmem.strategies.linking import linked

_DATA_URL = re.compile(r"data:([^;,]+);base64,(.*)", re.DOTALL)


def as_text(context: Context) -> str:
    """`Role: content` lines."""
    lines = [role_line("system", each.text) for each in context.background]
    lines += [message_line(each) for each in context.messages]
    return "\n".join(lines)


def as_openai(context: Context) -> list[JSONObject]:
    """The `messages` of a Chat Completions request; a role that it does not know is the user."""
    background = [{"role": "system", "content": each.text} for each in context.background]
    return background + [_openai_message(message) for message in linked(context.messages)]


def _openai_message(message: Message) -> JSONObject:
    role = message.role if message.role in _OPENAI_ROLES else "user"
    data: JSONObject = {"role": role, "content": message.parts or message.content}
    if message.tool_calls:
        data["tool_calls"] = [
            {
                "id": call.get("id"),
                "type": "function",
                "function": {"name": call.get("name"), "arguments": arguments_text(call)},
            }
            for call in message.tool_calls
        ]
    for key in ("tool_call_id", "name"):
        if getattr(message, key) is not None:
            data[key] = getattr(message, key)
    return data


def as_anthropic(context: Context) -> JSONObject:
    """`system` and `messages` of a Messages request.

    System messages go to `system`, wherever they stand; neighbours of one role become one
    message; one that says nothing is left out. See `from_user_on` for how it begins.
    """
    context = from_user_on(context)
    system: list[JSONObject] = []
    for each in context.background:
        block: JSONObject = {"type": "text", "text": each.text}
        system.append(block | {"cache_control": {"type": "ephemeral"}} if each.cached else block)
    said = []
    for message in context.messages:
        if message.role in _SYSTEM:
            system += _blocks(message)
        else:
            said.append(message)
    messages = _alternating(linked(said))
    return {"system": system, "messages": messages} if system else {"messages": messages}


def from_user_on(context: Context) -> Context:
    """What Anthropic takes of it: the first message is the user's.

    An answer in front of that is left out, and its tool calls' results; `decisions` say so.
    """
    messages = context.messages
    users = (i for i, each in enumerate(messages) if each.role not in ("assistant", "tool"))
    spoken = (i for i in users if messages[i].role not in _SYSTEM)
    start = next(spoken, 0)
    gone = {call.get("id") for each in messages[:start] for call in each.tool_calls or ()} - {None}
    out = [
        (i < start and each.role not in _SYSTEM)
        or (each.role == "tool" and each.tool_call_id in gone)
        for i, each in enumerate(messages)
    ]
    if not any(out):
        return context
    kept = [each for each, left in zip(messages, out, strict=True) if not left]
    return replace(context, messages=kept, decisions=_without(context.decisions, out))


def _without(decisions: Sequence[Decision], out: Sequence[bool]) -> list[Decision]:
    """The decisions, where some of the messages that are in are out after all."""
    left = iter(out)
    return [
        replace(each, taken=False, why=_NOT_FIRST)
        if each.taken and each.place and next(left, False)
        else each
        for each in decisions
    ]


_SYSTEM: Final = ("system", "developer")
_OPENAI_ROLES: Final = (*_SYSTEM, "user", "assistant", "tool")
_NOT_FIRST: Final = "Anthropic takes nothing in front of the user's first message"
_EMPTY_QUESTION: Final = {"type": "text", "text": "..."}


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
        merged.insert(0, ("user", [dict(_EMPTY_QUESTION)]))
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
    return [block for block in map(_part, message.parts) if block is not None]


def _part(part: JSONObject) -> JSONObject | None:
    if part.get("type") == "text":
        text = str(part.get("text", ""))
        return {"type": "text", "text": text} if text.strip() else None
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
