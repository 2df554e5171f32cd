"""Flowise's rows: tools before the answer, files, and times of which the zone is not told."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from synmem.layouts.foreign.flowise import unfold
from synmem.messages import Message, Unreadable
from tests.layouts.foreign.odd import is_well_told
from tests.layouts.foreign.rows import odd_rows, rows

ROW = {
    "id": "m", "role": "apiMessage", "content": "a", "createdDate": "2026-09-21 14:13:21",
    "chatflowid": "flow", "chatId": "c", "sessionId": "s", "chatType": "INTERNAL",
}  # fmt: skip
OF_ALL = {"chatflowid": "flow", "chatId": "c", "sessionId": "s", "chatType": "INTERNAL"}


def test_what_was_called_comes_before_the_answer() -> None:
    tools = [
        {"tool": "f", "toolInput": {"a": 1}, "toolOutput": {"b": "ü"}, "sourceDocuments": [1]},
        {"tool": "g", "toolInput": "x"},
    ]
    told = unfold(
        "s",
        rows(
            messages=[
                {
                    **ROW,
                    "usedTools": json.dumps(tools),
                    "artifacts": '[{"type": "png"}]',
                    "chatId": "d",
                }
            ],
            feedback=[{"messageId": "m", "rating": "THUMBS_UP"}],
        ),
        utc=True,
    )
    at = datetime(2026, 9, 21, 14, 13, 21, tzinfo=UTC)
    assert told.extra == {"flowise": {**OF_ALL, "chatId": "d"}}
    assert told.messages == [
        Message(
            "assistant", "", created_at=at,
            tool_calls=[
                {"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": "x"},
            ],
            extra={"flowise": {
                "id": "m", "artifacts": [{"type": "png"}],
                "feedback": [{"rating": "THUMBS_UP"}], "blocks": [{"sourceDocuments": [1]}],
            }},
        ),
        Message(
            "tool", '{"b":"ü"}', created_at=at, name="f", extra={"flowise": {"id": "m"}}
        ),
        Message("assistant", "a", created_at=at, extra={"flowise": {"id": "m"}}),
    ]  # fmt: skip


def test_a_time_without_a_zone_is_kept_as_it_is() -> None:
    told = unfold("s", rows(messages=[ROW, {**ROW, "sessionId": "other"}]))
    assert told.messages == [
        Message("assistant", "a", extra={"flowise": {"id": "m", "createdDate": ROW["createdDate"]}}),
        Message(
            "assistant", "a",
            extra={"flowise": {"id": "m", "createdDate": ROW["createdDate"], "sessionId": "other"}},
        ),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "url"),
    [
        ({"mime": "image/png", "data": "data:image/png;base64,AA"}, "data:image/png;base64,AA"),
        ({"mime": "image/png", "type": "stored-file", "name": "a.png"}, "a.png"),
        ({"mime": "application/pdf", "name": "a.pdf"}, None),
    ],
)
def test_an_upload_is_an_image_or_kept(file: Any, url: str | None) -> None:
    row = {**ROW, "role": "userMessage", "fileUploads": json.dumps([file])}
    (message,) = unfold("s", rows(messages=[row])).messages
    assert isinstance(message, Message)
    images = [part["image_url"]["url"] for part in message.parts or () if "image_url" in part]
    assert images == ([] if url is None else [url])
    assert message.extra is not None
    assert message.extra["flowise"]["blocks"][0]["upload"]["mime"] == file["mime"]


def test_a_row_that_cannot_be_read_is_named_and_hides_nothing() -> None:
    told = unfold("s", rows(messages=[ROW, {**ROW, "content": 5}, {**ROW, "usedTools": "5"}]))
    assert [type(each) for each in told.messages] == [Message, Unreadable, Unreadable]
    assert told.messages[1:] == [
        Unreadable("m", "message m: its content is no text"),
        Unreadable("m", "message m: its usedTools are no list of objects"),
    ]


@given(
    odd_rows(
        messages=("id", "role", "content", "usedTools", "fileUploads", "createdDate", "chatId"),
        feedback=("messageId", "rating"),
    )
)
def test_anything_at_all_is_told_or_named(found: Any) -> None:
    found["messages"].append(['{"role": "apiMessage", "content": "a", "usedTools": [{}]}'])
    assert is_well_told(lambda: unfold("s", found, utc=True))
