"""Conversations in MongoDB, over pymongo's async client.

Data layout. One document a message, in the collection (`conversations` in the database
`synapsekit`, unless the URI or the profile say otherwise):

    {_id: "TOKEN:INDEX", session_id: "...", n: 1, role: "...", content: "...", ...}

`_id` is made of the call's random token and the message's place in the call, so that a write that
is tried again meets itself; the other fields are as in `layouts/mongo_documents.py`. The unique
index (session_id, n) orders a conversation: a new message takes the number of the last one plus
one, and of two writers who take the same number one is told. Numbers begin at 1 and may go below.

Beside it the collection `..._meta` has at most one document a conversation:

    {_id: session_id, title, extra: JSON text, notes: {NAME: JSON text},
     version, begins, low, skips: [{from, to}], gone, claimed, recent}

Its second line is the *head*, made when the front of a conversation first changes. Only messages
from number `begins` on are the conversation's, without those whose numbers lie in a span of
`skips`. A replace sets a region of numbers below all others aside (`low`), writes its messages
there, hidden, and then switches: one write of the head, on condition that its `version` is still
the one that was looked at. Then the old documents are deleted. A delete and a trim switch and
delete likewise. Whoever dies between two of these steps leaves the old conversation or the new
one, and perhaps hidden documents, which the next delete or replace there takes away after an
hour. What a reader does is in `mongo_reading.py`.

Where MongoDB gives less than the contract, since single servers have no transactions: a call of
`append` may be seen in part, each conversation's messages from the first on; and where somebody
else writes to one of its conversations in the very moment between look and write, `Changed` is
raised though other parts of the call, and what stands before the collision, are written. Whoever
looks again finds them. A rolling window is trimmed right after its append, by a second write. A
delete takes away what it saw: a message that is appended at the same moment stays. A deleted
conversation leaves its head, without title or notes, for an hour or until somebody deletes again.
"""

import asyncio
import contextlib
import functools
import random
import urllib.parse
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from synmem import messages as model
from synmem.backends.mongo_head import REGION, STALE, Head
from synmem.backends.mongo_opening import DUPLICATE, Document, Place, opened, token
from synmem.backends.mongo_reading import (
    IDS_A_QUERY,
    LOOKS,
    MongoReader,
    check,
    number_of,
    position_of,
)
from synmem.errors import Changed, StoreError, Unsupported
from synmem.layouts import mongo_documents as layout
from synmem.layouts.synapsekit import encodable
from synmem.messages import Conversation, JSONObject, Message
from synmem.store import START, Part, Position

ATTEMPTS: Final = 500
"""So often messages are given new numbers where others write to the same conversation."""


async def open(
    settings: Mapping[str, Any], *, write: bool = False, page_size: int = 1000
) -> "MongoStore":
    """The store that `uri` leads to; `db_name`, `collection_name`, `password` and `layout`.

    A collection that is not there is empty; the first write makes it.
    """
    return MongoStore(await opened(settings), write=write, page_size=page_size)


