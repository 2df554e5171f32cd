"""A Redis store of a test's own: a prefix that no other test uses, with the driver beside it."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from synmem.backends.redis.store import open as open_redis
from synmem.messages import Message
from tests.conformance import PAGE_SIZE, add, items, run
from tests.services import unique


@contextlib.asynccontextmanager
async def opened(url: str, *, write: bool = True, **settings: Any) -> AsyncIterator[Any]:
    store = await open_redis({"url": url, **settings}, write=write, page_size=PAGE_SIZE)
    try:
        yield store
    finally:
        await store.close()


class Place:
    """A prefix of its own on the server: a store there, and the driver beside it."""

    def __init__(self, url: str, raw: Any) -> None:
        self.url, self.raw, self.prefix = url, raw, unique() + ":"

    def store(self, **settings: Any) -> Any:
        return opened(self.url, **{"prefix": self.prefix, **settings})

    def memory(self, conversation: str, window: int | None = None) -> Any:
        """SynapseKit's own class on the same keys."""
        from synapsekit.memory.redis import RedisConversationMemory  # large: few tests need it

        return contextlib.closing(
            RedisConversationMemory(self.url, conversation, window, self.prefix)
        )

    def key(self, rest: str) -> bytes:
        return (self.prefix + rest).encode()

    def names(self) -> list[str]:
        found = self.raw.scan_iter(match=self.prefix + "*")
        return sorted(key.decode()[len(self.prefix) :] for key in found)

    def write(self, conversation: str, messages: list[Message]) -> None:
        async def main() -> None:
            async with self.store() as store:
                await add(store, conversation, messages)

        run(main())

    def read(self, conversation: str, **how: Any) -> list[Any]:
        async def main() -> list[Any]:
            async with self.store(write=False) as store:
                return await items(store, conversation, **how)

        found: list[Any] = run(main())
        return found

    def with_store(self, test: Any, **settings: Any) -> None:
        async def main() -> None:
            async with self.store(**settings) as store:
                await test(store)

        run(main())


def drop(url: str, prefix: str) -> None:
    with redis.Redis.from_url(url) as raw:
        for key in raw.scan_iter(count=1000):
            if key.startswith(prefix.encode()):
                raw.delete(key)


def spoil(raw: Any, prefix: str, conversation: str, field: str) -> None:
    """Make a title or extra one that cannot be read."""
    if field == "head":
        pytest.skip("in Redis no head places the messages")
    raw.hset(f"{prefix}{conversation}:synmem", field, "no")
