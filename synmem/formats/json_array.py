"""One JSON array of `{"conversation_id", "title", "extra", "messages": [...]}`, as a stream.

A message stands on a line of its own; `extra` only where the conversation has one.
"""

from collections.abc import Sequence

from synmem.layouts.interchange import jsonl as jsonlines
from synmem.messages import Conversation, JSONObject, Message, dump_json


class Writer:
    """An object a conversation."""

    def __init__(self) -> None:
        self._behind_conversation = self._behind_message = b""

    def begin(self) -> bytes:
        """The array's bracket."""
        return b"["

    def conversation(self, conversation: Conversation) -> bytes:
        """The object, up to its messages."""
        data: JSONObject = {"conversation_id": conversation.id, "title": conversation.title}
        if conversation.extra:
            data["extra"] = conversation.extra
        head = self._behind_conversation + b"\n" + dump_json(data)[:-1] + b',"messages":['
        self._behind_conversation, self._behind_message = b"\n]},", b""
        return head

    def messages(self, messages: Sequence[Message]) -> bytes:
        """A line for each."""
        if not messages:
            return b""
        # No JSON text holds a raw newline: a newline is the end of an object and nothing else.
        lines = jsonlines.object_lines(messages)[:-1].replace(b"\n", b",\n")
        lines = self._behind_message + b"\n" + lines
        self._behind_message = b","
        return lines

    def end(self) -> bytes:
        """The brackets that are still open."""
        return self._behind_conversation[:-1] + b"\n]\n" if self._behind_conversation else b"]\n"
