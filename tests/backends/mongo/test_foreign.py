"""Collections of other frameworks in MongoDB: the contract on LangChain's; documents of several
messages or none, ordered by values of any kind; what is found on a server, and what must be named."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Binary, DatetimeMS, Int64, ObjectId, Timestamp
from hypothesis import given
from hypothesis import strategies as some
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import AutoReconnect, BulkWriteError, OperationFailure

from synmem.backends.mongo.foreign_ids import id_behind
from synmem.backends.mongo.foreign_writing import ForeignWriter
from synmem.errors import Changed, CorruptData, Rejected, Unsupported
from synmem.layouts.foreign.langchain import SHAPES
from synmem.messages import Conversation, Message, Unreadable
from synmem.store import Part, Store, once
from tests import conformance, services
from tests.backends.langchain import WritingLangChain
from tests.backends.mongo.place import Place, placed
from tests.conformance import (
    Opener,
    add,
    begin,
    contents,
    details,
    ids,
    items,
    numbered,
    run,
)
from tests.layouts.foreign.odd import JSON, document


@pytest.fixture
def place(mongo_server: services.Server) -> Iterator[Place]:
    with placed(mongo_server.url) as there:
        yield there


class TestLangChain(WritingLangChain):
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


# --- what lies there ------------------------------------------------------------------------


def theirs(session: Any, text: str, **more: Any) -> dict[str, Any]:
    """A document as langchain-mongodb writes it."""
    said = {"type": "human", "data": {"content": text}}
    return {"SessionId": session, "History": json.dumps(said), **more}


def store_of(place: Place) -> Any:
    return place.database["message_store"]


def test_the_raw_documents_are_langchains_and_nothing_else_is_put_there(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True, layout="langchain") as store:
            await add(store, "a", numbered(3))
            await add(store, "a", [Message("assistant", "ü")], keep=3)
            await add(store, "b", numbered(1))
            await store.delete("b")

    run(main())
    assert place.database.list_collection_names() == ["message_store"]
    keys = [list(index["key"].items()) for index in store_of(place).list_indexes()]
    assert sorted(keys) == [[("SessionId", 1)], [("_id", 1)]]
    found = list(store_of(place).find())
    assert [sorted(each) for each in found] == [["History", "SessionId", "_id"]] * 3
    assert [type(each["_id"]) for each in found] == [ObjectId] * 3
    assert found == sorted(found, key=lambda each: each["_id"])
    assert found[2]["History"] == json.dumps(
        {
            "type": "ai",
            "data": {
                "content": "ü", "additional_kwargs": {}, "response_metadata": {}, "type": "ai",
                "name": None, "id": None, "tool_calls": [], "invalid_tool_calls": [],
                "usage_metadata": None,
            },
        }
    )  # fmt: skip
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    assert found[0]["_id"].generation_time in (today, today - timedelta(days=1))


def test_a_collection_that_is_there_gets_no_index(place: Place) -> None:
    store_of(place).insert_one(theirs("a", "x"))

    async def main() -> None:
        async with place.opened(write=True, layout="langchain") as store:
            await add(store, "a", numbered(1))

    run(main())
    assert len(list(store_of(place).list_indexes())) == 1


def test_reading_and_opening_make_nothing(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True, layout="langchain") as store:
            assert await contents(store, "a") == []
            assert await store.delete("a") is False
        async with place.opened(layout="langchain") as store:
            with pytest.raises(Unsupported, match="opened for reading"):
                await add(store, "a", numbered(1))

    run(main())
    assert place.database.list_collection_names() == []


def test_what_we_write_stands_behind_and_before_what_langchain_writes(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True, layout="langchain") as store:
            expected = []
            await add(store, "a", numbered(2))
            expected += ["message 0", "message 1"]
            for n in range(3):
                id_ = ObjectId(f"{int(time.time()) + 2 * n:08x}{n:016x}")
                store_of(place).insert_one(theirs("a", f"theirs {n}", _id=id_))
                await add(store, "a", numbered(2, n))
                expected += [f"theirs {n}", f"message {n}", f"message {n + 1}"]
            assert await contents(store, "a") == expected

    run(main())
    natural = [each["_id"] for each in store_of(place).find()]
    assert natural == sorted(natural)


LASTS = [
    ObjectId("6b014382bdf438e98f4ca1c4"), ObjectId("6b014382ff00000000000000"),
    ObjectId("6b014382ffffffffffffffff"), None, 5, 2.5, Int64(7), "text", {"a": 1}, b"bytes",
]  # fmt: skip


@pytest.mark.parametrize("last", LASTS)
def test_a_new_id_is_behind_the_last_and_the_same_for_whoever_looks(last: Any) -> None:
    ids = [id_behind("a", last)]
    assert ids[0] == id_behind("a", last)
    if isinstance(last, ObjectId):
        assert ids[0] > last
        assert id_behind("b", last) != ids[0]
    for _ in range(1000):
        ids.append(id_behind("a", ids[-1]))
    assert ids == sorted(set(ids))
    assert {id_.generation_time for id_ in ids} == {ids[0].generation_time}


@pytest.mark.parametrize("last", [True, ObjectId("f" * 24), DatetimeMS(5), Timestamp(1, 1)])
def test_behind_some_ids_nothing_can_be(place: Place, last: Any) -> None:
    with pytest.raises(ValueError, match="last _id"):
        id_behind("a", last)


def test_where_nothing_can_be_put_behind_it_is_said(place: Place) -> None:
    store_of(place).insert_one(theirs("a", "x", _id=True))

    async def main() -> None:
        async with place.opened(write=True, layout="langchain") as store:
            with pytest.raises(CorruptData, match="'a': its last _id is a bool"):
                await add(store, "a", numbered(1))
            assert await contents(store, "a") == ["x"]

    run(main())


def test_ids_of_every_kind_are_read_in_their_order(place: Place) -> None:
    kinds: list[Any] = [
        -5, 0.5, 2, Int64(2**40), "a", "b", {"a": 1}, {"a": 2}, b"a", b"b", Binary(b"xx", 128),
        ObjectId("0" * 24), ObjectId("f" * 24), False, True, datetime(1960, 1, 1), datetime(2026, 1, 1),
        Timestamp(1, 1), Timestamp(2, 1),
    ]  # fmt: skip
    store_of(place).insert_many(theirs("a", str(n), _id=kinds[n]) for n in range(0, len(kinds), 2))
    store_of(place).insert_many(theirs("a", str(n), _id=kinds[n]) for n in range(1, len(kinds), 2))
    expected = [str(n) for n in range(len(kinds))]

    async def main() -> None:
        async with place.opened(write=True, layout="langchain") as store:
            assert await contents(store, "a") == expected
            assert await contents(store, "a", reverse=True) == expected[::-1]
            at = [p.position(i) async for p in store.read(["a"]) for i in range(len(p.items))]
            for n, position in enumerate(at):
                assert await contents(store, "a", after=position) == expected[n + 1 :]
                assert (
                    await contents(store, "a", after=position, reverse=True) == expected[:n][::-1]
                )
            for n, position in enumerate(at):
                assert await store.delete("a", upto=position)
                assert await contents(store, "a") == expected[n + 1 :]

    run(main())


def test_what_belongs_to_no_conversation_is_named_and_hides_nothing(place: Place) -> None:
    odd: list[Any] = [None, 5, ["a", "b"], ["a"], {"a": 1}, True, "", ObjectId(), datetime.now(UTC)]
    for n, each in enumerate(odd):
        store_of(place).insert_one(theirs("a", f"{n}"))
        store_of(place).insert_one(theirs(each, "nobody's"))
    store_of(place).insert_one({"History": "{}"})
    store_of(place).insert_one(theirs("b", "x"))

    async def main() -> None:
        async with place.opened(write=True, layout="langchain") as store:
            expected = [str(n) for n in range(len(odd))]
            assert await contents(store, "a") == expected
            assert await contents(store, "a", reverse=True, limit=3) == expected[::-1][:3]
            assert {i: c.messages for i, c in (await details(store)).items()} == {"a": 9, "b": 1}
            assert await ids(store) == ["a", "b"]
            many = [m.content async for p in store.read(["a", "b"]) for m in p.items]
            assert sorted(many) == sorted([*expected, "x"])
            strays = await store.strays()
            assert len(strays) == len(odd) + 1
            assert {each.reason for each in strays} >= {
                "its SessionId is missing", "its SessionId is an array", "its SessionId is empty",
                "its SessionId is a number", "its SessionId is an object",
            }  # fmt: skip
            await add(store, "a", numbered(1), keep=2)
            await store.delete("a")
            assert await ids(store) == ["b"]
            assert await store.strays() == strays

    run(main())


@pytest.mark.parametrize("history", ["{oops", None, 5, [], {"type": "human"}, '{"type": "human"}', '"x"', "[]", "null"])  # fmt: skip
def test_a_document_that_cannot_be_read_stands_in_its_place(place: Place, history: Any) -> None:
    for n in range(5):
        store_of(place).insert_one(theirs("a", f"message {n}"))
    broken = list(store_of(place).find())[2]["_id"]
    store_of(place).update_one({"_id": broken}, {"$set": {"History": history}})

    async def main() -> None:
        async with place.opened() as store:
            for reverse in (False, True):
                found = await items(store, "a", reverse=reverse)
                odd = [isinstance(each, Unreadable) for each in found]
                assert odd == [False, False, True, False, False]
                assert found[2].reason.startswith(f"document {broken}: ")
                assert json.loads(found[2].text)["SessionId"] == "a"
            assert (await details(store))["a"].messages == 5

    run(main())


@given(document("SessionId", "History", "_id") | some.builds(lambda said: {"SessionId": "a", "History": said}, JSON | JSON.map(json.dumps)))  # fmt: skip
def test_whatever_lies_in_a_document_is_a_message_or_says_why_not(document: Any) -> None:
    shape = SHAPES["mongo"][0]
    assert shape.tells(document) in (True, False)
    with contextlib.suppress(ValueError):
        assert all(isinstance(each, Message) for each in shape.unfold(document))


def test_a_document_that_is_written_anew_is_changed_for_a_reader(place: Place) -> None:
    store_of(place).insert_many(theirs("a", f"message {n}") for n in range(6))

    async def main() -> None:
        async with place.opened(write=True, layout="langchain") as store:
            pages = store.read(["a"])
            page = await anext(pages)
            store_of(place).update_many({}, {"$set": {"History": theirs("a", "new")["History"]}})
            with pytest.raises(Changed):
                await anext(pages)
            with pytest.raises(Changed):
                await store.delete("a", upto=page.position(0))
            with pytest.raises(Changed):
                await store.replace(Conversation("a"), once(numbered(1)), upto=page.position(0))
            assert len(await contents(store, "a")) == 6

    run(main())


def test_fields_that_are_not_langchains_stay_and_are_named(place: Place) -> None:
    store_of(place).insert_many(theirs("a", f"message {n}", tenant="t") for n in range(4))

    async def main() -> None:
        async with place.opened(write=True, layout="langchain") as store:
            assert store.holds.unread == ("tenant",)
            assert "tenant" in (await store.refuses_back(["a", "none"]))["a"]
            positions = [p.position(0) async for p in store.read(["a"])]
            await store.replace(Conversation("a"), once(numbered(1, 9)), upto=positions[1])
            assert await contents(store, "a") == ["message 9", "message 3"]
            assert [each.get("tenant") for each in store_of(place).find()] == [None, "t"]
            await add(store, "b", numbered(2))
            assert await store.refuses_back(["b"]) == {}

    run(main())


def test_a_unique_index_of_somebodys_refuses_by_name_and_nothing_is_left(place: Place) -> None:
    store_of(place).create_index([("SessionId", 1), ("History", 1)], name="once", unique=True)

    async def main() -> None:
        async with place.opened(write=True, layout="langchain") as store:
            end = await add(store, "a", numbered(4))
            doubled = [*numbered(2, 7), Message("user", "message 3"), Message("user", "last")]
            for expect in (None, end):
                parts = [Part(Conversation("b"), numbered(3)), Part(Conversation("a"), doubled, expect)]  # fmt: skip
                with pytest.raises(Rejected, match=r"'a', message 3: .* does not take it: .*once"):
                    await store.append(parts)
                assert await contents(store, "a") == [f"message {n}" for n in range(4)]
                assert await ids(store) == ["a"]
            positions = [
                p.position(i) async for p in store.read(["a"]) for i in range(len(p.items))
            ]
            for new, why in ((doubled, "message 3: .*once"), (numbered(1, 9), "written anew.*once")):  # fmt: skip
                with pytest.raises(Rejected, match=why):
                    await store.replace(Conversation("a"), once(new), upto=positions[1])
                assert await contents(store, "a") == [f"message {n}" for n in range(4)]
            refused = await store.refuses_back(["a", "b"])
            assert [*refused] == ["a", "b"]
            assert "a unique index (once)" in refused["a"]

    run(main())


def test_an_index_that_cannot_refuse_what_comes_back_is_none_to_name(place: Place) -> None:
    store_of(place).create_index([("SessionId", 1), ("_id", 1)], unique=True)
    store_of(place).create_index("History")

    async def main() -> None:
        async with place.opened(write=True, layout="langchain") as store:
            await add(store, "a", numbered(4))
            assert await store.refuses_back(["a"]) == {}

    run(main())


@pytest.mark.parametrize(
    ("more", "refuses"),
    [({}, True), ({"validationAction": "warn"}, False), ({"validationLevel": "off"}, False)],
)
def test_a_validator_of_somebodys_refuses_by_name_and_nothing_is_left(
    place: Place, monkeypatch: pytest.MonkeyPatch, more: Any, refuses: bool
) -> None:
    rule = {"History": {"$not": {"$regex": "never"}}}
    validate(place, monkeypatch, {"validator": rule, **more})

    async def main() -> None:
        async with place.opened(write=True, layout="langchain") as store:
            await add(store, "a", numbered(4))
            told = await store.refuses_back(["a"])
            assert ("a validator" in told.get("a", "")) is refuses
            if refuses:
                parts = [Part(Conversation("b"), numbered(3)), Part(Conversation("a"), [*numbered(2), NEVER])]  # fmt: skip
                with pytest.raises(Rejected, match=r"'a', message 3: .*failed validation"):
                    await store.append(parts)
                position = await begin(store, "a")
                with pytest.raises(Rejected, match=r"'a', message 2: .*failed validation"):
                    await store.replace(
                        Conversation("a"), once([*numbered(1), NEVER]), upto=position
                    )
            assert await contents(store, "a") == [f"message {n}" for n in range(4)]
            assert await ids(store) == ["a"]

    run(main())


NEVER = Message("user", "never")


def validate(place: Place, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    """Put a validator on LangChain's collection that takes no `NEVER`. Where the server stands in
    for MongoDB and has none, the driver says what a mongod does."""
    try:
        there = place.database.create_collection("message_store", **options)
    except OperationFailure:
        there = place.database.create_collection("message_store")
    if there.options().get("validator"):
        return

    async def told(_: Any) -> dict[str, Any]:
        return options

    insert = AsyncCollection.insert_many

    async def insert_many(self: Any, documents: Any, **how: Any) -> Any:
        bad = [n for n, each in enumerate(documents) if "never" in each["History"]]
        if documents[: bad[0]] if bad else documents:
            await insert(self, documents[: bad[0]] if bad else documents, **how)
        if bad:
            wrong = {"index": bad[0], "code": 121, "errmsg": "Document failed validation"}
            raise BulkWriteError({"writeErrors": [wrong]})

    monkeypatch.setattr(AsyncCollection, "options", told)
    monkeypatch.setattr(AsyncCollection, "insert_many", insert_many)


def test_many_conversations_are_read_whole_however_they_lie(place: Place) -> None:
    sizes = {f"k{n:03}": n % 7 + 1 for n in range(60)} | {"\uffff": 3, "\U00010000": 2, "big": 40}
    said = [(name, n) for name, size in sizes.items() for n in range(size)]
    random.Random(5).shuffle(said)
    store_of(place).insert_many(
        theirs(name, f"{n}", _id=n * 1000 + index) for index, (name, n) in enumerate(said)
    )

    async def main() -> None:
        for page_size in (3, 10, 1000):
            async with place.opened(page_size=page_size) as store:
                for names in ([*sizes], [*sizes][::9], ["none", "k001", "zzz"]):
                    found: dict[str, list[str]] = {}
                    async for page in store.read(names):
                        mine = [each.content for each in page.items]
                        found.setdefault(page.conversation, []).extend(mine)
                    there = {name: sizes[name] for name in names if name in sizes}
                    assert found == {i: [str(n) for n in range(size)] for i, size in there.items()}
                    pages = store.conversations(names, details=True)
                    infos = [info async for page in pages for info in page]
                    assert {info.id: info.messages for info in infos} == there
                everything = [i async for page in store.conversations(details=True) for i in page]
                assert {info.id: info.messages for info in everything} == sizes

    run(main())


def test_of_those_who_write_at_once_none_takes_anothers_place(place: Place) -> None:
    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            opener = lambda: place.opened(write=True, layout="langchain", page_size=1000)  # noqa: E731
            stores = [await stack.enter_async_context(opener()) for _ in range(4)]

            async def write(store: Any, name: str) -> None:
                for n in range(10):
                    await add(store, "a", [Message("user", f"{name} {n}.{k}") for k in range(3)])

            def live() -> None:
                for n in range(60):
                    store_of(place).insert_one(theirs("a", f"theirs {n}"))

            await asyncio.gather(
                *(write(store, f"w{n}") for n, store in enumerate(stores)), asyncio.to_thread(live)
            )
            found = [m.content async for p in stores[0].read(["a"]) for m in p.items]
            assert len(found) == len(set(found)) == 4 * 30 + 60
            for n in range(4):
                mine = [text for text in found if text.startswith(f"w{n} ")]
                assert mine == [f"w{n} {k}.{i}" for k in range(10) for i in range(3)]
            mine = [text for text in found if text.startswith("theirs")]
            assert mine == [f"theirs {k}" for k in range(60)]

    run(main())


def test_of_two_who_replace_at_once_one_is_told_and_nothing_is_lost(place: Place) -> None:
    async def main() -> None:
        opener = lambda: place.opened(write=True, layout="langchain", page_size=1000)  # noqa: E731
        async with opener() as one, opener() as two:
            for turn in range(5):
                name = f"a{turn}"
                end = await add(one, name, numbered(4))
                await add(one, name, numbered(2, 4))
                outcomes = await asyncio.gather(
                    *(s.replace(Conversation(name), once(numbered(2, 7)), upto=end) for s in (one, two)),
                    return_exceptions=True,
                )  # fmt: skip
                told = sorted(type(each).__name__ for each in outcomes)
                assert told == ["Changed", "NoneType"], outcomes
                assert [m.content async for p in one.read([name]) for m in p.items] == [
                    f"message {n}" for n in (7, 8, 4, 5)
                ]

    run(main())


def test_who_replaces_at_once_copies_no_part_of_what_another_takes_back(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first writes a page of its front, and stands still; the second takes it for messages that
    stay, copies it, and stands still; the first finds its next place taken, and takes all back."""
    tried, claimed = ForeignWriter._tried, ForeignWriter._claimed

    async def main() -> None:
        opener = lambda: place.opened(write=True, layout="langchain", page_size=2)  # noqa: E731
        async with opener() as one, opener() as two:
            end = await add(one, "a", numbered(4))
            await add(one, "a", numbered(2, 4))
            began, copied, back = asyncio.Event(), asyncio.Event(), asyncio.Event()
            first: list[ForeignWriter] = []

            async def tried_in_turn(writer: ForeignWriter, documents: Any) -> tuple[int, str]:
                count = await tried(writer, documents)
                if not first:
                    first.append(writer)
                    began.set()
                    await copied.wait()
                return count

            async def claimed_in_turn(writer: ForeignWriter, old: Any) -> bool:
                assert [writer] != first
                copied.set()
                await back.wait()
                return await claimed(writer, old)

            monkeypatch.setattr(ForeignWriter, "_tried", tried_in_turn)
            monkeypatch.setattr(ForeignWriter, "_claimed", claimed_in_turn)

            async def replaced(store: Store, *messages: Message) -> None:
                with pytest.raises(Changed):
                    await store.replace(Conversation("a"), once(messages), upto=end)

            async def holding() -> None:
                await replaced(one, *numbered(3, 7))
                back.set()

            async def copying() -> None:
                await began.wait()
                await replaced(two, *numbered(3, 17))

            await asyncio.gather(holding(), copying())
            assert await contents(one, "a") == [f"message {n}" for n in range(6)]

    run(main())


