"""What was derived is forgotten with what it was derived from."""

import asyncio

from synmem.backends.inmemory import InMemoryStore
from synmem.messages import Conversation, Message
from synmem.notes import Notes
from synmem.operations.derived import forget, notes_folder, word_file
from synmem.operations.deriving.summarize import remember, summarize
from synmem.operations.searching.search import search
from synmem.store import Part


def test_an_erasure_leaves_neither_notes_nor_words() -> None:
    store = InMemoryStore()
    messages = [Message("user", "the zebra fish is ill")] * 9
    notes = Notes(store, notes_folder("id"))

    async def use() -> None:
        await store.append([Part(Conversation("a"), messages)])
        await search(store, "zebra", index=word_file("id"), large=0)
        await remember(await summarize(store, "a", notes, max_messages=2), notes, beside=False)

    asyncio.run(use())
    assert word_file("id").exists()
    assert list(notes_folder("id").iterdir())
    forget("id", ["a"])
    assert not word_file("id").exists()
    assert not list(notes_folder("id").iterdir())
    forget("id", ["a"])  # twice is once
