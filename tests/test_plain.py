"""The quick way of the common message: the same as the slow one, on every layout."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synmem.layouts.own import dynamodb_items, mongo_documents, postgres_rows, redis_items
from synmem.layouts.own.carried import split
from synmem.layouts.own.synapsekit import pack, unpack
from synmem.messages import MAX_PLAIN, Conversation, Message, encoded, plain, refusal

TIME = datetime(2026, 11, 21, 6, 0, 0, 123456, UTC)
VALUES = st.text(max_size=20) | st.integers() | st.booleans() | st.floats() | st.none()
MESSAGES = st.builds(
    Message,
    st.sampled_from(["user", "assistant", "", 'a"b', "nö"]),
    st.text(st.characters(), max_size=30),
    st.none() | st.dictionaries(st.sampled_from(["source", "synmem", "n", "a.b", "$x"]), VALUES),
    st.none() | st.just(TIME),
)


@given(MESSAGES)
def test_what_is_plain_is_stored_as_it_would_be_the_slow_way(message: Message) -> None:
    if not plain(message):
        return
    for holds in (postgres_rows.holds_json, mongo_documents.holds_json):
        native, carried = split(message, holds_json=holds)
        assert carried is None
        assert native["content"] == message.content
    row = ("c", 1, *postgres_rows.encode_plain(message))
    assert postgres_rows.decode((), [row]) == [message]
    assert redis_items.decode(redis_items.encode(message)) == message
    assert mongo_documents.decode(mongo_documents.encode(message)) == message
    assert dynamodb_items.decode(dynamodb_items.encode(message)) == message


@given(MESSAGES, st.booleans())
def test_packing_gives_every_message_back(message: Message, utf8: bool) -> None:
    role, content, metadata = pack(message, utf8=utf8)
    assert unpack(role, content, metadata or {}) == message


UNUSUAL: list[dict[str, Any]] = [
    {"content": "a\0b"}, {"content": "\ud800"}, {"content": "\ud83d\ude00"},
    {"content": "x" * (MAX_PLAIN + 1)}, {"content": 1}, {"role": 'a"b'}, {"role": ""},
    {"metadata": {"a": {"b": 1}}}, {"metadata": {"a": 2**31}}, {"metadata": {"a": 1.0}},
    {"metadata": {"a": None}}, {"metadata": {"a.b": 1}}, {"metadata": {"": 1}},
    {"metadata": {"a": "\0"}}, {"metadata": {1: 1}}, {"metadata": ["a"]},
    {"created_at": datetime(2026, 1, 1)}, {"name": "n"}, {"parts": [{}]}, {"extra": {"a": 1}},
]  # fmt: skip


@pytest.mark.parametrize("fields", UNUSUAL, ids=str)
def test_what_is_unusual_goes_the_slow_way(fields: dict[str, Any]) -> None:
    assert not plain(Message(**{"role": "user", "content": "x", **fields}))


def test_a_call_is_encoded_whole_or_all_that_is_wrong_is_named() -> None:
    def encode(message: Message) -> str:
        return f"slow {message.content}"

    parts = [
        (Conversation("a"), [Message("user", "x"), Message("user", "y", name="n")]),
        (Conversation("b"), [Message("user", "z")]),
    ]
    rows, reasons = encoded(parts, refusal, encode, lambda message: message.content)
    assert (rows, reasons) == ([["x", "slow y"], ["z"]], [])
    parts += [(Conversation(""), [Message("user", "\ud83d\ude00")])]
    _, reasons = encoded(parts, refusal, encode, encode)
    assert [(conversation, index) for conversation, index, _ in reasons] == [("", 0), ("", 0)]
