"""LangChain's history in DynamoDB, through every command: read as it is, and written so that
LangChain reads the same. What the real ones say to it, LlamaIndex's store too, is in the tests
marked `real`."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synmem.layouts.foreign.llamaindex_messages import message_of as llama
from synmem.layouts.own.dynamodb_items import json_form
from synmem.messages import Conversation
from tests import services
from tests.backends.dynamodb import place as dynamodb_place
from tests.backends.dynamodb.place import client, opened, plain_table
from tests.backends.dynamodb.test_foreign import item, put
from tests.cli.moved import make, run
from tests.cli.test_langchain import TALK, done, refuses_plans
from tests.conformance import contents, items
from tests.layouts.foreign.test_langchain import CALL, said
from tests.layouts.foreign.test_llamaindex import IMAGE, text
from tests.layouts.foreign.test_llamaindex import said as li_said
from tests.services.framework import Framework
from tests.services.langchain_dynamodb import langchain_dynamodb
from tests.services.llamaindex import llamaindex

Read = Callable[[str, str], list[Any]]


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    dynamodb_place.credentials(monkeypatch)


@pytest.fixture
def url(dynamodb_server: services.Server) -> str:
    return dynamodb_server.url


@pytest.fixture
def table(url: str) -> Iterator[str]:
    """As LangChain's documentation makes it."""
    with dynamodb_place.own_table(url) as name:
        plain_table(url, name, SessionId="S")
        yield name


@pytest.fixture
def new(url: str) -> Iterator[str]:
    """The name of another, which is still to be made."""
    with dynamodb_place.own_table(url) as name:
        yield name


def address(url: str, table: str, *, write: bool = False) -> str:
    more = "&layout=langchain&create=true" if write else ""
    return f"dynamodb://us-east-1/{table}?endpoint_url={url}{more}"


def stored(url: str, table: str, session: str) -> list[Any]:
    """What LangChain would read of a session."""
    there = item(url, table, session)
    return [] if there is None else [json_form(each) for each in there["History"]["L"]]


def state(url: str, table: str) -> Any:
    with client(url) as boto:
        return sorted(boto.scan(TableName=table)["Items"], key=repr)


def test_it_is_found_and_read_by_every_command_and_left_as_it_was(url: str, table: str) -> None:
    place = address(url, table)
    for name, talk in (("a", TALK), ("b:1/ü", TALK[:2])):
        put(url, table, name, talk, expireAt={"N": "99"})
    before = state(url, table)
    assert sorted(done("ls", "-p", place).splitlines()) == ["a", "b:1/ü"]
    assert sorted(each["messages"] for each in json.loads(done("ls", "--json", "-p", place))) == [2, 8]  # fmt: skip
    assert "Grüße" in done("show", "a", "-p", place)
    assert len(json.loads(done("show", "a", "--last", "3", "--json", "-p", place))) == 3
    assert "a\t" in done("search", "brief", "-p", place)
    assert "messages\t10" in done("stats", "-p", place)
    assert "be brief" in done("context", "a", "-p", place)
    assert done("summarize", "a", "--max-messages", "2", "-p", place)
    assert done("export", "-p", place).count("\n") == 10
    assert run("check", place).exit_code == 0
    assert "layout langchain, attribute History" in done("profile", "test", place)
    assert state(url, table) == before


def journey(tmp_path: Path, url: str, table: str, new: str, read: Read) -> None:
    """Through other stores and back, trimmed, deleted, replaced, and undone."""
    place, own, named = address(url, table), tmp_path / "chat.db", address(url, new, write=True)
    talk = read(table, "a")
    assert len(talk) == len(TALK)
    done("migrate", place, own)
    done("check", place, own)
    done("migrate", own, named)
    done("check", place, address(url, new))
    assert read(new, "a") == talk
    assert read(new, "b") == read(table, "b")
    done("clear", "a", "--keep-last", "3", "--yes", "-p", named)
    assert read(new, "a") == talk[-3:]
    done("add", "a", "later", "-p", named)
    done("undo", "-p", named)
    assert read(new, "a")[:-1] == talk
    done("clear", "b", "--yes", "-p", named)
    assert read(new, "b") == []
    done("undo", "-p", named)
    assert read(new, "b") == read(table, "b")
    done("summarize", "a", "--replace", "--max-messages", "4", "--yes", "-p", named)
    assert read(new, "a")[-5:-1] != talk[-5:-1]
    assert read(new, "a")[-3:-1] == talk[-2:]
    done("undo", "-p", named)
    assert read(new, "a")[:-1] == talk
    assert run("check", place, address(url, new)).stdout.startswith("> a")


def test_its_way_through_other_stores_and_back(
    tmp_path: Path, url: str, table: str, new: str
) -> None:
    for name, talk in (("a", TALK), ("b", TALK[:2])):
        put(url, table, name, talk)
    journey(tmp_path, url, table, new, lambda at, name: stored(url, at, name))
    assert {key for each in state(url, new) for key in each} == {"SessionId", "History"}


def test_the_time_that_a_session_has_left_is_brought_back_by_undo(url: str, table: str) -> None:
    put(url, table, "a", TALK, expireAt={"N": "4102444800"})
    place = address(url, table, write=True)
    done("clear", "a", "--yes", "-p", place)
    assert item(url, table, "a") is None
    done("undo", "-p", place)
    there = item(url, table, "a")
    assert len(there["History"]["L"]) == len(TALK)
    assert abs(int(there["expireAt"]["N"]) - 4102444800) < 60


