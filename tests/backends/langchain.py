"""The contract for a store of LangChain's messages, wherever they lie."""

from typing import Any, ClassVar

import pytest
from msgspec import structs

from synmem.layouts.foreign.langchain_messages import refusal
from synmem.messages import Conversation, Message
from synmem.store import Part, Store
from tests.conformance import FULL, Writing, details, items, numbered


class WritingLangChain(Writing):
    """Writing, less what LangChain's messages have no place for."""

    full: ClassVar[Message] = FULL
    """A message with every field that such a store can hold."""

    def conversation_fields(self) -> frozenset[str]:
        return frozenset()

    def can_hold(self, message: Message) -> bool:
        return refusal(message) is None

    def _as_held(self, messages: list[Message]) -> list[Message]:
        nothing = {"metadata": None, "created_at": None}
        return [structs.replace(message, **nothing) for message in messages]

    def test_metadata_survives_exactly(self, tmp_path: Any) -> None:
        pytest.skip("LangChain's messages have no metadata")

    def test_every_field_survives(self, tmp_path: Any) -> None:
        messages = [
            self.full,
            Message("Human", "roles are not touched"),
            Message("developer", "be brief"),
            Message("tool", "result", tool_call_id="call_1", name=""),
            Message("user", "without its own", extra={"langchain": {"id": "7", "new": 2**70}}),
        ]

        async def test(store: Store) -> None:
            assert await items(store, "a") == self._as_held(messages)

        self.check(tmp_path, [Part(Conversation("a"), messages)], test)

    def test_details_of_conversations(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            found = await details(store)
            assert {i: info.messages for i, info in found.items()} == {"a": 3, "b": 5}
            assert {info.first_at for info in found.values()} == {None}
            some = [i.id async for page in store.conversations(["b", "none"]) for i in page]
            assert some == ["b"]

        parts = [Part(Conversation(i), numbered(count)) for i, count in (("a", 3), ("b", 5))]
        self.check(tmp_path, parts, test)
