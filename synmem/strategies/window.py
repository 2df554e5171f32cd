"""The last messages, and the newest that fit: strategies that know nothing of what came before."""

import math
from dataclasses import dataclass

from synmem.store import Store
from synmem.strategies.context import Background, Context, fill, read_history


@dataclass(frozen=True)
class Window:
    """The newest `messages` messages, within `max_tokens`, behind the background given.

    With neither limit it is the whole conversation. Reads backwards and stops at the first that
    does not fit. A tool call and its results are taken together, or not at all. The newest
    message is always taken.
    """

    messages: float = math.inf
    max_tokens: float = math.inf
    background: tuple[Background, ...] = ()

    async def context(self, store: Store, conversation: str) -> Context:
        """See `Strategy.context`."""
        history = await read_history(
            store, conversation, tokens=self.max_tokens, messages=self.messages
        )
        return fill(history, self.background, self.max_tokens, self.messages)
