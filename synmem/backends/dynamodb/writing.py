"""Appending to DynamoDB: which items go together in a transaction, and what if one is refused."""

import asyncio
import math
import time
import uuid
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from synmem.backends.dynamodb.calls import pause
from synmem.backends.dynamodb.head import LOWEST, Head, key_of, number_of, position_of
from synmem.backends.dynamodb.heads import Heads
from synmem.backends.dynamodb.items import Items
from synmem.backends.dynamodb.steps import (
    BYTES,
    STEPS,
    Step,
    begins_at,
    marked,
    put,
    there,
    unchanged,
    update,
)
from synmem.backends.dynamodb.table import PATIENCE_S, Table, reserved, shard
from synmem.errors import Rejected, StoreUnavailable
from synmem.layouts.own.dynamodb_items import (
    NUMBER,
    Item,
    Number,
    description,
    description_size,
    encode,
    item_size,
    number,
)
from synmem.store import START, Part, Position


class Work:
    """A part of an append: what of it is written, and how the conversation was last seen."""

    head = Head()
    end: Position = START

    def __init__(
        self,
        part: Part,
        call: str,
        keep: int | None,
        token: str | None,
        reserved: Collection[str],
    ) -> None:
        self.conversation = part.conversation
        self.expect = part.expect
        self.call = call
        """What the items carry, so that this append knows them again."""
        self.unmarked = token
        """The token that the head is still to remember."""
        self.items = [encode(message, reserved) for message in part.messages]
        self.sizes = [item_size(item) for item in self.items]
        self.done = 0
        self.described = not description(part.conversation)
        self.keep = keep
        """To how many messages it is still to be trimmed."""

    @property
    def steps(self) -> int:
        """So many steps of a transaction would write all that is left, at most."""
        return len(self.items) - self.done + 2

    @property
    def bytes(self) -> int:
        """What they count, at most: a head has room for little beside title and extra."""
        return sum(self.sizes) + description_size(self.conversation) + 2000

    @property
    def absent(self) -> bool:
        """Whether it is nothing, and nothing comes to it: that is not described, nor listed."""
        return not self.items and self.end == START

    @property
    def next(self) -> Number:
        """The number of the next message."""
        last = math.floor(number_of(self.end)) if self.end != START else LOWEST
        return max(last, math.floor(self.head.above)) + 1

    def is_done(self) -> bool:
        """Whether all is done."""
        left = self.done < len(self.items) or not self.described or self.keep is not None
        return self.unmarked is None and (self.absent or not left)

    def settle(self) -> None:
        """It was done before, and the head knows it."""
        self.done, self.described, self.keep, self.unmarked = len(self.items), True, None, None

    def room(self) -> int:
        """How many of the messages that are left fit in one transaction."""
        count, size = 0, 0
        for one in self.sizes[self.done : self.done + STEPS - 2]:
            size += one
            if size > BYTES:
                break
            count += 1
        return count


