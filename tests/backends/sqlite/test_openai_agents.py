"""OpenAI Agents' tables in SQLite: the contract on each kind of session; broken rows."""

import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from synmem.errors import Rejected, Unsupported
from synmem.layouts.foreign.openai_agents import SHAPES
from synmem.layouts.foreign.openai_agents_items import json_of
from synmem.layouts.shapes import Whole
from synmem.messages import Message, Unreadable
from synmem.store import Part, Store
from tests.backends.openai_agents import ReadingItems, WritingItems
from tests.backends.sqlite.test_store import opened
from tests.conformance import Opener, add, contents, ids, items, numbered, run
from tests.layouts.foreign.test_openai_agents_items import json_values, theirs

NOW = "2026-11-21 07:08:56"

ROWS = (
    "CREATE TABLE agent_sessions (session_id TEXT PRIMARY KEY, created_at TIMESTAMP, updated_at TIMESTAMP)",
    "CREATE TABLE agent_messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, "
    "message_data TEXT NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)",
)  # fmt: skip
STRUCTURE = (
    "CREATE TABLE message_structure (id INTEGER PRIMARY KEY, session_id TEXT, message_id INTEGER, "
    "branch_id TEXT NOT NULL DEFAULT 'main', message_type TEXT, sequence_number INTEGER NOT NULL)"
)


def advanced(path: Path, branches: Mapping[tuple[str, str], Sequence[Message | str]]) -> Path:
    """A file with these messages, or texts of items, by session and branch; what is of the branch
    "" has no place in any."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        for statement in (*ROWS, STRUCTURE):
            db.execute(statement)
        for (name, branch), said in branches.items():
            # Backwards: it is their numbers in the branch that place them.
            for place, each in [*enumerate(said)][:: -1 if branch else 1]:
                number = _insert(db, name, each)
                if branch:
                    sql = "INSERT INTO message_structure (session_id, message_id, branch_id, sequence_number) VALUES (?, ?, ?, ?)"  # fmt: skip
                    db.execute(sql, (name, number, branch, place))
        db.commit()
    return path


def _insert(db: sqlite3.Connection, session: str, said: Message | str) -> int | None:
    text = said if isinstance(said, str) else json.dumps(json_of(said))
    at = NOW
    if isinstance(said, Message) and said.created_at:
        at = said.created_at.isoformat(" ")[:19]
    sql = "INSERT INTO agent_messages (session_id, message_data, created_at) VALUES (?, ?, ?)"
    return db.execute(sql, (session, text, at)).lastrowid


class TestSQLiteSession(WritingItems):
    timed = True

    def stores(self, tmp_path: Any) -> Opener:
        return lambda: opened(tmp_path / "sessions.db", write=True, layout="openai_agents")


ALCHEMY = (
    "CREATE TABLE IF NOT EXISTS agent_sessions (\n\tsession_id VARCHAR NOT NULL, \n\t"
    "created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL, \n\t"
    "updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL, \n\tPRIMARY KEY (session_id)\n)",
    "CREATE TABLE IF NOT EXISTS agent_messages (\n\tid INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, \n\t"
    "session_id VARCHAR NOT NULL, \n\tmessage_data TEXT NOT NULL, \n\t"
    "created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL, \n\t"
    "FOREIGN KEY(session_id) REFERENCES agent_sessions (session_id) ON DELETE CASCADE\n)",
    "CREATE INDEX IF NOT EXISTS idx_agent_messages_session_time ON agent_messages (session_id, created_at)",
)  # fmt: skip


def alchemy(path: Path) -> Path:
    """A file with the tables of SQLAlchemySession."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        for statement in ALCHEMY:
            db.execute(statement)
    return path


class TestSQLAlchemySession(WritingItems):
    timed = stamped = True

    def stores(self, tmp_path: Any) -> Opener:
        path = alchemy(tmp_path / "sessions.db")
        return lambda: opened(path, write=True, layout="openai_agents")


class TestAdvanced(ReadingItems):
    timed = stamped = True

    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        told = {(part.conversation.id, "main"): [*part.messages] for part in parts}
        async with opened(advanced(tmp_path / "advanced.db", told)) as store:
            yield store


