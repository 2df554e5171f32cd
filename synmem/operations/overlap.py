"""How far the end of one run of messages is the beginning of another."""

import hashlib
from array import array
from typing import Final

_OVERLAP: Final = 4
"""So many messages must be the same, or all that there are: fewer may be so by chance."""


def short(line: bytes) -> int:
    """A hash of a canonical line, of 64 bits."""
    return int.from_bytes(hashlib.blake2b(line, digest_size=8).digest(), "big", signed=True)


class Run:
    """A run of messages, looked for among others that come one by one (Knuth-Morris-Pratt)."""

    def __init__(self, ours: "array[int]") -> None:
        self.length = len(ours)
        self.same = 0
        """So many of the last that came are its first."""
        self._ours = ours
        self._falls = array("q", [0]) * (len(ours) + 1)
        for i in range(1, len(ours)):
            self.take(ours[i])
            self._falls[i + 1] = self.same
        self.begin()

    def begin(self) -> None:
        """Others come, from their first one on."""
        self.same = 0

    def take(self, each: int) -> bool:
        """The next one; whether it is the last of the whole run."""
        ours, same = self._ours, self.same
        while same and (same == self.length or each != ours[same]):
            same = self._falls[same]
        self.same = same + (same < self.length and each == ours[same])
        return 0 < self.length == self.same


def enough(same: int, length: int) -> bool:
    """Whether so many messages of a run of that length are the same by more than chance."""
    return 0 < same >= min(_OVERLAP, length)


def overlap(ours: "array[int]", tail: "array[int]") -> int:
    """The largest k where the last k of `tail` are the first k of `ours`."""
    run = Run(ours)
    for each in tail:
        run.take(each)
    return run.same
