"""Whatever is cancelled, and wherever: all of it is done or nothing, nothing goes on behind it,
the next call works, nobody finds anything locked, and who tries again doubles nothing."""

import asyncio
import contextlib
import dataclasses
import gc
import os
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from synmem.backends import open_store
from synmem.backends.inmemory import InMemoryStore
from synmem.backends.patience import FIRST_ANSWER_S
from synmem.backends.postgres.writing import begin_sql
from synmem.backends.sqlite.file import BUSY_TIMEOUT_S
from synmem.errors import Changed
from synmem.messages import Conversation, Message
from synmem.profiles import resolve
from synmem.store import (
    START,
    Part,
    Step,
    SupportsNotes,
    SupportsSteps,
    SupportsTotal,
    SupportsTrial,
    once,
)
from tests.cancelling import cancelled_at, struck
from tests.cli.conftest import places as any_places  # noqa: F401
from tests.cli.places import BACKENDS, Places
from tests.conformance import PAGE_SIZE, add, contents, numbered, run

LAYOUTS = ("synapsekit", "langchain")
"""Other programs' tables, in SQLite."""

KINDS = (*BACKENDS, *LAYOUTS, "memory")
AT_ONCE_S = 15.0
"""So long a call may take that waits for nobody, on a machine that is busy."""

MANY = int(os.environ.get("SYNMEM_TEST_CANCELS", "10"))


@pytest.fixture
def places(request: pytest.FixtureRequest, any_places: Places) -> Places:  # noqa: F811
    """The servers that a test asks for run before its event loop does."""
    callspec = getattr(request.node, "callspec", None)
    kind = callspec.params.get("kind") if callspec else None
    if kind in ("redis", "postgres", "mongo", "dynamodb"):
        any_places.server(kind)
    return any_places


class Place:
    """Where the stores of one test lie."""

    def __init__(self, kind: str, places: Places) -> None:
        self.kind = kind
        self._held = InMemoryStore(page_size=PAGE_SIZE)
        backend = "sqlite" if kind in LAYOUTS else kind
        self._url = "" if kind == "memory" else places.new(backend)
        if kind in LAYOUTS:
            self._url += f"?layout={kind}"
            self._url = f"sqlite:///{self._url}"

    @property
    def file(self) -> Path | None:
        if self.kind not in ("sqlite", *LAYOUTS):
            return None
        return Path(self._url.removeprefix("sqlite:///").partition("?")[0])

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Any]:
        if self.kind == "memory":
            yield self._held
            return
        profile = resolve(self._url)
        settings = profile.connection()
        async with open_store(profile.backend, settings, write=True, page_size=PAGE_SIZE) as store:
            yield store

    def free(self) -> None:
        """Nobody has the file locked."""
        if self.file is not None and self.file.exists():
            with contextlib.closing(sqlite3.connect(self.file, timeout=0)) as db:
                db.execute("BEGIN IMMEDIATE")
                db.rollback()


@dataclasses.dataclass
class Case:
    """A conversation of three messages, and what is done to it."""

    store: Any
    id: str
    positions: list[str]
    token: str | None

    def part(self, *texts: str) -> Part:
        messages = [Message("user", text) for text in texts]
        return Part(Conversation(self.id), messages, self.positions[-1])


BEFORE = ["message 0", "message 1", "message 2"]


async def _append(case: Case) -> None:
    await case.store.append([case.part("a")], token=case.token)


async def _append_many(case: Case) -> None:
    beside = Part(Conversation(f"{case.id} beside", "a title"), numbered(2))
    await case.store.append([case.part("a", "b", "c", "d"), beside], token=case.token)


async def _append_keeping(case: Case) -> None:
    await case.store.append([case.part("a")], keep=2, token=case.token)


async def _delete(case: Case) -> None:
    await case.store.delete(case.id, token=case.token)


async def _delete_front(case: Case) -> None:
    upto, begins = case.positions[1], case.positions[0]
    await case.store.delete(case.id, upto=upto, begins=begins, token=case.token)


async def _replace(case: Case) -> None:
    async def front() -> AsyncIterator[Sequence[Message]]:
        for text in ("x", "y"):
            yield [Message("system", text)]
            await asyncio.sleep(0)

    upto = case.positions[1]
    await case.store.replace(Conversation(case.id), front(), upto=upto, token=case.token)


