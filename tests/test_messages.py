"""Messages: equality, digests and the JSON Lines form are exact, whatever a message holds."""

import hashlib
import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from synmem.messages import (
    EVERYTHING,
    FIELDS,
    MAX_DEPTH,
    Digest,
    Holds,
    Message,
    canonical,
    decode_line,
    dump_json,
    encode_line,
    encode_lines,
    encode_parsed,
    line_prefix,
    parse_json,
    parse_time,
    refusal,
)
from tests.conformance import AT, FULL, IDS, METADATA, TEXTS

texts = st.text(st.characters(exclude_categories=[])).filter(
    lambda t: refusal(Message("u", t)) is None
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, json_values, max_size=3)
messages = st.builds(
    Message,
    role=texts,
    content=texts,
    metadata=st.none() | objects,
    created_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    tool_calls=st.none() | st.lists(objects, max_size=2),
    tool_call_id=st.none() | texts,
    name=st.none() | texts,
    parts=st.none() | st.lists(objects, max_size=2),
    extra=st.none() | objects,
)


@given(messages)
def test_a_message_survives_its_line(message: Message) -> None:
    line = encode_line(line_prefix("c"), message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    line.decode()  # always UTF-8
    assert decode_line(line) == ("c", message)


@given(messages)
def test_a_line_means_the_same_to_the_standard_library(message: Message) -> None:
    data = json.loads(encode_line(line_prefix("c"), message))
    assert data["content"] == message.content
    assert data["role"] == message.role
    assert dump_json(data.get("metadata") or {}) == dump_json(message.metadata or {})


@given(messages)
def test_the_canonical_line_is_sorted_compact_json(message: Message) -> None:
    line = canonical(message)
    data = json.loads(line.decode("utf-8", "surrogatepass"))
    again = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert line == again.encode("utf-8", "surrogatepass")


@given(messages, st.frozensets(st.sampled_from(FIELDS[2:])))
def test_the_canonical_line_over_some_fields_is_that_of_a_message_of_these(
    message: Message, some: frozenset[str]
) -> None:
    held = frozenset({"role", "content"}) | some
    rest = dict.fromkeys({*FIELDS} - held)
    assert canonical(message, Holds(fields=held)) == canonical(structs.replace(message, **rest))


HALVES = "\ud83d\ude00"
"""What JSON cannot express, since its two escapes are one character."""


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@given(
    st.lists(messages, max_size=3),
    st.sampled_from(FIELDS),
    st.sampled_from(
        [HALVES, {"a": HALVES}, [{"b": [{HALVES: 1}]}], {"a": math.nan}, 5]
        + [{"a": nested(levels)} for levels in (98, 99, 100)]
    ),
)
def test_what_is_written_at_once_would_be_accepted(
    some: list[Message], field: str, odd: Any
) -> None:
    some.append(structs.replace(Message("u", "{[" * 99), **{field: odd}))
    if any(refusal(message) for message in some):
        assert encode_parsed("c", some) is None
    else:
        assert encode_parsed("c", some) in (None, encode_lines("c", some))


@pytest.mark.parametrize(
    "message",
    [
        structs.replace(FULL, tool_calls=[{"id": "c", "n": 1.5}]),
        Message("u", "ü" * 300, extra={"a": nested(MAX_DEPTH - 1)}),
        Message("u", "{[" * 99, extra={"a": [{}] * 200}),
        Message("u", "", extra={"a": [nested(MAX_DEPTH - 2), nested(MAX_DEPTH - 2)]}),
    ],
)
def test_what_is_accepted_is_written_at_once(message: Message) -> None:
    assert refusal(message) is None
    assert encode_parsed("c", [message] * 3) == encode_lines("c", [message] * 3)


@given(json_values)
def test_json_survives_exactly(value: Any) -> None:
    assert repr(parse_json(dump_json(value))) == repr(value)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("conversation", ["plain", "user:42/ünïcode ✓"])
def test_hostile_text_survives_its_line(text: str, conversation: str) -> None:
    message = Message("user", text, {"text": text})
    assert decode_line(encode_line(line_prefix(conversation), message)) == (conversation, message)


@pytest.mark.parametrize("conversation", IDS)
def test_any_id_survives_its_line(conversation: str) -> None:
    assert decode_line(encode_line(line_prefix(conversation), FULL)) == (conversation, FULL)


@pytest.mark.parametrize("metadata", METADATA)
def test_metadata_survives_its_line(metadata: Any) -> None:
    message = Message("user", "x", metadata)
    assert repr(decode_line(encode_line(line_prefix("c"), message))[1].metadata) == repr(metadata)


@pytest.mark.parametrize(
    ("one", "other"),
    [({"a": 1}, {"a": 1.0}), ({"a": True}, {"a": 1}), ({"a": 0.0}, {"a": -0.0}),
     ({"a": None}, {}), ({"a": "é"}, {"a": "e\u0301"}), ({"a": 2**70}, {"a": float(2**70)}),
     ({"a": [1, 2]}, {"a": [2, 1]}), ({"a": ""}, {"a": []})],
)  # fmt: skip
def test_what_differs_is_not_equal(one: Any, other: Any) -> None:
    assert Message("user", "x", one) != Message("user", "x", other)


def test_absent_null_and_empty_are_one() -> None:
    assert Message("u", "x", {}, None, [], None, None, [], {}) == Message("u", "x")
    line = b'{"conversation_id":"c","role":"u","content":"x","metadata":null,"parts":[],"extra":{}}'
    assert decode_line(line) == ("c", Message("u", "x"))


def test_nan_is_equal_to_itself_and_keys_have_no_order() -> None:
    assert Message("u", "x", {"a": math.nan, "b": 1}) == Message("u", "x", {"b": 1, "a": math.nan})
    assert hash(Message("u", "x", {"a": 1, "b": 1})) == hash(Message("u", "x", {"b": 1, "a": 1}))


def test_the_line_of_the_design_reads_and_writes() -> None:
    line = (
        b'{"conversation_id": "user-1", "role": "user", "content": "Hello!", '
        b'"metadata": {"source": "web"}, "created_at": "2026-11-21T06:00:00.123456Z"}'
    )
    conversation, message = decode_line(line)
    assert (conversation, message) == ("user-1", Message("user", "Hello!", {"source": "web"}, AT))
    assert json.loads(encode_line(line_prefix(conversation), message)) == json.loads(line)


def test_a_time_with_another_zone_is_the_same_moment() -> None:
    line = b'{"conversation_id":"c","role":"u","content":"x","created_at":"2026-11-21T08:00:00.123456+02:00"}'
    assert decode_line(line)[1].created_at == AT
    assert parse_time("2026-11-21T08:00:00.123456+02:00").tzinfo is UTC


@pytest.mark.parametrize("metadata", ["{}", '{"a": NaN}'])
@pytest.mark.parametrize(
    "at",
    ["2026-11-21T06:00:00.1234557Z", "2026-11-21T06:00:00,1234555Z", "20261121T060000.1234557Z",
     "2026-11-21 08:00:00,12345649999+02:00", "20261121T060000,1234555+0000"],
)  # fmt: skip
def test_a_time_finer_than_microseconds_is_rounded_in_the_same_way_on_every_line(
    metadata: str, at: str
) -> None:
    line = (
        '{"conversation_id": "c", "role": "u", "content": "x", '
        f'"metadata": {metadata}, "created_at": "{at}"}}'
    )
    assert decode_line(line.encode())[1].created_at == AT


@pytest.mark.parametrize(
    ("line", "why"),
    [("not json", "line 1"), ("[1]", "array"), ('{"role":"u","content":"x"}', "no conversation_id"),
     ('{"conversation_id":"c","content":"x"}', "no role"),
     ('{"conversation_id":"c","role":"u"}', "no content"),
     ('{"conversation_id":"c","role":"u","content":null}', "content"),
     ('{"conversation_id":"c","role":"u","content":"x","metadata":[1]}', "metadata"),
     ('{"conversation_id":"c","role":"u","content":"x","parts":[1]}', "parts"),
     ('{"conversation_id":"c","role":"u","content":"x","created_at":"2026-01-01T00:00:00"}', "zone"),
     ('{"conversation_id":"c","role":"u","content":"x","created_at":"0001-01-01T00:00:00+01:00"}', "years"),
     ('{"conversation_id":"c","role":"u","content":"x","created_at":5}', "created_at")],
)  # fmt: skip
def test_a_wrong_line_says_what_is_wrong(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        decode_line(line.encode())


def test_keys_that_are_not_ours_are_kept() -> None:
    line = b'{"conversation_id":"c","role":"u","content":"x","model":"m","extra":{"a":1}}'
    _, message = decode_line(line)
    assert message.extra == {"a": 1, "jsonl": {"model": "m"}}
    assert decode_line(encode_line(line_prefix("c"), message))[1] == message


def test_the_digest_is_what_its_docstring_says() -> None:
    digest = Digest()
    digest.update([Message("user", "a")])
    digest.update([])
    digest.update([FULL])
    lines = (
        b"synmem conversation 1\n"
        + canonical(Message("user", "a"))
        + b"\n"
        + canonical(FULL)
        + b"\n"
    )
    assert str(digest) == "sha256:" + hashlib.sha256(lines).hexdigest()
    assert digest.messages == 2


def test_a_digest_over_fewer_fields_ignores_the_others() -> None:
    holds = Holds(fields=frozenset({"role", "content"}))
    assert canonical(FULL, holds) == canonical(Message(FULL.role, FULL.content))
    assert canonical(FULL, EVERYTHING.common(EVERYTHING)) == canonical(FULL)


def test_times_are_compared_as_finely_as_both_sides_hold_them() -> None:
    coarse = EVERYTHING.common(Holds(time_us=1000))
    near = Message("u", "x", created_at=AT + timedelta(microseconds=100))
    assert near != Message("u", "x", created_at=AT)
    assert canonical(near, coarse) == canonical(Message("u", "x", created_at=AT), coarse)
    seconds = EVERYTHING.common(Holds(time_us=1_000_000))
    assert b"06:00:00.000000Z" in canonical(near, seconds)


def test_what_will_not_travel_is_named() -> None:
    poor = Holds(
        fields=frozenset({"role", "content", "created_at"}),
        conversation_fields=frozenset(),
        time_us=1000,
    )
    assert EVERYTHING.lacking(poor) == [
        "metadata", "tool_calls", "tool_call_id", "name", "parts", "extra",
        "conversation extra", "conversation title", "created_at below 1000 us",
    ]  # fmt: skip
    assert poor.lacking(EVERYTHING) == []


def test_a_time_that_a_store_gives_by_itself_is_not_compared_with_a_message_that_says_none() -> (
    None
):
    stamping = Holds(stamps=True)
    assert "created_at" not in EVERYTHING.common(stamping).fields
    assert "created_at" in stamping.common(EVERYTHING).fields
    assert "created_at" in stamping.common(stamping).fields
    timed = Message("user", "x", created_at=datetime(2026, 1, 1, tzinfo=UTC))
    for holds in (stamping, Holds(fields=EVERYTHING.fields - {"metadata"}, stamps=True)):
        assert canonical(timed, holds) == canonical(Message("user", "x"), holds)


def test_a_time_that_is_not_utc_is_refused() -> None:
    zone = timezone(timedelta(hours=2))
    assert refusal(Message("u", "x", created_at=datetime(2026, 1, 1, tzinfo=zone)))
    assert refusal(Message("u", "x", created_at=AT)) is None
