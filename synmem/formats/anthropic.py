"""Requests to Anthropic, a line a conversation: see `layouts/interchange/anthropic.py`."""

from collections.abc import Iterable, Sequence

from synmem.formats.losses import Losses
from synmem.formats.sendable import Sendable
from synmem.layouts.interchange import anthropic
from synmem.layouts.interchange.calls import Linking
from synmem.layouts.interchange.objects import members, strict
from synmem.messages import Conversation, JSONObject, Message


class Writer:
    """An object a conversation, of those of its messages that Anthropic takes."""

    is_uncut = True

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        linking = Linking(anthropic.ID, unique=True)
        self._sendable = Sendable(
            losses, anthropic.HOLDS, anthropic.ROLES, anthropic.refusal, linking, user_first=True
        )
        self._turn: list[Message] = []
        self._begun = False
        self._written = 0

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def conversation(self, conversation: Conversation) -> bytes:
        """What is left of the one before."""
        ended = self.end()
        self._sendable.begin(conversation)
        return ended

    def number(self, number: int) -> None:
        """See `TakesNumbers.number`."""
        self._sendable.number(number)

    def messages(self, messages: Sequence[Message]) -> bytes:
        """Those of their turns that have come to an end."""
        return self._turns(self._sendable.take(messages))

    def end(self) -> bytes:
        """What is left of the last one."""
        last = self._turns(self._sendable.end())
        if self._turn:
            last += self._ended()
        if not self._begun:
            return last
        self._begun, self._written = False, 0
        self._losses.of_conversation(self._sendable.conversation, anthropic.HOLDS)
        self._losses.lose(["conversation id"])
        return last + b"]}\n"

    def _turns(self, messages: Iterable[Message]) -> bytes:
        pieces = []
        for message in messages:
            if self._turn and anthropic.role_of(message) != anthropic.role_of(self._turn[0]):
                pieces.append(self._ended())
            self._turn.append(message)
        return b"".join(pieces)

    def _ended(self) -> bytes:
        """The turn that has come to an end."""
        turn, self._turn = self._turn, []
        item, lost = anthropic.turn(turn)
        self._losses.lose(lost)
        if not self._begun:
            self._begun = True
            if item["role"] == "system":
                return self._head({"system": item["content"]})
            head = self._head({})
        else:
            head = b""
        self._written += 1
        return head + (b"," if self._written > 1 else b"") + strict(item)

    def _head(self, system: JSONObject) -> bytes:
        """The object up to its messages."""
        own, lost = members(self._sendable.conversation, anthropic.NAME)
        self._losses.lose(lost)
        data = strict({**own, **system})
        return data[:-1] + (b"," if len(data) > 2 else b"") + b'"messages":['
