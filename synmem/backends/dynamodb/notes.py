"""Notes of a DynamoDB store: texts in the head items."""

import contextlib
import uuid
from collections.abc import Sequence
from typing import Any

from synmem.backends.dynamodb.head import HEAD, key_of
from synmem.backends.dynamodb.heads import Heads
from synmem.backends.dynamodb.items import Items
from synmem.backends.dynamodb.steps import note as note_step
from synmem.backends.dynamodb.table import Table, keyable
from synmem.errors import Rejected
from synmem.layouts.own.beside import read_beside
from synmem.layouts.own.dynamodb_items import CONVERSATION, MOST_BESIDE, Item
from synmem.messages import ascii_json


class Notes:
    """See `SupportsNotes`."""

    def __init__(self, table: Table, heads: Heads, items: Items) -> None:
        self._table = table
        self._heads = heads
        self._items = items

    async def note(self, conversation: str, name: str) -> Any | None:
        """See `SupportsNotes.note`."""
        if not keyable([conversation]) or not await self._table.is_there():
            return None
        field = f"note:{name}"
        answer = await self._table.client.call(
            "get_item",
            TableName=self._table.client.table,
            Key=key_of(conversation, HEAD),
            ConsistentRead=True,
            ProjectionExpression="#note",
            ExpressionAttributeNames={"#note": field},
        )
        found = answer.get("Item")
        return self._read(conversation, field, found[field].get("S")) if found else None

    async def notes(self, conversations: Sequence[str]) -> dict[str, dict[str, Any]]:
        """See `SupportsNotes.notes`."""
        ids = keyable(conversations)
        if not ids or not await self._table.is_there():
            return {}
        items = await self._heads.items(ids)
        found = {item[CONVERSATION]["S"]: _notes(item) for item in items}
        return {conversation: notes for conversation, notes in found.items() if notes}

    async def set_note(self, conversation: str, name: str, value: Any | None) -> None:
        """See `SupportsNotes.set_note`; Rejected where it is too large for the head item."""
        text = None if value is None else ascii_json(value)
        if text is not None and len(text) > MOST_BESIDE:
            why = f"the note {name!r} takes {len(text):,} bytes; there is room for {MOST_BESIDE:,}"
            raise Rejected([(conversation, 0, why)])
        await self._table.make_sure()
        if not keyable([conversation]):
            return
        async for _ in self._table.attempts():
            head = await self._heads.one(conversation)
            if not await self._items.newest(conversation, head):
                return
            version = head.version or uuid.uuid4().hex
            step = note_step(conversation, head, version, name, text)
            if await self._table.client.transact([step]):
                return

    def _read(self, conversation: str, field: str, text: str | None) -> Any:
        """A note, from its JSON text, if there is one."""
        try:
            return None if text is None else read_beside(field, text)
        except ValueError as error:
            raise self._heads.broken(conversation, str(error)) from error


def _notes(head: Item) -> dict[str, Any]:
    """The notes of a head item that can be read, by name."""
    notes = {}
    for field, value in head.items():
        if field.startswith("note:") and "S" in value:
            with contextlib.suppress(ValueError):
                notes[field.removeprefix("note:")] = read_beside(field, value["S"])
    return {name: note for name, note in notes.items() if note is not None}
