"""The reference store obeys the contract."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from synmem.backends.inmemory import InMemoryStore
from synmem.messages import Conversation, Message
from synmem.store import Part, Store
from tests.conformance import PAGE_SIZE, Opener, Writing, items, run


class TestInMemory(Writing):
    def stores(self, tmp_path: Any) -> Opener:
        store = InMemoryStore(page_size=PAGE_SIZE)

        @contextlib.asynccontextmanager
        async def opener() -> AsyncIterator[Store]:
            yield store

        return opener


def test_what_is_stored_is_a_copy() -> None:
    async def main() -> None:
        metadata = {"k": [1]}
        store = InMemoryStore()
        await store.append([Part(Conversation("a"), [Message("user", "x", metadata)])])
        metadata["k"].append(2)
        assert await items(store, "a") == [Message("user", "x", {"k": [1]})]

    run(main())
