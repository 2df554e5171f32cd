"""The JSON form, read as a stream: the window's edges, and what stands for a message."""

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synmem.layouts.interchange import json_array, json_text
from synmem.messages import decode_line


def lines(data: bytes, **how: Any) -> list[bytes]:
    """The file as JSON Lines."""
    return list(json_array.read_lines(io.BytesIO(data), **how))


def said(data: bytes, **how: Any) -> list[tuple[str, str]]:
    """Conversation and content of each message; of a mark its position and reason."""
    found = []
    for line in lines(data, **how):
        value = json.loads(line) if line else {}
        if "unreadable" in value:
            found.append(tuple(value["unreadable"]))
        elif "content" in value:
            found.append((value["conversation_id"], value["content"]))
    return found


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(
    metadata=st.lists(st.dictionaries(st.text(), values, max_size=4), max_size=4),
    chunk=st.integers(1, 40),
    indent=st.sampled_from([None, 1, 4]),
    ascii_only=st.booleans(),
)
def test_where_the_window_ends_makes_no_difference(
    metadata: list[dict[str, Any]], chunk: int, indent: int | None, ascii_only: bool
) -> None:
    messages = [{"role": "user", "content": "x", "metadata": value} for value in metadata]
    whole = [{"conversation_id": "a", "messages": messages}, {"conversation_id": "b"}]
    data = json.dumps(whole, indent=indent, ensure_ascii=ascii_only).encode()
    before = json_text._CHUNK
    json_text._CHUNK = chunk  # type: ignore[misc]
    try:
        found = [decode_line(line)[1].metadata or {} for line in lines(data)[: len(messages)]]
    finally:
        json_text._CHUNK = before  # type: ignore[misc]
    assert list(map(repr, found)) == list(map(repr, metadata))


def test_a_conversation_may_stand_alone() -> None:
    data = b'{"title": "t", "messages": [{"role": "user", "content": "x"}], "conversation_id": "a"}'
    assert said(data) == [("a", "x")]
    assert lines(data)[-1] == b'{"conversation_id":"a","title":"t"}\n'


def test_messages_that_are_not_in_a_conversation_name_theirs_or_take_the_one_given() -> None:
    data = b'[{"role": "user", "content": "x"}, {"role": "user", "content": "y", "conversation_id": "b"}]'  # fmt: skip
    assert said(data, conversation="mine") == [("mine", "x"), ("b", "y")]
    assert said(data) == [("1:2", "no conversation_id"), ("b", "y")]


def test_what_is_not_a_message_stands_in_its_place_by_line_and_column() -> None:
    data = b"""[
      {"conversation_id": "a", "messages": [
        {"role": "user", "content": "x"},
        5, {"role": "user"},
        {"role": "user", "content": "y"}]},
      "neither",
      {"conversation_id": 7.5, "messages": [{"role": "user", "content": "z"}]}
    ]"""
    assert said(data) == [
        ("a", "x"), ("4:9", "not a JSON object"), ("4:12", "no content"), ("a", "y"),
        ("6:7", "not a JSON object"), ("7:45", "conversation_id is not text"),
    ]  # fmt: skip


def test_keys_that_are_not_ours_are_kept() -> None:
    data = b'{"conversation_id": "a", "model": "m", "messages": [{"role": "u", "content": "x", "z": 1}]}'  # fmt: skip
    message, title = lines(data)
    assert json.loads(message)["extra"] == {"json": {"z": 1}}
    assert json.loads(title)["extra"] == {"json": {"model": "m"}}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"[", "line 1, column 2: a value expected, but the file ends"),
        (b"[1 2]", "line 1, column 4: ',' or ']' expected"),
        (b'[{"a" 1}]', "line 1, column 7: ':' expected"),
        (b"[{1: 2}]", "line 1, column 3: a key expected"),
        (b'[\n\n{"a": tru}]', "line 3, column 7: Expecting value"),
        (b'[\n{"a": "\xff"}]', "not UTF-8"),
        (b'[{"a": "x', "line 1, column 8: Unterminated string starting at"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_not_json_is_named_by_line_and_column(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        lines(data)
    assert reason in str(caught.value)


def test_a_long_text_far_over_the_window_is_read() -> None:
    text = "é\\n" * 1_500_000
    data = f'[{{"conversation_id": "a", "messages": [{{"role": "u", "content": "{text}"}}]}}]'
    ((_, content),) = said(data.encode())
    assert content == "é\n" * 1_500_000
