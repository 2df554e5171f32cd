"""Positions in a list, and strings packed for the scripts: what Python and Lua both do.

A position is `index:count:last:all`: the index of the message, how many items its trace covers
(the last 16 up to and with it), the SHA-1 of the item, and that of the SHA-1s of all.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple

from synmem.store import START, Position

TRACE: Final = 16
"""So many items, up to and with the message itself, tell where a position stands."""


class Trace(NamedTuple):
    """By what a place in a list is known: how many items it is of, the SHA-1 of the last of them,
    and that of the SHA-1s of all."""

    size: int
    last: str
    all: str


def position_of(items: Sequence[bytes], at: int, index: int) -> Position:
    """The position of `items[at]`, which stands at `index`; up to 15 items must stand before."""
    traced = trace_of(items[max(0, at - TRACE + 1) : at + 1])
    return f"{index}:{traced.size}:{traced.last}:{traced.all}"


def trace_of(items: Sequence[bytes]) -> Trace:
    """The trace of these items, of which there is one at least."""
    hashes = [sha1(item) for item in items]
    return Trace(len(hashes), hashes[-1], sha1("".join(hashes).encode()))


def stands(trace: Trace, items: Sequence[bytes], at: int) -> bool:
    """Whether a trace ends with `items[at]`."""
    low = at - trace.size + 1
    if low < 0 or at >= len(items):
        return False
    return sha1(items[at]) == trace.last and trace_of(items[low : at + 1]) == trace


def parsed(position: Position) -> tuple[int, Trace]:
    """The index and the trace of a position that was checked."""
    index, count, last, all_ = position.split(":")
    return int(index), Trace(int(count), last, all_)


def checked(position: Position) -> bytes:
    """A position as a script takes it."""
    if not _is_position(position):
        raise ValueError(f"not a position of a Redis store: {position!r}")
    return position.encode()


def _is_position(text: str) -> bool:
    """Whether a script can take it for a position that was given."""
    index, *rest = text.split(":")
    return text == START or (index.isdecimal() and [len(part) for part in rest[1:]] == [40, 40])


def packed(items: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Many strings as two, as a script takes them: how long each is, and all of them."""
    return ",".join([str(len(item)) for item in items]).encode(), b"".join(items)


def unpacked(sizes: bytes, data: bytes) -> list[bytes]:
    """The strings that a script has packed."""
    items, at = [], 0
    for size in map(int, sizes.split(b",")) if sizes else ():
        items.append(data[at : at + size])
        at += size
    return items


def sha1(data: bytes) -> str:
    """What an item is known by."""
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()
