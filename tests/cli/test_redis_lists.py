"""Lists of other frameworks in Redis, through every command: read as they are, and written so that
the framework reads the same. What the real packages say to it is in the tests marked `real`."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from synmem.layouts.foreign.langchain_messages import json_of
from synmem.layouts.foreign.llamaindex import json_of as llamaindex_json
from synmem.messages import Message, ascii_json
from tests.backends.redis.test_faults import private
from tests.backends.redis.test_rights import reader_of
from tests.cli.moved import make, run
from tests.cli.processes import start
from tests.cli.test_langchain import TALK as LANGCHAIN
from tests.cli.test_langchain import done, refuses_plans
from tests.cli.test_openai_agents import TALK as AGENTS
from tests.services import llamaindex, openai_agents, redis_frameworks
from tests.services.framework import Framework

Read = Callable[[Any, str], list[Any]]


class Database:
    """A database that no other test has any keys in, and a layout."""

    def __init__(self, url: str, raw: Any, layout: str) -> None:
        self.url, self.raw, self.layout = url, raw, layout
        self.named = f"{url}?layout={layout}"
        self.talk: Sequence[Any] = LANGCHAIN if layout == "langchain" else AGENTS

    def key(self, id_: str, prefix: str | None = None) -> str:
        if self.layout == "langchain":
            return f"{prefix or 'message_store:'}{id_}"
        return f"{prefix or 'agents:session'}:{id_}:messages"

    def fill(self, talks: dict[str, Sequence[Any]]) -> None:
        """Conversations as the framework writes them."""
        for id_, talk in talks.items():
            if self.layout == "langchain":
                self.raw.lpush(self.key(id_), *map(json.dumps, talk))
                continue
            self.raw.hset(
                f"agents:session:{id_}",
                mapping={"session_id": id_, "created_at": "1", "updated_at": "1"},
            )
            self.raw.rpush(
                self.key(id_), *(json.dumps(item, separators=(",", ":")) for item in talk)
            )

    def stored(self, prefix: str | None, id_: str) -> list[Any]:
        """What the framework would read of a conversation."""
        items = [json.loads(item) for item in self.raw.lrange(self.key(id_, prefix), 0, -1)]
        return items[::-1] if self.layout == "langchain" else items

    def state(self) -> dict[Any, Any]:
        """All that can be seen of it."""
        return {key: (self.raw.dump(key), self.raw.pexpiretime(key)) for key in self.raw.keys("*")}


@pytest.fixture(params=["langchain", "openai_agents"])
def there(request: pytest.FixtureRequest, redis_server: Any) -> Iterator[Database]:
    url = redis_server.url.removesuffix("/0") + "/10"
    with redis.Redis.from_url(url) as raw:
        raw.flushdb()
        yield Database(url, raw, request.param)
        raw.flushdb()


def test_it_is_found_and_read_by_every_command_and_left_as_it_was(
    there: Database, tmp_path: Path
) -> None:
    there.fill({"a": there.talk, "b:1/ü": there.talk[:2]})
    there.raw.expire(there.key("a"), 5000)
    before = there.state()
    reader = reader_of(there.url, there.raw, "+@read", "+select", "-@scripting", "~*")
    for place in (there.url, reader):
        assert sorted(done("ls", "-p", place).splitlines()) == ["a", "b:1/ü"]
        counts = {each["messages"] for each in json.loads(done("ls", "--json", "-p", place))}
        assert counts == {len(there.talk), 2}
        assert len(json.loads(done("show", "a", "--last", "3", "--json", "-p", place))) == 3
        assert done("search", "brief", "-p", place)
        assert f"messages\t{len(there.talk) + 2}" in done("stats", "-p", place)
        assert done("context", "a", "-p", place)
        assert done("summarize", "a", "--max-messages", "2", "-p", place)
        assert done("export", "-p", place).count("\n") == len(there.talk) + 2
        assert run("check", place).exit_code == 0
        assert f"layout {there.layout}, lists" in done("profile", "test", place)
        done("migrate", place, tmp_path / "chat.db")
    assert there.state() == before


def journey(there: Database, tmp_path: Path, prefix: str, read: Read) -> None:
    """Through other stores and back, trimmed, deleted, replaced, and undone."""
    own, named = tmp_path / "chat.db", f"{there.named}&prefix={prefix}"
    talk = read(None, "a")
    done("migrate", there.named, own)
    done("check", there.named, own)
    done("migrate", own, named)
    done("check", there.named, named)
    assert read(prefix, "a") == talk
    assert read(prefix, "b") == read(None, "b")
    done("clear", "a", "--keep-last", "3", "--yes", "-p", named)
    assert read(prefix, "a") == talk[-3:]
    done("add", "a", "later", "-p", named)
    done("undo", "-p", named)
    assert read(prefix, "a")[:-1] == talk
    there.raw.expire(there.key("b", prefix), 5000)
    done("clear", "b", "--yes", "-p", named)
    assert read(prefix, "b") == []
    done("undo", "-p", named)
    assert read(prefix, "b") == read(None, "b")
    assert 4000 < there.raw.ttl(there.key("b", prefix)) <= 5000
    done("summarize", "a", "--replace", "--max-messages", "4", "--yes", "-p", named)
    assert read(prefix, "a")[-5:-1] != talk[-5:-1]
    done("undo", "-p", named)
    assert read(prefix, "a")[:-1] == talk


def test_its_way_through_other_stores_and_back(there: Database, tmp_path: Path) -> None:
    there.fill({"a": there.talk, "b": there.talk[:2]})
    journey(there, tmp_path, "other:", there.stored)
    known = {
        f"other:{end}"
        for end in (
            ("a", "b")
            if there.layout == "langchain"
            else (":a:messages", ":b:messages", ":a", ":b")
        )
    }
    assert {key.decode() for key in there.raw.keys("other:*")} == known


def test_what_is_written_must_be_named(there: Database, tmp_path: Path) -> None:
    there.fill({"a": there.talk})
    before = there.state()
    own = make(tmp_path / "chat.db", {"b": ["x"]})
    for command in (
        ("add", "a", "x", "-p", there.url),
        ("clear", "a", "--yes", "-p", there.url),
        ("migrate", own, there.url),
    ):
        result = run(*command)
        assert result.exit_code == 2, command
        assert f"--layout {there.layout};" in result.stderr
    refuses_plans(own, there.url, there.layout)
    assert there.state() == before
    done("migrate", own, there.named)
    done("add", "a", "y", "-p", there.named)
    assert done("ls", "-p", there.url).split() in (["a", "b"], ["b", "a"])


def test_several_layouts_are_named_and_our_own_says_that_there_are_others(there: Database) -> None:
    there.fill({"a": there.talk})
    there.raw.rpush("bare", ascii_json(llamaindex_json(Message("user", "x"))))
    result = run("ls", "-p", there.url)
    assert result.exit_code == 2
    assert "?layout=llamaindex" in result.stderr
    assert done("ls", "-p", f"{there.url}?layout=llamaindex") == "bare\n"
    done("add", "ours", "x", "-p", f"{there.url}?layout=synapsekit")
    result = run("ls", "-p", there.url)
    assert (result.exit_code, result.stdout) == (0, "ours\n")
    assert f"?layout={there.layout}" in result.stderr


def test_two_layouts_of_a_database_are_two_stores(there: Database) -> None:
    there.fill({"a": there.talk})
    own = f"{there.url}?layout=synapsekit"
    done("migrate", there.named, own)
    done("check", there.named, own)
    assert done("ls", "-p", there.url) == "a\n"
    assert there.raw.llen("synapsekit:memory:a:messages") == len(there.talk)
    result = run("migrate", own, there.url)
    assert result.exit_code == 2
    assert "are the same store" in result.stderr
    done("add", "a", "pineapple", "-p", own)
    done("add", "b", "pineapple", "-p", there.named)
    there_before = there.stored(None, "a")
    done("clear", "a", "--yes", "-p", there.named)
    done("undo", "-p", there.url)
    assert there.stored(None, "a") == there_before
    assert there.raw.llen("synapsekit:memory:a:messages") == len(there.talk) + 1
    for _ in range(2):
        assert done("search", "pineapple", "-p", own).split()[0] == "a"
        assert done("search", "pineapple", "-p", there.named).split()[0] == "b"


def test_a_record_that_cannot_be_read_hides_nothing(there: Database, tmp_path: Path) -> None:
    there.fill({"a": there.talk, "b": there.talk[:1]})
    there.raw.lset(there.key("a"), 1, '{"type": oops')
    result = run("show", "a", "--json", "-p", there.url)
    assert result.exit_code == 6
    assert len(json.loads(result.stdout)) == len(there.talk) - 1
    assert ("item -7" if there.layout == "langchain" else "item 1") in result.stderr
    assert run("migrate", there.url, tmp_path / "chat.db").exit_code == 6
    assert "b" in done("ls", "-p", tmp_path / "chat.db").split()


def test_what_the_framework_would_refuse_is_named(there: Database, tmp_path: Path) -> None:
    lines = [
        {"conversation_id": "good", "role": "user", "content": "x", "metadata": {"k": 1}},
        {"conversation_id": "bad", "role": "tool", "content": "no call"},
    ]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = run("migrate", source, there.named)
    assert result.exit_code == 6
    assert "bad" in result.stderr
    assert done("ls", "-p", there.named) == "good\n"
    assert run("add", "good", "x", "-m", "{}", "-p", there.named).exit_code in (0, 2)


# --- a server that is killed ----------------------------------------------------------------


@pytest.mark.parametrize("layout", ["langchain", "openai_agents"])
def test_a_server_that_is_killed_is_exit_4_and_nothing_is_lost(layout: str, tmp_path: Path) -> None:
    own = make(
        tmp_path / "chat.db", {f"c{n}": [f"{n} {k}" for k in range(20)] for n in range(1000)}
    )
    with private(tmp_path) as server:
        named = f"{server.url}?layout={layout}"
        moving = start("migrate", str(own), named)
        with redis.Redis.from_url(server.url) as raw:
            end = time.monotonic() + 60
            while raw.dbsize() < 50:
                assert time.monotonic() < end
                time.sleep(0.01)
        server.kill()
        _, said = moving.communicate(timeout=100)
        assert moving.returncode == 4, said
        asking = [start("show", "c1", "-p", named), start("ls", "-p", server.url)]
        ends = [(each.communicate(timeout=60), each.returncode)[1] for each in asking]
        assert ends == [4, 4]
        server.start()
        with redis.Redis.from_url(server.url) as raw:
            assert 0 < raw.dbsize() <= 2000
        done("migrate", own, named)
        done("check", own, server.url)


# --- the real ones --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def langchain() -> Iterator[Framework]:
    with redis_frameworks.langchain() as program:
        yield program


@pytest.fixture(scope="module")
def agents() -> Iterator[Framework]:
    with openai_agents.agents() as program:
        yield program


@pytest.mark.real
@pytest.mark.parametrize("there", ["langchain"], indirect=True)
def test_the_real_langchain_reads_the_same_after_every_step(
    there: Database, tmp_path: Path, langchain: Framework
) -> None:
    def read(prefix: str | None, id_: str) -> list[Any]:
        where = {"url": there.url, "session": id_, "prefix": prefix or "message_store:"}
        return langchain.ask("read", **where)  # type: ignore[no-any-return]

    for id_, talk in (("a", LANGCHAIN), ("b", LANGCHAIN[:2])):
        langchain.ask("add", url=there.url, session=id_, prefix="message_store:", messages=talk)
    assert there.stored(None, "a") == LANGCHAIN
    journey(there, tmp_path, "other:", read)


@pytest.mark.real
@pytest.mark.parametrize("there", ["openai_agents"], indirect=True)
def test_the_real_agents_read_the_same_after_every_step(
    there: Database, tmp_path: Path, agents: Framework
) -> None:
    def read(prefix: str | None, id_: str) -> list[Any]:
        where = {
            "kind": "redis",
            "place": there.url,
            "name": id_,
            "key_prefix": prefix or "agents:session",
        }
        return agents.ask("read", **where)  # type: ignore[no-any-return]

    for id_, talk in (("a", AGENTS), ("b", AGENTS[:2])):
        agents.ask("add", kind="redis", place=there.url, name=id_, items=talk)
    assert there.stored(None, "a") == AGENTS
    journey(there, tmp_path, "other:", read)
    named = f"{there.named}&prefix=other:"
    agents.ask(
        "add",
        kind="redis",
        place=there.url,
        name="a",
        key_prefix="other:",
        items=[{"role": "user", "content": "theirs"}],
        ttl=5000,
    )
    done("add", "a", "ours", "-p", named)
    assert [each["content"] for each in read("other:", "a")[-2:]] == ["theirs", "ours"]
    assert 4000 < there.raw.ttl("other::a") <= 5000
    agents.ask("pop", kind="redis", place=there.url, name="a", key_prefix="other:")
    assert read("other:", "a")[-1]["content"] == "theirs"


@pytest.mark.real
@pytest.mark.parametrize("there", ["langchain"], indirect=True)
def test_the_real_langchain_writes_beside_us(there: Database, langchain: Framework) -> None:
    where = {"url": there.url, "session": "a", "prefix": "message_store:"}
    done("add", "a", "ours", "-p", there.named)
    langchain.ask("add", messages=[json_of(Message("user", "theirs"))], ttl=5000, **where)
    done("add", "a", "ours again", "-p", there.named)
    said = [each["kwargs"]["content"] for each in langchain.ask("read", **where)]
    assert said == ["ours", "theirs", "ours again"]
    assert 4000 < there.raw.ttl("message_store:a") <= 5000


@pytest.mark.real
def test_a_live_program_never_fails_beside_our_reader(
    there: Database, tmp_path: Path, langchain: Framework, agents: Framework
) -> None:
    there.fill({f"s{n}": there.talk for n in range(2000)})
    answer: dict[str, Any] = {}

    def live() -> None:
        url = f"{there.url}?socket_timeout=1"
        if there.layout == "langchain":
            where = {"url": url, "session": "live", "prefix": "message_store:"}
            answer.update(langchain.ask("live", seconds=8, **where))
        else:
            answer.update(agents.ask("live", kind="redis", place=url, name="live", seconds=8))

    thread = threading.Thread(target=live)
    thread.start()
    count = 0
    while thread.is_alive():
        done("export", "-q", "-o", tmp_path / f"{count}.jsonl", "-p", there.url)
        done("ls", "--json", "-p", there.url)
        count += 1
    assert answer["errors"] == []
    assert answer["count"] > 5
    assert count > 1


@pytest.mark.real
@pytest.mark.parametrize("there", ["langchain"], indirect=True)
def test_what_the_real_llamaindex_writes_is_read(there: Database) -> None:
    talk = [
        llamaindex_json(Message(role, f"{role} 👋🏽")) for role in ("system", "user", "assistant")
    ]
    with llamaindex.llamaindex("redis") as program:
        where = {"kind": "redis", "redis_url": there.url}
        program.ask("call", method="set_messages", given={"key": "a", "messages": talk}, **where)
        program.ask("call", method="delete_message", given={"key": "a", "idx": 0}, **where)
        theirs = program.ask("call", method="get_messages", given={"key": "a"}, **where)
    there.raw.rpush("a queue", "job")
    said = json.loads(done("show", "a", "--json", "-p", there.url))
    assert [each["content"] for each in said] == [each["blocks"][0]["text"] for each in theirs]
    assert [each["role"] for each in said] == ["assistant", "user"]  # it leaves them so
    assert done("ls", "-p", there.url) == "a\n"


@pytest.mark.real
@pytest.mark.parametrize("there", ["langchain"], indirect=True)
def test_what_the_real_agent_framework_writes_is_read(there: Database) -> None:
    contents = [
        {"type": "text", "text": "Grüße"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ]
    talk = [{"type": "message", "role": "assistant", "contents": contents}]
    results = [{"type": "function_result", "call_id": id_, "result": id_} for id_ in ("c", "d")]
    talk += [{"type": "message", "role": "tool", "contents": results}]
    with redis_frameworks.agent_framework() as program:
        for how in ({"application_id": "app"}, {"key_format": "legacy"}):
            program.ask("add", url=there.url, session="user:42/ü", messages=talk, **how)
        assert (
            len(program.ask("read", url=there.url, session="user:42/ü", application_id="app")) == 2
        )
        program.ask(
            "add",
            url=there.url,
            session="Ü" * 300,
            messages=talk[:1],
            application_id="app",
            tenant_id="t",
        )
    listed = done("ls", "-p", there.url).splitlines()
    assert "user:42/ü" in listed
    assert [each[:22] for each in listed if each != "user:42/ü"] == ["~redis-session-sha256-"]
    said = json.loads(done("show", "user:42/ü", "--json", "-p", there.url))
    assert [(each["role"], each["content"]) for each in said] == [
        ("assistant", "Grüße"),
        ("tool", "c"),
        ("tool", "d"),
    ]
    assert said[0]["tool_calls"] == [{"id": "c", "name": "f", "arguments": {}}]
