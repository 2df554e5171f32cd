"""Deleting and replacing in DynamoDB: one write of the head switches, then what it hides goes.

Hidden items are removed only under a version of one's own, and each transaction that does so
checks it: the hidden items of any other version may be those of a replace under way.
"""

import contextlib
import math
import uuid
from collections.abc import AsyncIterable, Callable, Sequence
from typing import Any, Final

import msgspec

from synmem import messages as model
from synmem.backends.dynamodb.head import Head, key_of, number_of, position_of
from synmem.backends.dynamodb.heads import Heads
from synmem.backends.dynamodb.items import Items
from synmem.backends.dynamodb.steps import (
    BYTES,
    STEPS,
    Step,
    all_there,
    begins_at,
    guarded,
    marked,
    nobody,
    put,
    remove,
    remove_head,
    replace_head,
    unchanged,
    update,
)
from synmem.backends.dynamodb.table import Table, keyable, reserved, shard
from synmem.errors import Rejected, StoreError
from synmem.layouts.own.dynamodb_items import (
    CONVERSATION,
    NUMBER,
    Item,
    Number,
    description,
    encode,
    item_size,
    number,
)
from synmem.messages import Conversation, Message, chunks
from synmem.store import START, Position

ROOM: Final = 10**9
"""So many numbers below the front are free for what a replace brings."""


class _Switch(msgspec.Struct, frozen=True):
    """What one write of the head is to bring about: of a conversation, that `count` messages from
    the number `base` on are seen instead of the front up to `upto`."""

    conversation: Conversation
    base: int
    count: int
    upto: Position
    begins: Position | None
    token: str | None


