"""Reading a collection of another framework: pages by key, many conversations in a query, nothing
held between."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from synmem.backends.mongo.foreign_documents import (
    IDS_A_QUERY,
    ForeignDocuments,
    Item,
    Row,
    Spot,
    end_of,
    hash_of,
    page_of,
    runs_of,
    spot_at,
)
from synmem.backends.paging import END, Fetched, fetched
from synmem.backends.records import behind
from synmem.messages import chunks
from synmem.store import START, Page, Position

AT_ONCE: Final = 16


class ForeignReader:
    """The `Pages` of a collection of another framework."""

    def __init__(self, documents: ForeignDocuments, *, page_size: int) -> None:
        self._documents = documents
        self._page_size = page_size
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def page(self, conversation: str, after: Position, reverse: bool, size: int) -> Fetched:
        """See `Pages.page`."""
        spot = None if after == START else spot_at(after)
        items = await self._items_from(conversation, spot, reverse, size)
        return fetched(page_of(items), size) if items else END

    async def _items_from(
        self, conversation: str, spot: Spot | None, reverse: bool, size: int
    ) -> list[Item]:
        """So many messages behind a spot, whose document is read along to see that it is there; on
        it goes over documents without a message."""
        found: list[Item] = []
        while len(found) < size:
            keys, asked = (None, size) if spot is None else (spot.keys, size + 1)
            rows = await self._documents.rows_from(conversation, keys, reverse, asked)
            items = self._documents.items(rows, reverse=reverse)
            if spot is not None:
                if not rows or hash_of(rows[0]) != spot.hash:
                    raise self._documents.changed(conversation)
                items = behind(items, rows[0], spot.nth)
            found += items
            if len(rows) < asked:
                break
            spot = end_of(rows[-1])
        return found[:size]

    async def first(self, ids: Sequence[str]) -> AsyncGenerator[tuple[str, Fetched], None]:
        """See `Pages.first`: as many in a query as a page has room for; the last one, which may
        go on, comes with the next. One that fills a page is read by itself."""
        waiting, width = [*ids], IDS_A_QUERY
        order = [(self._documents.id, 1), *self._documents.order()]
        while waiting:
            chunk, most = waiting[:width], self._page_size
            rows = await self._documents.rows(await self._documents.of(chunk), order, most)
            runs, done = dict(runs_of(rows)), {*chunk}
            if len(rows) == most:
                last = rows[-1].conversation
                del runs[last]
                done = {*runs} or {last}
                width = max(8, 2 * len(done))
                if not runs:
                    yield last, Fetched(None, START)
            for name, run in runs.items():
                for page in self._pages(run):
                    yield name, Fetched(page, None)
            waiting = [name for name in chunk if name not in done] + waiting[len(chunk) :]

    def _pages(self, rows: Sequence[Row]) -> list[Page]:
        """All messages of a conversation, from all its documents."""
        return [page_of(some) for some in chunks(self._documents.items(rows), self._page_size)]

    async def ends(self, ids: Sequence[str], reverse: bool, each: int) -> list[Page]:
        """See `Pages.ends`: several at a time."""

        async def one(conversation: str) -> list[Item]:
            async with self._turns:
                return await self._items_from(conversation, None, reverse, each)

        return [page_of(items) for items in await asyncio.gather(*map(one, ids)) if items]
