"""Documents of other frameworks as what a layout gets of them: JSON, and bytes."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bson.codec_options import DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.int64 import Int64
from bson.json_util import JSONMode, JSONOptions, dumps, loads
from bson.objectid import ObjectId

from synmem.messages import encodable, format_time

_OPTIONS: Final[JSONOptions] = JSONOptions(
    json_mode=JSONMode.CANONICAL, datetime_conversion=DatetimeConversion.DATETIME_MS
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def as_json(value: Any) -> Any:
    """The value of a field, or a document; ValueError where text in it is not UTF-8."""
    kind = type(value)
    if value is None or kind in (bool, int, float, bytes):
        return value
    if kind is str:
        if value.isascii() or encodable(value):
            return value
        raise ValueError("it holds text that is not UTF-8")
    if kind is dict:
        return {as_json(key): as_json(item) for key, item in value.items()}
    if kind is list:
        return [as_json(item) for item in value]
    if kind is Int64:
        return int(value)
    if kind is ObjectId:
        return str(value)
    if kind is DatetimeMS:
        return _time(value)
    return extended(value)


def _time(value: DatetimeMS) -> Any:
    """ISO 8601 in UTC, or what the driver calls a time beyond the years 1 to 9999."""
    try:
        return format_time(_EPOCH + timedelta(milliseconds=int(value)))
    except OverflowError:
        return extended(value)


def extended(value: Any) -> Any:
    """MongoDB's Extended JSON of any value, from which `original` makes the same again."""
    return json.loads(dumps(value, json_options=_OPTIONS))


def original(made: Any) -> Any:
    """The value that was made MongoDB's Extended JSON; ValueError or TypeError where none was."""
    return loads(json.dumps(made), json_options=_OPTIONS)
