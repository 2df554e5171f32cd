"""Which collection of a server is opened: our own before all, the one that fits, or the one that is
named; and what is said where it is not clear."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from synmem.backends import open_store
from synmem.backends.mongo import finding
from synmem.errors import AccessDenied, CorruptData, StoreError, Unnamed, Unsupported
from synmem.messages import Message
from synmem.store import SupportsRemark
from tests import services
from tests.backends.mongo.place import Place, placed
from tests.backends.mongo.test_foreign import theirs
from tests.conformance import add, contents, ids, numbered, run

TALK = {
    "langchain": ("message_store", theirs("a", "x")),
    "langchain js": ("chats", {"sessionId": "a", "messages": [json.loads(theirs("a", "x")["History"])]}),
    "llamaindex": ("sessions", {"session_id": "a", "index": 0, "message": {"role": "user", "content": "x"}}),
    "librechat": ("conversations", {"conversationId": "a", "user": "u", "endpoint": "openAI"}),
    "chat_ui": ("conversations", {"title": "t", "model": "m", "messages": [{"from": "user", "content": "x", "id": "1"}]}),
    "openai_agents": ("agent_messages", {"session_id": "a", "seq": 0, "message_data": ['{"role":"user","content":"x"}']}),
}  # fmt: skip
BESIDE = {
    "openai_agents": ("agent_sessions", {"session_id": "a", "_generation": 0}),
    "librechat": (
        "messages",
        {"conversationId": "a", "messageId": "1", "isCreatedByUser": True, "text": "x"},
    ),
}


@pytest.fixture
def place(mongo_server: services.Server) -> Iterator[Place]:
    with placed(mongo_server.url) as there:
        yield there


def fill(place: Place, *layouts: str) -> None:
    """Documents of these layouts."""
    for layout in layouts:
        for name, document in (TALK[layout], *([BESIDE[layout]] if layout in BESIDE else [])):
            place.database[name].insert_one({**document})


async def told(place: Place, **settings: Any) -> str:
    """Whose it says that it is, and that it can be read."""
    async with place.opened(**settings) as store:
        names = await ids(store)
        for name in names:
            assert await contents(store, name) == ["x"]
        return store.remark() if isinstance(store, SupportsRemark) and names else ""


@pytest.mark.parametrize("layout", TALK)
def test_a_database_that_holds_one_layout_is_that(place: Place, layout: str) -> None:
    fill(place, layout)
    said = run(told(place))
    assert said.startswith(f"layout {layout.split()[0]}")
    assert said.endswith(f"collection {place.name}.{TALK[layout][0]}")
    assert run(told(place, layout=layout.split()[0])) == said
    assert run(told(place, collection_name=TALK[layout][0])) == said


def test_a_collection_of_another_name_is_found_by_what_is_in_it(place: Place) -> None:
    place.database["mine"].insert_many([{"other": n} for n in range(5)] + [theirs("a", "x")])
    assert run(told(place)) == f"layout langchain, collection {place.name}.mine"
    place.database["mine"].drop()
    place.database["mine"].insert_many([{"other": n} for n in range(25)] + [theirs("a", "x")])
    assert run(told(place)) == ""


def test_of_several_one_must_be_chosen_and_each_can_be(place: Place) -> None:
    fill(place, "langchain", "llamaindex", "openai_agents")
    place.database["other"].insert_one(theirs("a", "x"))
    with pytest.raises(Unnamed) as caught:
        run(told(place))
    for layout, name in (
        ("langchain", "message_store"),
        ("langchain", "other"),
        ("llamaindex", "sessions"),
        ("openai_agents", "agent_messages"),
    ):
        assert f"?layout={layout}&collection_name={name}" in str(caught.value.hint)
        assert run(told(place, layout=layout, collection_name=name)).startswith(f"layout {layout}")
    assert run(told(place, layout="llamaindex")).startswith("layout llamaindex")
    with pytest.raises(Unnamed):
        run(told(place, layout="langchain"))
    assert run(told(place, layout="synmem")) == ""


def test_a_place_with_our_own_documents_keeps_them(place: Place) -> None:
    fill(place, "langchain", "llamaindex")

    async def main() -> None:
        async with place.opened(write=True, layout="synmem") as store:
            await add(store, "ours", numbered(1))
        async with place.opened(write=True) as store:
            assert await ids(store) == ["ours"]
            await store.delete("ours")
            await store.delete("ours")
        async with place.opened() as store:
            assert await ids(store) == []

    run(main())


def test_what_is_written_must_be_named(place: Place) -> None:
    fill(place, "langchain")

    async def main() -> None:
        with pytest.raises(Unnamed, match="to be written") as caught:
            async with place.opened(write=True):
                pass
        assert "--layout langchain;" in str(caught.value.hint)

    run(main())
    assert place.database.list_collection_names() == ["message_store"]


def test_one_that_is_only_read_is_opened_and_refuses(place: Place) -> None:
    fill(place, "librechat")

    async def main() -> None:
        async with place.opened(write=True) as store:
            assert store.refusal(Message("user", "x"))
            for attempt in (add(store, "a", numbered(1)), store.delete("a")):
                with pytest.raises(Unsupported):
                    await attempt
            assert await contents(store, "a") == ["x"]

    run(main())


def test_without_a_database_in_the_url_the_whole_server_is_looked_at(tmp_path: Any) -> None:
    from tests.backends.mongo.test_faults import private

    with private(tmp_path) as server, placed(server.url) as one, placed(server.url) as two:
        uri = {"uri": server.url}

        async def remark(*, write: bool = False, **settings: Any) -> str:
            async with open_store("mongo", {**uri, **settings}, write=write) as store:
                return store.remark() if isinstance(store, SupportsRemark) else "ours"

        assert run(remark()) == "ours"
        fill(one, "langchain")
        assert run(remark()) == f"layout langchain, collection {one.name}.message_store"
        with pytest.raises(Unnamed) as caught:
            run(remark(write=True))
        assert f"?layout=langchain&db_name={one.name} " in str(caught.value.hint)
        assert "?layout=synmem" in str(caught.value.hint)
        fill(two, "langchain")
        with pytest.raises(Unnamed) as caught:
            run(remark())
        assert f"?layout=langchain&db_name={two.name}&collection_name=message_store" in str(caught.value.hint)  # fmt: skip
        assert run(remark(db_name=two.name)).endswith(f"{two.name}.message_store")
        assert run(remark(layout="synmem")) == "ours"

        async def write() -> None:
            async with open_store("mongo", {**uri, "layout": "synmem"}, write=True) as store:
                await add(store, "ours", numbered(1))

        run(write())
        assert run(remark()) == "ours"


def test_who_may_not_list_finds_what_has_its_usual_name(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The servers of the tests know no such users: the driver's answer is put in its place."""
    fill(place, "langchain")

    async def denied(*_: Any, **__: Any) -> Any:
        raise AccessDenied("not authorized")

    monkeypatch.setattr("pymongo.asynchronous.database.AsyncDatabase.list_collection_names", denied)
    assert run(told(place)).startswith("layout langchain")


