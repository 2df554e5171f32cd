"""Reading an SQLite store: pages by key, many conversations in a query, nothing held between."""

import asyncio
import contextlib
import functools
import hashlib
import itertools
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from msgspec.structs import replace

from synmem import messages as model
from synmem.backends.paging import Fetch, Paging, changed, storable
from synmem.backends.sqlite_changes import prints_of, version_of
from synmem.backends.sqlite_file import File, translating
from synmem.errors import CorruptData
from synmem.layouts.beside import read_all_beside, read_beside
from synmem.layouts.sqlite_tables import Table
from synmem.messages import Damage, Holds, Message, Unreadable
from synmem.store import START, STRAY, ConversationInfo, Page, Position

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
        self._paging = Paging(
            page_size, IDS_A_QUERY, along=self._along, whole=self._whole, ends=self._end_pages
        )
        self._turn = asyncio.Lock()  # one statement or transaction at a time
        self._key = file.shape.key
        self._holds = table.holds
        if not file.shape.lasting:
            self._holds = replace(table.holds, lasting_positions=False)
        columns = ", ".join(table.columns)
        self._select = f"SELECT conversation_id, {self._key}, {columns} FROM messages WHERE "

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

    def _along(self, conversation: str) -> Fetch:
        return functools.partial(self._page, conversation)

    async def _page(
        self, conversation: str, anchor: Position, reverse: bool, size: int
    ) -> Page | None:
        """The next page; the anchor is read along with it, to see that it is still there."""
        where = "conversation_id = ?"
        values: list[Any] = [conversation]
        if anchor != START:
            where += f" AND {self._key} {'<=' if reverse else '>='} ?"
            values.append(self._number_at(anchor))
            size += 1
        order = f"{self._key} {'DESC' if reverse else 'ASC'}"
        rows = await self._messages(f"{where} ORDER BY {order} LIMIT ?", [*values, size])
        if anchor != START:
            if not rows or self._position(rows[0]) != anchor:
                raise changed(conversation, self.name)
            rows = rows[1:]
        return self._as_page(rows) if rows else None

    def _whole(self, ids: Sequence[str]) -> AsyncGenerator[Page, None]:
        return self._paging.packed(ids, self._first_rows, self._as_page)

    async def _first_rows(self, ids: Sequence[str], most: int) -> list[tuple[str, list[Any]]]:
        """The first so many rows of these conversations, which are sorted."""
        rows = await self._messages(
            f"conversation_id IN ({marks(ids)}) ORDER BY conversation_id, {self._key} LIMIT ?",
            [*ids, most],
        )
        return [(each, list(run)) for each, run in itertools.groupby(rows, itemgetter(0))]

    async def _end_pages(self, ids: Sequence[str], reverse: bool, each: int) -> list[Page]:
        """The first or last few of many conversations, in one query."""
        if not self._file.shape.unique:
            pages = [await self._page(one, START, reverse, each) for one in ids]
            return [page for page in pages if page is not None]
        key, order = self._key, "DESC" if reverse else "ASC"
        rows = await self._messages(
            f"{key} IN (SELECT m.{key} FROM (VALUES {marks(ids, '(?)')}) AS wanted "
            f"JOIN messages AS m ON m.{key} IN (SELECT {key} FROM messages "
            f"WHERE conversation_id = wanted.column1 ORDER BY {key} {order} LIMIT ?)) "
            f"ORDER BY conversation_id, {key} {order}",
            [*ids, each],
        )
        return [self._as_page(list(run)) for _, run in itertools.groupby(rows, itemgetter(0))]

    async def _messages(self, where: str, values: Sequence[Any]) -> list[Any]:
        async with self._step():
            return await self._rows(where, values)

    async def _rows(self, where: str, values: Sequence[Any]) -> list[Any]:
        """Rows of messages: conversation, number, and all columns; within a step."""
        try:
            return await self._file.rows(self._select + where, values)
        except sqlite3.OperationalError as error:
            if "decode to UTF-8" not in str(error):
                raise
        return await self._broken_text(where, values)

    async def _broken_text(self, where: str, values: Sequence[Any]) -> list[Any]:
        """The rows again, with text that is not UTF-8 left as the bytes it is."""
        connection = self._file.connection
        assert connection is not None
        connection.text_factory = _text_or_bytes
        try:
            with translating(self.name):
                return await self._file.rows(self._select + where, values)
        finally:
            connection.text_factory = str

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

    def _number_at(self, position: Position) -> Any:
        """The number of a position's row; ValueError where no position of ours looks like that."""
        number = position if self._file.shape.lasting else position.rpartition("-")[0]
        try:
            return int(number)
        except ValueError:
            if number and self._key == "id" and not self._file.shape.numbered:
                return number
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
        if ids is None:
            # Every text sorts before every BLOB: what is no text is no id; `damage` names it.
            last, where = "", "conversation_id > ? AND conversation_id < x''"
            while page := await self._listed(where, [last], details):
                yield page
                last = page[-1].id
            return
        wanted = sorted(storable(ids))
        size = min(IDS_A_QUERY, self._page_size)
        for start in range(0, len(wanted), size):
            chunk = wanted[start : start + size]
            page = await self._listed(f"conversation_id IN ({marks(chunk)})", chunk, details)
            if page:
                yield page

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
            rows = await self._file.rows(sql, [*values, self._page_size])
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
            # As bytes, so that text that is not UTF-8 is named as all else that is no JSON.
            meta = (
                "(SELECT CAST(value AS BLOB) FROM messages_meta "
                "WHERE conversation_id = c AND name = '{}')"
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
        """Rows that belong to no conversation: their conversation_id is no text, or is empty."""
        async with self._step():
            # One by one the index finds them; with OR every row would be looked at.
            select = (
                f"SELECT {self._key}, typeof(conversation_id) FROM messages WHERE conversation_id"
            )
            rows = await self._file.rows(
                f"{select} IS NULL UNION ALL {select} = '' UNION ALL {select} >= x'' LIMIT ?",
                [MOST_DAMAGE],
            )
        return [
            Damage(STRAY, f"row {number}", f"its conversation_id is {_KINDS.get(kind, kind)}")
            for number, kind in sorted(rows, key=lambda row: (str(type(row[0])), row[0]))
        ]

    async def total(self) -> int:
        """See `SupportsTotal`: SQLite counts a million in some hundredths of a second."""
        async with self._step():
            return int((await self._file.rows("SELECT count(*) FROM messages", []))[0][0])

    async def version(self) -> str | None:
        """See `SupportsChanges.version`; of a private copy that cannot be told."""
        return None if self._file.is_copied else version_of(self._file.path)

    async def fingerprints(self, upto: Mapping[str, Position]) -> dict[str, str]:
        """See `SupportsChanges.fingerprints`."""
        wanted = {name: self._number_at(position) for name, position in upto.items()}
        async with self._step():
            return await prints_of(self._file, self._table.columns, wanted)

    @contextlib.asynccontextmanager
    async def _step(self) -> AsyncIterator[None]:
        """The connection to ourselves, and SQLite's exceptions as ours."""
        async with self._turn:
            with translating(self.name):
                yield

    async def close(self) -> None:
        """See `Store.close`."""
        with translating(self.name):
            await self._file.close()


def marks(values: Sequence[Any], mark: str = "?") -> str:
    """A placeholder for each value, as SQL takes them."""
    return ", ".join([mark] * len(values))


class NotUtf8(bytes):
    """Text that is not UTF-8: no BLOB."""


def _text_or_bytes(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return NotUtf8(data)