class Replacer:
    """Deletes and replaces."""

    def __init__(
        self,
        table: Table,
        heads: Heads,
        items: Items,
        refusal: Callable[[Message], str | None],
    ) -> None:
        self._table = table
        self._heads = heads
        self._items = items
        self._refusal = refusal

    async def delete(
        self, conversation: str, upto: Position | None, begins: Position | None, token: str | None
    ) -> bool:
        """See `Store.delete`: one write of the head hides the messages, then they are removed."""
        self._table.may_write()
        if not keyable([conversation]) or not await self._table.is_there():
            return False
        version = uuid.uuid4().hex
        async for _ in self._table.attempts():
            head = await self._heads.one(conversation)
            if head.version == version:  # done, though the answer was lost
                await self.clear_up(conversation, head)
                return True
            if self._heads.is_known(head, token):
                return True
            rows = await self._from(conversation, head, upto)
            if not rows and head.version is None:
                return False
            if rows:
                await self._check_begin(conversation, head, begins)
            new, steps = self._cut(conversation, head, version, rows, begins, token)
            if await self._table.client.transact(steps):
                await self.clear_up(conversation, new)
                return bool(rows)
        raise AssertionError("attempts end by returning or raising")

    def _cut(
        self,
        conversation: str,
        head: Head,
        version: str,
        rows: Sequence[Item],
        begins: Position | None,
        token: str | None,
        values: dict[str, Any] | None = None,
    ) -> tuple[Head, list[Step]]:
        """How to let it begin behind the first of these items: at the second, if there is one,
        and with these values in its head.

        Without items there is no conversation: then the version is taken, to clear up what an
        earlier delete or replace left when it was killed.
        """
        if not rows:
            new = head
            steps = [update(conversation, head, version, new)]
        elif len(rows) > 1:
            last = position_of(rows[0])
            new = begins_at(head, number(rows[1][NUMBER]["N"]), last).remembering(token)
            step = marked(update(conversation, head, version, new, values), token)
            steps = [step, *all_there(conversation, [last, begins])]
        else:
            last = position_of(rows[0])
            above = max(math.floor(number_of(last)), math.floor(head.above))
            new = Head(begins=above + 1, above=above, steps=head.steps).remembering(token)
            # What is appended meanwhile must not be left without what stood before it.
            steps = [
                replace_head(conversation, head, version, new),
                *all_there(conversation, [last, begins]),
                nobody(conversation, above + 1),
            ]
        return msgspec.structs.replace(new, version=version), steps

    async def _check_begin(self, conversation: str, head: Head, begins: Position | None) -> None:
        """Changed, where its first message is not this one."""
        if begins is not None:
            rows, _ = await self._items.rows(conversation, head.spans(), False, 1)
            if begins != (position_of(rows[0]) if rows else START):
                raise self._table.changed(conversation)

    async def _from(self, conversation: str, head: Head, upto: Position | None) -> list[Item]:
        """The item at `upto` and the next one; without `upto` the last; Changed if it is gone."""
        if upto is None:
            return await self._items.newest(conversation, head)
        low = number_of(upto)
        rows, _ = await self._items.rows(conversation, head.spans(low=low), False, 2)
        if rows and position_of(rows[0]) == upto and head.shows(low):
            return rows
        if await self._items.newest(conversation, head):
            raise self._table.changed(conversation)
        return []

    async def clear_up(self, conversation: str, head: Head) -> None:
        """Remove what is hidden, and the head of a conversation that is no more; `head` is of a
        version of one's own."""
        if await self.clean(conversation, head) and not await self._items.newest(
            conversation, head
        ):
            free = math.floor(head.above) + 1
            await self._table.client.transact(
                [remove_head(conversation, head), nobody(conversation, free)]
            )

    async def clean(self, conversation: str, head: Head) -> bool:
        """Remove the hidden items; False where somebody else took the version meanwhile."""
        how: Any = {"ProjectionExpression": "#n", "Limit": STEPS * 10}
        async for answer in self._items.answers(conversation, head.hidden(), **how):
            found = [number(item[NUMBER]["N"]) for item in answer["Items"]]
            keys = [where for where in found if not head.shows(where)]
            for some in chunks(keys, STEPS - 1):
                steps = [remove(conversation, where) for where in some]
                if not await self._table.client.transact([unchanged(conversation, head), *steps]):
                    return False
        return True

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        upto: Position,
        begins: Position | None,
        token: str | None,
    ) -> None:
        """See `Store.replace`: written where nobody sees it, shown by one write of the head."""
        await self._table.make_sure()
        claim = await self._claim(conversation.id, upto, begins, token)
        if claim is None:
            return
        base = math.floor(claim.begins) - ROOM
        try:
            await self.clean(conversation.id, claim)
            count = await self._stage(conversation, claim, messages, base)
            switch = _Switch(conversation, base, count, upto, begins, token)
            await self._show(claim, switch)
        except StoreError:
            with contextlib.suppress(StoreError):
                await self._abandon(conversation.id, claim)
            raise

    async def _claim(
        self, conversation: str, upto: Position, begins: Position | None, token: str | None
    ) -> Head | None:
        """Take the version, with `begins` where the conversation does begin, so that nothing is
        seen below; None where the token says that all is done."""
        version = uuid.uuid4().hex
        async for _ in self._table.attempts():
            head = await self._heads.one(conversation)
            if head.version == version:  # done, though the answer was lost
                return head
            if self._heads.is_known(head, token):
                return None
            rows, _ = await self._items.rows(conversation, head.spans(), False, 1)
            await self._check_begin(conversation, head, begins)
            await self._find(conversation, head, upto)
            front = number(rows[0][NUMBER]["N"]) if rows else math.floor(head.above) + 1
            new = msgspec.structs.replace(head, begins=front, version=version)
            step = guarded(update(conversation, head, version, new), token)
            if await self._table.client.transact([step]):
                return new
        raise AssertionError("attempts end by returning or raising")

    async def _abandon(self, conversation: str, claim: Head) -> None:
        """Clear up after a replace that failed, under another version: a request of it that is
        still on its way would show what is being removed."""
        version = uuid.uuid4().hex
        if await self._table.client.transact([update(conversation, claim, version, claim)]):
            new = msgspec.structs.replace(claim, version=version)
            await self.clear_up(conversation, new)

    async def _find(self, conversation: str, head: Head, upto: Position) -> None:
        """Changed, where no message stands there any more."""
        if upto != START and not await self._from(conversation, head, upto):
            raise self._table.changed(conversation)

    async def _stage(
        self,
        conversation: Conversation,
        claim: Head,
        messages: AsyncIterable[Sequence[Message]],
        base: int,
    ) -> int:
        """Write the new messages where nobody sees them; tell how many."""
        count, names = 0, reserved(self._table)
        async for page in messages:
            if reasons := model.refusals([(conversation, page)], self._refusal):
                raise Rejected([(c, count + n, why) for c, n, why in reasons])
            for items in _transactions([encode(message, names) for message in page]):
                keyed = [
                    _staged(conversation.id, claim, base, count + index, item)
                    for index, item in enumerate(items)
                ]
                steps = [unchanged(conversation.id, claim), *map(put, keyed)]
                done = await self._table.client.transact(steps)
                if not done and not await self._is_there(keyed[0]):
                    raise self._table.changed(conversation.id)
                count += len(items)
        return count

    async def _is_there(self, item: Item) -> bool:
        """Whether the very item is there: written, though the answer was lost."""
        answer = await self._table.client.call(
            "get_item",
            TableName=self._table.client.table,
            Key={name: item[name] for name in (CONVERSATION, NUMBER)},
            ConsistentRead=True,
        )
        return bool(answer.get("Item", {}).get("call") == item["call"])

    async def _show(self, claim: Head, switch: "_Switch") -> None:
        """One write of the head: the new messages are seen, and the old front is not."""
        conversation = switch.conversation.id
        version = uuid.uuid4().hex
        async for _ in self._table.attempts():
            head = await self._heads.one(conversation)
            if head.version == version:  # done, though the answer was lost
                break
            if self._heads.is_known(head, switch.token):
                return
            if head.version != claim.version:
                raise self._table.changed(conversation)
            new, steps = await self._switched(head, version, switch)
            if await self._table.client.transact(steps):
                head = new
                break
        if switch.count:
            await self.clean(conversation, head)
        else:
            await self.clear_up(conversation, head)

    async def _switched(
        self, head: Head, version: str, switch: "_Switch"
    ) -> tuple[Head, list[Step]]:
        """The head by which the new messages are seen, and the steps that make it so."""
        conversation, upto, begins, token = (
            switch.conversation.id, switch.upto, switch.begins, switch.token
        )  # fmt: skip
        rows = await self._from(conversation, head, upto) if upto != START else []
        if upto != START and not rows:
            raise self._table.changed(conversation)
        await self._check_begin(conversation, head, begins)
        values: dict[str, Any] = description(switch.conversation)
        if rows and not switch.count:
            return self._cut(conversation, head, version, rows, begins, token, values)
        new = head
        if switch.count:
            again, above = _behind(head, rows)
            skip = (switch.base + switch.count, again)
            new = msgspec.structs.replace(head, begins=switch.base, skip=skip, above=above)
            if self._table.indexed:
                values["listed"] = {"S": shard(conversation)}
        elif not await self._items.newest(conversation, head):
            values = {}  # it is nothing, and nothing comes to it
        step = marked(update(conversation, head, version, new, values), token)
        steps = [step, *all_there(conversation, [upto, begins])]
        if begins == START:
            steps.append(nobody(conversation, math.floor(head.above) + 1))
        return msgspec.structs.replace(new.remembering(token), version=version), steps


def _behind(head: Head, rows: Sequence[Item]) -> tuple[Number, Number]:
    """The number from which on the old messages stay, and that above which new ones go; `rows`
    are the last message that goes, and the first that stays."""
    if not rows:
        return head.begins, head.above
    last = math.floor(number(rows[0][NUMBER]["N"]))
    again = number(rows[1][NUMBER]["N"]) if len(rows) > 1 else last + 1
    return again, max(head.above, last)


def _staged(conversation: str, claim: Head, base: int, index: int, item: Item) -> Item:
    assert claim.version is not None
    call: Item = {"call": {"S": claim.version}, "i": {"N": str(index)}}
    return {**key_of(conversation, base + index), **call, **item}


def _transactions(items: Sequence[Item]) -> list[list[Item]]:
    """The items in groups that one transaction takes, beside a look at the head."""
    groups: list[list[Item]] = []
    size = 0
    for item in items:
        more = item_size(item)
        if not groups or len(groups[-1]) == STEPS - 1 or size + more > BYTES:
            groups.append([])
            size = 0
        groups[-1].append(item)
        size += more
    return groups
