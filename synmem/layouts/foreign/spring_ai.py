"""Spring AI's chat memory: a table of which each save rewrites a conversation, in its own order.

The time of a message is that of the Java machine, in a zone that nobody tells: it stays in
`extra["spring_ai"]` as it stands there. Version 2 keeps it from save to save; version 1 gives all
messages new ones each time, in their order. Calls and results were never saved: version 1 has the
text beside a call, and of a result an empty message.
"""

from datetime import datetime
from typing import Final

from msgspec import structs

from synmem.layouts.shapes import Record, Rows
from synmem.messages import Holds, Message

NAME: Final = "spring_ai"
TITLE: Final = "Spring AI"

_ROLES: Final = {"USER": "user", "ASSISTANT": "assistant", "SYSTEM": "system", "TOOL": "tool"}


def _unfold(record: Record) -> list[Message]:
    content, kind, at = record
    if not isinstance(content, str):
        raise ValueError("its content is no text")
    if not isinstance(kind, str) or kind not in _ROLES:
        raise ValueError(f"there is no type {kind!r}")
    if not isinstance(at, str | datetime):
        raise ValueError("its timestamp is no time")
    time = at if isinstance(at, str) else at.isoformat()
    return [Message(_ROLES[kind], content, extra={NAME: {"timestamp": time}})]


_NUMBERED: Final = Rows(
    table="spring_ai_chat_memory",
    any_name=True,
    version="2.x",
    columns=frozenset({"conversation_id", "content", "type", "timestamp", "sequence_id"}),
    conversation="conversation_id",
    order=("sequence_id", "timestamp", "rowid"),
    record=("content", "type", "timestamp"),
    unfold=_unfold,
    holds=Holds(
        fields=frozenset({"role", "content", "extra"}),
        conversation_fields=frozenset(),
        own=False,
        extra_of=NAME,
    ),
)
"""Rows that an older version wrote have the number 0, and are ordered by their times."""

_TIMED: Final = structs.replace(
    _NUMBERED,
    version="1.x",
    columns=_NUMBERED.columns - {"sequence_id"},
    lacks=frozenset({"sequence_id"}),
    order=("timestamp", "rowid"),
    # Its times are but the order: compared, no copy would be equal after the next save.
    holds=structs.replace(_NUMBERED.holds, fields=frozenset({"role", "content"}), extra_of=""),
)

SHAPES: Final = {"postgres": (_NUMBERED, _TIMED)}
