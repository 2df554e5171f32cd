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

Reading leaves the file byte for byte as it was; `sqlite_file.py` says how. What another program
could have written is read row by row; the usual row comes as a line (`sqlite_lines.py`), as CSV
for another store (`sqlite_csv.py`), or goes from file to file (`sqlite_copying.py`) without leaving
SQLite.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final, cast

from synmem import messages as model
from synmem.backends.paging import changed, storable
from synmem.backends.sqlite_copying import BESIDE, Copying, attach, detach, digests_of
from synmem.backends.sqlite_csv import SqliteCsv
from synmem.backends.sqlite_file import TABLES, File, create, detect, translating
from synmem.backends.sqlite_lines import makes_lines
from synmem.backends.sqlite_reading import IDS_A_QUERY, SqliteReader, marks, row_id
from synmem.errors import Rejected, StoreNotFound, StoreUnavailable, Unsupported
from synmem.layouts.sqlite_tables import OwnTable, Row, Table
from synmem.messages import Conversation, Message
from synmem.store import START, Copied, Part, Position, Store

_ROWS_A_STATEMENT: Final = 50  # of eleven columns: SQLite before 3.32 takes 999 parameters


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


class SqliteStore(SqliteCsv):
    """A `Store` in an SQLite file (DESIGN: `sqlite`): `SqliteReader` reads, this writes."""

    def __init__(self, file: File, table: Table, *, write: bool, page_size: int) -> None:
        super().__init__(file, table, page_size=page_size)
        self._write = write
        self._copying = asyncio.Lock()  # one copy at a time has another file attached
        self._staging = asyncio.Lock()  # one replace at a time has the temporary table

    async def append(self, parts: Sequence[Part], *, keep: int | None = None) -> list[Position]:
        """See `Store.append`: one transaction."""
        encoded = self._encoded(parts)
        async with self._transaction():
            ends = await self._ends([part.conversation.id for part in parts])
            for part in parts:
                if part.expect is not None and part.expect != ends.get(part.conversation.id, START):
                    raise changed(part.conversation.id, self.name)
            number = await self._last_number()
            await self._insert(parts, encoded, number + 1)
            for part in parts:
                number += len(part.messages)
                if part.messages:
                    ends[part.conversation.id] = str(number)
            await self._describe([p.conversation for p in parts if p.conversation.id in ends])
            if keep is not None:
                await self._trim(list(ends), keep)
        return [ends.get(part.conversation.id, START) for part in parts]

    def _encoded(self, parts: Sequence[Part]) -> list[list[Row]]:
        """The rows of each part, where bare only the common columns; Rejected names every message
        that cannot be held."""
        bare = self._table.bare
        encoded: list[list[Row]] = []
        reasons: list[tuple[str, int, str]] = []
        for conversation, messages in ((p.conversation, p.messages) for p in parts):
            if why := model.conversation_refusal(conversation):
                reasons.append((conversation.id, 0, why))
            rows = [bare(message) for message in messages]
            for index, row in enumerate(rows):
                if row is None:
                    if why := self.refusal(messages[index]):
                        reasons.append((conversation.id, index, why))
                    elif not reasons:
                        rows[index] = self._short(self._table.encode(messages[index]))
            encoded.append(cast("list[Row]", rows))
        if reasons:
            raise Rejected(reasons)
        return encoded

    def _short(self, row: Row) -> Row:
        """A row without the columns that are not common, where nothing is in them."""
        common = self._table.common
        return row[:common] if all(value is None for value in row[common:]) else row

    async def _insert(
        self, parts: Sequence[Part], encoded: Sequence[Sequence[Row]], first: int
    ) -> None:
        """Write rows, numbered from `first` on; those with nothing in the rarer columns bind only
        the common ones, which takes a quarter less."""
        columns = self._table.columns
        numbers = itertools.count(first)
        bare: list[Row] = []
        full: list[Row] = []
        for part, rows in zip(parts, encoded, strict=True):
            conversation = part.conversation.id
            for row in rows:
                some = bare if len(row) == self._table.common else full
                some.append((next(numbers), conversation, *row))
        await self._insert_rows(columns[: self._table.common], bare)
        await self._insert_rows(columns, full)

    async def _insert_rows(self, names: Sequence[str], rows: Sequence[Row]) -> None:
        """Write rows of these columns, many a statement: that takes half the time of one a row."""
        into = f"INSERT INTO messages (id, conversation_id, {', '.join(names)}) VALUES "
        row = f"(?, ?, {marks(names)})"
        whole = len(rows) - len(rows) % _ROWS_A_STATEMENT
        if whole:
            starts = range(0, whole, _ROWS_A_STATEMENT)
            several = [[*chain.from_iterable(rows[i : i + _ROWS_A_STATEMENT])] for i in starts]
            await self._file.many(into + marks(range(_ROWS_A_STATEMENT), row), several)
        if whole < len(rows):
            await self._file.many(into + row, rows[whole:])

    async def _ends(self, ids: Sequence[str]) -> dict[str, Position]:
        """Where each of these conversations ends, those that exist."""
        ends: dict[str, Position] = {}
        for start in range(0, len(ids), IDS_A_QUERY):
            chunk = ids[start : start + IDS_A_QUERY]
            rows = await self._file.rows(
                "SELECT conversation_id, max(id) FROM messages "
                f"WHERE conversation_id IN ({marks(chunk)}) GROUP BY conversation_id",
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

    async def copy(
        self, source: Store, conversations: Sequence[Conversation]
    ) -> tuple[list[Copied], list[Conversation]]:
        """See `SupportsCopy.copy`: a transaction of some thousand messages."""
        known = {c.id: c for c in conversations if model.conversation_refusal(c) is None}
        ids = sorted(known)[:IDS_A_QUERY]
        if not (ids and isinstance(source, SqliteReader)) or not self._takes_rows_of(source):
            return [], []
        await self._make()
        try:
            async with self._copying, self._beside(source) as copying, self._transaction():
                looked, copied = await copying.some(ids, await self._ends(ids))
                await self._describe([known[each.conversation] for each in copied])
        except StoreUnavailable:  # the ordinary way waits, and says what is locked
            return [], []
        for conversation in ids[:looked]:
            del known[conversation]
        return copied, [*known.values()]

    def _takes_rows_of(self, source: SqliteReader) -> bool:
        """Whether rows of that layout can be rows of this: it has no columns that we lack."""
        return {*self._table.columns} >= {*source._table.columns}

    @contextlib.asynccontextmanager
    async def _beside(self, source: SqliteReader) -> AsyncIterator[Copying]:
        """The other file, attached; StoreUnavailable where its rows cannot be taken over."""
        async with self._step():
            await attach(self._file, source._file)
        try:
            async with self._step():
                if not await makes_lines(self._file, "main", BESIDE):
                    raise StoreUnavailable(f"{source.name}: no plain table")
            yield Copying(self._file, self._table, source._table, most=2 * self._page_size)
        finally:
            async with self._step():
                await detach(self._file)

    async def digests(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsCopy.digests`."""
        ids = sorted(storable(conversations))
        found: dict[str, str] = {}
        for start in range(0, len(ids), IDS_A_QUERY):
            chunk = ids[start : start + IDS_A_QUERY]
            async with self._step():
                found |= await digests_of(self._file, self._table, chunk, most=2 * self._page_size)
        return found

    async def delete(self, conversation: str, *, upto: Position | None = None) -> bool:
        """See `Store.delete`: one transaction."""
        if not self._file.made or not storable([conversation]):
            return False
        async with self._transaction():
            if not await self._ends([conversation]):
                return False
            where = "conversation_id = ?"
            values: list[Any] = [conversation]
            if upto is not None:
                await self._find(conversation, upto)
                where += " AND id <= ?"
                values.append(row_id(upto))
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
                        [conversation.id, row_id(upto)],
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
        insert = f"INSERT INTO temp.staged VALUES ({marks(self._table.columns)})"
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
            [row_id(position), conversation],
        ):
            raise changed(conversation, self.name)

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


class OwnSqliteStore(SqliteStore):
    """A store in a file that synmem made: with titles, extras and notes in `messages_meta`."""

    async def note(self, conversation: str, name: str) -> Any | None:
        """See `SupportsNotes.note`."""
        async with self._step():
            rows = await self._file.rows(
                "SELECT CAST(value AS BLOB) FROM messages_meta "
                "WHERE conversation_id = ? AND name = ?",
                [conversation, f"note:{name}"],
            )
        return self._note(conversation, f"note:{name}", rows[0][0]) if rows else None

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
