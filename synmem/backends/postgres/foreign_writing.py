"""Writing to a table of another framework as the framework does: its record's columns, no others.

A write is one transaction, under the locks of its conversations, as in a table of our own; other
programs take none, and what one of them adds at the same moment may come before what is added here.
The table remembers no call of ours: where the answer to a COMMIT was lost, the server is asked what
became of that transaction.
"""

import contextlib
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence, Set
from typing import Any, Final, TypeVar

from synmem import messages as model
from synmem.backends.paging import changed, opened_for_reading, storable
from synmem.backends.patience import again
from synmem.backends.placing import Placing
from synmem.backends.postgres import foreign_trial
from synmem.backends.postgres.aside import Aside
from synmem.backends.postgres.encoding import NO_ENCODING, lacking_in
from synmem.backends.postgres.errors import Lost, RowRefused
from synmem.backends.postgres.foreign_inserting import (
    behind,
    check_behind,
    check_zone,
    cut,
    first_row,
    insert,
    last_rows,
    lowest,
    namesakes,
    put,
    trim,
)
from synmem.backends.postgres.foreign_table import ForeignTable
from synmem.backends.postgres.refusing import refused_ones
from synmem.backends.postgres.table import MAKING_SQL, identifier
from synmem.backends.postgres.taken import is_number_taken
from synmem.backends.postgres.writing import SLOTS, locked_sql, slots_of
from synmem.backends.records import Row, position_at
from synmem.errors import Changed, Rejected, Unsupported
from synmem.finishing import CANCELLED_S, to_its_end
from synmem.layouts.shapes import Write
from synmem.messages import Conversation, Message
from synmem.store import START, Part, Position

T = TypeVar("T")

Reasons = list[tuple[str, int, str]]
"""As in `Rejected`."""

_THERE_SQL: Final = (
    "SELECT EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
    "WHERE c.relname = $1 AND n.nspname = coalesce($2, current_schema()))"
)
"""Whether a table is there, as of now: `to_regclass` may answer from before its lock."""

_FRONT: Final = SLOTS
"""The lock of who takes numbers below the lowest."""


