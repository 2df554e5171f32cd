"""Reading an SQLite store: pages by key, many conversations in a query, nothing held between."""

import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from operator import itemgetter
from typing import Any

from synmem.backends.paging import END, Fetched, Paging, changed, fetched, packed, storable
from synmem.backends.sqlite.place import IDS_A_QUERY, Place, marks, wanted_sql
from synmem.messages import Message, Unreadable
from synmem.store import START, Page, Position


class Reader:
    """The messages of conversations, in pages."""

    def __init__(self, place: Place, *, page_size: int) -> None:
        self._name = place.name
        self._place = place
        self._file, self._table, self._ids = place.file, place.table, place.ids
        self._key = place.shape.key
        self._page_size = page_size
        self._paging = Paging(self, page_size, IDS_A_QUERY)

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
        """See `Pages.page`; the message at `after` is read along, to see that it is still there."""
        rows = await self._rows_from(conversation, after, reverse, size + (after != START))
        if after != START:
            if not rows or self._place.position(rows[0]) != after:
                raise changed(conversation, self._name)
            rows = rows[1:]
        return fetched(self._as_page(rows), size) if rows else END

    async def _rows_from(
        self, conversation: str, anchor: Position, reverse: bool, size: int
    ) -> list[Any]:
        """So many rows of a conversation, from the anchor on."""
        async with self._file.step():
            where, values = self._ids.where(await self._place.lying([conversation]))
            if not self._place.shape.unique:
                return await self._counted_rows(where, values, anchor, reverse, size)
            if anchor != START:
                where += f" AND {self._key} {'<=' if reverse else '>='} ?"
                values.append(self._place.number_at(anchor))
            order = f"{self._key} {'DESC' if reverse else 'ASC'}"
            return await self._place.rows(f"{where} ORDER BY {order} LIMIT ?", [*values, size])

    async def _counted_rows(
        self, where: str, values: Sequence[Any], anchor: Position, reverse: bool, size: int
    ) -> list[Any]:
        """The same where nothing numbers the rows, as in a view: in an order that is the same each
        time, the first is 1."""
        low = 0 if anchor == START else self._place.number_at(anchor) - 1
        if reverse:
            if anchor == START:
                sql = f"SELECT count(*) FROM messages WHERE {where}"
                low = (await self._file.rows(sql, values))[0][0] - 1
            size, low = min(size, low + 1), max(0, low + 1 - size)
        order = ", ".join(f"{name} COLLATE BINARY" for name in ("id", *self._table.columns))
        sql = f"{where} ORDER BY {order} LIMIT ? OFFSET ?"
        rows = await self._place.rows(sql, [*values, max(0, size), low])
        rows = [(row[0], number, *row[2:]) for number, row in enumerate(rows, low + 1)]
        return rows[::-1] if reverse else rows

    def first(self, ids: Sequence[str]) -> AsyncGenerator[tuple[str, Fetched], None]:
        """See `Pages.first`."""
        return packed(ids, IDS_A_QUERY, self._page_size, self._first_rows, self._as_page)

    async def _first_rows(self, ids: Sequence[str], most: int) -> list[tuple[str, list[Any]]]:
        """The first so many rows of these conversations, which are sorted."""
        if not self._place.shape.unique:
            found = []
            for each in ids:
                if run := await self._rows_from(each, START, False, most):
                    found.append((each, run))
                    most -= len(run)
                if not most:
                    break
            return found
        async with self._file.step():
            if self._ids.plain:
                rows = await self._place.rows(
                    f"conversation_id IN ({marks(ids)}) ORDER BY conversation_id, {self._key} "
                    "LIMIT ?",
                    [*ids, most],
                )
            else:
                values = await self._place.lying(ids)
                rows = await self._place.queried(
                    f"{wanted_sql(values)} SELECT {self._place.columns} FROM {self._ids.joined} "
                    f"ORDER BY wanted_n, {self._key} LIMIT ?",
                    [*values, most],
                )
        return [(each, list(run)) for each, run in itertools.groupby(rows, itemgetter(0))]

    async def ends(self, ids: Sequence[str], reverse: bool, each: int) -> list[Page]:
        """See `Pages.ends`: in one query."""
        if not self._place.shape.unique:
            pages = [(await self.page(one, START, reverse, each)).page for one in ids]
            return [page for page in pages if page is not None]
        key, order = self._key, "DESC" if reverse else "ASC"
        async with self._file.step():
            values = await self._place.lying(ids)
            if not values:
                return []
            rows = await self._place.rows(
                f"{key} IN (SELECT m.{key} FROM (VALUES {marks(values, '(?)')}) AS wanted "
                f"JOIN messages AS m ON m.{key} IN (SELECT {key} FROM messages "
                f"WHERE {self._ids.match('wanted.column1')} ORDER BY {key} {order} LIMIT ?)) "
                f"ORDER BY {self._ids.order}, {key} {order}",
                [*values, each],
            )
        return [self._as_page(list(run)) for _, run in itertools.groupby(rows, itemgetter(0))]

    def _as_page(self, rows: Sequence[Any]) -> Page:
        items: list[Message | Unreadable]
        try:
            items = [*self._table.decode_all(rows)]
        except ValueError:
            items = [self._decoded(row) for row in rows]
        return Page(rows[0][0], items, lambda i: self._place.position(rows[i]))

    def _decoded(self, row: Sequence[Any]) -> Message | Unreadable:
        try:
            return self._table.decode(row[2:])
        except ValueError as error:
            return Unreadable(str(row[1]), f"row {row[1]}: {error}")