WRITES: dict[str, tuple[Callable[[Case], Coroutine[Any, Any, None]], list[str]]] = {
    "append": (_append, [*BEFORE, "a"]),
    "append many": (_append_many, [*BEFORE, "a", "b", "c", "d"]),
    "append, keeping two": (_append_keeping, ["message 2", "a"]),
    "delete": (_delete, []),
    "delete the front": (_delete_front, ["message 2"]),
    "replace": (_replace, ["x", "y", "message 2"]),
}

FEW = ("append many", "delete the front", "replace")


def allowed(kind: str, what: str, after: list[str]) -> list[list[str]]:
    """What may be there when it was cancelled."""
    found = [BEFORE, after]
    if kind == "mongo" and what.startswith("append"):
        # Readers see an in-order prefix of each part; the trim comes after it.
        found += [[*BEFORE, *"abcd"[:count]] for count in range(1, 5)]
    return found


async def new_case(store: Any, other: Any, *, token: bool) -> Case:
    name = uuid4().hex
    await add(other, name, numbered(3))
    positions = [
        page.position(i) async for page in other.read([name]) for i in range(len(page.items))
    ]
    return Case(store, name, positions, uuid4().hex if token else None)


def takes_tokens(store: Any, what: str) -> bool:
    atomic = store.holds.atomic_messages
    fits = not what.startswith("append") or atomic is None or atomic >= 6
    return isinstance(store, SupportsSteps) and fits


async def suspensions(work: Coroutine[Any, Any, Any]) -> int:
    """How often this waits."""
    count = 0

    def strike() -> None:
        raise AssertionError

    class Counting:
        def __eq__(self, other: object) -> bool:
            nonlocal count
            count += 1
            return False

        def __sub__(self, other: object) -> "Counting":
            return self

        __hash__ = None  # type: ignore[assignment]

    await struck(work, Counting(), strike)  # type: ignore[arg-type]
    return count


async def check_write(place: Place, store: Any, other: Any, what: str, **how: Any) -> bool:
    """Cancel a write to a conversation of its own; whether it was cancelled."""
    write, after = WRITES[what]
    case = await new_case(store, other, token=takes_tokens(store, what))
    began = time.monotonic()
    cancelled, _ = await cancelled_at(write(case), **how)
    assert time.monotonic() - began < AT_ONCE_S
    place.free()
    async with asyncio.timeout(AT_ONCE_S):
        there = await contents(other, case.id)
        assert there in (allowed(place.kind, what, after) if cancelled else [after])
        if case.token is not None:
            await write(case)  # done before or done now, once
            assert await contents(store, case.id) == after
        elif there == BEFORE:
            await write(case)
            assert await contents(store, case.id) == after
        elif what != "delete":
            with pytest.raises(Changed):
                await write(case)
        there = await contents(store, case.id)
        await add(other, case.id, numbered(1, 7))
        await add(store, case.id, numbered(1, 8))
        assert await contents(other, case.id) == [*there, "message 7", "message 8"]
    return cancelled


