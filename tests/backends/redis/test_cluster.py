"""The Redis store in a cluster of three nodes: found wherever its slot is; a node killed in the
middle; the slot moved to another node while it is written, read and listed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.crc import key_slot

from synmem.errors import StoreUnavailable
from synmem.messages import Conversation
from synmem.store import START, Part
from tests.backends.redis.place import opened, spoil
from tests.cli.moved import make
from tests.cli.moved import run as cli
from tests.conformance import Opener, Writing, add, contents, ids, numbered, run
from tests.services import Missing, unique, without
from tests.services.redis import SLOTS, Redis, sharing

NODES = 3


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Redis]]:
    """Three that share the slots, and a fourth that has none."""
    try:
        with sharing(tmp_path_factory.mktemp("cluster"), NODES) as nodes:
            yield nodes
    except Missing as missing:
        without("redis", str(missing))


_TAKEN: set[int] = set()


def prefix_on(node: int) -> str:
    """A prefix of the test's own, in a slot of its own that this node has."""
    while True:
        tag = unique()
        slot = key_slot(tag.encode())
        if slot * NODES // SLOTS == node and slot not in _TAKEN:
            _TAKEN.add(slot)
            return f"{{{tag}}}:"


def keys_on(node: Redis, prefix: str) -> int:
    """How many keys with this prefix lie on the node."""
    with redis.Redis.from_url(node.url) as raw:
        return sum(key.startswith(prefix.encode()) for key in raw.scan_iter(count=1000))


class TestCluster(Writing):
    """The contract, where every slot is on another node than the one that the URL names."""

    @pytest.fixture(autouse=True)
    def place(self, nodes: list[Redis]) -> None:
        self.url, self.prefix = nodes[0].url, prefix_on(1)

    def stores(self, tmp_path: Any) -> Opener:
        return lambda: opened(self.url, prefix=self.prefix, cluster=True)

    def spoil(self, tmp_path: Any, conversation: str, field: str) -> None:
        with contextlib.closing(redis.RedisCluster.from_url(self.url)) as raw:
            spoil(raw, self.prefix, conversation, field)


@pytest.mark.parametrize("layout", ["langchain", "openai_agents"])
def test_lists_of_another_framework_are_found_read_and_written_in_their_slot(
    nodes: list[Redis], layout: str
) -> None:
    prefix = prefix_on(1)

    async def main() -> None:
        where = {"prefix": prefix, "cluster": True}
        async with opened(nodes[0].url, layout=layout, **where) as store:
            end = await add(store, "a", numbered(3))
            await store.append([Part(Conversation(n), numbered(2), START) for n in "bc"])
            assert await store.delete("a", upto=end) is True
            await add(store, "a", numbered(5))
        found = {} if layout == "langchain" else {"layout": layout}  # its lists are called as ours
        async with opened(nodes[2].url, write=False, **where, **found) as store:
            assert layout in store.remark()
            assert await ids(store) == ["a", "b", "c"]
            assert await contents(store, "a") == [f"message {n}" for n in range(5)]
            assert await store.damage() == []

    run(main())


def test_a_store_lies_where_its_slot_is_whichever_node_is_named(nodes: list[Redis]) -> None:
    prefix = prefix_on(2)

    async def main() -> None:
        for n, node in enumerate(nodes):
            async with opened(node.url, prefix=prefix, cluster=True) as store:
                await add(store, "c", numbered(1, n))
                assert await ids(store) == ["c"]
                assert len(await contents(store, "c")) == n + 1

    run(main())
    assert [bool(keys_on(node, prefix)) for node in nodes] == [False, False, True, False]


def test_conversations_are_moved_into_a_cluster_and_out_of_it(nodes: list[Redis], tmp_path: Path) -> None:  # fmt: skip
    said = {f"c{n}": [f"{n} {k}" for k in range(n % 7 + 1)] for n in range(300)}
    source = make(tmp_path / "a.db", {**said, "long": [str(n) for n in range(5000)]}, title="T")
    there = f"{nodes[0].url}?cluster=true&prefix={prefix_on(1)}"
    for first, second in ((source, there), (there, tmp_path / "b.db")):
        moved = cli("migrate", first, second)
        assert moved.exit_code == 0, moved.stderr
        assert cli("check", first, second).exit_code == 0
        assert "0 messages written" in cli("migrate", first, second).stderr
    assert cli("check", source, tmp_path / "b.db").exit_code == 0


class Writer:
    """Appends pairs to a conversation, as `migrate` does: behind the end that it knows, which it
    looks for again after a failure."""

    def __init__(self, store: Any, conversation: str) -> None:
        self.conversation = conversation
        self.count = 0
        self.enough = False
        self._store = store
        self._end = START

    async def write(self) -> None:
        """Go on until it is enough."""
        while not self.enough:
            part = Part(Conversation(self.conversation), numbered(2, self.count), self._end)
            try:
                (self._end,) = await self._store.append([part])
                self.count += 2
            except StoreUnavailable:  # or Changed: an earlier try was done after all
                with contextlib.suppress(StoreUnavailable):
                    await self._look()

    async def _look(self) -> None:
        pages = [page async for page in self._store.read([self.conversation])]
        found = sum(len(page.items) for page in pages)
        assert found in (self.count, self.count + 2), "what was acknowledged is lost, or doubled"
        self.count, self._end = found, pages[-1].position(-1) if pages else START


