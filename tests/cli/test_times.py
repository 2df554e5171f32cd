"""The times that a person types."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from synmem.cli.times import moment, shown
from synmem.errors import UsageError


@pytest.fixture(autouse=True)
def somewhere_east(monkeypatch: pytest.MonkeyPatch) -> None:
    if hasattr(time, "tzset"):
        monkeypatch.setenv("TZ", "UTC-2")
        time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21T06:00:00Z", "2026-11-21T06:00:00+00:00"),
        ("2026-11-21T06:00:00+01:00", "2026-11-21T05:00:00+00:00"),
        ("2026-11-21T06:00:00.123456Z", "2026-11-21T06:00:00.123456+00:00"),
        ("2026-11-21 06:00Z", "2026-11-21T06:00:00+00:00"),
        (" 2026-11-21T06:00:00Z ", "2026-11-21T06:00:00+00:00"),
    ],
)
def test_iso_8601(text: str, expected: str) -> None:
    assert moment(text).isoformat() == expected


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="Windows has no tzset")
def test_without_a_zone_it_is_local() -> None:
    assert moment("2026-11-21").isoformat() == "2026-11-20T22:00:00+00:00"
    assert moment("2026-11-21T06:00:00").isoformat() == "2026-11-21T04:00:00+00:00"
    assert shown(datetime(2026, 11, 21, 4, tzinfo=UTC)) == "2026-11-21 06:00:00"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10),
        ("45m", 2700),
        ("2h", 7200),
        ("30d", 2592000),
        ("1w", 604800),
        ("0s", 0),
        ("2h30m", 9000),
        ("45min", 2700),
        ("1d12h", 129600),
        ("30m2h", 9000),
    ],
)
def test_so_long_ago(text: str, seconds: int) -> None:
    then = moment(text)
    ago = datetime.now(UTC) - then
    assert timedelta(0) <= ago - timedelta(seconds=seconds) < timedelta(seconds=10)


@pytest.mark.parametrize(
    "text",
    ["", "soon", "30", "d", "-2h", "2 h", "2H", "1.5h", "1y", "999999999w", "2026-13-01",
     "0001-01-01", "٣d", "2h 30m", "1701", "170101131234", "17010113123", "99999999999999",
     "20261332", "2026-11-21x06:00", "17010113.5", "Today", "999999999mo", "1mo2"],
)  # fmt: skip
def test_anything_else_is_a_usage_error_that_says_the_forms(text: str) -> None:
    with pytest.raises(UsageError, match="--since") as caught:
        moment(text, option="--since")
    assert "30d" in str(caught.value.hint)


def test_times_at_the_end_of_the_calendar_are_shown() -> None:
    assert shown(datetime.max.replace(tzinfo=UTC)).startswith("9999-12-31")
    assert shown(datetime.min.replace(tzinfo=UTC)).startswith("0001-01-01")
    assert shown(None) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20261121", "2026-11-20T22:00:00+00:00"),
        ("1701011312", "2023-11-26T15:08:32+00:00"),
        ("1701011312345", "2023-11-26T15:08:32.345000+00:00"),
        ("20261121T0600Z", "2026-11-21T06:00:00+00:00"),
    ],
)
def test_digits_are_a_date_or_seconds_or_milliseconds(text: str, expected: str) -> None:
    assert moment(text).isoformat() == expected


def test_days_by_name_begin_at_local_midnight() -> None:
    today = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    assert moment("today") == today
    assert moment("yesterday") == today - timedelta(days=1)


def test_months_are_those_of_the_calendar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Then(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Then":  # type: ignore[override]
            return cls(2026, 3, 31, 12, tzinfo=UTC)

    monkeypatch.setattr("synmem.cli.times.datetime", Then)
    assert moment("1mo").isoformat() == "2026-02-28T12:00:00+00:00"
    assert moment("13mo").isoformat() == "2025-02-28T12:00:00+00:00"
    assert moment("2mo1d").isoformat() == "2026-01-30T12:00:00+00:00"


@pytest.mark.parametrize("text", ["3m", "30m", "1d5m", "1mo5m"])
def test_where_something_goes_minutes_are_not_taken_for_months(text: str) -> None:
    with pytest.raises(UsageError, match="minutes meant, or months") as caught:
        moment(text, option="--idle", removes=True)
    assert "min or " in str(caught.value.hint)
    moment(text, option="--since")
    for sure in ("3min", "3mo", "2h30m", "30d"):
        moment(sure, option="--idle", removes=True)
