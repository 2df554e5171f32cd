"""LangChain's collection in MongoDB where the server is killed, where an answer is lost, and where a
client dies at its work."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synmem.backends.mongo.foreign_writing import ForeignWriter
from synmem.backends.mongo.store import open as open_mongo
from synmem.errors import Changed, StoreUnavailable
from synmem.messages import Conversation
from synmem.store import START, Part, once
from tests.backends.mongo.place import Place, placed
from tests.backends.mongo.test_faults import all_of, asks, private, sockets_of_monitors
from tests.backends.mongo.test_foreign import theirs
from tests.cli import moved, processes
from tests.conformance import add, ids, numbered, run, until
from tests.services import Server
from tests.services.mongo import Mongo
from tests.services.proxy import Proxy

__all__ = ["sockets_of_monitors"]

# Where pymongo's client is closed while its monitor connects anew, that socket is left to Python.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*unclosed <socket:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def place(mongo_server: Server) -> Iterator[Place]:
    with placed(mongo_server.url) as there:
        yield there


@pytest.fixture
def proxied(place: Place) -> Iterator[tuple[Proxy, str]]:
    host, _, port = place.url.partition("://")[2].partition("/")[0].rpartition(":")
    if host != "127.0.0.1":
        pytest.skip("the server of the environment is not on loopback")
    with Proxy(int(port)) as proxy:
        yield proxy, f"mongodb://127.0.0.1:{proxy.port}/{place.name}"


@contextlib.asynccontextmanager
async def opened(uri: str, **settings: Any) -> Any:
    store = await open_mongo(
        {"uri": uri, "layout": "langchain", **settings}, write=True, page_size=1000
    )
    try:
        yield store
    finally:
        await store.close()


def test_a_server_killed_at_its_work_has_what_it_acknowledged_once_and_in_order(
    tmp_path: Path,
) -> None:
    async def write(uri: str, done: list[int]) -> None:
        async with opened(uri) as store:
            end = START
            for n in range(0, 100_000, 50):
                (end,) = await store.append([Part(Conversation("c"), numbered(50, n), end)])
                done.append(n + 50)

    async def main(server: Mongo) -> None:
        done: list[int] = []
        writer = asyncio.create_task(write(server.url, done))
        await until(lambda: len(done) >= 3 or writer.done())
        await asyncio.to_thread(server.kill)
        with pytest.raises(StoreUnavailable):
            await writer
        await asyncio.to_thread(server.start)
        async with opened(server.url) as store:
            found = await all_of(store)
            assert found == [f"message {n}" for n in range(len(found))]
            if server.keeps:
                assert done[-1] <= len(found) <= done[-1] + 50
            end = [p.position(-1) async for p in store.read(["c"])][-1] if found else START
            await store.append([Part(Conversation("c"), numbered(50, len(found)), end)])
            assert len(await all_of(store)) == len(found) + 50

    with private(tmp_path) as server:
        run(main(server))


def test_a_server_killed_between_two_pages_is_unavailable_and_then_read_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synmem.backends.mongo.server.CONNECT_S", 1.0)

    async def main(server: Mongo) -> None:
        if not server.keeps:
            pytest.skip(f"{server.what} keeps nothing")
        async with opened(server.url) as store:
            await add(store, "c", numbered(2500))
        async with opened(server.url) as store:
            pages = store.read(["c"])
            first = await anext(pages)
            await asyncio.to_thread(server.kill)
            with pytest.raises(StoreUnavailable):
                await anext(pages)
            await asyncio.to_thread(server.start)
            behind = store.read(["c"], after=first.position(-1))
            rest = [m.content async for page in behind for m in page.items]
            assert rest == [f"message {n}" for n in range(1000, 2500)]

    with private(tmp_path) as server:
        run(main(server))


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("expected", [True, False])
def test_an_append_whose_answer_was_lost_is_not_doubled(
    proxied: tuple[Proxy, str], times: int, expected: bool
) -> None:
    proxy, uri = proxied

    async def main() -> None:
        async with opened(uri) as store:
            end = await add(store, "c", numbered(3))
            proxy.cut_after_request(asks("insert"), times)
            parts = [
                Part(Conversation("c"), numbered(1500, 3), end if expected else None),
                Part(Conversation("d"), numbered(2), START if expected else None),
            ]
            ends = await store.append(parts)
            assert proxy.cuts == times
            assert await all_of(store) == [f"message {n}" for n in range(1503)]
            assert await all_of(store, "d") == ["message 0", "message 1"]
            assert [p async for p in store.read(["c"], after=ends[0])] == []

    run(main())


@pytest.mark.parametrize("command", ["delete", "insert", "find", "createIndexes"])
def test_every_other_step_whose_answer_was_lost_is_done_once(
    proxied: tuple[Proxy, str], command: str
) -> None:
    proxy, uri = proxied

    async def main() -> None:
        async with opened(uri) as store:
            if command == "createIndexes":
                proxy.cut_after_request(asks(command))
            await store.append([Part(Conversation("c"), numbered(5))])
            ends = [p.position(2) async for p in store.read(["c"])]
            if command != "createIndexes":
                proxy.cut_after_request(asks(command))
            await store.replace(Conversation("c"), once(numbered(2, 7)), upto=ends[0])
            assert await all_of(store) == [f"message {n}" for n in (7, 8, 3, 4)]
            if command == "delete":
                proxy.cut_after_request(asks(command))
            await add(store, "c", numbered(1, 9), keep=2)
            assert await all_of(store) == ["message 4", "message 9"]
            if command == "delete":
                proxy.cut_after_request(asks(command))
            assert await store.delete("c") is True
            assert await ids(store) == []
            assert proxy.cuts >= 1

    run(main())


@pytest.mark.parametrize("number", range(1, 8))
def test_whoever_writes_in_the_midst_of_a_replace_is_kept(
    place: Place, proxied: tuple[Proxy, str], number: int
) -> None:
    """Another writer of ours, before each of its requests."""
    proxy, uri = proxied

    async def main() -> None:
        async with opened(uri) as store, opened(place.cli_url) as other:
            end = await add(store, "c", numbered(4))
            await add(store, "c", numbered(2, 4))
            taken: list[Any] = []

            def act() -> None:
                adding = add(other, "c", numbered(1, 9))
                taken.append(asyncio.run_coroutine_threadsafe(adding, loop).result())

            loop = asyncio.get_running_loop()
            proxy.before_request(number, act)
            try:
                await store.replace(Conversation("c"), once(numbered(1, 7)), upto=end)
                said = [f"message {n}" for n in (7, 4, 5)]
            except Changed:
                said = [f"message {n}" for n in range(6)]
            assert len(taken) == 1
            assert await all_of(store) == [*said, "message 9"]

    run(main())


def test_a_replace_that_died_before_its_delete_lost_nothing(place: Place) -> None:
    async def main() -> None:
        async with opened(place.cli_url) as store:
            end = await add(store, "c", numbered(4))
            await add(store, "c", numbered(2, 4))
            documents = place.database["message_store"]
            before = [each["_id"] for each in documents.find().sort("_id")]
            await store.replace(Conversation("c"), once(numbered(1, 7)), upto=end)
            documents.insert_many(theirs("c", f"message {n}", _id=i) for n, i in enumerate(before))
            said = await all_of(store)
            assert said == [f"message {n}" for n in (0, 1, 2, 3, 4, 5, 7, 4, 5)]
            third = (await anext(store.read(["c"]))).position(5)
            await store.delete("c", upto=third)
            assert await all_of(store) == [f"message {n}" for n in (7, 4, 5)]

    run(main())


@pytest.mark.parametrize(("messages", "conversations"), [(3_000, 1), (10, 200)])
def test_a_second_run_at_once_beside_a_killed_one_doubles_nothing(
    place: Place, tmp_path: Path, messages: int, conversations: int
) -> None:
    said = {f"c{n}": [f"{n} {m}" for m in range(messages)] for n in range(conversations)}
    source, dest = (
        str(moved.make(tmp_path / "source.db", said)),
        f"{place.cli_url}?layout=langchain",
    )
    first = processes.start("migrate", source, dest)
    run(until(lambda: place.database["message_store"].estimated_document_count() >= 200))
    first.kill()
    second = processes.in_pipe("migrate", source, dest)
    first.communicate()
    assert second.returncode == 0, second.stderr
    check = processes.in_pipe("check", source, dest)
    assert check.returncode == 0, check.stdout[-2000:]


def test_two_runs_at_once_end_in_an_equal_store(place: Place, tmp_path: Path) -> None:
    said = {f"c{n}": [f"{n} {m}" for m in range(150)] for n in range(20)}
    source, dest = (
        str(moved.make(tmp_path / "source.db", said)),
        f"{place.cli_url}?layout=langchain",
    )
    runs = [processes.start("migrate", source, dest) for _ in range(2)]
    for each in runs:
        _, told = each.communicate(timeout=120)
        assert each.returncode == 0, told
    check = processes.in_pipe("check", source, dest)
    assert check.returncode == 0, check.stdout[-2000:]


@pytest.mark.parametrize("others", [1, 4, 7])
def test_a_copy_that_goes_on_behind_half_of_another_doubles_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """A server shows what it has of documents that are being inserted; who copies the same then
    goes on behind that, and gets there first."""
    messages = numbered(10)
    tried = ForeignWriter._tried

    async def main() -> None:
        async with opened(place.cli_url) as one, opened(place.cli_url) as two:
            begun: list[Any] = []

            async def halting(writer: ForeignWriter, documents: Any) -> tuple[int, str]:
                if begun:
                    return await tried(writer, documents)
                begun.append(writer)
                count, _ = await tried(writer, documents[:3])
                [seen] = [page async for page in two.read(["c"])]
                rest = [Part(Conversation("c"), messages[3 : 3 + others], expect=seen.position(-1))]
                await two.append(rest)
                more, why = await tried(writer, documents[3:])
                return count + more, why

            monkeypatch.setattr(ForeignWriter, "_tried", halting)
            await one.append([Part(Conversation("c"), messages, expect=START)])
            assert begun
            found = [said.content async for page in two.read(["c"]) for said in page.items]
            assert found == [message.content for message in messages]

    run(main())
