"""The `_id` of a document that is put behind another: see `foreign.py`."""

import hashlib
import time
from typing import Any, Final

from bson.decimal128 import Decimal128
from bson.objectid import ObjectId

_BEFORE: Final = (int, float, Decimal128, str, dict, bytes)
"""Kinds of ids, beside null, that every ObjectId is behind; but for bool, which is an int here."""

_HIGH: Final = 0xFF << 56
"""What a program draws for the rest of an id is lower, but for one program in 256."""

_OURS: Final = 1 << 24
"""So many ids, from the first one of a conversation in a second on, are taken for ours."""

_END: Final = 1 << 96
_DAY_S: Final = 86_400


def first_id(conversation: str) -> ObjectId:
    """The id of a new conversation's first document: the same for whoever asks on the same day."""
    return _made(_first(conversation, int(time.time()) // _DAY_S * _DAY_S))


def id_behind(conversation: str, last: Any) -> ObjectId:
    """The id of the next document behind one of this id; ValueError where nothing can be."""
    if not isinstance(last, ObjectId):
        if last is None or (isinstance(last, _BEFORE) and not isinstance(last, bool)):
            return first_id(conversation)
        raise ValueError(f"its last _id is a {type(last).__name__}: no ObjectId is behind that")
    number = int(str(last), 16)
    second = number >> 64
    ahead = number - _first(conversation, second)
    if 0 <= ahead < _OURS:
        return _made(number + 1)
    return _made(_first(conversation, second + (ahead > 0)))


def _first(conversation: str, second: int) -> int:
    """The first of ours of a conversation in this second."""
    hash_ = hashlib.blake2b(conversation.encode(), digest_size=7).digest()
    return (second << 64) + _HIGH + int.from_bytes(hash_)


def _made(number: int) -> ObjectId:
    if number >= _END:
        raise ValueError("its last _id is the highest that there is")
    return ObjectId(f"{number:024x}")
