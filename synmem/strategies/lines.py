"""A message as text, as the memory classes print it and as a model is shown it."""

from typing import Any

from synmem.messages import JSONObject, Message, dump_json
from synmem.strategies.names import called


def role_line(role: str, content: str) -> str:
    """`Role: content`, as the memory classes print it."""
    return f"{role.capitalize()}: {content}"


def message_line(message: Message) -> str:
    """`Role: content`, and below it a line for each tool call."""
    calls = [f"-> {called(call)}({arguments_text(call)})" for call in message.tool_calls or ()]
    said = [message.content] if message.content else []
    return role_line(message.role, "\n".join(said + calls))


def arguments_text(call: JSONObject) -> str:
    """The arguments of a tool call, as the JSON text that OpenAI has there."""
    arguments: Any = call.get("arguments")
    if isinstance(arguments, str):
        return arguments
    return dump_json({} if arguments is None else arguments).decode()
