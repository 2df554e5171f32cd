"""Reading a PostgreSQL store: pages by key, many conversations in a query, nothing held between."""

import contextlib
import functools
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any, Final

import asyncpg

from synmem import messages as model
from synmem.backends.paging import Fetch, Paging, changed, storable
from synmem.backends.patience import again
from synmem.backends.postgres.errors import Lost
from synmem.backends.postgres.numbers import damage, strays
from synmem.backends.postgres.opening import Database, Table, identifier
from synmem.errors import CorruptData
from synmem.layouts.own import postgres_rows as layout
from synmem.layouts.own.beside import read_all_beside, read_beside
from synmem.messages import EVERYTHING, Damage, Holds, Message, Unreadable
from synmem.store import START, ConversationInfo, Page, Position

IDS_A_QUERY: Final = 1000

TIMESTAMP: Final = layout.COLUMNS["created_at"]

_COLUMNS: Final = ", ".join(
    f"{identifier(name)}{'::text' if kind == 'jsonb' else ''}"
    for name, kind in layout.COLUMNS.items()
)
_IS_TIME: Final = "{0} >= '0001-01-01 00:00Z' AND {0} < '10000-01-01 00:00Z'"


def _time_as_text(column: str) -> str:
    """A time as `messages.format_time` writes it, and any that no datetime can be in another
    form."""
    return (
        f"CASE WHEN {_IS_TIME.format(column)} THEN to_char({column} AT TIME ZONE 'UTC', "
        f"""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') ELSE {column}::text END"""
    )


TIME_AS_TEXT: Final = _time_as_text("created_at")

_AS_TEXT: Final = _COLUMNS.replace('"created_at"', TIME_AS_TEXT)

_TIME: Final = f"CASE WHEN {_IS_TIME.format('created_at')} THEN created_at END"

_OURS: Final = 2 + len(layout.COLUMNS)
"""So many columns of ours stand in what is read, before those that are not."""

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


_PRINTS: Final = """
SELECT wanted.session, count(*)::text || ' ' || sum(hashint8extended(m.id, m.xmin::text::bigint))
FROM unnest($1::text[], $2::bigint[]) AS wanted(session, upto)
JOIN {rows} AS m ON {session} = wanted.session AND m.id <= wanted.upto
GROUP BY wanted.session
"""
"""`xmin` is the transaction that wrote the row as it is. It stays where the row is frozen."""


