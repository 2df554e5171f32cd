"""Listing the conversations of an SQLite store, and naming the rows that belong to none."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from synmem.backends.paging import storable
from synmem.backends.sqlite.beside import REMEDY, Beside
from synmem.backends.sqlite.errors import is_undecodable
from synmem.backends.sqlite.ids import Group, told_apart
from synmem.backends.sqlite.place import IDS_A_QUERY, Place, marks
from synmem.layouts.own.beside import read_description
from synmem.messages import STRAY, Damage, chunks
from synmem.store import ConversationInfo

MOST_DAMAGE: Final = 1000
"""So many rows that belong nowhere are named."""

_KINDS: Final = {"text": "empty", "null": "NULL", "blob": "a BLOB"}


class Listing:
    """The conversations that there are, and the rows of none."""

    def __init__(self, place: Place, beside: Beside, *, page_size: int) -> None:
        self._place = place
        self._file, self._table, self._ids = place.file, place.table, place.ids
        self._key = place.shape.key
        self._beside = beside
        self._page_size = page_size
        self._unread_ids: bool | None = None
        """Whether a listing met ids that are not UTF-8; None until one came to its end."""

    async def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`; in the order of the ids' bytes."""
        if ids is not None:
            async for page in self._listed_of(ids, details):
                yield page
            return
        last = ""
        try:
            # Every text sorts before every BLOB: what is no text is no id; `damage` names it.
            where = "conversation_id > ? AND conversation_id < x''"
            while self._ids.plain and (page := await self._listed(where, [last], details)):
                yield page
                last = page[-1].id
        except _UndecodableId:
            self._unread_ids = True
        if self._ids.plain and not self._unread_ids:
            self._unread_ids = False
            return
        # All at once: in such a table there is no order in which one could go on.
        async with self._file.step():
            found, _ = told_apart(await self._groups("1", [], details))
        left = {each: group for each, group in found.items() if not last or each > last}
        async for page in self._described_groups(left, details):
            yield page

    async def _listed_of(
        self, ids: Sequence[str], details: bool
    ) -> AsyncIterator[list[ConversationInfo]]:
        """Those of these ids that exist, in pages."""
        wanted = sorted(storable(ids))
        size = min(IDS_A_QUERY, self._page_size)
        for chunk in chunks(wanted, size):
            if self._ids.plain:
                page = await self._listed(f"conversation_id IN ({marks(chunk)})", chunk, details)
                if page:
                    yield page
                continue
            async with self._file.step():
                where, values = self._ids.where(await self._place.lying(chunk))
                found, _ = told_apart(await self._groups(where, values, details))
            async for page in self._described_groups(found, details):
                yield page

    async def _groups(self, where: str, values: Sequence[Any], details: bool) -> list[Group]:
        """What there is in the column conversation_id; within a step."""
        key, order = self._key, self._ids.order
        sql = f"FROM messages WHERE {where} GROUP BY {order} ORDER BY {order}"
        time = self._table.time_column if details else "NULL"
        # Beside the one `min` or `max` of a query, SQLite gives what else is in that row.
        lows = await self._file.forgiving(
            f"SELECT conversation_id, count(*), min({key}), {time} {sql}", values
        )
        highs = await self._file.forgiving(
            f"SELECT conversation_id, max({key}), {time} {sql}", values
        )
        ends = {(type(row[0]), row[0]): row[1:] for row in highs}
        groups = []
        for value, count, low, first in lows:
            high, last = ends.get((type(value), value), (low, None))
            groups.append(Group(value, count, low, high, (first, last)))
        return groups

    async def _described_groups(
        self, found: dict[str, Group], details: bool
    ) -> AsyncIterator[list[ConversationInfo]]:
        """The same as a listing tells it, in pages."""
        size = min(IDS_A_QUERY, self._page_size)
        ids = sorted(found)
        for chunk in chunks(ids, size):
            if not details:
                yield [ConversationInfo(id=each) for each in chunk]
                continue
            beside: dict[tuple[str, str], Any] = {}
            if self._place.keeps_beside:
                async with self._file.step():
                    rows = await self._beside.descriptions(chunk)
                beside = {(row[0], row[1]): row[2] for row in rows}
            yield [
                self._info(
                    each,
                    found[each].rows,
                    *found[each].times,
                    *(beside.get((each, name)) for name in ("title", "extra")),
                )
                for each in chunk
            ]

    async def _listed(
        self, where: str, values: Sequence[Any], details: bool
    ) -> list[ConversationInfo]:
        page = f"FROM messages WHERE {where} GROUP BY conversation_id ORDER BY conversation_id"
        if details:
            ends = f"min({self._key}), max({self._key})"
            sql = self._details_sql(f"SELECT conversation_id, count(*), {ends} {page}")
        else:
            sql = f"SELECT conversation_id {page} LIMIT ?"
        async with self._file.step():
            rows = await self._file.forgiving(sql, [*values, self._page_size])
        if any(type(row[0]) is not str for row in rows):
            raise _UndecodableId
        if not details:
            return [ConversationInfo(id=row[0]) for row in rows]
        return [self._info(*row) for row in rows]

    def _details_sql(self, page: str) -> str:
        time = f"(SELECT {self._table.time_column} FROM messages WHERE {self._key} = {{}}"
        if not self._place.shape.unique:
            time += " AND conversation_id = c"
        time += ")"
        title = extra = "NULL"
        if self._place.keeps_beside:
            meta = (
                "(SELECT value FROM messages_meta "
                "WHERE conversation_id = c COLLATE BINARY AND name = '{}')"
            )
            title, extra = meta.format("title"), meta.format("extra")
        return (
            f"WITH page(c, n, low, high) AS ({page} LIMIT ?) SELECT c, n, "
            f"{time.format('low')}, {time.format('high')}, {title}, {extra} FROM page ORDER BY c"
        )

    def _info(
        self, conversation: str, count: int, first: Any, last: Any, title: Any, extra: Any
    ) -> ConversationInfo:
        time_of = self._table.time_of
        return ConversationInfo(
            id=conversation,
            messages=count,
            first_at=time_of(first),
            last_at=time_of(last),
            **read_description(title, extra, REMEDY),
        )

    async def damage(self) -> list[Damage]:
        """Rows that belong to no conversation: their conversation_id is no text, is empty, or is
        not UTF-8."""
        if self._ids.plain and self._unread_ids is None:
            async with self._file.step():
                try:
                    await self._file.rows("SELECT DISTINCT conversation_id FROM messages")
                except sqlite3.OperationalError as error:
                    if not is_undecodable(error):
                        raise
                    self._unread_ids = True
        return await self.strays()

    async def strays(self) -> list[Damage]:
        """See `SupportsStrays.strays`."""
        async with self._file.step():
            # One by one the index finds them; with OR every row would be looked at.
            select = (
                f"SELECT {self._key}, typeof(conversation_id) FROM messages "
                "WHERE conversation_id COLLATE BINARY"
            )
            rows = await self._file.forgiving(
                f"{select} IS NULL UNION ALL {select} = '' UNION ALL {select} >= x'' LIMIT ?",
                [MOST_DAMAGE],
            )
            rows.sort(key=lambda row: (str(type(row[0])), row[0] or 0))
            found = [
                Damage(STRAY, f"row {number}", f"its conversation_id is {_KINDS.get(kind, kind)}")
                for number, kind in rows
            ]
            if not self._ids.plain or self._unread_ids:
                _, others = told_apart(await self._groups("1", [], False))
                found += [
                    Damage(STRAY, f"row {group.low}", f"{why} ({group.rows:,} such rows)")
                    for group, why in others[:MOST_DAMAGE]
                ]
        return found

    async def total(self) -> int:
        """See `SupportsTotal`: SQLite counts a million in some hundredths of a second."""
        async with self._file.step():
            return int((await self._file.rows("SELECT count(*) FROM messages", []))[0][0])


class _UndecodableId(Exception):
    """There are ids that are not UTF-8."""
