"""Listing the conversations of a MongoDB store: by the index, in the order of the ids' bytes."""

import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from synmem.backends.mongo.head import Head
from synmem.backends.mongo.opening import NUMBERED, Document
from synmem.backends.mongo.reading import (
    IDS_A_QUERY,
    KEY,
    KEYS_A_PAGE,
    ORDER,
    Heads,
    MongoReader,
    raw,
    session_of,
    sessions,
)
from synmem.layouts.own import mongo_documents as layout
from synmem.layouts.own.beside import read_all_beside
from synmem.store import ConversationInfo

_TIMES: Final = {**KEY, "created_at": 1, "created_us": 1}

Counted = tuple[int, Document, Document] | Head
"""How many messages, the first and the last; or the head that cannot be read."""


class MongoLister(MongoReader):
    """The listing part of a store in MongoDB."""

    async def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`; in the order of the ids' bytes."""
        if ids is None:
            async for page in self._listed():
                for start in range(0, len(page), self._page_size):
                    some = page[start : start + self._page_size]
                    if infos := await self._infos(some, details=details, known=True):
                        yield infos
            return
        wanted = sessions(ids)
        size = min(IDS_A_QUERY, self._page_size)
        for start in range(0, len(wanted), size):
            if infos := await self._infos(wanted[start : start + size], details=details):
                yield infos

    async def _listed(self) -> AsyncIterator[list[str]]:
        """Every conversation that has documents, in pages, by the index alone. Of a huge one only
        the first rows are looked at."""
        last, rows = "", self._page_size * KEYS_A_PAGE
        while True:
            found = await self._find(
                {"session_id": {"$gt": last}, **NUMBERED}, ORDER, rows, {**KEY, "_id": 0}
            )
            page = [session for session, _ in itertools.groupby(found, session_of)]
            # What is no text sorts in other places: it is no id.
            if page:
                last = page[-1]
                yield page
            if len(found) < rows:
                return

    async def _infos(
        self, ids: Sequence[str], *, details: bool, known: bool = False
    ) -> list[ConversationInfo]:
        if not details:
            there = await self._existing(ids, known=known)
            return [ConversationInfo(id=layout.conversation_of(i)) for i in ids if i in there]
        infos = []
        async for conversation, documents in self._runs(ids, _TIMES):
            counted: Counted | None = (
                await self._counted(conversation)
                if documents is None
                else (len(documents), documents[0], documents[-1])
            )
            if counted is not None:
                infos.append((conversation, counted))
        described = await self._documents([info[0] for info in infos], {"title": 1, "extra": 1})
        return [self._info(*info, described.get(info[0], {})) for info in infos]

    async def _counted(self, conversation: str) -> Counted | None:
        """How many messages a large conversation has, the first and the last."""

        async def look(heads: Heads) -> tuple[int, list[Document], list[Document]]:
            if heads[conversation].unreadable is not None:
                return 0, [], await self._any_of(conversation)
            where = self._only({"session_id": conversation, **heads[conversation].where()})
            count = await self._place.ask(lambda: self._messages.count_documents(where))
            first = await self._find(where, [("n", 1)], 1, _TIMES)
            return count, first, await self._find(where, [("n", -1)], 1, _TIMES)

        (count, first, last), heads = await self._settled([conversation], look)
        if last and heads[conversation].unreadable is not None:
            return heads[conversation]
        return (count, first[0], last[0]) if first and last else None

    def _info(self, conversation: str, counted: Counted, own: Document) -> ConversationInfo:
        beside = read_all_beside(raw(own.get("title")), raw(own.get("extra")), self._remedy)
        name = layout.conversation_of(conversation)
        if isinstance(counted, Head):
            return ConversationInfo(id=name, **{**beside, "unreadable": self._reason(counted)})
        count, first, last = counted
        return ConversationInfo(
            id=name, messages=count, first_at=_time(first), last_at=_time(last), **beside
        )


def _time(document: Document) -> Any:
    try:
        return layout.time_of(document)
    except ValueError:
        return None
