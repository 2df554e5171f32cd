"""Whose turn it is: what asyncio's Lock is to the tasks of one event loop, for those of any."""

import asyncio
import threading
from collections import deque
from concurrent.futures import Future


class Turn:
    """`async with` it: one at a time, first come first served, from any thread and event loop.

    asyncio's Lock is bound to the first loop that waits for it: a second `asyncio.run` fails.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._waiting: deque[Future[None]] = deque()

    async def __aenter__(self) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            given: Future[None] = Future()
            self._waiting.append(given)
        try:
            await asyncio.wrap_future(given)
        except asyncio.CancelledError:
            if not given.cancel():  # it was given all the same: to the next
                self._pass_on()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        with self._lock:
            while self._waiting:
                given = self._waiting.popleft()
                if given.set_running_or_notify_cancel():
                    break
            else:
                self._taken = False
                return
        given.set_result(None)

    def __reduce__(self) -> tuple[type["Turn"], tuple[()]]:
        return Turn, ()  # a copy of a memory takes its own turns
