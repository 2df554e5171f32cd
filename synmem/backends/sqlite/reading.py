"""Reading an SQLite store: pages by key, many conversations in a query, nothing held between."""

import asyncio
import contextlib
import hashlib
import itertools
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from msgspec.structs import replace

from synmem import messages as model
from synmem.backends.paging import END, Fetched, Paging, changed, fetched, packed, storable
from synmem.backends.sqlite.changes import prints_of, version_of
from synmem.backends.sqlite.errors import translating
from synmem.backends.sqlite.file import File
from synmem.backends.sqlite.ids import Group, chosen, shown, text_or_bytes, told_apart
from synmem.errors import CorruptData
from synmem.layouts.own.beside import read_all_beside, read_beside
from synmem.layouts.own.sqlite_tables import Table
from synmem.messages import Damage, Holds, Message, Unreadable
from synmem.store import START, STRAY, ConversationInfo, Page, Position, Rescue

MOST_DAMAGE: Final = 1000
"""So many rows that belong nowhere are named."""

_KINDS: Final = {"text": "empty", "null": "NULL", "blob": "a BLOB"}

IDS_A_QUERY: Final = 500  # SQLite before 3.32 takes 999 parameters

_REMEDY: Final = "mend or delete its row in the table messages_meta"


class SqliteReader:
    """The reading half of a store in an SQLite file. One connection, shared by tasks in turn."""

    def __init__(self, file: File, table: Table, *, page_size: int) -> None:
        self.name = str(file.path)
        self._file = file
        self._table = table
        self._page_size = page_size
        self._paging = Paging(self, page_size, IDS_A_QUERY)
        self._turn = asyncio.Lock()  # one statement or transaction at a time
        self._key = file.shape.key
        self._ids = file.shape.ids
        self._unread_ids: bool | None = None
        """Whether a listing met ids that are not UTF-8; None until one came to its end."""
        self._holds = table.holds
        if not file.shape.lasting:
            self._holds = replace(self._holds, lasting_positions=False)
        if not file.shape.beside:
            self._holds = replace(self._holds, conversation_fields=frozenset())
        columns = ", ".join(table.columns)
        self._columns = f"conversation_id, {self._key}, {columns}"
        self._select = f"SELECT {self._columns} FROM messages WHERE "

    @property
    def holds(self) -> Holds:
        """What the file's layout holds."""
        return self._holds

    def refusal(self, message: Message) -> str | None:
        """What no store can hold, or a column of somebody's own would not; SQLite holds all else
        up to its limit of 1 GB a row."""
        return model.refusal(message) or self._table.refusal(message)

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
            if not rows or self._position(rows[0]) != after:
                raise changed(conversation, self.name)
            rows = rows[1:]
        return fetched(self._as_page(rows), size) if rows else END

    async def _rows_from(
        self, conversation: str, anchor: Position, reverse: bool, size: int
    ) -> list[Any]:
        """So many rows of a conversation, from the anchor on."""
        async with self._step():
            where, values = self._ids.where(await self._lying([conversation]))
            if not self._file.shape.unique:
                return await self._counted_rows(where, values, anchor, reverse, size)
            if anchor != START:
                where += f" AND {self._key} {'<=' if reverse else '>='} ?"
                values.append(self._number_at(anchor))
            order = f"{self._key} {'DESC' if reverse else 'ASC'}"
            return await self._rows(f"{where} ORDER BY {order} LIMIT ?", [*values, size])

    async def _counted_rows(
        self, where: str, values: Sequence[Any], anchor: Position, reverse: bool, size: int
    ) -> list[Any]:
        """The same where nothing numbers the rows, as in a view: in an order that is the same each
        time, the first is 1."""
        low = 0 if anchor == START else self._number_at(anchor) - 1
        if reverse:
            if anchor == START:
                sql = f"SELECT count(*) FROM messages WHERE {where}"
                low = (await self._file.rows(sql, values))[0][0] - 1
            size, low = min(size, low + 1), max(0, low + 1 - size)
        order = ", ".join(f"{name} COLLATE BINARY" for name in ("id", *self._table.columns))
        sql = f"{where} ORDER BY {order} LIMIT ? OFFSET ?"
        rows = await self._rows(sql, [*values, max(0, size), low])
        rows = [(row[0], number, *row[2:]) for number, row in enumerate(rows, low + 1)]
        return rows[::-1] if reverse else rows

    async def _lying(self, ids: Sequence[str]) -> list[Any]:
        """These conversations as they lie in the table; within a step."""
        return [*(await self._values(ids)).values()]

    async def _values(self, ids: Sequence[str]) -> dict[str, Any]:
        """As what each of these conversations lies in the table; where that is not plain, only
        those that are there. Within a step."""
        if self._ids.plain:
            return {each: each for each in ids}
        wanted = {each: self._ids.candidates(each) for each in ids}
        tried = [(each, n) for each in wanted for n in range(len(wanted[each]))]
        there: list[tuple[str, int]] = []
        for start in range(0, len(tried), IDS_A_QUERY):
            some = tried[start : start + IDS_A_QUERY]
            sql = "wanted_n FROM wanted WHERE EXISTS (SELECT 1 FROM messages WHERE "
            sql += f"{self._ids.match('wanted_v')})"
            if not self._ids.sought:
                sql = f"DISTINCT wanted_n FROM {self._ids.joined} ORDER BY wanted_n"
            values = [wanted[each][n] for each, n in some]
            rows = await self._file.rows(f"{_wanted(some)} SELECT {sql}", values)
            there += [some[row[0]] for row in rows]
        return chosen(wanted, there)

    def first(self, ids: Sequence[str]) -> AsyncGenerator[tuple[str, Fetched], None]:
        """See `Pages.first`."""
        return packed(ids, IDS_A_QUERY, self._page_size, self._first_rows, self._as_page)

    async def _first_rows(self, ids: Sequence[str], most: int) -> list[tuple[str, list[Any]]]:
        """The first so many rows of these conversations, which are sorted."""
        if not self._file.shape.unique:
            found = []
            for each in ids:
                if run := await self._rows_from(each, START, False, most):
                    found.append((each, run))
                    most -= len(run)
                if not most:
                    break
            return found
        async with self._step():
            if self._ids.plain:
                rows = await self._rows(
                    f"conversation_id IN ({marks(ids)}) ORDER BY conversation_id, {self._key} "
                    "LIMIT ?",
                    [*ids, most],
                )
            else:
                values = await self._lying(ids)
                rows = await self._queried(
                    f"{_wanted(values)} SELECT {self._columns} FROM {self._ids.joined} "
                    f"ORDER BY wanted_n, {self._key} LIMIT ?",
                    [*values, most],
                )
        return [(each, list(run)) for each, run in itertools.groupby(rows, itemgetter(0))]

    async def ends(self, ids: Sequence[str], reverse: bool, each: int) -> list[Page]:
        """See `Pages.ends`: in one query."""
        if not self._file.shape.unique:
            pages = [(await self.page(one, START, reverse, each)).page for one in ids]
            return [page for page in pages if page is not None]
        key, order = self._key, "DESC" if reverse else "ASC"
        async with self._step():
            values = await self._lying(ids)
            if not values:
                return []
            rows = await self._rows(
                f"{key} IN (SELECT m.{key} FROM (VALUES {marks(values, '(?)')}) AS wanted "
                f"JOIN messages AS m ON m.{key} IN (SELECT {key} FROM messages "
                f"WHERE {self._ids.match('wanted.column1')} ORDER BY {key} {order} LIMIT ?)) "
                f"ORDER BY {self._ids.order}, {key} {order}",
                [*values, each],
            )
        return [self._as_page(list(run)) for _, run in itertools.groupby(rows, itemgetter(0))]

    async def _rows(self, where: str, values: Sequence[Any]) -> list[Any]:
        """Rows of messages: conversation, number, and all columns; within a step."""
        return await self._queried(self._select + where, values)

    async def _queried(self, sql: str, values: Sequence[Any]) -> list[Any]:
        """The rows of such a query; within a step."""
        rows = await self._forgiving(sql, values)
        return rows if self._ids.plain else [(shown(row[0]), *row[1:]) for row in rows]

    async def _forgiving(self, sql: str, values: Sequence[Any]) -> list[Any]:
        """The rows of any query, in which text that is not UTF-8 is left as the bytes it is."""
        return await forgiving(self._file, sql, values)

    def _as_page(self, rows: Sequence[Any]) -> Page:
        items: list[Message | Unreadable]
        try:
            items = [*self._table.decode_all(rows)]
        except ValueError:
            items = [self._decoded(row) for row in rows]
        return Page(rows[0][0], items, lambda i: self._position(rows[i]))

    def _position(self, row: Sequence[Any]) -> Position:
        """Where a row stands: its number, and where that may be given to another, also a hash."""
        if self._file.shape.lasting:
            return str(row[1])
        told = repr([*row[2:]]).encode()
        return f"{row[1]}-{hashlib.blake2b(told, digest_size=8).hexdigest()}"

    def _number_at(self, position: Position) -> int:
        """The number of a position's row; ValueError where no position of ours looks like that."""
        number = position if self._file.shape.lasting else position.rpartition("-")[0]
        with contextlib.suppress(ValueError):
            if -(2**63) <= (found := int(number)) < 2**63:
                return found
        raise ValueError(f"not a position of an SQLite store: {position!r}")

    def _decoded(self, row: Sequence[Any]) -> Message | Unreadable:
        try:
            return self._table.decode(row[2:])
        except ValueError as error:
            return Unreadable(str(row[1]), f"row {row[1]}: {error}")

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
        async with self._step():
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
        for start in range(0, len(wanted), size):
            chunk = wanted[start : start + size]
            if self._ids.plain:
                page = await self._listed(f"conversation_id IN ({marks(chunk)})", chunk, details)
                if page:
                    yield page
                continue
            async with self._step():
                where, values = self._ids.where(await self._lying(chunk))
                found, _ = told_apart(await self._groups(where, values, details))
            async for page in self._described_groups(found, details):
                yield page

    async def _groups(self, where: str, values: Sequence[Any], details: bool) -> list[Group]:
        """What there is in the column conversation_id; within a step."""
        key, order = self._key, self._ids.order
        sql = f"FROM messages WHERE {where} GROUP BY {order} ORDER BY {order}"
        time = self._table.time_column if details else "NULL"
        # Beside the one `min` or `max` of a query, SQLite gives what else is in that row.
        lows = await self._forgiving(
            f"SELECT conversation_id, count(*), min({key}), {time} {sql}", values
        )
        highs = await self._forgiving(f"SELECT conversation_id, max({key}), {time} {sql}", values)
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
        for start in range(0, len(ids), size):
            chunk = ids[start : start + size]
            if not details:
                yield [ConversationInfo(id=each) for each in chunk]
                continue
            beside: dict[tuple[str, str], Any] = {}
            if "title" in self.holds.conversation_fields:
                async with self._step():
                    rows = await self._forgiving(
                        "SELECT conversation_id, name, value FROM messages_meta "
                        f"WHERE conversation_id COLLATE BINARY IN ({marks(chunk)}) "
                        "AND name IN ('title', 'extra')",
                        chunk,
                    )
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
        async with self._step():
            rows = await self._forgiving(sql, [*values, self._page_size])
        if any(type(row[0]) is not str for row in rows):
            raise _UndecodableId
        if not details:
            return [ConversationInfo(id=row[0]) for row in rows]
        return [self._info(*row) for row in rows]

    def _details_sql(self, page: str) -> str:
        time = f"(SELECT {self._table.time_column} FROM messages WHERE {self._key} = {{}}"
        if not self._file.shape.unique:
            time += " AND conversation_id = c"
        time += ")"
        title = extra = "NULL"
        if "title" in self.holds.conversation_fields:
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
            **read_all_beside(title, extra, _REMEDY),
        )

    def _note(self, conversation: str, name: str, text: Any) -> Any:
        """A note, from its JSON text, if there is one."""
        try:
            return None if text is None else read_beside(name, text)
        except ValueError as error:
            raise CorruptData(
                f"{self.name}: conversation {conversation!r}: {error}", hint=_REMEDY
            ) from error

    async def damage(self) -> list[Damage]:
        """Rows that belong to no conversation: their conversation_id is no text, is empty, or is
        not UTF-8."""
        if self._ids.plain and self._unread_ids is None:
            async with self._step():
                try:
                    await self._file.rows("SELECT DISTINCT conversation_id FROM messages")
                except sqlite3.OperationalError as error:
                    if not _is_undecodable(error):
                        raise
                    self._unread_ids = True
        return await self.strays()

    async def strays(self) -> list[Damage]:
        """See `SupportsStrays.strays`."""
        async with self._step():
            # One by one the index finds them; with OR every row would be looked at.
            select = (
                f"SELECT {self._key}, typeof(conversation_id) FROM messages "
                "WHERE conversation_id COLLATE BINARY"
            )
            rows = await self._forgiving(
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
        async with self._step():
            return int((await self._file.rows("SELECT count(*) FROM messages", []))[0][0])

    async def version(self) -> str | None:
        """See `SupportsChanges.version`; of a private copy that cannot be told."""
        return None if self._file.is_copied else version_of(self._file.path)

    async def fingerprints(self, upto: Mapping[str, Position]) -> dict[str, str] | None:
        """See `SupportsChanges.fingerprints`; None where nothing numbers the rows."""
        if not self._file.shape.unique:
            return None
        wanted = {name: self._number_at(position) for name, position in upto.items()}
        async with self._step():
            lying = await self._values(storable([*wanted]))
            return await prints_of(self._file, self._table.columns, lying, wanted)

    @contextlib.asynccontextmanager
    async def _step(self) -> AsyncIterator[None]:
        """The connection to ourselves, and SQLite's exceptions as ours."""
        async with self._turn:
            with translating(self.name, temporary=not self._file.writes):
                yield

    def rescued(self) -> Rescue:
        """See `SupportsRescue`."""
        from synmem.backends.sqlite.rescuing import Rescued  # hardly anybody needs it

        return Rescued(self._file, self._table, page_size=self._page_size)

    async def close(self) -> None:
        """See `Store.close`."""
        with translating(self.name):
            await self._file.close()


async def forgiving(file: File, sql: str, values: Sequence[Any]) -> list[Any]:
    """The rows of any query, in which text that is not UTF-8 is left as the bytes it is."""
    try:
        return await file.rows(sql, values)
    except sqlite3.OperationalError as error:
        if not _is_undecodable(error):
            raise
    connection = file.connection
    assert connection is not None
    connection.text_factory = text_or_bytes
    try:
        return await file.rows(sql, values)
    finally:
        connection.text_factory = str


def marks(values: Sequence[Any], mark: str = "?") -> str:
    """A placeholder for each value, as SQL takes them."""
    return ", ".join([mark] * len(values))


class _UndecodableId(Exception):
    """There are ids that are not UTF-8."""


def _is_undecodable(error: sqlite3.OperationalError) -> bool:
    return "decode to UTF-8" in str(error)


def _wanted(values: Sequence[Any]) -> str:
    """A table of these values, in which each has its number from 0 on."""
    rows = ", ".join(f"({n}, ?)" for n in range(len(values))) or "(0, NULL)"
    return f"WITH wanted(wanted_n, wanted_v) AS (VALUES {rows})"
