"""How conversations are written down in a backup: sections of sealed lines, one conversation
behind another, with what lies beside each and what stood behind it. `backup.py` is who does it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from synmem import durable
from synmem.errors import CorruptData
from synmem.formats import jsonl
from synmem.messages import Conversation, Digest, Holds, JSONObject, Message, Unreadable
from synmem.notes import files_of, positions_in
from synmem.operations.keeping.backups import OPENING, Kept, Left, Replacement, sha, writing
from synmem.store import (
    START,
    Page,
    Position,
    Store,
    SupportsExpiry,
    SupportsNotes,
    SupportsTrial,
)

BEHIND: Final = 16
"""So many messages behind those that are kept tell what stood there."""


def not_to_be_kept(conversation: str, why: str) -> CorruptData:
    """What is said of a conversation that could not be brought back: something of it cannot be
    read, or the store would not take it."""
    return CorruptData(
        f"conversation {conversation!r}, {why}",
        hint="what cannot be read, or not be written back, cannot be backed up; --no-backup "
        "removes it anyway",
        conversation=conversation,
    )


class Beside(msgspec.Struct, frozen=True):
    """What lies beside conversations and goes with them; and which of them the store would not
    take back."""

    notes: Mapping[str, JSONObject]
    aside: Mapping[str, JSONObject]
    expires_s: Mapping[str, float]
    refused: Mapping[str, str]

    @staticmethod
    async def of(store: Store, conversations: Sequence[str], folder: Path) -> "Beside":
        """All of it, asked for in a few round trips; `folder` has the notes that lie aside."""
        return Beside(
            await store.notes(conversations) if isinstance(store, SupportsNotes) else {},
            files_of(folder, conversations),
            await store.expiring(conversations) if isinstance(store, SupportsExpiry) else {},
            await store.refuses_back(conversations) if isinstance(store, SupportsTrial) else {},
        )


class Behind:
    """The first messages that stand behind those that are kept."""

    def __init__(self, holds: Holds) -> None:
        self._digest = Digest(holds)
        self._position: Position | None = None

    def take(self, page: Page, start: int) -> bool:
        """The items of a page from `start` on; tell whether these are enough."""
        items = page.items[start:]
        if items and self._position is None:
            self._position = page.position(start)
        for item in items[: BEHIND - self._digest.messages]:
            if isinstance(item, Unreadable):
                return True
            self._digest.update([item])
        return self._digest.messages == BEHIND

    @property
    def left(self) -> Left | None:
        """What was found, if anything."""
        if self._position is None:
            return None
        return Left(self._position, self._digest.messages, str(self._digest))


class Section:
    """The sealed JSON Lines, section after section; a seal ends each."""

    def __init__(self, path: Path) -> None:
        self._file = durable.create(path)
        self.end = 0
        self._open = False
        self.conversations = self.messages = 0
        self.hash = hashlib.sha256()

    def write(self, lines: bytes) -> None:
        if not self._open:
            self._file.write(OPENING)
            self.end += len(OPENING)
            self._open = True
        self._file.write(lines)
        self.hash.update(lines)
        self.end += len(lines)

    def begin(self) -> None:
        self.write(b"")

    def take_back(self, end: int, before: Any) -> None:
        self._file.seek(end)
        self._file.truncate()
        self.end = end
        self.hash = before

    def seal(self) -> None:
        if not self._open:
            return
        line = _seal_line(self.conversations, self.messages, sha(self.hash))
        self._file.write(line)
        durable.sync(self._file)
        self.end += len(line)
        self._open = False
        self.conversations = self.messages = 0
        self.hash = hashlib.sha256()

    def close(self) -> None:
        self._file.close()


class Run:
    """One conversation on its way into a section."""

    def __init__(
        self, section: Section, store: Store, conversation: Conversation, beside: Beside
    ) -> None:
        with writing():
            section.begin()
        self.conversation = conversation
        self.messages = 0
        self.reached = False
        """Whether the last message to be kept was taken."""
        self._offset = section.end
        self._first: Position = START
        self._upto: Position = START
        self._store = store
        self._notes = dict(beside.notes.get(conversation.id, {}))
        self._aside = dict(beside.aside.get(conversation.id, {}))
        self._expires_s = beside.expires_s.get(conversation.id)
        self._wanted = positions_in([*self._notes.values(), *self._aside.values()])
        self._anchors: dict[Position, int] = {}
        self._section = section
        self._before = section.hash.copy()
        self._lines = jsonl.Writer()
        self._lines.conversation(conversation)

    def take(self, page: Page, upto: Position | None) -> int:
        """Write a page down, no further than `upto`; tell how many were taken."""
        items, self.reached = _cut(page, upto)
        for number, item in enumerate(items, self.messages + 1):
            if isinstance(item, Unreadable):
                raise not_to_be_kept(self.conversation.id, f"record {item.position}: {item.why}")
            if why := self._store.refusal(item):
                raise not_to_be_kept(self.conversation.id, f"message {number:,}: {why}")
        self._write(self._lines.messages(cast("Sequence[Message]", items)))
        self._note_positions(page, len(items))
        self.messages += len(items)
        return len(items)

    def kept(
        self, number: int, end: int, replacement: Replacement | None, left: Left | None
    ) -> Kept:
        """What there is to say of it."""
        return Kept(
            number, self.conversation, self._upto, self.messages, self._offset, end - self._offset,
            replacement, self._first, left, self._notes, self._aside, self._anchors,
            self._expires_s if left is None else None,
        )  # fmt: skip

    def take_back(self) -> None:
        """Leave no trace of it."""
        with writing():
            self._section.take_back(self._offset, self._before)

    def _note_positions(self, page: Page, count: int) -> None:
        if not self.messages:
            self._first = page.position(0)
        self._upto = page.position(count - 1)
        for i in range(count) if self._wanted else ():
            if (position := page.position(i)) in self._wanted:
                self._anchors[position] = self.messages + i

    def _write(self, lines: bytes) -> None:
        with writing():
            self._section.write(lines)


def _seal_line(conversations: int, messages: int, digest: str) -> bytes:
    """The seal as `formats/jsonl.py` writes it; there it would not let a conversation go back."""
    counts = {"conversations": conversations, "messages": messages, "digest": digest}
    return json.dumps({"synmem": counts}).encode() + b"\n"


def _cut(page: Page, upto: Position | None) -> tuple[Sequence[Message | Unreadable], bool]:
    if upto is not None:
        for i in range(len(page.items)):
            if page.position(i) == upto:
                return page.items[: i + 1], True
    return page.items, False
