"""Copying inside SQLite: in all that can be seen the same as message by message, only faster."""

import asyncio
import contextlib
import hashlib
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synmem.backends.sqlite.store import open as open_sqlite
from synmem.messages import Conversation, Message
from synmem.operations.moving.receipt import Entry, Ledger
from synmem.operations.moving.transfer import Options, Transfer
from synmem.store import Copied, Part, Store, SupportsCopy
from tests.backends.sqlite.test_lines import HOSTILE, MESSAGES, PLOTS, Plain, exported, raw
from tests.conformance import AT, FULL, IDS, METADATA, TEXTS, numbered
from tests.nobody import as_nobody


@contextlib.asynccontextmanager
async def opened(path: Path, page_size: int = 1000, **more: Any) -> AsyncIterator[Any]:
    more.setdefault("write", False)
    write = more.pop("write")
    store = await open_sqlite({"db_path": str(path), **more}, write=write, page_size=page_size)
    try:
        yield store
    finally:
        await store.close()


class Slow(Plain):
    """A destination of which nothing but its own six methods are known."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.refusal, self.append = store.refusal, store.append
        self.delete, self.replace = store.delete, store.replace


class Counting:
    """A destination that tells how many conversations it copied by itself."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.copied: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def copy(self, source: Any, conversations: Any) -> tuple[list[Copied], Any]:
        copied, left = await self._store.copy(source, conversations)
        self.copied += [each.conversation for each in copied]
        return copied, left

    async def digests(self, conversations: Any) -> dict[str, str]:
        found: dict[str, str] = await self._store.digests(conversations)
        return found


def shown(entry: Entry) -> tuple[Any, ...]:
    return (
        entry.conversation, entry.source, entry.action, entry.messages, entry.written, entry.description,
        entry.source_end, entry.verified, entry.kind, entry.problem,
    )  # fmt: skip


async def moved(source: Any, dest: Any, **options: Any) -> tuple[Any, Any]:
    """What a transfer tells: its entries, and what it rejected."""
    rejected: list[Any] = []
    with Ledger() as ledger:
        transfer = Transfer(
            source, dest, ledger, Options(**options), reject=lambda *each: rejected.append(each)
        )
        await transfer.copy()
        await transfer.verify()
        entries = [shown(entry) for page in ledger.pages() for entry in page]
    return entries, sorted(rejected, key=str)


async def both_ways(tmp_path: Path, source: Any, layout: str, **options: Any) -> list[str]:
    """Copy to a store that copies by itself and to one that does not: the outcome is the same.
    Tells what the first copied by itself."""
    outcomes = []
    copied: list[str] = []
    for name in ("fast", "slow"):
        path = tmp_path / f"{name}.db"
        async with opened(path, 3, write=True, layout=layout) as store:
            dest: Any = Counting(store) if name == "fast" else Slow(store)
            assert isinstance(dest, SupportsCopy) is (name == "fast")
            told = [await moved(source, dest, **options) for _ in range(2)]
            outcomes.append((told, await exported(Slow(store))))
            copied += dest.copied if name == "fast" else []
    assert outcomes[0] == outcomes[1]
    return copied


WAYS = [("synmem", "synmem"), ("synapsekit", "synapsekit"), ("synapsekit", "synmem"),
        ("synmem", "synapsekit")]  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs"), WAYS)
@pytest.mark.parametrize("move", [False, True])
def test_hostile_messages_arrive_the_same(
    tmp_path: Path, ours: str, theirs: str, move: bool
) -> None:
    texts = [text for name, text in TEXTS.items() if name != "a megabyte"]
    messages = [Message(role, text) for text in texts for role in ("user", text)]
    messages += [Message("user", "é", metadata) for metadata in METADATA]
    messages += [FULL, Message("user", "x", None, AT), Message("user", "x", {"a": None}, AT)]

    async def main() -> None:
        async with opened(tmp_path / "s.db", 3, write=True, layout=ours) as source:
            own: Any = {"title": "null é", "extra": {"k": [1.0]}} if ours == "synmem" else {}
            await source.append([Part(Conversation(i, **own), numbered(3)) for i in IDS])
            await source.append([Part(Conversation(f"m{n}"), [m]) for n, m in enumerate(messages)])
            await source.append([Part(Conversation("long"), numbered(50))])
            await source.append([Part(Conversation("all"), messages)])
            copied = await both_ways(tmp_path, source, theirs, move=move)
            if (ours, theirs) == ("synmem", "synapsekit"):
                assert copied == []
            else:
                assert {*IDS} <= {*copied}
                assert "long" not in copied  # with pages of 3, it is larger than what is held
            packed = f"m{messages.index(FULL)}"
            assert (packed in copied) == (ours == theirs)

    asyncio.run(main())


