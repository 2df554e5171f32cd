"""Writing to the lists of another framework as the framework does: its items, in one script a call,
and nothing of ours."""

import time
from collections.abc import AsyncIterable, Mapping, Sequence
from typing import Any, Final

from synmem import messages as model
from synmem.backends.paging import changed, opened_for_reading, storable
from synmem.backends.redis.foreign_lists import ForeignLists, parted
from synmem.backends.redis.foreign_scripts import APPEND, CUT, EXPIRE
from synmem.backends.redis.keys import decoded
from synmem.backends.redis.lua import ANY, Script
from synmem.backends.redis.place import IDS_A_CALL
from synmem.backends.redis.plain import Stretch, allowed, beginnings, behind
from synmem.backends.redis.positions import packed, position_of
from synmem.backends.redis.writing import MOST_ITEM_BYTES
from synmem.errors import CorruptData, Rejected, Unsupported
from synmem.messages import Conversation, Message, Unreadable, chunks, encodable
from synmem.store import START, Part, Position

_LOOKS: Final = 50
"""So often it is looked again where somebody else wrote between a look and the write."""

_LARGER: Final = 64
"""By so much, at most, an item is larger than what it says could be written in."""

_OF_HASH: Final = frozenset({b"session_id", b"created_at", b"updated_at"})


