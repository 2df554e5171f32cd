"""Work that comes to its end though whoever waits for it is cancelled."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

T = TypeVar("T")

CANCELLED_S: Final = 2.0
"""So long somebody who is cancelled waits for a server's answer to a write; after that nobody can
tell whether it was done, as where the answer is lost."""


async def to_its_end(
    work: Awaitable[T],
    *,
    within_s: float | None = None,
    hurry: Callable[[], object] | None = None,
) -> T:
    """What `work` returns or raises. A cancellation is told when `work` has ended, and not before:
    nothing of it goes on behind the back of whoever was cancelled.

    It is told also where `work` has succeeded. `within_s` after it came, `work` is cancelled too;
    without that it is not. `hurry` is called as soon as it comes.
    """
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError as error:
        if running.cancelled():  # by itself, or by the end of the event loop
            raise
        cancelled = error
    if hurry is not None:
        hurry()
    await _ended(running, within_s)
    if not running.cancelled():
        running.exception()  # asked for, so that it is not called forgotten
    raise cancelled


async def _ended(running: asyncio.Future[Any], within_s: float | None) -> None:
    """Wait for it, however often one is cancelled meanwhile."""
    loop = asyncio.get_running_loop()
    timer = None if within_s is None else loop.call_later(within_s, running.cancel)
    try:
        while not running.done():
            try:
                await asyncio.wait([running])
            except asyncio.CancelledError:
                continue
    finally:
        if timer is not None:
            timer.cancel()
