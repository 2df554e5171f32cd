"""SqliteMemory and SQLiteConversationMemory: conversations in an SQLite file."""

from pathlib import Path

from synmem.memory.base import at_least
from synmem.memory.conversations import StoredConversation
from synmem.memory.stored import StoredMemory


class SqliteMemory(StoredMemory):
    """Messages in an SQLite file (reference: SqliteMemory). A file that it makes is in WAL mode.

    The constructor makes the file. `max_messages` is a rolling window; None keeps all.

    >>> memory = SqliteMemory(path, session_id="user-123")
    >>> asyncio.run(memory.add("user", "Remember my name is Alice"))
    >>> asyncio.run(SqliteMemory(path, session_id="user-123").get())
    [{'role': 'user', 'content': 'Remember my name is Alice'}]
    """

    def __init__(
        self,
        db_path: str = "memory.db",
        session_id: str = "default",
        max_messages: int | None = None,
    ) -> None:
        at_least(1, max_messages=max_messages)
        super().__init__("sqlite", {"db_path": str(db_path)}, session_id, max_messages)
        self._session.wait(self._session.create())


class SQLiteConversationMemory(StoredConversation):
    """A conversation in an SQLite file that SynapseKit's programs share (reference:
    SQLiteConversationMemory).

    The constructor makes the file as SynapseKit makes it. `window` keeps the last N pairs.

    >>> with SQLiteConversationMemory(path, conversation_id="user-1", window=10) as memory:
    ...     memory.add("user", "Hello!", metadata={"source": "web"})
    ...     memory.get_messages(), memory.list_conversations()
    ([{'role': 'user', 'content': 'Hello!', 'metadata': {'source': 'web'}}], ['user-1'])
    """

    def __init__(
        self,
        db_path: str = "conversations.db",
        conversation_id: str = "default",
        window: int | None = None,
    ) -> None:
        at_least(0, window=window)
        path = Path(db_path)
        new = not path.exists() or path.stat().st_size == 0
        settings = {"db_path": str(path), "layout": "synapsekit" if new else None}
        super().__init__("sqlite", settings, conversation_id, window)
        self._session.wait(self._session.create())
