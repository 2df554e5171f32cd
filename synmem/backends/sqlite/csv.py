"""CSV from an SQLite file, made by SQLite of many rows at once."""

from collections.abc import Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Final

from synmem.backends.csv_rows import Csv
from synmem.backends.paging import storable
from synmem.backends.sqlite.csv_sql import csv_query, finished_csv
from synmem.backends.sqlite.line_sql import Run, counts_sql, runs_of
from synmem.backends.sqlite.lines import LineMaker, one_ahead, told
from synmem.backends.sqlite.place import IDS_A_QUERY, Place, marks

CALL_MESSAGES: Final = 10_000
CALL_BYTES: Final = 8_000_000
"""About so much is told in one call: it is held until it is written."""


class CsvMaker:
    """Makes CSV without messages."""

    def __init__(self, place: Place, lines: LineMaker, *, page_size: int) -> None:
        self._file, self._table = place.file, place.table
        self._lines = lines
        self._page_size = page_size
        self._csv_pays = True
        """False once a query told of conversations of which it could be made of less than half:
        those that follow are likely of the same kind, and who reads each in both ways is slower
        than who only makes messages of them."""

    async def csv(self, conversations: Sequence[str]) -> tuple[list[Csv], list[str]]:
        """See `MakesCsv.csv`."""
        if not await self._lines.is_usual() or not self._csv_pays:
            return [], []
        waiting = sorted(storable(conversations))
        ids, waiting = waiting[:IDS_A_QUERY], waiting[IDS_A_QUERY:]
        runs = await self._runs_apart(ids)
        found: list[Csv] = []
        messages = size = 0
        async with aclosing(one_ahead(self._file, self._told_of, [*runs])) as all_told:
            async for run, rows in all_told:
                found += (some := await self._csv_of(run.ids, rows))
                runs.remove(run)
                messages += run.messages
                size += sum(len(each.data) for each in some)
                self._csv_pays = self._csv_pays and 2 * len(some) >= len(run.ids)
                if not self._csv_pays or messages >= CALL_MESSAGES or size >= CALL_BYTES:
                    break
        return found, [each for run in runs for each in run.ids] + waiting

    async def _runs_apart(self, ids: Sequence[str]) -> list[Run]:
        """How to read these conversations, the lines of each by themselves."""
        async with self._file.step():
            counts = await self._file.rows(counts_sql("messages", marks(ids)), ids)
        most = 2 * self._page_size
        return runs_of([row for row in counts if row[1] <= most], ids, most=most)

    async def _told_of(self, run: Run) -> list[Any] | None:
        async with self._file.step():
            return await told(self._file, csv_query(self._table, marks(run.ids)), run.ids)

    async def _csv_of(self, ids: Sequence[str], rows: list[Any] | None) -> list[Csv]:
        """Those of these conversations of which it can be made."""
        if rows is None and len(ids) > 1:
            alone = [Run([each], [0], None) for each in ids]
            return [
                csv
                for run in alone
                for csv in await self._csv_of(run.ids, await self._told_of(run))
            ]
        if rows is None:
            return []
        made = zip(rows, finished_csv(rows), strict=True)
        return [
            Csv(row[0], row[1], data, partial(str, row[2]))
            for row, data in made
            if data is not None
        ]
