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

Every write, and every page, is one script: all or nothing, and visible at once (`redis_scripts`).
Items have no id. A position is the index and the trace of the last 16 items: where another
program trims the front, it is found again; in a list of fewer than 16 items that was trimmed, and
where two places look alike, it is lost (`Changed`). Where a conversation was deleted and written
again with the same items, it is the same. A list begins with the item of a position where the
position was read at its begin, and the item there is the same.

What this store gives less: a server that evicts keys when its memory is full, or that loses its
last second at a crash (`appendfsync everysec`), loses what it had acknowledged, and what it knew
of tokens. A replica may be
behind. A user whose rights end in the middle of a script (RPUSH, but not SADD) leaves it half
done: the rights it takes are those of scripts, and of all commands on strings, lists, sets and
hashes below the prefix; to read, also SCAN. While the slot of a cluster is moved to another node
key by key, what needs several keys waits, and soon gives up: writes, listings, several lists.
"""

import uuid
from collections.abc import AsyncIterable, Collection, Mapping, Sequence
from typing import Any, Final

from synmem import messages as model
from synmem.backends.paging import called_off, changed, opened_for_reading, storable
from synmem.backends.redis.opening import Server, checked_settings
from synmem.backends.redis.reading import IDS_A_CALL, RedisReader, checked, note_field
from synmem.backends.redis.scripts import (
    ANY,
    APPEND,
    CALL_OFF,
    DELETE,
    EXPIRE,
    FORGET,
    GONE,
    REPLACE,
    SET_NOTE,
    STAGE,
    STEP_S,
    TOKEN_S,
    Script,
    packed,
)
from synmem.errors import CorruptData, Rejected, Unsupported
from synmem.layouts.own import redis_items
from synmem.masking import mask, mask_with
from synmem.messages import Conversation, Message, ascii_json, chunks, encodable
from synmem.store import Part, Position, Step

PREFIX: Final = "synapsekit:memory:"

LAYOUTS: Final = ("synapsekit",)


async def open(
    settings: Mapping[str, Any], *, write: bool = False, page_size: int = 1000
) -> "RedisStore":
    """The store at `settings["url"]`; with `prefix`, `ttl_seconds` and `cluster`.

    Nothing is asked of the server yet: one that is not there is known at the first call.
    """
    layout = settings.get("layout", LAYOUTS[0])
    if layout not in LAYOUTS:
        raise Unsupported(
            f"{mask(settings['url'])}: no layout {layout!r} on Redis",
            hint=f"there is {', '.join(LAYOUTS)}",
        )
    prefix, cluster = checked_settings(settings, PREFIX)
    server = Server(settings["url"], cluster=cluster)
    ttl_s = settings.get("ttl_seconds", 0)
    name = mask_with(settings["url"], settings, "prefix")
    return RedisStore(server, prefix, name=name, ttl_s=ttl_s, write=write, page_size=page_size)


class RedisStore(RedisReader):
    """A `Store` in Redis (DESIGN: `redis`), with notes, and it remembers steps: `RedisReader`
    reads, this writes."""

    def __init__(
        self,
        server: Server,
        prefix: bytes,
        *,
        name: str,
        ttl_s: int,
        write: bool,
        page_size: int,
    ) -> None:
        super().__init__(server, prefix, name=name, page_size=page_size)
        self._ttl_s = ttl_s
        self._write = write
        self._repeated: set[bytes] = set()  # tokens of writes that took more than one try
        self._spent: list[bytes] = []  # tokens of appends whose answers came at once

    async def append(
        self, parts: Sequence[Part], *, keep: int | None = None, token: str | None = None
    ) -> list[Position]:
        """See `Store.append`: one script."""
        self._check(parts)
        if not parts:
            return []
        mark, kept_s = self._mark(token)
        keys = [mark, self._keys.index]
        for part in parts:
            keys += [self._keys.list(part.conversation.id), self._keys.beside(part.conversation.id)]
        spent, self._spent = self._spent, []
        numbers = (self._ttl_s, -1 if keep is None else keep, len(parts))
        given = [b"%d" % number for number in numbers]
        for part in parts:
            given += _given(part)
        answer, tries = await self._server.call_counted(
            APPEND, [*keys, *spent], *packed(given), kept_s
        )
        ends = self._done(answer).decode().split("\n")
        if tries > 1:  # the first may still be on its way to the server, to be known there again
            self._repeated.add(mark)
        elif token is None:
            self._spent.append(mark)
        return ends

    async def delete(
        self,
        conversation: str,
        *,
        upto: Position | None = None,
        begins: Position | None = None,
        token: str | None = None,
    ) -> bool:
        """See `Store.delete`: one script."""
        self._may_write()
        if not encodable(conversation):
            return False
        given = (token, conversation, _or_any(begins), _or_any(upto))
        return self._done(await self._step(DELETE, *given)) == b"1"

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
        self._check([Part(conversation, [])])
        front = _or_any(begins), checked(upto)
        staged = self._token("staged")
        count = await self._stage(staged, conversation, messages)
        answer = await self._step(
            REPLACE, token, conversation.id, *front, self._ttl_s, *_named(conversation), count,
            beside=staged,
        )  # fmt: skip
        self._done(answer)

    async def _stage(
        self,
        staged: bytes,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
    ) -> int:
        """Put the new messages where nobody looks; tell how many."""
        count = 0
        async for page in messages:
            if reasons := model.refusals([(conversation, page)], self.refusal):
                raise Rejected([(i, count + n, why) for i, n, why in reasons])
            if not page:
                continue
            items = [redis_items.encode(message) for message in page]
            if await self._server.call(STAGE, [staged], *packed(items), count) != b"done":
                raise changed(conversation.id, self.name)
            count += len(page)
        return count

    async def set_note(self, conversation: str, name: str, value: Any | None) -> None:
        """See `SupportsNotes.set_note`."""
        self._may_write()
        if not encodable(conversation):
            return
        keys = [self._keys.list(conversation), self._keys.beside(conversation)]
        self._done(await self._server.call(SET_NOTE, keys, note_field(name), _json(value)))

    async def call_off(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.call_off`."""
        self._may_write()
        return await self._done_of(CALL_OFF, steps)

    async def forget_steps(self, steps: Collection[Step]) -> None:
        """See `SupportsSteps.forget_steps`."""
        self._may_write()
        # The first try of one that was repeated may come late: its token is left to pass by
        # itself, since a position that looks the same would let it through.
        keys = [key for step in steps if (key := self._keys.step(step.token)) not in self._repeated]
        for some in chunks(keys, IDS_A_CALL):
            await self._server.call(FORGET, some)

    async def expire(self, left_s: Mapping[str, float]) -> None:
        """See `SupportsExpiry.expire`."""
        self._may_write()
        ids = storable(list(left_s))
        for some in chunks(ids, IDS_A_CALL):
            keys = [key for i in some for key in (self._keys.list(i), self._keys.beside(i))]
            # With none left it would not pass, but be deleted at once.
            await self._server.call(EXPIRE, keys, *[max(1, int(left_s[i] * 1000)) for i in some])

    async def _step(
        self,
        script: Script,
        token: str | None,
        conversation: str,
        *arguments: bytes | int,
        beside: bytes = b"",
    ) -> Any:
        """Run a script that writes to one conversation, with this token or one of its own."""
        mark, kept_s = self._mark(token)
        keys = [
            mark,
            self._keys.index,
            self._keys.list(conversation),
            self._keys.beside(conversation),
        ]
        keys += [beside] if beside else []
        answer, tries = await self._server.call_counted(
            script, keys, conversation.encode(), kept_s, *arguments
        )
        if tries > 1:
            self._repeated.add(mark)
        return answer

    def _mark(self, token: str | None) -> tuple[bytes, int]:
        """The key that says that a write was done, and for how many seconds."""
        if token is None:
            return self._token("token"), TOKEN_S
        return self._keys.step(token), STEP_S

    def _done(self, answer: Sequence[bytes]) -> bytes:
        """What a script that writes has returned; raises where it has not written."""
        if answer[0] == b"off":
            raise called_off(self.name)
        if answer[0] == b"changed":
            raise changed(answer[1].decode(), self.name)
        if answer[0] == b"kind":
            raise CorruptData(
                f"{self.name}: {answer[1]!r} is a {answer[2].decode()}; nothing was written",
                hint="another program uses this key; name another prefix",
                conversation=self._keys.whose(answer[1]),
            )
        return answer[1]

    def _token(self, kind: str) -> bytes:
        return self._keys.own(kind, uuid.uuid4().hex)

    def _check(self, parts: Sequence[Part]) -> None:
        """All that can be said against a call without asking the server."""
        self._may_write()
        reasons = model.refusals(((p.conversation, p.messages) for p in parts), self.refusal)
        if reasons:
            raise Rejected(reasons)

    def _may_write(self) -> None:
        if not self._write:
            raise opened_for_reading(self.name)


def _given(part: Part) -> list[bytes]:
    """A part as the script takes it."""
    expected = ANY if part.expect is None else part.expect.encode()
    return [
        part.conversation.id.encode(),
        expected,
        *_named(part.conversation),
        b"%d" % len(part.messages),
        *[redis_items.encode(message) for message in part.messages],
    ]


def _or_any(position: Position | None) -> bytes:
    return ANY if position is None else checked(position)


def _named(conversation: Conversation) -> tuple[bytes, bytes]:
    """Title and extra as a script takes them: nothing where they are not set."""
    title, extra = conversation.title, conversation.extra
    return GONE if title == "" else _json(title), GONE if extra == {} else _json(extra)


def _json(value: Any) -> bytes:
    return b"" if value is None else ascii_json(value).encode()
