"""LangGraph's checkpoints: the newest one of a thread has all of its messages, LangChain's.

They are in the channel `messages`, or else in the one that holds a list of them; an application may
call it otherwise. A checkpoint is MessagePack, in which objects are extensions: of these only
the fields are taken, and nothing is made of them, called or unpickled. On PostgreSQL each channel
has a row of its own. No message has a time; that of the checkpoint is in the conversation's
`extra["langgraph"]`. Where a thread went on from an earlier checkpoint, what it left behind is a
branch, by the id of its last one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from synmem.layouts.foreign.langchain_messages import HOLDS as OF_MESSAGES
from synmem.layouts.foreign.langchain_messages import message_of
from synmem.layouts.foreign.sql import by_first
from synmem.layouts.foreign.values import (
    as_json,
    json_of,
    kept,
    object_of,
    parsed,
    told,
)
from synmem.layouts.shapes import MALFORMED, Plan, Record, Sketch, Told, Whole
from synmem.messages import JSONObject, Message, Unreadable, parse_json

NAME: Final = "langgraph"
TITLE: Final = "LangGraph checkpoints"

HOLDS: Final = msgspec.structs.replace(OF_MESSAGES, conversation_fields=frozenset({"extra"}))

_CHANNEL: Final = "messages"

_LEAVES: Final = (
    "FROM checkpoints AS c WHERE c.thread_id IN {ids} AND c.checkpoint_ns = '' "
    "AND (c.checkpoint_id = (SELECT max(n.checkpoint_id) FROM checkpoints AS n "
    "WHERE n.thread_id = c.thread_id AND n.checkpoint_ns = '') "
    # Some do not say what they follow: these are not a branch each.
    # A copied thread has checkpoints of the same ids: what follows one there follows none here.
    "OR c.parent_checkpoint_id IS NOT NULL AND (c.thread_id, c.checkpoint_id) NOT IN "
    "(SELECT p.thread_id, p.parent_checkpoint_id FROM checkpoints AS p WHERE p.thread_id IN {ids} "
    "AND p.checkpoint_ns = '' AND p.parent_checkpoint_id IS NOT NULL))"
)
"""The newest checkpoint of each thread, and others that none follows."""

_LISTING: Final = "SELECT DISTINCT thread_id AS id FROM checkpoints WHERE checkpoint_ns = ''"


class _Made(dict[str, Any]):
    """The fields of an object, of whatever class."""


# --- one row: SQLite ------------------------------------------------------------------------


def _plan(sketch: Sketch) -> Plan:
    leaves = "c.thread_id, c.checkpoint_id, CAST(c.metadata AS TEXT), c.type, c.checkpoint"
    return Plan(
        listing=_LISTING,
        queries={"leaves": f"SELECT {leaves} {_LEAVES} ORDER BY c.thread_id, c.checkpoint_id"},
    )


def _unfold(id_: str, rows: Mapping[str, Sequence[Record]]) -> Told:
    return _tree({row[0]: _readable(_of_row, *row) for row in rows["leaves"]})


def _of_row(checkpoint_id: Any, metadata: Any, kind: Any, data: Any) -> Told:
    checkpoint = object_of(_decoded(kind, data), "its checkpoint")
    values = object_of(checkpoint.get("channel_values"), "its channel_values")
    return _told(checkpoint_id, metadata, checkpoint, values)


# --- a row for each channel: PostgreSQL -----------------------------------------------------


def _plan_of_blobs(sketch: Sketch) -> Plan:
    leaves = "c.thread_id, c.checkpoint_id, CAST(c.metadata AS TEXT), CAST(c.checkpoint AS TEXT)"
    return Plan(
        listing=_LISTING,
        queries={
            "leaves": f"SELECT {leaves} {_LEAVES} ORDER BY c.thread_id, c.checkpoint_id",
            "blobs": "SELECT b.thread_id, t.checkpoint_id, b.channel, b.type, b.blob "
            "FROM checkpoint_blobs AS b "
            f"JOIN (SELECT c.thread_id, c.checkpoint_id, c.checkpoint {_LEAVES}) AS t "
            "ON t.thread_id = b.thread_id AND b.checkpoint_ns = '' "
            "AND b.version = t.checkpoint -> 'channel_versions' ->> b.channel",
        },
    )


def _unfold_blobs(id_: str, rows: Mapping[str, Sequence[Record]]) -> Told:
    blobs = by_first(rows["blobs"])
    return _tree({row[0]: _readable(_of_blobs, *row, blobs[row[0]]) for row in rows["leaves"]})


def _of_blobs(checkpoint_id: Any, metadata: Any, text: Any, blobs: Sequence[Record]) -> Told:
    checkpoint = object_of(json_of(text, "its checkpoint"), "its checkpoint")
    values = object_of(checkpoint.get("channel_values") or {}, "its channel_values")
    unread: list[Message | Unreadable] = []
    for channel, kind, blob in blobs:
        try:
            values[channel] = _decoded(kind, blob)
        except ValueError as error:
            if channel == _CHANNEL:
                raise
            unread.append(Unreadable(str(channel), f"channel {channel}: {error}"))
    found = _told(checkpoint_id, metadata, checkpoint, values)
    # What else an application keeps is not ours to read, where the messages can be.
    return found if found.messages else msgspec.structs.replace(found, messages=unread)


# --- a checkpoint, and those that none follows ----------------------------------------------


def _readable(make: Callable[..., Told], checkpoint_id: Any, *given: Any) -> Told:
    """What a checkpoint says; one `Unreadable` that names it where that cannot be read."""
    try:
        return make(checkpoint_id, *given)
    except MALFORMED as error:
        why = Unreadable(str(checkpoint_id), f"checkpoint {checkpoint_id}: {error}")
        return Told(messages=[why])


def _tree(leaves: Mapping[Any, Told]) -> Told:
    """The newest checkpoint is the last of these; of the others those that say something else."""
    *others, newest = leaves
    found = leaves[newest]
    branches = {
        str(each): leaves[each].messages
        for each in others
        if leaves[each].messages != found.messages[: len(leaves[each].messages)]
    }
    return msgspec.structs.replace(found, branches=branches, leaf=str(newest))


def _told(checkpoint_id: Any, metadata: Any, checkpoint: JSONObject, values: JSONObject) -> Told:
    lists = {name: len(value) for name, value in values.items() if _has_messages(value)}
    channel = _CHANNEL if _CHANNEL in lists or not lists else max(lists, key=lists.__getitem__)
    versions = checkpoint.get("channel_versions")
    if channel not in values and isinstance(versions, dict) and channel in versions:
        raise ValueError("its messages are kept as changes since an earlier checkpoint")
    said = values.get(channel)
    found: list[Message | Unreadable] = []
    for index, each in enumerate(said if isinstance(said, list) else [said] if said else ()):
        found += told("message", index, _messages, each)
    about = {
        "checkpoint_id": checkpoint_id,
        "ts": checkpoint.get("ts"),
        "metadata": parsed(metadata),
        "channel": None if channel == _CHANNEL else channel,
    }
    return Told(messages=found, extra={NAME: kept(about)})


def _is_message(value: Any) -> bool:
    return isinstance(value, _Made) and isinstance(value.get("type"), str) and "content" in value


def _has_messages(value: Any) -> bool:
    return isinstance(value, list) and any(map(_is_message, value))


def _messages(said: Any) -> list[Message]:
    if not _is_message(said):
        raise ValueError("it is no message of LangChain")
    data = as_json(said)
    return [message_of({"type": data["type"], "data": data})]


# --- what stands in a column ----------------------------------------------------------------


def _decoded(kind: Any, data: Any) -> Any:
    """What was written as that kind; ValueError says why it cannot be read."""
    if kind in ("null", "empty"):
        return None
    if kind == "pickle":
        raise ValueError("it is pickled, and nothing is unpickled")
    if isinstance(kind, str) and "+" in kind:
        raise ValueError(f"it is encrypted ({kind}): only its key opens it")
    if kind not in ("msgpack", "json") or not isinstance(data, bytes):
        raise ValueError(f"it is written in a way that is not known ({kind})")
    try:
        return _unpack(data) if kind == "msgpack" else _revived(parse_json(data))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ValueError(f"it is no {kind}: {error}") from error


def _unpack(data: bytes | memoryview) -> Any:
    return msgspec.msgpack.decode(data, ext_hook=_object)


_FIELDS: Final = (2, 4, 5)
"""The extensions that have an object's fields; others have what it is made of, in one value."""

