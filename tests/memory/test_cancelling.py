"""The memories under what cuts a call off: a cancelled task, `wait_for`, Ctrl-C."""

import asyncio
import contextlib
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from synmem.backends.sqlite.file import BUSY_TIMEOUT_S
from synmem.memory import (
    InMemoryConversation,
    SQLiteConversationMemory,
    SqliteMemory,
    SummaryMemory,
    VectorMemory,
    background,
)
from synmem.memory.base import BaseMemory
from synmem.strategies.summary import SUMMARY_HEAD
from synmem.vectors.store import VectorStore
from tests.cancelling import cancelled_at, struck
from tests.memory.test_stored import Make
from tests.memory.test_stored import make as make


def free(path: Path, within_s: float = 0) -> None:
    """Nobody has the file locked, not even for a moment more."""
    if path.exists():
        with contextlib.closing(sqlite3.connect(path, timeout=within_s)) as db:
            db.execute("BEGIN IMMEDIATE")
            db.rollback()


def struck_there(
    monkeypatch: pytest.MonkeyPatch, at: int, strike: Callable[[], None]
) -> list[bool]:
    """Let the next work in the background strike as it waits for the time of that number; the list
    is empty until it has."""
    hits: list[bool] = []
    begin = background._Errand.begin

    def hit() -> None:
        hits.append(True)
        strike()

    def beginning(errand: Any, loop: Any) -> None:
        errand._work = struck(errand._work, at, hit)
        monkeypatch.setattr(background._Errand, "begin", begin)
        begin(errand, loop)

    monkeypatch.setattr(background._Errand, "begin", beginning)
    return hits


async def cancelled_there(
    monkeypatch: pytest.MonkeyPatch, work: Coroutine[Any, Any, Any], at: int, times: int = 1
) -> tuple[bool, bool]:
    """Whether the work in the background came to wait so often, and whether `work`, which was
    cancelled then, has ended so."""
    loop = asyncio.get_running_loop()

    def strike() -> None:
        for _ in range(times):
            loop.call_soon_threadsafe(task.cancel)

    hits = struck_there(monkeypatch, at, strike)
    task = asyncio.create_task(work)
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return bool(hits), task.cancelled()


CALLS: dict[str, tuple[Callable[[SqliteMemory], Coroutine[Any, Any, Any]], list[str]]] = {
    "add": (lambda m: m.add("user", "new"), ["one", "two", "new"]),
    "clear": (lambda m: m.clear(), []),
    "get": (lambda m: m.get(), ["one", "two"]),
    "count": (lambda m: m.count(), ["one", "two"]),
    "close": (lambda m: m.close(), ["one", "two"]),
}


def check_call(path: Path, monkeypatch: pytest.MonkeyPatch, what: str, at: int, times: int) -> bool:
    call, after = CALLS[what]

    async def main() -> bool:
        async with SqliteMemory(path, session_id="s") as memory:
            for text in ("one", "two"):
                await memory.add("user", text)
            reached, cancelled = await cancelled_there(monkeypatch, call(memory), at, times)
            free(path)
            there = [each["content"] for each in await SqliteMemory(path, session_id="s").get()]
            assert there in ([["one", "two"], after] if cancelled else [after])
            await memory.add("user", "last")
            assert [each["content"] for each in await memory.get()] == [*there, "last"]
            return reached

    return asyncio.run(main())


@pytest.mark.parametrize("what", CALLS)
def test_a_call_that_is_cancelled_is_done_or_not_and_the_next_one_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    for at in range(60):
        if not check_call(tmp_path / f"{at}.db", monkeypatch, what, at, 1 + at % 2):
            break
    assert at > 0


@pytest.mark.real
@pytest.mark.parametrize("what", CALLS)
def test_so_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    for turn in range(15):
        for at in range(60):
            path = tmp_path / f"{turn}-{at}.db"
            if not check_call(path, monkeypatch, what, at, 1 + turn % 4):
                break


