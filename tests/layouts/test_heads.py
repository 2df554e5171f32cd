"""How a file begins, cut off anywhere."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synmem.layouts.heads import SIZE, Head

TEXT = st.text(st.sampled_from('a,"\\[]{}:é\n'), max_size=6)
JSON = st.recursive(
    st.none() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def begins(part: Any, whole: Any) -> bool:
    """Whether a value is what another begins with."""
    if isinstance(part, list) and isinstance(whole, list) and len(part) <= len(whole):
        return all(map(begins, part, whole))
    if isinstance(part, dict) and isinstance(whole, dict) and len(part) <= len(whole):
        return all(key in whole and begins(part[key], whole[key]) for key in part)
    return bool(part == whole)


@given(value=st.lists(JSON, min_size=1, max_size=3), cut=st.integers(1, 60))
def test_what_a_text_of_json_begins_with_is_the_beginning_of_what_it_says(
    value: list[Any], cut: int
) -> None:
    data = json.dumps(value, ensure_ascii=False).encode()
    assert begins(Head("", data[:cut], whole=False).value, value)
    assert Head("", data, whole=True).value == value


def test_what_stands_in_a_text_that_is_cut_off_is_only_text() -> None:
    data = b'[{"a": 1}, {"role": "user", "content": "one, two], {three'
    assert Head("", data, whole=False).value == [{"a": 1}, {"role": "user"}]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("part", [b"[", b'{"a":', b"[1,", b'["', b'"\\', b"]", b"[]"])
def test_a_head_that_opens_again_and_again_is_looked_at_in_little_time(part: bytes) -> None:
    for _ in range(20):
        head = Head("x", (part * SIZE)[:SIZE], whole=False)
        assert head.value in (None, [], [{}])
        assert head.lines == []
