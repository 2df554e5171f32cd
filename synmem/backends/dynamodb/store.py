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

import contextlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from synmem.backends.dynamodb.calls import Client
from synmem.backends.dynamodb.reading import storable
from synmem.backends.dynamodb.remembering import DynamoDBRememberer
from synmem.backends.dynamodb.steps import note as note_step
from synmem.backends.dynamodb.table import Table
from synmem.errors import Rejected, Unsupported
from synmem.finishing import to_its_end
from synmem.layouts.own.beside import read_beside
from synmem.layouts.own.dynamodb_items import CONVERSATION, HEAD, MOST_BESIDE, Item, key_of
from synmem.messages import ascii_json
from synmem.store import Part, Position

LAYOUTS: Final = ("synmem",)


async def open(
    settings: Mapping[str, Any], *, write: bool = False, page_size: int = 1000
) -> "DynamoDBStore":
    """The store in the table `settings["table_name"]`.

    A table that is not there is StoreNotFound, unless it is opened for writing and `create` is
    set: then the first write makes it.
    """
    layout = settings.get("layout")
    if layout is not None and layout not in LAYOUTS:
        raise Unsupported(f"no layout {layout!r} on DynamoDB", hint=f"there is {LAYOUTS[0]}")
    client = Client(settings)
    create = bool(settings.get("create")) and write
    table = Table(client, create=create)
    try:
        await client.connect()
        await table.look()
        if not table.made and not create:
            raise client.not_there()
    except BaseException:
        await to_its_end(client.close())
        raise
    return DynamoDBStore(client, table, write=write, page_size=page_size)


class DynamoDBStore(DynamoDBRememberer):
    """A `Store` in a DynamoDB table (DESIGN: `dynamodb`); with notes, and it remembers steps."""

    async def append(
        self, parts: Sequence[Part], *, keep: int | None = None, token: str | None = None
    ) -> list[Position]:
        """See `Store.append`; more than a transaction takes is written in several, and with a
        token Rejected."""
        self._check([(part.conversation, part.messages) for part in parts])
        await self._make()
        ends, trimmed = await self._append(parts, keep or None, token)
        if trimmed is None:
            return ends
        for conversation, head in trimmed:
            await self._clean(conversation, head)
        if keep == 0:
            for part in parts:
                await self.delete(part.conversation.id)
        return ends

    # --- notes ---

    async def note(self, conversation: str, name: str) -> Any | None:
        """See `SupportsNotes.note`."""
        if not storable([conversation]) or not await self.table.is_there():
            return None
        field = f"note:{name}"
        answer = await self.client.call(
            "get_item",
            TableName=self.client.table,
            Key=key_of(conversation, HEAD),
            ConsistentRead=True,
            ProjectionExpression="#note",
            ExpressionAttributeNames={"#note": field},
        )
        found = answer.get("Item")
        return self._note(conversation, field, found[field].get("S")) if found else None

    async def notes(self, conversations: Sequence[str]) -> dict[str, dict[str, Any]]:
        """See `SupportsNotes.notes`."""
        ids = storable(conversations)
        if not ids or not await self.table.is_there():
            return {}
        items = await self._head_items(ids)
        found = {item[CONVERSATION]["S"]: _notes(item) for item in items}
        return {conversation: notes for conversation, notes in found.items() if notes}

    async def set_note(self, conversation: str, name: str, value: Any | None) -> None:
        """See `SupportsNotes.set_note`; Rejected where it is too large for the head item."""
        text = None if value is None else ascii_json(value)
        if text is not None and len(text) > MOST_BESIDE:
            why = f"the note {name!r} takes {len(text):,} bytes; there is room for {MOST_BESIDE:,}"
            raise Rejected([(conversation, 0, why)])
        await self._make()
        if not storable([conversation]):
            return
        async for _ in self._attempts():
            head = await self._head(conversation)
            if not await self._newest(conversation, head):
                return
            version = head.version or uuid.uuid4().hex
            if await self.client.transact([note_step(conversation, head, version, name, text)]):
                return


def _notes(head: Item) -> dict[str, Any]:
    """The notes of a head item that can be read, by name."""
    notes = {}
    for field, value in head.items():
        if field.startswith("note:") and "S" in value:
            with contextlib.suppress(ValueError):
                notes[field.removeprefix("note:")] = read_beside(field, value["S"])
    return {name: note for name, note in notes.items() if note is not None}
