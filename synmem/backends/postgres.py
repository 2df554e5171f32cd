"""Conversations in a PostgreSQL database, over asyncpg.

Data layout. The table `synapsekit_conversations` (settings `schema` and `table` name another), one
row a message, in the order of `id`; made at the first write, with its companions:

    session_id text COLLATE "C", id bigint, role text, content text, metadata jsonb,
    created_at timestamptz, tool_calls jsonb, tool_call_id text, name text, parts jsonb,
    extra jsonb, carried text, PRIMARY KEY (session_id, id)

    TABLE_meta(session_id, name, value): JSON in ASCII under the names `title`, `extra` and
    `note:NAME`;  TABLE_calls(token uuid, at): what was written within the hour;  TABLE_seq, the
    sequence of all ids

What a column cannot hold as it is (NUL, lone surrogates; in jsonb NaN, -0.0, whole floats from
1e15) rides in `carried`, an ASCII JSON object by field; `role` and `content` then have `?` in its
place. In `session_id` NUL is written as U+0010 `0`, and U+0010 as U+0010 `P`; other ids are
themselves. A message whose texts have over 250,000,000 characters is refused.

An id comes from the sequence, so it is never given twice; what `replace` puts before the rest of
a conversation has such numbers negated, below all that were there. A write is one transaction.
Before it looks, it takes the advisory locks (oid of the table, crc32 of `session_id` modulo 1,024)
of its conversations in sorted order and holds them to its commit: so ids within a conversation
become visible in their order, and whoever follows it misses none. Programs that insert rows
themselves may take the same locks. The call's token in `TABLE_calls` tells a write whose answer
was lost, and which is tried again, that it was done.
"""

