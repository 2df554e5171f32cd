"""RedisMemory and RedisConversationMemory: conversations in Redis lists, shared with SynapseKit."""

from typing import Final

from synmem.memory.base import address, at_least_or_none
from synmem.memory.conversations import StoredConversation
from synmem.memory.stored import StoredMemory

_SCHEMES: Final = ("redis", "rediss", "unix")


class RedisMemory(StoredMemory):
    """Messages in a Redis list (reference: RedisMemory). Needs `synmem-cli[redis]`.

    The list expires `ttl_seconds` after the last write; reading does not put that off.

    >>> memory = RedisMemory(url, session_id="user-42", ttl_seconds=3600, max_messages=50)
    >>> asyncio.run(memory.add("user", "What is SynapseKit?"))
    >>> asyncio.run(memory.get())
    [{'role': 'user', 'content': 'What is SynapseKit?'}]
    >>> asyncio.run(memory.clear())
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379",
        session_id: str = "default",
        ttl_seconds: int | None = None,
        max_messages: int | None = None,
    ) -> None:
        address(*_SCHEMES, url=url)
        at_least_or_none(1, ttl_seconds=ttl_seconds, max_messages=max_messages)
        super().__init__(
            "redis",
            {"url": url, "ttl_seconds": ttl_seconds, "layout": "synapsekit"},
            session_id,
            max_messages,
        )


class RedisConversationMemory(StoredConversation):
    """A conversation in the Redis keys of SynapseKit's programs (reference:
    RedisConversationMemory). Needs `synmem-cli[redis]`. `window` keeps the last N pairs.

    Unlike SynapseKit 2.0.1's, `list_conversations` leaves out those whose messages have expired or
    were deleted, and `get_messages` what other programs' items have beside role, content and
    metadata.

    >>> memory = RedisConversationMemory(url, conversation_id="user-43", window=10)
    >>> memory.add("user", "What is SynapseKit?")
    >>> memory.format_context(), "user-43" in memory.list_conversations()
    ('User: What is SynapseKit?', True)
    >>> memory.clear()
    >>> memory.close()
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379",
        conversation_id: str = "default",
        window: int | None = None,
        prefix: str = "synapsekit:memory:",
    ) -> None:
        address(*_SCHEMES, url=url)
        if not isinstance(prefix, str):
            raise ValueError(f"prefix must be a string, not {prefix!r}")
        at_least_or_none(0, window=window)
        settings = {"url": url, "prefix": prefix, "layout": "synapsekit"}
        super().__init__("redis", settings, conversation_id, window)
