"""Reading a MongoDB store in pages, each between two looks at the heads of its conversations
(`Glimpse`)."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from synmem.backends.mongo.fields import json_of
from synmem.backends.mongo.head import Head
from synmem.backends.mongo.heads import Glimpse, Heads
from synmem.backends.mongo.keys import IDS_A_QUERY, is_whole, number_of, position_of, sessions
from synmem.backends.mongo.opening import Place
from synmem.backends.mongo.runs import Runs
from synmem.backends.mongo.server import Document
from synmem.backends.paging import END, NOT_READ, Fetched, Paging, fetched, not_read
from synmem.layouts.own import mongo_documents as layout
from synmem.layouts.own.carried import plain_text
from synmem.messages import Message, Unreadable, chunks
from synmem.store import START, Page, Position


class Reader:
    """Messages in pages: along one conversation, of many at once, or the ends of many."""

    def __init__(self, place: Place, heads: Heads, runs: Runs, *, page_size: int) -> None:
        self._place = place
        self._heads = heads
        self._runs = runs
        self._page_size = page_size

    def read(
        self, conversations: Sequence[str], after: Position, reverse: bool, limit: int | None
    ) -> AsyncIterator[Page]:
        """See `Store.read`."""
        pages = _Pages(self._place, self._heads, self._runs, self._page_size)
        paging = Paging(pages, self._page_size, IDS_A_QUERY)
        return paging.read(sessions(conversations), after, reverse, limit)


class _Pages:
    """What one `Store.read` fetches: the head that was seen behind a page of a conversation is the
    one before its next."""

    def __init__(self, place: Place, heads: Heads, runs: Runs, page_size: int) -> None:
        self._place = place
        self._heads = heads
        self._runs = runs
        self._page_size = page_size
        self._along = Glimpse(heads, ())

    async def page(self, conversation: str, after: Position, reverse: bool, size: int) -> Fetched:
        """See `Pages.page`."""
        if conversation not in self._along.ids:
            self._along = Glimpse(self._heads, [conversation])
        glimpse = self._along
        if after == NOT_READ:
            if (await self._heads.seen([conversation]))[conversation].unreadable is None:
                raise self._place.changed(conversation)
            return END
        documents = await glimpse.under(
            lambda: self._page(conversation, glimpse[conversation], after, reverse, size)
        )
        head = glimpse[conversation]
        if head.unreadable is not None and after == START:
            return Fetched(self._not_read(conversation, head), None) if documents else END
        if after != START:
            if not documents or position_of(documents[0]) != after:
                raise self._place.changed(conversation)
            documents = documents[1:]
        return fetched(as_page(documents), size) if documents else END

    async def _page(
        self, conversation: str, head: Head, anchor: Position, reverse: bool, size: int
    ) -> list[Document]:
        """The documents of the next page under this head; the anchor comes with it, to see that it
        is there."""
        if head.unreadable is not None:
            return await self._place.any_of(conversation) if anchor == START else []
        at = None if anchor == START else number_of(anchor)
        where = head.where(last=at) if reverse else head.where(first=at)
        order, many = -1 if reverse else 1, size if at is None else size + 1
        return await self._place.find({"session_id": conversation, **where}, [("n", order)], many)

    async def first(self, ids: Sequence[str]) -> AsyncGenerator[tuple[str, Fetched], None]:
        """See `Pages.first`."""
        async for conversation, documents in self._runs.of(ids):
            if documents is None:
                yield conversation, Fetched(None, START)
                continue
            for some in chunks(documents, self._page_size):
                yield conversation, Fetched(as_page(some), None)

    async def ends(self, ids: Sequence[str], reverse: bool, each: int) -> list[Page]:
        """See `Pages.ends`: several at a time."""
        glimpse = Glimpse(self._heads, ids)
        found = await glimpse.each(lambda i, head: self._page(i, head, START, reverse, each))
        return [
            as_page(documents)
            if glimpse[conversation].unreadable is None
            else self._not_read(conversation, glimpse[conversation])
            for conversation, documents in zip(ids, found, strict=True)
            if documents
        ]

    def _not_read(self, conversation: str, head: Head) -> Page:
        """All there is to see of a conversation whose head cannot be read."""
        why = self._place.with_remedy(head.unreadable)
        return not_read(layout.conversation_of(conversation), why)


def as_page(documents: Sequence[Document]) -> Page:
    """Consecutive documents of one conversation as messages."""
    items: list[Message | Unreadable]
    try:
        if not all(is_whole(document["n"]) for document in documents):
            raise ValueError("one has a number that is not whole")
        items = [layout.decode(document, json_of) for document in documents]
    except (ValueError, TypeError):
        items = [_decoded(document) for document in documents]
    return Page(
        layout.conversation_of(documents[0]["session_id"]),
        items,
        lambda i: position_of(documents[i]),
    )


def _decoded(document: Document) -> Message | Unreadable:
    try:
        if not is_whole(document["n"]):
            raise ValueError(f"n is {document['n']}, not an integer")
        for field, value in document.items():
            if type(value) is str and not value.isascii() and not plain_text(value):
                raise ValueError(f"{field} is not UTF-8")
        return layout.decode(document, json_of)
    except ValueError as error:
        return Unreadable(position_of(document), f"document {document['_id']}: {error}")
