"""Reading a PostgreSQL store: pages by key, many conversations in a query, nothing held between."""

import functools
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, Final

from synmem import messages as model
from synmem.backends.paging import Fetch, Paging, changed, storable
from synmem.backends.patience import again
from synmem.backends.postgres_errors import Lost
from synmem.backends.postgres_opening import Database, identifier
from synmem.errors import CorruptData
from synmem.layouts import postgres_rows as layout
from synmem.layouts.beside import read_all_beside, read_beside
from synmem.messages import Holds, Message, Unreadable
from synmem.store import START, ConversationInfo, Page, Position

IDS_A_QUERY: Final = 1000

_COLUMNS: Final = ", ".join(
    f"{identifier(name)}{'::text' if kind == 'jsonb' else ''}"
    for name, kind in layout.COLUMNS.items()
)
_IS_TIME: Final = "created_at >= '0001-01-01 00:00Z' AND created_at < '10000-01-01 00:00Z'"
TIME_AS_TEXT: Final = (
    f"CASE WHEN {_IS_TIME} THEN to_char(created_at AT TIME ZONE 'UTC', "
    """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') ELSE created_at::text END"""
)
"""A time as `messages.format_time` writes it, and any that no datetime can be in another form."""

_AS_TEXT: Final = _COLUMNS.replace('"created_at"', TIME_AS_TEXT)

_TIME: Final = f"CASE WHEN {_IS_TIME} THEN created_at END"

_NEXT_IDS: Final = """
WITH RECURSIVE ids(session) AS (
    (SELECT session_id FROM {rows} WHERE session_id > $1 ORDER BY session_id LIMIT 1)
    UNION ALL
    SELECT (SELECT session_id FROM {rows} WHERE session_id > ids.session
        ORDER BY session_id LIMIT 1) FROM ids WHERE ids.session IS NOT NULL)
SELECT session FROM ids WHERE session IS NOT NULL LIMIT $2
"""
"""One step of the index an id, however many messages each conversation has."""

_THESE_IDS: Final = """
SELECT session FROM unnest($1::text[]) AS wanted(session)
WHERE EXISTS (SELECT FROM {rows} WHERE session_id = wanted.session)
"""

_IDS: Final = 'SELECT session FROM ({ids}) AS page ORDER BY session COLLATE "C"'

_DETAILS: Final = f"""
SELECT session, found.messages,
    (SELECT {_TIME} FROM {{rows}} WHERE session_id = page.session AND id = found.low),
    (SELECT {_TIME} FROM {{rows}} WHERE session_id = page.session AND id = found.high),
    (SELECT value FROM {{meta}} WHERE session_id = page.session AND name = 'title'),
    (SELECT value FROM {{meta}} WHERE session_id = page.session AND name = 'extra')
FROM ({{ids}}) AS page CROSS JOIN LATERAL (
    SELECT count(*) AS messages, min(id) AS low, max(id) AS high
    FROM {{rows}} WHERE session_id = page.session) AS found
ORDER BY session COLLATE "C"
"""


