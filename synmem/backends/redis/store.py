"""Conversations in Redis or Valkey, over redis-py's asyncio client.

Data layout, SynapseKit 2.0.1's, shared with its programs. With the prefix `synapsekit:memory:`,
or the one that is set, and the conversation's id:

    {prefix}{id}:messages    list, oldest first: `json.dumps` of {"role", "content"[, "metadata"]}
    {prefix}conversations    set: the ids, in UTF-8

All else that a message has rides in `metadata["synmem"]` (`layouts/own/redis_items.py`). Ours are

    {prefix}{id}:synmem            hash: `title`, `extra`, `note:NAME`, JSON in ASCII; with the TTL
                                   of the list; forgotten at the first message of a list that was
                                   gone, since another program may have deleted it
    {prefix}synmem:token:TOKEN     string, for at most an hour: what a write has returned, for
                                   when its answer is lost; the store's next append removes it
    {prefix}synmem:staged:TOKEN    list, for at most an hour: what `replace` is about to bring
    {prefix}synmem:step:TOKEN      string, for 90 days or until it is forgotten: of a write whose
                                   token was given, what it has returned, or `off` where it was
                                   called off; set by the script that writes

Keys are told apart by how they end, so no id makes one the key of another: `:messages`,
`:synmem`, 32 hexadecimal digits, these with `.` and a number, or `conversations` right behind the
prefix.

`ttl_seconds` is set on the list by what adds messages, and by what sets or forgets title or extra;
reading never touches it, and without the setting a list keeps the TTL that it has. A conversation
that has expired, or whose list another program deleted, stays in the set: it is a ghost, and no
conversation. A list that is not in the set is one (an orphan), unless the set of a longer or a
shorter prefix names it, of which one begins with the other: then it is that one's. A key with the
name of a list that is none comes as one unreadable record, and is not written to.

Every write, and every page, is one script: all or nothing, and visible at once (`scripts.py`). A
user who has no right to scripts reads in plain commands (`plain.py`), and cannot write.
Items have no id. A position is the index and the trace of the last 16 items: where another
program trims the front, it is found again; in a list of fewer than 16 items that was trimmed, and
where two places look alike, it is lost (`Changed`). Where a conversation was deleted and written
again with the same items, it is the same. A list begins with the item of a position where the
position was read at its begin, and the item there is the same.

What this store gives less: a server that evicts keys when its memory is full, or that loses its
last second at a crash (`appendfsync everysec`), loses what it had acknowledged, and what it knew
of tokens. A replica may be behind. A user whose rights end in the middle of a script (RPUSH, but
not SADD) leaves it half done: the rights it takes are those of scripts, and of all commands on
strings, lists, sets and hashes below the prefix; to read, those of a reader (`+@read`) are enough.
While the slot of a cluster is moved to another node key by key, what needs several keys waits, and
soon gives up: writes, listings, several lists.
"""

from collections.abc import AsyncIterable, AsyncIterator, Collection, Mapping, Sequence
from typing import Any, Final

from synmem.backends.redis.beside import Beside
from synmem.backends.redis.keys import INDEX, OWN, PREFIX
from synmem.backends.redis.listing import Listing
from synmem.backends.redis.opening import Server, checked_settings
from synmem.backends.redis.place import Place
from synmem.backends.redis.reading import Reader
from synmem.backends.redis.steps import Steps
from synmem.backends.redis.writing import Writer, refusal
from synmem.errors import AccessDenied
from synmem.masking import mask_with
from synmem.messages import Conversation, Damage, Holds, Message
from synmem.store import START, ConversationInfo, Page, Part, Position, Step, Store

_CALL_MESSAGES: Final = 10_000


