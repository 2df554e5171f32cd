"""The MongoDB store where the server is not there, refuses or is killed, where its answer is lost,
where a client dies at its work, and where several processes write."""

import asyncio
import contextlib
import gc
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synmem.backends.mongo.store import open as open_mongo
from synmem.errors import AccessDenied, Changed, StoreError, StoreUnavailable
from synmem.messages import Conversation, Message
from synmem.store import START, Part, once
from tests.backends.mongo.place import Place, placed
from tests.cli import moved, processes
from tests.conformance import add, contents, ids, numbered, run, until
from tests.services import Missing, Server, free_port, without
from tests.services.mongo import Mongo, running
from tests.services.proxy import Proxy

PASSWORD = "s3cr3t-pw"

# Where pymongo's client is closed while its monitor connects anew, that socket is left to Python.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*unclosed <socket:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def sockets_of_monitors() -> Iterator[None]:
    yield
    gc.collect()  # here, where they are known, and not in the middle of another test


@contextlib.contextmanager
def private(folder: Path) -> Iterator[Mongo]:
    """A server of the test's own, to be killed."""
    try:
        with running(folder / "mongo") as server:
            yield server
    except Missing as missing:
        without("mongo", str(missing))


@pytest.fixture
def place(mongo_server: Server) -> Iterator[Place]:
    with placed(mongo_server.url) as there:
        yield there


@contextlib.asynccontextmanager
async def opened(uri: str, **settings: Any) -> Any:
    store = await open_mongo({"uri": uri, **settings}, write=True, page_size=1000)
    try:
        yield store
    finally:
        await store.close()


def all_said(error: BaseException | None) -> str:
    """Everything that is printed of an error."""
    return f"{error} {getattr(error, 'hint', '')}"


# --- not there, or not for us ---


def test_a_server_that_is_not_there_is_unavailable_within_seconds() -> None:
    uri = f"mongodb://user:{PASSWORD}@127.0.0.1:{free_port()}/x"

    async def main() -> None:
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable) as caught:
            async with opened(uri):
                pass
        assert time.monotonic() - begun < 20
        assert PASSWORD not in all_said(caught.value)
        assert "Topology" not in str(caught.value)

    run(main())
    begun = time.monotonic()
    result = moved.run("ls", "-p", uri)
    assert result.exit_code == 4
    assert time.monotonic() - begun < 20
    assert PASSWORD not in result.output


def test_a_server_that_goes_away_is_unavailable_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synmem.backends.mongo.server.CONNECT_S", 1.0)

    async def main(server: Mongo) -> None:
        async with opened(server.url) as store:
            await add(store, "c", numbered(1))
            server.kill()
            begun = time.monotonic()
            failed = await asyncio.gather(
                ids(store),
                contents(store, "c"),
                add(store, "c", numbered(1)),
                store.delete("c"),
                store.replace(Conversation("c"), once(numbered(1)), upto=START),
                store.set_note("c", "n", 1),
                store.note("c", "n"),
                return_exceptions=True,
            )
            assert time.monotonic() - begun < 20
            assert {type(each) for each in failed} == {StoreUnavailable}, failed

    with private(tmp_path) as server:
        run(main(server))


def test_a_wrong_password_is_access_denied_and_never_shown(tmp_path: Path) -> None:
    with private(tmp_path) as server:
        uri = server.password_url(PASSWORD)
        if uri is None:
            pytest.skip(f"{server.what} knows no passwords; FerretDB lets in whom PostgreSQL does")

        async def main() -> None:
            for settings in (
                {"uri": uri},
                {"uri": uri.replace(PASSWORD, "x"), "password": PASSWORD},
            ):
                with pytest.raises(AccessDenied) as caught:
                    await open_mongo(settings)
                assert PASSWORD not in all_said(caught.value)

        run(main())
        result = moved.run("ls", "-p", uri)
        assert result.exit_code == 5, result.output
        assert PASSWORD not in result.output


def test_credentials_that_a_server_does_not_take_are_an_error_of_ours(place: Place) -> None:
    async def main() -> None:
        uri = place.url.replace("mongodb://", f"mongodb://user:{PASSWORD}@")
        with pytest.raises(StoreError) as caught:
            await open_mongo({"uri": uri})
        assert PASSWORD not in all_said(caught.value)

    run(main())


