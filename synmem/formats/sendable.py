"""The messages of conversations that pass by, as far as a form takes them."""

from collections.abc import Callable, Iterable
from typing import Final

from synmem.formats.losses import REASONING, Losses
from synmem.layouts.interchange.calls import Linked, Linking
from synmem.messages import Conversation, Holds, Message, plain

_SYSTEM: Final = frozenset({"system", "developer"})
_NOT_FIRST: Final = "nothing may stand in front of the user's first message"


class Sendable:
    """Sees conversations one after another; what the form does not take is told to `losses`.

    `refusal` says why the form cannot hold a message, `roles` are those of which it holds any
    `plain` one, `apart` are messages whose calls and results are left as they are. With
    `user_first` nothing but system messages may stand in front of the user's first.
    """

    def __init__(
        self,
        losses: Losses,
        holds: Holds,
        roles: frozenset[str],
        refusal: Callable[[Message], str | None],
        linking: Linking,
        *,
        apart: Callable[[Message], bool] = lambda message: False,
        user_first: bool = False,
    ) -> None:
        self.conversation = Conversation("")
        """The one that was begun last."""
        self._losses = losses
        self._holds = holds
        self._roles = roles
        self._refusal = refusal
        self._linking = linking
        self._apart = apart
        self._user_first = user_first
        self._waits = user_first
        self._number = 0
        self._given = False

    def begin(self, conversation: Conversation) -> None:
        """The next conversation; the one before is ended."""
        self.conversation, self._number, self._given = conversation, 0, False
        self._waits = self._user_first

    def number(self, number: int) -> None:
        """The next message is the conversation's `number`-th."""
        self._number = number - 1

    def take(self, messages: Iterable[Message]) -> list[Message]:
        """The next messages of it: those that can be sent now."""
        found: list[Message] = []
        for message in messages:
            self._number += 1
            if message.role == REASONING:
                self._losses.pass_over()
                continue
            usual = plain(message) and message.role in self._roles
            why = None if usual else self._refusal(message)
            if self._waits and why is None and message.role not in _SYSTEM:
                self._waits = message.role != "user"
                why = _NOT_FIRST if self._waits else None
            if why:
                self._losses.leave_out(self.conversation.id, self._number, why)
            elif not usual and self._apart(message):
                found += self._told(self._linking.pass_by(message))
            else:
                found += self._told(self._linking.take(self._number, message))
        return found

    def end(self) -> list[Message]:
        """The last messages of it."""
        found = self._told(self._linking.end())
        if self._number and not self._given:
            self._losses.conversations += 1
        renamed, self._linking.renamed = self._linking.renamed, 0
        self._losses.lose(["id of a tool call"] * renamed)
        return found

    def _told(self, linked: Linked) -> list[Message]:
        for number, why, whole in linked.left_out:
            self._losses.leave_out(self.conversation.id, number, why, whole=whole)
        for message in linked.messages:
            self._losses.of_message(message, self._holds)
        self._given |= bool(linked.messages)
        return linked.messages
