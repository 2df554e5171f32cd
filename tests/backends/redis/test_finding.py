"""Whose lists lie in a Redis database: what is found by itself, what must be named, and what is only
called like a layout's."""

import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis

from synmem.errors import CorruptData, Unnamed, Unsupported
from synmem.layouts.foreign.langchain_messages import json_of
from synmem.layouts.foreign.llamaindex_messages import json_of as llamaindex_json
from synmem.messages import Message
from tests.backends.redis.place import opened
from tests.backends.redis.test_rights import reader_of
from tests.conformance import add, contents, ids, numbered, run

SAID = Message("user", "x")
LANGCHAIN = json.dumps(json_of(SAID))
AGENTS = '{"role":"user","content":"x"}'
LLAMAINDEX = json.dumps(llamaindex_json(SAID))


class Database:
    """A database that no other test has any keys in."""

    def __init__(self, url: str, raw: Any) -> None:
        self.url, self.raw = url, raw

    @contextlib.asynccontextmanager
    async def store(self, **settings: Any) -> AsyncIterator[Any]:
        async with opened(self.url, **{"write": False, **settings}) as store:
            yield store

    def listed(self, **settings: Any) -> Any:
        """What a store there says of itself, and its conversations."""

        async def main() -> Any:
            async with self.store(**settings) as store:
                remark = store.remark() if hasattr(store, "remark") else None
                return remark, await ids(store)

        return run(main())

    def unnamed(self, **settings: Any) -> str:
        """What is said where it must be named whose lists are meant."""
        with pytest.raises(Unnamed) as caught:
            self.listed(**settings)
        return f"{caught.value} | {caught.value.hint}"


@pytest.fixture
def there(redis_server: Any) -> Iterator[Database]:
    url = redis_server.url.removesuffix("/0") + "/13"
    with redis.Redis.from_url(url) as raw:
        raw.flushdb()
        yield Database(url, raw)
        raw.flushdb()


@pytest.mark.parametrize(
    ("key", "item", "remark", "id_"),
    [
        ("message_store:a:b", LANGCHAIN, "layout langchain, lists message_store:...", "a:b"),
        ("agents:session:a:messages", AGENTS, "layout openai_agents, lists agents:session...", "a"),
        ("bare", LLAMAINDEX, "layout llamaindex, lists of any name", "bare"),
        ("bare", LANGCHAIN, "layout langchain (LangChain.js), lists of any name", "bare"),
    ],
)
def test_the_only_layout_that_is_there_is_found(
    there: Database, key: str, item: str, remark: str, id_: str
) -> None:
    there.raw.rpush("a queue", "job", "{}", "[1]")
    there.raw.set("message_store:text", "no list")
    there.raw.rpush(key, "{oops", item)
    assert there.listed() == (remark, [id_])


def test_where_nothing_is_known_there_is_an_empty_store_of_our_own(there: Database) -> None:
    there.raw.rpush("a queue", "job", "{}", "[1]")
    there.raw.set("text", "x")
    assert there.listed() == (None, [])

    async def main() -> None:
        async with there.store(write=True) as store:
            await add(store, "ours", numbered(1))

    run(main())
    assert there.listed() == (None, ["ours"])


@pytest.mark.parametrize("prefix", [None, "", "notes:"])
def test_what_a_killed_write_left_is_nobodys(there: Database, prefix: str | None) -> None:
    token, settings = "0123456789abcdef" * 2, {} if prefix is None else {"prefix": prefix}
    there.raw.rpush(f"{prefix or ''}synmem:staged:{token}", '{"role":"user","content":"x"}')
    assert there.listed(**settings) == (None, [])
    there.raw.rpush(f"{prefix or ''}synmem:list", LLAMAINDEX)  # another's, whatever it is called
    assert there.listed(**settings)[0].startswith("layout llamaindex")


def test_our_own_keys_come_first(there: Database) -> None:
    there.raw.rpush("message_store:a", LANGCHAIN)
    there.raw.rpush("synapsekit:memory:b:messages", AGENTS)  # an orphan
    assert there.listed() == (None, ["b"])
    there.raw.delete("synapsekit:memory:b:messages")
    there.raw.sadd("synapsekit:memory:conversations", "gone")
    assert there.listed() == (None, [])
    assert there.listed(layout="langchain")[1] == ["a"]

    async def main() -> None:
        async with there.store() as store:
            assert await store.others() == ["lists message_store:...: ?layout=langchain"]

    run(main())


def test_of_several_layouts_one_must_be_chosen(there: Database) -> None:
    there.raw.rpush("message_store:a", LANGCHAIN)
    there.raw.rpush("agents:session:b:messages", AGENTS)
    there.raw.rpush("c", LLAMAINDEX)
    there.raw.rpush("d", LANGCHAIN)
    said = there.unnamed()
    for each in (
        "?layout=langchain&prefix=message_store%3A", "?layout=langchain&prefix= ",
        "?layout=llamaindex", "?layout=openai_agents",
    ):  # fmt: skip
        assert each in said
    for layout, id_ in (("openai_agents", "b"), ("llamaindex", "c")):
        assert there.listed(layout=layout)[1] == [id_]
    assert there.listed(layout="langchain")[1] == ["a"]
    assert there.listed(layout="langchain", prefix="message_store:")[1] == ["a"]
    assert there.listed(layout="langchain", prefix="")[1] == ["d", "message_store:a"]


