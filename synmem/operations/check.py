"""Whether a store is sound, and whether two hold the same conversations."""

from collections.abc import AsyncIterator, Sequence

import msgspec

from synmem.messages import Unreadable, canonical
from synmem.operations.compare import State, compare, own_state
from synmem.operations.listing import listing, matcher
from synmem.store import ConversationInfo, Damage, Store, SupportsDamage

BATCH = 500
"""Conversations that are looked up and read together."""


class Checked(msgspec.Struct, frozen=True):
    """The state of one conversation, and for a difference where it begins."""

    conversation: str
    state: State
    detail: str = ""


# --- one store ------------------------------------------------------------------------------


class Soundness(msgspec.Struct):
    """What reading all of a store came to; `unreadable` are (conversation, number, reason)."""

    conversations: int = 0
    messages: int = 0
    unreadable: int = 0
    damage: list[Damage] = []


class Broken(msgspec.Struct, frozen=True):
    """A record that cannot be read: its conversation, the message's number, and why."""

    conversation: str
    number: int
    reason: str


async def sound(
    store: Store, found: Soundness, *, match: str | None = None
) -> AsyncIterator[list[Broken]]:
    """Read every message, and yield, page by page, what cannot be read; counts go to `found`."""
    if isinstance(store, SupportsDamage):
        found.damage = await store.damage()
    async for infos in listing(store, match=match):
        for start in range(0, len(infos), BATCH):
            ids = [info.id for info in infos[start : start + BATCH]]
            seen: dict[str, int] = {}
            async for page in store.read(ids):
                before = seen.get(page.conversation, 0)
                seen[page.conversation] = before + len(page.items)
                broken = [
                    Broken(page.conversation, number, item.reason)
                    for number, item in enumerate(page.items, before + 1)
                    if type(item) is Unreadable
                ]
                found.messages += len(page.items) - len(broken)
                found.unreadable += len(broken)
                yield broken
            found.conversations += len(seen)


# --- two stores -----------------------------------------------------------------------------


async def check(
    source: Store,
    dest: Store,
    *,
    match: str | None = None,
    one_way: bool = False,
    quick: bool = False,
) -> AsyncIterator[list[Checked]]:
    """The state of every conversation, in lists; with `one_way` only of those of the source.

    `quick` compares counts, the last message, title and extra: it can prove a difference, and
    its `EQUAL` means no more than that none was seen.
    """
    look = _look if quick else _compare
    async for infos in listing(source, match=match, details=quick or _own(source, dest)):
        for start in range(0, len(infos), BATCH):
            ours = {info.id: info for info in infos[start : start + BATCH]}
            theirs = await _infos(dest, list(ours), details=quick or _own(source, dest))
            absent = [Checked(i, State.ABSENT) for i in ours if i not in theirs]
            if absent:
                yield absent
            if theirs:
                known = {i: info for i, info in ours.items() if i in theirs}
                async for checked in look(source, dest, known, theirs):
                    yield checked
    if not one_way:
        async for extra in _extra(source, dest, match):
            yield extra


async def _extra(source: Store, dest: Store, match: str | None) -> AsyncIterator[list[Checked]]:
    fits = matcher(match)
    async for infos in dest.conversations():
        names = [info.id for info in infos if fits(info.id)]
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            there = await _infos(source, batch, details=False)
            extra = [Checked(name, State.EXTRA) for name in batch if name not in there]
            if extra:
                yield extra


async def _compare(
    source: Store,
    dest: Store,
    ours: dict[str, ConversationInfo],
    theirs: dict[str, ConversationInfo],
) -> AsyncIterator[list[Checked]]:
    async for found in compare(source, dest, ours, theirs):
        yield [Checked(found.conversation, found.checked, found.detail)]


async def _look(
    source: Store,
    dest: Store,
    ours: dict[str, ConversationInfo],
    theirs: dict[str, ConversationInfo],
) -> AsyncIterator[list[Checked]]:
    """Counts, titles and last messages."""
    holds = source.holds.common(dest.holds)
    checked, same = [], []
    for i, our in ours.items():
        their = theirs[i]
        state, detail = own_state(our, their, holds)
        if None not in (our.messages, their.messages) and our.messages != their.messages:
            detail = f"{our.messages:,} messages, in the destination {their.messages:,}"
            checked.append(Checked(i, State.DIFFERENT, detail))
        elif state is not State.EQUAL:
            checked.append(Checked(i, state, detail))
        else:
            same.append(i)
    last, other = await _last(source, same), await _last(dest, same)
    for i in same:
        our_last, their_last = last.get(i), other.get(i)
        broken = next((x for x in (our_last, their_last) if isinstance(x, Unreadable)), None)
        if our_last is None or their_last is None:
            continue  # gone meanwhile
        if broken is not None:
            checked.append(Checked(i, State.UNREADABLE, f"last message: {broken.reason}"))
        elif canonical(our_last, holds) != canonical(their_last, holds):  # type: ignore[arg-type]
            checked.append(Checked(i, State.DIFFERENT, "last message"))
        else:
            checked.append(Checked(i, State.EQUAL))
    yield checked


async def _last(store: Store, ids: Sequence[str]) -> dict[str, object]:
    if not ids:
        return {}
    return {
        page.conversation: page.items[0] async for page in store.read(ids, reverse=True, limit=1)
    }


async def _infos(store: Store, ids: Sequence[str], *, details: bool) -> dict[str, ConversationInfo]:
    return {
        info.id: info async for page in store.conversations(ids, details=details) for info in page
    }


def _own(source: Store, dest: Store) -> bool:
    return bool(source.holds.conversation_fields & dest.holds.conversation_fields)
