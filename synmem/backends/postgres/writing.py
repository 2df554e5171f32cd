"""How messages are written to PostgreSQL and taken from it: each write in one transaction, under
the locks of its conversations, remembered by a token."""

import contextlib
import functools
import random
import zlib
from array import array
from collections.abc import (
    AsyncIterable,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any, Final, TypeVar
from uuid import uuid4

from synmem import messages as model
from synmem.backends.paging import called_off, changed, opened_for_reading
from synmem.backends.patience import ANSWER_S, again
from synmem.backends.postgres.aside import Aside
from synmem.backends.postgres.beside import describe, forget_all
from synmem.backends.postgres.errors import Lost, RowRefused
from synmem.backends.postgres.inserting import (
    NamedRow,
    brings_own,
    copy,
    copy_numbered,
    ends_of,
    insert_few,
    new_numbers,
)
from synmem.backends.postgres.numbers import behind, check_behind, check_next
from synmem.backends.postgres.refusing import refused, refused_rows
from synmem.backends.postgres.table import Table, literal, row_id
from synmem.errors import Rejected
from synmem.finishing import CANCELLED_S, to_its_end
from synmem.messages import Conversation, Message, encodable
from synmem.store import START, Part, Position

T = TypeVar("T")

SLOTS: Final = 1024
"""The locks of all conversations: 20,000 in one transaction would be too many."""

STEP_DONE: Final = '"done"'
"""What stands under the token of a write that was done."""

_FEW: Final = 100
"""So many rows go in one statement: one message in half the time that it takes to copy it, 1 ms
instead of 2 on a server nearby; of 100 both take the same."""
_LONG_S: Final = 10 * ANSWER_S  # for what deletes a conversation of any length
_PRUNE_ONE_IN: Final = 64


class Writer:
    """Writes to the table; Unsupported where it was opened for reading."""

    def __init__(self, table: Table, *, writable: bool) -> None:
        self.table = table
        self._name = table.database.name
        self._writable = writable

    def check_writable(self) -> None:
        """Unsupported where the store was opened for reading."""
        if not self._writable:
            raise opened_for_reading(self._name)

    async def transaction(
        self,
        names: Sequence[str],
        write: Callable[[Any], Awaitable[T]],
        *,
        token: str | None = None,
        known: Callable[[Any], Awaitable[T]] | None = None,
    ) -> T:
        """Run `write` in one transaction, under the locks of these conversations; again where the
        server was lost, unless the call's token says that it was done.

        `token` is remembered with it; where that is known as done, `known` answers. A `write` that
        answers False did nothing, and nothing is remembered of it.
        """
        self.check_writable()
        await self.table.make()
        call = uuid4()
        answers: list[T] = []  # of tries that may have been committed

        async def step() -> T:
            async with self.table.database.connection() as connection:
                status = await connection.execute(begin_sql(self.table, names, token))
                if answers and await connection.fetchval(
                    f"SELECT true FROM {self.table.calls} WHERE token = $1", call
                ):
                    await connection.execute("ROLLBACK")
                    return answers[0]
                # What the last statement found, the one that looks for the token.
                if token is not None and known is not None and status != "SELECT 0":
                    await self._check_done(connection, token)
                    answer = await known(connection)
                    await connection.execute("ROLLBACK")
                    return answer
                answer = await write(connection)
                answers[:] = [answer]
                done = None if answer is False else token
                commit = connection.execute(commit_sql(self.table, str(call), done))
                await to_its_end(commit, within_s=CANCELLED_S)
                return answer

        return await again(step, (Lost,))

    async def _check_done(self, connection: Any, token: str) -> None:
        """Changed, where a write that is known was called off."""
        if await connection.fetchval(_step_sql(self.table, token)) != STEP_DONE:
            raise called_off(self._name)

    async def append(
        self, parts: Sequence[Part], *, keep: int | None, token: str | None
    ) -> list[Position]:
        """See `Store.append`: one transaction."""
        rows = self._encoded(parts)
        given = [(self.table.stored_id(part.conversation.id), part.conversation) for part in parts]
        names = [name for name, _ in given]

        async def write(connection: Any) -> list[Position]:
            ends = await self._insert(connection, parts, names, rows)
            there = [(name, conversation) for name, conversation in given if name in ends]
            await self._describe_and_trim(connection, there, keep)
            return [START if keep == 0 else ends.get(name, START) for name in names]

        async def known(connection: Any) -> list[Position]:
            ends = await ends_of(connection, self.table, names)
            return [ends.get(name, START) for name in names]

        try:
            return await self.transaction(names, write, token=token, known=known)
        except RowRefused as error:
            await check_behind(self.table, error)
            rests = [
                functools.partial(self._describe_and_trim, given=[each], keep=keep)
                for each in given
            ]
            raise await self._rejected(error, names, lambda: rows, rests=rests) from error

    def _encoded(self, parts: Sequence[Part]) -> list[NamedRow]:
        """The rows of all parts, one after another; Rejected names what cannot be held."""
        table = self.table
        given = [(part.conversation, part.messages) for part in parts]
        plain = table.layout.encode_plain
        encoded, reasons = model.encoded(given, table.refusal, table.encode, plain)
        if reasons:
            raise Rejected(reasons)
        names = [table.stored_id(part.conversation.id) for part in parts]
        return [(name, *row) for name, some in zip(names, encoded, strict=True) for row in some]

    async def _insert(
        self,
        connection: Any,
        parts: Sequence[Part],
        names: Sequence[str],
        rows: Sequence[NamedRow],
    ) -> dict[str, Position]:
        """Insert the rows of these parts, where these end as is expected; where the conversations
        that exist end then."""
        if len(rows) <= _FEW and not brings_own(self.table, rows):
            before, after = await insert_few(connection, self.table, names, rows)
            self._check_ends(parts, names, before)
        else:
            before = await ends_of(connection, self.table, names)
            self._check_ends(parts, names, before)
            await check_next(connection, self.table, before)
            after = await copy(connection, self.table, names, rows)
        return {**before, **after}

    def _check_ends(
        self, parts: Sequence[Part], names: Sequence[str], ends: Mapping[str, Position]
    ) -> None:
        for name, part in zip(names, parts, strict=True):
            if part.expect is not None and part.expect != ends.get(name, START):
                raise changed(part.conversation.id, self._name)

    async def _describe_and_trim(
        self, connection: Any, given: Sequence[tuple[str, Conversation]], keep: int | None
    ) -> None:
        """What comes behind the rows of an append; the conversations by their session_ids."""
        await describe(connection, self.table, [conversation for _, conversation in given])
        if keep is not None:
            await _trim(connection, self.table, [name for name, _ in given], keep)

    async def delete(
        self,
        conversation: str,
        *,
        upto: Position | None,
        begins: Position | None,
        token: str | None,
    ) -> bool:
        """See `Store.delete`: one transaction."""
        if not encodable(conversation) or not await self.table.is_made():
            return False
        name = self.table.stored_id(conversation)

        async def write(connection: Any) -> bool:
            first, fits = await _look(connection, self.table, name, upto)
            if first == START:
                return False
            if not fits or begins not in (None, first):
                raise changed(conversation, self._name)
            await _cut(connection, self.table, name, upto)
            await forget_all(connection, self.table, [name])
            return True

        async def known(connection: Any) -> bool:
            return True

        try:
            return await self.transaction([name], write, token=token, known=known)
        except RowRefused as error:
            raise Rejected([(conversation, 0, error.why)], hint=error.hint) from error

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
        begins: Position | None,
        token: str | None,
    ) -> None:
        """See `Store.replace`: laid aside on this side, however slow they come; then one
        transaction, which nobody waits for longer than the copying takes."""
        with Aside() as aside:
            await self._lay_aside(aside, conversation, messages)
            name = self.table.stored_id(conversation.id)

            async def write(connection: Any) -> None:
                first, fits = await _look(connection, self.table, name, upto)
                if not fits or begins not in (None, first):
                    raise changed(conversation.id, self._name)
                await _cut(connection, self.table, name, upto)
                await self._put_in_front(connection, name, aside)
                if await exists(connection, self.table, name):
                    await describe(connection, self.table, [conversation])
                else:
                    await forget_all(connection, self.table, [name])

            async def known(connection: Any) -> None:
                return None

            def rows() -> Iterator[NamedRow]:
                encode = self.table.encode
                return ((name, *encode(message)) for message in aside.messages())

            try:
                await self.transaction([name], write, token=token, known=known)
            except RowRefused as error:
                await check_behind(self.table, error)
                raise await self._rejected(error, [name], rows, upto=upto) from error

    async def _lay_aside(
        self,
        aside: Aside,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
    ) -> None:
        if reasons := model.refusals([(conversation, [])], self.table.refusal):
            raise Rejected(reasons)
        async for page in messages:
            if reasons := model.refusals([(conversation, page)], self.table.refusal):
                raise Rejected([(i, aside.count + n, why) for i, n, why in reasons])
            aside.put(page)

    async def _put_in_front(self, connection: Any, name: str, aside: Aside) -> None:
        """Write what was laid aside before what is left of the conversation."""
        numbers = await new_numbers(connection, self.table, aside.count)
        first, _ = await _look(connection, self.table, name, None)
        if first != START:
            if numbers and -numbers[0] >= int(first):
                raise behind(self.table, -int(first))
            numbers = array("q", [-number for number in reversed(numbers)])
        encode = self.table.encode
        messages = zip(numbers, aside.messages(), strict=True)
        rows = ((name, n, *encode(message)) for n, message in messages)
        await copy_numbered(connection, self.table, rows)

    async def _rejected(
        self,
        error: RowRefused,
        names: Sequence[str],
        rows: Callable[[], Iterable[NamedRow]],
        *,
        upto: Position = START,
        rests: Sequence[Callable[[Any], Awaitable[None]]] = (),
    ) -> Rejected:
        """Which of these rows the table refuses, found out in a transaction that is rolled back;
        `upto` is what gives way to them, and `rests` is what comes after them by conversation.
        Where none is refused by itself, it is the first of each conversation."""
        table = self.table

        async def step() -> list[tuple[str, int, str]]:
            async with table.database.connection() as connection:
                # What is only looked at by a COMMIT is looked at here.
                await connection.execute(
                    f"{begin_sql(table, names)}; SET CONSTRAINTS ALL IMMEDIATE"
                )
                for name in names if upto != START else ():
                    await _cut(connection, table, name, upto)
                found = await refused_rows(connection, table, rows())
                for name, rest in zip(names, () if found else rests, strict=False):
                    if why := await refused(connection, rest):
                        found.append((table.shown_id(name), 0, why))
                await connection.execute("ROLLBACK")
                return found

        reasons: list[tuple[str, int, str]] = []
        with contextlib.suppress(RowRefused):
            reasons = await again(step, (Lost,))
        reasons = reasons or [(table.shown_id(name), 0, error.why) for name in names]
        return Rejected(reasons, hint=error.hint)