def test_a_task_that_is_cancelled_before_it_has_begun_leaves_nothing(tmp_path: Path) -> None:
    """The report's own example."""

    async def main() -> None:
        path = tmp_path / "m.db"
        memory = SqliteMemory(path)
        for _ in range(30):
            task = asyncio.create_task(memory.add("user", "one"))
            await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            free(path)
        count = len(await memory.get())
        await memory.add("user", "two")
        assert len(await memory.get()) == count + 1
        await memory.close()

    asyncio.run(main())


def test_wait_for_beside_another_writer_is_soon_back_and_nothing_is_written_later(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        path = tmp_path / "m.db"
        async with SqliteMemory(path) as memory:
            await memory.add("user", "one")
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.execute("BEGIN IMMEDIATE")
                began = time.monotonic()
                for call in (memory.add("user", "late"), memory.clear()):
                    with pytest.raises(TimeoutError):
                        await asyncio.wait_for(call, 0.2)
                assert time.monotonic() - began < BUSY_TIMEOUT_S
                db.execute("ROLLBACK")
            free(path)
            await memory.add("user", "two")
            assert [each["content"] for each in await memory.get()] == ["one", "two"]

    asyncio.run(main())


@pytest.mark.parametrize("at", [0, 1, 2, 3, 5, 8])
def test_what_still_runs_at_the_end_of_the_event_loop_ends_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    path = tmp_path / "m.db"
    memory = SqliteMemory(path)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        reached = asyncio.Event()
        struck_there(monkeypatch, at, lambda: loop.call_soon_threadsafe(reached.set))
        adding = asyncio.create_task(memory.add("user", "one"))
        waiting = asyncio.create_task(reached.wait())
        await asyncio.wait([adding, waiting], return_when=asyncio.FIRST_COMPLETED)

    asyncio.run(main())  # which cancels what is left
    free(path)

    async def look() -> None:
        assert len(await memory.get()) in (0, 1)
        await memory.add("user", "two")
        await memory.close()

    asyncio.run(look())


def check_interrupt(path: Path, monkeypatch: pytest.MonkeyPatch, what: str, at: int) -> bool:
    """Ctrl-C as a synchronous memory waits for its work there, which waits for that time."""
    memory = SQLiteConversationMemory(path, conversation_id="s")
    memory.add("user", "one")
    calls: dict[str, Callable[[], Any]] = {
        "add": lambda: memory.add("user", "new"),
        "clear": memory.clear,
        "get": memory.get_messages,
        "close": memory.close,
    }
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    hits = struck_there(monkeypatch, at, lambda: signal.pthread_kill(main_thread, signal.SIGINT))
    interrupted = False
    try:
        calls[what]()
        for _ in range(100 if hits else 0):  # it may come only just now
            time.sleep(0.01)
    except KeyboardInterrupt:
        interrupted = True
    assert interrupted == bool(hits)
    free(path)
    there = [each["content"] for each in memory.get_messages()]
    assert there in (["one"], ["one", "new"], [])
    memory.add("user", "last")
    assert [each["content"] for each in memory.get_messages()] == [*there, "last"]
    memory.close()
    return bool(hits)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system has no pthread_kill")
@pytest.mark.parametrize("what", ["add", "clear", "get", "close"])
def test_ctrl_c_leaves_a_memory_that_works_and_nothing_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for at in range(60):
            if not check_interrupt(tmp_path / f"{at}.db", monkeypatch, what, at):
                break
        assert at > 0
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("kind", [SqliteMemory, SQLiteConversationMemory])
def test_ctrl_c_as_a_file_is_made_leaves_none_or_one_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Any]
) -> None:
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for at in range(80):
            path = tmp_path / f"{at}.db"
            hits = struck_there(
                monkeypatch, at, lambda: signal.pthread_kill(main_thread, signal.SIGINT)
            )
            try:
                memory = kind(path)
                for _ in range(100 if hits else 0):
                    time.sleep(0.01)
            except KeyboardInterrupt:
                # Where it came as the constructor was left, what it made is closed behind it.
                free(path, within_s=5)
                memory = kind(path)
            closed = memory.close()
            if asyncio.iscoroutine(closed):
                asyncio.run(closed)
            with contextlib.closing(sqlite3.connect(path)) as db:
                tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
                mode = db.execute("PRAGMA journal_mode").fetchone()[0]
            assert "messages" in tables
            assert mode == ("wal" if kind is SqliteMemory else "delete")
            if not hits:
                break
        assert at > 5
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("what", ["add", "add, keeping two", "clear", "close", "summarize"])
def test_so_over_every_store(make: Make, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """The first wait is where a memory's connection is made, or the lock taken."""

    async def check(at: int) -> bool:
        kept = make(f"{what} {at}", max_messages=2 if what == "add, keeping two" else None)
        memory = SummaryMemory(kept, Model(), max_messages=2) if what == "summarize" else kept
        for text in ("one", "two"):
            await memory.add("user", text)
        work = {"clear": memory.clear, "close": memory.close}
        new = work[what]() if what in work else memory.add("user", "three")
        reached, cancelled = await cancelled_there(monkeypatch, new, at, times=1 + at % 2)
        texts = [each["content"] for each in await make(f"{what} {at}").get()]
        before = ["one", "two"]
        after = {
            "add": [["one", "two", "three"]],
            "add, keeping two": [["two", "three"], ["one", "two", "three"]],
            "clear": [[]],
            "close": [before],
            "summarize": [["one", "two", "three"], [SUMMARY_HEAD + "in short", "three"]],
        }[what]
        assert texts in ([before, *after] if cancelled else after)
        await kept.add("user", "last")
        assert (await kept.get())[-1]["content"] == "last"
        return reached

    async def main() -> None:
        for at in (0, 1, 3, 6):
            if not await check(at):
                break

    asyncio.run(main())


# --- those that hold others ---


class Model:
    """A model that takes its time."""

    async def generate(self, prompt: str) -> str:
        await asyncio.sleep(0)
        return "in short"


class Foreign(BaseMemory):
    """A memory of somebody else's, of which each call waits."""

    def __init__(self) -> None:
        self._seen: list[dict[str, Any]] = []

    async def add(self, role: str, content: str) -> None:
        await asyncio.sleep(0)
        self._seen.append({"role": role, "content": content})

    async def get(self) -> list[dict[str, Any]]:
        await asyncio.sleep(0)
        return self.to_messages()

    async def clear(self) -> None:
        await asyncio.sleep(0)
        self._seen = []


@pytest.mark.parametrize("kind", ["sqlite", "in process", "somebody else's"])
def test_a_summary_that_is_cancelled_takes_nothing_with_it(tmp_path: Path, kind: str) -> None:
    async def check(at: int, times: int) -> bool:
        beneath: dict[str, Callable[[], BaseMemory]] = {
            "sqlite": lambda: SqliteMemory(tmp_path / f"{at}-{times}.db"),
            "in process": InMemoryConversation,
            "somebody else's": Foreign,
        }
        async with SummaryMemory(beneath[kind](), Model(), max_messages=2) as memory:
            for text in ("one", "two"):
                await memory.add("user", text)
            cancelled, _ = await cancelled_at(memory.add("user", "three"), at, times=times)
            texts = [each["content"].rpartition("\n")[2] for each in await memory.get()]
            assert texts in (["one", "two"], ["one", "two", "three"], ["in short", "three"])
            await memory.add("user", "four")
            texts = [each["content"].rpartition("\n")[2] for each in await memory.get()]
            assert texts in (["in short", "four"], ["in short", "three", "four"])
            return cancelled

    async def main() -> None:
        for times in (1, 2):
            for at in range(20):
                if not await check(at, times):
                    break

    asyncio.run(main())


def test_a_text_that_is_remembered_by_its_meaning_is_there_or_not(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "v.db"
        vectors = VectorStore(path)
        memory = VectorMemory(vectors)
        await memory.add("user", "tea")
        for at in range(6):
            before = await vectors.count()
            cancelled, _ = await cancelled_at(memory.add("user", f"tea {at}"), at)
            free(path)
            assert await vectors.count() in ((before, before + 1) if cancelled else (before + 1,))
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(memory.add("user", "late"), 0.2)
            assert (
                time.monotonic() - began < BUSY_TIMEOUT_S
            )  # alone it would wait for twice as long
            db.execute("ROLLBACK")
        await memory.add("user", "last")

    asyncio.run(main())
