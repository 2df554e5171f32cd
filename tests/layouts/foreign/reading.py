"""The readers' part of the contract, for stores that keep LlamaIndex's messages."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from msgspec import structs

from synmem.messages import Conversation, Message
from synmem.store import Part, Store
from tests.conformance import AT, FULL, Reading, details, items, numbered


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
