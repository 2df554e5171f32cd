"""Crush's `sessions` and `messages` in the `.crush/crush.db` of a project, and in the
`.opencode/opencode.db` of the program that it came from.

A row is a message of which `parts` says all: text, reasoning, images, calls, results. Rows come by
`created_at`, which is in seconds, whatever its schema says, and then as they were written. A
command that the user ran is told as it is told to the model. A sub-agent's session is a
conversation of its own; its `parent_session_id` names the one that asked. What has no word of ours
lies in `extra["crush"]` under its own key, that of a part in `blocks`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.tables import about_of, objects, of_owners, told_row
from synmem.layouts.foreign.values import (
    json_of,
    kept,
    object_of,
    objects_of,
    parsed,
    take_number,
    take_text,
    text_of,
)
from synmem.layouts.shapes import Plan, Record, Sketch, Told, Whole
from synmem.messages import Holds, JSONObject, Message

NAME: Final = "crush"
TITLE: Final = "Crush"

HOLDS: Final = Holds(
    fields=runs.FIELDS,
    conversation_fields=frozenset({"title", "extra"}),
    own=False,
    extra_of=NAME,
)


def _plan(sketch: Sketch) -> Plan:
    return of_owners(
        sketch, owners="sessions", records="messages", column="session_id", order=["t.created_at"]
    )


def unfold(conversation: str, found: Mapping[str, Sequence[Record]]) -> Told:
    """What the session of that id says."""
    about, messages = about_of(found.get("sessions", ()), "session", conversation)
    if about is None:
        return Told(messages=[])
    for row in objects(found.get("messages", ())):
        messages += told_row("message", row, _messages)
    title = take_text(about, "title") or None
    about["todos"] = parsed(about.get("todos"))
    left = kept(about, {"id"})
    return Told(messages=messages, title=title, extra={NAME: left} if left else None)


def _messages(left: JSONObject) -> list[Message]:
    role = text_of(left.pop("role", None), "its role")
    at = take_number(left, "created_at")
    parts = objects_of(json_of(left.pop("parts", None), "its parts"), "its parts")
    pieces = [_piece(part) for part in parts]
    if role == "tool" and all(isinstance(each, runs.Aside) for each in pieces):
        return []
    left["is_summary_message"] = left.get("is_summary_message") or None
    return runs.messages_of(
        pieces, NAME, role=role, created_at=at, record={"id": left.pop("id", None)},
        extra=kept(left, {"session_id"}),
    )  # fmt: skip


def _piece(part: JSONObject) -> runs.Piece:
    """What a part says; one of a kind that is not known is kept as it is."""
    kind = text_of(part.get("type"), "a part's type")
    data = object_of(part.get("data"), f"what its {kind} says")
    if kind == "reasoning":
        return runs.Reasoning(part)
    if kind == "text":
        text = text_of(data.pop("text", None), "its text")
        return runs.Text(text, _own(kind, data))
    if kind == "tool_call":
        id_, name = take_text(data, "id"), take_text(data, "name")
        return runs.Call(id_, name, runs.arguments_of(data.pop("input", None)), _own(kind, data))
    if kind == "tool_result":
        id_, name = take_text(data, "tool_call_id"), take_text(data, "name")
        text = text_of(data.pop("content", None), "its result")
        return runs.Result(id_, name, text, _own(kind, data))
    if kind == "shell_command":
        return runs.Text(_shown(data), part)
    if kind in ("image_url", "binary"):
        return _image(kind, data) or runs.File(part)
    return runs.Aside(part) if kind == "finish" else runs.Other(part)


def _own(kind: str, data: JSONObject) -> JSONObject | None:
    return {"type": kind, "data": data} if data else None


def _shown(data: JSONObject) -> str:
    command, output = (text_of(data.get(key), f"its {key}") for key in ("command", "output"))
    return f"$ {command}\n{output}\n(exit code {data.get('exit_code')})"


def _image(kind: str, data: JSONObject) -> runs.Piece | None:
    url: Any = None
    if kind == "image_url":
        url = take_text(data, "url")
    elif kind == "binary" and str(data.get("MIMEType")).startswith("image/"):
        url = take_text(data, "Data")
        url = None if url is None else f"data:{data['MIMEType']};base64,{url}"
    return None if url is None else runs.Image(url, _own(kind, data))


SHAPES: Final = {
    "sqlite": (
        Whole(
            tables={
                "sessions": frozenset({"id", "parent_session_id", "title", "message_count"}),
                "messages": frozenset({"id", "session_id", "role", "parts", "model", "created_at"}),
            },
            plan=_plan,
            unfold=unfold,
            holds=HOLDS,
        ),
    )
}