async def exists(connection: Any, table: Table, name: str) -> bool:
    """Whether there is a conversation of this session_id."""
    return bool(
        await connection.fetchval(
            f"SELECT EXISTS (SELECT FROM {table.rows} WHERE {table.session} = $1)", name
        )
    )


async def _look(
    connection: Any, table: Table, name: str, upto: Position | None
) -> tuple[Position, bool]:
    """Where a conversation begins, and whether it has a message at `upto`."""
    number = row_id(upto) if upto else None
    first, fits = await connection.fetchrow(
        f"SELECT (SELECT min(id) FROM {table.rows} WHERE {table.session} = $1), "
        f"$2::bigint IS NULL OR EXISTS (SELECT FROM {table.rows} "
        f"WHERE {table.session} = $1 AND id = $2::bigint)",
        name, number,
    )  # fmt: skip
    return START if first is None else str(first), fits


async def _cut(connection: Any, table: Table, name: str, upto: Position | None) -> None:
    """Delete the messages up to and with `upto`; all without."""
    delete = f"DELETE FROM {table.rows} WHERE {table.session} = $1"
    if upto is None:
        await connection.execute(delete, name, timeout=_LONG_S)
    elif upto != START:
        await connection.execute(f"{delete} AND id <= $2", name, row_id(upto), timeout=_LONG_S)


