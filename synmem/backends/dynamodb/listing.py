"""Listing the conversations of a DynamoDB table: by our index over head items, or by a Scan."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from synmem.backends.dynamodb.head import HEAD, LOWEST, Head, Span, head_of
from synmem.backends.dynamodb.heads import REMEDY, Heads, reason
from synmem.backends.dynamodb.items import NAMES, Items, following
from synmem.backends.dynamodb.table import INDEX, SHARDS, Table, keyable
from synmem.layouts.own.beside import read_description
from synmem.layouts.own.dynamodb_items import CONVERSATION, NUMBER, number, time_of
from synmem.messages import chunks
from synmem.store import ConversationInfo

_COUNTED: Final = 250
"""Up to so many messages are counted by looking at each; of more the server tells the number."""

_SPANS_NAMES: Final = {
    f"#{name}": name for name in ("version", "begins", "skip_from", "skip_to", "above")
}


class Listing:
    """Lists conversations."""

    def __init__(self, table: Table, heads: Heads, items: Items, *, page_size: int) -> None:
        self._table = table
        self._heads = heads
        self._items = items
        self._page_size = page_size

    def remark(self) -> str:
        """How conversations are listed."""
        if self._table.indexed:
            return "listing by index"
        return "listing by Scan, which reads the whole table"

    async def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`; in no order. An index follows its table within a moment."""
        if not await self._table.is_there():
            return
        pages = self._listed() if ids is None else self._named(ids)
        async for page in pages:
            if ids is None and not details:
                found = [ConversationInfo(id=conversation) for conversation in page]
            else:
                found = await self._infos(page, details)
            if found:
                yield found

    async def _infos(self, ids: Sequence[str], details: bool) -> list[ConversationInfo]:
        heads = await self._heads.seen(ids)

        async def look(conversation: str, head: Head) -> ConversationInfo | None:
            if head.unreadable is not None:
                return await self._not_known(conversation, head)
            if not details:
                there = await self._items.newest(conversation, head)
                return ConversationInfo(id=conversation) if there else None
            return await self._info(conversation, head)

        return [info for info in await self._heads.steadily(ids, heads, look) if info]

    async def _not_known(self, conversation: str, head: Head) -> ConversationInfo | None:
        """What can be told of a conversation whose head cannot be read."""
        if not await self._items.any_of(conversation):
            return None
        beside = read_description(head.title, head.extra, REMEDY)
        return ConversationInfo(id=conversation, **{**beside, "unreadable": reason(head)})

    async def _info(self, conversation: str, head: Head) -> ConversationInfo | None:
        names = {"#at": "created_at"}
        how: Any = {"ProjectionExpression": "#n, #at", "names": names}
        rows, more = await self._items.rows(conversation, head.spans(), False, _COUNTED, **how)
        if not rows:
            return None
        count, last = len(rows), rows[-1]
        if more:
            low = number(last[NUMBER]["N"])
            rest = head.spans(low=low)
            count += await self._count(conversation, rest) - 1
            (last,), _ = await self._items.rows(conversation, rest, True, 1, **how)
        return ConversationInfo(
            id=conversation,
            messages=count,
            first_at=time_of(rows[0]),
            last_at=time_of(last),
            **read_description(head.title, head.extra, REMEDY),
        )

    async def _count(self, conversation: str, spans: Sequence[Span]) -> int:
        answers = self._items.answers(conversation, spans, Select="COUNT")
        return sum([answer["Count"] async for answer in answers])

    async def _named(self, ids: Sequence[str]) -> AsyncIterator[list[str]]:
        for some in chunks(keyable(ids), self._page_size):
            yield some

    async def _listed(self) -> AsyncIterator[list[str]]:
        """The ids of all conversations, in pages."""
        answers = self._by_index() if self._table.indexed else self._by_scan()
        waiting: list[str] = []
        async for ids in answers:
            waiting += ids
            while len(waiting) >= self._page_size:
                yield waiting[: self._page_size]
                del waiting[: self._page_size]
        if waiting:
            yield waiting

    async def _by_index(self) -> AsyncIterator[list[str]]:
        for value in range(SHARDS):
            start: Any = {}
            while start is not None:
                answer = await self._table.client.call(
                    "query",
                    TableName=self._table.client.table,
                    IndexName=INDEX,
                    KeyConditionExpression="listed = :listed",
                    ExpressionAttributeValues={":listed": {"S": str(value)}},
                    **start,
                )
                yield [item[CONVERSATION]["S"] for item in answer["Items"]]
                start = following(answer)

    async def _by_scan(self) -> AsyncIterator[list[str]]:
        """A partition's items come side by side, the head first: one id and head to remember."""
        current, head, told = "", Head(), False
        start: Any = {}
        while start is not None:
            answer = await self._table.client.call(
                "scan",
                TableName=self._table.client.table,
                ConsistentRead=True,
                ProjectionExpression=", ".join((*NAMES, *_SPANS_NAMES)),
                ExpressionAttributeNames={**NAMES, **_SPANS_NAMES},
                **start,
            )
            found = []
            for item in answer["Items"]:
                conversation, where = item[CONVERSATION]["S"], number(item[NUMBER]["N"])
                if conversation != current:
                    current, head, told = conversation, Head(), False
                if where == HEAD:
                    head = head_of(item)
                elif where >= LOWEST and not told and (head.unreadable or head.shows(where)):
                    found.append(conversation)
                    told = True
            yield found
            start = following(answer)
