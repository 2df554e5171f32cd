"""Smart: system prompt, what is known of what came before, search results, recent messages."""

import math
from dataclasses import dataclass, field, replace
from typing import Final

from synmem.messages import Message
from synmem.store import Store
from synmem.strategies.context import Background, Context
from synmem.strategies.history import History, fill, read_history
from synmem.strategies.meter import SYSTEM, Meter
from synmem.strategies.summary import SUMMARY_HEAD, is_summary

SEARCH_HEAD: Final = "Search Results Context:\n"


@dataclass(frozen=True)
class Smart:
    """What SmartContextManager sends, by its priorities, within one budget for everything.

    The newest message, `system`, how the conversation itself begins (its system message, or the
    summary that replaced its front), `summary`, `known` (what is known of its entities), search
    results, then the recent messages.
    """

    max_tokens: float = 4000
    max_search_tokens: float = 2000
    system: str | None = None
    summary: str | None = None
    search_results: str | None = None
    messages: float = math.inf
    known: str | None = None
    meter: Meter = field(default_factory=Meter)

    async def context(self, store: Store, conversation: str) -> Context:
        """See `Strategy.context`."""
        history = await read_history(
            store, conversation, tokens=self.max_tokens, messages=self.messages, meter=self.meter
        )
        opening, history = await self._opening(store, conversation, history)
        return fill(history, self._parts(opening), self.max_tokens, self.messages, self.meter)

    async def parts(self, store: Store, conversation: str) -> list[Background]:
        """What stands in front of the messages, before any budget."""
        history = await read_history(store, conversation, messages=1, meter=self.meter)
        opening, _ = await self._opening(store, conversation, history)
        return self._parts(opening)

    def _parts(self, opening: Background | None) -> list[Background]:
        parts = [
            self.system and Background("system prompt", self.system, cached=True),
            opening,
            self.summary and Background("summary", SUMMARY_HEAD + self.summary, cached=True),
            self.known and Background("entities", self.known),
            self.search_results
            and search_part(self.search_results, self.max_search_tokens, self.meter),
        ]
        return [part for part in parts if part and part.text.strip()]

    async def _opening(
        self, store: Store, conversation: str, history: History
    ) -> tuple[Background | None, History]:
        """The system message that a conversation begins with, and the history without it.

        An earlier summary that took the place of messages is part of the summary that is there.
        """
        first, rest = await _beginning(store, conversation, history)
        if first is None or first.role not in SYSTEM or not first.content.strip():
            return None, history  # an image alone is no background either
        if self.summary and is_summary(first):
            return None, rest
        return Background("first message", first.content, cached=True), rest


def search_part(text: str, max_tokens: float, meter: Meter) -> Background:
    """Search results, cut to so many tokens."""
    kept = replace(meter, labelled=False).cut(text, max_tokens)
    return Background("search results", SEARCH_HEAD + kept, cuttable=len(SEARCH_HEAD))


async def _beginning(
    store: Store, conversation: str, history: History
) -> tuple[Message | None, History]:
    """The first message, where it is not the newest too, and the history without it."""
    if not history.whole:
        async for page in store.read([conversation], limit=1):
            first = page.items[0]
            return (first if isinstance(first, Message) else None), history
    elif len(history.units) > 1:
        return history.units[0].messages[0].message, replace(history, units=history.units[1:])
    return None, history
