"""Cherry Studio's backup (1.x): `data.json`, packed in a ZIP archive: topics with messages, and
the blocks of which these consist beside them.

A topic is a conversation. Its name and the prompt of its assistant lie in `localStorage`, as JSON
in JSON in JSON; nothing else there is looked at: it holds keys of APIs. Several answers to one
question (`askId`) are by several models: the one that was chosen is read, or the last, the others
are other branches. In version 1 a topic's key is `topic:ID`, and messages have a `content`
themselves. What has no word of ours lies in `extra["cherry_studio"]` under its own key, of a
message's blocks in `blocks`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.named_files import each_conversation
from synmem.layouts.foreign.trees import Branches, Paths
from synmem.layouts.foreign.values import (
    id_of,
    kept,
    list_of,
    object_of,
    objects_of,
    parsed,
    take_text,
    take_time,
    text_of,
    text_or_none,
    told,
)
from synmem.layouts.heads import Head
from synmem.layouts.lazy import Said
from synmem.layouts.shapes import Files, Folder, Told
from synmem.messages import Holds, JSONObject, Message, parse_json

NAME: Final = "cherry_studio"
TITLE: Final = "Cherry Studio"

HOLDS: Final = Holds(
    fields=runs.FIELDS,
    conversation_fields=frozenset({"title", "extra"}),
    own=False,
    extra_of=NAME,
)


_STORE: Final = "persist:cherry-studio"
_TOPIC: Final = "topic:"
_DATA: Final = re.compile(r'"localStorage"\s*:|"indexedDB"\s*:')


def group(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The one file of a backup that tells of conversations; of one that was named, that file."""
    found = [name for name in names if name.rpartition("/")[2] == "data.json"]
    if not found and len(names) == 1 and names[0].endswith(".json"):
        found = [names[0]]
    return {name: (name,) for name in found}


def unfold(files: Files) -> dict[str, Told]:
    """The conversations of a backup, by their ids."""
    (data,) = files.data.values()
    value = object_of(parse_json(data), "the backup")
    database = value.get("indexedDB")
    topics: Iterable[tuple[object, Any]]
    if isinstance(database, list):
        topics = _older(objects_of(database, "its entries"))
        blocks: dict[Any, JSONObject] = {}
    else:
        database = object_of(database, "its database")
        topics = enumerate(list_of(database.get("topics", []), "its topics"))
        blocks = {
            each.get("id"): each
            for each in objects_of(database.get("message_blocks"), "its blocks")
            if isinstance(each.get("id"), str)
        }
    known = _known(value.get("localStorage"))

    def made(_: object, said: Any) -> Iterator[tuple[str, Told]]:
        topic = object_of(said, "the topic")
        id_ = text_of(topic.get("id"), "its id")
        yield id_, _topic(topic, blocks, *known.get(id_, ({}, None)))

    return each_conversation(topics, made)


def _older(entries: Sequence[JSONObject]) -> Iterator[tuple[object, Any]]:
    """The topics as version 1 has them."""
    for entry in entries:
        key, value = entry.get("key"), parsed(entry.get("value"))
        if isinstance(key, str) and key.startswith(_TOPIC):
            id_ = key.removeprefix(_TOPIC)
            yield id_, {"id": id_, **value} if isinstance(value, dict) else value


def _known(storage: Any) -> dict[str, tuple[JSONObject, str | None]]:
    """Of each topic what is known of it, and the prompt of its assistant."""
    slices = parsed(storage.get(_STORE)) if isinstance(storage, dict) else None
    said = parsed(slices.get("assistants")) if isinstance(slices, dict) else None
    assistants = said.get("assistants") if isinstance(said, dict) else None
    found: dict[str, tuple[JSONObject, str | None]] = {}
    for assistant in assistants if isinstance(assistants, list) else []:
        topics = assistant.get("topics") if isinstance(assistant, dict) else None
        for topic in topics if isinstance(topics, list) else []:
            if isinstance(topic, dict) and isinstance(topic.get("id"), str):
                found[topic["id"]] = (topic, text_or_none(assistant.get("prompt")) or None)
    return found


def _topic(
    topic: JSONObject, blocks: Mapping[Any, JSONObject], known: JSONObject, prompt: str | None
) -> Told:
    """What a topic says."""
    messages = list_of(topic.get("messages", []), "its messages")
    first: list[Said] = [] if prompt is None else [Message("system", prompt)]
    said = [
        told("message", id_of(each, at), _messages, each, blocks)
        for at, each in enumerate(messages)
    ]
    chosen = _chosen(messages)
    about = {**known, **topic}
    about.pop("messages", None)
    title = take_text(about, "name")
    left = kept(about, {"id"})
    return Told(
        messages=[*first, *(m for at in chosen for m in said[at])],
        title=title,
        extra={NAME: left} if left else None,
        branches=Branches(_ways(messages, chosen), said.__getitem__, first),
        leaf=id_of(messages[chosen[-1]], chosen[-1]) if chosen else None,
    )


