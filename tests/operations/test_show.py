"""Reading a conversation for a person."""

import asyncio
from datetime import UTC, datetime

import pytest

from synmem.backends.inmemory import InMemoryStore
from synmem.errors import ConversationNotFound
from synmem.messages import Conversation, Message, Unreadable
from synmem.operations.show import Filter, Reading
from synmem.store import Part


class Counting(InMemoryStore):
    """Counts the messages that were read."""

    read_count = 0

    def _page(self, *arguments):  # type: ignore[no-untyped-def]
        page = super()._page(*arguments)
        self.read_count += len(page.items) if page else 0
        return page


async def filled(count: int = 9) -> Counting:
    store = Counting(page_size=2)
    messages = [
        Message("user" if i % 2 == 0 else "assistant", str(i),
                created_at=datetime(2026, 1, 1 + i, tzinfo=UTC) if i != 4 else None)
        for i in range(count)
    ]  # fmt: skip
    await store.append([Part(Conversation("a"), messages)])
    return store


def read(
    wanted: Filter, *, first: int | None = None, last: int | None = None, bad: int | None = None
) -> tuple[str, int]:
    async def run() -> tuple[str, int]:
        store = await filled()
        if bad is not None:
            store._held["a"].messages[bad] = Unreadable(str(bad), "broken")
        reading = Reading(store, "a", wanted)
        if last is not None:
            items = await reading.last(last)
        else:
            items = [item async for page in reading.all(first) for item in page]
        text = "".join(item.content if isinstance(item, Message) else "!" for item in items)
        return text, store.read_count

    return asyncio.run(run())


def test_all_in_order() -> None:
    assert read(Filter())[0] == "012345678"


@pytest.mark.parametrize(("count", "text"), [(0, ""), (1, "8"), (3, "678"), (9, "012345678"),
                                             (50, "012345678")])  # fmt: skip
def test_last_reads_only_as_many(count: int, text: str) -> None:
    assert read(Filter(), last=count) == (text, max(2, min(count, 9)))


@pytest.mark.parametrize(("count", "text"), [(0, ""), (1, "0"), (3, "012"), (50, "012345678")])
def test_first_reads_only_as_many(count: int, text: str) -> None:
    assert read(Filter(), first=count) == (text, max(1, min(count, 9)))


def test_last_of_those_that_fit() -> None:
    assert read(Filter(["assistant"]), last=2)[0] == "57"
    assert read(Filter(["assistant"]), first=2)[0] == "13"
    assert read(Filter(["nobody"]), last=2)[0] == ""


def test_a_filter_by_time_leaves_out_what_has_none_and_counts_it() -> None:
    wanted = Filter(since=datetime(2026, 1, 3, tzinfo=UTC), until=datetime(2026, 1, 8, tzinfo=UTC))
    assert read(wanted)[0] == "2356"
    assert wanted.untimed == 1


def test_what_cannot_be_read_stands_in_its_place() -> None:
    assert read(Filter(), bad=7)[0] == "0123456!8"
    assert read(Filter(), last=2, bad=7)[0] == "!8"
    assert read(Filter(["user"]), bad=7)[0] == "02468".replace("8", "!8")


def test_a_conversation_that_is_not_there() -> None:
    async def run(last: int | None) -> None:
        reading = Reading(await filled(), "zz", Filter(["x"]))
        with pytest.raises(ConversationNotFound):
            if last is None:
                [page async for page in reading.all()]
            else:
                await reading.last(last)

    asyncio.run(run(None))
    asyncio.run(run(0))
    asyncio.run(run(5))


@pytest.mark.parametrize("last", [None, 0, 2])
def test_following_begins_behind_the_last_message_seen(last: int | None) -> None:
    async def run() -> None:
        store = await filled(3)
        reading = Reading(store, "a", Filter())
        if last is None:
            [page async for page in reading.all()]
        else:
            await reading.last(last)
        new = reading.new(every_s=0)
        await store.append([Part(Conversation("a"), [Message("user", "new")])])
        assert [item.content for item in await anext(new) if isinstance(item, Message)] == ["new"]
        await new.aclose()  # type: ignore[attr-defined]

    asyncio.run(run())
