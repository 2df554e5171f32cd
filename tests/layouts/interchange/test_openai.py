"""OpenAI's chat messages: read, written, and as its own types want them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synmem.layouts.interchange import openai
from synmem.messages import Conversation, Message, canonical
from tests.layouts.interchange.forms import (
    OBJECT,
    TEXT,
    check_valid,
    check_written_back,
    exported,
    jsonl_of,
    objects,
    one,
    told,
    unchanged,
    written,
)

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"n":1}'}}


def read(*items: Any) -> list[Message]:
    """The messages of a conversation of these, all of which can be read."""
    found, bad = told("openai", jsonl_of({"messages": items}))
    assert not bad
    return found[0][1] if found else []


def why(item: Any) -> str:
    """Why that is no message."""
    _, [(_, _, reason)] = told("openai", jsonl_of({"messages": [item]}))
    return reason


# --- reading --------------------------------------------------------------------------------


def test_arguments_are_the_object_that_their_text_says() -> None:
    [said] = read({"role": "assistant", "content": None, "tool_calls": [CALL]})
    assert said == Message(
        "assistant", "", tool_calls=[{"id": "c1", "name": "f", "arguments": {"n": 1}}]
    )
    for text in ("{torn", "[1]", '"x"', ""):
        call = {**CALL, "function": {"name": "f", "arguments": text}}
        [said] = read({"role": "assistant", "content": None, "tool_calls": [call]})
        assert said == Message(
            "assistant", "", tool_calls=[{"id": "c1", "name": "f", "arguments": text}]
        )


def test_what_has_no_word_of_ours_is_kept_where_it_stood() -> None:
    [said] = read({"role": "assistant", "content": "x", "weight": 0, "refusal": None})
    assert said.extra == {"openai": {"weight": 0, "refusal": None}}
    [(conversation, _)], _ = told(
        "openai", jsonl_of({"messages": [{"role": "user", "content": ""}], "tools": [], "id": "a"})
    )
    assert conversation == Conversation("a", extra={"openai": {"tools": [], "id": "a"}})


def test_parts_are_the_content_and_text_parts_its_text() -> None:
    parts = [
        {"type": "text", "text": "a"}, {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
        {"type": "text", "text": "b"},
    ]  # fmt: skip
    assert read({"role": "user", "content": parts}) == [Message("user", "a\nb", parts=parts)]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"content": "x"}, "no role"), ({"role": 1, "content": "x"}, "role is not text"),
        ({"role": "user"}, "no content"), ({"role": "user", "content": 1}, "content is neither text nor a list of parts"),
        ({"role": "user", "content": ["x"]}, "content is a list that holds something else than parts"),
        ({"role": "assistant", "content": "x", "tool_calls": [1]}, "tool_calls holds something that is not a JSON object"),
        ({"role": "user", "content": "x", "name": 1}, "name is not text"),
    ],
)  # fmt: skip
def test_what_is_no_message_says_why(item: Any, reason: str) -> None:
    assert why(item) == reason


def test_an_object_in_the_words_of_anthropic_is_named() -> None:
    for said in (
        {"system": "s", "messages": [{"role": "user", "content": "x"}]},
        {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "a"}]}]},
    ):
        _, [(name, _, reason)] = told("openai", jsonl_of(said))
        assert (name, reason) == (
            "line-1",
            "it is like anthropic's, not openai's: -f anthropic reads it",
        )


def test_a_request_of_a_batch_is_called_by_its_custom_id_and_written_back_as_it_was() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 9}
    around = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions"}
    plain = {"messages": body["messages"], "custom_id": "b"}
    data = jsonl_of({**around, "body": body}, {**around, "body": body, "id": "b"}, plain)
    found, bad = told("openai", data)
    assert not bad
    own = {**around, "body": {"model": "m", "max_tokens": 9}}
    assert found[0] == (Conversation("a", extra={"openai": own}), [Message("user", "x")])
    assert [conversation.id for conversation, _ in found] == ["a", "a#2", "line-3"]
    check_written_back("openai", data, 1)
    changed = [(found[0][0], [*found[0][1], Message("assistant", "y")])]
    [said] = objects(written("openai", changed))
    assert said["body"]["messages"][1:] == [{"role": "assistant", "content": "y"}]
    _, bad = told("openai", jsonl_of({**around, "body": {"messages": "x"}}))
    assert bad == [("a", "1", "messages is no JSON array")]


# --- writing --------------------------------------------------------------------------------


def test_content_is_null_beside_calls_and_arguments_are_text() -> None:
    calls = [{"id": "c1", "name": "f", "arguments": {"n": 1, "é": [2**70]}}]
    messages = [
        Message("user", "q"), Message("assistant", "", tool_calls=calls),
        Message("tool", "r", tool_call_id="c1", name="f"), Message("assistant", "a"),
    ]  # fmt: skip
    found = one("openai", *messages)
    said = found["messages"]
    function = {"name": "f", "arguments": '{"n":1,"é":[1180591620717411303424]}'}
    assert said == [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": function}]},
        {"role": "tool", "content": "r", "tool_call_id": "c1", "name": "f"},
        {"role": "assistant", "content": "a"},
    ]  # fmt: skip
    check_valid("openai", found)
    assert (
        one("openai", Message("assistant", "x", tool_calls=calls))["messages"][0]["content"] == "x"
    )


def test_calls_without_ids_get_some_and_results_answer_them_in_order() -> None:
    calls = [{"name": "f"}, {"id": "own", "name": "g", "arguments": "torn"}, {"name": "h"}]
    messages = [
        Message("assistant", "", tool_calls=calls), Message("tool", "1"),
        Message("tool", "2", tool_call_id="own"), Message("tool", "3"), Message("user", "so?"),
    ]  # fmt: skip
    found = one("openai", *messages)
    check_valid("openai", found)
    said = found["messages"]
    assert [(c["id"], c["function"]["arguments"]) for c in said[0]["tool_calls"]] == [
        ("call_1_1", "{}"), ("own", "torn"), ("call_1_3", "{}"),
    ]  # fmt: skip
    assert [(r["tool_call_id"], r["content"]) for r in said[1:4]] == [
        ("call_1_1", "1"), ("own", "2"), ("call_1_3", "3"),
    ]  # fmt: skip


CALLING = Message("assistant", "", tool_calls=[{"id": "a", "name": "f"}, {"id": "b", "name": "g"}])
LATE = "it is the result of no call in front of it"


@pytest.mark.parametrize(
    ("messages", "left_out", "roles"),
    [
        ([Message("critic", "x")], [(1, "OpenAI has no role 'critic'")], []),
        ([Message("tool", "x", tool_call_id="a"), Message("user", "y")], [(1, LATE)], ["user"]),
        ([CALLING], [], ["assistant"]),
        ([CALLING, Message("tool", "1", tool_call_id="b"), Message("tool", "1", tool_call_id="b")],
         [(3, LATE), (1, "its call of f has no result")], ["assistant", "tool"]),
        ([CALLING, Message("user", "x"), Message("tool", "1", tool_call_id="a")],
         [(1, "its call of f, g has no result"), (3, LATE)], ["user"]),
        ([Message("assistant", "", tool_calls=[{"id": "a"}])], [(1, "a tool call has no name")], []),
        ([Message("user", "", tool_calls=[{"id": "a", "name": "f"}])],
         [(1, "OpenAI has calls of the assistant's only, not of the role 'user'")], []),
        ([Message("user", "\ud800"), Message("user", "x")], [(1, "it holds a lone surrogate, which is no text")], ["user"]),
        ([Message("user", "x", parts=[{"type": "image_url", "image_url": {"url": float("nan")}}])],
         [(1, "it holds NaN or Infinity, which is no JSON")], []),
    ],
)  # fmt: skip
def test_what_openai_does_not_take_is_named_and_left_out(
    messages: list[Message], left_out: list[tuple[int, str]], roles: list[str]
) -> None:
    for page in (1, 10):
        data, losses = exported("openai", [(Conversation("c"), messages)], page)
        assert [(each.number, each.reason) for each in losses.left_out] == left_out
        assert losses.count == len(left_out)
        said = [item for each in objects(data) for item in each["messages"]]
        assert [item["role"] for item in said] == roles
        check_valid("openai", {"messages": said})


def test_what_else_has_no_place_is_counted_by_its_kind() -> None:
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "x"}]
    messages = [
        Message("user", "q", {"a": 1}, extra={"other": {"k": 1}}),
        Message("assistant", "x", parts=parts),
        Message("assistant", "x", parts=[*parts, {"type": "image_url", "image_url": {"url": "u"}}]),
        Message("user", "", parts=[{"type": 7}, {"type": "text", "text": None}]),
    ]
    data, losses = exported("openai", [(Conversation("c", "T", {"other": 1}), messages)])
    assert not losses.left_out
    assert losses.lost == {
        "metadata": 1, "extra": 1, "parts thinking": 2, "parts image_url": 1, "parts 7": 1,
        "parts text": 1, "conversation id": 1, "title": 1, "conversation extra": 1,
    }  # fmt: skip
    [found] = objects(data)
    assert [item["content"] for item in found["messages"]] == ["q", "x", "x", ""]


def test_what_was_read_otherwise_is_not_written_when_the_message_says_another_thing() -> None:
    item = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{**CALL, "function": {"name": "f", "arguments": '{ "n": 1 }'}}],
    }
    [said] = read(item)
    assert unchanged(openai.fold(said).item, item)
    changed = Message(
        "assistant",
        "clean",
        tool_calls=[{"id": "c1", "name": "f", "arguments": {"n": 2}}],
        extra=said.extra,
    )
    assert openai.fold(changed).item == {
        "role": "assistant", "content": "clean",
        "tool_calls": [{**CALL, "function": {"name": "f", "arguments": '{"n":2}'}}],
    }  # fmt: skip


@pytest.mark.parametrize(
    "items",
    [
        [{"role": "assistant", "content": "", "tool_calls": [CALL]}],
        [{"role": "assistant", "tool_calls": [CALL]}],
        [{"role": "assistant", "content": None, "tool_calls": [{**CALL, "function": {"name": "f", "arguments": {"n": 1.0}}}]}],
        [{"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "f", "input": "x"}}]}],
        [{"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
         {"role": "function", "name": "f", "content": "r"}, {"role": "user", "content": "x"}],
        [{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "refusal": "no"}],
        [{"role": "assistant", "content": None, "refusal": "no"}, {"role": "assistant", "refusal": "no"}],
        [{"role": "assistant", "content": "x", "tool_calls": []}, {"role": "user", "content": []}],
        [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]}],
        [{"role": "user", "content": "x", "message": "y", "name": None}],
    ],
)  # fmt: skip
def test_any_spelling_is_written_back_as_it_was(items: list[Any]) -> None:
    data = jsonl_of({"messages": items, "tools": [{"type": "function"}], "n": 1.0})
    found, bad = told("openai", data)
    assert not bad
    assert unchanged(objects(written("openai", found)), objects(data))


PARTS = st.lists(
    st.builds(lambda text: {"type": "text", "text": text}, TEXT)
    | st.builds(lambda url: {"type": "image_url", "image_url": {"url": url}}, TEXT)
    | st.builds(lambda kind, more: {**more, "type": kind}, TEXT, OBJECT),
    max_size=3,
)
CALLS = st.lists(
    st.builds(lambda name, arguments: {"name": name, "arguments": arguments}, TEXT, OBJECT | TEXT),
    max_size=2,
)


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A conversation as OpenAI has it, with anything beside."""
    items: list[dict[str, Any]] = []
    for turn in range(draw(st.integers(1, 3))):
        beside = {k: v for k, v in draw(OBJECT).items() if k not in ("role", "content", "message")}
        content = draw(TEXT | st.none() | PARTS)
        items.append(
            {
                **beside,
                "role": draw(st.sampled_from(["system", "user", "developer"])),
                "content": draw(TEXT | PARTS),
            }
        )
        calls = [
            {**draw(OBJECT), "id": f"c{turn}{n}", "type": "function", "function": {
                "name": call["name"], "arguments": draw(st.sampled_from([json.dumps(call["arguments"]), str(call["arguments"])]))}}
            for n, call in enumerate(draw(CALLS))
        ]  # fmt: skip
        answer = {**beside, "role": "assistant", "content": content}
        items.append({**answer, "tool_calls": calls} if calls or draw(st.booleans()) else answer)
        items += [
            {"role": "tool", "content": draw(TEXT | PARTS), "tool_call_id": call["id"]}
            for call in calls
        ]
    return items


