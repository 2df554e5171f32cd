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
        self.number = pages.number
        self.messages: Callable[[Sequence[Message]], bytes] = pages.messages

    def begin(self) -> bytes:
        """No file yet."""
        return self._pages.begin()

    def listed(self, info: ConversationInfo, *, alone: bool) -> None:
        """The next entry."""
        if self._write is None:
            self._write = self._stack.enter_context(writing(self._path, folders=True))
            self._write(self._index.begin())
        self._write(self._index.entry(info, self._place(info.id).name))
        self._pages.listed(info, alone=alone)

    def conversation(self, conversation: Conversation) -> bytes:
        """The next page."""
        return self._pages.conversation(conversation)

    def end(self) -> bytes:
        """The last page and the index are whole."""
        if self._write is not None:
            self._write(self._index.end())
        return self._pages.end()
