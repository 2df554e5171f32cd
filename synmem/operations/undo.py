"""Bringing back what a destructive command removed, from its backup.

What was done is asked of the store, which remembers the token of each write, and never guessed
from content: a step that nobody knows the outcome of is settled first (`_Settling`). Then undo
looks how each conversation stands (`standing.py`), and writes with a token of its own, which is in
the journal before. One undo at a time works on a store, and for a conversation the newest backup
comes first (`removals.py`).
"""

import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import Any, Final

import msgspec

from synmem import folders
from synmem.errors import (
    Changed,
    CorruptData,
    Refused,
    Rejected,
    StoreError,
    SynmemError,
)
from synmem.locks import waited_for
from synmem.messages import Conversation, Message
from synmem.notes import NOT_BESIDE, files_of, moved, store_folder, write_file
from synmem.operations import backups
from synmem.operations.backups import Damaged, Kept, Manifest
from synmem.operations.looking import infos_of
from synmem.operations.removals import Removal, Removals
from synmem.operations.standing import (
    Standing,
    Stands,
    first_positions,
    has_position,
    is_whole,
    last_of_front,
    standing,
)
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

_CALL: Final = 500  # conversations in one append


class Restored(msgspec.Struct, frozen=True):
    """A conversation is back; with no messages: it was there already, or had never been removed."""

    conversation: str
    messages: int


class NotRestored(msgspec.Struct, frozen=True):
    """A conversation that could not be brought back, and why."""

    conversation: str
    error: SynmemError


class AlreadyUndone(SynmemError):
    """All of the backup is back."""

    def __init__(self, backup_id: str) -> None:
        super().__init__(f"backup {backup_id} is undone already", hint=backups.by_hand(backup_id))


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


async def undo(
    store: Store,
    manifest: Manifest,
    how: Undo | None = None,
    *,
    waiting: Callable[[], None] = lambda: None,
    damaged: Callable[[Damaged], None] = lambda each: None,
) -> AsyncIterator[Restored | NotRestored]:
    """Bring back everything in a backup that is not back yet.

    What stands in a conversation meanwhile stays, behind what comes back; what replaced a front
    gives way to it. CorruptData, and nothing written, where the backup is not as it was written;
    Refused where something of it was removed again later, unless `with_newer`. Run again after a
    crash it goes on, and doubles nothing. `waiting` hears that another undo is waited for,
    `damaged` of other backups that cannot be asked.
    """
    how = how or Undo()
    path = store_folder(folders.state_path("locks"), manifest.origin.identity)
    async with AsyncExitStack() as alone:
        if not how.dry_run:
            await alone.enter_async_context(waited_for(path.with_suffix(".lock"), waiting))
        with ExitStack() as locks:
            removals = Removals(manifest, locks, elsewhere=how.elsewhere, alone=not how.dry_run)
            for each in removals.damaged:
                damaged(each)
            if backups.is_undone(manifest) and not how.elsewhere:
                raise AlreadyUndone(manifest.id)
            backups.verify(manifest)
            for one in await _settle(store, removals, how):
                yield Restored(one.name, 0)
            for batch in _batches(_in_order(removals, manifest, how)):
                async for outcome in _Batch(store, removals, how).restore(batch):
                    yield outcome
            if not how.dry_run:
                removals.finish()


def _in_order(removals: Removals, manifest: Manifest, how: Undo) -> list[Removal]:
    """What is to be brought back, the newest first; Refused where that includes what was not
    asked for."""
    newer = [each for each in removals.newer if not each.is_done]
    newer.sort(key=lambda each: each.order, reverse=True)
    if newer and not how.with_newer:
        raise _refused(manifest, newer)
    for other in {each.manifest.id: each.manifest for each in newer}.values():
        backups.verify(other)
    due = [each for each in removals.mine if not each.is_done]
    return sorted([*newer, *due], key=lambda each: each.order, reverse=True)


