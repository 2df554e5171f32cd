"""Locks between processes, on files of the state folder; the kernel frees those of a process that
ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final

from synmem import folders
from synmem.errors import Busy, SynmemError

_LOOK_AGAIN_S: Final = 0.05


@contextlib.contextmanager
def held(path: Path, busy: str, *, hint: str | None = None) -> Iterator[None]:
    """Hold the lock of this file; Busy, with these words, where another process holds it."""
    # Imported here: most commands take no lock.
    from filelock import FileLock, Timeout

    lock = FileLock(path, mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise Busy(busy, hint=hint) from error
    except OSError as error:
        raise SynmemError(f"{path}: cannot be locked: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def waited(path: Path) -> Iterator[None]:
    """Hold the lock of this file for a moment, as soon as it is free."""
    from filelock import FileLock

    with FileLock(path, mode=0o600).acquire(timeout=-1, poll_interval=0.002):
        yield


@contextlib.asynccontextmanager
async def waited_for(path: Path, waiting: Callable[[], None]) -> AsyncIterator[None]:
    """Hold the lock of this file, as soon as whoever has it ends; `waiting` is told once."""
    folders.private(path.parent)
    with contextlib.ExitStack() as stack:
        told = False
        while True:
            try:
                stack.enter_context(held(path, "another undo is running"))
                break
            except Busy:
                if not told:
                    waiting()
                    told = True
                await asyncio.sleep(_LOOK_AGAIN_S)
        yield
