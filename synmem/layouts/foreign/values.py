"""Values as databases hand them out: as JSON, as text, as times."""

import base64
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from synmem.messages import MAX_DEPTH, JSONObject, format_time, parse_json, parse_time


def as_json(value: Any, depth: int = 0) -> Any:
    """The same as JSON: a time as text, bytes in base64, any other thing (an ObjectId, a UUID, a
    decimal) as its text, as is one of MongoDB's extended JSON. ValueError where it is nested more
    deeply than a message can be."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if depth > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, Mapping):
        if len(value) == 1 and value.keys() <= {"$oid", "$date"}:
            return as_json(next(iter(value.values())), depth + 1)
        return {str(key): as_json(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item, depth + 1) for item in value]
    if isinstance(value, datetime):
        return value.isoformat() if value.tzinfo is None else format_time(value.astimezone(UTC))
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    return str(value)


def object_of(value: Any, what: str) -> JSONObject:
    """A copy of the object; ValueError where it is none."""
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no object")
    return dict(value)


def objects_of(value: Any, what: str) -> list[JSONObject]:
    """The objects of a list, none where there is none; ValueError where it holds others."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError(f"{what} are no list of objects")
    return value


def text_of(value: Any, what: str) -> str:
    """The text; ValueError where it is none."""
    if not isinstance(value, str):
        raise ValueError(f"{what} is no text")
    return value


def text_or_none(value: Any) -> str | None:
    """The text, where it is one."""
    return value if isinstance(value, str) else None


def parsed(value: Any) -> Any:
    """What a JSON text says, where it is one; else the value."""
    if not isinstance(value, str):
        return value
    try:
        return parse_json(value)
    except ValueError:
        return value


def take_time(left: JSONObject, key: str, *, utc: bool) -> datetime | None:
    """The time under a key, taken away from what is left; one that cannot be told stays there.

    Without a zone it is in UTC where `utc`, and else cannot be told.
    """
    moment = _moment(left.get(key), utc)
    if moment is not None:
        left.pop(key)
    return moment


def _moment(value: Any, utc: bool) -> datetime | None:
    if isinstance(value, Mapping):  # MongoDB's extended JSON
        value = value.get("$date")
    if isinstance(value, datetime):
        value = value.isoformat()
    if not isinstance(value, str):
        return None
    try:
        if utc and datetime.fromisoformat(value).tzinfo is None:
            value += "Z"
        return parse_time(value)
    except ValueError:
        return None


def kept(left: JSONObject, without: Collection[str] = ()) -> JSONObject:
    """What is left of a record, as JSON, less what is null and these keys."""
    return {
        key: _shown(value)
        for key, value in left.items()
        if value is not None and key not in without
    }


def _shown(value: Any) -> Any:
    try:
        return as_json(value)
    except ValueError as error:
        return f"(it cannot be shown: it is {error})"
