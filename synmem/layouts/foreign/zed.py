"""Zed's `threads`: in each row a whole thread as JSON, perhaps packed with zstd.

Of version 0.3 an element of `messages` is the user's or the agent's, whose `content` has text,
thinking, mentions, images and calls; their results are beside it, by the id of the call. Before
that, a message has `segments`, `tool_uses` and `tool_results`. Messages have no times. What has no
word of ours lies in `extra["zed"]` under its own key, that of a part in `blocks`; a sub-agent's
thread has its `parent_id`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.sql import columns, lowered
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
from synmem.layouts.shapes import MALFORMED, Plan, Record, Sketch, Told, Whole
from synmem.layouts.zstd import unpacked
from synmem.messages import Holds, JSONObject, Message, Unreadable, parse_json

NAME: Final = "zed"
TITLE: Final = "Zed"

HOLDS: Final = Holds(
    fields=runs.FIELDS - {"created_at"},
    conversation_fields=frozenset({"title", "extra"}),
    own=False,
    extra_of=NAME,
)

_ABOUT: Final = (
    "updated_at", "created_at", "parent_id", "folder_paths", "folder_paths_order",
)  # fmt: skip
"""Columns that say something of a thread; older versions lack some."""


def _plan(sketch: Sketch) -> Plan:
    there = lowered(sketch)["threads"]
    names = columns(there, ["summary", "data_type", "data", *_ABOUT], "t")
    return Plan(
        listing="SELECT id FROM threads",
        queries={"threads": f"SELECT t.id, {names} FROM threads AS t WHERE t.id IN {{ids}}"},
    )


def unfold(conversation: str, found: Mapping[str, Sequence[Record]]) -> Told:
    """What the thread of that id says."""
    ((summary, kind, data, *values), *_) = found["threads"]
    about = dict(zip(_ABOUT, values, strict=True))
    messages: list[Message | Unreadable] = []
    title: str | None = None
    try:
        thread = _thread(kind, data)
        for number, each in enumerate(list_of(thread.pop("messages", None), "its messages")):
            messages += told("message", number, _messages, each)
        title = take_text(thread, "title") or take_text(thread, "summary")
        about = {**thread, **{key: item for key, item in about.items() if item is not None}}
    except MALFORMED as error:
        messages = [Unreadable(conversation, f"thread {conversation}: {error}")]
    left = kept(about)
    return Told(
        messages=messages,
        title=text_or_none(summary) or title or None,
        extra={NAME: left} if left else None,
    )


def _thread(kind: Any, data: Any) -> JSONObject:
    if kind not in ("json", "zstd"):
        raise ValueError(f"its data_type is {kind!r}")
    if kind == "zstd":
        if not isinstance(data, bytes):
            raise ValueError("its data are no bytes")
        data = unpacked(data)
    try:
        said = parse_json(data if isinstance(data, bytes) else text_of(data, "its data"))
    except ValueError as error:
        raise ValueError(f"its data are not JSON: {error}") from error
    return object_of(said, "its data")


def _messages(each: Any) -> list[Message]:
    """What an element says: nothing, where it is none of the two ("Resume")."""
    if isinstance(each, dict):
        if "role" in each:
            return _earlier(dict(each))
        for kind, role in (("User", "user"), ("Agent", "assistant")):
            if kind in each:
                return _of_version_3(object_of(each[kind], "it"), role)
        return []
    text_of(each, "it")
    return []


# --- version 0.3 ----------------------------------------------------------------------------


def _of_version_3(left: JSONObject, role: str) -> list[Message]:
    pieces = [_piece(part) for part in list_of(left.pop("content", None), "its parts")]
    results = left.pop("tool_results", None)
    for id_, result in object_of({} if results is None else results, "its tool_results").items():
        pieces.append(_result(id_, object_of(result, "a result"), "tool_name"))
    return _told(left, role, pieces)


def _piece(part: Any) -> runs.Piece:
    """What a part says, `{"Kind": value}`; one of a kind that is not known is kept as it is."""
    if not isinstance(part, dict):
        return runs.Other({"type": text_of(part, "a part")})
    kind, value = next(iter(part.items()), (None, None))
    if kind == "Text":
        return runs.Text(text_of(value, "its text"))
    if kind in ("Thinking", "RedactedThinking"):
        return runs.Reasoning(part)
    if kind == "Mention":
        return runs.File(part)
    if kind == "Image":
        return _image(object_of(value, "its image"))
    if kind == "ToolUse":
        return _call(object_of(value, "its call"))
    return runs.Other(part)


def _image(image: JSONObject) -> runs.Piece:
    source, own = take_text(image, "source"), kept(image)
    block = {"Image": own} if own else None
    return runs.File({"Image": own}) if source is None else runs.Image(_url(source), block)


def _url(source: str) -> str:
    return source if source.startswith("data:") else f"data:image/png;base64,{source}"


def _call(call: JSONObject) -> runs.Piece:
    id_, name = take_text(call, "id"), take_text(call, "name")
    given, raw = call.pop("input", None), call.pop("raw_input", None)
    if given is None or runs.arguments_of(raw) not in (given, None):
        call["raw_input"] = raw  # the model's own words, where they say something else
    own = kept(call)
    return runs.Call(id_, name, given, {"ToolUse": own} if own else None)


def _result(id_: str | None, left: JSONObject, name: str) -> runs.Piece:
    called = take_text(left, name)
    content = left.pop("content", None)
    parts = content if isinstance(content, list) else [content]
    texts = [text for part in parts if (text := _text(part)) is not None]
    if len(texts) < len(parts) and content is not None:
        left["content"] = content
    left.pop("tool_use_id", None)
    own = kept(left)
    return runs.Result(id_, called, "\n".join(texts), {"result": own} if own else None)


def _text(part: Any) -> str | None:
    """A text, of any version; None for what is none."""
    if isinstance(part, dict):
        part = part.get("Text", part.get("text"))
    return text_or_none(part)


# --- before that ----------------------------------------------------------------------------


def _earlier(left: JSONObject) -> list[Message]:
    role = text_of(left.pop("role", None), "its role")
    if "segments" in left:
        pieces = [_segment(dict(each)) for each in objects_of(left.pop("segments"), "its segments")]
    else:
        pieces = [runs.Text(text_of(left.pop("text", None), "its text"))]
    uses = objects_of(left.pop("tool_uses", None), "its tool_uses")
    results = objects_of(left.pop("tool_results", None), "its tool_results")
    if role == "user" and results and all(_is_empty(each) for each in pieces):
        pieces = []  # it brings results alone
    pieces += [_call(dict(each)) for each in uses]
    pieces += [
        _result(text_or_none(each.get("tool_use_id")), dict(each), "name") for each in results
    ]
    return _told(left, role, pieces)


def _segment(segment: JSONObject) -> runs.Piece:
    kind = text_of(segment.get("type"), "a segment's type")
    if kind != "text":
        return runs.Reasoning(segment) if "thinking" in kind else runs.Other(segment)
    return runs.Text(text_of(segment.pop("text", None), "its text"))


def _is_empty(piece: runs.Piece) -> bool:
    return isinstance(piece, runs.Text) and not piece.text


def _told(left: JSONObject, role: str, pieces: Sequence[runs.Piece]) -> list[Message]:
    extra = {key: item for key, item in kept(left).items() if item not in ("", [], {})}
    id_ = extra.pop("id", None)
    return runs.messages_of(pieces, NAME, role=role, record=kept({"id": id_}), extra=extra)


SHAPES: Final = {
    "sqlite": (
        Whole(
            tables={"threads": frozenset({"id", "summary", "updated_at", "data_type", "data"})},
            plan=_plan,
            unfold=unfold,
            holds=HOLDS,
        ),
    )
}
