"""text-generation-webui's chats: a JSON file each, called as the time at which it began.

A row of `internal` is what the user said and the answer to it; `visible` is that as HTML and is not
read. Where the character speaks first, the user has said nothing. The calls of tools and their
results stand before the answer. Other versions of an answer, made again or edited, are branches.
What a model thought stands in its text. Times have no zone and stay in `extra`, as all else that
has no word of ours, under its own key.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from synmem.layouts.foreign import openai_parts, runs
from synmem.layouts.foreign.named_files import each_ending, stem
from synmem.layouts.foreign.trees import Branches, paths, versions
from synmem.layouts.foreign.values import (
    kept,
    list_of,
    object_of,
    objects_of,
    take_text,
    text_of,
    text_or_none,
    told,
)
from synmem.layouts.heads import Head
from synmem.layouts.shapes import Files, Folder, Told
from synmem.messages import Holds, JSONObject, Message, Unreadable, parse_json

NAME: Final = "text_generation_webui"
TITLE: Final = "text-generation-webui"

HOLDS: Final = Holds(
    fields=runs.FIELDS - {"created_at"},
    conversation_fields=frozenset({"extra"}),
    own=False,
    extra_of=NAME,
)

_BEGINS: Final = "<|BEGIN-VISIBLE-CHAT|>"
"""What stands in the place of a question that nobody asked."""

Said = Sequence[Message | Unreadable]


class _Turn(NamedTuple):
    """What one side said: each version, and which of them is shown."""

    versions: list[Said]
    shown: int = 0


def unfold(files: Files) -> dict[str, Told]:
    """The chat of a file."""
    (data,) = files.data.values()
    left = object_of(parse_json(data), "it")
    rows = list_of(left.pop("internal" if "internal" in left else "data", None), "its rows")
    metadata = left.pop("metadata", None)
    known = metadata if isinstance(metadata, dict) else {}
    turns = [turn for number, row in enumerate(rows) for turn in _turns(number, row, known)]
    said = [version for turn in turns for version in turn.versions]
    ways = paths(*versions((len(turn.versions), turn.shown) for turn in turns))
    own = {**_character(files.name), **kept(left, {"visible", "data_visible"})}
    return {
        stem(files.name): Told(
            messages=[m for at in ways.current for m in said[at]],
            extra={NAME: own} if own else None,
            branches=Branches(ways, said.__getitem__),
            leaf=ways.leaf,
        )
    }


def _character(name: str) -> JSONObject:
    """Who the user talked with, by the folder."""
    folders = name.split("/")[:-1]
    return {"character": folders[-1]} if folders[-2:-1] == ["chat"] else {}


def _turns(number: int, row: Any, known: JSONObject) -> Iterator[_Turn]:
    """What both sides said in a row."""
    if not isinstance(row, list) or len(row) != 2:
        yield _Turn([[Unreadable(str(number), f"row {number}: it is no pair")]])
        return
    asked, answer = row
    for role, text in (("user", asked), ("assistant", answer)):
        if role == "user" and text == _BEGINS:
            continue
        about = known.get(f"{role}_{number}")
        yield _turn(number, role, text, about if isinstance(about, dict) else {})


def _turn(number: int, role: str, text: Any, about: JSONObject) -> _Turn:
    left = kept(about)
    others, shown = left.pop("versions", None), left.pop("current_version_index", None)
    named = f"{role} {number}"
    current = told("row", named, _messages, role, text, left)
    if not isinstance(others, list) or len(others) < 2:
        return _Turn([current])
    if type(shown) is not int or not 0 <= shown < len(others):
        contents = [each.get("content") if isinstance(each, dict) else None for each in others]
        shown = contents.index(text) if text in contents else len(others)
    all_ = [told("row", f"{named}.{n}", _version, role, each) for n, each in enumerate(others)]
    all_[shown : shown + 1] = [current]
    return _Turn(all_, shown)


def _version(role: str, version: Any) -> list[Message]:
    left = kept(object_of(version, "its version"), {"visible_content"})
    return _messages(role, left.pop("content", None), left)


def _messages(role: str, text: Any, about: JSONObject) -> list[Message]:
    left = dict(about)
    pieces: list[runs.Piece] = []
    for step in objects_of(left.pop("tool_sequence", None), "its tool_sequence"):
        pieces += _step(step)
    pieces.append(runs.Text(text_of(text, "what it says")))
    for each in objects_of(left.pop("attachments", None), "its attachments"):
        pieces.append(_attached(each))
    return runs.messages_of(pieces, NAME, role=role, extra=left)


def _step(step: JSONObject) -> Iterator[runs.Piece]:
    """What was called, or what a tool gave."""
    left = kept(step)
    role, content = left.pop("role", None), left.pop("content", None)
    if role == "tool":
        id_, name = take_text(left, "tool_call_id"), take_text(left, "name")
        yield runs.Result(id_, name, runs.compact("" if content is None else content), left or None)
        return
    calls = objects_of(left.pop("tool_calls", None), "its tool_calls")
    yield runs.Text(runs.compact("" if content is None else content), left or None)
    yield from map(openai_parts.call, calls)


def _attached(attachment: JSONObject) -> runs.Piece:
    data = text_or_none(attachment.get("image_data"))
    if attachment.get("type") == "image" and data is not None:
        return runs.Image(data, kept(attachment, {"image_data"}))
    return runs.File(attachment)


def _is_pair(row: Any) -> bool:
    return isinstance(row, list) and len(row) == 2


def _misses(head: Head) -> str | None:
    said = head.value
    if not isinstance(said, dict):
        return None
    for rows, shown in (("internal", "visible"), ("data", "data_visible")):
        if isinstance(said.get(rows), list) and next(iter(said)) == rows:
            if said[rows] and not any(map(_is_pair, said[rows])):
                return None
            if shown in said:
                return ""
            # Where it is cut off within its rows, the others come behind.
            cut = not head.whole and [*said] == [rows]
            return "" if cut else f"it has no {shown}" if rows == "internal" else None
    return None


SHAPES: Final = {
    "file": (Folder(group=each_ending(".json"), misses=_misses, unfold=unfold, holds=HOLDS),)
}
