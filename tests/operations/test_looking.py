"""Where messages stand in a store: one page or many, at the ends and beyond."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from synmem.backends.inmemory import InMemoryStore
from synmem.errors import Changed
from synmem.messages import Conversation, Message, Unreadable
from synmem.operations.looking import before_last, first_messages, last_position, position_of
from synmem.store import START, Page, Part


async def filled(page_size: int) -> tuple[InMemoryStore, list[str]]:
    """A store of one conversation of five messages, and their positions."""
    store = InMemoryStore(page_size=page_size)
    said = [Message("user", str(n)) for n in range(5)]
    await store.append([Part(Conversation("a"), said)])
    pages: AsyncIterator[Page] = store.read(["a"])
    return store, [page.position(i) async for page in pages for i in range(len(page.items))]


@pytest.mark.parametrize("page_size", [1, 2, 5, 9])
def test_a_position_is_found_from_both_ends(page_size: int) -> None:
    async def main() -> None:
        store, at = await filled(page_size)
        assert await last_position(store, "a") == at[4]
        assert [await before_last(store, "a", n) for n in range(1, 7)] == [
            at[3], at[2], at[1], at[0], START, START,
        ]  # fmt: skip
        assert await position_of(store, "a", 3) == (at[2], 3)
        assert await position_of(store, "a", 9) == (at[4], 5)
        assert await position_of(store, "none", 9) == (START, 0)
        with pytest.raises(Changed):
            await last_position(store, "none")

    asyncio.run(main())


def test_the_first_messages_are_so_many_or_it_has_changed() -> None:
    async def read(store: InMemoryStore, count: int) -> list[str]:
        pages: AsyncIterator[Sequence[Message]] = first_messages(store, "a", count)
        return [message.content async for page in pages for message in page]

    async def main() -> None:
        store, _ = await filled(2)
        assert await read(store, 3) == ["0", "1", "2"]
        with pytest.raises(Changed):
            await read(store, 6)
        store._held["a"].messages[1] = Unreadable("2", "broken")
        with pytest.raises(Changed):
            await read(store, 3)

    asyncio.run(main())
