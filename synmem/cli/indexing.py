"""A folder of pages with an index of them."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from synmem.cli.files import writing
from synmem.formats.html.index import Index
from synmem.messages import Conversation, Message
from synmem.operations.parts import Apart
from synmem.store import ConversationInfo


class Indexed:
    """A writer of a page for each conversation, and of the page that names them all.

    `place` tells where a conversation's own page lies. The index is begun with its first entry,
    and takes its place when the `stack` ends well.
    """

    def __init__(
        self,
        pages: Apart,
        index: Path,
        place: Callable[[str], Path],
        stack: contextlib.ExitStack,
    ) -> None:
        self._pages = pages
        self._path, self._place, self._stack = index, place, stack
        self._index = Index()
        self._write: Callable[[bytes], object] | None = None
        self._info: ConversationInfo | None = None
        """The conversation whose entry waits for what is said first in it."""
        self.number = pages.number

    def begin(self) -> bytes:
        """No file yet."""
        return self._pages.begin()

    def listed(self, info: ConversationInfo, *, alone: bool) -> None:
        """The next entry."""
        if self._write is None:
            self._write = self._stack.enter_context(writing(self._path, folders=True))
            self._write(self._index.begin())
        self._enter()
        self._info = info
        if info.title:
            self._enter()
        self._pages.listed(info, alone=alone)

    def _enter(self, messages: Sequence[Message] = ()) -> None:
        if self._info is not None and self._write is not None:
            file = self._place(self._info.id).name
            self._write(self._index.entry(self._info, file, messages))
        self._info = None

    def messages(self, messages: Sequence[Message]) -> bytes:
        """More of the page."""
        self._enter(messages)
        return self._pages.messages(messages)

    def conversation(self, conversation: Conversation) -> bytes:
        """The next page."""
        return self._pages.conversation(conversation)

    def end(self) -> bytes:
        """The last page and the index are whole."""
        self._enter()
        if self._write is not None:
            self._write(self._index.end())
        return self._pages.end()
