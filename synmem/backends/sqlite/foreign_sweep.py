"""Where no index finds the rows of a conversation: one look through the table tells the numbers of
many conversations' rows, and by these they are found from then on.

The look is of many queries, so that whoever else writes gets on between them. What others add
behind is read on; once they have written anything else that shows, or some time ago, it is looked
anew. What does not show is at worst not told yet: who fetches the rows sees those that have gone.
"""

import time
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from synmem.backends.sqlite.foreign_table import ForeignTable

_ROWS: Final = 100_000
"""So many numbers are remembered where there are more, and at most twice as many: some 10 MB."""

_FRESH_S: Final = 10.0
"""So long, while others write."""


class Sweep:
    """The numbers of the rows of conversations that follow each other in the order of their ids, as
    each is read."""

    def __init__(self, table: ForeignTable) -> None:
        self._table = table
        self._ours: Any = None
        self._theirs: Any = None
        self._until = 0.0
        self._from = ""
        self._upto: str | None = ""
        """Up to which id they are known; None: all behind the first."""
        self._numbers: dict[str, list[Any] | None] = {}
        self._count = 0
        self._span: tuple[int, int] | None = None
        self._last: Any = None
        """Whose the row with the highest number is."""

    async def numbers(
        self, ids: Sequence[str], *, of_now: bool = True
    ) -> dict[str, list[Any] | None]:
        """Of these, which are sorted, the numbers of the first conversation's rows, and of as many
        others as are known; None of one that has more than are remembered. Within a step.

        Unless they are to be those `of_now`, they may be those of the last time that was asked.
        """
        is_known = (self._table.is_numbered and not of_now) or await self._is_known()
        if not (is_known and self._covers(ids[0])):
            await self._look(ids[0])
        return {name: self._numbers.get(name, []) for name in ids if self._covers(name)}

    def _covers(self, name: str) -> bool:
        return self._from <= name and (self._upto is None or name <= self._upto)

    async def is_current(self) -> bool:
        """Whether nothing was written since the last look; within a step."""
        return bool((self._ours, self._theirs) == await self._now())

    async def _now(self) -> tuple[Any, Any]:
        """What is another once anything was written: by us, and by others."""
        file = self._table.file
        told = await file.rows("SELECT total_changes(), data_version FROM pragma_data_version")
        return (file.connection, [row[0] for row in told]), [row[1] for row in told]

    async def _is_known(self) -> bool:
        """Whether the numbers are those of now, as far as can be seen; what came behind is."""
        ours, theirs = await self._now()
        if ours != self._ours:
            return False
        if theirs == self._theirs:
            return True
        if not self._table.is_numbered or time.monotonic() > self._until or self._span is None:
            return False
        span = await self._table.span()
        low, high = self._span
        if span is None or span[0] != low or await self._whose(high) != self._last:
            return False
        await self._read_on(high + 1, span[1])
        self._theirs = theirs
        return True

    async def _whose(self, number: int) -> Any:
        """What says whose the row of that number is; nothing where there is none."""
        table = self._table
        sql = f"SELECT {table.id} FROM {table.name} WHERE {table.number} = {number}"
        return await table.file.forgiving(sql)

    async def _look(self, first: str) -> None:
        """Look through the table for the conversations from this one on."""
        self._ours, self._theirs = await self._now()
        self._until = time.monotonic() + _FRESH_S
        self._from, self._upto = first, None
        self._numbers, self._count, self._span = {}, 0, None
        if not self._table.is_numbered:
            await self._look_at_once(first)
        elif (span := await self._table.span()) is not None:
            low, high = span
            await self._read_on(low, high)
            self._span = span

    async def _read_on(self, low: int, high: int) -> None:
        """The rows of these numbers, in ranges."""
        table = self._table
        where, at = table.from_id(self._from, ">=")
        async for first, last in table.ranges(low, high):
            sql = (
                f"SELECT {table.id}, {table.number} FROM {table.name} WHERE {table.number} "
                f"BETWEEN {first} AND {last} AND {where}{table.live} ORDER BY {table.number}"
            )
            for name, number in await table.file.forgiving(sql, [at]):
                numbers = self._numbers.get(name)
                if numbers is not None:
                    numbers.append(number)
                    self._count += 1
                elif self._is_new(name):
                    self._numbers[name] = [number]
                    self._count += 1
            if self._count > 2 * _ROWS:
                self._forget_last()
        if self._span is not None:
            self._span = self._span[0], max(self._span[1], high)
        self._last = await self._whose(high)

    def _is_new(self, name: Any) -> bool:
        """Whether a conversation is to be remembered that was not met yet."""
        known = not isinstance(name, str) or name in self._numbers
        return not known and (self._upto is None or name <= self._upto)

    def _forget_last(self) -> None:
        """Remember the first conversations only, of so many rows; none of one that has more."""
        kept: dict[str, list[Any] | None] = {}
        count = 0
        for name in sorted(self._numbers):
            numbers = self._numbers[name]
            if count + len(numbers or ()) > _ROWS:
                if not kept:
                    kept[name] = None
                break
            kept[name] = numbers
            count += len(numbers or ())
        self._numbers, self._count, self._upto = kept, count, max(kept)

    async def _look_at_once(self, first: str) -> None:
        """The same where more than their numbers orders the rows: SQLite sorts them."""
        table = self._table
        where, at = table.from_id(first, ">=")
        rows = await table.file.forgiving(
            f"SELECT {table.id}, {table.number} FROM {table.name} WHERE {where}{table.live} "
            f"ORDER BY {table.by_id}, {table.order()} LIMIT ?",
            [at, _ROWS],
        )
        runs: dict[Any, list[Any] | None] = {
            run: [row[1] for row in some] for run, some in groupby(rows, itemgetter(0))
        }
        if len(rows) == _ROWS and len(runs) > 1:
            runs.popitem()  # it may go on
            self._upto = max((run for run in runs if isinstance(run, str)), default=first)
        elif len(rows) == _ROWS:
            self._upto = first
            runs = dict.fromkeys(runs)
        self._numbers = {run: found for run, found in runs.items() if isinstance(run, str)}
