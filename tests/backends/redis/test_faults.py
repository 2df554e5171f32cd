"""The Redis store where the server is not there, refuses, is killed, or its answer is lost."""

import asyncio
import contextlib
import random
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from synmem.backends.redis.opening import Server
from synmem.errors import (
    AccessDenied,
    Changed,
    StoreError,
    StoreUnavailable,
    SynmemError,
)
from synmem.messages import Conversation, Message
from synmem.store import START, Part, Step, once
from tests.backends.redis.place import Place, drop, opened
from tests.conformance import add, contents, ids, numbered, run, until
from tests.services import Missing, free_port, without
from tests.services.proxy import Proxy
from tests.services.redis import running

PASSWORD = "s3cr3t%2F%40%3Apw"


@contextlib.contextmanager
def private(folder: Path, *options: str, **how: Any) -> Iterator[Any]:
    """A server of the test's own, to be killed or held up."""
    try:
        with running(folder / "redis", *options, **how) as server:
            yield server
    except Missing as missing:
        without("redis", str(missing))


async def everything(store: Any) -> AsyncIterator[Any]:
    """Each way to ask something of a store, to be awaited."""
    yield ids(store)
    yield contents(store, "c")
    yield add(store, "c", numbered(1))
    yield store.delete("c")
    yield store.replace(Conversation("c"), once(numbered(1)), upto=START)
    yield store.set_note("c", "n", 1)
    yield store.note("c", "n")
    yield store.damage()
    yield store.expiring(["c"])
    yield store.expire({"c": 5000.0})
    yield store.notes(["c"])
    yield store.steps_done([Step("c", "0" * 32)])
    yield store.call_off([Step("c", f"{n:032x}") for n in range(20)])
    yield store.forget_steps([Step("c", "0" * 32)])
    yield add(store, "c", numbered(1), token="1" * 32)


async def all_fail(url: str, error: type[SynmemError], **settings: Any) -> list[str]:
    """What each of them says; all must fail in this way. A store whose layout is named is opened
    without a question."""
    async with opened(url, layout="synapsekit", **settings) as store:
        attempts = [attempt async for attempt in everything(store)]
        failed = await asyncio.gather(*attempts, return_exceptions=True)
    assert {type(each) for each in failed} == {error}, failed
    return [f"{each} {each.hint}" for each in failed if isinstance(each, SynmemError)]


# --- not there, or not for us ---


@pytest.mark.parametrize("settings", [{}, {"cluster": True, "prefix": "{x}"}], ids=str)
def test_a_server_that_is_not_there_is_unavailable_within_seconds(settings: Any) -> None:
    url = f"redis://:{PASSWORD}@127.0.0.1:{free_port()}"

    async def main() -> None:
        with pytest.raises(StoreUnavailable):
            async with opened(url, **settings):
                pass
        async with opened(url, layout="synapsekit", **settings) as store:
            for attempt in (ids(store), add(store, "c", numbered(1))):
                begun = time.monotonic()
                with pytest.raises(StoreUnavailable) as caught:
                    await attempt
                assert time.monotonic() - begun < 20
                assert "s3cr3t" not in str(caught.value)

    run(main())


def test_a_socket_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    said = run(all_fail(f"unix://{tmp_path}/none", StoreUnavailable))
    assert any("none" in text for text in said)


def test_a_server_that_hangs_is_unavailable_within_seconds() -> None:
    async def main(url: str) -> None:
        async with opened(url, write=False) as store:
            await ids(store)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="no answer in time"):
            run(main(f"redis://127.0.0.1:{silent.getsockname()[1]}"))
        assert time.monotonic() - began < 20


def test_a_server_that_hangs_where_a_listing_connects_again_is_unavailable() -> None:
    async def main(url: str) -> None:
        server = Server(url, cluster=False)
        try:
            async with asyncio.timeout(20):
                await server.scan(b"k", "SCAN", options=())
        finally:
            await server.close()

    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(StoreUnavailable, match="no answer in time"),
    ):
        # With a password there is an answer to wait for as soon as it is connected.
        run(main(f"redis://:pw@127.0.0.1:{silent.getsockname()[1]}?socket_timeout=0.2"))


