"""Reading a Redis store: each page is one script, many small conversations come in one, and
nothing is held between."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, Final

from synmem.backends.paging import END, Fetched, Paging, changed, fetched, storable
from synmem.backends.redis.place import IDS_A_CALL, Place
from synmem.backends.redis.positions import checked, position_of, unpacked
from synmem.backends.redis.scripts import BEGIN, GO_ON
from synmem.layouts.own import redis_items
from synmem.messages import Message, Unreadable
from synmem.store import START, Page, Position

_NOT_A_LIST: Final = "!"


class Reader:
    """Reads messages."""

    def __init__(self, place: Place, *, page_size: int) -> None:
        self._place = place
        self._page_size = page_size
        self._paging = Paging(self, page_size, IDS_A_CALL)

    def read(
        self, conversations: Sequence[str], after: Position, reverse: bool, limit: int | None
    ) -> AsyncIterator[Page]:
        """See `Store.read`."""
        if after != START and len(conversations) != 1:
            raise ValueError("after goes with one conversation")
        return self._paging.read(storable(conversations), after, reverse, limit)

    async def page(self, conversation: str, after: Position, reverse: bool, size: int) -> Fetched:
        """See `Pages.page`."""
        if after == _NOT_A_LIST:
            return END
        if after == START:
            [begun] = await self._first([conversation], size, reverse)
            return begun
        found = await self._place.call(GO_ON, [conversation], checked(after), size, int(reverse))
        if found == 0:
            raise changed(conversation, self._place.name)
        first, skipped, *raw = found
        items = unpacked(*raw)
        if skipped == len(items):
            return END
        return fetched(_page(conversation, items, skipped, first, reverse), size)

    async def first(self, ids: Sequence[str]) -> AsyncGenerator[tuple[str, Fetched], None]:
        """See `Pages.first`: as many in a call as a page has room for."""
        while ids:
            found = await self._first(ids[:IDS_A_CALL], self._page_size, False)
            for conversation, begun in zip(ids, found, strict=False):
                if begun.page is not None:
                    yield conversation, begun
            ids = ids[len(found) :]

    async def ends(self, ids: Sequence[str], reverse: bool, each: int) -> list[Page]:
        """See `Pages.ends`."""
        pages: list[Page] = []
        while ids:
            found = await self._first(ids, each, reverse)
            pages += [begun.page for begun in found if begun.page is not None]
            ids = ids[len(found) :]
        return pages

    async def _first(self, ids: Sequence[str], size: int, reverse: bool) -> list[Fetched]:
        """The first pages of as many of these as a call has room for: at least of one."""
        found = await self._place.call(BEGIN, ids, size, int(reverse), self._page_size)
        return [
            self._begun(conversation, begun, size, reverse)
            for conversation, begun in zip(ids, found, strict=False)
        ]

    def _begun(self, conversation: str, begun: Any, size: int, reverse: bool) -> Fetched:
        if begun == 0:
            return END
        if isinstance(begun, bytes):
            why = f"{self._place.keys.list(conversation)!r} is a {begun.decode()}, not a list"
            return Fetched(
                Page(conversation, [Unreadable("key", why)], lambda _: _NOT_A_LIST), None
            )
        length, *raw = begun
        items = unpacked(*raw)
        skipped = max(0, len(items) - size) if reverse else 0
        first = length - len(items) if reverse else 0
        return fetched(_page(conversation, items, skipped, first, reverse), size)


def _page(conversation: str, raw: list[bytes], skipped: int, first: int, reverse: bool) -> Page:
    """A page of the items behind those that are skipped; `raw[0]` stands at index `first`."""
    items = [_item(item, first + at) for at, item in enumerate(raw[skipped:], skipped)]
    count = len(items)

    def position(i: int) -> Position:
        i = range(count)[i]
        at = skipped + (count - 1 - i if reverse else i)
        return position_of(raw, at, first + at)

    return Page(conversation, items[::-1] if reverse else items, position)


def _item(item: bytes, index: int) -> Message | Unreadable:
    try:
        return redis_items.decode(item)
    except ValueError as error:
        return Unreadable(f"item {index}", str(error), item.decode("utf-8", "backslashreplace"))
