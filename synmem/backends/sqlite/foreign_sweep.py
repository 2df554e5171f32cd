"""Where no index finds the rows of a conversation: one look through the table tells the numbers of
many conversations' rows, and as long as nothing is written they are found by these."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from synmem.backends.sqlite.foreign_table import ForeignTable

_ROWS: Final = 200_000
"""So many numbers are remembered, at most: some 10 MB."""


class Sweep:
    """The numbers of the rows of conversations that follow each other in the order of their ids, as
    each is read."""

    def __init__(self, table: ForeignTable) -> None:
        self._table = table
        self._state: Any = None
        self._from = ""
        self._upto: str | None = ""
        """Up to which id they are known; None: all behind the first."""
        self._numbers: dict[str, list[Any] | None] = {}

    async def numbers(self, ids: Sequence[str]) -> dict[str, list[Any] | None]:
        """Of these, which are sorted, the numbers of the first conversation's rows, and of as many
        others as are known; None of one that has more than are remembered. Within a step."""
        state = await self._now()
        if state != self._state or not self._covers(ids[0]):
            await self._look(ids[0])
            self._state = state
        return {name: self._numbers.get(name, []) for name in ids if self._covers(name)}

    def _covers(self, name: str) -> bool:
        return self._from <= name and (self._upto is None or name <= self._upto)

    async def is_current(self) -> bool:
        """Whether nothing was written since the last look; within a step."""
        return bool(self._state == await self._now())

    async def _now(self) -> Any:
        """What is another once anything was written, by us or by others."""
        file = self._table.file
        told = await file.rows("SELECT total_changes(), data_version FROM pragma_data_version")
        return file.connection, told

    async def _look(self, first: str) -> None:
        """Look through the table for the conversations from this one on."""
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
        self._from, self._upto = first, None
        if len(rows) == _ROWS and len(runs) > 1:
            runs.popitem()  # it may go on
            self._upto = max((run for run in runs if isinstance(run, str)), default=first)
        elif len(rows) == _ROWS:
            self._upto = first
            runs = dict.fromkeys(runs)
        self._numbers = {run: found for run, found in runs.items() if isinstance(run, str)}
