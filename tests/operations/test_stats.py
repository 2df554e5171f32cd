"""Stats: counts over a whole store."""

import asyncio
from datetime import UTC, datetime

from synmem.backends.inmemory import InMemoryStore
from synmem.messages import Conversation, Message, Unreadable
from synmem.operations.stats import stats
from synmem.store import Part


def test_everything_is_counted_once() -> None:
    store = InMemoryStore(page_size=2)
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    parts = [
        Part(
            Conversation("a"), [Message("user", "abcd", created_at=late), Message("assistant", "é")]
        ),
        Part(Conversation("b"), [Message("user", "xyz", created_at=early)] * 3),
    ]
    asyncio.run(store.append(parts))
    store._held["b"].messages[1] = Unreadable("9", "broken")
    total = asyncio.run(stats(store))
    assert (total.conversations, total.messages, total.characters) == (2, 4, 11)
    assert total.roles == {"user": 3, "assistant": 1}
    assert (total.first_at, total.last_at, total.estimated_tokens) == (early, late, 2)
    assert [(each.conversation_id, each.position) for each in total.unreadable] == [("b", 2)]


def test_an_empty_store_has_nothing() -> None:
    total = asyncio.run(stats(InMemoryStore()))
    assert (total.conversations, total.messages, total.first_at) == (0, 0, None)
