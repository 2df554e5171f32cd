"""A Context: what every strategy makes of a history, within a budget."""

from dataclasses import dataclass, field, replace
from math import inf
from typing import Final, Protocol

from synmem.messages import Message, Unreadable
from synmem.store import Store
from synmem.strategies.meter import Meter


@dataclass(frozen=True)
class Background:
    """A text that is sent in front of the messages; `cached`: it stays the same for long.

    `cuttable`: where it does not fit it may be cut, to no less than so many characters.
    """

    kind: str
    text: str
    cached: bool = False
    cuttable: int | None = None


@dataclass(frozen=True)
class Decision:
    """Why something is in the context or not. `what` is a role, or the kind of a background.

    `place` counts messages from the newest, -1; 0 is for what is no message of the history.
    """

    place: int
    what: str
    tokens: float
    taken: bool
    why: str


QUESTION: Final = "question"
"""What a decision calls the question that stands in front where the user does not begin."""


@dataclass(frozen=True)
class Context:
    """What is sent: background and messages, kept apart; and why it is this."""

    background: list[Background]
    messages: list[Message]
    decisions: list[Decision]
    warnings: list[str]
    unreadable: list[Unreadable]
    whole: bool
    """Whether the history was read to its beginning."""

    @property
    def tokens(self) -> float:
        """What everything that is sent costs."""
        return sum(each.tokens for each in self.decisions if each.taken)


class Strategy(Protocol):
    """Chooses from a history what is sent."""

    async def context(self, store: Store, conversation: str) -> Context:
        """ConversationNotFound where there is no such conversation."""
        ...


@dataclass
class Budget:
    """Tokens and messages that may still be taken, and what was decided on the way."""

    tokens: float = inf
    messages: float = inf
    meter: Meter = field(default_factory=Meter)
    decisions: list[Decision] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    background: list[Background] = field(default_factory=list)

    def offer(self, part: Background) -> None:
        """Take a background whole if it fits, or cut if it may be; say so where it does not."""
        tokens = self.meter.background(part.text)
        if part.cuttable is not None and tokens > self.tokens:
            shorter = self.meter.cut(part.text, self.tokens)
            if len(shorter) > part.cuttable:
                self.warnings.append(f"{part.kind}: cut to fit in the budget")
                part = replace(part, text=shorter)
                tokens = self.meter.background(shorter)
        fits = tokens <= self.tokens
        if fits:
            self.tokens -= tokens
            self.background.append(part)
        else:
            self.warnings.append(f"{part.kind}: does not fit in the budget, left out")
        why = "in front of the messages" if fits else "over the budget"
        self.decisions.append(Decision(0, part.kind, tokens, fits, why))
