"""Writing to the items of another framework: each write is a transaction, with the condition that
the lists are what was looked at; of two writers the later one looks again.

A transaction has a token, by which DynamoDB knows it again for ten minutes: one whose answer was
lost is not done twice.
"""

import itertools
import time
from collections.abc import AsyncIterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from synmem import messages as model
from synmem.backends.dynamodb.foreign_source import ForeignItems
from synmem.backends.dynamodb.steps import BYTES, STEPS, Step
from synmem.backends.dynamodb.table import attempts, made
from synmem.backends.paging import changed, opened_for_reading, storable
from synmem.backends.telling import index_at, position_at, readable
from synmem.errors import CorruptData, Rejected, Unsupported
from synmem.layouts.lazy import Said
from synmem.layouts.own.dynamodb_items import (
    LARGEST,
    LEVELS_OF_ATTRIBUTES,
    Item,
    Value,
    json_form,
    low_level,
    size_of,
)
from synmem.layouts.shapes import Told
from synmem.messages import Conversation, Message, ascii_json, chunks
from synmem.store import START, Part, Position

_LEVELS: Final = LEVELS_OF_ATTRIBUTES - 1
"""So many levels may an element of the list have."""


class _Seen(msgspec.Struct, frozen=True):
    """A conversation as it was looked at: each element of its list is a message."""

    conversation: str
    item: Item
    """What is in its item; nothing where there is none."""
    elements: Sequence[Value]
    said: Sequence[Said]


class _Change(msgspec.Struct, frozen=True):
    """What a conversation is to hold instead; nothing else than that and `added` more elements,
    where these are any."""

    seen: _Seen
    elements: Sequence[Value]
    added: int = 0


