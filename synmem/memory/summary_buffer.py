"""SummaryBufferMemory: a budget of tokens; what is over it gives way to a running summary."""

from synmem.memory.base import Said, at_least, copies, formatted, said
from synmem.memory.llm import checked
from synmem.memory.turn import Turn
from synmem.models import LLM
from synmem.strategies.summary import SUMMARY_HEAD, Buffer


class SummaryBufferMemory:
    """The newest messages, and a running summary of those that were over `max_tokens` (reference:
    SummaryBufferMemory).

    The estimate is `len(content) // chars_per_token` for each, the summary included. A text is
    summarized once. When the model fails, nothing is lost: the next call goes on. Where it answers
    nothing, the oldest two go and the summary stays as it was (SynapseKit 2.0.1 forgets
    it, and strips no answer). Counted as there: the result of a tool may stay where its call is in
    the summary.

    >>> memory = SummaryBufferMemory(llm=llm, max_tokens=2000, chars_per_token=4)
    >>> memory.add("user", "Hello!")
    >>> asyncio.run(memory.get_messages())
    [{'role': 'user', 'content': 'Hello!'}]
    """

    def __init__(self, llm: LLM, max_tokens: int = 2000, chars_per_token: int = 4) -> None:
        at_least(100, max_tokens=max_tokens)
        at_least(1, chars_per_token=chars_per_token)
        self._llm = checked(llm)
        self._max_tokens = max_tokens
        self._chars_per_token = chars_per_token
        self._buffer = Buffer()
        self._turn = Turn()  # two at once would drop what neither summarized

    def add(self, role: str, content: str) -> None:
        """Append a message."""
        self._buffer.messages.append(said(role, content))

    async def get_messages(self) -> list[Said]:
        """The messages; while they are over the budget the oldest two are summarized first, and
        at least two stay. A summary stands in front as a system message."""
        async with self._turn:
            await self._buffer.fit(self._llm, self._max_tokens, self._estimate)
        front = [{"role": "system", "content": SUMMARY_HEAD + self.summary}] if self.summary else []
        return front + copies(self._buffer.messages)

    def format_context(self) -> str:
        """The summary, if there is one, and the messages as lines; asks no model."""
        lines = [f"Summary: {self.summary}"] if self.summary else []
        if self._buffer.messages:
            lines.append(formatted(self._buffer.messages))
        return "\n".join(lines)

    @property
    def summary(self) -> str:
        """The running summary; empty until there was one."""
        return self._buffer.summary

    def clear(self) -> None:
        """Forget all messages and the summary."""
        self._buffer = Buffer()

    def __len__(self) -> int:
        return len(self._buffer.messages)

    def _estimate(self, text: str) -> float:
        return len(text) // self._chars_per_token
