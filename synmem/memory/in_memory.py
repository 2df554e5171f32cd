"""InMemoryConversation and WindowMemory: messages of this process only."""

from synmem.errors import Changed
from synmem.memory.base import BaseMemory, Said, at_least, copies, said


class InMemoryConversation(BaseMemory):
    """The last `max_messages` messages, in this process (reference: InMemoryConversation).

    Counted as there: the result of a tool may stay where its call is gone.

    >>> memory = InMemoryConversation(max_messages=20)
    >>> asyncio.run(memory.add("user", "What is SynapseKit?"))
    >>> asyncio.run(memory.get())
    [{'role': 'user', 'content': 'What is SynapseKit?'}]
    """

    def __init__(self, max_messages: int = 100) -> None:
        at_least(1, max_messages=max_messages)
        self._most = max_messages
        self._seen: list[Said] = []

    @property
    def keeps(self) -> int:
        """See `Bounded.keeps`."""
        return self._most

    async def add(self, role: str, content: str) -> None:
        """Append a message; over the limit the oldest goes."""
        self._seen.append(said(role, content))
        del self._seen[: -self._most]

    async def get(self) -> list[Said]:
        """The messages, oldest first."""
        return copies(self._seen)

    async def clear(self) -> None:
        """Forget all messages."""
        self._seen.clear()

    async def count(self) -> int:
        """How many messages there are."""
        return len(self._seen)

    async def oldest(self, count: int) -> tuple[list[Said], list[Said]]:
        """See `Replaceable.oldest`."""
        return copies(self._seen[:count]), self._seen[:count]

    async def replace_oldest(self, which: list[Said], role: str, content: str) -> None:
        """See `Replaceable.replace_oldest`."""
        now = self._seen[: len(which)]
        if len(now) < len(which) or any(a is not b for a, b in zip(now, which, strict=True)):
            raise Changed("the messages are not there any more as they were", hint="try again")
        self._seen[: len(which)] = [said(role, content)]


class WindowMemory(InMemoryConversation):
    """The last `window_size` messages, in this process (reference: WindowMemory).

    Counted as there: the result of a tool may stay where its call is gone.

    >>> memory = WindowMemory(window_size=1)
    >>> asyncio.run(memory.add("user", "one"))
    >>> asyncio.run(memory.add("user", "two"))
    >>> memory.to_string()
    'User: two'
    """

    def __init__(self, window_size: int = 10) -> None:
        at_least(1, window_size=window_size)
        super().__init__(window_size)
