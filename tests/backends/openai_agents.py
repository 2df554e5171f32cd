"""The contract where OpenAI Agents' items are stored, whatever holds them: what an item has no place
for is left out of the suite's messages."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import structs

from synmem.layouts.foreign.openai_agents_items import refusal
from synmem.messages import Conversation, Message
from synmem.store import Part, Store
from tests.conformance import AT, TEXTS, Reading, Writing, add, details, items, numbered, run

CALL = {"id": "call_1", "name": "weather", "arguments": {"city": "Zürich", "n": 2**70}}

ITEMS = [
    Message("system", "be brief"),
    Message("developer", "be brief"),
    Message("user", "\ud800", extra={"openai_agents": {"new": [2**70, None, "\udfff"]}}),
    Message(
        "user", "a\nb",
        parts=[
            {"type": "text", "text": "a"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            {"type": "text", "text": "b"},
        ],
    ),
    Message("reasoning", "hm", extra={"openai_agents": {"id": "rs_1", "encrypted_content": "gA"}}),
    Message("assistant", "", tool_calls=[CALL], extra={"openai_agents": {"id": "fc_1"}}),
    Message("tool", "result", tool_call_id="call_1"),
    Message("assistant", "", extra={"openai_agents": {"item": {"type": "web_search_call"}}}),
    Message("assistant", "x", parts=[{"type": "text", "text": "x"}]),
    Message("user", "whole second", created_at=AT.replace(microsecond=0)),
]  # fmt: skip
"""All that items are."""


class ReadingItems(Reading):
    """What every place of items promises to its readers."""

    timed = False
    """Whether an item has a time, in seconds."""
    stamped = False
    """Whether one that says none has one nevertheless."""

    def conversation_fields(self) -> frozenset[str]:
        return frozenset()

    def _as_held(self, messages: list[Message]) -> list[Message]:
        return [
            structs.replace(
                m,
                metadata=None,
                created_at=m.created_at.replace(microsecond=0)
                if self.timed and m.created_at
                else None,
            )
            for m in messages
        ]

    def without_times(self, messages: Sequence[Any], of: Sequence[Message]) -> list[Message]:
        """What is read of these, less the times that they did not say."""
        return [
            read if said.created_at else structs.replace(read, created_at=None)
            for read, said in zip(messages, of, strict=True)
        ]

    @pytest.mark.parametrize("name", TEXTS)
    def test_text_survives(self, tmp_path: Any, name: str) -> None:
        message = Message("user", TEXTS[name], {"copy": "no metadata"})

        async def test(store: Store) -> None:
            found = self.without_times(await items(store, "a"), [message])
            assert found == self._as_held([message])

        self.check(tmp_path, [Part(Conversation("a"), [message])], test)

    def test_metadata_survives_exactly(self, tmp_path: Any) -> None:
        pytest.skip("items have no metadata")

    def test_every_field_survives(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            found = self.without_times(await items(store, "a"), ITEMS)
            assert found == self._as_held(ITEMS)

        assert [refusal(message) for message in ITEMS] == [None] * len(ITEMS)
        self.check(tmp_path, [Part(Conversation("a"), ITEMS)], test)

    def test_details_of_conversations(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            found = await details(store)
            assert {i: info.messages for i, info in found.items()} == {"a": 3, "b": 5}
            for info in found.values():
                assert (info.first_at is not None) is self.stamped
                assert (info.last_at is not None) is self.stamped
            some = [i.id async for page in store.conversations(["b", "none"]) for i in page]
            assert some == ["b"]
            if self.stamped:
                (first,) = await items(store, "a", limit=1)
                assert found["a"].first_at == first.created_at

        parts = [Part(Conversation(i), numbered(count)) for i, count in (("a", 3), ("b", 5))]
        self.check(tmp_path, parts, test)


class WritingItems(ReadingItems, Writing):
    """What it promises to its writers, too."""

    async def _write_at_once(self, stores: Sequence[Store]) -> None:
        async def writer(store: Store, name: str) -> None:
            for n in range(10):
                await add(store, "a", [Message("user", f"{name} {n}")])

        names = [f"w{n}" for n in range(len(stores))]
        await asyncio.gather(*map(writer, stores, names))
        found = [message.content for message in await items(stores[0], "a")]
        assert len(found) == 10 * len(stores)
        for name in names:
            mine = [said for said in found if said.startswith(name)]
            assert mine == [f"{name} {n}" for n in range(10)]

    def test_what_one_wrote_another_reads(self, tmp_path: Any) -> None:
        async def main() -> None:
            opener = self.stores(tmp_path)
            async with opener() as one:
                await add(one, "a", ITEMS)
            async with opener() as two:
                found = self.without_times(await items(two, "a"), ITEMS)
                assert found == self._as_held(ITEMS)

        run(main())
