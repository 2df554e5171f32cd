"""Reading a Redis store: each page is one script, many small conversations come in one, and
nothing is held between."""

import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from typing import Any, Final

from synmem import messages as model
from synmem.backends.paging import END, Fetched, Paging, changed, fetched, storable
from synmem.backends.redis.opening import Server
from synmem.backends.redis.scripts import (
    BEGIN,
    DETAILS,
    EXPIRING,
    GO_ON,
    KNOWN,
    LENGTHS,
    NOTE,
    NOTES,
    Script,
    is_position,
    position_of,
    unpacked,
)
from synmem.errors import AccessDenied, CorruptData
from synmem.layouts.own import redis_items
from synmem.layouts.own.beside import read_beside, read_description
from synmem.messages import Damage, Holds, Message, Unreadable, chunks, encodable
from synmem.store import (
    GHOST,
    ORPHAN,
    START,
    STRAY,
    ConversationInfo,
    Page,
    Position,
    Step,
)

CALL_MESSAGES: Final = 10_000

HOLDS: Final = Holds(
    call_messages=CALL_MESSAGES, call_bytes=32_000_000, own=False,
    atomic_messages=CALL_MESSAGES, lasting_positions=False,
)  # fmt: skip

INDEX: Final = b"conversations"
LIST: Final = b":messages"
BESIDE: Final = b":synmem"

MOST_ITEM_BYTES: Final = 512_000_000
"""As large as the server lets one item be, as it comes."""

IDS_A_CALL: Final = 500
_MOST_DAMAGE: Final = 100
_NOT_A_LIST: Final = "!"
_REMEDY: Final = "set that field of its hash, ...:synmem, to JSON, or HDEL it"
_NOTE: Final = b"note:"
_TOKEN: Final = re.compile(r"[0-9a-f]{32}(\.[0-9]+)?")


class Keys:
    """The keys of a prefix."""

    def __init__(self, prefix: bytes) -> None:
        self._prefix = prefix
        self.index = prefix + INDEX
        escaped = b"".join(b"\\" + bytes([c]) if c in b"*?[]\\^-" else bytes([c]) for c in prefix)
        self.pattern = escaped + b"*" + LIST
        self.indexes = escaped + b"?*" + INDEX
        """The pattern of the indexes of longer prefixes that begin with this one."""

    def list(self, conversation: str) -> bytes:
        """The key of its messages."""
        return self._prefix + conversation.encode() + LIST

    def beside(self, conversation: str) -> bytes:
        """The key of its title, extra and notes."""
        return self._prefix + conversation.encode() + BESIDE

    def id_in(self, key: bytes) -> bytes:
        """Whose list it is."""
        return key[len(self._prefix) : -len(LIST)]

    def shorter(self) -> Sequence[tuple[bytes, bytes]]:
        """The indexes of all prefixes that this one begins with, and by how much it is longer."""
        return [
            (self._prefix[:size] + INDEX, self._prefix[size:]) for size in range(len(self._prefix))
        ]

    def longer(self, index: bytes) -> bytes:
        """By how much the prefix of this index is longer."""
        return index[len(self._prefix) : -len(INDEX)]

    def whose(self, key: bytes) -> str | None:
        """The conversation whose list this key would be, or what lies beside one; None for
        others."""
        for ending in (LIST, BESIDE):
            if key.endswith(ending):
                return _decoded(key[len(self._prefix) : -len(ending)]) or None
        return None

    def own(self, kind: str, token: str) -> bytes:
        """A key of ours that belongs to no conversation, and passes."""
        return self._prefix + f"synmem:{kind}:{token}".encode()

    def step(self, token: str) -> bytes:
        """The key of a token that was given; ValueError where it is none, and the key might be
        another's."""
        if not _TOKEN.fullmatch(token):
            raise ValueError(f"not a token: {token!r}")
        return self.own("step", token)


