"""Making a backup: what a destructive command removes is on disk before it is removed.

`backups.py` says what a backup is, and reads it. The order that makes it safe:

    with new_backup(origin) as backup:
        kept = await backup.keep(store, Conversation("user-1"))          # or upto=position
        backup.seal()                                                    # fsync: now it is safe
        async with backup.removing(store):
            await backup.delete(store, kept)                             # exactly what was kept

`delete` and `replace` change a conversation only where it still begins as it was kept, and give
the store a token to remember; what came of it is journalled in groups. So whoever finds a journal
that breaks off asks the store. A backup that was not sealed is taken away again.
"""

import asyncio
import contextlib
import hashlib
import secrets
import shutil
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Iterator,
    Sequence,
)
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from synmem import durable, folders
from synmem.errors import (
    Changed,
    ConversationNotFound,
    CorruptData,
    Rejected,
    StoreError,
    SynmemError,
)
from synmem.locks import held
from synmem.messages import (
    Conversation,
    Digest,
    Holds,
    Message,
    chunks,
    conversation_refusal,
    dump_json,
    format_time,
)
from synmem.notes import store_folder
from synmem.operations.keeping.backups import (
    Kept,
    Left,
    Manifest,
    Origin,
    Replacement,
    backups,
    highest_sequence,
    manifest_bytes,
    next_sequence,
    sha,
    writing,
)
from synmem.operations.keeping.journal import Journal, Line, spans_of
from synmem.operations.keeping.kept import Behind, Beside, Run, Section, not_to_be_kept
from synmem.operations.looking import infos_of
from synmem.store import (
    Position,
    Step,
    Store,
    SupportsSteps,
)

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

_CALL: Final = 500
"""Conversations in one read, outcomes in one line of the journal."""