@pytest.mark.parametrize("theirs", ["synmem", "synapsekit"])
def test_rows_that_another_program_wrote_arrive_the_same(tmp_path: Path, theirs: str) -> None:
    rows: list[Any] = [
        (f"{n:02} {k}", "user", "x", each) for n, each in enumerate(HOSTILE) for k in "ab"
    ]
    rows += [("bad", b"\xff", "x", None), ("bad", "user", b"\xed\xa0\x80", None)]
    rows += [(name, "user", "x", each) for name, texts in PLOTS for each in texts]
    rows += [("x" * 1025, "user", "x", None), ("", "user", "x", None)]
    rows += [(f"good {n}", "user", "x", '{"a":   1}') for n in range(20)]

    async def main() -> None:
        async with opened(raw(tmp_path / "s.db", rows), 3) as source:
            copied = await both_ways(tmp_path, source, theirs)
            assert {f"good {n}" for n in range(20)} <= {*copied}
            assert "bad" not in copied

    asyncio.run(main())


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), MESSAGES), max_size=10),
    st.lists(st.tuples(st.sampled_from("abcdef"), MESSAGES), max_size=3),
    st.sampled_from(WAYS),
    st.sampled_from(["skip", "rename", "replace", "extend"]),
)
def test_any_history_arrives_the_same(
    tmp_path_factory: Any, said: Any, there: Any, way: tuple[str, str], conflict: str
) -> None:
    async def fill(store: Any, messages: Any) -> None:
        for name, message in messages:
            if store.refusal(message) is None:
                await store.append([Part(Conversation(name), [message])])

    async def main() -> None:
        folder = tmp_path_factory.mktemp("any")
        for name in ("fast", "slow"):
            async with opened(folder / f"{name}.db", write=True, layout=way[1]) as dest:
                await fill(dest, [*said[:3], *there])
        async with opened(folder / "s.db", 3, write=True, layout=way[0]) as source:
            await fill(source, said)
            await both_ways(folder, source, way[1], on_conflict=conflict)

    asyncio.run(main())


def test_a_dry_run_and_a_receipt_go_the_ordinary_way(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "s.db", write=True) as source:
            await source.append([Part(Conversation(i), numbered(3)) for i in "abc"])
            for options in ({"dry_run": True}, {"exact": True}):
                async with opened(tmp_path / f"{[*options]}.db", write=True) as store:
                    dest = Counting(store)
                    await moved(source, dest, **options)
                    assert dest.copied == []

    asyncio.run(main())


def test_what_was_changed_before_it_was_read_back_is_found(tmp_path: Path) -> None:
    async def main(change: str) -> list[str | None]:
        async with (
            opened(tmp_path / "s.db", write=True) as source,
            opened(tmp_path / f"{len(change)}.db", write=True) as dest,
        ):
            await source.append([Part(Conversation(i), numbered(3)) for i in "abc"])
            with Ledger() as ledger:
                transfer = Transfer(source, dest, ledger, Options())
                await transfer.copy()
                with contextlib.closing(sqlite3.connect(dest.name)) as db, db:
                    db.execute(change)
                await transfer.verify()
                return [entry.kind for page in ledger.pages() for entry in page]

    for change in (
        "UPDATE messages SET content = 'X' WHERE id = 4",
        "DELETE FROM messages WHERE id = 4",
        "UPDATE messages SET metadata = '{}x' WHERE id = 5",
        "UPDATE messages SET name = 'n' WHERE id = 5",
    ):
        assert asyncio.run(main(change)) == [None, "failed", None], change
        (tmp_path / "s.db").unlink()
    grown = "INSERT INTO messages (conversation_id, role, content) VALUES ('b', 'user', 'more')"
    assert asyncio.run(main(grown)) == [None, None, None]


def test_messages_that_arrive_meanwhile_come_with_the_next_run(tmp_path: Path) -> None:
    other: Any = None

    class Growing(Counting):
        async def copy(self, source: Any, conversations: Any) -> tuple[list[Copied], Any]:
            await other.append([Part(Conversation("a"), numbered(1, 3))])
            found = await super().copy(source, conversations)
            await other.append([Part(Conversation(i), numbered(1, 4)) for i in "abx"])
            return found

    async def main() -> None:
        nonlocal other
        async with (
            opened(tmp_path / "s.db", write=True) as other,
            opened(tmp_path / "d.db", write=True) as dest,
        ):
            await other.append([Part(Conversation(i), numbered(3)) for i in "abc"])
            async with opened(tmp_path / "s.db") as source:
                entries, _ = await moved(source, Growing(dest))
                assert [(e[0], e[3], e[7], e[8]) for e in entries] == [
                    ("a", 4, True, None), ("b", 3, True, None), ("c", 3, True, None),
                    ("x", 1, True, None),
                ]  # fmt: skip
                entries, _ = await moved(source, dest)
                assert [e[2] for e in entries] == ["appended", "appended", "equal", "appended"]
            assert (await exported(Slow(dest)))[0] == (await exported(Slow(other)))[0]

    asyncio.run(main())


