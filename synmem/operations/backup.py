"""Making a backup: what a destructive command removes is on disk before it is removed.

`backups.py` says what a backup is, and reads it. The order that makes it safe:

    with new_backup(origin) as backup:
        kept = await backup.keep(store, Conversation("user-1"))          # or upto=position
        backup.seal()                                                    # fsync: now it is safe
        await store.delete("user-1", upto=kept.upto)                     # exactly what was kept
        backup.removed(kept)

Who replaces a front instead of deleting it tells `keep` by what (`replacement=messages`): `undo`
then looks for just that at the front. A backup that was not sealed is taken away again.
"""

import asyncio
import contextlib
import hashlib
import json
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec

from synmem import durable, folders
from synmem.errors import (
    Changed,
    ConversationNotFound,
    CorruptData,
    SynmemError,
)
from synmem.formats import jsonl
from synmem.messages import (
    Conversation,
    Digest,
    Holds,
    Message,
    Unreadable,
    dump_json,
    format_time,
)
from synmem.operations.backups import (
    OPENING,
    Journal,
    Kept,
    Manifest,
    Origin,
    Replacement,
    backups,
    sha,
    writing,
)
from synmem.store import Page, Position, Store

__all__ = [
    "Backup",
    "Kept",
    "NotKept",
    "Origin",
    "Replacement",
    "backups",
    "new_backup",
    "not_to_be_kept",
]

_encode = msgspec.json.Encoder().encode
_CALL = 500  # conversations in one read


class NotKept(msgspec.Struct, frozen=True):
    """A conversation that could not be backed up, and why."""

    conversation: str
    error: SynmemError


def not_to_be_kept(conversation: str, why: str) -> CorruptData:
    """What is said of a conversation of which something cannot be read, and so not be kept."""
    return CorruptData(
        f"conversation {conversation!r}, {why}",
        hint="what cannot be read cannot be backed up; --no-backup removes it anyway",
        conversation=conversation,
    )


@contextlib.contextmanager
def new_backup(origin: Origin) -> Iterator["Backup"]:
    """A new backup; where it ends without a seal, it is as if it had never been."""
    backup = Backup(origin)
    try:
        yield backup
    finally:
        backup.close()


