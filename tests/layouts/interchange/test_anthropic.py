"""Anthropic's messages: read, written, and as its own types want them."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synmem.layouts.interchange import anthropic
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

PNG = "iVBORw0KGgo="
USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {"n": 1}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "r"}
TEXT_X = {"type": "text", "text": "x"}


def read(*turns: Any, **beside: Any) -> list[Message]:
    """The messages of these turns, all of which can be read."""
    found, bad = told("anthropic", jsonl_of({**beside, "messages": turns}))
    assert not bad
    return found[0][1] if found else []


def user(content: Any, **beside: Any) -> Any:
    return {**beside, "role": "user", "content": content}


def answer(content: Any, **beside: Any) -> Any:
    return {**beside, "role": "assistant", "content": content}


def valid(found: Any) -> list[Any]:
    """The turns of an object that its types take."""
    check_valid("anthropic", found)
    turns: list[Any] = found["messages"]
    return turns


# --- reading --------------------------------------------------------------------------------


def test_results_are_messages_of_their_own_in_front_of_what_the_user_says() -> None:
    said = read(
        answer([TEXT_X, USE]),
        user([{**RESULT, "is_error": True}, {**RESULT, "tool_use_id": "t2"}, TEXT_X]),
    )
    call = {"id": "t1", "name": "f", "arguments": {"n": 1}}
    assert said == [
        Message("assistant", "x", tool_calls=[call]),
        Message("tool", "r", tool_call_id="t1", extra={"anthropic": {"is_error": True}}),
        Message("tool", "r", tool_call_id="t2"), Message("user", "x"),
    ]  # fmt: skip


def test_an_image_is_a_part_as_openai_has_it() -> None:
    blocks = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "image", "source": {"type": "url", "url": "https://h/x.png"}},
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/tiff", "data": PNG}},
    ]
    [said] = read(user(blocks))
    assert said.parts == [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "image_url", "image_url": {"url": "https://h/x.png"}}, *blocks[2:],
    ]  # fmt: skip


def test_the_system_prompt_is_the_first_message() -> None:
    assert read(user("q"), system="s") == [Message("system", "s"), Message("user", "q")]
    assert read(user("q"), system=[TEXT_X, TEXT_X])[0] == Message(
        "system", "x\nx", parts=[TEXT_X, TEXT_X]
    )
    found, bad = told("anthropic", jsonl_of({"system": 7, "messages": [user("q")]}))
    assert (len(found), bad) == (
        1,
        [("line-1", "1, message 1", "system is neither text nor a list of blocks")],
    )


@pytest.mark.parametrize(
    ("turn", "reason"),
    [
        ({"content": "x"}, "no role"), ({"role": 1, "content": "x"}, "role is not text"),
        ({"role": "human", "content": "x"}, "Anthropic has no role 'human'"),
        (user(None), "content is neither text nor a list of blocks"),
        (user([{"type": "tool_result"}]), "a tool_result has no tool_use_id"),
        (user([{**RESULT, "content": 1}]), "the content of a tool_result is neither text nor a list of blocks"),
    ],
)  # fmt: skip
def test_what_is_no_turn_says_why(turn: Any, reason: str) -> None:
    _, bad = told("anthropic", jsonl_of({"messages": [user("x"), turn]}))
    assert bad == [("line-1", "1, message 2", reason)]


def test_an_object_in_the_words_of_openai_is_named() -> None:
    for turn in ({"role": "tool", "content": "x"}, answer("x", tool_calls=[{}])):
        _, [(_, _, reason)] = told("anthropic", jsonl_of({"messages": [turn]}))
        assert reason == "it is like openai's, not anthropic's: -f openai reads it"


# --- writing --------------------------------------------------------------------------------


def test_the_system_stands_apart_and_results_in_the_users_turn() -> None:
    call = {"id": "t1", "name": "f", "arguments": '{"n": 1}'}
    messages = [
        Message("system", "s"), Message("user", "q"), Message("assistant", "", tool_calls=[call]),
        Message("tool", "r", tool_call_id="t1"), Message("user", "and?"), Message("assistant", "a"),
        Message("system", "be brief"),
    ]  # fmt: skip
    found = one("anthropic", *messages)
    assert valid(found) == [
        user("q"), answer([USE]), user([RESULT, {"type": "text", "text": "and?"}]), answer("a"),
        {"role": "system", "content": "be brief"},
    ]  # fmt: skip
    assert found["system"] == "s"


def test_neighbours_of_one_role_are_one_turn_and_that_is_told() -> None:
    messages = [
        Message("system", "s"), Message("developer", "d"), Message("user", "a"), Message("user", ""),
        Message("user", "b"), Message("assistant", "c"), Message("assistant", "", parts=[TEXT_X]),
    ]  # fmt: skip
    data, losses = exported("anthropic", [(Conversation("c"), messages)])
    [found] = objects(data)
    blocks = {text: {"type": "text", "text": text} for text in "sdabc"}
    assert valid(found) == [user([blocks["a"], blocks["b"]]), answer([blocks["c"], TEXT_X])]
    assert found["system"] == [blocks["s"], blocks["d"]]
    assert losses.lost["where a message ends and the next of its role begins"] == 4
    assert losses.lost["role developer"] == 1


def test_parts_are_blocks_and_those_of_others_are_counted() -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "image_url", "image_url": "https://h/x.png"}, TEXT_X,
        {"type": "image_url", "image_url": {"url": "data:image/bmp;base64,xx"}},
        {"type": "input_audio", "input_audio": {}}, {"type": "tool_use", "id": "t9"},
    ]  # fmt: skip
    thinking = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "thinking", "thinking": "hm", "signature": "s"},
    ]
    messages = [
        Message("user", "x", parts=parts),
        Message("assistant", "y", parts=[*thinking, {"type": "text", "text": "y"}]),
    ]
    data, losses = exported("anthropic", [(Conversation("c"), messages)])
    [found] = objects(data)
    assert valid(found) == [
        user([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
              {"type": "image", "source": {"type": "url", "url": "https://h/x.png"}}, TEXT_X]),
        answer([thinking[1], {"type": "text", "text": "y"}]),
    ]  # fmt: skip
    assert losses.lost == {
        "parts image_url": 1, "parts input_audio": 1, "parts tool_use": 1, "parts thinking": 1,
        "conversation id": 1,
    }  # fmt: skip


def test_ids_are_such_as_anthropic_takes_each_once() -> None:
    messages = [Message("user", "q")]
    for own in ("c.1", "same", "same", None):
        call = {"id": own, "name": "f"} if own else {"name": "f"}
        parts = (
            [{"type": "tool_use", "id": own, "name": "f", "input": {}}, TEXT_X]
            if own == "c.1"
            else None
        )
        messages += [
            Message("assistant", "", tool_calls=[call], parts=parts),
            Message("tool", "r", tool_call_id=own),
        ]
    data, losses = exported("anthropic", [(Conversation("c"), messages)] * 2)
    first, second = objects(data)
    assert first == second
    turns = valid(first)
    uses = [
        block for turn in turns[1::2] for block in turn["content"] if block["type"] == "tool_use"
    ]
    assert [use["id"] for use in uses] == ["call_2_1", "same", "call_6_1", "call_8_1"]
    assert [turn["content"][0]["tool_use_id"] for turn in turns[2::2]] == [
        use["id"] for use in uses
    ]
    assert turns[1]["content"][1] == TEXT_X
    assert losses.lost["id of a tool call"] == 4
    assert "parts tool_use" not in losses.lost


@pytest.mark.parametrize(
    ("messages", "left_out", "roles"),
    [
        ([Message("critic", "x"), Message("user", "y")], [(1, "Anthropic has no role 'critic'")], ["user"]),
        ([Message("system", "s"), Message("assistant", "hi"), Message("user", "y")],
         [(2, "nothing may stand in front of the user's first message")], ["user"]),
        ([Message("user", "y"), Message("tool", "x", tool_call_id="a"), Message("user", "z")],
         [(2, "it is the result of no call in front of it")], ["user"]),
        ([Message("user", "y"), Message("assistant", "x", tool_calls=[{"id": "a", "name": "f"}]), Message("user", "z")],
         [(2, "its call of f has no result")], ["user", "assistant", "user"]),
        ([Message("user", "y"), Message("assistant", "", tool_calls=[{"id": "a", "name": "f", "arguments": "torn"}])],
         [(2, "the arguments of a tool call are no JSON object")], ["user"]),
        ([Message("user", "y"), Message("assistant", "", tool_calls=[{"id": "a", "name": "f", "arguments": {"n": float("nan")}}])],
         [(2, "it holds NaN or Infinity, which is no JSON")], ["user"]),
        ([Message("user", "\ud800")], [(1, "it holds a lone surrogate, which is no text")], []),
    ],
)  # fmt: skip
def test_what_anthropic_does_not_take_is_named_and_left_out(
    messages: list[Message], left_out: list[tuple[int, str]], roles: list[str]
) -> None:
    for page in (1, 10):
        data, losses = exported("anthropic", [(Conversation("c"), messages)], page)
        assert [(each.number, each.reason) for each in losses.left_out] == left_out
        assert [turn["role"] for each in objects(data) for turn in valid(each)] == roles


def test_what_is_told_of_the_request_stands_in_front() -> None:
    extra = {"anthropic": {"model": "m", "max_tokens": 1, "bad": float("nan")}, "other": 1}
    data, losses = exported("anthropic", [(Conversation("c", extra=extra), [Message("user", "q")])])
    assert data == b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"q"}]}\n'
    assert losses.lost["conversation extra"] == 2


@pytest.mark.parametrize(
    "turns",
    [
        [user([]), answer([TEXT_X]), user([TEXT_X, TEXT_X])],
        [user("x"), answer([{"type": "thinking", "thinking": "", "signature": "s"}, USE]), user([{**RESULT, "content": []}])],
        [user("x"), answer([USE, TEXT_X]), user([RESULT])],
        [user("x"), answer([{**USE, "cache_control": {"type": "ephemeral"}}]), user([{k: v for k, v in RESULT.items() if k != "content"}])],
        [user("x"), answer([USE, {**USE, "id": "t2"}]), user([{**RESULT, "tool_use_id": "t2"}, {**RESULT, "is_error": False, "cache_control": None}, TEXT_X])],
        [user("x"), answer([USE, USE]), user([RESULT, RESULT])],
        [user("x"), answer("y", id="msg", usage={"input_tokens": 1}, stop_reason=None)],
        [user([{"type": "document", "source": {"type": "text", "data": "x"}}, {**TEXT_X, "cache_control": {}}])],
        [user("x"), answer([{**USE, "input": {}}]), user([{**RESULT, "content": [TEXT_X, {"type": "image", "source": {"type": "url", "url": "https://x"}}]}])],
        [user("x"), {"role": "system", "content": [TEXT_X]}, answer("")],
    ],
)  # fmt: skip
def test_any_spelling_is_written_back_as_it_was(turns: list[Any]) -> None:
    data = jsonl_of({"model": "m", "system": [TEXT_X], "messages": turns, "tools": []})
    found, bad = told("anthropic", data)
    assert not bad
    back, losses = exported("anthropic", found)
    if turns[1:2] == [answer([USE, USE])]:  # no two calls have one id
        assert losses.lost["id of a tool call"] == 1
    else:
        assert unchanged(objects(back), objects(data))


def test_what_was_read_otherwise_is_not_written_when_the_messages_say_another_thing() -> None:
    said = read(
        user("x"),
        answer([USE, TEXT_X]),
        user([{k: v for k, v in RESULT.items() if k != "content"}]),
    )
    [first, calling, result] = said
    changed = Message("tool", "clean", tool_call_id="t1", extra=result.extra)
    assert valid(one("anthropic", first, calling, changed))[2] == user(
        [{**RESULT, "content": "clean"}]
    )
    other = Message(
        "assistant",
        "y",
        tool_calls=[{"id": "t1", "name": "g", "arguments": {}}],
        parts=calling.parts,
    )
    use = {**USE, "name": "g", "input": {}}
    assert valid(one("anthropic", first, other, result))[1] == answer([use, TEXT_X])


BLOCKS = st.lists(
    st.builds(lambda text, more: {**more, "type": "text", "text": text}, TEXT, OBJECT)
    | st.builds(lambda url: {"type": "image", "source": {"type": "url", "url": url}}, TEXT)
    | st.builds(lambda data: {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}, TEXT),
    max_size=3,
)  # fmt: skip
THOUGHTS = st.lists(
    st.builds(lambda text: {"type": "text", "text": text}, TEXT)
    | st.builds(lambda text: {"type": "thinking", "thinking": text, "signature": text}, TEXT),
    max_size=2,
)


@st.composite
def conversations(draw: st.DrawFn) -> list[Any]:
    """A conversation as Anthropic has it, with anything beside."""
    turns: list[Any] = []
    results: list[Any] = []
    for turn in range(draw(st.integers(1, 3))):
        turns.append(user([*results, *draw(BLOCKS)] if results else draw(TEXT | BLOCKS)))
        uses = [
            {**(draw(OBJECT) if draw(st.booleans()) else {}), "type": "tool_use", "id": f"t{turn}_{n}", "name": draw(TEXT), "input": draw(OBJECT)}
            for n in range(draw(st.integers(0, 2)))
        ]  # fmt: skip
        blocks = draw(st.permutations([*draw(THOUGHTS), *uses]))
        turns.append(answer(blocks if uses else draw(TEXT | THOUGHTS)))
        results = [
            {**draw(OBJECT), "type": "tool_result", "tool_use_id": use["id"], "content": draw(TEXT | BLOCKS)} for use in uses
        ]  # fmt: skip
    return [*turns, user(results)] if results else turns


@settings(deadline=None, max_examples=200)
@given(turns=conversations(), beside=OBJECT, page=st.integers(1, 3))
def test_any_conversation_of_theirs_is_written_back_as_it_was(
    turns: list[Any], beside: dict[str, Any], page: int
) -> None:
    data = jsonl_of({**beside, "system": "s", "messages": turns})
    check_written_back("anthropic", data, page)


@st.composite
def messages(draw: st.DrawFn) -> list[Message]:
    """Messages of ours that Anthropic takes as they are."""
    found = [Message("system", draw(TEXT))] if draw(st.booleans()) else []
    for turn in range(draw(st.integers(1, 4))):
        found.append(Message("user", draw(TEXT.filter(bool))))
        calls = [
            {"id": f"t{turn}_{n}", "name": draw(TEXT), "arguments": draw(OBJECT)}
            for n in range(draw(st.integers(0, 2)))
        ]
        found.append(Message("assistant", draw(TEXT), tool_calls=calls or None))
        found += [Message("tool", draw(TEXT), tool_call_id=call["id"]) for call in calls]
    return found


@settings(deadline=None, max_examples=200)
@given(said=messages())
def test_what_anthropic_takes_comes_back_equal_and_is_of_its_types(said: list[Message]) -> None:
    data = written("anthropic", [(Conversation("line-1"), said)])
    valid(objects(data)[0])
    found, bad = told("anthropic", data)
    assert not bad
    back = [canonical(m, anthropic.HOLDS) for m in found[0][1]]
    assert back == [canonical(m, anthropic.HOLDS) for m in said if m.role != "system" or m.content]
