"""Fields of somebody else's in a message's document: their values as JSON, and back.

What JSON holds as it is stays (text, true, false, null, integers of the width that the driver
gives them, floats, arrays, objects); all else is MongoDB's Extended JSON, canonical
(`{"$oid": "..."}`). An object with a key that begins with `$` is `{"$escaped": {...}}`. Both ways
are tried out: what would not come back the same is not taken.
"""

import json
from typing import Any, Final

import bson
from bson.binary import Binary
from bson.codec_options import DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.int64 import Int64
from bson.json_util import JSONMode, JSONOptions, dumps, loads
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

from synmem.layouts.own import mongo_documents as layout
from synmem.layouts.own.carried import plain_text
from synmem.messages import JSONObject

_ESCAPED: Final = "$escaped"
_INT32: Final = 2**31
_OPTIONS: Final[JSONOptions] = JSONOptions(
    json_mode=JSONMode.CANONICAL, datetime_conversion=DatetimeConversion.DATETIME_MS
)
_EVERYWHERE: Final = (Binary, bytes, DatetimeMS, Int64, ObjectId, Regex, Timestamp)
"""What, beside JSON, the servers of the kind hold too."""

_MALFORMED: Final = (
    ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError,
    bson.errors.BSONError,
)  # fmt: skip
"""What the driver raises of values that are none, or that BSON does not take."""


def json_of(field: str, value: Any) -> Any:
    """The value of a field as JSON; ValueError where it could not be written back the same."""
    if type(value) in (str, bool, type(None)):
        return value
    try:
        made = _json(value)
        if bson.encode({"v": _value(made)}) == bson.encode({"v": value}):
            return made
    except _MALFORMED:
        pass
    raise ValueError(f"{field} holds a {type(value).__name__} that cannot be written back")


def fields_of(others: JSONObject, *, everywhere: bool) -> JSONObject:
    """Those of somebody else's fields that a document can have, with their values; `everywhere`:
    on every server of the kind."""
    fields: JSONObject = {}
    for key, made in others.items():
        if key in layout.OURS or key.startswith("$") or not plain_text(key):
            continue
        try:
            value = _value(made)
            same = json_of(key, value)
        except _MALFORMED:
            continue
        if repr(same) == repr(made) and (not everywhere or _is_held({key: value})):
            fields[key] = value
    return fields


def _json(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in (str, bool, int, float):
        return value
    if kind is Int64 and not -_INT32 <= value < _INT32:
        return int(value)
    if kind is dict:
        made = {key: _json(item) for key, item in value.items()}
        return {_ESCAPED: made} if any(key.startswith("$") for key in made) else made
    if kind is list:
        return [_json(item) for item in value]
    return json.loads(dumps(value, json_options=_OPTIONS))


def _value(made: Any) -> Any:
    if type(made) is list:
        return [_value(item) for item in made]
    if type(made) is not dict:
        return made
    if made.keys() == {_ESCAPED} and type(made[_ESCAPED]) is dict:
        return {key: _value(item) for key, item in made[_ESCAPED].items()}
    if any(key.startswith("$") for key in made):
        return loads(json.dumps(made), json_options=_OPTIONS)
    return {key: _value(item) for key, item in made.items()}


def _is_held(value: Any) -> bool:
    """Whether every server of the kind holds the value."""
    if type(value) is dict:
        return layout.holds_json(dict.fromkeys(value)) and all(map(_is_held, value.values()))
    if type(value) is list:
        return all(type(item) is not list and _is_held(item) for item in value)
    if value is None or type(value) in (str, bool, int, float):
        return layout.holds_json(value)
    return isinstance(value, _EVERYWHERE)
