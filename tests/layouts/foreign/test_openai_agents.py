"""The times of OpenAI Agents' rows, where these are ordered by them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from synmem.layouts.foreign.openai_agents import SHAPES
from synmem.layouts.shapes import Rows
from synmem.messages import Message

[_, BY_TIME, *_] = SHAPES["sqlite"]
OLD = "2026-01-02 03:04:05"
ODD = "2026-01-02T03:04:05Z"


def at(text: str | None) -> Message:
    """A message of that time."""
    return Message(
        "user", "x", created_at=text and datetime.fromisoformat(text).replace(tzinfo=UTC)
    )  # type: ignore[arg-type]


def time_between(message: Message, before: Any, behind: Any) -> Any:
    """What SQLAlchemySession's rows are ordered by."""
    assert isinstance(BY_TIME, Rows)
    assert BY_TIME.write is not None
    assert BY_TIME.write.key is not None
    return BY_TIME.write.key(message, before, behind)


def now() -> str:
    """As SQLite says it."""
    return datetime.now(UTC).isoformat(" ")[:19]


@pytest.mark.parametrize("before", [None, OLD, ODD, 5])
def test_a_message_that_says_no_time_is_of_now(before: Any) -> None:
    earliest = now()
    assert earliest <= time_between(at(None), before, None) <= now()


@pytest.mark.parametrize(
    ("before", "behind", "found"),
    [(None, OLD, OLD), (OLD, OLD, OLD), ("2999-01-01 00:00:00", None, "2999-01-01 00:00:00"), (ODD, OLD, ODD)],
)  # fmt: skip
def test_or_of_the_nearest_time_that_there_is_between_two_rows(
    before: Any, behind: Any, found: str
) -> None:
    """Never before the one in front, whatever is behind."""
    assert time_between(at(None), before, behind) == found


def test_its_own_time_is_written_in_seconds() -> None:
    assert time_between(at("2026-01-02 03:04:05.999"), OLD, OLD) == OLD
    assert time_between(at("0999-01-02 03:04:05"), None, None) == "0999-01-02 03:04:05"


@pytest.mark.parametrize(
    ("before", "behind", "why"),
    [
        ("2026-01-02 03:04:06", None, "before the message in front"),
        (ODD, None, "before the message in front"),
        (None, "2026-01-02 03:04:04", "after the message behind"),
        (b"x", None, "is a BLOB"),
        (None, 5, "is a number"),
    ],
)
def test_its_own_time_must_fit(before: Any, behind: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        time_between(at(OLD), before, behind)


def test_what_is_of_a_time_to_come_would_stand_behind_what_is_said_next() -> None:
    later = datetime.now(UTC) + timedelta(minutes=1)
    with pytest.raises(ValueError, match="time to come"):
        time_between(Message("user", "x", created_at=later), None, None)