class Backup:
    """A backup that is being written; see the module for the order of calls."""

    def __init__(self, origin: Origin) -> None:
        now = datetime.now(UTC)
        self.id = f"{now:%Y%m%d-%H%M%S-%f}-{secrets.token_hex(2)}"
        self._origin = origin
        self._at = format_time(now)
        self._numbers = 0
        self._messages = 0
        self._sealed = 0
        self._index = hashlib.sha256()
        self._turn = asyncio.Lock()  # conversations lie one behind another, and so do sections
        with writing():
            self.folder = folders.state_folder("backups") / self.id
            self.folder.mkdir(mode=0o700)
            self._data = _Section(self.folder / "conversations.jsonl")
            self._entries = durable.create(self.folder / "index.jsonl")
            self._journal = Journal(self.folder)

    @property
    def sealed(self) -> bool:
        """Whether anything in it may have been removed: there is something to undo."""
        return self._sealed > 0

    async def keep(
        self,
        store: Store,
        conversation: Conversation,
        *,
        upto: Position | None = None,
        replacement: "Sequence[Message] | Replacement" = (),
    ) -> Kept:
        """Write a conversation down, or its front up to and with `upto`.

        ConversationNotFound where there is none, Changed where `upto` is not there any more,
        CorruptData (naming it) where a record cannot be read and so not be kept.
        """
        pages = store.read([conversation.id])
        run = self._begin(conversation)
        try:
            async for page in pages:
                if run.take(page, upto):
                    break
        except BaseException:
            run.take_back()
            raise
        if not run.messages:
            run.take_back()
            raise ConversationNotFound(conversation.id, store.name)
        if upto is not None and run.upto != upto:
            run.take_back()
            raise Changed(f"conversation {conversation.id!r} in {store.name} changed meanwhile")
        return self._end(run, _replacement(replacement, store.holds))

    async def keep_sealed(
        self,
        store: Store,
        conversation: Conversation,
        *,
        upto: Position,
        replacement: Replacement,
    ) -> Kept:
        """`keep` and `seal` in one turn, for tasks that remove one conversation each."""
        async with self._turn:
            kept = await self.keep(store, conversation, upto=upto, replacement=replacement)
            self.seal()
        return kept

    async def keep_whole(
        self, store: Store, conversations: Sequence[Conversation]
    ) -> AsyncIterator[Kept | NotKept]:
        """Write many conversations down, many in one read; one that cannot be kept is named.

        In any order. A conversation that is not there any more is left out.
        """
        for start in range(0, len(conversations), _CALL):
            batch = {each.id: each for each in conversations[start : start + _CALL]}
            async for outcome in self._keep_batch(store, batch):
                yield outcome

    async def _keep_batch(
        self, store: Store, batch: dict[str, Conversation]
    ) -> AsyncIterator[Kept | NotKept]:
        run: _Run | None = None
        failed: str | None = None
        try:
            async for page in store.read(list(batch)):
                if page.conversation == failed:
                    continue
                if run is not None and run.conversation.id != page.conversation:
                    yield self._end(run)
                    run = None
                run = run or self._begin(batch[page.conversation])
                try:
                    run.take(page, None)
                except CorruptData as error:
                    run.take_back()
                    failed, run = page.conversation, None
                    yield NotKept(failed, error)
        except BaseException:
            if run is not None:
                run.take_back()
            raise
        if run is not None:
            yield self._end(run)

    def _begin(self, conversation: Conversation) -> "_Run":
        return _Run(self._data, conversation)

    def _end(self, run: "_Run", replacement: Replacement | None = None) -> Kept:
        kept = Kept(
            self._numbers, run.conversation, run.upto, run.messages, run.offset,
            self._data.end - run.offset, replacement,
        )  # fmt: skip
        line = dump_json(msgspec.to_builtins(kept)) + b"\n"
        with writing():
            self._entries.write(line)
        self._index.update(line)
        self._numbers += 1
        self._messages += kept.messages
        self._data.conversations += 1
        self._data.messages += kept.messages
        return kept

    def seal(self) -> Manifest:
        """Make everything kept so far durable; only now may it be removed. May be called again."""
        manifest = Manifest(
            id=self.id, at=self._at, origin=self._origin, conversations=self._numbers,
            messages=self._messages, index=sha(self._index),
        )  # fmt: skip
        with writing():
            self._data.seal()
            durable.sync(self._entries)
            _replace(self.folder / "manifest.json", _encode(manifest))
            durable.sync_folder(self.folder)
            durable.sync_folder(self.folder.parent)
        self._sealed = self._numbers
        return manifest

    def removed(self, kept: Kept) -> None:
        """Remember that this was removed from its store."""
        self._journal.write("removed", kept.number)

    def void(self, kept: Kept) -> None:
        """Remember that this was not removed after all."""
        self._journal.write("void", kept.number)

    def close(self) -> None:
        """Give the files back; without a seal, or with nothing in it, the folder goes too."""
        for file in (self._data, self._entries, self._journal):
            with contextlib.suppress(OSError):  # a full disk: what was sealed is out already
                file.close()
        if not self.sealed:
            shutil.rmtree(self.folder, ignore_errors=True)


class _Section:
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


class _Run:
    """One conversation on its way into a section."""

    def __init__(self, section: _Section, conversation: Conversation) -> None:
        with writing():
            section.begin()
        self.conversation = conversation
        self.offset = section.end
        self.messages = 0
        self.upto: Position = ""
        self._section = section
        self._before = section.hash.copy()
        self._lines = jsonl.Writer()
        self._lines.conversation(conversation)

    def take(self, page: Page, upto: Position | None) -> bool:
        """Write a page down, no further than `upto`; tell whether it was reached."""
        items, reached = _cut(page, upto)
        for item in items:
            if isinstance(item, Unreadable):
                raise not_to_be_kept(self.conversation.id, f"record {item.position}: {item.reason}")
        self._write(self._lines.messages(cast("Sequence[Message]", items)))
        self.messages += len(items)
        self.upto = page.position(len(items) - 1)
        return reached

    def take_back(self) -> None:
        with writing():
            self._section.take_back(self.offset, self._before)

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


def _replacement(messages: Sequence[Message] | Replacement, holds: Holds) -> Replacement | None:
    if isinstance(messages, Replacement):
        return messages
    if not messages:
        return None
    digest = Digest(holds)
    digest.update(messages)
    return Replacement(len(messages), str(digest))


def _replace(path: Path, data: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with durable.create(fresh) as file:
        file.write(data)
        durable.sync(file)
    fresh.replace(path)