@contextlib.asynccontextmanager
async def writing(store: Any) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Four writers at once; how to wait until each has written so many more. At the end all that
    they know of must be there once, in order."""
    writers = [Writer(store, f"c{n}") for n in range(4)]
    tasks = [asyncio.create_task(writer.write()) for writer in writers]

    async def more(count: int) -> None:
        wanted = [writer.count + count for writer in writers]
        while any(writer.count < n for writer, n in zip(writers, wanted, strict=True)):
            for task in tasks:
                if task.done():
                    task.result()  # raises what it ended with
            await asyncio.sleep(0.01)

    try:
        yield more
    finally:
        for writer in writers:
            writer.enough = True
        await asyncio.gather(*tasks)
    for writer in writers:
        said = await contents(store, writer.conversation)
        assert said == [f"message {n}" for n in range(writer.count)]


def test_a_node_killed_while_it_is_written_loses_nothing(nodes: list[Redis]) -> None:
    async def main() -> None:
        async with (
            opened(nodes[0].url, prefix=prefix_on(1), cluster=True) as store,
            writing(store) as more,
        ):
            await more(10)
            await asyncio.to_thread(nodes[1].kill)
            await asyncio.to_thread(nodes[1].start)
            await more(10)

    run(main())


def test_a_slot_whose_node_is_gone_is_unavailable(nodes: list[Redis]) -> None:
    prefix = prefix_on(2)

    async def main(*, gone: bool) -> None:
        async with opened(nodes[0].url, prefix=prefix, cluster=True) as store:
            await add(store, "c", numbered(1))
            if gone:
                await asyncio.to_thread(nodes[2].kill)
                attempts = (ids(store), contents(store, "c"), add(store, "c", numbered(1)))
                failed = await asyncio.gather(*attempts, return_exceptions=True)
                assert {type(each) for each in failed} == {StoreUnavailable}, failed

    try:
        run(main(gone=True))
    finally:
        nodes[2].start()
    run(main(gone=False))


class Slot:
    """The slot of a prefix on its way, key by key, to a node that redis-py has not heard of (the
    first time), as `redis-cli --cluster reshard` moves it."""

    def __init__(self, nodes: list[Redis], prefix: str, source: int, target: int) -> None:
        self._clients = [redis.Redis.from_url(node.url) for node in nodes]
        self._source, self._target = self._clients[source], self._clients[target]
        self._port = nodes[target].port
        self._slot = key_slot(prefix[1:-2].encode())

    def __enter__(self) -> "Slot":
        source, target = (
            client.execute_command("CLUSTER MYID") for client in (self._source, self._target)
        )
        self._target.execute_command("CLUSTER SETSLOT", self._slot, "IMPORTING", source)
        self._source.execute_command("CLUSTER SETSLOT", self._slot, "MIGRATING", target)
        return self

    def send(self, count: int) -> int:
        """Move so many of its keys, if there are as many; tell how many were moved."""
        keys = self._source.execute_command("CLUSTER GETKEYSINSLOT", self._slot, count)
        if keys:
            self._source.execute_command(
                "MIGRATE", "127.0.0.1", self._port, "", 0, 5000, "KEYS", *keys
            )
        return len(keys)

    def redirected(self) -> int:
        """How often its node has sent somebody to the other, or told to try again."""
        errors = self._source.info("errorstats")  # Redis 6.2
        return sum(
            errors.get(f"errorstat_{each}", {"count": 0})["count"] for each in ("ASK", "TRYAGAIN")
        )

    def __exit__(self, *_: object) -> None:
        while self.send(100):
            pass
        target = self._target.execute_command("CLUSTER MYID")
        for client in (self._target, self._source):
            client.execute_command("CLUSTER SETSLOT", self._slot, "NODE", target)
        for client in self._clients:
            client.close()


@pytest.mark.parametrize("target", [0, NODES])
def test_a_slot_that_is_moved_while_it_is_written_loses_nothing(nodes: list[Redis], target: int) -> None:  # fmt: skip
    """A listing tells of every conversation meanwhile, and of no ghost, or fails."""
    prefix = prefix_on(1)
    others = [f"other {n}" for n in range(30)]
    looks: list[bool] = []

    async def look(store: Any) -> None:
        with contextlib.suppress(StoreUnavailable):
            assert await ids(store) == sorted([*(f"c{n}" for n in range(4)), *others])
            assert await store.damage() == []
            looks.append(True)

    async def main() -> None:
        async with (
            opened(nodes[0].url, prefix=prefix, cluster=True) as store,
            opened(nodes[2].url, prefix=prefix, cluster=True) as reader,
        ):
            await store.append([Part(Conversation(name), numbered(3)) for name in others])
            async with writing(store) as more:
                await more(10)
                await look(reader)
                with Slot(nodes, prefix, 1, target) as slot:
                    slot.send(10)
                    before = slot.redirected()
                    await look(reader)
                    assert slot.redirected() > before
                await more(10)
                await look(reader)
            assert len(looks) == 2
            for name in others:
                assert len(await contents(reader, name)) == 3

    run(main())
    assert keys_on(nodes[target], prefix)
    assert not keys_on(nodes[1], prefix)
