"""ShareGPT, a line a conversation: see `layouts/interchange/sharegpt.py`."""

from collections.abc import Sequence

from synmem.formats.losses import REASONING, Losses
from synmem.layouts.interchange import sharegpt
from synmem.layouts.interchange.objects import members, strict, unfit
from synmem.messages import Conversation, JSONObject, Message, plain


class Writer:
    """An object a conversation, of those of its messages that ShareGPT has turns for."""

    is_uncut = True

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._conversation = Conversation("")
        self._number = self._turns = 0
        self._begun = False

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def conversation(self, conversation: Conversation) -> bytes:
        """The end of the one before."""
        ended = self.end()
        self._conversation, self._number = conversation, 0
        return ended

    def number(self, number: int) -> None:
        """See `TakesNumbers.number`."""
        self._number = number - 1

    def messages(self, messages: Sequence[Message]) -> bytes:
        """The turns of each."""
        pieces = []
        for message in messages:
            self._number += 1
            usual = plain(message) and message.role in sharegpt.ROLES
            why = None if usual else sharegpt.refusal(message)
            if why and message.role == REASONING:
                self._losses.pass_over()
                continue
            if why:
                self._losses.leave_out(self._conversation.id, self._number, why)
                continue
            self._losses.of_message(message, sharegpt.HOLDS)
            self._losses.lose(sharegpt.lost(message))
            pieces.append(self._written(message))
        return b"".join(pieces)

    def end(self) -> bytes:
        """The end of the last one."""
        if not self._begun:
            self._losses.conversations += self._number > 0
            return b""
        self._begun, self._turns = False, 0
        return b"]}\n"

    def _written(self, message: Message) -> bytes:
        if not self._begun:
            self._begun = True
            if sharegpt.stands_beside(message):
                return self._head({"system": message.content})
            head = self._head({})
        else:
            head = b""
        turns = b",".join(map(strict, sharegpt.fold(message)))
        behind = b"," if self._turns else b""
        self._turns += 1
        return head + behind + turns

    def _head(self, system: JSONObject) -> bytes:
        """The object up to its turns."""
        conversation = self._conversation
        self._losses.of_conversation(conversation, sharegpt.HOLDS)
        own, lost = members(conversation, sharegpt.NAME)
        self._losses.lose(lost)
        data: JSONObject = {"id": conversation.id}
        if conversation.title is not None and not unfit(conversation.title):
            data["title"] = conversation.title
        elif conversation.title is not None:
            self._losses.lose(["title"])
        return strict({**data, **own, **system})[:-1] + b',"conversations":['
