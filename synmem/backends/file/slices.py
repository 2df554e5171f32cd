"""Work in steps of some milliseconds, done in threads: an interrupt is heard between them."""

import asyncio
import time
from typing import Final, TypeVar

from synmem.backends.file.opening import Closable, Steps
from synmem.finishing import to_its_end

_SLICE_S: Final = 0.1  # how long a thread works before an interrupt is heard

_T = TypeVar("_T")


async def in_slices(steps: Steps[_T]) -> _T:
    """Do the work in threads, a slice after another, so that an interrupt is heard."""
    try:
        while True:
            work = asyncio.ensure_future(asyncio.to_thread(_advance, steps))
            try:
                done = await asyncio.shield(work)
            except asyncio.CancelledError:
                await to_its_end(asyncio.wait([work]))
                if work.exception() is None and (done := work.result()) is not None:
                    _close(done[0])  # it came to its end just then
                raise
            if done is not None:
                return done[0]
    finally:
        steps.close()


def _close(result: object) -> None:
    if isinstance(result, Closable):
        result.close()


def _advance(steps: Steps[_T]) -> tuple[_T] | None:
    """Work for a while; the result, in a tuple, when it is there."""
    until = time.monotonic() + _SLICE_S
    while time.monotonic() < until:
        try:
            next(steps)
        except StopIteration as stop:
            return (stop.value,)
    return None
