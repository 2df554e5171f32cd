"""Queries for the message items of one conversation in a DynamoDB table.

An append's items lie side by side, so one that is missing between two others was about to come, and
is looked for again.
"""

import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from synmem.backends.dynamodb.calls import pause
from synmem.backends.dynamodb.head import HIGHEST, LOWEST, Head, Span
from synmem.backends.dynamodb.table import Table
from synmem.layouts.own.dynamodb_items import CONVERSATION, NUMBER, Item, number

NAMES: Final = {"#c": CONVERSATION, "#n": NUMBER}
_PLACES: Final[dict[str, Any]] = {
    "ProjectionExpression": "#n, #call, #i", "names": {"#call": "call", "#i": "i"},
}  # fmt: skip


class Items:
    """The message items in one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def any_of(self, conversation: str) -> list[Item]:
        """One of a conversation's messages, hidden or not, if there is any."""
        answer = await self.query(conversation, (LOWEST, HIGHEST), Limit=1, **_PLACES)
        found: list[Item] = answer["Items"]
        return found

    async def whole_rows(
        self, conversation: str, spans: Sequence[Span], reverse: bool, size: int
    ) -> tuple[list[Item], bool]:
        """Rows in which no item of an append is missing that was about to come."""
        for _ in range(3):
            rows, more = await self.rows(conversation, spans, reverse, size)
            if not _torn(rows[::-1] if reverse else rows):
                break
            await pause()
        return rows, more

    async def rows(
        self,
        conversation: str,
        spans: Sequence[Span],
        reverse: bool,
        size: int,
        **how: Any,
    ) -> tuple[list[Item], bool]:
        """The first `size` items of these spans, or as many as an answer has room for; and
        whether there may be more."""
        found: list[Item] = []
        ordered = spans[::-1] if reverse else spans
        for index, span in enumerate(ordered):
            answer = await self.query(
                conversation, span, ScanIndexForward=not reverse, Limit=size - len(found), **how
            )
            found += answer["Items"]
            if "LastEvaluatedKey" in answer:
                return found, True
            if len(found) >= size:
                return found, index + 1 < len(ordered)
        return found, False

    async def query(self, conversation: str, span: Span, **how: Any) -> dict[str, Any]:
        """The first answer about a span; `how` are further parameters, `names` those of them."""
        names = {**NAMES, **how.pop("names", {})}
        return await self._table.client.call(
            "query",
            TableName=self._table.client.table,
            ConsistentRead=True,
            KeyConditionExpression="#c = :c AND #n BETWEEN :low AND :high",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={
                ":c": {"S": conversation},
                ":low": {"N": str(span[0])},
                ":high": {"N": str(span[1])},
            },
            **how,
        )

    async def newest(self, conversation: str, head: Head, count: int = 1) -> list[Item]:
        """The newest `count` visible messages, newest first, without what they say."""
        found: list[Item] = []
        answers = self.answers(
            conversation, head.spans()[::-1], ScanIndexForward=False, Limit=count, **_PLACES
        )
        async for answer in answers:
            found += answer["Items"]
            if len(found) >= count:
                break
        return found[:count]

    async def answers(
        self, conversation: str, spans: Sequence[Span], **how: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """All answers about these spans, one after the other."""
        for span in spans:
            start: Any = {}
            while start is not None:
                answer = await self.query(conversation, span, **how, **start)
                yield answer
                start = following(answer)


def following(answer: dict[str, Any]) -> dict[str, Any] | None:
    """How to ask for what follows an answer; None where nothing does."""
    last = answer.get("LastEvaluatedKey")
    return {"ExclusiveStartKey": last} if last else None


def _torn(rows: Sequence[Item]) -> bool:
    """Whether an item is missing right before a later one of the same append."""
    for before, item in itertools.pairwise(rows):
        gap = number(item[NUMBER]["N"]) - number(before[NUMBER]["N"]) != 1
        if gap and item.get("i", {}).get("N", "0") != "0":
            return True
    return False
