"""A store in a thread of its own: however long it computes, no key waits for it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Protocol, TypeVar

from synmem.profiles import Profile
from synmem.store import Store

T = TypeVar("T")


class Opening(Protocol):
    """What opens the store of a profile: `synmem.tool.open_profile`."""

    def __call__(
        self, profile: Profile, *, write: bool = False, planning: bool = False
    ) -> AbstractAsyncContextManager[Store]: ...


class Aside:
    """A store, opened when it is first asked for, in an event loop beside that of the screen.

    All of its methods are for the screen's loop, and every work that they take runs in the other.
    """

    def __init__(self, label: str, profile: Profile, opening: Opening) -> None:
        self.label = label
        self.profile = profile
        self._opening = opening
        self._loop = asyncio.new_event_loop()
        self._opened = AsyncExitStack()
        self._store: Store | None = None
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True, name=label)
        self._thread.start()

    async def do(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What some work comes to that opens what it needs by itself; cancelled with its caller,
        and where the store is closed."""
        if self._closing:
            raise asyncio.CancelledError
        done = asyncio.run_coroutine_threadsafe(self._kept(work()), self._loop)
        return await asyncio.wrap_future(done)

    async def ask(self, work: Callable[[Store], Awaitable[T]]) -> T:
        """What some work with the store comes to."""

        async def asking() -> T:
            return await work(await self._there())

        return await self.do(asking)

    async def pages(self, read: Callable[[Store], AsyncIterator[T]]) -> AsyncIterator[T]:
        """What is read of the store, page by page; what is read is not waited for to be taken."""
        here = asyncio.get_running_loop()
        pages: asyncio.Queue[T | None] = asyncio.Queue()

        async def reading(store: Store) -> None:
            async for page in read(store):
                here.call_soon_threadsafe(pages.put_nowait, page)

        task = asyncio.ensure_future(self.ask(reading))
        task.add_done_callback(lambda _: pages.put_nowait(None))
        try:
            while (page := await pages.get()) is not None:
                yield page
            await task
        finally:
            task.cancel()

    def opening(
        self, *, write: bool = False, planning: bool = False, profile: Profile | None = None
    ) -> AbstractAsyncContextManager[Store]:
        """The same store once more, for a work that changes it, or says what it will; `profile`
        says more of what in its place is meant."""
        return self._opening(profile or self.profile, write=write, planning=planning)

    def close(self, wait_s: float = 0) -> bool:
        """End what it is at and close the store; whether that was done within so many seconds."""
        if not self._closing:
            self._closing = True
            asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    # --- in its own thread ---

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _kept(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            return await work
        finally:
            self._tasks.discard(task)

    async def _there(self) -> Store:
        async with self._turn:
            if self._store is None:
                opened = self._opening(self.profile)
                self._store = await self._opened.enter_async_context(opened)
            return self._store

    async def _end(self) -> None:
        try:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)
            await self._opened.aclose()
        finally:
            self._loop.call_soon(self._loop.stop)
