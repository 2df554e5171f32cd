"""Smart: system prompt, summary, search results, and as many recent messages as still fit."""

import math
from dataclasses import dataclass, replace
from typing import Final

from synmem.messages import Message
from synmem.models import CHARACTERS_PER_TOKEN
from synmem.store import Store
from synmem.strategies.context import Background, Context, History, fill, read_history

SUMMARY_HEAD: Final = "Summary of earlier conversation:\n"
SEARCH_HEAD: Final = "Search Results Context:\n"
_SYSTEM: Final = ("system", "developer")


@dataclass(frozen=True)
class Smart:
    """What SmartContextManager sends, by its priorities, within one budget for everything.

    The newest message, `system`, how the conversation itself begins (its system message, or the
    summary that replaced its front), `summary`, search results, then the recent messages.
    """

    max_tokens: float = 4000
    max_search_tokens: float = 2000
    system: str | None = None
    summary: str | None = None
    search_results: str | None = None
    messages: float = math.inf

    async def context(self, store: Store, conversation: str) -> Context:
        """See `Strategy.context`."""
        history = await read_history(
            store, conversation, tokens=self.max_tokens, messages=self.messages
        )
        opening, history = await _opening(store, conversation, history)
        parts = [
            self.system and Background("system prompt", self.system, cached=True),
            opening,
            self.summary and Background("summary", SUMMARY_HEAD + self.summary, cached=True),
            self.search_results and search_part(self.search_results, self.max_search_tokens),
        ]
        return fill(history, [part for part in parts if part], self.max_tokens, self.messages)


def search_part(text: str, max_tokens: float) -> Background:
    """Search results, cut to so many tokens."""
    cut = text[: int(max_tokens * CHARACTERS_PER_TOKEN)]
    return Background("search results", SEARCH_HEAD + cut, cuttable=len(SEARCH_HEAD))


async def _opening(
    store: Store, conversation: str, history: History
) -> tuple[Background | None, History]:
    """The system message that a conversation begins with, and the history without it."""
    if not history.whole:
        async for page in store.read([conversation], limit=1):
            first = page.items[0]
            if isinstance(first, Message) and first.role in _SYSTEM:
                return _as_background(first), history
    elif len(history.units) > 1:
        first = history.units[0].messages[0][1]
        if first.role in _SYSTEM:
            return _as_background(first), replace(history, units=history.units[1:])
    return None, history


def _as_background(message: Message) -> Background:
    return Background("first message", message.content, cached=True)
