"""SqliteMemory and SQLiteConversationMemory: conversations in an SQLite file."""

import os
from pathlib import Path
from typing import Any

from synmem.memory.base import at_least_or_none
from synmem.memory.conversations import StoredConversation
from synmem.memory.stored import StoredMemory


class SqliteMemory(StoredMemory):
    """Messages in an SQLite file (reference: SqliteMemory). A file that it makes is in WAL mode.

    The constructor makes the file. `max_messages` is a rolling window; None keeps all. With
    ":memory:" nothing is written, and what was said is gone with `close`.

    >>> memory = SqliteMemory(path, session_id="user-123")
    >>> asyncio.run(memory.add("user", "Remember my name is Alice"))
    >>> asyncio.run(SqliteMemory(path, session_id="user-123").get())
    [{'role': 'user', 'content': 'Remember my name is Alice'}]
    """

    def __init__(
        self,
        db_path: str | os.PathLike[str] = "memory.db",
        session_id: str = "default",
        max_messages: int | None = None,
    ) -> None:
        at_least_or_none(1, max_messages=max_messages)
        super().__init__(*_place(db_path), session_id, max_messages)
        self._session.make()


class SQLiteConversationMemory(StoredConversation):
    """A conversation in an SQLite file that SynapseKit's programs share (reference:
    SQLiteConversationMemory).

    The constructor makes the file as SynapseKit makes it; none with ":memory:". `window` keeps the
    last N pairs.

    >>> with SQLiteConversationMemory(path, conversation_id="user-1", window=10) as memory:
    ...     memory.add("user", "Hello!", metadata={"source": "web"})
    ...     memory.get_messages(), memory.list_conversations()
    ([{'role': 'user', 'content': 'Hello!', 'metadata': {'source': 'web'}}], ['user-1'])
    """

    def __init__(
        self,
        db_path: str | os.PathLike[str] = "conversations.db",
        conversation_id: str = "default",
        window: int | None = None,
    ) -> None:
        at_least_or_none(0, window=window)
        super().__init__(*_place(db_path, new_layout="synapsekit"), conversation_id, window)
        self._session.make()


def _place(
    db_path: str | os.PathLike[str], new_layout: str | None = None
) -> tuple[str, dict[str, Any]]:
    """Backend and settings of a path; `new_layout` is for a file that is still to be made."""
    if not isinstance(db_path, str | os.PathLike) or not os.fspath(db_path):
        raise ValueError(f"db_path must be a path, not {db_path!r}")
    if os.fspath(db_path) == ":memory:":  # SQLite's own word for a store in this process
        return "memory", {}
    path = Path(db_path)
    new = not path.exists() or path.stat().st_size == 0
    return "sqlite", {"db_path": str(path), "layout": new_layout if new else None}
