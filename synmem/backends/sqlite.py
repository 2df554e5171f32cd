"""Conversations in an SQLite file, over aiosqlite.

Data layout. One row a message, in the table `messages` of SynapseKit 2.0.1, ordered by `id`:

    id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id TEXT, role TEXT, content TEXT,
    metadata TEXT (JSON or NULL);  index idx_conv_id(conversation_id)

A file that synmem made (layout `synmem`) is in WAL mode and has in that table the nullable
columns `created_at` (ISO 8601, UTC, microseconds, `Z`), `tool_calls`, `tool_call_id`, `name`,
`parts` and `extra` (JSON), and beside it `messages_meta(conversation_id, name, value)`: JSON
under the names `title`, `extra` and `note:NAME`. In a file that SynapseKit made (layout
`synapsekit`) no column is added and no mode changed: what a row has no column for rides in
`metadata["synmem"]` (see `layouts/synapsekit.py`); it holds no title. Text with a lone surrogate,
which SQLite cannot store, is carried in that key in both layouts. New ids are the highest ever
given plus one, under the write lock; what `replace` puts in front takes ids below the lowest.

Reading leaves the file byte for byte as it was; `sqlite_file.py` says how.
"""

import asyncio
import contextlib
import itertools
import sqlite3
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from synmem import messages as model
from synmem.backends.sqlite_file import TABLES, File, create, detect, translating
from synmem.errors import Changed, CorruptData, Rejected, StoreNotFound, Unsupported
from synmem.layouts.sqlite_tables import OwnTable, Table
from synmem.layouts.synapsekit import encodable
from synmem.messages import Conversation, Holds, Message, Unreadable, parse_json
from synmem.store import START, ConversationInfo, Page, Part, Position

_IDS_A_QUERY: Final = 500  # SQLite before 3.32 takes 999 parameters


async def open(
    settings: Mapping[str, Any], *, write: bool = False, page_size: int = 1000
) -> "SqliteStore":
    """The store in the file `settings["db_path"]`; `layout` names one, else it is detected.

    A file that is not there is StoreNotFound, unless `write`: then the first append makes it.
    """
    path = Path(settings["db_path"])
    layout = settings.get("layout")
    if layout is not None and layout not in TABLES:
        raise Unsupported(
            f"{path}: no layout {layout!r} on SQLite", hint=f"there are {', '.join(TABLES)}"
        )
    file = File(path)
    try:
        with translating(str(path)):
            if not file.is_empty():
                await file.connect(write=write)
            elif not write and not path.exists():
                raise StoreNotFound(f"{path}: no such file", hint="`synmem add` makes one")
            table = await detect(file, layout, write=write)
    except BaseException:
        await file.close()
        raise
    kind = OwnSqliteStore if isinstance(table, OwnTable) else SqliteStore
    return kind(file, table, write=write, page_size=page_size)