@pytest.mark.parametrize(("at", "fits"), [(b"2026", False), (b"\xff", False), (12345, True)])
def test_what_would_come_before_the_last_row_is_not_written(
    tmp_path: Path, at: Any, fits: bool
) -> None:
    """To SQLite a number comes before each text, and a BLOB behind."""
    path = alchemy(tmp_path / "sessions.db")

    async def main() -> None:
        async with opened(path, layout="openai_agents", write=True) as store:
            await add(store, "a", numbered(2))
            with contextlib.closing(sqlite3.connect(path)) as db:
                db.execute("UPDATE agent_messages SET created_at = ? WHERE id = 2", (at,))
                db.commit()
            if fits:
                await add(store, "a", numbered(1, 2))
            else:
                with pytest.raises(Rejected, match=r"'a', message 1: .* is a BLOB"):
                    await add(store, "a", numbered(1, 2))
            await add(store, "b", numbered(1))
        with contextlib.closing(sqlite3.connect(path)) as db:
            order = "SELECT id FROM agent_messages WHERE session_id = 'a' ORDER BY created_at, id"
            found = [row[0] for row in db.execute(order)]
            assert found == ([2, 1, 3] if fits else [1, 2])

    run(main())


def test_branches_are_apart_and_a_session_of_a_plain_program_is_whole(tmp_path: Path) -> None:
    path = advanced(
        tmp_path / "advanced.db",
        {
            ("a", "main"): numbered(3),
            ("a", "other"): [*numbered(1), "oops", *numbered(1, 7)],
            ("a", ""): [Message("user", "without a place")],
            ("b", "late"): numbered(1),
            ("b", "later"): numbered(2),
            ("plain", ""): numbered(2),
        },
    )

    async def main() -> None:
        async with opened(path) as store:
            assert store.remark().endswith("(AdvancedSQLiteSession), table message_structure")
            assert await ids(store) == ["a", "b", "plain"]
            assert await contents(store, "a") == ["message 0", "message 1", "message 2"]
            assert await contents(store, "b") == ["message 0", "message 1"]
            assert await contents(store, "plain") == ["message 0", "message 1"]
            assert store.passed_over() == 2
            (stray,) = await store.strays()
            assert stray.position == "rows of session a"
            assert stray.reason == "they have no place in a branch, where others have one (1 such)"
        async with opened(path, branches=True) as store:
            assert await ids(store) == ["a", "a#other", "b", "b#late", "plain"]
            found = await items(store, "a#other")
            assert [type(each) for each in found] == [Message, Unreadable, Message]
            assert found[1].text == "oops"
            assert found[1].reason.startswith("row 5: its item is not JSON")

    run(main())


def test_a_file_with_branches_is_not_written(tmp_path: Path) -> None:
    """A row without a place in a branch would be seen by nobody."""
    path = advanced(tmp_path / "advanced.db", {("a", "main"): numbered(1)})

    async def main() -> None:
        async with opened(path, layout="openai_agents", write=True) as store:
            with pytest.raises(Unsupported, match="AdvancedSQLiteSession"):
                await add(store, "a", numbered(1))
            with pytest.raises(Unsupported):
                await store.delete("a")

    run(main())


def test_the_table_of_the_items_may_have_any_name(tmp_path: Path) -> None:
    path = advanced(tmp_path / "advanced.db", {("a", "main"): numbered(2)})
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute('ALTER TABLE agent_messages RENAME TO "the ""items"""')

    async def main() -> None:
        async with opened(path) as store:
            assert await contents(store, "a") == ["message 0", "message 1"]
            assert await store.strays() == []

    run(main())


@given(some.lists(some.tuples(json_values, json_values | theirs.map(json.dumps), json_values)))
def test_whatever_lies_in_a_branch_is_a_message_or_named(rows: list[Any]) -> None:
    shape = SHAPES["sqlite"][2]
    assert isinstance(shape, Whole)
    placed = [(branch, n, text, at) for n, (branch, text, at) in enumerate(rows)]
    told = shape.unfold("a", {"placed": placed, "plain": placed})
    found = [*told.messages, *(said for branch in told.branches.values() for said in branch)]
    assert len(found) == len(rows)