def test_what_is_not_known_is_said_with_what_was_seen(place: Place) -> None:
    place.database["conversations"].insert_one({"question": "x", "answer": "y"})
    place.database["message_store"].insert_one({"session": "a", "body": "x"})
    with pytest.raises(CorruptData) as caught:
        run(told(place))
    assert "not synmem's (one has: _id, answer, question)" in str(caught.value)
    assert "message_store looks like langchain's, of a version that is not known" in str(caught.value)  # fmt: skip
    assert "llamaindex" in str(caught.value.hint)
    with pytest.raises(
        CorruptData, match=r"in the layout langchain .*conversations.*message_store"
    ):
        run(told(place, layout="langchain"))
    with pytest.raises(Unsupported, match="no layout 'nope'"):
        run(told(place, layout="nope"))
    with pytest.raises(CorruptData, match="not synmem's"):
        run(told(place, layout="synmem"))


def test_a_collection_that_is_named_and_not_there_is_said_to_be_missing(place: Place) -> None:
    fill(place, "langchain")
    with pytest.raises(CorruptData, match=r"its collections: .*message_store"):
        run(told(place, layout="langchain", collection_name="nope"))
    with pytest.raises(CorruptData, match="no conversations in the layout llamaindex") as caught:
        run(told(place, layout="llamaindex"))
    assert str(caught.value).endswith(f"; {place.name}.message_store is langchain's")
    assert "not known" not in str(caught.value)
    assert "?layout=langchain " in str(caught.value.hint)
    place.database["message_store"].delete_many({})
    assert run(told(place, layout="langchain")) == ""


def test_a_collection_without_what_stands_beside_it_is_not_taken_for_one(place: Place) -> None:
    for layout in ("openai_agents", "librechat"):
        name, document = TALK[layout]
        place.database[name].insert_one({**document})
    with pytest.raises(CorruptData) as caught:
        run(told(place))
    for layout in ("openai_agents", "librechat"):
        assert f"looks like {layout}'s" in str(caught.value)


def test_our_own_documents_are_opened_without_a_look_at_other_layouts(place: Place) -> None:
    code = (
        "import asyncio, sys; from synmem.backends import open_store\n"
        "async def main():\n"
        f"    async with open_store('mongo', {{'uri': {place.cli_url!r}}}) as store:\n"
        "        async for page in store.read(['a']): pass\n"
        "asyncio.run(main())\n"
        "print(*[m for m in sys.modules if 'foreign' in m or 'registry' in m or 'shapes' in m])"
    )

    def loaded() -> list[str]:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # fmt: skip
        return done.stdout.split()

    assert loaded() == []

    async def main() -> None:
        async with place.opened(write=True) as store:
            await add(store, "a", numbered(1))

    run(main())
    fill(place, "langchain")
    assert loaded() == []


def test_a_view_that_cannot_be_read_hinders_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(place, "langchain")
    place.database["broken"].insert_one({"x": 1})
    ask = finding.Place.ask

    async def asked(self: Any, step: Any) -> Any:
        found = await ask(self, step)
        if isinstance(found, list) and any(isinstance(e, dict) and "x" in e for e in found):
            raise StoreError("the view's source is gone")
        return found

    monkeypatch.setattr(finding.Place, "ask", asked)
    assert run(told(place)).startswith("layout langchain")
