"""Lines as other programs write them: what is taken, and what is refused by name."""

import json
from typing import Any

import pytest

from synmem.layouts.interchange import jsonl as jsonlines
from synmem.layouts.interchange.ordinary import zone
from synmem.messages import Message

CALL = {"id": "c1", "name": "look", "arguments": "{}"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}


def line(**told: Any) -> dict[str, Any]:
    return {"conversation_id": "c", "role": "user", "content": "x", **told}


def read(timezone: str | None = None, **told: Any) -> Message:
    text = json.dumps(line(**told)).encode()
    return jsonlines.read_line(text, timezone=zone(timezone) if timezone else None)


def at(value: Any, timezone: str | None = None) -> str | None:
    moment = read(timezone, created_at=value).created_at
    return moment and moment.isoformat()


# --- content ---


def test_no_content_beside_tool_calls_says_nothing() -> None:
    expected = Message("assistant", "", tool_calls=[CALL])
    assert read(role="assistant", content=None, tool_calls=[CALL]) == expected
    assert read(role="assistant", content=[], tool_calls=[CALL]) == expected
    absent = {"conversation_id": "c", "role": "assistant", "tool_calls": [CALL]}
    assert jsonlines.read_line(json.dumps(absent).encode()) == expected


def test_no_content_and_no_tool_call_is_no_message() -> None:
    for told in ({}, {"tool_calls": []}, {"tool_calls": None}):
        with pytest.raises(ValueError, match="content is a JSON null"):
            read(content=None, **told)


def test_a_list_of_parts_is_content_and_parts() -> None:
    parts = [{"type": "text", "text": "one"}, IMAGE, {"type": "text", "text": "two"}]
    assert read(content=parts) == Message("user", "one\ntwo", parts=parts)
    assert read(content=[IMAGE]) == Message("user", "", parts=[IMAGE])


def test_a_list_that_could_be_several_things_is_refused() -> None:
    with pytest.raises(ValueError, match="parts beside it"):
        read(content=[IMAGE], parts=[IMAGE])
    with pytest.raises(ValueError, match="something else than parts"):
        read(content=["text"])


# --- times ---


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (1701011312, "2023-11-26T15:08:32+00:00"),
        (1701011312.25, "2023-11-26T15:08:32.250000+00:00"),
        (1701011312345, "2023-11-26T15:08:32.345000+00:00"),
        ("1701011312", "2023-11-26T15:08:32+00:00"),
        ("1701011312345", "2023-11-26T15:08:32.345000+00:00"),
    ],
)
def test_a_count_of_seconds_or_milliseconds_is_a_time(value: Any, moment: str) -> None:
    assert at(value) == moment


@pytest.mark.parametrize("value", [5, 0, -1701011312, 170101131234, 1e300, True, "123", "9" * 40])
def test_any_other_number_is_no_time(value: Any) -> None:
    with pytest.raises(ValueError, match=r"created_at is a (number|JSON boolean)"):
        at(value)


def test_a_time_without_a_zone_is_of_the_zone_that_was_named() -> None:
    assert at("2026-07-01T12:00:00", "Europe/Berlin") == "2026-07-01T10:00:00+00:00"
    assert at("2026-01-01 12:00:00.5", "Europe/Berlin") == "2026-01-01T11:00:00.500000+00:00"
    assert at("2026-01-01", "+02:00") == "2025-12-31T22:00:00+00:00"
    assert at("20260101", "UTC") == "2026-01-01T00:00:00+00:00"
    assert at("2026-07-01T12:00:00Z", "Europe/Berlin") == "2026-07-01T12:00:00+00:00"
    assert at("2026-01-01T00:00:00.1234567", "UTC") == "2026-01-01T00:00:00.123457+00:00"
    with pytest.raises(ValueError, match="--timezone"):
        at("2026-07-01T12:00:00")
    with pytest.raises(ValueError, match="years"):
        at("0001-01-01T00:00:00", "+01:00")


def test_what_is_no_zone_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Mars/Base", "../etc", "", "Europe", "+99:00"):
        with pytest.raises(ValueError, match=r"zone|timedelta|offset"):
            zone(name)
