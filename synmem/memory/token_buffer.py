"""TokenBufferMemory: the newest messages within a budget of estimated tokens."""

from synmem.memory.base import at_least
from synmem.memory.buffer import BufferMemory


class TokenBufferMemory(BufferMemory):
    """Drops the oldest messages while the estimate, `len(content) // chars_per_token` each, is
    over `max_tokens` (reference: TokenBufferMemory).

    One message that is over by itself is dropped too: then nothing is left. Counted as there: the
    result of a tool may stay where its call is gone.

    >>> memory = TokenBufferMemory(max_tokens=4, chars_per_token=4)
    >>> memory.add("user", "a text of eighteen")
    >>> memory.add("user", "Hello!")
    >>> memory.format_context()
    'User: Hello!'
    """

    def __init__(self, max_tokens: int = 4000, chars_per_token: int = 4) -> None:
        super().__init__()
        at_least(1, max_tokens=max_tokens, chars_per_token=chars_per_token)
        self._max_tokens = max_tokens
        self._chars_per_token = chars_per_token
        self._tokens = 0

    def add(self, role: str, content: str) -> None:
        """Append a message, and drop the oldest until the rest fits."""
        super().add(role, content)
        self._tokens += self._estimate(content)
        dropped = 0
        while self._tokens > self._max_tokens:
            self._tokens -= self._estimate(self._messages[dropped]["content"])
            dropped += 1
        del self._messages[:dropped]

    def clear(self) -> None:
        """Forget all messages."""
        super().clear()
        self._tokens = 0

    def _estimate(self, content: str) -> int:
        return len(content) // self._chars_per_token
