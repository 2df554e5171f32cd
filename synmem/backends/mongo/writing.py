"""Writing messages to MongoDB: as documents, numbered and inserted, whatever breaks or comes
between."""

import asyncio
import functools
import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import bson
import msgspec
from pymongo.errors import BulkWriteError

from synmem import messages as model
from synmem.backends.mongo.beside import Beside
from synmem.backends.mongo.fields import fields_of
from synmem.backends.mongo.head import Head
from synmem.backends.mongo.heads import LOOKS, Heads
from synmem.backends.mongo.keys import IDS_A_QUERY, KEY, belongs, position_of
from synmem.backends.mongo.opening import Place, new_token
from synmem.backends.mongo.server import DUPLICATE, IN_ORDER, Document
from synmem.errors import Rejected
from synmem.layouts.own import mongo_documents as layout
from synmem.messages import Conversation, JSONObject, Message, chunks
from synmem.store import START, Part, Position

ATTEMPTS: Final = 500
"""So often messages are given new numbers where others write to the same conversation."""

LARGEST: Final = 16 * 1024 * 1024 - 4096
"""Bytes of a message's document: the server's limit, less the id and our own keys."""

Written = tuple[Part, list[Document]]
"""A part, and its messages as documents: at least one."""


class Writer:
    """Messages put behind the end of their conversations, or at numbers of their own."""

    def __init__(self, place: Place, heads: Heads, beside: Beside) -> None:
        self._place = place
        self._heads = heads
        self._beside = beside

    def refusal(self, message: Message) -> str | None:
        """What no store can hold, and what is over the server's 16 MB a document."""
        return model.refusal(message) or self._too_large(message)

    def _too_large(self, message: Message) -> str | None:
        if model.plain(message):
            return None
        texts = len(message.content) + len(message.role) + len(message.name or "")
        structured = message.metadata or message.tool_calls or message.parts or message.extra
        if structured is None and 6 * texts < LARGEST:
            return None
        size = len(bson.encode(self._encode(message)))
        if size <= LARGEST:
            return None
        return f"takes {size:,} bytes as a document; MongoDB holds {LARGEST:,}"

    def check(
        self, parts: Iterable[tuple[Conversation, Sequence[Message]]], *, before: int = 0
    ) -> None:
        """Rejected, where any of these cannot be held; `before` stand so many others."""
        if found := list(model.refusals(parts, self.refusal)):
            raise Rejected([(name, before + index, why) for name, index, why in found])

    # --- one call of append -----------------------------------------------------------------

    async def append(self, parts: Sequence[Part]) -> list[Position]:
        """See `Store.append`: put behind the ends that were seen, described, and not trimmed."""
        parts = [
            msgspec.structs.replace(part, conversation=stored(part.conversation)) for part in parts
        ]
        ends = await self._checked(parts)
        ids = new_ids()
        documents = [self.documents_of(part, ids) for part in parts]
        written = [each for each in zip(parts, documents, strict=True) if each[1]]
        await self._number(written, ends)
        await self.insert(written)
        await self._uncover(written)
        ends.update((part.conversation.id, position_of(mine[-1])) for part, mine in written)
        await self._beside.describe([p.conversation for p in parts if p.conversation.id in ends])
        return [ends.get(part.conversation.id, START) for part in parts]

    async def _checked(self, parts: Sequence[Part]) -> dict[str, Position]:
        """Where the conversations of these parts end, where that is not START; Changed where it
        is not what is expected."""
        new = sorted({p.conversation.id for p in parts if p.expect == START})
        for conversation in await self._heads.existing(new):
            raise self._place.changed(conversation)
        old = sorted({p.conversation.id for p in parts} - set(new))
        ends = await self._heads.ends(old)
        for part in parts:
            if part.expect not in (None, ends.get(part.conversation.id, START)):
                raise self._place.changed(part.conversation.id)
        return ends

    async def _number(self, written: Sequence[Written], ends: Mapping[str, Position]) -> None:
        """Give every document its number, behind the end that was seen."""
        heads = await self._heads.sound(sorted(part.conversation.id for part, _ in written))
        for part, mine in written:
            conversation = part.conversation.id
            await self._renumber(mine, heads[conversation], ends.get(conversation, START))

    async def _renumber(self, mine: list[Document], head: Head, end: Position) -> None:
        """Number them behind this end; a deleted conversation's head becomes one that stays."""
        conversation = mine[0]["session_id"]
        if end == START and head.version is not None:
            head = await self._revive(conversation, head)
        renumber(mine, self._heads.behind(conversation, head, end))

    async def _revive(self, conversation: str, head: Head) -> Head:
        """Make the head of a deleted conversation one that is not swept away, unless somebody
        begins it anew meanwhile."""
        for _ in range(LOOKS):
            if head.version is None:
                return head
            revived = msgspec.structs.replace(head, gone=None)
            if await self._heads.switch(conversation, head, revived):
                return revived
            head = await self._heads.of(conversation)
            if await self._heads.ends([conversation]):
                return head
        raise self._place.changed(conversation)

    async def _uncover(self, written: Sequence[Written]) -> None:
        """Where somebody wrote and deleted between our look and our write, our numbers were free
        again, but hidden: what has them goes behind the end."""
        for _ in range(LOOKS):
            heads = await self._heads.sound(sorted(part.conversation.id for part, _ in written))
            written = [
                (part, mine)
                for part, mine in written
                if not heads[part.conversation.id].shows(mine[0]["n"])
            ]
            if not written:
                return
            for part, mine in written:
                await self._put_behind(part, mine, heads[part.conversation.id])
        raise self._place.changed(written[0][0].conversation.id)

    async def _put_behind(self, part: Part, mine: list[Document], head: Head) -> None:
        conversation = part.conversation.id
        for some in chunks(mine, IDS_A_QUERY):
            where = {"_id": {"$in": [document["_id"] for document in some]}}
            await self._place.ask(functools.partial(self._place.messages.delete_many, where))
        if part.expect is not None:
            raise self._place.changed(conversation)
        ends = await self._heads.ends([conversation])
        await self._renumber(mine, head, ends.get(conversation, START))
        await self.insert([(part, mine)])

    # --- documents --------------------------------------------------------------------------

    def documents_of(self, part: Part, ids: Iterator[str]) -> list[Document]:
        """A part's messages as documents of these ids, that have no numbers yet."""
        session, encode = part.conversation.id, self._encode
        return [
            {"_id": id_, "session_id": session, "n": 0, **encode(message)}
            for message, id_ in zip(part.messages, ids, strict=False)
        ]

    def _encode(self, message: Message) -> Document:
        return layout.encode(message, self._fields_of)

    def _fields_of(self, others: JSONObject) -> JSONObject:
        return fields_of(others, everywhere=not self._place.is_mongodb)

    async def insert(self, written: Sequence[Written]) -> None:
        """Write all documents in order, whatever breaks or comes between."""
        part_of = {part.conversation.id: part for part, _ in written}
        left = [document for _, mine in written for document in mine]
        for attempt in range(ATTEMPTS):
            if not left or await self._place.ask(functools.partial(self._tried, left)):
                return
            # Whoever else writes here should get on: the two take turns.
            await asyncio.sleep(random.uniform(0, 0.002) * min(attempt, 20))
            left = await self._missing(left)
            if left:
                await self._behind_others(part_of[left[0]["session_id"]], left)
        raise self._place.changed(left[0]["session_id"])

    async def _tried(self, documents: Sequence[Document]) -> bool:
        """Insert them up to the first whose id or number is there already."""
        most = len(documents) if self._place.is_mongodb else IN_ORDER
        for some in chunks(documents, most):
            try:
                await self._place.messages.insert_many(some, ordered=True)
            except BulkWriteError as error:
                wrong = error.details.get("writeErrors", [])
                if not wrong or any(each.get("code") != DUPLICATE for each in wrong):
                    raise
                return False
        return True

    async def _missing(self, documents: Sequence[Document]) -> list[Document]:
        """Those that are not there: how many a failed insert wrote, no server need be believed."""
        there: set[Any] = set()
        for some in chunks(documents, IDS_A_QUERY):
            ids = [document["_id"] for document in some]
            found = await self._place.find({"_id": {"$in": ids}}, None, len(ids), {"_id": 1})
            there.update(document["_id"] for document in found)
            if len(found) < len(ids):
                break
        return [document for document in documents if document["_id"] not in there]

    async def _behind_others(self, part: Part, left: Sequence[Document]) -> None:
        """Give what is left of this part new numbers, if somebody else has taken its next one."""
        conversation, number = part.conversation.id, left[0]["n"]
        taken = {"session_id": conversation, "n": number}
        by = await self._place.found(self._place.messages, taken, KEY, limit=1)
        if not by:
            return
        # A list that holds this id or number stands in the way, and is no message.
        if part.expect is not None and belongs(by[0]):
            raise self._place.changed(conversation)
        end = (await self._heads.ends([conversation])).get(conversation, START)
        head = await self._heads.of(conversation)
        mine = [document for document in left if document["session_id"] == conversation]
        renumber(mine, max(self._heads.behind(conversation, head, end), number + 1))


def new_ids() -> Iterator[str]:
    """The ids of all documents that one call writes, in their order."""
    call = new_token()
    return (f"{call}:{index}" for index in itertools.count())


def stored(conversation: Conversation) -> Conversation:
    """The conversation under its `session_id`."""
    return msgspec.structs.replace(conversation, id=layout.session_of(conversation.id))


def renumber(documents: Sequence[Document], first: int) -> None:
    """Number them one after another, in place."""
    for number, document in enumerate(documents, first):
        document["n"] = number
