"""Removing conversations, or their front, after a backup of exactly what goes."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime

import msgspec

from synmem.errors import Changed, ConversationNotFound, CorruptData, SynmemError
from synmem.messages import Conversation, Message, Unreadable
from synmem.operations.derived import forget_beside
from synmem.operations.keeping.backup import (
    Backup,
    Kept,
    NotKept,
    changed_meanwhile,
    not_to_be_kept,
)
from synmem.operations.keeping.groups import Front
from synmem.operations.looking import before_last
from synmem.store import START, ConversationInfo, Position, Store


class Trim(msgspec.Struct, frozen=True):
    """How much of a conversation goes: all of it, or its front.

    `older_than`: up to the first message that is not older, has no time or cannot be read.
    `keep_last`: never one of the newest so many. A call stays where a result of it stays, and
    with it all behind it, unless it is `exact`.
    """

    older_than: datetime | None = None
    keep_last: int | None = None
    exact: bool = False

    @property
    def whole(self) -> bool:
        """Whether nothing stays."""
        return self.older_than is None and not self.keep_last


class Doomed(msgspec.Struct, frozen=True):
    """What would go of a conversation: all, or the front up to and with `upto`.

    `messages` is None where the store cannot tell; the times are of the first and the last.
    """

    conversation: Conversation
    upto: Position | None = None
    messages: int | None = None
    first_at: datetime | None = None
    last_at: datetime | None = None
    unreadable: str | None = None
    """What goes with its messages and cannot be read, and so not be kept in a backup."""


class Cleared(msgspec.Struct, frozen=True):
    """What was removed of a conversation."""

    conversation: str
    messages: int | None


class NotCleared(msgspec.Struct, frozen=True):
    """A conversation of which nothing was removed, and why."""

    conversation: str
    error: SynmemError


class Saved(msgspec.Struct, frozen=True):
    """A conversation is in the backup: progress, before anything is removed."""

    conversation: str


async def plan(
    store: Store,
    infos: Sequence[ConversationInfo],
    trim: Trim,
    spared: Callable[[int], object] = lambda count: None,
) -> AsyncIterator[Doomed]:
    """What `clear` would remove of these conversations (listed with details); writes nothing.

    `spared` is called with how many messages of one stay beyond the limit, so that no tool result
    loses its call.
    """
    for info in infos:
        if trim.whole:
            yield Doomed(
                _conversation(info), None, info.messages, info.first_at, info.last_at,
                info.unreadable,
            )  # fmt: skip
        elif (doomed := await _front(store, info, trim, spared)) is not None:
            yield doomed


async def clear(
    store: Store, doomed: Sequence[Doomed], trim: Trim, backup: Backup | None
) -> AsyncIterator[Saved | Cleared | NotCleared]:
    """Remove what was planned, and with a backup nothing that is not in it.

    First everything is backed up, then it goes, conversation by conversation; one that cannot
    be backed up or changes meanwhile (twice) stays, and the others go on. What arrives
    meanwhile stays. Without a backup a whole conversation goes however it looks.
    """
    if backup is None:
        for each in doomed:
            yield await _remove_unsaved(store, each)
        return
    again: list[str] = []
    async for outcome in _round(store, doomed, backup, again):
        yield outcome
    if again:
        fresh = await _plan_again(store, again, trim)
        late: list[str] = []
        async for outcome in _round(store, fresh, backup, late):
            yield outcome
        for conversation in late:
            yield NotCleared(conversation, changed_meanwhile(conversation, store))


async def _round(
    store: Store, doomed: Sequence[Doomed], backup: Backup, again: list[str]
) -> AsyncIterator[Saved | Cleared | NotCleared]:
    """Back up and remove; what changed in between is added to `again`."""
    kept: list[Kept] = []
    async for outcome in _save(store, doomed, backup):
        if isinstance(outcome, Kept):
            kept.append(outcome)
            yield Saved(outcome.conversation.id)
        elif isinstance(outcome.error, Changed):
            again.append(outcome.conversation)
        elif not isinstance(outcome.error, ConversationNotFound):
            yield NotCleared(outcome.conversation, outcome.error)
    if kept:
        backup.seal()
    async with backup.removing(store):
        for each in kept:
            try:
                if await backup.delete(store, each):
                    yield Cleared(each.conversation.id, each.messages)
            except Changed:
                again.append(each.conversation.id)
            except CorruptData as error:
                yield _not_cleared(each.conversation.id, error)


async def _save(
    store: Store, doomed: Sequence[Doomed], backup: Backup
) -> AsyncIterator[Kept | NotKept]:
    for each in doomed:
        if each.unreadable is not None:
            name = each.conversation.id
            yield NotKept(name, not_to_be_kept(name, each.unreadable))
    doomed = [each for each in doomed if each.unreadable is None]
    whole = [each.conversation for each in doomed if each.upto is None]
    async with aclosing(backup.keep_whole(store, whole)) as outcomes:
        async for outcome in outcomes:
            yield outcome
    fronts = [(each.conversation, each.upto) for each in doomed if each.upto is not None]
    async for outcome in backup.keep_fronts(store, fronts):
        yield outcome


async def _remove_unsaved(store: Store, doomed: Doomed) -> Cleared | NotCleared:
    conversation = doomed.conversation.id
    try:
        if doomed.upto is not None:  # first: who is killed in between leaves no sentence behind
            await forget_beside(store, conversation)
        there = await store.delete(conversation, upto=doomed.upto)
    except Changed as error:
        return NotCleared(conversation, error)
    except CorruptData as error:
        return _not_cleared(conversation, error)
    return Cleared(conversation, doomed.messages if there else 0)


async def _plan_again(store: Store, ids: list[str], trim: Trim) -> list[Doomed]:
    doomed: list[Doomed] = []
    async for page in store.conversations(ids, details=True):
        doomed += [each async for each in plan(store, page, trim)]
    return doomed


def _not_cleared(conversation: str, error: CorruptData) -> NotCleared:
    """Raises where not that conversation is corrupt, but the store itself."""
    if error.conversation != conversation:
        raise error
    return NotCleared(conversation, error)


# --- the front of a conversation ------------------------------------------------------------


async def _front(
    store: Store, info: ConversationInfo, trim: Trim, spared: Callable[[int], object]
) -> Doomed | None:
    """What goes of the front, or None where nothing does."""
    fence: Position | None = None
    if trim.keep_last:
        fence = await before_last(store, info.id, trim.keep_last)
        if fence == START:
            return None  # no more than those that are spared
    front, lost = Front(), None
    async for page in store.read([info.id]):
        rest: Sequence[Message | Unreadable] = page.items
        if not front.ended:
            stop, reached = _goes(page.items, trim.older_than), False
            if fence is not None:
                # Positions are compared only where a fence stands: most trims need none.
                at = next((i for i in range(stop) if page.position(i) == fence), None)
                stop, reached = (stop, False) if at is None else (at + 1, True)
            front.take(page, stop)
            if not reached and stop == len(page.items):
                continue
            front.ended, rest = True, page.items[stop:]
        if trim.exact or not front.goes_on(rest):
            break  # something stays, and with it what lies beside
    else:
        lost = None if front.ended else info.unreadable
    whole = front.messages if trim.exact else front.whole()
    spared(front.messages - whole)
    if not whole:
        return None
    page, i = front.at(whole)
    return Doomed(
        _conversation(info), page.position(i), whole, front.first_at, _time(page.items[i]), lost
    )


def _goes(items: Sequence[object], older_than: datetime | None) -> int:
    """How many of these, from the front, are old enough."""
    if older_than is None:
        return len(items)
    for i, item in enumerate(items):
        time = _time(item)
        if time is None or time >= older_than:
            return i
    return len(items)


def _time(item: object) -> datetime | None:
    return item.created_at if isinstance(item, Message) else None


def _conversation(info: ConversationInfo) -> Conversation:
    return Conversation(info.id, info.title, info.extra)
