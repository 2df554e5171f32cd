"""Whether a store is sound, and whether two hold the same conversations."""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from synmem.messages import Damage, Holds, Message, Unreadable, canonical
from synmem.operations.listing import Match, listing, matcher, select
from synmem.operations.looking import Skipped, check_unchanged, infos_of
from synmem.operations.moving.compare import Pair, State, description_problem, description_state
from synmem.operations.moving.naming import PLAIN, Naming
from synmem.store import ConversationInfo, Page, Store, SupportsDamage
from synmem.strategies.pairing import Pairing

if TYPE_CHECKING:
    from synmem.operations.moving.contents import Contents

_NAMED = 3


class Checked(msgspec.Struct, frozen=True):
    """The state of one conversation, and for a difference where it begins.

    It is called as the source calls it, and `there` what it is called in the destination.
    """

    conversation: str
    state: State
    detail: str = ""
    there: str = ""


# --- one store ------------------------------------------------------------------------------


class Soundness(msgspec.Struct):
    """What reading all of a store came to.

    `unanswered` are tool calls without a result, `orphans` results without their call, `parted`
    the conversations that have either. That is no damage: whoever sends them has to mend them.
    """

    conversations: int = 0
    messages: int = 0
    unreadable: int = 0
    damage: list[Damage] = []
    unanswered: int = 0
    orphans: int = 0
    parted: int = 0
    parted_names: list[str] = []
    """The first of them."""


async def sound(
    store: Store, found: Soundness, *, match: Match = None, contents: "Contents | None" = None
) -> AsyncIterator[list[Skipped]]:
    """Read every message, and yield, page by page, what cannot be read; counts go to `found`, and
    all that is read to `contents`."""
    if isinstance(store, SupportsDamage):
        found.damage = await store.damage()
    details = bool(store.holds.conversation_fields)
    tools = _Tools(found) if "tool_calls" in store.holds.fields else None
    async for infos in listing(store, match=match, details=details):
        seen: dict[str, int] = {}
        beside = {info.id: info.unreadable for info in infos if info.unreadable is not None}
        async for page in store.read([info.id for info in infos]):
            before = seen.get(page.conversation, 0)
            seen[page.conversation] = before + len(page.items)
            broken = [
                Skipped(page.conversation, number, item.reason)
                for number, item in enumerate(page.items, before + 1)
                if type(item) is Unreadable
            ]
            found.messages += len(page.items) - len(broken)
            found.unreadable += len(broken)
            if tools is not None:
                tools.see(page)
            if contents is not None:
                contents.take(page)
            if [each.reason for each in broken] == [beside.get(page.conversation)]:
                del beside[page.conversation]  # the same, told in the place of its messages
            yield broken
        found.unreadable += len(beside)
        yield [Skipped(conversation, None, why) for conversation, why in beside.items()]
        found.conversations += len(seen)
        if contents is not None:
            contents.settle(infos)
    if tools is not None:
        tools.end()
    await check_unchanged(store)


class _Tools:
    """Counts what is parted, conversation by conversation."""

    def __init__(self, found: Soundness) -> None:
        self._found = found
        self._conversation: str | None = None
        self._begin()

    def _begin(self) -> None:
        self._pairing = Pairing()
        self._number = self._orphans = 0

    def see(self, page: Page) -> None:
        """The next page; all of a conversation come in one run."""
        if page.conversation != self._conversation:
            self.end()
            self._conversation = page.conversation
        results = self._pairing.see(self._number, page.items)
        self._orphans += sum(caller is None for _, caller in results)
        self._number += len(page.items)

    def end(self) -> None:
        """The conversation is read."""
        found, unanswered = self._found, self._pairing.unanswered
        if self._conversation is not None and (unanswered or self._orphans):
            found.unanswered += unanswered
            found.orphans += self._orphans
            found.parted += 1
            found.parted_names += [self._conversation][: _NAMED - len(found.parted_names)]
        self._begin()


# --- two stores -----------------------------------------------------------------------------


