"""Messages that are made when they are read: a listing wants how many, the first and the last."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from typing import overload

from synmem.messages import Message, Unreadable

Said = Message | Unreadable


class WhenAsked(Sequence[Said]):
    """What records say, one after another, each of which says so many messages."""

    def __init__(self, counts: Sequence[int], said: Callable[[int], Sequence[Said]]) -> None:
        """`said`: what a record says, by its index; as many messages as were counted."""
        self._counts = counts
        self._said = said

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @cached_property
    def _ends(self) -> list[int]:
        """Of each record how many messages there are up to it."""
        return [*accumulate(self._counts)]

    @overload
    def __getitem__(self, index: int) -> Said: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Said]: ...

    def __getitem__(self, index: int | slice) -> Said | Sequence[Said]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = index if index >= 0 else len(self) + index
        if not 0 <= at < len(self):
            raise IndexError(index)
        record = bisect_right(self._ends, at)
        return self._said(record)[at - self._ends[record]]

    def __iter__(self) -> Iterator[Said]:
        for record, count in enumerate(self._counts):
            if count:
                yield from self._said(record)
