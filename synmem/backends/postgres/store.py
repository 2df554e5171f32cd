"""Conversations in a PostgreSQL database, over asyncpg.

Data layout. The table `synapsekit_conversations` (settings `schema` and `table` name another), one
row a message, in the order of `id`; made at the first write, with its companions:

    session_id text COLLATE "C", id bigint, role text, content text, metadata jsonb,
    created_at timestamptz, tool_calls jsonb, tool_call_id text, name text, parts jsonb,
    extra jsonb, carried text, PRIMARY KEY (session_id, id)

    TABLE_meta(session_id, name, value): JSON in ASCII under the names `title`, `extra` and
    `note:NAME`; under the session_id '', which no conversation has, `step:TOKEN` is "done" or
    "off";  TABLE_calls(token uuid, at): what was written within the hour;  TABLE_seq, the sequence
    of all ids

Other columns of the table are somebody's own: `tenant`, say. What is in them is read as text
(smallint, integer and bigint as integers, boolean as booleans) into the message's
`extra["synmem"]`, by name, and written back to them, cast to their type. NULL is left out; where
the column has a default, it is None there, and what is left out takes the default. Generated
columns, and identities that are always the server's to give, are left alone.

What a column cannot hold as it is (NUL, lone surrogates; in jsonb NaN, -0.0, whole floats from
1e15) rides in `carried`, an ASCII JSON object by field; `role` and `content` then have `?` in its
place. In `session_id` NUL is written as U+0010 `0`, and U+0010 as U+0010 `P`; other ids are
themselves. A message whose texts have over 250,000,000 characters is refused.

An id comes from the sequence, so it is never given twice (where that is behind its table, after a
restore say, what would not come last is refused); what `replace` puts before the rest of
a conversation has such numbers negated, below all that were there. A write is one transaction.
Before it looks, it takes the advisory locks (oid of the table, crc32 of `session_id` modulo 1,024)
of its conversations in sorted order and holds them to its commit: so ids within a conversation
become visible in their order, and whoever follows it misses none. Programs that insert rows
themselves may take the same locks. The call's token in `TABLE_calls` tells a write whose answer
was lost, and which is tried again, that it was done. A step's token is looked for under the locks
and written in the same transaction; who calls a step off takes the same locks, so that a write
under way is waited for, and one that comes later finds itself called off.
"""

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

import asyncpg

from synmem import messages as model
from synmem.backends.csv_rows import Csv, MakesCsv
from synmem.backends.paging import called_off, changed, storable
from synmem.backends.patience import ANSWER_S, again
from synmem.backends.postgres import steps as steps_of
from synmem.backends.postgres import trial
from synmem.backends.postgres.copying import (
    IDS_A_QUERY,
    as_copied,
    can_be_copied,
    digests_sql,
)
from synmem.backends.postgres.errors import Lost, RowRefused
from synmem.backends.postgres.inserting import (
    Aside,
    NamedRow,
    brings_own,
    copy,
    copy_csv,
    copy_numbered,
    ends_of,
    forget_beside,
    insert_few,
    new_numbers,
    put_beside,
    refused,
    refused_rows,
)
from synmem.backends.postgres.numbers import behind, check_next, highest_above
from synmem.backends.postgres.opening import Database, literal
from synmem.backends.postgres.reading import PostgresReader, row_id
from synmem.errors import Rejected, StoreNotFound, StoreUnavailable, Unsupported
from synmem.finishing import CANCELLED_S, to_its_end
from synmem.layouts.own import postgres_rows as layout
from synmem.layouts.own.synapsekit import encodable
from synmem.messages import Conversation, Message
from synmem.store import START, Copied, Part, Position, Step, Store

T = TypeVar("T")

SLOTS: Final = 1024
"""The locks of all conversations: 20,000 in one transaction would be too many."""

_FEW: Final = 100  # so many rows go in one statement; more are copied
_LONG_S: Final = 10 * ANSWER_S  # for what deletes a conversation of any length
_PRUNE_ONE_IN: Final = 64


async def open(
    settings: Mapping[str, Any], *, write: bool = False, page_size: int = 1000
) -> "PostgresStore":
    """The store in the database `settings["dsn"]`; `schema` and `table` name its table.

    A table that was named and is not there is StoreNotFound, unless `write`: then the first
    append makes it. Without a name the store is then empty.
    """
    database = Database(settings)
    named = settings.get("layout", "synmem")
    if named != "synmem":
        raise Unsupported(
            f"{database.name}: no layout {named!r} on PostgreSQL", hint="there is synmem"
        )
    try:
        await again(database.look, (Lost,))
        table = database.table
        if table.named and not table.made and not write:
            raise StoreNotFound(
                f"{database.name}: no table {table.rows}", hint="`synmem add` makes one"
            )
    except BaseException:
        await to_its_end(database.close())
        raise
    return PostgresStore(database, write=write, page_size=page_size)