class NotKept(msgspec.Struct, frozen=True):
    """A conversation that could not be backed up, and why."""

    conversation: str
    error: SynmemError


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
        self.origin = origin
        self._aside = store_folder(folders.state_path("notes"), origin.identity)
        self._at = format_time(now)
        self._token = secrets.token_hex(16)
        self._numbers = 0
        self._messages = 0
        self._sealed = 0
        self._removed: list[Kept] = []
        self._void: list[Kept] = []
        self._index = hashlib.sha256()
        self._turn = asyncio.Lock()  # conversations lie one behind another, and so do sections
        with writing(), contextlib.ExitStack() as made:
            self._above = highest_sequence()
            self.folder = folders.state_folder("backups") / self.id
            self.folder.mkdir(mode=0o700)
            made.callback(self._leave_nothing)
            made.enter_context(held(self.folder / "lock", "a new backup is locked"))
            self._data = Section(self.folder / "conversations.jsonl")
            made.callback(_closed, self._data)
            self._entries = durable.create(self.folder / "index.jsonl")
            made.callback(_closed, self._entries)
            self._journal = Journal(self.folder)
            made.callback(_closed, self._journal)
            self._open = made.pop_all()

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
        beside: Beside | None = None,
    ) -> Kept:
        """Write a conversation down, or its front up to and with `upto`, and how it stands.

        `replacement` is what is to stand in its place. ConversationNotFound where there is none,
        Changed where `upto` is not there any more, CorruptData (naming it) where a record cannot
        be read and so not be kept, or where the store would not take it back.
        """
        beside = beside or await Beside.of(store, [conversation.id], self._aside)
        run = self._begin(store, conversation, beside)
        behind = Behind(store.holds)
        try:
            async for page in store.read([conversation.id]):
                taken = 0 if run.reached else run.take(page, upto)
                if run.reached and behind.take(page, taken):
                    break
        except BaseException:
            run.take_back()
            raise
        if not run.messages:
            run.take_back()
            raise ConversationNotFound(conversation.id, store.name)
        if (upto is not None and not run.reached) or (
            replacement and await _described_anew(store, [conversation])
        ):
            run.take_back()
            raise changed_meanwhile(conversation.id, store)
        return self._end(run, _replacement(replacement, store.holds), behind.left)

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

    async def keep_fronts(
        self, store: Store, fronts: Sequence[tuple[Conversation, Position]]
    ) -> AsyncIterator[Kept | NotKept]:
        """Write the fronts of many conversations down, each up to and with its position; one that
        cannot be kept is named."""
        for batch in chunks(fronts, _CALL):
            beside = await Beside.of(store, [one.id for one, _ in batch], self._aside)
            for conversation, upto in batch:
                try:
                    yield await self.keep(store, conversation, upto=upto, beside=beside)
                except (Changed, ConversationNotFound, CorruptData) as error:
                    yield NotKept(conversation.id, error)

    async def keep_whole(
        self, store: Store, conversations: Sequence[Conversation]
    ) -> AsyncGenerator[Kept | NotKept, None]:
        """Write many conversations down, many in one read; one that cannot be kept is named.

        In any order. A conversation that is not there any more is left out.
        """
        for some in chunks(conversations, _CALL):
            batch = {each.id: each for each in some}
            beside = await Beside.of(store, list(batch), self._aside)
            for name, why in beside.refused.items():
                del batch[name]
                yield NotKept(name, not_to_be_kept(name, why))
            async with aclosing(self._keep_batch(store, batch, beside)) as outcomes:
                found = [outcome async for outcome in outcomes]
            anew = await _described_anew(store, list(batch.values()))
            for outcome in found:
                if isinstance(outcome, Kept) and outcome.conversation.id in anew:
                    self.void(outcome)
                    name = outcome.conversation.id
                    yield NotKept(name, changed_meanwhile(name, store))
                else:
                    yield outcome

    async def _keep_batch(
        self, store: Store, batch: dict[str, Conversation], beside: Beside
    ) -> AsyncGenerator[Kept | NotKept, None]:
        run: Run | None = None
        failed: str | None = None
        try:
            async for page in store.read(list(batch)):
                if page.conversation == failed:
                    continue
                if run is not None and run.conversation.id != page.conversation:
                    ended, run = run, None
                    yield self._end(ended)
                try:
                    run = run or self._begin(store, batch[page.conversation], beside)
                    run.take(page, None)
                except CorruptData as error:
                    if run is not None:
                        run.take_back()
                    failed, run = page.conversation, None
                    yield NotKept(failed, error)
        except BaseException:
            if run is not None:
                run.take_back()
            raise
        if run is not None:
            yield self._end(run)

    def _begin(self, store: Store, conversation: Conversation, beside: Beside) -> Run:
        if why := beside.refused.get(conversation.id) or conversation_refusal(conversation):
            raise not_to_be_kept(conversation.id, why)
        return Run(self._data, store, conversation, beside)

    def _end(
        self, run: Run, replacement: Replacement | None = None, left: Left | None = None
    ) -> Kept:
        kept = run.kept(self._numbers, self._data.end, replacement, left)
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
        """Make everything kept so far durable, and say that it is about to be removed; only now
        may it be. May be called again."""
        sequence = next_sequence(above=self._above)
        manifest = Manifest(
            id=self.id, at=self._at, origin=self.origin, conversations=self._numbers,
            messages=self._messages, index=sha(self._index), version=2, sequence=sequence,
        )  # fmt: skip
        with writing():
            self._data.seal()
            durable.sync(self._entries)
            # The journal first: a manifest whose journal does not know of it all is damaged.
            if new := spans_of(range(self._sealed, self._numbers)):
                self._journal.write(Line("removing", new, self._token, sequence))
            durable.replace(self.folder / "manifest.json", manifest_bytes(manifest))
            durable.sync_folder(self.folder)
            durable.sync_folder(self.folder.parent)
        self._sealed = self._numbers
        return manifest

    # --- removing what was kept ---

    async def delete(self, store: Store, kept: Kept) -> bool:
        """Delete what was kept, where it stands as it was kept; tell whether it was there.

        Changed or CorruptData where not: then nothing was removed.
        """
        with self._outcome(kept):
            there = await store.delete(
                kept.conversation.id,
                upto=kept.upto,
                begins=kept.first,
                token=self._token_of(store, kept),
            )
        # Where somebody else was faster it is theirs to bring back.
        (self._removed if there else self._void).append(kept)
        await self._flush_some(store)
        return there

    async def replace(
        self,
        store: Store,
        kept: Kept,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
    ) -> None:
        """Let what was kept give way to these messages, where it stands as it was kept.

        Changed, CorruptData or Rejected where not: then nothing was removed.
        """
        with self._outcome(kept):
            await store.replace(
                conversation,
                messages,
                upto=kept.upto,
                begins=kept.first,
                token=self._token_of(store, kept),
            )
        self._removed.append(kept)
        await self._flush_some(store)

    def void(self, kept: Kept) -> None:
        """Remember that this is not removed after all: nobody has tried."""
        self._void.append(kept)

    @contextlib.asynccontextmanager
    async def removing(self, store: Store) -> AsyncIterator[None]:
        """Around everything that removes: at its end, however it comes, `flush`."""
        try:
            yield
        finally:
            with contextlib.suppress(StoreError):  # it stays remembered there, which does no harm
                await self.flush(store)

    async def flush(self, store: Store) -> None:
        """Write down what came of everything so far; then the store need not remember it."""
        done = self._note_outcomes()
        if done and isinstance(store, SupportsSteps):
            await store.forget_steps(
                [Step(each.conversation.id, f"{self._token}.{each.number}") for each in done]
            )

    def _token_of(self, store: Store, kept: Kept) -> str | None:
        return f"{self._token}.{kept.number}" if isinstance(store, SupportsSteps) else None

    @contextlib.contextmanager
    def _outcome(self, kept: Kept) -> Iterator[None]:
        """These errors say that nothing was done; after any other only the store knows."""
        try:
            yield
        except (Changed, CorruptData, Rejected):
            self._void.append(kept)
            raise

    async def _flush_some(self, store: Store) -> None:
        if len(self._removed) + len(self._void) >= _CALL:
            await self.flush(store)

    def _note_outcomes(self) -> list[Kept]:
        removed, self._removed = self._removed, []
        # What is not announced yet, by a seal, is void only after that.
        void = [each for each in self._void if each.number < self._sealed]
        self._void = [each for each in self._void if each.number >= self._sealed]
        self._journal.note("removed", [each.number for each in removed])
        self._journal.note("void", [each.number for each in void])
        return removed + void

    def close(self) -> None:
        """Give the files back; without a seal, or with nothing in it, the folder goes too."""
        with self._open, contextlib.suppress(SynmemError):
            self._note_outcomes()  # where the disk is full, the store knows what was done

    def _leave_nothing(self) -> None:
        if not self.sealed:
            shutil.rmtree(self.folder, ignore_errors=True)


async def _described_anew(store: Store, conversations: Sequence[Conversation]) -> set[str]:
    """Which of these have another title or extra by now than was written down, before their
    messages were: somebody, an undo perhaps, has changed them in between."""
    infos = await infos_of(store, [each.id for each in conversations], details=True)
    return {
        each.id
        for each in conversations
        if (info := infos.get(each.id)) is not None
        and info.unreadable is None
        and (info.title, info.extra or None) != (each.title, each.extra or None)
    }


def changed_meanwhile(conversation: str, store: Store) -> Changed:
    """What is said of a conversation that is not as it was looked at."""
    return Changed(
        f"conversation {conversation!r} in {store.name} changed meanwhile", hint="run again"
    )


def _closed(file: Any) -> None:
    with contextlib.suppress(OSError):  # a full disk: what was sealed is out already
        file.close()


def _replacement(messages: Sequence[Message] | Replacement, holds: Holds) -> Replacement | None:
    if isinstance(messages, Replacement):
        return messages
    if not messages:
        return None
    digest = Digest(holds)
    digest.update(messages)
    return Replacement(len(messages), str(digest))
