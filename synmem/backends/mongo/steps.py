"""Which writes of a MongoDB store were done, by their tokens in the heads."""

import asyncio
import functools
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final

import msgspec
from pymongo import UpdateOne

from synmem.backends.mongo.head import Head, steps_of
from synmem.backends.mongo.heads import LOOKS, Heads
from synmem.backends.mongo.keys import IDS_A_QUERY, sessions
from synmem.backends.mongo.opening import Place
from synmem.backends.paging import called_off
from synmem.layouts.own import mongo_documents as layout
from synmem.messages import chunks, encodable
from synmem.store import Step

CALLED_OFF_AT_ONCE: Final = 16
"""So many conversations are told at a time that a write is called off."""


class Steps:
    """The tokens of writes, remembered in the heads that these made."""

    def __init__(self, place: Place, heads: Heads) -> None:
        self._place = place
        self._heads = heads

    async def is_known(self, conversation: str, token: str | None) -> bool:
        """Whether a write with this token was done; Changed where it was called off."""
        return token is not None and self.is_done(await self._heads.of(conversation), token)

    def is_done(self, head: Head, token: str | None) -> bool:
        """The same, by the head there is."""
        if token is not None and _off(token) in head.steps:
            raise called_off(self._place.name)
        return token in head.steps

    async def done(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.steps_done`."""
        ids = sessions([step.conversation for step in steps])
        found = await self._place.beside(ids, {"steps": 1})
        known = {i: steps_of(document) for i, document in found.items()}
        return {s for s in steps if s.token in known.get(layout.session_of(s.conversation), ())}

    async def call_off(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.call_off`: under a new version of the head, so that the switch of
        whoever looked at the old one fails, whenever it arrives."""
        wanted = _by_session(steps)
        done: set[tuple[str, str]] = set()
        left = list(wanted)
        heads = await self._heads.sound(left)
        for some in chunks(left, CALLED_OFF_AT_ONCE):
            found = await asyncio.gather(*(self._call_off(i, heads[i], wanted[i]) for i in some))
            for session, tokens in zip(some, found, strict=True):
                done.update((session, token) for token in tokens)
        return {s for s in steps if (layout.session_of(s.conversation), s.token) in done}

    async def _call_off(self, conversation: str, head: Head, tokens: Collection[str]) -> set[str]:
        for _ in range(LOOKS):
            done = {token for token in tokens if token in head.steps}
            left = [_off(token) for token in tokens if token not in done]
            left = [mark for mark in left if mark not in head.steps]
            if not left:
                return done
            there = head.gone is None and (
                head.version is not None or await self._heads.existing([conversation])
            )
            # A head that names nothing is swept away one day: counted from the last of its steps.
            new = msgspec.structs.replace(head, gone=None if there else datetime.now(UTC))
            if await self._heads.switch(conversation, head, new, steps=left, empties=False):
                return done
            head = await self._heads.of(conversation)
        raise self._place.changed(conversation)

    async def forget(self, steps: Collection[Step]) -> None:
        """See `SupportsSteps.forget_steps`."""
        wanted = list(_by_session(steps).items())
        for some in chunks(wanted, IDS_A_QUERY):
            updates = [
                UpdateOne({"_id": session}, {"$pullAll": {"steps": [*tokens, *map(_off, tokens)]}})
                for session, tokens in some
            ]
            bulk = functools.partial(self._place.meta.bulk_write, updates, ordered=False)
            await self._place.ask(bulk)


def _off(token: str) -> str:
    """What is remembered of a token whose write was called off."""
    return f"-{token}"


def _by_session(steps: Collection[Step]) -> dict[str, list[str]]:
    """The tokens of each session; none of those that can be in no store."""
    found: dict[str, list[str]] = {}
    for step in steps:
        if encodable(step.conversation):
            found.setdefault(layout.session_of(step.conversation), []).append(step.token)
    return found
