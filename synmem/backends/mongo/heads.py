"""The heads of a MongoDB store: looked at around whatever is read, and moved in one write."""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

from pymongo.errors import DuplicateKeyError

from synmem.backends.mongo.head import Head, head_of
from synmem.backends.mongo.keys import (
    IDS_A_QUERY,
    KEY,
    LAST,
    NUMBERED,
    ONE_EACH,
    number_of,
    position_of,
    sort_alike,
)
from synmem.backends.mongo.opening import Place, new_token
from synmem.backends.mongo.server import Document
from synmem.messages import JSONObject, chunks
from synmem.store import START, Position

LOOKS: Final = 50
"""So often what changes while it is read is read again."""

AT_ONCE: Final = 16

_FIELDS: Final = dict.fromkeys(sorted({*Head.__struct_fields__} - {"unreadable"}), 1)

T = TypeVar("T")


class Glimpse:
    """The heads of some conversations, looked at before something is read under them and after.

    Where one has another version then, somebody moved a front meanwhile, and it is read again: so
    a reader sees the old front or the new one, never a part of each.
    """

    def __init__(self, heads: "Heads", ids: Sequence[str]) -> None:
        self.ids = ids
        self._heads = heads
        self._seen: Mapping[str, Head] = {}

    def __getitem__(self, conversation: str) -> Head:
        return self._seen[conversation]

    async def under(self, read: Callable[[], Awaitable[T]]) -> T:
        """What `read` finds while these heads stay as they are; those that were seen after the
        last call are those before this one."""
        self._seen = self._seen or await self._heads.seen(self.ids)
        for _ in range(LOOKS):
            before, found = self._seen, await read()
            self._seen = await self._heads.seen(self.ids)
            if all(self[i].version == before[i].version for i in self.ids):
                return found
        raise self._heads.place.changed(self.ids[0])

    async def each(self, read: Callable[[str, Head], Awaitable[T]]) -> list[T]:
        """What `read` finds of each of them, several at a time."""

        async def one(conversation: str) -> T:
            async with self._heads.turns:
                return await read(conversation, self[conversation])

        return await self.under(lambda: asyncio.gather(*map(one, self.ids)))


