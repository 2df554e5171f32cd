"""The MongoDB store: the contract on a server; the raw documents as the docstring has them; what
others wrote; what a writer that died leaves; and the commands."""

import asyncio
import contextlib
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument

from synmem.backends.inmemory import InMemoryStore
from synmem.backends.mongo import store as mongo
from synmem.backends.mongo.reading import as_page
from synmem.backends.mongo.steps import CALLED_OFF_AT_ONCE
from synmem.backends.mongo.writing import Writer
from synmem.errors import Changed, CorruptData, ProfileError, Rejected, SynmemError, Unsupported
from synmem.messages import Conversation, Message, Unreadable
from synmem.store import START, Part, Step, once
from tests import services
from tests.backends.mongo.place import Place, placed
from tests.cli import moved
from tests.conformance import (
    AT,
    FULL,
    IDS,
    METADATA,
    Opener,
    Writing,
    add,
    begin,
    contents,
    details,
    ids,
    items,
    numbered,
    run,
)


@pytest.fixture
def place(mongo_server: services.Server) -> Iterator[Place]:
    with placed(mongo_server.url) as there:
        yield there


class TestMongo(Writing):
    place: Place

    @pytest.fixture(autouse=True)
    def _placed(self, place: Place) -> None:
        self.place = place

    def stores(self, tmp_path: Any) -> Opener:
        return lambda: self.place.opened(write=True)

    def spoil(self, tmp_path: Any, conversation: str, field: str) -> None:
        value = {"begins": "no"} if field == "head" else {field: "no"}
        self.place.database["conversations_meta"].update_one({"_id": conversation}, {"$set": value})


# --- the data layout ---


def test_the_raw_documents_are_as_documented(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True) as store:
            plain = {"k": [1, 2.5, None, True, {"deep": {"er": "x"}}]}
            await store.append(
                [
                    Part(
                        Conversation("c", "Title", {"k": 2**70}),
                        [FULL, Message("user", "x", plain)],
                    ),
                    Part(
                        Conversation("nul\0\x10"), [Message("user", "nul\0", {"a.b": 1, "n": -0.0})]
                    ),
                ]
            )
            await store.set_note("c", "a.b", {"text": "s"})

    run(main())
    first, second, third = place.messages
    call, _, index = first["_id"].rpartition(":")
    assert (len(call), index) == (16, "0")
    assert first == {
        "_id": f"{call}:0", "session_id": "c", "n": 1, "role": "assistant", "content": FULL.content,
        "metadata": {"k": 1}, "created_at": datetime(2026, 11, 21, 6, 0, 0, 123000),
        "created_us": (AT - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1),
        "tool_call_id": "call_0", "name": "bob", "parts": FULL.parts, "extra": FULL.extra,
        "carried": json.dumps({"tool_calls": FULL.tool_calls}, separators=(",", ":")),
    }  # fmt: skip
    assert second == {
        "_id": f"{call}:1", "session_id": "c", "n": 2, "role": "user", "content": "x",
        "metadata": {"k": [1, 2.5, None, True, {"deep": {"er": "x"}}]},
    }  # fmt: skip
    assert third == {
        "_id": f"{call}:2", "session_id": "nul\x100\x10\x10", "n": 1, "role": "user", "content": "nul?",
        "carried": '{"content":"nul\\u0000","metadata":{"a.b":1,"n":-0.0}}',
    }  # fmt: skip
    assert place.meta == [
        {"_id": "c", "title": '"Title"', "extra": '{"k":1180591620717411303424}', "notes": {"a%2Eb": '{"text":"s"}'}},
    ]  # fmt: skip
    keys = [list(index["key"].items()) for index in place.collection.list_indexes()]
    assert [("session_id", 1), ("n", 1)] in keys


def test_the_longest_id_is_replaced_also_where_it_is_stored_longer(place: Place) -> None:
    name = "\x10" * 1024

    async def main() -> None:
        async with place.opened(write=True) as store:
            end = await add(store, name, numbered(2))
            await store.replace(Conversation(name), once(numbered(1, 7)), upto=end)
            assert await contents(store, name) == ["message 7"]
            assert await store.delete(name)

    run(main())


def test_an_empty_title_leaves_no_field_and_a_null_note_is_none(place: Place) -> None:
    meta = place.database["conversations_meta"]

    async def main() -> None:
        async with place.opened(write=True) as store:
            await store.append([Part(Conversation("c", "T", {"k": 1}), numbered(2))])
            meta.update_one({"_id": "c"}, {"$set": {"notes": {"null": "null"}}})
            assert await store.notes(["c"]) == {}
            await store.append([Part(Conversation("c", ""), numbered(1))])
            assert [set(document) for document in place.meta] == [{"_id", "extra", "notes"}]
            await store.replace(Conversation("c", "", {}), once(numbered(1)), upto=START)
            assert [{"title", "extra"} & set(document) for document in place.meta] == [set()]
            assert await contents(store, "c") == [f"message {n}" for n in (0, 0, 1, 0)]

    run(main())


