"""LlamaIndex's chat store in MongoDB: the contract on its documents; odd ones; images and times."""

import contextlib
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as some

from synmem.layouts.foreign.llamaindex import SHAPES
from synmem.layouts.foreign.llamaindex_messages import json_of
from synmem.messages import Message, Unreadable
from synmem.store import Part, Store
from tests import conformance, services
from tests.backends.mongo.place import Place, placed
from tests.conformance import TEXTS, contents, items, numbered, run
from tests.layouts.foreign.odd import JSON, document
from tests.layouts.foreign.reading import ReadingLlamaIndex
from tests.layouts.foreign.test_llamaindex import said, text
from tests.services.llamaindex import LlamaIndex, llamaindex

(SHAPE,) = SHAPES["mongo"]
AT = datetime(2026, 11, 21, 8, 9, 3, 347000)


@pytest.fixture
def place(mongo_server: services.Server) -> Iterator[Place]:
    with placed(mongo_server.url) as there:
        yield there


def fill(place: Place, session: str, messages: Sequence[Any], **more: Any) -> None:
    """Put messages into a session, as `MongoChatStore` does, but not in their order."""
    documents = [
        {"session_id": session, "index": index, **more,
         "message": json_of(each) if isinstance(each, Message) else each}
        for index, each in enumerate(messages)
    ]  # fmt: skip
    place.database["sessions"].insert_many(sorted(documents, key=lambda each: each["index"] % 3))


class TestDocuments(ReadingLlamaIndex):
    place: Place

    @pytest.fixture(autouse=True)
    def _placed(self, place: Place) -> None:
        self.place = place

    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        for part in parts:
            fill(self.place, part.conversation.id, part.messages)
        async with self.place.opened() as store:
            yield store

    @pytest.mark.parametrize("name", TEXTS)
    def test_text_survives(self, tmp_path: Any, name: str, mongo_server: services.Server) -> None:
        if "surrogate" in name:
            pytest.skip("BSON holds no lone surrogates")
        if name == "nul" and "FerretDB" in mongo_server.what:
            pytest.skip("FerretDB holds no NUL")
        super().test_text_survives(tmp_path, name)

    def test_every_field_survives(self, tmp_path: Any) -> None:
        pytest.skip("what BSON holds of them is in the fixture")

    def test_ids_are_opaque(
        self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, mongo_server: services.Server
    ) -> None:
        if "FerretDB" in mongo_server.what:  # it holds no NUL
            some_ids = [id_ for id_ in conformance.IDS if "\0" not in id_]
            monkeypatch.setattr(conformance, "IDS", some_ids)
        super().test_ids_are_opaque(tmp_path)


def test_an_image_and_the_time_on_the_wall_are_kept(place: Place) -> None:
    image = {"block_type": "image", "image": b"aGk=", "path": None, "url": None, "image_mimetype": "image/png", "detail": None}  # fmt: skip
    asked = {"role": "user", "additional_kwargs": {}, "blocks": [text("what?"), image]}
    fill(place, "a", [asked], created_at=AT)

    async def main() -> None:
        async with place.opened() as store:
            (message,) = await items(store, "a")
            assert message.parts[1]["image_url"]["url"] == "data:image/png;base64,aGk="
            assert message.created_at is None
            beside = {"created_at": "2026-11-21T08:09:03.347000"}
            assert message.extra["llamaindex_mongo"] == beside
            assert "sessions" in store.remark()

    run(main())


@pytest.mark.parametrize(
    "odd", [None, 5, "x", [], {}, {"role": 5}, {"role": "user", "blocks": 5}, {"role": "user", "blocks": [5]}]
)  # fmt: skip
def test_a_document_that_cannot_be_read_stands_in_its_place(place: Place, odd: Any) -> None:
    fill(place, "a", [*numbered(2), odd, *numbered(2, 3)])

    async def main() -> None:
        async with place.opened() as store:
            found = await items(store, "a")
            assert [isinstance(each, Unreadable) for each in found] == [False, False, True, False, False]  # fmt: skip
            assert found[2].reason.startswith(f"document {found[2].position}: ")
            rest = await contents(store, "a", limit=2)
            assert rest == ["message 0", "message 1"]

    run(main())


@given(document("session_id", "index", "message", "created_at") | some.builds(lambda said, at: {"session_id": "a", "index": 0, "message": said, "created_at": at}, JSON, JSON))  # fmt: skip
def test_whatever_lies_in_a_document_is_a_message_or_says_why_not(document: Any) -> None:
    assert SHAPE.tells(document) in (True, False)
    with contextlib.suppress(ValueError):
        assert all(isinstance(each, Message) for each in SHAPE.unfold(document))


KINDS: list[Any] = [
    None, -1, 0, 0.5, 2**40, "", "a", {}, {"a": 1}, b"", b"a", ObjectId("0" * 24), ObjectId("f" * 24),
    False, True, datetime(1960, 1, 1), datetime(2026, 1, 1),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_whatever_they_are_ordered_by_every_page_goes_on_where_the_last_one_ended(
    place: Place, seed: int
) -> None:
    rng = random.Random(seed)
    for n in range(40):
        index = {"index": rng.choice(KINDS)} if n % 9 else {}
        said = json_of(Message("user", f"message {n}"))
        place.database["sessions"].insert_one({"session_id": "a", **index, "message": said})
    place.database["sessions"].insert_one({"session_id": "a", "index": 0, "message": said})

    async def main() -> None:
        async with place.opened(layout="llamaindex", page_size=1000) as store:
            whole = [m.content async for p in store.read(["a"]) for m in p.items]
            assert len(whole) == 41
        async with place.opened(layout="llamaindex") as store:
            assert await contents(store, "a") == whole
            assert await contents(store, "a", reverse=True) == whole[::-1]
            at = [p.position(i) async for p in store.read(["a"]) for i in range(len(p.items))]
            for n in rng.sample(range(41), 8):
                assert await contents(store, "a", after=at[n]) == whole[n + 1 :]
                assert await contents(store, "a", after=at[n], reverse=True) == whole[:n][::-1]

    run(main())


# --- the real one ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Iterator[LlamaIndex]:
    with llamaindex("mongo") as running:
        yield running


TALK = [
    said("system"), said("user", text("a"), text("b")), said("assistant", tool_calls=[]),
    said("tool", name="f", tool_call_id="c"), said("model"), said("user", text("")),
]  # fmt: skip


@pytest.mark.real
def test_what_the_real_one_writes_is_read(place: Place, real: LlamaIndex) -> None:
    where = {"kind": "mongo", "mongo_uri": place.url, "db_name": place.name}
    real.ask("call", method="set_messages", given={"key": "a/ü", "messages": TALK}, **where)
    for message in TALK:
        real.ask("call", method="add_message", given={"key": "b", "message": message}, **where)
    before = [*place.database["sessions"].find()]

    async def main() -> None:
        async with place.opened() as store:
            for key in ("a/ü", "b"):
                found = await items(store, key)
                assert all(
                    len(each.extra["llamaindex_mongo"]["created_at"]) == 26 for each in found
                )
                assert [json_of(each) for each in found] == TALK
                assert real.ask("call", method="get_messages", given={"key": key}, **where) == TALK

    run(main())
    assert [*place.database["sessions"].find()] == before
    real.ask("call", method="delete_message", given={"key": "b", "idx": 1}, **where)

    async def after() -> None:
        async with place.opened() as store:
            assert [json_of(each) for each in await items(store, "b")] == [TALK[0], *TALK[2:]]

    run(after())
