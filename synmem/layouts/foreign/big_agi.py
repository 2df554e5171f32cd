"""big-AGI's exports: `*.agi.json`, one conversation, or all under `conversations`.

A message is its fragments, and before version 4 its `text`. What stands beside the conversations
(models, and the keys of their services) is not looked at. What has no word of ours lies in
`extra["big_agi"]` under its own key, that of fragments in `blocks`.
"""

from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.named_files import each_conversation, each_ending, each_told
from synmem.layouts.foreign.values import (
    kept,
    list_of,
    object_of,
    objects_of,
    take_number,
    take_text,
    text_of,
    text_or_none,
)
from synmem.layouts.heads import Head, least
from synmem.layouts.shapes import Files, Folder, Told
from synmem.messages import Holds, JSONObject, Message, parse_json

NAME: Final = "big_agi"
TITLE: Final = "big-AGI"

HOLDS: Final = Holds(fields=runs.FIELDS, own=False, extra_of=NAME)


def unfold(files: Files) -> dict[str, Told]:
    """The conversations of a file, by their ids."""
    (data,) = files.data.values()
    value = object_of(parse_json(data), "the export")
    if "conversations" not in value:
        return dict([_conversation(value)])
    listed = list_of(value["conversations"], "its conversations")
    return each_conversation(enumerate(listed), lambda at, each: [_conversation(each)])


def _conversation(said: Any) -> tuple[str, Told]:
    left = object_of(said, "it")
    id_ = text_of(left.pop("id", None), "its id")
    messages = each_told(left.pop("messages", None), _messages)
    title = take_text(left, "userTitle") or take_text(left, "autoTitle")
    return id_, Told(messages=messages, title=title or None, extra={NAME: kept(left)})


# --- a message ------------------------------------------------------------------------------


def _messages(said: Any) -> list[Message]:
    left = object_of(said, "it")
    role = text_of(left.pop("role", None), "its role")
    if left.get("updated") == left.get("created"):
        left.pop("updated", None)
    at = take_number(left, "created")
    fragments = objects_of(left.pop("fragments", None), "its fragments")
    pieces = [_piece(each) for each in fragments]
    if not fragments:
        pieces = [runs.Text(text_of(left.pop("text", None), "its text"))]
    record = kept({"id": left.pop("id", None)})
    return runs.messages_of(pieces, NAME, role=role, created_at=at, record=record, extra=kept(left))


_USUAL: Final = frozenset({"ft", "fId", "part"})
"""What every fragment has."""


def _piece(fragment: JSONObject) -> runs.Piece:
    """What a fragment says; one of a kind that is not known is kept as it is."""
    part = object_of(fragment.get("part"), "the part of a fragment")
    kind = part.get("pt")
    own = kept(fragment)
    left = kept(fragment, _USUAL) | kept(part, {"pt"})
    if kind == "text":
        text = text_of(left.pop("text", None), "its text")
        return runs.Text(text, own if fragment.get("ft") != "content" else left or None)
    if kind == "ma" and part.get("aType") == "reasoning":
        return runs.Reasoning(own)
    if kind == "tool_invocation":
        return _call(left)
    if kind == "tool_response":
        return _result(left)
    if place := _image(part):
        return runs.Image(place, own)
    return runs.File(own) if kind in ("doc", "reference") else runs.Other(own)


def _image(part: JSONObject) -> str | None:
    """Where the bytes of an image are, or by what big-AGI calls them in another store."""
    legacy = part.get("_legacyImageRefPart")
    part = legacy if isinstance(legacy, dict) else part
    found = part.get("dataRef")
    if part.get("pt") != "image_ref" or not isinstance(found, dict):
        return None
    return text_or_none(found.get("url")) or text_or_none(found.get("dblobAssetId"))


def _call(left: JSONObject) -> runs.Piece:
    said = object_of(left.pop("invocation", None), "an invocation")
    id_, kind = take_text(left, "id"), said.pop("type", None)
    if kind == "function_call":
        name, arguments = take_text(said, "name"), runs.arguments_of(said.pop("args", None))
        return runs.Call(id_, name, arguments, {**left, **kept(said)} or None)
    return runs.Call(id_, text_or_none(kind), kept(said), left or None)


def _result(left: JSONObject) -> runs.Piece:
    said = object_of(left.pop("response", None), "a response")
    id_, kind = take_text(left, "id"), said.pop("type", None)
    name = take_text(said, "name") or (None if kind == "function_call" else text_or_none(kind))
    result = said.pop("result", None)
    text = "" if result is None else runs.compact(result)
    if left.get("error") is False:
        del left["error"]
    return runs.Result(id_, name, text, {**left, **kept(said)} or None)


# --- where it lies --------------------------------------------------------------------------


def _misses(head: Head) -> str | None:
    value = head.value
    several = value.get("conversations") if isinstance(value, dict) else None
    return least(_lacks, several if isinstance(several, list) else [value])


def _lacks(said: Any) -> str | None:
    messages = said.get("messages") if isinstance(said, dict) else None
    if not isinstance(messages, list):
        return None
    has_fragments = any(isinstance(each, dict) and "fragments" in each for each in messages)
    if not has_fragments and "systemPurposeId" not in said:
        return None
    return "" if "id" in said else "its conversations have no id"


SHAPES: Final = {
    "file": (Folder(group=each_ending(".json"), misses=_misses, unfold=unfold, holds=HOLDS),)
}