class MongoStore(MongoReader):
    """A `Store` in MongoDB (DESIGN: `mongo`): `MongoReader` reads, this writes; with notes."""

    def __init__(self, place: Place, *, write: bool, page_size: int) -> None:
        super().__init__(place, page_size=page_size)
        self._write = write
        self._is_made = False
        self._is_swept = False
        self._making = asyncio.Lock()

    # --- append -----------------------------------------------------------------------------

    async def append(self, parts: Sequence[Part], *, keep: int | None = None) -> list[Position]:
        """See `Store.append`, and the end of this module's docstring."""
        check(model.refusals(((p.conversation, p.messages) for p in parts), self.refusal))
        await self._make()
        parts = [_stored(part) for part in parts]
        ends = await self._checked(parts)
        call = token()
        documents: list[list[Document]] = []
        for part in parts:
            documents.append(_documents(part, call, sum(map(len, documents))))
        await self._number(parts, documents, ends)
        await self._insert(parts, documents)
        await self._uncover(parts, documents)
        found = [
            position_of(mine[-1]) if mine else ends.get(part.conversation.id, START)
            for part, mine in zip(parts, documents, strict=True)
        ]
        exist = [p.conversation for p, end in zip(parts, found, strict=True) if end != START]
        await self._describe(exist)
        if keep is not None:
            for conversation in exist:
                await self._trim(conversation.id, keep)
        return found

    async def _checked(self, parts: Sequence[Part]) -> dict[str, Position]:
        """Where the conversations of these parts end, where that is not START; Changed where it
        is not what is expected."""
        new = sorted({p.conversation.id for p in parts if p.expect == START})
        for conversation in await self._existing(new):
            raise self._changed(conversation)
        old = sorted({p.conversation.id for p in parts} - set(new))
        ends = {i: position_of(end) for i, end in (await self._ends(old)).items()}
        for part in parts:
            if part.expect not in (None, ends.get(part.conversation.id, START)):
                raise self._changed(part.conversation.id)
        return ends

    async def _number(
        self,
        parts: Sequence[Part],
        documents: Sequence[list[Document]],
        ends: Mapping[str, Position],
    ) -> None:
        """Give every document its number, behind the end that was seen."""
        heads = await self._heads(sorted({part.conversation.id for part in parts}))
        for part, mine in zip(parts, documents, strict=True):
            if not mine:
                continue
            head = heads[part.conversation.id]
            end = ends.get(part.conversation.id, START)
            if end == START and head.version is not None:
                head = await self._revive(part.conversation.id, head)
            _renumber(mine, max(head.floor, number_of(end) if end != START else 0) + 1)

    async def _revive(self, conversation: str, head: Head) -> Head:
        """Make the head of a deleted conversation one that is not swept away, unless somebody
        begins it anew meanwhile."""
        for _ in range(LOOKS):
            if head.version is None:
                return head
            revived = msgspec.structs.replace(head, gone=None)
            if await self._switch(conversation, head, revived):
                return revived
            head = (await self._heads([conversation]))[conversation]
            if await self._ends([conversation]):
                return head
        raise self._changed(conversation)

    async def _insert(self, parts: Sequence[Part], documents: Sequence[list[Document]]) -> None:
        """Write all documents in order, whatever breaks or comes between."""
        part_of = {
            mine[0]["session_id"]: p for p, mine in zip(parts, documents, strict=True) if mine
        }
        left = [document for mine in documents for document in mine]
        for attempt in range(ATTEMPTS):
            if not left or await self._place.ask(functools.partial(self._tried, left)):
                return
            # Whoever else writes here should get on: the two take turns.
            await asyncio.sleep(random.uniform(0, 0.002) * min(attempt, 20))
            left = await self._missing(left)
            if left:
                await self._behind_others(part_of[left[0]["session_id"]], left)
        raise self._changed(left[0]["session_id"])

    async def _uncover(self, parts: Sequence[Part], documents: Sequence[list[Document]]) -> None:
        """Where somebody wrote and deleted between our look and our write, our numbers were free
        again, but hidden: what has them goes behind the end."""
        written = [(part, mine) for part, mine in zip(parts, documents, strict=True) if mine]
        for _ in range(LOOKS):
            heads = await self._heads(sorted(mine[0]["session_id"] for _, mine in written))
            written = [
                (p, mine)
                for p, mine in written
                if not heads[mine[0]["session_id"]].shows(mine[0]["n"])
            ]
            if not written:
                return
            for part, mine in written:
                await self._put_behind(part, mine, heads[part.conversation.id])
        raise self._changed(written[0][0].conversation.id)

    async def _put_behind(self, part: Part, mine: list[Document], head: Head) -> None:
        conversation = part.conversation.id
        for start in range(0, len(mine), IDS_A_QUERY):
            where = {"_id": {"$in": [each["_id"] for each in mine[start : start + IDS_A_QUERY]]}}
            await self._place.ask(functools.partial(self._messages.delete_many, where))
        if part.expect is not None:
            raise self._changed(conversation)
        end = (await self._ends([conversation])).get(conversation)
        if end is None:
            head = await self._revive(conversation, head)
        _renumber(mine, max(head.floor, int(end["n"]) if end else 0) + 1)
        await self._insert([part], [mine])

    async def _tried(self, documents: Sequence[Document]) -> bool:
        """Insert them up to the first whose id or number is there already."""
        try:
            await self._messages.insert_many(documents, ordered=True)
        except BulkWriteError as error:
            wrong = error.details.get("writeErrors", [])
            if not wrong or any(each.get("code") != DUPLICATE for each in wrong):
                raise
            return False
        return True

    async def _missing(self, documents: Sequence[Document]) -> list[Document]:
        """Those that are not there: how many a failed insert wrote, no server need be believed."""
        there: set[Any] = set()
        for start in range(0, len(documents), IDS_A_QUERY):
            ids = [document["_id"] for document in documents[start : start + IDS_A_QUERY]]
            found = await self._find({"_id": {"$in": ids}}, None, len(ids), {"_id": 1})
            there.update(document["_id"] for document in found)
            if len(found) < len(ids):
                break
        return [document for document in documents if document["_id"] not in there]

    async def _behind_others(self, part: Part, left: Sequence[Document]) -> None:
        """Give what is left of this part new numbers, if somebody else has taken its next one."""
        conversation, number = left[0]["session_id"], left[0]["n"]
        if not await self._find({"session_id": conversation, "n": number}, None, 1, {"_id": 1}):
            return
        if part.expect is not None:
            raise self._changed(conversation)
        end = (await self._ends([conversation])).get(conversation)
        head = (await self._heads([conversation]))[conversation]
        mine = [document for document in left if document["session_id"] == conversation]
        _renumber(mine, max(head.floor, int(end["n"]) if end else 0, number) + 1)

    # --- what lies beside -------------------------------------------------------------------

    async def _describe(self, conversations: Sequence[Conversation]) -> None:
        values = {c.id: _described(c) for c in conversations}
        await self._set({i: value for i, value in values.items() if value})

    async def _set(self, values: Mapping[str, JSONObject]) -> None:
        """Remember values beside conversations, in few steps; None forgets one. A conversation
        that is deleted meanwhile keeps none."""
        left = dict(values)
        for _ in range(LOOKS):
            ids = sorted(left)
            if not ids:
                return
            heads = await self._heads(ids)
            for start in range(0, len(ids), IDS_A_QUERY):
                some = ids[start : start + IDS_A_QUERY]
                updates = [_update(i, heads[i], left[i]) for i in some]
                done = await self._place.ask(functools.partial(self._updated, updates))
                if done:
                    for conversation in some:
                        del left[conversation]
            there = await self._existing(sorted(left))
            left = {i: value for i, value in left.items() if i in there}
        raise self._changed(next(iter(left)))

    async def _updated(self, updates: Sequence[UpdateOne]) -> bool:
        """Whether every one of them met what it expected."""
        try:
            result = await self._place.meta.bulk_write(updates, ordered=False)
        except BulkWriteError as error:
            if any(each.get("code") != DUPLICATE for each in error.details.get("writeErrors", [])):
                raise
            return False
        return result.matched_count + result.upserted_count >= len(updates)

    async def note(self, conversation: str, name: str) -> Any | None:
        """See `SupportsNotes.note`."""
        key, conversation = _note_key(name), layout.session_of(conversation)
        found = await self._documents([conversation], {f"notes.{key}": 1})
        text = found.get(conversation, {}).get("notes", {}).get(key)
        return None if text is None else self._value(conversation, text)

    async def set_note(self, conversation: str, name: str, value: Any | None) -> None:
        """See `SupportsNotes.set_note`."""
        await self._make()
        conversation = layout.session_of(conversation)
        if encodable(conversation) and await self._existing([conversation]):
            text = None if value is None else model.ascii_json(value)
            await self._set({conversation: {f"notes.{_note_key(name)}": text}})

    # --- the front --------------------------------------------------------------------------

    async def delete(self, conversation: str, *, upto: Position | None = None) -> bool:
        """See `Store.delete`."""
        await self._make()
        conversation = layout.session_of(conversation)
        if not encodable(conversation):
            return False

        async def moved(head: Head) -> Head | None:
            if upto is not None:
                await self._find_at(conversation, head, upto)
                return head.cut(number_of(upto))
            end = await self._find({"session_id": conversation, **head.where()}, [("n", -1)], 1)
            return head.cut(end[0]["n"]) if end else None

        if upto is not None and not await self._ends([conversation]):
            return False
        deleted = await self._move(conversation, moved)
        await self._sweep()
        return deleted

    async def _trim(self, conversation: str, keep: int) -> None:
        """Let only the newest `keep` messages stay."""

        async def moved(head: Head) -> Head | None:
            where = {"session_id": conversation, **head.where()}
            last = await self._place.ask(
                lambda: self._messages.find(
                    where, {"n": 1}, sort=[("n", -1)], skip=keep, limit=1
                ).to_list()
            )
            return head.cut(last[0]["n"]) if last else None

        await self._move(conversation, moved, tidy=False)

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
    ) -> None:
        """See `Store.replace`: written hidden, then switched."""
        await self._make()
        check(model.refusals([(conversation, ())], self.refusal))
        conversation = _stored(Part(conversation, ())).conversation
        front = _Front(self, conversation)

        async def moved(head: Head) -> Head | None:
            if front.count and head.begins <= front.first:
                raise self._changed(conversation.id)  # somebody put others below
            cut = head
            if upto != START:
                await self._find_at(conversation.id, head, upto)
                cut = head.cut(number_of(upto))
            return cut.fronted(front.first, front.count) if front.count else cut

        try:
            async for page in messages:
                await front.take(page)
        except BaseException:
            await front.forget()
            raise
        if not front.count and upto == START:
            if await self._existing([conversation.id]):
                await self._describe([conversation])
            return
        try:
            await self._move(conversation.id, moved, described=conversation, keeps=front.region)
        except Changed:  # after any other failure the new front may be the one that is seen
            await front.forget()
            raise

    async def _move(
        self,
        conversation: str,
        moved: Callable[[Head], Awaitable[Head | None]],
        *,
        described: Conversation | None = None,
        keeps: tuple[int, int] = (0, 0),
        tidy: bool = True,
    ) -> bool:
        """Switch to the head that `moved` makes of the one there is, and delete what is hidden
        then; False where it makes none. `keeps`: the numbers that were set aside for this."""
        for _ in range(LOOKS):
            head = (await self._heads([conversation]))[conversation]
            new = await moved(head)
            if new is None:
                if tidy and head.version is not None and not head.is_claimed:
                    await self._clear(conversation, head, None)
                return False
            new = await self._with_its_state(conversation, head, new, keeps)
            own = _described(described) if described is not None and new.gone is None else {}
            if await self._switch(conversation, head, new, own):
                await self._clear(conversation, new, head if new.is_claimed else None)
                return True
        raise self._changed(conversation)

    async def _with_its_state(
        self, conversation: str, head: Head, new: Head, region: tuple[int, int]
    ) -> Head:
        """The new head, saying whether anything is left, and whether somebody else claims it."""
        left = new.begins in range(*region) or bool(
            await self._find({"session_id": conversation, **new.where()}, None, 1, {"n": 1})
        )
        mine = region[0] != region[1] and head.low == region[0]
        return msgspec.structs.replace(
            new,
            gone=None if left else datetime.now(UTC),
            claimed=None if mine else head.claimed,
        )

    async def _find_at(self, conversation: str, head: Head, position: Position) -> None:
        """Changed, where no message stands there any more."""
        number = number_of(position)
        found = await self._find({"session_id": conversation, "n": number}, None, 1, {"n": 1})
        if not found or position_of(found[0]) != position or not head.shows(number):
            raise self._changed(conversation)

    async def _switch(
        self, conversation: str, head: Head, new: Head, own: JSONObject | None = None
    ) -> bool:
        """The one write that moves a front: to this head, if `head` is still the one there."""
        version = token()
        # A deleted conversation's title and notes go in the same step.
        values = {**new.stored(version), **(own or {})}
        update: Document = {"$set": values}
        if new.gone is not None:
            update["$unset"] = {"title": "", "extra": "", "notes": ""}
        where = _same(conversation, head)

        async def step() -> bool:
            with contextlib.suppress(DuplicateKeyError):
                result = await self._place.meta.update_one(
                    where, update, upsert=head.version is None
                )
                if result.matched_count or result.upserted_id is not None:
                    return True
            now = await self._place.meta.find_one({"_id": conversation}, {"recent": 1})
            return now is not None and version in (now.get("recent") or ())

        return await self._place.ask(step)

    async def _clear(self, conversation: str, head: Head, before: Head | None) -> None:
        """Delete the documents that this head hides; where somebody else is writing hidden ones,
        only those that `before` showed."""
        spans = [*head.skips, (-(2**63), head.begins - 1)]
        if before is not None:
            spans = [(max(low, before.begins), to) for low, to in spans]
        for low, to in spans:
            where = {"session_id": conversation, "n": {"$gte": low, "$lte": to}}
            await self._place.ask(functools.partial(self._messages.delete_many, where))

    async def _sweep(self) -> None:
        """Once a store: take away the heads of conversations that were deleted long ago."""
        if self._is_swept:
            return
        self._is_swept = True
        old = {"gone": {"$lt": datetime.now(UTC) - STALE}}
        found = await self._place.ask(
            lambda: self._place.meta.find(old, {"_id": 1}, limit=IDS_A_QUERY).to_list()
        )
        for conversation in [document["_id"] for document in found]:
            head = (await self._heads([conversation]))[conversation]
            if head.gone is None or head.is_claimed or await self._ends([conversation]):
                continue
            await self._clear(conversation, head, None)
            where = _same(conversation, head)
            await self._place.ask(functools.partial(self._place.meta.delete_one, where))

    async def _make(self) -> None:
        """Make the index at the first write: it is what keeps writers out of each other's way."""
        if not self._write:
            raise Unsupported(f"{self.name} was opened for reading")
        async with self._making:
            if not self._is_made:
                keys = [("session_id", 1), ("n", 1)]
                await self._place.ask(lambda: self._messages.create_index(keys, unique=True))
                self._is_made = True


