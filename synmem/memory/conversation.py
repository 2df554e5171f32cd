"""ConversationMemory: the last pairs of messages."""

from synmem.memory.base import Said, at_least, at_least_or_none
from synmem.memory.buffer import BufferMemory


class ConversationMemory(BufferMemory):
    """The last `window_size` pairs of messages (reference: ConversationMemory); `window` is the
    same under SynapseKit 2.0.1's name.

    Counted as there: the result of a tool may stay where its call is gone.

    >>> memory = ConversationMemory(window_size=10)
    >>> memory.add_user("What is SynapseKit?")
    >>> memory.add_assistant("An async-first RAG framework.")
    >>> print(memory.format_context())
    User: What is SynapseKit?
    Assistant: An async-first RAG framework.
    """

    def __init__(self, window_size: int = 10, *, window: int | None = None) -> None:
        super().__init__()
        at_least(1, window_size=window_size)
        at_least_or_none(1, window=window)
        self._pairs = window_size if window is None else window

    def add(self, role: str, content: str) -> None:
        """Append a message; the oldest beyond the window go."""
        super().add(role, content)
        del self._messages[: -2 * self._pairs]

    def add_user(self, content: str) -> None:
        """Append what the user said."""
        self.add("user", content)

    def add_assistant(self, content: str) -> None:
        """Append what the assistant said."""
        self.add("assistant", content)

    def get(self) -> list[Said]:
        """The messages in the window, oldest first."""
        return self.get_messages()
