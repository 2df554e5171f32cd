"""JSON Lines, the interchange form, with a seal or without: see `layouts/interchange/jsonl.py`."""

import hashlib
from collections.abc import Sequence

from synmem.formats.sealed import alone, marked
from synmem.layouts.interchange import jsonl as jsonlines
from synmem.layouts.interchange.jsonl import PartOf
from synmem.messages import Conversation, Message, encode_lines


class Writer:
    """One message a line; a conversation with a title or extra begins with its title line.

    `whose` is a mark of whoever writes it (`sealed.mark_of`), for a sealed file: what is not cut is
    then part 1 of 1 of a set that carries it.
    """

    def __init__(self, *, seal: bool = False, whose: str = "") -> None:
        self._seal = seal
        self._whose = whose
        self._hash = hashlib.sha256()
        self._conversation = Conversation("")
        self._counted = False
        self._conversations = self._messages = 0
        self._part: PartOf | None = alone(whose) if whose else None

    def begin(self) -> bytes:
        """The opening of a sealed export."""
        if not self._seal:
            return b""
        return jsonlines.OPENING if self._part is None else jsonlines.part_opening(self._part)

    def part(self, name: str, number: int) -> None:
        """See `TakesPart.part`."""
        self._part = PartOf(marked(name, self._whose), number)

    def beginning(self, number: int, of: int) -> bytes:
        """See `TakesPart.beginning`."""
        if not self._seal or self._part is None:
            return b""
        return jsonlines.part_opening(PartOf(self._part.set, number, of))

    def conversation(self, conversation: Conversation) -> bytes:
        """Nothing yet: a conversation without messages does not exist."""
        self._conversation = conversation
        self._counted = False
        return b""

    def messages(self, messages: Sequence[Message]) -> bytes:
        """The title line before the first, and a line for each."""
        if not messages:
            return b""
        return self.lines(0, len(messages), encode_lines(self._conversation.id, messages))

    def lines(self, conversations: int, messages: int, lines: bytes) -> bytes:
        """See `TakesLines.lines`."""
        if not conversations and not self._counted:
            self._counted = True
            conversations = 1
            lines = jsonlines.title_line(self._conversation) + lines
        self._conversations += conversations
        self._messages += messages
        if self._seal:
            self._hash.update(lines)
        return lines

    def end(self) -> bytes:
        """The seal."""
        if not self._seal:
            return b""
        return jsonlines.seal_line(
            self._conversations, self._messages, self._hash.hexdigest(), self._part
        )