def test_a_front_that_changed_has_the_head_that_is_documented(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True) as store:
            end = await add(store, "c", numbered(3))
            await add(store, "c", numbered(2, 3))
            await store.replace(Conversation("c"), once(numbered(2, 9)), upto=end)
            assert await contents(store, "c") == [f"message {n}" for n in (9, 10, 3, 4)]

    run(main())
    low = 1 - 2**32
    assert [document["n"] for document in place.messages] == [low, low + 1, 4, 5]
    (head,) = place.meta
    assert head["begins"] == head["low"] == low
    assert head["skips"] == [{"from": low + 2, "to": 3}]
    assert head["gone"] is head["claimed"] is None
    assert head["version"] == head["recent"][-1]


def test_a_deleted_conversation_leaves_a_head_without_anything_of_its_own(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True) as store:
            await store.append([Part(Conversation("c", "secret", {"k": "secret"}), numbered(3))])
            await store.set_note("c", "summary", "secret")
            assert await store.delete("c")

    run(main())
    assert place.messages == []
    (head,) = place.meta
    assert set(head) == {"_id", "version", "begins", "low", "skips", "gone", "claimed", "recent"}
    assert head["begins"] == 4

    # An hour later, whoever deletes takes it away, and all begins anew.
    old = datetime.now(UTC) - timedelta(hours=2)
    place.database["conversations_meta"].update_one({"_id": "c"}, {"$set": {"gone": old}})

    async def later() -> None:
        async with place.opened(write=True) as store:
            assert await store.delete("none") is False
            assert place.meta == []
            await add(store, "c", numbered(1))

    run(later())
    assert [document["n"] for document in place.messages] == [1]


def is_ferretdb(place: Place) -> bool:
    return "ferretdbVersion" in place.client.admin.command("buildInfo")


T1, T2, T3 = (f"{n:032x}" for n in (1, 2, 3))


def test_steps_lie_in_the_head_and_outlive_the_conversation(place: Place) -> None:
    meta = place.database["conversations_meta"]

    async def main() -> None:
        async with place.opened(write=True) as store:
            await add(store, "c", numbered(3))
            assert await store.delete("c", token=T1)
            assert await store.call_off([Step("c", T1), Step("c", T2), Step("nul\0", T3)]) == {
                Step("c", T1)
            }

    run(main())
    heads = {head["_id"]: head for head in place.meta}
    assert {i: head["steps"] for i, head in heads.items()} == {
        "c": [T1, f"-{T2}"], "nul\x100": [f"-{T3}"],
    }  # fmt: skip
    assert all(head["gone"] is not None for head in heads.values())

    def aged(**ago: float) -> None:
        meta.update_many({}, {"$set": {"gone": datetime.now(UTC) - timedelta(**ago)}})

    async def later(days: float) -> list[Any]:
        aged(days=days)
        async with place.opened(write=True) as store:
            assert await ids(store) == []
            assert await details(store) == {}
            assert await store.notes(["c", "nul\0"]) == {}
            assert await store.delete("none") is False
            return [head["_id"] for head in place.meta]

    assert run(later(89)) == ["c", "nul\x100"]

    async def forgotten() -> None:
        async with place.opened(write=True) as store:
            await store.forget_steps([Step("nul\0", T3)])
            assert await store.steps_done([Step("c", T1)]) == {Step("c", T1)}

    run(forgotten())
    assert run(later(1)) == ["c"]
    assert run(later(91)) == []


def test_a_step_that_is_called_off_keeps_title_notes_and_messages(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True) as store:
            await store.append([Part(Conversation("c", "Title"), numbered(3))])
            await store.set_note("c", "n", 1)
            await store.call_off([Step("c", T1)])
            await store.call_off([Step("c", T2)])
            await add(store, "c", numbered(1, 3))
            assert (await details(store))["c"].title == "Title"
            assert await store.note("c", "n") == 1
            assert await contents(store, "c") == [f"message {n}" for n in range(4)]
            assert await store.delete("c")
            await store.call_off([Step("c", T3)])
            await add(store, "c", numbered(1, 9))
            assert await contents(store, "c") == ["message 9"]

    run(main())


def test_many_steps_are_called_off_at_once_and_those_that_were_done_are_told(place: Place) -> None:
    steps = [Step(f"c{n}", T1) for n in range(2 * CALLED_OFF_AT_ONCE + 1)]
    done = set(steps[::5])

    async def main() -> None:
        async with place.opened(write=True) as store:
            for step in done:
                await add(store, step.conversation, numbered(1))
                await store.delete(step.conversation, token=T1)
            assert await store.call_off(steps) == done
            for step in set(steps) - done:
                with pytest.raises(Changed):
                    await store.replace(Conversation(step.conversation), once(numbered(1)),
                                        upto=START, token=T1)  # fmt: skip
            assert await ids(store) == []

    run(main())


def test_an_append_takes_no_token(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True) as store:
            assert store.holds.atomic_messages == 0
            with pytest.raises(Unsupported, match="token"):
                await add(store, "c", numbered(1), token=T1)
            assert await ids(store) == []

    run(main())


