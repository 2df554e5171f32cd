"""Checking one store, and comparing two."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synmem.backends.inmemory import InMemoryStore
from synmem.messages import Conversation, Holds, Message, Unreadable
from synmem.operations.moving.check import Soundness, check, sound
from synmem.operations.moving.compare import State, not_compared
from synmem.store import Part


async def fill(store: InMemoryStore, conversation: str, *texts: str, **own: Any) -> None:
    said = [Message("user", text) for text in texts]
    await store.append([Part(Conversation(conversation, **own), said)])


async def found(source: Any, dest: Any, **options: Any) -> dict[str, tuple[State, str]]:
    return {
        each.conversation: (each.state, each.detail)
        async for page in check(source, dest, **options)
        for each in page
    }


async def two_stores() -> tuple[InMemoryStore, InMemoryStore]:
    source, dest = InMemoryStore(page_size=2), InMemoryStore(page_size=3)
    for name, ours, theirs in (
        ("equal", "abc", "abc"),
        ("only here", "a", ""),
        ("only there", "", "a"),
        ("behind", "abcde", "abc"),
        ("ahead", "ab", "abc"),
        ("different", "abcd", "abxd"),
        ("broken", "abc", "abc"),
    ):
        for store, said in ((source, ours), (dest, theirs)):
            if said:
                await fill(store, name, *said)
    source._held["broken"].messages[1] = Unreadable("7", "not JSON")
    return source, dest


def test_an_extra_is_compared_as_far_as_both_sides_hold_it() -> None:
    async def main() -> None:
        one, other = InMemoryStore(), InMemoryStore()
        await fill(one, "a", "hi", extra={"claude_code": {"cwd": "/"}, "own": 1})
        await fill(other, "a", "hi", extra={"sharegpt": {"source": "x"}})
        one.holds, other.holds = Holds(extra_of="claude_code"), Holds(extra_of="sharegpt")
        assert await found(one, other) == {"a": (State.EQUAL, "")}
        one.holds = Holds()
        assert await found(one, other) == {"a": (State.AHEAD, "extra")}
        assert await found(other, one) == {"a": (State.BEHIND, "extra")}
        await fill(one, "a", extra={"sharegpt": {"source": "x"}, "own": 2})
        assert await found(one, other) == {"a": (State.EQUAL, "")}
        other.holds = Holds()
        assert await found(one, other) == {"a": (State.DIFFERENT, "extra")}

    asyncio.run(main())


def test_every_state_is_told_with_where_the_difference_begins() -> None:
    async def main() -> None:
        assert await found(*await two_stores()) == {
            "equal": (State.EQUAL, ""),
            "only here": (State.ABSENT, ""),
            "only there": (State.EXTRA, ""),
            "behind": (State.BEHIND, "from message 4 on"),
            "ahead": (State.AHEAD, "from message 3 on"),
            "different": (State.DIFFERENT, "message 3: content"),
            "broken": (State.UNREADABLE, "message 2 in the source: not JSON"),
        }

    asyncio.run(main())


def test_one_way_does_not_look_for_what_only_the_destination_has() -> None:
    async def main() -> None:
        assert "only there" not in await found(*await two_stores(), one_way=True)

    asyncio.run(main())


def test_a_glob_chooses_on_both_sides() -> None:
    async def main() -> None:
        assert set(await found(*await two_stores(), match="only*")) == {"only here", "only there"}

    asyncio.run(main())


def test_quick_sees_counts_and_last_messages_and_nothing_else() -> None:
    async def main() -> None:
        source, dest = await two_stores()
        await fill(source, "last", "a", "b")
        await fill(dest, "last", "a", "c")
        quick = await found(source, dest, quick=True)
        assert quick["behind"] == (State.DIFFERENT, "5 messages, in the destination 3")
        assert quick["last"] == (State.DIFFERENT, "last message")
        assert quick["equal"][0] is State.EQUAL
        assert quick["different"][0] is State.EQUAL  # the price of being quick

    asyncio.run(main())


@pytest.mark.parametrize("field", ["role", "metadata", "name", "parts"])
def test_the_field_that_differs_is_named(field: str) -> None:
    values: dict[str, Any] = {
        "role": "tool",
        "metadata": {"a": 1},
        "name": "n",
        "parts": [{"type": "x"}],
    }

    async def main() -> None:
        source, dest = InMemoryStore(), InMemoryStore()
        other = Message(**{"role": "user", "content": "x", field: values[field]})
        await fill(source, "a", "x")
        await dest.append([Part(Conversation("a"), [other])])
        assert await found(source, dest) == {"a": (State.DIFFERENT, f"message 1: {field}")}

    asyncio.run(main())


def test_what_only_one_side_holds_is_not_compared() -> None:
    class Poor(InMemoryStore):
        holds = Holds(
            fields=frozenset({"role", "content"}), conversation_fields=frozenset(), time_us=1000
        )

    async def main() -> None:
        source, dest = InMemoryStore(), Poor()
        await fill(source, "a", "x", title="T")
        await dest.append([Part(Conversation("a"), [Message("user", "x", {"a": 1})])])
        assert await found(source, dest) == {"a": (State.EQUAL, "")}
        assert {"metadata", "created_at", "conversation title"} <= set(
            not_compared(source.holds, dest.holds)
        )

    asyncio.run(main())


def test_one_store_is_read_whole_and_what_is_broken_is_named() -> None:
    async def main() -> None:
        source, _ = await two_stores()
        soundness = Soundness()
        broken = [each async for page in sound(source, soundness) for each in page]
        assert [(b.conversation_id, b.position, b.reason) for b in broken] == [
            ("broken", 2, "not JSON")
        ]
        assert (soundness.conversations, soundness.messages, soundness.unreadable) == (6, 17, 1)

    asyncio.run(main())


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from("ab"), min_size=1, max_size=7),
    st.lists(st.sampled_from("ab"), min_size=1, max_size=7),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_the_state_is_what_the_lists_say(
    ours: list[str], theirs: list[str], one: int, other: int
) -> None:
    async def main() -> None:
        source, dest = InMemoryStore(page_size=one), InMemoryStore(page_size=other)
        await fill(source, "a", *ours)
        await fill(dest, "a", *theirs)
        expected = (
            State.EQUAL if ours == theirs
            else State.BEHIND if ours[: len(theirs)] == theirs
            else State.AHEAD if theirs[: len(ours)] == ours
            else State.DIFFERENT
        )  # fmt: skip
        assert (await found(source, dest))["a"][0] is expected

    asyncio.run(main())
