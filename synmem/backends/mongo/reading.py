"""Reading a MongoDB store: pages by number, and many conversations in a query; each between two
looks at the heads of its conversations (`Glimpse`)."""

import functools
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from typing import Final

from synmem.backends.mongo.fields import json_of
from synmem.backends.mongo.head import Head
from synmem.backends.mongo.heads import Glimpse, Heads
from synmem.backends.mongo.keys import (
    IDS_A_QUERY,
    INDEX,
    NUMBERED,
    is_whole,
    number,
    number_of,
    position_of,
    session_of,
    sessions,
    sort_alike,
)
from synmem.backends.mongo.opening import Document, Place
from synmem.backends.paging import END, NOT_READ, Fetched, Paging, fetched, not_read
from synmem.layouts.own import mongo_documents as layout
from synmem.layouts.own.carried import plain_text
from synmem.messages import Message, Unreadable
from synmem.store import START, Page, Position

ROWS_A_PAGE: Final = 5
"""Of many conversations, so many pages of messages are asked for at once."""
KEYS_A_PAGE: Final = 20
"""And so many of nothing but numbers and times."""

Run = tuple[str, list[Document] | None]
"""A conversation and all its documents; None where they are more than a query's, or where its
head cannot be read."""


class Reader:
    """Messages in pages: along one conversation, of many at once, or the ends of many."""

    def __init__(self, place: Place, heads: Heads, *, page_size: int) -> None:
        self._place = place
        self._heads = heads
        self._page_size = page_size

    def read(
        self, conversations: Sequence[str], after: Position, reverse: bool, limit: int | None
    ) -> AsyncIterator[Page]:
        """See `Store.read`."""
        paging = Paging(_Pages(self), self._page_size, IDS_A_QUERY)
        return paging.read(sessions(conversations), after, reverse, limit)

    # --- one conversation -------------------------------------------------------------------

    def glimpse(self, conversation: str) -> Glimpse:
        """What looks at its head around each page."""
        return Glimpse(self._heads, [conversation])

    async def page(
        self, glimpse: Glimpse, conversation: str, after: Position, reverse: bool, size: int
    ) -> Fetched:
        """See `Pages.page`."""
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

    # --- many conversations -----------------------------------------------------------------

    async def first(self, ids: Sequence[str]) -> AsyncGenerator[tuple[str, Fetched], None]:
        """See `Pages.first`."""
        async for conversation, documents in self.runs(ids, None):
            if documents is None:
                yield conversation, Fetched(None, START)
                continue
            for start in range(0, len(documents), self._page_size):
                page = as_page(documents[start : start + self._page_size])
                yield conversation, Fetched(page, None)

    async def runs(self, ids: Sequence[str], fields: dict[str, int] | None) -> AsyncIterator[Run]:
        """The documents of these sessions, which are sorted; of those that exist.

        Ids that lie close together in the store, as those of a listing's page do, are asked for
        as a range, which no server has to look up one by one.
        """
        left, width, dense = list(ids), IDS_A_QUERY, True
        size = self._page_size * (ROWS_A_PAGE if fields is None else KEYS_A_PAGE)
        while left:
            chunk = left[:width]
            ranged = dense and len(chunk) > 1 and sort_alike(chunk)
            among = {"$gte": chunk[0], "$lte": chunk[-1]} if ranged else {"$in": chunk}
            where = {"session_id": among, **NUMBERED}
            glimpse = Glimpse(self._heads, chunk)
            find = functools.partial(self._place.find, where, INDEX, size, fields)
            rows = await glimpse.under(find)
            wanted = set(chunk)
            mine = [row for row in rows if row["session_id"] in wanted]
            if ranged and 2 * len(mine) < len(rows):
                dense = False
                continue
            shown = [row for row in mine if _is_shown(row, glimpse[row["session_id"]])]
            runs: list[Run] = [
                (i, list(group)) for i, group in itertools.groupby(shown, session_of)
            ]
            left = left[width:]
            if len(rows) == size:
                # The last one may go on: it is asked for again, with those that follow.
                last = rows[-1]["session_id"]
                runs = [run for run in runs if run[0] != last] or [(last, None)]
                again = _not_yet(chunk, runs, last)
                left = again + left
                width = max(8, min(IDS_A_QUERY, 2 * (len(chunk) - len(again))))
            for conversation, documents in runs:
                if conversation in wanted:
                    read = glimpse[conversation].unreadable is None
                    yield conversation, documents if read else None

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


class _Pages:
    """What one `Store.read` fetches: a conversation's head, looked at behind one page, need not be
    looked at again before the next."""

    def __init__(self, reader: Reader) -> None:
        self.first = reader.first
        self.ends = reader.ends
        self._reader = reader
        self._conversation: str | None = None

    def page(
        self, conversation: str, after: Position, reverse: bool, size: int
    ) -> Awaitable[Fetched]:
        """See `Pages.page`."""
        if conversation != self._conversation:
            self._conversation = conversation
            self._glimpse = self._reader.glimpse(conversation)
        return self._reader.page(self._glimpse, conversation, after, reverse, size)


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


def _is_shown(document: Document, head: Head) -> bool:
    """Whether it is to be seen: where the head cannot be read, that there is something."""
    if head.unreadable is not None:
        return True
    at = number(document["n"])
    return at is not None and head.shows(at)


def _not_yet(chunk: Sequence[str], runs: Sequence[Run], last: str) -> list[str]:
    """What of a chunk is still to come where a query ended within conversation `last`."""
    done = {conversation for conversation, _ in runs}
    ordered = sort_alike(chunk)
    return [i for i in chunk if i not in done and (i >= last or not ordered)]
