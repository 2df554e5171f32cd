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

from collections.abc import AsyncIterable, AsyncIterator, Collection, Mapping, Sequence
from typing import Any

from synmem.backends.postgres.changes import fingerprints, version
from synmem.backends.postgres.copying import copy, digests
from synmem.backends.postgres.notes import note, notes, set_note
from synmem.backends.postgres.numbers import damage, strays
from synmem.backends.postgres.opening import Database
from synmem.backends.postgres.reading import Reader
from synmem.backends.postgres.steps import call_off, forget_steps, steps_done
from synmem.backends.postgres.table import NotOurs, Table
from synmem.backends.postgres.trial import refuses_back
from synmem.backends.postgres.writing import Writer
from synmem.errors import StoreNotFound
from synmem.finishing import to_its_end
from synmem.layouts.own.postgres_rows import SYNMEM
from synmem.messages import Conversation, Damage, Holds, Message
from synmem.store import START, ConversationInfo, Copied, Page, Part, Position, Step, Store


async def open(settings: Mapping[str, Any], *, write: bool = False, page_size: int = 1000) -> Store:
    """The store in the database `settings["dsn"]`; `schema` and `table` name its table, `layout`
    whose it is, which else is found out. Where our own table is, it is that.

    A table that was named and is not there is StoreNotFound, unless `write`: then the first
    append makes it. Without a name the store is then empty.
    """
    database = Database(settings)
    try:
        table, wrong = None, None
        if settings.get("layout", "synmem") == "synmem":
            table = Table(database, SYNMEM, settings)
            wrong = await _is_not_ours(table, settings)
        if table is None or wrong or not (table.made or "layout" in settings):
            from synmem.backends.postgres.foreign import opened

            store = await opened(database, settings, write=write, page_size=page_size)
            if store is not None:
                return store
        if wrong is not None:
            raise wrong
        assert table is not None
        if table.was_named and not table.made and not write:
            raise StoreNotFound(
                f"{database.name}: no table {table.rows}", hint="`synmem add` makes one"
            )
    except BaseException:
        await to_its_end(database.close())
        raise
    return PostgresStore(table, write=write, page_size=page_size)


async def _is_not_ours(table: Table, settings: Mapping[str, Any]) -> NotOurs | None:
    """Why a table that was named, but not whose it is, is none of ours."""
    try:
        await table.look()
    except NotOurs as error:
        if "layout" in settings or "table" not in settings:
            raise
        return error
    return None


class PostgresStore:
    """A `Store` in PostgreSQL (DESIGN: `postgres`), with notes.

    What reads stands in `reading`, what writes in `writing` and, below it, `inserting`.
    """

    def __init__(self, table: Table, *, write: bool, page_size: int) -> None:
        self.name = table.database.name
        self._table = table
        self._reader = Reader(table, page_size=page_size)
        self._writer = Writer(table, writable=write)

    @property
    def holds(self) -> Holds:
        """All, and what the table's own columns do."""
        return self._table.holds

    def refusal(self, message: Message) -> str | None:
        """What no store can hold, texts that do not fit into 1 GB, and what does not fit the kind
        of a column that is not ours."""
        return self._table.refusal(message)

    async def append(
        self, parts: Sequence[Part], *, keep: int | None = None, token: str | None = None
    ) -> list[Position]:
        """See `Store.append`: one transaction."""
        return await self._writer.append(parts, keep=keep, token=token)

    def read(
        self,
        conversations: Sequence[str],
        *,
        after: Position = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Page]:
        """See `Store.read`."""
        return self._reader.read(conversations, after, reverse, limit)

    def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`."""
        return self._reader.conversations(ids, details=details)

    async def delete(
        self,
        conversation: str,
        *,
        upto: Position | None = None,
        begins: Position | None = None,
        token: str | None = None,
    ) -> bool:
        """See `Store.delete`: one transaction."""
        return await self._writer.delete(conversation, upto=upto, begins=begins, token=token)

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
        begins: Position | None = None,
        token: str | None = None,
    ) -> None:
        """See `Store.replace`: one transaction, once all messages are here."""
        await self._writer.replace(conversation, messages, upto=upto, begins=begins, token=token)

    async def note(self, conversation: str, name: str) -> Any | None:
        """See `SupportsNotes.note`."""
        return await note(self._table, conversation, name)

    async def set_note(self, conversation: str, name: str, value: Any | None) -> None:
        """See `SupportsNotes.set_note`."""
        await set_note(self._writer, conversation, name, value)

    async def notes(self, conversations: Sequence[str]) -> dict[str, dict[str, Any]]:
        """See `SupportsNotes.notes`."""
        return await notes(self._table, conversations)

    async def steps_done(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.steps_done`."""
        return await steps_done(self._table, steps)

    async def call_off(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.call_off`: it waits for what is under way."""
        return await call_off(self._writer, steps)

    async def forget_steps(self, steps: Collection[Step]) -> None:
        """See `SupportsSteps.forget_steps`."""
        await forget_steps(self._writer, steps)

    async def copy(
        self, source: Store, conversations: Sequence[Conversation]
    ) -> tuple[list[Copied], list[Conversation]]:
        """See `SupportsCopy.copy`: a transaction of some thousand messages."""
        return await copy(self._writer, source, conversations)

    async def digests(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsCopy.digests`: made by the server."""
        return await digests(self._table, conversations)

    async def refuses_back(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsTrial.refuses_back`: under the locks, as a write is."""
        self._writer.check_writable()
        return await refuses_back(self._table, conversations)

    async def strays(self) -> list[Damage]:
        """See `SupportsStrays.strays`: those that a listing has met, or whose id is empty."""
        return await strays(self._table, self._reader.strange)

    async def others(self) -> list[str]:
        """See `SupportsOthers.others`: sought where there are more tables than ours."""
        if not await self._table.has_more():
            return []
        from synmem.backends.postgres.finding import others

        return await others(self._table.database)

    async def damage(self) -> list[Damage]:
        """See `SupportsDamage.damage`: rows of no conversation, a sequence that is behind."""
        return await damage(self._table)

    async def version(self) -> str | None:
        """See `SupportsChanges.version`: which transactions of the server are seen."""
        return await version(self._table)

    async def fingerprints(self, upto: Mapping[str, Position]) -> dict[str, str] | None:
        """See `SupportsChanges.fingerprints`: which transaction wrote each row."""
        return await fingerprints(self._table, upto)

    async def close(self) -> None:
        """See `Store.close`."""
        await self._table.database.close()