@settings(deadline=None, max_examples=200)
@given(items=conversations(), beside=OBJECT, page=st.integers(1, 3))
def test_any_conversation_of_theirs_is_written_back_as_it_was(
    items: list[Any], beside: dict[str, Any], page: int
) -> None:
    beside = {
        key: value for key, value in beside.items() if key not in ("messages", "system", "id")
    }
    data = jsonl_of({**beside, "messages": items})
    check_written_back("openai", data, page)


@st.composite
def messages(draw: st.DrawFn) -> list[Message]:
    """Messages of ours that OpenAI takes as they are."""
    found = []
    for turn in range(draw(st.integers(1, 4))):
        found.append(Message(draw(st.sampled_from(["system", "user", "developer"])), draw(TEXT)))
        calls = [
            {"id": f"c{turn}{n}", **call, "arguments": draw(OBJECT)}
            for n, call in enumerate(draw(CALLS))
        ]
        found.append(Message("assistant", draw(TEXT), tool_calls=calls or None, name=draw(TEXT)))
        found += [Message("tool", draw(TEXT), tool_call_id=call["id"]) for call in calls]
    return found


@settings(deadline=None, max_examples=200)
@given(said=messages())
def test_what_openai_takes_comes_back_equal_and_is_of_its_types(said: list[Message]) -> None:
    data = written("openai", [(Conversation("line-1"), said)])
    check_valid("openai", objects(data)[0])
    [(_, back)], bad = told("openai", data)
    assert not bad
    assert [canonical(m, openai.HOLDS) for m in back] == [canonical(m, openai.HOLDS) for m in said]
