"""LlamaIndex's two tables in an SQLite file: the contract on both; rows that are odd; the real one."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from synmem.errors import Rejected, Unsupported
from synmem.layouts.foreign.llamaindex import SHAPES
from synmem.layouts.foreign.llamaindex_messages import json_of, message_of
from synmem.layouts.shapes import Rows
from synmem.messages import Message, Unreadable
from synmem.store import Part, Store
from tests.backends.llamaindex import WritingMemory
from tests.backends.sqlite.test_store import opened
from tests.conformance import Opener, add, contents, details, items, numbered, run
from tests.layouts.foreign.reading import ReadingLlamaIndex
from tests.layouts.foreign.test_llamaindex import json_values, said, text, theirs
from tests.services.llamaindex import LlamaIndex, llamaindex

CHAT_STORE = """CREATE TABLE data_chatstore (
    id INTEGER NOT NULL, "key" VARCHAR NOT NULL, value JSON NOT NULL, PRIMARY KEY (id))"""
MEMORY = """CREATE TABLE llama_index_memory (
    id INTEGER NOT NULL, "key" VARCHAR NOT NULL, timestamp BIGINT NOT NULL, role VARCHAR NOT NULL,
    status VARCHAR NOT NULL, data JSON NOT NULL, PRIMARY KEY (id))"""
NOW = 1795244941860404730
"""A time as LlamaIndex stores it: no whole microsecond."""
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
AT = datetime(2026, 11, 21, 7, 9, 1, 860404, UTC)


def query(path: Path, sql: str, *values: Any) -> list[Any]:
    """Ask the file, as somebody else."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        found = db.execute(sql, values).fetchall()
        db.commit()
    return found


def remember(path: Path, key: str, message: Message, at: int, status: str = "active") -> None:
    """Put a row into LlamaIndex's memory."""
    query(
        path,
        'INSERT INTO llama_index_memory ("key", timestamp, role, status, data) VALUES (?, ?, ?, ?, ?)',
        key, at, message.role.encode(errors="replace").decode(), status, json.dumps(json_of(message)),
    )  # fmt: skip


class TestChatStore(ReadingLlamaIndex):
    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        path = tmp_path / "chatstore.db"
        query(path, CHAT_STORE)
        for part in parts:
            for message in part.messages:
                insert = 'INSERT INTO data_chatstore ("key", value) VALUES (?, ?)'
                query(path, insert, part.conversation.id, json.dumps(json_of(message)))
        async with opened(path) as store:
            yield store


