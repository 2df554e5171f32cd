"""Reading a MongoDB store: pages by number, many conversations in a query, heads looked at again.

What is read stands between two looks at the heads of its conversations. Where a head has another
version after than before, somebody moved a front meanwhile, and it is read again: so a reader
sees the old front or the new one, never a part of each.
"""

import asyncio
import contextlib
import itertools
import math
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Sequence,
)
from typing import Any, Final, TypeVar

import bson

from synmem import messages as model
from synmem.backends.mongo.fields import fields_of, json_of
from synmem.backends.mongo.head import Head, head_of, steps_of
from synmem.backends.mongo.odd import (
    LAST,
    MOST,
    ONE_EACH,
    belongs,
    number,
    stray,
    strays,
    without_session,
)
from synmem.backends.mongo.opening import LENIENT, NUMBERED, Document, Documents, Place
from synmem.backends.paging import NOT_READ, Fetch, Paging, changed, not_read, storable
from synmem.errors import Changed, CorruptData, Rejected
from synmem.layouts.own import mongo_documents as layout
from synmem.layouts.own.beside import read_beside
from synmem.layouts.own.carried import plain_text
from synmem.messages import Damage, Holds, JSONObject, Message, Unreadable
from synmem.store import START, Page, Position, Step

IDS_A_QUERY: Final = 500
ROWS_A_PAGE: Final = 5
"""Of many conversations, so many pages of messages are asked for at once."""
KEYS_A_PAGE: Final = 20
"""And so many of nothing but numbers and times."""
LOOKS: Final = 50
"""So often what changes while it is read is read again."""
AT_ONCE: Final = 16

LARGEST: Final = 16 * 1024 * 1024 - 4096
"""Bytes of a message's document: the server's limit, less the id and our own keys."""

KEY: Final = {"session_id": 1, "n": 1}
_HEAD: Final = dict.fromkeys(sorted({*Head.__struct_fields__} - {"unreadable"}), 1)
ORDER: Final = [("session_id", 1), ("n", 1)]

T = TypeVar("T")
Heads = dict[str, Head]
Run = tuple[str, list[Document] | None]
"""A conversation and all its documents; None where they are more than a query's, or where its
head cannot be read."""


