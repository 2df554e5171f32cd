"""Threads that the real Chainlit wrote, with both of its data layers, on PostgreSQL and SQLite."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

import synmem
from synmem.messages import Message
from tests.conformance import run
from tests.services import Server, unique
from tests.services.chainlit import PRISMA, SQLALCHEMY, chainlit
from tests.services.framework import Framework

pytestmark = pytest.mark.real

THREAD = "6ccb94f7-9337-4da9-9fdc-e0a0e86f897a"
IDS = [f"e29a26d2-7fab-4c95-8545-d9db1965a59{n}" for n in range(6)]
TEXT = "line1\r\nГрüße 👋🏽 \u2028 'x' \\n"
STEPS = [
    ("user_message", TEXT, ""),
    ("run", "", TEXT),
    ("assistant_message", "Let me check.", ""),
    ("tool", '{"temp": 21}', '{"city": "Zürich"}'),
    ("assistant_message", "It is 21 °C.", ""),
    ("system_message", "bye", ""),
]


@pytest.fixture(scope="module")
def real() -> Iterator[Framework]:
    with chainlit() as running:
        yield running


@contextlib.asynccontextmanager
async def database(server: Server, ddl: str) -> AsyncIterator[str]:
    """The URL of a database of its own with these tables."""
    name = unique()
    connection = await asyncpg.connect(server.url)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
        url = urlsplit(server.url)._replace(path=f"/{name}").geturl()
        made = await asyncpg.connect(url)
        await made.execute(ddl)
        await made.close()
        yield url
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await connection.close()


def steps() -> list[dict[str, Any]]:
    return [
        {
            "id": id_, "name": "f" if kind == "tool" else "n", "type": kind, "output": output,
            "input": input_, "createdAt": f"2026-09-21T14:13:2{n}.500000Z", "streaming": False,
            "metadata": {"k": n}, "start": f"2026-09-21T14:13:2{n}.500000Z",
            "parentId": IDS[1] if n > 1 else None,
        }
        for n, (id_, (kind, output, input_)) in enumerate(zip(IDS, STEPS, strict=True))
    ]  # fmt: skip


async def check(address: str, theirs: list[Any]) -> None:
    """That it is read as it was written, in the order of Chainlit itself."""
    async with synmem.open_store(address) as store:
        (info,) = [info async for page in store.conversations(details=True) for info in page]
        assert (info.id, info.title) == (THREAD, "A title")
        assert (info.extra or {})["chainlit"]["metadata"] == {"chat_profile": "x"}
        found: list[Any] = [each async for page in store.read([THREAD]) for each in page.items]
    at = [datetime(2026, 9, 21, 14, 13, second, 500_000, tzinfo=UTC) for second in range(20, 26)]
    assert [each.created_at for each in found] == [at[0], at[2], at[3], at[3], at[4], at[5]]
    call = {"id": IDS[3], "name": "f", "arguments": {"city": "Zürich"}}
    assert [(m.role, m.content, m.tool_calls, m.tool_call_id) for m in found] == [
        ("user", TEXT, None, None),
        ("assistant", "Let me check.", None, None),
        ("assistant", "", [call], None),
        ("tool", '{"temp": 21}', None, IDS[3]),
        ("assistant", "It is 21 °C.", None, None),
        ("system", "bye", None, None),
    ]
    assert all(isinstance(each, Message) for each in found)
    own = found[1].extra["chainlit"]
    assert own["metadata"] == {"k": 2}
    assert own["feedback"][0]["comment"] == "good"
    order = [id_ for id_, kind, _, _ in theirs if kind != "run"]
    assert order == [each.extra["chainlit"]["id"] for each in found if each.role != "tool"]


@pytest.mark.parametrize("kind", ["sqlalchemy", "official"])
def test_threads_on_postgres_are_read_as_they_were_written(
    kind: str, real: Framework, postgres_server: Server
) -> None:
    types = {"uuid": "UUID", "jsonb": "JSONB", "tags": "TEXT[]"}
    ddl = SQLALCHEMY.format(**types) if kind == "sqlalchemy" else PRISMA

    async def main() -> None:
        async with database(postgres_server, ddl) as url:
            theirs = url.replace("postgresql://", "postgresql+asyncpg://")
            where = {"kind": kind, "url": theirs if kind == "sqlalchemy" else url}
            real.ask("write", thread=THREAD, name="A title", steps=steps(), rated=IDS[2], **where)
            await check(theirs, real.ask("read", thread=THREAD, **where))

    run(main())


def test_threads_in_a_file_are_read_as_they_were_written(real: Framework, tmp_path: Path) -> None:
    path = tmp_path / "chainlit.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(SQLALCHEMY.format(uuid="TEXT", jsonb="JSON", tags="JSON"))
    address = f"sqlite+aiosqlite:///{path}"
    given = steps()
    real.ask(
        "write", kind="sqlalchemy", url=address, thread=THREAD, name="A title", steps=given,
        rated=IDS[2],
    )  # fmt: skip
    theirs = real.ask("read", kind="sqlalchemy", url=address, thread=THREAD)
    run(check(address, theirs))