async def open(settings: Mapping[str, Any], *, write: bool = False, page_size: int = 1000) -> Store:
    """The store at `settings["url"]`; with `prefix`, `ttl_seconds` and `cluster`. `layout` names
    whose keys are meant; else it is detected, where the index of our own is not there.
    """
    layout, name = settings.get("layout"), mask_with(settings["url"], settings, "prefix")
    if layout not in (None, OWN):
        from synmem.layouts.registry import check_known

        check_known(name, layout, "redis", [OWN])
    prefix, cluster = checked_settings(settings, PREFIX)
    server = Server(settings["url"], cluster=cluster)
    ttl_s = settings.get("ttl_seconds") or 0
    try:
        fit = None
        if layout != OWN and not (layout is None and await _is_own(server, prefix)):
            from synmem.backends.redis.finding import find

            fit = await find(server, name, layout, settings.get("prefix"), write=write)
        if fit is not None:
            from synmem.backends.redis.foreign import store_of

            return store_of(server, fit, name, ttl_s=ttl_s, write=write, page_size=page_size)
    except BaseException:
        await server.close()
        raise
    place = Place(server, prefix, name=name, ttl_s=ttl_s, write=write)
    return RedisStore(place, page_size=page_size)


async def _is_own(server: Server, prefix: bytes) -> bool:
    """Whether there is an index of our own, or whoever asks may not know."""
    try:
        return await server.kind(prefix + INDEX) != "none"
    except AccessDenied:
        return True


class RedisStore:
    """A `Store` in Redis (DESIGN: `redis`), with notes, and it remembers steps."""

    holds = Holds(
        call_messages=_CALL_MESSAGES, call_bytes=32_000_000, own=False,
        atomic_messages=_CALL_MESSAGES, lasting_positions=False,
    )  # fmt: skip

    def __init__(self, place: Place, *, page_size: int) -> None:
        self.name = place.name
        self._server, self._keys = place.server, place.keys
        self._reader = Reader(place, page_size=page_size)
        self._listing = Listing(place, page_size=page_size)
        self._writer = Writer(place)
        self._beside = Beside(place)
        self._steps = Steps(place)

    def refusal(self, message: Message) -> str | None:
        """What no store can hold, and what is larger than an item of a list may be."""
        return refusal(message)

    async def append(
        self, parts: Sequence[Part], *, keep: int | None = None, token: str | None = None
    ) -> list[Position]:
        """See `Store.append`: one script."""
        return await self._writer.append(parts, keep, token)

    def read(
        self,
        conversations: Sequence[str],
        *,
        after: Position = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Page]:
        """See `Store.read`."""
        return self._reader.read(conversations, after, reverse, limit)

    def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`."""
        return self._listing.conversations(ids, details=details)

    async def delete(
        self,
        conversation: str,
        *,
        upto: Position | None = None,
        begins: Position | None = None,
        token: str | None = None,
    ) -> bool:
        """See `Store.delete`: one script."""
        return await self._writer.delete(conversation, upto, begins, token)

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
        begins: Position | None = None,
        token: str | None = None,
    ) -> None:
        """See `Store.replace`: staged in a list of its own, then one script."""
        await self._writer.replace(conversation, messages, upto, begins, token)

    async def note(self, conversation: str, name: str) -> Any | None:
        """See `SupportsNotes.note`."""
        return await self._beside.note(conversation, name)

    async def notes(self, conversations: Sequence[str]) -> dict[str, dict[str, Any]]:
        """See `SupportsNotes.notes`."""
        return await self._beside.notes(conversations)

    async def set_note(self, conversation: str, name: str, value: Any | None) -> None:
        """See `SupportsNotes.set_note`."""
        await self._beside.set_note(conversation, name, value)

    async def steps_done(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.steps_done`."""
        return await self._steps.done(steps)

    async def call_off(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.call_off`."""
        return await self._steps.call_off(steps)

    async def forget_steps(self, steps: Collection[Step]) -> None:
        """See `SupportsSteps.forget_steps`."""
        await self._steps.forget(steps)

    async def expiring(self, conversations: Sequence[str]) -> dict[str, float]:
        """See `SupportsExpiry.expiring`."""
        return await self._beside.expiring(conversations)

    async def expire(self, left_s: Mapping[str, float]) -> None:
        """See `SupportsExpiry.expire`."""
        await self._beside.expire(left_s)

    async def damage(self) -> list[Damage]:
        """Ghosts, orphans, and names that are no ids."""
        return await self._listing.damage()

    async def orphans(self) -> list[Damage]:
        """See `SupportsOrphans.orphans`."""
        return await self._listing.orphans()

    async def others(self) -> list[str]:
        """See `SupportsOthers.others`: as far as they are found in a short look."""
        from synmem.backends.redis.finding import others

        return await others(self._server, self._keys)

    async def close(self) -> None:
        """See `Store.close`."""
        await self._server.close()
