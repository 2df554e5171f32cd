"""Reading in pages: along one conversation, through whole ones, or the ends of many.

A store says how it fetches (`Pages`); here stands what is asked for next. Nothing is held between
two fetches: each goes on behind where the one before ended.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

from synmem.errors import Changed, StoreError, Unsupported
from synmem.messages import Unreadable, chunks, encodable
from synmem.store import START, Page, Position

_Row = TypeVar("_Row")

NOT_READ: Final = "!"
"""The position of what `not_read` gives: where that is relied on, the head may be mended by now."""


class Fetched(NamedTuple):
    """What a fetch brought of a conversation, and behind which position the next one goes on.

    `page` is None where the records that were fetched make no message: the conversation need not
    end there. `behind` is None where it does.
    """

    page: Page | None
    behind: Position | None


END: Final = Fetched(None, None)
"""Nothing is left."""


class Pages(Protocol):
    """How a store fetches."""

    def page(
        self, conversation: str, after: Position, reverse: bool, size: int
    ) -> Awaitable[Fetched]:
        """At most `size` messages behind a position, newest first where `reverse`. `Changed` where
        no message stands at that position any more."""
        ...

    def first(self, ids: Sequence[str]) -> AsyncIterator[tuple[str, Fetched]]:
        """Whole conversations, those that exist, with few queries: the first pages of each, in one
        run. Where the last of them has `behind`, `page` reads the conversation on from there."""
        ...

    def ends(self, ids: Sequence[str], reverse: bool, each: int) -> Awaitable[Sequence[Page]]:
        """A page each of the first or last few messages, of those that exist."""
        ...


class Paging:
    """The order in which a store is read, given how it fetches."""

    def __init__(self, pages: Pages, page_size: int, ids_a_query: int) -> None:
        self._pages = pages
        self._page_size = page_size
        self._ids_a_query = ids_a_query

    async def read(
        self, ids: Sequence[str], after: Position, reverse: bool, limit: int | None
    ) -> AsyncGenerator[Page, None]:
        """`Store.read` of these conversations, of which each stands there once."""
        if len(ids) == 1:
            pages = self.one(ids[0], after, reverse, limit)
        elif after != START:
            raise ValueError("after goes with one conversation")
        elif limit is None and not reverse:
            pages = self._whole(ids)
        else:
            pages = self._ends_of(ids, reverse, limit)
        async with contextlib.aclosing(pages):
            async for page in pages:
                yield page

    async def one(
        self,
        conversation: str,
        after: Position | None = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncGenerator[Page, None]:
        """One conversation, from a position on; after None: nothing."""
        left = limit
        while after is not None and left != 0:
            size = self._page_size if left is None else min(left, self._page_size)
            page, after = await self._pages.page(conversation, after, reverse, size)
            if page is not None:
                left = None if left is None else left - len(page.items)
                yield page

    async def _whole(self, ids: Sequence[str]) -> AsyncGenerator[Page, None]:
        async for conversation, (first, behind) in self._pages.first(ids):
            if first is not None:
                yield first
            async for page in self.one(conversation, behind):
                yield page

    async def _ends_of(
        self, ids: Sequence[str], reverse: bool, limit: int | None
    ) -> AsyncGenerator[Page, None]:
        """The first or last few of many conversations, in one fetch a chunk."""
        if limit is None or limit > self._page_size:
            for conversation in ids:
                async for page in self.one(conversation, START, reverse, limit):
                    yield page
            return
        count = max(1, min(self._ids_a_query, self._page_size // max(1, limit)))
        for some in chunks(ids if limit else (), count):
            for page in await self._pages.ends(some, reverse, limit):
                yield page


def fetched(page: Page, size: int) -> Fetched:
    """A page of a store whose records are a message each: one that is not full is the last."""
    return Fetched(page, page.position(-1) if len(page.items) == size else None)


async def packed(
    ids: Sequence[str],
    ids_a_query: int,
    size: int,
    first_rows: Callable[[Sequence[str], int], Awaitable[list[tuple[str, list[_Row]]]]],
    as_page: Callable[[Sequence[_Row]], Page],
) -> AsyncGenerator[tuple[str, Fetched], None]:
    """`Pages.first`, as many conversations in a query as a page has room for.

    `first_rows` fetches the first so many rows of these, in their order: of each conversation
    that exists its id and what there is of it. Each row is a message.
    """
    start, width = 0, ids_a_query
    while start < len(ids):
        chunk = ids[start : start + width]
        runs = await first_rows(chunk, size)
        done = len(chunk)
        if sum(len(rows) for _, rows in runs) == size:
            # The last one may go on. Alone it is read to its end, else whole in the next
            # query, which asks for about as many as this one had room for.
            width = min(ids_a_query, len(runs) + 8)
            last, rows = runs.pop()
            done = chunk.index(last)
            if not runs:
                done += 1
                yield last, fetched(as_page(rows), size)
        start += done
        for conversation, rows in runs:
            yield conversation, Fetched(as_page(rows), None)


def storable(ids: Sequence[str]) -> list[str]:
    """Those that can be in a store at all, each once: an id that is not UTF-8 is in none."""
    return [conversation for conversation in dict.fromkeys(ids) if encodable(conversation)]


def not_read(conversation: str, why: str) -> Page:
    """All there is to see of a conversation whose head, which says where it begins, cannot be
    read."""
    return Page(conversation, [Unreadable("head", why)], lambda _: NOT_READ)


def opened_for_reading(store: str) -> Unsupported:
    """What a write is told where the store was not opened for one."""
    return Unsupported(f"{store} was opened for reading")


def closed(store: str) -> StoreError:
    """What is told whoever asks a store that was closed."""
    return StoreError(f"{store} was closed", hint="open it again")


def called_off(store: str) -> Changed:
    """What a write is told whose token was called off: nobody waits for it any more."""
    return Changed(f"this write to {store} was called off", hint="run again")


def changed(conversation: str, store: str) -> Changed:
    """What whoever relies on a position is told where no message stands there any more."""
    return Changed(
        f"conversation {conversation!r} in {store} changed while it was used", hint="run again"
    )
