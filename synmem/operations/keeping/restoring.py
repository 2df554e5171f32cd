"""Conversations on their way back from a backup into a store: announced in the journal, written,
and then what lies beside them."""

import contextlib
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from synmem.errors import Changed, CorruptData, Rejected, StoreError, SynmemError
from synmem.messages import Conversation, Message
from synmem.notes import NOT_BESIDE, files_of, moved, write_file
from synmem.operations.keeping.backups import Kept
from synmem.operations.keeping.removals import Removal, Removals
from synmem.operations.keeping.standing import Standing, Stands, first_positions, standing
from synmem.operations.looking import infos_of
from synmem.store import (
    START,
    ConversationInfo,
    Part,
    Position,
    Store,
    SupportsExpiry,
    SupportsNotes,
    SupportsSteps,
)

CALL: Final = 500
"""Conversations in one append, and in one line of the journal."""


class Restored(msgspec.Struct, frozen=True):
    """A conversation is back; with no messages: it was there already, or had never been removed."""

    conversation: str
    messages: int


class NotRestored(msgspec.Struct, frozen=True):
    """A conversation that could not be brought back, and why."""

    conversation: str
    error: SynmemError


class Undo(msgspec.Struct, frozen=True, kw_only=True):
    """How to undo.

    `force` puts in front of a conversation what stands otherwise than it was left; `with_newer`
    brings back first what was removed later; `dry_run` only looks. `elsewhere`: the store is not
    the one that it was removed from.
    """

    force: bool = False
    with_newer: bool = False
    dry_run: bool = False
    elsewhere: bool = False


class _Due(NamedTuple):
    """What is to be written: what is known of the conversation now, and how it stands."""

    removal: Removal
    info: ConversationInfo | None
    stands: Standing


