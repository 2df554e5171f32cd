"""JSON Lines, the interchange form, with a seal or without: see `layouts/jsonlines.py`."""

import hashlib
from collections.abc import Sequence

from synmem.layouts import jsonlines
from synmem.messages import Conversation, Message, line_prefix


class Writer:
    """One message a line; a conversation with a title or extra begins with its title line."""

    def __init__(self, *, seal: bool = False) -> None:
        self._seal = seal
        self._hash = hashlib.sha256()
        self._prefix = self._title = b""
        self._conversations = self._messages = 0

    def begin(self) -> bytes:
        """The opening of a sealed export."""
        return jsonlines.OPENING if self._seal else b""

    def conversation(self, conversation: Conversation) -> bytes:
        """Nothing yet: a conversation without messages does not exist."""
        self._prefix = line_prefix(conversation.id)
        self._title = jsonlines.title_line(conversation)
        self._counted = False
        return b""

    def messages(self, messages: Sequence[Message]) -> bytes:
        """The title line before the first, and a line for each."""
        if not messages:
            return b""
        if not self._counted:
            self._counted = True
            self._conversations += 1
        lines = self._title + jsonlines.message_lines(self._prefix, messages)
        self._title = b""
        self._messages += len(messages)
        if self._seal:
            self._hash.update(lines)
        return lines

    def end(self) -> bytes:
        """The seal."""
        if not self._seal:
            return b""
        return jsonlines.seal_line(self._conversations, self._messages, self._hash.hexdigest())
