"""The contract of a store to its readers, on the collections of apps that a test writes in their own
form."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from synmem.messages import Message, replaced
from synmem.store import Part
from tests import services
from tests.backends.mongo.place import Place, placed
from tests.backends.mongo.reading import ReadingDocuments

AT = datetime(2026, 9, 21, 14, 13, 21, 125_000, UTC)


@pytest.fixture
def place(mongo_server: services.Server) -> Iterator[Place]:
    with placed(mongo_server.url) as there:
        yield there


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
