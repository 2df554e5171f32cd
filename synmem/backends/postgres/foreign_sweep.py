"""The numbers of the rows of conversations, in a table where no index finds these by their id."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from synmem.backends.postgres.foreign_table import Count, ForeignTable

_NUMBERS: Final = 200_000
"""So many numbers of rows are remembered, at most: some 10 MB."""

_FRESH_S: Final = 10.0
"""So long they are: what is added meanwhile is not told, as if it had come behind the read."""


class _Known(NamedTuple):
    until: float
    numbers: Mapping[str, Sequence[int]]


class Sweep:
    """The numbers of the rows of conversations that follow each other in the order of their ids:
    what a listing has counted tells those of many, and else one look through the table."""

    def __init__(self, table: ForeignTable) -> None:
        self._table = table
        self._turn = asyncio.Lock()  # one look tells all who wait for it
        self._counted: deque[_Known] = deque(maxlen=2)
        self._until = 0.0
        self._from = ""
        self._upto: str | None = ""
        """Up to which id they are known; None: all behind the first."""
        self._numbers: Mapping[str, Sequence[int]] = {}

    def counted(self, counts: Sequence[Count]) -> None:
        """How many rows conversations have now: as many as there are numbers from their first to
        their last, in many tables, and then these are theirs."""
        dense = {
            each.conversation: range(each.first, each.last + 1)
            for each in counts
            if each.last - each.first + 1 == each.rows
        }
        self._counted.append(_Known(time.monotonic() + _FRESH_S, dense))

    async def numbers(self, ids: Sequence[str]) -> dict[str, Sequence[int]]:
        """Of these, which are sorted, the numbers of the rows of those that are known: at least of
        the first one. None of one that has more than are remembered."""
        async with self._turn:
            now = time.monotonic()  # what is known then is still told when a look was long
            unknown = next((name for name in ids if self._of(name, now) is None), None)
            if unknown is not None:
                await self._look(unknown)
            known = {name: self._of(name, now) for name in ids}
        return {name: numbers for name, numbers in known.items() if numbers is not None}

    def _of(self, name: str, now: float) -> Sequence[int] | None:
        """Those of a conversation; None where they are not known at that time."""
        for known in self._counted:
            if name in known.numbers and now < known.until:
                return known.numbers[name]
        if now < self._until and self._covers(name):
            return self._numbers.get(name, ())
        return None

    def _covers(self, name: str) -> bool:
        return self._from <= name and (self._upto is None or name <= self._upto)

    async def _look(self, first: str) -> None:
        """Look through the table for the conversations from this one on."""
        runs = dict(await self._table.numbers_from(first, _NUMBERS))
        self._until = time.monotonic() + _FRESH_S  # a look may itself take longer than that
        self._from, self._upto = first, None
        if sum(map(len, runs.values())) == _NUMBERS:
            last, _ = runs.popitem()  # it may go on
            runs = runs or {last: []}
            self._upto = max(runs)
        self._numbers = runs