# --- killed ---


def test_a_server_killed_at_its_work_has_what_it_acknowledged_once_and_in_order(tmp_path: Path) -> None:  # fmt: skip
    async def write(uri: str, done: list[int]) -> None:
        async with opened(uri) as store:
            end = START
            for n in range(0, 100_000, 50):
                part = Part(Conversation("c"), numbered(50, n), end)
                (end,) = await store.append([part])
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


async def all_of(store: Any, conversation: str = "c") -> list[str]:
    return [m.content async for page in store.read([conversation]) for m in page.items]


def migrated(place: Place, folder: Path, messages: int, conversations: int) -> tuple[str, str]:
    """A source for a long copy, and its destination."""
    said = {f"c{n}": [f"{n} {m}" for m in range(messages)] for n in range(conversations)}
    return str(moved.make(folder / "source.db", said)), place.cli_url


@pytest.mark.parametrize(("messages", "conversations"), [(3_000, 1), (10, 200)])
def test_a_second_run_at_once_beside_a_killed_one_doubles_nothing(
    place: Place, tmp_path: Path, messages: int, conversations: int
) -> None:
    source, dest = migrated(place, tmp_path, messages, conversations)
    first = processes.start("migrate", source, dest)
    deadline = time.monotonic() + 60
    while place.collection.estimated_document_count() < 200 and time.monotonic() < deadline:
        time.sleep(0.01)
    first.kill()
    second = processes.in_pipe("migrate", source, dest)
    first.communicate()
    assert second.returncode == 0, second.stderr
    check = processes.in_pipe("check", source, dest)
    assert check.returncode == 0, check.stdout[-2000:]


def test_two_runs_at_once_end_in_an_equal_store(place: Place, tmp_path: Path) -> None:
    source, dest = migrated(place, tmp_path, 150, 20)
    runs = [processes.start("migrate", source, dest) for _ in range(2)]
    for each in runs:
        _, said = each.communicate(timeout=120)
        assert each.returncode == 0, said
    check = processes.in_pipe("check", source, dest)
    assert check.returncode == 0, check.stdout[-2000:]


# --- the answer is lost ---


@pytest.fixture
def proxied(place: Place) -> Iterator[tuple[Proxy, str]]:
    host, _, port = place.url.partition("://")[2].partition("/")[0].rpartition(":")
    if host != "127.0.0.1":
        pytest.skip("the server of the environment is not on loopback")
    with Proxy(int(port)) as proxy:
        yield proxy, f"mongodb://127.0.0.1:{proxy.port}/{place.name}"


def asks(command: str) -> Any:
    """Whether bytes hold the begin of this command."""
    return lambda sent: b"\x02" + command.encode() + b"\x00" in sent


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
                Part(Conversation("c", "t"), numbered(1500, 3), end if expected else None),
                Part(Conversation("d"), numbered(2), START if expected else None),
            ]
            ends = await store.append(parts)
            assert proxy.cuts == times
            assert await all_of(store) == [f"message {n}" for n in range(1503)]
            assert await all_of(store, "d") == ["message 0", "message 1"]
            assert await contents_behind(store, "c", ends[0]) == []

    run(main())


async def contents_behind(store: Any, conversation: str, position: str) -> list[str]:
    return [m.content async for p in store.read([conversation], after=position) for m in p.items]


@pytest.mark.parametrize("command", ["update", "delete", "insert", "find", "createIndexes"])
def test_every_other_step_whose_answer_was_lost_is_done_once(
    proxied: tuple[Proxy, str], command: str
) -> None:
    proxy, uri = proxied

    async def main() -> None:
        async with opened(uri) as store:
            if command == "createIndexes":
                proxy.cut_after_request(asks(command))
            await store.append([Part(Conversation("c", "title"), numbered(5))])
            ends = [p.position(2) async for p in store.read(["c"])]
            if command != "createIndexes":
                proxy.cut_after_request(asks(command))
            await store.replace(Conversation("c"), once(numbered(2, 7)), upto=ends[0])
            assert await all_of(store) == [f"message {n}" for n in (7, 8, 3, 4)]
            if command in ("update", "delete"):
                proxy.cut_after_request(asks(command))
            await store.set_note("c", "n", 1)
            assert await store.note("c", "n") == 1
            await add(store, "c", numbered(1, 9), keep=2)
            assert await all_of(store) == ["message 4", "message 9"]
            if command in ("update", "delete"):
                proxy.cut_after_request(asks(command))
            assert await store.delete("c") is True
            assert await ids(store) == []
            assert proxy.cuts >= 1

    run(main())


