"""Writes whose tokens were given: which of them were done, and calling them off."""

from collections.abc import Collection

from synmem.backends.redis.lua import Script
from synmem.backends.redis.place import IDS_A_CALL, Place
from synmem.backends.redis.scripts import CALL_OFF, FORGET, KNOWN
from synmem.messages import chunks
from synmem.store import Step


class Steps:
    """What the server remembers of steps."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def done(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.steps_done`."""
        return await self._done_of(KNOWN, steps)

    async def call_off(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.call_off`."""
        self._place.may_write()
        return await self._done_of(CALL_OFF, steps)

    async def forget(self, steps: Collection[Step]) -> None:
        """See `SupportsSteps.forget_steps`."""
        self._place.may_write()
        # The first try of one that was repeated may come late: its token is left to pass by
        # itself, since a position that looks the same would let it through.
        keys = [
            key
            for step in steps
            if (key := self._place.keys.step(step.token)) not in self._place.repeated
        ]
        for some in chunks(keys, IDS_A_CALL):
            await self._place.server.call(FORGET, some)

    async def _done_of(self, script: Script, steps: Collection[Step]) -> set[Step]:
        """Those of these steps that were done, by a script that tells of tokens."""
        done: set[Step] = set()
        for some in chunks(list(steps), IDS_A_CALL):
            keys = [self._place.keys.step(step.token) for step in some]
            found = await self._place.server.call(script, keys)
            done.update(
                s for s, said in zip(some, found, strict=True) if said not in (None, b"off")
            )
        return done
