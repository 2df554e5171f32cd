"""What the real LangChain.js writes in PostgreSQL, Redis and MongoDB, through every command that
reads."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests import services
from tests.backends.mongo.place import placed
from tests.backends.postgres.test_foreign_odd import Base, base
from tests.cli.moved import run
from tests.cli.test_langchain import done
from tests.services.framework import Framework
from tests.services.langchainjs import langchainjs

pytestmark = pytest.mark.real
__all__ = ["base"]  # a fixture

CALL = {"type": "tool_call", "id": "call_1", "name": "f", "args": {"city": "Zürich", "n": [1, 2.5, None]}}  # fmt: skip
OURS = {"id": "call_1", "name": "f", "arguments": CALL["args"]}
USAGE = {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
PARTS = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
INVALID = {"type": "invalid_tool_call", "id": "i", "name": "f", "args": "{oops", "error": "e"}
TEXT = "Grüße 👋🏽 👨‍👩‍👧‍👦 \u2028 𝔘 café 'x' \\n \"q\"\r\n\t"

TALK: list[tuple[str, Any, dict[str, Any]]] = [
    ("SystemMessage", "be brief", {"role": "system", "content": "be brief"}),
    (
        "HumanMessage", {"content": TEXT, "name": "alice", "id": "m1"},
        {"role": "user", "content": TEXT, "name": "alice", "extra": {"langchain": {"id": "m1"}}},
    ),
    (
        "AIMessage",
        {"content": "", "tool_calls": [CALL], "usage_metadata": USAGE, "response_metadata": {"m": 1}},
        {
            "role": "assistant", "content": "", "tool_calls": [OURS],
            "extra": {"langchain": {"usage_metadata": USAGE, "response_metadata": {"m": 1}}},
        },
    ),
    (
        "ToolMessage",
        {"content": '{"a": 1}', "tool_call_id": "call_1", "name": "f", "artifact": {"k": [1, None]}, "status": "error"},
        {
            "role": "tool", "content": '{"a": 1}', "tool_call_id": "call_1", "name": "f",
            "extra": {"langchain": {"artifact": {"k": [1, None]}, "status": "error"}},
        },
    ),
    ("AIMessage", {"content": PARTS}, {"role": "assistant", "content": "a", "parts": PARTS}),
    (
        "AIMessage", {"content": "", "tool_calls": [], "invalid_tool_calls": [INVALID]},
        {"role": "assistant", "content": "", "extra": {"langchain": {"invalid_tool_calls": [INVALID]}}},
    ),
    ("ChatMessage", {"content": "hm", "role": "narrator"}, {"role": "narrator", "content": "hm"}),
    ("HumanMessage", "", {"role": "user", "content": ""}),
]  # fmt: skip
"""The class, what its constructor is given, and what synmem shows."""

SESSION = "a:1/ü 👋🏽"


class Where:
    """A place that LangChain.js writes to, and how it names it."""

    def __init__(self, real: Framework, place: str, **where: Any) -> None:
        self.real, self.place, self.where = real, place, where

    def add(self, session: str, talk: Any = TALK) -> None:
        messages = [(name, given) for name, given, _ in talk]
        self.real.ask("add", messages=messages, session=session, **self.where)

    def read(self, session: str) -> Any:
        return self.real.ask("read", session=session, **self.where)

    def shown(self, session: str) -> Any:
        return json.loads(done("show", session, "--json", "-p", self.place))


@pytest.fixture(scope="module")
def real() -> Iterator[Framework]:
    with langchainjs() as running:
        yield running


@pytest.fixture(params=["langchain_chat_histories", "n8n_chat_histories"])
def on_postgres(request: pytest.FixtureRequest, real: Framework, base: Base) -> Where:
    return Where(real, base.url, kind="postgres", url=base.url, table=request.param)


@pytest.fixture(params=["redis", "ioredis"])
def on_redis(
    request: pytest.FixtureRequest, real: Framework, redis_server: services.Server
) -> Iterator[Where]:
    url = redis_server.url.removesuffix("/0") + "/14"
    with redis.Redis.from_url(url) as raw:
        raw.flushdb()
        yield Where(real, url, kind=request.param, url=url)
        raw.flushdb()


@pytest.fixture(params=["memory", "my talks"])
def on_mongo(
    request: pytest.FixtureRequest, real: Framework, mongo_server: services.Server
) -> Iterator[Where]:
    with placed(mongo_server.url) as place:
        more = {"database": place.name, "collection": request.param}
        yield Where(real, place.cli_url, kind="mongo", url=place.url, **more)


def check(where: Where, tmp_path: Path) -> None:
    """That every session is read as it was written, and again when more was said; and that each of
    them is then as it was."""
    where.add("b", TALK[:1])
    where.add(SESSION)
    where.add("b", TALK[1:2])
    said = [shown for _, _, shown in TALK]
    theirs = where.read(SESSION)
    assert sorted(done("ls", "-p", where.place).splitlines()) == [SESSION, "b"]
    assert "(LangChain.js)" in done("profile", "test", where.place)
    assert where.shown(SESSION) == said
    assert where.shown("b") == said[:2]
    own = tmp_path / "own.db"
    done("migrate", where.place, own)
    done("check", where.place, own)
    where.add(SESSION, TALK[-2:])
    where.add("c", TALK[4:5])
    assert where.shown(SESSION) == [*said, *said[-2:]]
    assert where.shown("c") == said[4:5]
    done("migrate", where.place, own)
    done("check", where.place, own)
    counts = {
        each["conversation_id"]: each["messages"]
        for each in json.loads(done("ls", "--json", "-p", own))
    }
    assert counts == {SESSION: len(TALK) + 2, "b": 2, "c": 1}
    assert where.read(SESSION) == [*theirs, *theirs[-2:]]
    where.real.ask("clear", session="b", **where.where)
    assert sorted(done("ls", "-p", where.place).splitlines()) == [SESSION, "c"]


def test_what_it_wrote_on_postgres_is_read_exactly(on_postgres: Where, tmp_path: Path) -> None:
    check(on_postgres, tmp_path)


def test_what_it_wrote_in_lists_is_read_exactly(on_redis: Where, tmp_path: Path) -> None:
    check(on_redis, tmp_path)


def test_what_it_wrote_in_documents_is_read_exactly(on_mongo: Where, tmp_path: Path) -> None:
    check(on_mongo, tmp_path)


def test_of_two_tables_one_is_chosen(base: Base, real: Framework) -> None:
    for table, text in (("langchain_chat_histories", "one"), ("n8n_chat_histories", "two")):
        where = {"kind": "postgres", "url": base.url, "session": "a", "table": table}
        real.ask("add", messages=[("HumanMessage", text)], **where)
    assert "n8n_chat_histories" in run("ls", "-p", base.url).stderr
    assert done("show", "a", "-p", f"{base.url}?table=n8n_chat_histories") == "User: two\n"


def test_it_is_never_written(on_postgres: Where) -> None:
    on_postgres.add("a", TALK[:2])
    before = on_postgres.read("a")
    for command in (("add", "a", "x"), ("clear", "a", "--yes")):
        result = run(*command, "-p", f"{on_postgres.place}?layout=langchain")
        assert result.exit_code == 1
        assert "read" in result.stderr
    assert on_postgres.read("a") == before
