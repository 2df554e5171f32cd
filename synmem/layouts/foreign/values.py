"""Values as databases hand them out: as JSON, as text, as times."""

import base64
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from synmem.layouts.shapes import MALFORMED, reason
from synmem.messages import (
    MAX_DEPTH,
    JSONObject,
    Message,
    Unreadable,
    format_time,
    parse_json,
    parse_time,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_MILLISECONDS: Final = 10**11
"""So many seconds are the year 5138: what has more counts milliseconds."""


def as_json(value: Any, depth: int = 0) -> Any:
    """The same as JSON: a time as text, bytes in base64, any other thing (an ObjectId, a UUID, a
    decimal) as its text. ValueError where it is nested more deeply than a message can be."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if depth > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, Mapping):
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


def list_of(value: Any, what: str) -> list[Any]:
    """The list; ValueError where it is none."""
    if not isinstance(value, list):
        raise ValueError(f"{what} are no list")
    return value


def text_of(value: Any, what: str) -> str:
    """The text; ValueError where it is none."""
    if not isinstance(value, str):
        raise ValueError(f"{what} is no text")
    return value


def text_or_none(value: Any) -> str | None:
    """The text, where it is one."""
    return value if isinstance(value, str) else None


def id_of(record: Any, at: object, key: str = "id") -> str:
    """The id of a record, under that key; of one that has none, what else it is known by."""
    id_ = record.get(key) if isinstance(record, dict) else None
    return id_ if isinstance(id_, str) else str(at)


def take_text(left: JSONObject, key: str) -> str | None:
    """The text under a key, taken away from what is left; what is none stays."""
    return left.pop(key) if isinstance(left.get(key), str) else None


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
        key: value if type(value) in _PLAIN else _shown(value)
        for key, value in left.items()
        if value is not None and key not in without
    }


def filled(layout: str, own: JSONObject) -> JSONObject | None:
    """Those that say anything, as they lie in an `extra`; None where none does."""
    said = {key: value for key, value in own.items() if value}
    return {layout: said} if said else None


_PLAIN: Final = frozenset({str, int, bool, float})


def _shown(value: Any) -> Any:
    try:
        return as_json(value)
    except ValueError as error:
        return f"(it cannot be shown: it is {error})"


def time_of(value: Any, *, utc: bool = False) -> datetime | None:
    """The time that a text says, or a number of seconds or milliseconds since 1970; None for what
    is none. Without a zone it is in UTC where `utc`, and else cannot be told."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _moment(value, utc)
    try:
        if abs(value) >= _MILLISECONDS:
            return _EPOCH + timedelta(milliseconds=value)
        return datetime.fromtimestamp(value, UTC)  # in half the time that a timedelta takes
    except (OverflowError, ValueError, OSError):
        return None


def take_number(left: JSONObject, key: str) -> datetime | None:
    """The time that is a number under a key, taken away from what is left; what is none stays."""
    moment = time_of(left.get(key)) if not isinstance(left.get(key), str) else None
    if moment is not None:
        left.pop(key)
    return moment


def json_of(value: Any, what: str) -> Any:
    """What stands in a column of JSON, None for NULL; ValueError where it is not JSON."""
    if value is None:
        return None
    try:
        return parse_json(text_of(value, what))
    except ValueError as error:
        raise ValueError(f"{what} is not JSON: {error}") from error


def image(url: str) -> JSONObject:
    """A part that is an image."""
    return {"type": "image_url", "image_url": {"url": url}}


def told(
    what: str, id_: object, make: Callable[..., Sequence[Message | Unreadable]], *given: Any
) -> Sequence[Message | Unreadable]:
    """The messages of a record, made of what is given; one `Unreadable` that names it where they
    cannot be made."""
    try:
        return make(*given)
    except MALFORMED as error:
        return [Unreadable(str(id_), f"{what} {id_}: {reason(error)}")]
