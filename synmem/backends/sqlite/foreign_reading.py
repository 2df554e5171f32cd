"""Reading a table of another framework: pages by key, many conversations in a query, nothing held
between."""

import sqlite3
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from synmem.backends.paging import END, Fetched, fetched
from synmem.backends.records import (
    Item,
    Row,
    Spot,
    items_from,
    items_of,
    page_of,
    spot_at,
)
from synmem.backends.sqlite.foreign_sweep import Sweep
from synmem.backends.sqlite.foreign_table import IDS_A_QUERY, ForeignTable
from synmem.backends.sqlite.place import marks
from synmem.messages import chunks
from synmem.store import START, Page, Position

_KEYS_A_QUERY: Final = 10_000 if sqlite3.sqlite_version_info >= (3, 32) else 450
"""And as many conversations; SQLite takes 32,766 parameters, or 999."""


class ForeignReader:
    """The `Pages` of a table of another framework."""

    def __init__(self, table: ForeignTable, *, page_size: int) -> None:
        self._table = table
        self._page_size = page_size
        self._sweep = Sweep(table)

    async def page(self, conversation: str, after: Position, reverse: bool, size: int) -> Fetched:
        """See `Pages.page`."""
        spot = None if after == START else spot_at(after)
        items = await self._items_from(conversation, spot, reverse, size)
        return fetched(page_of(items), size) if items else END

    async def _items_from(
        self, conversation: str, spot: Spot | None, reverse: bool, size: int
    ) -> list[Item]:
        store = self._table.file.name
        return await items_from(self._table, store, conversation, spot, reverse=reverse, size=size)

    async def first(self, ids: Sequence[str]) -> AsyncGenerator[tuple[str, Fetched], None]:
        """See `Pages.first`: as many in a query as a page has room for: the last one, which may
        go on, comes with the next. One that fills a page is read by itself."""
        if not await self._table.is_sought():
            async for each in self._swept(ids):
                yield each
            return
        most, waiting = self._page_size, [*ids]
        while waiting:
            chunk = waiting[:IDS_A_QUERY]
            async with self._table.file.step():
                where = f"{self._table.of(len(chunk))} ORDER BY {self._table.by_id}"
                order = f"{where}, {self._table.order()} LIMIT ?"
                rows = await self._table.rows(order, [*chunk, most])
            runs = [[*run] for _, run in groupby(rows, attrgetter("conversation"))]
            done = len(chunk)
            if len(rows) == most:
                done = chunk.index(runs[-1][0].conversation)
                last = runs.pop()
                if not runs:
                    yield last[0].conversation, Fetched(None, START)
                    done += 1
            for run in runs:
                for page in self._pages(run):
                    yield page.conversation, Fetched(page, None)
            waiting = waiting[done:]

    async def _swept(self, ids: Sequence[str]) -> AsyncGenerator[tuple[str, Fetched], None]:
        """The same where no index finds their rows: by the numbers that a look through the table
        has told of many."""
        most = min(self._page_size, _KEYS_A_QUERY)
        waiting, begins = [*ids], True
        while waiting:
            async with self._table.file.step():
                known = _fitting(await self._sweep.numbers(waiting, of_now=begins), most)
                begins = False
                name, numbers = next(iter(known.items()))
                if numbers is not None and len(numbers) <= most:
                    rows = await self._numbered(known)
                    # Numbers that are no column of the table may be given anew to all of its rows.
                    anew = not (self._table.is_numbered or await self._sweep.is_current())
            waiting = waiting[len(known) :]
            if numbers is None:
                yield name, Fetched(None, START)  # more than are remembered: it is read by itself
            elif len(numbers) > most:
                async for found in self._in_chunks(name, numbers, most):
                    yield name, found
            else:
                for each in self._found(known, [] if anew else rows):
                    yield each

    def _found(
        self, known: Mapping[str, list[Any] | None], rows: Sequence[Row]
    ) -> Iterator[tuple[str, Fetched]]:
        """These conversations; one of which not all rows are there is read by itself: somebody has
        written meanwhile."""
        runs = {name: [*run] for name, run in groupby(rows, attrgetter("conversation"))}
        for name, numbers in known.items():
            run = runs.get(name, [])
            if len(run) != len(numbers or ()):
                yield name, Fetched(None, START)
                continue
            for page in self._pages(run):
                yield name, Fetched(page, None)

    async def _in_chunks(
        self, name: str, numbers: Sequence[Any], size: int
    ) -> AsyncGenerator[Fetched, None]:
        """A conversation of many rows; once any of these, or the last one read, is another or gone,
        it is read on by itself."""
        last, behind, start = START, list[Row](), 0
        while some := numbers[start : start + size]:
            start += len(some)
            async with self._table.file.step():
                if start == len(numbers):
                    await self._sweep.numbers([name])  # what was added meanwhile is among them then
                rows = await self._numbered({name: [*(row.number for row in behind), *some]})
                # Numbers that are no column of the table may be given anew to all of its rows.
                anew = not (self._table.is_numbered or await self._sweep.is_current())
            if anew or len(rows) != len(behind) + len(some) or rows[: len(behind)] != behind:
                yield Fetched(None, last)
                return
            rows, behind = rows[len(behind) :], rows[-1:]
            for page in self._pages(rows):
                yield Fetched(page, None)
                last = page.position(-1)

    async def _numbered(self, known: Mapping[str, list[Any] | None]) -> list[Row]:
        """The rows of these numbers, if they are of these conversations; within a step."""
        table = self._table
        numbers = [number for some in known.values() for number in some or ()]
        return await table.rows(
            f"{table.number} IN ({marks(numbers)}) AND {table.of(len(known))} "
            f"ORDER BY {table.by_id}, {table.order()}",
            [*numbers, *known],
        )

    def _pages(self, rows: Sequence[Row]) -> list[Page]:
        """All messages of a conversation, from all its rows."""
        return [
            page_of(some)
            for some in chunks(items_of(self._table.shape.unfold, rows), self._page_size)
        ]

    async def ends(self, ids: Sequence[str], reverse: bool, each: int) -> list[Page]:
        """See `Pages.ends`."""
        if not self._table.shape.single:
            found = [await self._items_from(one, None, reverse, each) for one in ids]
            return [page_of(items) for items in found if items]
        if await self._table.is_swept():
            return await self._swept_ends(sorted(ids), reverse, each)
        table, order = self._table, self._table.order(reverse=reverse)
        ranked = (
            f"SELECT {table.number} AS number, row_number() OVER (PARTITION BY {table.by_id} "
            f"ORDER BY {order}) AS nth FROM {table.name} WHERE {table.of(len(ids))}"
        )
        async with table.file.step():
            rows = await table.rows(
                f"{table.number} IN (SELECT number FROM ({ranked}) WHERE nth <= ?) "
                f"ORDER BY {table.by_id}, {order}",
                [*ids, each],
            )
        runs = groupby(rows, attrgetter("conversation"))
        return [page_of(items_of(table.shape.unfold, [*run], reverse=reverse)) for _, run in runs]

    async def _swept_ends(self, ids: Sequence[str], reverse: bool, each: int) -> list[Page]:
        """The same where no index finds their rows."""
        pages: list[Page] = []
        waiting = [*ids]
        while waiting:
            async with self._table.file.step():
                known = await self._sweep.numbers(waiting[:_KEYS_A_QUERY])
                ends = {
                    name: numbers[-each:] if reverse else numbers[:each]
                    for name, numbers in known.items()
                    if numbers
                }
                rows = await self._numbered(ends)
            runs = {name: [*run] for name, run in groupby(rows, attrgetter("conversation"))}
            for name, numbers in known.items():
                run = runs.get(name, [])
                if numbers is None or len(run) != len(ends.get(name, ())):
                    items = await self._items_from(name, None, reverse, each)
                else:
                    way = run[::-1] if reverse else run
                    items = items_of(self._table.shape.unfold, way, reverse=reverse)
                pages += [page_of(items)] if items else []
            waiting = waiting[len(known) :]
        return pages


def _fitting(known: dict[str, list[Any] | None], most: int) -> dict[str, list[Any] | None]:
    """The first of these conversations that have no more rows than that together, with their
    numbers; or the first one alone, which has more, None with it where they are not known."""
    some: dict[str, list[Any] | None] = {}
    for name, found in known.items():
        if found is None or len(found) > most or len(some) == _KEYS_A_QUERY:
            return some or {name: found}
        most -= len(found)
        some[name] = found
    return some
