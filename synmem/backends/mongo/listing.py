"""Listing the conversations of a MongoDB store: by the index, in the order of the ids' bytes."""

import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from synmem.backends.mongo.beside import Beside
from synmem.backends.mongo.head import Head
from synmem.backends.mongo.heads import Glimpse, Heads
from synmem.backends.mongo.keys import IDS_A_QUERY, INDEX, KEY, NUMBERED, session_of, sessions
from synmem.backends.mongo.opening import Place
from synmem.backends.mongo.runs import KEYS_A_PAGE, Runs
from synmem.backends.mongo.server import Document
from synmem.layouts.own import mongo_documents as layout
from synmem.messages import chunks
from synmem.store import ConversationInfo

_TIMES: Final = {**KEY, "created_at": 1, "created_us": 1}

Counted = tuple[int, Document, Document] | Head
"""How many messages, the first and the last; or the head that cannot be read."""


class Listing:
    """Which conversations there are, and what is told of them."""

    def __init__(
        self, place: Place, heads: Heads, beside: Beside, runs: Runs, *, page_size: int
    ) -> None:
        self._place = place
        self._heads = heads
        self._beside = beside
        self._runs = runs
        self._page_size = page_size

    async def conversations(
        self, ids: Sequence[str] | None, *, details: bool
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`; in the order of the ids' bytes."""
        if ids is None:
            async for page in self._listed():
                for some in chunks(page, self._page_size):
                    if infos := await self._infos(some, details=details, known=True):
                        yield infos
            return
        for some in chunks(sessions(ids), min(IDS_A_QUERY, self._page_size)):
            if infos := await self._infos(some, details=details):
                yield infos

    async def _listed(self) -> AsyncIterator[list[str]]:
        """Every conversation that has documents, in pages, by the index alone. Of a huge one only
        the first rows are looked at."""
        last, rows = "", self._page_size * KEYS_A_PAGE
        while True:
            found = await self._place.find(
                {"session_id": {"$gt": last}, **NUMBERED}, INDEX, rows, {**KEY, "_id": 0}
            )
            # What is greater than a text is text: an id of another type is none, and not found.
            page = [session for session, _ in itertools.groupby(found, session_of)]
            if page:
                last = page[-1]
                yield page
            if len(found) < rows:
                return

    async def _infos(
        self, ids: Sequence[str], *, details: bool, known: bool = False
    ) -> list[ConversationInfo]:
        if not details:
            there = await self._heads.existing(ids, known=known)
            return [ConversationInfo(id=layout.conversation_of(i)) for i in ids if i in there]
        found: dict[str, Counted] = {}
        async for conversation, documents in self._runs.of(ids, _TIMES):
            if documents is not None:
                found[conversation] = len(documents), documents[0], documents[-1]
            elif (counted := await self._counted(conversation)) is not None:
                found[conversation] = counted
        descriptions = await self._beside.descriptions(list(found))
        return [self._info(i, found[i], descriptions.get(i, {})) for i in found]

    async def _counted(self, conversation: str) -> Counted | None:
        """How many messages a large conversation has, the first and the last."""
        glimpse = Glimpse(self._heads, [conversation])

        async def read() -> tuple[int, list[Document], list[Document]]:
            head = glimpse[conversation]
            if head.unreadable is not None:
                return 0, [], await self._place.any_of(conversation)
            where = self._place.only({"session_id": conversation, **head.where()})
            count = await self._place.ask(lambda: self._place.messages.count_documents(where))
            first = await self._place.find(where, [("n", 1)], 1, _TIMES)
            return count, first, await self._place.find(where, [("n", -1)], 1, _TIMES)

        count, first, last = await glimpse.under(read)
        if last and glimpse[conversation].unreadable is not None:
            return glimpse[conversation]
        return (count, first[0], last[0]) if first and last else None

    def _info(
        self, conversation: str, counted: Counted, description: dict[str, Any]
    ) -> ConversationInfo:
        name = layout.conversation_of(conversation)
        if isinstance(counted, Head):
            why = self._place.with_remedy(counted.unreadable)
            return ConversationInfo(id=name, **{**description, "unreadable": why})
        count, first, last = counted
        return ConversationInfo(
            id=name, messages=count, first_at=_time(first), last_at=_time(last), **description
        )


def _time(document: Document) -> Any:
    try:
        return layout.time_of(document)
    except ValueError:
        return None