class Batch:
    """Some conversations of a backup on their way back into a store."""

    def __init__(self, store: Store, removals: Removals, how: Undo) -> None:
        self._store = store
        self._removals = removals
        self._how = how

    async def restore(self, batch: Sequence[Removal]) -> AsyncIterator[Restored | NotRestored]:
        """Bring these back; what is absent and small in few writes, the others one by one."""
        there = await infos_of(self._store, [each.name for each in batch], details=True)
        small = [each for each in batch if self._is_small(each.kept, there)]
        done: list[Removal] = []
        for some in self._calls(small):
            for each in await self._append(some):
                done.append(each)
                yield Restored(each.name, each.kept.messages)
        keys = {each.key for each in done}
        left = [each for each in batch if each.key not in keys]
        async for outcome in self._put_back(left, there):
            yield outcome

    def _is_small(self, kept: Kept, there: dict[str, ConversationInfo]) -> bool:
        holds = self._store.holds
        return (
            not self._how.dry_run
            and kept.conversation.id not in there
            and kept.messages + 2 <= holds.atomic_messages
            and kept.messages <= holds.call_messages // CALL
            and kept.size <= holds.call_bytes // CALL
        )

    def _calls(self, small: Sequence[Removal]) -> Iterable[list[Removal]]:
        """As many in one write as the store does in one atomic step."""
        some: list[Removal] = []
        room = self._store.holds.atomic_messages
        for each in small:
            if each.kept.messages + 2 > room:
                yield some
                some, room = [], self._store.holds.atomic_messages
            some.append(each)
            room -= each.kept.messages + 2
        if some:
            yield some

    async def _append(self, batch: list[Removal]) -> list[Removal]:
        """Bring all of these back in one write; none of them where it is refused."""
        parts = [
            Part(each.kept.conversation, [m for page in each.read() for m in page], expect=START)
            for each in batch
        ]
        token = self._announce(batch, [START] * len(batch), together=True)
        try:
            await (
                self._store.append(parts, token=token)
                if isinstance(self._store, SupportsSteps)
                else self._store.append(parts)
            )
        except StoreError as error:
            _check_one(error)
            return []  # one by one, the one that is refused can be named
        await finish(self._store, self._removals, batch)
        return batch

    async def _put_back(
        self, batch: Sequence[Removal], there: dict[str, ConversationInfo]
    ) -> AsyncIterator[Restored | NotRestored]:
        """Put the messages of each where they belong, unless they are there."""
        back: list[Removal] = []
        due: list[_Due] = []
        for each in batch:
            if self._is_held_up(each):
                yield self._held_up(each)
                continue
            outcome = await self._looked_at(each, there.get(each.name), due)
            if outcome is not None:
                yield outcome
                if isinstance(outcome, Restored):
                    back.append(each)
        if self._how.dry_run:
            for one in due:
                yield Restored(one.removal.name, one.removal.kept.messages)
            return
        if due:
            begins = [one.stands.begins for one in due]
            self._announce([one.removal for one in due], begins)
        for one in due:
            outcome = await self._replaced(one)
            yield outcome
            if isinstance(outcome, Restored):
                back.append(one.removal)
        await finish(self._store, self._removals, back)

    def _is_held_up(self, each: Removal) -> bool:
        """Whether what it goes in front of is not back yet."""
        return any(
            other.name == each.name and other.order > each.order and not other.is_done
            for other in self._removals.newer
        )

    def _held_up(self, each: Removal) -> Restored | NotRestored:
        if self._how.dry_run:  # it would come back before this
            return Restored(each.name, each.kept.messages)
        why = f"conversation {each.name!r}: what was removed later is not back"
        return NotRestored(each.name, Changed(why, hint="it comes first"))

    async def _looked_at(
        self, each: Removal, info: ConversationInfo | None, due: "list[_Due]"
    ) -> Restored | NotRestored | None:
        """Look how it stands; what is to be written is added to `due`."""
        try:
            stands = await standing(
                self._store, each.kept, each.read, self._removals.fronts_of_rest(each)
            )
            if info is None and stands.stands is not Stands.ABSENT:  # it has come meanwhile
                info = (await infos_of(self._store, [each.name], details=True)).get(each.name)
            if stands.stands is Stands.THERE:
                await self._describe(each.kept, info)
                return Restored(each.name, 0)
        except StoreError as error:
            return _not_restored(each, error)
        if stands.stands is Stands.OTHER and not self._how.force:
            return NotRestored(each.name, _other(self._store, each.kept, stands))
        due.append(_Due(each, info, stands))
        return None

    async def _describe(self, kept: Kept, info: ConversationInfo | None) -> None:
        """Give a conversation that is there the title and extra that it came back without."""
        missing = _missing(kept, info)
        if (missing.title or missing.extra) and not self._how.dry_run:
            await self._store.append([Part(missing, [])])

    async def _replaced(self, due: "_Due") -> Restored | NotRestored:
        each, info, stands = due
        try:
            await self._store.replace(
                _described(each.kept, info),
                _stream(each),
                upto=stands.upto,
                begins=stands.begins,
                token=each.fate.token if isinstance(self._store, SupportsSteps) else None,
            )
        except StoreError as error:
            return _not_restored(each, error)
        return Restored(each.name, each.kept.messages)

    def _announce(
        self, batch: Sequence[Removal], begins: Sequence[Position], *, together: bool = False
    ) -> str:
        """Say in the journal what is about to be written; the token that it has."""
        token = secrets.token_hex(16)
        self._removals.announce(batch, token, begins, together=together)
        return token


async def _stream(each: Removal) -> AsyncIterator[Sequence[Message]]:
    for page in each.read():
        yield page


async def finish(store: Store, removals: Removals, back: Sequence[Removal]) -> None:
    """What lies beside conversations that came back, and then the journal: they are back."""
    if not back:
        return
    await _put_beside(store, removals, back)
    begins = await first_positions(store, [each.name for each in back])
    for each in back:
        front = begins.get(each.name)
        each.now("restored", front)
    removals.note(back)
    await forget(store, back)