def test_lists_that_are_one_layouts_by_name_are_nobodys_whose_may_have_any(there: Database) -> None:
    there.raw.rpush("message_store:a", LANGCHAIN)
    assert there.listed() == ("layout langchain, lists message_store:...", ["a"])
    assert there.listed(layout="langchain")[1] == ["a"]


def test_a_prefix_names_another(there: Database) -> None:
    there.raw.rpush("talks:a", LANGCHAIN)
    there.raw.rpush("agents:b:messages", AGENTS)
    there.raw.hset("agents:b", mapping={"session_id": "b"})
    assert there.listed(layout="langchain", prefix="talks:") == (
        "layout langchain, lists talks:...",
        ["a"],
    )
    assert there.listed(prefix="talks:")[1] == ["a"]
    assert there.listed(layout="openai_agents", prefix="agents")[1] == ["b"]
    assert there.listed(layout="langchain")[1] == ["talks:a"]  # as LangChain.js has it


def test_what_is_written_must_be_named(there: Database) -> None:
    there.raw.rpush("message_store:a", LANGCHAIN)
    before = there.raw.lrange("message_store:a", 0, -1)
    said = there.unnamed(write=True)
    assert "--layout langchain;" in said
    assert "--layout synapsekit" in said
    assert there.raw.keys() == [b"message_store:a"]

    async def main() -> None:
        async with there.store(write=True, layout="langchain") as store:
            await add(store, "a", [SAID])
        async with there.store(write=True, layout="synapsekit") as store:
            await add(store, "ours", [SAID])

    run(main())
    assert there.raw.lrange("message_store:a", 0, -1) == before * 2
    assert there.listed() == (None, ["ours"])


def test_what_is_only_read_is_not_written(there: Database) -> None:
    there.raw.rpush("a", LLAMAINDEX)
    said = there.unnamed(write=True)
    assert "?layout=llamaindex" not in said

    async def main() -> None:
        async with there.store(write=True, layout="llamaindex") as store:
            for attempt in (add(store, "a", [SAID]), store.delete("a"), store.expire({"a": 5.0})):
                with pytest.raises(Unsupported, match="only be read"):
                    await attempt
            assert "read, not written" in store.refusal(SAID)

    run(main())
    assert there.raw.lrange("a", 0, -1) == [LLAMAINDEX.encode()]


def test_what_is_only_called_like_a_layouts_is_said_to_look_like_it(there: Database) -> None:
    there.raw.rpush("message_store:a", '{"kind": "human"}')
    with pytest.raises(CorruptData) as caught:
        there.listed()
    assert "looks like langchain, of a version that is not known" in str(caught.value)
    assert "'message_store:a'" in str(caught.value)
    assert "llamaindex" in (caught.value.hint or "")


def test_a_layout_that_is_not_there_is_named(there: Database) -> None:
    with pytest.raises(Unsupported) as caught:
        there.listed(layout="nope")
    assert "synapsekit, " in (caught.value.hint or "")


def test_who_may_not_look_around_has_our_own(there: Database) -> None:
    there.raw.rpush("message_store:a", LANGCHAIN)
    blind = reader_of(there.url, there.raw, "+@all", "-scan", "~*")

    async def main() -> None:
        async with opened(blind) as store:
            await add(store, "ours", [SAID])
            assert await contents(store, "ours") == ["x"]

    run(main())


def test_of_a_large_database_only_the_first_keys_are_looked_at(
    there: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synmem.backends.redis import finding

    monkeypatch.setattr(finding, "_MOST_LOOKS", 1)
    pipe = there.raw.pipeline()
    for n in range(20_000):
        pipe.set(f"cache:{n}", "x")
    pipe.execute()
    there.raw.rpush("message_store:a", LANGCHAIN)
    assert there.listed()[1] in ([], ["a"])  # wherever it lies
    assert there.listed(layout="langchain")[1] == ["a"]


def test_our_own_keys_are_opened_without_a_look_at_other_layouts(there: Database) -> None:
    async def main() -> None:
        async with there.store(write=True) as store:
            await add(store, "a", numbered(1))

    run(main())
    code = (
        "import asyncio, sys; from synmem.backends import open_store\n"
        "async def main():\n"
        f"    async with open_store('redis', {{'url': {there.url!r}}}) as store:\n"
        "        assert [i.id async for p in store.conversations() for i in p] == ['a']\n"
        "asyncio.run(main())\n"
        "print(*[m for m in sys.modules if 'synmem' in m and ('foreign' in m or 'registry' in m)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
