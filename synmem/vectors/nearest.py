"""Vectors as they are stored, and which of them are nearest to one.

A *block* is the bytes of some vectors (16-bit floats, little-endian) and of the number of the
text that each belongs to (32 bits): a long text has several, next to each other. Blocks are
compared some thousands of vectors at a time, so memory stays flat however many there are.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from synmem.vectors.embedding import Matrix, Vector

_TOGETHER: Final = 16_384
_AT_ONCE: Final = 262_144
"""Numbers multiplied at a time: few enough for the processor's cache, and for BLAS not to call
threads together, which on a busy machine wait for each other."""

_DIGITS: Final = 6  # what 16 bits hold: copies of a text score the same


@dataclass(frozen=True)
class Block:
    """Vectors and their texts' numbers, under a key."""

    key: int
    numbers: bytes
    vectors: bytes


@dataclass(frozen=True)
class Near:
    """A text: its number in the block of this key, and the cosine to what was asked."""

    key: int
    number: int
    score: float


def packed_vectors(matrix: "Matrix") -> bytes:
    """The vectors of a block."""
    return matrix.astype("<f2").tobytes()


def packed_numbers(numbers: Sequence[int]) -> bytes:
    """The numbers of a block."""
    import numpy as np

    return np.asarray(numbers, "<u4").tobytes()


def unpacked_numbers(data: bytes) -> list[int]:
    """The numbers of the texts of a block, each once, in order."""
    import numpy as np

    return [int(number) for number in dict.fromkeys(np.frombuffer(data, "<u4").tolist())]


def only(block: Block, numbers: set[int], *, keep: bool = True) -> Block | None:
    """The vectors of the texts of these numbers, or (`keep=False`) of all others; None: none.

    The block itself where that is all of it.
    """
    import numpy as np

    held = np.frombuffer(block.numbers, "<u4")
    chosen = np.isin(held, np.fromiter(numbers, "<u4", len(numbers)), invert=not keep)
    if chosen.all():
        return block if len(held) else None
    if not chosen.any():
        return None
    vectors = np.frombuffer(block.vectors, "<f2").reshape(len(held), -1)
    return Block(block.key, held[chosen].tobytes(), vectors[chosen].tobytes())


def nearest(blocks: Iterable[Block], vector: "Vector", k: int) -> list[Near]:
    """The k texts nearest to a vector, the nearest first; of equal ones the later."""
    best: list[tuple[float, int, Near]] = []
    place = 0
    for some in _some(blocks):
        for near in _scored(some, vector, k):
            place += 1
            best.append((-near.score, -place, near))
        best.sort(key=lambda each: each[:2])
        del best[k:]
    return [near for _, _, near in best]


def _some(blocks: Iterable[Block]) -> Iterator[list[Block]]:
    found: list[Block] = []
    count = 0
    for block in blocks:
        found.append(block)
        count += len(block.numbers) // 4
        if count >= _TOGETHER:
            yield found
            found, count = [], 0
    if found:
        yield found


def _products(vectors: bytes, vector: "Vector") -> "Vector":
    import numpy as np

    halves = np.frombuffer(vectors, "<f2").reshape(-1, len(vector))
    products = np.empty(len(halves), np.float32)
    step = max(1, _AT_ONCE // len(vector))
    for start in range(0, len(halves), step):
        rows = halves[start : start + step].astype(np.float32)
        products[start : start + step] = rows @ vector
    return products


def _scored(blocks: list[Block], vector: "Vector", k: int) -> list[Near]:
    """The k nearest texts of these blocks, and those as near as the last of them, in order."""
    import numpy as np

    numbers = np.frombuffer(b"".join(block.numbers for block in blocks), "<u4")
    scores = _products(b"".join(block.vectors for block in blocks), vector)
    ends = np.cumsum([len(block.numbers) // 4 for block in blocks])
    begins = np.ones(len(numbers), bool)  # where a text's vectors begin
    begins[1:] = numbers[1:] != numbers[:-1]
    begins[ends[:-1]] = True
    starts = np.flatnonzero(begins)
    texts = np.round(np.maximum.reduceat(scores, starts).astype(np.float64), _DIGITS)
    if len(texts) > k:
        least = np.partition(texts, -k)[-k]
        chosen = np.flatnonzero(texts >= least)
        above = chosen[texts[chosen] > least]
        as_near = chosen[texts[chosen] == least][-k:]  # thousands may be the same "ok"
        chosen = np.sort(np.concatenate([above, as_near]))
    else:
        chosen = np.arange(len(texts))
    owners = np.searchsorted(ends, starts[chosen], side="right")
    return [
        Near(blocks[owner].key, int(numbers[starts[i]]), float(texts[i]))
        for owner, i in zip(owners.tolist(), chosen.tolist(), strict=True)
    ]
