"""Bringing back what a destructive command removed, from its backup."""

from collections.abc import AsyncIterator, Sequence

import msgspec

from synmem.errors import Changed, CorruptData, Rejected, SynmemError
from synmem.messages import Conversation, Digest, Message
from synmem.operations import backups
from synmem.operations.backups import Journal, Kept, Manifest
from synmem.operations.looking import infos_of
from synmem.store import START, ConversationInfo, Part, Position, Store

_CALL = 500  # conversations in one append


class Restored(msgspec.Struct, frozen=True):
    """A conversation is back; with no messages: it had never been removed."""

    conversation: str
    messages: int


class NotRestored(msgspec.Struct, frozen=True):
    """A conversation that could not be brought back, and why."""

    conversation: str
    error: SynmemError


async def undo(store: Store, manifest: Manifest) -> AsyncIterator[Restored | NotRestored]:
    """Bring back everything in a backup that is not back yet.

    What stands in a conversation meanwhile stays, behind what comes back; a summary that
    replaced a front gives way to it. CorruptData, and nothing written, where the backup is not
    as it was written. Run again after a crash it goes on, and doubles nothing.
    """
    entries = backups.entries(manifest)
    backups.verify(manifest)
    journal = backups.journal(manifest)
    words = journal.words()
    if words.get(-1) == "undone":
        raise SynmemError(f"backup {manifest.id} is undone already")
    whole = True
    try:
        for start in range(0, len(entries), _CALL):
            batch = [each for each in entries[start : start + _CALL] if _due(words, each)]
            async for outcome in _Batch(store, manifest, journal, words).restore(batch):
                whole = whole and isinstance(outcome, Restored)
                yield outcome
        if whole:
            journal.write("undone", sync=True)
    finally:
        journal.close()


def _due(words: dict[int, str], kept: Kept) -> bool:
    return words.get(kept.number) not in ("restored", "void")


class _Batch:
    """Some conversations of a backup on their way back into a store."""

    def __init__(
        self, store: Store, manifest: Manifest, journal: Journal, words: dict[int, str]
    ) -> None:
        self._store = store
        self._manifest = manifest
        self._journal = journal
        self._words = words

    async def restore(self, batch: Sequence[Kept]) -> AsyncIterator[Restored | NotRestored]:
        """Bring these back; what is absent and small in one write, the others one by one."""
        ids = [each.conversation.id for each in batch]
        there = await infos_of(self._store, ids, details=True)
        gone = [
            each for each in batch if self._is_small(each) and each.conversation.id not in there
        ]
        done = await self._append(gone)
        for each in done:
            yield Restored(each.conversation.id, each.messages)
        numbers = {each.number for each in done}
        for each in batch:
            if each.number not in numbers:
                yield await self._put_back(each, there.get(each.conversation.id))

    def _is_small(self, kept: Kept) -> bool:
        holds = self._store.holds
        return (
            kept.replacement is None
            and kept.messages <= holds.call_messages // _CALL
            and kept.size <= holds.call_bytes // _CALL
        )

    async def _append(self, batch: list[Kept]) -> list[Kept]:
        """Bring all of these back in one write; none of them where it is refused."""
        if not batch:
            return []
        parts = [
            Part(each.conversation, [m for page in self._read(each) for m in page], expect=START)
            for each in batch
        ]
        try:
            self._journal.write("restoring", *(each.number for each in batch), sync=True)
            await self._store.append(parts)
        except (Changed, Rejected, CorruptData):
            return []  # one by one, the one that is refused can be named
        self._journal.write("restored", *(each.number for each in batch))
        return batch

    async def _put_back(self, kept: Kept, info: ConversationInfo | None) -> Restored | NotRestored:
        """Put the messages in front of what is there, unless they never went."""
        try:
            if info is not None and await self._is_there(kept):
                self._journal.write("restored", kept.number)
                return Restored(kept.conversation.id, 0)
            upto = START if info is None else await self._gives_way(kept)
            self._journal.write("restoring", kept.number, sync=True)
            await self._store.replace(_described(kept, info), self._stream(kept), upto=upto)
        except (Changed, Rejected, CorruptData) as error:
            if isinstance(error, CorruptData) and error.conversation is None:
                raise  # the backup or the store itself
            return NotRestored(kept.conversation.id, error)
        self._journal.write("restored", kept.number)
        return Restored(kept.conversation.id, kept.messages)

    async def _is_there(self, kept: Kept) -> bool:
        """Whether it is in doubt, after a crash, and the conversation begins with it."""
        word = self._words.get(kept.number)
        if word == "removed":
            return False
        count, found, end = await self._front(kept.conversation.id, kept.messages)
        whole = count == kept.messages and found == self._digest(kept, count)
        return whole and (word == "restoring" or end == kept.upto)

    async def _gives_way(self, kept: Kept) -> Position:
        """How much of what is there gives way: what replaced these messages, or nothing.

        After a crash in a write that is not atomic also the first of them. Changed where what
        replaced them is not there as it was.
        """
        name = kept.conversation.id
        if kept.replacement is not None:
            count, found, end = await self._front(name, kept.replacement.messages)
            if (count, found) != (kept.replacement.messages, kept.replacement.digest):
                raise Changed(
                    f"conversation {name!r} in {self._store.name} does not begin with what "
                    "replaced its messages any more",
                    hint=f"they are in {backups.messages_file(self._manifest)}",
                )
            return end
        if self._words.get(kept.number) == "restoring":
            count, found, end = await self._front(name, kept.messages)
            if count < kept.messages and found == self._digest(kept, count):
                return end
        return START

    def _digest(self, kept: Kept, count: int) -> str:
        """The digest of the first `count` messages in the backup."""
        digest = Digest(self._store.holds)
        for page in self._read(kept):
            digest.update(page[: count - digest.messages])
        return str(digest)

    async def _front(self, conversation: str, limit: int) -> tuple[int, str, Position]:
        """The first messages, `limit` at most: how many, their digest, and where they end."""
        digest, end = Digest(self._store.holds), START
        async for page in self._store.read([conversation], limit=limit):
            digest.update([item for item in page.items if isinstance(item, Message)])
            end = page.position(-1)
        return digest.messages, str(digest), end

    def _read(self, kept: Kept) -> backups.Pages:
        return backups.read(self._manifest, kept)

    async def _stream(self, kept: Kept) -> AsyncIterator[Sequence[Message]]:
        for page in self._read(kept):
            yield page


def _described(kept: Kept, info: ConversationInfo | None) -> Conversation:
    """The conversation with the title and extra it had, where it has none of its own now.

    Where others replaced its messages, what it had before comes back with them. CorruptData where
    it is not known what it has now.
    """
    described = kept.conversation.title is not None or kept.conversation.extra
    if described and info is not None and info.unreadable is not None:
        raise CorruptData(f"conversation {info.id!r}: {info.unreadable}", conversation=info.id)
    if info is None or kept.replacement is not None:
        return kept.conversation
    return Conversation(
        kept.conversation.id,
        kept.conversation.title if info.title is None else None,
        kept.conversation.extra if not info.extra else None,
    )