def test_a_server_that_hangs_up_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with Proxy(port) as proxy:
            listener.close()
            run(all_fail(f"redis://127.0.0.1:{proxy.port}", StoreUnavailable))


def test_a_wrong_password_is_denied_and_not_shown(tmp_path: Path) -> None:
    with private(tmp_path, password="right") as server:
        for url in (
            f"redis://127.0.0.1:{server.port}",
            f"redis://:wrong-one@127.0.0.1:{server.port}",
            f"redis://nobody:wrong-one@127.0.0.1:{server.port}",
        ):
            said = run(all_fail(url, AccessDenied))
            assert not any("wrong-one" in text for text in said)


def test_a_password_that_nobody_asked_for_is_denied(place: Place) -> None:
    url = place.url.replace("://", f"://:{PASSWORD}@")
    said = run(all_fail(url, AccessDenied, prefix=place.prefix))
    assert not any("s3cr3t" in text for text in said)


def test_a_user_who_may_not_write_is_denied(tmp_path: Path) -> None:
    with private(tmp_path) as server:
        with redis.Redis.from_url(server.url) as raw:
            raw.execute_command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@read", "+evalsha",
                                "+eval", "+scan", "+type")  # fmt: skip
            raw.execute_command("ACL", "SETUSER", "blind", "on", ">pw", "~other:*", "+@all")

        async def main() -> None:
            async with opened(server.url) as store:
                await add(store, "c", numbered(3))
            async with opened(f"redis://reader:pw@127.0.0.1:{server.port}") as store:
                assert len(await contents(store, "c")) == 3
                assert await ids(store) == ["c"]
                with pytest.raises(AccessDenied):
                    await add(store, "c", numbered(1))
                assert len(await contents(store, "c")) == 3
            await all_fail(f"redis://blind:pw@127.0.0.1:{server.port}", AccessDenied)

        run(main())


def test_a_replica_is_read_and_not_written(tmp_path: Path) -> None:
    with private(tmp_path) as server:
        run(put(server.url, 3))
        with private(tmp_path / "2", "--replicaof", "127.0.0.1", str(server.port)) as replica:

            async def main() -> None:
                async with opened(replica.url) as store:
                    for _ in range(200):
                        with contextlib.suppress(StoreUnavailable):  # it is loading
                            if await ids(store):
                                break
                        await asyncio.sleep(0.05)
                    assert len(await contents(store, "c")) == 3
                    assert (await anext(store.conversations(details=True)))[0].messages == 3
                    with pytest.raises(AccessDenied, match="read only replica") as caught:
                        await add(store, "c", numbered(1))
                    assert "primary" in (caught.value.hint or "")

            run(main())


def test_a_server_whose_memory_is_full_takes_nothing_and_gives_all(tmp_path: Path) -> None:
    with private(tmp_path, "--maxmemory", "6mb", "--maxmemory-policy", "noeviction") as server:

        async def main() -> None:
            batch = [Message("user", "x" * 10_000)] * 10
            done = 0
            async with opened(server.url) as store:
                with pytest.raises(StoreError, match="maxmemory") as caught:
                    for n in range(1000):
                        parts = [
                            Part(Conversation(f"c{n}", "title", {"k": n}), batch),
                            Part(Conversation("all"), batch[:3]),
                        ]
                        await store.append(parts)
                        done += 1
                assert "full" in (caught.value.hint or "")
                assert done > 3
                assert len(await ids(store)) == done + 1
                assert len(await contents(store, "all")) == 3 * done
                for n in range(done):
                    assert len(await contents(store, f"c{n}")) == 10
                assert all([await store.delete(f"c{n}") for n in range(done)])
                assert await ids(store) == ["all"]
                await add(store, "all", batch)

        run(main())


