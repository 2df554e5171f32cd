"""Haystack's messages, as `ChatMessage.to_dict` gives them."""

from typing import Any

from synmem.messages import Message, Unreadable
from tests.layouts.foreign.folders import messages, texts, unfolded

CALL = {"tool_name": "f", "arguments": {"n": 1}, "id": "c1", "extra": None}


def said(role: str, *content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "meta": {}, "name": None, "content": [*content], **more}


def one(*content: Any, **more: Any) -> list[Any]:
    """What one message of the assistant's says."""
    return messages("haystack", {"a.json": [said("assistant", *content, **more)]})


def test_a_list_is_called_as_its_file_and_of_an_object_each_list_as_its_key() -> None:
    hello = [said("user", {"text": "hello"})]
    assert unfolded("haystack", {"x/chat.json": hello}).keys() == {"chat"}
    assert unfolded("haystack", {"chat.json": {"a": hello, "b/c": hello}}).keys() == {"a", "b/c"}


def test_who_speaks_is_the_name_and_what_has_no_word_is_kept() -> None:
    [found] = one({"text": "a"}, {"text": "b", "lang": "en"}, name="bob", meta={"model": "m"})
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    extra = {"haystack": {"meta": {"model": "m"}, "blocks": [{"text": "b", "lang": "en"}]}}
    assert found == Message("assistant", "a\nb", name="bob", parts=parts, extra=extra)


def test_calls_and_results_keep_what_else_is_said_of_them() -> None:
    signed = {**CALL, "extra": {"signature": "s"}}
    [call] = one({"tool_call": CALL}, {"tool_call": signed})
    assert call.tool_calls == [{"id": "c1", "name": "f", "arguments": {"n": 1}}] * 2
    assert call.extra == {"haystack": {"blocks": [{"tool_call": {"extra": {"signature": "s"}}}]}}
    failed = {"result": "no", "origin": CALL, "error": True}
    [result] = one({"tool_call_result": failed})
    own = {"haystack": {"blocks": [{"tool_call_result": {"error": True}}]}}
    assert result == Message("tool", "no", tool_call_id="c1", name="f", extra=own)


def test_a_result_of_several_contents_is_their_texts_and_all_are_kept() -> None:
    contents = [{"text": "a"}, {"image": {"base64_image": "AA=="}}, {"text": "b"}]
    [found] = one({"tool_call_result": {"result": contents, "origin": CALL, "error": False}})
    assert (found.role, found.content) == ("tool", "a\nb")
    assert found.extra == {"haystack": {"blocks": [{"tool_call_result": {"result": contents}}]}}


def test_reasoning_files_and_what_is_unknown_are_kept() -> None:
    blocks = [
        {"reasoning": {"reasoning_text": "hm", "extra": {}}},
        {"file": {"base64_data": "AA==", "mime_type": "application/pdf"}},
        {"hologram": 1},
    ]
    [found] = one(*blocks, {"text": "x"})
    assert found == Message("assistant", "x", extra={"haystack": {"blocks": blocks}})
    of_user = messages("haystack", {"a.json": [said("user", blocks[1])]})
    assert texts(of_user) == [("user", "")]


def test_before_version_2_9_the_content_was_a_text() -> None:
    older = {"content": "hi", "role": "user", "name": "bob", "meta": {}}
    result = {"content": "42", "role": "function", "name": "f", "meta": {}}
    found = messages("haystack", {"a.json": [older, result]})
    assert found == [Message("user", "hi", name="bob"), Message("function", "42", name="f")]


def test_a_message_that_cannot_be_read_is_named_and_hides_no_other() -> None:
    odd = [{"meta": {}}, said("user", 4), {"role": 1, "content": "x"}]
    found = messages("haystack", {"a.json": [said("user", {"text": "a"}), *odd]})
    assert [type(each) for each in found] == [Message, *[Unreadable] * 3]
    assert found[1].reason == "message 1: no 'role'"


def test_a_conversation_that_is_no_list_is_named_and_hides_no_other() -> None:
    found = unfolded("haystack", {"a.json": {"a": [said("user", {"text": "x"})], "b": 3}})
    assert {id_: texts([*told.messages]) for id_, told in found.items()} == {
        "a": [("user", "x")],
        "b": [("!", "conversation b: its messages are no list")],
    }


def test_one_conversation_of_several_may_be_odd_and_a_field_of_something_else_is_none() -> None:
    hello = [said("user", {"text": "hello"})]
    assert unfolded("haystack", {"a.json": {"a": None, "b": hello, "c": hello}}).keys() >= {
        "b",
        "c",
    }
    assert unfolded("haystack", {"a.json": {"id": "x", "messages": hello}}) == {}


def test_a_question_whose_text_is_damaged_is_one_that_keeps_it() -> None:
    [found] = messages("haystack", {"a.json": [said("user", {"text": ["hello"]})]})
    own = {"haystack": {"blocks": [{"text": ["hello"]}]}}
    assert found == Message("user", "", extra=own)
