"""A session of opencode, wherever it lies: its own object, its steps, and their parts."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.values import (
    as_json,
    kept,
    object_of,
    objects_of,
    take_number,
    take_text,
    text_of,
    told,
)
from synmem.layouts.lazy import Said
from synmem.layouts.shapes import MALFORMED, Told
from synmem.messages import Holds, JSONObject, Unreadable

NAME: Final = "opencode"

HOLDS: Final = Holds(
    fields=runs.FIELDS,
    conversation_fields=frozenset({"title", "extra"}),
    own=False,
    extra_of=NAME,
)


class Part(NamedTuple):
    """A part of a step, of version 1: what it says, or why that cannot be read."""

    id: Any
    data: JSONObject | ValueError


class Step(NamedTuple):
    """A message as it is stored."""

    id: Any
    data: JSONObject | ValueError
    parts: Sequence[Part] = ()
    """Of version 1, in their order."""
    kind: str | None = None
    """What a message of version 2 is."""


def session(about: JSONObject, steps: Sequence[Step]) -> Told:
    """What a session says, from its own object and its steps, in their order."""
    about = dict(about)
    everything = _told(steps)
    standing = _standing(about.get("revert"), steps)
    messages = _told(standing)
    branches = {}
    if undone := len(everything) - len(messages):
        about["reverted"] = undone
        branches = {str(steps[-1].id): everything}
    title = take_text(about, "title") or None
    left = kept(about, {"id"})
    return Told(
        messages=messages,
        title=title,
        extra={NAME: left} if left else None,
        branches=branches,
        leaf=str(standing[-1].id) if standing else None,
    )


def _standing(revert: Any, steps: Sequence[Step]) -> Sequence[Step]:
    """The steps that were not undone: those before the one that is named; where a part is, also
    this one, with the parts before that."""
    revert = revert if isinstance(revert, dict) else {}
    for at, step in enumerate(steps):
        if step.id == revert.get("messageID"):
            ids, part = [part.id for part in step.parts], revert.get("partID")
            some = step.parts[: ids.index(part) if part in ids else len(ids) if part else 0]
            return [*steps[:at], *([step._replace(parts=some)] if some else [])]
    return steps


def _told(steps: Iterable[Step]) -> list[Said]:
    return [each for step in steps for each in told("message", step.id, _messages, step)]


def _messages(step: Step) -> Sequence[Said]:
    if isinstance(step.data, ValueError):
        raise step.data
    data = dict(step.data)
    time = dict(data["time"]) if isinstance(data.get("time"), dict) else {}
    at = take_number(time, "created")
    data["time"] = time or None
    odd: list[Unreadable] = []
    if step.kind is None:
        role = text_of(data.pop("role", None), "its role")
        pieces, odd = _of_parts(step.parts)
        if odd and not pieces:
            return odd
    elif step.kind in _OF_KIND:
        role = "assistant" if step.kind == "assistant" else "user"
        pieces = _OF_KIND[step.kind](data)
    else:
        return []
    said = runs.messages_of(
        pieces, NAME, role=role, created_at=at, record={"id": as_json(step.id)},
        extra=kept(data, {"id", "sessionID"}),
    )  # fmt: skip
    return [*said, *odd]


# --- version 1: parts -----------------------------------------------------------------------


def _of_parts(parts: Iterable[Part]) -> tuple[list[runs.Piece], list[Unreadable]]:
    """What the parts of a step say, and those that cannot be read: each is a record of its own."""
    pieces: list[runs.Piece] = []
    odd: list[Unreadable] = []
    for id_, data in parts:
        try:
            if isinstance(data, ValueError):
                raise data
            pieces += _of_part({**data, "id": as_json(id_)})
        except MALFORMED as error:
            odd.append(Unreadable(str(id_), f"part {id_}: {error}"))
    return pieces, odd


def _of_part(part: JSONObject) -> list[runs.Piece]:
    kind = text_of(part.get("type"), "its type")
    part = {key: item for key, item in part.items() if key not in ("sessionID", "messageID")}
    if kind in _OF_PROGRAM or (kind == "text" and part.get("synthetic")):
        return [runs.Aside(part)]
    if kind == "text":
        return [runs.Text(text_of(part.pop("text", None), "its text"), part)]
    if kind == "reasoning":
        return [runs.Reasoning(part)]
    if kind == "file":
        return [_file(part, "url")]
    if kind == "tool":
        return _used(part, "callID", "tool")
    return [runs.Other(part)]


_OF_PROGRAM: Final = frozenset({
    "compaction", "patch", "retry", "snapshot", "step-finish", "step-start",
})  # fmt: skip


def _file(file: JSONObject, place: str) -> runs.Piece:
    """A file; an image by its URL, which has its bytes or names a file of the user's."""
    own = {"type": "file", **file}
    mime, url = str(file.get("mime")), file.get(place)
    if not mime.startswith("image/") or not isinstance(url, str):
        return runs.File(own)
    own.pop(place)
    return runs.Image(url, own)


