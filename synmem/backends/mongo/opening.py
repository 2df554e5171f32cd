"""A MongoDB server: connected to, looked at, asked, and its driver's exceptions translated."""

import asyncio
import contextlib
import re
import secrets
import warnings
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    InvalidName,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from synmem.backends.mongo.keys import IDS_A_QUERY, INDEX, KEY, NUMBERED, ONE_EACH, belongs
from synmem.backends.paging import changed, opened_for_reading
from synmem.backends.patience import ANSWER_S, CONNECT_S, again
from synmem.errors import (
    AccessDenied,
    Changed,
    CorruptData,
    ProfileError,
    StoreError,
    StoreUnavailable,
    Unsupported,
)
from synmem.finishing import CANCELLED_S, to_its_end
from synmem.layouts.own.mongo_documents import conversation_of
from synmem.masking import mask_text, mask_with, secrets_of, with_password
from synmem.messages import JSONObject, chunks

Document = JSONObject
Documents = AsyncCollection[Document]

DATABASE: Final = "synapsekit"
COLLECTION: Final = "conversations"
META: Final = "_meta"
"""What follows the collection's name in that of the second."""

LAYOUT: Final = "synmem"

_SAMPLE: Final = 100

DUPLICATE: Final = 11000
_DENIED: Final = {13, 18, 8000}
_OTHERWISE_MADE: Final = {85, 86}
"""The index is there already, with other options."""

# Dates as milliseconds: one that Python cannot express is read all the same.
_OPTIONS: Final = CodecOptions[Document](datetime_conversion=DatetimeConversion.DATETIME_MS)
LENIENT: Final = CodecOptions[Document](
    datetime_conversion=DatetimeConversion.DATETIME_MS,
    unicode_decode_error_handler="surrogateescape",
)

_NOISE: Final = re.compile(
    r", full error.*|, Timeout: .*| \(configured timeouts: [^)]*\)", re.DOTALL
)
"""What the driver appends for its own developers."""

T = TypeVar("T")


class _Lost(Exception):
    """The connection broke before the answer came: the step may be done or not."""


