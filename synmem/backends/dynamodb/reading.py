"""Reading a DynamoDB store: one request a page, under a head that did not change meanwhile."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from synmem.backends.dynamodb.head import Head, number_of, position_of
from synmem.backends.dynamodb.heads import Heads, reason
from synmem.backends.dynamodb.items import Items
from synmem.backends.dynamodb.table import Table, keyable
from synmem.backends.paging import NOT_READ, not_read
from synmem.layouts.own.dynamodb_items import NUMBER, Item, decode
from synmem.messages import Message, Unreadable, chunks
from synmem.store import START, Page, Position

READ_AT_ONCE: Final = 32
"""So many conversations are asked for side by side."""


class Reader:
    """Reads messages in pages."""

    def __init__(self, table: Table, heads: Heads, items: Items, *, page_size: int) -> None:
        self._table = table
        self._heads = heads
        self._items = items
        self._page_size = page_size

    async def read(
        self, conversations: Sequence[str], after: Position, reverse: bool, limit: int | None
    ) -> AsyncIterator[Page]:
        """See `Store.read`."""
        ids = keyable(conversations)
        if len(ids) > 1 and after != START:
            raise ValueError("after goes with one conversation")
        if limit == 0 or not await self._table.is_there():
            ids = []
        for chunk in chunks(ids, READ_AT_ONCE):
            heads = await self._heads.seen(chunk)
            size = self._page_size if limit is None else min(limit, self._page_size)
            for run in await self._pages(chunk, heads, after, reverse, size):
                async for page in self._go_on(run, reverse, limit):
                    yield page

    async def _go_on(self, run: "_Run", reverse: bool, limit: int | None) -> AsyncIterator[Page]:
        """The page that was read, and those that follow it."""
        left = limit
        while True:
            if run.head.unreadable is not None:
                if run.rows:
                    yield not_read(run.conversation, reason(run.head))
                return
            if run.rows:
                left = None if left is None else left - len(run.rows)
                anchor = position_of(run.rows[-1])
                yield _as_page(run.conversation, run.rows)
            if not run.more or left == 0 or not run.rows:
                return
            size = self._page_size if left is None else min(left, self._page_size)
            heads = {run.conversation: run.head}
            (run,) = await self._pages([run.conversation], heads, anchor, reverse, size)

    async def _pages(
        self, ids: Sequence[str], heads: dict[str, Head], after: Position, reverse: bool, size: int
    ) -> list["_Run"]:
        """A page of each of these conversations."""

        async def page(conversation: str, head: Head) -> _Run:
            if head.unreadable is not None:
                if after not in (START, NOT_READ):
                    raise self._table.changed(conversation)
                rows = await self._items.any_of(conversation) if after == START else []
                return _Run(conversation, head, rows, more=False)
            rows, more = await self._page(conversation, head, after, reverse, size)
            return _Run(conversation, head, rows, more)

        return await self._heads.steadily(ids, heads, page)

    async def _page(
        self, conversation: str, head: Head, after: Position, reverse: bool, size: int
    ) -> tuple[list[Item], bool]:
        if after == START:
            return await self._items.whole_rows(conversation, head.spans(), reverse, size)
        if after == NOT_READ:  # it can be read by now
            raise self._table.changed(conversation)
        anchor = number_of(after)
        spans = head.spans(high=anchor) if reverse else head.spans(low=anchor)
        rows, more = await self._items.whole_rows(conversation, spans, reverse, size + 1)
        if not head.shows(anchor) or not rows or position_of(rows[0]) != after:
            raise self._table.changed(conversation)
        return rows[1:], more


class _Run:
    """A page of one conversation: by which head it was read, its items, and whether more follow."""

    def __init__(self, conversation: str, head: Head, rows: list[Item], more: bool) -> None:
        self.conversation = conversation
        self.head = head
        self.rows = rows
        self.more = more


def _as_page(conversation: str, rows: Sequence[Item]) -> Page:
    return Page(conversation, [_decoded(row) for row in rows], lambda i: position_of(rows[i]))


def _decoded(row: Item) -> Message | Unreadable:
    try:
        return decode(row)
    except (ValueError, TypeError) as error:
        where = position_of(row)
        return Unreadable(where, f"item {row[NUMBER]['N']}: {error}")
