"""A memory whose messages lie in a store: one conversation of it, opened when first needed."""

import contextlib
import itertools
import logging
import sys
import weakref
from collections.abc import Coroutine, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from synmem.backends import check_driver
from synmem.errors import MissingExtra, StoreNotFound
from synmem.memory import background, connections
from synmem.memory.base import BaseMemory, Said, copies, said, text
from synmem.messages import Conversation, Message, Unreadable, conversation_refusal
from synmem.store import START, Part, Position, Store, once

T = TypeVar("T")

_log = logging.getLogger("synmem.memory")

_holders = itertools.count()


class Session:
    """One conversation of a store. Its methods run in the background's event loop."""

    def __init__(
        self, backend: str, settings: Mapping[str, Any], conversation: str, keep: int | None
    ) -> None:
        """`keep` is how many messages stay when one is added; None keeps all.

        ImportError, naming the extra, where the backend's driver is not installed.
        """
        try:
            check_driver(backend)
        except MissingExtra as error:
            raise ImportError(f"{error}: {error.hint}") from error
        self._where = (backend, {k: v for k, v in settings.items() if v is not None})
        self._conversation = conversation
        self._keep = keep
        self._holder = next(_holders)
        self._connection: connections.Connection | None = None
        self._finalize: weakref.finalize[..., Session] | None = None

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """For synchronous callers."""
        return background.wait(work)

    async def do(self, work: Coroutine[Any, Any, T]) -> T:
        """For callers in any event loop."""
        return await background.do(work)

    def make(self) -> None:
        """Make the store, if it is not there, without a message; for a constructor. Where that
        fails or is cut off, nothing is left open: nobody has the memory to close it."""
        try:
            self.wait(self._make())
        except BaseException:
            if self.is_open:
                self.wait(self.close())
            raise

    async def _make(self) -> None:
        await (await self._opened()).append([])

    async def add(self, role: str, content: str, metadata: dict[str, Any] | None = None) -> None:
        """Append a message, and trim, in one step."""
        said(role, content)
        store = await self._opened()
        at = datetime.now(UTC) if store.holds.own else None
        message = Message(role, content, metadata or None, at)
        await store.append([Part(Conversation(self._conversation), [message])], keep=self._keep)

    async def messages(self) -> list[Message]:
        """The messages; a record that cannot be read is passed over, and logged."""
        store = await self._opened()
        found: list[Message] = []
        async for page in store.read([self._conversation]):
            for item in page.items:
                if isinstance(item, Message):
                    found.append(item)
                else:
                    _log.warning("%s: %s", store.name, item.reason)
        return found

    async def front(self, limit: int) -> tuple[list[Message], Position]:
        """The first `limit` messages, or those before the first record that cannot be read, and
        the position of the last."""
        store = await self._opened()
        found: list[Message] = []
        position = START
        async for page in store.read([self._conversation], limit=limit):
            for i, item in enumerate(page.items):
                if isinstance(item, Unreadable):
                    _log.warning("%s: no summary goes beyond it: %s", store.name, item.reason)
                    return found, position
                found.append(item)
                position = page.position(i)
        return found, position

    async def replace_front(self, upto: Position, role: str, content: str) -> None:
        """Let the messages up to a position give way to one."""
        store = await self._opened()
        at = datetime.now(UTC) if store.holds.own else None
        front = once([Message(role, content, created_at=at)])
        await store.replace(Conversation(self._conversation), front, upto=upto)

    async def count(self) -> int:
        """How many messages the conversation has."""
        store = await self._opened()
        infos = store.conversations([self._conversation], details=True)
        async for page in infos:
            for info in page:
                if info.messages is not None:
                    return info.messages
                return len(await self.messages())
        return 0

    async def clear(self) -> None:
        """Forget the conversation."""
        with contextlib.suppress(StoreNotFound):
            await (await self._opened()).delete(self._conversation)

    async def conversations(self) -> list[str]:
        """Every conversation of the store, sorted."""
        store = await self._opened()
        return sorted([info.id async for page in store.conversations() for info in page])

    @property
    def is_open(self) -> bool:
        """Whether there is something to close; at the very end of the program there is not."""
        held = self._connection is not None and not self._connection.inherited
        return held and not sys.is_finalizing()

    async def close(self) -> None:
        """Give the connection back; twice is once, and what comes after opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None and self._finalize is not None and not connection.inherited:
            self._finalize.detach()
            await connection.let_go(self._holder)

    async def _opened(self) -> Store:
        if self._connection is None or self._connection.inherited:
            connection = connections.hold(*self._where, self._holder)
            self._finalize = weakref.finalize(self, connections.let_go, connection, self._holder)
            self._finalize.atexit = False  # the background closes what is open at the end
            self._connection = connection
        return await self._connection.store()


def check_conversation(**named: str) -> None:
    """ValueError, naming it, where an id cannot be a conversation's."""
    text(**named)
    for name, value in named.items():
        if why := conversation_refusal(Conversation(value)):
            raise ValueError(f"{name} cannot be {value[:40]!r}: {why}")


class StoredMemory(BaseMemory):
    """A BaseMemory over one conversation of a store; can be shared by tasks and threads.

    `max_messages` counts messages, as SynapseKit does: the result of a tool may stay where its call
    is gone. (The command `add` keeps both.)

    A call that is cancelled, by Ctrl-C or `asyncio.wait_for` say, has done all of it or nothing,
    and nothing of it goes on. Where a server does not answer then for two seconds, nobody can tell
    which.

    Memories over one server share a few connections, however many sessions a program has.
    """

    def __init__(
        self,
        backend: str,
        settings: Mapping[str, Any],
        session_id: str,
        max_messages: int | None,
    ) -> None:
        check_conversation(session_id=session_id)
        self._session = Session(backend, settings, session_id, max_messages)
        self._max_messages = max_messages
        self._seen: list[Said] = []

    @property
    def keeps(self) -> int | None:
        """See `Bounded.keeps`."""
        return self._max_messages

    async def add(self, role: str, content: str) -> None:
        """Append a message; with `max_messages` the oldest go in the same step."""
        message = said(role, content)
        await self._session.do(self._session.add(role, content))
        self._seen.append(message)
        if self._max_messages is not None:
            del self._seen[: -self._max_messages]

    async def get(self) -> list[Said]:
        """The messages of the store, oldest first; with `max_messages` the newest of them."""
        found = _as_said(await self._session.do(self._session.messages()))
        # A long history is read in pages: what others wrote meanwhile made it longer.
        self._seen = found if self._max_messages is None else found[-self._max_messages :]
        return copies(self._seen)

    async def clear(self) -> None:
        """Forget the conversation, in the store too."""
        await self._session.do(self._session.clear())
        self._seen = []

    async def close(self) -> None:
        """Give the connection back; what comes after opens it again."""
        if self._session.is_open:
            await self._session.do(self._session.close())

    async def count(self) -> int:
        """How many messages the store has of this conversation."""
        return await self._session.do(self._session.count())

    async def oldest(self, count: int) -> tuple[list[Said], Position]:
        """See `Replaceable.oldest`; they end before the first record that cannot be read."""
        found, position = await self._session.do(self._session.front(count))
        return _as_said(found), position

    async def replace_oldest(self, which: Position, role: str, content: str) -> None:
        """See `Replaceable.replace_oldest`: atomic in the store."""
        await self._session.do(self._session.replace_front(which, role, content))
        await self.get()  # what this object has seen is as it was


def _as_said(messages: Iterable[Message]) -> list[Said]:
    return [{"role": each.role, "content": each.content} for each in messages]
