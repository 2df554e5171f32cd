"""Reading the lists of another framework: a page is one LRANGE, many small conversations come in
one round trip, and nothing is held between."""

from collections.abc import AsyncGenerator, Sequence
from typing import Final

from synmem.backends.paging import END, Fetched, changed
from synmem.backends.redis.foreign_lists import ForeignLists, Item, page_of, parted
from synmem.backends.redis.place import IDS_A_CALL
from synmem.backends.redis.plain import Stretch, beginnings, behind
from synmem.backends.redis.positions import position_of
from synmem.messages import Unreadable
from synmem.store import START, Page, Position

_NOT_A_LIST: Final = "!"


class ForeignReader:
    """The `Pages` of the lists of another framework."""

    def __init__(self, lists: ForeignLists, *, page_size: int) -> None:
        self._lists = lists
        self._page_size = page_size

    async def page(self, conversation: str, after: Position, reverse: bool, size: int) -> Fetched:
        """See `Pages.page`."""
        if after == _NOT_A_LIST:
            return END
        key = (await self._lists.keys([conversation])).get(conversation)
        if after == START:
            return await self._first(conversation, key, reverse, size)
        where, nth = parted(after)
        found = None
        if key is not None:
            found = await behind(
                self._lists.server.ask_all, key, where, size,
                reverse=reverse, newest_first=self._lists.shape.newest_first,
            )  # fmt: skip
        if found is None:
            raise changed(conversation, self._lists.name)
        return self._behind(conversation, found, nth, reverse, size)

    async def _first(
        self, conversation: str, key: bytes | None, reverse: bool, size: int
    ) -> Fetched:
        if key is None:
            return END
        [begun] = await self._beginnings([key], size, reverse)
        return self._begun(conversation, key, begun, reverse, size)

    def _behind(
        self, conversation: str, found: Stretch, nth: int | None, reverse: bool, size: int
    ) -> Fetched:
        """What stands behind a message of the item with which a stretch begins, or before one of
        that with which it ends."""
        count = len(found.items)
        if reverse:
            own = self._lists.items(found, count - 1, count)
            before = own[: nth if nth is not None else -1]
            rest = self._lists.items(found, found.before, count - 1)
            return self._fetched(conversation, found, [*rest, *before], found.before, True, size)
        own = self._lists.items(found, found.before, found.before + 1) if nth is not None else []
        rest = self._lists.items(found, found.before + 1, count)
        left = [*own[(nth or 0) + 1 :], *rest]
        is_full = count - found.before - 1 == size
        return self._fetched(conversation, found, left, count - 1, False, size, is_full=is_full)

    def _begun(
        self, conversation: str, key: bytes, begun: Stretch | bytes | None, reverse: bool, size: int
    ) -> Fetched:
        """The first page of what `beginnings` has found."""
        if begun is None:
            return END
        if isinstance(begun, bytes):
            why = f"{key.decode()!r} is a {begun.decode()}, not a list"
            page = Page(conversation, [Unreadable("key", why)], lambda _: _NOT_A_LIST)
            return Fetched(page, None)
        count = len(begun.items)
        items = self._lists.items(begun, begun.before, count)
        edge = begun.before if reverse else count - 1
        is_full = count - begun.before == size
        return self._fetched(conversation, begun, items, edge, reverse, size, is_full=is_full)

    def _fetched(
        self,
        conversation: str,
        stretch: Stretch,
        items: Sequence[Item],
        edge: int,
        reverse: bool,
        size: int,
        *,
        is_full: bool = True,
    ) -> Fetched:
        """A page of the first of these, in reading order; `edge` is the last item that was looked
        at, and there may be more behind it where that look was full."""
        if reverse:
            items = items[::-1]
            is_full = stretch.first + edge > 0
        more = is_full or len(items) > size
        if not items:
            behind_all = position_of(stretch.items, edge, stretch.first + edge)
            return Fetched(None, behind_all) if more else END
        page = page_of(conversation, stretch, items[:size])
        return Fetched(page, page.position(-1) if more else None)

    async def _beginnings(
        self, keys: Sequence[bytes], size: int, last: bool
    ) -> list[Stretch | bytes | None]:
        return await beginnings(
            self._lists.server.ask_all, keys, size,
            last=last, room=self._page_size, newest_first=self._lists.shape.newest_first,
        )  # fmt: skip

    async def first(self, ids: Sequence[str]) -> AsyncGenerator[tuple[str, Fetched], None]:
        """See `Pages.first`: as many in a round trip as a page has room for."""
        async for conversation, begun in self._all(ids, self._page_size, False):
            yield conversation, begun

    async def _all(
        self, ids: Sequence[str], size: int, reverse: bool
    ) -> AsyncGenerator[tuple[str, Fetched], None]:
        keys = await self._lists.keys(ids)
        waiting = [*keys]
        while waiting:
            some = waiting[:IDS_A_CALL]
            found = await self._beginnings([keys[one] for one in some], size, reverse)
            for conversation, begun in zip(some, found, strict=False):
                yield (
                    conversation,
                    self._begun(conversation, keys[conversation], begun, reverse, size),
                )
            waiting = waiting[len(found) :]

    async def ends(self, ids: Sequence[str], reverse: bool, each: int) -> list[Page]:
        """See `Pages.ends`."""
        pages: list[Page] = []
        async for conversation, (page, at) in self._all(ids, each, reverse):
            left = each
            while True:
                if page is not None:
                    pages.append(page)
                    left -= len(page.items)
                if at is None or left == 0 or self._lists.shape.single:
                    break
                page, at = await self.page(conversation, at, reverse, left)
        return pages