class Place:
    """Two collections on a server, and the one client that goes there."""

    def __init__(self, settings: Mapping[str, Any], *, write: bool) -> None:
        uri = settings["uri"]
        if "password" in settings:
            uri = with_password(uri, settings["password"])
        self.name = mask_with(uri, settings, "db_name", "collection_name")
        self._secrets = secrets_of(settings) | secrets_of({"uri": uri})
        self._closed = False
        with self.translating(), warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            try:
                self.client: AsyncMongoClient[Document] = AsyncMongoClient(uri, **_options(uri))
            except (ValueError, TypeError, UserWarning) as error:
                # A port that is none; an option that the driver would only warn of, and leave out.
                raise ConfigurationError(str(error)) from error
            name = settings.get("db_name")
            database = self.client[name] if name else self.client.get_default_database(DATABASE)
            collection = settings.get("collection_name", COLLECTION)
            self.messages: Documents = database.get_collection(collection, _OPTIONS)
            self.lenient: Documents = database.get_collection(collection, LENIENT)
            self.meta: Documents = database.get_collection(collection + META, _OPTIONS)
        self.remedy = f"mend the document of this _id in {self.meta.full_name}"
        self.is_mongodb = True
        """Whether a document may have all that BSON has; others of its kind hold less."""
        self._write = write
        self._is_prepared = False
        self._preparing = asyncio.Lock()
        self._has_lists = False
        """Whether a document was seen that many filters take, and that belongs to none."""

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
        try:
            about = await self.ask(lambda: self.client.admin.command("buildInfo"))
        except StoreError:
            self.is_mongodb = False
        else:
            self.is_mongodb = not any(key.lower().startswith("ferretdb") for key in about)

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
            f" the same session_id and n, or have none: {self._shown(_NOISE.sub('', str(error)))}",
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

    async def found(
        self, documents: Documents, where: Document, fields: dict[str, int] | None, **how: Any
    ) -> list[Document]:
        """What is there, whosever it is."""
        try:
            return await self.ask(lambda: documents.find(where, fields, **how).to_list())
        except CorruptData:
            # Text that is not UTF-8: the bytes come as lone surrogates, and are found later.
            lenient = documents.with_options(LENIENT)
            return await self.ask(lambda: lenient.find(where, fields, **how).to_list())

    # --- asking, and what goes wrong --------------------------------------------------------

    async def ask(self, step: Callable[[], Awaitable[T]]) -> T:
        """What the step returns; asked again where the connection broke. A step that writes must
        do no harm when its first try was done after all.

        Whoever is cancelled is told when it was answered, after `CANCELLED_S` at most. So also
        where it reads: the driver would close the connection, and leaves open the next that it
        makes when that is cut off too.
        """
        return await to_its_end(self._asked(step), within_s=CANCELLED_S)

    async def _asked(self, step: Callable[[], Awaitable[T]]) -> T:
        async def attempt() -> T:
            try:
                return await step()
            except ServerSelectionTimeoutError:
                raise  # it was waited for
            except AutoReconnect as error:
                raise _Lost from error

        with self.translating():
            try:
                return await again(attempt, (_Lost,))
            except _Lost as lost:
                assert lost.__cause__ is not None
                raise lost.__cause__ from None

    async def close(self) -> None:
        """Give the connections back; twice is once."""
        if not self._closed:
            self._closed = True
            with self.translating():
                await to_its_end(self.client.close(), within_s=CANCELLED_S)

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

    @contextlib.contextmanager
    def translating(self) -> Iterator[None]:
        """The driver's exceptions as ours, without secrets."""
        try:
            yield
        except (PyMongoError, bson.errors.BSONError) as error:
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> Exception:
        text = self._shown(_NOISE.sub("", str(error)))
        if isinstance(error, ConfigurationError | InvalidURI | InvalidName):
            return ProfileError(f"{self.name}: {text}", hint="check the URI and the names in it")
        if isinstance(error, ConnectionFailure):
            denied = _cause_of_handshake(error)
            if denied is not None:
                return self._translated(denied)
            return StoreUnavailable(
                f"{self.name}: no answer: {text}", hint="is the server up? try again later"
            )
        if isinstance(error, DocumentTooLarge):
            return StoreError(f"{self.name}: a document over the server's limit; {text}")
        if isinstance(error, OperationFailure):
            return self._refused(error, text)
        if isinstance(error, PyMongoError):
            return StoreError(f"{self.name}: {text}")
        if isinstance(error, bson.errors.BSONError):
            return CorruptData(f"{self.name}: {text}")
        return error

    def _shown(self, text: str) -> str:
        return " ".join(mask_text(text, self._secrets).split())

    def _refused(self, error: OperationFailure, text: str) -> Exception:
        if isinstance(error, BulkWriteError):
            wrong = [
                *error.details.get("writeErrors", ()),
                *error.details.get("writeConcernErrors", ()),
            ]
            text = self._shown("; ".join(str(each.get("errmsg")) for each in wrong[:3]))
        # FerretDB hands a password on to its PostgreSQL, and what that says to us.
        if error.code in _DENIED or "(SQLSTATE 28" in text:
            return AccessDenied(f"{self.name}: {text}", hint="check user, password and rights")
        return StoreError(f"{self.name}: the server refused: {text}")


def _cause_of_handshake(error: Exception) -> OperationFailure | None:
    """The refusal behind a connection that did not come about."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OperationFailure):
            return cause
        cause = cause.__cause__
    return None


def _options(uri: str) -> dict[str, Any]:
    """Options of the client; those that the user's URI sets are the user's. Retried writes are
    ours to do: the driver's need sessions, and know nothing of what a call is."""
    ours = {
        "serverSelectionTimeoutMS": int(CONNECT_S * 1000),
        "connectTimeoutMS": int(CONNECT_S * 1000),
        "socketTimeoutMS": int(ANSWER_S * 1000),
        "appname": "synmem",
    }
    query = uri.partition("?")[2].lower()
    given = {part.partition("=")[0] for part in query.split("&")}
    return {
        "retryWrites": False,
        **{key: value for key, value in ours.items() if key.lower() not in given},
    }


def new_token() -> str:
    """What lies with everything that one call writes."""
    return secrets.token_urlsafe(12)


async def opened(settings: Mapping[str, Any], *, write: bool) -> Place:
    """The place that these settings name, after a look at whose documents are there."""
    layout = settings.get("layout", LAYOUT)
    place = Place(settings, write=write)
    try:
        if layout != LAYOUT:
            raise Unsupported(
                f"{place.name}: no layout {layout!r} on MongoDB", hint=f"there is {LAYOUT}"
            )
        # Within, since the driver leaves a connection open that is cancelled as it is made.
        await to_its_end(_look(place), within_s=CANCELLED_S)
    except BaseException:
        await to_its_end(place.close())
        raise
    return place


async def _look(place: Place) -> None:
    found = await place.ask(lambda: place.lenient.find_one())
    if found is not None and not _is_ours(found) and not await _has_ours(place):
        keys = ", ".join(sorted(found))
        raise CorruptData(
            f"{place.name}: the documents in {place.messages.full_name} are not synmem's"
            f" (one has: {mask_text(keys)[:200]})",
            hint="name another collection: collection_name, or ?collection_name=",
        )


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
