"""HybridMemory: the recent messages as they were, and a summary of the older ones."""

from synmem.memory.base import Said, at_least, formatted
from synmem.memory.buffer import BufferMemory
from synmem.memory.llm import checked
from synmem.memory.turn import Turn
from synmem.models import LLM
from synmem.strategies.lines import prompt_line
from synmem.strategies.summary import SUMMARY_HEAD, Running, within


class HybridMemory:
    """The last `window` pairs of messages, and a summary of all before them (reference:
    HybridMemory). The model is asked only for what no summary covers yet; when it fails, nothing
    changes. Where it answers nothing, the summary so far is shown, if there is one, and the next
    call asks again. Unlike SynapseKit 2.0.1's, the summary is stripped. Pairs are counted as there:
    the result of a tool may stay where its call is in the summary.

    >>> memory = HybridMemory(llm=llm, window=1, summary_max_tokens=200)
    >>> for text in ("one", "two", "three"):
    ...     memory.add("user", text)
    >>> print(asyncio.run(memory.format_context()))
    System: Summary of earlier conversation:
    in short
    User: two
    User: three
    """

    def __init__(self, llm: LLM, window: int = 5, summary_max_tokens: int = 200) -> None:
        at_least(1, window=window, summary_max_tokens=summary_max_tokens)
        self._llm = checked(llm)
        self._most = 2 * window
        self._prompt = within(summary_max_tokens)
        self._buffer = BufferMemory()
        self._running = Running()
        self._turn = Turn()  # two at once would ask for the same twice

    def add(self, role: str, content: str) -> None:
        """Append a message."""
        self._buffer.add(role, content)

    def get_messages(self) -> list[Said]:
        """All messages, without a summary."""
        return self._buffer.get_messages()

    def get_recent_messages(self) -> list[Said]:
        """The messages in the window."""
        return self.get_messages()[-self._most :]

    async def get_messages_with_summary(self) -> list[Said]:
        """All messages where the window holds them; else a system message with the summary of
        the older ones, and the window."""
        async with self._turn:
            running, messages = await self._reached()
            while running is not self._running:  # cleared meanwhile: those are forgotten
                running, messages = await self._reached()
        recent = messages[-self._most :]
        if len(messages) == len(recent) or not running.text:
            return recent
        return [{"role": "system", "content": SUMMARY_HEAD + running.text}, *recent]

    async def format_context(self) -> str:
        """`get_messages_with_summary` as lines `Role: content`."""
        return formatted(await self.get_messages_with_summary())

    @property
    def summary(self) -> str:
        """The summary of the older messages; empty until there was one."""
        return self._running.text

    def clear(self) -> None:
        """Forget all messages and the summary."""
        self._buffer.clear()
        self._running = Running()

    def __len__(self) -> int:
        return len(self._buffer)

    async def _reached(self) -> tuple[Running, list[Said]]:
        """The messages there are, and the summary, which covers all before the window."""
        running, messages = self._running, self.get_messages()
        older = [prompt_line(each["role"], each["content"]) for each in messages[: -self._most]]
        await running.reach(self._llm, older, self._prompt)
        return running, messages
