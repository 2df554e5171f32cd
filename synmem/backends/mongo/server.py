"""A MongoDB server: connected to, asked, and its driver's exceptions translated."""

import contextlib
import re
import warnings
from collections.abc import Awaitable, Callable, Iterator, Mapping
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

from synmem.backends.patience import ANSWER_S, CONNECT_S, again
from synmem.errors import AccessDenied, CorruptData, ProfileError, StoreError, StoreUnavailable
from synmem.finishing import CANCELLED_S, to_its_end
from synmem.masking import mask_text, mask_with, secrets_of, with_password
from synmem.messages import JSONObject

Document = JSONObject
Documents = AsyncCollection[Document]

DUPLICATE: Final = 11000

IN_ORDER: Final = 100
"""So many documents FerretDB inserts in order: where some are not taken it goes on with the next so
many, although it was told that all are ordered."""

_DENIED: Final = {13, 18, 8000}

# Dates as milliseconds: one that Python cannot express is read all the same.
OPTIONS: Final = CodecOptions[Document](datetime_conversion=DatetimeConversion.DATETIME_MS)
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


class Server:
    """A server, and the one client that goes there."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        uri = settings["uri"]
        if "password" in settings:
            uri = with_password(uri, settings["password"])
        self.name = mask_with(uri, settings, "db_name", "collection_name")
        self._secrets = secrets_of(settings) | secrets_of({"uri": uri})
        self._closed = False
        self._is_real: bool | None = None
        with self.translating(), warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            try:
                self.client: AsyncMongoClient[Document] = AsyncMongoClient(uri, **_options(uri))
            except (ValueError, TypeError, UserWarning) as error:
                # A port that is none; an option that the driver would only warn of, and leave out.
                raise ConfigurationError(str(error)) from error

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

    async def is_real(self) -> bool:
        """Whether it is MongoDB, as far as it tells: others of its kind hold less."""
        try:
            about = await self.ask(lambda: self.client.admin.command("buildInfo"))
        except StoreError:
            return False
        return not any(key.lower().startswith("ferretdb") for key in about)

    async def holds(self, text: str) -> bool:
        """Whether it can have this text: not all of its kind hold NUL."""
        if "\0" in text and self._is_real is None:
            self._is_real = await self.is_real()
        return "\0" not in text or bool(self._is_real)

    async def close(self) -> None:
        """Give the connections back; twice is once."""
        if not self._closed:
            self._closed = True
            with self.translating():
                await to_its_end(self.client.close(), within_s=CANCELLED_S)

    @contextlib.contextmanager
    def translating(self) -> Iterator[None]:
        """The driver's exceptions as ours, without secrets."""
        try:
            yield
        except (PyMongoError, bson.errors.BSONError) as error:
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> Exception:
        text = self.shown(error)
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

    def shown(self, error: object) -> str:
        """What the driver or the server says, for a person."""
        return " ".join(mask_text(_NOISE.sub("", str(error)), self._secrets).split())

    def _refused(self, error: OperationFailure, text: str) -> Exception:
        if isinstance(error, BulkWriteError):
            wrong = [
                *error.details.get("writeErrors", ()),
                *error.details.get("writeConcernErrors", ()),
            ]
            text = self.shown("; ".join(str(each.get("errmsg")) for each in wrong[:3]))
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