class _Front:
    """The messages of one `replace`, hidden in numbers of their own until it switches."""

    def __init__(self, store: MongoStore, conversation: Conversation) -> None:
        self.count = 0
        self.first = 0
        self._store = store
        self._conversation = conversation
        self._call = token()

    @property
    def region(self) -> tuple[int, int]:
        """The numbers that were set aside; none before the first message."""
        return (self.first, self.first + REGION) if self.first else (0, 0)

    async def take(self, page: Sequence[Message]) -> None:
        """The next messages."""
        refused = model.refusals([(self._conversation, page)], self._store.refusal)
        name = layout.conversation_of(self._conversation.id)
        check((name, self.count + n, why) for _, n, why in refused)
        if not page:
            return
        if not self.first:
            await self._claim()
        part = Part(self._conversation, page)
        documents = _documents(part, self._call, self.count)
        _renumber(documents, self.first + self.count)
        await self._store._insert([part], [documents])
        self.count += len(page)

    async def _claim(self) -> None:
        """Set numbers below all others aside."""
        store, conversation = self._store, self._conversation.id
        for _ in range(LOOKS):
            head = (await store._heads([conversation]))[conversation]
            low = min(head.low, head.begins) - REGION
            claimed = msgspec.structs.replace(head, low=low, claimed=datetime.now(UTC))
            if await store._switch(conversation, head, claimed):
                self.first = low
                return
        raise store._changed(conversation)

    async def forget(self) -> None:
        """Take the hidden messages away again, if the server can be reached."""
        if self.first:
            span = {"$gte": self.first, "$lt": self.first + REGION}
            where = {"session_id": self._conversation.id, "n": span}
            with contextlib.suppress(StoreError):
                await self._store._place.ask(lambda: self._store._messages.delete_many(where))


