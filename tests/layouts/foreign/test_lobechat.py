"""LobeChat's rows: reasoning, calls, plugins and files, each kept where it belongs."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from synmem.layouts.foreign.lobechat import unfold
from synmem.messages import Message, Unreadable
from tests.layouts.foreign.odd import is_well_told
from tests.layouts.foreign.rows import odd_rows, rows

AT = datetime(2026, 9, 21, 14, 13, 21, 500_000, tzinfo=UTC)
ROW = {"id": "m", "role": "user", "content": "a", "created_at": "2026-09-21T16:13:21.5+02:00"}


def test_a_tool_row_answers_the_call_that_its_plugin_names() -> None:
    told = unfold(
        "tpc",
        rows(
            topics=[{"id": "tpc", "title": "A title", "user_id": "u", "history_summary": None}],
            messages_of_topic_id=[
                {
                    **ROW, "role": "assistant", "reasoning": {"content": "hm", "duration": 2},
                    "tools": [{"id": "1", "apiName": "f", "identifier": "p", "arguments": "{}"}],
                },
                {**ROW, "id": "t", "role": "tool", "content": "r"},
            ],
            plugins_of_topic_id=[
                {"id": "t", "tool_call_id": "1", "api_name": "f", "arguments": "{}", "state": {"s": 1}}
            ],
        ),
    )  # fmt: skip
    assert (told.title, told.extra) == ("A title", {"lobechat": {"user_id": "u"}})
    assert told.messages == [
        Message(
            "assistant", "a", created_at=AT, tool_calls=[{"id": "1", "name": "f", "arguments": {}}],
            extra={"lobechat": {
                "id": "m", "reasoning": {"content": "hm", "duration": 2},
                "blocks": [{"identifier": "p"}],
            }},
        ),
        Message(
            "tool", "r", created_at=AT, tool_call_id="1", name="f",
            extra={"lobechat": {"id": "t", "plugin": {"state": {"s": 1}}}},
        ),
    ]  # fmt: skip


def test_what_a_call_has_in_another_form_is_kept() -> None:
    tool = {"id": 5, "apiName": ["f"], "arguments": "{}"}
    (message,) = unfold("t", rows(messages_of_topic_id=[{**ROW, "tools": [tool]}])).messages
    assert isinstance(message, Message)
    assert message.tool_calls == [{"name": None, "arguments": {}}]
    assert (message.extra or {})["lobechat"]["blocks"] == [{"id": 5, "apiName": ["f"]}]


@pytest.mark.parametrize(
    ("known", "url"),
    [
        ([], "file"),
        ([{"id": "file", "file_type": "image/png", "url": "files/a.png"}], "files/a.png"),
        ([{"id": "file", "file_type": "application/pdf", "url": "files/a.pdf"}], None),
    ],
)
def test_a_file_is_an_image_where_nothing_says_otherwise(known: Any, url: str | None) -> None:
    (message,) = unfold(
        "ssn",
        {
            **rows(
                messages_of_session_id=[ROW],
                files_of_session_id=[{"message_id": "m", "file_id": "file"}],
            ),
            "what is known of session_id": rows(known=known)["known"],
        },
    ).messages
    assert isinstance(message, Message)
    images = [part["image_url"]["url"] for part in message.parts or () if "image_url" in part]
    assert images == ([] if url is None else [url])
    assert message.extra is not None
    assert message.extra["lobechat"]["blocks"][0]["file"]["file_id"] == "file"


def test_a_row_that_cannot_be_read_is_named_and_hides_nothing() -> None:
    found = rows(messages_of_topic_id=[ROW, {**ROW, "role": None}, {**ROW, "tools": {"id": 1}}])
    assert unfold("tpc", found).messages[1:] == [
        Unreadable("m", "message m: its role is no text"),
        Unreadable("m", "message m: its tools are no list of objects"),
    ]


@given(
    odd_rows(
        topics=("id", "title", "metadata"),
        messages_of_topic_id=("id", "role", "content", "tools", "reasoning", "created_at"),
        plugins_of_topic_id=("id", "tool_call_id", "api_name", "state"),
        files_of_topic_id=("message_id", "file_id"),
    )
)
def test_anything_at_all_is_told_or_named(found: Any) -> None:
    found["messages of topic_id"].append(['{"id": "a", "role": "tool", "content": "b"}'])
    assert is_well_told(lambda: unfold("tpc", found))
