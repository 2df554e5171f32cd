"""What the real OpenAI Agents and LlamaIndex read and write in their tables on PostgreSQL."""

from collections.abc import Iterator
from typing import Any

import pytest

from synmem.messages import Message
from synmem.store import Store
from tests.backends.postgres.test_foreign_odd import Base, base
from tests.backends.sqlite.test_llamaindex import TALK as LLAMA
from tests.cli.moved import run as cli
from tests.cli.test_langchain import done
from tests.conformance import add, items, run
from tests.services.framework import Framework
from tests.services.llamaindex import llamaindex
from tests.services.openai_agents import agents

pytestmark = pytest.mark.real
__all__ = ["base"]  # a fixture

TALK = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "Grüße 👋🏽 \0 \u2028"},
    {"id": "m", "type": "message", "role": "assistant", "status": "completed",
     "content": [{"type": "output_text", "text": "hm", "annotations": []}]},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{\"a\":1}", "id": "fc", "status": "completed"},
    {"type": "function_call_output", "call_id": "c", "output": "x"},
]  # fmt: skip


@pytest.fixture(scope="module")
def real_agents() -> Iterator[Framework]:
    with agents() as running:
        yield running


@pytest.fixture(scope="module")
def real_llamas() -> Iterator[Framework]:
    with llamaindex("postgres") as running:
        yield running


def test_openai_agents_reads_the_same_after_every_step(
    base: Base, real_agents: Framework, tmp_path: Any
) -> None:
    place = base.url.replace("postgresql://", "postgresql+asyncpg://")
    where = {"kind": "sqlalchemy", "place": place, "name": "a/ü"}
    named, own = f"{base.url}?layout=openai_agents", tmp_path / "own.db"
    for item in TALK:
        real_agents.ask("add", items=[item], **where)
    assert done("ls", "-p", base.url) == "a/ü\n"
    done("migrate", base.url, own)
    done("clear", "a/ü", "--yes", "-p", named)
    assert real_agents.ask("read", **where) == []
    assert base.run("SELECT count(*) FROM agent_sessions") == [(0,)]
    done("migrate", own, named)
    assert real_agents.ask("read", **where) == TALK
    assert base.run("SELECT session_id FROM agent_sessions") == [("a/ü",)]
    done("clear", "a/ü", "--keep-last", "2", "--yes", "-p", named)
    assert real_agents.ask("read", **where) == TALK[-2:]
    done("undo", "-p", named)
    assert real_agents.ask("read", **where) == TALK
    done("add", "a/ü", "ours", "-p", named)
    real_agents.ask("add", items=TALK[:1], **where)
    last = {"role": "user", "content": "ours"}
    assert real_agents.ask("read", **where) == [*TALK, last, TALK[0]]


def test_openai_agents_goes_on_where_we_made_the_tables(base: Base, real_agents: Framework) -> None:
    done("add", "a", "hello", "-p", f"{base.url}?layout=openai_agents")
    place = base.url.replace("postgresql://", "postgresql+asyncpg://")
    where = {"kind": "sqlalchemy", "place": place, "name": "a"}
    real_agents.ask("add", items=TALK[:1], **where)
    assert [each["content"] for each in real_agents.ask("read", **where)] == ["hello", "be brief"]


def test_in_another_time_zone_no_place_can_be_said(base: Base) -> None:
    done("add", "a", "hello", "-p", f"{base.url}?layout=openai_agents")
    name = base.url.rpartition("/")[2]
    base.run(f"ALTER DATABASE {name} SET timezone TO 'America/New_York'", "SELECT")
    result = cli("add", "a", "x", "-p", f"{base.url}?layout=openai_agents")
    assert result.exit_code == 1
    assert "not UTC" in result.stderr
    assert done("show", "a", "-p", base.url)


def test_llamaindex_reads_the_same_after_every_step(
    base: Base, real_llamas: Framework, tmp_path: Any
) -> None:
    place = base.url.replace("postgresql://", "postgresql+asyncpg://")
    where = {"kind": "sqlalchemy", "table_name": "mine", "async_database_uri": place}
    named, own = f"{base.url}?layout=llamaindex", tmp_path / "own.db"

    def read() -> Any:
        return real_llamas.ask("call", method="get_messages", given={"key": "a/ü"}, **where)

    real_llamas.ask("call", method="add_messages", given={"key": "a/ü", "messages": LLAMA}, **where)
    before = read()
    assert len(before) == len(LLAMA)
    assert done("ls", "-p", base.url) == "a/ü\n"
    done("migrate", base.url, own)
    done("clear", "a/ü", "--yes", "-p", named)
    assert read() == []
    done("migrate", own, named)
    assert read() == before
    done("clear", "a/ü", "--keep-last", "2", "--yes", "-p", named)
    assert read() == before[-2:]
    done("undo", "-p", named)
    assert read() == before
    done("add", "a/ü", "ours", "-p", named)
    real_llamas.ask(
        "call", method="add_message", given={"key": "a/ü", "message": LLAMA[0]}, **where
    )
    assert [each["blocks"][0]["text"] for each in read()[-2:-1]] == ["ours"]
    assert read()[-1] == before[0]


def test_llamaindex_archives_and_it_is_still_read(base: Base, real_llamas: Framework) -> None:
    place = base.url.replace("postgresql://", "postgresql+asyncpg://")
    where = {"kind": "sqlalchemy", "table_name": "llama_index_memory", "async_database_uri": place}
    real_llamas.ask("call", method="add_messages", given={"key": "a", "messages": LLAMA}, **where)
    real_llamas.ask("call", method="archive_oldest_messages", given={"key": "a", "n": 1}, **where)

    async def main() -> None:
        async with base.opened(write=True, layout="llamaindex") as store:
            found = await items(store, "a")
            assert found[0].extra["llamaindex"]["row"]["status"] == "archived"
            assert len(found) == len(LLAMA)
            await _added(store)

    run(main())


async def _added(store: Store) -> None:
    await add(store, "a", [Message("user", "new")])
    assert (await items(store, "a"))[-1].content == "new"
