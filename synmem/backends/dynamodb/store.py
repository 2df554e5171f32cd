"""Conversations in a DynamoDB table, over botocore (boto3's own core), off the event loop.

Data layout. Partition key `session_id` (S), sort key `n` (N), and one item a message:

    session_id, n, role, content, created_at (S: ISO 8601, UTC, microseconds, `Z`), metadata and
    extra (M), tool_calls and parts (L), tool_call_id, name; call (S), i (N)

Fields that are empty are not there. What would not come back exactly (a float, 2**130, a lone
surrogate, ...: see `layouts/own/dynamodb_items.py`) rides in `carried` (S, ASCII JSON). `call` is
the token of the append or replace that wrote the item, `i` its place in that: so a write whose
answer was lost is known again, and a position fits one message only. `n` counts on: the last plus
one, or 1. A message that takes more than 400 KB as an item is refused.

A conversation may have a head item at `n` = -10^37, below all messages:

    version (S), begins, skip_from, skip_to, above (N), listed (S),
    title, extra, note:NAME (S: JSON), steps (SS)

Messages below `begins`, or from `skip_from` up to and without `skip_to`, are hidden; new ones go
above `above`. Whatever hides or shows messages is one conditional write of the head, under a new
`version`, and every append checks in its transaction that the version is the one it looked at.
A delete moves `begins` and then removes what is hidden. A replace takes the version, writes the
new messages hidden, far below the front (`n` may be negative), then moves `begins` down to them
and lets `skip` cover the old front. A crash leaves hidden items, which the next delete or replace
removes; each does so only while the version is its own, as nobody else writes hidden items then.
Of a conversation whose head cannot be read nothing is shown, and nothing is written to it.
Readers look at the head before and after each page (see `reading.py`).

`steps` are tokens (`SupportsSteps`): TOKEN of a write that was done, put there by its own
transaction, and -TOKEN of one that was called off, with or without a head before. The write has
the condition that neither is there, whatever the version. A head with tokens outlives its
conversation, without `listed`, title, extra and notes, until they are forgotten.

Any other attribute of a message's item is somebody else's: it comes as `extra["dynamodb"]`, and is
written as an attribute again (see `layouts/own/dynamodb_items.py`). Only `listed` stays in `extra`
where the table has our index.

The table is made at the first write where the profile says `create = true`, on demand billing,
with the sparse index `synmem_conversations` (`listed`, `session_id`; keys only). In a table that
has it each conversation gets a head with its first message, and listing reads the index, which
follows the table within a moment (DynamoDB has no consistent read of it). In any other table with
these keys heads are made when they are needed, and listing is a Scan.

Less than the contract: an append is all or nothing up to 98 messages and 4 MB, also over several
conversations (each takes up to two more steps); beyond, an in-order prefix of each part is seen
first, and a `Changed` then may leave that prefix behind. With a token it is Rejected.
"""

from collections.abc import AsyncIterable, AsyncIterator, Collection, Mapping, Sequence
from typing import Any, Final

from synmem import messages as model
from synmem.backends.dynamodb.calls import Client
from synmem.backends.dynamodb.heads import Heads
from synmem.backends.dynamodb.items import Items
from synmem.backends.dynamodb.listing import Listing
from synmem.backends.dynamodb.notes import Notes
from synmem.backends.dynamodb.reading import Reader
from synmem.backends.dynamodb.remembering import Remembering
from synmem.backends.dynamodb.replacing import Replacer
from synmem.backends.dynamodb.table import Table, described, is_ours
from synmem.backends.dynamodb.writing import Writer
from synmem.errors import Rejected
from synmem.finishing import to_its_end
from synmem.layouts.own.dynamodb_items import conversation_refusal, message_refusal
from synmem.messages import Conversation, Holds, Message
from synmem.store import START, ConversationInfo, Page, Part, Position, Step, Store

LAYOUTS: Final = ("synmem",)


async def open(settings: Mapping[str, Any], *, write: bool = False, page_size: int = 1000) -> Store:
    """The store in the table `settings["table_name"]`: in one that has not our keys, that of
    another framework's layout.

    A table that is not there is StoreNotFound, unless it is opened for writing and `create` is
    set: then the first write makes it.
    """
    layout = settings.get("layout")
    if layout not in (None, *LAYOUTS):
        from synmem.layouts.registry import check_known

        check_known(settings["table_name"], layout, "dynamodb", ["synmem"])
    client = Client(settings)
    try:
        await client.connect()
        return await _opened(client, settings, write=write, page_size=page_size)
    except BaseException:
        await to_its_end(client.close())
        raise


