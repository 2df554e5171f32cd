"""Collections of other frameworks in MongoDB: the `Documents` of `layouts/shapes.py`, for all
layouts.

The collection stays as its framework made it: nothing of ours is put into it, no field, index or
token, and one that is made has the framework's own indexes and no others.

Written is where documents are ordered by `_id`, an ObjectId: a new one has the time of the last one
of its conversation, a hash of the conversation's id that is higher than what programs draw, and a
number. So it stands behind the last, and of two writers of ours who look at the same end one finds
its place taken. A new conversation begins with the day's first second: two who begin the same one
on either side of midnight are both let in. A framework that reads its documents as they were
written, and does not sort them (LangChain), sees the same order; a program of its own that writes
in the same second as the message before ours, after it, comes behind ours there and before it here.

Less than the contract holds, since single servers have no transactions: a call of `append` may be
seen in part, each conversation's messages from the first on, and is trimmed (`keep`) by a second
write. A program of the framework's writes behind whatever stands there: that an end is the expected
one is known of the moment of the look alone. `delete` is one command, of which a reader may see the
half, oldest first. Nothing can be put in front of documents that are not sorted: `replace` writes
the new front and a copy of what stays behind the end, and then deletes what was there before, so
that whoever reads meanwhile, or after a crash between, finds both, and nothing is lost. A write
whose answer was lost looks for its own documents before it is tried again, and one of which the
collection does not take a document, by an index or a validator of somebody's, removes the others.
"""

from collections.abc import AsyncIterable, AsyncIterator, Sequence

from msgspec.structs import replace

from synmem.backends.mongo.finding import Fit, unnamed
from synmem.backends.mongo.foreign_documents import IDS_A_QUERY, ForeignDocuments
from synmem.backends.mongo.foreign_listing import ForeignListing
from synmem.backends.mongo.foreign_reading import ForeignReader
from synmem.backends.mongo.foreign_whole import Gathering
from synmem.backends.mongo.foreign_writing import ForeignWriter
from synmem.backends.mongo.opening import Place
from synmem.backends.paging import Paging, storable
from synmem.backends.whole import WholeStore
from synmem.errors import Unnamed
from synmem.layouts import naming, registry
from synmem.layouts.shapes import Documents
from synmem.messages import Conversation, Damage, Message
from synmem.store import START, ConversationInfo, Page, Part, Position


def opened(
    place: Place, fit: Fit, *, write: bool, branches: bool, page_size: int
) -> "ForeignStore | WholeStore":
    """The store in what was found."""
    if isinstance(fit.shape, Documents):
        return ForeignStore(place, fit, write=write, page_size=page_size)
    return WholeStore(
        Gathering(place, fit, page_size=page_size), fit.shape.holds, remark_of(fit),
        branches=branches, page_size=page_size,
    )  # fmt: skip


def remark_of(fit: Fit) -> str:
    """Whose it is, for a person."""
    return naming.whose(fit.layout, fit.shape.version, f"collection {fit.called}")


class ForeignStore:
    """A `Store` in a collection of another framework."""

    def __init__(self, place: Place, fit: Fit, *, write: bool, page_size: int) -> None:
        self.name = place.name
        self.holds = replace(
            fit.shape.holds,
            call_bytes=32_000_000,
            atomic_messages=0,
            lasting_positions=False,
            unread=fit.others,
            written=registry.is_written(fit.shape),
        )
        self._place = place
        self._fit = fit
        documents = ForeignDocuments(place, fit)
        reader = ForeignReader(documents, page_size=page_size)
        self._paging = Paging(reader, page_size, IDS_A_QUERY)
        self._listing = ForeignListing(documents, reader, self._paging, page_size=page_size)
        self._writer = ForeignWriter(documents, write=write, page_size=page_size)

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
        return self._paging.read(sorted(storable(conversations)), after, reverse, limit)

    def remark(self) -> str:
        """See `SupportsRemark.remark`: whose collection it is."""
        return remark_of(self._fit)

    def unnamed(self) -> Unnamed:
        """See `MustBeNamed.unnamed`."""
        return unnamed(self._place, [self._fit])

    def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`."""
        return self._listing.conversations(ids, details=details)

    async def damage(self) -> list[Damage]:
        """Documents that belong to no conversation, or have no place in one."""
        return await self._listing.strays()

    async def strays(self) -> list[Damage]:
        """See `SupportsStrays.strays`."""
        return await self._listing.strays()

    async def append(
        self, parts: Sequence[Part], *, keep: int | None = None, token: str | None = None
    ) -> list[Position]:
        """See `Store.append`, and this module's docstring."""
        return await self._writer.append(parts, keep, token)

    async def delete(
        self,
        conversation: str,
        *,
        upto: Position | None = None,
        begins: Position | None = None,
        token: str | None = None,
    ) -> bool:
        """See `Store.delete`, and this module's docstring."""
        if not storable([conversation]):
            return False
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
        """See `Store.replace`, and this module's docstring."""
        await self._writer.replace(conversation, messages, upto, begins, token)

    async def refuses_back(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsTrial.refuses_back`: what stands in fields that the layout does not know
        would not come back, and a unique index or a validator of somebody's may refuse all."""
        return await self._writer.refuses_back(conversations)

    async def close(self) -> None:
        """See `Store.close`."""
        await self._place.close()
