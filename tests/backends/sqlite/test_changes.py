"""Telling whether a file, and the rows of a conversation, are what they were."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from synmem.backends import open_store
from synmem.backends.sqlite import changes as sqlite_changes
from synmem.messages import Conversation, Message
from synmem.operations.searching.search import Found, search
from synmem.store import Part, SupportsChanges
from tests.cli.moved import make


async def _version(path: Path) -> str | None:
    async with open_store("sqlite", {"db_path": str(path)}) as store:
        assert isinstance(store, SupportsChanges)
        return await store.version()


def version(path: Path) -> str | None:
    return asyncio.run(_version(path))


def test_no_version_is_told_of_a_file_that_was_written_just_now(tmp_path: Path) -> None:
    assert version(make(tmp_path / "chat.db", {"a": ["x"]})) is None


def test_every_write_makes_another_version_and_reading_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_changes, "_SETTLED_S", 0)
    path = make(tmp_path / "chat.db", {"a": ["x"]})
    seen = {version(path)}
    assert None not in seen
    assert {version(path)} == seen
    (tmp_path / "link.db").symlink_to(path)
    assert {version(tmp_path / "link.db")} == seen
    db = sqlite3.connect(path, isolation_level=None)
    for text in ("y", "z"):
        db.execute("UPDATE messages SET content = ?", (text,))
        seen.add(version(path))  # the write is in the WAL only
    db.close()
    assert len(seen) == 3


def test_a_file_that_is_as_it_was_is_not_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_changes, "_SETTLED_S", 0)
    path = make(tmp_path / "chat.db", {"a": ["redis"] * 3, "b": ["nothing"]})
    calls = []
    prints = sqlite_changes.prints_of

    async def counted(*given: object) -> dict[str, str]:
        calls.append(given)
        return await prints(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("synmem.backends.sqlite.store.prints_of", counted)

    async def main(text: str) -> Found:
        async with open_store("sqlite", {"db_path": str(path)}) as store:
            return await search(store, text, index=tmp_path / "i.db", large=0)

    assert len(asyncio.run(main("redis")).hits) == 3
    assert any(upto for *_, upto in calls)
    calls.clear()
    found = asyncio.run(main("redis"))
    assert found.indexed
    assert len(found.hits) == 3
    assert not any(upto for *_, upto in calls)  # of nothing is asked: can it tell?


@pytest.mark.parametrize("column", ["role", "content", "metadata", "created_at"])
def test_a_change_in_any_column_changes_the_fingerprint(tmp_path: Path, column: str) -> None:
    path = make(tmp_path / "chat.db", {"a": ["x", "y", "z"], "b": ["x"]})

    async def prints(upto: dict[str, str]) -> dict[str, str]:
        async with open_store("sqlite", {"db_path": str(path)}) as store:
            assert isinstance(store, SupportsChanges)
            return await store.fingerprints(upto) or {}

    before = asyncio.run(prints({"a": "2", "b": "4", "gone": "7"}))
    assert set(before) == {"a", "b"}
    with sqlite3.connect(path) as db:
        db.execute(f"UPDATE messages SET {column} = CAST(x'ff' AS TEXT) WHERE id IN (2, 3)")
    db.close()
    after = asyncio.run(prints({"a": "2", "b": "4"}))
    assert after["a"] != before["a"]
    assert after["b"] == before["b"]
    assert asyncio.run(prints({"a": "1"})) != asyncio.run(prints({"a": "2"}))


def test_of_several_conversations_more_than_a_query_takes(tmp_path: Path) -> None:
    path = make(tmp_path / "chat.db", {f"c{i}": ["x"] for i in range(900)})

    async def main() -> int:
        async with open_store("sqlite", {"db_path": str(path)}) as store:
            assert isinstance(store, SupportsChanges)
            upto = {f"c{i}": "900" for i in range(900)}
            return len(await store.fingerprints(upto) or {})

    assert asyncio.run(main()) == 900


def test_messages_that_are_written_for_the_index_are_no_change(tmp_path: Path) -> None:
    """Of an index that was made while more came only what came is taken in."""
    path = make(tmp_path / "chat.db", {"a": ["redis"] * 5})

    async def main() -> list[bool]:
        async with open_store("sqlite", {"db_path": str(path)}, write=True) as store:
            told = []
            for _ in range(3):
                found = await search(store, "redis", index=tmp_path / "i.db", large=0, k=99)
                told.append(found.indexed and len(found.hits) >= 5)
                await store.append([Part(Conversation("a"), [Message("user", "redis")])])
            return told

    assert asyncio.run(main()) == [True] * 3
