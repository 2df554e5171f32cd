"""Writing documents to MongoDB: numbered and inserted, whatever breaks or comes between; heads
switched; what lies beside."""

import asyncio
import contextlib
import functools
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

from synmem import messages as model
from synmem.backends.mongo.head import Head
from synmem.backends.mongo.listing import MongoLister
from synmem.backends.mongo.odd import belongs
from synmem.backends.mongo.opening import DUPLICATE, Document, Place, new_token
from synmem.backends.mongo.reading import IDS_A_QUERY, KEY, LOOKS, position_of
from synmem.errors import Unsupported
from synmem.layouts.own import mongo_documents as layout
from synmem.messages import Conversation, JSONObject
from synmem.store import Part

ATTEMPTS: Final = 500
"""So often messages are given new numbers where others write to the same conversation."""


class MongoWriter(MongoLister):
    """The steps that every write to a store in MongoDB is made of."""

    def __init__(self, place: Place, *, write: bool, page_size: int) -> None:
        super().__init__(place, page_size=page_size)
        self._write = write
        self._is_made = False
        self._is_swept = False
        self._making = asyncio.Lock()

    async def _make(self) -> None:
        """Make the index at the first write."""
        if not self._write:
            raise Unsupported(f"{self.name} was opened for reading")
        async with self._making:
            if not self._is_made:
                await self._place.prepare()
                self._is_made = True

    # --- documents --------------------------------------------------------------------------

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
        taken = {"session_id": conversation, "n": number}
        by = await self._found(self._messages, taken, KEY, limit=1)
        if not by:
            return
        # A list that holds this id or number stands in the way, and is no message.
        if part.expect is not None and belongs(by[0]):
            raise self._changed(conversation)
        end = (await self._ends([conversation])).get(conversation)
        head = (await self._heads([conversation]))[conversation]
        mine = [document for document in left if document["session_id"] == conversation]
        last = self._last(conversation, position_of(end)) if end else 0
        renumber(mine, max(head.floor, last, number) + 1)

    # --- heads, and what lies beside --------------------------------------------------------

    async def _switch(
        self,
        conversation: str,
        head: Head,
        new: Head,
        own: JSONObject | None = None,
        *,
        steps: Sequence[str] = (),
        empties: bool = True,
    ) -> bool:
        """The one write that moves a front: to this head, if `head` is still the one there; the
        same sets or forgets what is `own`, remembers steps, and forgets a deleted conversation's
        title and notes (`empties`)."""
        version = new_token()
        update = _change(own or {})
        update["$set"] = {**update.get("$set", {}), **new.stored(version)}
        if steps:
            update["$push"] = {"steps": {"$each": list(steps)}}
        if new.gone is not None and empties:
            update["$unset"] = {"title": "", "extra": "", "notes": ""}
        where = same_head(conversation, head)

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

    async def _describe(self, conversations: Sequence[Conversation]) -> None:
        values = {c.id: described(c) for c in conversations}
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
            await self._forget_no_notes(left)
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

    async def _forget_no_notes(self, values: Mapping[str, JSONObject]) -> None:
        """Where notes are to be set and what lies there is no object: they can be made anew."""
        ids = sorted(i for i, own in values.items() if any(key.startswith("notes.") for key in own))
        where = {"_id": {"$in": ids}, "notes": {"$exists": True, "$not": {"$type": "object"}}}
        forget = functools.partial(self._place.meta.update_many, where, {"$unset": {"notes": ""}})
        if ids:
            await self._place.ask(forget)

    async def _updated(self, updates: Sequence[UpdateOne]) -> bool:
        """Whether every one of them met what it expected."""
        try:
            result = await self._place.meta.bulk_write(updates, ordered=False)
        except BulkWriteError as error:
            if any(each.get("code") != DUPLICATE for each in error.details.get("writeErrors", [])):
                raise
            return False
        except KeyError as error:  # FerretDB: its answer lacks what the driver looks for
            raise PyMongoError("the server refused an update and does not say why") from error
        return result.matched_count + result.upserted_count >= len(updates)

    def _documents_of(self, part: Part, call: str, index: int) -> list[Document]:
        """A part's messages as documents that have no numbers yet."""
        session, encode = part.conversation.id, self._encode
        return [
            {"_id": f"{call}:{index + place}", "session_id": session, "n": 0, **encode(message)}
            for place, message in enumerate(part.messages)
        ]


def stored(part: Part) -> Part:
    """The part under the `session_id` of its conversation."""
    session = layout.session_of(part.conversation.id)
    if session == part.conversation.id:
        return part
    conversation = msgspec.structs.replace(part.conversation, id=session)
    return msgspec.structs.replace(part, conversation=conversation)


def renumber(documents: Sequence[Document], first: int) -> None:
    """Number them one after another, in place."""
    for number, document in enumerate(documents, first):
        document["n"] = number


def described(conversation: Conversation) -> JSONObject:
    """Title and extra as they are stored, those that are given; None forgets one."""
    own = {"title": conversation.title, "extra": conversation.extra}
    return {
        key: model.ascii_json(value) if value else None
        for key, value in own.items()
        if value is not None
    }


def same_head(conversation: str, head: Head) -> Document:
    """The filter for a conversation whose head is still this one."""
    version = head.version if head.version is not None else {"$exists": False}
    return {"_id": conversation, "version": version}


def _update(conversation: str, head: Head, values: JSONObject) -> UpdateOne:
    return UpdateOne(same_head(conversation, head), _change(values), upsert=head.version is None)


def _change(values: JSONObject) -> Document:
    """The update that sets these values; None forgets one."""
    change: Document = {}
    for key, value in values.items():
        change.setdefault("$unset" if value is None else "$set", {})[key] = value or ""
    return change
