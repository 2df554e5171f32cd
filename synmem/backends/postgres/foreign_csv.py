"""CSV of a table of another framework, where its messages are of a role, a content and perhaps a
time: of whole conversations, which another store loads as it is."""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from synmem.backends.csv_rows import Csv
from synmem.backends.paging import storable
from synmem.backends.postgres.foreign_table import IDS_A_QUERY, ForeignTable
from synmem.backends.records import Row, position_at
from synmem.backends.whole import MALFORMED
from synmem.messages import Message, format_time, plain

_MOST: Final = 10_000
"""So many messages are told in one call: they are held until they are written."""


class CsvMaker:
    """Makes CSV of messages that have nothing else."""

    def __init__(self, table: ForeignTable) -> None:
        self._table = table
        self._pays = True
        """False once it could be made of less than half of what was read: what follows is likely
        of the same kind, and then each would be read twice."""

    async def csv(self, conversations: Sequence[str]) -> tuple[list[Csv], list[str]]:
        """See `MakesCsv.csv`."""
        waiting = sorted(storable(conversations))
        if not waiting or not self._pays or not self._table.shape.single:
            return [], []
        ids = waiting[:IDS_A_QUERY]
        rows = await self._table.first_rows(ids, _MOST)
        runs = [[*run] for _, run in groupby(rows, attrgetter("conversation"))]
        done = len(ids)
        if len(rows) == _MOST:  # the last one may go on; if it is the only one, it is large
            done = ids.index(runs[-1][0].conversation) + (len(runs) == 1)
            runs.pop()
        found = [each for run in runs if (each := self._csv_of(run)) is not None]
        self._pays = 2 * len(found) >= len(runs)
        return found, waiting[done:]

    def _csv_of(self, rows: Sequence[Row]) -> Csv | None:
        """That of a conversation's rows; None where it says more, or cannot be read."""
        name = rows[0].conversation
        begin = f'{_quoted(name)},"'
        lines = []
        try:
            for row in rows:
                (message,) = self._table.shape.unfold(row.record)
                if not isinstance(message, Message) or not plain(message) or message.metadata:
                    return None
                at = "" if message.created_at is None else format_time(message.created_at)
                lines.append(f'{begin}{message.role}",{_quoted(message.content)},,{at}\n')
        except MALFORMED:
            return None
        return Csv(name, len(lines), "".join(lines).encode(), position_at(rows[-1]))


def _quoted(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'
