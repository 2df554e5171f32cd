"""Messages as DynamoDB items."""

import json
from decimal import Context, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synmem.layouts.own.dynamodb_items import (
    KEYS_TAKE,
    decode,
    encode,
    item_size,
    message_refusal,
    number,
    size_of,
)
from synmem.messages import Message, decode_line, encode_line, line_prefix, refusal
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


# --- attributes of somebody else's ---

SAID = {"role": {"S": "user"}, "content": {"S": "x"}}

THEIRS: Any = {
    "text": {"S": "a\x00é"}, "empty": {"S": ""}, "yes": {"BOOL": True}, "none": {"NULL": True},
    "int": {"N": "-5"}, "large": {"N": str(10**37 + 1)}, "half": {"N": "0.5"},
    "exact": {"N": "0.12345678901234567890123456789"}, "tiny": {"N": "1.5E-120"},
    "bytes": {"B": b"\xff\x00"}, "texts": {"SS": ["a", "b"]}, "numbers": {"NS": ["1", "2.5"]},
    "blobs": {"BS": [b"a", b"b"]}, "list": {"L": [{"B": b"x"}, {"L": []}, {"M": {}}]},
    "map": {"M": {"k": {"NS": ["1"]}, "$dynamodb": {"S": "x"}}},
    "wrapped": {"M": {"$dynamodb": {"M": {"B": {"S": "eA=="}}}}},
    "twice": {"M": {"$dynamodb": {"M": {"$dynamodb": {"B": b"x"}}}}},
    "version": {"S": "theirs"}, "steps": {"SS": ["theirs"]}, "naïve.name#1": {"S": "x"},
}  # fmt: skip


@pytest.mark.parametrize("name", THEIRS)
def test_an_attribute_of_somebody_else_is_read_and_written_as_it_is(name: str) -> None:
    item = {**SAID, name: THEIRS[name]}
    message = decode(item)
    assert message.extra is not None
    assert message.extra["dynamodb"].keys() == {name}
    assert refusal(message) is None
    assert encode(message) == item
    assert decode(encode(decode_line(encode_line(line_prefix("c"), message))[1])) == message


def test_what_json_has_is_readable_and_the_rest_is_in_the_low_level_form() -> None:
    extra: Any = decode({**SAID, **THEIRS}).extra
    theirs = extra["dynamodb"]
    assert theirs["half"] == 0.5
    assert theirs["large"] == 10**37 + 1
    assert theirs["exact"] == {"$dynamodb": {"N": "0.12345678901234567890123456789"}}
    assert theirs["bytes"] == {"$dynamodb": {"B": "/wA="}}
    assert theirs["texts"] == {"$dynamodb": {"SS": ["a", "b"]}}
    assert theirs["map"] == {"k": {"$dynamodb": {"NS": ["1"]}}, "$dynamodb": "x"}
    assert theirs["wrapped"] == {"$dynamodb": {"M": {"$dynamodb": {"B": "eA=="}}}}


NUMBERS: Any = st.builds(
    lambda digits, exponent: str(Decimal((0, tuple(digits), exponent)).normalize(Context(prec=50))),
    st.lists(st.integers(0, 9), min_size=1, max_size=38), st.integers(-100, 60),
) | st.integers(-(10**38) + 1, 10**38 - 1).map(str)  # fmt: skip
SETS: Any = (
    st.sets(st.text(st.characters(codec="utf-8")), min_size=1).map(lambda s: {"SS": sorted(s)})
    | st.sets(st.binary(), min_size=1).map(lambda s: {"BS": list(s)})
    | st.sets(st.integers(-5, 5), min_size=1).map(lambda s: {"NS": [str(n) for n in s]})
)
KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5) | st.just("$dynamodb")
ATTRIBUTES: Any = st.recursive(
    st.text(st.characters(codec="utf-8")).map(lambda s: {"S": s}) | st.just({"NULL": True})
    | st.booleans().map(lambda b: {"BOOL": b}) | NUMBERS.map(lambda n: {"N": n})
    | st.binary().map(lambda b: {"B": b}) | SETS,
    lambda inner: st.lists(inner, max_size=3).map(lambda x: {"L": x})
    | st.dictionaries(KEYS, inner, max_size=2).map(lambda x: {"M": x}),
    max_leaves=6,
)  # fmt: skip