class Writer:
    """Appends."""

    def __init__(self, table: Table, heads: Heads, items: Items) -> None:
        self._table = table
        self._heads = heads
        self._items = items

    async def append(
        self, parts: Sequence[Part], keep: int | None, token: str | None
    ) -> tuple[list[Position], list[tuple[str, Head]] | None]:
        """Append; the new ends, and the conversations that were trimmed, with their heads: None
        where the token says that all this was done before."""
        call = uuid.uuid4().hex
        works = [Work(part, call, keep, token, reserved(self._table)) for part in parts]
        if token is not None:
            _check_whole(works)
        await self.see(works)
        if self.are_known(works):
            return [work.end for work in works], None
        self.check_ends(works)
        writer = _Append(self._table, self)
        outcomes = await asyncio.gather(
            *(writer.write(group) for group in _groups(works)), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return [work.end for work in works], writer.trimmed

    async def see(self, works: Sequence[Work]) -> None:
        """Look where each conversation ends; the head first, which the writing then relies on."""
        heads = await self._heads.of([work.conversation.id for work in works])

        async def look(work: Work) -> None:
            work.head = heads[work.conversation.id]
            newest = await self._items.newest(work.conversation.id, work.head)
            work.end = position_of(newest[0]) if newest else START

        await asyncio.gather(*(look(work) for work in works))

    def check_ends(self, works: Sequence[Work]) -> None:
        """Changed, where one has another end than it is expected to have."""
        for work in works:
            if work.expect is not None and work.expect != work.end:
                raise self._table.changed(work.conversation.id)

    def are_known(self, works: Sequence[Work]) -> bool:
        """Whether these parts, which are one step, were done before; Changed if called off."""
        return any(self._heads.is_known(work.head, work.unmarked) for work in works)

    async def newest(self, work: Work, count: int) -> list[Item]:
        """Its newest messages as it was seen, newest first, without what they say."""
        return await self._items.newest(work.conversation.id, work.head, count)


class _Append:
    """One append: writes its groups, and remembers what it trimmed."""

    def __init__(self, table: Table, writer: Writer) -> None:
        self._table = table
        self._writer = writer
        self.trimmed: list[tuple[str, Head]] = []

    async def write(self, works: Sequence[Work]) -> None:
        """All of these parts: in one transaction, or where that is one part, in several."""
        deadline = time.monotonic() + PATIENCE_S
        left = [work for work in works if not work.is_done()]
        while left:
            slices = [(work, work.room()) for work in left]
            trims = [await self._trim(work, count) for work, count in slices]
            steps = [
                step
                for (work, count), trim in zip(slices, trims, strict=True)
                for step in self._steps(work, count, trim)
            ]
            if await self._table.client.transact(steps) or await self._was_done(slices):
                for (work, count), trim in zip(slices, trims, strict=True):
                    self._advance(work, count, trim)
                deadline = time.monotonic() + PATIENCE_S
            else:
                await self._look_again(left, deadline)
            left = [work for work in left if not work.is_done()]

    async def _look_again(self, works: Sequence[Work], deadline: float) -> None:
        """Somebody else wrote meanwhile: go on behind that, where the part takes any end."""
        if time.monotonic() > deadline:
            raise StoreUnavailable(
                f"{self._table.name}: others write to the same conversation all the time",
                hint="try again later",
            )
        await pause()
        await self._writer.see(works)
        if self._writer.are_known(works):  # done, though the answer was lost
            for work in works:
                work.settle()
        else:
            self._writer.check_ends(works)

    async def _was_done(self, slices: Sequence[tuple[Work, int]]) -> bool:
        """Whether a transaction that was refused had been done before, its answer lost: then the
        first message that it was to write is there, by this call."""
        for work, count in slices:
            if count:
                answer = await self._table.client.call(
                    "get_item",
                    TableName=self._table.client.table,
                    Key=key_of(work.conversation.id, work.next),
                    ConsistentRead=True,
                    ProjectionExpression="#call, #i",
                    ExpressionAttributeNames={"#call": "call", "#i": "i"},
                )
                item = answer.get("Item", {})
                ours = {"call": {"S": work.call}, "i": {"N": str(work.done)}}
                return bool(item == ours)
        return False

    def _steps(self, work: Work, count: int, trim: Number | None) -> list[Step]:
        """The steps that write so many messages of a part: the head, the end expected, items."""
        steps = [self._head_step(work, trim)]
        if work.expect not in (None, START) and work.done == 0:
            steps.append(there(work.conversation.id, work.end))
        first = work.next
        for index in range(work.done, work.done + count):
            item = {
                **key_of(work.conversation.id, first + index - work.done),
                "call": {"S": work.call},
                "i": {"N": str(index)},
                **work.items[index],
            }
            steps.append(put(item))
        return steps

    def _head_step(self, work: Work, trim: Number | None) -> Step:
        """Update the head where something of it changes; else see that it did not change."""
        conversation, head = work.conversation, work.head
        values: dict[str, Any] = {}
        if self._table.indexed and not head.listed and not work.absent:
            values["listed"] = {"S": shard(conversation.id)}
        if not work.described and not work.absent:
            values.update(description(conversation))
        if trim is not None:
            step = update(conversation.id, head, work.call, begins_at(head, trim, work.end), values)
        elif values or work.unmarked is not None:
            step = update(conversation.id, head, head.version or work.call, head, values)
        else:
            return unchanged(conversation.id, head)
        return marked(step, work.unmarked)

    async def _trim(self, work: Work, count: int) -> Number | None:
        """Where the conversation is to begin, when the last of the part is written with these."""
        if work.keep is None or work.done + count < len(work.items):
            return None
        if count >= work.keep:
            return work.next + count - work.keep
        missing = work.keep - count
        newest = await self._writer.newest(work, missing + 1)
        return number(newest[missing - 1][NUMBER]["N"]) if len(newest) > missing else None

    def _advance(self, work: Work, count: int, trim: Number | None) -> None:
        """The transaction is done: what a part is now."""
        first, indexed = work.next, self._table.indexed
        written = (indexed and not work.head.listed) or not work.described or work.unmarked
        version = work.head.version or (work.call if written else None)
        if trim is not None:
            work.head, version = begins_at(work.head, trim, work.end), work.call
        work.head = work.head.remembering(work.unmarked)
        work.unmarked = None
        work.head = msgspec.structs.replace(work.head, version=version, listed=indexed)
        if trim is not None:
            self.trimmed.append((work.conversation.id, work.head))
        work.described = True
        work.done += count
        if work.done == len(work.items):
            work.keep = None
        if count:
            work.end = f"{first + count - 1}:{work.call}:{work.done - 1}"
            if work.expect is not None:
                work.expect = work.end


def _groups(works: Sequence[Work]) -> list[list[Work]]:
    """What goes together: as many parts as one transaction takes, or one that takes several."""
    groups: list[list[Work]] = []
    steps = size = 0
    for work in works:
        more = work.bytes
        if not groups or steps + work.steps > STEPS or size + more > BYTES:
            groups.append([])
            steps = size = 0
        groups[-1].append(work)
        steps, size = steps + work.steps, size + more
    return groups


def _check_whole(works: Sequence[Work]) -> None:
    """Rejected, where these are more than one transaction takes: a token is for one step."""
    steps, size = sum(work.steps for work in works), sum(work.bytes for work in works)
    if steps > STEPS or size > BYTES:
        why = f"{steps} items of {size:,} bytes; one step takes {STEPS} of {BYTES:,} together"
        raise Rejected([(work.conversation.id, 0, why) for work in works])
