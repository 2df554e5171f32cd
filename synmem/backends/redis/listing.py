"""The conversations of a Redis store: of the index and of the lists, and what is wrong there."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from synmem.backends.paging import storable
from synmem.backends.redis.beside import REMEDY
from synmem.backends.redis.keys import decoded
from synmem.backends.redis.place import Place
from synmem.backends.redis.scripts import DETAILS, LENGTHS
from synmem.errors import AccessDenied, CorruptData
from synmem.layouts.own import redis_items
from synmem.layouts.own.beside import read_description
from synmem.messages import GHOST, ORPHAN, STRAY, Damage, chunks
from synmem.store import ConversationInfo

_MOST_DAMAGE: Final = 100


class Listing:
    """Lists conversations."""

    def __init__(self, place: Place, *, page_size: int) -> None:
        self._place = place
        self._page_size = page_size

    async def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`."""
        names = storable(ids) if ids is not None else storable(await self._all())
        look = self._details if details else self._existing
        for some in chunks(names, self._page_size):
            found = await look(some)
            if found:
                yield found

    async def _existing(self, ids: Sequence[str]) -> list[ConversationInfo]:
        found = await self._place.call(LENGTHS, ids)
        return [ConversationInfo(id=i) for i, length in zip(ids, found, strict=True) if length]

    async def _details(self, ids: Sequence[str]) -> list[ConversationInfo]:
        found = await self._place.call_both(DETAILS, ids)
        return [self._info(i, about) for i, about in zip(ids, found, strict=True) if about != 0]

    def _info(self, conversation: str, about: Any) -> ConversationInfo:
        if about == -1:
            return ConversationInfo(id=conversation)
        length, first, last, title, extra = about
        return ConversationInfo(
            id=conversation,
            messages=length,
            first_at=_time_of(first),
            last_at=_time_of(last),
            **read_description(title, extra, REMEDY),
        )

    async def _all(self) -> list[str]:
        """Every id that the index or the lists name, once; those that are not UTF-8 left out."""
        indexed, listed = await self._names()
        return [i for name in {*indexed, *listed} if (i := decoded(name))]

    async def _names(self) -> tuple[list[bytes], list[bytes]]:
        """The ids in the index, and those of the lists that there are; without those that only
        the index of another prefix names, a longer or a shorter one, and that are that one's."""
        index = self._place.keys.index
        kind = await self._place.server.kind(index)
        if kind not in ("set", "none"):
            raise CorruptData(
                f"{self._place.name}: {index!r} is a {kind}, not a set of conversations",
                hint="another program uses these keys; name another prefix",
            )
        indexed = await self._place.server.scan(index, "SSCAN", index, options=())
        options = ("MATCH", self._place.keys.pattern, "TYPE", "list")
        lists = await self._place.server.scan(index, "SCAN", options=options)
        listed = [self._place.keys.id_in(key) for key in lists]
        if orphans := set(listed).difference(indexed):
            others = await self._of_longer_prefixes(orphans)
            others |= await self._of_shorter_prefixes(orphans - others)
            listed = [name for name in listed if name not in others]
        return indexed, listed

    async def _of_longer_prefixes(self, orphans: set[bytes]) -> set[bytes]:
        """Those of these names that the index of a longer prefix has."""
        found: set[bytes] = set()
        options = ("MATCH", self._place.keys.indexes, "TYPE", "set")
        for index in await self._place.server.scan(self._place.keys.index, "SCAN", options=options):
            longer = self._place.keys.longer(index)
            if any(name.startswith(longer) for name in orphans):
                named = await self._place.server.scan(index, "SSCAN", index, options=())
                found.update(longer + name for name in named)
        return found & orphans

    async def _of_shorter_prefixes(self, orphans: set[bytes]) -> set[bytes]:
        """Those of these names that the index of a shorter prefix has."""
        found: set[bytes] = set()
        for index, longer in self._place.keys.shorter() if orphans else ():
            # The keys there may lie elsewhere, and need not be ours to look at.
            with contextlib.suppress(AccessDenied):
                if await self._place.server.kind(index) == "set":
                    named = await self._place.server.scan(index, "SSCAN", index, options=())
                    found.update(name[len(longer) :] for name in named if name.startswith(longer))
        return found & orphans

    async def damage(self) -> list[Damage]:
        """Ghosts, orphans, and names that are no ids."""
        indexed, listed = map(set, await self._names())
        ghosts = _named(GHOST, indexed - listed, "in the index, but without messages")
        found = [*ghosts, *_orphans(indexed, listed)]
        strays = [name for name in sorted(indexed | listed) if not decoded(name)]
        found += [Damage(STRAY, repr(name), "its id is empty or not UTF-8") for name in strays]
        return found

    async def orphans(self) -> list[Damage]:
        """See `SupportsOrphans.orphans`."""
        return _orphans(*map(set, await self._names()))


def _time_of(item: bytes) -> Any:
    """The time of a message; None where it has none, or cannot be read."""
    try:
        return redis_items.decode(item).created_at
    except ValueError:
        return None


def _orphans(indexed: set[bytes], listed: set[bytes]) -> list[Damage]:
    return _named(ORPHAN, listed - indexed, "has messages, but is not in the index")


def _named(kind: str, names: set[bytes], reason: str) -> list[Damage]:
    """A line for each conversation, or for so many of them."""
    ids = sorted(i for name in names if (i := decoded(name)))
    found = [Damage(kind, repr(i), reason) for i in ids[:_MOST_DAMAGE]]
    more = len(ids) - len(found)
    return [*found, Damage(kind, "...", f"{more:,} more such")] if more else found
