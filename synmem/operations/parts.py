"""An export in several files: cut where a size or a number of messages is reached, or one for
each conversation.

Both are a `Writer` around those of the files, so that an `Export` needs not know: what they are
given goes to the files, and nothing to the caller. They take a listing and numbers where the
writers of the files do: what nobody takes needs not be asked of a store. Every file is whole in
itself, with a beginning, an end and a seal of its own; a conversation that is cut begins again,
with its title, in the next file. A sealed file says which part of how many it is, and of which
export.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from synmem.formats import TakesListing, TakesNumbers, TakesPart, Uncut, Writer
from synmem.messages import Conversation, Message
from synmem.store import ConversationInfo


class Files(Protocol):
    """Where the files go: one after another, each begun, written and ended."""

    def begin(self, conversation: str) -> None:
        """The next file; it begins with this conversation ("": with none)."""
        ...

    def write(self, piece: bytes) -> None:
        """More of it."""
        ...

    def end(self) -> None:
        """It is whole."""
        ...

    def begin_again(self, number: int, beginning: bytes) -> None:
        """Put these bytes in the place of as many that file `number`, from 1, begins with."""
        ...


Make = Callable[[], Writer]
"""A new writer for each file."""


class Apart:
    """A file for each conversation."""

    def __init__(self, make: Make, files: Files) -> None:
        self._make = make
        self._files = files
        self._writer: Writer | None = None
        self._info: ConversationInfo | None = None
        like = make()
        if isinstance(like, TakesListing):
            self.listed = self._listed
        if isinstance(like, TakesNumbers):
            self.number = self._numbered

    def _listed(self, info: ConversationInfo, *, alone: bool) -> None:
        """See `TakesListing.listed`: each is alone in its file."""
        self._info = info

    def _numbered(self, number: int) -> None:
        """See `TakesNumbers.number`."""
        assert isinstance(self._writer, TakesNumbers)
        self._writer.number(number)

    def begin(self) -> bytes:
        """No file yet."""
        return b""

    def conversation(self, conversation: Conversation) -> bytes:
        """The next file."""
        self.end()
        self._files.begin(conversation.id)
        self._writer = self._make()
        if isinstance(self._writer, TakesListing) and self._info is not None:
            self._writer.listed(self._info, alone=True)
        self._files.write(self._writer.begin() + self._writer.conversation(conversation))
        return b""

    def messages(self, messages: Sequence[Message]) -> bytes:
        """More of the file."""
        assert self._writer is not None
        self._files.write(self._writer.messages(messages))
        return b""

    def end(self) -> bytes:
        """The last file is whole."""
        if self._writer is not None:
            self._files.write(self._writer.end())
            self._files.end()
            self._writer = None
        return b""


class Limit(NamedTuple):
    """How large a file may become: so many messages, or so many bytes."""

    number: int
    bytes: bool


_SPARE = 16
"""Bytes by which an end may grow, and that stand between conversations."""


def cutting(make: Make, files: Files, limit: Limit) -> Writer:
    """What cuts an export into files of that size."""
    writer = make()
    return Between(writer, files, limit) if isinstance(writer, Uncut) else Cut(make, files, limit)


class Between:
    """A new file wherever the next conversation would be too much for the one before.

    Only a file of a single conversation, which is longer than that by itself, has more. There is
    always a first file. One conversation is held in memory.
    """

    def __init__(self, writer: Writer, files: Files, limit: Limit) -> None:
        self._writer = writer
        self._files = files
        self._limit = limit
        self._held: list[bytes] = []
        self._messages = 0
        self._conversation = ""
        self._used = 0
        if isinstance(writer, TakesNumbers):
            self.number = writer.number

    def begin(self) -> bytes:
        """The first file."""
        self._files.begin("")
        return b""

    def conversation(self, conversation: Conversation) -> bytes:
        """The one before is whole."""
        self._settle(self._writer.conversation(conversation))
        self._conversation = conversation.id
        return b""

    def messages(self, messages: Sequence[Message]) -> bytes:
        """More of the conversation."""
        self._held.append(self._writer.messages(messages))
        self._messages += len(messages)
        return b""

    def end(self) -> bytes:
        """The last file is whole."""
        self._settle(self._writer.end())
        self._files.end()
        return b""

    def _settle(self, rest: bytes) -> None:
        """Write the conversation that is held, in the file that has room for it."""
        data = b"".join([*self._held, rest])
        size = len(data) if self._limit.bytes or not data else self._messages
        self._held, self._messages = [], 0
        if self._used and self._used + size > self._limit.number:
            self._files.end()
            self._files.begin(self._conversation)
            self._used = 0
        self._files.write(data)
        self._used += size


class Cut:
    """A new file wherever the next message would be too much for the one before.

    Only a file of a single message, which is longer than that by itself, has more bytes. There is
    always a first file.
    """

    def __init__(self, make: Make, files: Files, limit: Limit) -> None:
        self._make = make
        self._files = files
        self._limit = limit
        self._writer = make()
        self._set = secrets.token_hex(8)
        self._number = 0
        self._conversation = Conversation("")
        self._info: ConversationInfo | None = None
        self._alone = False
        self._message = 1
        self._begun = False
        """Whether the conversation was begun in this file."""
        self._used = 0
        self._held = 0
        """How many messages the file has."""
        if isinstance(self._writer, TakesListing):
            self.listed = self._listed
        if isinstance(self._writer, TakesNumbers):
            self.number = self._numbered

    def _listed(self, info: ConversationInfo, *, alone: bool) -> None:
        """See `TakesListing.listed`."""
        self._info, self._alone = info, alone

    def _numbered(self, number: int) -> None:
        """See `TakesNumbers.number`."""
        self._message = number

    def begin(self) -> bytes:
        """The first file."""
        self._open("")
        return b""

    def conversation(self, conversation: Conversation) -> bytes:
        """The conversation begins with its first message, in whichever file there is room."""
        self._conversation, self._begun = conversation, False
        self._message = 1
        return b""

    def messages(self, messages: Sequence[Message]) -> bytes:
        """As many as there is room for, and the others in further files."""
        head, sizes = self._measure(messages)
        start = 0
        while start < len(messages):
            stop = self._fitting(sizes, start, 0 if self._begun else head)
            if stop == start and self._held:
                self._end()
                self._open(self._conversation.id)
                continue
            stop = max(stop, start + 1)
            self._write(messages[start:stop])
            start = stop
        return b""

    def end(self) -> bytes:
        """The last file is whole; now each can say of how many it is one."""
        self._end()
        if isinstance(self._writer, TakesPart):
            for number in range(1, self._number + 1):
                if beginning := self._writer.beginning(number, self._number):
                    self._files.begin_again(number, beginning)
        return b""

    def _end(self) -> None:
        self._files.write(self._writer.end())
        self._files.end()

    def _open(self, conversation: str) -> None:
        self._writer = self._make()
        self._number += 1
        if isinstance(self._writer, TakesPart):
            self._writer.part(self._set, self._number)
        self._files.begin(conversation)
        self._begun = False
        self._held = 0
        beginning = self._writer.begin()
        self._used = len(beginning)
        self._files.write(beginning)

    def _write(self, messages: Sequence[Message]) -> None:
        head = b"" if self._begun else self._head(self._writer)
        if isinstance(self._writer, TakesNumbers):
            self._writer.number(self._message)
        piece = head + self._writer.messages(messages)
        self._message += len(messages)
        self._files.write(piece)
        self._begun = True
        self._held += len(messages)
        self._used += len(piece)

    def _head(self, writer: Writer) -> bytes:
        if isinstance(writer, TakesListing) and self._info is not None:
            writer.listed(self._info, alone=self._alone)
        return writer.conversation(self._conversation)

    def _measure(self, messages: Sequence[Message]) -> tuple[int, list[int]]:
        """What it takes to begin the conversation, and what each message takes."""
        if not self._limit.bytes:
            return 0, [1] * len(messages)
        trial = self._make()
        head = len(self._head(trial)) + len(trial.messages(messages[:1]))
        sizes = [len(trial.messages([message])) for message in messages]
        return head - sizes[0], sizes

    def _fitting(self, sizes: list[int], start: int, head: int) -> int:
        """Behind which message there is no room left."""
        used = self._used + head + len(self._writer.end()) + _SPARE
        room = self._limit.number - (used if self._limit.bytes else self._held)
        for i in range(start, len(sizes)):
            room -= sizes[i]
            if room < 0:
                return i
        return len(sizes)