def test_many_messages_stay_in_order_where_somebody_else_writes_among_them(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of the first of them is taken; FerretDB would write those behind it all the same,
    and the first ones then last."""
    tried = Writer._tried
    messages = numbered(250)

    async def main() -> None:
        async with place.opened(write=True) as one, place.opened(write=True) as two:
            await add(one, "c", [Message("user", "first")])
            begun: list[bool] = []

            async def beside(writer: Any, documents: Any) -> bool:
                if not begun:
                    begun.append(True)
                    await add(two, "c", [Message("user", "other")])
                return await tried(writer, documents)

            monkeypatch.setattr(Writer, "_tried", beside)
            await one.append([Part(Conversation("c"), messages)])
            assert begun
            said = [m.content async for page in two.read(["c"]) for m in page.items]
            assert said == ["first", "other", *(m.content for m in messages)]

    run(main())


def test_of_many_who_expect_the_same_begin_one_is_let_in(place: Place) -> None:
    if is_ferretdb(place):
        pytest.skip("FerretDB's conditional updates are not atomic")

    async def main() -> None:
        async with place.opened(write=True) as one, place.opened(write=True) as two:
            begins = START
            for turn in range(6):
                outcomes = await asyncio.gather(
                    *(
                        store.replace(
                            Conversation("c"), once([Message("user", f"{turn} {n}")] * 2),
                            upto=START, begins=begins,
                        )
                        for n, store in enumerate([one, two] * 2)
                    ),
                    return_exceptions=True,
                )  # fmt: skip
                assert sorted(type(o).__name__ for o in outcomes) == ["Changed"] * 3 + ["NoneType"]
                assert len(await contents(one, "c")) == len(place.messages) == 2 * (turn + 1)
                begins = await begin(one, "c")

    run(main())


def test_reading_and_opening_make_nothing(place: Place) -> None:
    async def main() -> None:
        for write in (False, True):
            async with place.opened(write=write) as store:
                assert await ids(store) == []
                assert await contents(store, "c") == []
                assert await store.note("c", "n") is None
        async with place.opened() as store:
            for attempt in (
                add(store, "c", numbered(1)),
                store.delete("c"),
                store.set_note("c", "n", 1),
                store.replace(Conversation("c"), once([]), upto=START),
            ):
                with pytest.raises(Unsupported):
                    await attempt

    run(main())
    assert place.database.list_collection_names() == []


def test_every_json_comes_back_with_its_own_types(place: Place) -> None:
    def types(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: types(item) for key, item in value.items()}
        return [types(item) for item in value] if isinstance(value, list) else type(value)

    values = [*METADATA, {"a": 2**40, "b": -(2**63), "c": [{"d": 2**62}]}, {"a": [[1]]}]

    async def main() -> None:
        async with place.opened(write=True) as store:
            await add(store, "c", [Message("user", "x", value) for value in values])
            found = await items(store, "c")
            assert [types(m.metadata) for m in found] == [types(value) for value in values]

    run(main())


def test_what_is_too_large_is_refused_by_name_and_without_asking(place: Place) -> None:
    large = Message("user", "x" * (16 * 1024 * 1024))
    wide = Message("user", "x", {"k": ["x" * 1000] * 17_000})
    fits = Message("user", "x" * (16 * 1024 * 1024 - 10_000))

    async def main() -> None:
        async with place.opened(write=True) as store:
            assert "16," in str(store.refusal(large))
            assert store.refusal(wide) and not store.refusal(fits)
            with pytest.raises(Rejected) as caught:
                await add(store, "c", [*numbered(1), large, wide])
            assert [reason[:2] for reason in caught.value.reasons] == [("c", 1), ("c", 2)]
            assert await ids(store) == []
            await add(store, "x" * 1024, [fits])
            assert await items(store, "x" * 1024) == [fits]

    run(main())


# --- many at once ---


def test_many_conversations_are_read_whole_however_they_lie(place: Place) -> None:
    names = [*IDS, *(f"k{n:03}" for n in range(60)), "\uffff", "\U00010000", "\ue000x"]
    sizes = {name: n % 7 + 1 for n, name in enumerate(names)}

    async def main() -> None:
        async with place.opened(write=True, page_size=3) as store:
            await store.append(
                [Part(Conversation(i), numbered(size), START) for i, size in sizes.items()]
            )
            for some in (
                names,
                names[::9],
                ["none", *names[30:40], "nothing"],
                ["\uffff", "\U00010000"],
            ):
                found: dict[str, list[Any]] = {}
                async for page in store.read(some):
                    found.setdefault(page.conversation, []).extend(page.items)
                there = [name for name in some if name in sizes]
                assert {i: len(messages) for i, messages in found.items()} == {
                    i: sizes[i] for i in there
                }
                infos = [i async for page in store.conversations(some, details=True) for i in page]
                assert {i.id: i.messages for i in infos} == {i: sizes[i] for i in there}
                known = [i.id async for page in store.conversations(some) for i in page]
                assert sorted(known) == sorted(there)
            infos = [i async for page in store.conversations(details=True) for i in page]
            assert {i.id: i.messages for i in infos} == sizes

    run(main())


def test_titles_of_many_conversations_are_set_in_one_call(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True, page_size=100) as store:
            parts = [Part(Conversation(f"c{n}", f"title {n}"), numbered(1)) for n in range(700)]
            await store.append(parts)
            await store.append([Part(Conversation(f"c{n}", f"new {n}"), []) for n in range(5)])
            infos = [i async for page in store.conversations(details=True) for i in page]
            titles = {f"c{n}": f"new {n}" if n < 5 else f"title {n}" for n in range(700)}
            assert {i.id: i.title for i in infos} == titles

    run(main())


# --- what others wrote ---


def test_a_document_that_cannot_be_read_is_named_in_its_place(place: Place) -> None:
    async def main() -> list[Any]:
        async with place.opened(write=True) as store:
            await add(store, "c", numbered(7))
        for number, change in (
            (2, {"role": 5}), (3, {"carried": "{"}), (4, {"metadata": {"k": datetime(2026, 1, 1)}}),
            (5, {"created_us": "today"}), (6, {"tool_calls": ["x"]}),
        ):  # fmt: skip
            place.collection.update_one({"n": number}, {"$set": change})
        async with place.opened() as store:
            assert [i.messages async for p in store.conversations(details=True) for i in p] == [7]
            found = await items(store, "c")
            assert await items(store, "c", reverse=True) == found[::-1]
            return found

    found = run(main())
    assert [m.content for m in found if isinstance(m, Message)] == ["message 0", "message 6"]
    bad = [item for item in found if isinstance(item, Unreadable)]
    assert [item.position.partition(":")[0] for item in bad] == ["2", "3", "4", "5", "6"]
    for item, word in zip(
        bad, ("role", "carried", "metadata", "created_us", "tool_calls"), strict=True
    ):
        assert word in item.reason


def test_text_that_is_not_utf8_hides_no_other_message(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True) as store:
            await add(store, "c", numbered(1))
            place.collection.insert_one(_latin1("c", 2))
            if b"\xe9" not in bytes(place.client.get_database(place.name).get_collection(
                "conversations").with_options(_RAW).find_one({"n": 2}).raw):  # fmt: skip
                pytest.skip("this server mends text that is not UTF-8")
            await add(store, "c", numbered(1, 2))
            first, bad, last = await items(store, "c")
            assert (first.content, last.content) == ("message 0", "message 2")
            assert isinstance(bad, Unreadable)
            assert "UTF-8" in bad.reason

    run(main())


def test_a_title_that_is_not_utf8_hides_nothing_else(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True) as store:
            for name in "ab":
                await store.append([Part(Conversation(name, f"title {name}"), numbered(1))])
            await add(store, "c", numbered(1))
            document = bson.encode({"_id": "c", "title": '"caf~"'}).replace(b"caf~", b"caf\xe9")
            meta = place.database["conversations_meta"]
            meta.insert_one(RawBSONDocument(document))
            if b"\xe9" not in bytes(meta.with_options(_RAW).find_one({"_id": "c"}).raw):
                pytest.skip("this server mends text that is not UTF-8")
            found = await details(store)
            assert [each.title for each in found.values()] == ["title a", "title b", None]
            assert "title is not JSON" in str(found["c"].unreadable)

    run(main())


def test_documents_of_another_program_are_read_with_numbers_and_dates_as_it_writes_them(
    place: Place,
) -> None:
    place.collection.insert_one(
        {
            "session_id": "c",
            "n": 1.0,
            "role": "user",
            "content": "x",
            "created_at": datetime(2026, 1, 2, 3, 4, 5, 678000),
        }
    )

    async def main() -> None:
        async with place.opened(write=True) as store:
            (end,) = [page.position(-1) async for page in store.read(["c"])]
            await store.append([Part(Conversation("c"), numbered(1), end)])
            first, second = await items(store, "c")
            assert first.created_at == datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
            assert second.content == "message 0"

    run(main())


# --- fields of somebody else's ---

FOREIGN: list[dict[str, Any]] = [
    {"tenant": "acme"},
    {"tenant": None, "at": datetime(2026, 1, 2, 3, 4, 5, 678000), "id": bson.ObjectId("0" * 24)},
    {"n1": 5, "n2": bson.Int64(5), "n3": 5.0, "n4": 2**40, "nested": {"a": [1, {"b": [True]}]}},
    {"bin": b"\x00\xff", "uuid": bson.Binary(b"x" * 16, 4), "re": bson.Regex("a", "i"),
     "ts": bson.Timestamp(1, 2), "empty": {}, "list": []},
    {"deep": {"at": [datetime(1600, 1, 1), bson.ObjectId("1" * 24)]}, "carrie": "", "Role": 1},
]  # fmt: skip
UNHELD_BY_SOME: list[dict[str, Any]] = [
    {"price": bson.Decimal128("1.10")}, {"nan": float("nan"), "zero": -0.0}, {"a": [[1]]},
    {"dotted": {"a.b": 1}}, {"dollar": {"$oid": "x"}}, {"min": [bson.MinKey(), bson.Code("x")]},
    {"escaped": {"$escaped": {"$date": 1}}}, {"a.b": 1},
]  # fmt: skip


def foreign(place: Place) -> list[dict[str, Any]]:
    """Fields as this server can hold them."""
    return FOREIGN if is_ferretdb(place) else FOREIGN + UNHELD_BY_SOME


def bare(document: dict[str, Any]) -> bytes:
    """What a document has beside its place, as BSON, the keys in order."""
    return bson.encode({k: document[k] for k in sorted(document) if k not in ("_id", "n")})


def test_fields_of_somebody_else_come_back_as_they_were(place: Place) -> None:
    given: list[dict[str, Any]] = [
        {"_id": n, "session_id": "c", "n": n + 1, "role": "user", "content": f"message {n}", **more}
        for n, fields in enumerate(foreign(place))
        for more in [{**fields, "metadata": {"k": 1}} if n % 2 else fields]
    ]
    place.collection.insert_many(given)
    given = place.messages

    async def main() -> None:
        async with place.opened(write=True) as store:
            found = await items(store, "c")
            assert found[0] == Message("user", "message 0", extra={"synmem": {"tenant": "acme"}})
            assert [m.extra and {*m.extra} for m in found] == [{"synmem"}] * len(given)
            assert await items(store, "c", reverse=True) == found[::-1]
            many = [item async for p in store.read(["c", "d"]) for item in p.items]
            assert many == found
            assert all(store.refusal(message) is None for message in found)
            (end,) = [p.position(-1) async for p in store.read(["c"], reverse=True, limit=1)]
            assert await store.delete("c", upto=end)
            await store.replace(Conversation("c"), once(found), upto=START, begins=START)
            assert await items(store, "c") == found
            assert list(map(bare, place.messages)) == list(map(bare, given))
            await add(store, "copy", found)
            assert await items(store, "copy") == found
            await store.delete("c")
            copied = [bare({**d, "session_id": "c"}) for d in place.messages]
            assert copied == list(map(bare, given))

    run(main())


def test_what_cannot_be_a_field_stays_in_extra(place: Place) -> None:
    others = [
        {"_id": "x", "session_id": "y", "n": 5, "role": "z", "carried": "q", "tenant": "acme"},
        {"a": 2**70, "tenant": "acme"}, {"": 1, "$x": 2, "nul\0": 3, "tenant": "acme"},
        {"a": {"$oid": "no"}, "b": {"$numberInt": "5"}, "\ud800": 1}, {}, "text", [1],
    ]  # fmt: skip
    given = [Message("user", "x", extra={"synmem": each, "other": 1}) for each in others]

    async def main() -> None:
        async with place.opened(write=True) as store:
            await add(store, "c", given)
            assert await items(store, "c") == given

    run(main())
    assert [document.get("tenant") for document in place.messages] == ["acme"] * 3 + [None] * 4
    assert [document["session_id"] for document in place.messages] == ["c"] * len(given)


def test_a_field_that_could_not_be_written_back_is_unreadable(place: Place) -> None:
    place.collection.insert_one(
        {"session_id": "c", "n": 1, "role": "user", "content": "x", "tenant": {"a": "caf~"}}
    )

    async def main() -> None:
        async with place.opened() as store:
            documents = await store._place.find({"session_id": "c"}, None, 1)
            documents[0]["tenant"]["a"] = "caf\udce9"  # as the driver gives what is not UTF-8
            (item,) = as_page(documents).items
            assert isinstance(item, Unreadable)
            assert "tenant" in item.reason

    run(main())


# --- documents that belong to no conversation ---

STRAYS: list[dict[str, Any]] = [
    {"hello": "world"}, {"session_id": "c", "role": "user", "content": "no number"},
    {"session_id": "c", "n": "1", "role": "user", "content": "a number that is text"},
    {"session_id": 5, "n": 1, "role": "user", "content": "no id"}, {"session_id": "only"},
    {"session_id": "c", "n": True, "role": "user", "content": "no number"},
]  # fmt: skip


@pytest.mark.parametrize("stray", STRAYS, ids=str)
@pytest.mark.parametrize("first", [True, False])
def test_a_stray_document_is_not_seen_and_hinders_nothing(
    place: Place, stray: dict[str, Any], first: bool
) -> None:
    async def main() -> None:
        async with place.opened(write=True) as store:
            if first:
                place.collection.insert_one(stray)
            await add(store, "c", numbered(3))
            if not first:
                place.collection.insert_one(stray)
            await add(store, "d", numbered(1))
        for turn in range(2):
            async with place.opened(write=True) as store:
                assert await ids(store) == ["c", "d"]
                assert {i: d.messages for i, d in (await details(store)).items()} == {
                    "c": 3,
                    "d": 1,
                }
                assert [i.id async for p in store.conversations(["c", "only"]) for i in p] == ["c"]
                found = await items(store, "c")
                assert [m.content for m in found] == [f"message {n}" for n in range(3)]
                many = [len(p.items) async for p in store.read(["c", "d", "only"])]
                assert sum(many) == 4
                assert await store.delete("c")
                assert await store.delete("d")
                assert await ids(store) == []
            # What was taken away can be brought back, though nothing else is left of us.
            async with place.opened(write=True) as store:
                for name, messages in (("c", found), ("d", numbered(1))):
                    await store.replace(Conversation(name), once(messages), upto=START)
                assert len(await contents(store, "c")) == 3, turn
        assert place.collection.count_documents(stray) == 1

    if first and stray == {"hello": "world"}:
        pytest.skip("a collection that holds nothing of ours is somebody else's")
    run(main())


def test_documents_that_keep_us_from_writing_are_named_before_anything_is_removed(
    place: Place,
) -> None:
    document = {"role": "user", "content": "x"}
    place.collection.insert_many(
        [{"session_id": "c", "n": n, **document} for n in (1, 2)]
        + [{"session_id": "d", "n": 7, **document} for _ in range(2)]
    )

    async def main() -> None:
        async with place.opened(write=True) as store:
            assert len(await contents(store, "c")) == 2
            for attempt in (store.delete("c"), add(store, "c", numbered(1))):
                with pytest.raises(CorruptData, match="same session_id and n") as caught:
                    await attempt
                assert "another n" in str(caught.value.hint)

    run(main())
    assert len(place.messages) == 4


def test_a_number_that_is_not_whole_is_unreadable_and_never_lost(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True) as store:
            await add(store, "c", numbered(3))
            where = {"session_id": "c", "n": 1.5, "role": "user", "content": "between"}
            place.collection.insert_one(where)
            for how in ({}, {"reverse": True}):
                found = await items(store, "c", **how)
                assert [type(item) for item in found].count(Unreadable) == 1
                assert len(found) == 4
            (bad,) = [item for item in found if isinstance(item, Unreadable)]
            assert "1.5" in bad.reason
            ends = [p.position(i) async for p in store.read(["c"]) for i in range(len(p.items))]
            for attempt in (
                store.delete("c", upto=ends[0]),
                store.replace(Conversation("c"), once(numbered(1)), upto=ends[0]),
            ):
                with pytest.raises(CorruptData, match=r"1\.5"):
                    await attempt
            assert len(await items(store, "c")) == 4
            assert await store.delete("c", upto=ends[1])
            assert await contents(store, "c") == ["message 1", "message 2"]
            place.collection.insert_one({**where, "_id": "last", "n": 9.5})
            await add(store, "c", numbered(1, 7))
            assert [type(i) for i in await items(store, "c")] == [
                Message,
                Message,
                Unreadable,
                Message,
            ]
            assert await store.delete("c")
            assert await ids(store) == []

    run(main())


def test_a_stray_document_keeps_nobody_from_undoing(place: Place, own_folders: Path) -> None:
    """The collection's first document is the stray one as soon as ours are gone."""
    messages = [f"{n}" for n in range(5)]
    where = ("-p", place.cli_url)
    for said in messages:
        assert moved.run("add", "c", said, *where).exit_code == 0
    place.collection.insert_one({"hello": "world"})
    place.collection.update_many({"session_id": "c"}, {"$set": {"tenant": "acme"}})
    before = moved.run("export", *where).stdout
    raw = list(map(bare, place.messages))
    assert moved.run("clear", "c", "--yes", *where).exit_code == 0
    assert moved.run("ls", *where).stdout == ""
    result = moved.run("undo")
    assert result.exit_code == 0, result.output
    assert moved.run("export", *where).stdout == before
    assert list(map(bare, place.messages)) == raw


def test_a_collection_of_somebody_else_is_left_alone(place: Place) -> None:
    place.collection.insert_one({"SessionId": "a", "History": "{}"})

    async def main() -> None:
        for write in (True, False):
            with pytest.raises(CorruptData, match="History") as caught:
                async with place.opened(write=write):
                    pass
            assert "collection_name" in str(caught.value.hint)
        async with place.opened(write=True, collection_name="other") as store:
            await add(store, "c", numbered(1))

    run(main())
    assert len(place.messages) == 1
    assert set(place.database.list_collection_names()) <= {"conversations", "other", "other_meta"}


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"layout": "nope"}, Unsupported),
        ({"collection_name": "a$b"}, ProfileError),
        ({"collection_name": "..."}, ProfileError),
        ({"db_name": "a b/c"}, ProfileError),
        ({"uri": "mongodb://"}, ProfileError),
        ({"uri": "mongodb://u:sesame@h:port"}, ProfileError),
        ({"uri": "mongodb://h/?tls=maybe&authMechanism=x"}, ProfileError),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_named(
    place: Place, settings: Any, error: type[SynmemError]
) -> None:
    async def main() -> None:
        with pytest.raises(error) as caught:
            async with place.opened(**settings):
                pass
        assert "sesame" not in str(caught.value) + str(caught.value.hint)

    run(main())


