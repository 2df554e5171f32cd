"""The AI SDK's parts, of its versions 4, 5 and 6; rows of copies; what is kept of each part."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given

from synmem.layouts.foreign.vercel_ai import SHAPES, unfold
from synmem.layouts.shapes import Rows
from synmem.messages import Message, Unreadable
from tests.layouts.foreign.odd import JSON, documents, is_well_told
from tests.layouts.foreign.rows import odd_rows, rows

AT = datetime(2026, 9, 21, 14, 13, 21, 125_000, tzinfo=UTC)
ROW = {"id": "m", "chatId": "c", "role": "assistant", "createdAt": "2026-09-21T14:13:21.125"}
CALL = {"id": "1", "name": "f", "arguments": {"a": 1}}


def told(*parts: Any, **more: Any) -> Any:
    return unfold("c", rows(messages=[{**ROW, "parts": [*parts], **more}])).messages


def said(role: str, content: str, *blocks: Any, **more: Any) -> Message:
    own = {"id": "m", **({"blocks": [*blocks]} if blocks else {})}
    return Message(role, content, created_at=AT, extra={"vercel_ai": own}, **more)


def test_a_chat_has_its_title_votes_and_owner() -> None:
    chat = unfold(
        "c",
        rows(
            chats=[{"id": "c", "title": "A title", "userId": "u", "visibility": "private"}],
            messages=[{**ROW, "parts": [{"type": "text", "text": "a", "state": "done"}]}],
            votes=[{"chatId": "c", "messageId": "m", "isUpvoted": True}],
        ),
    )
    assert chat.title == "A title"
    assert chat.extra == {"vercel_ai": {"userId": "u", "visibility": "private"}}
    (message,) = chat.messages
    assert message.extra == {"vercel_ai": {"id": "m", "votes": [{"isUpvoted": True}]}}


@pytest.mark.parametrize(
    "part",
    [
        {"type": "tool-f", "toolCallId": "1", "state": "output-available", "input": {"a": 1}, "output": "r"},
        {"type": "dynamic-tool", "toolName": "f", "toolCallId": "1", "state": "output-available", "input": {"a": 1}, "output": "r"},
        {"type": "tool-invocation", "toolInvocation": {"toolName": "f", "toolCallId": "1", "state": "result", "args": {"a": 1}, "result": "r"}},
        {"type": "tool-f", "toolCallId": "1", "state": "output-error", "input": {"a": 1}, "errorText": "r"},
    ],
)  # fmt: skip
def test_a_call_and_its_result_are_told_of_every_version(part: Any) -> None:
    call, result, last = told(part, {"type": "step-start"}, {"type": "text", "text": "b"})
    assert call.tool_calls == [CALL]
    assert (result.role, result.content) == ("tool", "r")
    assert (result.tool_call_id, result.name, last.content) == ("1", "f", "b")


@pytest.mark.parametrize("state", ["input-streaming", "input-available", "approval-requested"])
def test_a_call_that_is_not_answered_has_no_result(state: str) -> None:
    part = {"type": "tool-f", "toolCallId": "1", "state": state, "input": {"a": 1}}
    assert told(part) == [
        said("assistant", "", {"type": "tool-f", "state": state}, tool_calls=[CALL])
    ]


def test_a_result_that_is_no_text_is_compact_and_kept() -> None:
    part = {"type": "tool-f", "toolCallId": "1", "state": "output-available", "input": {"a": 1}}
    for output, text in (
        ({"t": "ü", "n": None}, '{"t":"ü","n":null}'),
        (None, "null"),
        (1.5, "1.5"),
    ):
        _, result = told({**part, "output": output})
        assert result == said("tool", text, {"output": output}, tool_call_id="1", name="f")  # fmt: skip


def test_reasoning_files_and_unknown_parts_are_kept() -> None:
    thought = {"type": "reasoning", "reasoning": "hm", "details": []}
    source = {"type": "source-url", "url": "https://x"}
    (message,) = told(
        thought,
        source,
        {"type": "text", "text": "a", "providerMetadata": {"k": 1}},
        {"type": "file", "mediaType": "image/png", "url": "https://x/a.png", "filename": "a"},
        {"type": "file", "mimeType": "image/png", "data": "AAAA"},
        {"type": "file", "mediaType": "text/plain", "url": "https://x/a.txt"},
        attachments=[{"contentType": "image/jpeg", "url": "https://x/b.jpg", "name": "b"}],
    )
    images = [part["image_url"]["url"] for part in message.parts if "image_url" in part]
    assert images == ["https://x/a.png", "data:image/png;base64,AAAA", "https://x/b.jpg"]
    assert message.extra["vercel_ai"]["blocks"] == [
        thought,
        source,
        {"type": "text", "providerMetadata": {"k": 1}},
        {"type": "file", "mediaType": "image/png", "filename": "a"},
        {"type": "file", "mimeType": "image/png"},
        {"type": "file", "mediaType": "text/plain", "url": "https://x/a.txt"},
        {"contentType": "image/jpeg", "name": "b"},
    ]


def test_a_question_that_is_only_a_file_is_a_message() -> None:
    file = {"type": "file", "mediaType": "application/pdf", "url": "https://x/a.pdf"}
    assert told(file, role="user") == [said("user", "", file)]


def test_rows_from_before_there_were_parts_are_read() -> None:
    found = [
        {**ROW, "role": "user", "content": "Hi"},
        {
            **ROW,
            "content": [
                {"type": "text", "text": "let me"},
                {"type": "tool-call", "toolCallId": "1", "toolName": "f", "args": {"a": 1}},
            ],
        },
        {
            **ROW, "role": "tool",
            "content": [{"type": "tool-result", "toolCallId": "1", "toolName": "f", "result": {"b": 2}}],
        },
    ]  # fmt: skip
    assert unfold("c", rows(messages=found)).messages == [
        said("user", "Hi"),
        said("assistant", "let me", tool_calls=[CALL]),
        said("tool", '{"b":2}', {"output": {"b": 2}}, tool_call_id="1", name="f"),
    ]


@pytest.mark.parametrize("text", ["42", "null", "[1]", "{}", '["a"]', ""])
def test_content_that_only_looks_like_json_is_text(text: str) -> None:
    assert unfold("c", rows(messages=[{**ROW, "content": text}])).messages == [
        said("assistant", text)
    ]
    parts = '[{"type": "text", "text": "a"}]'
    assert unfold("c", rows(messages=[{**ROW, "content": parts}])).messages == [
        said("assistant", "a")
    ]


def test_a_row_that_cannot_be_read_is_named_and_hides_nothing() -> None:
    found = [{**ROW, "parts": 5}, {**ROW, "parts": [{"type": 5}]}, {**ROW, "parts": []}, ROW]
    assert unfold("c", rows(messages=found)).messages == [
        Unreadable("m", "message m: its parts are no list of objects"),
        Unreadable("m", "message m: a part's type is no text"),
        said("assistant", ""),
        Unreadable("m", "message m: it has no parts"),
    ]


def test_a_copy_of_another_name_is_known_by_its_parts() -> None:
    shapes = [shape for shape in SHAPES["postgres"] if isinstance(shape, Rows)]
    assert [shape.conversation for shape in shapes] == ["chatId", "chat_id"]
    id_, at = UUID(int=1), datetime(2026, 9, 21, 14, 13, 21, 125_000)
    for shape in shapes:
        record = (id_, "user", '[{"type": "text", "text": "a"}]', at)
        assert shape.tells is not None
        assert shape.tells(record)
        assert shape.unfold(record) == [
            Message("user", "a", created_at=AT, extra={"vercel_ai": {"id": str(id_)}})
        ]
        for other in ('[{"text": "a"}]', "[]", "5", None, "no"):
            assert not shape.tells((id_, "user", other, at))


PARTS = (
    "type", "text", "toolCallId", "toolName", "state", "input", "output", "toolInvocation", "url",
    "mediaType", "args", "result",
)  # fmt: skip


@given(
    odd_rows(
        chats=("id", "title"),
        messages=("id", "role", "parts", "content", "attachments", "createdAt"),
        votes=("messageId", "isUpvoted"),
    )
)
def test_anything_at_all_is_told_or_named(found: Any) -> None:
    found["messages"].append(['{"id": "a", "role": "b", "parts": []}'])
    assert is_well_told(lambda: unfold("c", found))


@given(documents(*PARTS), JSON)
def test_anything_among_the_parts_is_told_or_named(parts: Any, kind: Any) -> None:
    row = {"id": "m", "role": "assistant", "parts": [*parts, {"type": kind}]}
    assert is_well_told(lambda: unfold("c", rows(messages=[row])))
