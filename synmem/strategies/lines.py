"""A message as text, as the memory classes print it and as a model is shown it.

In what a model is shown a line that begins at the margin is ours: all that somebody said is behind
`Role: `, or set in. So nothing that is said can pose as what another says.
"""

from typing import Any, Final

from synmem.messages import JSONObject, Message, dump_json, flat_call
from synmem.strategies.names import called

INDENT: Final = "    "
"""What stands in front of each further line of a text in a prompt."""


def role_line(role: str, content: str) -> str:
    """`Role: content`, as the memory classes print it."""
    return f"{role.capitalize()}: {content}"


def prompt_line(role: str, content: str) -> str:
    """`Role: content` with all but the first line of the content set in; no `:` within a role."""
    return role_line(" ".join(role.replace(":", " ").split()), set_in(content))


def set_in(text: str) -> str:
    """The text with all lines but its first set in, whatever ends them."""
    return ("\n" + INDENT).join(text.splitlines())


def message_line(message: Message) -> str:
    """`prompt_line` of a message, and below it a line for each tool call."""
    calls = [
        set_in(f"-> {called(call)}({arguments_text(call)})") for call in message.tool_calls or ()
    ]
    said = prompt_line(message.role, message.content)
    if calls and not message.content:
        return "\n".join([said + calls[0], *calls[1:]])
    return "\n".join([said, *calls])


def arguments_text(call: JSONObject) -> str:
    """The arguments of a tool call, as the JSON text that OpenAI has there."""
    arguments: Any = flat_call(call).get("arguments")
    if isinstance(arguments, str):
        return arguments
    return dump_json({} if arguments is None else arguments).decode()