class ForeignWriter:
    """Appends, deletes and replaces."""

    def __init__(self, table: ForeignTable, *, writable: bool) -> None:
        self._table = table
        self._name = table.database.name
        self._writable = writable

    def refusal(self, message: Message) -> str | None:
        """Why the framework's own reader would not read the message."""
        fit = self._table.fit
        if fit.shape.write is None:
            return f"what {fit.layout} stores can be read, not written"
        for column in self._table.others:
            if column.required and not column.filled and not column.computed:
                return (
                    f"the table's column {column.name!r} must have a value, and none of its own "
                    f"is {fit.layout}'s"
                )
        return fit.shape.write.refusal(message) or self._no_room(fit.shape.write, message)

    def _no_room(self, write: Write, message: Message) -> str | None:
        """Which column is too short for the message, or what the database's encoding lacks."""
        table, names = self._table, self._table.shape.record
        encoding, limits = table.facts.encoding, [table.most_of(name) for name in names]
        if not any(limits) and encoding in ("UTF8", NO_ENCODING):
            return None
        for name, most, value in zip(names, limits, write.fold(message), strict=True):
            if most is not None and isinstance(value, str) and len(value) > most:
                return f"the table's column {name!r} has room for {most} characters only"
            if why := lacking_in(encoding, table.type_of(name), value):
                return why
        return None

    async def append(
        self, parts: Sequence[Part], keep: int | None, token: str | None
    ) -> list[Position]:
        """See `Store.append`."""
        placing = self._writing(token)
        ids = [part.conversation.id for part in parts]
        reasons = model.refusals([(p.conversation, p.messages) for p in parts], self.refusal)
        if reasons := reasons or self._id_refusals(ids):
            raise Rejected(reasons)

        new = [part.conversation.id for part in parts if part.messages]

        def placed(ends: Mapping[str, Row], part: Part) -> list[Row]:
            name, before = part.conversation.id, _keys(ends, part)
            return placing.rows(name, part.messages, 0, before=before)

        async def step(connection: Any) -> list[Position]:
            ends = await last_rows(connection, self._table, ids)
            before = {name: position_at(row) for name, row in ends.items()}
            for part in parts:
                if part.expect not in (None, before.get(part.conversation.id, START)):
                    raise changed(part.conversation.id, self._name)
            rows = [row for part in parts for row in placed(ends, part)]
            await self._beside(connection, "opens", new)
            inserted = {}
            if rows:
                await check_zone(connection, self._table)
                inserted = await insert(connection, self._table, placing, rows, numbered=False)
            check_behind(self._table, ends, inserted)
            await self._check_alone(connection, ids)
            if keep is not None:
                await trim(connection, self._table, ids, keep)
            await self._keep_in_step(connection, ids if keep is not None else new)
            after = {name: position_at(each.last) for name, each in inserted.items()}
            return [START if keep == 0 else {**before, **after}.get(name, START) for name in ids]

        async def refused(connection: Any) -> Reasons:
            ends = await last_rows(connection, self._table, ids)
            await self._beside(connection, "opens", new)
            given = [(nth, row) for part in parts for nth, row in enumerate(placed(ends, part))]

            async def put(connection: Any, some: Sequence[tuple[int, Row]]) -> None:
                rows = [row for _, row in some]
                await insert(connection, self._table, placing, rows, numbered=False)

            found = await refused_ones(connection, given, put)
            return [(row.conversation, nth, why) for (nth, row), why in found]

        return await self._transaction(ids, step, refused=refused)

    async def delete(
        self,
        conversation: str,
        upto: Position | None,
        begins: Position | None,
        token: str | None,
    ) -> bool:
        """See `Store.delete`."""
        self._writing(token)
        if not storable([conversation]) or not await self._table.is_made():
            return False

        async def step(connection: Any) -> bool:
            if await first_row(connection, self._table, conversation) is None:
                return False
            await self._check_alone(connection, [conversation])
            await self._check_begin(connection, conversation, begins)
            await cut(connection, self._table, conversation, upto)
            await self._keep_in_step(connection, [conversation])
            return True

        return await self._transaction([conversation], step)

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        upto: Position,
        begins: Position | None,
        token: str | None,
    ) -> None:
        """See `Store.replace`."""
        placing = self._writing(token)
        if reasons := self._id_refusals([conversation.id]):
            raise Rejected(reasons)
        with Aside() as aside:
            async for page in messages:
                if reasons := model.refusals([(conversation, page)], self.refusal):
                    raise Rejected([(i, aside.count + n, why) for i, n, why in reasons])
                aside.put(page)

            async def step(connection: Any) -> None:
                await self._check_begin(connection, conversation.id, begins)
                if upto != START:
                    await cut(connection, self._table, conversation.id, upto)
                await self._put_in_front(connection, placing, conversation.id, aside)
                await self._check_alone(connection, [conversation.id])
                await self._keep_in_step(connection, [conversation.id])

            await self._transaction([conversation.id], step, front=True)

    async def refuses_back(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsTrial.refuses_back`."""
        placing = self._writing(None)
        await check_zone(self._table.database, self._table)
        names = storable(conversations)
        kept = [column.name for column in self._table.others if not column.computed]
        if not kept:
            taken = await namesakes(self._table.database, self._table, names)
            found = {name: self._taken_for(other) for name, other in taken.items()}
            is_plain = await foreign_trial.is_plain(self._table)
            for name in names:
                if is_plain:
                    why = await placing.misplaced(name, self._table.rows_from)
                else:
                    why = await foreign_trial.not_taken(self._table, placing, name)
                if why is not None:
                    found[name] = why
            return found
        why = f"its table has columns that are not {self._table.fit.layout}'s ({', '.join(kept)})"
        return dict.fromkeys(names, f"{why}: they would not come back")

    # --- within a transaction ---

    async def _check_begin(
        self, connection: Any, conversation: str, begins: Position | None
    ) -> None:
        """Changed, where its first message is not this one."""
        if begins is not None:
            row = await first_row(connection, self._table, conversation)
            if begins != (START if row is None else position_at(row)):
                raise changed(conversation, self._name)

    async def _check_alone(self, connection: Any, ids: Sequence[str]) -> None:
        """Rejected, where who asks the table for one of these gets another one too."""
        if taken := await namesakes(connection, self._table, ids):
            raise Rejected([(name, 0, self._taken_for(other)) for name, other in taken.items()])

    def _taken_for(self, other: str) -> str:
        return f"its id and {other!r} are one to the table's column {self._table.id.name!r}"

    async def _put_in_front(
        self, connection: Any, placing: Placing, conversation: str, aside: Aside
    ) -> None:
        """Write what was laid aside before what is left of the conversation."""
        if not aside.count:
            return
        await check_zone(connection, self._table)
        high = await first_row(connection, self._table, conversation)
        first = None if high is None else await lowest(connection, self._table, aside.count)
        await self._beside(connection, "opens", [conversation])
        keys = () if high is None else high.keys
        await put(connection, self._table, placing, conversation, aside, first, behind=keys)

    async def _keep_in_step(self, connection: Any, ids: Sequence[str]) -> None:
        """What stands beside these conversations, of which rows were written or removed."""
        write = self._table.shape.write
        if write is None or "postgres" not in write.beside:
            return
        there = await last_rows(connection, self._table, ids)
        await self._beside(connection, "touches", [name for name in ids if name in there])
        await self._beside(connection, "ends", [name for name in ids if name not in there])

    async def _beside(self, connection: Any, what: str, ids: Sequence[str]) -> None:
        write = self._table.shape.write
        beside = None if write is None else write.beside.get("postgres")
        if beside is not None and ids:
            there = self._table.facts.refers or self._table.beside(beside.table)
            sql = getattr(beside, what).format(table=there)
            await connection.executemany(sql, [(name,) for name in sorted(ids)])

    # --- around one ---

    async def _transaction(
        self,
        ids: Sequence[str],
        write: Callable[[Any], Awaitable[T]],
        *,
        front: bool = False,
        refused: Callable[[Any], Awaitable[Reasons]] | None = None,
    ) -> T:
        """Run `write` in one transaction, under the locks of these conversations; again where the
        server was lost, unless it was done. `refused` finds out which rows the table refuses."""
        await self._make()
        slots = slots_of(ids) | ({_FRONT} if front else set())
        tried: list[tuple[int, T]] = []  # what may have been committed: its number, its answer

        async def step() -> T:
            async with self._table.database.connection() as connection:
                for number, answer in tried:
                    if await self._was_done(connection, number):
                        return answer
                await connection.execute(locked_sql(self._table.name, slots))
                answer = await write(connection)
                number = await connection.fetchval("SELECT txid_current_if_assigned()")
                tried[:] = [] if number is None else [(number, answer)]
                await to_its_end(connection.execute("COMMIT"), within_s=CANCELLED_S)
                return answer

        try:
            return await again(step, (Lost,))
        except RowRefused as error:
            table = self._table
            if await is_number_taken(table.database, error, table.name, table.last, table.id.name):
                raise behind(table) from error
            # What the column cannot have may be known only now that the table is made.
            reasons = self._id_refusals(ids)
            if not reasons and refused is not None:
                reasons = await self._tried(slots, refused)
            reasons = reasons or [(name, 0, error.why) for name in ids]
            raise Rejected(reasons, hint=error.hint) from error

    async def _tried(
        self, slots: Set[int], refused: Callable[[Any], Awaitable[Reasons]]
    ) -> Reasons:
        """Which rows the table refuses, in a transaction that is rolled back; none where it is
        none of them by itself."""

        async def step() -> Reasons:
            async with self._table.database.connection() as connection:
                await connection.execute(locked_sql(self._table.name, slots))
                # What is only looked at by a COMMIT is looked at here.
                await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
                found = await refused(connection)
                await connection.execute("ROLLBACK")
                return found

        with contextlib.suppress(RowRefused, Rejected):
            return await again(step, (Lost,))
        return []

    async def _was_done(self, connection: Any, number: int) -> bool:
        """Whether that transaction was committed; Lost where it is still under way."""
        status = await connection.fetchval("SELECT txid_status($1)", number)
        if status == "in progress":
            raise Lost(f"{self._name}: a write is still under way", hint="try again later")
        return bool(status == "committed")

    def _writing(self, token: str | None) -> Placing:
        """How it is written; Unsupported where it is not."""
        table, layout = self._table, self._table.fit.layout
        write = table.shape.write
        if write is None:
            raise Unsupported(f"{self._name}: what {layout} stores can only be read")
        if token is not None:
            raise Unsupported(f"{self._name} is {layout}'s: it remembers no step of ours")
        if table.facts.columns and (why := self._only_read(write)):
            raise Unsupported(
                f"{self._name}: its table {table.fit.table} {why}",
                hint="it can be read, and copied to another store",
            )
        if not self._writable:
            raise opened_for_reading(self._name)
        return Placing(table.shape, write)

    def _only_read(self, write: Write) -> str:
        """Why what becomes of a row that is written or removed cannot be said, or where a new one
        stands; empty where it can."""
        table = self._table
        if table.facts.watched:
            return f"{table.facts.watched}: what becomes of a row there cannot be said"
        written = {table.id.name, table.last, *Placing(table.shape, write).columns}
        if any(column.computed for column in table.facts.columns if column.name in written):
            return "has columns that are computed"
        numbers = [c for c in table.facts.columns if c.name == table.last and c.filled]
        if not table.is_numbered or not numbers or (table.keys and write.key is None):
            return f"has no {table.last} that numbers new rows: where one stands cannot be said"
        return ""

    def _id_refusals(self, ids: Sequence[str]) -> list[tuple[str, int, str]]:
        return [(each, 0, why) for each in ids if (why := self._table.id.refusal(each))]

    async def _make(self) -> None:
        """Make the table as the framework does, where it is not there."""
        if await self._table.is_made():
            return
        write = self._table.shape.write
        assert write is not None
        name = self._table.fit.table
        named = Named(self._table)
        statements = [
            *self._table.path_sql,  # they may name another table
            *(each.format(table=named) for each in write.schema["postgres"]),
        ]

        async def step() -> None:
            async with self._table.database.connection() as connection:
                await connection.execute(MAKING_SQL)
                found = await connection.fetchval(_THERE_SQL, *self._table.place)
                await connection.execute("; ".join([*(() if found else statements), "COMMIT"]))

        await again(step, (Lost,))
        await self._table.look()
        if not self._table.shape.columns <= {c.name for c in self._table.facts.columns}:
            raise Changed(f"{self._name}: another program made {name} meanwhile", hint="run again")


def _keys(ends: Mapping[str, Row], part: Part) -> Sequence[Any]:
    """What the last row of a part's conversation is ordered by."""
    end = ends.get(part.conversation.id)
    return () if end is None else end.keys


class Named:
    """A table's name in a statement, and names that are made of it."""

    def __init__(self, table: ForeignTable) -> None:
        self._table = table

    def __format__(self, form: str) -> str:
        return identifier(form.replace("*", self._table.fit.table)) if form else self._table.name
