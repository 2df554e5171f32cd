"""Conversations of another framework that are a document each, or lie in several collections: the
`Gathered` of `layouts/shapes.py`, for all layouts."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from bson.objectid import ObjectId

from synmem.backends.mongo.finding import Fit
from synmem.backends.mongo.foreign_values import as_json
from synmem.backends.mongo.odd import MOST, NO_TEXT
from synmem.backends.mongo.server import LENIENT, OPTIONS, Document, Documents, Server
from synmem.backends.telling import MOST_STRAYS, stray, told_by
from synmem.errors import CorruptData
from synmem.layouts.own.mongo_documents import called
from synmem.layouts.shapes import Gathered, Told
from synmem.messages import STRAY, Damage, chunks, encodable

_HEX_DIGITS: Final = 24
_IDS_A_QUERY: Final = 1000


class Gathering:
    """The `Source` of a whole store: a collection with a document for each conversation, and those
    beside it."""

    def __init__(self, server: Server, fit: Fit, *, page_size: int) -> None:
        assert isinstance(fit.shape, Gathered)
        self.name = server.name
        self._server = server
        self._fit = fit
        self._shape = fit.shape
        self._page_size = page_size

    def _collection(self, name: str) -> Documents:
        return self._server.client[self._fit.database].get_collection(name, OPTIONS)

    async def ids(self) -> AsyncIterator[list[str]]:
        """See `Source.ids`: first those that are text, then those that are ObjectIds."""
        for low in ("", ObjectId(b"\0" * 12)):
            async for page in self._ids_above(low):
                yield page

    async def _ids_above(self, low: str | ObjectId) -> AsyncIterator[list[str]]:
        """Those of one kind."""
        field, collection = self._shape.conversation, self._collection(self._fit.collection)
        lists, fields = [{field: {"$type": "array"}}], {field: 1, "_id": int(field == "_id")}
        while True:
            found = await self._server.found(
                collection, {field: {"$gt": low}, "$nor": lists}, fields,
                sort=[(field, 1)], limit=self._page_size, batch_size=self._page_size,
            )  # fmt: skip
            some = [each[field] for each in found if encodable(str(each[field]))]
            yield [*dict.fromkeys(map(str, some))]
            if len(found) < self._page_size:
                return
            if not some:
                raise CorruptData(
                    f"{self.name}: in {self._fit.called} there are {len(found):,} documents of "
                    f"which the {field} is not UTF-8"
                )
            low = some[-1]

    async def told(self, ids: Sequence[str]) -> Mapping[str, Told]:
        """See `Source.told`."""
        shape = self._shape
        found = {shape.collection: await self._of(self._fit.collection, shape.conversation, ids)}
        there = [*found[shape.collection]]
        for name, field in shape.beside.items() if there else ():
            found[name] = await self._of(name, field, there)
        return {id_: self._told(id_, found) for id_ in there}

    def _told(self, id_: str, found: Mapping[str, Mapping[str, list[Document]]]) -> Told:
        documents = {name: some.get(id_, []) for name, some in found.items()}
        return told_by(
            lambda: self._shape.unfold(
                id_, {name: [as_json(each) for each in some] for name, some in documents.items()}
            )
        )

    async def _of(self, name: str, field: str, ids: Sequence[str]) -> dict[str, list[Document]]:
        """The documents of these conversations in a collection, by conversation."""
        where = {field: {"$in": await self._forms(ids)}}
        rows = await self._server.found(self._collection(name), where, None, sort=[("_id", 1)])
        found: dict[str, list[Document]] = {}
        for row in rows:
            if isinstance(row[field], str | ObjectId):
                found.setdefault(str(row[field]), []).append(row)
        return found

    async def _forms(self, ids: Sequence[str]) -> list[Any]:
        """What may stand for these in a document."""
        texts: list[Any] = [id_ for id_ in ids if await self._server.holds(id_)]
        return texts + [
            ObjectId(id_) for id_ in ids if len(id_) == _HEX_DIGITS and ObjectId.is_valid(id_)
        ]

    async def strays(self) -> list[Damage]:
        """See `Source.strays`: documents without an id, and those beside that no conversation
        has."""
        field = self._shape.conversation
        collection = self._collection(self._fit.collection).with_options(LENIENT)
        kinds = [kind for kind in NO_TEXT if kind != "objectId"]
        where = {"$or": [{field: {"$type": kinds}}, {field: None}, {field: ""}]}
        found = await self._server.ask(
            lambda: collection.find(where, {field: 1}, limit=MOST).to_list()
        )
        return [
            Damage(STRAY, f"document {each.get('_id')}", f"its {field} is {_kind(each.get(field))}")
            for each in found
        ] + [
            stray(*each)
            for name, its in self._shape.beside.items()
            for each in await self._ownerless(name, its)
        ]

    async def _ownerless(self, name: str, field: str) -> list[tuple[str, str, int]]:
        """What a collection beside has of conversations that are not there."""
        stages: list[Document] = [{"$group": {"_id": f"${field}", "count": {"$sum": 1}}}]
        collection = self._collection(name).with_options(LENIENT)
        groups = await self._server.ask(lambda: _all(collection.aggregate(stages)))
        why = f"there is no such document in {self._fit.collection}"
        found: list[tuple[str, str, int]] = []
        for some in chunks(groups, _IDS_A_QUERY):
            there = await self._there([each["_id"] for each in some])
            found += [
                (f"{name} of {field} {each['_id']}", why, each["count"])
                for each in some
                if not isinstance(each["_id"], str | ObjectId) or str(each["_id"]) not in there
            ]
        return sorted(found)[:MOST_STRAYS]

    async def _there(self, ids: Sequence[Any]) -> set[str]:
        """Those of these that are ids of conversations."""
        field = self._shape.conversation
        named = [str(each) for each in ids if isinstance(each, str | ObjectId)]
        rows = await self._server.found(
            self._collection(self._fit.collection),
            {field: {"$in": await self._forms(named)}},
            {field: 1, "_id": int(field == "_id")},
        )
        return {str(row[field]) for row in rows}

    async def version(self) -> str | None:
        """See `Source.version`: it cannot be told."""
        return None

    async def close(self) -> None:
        """See `Source.close`."""
        await self._server.close()


async def _all(asked: Any) -> list[Document]:
    rows: list[Document] = await (await asked).to_list()
    return rows


def _kind(value: Any) -> str:
    return "empty" if value == "" else called(value)
