"""Trimming leaves no tool result without its call: by hand and by a rolling window."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synmem.backends.inmemory import InMemoryStore
from synmem.errors import Changed
from synmem.messages import Conversation, Message, Unreadable
from synmem.operations.keeping.clear import Trim, clear, plan
from synmem.operations.keeping.groups import append_keeping
from synmem.store import Part
from synmem.strategies.pairing import REACH, Pairing, whole_tail

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
CHAT = Conversation("a")


def user() -> Message:
    return Message("user", "what?")


def call(*ids: str | None) -> Message:
    return Message("assistant", "", tool_calls=[{"id": i, "name": "look"} for i in ids])


def result(name: str | None = None) -> Message:
    return Message("tool", "42", tool_call_id=name)


ids = st.sampled_from(["x", "y", "z", None])
kinds = st.one_of(
    st.builds(user), st.just(Message("assistant", "so")),
    st.builds(lambda names: call(*names), st.lists(ids, min_size=1, max_size=3)),
    st.builds(result, ids), st.builds(result, ids),
)  # fmt: skip
talks = st.lists(kinds, min_size=1, max_size=14)


def callers(talk: list[Message]) -> dict[int, int]:
    """By index, the call of each result that has one: said another way than in the program."""
    found = {}
    names = [[call["id"] for call in each.tool_calls or ()] for each in talk]
    left = [list(each) for each in names]
    for i, message in enumerate(talk):
        name, before = message.tool_call_id, range(i - 1, -1, -1)
        if message.role != "tool":
            continue
        if name is None:
            at = next((j for j in before if talk[j].role != "tool"), i)
            if talk[at].role == "assistant":
                found[i] = at
                del left[at][:1]
        else:
            at = next((j for j in before if name in names[j]), i)
            if name in left[at]:
                found[i] = at
                left[at].remove(name)
    return found


def least_whole(talk: list[Message], count: int) -> int:
    """The smallest number of the last messages, from `count` on, that parts nothing."""
    pairs = callers(talk).items()
    for kept in range(min(count, len(talk)), len(talk)):
        start = len(talk) - kept
        if all(j >= start for i, j in pairs if i >= start):
            return kept
    return len(talk)


async def chat(talk: list[Message]) -> InMemoryStore:
    store = InMemoryStore(page_size=2)
    await store.append([Part(CHAT, talk)])
    return store


def held(store: InMemoryStore) -> list[Message | Unreadable]:
    return list(store._held["a"].messages) if "a" in store._held else []


async def trimmed(store: InMemoryStore, trim: Trim) -> int:
    """How many more than asked for stay."""
    spared: list[int] = []
    async for page in store.conversations(details=True):
        doomed = [each async for each in plan(store, page, trim, spared.append)]
        going = [each.messages or 0 for each in doomed]
        before = len(held(store))
        _ = [each async for each in clear(store, doomed, trim, None)]
        assert len(held(store)) == before - sum(going)
    return sum(spared)


@settings(max_examples=300, deadline=None)
@given(talks, st.integers(1, 14))
def test_what_is_trimmed_keeps_whole_groups_and_no_more(talk: list[Message], count: int) -> None:
    async def main() -> None:
        least = least_whole(talk, count)
        assert whole_tail(talk, min(count, len(talk))) == least
        store = await chat(talk)
        assert await trimmed(store, Trim(keep_last=count)) == least - min(count, len(talk))
        assert held(store) == talk[-least:]
        store = await chat(talk)
        assert await trimmed(store, Trim(keep_last=count, exact=True)) == 0
        assert held(store) == talk[-count:]
        dated = [
            Message(m.role, m.content, None, FIRST + i * DAY, m.tool_calls, m.tool_call_id)
            for i, m in enumerate(talk)
        ]
        store = await chat(dated)
        await trimmed(store, Trim(older_than=FIRST + max(0, len(talk) - count) * DAY))
        assert held(store) == dated[-least:]

    asyncio.run(main())


@settings(max_examples=200, deadline=None)
@given(talks, st.integers(1, 8))
def test_a_rolling_window_keeps_whole_groups_and_no_more(talk: list[Message], keep: int) -> None:
    async def main() -> None:
        store = InMemoryStore(page_size=2)
        there: list[Message] = []
        for message in talk:
            there.append(message)
            least = least_whole(there, keep)
            there = there[-least:]
            assert max(keep, least) == await append_keeping(store, CHAT, message, keep)
            assert held(store) == there

    asyncio.run(main())


@pytest.mark.parametrize(
    ("talk", "count", "kept"),
    [
        ([user(), call("x"), result("x"), user()], 2, 3),
        ([user(), call("x", "y"), result("y"), result("x")], 1, 3),
        ([user(), call("x"), user(), result("x")], 1, 3),
        ([user(), result("x"), user()], 2, 2),  # an orphan stays as it is
        ([user(), result(), user()], 2, 2),
        ([call("x"), result("x"), call("x"), result("x")], 1, 2),  # an id that repeats
        ([call("x"), call("y"), result("x"), result("y")], 1, 4),  # entangled
        ([call(None), result(), user()], 2, 3),
        ([call("x"), result("x"), user(), result("x")], 1, 1),  # a second result is no one's
    ],
)
def test_what_a_group_is(talk: list[Message], count: int, kept: int) -> None:
    async def main() -> None:
        store = await chat(talk)
        assert await trimmed(store, Trim(keep_last=count)) == kept - count
        assert len(held(store)) == kept

    asyncio.run(main())


def test_keep_last_0_is_everything() -> None:
    async def main() -> None:
        store = await chat([call("x"), result("x")])
        assert await trimmed(store, Trim(keep_last=0)) == 0
        assert held(store) == []

    asyncio.run(main())


class Counting(InMemoryStore):
    """Counts the messages that are read."""

    read_count = 0

    def _page(self, *args: object) -> object:
        page = super()._page(*args)  # type: ignore[arg-type]
        self.read_count += len(page.items) if page else 0
        return page


@pytest.mark.parametrize(("apart", "kept"), [(REACH - 2, REACH), (REACH + 50, 5)])
def test_a_call_is_sought_so_far_and_no_further(apart: int, kept: int) -> None:
    async def main() -> None:
        talk = [*[user()] * 3000, call("x"), *[user()] * apart]
        store = Counting(page_size=100)
        await store.append([Part(CHAT, talk)])
        store.read_count = 0
        await append_keeping(store, CHAT, result("x"), 5)
        assert store.read_count <= REACH + 200
        assert len(held(store)) == kept
        store = await chat([*talk, result("x")])
        await trimmed(store, Trim(keep_last=5))
        assert len(held(store)) == kept

    asyncio.run(main())


def test_a_window_reads_no_more_than_itself_where_nothing_is_parted() -> None:
    async def main() -> None:
        store = Counting(page_size=5)
        await store.append([Part(CHAT, [user()] * 500)])
        store.read_count = 0
        await append_keeping(store, CHAT, user(), 20)
        assert store.read_count <= 20

    asyncio.run(main())


def test_what_others_append_meanwhile_is_kept_too() -> None:
    class Busy(InMemoryStore):
        left = 0

        async def append(self, parts, *, keep=None, token=None):  # type: ignore[no-untyped-def]
            if keep is not None and self.left:
                self.left -= 1
                await super().append([Part(CHAT, [call("y"), result("y")])])
            return await super().append(parts, keep=keep, token=token)

    async def main(times: int) -> None:
        store = Busy(page_size=3)
        await store.append([Part(CHAT, [user(), call("x"), result("x")])])
        store.left = times
        await append_keeping(store, CHAT, user(), 2)
        kept = [each.tool_call_id or each.role for each in held(store)]  # type: ignore[union-attr]
        assert kept[-3:] == ["assistant", "y", "user"]
        assert len(kept) == (3 if times < 8 else 4 + 2 * times)
        with pytest.raises(Changed):
            await store.append([Part(CHAT, [user()], expect="1")])

    for times in (1, 3, 8):
        asyncio.run(main(times))


def test_calls_without_end_are_bounded() -> None:
    pairing = Pairing()
    for n in range(30_000):
        pairing.see(n, [call(f"id {n}", None)])
    assert len(pairing.waiting) <= 4096
    assert len(pairing._by_id) <= 2 * 4096
    assert pairing.unanswered == 60_000