def _asked(message: Any) -> str | None:
    """Which question a message answers."""
    return text_or_none(message.get("askId")) if isinstance(message, dict) else None


def _chosen(messages: Sequence[Any]) -> list[int]:
    """The messages that are read: of several answers one."""
    answers: dict[str, int] = {}
    for at, message in enumerate(messages):
        asked = _asked(message)
        if asked is None:
            continue
        before = answers.get(asked)
        if (
            before is None
            or not messages[before].get("foldSelected")
            or message.get("foldSelected")
        ):
            answers[asked] = at
    return [
        at
        for at, message in enumerate(messages)
        if (asked := _asked(message)) is None or answers[asked] == at
    ]


def _ways(messages: Sequence[Any], chosen: Sequence[int]) -> Paths:
    """Every branch: what another model answered stands behind what was asked."""
    read = {*chosen}
    leaves: dict[str, int] = {}
    parents: list[int | None] = []
    last: int | None = None
    for at, message in enumerate(messages):
        asked = _asked(message)
        is_other = last is not None and asked is not None and _asked(messages[last]) == asked
        parents.append(parents[last] if last is not None and is_other else last)
        if at in read:
            last = at
        else:
            leaves[id_of(message, at)] = at
    return Paths([*chosen], leaves, parents)


# --- a message ------------------------------------------------------------------------------


def _messages(message: Any, blocks: Mapping[Any, JSONObject]) -> list[Message]:
    left = object_of(message, "the message")
    if left.get("type") == "clear":
        return []  # where the context was cut, and nothing that was said
    role = text_of(left.pop("role"), "its role")
    at = take_time(left, "createdAt", utc=False)
    pieces = [*_pieces(left, blocks)]
    id_ = take_text(left, "id")
    left.pop("topicId", None)
    record = {} if id_ is None else {"id": id_}
    return runs.messages_of(pieces, NAME, role=role, created_at=at, record=record, extra=kept(left))


def _pieces(left: JSONObject, blocks: Mapping[Any, JSONObject]) -> list[runs.Piece]:
    """What a message says, taken away from it."""
    names = list_of(left.pop("blocks", None) or [], "its blocks")
    pieces: list[runs.Piece] = []
    if isinstance(left.get("content"), str) and not names:
        pieces.append(runs.Text(left.pop("content")))
    for name in names:
        found = blocks.get(name) if isinstance(name, str) else None
        pieces += [runs.File({"missing": name})] if found is None else _of_block(dict(found))
    return pieces


def _of_block(block: JSONObject) -> list[runs.Piece]:
    """A block; one of a kind that is not known is kept as it is."""
    kind, content = block.get("type"), block.get("content")
    if kind in ("main_text", "code") and isinstance(content, str):
        more = kept(
            block, {"id", "messageId", "type", "createdAt", "updatedAt", "status", "content"}
        )
        return [runs.Text(content, {"type": kind, **more} if more or kind == "code" else None)]
    if kind == "thinking":
        return [runs.Reasoning(block)]
    if kind == "image":
        file = block.get("file")
        place = block.get("url") or (
            file.get("path") or file.get("name") if isinstance(file, dict) else None
        )
        return [runs.Image(place, block) if isinstance(place, str) else runs.File(block)]
    if kind != "tool":
        return [runs.File(block) if kind == "file" else runs.Other(block)]
    id_, name = take_text(block, "toolId"), take_text(block, "toolName")
    arguments, result = block.pop("arguments", None), block.pop("content", None)
    pieces: list[runs.Piece] = [runs.Call(id_, name, arguments, kept(block) or None)]
    if result is not None:
        own = None if isinstance(result, str) else {"content": result}
        pieces.append(runs.Result(id_, name, runs.text_of_result(result), own))
    return pieces


def _misses(head: Head) -> str | None:
    value = head.value
    if isinstance(value, dict) and {"time", "version"} <= value.keys() and _DATA.search(head.text):
        if head.whole and "indexedDB" not in value:
            return "it has no indexedDB"
        return ""
    return None


SHAPES: Final = {"file": (Folder(group=group, misses=_misses, unfold=unfold, holds=HOLDS),)}