# --- what a writer that died leaves ---


class Died(Exception):
    """The process ends here."""


async def dies(place: Place, step: str, what: Any) -> None:
    """The process ends where it would come to this step of a replacement."""

    async def die(*arguments: Any, **named: Any) -> Any:
        raise Died

    store = await mongo.open(place.settings(), write=True, page_size=2)
    setattr(store._replacer, step, die)
    try:
        with pytest.raises(Died):
            await what(store)
    finally:
        await store.close()


def test_a_replace_that_died_before_its_switch_is_not_seen(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True) as store:
            end = await add(store, "c", numbered(3))

            async def new(died: Any) -> None:
                await died.replace(Conversation("c", "new"), once(numbered(3, 7)), upto=end)

            await dies(place, "_move", new)
            assert len(place.messages) == 6
            assert await contents(store, "c") == ["message 0", "message 1", "message 2"]
            assert await contents(store, "c", reverse=True) == [
                "message 2",
                "message 1",
                "message 0",
            ]
            infos = [i async for p in store.conversations(details=True) for i in p]
            assert [(i.messages, i.title) for i in infos] == [(3, None)]
            await store.replace(Conversation("c"), once(numbered(1, 9)), upto=end)
            assert await contents(store, "c") == ["message 9"]
            await add(store, "c", numbered(1, 10))
            assert await contents(store, "c") == ["message 9", "message 10"]

    run(main())


