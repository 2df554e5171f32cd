"""JSON objects of messages as other programs write them, in the words of the interchange form.

What is taken: a `content` that is null or absent beside tool calls (it says nothing), or a list of
parts; a `conversation_id` that is an integer (its digits); a `created_at` that counts seconds or
milliseconds since 1970, which the number of its digits tells apart; and one without a zone, where
the reader was told which. All else stays as it is, for `messages.from_dict` to take or to refuse.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

from synmem.messages import JSONObject, format_time, parse_time

_FINER: Final = re.compile(r"[.,]\d{6}0*[1-9]")
_DIGITS: Final = re.compile(r"\d+")
_ZONE: Final = re.compile(r"(?i)(utc|z)|([+-])(\d\d):?([0-5]\d)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = {10: timedelta(seconds=1), 13: timedelta(milliseconds=1)}
"""What a time counts that has so many digits: of the years 2001 to 2286."""


def zone(name: str) -> tzinfo:
    """The zone of a name: `Europe/Berlin`, `+02:00`, `UTC`, or `local`. ValueError for no zone."""
    from zoneinfo import ZoneInfo

    if name == "local":
        return _Local()
    try:
        if found := _ZONE.fullmatch(name):
            from datetime import timezone

            if found[1]:
                return UTC
            offset = timedelta(hours=int(found[3]), minutes=int(found[4]))
            return timezone(-offset if found[2] == "-" else offset)
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:  # a folder's name is an OSError
        raise ValueError(f"no time zone {name!r}") from error


class _Local(tzinfo):
    """The zone of this machine, as it was at the time that is asked about."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return None if moment is None else moment.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, moment: datetime | None) -> timedelta | None:
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        return "local"


def id_of(value: object) -> object:
    """The id that stands in a line: an integer by its digits, all else as it is."""
    return str(value) if type(value) is int else value


def is_finer(created_at: object) -> bool:
    """Whether a time is finer than microseconds, so that it is rounded."""
    return isinstance(created_at, str) and _FINER.search(created_at) is not None


def ordinary(data: JSONObject, timezone: tzinfo | None = None) -> JSONObject:
    """The object of a message in the words of the interchange form; ValueError for a time that
    could be several."""
    given = dict(data)
    at = given.get("created_at")
    if at is not None and (told := _time(at, timezone)) is not None:
        given["created_at"] = told
    content = given.get("content")
    if content in (None, []) and given.get("tool_calls"):
        given["content"] = ""
    elif isinstance(content, list) and content:
        given["content"], given["parts"] = _parts(content, given.get("parts"))
    return given


def _parts(content: list[Any], beside: object) -> tuple[str, list[Any]]:
    """Content and parts, of a content that is a list."""
    if beside:
        raise ValueError("content is a JSON array, and there are parts beside it")
    texts = []
    for part in content:
        if not isinstance(part, dict):
            raise ValueError("content is a JSON array that holds something else than parts")
        if part.get("type") == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
    return "\n".join(texts), content


def _time(value: object, timezone: tzinfo | None) -> str | None:
    """A time as the interchange form has it, of another form; None where it is none of these."""
    if type(value) is int or type(value) is float:
        return _counted(value)
    if not isinstance(value, str):
        return None
    if _DIGITS.fullmatch(value) and len(value) != len("20261121"):
        return _counted(int(value[:20]))  # of more digits it is none anyway
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if moment.tzinfo is not None:
        return None
    if timezone is None:
        raise ValueError(
            f"created_at has no zone: {value!r} (`import --timezone`, or ?timezone=, says which)"
        )
    try:
        moment = parse_time(value + "Z")  # which rounds
    except ValueError:
        moment = moment.replace(tzinfo=UTC)  # a day
    try:
        return format_time(moment.replace(tzinfo=timezone).astimezone(UTC))
    except OverflowError as error:
        raise ValueError(f"outside of the years 1 to 9999: {value!r}") from error


def _counted(value: int | float) -> str:
    """A time that was counted since 1970."""
    unit = _UNITS.get(len(str(int(value)))) if value > 0 and value < 10**13 else None
    if unit is None:
        raise ValueError(
            "created_at is a number, of neither 10 digits (seconds) nor 13 (milliseconds): "
            f"{value!r}"
        )
    return format_time(_EPOCH + value * unit)