def test_what_is_written_must_be_named(tmp_path: Path, url: str, table: str) -> None:
    put(url, table, "a", TALK)
    before, place = state(url, table), address(url, table)
    own = make(tmp_path / "chat.db", {"b": ["x"]})
    for command in (
        ("add", "a", "x", "-p", place), ("clear", "a", "--yes", "-p", place), ("migrate", own, place),
    ):  # fmt: skip
        result = run(*command)
        assert result.exit_code == 2, command
        assert "--layout langchain;" in result.stderr
    refuses_plans(own, place, "langchain")
    assert state(url, table) == before
    done("add", "a", "x", "-p", place, "--layout", "langchain")
    assert stored(url, table, "a")[-1]["data"]["content"] == "x"


def test_what_has_no_room_is_named_and_what_has_goes_over(
    tmp_path: Path, url: str, table: str
) -> None:
    own = make(tmp_path / "chat.db", {"good": ["x"], "large": ["x" * 150_000] * 4})
    result = run("migrate", own, address(url, table, write=True))
    assert result.exit_code == 6
    assert "large: refused: message 3: takes its conversation to " in result.stderr
    assert "2 messages left behind" in result.stderr
    assert [len(stored(url, table, name)) for name in ("good", "large")] == [1, 2]


# --- the real ones --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Iterator[Framework]:
    with langchain_dynamodb() as running:
        yield running


@pytest.mark.real
def test_the_real_langchain_reads_the_same_after_every_step(
    tmp_path: Path, real: Framework, url: str, table: str, new: str
) -> None:
    for name, talk in (("a", TALK), ("b", TALK[:2])):
        real.ask("add", url=url, table_name=table, session=name, messages=talk)
    assert stored(url, table, "a") == TALK

    def read(at: str, name: str) -> list[Any]:
        found: list[Any] = real.ask("read", url=url, table_name=at, session=name)
        return found

    journey(tmp_path, url, table, new, read)
    assert real.ask("is_read", url=url, table_name=new, session="b", messages=TALK[:2])


@pytest.mark.real
@pytest.mark.parametrize("how", [{}, {"key": {"User": "ü", "SessionId": "s/1"}}, {"history_messages_key": "Messages"}, {"ttl": 1000}])  # fmt: skip
def test_what_the_real_langchain_writes_is_read_and_both_write_beside_each_other(
    real: Framework, url: str, how: Any
) -> None:
    """Numbers of tool calls too, which it reads as Decimal: ours as its own."""
    keys, id_ = ("User", "SessionId") if "key" in how else ("SessionId",), "s"
    if "key" in how:
        id_ = '["ü","s/1"]'
    call = {**CALL, "args": {"n": 5, "f": 0.1, "list": [1.25, None]}}
    calling = said("ai", tool_calls=[call])
    with dynamodb_place.own_table(url) as table:
        plain_table(url, table, **dict.fromkeys(keys, "S"))
        where = {"url": url, "table_name": table, "session": "s", **how}
        real.ask("add", **where, messages=[*TALK, calling], coerce_float_to_decimal=True)

        async def main() -> None:
            async with opened(url, table, layout="langchain") as store:
                found = await items(store, id_)
                assert [each.content for each in found[:2]] == ["be brief", "Grüße 👋🏽 \u2028"]
                assert found[-1].tool_calls[0]["arguments"] == call["args"]
                await store.replace(Conversation(id_), _pages(found[-1:]), upto=await _end(store, id_))  # fmt: skip
                assert (await store.expiring([id_])).keys() == ({id_} if "ttl" in how else set())

        asyncio.run(main())
        [ours] = real.ask("read", **where)
        assert ours == calling
        real.ask("add", **where, messages=[said("human", content="theirs")], coerce_float_to_decimal=True)  # fmt: skip
        done("add", id_, "ours", "-p", f"{address(url, table)}&layout=langchain")
        assert [each["data"]["content"] for each in real.ask("read", **where)] == ["x", "theirs", "ours"]  # fmt: skip


async def _pages(page: Any) -> Any:
    yield page


async def _end(store: Any, id_: str) -> str:
    return [page.position(-1) async for page in store.read([id_])][-1]


@pytest.mark.real
def test_a_live_program_never_fails_beside_a_reader(real: Framework, url: str, table: str) -> None:
    where = {"url": url, "table_name": table, "session": "a"}
    real.ask("add", **where, messages=TALK)

    async def main() -> Any:
        async with opened(url, table, write=False) as store:
            living = asyncio.create_task(asyncio.to_thread(real.ask, "live", seconds=3, **where))
            while not living.done():
                assert len(await contents(store, "a")) >= len(TALK)
            return await living

    answer = asyncio.run(main())
    assert answer["errors"] == []
    assert answer["count"] > 0


@pytest.mark.real
def test_what_the_real_llamaindex_writes_is_read(
    url: str, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its image too, which it does not read itself."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    talk = [
        li_said("system"), li_said("user", text("a"), IMAGE), li_said("model", n=5),
        li_said("tool", name="f", tool_call_id="c"),
    ]  # fmt: skip
    with llamaindex("dynamodb") as real:
        where = {"kind": "dynamodb", "table_name": table, "ttl_seconds": 1000}
        real.ask("call", method="set_messages", given={"key": "a", "messages": talk}, **where)

    async def main() -> None:
        async with opened(url, table, write=False) as store:
            assert await items(store, "a") == [*map(llama, talk)]
            assert (await store.expiring(["a"])).keys() == {"a"}

    asyncio.run(main())
