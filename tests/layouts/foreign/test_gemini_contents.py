"""Gemini's contents: checkpoints, and bodies of requests."""

from typing import Any

import pytest

from synmem.messages import Message, Unreadable
from tests.layouts.foreign.folders import messages, unfolded


def said(role: str, *parts: Any) -> dict[str, Any]:
    return {
        "role": role,
        "parts": [{"text": each} if isinstance(each, str) else each for each in parts],
    }


@pytest.mark.parametrize(
    "wrap", [lambda c: c, lambda c: {"history": c, "authType": "x"}, lambda c: {"contents": c}]
)
def test_a_list_a_history_and_a_request_are_the_same(wrap: Any) -> None:
    found = messages("gemini_contents", {"x.json": wrap([said("user", "a"), said("model", "b")])})
    assert found == [Message("user", "a"), Message("assistant", "b")]


@pytest.mark.parametrize(
    ("file", "id_"), [("checkpoint-a%2Fb.json", "a/b"), ("d/request.json", "request")]
)
def test_a_conversation_is_called_as_its_file(file: str, id_: str) -> None:
    assert [*unfolded("gemini_contents", {file: [said("user", "a")]})] == [id_]


@pytest.mark.parametrize(
    ("key", "prompt"),
    [("systemInstruction", {"parts": [{"text": "S"}]}), ("system_instruction", "S")],
)
def test_the_system_prompt_comes_first_and_the_rest_is_kept(key: str, prompt: Any) -> None:
    body = {key: prompt, "contents": [said("user", "a")], "generationConfig": {"temperature": 0}}
    found = unfolded("gemini_contents", {"x.json": body})["x"]
    assert [(m.role, m.content) for m in found.messages if isinstance(m, Message)] == [
        ("system", "S"),
        ("user", "a"),
    ]
    assert found.extra == {"gemini_contents": {"generationConfig": {"temperature": 0}}}


@pytest.mark.parametrize(
    "words", [("functionCall", "functionResponse"), ("function_call", "function_response")]
)
def test_calls_may_have_no_id(words: tuple[str, str]) -> None:
    call = {words[0]: {"name": "f", "args": {"n": 1}}}
    answer = {words[1]: {"name": "f", "response": {"result": "r", "more": 1}}}
    asked, result = messages(
        "gemini_contents", {"x.json": [said("model", "hm", call), said("user", answer)]}
    )
    assert asked == Message("assistant", "hm", tool_calls=[{"name": "f", "arguments": {"n": 1}}])
    assert (result.role, result.content, result.name) == ("tool", "r", "f")
    assert result.extra["gemini_contents"]["blocks"][0][words[1]]["response"]["more"] == 1


def test_an_image_is_a_part_and_other_data_is_kept() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    other = {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://x"}}
    [found] = messages("gemini_contents", {"x.json": [said("user", image, other, "look")]})
    assert found.parts[0] == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,AA=="},
    }
    assert other in found.extra["gemini_contents"]["blocks"]
    [alone] = messages("gemini_contents", {"x.json": [said("user", other)]})
    assert alone == Message("user", "", extra={"gemini_contents": {"blocks": [other]}})


def test_what_cannot_be_read_is_named_in_its_place() -> None:
    found = messages(
        "gemini_contents", {"x.json": [said("user", "a"), 3, {"role": 1}, said("model", "b")]}
    )
    assert [type(each) for each in found] == [Message, Unreadable, Unreadable, Message]
