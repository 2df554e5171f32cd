"""The last messages, and the newest that fit: strategies that know nothing of what came before."""

import math
from dataclasses import dataclass, field

from synmem.store import Store
from synmem.strategies.context import Background, Context
from synmem.strategies.history import fill, read_history
from synmem.strategies.meter import Meter


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
    meter: Meter = field(default_factory=Meter)

    async def context(self, store: Store, conversation: str) -> Context:
        """See `Strategy.context`."""
        history = await read_history(
            store, conversation, tokens=self.max_tokens, messages=self.messages, meter=self.meter
        )
        return fill(history, self.background, self.max_tokens, self.messages, self.meter)