class TestMemory(ReadingLlamaIndex):
    at = AT

    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        """With rows that do not lie in the order of their times, of which several are the same."""
        path = tmp_path / "memory.db"
        query(path, MEMORY)
        for part in reversed(parts):
            rows = [
                ((m.created_at - EPOCH) // MICROSECOND * 1000 if m.created_at else (NOW // 1000 + n // 2) * 1000, m)
                for n, m in enumerate(part.messages)
            ]  # fmt: skip
            for at, message in sorted(rows, key=lambda row: row[0] // 1000 % 3):
                remember(path, part.conversation.id, message, at)
        async with opened(path) as store:
            yield store


class TestMemoryWritten(WritingMemory):
    backend = "sqlite"

    def stores(self, tmp_path: Any) -> Opener:
        return lambda: opened(tmp_path / "memory.db", write=True, layout="llamaindex")


def test_what_says_no_time_stands_before_what_comes_in_the_next_call_with_a_past_one(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with opened(tmp_path / "memory.db", write=True, layout="llamaindex") as store:
            for minute in range(3):
                at = AT + timedelta(minutes=minute)
                await add(store, "a", [Message("user", "x", created_at=at), Message("user", "y")])
            assert await contents(store, "a") == ["x", "y"] * 3

    run(main())


def test_rows_are_ordered_by_time_and_then_by_number_and_archived_ones_say_so(
    tmp_path: Path,
) -> None:
    path = tmp_path / "memory.db"
    query(path, MEMORY)
    for n, (at, status) in enumerate([(NOW + 1, "active"), (NOW, "archived"), (NOW + 1, "active"), (NOW // 1000 * 1000, "active")]):  # fmt: skip
        remember(path, "a", Message("user", str(n)), at, status)
    query(path, "UPDATE llama_index_memory SET role = 'assistant' WHERE id = 3")

    async def main() -> None:
        async with opened(path) as store:
            assert await items(store, "a") == [
                Message("user", "3", created_at=AT),
                Message("user", "1", created_at=AT, extra={"llamaindex": {"row": {"timestamp": NOW, "status": "archived"}}}),
                Message("user", "0", created_at=AT, extra={"llamaindex": {"row": {"timestamp": NOW + 1}}}),
                Message("user", "2", created_at=AT, extra={"llamaindex": {"row": {"timestamp": NOW + 1, "role": "assistant"}}}),
            ]  # fmt: skip
            info = (await details(store))["a"]
            assert (info.messages, info.first_at, info.last_at) == (4, AT, AT)
            assert "SQLAlchemyChatStore" in store.remark()

    run(main())


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("data", "{oops", "not JSON"), ("data", "5", "no text"), ("data", "[]", "not an object"),
        ("data", "null", "not an object"), ("data", b"{}", "no role"), ("data", '{"role": "user", "blocks": 5}', "not a list"),
        ("data", '{"role": "user", "blocks": [], "row": 1}', "'row'"), ("timestamp", "soon", "timestamp"), ("timestamp", 1.5, "timestamp"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_read_stands_in_its_place(tmp_path: Path, column: str, value: Any, why: str) -> None:  # fmt: skip
    path = tmp_path / "memory.db"
    query(path, MEMORY)
    for n in range(5):
        remember(path, "a", Message("user", f"message {n}"), NOW + n)
    query(path, f"UPDATE llama_index_memory SET {column} = ? WHERE id = 3", value)

    async def main() -> None:
        async with opened(path) as store:
            found = await items(store, "a")
            [odd] = [each for each in found if isinstance(each, Unreadable)]
            assert why in odd.reason
            left = [each.content for each in found if isinstance(each, Message)]
            assert left == [f"message {n}" for n in (0, 1, 3, 4)]

    run(main())


@pytest.mark.parametrize("at", ["x", b"a", 1e300, 2**63 - 1])
def test_where_no_timestamp_comes_behind_the_last_one_nothing_is_written(tmp_path: Path, at: Any) -> None:  # fmt: skip
    path = tmp_path / "memory.db"
    query(path, MEMORY)
    for n in range(2):
        remember(path, "a", Message("user", str(n)), NOW + n)
    query(path, "UPDATE llama_index_memory SET timestamp = ? WHERE id = 2", at)
    before = query(path, "SELECT * FROM llama_index_memory")

    async def main() -> None:
        async with opened(path, layout="llamaindex", write=True) as store:
            with pytest.raises(Rejected, match=r"'a', message 1: .*timestamp"):
                await add(store, "a", numbered(1))
            await add(store, "b", numbered(1))

    run(main())
    assert query(path, "SELECT * FROM llama_index_memory WHERE \"key\" = 'a'") == before


def test_a_table_of_that_shape_with_other_things_in_it_is_not_taken_for_one(tmp_path: Path) -> None:
    path = tmp_path / "kv.db"
    query(path, CHAT_STORE)
    query(path, """INSERT INTO data_chatstore ("key", value) VALUES ('a', '{"role": 5}')""")

    async def main() -> None:
        async with opened(path):
            pass

    with pytest.raises(Exception, match="data_chatstore"):
        run(main())


def test_a_chat_store_is_not_written_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "chatstore.db"
    query(path, CHAT_STORE)

    async def main() -> None:
        async with opened(path, layout="llamaindex", table="data_chatstore", write=True) as store:
            with pytest.raises(Unsupported, match="only be read"):
                await add(store, "a", numbered(1))

    run(main())


def _shape(name: str) -> Rows:
    [shape] = [shape for shape in SHAPES["sqlite"] if shape.table == name]
    return shape


values = json_values | theirs.map(json.dumps) | json_values.map(json.dumps)


@given(some.tuples(some.integers(), some.text(), some.text(), theirs.map(json.dumps)) | some.tuples(*[values] * 4))  # fmt: skip
def test_whatever_a_row_has_it_is_a_message_or_says_why_not(row: Any) -> None:
    for name, record in (("data_chatstore", row[-1:]), ("llama_index_memory", row)):
        shape = _shape(name)
        assert shape.tells is None or shape.tells(record) in (True, False)
        with contextlib.suppress(ValueError, OverflowError):
            [message] = shape.unfold(record)
            assert isinstance(message, Message)


# --- the real one ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Iterator[LlamaIndex]:
    with llamaindex("sqlite") as running:
        yield running


TALK = [
    said("system"), said("user", text("a"), text("b")), said("assistant", tool_calls=[]),
    said("tool", name="f", tool_call_id="c"), said("model"), said("user", text("")),
]  # fmt: skip


@pytest.mark.real
@pytest.mark.parametrize("kind", ["sqlite", "sqlalchemy"])
def test_what_the_real_one_writes_is_read(tmp_path: Path, real: LlamaIndex, kind: str) -> None:
    path = tmp_path / "chat.db"
    where: dict[str, Any] = {"kind": kind, "table_name": "mine"}
    if kind == "sqlite":
        where["uri"] = f"sqlite:///{path}"
        methods = ("set_messages", "add_message")
    else:
        where["async_database_uri"] = f"sqlite+aiosqlite:///{path}"
        methods = ("add_messages", "add_message")
    real.ask("call", method=methods[0], given={"key": "a/ü", "messages": TALK}, **where)
    for message in TALK:
        real.ask("call", method=methods[1], given={"key": "b", "message": message}, **where)

    async def main() -> None:
        async with opened(path) as store:
            for key in ("a/ü", "b"):
                found = await items(store, key)
                ours = [message_of(each) for each in TALK]
                assert [each.content for each in found] == [each.content for each in ours]
                assert [json_of(_bare(each)) for each in found] == TALK
            assert (await details(store)).keys() == {"a/ü", "b"}

    run(main())


def _bare(message: Message) -> Message:
    """The message without what its row has beside."""
    own = {k: v for k, v in (message.extra or {}).get("llamaindex", {}).items() if k != "row"}
    return Message(
        message.role, message.content, None, None, message.tool_calls, message.tool_call_id,
        message.name, message.parts, {"llamaindex": own},
    )  # fmt: skip


@pytest.mark.real
def test_a_live_program_never_fails_beside_a_reader(tmp_path: Path, real: LlamaIndex) -> None:
    path = tmp_path / "chat.db"
    where = {"kind": "sqlalchemy", "table_name": "mine", "async_database_uri": f"sqlite+aiosqlite:///{path}?timeout=1"}  # fmt: skip
    real.ask("call", method="add_messages", given={"key": "a", "messages": TALK * 50}, **where)

    async def main() -> Any:
        async with opened(path) as store:
            living = asyncio.create_task(asyncio.to_thread(real.ask, "live", seconds=3, key="a", **where))  # fmt: skip
            while not living.done():
                assert len(await contents(store, "a")) >= 300
            return await living

    answer = run(main())
    assert answer["errors"] == []
    assert answer["count"] > 0