async def _opened(
    client: Client, settings: Mapping[str, Any], *, write: bool, page_size: int
) -> Store:
    layout, there = settings.get("layout"), await described(client)
    is_foreign = layout is None and there is not None and not is_ours(there)
    if is_foreign or layout not in (None, *LAYOUTS):
        from synmem.backends.dynamodb.foreign import open_foreign

        return await open_foreign(client, there, settings, write=write, page_size=page_size)
    create = bool(settings.get("create")) and write
    if there is None and not create:
        raise client.not_there()
    table = Table(client, create=create, write=write)
    if there is not None:
        table.see(there)
    return DynamoDBStore(table, page_size=page_size)


class DynamoDBStore:
    """A `Store` in a DynamoDB table (DESIGN: `dynamodb`); with notes, and it remembers steps."""

    holds = Holds(call_messages=5_000, call_bytes=16_000_000, atomic_messages=100)

    def __init__(self, table: Table, *, page_size: int) -> None:
        heads, items = Heads(table), Items(table)
        self.client = table.client
        self.name = table.name  # the region, the table and a given endpoint
        self._table = table
        self._reader = Reader(table, heads, items, page_size=page_size)
        self._listing = Listing(table, heads, items, page_size=page_size)
        self._writer = Writer(table, heads, items)
        self._replacer = Replacer(table, heads, items, self.refusal)
        self._remembering = Remembering(table, heads, items, self._replacer)
        self._notes = Notes(table, heads, items)

    def refusal(self, message: Message) -> str | None:
        """What no store can hold, and what would make an item of more than 400 KB."""
        return message_refusal(message)

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
        """See `Store.conversations`; in no order. An index follows its table within a moment."""
        return self._listing.conversations(ids, details=details)

    def remark(self) -> str:
        """How conversations are listed."""
        return self._listing.remark()

    async def append(
        self, parts: Sequence[Part], *, keep: int | None = None, token: str | None = None
    ) -> list[Position]:
        """See `Store.append`; more than a transaction takes is written in several, and with a
        token Rejected."""
        self._check([(part.conversation, part.messages) for part in parts])
        await self._table.make_sure()
        ends, trimmed = await self._writer.append(parts, keep or None, token)
        if trimmed is None:
            return ends
        for conversation, head in trimmed:
            await self._replacer.clean(conversation, head)
        if keep == 0:
            for part in parts:
                await self.delete(part.conversation.id)
            return [START for _ in ends]
        return ends

    async def delete(
        self,
        conversation: str,
        *,
        upto: Position | None = None,
        begins: Position | None = None,
        token: str | None = None,
    ) -> bool:
        """See `Store.delete`: one write of the head hides the messages, then they are removed."""
        return await self._replacer.delete(conversation, upto, begins, token)

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
        begins: Position | None = None,
        token: str | None = None,
    ) -> None:
        """See `Store.replace`: written where nobody sees it, shown by one write of the head."""
        self._check([(conversation, [])])
        await self._replacer.replace(conversation, messages, upto, begins, token)

    def _check(self, parts: Sequence[tuple[Conversation, Sequence[Message]]]) -> None:
        reasons = model.refusals(parts, self.refusal)
        known = {conversation for conversation, _, _ in reasons}
        for conversation, _ in parts:
            if conversation.id not in known and (why := conversation_refusal(conversation)):
                reasons.append((conversation.id, 0, why))
        if reasons:
            raise Rejected(reasons)

    # --- what it remembers ---

    async def steps_done(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.steps_done`."""
        return await self._remembering.steps_done(steps)

    async def call_off(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.call_off`; a conversation without a head gets one."""
        return await self._remembering.call_off(steps)

    async def forget_steps(self, steps: Collection[Step]) -> None:
        """See `SupportsSteps.forget_steps`; a head that serves nothing any more is removed."""
        await self._remembering.forget_steps(steps)

    async def note(self, conversation: str, name: str) -> Any | None:
        """See `SupportsNotes.note`."""
        return await self._notes.note(conversation, name)

    async def notes(self, conversations: Sequence[str]) -> dict[str, dict[str, Any]]:
        """See `SupportsNotes.notes`."""
        return await self._notes.notes(conversations)

    async def set_note(self, conversation: str, name: str, value: Any | None) -> None:
        """See `SupportsNotes.set_note`; Rejected where it is too large for the head item."""
        await self._notes.set_note(conversation, name, value)

    async def close(self) -> None:
        """See `Store.close`."""
        await self.client.close()
