"""Claude.ai's export: `conversations.json`, in the ZIP archive as it was downloaded, or unpacked.

An answer's text, thinking, calls and results are the blocks of one message, told as several. Older
exports have texts alone. In those of 2026 messages form a tree: the current branch, which is not
named, is the one to the last message; what was written or answered anew are the others. Of what a
user pasted or uploaded the export holds the text that was found in it, if any. A message's `text`
is a copy of its blocks, with a remark in place of what a page cannot show: it counts where they say
nothing, and is kept where it says other words. What has no word of ours lies in
`extra["claude_ai"]` under its own key, that of blocks and files in `blocks`.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from synmem.layouts.foreign import anthropic_blocks, runs
from synmem.layouts.foreign.trees import LOST, Branches, Node, paths
from synmem.layouts.foreign.values import (
    id_of,
    kept,
    list_of,
    object_of,
    objects_of,
    take_text,
    take_time,
    text_of,
    told,
)
from synmem.layouts.heads import Head, least
from synmem.layouts.lazy import Said, WhenAsked
from synmem.layouts.shapes import Export, Told, Value
from synmem.messages import Holds, JSONObject, Message

NAME: Final = "claude_ai"
TITLE: Final = "Claude.ai"

HOLDS: Final = Holds(fields=runs.FIELDS, own=False, extra_of=NAME)

_ROOT: Final = "00000000-0000-4000-8000-000000000000"
_ROLES: Final = {"human": "user"}
_UNSHOWN: Final = re.compile(
    r"```\s*This block is not supported on your current device yet\.\s*```\s*"
)
"""What stands in `text` for a block that is none."""


def unfold(value: Value) -> dict[str, Told]:
    """A conversation, by its id."""
    about = object_of(value.said, "the conversation")
    id_ = text_of(about.pop("uuid", None), "its uuid")
    records = list_of(about.pop("chat_messages", None), "its chat_messages")
    ways = paths([*_nodes(records)])

    def said(at: int) -> Sequence[Said]:
        return told("message", id_of(records[at], at, "uuid"), _messages, records[at])

    counts = [1 if _is_one(records[at]) else len(said(at)) for at in ways.current]
    title = take_text(about, "name")
    extra = kept(about)
    return {
        id_: Told(
            messages=WhenAsked(counts, lambda index: said(ways.current[index])),
            title=title or None,
            extra={NAME: extra} if extra else None,
            branches=Branches(ways, said),
            leaf=ways.leaf,
        )
    }


def _nodes(records: list[Any]) -> Iterator[Node]:
    """Of each message where it stands; one that does not say so, behind the one before."""
    before: str | None = None
    for record in records:
        id_ = record.get("uuid") if isinstance(record, dict) else None
        if not isinstance(id_, str):
            yield Node(LOST, LOST)
            continue
        parent = record.get("parent_message_uuid", before)
        is_first = parent is None or parent == _ROOT
        yield Node(id_, None if is_first else parent if isinstance(parent, str) else LOST)
        before = id_


def _is_one(record: Any) -> bool:
    """Whether a record is sure to be one message, or one that cannot be read: it calls no tool."""
    blocks = record.get("content") if isinstance(record, dict) else None
    return not isinstance(blocks, list) or all(
        isinstance(each, dict) and each.get("type") in ("text", "thinking") for each in blocks
    )


# --- a message ------------------------------------------------------------------------------


def _messages(record: Any) -> list[Message]:
    left = object_of(record, "it")
    id_, sender = (
        text_of(left.pop("uuid", None), "its uuid"),
        text_of(left.pop("sender"), "its sender"),
    )
    if left.get("updated_at") == left.get("created_at"):
        left.pop("updated_at", None)
    at = take_time(left, "created_at", utc=True)
    return runs.messages_of(
        [*_pieces(left)], NAME, role=_ROLES.get(sender, sender), created_at=at,
        record={"uuid": id_}, extra=_some(left),
    )  # fmt: skip


def _some(left: JSONObject) -> JSONObject:
    return {key: value for key, value in kept(left).items() if value != []}


def _pieces(left: JSONObject) -> Iterator[runs.Piece]:
    """What a message has, taken away from it."""
    blocks = objects_of(left.pop("content", None), "its content's blocks")
    pieces = [anthropic_blocks.piece(_some(block)) for block in blocks]
    yield from pieces
    text = text_of(left.pop("text", None) or "", "its text")
    shown = _UNSHOWN.sub("", text) if blocks else text
    said = "\n".join(each.text for each in pieces if isinstance(each, runs.Text))
    if not any(isinstance(each, runs.Text | runs.Call | runs.Result) for each in pieces):
        yield runs.Text(shown)
    elif _words(shown) not in _words(said):
        left["text"] = text
    for each in objects_of(left.pop("attachments", None), "its attachments"):
        yield runs.File({"type": "file", "file": kept(each)})
    for each in objects_of(left.pop("files", None), "its files"):
        yield _file(kept(each))


def _words(text: str) -> str:
    return " ".join(text.split())


def _file(file: JSONObject) -> runs.Piece:
    """What was uploaded, of which the export has the name alone."""
    own = {"type": "file", "file": file}
    if file.get("file_kind") == "image" and isinstance(file.get("file_name"), str):
        return runs.Image(file["file_name"], own)
    return runs.File(own)


# --- where it lies --------------------------------------------------------------------------


def _misses(head: Head) -> str | None:
    return least(lambda each: _lacks(each, whole=head.whole), head.value)


def _lacks(said: Any, *, whole: bool) -> str | None:
    if not isinstance(said, dict):
        return None
    if "chat_messages" not in said:
        is_like = whole and {"uuid", "name", "account", "created_at"} <= said.keys()
        return "its conversations have no chat_messages" if is_like else None
    if not isinstance(said["chat_messages"], list):
        return "its chat_messages are no list"
    record = next(iter(said["chat_messages"]), None)
    if "uuid" in said and (record is None or (isinstance(record, dict) and "uuid" in record)):
        return ""
    return "its conversations have no uuid"


SHAPES: Final = {
    "file": (Export(names=r"conversations\.json", misses=_misses, unfold=unfold, holds=HOLDS),)
}
