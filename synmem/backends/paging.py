"""Reading in pages: along one conversation, through whole ones, or the ends of many.

A store says how it fetches; here stands what is asked for next. Nothing is held between two
fetches: each goes on behind the last message of the one before.
"""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final, TypeVar

from synmem.errors import Changed
from synmem.layouts.own.synapsekit import encodable
from synmem.messages import Unreadable
from synmem.store import START, Page, Position

_Row = TypeVar("_Row")

NOT_READ: Final = "!"
"""The position of what `not_read` gives: where that is relied on, the head may be mended by now."""

Fetch = Callable[[Position, bool, int], Awaitable[Page | None]]
"""The page of a conversation behind a position (newest first where that is true) of so many
messages: fewer where the conversation ends, None where nothing is left. `Changed` where no
message stands at that position any more."""


class Paging:
    """The order in which a store is read, given how it fetches.

    `along` makes the fetch of one conversation, `whole` gives all pages of many, and `ends` a
    page each of the first or last few messages of those that exist.
    """

    def __init__(
        self,
        page_size: int,
        ids_a_query: int,
        *,
        along: Callable[[str], Fetch],
        whole: Callable[[Sequence[str]], AsyncGenerator[Page, None]],
        ends: Callable[[Sequence[str], bool, int], Awaitable[Sequence[Page]]],
    ) -> None:
        self._page_size = page_size
        self._ids_a_query = ids_a_query
        self._along = along
        self._whole = whole
        self._ends = ends

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

    def one(
        self,
        conversation: str,
        after: Position = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncGenerator[Page, None]:
        """One conversation, from a position on."""
        return pages_along(self._along(conversation), after, reverse, limit, self._page_size)

    async def packed(
        self,
        ids: Sequence[str],
        first_rows: Callable[[Sequence[str], int], Awaitable[list[tuple[str, list[_Row]]]]],
        as_page: Callable[[Sequence[_Row]], Page],
    ) -> AsyncGenerator[Page, None]:
        """Whole conversations, as many in a query as a page has room for.

        `first_rows` fetches the first so many rows of these, in their order: of each conversation
        that exists its id and what there is of it.
        """
        start, width = 0, self._ids_a_query
        while start < len(ids):
            chunk = ids[start : start + width]
            runs = await first_rows(chunk, self._page_size)
            done = len(chunk)
            if sum(len(rows) for _, rows in runs) == self._page_size:
                # The last one may go on. Alone it is read to its end, else whole in the next
                # query, which asks for about as many as this one had room for.
                width = min(self._ids_a_query, len(runs) + 8)
                last, rows = runs.pop()
                done = chunk.index(last)
                if not runs:
                    done += 1
                    first = as_page(rows)
                    yield first
                    async for page in self.one(last, first.position(-1)):
                        yield page
            start += done
            for _, rows in runs:
                yield as_page(rows)

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
        for start in range(0, len(ids) if limit else 0, count):
            for page in await self._ends(ids[start : start + count], reverse, limit):
                yield page


async def pages_along(
    fetch: Fetch, after: Position, reverse: bool, limit: int | None, page_size: int
) -> AsyncGenerator[Page, None]:
    """A conversation from a position on, one fetch a page."""
    left = limit
    while left is None or left > 0:
        size = page_size if left is None else min(left, page_size)
        page = await fetch(after, reverse, size)
        if page is None:
            return
        full = len(page.items) == size
        after = page.position(-1)
        left = None if left is None else left - size
        yield page
        if not full:
            return


def storable(ids: Sequence[str]) -> list[str]:
    """Those that can be in a store at all, each once: an id that is not UTF-8 is in none."""
    return [conversation for conversation in dict.fromkeys(ids) if encodable(conversation)]


def not_read(conversation: str, why: str) -> Page:
    """All there is to see of a conversation whose head, which says where it begins, cannot be
    read."""
    return Page(conversation, [Unreadable("head", why)], lambda _: NOT_READ)


def called_off(store: str) -> Changed:
    """What a write is told whose token was called off: nobody waits for it any more."""
    return Changed(f"this write to {store} was called off", hint="run again")


def changed(conversation: str, store: str) -> Changed:
    """What whoever relies on a position is told where no message stands there any more."""
    return Changed(
        f"conversation {conversation!r} in {store} changed while it was used", hint="run again"
    )
