"""Looking at stores, several at once: one that cannot be read hides no other."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from synmem.errors import SynmemError
from synmem.operations.discovering.footprint import Footprint, footprint
from synmem.operations.discovering.totals import Remembered, Total, count
from synmem.store import Store

_AT_ONCE: Final = 4


class Spot(NamedTuple):
    """Where a store is: what it is remembered by, its file or folder, the patterns of what a
    folder holds, and what opens it to read."""

    key: str
    path: Path
    holds: tuple[str, ...]
    open: Callable[[], contextlib.AbstractAsyncContextManager[Store]]


class Seen(NamedTuple):
    """What was found at a spot: how much, or why it cannot be read."""

    footprint: Footprint
    total: Total | None
    error: SynmemError | None


async def look(
    spots: Sequence[Spot], remembered: Remembered, heard: Callable[[], object]
) -> list[Seen]:
    """What is at each of these spots; `heard` is told of each that was looked at."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(spot: Spot) -> Seen:
        async with turns:
            seen = await _look(spot, remembered)
        heard()
        return seen

    try:
        return list(await asyncio.gather(*map(one, spots)))
    finally:
        remembered.save()


async def _look(spot: Spot, remembered: Remembered) -> Seen:
    print_ = await asyncio.to_thread(footprint, spot.path, spot.holds)
    total = remembered.get(spot.key, print_.signature)
    if total is not None:
        return Seen(print_, total, None)
    try:
        async with spot.open() as store:
            total = await count(store)
    except SynmemError as error:
        return Seen(print_, None, error)
    remembered.put(spot.key, print_.signature, total)
    return Seen(print_, total, None)
