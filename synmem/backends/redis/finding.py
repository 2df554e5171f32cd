"""Whose lists and documents lie in a Redis database, where none are our own.

The names of all lists, and of all JSON documents, are looked through once; of each layout a few
items are, too. Of a database with more than a million keys only the first million are seen: what
lies behind them is not found by itself, and must be named.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from synmem.backends.redis.keys import LIST, OWN, PREFIX, escaped, passes
from synmem.backends.redis.keys import Keys as OwnKeys
from synmem.backends.redis.opening import Server
from synmem.errors import (
    AccessDenied,
    StoreError,
    StoreUnavailable,
    UnknownLayout,
    Unnamed,
)
from synmem.layouts import naming, registry
from synmem.layouts.shapes import Keys, Lists
from synmem.messages import chunks, parse_json

_MOST_LOOKS: Final = 1000
"""So many looks, of a thousand keys each, a database is looked through in."""

_FEW_LOOKS: Final = 20
"""So many, where our own conversations are what was asked for."""

_SAMPLE: Final = 20
"""So many lists or documents are looked into, where their names say whose they are."""

_LARGE_SAMPLE: Final = 1000
"""So many, where only an item tells."""

_AT_ONCE: Final = 100


class ListsFit(NamedTuple):
    """Keys that are of a layout."""

    layout: str
    shape: Lists | Keys
    prefix: str

    @property
    def words(self) -> str:
        """What they are called, for a person."""
        what = "lists" if isinstance(self.shape, Lists) else "JSON documents"
        return f"{what} {self.prefix}..." if self.prefix else f"{what} of any name"

    @property
    def remark(self) -> str:
        """Whose they are, for a person."""
        return naming.whose(self.layout, self.shape.version, self.words)


class Seen(NamedTuple):
    """The names of the lists and of the JSON documents of a database, as far as was looked; bytes
    that are not UTF-8 as lone surrogates."""

    lists: Sequence[str]
    documents: Sequence[str]

    def of(self, shape: Lists | Keys, prefix: str) -> list[str]:
        """Those that have the name of one of a layout's."""
        names = self.lists if isinstance(shape, Lists) else self.documents
        return [
            name
            for name in names
            if name.startswith(prefix) and shape.id_of(name[len(prefix) :]) is not None
        ]


async def find(
    server: Server, store: str, layout: str | None, prefix: str | None, *, write: bool
) -> ListsFit | None:
    """Whose keys are meant, or are there; None for our own, also where there are none yet. Unnamed
    where several could be meant, or none is named and one must be."""
    if layout is not None and (known := _only(layout, prefix)) is not None:
        return known
    try:
        seen = await _seen(server, prefix, _MOST_LOOKS)
    except AccessDenied:
        return None if layout is None else _first(layout, prefix)  # he may not look around
    if layout is None and _has_own(seen, prefix):
        return None
    found = await _fits(server, seen, layout, prefix)
    if layout is not None:  # whoever means lists of any name says so by an empty prefix
        found = [fit for fit in found if fit.prefix] or found
    if len(found) == 1 and not (write and layout is None):
        return found[0]
    if found:
        raise unnamed(store, found)
    if layout is not None:
        return _first(layout, prefix)
    if not write:
        _check_likeness(store, seen, prefix)
    return None


def _shapes(layout: str) -> list[Lists | Keys]:
    found = registry.shapes(layout, "redis")
    return [shape for shape in found if isinstance(shape, Lists | Keys)]


def _only(layout: str, prefix: str | None) -> ListsFit | None:
    """What the name of a layout means where it has one shape."""
    return _first(layout, prefix) if len(_shapes(layout)) == 1 else None


def _first(layout: str, prefix: str | None) -> ListsFit:
    """How a layout is made."""
    shape = _shapes(layout)[0]
    return ListsFit(layout, shape, shape.prefix if prefix is None else prefix)


# --- what there is --------------------------------------------------------------------------


async def _seen(server: Server, prefix: str | None, most: int) -> Seen:
    """The names below a prefix, or all."""
    match: tuple[bytes | str, ...] = ()
    if prefix:
        match = ("MATCH", escaped(prefix.encode()) + b"*")
    lists = await _scanned(server, prefix, (*match, "TYPE", "list"), most)
    try:
        documents = await _scanned(server, prefix, (*match, "TYPE", "ReJSON-RL"), most)
    except (AccessDenied, StoreUnavailable):
        raise
    except StoreError:  # a server that knows no such type may say so
        documents = []
    return Seen(lists, documents)


async def _scanned(
    server: Server, prefix: str | None, options: Sequence[bytes | str], most: int
) -> list[str]:
    key = (prefix or "").encode()
    found = await server.scan(key, "SCAN", options=options, most=most)
    names = (each.decode("utf-8", "surrogateescape") for each in found)
    return sorted(name for name in names if not passes(name))


