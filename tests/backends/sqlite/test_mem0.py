"""mem0's messages in SQLite: the contract; the order of a batch; broken rows."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from synmem.errors import Unsupported
from synmem.layouts.foreign.mem0 import SHAPES
from synmem.messages import Conversation, Message, Unreadable
from synmem.store import Part, Store
from tests.backends.sqlite.test_store import opened
from tests.conformance import AT, TEXTS, Reading, add, contents, details, items, numbered, run
from tests.layouts.foreign.test_openai_agents_items import json_values
from tests.services import framework

MEM0 = (
    "CREATE TABLE history (id TEXT PRIMARY KEY)",
    "CREATE TABLE messages (id TEXT PRIMARY KEY, session_scope TEXT, role TEXT, content TEXT, "
    "name TEXT, created_at DATETIME)",
)


def mem0(path: Path, parts: Sequence[Part]) -> Path:
    """A file with these conversations, those of equal time in the order of their rows."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        for statement in MEM0:
            db.execute(statement)
        for part in parts:
            for n, m in enumerate(part.messages):
                at = (m.created_at or AT).isoformat()
                row = (f"{part.conversation.id} {999 - n}", part.conversation.id, m.role, m.content, m.name, at)  # fmt: skip
                db.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", row)
        db.commit()
    return path


def without_id(message: Message) -> Message:
    """The message, whose id is mem0's own."""
    assert message.extra is not None
    assert message.extra["mem0"].keys() == {"id"}
    return Message(message.role, message.content, None, message.created_at, name=message.name)


class TestMem0(Reading):
    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        async with opened(mem0(tmp_path / "history.db", parts)) as store:
            yield store

    def conversation_fields(self) -> frozenset[str]:
        return frozenset()

    @pytest.mark.parametrize("name", [name for name in TEXTS if "surrogate" not in name])
    def test_text_survives(self, tmp_path: Any, name: str) -> None:
        message = Message("user", TEXTS[name], created_at=AT, name=TEXTS[name][:50])

        async def test(store: Store) -> None:
            assert [without_id(each) for each in await items(store, "a")] == [message]

        self.check(tmp_path, [Part(Conversation("a"), [message])], test)

    def test_metadata_survives_exactly(self, tmp_path: Any) -> None:
        pytest.skip("mem0's messages have no metadata")

    def test_every_field_survives(self, tmp_path: Any) -> None:
        messages = [
            Message("Human", "roles are not touched", created_at=AT.replace(microsecond=0)),
            Message("tool", "", created_at=AT, name=""),
        ]

        async def test(store: Store) -> None:
            found = await items(store, "a")
            assert [without_id(each) for each in found] == messages
            assert found[0].extra == {"mem0": {"id": "a 999"}}

        self.check(tmp_path, [Part(Conversation("a"), messages)], test)

    def test_details_of_conversations(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            found = await details(store)
            assert {i: info.messages for i, info in found.items()} == {"a": 3, "b": 5}
            assert {(info.first_at, info.last_at) for info in found.values()} == {(AT, AT)}

        parts = [Part(Conversation(i), numbered(count)) for i, count in (("a", 3), ("b", 5))]
        self.check(tmp_path, parts, test)


def test_time_orders_before_the_row_and_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = mem0(tmp_path / "history.db", [Part(Conversation("a"), numbered(3))])
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO messages VALUES ('x', 'a', 'user', 'first', NULL, '2020-01-01T00:00:00+00:00')")  # fmt: skip
        db.execute("UPDATE messages SET content = x'00' WHERE content = 'message 1'")
        db.commit()

    async def main() -> None:
        async with opened(path) as store:
            found = await items(store, "a")
            assert [type(each) for each in found] == [Message, Message, Unreadable, Message]
            assert found[0].content == "first"
            assert found[2].reason == "row 2: its content is no text"

    run(main())


def test_a_message_without_content_says_nothing() -> None:
    (message,) = SHAPES["sqlite"][0].unfold(("1", "assistant", None, None, None))
    assert message == Message("assistant", "", extra={"mem0": {"id": "1", "content": None}})


def test_it_is_only_read(tmp_path: Path) -> None:
    path = mem0(tmp_path / "history.db", [Part(Conversation("a"), numbered(1))])

    async def main() -> None:
        async with opened(path, layout="mem0", write=True) as store:
            with pytest.raises(Unsupported, match="only be read"):
                await add(store, "a", numbered(1))
            assert await contents(store, "a") == ["message 0"]

    run(main())


@given(some.tuples(*[json_values] * 5))
def test_whatever_lies_in_a_row_is_a_message_or_a_reason(record: tuple[Any, ...]) -> None:
    with contextlib.suppress(ValueError):
        (message,) = SHAPES["sqlite"][0].unfold(record)
        assert (message.role, message.content) == (record[1], record[2] or "")


@pytest.mark.real
def test_what_the_real_one_saves_is_read_as_it_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    batches = [
        [{"role": "user", "content": f"{n}"} for n in range(4)],
        [{"role": "assistant", "content": None}, {"role": "tool", "content": "ü", "name": "f"}],
    ]

    async def messages() -> list[Any]:
        async with opened(path) as store:
            return await items(store, "user_id=a&run_id=1")

    with framework.running(("mem0ai==2.2.1",), "mem0_program.py") as real:
        for batch in batches:
            real.ask("add", path=str(path), scope="user_id=a&run_id=1", messages=batch)
        theirs = real.ask("read", path=str(path), scope="user_id=a&run_id=1")
    ours = asyncio.run(messages())
    assert len(theirs) == 6
    for message, said in zip(ours, theirs, strict=True):
        assert (message.role, message.name) == (said["role"], said["name"])
        assert message.content == (said["content"] or "")
        assert message.created_at == datetime.fromisoformat(said["created_at"])
