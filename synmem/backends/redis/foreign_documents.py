"""JSON documents of other frameworks in Redis, one a message: the `Keys` of `layouts/shapes.py`.

Their order is known when all of a conversation are: a conversation is read whole. Which keys there
are is looked for once for a reading or a listing: it is a SCAN of the whole database.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from math import inf
from typing import Any, Final

from synmem.backends.paging import storable
from synmem.backends.redis.finding import ListsFit
from synmem.backends.redis.keys import escaped
from synmem.backends.redis.opening import Server
from synmem.backends.redis.plain import allowed
from synmem.backends.telling import MOST_STRAYS, told_by
from synmem.backends.whole import WholeStore
from synmem.errors import CorruptData, Unsupported
from synmem.layouts.shapes import MALFORMED, Keys, Told
from synmem.messages import (
    STRAY,
    Conversation,
    Damage,
    JSONObject,
    Message,
    Unreadable,
    chunks,
    conversation_refusal,
    encodable,
    parse_json,
)
from synmem.store import START, ConversationInfo, Page, Position

_AT_ONCE: Final = 500
_SHOWN: Final = 60


class DocumentStore(WholeStore):
    """A store of such documents: each of them may pass by itself."""

    def __init__(self, source: "DocumentSource", fit: ListsFit, *, page_size: int) -> None:
        super().__init__(source, fit.shape.holds, fit.remark, branches=False, page_size=page_size)
        self._documents = source
        self._fit = fit

    def read(
        self,
        conversations: Sequence[str],
        *,
        after: Position = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Page]:
        """See `Store.read`: of the keys that there are as it begins."""
        return self._once().read(conversations, after=after, reverse=reverse, limit=limit)

    def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`: of the keys that there are as it begins."""
        return self._once().conversations(ids, details=details)

    def _once(self) -> WholeStore:
        """The same for one reading."""
        return WholeStore(
            self._documents.once(), self._fit.shape.holds, self._fit.remark,
            branches=False, page_size=self._page_size,
        )  # fmt: skip

    async def expiring(self, conversations: Sequence[str]) -> dict[str, float]:
        """See `SupportsExpiry.expiring`: a conversation passes with its last message."""
        return await self._documents.expiring(storable(conversations))

    async def expire(self, left_s: Mapping[str, float]) -> None:
        """Unsupported."""
        raise Unsupported(f"{self.name}: its documents can only be read")


class DocumentSource:
    """The `Source` of the documents that were found."""

    def __init__(
        self,
        server: Server,
        fit: ListsFit,
        name: str,
        *,
        page_size: int,
        strays: list[Mapping[str, str]] | None = None,
    ) -> None:
        assert isinstance(fit.shape, Keys)
        self.name = name
        self._server = server
        self._shape = fit.shape
        self._fit = fit
        self._prefix = fit.prefix
        self._page_size = page_size
        self._keys: Mapping[str, Sequence[str]] | None = None
        """Of each conversation, where they are looked for once."""
        self._strays = strays if strays is not None else []
        """Those of the last look, once there was one; `once` shares them."""
        self._is_once = strays is not None

    def once(self) -> "DocumentSource":
        """The same, which looks once at what keys there are."""
        return DocumentSource(
            self._server, self._fit, self.name, page_size=self._page_size, strays=self._strays
        )

    async def ids(self) -> AsyncIterator[list[str]]:
        """See `Source.ids`."""
        for some in chunks([*await self._found()], self._page_size):
            yield some

    async def told(self, ids: Sequence[str]) -> dict[str, Told]:
        """See `Source.told`."""
        keys = await self._found()
        return {id_: await self._told(keys[id_]) for id_ in ids if id_ in keys}

    async def expiring(self, ids: Sequence[str]) -> dict[str, float]:
        """How many seconds it takes until the last document of each has passed; those that have
        one which stays are left out."""
        keys, left = await self._found(), dict[str, float]()
        for id_ in ids:
            for some in chunks(keys.get(id_, []), _AT_ONCE):
                asked = [("PTTL", name.encode()) for name in some]
                found = allowed(await self._server.ask_all(asked))
                stays = any(ms == -1 for ms in found) or left.get(id_) == inf
                left[id_] = inf if stays else max(left.get(id_, 0), max(found) / 1000)
        return {id_: seconds for id_, seconds in left.items() if 0 < seconds < inf}

    async def _found(self) -> Mapping[str, Sequence[str]]:
        """The keys of each conversation's documents."""
        if self._keys is not None:
            return self._keys
        options = ("MATCH", escaped(self._prefix.encode()) + b"*", "TYPE", "ReJSON-RL")
        found = await self._server.scan(self._prefix.encode(), "SCAN", options=options)
        keys: defaultdict[str, list[str]] = defaultdict(list)
        strays: dict[str, str] = {}
        for name in sorted(key.decode("utf-8", "surrogateescape") for key in found):
            id_ = self._shape.id_of(name[len(self._prefix) :])
            if id_ is not None and (why := _refusal(id_, name)):
                strays[name] = why
            elif id_ is not None:
                keys[id_].append(name)
        self._strays[:] = [strays]
        if self._is_once:
            self._keys = keys
        return keys

    async def _told(self, names: Sequence[str]) -> Told:
        """What these documents say together; a document that does not say its place
        among them comes last."""
        found: list[tuple[str, Any]] = []
        for some in chunks(names, _AT_ONCE):
            asked = [("JSON.GET", name.encode()) for name in some]
            answers = allowed(await self._server.ask_all(asked))
            found += [each for each in zip(some, answers, strict=True) if each[1] is not None]
        return told_by(partial(self._together, found))

    def _together(self, found: Sequence[tuple[str, Any]]) -> Told:
        placed: list[tuple[Any, Sequence[Message | Unreadable]]] = []
        lost: list[Unreadable] = []
        for name, text in found:
            try:
                document = _document(text)
                place = self._shape.order_of(name[len(self._prefix) :], document)
            except MALFORMED as error:
                lost.append(_unreadable(name, text, error))
                continue
            try:
                placed.append((place, self._shape.unfold(document)))
            except MALFORMED as error:
                placed.append((place, [_unreadable(name, text, error)]))
        placed.sort(key=lambda each: each[0])
        return Told(messages=[*(said for _, some in placed for said in some), *lost])

    async def strays(self) -> list[Damage]:
        """See `Source.strays`: documents of which the id can be none, as of the last look."""
        if not self._strays:
            await self._found()
        strays = [*self._strays[0].items()]
        return [Damage(STRAY, repr(name)[:_SHOWN], why) for name, why in strays[:MOST_STRAYS]]

    async def version(self) -> str | None:
        """See `Source.version`: it cannot be told."""
        return None

    async def close(self) -> None:
        """See `Source.close`."""
        await self._server.close()


def _refusal(id_: str, name: str) -> str | None:
    """Why the id in a key is none; what is not UTF-8 of the key need not be in it."""
    return conversation_refusal(Conversation(id_ if encodable(name) else name))


def _unreadable(name: str, text: Any, error: Exception) -> Unreadable:
    shown = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else None
    return Unreadable(name, f"{name}: {error}", shown)


def _document(text: Any) -> JSONObject:
    if isinstance(text, CorruptData):
        raise ValueError("it is no JSON document any more")
    document = parse_json(text)
    if not isinstance(document, dict):
        raise ValueError("the document is JSON, but not an object")
    return document
