"""The items of another framework in a DynamoDB table, each a whole conversation."""

import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from synmem.backends.dynamodb.calls import Client, pause
from synmem.backends.dynamodb.finding import ItemsFit
from synmem.backends.dynamodb.items import following
from synmem.errors import StoreError, StoreUnavailable
from synmem.layouts.own.dynamodb_items import Item, Value, json_form, number_text, type_of
from synmem.layouts.shapes import MALFORMED, Told
from synmem.messages import STRAY, Damage, Message, Unreadable, chunks

_AT_ONCE: Final = 100
"""So many items a call may ask for."""
_PATIENCE_S: Final = 30.0

_LONGEST: Final = 1024
"""So many bytes has an id at most."""


class ForeignItems:
    """The items of the table: what they hold, and by which keys they are found.

    The id of a conversation is its key; where there are two, both, as a JSON array of texts. An
    item of which the time to live is over is there until DynamoDB removes it, as for its framework.
    """

    def __init__(self, client: Client, fit: ItemsFit, *, made: bool, page_size: int) -> None:
        self.client = client
        self.name = client.name
        self.fit = fit
        self.made = made
        self._page_size = page_size
        self._strays: list[Damage] | None = None

    # --- ids and keys ---

    def id_of(self, item: Item) -> str:
        """The id of the conversation that an item is."""
        texts = [item[name][kind] for name, kind in self.fit.keys]
        return texts[0] if len(texts) == 1 else msgspec.json.encode(texts).decode()

    def key_of(self, conversation: str) -> Item | None:
        """The key of a conversation; None where none of the table's can have that id."""
        keys = self.fit.keys
        try:
            texts = [conversation]
            if len(keys) > 1:
                texts = msgspec.json.decode(conversation, type=list[str])
            for text, (_, kind) in zip(texts, keys, strict=True):
                if kind == "N":
                    number_text(text)
                elif not text:
                    return None
        except (msgspec.MsgspecError, ValueError, ArithmeticError, UnicodeError):
            return None
        found = {name: {kind: text} for text, (name, kind) in zip(texts, keys, strict=True)}
        return found if self.id_of(found) == conversation else None

    def id_refusal(self, conversation: str) -> str | None:
        """Why no item would have that id, or None."""
        key = self.key_of(conversation)
        if key is not None and _one(key) == _texts(key):
            return None
        shown = ", ".join(f"{name} ({kind})" for name, kind in self.fit.keys)
        if len(self.fit.keys) > 1:
            return f"an id is a JSON array there, of the texts of {shown}"
        return f"the table's key {shown} cannot be that, or would be another text"

    # --- whole conversations ---

    async def ids(self) -> AsyncIterator[list[str]]:
        """See `Source.ids`: the table is read whole for it."""
        strays: list[Damage] = []
        waiting: list[str] = []
        async for item in self._scan():
            conversation = self.id_of(item)
            if len(conversation.encode()) > _LONGEST:
                why = f"its key is longer than the {_LONGEST} bytes that an id may have"
                strays.append(Damage(STRAY, conversation[:50], why))
                continue
            waiting.append(conversation)
            if len(waiting) == self._page_size:
                yield waiting
                waiting = []
        if waiting:
            yield waiting
        self._strays = strays

    async def _scan(self) -> AsyncIterator[Item]:
        """The keys of the items that have the attribute."""
        names = {f"#k{n}": name for n, (name, _) in enumerate(self.fit.keys)}
        start: Any = {} if self.made else None
        while start is not None:
            answer = await self.client.call(
                "scan",
                TableName=self.client.table,
                ConsistentRead=True,
                ProjectionExpression=", ".join(names),
                FilterExpression="attribute_exists(#h)",
                ExpressionAttributeNames={**names, "#h": self.fit.attribute},
                **start,
            )
            for item in answer["Items"]:
                yield item
            start = following(answer)

    async def told(self, ids: Sequence[str]) -> Mapping[str, Told]:
        """See `Source.told`."""
        items = await self.items(ids, self.fit.attribute)
        return {
            conversation: self.told_by(item)
            for conversation, item in items.items()
            if self.fit.attribute in item
        }

    def told_by(self, item: Item) -> Told:
        """What an item says that has the attribute."""
        value = item[self.fit.attribute]
        if "L" not in value:
            why = f"its {self.fit.attribute} is not a list but {type_of(value)}"
            return Told(messages=[Unreadable("conversation", f"the conversation: {why}")])
        return Told(messages=[*self.said(value["L"])])

    def said(self, elements: Sequence[Value]) -> Iterator[Message | Unreadable]:
        """What the elements of a list say."""
        for index, element in enumerate(elements):
            try:
                yield from self.fit.shape.unfold(json_form(element, keep_bytes=True))
            except MALFORMED as error:
                yield Unreadable(f"element {index}", f"element {index}: {error}")

    async def items(self, ids: Sequence[str], *attributes: str) -> dict[str, Item]:
        """The items of these conversations: their keys, and which they have of these attributes,
        or, where none is named, all that they have."""
        # Two ids may be one number, and no call may ask for an item twice.
        keys = {(*_one(key),): key for each in ids if (key := self.key_of(each)) is not None}
        found: dict[str, Item] = {}
        for some in chunks([*keys.values()] if self.made else [], _AT_ONCE):
            async for item in self._get(some, attributes):
                found[self.id_of(item)] = item
        return {conversation: found[conversation] for conversation in ids if conversation in found}

    async def _get(self, keys: Sequence[Item], attributes: Sequence[str]) -> AsyncIterator[Item]:
        """The items of these keys; those that the server had no room or no time for are asked for
        again."""
        how: dict[str, Any] = {"ConsistentRead": True}
        if attributes:
            wanted = [*(name for name, _ in self.fit.keys), *attributes]
            names = {f"#a{n}": name for n, name in enumerate(wanted)}
            how |= {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}
        table, deadline = self.client.table, time.monotonic() + _PATIENCE_S
        asked: Any = {table: {"Keys": keys, **how}}
        while asked:
            answer = await self.client.call("batch_get_item", RequestItems=asked)
            for item in answer["Responses"].get(table, []):
                deadline = time.monotonic() + _PATIENCE_S
                yield item
            asked = answer.get("UnprocessedKeys")
            if asked and time.monotonic() > deadline:
                raise StoreUnavailable(f"{self.name}: the server is busy", hint="try again later")
            if asked and not answer["Responses"].get(table):
                await pause()

    async def strays(self) -> list[Damage]:
        """See `Source.strays`: items whose key no id can be, as of when all were last listed."""
        if self._strays is None:
            async for _ in self.ids():
                pass
        return self._strays or []

    async def version(self) -> None:
        """See `Source.version`: it cannot be told."""

    # --- how long they have left ---

    async def expiring(self, ids: Sequence[str]) -> dict[str, float]:
        """See `SupportsExpiry.expiring`."""
        attribute, now = await self.expiry(), time.time()
        items = await self.items(ids, attribute)
        return {
            conversation: max(0.0, float(item[attribute]["N"]) - now)
            for conversation, item in items.items()
            if "N" in item.get(attribute, {})
        }

    async def expiry(self) -> str:
        """The attribute that says when an item passes: the table's, or if it has none or that may
        not be asked, the framework's."""
        with contextlib.suppress(StoreError):
            answer = await self.client.call("describe_time_to_live", TableName=self.client.table)
            said = answer.get("TimeToLiveDescription", {})
            return str(said.get("AttributeName") or self.fit.shape.expiry)
        return self.fit.shape.expiry

    async def close(self) -> None:
        """See `Source.close`."""
        await self.client.close()


def _one(key: Item) -> list[str]:
    """What is the same for keys that are one to DynamoDB."""
    pairs = [pair for value in key.values() for pair in value.items()]
    return [number_text(text) if kind == "N" else text for kind, text in pairs]


def _texts(key: Item) -> list[str]:
    return [text for value in key.values() for text in value.values()]