def _used(part: JSONObject, id_: str, name: str) -> list[runs.Piece]:
    """A call, and its result where it has ended. `id_` and `name`: the keys of these."""
    state = object_of(part.pop("state", None) or {}, "its state")
    call, tool = take_text(part, id_), take_text(part, name)
    given, status = runs.arguments_of(state.pop("input", None)), state.get("status")
    result = _result(state) if status in ("completed", "error") else None
    said: list[runs.Piece] = [runs.Call(call, tool, given, {**part, "state": state})]
    if result is not None:
        own = {"status": status} if status == "error" else None
        said.append(runs.Result(call, tool, result, own))
    return said


def _result(state: JSONObject) -> str:
    """What a tool gave, or why it gave nothing; taken away from its state where that is all."""
    if state["status"] == "error":
        error = state.pop("error", None)
        said = error.get("message") if isinstance(error, dict) else None
        if isinstance(error, dict) and (len(error) > 1 or said is None):
            state["error"] = error
        return said if isinstance(said, str) else runs.compact("" if error is None else error)
    if (output := take_text(state, "output")) is not None:
        return output
    content = objects_of(state.get("content"), "its content")
    if all(each.keys() == {"type", "text"} for each in content):
        state.pop("content", None)
    texts = (each.get("text") for each in content if each.get("type") == "text")
    return "\n".join(text_of(text, "its text") for text in texts)


# --- version 2: kinds of messages -----------------------------------------------------------


def _asked(data: JSONObject) -> list[runs.Piece]:
    files = objects_of(data.pop("files", None), "its files")
    text = text_of(data.pop("text", None), "its text")
    return [runs.Text(text), *(_file(each, "uri") for each in files)]


def _answered(data: JSONObject) -> list[runs.Piece]:
    content = objects_of(data.pop("content", None), "its content")
    return [piece for part in content for piece in _of_content(dict(part))]


def _of_content(part: JSONObject) -> list[runs.Piece]:
    kind = text_of(part.get("type"), "a part's type")
    if kind == "text":
        text = text_of(part.pop("text", None), "a part's text")
        return [runs.Text(text, part if len(part) > 1 else None)]
    if kind == "reasoning":
        return [runs.Reasoning(part)]
    if kind == "tool":
        return _used(part, "id", "name")
    return [runs.Other(part)]


def _ran(data: JSONObject) -> list[runs.Piece]:
    """A command that the user ran: told as it is told to the model."""
    command = text_of(data.pop("command", None), "its command")
    output = data.get("output")
    if isinstance(output, dict):
        output = output.get("output")
    else:
        data.pop("output", None)
    shown = f"\n{output}" if isinstance(output, str) and output else ""
    return [runs.Text(f"$ {command}{shown}", {"type": "shell"})]


_OF_KIND: Final = {"user": _asked, "assistant": _answered, "shell": _ran}
"""What is said in a message of that type; the others are of the program, or for the model alone."""