@pytest.mark.parametrize("step", ["replace", "delete", "front"])
def test_what_died_between_its_switch_and_the_deletion_is_done(place: Place, step: str) -> None:
    async def main() -> None:
        async with place.opened(write=True) as store:
            end = await add(store, "c", numbered(3))
            if step != "delete":
                await add(store, "c", numbered(2, 3))

            async def do(died: Any) -> None:
                if step == "replace":
                    await died.replace(Conversation("c"), once(numbered(2, 7)), upto=end)
                else:
                    await died.delete("c", upto=end if step == "front" else None)

            await dies(place, "_clear", do)
            numbers = {"replace": [7, 8, 3, 4], "delete": [], "front": [3, 4]}[step]
            assert len(place.messages) > len(numbers)
            expected = [f"message {n}" for n in numbers]
            assert await contents(store, "c") == expected
            assert await contents(store, "c", reverse=True) == expected[::-1]
            assert await ids(store) == (["c"] if expected else [])
            infos = [i async for p in store.conversations(["c"], details=True) for i in p]
            assert [i.messages for i in infos] == ([len(expected)] if expected else [])
            many = [len(p.items) async for p in store.read(["c", "d"])]
            assert sum(many) == len(expected)
            await add(store, "c", numbered(1, 9))
            assert await contents(store, "c") == [*expected, "message 9"]
            assert await store.delete("c")
            assert place.messages == []

    run(main())


