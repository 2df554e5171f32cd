"""Cancelling a coroutine where it waits for the n-th time, and a Ctrl-C there."""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any


@types.coroutine
def _struck(
    work: Coroutine[Any, Any, Any], at: int, strike: Callable[[], None]
) -> Generator[Any, Any, Any]:
    """What `work` returns; `strike` is called as it waits for the time of that number."""
    step: Callable[[Any], Any] = work.send
    value: Any = None
    left = at
    while True:
        try:
            waited_for = step(value)
        except StopIteration as end:
            return end.value
        if left == 0:
            strike()
        left -= 1
        try:
            value = yield waited_for
            step = work.send
        except BaseException as error:
            step, value = work.throw, error


async def struck(work: Coroutine[Any, Any, Any], at: int, strike: Callable[[], None]) -> Any:
    """The same, to be awaited."""
    return await _struck(work, at, strike)


async def cancelled_at(
    work: Coroutine[Any, Any, Any], at: int, *, times: int = 1, turns: int = 0
) -> tuple[bool, Any]:
    """Whether `work` was cancelled as it waited for the time of that number (or so many turns of
    the event loop later), so many times one after the other; and what it returned."""
    loop = asyncio.get_running_loop()

    def strike() -> None:
        loop.call_soon(later, turns, times)

    def later(turns: int, times: int) -> None:
        if turns:
            loop.call_soon(later, turns - 1, times)
            return
        task.cancel()
        if times > 1:
            loop.call_soon(later, at % 3, times - 1)

    task = asyncio.create_task(struck(work, at, strike))
    await asyncio.wait([task])
    return (True, None) if task.cancelled() else (False, task.result())
