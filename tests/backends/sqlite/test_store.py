"""The SQLite store: the contract on a file of ours and on one that SynapseKit made; the raw rows
as the docstring has them; reading that leaves no trace; files that are not what they should be."""

import asyncio
import contextlib
import hashlib
import json
import multiprocessing
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from synapsekit.memory.sqlite import SQLiteConversationMemory

from synmem.backends.sqlite.store import open as open_sqlite
from synmem.errors import (
    AccessDenied,
    Changed,
    CorruptData,
    StoreNotFound,
    StoreUnavailable,
    SynmemError,
    Unsupported,
)
from synmem.messages import STRAY, Conversation, Message, Unreadable
from synmem.store import Part, Store, SupportsDamage, SupportsNotes, once
from tests.conformance import (
    AT,
    FULL,
    PAGE_SIZE,
    TEXTS,
    Opener,
    Writing,
    add,
    contents,
    details,
    ids,
    items,
    numbered,
    run,
)
from tests.nobody import as_nobody


@contextlib.asynccontextmanager
async def opened(
    path: Path, *, write: bool = False, page_size: int = PAGE_SIZE, **settings: Any
) -> AsyncIterator[Any]:
    store = await open_sqlite({"db_path": str(path), **settings}, write=write, page_size=page_size)
    try:
        yield store
    finally:
        await store.close()


class TestOwnFile(Writing):
    def stores(self, tmp_path: Any) -> Opener:
        return lambda: opened(tmp_path / "chat.db", write=True)

    def spoil(self, tmp_path: Any, conversation: str, field: str) -> None:
        if field == "head":
            pytest.skip("in SQLite no head places the messages")
        with contextlib.closing(sqlite3.connect(tmp_path / "chat.db")) as db:
            where = "WHERE conversation_id = ? AND name = ?"
            db.execute(f"UPDATE messages_meta SET value = 'no' {where}", (conversation, field))
            db.commit()


class TestSynapseKitFile(Writing):
    def stores(self, tmp_path: Any) -> Opener:
        path = tmp_path / "conversations.db"
        SQLiteConversationMemory(str(path)).close()
        return lambda: opened(path, write=True)

    def conversation_fields(self) -> frozenset[str]:
        return frozenset()


def write(path: Path, conversation: str, messages: list[Message]) -> None:
    async def main() -> None:
        async with opened(path, write=True) as store:
            await add(store, conversation, messages)

    run(main())


def read(path: Path, conversation: str, **how: Any) -> list[Any]:
    async def main() -> list[Any]:
        async with opened(path) as store:
            return await items(store, conversation, **how)

    return run(main())