class Wire:
    """Between a store and its server: at the `at`th request the process ends. The request is
    `lost`, was `done` unheard, or comes `late`: when `arrive` is called."""

    def __init__(self, store: Any, at: int, how: str) -> None:
        self._ask, self._left, self._how = store._place.ask, at, how
        self._late: Any = None
        store._place.ask = self.ask

    async def ask(self, step: Any) -> Any:
        self._left -= 1
        if self._left >= 0:
            return await self._ask(step)
        if self._left == -1 and self._how == "done":
            await self._ask(step)
        if self._left == -1:
            self._late = step
        raise Died

    async def arrive(self) -> None:
        if self._how == "late":
            with contextlib.suppress(Exception):
                await self._late()


@pytest.mark.parametrize("how", ["lost", "done", "late"])
@pytest.mark.parametrize("what", ["replace", "front", "delete", "undo"])
def test_wherever_a_writer_dies_calling_its_step_off_tells_the_truth(
    place: Place, what: str, how: str
) -> None:
    old, new = {
        "replace": ([0, 1, 2, 3], [7, 8, 3]), "front": ([0, 1, 2, 3], [3]),
        "delete": ([0, 1, 2, 3], []), "undo": ([], [7, 8]),
    }[what]  # fmt: skip

    async def do(store: Any, name: str, end: str, token: str) -> None:
        match what:
            case "replace":
                await store.replace(
                    Conversation(name, "new"), once(numbered(2, 7)), upto=end, token=token
                )
            case "undo":
                await store.replace(
                    Conversation(name), once(numbered(2, 7)), upto=START, begins=START, token=token
                )
            case _:
                await store.delete(name, upto=end if what == "front" else None, token=token)

    async def dies_at(store: Any, at: int) -> bool | None:
        """Whether the step was done, by what the store says; None where nobody died."""
        name, step = f"c{at}", Step(f"c{at}", f"{at:032x}")
        end = await add(store, name, numbered(3)) if old else START
        if old:
            await add(store, name, numbered(1, 3))
        async with place.opened(write=True) as dying:
            wire = Wire(dying, at, how)
            try:
                await do(dying, name, end, step.token)
            except Died:
                pass
            else:
                return None
            known = await store.steps_done([step])
            done = await store.call_off([step])
            assert known == done
            for _ in range(2):
                assert await contents(store, name) == [
                    f"message {n}" for n in (new if done else old)
                ]
                await wire.arrive()
            assert await store.call_off([step]) == done
        if done:
            await do(store, name, end, step.token)
        else:
            with pytest.raises(Changed):
                await do(store, name, end, step.token)
        assert len(await contents(store, name)) == len(new if done else old)
        await store.forget_steps([step])
        await add(store, name, numbered(1, 9))
        assert (await contents(store, name))[-1] == "message 9"
        await store.delete(name)
        assert await contents(store, name) == []
        return bool(done)

    async def main() -> None:
        outcomes: list[bool] = []
        async with place.opened(write=True) as store:
            while (outcome := await dies_at(store, len(outcomes))) is not None:
                outcomes.append(outcome)
        # First it is not done, and from the switch on it is.
        assert outcomes == sorted(outcomes)
        assert not outcomes[0] and outcomes[-1]
        assert len(outcomes) > 4

    run(main())