def _refused(manifest: Manifest, newer: Sequence[Removal]) -> Refused:
    names = list(dict.fromkeys(each.name for each in newer))
    others = list(dict.fromkeys(each.manifest.id for each in newer))
    more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
    order = "; ".join(f"synmem undo {each}" for each in (*others, manifest.id))
    return Refused(
        f"backup {manifest.id}: from conversation {names[0]!r}{more} something was removed again "
        "later, which comes back first",
        hint=f"in this order: {order}; or --with-newer does it",
    )


def _batches(due: Sequence[Removal]) -> list[list[Removal]]:
    """In groups of one backup, each conversation once in a group."""
    groups: list[list[Removal]] = []
    names: set[str] = set()
    for each in due:
        same = groups and groups[-1][0].manifest.id == each.manifest.id
        if not same or len(names) == _CALL or each.name in names:
            groups.append([])
            names = set()
        groups[-1].append(each)
        names.add(each.name)
    return groups


# --- what nobody knows the outcome of -------------------------------------------------------


async def _settle(store: Store, removals: Removals, how: Undo) -> list[Removal]:
    """Find out what became of steps that were begun, and see that those that were not done
    never will be. Returns those of the backup that turn out to be back, or never to have gone."""
    doubtful = removals.in_doubt
    done = await _done(store, doubtful, how)
    for start in range(0, len(doubtful), _CALL):
        await _settle_some(store, removals, doubtful[start : start + _CALL], done, how)
    mine = set(map(id, removals.mine))
    return [each for each in doubtful if each.is_done and id(each) in mine]


async def _settle_some(
    store: Store, removals: Removals, doubtful: Sequence[Removal], done: set[str], how: Undo
) -> None:
    back: list[Removal] = []
    known: list[Removal] = []
    for each in doubtful:
        if each.fate.word == "restoring" and each.key in done:
            back.append(each)
            continue
        removed = each.fate.word == "restoring" or each.key in done
        # That a store does not know of a removal may also be because it has forgotten it.
        never = not removed and await _is_there(store, each)
        each.now("void" if never else "removed")
        known.append(each)
    if how.dry_run:
        for each in back:
            each.now("restored")
        return
    removals.note(known)
    # They stay remembered there: who died may have sent such a write twice, and late.
    await _finish(store, removals, back)


async def _done(store: Store, doubtful: Sequence[Removal], how: Undo) -> set[str]:
    """Which of these steps were done."""
    if not isinstance(store, SupportsSteps):
        return await _compared(store, doubtful)
    asked = [each for each in doubtful if each.fate.token]
    found = await (store.steps_done if how.dry_run else store.call_off)(
        {each.step for each in asked}
    )
    unasked = [each for each in doubtful if not each.fate.token]
    done = {each.key for each in asked if each.step in found}
    return done | await _compared(store, unasked)


async def _compared(store: Store, doubtful: Sequence[Removal]) -> set[str]:
    """Which of these were done, where the store remembers no steps: told by where a conversation
    begins, since a message's place is not given again."""
    if not doubtful:
        return set()
    begins = await first_positions(store, [each.name for each in doubtful])
    done = set()
    for each in doubtful:
        now = begins.get(each.name, START)
        if each.fate.word == "restoring":
            if now != each.fate.front and await is_whole(store, each.kept, each.read):
                done.add(each.key)
        elif each.kept.first:
            if now != each.kept.first:
                done.add(each.key)
        elif not store.holds.lasting_positions or await _has_moved(store, each):
            done.add(each.key)
    return done


async def _is_there(store: Store, each: Removal) -> bool:
    """Whether it is seen that this was not removed: all of it is there, or its last message where
    it was, whatever else was removed before that."""
    if await is_whole(store, each.kept, each.read):
        return True
    return store.holds.lasting_positions and await has_position(store, each.name, each.kept.upto)