class RedisReader:
    """The reading half of a store in Redis."""

    holds = HOLDS

    def __init__(self, server: Server, prefix: bytes, *, name: str, page_size: int) -> None:
        self.name = name
        self._server = server
        self._keys = Keys(prefix)
        self._page_size = page_size

    def refusal(self, message: Message) -> str | None:
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

    def read(
        self,
        conversations: Sequence[str],
        *,
        after: Position = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Page]:
        """See `Store.read`."""
        if after != START and len(conversations) != 1:
            raise ValueError("after goes with one conversation")
        paging = Paging(self, self._page_size, IDS_A_CALL)
        return paging.read(storable(conversations), after, reverse, limit)

    async def page(self, conversation: str, after: Position, reverse: bool, size: int) -> Fetched:
        """See `Pages.page`."""
        if after == _NOT_A_LIST:
            return END
        if after == START:
            [begun] = await self._first([conversation], size, reverse)
            return begun
        found = await self._call(GO_ON, [conversation], checked(after), size, int(reverse))
        if found == 0:
            raise changed(conversation, self.name)
        first, skipped, *raw = found
        items = unpacked(*raw)
        if skipped == len(items):
            return END
        return fetched(_page(conversation, items, skipped, first, reverse), size)

    async def first(self, ids: Sequence[str]) -> AsyncGenerator[tuple[str, Fetched], None]:
        """See `Pages.first`: as many in a call as a page has room for."""
        while ids:
            found = await self._first(ids[:IDS_A_CALL], self._page_size, False)
            for conversation, begun in zip(ids, found, strict=False):
                if begun.page is not None:
                    yield conversation, begun
            ids = ids[len(found) :]

    async def ends(self, ids: Sequence[str], reverse: bool, each: int) -> list[Page]:
        """See `Pages.ends`."""
        pages: list[Page] = []
        while ids:
            found = await self._first(ids, each, reverse)
            pages += [begun.page for begun in found if begun.page is not None]
            ids = ids[len(found) :]
        return pages

    async def _first(self, ids: Sequence[str], size: int, reverse: bool) -> list[Fetched]:
        """The first pages of as many of these as a call has room for: at least of one."""
        found = await self._call(BEGIN, ids, size, int(reverse), self._page_size)
        return [
            self._begun(conversation, begun, size, reverse)
            for conversation, begun in zip(ids, found, strict=False)
        ]

    def _begun(self, conversation: str, begun: Any, size: int, reverse: bool) -> Fetched:
        if begun == 0:
            return END
        if isinstance(begun, bytes):
            why = f"{self._keys.list(conversation)!r} is a {begun.decode()}, not a list"
            return Fetched(
                Page(conversation, [Unreadable("key", why)], lambda _: _NOT_A_LIST), None
            )
        length, *raw = begun
        items = unpacked(*raw)
        skipped = max(0, len(items) - size) if reverse else 0
        first = length - len(items) if reverse else 0
        return fetched(_page(conversation, items, skipped, first, reverse), size)

    async def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`."""
        names = storable(ids) if ids is not None else storable(await self._all())
        look = self._details if details else self._existing
        for some in chunks(names, self._page_size):
            found = await look(some)
            if found:
                yield found

    async def _existing(self, ids: Sequence[str]) -> list[ConversationInfo]:
        found = await self._call(LENGTHS, ids)
        return [ConversationInfo(id=i) for i, length in zip(ids, found, strict=True) if length]

    async def _details(self, ids: Sequence[str]) -> list[ConversationInfo]:
        keys = [key for i in ids for key in (self._keys.list(i), self._keys.beside(i))]
        found = await self._server.call(DETAILS, keys)
        return [self._info(i, about) for i, about in zip(ids, found, strict=True) if about != 0]

    def _info(self, conversation: str, about: Any) -> ConversationInfo:
        if about == -1:
            return ConversationInfo(id=conversation)
        length, first, last, title, extra = about
        return ConversationInfo(
            id=conversation,
            messages=length,
            first_at=_time_of(first),
            last_at=_time_of(last),
            **read_description(title, extra, _REMEDY),
        )

    def _note(self, conversation: str, field: str, text: bytes | None) -> Any:
        """A note, from its JSON text, if there is one."""
        try:
            return None if text is None else read_beside(field, text)
        except ValueError as error:
            key = self._keys.beside(conversation)
            raise CorruptData(f"{self.name}: the hash {key!r}: {error}", hint=_REMEDY) from error

    async def _all(self) -> list[str]:
        """Every id that the index or the lists name, once; those that are not UTF-8 left out."""
        indexed, listed = await self._names()
        return [i for name in {*indexed, *listed} if (i := _decoded(name))]

    async def _names(self) -> tuple[list[bytes], list[bytes]]:
        """The ids in the index, and those of the lists that there are; without those that only
        the index of another prefix names, a longer or a shorter one, and that are that one's."""
        index = self._keys.index
        kind = await self._server.kind(index)
        if kind not in ("set", "none"):
            raise CorruptData(
                f"{self.name}: {index!r} is a {kind}, not a set of conversations",
                hint="another program uses these keys; name another prefix",
            )
        indexed = await self._server.scan(index, "SSCAN", index, options=())
        options = ("MATCH", self._keys.pattern, "TYPE", "list")
        lists = await self._server.scan(index, "SCAN", options=options)
        listed = [self._keys.id_in(key) for key in lists]
        if orphans := set(listed).difference(indexed):
            others = await self._of_longer_prefixes(orphans)
            others |= await self._of_shorter_prefixes(orphans - others)
            listed = [name for name in listed if name not in others]
        return indexed, listed

    async def _of_longer_prefixes(self, orphans: set[bytes]) -> set[bytes]:
        """Those of these names that the index of a longer prefix has."""
        found: set[bytes] = set()
        options = ("MATCH", self._keys.indexes, "TYPE", "set")
        for index in await self._server.scan(self._keys.index, "SCAN", options=options):
            longer = self._keys.longer(index)
            if any(name.startswith(longer) for name in orphans):
                named = await self._server.scan(index, "SSCAN", index, options=())
                found.update(longer + name for name in named)
        return found & orphans

    async def _of_shorter_prefixes(self, orphans: set[bytes]) -> set[bytes]:
        """Those of these names that the index of a shorter prefix has."""
        found: set[bytes] = set()
        for index, longer in self._keys.shorter() if orphans else ():
            # The keys there may lie elsewhere, and need not be ours to look at.
            with contextlib.suppress(AccessDenied):
                if await self._server.kind(index) == "set":
                    named = await self._server.scan(index, "SSCAN", index, options=())
                    found.update(name[len(longer) :] for name in named if name.startswith(longer))
        return found & orphans

    async def damage(self) -> list[Damage]:
        """Ghosts, orphans, and names that are no ids."""
        indexed, listed = map(set, await self._names())
        ghosts = _named(GHOST, indexed - listed, "in the index, but without messages")
        found = [*ghosts, *_orphans(indexed, listed)]
        strays = [name for name in sorted(indexed | listed) if not _decoded(name)]
        found += [Damage(STRAY, repr(name), "its id is empty or not UTF-8") for name in strays]
        return found

    async def orphans(self) -> list[Damage]:
        """See `SupportsOrphans.orphans`."""
        return _orphans(*map(set, await self._names()))

    async def expiring(self, conversations: Sequence[str]) -> dict[str, float]:
        """See `SupportsExpiry.expiring`."""
        left: dict[str, float] = {}
        ids = storable(conversations)
        for some in chunks(ids, IDS_A_CALL):
            found = await self._call(EXPIRING, some)
            left.update({i: ms / 1000 for i, ms in zip(some, found, strict=True) if ms >= 0})
        return left

    async def note(self, conversation: str, name: str) -> Any | None:
        """See `SupportsNotes.note`."""
        if not encodable(conversation):
            return None
        keys = [self._keys.list(conversation), self._keys.beside(conversation)]
        field = note_field(name)
        text = await self._server.call(NOTE, keys, field)
        return self._note(conversation, field.decode(), text)

    async def notes(self, conversations: Sequence[str]) -> dict[str, dict[str, Any]]:
        """See `SupportsNotes.notes`."""
        notes: dict[str, dict[str, Any]] = {}
        ids = storable(conversations)
        for start in range(0, len(ids), IDS_A_CALL):
            some = ids[start : start + IDS_A_CALL]
            keys = [key for i in some for key in (self._keys.list(i), self._keys.beside(i))]
            found = await self._server.call(NOTES, keys)
            notes.update(
                {i: mine for i, raw in zip(some, found, strict=True) if (mine := _notes(raw))}
            )
        return notes

    async def steps_done(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.steps_done`."""
        return await self._done_of(KNOWN, steps)

    async def _done_of(self, script: Script, steps: Collection[Step]) -> set[Step]:
        """Those of these steps that were done, by a script that tells of tokens."""
        done: set[Step] = set()
        left = list(steps)
        for start in range(0, len(left), IDS_A_CALL):
            some = left[start : start + IDS_A_CALL]
            found = await self._server.call(script, [self._keys.step(s.token) for s in some])
            done.update(
                s for s, said in zip(some, found, strict=True) if said not in (None, b"off")
            )
        return done

    async def _call(self, script: Any, ids: Sequence[str], *arguments: bytes | int) -> Any:
        """Run a script on the lists of these conversations."""
        return await self._server.call(script, [self._keys.list(i) for i in ids], *arguments)

    async def close(self) -> None:
        """See `Store.close`."""
        await self._server.close()


def _page(conversation: str, raw: list[bytes], skipped: int, first: int, reverse: bool) -> Page:
    """A page of the items behind those that are skipped; `raw[0]` stands at index `first`."""
    items = [_item(item, first + at) for at, item in enumerate(raw[skipped:], skipped)]
    count = len(items)

    def position(i: int) -> Position:
        i = range(count)[i]
        at = skipped + (count - 1 - i if reverse else i)
        return position_of(raw, at, first + at)

    return Page(conversation, items[::-1] if reverse else items, position)


def _item(item: bytes, index: int) -> Message | Unreadable:
    try:
        return redis_items.decode(item)
    except ValueError as error:
        return Unreadable(f"item {index}", str(error), item.decode("utf-8", "backslashreplace"))


def _time_of(item: bytes) -> Any:
    """The time of a message; None where it has none, or cannot be read."""
    try:
        return redis_items.decode(item).created_at
    except ValueError:
        return None


def _orphans(indexed: set[bytes], listed: set[bytes]) -> list[Damage]:
    return _named(ORPHAN, listed - indexed, "has messages, but is not in the index")


def _named(kind: str, names: set[bytes], reason: str) -> list[Damage]:
    """A line for each conversation, or for so many of them."""
    ids = sorted(i for name in names if (i := _decoded(name)))
    found = [Damage(kind, repr(i), reason) for i in ids[:_MOST_DAMAGE]]
    more = len(ids) - len(found)
    return [*found, Damage(kind, "...", f"{more:,} more such")] if more else found


def _decoded(name: bytes) -> str:
    """The id, or nothing where it is none."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return ""


def note_field(name: str) -> bytes:
    """The field of a note beside its conversation."""
    return _NOTE + name.encode("utf-8", "surrogatepass")


def _notes(raw: Sequence[bytes]) -> dict[str, Any]:
    """The notes among the fields and values of what lies beside a conversation."""
    notes = {}
    for field, text in zip(raw[::2], raw[1::2], strict=True):
        if field.startswith(_NOTE):
            with contextlib.suppress(ValueError):
                name = field[len(_NOTE) :].decode("utf-8", "surrogatepass")
                notes[name] = read_beside(name, text)
    return {name: note for name, note in notes.items() if note is not None}


def checked(position: Position) -> bytes:
    """A position as a script takes it."""
    if not is_position(position):
        raise ValueError(f"not a position of a Redis store: {position!r}")
    return position.encode()
