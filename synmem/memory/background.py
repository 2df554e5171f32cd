"""A thread with an event loop, in which the memories talk to their stores.

So one connection serves a synchronous caller, also one inside a running event loop, and callers
from any number of event loops, one after the other (`asyncio.run` twice). What is still open
when the program ends is closed then.
"""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
Close = Callable[[], Awaitable[None]]

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_process = 0
_open: dict[int, Close] = {}


def wait(work: Coroutine[Any, Any, T]) -> T:
    """Do it there, and wait for it here."""
    future = asyncio.run_coroutine_threadsafe(work, _running())
    try:
        return future.result()
    except BaseException:
        future.cancel()  # an interrupt here ends the work there
        raise


async def do(work: Coroutine[Any, Any, T]) -> T:
    """Do it there, without holding up the caller's event loop."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, _running()))


def close_at_end(key: int, close: Close) -> None:
    """Remember what is to be closed when the program ends."""
    _open[key] = close


def closed(key: int) -> None:
    """It was closed: nothing is left to do at the end."""
    _open.pop(key, None)


def abandoned(key: int) -> None:
    """Nobody holds it any more: close it, without waiting."""
    close = _open.pop(key, None)
    if close is not None and _loop is not None and _process == os.getpid() and _loop.is_running():
        asyncio.run_coroutine_threadsafe(_awaited(close), _loop)


def _running() -> asyncio.AbstractEventLoop:
    global _loop, _process
    with _lock:
        if _loop is None or _process != os.getpid():  # a thread does not survive a fork
            _loop, _process = asyncio.new_event_loop(), os.getpid()
            threading.Thread(target=_loop.run_forever, daemon=True, name="synmem").start()
            threading.Thread(target=_end, args=(_loop,), name="synmem at exit").start()
        return _loop


def _end(loop: asyncio.AbstractEventLoop) -> None:
    """Python waits for this thread, as it waits for the threads of connections left open."""
    threading.main_thread().join()
    for key in list(_open):
        close = _open.pop(key)
        asyncio.run_coroutine_threadsafe(_awaited(close), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)


async def _awaited(close: Close) -> None:
    await close()