class MongoReader:
    """The reading half of a store in MongoDB."""

    holds = Holds(call_bytes=32_000_000, atomic_messages=0)

    def __init__(self, place: Place, *, page_size: int) -> None:
        self.name = place.name
        self._place = place
        self._remedy = f"mend the document of this _id in {place.meta.full_name}"
        self._page_size = page_size
        self._paging = Paging(
            page_size, IDS_A_QUERY, along=self._along, whole=self._whole, ends=self._end_pages
        )
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._has_lists = False
        """Whether a document was seen that many filters take, and that belongs to none."""

    def refusal(self, message: Message) -> str | None:
        """What no store can hold, and what is over the server's 16 MB a document."""
        return model.refusal(message) or self._too_large(message)

    def read(
        self,
        conversations: Sequence[str],
        *,
        after: Position = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Page]:
        """See `Store.read`."""
        return self._paging.read(sessions(conversations), after, reverse, limit)

    # --- one conversation -------------------------------------------------------------------

    def _along(self, conversation: str) -> Fetch:
        heads: Heads | None = None  # those after a page are those before the next

        async def fetch(anchor: Position, reverse: bool, size: int) -> Page | None:
            nonlocal heads
            if anchor == NOT_READ:
                if (await self._seen([conversation]))[conversation].unreadable is None:
                    raise self._changed(conversation)
                return None
            documents, heads = await self._settled(
                [conversation], self._page_of(conversation, anchor, reverse, size), heads
            )
            head = heads[conversation]
            if head.unreadable is not None and anchor == START:
                return self._not_read(conversation, head) if documents else None
            if anchor != START:
                if not documents or position_of(documents[0]) != anchor:
                    raise self._changed(conversation)
                documents = documents[1:]
            return self._as_page(documents) if documents else None

        return fetch

    def _page_of(
        self, conversation: str, anchor: Position, reverse: bool, size: int
    ) -> Callable[[Heads], Coroutine[Any, Any, list[Document]]]:
        """How to look for the next page; the anchor comes with it, to see that it is there."""
        number = None if anchor == START else number_of(anchor)
        many = size if number is None else size + 1

        async def look(heads: Heads) -> list[Document]:
            head = heads[conversation]
            if head.unreadable is not None:
                return await self._any_of(conversation) if anchor == START else []
            where = head.where(last=number) if reverse else head.where(first=number)
            return await self._find(
                {"session_id": conversation, **where}, [("n", -1 if reverse else 1)], many
            )

        return look

    # --- many conversations -----------------------------------------------------------------

    async def _whole(self, ids: Sequence[str]) -> AsyncGenerator[Page, None]:
        """Whole conversations, many in a query."""
        async for conversation, documents in self._runs(ids, None):
            if documents is None:
                async for page in self._paging.one(conversation):
                    yield page
                continue
            for start in range(0, len(documents), self._page_size):
                yield self._as_page(documents[start : start + self._page_size])

    async def _runs(self, ids: Sequence[str], fields: dict[str, int] | None) -> AsyncIterator[Run]:
        """The documents of these sessions, which are sorted; of those that exist.

        Ids that lie close together in the store, as those of a listing's page do, are asked for
        as a range, which no server has to look up one by one.
        """
        left, width, dense = list(ids), IDS_A_QUERY, True
        size = self._page_size * (ROWS_A_PAGE if fields is None else KEYS_A_PAGE)
        while left:
            chunk = left[:width]
            ranged = dense and len(chunk) > 1 and _sort_alike(chunk)
            look = self._rows_of(chunk, fields, size, ranged=ranged)
            rows, heads = await self._settled(chunk, look)
            wanted = set(chunk)
            if ranged and 2 * sum(row["session_id"] in wanted for row, _ in rows) < len(rows):
                dense = False
                continue
            shown = [row for row, is_shown in rows if is_shown]
            runs: list[Run] = [
                (i, list(group)) for i, group in itertools.groupby(shown, session_of)
            ]
            left = left[width:]
            if len(rows) == size:
                # The last one may go on: it is asked for again, with those that follow.
                last = rows[-1][0]["session_id"]
                runs = [run for run in runs if run[0] != last] or [(last, None)]
                again = _not_yet(chunk, runs, last)
                left = again + left
                width = max(8, min(IDS_A_QUERY, 2 * (len(chunk) - len(again))))
            for conversation, documents in runs:
                if conversation in wanted:
                    read = heads[conversation].unreadable is None
                    yield conversation, documents if read else None

    def _rows_of(
        self, ids: Sequence[str], fields: dict[str, int] | None, size: int, *, ranged: bool
    ) -> Callable[[Heads], Coroutine[Any, Any, list[tuple[Document, bool]]]]:
        """How to look for the documents of these ids; with each, whether it is to be seen."""
        among = {"$gte": ids[0], "$lte": ids[-1]} if ranged else {"$in": list(ids)}

        async def look(heads: Heads) -> list[tuple[Document, bool]]:
            rows = await self._find({"session_id": among, **NUMBERED}, ORDER, size, fields)
            return [(row, _is_seen(row, heads)) for row in rows]

        return look

    async def _end_pages(self, ids: Sequence[str], reverse: bool, each: int) -> list[Page]:
        """The first or last few of many conversations, several at a time."""
        looks = [self._page_of(conversation, START, reverse, each) for conversation in ids]
        found, heads = await self._settled(ids, self._all(looks))
        return [
            self._as_page(documents)
            if heads[conversation].unreadable is None
            else self._not_read(conversation, heads[conversation])
            for conversation, documents in zip(ids, found, strict=True)
            if documents
        ]

    # --- which are there ---------------------------------------------------------------------

    async def _existing(self, ids: Sequence[str], *, known: bool = False) -> set[str]:
        """Which of these conversations, which are sorted, exist; `known` to have documents."""
        if not ids:
            return set()
        there = set(ids)
        if not known:
            among: Document = {"session_id": {"$gte": ids[0], "$lte": ids[-1]}, **NUMBERED}
            if _sort_alike(ids) and not await self._find(among, None, 1, KEY):
                return set()  # the common case of a copy: one step of the index
            there = await self._there(ids)
        heads = await self._seen(sorted(there))
        # One whose head cannot be read is there: nothing may be begun in its place.
        doubted = {i for i in there if heads[i].version is not None and heads[i].unreadable is None}
        return there - doubted | set(await self._ends(sorted(doubted)))

    async def _there(self, ids: Sequence[str]) -> set[str]:
        """Which of these have documents, whether or not they are shown."""
        if len(ids) <= AT_ONCE:
            found = await asyncio.gather(*map(self._any_of, ids))
            return {conversation for conversation, any_ in zip(ids, found, strict=True) if any_}
        among: Document = {"session_id": {"$in": list(ids)}, **NUMBERED, **ONE_EACH}
        return set(await self._place.ask(lambda: self._messages.distinct("session_id", among)))

    async def _ends(self, ids: Sequence[str]) -> dict[str, Document]:
        """The last document of each of these conversations, those that exist."""
        found: dict[str, Document] = {}
        for start in range(0, len(ids), IDS_A_QUERY):
            chunk = ids[start : start + IDS_A_QUERY]
            looks = [self._end_of(conversation) for conversation in chunk]
            ends, heads = await self._settled(chunk, self._all(looks))
            self._check_readable(heads)
            found.update((i, end[0]) for i, end in zip(chunk, ends, strict=True) if end)
        return found

    def _end_of(self, conversation: str) -> Callable[[Heads], Coroutine[Any, Any, list[Document]]]:
        async def look(heads: Heads) -> list[Document]:
            where = {"session_id": conversation, **heads[conversation].where()}
            return await self._find(where, [("n", -1)], 1, KEY)

        return look

    # --- the steps --------------------------------------------------------------------------

    @property
    def _messages(self) -> Documents:
        return self._place.messages

    async def _settled(
        self,
        ids: Sequence[str],
        look: Callable[[Heads], Awaitable[T]],
        heads: Heads | None = None,
    ) -> tuple[T, Heads]:
        """What `look` finds while the heads of these conversations stay as they are, and these."""
        heads = heads if heads is not None else await self._seen(ids)
        for _ in range(LOOKS):
            found = await look(heads)
            before, heads = heads, await self._seen(ids)
            if all(heads[i].version == before[i].version for i in ids):
                return found, heads
        raise self._changed(ids[0])

    def _all(
        self, looks: Sequence[Callable[[Heads], Coroutine[Any, Any, T]]]
    ) -> Callable[[Heads], Coroutine[Any, Any, list[T]]]:
        """Several looks as one, some of them at the same time."""

        async def one(look: Callable[[Heads], Coroutine[Any, Any, T]], heads: Heads) -> T:
            async with self._turns:
                return await look(heads)

        async def every(heads: Heads) -> list[T]:
            return await asyncio.gather(*(one(look, heads) for look in looks))

        return every

    async def _heads(self, ids: Sequence[str]) -> Heads:
        """The head of each of these conversations, of those without one too; CorruptData where
        one cannot be read: for who writes."""
        heads = await self._seen(ids)
        self._check_readable(heads)
        return heads

    def _check_readable(self, heads: Heads) -> None:
        for conversation, head in heads.items():
            if head.unreadable is not None:
                raise self._broken(conversation, head.unreadable)

    async def _seen(self, ids: Sequence[str]) -> Heads:
        """The same, also those that cannot be read."""
        found = await self._documents(ids, _HEAD)
        return {conversation: head_of(found.get(conversation)) for conversation in ids}

    async def _any_of(self, conversation: str) -> list[Document]:
        """One of a conversation's documents, hidden or not, if there is any."""
        return await self._find({"session_id": conversation, **NUMBERED}, None, 1, KEY)

    async def _documents(self, ids: Sequence[str], fields: dict[str, int]) -> dict[str, Document]:
        """What lies beside these conversations."""
        found: dict[str, Document] = {}
        for start in range(0, len(ids), IDS_A_QUERY):
            chunk = list(ids[start : start + IDS_A_QUERY])
            where = {"_id": chunk[0] if len(chunk) == 1 else {"$in": chunk}}
            rows = await self._found(self._place.meta, where, fields)
            found.update((row["_id"], row) for row in rows)
        return found

    async def _find(
        self,
        where: Document,
        order: Sequence[tuple[str, int]] | None,
        limit: int,
        fields: dict[str, int] | None = None,
        skip: int = 0,
    ) -> list[Document]:
        """Documents that belong to a conversation. The first one seen that does not, a list of ids
        say, which a filter for one of them takes, makes the filters stricter: the common store
        has none, and is not to pay for them."""
        others: list[Any] = []
        while True:
            only = self._only(where)
            if others:
                only = {"$and": [only, {"_id": {"$nin": others}}]}
            found = await self._found(
                self._messages, only, fields, sort=order, limit=limit, skip=skip, batch_size=limit
            )
            if all(map(belongs, found)):
                return found
            if not self._has_lists:
                self._has_lists = True
            elif len(found) == limit and all("_id" in document for document in found):
                others += [document["_id"] for document in found if not belongs(document)]
            else:
                return [document for document in found if belongs(document)]

    def _only(self, where: Document) -> Document:
        """The filter, stricter where it has to be."""
        return {**where, **ONE_EACH} if self._has_lists else where

    async def strays(self) -> list[Damage]:
        """See `SupportsStrays.strays`: documents whose session_id is no text."""
        return await without_session(self._place)

    async def damage(self) -> list[Damage]:
        """Documents that belong to no conversation: their session_id is no text, their n is no
        number, or one that is below the first message."""
        return (await strays(self._place) + await self._below())[:MOST]

    async def _below(self) -> list[Damage]:
        """Documents below all that a conversation has, or its head has set aside."""
        found: list[Damage] = []
        last, rows = "", self._page_size * KEYS_A_PAGE
        while len(found) < MOST:
            where = {"session_id": {"$gt": last}, "n": {"$gte": -(2**63), "$lt": 1}}
            some = await self._find(where, ORDER, rows, KEY)
            sessions_ = sorted({document["session_id"] for document in some})
            heads = await self._seen(sessions_)
            found += [
                stray(document, f"its n is {document['n']}: its conversation begins later")
                for document in some
                if document["n"] < heads[document["session_id"]].low
            ]
            if len(some) < rows:
                break
            last = sessions_[-1]
        return found

    async def _found(
        self, documents: Documents, where: Document, fields: dict[str, int] | None, **how: Any
    ) -> list[Document]:
        try:
            return await self._place.ask(lambda: documents.find(where, fields, **how).to_list())
        except CorruptData:
            # Text that is not UTF-8: the bytes come as lone surrogates, and are found below.
            lenient = documents.with_options(LENIENT)
            return await self._place.ask(lambda: lenient.find(where, fields, **how).to_list())

    def _as_page(self, documents: Sequence[Document]) -> Page:
        items: list[Message | Unreadable]
        try:
            if not all(_is_whole(document["n"]) for document in documents):
                raise ValueError("one has a number that is not whole")
            items = [*layout.decode_all(documents, json_of)]
        except (ValueError, TypeError):
            items = [_decoded(document) for document in documents]
        return Page(
            layout.conversation_of(documents[0]["session_id"]),
            items,
            lambda i: position_of(documents[i]),
        )

    def _not_read(self, conversation: str, head: Head) -> Page:
        """All there is to see of a conversation whose head cannot be read."""
        return not_read(layout.conversation_of(conversation), self._reason(head))

    def _reason(self, head: Head) -> str:
        return f"{head.unreadable} ({self._remedy})"

    async def steps_done(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.steps_done`."""
        found = await self._documents(sessions([step.conversation for step in steps]), {"steps": 1})
        known = {i: steps_of(document) for i, document in found.items()}
        return {s for s in steps if s.token in known.get(layout.session_of(s.conversation), ())}

    def _encode(self, message: Message) -> Document:
        """The keys and values that hold a message here."""
        return layout.encode(message, self._fields_of)

    def _fields_of(self, others: JSONObject) -> JSONObject:
        return fields_of(others, everywhere=not self._place.is_mongodb)

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

    def _last(self, conversation: str, position: Position) -> int:
        """The whole number at or below a position's; CorruptData where none can be put behind it:
        for who writes."""
        at = number_of(position)
        if not -(2**63) <= at <= LAST:
            raise self._broken(
                conversation, f"n is {at} in its last document, and nothing can be put behind it"
            )
        return math.floor(at)

    def _note(self, conversation: str, field: str, text: Any) -> Any:
        """A note, from its JSON text."""
        try:
            return read_beside(field, raw(text))
        except ValueError as error:
            raise self._broken(conversation, str(error)) from error

    def _broken(self, conversation: str, why: str) -> CorruptData:
        name = layout.conversation_of(conversation)
        return CorruptData(
            f"{self.name}: conversation {name!r}: {why}", hint=self._remedy, conversation=name
        )

    def _changed(self, conversation: str) -> Changed:
        return changed(layout.conversation_of(conversation), self.name)

    async def close(self) -> None:
        """See `Store.close`."""
        await self._place.close()


def sessions(ids: Sequence[str]) -> list[str]:
    """The `session_id` of each, in order: without those that can be in no store."""
    return sorted({layout.session_of(i) for i in storable(ids)})


def position_of(document: Document) -> Position:
    """Where a document stands: its number, and its id, which no other document ever has."""
    at = number(document["n"])
    whole = int(at) if at is not None and _is_whole(at) and abs(at) < 2**63 else at
    return f"{whole}:{document['_id']}"


def number_of(position: Position) -> float:
    """The number in a position, an `int` where it is whole; ValueError where no position of ours
    looks like that."""
    text = position.partition(":")[0]
    try:
        with contextlib.suppress(ValueError):
            if -(2**63) <= (number := int(text)) < 2**63:
                return number
            raise OverflowError
        return float(text)
    except (ValueError, OverflowError):
        raise ValueError(f"not a position of a MongoDB store: {position!r}") from None


def check(reasons: Iterable[tuple[str, int, str]]) -> None:
    """Rejected, where there is any reason."""
    if found := list(reasons):
        raise Rejected(found)


def _sort_alike(ids: Sequence[str]) -> bool:
    """Whether every server has these ids in our order: some go by UTF-16."""
    return all(i.isascii() or max(i) < "\ud800" for i in ids)


def _not_yet(chunk: Sequence[str], runs: Sequence[Run], last: str) -> list[str]:
    """What of a chunk is still to come where a query ended within conversation `last`."""
    done = {conversation for conversation, _ in runs}
    ordered = _sort_alike(chunk)
    return [i for i in chunk if i not in done and (i >= last or not ordered)]


def session_of(document: Document) -> str:
    return str(document["session_id"])


def _is_seen(document: Document, heads: Heads) -> bool:
    head = heads.get(document["session_id"])
    if head is None or head.unreadable is not None:
        return head is not None
    at = number(document["n"])
    return at is not None and head.shows(at)


def _is_whole(number: Any) -> bool:
    return isinstance(number, int) or (isinstance(number, float) and number.is_integer())


def raw(text: Any) -> Any:
    """The bytes of a text, also of one that is not UTF-8."""
    return text.encode("utf-8", "surrogateescape") if type(text) is str else text


def _decoded(document: Document) -> Message | Unreadable:
    try:
        if not _is_whole(document["n"]):
            raise ValueError(f"n is {document['n']}, not an integer")
        for field, value in document.items():
            if type(value) is str and not value.isascii() and not plain_text(value):
                raise ValueError(f"{field} is not UTF-8")
        return layout.decode(document, json_of)
    except ValueError as error:
        return Unreadable(position_of(document), f"document {document['_id']}: {error}")
