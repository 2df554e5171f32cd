"""PostgreSQL that fails: not there, killed, cut off before its answer, used by many at once."""

import asyncio
import contextlib
import json
import multiprocessing
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from synmem.backends.postgres.store import open as open_postgres
from synmem.backends.postgres.writing import begin_sql
from synmem.errors import Changed, StoreUnavailable, SynmemError
from synmem.messages import Conversation, Message
from synmem.store import START, Part, Store, once
from tests.backends.postgres.test_store import Place, place, write
from tests.cli.moved import run as cli
from tests.conformance import PAGE_SIZE, add, contents, ids, numbered, run, until
from tests.services import Server, free_port
from tests.services.postgres import PASSWORD, Postgres, running
from tests.services.proxy import Proxy

__all__ = ["place"]  # a fixture


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Postgres]:
    """A server of the test's own, which it may kill."""
    with running(tmp_path) as server:
        yield server


@contextlib.asynccontextmanager
async def opened(dsn: str, *, table: str = "t", write: bool = True) -> AsyncIterator[Any]:
    store = await open_postgres({"dsn": dsn, "table": table}, write=write, page_size=PAGE_SIZE)
    try:
        yield store
    finally:
        await store.close()


# --- a server that is not there ---


def test_a_server_that_is_not_there_is_unavailable_within_seconds() -> None:
    dsn = f"postgresql://u:{PASSWORD[:4]}hidden@127.0.0.1:{free_port()}/db"
    began = time.monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        run(_open_only(dsn))
    assert time.monotonic() - began < 15
    assert "hidden" not in str(caught.value)
    result = cli("ls", "-p", dsn)
    assert result.exit_code == 4, result.stderr
    assert "hidden" not in result.output + result.stderr
    assert "Traceback" not in result.stderr


def test_a_server_that_says_nothing_is_unavailable_within_seconds() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="5 seconds"):
            run(_open_only(f"postgresql://u:p@127.0.0.1:{silent.getsockname()[1]}/db"))
        assert time.monotonic() - began < 20


def test_a_host_that_has_no_address_and_a_socket_that_is_not_there(tmp_path: Path) -> None:
    for dsn in ("postgresql://u@no-such-host.invalid/db", f"postgresql:///db?host={tmp_path}"):
        with pytest.raises(StoreUnavailable):
            run(_open_only(dsn))


async def _open_only(dsn: str) -> None:
    async with opened(dsn, write=False):
        pass


# --- an answer that was lost ---


@pytest.mark.parametrize("count", [1, 150])
@pytest.mark.parametrize("what", ["append", "expected", "replace", "delete", "note"])
def test_a_write_whose_answer_was_lost_is_done_once(
    place: Place, postgres_server: Server, what: str, count: int
) -> None:
    host, _, rest = place.url.rpartition("@")[2].partition(":")
    port = int(rest.partition("/")[0])
    write(place, "c", numbered(3))
    with Proxy(port, host) as proxy:
        dsn = place.url.replace(f"{host}:{port}", f"127.0.0.1:{proxy.port}")
        run(_lose(proxy, dsn, place.table, what, count))
    assert proxy.cuts == 1


async def _lose(proxy: Proxy, dsn: str, table: str, what: str, count: int) -> None:
    old = [f"message {n}" for n in range(3)]
    new = [f"message {n}" for n in range(3, 3 + count)]
    async with opened(dsn, table=table) as store:
        end = [p.position(-1) async for p in store.read(["c"])][-1]
        proxy.cut_after_request(lambda sent: b"; COMMIT" in sent)
        if what == "append":
            end = await add(store, "c", numbered(count, 3))
            assert await contents(store, "c", after=end) == []
            assert await contents(store, "c") == old + new
        elif what == "expected":
            await store.append([Part(Conversation("c"), numbered(count, 3), end)])
            assert await contents(store, "c") == old + new
        elif what == "replace":
            await store.replace(Conversation("c"), once(numbered(count, 3)), upto=end)
            assert await contents(store, "c") == new
        elif what == "delete":
            assert await store.delete("c") is True
            assert await ids(store) == []
        else:
            await store.set_note("c", "n", count)
            assert await store.note("c", "n") == count


def test_an_answer_lost_before_the_commit_is_asked_for_again(
    place: Place, postgres_server: Server
) -> None:
    port = int(place.url.rpartition(":")[2].partition("/")[0])

    async def main() -> None:
        for needle in (b"pg_advisory_xact_lock", b"INSERT INTO", b"COPY", b"max(id)"):
            async with opened(dsn, table=place.table) as store:
                proxy.cut_after_request(lambda sent, needle=needle: needle in sent)  # type: ignore[misc]
                await add(store, "c", numbered(150))

    with Proxy(port) as proxy:
        dsn = place.url.replace(f":{port}/", f":{proxy.port}/")
        run(main())
        assert proxy.cuts == 4
    assert place.rows("SELECT count(*) FROM {}")[0][0] == 600


