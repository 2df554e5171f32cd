"""The order in which pages are asked for, of a store some of whose records make no message."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from synmem.backends.paging import Fetched, Paging
from synmem.messages import Message
from synmem.store import START, Page, Position

RECORDS = ["a", "", "", "", "b", "c", "", "d", "", ""]
"""One conversation: those that are empty make no message."""


class Sparse:
    """Fetches two records at a time, whatever they make; a position is a record's number."""

    def __init__(self) -> None:
        self.asked: list[Position] = []

    async def page(self, conversation: str, after: Position, reverse: bool, size: int) -> Fetched:
        self.asked.append(after)
        order = range(len(RECORDS))[:: -1 if reverse else 1]
        left = [
            n for n in order if after == START or (n < int(after) if reverse else n > int(after))
        ]
        some = left[: min(2, size)]
        found = [n for n in some if RECORDS[n]]
        page = None
        if found:
            items = [Message("user", RECORDS[n]) for n in found]
            page = Page(conversation, items, lambda i: str(found[i]))
        return Fetched(page, str(some[-1]) if len(left) > len(some) else None)

    async def first(self, ids: Sequence[str]) -> AsyncIterator[tuple[str, Fetched]]:
        for conversation in ids:
            yield conversation, await self.page(conversation, START, False, 2)

    async def ends(self, ids: Sequence[str], reverse: bool, each: int) -> list[Page]:
        raise AssertionError("more are asked for than a page has")


def read(
    ids: Sequence[str], after: Position = START, reverse: bool = False, limit: int | None = None
) -> list[tuple[str, str]]:
    async def run() -> list[tuple[str, str]]:
        pages = Paging(Sparse(), 2, 10).read(ids, after, reverse, limit)
        return [(page.conversation, item.content) async for page in pages for item in page.items]  # type: ignore[union-attr]

    return asyncio.run(run())


@pytest.mark.parametrize("reverse", [False, True])
def test_a_page_whose_records_make_no_message_does_not_end_the_reading(reverse: bool) -> None:
    found = [text for _, text in read(["x"], reverse=reverse)]
    assert found == (list("dcba") if reverse else list("abcd"))


def test_nor_does_it_where_several_conversations_are_read() -> None:
    assert read(["x", "y"]) == [(name, text) for name in "xy" for text in "abcd"]
    assert read(["x", "y"], limit=3) == [(name, text) for name in "xy" for text in "abc"]


@pytest.mark.parametrize("limit", range(1, 6))
def test_a_limit_counts_messages_and_not_records(limit: int) -> None:
    assert [text for _, text in read(["x"], limit=limit)] == list("abcd")[:limit]


def test_reading_goes_on_behind_a_position_over_what_makes_no_message() -> None:
    assert [text for _, text in read(["x"], after="0")] == ["b", "c", "d"]
    assert read(["x"], after="7") == []
