"""How an index follows its store: what was appended is added, a conversation that changed
otherwise is taken anew, one that is gone goes."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from synmem.notes import Covered, tail_of
from synmem.operations.index_file import Known, Run, end_of
from synmem.store import START, ConversationInfo, Page, Store


class Index(Protocol):
    """What is told of the changes of a store."""

    async def known(self, names: Sequence[str]) -> dict[str, Known]:
        """What is remembered of these conversations, those that are known."""
        ...

    async def drop(self, known: Sequence[Known]) -> None:
        """Forget these conversations: they come anew, or are gone."""
        ...

    def next_id(self) -> int:
        """An id for a conversation."""
        ...

    async def add(self, run: Run, page: Page) -> None:
        """Take in the messages of a page, which `run.cover` gives."""
        ...

    async def finish(self, run: Run) -> None:
        """The conversation is taken in up to here."""
        ...

    async def seen(self, names: Sequence[str]) -> None:
        """These conversations are still there."""
        ...


async def follow(
    index: Index, store: Store, listing: AsyncIterator[list[ConversationInfo]]
) -> None:
    """Bring an index up to date with the conversations listed (with details)."""
    async for infos in listing:
        await _follow(index, store, infos)


async def _follow(index: Index, store: Store, infos: Sequence[ConversationInfo]) -> None:
    names = [info.id for info in infos]
    known = await index.known(names)
    heads, lasts = await _ends(store, names, False), await _ends(store, names, True)
    anew = []
    for info in infos:
        old = known.get(info.id)
        if old is None or heads.get(info.id) != old.head:
            anew.append(info.id)
        elif not old.is_whole(info, lasts.get(info.id)):
            grown = await _extend(index, store, info, old)
            anew += [] if grown else [info.id]
    await index.drop([known[name] for name in anew if name in known])
    if anew:
        await _take(index, store, anew)
    await index.seen(names)


async def _extend(index: Index, store: Store, info: ConversationInfo, old: Known) -> bool:
    """Add what was appended; False where more than that has changed."""
    if info.messages is not None and info.messages <= old.reach.messages:
        return False
    tail = await tail_of(store, info.id, old.reach)
    if tail is None:
        return False
    run = Run(old.id, info.id, old.head, Covered(old.reach, tail), tail[-1][0])
    async for page in store.read([info.id], after=tail[-1][0]):
        await index.add(run, page)
    if run.last:
        await index.finish(run)
    return True


async def _take(index: Index, store: Store, names: list[str]) -> None:
    run: Run | None = None
    async for page in store.read(names):
        if run is None or run.name != page.conversation:
            if run is not None:
                await index.finish(run)
            run = Run(index.next_id(), page.conversation, end_of(page), Covered(), START)
        await index.add(run, page)
    if run is not None:
        await index.finish(run)


async def _ends(store: Store, names: Sequence[str], reverse: bool) -> dict[str, str]:
    """What tells the first message of each conversation, or the last."""
    ends = {}
    async for page in store.read(names, reverse=reverse, limit=1):
        ends[page.conversation] = end_of(page)
    return ends
