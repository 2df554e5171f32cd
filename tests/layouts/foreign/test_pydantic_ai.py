"""Pydantic AI's messages: requests and responses."""

from datetime import UTC, datetime
from typing import Any

from synmem.messages import Message, Unreadable
from tests.layouts.foreign.folders import messages, texts, unfolded

TIME = "2026-11-21T07:09:09.865532Z"
AT = datetime(2026, 11, 21, 7, 9, 9, 865532, UTC)


def part(kind: str, content: Any = None, **more: Any) -> dict[str, Any]:
    return {"content": content, **more, "part_kind": kind}


def request(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"parts": [*parts], **more, "kind": "request"}


def response(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"parts": [*parts], **more, "kind": "response"}


def told(*said: Any) -> list[Any]:
    return messages("pydantic_ai", {"chat.json": [*said]})


def test_each_part_of_a_request_is_a_message_with_its_own_time() -> None:
    found = told(
        request(
            part("system-prompt", "Be terse.", timestamp=TIME, dynamic_ref="x"),
            part("user-prompt", "hi", timestamp=TIME),
            instructions="in short",
            run_id="r",
            state="complete",
        )
    )
    own = {"pydantic_ai": {"instructions": "in short", "run_id": "r", "dynamic_ref": "x"}}
    assert found == [
        Message("system", "Be terse.", created_at=AT, extra=own),
        Message("user", "hi", created_at=AT),
    ]


def test_what_a_user_sends_is_text_images_and_files() -> None:
    content = [
        "look",
        {"kind": "image-url", "url": "https://x/a.png", "force_download": False},
        {"kind": "binary", "media_type": "image/png", "data": "-_8=", "identifier": "i"},
        {"kind": "binary", "media_type": "application/pdf", "data": "AA=="},
        {"kind": "document-url", "url": "https://x/a.pdf"},
        {"kind": "cache-point"},
        {"kind": "text-content", "content": "more", "metadata": {"a": 1}},
    ]
    [found] = told(request(part("user-prompt", content)))
    assert (found.role, found.content) == ("user", "look\nmore")
    urls = [each["image_url"]["url"] for each in found.parts if each["type"] == "image_url"]
    assert urls == ["https://x/a.png", "data:image/png;base64,+/8="]
    kept = found.extra["pydantic_ai"]["blocks"]
    assert {"kind": "document-url", "url": "https://x/a.pdf"} in kept
    assert {"kind": "binary", "media_type": "application/pdf", "data": "AA=="} in kept
    [alone] = told(request(part("user-prompt", [content[3]])))
    assert texts([alone]) == [("user", "")]


def test_what_a_tool_returns_is_its_message_and_so_is_that_its_call_failed() -> None:
    named = {"tool_name": "f", "tool_call_id": "c1"}
    found = told(
        request(
            part("tool-return", {"n": [1]}, **named, outcome="success", timestamp=TIME),
            part("tool-return", "no", **named, outcome="denied"),
            part("retry-prompt", [{"type": "missing", "loc": ["n"]}], **named),
            part("retry-prompt", "answer in JSON", tool_name=None, tool_call_id="x"),
            part("retry-feedback", "again", retry={"cause": "model_retry"}),
        )
    )
    assert [(m.role, m.content, m.tool_call_id, m.name) for m in found] == [
        ("tool", '{"n":[1]}', "c1", "f"),
        ("tool", "no", "c1", "f"),
        ("tool", '[{"type":"missing","loc":["n"]}]', "c1", "f"),
        ("user", "answer in JSON", None, None),
        ("user", "again", None, None),
    ]
    assert found[0] == Message("tool", '{"n":[1]}', created_at=AT, tool_call_id="c1", name="f")
    assert found[1].extra == {"pydantic_ai": {"blocks": [{"outcome": "denied"}]}}
    assert found[4].extra == {"pydantic_ai": {"retry": {"cause": "model_retry"}}}


def test_a_response_is_an_answer_of_many_parts() -> None:
    found = told(
        response(
            part("thinking", "hm", signature="s"),
            part("text", "I look."),
            part("builtin-tool-call", tool_name="web", args='{"q": "x"}', tool_call_id="b1"),
            part("builtin-tool-return", "found", tool_name="web", tool_call_id="b1"),
            part("text", "Here."),
            part("tool-call", tool_name="f", args="{oops", tool_call_id="c1"),
            part("tool-call", tool_name="g", args=None, tool_call_id="c2"),
            part("file", {"kind": "binary", "media_type": "image/png", "data": "AA=="}),
            timestamp=TIME,
            model_name="m",
            usage={"input_tokens": 3, "output_tokens": 0, "details": {}},
        )
    )
    assert texts(found) == [("assistant", "I look."), ("tool", "found"), ("assistant", "Here.")]
    first, result, last = found
    assert first.tool_calls == [{"id": "b1", "name": "web", "arguments": {"q": "x"}}]
    assert first.extra["pydantic_ai"]["blocks"][0]["content"] == "hm"
    own = {"model_name": "m", "usage": {"input_tokens": 3}}
    assert {k: first.extra["pydantic_ai"][k] for k in own} == own
    assert (result.tool_call_id, result.name, result.created_at) == ("b1", "web", AT)
    assert last.tool_calls == [
        {"id": "c1", "name": "f", "arguments": "{oops"},
        {"id": "c2", "name": "g", "arguments": {}},
    ]
    assert last.parts[1] == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,AA=="},
    }


def test_speech_is_what_was_said() -> None:
    found = told(
        request(part("speech", speaker="user", transcript="hello", id="s1")),
        response(part("speech", speaker="assistant", transcript="hi"), part("speech")),
    )
    assert texts(found) == [("user", "hello"), ("assistant", "hi")]


def test_parts_of_a_kind_that_is_not_listed_are_kept() -> None:
    [found] = told(request(part("instruction", "short"), part("user-prompt", "hi")))
    own = {"parts": [{"content": "short", "part_kind": "instruction"}]}
    assert found == Message("user", "hi", extra={"pydantic_ai": own})
    assert told(response(part("compaction", "c"))) == [
        Message(
            "assistant",
            "",
            extra={"pydantic_ai": {"blocks": [{"content": "c", "part_kind": "compaction"}]}},
        )
    ]


def test_a_message_that_cannot_be_read_is_named_and_hides_no_other() -> None:
    odd: list[Any] = [{"kind": "request"}, {"kind": "summary", "parts": []}, 3]
    found = told(request(part("user-prompt", "a")), *odd, response(part("text", 3)))
    assert [type(each) for each in found] == [Message, *[Unreadable] * 4]
    assert found[1].reason == "message 1: no 'parts'"


def test_a_first_part_longer_than_what_is_looked_at_is_no_hindrance() -> None:
    found = told(request(part("user-prompt", "x" * 100_000)))
    assert texts(found) == [("user", "x" * 100_000)]
    contents = [{"parts": [{"text": "x" * 100_000}], "role": "user"}]  # Gemini's
    assert unfolded("pydantic_ai", {"a.json": contents}) == {}
