"""The place of our own documents on a MongoDB server: looked at, and made."""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pymongo.errors import ConfigurationError, OperationFailure

from synmem.backends.mongo.keys import IDS_A_QUERY, INDEX, KEY, NUMBERED, ONE_EACH, belongs
from synmem.backends.mongo.server import DUPLICATE, LENIENT, OPTIONS, Document, Documents, Server
from synmem.backends.paging import changed, opened_for_reading
from synmem.errors import AccessDenied, Changed, CorruptData, UnknownLayout
from synmem.layouts.own.mongo_documents import conversation_of
from synmem.masking import mask_text
from synmem.messages import chunks

DATABASE: Final = "synapsekit"
COLLECTION: Final = "conversations"
META: Final = "_meta"
"""What follows the collection's name in that of the second."""

LAYOUT: Final = "synmem"

SYSTEM: Final = frozenset({"admin", "config", "local"})
"""The databases that a server has for itself."""

_SAMPLE: Final = 100

_OTHERWISE_MADE: Final = {85, 86}
"""The index is there already, with other options."""


class Place(Server):
    """Two collections on a server."""

    def __init__(self, settings: Mapping[str, Any], *, write: bool) -> None:
        super().__init__(settings)
        with self.translating():
            self.named = settings.get("db_name") or self._of_uri()
            """The database that the settings name, if they do."""
            database = self.client[self.named or DATABASE]
            collection = settings.get("collection_name", COLLECTION)
            self.messages: Documents = database.get_collection(collection, OPTIONS)
            self.lenient: Documents = database.get_collection(collection, LENIENT)
            self.meta: Documents = database.get_collection(collection + META, OPTIONS)
        self.remedy = f"mend the document of this _id in {self.meta.full_name}"
        self.is_mongodb = True
        """Whether a document may have all that BSON has; others of its kind hold less."""
        self._write = write
        self._is_prepared = False
        self._preparing = asyncio.Lock()
        self._has_lists = False
        """Whether a document was seen that many filters take, and that belongs to none."""

    def _of_uri(self) -> str | None:
        try:
            return self.client.get_default_database().name
        except ConfigurationError:
            return None

    # --- before the first write -------------------------------------------------------------

    async def prepare(self) -> None:
        """Before any write: make, once, the index that keeps writers out of each other's way."""
        if not self._write:
            raise opened_for_reading(self.name)
        async with self._preparing:
            if not self._is_prepared:
                await self._prepare()
                self._is_prepared = True

    async def _prepare(self) -> None:
        await self.ask(self._make_index)
        self.is_mongodb = await self.is_real()

    async def _make_index(self) -> None:
        try:
            await self.messages.create_index(INDEX, unique=True)
        except OperationFailure as error:
            is_double = error.code == DUPLICATE or "unique" in str(error)
            if not (is_double or error.code in _OTHERWISE_MADE):
                raise
            # Documents of nobody's may stand in its way: MongoDB can leave them out of it.
            only = {"session_id": {"$gte": ""}, **NUMBERED}
            try:
                await self.messages.create_index(INDEX, unique=True, partialFilterExpression=only)
            except OperationFailure:
                if is_double:
                    raise self._doubled(error) from error
                raise

    def _doubled(self, error: OperationFailure) -> CorruptData:
        return CorruptData(
            f"{self.name}: nothing can be written: two documents of {self.messages.full_name} have"
            f" the same session_id and n, or have none: {self.shown(error)}",
            hint="take one of them away, or give it another n",
        )

    # --- what is there ----------------------------------------------------------------------

    async def find(
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
            only = self.only(where)
            if others:
                only = {"$and": [only, {"_id": {"$nin": others}}]}
            found = await self.found(
                self.messages, only, fields, sort=order, limit=limit, skip=skip, batch_size=limit
            )
            if all(map(belongs, found)):
                return found
            if not self._has_lists:
                self._has_lists = True
            elif len(found) == limit and all("_id" in document for document in found):
                others += [document["_id"] for document in found if not belongs(document)]
            else:
                return [document for document in found if belongs(document)]

    def only(self, where: Document) -> Document:
        """The filter, stricter where it has to be."""
        return {**where, **ONE_EACH} if self._has_lists else where

    async def any_of(self, conversation: str) -> list[Document]:
        """One of a conversation's documents, hidden or not, if there is any."""
        return await self.find({"session_id": conversation, **NUMBERED}, None, 1, KEY)

    async def beside(self, ids: Sequence[str], fields: dict[str, int]) -> dict[str, Document]:
        """What lies beside these conversations."""
        found: dict[str, Document] = {}
        for chunk in chunks(list(ids), IDS_A_QUERY):
            where = {"_id": chunk[0] if len(chunk) == 1 else {"$in": chunk}}
            rows = await self.found(self.meta, where, fields)
            found.update((row["_id"], row) for row in rows)
        return found

    async def has_more(self) -> bool:
        """Whether the database has other collections than ours, so far as we may see them."""
        try:
            names = await self.ask(self.messages.database.list_collection_names)
        except AccessDenied:
            return False
        return bool({*names} - {self.messages.name, self.meta.name})

    def broken(self, conversation: str, why: str) -> CorruptData:
        """What concerns a conversation that cannot be read."""
        name = conversation_of(conversation)
        return CorruptData(
            f"{self.name}: conversation {name!r}: {why}", hint=self.remedy, conversation=name
        )

    def with_remedy(self, why: str | None) -> str:
        """Why something cannot be read, and where to mend it."""
        return f"{why} ({self.remedy})"

    def changed(self, conversation: str) -> Changed:
        """What whoever relies on a position of this conversation is told."""
        return changed(conversation_of(conversation), self.name)


def new_token() -> str:
    """What lies with everything that one call writes."""
    return secrets.token_urlsafe(12)


async def is_ours(place: Place, layout: str | None) -> bool:
    """Whether what lies there is ours, or nothing does; UnknownLayout where ours is named, and
    it is somebody else's."""
    found = await place.ask(lambda: place.lenient.find_one())
    if found is not None and _is_ours(found):
        return True
    if layout == LAYOUT and found is None:
        return True
    if found is None and await _is_empty(place):
        return True
    if await _has_ours(place):
        return True
    if layout == LAYOUT:
        assert found is not None
        raise not_ours(place, found)
    return False


def not_ours(place: Place, found: Document) -> UnknownLayout:
    """What is said where the collection has this document, of which nothing is known."""
    return UnknownLayout(
        f"{place.name}: the documents in {place.messages.full_name} are not synmem's"
        f" (one has: {mask_text(', '.join(sorted(found)))[:200]})",
        hint="name another collection: collection_name, or ?collection_name=",
    )


async def _is_empty(place: Place) -> bool:
    """Whether nothing else lies where another layout's conversations could."""
    try:
        if place.named is None:
            return not set(await place.ask(place.client.list_database_names)) - SYSTEM
        database = place.client[place.named]
        return not await place.ask(database.list_collection_names)
    except AccessDenied:
        return False


async def _has_ours(place: Place) -> bool:
    """Whether the collection is ours all the same, with a record of somebody else's in it."""
    indexes = await place.ask(lambda: _listed(place))
    if any(index.get("unique") and list(index["key"].items()) == INDEX for index in indexes):
        return True
    fields = {"session_id": 1, "n": 1, "role": 1}
    some = await place.ask(lambda: place.lenient.find({}, fields, limit=_SAMPLE).to_list())
    return any(map(_is_ours, some))


async def _listed(place: Place) -> list[Any]:
    return await (await place.messages.list_indexes()).to_list()


def _is_ours(document: Document) -> bool:
    keys = bool(document.keys() & {"role", "content"})
    number = document.get("n")
    return keys and isinstance(document.get("session_id"), str) and isinstance(number, int | float)
