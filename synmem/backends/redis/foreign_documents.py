"""JSON documents of other frameworks in Redis, one a message: the `Keys` of `layouts/shapes.py`.

Their order is known when all of a conversation are: a conversation is read whole.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from math import inf
from typing import Any, Final

from synmem.backends.paging import storable
from synmem.backends.redis.finding import ListsFit
from synmem.backends.redis.keys import decoded, escaped
from synmem.backends.redis.opening import Server
from synmem.backends.redis.plain import allowed
from synmem.backends.whole import WholeStore, told_by
from synmem.errors import CorruptData, Unsupported
from synmem.layouts.shapes import MALFORMED, Keys, Told
from synmem.messages import Damage, JSONObject, Message, Unreadable, chunks, parse_json

_AT_ONCE: Final = 500


class DocumentStore(WholeStore):
    """A store of such documents: each of them may pass by itself."""

    def __init__(self, source: "DocumentSource", fit: ListsFit, *, page_size: int) -> None:
        super().__init__(source, fit.shape.holds, fit.remark, branches=False, page_size=page_size)
        self._documents = source

    async def expiring(self, conversations: Sequence[str]) -> dict[str, float]:
        """See `SupportsExpiry.expiring`: a conversation passes with its last message."""
        return await self._documents.expiring(storable(conversations))

    async def expire(self, left_s: Mapping[str, float]) -> None:
        """Unsupported."""
        raise Unsupported(f"{self.name}: its documents can only be read")


class DocumentSource:
    """The `Source` of the documents that were found."""

    def __init__(self, server: Server, fit: ListsFit, name: str, *, page_size: int) -> None:
        assert isinstance(fit.shape, Keys)
        self.name = name
        self._server = server
        self._shape = fit.shape
        self._prefix = fit.prefix
        self._page_size = page_size

    async def ids(self) -> AsyncIterator[list[str]]:
        """See `Source.ids`."""
        for some in chunks([*await self._keys()], self._page_size):
            yield some

    async def told(self, ids: Sequence[str]) -> dict[str, Told]:
        """See `Source.told`; which documents there are is looked for each time."""
        keys = await self._keys()
        return {id_: await self._told(keys[id_]) for id_ in ids if id_ in keys}

    async def expiring(self, ids: Sequence[str]) -> dict[str, float]:
        """How many seconds it takes until the last document of each has passed; those that have
        one which stays are left out."""
        keys, left = await self._keys(), dict[str, float]()
        for id_ in ids:
            for some in chunks(keys.get(id_, []), _AT_ONCE):
                asked = [("PTTL", name.encode()) for name in some]
                found = allowed(await self._server.ask_all(asked))
                stays = any(ms == -1 for ms in found) or left.get(id_) == inf
                left[id_] = inf if stays else max(left.get(id_, 0), max(found) / 1000)
        return {id_: seconds for id_, seconds in left.items() if 0 < seconds < inf}

    async def _keys(self) -> dict[str, list[str]]:
        """The keys of each conversation's documents."""
        options = ("MATCH", escaped(self._prefix.encode()) + b"*", "TYPE", "ReJSON-RL")
        found = await self._server.scan(self._prefix.encode(), "SCAN", options=options)
        keys: defaultdict[str, list[str]] = defaultdict(list)
        for name in sorted(map(decoded, found)):
            if name and (id_ := self._shape.id_of(name[len(self._prefix) :])):
                keys[id_].append(name)
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
        """See `Source.strays`: none that a name would tell."""
        return []

    async def version(self) -> str | None:
        """See `Source.version`: it cannot be told."""
        return None

    async def close(self) -> None:
        """See `Source.close`."""
        await self._server.close()


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
