"""ShareGPT: read and written."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synmem.layouts.interchange import sharegpt
from synmem.messages import Conversation, Message, canonical
from tests.layouts.interchange.forms import (
    OBJECT,
    TEXT,
    check_written_back,
    exported,
    jsonl_of,
    objects,
    one,
    told,
    written,
)

CALL = '{"name": "f", "arguments": {"n": 1}}'


def read(*turns: Any, **beside: Any) -> list[Message]:
    """The messages of these turns, all of which can be read."""
    found, bad = told("sharegpt", jsonl_of({**beside, "conversations": turns}))
    assert not bad
    return found[0][1]


def turn(speaker: str, value: str, **beside: Any) -> Any:
    return {"from": speaker, "value": value, **beside}


@pytest.mark.parametrize(
    ("words", "role"),
    [
        (["human", "user"], "user"), (["gpt", "assistant", "chatgpt", "bing", "bard"], "assistant"),
        (["system"], "system"), (["tool", "observation", "function_response"], "tool"), (["critic"], "critic"),
    ],
)  # fmt: skip
def test_whoever_speaks_by_any_word_is_written_back_by_it(words: list[str], role: str) -> None:
    turns = [turn(word, "x") for word in words]
    said = read(*turns)
    assert {message.role for message in said} == {role}
    assert one("sharegpt", *said)["conversations"] == turns


def test_calls_are_a_turn_of_their_own() -> None:
    calls = [{"name": "f", "arguments": {"n": 1}}, {"name": "g", "arguments": {}}]
    assert read(turn("function_call", CALL)) == [Message("assistant", "", tool_calls=calls[:1])]
    both = turn("function_call", json.dumps(calls))
    assert read(both) == [Message("assistant", "", tool_calls=calls)]
    for value in ("call f", "7", '{"n": 1}', "[]", '[{"name": "f"}, 7]'):
        [said] = read(turn("function_call", value))
        assert said == Message("assistant", value, extra={"sharegpt": {"from": "function_call"}})
    said = [
        Message(
            "assistant",
            "wait",
            tool_calls=[{"id": "c", "name": "g", "arguments": "{}"}, {"name": "f"}],
        )
    ]
    assert one("sharegpt", *said)["conversations"] == [
        turn("gpt", "wait"),
        turn("function_call", '[{"name": "g", "arguments": {}}, {"name": "f", "arguments": {}}]'),
    ]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (7, "not a JSON object"), ({"value": "x"}, "no from"), ({"from": "human"}, "no value"),
        ({"from": 1, "value": "x"}, "from is not text"), (turn("human", [1]), "value is not text"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_what_is_no_turn_says_why(item: Any, reason: str) -> None:
    _, bad = told("sharegpt", jsonl_of({"conversations": [turn("gpt", "x"), item]}))
    assert bad == [("line-1", "1, message 2", reason)]


def test_a_title_and_a_prompt_that_stand_beside_are_read_and_written_there() -> None:
    said = {
        "id": "a",
        "title": "T",
        "system": "s",
        "tools": "[]",
        "conversations": [turn("human", "x")],
    }
    [(conversation, messages)], bad = told("sharegpt", jsonl_of(said))
    assert not bad
    assert conversation == Conversation("a", "T", {"sharegpt": {"tools": "[]"}})
    assert [message.role for message in messages] == ["system", "user"]
    assert objects(written("sharegpt", [(conversation, messages)])) == [said]
    data, losses = exported("sharegpt", [(Conversation("a", "\ud800"), messages[1:])])
    assert objects(data) == [{"id": "a", "conversations": [turn("human", "x")]}]
    assert losses.lost == {"title": 1}


def test_what_has_no_place_is_counted_and_what_has_none_at_all_is_named() -> None:
    messages = [
        Message("critic", "x"), Message("user", "\ud800"), Message("user", "x", tool_calls=[{"name": "f"}]),
        Message("developer", "d", {"a": 1}, name="n"),
        Message("assistant", "", tool_calls=[{"id": "c", "name": "f"}]),
        Message("tool", "r", tool_call_id="c", parts=[{"type": "text", "text": "r"}]),
    ]  # fmt: skip
    data, losses = exported("sharegpt", [(Conversation("a"), messages)])
    assert [each["from"] for each in objects(data)[0]["conversations"]] == [
        "system",
        "function_call",
        "observation",
    ]
    assert [(each.number, each.reason) for each in losses.left_out] == [
        (1, "ShareGPT has no role 'critic'"), (2, "it holds a lone surrogate, which is no text"),
        (3, "ShareGPT has calls of the assistant's only, not of the role 'user'"),
    ]  # fmt: skip
    assert losses.lost == {
        "metadata": 1, "name": 1, "role developer": 1, "id of a tool call": 1, "tool_call_id": 1, "parts": 1,
    }  # fmt: skip


def test_what_was_read_otherwise_is_not_written_when_the_message_says_another_thing() -> None:
    [said] = read(turn("function_call", '{"name":"f","arguments":{"n":1}}'))
    assert one("sharegpt", said)["conversations"][0]["value"] == '{"name":"f","arguments":{"n":1}}'
    changed = Message(
        "assistant", "", tool_calls=[{"name": "f", "arguments": {"n": 2}}], extra=said.extra
    )
    assert one("sharegpt", changed)["conversations"] == [
        turn("function_call", '{"name": "f", "arguments": {"n": 2}}')
    ]


SPEAKERS = st.sampled_from(["human", "gpt", "system", "observation", "bing", "critic"]) | TEXT


@settings(deadline=None, max_examples=200)
@given(
    turns=st.lists(
        st.builds(lambda more, who, value: {**more, **turn(who, value)}, OBJECT, SPEAKERS, TEXT)
        | st.builds(lambda more, call: {**more, **turn("function_call", json.dumps(call))}, OBJECT,
                    st.fixed_dictionaries({"name": TEXT, "arguments": OBJECT | TEXT}) | OBJECT),
        min_size=1, max_size=4,
    ),
    beside=OBJECT, page=st.integers(1, 3),
)  # fmt: skip
def test_any_conversation_of_theirs_is_written_back_as_it_was(
    turns: list[Any], beside: dict[str, Any], page: int
) -> None:
    data = jsonl_of({**beside, "id": "a", "conversations": turns})
    check_written_back("sharegpt", data, page)


@settings(deadline=None, max_examples=200)
@given(
    said=st.lists(
        st.builds(Message, st.sampled_from(["system", "user", "assistant", "tool"]), TEXT)
        | st.builds(
            lambda name, arguments: Message("assistant", "", tool_calls=[{"name": name, "arguments": arguments}]),
            TEXT, OBJECT,
        ),
        min_size=1, max_size=5,
    ),
    title=TEXT,
)  # fmt: skip
def test_what_sharegpt_has_words_for_comes_back_equal(said: list[Message], title: str) -> None:
    talk = [(Conversation("ü/1", title), said)]
    found, bad = told("sharegpt", written("sharegpt", talk))
    assert not bad
    assert found[0][0] == talk[0][0]
    assert [canonical(m, sharegpt.HOLDS) for m in found[0][1]] == [
        canonical(m, sharegpt.HOLDS) for m in said
    ]
