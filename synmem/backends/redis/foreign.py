"""Lists of other frameworks in Redis: the `Lists` of `layouts/shapes.py`, for all layouts.

The keys stay as their framework made them: nothing of ours is put beside them, no key, field or
token. Reading takes the rights of a reader; each write is one script. Items have no id: a position
is the index, counted from the oldest, and the trace of the last 16 items, so that what is added
shifts none, and what was trimmed meanwhile is found again or missed.

A list keeps the TTL that it has; with `ttl_seconds` it gets one when messages are added. A key that
has the name of a conversation's list and is none comes as one unreadable record.
"""

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence

from msgspec.structs import replace

from synmem.backends.paging import Paging, storable
from synmem.backends.redis.finding import ListsFit, unnamed
from synmem.backends.redis.foreign_listing import ForeignListing
from synmem.backends.redis.foreign_lists import ForeignLists
from synmem.backends.redis.foreign_reading import ForeignReader
from synmem.backends.redis.foreign_writing import ForeignWriter
from synmem.backends.redis.opening import Server
from synmem.backends.redis.place import IDS_A_CALL
from synmem.errors import Unnamed
from synmem.layouts import registry
from synmem.layouts.shapes import Lists
from synmem.messages import Conversation, Damage, Message
from synmem.store import START, ConversationInfo, Page, Part, Position, Store


def store_of(
    server: Server, fit: ListsFit, name: str, *, ttl_s: int, write: bool, page_size: int
) -> Store:
    """The store of what was found."""
    if isinstance(fit.shape, Lists):
        return ForeignStore(server, fit, name, ttl_s=ttl_s, write=write, page_size=page_size)
    from synmem.backends.redis.foreign_documents import DocumentSource, DocumentStore

    source = DocumentSource(server, fit, name, page_size=page_size)
    return DocumentStore(source, fit, page_size=page_size)


class ForeignStore:
    """A `Store` in the lists of another framework."""

    def __init__(
        self,
        server: Server,
        fit: ListsFit,
        name: str,
        *,
        ttl_s: int,
        write: bool,
        page_size: int,
    ) -> None:
        lists = ForeignLists(server, fit, name)
        self.name = name
        self.holds = replace(
            fit.shape.holds,
            call_messages=10_000,
            call_bytes=32_000_000,
            lasting_positions=False,
            written=registry.is_written(fit.shape),
        )
        self._fit = fit
        self._server = server
        self._paging = Paging(ForeignReader(lists, page_size=page_size), page_size, IDS_A_CALL)
        self._listing = ForeignListing(lists, page_size=page_size)
        self._writer = ForeignWriter(lists, ttl_s=ttl_s, write=write)

    def refusal(self, message: Message) -> str | None:
        """Why the framework's own reader would not read the message; no I/O."""
        return self._writer.refusal(message)

    def read(
        self,
        conversations: Sequence[str],
        *,
        after: Position = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Page]:
        """See `Store.read`."""
        if after != START and len(conversations) != 1:
            raise ValueError("after goes with one conversation")
        return self._paging.read(storable(conversations), after, reverse, limit)

    def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`."""
        return self._listing.conversations(ids, details=details)

    def remark(self) -> str:
        """See `SupportsRemark.remark`: whose lists these are."""
        return self._fit.remark

    def unnamed(self) -> Unnamed:
        """See `MustBeNamed.unnamed`."""
        return unnamed(self.name, [self._fit])

    async def damage(self) -> list[Damage]:
        """Keys that have the name of a conversation's list, and are none."""
        return await self._listing.damage()

    async def strays(self) -> list[Damage]:
        """See `SupportsStrays.strays`: lists of which the id can be none."""
        return await self._listing.strays()

    async def append(
        self, parts: Sequence[Part], *, keep: int | None = None, token: str | None = None
    ) -> list[Position]:
        """See `Store.append`: one script."""
        return await self._writer.append(parts, keep, token)

    async def delete(
        self,
        conversation: str,
        *,
        upto: Position | None = None,
        begins: Position | None = None,
        token: str | None = None,
    ) -> bool:
        """See `Store.delete`: one script."""
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
        """See `Store.replace`: one script, which is given all messages at once."""
        await self._writer.replace(conversation, messages, upto, begins, token)

    async def refuses_back(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsTrial.refuses_back`: fields of a hash that the layout does not know, and
        more than one `replace` can bring, which is how a conversation comes back."""
        found = await self._writer.refuses_back(conversations)
        for conversation in await self._writer.perhaps_large(conversations):
            size = 0
            async for page in self.read([conversation]):
                size += self._writer.bytes_of(page.items)
            if why := self._writer.not_at_once(size):
                found.setdefault(conversation, f"brought back, its {why}")
        return found

    async def expiring(self, conversations: Sequence[str]) -> dict[str, float]:
        """See `SupportsExpiry.expiring`."""
        return await self._listing.expiring(conversations)

    async def expire(self, left_s: Mapping[str, float]) -> None:
        """See `SupportsExpiry.expire`."""
        await self._writer.expire(left_s)

    async def close(self) -> None:
        """See `Store.close`."""
        await self._server.close()
