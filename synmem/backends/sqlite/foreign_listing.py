"""Listing a table of another framework: its conversations, and the rows that belong to none."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from synmem.backends.paging import Paging, storable
from synmem.backends.sqlite.foreign_reading import ForeignReader
from synmem.backends.sqlite.foreign_table import IDS_A_QUERY, SWEEP, ForeignTable
from synmem.messages import STRAY, Damage, Message, chunks
from synmem.store import ConversationInfo

_MOST_DAMAGE: Final = 1000

_NAMES: Final = 20_000
"""So many conversations are counted in a look through all rows, at least, where there are more."""


class ForeignListing:
    """The conversations of a table of another framework."""

    def __init__(
        self, table: ForeignTable, reader: ForeignReader, paging: Paging, *, page_size: int
    ) -> None:
        self._table = table
        self._reader = reader
        self._paging = paging
        self._page_size = page_size
        self._unread_ids: bool | None = None
        """Whether a listing met ids that are not UTF-8; None until one came to its end."""

    async def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`; in the order of the ids' bytes."""
        async for counts in self._counted_of(ids) if ids is not None else self._counted():
            for names in chunks(sorted(counts), self._page_size):
                infos = await self._infos({name: counts[name] for name in names}, details)
                if infos:
                    yield infos

    async def _counted_of(self, ids: Sequence[str]) -> AsyncIterator[dict[str, int]]:
        """How many rows each of these conversations has, those that are there."""
        wanted = sorted(storable(ids))
        for chunk in chunks(wanted, IDS_A_QUERY):
            of_these, found = self._table.of(len(chunk)), Counter[str]()
            is_swept = await self._table.is_swept()
            async with self._table.file.step():
                async for where in self._looks(by_ranges=is_swept):
                    found.update(dict(await self._counts(f"{where} AND {of_these}", chunk, -1)))
            yield found

    async def _counted(self) -> AsyncIterator[dict[str, int]]:
        """The same of all conversations, in pages."""
        if await self._table.is_swept():
            async for counts in self._looked_through():
                yield counts
            return
        size = self._page_size * (1 if await self._table.is_sorted() else SWEEP)
        last: str | bytes = ""
        while True:
            where, at = self._table.from_id(last, ">")
            async with self._table.file.step():
                found = await self._counts(where + self._table.live, [at], size)
            if any(isinstance(name, bytes) for name, _ in found):
                self._unread_ids = True
            yield {name: count for name, count in found if isinstance(name, str)}
            if len(found) < size:
                self._unread_ids = bool(self._unread_ids)
                return
            last = found[-1][0]

    async def _looked_through(self) -> AsyncIterator[dict[str, int]]:
        """The same where each page is a look through all rows."""
        last: str | None = ""
        while last is not None:
            async with self._table.file.step():
                found: tuple[dict[str, int], str | None] | None = None
                while found is None:
                    found = await self._first_behind(last)
            counts, last = found
            if last is None:
                self._unread_ids = bool(self._unread_ids)
            yield counts

    async def _first_behind(self, last: str) -> tuple[dict[str, int], str | None] | None:
        """The first conversations behind this id, and up to which id that are all there are, or
        None; nothing, where rows were put in front meanwhile: one may have gone there unseen."""
        table = self._table
        counts: dict[str, int] = {}
        upto: str | None = None
        if (span := await table.span()) is None:
            return {}, None
        where, at = table.from_id(last, ">")
        async for look in self._looks(by_ranges=True):
            for name, count in await self._counts(f"{look} AND {where}{table.live}", [at], -1):
                if not isinstance(name, str):
                    self._unread_ids = True
                elif upto is None or name <= upto:
                    counts[name] = counts.get(name, 0) + count
            if len(counts) > 2 * _NAMES:
                kept = sorted(counts)[:_NAMES]
                counts, upto = {name: counts[name] for name in kept}, kept[-1]
        now = await table.span()
        if now is not None and now[0] < span[0]:
            return None
        return counts, upto

    async def _counts(self, where: str, values: Sequence[Any], size: int) -> list[tuple[Any, int]]:
        name = self._table.by_id
        sql = f"SELECT {self._table.id}, count(*) FROM {self._table.name} WHERE {where}"
        return await self._table.file.forgiving(
            f"{sql} GROUP BY {name} ORDER BY {name} LIMIT ?", [*values, size]
        )

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
        for some in chunks([*names], IDS_A_QUERY):
            for page in await self._reader.ends(some, reverse, 1):
                if isinstance(said := page.items[0], Message):
                    found[page.conversation] = said.created_at
        return found

    async def strays(self) -> list[Damage]:
        """See `SupportsStrays.strays`."""
        table = self._table
        name, number, codec = f"{table.id} COLLATE BINARY", table.number, table.codec
        kind = f"CASE WHEN {name} = '' THEN 'empty' ELSE typeof({name}) END"
        # Each id is looked at where no listing has seen that all can be read.
        text = table.is_text if self._unread_ids is False else table.is_readable
        sql = (
            f"SELECT {number}, {kind} FROM {table.name} WHERE {{}} AND "
            f"({name} = '' OR NOT ({text})){table.live} ORDER BY {number} LIMIT ?"
        )
        rows: list[Any] = []
        async with table.file.step():
            async for where in self._looks(by_ranges=table.is_numbered):
                rows += await table.file.forgiving(sql.format(where), [_MOST_DAMAGE - len(rows)])
        kinds = {"text": f"not {codec}", "null": "NULL", "blob": "a BLOB"}
        column = table.shape.conversation
        return [
            Damage(STRAY, f"row {number}", f"its {column} is {kinds.get(kind, kind)}")
            for number, kind in rows
        ]

    async def _looks(self, *, by_ranges: bool) -> AsyncIterator[str]:
        """The conditions of the queries that look at all rows: of one, or of a range each; within a
        step."""
        if not by_ranges:
            yield "TRUE"
        elif (span := await self._table.span()) is not None:
            async for first, last in self._table.ranges(*span):
                yield f"{self._table.number} BETWEEN {first} AND {last}"