async def check(
    source: Store,
    dest: Store,
    *,
    match: Match = None,
    one_way: bool = False,
    quick: bool = False,
    naming: Naming = PLAIN,
) -> AsyncIterator[list[Checked]]:
    """The state of every conversation, in lists; with `one_way` only of those of the source.

    `quick` compares counts, the last message, title and extra: it can prove a difference, and
    its `EQUAL` means no more than that none was seen. What is not called as `naming` says is not
    the source's: nothing is looked at of it.
    """
    pair = Pair(source, dest, naming=naming)
    async for checked in _states(pair, match, quick=quick):
        yield [_named(each, naming) for each in checked]
    if not one_way:
        async for extra in _extra(pair, match):
            yield [_named(each, naming) for each in extra]
    await check_unchanged(source, dest)


def _named(checked: Checked, naming: Naming) -> Checked:
    return msgspec.structs.replace(checked, there=naming.there(checked.conversation))


async def _states(pair: Pair, match: Match, *, quick: bool) -> AsyncIterator[list[Checked]]:
    look = _look if quick else _compare
    details = quick or _tells_descriptions(pair.source, pair.dest)
    async for infos in listing(pair.source, match=match, details=details):
        ours = {info.id: info for info in infos}
        theirs = await pair.theirs(list(ours), details=details)
        absent = [
            Checked(i, State.ABSENT, info.unreadable or "")
            for i, info in ours.items()
            if i not in theirs
        ]
        if absent:
            yield absent
        if theirs:
            known = {i: info for i, info in ours.items() if i in theirs}
            async for checked in look(pair, known, theirs):
                yield checked


async def _extra(pair: Pair, match: Match) -> AsyncIterator[list[Checked]]:
    fits = matcher(match)
    async for there in select(pair.dest):
        names = [name for each in there if (name := pair.naming.here(each)) and fits(name)]
        ours = await infos_of(pair.source, names, details=False)
        extra = [Checked(name, State.EXTRA) for name in names if name not in ours]
        if extra:
            yield extra


async def _compare(
    pair: Pair, ours: dict[str, ConversationInfo], theirs: dict[str, ConversationInfo]
) -> AsyncIterator[list[Checked]]:
    async for found in pair.compare(ours, theirs):
        yield [Checked(found.conversation, *found.checked)]


async def _look(
    pair: Pair, ours: dict[str, ConversationInfo], theirs: dict[str, ConversationInfo]
) -> AsyncIterator[list[Checked]]:
    """Counts, titles and last messages."""
    holds = pair.holds
    checked, same = list[Checked](), list[str]()
    unread: dict[str, str] = {}
    for i, our in ours.items():
        their = theirs[i]
        state, detail = description_state(our, their, holds)
        problem = description_problem(our, their, holds)
        if None not in (our.messages, their.messages) and our.messages != their.messages:
            detail = f"{our.messages:,} messages, in the destination {their.messages:,}"
            checked.append(Checked(i, State.DIFFERENT, detail))
        elif problem is not None:
            unread[i] = problem
            same.append(i)
        elif state is not State.EQUAL:
            checked.append(Checked(i, state, detail))
        else:
            same.append(i)
    last = await _last(pair.source, same)
    other = await _last(pair.dest, [pair.naming.there(i) for i in same])
    for i in same:
        there = pair.naming.there(i)
        if i in last and there in other:  # else it is gone meanwhile
            compared = _compared_last(i, last[i], other[there], holds)
            if compared.state is State.EQUAL and i in unread:
                compared = Checked(i, State.UNREADABLE, unread[i])
            checked.append(compared)
    yield checked


def _compared_last(
    conversation: str, ours: Message | Unreadable, theirs: Message | Unreadable, holds: Holds
) -> Checked:
    if isinstance(ours, Unreadable):
        return Checked(conversation, State.UNREADABLE, f"last message: {ours.reason}")
    if isinstance(theirs, Unreadable):
        return Checked(conversation, State.UNREADABLE, f"last message: {theirs.reason}")
    if canonical(ours, holds) != canonical(theirs, holds):
        return Checked(conversation, State.DIFFERENT, "last message")
    return Checked(conversation, State.EQUAL)


async def _last(store: Store, ids: Sequence[str]) -> dict[str, Message | Unreadable]:
    if not ids:
        return {}
    return {
        page.conversation: page.items[0] async for page in store.read(ids, reverse=True, limit=1)
    }


def _tells_descriptions(source: Store, dest: Store) -> bool:
    return bool(source.holds.conversation_fields & dest.holds.conversation_fields)
