"""Documents in MongoDB that belong to no conversation: what other programs have put there.

A filter for a value takes a list that holds it as well, and whether a collection has such lists
no index tells cheaply. So what a query brings is looked at, and what is odd is named by a look
through the whole collection, where a command goes through the whole store anyway.
"""

import math
from typing import Any, Final

from bson.decimal128 import Decimal128
from bson.int64 import Int64

from synmem.backends.mongo.opening import Document, Place
from synmem.layouts.own.mongo_documents import called, is_session
from synmem.layouts.own.synapsekit import encodable
from synmem.messages import Damage
from synmem.store import STRAY

ONE_EACH: Final[Document] = {
    "$nor": [{"session_id": {"$type": "array"}}, {"n": {"$type": "array"}}]
}
"""The filter that no list passes; with it no query is answered from the index alone."""

LAST: Final = 2**63 - 2
"""No message can be put behind one of a higher number."""

MOST: Final = 1000
"""So many are named."""

_LOWEST: Final = -(2**63)
_PLAIN: Final = (int, Int64)


def belongs(document: Document) -> bool:
    """Whether a document is a conversation's, as far as its fields were asked for."""
    session, n = document.get("session_id", ""), document.get("n", 0)
    if type(session) is not str or not (session.isascii() or encodable(session)):
        return False
    if not is_session(session):
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


_NO_TEXT: Final = [
    "double", "object", "array", "binData", "objectId", "bool", "date", "regex", "int",
    "timestamp", "long",
]  # fmt: skip
"""But for decimal, whose name FerretDB does not know: `strays` finds it."""


async def without_session(place: Place) -> list[Damage]:
    """Those whose session_id is none, so many as are named: the index knows where they are."""
    where = [{"session_id": {"$type": _NO_TEXT}}, {"session_id": None}, {"session_id": ""}]
    return await _named(place, {"$or": where})


async def strays(place: Place) -> list[Damage]:
    """Those whose session_id or n is none, so many as are named: a look through all."""
    where: Document = {
        "$or": [
            {"session_id": {"$not": {"$type": "string"}}},
            {"session_id": {"$type": "array"}},
            {"session_id": ""},
            {"session_id": {"$regex": r"[\x00\x10]"}},
            {"n": {"$not": {"$gte": _LOWEST}}},
            {"n": {"$type": "array"}},
            {"n": {"$not": {"$type": ["int", "long", "double"]}}},
        ]
    }
    return await _named(place, where)


async def _named(place: Place, where: Document) -> list[Damage]:
    fields = {"session_id": 1, "n": 1}
    found = await place.ask(lambda: place.lenient.find(where, fields, limit=MOST).to_list())
    reasons = [(document, _reason(document)) for document in found]
    return [stray(document, why) for document, why in reasons if why is not None]


def stray(document: Document, why: str) -> Damage:
    """A document that belongs to no conversation."""
    return Damage(STRAY, f"document {document['_id']!r}", why)


def _reason(document: Document) -> str | None:
    session, n = document.get("session_id"), document.get("n")
    if type(session) is not str or not session:
        return f"its session_id is {_kind(session)}"
    if not is_session(session):
        return f"its session_id {session!r:.80} has NUL or U+0010 otherwise than synmem writes them"
    at = number(n)
    if at is None:
        return f"its n is {_kind(n)}"
    return f"its n is {n}, which is too low" if at < _LOWEST else None


def _kind(value: Any) -> str:
    if value == "":
        return "empty"
    if isinstance(value, float) and math.isnan(value):
        return "not a number"
    plain = value is None or isinstance(value, str | list | dict)
    return called(value) if plain else f"{called(value)}: {value!r:.80}"