async def _has_moved(store: Store, each: Removal) -> bool:
    """Whether what a backup of version 1 keeps is not where it was."""
    return await last_of_front(store, each.kept) != each.kept.upto


async def _forget(store: Store, removals: Sequence[Removal]) -> None:
    if isinstance(store, SupportsSteps):
        await store.forget_steps({each.step for each in removals if each.fate.token})


# --- bringing back --------------------------------------------------------------------------


class _Batch:
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
            and kept.messages <= holds.call_messages // _CALL
            and kept.size <= holds.call_bytes // _CALL
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
        await _finish(self._store, self._removals, batch)
        return batch

    async def _put_back(
        self, batch: Sequence[Removal], there: dict[str, ConversationInfo]
    ) -> AsyncIterator[Restored | NotRestored]:
        """Put the messages of each where they belong, unless they are there."""
        back: list[Removal] = []
        due: list[tuple[Removal, Standing]] = []
        for each in batch:
            if self._would_be_in_front(each):
                yield Restored(each.name, each.kept.messages)
                continue
            outcome = await self._looked_at(each, due)
            if isinstance(outcome, Restored):
                await self._describe(each.kept, there.get(each.name))
            if outcome is not None:
                yield outcome
                if isinstance(outcome, Restored):
                    back.append(each)
        if self._how.dry_run:
            for each, _ in due:
                yield Restored(each.name, each.kept.messages)
            return
        self._announce_all(due)
        for each, stands in due:
            outcome = await self._replaced(each, there.get(each.name), stands)
            yield outcome
            if isinstance(outcome, Restored):
                back.append(each)
        await _finish(self._store, self._removals, back)

    def _would_be_in_front(self, each: Removal) -> bool:
        """Whether, in a dry run, what it goes in front of would only come back before it."""
        return self._how.dry_run and any(
            other.name == each.name and other.order > each.order and not other.is_done
            for other in self._removals.newer
        )

    async def _looked_at(
        self, each: Removal, due: list[tuple[Removal, Standing]]
    ) -> Restored | NotRestored | None:
        """Look how it stands; what is to be written is added to `due`."""
        try:
            stands = await standing(
                self._store, each.kept, each.read, self._removals.fronts_of_rest(each)
            )
        except (Changed, CorruptData) as error:
            return _not_restored(each, error)
        if stands.stands is Stands.THERE:
            return Restored(each.name, 0)
        if stands.stands is Stands.OTHER and not self._how.force:
            return NotRestored(each.name, _other(self._store, each.kept, stands))
        due.append((each, stands))
        return None

    async def _describe(self, kept: Kept, info: ConversationInfo | None) -> None:
        """Give a conversation that is there the title and extra that it came back without."""
        missing = _missing(kept, info)
        if (missing.title or missing.extra) and not self._how.dry_run:
            await self._store.append([Part(missing, [])])

    async def _replaced(
        self, each: Removal, info: ConversationInfo | None, stands: Standing
    ) -> Restored | NotRestored:
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

    def _announce_all(self, due: Sequence[tuple[Removal, Standing]]) -> None:
        if due:
            self._announce([each for each, _ in due], [each.begins for _, each in due])

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


async def _finish(store: Store, removals: Removals, back: Sequence[Removal]) -> None:
    """What lies beside conversations that came back, and then the journal: they are back."""
    if not back:
        return
    await _put_beside(store, removals, back)
    begins = await first_positions(store, [each.name for each in back])
    for each in back:
        front = begins.get(each.name)
        each.now("restored", front)
    removals.note(back)
    await _forget(store, back)


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


def _not_restored(each: Removal, error: StoreError) -> NotRestored:
    _check_one(error)
    return NotRestored(each.name, error)


def _check_one(error: StoreError) -> None:
    """Raises where not one conversation is concerned, but the backup or the store itself."""
    one = error.conversation is not None if isinstance(error, CorruptData) else True
    if isinstance(error, Changed | Rejected) or (isinstance(error, CorruptData) and one):
        return
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
