"""A thread with an event loop, in which the memories talk to their stores.

So one connection serves a synchronous caller, also one inside a running event loop, and callers
from any number of event loops and threads. What is still open when the program ends is closed
then. The child of a fork begins anew, with a thread of its own.
"""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, Final, Generic, TypeVar

from synmem.finishing import to_its_end

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_at_end: list[Callable[[], Awaitable[None]]] = []
_left_to_the_parent: Final[list[Any]] = []
_END_S: Final = 10.0


def wait(work: Coroutine[Any, Any, T]) -> T:
    """Do it there, and wait for it here. Where Ctrl-C comes meanwhile, it is cancelled there, and
    waited for all the same: a second Ctrl-C ends that."""
    errand = _Errand(work)
    try:
        errand.begin(_running(work))
        return errand.ended.result()
    except BaseException:
        errand.cancel()
        errand.wait(_END_S)
        raise


async def do(work: Coroutine[Any, Any, T]) -> T:
    """Do it there, without holding up the caller's event loop. Where the caller is cancelled, it is
    cancelled there, and that is told when it has ended."""
    errand = _Errand(work)
    errand.begin(_running(work))
    # No task: at the end of its event loop `asyncio.run` would cancel that by itself.
    return await to_its_end(asyncio.wrap_future(errand.ended), hurry=errand.cancel)


class _Errand(Generic[T]):
    """Work on its way in the background's event loop, and what came of it."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self.ended: Future[T] = Future()
        """What the work has returned or raised; not before it has ended, cancelled or not."""
        self._work = work
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[T] | None = None

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Do it there."""
        self._loop = loop
        loop.call_soon_threadsafe(self._begin)

    def cancel(self) -> None:
        """Cancel it there, whether it has begun or not."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel)

    def wait(self, within_s: float) -> None:
        """Until it has ended, whatever came of it."""
        if self._loop is not None:
            with contextlib.suppress(Exception, CancelledError):
                self.ended.exception(within_s)

    def _begin(self) -> None:
        if not self.ended.done():
            self._task = asyncio.ensure_future(self._work)
            self._task.add_done_callback(self._end)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        elif not self.ended.done():  # an interrupt came before it was begun
            self._work.close()
            self.ended.cancel()

    def _end(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.ended.cancel()
        elif (error := task.exception()) is not None:
            self.ended.set_exception(error)
        else:
            self.ended.set_result(task.result())


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
