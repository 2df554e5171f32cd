"""Clearing: exactly what was planned goes, what is in the backup and nothing else."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from synmem.backends.inmemory import InMemoryStore
from synmem.errors import StoreUnavailable
from synmem.messages import Conversation, Message, Unreadable
from synmem.operations.keeping import backups
from synmem.operations.keeping.backup import Origin, new_backup
from synmem.operations.keeping.clear import Cleared, Doomed, NotCleared, Saved, Trim, clear, plan
from synmem.operations.keeping.undo import undo
from synmem.store import Part

ORIGIN = Origin("clear", "test", "memory:", "memory:test", "memory")
DAY = timedelta(days=1)
FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def said(count: int, begin: int = 0) -> list[Message]:
    """A message a day."""
    return [
        Message("user", str(i), created_at=FIRST + i * DAY) for i in range(begin, begin + count)
    ]


async def filled(**conversations: list[Message]) -> InMemoryStore:
    store = InMemoryStore(page_size=2)
    await store.append([Part(Conversation(name), each) for name, each in conversations.items()])
    return store


async def planned(store: InMemoryStore, trim: Trim) -> list[Doomed]:
    return [
        each
        async for page in store.conversations(details=True)
        async for each in plan(store, page, trim)
    ]


async def cleared(store: InMemoryStore, trim: Trim, *, saved: bool = True) -> list[object]:
    doomed = await planned(store, trim)
    if not saved:
        return [each async for each in clear(store, doomed, trim, None)]
    with new_backup(ORIGIN) as backup:
        outcomes = [each async for each in clear(store, doomed, trim, backup)]
    return [each for each in outcomes if not isinstance(each, Saved)]


async def texts(store: InMemoryStore, conversation: str = "a") -> str:
    pages = store.read([conversation])
    items = [item async for page in pages for item in page.items]
    return "".join(item.content if isinstance(item, Message) else "!" for item in items)


@pytest.mark.parametrize(
    ("trim", "left"),
    [
        (Trim(), ""),
        (Trim(keep_last=0), ""),
        (Trim(keep_last=1), "6"),
        (Trim(keep_last=2), "56"),
        (Trim(keep_last=6), "123456"),
        (Trim(keep_last=7), "0123456"),
        (Trim(keep_last=99), "0123456"),
        (Trim(older_than=FIRST), "0123456"),
        (Trim(older_than=FIRST + 3 * DAY), "3456"),
        (Trim(older_than=FIRST + 99 * DAY), ""),
        (Trim(older_than=FIRST + 99 * DAY, keep_last=3), "456"),
        (Trim(older_than=FIRST + 2 * DAY, keep_last=3), "23456"),
        (Trim(older_than=FIRST + 5 * DAY, keep_last=3), "456"),
        (Trim(older_than=FIRST + 5 * DAY, keep_last=0), "56"),
        (Trim(older_than=FIRST + 5 * DAY, keep_last=99), "0123456"),
    ],
)
@pytest.mark.parametrize("saved", [True, False])
def test_what_stays(trim: Trim, left: str, saved: bool) -> None:
    async def run() -> None:
        store = await filled(a=said(7))
        outcomes = await cleared(store, trim, saved=saved)
        assert await texts(store) == left
        removed = 7 - len(left)
        assert outcomes == ([Cleared("a", removed)] if removed else [])

    asyncio.run(run())


def test_what_is_planned_is_counted_and_dated() -> None:
    async def run() -> None:
        store = await filled(a=said(7))
        (whole,) = await planned(store, Trim())
        assert (whole.messages, whole.first_at, whole.last_at) == (7, FIRST, FIRST + 6 * DAY)
        (front,) = await planned(store, Trim(keep_last=4))
        assert (front.messages, front.first_at, front.last_at) == (3, FIRST, FIRST + 2 * DAY)
        assert await texts(store) == "0123456"

    asyncio.run(run())


def test_a_trim_ends_at_a_message_without_a_time() -> None:
    async def run() -> None:
        store = await filled(a=[*said(2), Message("user", "?"), *said(3, 2)])
        await cleared(store, Trim(older_than=FIRST + 99 * DAY))
        assert await texts(store) == "?234"

    asyncio.run(run())


def test_a_trim_ends_at_a_record_that_cannot_be_read() -> None:
    async def run() -> None:
        store = await filled(a=said(5))
        store._held["a"].messages[2] = Unreadable("3", "broken")
        await cleared(store, Trim(older_than=FIRST + 99 * DAY))
        assert await texts(store) == "!34"

    asyncio.run(run())


def test_what_cannot_be_backed_up_stays_and_the_others_go() -> None:
    async def run(saved: bool) -> None:
        store = await filled(a=said(3), bad=said(3), c=said(3))
        store._held["bad"].messages[1] = Unreadable("5", "broken")
        outcomes = await cleared(store, Trim(), saved=saved)
        failed = [each for each in outcomes if isinstance(each, NotCleared)]
        if saved:
            assert await texts(store, "bad") == "0!2"
            assert "'bad', record 5: broken" in str(failed[0].error)
            assert "--no-backup" in str(failed[0].error.hint)
        else:
            assert await texts(store, "bad") == ""
            assert not failed
        assert await texts(store, "a") + await texts(store, "c") == ""

    asyncio.run(run(saved=True))
    asyncio.run(run(saved=False))


class Busy(InMemoryStore):
    """Somebody else acts right before the n-th delete."""

    def __init__(self) -> None:
        super().__init__(page_size=2)
        self.before: list[Callable[[], object]] = []

    async def delete(self, conversation: str, **how: Any) -> bool:
        if self.before:
            self.before.pop(0)()
        return await super().delete(conversation, **how)


def test_what_arrives_between_backup_and_delete_stays() -> None:
    async def run() -> None:
        store = Busy()
        await store.append([Part(Conversation("a"), said(3))])
        store.before = [lambda: store._append(Part(Conversation("a"), said(1, 3)), None)]
        assert await cleared(store, Trim()) == [Cleared("a", 3)]
        assert await texts(store) == "3"
        (manifest,) = backups.backups()
        async for _ in undo(store, manifest):
            pass
        assert await texts(store) == "0123"

    asyncio.run(run())


def test_a_conversation_that_changed_is_looked_at_once_more() -> None:
    async def run(times: int) -> None:
        store = Busy()
        await store.append([Part(Conversation("a"), said(6)), Part(Conversation("b"), said(2))])

        def turned() -> None:  # a rolling window: a new one comes, all that was goes
            held = store._held["a"]
            number = int(held.messages[-1].content) + 1  # type: ignore[union-attr]
            store._append(Part(Conversation("a"), said(3, number)), keep=3)

        store.before = [turned, lambda: None, *[turned] * (times - 1)]
        outcomes = await cleared(store, Trim())
        if times == 1:
            assert sorted(outcomes, key=str) == [Cleared("a", 3), Cleared("b", 2)]
            assert await texts(store, "a") == ""
            async for _ in undo(store, backups.backups()[0]):
                pass
            assert await texts(store, "a") == "678"
        else:
            assert outcomes[0] == Cleared("b", 2)
            assert isinstance(outcomes[1], NotCleared)
            assert await texts(store, "a") == "91011"
            async for _ in undo(store, backups.backups()[0]):
                pass
            assert await texts(store, "a") == "91011"
        assert await texts(store, "b") == "01"

    asyncio.run(run(1))
    asyncio.run(run(2))


def test_one_that_somebody_else_deleted_is_not_brought_back() -> None:
    async def run() -> None:
        store = Busy()
        await store.append([Part(Conversation("a"), said(2)), Part(Conversation("b"), said(2))])
        store.before = [lambda: store._held.pop("a")]
        assert await cleared(store, Trim()) == [Cleared("b", 2)]
        async for _ in undo(store, backups.backups()[0]):
            pass
        assert await texts(store, "a") + await texts(store, "b") == "01"

    asyncio.run(run())


def test_a_store_that_goes_away_ends_it_and_what_went_can_be_undone() -> None:
    async def run() -> None:
        store = Busy()
        await store.append([Part(Conversation(each), said(2)) for each in "abc"])

        def lost() -> None:
            raise StoreUnavailable("connection lost")

        store.before = [lambda: None, lost]
        with pytest.raises(StoreUnavailable):
            await cleared(store, Trim())
        assert await texts(store, "a") == ""
        async for _ in undo(store, backups.backups()[0]):
            pass
        assert [await texts(store, each) for each in "abc"] == ["01"] * 3

    asyncio.run(run())
