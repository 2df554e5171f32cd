"""Which vectors are nearest: the same as comparing every one."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synmem.vectors import nearest as module
from synmem.vectors.nearest import (
    Block,
    nearest,
    only,
    packed_numbers,
    packed_vectors,
    unpacked_numbers,
)

SMALL = st.integers(min_value=0, max_value=3)


@pytest.fixture(autouse=True)
def few_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TOGETHER", 5)


def block(key: int, texts: list[list[list[int]]], first: int = 1) -> Block:
    """Texts, each of several vectors, numbered from `first`."""
    rows = np.array([vector for text in texts for vector in text], np.float32).reshape(-1, 3)
    numbers = [first + i for i, text in enumerate(texts) for _ in text]
    return Block(key, packed_numbers(numbers), packed_vectors(rows))


vectors = st.lists(st.lists(SMALL, min_size=3, max_size=3), min_size=1, max_size=3)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(vectors, min_size=1, max_size=4), max_size=6),
    st.lists(SMALL, min_size=3, max_size=3),
    st.integers(min_value=1, max_value=6),
)
def test_the_nearest_are_those_that_comparing_every_one_gives(
    texts: list[list[list[list[int]]]], asked: list[int], k: int
) -> None:
    # Numbers begin anew in each block, as messages do in each conversation.
    blocks = [block(key, some) for key, some in enumerate(texts)]
    expected = [
        (max(sum(a * b for a, b in zip(v, asked, strict=True)) for v in text), key, number)
        for key, some in enumerate(texts)
        for number, text in enumerate(some, 1)
    ]
    expected.sort(reverse=True)
    found = nearest(iter(blocks), np.array(asked, np.float32), k)
    assert [(near.score, near.key, near.number) for near in found] == expected[:k]


def test_of_thousands_that_are_the_same_the_last_are_kept() -> None:
    def blocks() -> Iterator[Block]:
        for key in range(100):
            yield block(key, [[[1, 0, 0]]] * 9)

    found = nearest(blocks(), np.array([1, 0, 0], np.float32), 3)
    assert [(near.key, near.number) for near in found] == [(99, 9), (99, 8), (99, 7)]


def test_a_block_gives_up_the_vectors_of_some_texts() -> None:
    whole = block(7, [[[1, 0, 0], [0, 1, 0]], [[0, 0, 1]], [[1, 1, 1]]])
    assert only(whole, {1, 2, 3, 9}) is whole
    assert only(whole, set()) is None
    assert only(whole, {9}, keep=False) is whole
    kept = only(whole, {2}, keep=False)
    assert kept is not None
    assert unpacked_numbers(kept.numbers) == [1, 3]
    assert kept.vectors == whole.vectors[:12] + whole.vectors[18:]
