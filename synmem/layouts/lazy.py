"""Messages that are made when they are read: a listing wants how many, the first and the last."""

from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from typing import overload

from synmem.messages import Message, Unreadable

Said = Message | Unreadable


class Lazy(Sequence[Said]):
    """What is said, each made when it is asked for."""

    @abstractmethod
    def made(self, at: int) -> Said:
        """The one at that index, which is one."""

    def made_at(self, indexes: range) -> Sequence[Said]:
        """Those at these indexes."""
        return [self.made(at) for at in indexes]

    @overload
    def __getitem__(self, index: int) -> Said: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Said]: ...

    def __getitem__(self, index: int | slice) -> Said | Sequence[Said]:
        indexes = range(len(self))[index]
        return self.made(indexes) if isinstance(indexes, int) else self.made_at(indexes)

    def __iter__(self) -> Iterator[Said]:
        return map(self.made, range(len(self)))


class Built(Lazy):
    """What these records say, one message each."""

    def __init__(self, indexes: Sequence[int], said: Callable[[int], Said]) -> None:
        """`said`: what a record says, by its index."""
        self._indexes = indexes
        self._said = said

    def __len__(self) -> int:
        return len(self._indexes)

    def made(self, at: int) -> Said:
        """See `Lazy.made`."""
        return self._said(self._indexes[at])


class WhenAsked(Lazy):
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

    def made(self, at: int) -> Said:
        """See `Lazy.made`."""
        record = bisect_right(self._ends, at)
        return self._said(record)[at - self._ends[record]]

    def __iter__(self) -> Iterator[Said]:
        for record, count in enumerate(self._counts):
            if count:
                yield from self._said(record)
