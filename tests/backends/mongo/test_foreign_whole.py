"""Conversations in MongoDB that are a document each, or lie in several collections: the contract on
LangChain.js's; ids that are ObjectIds, and trees, on HuggingChat's and LibreChat's."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from bson import Int64, ObjectId, Regex
from hypothesis import given
from hypothesis import strategies as some
from msgspec import structs

from synmem.layouts.foreign.langchain import SHAPES
from synmem.layouts.foreign.langchain_messages import json_of
from synmem.layouts.foreign.langchain_messages import refusal as REFUSES
from synmem.layouts.shapes import Gathered
from synmem.messages import Conversation, Message, Unreadable
from synmem.store import Part, Store
from tests import conformance, services
from tests.backends.mongo.place import Place, placed
from tests.backends.mongo.reading import ReadingDocuments
from tests.conformance import contents, details, ids, items, numbered, run
from tests.layouts.foreign.odd import JSON, document, is_well_told

(JS,) = [shape for shape in SHAPES["mongo"] if isinstance(shape, Gathered)]


@pytest.fixture
def place(mongo_server: services.Server) -> Iterator[Place]:
    with placed(mongo_server.url) as there:
        yield there


def fill(place: Place, session: Any, messages: Sequence[Any]) -> None:
    """Put a session's document there, in the place of an older one."""
    said = [json_of(each) if isinstance(each, Message) else each for each in messages]
    chats = place.database["chats"]
    chats.delete_many({"sessionId": session})
    chats.insert_one({"sessionId": session, "messages": said})


