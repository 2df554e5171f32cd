"""What a store holds in one digest, made while it is read: two stores that hold the same have the
same one.

The *root digest* of a store is SHA-256 over a line for each conversation, in the order of the ids'
bytes, as receipts have them (`receipt.Root`): its id, how many messages it has, their digest, and
hashes of title and extra where they are set. The digests are over the fields that the store holds.
`content` is over ids and digests only: that of a receipt which names just these conversations.
"""

import contextlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

from synmem.messages import FIELDS, Digest, Holds, Message, Unreadable
from synmem.operations.moving.compare import description_hashes, description_of
from synmem.operations.moving.receipt import Entry, Ledger, Root, content_of
from synmem.store import ConversationInfo, Page


class Digests(NamedTuple):
    """The digests of a store, and what they are over."""

    root: str
    content: str
    fields: list[str]
    conversation_fields: list[str]


class Contents(contextlib.ExitStack):
    """Takes all pages of a store; on disk where the conversations are many."""

    def __init__(self, holds: Holds) -> None:
        super().__init__()
        self._holds = holds
        self._ledger = Ledger()
        self._digests: dict[str, Digest] = {}
        self._lacks = False

    def __enter__(self) -> Self:
        self.enter_context(self._ledger)
        return self

    def take(self, page: Page) -> None:
        """The next page of a conversation."""
        if self._lacks or _lacks(page.items):
            self._lacks = True
            return
        digest = self._digests.get(page.conversation)
        if digest is None:
            digest = self._digests[page.conversation] = Digest(self._holds)
        digest.update(each for each in page.items if isinstance(each, Message))

    def settle(self, infos: Iterable[ConversationInfo]) -> None:
        """All pages of these were taken."""
        entries = []
        for info in infos:
            self._lacks |= info.unreadable is not None
            if (digest := self._digests.get(info.id)) is not None:
                entries.append(_entry(info, digest, self._holds))
        self._digests.clear()
        self._ledger.record(entries)

    def digests(self) -> Digests | None:
        """Those of all that was taken; None where something of it cannot be read."""
        if self._lacks:
            return None
        root = Root({"scheme": Digest.SCHEME})
        for page in self._ledger.pages():
            for entry in page:
                root.take({key: value for key, value in entry.line().items() if key != "action"})
        pages = self._ledger.pages()
        return Digests(
            str(root),
            content_of((each.digest, each.conversation) for page in pages for each in page),
            [field for field in FIELDS if field in self._holds.fields],
            sorted(self._holds.conversation_fields),
        )


def _lacks(items: Sequence[Message | Unreadable]) -> bool:
    return any(type(item) is Unreadable for item in items)


def _entry(info: ConversationInfo, digest: Digest, holds: Holds) -> Entry:
    return Entry(
        conversation=info.id,
        source=info.id,
        action="",
        messages=digest.messages,
        digest=str(digest),
        description=description_hashes(description_of(info, holds)),
    )
