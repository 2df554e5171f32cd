"""CSV of a table of another framework, where its messages are of a role, a content and perhaps a
time: of whole conversations, which another store loads as it is."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from synmem.backends.csv_rows import Csv
from synmem.backends.paging import storable
from synmem.backends.postgres.foreign_table import IDS_A_QUERY, ForeignTable
from synmem.backends.records import Row, position_at
from synmem.layouts.shapes import MALFORMED, Record
from synmem.messages import Message, format_time, plain

_MOST: Final = 10_000
"""So many messages are told in one call: they are held until they are written."""

_NUMBERS: Final = 200_000
"""So many numbers of rows are remembered, at most: some 10 MB."""

_FRESH_S: Final = 10.0
"""So long they are: what is added meanwhile is not told, as if it had come behind the read."""

_Run = tuple[Sequence[Record], Row]
"""A whole conversation: its records, and its last row."""


class CsvMaker:
    """Makes CSV of messages that have nothing else."""

    def __init__(self, table: ForeignTable) -> None:
        self._table = table
        self._sweep = Sweep(table)
        self._pays = True
        """False once it could be made of less than half of what was read: what follows is likely
        of the same kind, and then each would be read twice."""

    async def csv(self, conversations: Sequence[str]) -> tuple[list[Csv], list[str]]:
        """See `MakesCsv.csv`."""
        waiting = sorted(storable(conversations))
        if not waiting or not self._pays or not self._table.shape.single:
            return [], []
        if self._table.is_indexed or not self._table.is_numbered or self._table.keys:
            runs, done = await self._first_of(waiting[:IDS_A_QUERY])
        else:
            runs, done = await self._swept(waiting)
        found = [each for run in runs if (each := self._csv_of(*run)) is not None]
        self._pays = 2 * len(found) >= len(runs)
        return found, waiting[done:]

    async def _first_of(self, ids: Sequence[str]) -> tuple[list[_Run], int]:
        """Whole conversations, the first of these, and how many of these have been looked at."""
        rows = await self._table.first_rows(ids, _MOST)
        runs = [[*run] for _, run in groupby(rows, attrgetter("conversation"))]
        done = len(ids)
        if len(rows) == _MOST:
            # The last one may go on; if it is the only one, it is large.
            done = ids.index(runs[-1][0].conversation) + (len(runs) == 1)
            runs.pop()
        return [([row.record for row in run], run[-1]) for run in runs], done

    async def _swept(self, ids: Sequence[str]) -> tuple[list[_Run], int]:
        """The same where no index finds their rows: by their numbers."""
        known = await self._sweep.numbers(ids)
        some: dict[str, Sequence[int]] = {}
        room = _MOST
        for name in ids:
            if name not in known or (some and len(known[name]) > room):
                break
            some[name] = known[name] if len(known[name]) <= room else ()
            room -= len(some[name])
        numbers = [number for each in some.values() for number in each]
        found = dict(await self._table.numbered_records([*some], numbers))
        runs: list[_Run] = []
        for name, known_by in some.items():
            records = found.get(name)
            if records and len(records) == len(known_by):  # else somebody has written meanwhile
                runs.append((records, Row(name, known_by[-1], (), records[-1])))
        return runs, len(some)

    def _csv_of(self, records: Sequence[Record], last: Row) -> Csv | None:
        """That of a conversation's rows; None where it says more, or cannot be read."""
        name = last.conversation
        begin = f'"{_doubled(name)}","'
        unfold = self._table.shape.unfold
        lines = []
        try:
            for record in records:
                (m,) = unfold(record)
                if not isinstance(m, Message) or m.metadata or not plain(m):
                    return None
                at = "" if m.created_at is None else format_time(m.created_at)
                lines.append(f'{begin}{m.role}","{_doubled(m.content)}",,{at}\n')
        except MALFORMED:
            return None
        return Csv(name, len(lines), "".join(lines).encode(), position_at(last))


class Sweep:
    """The numbers of the rows of conversations that follow each other in the order of their ids:
    one look through the table tells those of many."""

    def __init__(self, table: ForeignTable) -> None:
        self._table = table
        self._turn = asyncio.Lock()  # one look tells all who wait for it
        self._until = 0.0
        self._from = ""
        self._upto: str | None = ""
        """Up to which id they are known; None: all behind the first."""
        self._numbers: Mapping[str, Sequence[int]] = {}

    async def numbers(self, ids: Sequence[str]) -> dict[str, Sequence[int]]:
        """Of these, which are sorted, the numbers of the first conversation's rows, and of as many
        others as are known; none of one that has more than are remembered."""
        async with self._turn:
            if time.monotonic() > self._until or not self._covers(ids[0]):
                await self._look(ids[0])
        return {name: self._numbers.get(name, ()) for name in ids if self._covers(name)}

    def _covers(self, name: str) -> bool:
        return self._from <= name and (self._upto is None or name <= self._upto)

    async def _look(self, first: str) -> None:
        """Look through the table for the conversations from this one on."""
        self._until = time.monotonic() + _FRESH_S
        runs = dict(await self._table.numbers_from(first, _NUMBERS))
        self._from, self._upto = first, None
        if sum(map(len, runs.values())) == _NUMBERS:
            last, _ = runs.popitem()  # it may go on
            runs = runs or {last: []}
            self._upto = max(runs)
        self._numbers = runs


def _doubled(text: str) -> str:
    """What stands between quotes."""
    return text.replace('"', '""')