def test_a_server_that_is_busy_is_unavailable_for_a_while(tmp_path: Path) -> None:
    with private(tmp_path, "--lua-time-limit", "50") as server:
        run(put(server.url, 1))
        with socket.create_connection(("127.0.0.1", server.port)) as blocker:
            blocker.sendall(b"EVAL 'while true do end' 0\r\n")
            time.sleep(0.3)
            run(all_fail(server.url, StoreUnavailable))
            assert server.says("SCRIPT KILL") == "+OK"
        run(put(server.url, 1))


async def put(url: str, count: int) -> None:
    async with opened(url) as store:
        await add(store, "c", numbered(count))


def test_a_cancelled_task_ends(place: Place) -> None:
    async def test(store: Any) -> None:
        async def write() -> None:
            while True:
                await add(store, "c", numbered(1))

        for _ in range(60):
            writing = asyncio.create_task(write())
            await asyncio.sleep(random.uniform(0, 0.02))
            writing.cancel()
            _, pending = await asyncio.wait([writing], timeout=20)
            assert not pending
        count = len(await contents(store, "c"))
        await add(store, "c", numbered(1))
        assert len(await contents(store, "c")) == count + 1

    place.with_store(test)


# --- the server killed ---


@pytest.mark.parametrize("back", [True, False])
def test_a_server_killed_in_the_middle_keeps_what_it_acknowledged(tmp_path: Path, back: bool) -> None:  # fmt: skip
    """Where it is back soon the writer goes on, else it is told; nothing is there twice."""
    with private(tmp_path) as server:

        async def write(store: Any, name: str, acknowledged: list[int]) -> None:
            for n in range(100_000):
                await add(store, name, [Message("user", f"{n} {k}") for k in range(3)])
                acknowledged.append(n)

        async def main() -> None:
            async with opened(server.url) as store:
                done: dict[str, list[int]] = {f"c{n}": [] for n in range(4)}
                writers = [asyncio.create_task(write(store, *each)) for each in done.items()]
                await until(lambda: all(done.values()))
                await asyncio.to_thread(server.kill)
                if back:
                    await asyncio.to_thread(server.start)
                    await asyncio.sleep(0.5)
                    for writer in writers:
                        writer.cancel()
                failed = await asyncio.gather(*writers, return_exceptions=True)
                assert {type(each) for each in failed} == {
                    asyncio.CancelledError if back else StoreUnavailable
                }
                if not back:
                    await asyncio.to_thread(server.start)
                for name, acknowledged in done.items():
                    found = await contents(store, name)
                    there = len(found) // 3
                    assert found == [f"{n} {k}" for n in range(there) for k in range(3)]
                    assert there in (len(acknowledged), len(acknowledged) + 1)

        run(main())


def test_scripts_that_a_restarted_server_forgot_are_sent_again(tmp_path: Path) -> None:
    with private(tmp_path) as server:

        async def main() -> None:
            async with opened(server.url) as store:
                await add(store, "c", numbered(3))
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
                assert len(await contents(store, "c")) == 3
                with redis.Redis.from_url(server.url) as raw:
                    raw.script_flush()
                await add(store, "c", numbered(1))
                assert len(await contents(store, "c")) == 4

        run(main())


# --- the answer lost ---


@pytest.fixture
def place(redis_server: Any) -> Iterator[Place]:
    with redis.Redis.from_url(redis_server.url) as raw:
        place = Place(redis_server.url, raw)
        yield place
    drop(place.url, place.prefix)


@contextlib.contextmanager
def through_proxy(place: Place) -> Iterator[Proxy]:
    """The place's server behind a proxy; `place.url` leads through it."""
    url = place.url
    host = place.raw.connection_pool.connection_kwargs["host"]
    port = place.raw.connection_pool.connection_kwargs["port"]
    with Proxy(port, host) as proxy:
        place.url = url.replace(f"{host}:{port}", f"127.0.0.1:{proxy.port}")
        try:
            yield proxy
        finally:
            place.url = url


