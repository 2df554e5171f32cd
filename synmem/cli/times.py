"""The times that a person types: ISO 8601, or how long ago."""

import re
from datetime import UTC, datetime, timedelta

from synmem.errors import UsageError

_AGO = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str, *, option: str = "time") -> datetime:
    """An aware time in UTC from `2026-11-21`, `2026-11-21T06:00:00+01:00`, or `2h` before now.

    Without a zone it is local. UsageError, which names the option, where it is neither.
    """
    try:
        if ago := _AGO.fullmatch(text.strip()):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"{option}: not a time: {text!r}",
            hint="ISO 8601 (2026-11-21, 2026-11-21T06:00:00, with or without a zone), "
            "or how long ago: 10s, 45m, 2h, 30d, 1w",
        ) from error


def optional_moment(text: str | None, *, option: str) -> datetime | None:
    """As `moment`; None where nothing was typed."""
    return None if text is None else moment(text, option=option)


def shown(time: datetime | None) -> str:
    """A time for a person: local, to the second; nothing where there is none."""
    if time is None:
        return ""
    try:
        local, zone = time.astimezone(), ""
    except (ValueError, OverflowError, OSError):
        local, zone = time, "Z"  # the year 1 or 9999, which local time may leave
    return local.isoformat(sep=" ", timespec="seconds")[:19] + zone
