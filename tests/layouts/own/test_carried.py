"""What a store cannot hold as it is goes beside, and comes back the same."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synmem.layouts.own.carried import join, split
from synmem.messages import Message, refusal
from tests.conformance import AT, FULL, METADATA


def no_numbers(value: Any) -> bool:
    """A store that holds no number in its JSON."""
    return not any(isinstance(v, int | float) for v in value.values()) if type(value) is dict else False  # fmt: skip


@pytest.mark.parametrize("holds", [lambda _: True, lambda _: False, no_numbers])
def test_every_message_comes_back(holds: Any) -> None:
    messages = [FULL, *(Message("user", "x", m, AT) for m in METADATA), Message("r\x00", "\ud800")]
    for message in messages:
        native, carried = split(message, holds_json=holds)
        assert join(dict(native), carried) == message
        assert carried is None or carried.isascii()


def test_role_and_content_are_always_native_for_others_to_read() -> None:
    native, carried = split(Message("us\x00er", "a\ud800b"), holds_json=lambda _: True)
    assert native == {"role": "us?er", "content": "a?b"}
    assert carried == '{"role":"us\\u0000er","content":"a\\ud800b"}'


def test_what_the_store_holds_is_not_carried() -> None:
    native, carried = split(Message("user", "x", {"n": math.nan}, AT), holds_json=lambda _: False)
    assert (native, carried) == (
        {"role": "user", "content": "x", "created_at": AT}, '{"metadata":{"n":NaN}}',
    )  # fmt: skip
    assert split(FULL, holds_json=lambda _: True)[1] is None


@pytest.mark.parametrize("broken", ["{", "[]", '"x"', '{"other":1}', '{"metadata":[1]}'])
def test_a_broken_carried_text_is_named(broken: str) -> None:
    with pytest.raises(ValueError, match=r"carried|metadata"):
        join({"role": "user", "content": "x"}, broken)


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_any_text_comes_back(content: str, name: str) -> None:
    message = Message("user", content, name=name)
    native, carried = split(message, holds_json=lambda _: True)
    assert b"\x00" not in native["content"].encode()
    if refusal(message) is None:
        assert join(native, carried) == message
