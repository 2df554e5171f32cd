"""Jan's threads: a folder each, with the messages in `messages.jsonl`, and what is known of it in
`thread.json`.

The instructions of its first assistant are the system's message. A message that is there twice
counts as it was written last, where it stood first. A call has its result in it; before, calls lay
in the message's `metadata`. What has no word of ours lies in `extra["jan"]`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from synmem.layouts.foreign import json_lines, runs
from synmem.layouts.foreign.anthropic_blocks import text_in
from synmem.layouts.foreign.named_files import object_beside
from synmem.layouts.foreign.values import (
    kept,
    object_of,
    objects_of,
    take_number,
    text_of,
    text_or_none,
)
from synmem.layouts.heads import Head
from synmem.layouts.shapes import MALFORMED, Files, Folder, Told
from synmem.messages import Holds, JSONObject, Message, Unreadable, parse_json

NAME: Final = "jan"
TITLE: Final = "Jan"

HOLDS: Final = Holds(
    fields=runs.FIELDS, conversation_fields=frozenset({"title", "extra"}), own=False, extra_of=NAME
)

_MESSAGES: Final = "messages.jsonl"
_THREAD: Final = "thread.json"


def group(names: Sequence[str]) -> dict[str, list[str]]:
    """The messages of each thread, and what is known of it."""
    there, groups = {*names}, {}
    for name in names:
        folder, slash, last = name.rpartition("/")
        if last == _MESSAGES:
            beside = folder + slash + _THREAD
            groups[name] = [name, *(each for each in [beside] if each in there)]
    return groups


def _misses(head: Head) -> str | None:
    if head.readable.get("object") != "thread.message":
        return None
    return (
        "" if isinstance(head.readable.get("thread_id"), str) else "its messages have no thread_id"
    )


def unfold(files: Files) -> dict[str, Told]:
    """The conversation of a thread."""
    name = files.name
    folder, slash, _ = name.rpartition("/")
    messages, thread = _all(name, files.data[name])
    damaged: list[Unreadable] = []
    about = dict(object_beside(files, folder + slash + _THREAD, damaged))
    id_ = text_or_none(about.pop("id", None)) or thread or folder.rpartition("/")[2]
    title = text_or_none(about.pop("title", None))
    prompt = [Message("system", text) for text in [_prompt(about)] if text]
    own = kept(about, ["object"])
    return {
        id_ or "thread": Told(
            messages=[*damaged, *prompt, *messages] if messages else [],
            title=title,
            extra={NAME: own} if own else None,
        )
    }


def _prompt(about: JSONObject) -> str | None:
    """What the first assistant was told, taken away from what is known of it."""
    assistants = about.get("assistants")
    if not isinstance(assistants, list) or not assistants or not isinstance(assistants[0], dict):
        return None
    first, *others = assistants
    about["assistants"] = [kept(first, ["instructions"]), *others]
    return text_or_none(first.get("instructions"))


def _all(name: str, data: bytes) -> tuple[list[Message | Unreadable], str | None]:
    """The messages of a thread, each once; and which thread they say that it is."""
    found: dict[object, Sequence[Message | Unreadable]] = {}
    thread = None
    for number, line in json_lines.numbered(data):
        key: object = number
        said: Sequence[Message | Unreadable]
        try:
            left = object_of(parse_json(line), "the message")
            thread = thread or text_or_none(left.get("thread_id"))
            said = _messages(left)
            key = text_or_none(left.get("id")) or number
        except MALFORMED as error:
            said = [json_lines.unreadable(name, number, line, error)]
        found[key] = said
    return [m for said in found.values() for m in said], thread


def _messages(said: JSONObject) -> list[Message]:
    left = kept(said, ["object", "thread_id"])
    role, at = text_of(left.pop("role"), "its role"), take_number(left, "created_at")
    content = left.pop("content", None)
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    pieces = [each for part in objects_of(parts, "its content") for each in _pieces(part)]
    metadata = left.get("metadata")
    if isinstance(metadata, dict):
        pieces += [each for call in _older(metadata) for each in call]
        left["metadata"] = {k: v for k, v in metadata.items() if k != "tool_calls"}
    if left.get("status") == "ready":
        del left["status"]
    own = {key: value for key, value in left.items() if value not in ({}, [])}
    return runs.messages_of(pieces, NAME, role=role, created_at=at, extra=own)


def _pieces(part: JSONObject) -> Iterator[runs.Piece]:
    """What a part of the content says."""
    kind, text = part.get("type"), part.get("text")
    if kind == "reasoning":
        yield runs.Reasoning(part)
    elif kind == "text":
        own = kept(part, ["type", "text"])
        value = text
        if isinstance(text, dict):
            own, value = kept(text, ["value"]) | own, text.get("value")
        shown = {key: each for key, each in own.items() if each != []}
        yield runs.Text(text_of(value, "the text of a part"), shown or None)
    elif kind == "image_url" and isinstance(image := part.get("image_url"), dict):
        own = kept(image, ["url"])
        url = text_of(image.get("url"), "the URL of an image")
        yield runs.Image(url, own if own.keys() - {"detail"} else None)
    elif kind == "tool_call":
        id_, name = text_or_none(part.get("tool_call_id")), text_or_none(part.get("tool_name"))
        own = kept(part, ["type", "tool_call_id", "tool_name", "input", "output"])
        yield runs.Call(id_, name, runs.arguments_of(part.get("input")), own or None)
        if part.get("output") is not None:
            yield runs.Result(id_, name, runs.compact(part["output"]))
    else:
        yield runs.File(part) if kind in ("file", "input_audio") else runs.Other(part)


def _older(metadata: JSONObject) -> Iterator[list[runs.Piece]]:
    """The calls that lie beside a message, and their results."""
    for each in objects_of(metadata.get("tool_calls"), "its calls"):
        tool, response = object_of(each.get("tool"), "its call"), each.get("response")
        function = object_of(tool.get("function", {}), "the function of a call")
        id_, name = text_or_none(tool.get("id")), text_or_none(function.get("name"))
        arguments = runs.arguments_of(function.get("arguments"))
        own = kept(each, ["tool", "response"])
        pieces: list[runs.Piece] = [runs.Call(id_, name, arguments, own or None)]
        if response is not None:
            pieces.append(_response(id_, name, response))
        yield pieces


def _response(id_: str | None, name: str | None, response: Any) -> runs.Result:
    """What a tool answered: a text, or the texts of its content, which then is kept."""
    content = response.get("content") if isinstance(response, dict) else None
    if not isinstance(content, list):
        return runs.Result(id_, name, runs.compact(response))
    return runs.Result(id_, name, text_in(content), {"response": response})


SHAPES: Final = {"file": (Folder(group=group, misses=_misses, unfold=unfold, holds=HOLDS),)}