# --- others at the same time ---


def append_many(uri: str, name: str, count: int) -> None:
    async def main() -> None:
        async with opened(uri) as store:
            for n in range(0, count, 2):
                await add(store, "c", [Message(name, str(n)), Message(name, str(n + 1))])

    run(main())


@pytest.mark.parametrize("writers", [3, pytest.param(8, marks=pytest.mark.real)])
def test_processes_that_write_to_one_conversation_lose_and_double_nothing(
    place: Place, writers: int
) -> None:
    spawn = multiprocessing.get_context("spawn")
    started = [
        spawn.Process(target=append_many, args=(place.cli_url, f"w{n}", 40)) for n in range(writers)
    ]
    for each in started:
        each.start()
    for each in started:
        each.join(120)
        assert each.exitcode == 0
    found = place.messages
    assert [document["n"] for document in found] == list(range(1, 40 * writers + 1))
    for n in range(writers):
        mine = [document["content"] for document in found if document["role"] == f"w{n}"]
        assert mine == [str(k) for k in range(40)]


def test_of_many_who_expect_the_same_end_one_is_let_in(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True) as one, place.opened(write=True) as two:
            for turn in range(10):
                before = await contents(one, "c")
                ends = [p.position(-1) async for p in one.read(["c"])][-1:] or [START]
                outcomes = await asyncio.gather(
                    *(
                        store.append([Part(Conversation("c"), [Message("user", f"{turn} {n}")] * 3, ends[0])])
                        for n, store in enumerate([one, two] * 3)
                    ),
                    return_exceptions=True,
                )  # fmt: skip
                kinds = sorted(type(outcome).__name__ for outcome in outcomes)
                assert kinds == ["Changed"] * 5 + ["list"]
                after = await contents(one, "c")
                assert len(after) == len(before) + 3 and len(set(after[-3:])) == 1
                if turn % 3 == 2:
                    await two.delete("c")

    run(main())


def test_a_window_that_many_trim_holds_the_newest(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True) as one, place.opened(write=True) as two:

            async def write(store: Any, name: str) -> None:
                for n in range(15):
                    await add(store, "c", [Message(name, str(n))], keep=4)

            await asyncio.gather(write(one, "a"), write(two, "b"), write(one, "d"))
            found = [m async for p in one.read(["c"]) for m in p.items]
            assert len(found) == 4
            for name in "abd":
                mine = [int(m.content) for m in found if m.role == name]
                assert mine == sorted(mine)
            assert len(place.messages) == 4

    run(main())


def test_deleting_beside_appending_loses_no_later_message(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True) as one, place.opened(write=True) as two:
            for _ in range(10):
                await add(one, "c", numbered(4))
                _, end = await asyncio.gather(two.delete("c"), add(one, "c", numbered(1, 4)))
                await add(one, "c", numbered(1, 5))
                found = await contents(one, "c")
                assert found[-1:] == ["message 5"]
                assert found in (["message 5"], ["message 4", "message 5"])
                with contextlib.suppress(Changed):
                    assert await contents(one, "c", after=end) == ["message 5"]
                await one.delete("c")

    run(main())


@pytest.mark.parametrize("expected", [True, False])
def test_a_number_that_was_taken_and_deleted_meanwhile_hides_no_message(
    place: Place, expected: bool
) -> None:
    async def main() -> None:
        async with place.opened(write=True) as slow, place.opened(write=True) as quick:
            end = await add(slow, "c", numbered(2))
            insert = slow._writer.insert

            async def late(*arguments: Any) -> None:
                slow._writer.insert = insert
                await add(quick, "c", numbered(4, 2), keep=2)
                await insert(*arguments)

            slow._writer.insert = late
            part = Part(Conversation("c"), numbered(2, 8), end if expected else None)
            if expected:
                with pytest.raises(Changed):
                    await slow.append([part])
            else:
                await slow.append([part])
            more = [] if expected else ["message 8", "message 9"]
            assert await contents(quick, "c") == ["message 4", "message 5", *more]

    run(main())
