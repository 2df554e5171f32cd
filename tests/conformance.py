"""The store contract as tests: what `synmem/store.py` promises, run for every backend.

A backend's test file subclasses `Reading` (and `Writing`, if it writes) and supplies `stores`.
Stores are opened with a page size of 2, so that every page boundary is crossed.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from synmem.errors import Changed, CorruptData, Rejected, SynmemError
from synmem.messages import Conversation, Message, Unreadable
from synmem.store import (
    START,
    ConversationInfo,
    Part,
    Step,
    Store,
    SupportsExpiry,
    SupportsNotes,
    SupportsSteps,
    once,
)

PAGE_SIZE = 2

TEXTS = {
    "empty": "",
    "percent": "100% _under_ * ? [a] 'quote' \"double\" `back` \\ : / ; -- DROP TABLE messages",
    "lines": "a\nb\r\nc\td \u2028 \u2029 \x85 \x0b\x0c trailing\n",
    "terminal": "\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b2J\u202eabc",
    "emoji": "👋🏽 👨‍👩‍👧‍👦 𝔘𝔫𝔦 \U0010ffff café cafe\u0301 العربية",
    "bom": "\ufeffstart and \ufeff end",
    "nul": "before\x00after\x00",
    "surrogate high": "broken \ud83d end",
    "surrogate low": "\udc80",
    "markup": "[/INST] [link=http://x]a[/link] :smile: {json: 1} </script>",
    "json": '{"role": "user", "content": "\\u0000"}',
    "spaces": "  leading and trailing  ",
    "formula": "=1+1",
    "a megabyte": "0123456789abcdéf" * 65536,
}

IDS = [
    "plain", "user:42/ünïcode ✓", "a%b_c*d?e[f]", "with space", "new\nline", "tab\tand\rreturn",
    "'; DROP TABLE messages; --", '"', "\\", "👨‍👩‍👧‍👦", ":messages", "*", "--all", "-", ".", "..",
    "../../etc/passwd", "x" * 1024, "\x1b[31m", "nul\x00inside", "é", "e\u0301", "UPPER", "upper",
    "\U0010ffff", "{id}", "None", "0",
]  # fmt: skip


def nested(levels: int) -> dict[str, Any]:
    """An object in an object, so many levels deep."""
    return {"a": nested(levels - 1)} if levels > 1 else {}


METADATA: list[Any] = [
    {"source": "web"},
    {"": ""},
    {"int": 1, "float": 1.0, "true": True, "null": None, "big": 2**70, "negative": -(2**70)},
    {"tiny": 5e-324, "large": 1.7976931348623157e308, "point one": 0.1, "minus zero": -0.0},
    {"nan": math.nan, "inf": math.inf, "-inf": -math.inf},
    {"nested": {"a": [1, [2, [{"b": None}]]], "$set": 1, "a.b": 2, "": {}, "empty": []}},
    {"text": "\ud83d", "nul": "\x00", "\ud800 key": 1, "u2028": "\u2028"},
    nested(50),
    {"synmem": "a user's own key"},
    {"synmem": {"v": 1, "content": "not the content"}, "other": 1},
    {"synmem": None},
    {"id": 5, "conversation_id": "other", "_id": 1, "session_id": 2, "role": "x", "content": "y"},
]

AT = datetime(2026, 11, 21, 6, 0, 0, 123456, tzinfo=UTC)

FULL = Message(
    "assistant",
    "text of the parts",
    {"k": 1},
    AT,
    [{"id": "call_1", "name": "weather", "arguments": {"city": "Zürich", "n": 2**70}}],
    "call_0",
    "bob",
    [
        {"type": "text", "text": "text of the parts"},
        {"type": "image_url", "image_url": {"url": "x"}},
    ],
    {"langchain": {"response_metadata": {"a": [1.5, None]}}},
)

Opener = Callable[[], AbstractAsyncContextManager[Store]]


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """Run an async test."""
    return asyncio.run(main)


async def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until it holds, whatever brings it about; TimeoutError where it never does."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110  # a process, a thread or a server does
            await asyncio.sleep(0.02)


def numbered(count: int, start: int = 0, role: str = "user") -> list[Message]:
    """Messages that tell their place."""
    return [Message(role, f"message {n}") for n in range(start, start + count)]


async def contents(store: Store, conversation: str, **how: Any) -> list[str]:
    """What the messages of a conversation say, as they are read."""
    return [item.content for item in await items(store, conversation, **how)]


async def items(store: Store, conversation: str, **how: Any) -> list[Any]:
    """The messages of a conversation, as they are read; no page larger than it may be."""
    found: list[Any] = []
    async for page in store.read([conversation], **how):
        assert page.conversation == conversation
        assert 1 <= len(page.items) <= PAGE_SIZE
        found += page.items
    return found


async def ids(store: Store) -> list[str]:
    """Every conversation, which must be listed once."""
    found = [info.id async for page in store.conversations() for info in page]
    assert len(found) == len(set(found))
    return sorted(found)


async def details(store: Store) -> dict[str, ConversationInfo]:
    """Every conversation as a listing with details has it."""
    return {i.id: i async for page in store.conversations(details=True) for i in page}


async def add(store: Store, conversation: str, messages: Sequence[Message], **how: Any) -> str:
    """Append to one conversation; its new end."""
    (end,) = await store.append([Part(Conversation(conversation), messages)], **how)
    return end


async def begin(store: Store, conversation: str) -> str:
    """The position of the first message."""
    return await anext(page.position(0) async for page in store.read([conversation], limit=1))


class Reading:
    """What every store promises to its readers."""

    def holding(self, parts: Sequence[Part], tmp_path: Any) -> AbstractAsyncContextManager[Store]:
        """A store with pages of two that holds these conversations."""
        raise NotImplementedError

    def check(self, tmp_path: Any, parts: Sequence[Part], test: Any) -> None:
        async def main() -> None:
            async with self.holding(parts, tmp_path) as store:
                await test(store)

        run(main())

    def test_an_empty_store_lists_nothing_and_reads_nothing(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            assert await ids(store) == []
            assert await items(store, "none") == []
            assert await items(store, "none", reverse=True) == []

        self.check(tmp_path, [], test)

    def test_a_store_that_was_closed_never_seems_empty(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            await store.close()
            with contextlib.suppress(SynmemError):  # or it goes on
                assert await ids(store) == ["a"]
            with contextlib.suppress(SynmemError):
                assert await contents(store, "a") == ["message 0"]

        self.check(tmp_path, [Part(Conversation("a"), numbered(1))], test)

    @pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
    def test_order_both_ways_across_pages(self, tmp_path: Any, count: int) -> None:
        async def test(store: Store) -> None:
            expected = [f"message {n}" for n in range(count)]
            assert await contents(store, "a") == expected
            assert await contents(store, "a", reverse=True) == expected[::-1]

        self.check(tmp_path, [Part(Conversation("a"), numbered(count))], test)

    @pytest.mark.parametrize("limit", [0, 1, 2, 3, 5, 9])
    def test_a_limit_takes_so_many_from_either_end(self, tmp_path: Any, limit: int) -> None:
        async def test(store: Store) -> None:
            expected = [f"message {n}" for n in range(5)]
            assert await contents(store, "a", limit=limit) == expected[:limit]
            newest = await contents(store, "a", limit=limit, reverse=True)
            assert newest == expected[::-1][:limit]

        self.check(tmp_path, [Part(Conversation("a"), numbered(5))], test)

    def test_reading_goes_on_behind_every_position_both_ways(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            positions = [
                page.position(i) async for page in store.read(["a"]) for i in range(len(page.items))
            ]
            assert len(set(positions)) == 5
            for n, position in enumerate(positions):
                rest = await contents(store, "a", after=position)
                assert rest == [f"message {m}" for m in range(n + 1, 5)]
                before = await contents(store, "a", after=position, reverse=True)
                assert before == [f"message {m}" for m in reversed(range(n))]

        self.check(tmp_path, [Part(Conversation("a"), numbered(5))], test)

    def test_stopping_early_is_free_and_can_go_on(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            async with contextlib.aclosing(store.read(["a"])) as pages:  # type: ignore[type-var]
                page = await anext(pages)
            rest = await contents(store, "a", after=page.position(-1))
            assert [m.content for m in page.items] + rest == [f"message {n}" for n in range(7)]

        self.check(tmp_path, [Part(Conversation("a"), numbered(7))], test)

    def test_many_conversations_are_read_in_runs(self, tmp_path: Any) -> None:
        sizes = {f"c{n}": n % 6 + 1 for n in range(25)}
        parts = [Part(Conversation(i), numbered(size)) for i, size in sizes.items()]

        async def test(store: Store) -> None:
            for how in ({}, {"limit": 1}, {"limit": 3}, {"reverse": True}, {"reverse": True, "limit": 1}):  # fmt: skip
                await self._many(store, sizes, how)

        self.check(tmp_path, parts, test)

    async def _many(self, store: Store, sizes: dict[str, int], how: Any) -> None:
        found: dict[str, list[str]] = {}
        last = None
        async for page in store.read([*sizes, "none"], **how):
            assert page.conversation == last or page.conversation not in found, "not in one run"
            last = page.conversation
            found.setdefault(last, []).extend(m.content for m in page.items)  # type: ignore[union-attr]
        for conversation, size in sizes.items():
            expected = [f"message {n}" for n in range(size)]
            if how.get("reverse"):
                expected.reverse()
            assert found.pop(conversation) == expected[: how.get("limit")], how
        assert not found

    @pytest.mark.parametrize("name", TEXTS)
    def test_text_survives(self, tmp_path: Any, name: str) -> None:
        text = TEXTS[name]
        message = Message("user", text, {"copy": text[:100]}, name=text[:50], tool_call_id="x")
        fields = self._as_held([message])

        async def test(store: Store) -> None:
            assert await items(store, "a") == fields

        if self.can_hold(message):
            self.check(tmp_path, [Part(Conversation("a"), [message])], test)
        else:
            self.check(tmp_path, [], lambda store: self._refused(store, message))

    async def _refused(self, store: Store, message: Message) -> None:
        assert store.refusal(message)
        with pytest.raises(Rejected):
            await store.append([Part(Conversation("a"), [*numbered(1), message])])
        assert await ids(store) == []

    def test_metadata_survives_exactly(self, tmp_path: Any) -> None:
        messages = [Message("user", f"m {n}", value) for n, value in enumerate(METADATA)]

        async def test(store: Store) -> None:
            assert await items(store, "a") == messages

        self.check(tmp_path, [Part(Conversation("a"), messages)], test)

    def test_every_field_survives(self, tmp_path: Any) -> None:
        messages = [
            FULL,
            Message("Human", "roles are not touched"),
            Message("role \ud800 broken", "\ud800", {"synmem": {"v": 1}}, AT, name="\udfff"),
            Message("tool", "result", tool_call_id="call_1", name=""),
            Message("user", "whole second", created_at=AT.replace(microsecond=0)),
            Message("user", "early", created_at=datetime(1, 1, 1, tzinfo=UTC)),
            Message("user", "late", created_at=datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)),
        ]

        async def test(store: Store) -> None:
            assert await items(store, "a") == self._as_held(messages)

        self.check(tmp_path, [Part(Conversation("a"), messages)], test)

    def test_ids_are_opaque(self, tmp_path: Any) -> None:
        parts = [Part(Conversation(i), [Message("user", f"of {i}")]) for i in IDS]

        async def test(store: Store) -> None:
            assert await ids(store) == sorted(IDS)
            for conversation in IDS:
                assert await contents(store, conversation) == [f"of {conversation}"]

        self.check(tmp_path, parts, test)

    def test_details_of_conversations(self, tmp_path: Any) -> None:
        titled = "title" in self.conversation_fields()
        parts = [
            Part(
                Conversation("a", "A title \u2028 \x1b", {"k": [2**70]}) if titled else Conversation("a"),
                [Message("user", "x", created_at=AT), Message("user", "y"), FULL],
            ),
            Part(Conversation("b"), [Message("user", "x")]),
            Part(Conversation("c"), numbered(5)),
        ]  # fmt: skip

        async def test(store: Store) -> None:
            found = {i.id: i async for page in store.conversations(details=True) for i in page}
            assert {i: info.messages for i, info in found.items()} == {"a": 3, "b": 1, "c": 5}
            assert (found["a"].first_at, found["a"].last_at) == (AT, AT)
            assert (found["b"].first_at, found["b"].last_at) == (None, None)
            if titled:
                assert (found["a"].title, found["a"].extra) == (parts[0].conversation.title, {"k": [2**70]})  # fmt: skip
            assert found["b"].title is None
            some = [i async for page in store.conversations(["c", "none", "a"], details=True) for i in page]  # fmt: skip
            assert {i.id: i for i in some} == {i: found[i] for i in ("a", "c")}

        self.check(tmp_path, parts, test)

    def test_a_listing_is_complete_over_many_pages(self, tmp_path: Any) -> None:
        names = [f"conversation {n}" for n in range(23)]

        async def test(store: Store) -> None:
            assert await ids(store) == sorted(names)

        self.check(tmp_path, [Part(Conversation(n), numbered(1)) for n in names], test)

    def test_an_id_that_is_not_utf8_is_in_no_store(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            assert await items(store, "\ud800") == []
            assert [i async for p in store.conversations(["\ud800", "a"]) for i in p] != []

        self.check(tmp_path, [Part(Conversation("a"), numbered(1))], test)

    def test_close_twice_is_close_once(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            await store.close()
            await store.close()

        self.check(tmp_path, [Part(Conversation("a"), numbered(1))], test)

    def conversation_fields(self) -> frozenset[str]:
        """Which of title and extra the store holds."""
        return frozenset({"title", "extra"})

    def can_hold(self, message: Message) -> bool:
        """Whether the message is not too large for the store, which must refuse it otherwise."""
        return True

    def _as_held(self, messages: list[Message]) -> list[Message]:
        """The messages as the store holds them: all of them, unless a layout lacks a field."""
        return messages


class Writing(Reading):
    """What every store promises to its writers."""

    def stores(self, tmp_path: Any) -> Opener:
        """How to open the same, at first empty, store for writing; again and again."""
        raise NotImplementedError

    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        """See `Reading.holding`."""
        async with self.stores(tmp_path)() as store:
            for part in parts:
                await store.append([part])
            yield store

    def test_append_returns_the_new_end(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            end = await add(store, "a", numbered(3))
            assert await contents(store, "a", after=end) == []
            (end2,) = await store.append([Part(Conversation("a"), numbered(2, 3), end)])
            assert await contents(store, "a", after=end) == ["message 3", "message 4"]
            (same,) = await store.append([Part(Conversation("a", "t"), [], end2)])
            assert same == end2

        self.check(tmp_path, [], test)

    def test_one_call_appends_to_many_conversations(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            parts = [Part(Conversation(f"c{n}"), numbered(n % 3 + 1), START) for n in range(30)]
            ends = await store.append(parts)
            assert len(ends) == 30
            for part, end in zip(parts, ends, strict=True):
                said = await contents(store, part.conversation.id)
                assert said == [m.content for m in part.messages]
                assert await contents(store, part.conversation.id, after=end) == []

        self.check(tmp_path, [], test)

    def test_a_wrong_end_is_changed_and_writes_nothing(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            end = await add(store, "a", numbered(1))
            await add(store, "a", numbered(1, 1))
            for expect in (end, START):
                with pytest.raises(Changed):
                    await store.append(
                        [
                            Part(Conversation("new"), numbered(1), START),
                            Part(Conversation("a"), numbered(1, 9), expect),
                        ]
                    )
            with pytest.raises(Changed):
                await store.append([Part(Conversation("absent"), numbered(1), end)])
            assert await ids(store) == ["a"]
            assert await contents(store, "a") == ["message 0", "message 1"]

        self.check(tmp_path, [], test)

    def test_a_retried_append_is_one_append(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            part = Part(Conversation("a"), numbered(3), START)
            await store.append([part])
            with pytest.raises(Changed):
                await store.append([part])
            assert await contents(store, "a") == [f"message {n}" for n in range(3)]

        self.check(tmp_path, [], test)

    def test_what_cannot_be_held_is_listed_whole_and_nothing_is_written(self, tmp_path: Any) -> None:  # fmt: skip
        bad: list[Any] = [
            Message("user", "\ud83d\ude00"),  # two code points that JSON reads as one
            Message("user", 5),  # type: ignore[arg-type]
            Message("user", "x", {1: "a"}),  # type: ignore[dict-item]
            Message("user", "x", {"a": {1, 2}}),
            Message("user", "x", created_at=datetime(2026, 1, 1)),
            Message("user", "x", tool_calls=[{"a": (1, 2)}]),
            Message("user", "x", nested(200)),
        ]

        async def test(store: Store) -> None:
            with pytest.raises(Rejected) as caught:
                await store.append(
                    [
                        Part(Conversation("good"), numbered(2)),
                        Part(Conversation("bad"), [*numbered(1), *bad]),
                    ]
                )
            assert [r[:2] for r in caught.value.reasons] == [
                ("bad", n + 1) for n in range(len(bad))
            ]
            for message in bad:
                assert store.refusal(message)
            assert await ids(store) == []

        self.check(tmp_path, [], test)

    @pytest.mark.parametrize("name", ["", "x" * 1025, "é" * 513, "\ud800"])
    def test_other_ids_are_refused(self, tmp_path: Any, name: str) -> None:
        async def test(store: Store) -> None:
            with pytest.raises(Rejected):
                await add(store, name, numbered(1))
            assert await ids(store) == []

        self.check(tmp_path, [], test)

    @pytest.mark.parametrize(("held", "new", "keep"), [(0, 5, 3), (5, 1, 3), (2, 1, 9), (3, 2, 0)])
    def test_keep_trims_in_the_same_step(self, tmp_path: Any, held: int, new: int, keep: int) -> None:  # fmt: skip
        async def test(store: Store) -> None:
            if held:
                await add(store, "a", numbered(held))
            await add(store, "other", numbered(5))
            end = await add(store, "a", numbered(new, held), keep=keep)
            last = [page.position(0) async for page in store.read(["a"], reverse=True, limit=1)]
            assert [end] == (last or [START])
            expected = [f"message {n}" for n in range(held + new)]
            assert await contents(store, "a") == (expected[-keep:] if keep else [])
            assert len(await contents(store, "other")) == 5
            assert await ids(store) == (["a", "other"] if keep else ["other"])

        self.check(tmp_path, [], test)

    def test_delete_forgets_whole_and_twice_is_once(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            await add(store, "a", numbered(3))
            await add(store, "b", numbered(3))
            assert await store.delete("a") is True
            assert await store.delete("a") is False
            assert await store.delete("none") is False
            assert await ids(store) == ["b"]
            await add(store, "a", numbered(1, 7))
            assert await contents(store, "a") == ["message 7"]

        self.check(tmp_path, [], test)

    def test_delete_up_to_a_position_leaves_what_is_behind(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            end = await add(store, "a", numbered(3))
            await add(store, "a", numbered(2, 3))
            assert await store.delete("a", upto=end)
            assert await contents(store, "a") == ["message 3", "message 4"]
            with pytest.raises(Changed):
                await store.delete("a", upto=end)
            assert await contents(store, "a") == ["message 3", "message 4"]
            last = [p.position(-1) async for p in store.read(["a"])][-1]
            assert await store.delete("a", upto=last)
            assert await ids(store) == []

        self.check(tmp_path, [], test)

    def test_a_reader_whose_place_is_gone_is_told(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            await add(store, "a", numbered(6))
            pages = store.read(["a"])
            page = await anext(pages)
            await store.delete("a", upto=page.position(-1))
            with pytest.raises(Changed):
                await anext(pages)
            with pytest.raises(Changed):
                await items(store, "a", after=page.position(-1))
            pages = store.read(["a"], reverse=True)
            await anext(pages)
            await store.delete("a")
            with pytest.raises(Changed):
                await anext(pages)

        self.check(tmp_path, [], test)

    def test_a_reader_sees_what_is_added_behind_its_place(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            await add(store, "a", numbered(4))
            pages = store.read(["a"])
            first = await anext(pages)
            await add(store, "a", numbered(2, 4))
            rest = [m async for page in pages for m in page.items]
            assert [m.content for m in [*first.items, *rest]] == [f"message {n}" for n in range(6)]  # type: ignore[union-attr]

        self.check(tmp_path, [], test)

    @pytest.mark.parametrize(
        ("cut", "new"), [(0, 3), (1, 1), (3, 1), (2, 5), (5, 1), (5, 0), (2, 0)]
    )
    def test_replace_puts_messages_in_the_place_of_the_front(self, tmp_path: Any, cut: int, new: int) -> None:  # fmt: skip
        async def test(store: Store) -> None:
            await add(store, "other", numbered(2))
            await add(store, "a", numbered(5))
            positions = [
                p.position(i) async for p in store.read(["a"]) for i in range(len(p.items))
            ]
            upto = positions[cut - 1] if cut else START
            front = [Message("system", f"new {n}", {"n": n}) for n in range(new)]
            await store.replace(Conversation("a"), once(front), upto=upto)
            expected = [m.content for m in front] + [f"message {n}" for n in range(cut, 5)]
            assert await contents(store, "a") == expected
            assert await contents(store, "a", reverse=True) == expected[::-1]
            await add(store, "a", numbered(1, 5))
            assert await contents(store, "a") == [*expected, "message 5"]
            assert await contents(store, "other") == ["message 0", "message 1"]
            if cut and cut < 5:
                with pytest.raises(Changed):
                    await store.replace(Conversation("a"), once(front), upto=upto)

        self.check(tmp_path, [], test)

    def test_replace_again_and_again(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            await add(store, "a", numbered(4))
            for n in range(5):
                first = await anext(store.read(["a"], limit=1))
                await store.replace(
                    Conversation("a"),
                    once([Message("system", f"x {n}"), Message("system", f"y {n}")]),
                    upto=first.position(0),
                )
            said = await contents(store, "a")
            assert said == ["x 4", "y 4", *(f"y {n}" for n in (3, 2, 1, 0)), *(f"message {n}" for n in (1, 2, 3))]  # fmt: skip

        self.check(tmp_path, [], test)

    def test_replace_in_an_absent_conversation_makes_it(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            await store.replace(Conversation("a"), once(numbered(3)), upto=START)
            assert await contents(store, "a") == [f"message {n}" for n in range(3)]
            await store.replace(Conversation("b"), once([]), upto=START)
            assert await ids(store) == ["a"]

        self.check(tmp_path, [], test)

    def test_a_refused_replace_changes_nothing(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            end = await add(store, "a", numbered(3))
            with pytest.raises(Rejected):
                await store.replace(
                    Conversation("a"),
                    once([*numbered(3), Message("user", "\ud83d\ude00")]),
                    upto=end,
                )
            assert await contents(store, "a") == [f"message {n}" for n in range(3)]

        self.check(tmp_path, [], test)

    def test_titles_are_set_kept_and_forgotten(self, tmp_path: Any) -> None:
        if "title" not in self.conversation_fields():
            pytest.skip("this layout holds no titles")

        async def title(store: Store) -> Any:
            found = [i async for page in store.conversations(["a"], details=True) for i in page]
            return (found[0].title, found[0].extra) if found else None

        async def test(store: Store) -> None:
            await store.append([Part(Conversation("a", "one", {"k": 1}), numbered(1))])
            assert await title(store) == ("one", {"k": 1})
            await add(store, "a", numbered(1))
            assert await title(store) == ("one", {"k": 1})
            await store.append([Part(Conversation("a", "two \ud800"), [])])
            assert await title(store) == ("two \ud800", {"k": 1})
            await store.append([Part(Conversation("b", "no messages"), [])])
            await store.delete("a")
            assert await ids(store) == []
            await add(store, "a", numbered(1))
            assert await title(store) == (None, None)

        self.check(tmp_path, [], test)

    def spoil(self, tmp_path: Any, conversation: str, field: str) -> None:
        """Make the raw record of its "title" or "extra" one that cannot be read; or of its "head",
        where that is what places the messages."""
        pytest.skip(f"there is no record of a {field} here")

    def test_a_title_that_cannot_be_read_is_told_and_hides_nothing_else(
        self, tmp_path: Any
    ) -> None:
        if "title" not in self.conversation_fields():
            pytest.skip("this layout holds no titles")
        parts = [Part(Conversation(i, f"title {i}", {"k": i}), numbered(3)) for i in "abc"]

        async def test(store: Store) -> None:
            before = await details(store)
            await asyncio.to_thread(self.spoil, tmp_path, "b", "title")
            found = await details(store)
            why = found["b"].unreadable
            assert why is not None
            assert why.startswith("title is not JSON: ")
            assert found == {
                **before,
                "b": msgspec.structs.replace(before["b"], title=None, unreadable=why),
            }
            await asyncio.to_thread(self.spoil, tmp_path, "b", "extra")
            both = (await details(store))["b"]
            assert (both.title, both.extra, both.messages) == (None, None, 3)
            assert "; extra is not JSON: " in str(both.unreadable)
            assert await ids(store) == ["a", "b", "c"]
            assert await contents(store, "b") == [f"message {n}" for n in range(3)]
            await store.append([Part(Conversation("b", "new", {"k": "new"}), numbered(1, 3))])
            mended = (await details(store))["b"]
            assert (mended.title, mended.extra, mended.unreadable) == ("new", {"k": "new"}, None)
            await asyncio.to_thread(self.spoil, tmp_path, "b", "title")
            assert await store.delete("b")
            assert await ids(store) == ["a", "c"]

        self.check(tmp_path, parts, test)

    def test_where_a_conversation_begins_cannot_be_read_it_is_one_unreadable_record(
        self, tmp_path: Any
    ) -> None:
        async def test(store: Store) -> None:
            for name in "abc":
                end = await add(store, name, numbered(3))
                await store.replace(Conversation(name, name), once(numbered(2, 7)), upto=end)
            before = await details(store)
            await asyncio.to_thread(self.spoil, tmp_path, "b", "head")
            await self._read_around(store, before)
            await self._refuse_to_write(store)

        self.check(tmp_path, [], test)

    async def _read_around(self, store: Store, before: dict[str, ConversationInfo]) -> None:
        """Every way to read tells of b in its place, and of the others all."""
        found = await details(store)
        why = found["b"].unreadable
        assert found == {**before, "b": ConversationInfo(id="b", title="b", unreadable=why)}
        assert why is not None
        assert why.startswith("its head, which says where it begins, cannot be read: ")
        assert await ids(store) == ["a", "b", "c"]
        there = [i.id async for page in store.conversations(["b", "x", "c"]) for i in page]
        assert sorted(there) == ["b", "c"]
        for how in ({}, {"reverse": True}, {"limit": 1}, {"limit": 1, "reverse": True}, {"limit": 3}):  # fmt: skip
            many = {name: [] for name in "abc"}  # type: dict[str, list[Any]]
            async for page in store.read(["a", "b", "c"], **how):  # type: ignore[arg-type]
                many[page.conversation] += page.items
            for name in "ac":
                assert many[name] == await items(store, name, **how)
                assert len(many[name]) == min(2, how.get("limit", 2))
            for bad in (many["b"], await items(store, "b", **how)):
                assert [(type(item), item.reason) for item in bad] == [(Unreadable, why)]
        (end,) = [page.position(0) async for page in store.read(["b"])]
        assert await items(store, "b", after=end) == []

    async def _refuse_to_write(self, store: Store) -> None:
        """Nothing is written to b, nor to others in the same call."""
        new = Part(Conversation("new"), numbered(1))
        for attempt in (
            add(store, "b", numbered(1)),
            store.append([new, Part(Conversation("b"), numbered(1)), Part(Conversation("a"), numbered(1))]),
            store.append([Part(Conversation("b", "title"), [])]),
            store.delete("b"),
            store.replace(Conversation("b"), once(numbered(1)), upto=START),
        ):  # fmt: skip
            with pytest.raises(CorruptData, match="'b'") as caught:
                await attempt
            assert caught.value.conversation == "b"
        with pytest.raises((Changed, CorruptData)):
            await store.append([Part(Conversation("b"), numbered(1), START)])
        assert await ids(store) == ["a", "b", "c"]
        assert await contents(store, "a") == ["message 7", "message 8"]
        assert await store.delete("a")

    def test_notes_are_kept_and_go_with_their_conversation(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            if not isinstance(store, SupportsNotes):
                return
            await add(store, "a", numbered(1))
            value = {"text": "x \ud800", "n": [2**70, None]}
            await store.set_note("a", "summary", value)
            await store.set_note("a", "other", 1)
            assert await store.note("a", "summary") == value
            await store.set_note("a", "other", None)
            assert await store.note("a", "other") is None
            assert await store.note("none", "summary") is None
            await store.delete("a")
            await add(store, "a", numbered(1))
            assert await store.note("a", "summary") is None

        self.check(tmp_path, [], test)

    def test_an_empty_title_or_extra_is_forgotten(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            if not store.holds.conversation_fields:
                pytest.skip("this layout holds no titles")
            for empty in (Conversation("a", ""), Conversation("a", None, {})):
                whole = Conversation("a", "A title", {"e": 1})
                await store.append([Part(whole, numbered(2))])
                end = await store.append([Part(Conversation("a"), numbered(1))])
                await store.append([Part(empty, [])])
                info = (await details(store))["a"]
                wanted = (None, {"e": 1}) if empty.title is not None else ("A title", None)
                assert (info.title, info.extra or None) == wanted
                both = Conversation("a", "", {})
                await store.replace(both, once(numbered(2)), upto=end[0])
                info = (await details(store))["a"]
                assert (info.title, info.extra or None) == (None, None)

        self.check(tmp_path, [], test)

    def test_all_notes_of_many_conversations(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            if not isinstance(store, SupportsNotes):
                return
            names = [f"c{n}" for n in range(5)] + ["nul\x00inside"]
            for name in names:
                await add(store, name, numbered(1))
            for name in names[1:]:
                await store.set_note(name, "summary", {"of": name})
                await store.set_note(name, "a.b$c:d", [2**70, "\ud800"])
            expected = {n: {"summary": {"of": n}, "a.b$c:d": [2**70, "\ud800"]} for n in names[1:]}
            assert await store.notes([*names, "none"]) == expected
            assert await store.notes([]) == {}

        self.check(tmp_path, [], test)

    def test_delete_and_replace_look_where_it_begins(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            await add(store, "a", numbered(5))
            first, second, third = [
                p.position(i) async for p in store.read(["a"], limit=3) for i in range(len(p.items))
            ]
            for begins in (START, second):
                with pytest.raises(Changed):
                    await store.delete("a", upto=third, begins=begins)
                with pytest.raises(Changed):
                    new = once(numbered(1, 9))
                    await store.replace(Conversation("a"), new, upto=second, begins=begins)
            assert await contents(store, "a") == [f"message {n}" for n in range(5)]
            assert await store.delete("a", upto=first, begins=first)
            new = once(numbered(1, 9))
            begins = await begin(store, "a")
            await store.replace(Conversation("a"), new, upto=START, begins=begins)
            assert await contents(store, "a") == [f"message {n}" for n in (9, 1, 2, 3, 4)]
            with pytest.raises(Changed):
                new = once(numbered(1, 8))
                await store.replace(Conversation("b"), new, upto=START, begins=begins)
            await store.replace(Conversation("b"), once(numbered(1)), upto=START, begins=START)
            assert await contents(store, "b") == ["message 0"]
            assert sorted(await ids(store)) == ["a", "b"]

        self.check(tmp_path, [], test)

    def test_a_write_whose_token_is_known_is_not_done_again(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            if not isinstance(store, SupportsSteps):
                return
            end = await add(store, "a", numbered(4))
            await add(store, "a", numbered(4))
            steps = [Step("a", f"{n:032x}.{n}") for n in range(4)]
            assert await store.steps_done(steps) == set()
            for _ in range(2):
                assert await store.delete("a", upto=end, token=steps[0].token)
            assert await contents(store, "a") == [f"message {n}" for n in range(4)]
            begins = await begin(store, "a")
            for _ in range(2):
                new = once(numbered(3, 7))
                await store.replace(
                    Conversation("a"), new, upto=START, begins=begins, token=steps[1].token
                )
            assert await contents(store, "a") == [f"message {n}" for n in (7, 8, 9, 0, 1, 2, 3)]
            for _ in range(2):
                assert await store.delete("a", token=steps[2].token)
            assert await store.steps_done(steps) == set(steps[:3])
            await add(store, "a", numbered(1))
            assert await store.steps_done(steps) == set(steps[:3])
            assert await store.delete("a", token=steps[2].token)
            assert await contents(store, "a") == ["message 0"]
            assert await store.call_off(steps[:3]) == set(steps[:3])
            await store.forget_steps(steps[:3])
            await store.forget_steps(steps)
            assert await store.steps_done(steps) == set()
            assert await contents(store, "a") == ["message 0"]
            assert await ids(store) == ["a"]

        self.check(tmp_path, [], test)

    def test_an_append_whose_token_is_known_is_not_done_again(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            if not isinstance(store, SupportsSteps) or not store.holds.atomic_messages:
                return
            names = [f"c{n}" for n in range(5)]
            parts = [Part(Conversation(n, f"title of {n}"), numbered(3), START) for n in names]
            token = "a" * 32
            ends = await store.append(parts, token=token)
            assert await store.append(parts, token=token) == ends
            steps = {Step(name, token) for name in names}
            assert await store.steps_done(steps) == steps
            for name in names:
                assert await contents(store, name) == ["message 0", "message 1", "message 2"]
            with pytest.raises(Changed):
                await store.append(parts, token="b" * 32)
            assert await store.call_off([Step(n, "b" * 32) for n in names]) == set()
            await store.forget_steps(steps)
            assert await store.steps_done(steps) == set()

        self.check(tmp_path, [], test)

    def test_a_step_that_was_called_off_is_never_done(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            if not isinstance(store, SupportsSteps):
                return
            end = await add(store, "a", numbered(4))
            steps = [Step("a", f"{n:032x}") for n in range(4)] + [Step("none", "c" * 32)]
            for _ in range(2):
                assert await store.call_off(steps) == set()
            with pytest.raises(Changed):
                await store.delete("a", upto=end, token=steps[0].token)
            with pytest.raises(Changed):
                await store.delete("a", token=steps[1].token)
            with pytest.raises(Changed):
                new = once(numbered(2, 7))
                await store.replace(Conversation("a"), new, upto=end, token=steps[2].token)
            with pytest.raises(Changed):
                new = once(numbered(2, 7))
                await store.replace(Conversation("none"), new, upto=START, token="c" * 32)
            if store.holds.atomic_messages:
                with pytest.raises(Changed):
                    part = Part(Conversation("a"), numbered(1, 4))
                    await store.append([part], token=steps[3].token)
            assert await store.steps_done(steps) == set()
            assert await contents(store, "a") == [f"message {n}" for n in range(4)]
            assert await ids(store) == ["a"]
            await store.forget_steps(steps)
            assert await store.delete("a", upto=end, token=steps[0].token)
            assert await ids(store) == []

        self.check(tmp_path, [], test)

    def test_a_step_that_is_under_way_is_done_or_called_off(self, tmp_path: Any) -> None:
        async def main() -> None:
            opener = self.stores(tmp_path)
            async with opener() as one, opener() as two:
                if not isinstance(one, SupportsSteps) or not isinstance(two, SupportsSteps):
                    return
                for n in range(12):
                    name, token = f"c{n}", f"{n:032x}"
                    end = await add(one, name, numbered(3))
                    removing = asyncio.create_task(one.delete(name, upto=end, token=token))
                    for _ in range(n):
                        await asyncio.sleep(0)
                    done = await two.call_off([Step(name, token)])
                    outcome = (await asyncio.gather(removing, return_exceptions=True))[0]
                    assert (outcome is True) if done else isinstance(outcome, Changed), outcome
                    assert len(await contents(two, name)) == (0 if done else 3)

        run(main())

    def test_how_long_it_has_left_can_be_said(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            if not isinstance(store, SupportsExpiry):
                return
            await add(store, "a", numbered(1))
            await add(store, "b", numbered(1))
            await store.expire({"a": 5000.0, "none": 5.0})
            left = await store.expiring(["a", "b", "none"])
            assert 4900 < left.pop("a") <= 5000
            assert "none" not in left

        self.check(tmp_path, [], test)

    def test_two_writers_lose_nothing(self, tmp_path: Any) -> None:
        async def main() -> None:
            opener = self.stores(tmp_path)
            async with opener() as one, opener() as two:
                await self._write_at_once([one, two, one])

        run(main())

    async def _write_at_once(self, stores: Sequence[Store]) -> None:
        async def writer(store: Store, name: str) -> None:
            for n in range(10):
                await add(store, "a", [Message(name, f"{n}")])

        await asyncio.gather(*(writer(s, f"w{n}") for n, s in enumerate(stores)))
        found = await items(stores[0], "a")
        assert len(found) == 10 * len(stores)
        for n in range(len(stores)):
            mine = [m.content for m in found if m.role == f"w{n}"]
            assert mine == [str(k) for k in range(10)]

    def test_of_two_who_expect_the_same_end_one_is_told(self, tmp_path: Any) -> None:
        async def main() -> None:
            opener = self.stores(tmp_path)
            async with opener() as one, opener() as two:
                part = Part(Conversation("a"), numbered(2), START)
                outcomes = await asyncio.gather(
                    one.append([part]), two.append([part]), return_exceptions=True
                )
                assert sorted(type(o).__name__ for o in outcomes) == ["Changed", "list"]
                assert await contents(one, "a") == ["message 0", "message 1"]

        run(main())

    def test_what_one_wrote_another_reads(self, tmp_path: Any) -> None:
        async def main() -> None:
            opener = self.stores(tmp_path)
            async with opener() as one:
                await add(one, "a", [FULL])
            async with opener() as two:
                assert await items(two, "a") == self._as_held([FULL])

        run(main())

    def test_tasks_can_share_a_store(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            await asyncio.gather(*(add(store, f"c{n}", numbered(3)) for n in range(8)))
            found = await asyncio.gather(*(contents(store, f"c{n}") for n in range(8)))
            assert found == [[f"message {k}" for k in range(3)]] * 8

        self.check(tmp_path, [], test)
