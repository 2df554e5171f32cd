"""PostgresMemory: conversations in a PostgreSQL table."""

from synmem.memory.base import address, at_least_or_none
from synmem.memory.stored import StoredMemory


class PostgresMemory(StoredMemory):
    """Messages in the table `synapsekit_conversations` (reference: PostgresMemory), which the
    first write makes. Needs `synmem-cli[postgres]`.

    >>> memory = PostgresMemory(dsn, session_id="user-42")
    >>> asyncio.run(memory.add("user", "Hello!"))
    >>> asyncio.run(memory.get())
    [{'role': 'user', 'content': 'Hello!'}]
    >>> asyncio.run(memory.clear())
    """

    def __init__(
        self, dsn: str, session_id: str = "default", max_messages: int | None = None
    ) -> None:
        address("postgresql", "postgres", dsn=dsn)
        at_least_or_none(1, max_messages=max_messages)
        super().__init__("postgres", {"dsn": dsn}, session_id, max_messages)
