"""Tables of other frameworks in an SQLite file: the `Rows` of `layouts/shapes.py`, for all layouts.

The table stays as its framework made it: nothing of ours is put into the file, no column, table,
key or token, and a file that is made for it has the framework's own table and nothing else. New
rows take the highest number plus one, under the write lock; what `replace` puts in front takes
numbers below the lowest.
"""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from synmem.backends.paging import END, Fetched, Paging, changed, fetched, storable
from synmem.backends.sqlite.changes import version_of
from synmem.backends.sqlite.errors import translating
from synmem.backends.sqlite.file import File
from synmem.backends.sqlite.foreign_table import (
    ForeignTable,
    Item,
    Place,
    Row,
    hash_of,
    page_of,
    place_at,
)
from synmem.backends.sqlite.foreign_writing import ForeignWriter
from synmem.layouts.registry import Fit
from synmem.messages import Conversation, Damage, Message, chunks
from synmem.store import START, STRAY, ConversationInfo, Page, Part, Position

_IDS_A_QUERY: Final = 500  # SQLite before 3.32 takes 999 parameters

_SWEEP: Final = 20
"""So many pages are fetched at once, where each fetch looks through the whole table."""

_MOST_DAMAGE: Final = 1000


class ForeignStore:
    """A `Store` in a table of another framework."""

    def __init__(self, file: File, fit: Fit, *, write: bool, page_size: int) -> None:
        self.name = str(file.path)
        self.holds = fit.shape.holds
        self._file = file
        self._shape = fit.shape
        self._table = ForeignTable(file, fit)
        self._writer = ForeignWriter(self._table, fit, write=write)
        self._page_size = page_size
        self._paging = Paging(self, page_size, _IDS_A_QUERY)
        self._sought: bool | None = None
        """Whether an index finds the rows of a conversation; None until that was asked."""
        self._bad_ids: set[bytes] = set()
        """Ids that are not UTF-8, which listings met."""

    def refusal(self, message: Message) -> str | None:
        """Why the framework's own reader would not read the message; no I/O."""
        return self._writer.refusal(message)

    # --- reading ---

    def read(
        self,
        conversations: Sequence[str],
        *,
        after: Position = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Page]:
        """See `Store.read`."""
        return self._paging.read(sorted(storable(conversations)), after, reverse, limit)

    async def page(self, conversation: str, after: Position, reverse: bool, size: int) -> Fetched:
        """See `Pages.page`."""
        place = None if after == START else place_at(after)
        items = await self._items_from(conversation, place, reverse, size)
        return fetched(page_of(items), size) if items else END

    async def _items_from(
        self, conversation: str, place: Place | None, reverse: bool, size: int
    ) -> list[Item]:
        """So many messages behind a place, whose row is read along to see that it is there; on it
        goes over rows without a message."""
        keys = place.keys if place else None
        found: list[Item] = []
        while len(found) < size:
            asked = size + (place is not None)
            rows = await self._table.rows_from(
                conversation, keys, reverse, asked, at=place is not None
            )
            items = self._table.items(rows, reverse=reverse)
            if place is not None:
                if not rows or (rows[0].keys, hash_of(rows[0])) != (place.keys, place.hash):
                    raise changed(conversation, self.name)
                items = _behind(items, rows[0], place.nth)
                place = None
            found += items
            if len(rows) < asked:
                break
            keys = rows[-1].keys
        return found[:size]

    async def first(self, ids: Sequence[str]) -> AsyncGenerator[tuple[str, Fetched], None]:
        """See `Pages.first`: as many in a query as a page has room for: the last one, which may
        go on, comes with the next. One that fills a page is read by itself."""
        most = self._page_size * (1 if await self._is_sought() else _SWEEP)
        waiting = [*ids]
        while waiting:
            chunk = waiting[:_IDS_A_QUERY]
            async with self._table.step():
                where = f"{self._table.of(len(chunk))} ORDER BY {self._table.id} COLLATE BINARY"
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

    def _pages(self, rows: Sequence[Row]) -> list[Page]:
        """All messages of a conversation, from all its rows."""
        items, size = self._table.items(rows), self._page_size
        return [page_of(items[start : start + size]) for start in range(0, len(items), size)]

    async def ends(self, ids: Sequence[str], reverse: bool, each: int) -> list[Page]:
        """See `Pages.ends`."""
        if not self._shape.single:
            found = [await self._items_from(one, None, reverse, each) for one in ids]
            return [page_of(items) for items in found if items]
        table, order = self._table, self._table.order(reverse=reverse)
        ranked = (
            f"(SELECT *, row_number() OVER (PARTITION BY {table.id} COLLATE BINARY ORDER BY "
            f"{order}) AS ranked_n FROM {table.name} WHERE {table.of(len(ids))})"
        )
        async with table.step():
            rows = await table.rows(
                f"ranked_n <= ? ORDER BY {table.id} COLLATE BINARY, {order}",
                [*ids, each],
                source=ranked,
            )
        runs = groupby(rows, attrgetter("conversation"))
        return [page_of(table.items([*run], reverse=reverse)) for _, run in runs]

    async def _is_sought(self) -> bool:
        """Whether an index finds the rows of a conversation: else each look is through them all."""
        if self._sought is None:
            sql = f"EXPLAIN QUERY PLAN SELECT 1 FROM {self._table.name} WHERE {self._table.of()}"
            async with self._table.step():
                plan = await self._table.values(sql, [""])
            self._sought = any(step[3].startswith("SEARCH") for step in plan)
        return self._sought

    # --- listing ---

    async def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`; in the order of the ids' bytes."""
        async for counts in self._counted_of(ids) if ids is not None else self._counted():
            names = sorted(counts)
            for start in range(0, len(names), self._page_size):
                some = {name: counts[name] for name in names[start : start + self._page_size]}
                infos = await self._infos(some, details)
                if infos:
                    yield infos

    async def _counted_of(self, ids: Sequence[str]) -> AsyncIterator[dict[str, int]]:
        """How many rows each of these conversations has, those that are there."""
        wanted = sorted(storable(ids))
        for chunk in chunks(wanted, _IDS_A_QUERY):
            yield dict(await self._counts(self._table.of(len(chunk)), chunk, len(chunk)))

    async def _counted(self) -> AsyncIterator[dict[str, int]]:
        """The same of all conversations, in pages."""
        size = self._page_size * (1 if await self._is_sought() else _SWEEP)
        last: str | bytes = ""
        while True:
            # Every text sorts before every BLOB: what is no text is no id; `strays` names it.
            where = f"{self._table.id} COLLATE BINARY > CAST(? AS TEXT)"
            where += f" AND {self._table.id} COLLATE BINARY < x''{self._table.live}"
            found = await self._counts(where, [last], size)
            self._bad_ids.update(name for name, _ in found if isinstance(name, bytes))
            yield {name: count for name, count in found if isinstance(name, str)}
            if len(found) < size:
                return
            last = found[-1][0]

    async def _counts(self, where: str, values: Sequence[Any], size: int) -> list[tuple[Any, int]]:
        name = f"{self._table.id} COLLATE BINARY"
        sql = f"SELECT {self._table.id}, count(*) FROM {self._table.name} WHERE {where}"
        async with self._table.step():
            return await self._table.values(
                f"{sql} GROUP BY {name} ORDER BY {name} LIMIT ?", [*values, size]
            )

    async def _infos(self, counts: Mapping[str, int], details: bool) -> list[ConversationInfo]:
        """These conversations as a listing tells them; one without messages is none."""
        if not self._shape.single:
            counts = {name: n for name in counts if (n := await self._count(name))}
        if not details:
            return [ConversationInfo(id=name) for name in counts]
        times: list[Mapping[str, Any]] = [{}, {}]
        if "created_at" in self.holds.fields:
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
        ids = [*names]
        for start in range(0, len(ids), _IDS_A_QUERY):
            for page in await self.ends(ids[start : start + _IDS_A_QUERY], reverse, 1):
                if isinstance(said := page.items[0], Message):
                    found[page.conversation] = said.created_at
        return found

    async def damage(self) -> list[Damage]:
        """Rows that belong to no conversation."""
        return await self.strays()

    async def strays(self) -> list[Damage]:
        """See `SupportsStrays.strays`."""
        name = self._table.id
        async with self._table.step():
            rows = await self._table.values(
                f"SELECT {self._table.number}, typeof({name}) FROM {self._table.name} WHERE "
                f"({name} IS NULL OR {name} = '' OR typeof({name}) <> 'text'){self._table.live} "
                f"ORDER BY {self._table.number} LIMIT ?",
                [_MOST_DAMAGE],
            )
        column = self._shape.conversation
        kinds = {"text": "empty", "null": "NULL", "blob": "a BLOB"}
        return [
            *(
                Damage(STRAY, f"row {number}", f"its {column} is {kinds.get(kind, kind)}")
                for number, kind in rows
            ),
            *(Damage(STRAY, column, f"{bad!r} is not UTF-8") for bad in sorted(self._bad_ids)),
        ]

    async def total(self) -> int:
        """See `SupportsTotal`."""
        async with self._table.step():
            rows = await self._table.values(f"SELECT count(*) FROM {self._table.name}")
        return int(rows[0][0]) if rows else 0

    async def version(self) -> str | None:
        """See `SupportsChanges.version`; of a private copy that cannot be told."""
        return None if self._file.is_copied else version_of(self._file.path)

    async def fingerprints(self, upto: Mapping[str, Position]) -> None:
        """See `SupportsChanges.fingerprints`: it cannot tell."""

    # --- writing ---

    async def append(
        self, parts: Sequence[Part], *, keep: int | None = None, token: str | None = None
    ) -> list[Position]:
        """See `Store.append`: one transaction."""
        return await self._writer.append(parts, keep, token)

    async def delete(
        self,
        conversation: str,
        *,
        upto: Position | None = None,
        begins: Position | None = None,
        token: str | None = None,
    ) -> bool:
        """See `Store.delete`: one transaction."""
        if not self._file.made or not storable([conversation]):
            return False
        return await self._writer.delete(conversation, upto, begins, token)

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
        begins: Position | None = None,
        token: str | None = None,
    ) -> None:
        """See `Store.replace`: staged in a temporary table, then one transaction."""
        await self._writer.replace(conversation, messages, upto, begins, token)

    async def refuses_back(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsTrial.refuses_back`: what stands in columns that the layout does not know
        would not come back."""
        return await self._writer.refuses_back(conversations)

    async def close(self) -> None:
        """See `Store.close`."""
        with translating(self.name):
            await self._file.close()


def _behind(items: Sequence[Item], row: Row, nth: int) -> list[Item]:
    """What stands behind the message of that number in the row."""
    for count, item in enumerate(items, 1):
        if item.row is row and item.nth == nth:
            return [*items[count:]]
    return [item for item in items if item.row is not row]