def test_deleting_again_takes_away_what_a_deletion_that_died_left(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True) as store:
            await add(store, "c", numbered(3))
            await dies(place, "_clear", lambda died: died.delete("c"))
            assert len(place.messages) == 3
            assert await store.delete("c") is False
            assert place.messages == []

    run(main())


# --- together ---


def test_readers_see_the_old_front_or_the_new_one_while_it_is_replaced(place: Place) -> None:
    async def main() -> None:
        async with (
            place.opened(write=True, page_size=50) as store,
            place.opened(page_size=50) as other,
        ):
            await add(store, "c", [Message("user", "0")] * 30)
            done = False

            async def replace() -> None:
                nonlocal done
                for n in range(1, 25):
                    end = [p.position(-1) async for p in store.read(["c"])][-1]
                    await store.replace(
                        Conversation("c"), once([Message("user", str(n))] * 30), upto=end
                    )
                done = True

            async def watch() -> int:
                looks = 0
                while not done:
                    for wanted in (["c"], ["c", "d"]):
                        seen = [m.content async for p in other.read(wanted) for m in p.items]
                        assert len(seen) == 30 and len(set(seen)) == 1, seen
                    infos = [i async for p in other.conversations(["c"], details=True) for i in p]
                    assert [i.messages for i in infos] == [30]
                    assert await ids(other) == ["c"]
                    looks += 1
                return looks

            _, looks = await asyncio.gather(replace(), watch())
            assert looks > 2

    run(main())