def ordered(value: Any) -> Any:
    """The same attribute for every order of its sets and every way to write its numbers."""
    ((kind, inner),) = value.items()
    if kind == "L":
        return {"L": [ordered(item) for item in inner]}
    if kind == "M":
        return {"M": {key: ordered(item) for key, item in inner.items()}}
    if kind in ("SS", "BS"):
        return {kind: sorted(inner)}
    if kind == "NS":
        return {kind: sorted(Decimal(n) for n in inner)}
    return {kind: Decimal(inner)} if kind == "N" else value


@given(ATTRIBUTES)
def test_any_attribute_of_somebody_else_comes_back(value: Any) -> None:
    message = decode({**SAID, "theirs": value})
    written = encode(message)
    assert written.keys() == {"role", "content", "theirs"}
    assert ordered(written["theirs"]) == ordered(value)
    assert decode(written) == message


NOT_THEIRS: Any = [
    {}, [1], "text", {"a": 1.0}, {"a": -0.0}, {"a": float("nan")}, {"a": 2**200}, {"": 1},
    {"role": "x", "call": "y", "n": 5, "session_id": "z"}, {"\ud800": 1}, {"a": "\ud800"},
    {"a": {"": 1}}, {"a": {"$dynamodb": {"B": "no base64"}}}, {"a": {"$dynamodb": {"SS": []}}},
    {"a": {"$dynamodb": {"SS": ["b", "a"]}}}, {"a": {"$dynamodb": {"SS": ["a", "a"]}}},
    {"a": {"$dynamodb": {"NS": ["1.0"]}}}, {"a": {"$dynamodb": {"NS": [1]}}},
    {"a": {"$dynamodb": {"N": "5"}}}, {"a": {"$dynamodb": {"X": "5"}}}, {"a": {"$dynamodb": 5}},
    {"a": {"$dynamodb": {"N": "NaN"}}}, {"a": {"$dynamodb": {"N": "1E-200"}}}, {"a": 1e300},
]  # fmt: skip


@pytest.mark.parametrize("theirs", NOT_THEIRS, ids=str)
def test_what_would_not_come_back_as_an_attribute_stays_in_extra(theirs: Any) -> None:
    message = Message("user", "x", extra={"dynamodb": theirs, "other": 1})
    item = encode(message)
    assert item.keys() <= {"role", "content", "extra", "carried"}
    assert decode(json.loads(json.dumps(item))) == message
    if type(theirs) is dict:
        both = Message("user", "x", extra={"dynamodb": {**theirs, "good": 5}})
        assert encode(both)["good"] == {"N": "5"}
        assert decode(encode(both)) == both


def test_a_reserved_name_stays_in_extra() -> None:
    message = Message("user", "x", extra={"dynamodb": {"listed": "5", "ttl": 1}})
    item = encode(message, ("listed",))
    assert item.keys() == {"role", "content", "extra", "ttl"}
    assert decode(item) == message
    assert encode(message).keys() == {"role", "content", "listed", "ttl"}


def test_attributes_beside_an_extra_that_leaves_no_room_are_not_dropped() -> None:
    item: Any = {**SAID, "extra": {"M": {"dynamodb": {"S": "text"}}}, "ttl": {"N": "1"}}
    with pytest.raises(ValueError, match="dynamodb"):
        decode(item)


def test_attributes_of_somebody_else_count() -> None:
    blob = Message("user", "x", extra={"dynamodb": {"b": {"$dynamodb": {"B": "AAAA" * 140_000}}}})
    assert "bytes" in str(message_refusal(blob))
    assert item_size({"é": {"B": b"12"}, "s": {"SS": ["ab", "c"]}}) == KEYS_TAKE + 2 + 2 + 1 + 3
