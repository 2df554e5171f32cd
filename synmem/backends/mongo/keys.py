"""Which documents of MongoDB are messages, of which conversation, and where they stand in it."""

import contextlib
from collections.abc import Sequence
from typing import Any, Final

from bson.decimal128 import Decimal128
from bson.int64 import Int64

from synmem.backends.paging import storable
from synmem.layouts.own import mongo_documents as layout
from synmem.messages import JSONObject, encodable
from synmem.store import Position

KEY: Final = {"session_id": 1, "n": 1}
"""The fields that say where a document belongs."""

INDEX: Final = [("session_id", 1), ("n", 1)]

IDS_A_QUERY: Final = 500

LAST: Final = 2**63 - 2
"""No message can be put behind one of a higher number."""

NUMBERED: Final = {"n": {"$gte": -(2**63)}}
"""The filter for documents that have a number, and so may belong to a conversation."""

ONE_EACH: Final[JSONObject] = {
    "$nor": [{"session_id": {"$type": "array"}}, {"n": {"$type": "array"}}]
}
"""The filter that no list passes; with it no query is answered from the index alone."""

_PLAIN: Final = (int, Int64)


def sessions(ids: Sequence[str]) -> list[str]:
    """The `session_id` of each, in order: without those that can be in no store."""
    return sorted({layout.session_of(i) for i in storable(ids)})


def session_of(document: JSONObject) -> str:
    return str(document["session_id"])


def sort_alike(ids: Sequence[str]) -> bool:
    """Whether every server has these ids in our order: some go by UTF-16."""
    return all(i.isascii() or max(i) < "\ud800" for i in ids)


def belongs(document: JSONObject) -> bool:
    """Whether a document is a conversation's, as far as its fields were asked for."""
    session, n = document.get("session_id", ""), document.get("n", 0)
    if type(session) is not str or not (session.isascii() or encodable(session)):
        return False
    if not layout.is_session(session):
        return False
    return type(n) in _PLAIN or number(n) is not None


def number(value: Any) -> float | None:
    """The number that somebody may have given a document, in whatever type; None where it is none
    that can be asked for again."""
    if isinstance(value, Decimal128):
        exact = value.to_decimal()
        value = float(exact) if exact.is_finite() else None
        return value if value == exact else None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return value


def is_whole(number: Any) -> bool:
    return isinstance(number, int) or (isinstance(number, float) and number.is_integer())


def position_of(document: JSONObject) -> Position:
    """Where a document stands: its number, and its id, which no other document ever has."""
    at = number(document["n"])
    whole = int(at) if at is not None and is_whole(at) and abs(at) < 2**63 else at
    return f"{whole}:{document['_id']}"


def number_of(position: Position) -> float:
    """The number in a position, an `int` where it is whole; ValueError where no position of ours
    looks like that."""
    text = position.partition(":")[0]
    try:
        with contextlib.suppress(ValueError):
            if -(2**63) <= (number := int(text)) < 2**63:
                return number
            raise OverflowError
        return float(text)
    except (ValueError, OverflowError):
        raise ValueError(f"not a position of a MongoDB store: {position!r}") from None
