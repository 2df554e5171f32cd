"""The heads of a DynamoDB table's conversations: read, and looked at again around what is read.

A Query is no snapshot. What it gives counts only if the head item had the same version before it
and after it: a delete or replace changes the version first and removes hidden items later, so in
between every visible item was there. Otherwise the page is read again by the new head.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from synmem.backends.dynamodb.calls import pause
from synmem.backends.dynamodb.head import HEAD, Head, head_of, key_of
from synmem.backends.dynamodb.table import Table
from synmem.backends.paging import called_off
from synmem.errors import CorruptData, StoreUnavailable
from synmem.layouts.own.dynamodb_items import CONVERSATION, NUMBER, Item
from synmem.messages import chunks

HEADS_A_CALL: Final = 100
_TRIES: Final = 20
_HEAD: Final = (
    "version", "begins", "skip_from", "skip_to", "above", "listed", "title", "extra", "steps"
)  # fmt: skip
_HEAD_NAMES: Final = {"#c": CONVERSATION, "#n": NUMBER, **{f"#{name}": name for name in _HEAD}}

REMEDY: Final = f"mend its head, the item whose {NUMBER} is {HEAD}"

T = TypeVar("T")


class Heads:
    """The heads of the conversations in one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def one(self, conversation: str) -> Head:
        """Its head, for who writes; CorruptData where it cannot be read."""
        return (await self.of([conversation]))[conversation]

    async def of(self, ids: Sequence[str]) -> dict[str, Head]:
        """The heads of these conversations, for who writes; CorruptData where one cannot be
        read."""
        heads = await self.seen(ids)
        for conversation, head in heads.items():
            if head.unreadable is not None:
                raise self.broken(conversation, head.unreadable)
        return heads

    async def seen(self, ids: Sequence[str]) -> dict[str, Head]:
        """The heads of these conversations, also those that cannot be read."""
        heads = dict.fromkeys(ids, Head())
        how = {
            "ProjectionExpression": ", ".join(_HEAD_NAMES),
            "ExpressionAttributeNames": _HEAD_NAMES,
        }
        for item in await self.items(list(heads), **how):
            heads[item[CONVERSATION]["S"]] = head_of(item)
        return heads

    async def items(self, ids: Sequence[str], **how: Any) -> list[Item]:
        """The head items of these conversations, each named once, that are there."""
        calls = (self._some_heads(some, how) for some in chunks(ids, HEADS_A_CALL))
        found = await asyncio.gather(*calls)
        return list(itertools.chain.from_iterable(found))

    async def _some_heads(self, ids: Sequence[str], how: dict[str, Any]) -> list[Item]:
        keys = [key_of(conversation, HEAD) for conversation in ids]
        asked: Any = {self._table.client.table: {"Keys": keys, "ConsistentRead": True, **how}}
        found: list[Item] = []
        while asked:
            answer = await self._table.client.call("batch_get_item", RequestItems=asked)
            found += answer["Responses"].get(self._table.client.table, [])
            asked = answer.get("UnprocessedKeys")
            if asked:
                await pause()
        return found

    async def steadily(
        self,
        ids: Sequence[str],
        heads: dict[str, Head],
        look: Callable[[str, Head], Awaitable[T]],
    ) -> list[T]:
        """What `look` makes of each conversation while its head does not change."""
        found: dict[str, Any] = {}
        left = list(ids)
        for _ in range(_TRIES):
            looks = await asyncio.gather(*(look(c, heads[c]) for c in left), return_exceptions=True)
            after = await self.seen(left)
            moved = []
            for conversation, result in zip(left, looks, strict=True):
                if after[conversation].version != heads[conversation].version:
                    moved.append(conversation)
                elif isinstance(result, BaseException):
                    raise result
                else:
                    found[conversation] = result
            if not moved:
                return [found[conversation] for conversation in ids]
            left, heads = moved, after
        raise StoreUnavailable(
            f"{self._table.name}: it changes all the time", hint="try again later"
        )

    def is_known(self, head: Head, token: str | None) -> bool:
        """Whether the write of this token was done before; Changed where it was called off."""
        known = head.knows(token)
        if known is False:
            raise called_off(self._table.name)
        return bool(known)

    def broken(self, conversation: str, why: str) -> CorruptData:
        """What is said of a head that cannot be read."""
        return CorruptData(
            f"{self._table.name}: conversation {conversation!r}: {why}",
            hint=REMEDY,
            conversation=conversation,
        )


def reason(head: Head) -> str:
    """Why a head cannot be read, and what to do."""
    return f"{head.unreadable} ({REMEDY})"