def test_a_page_whose_answer_was_lost_is_read_again(place: Place, postgres_server: Server) -> None:
    port = int(place.url.rpartition(":")[2].partition("/")[0])
    write(place, "c", numbered(9))

    async def main() -> None:
        async with opened(dsn, table=place.table, write=False) as store:
            found = []
            async for page in store.read(["c"]):
                found += [m.content for m in page.items]
                proxy.cut()
            assert found == [f"message {n}" for n in range(9)]
            proxy.refuse()
            proxy.cut()
            with pytest.raises(StoreUnavailable):
                await contents(store, "c")
            proxy.refuse(False)
            assert len(await contents(store, "c")) == 9

    with Proxy(port) as proxy:
        dsn = place.url.replace(f":{port}/", f":{proxy.port}/")
        run(main())


# --- a server that is killed ---


def test_a_server_killed_in_the_middle_keeps_what_it_acknowledged(server: Postgres) -> None:
    acknowledged: list[int] = []
    stop = asyncio.Event()

    async def writer() -> None:
        async with opened(server.url) as store:
            n = 0
            while not stop.is_set():
                size = 150 if n % 3 == 2 else 1
                with contextlib.suppress(StoreUnavailable):
                    await store.append([Part(Conversation("c"), numbered(size, n * 1000))])
                    acknowledged.append(n)
                n += 1

    async def more() -> None:
        enough = len(acknowledged) + 7
        await until(lambda: len(acknowledged) >= enough)

    async def main() -> None:
        task = asyncio.create_task(writer())
        for _ in range(3):
            await more()
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        await more()
        stop.set()
        await task
        async with opened(server.url) as store:
            found = [int(text.split()[1]) for text in await contents(store, "c")]
            assert found == sorted(set(found))
            calls = {number // 1000 for number in found}
            assert calls >= set(acknowledged)
            for call in calls:
                size = 150 if call % 3 == 2 else 1
                assert sum(number // 1000 == call for number in found) == size

    run(main())


def test_a_server_that_stays_away_is_unavailable_and_nothing_else(server: Postgres) -> None:
    async def main() -> None:
        async with opened(server.url) as store:
            await add(store, "c", numbered(3))
            server.kill()
            for step in (
                lambda: add(store, "c", numbered(1)),
                lambda: contents(store, "c"),
            ):
                began = time.monotonic()
                with pytest.raises(StoreUnavailable) as caught:
                    await step()
                assert PASSWORD not in str(caught.value)
                assert time.monotonic() - began < 30

    run(main())


# --- clients that are killed ---


def test_a_client_killed_while_the_server_works_and_a_second_run_at_once(
    place: Place, tmp_path: Path
) -> None:
    lines = [
        json.dumps(
            {"conversation_id": f"c{n % 40}", "role": "user", "content": f"{n} " + "x" * 300}
        )
        for n in range(30_000)
    ]
    source = tmp_path / "source.jsonl"
    source.write_text("\n".join(lines) + "\n")
    dsn = f"{place.url}?table={place.table}"
    command = [sys.executable, "-m", "synmem", "migrate", str(source), dsn, "-q"]
    for _ in range(4):
        first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0.5, 1.5))
        first.send_signal(signal.SIGKILL)
        first.wait()
    second = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert second.returncode == 0, second.stderr
    assert place.rows("SELECT count(*) FROM {}")[0][0] == len(lines)
    check = cli("check", source, dsn, "--json")
    assert check.exit_code == 0, check.output


def test_a_client_stopped_in_its_transaction_does_not_stop_the_others_for_ever(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synmem.backends.postgres.writing.ANSWER_S", 1.0)
    write(place, "c", numbered(1))

    async def main() -> None:
        async with (
            opened(place.url, table=place.table) as stopped,
            opened(place.url, table=place.table) as other,
        ):
            table = stopped._table
            async with table.database.connection() as connection:
                await connection.execute(begin_sql(table, ["c"]))
                began = time.monotonic()
                await add(other, "c", numbered(1, 1))
                assert 0.5 < time.monotonic() - began < 30
                with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError):
                    await connection.execute("ROLLBACK")
            assert len(await contents(other, "c")) == 2

    run(main())


# --- many writers ---


def _append_many(dsn: str, table: str, name: str, count: int) -> None:
    async def main() -> None:
        async with opened(dsn, table=table) as store:
            for n in range(count):
                size = 120 if n % 10 == 9 else 1
                await add(store, "c", [Message(name, f"{n} {k}") for k in range(size)])

    asyncio.run(main())


