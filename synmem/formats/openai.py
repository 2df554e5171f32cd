"""OpenAI's chat messages, a line a conversation: see `layouts/interchange/openai.py`."""

from collections.abc import Iterable, Sequence

from synmem.formats.losses import Losses
from synmem.formats.sendable import Sendable
from synmem.layouts.interchange import openai
from synmem.layouts.interchange.calls import Linking
from synmem.layouts.interchange.objects import members, strict
from synmem.messages import Conversation, JSONObject, Message


class Writer:
    """An object a conversation, of those of its messages that OpenAI takes."""

    is_uncut = True

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._sendable = Sendable(
            losses, openai.HOLDS, openai.ROLES, openai.refusal, Linking(), apart=openai.is_older
        )
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
        """What of them can be sent by now."""
        return self._items(self._sendable.take(messages))

    def end(self) -> bytes:
        """What is left of the last one."""
        last = self._items(self._sendable.end())
        if not self._written:
            return last
        self._written = 0
        conversation = self._sendable.conversation
        self._losses.of_conversation(conversation, openai.HOLDS)
        self._losses.lose(["conversation id"])
        around, beside, lost = self._besides()
        self._losses.lose(lost)
        end = b"}\n" if around else b"\n"
        return last + b"]" + (b"," + strict(beside)[1:] if beside else b"}") + end

    def _besides(self) -> tuple[JSONObject, JSONObject, list[str]]:
        """What the object has around its messages, and beside them; and what of it is lost."""
        own, lost = members(self._sendable.conversation, openai.NAME)
        return *openai.parted(own), lost

    def _head(self) -> bytes:
        around, _, _ = self._besides()
        return (strict(around)[:-1] + b',"body":' if around else b"") + b'{"messages":['

    def _items(self, messages: Iterable[Message]) -> bytes:
        pieces = []
        for message in messages:
            item, lost = openai.fold(message)
            self._losses.lose(lost)
            pieces.append((b"," if self._written else self._head()) + strict(item))
            self._written += 1
        return b"".join(pieces)