# --- the source stays as it was ---------------------------------------------------------------


def state(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def filled(path: Path, journal: str = "delete") -> Path:
    path.parent.mkdir(exist_ok=True)
    raw(path, [(i, "user", f"{n}", None) for i in "abc" for n in range(3)])
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA journal_mode={journal}")
    return path


async def copies(source: Path, dest: Path) -> list[str]:
    async with opened(source) as ours, opened(dest, write=True) as theirs:
        counting = Counting(theirs)
        await moved(ours, counting)
        return sorted(counting.copied)


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_copying_leaves_the_source_and_its_folder_as_they_were(
    tmp_path: Path, journal: str
) -> None:
    source = filled(tmp_path / "s" / "s.db", journal)
    before = state(source.parent)
    assert asyncio.run(copies(source, tmp_path / "d.db")) == ["a", "b", "c"]
    assert state(source.parent) == before


def test_what_lies_in_a_wal_is_copied_and_stays_there(tmp_path: Path) -> None:
    source = filled(tmp_path / "s" / "s.db", "wal")
    with contextlib.closing(sqlite3.connect(source)) as db:
        db.execute("INSERT INTO messages (conversation_id, role, content) VALUES ('d', 'u', 'x')")
        db.commit()
        before = state(source.parent)
        assert before.keys() >= {"s.db-wal"}
        assert asyncio.run(copies(source, tmp_path / "d.db")) == ["a", "b", "c", "d"]
        after = state(source.parent)
        assert {n: after[n] for n in ("s.db", "s.db-wal")} == {
            n: before[n] for n in ("s.db", "s.db-wal")
        }


def test_a_hot_journal_stays_and_what_was_committed_is_copied(tmp_path: Path) -> None:
    live = filled(tmp_path / "live" / "s.db")
    with contextlib.closing(sqlite3.connect(live, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size=1")
        db.execute("BEGIN")
        db.executemany(
            "INSERT INTO messages (conversation_id, role, content) VALUES ('z', 'u', ?)",
            [("x" * 500,)] * 500,
        )
        shutil.copytree(live.parent, tmp_path / "s")
    before = state(tmp_path / "s")
    assert before.keys() == {"s.db", "s.db-journal"}
    assert asyncio.run(copies(tmp_path / "s" / "s.db", tmp_path / "d.db")) == ["a", "b", "c"]
    assert state(tmp_path / "s") == before


def test_a_folder_that_cannot_be_written_is_copied_from(tmp_path: Path) -> None:
    with as_nobody() as folder:
        source = filled(folder / "s" / "s.db", "wal")
        before = state(source.parent)
        source.chmod(0o444)
        source.parent.chmod(0o555)
        try:
            assert asyncio.run(copies(source, folder / "d.db")) == ["a", "b", "c"]
        finally:
            source.parent.chmod(0o755)
        assert state(source.parent) == before


def test_a_locked_source_is_left_to_the_ordinary_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synmem.backends.sqlite.file.BUSY_TIMEOUT_S", 0.1)
    source = filled(tmp_path / "s" / "s.db")

    async def main() -> None:
        async with opened(source) as ours, opened(tmp_path / "d.db", write=True) as theirs:
            with contextlib.closing(sqlite3.connect(source, isolation_level=None)) as db:
                db.execute("BEGIN EXCLUSIVE")
                assert await theirs.copy(ours, [Conversation("a")]) == ([], [])
            copied, left = await theirs.copy(ours, [Conversation("a")])
            assert [each.messages for each in copied] == [3]
            assert left == []
            assert await theirs.copy(theirs, [Conversation("a")]) == ([], [])
            async with opened(tmp_path / "d.db") as same:
                assert await theirs.copy(same, [Conversation("a")]) == ([], [])

    asyncio.run(main())


def test_many_conversations_take_more_than_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synmem.backends.sqlite.copying.CALL_MESSAGES", 5)

    async def main() -> None:
        async with (
            opened(tmp_path / "s.db", write=True) as source,
            opened(tmp_path / "d.db", write=True) as dest,
        ):
            await source.append([Part(Conversation(i), numbered(2)) for i in "abcdef"])
            waiting, steps = [Conversation(i) for i in "abcdef"], []
            while waiting:
                copied, waiting = await dest.copy(source, waiting)
                steps.append([each.conversation for each in copied])
            assert steps == [["a", "b"], ["c", "d"], ["e", "f"]]

    asyncio.run(main())
