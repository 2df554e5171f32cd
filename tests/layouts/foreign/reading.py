"""The readers' part of the contract, for stores that keep LlamaIndex's messages, and for those that a
test writes in a layout's own form."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from msgspec import structs

from synmem.errors import Changed
from synmem.messages import Conversation, Message, Unreadable
from synmem.store import Part, Store
from tests.conformance import AT, FULL, Reading, contents, details, items, numbered


class ReadingTheirs(Reading):
    """The contract on conversations that a test writes in a layout's own form."""

    counts = True
    """Whether a listing tells how many messages there are."""

    async def put(self, parts: Sequence[Part], tmp_path: Any) -> None:
        """Put these conversations there, in the place of older ones of their ids."""
        raise NotImplementedError

    async def spoil_one(self, tmp_path: Any) -> None:
        """Break the record of `message 1` in the conversation `a`."""
        raise NotImplementedError

    def held(self, index: int, message: Message) -> Message:
        """What a message at that index of the conversation `a` is read as."""
        raise NotImplementedError

    def _as_held(self, messages: list[Message]) -> list[Message]:
        return [self.held(index, message) for index, message in enumerate(messages)]

    def _counted(self, **counts: int) -> dict[str, int | None]:
        return {name: count if self.counts else None for name, count in counts.items()}

    def test_metadata_survives_exactly(self, tmp_path: Any) -> None:
        pytest.skip("its messages have no metadata")

    def test_details_of_conversations(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            found = await details(store)
            assert {i: info.messages for i, info in found.items()} == self._counted(a=3, b=5)
            some = [i.id async for page in store.conversations(["b", "none"]) for i in page]
            assert some == ["b"]

        parts = [Part(Conversation(i), numbered(count)) for i, count in (("a", 3), ("b", 5))]
        self.check(tmp_path, parts, test)

    def test_a_record_that_cannot_be_read_stands_in_its_place_and_hides_nothing(
        self, tmp_path: Any
    ) -> None:
        async def test(store: Store) -> None:
            await self.spoil_one(tmp_path)
            for reverse in (False, True):
                found = await items(store, "a", reverse=reverse)
                assert [type(each) for each in found] == [Message, Unreadable, Message]
                assert {found[0].content, found[2].content} == {"message 0", "message 2"}
            assert await contents(store, "b") == ["message 0"]
            counts = {i: info.messages for i, info in (await details(store)).items()}
            assert counts == self._counted(a=3, b=1)

        parts = [Part(Conversation(i), numbered(count)) for i, count in (("a", 3), ("b", 1))]
        self.check(tmp_path, parts, test)

    def test_what_changed_under_a_reader_is_found_again_or_told(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            pages = [page async for page in store.read(["a"])]
            for now, rest in (
                (numbered(6), ["message 3", "message 4", "message 5"]),
                (numbered(4), ["message 3"]),
                (numbered(2), None),
                ([*numbered(2), *numbered(2, 7)], None),
            ):
                await self.put([Part(Conversation("a"), now)], tmp_path)
                after = pages[1].position(0)
                if rest is None:
                    with pytest.raises(Changed):
                        await contents(store, "a", after=after)
                else:
                    assert await contents(store, "a", after=after) == rest

        self.check(tmp_path, [Part(Conversation("a"), numbered(4))], test)


class ReadingLlamaIndex(Reading):
    """What has no place in a message is left out, as it would be if LlamaIndex had written it."""

    at: datetime | None = None
    """The time that a message has which says none; None where messages have no times."""

    def conversation_fields(self) -> frozenset[str]:
        return frozenset()

    def _as_held(self, messages: list[Message]) -> list[Message]:
        return [
            structs.replace(m, metadata=None, created_at=self.at and (m.created_at or self.at))
            for m in messages
        ]

    async def _refused(self, store: Store, message: Message) -> None:
        """LlamaIndex could not have written it."""

    def test_metadata_survives_exactly(self, tmp_path: Any) -> None:
        pytest.skip("LlamaIndex's messages have no metadata")

    def test_every_field_survives(self, tmp_path: Any) -> None:
        call = {"id": "call_1", "name": "f", "arguments": {"city": "Zürich", "n": 2**70}}
        messages = [
            structs.replace(FULL, parts=None, extra=None),
            Message("Human", "roles are not touched", created_at=AT),
            Message("role \ud800 broken", "\ud800", created_at=AT, name="\udfff"),
            Message("tool", "result", created_at=AT, tool_call_id="call_1", name=""),
            Message("assistant", "", created_at=AT, tool_calls=[call, {**call, "id": None}]),
        ]
        messages = [message for message in messages if self.can_hold(message)]

        async def test(store: Store) -> None:
            found = [structs.replace(item, extra=None) for item in await items(store, "a")]
            assert found == self._as_held(messages)

        self.check(tmp_path, [Part(Conversation("a"), messages)], test)

    def test_details_of_conversations(self, tmp_path: Any) -> None:
        said: dict[str, Sequence[Message]] = {"a": [Message("user", "x", created_at=AT)] * 3}

        async def test(store: Store) -> None:
            found = await details(store)
            assert {i: info.messages for i, info in found.items()} == {"a": 3, "b": 5}
            at = self.at and AT
            assert (found["a"].first_at, found["a"].last_at) == (at, at)
            some = [i.id async for page in store.conversations(["b", "none"]) for i in page]
            assert some == ["b"]

        said["b"] = numbered(5)
        self.check(tmp_path, [Part(Conversation(i), each) for i, each in said.items()], test)
