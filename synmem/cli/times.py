"""The times that a person types: ISO 8601, a number of seconds, or how long ago."""

import re
from datetime import UTC, datetime, timedelta

from synmem.errors import UsageError

_AGO = re.compile(r"(?:\d{1,9}(?:mo|min|[smhdw]))+", re.ASCII)
_PIECE = re.compile(r"(\d+)(mo|min|[smhdw])", re.ASCII)
_UNITS = {
    "s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks",
}  # fmt: skip
# Python takes any character between date and time, and so a long number for a year of 1701.
_ISO = re.compile(r"\d{4}-?(?:\d\d-?\d\d|W\d\d(?:-?\d)?)(?:[Tt ].+)?", re.ASCII)
_DAYS = {"today": 0, "yesterday": 1}
_SECONDS, _MILLISECONDS = 10, 13
_HINT = (
    "ISO 8601 (2026-11-21, 20261121, 2026-11-21T06:00:00, with or without a zone), 10 digits of "
    "seconds or 13 of milliseconds since 1970, today, yesterday, "
    "or how long ago: 10s, 45min, 2h30m, 30d, 1w, 3mo"
)


def moment(text: str, *, option: str = "time", removes: bool = False) -> datetime:
    """An aware time in UTC from `2026-11-21`, `2026-11-21T06:00:00+01:00`, `1795240800` (seconds
    since 1970), `today`, or `2h` before now.

    Without a zone it is local. UsageError, which names the option, where it is none of these; and
    where something is to be removed by it also for `3m`, of which nobody knows whether minutes or
    months are meant.
    """
    typed = text.strip()
    try:
        if _AGO.fullmatch(typed):
            return _ago(typed, option, removes=removes)
        if typed in _DAYS:
            day = datetime.now().date() - timedelta(days=_DAYS[typed])
            return datetime.fromisoformat(day.isoformat()).astimezone(UTC)
        if typed.isascii() and typed.isdigit() and len(typed) in (_SECONDS, _MILLISECONDS):
            unit = timedelta(**{"seconds" if len(typed) == _SECONDS else "milliseconds": 1})
            return datetime.fromtimestamp(0, UTC) + int(typed) * unit
        if _ISO.fullmatch(typed):
            return datetime.fromisoformat(typed).astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"{option}: not a time: {text!r}", hint=_HINT) from error
    raise UsageError(f"{option}: not a time: {text!r}", hint=_HINT)


def _ago(typed: str, option: str, *, removes: bool) -> datetime:
    """So long before now; a month is one of the calendar, and the day its last where it has not so
    many."""
    pieces = [(int(number), unit) for number, unit in _PIECE.findall(typed)]
    units = [unit for _, unit in pieces]
    if removes and "m" in units and "h" not in units:
        number = next(number for number, unit in pieces if unit == "m")
        raise UsageError(
            f"{option} {typed}: are minutes meant, or months?", hint=f"{number}min or {number}mo"
        )
    now = datetime.now(UTC)
    if months := sum(number for number, unit in pieces if unit == "mo"):
        local = now.astimezone()
        year, month = divmod(local.year * 12 + local.month - 1 - months, 12)
        start = datetime(year, month + 1, 1)
        following = (start + timedelta(days=32)).replace(day=1)
        day = min(local.day, (following - timedelta(days=1)).day)
        now = local.replace(tzinfo=None, year=year, month=month + 1, day=day).astimezone(UTC)
    return now - sum(
        (timedelta(**{_UNITS[unit]: number}) for number, unit in pieces if unit != "mo"),
        timedelta(),
    )


def optional_moment(text: str | None, *, option: str, removes: bool = False) -> datetime | None:
    """As `moment`; None where nothing was typed."""
    return None if text is None else moment(text, option=option, removes=removes)


def shown(time: datetime | None) -> str:
    """A time for a person: local, to the second; nothing where there is none."""
    if time is None:
        return ""
    try:
        local, zone = time.astimezone(), ""
    except (ValueError, OverflowError, OSError):
        local, zone = time, "Z"  # the year 1 or 9999, which local time may leave
    return local.isoformat(sep=" ", timespec="seconds")[:19] + zone


_AGES = ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h"), (30 * 86400, 86400, "d"))


def ago(time: datetime | None, now: datetime | None = None) -> str:
    """`3h ago`, within a month; else the day. Nothing where there is no time."""
    if time is None:
        return ""
    seconds = ((now or datetime.now(UTC)) - time).total_seconds()
    for under, unit, name in _AGES:
        if 0 <= seconds < under:
            return "now" if name == "s" else f"{int(seconds // unit)}{name} ago"
    return shown(time)[:10]
