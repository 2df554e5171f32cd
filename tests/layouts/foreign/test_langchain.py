"""LangChain's messages: what is read of them, and written as they were; what its reader refuses."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from synmem.layouts.foreign.langchain_messages import (
    HOLDS,
    json_of,
    message_in,
    message_of,
    refusal,
    texts_in,
)
from synmem.messages import Message, canonical
from tests.services.langchain import LangChain, langchain

TYPES = (
    "human", "ai", "system", "tool", "function", "chat", "remove", "HumanMessageChunk",
    "AIMessageChunk", "SystemMessageChunk", "ToolMessageChunk", "FunctionMessageChunk",
    "ChatMessageChunk",
)  # fmt: skip
CALL = {"name": "f", "args": {"city": "Zürich", "n": 2**70}, "id": "call_1", "type": "tool_call"}
USAGE = {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
OURS = {"id": "call_1", "name": "f", "arguments": CALL["args"]}


def said(kind: str, **data: Any) -> Any:
    """What LangChain stores of a message of that type which has nothing else."""
    own: dict[str, Any] = {
        "content": "x", "additional_kwargs": {}, "response_metadata": {}, "type": kind,
        "name": None, "id": None,
    }  # fmt: skip
    if kind.lower().startswith("ai"):
        own |= {"tool_calls": [], "invalid_tool_calls": [], "usage_metadata": None}
    if kind == "AIMessageChunk":
        own |= {"tool_call_chunks": [], "chunk_position": None}
    if kind.lower().startswith("tool"):
        own |= {"tool_call_id": "call_1", "artifact": None, "status": "success"}
    if kind.lower().startswith("function"):
        own["name"] = "f"
    if kind.lower().startswith("chat"):
        own["role"] = "narrator"
    if kind == "remove":
        own |= {"content": "", "id": "1"}
    return {"type": kind, "data": own | data}


READ = [
    (said("human"), Message("user", "x")),
    (said("system"), Message("system", "x")),
    (
        said("system", additional_kwargs={"__openai_role__": "developer"}),
        Message("developer", "x"),
    ),
    (said("ai", tool_calls=[CALL]), Message("assistant", "x", tool_calls=[OURS])),
    (said("tool", name="f"), Message("tool", "x", tool_call_id="call_1", name="f")),
    (
        said("function"),
        Message("tool", "x", name="f", extra={"langchain": {"type": "function"}}),
    ),
    (said("chat"), Message("narrator", "x")),
    (said("chat", role="user"), Message("user", "x", extra={"langchain": {"type": "chat"}})),
    (said("human", name="alice", id="m1"), Message("user", "x", name="alice", extra={"langchain": {"id": "m1"}})),
    (
        said("ai", response_metadata={"model": "m"}, usage_metadata=USAGE, unknown=[1, None]),
        Message(
            "assistant", "x",
            extra={"langchain": {"response_metadata": {"model": "m"}, "usage_metadata": USAGE, "unknown": [1, None]}},
        ),
    ),
    (
        said("human", content=[{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]),
        Message("user", "a\nb", parts=[{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]),
    ),
    (
        said("human", content=["a", "b"]),
        Message(
            "user", "a\nb", parts=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            extra={"langchain": {"content": ["a", "b"]}},
        ),
    ),
    (said("human", content=[]), Message("user", "", extra={"langchain": {"content": []}})),
    (said("tool", status="error", artifact=1), Message("tool", "x", tool_call_id="call_1", extra={"langchain": {"artifact": 1, "status": "error"}})),
]  # fmt: skip


@pytest.mark.parametrize(("theirs", "ours"), READ)
def test_what_is_read_is_written_as_it_was(theirs: Any, ours: Message) -> None:
    assert message_of(theirs) == ours
    assert refusal(ours) is None
    assert json.dumps(json_of(ours)) == json.dumps(theirs)


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_of_message_comes_back(kind: str) -> None:
    message = message_of(said(kind))
    assert refusal(message) is None
    assert json_of(message) == said(kind)


def test_the_least_that_is_read_and_what_older_versions_wrote() -> None:
    assert message_of({"type": "human", "data": {"content": "x"}}) == Message("user", "x")
    generic = {"type": "generic", "data": {"content": "x", "role": "narrator"}}  # of LangChain.js
    assert message_of(generic) == Message("narrator", "x")
    older = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    theirs = {
        "type": "ai",
        "data": {"content": "", "additional_kwargs": {"tool_calls": [older]}, "example": False},
    }
    message = message_of(theirs)
    assert message.tool_calls == [{"id": "call_1", "name": "f", "arguments": {"a": 1}}]
    assert refusal(message) is None
    assert json_of(message)["data"].items() >= theirs["data"].items()  # type: ignore[attr-defined]
    older["function"] = {"name": "f", "arguments": "{oops"}
    assert message_of(theirs).tool_calls is None


@pytest.mark.parametrize(
    ("theirs", "why"),
    [
        (5, "not an object"),
        ({"type": "human"}, "not"),
        ({"type": 5, "data": {}}, "not"),
        ({"type": "human", "data": {"content": None}}, "neither text"),
        ({"type": "human", "data": {"content": [5]}}, "neither text"),
        ({"type": "ai", "data": {"content": "x", "type": "human"}}, "'human'"),
        ({"type": "chat", "data": {"content": "x"}}, "without a role"),
        ({"type": "generic", "data": {"content": "x"}}, "without a role"),
    ],
)
def test_what_is_no_message_says_why(theirs: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        message_of(theirs)


@pytest.mark.parametrize(
    "theirs",
    [
        said("developer"), said("ai", tool_calls=[{**CALL, "args": "{}"}]), said("tool", tool_call_id=None),
        said("human", id=5), said("ai", usage_metadata={}), said("tool", status="bad"),
        said("human", additional_kwargs=None), said("ai", tool_calls=[{"name": "f", "args": {}}]),
        said("ai", invalid_tool_calls=[{"name": "f"}]), said("human", self=1), said("human", content_blocks=[]),
        said("AIMessageChunk", chunk_position="first"), said("remove", content="x"),
    ],
)  # fmt: skip
def test_what_langchain_would_not_read_can_be_read_and_is_not_written(theirs: Any) -> None:
    assert refusal(message_of(theirs))


@pytest.mark.parametrize(
    "message",
    [
        Message("tool", "without its call"),
        Message("assistant", "x", tool_calls=[{"name": "f", "arguments": {}}]),
        Message("assistant", "x", tool_calls=[{"id": "1", "name": "f", "arguments": "{}"}]),
        Message("assistant", "x", tool_calls=[{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]),
        Message("user", "another text", parts=[{"type": "text", "text": "x"}]),
        Message("user", "x", extra={"langchain": 5}),
        Message("user", "x", extra={"langchain": {"type": 5}}),
        Message("user", "x", extra={"langchain": {"content": "y"}}),
        Message("user", "x", extra={"langchain": {"type": "ai"}}),
    ],
)  # fmt: skip
def test_what_langchain_has_no_place_for_is_refused(message: Message) -> None:
    assert refusal(message)


def test_what_of_others_lies_in_extra_does_not_travel() -> None:
    message = Message("user", "x", {"k": 1}, extra={"langchain": {"id": "1"}, "other": {"a": 1}})
    assert refusal(message) is None
    back = message_of(json_of(message))
    assert back == Message("user", "x", extra={"langchain": {"id": "1"}})
    assert canonical(back, HOLDS) == canonical(message, HOLDS)


texts = some.text(max_size=3) | some.sampled_from(["\x00", "\ud800", "user", "human"])
json_values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | texts,
    lambda inner: some.lists(inner, max_size=2) | some.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
blocks = some.fixed_dictionaries({"type": some.just("text"), "text": texts}) | some.dictionaries(
    texts, json_values, max_size=2
)
objects = some.dictionaries(texts, json_values, max_size=2)
calls = some.fixed_dictionaries(
    {"name": texts, "args": objects, "id": texts | some.none(), "type": some.just("tool_call")}
)
data = some.fixed_dictionaries(
    {"content": texts | some.lists(texts | blocks, max_size=3)},
    optional={
        "additional_kwargs": objects, "response_metadata": objects, "name": texts | some.none(),
        "id": texts | some.none(), "tool_calls": some.lists(calls, max_size=2) | json_values,
        "invalid_tool_calls": json_values, "usage_metadata": json_values, "role": texts,
        "tool_call_id": texts | some.none(), "artifact": json_values, "status": json_values,
        "tool_call_chunks": json_values, "example": some.booleans(),
    },
)  # fmt: skip
theirs = some.fixed_dictionaries({"type": some.sampled_from(TYPES) | texts, "data": data})


def check_theirs(theirs: Any) -> None:
    """What is not refused is written back with every key as it was, and the rest as usual."""
    try:
        message = message_of(theirs)
    except ValueError:
        return
    if refusal(message) is None:
        written = json.loads(json.dumps(json_of(message)))
        assert written["type"] == theirs["type"]
        usual = said(theirs["type"])["data"] | {"name": None, "tool_call_id": None, "role": None}
        for key, value in written["data"].items():
            same = theirs["data"].get(key, usual.get(key))
            assert json.dumps(value, sort_keys=True) == json.dumps(same, sort_keys=True), key


@given(theirs)
def test_whatever_is_read_and_not_refused_is_written_back(theirs: Any) -> None:
    check_theirs(theirs)


usual = some.builds(
    lambda kind, own: said(kind, **own),
    some.sampled_from(["human", "ai", "system", "tool", "chat"]),
    some.fixed_dictionaries(
        {"content": texts},
        optional={"name": some.none() | texts, "tool_calls": some.lists(calls, max_size=1)},
    ),
)


@given(some.lists((theirs | usual).map(json.dumps) | some.sampled_from(["", "[]", "1 2"])))
def test_texts_are_told_of_many_at_once_as_each_is_read(stored: list[str]) -> None:
    def read(text: str) -> Message | None:
        try:
            return message_in(text)
        except ValueError:
            return None

    told = texts_in(stored)
    assert told is None or [Message(*each) for each in told] == [read(text) for text in stored]


def test_texts_are_told_of_what_langchain_writes() -> None:
    stored = [json.dumps(said(kind)) for kind in ("human", "ai", "system")]
    assert texts_in(stored) == [("user", "x"), ("assistant", "x"), ("system", "x")]
    assert texts_in([*stored, None]) is None  # type: ignore[list-item]


messages = some.builds(
    Message,
    some.sampled_from(["user", "assistant", "system", "developer", "tool", "Human"]) | texts,
    texts,
    tool_calls=some.none() | some.lists(some.fixed_dictionaries({"id": texts, "name": texts, "arguments": objects}) | objects, max_size=2),
    tool_call_id=some.none() | texts,
    name=some.none() | texts,
    parts=some.none() | some.lists(blocks, max_size=2),
    extra=some.none() | some.fixed_dictionaries({"langchain": data | objects}),
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
def real() -> Iterator[LangChain]:
    with langchain() as running:
        yield running


VALUES: dict[str, list[Any]] = {
    "content": ["", [], ["a", {"type": "text"}], [1], None, 5, "\ud800", [{"a": "\ud800"}]],
    "additional_kwargs": [None, {"a": "\ud800"}, []],
    "response_metadata": [None, {"a": float("nan"), "b": 2**70}],
    "name": [5, "\ud800", "", None],
    "id": [5, "x", True, "\ud800"],
    "role": ["x", 5, None],
    "tool_call_id": [5, None, "", "\ud800"],
    "status": ["error", "bad", None],
    "artifact": [{"a": "\ud800"}, 5],
    "usage_metadata": [
        {}, USAGE, {**USAGE, "total_tokens": 1.5}, {**USAGE, "input_tokens": True},
        {**USAGE, "more": "x"}, {**USAGE, "input_token_details": {"cache_read": 1, "more": "x"}},
        {**USAGE, "input_token_details": 5}, {**USAGE, "output_token_details": {"reasoning": "x"}},
    ],
    "tool_calls": [
        None, [CALL], [{**CALL, "id": None}], [{**CALL, "args": "{}"}], [{**CALL, "index": 1}],
        [{**CALL, "name": None}], [{"name": "f", "args": {}, "type": "tool_call"}], ["x"],
    ],
    "invalid_tool_calls": [
        [{"type": "invalid_tool_call", "id": None, "name": "f", "args": "{", "error": None}],
        [{"name": "f", "args": {}, "id": None, "error": None}], [{"name": "f"}],
    ],
    "tool_call_chunks": [5, ["x"], [{"name": "f", "args": "{}", "id": None, "index": 1, "more": 1}]],
    "chunk_position": ["last", 5],
    "self": [1],
    "content_blocks": [[{"type": "text", "text": "q"}]],
    "unknown": [1, {"a": "\ud800"}, None],
    "model_config": [1],
}  # fmt: skip


@pytest.mark.real
def test_it_reads_what_we_write_and_raises_on_what_we_refuse(real: LangChain) -> None:
    """Of each type and each odd value: what is refused it does not read, or reads otherwise; all
    else it reads as it is."""
    cases = [said(kind, **{key: value}) for kind in (*TYPES, "user") for key, values in VALUES.items() for value in values]  # fmt: skip
    found = real.ask("parse", messages=cases)
    for theirs, theirs_read in zip(cases, found, strict=True):
        try:
            message = message_of(theirs)
        except ValueError:
            assert theirs_read is None or theirs_read != theirs, theirs
            continue
        same = theirs_read is not None and message_of(theirs_read) == message
        assert same is (refusal(message) is None), (theirs, theirs_read, refusal(message))


@pytest.mark.real
@settings(max_examples=1000)
@given(theirs)
def test_whatever_is_read_and_not_refused_is_written_back_ten_times_as_often(theirs: Any) -> None:
    check_theirs(theirs)


@pytest.mark.real
@settings(max_examples=1000)
@given(messages)
def test_whatever_is_not_refused_comes_back_ten_times_as_often(message: Message) -> None:
    check_ours(message)


@pytest.mark.real
@settings(max_examples=300)
@given(some.lists(messages, min_size=5, max_size=5))
def test_the_real_reader_takes_whatever_is_not_refused(real: LangChain, many: list[Message]) -> None:  # fmt: skip
    taken = [message for message in many if refusal(message) is None]
    for message, read in zip(taken, real.ask("parse", messages=[*map(json_of, taken)]), strict=True):  # fmt: skip
        assert read is not None, json_of(message)
        assert canonical(message_of(read), HOLDS) == canonical(message, HOLDS)
