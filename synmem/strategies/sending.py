"""A Context in the forms that models and people take: OpenAI, Anthropic, text."""

import re
from typing import Any

from synmem.messages import JSONObject, Message, parse_json
from synmem.strategies.context import Context
from synmem.strategies.lines import arguments_text, message_line, role_line

_DATA_URL = re.compile(r"data:([^;,]+);base64,(.*)", re.DOTALL)


def as_text(context: Context) -> str:
    """`Role: content` lines."""
    lines = [role_line("system", each.text) for each in context.background]
    lines += [message_line(each) for each in context.messages]
    return "\n".join(lines)


def as_openai(context: Context) -> list[JSONObject]:
    """The `messages` of a Chat Completions request."""
    background = [{"role": "system", "content": each.text} for each in context.background]
    return background + [_openai_message(message) for message in context.messages]


def _openai_message(message: Message) -> JSONObject:
    data: JSONObject = {"role": message.role, "content": message.parts or message.content}
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
    message; the first is the user's: an answer in front of it is left out, or, where no user's
    message follows, gets an empty question.
    """
    system: list[JSONObject] = []
    for each in context.background:
        block: JSONObject = {"type": "text", "text": each.text}
        system.append(block | {"cache_control": {"type": "ephemeral"}} if each.cached else block)
    said = []
    for message in context.messages:
        if message.role in ("system", "developer"):
            system += _blocks(message)
        else:
            said.append(message)
    messages = _alternating(_from_user_on(said))
    return {"system": system, "messages": messages} if system else {"messages": messages}


def _from_user_on(messages: list[Message]) -> list[Message]:
    """From the first message that is the user's on, without results of calls before it."""
    users = (i for i, each in enumerate(messages) if each.role not in ("assistant", "tool"))
    start = next(users, None)
    if start is None:
        return [Message("user", "..."), *messages]
    gone = {call.get("id") for each in messages[:start] for call in each.tool_calls or ()}
    return [each for each in messages[start:] if each.tool_call_id not in gone - {None}]


def _alternating(messages: list[Message]) -> list[JSONObject]:
    merged: list[tuple[str, list[JSONObject]]] = []
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _result(message) if message.role == "tool" else _blocks(message)
        if merged and merged[-1][0] == role:
            merged[-1][1].extend(blocks)
        else:
            merged.append((role, blocks))
    return [{"role": role, "content": _simplest(blocks)} for role, blocks in merged]


def _simplest(blocks: list[JSONObject]) -> Any:
    if not blocks:
        return ""
    plain = len(blocks) == 1 and blocks[0]["type"] == "text"
    return blocks[0]["text"] if plain else blocks


def _result(message: Message) -> list[JSONObject]:
    if message.tool_call_id is None:
        return _blocks(message)
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
