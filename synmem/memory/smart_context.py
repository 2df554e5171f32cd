"""SmartContextManager: system prompt, summary, search results, recent messages."""

from synmem.memory.base import Said, at_least, copies, said
from synmem.memory.llm import checked
from synmem.memory.turn import Turn
from synmem.models import LLM
from synmem.strategies.lines import prompt_line
from synmem.strategies.summary import SUMMARY_HEAD, answered

SEARCH_HEAD = "Search Results Context:\n"
_CACHED = {"cache_control": {"type": "ephemeral"}}


class SmartContextManager:
    """Builds the message list for a model within two budgets (reference: SmartContextManager).

    Over `max_recent_tokens` the oldest two messages are summarized by `cheap_llm`, or dropped
    without one; at least two stay. Estimates are `len(content) // chars_per_token`. When the
    model fails, nothing is lost: the next call goes on. Where it answers nothing, the two go and
    the summary stays as it was (SynapseKit 2.0.1 forgets it, and strips no answer). Counted as
    there: the result of a tool may stay where its call is gone.

    >>> manager = SmartContextManager(cheap_llm=llm, max_recent_tokens=4000)
    >>> manager.set_system("You are a helpful research assistant.")
    >>> manager.add("user", "What is new?")
    >>> [sorted(each) for each in asyncio.run(manager.get_messages())]
    [['cache_control', 'content', 'role'], ['content', 'role']]
    """

    def __init__(
        self,
        cheap_llm: LLM | None = None,
        max_recent_tokens: int = 4000,
        max_search_tokens: int = 2000,
        chars_per_token: int = 4,
    ) -> None:
        at_least(1, chars_per_token=chars_per_token)
        at_least(0, max_recent_tokens=max_recent_tokens, max_search_tokens=max_search_tokens)
        self._llm = None if cheap_llm is None else checked(cheap_llm)
        self._max_recent_tokens = max_recent_tokens
        self._max_search_characters = max_search_tokens * chars_per_token
        self._chars_per_token = chars_per_token
        self._turn = Turn()  # two at once would drop what neither summarized
        self.clear()

    def set_system(self, content: str) -> None:
        """Set the system prompt."""
        self._system = content

    def set_search_results(self, content: str) -> None:
        """Set the search results; they are cut to `max_search_tokens`."""
        self._search_results = content

    def clear_search_results(self) -> None:
        """Remove the search results."""
        self._search_results = ""

    def add(self, role: str, content: str) -> None:
        """Append a message."""
        self._messages.append(said(role, content))

    async def get_messages(self) -> list[Said]:
        """The whole list; system prompt and summary are marked for Anthropic's prompt cache."""
        async with self._turn:
            await self._fit()
        found = []
        if self._system:
            found.append({"role": "system", "content": self._system, **_CACHED})
        if self._summary:
            found.append({"role": "system", "content": SUMMARY_HEAD + self._summary, **_CACHED})
        if self._search_results:
            results = self._search_results[: self._max_search_characters]
            found.append({"role": "system", "content": SEARCH_HEAD + results})
        return copies(found) + copies(self._messages)

    @property
    def summary(self) -> str:
        """The running summary; empty until there was one."""
        return self._summary

    def clear(self) -> None:
        """Forget messages, summary, system prompt and search results."""
        self._system = self._summary = self._search_results = ""
        self._messages: list[Said] = []

    def __len__(self) -> int:
        return len(self._messages)

    async def _fit(self) -> None:
        while len(self._messages) > 2 and self._recent_tokens() > self._max_recent_tokens:
            messages = self._messages
            if self._llm is not None:
                oldest = [prompt_line(m["role"], m["content"]) for m in messages[:2]]
                summary = await answered(self._llm, self._summary, oldest)
                if self._messages is not messages:
                    continue  # cleared meanwhile: that is a summary of what is forgotten
                self._summary = summary or self._summary
            del messages[:2]

    def _recent_tokens(self) -> int:
        return sum(len(each["content"]) // self._chars_per_token for each in self._messages)
