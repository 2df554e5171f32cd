"""Reading a table of another framework: pages by key, many conversations in a query, nothing held
between."""

from collections.abc import AsyncGenerator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from synmem.backends.paging import END, Fetched, fetched
from synmem.backends.postgres.foreign_table import IDS_A_QUERY, ForeignTable
from synmem.backends.records import (
    Item,
    Row,
    Spot,
    items_from,
    items_of,
    page_of,
    spot_at,
)
from synmem.messages import chunks
from synmem.store import START, Page, Position

_SWEEP: Final = 20
"""So many pages are fetched at once, where each fetch looks through the whole table."""


class ForeignReader:
    """The `Pages` of a table of another framework."""

    def __init__(self, table: ForeignTable, *, page_size: int) -> None:
        self._table = table
        self._page_size = page_size

    async def page(self, conversation: str, after: Position, reverse: bool, size: int) -> Fetched:
        """See `Pages.page`."""
        spot = None if after == START else spot_at(after)
        items = await self._items_from(conversation, spot, reverse, size)
        return fetched(page_of(items), size) if items else END

    async def _items_from(
        self, conversation: str, spot: Spot | None, reverse: bool, size: int
    ) -> list[Item]:
        store = self._table.database.name
        return await items_from(self._table, store, conversation, spot, reverse=reverse, size=size)

    def _items(self, rows: Sequence[Row], *, reverse: bool = False) -> list[Item]:
        return items_of(self._table.shape.unfold, rows, reverse=reverse)

    async def first(self, ids: Sequence[str]) -> AsyncGenerator[tuple[str, Fetched], None]:
        """See `Pages.first`: as many in a query as a page has room for, or where no index finds
        their rows as many as some pages have: the last one, which may go on, comes with the next.
        One that fills all that by itself is read by itself."""
        most = self._page_size * (1 if self._table.is_indexed else _SWEEP)
        waiting = [*ids]
        while waiting:
            chunk = waiting[:IDS_A_QUERY]
            rows = await self._table.first_rows(chunk, most)
            runs = [[*run] for _, run in groupby(rows, attrgetter("conversation"))]
            done = len(chunk)
            if len(rows) == most:
                last = runs.pop()[0].conversation
                done = chunk.index(last)
                if not runs:
                    yield last, Fetched(None, START)
                    done += 1
            for run in runs:
                for some in chunks(self._items(run), self._page_size):
                    yield run[0].conversation, Fetched(page_of(some), None)
            waiting = waiting[done:]

    async def ends(self, ids: Sequence[str], reverse: bool, each: int) -> list[Page]:
        """See `Pages.ends`."""
        if not self._table.shape.single:
            found = [await self._items_from(one, None, reverse, each) for one in ids]
            return [page_of(items) for items in found if items]
        rows = await self._table.end_rows(ids, reverse, each)
        runs = groupby(rows, attrgetter("conversation"))
        return [page_of(self._items([*run], reverse=reverse)) for _, run in runs]
