"""Haystack's messages as `ChatMessage.to_dict` gives them: a list of them is a conversation that is
called as its file; of an object of such lists each is one, called as its key.

A result of a tool is a message of its own. What has no word of ours lies in `extra["haystack"]`:
`meta` under its own key, what a part of the content says beside in `blocks`. Before version 2.9
`content` was a text.
"""

from typing import Any, Final

from msgspec import structs

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.named_files import each_ending, each_list, each_told, stem
from synmem.layouts.foreign.values import kept, object_of, objects_of, take_text, text_of
from synmem.layouts.heads import Head, least
from synmem.layouts.shapes import Files, Folder, Told
from synmem.messages import Holds, JSONObject, Message, parse_json

NAME: Final = "haystack"
TITLE: Final = "Haystack"

HOLDS: Final = Holds(
    fields=runs.FIELDS - {"created_at"}, conversation_fields=frozenset(), own=False, extra_of=NAME
)


def unfold(files: Files) -> dict[str, Told]:
    """The conversations of a file, by their ids."""
    (data,) = files.data.values()
    value = parse_json(data)
    if isinstance(value, dict):
        return each_list(value, _messages)
    return {stem(files.name): Told(messages=each_told(value, _messages))}


def _messages(said: Any) -> list[Message]:
    """What a message says; `name` is that of who says it."""
    left = object_of(said, "the message")
    role, content = text_of(left.pop("role"), "its role"), left.pop("content")
    name = take_text(left, "name")
    blocks = content if not isinstance(content, str) else [{"text": content}]
    pieces = [_piece(each) for each in objects_of(blocks, "its contents")]
    own = {key: value for key, value in kept(left).items() if value != {}}
    found = runs.messages_of(pieces, NAME, role=role, extra=own)
    return [m if name is None or m.name else structs.replace(m, name=name) for m in found]


def _piece(block: JSONObject) -> runs.Piece:
    """A part of the content; one of a kind that is not known is kept as it is."""
    if isinstance(text := block.get("text"), str):
        return runs.Text(text, block if len(block) > 1 else None)
    if isinstance(call := block.get("tool_call"), dict):
        return _call(call)
    if isinstance(result := block.get("tool_call_result"), dict):
        return _result(result)
    if isinstance(image := block.get("image"), dict) and image.get("base64_image"):
        url = f"data:{image.get('mime_type')};base64,{image['base64_image']}"
        own = _own(image, "base64_image", "mime_type", validation=True)
        return runs.Image(url, {"image": own} if own else None)
    if "reasoning" in block:
        return runs.Reasoning(block)
    return runs.File(block) if "file" in block or "image" in block else runs.Other(block)


def _call(call: JSONObject) -> runs.Call:
    left = dict(call)
    id_, name = take_text(left, "id"), take_text(left, "tool_name")
    own = _own(left, "arguments")
    return runs.Call(id_, name, call.get("arguments"), {"tool_call": own} if own else None)


def _result(result: JSONObject) -> runs.Result:
    """What a tool answered, to the call that is its origin; a list of contents as its texts."""
    said, origin = result.get("result"), object_of(result.get("origin"), "the origin of a result")
    id_, name = take_text(origin, "id"), take_text(origin, "tool_name")
    own = _own(result, "result", "origin", error=False)
    if isinstance(said, list):
        own["result"] = said
        texts = [each.get("text") for each in objects_of(said, "the result")]
        said = "\n".join(text for text in texts if isinstance(text, str))
    block = {"tool_call_result": own} if own else None
    return runs.Result(id_, name, runs.compact(said), block)


def _own(said: JSONObject, *known: str, **usual: Any) -> JSONObject:
    """What it says beside what is known and what it says of itself where nobody says anything."""
    return {
        key: value
        for key, value in kept(said, known).items()
        if value != {} and usual.get(key, _NOTHING) != value
    }


_NOTHING: Final = object()


def _misses(head: Head) -> str | None:
    value = head.value
    lists = [*value.values()] if isinstance(value, dict) else [value]
    found = [least(lambda each: _lacks(each, whole=head.whole), said) for said in lists]
    fit = [why for why in found if why is not None]
    # Behind another value, one of two is a field of something else.
    if not fit or (found[0] is None and len(fit) <= len(lists) // 2):
        return None
    return min(fit)


def _lacks(said: Any, *, whole: bool) -> str | None:
    if not isinstance(said, dict) or not {"role", "meta"} <= said.keys():
        return None
    return "" if "content" in said or not whole else "its messages have no content"


SHAPES: Final = {
    "file": (Folder(group=each_ending(".json"), misses=_misses, unfold=unfold, holds=HOLDS),)
}
