"""HuggingChat's database (chat-ui): a document of `conversations` holds all its messages.

They form a tree by their `ancestors`; the current branch leads to the last one. Without a
`rootMessageId`, as before 2024, they are a plain list. The root is the system prompt; one without
text is none. Calls and results are `updates` of the answer, of which the final text is `content`;
`stream` updates only repeat it, cut. What has no word of ours lies in `extra["chat_ui"]` under its
own key: the fields of a message with the first one that it is told as, what its parts say beside
in `blocks`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.trees import LOST, Branches, Node, listed, paths
from synmem.layouts.foreign.values import (
    as_json,
    kept,
    list_of,
    object_of,
    objects_of,
    take_time,
    text_of,
    text_or_none,
    told,
)
from synmem.layouts.shapes import Gathered, Told
from synmem.messages import Holds, JSONObject, Message, Unreadable

NAME: Final = "chat_ui"
TITLE: Final = "chat-ui (HuggingChat)"

HOLDS: Final = Holds(fields=runs.FIELDS, own=False, extra_of=NAME)


def unfold(conversation: str, found: Mapping[str, Sequence[JSONObject]]) -> Told:
    """What the conversation of that id says, from its document."""
    about = object_of(next(iter(found.get("conversations", ())), {}), "the conversation")
    documents = list_of(about.pop("messages", None) or [], "its messages")
    said = [_said(index, document) for index, document in enumerate(documents)]
    title = text_or_none(about.pop("title", None))
    nodes = [_node(document) for document in documents]
    plain = about.pop("rootMessageId", None) is None
    ways = listed(nodes) if plain else paths(nodes, len(nodes) - 1)
    left = kept(about, {"_id"})
    return Told(
        messages=[each for index in ways.current for each in said[index]],
        title=title,
        extra={NAME: left} if left else None,
        branches=Branches(ways, said.__getitem__),
        leaf=ways.leaf,
    )


def _node(document: Any) -> Node:
    if not isinstance(document, dict):
        return Node(LOST, LOST)
    id_, ancestors = document.get("id"), document.get("ancestors")
    parent: str | None = LOST
    if ancestors is None or ancestors == []:
        parent = None
    elif isinstance(ancestors, list) and isinstance(ancestors[-1], str):
        parent = ancestors[-1]
    return Node(id_ if isinstance(id_, str) else LOST, parent)


# --- a message ------------------------------------------------------------------------------


def _said(index: int, document: Any) -> Sequence[Message | Unreadable]:
    """The messages that one of theirs is told as, or why it cannot be read."""
    named = document.get("id") if isinstance(document, dict) else None
    place = str(index) if named is None else str(as_json(named))
    return told("message", place, _messages, document)


def _messages(document: Any) -> list[Message]:
    left = object_of(document, "the message")
    role = text_of(left.pop("from", None), "its from")
    content = text_of(left.pop("content", None), "its content")
    if role == "system" and not content:
        return []
    at = take_time(left, "createdAt", utc=True)
    record = {"id": left.pop("id")} if left.get("id") is not None else {}
    pieces = [*_steps(left)]
    reasoning = left.pop("reasoning", None)
    if reasoning:
        pieces.append(runs.Reasoning({"type": "reasoning", "reasoning": as_json(reasoning)}))
    if content or not any(isinstance(each, runs.Call) for each in pieces):
        pieces.append(runs.Text(content))
    pieces += [_file(each) for each in objects_of(left.pop("files", None), "its files")]
    return runs.messages_of(
        pieces, NAME, role=role, created_at=at, record=as_json(record),
        extra=kept(left, {"children", "ancestors"}),
    )  # fmt: skip


def _file(file: JSONObject) -> runs.Piece:
    """An image lies in the document, or in GridFS under its hash."""
    mime, value = file.get("mime"), file.get("value")
    if not (isinstance(mime, str) and mime.startswith("image/") and isinstance(value, str)):
        return runs.File({"type": "file", "file": as_json(file)})
    if file.get("type") != "base64":
        return runs.Image(value, {"type": "file", "file": as_json(file)})
    rest = {key: item for key, item in file.items() if key != "value"}
    return runs.Image(f"data:{mime};base64,{value}", {"type": "file", "file": as_json(rest)})


def _steps(left: JSONObject) -> list[runs.Piece]:
    """What was called and answered before the final text; other updates are left, but for those
    that only repeat the text."""
    pieces: list[runs.Piece] = []
    others, names = [], dict[Any, tuple[str | None, str | None]]()
    for update in objects_of(left.pop("updates", None), "its updates"):
        update = as_json(update)
        kind = update.get("subtype") if update.get("type") == "tool" else None
        if kind == "call":
            pieces += _call(update, names)
        elif kind in ("result", "error"):
            pieces.append(_result(update, names))
        elif update.get("type") not in ("stream", "finalAnswer"):
            others.append(update)
    if others:
        left["updates"] = others
    return pieces


def _call(update: JSONObject, names: dict[Any, tuple[str | None, str | None]]) -> list[runs.Piece]:
    call = object_of(update.pop("call", None), "the call of an update")
    id_ = text_or_none(update.pop("originalId", None)) or text_or_none(update.get("uuid"))
    name = text_or_none(call.pop("name", None))
    names[text_or_none(update.get("uuid"))] = id_, name
    pieces: list[runs.Piece] = []
    if reasoning := update.pop("reasoning", None):
        pieces.append(runs.Reasoning({"type": "reasoning", "reasoning": reasoning}))
    if isinstance(update.get("content"), str) and update["content"]:
        pieces.append(runs.Text(update.pop("content")))
    arguments = call.pop("parameters", None)
    if runs.arguments_of(update.get("argumentsRaw")) == arguments:
        update.pop("argumentsRaw")
    own = {**update, "call": call} if call else update
    return [*pieces, runs.Call(id_, name, arguments, own)]


def _result(update: JSONObject, names: Mapping[Any, tuple[str | None, str | None]]) -> runs.Piece:
    id_, name = names.get(text_or_none(update.get("uuid")), (None, None))
    result = update.get("result")
    if not isinstance(result, dict):
        return runs.Result(id_, name, text_or_none(update.get("message")) or "", update)
    outputs = objects_of(result.get("outputs"), "the outputs of a result")
    texts = [each["text"] for each in outputs if isinstance(each.get("text"), str)]
    rest = {key: item for key, item in result.items() if key not in ("call", "outputs")}
    if any(each.keys() != {"text"} for each in outputs):
        rest["outputs"] = outputs
    return runs.Result(id_, name, "\n".join(texts), {**update, "result": rest})


def _tells(document: JSONObject) -> bool:
    messages = document.get("messages")
    return (
        "conversationId" not in document
        and isinstance(messages, list)
        and all(isinstance(each, dict) and "from" in each for each in messages)
        and bool(messages or document.keys() & {"rootMessageId", "title", "userId"})
    )


SHAPES: Final = {
    "mongo": (
        Gathered(
            collection="conversations",
            database="chat-ui",
            tells=_tells,
            conversation="_id",
            unfold=unfold,
            holds=HOLDS,
        ),
    )
}