class Heads:
    """Which documents of each conversation are its messages, and where these begin and end."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.turns = asyncio.Semaphore(AT_ONCE)

    # --- as they are ------------------------------------------------------------------------

    async def seen(self, ids: Sequence[str]) -> dict[str, Head]:
        """The head of each of these conversations, also of those without one, and those that
        cannot be read."""
        found = await self.place.beside(ids, _FIELDS)
        return {conversation: head_of(found.get(conversation)) for conversation in ids}

    async def sound(self, ids: Sequence[str]) -> dict[str, Head]:
        """The same for who writes: CorruptData where one cannot be read."""
        heads = await self.seen(ids)
        for conversation, head in heads.items():
            self._check_readable(conversation, head)
        return heads

    async def of(self, conversation: str) -> Head:
        """The head of one conversation, for who writes."""
        return (await self.sound([conversation]))[conversation]

    def _check_readable(self, conversation: str, head: Head) -> None:
        if head.unreadable is not None:
            raise self.place.broken(conversation, head.unreadable)

    # --- what stands under them -------------------------------------------------------------

    async def existing(self, ids: Sequence[str], *, known: bool = False) -> set[str]:
        """Which of these conversations, which are sorted, exist; `known` to have documents."""
        if not ids:
            return set()
        there = set(ids)
        if not known:
            among: Document = {"session_id": {"$gte": ids[0], "$lte": ids[-1]}, **NUMBERED}
            if sort_alike(ids) and not await self.place.find(among, None, 1, KEY):
                return set()  # the common case of a copy: one step of the index
            there = await self._there(ids)
        heads = await self.seen(sorted(there))
        # One whose head cannot be read is there: nothing may be begun in its place.
        doubted = {i for i in there if heads[i].version is not None and heads[i].unreadable is None}
        return there - doubted | set(await self.ends(sorted(doubted)))

    async def _there(self, ids: Sequence[str]) -> set[str]:
        """Which of these have documents, whether or not they are shown."""
        if len(ids) <= AT_ONCE:
            found = await asyncio.gather(*map(self.place.any_of, ids))
            return {conversation for conversation, any_ in zip(ids, found, strict=True) if any_}
        among: Document = {"session_id": {"$in": list(ids)}, **NUMBERED, **ONE_EACH}
        return set(await self.place.ask(lambda: self.place.messages.distinct("session_id", among)))

    async def ends(self, ids: Sequence[str]) -> dict[str, Position]:
        """Where each of these conversations ends, of those that exist; CorruptData where a head
        cannot be read."""
        found: dict[str, Position] = {}
        for chunk in chunks(ids, IDS_A_QUERY):
            glimpse = Glimpse(self, chunk)
            ends = await glimpse.each(self.last)
            for conversation, end in zip(chunk, ends, strict=True):
                self._check_readable(conversation, glimpse[conversation])
                if end != START:
                    found[conversation] = end
        return found

    async def first(self, conversation: str, head: Head) -> Position:
        """Where the conversation's first message stands under this head; START: nowhere."""
        return await self._at(conversation, head, 1)

    async def last(self, conversation: str, head: Head, *, before: int = 0) -> Position:
        """The same of its last one, or of the one so many before that."""
        return await self._at(conversation, head, -1, before)

    async def _at(self, conversation: str, head: Head, order: int, skip: int = 0) -> Position:
        where = {"session_id": conversation, **head.where()}
        found = await self.place.find(where, [("n", order)], 1, KEY, skip=skip)
        return position_of(found[0]) if found else START

    def whole(self, conversation: str, position: Position) -> int:
        """The whole number at or below a position's; CorruptData where none can be put behind it:
        for who writes."""
        at = number_of(position)
        if not -(2**63) <= at <= LAST:
            raise self.place.broken(
                conversation, f"n is {at} in its last document, and nothing can be put behind it"
            )
        return math.floor(at)

    def behind(self, conversation: str, head: Head, end: Position) -> int:
        """The number of a message that is put behind this end."""
        last = self.whole(conversation, end) if end != START else 0
        return max(head.floor, last) + 1

    # --- moved ------------------------------------------------------------------------------

    async def switch(
        self,
        conversation: str,
        head: Head,
        new: Head,
        description: JSONObject | None = None,
        *,
        steps: Sequence[str] = (),
        empties: bool = True,
    ) -> bool:
        """The one write that moves a front: to this head, if `head` is still the one there; the
        same sets or forgets what is in the description, remembers steps, and forgets a deleted
        conversation's description and notes (`empties`)."""
        version = new_token()
        update = change(description or {})
        update["$set"] = {**update.get("$set", {}), **new.stored(version)}
        if steps:
            update["$push"] = {"steps": {"$each": list(steps)}}
        if new.gone is not None and empties:
            update["$unset"] = {"title": "", "extra": "", "notes": ""}
        where, meta = same_head(conversation, head), self.place.meta

        async def step() -> bool:
            with contextlib.suppress(DuplicateKeyError):
                result = await meta.update_one(where, update, upsert=head.version is None)
                if result.matched_count or result.upserted_id is not None:
                    return True
            now = await meta.find_one({"_id": conversation}, {"recent": 1})
            return now is not None and version in (now.get("recent") or ())

        return await self.place.ask(step)


def same_head(conversation: str, head: Head) -> Document:
    """The filter for a conversation whose head is still this one."""
    version = head.version if head.version is not None else {"$exists": False}
    return {"_id": conversation, "version": version}


def change(values: JSONObject) -> Document:
    """The update that sets these values; None forgets one."""
    found: Document = {}
    for key, value in values.items():
        found.setdefault("$unset" if value is None else "$set", {})[key] = value or ""
    return found
