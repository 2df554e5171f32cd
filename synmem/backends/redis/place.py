"""Where a store in Redis lies: a prefix on a server, and how scripts are run on its keys."""

import uuid
from collections.abc import Sequence
from typing import Any, Final

from synmem.backends.paging import called_off, changed, opened_for_reading
from synmem.backends.redis.keys import Keys
from synmem.backends.redis.lua import STEP_S, TOKEN_S, Script
from synmem.backends.redis.opening import Server
from synmem.errors import CorruptData

IDS_A_CALL: Final = 500


class Place:
    """The keys below a prefix, on their server."""

    def __init__(
        self, server: Server, prefix: bytes, *, name: str, ttl_s: int, write: bool
    ) -> None:
        self.name = name
        self.server = server
        self.keys = Keys(prefix)
        self.ttl_s = ttl_s
        self._write = write
        self.repeated: set[bytes] = set()
        """Marks of writes that took more than one try."""

    def may_write(self) -> None:
        """Unsupported where it was opened for reading."""
        if not self._write:
            raise opened_for_reading(self.name)

    async def call(self, script: Script, ids: Sequence[str], *arguments: bytes | int) -> Any:
        """Run a script on the lists of these conversations."""
        return await self.server.call(script, [self.keys.list(i) for i in ids], *arguments)

    async def call_both(self, script: Script, ids: Sequence[str], *arguments: bytes | int) -> Any:
        """Run a script on the lists of these conversations, and what lies beside each."""
        keys = [key for i in ids for key in self.keys.both(i)]
        return await self.server.call(script, keys, *arguments)

    def mark(self, token: str | None) -> tuple[bytes, int]:
        """The key that says that a write was done, and for how many seconds."""
        if token is None:
            return self.passing("token"), TOKEN_S
        return self.keys.step(token), STEP_S

    def passing(self, kind: str) -> bytes:
        """A new key of ours, that passes by itself."""
        return self.keys.own(kind, uuid.uuid4().hex)

    def returned(self, answer: Sequence[bytes]) -> bytes:
        """What a script that writes has returned; raises where it has not written."""
        if answer[0] == b"off":
            raise called_off(self.name)
        if answer[0] == b"changed":
            raise changed(answer[1].decode(), self.name)
        if answer[0] == b"kind":
            raise CorruptData(
                f"{self.name}: {answer[1]!r} is a {answer[2].decode()}; nothing was written",
                hint="another program uses this key; name another prefix",
                conversation=self.keys.whose(answer[1]),
            )
        return answer[1]