_DELTA: Final = 7


def _object(code: int, data: memoryview) -> Any:
    """What stands for an object: its fields, or the value that it is made of. One that cannot be
    read is None, and spoils nothing beside it."""
    try:
        said = _unpack(data)
    except msgspec.MsgspecError:
        return None
    if code == _DELTA or not isinstance(said, list) or len(said) < 3:
        return said
    if code in _FIELDS and isinstance(said[2], dict):
        return _Made(said[2])
    return said[2]


def _revived(value: Any) -> Any:
    """The same of JSON, as older versions wrote it, in which objects are `{"lc": ...}`."""
    if isinstance(value, list):
        return [_revived(each) for each in value]
    if not isinstance(value, dict):
        return value
    fields = {key: _revived(each) for key, each in value.items()}
    if (
        value.get("type") == "constructor"
        and "lc" in value
        and isinstance(fields.get("kwargs"), dict)
    ):
        return _Made(fields["kwargs"])
    return fields


_OF_CHECKPOINT: Final = frozenset(
    {"thread_id", "checkpoint_ns", "checkpoint_id", "type", "checkpoint", "metadata"}
)

_ROW: Final = Whole(
    tables={
        "checkpoints": _OF_CHECKPOINT,
        "writes": frozenset({"thread_id", "checkpoint_id", "task_id", "channel"}),
    },
    plan=_plan,
    unfold=_unfold,
    holds=HOLDS,
)

_BLOBS: Final = Whole(
    tables={
        "checkpoints": _OF_CHECKPOINT,
        "checkpoint_blobs": frozenset(
            {"thread_id", "checkpoint_ns", "channel", "version", "type", "blob"}
        ),
    },
    plan=_plan_of_blobs,
    unfold=_unfold_blobs,
    holds=HOLDS,
)

SHAPES: Final = {"sqlite": (_ROW,), "postgres": (_BLOBS,)}
