"""How far the end of one run of messages is the beginning of another."""

import hashlib
from array import array
from typing import Final

OVERLAP: Final = 4
"""So many messages must be the same, or all that there are: fewer may be so by chance."""


def short(line: bytes) -> int:
    """A hash of a canonical line, of 64 bits."""
    return int.from_bytes(hashlib.blake2b(line, digest_size=8).digest(), "big", signed=True)


def overlap(ours: "array[int]", tail: "array[int]") -> int:
    """The largest k where the last k of `tail` are the first k of `ours` (Knuth-Morris-Pratt)."""
    falls = array("q", [0]) * (len(ours) + 1)
    same = 0
    for i in range(1, len(ours)):
        while same and ours[i] != ours[same]:
            same = falls[same]
        same += ours[i] == ours[same]
        falls[i + 1] = same
    same = 0
    for each in tail:
        while same and (same == len(ours) or each != ours[same]):
            same = falls[same]
        same += each == ours[same]
    return same