@pytest.mark.parametrize("seed", range(3))
def test_it_does_what_the_reference_store_does(place: Place, seed: int) -> None:
    dice = random.Random(seed)
    reference = InMemoryStore(page_size=2)

    async def state(store: Any) -> Any:
        infos = [i async for p in store.conversations(details=True) for i in p]
        listed = sorted((i.id, i.messages, i.title) for i in infos)
        return (
            listed,
            [await contents(store, name) for name in "ab"],
            [await contents(store, name, reverse=True, limit=3) for name in "ab"],
        )

    async def one(store: Any, step: str, name: str, at: float, count: int, keep: Any) -> Any:
        positions = [p.position(i) async for p in store.read([name]) for i in range(len(p.items))]
        spot = positions[int(at * len(positions))] if positions and at else START
        new = numbered(count, int(at * 1000))
        match step:
            case "append":
                await add(store, name, new, keep=keep)
            case "expect":
                part = Part(
                    Conversation(name, f"t{count}"), new, positions[-1] if positions else START
                )
                await store.append([part])
            case "wrong":
                try:
                    await store.append([Part(Conversation(name), new, spot)])
                except Changed:
                    return "changed"
            case "delete":
                return await store.delete(name)
            case "upto":
                return await store.delete(name, upto=spot) if spot else None
            case "replace":
                await store.replace(Conversation(name), once(new), upto=spot)
        return None

    async def main() -> None:
        async with place.opened(write=True) as store:
            for _ in range(40):
                step = dice.choice(
                    ["append", "append", "expect", "wrong", "delete", "upto", "replace", "replace"]
                )
                how = (step, dice.choice("ab"), dice.random() * dice.randrange(2), dice.randrange(1, 4), dice.choice([None, None, 3, 0]))  # fmt: skip
                assert await one(store, *how) == await one(reference, *how), how
                assert await state(store) == await state(reference), how

    run(main())


# --- the commands ---


def test_the_commands_work_on_it(place: Place, tmp_path: Path, own_folders: Path) -> None:
    config = own_folders / "config" / "synmem" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f'[profiles.m]\nbackend = "mongo"\nuri = "{place.url}"\ndb_name = "{place.name}"\n'
        f'[profiles.n]\nbackend = "mongo"\nuri = "{place.cli_url}"\ncollection_name = "copy"\n'
    )

    def did(*arguments: Any, stdin: bytes | None = None, code: int = 0) -> str:
        result = moved.run(*arguments, stdin=stdin)
        assert result.exit_code == code, (arguments, result.output, result.exception)
        return result.stdout

    did("profile", "test", "m")
    did("add", "c", "hello world", "-p", "m", "-m", '{"k": 1}')
    did("add", "c", "second", "-r", "assistant", "-p", "m")
    assert "hello world" in did("show", "c", "-p", "m")
    (listed,) = json.loads(did("ls", "--json", "-p", "m"))
    assert (listed["conversation_id"], listed["messages"]) == ("c", 2)
    assert "hello" in did("search", "hello", "-p", "m")
    lines = did("export", "-p", "m").encode()
    did("import", "-p", "n", stdin=lines)
    assert did("export", "-p", "n").encode() == lines
    did("clear", "c", "--yes", "-p", "n")
    assert did("ls", "-p", "n") == ""
    did("undo", "-p", "n")
    assert did("export", "-p", "n").encode() == lines
    did("migrate", "m", str(tmp_path / "copy.db"))
    did("check", "m", str(tmp_path / "copy.db"))
    did("check", "m", "n")
    did("add", "c", "third", "-p", "m")
    did("check", "m", "n", code=7)
    did("migrate", "m", "n")
    did("check", f"{place.url}/?db_name={place.name}", "n")


def _latin1(session: str, number: int) -> RawBSONDocument:
    document = {
        "_id": "latin1",
        "session_id": session,
        "n": number,
        "role": "user",
        "content": "caf~",
    }
    return RawBSONDocument(bson.encode(document).replace(b"caf~", b"caf\xe9"))


def _raw_options() -> Any:
    from bson.codec_options import CodecOptions

    return CodecOptions(document_class=RawBSONDocument)


_RAW: Any = _raw_options()