class TestLangChainJs(ReadingDocuments):
    def fill(self, parts: Sequence[Part]) -> None:
        for part in parts:
            fill(self.place, part.conversation.id, part.messages)

    def spoil(self) -> None:
        chats = self.place.database["chats"]
        chats.update_one({"sessionId": "a"}, {"$set": {"messages.1": 5}})

    def can_hold(self, message: Message) -> bool:
        return REFUSES(message) is None

    def held(self, index: int, message: Message) -> Message:
        return structs.replace(message, metadata=None, created_at=None)

    def test_every_field_survives(self, tmp_path: Any) -> None:
        messages = [
            Message("Human", "roles are not touched"),
            Message("developer", "be brief"),
            Message("tool", "result", tool_call_id="call_1", name=""),
            Message("user", "a\nb", parts=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
            Message("user", "its own", extra={"langchain": {"id": "7", "new": 2**40}}),
        ]  # fmt: skip

        async def test(store: Store) -> None:
            assert await items(store, "a") == messages

        self.check(tmp_path, [Part(Conversation("a"), messages)], test)


def test_what_cannot_be_read_hides_nothing_and_what_belongs_to_nobody_is_named(
    place: Place,
) -> None:
    odd = [{"type": "human"}, None, 5, {"type": "human", "data": {"content": Regex("x"), "k": b"x"}}]  # fmt: skip
    fill(place, "a", [*numbered(2), *odd, *numbered(1, 2)])
    fill(place, "b", numbered(1))
    place.database["chats"].insert_one({"sessionId": "c", "messages": "none"})
    for nobody in (None, 5, ["b"], "", {"a": 1}):
        place.database["chats"].insert_one({"sessionId": nobody, "messages": []})

    async def main() -> None:
        async with place.opened(collection_name="chats") as store:
            found = await items(store, "a")
            assert [isinstance(each, Unreadable) for each in found] == [False] * 2 + [True] * 4 + [False]  # fmt: skip
            assert await contents(store, "b") == ["message 0"]
            (gone,) = await items(store, "c")
            assert "no list" in gone.reason
            assert {i: c.messages for i, c in (await details(store)).items()} == {"a": 7, "b": 1, "c": 1}  # fmt: skip
            assert len(await store.strays()) == 5

    run(main())


@given(document("sessionId", "messages", "_id") | some.builds(lambda said: {"sessionId": "a", "messages": said}, some.lists(JSON)))  # fmt: skip
def test_whatever_lies_in_a_document_is_told_or_named(document: Any) -> None:
    assert JS.tells(document) in (True, False)
    assert is_well_told(lambda: JS.unfold("a", {JS.collection: [document]}))


def chat(text: str, **more: Any) -> dict[str, Any]:
    """A document of HuggingChat's."""
    said = {"id": "1", "from": "user", "content": text}
    return {"title": f"of {text}", "model": "m", "messages": [said], **more}


def test_an_object_id_is_an_id_like_a_text(place: Place) -> None:
    made = [ObjectId() for _ in range(7)]
    chats = place.database["conversations"]
    chats.insert_many(chat(f"{n}", _id=id_) for n, id_ in enumerate(made))
    chats.insert_one(chat("text", _id="text"))
    chats.insert_one(chat("hexadecimal", _id="f" * 24))
    chats.insert_one(chat("nobody's", _id=5))

    async def main() -> None:
        async with place.opened() as store:
            expected = {str(id_): f"{n}" for n, id_ in enumerate(made)}
            expected |= {"text": "text", "f" * 24: "hexadecimal"}
            assert await ids(store) == sorted(expected)
            for id_, text in expected.items():
                assert await contents(store, id_) == [text]
            found = await details(store)
            assert {i: info.title for i, info in found.items()} == {
                i: f"of {text}" for i, text in expected.items()
            }
            assert [each.position for each in await store.strays()] == ["document 5"]
            for nobody in ("0" * 24, "nul\0", "\ud800"):
                assert await contents(store, nobody) == []

    run(main())


def test_messages_of_a_conversation_that_is_gone_are_named(place: Place) -> None:
    place.database["conversations"].insert_one(
        {"conversationId": "c", "user": "u", "endpoint": "openAI"}
    )
    for n, of in enumerate(["c", "gone", "c", "gone", 5]):
        place.database["messages"].insert_one(
            {"conversationId": of, "messageId": f"m{n}", "text": "x", "isCreatedByUser": True}
        )

    async def main() -> None:
        async with place.opened() as store:
            assert await ids(store) == ["c"]
            why = "there is no such document in conversations"
            assert {each.position: each.reason for each in await store.strays()} == {
                "messages of conversationId gone": f"{why} (2 such)",
                "messages of conversationId 5": f"{why} (1 such)",
            }
            assert await store.damage() == await store.strays()
            place.database["messages"].delete_many({"conversationId": {"$in": ["gone", 5]}})
            assert await store.strays() == []

    run(main())


def test_a_tree_is_read_along_its_current_branch_and_the_others_where_they_are_asked_for(
    place: Place,
) -> None:
    place.database["conversations"].insert_one(
        {"conversationId": "c", "user": "u", "endpoint": "openAI", "title": "t", "n": Int64(2**40)}
    )  # fmt: skip
    for n, (id_, parent) in enumerate([("q", None), ("a1", "q"), ("a2", "q"), ("q2", "a2")]):
        place.database["messages"].insert_one(
            {"conversationId": "c", "messageId": id_, "parentMessageId": parent, "text": id_,
             "isCreatedByUser": id_.startswith("q"), "createdAt": conformance.AT.replace(second=n)}
        )  # fmt: skip

    async def main() -> None:
        async with place.opened() as store:
            assert await contents(store, "c") == ["q", "a2", "q2"]
            assert store.passed_over() == 1
            info = (await details(store))["c"]
            assert info.title == "t"
            assert info.extra["librechat"]["n"] == 2**40
            assert info.first_at == conformance.AT.replace(second=0, microsecond=123000)
        async with place.opened(branches=True) as store:
            assert await ids(store) == ["c", "c#a1"]
            assert await contents(store, "c#a1") == ["q", "a1"]
            assert store.passed_over() == 0

    run(main())
