"""OpenAI Agents' items: what is read of them, and written as they were; what has no item."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from synmem.layouts.foreign.openai_agents_items import HOLDS, json_of, message_of, refusal, unfold
from synmem.messages import Message, canonical
from synmem.messages import refusal as refused_by_all
from tests.services.openai_agents import Agents, agents

CALL = {"id": "call_1", "name": "f", "arguments": {"city": "Zürich", "n": 2**70}}
ARGUMENTS = '{"city":"Zürich","n":1180591620717411303424}'


def own(**kept: Any) -> Any:
    """What lies in the extra of a message."""
    return {"openai_agents": kept}


def call(**more: Any) -> Any:
    """A call of a function."""
    item = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": ARGUMENTS}
    return {**item, **more}


def output(value: Any, **more: Any) -> Any:
    """What a function gave back."""
    return {"type": "function_call_output", "call_id": "call_1", "output": value, **more}


def answer(*blocks: Any, **more: Any) -> Any:
    """A message of the model's."""
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
        "content": [*blocks], **more,
    }  # fmt: skip


def said(text: str, **more: Any) -> Any:
    """A text in it."""
    return {"type": "output_text", "text": text, "annotations": [], **more}


IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "x"}}
PATCHED = {"type": "apply_patch_call_output", "call_id": "c", "status": "completed", "output": "ok"}

READ = [
    ({"role": "user", "content": "x"}, Message("user", "x")),
    ({"role": "developer", "content": ""}, Message("developer", "")),
    ({"role": "assistant", "content": "x"}, Message("assistant", "x")),
    (
        {"role": "user", "content": "x", "type": "message", "new": [1, None]},
        Message("user", "x", extra=own(type="message", new=[1, None])),
    ),
    ({"role": "user", "content": []}, Message("user", "", extra=own(content=[]))),
    (
        {"role": "user", "content": [{"type": "input_text", "text": "a"}, IMAGE, {"type": "input_text", "text": "b"}]},
        Message(
            "user", "a\nb",
            parts=[
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": IMAGE["image_url"], "detail": "auto"}},
                {"type": "text", "text": "b"},
            ],
        ),
    ),
    (
        {"role": "user", "content": [{"type": "input_image", "file_id": "f", "image_url": None}, {"type": "input_file", "file_data": "AA==", "filename": "a.pdf"}]},
        Message(
            "user", "",
            parts=[
                {"type": "input_image", "file_id": "f", "image_url": None},
                {"type": "file", "file": {"file_data": "AA==", "filename": "a.pdf"}},
            ],
        ),
    ),
    (
        answer(said("a"), said("b")),
        Message("assistant", "a\nb", parts=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], extra=own(id="msg_1")),
    ),
    (
        answer(said("a", logprobs=[], annotations=[{"type": "url_citation"}]), {"type": "refusal", "refusal": "no"}, status="incomplete"),
        Message(
            "assistant", "a",
            parts=[
                {"type": "text", "text": "a", "logprobs": [], "annotations": [{"type": "url_citation"}]},
                {"type": "refusal", "refusal": "no"},
            ],
            extra=own(id="msg_1", status="incomplete"),
        ),
    ),
    (
        {"role": "assistant", "content": [said("a")]},
        Message("assistant", "a", parts=[{"type": "text", "text": "a"}], extra=own(item={"role": "assistant", "content": [said("a")]})),
    ),
    (call(), Message("assistant", "", tool_calls=[CALL])),
    (call(id="fc_1", status="completed"), Message("assistant", "", tool_calls=[CALL], extra=own(id="fc_1", status="completed"))),
    (
        call(arguments='{"a": 1}'),
        Message("assistant", "", tool_calls=[{**CALL, "arguments": {"a": 1}}], extra=own(arguments='{"a": 1}')),
    ),
    (
        call(arguments="{oops"),
        Message("assistant", "", tool_calls=[{**CALL, "arguments": "{oops"}], extra=own(arguments="{oops")),
    ),
    (output("21"), Message("tool", "21", tool_call_id="call_1")),
    (
        output([{"type": "input_text", "text": "21"}], id="fco"),
        Message("tool", "21", tool_call_id="call_1", parts=[{"type": "text", "text": "21"}], extra=own(id="fco")),
    ),
    (
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gA"},
        Message("reasoning", "hm", extra=own(id="rs", encrypted_content="gA")),
    ),
    (
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": t} for t in "ab"]},
        Message("reasoning", "a\nb", extra=own(id="rs", summary=[{"type": "summary_text", "text": t} for t in "ab"])),
    ),
    (
        {"type": "reasoning", "id": "rs", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
        Message("reasoning", "hm", extra=own(id="rs", summary=[], content=[{"type": "reasoning_text", "text": "hm"}])),
    ),
    (SEARCH, Message("assistant", "", extra=own(item=SEARCH))),
    (PATCHED, Message("tool", "ok", tool_call_id="c", extra=own(type=PATCHED["type"], status="completed"))),
    ({"role": "user", "content": "x", "item": 5}, Message("user", "x", extra=own(item={"role": "user", "content": "x", "item": 5}))),
]  # fmt: skip


