"""Writing to a collection of another framework as the framework does: see `foreign.py`."""

import asyncio
import random
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from functools import partial
from typing import Final

import bson
from bson.objectid import ObjectId
from pymongo.errors import BulkWriteError

from synmem import messages as model
from synmem.backends.mongo.foreign_documents import (
    ForeignDocuments,
    Row,
    hash_of,
    position_at,
    spot_at,
)
from synmem.backends.mongo.foreign_ids import first_id, id_behind
from synmem.backends.mongo.foreign_reading import AT_ONCE
from synmem.backends.mongo.foreign_trial import INVALID, conditions, said_of, unique_indexes
from synmem.backends.mongo.server import DUPLICATE, IN_ORDER, Document
from synmem.backends.mongo.writing import LARGEST
from synmem.backends.paging import opened_for_reading, storable
from synmem.errors import CorruptData, Rejected, Unsupported
from synmem.messages import Conversation, Message, chunks
from synmem.store import START, Part, Position

_ATTEMPTS: Final = 500
"""So often documents are given new ids where others write to the same conversation."""

_IDS_A_DELETE: Final = 10_000


class ForeignWriter:
    """Appends, deletes and replaces, in as few commands as there can be."""

    def __init__(self, documents: ForeignDocuments, *, write: bool, page_size: int) -> None:
        self._documents = documents
        self._server = documents.server
        self._shape = documents.shape
        self._opened = write
        self._page_size = page_size
        self._made = documents.fit.made
        self._making = asyncio.Lock()
        self._turns = asyncio.Semaphore(AT_ONCE)

    def refusal(self, message: Message) -> str | None:
        """Why the framework's own reader would not read the message, or the server not hold it."""
        fold, refusal = self._shape.fold, self._shape.refusal
        if fold is None or refusal is None:
            return f"what {self._documents.fit.layout} stores can be read, not written"
        if (why := refusal(message)) or model.plain(message):
            return why
        size = len(bson.encode(fold("", message)))
        if size <= LARGEST:
            return None
        return f"takes {size:,} bytes as a document; MongoDB holds {LARGEST:,}"

    async def append(
        self, parts: Sequence[Part], keep: int | None, token: str | None
    ) -> list[Position]:
        """See `Store.append`."""
        self._check_written(token)
        reasons = model.refusals([(p.conversation, p.messages) for p in parts], self.refusal)
        if reasons := reasons + await self._id_refusals([p.conversation.id for p in parts]):
            raise Rejected(reasons)
        await self._make()
        ids = [part.conversation.id for part in parts]
        ends = await self._ends(ids)
        for part in parts:
            if part.expect not in (None, _position(ends.get(part.conversation.id))):
                raise self._documents.changed(part.conversation.id)
        written = {
            part.conversation.id: self._folded(part.conversation.id, part.messages)
            for part in parts
        }
        for name, mine in written.items():
            self._number(mine, ends.get(name))
        await self._insert(written, {p.conversation.id for p in parts if p.expect is not None})
        ends.update((name, self._documents.row(mine[-1])) for name, mine in written.items() if mine)
        if keep is not None:
            for name in ids:
                await self._trim(name, keep)
        return [START if keep == 0 else _position(ends.get(name)) for name in ids]

    async def delete(
        self,
        conversation: str,
        upto: Position | None,
        begins: Position | None,
        token: str | None,
    ) -> bool:
        """See `Store.delete`."""
        self._check_written(token)
        first = await self._end(conversation, order=1)
        if first is None:
            return False
        await self._check_begin(conversation, begins)
        at = None if upto is None else await self._row_at(conversation, upto)
        await self._cut(conversation, at)
        return True

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        upto: Position,
        begins: Position | None,
        token: str | None,
    ) -> None:
        """See `Store.replace`."""
        self._check_written(token)
        name = conversation.id
        front = await self._front(conversation, messages)
        await self._make()
        await self._check_begin(name, begins)
        at = None if upto == START else await self._row_at(name, upto)
        end = await self._end(name)
        if not front:
            if at is not None:
                await self._cut(name, at)
            return
        old = [row.keys[-1] async for rows in self._rows(name, None, end) for row in rows]
        written = await self._write_anew(name, front, at, end)
        if not await self._claimed(old):
            await self._take_back(written)
            raise self._documents.changed(name)
        for some in chunks(old, _IDS_A_DELETE):
            await self._delete({"_id": {"$in": some}})

    async def refuses_back(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsTrial.refuses_back`."""
        self._check_written(None)
        found: dict[str, str] = {}
        known, layout = self._shape.fields | {"_id"}, self._documents.fit.layout
        names = storable(conversations)
        if names and (somebodys := await conditions(self._documents)):
            why = f"its collection has {somebodys[0]}: it may not take all of it back"
            return dict.fromkeys(names, why)
        for name in names:
            async for rows in self._rows(name, None, await self._end(name)):
                if others := sorted({key for row in rows for key in row.document} - known):
                    why = f"its documents have fields that are not {layout}'s ({others[0]})"
                    found[name] = f"{why}: they would not come back"
                    break
        return found

    # --- what is there ----------------------------------------------------------------------

    async def _ends(self, ids: Sequence[str]) -> dict[str, Row]:
        """The last document of each of these conversations, those that exist."""
        there = {*ids}
        if len(ids) > AT_ONCE:
            where = await self._documents.of(ids)
            distinct = self._documents.collection.distinct
            found = await self._server.ask(lambda: distinct(self._documents.id, where))
            there &= {*found}

        async def end(name: str) -> Row | None:
            async with self._turns:
                return await self._end(name)

        rows = await asyncio.gather(*map(end, there))
        return {row.conversation: row for row in rows if row is not None}

    async def _end(self, conversation: str, *, order: int = -1, skip: int = 0) -> Row | None:
        """Its last document, or the one so many before that; or its first."""
        found = await self._server.found(
            self._documents.collection, await self._documents.of([conversation]), None,
            sort=[("_id", order)], skip=skip, limit=1,
        )  # fmt: skip
        return self._documents.row(found[0]) if found else None

    async def _rows(
        self, conversation: str, behind: Row | None, end: Row | None
    ) -> AsyncIterator[list[Row]]:
        """The documents behind one, or all, to the one that is the end now, in pages."""
        while end is not None and (behind is None or behind.keys != end.keys):
            where = await self._documents.of([conversation])
            where["$and"] = [self._documents.from_keys(end.keys, reverse=True)]
            if behind is not None:
                where["$and"].append(self._documents.from_keys(behind.keys))
            rows = await self._documents.rows(where, [("_id", 1)], self._page_size + 1)
            if behind is not None and (not rows or rows[0].keys != behind.keys):
                raise self._documents.changed(conversation)
            rows = rows[0 if behind is None else 1 :]
            if not rows:
                return
            yield rows
            behind = rows[-1]

    async def _row_at(self, conversation: str, position: Position) -> Row:
        """The document of a position; Changed where it is not there any more."""
        spot = spot_at(position)
        where = {**await self._documents.of([conversation]), "_id": {"$eq": spot.keys[-1]}}
        rows = await self._documents.rows(where, [("_id", 1)], 1)
        if not rows or hash_of(rows[0]) != spot.hash:
            raise self._documents.changed(conversation)
        return rows[0]

    async def _check_begin(self, conversation: str, begins: Position | None) -> None:
        """Changed, where its first message is not this one."""
        if begins is not None and begins != _position(await self._end(conversation, order=1)):
            raise self._documents.changed(conversation)

    # --- documents --------------------------------------------------------------------------

    def _folded(self, conversation: str, messages: Sequence[Message]) -> list[Document]:
        """Messages that are not refused as documents, whose ids are still to be given."""
        fold = self._shape.fold
        assert fold is not None
        return [{"_id": None, **fold(conversation, message)} for message in messages]

    async def _front(
        self, conversation: Conversation, messages: AsyncIterable[Sequence[Message]]
    ) -> list[Document]:
        """What a replace brings; Rejected where some of it cannot be held."""
        front: list[Document] = []
        async for page in messages:
            if reasons := model.refusals([(conversation, page)], self.refusal):
                raise Rejected([(i, len(front) + n, why) for i, n, why in reasons])
            front += self._folded(conversation.id, page)
        reasons = model.refusals([(conversation, ())], self.refusal)
        if reasons := reasons + await self._id_refusals([conversation.id]):
            raise Rejected(reasons)
        return front

    async def _id_refusals(self, ids: Sequence[str]) -> list[tuple[str, int, str]]:
        why = "the id holds NUL, which this server does not"
        return [(id_, 0, why) for id_ in ids if not await self._server.holds(id_)]

    def _number(self, mine: Sequence[Document], behind: Row | None) -> None:
        """Give documents of one conversation their ids, behind this one."""
        last = behind.keys[-1] if behind is not None else None
        for document in mine:
            name = document[self._documents.id]
            try:
                last = id_behind(name, last) if behind is not None else first_id(name)
            except ValueError as error:
                raise CorruptData(
                    f"{self._server.name}: conversation {name!r}: {error}", conversation=name
                ) from error
            document["_id"] = last
            behind = self._documents.row(document)

    async def _insert(self, written: dict[str, list[Document]], expected: set[str]) -> None:
        """Write all documents in order, whatever breaks or comes between. Changed where somebody
        else has the first place of a conversation of which an end is expected; Rejected, and then
        none stays, where the collection does not take one."""
        expecting = {*expected}
        documents = [document for mine in written.values() for document in mine]
        at = 0
        for attempt in range(_ATTEMPTS):
            count, why = await self._tried(documents[at:])
            expecting -= {document[self._documents.id] for document in documents[at:][:count]}
            at += count
            if at == len(documents):
                return
            name = documents[at][self._documents.id]
            left = [each for each in documents[at:] if each[self._documents.id] == name]
            if not why and name in expected - expecting and (there := await self._there(left)):
                at += there  # a copy that runs beside ours has gone on behind what it saw of it
                continue
            if not why:
                # Whoever else writes here should get on: the two take turns.
                await asyncio.sleep(random.uniform(0, 0.002) * min(attempt, 20))
                why = await self._behind_others(left, expects=name in expecting)
            if why:
                await self._take_back(documents[:at])
                raise Rejected([(name, len(written[name]) - len(left), why)])
        raise self._documents.changed(name)

    async def _behind_others(self, mine: Sequence[Document], *, expects: bool) -> str:
        """Give documents new ids where the first one's is taken; why the collection does not take
        it, where something else is."""
        name, id_ = mine[0][self._documents.id], mine[0]["_id"]
        by = await self._documents.rows({"_id": id_}, [("_id", 1)], 1)
        if not by and (why := await self._not_unique()):
            return why
        if by and by[0].conversation != name:
            self._number(mine, by[0])  # a chance in some trillions
        elif expects:
            raise self._documents.changed(name)
        else:
            self._number(mine, await self._end(name))
        return ""

    async def _not_unique(self) -> str:
        """Why the collection does not take a document whose `_id` is free, and another value of it
        is not; the server need not name the index. Empty where there is none: who had its `_id` has
        gone meanwhile."""
        names = ", ".join(await unique_indexes(self._documents))
        same = f"another document is the same in a unique index of its collection's ({names})"
        return self._not_taken(same) if names else ""

    def _not_taken(self, why: str) -> str:
        return f"{self._server.name} does not take it: {why}"

    async def _tried(self, documents: Sequence[Document]) -> tuple[int, str]:
        """Insert them up to the first that the server does not take; tell how many are there, and
        why it does not: empty where something of the next is taken."""
        tried = False

        async def step() -> tuple[int, str]:
            nonlocal tried
            there = await self._there(documents) if tried else 0  # the answer was lost
            tried = True
            for some in chunks(documents[there:], IN_ORDER):
                try:
                    await self._documents.collection.insert_many(some, ordered=True)
                except BulkWriteError as error:
                    wrong = error.details.get("writeErrors", [])
                    if not wrong or wrong[0].get("code") not in (DUPLICATE, INVALID):
                        raise
                    why = ""
                    if wrong[0]["code"] == INVALID:
                        why = self._not_taken(self._server.shown(said_of(wrong[0])))
                    return there + int(wrong[0]["index"]), why
                there += len(some)
            return there, ""

        return await self._server.ask(step) if documents else (0, "")

    async def _there(self, documents: Sequence[Document]) -> int:
        """How many of these are there, from the first one on."""
        count = 0
        for some in chunks(documents, self._page_size):
            where = {"_id": {"$in": [document["_id"] for document in some]}}
            found = await self._documents.collection.find(where).to_list()
            known = {each["_id"]: each for each in found}
            for document in some:
                if known.get(document["_id"]) != document:
                    return count
                count += 1
        return count

    async def _write_anew(
        self, name: str, front: Sequence[Document], at: Row | None, end: Row | None
    ) -> list[Document]:
        """Write the new front, and a copy of what stays, behind the end; with nothing written
        Changed, where somebody else takes a place between, or Rejected, where the collection does
        not take one."""
        written: list[Document] = []
        behind = end
        async for some in self._anew(name, front, at, end):
            self._number(some, behind)
            count, why = await self._tried(some)
            written += some[:count]
            if count < len(some):
                taken = await self._documents.rows({"_id": some[count]["_id"]}, [("_id", 1)], 1)
                why = why or ("" if taken else await self._not_unique())
                await self._take_back(written)
                if not why:
                    raise self._documents.changed(name)
                if len(written) >= len(front):
                    why = f"what stays of it would have to be written anew, and {why}"
                raise Rejected([(name, min(len(written), len(front) - 1), why)])
            behind = self._documents.row(some[-1])
        return written

    async def _anew(
        self, name: str, front: Sequence[Document], at: Row | None, end: Row | None
    ) -> AsyncIterator[list[Document]]:
        """All that is written anew, in pages. The last of the front and the first that stay go in
        one command: a server takes that as a whole, so who replaces the same conversation at once
        does not see, and copy, a part of what this may yet take back."""
        *whole, last = chunks(front, self._page_size)
        for some in whole:
            yield [*some]
        some = [*last]
        async for rows in self._rows(name, at, end):
            yield [*some, *({**row.document} for row in rows)]
            some = []
        if some:
            yield some

    async def _claimed(self, old: Sequence[ObjectId]) -> bool:
        """Whether what was replaced is there still, and this is who deletes its first document: of
        several who replace or clear one conversation at once, only one does."""
        collection, asked = self._documents.collection, 0
        for some in chunks(old, _IDS_A_DELETE):
            counted = partial(collection.count_documents, {"_id": {"$in": some}})
            if await self._server.ask(counted) < len(some):
                return False

        async def step() -> bool:
            nonlocal asked
            asked += 1
            result = await collection.delete_one({"_id": old[0]})
            # After a lost answer it may have been this one who deleted it: then what was written
            # in its place must stay.
            return result.deleted_count == 1 or asked > 1

        return not old or await self._server.ask(step)

    # --- removing ---------------------------------------------------------------------------

    async def _trim(self, conversation: str, keep: int) -> None:
        last = await self._end(conversation, skip=keep)
        if last is not None:
            await self._cut(conversation, last)

    async def _cut(self, conversation: str, at: Row | None) -> None:
        """Delete a conversation, or its front up to this document."""
        where = await self._documents.of([conversation])
        if at is not None:
            where["$and"] = [self._documents.from_keys(at.keys, reverse=True)]
        await self._delete(where)

    async def _take_back(self, documents: Sequence[Document]) -> None:
        for some in chunks([document["_id"] for document in documents], _IDS_A_DELETE):
            await self._delete({"_id": {"$in": some}})

    async def _delete(self, where: Document) -> None:
        await self._server.ask(lambda: self._documents.collection.delete_many(where))

    # --- before -----------------------------------------------------------------------------

    def _check_written(self, token: str | None) -> None:
        """Unsupported where nothing is written."""
        layout = self._documents.fit.layout
        if self._shape.fold is None:
            raise Unsupported(
                f"{self._server.name}: what {layout} stores can only be read",
                hint="copy it to another store with `synmem migrate`",
            )
        if token is not None:
            raise Unsupported(f"{self._server.name} is {layout}'s: it remembers no step of ours")
        if not self._opened:
            raise opened_for_reading(self._server.name)

    async def _make(self) -> None:
        """Make the framework's indexes where the collection is still to be made."""
        async with self._making:
            for field in () if self._made else self._shape.indexes:
                await self._server.ask(
                    lambda field=field: self._documents.collection.create_index(field)  # type: ignore[misc]
                )
            self._made = True


def _position(row: Row | None) -> Position:
    """Where a document stands; START for none."""
    return START if row is None else position_at(row)
