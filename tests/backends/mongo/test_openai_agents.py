"""OpenAI Agents' sessions in MongoDB: the contract on their batches; what a cleared session shows;
odd documents; the real one."""

import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from bson import Int64, ObjectId
from hypothesis import given
from hypothesis import strategies as some

from synmem.errors import Unsupported
from synmem.layouts.foreign.openai_agents import SHAPES
from synmem.layouts.foreign.openai_agents_items import json_of
from synmem.messages import Message, Unreadable
from synmem.store import Part, Store
from tests import conformance, services
from tests.backends.mongo.place import Place, placed
from tests.backends.openai_agents import ITEMS, ReadingItems
from tests.conformance import add, contents, details, ids, items, numbered, run
from tests.layouts.foreign.odd import JSON, document
from tests.services.openai_agents import Agents, agents

(SHAPE,) = SHAPES["mongo"]
SIZES = (1, 3, 2)
"""So many items are in a batch, in turn."""


@pytest.fixture
def place(mongo_server: services.Server) -> Iterator[Place]:
    with placed(mongo_server.url) as there:
        yield there


def fill(
    place: Place, session: str, batches: Sequence[Any], generation: Any = 0, first: int = 0
) -> None:
    """Put batches of messages into a session, as `MongoDBSession` does."""
    sessions, messages = place.database["agent_sessions"], place.database["agent_messages"]
    for batch in batches:
        first += len(batch)
        texts = [json.dumps(json_of(message)) for message in batch]
        messages.insert_one(
            {
                "session_id": session,
                "seq": first - 1,
                "generation": generation,
                "message_data": texts,
            }
        )
    about = {"session_id": session, "_seq": first, "_generation": generation}
    sessions.delete_many({"session_id": session})
    sessions.insert_one(about)


def in_batches(messages: Sequence[Message]) -> list[Sequence[Message]]:
    left, batches = [*messages], list[Sequence[Message]]()
    while left:
        size = SIZES[len(batches) % len(SIZES)]
        batches.append(left[:size])
        left = left[size:]
    return batches


class TestBatches(ReadingItems):
    place: Place

    @pytest.fixture(autouse=True)
    def _placed(self, place: Place) -> None:
        self.place = place

    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        for part in parts:
            fill(self.place, part.conversation.id, in_batches(part.messages))
        async with self.place.opened() as store:
            yield store

    def test_ids_are_opaque(
        self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, mongo_server: services.Server
    ) -> None:
        if "FerretDB" in mongo_server.what:  # it holds no NUL
            some_ids = [id_ for id_ in conformance.IDS if "\0" not in id_]
            monkeypatch.setattr(conformance, "IDS", some_ids)
        super().test_ids_are_opaque(tmp_path)


def test_a_session_that_was_cleared_shows_what_came_after(place: Place) -> None:
    fill(place, "a", [numbered(2)], generation=0)
    fill(place, "a", [numbered(2, 2), numbered(1, 4)], generation=Int64(3), first=2)
    fill(place, "old", [numbered(2)])
    place.database["agent_messages"].update_many(
        {"session_id": "old"}, {"$unset": {"generation": 1}}
    )
    fill(place, "cleared", [numbered(2)], generation=1)
    place.database["agent_sessions"].update_one(
        {"session_id": "cleared"}, {"$set": {"_generation": 2}}
    )
    fill(place, "odd", [numbered(1)])
    place.database["agent_sessions"].update_one(
        {"session_id": "odd"}, {"$set": {"_generation": "x"}}
    )
    fill(place, "alone", [numbered(1)])
    place.database["agent_sessions"].delete_one({"session_id": "alone"})

    async def main() -> None:
        async with place.opened() as store:
            assert await contents(store, "a") == ["message 2", "message 3", "message 4"]
            assert await contents(store, "cleared") == []
            assert await ids(store) == ["a", "alone", "odd", "old"]
            found = {i: info.messages for i, info in (await details(store)).items()}
            assert found == {"a": 3, "alone": 1, "odd": 1, "old": 2}
            many = [page.conversation async for page in store.read(["a", "cleared", "odd", "old"])]
            assert set(many) == {"a", "odd", "old"}

    run(main())


def test_a_legacy_document_is_one_item_and_what_cannot_be_read_hides_nothing(place: Place) -> None:
    fill(place, "a", [ITEMS[:2], ITEMS[2:4]])
    messages = place.database["agent_messages"]
    messages.insert_many(
        {"session_id": "a", "seq": 10 + n, "generation": 0, "message_data": data}
        for n, data in enumerate(
            [
                '{"role":"user","content":"legacy"}', ["{oops", '{"role":"user","content":"x"}', 5, None, "5"],
                None, {"a": 1}, [], ['{"role": 5, "content": "x"}'],
            ]
        )
    )  # fmt: skip
    messages.insert_one({"session_id": 5, "seq": 1, "message_data": []})
    messages.insert_one({"session_id": "a", "seq": [1, 9], "message_data": [], "generation": 0})

    async def main() -> None:
        async with place.opened() as store:
            found = await items(store, "a")
            texts = [item.content if isinstance(item, Message) else None for item in found]
            assert texts[4:] == ["legacy", None, "x", None, None, None, None, None, None]
            assert [*reversed(await items(store, "a", reverse=True))] == found
            odd = [item for item in found if isinstance(item, Unreadable)]
            assert odd[0].text == "{oops"
            assert "item 0" in odd[0].position
            assert all(isinstance(item.position, str) and item.reason for item in odd)
            strays = {each.reason for each in await store.strays()}
            assert any("session_id is a number" in why for why in strays)
            assert any("seq is an array" in why for why in strays)

    run(main())


