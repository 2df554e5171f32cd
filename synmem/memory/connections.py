"""The stores that the memories of this process have open.

Memories over the same server share its store, and with it a small pool of connections: so a
program with thousands of sessions has a few. Each memory of an SQLite file has its own connection,
since a file may have been removed and made anew in between.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Hashable, Mapping
from typing import Any, Final

from synmem.backends import open_store
from synmem.finishing import to_its_end
from synmem.memory import background
from synmem.store import Store

_log = logging.getLogger("synmem.memory")

_SERVERS: Final = ("redis", "postgres", "mongo", "dynamodb")

_open: dict[Hashable, "Connection"] = {}
_left_to_the_parent: list[Any] = []


class Connection:
    """A store, opened when it is first asked for, closed when its last holder lets it go.

    Everything here runs in the background's event loop.
    """

    def __init__(self, backend: str, settings: Mapping[str, Any], key: Hashable) -> None:
        self._where = (backend, settings)
        self._key = key
        self._process = os.getpid()
        self._holders: set[int] = set()
        self._opening = asyncio.Lock()
        self._stack = contextlib.AsyncExitStack()
        self._store: Store | None = None

    @property
    def inherited(self) -> bool:
        """Whether it is the parent's of this process: not to be touched, not even to be closed."""
        return self._process != os.getpid()

    async def store(self) -> Store:
        """The store, open."""
        if self._store is not None:
            return self._store
        async with self._opening:
            if self._store is None:
                backend, settings = self._where
                opening = open_store(backend, settings, write=True)
                self._store = await self._stack.enter_async_context(opening)
            return self._store

    async def let_go(self, holder: int) -> None:
        """One holder less; twice is once."""
        self._holders.discard(holder)
        if not self._holders:
            if _open.get(self._key) is self:
                del _open[self._key]
            await to_its_end(self.close())

    async def close(self) -> None:
        """Close the store; who asks for it again opens it again."""
        async with self._opening:
            self._store = None
            await self._stack.aclose()


def hold(backend: str, settings: Mapping[str, Any], holder: int) -> Connection:
    """The connection to this store, which the holder has to let go."""
    own = None if backend in _SERVERS else holder
    key = (backend, frozenset(settings.items()), own)
    if key not in _open:
        _open[key] = Connection(backend, settings, key)
    _open[key]._holders.add(holder)
    return _open[key]


def let_go(connection: Connection, holder: int) -> None:
    """The holder is gone: nobody waits for the end of it."""
    if not connection.inherited:
        background.later(connection.let_go(holder))


async def _close_all() -> None:
    closing = [connection.close() for connection in _open.values()]
    for failed in await asyncio.gather(*closing, return_exceptions=True):
        if failed is not None:
            _log.warning("a store could not be closed: %s", failed)


def _forked() -> None:
    """The child keeps the parent's connections, unused: to close them would harm the parent's."""
    _left_to_the_parent.extend(_open.values())
    _open.clear()


background.at_end(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