async def through(place: Place, what: str, hows: Sequence[dict[str, int]], most: int) -> None:
    """Cancel a write wherever it waits, at `most` places."""
    async with place.opened() as store, place.opened() as other:
        await add(store, "first", numbered(1))
        token = takes_tokens(store, what)
        write = WRITES[what][0]
        waits = await suspensions(write(await new_case(store, other, token=token)))
        hit = 0
        for at in range(0, waits, max(1, -(-waits // most))):
            for how in hows:
                hit += await check_write(place, store, other, what, at=at, **how)
        assert hit or not waits
        # None of the few connections that there are was lost.
        async with asyncio.timeout(AT_ONCE_S):
            await asyncio.gather(*(contents(store, "first") for _ in range(8)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_write_that_is_cancelled_is_done_or_not(kind: str, places: Places) -> None:
    async def main() -> None:
        place = Place(kind, places)
        # DynamoDB Local takes its time: the others are in `make test-real`.
        slow = kind == "dynamodb"
        for number, what in enumerate(FEW if slow else WRITES):
            hows = [{"times": 1 + number % 3, "turns": number % 2}]
            await through(place, what, hows, most=2 if slow else 5)

    run(main())


@pytest.mark.real
@pytest.mark.parametrize("what", WRITES)
@pytest.mark.parametrize("kind", KINDS)
def test_so_wherever_it_is_cancelled_and_however_often(
    kind: str, what: str, places: Places
) -> None:
    hows = [{"times": times, "turns": turns} for times in (1, 2, 5) for turns in (0, 1, 2, 4)]

    async def main() -> None:
        await through(Place(kind, places), what, hows[: MANY + 2], most=100)

    run(main())


@pytest.mark.real
@pytest.mark.parametrize("kind", KINDS)
def test_so_beside_others_who_write(kind: str, places: Places) -> None:
    async def main() -> None:
        place = Place(kind, places)
        async with place.opened() as store, place.opened() as other, place.opened() as third:
            await add(store, "first", numbered(1))
            written = 0

            async def writing() -> None:
                nonlocal written
                while True:
                    await add(third, "busy", numbered(1, written))
                    written += 1
                    await asyncio.sleep(0)

            writer = asyncio.create_task(writing())
            for what in WRITES:
                for at in range(12):
                    case = await new_case(store, other, token=takes_tokens(store, what))
                    write, after = WRITES[what]
                    await cancelled_at(write(case), at, times=2)
                    there = await contents(other, case.id)
                    assert there in allowed(kind, what, after)
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
            found = await contents(other, "busy")
            assert found[:written] == [f"message {n}" for n in range(written)]
            assert len(found) <= written + 1

    run(main())


async def _all(pages: AsyncIterator[Any]) -> list[Any]:
    return [page async for page in pages]


def others(store: Any, conversation: str) -> list[Callable[[], Awaitable[Any]]]:
    """Every other call that a store takes."""
    step = Step(conversation, uuid4().hex)
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: _all(store.read([conversation])),
        lambda: _all(store.read([conversation], reverse=True, limit=2)),
        lambda: _all(store.conversations()),
        lambda: _all(store.conversations([conversation], details=True)),
    ]
    if isinstance(store, SupportsNotes):
        calls += [
            lambda: store.set_note(conversation, "n", {"k": 1}),
            lambda: store.note(conversation, "n"),
            lambda: store.notes([conversation]),
        ]
    if isinstance(store, SupportsSteps):
        calls += [
            lambda: store.steps_done([step]),
            lambda: store.call_off([step]),
            lambda: store.forget_steps([step]),
        ]
    if isinstance(store, SupportsTrial):
        calls.append(lambda: store.refuses_back([conversation]))
    if isinstance(store, SupportsTotal):
        calls.append(store.total)
    for name in ("digests", "csv", "described", "expiring"):
        if hasattr(store, name):
            calls.append(lambda name=name: getattr(store, name)([conversation]))
    for name in ("lines",):
        if hasattr(store, name):
            calls.append(lambda: _all(store.lines([conversation])))
    if hasattr(store, "damage"):
        calls.append(store.damage)
    return calls


async def check_others(kind: str, places: Places, most: int, **how: int) -> None:
    place = Place(kind, places)
    async with place.opened() as store, place.opened() as other:
        await add(store, "c", numbered(5))
        expected = await contents(store, "c")
        for call in others(store, "c"):
            for at in range(most):
                cancelled, _ = await cancelled_at(_awaited(call), at, **how)
                if not cancelled:
                    break
                place.free()
                async with asyncio.timeout(AT_ONCE_S):
                    await call()
                    assert await contents(store, "c") == expected
                    await add(other, "d", numbered(1))
                    await add(store, "d", numbered(1))


async def _awaited(call: Callable[[], Awaitable[Any]]) -> Any:
    return await call()


@pytest.mark.parametrize("kind", KINDS)
def test_any_other_call_that_is_cancelled_leaves_the_store_as_it_was(
    kind: str, places: Places
) -> None:
    run(check_others(kind, places, 3))


@pytest.mark.real
@pytest.mark.parametrize("kind", KINDS)
def test_so_wherever_and_however_often(kind: str, places: Places) -> None:
    for times in (1, 2, 3):
        run(check_others(kind, places, 30, times=times, turns=times - 1))


async def check_opening(kind: str, places: Places, most: int, **how: int) -> None:
    """A store is made, written to and closed; what is left open is told by a warning."""
    for at in range(most):
        place = Place(kind, places)

        async def work(place: Place = place) -> None:
            async with place.opened() as store:
                await add(store, "c", numbered(2))

        cancelled, _ = await cancelled_at(work(), at, **how)
        place.free()
        async with asyncio.timeout(AT_ONCE_S), place.opened() as store:
            there = await contents(store, "c")
            assert len(there) in ((0, 1, 2) if kind == "mongo" else (0, 2))
            await add(store, "c", numbered(1))
            assert len(await contents(store, "c")) == len(there) + 1
        if kind == "sqlite" and place.file is not None:
            with contextlib.closing(sqlite3.connect(place.file)) as db:
                assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        if not cancelled:
            break
    gc.collect()


@pytest.mark.parametrize("kind", KINDS)
def test_opening_making_and_closing_may_be_cancelled(kind: str, places: Places) -> None:
    run(check_opening(kind, places, {"sqlite": 20, "dynamodb": 3}.get(kind, 6)))


@pytest.mark.real
@pytest.mark.parametrize("kind", KINDS)
def test_so_again_and_again(kind: str, places: Places) -> None:
    for times in (1, 2, 3):
        run(check_opening(kind, places, 60, times=times, turns=times - 1))


def test_a_copy_that_is_cancelled_leaves_nothing_attached(places: Places) -> None:
    async def main() -> None:
        source, place = Place("sqlite", places), Place("sqlite", places)
        async with source.opened() as old, place.opened() as store:
            for n in range(3):
                await add(old, f"c{n}", numbered(4))
            named = [Conversation(f"c{n}") for n in range(3)]
            for at in range(40):
                cancelled, _ = await cancelled_at(store.copy(old, named), at, times=1 + at % 3)
                place.free()
                for each in named:
                    assert len(await contents(store, each.id)) in (0, 4)
                    await store.delete(each.id)
                copied, _ = await store.copy(old, named)
                assert len(copied) == 3
                for each in named:
                    await store.delete(each.id)
                if not cancelled:
                    return

    run(main())


# --- beside somebody who keeps the lock ---


@pytest.mark.parametrize("kind", ["sqlite", *LAYOUTS])
def test_whoever_waits_for_a_locked_file_is_soon_back_and_leaves_nothing(
    kind: str, places: Places
) -> None:
    async def main() -> None:
        place = Place(kind, places)
        async with place.opened() as store:
            await add(store, "c", numbered(1))
            assert place.file is not None
            with contextlib.closing(sqlite3.connect(place.file, isolation_level=None)) as db:
                db.execute("BEGIN IMMEDIATE")
                began = time.monotonic()
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(add(store, "c", numbered(1, 1)), 0.2)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(store.delete("c"), 0.2)
                assert time.monotonic() - began < BUSY_TIMEOUT_S
                db.execute("ROLLBACK")
            place.free()
            assert await contents(store, "c") == ["message 0"]
            await add(store, "c", numbered(1, 1))

    run(main())


@pytest.mark.parametrize("kind", ["postgres"])
def test_whoever_waits_for_a_lock_of_the_server_is_soon_back_and_no_longer_waits_there(
    kind: str, places: Places
) -> None:
    async def main() -> None:
        place = Place(kind, places)
        async with place.opened() as store, place.opened() as other:
            await add(store, "c", numbered(1))
            async with other._table.database.connection() as holding:
                await holding.execute(begin_sql(other._table, ["c"]))
                began = time.monotonic()
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(add(store, "c", numbered(1, 1)), 0.3)
                assert time.monotonic() - began < AT_ONCE_S
                waiting = (
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
                    "AND objid = (SELECT objid FROM pg_locks WHERE locktype = 'advisory' "
                    "AND granted AND pid = pg_backend_pid() LIMIT 1)"
                )
                assert await holding.fetchval(waiting) == 0
                await holding.execute("ROLLBACK")
            await add(store, "c", numbered(1, 1))
            assert await contents(other, "c") == ["message 0", "message 1"]

    run(main())


def test_a_server_that_does_not_answer_keeps_nobody_long_who_was_cancelled() -> None:
    async def main(port: int) -> None:
        # Named, so that it need not be asked whose keys it has.
        settings = {"url": f"redis://127.0.0.1:{port}", "layout": "synapsekit"}
        async with open_store("redis", settings, write=True) as store:
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(add(store, "c", numbered(1)), 0.1)
            assert time.monotonic() - began < FIRST_ANSWER_S / 2

    with socket.create_server(("127.0.0.1", 0)) as silent:
        run(main(silent.getsockname()[1]))


def test_a_replace_of_nothing_is_cancelled_too(places: Places) -> None:
    """Its source may be slow, and is not waited for."""

    async def slow() -> AsyncIterator[Sequence[Message]]:
        yield numbered(1)
        await asyncio.sleep(3600)

    async def main() -> None:
        place = Place("sqlite", places)
        async with place.opened() as store:
            await add(store, "c", numbered(1))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(
                    store.replace(Conversation("c"), slow(), upto=START), timeout=0.2
                )
            await store.replace(Conversation("c"), once(numbered(1, 5)), upto=START)
            assert await contents(store, "c") == ["message 5", "message 0"]

    run(main())