@pytest.mark.parametrize("generation", [None, 0, 7, "x", 1.5, [], {"a": 1}])
def test_whatever_a_session_says_it_is_a_filter(generation: Any) -> None:
    assert SHAPE.live is not None
    assert isinstance(SHAPE.live({"_generation": generation}), dict)


@given(document("session_id", "seq", "generation", "message_data") | some.builds(lambda data: {"session_id": "a", "seq": 0, "message_data": data}, JSON | some.lists(JSON.map(json.dumps))))  # fmt: skip
def test_whatever_lies_in_a_document_is_a_message_or_named(document: Any) -> None:
    assert SHAPE.tells(document) in (True, False)
    assert all(isinstance(each, Message | Unreadable) for each in SHAPE.unfold(document))


def test_it_is_not_written_and_says_so(place: Place) -> None:
    fill(place, "a", [numbered(2)])
    before = [*place.database["agent_messages"].find()]

    async def main() -> None:
        for how in ({}, {"layout": "openai_agents"}):
            async with place.opened(write=True, **how) as store:
                assert "openai_agents" in str(store.refusal(Message("user", "x")))
                for attempt in (add(store, "a", numbered(1)), store.delete("a")):
                    with pytest.raises(Unsupported, match="only be read"):
                        await attempt

    run(main())
    assert [*place.database["agent_messages"].find()] == before
    assert sorted(place.database.list_collection_names()) == ["agent_messages", "agent_sessions"]


def test_a_document_whose_items_were_taken_away_is_changed_for_a_reader(place: Place) -> None:
    fill(place, "a", in_batches(numbered(6)))

    async def main() -> None:
        async with place.opened() as store:
            pages = [page async for page in store.read(["a"])]
            last = pages[-1].position(-1)
            place.database["agent_messages"].update_one({"seq": 5}, {"$pop": {"message_data": 1}})
            with pytest.raises(Exception, match="changed"):
                await contents(store, "a", after=last)
            assert len(await contents(store, "a", after=pages[0].position(0))) == 4

    run(main())


def test_ids_of_documents_decide_where_two_have_the_same_number(place: Place) -> None:
    fill(place, "a", [numbered(1)])
    place.database["agent_messages"].delete_many({})
    made = [ObjectId(f"{n:024x}") for n in (5, 3, 4, 1, 2)]
    place.database["agent_messages"].insert_many(
        {"_id": id_, "session_id": "a", "seq": seq, "generation": 0,
         "message_data": [json.dumps({"role": "user", "content": str(id_)[-1]})]}
        for id_, seq in zip(made, (1, 1.0, Int64(1), None, 0.5), strict=True)
    )  # fmt: skip

    async def main() -> None:
        async with place.opened() as store:
            assert await contents(store, "a") == ["1", "2", "3", "4", "5"]
            assert await contents(store, "a", reverse=True) == ["5", "4", "3", "2", "1"]

    run(main())


# --- the real one ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Iterator[Agents]:
    with agents() as running:
        yield running


@pytest.mark.real
def test_what_the_real_one_writes_is_read_and_what_it_cleared_is_not(
    place: Place, real: Agents
) -> None:
    said = [json_of(message) for message in ITEMS if not _is_ours_alone(message)]
    where = {"kind": "mongo", "place": place.url, "name": "a/ü", "database": place.name}
    real.ask("add", items=said[:3], **where)
    real.ask("add", items=said[3:], **where)
    before = [*place.database["agent_messages"].find()]

    async def found() -> list[Any]:
        async with place.opened() as store:
            return [json_of(each) for each in await items(store, "a/ü")]

    assert run(found()) == said == real.ask("read", **where)
    assert [*place.database["agent_messages"].find()] == before
    real.ask("clear", **where)
    assert run(found()) == []
    place.database["agent_messages"].insert_many(before)  # as where the program died in between
    real.ask("add", items=said[:2], **where)
    assert run(found()) == said[:2] == real.ask("read", **where)
    with contextlib.suppress(RuntimeError):  # neither server knows the update that it asks for
        real.ask("pop", **where)
        assert run(found()) == said[:1]


def _is_ours_alone(message: Message) -> bool:
    """Whether it has what BSON's text does not hold, or no item does."""
    return message.created_at is not None or "\ud800" in message.content