def rows(path: Path, sql: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


# --- the data layout ---


def test_the_raw_rows_of_our_own_file_are_as_documented(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"

    async def main() -> None:
        async with opened(path, write=True) as store:
            await store.append([Part(Conversation("c", "Title", {"k": 1}), [FULL])])
            await store.set_note("c", "summary", {"text": "s"})

    run(main())
    columns = "id, conversation_id, role, content, metadata, created_at, tool_calls, tool_call_id, name, parts, extra"  # fmt: skip
    ((*row,),) = rows(path, f"SELECT {columns} FROM messages")
    assert row[:6] == [1, "c", "assistant", "text of the parts", '{"k":1}', "2026-11-21T06:00:00.123456Z"]  # fmt: skip
    assert [json.loads(row[i]) for i in (6, 9, 10)] == [FULL.tool_calls, FULL.parts, FULL.extra]
    assert row[7:9] == ["call_0", "bob"]
    assert rows(path, "SELECT * FROM messages_meta ORDER BY name") == [
        ("c", "extra", '{"k":1}'), ("c", "note:summary", '{"text":"s"}'), ("c", "title", '"Title"'),
    ]  # fmt: skip
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]


def test_a_synapsekit_file_gets_no_column_and_no_other_mode(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    SQLiteConversationMemory(str(path)).close()
    before = rows(path, "SELECT sql FROM sqlite_schema ORDER BY name")
    write(path, "c", [FULL, Message("user", "plain", {"a": "é"}), Message("user", "\ud800x")])
    assert rows(path, "SELECT sql FROM sqlite_schema ORDER BY name") == before
    assert rows(path, "PRAGMA journal_mode") == [("delete",)]
    full, plain, broken = rows(path, "SELECT role, content, metadata FROM messages")
    rest = json.loads(full[2])
    assert full[:2] == ("assistant", "text of the parts")
    assert rest["k"] == 1
    assert rest["synmem"]["v"] == 1
    assert rest["synmem"]["created_at"] == "2026-11-21T06:00:00.123456Z"
    assert plain == ("user", "plain", '{"a": "\\u00e9"}')
    assert broken[1] == "?x"
    assert json.loads(broken[2])["synmem"]["content"] == "\ud800x"


def test_a_plain_message_is_stored_as_synapsekit_stores_it(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.db", tmp_path / "theirs.db"
    memory = SQLiteConversationMemory(str(theirs), conversation_id="c")
    SQLiteConversationMemory(str(ours)).close()
    samples = [("user", "Grüße 👋", {"b": [1.5, None], "a": "é"}), ("assistant", "x\x00y", None)]
    for role, content, metadata in samples:
        memory.add(role, content, metadata)
        write(ours, "c", [Message(role, content, metadata)])
    memory.close()
    everything = "SELECT *, typeof(content), typeof(metadata) FROM messages"
    assert rows(ours, everything) == rows(theirs, everything)


@pytest.mark.parametrize("made_by", ["synmem", "synapsekit"])
def test_synapsekit_and_synmem_read_what_the_other_writes(tmp_path: Path, made_by: str) -> None:
    path = tmp_path / "chat.db"
    if made_by == "synmem":
        write(path, "c", [Message("user", "from synmem", {"n": 1})])
        memory = SQLiteConversationMemory(str(path), conversation_id="c")
    else:
        memory = SQLiteConversationMemory(str(path), conversation_id="c")
        write(path, "c", [Message("user", "from synmem", {"n": 1})])
    memory.add("assistant", "from synapsekit", {"m": [1]})
    write(path, "c", [Message("user", "again", created_at=AT)])
    found = memory.get_messages()
    assert [m["content"] for m in found] == ["from synmem", "from synapsekit", "again"]
    assert [m.get("metadata") for m in found[:2]] == [{"n": 1}, {"m": [1]}]
    memory.close()
    assert read(path, "c") == [
        Message("user", "from synmem", {"n": 1}),
        Message("assistant", "from synapsekit", {"m": [1]}),
        Message("user", "again", created_at=AT),
    ]


def test_a_synapsekit_window_trims_what_synmem_wrote(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    write(path, "c", numbered(10))
    memory = SQLiteConversationMemory(str(path), conversation_id="c", window=2)
    memory.add("user", "last")
    memory.close()
    assert [m.content for m in read(path, "c")] == ["message 7", "message 8", "message 9", "last"]


@pytest.mark.parametrize("own", [{"v": 1}, {"v": True, "name": "x"}, {"v": 2}, {"v": 1, "z": 1}, 5])
def test_a_synmem_key_of_another_program_stays_its_own(tmp_path: Path, own: Any) -> None:
    path = tmp_path / "chat.db"
    memory = SQLiteConversationMemory(str(path), conversation_id="c")
    memory.add("user", "x", {"synmem": own})
    memory.close()
    assert read(path, "c") == [Message("user", "x", {"synmem": own})]


# --- reading leaves no trace ---


def fingerprint(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def read_all(path: Path) -> int:
    async def main() -> int:
        async with opened(path) as store:
            assert [i async for page in store.conversations(details=True) for i in page]
            return sum([len(await items(store, i)) for i in await ids(store)])

    return run(main())


@pytest.mark.parametrize("made_by", ["synmem", "synapsekit"])
def test_reading_leaves_the_folder_byte_for_byte(tmp_path: Path, made_by: str) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    path = folder / "chat.db"
    if made_by == "synapsekit":
        SQLiteConversationMemory(str(path)).close()
    write(path, "c", numbered(5))
    before = fingerprint(folder)
    assert before.keys() == {"chat.db"}
    assert read_all(path) == 5
    assert fingerprint(folder) == before


def test_reading_beside_a_wal_of_a_killed_writer_leaves_both(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    path = folder / "chat.db"
    write(tmp_path / "live.db", "c", numbered(3))
    with contextlib.closing(sqlite3.connect(tmp_path / "live.db")) as db:
        db.execute("PRAGMA wal_autocheckpoint=0")
        db.execute(
            "INSERT INTO messages (conversation_id, role, content) VALUES ('c', 'user', 'w')"
        )
        db.commit()
        for suffix in ("", "-wal"):  # as after a kill -9, the index lost
            shutil.copy(tmp_path / f"live.db{suffix}", folder / f"chat.db{suffix}")
    before = fingerprint(folder)
    assert read_all(path) == 4
    after = fingerprint(folder)
    assert {name: after[name] for name in before} == before


def test_reading_beside_a_hot_journal_sees_what_was_committed(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    path = folder / "chat.db"
    live = tmp_path / "live.db"
    SQLiteConversationMemory(str(live)).close()
    write(live, "c", numbered(3))
    with contextlib.closing(sqlite3.connect(live, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size=1")
        db.execute("BEGIN IMMEDIATE")
        big = "x" * 5000
        for _ in range(50):
            db.execute("INSERT INTO messages (conversation_id, role, content) VALUES ('c','u',?)", (big,))  # fmt: skip
        for suffix in ("", "-journal"):
            shutil.copy(tmp_path / f"live.db{suffix}", folder / f"chat.db{suffix}")
        db.execute("ROLLBACK")
    before = fingerprint(folder)
    assert before["chat.db"] != hashlib.sha256(live.read_bytes()).hexdigest()
    assert read_all(path) == 3
    assert fingerprint(folder) == before


def test_reading_while_another_program_holds_the_write_lock(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    memory = SQLiteConversationMemory(str(path), conversation_id="c")
    memory.add("user", "x")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO messages (conversation_id, role, content) VALUES ('c', 'u', 'y')")
        assert [m.content for m in read(path, "c")] == ["x"]
        db.execute("COMMIT")
    memory.close()
    assert [m.content for m in read(path, "c")] == ["x", "y"]


@pytest.mark.parametrize("made_by", ["synmem", "synapsekit"])
def test_a_read_only_folder_can_be_read_and_not_written(made_by: str) -> None:
    with as_nobody() as folder:
        path = folder / "chat.db"
        if made_by == "synapsekit":
            SQLiteConversationMemory(str(path)).close()
        write(path, "c", numbered(3))
        path.chmod(0o444)
        folder.chmod(0o555)
        before = fingerprint(folder)
        assert [m.content for m in read(path, "c")] == [f"message {n}" for n in range(3)]
        with pytest.raises(AccessDenied):
            write(path, "c", numbered(1))
        assert fingerprint(folder) == before


# --- bad rows ---


def test_one_bad_row_does_not_hide_the_others(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    memory = SQLiteConversationMemory(str(path), conversation_id="c")
    memory.add("user", "good 1")
    memory.add("user", b"bytes \xff")  # type: ignore[arg-type]
    memory.add("user", "good 2")
    memory.close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        insert = "INSERT INTO messages (conversation_id, role, content, metadata) VALUES ('c','u',"
        db.execute(insert + "'x', '{not json')")
        db.execute(insert + "CAST(x'ff41' AS TEXT), NULL)")
        db.execute(insert + "'x', '[1]')")
        db.execute(insert + "'good 3', '')")
        db.execute(insert + "'good 4', 'null')")
        db.commit()
    found = read(path, "c")
    good = [m.content for m in found if isinstance(m, Message)]
    assert good == ["good 1", "good 2", "good 3", "good 4"]
    bad = [m for m in found if isinstance(m, Unreadable)]
    assert [m.position for m in bad] == ["2", "4", "5", "6"]
    assert "BLOB" in bad[0].reason
    assert "not JSON" in bad[1].reason
    assert read(path, "c", reverse=True) == found[::-1]


def test_numbers_that_synapsekit_stored_as_text_are_text(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    memory = SQLiteConversationMemory(str(path), conversation_id="c")
    memory.add("user", 5)  # type: ignore[arg-type]
    memory.close()
    assert read(path, "c") == [Message("user", "5")]


def test_rows_that_belong_to_no_conversation_are_named_and_hide_nothing(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(
            "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id TEXT, role TEXT, content TEXT, metadata TEXT)"
        )
        db.execute("CREATE INDEX idx_conv_id ON messages(conversation_id)")
        for conversation in ("a", None, "", b"blob", "z", b""):
            db.execute(
                "INSERT INTO messages (conversation_id, role, content) VALUES (?, 'u', 'x')",
                (conversation,),
            )
        db.commit()

    async def main() -> None:
        async with opened(path) as store:
            assert isinstance(store, SupportsDamage)
            assert await ids(store) == ["a", "z"]
            assert [i.id async for p in store.conversations(details=True) for i in p] == ["a", "z"]
            assert [(d.kind, d.position) for d in await store.damage()] == [
                (STRAY, "row 2"), (STRAY, "row 3"), (STRAY, "row 4"), (STRAY, "row 6"),
            ]  # fmt: skip

    run(main())


# --- files that are not what they should be ---


def test_a_file_that_is_not_there_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound):
        read(tmp_path / "none.db", "c")
    assert not (tmp_path / "none.db").exists()


def test_opening_for_writing_makes_no_file_until_something_is_written(tmp_path: Path) -> None:
    path = tmp_path / "new.db"

    async def main() -> None:
        async with opened(path, write=True) as store:
            assert await ids(store) == []
            assert await contents(store, "c") == []
            assert await store.delete("c") is False
            with pytest.raises(SynmemError):
                await add(store, "c", [Message("user", "\ud83d\ude00")])

    run(main())
    assert not path.exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound, match="folder"):
        write(tmp_path / "no" / "chat.db", "c", numbered(1))


@pytest.mark.parametrize("writing", [True, False])
def test_what_is_no_database_is_said_to_be_none(tmp_path: Path, writing: bool) -> None:
    text = tmp_path / "notes.db"
    text.write_text("dear diary, " * 100)
    folder = tmp_path / "folder.db"
    folder.mkdir()
    pipe = tmp_path / "pipe.db"
    os.mkfifo(pipe)
    for path in (text, folder, pipe):
        before = path.read_bytes() if path.is_file() else b""
        with pytest.raises(CorruptData, match=r"not an SQLite|folder|regular"):
            write(path, "c", numbered(1)) if writing else read(path, "c")
        assert not path.is_file() or path.read_bytes() == before


def test_a_database_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE messages (id TEXT, session_scope TEXT, role TEXT, content TEXT)")
        db.commit()
    before = path.read_bytes()
    for attempt in (lambda: read(path, "c"), lambda: write(path, "c", numbered(1))):
        with pytest.raises(CorruptData, match="layout"):
            attempt()
    assert path.read_bytes() == before


def test_an_unknown_layout_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "x.db", layout="nope"):
            pass

    with pytest.raises(Unsupported, match="nope"):
        run(main())


@pytest.mark.parametrize("layout", ["synapsekit", "synmem"])
def test_a_layout_that_is_named_is_the_one_that_is_made(tmp_path: Path, layout: str) -> None:
    path, theirs, other = tmp_path / "new.db", tmp_path / "theirs.db", tmp_path / "other.db"
    SQLiteConversationMemory(str(theirs)).close()
    with contextlib.closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE users (name TEXT)")
        db.commit()

    async def main() -> None:
        for made in (path, other):
            before = made.read_bytes() if made.exists() else None
            async with opened(made, write=True, layout=layout) as store:
                assert await ids(store) == []
                assert (made.read_bytes() if made.exists() else None) == before
                await add(store, "c", [FULL])
            async with opened(made) as store:
                assert await items(store, "c") == [FULL]
                assert store.holds.own is (layout == "synmem")

    run(main())
    mine, wanted = (
        rows(f, "SELECT name, sql FROM sqlite_schema ORDER BY name") for f in (path, theirs)
    )
    assert (mine == wanted) is (layout == "synapsekit")
    assert rows(path, "PRAGMA journal_mode") == [("delete" if layout == "synapsekit" else "wal",)]
    assert rows(other, "PRAGMA journal_mode") == [("delete",)]


def test_an_empty_file_is_an_empty_store_and_becomes_ours(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    path.touch()
    assert read(path, "c") == []
    write(path, "c", numbered(1))
    assert len(read(path, "c")) == 1


def test_a_locked_database_is_unavailable_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synmem.backends.sqlite.file.BUSY_TIMEOUT_S", 0.2)
    path = tmp_path / "chat.db"
    memory = SQLiteConversationMemory(str(path), conversation_id="c")
    memory.add("user", "x")
    memory.close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable, match="locked"):
            write(path, "c", numbered(1))
        with pytest.raises(StoreUnavailable, match="locked"):
            read(path, "c")
        db.execute("ROLLBACK")
    assert len(read(path, "c")) == 1


def test_a_reader_may_not_write(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    write(path, "c", numbered(1))

    async def main() -> None:
        async with opened(path) as store:
            for attempt in (
                add(store, "c", numbered(1)),
                store.delete("c"),
                store.replace(Conversation("c"), once([]), upto=""),
            ):
                with pytest.raises(Unsupported):
                    await attempt

    run(main())
    assert len(read(path, "c")) == 1


def test_a_full_disk_writes_nothing_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    write(path, "c", numbered(1))

    async def main() -> None:
        async with opened(path, write=True) as store:
            await store.place.file.execute("PRAGMA max_page_count=10")
            with pytest.raises(SynmemError, match="full"):
                await add(store, "c", [Message("user", "x" * 100_000)])
            assert await contents(store, "c") == ["message 0"]

    run(main())


# --- several processes ---


def append_many(path: str, name: str, count: int) -> None:
    async def main() -> None:
        async with opened(Path(path), write=True) as store:
            for n in range(count):
                await add(store, "c", [Message(name, str(n))])

    run(main())


@pytest.mark.parametrize("processes", [3, pytest.param(8, marks=pytest.mark.real)])
def test_processes_that_make_and_write_one_file_lose_nothing(
    tmp_path: Path, processes: int
) -> None:
    path = tmp_path / "chat.db"
    spawn = multiprocessing.get_context("spawn")
    writers = [
        spawn.Process(target=append_many, args=(str(path), f"w{n}", 25)) for n in range(processes)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    found = read(path, "c")
    assert len(found) == processes * 25
    for n in range(processes):
        assert [m.content for m in found if m.role == f"w{n}"] == [str(k) for k in range(25)]


def append_batches(path: str) -> None:
    async def main() -> None:
        async with opened(Path(path), write=True) as store:
            for n in range(10_000):
                await add(store, "c", [Message("user", f"{n} {k}") for k in range(20)])

    run(main())


def test_a_killed_writer_leaves_whole_calls(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    write(path, "c", [Message("user", "start")] * 20)
    spawn = multiprocessing.get_context("spawn")
    for delay in (0.5, 0.55, 0.6):
        writer = spawn.Process(target=append_batches, args=(str(path),))
        writer.start()
        writer.join(delay + 0.5)
        writer.kill()
        writer.join()
        count = len(read(path, "c"))
        assert count % 20 == 0
        write(path, "c", [Message("user", "again")] * 20)
        assert len(read(path, "c")) == count + 20


def test_the_newest_messages_cost_the_same_in_a_long_conversation(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    write(path, "long", numbered(20_000))

    async def main() -> int:
        async with opened(path) as store:
            steps = 0

            def count() -> int:
                nonlocal steps
                steps += 1
                return 0

            await store.place.file.connection.set_progress_handler(count, 10)
            assert len(await items(store, "long", reverse=True, limit=2)) == 2
            return steps

    assert run(main()) < 50


def test_a_position_of_a_deleted_message_is_never_given_again(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"

    async def main() -> None:
        async with opened(path, write=True) as store:
            end = await add(store, "c", numbered(1))
            await store.delete("c")
            await add(store, "c", numbered(1))
            with pytest.raises(Changed):
                await items(store, "c", after=end)

    run(main())


@pytest.mark.parametrize("count", [49, 50, 203])
def test_many_messages_of_both_kinds_keep_their_order(tmp_path: Path, count: int) -> None:
    """They go in several statements, and those with more than a content in others."""
    messages = [
        message if n % 3 else structs.replace(message, name=f"name {n}")
        for n, message in enumerate(numbered(count))
    ]

    async def main() -> None:
        async with opened(tmp_path / "chat.db", write=True) as store:
            assert await add(store, "c", messages) == str(count)
            assert await items(store, "c") == messages

    run(main())
    with contextlib.closing(sqlite3.connect(tmp_path / "chat.db")) as db:
        rows = db.execute("SELECT id, content, name FROM messages ORDER BY id").fetchall()
    assert rows == [(n, m.content, m.name) for n, m in enumerate(messages, 1)]


def test_only_our_own_files_keep_notes(tmp_path: Path) -> None:
    SQLiteConversationMemory(str(tmp_path / "theirs.db")).close()

    async def main() -> None:
        async with opened(tmp_path / "theirs.db", write=True) as store:
            assert not isinstance(store, SupportsNotes)
            assert store.holds.own is False
        async with opened(tmp_path / "ours.db", write=True) as store:
            assert isinstance(store, SupportsNotes)

    run(main())


@pytest.mark.parametrize(
    ("field", "value"),
    [("title", "no JSON"), ("title", "5"), ("title", b'"\xff"'), ("extra", "[]")],
)
def test_what_lies_beside_and_cannot_be_read_is_named(
    tmp_path: Path, field: str, value: str | bytes
) -> None:
    path = tmp_path / "chat.db"
    write(path, "c", numbered(1))
    with contextlib.closing(sqlite3.connect(path)) as db:
        for name, text in ((field, value), ("note:n", "no JSON")):
            db.execute("INSERT INTO messages_meta VALUES ('c', ?, CAST(? AS TEXT))", (name, text))
        db.commit()

    async def main() -> None:
        async with opened(path) as store:
            why = str((await details(store))["c"].unreadable)
            assert why.startswith(f"{field} is")
            assert "messages_meta" in why
            with pytest.raises(CorruptData, match="note:n is not JSON"):
                await store.note("c", "n")
            assert len(await contents(store, "c")) == 1

    run(main())


def test_a_file_without_permission_is_access_denied() -> None:
    with as_nobody() as folder:
        path = folder / "chat.db"
        write(path, "c", numbered(1))
        path.chmod(0)
        with pytest.raises(AccessDenied):
            read(path, "c")


def test_cleared_text_is_gone_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    secret = "a secret that must go " + TEXTS["emoji"]

    async def main() -> None:
        async with opened(path, write=True) as store:
            await add(store, "c", [Message("user", secret)])
            await add(store, "d", numbered(1))
        async with opened(path, write=True) as store:
            await store.delete("c")

    run(main())
    assert secret.encode() not in path.read_bytes()


def test_the_documented_store_type_is_a_store(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "x.db", write=True) as store:
            typed: Store = store
            assert typed.name.endswith("x.db")

    run(main())


def test_writers_in_one_process_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"

    async def main() -> None:
        async with opened(path, write=True) as one, opened(path, write=True) as two:
            await asyncio.gather(*(add(s, "c", numbered(1)) for s in [one, two] * 20))
            assert len(await items(one, "c")) == 40

    run(main())


def test_a_limit_on_the_size_of_files_is_said_to_be_one_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    resource = pytest.importorskip("resource")

    async def main() -> None:
        store = await open_sqlite({"db_path": str(tmp_path / "s.db")}, write=True)
        await add(store, "a", [Message("user", "1")])
        _, most = before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, most))
        try:
            with pytest.raises(
                SynmemError, match="cannot be written; nothing of this call"
            ) as said:
                await add(store, "a", [Message("user", "x" * 1_000_000)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert "ulimit -f" in (said.value.hint or "")
        assert await contents(store, "a") == ["1"]
        await store.close()

    asyncio.run(main())