def _key(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _has_own(seen: Seen, prefix: str | None) -> bool:
    """Whether a list has the name of one of ours."""
    own, ending = PREFIX if prefix is None else prefix, LIST.decode()
    return any(name.startswith(own) and name.endswith(ending) for name in seen.lists)


async def _fits(
    server: Server, seen: Seen, layout: str | None, prefix: str | None
) -> list[ListsFit]:
    """Whose keys there are. What is one layout's by its name is nobody's whose may have any."""
    found: list[ListsFit] = []
    claimed: set[str] = set()
    for fit in sorted(_candidates(layout, prefix), key=lambda fit: not fit.shape.prefix):
        names = [name for name in seen.of(fit.shape, fit.prefix) if name not in claimed]
        if await _tells(server, fit, names):
            found.append(fit)
            if fit.shape.prefix:
                claimed.update(names)
    return found


def _candidates(layout: str | None, prefix: str | None) -> Iterator[ListsFit]:
    for name in registry.named("redis") if layout is None else [layout]:
        for shape in _shapes(name):
            yield ListsFit(name, shape, shape.prefix if prefix is None else prefix)


async def _tells(server: Server, fit: ListsFit, names: Sequence[str]) -> bool:
    """Whether any of the first records under these names is of the layout."""
    most = _SAMPLE if fit.shape.prefix else _LARGE_SAMPLE
    for some in chunks(names[:most], _AT_ONCE):
        keys = [_key(name) for name in some]
        if isinstance(fit.shape, Keys):
            documents = await server.ask_all([("JSON.GET", key) for key in keys])
            if any(_is_document(fit.shape, each) for each in documents):
                return True
            continue
        ends = [("LINDEX", key, end) for key in keys for end in (0, -1)]
        items = await server.ask_all(ends)
        if any(isinstance(item, bytes) and fit.shape.tells(item) for item in items):
            return True
    return False


def _is_document(shape: Keys, text: object) -> bool:
    if not isinstance(text, bytes):
        return False
    try:
        document = parse_json(text)
    except ValueError:
        return False
    return isinstance(document, dict) and shape.tells(document)


async def others(server: Server, own: OwnKeys) -> list[str]:
    """Where other layouts' conversations lie beside our own, and what chooses each; as far as a
    short look finds them. In a cluster one slot is read, that of our own keys."""
    if server.is_cluster:
        return []
    try:
        seen = await _seen(server, None, _FEW_LOOKS)
    except AccessDenied:
        return []
    lists = [name for name in seen.lists if not own.has(_key(name))]
    found = await _fits(server, Seen(lists, seen.documents), None, None)
    return [f"{fit.words}: {way}" for fit, way in zip(found, _ways(found), strict=True)]


# --- what is said ---------------------------------------------------------------------------


def _check_likeness(store: str, seen: Seen, prefix: str | None) -> None:
    """UnknownLayout, where lists have the names of a layout's, and none of them tells; documents
    called `chat:` may be anybody's."""
    like: Mapping[str, list[str]] = {
        fit.layout: names
        for fit in _candidates(None, prefix)
        if isinstance(fit.shape, Lists)
        and fit.shape.prefix
        and (names := seen.of(fit.shape, fit.prefix))
    }
    if like:
        names = [name for some in like.values() for name in some[:3]]
        raise UnknownLayout(
            f"{store}: no conversations in a layout that synmem knows (its keys: "
            f"{', '.join(map(repr, names))}, ...){registry.looks_like([*like])}",
            hint=f"name one with ?layout={'|'.join([OWN, *registry.named('redis')])}",
        )


def unnamed(store: str, found: Sequence[ListsFit]) -> Unnamed:
    """What is said where none of these is named, and one must be."""
    if len(found) == 1:
        [fit] = found
        own = f"--layout {OWN} makes our own beside them"
        if not registry.is_written(fit.shape):
            return Unnamed(f"{store}: its {fit.words}, {fit.layout}'s, can only be read", hint=own)
        return naming.to_be_named(store, f"its {fit.words} are", fit.layout, own)
    what = ", ".join(f"{fit.words} ({fit.layout})" for fit in found)
    why = f"conversations of several layouts lie there: {what}"
    return naming.to_be_chosen(store, why, _ways(found))


def _ways(found: Sequence[ListsFit]) -> list[str]:
    """What chooses each, behind the URL."""
    layouts = [fit.layout for fit in found]
    return [
        naming.way(layout=fit.layout, prefix=fit.prefix)
        if layouts.count(fit.layout) > 1
        else naming.way(layout=fit.layout)
        for fit in found
    ]
