"""Collections of other frameworks in MongoDB: the contract on LangChain's; documents of several
messages or none, ordered by values of any kind; what is found on a server, and what must be named."""

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import structs

from synmem.errors import Rejected
from synmem.layouts.foreign.langchain_messages import refusal as REFUSES
from synmem.messages import Conversation, Message
from synmem.store import Part, Store
from tests import conformance, services
from tests.backends.mongo.place import Place, placed
from tests.conformance import FULL, Opener, Writing, add, details, items, numbered


@pytest.fixture
def place(mongo_server: services.Server) -> Iterator[Place]:
    with placed(mongo_server.url) as there:
        yield there


class TestLangChain(Writing):
    place: Place

    @pytest.fixture(autouse=True)
    def _placed(self, place: Place) -> None:
        self.place = place

    def test_ids_are_opaque(
        self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, mongo_server: services.Server
    ) -> None:
        if "FerretDB" in mongo_server.what:
            nul = "nul\0inside"
            monkeypatch.setattr(conformance, "IDS", [i for i in conformance.IDS if i != nul])

            async def test(store: Store) -> None:
                with pytest.raises(Rejected, match="NUL"):
                    await add(store, nul, numbered(1))
                assert await items(store, nul) == []
                assert await store.delete(nul) is False

            self.check(tmp_path, [], test)
        super().test_ids_are_opaque(tmp_path)

    def stores(self, tmp_path: Any) -> Opener:
        return lambda: self.place.opened(write=True, layout="langchain")

    def conversation_fields(self) -> frozenset[str]:
        return frozenset()

    def can_hold(self, message: Message) -> bool:
        return REFUSES(message) is None

    def _as_held(self, messages: list[Message]) -> list[Message]:
        nothing = {"metadata": None, "created_at": None}
        return [structs.replace(message, **nothing) for message in messages]

    def test_metadata_survives_exactly(self, tmp_path: Any) -> None:
        pytest.skip("LangChain's messages have no metadata")

    def test_every_field_survives(self, tmp_path: Any) -> None:
        messages = [
            FULL,
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
