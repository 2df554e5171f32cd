"""LibreChat's database: `conversations`, and `messages` that form a tree; and what it exports, a
file for each conversation, in which answers lie within what they answer, or one behind the other.

The current branch leads to the newest leaf; what was answered or asked anew are the others. The
system prompt is the conversation's `promptPrefix` (or `system`), and comes first. `content`, the
parts of an answer, wins over `text`. What has no word of ours lies in `extra["librechat"]` under
its own key: the fields of a document with its first message, what its parts say beside in `blocks`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import structs

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.named_files import each_ending
from synmem.layouts.foreign.trees import LOST, Branches, Node, paths
from synmem.layouts.foreign.values import (
    as_json,
    id_of,
    kept,
    list_of,
    object_of,
    objects_of,
    take_time,
    text_of,
    text_or_none,
    told,
)
from synmem.layouts.heads import Head
from synmem.layouts.shapes import Files, Folder, Gathered, Told
from synmem.messages import Holds, JSONObject, Message, Unreadable, parse_json

NAME: Final = "librechat"
TITLE: Final = "LibreChat"

HOLDS: Final = Holds(fields=runs.FIELDS, own=False, extra_of=NAME)

_ROOT: Final = "00000000-0000-0000-0000-000000000000"
_INTERNAL: Final = frozenset({"_id", "__v", "_meiliIndex", "conversationId"})
"""What the database and the search index keep for themselves, and what is said already."""


def unfold(conversation: str, found: Mapping[str, Sequence[JSONObject]]) -> Told:
    """What the conversation of that id says, from its documents in both collections."""
    about = object_of(next(iter(found.get("conversations", ())), {}), "the conversation")
    documents = sorted(found.get("messages", ()), key=_moment)
    said = [_said(index, document) for index, document in enumerate(documents)]
    ways = paths([_node(document) for document in documents])
    prompts = _prompts(about)
    return Told(
        messages=prompts + [each for index in ways.current for each in said[index]],
        title=text_or_none(about.pop("title", None)),
        extra=_extra(about),
        branches=Branches(ways, said.__getitem__, prompts),
        leaf=ways.leaf,
    )


def _moment(document: Any) -> datetime:
    at = take_time(dict(document), "createdAt", utc=True) if isinstance(document, dict) else None
    return at or datetime.min.replace(tzinfo=UTC)


def _node(document: Any) -> Node:
    if not isinstance(document, dict):
        return Node(LOST, LOST)
    id_, parent = document.get("messageId"), document.get("parentMessageId")
    if parent in (None, "", _ROOT):
        parent = None
    elif not isinstance(parent, str):
        parent = LOST
    return Node(id_ if isinstance(id_, str) else LOST, parent)


def _prompts(about: JSONObject) -> list[Message | Unreadable]:
    """The system prompt, taken from what is known of the conversation."""
    for key in ("promptPrefix", "system"):
        if isinstance(about.get(key), str) and about[key]:
            return [Message("system", about.pop(key))]
    return []


def _extra(about: JSONObject) -> JSONObject | None:
    about.pop("messages", None)  # the ids of some; LibreChat itself does not go by them
    left = kept(about, _INTERNAL)
    return {NAME: left} if left else None


# --- a document -----------------------------------------------------------------------------


def _said(index: int, document: Any) -> Sequence[Message | Unreadable]:
    """The messages of a document, or why it cannot be read."""
    named = document.get("messageId") if isinstance(document, dict) else None
    place = str(index) if named is None else str(as_json(named))
    return told("message", place, _messages, document)


def _messages(document: Any) -> list[Message]:
    left = object_of(document, "the document")
    text_of(left.get("messageId"), "its messageId")
    role = "user" if left.pop("isCreatedByUser", None) is True else "assistant"
    at = take_time(left, "createdAt", utc=True)
    pieces = _pieces(left)
    record = {"messageId": left.pop("messageId")}
    if left.get("text") == "":  # beside parts, which win
        left.pop("text")
    return runs.messages_of(
        pieces, NAME, role=role, created_at=at, record=record, extra=kept(left, _INTERNAL)
    )


def _pieces(left: JSONObject) -> list[runs.Piece]:
    """The parts of a document, which are taken away from it."""
    pieces: list[runs.Piece] = []
    blocks = objects_of(left.pop("content", None), "its content's parts")
    for block in blocks:
        pieces += _of_block(block)
    if not blocks:
        text = left.pop("text", None)
        pieces.append(runs.Text("" if text is None else text_of(text, "its text")))
    files = objects_of(left.pop("files", None), "its files")
    pieces += [_file(each) for each in files]
    return pieces


def _file(file: JSONObject) -> runs.Piece:
    kind, place = file.get("type"), file.get("filepath")
    own = {"type": "file", "file": as_json(file)}
    if isinstance(kind, str) and kind.startswith("image/") and isinstance(place, str):
        return runs.Image(place, own)
    return runs.File(own)


def _of_block(block: JSONObject) -> list[runs.Piece]:
    """A part of `content`; one of a kind that is not known is kept as it is."""
    block = as_json(block)
    kind = block.get("type")
    if kind == "text":
        return [_text(block)]
    if kind == "think":
        return [runs.Reasoning(block)]
    if kind == "tool_call":
        return _call(block)
    if kind == "image_file":
        place = object_of(block.get("image_file"), "its image_file").get("filepath")
        return [runs.Image(place, block) if isinstance(place, str) else runs.File(block)]
    return [runs.Other(block)]


def _text(block: JSONObject) -> runs.Text:
    text = block["text"]
    if isinstance(text, dict):
        return runs.Text(text_of(text.get("value"), "its text's value"), block)
    return runs.Text(text_of(text, "its text"), block if len(block) > 2 else None)


def _call(block: JSONObject) -> list[runs.Piece]:
    """A call, and what the tool answered, where it has."""
    said = object_of(block.get("tool_call"), "its tool_call")
    function = said.pop("function", None)
    if isinstance(function, dict):  # as OpenAI's assistants have it
        said = {**said, **function, "args": function.get("arguments")}
        said.pop("arguments", None)
    id_, name = text_or_none(said.pop("id", None)), text_or_none(said.pop("name", None))
    arguments, output = runs.arguments_of(said.pop("args", None)), said.pop("output", None)
    pieces: list[runs.Piece] = [
        runs.Call(id_, name, arguments, {**block, "tool_call": said} if said else None)
    ]
    if output is not None:
        pieces.append(runs.Result(id_, name, runs.compact(output)))
    return pieces


def _tells(document: JSONObject) -> bool:
    return isinstance(document.get("conversationId"), str) and bool(
        document.keys() & {"endpoint", "endpointType", "user"}
    )


# --- an export ------------------------------------------------------------------------------


def unfold_export(files: Files) -> dict[str, Told]:
    """The conversation of a file."""
    (data,) = files.data.values()
    about = object_of(parse_json(data), "the export")
    id_ = text_of(about.pop("conversationId"), "its conversationId")
    said = about.pop("messages", None) or about.pop("messagesTree", None) or []
    messages, odd = _flat(list_of(said, "its messages"))
    options = about.pop("options", None)
    if isinstance(options, dict):
        for key in ("promptPrefix", "system"):
            about[key] = options.pop(key, None)
        about["options"] = options
    told = unfold(id_, {"conversations": [about], "messages": messages})
    return {id_: structs.replace(told, messages=[*told.messages, *odd]) if odd else told}


def _flat(messages: Sequence[Any]) -> tuple[list[Any], list[Unreadable]]:
    """The messages, and those that lie within as answers: each names what it answers; and whose
    answers cannot be read."""
    found: list[Any] = []
    odd: list[Unreadable] = []
    waiting = [*reversed(messages)]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            each = dict(each)
            answers = each.pop("children", None)
            if isinstance(answers, list):
                parent = {"parentMessageId": each.get("messageId")}
                waiting += [
                    {**one, **parent} if isinstance(one, dict) else one for one in answers[::-1]
                ]
            elif answers is not None:
                id_ = id_of(each, len(found), "messageId")
                odd.append(Unreadable(id_, f"message {id_}: its children are no list"))
        found.append(each)
    return found, odd


def _misses(head: Head) -> str | None:
    value = head.value
    if not isinstance(value, dict) or not {"conversationId", "endpoint"} <= value.keys():
        return None
    if head.whole and value.keys().isdisjoint(("messages", "messagesTree")):
        return "it has no messages"
    return ""


SHAPES: Final = {
    "file": (
        Folder(group=each_ending(".json"), misses=_misses, unfold=unfold_export, holds=HOLDS),
    ),
    "mongo": (
        Gathered(
            collection="conversations",
            database="LibreChat",
            tells=_tells,
            conversation="conversationId",
            beside={"messages": "conversationId"},
            unfold=unfold,
            holds=HOLDS,
        ),
    ),
}
