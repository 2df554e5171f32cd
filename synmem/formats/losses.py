"""What of an export its form has no place for: what a person is told of it."""

from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from synmem.messages import FIELDS, Conversation, Holds, Message

_NAMED: Final = 1_000

REASONING: Final = "reasoning"
"""The role of what a model thought, where a layout has that as a message of its own."""


class LeftOut(NamedTuple):
    """A message that the form cannot hold, by its number in the conversation; and why."""

    conversation: str
    number: int
    reason: str


class Losses:
    """What the writers of an export have lost, all of them together."""

    def __init__(self) -> None:
        self.left_out: list[LeftOut] = []
        """Messages that are not in it, the first 1,000."""
        self.count = 0
        """How many messages, or calls in them, are named so."""
        self.messages = self.conversations = 0
        """How many are not in it at all."""
        self.lost: Counter[str] = Counter()
        """What of conversations and messages that are in it is not, and how often."""

    def leave_out(self, conversation: str, number: int, reason: str, *, whole: bool = True) -> None:
        """A message, or what is named of it, is not in it."""
        self.count += 1
        self.messages += whole
        if len(self.left_out) < _NAMED:
            self.left_out.append(LeftOut(conversation, number, reason))

    def pass_over(self) -> None:
        """A message that is what the model thought is not in it."""
        self.messages += 1
        self.lost[f"role {REASONING}"] += 1

    def lose(self, what: Iterable[str]) -> None:
        """So much of a message that is in it is not."""
        self.lost.update(what)

    def of_conversation(self, conversation: Conversation, holds: Holds) -> None:
        """What has no place of a conversation that is in it."""
        if conversation.title is not None and "title" not in holds.conversation_fields:
            self.lost["title"] += 1
        if conversation.extra and conversation.extra.keys() != {holds.extra_of}:
            self.lost["conversation extra"] += 1

    def of_message(self, message: Message, holds: Holds) -> None:
        """What has no place of a message that is in it."""
        for field in FIELDS[2:]:
            if field not in holds.fields and getattr(message, field) not in (None, {}, []):
                self.lost[field] += 1
        if message.extra and message.extra.keys() != {holds.extra_of}:
            self.lost["extra"] += 1
