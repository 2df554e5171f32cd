"""A store that is read by whole conversations, for layouts of which only all records of one tell
its messages and their order; what several drivers share.

A driver says how it finds conversations and what their records tell (`Source`). A position is the
index of a message and a fingerprint of the last few up to it: where these do not stand there any
more, they are looked for, and where they stand nowhere, or twice, it is `Changed`.
"""

import hashlib
from collections import defaultdict
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

import msgspec

from synmem.backends.paging import changed, storable
from synmem.errors import StoreError, Unsupported
from synmem.layouts.shapes import MALFORMED, Record, Told
from synmem.messages import (
    STRAY,
    Conversation,
    Damage,
    Holds,
    Message,
    Unreadable,
    ascii_json,
    canonical,
    chunks,
    refusal,
)
from synmem.store import START, ConversationInfo, Page, Part, Position

_ANCHOR: Final = 16
"""So many messages, up to the one that is meant, are in a position's fingerprint."""

_MOST_AT_ONCE: Final = 100
"""So many small conversations are asked for at once; of large ones each by itself."""

_MARK: Final = "#"
"""Stands between the id of a conversation and that of a branch's leaf."""

MOST_STRAYS: Final = 1000
"""So many kinds of what belongs to no conversation are named."""

Said = Message | Unreadable


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
class Remembers(Protocol):
    """A source that can list conversations without reading them again."""

    def listed(self, ids: Sequence[str] | None) -> AsyncIterator[list[Listed]]:
        """Every conversation once, or those of `ids` that exist, in pages."""

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
            found, said = True, [*told.messages]
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
            width = min(width * 2, _MOST_AT_ONCE) if count <= self._page_size else 1
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
        """See `Store.conversations`. Without messages there is none, so each is read, unless what
        was seen of it is remembered."""
        if isinstance(self._source, Remembers) and not self._with_branches:
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

    async def fingerprints(self, upto: Mapping[str, Position]) -> dict[str, str] | None:
        """See `SupportsChanges.fingerprints`: where its source cannot tell, neither can it; of
        branches it cannot."""
        if isinstance(self._source, Remembers) and not self._with_branches:
            return await self._source.fingerprints(upto)
        return None

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


def stray(what: Any, why: Any, count: int) -> Damage:
    """Records that no conversation has, as a plan's query tells them."""
    return Damage(STRAY, str(what), f"{why} ({count:,} such)")


Records = Mapping[str, Mapping[str, Sequence[Record]]]
"""What the queries of a plan gave: by query, and then by conversation."""


def by_conversation(rows: Iterable[Sequence[Any]]) -> dict[str, list[Record]]:
    """The rows of a query of a plan, less their first column, which says the conversation."""
    found: defaultdict[str, list[Record]] = defaultdict(list)
    for id_, *record in rows:
        found[id_].append(record)
    return found


def told_of(
    ids: Sequence[str],
    records: Records,
    unfold: Callable[[str, Mapping[str, Sequence[Record]]], Told],
) -> dict[str, Told]:
    """What these conversations say. One of which no query has a row is not there."""
    found: dict[str, Told] = {}
    for id_ in [id_ for id_ in ids if any(id_ in of_ids for of_ids in records.values())]:
        theirs = {name: of_ids.get(id_, []) for name, of_ids in records.items()}
        found[id_] = told_by(partial(unfold, id_, theirs))
    return found


def told_by(unfold: Callable[[], Told]) -> Told:
    """What an `unfold` of a layout gives; one `Unreadable` where nothing can be read."""
    try:
        return unfold()
    except MALFORMED as error:
        return Told(messages=[Unreadable("conversation", f"the conversation: {error}")])


def readable(told: Told) -> Told:
    """The same, in which what no message can be is unreadable; other branches as they are."""
    return msgspec.structs.replace(told, messages=_checked(told.messages))


def _checked(said: Sequence[Said]) -> list[Said]:
    return [
        Unreadable(f"message {index}", f"message {index}: {why}")
        if isinstance(each, Message) and (why := refusal(each))
        else each
        for index, each in enumerate(said)
    ]


def _page(conversation: str, said: Sequence[Said], indexes: Sequence[int]) -> Page:
    """The messages at these indexes of a conversation that says this."""
    return Page(
        conversation,
        [said[index] for index in indexes],
        lambda i: position_at(said, indexes[i]),
    )


def position_at(said: Sequence[Said], index: int) -> Position:
    """Where the message of that index stands in a conversation that says this."""
    return ascii_json([index, _fingerprint(said, index)])


def index_at(said: Sequence[Said], position: Position) -> int | None:
    """At which index the message of a position stands now; None where it does not, or may be any
    of several. ValueError where it is none of ours."""
    try:
        index, print_ = msgspec.json.decode(position, type=tuple[int, str])
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a position of this store: {position!r}") from error
    if 0 <= index < len(said) and _fingerprint(said, index) == print_:
        return index
    found = [at for at in range(len(said)) if _fingerprint(said, at) == print_]
    return found[0] if len(found) == 1 else None


def _fingerprint(said: Sequence[Said], index: int) -> str:
    """Of the message at an index, and of those just before it."""
    digest = hashlib.blake2b(digest_size=12)
    for each in said[max(0, index + 1 - _ANCHOR) : index + 1]:
        if isinstance(each, Message):
            digest.update(canonical(each))
        else:
            digest.update(ascii_json([each.position, each.reason, each.text]).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def info_of(id_: str, said: Sequence[Said], told: Told) -> ConversationInfo:
    """What a listing shows of a conversation, or of a branch of it, where this is said."""
    first, last = (
        each.created_at if isinstance(each, Message) else None
        for each in _checked([said[0], said[-1]])
    )
    return ConversationInfo(
        id=id_,
        messages=len(said),
        first_at=first,
        last_at=last,
        title=told.title or None,
        extra=told.extra or None,
    )
