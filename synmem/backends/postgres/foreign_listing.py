"""Listing a table of another framework: its conversations, and the rows that belong to none."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from synmem.backends.paging import Paging, storable
from synmem.backends.postgres.foreign_reading import ForeignReader
from synmem.backends.postgres.foreign_sweep import Sweep
from synmem.backends.postgres.foreign_table import IDS_A_QUERY, Count, ForeignTable
from synmem.messages import STRAY, Damage, Message, chunks
from synmem.store import ConversationInfo

_SWEEP: Final = 20
"""So many pages are counted in one query: it looks through the whole table, or a whole index."""

_MOST_DAMAGE: Final = 1000


class ForeignListing:
    """The conversations of a table of another framework."""

    def __init__(
        self,
        table: ForeignTable,
        reader: ForeignReader,
        paging: Paging,
        sweep: Sweep,
        *,
        page_size: int,
    ) -> None:
        self._table = table
        self._sweep = sweep
        self._reader = reader
        self._paging = paging
        self._page_size = page_size

    async def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`; in the order of the ids' bytes."""
        async for counts in self._counted_of(ids) if ids is not None else self._counted():
            for names in chunks([*counts], self._page_size):
                infos = await self._infos({name: counts[name] for name in names}, details)
                if infos:
                    yield infos

    async def _counted_of(self, ids: Sequence[str]) -> AsyncIterator[dict[str, int]]:
        """How many rows each of these conversations has, those that are there."""
        if not await self._table.is_made():
            return
        column = self._table.id
        for chunk in chunks(storable(ids), IDS_A_QUERY):
            found = await self._counts(column.among("$1"), [column.values(chunk), len(chunk)])
            yield {each.conversation: each.rows for each in found}

    async def _counted(self) -> AsyncIterator[dict[str, int]]:
        """The same of all conversations, in pages."""
        last, size = "", self._page_size * _SWEEP
        while await self._table.is_made():
            id_ = self._table.id
            where = f'{id_.text} COLLATE "C" > $1 AND {id_.readable}'
            found = await self._counts(where, [last, size])
            yield {each.conversation: each.rows for each in found}
            if len(found) < size:
                return
            last = found[-1].conversation

    async def _counts(self, where: str, values: Sequence[Any]) -> list[Count]:
        found = await self._table.counts(where, values)
        if self._table.is_swept:
            self._sweep.counted(found)
        return found

    async def _infos(self, counts: Mapping[str, int], details: bool) -> list[ConversationInfo]:
        """These conversations as a listing tells them; one without messages is none."""
        if not self._table.shape.single:
            counts = {name: n for name in counts if (n := await self._count(name))}
        if not details:
            return [ConversationInfo(id=name) for name in counts]
        times: list[Mapping[str, Any]] = [{}, {}]
        if "created_at" in self._table.shape.holds.fields:
            times = [await self._times(counts, reverse=reverse) for reverse in (False, True)]
        first, last = times
        return [
            ConversationInfo(
                id=name, messages=count, first_at=first.get(name), last_at=last.get(name)
            )
            for name, count in counts.items()
        ]

    async def _count(self, conversation: str) -> int:
        """How many messages its rows have."""
        return sum([len(page.items) async for page in self._paging.one(conversation)])

    async def _times(self, names: Mapping[str, int], *, reverse: bool) -> dict[str, Any]:
        """When the first or last message of each was made."""
        found = {}
        for page in await self._reader.ends([*names], reverse, 1):
            if isinstance(said := page.items[0], Message):
                found[page.conversation] = said.created_at
        return found

    async def strays(self) -> list[Damage]:
        """See `SupportsStrays.strays`: rows without an id. The number of a row that no column
        numbers is its place in the table."""
        table = self._table
        if not await table.is_made():
            return []
        id_ = table.id
        columns = table.selected(f"(coalesce({id_.text}, '') = '' OR NOT {id_.readable})")
        rows = await table.database.fetch(
            f"SELECT n, CASE WHEN s IS NULL THEN 'NULL' WHEN s = '' THEN 'empty' ELSE 'not UTF-8' "
            f"END FROM ({columns}) AS found ORDER BY n LIMIT {_MOST_DAMAGE}"
        )
        return [Damage(STRAY, f"row {number}", f"its {id_.name} is {why}") for number, why in rows]

    async def total(self) -> int:
        """See `SupportsTotal`."""
        if not await self._table.is_made():
            return 0
        rows = await self._table.database.fetch(f"SELECT count(*) FROM {self._table.name}")
        return int(rows[0][0])