class ForeignWriter:
    """Appends, deletes and replaces."""

    def __init__(self, items: ForeignItems, *, write: bool) -> None:
        self._items = items
        self._fit = items.fit
        self._name = items.name
        self._write_opened = write

    def refusal(self, message: Message) -> str | None:
        """Why the framework's own reader would not read the message, or DynamoDB not hold it."""
        shape = self._fit.shape
        if shape.fold is None or shape.refusal is None:
            return f"what {self._fit.layout} stores on DynamoDB can be read, not written"
        if why := shape.refusal(message):
            return why
        if model.plain(message):
            return None
        said = shape.fold(message)
        try:
            value = low_level(said, _LEVELS)
        except (ValueError, ArithmeticError, TypeError, AttributeError) as error:
            return f"DynamoDB cannot hold it: {error}"
        if ascii_json(json_form(value)) != ascii_json(said):
            return "a number in it would be another one: in DynamoDB 1.0 is 1"
        size = size_of(value)
        return (
            f"takes {size:,} bytes; an item of DynamoDB's {LARGEST:,}" if size > LARGEST else None
        )

    async def append(
        self, parts: Sequence[Part], keep: int | None, token: str | None
    ) -> list[Position]:
        """See `Store.append`: one transaction for up to 100 conversations of 4 MB together."""
        self._writing(token)
        self._check([(part.conversation, part.messages) for part in parts])
        await self._make()
        groups = [*chunks(parts, STEPS)]
        for group in groups if len(groups) > 1 else ():
            await self._appended(group, keep)  # all are looked at before the first is written
        ends: dict[str, Position] = {}
        for group in groups:
            await self._append(group, keep, ends)
        return [ends[part.conversation.id] for part in parts]

    async def _append(
        self, parts: Sequence[Part], keep: int | None, ends: dict[str, Position]
    ) -> None:
        left = [*parts]
        async for _ in attempts(self._name):
            some = _for_one(await self._appended(left, keep))
            if await self._write(some):
                ends.update((change.seen.conversation, self._end(change)) for change in some)
                left = [part for part in left if part.conversation.id not in ends]
            if not left:
                return

    async def _appended(self, parts: Sequence[Part], keep: int | None) -> list[_Change]:
        """What these parts make of the conversations as they are now."""
        seen = await self._look([part.conversation.id for part in parts])
        changes, reasons = [], []
        for part, there in zip(parts, seen, strict=True):
            if part.expect is not None and not _ends_at(there, part.expect):
                raise changed(part.conversation.id, self._name)
            new = self._elements(part.messages)
            change = _Change(there, [*there.elements, *new], len(new))
            if keep is not None and len(change.elements) > keep:
                change = _Change(there, change.elements[len(change.elements) - keep :])
                new = new[max(0, len(new) - keep) :]
            left = change.elements[: len(change.elements) - len(new)]
            reasons += self._no_room(there, left, new, len(part.messages) - len(new))
            changes.append(change)
        if reasons:
            raise Rejected(reasons)
        return changes

    async def delete(
        self, conversation: str, upto: Position | None, begins: Position | None, token: str | None
    ) -> bool:
        """See `Store.delete`."""
        self._writing(token)
        if self._items.key_of(conversation) is None:
            return False
        async for _ in attempts(self._name):
            [seen] = await self._look([conversation])
            if not seen.said:
                return False
            self._check_begin(seen, begins)
            cut = len(seen.elements) if upto is None else self._index(seen, upto) + 1
            if await self._write([_Change(seen, seen.elements[cut:])]):
                return True
        raise AssertionError("attempts end by returning or raising")

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        upto: Position,
        begins: Position | None,
        token: str | None,
    ) -> None:
        """See `Store.replace`."""
        self._writing(token)
        self._check([(conversation, [])])
        await self._make()
        new = await self._gathered(conversation, messages)
        async for _ in attempts(self._name):
            [seen] = await self._look([conversation.id])
            if begins is not None:
                self._check_begin(seen, begins)
            cut = 0 if upto == START else self._index(seen, upto) + 1
            left = seen.elements[cut:]
            if reasons := self._no_room(seen, left, new):
                raise Rejected(reasons)
            if await self._write([_Change(seen, [*new, *left])]):
                return

    async def _gathered(
        self, conversation: Conversation, messages: AsyncIterable[Sequence[Message]]
    ) -> list[Value]:
        """The elements of all these messages; Rejected as soon as they are too many."""
        found: list[Value] = []
        nothing = _Seen(conversation.id, {}, [], [])
        async for page in messages:
            if reasons := model.refusals([(conversation, page)], self.refusal):
                raise Rejected([(i, len(found) + n, why) for i, n, why in reasons])
            found += self._elements(page)
            if reasons := self._no_room(nothing, [], found):
                raise Rejected(reasons)
        return found

    async def refuses_back(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsTrial.refuses_back`: what was written in fewer words than the framework's
        may be more than an item has room for, whichever of its messages come back."""
        self._writing(None)
        ids = [id_ for id_ in storable(conversations) if self._items.key_of(id_) is not None]
        found: dict[str, str] = {}
        for some in chunks(ids, STEPS):
            for conversation, item in (await self._items.items(some)).items():
                elements = item.get(self._fit.attribute, {}).get("L", [])
                seen = _Seen(conversation, item, elements, self._said(elements))
                for _, _, why in self._no_room(seen, [], self._larger(seen)):
                    found[conversation] = f"brought back, it {why}"
        return found

    def _larger(self, seen: _Seen) -> list[Value]:
        """Of each element and what is written where its message comes back, the larger one."""
        found = []
        for element, said in zip(seen.elements, seen.said, strict=True):
            if isinstance(said, Message) and self.refusal(said) is None:
                element = max(element, *self._elements([said]), key=size_of)
            found.append(element)
        return found

    async def expire(self, left_s: Mapping[str, float]) -> None:
        """See `SupportsExpiry.expire`."""
        self._writing(None)
        attribute, now = await self._items.expiry(), time.time()
        for conversation, left in left_s.items():
            if (key := self._items.key_of(conversation)) is not None:
                step = {
                    "Key": key,
                    "ConditionExpression": "attribute_exists(#h)",
                    "UpdateExpression": "SET #e = :e",
                    "ExpressionAttributeNames": {"#h": self._fit.attribute, "#e": attribute},
                    "ExpressionAttributeValues": {":e": {"N": str(int(now + left))}},
                }
                await self._items.client.transact([{"Update": step}])

    # --- before anything is written ---

    def _writing(self, token: str | None) -> None:
        """Unsupported where it cannot be written."""
        if self._fit.shape.fold is None:
            raise Unsupported(f"{self._name}: what {self._fit.layout} stores can only be read")
        if token is not None:
            raise Unsupported(f"{self._name} is {self._fit.layout}'s: it remembers no step of ours")
        if not self._write_opened:
            raise opened_for_reading(self._name)

    def _check(self, parts: Sequence[tuple[Conversation, Sequence[Message]]]) -> None:
        reasons = model.refusals(parts, self.refusal)
        known = {conversation for conversation, _, _ in reasons}
        for conversation, _ in parts:
            if conversation.id not in known and (why := self._items.id_refusal(conversation.id)):
                reasons.append((conversation.id, 0, why))
        if reasons:
            raise Rejected(reasons)

    async def _make(self) -> None:
        """Make the table, where it is missing."""
        if self._items.made:
            return
        [(name, kind)] = self._fit.keys
        await self._items.client.create(
            TableName=self._items.client.table,
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind}],
            KeySchema=[{"AttributeName": name, "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        await made(self._items.client)
        self._items.made = True

    # --- looks, changes, steps ---

    async def _look(self, ids: Sequence[str]) -> list[_Seen]:
        """These conversations as they are; CorruptData where it cannot be said what one holds."""
        items = await self._items.items(ids)
        found = []
        for conversation in ids:
            item = items.get(conversation, {})
            value = item.get(self._fit.attribute, {"L": []})
            if "L" not in value:
                raise CorruptData(
                    f"{self._name}: {conversation!r}: its {self._fit.attribute} is not a list",
                    hint="nothing is written to it",
                )
            found.append(_Seen(conversation, item, value["L"], self._said(value["L"])))
        return found

    def _said(self, elements: Sequence[Value]) -> Sequence[Said]:
        return readable(Told(messages=[*self._items.said(elements)])).messages

    def _elements(self, messages: Sequence[Message]) -> list[Value]:
        fold = self._fit.shape.fold
        assert fold is not None
        return [low_level(fold(message), _LEVELS) for message in messages]

    def _index(self, seen: _Seen, position: Position) -> int:
        index = index_at(seen.said, position)
        if index is None:
            raise changed(seen.conversation, self._name)
        return index

    def _check_begin(self, seen: _Seen, begins: Position | None) -> None:
        """Changed, where its first message is not this one."""
        if begins is not None and (
            bool(seen.said) if begins == START else index_at(seen.said, begins) != 0
        ):
            raise changed(seen.conversation, self._name)

    def _end(self, change: _Change) -> Position:
        """Where a conversation ends after a change."""
        said = self._said(change.elements)
        return position_at(said, len(said) - 1) if said else START

    def _no_room(
        self, seen: _Seen, left: Sequence[Value], new: Sequence[Value], nth: int = 0
    ) -> list[tuple[str, int, str]]:
        """The first of these new elements for which the item has no room beside what is left in it,
        and why; they are the messages from the `nth` on."""
        item = {**(self._items.key_of(seen.conversation) or {}), **seen.item}
        item[self._fit.attribute] = {"L": left}
        size = sum(len(name.encode()) + size_of(value) for name, value in item.items())
        sizes = [*itertools.accumulate((1 + size_of(each) for each in new), initial=size)]
        for index, size in enumerate(sizes[1:]):
            if size > LARGEST:
                why = f"takes its conversation to {size:,} bytes; an item of DynamoDB's has"
                return [(seen.conversation, nth + index, f"{why} {LARGEST:,}")]
        return []

    async def _write(self, changes: Sequence[_Change]) -> bool:
        """Make these changes, or none of them; False where something is not as it was seen."""
        steps = [self._step(c) for c in changes if c.elements != c.seen.elements]
        return not steps or await self._items.client.transact(steps)

    def _step(self, change: _Change) -> Step:
        seen, new = change.seen, change.elements
        step: dict[str, Any] = {
            "Key": self._items.key_of(seen.conversation),
            "ExpressionAttributeNames": {"#h": self._fit.attribute},
        }
        if change.added and seen.elements:
            return {"Update": {**step, **_added(seen.elements, new[-change.added :])}}
        step |= _same(seen, self._fit.attribute)
        if not new and not self._keeps_others(seen.item):
            return {"Delete": step}
        step["UpdateExpression"] = "SET #h = :new"
        values = {**step.get("ExpressionAttributeValues", {}), ":new": {"L": new}}
        return {"Update": {**step, "ExpressionAttributeValues": values}}

    def _keeps_others(self, item: Item) -> bool:
        """Whether there is something of somebody else's in the item: then its list is empty
        instead."""
        known = {name for name, _ in self._fit.keys}
        return bool(item.keys() - known - {self._fit.attribute, self._fit.shape.expiry})


def _ends_at(seen: _Seen, position: Position) -> bool:
    if position == START or not seen.said:
        return position == START and not seen.said
    return index_at(seen.said, position) == len(seen.said) - 1


def _added(old: Sequence[Value], new: Sequence[Value]) -> dict[str, Any]:
    """Put these elements behind the others, which are seen to be as many, with the same first and
    last."""
    last = len(old) - 1
    return {
        "ConditionExpression": f"size(#h) = :n AND #h[0] = :first AND #h[{last}] = :last",
        "UpdateExpression": "SET #h = list_append(#h, :new)",
        "ExpressionAttributeValues": {
            ":n": {"N": str(len(old))}, ":first": old[0], ":last": old[last], ":new": {"L": new},
        },
    }  # fmt: skip


def _same(seen: _Seen, attribute: str) -> dict[str, Any]:
    """The condition that the list is what was seen."""
    if attribute not in seen.item:
        return {"ConditionExpression": "attribute_not_exists(#h)"}
    return {
        "ConditionExpression": "#h = :old",
        "ExpressionAttributeValues": {":old": {"L": seen.elements}},
    }


def _for_one(changes: Sequence[_Change]) -> list[_Change]:
    """As many of these as a transaction takes, from the first on."""
    sizes = itertools.accumulate(
        sum(map(size_of, change.elements)) + sum(map(size_of, change.seen.elements))
        for change in changes
    )
    return [
        c for n, (c, size) in enumerate(zip(changes, sizes, strict=True)) if not n or size < BYTES
    ]
