"""Writing to a table of another framework as the framework does: its record columns, no others."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import Any, Final

from synmem import messages as model
from synmem.backends.paging import changed, opened_for_reading, storable
from synmem.backends.placing import Placing
from synmem.backends.records import Row, position_at, spot_at
from synmem.backends.sqlite import foreign_trial
from synmem.backends.sqlite.errors import code_of
from synmem.backends.sqlite.foreign_placing import BesideRows, Named
from synmem.backends.sqlite.foreign_table import IDS_A_QUERY, ForeignTable
from synmem.backends.sqlite.place import marks
from synmem.backends.sqlite.trial import REFUSALS
from synmem.errors import Changed, Rejected, StoreError, StoreNotFound, Unsupported
from synmem.layouts.own.sqlite_columns import quoted
from synmem.layouts.registry import RowsFit
from synmem.messages import Conversation, Message, chunks
from synmem.store import START, Part, Position

_HIGHEST: Final = 2**63 - 1


class ForeignWriter:
    """Appends, deletes and replaces; each a transaction with the write lock from its first look."""

    def __init__(self, table: ForeignTable, fit: RowsFit, *, write: bool) -> None:
        self._table = table
        self._file = table.file
        self._fit = fit
        self._opened = write
        self._name = str(table.file.path)
        beside = fit.shape.write and fit.shape.write.beside.get("sqlite")
        self._beside = BesideRows(table, beside) if beside else None
        self._staging = asyncio.Lock()  # one replace at a time has the temporary table

    def refusal(self, message: Message) -> str | None:
        """Why the framework's own reader would not read the message."""
        write = self._fit.shape.write
        if write is None:
            return f"what {self._fit.layout} stores can be read, not written"
        for column in self._table.others:
            if column.required:
                return (
                    f"the table's column {column.name!r} must have a value, and none of its own "
                    f"is {self._fit.layout}'s"
                )
        return write.refusal(message)

    async def append(
        self, parts: Sequence[Part], keep: int | None, token: str | None
    ) -> list[Position]:
        """See `Store.append`."""
        placing = self._writing(token)
        ids = [part.conversation.id for part in parts]
        reasons = model.refusals([(p.conversation, p.messages) for p in parts], self.refusal)
        if reasons := reasons or self._id_refusals(ids):
            raise Rejected(reasons)
        async with self._transaction():
            ends = await self._ends(ids)
            for part in parts:
                end = ends.get(part.conversation.id)
                if part.expect not in (None, position_at(end) if end else START):
                    raise changed(part.conversation.id, self._name)
            number = await self._last(sum(len(part.messages) for part in parts))
            written = [part.conversation.id for part in parts if part.messages]
            await self._open(written)
            for part in parts:
                name = part.conversation.id
                before = ends[name].keys if name in ends else ()
                rows = placing.rows(name, part.messages, number, before=before)
                if rows:
                    await self._insert(placing, rows)
                    ends[name], number = rows[-1], rows[-1].number
            await self._check_alone(ids)
            if keep is not None:
                await self._trim(ids, keep)
                written = [name for name in dict.fromkeys(ids) if name in ends]
            await self._settle(written)
        return [position_at(ends[name]) if name in ends and keep != 0 else START for name in ids]

    async def delete(
        self,
        conversation: str,
        upto: Position | None,
        begins: Position | None,
        token: str | None,
    ) -> bool:
        """See `Store.delete`."""
        self._writing(token)
        async with self._transaction():
            if not await self._first(conversation):
                return False
            await self._check_alone([conversation])
            await self._check_begin(conversation, begins)
            await self._cut(conversation, upto)
            await self._settle([conversation])
        return True

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        upto: Position,
        begins: Position | None,
        token: str | None,
    ) -> None:
        """See `Store.replace`."""
        placing, name = self._writing(token), conversation.id
        if reasons := self._id_refusals([name]):
            raise Rejected(reasons)
        await self._make()
        async with self._staging:
            keys = await self._keys_behind(name, upto)
            count = await self._stage(placing, conversation, messages, keys)
            async with self._transaction():
                await self._check_begin(name, begins)
                if upto != START:
                    await self._cut(name, upto)
                behind = await self._first(name)
                if keys != (behind[0].keys if behind else ()):
                    raise changed(name, self._name)
                base = await (self._lowest(count) if behind else self._last(count))
                if count:
                    await self._open([name])
                    await self._unstage(placing, name, base)
                await self._check_alone([name])
                if count or upto != START:
                    await self._settle([name])

    async def refuses_back(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsTrial.refuses_back`."""
        placing = self._writing(None)
        names = storable(conversations)
        async with self._file.step():
            await self._check_unwatched()
            taken = await self._table.namesakes(names)
            is_plain = await foreign_trial.is_plain(self._table, await self._tables())
        if not self._table.others:
            found = {name: self._taken_for(other) for name, other in taken.items()}
            for name in names:
                if is_plain:
                    why = await placing.misplaced(name, self._table.rows_from)
                else:
                    why = await self._not_taken(placing, name)
                if why is not None:
                    found[name] = why
            return found
        others = ", ".join(column.name for column in self._table.others)
        why = f"its table has columns that are not {self._fit.layout}'s ({others})"
        return dict.fromkeys(names, f"{why}: they would not come back")

    async def _not_taken(self, placing: Placing, conversation: str) -> str | None:
        """Why the table would not take the messages of a conversation back, in front of all others
        or behind them: tried out, and rolled back."""
        said = placing.said(conversation, self._table.rows_from)
        try:
            async with self._staging:
                count = await self._stage(placing, Conversation(conversation), said, ())
                if not count:
                    return None
                async with self._transaction(keeps=False):
                    for base in (await self._lowest(count), await self._last(count)):
                        await self._cut(conversation, None)
                        await self._open([conversation])
                        await self._unstage(placing, conversation, base)
                        await self._settle([conversation])
        except Rejected as error:
            return error.reasons[0][2]
        return None

    # --- within a transaction ---

    async def _ends(self, ids: Sequence[str]) -> dict[str, Row]:
        """The last row of each of these conversations, those that exist."""
        ends: dict[str, Row] = {}
        for chunk in chunks(ids, IDS_A_QUERY):
            rows = await self._table.rows(self._table.is_last(len(chunk)), chunk)
            ends.update((row.conversation, row) for row in rows)
        return ends

    async def _first(self, conversation: str) -> list[Row]:
        """The first row of a conversation, if there is one."""
        where = f"{self._table.of()} ORDER BY {self._table.order()} LIMIT 1"
        return await self._table.rows(where, [conversation])

    async def _check_begin(self, conversation: str, begins: Position | None) -> None:
        """Changed, where its first message is not this one."""
        if begins is not None:
            rows = await self._first(conversation)
            if begins != (position_at(rows[0]) if rows else START):
                raise changed(conversation, self._name)

    async def _check_alone(self, ids: Sequence[str]) -> None:
        """Rejected, where who asks the table for one of these gets another one too."""
        if taken := await self._table.namesakes(ids):
            raise Rejected([(name, 0, self._taken_for(other)) for name, other in taken.items()])

    def _taken_for(self, other: str) -> str:
        column = self._fit.shape.conversation
        return f"{self._name}: its id and {other!r} are one to the table's column {column!r}"

    async def _cut(self, conversation: str, upto: Position | None) -> None:
        """Delete a conversation, or its front; Changed where no message stands at its end."""
        where, values = self._table.of(), list[Any]([conversation])
        if upto is not None:
            number = spot_at(upto).number
            at = f"{where} AND {self._table.number} = ?"
            rows = await self._table.rows(at, [*values, number])
            if not rows or position_at(rows[0]) != upto:
                raise changed(conversation, self._name)
            where += f" AND {self._table.not_before('?2', reverse=True)}"
            values.append(number)
        await self._file.execute(f"DELETE FROM {self._table.name} WHERE {where}", values)

    async def _trim(self, ids: Sequence[str], keep: int) -> None:
        table = self._table
        await self._file.many(
            f"DELETE FROM {table.name} WHERE {table.number} IN (SELECT {table.number} FROM "
            f"{table.name} WHERE {table.id} = ?1 COLLATE BINARY{table.live} "
            f"ORDER BY {table.order(reverse=True)} LIMIT -1 OFFSET ?2)",
            [(name, keep) for name in ids],
        )

    async def _last(self, room: int) -> int:
        """The highest number ever given, or that there is; StoreError where none is free."""
        number, name = self._table.number, self._table.name
        rows = await self._file.look(f"SELECT max({number}) FROM {name}")
        highest = rows[0][0] or 0
        if await self._file.look("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'"):
            sql = "SELECT max(CAST(seq AS INTEGER)) FROM sqlite_sequence WHERE name = ?"
            given = await self._file.look(sql, [self._fit.table])
            highest = max(highest, given[0][0] or 0)
        if highest > _HIGHEST - room:
            raise StoreError(f"{self._name}: the numbers in its table leave no higher one free")
        return int(highest)

    async def _lowest(self, room: int) -> int:
        """Below which number so many are free in front of the lowest, less so many."""
        number = self._table.number
        rows = await self._file.look(f"SELECT coalesce(min({number}), 1) FROM {self._table.name}")
        lowest = min(rows[0][0], 1)
        if lowest <= room - _HIGHEST:
            raise StoreError(f"{self._name}: the numbers in its table leave no lower one free")
        return int(lowest) - room - 1

    async def _insert(self, placing: Placing, rows: Sequence[Row]) -> None:
        into = f"{self._into(placing)} VALUES ({marks(self._columns(placing))})"
        try:
            await self._file.many(into, [placing.values(row) for row in rows])
        except sqlite3.Error as error:
            if code_of(error) not in REFUSALS:
                raise
            number = self._table.number
            taken = f"SELECT count(*) FROM {self._table.name} WHERE {number} BETWEEN ? AND ?"
            [(nth,)] = await self._file.look(taken, [rows[0].number, rows[-1].number])
            raise self._refused(rows[0].conversation, nth, error) from error

    def _refused(self, conversation: str, nth: int, error: sqlite3.Error) -> Rejected:
        return Rejected([(conversation, nth, f"{self._name} does not take it: {error}")])

    def _columns(self, placing: Placing) -> list[str]:
        return [self._table.number, self._table.id, *map(quoted, placing.columns)]

    def _into(self, placing: Placing) -> str:
        return f"INSERT INTO {self._table.name} ({', '.join(self._columns(placing))})"

    async def _keys_behind(self, conversation: str, upto: Position) -> Sequence[Any]:
        """By what the row is ordered that will stand behind those of a `replace`."""
        if upto == START:
            async with self._file.step():
                rows = await self._first(conversation)
        else:
            rows = await self._table.rows_from(conversation, spot_at(upto).number, False, 2)
            rows = rows[1:]
        return rows[0].keys if rows else ()

    async def _stage(
        self,
        placing: Placing,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        behind: Sequence[Any],
    ) -> int:
        """Put the new messages where nobody sees them, and the database is not locked while a slow
        source is read; tell how many."""
        places = [f"c{index}" for index in range(len(self._columns(placing)))]
        async with self._file.step():
            await self._file.execute("DROP TABLE IF EXISTS temp.staged")
            await self._file.execute(f"CREATE TEMP TABLE staged ({', '.join(places)})")
        into = f"INSERT INTO temp.staged VALUES ({marks(places)})"
        count = 0
        before: Sequence[Any] = ()
        async for page in messages:
            if reasons := model.refusals([(conversation, page)], self.refusal):
                raise Rejected([(i, count + n, why) for i, n, why in reasons])
            rows = placing.rows(
                conversation.id, page, count, before=before, behind=behind, nth=count
            )
            if rows:
                count, before = rows[-1].number, rows[-1].keys
                async with self._file.step():
                    await self._file.many(into, [placing.values(row) for row in rows])
        return count

    async def _unstage(self, placing: Placing, conversation: str, base: int) -> None:
        """Write what was staged, numbered behind `base`."""
        others = ", ".join(f"c{index}" for index in range(1, len(self._columns(placing))))
        into = f"{self._into(placing)} SELECT ? + c0, {others} FROM temp.staged ORDER BY c0"
        try:
            await self._file.execute(into, [base])
        except sqlite3.Error as error:
            if code_of(error) not in REFUSALS:
                raise
            raise self._refused(conversation, 0, error) from error

    async def _open(self, conversations: Sequence[str]) -> None:
        if self._beside is not None:
            await self._beside.open(conversations)

    async def _settle(self, conversations: Sequence[str]) -> None:
        if self._beside is not None:
            await self._beside.settle(conversations)

    # --- around one ---

    def _writing(self, token: str | None) -> Placing:
        """How rows are made; Unsupported where none are."""
        write = self._fit.shape.write
        if write is None:
            raise Unsupported(f"{self._name}: what {self._fit.layout} stores can only be read")
        if token is not None:
            raise Unsupported(f"{self._name} is {self._fit.layout}'s: it remembers no step of ours")
        if not self._table.is_placed:
            raise Unsupported(
                f"{self._name}: in its table {self._fit.table}, {self._fit.shape.order[-1]} is no "
                "INTEGER PRIMARY KEY: where a new row stands cannot be said",
                hint="it can be read, and copied to another store",
            )
        if self._table.passes_over:
            raise self._only_read("passes over rows (ON CONFLICT)")
        if not self._opened:
            raise opened_for_reading(self._name)
        return Placing(self._table.shape, write)

    @contextlib.asynccontextmanager
    async def _transaction(self, *, keeps: bool = True) -> AsyncIterator[None]:
        """The write lock from the first look to the commit; everything or nothing."""
        await self._make()
        async with self._file.step(), self._file.transaction(keeps=keeps):
            await self._check_unwatched()
            yield

    async def _check_unwatched(self) -> None:
        """Unsupported, where a trigger may do something else than it is told; within a step."""
        for table in await self._tables():
            if await self._file.is_watched(table.lower()):
                raise self._only_read(
                    "has a trigger: what becomes of a row that is written or removed cannot be "
                    "said",
                    table,
                )

    async def _tables(self) -> list[str]:
        """Its own, and the one beside it."""
        return [self._fit.table, *([await self._beside.name()] if self._beside else [])]

    def _only_read(self, why: str, table: str = "") -> Unsupported:
        return Unsupported(
            f"{self._name}: its table {table or self._fit.table} {why}",
            hint="it can be read, and copied to another store",
        )

    def _id_refusals(self, ids: Sequence[str]) -> list[tuple[str, int, str]]:
        return [(each, 0, why) for each in ids if (why := self._table.id_refusal(each))]

    async def _make(self) -> None:
        """Make the table as the framework does, where it is not there."""
        if self._file.made:
            return
        async with self._file.step():
            if not self._file.path.parent.is_dir():
                raise StoreNotFound(f"{self._name}: its folder is not there", hint="make it first")
            if self._file.connection is None:
                await self._file.connect(write=True)
            async with self._file.transaction():
                await self._create()
        self._file.made = True

    async def _create(self) -> None:
        shape = self._fit.shape
        assert shape.write is not None
        table = Named(self._fit.table)
        statements = [statement.format(table=table) for statement in shape.write.schema["sqlite"]]
        sql = "SELECT sql FROM sqlite_schema WHERE lower(name) = lower(?)"
        told = await self._file.look(sql, [self._fit.table])
        if told and told[0][0] not in statements:
            raise Changed(f"{self._name}: another program made it meanwhile", hint="run again")
        for statement in () if told else statements:
            await self._file.execute(statement)
