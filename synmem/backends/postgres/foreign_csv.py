"""CSV of a table of another framework, where its messages are of a role, a content and perhaps a
time: of whole conversations, which another store loads as it is."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple

from synmem.backends.csv_rows import Csv
from synmem.backends.paging import storable
from synmem.backends.postgres.foreign_sweep import Sweep
from synmem.backends.postgres.foreign_table import IDS_A_QUERY, ForeignTable
from synmem.backends.records import Row, position_at
from synmem.layouts.shapes import MALFORMED, Record
from synmem.messages import MAX_PLAIN, Message, format_time, plain
from synmem.store import Position

_MOST: Final = 10_000
"""So many messages are told in one call: they are held until they are written."""


class _Run(NamedTuple):
    """A whole conversation."""

    conversation: str
    columns: Sequence[Sequence[Any]]
    """Those of the records of its rows."""
    last: int
    """The number of the last of these."""
    keys: Sequence[Any] = ()
    """What stands before that in the order."""

    @property
    def records(self) -> Iterator[Record]:
        """The records of its rows."""
        return zip(*self.columns, strict=True)

    def end(self) -> Position:
        """Where it ends."""
        record = tuple(column[-1] for column in self.columns)
        return position_at(Row(self.conversation, self.last, self.keys, record))


def _run_of(rows: Sequence[Row]) -> _Run:
    columns = [*zip(*(row.record for row in rows), strict=True)]
    last = rows[-1]
    return _Run(last.conversation, columns, last.number, last.keys)


class CsvMaker:
    """Makes CSV of messages that have nothing else."""

    def __init__(self, table: ForeignTable, sweep: Sweep) -> None:
        self._table = table
        self._sweep = sweep
        self._pays = True
        """False once it could be made of less than half of what was read: what follows is likely
        of the same kind, and then each would be read twice."""

    async def csv(self, conversations: Sequence[str]) -> tuple[list[Csv], list[str]]:
        """See `MakesCsv.csv`."""
        waiting = sorted(storable(conversations))
        if not waiting or not self._pays or not self._table.shape.single:
            return [], []
        if self._table.is_swept:
            runs, done = await self._swept(waiting)
        else:
            runs, done = await self._first_of(waiting[:IDS_A_QUERY])
        found = [each for run in runs if (each := self._csv_of(run)) is not None]
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
        return [_run_of(run) for run in runs], done

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
        found = dict(await self._table.numbered_columns([*some], numbers))
        runs: list[_Run] = []
        for name, known_by in some.items():
            columns = found.get(name)
            if columns and len(columns[0]) == len(known_by):  # else somebody has written meanwhile
                runs.append(_Run(name, columns, known_by[-1]))
        return runs, len(some)

    def _csv_of(self, run: _Run) -> Csv | None:
        """That of a conversation; None where it says more, or cannot be read."""
        begin = f'"{_doubled(run.conversation)}","'
        lines = self._lines_of_texts(begin, run.columns) or self._lines(begin, run.records)
        if lines is None:
            return None
        return Csv(run.conversation, len(run.columns[0]), lines.encode(), run.end)

    def _lines_of_texts(self, begin: str, columns: Sequence[Sequence[Any]]) -> str | None:
        """The lines of messages that are a role and a text each, where the layout tells these of
        many at once; None where it does not. What `plain` asks of each is asked of all together."""
        texts = self._table.shape.texts
        told = texts(columns[0]) if texts is not None else None
        if told is None:
            return None
        found = "".join([f'{begin}{role}","{_doubled(text)}",,\n' for role, text in told])
        return found if len(found) <= MAX_PLAIN and "\0" not in found else None

    def _lines(self, begin: str, records: Iterable[Record]) -> str | None:
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
        return "".join(lines)


def _doubled(text: str) -> str:
    """What stands between quotes."""
    return text.replace('"', '""')