class SqliteStore:
    """A `Store` in an SQLite file (DESIGN: `sqlite`). One connection, shared by tasks in turn."""

    def __init__(self, file: File, table: Table, *, write: bool, page_size: int) -> None:
        self.name = str(file.path)
        self._file = file
        self._table = table
        self._write = write
        self._page_size = page_size
        self._turn = asyncio.Lock()  # one statement or transaction at a time
        self._staging = asyncio.Lock()
        columns = ", ".join(table.columns)
        self._select = f"SELECT conversation_id, id, {columns} FROM messages WHERE "
        marks = ", ".join("?" * (2 + len(table.columns)))
        self._insert = f"INSERT INTO messages (id, conversation_id, {columns}) VALUES ({marks})"

    @property
    def holds(self) -> Holds:
        """What the file's layout holds."""
        return self._table.holds

    def refusal(self, message: Message) -> str | None:
        """What no store can hold; SQLite holds all else up to its limit of 1 GB a row."""
        return model.refusal(message)

    # --- reading ---

    async def read(
        self,
        conversations: Sequence[str],
        *,
        after: Position = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Page]:
        """See `Store.read`."""
        conversations = _storable(conversations)
        if len(conversations) == 1:
            pages = self._read_one(conversations[0], after, reverse, limit)
        elif after != START:
            raise ValueError("after goes with one conversation")
        elif limit is None and not reverse:
            pages = self._read_many(sorted(set(conversations)))
        else:
            pages = self._read_ends(sorted(set(conversations)), reverse, limit)
        async for page in pages:
            yield page

    async def _read_one(
        self, conversation: str, anchor: Position, reverse: bool, limit: int | None
    ) -> AsyncIterator[Page]:
        left = limit
        while left is None or left > 0:
            size = self._page_size if left is None else min(left, self._page_size)
            page = await self._page(conversation, anchor, reverse, size)
            if page is None:
                return
            full = len(page.items) == size
            anchor = page.position(-1)
            left = None if left is None else left - size
            yield page
            if not full:
                return

    async def _page(
        self, conversation: str, anchor: Position, reverse: bool, size: int
    ) -> Page | None:
        """The next page; the anchor is read along with it, to see that it is still there."""
        where = "conversation_id = ?"
        values: list[Any] = [conversation]
        if anchor != START:
            where += " AND id <= ?" if reverse else " AND id >= ?"
            values.append(_number(anchor))
            size += 1
        order = "DESC" if reverse else "ASC"
        rows = await self._messages(f"{where} ORDER BY id {order} LIMIT ?", [*values, size])
        if anchor != START:
            if not rows or rows[0][1] != int(anchor):
                raise _changed(conversation, self.name)
            rows = rows[1:]
        return self._as_page(rows) if rows else None

    async def _read_many(self, ids: Sequence[str]) -> AsyncIterator[Page]:
        """Whole conversations, as many in a query as a page has room for."""
        while ids:
            chunk = ids[:_IDS_A_QUERY]
            rows = await self._messages(
                f"conversation_id IN ({_marks(chunk)}) ORDER BY conversation_id, id LIMIT ?",
                [*chunk, self._page_size],
            )
            pages = [
                self._as_page(list(group))
                for _, group in itertools.groupby(rows, key=lambda row: row[0])
            ]
            for page in pages:
                yield page
            ids = ids[len(chunk) :]
            if len(rows) == self._page_size:
                # The last one may go on: it is read to its end before those behind it.
                last = pages[-1]
                async for page in self._read_one(last.conversation, last.position(-1), False, None):
                    yield page
                ids = [*(i for i in chunk if i > last.conversation), *ids]

    async def _read_ends(
        self, ids: Sequence[str], reverse: bool, limit: int | None
    ) -> AsyncIterator[Page]:
        """The first or last few of many conversations, in one query a chunk."""
        if limit is None or limit > self._page_size:
            for conversation in ids:
                async for page in self._read_one(conversation, START, reverse, limit):
                    yield page
            return
        order = "DESC" if reverse else "ASC"
        count = max(1, min(_IDS_A_QUERY, self._page_size // max(1, limit)))
        for start in range(0, len(ids) if limit else 0, count):
            chunk = ids[start : start + count]
            rows = await self._messages(
                f"id IN (SELECT m.id FROM (VALUES {_marks(chunk, '(?)')}) AS wanted "
                "JOIN messages AS m ON m.id IN (SELECT id FROM messages "
                f"WHERE conversation_id = wanted.column1 ORDER BY id {order} LIMIT ?)) "
                f"ORDER BY conversation_id, id {order}",
                [*chunk, limit],
            )
            for _, group in itertools.groupby(rows, key=lambda row: row[0]):
                yield self._as_page(list(group))

    async def _messages(self, where: str, values: Sequence[Any]) -> list[Any]:
        async with self._step():
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
        return Page(rows[0][0], items, lambda i: str(rows[i][1]))

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
            last = ""
            while page := await self._listed("conversation_id > ?", [last], details):
                yield page
                last = page[-1].id
            return
        wanted = sorted(set(_storable(ids)))
        size = min(_IDS_A_QUERY, self._page_size)
        for start in range(0, len(wanted), size):
            chunk = wanted[start : start + size]
            page = await self._listed(f"conversation_id IN ({_marks(chunk)})", chunk, details)
            if page:
                yield page

    async def _listed(
        self, where: str, values: Sequence[Any], details: bool
    ) -> list[ConversationInfo]:
        page = f"FROM messages WHERE {where} GROUP BY conversation_id ORDER BY conversation_id"
        if details:
            sql = self._details_sql(f"SELECT conversation_id, count(*), min(id), max(id) {page}")
        else:
            sql = f"SELECT conversation_id {page} LIMIT ?"
        async with self._step():
            rows = await self._file.rows(sql, [*values, self._page_size])
        if rows and not isinstance(rows[-1][0], str):
            raise CorruptData(f"{self.name}: a conversation_id is {rows[-1][0]!r}, not text")
        if not details:
            return [ConversationInfo(id=row[0]) for row in rows]
        return [self._info(*row) for row in rows]

    def _details_sql(self, page: str) -> str:
        time = self._table.time_column
        title = extra = "NULL"
        if "title" in self.holds.conversation_fields:
            meta = "(SELECT value FROM messages_meta WHERE conversation_id = c AND name = '{}')"
            title, extra = meta.format("title"), meta.format("extra")
        return (
            f"WITH page(c, n, low, high) AS ({page} LIMIT ?) SELECT c, n, "
            f"(SELECT {time} FROM messages WHERE id = low), "
            f"(SELECT {time} FROM messages WHERE id = high), {title}, {extra} FROM page ORDER BY c"
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
            title=None if title is None else parse_json(title),
            extra=None if extra is None else parse_json(extra),
        )

    # --- writing ---

    async def append(self, parts: Sequence[Part], *, keep: int | None = None) -> list[Position]:
        """See `Store.append`: one transaction."""
        reasons = model.refusals(((p.conversation, p.messages) for p in parts), self.refusal)
        if reasons:
            raise Rejected(reasons)
        async with self._transaction():
            ends = await self._ends([part.conversation.id for part in parts])
            for part in parts:
                if part.expect is not None and part.expect != ends.get(part.conversation.id, START):
                    raise _changed(part.conversation.id, self.name)
            number = await self._last_number()
            rows: list[Sequence[Any]] = []
            for part in parts:
                rows += self._rows(part.conversation.id, part.messages, number + 1 + len(rows))
                if part.messages:
                    ends[part.conversation.id] = str(number + len(rows))
            await self._file.many(self._insert, rows)
            await self._describe([p.conversation for p in parts if p.conversation.id in ends])
            if keep is not None:
                await self._trim(list(ends), keep)
        return [ends.get(part.conversation.id, START) for part in parts]

    def _rows(
        self, conversation: str, messages: Sequence[Message], number: int
    ) -> list[Sequence[Any]]:
        encode = self._table.encode
        return [
            (number + index, conversation, *encode(message))
            for index, message in enumerate(messages)
        ]

    async def _ends(self, ids: Sequence[str]) -> dict[str, Position]:
        """Where each of these conversations ends, those that exist."""
        ends: dict[str, Position] = {}
        for start in range(0, len(ids), _IDS_A_QUERY):
            chunk = ids[start : start + _IDS_A_QUERY]
            rows = await self._file.rows(
                "SELECT conversation_id, max(id) FROM messages "
                f"WHERE conversation_id IN ({_marks(chunk)}) GROUP BY conversation_id",
                chunk,
            )
            ends.update((conversation, str(number)) for conversation, number in rows)
        return ends

    async def _last_number(self) -> int:
        """The highest id ever given: a deleted one is not given again."""
        rows = await self._file.rows(
            "SELECT max(coalesce((SELECT max(id) FROM messages), 0), "
            "coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'messages'), 0))"
        )
        return int(rows[0][0])

    async def _describe(self, conversations: Sequence[Conversation]) -> None:
        """Write the titles and extras that are set; this layout has no place for them."""

    async def _trim(self, ids: Sequence[str], keep: int) -> None:
        await self._file.many(
            "DELETE FROM messages WHERE conversation_id = ?1 AND id <= (SELECT id FROM messages "
            "WHERE conversation_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            [(conversation, keep) for conversation in ids],
        )
        for conversation in ids if keep == 0 else ():
            await self._forget(conversation)

    async def _forget(self, conversation: str) -> None:
        """Drop what lies beside a conversation that has no messages any more."""

    async def delete(self, conversation: str, *, upto: Position | None = None) -> bool:
        """See `Store.delete`: one transaction."""
        if not self._file.made or not _storable([conversation]):
            return False
        async with self._transaction():
            if not await self._ends([conversation]):
                return False
            where = "conversation_id = ?"
            values: list[Any] = [conversation]
            if upto is not None:
                await self._find(conversation, upto)
                where += " AND id <= ?"
                values.append(_number(upto))
            await self._file.execute(f"DELETE FROM messages WHERE {where}", values)
            if not await self._ends([conversation]):
                await self._forget(conversation)
        return True

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
    ) -> None:
        """See `Store.replace`: staged in a temporary table, then one transaction."""
        await self._make()
        async with self._staging:
            staged = await self._stage(conversation, messages)
            async with self._transaction():
                await self._find(conversation.id, upto)
                if upto != START:
                    await self._file.execute(
                        "DELETE FROM messages WHERE conversation_id = ? AND id <= ?",
                        [conversation.id, _number(upto)],
                    )
                await self._unstage(conversation.id, staged)
                if await self._ends([conversation.id]):
                    await self._describe([conversation])
                else:
                    await self._forget(conversation.id)

    async def _stage(
        self, conversation: Conversation, messages: AsyncIterable[Sequence[Message]]
    ) -> int:
        """Put the new messages where nobody sees them; tell how many. Temporary tables are a
        file of their own: the database is not locked while a slow source is read."""
        columns = ", ".join(self._table.columns)
        insert = f"INSERT INTO temp.staged VALUES ({_marks(self._table.columns)})"
        count = 0
        async with self._step():
            await self._file.execute("DROP TABLE IF EXISTS temp.staged")
            await self._file.execute(f"CREATE TEMP TABLE staged ({columns})")
        async for page in messages:
            if reasons := model.refusals([(conversation, page)], self.refusal):
                raise Rejected([(i, count + n, why) for i, n, why in reasons])
            async with self._step():
                await self._file.many(insert, [self._table.encode(m) for m in page])
            count += len(page)
        return count

    async def _unstage(self, conversation: str, count: int) -> None:
        """Move the staged messages in front of the conversation's others."""
        columns = ", ".join(self._table.columns)
        base = await self._last_number()
        if await self._ends([conversation]):
            # No id is free between two conversations' rows: the front goes below all others.
            rows = await self._file.rows("SELECT min(id) FROM messages")
            base = min(rows[0][0], 1) - count - 1
        await self._file.execute(
            f"INSERT INTO messages (id, conversation_id, {columns}) "
            f"SELECT ? + rowid, ?, {columns} FROM temp.staged ORDER BY rowid",
            [base, conversation],
        )

    async def _find(self, conversation: str, position: Position) -> None:
        """Changed, where no message stands there any more."""
        if position != START and not await self._file.rows(
            "SELECT 1 FROM messages WHERE id = ? AND conversation_id = ?",
            [_number(position), conversation],
        ):
            raise _changed(conversation, self.name)

    @contextlib.asynccontextmanager
    async def _step(self) -> AsyncIterator[None]:
        """The connection to ourselves, and SQLite's exceptions as ours."""
        async with self._turn:
            with translating(self.name):
                yield

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        """The write lock from the first look to the commit; everything or nothing."""
        await self._make()
        async with self._step():
            await self._file.execute("BEGIN IMMEDIATE")
            try:
                yield
                await self._file.execute("COMMIT")
            except BaseException:
                await self._file.rollback()
                raise

    async def _make(self) -> None:
        """Make the file at the first write, and in it the tables."""
        if not self._write:
            raise Unsupported(f"{self.name} was opened for reading")
        if self._file.made:
            return
        async with self._step():
            await create(self._file, self._table)

    async def close(self) -> None:
        """See `Store.close`."""
        with translating(self.name):
            await self._file.close()


class OwnSqliteStore(SqliteStore):
    """A store in a file that synmem made: with titles, extras and notes in `messages_meta`."""

    async def note(self, conversation: str, name: str) -> Any | None:
        """See `SupportsNotes.note`."""
        async with self._step():
            rows = await self._file.rows(
                "SELECT value FROM messages_meta WHERE conversation_id = ? AND name = ?",
                [conversation, f"note:{name}"],
            )
        return parse_json(rows[0][0]) if rows else None

    async def set_note(self, conversation: str, name: str, value: Any | None) -> None:
        """See `SupportsNotes.set_note`."""
        async with self._transaction():
            if await self._ends([conversation]):
                await self._set_meta([(conversation, f"note:{name}", value)])

    async def _describe(self, conversations: Sequence[Conversation]) -> None:
        values = [(c.id, "title", c.title) for c in conversations if c.title is not None]
        values += [(c.id, "extra", c.extra) for c in conversations if c.extra is not None]  # type: ignore[misc]
        await self._set_meta(values)

    async def _set_meta(self, values: Sequence[tuple[str, str, Any]]) -> None:
        """Remember values under (conversation, name); None forgets one."""
        if not values:
            return
        await self._file.many(
            "DELETE FROM messages_meta WHERE conversation_id = ? AND name = ?",
            [(conversation, name) for conversation, name, _ in values],
        )
        await self._file.many(
            "INSERT INTO messages_meta VALUES (?, ?, ?)",
            [
                (conversation, name, model.ascii_json(value))
                for conversation, name, value in values
                if value is not None
            ],
        )

    async def _forget(self, conversation: str) -> None:
        await self._file.execute(
            "DELETE FROM messages_meta WHERE conversation_id = ?", [conversation]
        )


def _storable(ids: Sequence[str]) -> list[str]:
    """Those that can be in a store at all: an id that is not UTF-8 is in none."""
    return [conversation for conversation in ids if encodable(conversation)]


def _marks(values: Sequence[Any], mark: str = "?") -> str:
    return ", ".join([mark] * len(values))


def _number(position: Position) -> int:
    try:
        return int(position)
    except ValueError:
        raise ValueError(f"not a position of an SQLite store: {position!r}") from None


def _text_or_bytes(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _changed(conversation: str, store: str) -> Changed:
    return Changed(
        f"conversation {conversation!r} in {store} changed while it was used", hint="run again"
    )
