"""The contract of a store to its readers, on the collections of apps that a test writes in their own
form."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from synmem.errors import Changed
from synmem.messages import Conversation, Message, Unreadable, replaced
from synmem.store import Part, Store
from tests import conformance, services
from tests.backends.mongo.place import Place, placed
from tests.conformance import TEXTS, Reading, contents, details, items, numbered

AT = datetime(2026, 9, 21, 14, 13, 21, 125_000, UTC)


@pytest.fixture
def place(mongo_server: services.Server) -> Iterator[Place]:
    with placed(mongo_server.url) as there:
        yield there


class ReadingDocuments(Reading):
    """The contract on documents; what BSON, or the server, cannot hold is left out."""

    @pytest.fixture(autouse=True)
    def _placed(self, place: Place, mongo_server: services.Server) -> None:
        self.place = place
        self.holds_nul = "FerretDB" not in mongo_server.what

    def fill(self, parts: Sequence[Part]) -> None:
        """Put these conversations there, in the place of older ones of their ids."""
        raise NotImplementedError

    def held(self, index: int, message: Message) -> Message:
        """What a message at that index of the conversation `a` is read as."""
        raise NotImplementedError

    def spoil(self) -> None:
        """Break the record of `message 1` in the conversation `a`."""
        raise NotImplementedError

    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        self.fill([*parts, Part(Conversation("nothing"), [])])
        async with self.place.opened() as store:
            yield store

    def conversation_fields(self) -> frozenset[str]:
        return frozenset()

    def _as_held(self, messages: list[Message]) -> list[Message]:
        return [self.held(index, message) for index, message in enumerate(messages)]

    @pytest.mark.parametrize("name", TEXTS)
    def test_text_survives(self, tmp_path: Any, name: str) -> None:
        if "surrogate" in name or (name == "nul" and not self.holds_nul):
            pytest.skip("this server does not hold it")
        super().test_text_survives(tmp_path, name)

    def test_metadata_survives_exactly(self, tmp_path: Any) -> None:
        pytest.skip("its messages have no metadata")

    def test_ids_are_opaque(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        if not self.holds_nul:
            some_ids = [id_ for id_ in conformance.IDS if "\0" not in id_]
            monkeypatch.setattr(conformance, "IDS", some_ids)
        super().test_ids_are_opaque(tmp_path)

    def test_details_of_conversations(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            found = await details(store)
            assert {i: info.messages for i, info in found.items()} == {"a": 3, "b": 5}
            some = [i.id async for page in store.conversations(["b", "none"]) for i in page]
            assert some == ["b"]

        parts = [Part(Conversation(i), numbered(count)) for i, count in (("a", 3), ("b", 5))]
        self.check(tmp_path, parts, test)

    def test_a_record_that_cannot_be_read_stands_in_its_place_and_hides_nothing(
        self, tmp_path: Any
    ) -> None:
        async def test(store: Store) -> None:
            self.spoil()
            for reverse in (False, True):
                found = await items(store, "a", reverse=reverse)
                assert [type(each) for each in found] == [Message, Unreadable, Message]
                assert {found[0].content, found[2].content} == {"message 0", "message 2"}
            assert await contents(store, "b") == ["message 0"]
            counts = {i: info.messages for i, info in (await details(store)).items()}
            assert counts == {"a": 3, "b": 1}

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
                self.fill([Part(Conversation("a"), now)])
                after = pages[1].position(0)
                if rest is None:
                    with pytest.raises(Changed):
                        await contents(store, "a", after=after)
                else:
                    assert await contents(store, "a", after=after) == rest

        self.check(tmp_path, [Part(Conversation("a"), numbered(4))], test)


class TestLibreChat(ReadingDocuments):
    def fill(self, parts: Sequence[Part]) -> None:
        chats, said = (self.place.database[name] for name in ("conversations", "messages"))
        said.create_index("conversationId")  # LibreChat makes both before anything is said
        for part in parts:
            id_ = part.conversation.id
            chats.delete_many({"conversationId": id_})
            said.delete_many({"conversationId": id_})
            chats.insert_one({"conversationId": id_, "endpoint": "openAI", "user": "u"})
            documents = [
                {
                    "messageId": f"{id_} {n}", "conversationId": id_,
                    "parentMessageId": f"{id_} {n - 1}" if n else None,
                    "text": replaced(message.content),
                    "isCreatedByUser": message.role != "assistant",
                    "createdAt": AT + timedelta(seconds=n),
                }
                for n, message in enumerate(part.messages)
            ]  # fmt: skip
            if documents:
                said.insert_many(documents)

    def spoil(self) -> None:
        self.place.database["messages"].update_one({"messageId": "a 1"}, {"$set": {"text": 5}})

    def held(self, index: int, message: Message) -> Message:
        role = "assistant" if message.role == "assistant" else "user"
        own: dict[str, Any] = {"messageId": f"a {index}"}
        if index:
            own["parentMessageId"] = f"a {index - 1}"
        at = AT + timedelta(seconds=index)
        return Message(role, replaced(message.content), created_at=at, extra={"librechat": own})


class TestChatUi(ReadingDocuments):
    def fill(self, parts: Sequence[Part]) -> None:
        chats = self.place.database["conversations"]
        for part in parts:
            id_ = part.conversation.id
            documents = [
                {
                    "id": f"{id_} {n}", "from": replaced(message.role),
                    "content": replaced(message.content), "createdAt": AT + timedelta(seconds=n),
                    "ancestors": [f"{id_} {m}" for m in range(n)],
                    "children": [f"{id_} {n + 1}"] if n + 1 < len(part.messages) else [],
                }
                for n, message in enumerate(part.messages)
            ]  # fmt: skip
            whole = {"_id": id_, "userId": "u", "messages": documents}
            root = {"rootMessageId": f"{id_} 0"} if documents else {}
            chats.replace_one({"_id": id_}, whole | root, upsert=True)

    def spoil(self) -> None:
        self.place.database["conversations"].update_one(
            {"_id": "a"}, {"$set": {"messages.1.content": 5}}
        )

    def held(self, index: int, message: Message) -> Message:
        at, own = AT + timedelta(seconds=index), {"id": f"a {index}"}
        return Message(
            replaced(message.role), replaced(message.content), created_at=at, extra={"chat_ui": own}
        )
