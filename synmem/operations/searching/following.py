"""How an index follows its store: what was appended is added, a conversation that changed
otherwise is taken anew, one that is gone goes.

The number of messages and the two ends of a conversation tell that it has grown or shrunk. What was
changed in its middle a store tells that `SupportsChanges`; of another it goes unnoticed.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, Protocol

from synmem.notes import Covered, tail_of
from synmem.operations.searching.index_file import Guard, Known, Run, end_of
from synmem.store import START, ConversationInfo, Page, Position, Store, SupportsChanges

UNNOTICED: Final = (
    "{} does not tell what was changed inside of a conversation since it was indexed; "
    "`synmem search {}--rebuild` takes all in anew"
)


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


async def version_of(store: Store) -> str | None:
    """See `SupportsChanges.version`; None where the store tells none."""
    return await store.version() if isinstance(store, SupportsChanges) else None


async def notices(store: Store) -> bool:
    """Whether the store tells what is changed in the middle of a conversation."""
    return isinstance(store, SupportsChanges) and await store.fingerprints({}) is not None


async def follow(
    index: Index, store: Store, listing: AsyncIterator[list[ConversationInfo]]
) -> None:
    """Bring an index up to date with the conversations listed (with details)."""
    async for infos in listing:
        await _Following(index, store).follow(infos)


class _Following:
    """Some conversations of a listing.

    What the messages of one are to be known by is asked before they are read: what is changed
    between the two is then taken for changed, and never the other way round.
    """

    def __init__(self, index: Index, store: Store) -> None:
        self._index = index
        self._store = store
        self._guards: dict[str, Guard] = {}

    async def follow(self, infos: Sequence[ConversationInfo]) -> None:
        """See `follow`."""
        index = self._index
        names = [info.id for info in infos]
        known = await index.known(names)
        edited = await self._edited(known)
        if edited is not None:
            # As many messages, and none of them another: its ends need not be read.
            as_known = {name for name in known if name not in edited}
            infos = [i for i in infos if i.id not in as_known or not known[i.id].is_counted(i)]
        await self._follow(infos, known, edited or set())
        await index.seen(names)

    async def _follow(
        self, infos: Sequence[ConversationInfo], known: dict[str, Known], edited: set[str]
    ) -> None:
        """Those that may have changed; a message of the `edited` ones is another than it was."""
        index, store = self._index, self._store
        names = [info.id for info in infos]
        heads = await _ends(store, [name for name in names if name in known], False)
        lasts = await _ends(store, names, True)
        whole = {
            info.id
            for info in infos
            if info.id in known and known[info.id].is_whole(info, lasts.get(info.id))
        }
        await self._guard([name for name in names if name not in whole], lasts)
        await self._guard([name for name in edited if name in whole], lasts)
        anew = []
        for info in infos:
            old = known.get(info.id)
            if old is None or heads.get(info.id) != old.head or info.id in edited:
                anew.append(info.id)
            elif info.id not in whole:
                grown = await self._extend(info, old)
                anew += [] if grown else [info.id]
        await self._guard([name for name in anew if name not in self._guards], lasts)
        await index.drop([known[name] for name in anew if name in known])
        if anew:
            await self._take(anew)

    async def _guard(self, names: Sequence[str], lasts: Mapping[str, str]) -> None:
        """Guard the messages of these conversations up to their ends."""
        upto = {name: lasts[name].partition(" ")[2] for name in names if name in lasts}
        prints = await self._prints(upto) or {}
        guards = {name: Guard(upto[name], each) for name, each in prints.items()}
        self._guards.update(guards)

    async def _edited(self, known: Mapping[str, Known]) -> set[str] | None:
        """Those of which a message is not what it was when it was read, or of which that was not
        told then, but would be now; None where the store cannot tell."""
        upto = {name: old.guard.upto for name, old in known.items()}
        prints = await self._prints({name: each for name, each in upto.items() if each != START})
        if prints is None:
            return None
        return {name for name, old in known.items() if prints.get(name, "") != old.guard.print
                or old.guard == Guard()}  # fmt: skip

    async def _prints(self, upto: Mapping[str, Position]) -> dict[str, str] | None:
        if isinstance(self._store, SupportsChanges):
            return await self._store.fingerprints(upto)
        return None

    def _guard_of(self, name: str) -> Guard:
        return self._guards.get(name, Guard())

    async def _extend(self, info: ConversationInfo, old: Known) -> bool:
        """Add what was appended; False where more than that has changed."""
        if info.messages is not None and info.messages <= old.reach.messages:
            return False
        tail = await tail_of(self._store, info.id, old.reach)
        if tail is None:
            return False
        covered, position = Covered(old.reach, tail), tail[-1][0]
        run = Run(old.id, info.id, old.head, covered, position, self._guard_of(info.id))
        async for page in self._store.read([info.id], after=position):
            await self._index.add(run, page)
            if run.ended:
                break
        if run.last:
            await self._index.finish(run)
        return True

    async def _take(self, names: list[str]) -> None:
        run: Run | None = None
        async for page in self._store.read(names):
            name = page.conversation
            if run is None or run.name != name:
                if run is not None:
                    await self._index.finish(run)
                number, guard = self._index.next_id(), self._guard_of(name)
                run = Run(number, name, end_of(page), Covered(), START, guard)
            if not run.ended:
                await self._index.add(run, page)
        if run is not None:
            await self._index.finish(run)


async def _ends(store: Store, names: Sequence[str], reverse: bool) -> dict[str, str]:
    """What tells the first message of each conversation, or the last."""
    ends = {}
    async for page in store.read(names, reverse=reverse, limit=1):
        ends[page.conversation] = end_of(page)
    return ends