@pytest.mark.parametrize(("theirs", "ours"), READ)
def test_what_is_read_is_written_as_it_was(theirs: Any, ours: Message) -> None:
    assert message_of(theirs) == ours
    assert refusal(ours) is None
    assert json.dumps(json_of(ours), sort_keys=True) == json.dumps(theirs, sort_keys=True)


@pytest.mark.parametrize(
    ("theirs", "why"),
    [
        (5, "not an object"),
        ([], "not an object"),
        ({}, "no role"),
        ({"role": 5, "content": "x"}, "no role"),
        ({"role": "user"}, "neither text"),
        ({"role": "user", "content": None}, "neither text"),
        ({"role": "user", "content": ["x"]}, "neither text"),
        ({"type": None, "role": "user", "content": "x"}, "type is not text"),
        ({"type": ["message"]}, "type is not text"),
        (call(call_id=None), "no call_id"),
        (call(arguments={}), "no arguments"),
        (output({"a": 1}), "neither text"),
        ({"__enc__": 1, "v": 1, "kid": "hkdf-v1", "payload": "gA"}, "only its key opens it"),
    ],
)
def test_what_is_no_message_says_why(theirs: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        message_of(theirs)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (Message("assistant", "x", tool_calls=[CALL]), "split"),
        (Message("assistant", "", tool_calls=[CALL, CALL]), "split"),
        (Message("user", "", tool_calls=[CALL]), "another message"),
        (Message("assistant", "", tool_calls=[{"name": "f", "arguments": {}}]), "no call_id"),
        (Message("assistant", "", tool_calls=[{**CALL, "index": 1}]), "another message"),
        (Message("tool", "without its call"), "no call_id"),
        (Message("Human", "x"), "no role 'Human'"),
        (Message("user", "another text", parts=[{"type": "text", "text": "x"}]), "of its parts"),
        (Message("user", "", parts=[{"type": "text", "text": 5}]), "another message"),
        (Message("reasoning", "x", parts=[{"type": "text", "text": "x"}]), "another message"),
        (Message("user", "x", extra=own(item=SEARCH)), "another message"),
        (Message("user", "x", extra=own(item={"type": 5})), "no such item"),
        (Message("user", "x", extra=own(content="y")), "another message"),
        (Message("user", "x", extra={"openai_agents": 5}), "not what an item"),
    ],
)
def test_what_has_no_item_is_refused(message: Message, why: str) -> None:
    assert why in str(refusal(message))


def test_what_of_others_lies_in_extra_does_not_travel() -> None:
    message = Message("user", "x", {"k": 1}, extra={**own(new="1"), "other": {"a": 1}})
    assert refusal(message) is None
    back = message_of(json_of(message))
    assert back == Message("user", "x", extra=own(new="1"))
    assert canonical(back, HOLDS) == canonical(message, HOLDS)


@pytest.mark.parametrize(
    ("value", "at"),
    [
        (None, None),
        ("2026-11-21 07:08:56", datetime(2026, 11, 21, 7, 8, 56, tzinfo=UTC)),
        ("2026-11-21 07:08:56.500000", datetime(2026, 11, 21, 7, 8, 56, 500000, tzinfo=UTC)),
        ("2026-11-21T09:08:56+02:00", datetime(2026, 11, 21, 7, 8, 56, tzinfo=UTC)),
        (datetime(2026, 11, 21, 7), datetime(2026, 11, 21, 7, tzinfo=UTC)),
    ],
)
def test_a_time_is_in_utc(value: Any, at: datetime | None) -> None:
    assert unfold('{"role": "user", "content": "x"}', value) == [Message("user", "x", None, at)]


@pytest.mark.parametrize("value", ["soon", 5, b"2026", 1.5, "0001-01-01T00:00:00+23:00"])
def test_what_is_no_time_says_so(value: Any) -> None:
    with pytest.raises(ValueError, match=r"time|isoformat|years"):
        unfold('{"role": "user", "content": "x"}', value)


