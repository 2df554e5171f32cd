"""mem0's `messages`: the last ten of each scope (`user_id=...`), from which it makes its memories.

A batch has one time, so those of one time come as they were written. mem0 removes the oldest by
time alone: what another writes there would push its own out.
"""

from datetime import datetime
from typing import Any, Final

from synmem.layouts.foreign.values import text_of, text_or_none
from synmem.layouts.shapes import Record, Rows
from synmem.messages import Holds, JSONObject, Message, parse_time

NAME: Final = "mem0"
TITLE: Final = "mem0"


def _unfold(record: Record) -> list[Message]:
    id_, role, content, name, created_at = record
    own: JSONObject = {"id": id_} if isinstance(id_, str) else {}
    if content is None:
        own["content"] = None  # it has tool calls, which mem0 does not keep
    message = Message(
        text_of(role, "its role"),
        "" if content is None else text_of(content, "its content"),
        created_at=_time(created_at),
        name=text_or_none(name),
        extra={NAME: own} if own else None,
    )
    return [message]


def _time(value: Any) -> datetime | None:
    return None if value is None else parse_time(text_of(value, "its created_at"))


_MESSAGES: Final = Rows(
    table="messages",
    columns=frozenset({"id", "session_scope", "role", "content", "name", "created_at"}),
    beside=frozenset({"history"}),
    conversation="session_scope",
    order=("created_at", "rowid"),
    record=("id", "role", "content", "name", "created_at"),
    unfold=_unfold,
    holds=Holds(
        fields=frozenset({"role", "content", "name", "created_at", "extra"}),
        conversation_fields=frozenset(),
        own=False,
        lasting_positions=False,
        extra_of=NAME,
    ),
)

SHAPES: Final = {"sqlite": (_MESSAGES,)}
