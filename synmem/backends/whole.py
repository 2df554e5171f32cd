"""A store that is read by whole conversations, for layouts of which only all records of one tell
its messages and their order; what several drivers share.

A driver says how it finds conversations and what their records tell (`Source`). A position is the
index of a message and a fingerprint of the last few up to it: where these do not stand there any
more, they are looked for, and where they stand nowhere, or twice, it is `Changed`.
"""

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Collection,
    Mapping,
    Sequence,
)
from typing import Final, NamedTuple, Protocol, runtime_checkable

import msgspec

from synmem.backends.paging import changed, storable
from synmem.backends.telling import (
    MOST_STRAYS,
    index_at,
    info_of,
    position_at,
    print_of,
    readable,
)
from synmem.errors import StoreError, Unsupported
from synmem.layouts.lazy import Said
from synmem.layouts.shapes import Told
from synmem.messages import (
    STRAY,
    Conversation,
    Damage,
    Holds,
    Message,
    chunks,
)
from synmem.store import START, ConversationInfo, Page, Part, Position

_MOST_AT_ONCE: Final = 100
"""So many small conversations are asked for at once; of large ones each by itself."""

_FEW: Final = 20
"""No more messages of a conversation that are read are made by themselves."""

_MARK: Final = "#"
"""Stands between the id of a conversation and that of a branch's leaf."""


class Source(Protocol):
    """How a driver finds whole conversations."""

    name: str

    def ids(self) -> AsyncIterator[list[str]]:
        """The ids of all conversations, in pages, each once."""

    async def told(self, ids: Sequence[str]) -> Mapping[str, Told]:
        """What these conversations say, those that exist. A conversation of which nothing can be
        read is one `Unreadable`."""

    async def strays(self) -> list[Damage]:
        """Records that belong to no conversation."""

    async def version(self) -> str | None:
        """As long as it is the same, so is all that lies there; None: that cannot be told."""

    async def close(self) -> None:
        """Give connections and files back; twice is once."""


class Listed(NamedTuple):
    """What a listing shows of a conversation, and how many other branches it has."""

    info: ConversationInfo
    branches: int


@runtime_checkable
class ListsAlone(Protocol):
    """A source that can list conversations without reading what they say."""

    def listed(self, ids: Sequence[str] | None) -> AsyncIterator[list[Listed]]:
        """Every conversation once, or those of `ids` that exist, in pages."""


@runtime_checkable
class Remembers(ListsAlone, Protocol):
    """A source that remembers what it saw of conversations, and where they end."""

    async def fingerprints(self, upto: Mapping[str, Position]) -> dict[str, str]:
        """See `SupportsChanges.fingerprints`."""


