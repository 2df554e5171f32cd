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
    [("10s", 10), ("45m", 2700), ("2h", 7200), ("30d", 2592000), ("1w", 604800), ("0s", 0)],
)
def test_so_long_ago(text: str, seconds: int) -> None:
    then = moment(text)
    ago = datetime.now(UTC) - then
    assert timedelta(0) <= ago - timedelta(seconds=seconds) < timedelta(seconds=10)


@pytest.mark.parametrize(
    "text",
    ["", "soon", "30", "d", "-2h", "2 h", "2H", "1.5h", "1y", "999999999w", "2026-13-01",
     "0001-01-01", "٣d", "2h30m"],
)  # fmt: skip
def test_anything_else_is_a_usage_error_that_says_the_forms(text: str) -> None:
    with pytest.raises(UsageError, match="--since") as caught:
        moment(text, option="--since")
    assert "30d" in str(caught.value.hint)


def test_times_at_the_end_of_the_calendar_are_shown() -> None:
    assert shown(datetime.max.replace(tzinfo=UTC)).startswith("9999-12-31")
    assert shown(datetime.min.replace(tzinfo=UTC)).startswith("0001-01-01")
    assert shown(None) == ""