texts = some.text(max_size=3) | some.sampled_from(["\x00", "\ud800", "user", "{}", "item"])
json_values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | texts,
    lambda inner: some.lists(inner, max_size=2) | some.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
objects = some.dictionaries(texts, json_values, max_size=2)
KINDS = ("input_text", "output_text", "text", "input_image", "image_url", "input_file", "file", "refusal")  # fmt: skip
blocks = objects | some.fixed_dictionaries(
    {"type": some.sampled_from(KINDS)},
    optional={
        "text": texts | json_values, "annotations": some.just([]) | json_values, "refusal": texts,
        "image_url": texts | objects | some.none(), "detail": texts | json_values,
        "file": objects | some.fixed_dictionaries({"file_id": texts}), "file_id": texts | some.none(),
        "filename": texts, "file_url": texts,
    },
)  # fmt: skip
contents = texts | some.lists(blocks, max_size=3)
TYPES = ("message", "function_call", "function_call_output", "reasoning", "mcp_call", "shell_call_output")  # fmt: skip
theirs = json_values | some.fixed_dictionaries(
    {},
    optional={
        "type": some.sampled_from(TYPES) | json_values, "role": some.sampled_from(["user", "assistant"]) | json_values,
        "content": contents | json_values, "output": contents | json_values, "call_id": texts | json_values,
        "name": texts, "arguments": some.sampled_from(['{"a":1}', '{"a": 1}', "5", "{", "NaN", '"\\ud800"']) | texts,
        "summary": some.lists(some.fixed_dictionaries({"type": some.just("summary_text"), "text": texts}), max_size=2) | json_values,
        "id": some.just("__fake_id__") | json_values, "status": some.just("completed") | json_values,
        "item": json_values,
    },
)  # fmt: skip


def check_theirs(item: Any) -> None:
    """What is read is written back with every key as it was; only what no model takes is refused."""
    try:
        message = message_of(item)
    except ValueError:
        return
    assert json.dumps(json_of(message), sort_keys=True) == json.dumps(item, sort_keys=True)
    if refused_by_all(message) is None and (why := refusal(message)):
        assert "no role" in why, why


@given(theirs)
def test_whatever_is_read_is_written_back(item: Any) -> None:
    check_theirs(item)


messages = some.builds(
    Message,
    some.sampled_from(["user", "assistant", "system", "developer", "tool", "reasoning"]) | texts,
    texts,
    tool_calls=some.none() | some.lists(some.fixed_dictionaries({"id": texts, "name": texts, "arguments": json_values}) | objects, max_size=2),
    tool_call_id=some.none() | texts,
    parts=some.none() | some.lists(blocks, max_size=2),
    extra=some.none() | some.fixed_dictionaries({"openai_agents": theirs | objects}),
)  # fmt: skip


def check_ours(message: Message) -> None:
    """A message that is not refused comes back equal."""
    if refusal(message) is None:
        back = message_of(json.loads(json.dumps(json_of(message))))
        assert canonical(back, HOLDS) == canonical(message, HOLDS)


@given(messages)
def test_whatever_is_not_refused_comes_back(message: Message) -> None:
    check_ours(message)


# --- the real one ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Iterator[Agents]:
    with agents() as running:
        yield running


@pytest.mark.real
@settings(max_examples=1000)
@given(theirs)
def test_whatever_is_read_is_written_back_ten_times_as_often(item: Any) -> None:
    check_theirs(item)


@pytest.mark.real
@settings(max_examples=1000)
@given(messages)
def test_whatever_is_not_refused_comes_back_ten_times_as_often(message: Message) -> None:
    check_ours(message)


PARTS = [
    {"type": "text", "text": "a"},
    {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
]


@pytest.mark.real
def test_what_we_make_an_item_of_can_be_sent_to_a_model(real: Agents) -> None:
    ours = [
        *(Message(role, "x") for role in ("user", "assistant", "system", "developer")),
        *(Message(role, "a", parts=PARTS[:1]) for role in ("user", "assistant", "system", "tool")),
        Message("user", "a", parts=PARTS),
        Message("reasoning", "hm"),
        Message("assistant", "", tool_calls=[CALL]),
        Message("tool", "x", tool_call_id="call_1"),
    ]
    ours = [m if m.role != "tool" else Message("tool", m.content, tool_call_id="c", parts=m.parts) for m in ours]  # fmt: skip
    assert [refusal(message) for message in ours] == [None] * len(ours)
    assert real.ask("taken", items=[*map(json_of, ours)]) == [None] * len(ours)
