"""Documents in MongoDB that belong to no conversation: what other programs have put there.

A filter for a value takes a list that holds it as well, and whether a collection has such lists
no index tells cheaply. So what a query brings is looked at, and what is odd is named by a look
through the whole collection, where a command goes through the whole store anyway.
"""

import math
from typing import Any, Final

from synmem.backends.mongo.heads import Heads
from synmem.backends.mongo.keys import INDEX, KEY, number
from synmem.backends.mongo.opening import Place
from synmem.backends.mongo.server import Document
from synmem.layouts.own.mongo_documents import called, is_session
from synmem.messages import STRAY, Damage

MOST: Final = 1000
"""So many are named."""

_LOWEST: Final = -(2**63)

NO_TEXT: Final = [
    "double", "object", "array", "binData", "objectId", "bool", "date", "regex", "int",
    "timestamp", "long",
]  # fmt: skip
"""But for decimal, whose name FerretDB does not know: `damage` finds it."""


async def strays(place: Place) -> list[Damage]:
    """Those whose session_id is none, so many as are named: the index knows where they are."""
    where = [{"session_id": {"$type": NO_TEXT}}, {"session_id": None}, {"session_id": ""}]
    return await _named(place, {"$or": where})


async def damage(place: Place, heads: Heads, rows: int) -> list[Damage]:
    """Those whose session_id is no text, whose n is no number, or one that is below the first
    message, so many as are named: a look through all, some of it by so many rows."""
    return (await _unnumbered(place) + await _below(place, heads, rows))[:MOST]


async def _unnumbered(place: Place) -> list[Damage]:
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


async def _below(place: Place, heads: Heads, rows: int) -> list[Damage]:
    """Documents below all that a conversation has, or its head has set aside."""
    found: list[Damage] = []
    last = ""
    while len(found) < MOST:
        where = {"session_id": {"$gt": last}, "n": {"$gte": _LOWEST, "$lt": 1}}
        some = await place.find(where, INDEX, rows, KEY)
        sessions = sorted({document["session_id"] for document in some})
        seen = await heads.seen(sessions)
        found += [
            _stray(document, f"its n is {document['n']}: its conversation begins later")
            for document in some
            if document["n"] < seen[document["session_id"]].low
        ]
        if len(some) < rows:
            break
        last = sessions[-1]
    return found


async def _named(place: Place, where: Document) -> list[Damage]:
    found = await place.ask(lambda: place.lenient.find(where, KEY, limit=MOST).to_list())
    reasons = [(document, _reason(document)) for document in found]
    return [_stray(document, why) for document, why in reasons if why is not None]


def _stray(document: Document, why: str) -> Damage:
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