class PostgresReader:
    """The reading half of a store in PostgreSQL."""

    def __init__(self, database: Database, *, page_size: int) -> None:
        self.name = database.name
        self._database = database
        self._table = database.table
        self._page_size = page_size
        self._remedy = f"mend or delete its row in {self._table.meta}"
        self._paging = Paging(
            page_size, IDS_A_QUERY, along=self._along, whole=self._whole, ends=self._end_pages
        )
        self._strange: set[str] = set()
        """What a listing has met that no id is stored as."""

    @property
    def holds(self) -> Holds:
        """All, and what the table's own columns do."""
        own = self._table.own
        if not own:
            return EVERYTHING
        return Holds(
            columns=frozenset((layout.NAME, column.name) for column in own),
            defaults=frozenset((layout.NAME, column.name) for column in own if column.filled),
        )

    def refusal(self, message: Message) -> str | None:
        """What no store can hold, texts that do not fit into 1 GB, and what does not fit the kind
        of a column that is not ours."""
        why = model.refusal(message) or layout.too_long(message)
        return why or layout.own_refusal(self._table.own, message)

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
        where = f"{self._table.session} = $1"
        if anchor != START:
            where += f" AND id {'<=' if reverse else '>='} $3"
            values = [values[0], size + 1, row_id(anchor)]
        rows = await self._messages(
            f"FROM {self._table.rows} AS found WHERE {where} ORDER BY id {order} LIMIT $2", values
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
        if not await self._is_made():
            return []
        rows = await self._messages(
            "FROM unnest($1::text[]) AS wanted(session) CROSS JOIN LATERAL (SELECT "
            f"{raw_columns_sql(self._table)} FROM {self._table.rows} "
            f"WHERE {self._table.session} = wanted.session ORDER BY id {order} LIMIT $2) AS found "
            "LIMIT $3",
            [[layout.stored_id(conversation) for conversation in ids], each, limit],
        )
        return [list(group) for _, group in itertools.groupby(rows, key=lambda row: row[0])]

    async def _messages(self, tail: str, values: Sequence[Any]) -> list[Any]:
        if not await self._is_made():  # which tells the columns that are not ours
            return []
        try:
            return await self._rows(f"SELECT {columns_sql(self._table)} {tail}", *values)
        except OverflowError:  # a time outside the years 1 to 9999, which another program wrote
            texts = columns_sql(self._table, times_as_text=True)
            return await self._rows(f"SELECT {texts} {tail}", *values)

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
            items = [*decode_rows(self._table, rows)]
        except ValueError:
            items = [self._decoded(row) for row in rows]
        return Page(layout.shown_id(rows[0][0]), items, lambda i: str(rows[i][1]))

    def _decoded(self, row: Any) -> Message | Unreadable:
        try:
            return decode_rows(self._table, [row])[0]
        except ValueError as error:
            return Unreadable(str(row[1]), f"row {row[1]}: {error}")

    async def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`."""
        if ids is None:
            last = ""
            while rows := await self._listed(_NEXT_IDS, [last, self._page_size], details):
                ours = [row for row in rows if layout.is_stored_id(row[0])]
                if len(ours) < len(rows):
                    self._strange.update(row[0] for row in rows if row not in ours)
                if ours:
                    yield [self._info(*row) for row in ours]
                last = rows[-1][0]
            return
        wanted = storable(ids)
        size = min(IDS_A_QUERY, self._page_size)
        for start in range(0, len(wanted), size):
            chunk = [layout.stored_id(each) for each in wanted[start : start + size]]
            if rows := await self._listed(_THESE_IDS, [chunk], details):
                yield [self._info(*row) for row in rows]

    async def _listed(self, ids: str, values: Sequence[Any], details: bool) -> list[Any]:
        table = self._table
        named = {"rows": table.rows, "session": table.session}
        sql = (_DETAILS if details else _IDS).format(
            ids=ids.format(**named), **named, meta=table.meta
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

    async def notes(self, conversations: Sequence[str]) -> dict[str, dict[str, Any]]:
        """See `SupportsNotes.notes`."""
        names = [layout.stored_id(each) for each in storable(conversations)]
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(names), IDS_A_QUERY):
            rows = await self._rows(
                f"SELECT session_id, name, value FROM {self._table.meta} "
                "WHERE session_id = ANY($1::text[]) AND name LIKE 'note:%'",
                names[start : start + IDS_A_QUERY],
            )
            for session, name, text in rows:
                with contextlib.suppress(ValueError):
                    notes = found.setdefault(layout.shown_id(session), {})
                    notes[name.removeprefix("note:")] = read_beside(name, text)
        return {conversation: notes for conversation, notes in found.items() if notes}

    async def strays(self) -> list[Damage]:
        """See `SupportsStrays.strays`: those that a listing has met, or whose id is empty."""
        return await strays(self._rows, self._table, self._strange)

    async def damage(self) -> list[Damage]:
        """See `SupportsDamage.damage`: rows of no conversation, a sequence that is behind."""
        return await damage(self._rows, self._table)

    def _note(self, session: str, name: str, text: str | None) -> Any:
        """A note, from its JSON text, if there is one."""
        try:
            return None if text is None else read_beside(name, text)
        except ValueError as error:
            raise CorruptData(
                f"{self.name}: conversation {layout.shown_id(session)!r}: {error}",
                hint=self._remedy,
            ) from error

    async def version(self) -> str | None:
        """See `SupportsChanges.version`: which transactions of the server are seen."""
        rows = await self._rows(
            "SELECT pg_postmaster_start_time()::text || ' ' || txid_current_snapshot()::text"
        )
        return str(rows[0][0]) if rows else None

    async def fingerprints(self, upto: Mapping[str, Position]) -> dict[str, str] | None:
        """See `SupportsChanges.fingerprints`: which transaction wrote each row, which every change
        of a row changes. None where rows do not tell it: of a view, say."""
        wanted = [(layout.stored_id(name), row_id(position)) for name, position in upto.items()]
        found: dict[str, str] = {}
        try:
            for start in range(0, max(1, len(wanted)), IDS_A_QUERY):  # of none: can it tell?
                some = wanted[start : start + IDS_A_QUERY]
                names, ids = [name for name, _ in some], [number for _, number in some]
                rows = await self._rows(
                    _PRINTS.format(rows=self._table.rows, session=self._table.session_of("m")),
                    names,
                    ids,
                )
                found.update((layout.shown_id(session), told) for session, told in rows)
        except CorruptData as error:
            if isinstance(error.__cause__, asyncpg.UndefinedColumnError):
                return None
            raise
        return found

    async def close(self) -> None:
        """See `Store.close`."""
        await self._database.close()


def columns_sql(table: Table, *, times_as_text: bool = False) -> str:
    """What is read of the rows that a query names `found`: for `decode_rows`."""
    own = "".join(f", {_own_sql(column)}" for column in table.own)
    return f"{table.session}, id, {_AS_TEXT if times_as_text else _COLUMNS}{own}"


def raw_columns_sql(table: Table) -> str:
    """The columns as they are: all that this role may read, without those that are generated."""
    own = [*(column.name for column in table.own), *table.bound]
    return ", ".join(map(identifier, ["session_id", "id", *layout.COLUMNS, *own]))


def _own_sql(column: layout.Own) -> str:
    """A column that is not ours, as text. A time is the same whatever the session's zone is: two
    servers are compared by it."""
    name = f"found.{identifier(column.name)}"
    return _time_as_text(name) if column.type == TIMESTAMP else f"{name}::text"


def decode_rows(table: Table, rows: Sequence[Any]) -> list[Message]:
    """The messages of rows that were read so; ValueError where any cannot be read."""
    if not table.own:
        return layout.decode_all(rows)
    messages = layout.decode_all([row[:_OURS] for row in rows])
    return [
        layout.with_own(table.own, message, row[_OURS:])
        for message, row in zip(messages, rows, strict=True)
    ]


def row_id(position: Position) -> int:
    """The `id` of a row; ValueError where no position of ours looks like that."""
    try:
        number = int(position)
    except ValueError:
        number = 1 << 63
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError(f"not a position of a PostgreSQL store: {position!r}")
    return number
