"""Haystack's messages as `ChatMessage.to_dict` gives them: a list of them is a conversation that is
called as its file; of an object of such lists each is one, called as its key.

A result of a tool is a message of its own. What has no word of ours lies in `extra["haystack"]`:
`meta` under its own key, what a part of the content says beside in `blocks`. Before version 2.9
`content` was a text.
"""

from collections.abc import Sequence
from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.named_files import each_ending, stem
from synmem.layouts.foreign.values import kept, object_of, objects_of, text_of, text_or_none, told
from synmem.layouts.heads import Head
from synmem.layouts.shapes import Files, Folder, Told
from synmem.messages import Holds, JSONObject, Message, Unreadable, parse_json

NAME: Final = "haystack"
TITLE: Final = "Haystack"

HOLDS: Final = Holds(
    fields=runs.FIELDS - {"created_at"}, conversation_fields=frozenset(), own=False, extra_of=NAME
)


def unfold(files: Files) -> dict[str, Told]:
    """The conversations of a file, by their ids."""
    (data,) = files.data.values()
    value = parse_json(data)
    said = value if isinstance(value, dict) else {stem(files.name): value}
    return {id_: Told(messages=_all(messages)) for id_, messages in said.items()}


def _all(messages: Any) -> Sequence[Message | Unreadable]:
    if not isinstance(messages, list):
        return [Unreadable("0", "the conversation is no list of messages")]
    return [m for index, each in enumerate(messages) for m in told("message", index, _one, each)]


def _one(said: Any) -> list[Message]:
    left = object_of(said, "the message")
    role, content = text_of(left.pop("role"), "its role"), left.pop("content")
    name = text_or_none(left.pop("name", None))
    pieces: list[runs.Piece] = [runs.Text(content)] if isinstance(content, str) else []
    pieces += [_piece(each) for each in objects_of(content, "its contents") if not pieces]
    own = {} if name is None else {"name": name}
    return runs.messages_of(
        pieces, NAME, role=role, extra={**own, **{k: v for k, v in kept(left).items() if v != {}}}
    )


def _piece(block: JSONObject) -> runs.Piece:
    """A part of the content; one of a kind that is not known is kept as it is."""
    if isinstance(block.get("text"), str) and len(block) == 1:
        return runs.Text(block["text"])
    if isinstance(call := block.get("tool_call"), dict):
        own = {**block, "tool_call": {k: v for k, v in call.items() if k not in _CALL}}
        name = text_or_none(call.get("tool_name"))
        return runs.Call(text_or_none(call.get("id")), name, call.get("arguments"), own)
    if isinstance(result := block.get("tool_call_result"), dict):
        origin = object_of(result.get("origin"), "the origin of a result")
        own = {**block, "tool_call_result": {**result, "result": None, "origin": None}}
        return runs.Result(
            text_or_none(origin.get("id")),
            text_or_none(origin.get("tool_name")),
            runs.compact(result.get("result")),
            own,
        )
    if isinstance(image := block.get("image"), dict):
        data, kind = image.get("base64_image"), image.get("mime_type")
        return runs.Image(
            f"data:{kind};base64,{data}", {**block, "image": {**image, "base64_image": None}}
        )
    return runs.Reasoning(block) if "reasoning" in block else runs.Other(block)


_CALL: Final = frozenset({"id", "tool_name", "arguments"})


def _misses(head: Head) -> str | None:
    value = head.value
    if isinstance(value, dict) and value:
        value = next(iter(value.values()))
    first = value[0] if isinstance(value, list) and value else None
    if not isinstance(first, dict) or not {"role", "meta"} <= first.keys():
        return None
    return "" if "content" in first else "its messages have no content"


SHAPES: Final = {
    "file": (Folder(group=each_ending(".json"), misses=_misses, unfold=unfold, holds=HOLDS),)
}
