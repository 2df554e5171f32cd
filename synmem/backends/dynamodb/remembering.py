"""What a DynamoDB store remembers of writes: their tokens, in the head items.

A token gets into a head in the transaction of its write, which has the condition that the head
does not know it. So a token that is there as called off stops the write, also one whose request
comes late, from a writer who is dead by then.
"""

import asyncio
import uuid
from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec

from synmem.backends.dynamodb.heads import Heads
from synmem.backends.dynamodb.items import Items
from synmem.backends.dynamodb.reading import READ_AT_ONCE
from synmem.backends.dynamodb.replacing import Replacer
from synmem.backends.dynamodb.steps import call_off, forget, update
from synmem.backends.dynamodb.table import Table, keyable
from synmem.messages import chunks
from synmem.store import Step

TOKENS_A_STEP: Final = 50
"""So many tokens of one conversation an expression has room for."""
HEADS_A_TRANSACTION: Final = 10
"""So many heads, of 400 KB at most, a transaction takes for certain."""


class Remembering:
    """Knows which writes were done."""

    def __init__(self, table: Table, heads: Heads, items: Items, replacer: Replacer) -> None:
        self._table = table
        self._heads = heads
        self._items = items
        self._replacer = replacer

    async def steps_done(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.steps_done`."""
        tokens = _by_conversation(steps)
        if not tokens or not await self._table.is_there():
            return set()
        heads = await self._heads.of(list(tokens))
        return {
            step
            for step in steps
            if step.conversation in heads and heads[step.conversation].knows(step.token)
        }

    async def call_off(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.call_off`; a conversation without a head gets one."""
        left = _by_conversation(steps)
        if left:
            await self._table.make_sure()
        async for _ in self._table.attempts():
            heads = await self._heads.of(list(left))
            open_ = {c: [t for t in left[c] if heads[c].knows(t) is None] for c in left}
            left = {conversation: tokens for conversation, tokens in open_.items() if tokens}
            if not left:
                break
            version = uuid.uuid4().hex
            await self._each([call_off(c, t[:TOKENS_A_STEP], version) for c, t in left.items()])
        return await self.steps_done(steps)

    async def forget_steps(self, steps: Collection[Step]) -> None:
        """See `SupportsSteps.forget_steps`; a head that serves nothing any more is removed."""
        self._table.may_write()
        tokens = _by_conversation(steps)
        if not tokens or not await self._table.is_there():
            return
        heads = await self._heads.of(list(tokens))
        known = {c: [t for t in tokens[c] if heads[c].knows(t) is not None] for c in tokens}
        known = {conversation: some for conversation, some in known.items() if some}
        await self._each([forget(conversation, some) for conversation, some in known.items()])
        bare = [conversation for conversation in known if not heads[conversation].listed]
        for some_bare in chunks(bare, READ_AT_ONCE):
            await asyncio.gather(*map(self._sweep, some_bare))

    async def _each(self, steps: Sequence[dict[str, Any]]) -> None:
        """Do all of these steps whose condition holds, each of another conversation."""

        async def do(some: Sequence[dict[str, Any]]) -> None:
            if not await self._table.client.transact(some) and len(some) > 1:
                await asyncio.gather(*(do([step]) for step in some))

        await asyncio.gather(*map(do, chunks(steps, HEADS_A_TRANSACTION)))

    async def _sweep(self, conversation: str) -> None:
        """Remove the head of a conversation that is no more, and that is to know nothing."""
        async for _ in self._table.attempts():
            head = await self._heads.one(conversation)
            kept = head.version is None or head.listed or head.steps
            if kept or await self._items.newest(conversation, head):
                return
            version = uuid.uuid4().hex
            if await self._table.client.transact([update(conversation, head, version, head)]):
                own = msgspec.structs.replace(head, version=version)
                await self._replacer.clear_up(conversation, own)
                return


def _by_conversation(steps: Collection[Step]) -> dict[str, list[str]]:
    """The tokens of each conversation that can be in a store at all."""
    tokens: dict[str, list[str]] = {}
    for step in dict.fromkeys(steps):
        tokens.setdefault(step.conversation, []).append(step.token)
    return {conversation: tokens[conversation] for conversation in keyable(list(tokens))}