def is_script(sent: bytes) -> bool:
    return b"EVAL" in sent


def holding(command: bytes) -> Callable[[bytes], bool]:
    return lambda sent: command in sent


def test_an_append_whose_answer_was_lost_is_one_append(place: Place) -> None:
    async def test(store: Any) -> None:
        end = await add(store, "a", numbered(3))
        for times in (1, 2, 3):
            proxy.cut_after_request(is_script, times)
            parts = [
                Part(Conversation("a", "t"), numbered(2, 3), end),
                Part(Conversation(f"new {times}"), numbered(40), START),
            ]
            end, other = await store.append(parts)
            assert await contents(store, "a", after=end) == []
            assert len(await contents(store, f"new {times}")) == 40
            assert await contents(store, f"new {times}", after=other) == []
        assert proxy.cuts == 6
        assert len(await contents(store, "a")) == 9

    with through_proxy(place) as proxy:
        place.with_store(test)


def test_a_window_whose_answer_was_lost_trims_once(place: Place) -> None:
    async def test(store: Any) -> None:
        await add(store, "a", numbered(5))
        proxy.cut_after_request(is_script)
        await add(store, "a", numbered(1, 5), keep=3)
        assert await contents(store, "a") == ["message 3", "message 4", "message 5"]
        assert proxy.cuts == 1

    with through_proxy(place) as proxy:
        place.with_store(test)


def test_a_delete_whose_answer_was_lost_is_one_delete(place: Place) -> None:
    async def test(store: Any) -> None:
        end = await add(store, "a", numbered(3))
        await add(store, "a", numbered(2, 3))
        for upto in (end, None):
            proxy.cut_after_request(is_script)
            assert await store.delete("a", upto=upto) is True
        proxy.cut_after_request(is_script)
        assert await store.delete("a") is False
        assert proxy.cuts == 3
        assert await ids(store) == []

    with through_proxy(place) as proxy:
        place.with_store(test)


def test_a_step_whose_answer_was_lost_is_done_once(place: Place) -> None:
    async def test(store: Any) -> None:
        end = await add(store, "a", numbered(3))
        writes: list[Callable[[str], Awaitable[Any]]] = [
            lambda token: add(store, "a", numbered(2, 3), token=token),
            lambda token: store.delete("a", upto=end, token=token),
            lambda token: store.replace(Conversation("a"), once(numbered(2)), upto=START, token=token),
        ]  # fmt: skip
        for n, write in enumerate(writes):
            proxy.cut_after_request(holding(f"synmem:step:{n:032x}".encode()), 2)
            await write(f"{n:032x}")
            assert proxy.cuts == 2 * (n + 1)
            assert await store.call_off([Step("a", f"{n:032x}")]) == {Step("a", f"{n:032x}")}
        assert await contents(store, "a") == ["message 0", "message 1", "message 3", "message 4"]
        proxy.cut_after_request(is_script, 2)
        late = Step("a", "a" * 32)
        assert await store.call_off([late]) == set()
        with pytest.raises(Changed):
            await store.delete("a", token=late.token)
        assert len(await contents(store, "a")) == 4

    with through_proxy(place) as proxy:
        place.with_store(test)


@pytest.mark.parametrize("turns", range(8))
def test_a_writer_that_was_stopped_has_done_its_step_or_never_will(place: Place, turns: int) -> None:  # fmt: skip
    async def test(store: Any) -> None:
        async with place.store() as killed:
            end = await add(killed, "a", numbered(3))
            step = Step("a", "a" * 32)
            new = once(numbered(2, 7))
            write = killed.replace(Conversation("a"), new, upto=end, token=step.token)
            writing = asyncio.create_task(write)
            for _ in range(turns * 3):
                await asyncio.sleep(0)
            writing.cancel()
            done = await store.call_off([step])
            await asyncio.wait([writing])
        await asyncio.sleep(0.05)  # what was still on its way has arrived
        said = [f"message {n}" for n in ((7, 8) if done else (0, 1, 2))]
        assert await contents(store, "a") == said
        assert await store.call_off([step]) == done

    place.with_store(test)