def test_of_two_who_have_written_a_replacement_one_only_keeps_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second sees all that the first wrote, beside what that is to replace."""
    claimed = ForeignWriter._claimed

    async def main() -> None:
        opener = lambda: place.opened(write=True, layout="langchain", page_size=1000)  # noqa: E731
        async with opener() as one, opener() as two:
            end = await add(one, "a", numbered(4))
            await add(one, "a", numbered(2, 4))
            written, both, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

            async def claimed_in_turn(writer: ForeignWriter, old: Any) -> bool:
                if not written.is_set():
                    written.set()
                    await both.wait()
                else:
                    both.set()
                    await done.wait()
                return await claimed(writer, old)

            monkeypatch.setattr(ForeignWriter, "_claimed", claimed_in_turn)

            async def first() -> None:
                await one.replace(Conversation("a"), once(numbered(2, 7)), upto=end)
                done.set()

            async def second() -> None:
                await written.wait()
                with pytest.raises(Changed):
                    await two.replace(Conversation("a"), once(numbered(2, 17)), upto=end)

            await asyncio.gather(first(), second())
            found = [m.content async for p in one.read(["a"]) for m in p.items]
            assert found == [f"message {n}" for n in (7, 8, 4, 5)]

    run(main())


def test_a_deletion_whose_answer_is_lost_keeps_the_replacement(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete_one = AsyncCollection.delete_one
    lost: list[Any] = []

    async def deleted(collection: Any, where: Any) -> Any:
        result = await delete_one(collection, where)
        if not lost:
            lost.append(result)
            raise AutoReconnect("the connection is gone")
        return result

    async def main() -> None:
        async with place.opened(write=True, layout="langchain") as store:
            end = await add(store, "a", numbered(4))
            await add(store, "a", numbered(2, 4))
            monkeypatch.setattr(AsyncCollection, "delete_one", deleted)
            await store.replace(Conversation("a"), once(numbered(2, 7)), upto=end)
            assert await contents(store, "a") == [f"message {n}" for n in (7, 8, 4, 5)]

    run(main())
    assert lost