class PostgresReader:
    """The reading half of a store in PostgreSQL."""

    holds = Holds()

    def __init__(self, database: Database, *, page_size: int) -> None:
        self.name = database.name
        self._database = database
        self._table = database.table
        self._page_size = page_size
        self._remedy = f"mend or delete its row in {self._table.meta}"
        self._paging = Paging(
            page_size, IDS_A_QUERY, along=self._along, whole=self._whole, ends=self._end_pages
        )

    def refusal(self, message: Message) -> str | None:
        """What no store can hold, and texts that do not fit into 1 GB."""
        return model.refusal(message) or layout.too_long(message)

    def read(
        self,
        conversations: Sequence[str],
        *,
        after: Position = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Page]:
        """See `Store.read`."""
        return self._paging.read(storable(conversations), after, reverse, limit)

    def _along(self, conversation: str) -> Fetch:
        return functools.partial(self._page, conversation)

    async def _page(
        self, conversation: str, anchor: Position, reverse: bool, size: int
    ) -> Page | None:
        """The next page; the anchor is read along with it, to see that it is still there."""
        order = "DESC" if reverse else "ASC"
        values: list[Any] = [layout.stored_id(conversation), size]
        where = "session_id = $1"
        if anchor != START:
            where += f" AND id {'<=' if reverse else '>='} $3"
            values = [values[0], size + 1, row_id(anchor)]
        rows = await self._messages(
            f"FROM {self._table.rows} WHERE {where} ORDER BY id {order} LIMIT $2", values
        )
        if anchor != START:
            if not rows or rows[0][1] != row_id(anchor):
                raise changed(conversation, self.name)
            rows = rows[1:]
        return self._as_page(rows) if rows else None

    def _whole(self, ids: Sequence[str]) -> AsyncGenerator[Page, None]:
        return self._paging.packed(ids, self._first_rows, self._as_page)

    async def _first_rows(self, ids: Sequence[str], most: int) -> list[tuple[str, list[Any]]]:
        runs = await self._runs(ids, "ASC", most, most)
        return [(layout.shown_id(rows[0][0]), rows) for rows in runs]

    async def _end_pages(self, ids: Sequence[str], reverse: bool, each: int) -> list[Page]:
        runs = await self._runs(ids, "DESC" if reverse else "ASC", each, None)
        return [self._as_page(rows) for rows in runs]

    async def _runs(
        self, ids: Sequence[str], order: str, each: int, limit: int | None
    ) -> list[list[Any]]:
        """The first `each` rows of these conversations, one after another as they were named, up
        to `limit` in all."""
        rows = await self._messages(
            f"FROM unnest($1::text[]) AS wanted(session) CROSS JOIN LATERAL (SELECT * FROM "
            f"{self._table.rows} WHERE session_id = wanted.session ORDER BY id {order} LIMIT $2) "
            "AS found LIMIT $3",
            [[layout.stored_id(conversation) for conversation in ids], each, limit],
        )
        return [list(group) for _, group in itertools.groupby(rows, key=lambda row: row[0])]

    async def _messages(self, tail: str, values: Sequence[Any]) -> list[Any]:
        try:
            return await self._rows(f"SELECT session_id, id, {_COLUMNS} {tail}", *values)
        except OverflowError:  # a time outside the years 1 to 9999, which another program wrote
            return await self._rows(f"SELECT session_id, id, {_AS_TEXT} {tail}", *values)

    async def _rows(self, sql: str, *values: Any) -> list[Any]:
        """All rows of a query; none where our tables are not made yet."""

        async def step() -> list[Any]:
            async with self._database.connection() as connection:
                return list(await connection.fetch(sql, *values))

        return await again(step, (Lost,)) if await self._is_made() else []

    async def _is_made(self) -> bool:
        """Whether our tables are there: another program may have made them meanwhile."""
        if not self._table.made:
            await again(self._database.look, (Lost,))
        return self._table.made

    def _as_page(self, rows: Sequence[Any]) -> Page:
        items: list[Message | Unreadable]
        try:
            items = [*layout.decode_all(rows)]
        except ValueError:
            items = [self._decoded(row) for row in rows]
        return Page(layout.shown_id(rows[0][0]), items, lambda i: str(rows[i][1]))

    def _decoded(self, row: Any) -> Message | Unreadable:
        try:
            return layout.decode(row[2:])
        except ValueError as error:
            return Unreadable(str(row[1]), f"row {row[1]}: {error}")

    async def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`."""
        if ids is None:
            last = ""
            while rows := await self._listed(_NEXT_IDS, [last, self._page_size], details):
                yield [self._info(*row) for row in rows]
                last = rows[-1][0]  # as it stands there, which our own escapes may not give back
            return
        wanted = storable(ids)
        size = min(IDS_A_QUERY, self._page_size)
        for start in range(0, len(wanted), size):
            chunk = [layout.stored_id(each) for each in wanted[start : start + size]]
            if rows := await self._listed(_THESE_IDS, [chunk], details):
                yield [self._info(*row) for row in rows]

    async def _listed(self, ids: str, values: Sequence[Any], details: bool) -> list[Any]:
        sql = (_DETAILS if details else _IDS).format(
            ids=ids.format(rows=self._table.rows), rows=self._table.rows, meta=self._table.meta
        )
        return await self._rows(sql, *values)

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
            id=layout.shown_id(session),
            messages=messages,
            first_at=first,
            last_at=last,
            **read_all_beside(title, extra, self._remedy),
        )

    def _note(self, session: str, name: str, text: str | None) -> Any:
        """A note, from its JSON text, if there is one."""
        try:
            return None if text is None else read_beside(name, text)
        except ValueError as error:
            raise CorruptData(
                f"{self.name}: conversation {layout.shown_id(session)!r}: {error}",
                hint=self._remedy,
            ) from error

    async def close(self) -> None:
        """See `Store.close`."""
        await self._database.close()


def row_id(position: Position) -> int:
    """The `id` of a row; ValueError where no position of ours looks like that."""
    try:
        number = int(position)
    except ValueError:
        number = 1 << 63
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError(f"not a position of a PostgreSQL store: {position!r}")
    return number
