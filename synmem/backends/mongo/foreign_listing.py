"""Listing a collection of another framework: its conversations, and the documents that belong to
none."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from synmem.backends.mongo.foreign_documents import IDS_A_QUERY, ForeignDocuments, is_id, named
from synmem.backends.mongo.foreign_reading import ForeignReader
from synmem.backends.mongo.odd import MOST, NO_TEXT
from synmem.backends.mongo.server import LENIENT, Document
from synmem.backends.paging import Paging, storable
from synmem.errors import CorruptData
from synmem.layouts.own.mongo_documents import called
from synmem.messages import STRAY, Damage, Message, chunks
from synmem.store import START, ConversationInfo

_IDS_A_PAGE: Final = 20
"""So many pages of nothing but ids are asked for at once."""


class ForeignListing:
    """The conversations of a collection of another framework."""

    def __init__(
        self, documents: ForeignDocuments, reader: ForeignReader, paging: Paging, *, page_size: int
    ) -> None:
        self._documents = documents
        self._reader = reader
        self._paging = paging
        self._page_size = page_size

    async def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`; in the server's order."""
        async for names in self._ids() if ids is None else self._there(ids):
            for some in chunks(names, self._page_size):
                if infos := await self._infos(some, details):
                    yield infos

    async def _there(self, ids: Sequence[str]) -> AsyncIterator[list[str]]:
        """Those of these that have documents."""
        documents = self._documents
        for chunk in chunks(sorted(storable(ids)), IDS_A_QUERY):
            where = await documents.of(chunk)
            found = await documents.server.ask(
                lambda where=where: documents.collection.distinct(documents.id, where)  # type: ignore[misc]
            )
            yield sorted(found)

    async def _ids(self) -> AsyncIterator[list[str]]:
        """Every conversation that has documents, in pages: by so many ids of documents. Of a large
        one only the first are looked at."""
        documents, last = self._documents, ""
        size, fields = self._page_size * _IDS_A_PAGE, {documents.id: 1, "_id": 0}
        while True:
            found = await documents.server.found(
                documents.collection, {documents.id: {"$gt": last}}, fields,
                sort=[(documents.id, 1)], limit=size, batch_size=size,
            )  # fmt: skip
            # Lists of ids stand among them, and are none.
            some = [
                *dict.fromkeys(str(id_) for each in found if is_id(id_ := each.get(documents.id)))
            ]
            if some:
                last = some[-1]
                yield some
            if len(found) < size:
                return
            if not some:
                raise CorruptData(
                    f"{documents.server.name}: in {documents.fit.called} there are more than "
                    f"{size:,} documents of which the {documents.id} is not UTF-8"
                )

    async def _infos(self, names: Sequence[str], details: bool) -> list[ConversationInfo]:
        """These conversations as a listing tells them; one without messages is none."""
        if not details:
            return [ConversationInfo(id=name) for name in await self._saying(names)]
        counts = await self._counts(names)
        times: list[dict[str, Any]] = [{}, {}]
        if "created_at" in self._documents.shape.holds.fields:
            times = [await self._times([*counts], reverse=reverse) for reverse in (False, True)]
        first, last = times
        return [
            ConversationInfo(
                id=name, messages=counts[name], first_at=first.get(name), last_at=last.get(name)
            )
            for name in names
            if counts[name]
        ]

    async def _saying(self, names: Sequence[str]) -> list[str]:
        """Those of these that have messages."""
        if self._documents.shape.single:
            return [*names]
        return [page.conversation for page in await self._reader.ends(names, False, 1)]

    async def _counts(self, names: Sequence[str]) -> dict[str, int]:
        """How many messages each of these has."""
        documents, counts = self._documents, dict.fromkeys(names, 0)
        if not documents.shape.single:
            async for page in self._paging.read(names, START, False, None):
                counts[page.conversation] += len(page.items)
            return counts
        for chunk in chunks(names, IDS_A_QUERY):
            stages: list[Document] = [
                {"$match": await documents.of(chunk)},
                {"$group": {"_id": f"${documents.id}", "count": {"$sum": 1}}},
            ]
            found = await documents.server.ask(lambda stages=stages: self._grouped(stages))  # type: ignore[misc]
            counts |= {each["_id"]: each["count"] for each in found}
        return counts

    async def _grouped(self, stages: Sequence[Document]) -> list[Document]:
        return await (await self._documents.collection.aggregate(stages)).to_list()

    async def _times(self, names: Sequence[str], *, reverse: bool) -> dict[str, Any]:
        """When the first or last message of each was made."""
        return {
            page.conversation: said.created_at
            for some in chunks(names, IDS_A_QUERY)
            for page in await self._reader.ends(some, reverse, 1)
            if isinstance(said := page.items[0], Message)
        }

    async def strays(self) -> list[Damage]:
        """See `SupportsStrays.strays`: what has no id of a conversation, or no place in one."""
        documents = self._documents
        lenient = documents.collection.with_options(LENIENT)
        where: list[Document] = [{documents.id: {"$type": NO_TEXT}}]
        where += [{documents.id: None}, {documents.id: ""}]
        where += [{field: {"$type": "array"}} for field in documents.fields[:-1]]
        fields = dict.fromkeys((documents.id, *documents.fields), 1)
        found = await documents.server.ask(
            lambda: lenient.find({"$or": where}, fields, limit=MOST).to_list()
        )
        return [
            Damage(STRAY, f"document {named(documents.row(each))}", self._reason(each))
            for each in found
        ]

    def _reason(self, document: Document) -> str:
        id_ = document.get(self._documents.id)
        if is_id(id_):
            [field, *_] = [f for f in self._documents.fields if type(document.get(f)) is list]
            return f"its {field} is an array, which has no place in an order"
        return f"its {self._documents.id} is {'empty' if id_ == '' else called(id_)}"
