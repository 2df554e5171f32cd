"""Reading a PostgreSQL store: pages by key, many conversations in a query, nothing held between."""

import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, Final

from synmem.backends.paging import END, Fetched, Paging, changed, fetched, packed, storable
from synmem.backends.postgres.beside import remedy
from synmem.backends.postgres.table import Table, is_time_sql, row_id
from synmem.layouts.own.beside import read_description
from synmem.messages import Message, Unreadable, chunks
from synmem.store import START, ConversationInfo, Page, Position

IDS_A_QUERY: Final = 1000

_NEXT_IDS: Final = """
WITH RECURSIVE ids(session) AS (
    (SELECT {session} FROM {rows} WHERE {session} > $1 ORDER BY {session} LIMIT 1)
    UNION ALL
    SELECT (SELECT {session} FROM {rows} WHERE {session} > ids.session
        ORDER BY {session} LIMIT 1) FROM ids WHERE ids.session IS NOT NULL)
SELECT session FROM ids WHERE session IS NOT NULL LIMIT $2
"""
"""One step of the index an id, however many messages each conversation has."""

_THESE_IDS: Final = """
SELECT session FROM unnest($1::text[]) AS wanted(session)
WHERE EXISTS (SELECT FROM {rows} WHERE {session} = wanted.session)
"""

_IDS: Final = 'SELECT session FROM ({ids}) AS page ORDER BY session COLLATE "C"'

_TIME: Final = f"CASE WHEN {is_time_sql('created_at')} THEN created_at END"

_DETAILS: Final = f"""
SELECT session, found.messages,
    (SELECT {_TIME} FROM {{rows}} WHERE {{session}} = page.session AND id = found.low),
    (SELECT {_TIME} FROM {{rows}} WHERE {{session}} = page.session AND id = found.high),
    (SELECT value FROM {{meta}} WHERE session_id = page.session AND name = 'title'),
    (SELECT value FROM {{meta}} WHERE session_id = page.session AND name = 'extra')
FROM ({{ids}}) AS page CROSS JOIN LATERAL (
    SELECT count(*) AS messages, min(id) AS low, max(id) AS high
    FROM {{rows}} WHERE {{session}} = page.session) AS found
ORDER BY session COLLATE "C"
"""


class Reader:
    """Reads messages in pages, and lists conversations."""

    def __init__(self, table: Table, *, page_size: int) -> None:
        self._name = table.database.name
        self._table = table
        self._page_size = page_size
        self._paging = Paging(self, page_size, IDS_A_QUERY)
        self.strange: set[str] = set()
        """What a listing has met that no id is stored as."""

    def read(
        self, conversations: Sequence[str], after: Position, reverse: bool, limit: int | None
    ) -> AsyncGenerator[Page, None]:
        """See `Store.read`."""
        return self._paging.read(storable(conversations), after, reverse, limit)

    async def page(self, conversation: str, after: Position, reverse: bool, size: int) -> Fetched:
        """See `Pages.page`; the message at `after` is read along, to see that it is still there."""
        order = "DESC" if reverse else "ASC"
        values: list[Any] = [self._table.stored_id(conversation), size]
        where = f"{self._table.session} = $1"
        if after != START:
            where += f" AND id {'<=' if reverse else '>='} $3"
            values = [values[0], size + 1, row_id(after)]
        rows = await self._messages(
            f"FROM {self._table.rows} AS found WHERE {where} ORDER BY id {order} LIMIT $2", values
        )
        if after != START:
            if not rows or rows[0][1] != row_id(after):
                raise changed(conversation, self._name)
            rows = rows[1:]
        return fetched(self._as_page(rows), size) if rows else END

    def first(self, ids: Sequence[str]) -> AsyncGenerator[tuple[str, Fetched], None]:
        """See `Pages.first`."""
        return packed(ids, IDS_A_QUERY, self._page_size, self._first_rows, self._as_page)

    async def _first_rows(self, ids: Sequence[str], most: int) -> list[tuple[str, list[Any]]]:
        runs = await self._runs(ids, "ASC", most, most)
        return [(self._table.shown_id(rows[0][0]), rows) for rows in runs]

    async def ends(self, ids: Sequence[str], reverse: bool, each: int) -> list[Page]:
        """See `Pages.ends`."""
        runs = await self._runs(ids, "DESC" if reverse else "ASC", each, None)
        return [self._as_page(rows) for rows in runs]

    async def _runs(
        self, ids: Sequence[str], order: str, each: int, limit: int | None
    ) -> list[list[Any]]:
        """The first `each` rows of these conversations, one after another as they were named, up
        to `limit` in all."""
        if not await self._table.is_made():
            return []
        rows = await self._messages(
            "FROM unnest($1::text[]) AS wanted(session) CROSS JOIN LATERAL (SELECT "
            f"{self._table.raw_columns_sql()} FROM {self._table.rows} "
            f"WHERE {self._table.session} = wanted.session ORDER BY id {order} LIMIT $2) AS found "
            "LIMIT $3",
            [[self._table.stored_id(conversation) for conversation in ids], each, limit],
        )
        return [list(group) for _, group in itertools.groupby(rows, key=lambda row: row[0])]

    async def _messages(self, tail: str, values: Sequence[Any]) -> list[Any]:
        if not await self._table.is_made():  # which tells the columns that are not ours
            return []
        try:
            return await self._table.fetch(f"SELECT {self._table.columns_sql()} {tail}", *values)
        except OverflowError:  # a time outside the years 1 to 9999, which another program wrote
            texts = self._table.columns_sql(times_as_text=True)
            return await self._table.fetch(f"SELECT {texts} {tail}", *values)

    def _as_page(self, rows: Sequence[Any]) -> Page:
        items: list[Message | Unreadable]
        try:
            items = [*self._table.decode(rows)]
        except ValueError:
            items = [self._decoded(row) for row in rows]
        return Page(self._table.shown_id(rows[0][0]), items, lambda i: str(rows[i][1]))

    def _decoded(self, row: Any) -> Message | Unreadable:
        try:
            return self._table.decode([row])[0]
        except ValueError as error:
            return Unreadable(str(row[1]), f"row {row[1]}: {error}")

    async def conversations(
        self, ids: Sequence[str] | None, *, details: bool
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`."""
        if ids is None:
            last = ""
            while rows := await self._listed(_NEXT_IDS, [last, self._page_size], details):
                ours = [row for row in rows if self._table.layout.is_stored_id(row[0])]
                if len(ours) < len(rows):
                    self.strange.update(row[0] for row in rows if row not in ours)
                if ours:
                    yield [self._info(*row) for row in ours]
                last = rows[-1][0]
            return
        wanted = storable(ids)
        size = min(IDS_A_QUERY, self._page_size)
        for some in chunks(wanted, size):
            chunk = [self._table.stored_id(each) for each in some]
            if rows := await self._listed(_THESE_IDS, [chunk], details):
                yield [self._info(*row) for row in rows]

    async def _listed(self, ids: str, values: Sequence[Any], details: bool) -> list[Any]:
        table = self._table
        named = {"rows": table.rows, "session": table.session}
        sql = (_DETAILS if details else _IDS).format(
            ids=ids.format(**named), **named, meta=table.meta
        )
        return await self._table.fetch(sql, *values)

    def _info(
        self,
        session: str,
        messages: int | None = None,
        first: Any = None,
        last: Any = None,
        title: str | None = None,
        extra: str | None = None,
    ) -> ConversationInfo:
        return ConversationInfo(
            id=self._table.shown_id(session),
            messages=messages,
            first_at=first,
            last_at=last,
            **read_description(title, extra, remedy(self._table)),
        )
