"""Continue's sessions: a JSON file each, of its command line and of its extensions.

The result of a call is a tool message, or lies in the state of the call: it is told once. What the
model thought is a message of the role `reasoning`. Messages have no times; that of a session, which
an index of all of them has, is left out, as is what a user typed in the form of the editor. What
has no word of ours lies in `extra["continue_dev"]`, under its own key.
"""

from collections.abc import Collection
from functools import partial
from typing import Any, Final

from synmem.layouts.foreign import openai_parts, runs
from synmem.layouts.foreign.named_files import each_ending, each_told, stem
from synmem.layouts.foreign.values import (
    kept,
    object_of,
    objects_of,
    take_text,
    text_of,
    text_or_none,
)
from synmem.layouts.heads import Head
from synmem.layouts.shapes import Files, Folder, Told
from synmem.messages import Holds, JSONObject, Message, parse_json

NAME: Final = "continue_dev"
TITLE: Final = "Continue"

HOLDS: Final = Holds(
    fields=runs.FIELDS - {"created_at"},
    conversation_fields=frozenset({"title", "extra"}),
    own=False,
    extra_of=NAME,
)


def unfold(files: Files) -> dict[str, Told]:
    """The conversation of a session."""
    (data,) = files.data.values()
    left = object_of(parse_json(data), "it")
    history, title = left.pop("history", None), take_text(left, "title")
    id_ = take_text(left, "sessionId") or stem(files.name)
    told = each_told(history, partial(_messages, _answered(history)))
    return {
        id_: Told(messages=told, title=title, extra={NAME: own} if (own := kept(left)) else None)
    }


def _answered(history: Any) -> set[str]:
    """The calls of which the result is a message."""
    found = set[str | None]()
    for each in history if isinstance(history, list) else ():
        message = each.get("message") if isinstance(each, dict) else None
        if isinstance(message, dict) and message.get("role") == "tool":
            found.add(text_or_none(message.get("toolCallId")))
    return {id_ for id_ in found if id_ is not None}


def _messages(answered: Collection[str], said: Any) -> list[Message]:
    left = object_of(said, "it")
    message = object_of(left.pop("message"), "its message")
    role = text_of(message.pop("role"), "its role")
    left.pop("editorState", None)
    content = message.pop("content", None)
    if role == "tool":
        pieces: list[runs.Piece] = [
            openai_parts.answer(take_text(message, "toolCallId"), None, content)
        ]
    else:
        pieces = [*openai_parts.pieces(content)]
    names = {}
    for call in objects_of(message.pop("toolCalls", None), "its calls"):
        pieces.append(made := openai_parts.call(call))
        names[made.id] = made.name
    states = objects_of(left.pop("toolCallStates", None), "the states of its calls")
    for state in states:
        id_ = text_or_none(state.get("toolCallId"))
        if state.get("output") is not None and id_ not in answered:
            pieces.append(_output(id_, names.get(id_), state["output"]))
    own = {k: v for k, v in {**kept(message), **kept(left)}.items() if v != []}
    if told := [each for each in map(_state, states) if each.keys() - {"toolCallId"}]:
        own["toolCallStates"] = told
    return runs.messages_of(pieces, NAME, role=_ROLES.get(role, role), extra=own)


_ROLES: Final = {"thinking": "reasoning"}


def _output(call: str | None, name: str | None, output: Any) -> runs.Result:
    """What a tool answered, in the state of its call: each with a name and a description."""
    said = objects_of(output, "the output of a call")
    texts = [text for each in said if isinstance(text := each.get("content"), str)]
    plain = len(said) == 1 and said[0].keys() <= {"content", "name", "description"}
    return runs.Result(call, name, "\n".join(texts), None if plain else {"output": said})


def _state(state: JSONObject) -> JSONObject:
    """What the state of a call says that stands nowhere else."""
    left = kept(state, ["toolCall", "parsedArgs", "output"])
    if left.get("status") == "done":
        del left["status"]
    return left


def _misses(head: Head) -> str | None:
    said = head.value
    if not isinstance(said, dict) or not isinstance(said.get("history"), list):
        return None
    if not {"workspaceDirectory", "title"} & said.keys():
        return None
    return "" if "sessionId" in said else "it has no sessionId"


SHAPES: Final = {
    "file": (Folder(group=each_ending(".json"), misses=_misses, unfold=unfold, holds=HOLDS),)
}
