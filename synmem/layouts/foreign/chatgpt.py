"""ChatGPT's export: `conversations.json`, or since 2026 `conversations-000.json` and others, in the
ZIP archive as it was downloaded, or unpacked. Each conversation is a tree of messages.

The current branch leads to `current_node`, else to the newest leaf; what was answered or asked anew
are the others. What was hidden from the user is left out, and counted; so is what tells only how
long the model thought. What is sent to a tool is an answer whose `recipient` is that tool. A file
that was shown or uploaded is named by its path beside the export, where it lies there; it stays
there.

In `extra["chatgpt"]` lies what else a message has (`id`, `recipient`, `metadata`, ...), its
`content` where that is not one text, and what the model thought as a block of `blocks`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from synmem.layouts.foreign.trees import LOST, Branches, Node, paths
from synmem.layouts.foreign.values import (
    image,
    kept,
    object_of,
    take_number,
    take_text,
    text_of,
    text_or_none,
    told,
)
from synmem.layouts.heads import Head, least
from synmem.layouts.lazy import Built, Said
from synmem.layouts.shapes import Export, Told, Value
from synmem.messages import Holds, JSONObject, Message

NAME: Final = "chatgpt"
TITLE: Final = "ChatGPT"

HOLDS: Final = Holds(
    fields=frozenset({"role", "content", "created_at", "name", "parts", "extra"}),
    own=False,
    extra_of=NAME,
)

_OF_NODE: Final = frozenset({"id", "message", "parent", "children"})
_TOLD_BY: Final = ("text", "result", "content", "model_set_context", "user_profile")
"""Under which keys a content has its text that is in no parts."""


def unfold(value: Value) -> dict[str, Told]:
    """A conversation, by its id."""
    about = object_of(value.said, "the conversation")
    mapping = object_of(about.pop("mapping", None), "its mapping")
    own = about.pop("id", None)
    id_ = text_of(about.pop("conversation_id", None) or own, "its id")
    tree = _Tree(mapping, value.beside)
    ways = paths(tree.nodes, tree.last(about.get("current_node")))
    title = text_or_none(about.get("title"))
    if title is not None:
        about.pop("title")
    if tree.hidden:
        about["hidden"] = tree.hidden
    left = kept(about)
    return {
        id_: Told(
            messages=Built(ways.current, tree.said),
            title=title or None,
            extra={NAME: left} if left else None,
            branches=Branches(ways, lambda index: (tree.said(index),)),
            leaf=ways.leaf,
        )
    }


# --- the tree -------------------------------------------------------------------------------


class _Tree:
    """The messages of a conversation that are shown, each behind the one before it that is."""

    def __init__(self, mapping: JSONObject, beside: Mapping[str, str]) -> None:
        self._beside = beside
        self._records = mapping
        self.hidden = 0
        """How many messages say something, and were hidden from the user."""
        self._above: dict[str, str | None] = {LOST: LOST}
        """Of a record the nearest one that is shown, from itself on up."""
        for id_, record in mapping.items():
            if _is_shown(record):
                self._above[id_] = id_
            elif record["message"] is not None and _says(record["message"].get("content")):
                self.hidden += _is_flagged(record["message"])
        self._ids = [id_ for id_ in self._above if id_ != LOST]
        self.nodes = [Node(id_, self._shown_above(_parent(mapping[id_]))) for id_ in self._ids]

    def _shown_above(self, id_: str | None) -> str | None:
        if id_ is None or id_ in self._above:
            return None if id_ is None else self._above[id_]
        way: dict[str, None] = {}
        at: str | None = id_
        while at is not None and at not in self._above and at not in way:
            way[at] = None
            at = _parent(self._records[at]) if at in self._records else None
        found = None if at is None or at in way else self._above[at]
        self._above.update(dict.fromkeys(way, found))
        return found

    def last(self, current: Any) -> int | None:
        """The index of the last message of the current branch."""
        places = {id_: index for index, id_ in enumerate(self._ids)}
        if isinstance(current, str) and (shown := self._shown_above(current)) in places:
            return places[shown]
        inner = {node.parent for node in self.nodes}
        leaves = [index for index, id_ in enumerate(self._ids) if id_ not in inner]
        return max(leaves, key=lambda index: (self._moment(index), index), default=None)

    def _moment(self, index: int) -> float:
        record = self._records[self._ids[index]]
        message = record.get("message") if isinstance(record, dict) else None
        at = message.get("create_time") if isinstance(message, dict) else None
        return at if isinstance(at, int | float) else float("-inf")

    def said(self, index: int) -> Said:
        """The message of that index, or why it cannot be read."""
        id_ = self._ids[index]
        (said,) = told("message", id_, _messages, self._records[id_], self._beside)
        return said


def _parent(record: Any) -> str | None:
    """The id of the record before; `LOST` where that cannot be told."""
    if not isinstance(record, dict):
        return LOST
    parent = record.get("parent")
    return parent if parent is None or isinstance(parent, str) else LOST


def _is_shown(record: Any) -> bool:
    """Whether it is a message that the user sees, or may be one: it cannot be read."""
    message = record.get("message") if isinstance(record, dict) else LOST
    if not isinstance(message, dict):
        return message is not None
    content, author = message.get("content"), message.get("author")
    if _is_flagged(message):
        return False
    if isinstance(content, dict) and content.get("content_type") == "reasoning_recap":
        return False
    return not (isinstance(author, dict) and author.get("role") == "system") or _says(content)


def _is_flagged(message: JSONObject) -> bool:
    metadata = message.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get("is_visually_hidden_from_conversation"))


def _says(content: Any) -> bool:
    """Whether it is more than an empty text."""
    if not isinstance(content, dict) or "parts" not in content:
        return bool(content)
    return content["parts"] not in (None, [], [""])


# --- a message ------------------------------------------------------------------------------


def _messages(record: Any, beside: Mapping[str, str]) -> list[Message]:
    node = object_of(record, "it")
    left = object_of(node["message"], "it")
    author = object_of(left.pop("author", None), "its author")
    role, name = text_of(author.pop("role", None), "its role"), take_text(author, "name")
    left["author"], at = _some(author), take_number(left, "create_time")
    content, metadata = left.pop("content", None) or {}, left.get("metadata")
    if _is_text(content) and not (isinstance(metadata, dict) and "attachments" in metadata):
        text, parts = content["parts"][0], None
    else:
        content = object_of(content, "its content")
        text, parts = _said(content, metadata, beside)
        left["content"] = _kept(content)
        if "thoughts" in content:
            left["blocks"] = _thoughts(content["thoughts"])
    if not node.keys() <= _OF_NODE:
        left["node"] = {key: value for key, value in node.items() if key not in _OF_NODE}
    return [Message(role, text, created_at=at, name=name, parts=parts, extra={NAME: _some(left)})]


def _is_text(content: Any) -> bool:
    """Whether it is one text and nothing else, as most contents are."""
    return (
        isinstance(content, dict)
        and len(content) == 2
        and content.get("content_type") == "text"
        and isinstance(parts := content.get("parts"), list)
        and len(parts) == 1
        and isinstance(parts[0], str)
    )


def _some(left: JSONObject) -> JSONObject:
    return {key: value for key, value in left.items() if value or value in (0, "")}


def _said(
    content: JSONObject, metadata: Any, beside: Mapping[str, str]
) -> tuple[str, list[JSONObject] | None]:
    """The text of a content, and its parts where it is more than one text."""
    parts = [*_parts(content, beside)]
    texts = [part["text"] for part in parts if part["type"] == "text"]
    if isinstance(metadata, dict) and "attachments" in metadata:
        parts += _attached(metadata["attachments"], parts, beside)
    return "\n".join(texts), parts if len(parts) > 1 or len(parts) > len(texts) else None


def _parts(content: JSONObject, beside: Mapping[str, str]) -> Iterator[JSONObject]:
    """The parts of a content, as they are told; a text that is in none is one."""
    parts = content.get("parts")
    if isinstance(parts, list):
        for part in parts:
            yield from _told_parts(part, beside)
    elif key := _told_by(content):
        yield {"type": "text", "text": content[key]}


def _told_by(content: JSONObject) -> str | None:
    """Under which key it has its text."""
    if content.get("content_type") == "thoughts":
        return None
    return next((key for key in _TOLD_BY if isinstance(content.get(key), str)), None)


def _told_parts(part: Any, beside: Mapping[str, str]) -> Iterator[JSONObject]:
    """A text, or the files that a part points at: sound and pictures of a talk are several."""
    if isinstance(part, str):
        yield {"type": "text", "text": part}
    elif isinstance(part, dict):
        if isinstance(part.get("text"), str):
            yield {"type": "text", "text": part["text"]}
        if isinstance(pointer := part.get("asset_pointer"), str):
            is_image = part.get("content_type") == "image_asset_pointer"
            yield _file(_place(pointer, beside), is_image=is_image)
        for inner in part.values():
            for each in inner if isinstance(inner, list) else (inner,):
                if isinstance(each, dict) and "asset_pointer" in each:
                    yield from _told_parts(each, beside)


def _file(place: str, *, is_image: bool) -> JSONObject:
    if is_image:
        return image(place)
    return {"type": "file", "file": {"filename": place}}


_ASSET: Final = re.compile(r"file[-_][0-9A-Za-z]+")


def _place(pointer: str, beside: Mapping[str, str]) -> str:
    """Where the file lies that is pointed at; the pointer itself where it does not."""
    found = _ASSET.search(pointer.rpartition("://")[2])
    return beside.get(found[0], pointer) if found else pointer


def _attached(
    attachments: Any, parts: Sequence[JSONObject], beside: Mapping[str, str]
) -> Iterator[JSONObject]:
    """The files that were uploaded and are not pointed at, as a picture is."""
    pointed = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    pointed += [part["file"]["filename"] for part in parts if part["type"] == "file"]
    for each in attachments if isinstance(attachments, list) else ():
        id_, name = (each.get("id"), each.get("name")) if isinstance(each, dict) else (None, None)
        if isinstance(id_, str) and not any(id_ in place for place in pointed):
            kind = each.get("mime_type") or each.get("mimeType")
            place = beside.get(id_) or (name if isinstance(name, str) else id_)
            yield _file(place, is_image=str(kind).startswith("image/"))


def _kept(content: JSONObject) -> JSONObject:
    """What of a content is kept beside what is told of it: all, where that is several parts."""
    parts = content.get("parts")
    if isinstance(parts, list):
        if len(parts) > 1 or not all(isinstance(part, str) for part in parts):
            return content
        told_by: str | None = "parts"
    else:
        told_by = _told_by(content)
    if len(content) == 2 and told_by == "parts" and content.get("content_type") == "text":
        return {}
    return {key: value for key, value in content.items() if key != told_by}


def _thoughts(thoughts: Any) -> list[JSONObject]:
    if not isinstance(thoughts, list):
        return []
    texts = [each.get("content") for each in thoughts if isinstance(each, dict)]
    thinking = "\n".join(text for text in texts if isinstance(text, str))
    return [{"type": "thinking", "thinking": thinking}]


# --- where it lies --------------------------------------------------------------------------


def _asset(name: str) -> str | None:
    """By what a message calls a file of that name."""
    found = _ASSET.match(name.rpartition("/")[2])
    return found[0] if found else None


def _misses(head: Head) -> str | None:
    value = head.value
    if isinstance(value, dict):
        is_one = "current_node" in value and _has_nodes(value)
        return "it is one conversation, not a list of them" if is_one else None
    # One that is cut off may have what stands further on.
    whole = head.whole or (isinstance(value, list) and len(value) > 1)
    return least(lambda each: _lacks(each, whole=whole), value)


def _lacks(said: Any, *, whole: bool) -> str | None:
    if not isinstance(said, dict):
        return None
    if "mapping" in said:
        return "" if _has_nodes(said) else "the mapping of its conversations has no messages"
    return "its conversations have no mapping" if whole and said.keys() >= _LIKE else None


_LIKE: Final = frozenset({"title", "create_time", "update_time", "current_node"})


def _has_nodes(conversation: JSONObject) -> bool:
    """Whether it has a mapping, in which there are nodes, if it is not empty."""
    mapping = conversation.get("mapping")
    if not isinstance(mapping, dict):
        return False
    node = next(iter(mapping.values()), None)
    return node is None or (isinstance(node, dict) and bool(node.keys() & _OF_NODE))


SHAPES: Final = {
    "file": (
        Export(
            names=r"conversations(-\d+)?\.json",
            misses=_misses,
            beside=_asset,
            unfold=unfold,
            holds=HOLDS,
        ),
    )
}