class WholeStore:
    """A `Store` of whole conversations, to read. A branch is a conversation of its own where
    `branches`; where not, the current one is the conversation, and the others are counted."""

    def __init__(
        self, source: Source, holds: Holds, remark: str, *, branches: bool, page_size: int
    ) -> None:
        self.name = source.name
        self.holds = msgspec.structs.replace(holds, written=False)
        self._source = source
        self._remark = remark
        self._page_size = page_size
        self._with_branches = branches
        self._passed: dict[str, int] = {}
        """Of the conversations that were looked at, how many other branches each has that are not
        given."""
        self._were_read: set[str] = set()

    # --- reading ---

    def read(
        self,
        conversations: Sequence[str],
        *,
        after: Position = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Page]:
        """See `Store.read`; what a conversation says is asked for once, and then comes in pages."""
        if after != START and len(conversations) != 1:
            raise ValueError("after goes with one conversation")
        return self._read(storable(conversations), after, reverse, limit)

    async def _read(
        self, ids: Sequence[str], after: Position, reverse: bool, limit: int | None
    ) -> AsyncGenerator[Page, None]:
        found = False
        async for conversation, told in self._tellings(ids):
            # Of a few messages only these, and those that their positions stand on, are made.
            few = limit is not None and limit <= _FEW
            found, said = True, told.messages if few else [*told.messages]
            self._were_read.add(conversation)
            start = 0 if after == START else self._index(conversation, said, after) + 1
            order = range(len(said))
            if reverse:
                order = order[::-1] if after == START else range(start - 1)[::-1]
            else:
                order = order[start:]
            for some in chunks(order[:limit], self._page_size):
                yield _page(conversation, said, some)
        if after != START and not found:
            raise changed(ids[0] if ids else "", self.name)

    async def _tellings(self, ids: Sequence[str]) -> AsyncGenerator[tuple[str, Told], None]:
        """What each of these says, as many at once as have proved small."""
        width, waiting = 1, [*ids]
        trunks: dict[str, Told] = {}
        while waiting:
            some, waiting = waiting[:width], waiting[width:]
            found = await self._told(some, trunks)
            count = sum(len(told.messages) for told in found.values())
            fits = width * self._page_size // max(count, 1)
            width = max(1, min(width * 2, fits, _MOST_AT_ONCE))
            for conversation in some:
                if conversation in found:
                    yield conversation, found[conversation]

    async def _told(self, ids: Sequence[str], trunks: dict[str, Told]) -> dict[str, Told]:
        """What these conversations say, or branches; those that have messages. The trunks are
        those of the last branches, whose others may be asked for next."""
        found = dict(await self._source.told(ids))
        if not self._with_branches:
            self._passed.update((id_, len(told.branches)) for id_, told in found.items())
        missing = [id_ for id_ in ids if id_ not in found and _MARK in id_]
        branches = await self._branches(missing, trunks) if missing else {}
        for id_, (trunk, leaf) in branches.items():
            found[id_] = msgspec.structs.replace(
                trunk, messages=trunk.branches[leaf], branches={}, leaf=leaf
            )
        return {id_: readable(told) for id_, told in found.items() if told.messages}

    async def _branches(
        self, ids: Sequence[str], trunks: dict[str, Told]
    ) -> dict[str, tuple[Told, str]]:
        """Those of these that are `ID#LEAF`: what the conversation says, and the leaf. Either may
        have a `#` of its own; where that can be read in two ways, the first is right."""
        ways = [
            (id_, id_[:at], id_[at + 1 :])
            for id_ in ids
            for at, mark in enumerate(id_)
            if mark == _MARK and at
        ]
        if not all(trunk in trunks for _, trunk, _ in ways):
            trunks.clear()
            trunks.update(await self._source.told(sorted({trunk for _, trunk, _ in ways})))
        found: dict[str, tuple[Told, str]] = {}
        for id_, trunk, leaf in ways:
            if trunk in trunks and leaf in trunks[trunk].branches:
                found.setdefault(id_, (trunks[trunk], leaf))
        return found

    def _index(self, conversation: str, said: Sequence[Said], position: Position) -> int:
        """At which index the message of a position stands now."""
        index = index_at(said, position)
        if index is None:
            raise changed(conversation, self.name)
        return index

    # --- listing ---

    async def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`. Without messages there is none, so each is read, unless its
        source can list it alone."""
        if isinstance(self._source, ListsAlone) and not self._with_branches:
            async for found in self._source.listed(None if ids is None else storable(ids)):
                self._passed.update((each.info.id, each.branches) for each in found)
                yield [each.info for each in found]
            return
        async for some in self._pages_of(ids):
            infos = [
                info
                async for conversation, told in self._tellings(some)
                for info in await self._infos(conversation, told, details, ids is None)
            ]
            if infos:
                yield infos

    async def _pages_of(self, ids: Sequence[str] | None) -> AsyncIterator[list[str]]:
        if ids is None:
            async for some in self._source.ids():
                yield some
        else:
            for chunk in chunks(storable(ids), self._page_size):
                yield [*chunk]

    async def _infos(
        self, conversation: str, told: Told, details: bool, all_: bool
    ) -> list[ConversationInfo]:
        """A conversation, and where they are asked for its branches, as a listing shows them."""
        found = {conversation: told.messages}
        if all_ and self._with_branches:
            found |= await self._named(conversation, told)
        if not details:
            return [ConversationInfo(id=id_) for id_ in found]
        return [info_of(id_, said, told) for id_, said in found.items()]

    async def _named(self, conversation: str, told: Told) -> dict[str, Sequence[Said]]:
        """Its branches, by the ids that they are read by; not those whose id is another's. What is
        said there is as its layout has it: they share most of it, and may be as many as that."""
        branches = {leaf: said for leaf, said in told.branches.items() if said}
        names = {f"{conversation}{_MARK}{leaf}": leaf for leaf in branches}
        others = await self._source.told([*names]) if names else {}
        read = await self._branches([name for name in names if name.count(_MARK) > 1], {})
        return {
            name: branches[leaf]
            for name, leaf in names.items()
            if name not in others and (name not in read or read[name][1] == leaf)
        }

    def passed_over(self, listed: Collection[str] | None = None) -> int:
        """See `SupportsBranches.passed_over`."""
        ids = self._were_read if listed is None else listed
        return sum(self._passed.get(id_, 0) for id_ in ids)

    async def leaf(self, conversation: str) -> str | None:
        """See `SupportsBranches.leaf`."""
        told = (await self._told([conversation], {})).get(conversation)
        return None if told is None else told.leaf

    # --- what lies there ---

    def remark(self) -> str:
        """See `SupportsRemark.remark`: whose it is."""
        return self._remark

    async def damage(self) -> list[Damage]:
        """Records that belong to no conversation."""
        return await self.strays()

    async def strays(self) -> list[Damage]:
        """See `SupportsStrays.strays`: also branches that have no id of their own."""
        found = await self._source.strays()
        return found + await self._nameless() if self._with_branches else found

    async def _nameless(self) -> list[Damage]:
        """The branches whose id is another conversation's. So it can only be where the id of one
        has a mark, and theirs begins with it, or it with theirs."""
        marked = [id_ async for some in self._source.ids() for id_ in some if _MARK in id_]
        begin = {id_[:at] for id_ in marked for at, mark in enumerate(id_) if mark == _MARK and at}
        found: list[Damage] = []
        for some in chunks(sorted({*marked, *begin}), self._page_size):
            for conversation, told in (await self._source.told(some)).items():
                named = await self._named(conversation, told)
                names = [f"{conversation}{_MARK}{leaf}" for leaf in told.branches]
                why = "the id of this branch is that of another conversation"
                found += [Damage(STRAY, repr(name), why) for name in names if name not in named]
        return found[:MOST_STRAYS]

    async def version(self) -> str | None:
        """See `SupportsChanges.version`."""
        version = await self._source.version()
        return version and f"{version} {self._remark} {self._with_branches}"

    async def fingerprints(self, upto: Mapping[str, Position]) -> dict[str, str]:
        """See `SupportsChanges.fingerprints`: where its source cannot tell sooner, by what the
        conversations say."""
        if isinstance(self._source, Remembers) and not self._with_branches:
            return await self._source.fingerprints(upto)
        return {
            conversation: print_of([*told.messages], upto[conversation])
            async for conversation, told in self._tellings([*upto])
        }

    async def close(self) -> None:
        """See `Store.close`."""
        await self._source.close()

    # --- writing, which there is not ---

    def refusal(self, message: Message) -> str | None:
        """See `Store.refusal`: it is only read."""
        return f"{self._remark}: it can be read, not written"

    async def append(
        self, parts: Sequence[Part], *, keep: int | None = None, token: str | None = None
    ) -> list[Position]:
        """Unsupported."""
        raise self._only_read()

    async def delete(
        self,
        conversation: str,
        *,
        upto: Position | None = None,
        begins: Position | None = None,
        token: str | None = None,
    ) -> bool:
        """Unsupported."""
        raise self._only_read()

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
        begins: Position | None = None,
        token: str | None = None,
    ) -> None:
        """Unsupported."""
        raise self._only_read()

    def _only_read(self) -> StoreError:
        return Unsupported(
            f"{self.name} ({self._remark}) can be read, not written",
            hint="copy it to another store with `synmem migrate`",
        )


def _page(conversation: str, said: Sequence[Said], indexes: Sequence[int]) -> Page:
    """The messages at these indexes of a conversation that says this."""
    return Page(
        conversation,
        [said[index] for index in indexes],
        lambda i: position_at(said, indexes[i]),
    )