import random
import zlib
from array import array
from collections.abc import (
    AsyncIterable,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from typing import Any, Final, TypeVar
from uuid import uuid4

from synmem import messages as model
from synmem.backends.paging import changed, storable
from synmem.backends.patience import ANSWER_S, again
from synmem.backends.postgres_copying import (
    IDS_A_QUERY,
    as_copied,
    can_be_copied,
    digests_sql,
)
from synmem.backends.postgres_errors import Lost
from synmem.backends.postgres_inserting import (
    Aside,
    copy,
    copy_csv,
    copy_numbered,
    ends_of,
    insert_few,
    new_numbers,
)
from synmem.backends.postgres_opening import Database, literal
from synmem.backends.postgres_reading import PostgresReader, row_id
from synmem.errors import Rejected, StoreNotFound, StoreUnavailable, Unsupported
from synmem.layouts import postgres_rows as layout
from synmem.layouts.synapsekit import encodable
from synmem.messages import Conversation, Message
from synmem.store import START, Copied, Csv, Part, Position, Store, SupportsCsv

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
        await database.close()
        raise
    return PostgresStore(database, write=write, page_size=page_size)


class PostgresStore(PostgresReader):
    """A `Store` in PostgreSQL (DESIGN: `postgres`), with notes; this half writes."""

    def __init__(self, database: Database, *, write: bool, page_size: int) -> None:
        super().__init__(database, page_size=page_size)
        self._writable = write

    async def append(self, parts: Sequence[Part], *, keep: int | None = None) -> list[Position]:
        """See `Store.append`: one transaction."""
        given = [(part.conversation, part.messages) for part in parts]
        encoded, reasons = model.encoded(given, self.refusal, layout.encode, layout.encode_plain)
        if reasons:
            raise Rejected(reasons)
        names = [layout.stored_id(part.conversation.id) for part in parts]
        rows = [(name, *row) for name, some in zip(names, encoded, strict=True) for row in some]

        async def write(connection: Any) -> list[Position]:
            if len(rows) <= _FEW:
                before, after = await insert_few(connection, self._table, names, rows)
                self._check_ends(parts, names, before)
            else:
                before = await ends_of(connection, self._table, names)
                self._check_ends(parts, names, before)
                after = await copy(connection, self._table, names, rows)
            ends = {**before, **after}
            described = [p.conversation for n, p in zip(names, parts, strict=True) if n in ends]
            await self._describe(connection, described)
            if keep is not None:
                await self._trim(connection, list(ends), keep)
            return [ends.get(name, START) for name in names]

        return await self._write(names, write)

    def _check_ends(
        self, parts: Sequence[Part], names: Sequence[str], ends: Mapping[str, Position]
    ) -> None:
        for name, part in zip(names, parts, strict=True):
            if part.expect is not None and part.expect != ends.get(name, START):
                raise changed(part.conversation.id, self.name)

    async def _describe(self, connection: Any, conversations: Sequence[Conversation]) -> None:
        """Write the titles and extras that are set."""
        values: list[tuple[str, str, Any]] = [
            (layout.stored_id(c.id), name, value)
            for c in conversations
            for name, value in (("title", c.title), ("extra", c.extra))
            if value is not None
        ]
        if values:
            await self._set_meta(connection, values)

    async def _set_meta(self, connection: Any, values: Sequence[tuple[str, str, Any]]) -> None:
        ids, names, texts = zip(*((i, n, model.ascii_json(v)) for i, n, v in values), strict=True)
        await connection.execute(
            f"INSERT INTO {self._table.meta} (session_id, name, value) "
            "SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) "
            "ON CONFLICT (session_id, name) DO UPDATE SET value = excluded.value",
            ids, names, texts,
        )  # fmt: skip

    async def _trim(self, connection: Any, names: Sequence[str], keep: int) -> None:
        # MATERIALIZED: once for each conversation. Where its statistics are stale the planner would
        # look for the cut anew for each message, and take a second for some thousand.
        await connection.execute(
            "WITH cut AS MATERIALIZED (SELECT wanted.session, last.id "
            "FROM unnest($1::text[]) AS wanted(session) "
            f"CROSS JOIN LATERAL (SELECT id FROM {self._table.rows} "
            "WHERE session_id = wanted.session ORDER BY id DESC OFFSET $2 LIMIT 1) AS last) "
            f"DELETE FROM {self._table.rows} AS old USING cut "
            "WHERE old.session_id = cut.session AND old.id <= cut.id",
            names, keep,
        )  # fmt: skip
        if keep == 0:
            await self._forget(connection, names)

    async def _forget(self, connection: Any, names: Sequence[str]) -> None:
        """Drop what lies beside conversations that have no messages any more."""
        await connection.execute(
            f"DELETE FROM {self._table.meta} WHERE session_id = ANY($1::text[])", names
        )

    async def copy(
        self, source: Store, conversations: Sequence[Conversation]
    ) -> tuple[list[Copied], list[Conversation]]:
        """See `SupportsCopy.copy`: a transaction of some thousand messages."""
        if not isinstance(source, SupportsCsv):
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

        copied = await self._write(names, write) if found else []
        return [as_copied(each) for each in copied], [known[each] for each in left]

    async def digests(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsCopy.digests`: made by the server."""
        names = [layout.stored_id(each) for each in storable(conversations)]
        found: list[Any] = []
        for start in range(0, len(names), IDS_A_QUERY):
            chunk = names[start : start + IDS_A_QUERY]
            found += await self._rows(digests_sql(self._table), chunk)
        return {layout.shown_id(name): digest for name, digest in found if digest is not None}

    async def delete(self, conversation: str, *, upto: Position | None = None) -> bool:
        """See `Store.delete`: one transaction."""
        if not encodable(conversation) or not await self._is_made():
            return False
        name = layout.stored_id(conversation)

        async def write(connection: Any) -> bool:
            if not await self._exists(connection, name):
                return False
            await self._cut(connection, conversation, upto)
            if not await self._exists(connection, name):
                await self._forget(connection, [name])
            return True

        return await self._write([name], write)

    async def _cut(self, connection: Any, conversation: str, upto: Position | None) -> None:
        """Delete the messages up to and with `upto`; all without."""
        name = layout.stored_id(conversation)
        delete = f"DELETE FROM {self._table.rows} WHERE session_id = $1"
        if upto is None:
            await connection.execute(delete, name, timeout=_LONG_S)
            return
        if upto == START:
            return
        find = f"SELECT true FROM {self._table.rows} WHERE session_id = $1 AND id = $2"
        if not await connection.fetchval(find, name, row_id(upto)):
            raise changed(conversation, self.name)
        await connection.execute(f"{delete} AND id <= $2", name, row_id(upto), timeout=_LONG_S)

    async def _exists(self, connection: Any, name: str) -> bool:
        return bool(
            await connection.fetchval(
                f"SELECT EXISTS (SELECT FROM {self._table.rows} WHERE session_id = $1)", name
            )
        )

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
    ) -> None:
        """See `Store.replace`: laid aside on this side, however slow they come; then one
        transaction, which nobody waits for longer than the copying takes."""
        with Aside() as aside:
            await self._lay_aside(aside, conversation, messages)
            name = layout.stored_id(conversation.id)

            async def write(connection: Any) -> None:
                await self._cut(connection, conversation.id, upto)
                await self._put_in_front(connection, name, aside)
                if await self._exists(connection, name):
                    await self._describe(connection, [conversation])
                else:
                    await self._forget(connection, [name])

            await self._write([name], write)

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
        if await self._exists(connection, name):
            numbers = array("q", [-number for number in reversed(numbers)])
        messages = zip(numbers, aside.messages(), strict=True)
        await copy_numbered(
            connection,
            self._table,
            ((name, n, *layout.encode(message)) for n, message in messages),
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
                await self._set_meta(connection, [(session, key, value)])

        if await self._is_made():
            await self._write([session], write)

    async def _write(self, names: Sequence[str], write: Callable[[Any], Awaitable[T]]) -> T:
        """Run `write` in one transaction, under the locks of these conversations; again where the
        server was lost, unless the token says that it was done."""
        if not self._writable:
            raise Unsupported(f"{self.name} was opened for reading")
        await again(self._database.make, (Lost,))
        token = uuid4()
        answers: list[T] = []  # of tries that may have been committed

        async def step() -> T:
            async with self._database.connection() as connection:
                await connection.execute(self._begin(names))
                if answers and await connection.fetchval(
                    f"SELECT true FROM {self._table.calls} WHERE token = $1", token
                ):
                    await connection.execute("ROLLBACK")
                    return answers[0]
                answer = await write(connection)
                answers[:] = [answer]
                await connection.execute(self._commit(str(token)))
                return answer

        return await again(step, (Lost,))

    def _begin(self, names: Sequence[str]) -> str:
        """Begin a transaction and take the locks: each statement after it sees what was committed
        before it (READ COMMITTED, whatever the server's default)."""
        slots = sorted({zlib.crc32(name.encode()) % SLOTS for name in names})
        return (
            "BEGIN ISOLATION LEVEL READ COMMITTED; "
            # A client that stops here does not keep the others waiting for ever.
            f"SET LOCAL idle_in_transaction_session_timeout = '{ANSWER_S:.0f}s'; "
            f"SELECT pg_advisory_xact_lock(to_regclass({literal(self._table.rows)})::oid::int, "
            f"slot) FROM unnest(ARRAY{slots}::int[]) AS wanted(slot)"
        )

    def _commit(self, token: str) -> str:
        statements = [f"INSERT INTO {self._table.calls} (token) VALUES ('{token}')"]
        if random.randrange(_PRUNE_ONE_IN) == 0:
            statements.append(
                f"DELETE FROM {self._table.calls} WHERE token IN (SELECT token FROM "
                f"{self._table.calls} WHERE at < now() - interval '1 hour' "
                "LIMIT 1000 FOR UPDATE SKIP LOCKED)"
            )
        return "; ".join([*statements, "COMMIT"])
