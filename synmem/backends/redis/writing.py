"""Writing to a Redis store: every write is one script, which is known again by its mark."""

from collections.abc import AsyncIterable, Sequence
from typing import Final

from synmem import messages as model
from synmem.backends.paging import changed
from synmem.backends.redis.beside import as_json
from synmem.backends.redis.lua import ANY, GONE, Script
from synmem.backends.redis.place import Place
from synmem.backends.redis.positions import checked, packed
from synmem.backends.redis.scripts import APPEND, DELETE, REPLACE, STAGE
from synmem.errors import Rejected
from synmem.layouts.own import redis_items
from synmem.messages import Conversation, Message, encodable
from synmem.store import Part, Position

MOST_ITEM_BYTES: Final = 512_000_000
"""As large as the server lets one item be, as it comes."""


class Writer:
    """Writes messages, and with them a description."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._spent: list[bytes] = []  # marks of appends whose answers came at once

    async def append(
        self, parts: Sequence[Part], keep: int | None, token: str | None
    ) -> list[Position]:
        """See `Store.append`: one script."""
        self._check(parts)
        if not parts:
            return []
        mark, kept_s = self._place.mark(token)
        keys = [key for part in parts for key in self._place.keys.both(part.conversation.id)]
        spent, self._spent = self._spent, []
        numbers = (self._place.ttl_s, -1 if keep is None else keep, len(parts))
        given = [b"%d" % number for number in numbers]
        for part in parts:
            given += _given(part)
        ends, once = await self._write(APPEND, mark, [*keys, *spent], *packed(given), kept_s)
        if once and token is None:
            self._spent.append(mark)
        return ends.decode().split("\n")

    async def delete(
        self,
        conversation: str,
        upto: Position | None,
        begins: Position | None,
        token: str | None,
    ) -> bool:
        """See `Store.delete`: one script."""
        self._place.may_write()
        if not encodable(conversation):
            return False
        return await self._step(DELETE, token, conversation, _or_any(begins), _or_any(upto)) == b"1"

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        upto: Position,
        begins: Position | None,
        token: str | None,
    ) -> None:
        """See `Store.replace`: staged in a list of its own, then one script."""
        self._check([Part(conversation, [])])
        front = _or_any(begins), checked(upto)
        staged = self._place.passing("staged")
        count = await self._stage(staged, conversation, messages)
        await self._step(
            REPLACE, token, conversation.id, *front, self._place.ttl_s,
            *_description(conversation), count, beside=staged,
        )  # fmt: skip

    async def _stage(
        self,
        staged: bytes,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
    ) -> int:
        """Put the new messages where nobody looks; tell how many."""
        count = 0
        async for page in messages:
            if reasons := model.refusals([(conversation, page)], refusal):
                raise Rejected([(i, count + n, why) for i, n, why in reasons])
            if not page:
                continue
            items = [redis_items.encode(message) for message in page]
            if await self._place.server.call(STAGE, [staged], *packed(items), count) != b"done":
                raise changed(conversation.id, self._place.name)
            count += len(page)
        return count

    async def _step(
        self,
        script: Script,
        token: str | None,
        conversation: str,
        *arguments: bytes | int,
        beside: bytes = b"",
    ) -> bytes:
        """Run a script that writes to one conversation, with this token or one of its own."""
        mark, kept_s = self._place.mark(token)
        keys = [*self._place.keys.both(conversation), *([beside] if beside else [])]
        done, _ = await self._write(script, mark, keys, conversation.encode(), kept_s, *arguments)
        return done

    async def _write(
        self, script: Script, mark: bytes, keys: Sequence[bytes], *arguments: bytes | int
    ) -> tuple[bytes, bool]:
        """What a script that writes has returned, and whether it was tried once; raises where it
        has not written."""
        place = self._place
        answer, tries = await place.server.call_counted(
            script, [mark, place.keys.index, *keys], *arguments
        )
        if tries > 1:  # the first may still be on its way to the server, to be known there again
            place.repeated.add(mark)
        return place.returned(answer), tries == 1

    def _check(self, parts: Sequence[Part]) -> None:
        """All that can be said against a call without asking the server."""
        self._place.may_write()
        reasons = model.refusals(((p.conversation, p.messages) for p in parts), refusal)
        if reasons:
            raise Rejected(reasons)


def refusal(message: Message) -> str | None:
    """What no store can hold, and what is larger than an item of a list may be."""
    if model.plain(message):
        return None
    if why := model.refusal(message):
        return why
    # Nothing takes more than six bytes a character; only what may be too large is counted.
    m = message
    structured = m.metadata or m.parts or m.tool_calls or m.extra
    if len(m.content) < MOST_ITEM_BYTES // 12 and not structured:
        return None
    size = len(redis_items.encode(message))
    return f"it takes {size:,} bytes, and Redis 512 MB" if size > MOST_ITEM_BYTES else None


def _given(part: Part) -> list[bytes]:
    """A part as the script takes it."""
    expected = ANY if part.expect is None else part.expect.encode()
    return [
        part.conversation.id.encode(),
        expected,
        *_description(part.conversation),
        b"%d" % len(part.messages),
        *[redis_items.encode(message) for message in part.messages],
    ]


def _or_any(position: Position | None) -> bytes:
    return ANY if position is None else checked(position)


def _description(conversation: Conversation) -> tuple[bytes, bytes]:
    """Title and extra as a script takes them: nothing where they are not set."""
    title, extra = conversation.title, conversation.extra
    return GONE if title == "" else as_json(title), GONE if extra == {} else as_json(extra)