async def _put_beside(store: Store, removals: Removals, back: Sequence[Removal]) -> None:
    """The notes that these conversations had, and the time that they had left."""
    noted = [each for each in back if each.kept.notes or each.kept.aside]
    names = [each.name for each in noted]
    there = await store.notes(names) if noted and isinstance(store, SupportsNotes) else {}
    folder = removals.notes_folder
    aside = files_of(folder, names) if folder is not None else {}
    for each in noted:
        positions = await _positions(store, each.kept)
        for name, value in _due(each.kept.notes, there.get(each.name, {})):
            # It was derived, and can be made anew: no reason to keep a conversation back.
            with contextlib.suppress(*NOT_BESIDE, Rejected, Changed):
                if isinstance(store, SupportsNotes):
                    await store.set_note(each.name, name, moved(value, positions))
        for name, value in _due(each.kept.aside, aside.get(each.name, {})):
            with contextlib.suppress(OSError):
                if folder is not None:
                    write_file(folder, each.name, name, moved(value, positions))
    left = {
        each.name: each.kept.expires_s
        for each in back
        if each.kept.expires_s is not None and each.fate.front == START
    }
    if left and isinstance(store, SupportsExpiry):
        await store.expire(left)


def _due(kept: Mapping[str, Any], there: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Notes that are not there now, or still there, which fit no more: their messages have
    moved."""
    return [(name, value) for name, value in kept.items() if there.get(name, value) == value]


async def _positions(store: Store, kept: Kept) -> dict[Position, Position]:
    """Where the messages stand now whose old positions the notes name."""
    wanted = {index: position for position, index in kept.anchors.items()}
    found: dict[Position, Position] = {}
    index = 0
    pages = store.read([kept.conversation.id], limit=max(wanted, default=0) + 1)
    async for page in pages:
        for i in range(len(page.items)):
            if index in wanted:
                found[wanted[index]] = page.position(i)
            index += 1
    return found


async def forget(store: Store, removals: Sequence[Removal]) -> None:
    if isinstance(store, SupportsSteps):
        await store.forget_steps({each.step for each in removals if each.fate.token})


def _not_restored(each: Removal, error: StoreError) -> NotRestored:
    _check_one(error)
    return NotRestored(each.name, error)


def _check_one(error: StoreError) -> None:
    """Raises where not one conversation is concerned, but the backup or the store itself."""
    corrupt = isinstance(error, CorruptData) and error.conversation is not None
    if not corrupt and not isinstance(error, Changed | Rejected):
        raise error


def _other(store: Store, kept: Kept, stands: Standing) -> Changed:
    what = (
        "what replaced its messages any more, nor with these"
        if kept.replacement is not None
        else "what was removed, nor with what followed it"
    )
    return Changed(
        f"conversation {kept.conversation.id!r} in {store.name} does not begin with {what} "
        f"({stands.detail})",
        hint="--force puts it in front of what is there",
    )


def _described(kept: Kept, info: ConversationInfo | None) -> Conversation:
    """The conversation with the title and extra it had, where it has none of its own now.

    Where others replaced its messages, what it had before comes back with them, or goes where it
    had none. CorruptData where it is not known what it has now.
    """
    described = kept.conversation.title is not None or kept.conversation.extra
    if described and info is not None and info.unreadable is not None:
        raise CorruptData(f"conversation {info.id!r}: {info.unreadable}", conversation=info.id)
    if info is None or (kept.replacement is not None and not kept.first):
        return kept.conversation  # version 1 did not know of every title
    if kept.replacement is not None:
        return Conversation(info.id, kept.conversation.title or "", kept.conversation.extra or {})
    return _missing(kept, info)


def _missing(kept: Kept, info: ConversationInfo | None) -> Conversation:
    """What it had of title and extra, and has not now; nothing where that cannot be read."""
    name = kept.conversation.id
    if info is None or info.unreadable is not None:
        return Conversation(name)
    return Conversation(
        name,
        kept.conversation.title if info.title is None else None,
        kept.conversation.extra if not info.extra else None,
    )
