"""Messages as DynamoDB items, and what a head item shows."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synmem.layouts.dynamodb_items import (
    LOWEST,
    Head,
    decode,
    encode,
    item_size,
    message_refusal,
    number,
    size_of,
)
from synmem.messages import Message, refusal
from tests.conformance import AT, FULL, METADATA

TEXT = st.text(st.characters(codec=None), max_size=20)
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("message", [FULL, *(Message("user", "", m, AT) for m in METADATA)])
def test_every_message_comes_back(message: Message) -> None:
    assert decode(json.loads(json.dumps(encode(message)))) == message


@given(TEXT, st.dictionaries(TEXT, JSON, max_size=3), st.lists(st.dictionaries(TEXT, JSON, max_size=2), max_size=2))  # fmt: skip
def test_any_message_comes_back(text: str, metadata: Any, calls: Any) -> None:
    message = Message("user", text, metadata, tool_calls=calls, name=text)
    if refusal(message) is None:
        assert decode(json.loads(json.dumps(encode(message)))) == message


def test_integers_are_native_and_floats_are_carried() -> None:
    assert encode(Message("u", "x", {"k": [1, True, None, "é", {}]})) == {
        "role": {"S": "u"}, "content": {"S": "x"},
        "metadata": {"M": {"k": {"L": [{"N": "1"}, {"BOOL": True}, {"NULL": True}, {"S": "é"}, {"M": {}}]}}},
    }  # fmt: skip
    assert encode(Message("u", "x", {"k": 1.0}))["carried"] == {"S": '{"metadata":{"k":1.0}}'}
    assert encode(Message("u", "x", {"k": 10**38 - 1}))["metadata"]
    for carried in ({"k": 10**38}, {"": 1}, {"k": "\x00"}, METADATA[7]):
        assert encode(Message("u", "x", carried)).keys() == {"role", "content", "carried"}


@pytest.mark.parametrize(
    ("value", "size"),
    [({"S": "é"}, 2), ({"N": "-123"}, 5), ({"BOOL": True}, 1), ({"NULL": True}, 1),
     ({"L": []}, 3), ({"M": {"ab": {"S": "c"}}}, 3 + 1 + 2 + 1), ({"L": [{"S": "abc"}]}, 3 + 1 + 3)],
    ids=str,
)  # fmt: skip
def test_sizes_are_as_aws_counts_them(value: Any, size: int) -> None:
    assert size_of(value) == size


@given(st.integers(0, 400_000), st.sampled_from("aé👋\x00\ud800"))
def test_what_is_not_refused_fits(letters: int, letter: str) -> None:
    message = Message("user", letter * letters)
    assert (message_refusal(message) is None) == (item_size(encode(message)) <= 400 * 1024)


@pytest.mark.parametrize(
    ("text", "value"), [("5", 5), ("-3", -3), ("1E+3", 1000), ("10.0", 10), ("1E+37", 10**37)]
)
def test_a_number_is_an_integer_wherever_it_is_one(text: str, value: int) -> None:
    found = number(text)
    assert type(found) is int
    assert found == value


SMALL = st.integers(-20, 20)


@given(SMALL | st.just(LOWEST), SMALL, st.integers(0, 10), st.booleans(), SMALL, SMALL)
def test_the_spans_of_a_head_are_what_it_shows(
    begins: int, start: int, length: int, skips: bool, low: int, high: int
) -> None:
    skip = (max(start, begins), max(start, begins) + length) if skips else None
    head = Head(begins=begins, skip=skip)
    inside = {n for first, last in head.spans(low, high) for n in range(first, last + 1)}
    assert inside == {n for n in range(low, high + 1) if head.shows(n)}
    hidden = head.hidden()
    for n in range(-25, 25):
        assert head.shows(n) or any(first <= n <= last for first, last in hidden)
