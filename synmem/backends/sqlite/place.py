"""The table of messages in an SQLite file, which all parts of a store hold: its rows, and where
conversations and messages are in it."""

import contextlib
import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from msgspec.structs import replace

from synmem import messages as model
from synmem.backends.paging import changed, opened_for_reading
from synmem.backends.sqlite.errors import Refused
from synmem.backends.sqlite.file import File
from synmem.backends.sqlite.ids import chosen, shown
from synmem.backends.sqlite.shape import Shape, needed, shape_of
from synmem.errors import Changed, StoreNotFound, Unsupported
from synmem.layouts.own.sqlite_tables import Row, Table
from synmem.messages import Conversation, Message, chunks
from synmem.store import START, Position

IDS_A_QUERY: Final = 500  # SQLite before 3.32 takes 999 parameters


class Place:
    """A file, the table in it, and how its rows are numbered. Unless a method says otherwise it is
    called within a step of the file."""

    def __init__(self, file: File, table: Table, shape: Shape, *, write: bool) -> None:
        self.name = file.name
        self.file = file
        self.table = table
        self.shape = shape
        self.ids = shape.ids
        self._write = write
        self.holds = table.holds
        if not shape.lasting:
            self.holds = replace(self.holds, lasting_positions=False)
        if not shape.beside:
            self.holds = replace(self.holds, conversation_fields=frozenset())
        self.keeps_beside = bool(self.holds.conversation_fields)
        """Whether there is a table for what lies beside conversations."""
        self.columns = ", ".join(("conversation_id", shape.key, *table.columns))
        self._select = f"SELECT {self.columns} FROM messages WHERE "

    def refusal(self, message: Message) -> str | None:
        """What no store can hold, or a column of somebody's own would not; SQLite holds all else
        up to its limit of 1 GB a row. No I/O."""
        return model.refusal(message) or self.table.refusal(message)

    def id_refusal(self, conversation: Conversation) -> str | None:
        """What no store can hold of a conversation, or what the column would make another of."""
        return model.conversation_refusal(conversation) or self.ids.refusal(conversation.id)

    async def lying(self, ids: Sequence[str]) -> list[Any]:
        """These conversations as they lie in the table."""
        return [*(await self.values(ids)).values()]

    async def values(self, ids: Sequence[str]) -> dict[str, Any]:
        """As what each of these conversations lies in the table; where that is not plain, only
        those that are there."""
        if self.ids.plain:
            return {each: each for each in ids}
        wanted = {each: self.ids.candidates(each) for each in ids}
        tried = [(each, n) for each in wanted for n in range(len(wanted[each]))]
        there: list[tuple[str, int]] = []
        for some in chunks(tried, IDS_A_QUERY):
            sql = "wanted_n FROM wanted WHERE EXISTS (SELECT 1 FROM messages WHERE "
            sql += f"{self.ids.match('wanted_v')})"
            if not self.ids.sought:
                sql = f"DISTINCT wanted_n FROM {self.ids.joined} ORDER BY wanted_n"
            values = [wanted[each][n] for each, n in some]
            rows = await self.file.rows(f"{wanted_sql(some)} SELECT {sql}", values)
            there += [some[row[0]] for row in rows]
        return chosen(wanted, there)

    async def stored(self, ids: Sequence[str]) -> dict[str, Any]:
        """As what rows of these conversations are written."""
        values = await self.values(ids)
        return values if self.ids.plain else {i: self.ids.stored(i) for i in ids} | values

    async def rows(self, where: str, values: Sequence[Any]) -> list[Any]:
        """Rows of messages: conversation, number, and all columns."""
        return await self.queried(self._select + where, values)

    async def queried(self, sql: str, values: Sequence[Any]) -> list[Any]:
        """The rows of such a query."""
        rows = await self.file.forgiving(sql, values)
        return rows if self.ids.plain else [(shown(row[0]), *row[1:]) for row in rows]

    def position(self, row: Sequence[Any]) -> Position:
        """Where a row stands: its number, and where that may be given to another, also a hash."""
        if self.shape.lasting:
            return str(row[1])
        told = repr([*row[2:]]).encode()
        return f"{row[1]}-{hashlib.blake2b(told, digest_size=8).hexdigest()}"

    def number_at(self, position: Position) -> int:
        """The number of a position's row; ValueError where no position of ours looks like that."""
        number = position if self.shape.lasting else position.rpartition("-")[0]
        with contextlib.suppress(ValueError):
            if -(2**63) <= (found := int(number)) < 2**63:
                return found
        raise ValueError(f"not a position of an SQLite store: {position!r}")

    async def ends(self, ids: Sequence[str]) -> dict[str, Position]:
        """Where each of these conversations ends, those that exist."""
        ends: dict[str, Position] = {}
        for some in chunks(ids, IDS_A_QUERY):
            where, values = self.ids.where(await self.lying(some))
            rows = await self.file.rows(
                f"SELECT conversation_id, max(id) FROM messages WHERE {where} "
                f"GROUP BY {self.ids.order}",
                values,
            )
            if self.shape.lasting:
                ends.update((str(shown(value)), str(number)) for value, number in rows)
            else:
                last = [number for _, number in rows]
                rows = await self.rows(f"id IN ({marks(last)})", last)
                ends.update((row[0], self.position(row)) for row in rows)
        return ends

    async def firsts(self, ids: Sequence[str]) -> list[Row]:
        """The first row of each of these conversations."""
        where, values = self.ids.where(await self.lying(ids))
        return await self.rows(
            f"id IN (SELECT min(id) FROM messages WHERE {where} GROUP BY {self.ids.order})", values
        )

    async def check_begin(self, conversation: str, begins: Position | None) -> None:
        """Changed, where its first message is not this one."""
        if begins is None:
            return
        rows = await self.firsts([conversation])
        if begins != (self.position(rows[0]) if rows else START):
            raise changed(conversation, self.name)

    async def check_there(self, conversation: str, position: Position) -> None:
        """Changed, where no message stands there any more."""
        if position == START:
            return
        number = self.number_at(position)
        where, values = self.ids.where(await self.lying([conversation]))
        rows = await self.rows(f"id = ? AND {where}", [number, *values])
        if not rows or self.position(rows[0]) != position:
            raise changed(conversation, self.name)

    async def check_gone(self, where: str, values: Sequence[Any]) -> None:
        """Refused, where a trigger has kept rows that were to be removed."""
        if await self.file.is_watched() and await self.file.rows(
            f"SELECT 1 FROM messages WHERE {where} LIMIT 1", values
        ):
            raise Refused(f"{self.name}: a trigger of its table would not let them go")

    # --- writing; outside a step ---

    @contextlib.asynccontextmanager
    async def transaction(self, *, keeps: bool = True) -> AsyncIterator[None]:
        """A step with the write lock, from the first look to the commit; see `File.transaction`."""
        await self.make()
        async with self.file.step(), self.file.transaction(keeps=keeps):
            yield

    async def make(self) -> None:
        """Make the file at the first write, and in it the tables."""
        if not self._write:
            raise opened_for_reading(self.name)
        if column := self.shape.generated:
            raise Unsupported(
                f"{self.name}: in its table messages, {column} is computed from other columns: "
                "it cannot be written",
                hint="it can be read, and copied to another store",
            )
        if not self.shape.numbered:
            raise Unsupported(
                f"{self.name}: in its table messages, id is no INTEGER PRIMARY KEY: where a new "
                "row stands cannot be said",
                hint="it can be read, and copied to another store",
            )
        if self.file.made:
            return
        async with self.file.step():
            await self._create()

    async def _create(self) -> None:
        """Make the tables, in one transaction; a second process that does the same waits, and sees
        them. A new file of our own is in WAL mode: readers and a writer do not wait for each
        other."""
        file, table = self.file, self.table
        if not file.path.parent.is_dir():
            raise StoreNotFound(f"{file.path}: its folder is not there", hint="make it first")
        if file.connection is None:
            await file.connect(write=True)
            try:
                empty = not await file.look("SELECT 1 FROM sqlite_schema LIMIT 1")
                if table.holds.own and empty and not file.has_other_names():
                    await file.look("PRAGMA journal_mode=WAL")
            except BaseException:
                await file.close()  # who tries again begins here
                raise
        async with file.transaction():
            shape = await shape_of(file)
            for statement in () if shape.columns else table.schema:
                await file.execute(statement)
            if shape.columns and not (shape.lasting and shape.names == needed(table)):
                raise Changed(f"{file.path}: another program made it meanwhile", hint="run again")
        file.made = True


def check_count(file: File, written: int, given: int) -> None:
    """Refused where not every row was written: a trigger may pass one over without a word."""
    if written != given:
        raise Refused(f"{file.path}: a trigger of its table kept {given - written:,} of them out")


def marks(values: Sequence[Any], mark: str = "?") -> str:
    """A placeholder for each value, as SQL takes them."""
    return ", ".join([mark] * len(values))


def wanted_sql(values: Sequence[Any]) -> str:
    """A table of these values, in which each has its number from 0 on."""
    rows = ", ".join(f"({n}, ?)" for n in range(len(values))) or "(0, NULL)"
    return f"WITH wanted(wanted_n, wanted_v) AS (VALUES {rows})"
