"""Listing the lists of another framework: its conversations, how long each has to live, and keys
that are no lists."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from synmem.backends.paging import storable
from synmem.backends.redis.foreign_lists import ForeignLists
from synmem.backends.redis.keys import decoded
from synmem.backends.redis.place import IDS_A_CALL
from synmem.backends.redis.plain import allowed
from synmem.errors import CorruptData
from synmem.messages import STRAY, Damage, Message, chunks
from synmem.store import ConversationInfo

_MOST_DAMAGE: Final = 1000
_SAMPLE: Final = 20
_SHOWN: Final = 60


class ForeignListing:
    """The conversations of another framework's lists."""

    def __init__(self, lists: ForeignLists, *, page_size: int) -> None:
        self._lists = lists
        self._page_size = page_size

    async def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`."""
        if ids is None:
            keys: Mapping[str, bytes] = await self._lists.all_keys()
        else:
            keys = await self._lists.keys(storable(ids))
        for some in chunks([*keys], min(self._page_size, IDS_A_CALL)):
            infos = await self._infos({id_: keys[id_] for id_ in some}, details)
            if infos:
                yield infos

    async def _infos(self, keys: Mapping[str, bytes], details: bool) -> list[ConversationInfo]:
        """Those of these conversations that there are."""
        lengths = dict(zip(keys, await self._ask("LLEN", keys.values()), strict=True))
        there = {id_: keys[id_] for id_, length in lengths.items() if length != 0}
        for other in await self._others(there):
            del there[other]
        times = await self._times(there) if details else {}
        return [self._info(id_, lengths[id_], times, details) for id_ in there]

    def _info(
        self, id_: str, length: Any, times: Mapping[str, Sequence[Any]], details: bool
    ) -> ConversationInfo:
        if not details or isinstance(length, CorruptData):
            return ConversationInfo(id=id_)
        first, last = times.get(id_, (None, None))
        count = length if self._lists.shape.single else None
        return ConversationInfo(id=id_, messages=count, first_at=first, last_at=last)

    async def _others(self, keys: Mapping[str, bytes]) -> list[str]:
        """Those of these that are somebody else's: the hash beside names another conversation; or
        where any key may be one, no item tells that it is."""
        shape = self._lists.shape
        if shape.hash_of is not None:
            hashes = [(self._lists.prefix + shape.hash_of(id_)).encode() for id_ in keys]
            named = await self._ask("HGET", hashes, "session_id")
            return [
                id_
                for id_, name in zip(keys, named, strict=True)
                if isinstance(name, bytes) and name != id_.encode()
            ]
        if self._lists.prefix:
            return []
        untold = await self._untold(keys, [(0, 0)])
        return await self._untold(
            {id_: keys[id_] for id_ in untold}, [(0, _SAMPLE), (-_SAMPLE, -1)]
        )

    async def _untold(
        self, keys: Mapping[str, bytes], spans: Sequence[tuple[int, int]]
    ) -> list[str]:
        """Those of these of which no item there tells that it is the layout's."""
        left = dict(keys)
        for span in spans:
            found = await self._ask("LRANGE", left.values(), *span)
            for id_, items in zip([*left], found, strict=True):
                if isinstance(items, list) and any(map(self._lists.shape.tells, items)):
                    del left[id_]
        return [*left]

    async def _times(self, keys: Mapping[str, bytes]) -> dict[str, Sequence[Any]]:
        """When the first and the last message of each was made, where the layout says so."""
        if "created_at" not in self._lists.shape.holds.fields:
            return {}
        ends = (-1, 0) if self._lists.shape.newest_first else (0, -1)
        found = [await self._ask("LINDEX", keys.values(), end) for end in ends]
        return {id_: [*map(self._time, each)] for id_, *each in zip(keys, *found, strict=True)}

    def _time(self, item: Any) -> Any:
        if not isinstance(item, bytes):
            return None
        [*said] = self._lists.said(item, 0)
        return said[0].created_at if said and isinstance(said[0], Message) else None

    async def _ask(self, command: str, keys: Any, *arguments: Any) -> list[Any]:
        """The answer for each of these keys; an error stands for one of another type."""
        asked = [(command, key, *arguments) for key in keys]
        return allowed(await self._lists.server.ask_all(asked))

    async def expiring(self, conversations: Sequence[str]) -> dict[str, float]:
        """See `SupportsExpiry.expiring`."""
        left: dict[str, float] = {}
        keys = await self._lists.keys(storable(conversations))
        for some in chunks([*keys], IDS_A_CALL):
            found = await self._ask("PTTL", [keys[id_] for id_ in some])
            left.update({id_: ms / 1000 for id_, ms in zip(some, found, strict=True) if ms >= 0})
        return left

    async def strays(self) -> list[Damage]:
        """See `SupportsStrays.strays`: lists of which the id is none. Where any key may be one,
        only those of which an item tells that it is."""
        reasons = await self._lists.strays()
        names = {repr(key): key for key in sorted(reasons)}
        if not self._lists.prefix:
            for other in await self._untold(names, [(0, 0)]):
                del names[other]
        return [
            Damage(STRAY, name[:_SHOWN], reasons[key])
            for name, key in list(names.items())[:_MOST_DAMAGE]
        ]

    async def damage(self) -> list[Damage]:
        """Those, and keys that have the name of a conversation's list, and are no list."""
        found = [*await self.strays(), *await self._no_lists()]
        return found[:_MOST_DAMAGE]

    async def _no_lists(self) -> list[Damage]:
        lists = self._lists
        if not lists.prefix:
            return []
        options = ("MATCH", lists.pattern)
        found = await lists.server.scan(lists.prefix.encode(), "SCAN", options=options)
        named = [key for key in sorted(found) if lists.id_in(key)]
        known = ("list", "none", "hash" if lists.shape.hash_of else "list")
        wrong: list[Damage] = []
        for some in chunks(named, IDS_A_CALL):
            kinds = await self._ask("TYPE", some)
            wrong += [
                Damage(STRAY, repr(decoded(key)), f"is a {kind.decode()}, not a list")
                for key, kind in zip(some, kinds, strict=True)
                if kind.decode() not in known
            ]
        return wrong
