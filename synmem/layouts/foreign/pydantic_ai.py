"""Pydantic AI's messages as `ModelMessagesTypeAdapter` dumps them: a JSON array of requests and
responses is a conversation that is called as its file.

Each part of a request is a message of its own: the system's, the user's, a tool's. A response is
an answer of many parts. What has no word of ours lies in `extra["pydantic_ai"]`: of the request or
response, beside the first message that it is; of a part in `blocks`.
"""

import re
from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.named_files import each_ending, each_told, stem
from synmem.layouts.foreign.values import (
    kept,
    object_of,
    objects_of,
    take_text,
    take_time,
    text_of,
    text_or_none,
)
from synmem.layouts.heads import Head, least
from synmem.layouts.shapes import Files, Folder, Told
from synmem.messages import Holds, JSONObject, Message, parse_json

NAME: Final = "pydantic_ai"
TITLE: Final = "Pydantic AI"

HOLDS: Final = Holds(fields=runs.FIELDS, conversation_fields=frozenset(), own=False, extra_of=NAME)


def unfold(files: Files) -> dict[str, Told]:
    """The conversation of a file."""
    (data,) = files.data.values()
    return {stem(files.name): Told(messages=each_told(parse_json(data), _messages))}


def _messages(said: Any) -> list[Message]:
    left = object_of(said, "it")
    kind = text_of(left.pop("kind"), "its kind")
    parts = objects_of(left.pop("parts"), "its parts")
    if kind not in _KINDS:
        raise ValueError(f"it is neither a request nor a response, but {kind!r}")
    if left.get("state") == "complete":
        del left["state"]
    if kind == "request":
        return _request(parts, left)
    usage = left.pop("usage", None)
    spent = {k: v for k, v in usage.items() if v} if isinstance(usage, dict) else usage
    at = take_time(left, "timestamp", utc=False)
    own = kept(left) | ({"usage": spent} if spent else {})
    return runs.messages_of(map(_answered, parts), NAME, created_at=at, extra=own)


_KINDS: Final = ("request", "response")


# --- requests -------------------------------------------------------------------------------


def _request(parts: list[JSONObject], left: JSONObject) -> list[Message]:
    """A message for each part; what the request says is beside the first."""
    own = kept(left)
    unlisted = [kept(part) for part in parts if part.get("part_kind") not in _ASKED]
    if unlisted:
        own["parts"] = unlisted
    found: list[Message] = []
    for part in parts:
        if part.get("part_kind") in _ASKED:
            found += _asked(part, own if not found else {})
    return found


def _asked(part: JSONObject, own: JSONObject) -> list[Message]:
    left = dict(part)
    kind, at = left.pop("part_kind"), take_time(left, "timestamp", utc=False)
    role = _ASKED[kind]
    if role == "tool" and (kind == "tool-return" or part.get("tool_name")):
        pieces: list[runs.Piece] = [_result(left)]
    elif kind == "speech":
        pieces = [_speech(left)]
    else:
        role = "user" if role == "tool" else role
        content = left.pop("content", None)
        pieces = [_content(each) for each in (content if isinstance(content, list) else [content])]
    rest = kept(left) if role != "tool" and kind != "speech" else {}
    return runs.messages_of(pieces, NAME, role=role, created_at=at, extra=own | rest)


_ASKED: Final = {
    "system-prompt": "system", "user-prompt": "user", "tool-return": "tool",
    "retry-prompt": "tool", "retry-feedback": "user", "speech": "user",
}  # fmt: skip
"""The parts of a request that are listed, and who says them; to try again is said by a tool where a
call of one failed."""


def _content(said: Any) -> runs.Piece:
    """What a user says: text, or something of another kind; errors are listed as JSON."""
    if isinstance(said, str):
        return runs.Text(said)
    left = object_of(said, "its content")
    kind = left.get("kind")
    if kind in ("text-content", "structured-content") and isinstance(said.get("content"), str):
        del left["content"]
        return runs.Text(said["content"], kept(left))
    if kind is None:
        return runs.Text(runs.compact(said))
    return runs.Aside(kept(left)) if kind == "cache-point" else _file(left)


def _file(left: JSONObject) -> runs.Piece:
    """An image, by its URL or its bytes, or a file of another kind."""
    media = left.get("media_type")
    if left.get("kind") == "image-url" and (url := take_text(left, "url")) is not None:
        return runs.Image(url, kept(left))
    is_image = isinstance(media, str) and media.startswith("image/")
    if is_image and (data := take_text(left, "data")) is not None:
        standard = data.replace("-", "+").replace("_", "/")
        return runs.Image(f"data:{media};base64,{standard}", kept(left))
    return runs.File(kept(left))


def _result(left: JSONObject) -> runs.Result:
    """What a tool answered; what is no text as JSON."""
    id_, name = take_text(left, "tool_call_id"), take_text(left, "tool_name")
    said = left.pop("content", None)
    left.pop("part_kind", None)
    if left.get("outcome") == "success":
        del left["outcome"]
    return runs.Result(id_, name, "" if said is None else runs.compact(said), kept(left) or None)


def _speech(left: JSONObject) -> runs.Piece:
    text = take_text(left, "transcript")
    return runs.File(kept(left)) if text is None else runs.Text(text, kept(left))


# --- responses ------------------------------------------------------------------------------


def _answered(part: JSONObject) -> runs.Piece:
    left = dict(part)
    kind = left.pop("part_kind", None)
    if kind == "text":
        text = text_of(left.pop("content", None), "the text of a part")
        return runs.Text(text, kept(left) or None)
    if kind in ("tool-call", "builtin-tool-call"):
        id_, name = take_text(left, "tool_call_id"), take_text(left, "tool_name")
        arguments = runs.arguments_of(left.pop("args", None))
        return runs.Call(id_, name, {} if arguments is None else arguments, kept(left) or None)
    if kind == "builtin-tool-return":
        return _result(part | {"part_kind": None})
    if kind == "thinking":
        return runs.Reasoning(kept(part))
    if kind == "file" and isinstance(part.get("content"), dict):
        return _file(dict(part["content"]))
    return _speech(left) if kind == "speech" else runs.Other(kept(part))


# --- whose files they are -------------------------------------------------------------------

_CUT: Final = re.compile(rb'\s*\[\s*\{\s*"parts"\s*:\s*\[\s*\{\s*"(?:content|tool_name)"')
"""How it begins, where the first part is so long that its kind is not seen."""


def _misses(head: Head) -> str | None:
    first = head.element
    if not head.whole and _has_parts(first) and "kind" not in first and _CUT.match(head.data):
        return ""
    return least(_lacks, head.value)


def _lacks(said: Any) -> str | None:
    return "" if _has_parts(said) and text_or_none(said.get("kind")) in _KINDS else None


def _has_parts(said: Any) -> bool:
    return isinstance(said, dict) and isinstance(said.get("parts"), list)


SHAPES: Final = {
    "file": (Folder(group=each_ending(".json"), misses=_misses, unfold=unfold, holds=HOLDS),)
}