class PostgresStore(PostgresReader):
    """A `Store` in PostgreSQL (DESIGN: `postgres`), with notes; this half writes."""

    def __init__(self, database: Database, *, write: bool, page_size: int) -> None:
        super().__init__(database, page_size=page_size)
        self._writable = write

    async def append(
        self, parts: Sequence[Part], *, keep: int | None = None, token: str | None = None
    ) -> list[Position]:
        """See `Store.append`: one transaction."""
        given = [(part.conversation, part.messages) for part in parts]
        encoded, reasons = model.encoded(given, self.refusal, self._encode(), layout.encode_plain)
        if reasons:
            raise Rejected(reasons)
        names = [layout.stored_id(part.conversation.id) for part in parts]
        rows = [(name, *row) for name, some in zip(names, encoded, strict=True) for row in some]

        async def write(connection: Any) -> list[Position]:
            if len(rows) <= _FEW and not any(map(brings_own, rows)):
                before, after = await insert_few(connection, self.name, self._table, names, rows)
                self._check_ends(parts, names, before)
            else:
                before = await ends_of(connection, self._table, names)
                self._check_ends(parts, names, before)
                await check_next(connection, self.name, self._table, before)
                after = await copy(connection, self._table, names, rows)
            ends = {**before, **after}
            described = [p.conversation for n, p in zip(names, parts, strict=True) if n in ends]
            await self._describe(connection, described)
            if keep is not None:
                await self._trim(connection, list(ends), keep)
            return [ends.get(name, START) for name in names]

        async def known(connection: Any) -> list[Position]:
            ends = await ends_of(connection, self._table, names)
            return [ends.get(name, START) for name in names]

        try:
            return await self._write(names, write, token=token, known=known)
        except RowRefused as error:
            await self._check_numbers(error)

            async def rest(connection: Any, name: str, part: Part) -> None:
                await self._describe(connection, [part.conversation])
                if keep is not None:
                    await self._trim(connection, [name], keep)

            rests = [
                functools.partial(rest, name=name, part=part)
                for name, part in zip(names, parts, strict=True)
            ]
            raise await self._rejected(error, names, lambda: rows, rests=rests) from error

    async def _check_numbers(self, error: RowRefused) -> None:
        """Where a row was refused for an id that is there already: StoreError if the sequence is
        what is wrong."""
        if isinstance(error.__cause__, asyncpg.UniqueViolationError):

            async def step() -> int | None:
                async with self._database.connection() as connection:
                    return await highest_above(connection, self._table)

            if (highest := await again(step, (Lost,))) is not None:
                raise behind(self.name, self._table, highest) from error

    def _encode(self) -> Callable[[Message], NamedRow]:
        """How messages become rows of the table as it is."""
        own = self._table.own
        return functools.partial(layout.encode_own, own) if own else layout.encode

    def _check_ends(
        self, parts: Sequence[Part], names: Sequence[str], ends: Mapping[str, Position]
    ) -> None:
        for name, part in zip(names, parts, strict=True):
            if part.expect is not None and part.expect != ends.get(name, START):
                raise changed(part.conversation.id, self.name)

    async def _describe(self, connection: Any, conversations: Sequence[Conversation]) -> None:
        """Write the titles and extras that are set; forget those that are empty."""
        given = [
            (layout.stored_id(c.id), name, value)
            for c in conversations
            for name, value in (("title", c.title), ("extra", c.extra))
            if value is not None
        ]
        rows = [(name, key, model.ascii_json(value)) for name, key, value in given if value]
        await put_beside(connection, self._table, rows)
        empty = [(name, key) for name, key, value in given if not value]
        await forget_beside(connection, self._table, empty)

    async def _trim(self, connection: Any, names: Sequence[str], keep: int) -> None:
        # MATERIALIZED: once for each conversation. Where its statistics are stale the planner would
        # look for the cut anew for each message, and take a second for some thousand.
        await connection.execute(
            "WITH cut AS MATERIALIZED (SELECT wanted.session, last.id "
            "FROM unnest($1::text[]) AS wanted(session) "
            f"CROSS JOIN LATERAL (SELECT id FROM {self._table.rows} "
            f"WHERE {self._table.session} = wanted.session ORDER BY id DESC OFFSET $2 LIMIT 1) "
            "AS last) "
            f"DELETE FROM {self._table.rows} AS old USING cut "
            f"WHERE {self._table.session_of('old')} = cut.session AND old.id <= cut.id",
            names, keep,
        )  # fmt: skip
        if keep == 0:
            await self._forget(connection, names)

    async def _forget(self, connection: Any, names: Sequence[str]) -> None:
        """Drop what lies beside those of these conversations that have no messages any more."""
        # Another program may have written rows for the session_id of the steps, and they go.
        await connection.execute(
            f"DELETE FROM {self._table.meta} AS beside WHERE session_id = ANY($1::text[]) "
            f"AND session_id <> '' AND NOT EXISTS (SELECT FROM {self._table.rows} AS m "
            f"WHERE {self._table.session_of('m')} = beside.session_id)",
            names,
        )

    async def copy(
        self, source: Store, conversations: Sequence[Conversation]
    ) -> tuple[list[Copied], list[Conversation]]:
        """See `SupportsCopy.copy`: a transaction of some thousand messages."""
        if not isinstance(source, MakesCsv) or not await self._is_copied_to():
            return [], []
        known = {c.id: c for c in conversations if model.conversation_refusal(c) is None}
        try:
            found, left = await source.csv([*known])
        except StoreUnavailable:  # the ordinary way waits, and says what is locked
            return [], []
        found = [each for each in found if can_be_copied(each)]
        names = [each.conversation for each in found]

        async def write(connection: Any) -> list[Csv]:
            there = await ends_of(connection, self._table, names)
            absent = [each for each in found if each.conversation not in there]
            if absent:
                await copy_csv(connection, self._table, [each.data for each in absent])
            await self._describe(connection, [known[each.conversation] for each in absent])
            return absent

        try:
            copied = await self._write(names, write) if found else []
        except RowRefused:  # the ordinary way says which message it is
            return [], []
        return [as_copied(each) for each in copied], [known[each] for each in left]

    async def _is_copied_to(self) -> bool:
        """Whether all that a row has is in what is copied, and in its digest."""
        await self._is_made()
        return self._table.is_ours_alone

    async def digests(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsCopy.digests`: made by the server."""
        if not await self._is_copied_to():
            return {}
        names = [layout.stored_id(each) for each in storable(conversations)]
        found: list[Any] = []
        for start in range(0, len(names), IDS_A_QUERY):
            chunk = names[start : start + IDS_A_QUERY]
            found += await self._rows(digests_sql(self._table), chunk)
        return {layout.shown_id(name): digest for name, digest in found if digest is not None}

    async def delete(
        self,
        conversation: str,
        *,
        upto: Position | None = None,
        begins: Position | None = None,
        token: str | None = None,
    ) -> bool:
        """See `Store.delete`: one transaction."""
        if not encodable(conversation) or not await self._is_made():
            return False
        name = layout.stored_id(conversation)

        async def write(connection: Any) -> bool:
            first, fits = await self._look(connection, name, upto)
            if first == START:
                return False
            if not fits or begins not in (None, first):
                raise changed(conversation, self.name)
            await self._cut(connection, name, upto)
            await self._forget(connection, [name])
            return True

        async def known(connection: Any) -> bool:
            return True

        try:
            return await self._write([name], write, token=token, known=known)
        except RowRefused as error:
            raise Rejected([(conversation, 0, error.why)], hint=error.hint) from error

    async def _look(
        self, connection: Any, name: str, upto: Position | None
    ) -> tuple[Position, bool]:
        """Where a conversation begins, and whether it has a message at `upto`."""
        number = row_id(upto) if upto else None
        first, fits = await connection.fetchrow(
            f"SELECT (SELECT min(id) FROM {self._table.rows} "
            f"WHERE {self._table.session} = $1), "
            f"$2::bigint IS NULL OR EXISTS (SELECT FROM {self._table.rows} "
            f"WHERE {self._table.session} = $1 AND id = $2::bigint)",
            name, number,
        )  # fmt: skip
        return START if first is None else str(first), fits

    async def _cut(self, connection: Any, name: str, upto: Position | None) -> None:
        """Delete the messages up to and with `upto`; all without."""
        delete = f"DELETE FROM {self._table.rows} WHERE {self._table.session} = $1"
        if upto is None:
            await connection.execute(delete, name, timeout=_LONG_S)
        elif upto != START:
            await connection.execute(f"{delete} AND id <= $2", name, row_id(upto), timeout=_LONG_S)

    async def _exists(self, connection: Any, name: str) -> bool:
        return bool(
            await connection.fetchval(
                f"SELECT EXISTS (SELECT FROM {self._table.rows} WHERE {self._table.session} = $1)",
                name,
            )
        )

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
        begins: Position | None = None,
        token: str | None = None,
    ) -> None:
        """See `Store.replace`: laid aside on this side, however slow they come; then one
        transaction, which nobody waits for longer than the copying takes."""
        with Aside() as aside:
            await self._lay_aside(aside, conversation, messages)
            name = layout.stored_id(conversation.id)

            async def write(connection: Any) -> None:
                first, fits = await self._look(connection, name, upto)
                if not fits or begins not in (None, first):
                    raise changed(conversation.id, self.name)
                await self._cut(connection, name, upto)
                await self._put_in_front(connection, name, aside)
                if await self._exists(connection, name):
                    await self._describe(connection, [conversation])
                else:
                    await self._forget(connection, [name])

            async def known(connection: Any) -> None:
                return None

            def rows() -> Iterator[NamedRow]:
                encode = self._encode()
                return ((name, *encode(message)) for message in aside.messages())

            try:
                await self._write([name], write, token=token, known=known)
            except RowRefused as error:
                await self._check_numbers(error)
                raise await self._rejected(error, [name], rows, upto=upto) from error

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

        async def step() -> list[tuple[str, int, str]]:
            async with self._database.connection() as connection:
                # What is only looked at by a COMMIT is looked at here.
                await connection.execute(f"{self._begin(names)}; SET CONSTRAINTS ALL IMMEDIATE")
                for name in names if upto != START else ():
                    await self._cut(connection, name, upto)
                found = await refused_rows(connection, self._table, rows())
                for name, rest in zip(names, () if found else rests, strict=False):
                    if why := await refused(connection, rest):
                        found.append((layout.shown_id(name), 0, why))
                await connection.execute("ROLLBACK")
                return found

        reasons: list[tuple[str, int, str]] = []
        with contextlib.suppress(RowRefused):
            reasons = await again(step, (Lost,))
        reasons = reasons or [(layout.shown_id(name), 0, error.why) for name in names]
        return Rejected(reasons, hint=error.hint)

    async def _lay_aside(
        self,
        aside: Aside,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
    ) -> None:
        if reasons := model.refusals([(conversation, [])], self.refusal):
            raise Rejected(reasons)
        async for page in messages:
            if reasons := model.refusals([(conversation, page)], self.refusal):
                raise Rejected([(i, aside.count + n, why) for i, n, why in reasons])
            aside.put(page)

    async def _put_in_front(self, connection: Any, name: str, aside: Aside) -> None:
        """Write what was laid aside before what is left of the conversation."""
        numbers = await new_numbers(connection, self._table, aside.count)
        first, _ = await self._look(connection, name, None)
        if first != START:
            if numbers and -numbers[0] >= int(first):
                raise behind(self.name, self._table, -int(first))
            numbers = array("q", [-number for number in reversed(numbers)])
        encode = self._encode()
        messages = zip(numbers, aside.messages(), strict=True)
        await copy_numbered(
            connection,
            self._table,
            ((name, n, *encode(message)) for n, message in messages),
        )

    async def note(self, conversation: str, name: str) -> Any | None:
        """See `SupportsNotes.note`."""
        if not encodable(conversation):
            return None
        session, key = layout.stored_id(conversation), f"note:{name}"
        rows = await self._rows(
            f"SELECT value FROM {self._table.meta} WHERE session_id = $1 AND name = $2",
            session, key,
        )  # fmt: skip
        return self._note(session, key, rows[0][0]) if rows else None

    async def set_note(self, conversation: str, name: str, value: Any | None) -> None:
        """See `SupportsNotes.set_note`."""
        session, key = layout.stored_id(conversation), f"note:{name}"

        async def write(connection: Any) -> None:
            if value is None:
                await connection.execute(
                    f"DELETE FROM {self._table.meta} WHERE session_id = $1 AND name = $2",
                    session, key,
                )  # fmt: skip
            elif await self._exists(connection, session):
                row = (session, key, model.ascii_json(value))
                await put_beside(connection, self._table, [row])

        if await self._is_made():
            await self._write([session], write)

    async def steps_done(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.steps_done`."""
        done: set[Step] = set()
        for some in steps_of.chunks(steps):
            found = await self._rows(steps_of.done_sql(self._table), steps_of.names(some))
            done |= steps_of.done_of(some, found)
        return done

    async def call_off(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.call_off`: it waits for what is under way."""
        done: set[Step] = set()
        for some in steps_of.chunks(steps):
            write = functools.partial(steps_of.call_off, table=self._table, steps=some)
            done |= await self._write(steps_of.conversations(some), write)
        return done

    async def forget_steps(self, steps: Collection[Step]) -> None:
        """See `SupportsSteps.forget_steps`."""
        for some in steps_of.chunks(steps) if await self._is_made() else ():
            write = functools.partial(steps_of.forget, table=self._table, steps=some)
            await self._write([], write)

    async def refuses_back(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsTrial.refuses_back`: under the locks, as a write is."""
        self._check_writable()
        names = [layout.stored_id(each) for each in storable(conversations)]
        # Somebody may have altered the table since it was opened.
        await again(self._database.look, (Lost,))
        if not names or not self._table.made or await again(self._is_plain, (Lost,)):
            return {}
        found: dict[str, str] = {}
        for start in range(0, len(names), trial.CONVERSATIONS_AT_ONCE):
            rest: trial.Rest = (names[start : start + trial.CONVERSATIONS_AT_ONCE], None)
            while rest[0]:
                some, rest = await again(functools.partial(self._try_back, rest), (Lost,))
                found |= some
        return {layout.shown_id(name): why for name, why in found.items()}

    async def _is_plain(self) -> bool:
        async with self._database.connection() as connection:
            return await trial.is_plain(connection, self._table)

    async def _try_back(self, rest: trial.Rest) -> tuple[dict[str, str], trial.Rest]:
        encode = self._encode()

        def checked(message: Message) -> NamedRow:
            if why := self.refusal(message):
                raise ValueError(why)
            return encode(message)

        names, _ = rest
        async with self._database.connection() as connection:
            if why := await trial.for_all(connection, self._table):
                there = await connection.fetch(trial.those_there_sql(self._table), names)
                return {name: why for (name,) in there}, ((), None)
            await connection.execute(self._begin(names))
            answer = await trial.refusals(connection, self._table, rest, checked)
            await connection.execute("ROLLBACK")
            return answer

    def _check_writable(self) -> None:
        if not self._writable:
            raise Unsupported(f"{self.name} was opened for reading")

    async def _write(
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
        self._check_writable()
        await again(self._database.make, (Lost,))
        call = uuid4()
        answers: list[T] = []  # of tries that may have been committed

        async def step() -> T:
            async with self._database.connection() as connection:
                status = await connection.execute(self._begin(names, token))
                if answers and await connection.fetchval(
                    f"SELECT true FROM {self._table.calls} WHERE token = $1", call
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
                commit = connection.execute(self._commit(str(call), done))
                await to_its_end(commit, within_s=CANCELLED_S)
                return answer

        return await again(step, (Lost,))

    async def _check_done(self, connection: Any, token: str) -> None:
        """Changed, where a write that is known was called off."""
        value = await connection.fetchval(steps_of.find_sql(self._table, token))
        if not steps_of.is_done(value):
            raise called_off(self.name)

    def _begin(self, names: Sequence[str], token: str | None = None) -> str:
        """Begin a transaction, take the locks, and look for a token: each statement after it sees
        what was committed before it (READ COMMITTED, whatever the server's default)."""
        look = "" if token is None else f"; {steps_of.find_sql(self._table, token)}"
        slots = sorted({zlib.crc32(name.encode()) % SLOTS for name in names})
        return (
            "BEGIN ISOLATION LEVEL READ COMMITTED; "
            # A client that stops here does not keep the others waiting for ever.
            f"SET LOCAL idle_in_transaction_session_timeout = '{ANSWER_S:.0f}s'; "
            f"SELECT pg_advisory_xact_lock(to_regclass({literal(self._table.rows)})::oid::int, "
            f"slot) FROM unnest(ARRAY{slots}::int[]) AS wanted(slot){look}"
        )

    def _commit(self, call: str, token: str | None = None) -> str:
        """Remember the call, and perhaps a step's token, and commit."""
        statements = [f"INSERT INTO {self._table.calls} (token) VALUES ('{call}')"]
        if token is not None:
            statements.append(steps_of.remember_sql(self._table, token))
        if random.randrange(_PRUNE_ONE_IN) == 0:
            statements.append(
                f"DELETE FROM {self._table.calls} WHERE token IN (SELECT token FROM "
                f"{self._table.calls} WHERE at < now() - interval '1 hour' "
                "LIMIT 1000 FOR UPDATE SKIP LOCKED)"
            )
        return "; ".join([*statements, "COMMIT"])
