"""Conversations in an SQLite file, over aiosqlite.

Data layout. One row a message, in the table `messages` of SynapseKit 2.0.1, ordered by `id`:

    id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id TEXT, role TEXT, content TEXT,
    metadata TEXT (JSON or NULL);  index idx_conv_id(conversation_id)

A file that synmem made (layout `synmem`) is in WAL mode and has in that table the nullable
columns `created_at` (ISO 8601, UTC, microseconds, `Z`), `tool_calls`, `tool_call_id`, `name`,
`parts` and `extra` (JSON), and beside it `messages_meta(conversation_id, name, value)`: JSON
under the names `title`, `extra` and `note:NAME`. There too, under the conversation `''`, which is
none, and the name `step:TOKEN` stands `"done"` or `"off"` (see `SupportsSteps`). In a file that
SynapseKit made (layout `synapsekit`) no column is added and no mode changed: what a row has no
column for rides in `metadata["synmem"]` (see `layouts/own/synapsekit.py`); it holds no title and
remembers no step. Text with a lone surrogate, which SQLite cannot store, is carried in that key in
both layouts. New ids are the highest ever given plus one, under the write lock; what `replace` puts
in front takes ids below the lowest.

The table may be somebody's own: what stands in its other columns rides in `extra` under the
layout's name (`layouts/own/sqlite_columns.py`), and goes back to them. Without AUTOINCREMENT an id
may be given twice, so a position is the id and a hash of the row. Where `id` is no integer that no
two rows have, the table is read in the order of its rows, and not written; so is a view, or a table
of which a column is computed. Its ids may be numbers, or compared otherwise than by their bytes:
see `ids.py`. Rows of no conversation are named (`strays`). Where its metadata is NOT NULL, `{}`
stands for none. What its constraints and triggers refuse, leave out or alter is `Rejected`; whether
they would refuse what is to be removed is tried out first (`trial.py`).

Reading leaves the file byte for byte as it was; `file.py` says how. What another program
could have written is read row by row; the usual row comes as a line (`lines.py`), as CSV
for another store (`csv.py`), or goes from file to file (`copying.py`) without leaving
SQLite.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterable, AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from synmem import messages as model
from synmem.backends.paging import called_off, changed, storable
from synmem.backends.sqlite.copying import BESIDE, Copying, attach, detach, digests_of, in_either
from synmem.backends.sqlite.csv import SqliteCsv
from synmem.backends.sqlite.errors import Refused, translating
from synmem.backends.sqlite.file import File
from synmem.backends.sqlite.ids import shown
from synmem.backends.sqlite.inserting import (
    by_columns,
    check_count,
    insert,
    last_number,
    lowest_number,
    set_beside,
)
from synmem.backends.sqlite.lines import makes_lines
from synmem.backends.sqlite.opening import create, detect
from synmem.backends.sqlite.reading import IDS_A_QUERY, SqliteReader, marks
from synmem.backends.sqlite.shape import TABLES
from synmem.backends.sqlite.trial import ROWS_A_TRIAL, Plainness, Trial, beside
from synmem.errors import Rejected, StoreNotFound, StoreUnavailable, Unsupported
from synmem.finishing import to_its_end
from synmem.layouts.own.beside import read_beside
from synmem.layouts.own.sqlite_tables import Row, Table
from synmem.messages import Conversation, Message
from synmem.store import START, Copied, Part, Position, Step, Store


async def open(settings: Mapping[str, Any], *, write: bool = False, page_size: int = 1000) -> Store:
    """The store in the file `settings["db_path"]`; `layout` names one, else it is detected, and
    `table` where that is another framework's.

    A file that is not there is StoreNotFound, unless `write`: then the first append makes it.
    """
    path = Path(settings["db_path"])
    layout, name = settings.get("layout"), settings.get("table")
    if layout is not None and layout not in TABLES:
        from synmem.backends.sqlite.finding import check_known

        check_known(path, layout)
    file = File(path)
    try:
        with translating(str(path), temporary=not write):
            if not file.is_empty():
                await file.connect(write=write)
            elif not write and not path.exists():
                hint = (
                    "`synmem add` makes one" if path.parent.is_dir() else "nor is its folder there"
                )
                raise StoreNotFound(f"{path}: no such file", hint=hint)
            table = None
            if name is None and (layout is None or layout in TABLES):
                table = await detect(file, layout, write=write)
            if table is None:
                from synmem.backends.sqlite.finding import find
                from synmem.backends.sqlite.foreign import ForeignStore

                fit = await find(file, layout, name, write=write)
                return ForeignStore(file, fit, write=write, page_size=page_size)
    except BaseException:
        await file.close()
        raise
    kind = OwnSqliteStore if table.holds.own and file.shape.beside else SqliteStore
    return kind(file, table, write=write, page_size=page_size)


class SqliteStore(SqliteCsv):
    """A `Store` in an SQLite file (DESIGN: `sqlite`): `SqliteReader` reads, this writes."""

    def __init__(self, file: File, table: Table, *, write: bool, page_size: int) -> None:
        super().__init__(file, table, page_size=page_size)
        self._write = write
        self._copying = asyncio.Lock()  # one copy at a time has another file attached
        self._staging = asyncio.Lock()  # one replace at a time has the temporary table
        self._plainness = Plainness()

    async def append(
        self, parts: Sequence[Part], *, keep: int | None = None, token: str | None = None
    ) -> list[Position]:
        """See `Store.append`: one transaction."""
        self._check_token(token)
        encoded = self._encoded(parts)
        try:
            return await self._append(parts, encoded, keep, token)
        except Refused as error:
            raise Rejected(await self._refused(parts, encoded, error)) from error

    async def _append(
        self,
        parts: Sequence[Part],
        encoded: Sequence[Sequence[Row]],
        keep: int | None,
        token: str | None,
    ) -> list[Position]:
        """The same, with the rows of each part; Refused where the file's own tables refuse any."""
        async with self._transaction():
            ends = await self._ends([part.conversation.id for part in parts])
            if await self._is_known(token):
                return [ends.get(part.conversation.id, START) for part in parts]
            for part in parts:
                if part.expect is not None and part.expect != ends.get(part.conversation.id, START):
                    raise changed(part.conversation.id, self.name)
            number = await last_number(self._file, sum(len(part.messages) for part in parts))
            await self._insert(parts, encoded, number + 1)
            for part in parts:
                number += len(part.messages)
                if part.messages:
                    ends[part.conversation.id] = str(number)
            if not self._file.shape.lasting:
                ends = await self._ends([*ends])
            await self._describe([p.conversation for p in parts if p.conversation.id in ends])
            if keep is not None:
                await self._trim(list(ends), keep)
            await self._remember(token)
        return [ends.get(part.conversation.id, START) for part in parts]

    def _encoded(self, parts: Sequence[Part]) -> list[list[Row]]:
        """The rows of each part, where bare only the common columns; Rejected names every message
        that cannot be held."""
        bare = self._table.bare
        encoded: list[list[Row]] = []
        reasons: list[tuple[str, int, str]] = []
        for conversation, messages in ((p.conversation, p.messages) for p in parts):
            if why := self._id_refusal(conversation):
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

    def _id_refusal(self, conversation: Conversation) -> str | None:
        """What no store can hold of a conversation, or what the column would make another of."""
        return model.conversation_refusal(conversation) or self._ids.refusal(conversation.id)

    def _short(self, row: Row) -> Row:
        """A row without the columns that are not common, where nothing is in them."""
        if self._table.others:
            return row
        common = self._table.common
        return row[:common] if all(value is None for value in row[common:]) else row

    async def _refused(
        self, parts: Sequence[Part], encoded: Sequence[Sequence[Row]], error: Refused
    ) -> list[tuple[str, int, str]]:
        """Which of these the file's tables refuse; all, where it is none by itself."""
        ids = [part.conversation.id for part in parts]
        async with self._step():
            trial = await self._trial(ids)
            found = await trial.refused(ids, encoded)
        return found or [(conversation, 0, str(error)) for conversation in ids]

    async def _trial(self, ids: Sequence[str]) -> Trial:
        """What tries out rows of these conversations; within a step."""
        return Trial(self._file, self._table, self.refusal, await self._stored(ids))

    async def _stored(self, ids: Sequence[str]) -> dict[str, Any]:
        """As what rows of these conversations are written; within a step."""
        values = await self._values(ids)
        return values if self._ids.plain else {i: self._ids.stored(i) for i in ids} | values

    async def _insert(
        self, parts: Sequence[Part], encoded: Sequence[Sequence[Row]], first: int
    ) -> None:
        """Write the rows of each part, numbered from `first` on."""
        numbers = itertools.count(first)
        stored = await self._stored([part.conversation.id for part in parts])
        rows = (
            (next(numbers), stored[part.conversation.id], *row)
            for part, some in zip(parts, encoded, strict=True)
            for row in some
        )
        await insert(self._file, self._table, rows)

    async def _ends(self, ids: Sequence[str]) -> dict[str, Position]:
        """Where each of these conversations ends, those that exist."""
        ends: dict[str, Position] = {}
        for start in range(0, len(ids), IDS_A_QUERY):
            where, values = self._ids.where(await self._lying(ids[start : start + IDS_A_QUERY]))
            rows = await self._file.rows(
                f"SELECT conversation_id, max(id) FROM messages WHERE {where} "
                f"GROUP BY {self._ids.order}",
                values,
            )
            if self._file.shape.lasting:
                ends.update((str(shown(value)), str(number)) for value, number in rows)
            else:
                last = [number for _, number in rows]
                rows = await self._rows(f"id IN ({marks(last)})", last)
                ends.update((row[0], self._position(row)) for row in rows)
        return ends

    async def _describe(self, conversations: Sequence[Conversation]) -> None:
        """Write the titles and extras that are set; this layout has no place for them."""

    async def _trim(self, ids: Sequence[str], keep: int) -> None:
        own = self._ids.match("?1")
        await self._file.many(
            f"DELETE FROM messages WHERE {own} AND id <= (SELECT id FROM messages "
            f"WHERE {own} ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            [(value, keep) for value in await self._lying(ids)],
        )
        for conversation in ids if keep == 0 else ():
            await self._forget(conversation)

    async def _forget(self, conversation: str) -> None:
        """Drop what lies beside a conversation that has no messages any more."""

    def _check_token(self, token: str | None) -> None:
        """Unsupported, where there is no place in which to remember one."""
        if token is not None:
            raise Unsupported(f"{self.name} belongs to SynapseKit: it remembers no step of ours")

    async def _is_known(self, token: str | None) -> bool:
        """Whether a write with this token was done; Changed where it was called off."""
        return False

    async def _remember(self, token: str | None) -> None:
        """That the write with this token is done."""

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
        except (StoreUnavailable, Refused):  # the ordinary way waits, and says what is the matter
            return [], []
        for conversation in ids[:looked]:
            del known[conversation]
        return copied, [*known.values()]

    def _takes_rows_of(self, source: SqliteReader) -> bool:
        """Whether rows of that layout can be rows of this: it has no columns that we lack, and
        both have plain ids."""
        plain = self._ids.plain and source._ids.plain
        return plain and {*self._table.columns} >= {*source._table.columns}

    @contextlib.asynccontextmanager
    async def _beside(self, source: SqliteReader) -> AsyncIterator[Copying]:
        """The other file, attached; StoreUnavailable where its rows cannot be taken over."""
        try:
            async with self._step():
                await attach(self._file, source._file)
                tables = {"main": self._table, BESIDE: source._table}
                if await self._file.is_watched():
                    raise StoreUnavailable(f"{self.name}: a trigger may change what is written")
                with in_either(self._file):
                    plain = await makes_lines(self._file, tables)
                if not plain:
                    raise StoreUnavailable(f"{source.name}: no plain table")
            yield Copying(
                self._file, self._table, source._file, source._table, most=2 * self._page_size
            )
        finally:
            await to_its_end(self._detached())

    async def _detached(self) -> None:
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

    async def delete(
        self,
        conversation: str,
        *,
        upto: Position | None = None,
        begins: Position | None = None,
        token: str | None = None,
    ) -> bool:
        """See `Store.delete`: one transaction."""
        self._check_token(token)
        if not self._file.made or not storable([conversation]):
            return False
        async with self._transaction():
            if await self._is_known(token):
                return True
            end = (await self._ends([conversation])).get(conversation)
            if end is None:
                return False
            await self._check_begin(conversation, begins)
            where, values = self._ids.where(await self._lying([conversation]))
            if upto is not None:
                await self._find(conversation, upto)
                where += " AND id <= ?"
                values.append(self._number_at(upto))
            await self._file.execute(f"DELETE FROM messages WHERE {where}", values)
            await self._check_gone(where, values)
            if upto is None or self._number_at(upto) >= self._number_at(end):
                await self._forget(conversation)
            await self._remember(token)
        return True

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
        begins: Position | None = None,
        token: str | None = None,
    ) -> None:
        """See `Store.replace`: staged in a temporary table, then one transaction."""
        self._check_token(token)
        await self._make()
        if why := self._ids.refusal(conversation.id):
            raise Rejected([(conversation.id, 0, why)])
        async with self._staging:
            count, kinds = await self._stage(conversation, messages)
            try:
                async with self._transaction():
                    if await self._is_known(token):
                        return
                    await self._check_begin(conversation.id, begins)
                    await self._put_in_front(conversation.id, upto, count, kinds)
                    if await self._ends([conversation.id]):
                        await self._describe([conversation])
                    else:
                        await self._forget(conversation.id)
                    await self._remember(token)
            except Refused as error:
                index = await self._first_refused(conversation.id, upto, count, kinds)
                raise Rejected([(conversation.id, index, str(error))]) from error

    async def _put_in_front(
        self, conversation: str, upto: Position, count: int, kinds: Sequence[Sequence[str]]
    ) -> None:
        """Let the front give way to the first so many of the staged messages."""
        await self._find(conversation, upto)
        stored = (await self._stored([conversation]))[conversation]
        if upto != START:
            where, values = self._ids.where([stored])
            where += " AND id <= ?"
            values.append(self._number_at(upto))
            await self._file.execute(f"DELETE FROM messages WHERE {where}", values)
            await self._check_gone(where, values)
        await self._unstage(conversation, stored, count, kinds)

    async def _first_refused(
        self, conversation: str, upto: Position, count: int, kinds: Sequence[Sequence[str]]
    ) -> int:
        """The index of the first staged message that the file's tables refuse, tried out and rolled
        back; 0 where it is none by itself."""
        taken = 0
        refused = count + 1
        while refused - taken > 1:
            middle = (taken + refused) // 2
            try:
                async with self._trying():
                    await self._put_in_front(conversation, upto, middle, kinds)
                taken = middle
            except Refused:
                refused = middle
        return taken if taken < count else 0

    async def _stage(
        self, conversation: Conversation, messages: AsyncIterable[Sequence[Message]]
    ) -> tuple[int, list[Sequence[str]]]:
        """Put the new messages where nobody sees them; tell how many, and which columns those of
        each kind fill. Temporary tables are a file of their own: the database is not locked while
        a slow source is read."""
        places = _places(self._table)
        async with self._step():
            await self._file.execute("DROP TABLE IF EXISTS temp.staged")
            await self._file.execute(
                "CREATE TEMP TABLE staged "
                f"(number INTEGER PRIMARY KEY, conversation_id, kind, {', '.join(places.values())})"
            )
        kinds: list[Sequence[str]] = []
        count = 0
        async for page in messages:
            if reasons := model.refusals([(conversation, page)], self.refusal):
                raise Rejected([(i, count + n, why) for i, n, why in reasons])
            rows = [
                (number, conversation.id, *self._table.encode(message))
                for number, message in enumerate(page, count + 1)
            ]
            for names, some in by_columns(self._table, rows):
                if names not in kinds:
                    kinds.append(names)
                columns = ["number", "conversation_id", *(places[name] for name in names), "kind"]
                values = f"{marks(columns[1:])}, {kinds.index(names)}"
                async with self._step():
                    await self._file.many(
                        f"INSERT INTO temp.staged ({', '.join(columns)}) VALUES ({values})", some
                    )
            count += len(page)
        return count, kinds

    async def _unstage(
        self, conversation: str, stored: Any, count: int, kinds: Sequence[Sequence[str]]
    ) -> None:
        """Put the first so many of the staged messages in front of the conversation's others, which
        lies there as that value."""
        if await self._ends([conversation]):
            base = await lowest_number(self._file, count + 1) - count - 1
        else:
            base = await last_number(self._file, count)
        places = _places(self._table)
        written = 0
        for kind, names in enumerate(kinds):
            taken = [places[name] for name in names]
            written += await self._file.execute(
                f"INSERT INTO messages ({', '.join(('id', 'conversation_id', *names))}) "
                f"SELECT {', '.join(('? + number', '?', *taken))} "
                "FROM temp.staged WHERE kind = ? AND number <= ? ORDER BY number",
                [base, stored, kind, count],
            )
            if not self._file.shape.exact or await self._file.is_watched():
                await self._check_unstaged(base, stored, kind, names, count)
        check_count(self._file, written, count)

    async def _check_unstaged(
        self, base: int, stored: Any, kind: int, names: Sequence[str], count: int
    ) -> None:
        """Refused, where what was put there is not as it was staged. What was left empty may be
        filled."""
        places = _places(self._table)
        same = " AND ".join(f"(s.{places[n]} IS NULL OR s.{places[n]} IS m.{n})" for n in names)
        rows = await self._file.rows(
            "SELECT 1 FROM temp.staged AS s LEFT JOIN messages AS m ON m.id = ? + s.number "
            "WHERE s.kind = ? AND s.number <= ? AND NOT (typeof(m.conversation_id) = typeof(?) "
            f"AND m.conversation_id = ? COLLATE BINARY AND {same}) LIMIT 1",
            [base, kind, count, stored, stored],
        )
        if rows:
            raise Refused(f"{self.name}: its table makes something else of what is put into it")

    async def refuses_back(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsTrial.refuses_back`: some thousand rows in a transaction."""
        if not self._file.made:
            return {}
        await self._make()
        ids = sorted(storable(conversations))
        found = {each: why for each in ids if (why := self._id_refusal(Conversation(each)))}
        async with self._step():
            if await self._plainness.nothing_refuses(self._file):
                return found
        for start in range(0, len(ids), IDS_A_QUERY):
            chunk = ids[start : start + IDS_A_QUERY]
            async with self._step():
                values = await self._values(chunk)
            if self._ids.affinity == "BLOB":
                why = f"{self.name} would take it back as text, and its id is a number there"
                found |= {each: why for each, value in values.items() if type(value) is not str}
            await self._try_beside([each for each in chunk if each not in found], found)
            await self._try_rows({i: v for i, v in values.items() if i not in found}, found)
        return found

    async def _try_rows(self, values: dict[str, Any], found: dict[str, str]) -> None:
        """Remove and bring back every row of these conversations (and as what each lies there), and
        note who is refused."""
        left = dict(values)
        order = f"ORDER BY {self._ids.order}, id"
        while left:
            where, given = self._ids.where([*left.values()])
            rows = await self._try_some(f"{where} {order}", given, values, found)
            looked = {row[0] for row in rows}
            # The last one goes on from where it is: the index knows the place.
            while len(rows) == ROWS_A_TRIAL and rows[-1][0] not in found:
                conversation, number = rows[-1][:2]
                where, given = self._ids.where([values[conversation]])
                rest = f"{where} AND id > ? ORDER BY id"
                rows = await self._try_some(rest, [*given, number], values, found)
                looked |= {row[0] for row in rows}
            if not looked:  # the others are gone
                break
            left = {each: value for each, value in left.items() if each not in looked}

    async def _try_some(
        self, where: str, given: Sequence[Any], values: dict[str, Any], found: dict[str, str]
    ) -> list[Row]:
        """The same of the first rows of those; tell which."""
        trial = Trial(self._file, self._table, self.refusal, values)
        async with self._step():
            rows = await self._rows(f"{where} LIMIT ?", [*given, ROWS_A_TRIAL])
            found |= await trial.refusals(rows)
        return rows

    async def _try_beside(self, ids: Sequence[str], found: dict[str, str]) -> None:
        """The same of what lies beside them: here, nothing."""

    async def _firsts(self, ids: Sequence[str]) -> list[Row]:
        """The first row of each of these conversations."""
        where, values = self._ids.where(await self._lying(ids))
        return await self._rows(
            f"id IN (SELECT min(id) FROM messages WHERE {where} GROUP BY {self._ids.order})", values
        )

    async def _check_gone(self, where: str, values: Sequence[Any]) -> None:
        """Refused, where a trigger has kept rows that were to be removed."""
        if await self._file.is_watched() and await self._file.rows(
            f"SELECT 1 FROM messages WHERE {where} LIMIT 1", values
        ):
            raise Refused(f"{self.name}: a trigger of its table would not let them go")

    async def _check_begin(self, conversation: str, begins: Position | None) -> None:
        """Changed, where its first message is not this one."""
        if begins is None:
            return
        rows = await self._firsts([conversation])
        if begins != (self._position(rows[0]) if rows else START):
            raise changed(conversation, self.name)

    async def _find(self, conversation: str, position: Position) -> None:
        """Changed, where no message stands there any more."""
        if position == START:
            return
        number = self._number_at(position)
        where, values = self._ids.where(await self._lying([conversation]))
        rows = await self._rows(f"id = ? AND {where}", [number, *values])
        if not rows or self._position(rows[0]) != position:
            raise changed(conversation, self.name)

    @contextlib.asynccontextmanager
    async def _trying(self) -> AsyncIterator[None]:
        """A transaction that is rolled back."""
        async with self._step():
            try:
                await self._file.execute("BEGIN IMMEDIATE")
                yield
            finally:
                await self._file.rollback()

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        """The write lock from the first look to the commit; everything or nothing."""
        await self._make()
        async with self._step():
            try:
                # Within: whoever is cut off here does not know whether it has begun.
                await self._file.execute("BEGIN IMMEDIATE")
                yield
                await self._file.execute("COMMIT")
            except BaseException:
                await self._file.rollback()
                raise

    async def _make(self) -> None:
        """Make the file at the first write, and in it the tables."""
        if not self._write:
            raise Unsupported(f"{self.name} was opened for reading")
        if column := self._file.shape.generated:
            raise Unsupported(
                f"{self.name}: in its table messages, {column} is computed from other columns: "
                "it cannot be written",
                hint="it can be read, and copied to another store",
            )
        if not self._file.shape.numbered:
            raise Unsupported(
                f"{self.name}: in its table messages, id is no INTEGER PRIMARY KEY: where a new "
                "row stands cannot be said",
                hint="it can be read, and copied to another store",
            )
        if self._file.made:
            return
        async with self._step():
            await create(self._file, self._table)


def _places(table: Table) -> dict[str, str]:
    """What each column is called in the temporary table: somebody's own may be called anything."""
    return {name: f"c{index}" for index, name in enumerate(table.columns)}


class OwnSqliteStore(SqliteStore):
    """A store in a file that synmem made: with titles, extras, notes and the steps that were done
    in `messages_meta`."""

    async def note(self, conversation: str, name: str) -> Any | None:
        """See `SupportsNotes.note`."""
        async with self._step():
            rows = await self._forgiving(
                "SELECT value FROM messages_meta "
                "WHERE conversation_id = ? COLLATE BINARY AND name = ?",
                [conversation, f"note:{name}"],
            )
        return self._note(conversation, f"note:{name}", rows[0][0]) if rows else None

    async def set_note(self, conversation: str, name: str, value: Any | None) -> None:
        """See `SupportsNotes.set_note`."""
        async with self._transaction():
            if await self._ends([conversation]):
                await set_beside(self._file, [(conversation, f"note:{name}", value)])

    async def notes(self, conversations: Sequence[str]) -> dict[str, dict[str, Any]]:
        """See `SupportsNotes.notes`."""
        ids = storable(conversations)
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(ids), IDS_A_QUERY):
            chunk = ids[start : start + IDS_A_QUERY]
            async with self._step():
                rows = await self._forgiving(
                    "SELECT conversation_id, name, value FROM messages_meta WHERE "
                    f"conversation_id COLLATE BINARY IN ({marks(chunk)}) "
                    "AND name >= 'note:' AND name < 'note;'",
                    chunk,
                )
            for conversation, name, text in rows:
                with contextlib.suppress(ValueError):  # it can be made anew
                    if (value := read_beside(name, text)) is not None:
                        found.setdefault(conversation, {})[name.removeprefix("note:")] = value
        return found

    # --- steps ---

    async def steps_done(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.steps_done`."""
        async with self._step():
            return await self._done(steps)

    async def call_off(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.call_off`."""
        if not steps:
            return set()
        async with self._transaction():
            await self._file.many(
                "INSERT INTO messages_meta (conversation_id, name, value) VALUES ('', ?, ?) "
                "ON CONFLICT DO NOTHING",
                [(f"step:{step.token}", model.ascii_json("off")) for step in steps],
            )
            return await self._done(steps)

    async def forget_steps(self, steps: Collection[Step]) -> None:
        """See `SupportsSteps.forget_steps`."""
        if not steps or not self._file.made:
            return
        async with self._transaction():
            await set_beside(self._file, [("", f"step:{step.token}", None) for step in steps])

    async def _done(self, steps: Collection[Step]) -> set[Step]:
        """Those that were done."""
        words = await self._words([step.token for step in steps])
        return {step for step in steps if words.get(step.token) == "done"}

    async def _words(self, tokens: Sequence[str]) -> dict[str, str]:
        """What is remembered of these tokens: done, or called off."""
        words: dict[str, str] = {}
        for start in range(0, len(tokens), IDS_A_QUERY):
            names = [f"step:{token}" for token in tokens[start : start + IDS_A_QUERY]]
            rows = await self._file.rows(
                "SELECT name, value FROM messages_meta "
                f"WHERE conversation_id = '' AND name IN ({marks(names)})",
                names,
            )
            words.update((name.removeprefix("step:"), read_beside(name, v)) for name, v in rows)
        return words

    def _check_token(self, token: str | None) -> None:
        """There is a place for it."""

    async def _is_known(self, token: str | None) -> bool:
        word = None if token is None else (await self._words([token])).get(token)
        if word is not None and word != "done":
            raise called_off(self.name)
        return word is not None

    async def _remember(self, token: str | None) -> None:
        if token is not None:
            insert = "INSERT INTO messages_meta VALUES ('', ?, ?)"
            await self._file.execute(insert, [f"step:{token}", model.ascii_json("done")])

    async def _describe(self, conversations: Sequence[Conversation]) -> None:
        values: list[tuple[str, str, Any]] = []
        values += [(c.id, "title", c.title or None) for c in conversations if c.title is not None]
        values += [(c.id, "extra", c.extra or None) for c in conversations if c.extra is not None]
        await set_beside(self._file, values)

    async def _try_beside(self, ids: Sequence[str], found: dict[str, str]) -> None:
        async with self._step():
            trial = await self._trial(ids)
            found |= await trial.refusals_beside(await beside(self._file, ids))

    async def _forget(self, conversation: str) -> None:
        await self._file.execute(
            "DELETE FROM messages_meta "
            "WHERE conversation_id = ? COLLATE BINARY AND conversation_id <> ''",
            [conversation],
        )