@pytest.mark.parametrize("processes", [3, pytest.param(8, marks=pytest.mark.real)])
def test_processes_that_write_at_once_lose_nothing_and_keep_their_order(
    place: Place, processes: int
) -> None:
    context = multiprocessing.get_context("spawn")
    count = 40
    workers = [
        context.Process(target=_append_many, args=(place.url, place.table, f"w{n}", count))
        for n in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0

    async def main() -> None:
        store = await open_postgres({"dsn": place.url, "table": place.table})
        found = [m async for page in store.read(["c"]) for m in page.items]
        await store.close()
        expected = [f"{n} {k}" for n in range(count) for k in range(120 if n % 10 == 9 else 1)]
        for name in (f"w{n}" for n in range(processes)):
            assert [m.content for m in found if m.role == name] == expected
        assert len(found) == processes * len(expected)

    run(main())


def test_a_follower_misses_nothing_of_many_writers(place: Place) -> None:
    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            stores = [
                await stack.enter_async_context(opened(place.url, table=place.table))
                for _ in range(4)
            ]
            await add(stores[0], "c", [Message("user", "first")])

            async def writer(store: Store, name: str) -> None:
                for n in range(12):
                    sizes = random.choice([1, 2, 130])
                    await add(
                        store, "c", [Message("user", f"{name}:{n}:{k}") for k in range(sizes)]
                    )
                await add(store, "c", [Message("user", f"{name} end")])

            writers = asyncio.gather(*(writer(s, f"w{n}") for n, s in enumerate(stores[:3])))
            seen: list[str] = []
            follower = stores[3]
            place_now = START
            while sum(text.endswith(" end") for text in seen) < 3:
                async for page in follower.read(["c"], after=place_now):
                    seen += [m.content for m in page.items]
                    place_now = page.position(-1)
            await writers
            assert seen == await contents(follower, "c")

    run(main())


def test_random_work_of_many_tasks_leaves_no_deadlock_behind(place: Place) -> None:
    names = [f"c{n}" for n in range(30)]

    async def worker(store: Store, seed: int) -> None:
        chance = random.Random(seed)
        for n in range(25):
            chosen = chance.sample(names, chance.randint(1, 20))
            what = chance.random()
            with contextlib.suppress(Changed):
                if what < 0.7:
                    await store.append(
                        [Part(Conversation(c, f"t{n}"), numbered(chance.choice([1, 9]))) for c in chosen],
                        keep=chance.choice([None, 5]),
                    )  # fmt: skip
                elif what < 0.85:
                    await store.delete(chosen[0])
                else:
                    await store.replace(Conversation(chosen[0]), once(numbered(3)), upto=START)

    async def main() -> None:
        async with (
            opened(place.url, table=place.table) as one,
            opened(place.url, table=place.table) as two,
        ):
            await asyncio.gather(*(worker(s, n) for n, s in enumerate([one, two] * 4)))

    run(main())


def test_an_interrupted_task_leaves_nothing_half_done_and_the_store_usable(place: Place) -> None:
    async def main() -> None:
        async with opened(place.url, table=place.table) as store:
            await add(store, "c", numbered(1))
            for delay in (0.0, 0.001, 0.003, 0.01, 0.03):
                task = asyncio.create_task(add(store, "d", numbered(5000)))
                await asyncio.sleep(delay)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                info = [i async for p in store.conversations(["d"], details=True) for i in p]
                assert not info or info[0].messages % 5000 == 0
            await add(store, "c", numbered(1, 1))
            assert await contents(store, "c") == ["message 0", "message 1"]

    run(main())


def test_a_failing_statement_gives_no_driver_exception(place: Place) -> None:
    write(place, "c", numbered(1))

    async def main() -> None:
        async with opened(place.url, table=place.table) as store:
            await asyncio.to_thread(
                place.rows, "ALTER TABLE {} ADD CONSTRAINT short CHECK (length(content) < 20)"
            )
            for count in (1, 150):
                with pytest.raises(SynmemError, match="short"):
                    await add(store, "c", [Message("user", "x" * 30)] * count)
            await asyncio.to_thread(place.drop)
            with pytest.raises(SynmemError):
                await add(store, "c", numbered(1))
            with pytest.raises(SynmemError):
                await contents(store, "c")

    run(main())


def test_no_connection_is_left_behind(place: Place) -> None:
    write(place, "c", numbered(5))
    mine = f"SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%{place.table}%' AND pid <> pg_backend_pid()"

    async def main() -> None:
        async with opened(place.url, table=place.table) as store:
            await asyncio.gather(*(contents(store, "c") for _ in range(20)))
            pages = store.read(["c"])
            await anext(pages)  # and nobody goes on

    run(main())
    deadline = time.monotonic() + 10
    while place.rows(mine.replace("{", "{{"))[0][0] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert place.rows(mine)[0][0] == 0