async def _trim(connection: Any, table: Table, names: Sequence[str], keep: int) -> None:
    # MATERIALIZED: once for each conversation. Where its statistics are stale the planner would
    # look for the cut anew for each message, and take a second for some thousand.
    await connection.execute(
        "WITH cut AS MATERIALIZED (SELECT wanted.session, last.id "
        "FROM unnest($1::text[]) AS wanted(session) "
        f"CROSS JOIN LATERAL (SELECT id FROM {table.rows} "
        f"WHERE {table.session} = wanted.session ORDER BY id DESC OFFSET $2 LIMIT 1) AS last) "
        f"DELETE FROM {table.rows} AS old USING cut "
        f"WHERE {table.session_of('old')} = cut.session AND old.id <= cut.id",
        names, keep,
    )  # fmt: skip
    if keep == 0:
        await forget_all(connection, table, names)


def begin_sql(table: Table, names: Sequence[str], token: str | None = None) -> str:
    """Begin a transaction, take the locks, and look for a token: each statement after it sees
    what was committed before it."""
    look = "" if token is None else f"; {_step_sql(table, token)}"
    return locked_sql(table.rows, slots_of(names)) + look


def slots_of(names: Sequence[str]) -> set[int]:
    """The locks of these conversations."""
    return {zlib.crc32(name.encode()) % SLOTS for name in names}