class ForeignWriter:
    """Appends, deletes and replaces; each is one script, after a look."""

    def __init__(self, lists: ForeignLists, *, ttl_s: int, write: bool) -> None:
        self._lists = lists
        self._shape = lists.shape
        self._name = lists.name
        self._ttl_s = ttl_s
        self._opened = write
        self._has_hash = lists.shape.hash_of is not None

    def refusal(self, message: Message) -> str | None:
        """Why the framework's own reader would not read the message, or Redis not hold it."""
        if self._shape.fold is None:
            return f"what {self._lists.layout} stores can be read, not written"
        if self._shape.refusal is not None and (why := self._shape.refusal(message)):
            return why
        if model.plain(message):
            return None
        size = len(self._shape.fold(message))
        return f"it takes {size:,} bytes, and Redis 512 MB" if size > MOST_ITEM_BYTES else None

    async def append(
        self, parts: Sequence[Part], keep: int | None, token: str | None
    ) -> list[Position]:
        """See `Store.append`: one script, after a look where no end is expected."""
        self._check(token)
        reasons = model.refusals([(p.conversation, p.messages) for p in parts], self.refusal)
        if reasons:
            raise Rejected(reasons)
        if not parts:
            return []
        for _ in range(_LOOKS):
            expected = await self._expected(parts)
            answer, tries = await self._appended(parts, expected, keep)
            if answer[0] != b"changed":
                return self._returned(answer).decode().split("\n")
            told = {part.conversation.id for part in parts if part.expect is not None}
            if answer[1].decode() in told or tries > 1:
                break
        raise changed(answer[1].decode(), self._name)

    async def _expected(self, parts: Sequence[Part]) -> list[Position]:
        """The end that each of these conversations must have: it tells a write that was done from
        one that was not."""
        untold = [p.conversation.id for p in parts if p.expect is None and p.messages]
        ends = await self._ends(untold)
        return [
            part.expect if part.expect is not None else ends.get(part.conversation.id, ANY.decode())
            for part in parts
        ]

    async def _ends(self, ids: Sequence[str]) -> dict[str, Position]:
        ends: dict[str, Position] = {}
        keys = await self._lists.keys(ids)
        for some in chunks(ids, IDS_A_CALL):
            found = await beginnings(
                self._lists.server.ask_all, [keys[id_] for id_ in some], 1,
                last=True, room=len(some), newest_first=self._shape.newest_first,
            )  # fmt: skip
            ends.update((id_, _end(last)) for id_, last in zip(some, found, strict=True))
        return ends

    async def _appended(
        self, parts: Sequence[Part], expected: Sequence[Position], keep: int | None
    ) -> tuple[Any, int]:
        assert self._shape.fold is not None
        numbers = (self._ttl_s, -1 if keep is None else keep, int(time.time()), len(parts))
        given = [b"%d" % number for number in numbers]
        for part, end in zip(parts, expected, strict=True):
            given += [part.conversation.id.encode(), end.encode(), b"%d" % len(part.messages)]
            given += [self._shape.fold(message) for message in part.messages]
        keys = [key for part in parts for key in await self._keys(part.conversation.id)]
        return await self._run(APPEND, keys, *packed(given))

    async def delete(
        self,
        conversation: str,
        upto: Position | None,
        begins: Position | None,
        token: str | None,
    ) -> bool:
        """See `Store.delete`."""
        self._check(token)
        if not encodable(conversation):
            return False
        return await self._cut(conversation, upto, begins, [])

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        upto: Position,
        begins: Position | None,
        token: str | None,
    ) -> None:
        """See `Store.replace`: its messages are gathered here, and go in one call."""
        self._check(token)
        assert self._shape.fold is not None
        if why := model.conversation_refusal(conversation):
            raise Rejected([(conversation.id, 0, why)])
        items: list[bytes] = []
        async for page in messages:
            if reasons := model.refusals([(conversation, page)], self.refusal):
                raise Rejected([(i, len(items) + n, why) for i, n, why in reasons])
            items += [self._shape.fold(message) for message in page]
        if why := self.not_at_once(sum(map(len, items))):
            raise Unsupported(f"{self._name}: {why}")
        await self._cut(conversation.id, upto, begins, items)

    async def _cut(
        self, conversation: str, upto: Position | None, begins: Position | None, items: list[bytes]
    ) -> bool:
        """Let the front of a conversation, or all of it, give way to these items; tell whether
        there was one."""
        keys = await self._keys(conversation)
        for _ in range(_LOOKS):
            length, cut, next_ = await self._look(conversation, keys[0], upto)
            if length == 0 and not items:
                if begins not in (None, START):
                    raise changed(conversation, self._name)
                return False
            answer, tries = await self._run(
                CUT, keys, conversation.encode(), length, _or_any(begins), _or_any(upto), cut,
                next_, *packed(items), len(items), int(time.time()), self._ttl_s,
            )  # fmt: skip
            if answer[0] != b"moved":
                self._returned(answer)
                return True
            if tries > 1:
                break
        raise changed(conversation, self._name)

    async def _look(
        self, conversation: str, key: bytes, upto: Position | None
    ) -> tuple[int, int, bytes]:
        """How long a list is, how many of its items stand up to a position, and the one behind."""
        ask, newest = self._lists.server.ask_all, self._shape.newest_first
        [length] = allowed(await ask([("LLEN", key)]))
        if isinstance(length, CorruptData):  # the script says of which type it is
            return -1, 0, b""
        if upto is None or length == 0:
            if upto:
                raise changed(conversation, self._name)
            return length, length, b""
        if upto == START:
            [first] = await beginnings(ask, [key], 1, last=False, room=1, newest_first=newest)
            return length, 0, first.items[0] if isinstance(first, Stretch) else b""
        found = await behind(ask, key, parted(upto)[0], 1, reverse=False, newest_first=newest)
        if found is None:
            raise changed(conversation, self._name)
        rest = found.items[found.before + 1 :]
        return length, found.first + found.before + 1, rest[0] if rest else b""

    async def expire(self, left_s: Mapping[str, float]) -> None:
        """See `SupportsExpiry.expire`."""
        self._check(None)
        for some in chunks(storable(list(left_s)), IDS_A_CALL):
            given = [(key, left_s[id_]) for id_ in some for key in await self._keys(id_)]
            # With none left it would not pass, but be deleted at once.
            left_ms = [max(1, int(seconds * 1000)) for _, seconds in given]
            await self._lists.server.call(EXPIRE, [key for key, _ in given], *left_ms)

    async def refuses_back(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsTrial.refuses_back`: what a hash has beside, that the framework's has not,
        would not come back."""
        self._check(None)
        why: dict[str, str] = {}
        ids = storable(conversations) if self._has_hash else []
        for some in chunks(ids, IDS_A_CALL):
            hashes = [(await self._keys(id_))[1] for id_ in some]
            found = allowed(await self._lists.server.ask_all([("HKEYS", key) for key in hashes]))
            for id_, fields in zip(some, found, strict=True):
                others = set() if isinstance(fields, CorruptData) else set(fields) - _OF_HASH
                if others:
                    named = ", ".join(sorted(field.decode("utf-8", "replace") for field in others))
                    why[id_] = f"its hash has fields that are not {self._lists.layout}'s ({named})"
        return why

    async def perhaps_large(self, conversations: Sequence[str]) -> list[str]:
        """Those of these that may be, written anew, more than `replace` can bring at once: what the
        framework writes has more than one byte for each that lies there."""
        found: list[str] = []
        for some in chunks(storable(conversations), IDS_A_CALL):
            keys = [(await self._keys(id_))[0] for id_ in some]
            # The first one says on which node of a cluster.
            asked = [("LLEN", keys[0]), *(("MEMORY", "USAGE", key, "SAMPLES", 0) for key in keys)]
            _, *sizes = await self._lists.server.ask_all(asked)
            for id_, size in zip(some, sizes, strict=True):
                if size is not None and not (
                    isinstance(size, int) and size < MOST_ITEM_BYTES // _LARGER
                ):
                    found.append(id_)
        return found

    def bytes_of(self, messages: Sequence[Message | Unreadable]) -> int:
        """How many bytes these take where they are written anew."""
        assert self._shape.fold is not None
        said = (each for each in messages if isinstance(each, Message))
        return sum(len(self._shape.fold(each)) for each in said if self.refusal(each) is None)

    def not_at_once(self, size: int) -> str | None:
        """Why so many bytes cannot be brought by one `replace`, or None."""
        return (
            f"{size:,} bytes are more than Redis takes at once" if size > MOST_ITEM_BYTES else None
        )

    async def _keys(self, conversation: str) -> list[bytes]:
        """The keys of a conversation, as a script takes them."""
        key = (await self._lists.keys([conversation]))[conversation]
        if self._shape.hash_of is None:
            return [key]
        return [key, (self._lists.prefix + self._shape.hash_of(conversation)).encode()]

    async def _run(
        self, script: Script, keys: Sequence[bytes], *arguments: bytes | int
    ) -> tuple[Any, int]:
        about = int(self._shape.newest_first), 1 + self._has_hash
        return await self._lists.server.call_telling(script, keys, *about, *arguments)

    def _returned(self, answer: Sequence[bytes]) -> bytes:
        if answer[0] == b"kind":
            raise CorruptData(
                f"{self._name}: {decoded(answer[1])!r} is a {answer[2].decode()}: nothing was "
                "written",
                hint="another program uses this key",
                conversation=self._lists.id_in(answer[1]),
            )
        if answer[0] == b"changed":
            raise changed(answer[1].decode(), self._name)
        return answer[1]

    def _check(self, token: str | None) -> None:
        """Unsupported, where it is not written, or cannot be written so."""
        layout = self._lists.layout
        if self._shape.fold is None:
            raise Unsupported(f"{self._name}: what {layout} stores can only be read")
        if token is not None:
            raise Unsupported(f"{self._name} is {layout}'s: it remembers no step of ours")
        if not self._opened:
            raise opened_for_reading(self._name)


def _end(last: Any) -> Position:
    """The position of the last item of what `beginnings` has found."""
    if not isinstance(last, Stretch):
        return START if last is None else ANY.decode()  # the script says of which type it is
    return position_of(last.items, len(last.items) - 1, last.first + len(last.items) - 1)


def _or_any(position: Position | None) -> bytes:
    return ANY if position is None else b"" if position == START else parted(position)[0].encode()
