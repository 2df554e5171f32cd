"""A thread with an event loop, in which the memories talk to their stores.

So one connection serves a synchronous caller, also one inside a running event loop, and callers
from any number of event loops and threads. What is still open when the program ends is closed
then. The child of a fork begins anew, with a thread of its own.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_at_end: list[Callable[[], Awaitable[None]]] = []
_left_to_the_parent: Final[list[Any]] = []
_END_S: Final = 10.0


def wait(work: Coroutine[Any, Any, T]) -> T:
    """Do it there, and wait for it here."""
    future = asyncio.run_coroutine_threadsafe(work, _running(work))
    try:
        return future.result()
    except BaseException:
        future.cancel()  # an interrupt here ends the work there
        raise


async def do(work: Coroutine[Any, Any, T]) -> T:
    """Do it there, without holding up the caller's event loop."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, _running(work)))


def later(work: Coroutine[Any, Any, None]) -> None:
    """Do it there, if anything still runs there; nobody waits for it."""
    if _loop is None or sys.is_finalizing():
        work.close()
    else:
        asyncio.run_coroutine_threadsafe(work, _loop)


def at_end(close: Callable[[], Awaitable[None]]) -> None:
    """What is to be done there when the program ends."""
    _at_end.append(close)


def _running(work: Coroutine[Any, Any, Any]) -> asyncio.AbstractEventLoop:
    global _loop
    if sys.is_finalizing():  # the thread stands still, and would never answer
        work.close()
        raise RuntimeError("the program has ended: its stores are closed")
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, daemon=True, name="synmem").start()
            threading.Thread(target=_end, args=(_loop,), name="synmem at exit").start()
        return _loop


def _end(loop: asyncio.AbstractEventLoop) -> None:
    """Python waits for this thread, as it waits for the threads of connections left open.

    The loop goes on: what `atexit` calls may still ask it.
    """
    threading.main_thread().join()
    asyncio.run_coroutine_threadsafe(_close_all(), loop).result(_END_S + 1)


async def _close_all() -> None:
    """A server that does not answer any more must not keep the program."""
    tasks = [asyncio.ensure_future(close()) for close in _at_end]
    if tasks:
        await asyncio.wait(tasks, timeout=_END_S)


def _forked() -> None:
    """A thread does not survive a fork; its loop is still the parent's, and is left alone."""
    global _lock, _loop
    _lock = threading.Lock()
    _left_to_the_parent.append(_loop)
    _loop = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
