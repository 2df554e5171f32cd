"""BufferMemory: all messages, until they are cleared."""

from synmem.memory.base import Said, copies, formatted, said


class BufferMemory:
    """Every message, in this process; no limit (reference: BufferMemory).

    >>> memory = BufferMemory()
    >>> memory.add("user", "Hello!")
    >>> memory.add("assistant", "Hi there!")
    >>> len(memory)
    2
    """

    def __init__(self) -> None:
        self._messages: list[Said] = []

    def add(self, role: str, content: str) -> None:
        """Append a message."""
        self._messages.append(said(role, content))

    def get_messages(self) -> list[Said]:
        """All messages, as copies."""
        return copies(self._messages)

    def format_context(self) -> str:
        """The history as lines `User: ...`, `Assistant: ...`."""
        return formatted(self._messages)

    def clear(self) -> None:
        """Forget all messages."""
        self._messages.clear()

    def __len__(self) -> int:
        return len(self._messages)