def locked_sql(rows: str, slots: Collection[int]) -> str:
    """Begin a transaction and take these locks of a table (READ COMMITTED, whatever the server's
    default)."""
    return (
        "BEGIN ISOLATION LEVEL READ COMMITTED; "
        # A client that stops here does not keep the others waiting for ever.
        f"SET LOCAL idle_in_transaction_session_timeout = '{ANSWER_S:.0f}s'; "
        f"SELECT pg_advisory_xact_lock(to_regclass({literal(rows)})::oid::int, "
        f"slot) FROM unnest(ARRAY{sorted(slots)}::int[]) AS wanted(slot)"
    )


def commit_sql(table: Table, call: str, token: str | None = None) -> str:
    """Remember the call, and perhaps a step's token, and commit."""
    statements = [f"INSERT INTO {table.calls} (token) VALUES ('{call}')"]
    if token is not None:
        statements.append(
            f"INSERT INTO {table.meta} (session_id, name, value) "
            f"VALUES ('', {literal(step_name(token))}, '{STEP_DONE}')"
        )
    if random.randrange(_PRUNE_ONE_IN) == 0:
        statements.append(
            f"DELETE FROM {table.calls} WHERE token IN (SELECT token FROM "
            f"{table.calls} WHERE at < now() - interval '1 hour' "
            "LIMIT 1000 FOR UPDATE SKIP LOCKED)"
        )
    return "; ".join([*statements, "COMMIT"])


def _step_sql(table: Table, token: str) -> str:
    """A statement that gives a row where the token is known: its value."""
    name = literal(step_name(token))
    return f"SELECT value FROM {table.meta} WHERE session_id = '' AND name = {name}"


def step_name(token: str) -> str:
    """Under what the token of a write is remembered."""
    return f"step:{token}"