def test_a_replacement_whose_answers_were_lost_is_one(place: Place) -> None:
    async def pages() -> AsyncIterator[list[Message]]:
        for n in range(0, 20, 5):
            proxy.cut_after_request(is_script)
            yield numbered(5, n)
        proxy.cut_after_request(is_script)

    async def test(store: Any) -> None:
        end = await add(store, "a", [Message("user", "old")] * 3)
        await add(store, "a", [Message("user", "kept")])
        await store.replace(Conversation("a", "t"), pages(), upto=end)
        assert proxy.cuts == 5
        assert await contents(store, "a") == [*[f"message {n}" for n in range(20)], "kept"]

    with through_proxy(place) as proxy:
        place.with_store(test)


def test_a_listing_whose_connection_broke_is_complete(place: Place) -> None:
    async def test(store: Any) -> None:
        names = [f"c{n}" for n in range(3000)]
        await store.append([Part(Conversation(name), numbered(1)) for name in names])
        for command in (b"SSCAN", b"MATCH", b"EVALSHA"):
            proxy.cut_after_request(holding(command))
            assert await ids(store) == sorted(names)
        assert proxy.cuts == 3

    with through_proxy(place) as proxy:
        place.with_store(test)


def test_connections_that_are_cut_at_any_moment_cost_nothing(place: Place) -> None:
    cuts = 0
    enough = threading.Event()

    def cut() -> None:
        nonlocal cuts
        while not enough.is_set():
            # By requests, not by the clock: on the slowest machine some come through.
            next_cut = proxy.requests + random.randint(5, 40)
            while proxy.requests < next_cut and not enough.is_set():
                time.sleep(0.001)
            proxy.cut()
            cuts += 1

    async def test(store: Any) -> None:
        end, done = START, 0
        while cuts < 15:
            (end,) = await store.append([Part(Conversation("c"), numbered(2, done), end)])
            done += 2
        enough.set()
        cutting.join()
        assert await contents(store, "c") == [f"message {n}" for n in range(done)]

    with through_proxy(place) as proxy:
        cutting = threading.Thread(target=cut)
        cutting.start()
        try:
            place.with_store(test)
        finally:
            enough.set()
            cutting.join()


def test_a_server_out_of_reach_for_a_moment_is_waited_for(place: Place) -> None:
    async def test(store: Any) -> None:
        await add(store, "c", numbered(1))
        proxy.refuse()
        proxy.cut()
        later = asyncio.create_task(add(store, "c", numbered(1, 1)))
        await asyncio.sleep(0.15)
        proxy.refuse(False)
        await later
        assert await contents(store, "c") == ["message 0", "message 1"]

    with through_proxy(place) as proxy:
        place.with_store(test)


def test_a_first_try_that_comes_late_is_known_though_its_token_was_forgotten(place: Place) -> None:
    """It was repeated, and done; among messages that are all the same it would do it once more."""

    async def main() -> None:
        async with place.store() as store:
            await add(store, "c", [Message("user", "ping")] * 10)
            upto = [page.position(-1) async for page in store.read(["c"], limit=5)]
            call, sent = store._server.call_counted, []

            async def repeated(*arguments: Any) -> Any:
                sent.append(arguments)
                return (await call(*arguments))[0], 2

            step = Step("c", "d" * 32)
            store._server.call_counted = repeated  # type: ignore[method-assign]
            assert await store.delete("c", upto=upto[-1], token=step.token)
            store._server.call_counted = call  # type: ignore[method-assign]
            await store.forget_steps([step])
            await call(*sent[-1])
            assert await contents(store, "c") == ["ping"] * 5

    run(main())
