"""Items of other frameworks in a DynamoDB table, as `Items` of `layouts/shapes.py` has them, for
all layouts: each is a whole conversation, with its messages in a list.

A conversation is read at one moment, in one look at its item. An item of which the time to live is
over is listed and read until DynamoDB removes it: that is how its framework reads it too. Nothing
of ours is put into the table, and other attributes of an item stay as they are. A conversation has
room for 400 KB: an append that would take it beyond is refused before anything is written.

LangChain itself writes a whole session anew, without a condition: what anybody adds between its
look and its write is gone.
"""

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from synmem.backends.dynamodb.calls import Client
from synmem.backends.dynamodb.finding import ItemsFit, find, unnamed
from synmem.backends.dynamodb.foreign_source import ForeignItems
from synmem.backends.dynamodb.foreign_writing import ForeignWriter
from synmem.backends.dynamodb.table import Described
from synmem.backends.whole import WholeStore
from synmem.errors import Unnamed
from synmem.layouts import naming, registry
from synmem.messages import Conversation, Damage, Message
from synmem.store import START, ConversationInfo, Page, Part, Position


async def open_foreign(
    client: Client,
    table: Described | None,
    settings: Mapping[str, Any],
    *,
    write: bool,
    page_size: int,
) -> "ForeignStore":
    """The store of the layout that this table is of, or of the one that is named. A table that is
    not there is made by the first write, where `create` is set."""
    if table is None and not (write and settings.get("create")):
        raise client.not_there()
    layout, attribute = settings.get("layout"), settings.get("attribute")
    fit = await find(client, table, layout, attribute, write=write)
    items = ForeignItems(client, fit, made=table is not None, page_size=page_size)
    return ForeignStore(items, write=write, page_size=page_size)


def _remark(fit: ItemsFit) -> str:
    return naming.whose(fit.layout, fit.shape.version, f"attribute {fit.attribute}")


class ForeignStore:
    """A `Store` in the items of another framework."""

    def __init__(self, items: ForeignItems, *, write: bool, page_size: int) -> None:
        self.name = items.name
        self.holds = replace(
            items.fit.shape.holds,
            call_messages=5_000, call_bytes=16_000_000, atomic_messages=100,
            lasting_positions=False, written=registry.is_written(items.fit.shape),
        )  # fmt: skip
        self._items = items
        self._whole = WholeStore(
            items, self.holds, _remark(items.fit), branches=False, page_size=page_size
        )
        self._writer = ForeignWriter(items, write=write)

    def refusal(self, message: Message) -> str | None:
        """Why the framework's own reader would not read the message, or DynamoDB not hold it."""
        return self._writer.refusal(message)

    def read(
        self,
        conversations: Sequence[str],
        *,
        after: Position = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Page]:
        """See `Store.read`; of each conversation as it was at one moment."""
        return self._whole.read(conversations, after=after, reverse=reverse, limit=limit)

    def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`; by a Scan of the whole table."""
        return self._whole.conversations(ids, details=details)

    def remark(self) -> str:
        """See `SupportsRemark.remark`: whose it is."""
        return self._whole.remark()

    def unnamed(self) -> Unnamed:
        """See `MustBeNamed.unnamed`."""
        return unnamed(self._items.client, [self._items.fit])

    async def damage(self) -> list[Damage]:
        """Items whose key no id can be."""
        return await self._items.strays()

    async def strays(self) -> list[Damage]:
        """See `SupportsStrays.strays`."""
        return await self._items.strays()

    async def expiring(self, conversations: Sequence[str]) -> dict[str, float]:
        """See `SupportsExpiry.expiring`."""
        return await self._items.expiring(conversations)

    async def expire(self, left_s: Mapping[str, float]) -> None:
        """See `SupportsExpiry.expire`."""
        await self._writer.expire(left_s)

    async def append(
        self, parts: Sequence[Part], *, keep: int | None = None, token: str | None = None
    ) -> list[Position]:
        """See `Store.append`; more than a transaction takes is written in several."""
        return await self._writer.append(parts, keep, token)

    async def delete(
        self,
        conversation: str,
        *,
        upto: Position | None = None,
        begins: Position | None = None,
        token: str | None = None,
    ) -> bool:
        """See `Store.delete`; an item that has something of somebody else's keeps an empty list."""
        return await self._writer.delete(conversation, upto, begins, token)

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
        begins: Position | None = None,
        token: str | None = None,
    ) -> None:
        """See `Store.replace`."""
        await self._writer.replace(conversation, messages, upto, begins, token)

    async def refuses_back(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsTrial.refuses_back`: what an item would have no room for."""
        return await self._writer.refuses_back(conversations)

    async def close(self) -> None:
        """See `Store.close`."""
        await self._items.close()