def _stored(part: Part) -> Part:
    """The part under the `session_id` of its conversation."""
    session = layout.session_of(part.conversation.id)
    if session == part.conversation.id:
        return part
    conversation = msgspec.structs.replace(part.conversation, id=session)
    return msgspec.structs.replace(part, conversation=conversation)


def _documents(part: Part, call: str, index: int) -> list[Document]:
    """A part's messages as documents that have no numbers yet."""
    session, encode = part.conversation.id, layout.encode
    return [
        {"_id": f"{call}:{index + place}", "session_id": session, "n": 0, **encode(message)}
        for place, message in enumerate(part.messages)
    ]


def _renumber(documents: Sequence[Document], first: int) -> None:
    for number, document in enumerate(documents, first):
        document["n"] = number


def _described(conversation: Conversation) -> JSONObject:
    """Title and extra as they are stored, those that are set."""
    own = {"title": conversation.title, "extra": conversation.extra}
    return {key: model.ascii_json(value) for key, value in own.items() if value is not None}


def _same(conversation: str, head: Head) -> Document:
    """The filter for a conversation whose head is still this one."""
    version = head.version if head.version is not None else {"$exists": False}
    return {"_id": conversation, "version": version}


def _update(conversation: str, head: Head, values: JSONObject) -> UpdateOne:
    change: Document = {}
    for key, value in values.items():
        change.setdefault("$unset" if value is None else "$set", {})[key] = value or ""
    return UpdateOne(_same(conversation, head), change, upsert=head.version is None)


def _note_key(name: str) -> str:
    """A note's name as a key, which may not hold a dot or begin with a dollar."""
    return urllib.parse.quote(name, safe="", errors="surrogatepass").replace(".", "%2E")
