"""Which collection of a MongoDB server is of another framework's layout."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from synmem.backends.mongo.foreign_values import as_json
from synmem.backends.mongo.opening import LAYOUT, SYSTEM, Place, not_ours
from synmem.backends.mongo.server import LENIENT, Document
from synmem.errors import (
    AccessDenied,
    StoreError,
    StoreUnavailable,
    UnknownLayout,
    Unnamed,
)
from synmem.layouts import naming, registry
from synmem.layouts.registry import SAMPLE
from synmem.layouts.shapes import MALFORMED, Documents, Gathered

_AT_ONCE: Final = 16

Where = tuple[str, str]
"""A database and a collection in it."""

Sketch = Mapping[Where, Sequence[Document]]
"""The collections of a place, and the first documents of each."""


class Fit(NamedTuple):
    """A collection that looks like one of a layout."""

    layout: str
    shape: Documents | Gathered
    database: str
    collection: str
    others: tuple[str, ...] = ()
    """Fields that its documents have, of those that were looked at, and the layout does not."""
    made: bool = True
    """Whether it is there."""

    @property
    def called(self) -> str:
        """The collection's whole name."""
        return f"{self.database}.{self.collection}"


async def find(place: Place, settings: Mapping[str, Any], *, write: bool) -> Fit | None:
    """The collection of a foreign layout that there is; of the one that is named, and in the
    collection that is named. None where nothing lies where our own documents would. Unnamed where
    several could be meant, or none is named and one must be."""
    layout, collection = settings.get("layout"), settings.get("collection_name")
    if layout is not None:
        registry.check_known(place.name, layout, "mongo", [LAYOUT])
    databases = [place.named] if place.named else await _databases(place)
    sketch = await _sketch(place, databases, collection)
    fits = [*_fits(sketch, layout, collection)]
    if len(fits) == 1 and not (write and layout is None and _must_be_named(place, fits[0])):
        return fits[0]
    if fits:
        raise unnamed(place, fits)
    if layout is not None:
        shape = _shapes(layout)[0]
        where = place.named or shape.database, collection or shape.collection
        can_be_empty = write or not sketch or where in sketch
        if isinstance(shape, Documents) and can_be_empty and not sketch.get(where):
            return Fit(layout, shape, *where, made=where in sketch)
    ours = sketch.get((place.messages.database.name, place.messages.name))
    if layout is None and not ours:
        return None
    there = [*_fits(await _sketch(place, databases), None, None)]
    raise _missing(place, sketch, layout, ours, there)


async def others(place: Place) -> list[str]:
    """Collections of other layouts in the database of our own, and how each is named."""
    fits = [*_fits(await _sketch(place, [place.messages.database.name]), None, None)]
    return [f"{fit.collection}: {_way(place, fit, len(fits))}" for fit in fits]


def _shapes(layout: str) -> Sequence[Documents | Gathered]:
    found: Sequence[Any] = registry.shapes(layout, "mongo")
    return found


def _must_be_named(place: Place, fit: Fit) -> bool:
    """Whether a write could mean it, or a place of our own."""
    return place.named is None or (isinstance(fit.shape, Documents) and fit.shape.fold is not None)


# --- what is there --------------------------------------------------------------------------


async def _sketch(
    place: Place, databases: Sequence[str], collection: str | None = None
) -> dict[Where, list[Document]]:
    """Of these databases the collections; of the one that is named, or of all, the first
    documents."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def first(where: Where) -> tuple[Where, list[Document]]:
        there = place.client[where[0]].get_collection(where[1], LENIENT)
        async with turns:
            try:
                return where, await place.ask(lambda: there.find(limit=SAMPLE).to_list())
            except StoreUnavailable:
                raise
            except StoreError:
                return where, []  # a view of something that is gone, or not ours to see

    wheres = [(name, each) for name in databases for each in await _collections(place, name)]
    found: dict[Where, list[Document]] = {where: [] for where in wheres}
    wanted = [where for where in wheres if collection in (None, where[1])]
    return found | dict(await asyncio.gather(*map(first, wanted)))


async def _databases(place: Place) -> list[str]:
    """Those of the server, where it tells; else those that layouts have by default."""
    try:
        names = await place.ask(place.client.list_database_names)
    except AccessDenied:
        names = [shape.database for name in registry.named("mongo") for shape in _shapes(name)]
    return sorted({*names} - SYSTEM)


async def _collections(place: Place, database: str) -> list[str]:
    """The same of the collections of a database."""
    there = place.client[database]
    try:
        names = await place.ask(there.list_collection_names)
    except AccessDenied:
        names = [shape.collection for name in registry.named("mongo") for shape in _shapes(name)]
    return sorted({name for name in names if not name.startswith("system.")})


# --- whose it is ----------------------------------------------------------------------------


def _fits(sketch: Sketch, layout: str | None, collection: str | None) -> Iterator[Fit]:
    for name in registry.named("mongo"):
        for shape in _shapes(name) if layout in (None, name) else ():
            for (database, each), documents in sketch.items():
                if (
                    _is_called(shape, each, collection)
                    and any(_tells(shape, document) for document in documents)
                    and all((database, other) in sketch for other in _beside(shape))
                ):
                    yield Fit(name, shape, database, each, _others(shape, documents))


def _is_called(shape: Documents | Gathered, name: str, collection: str | None) -> bool:
    """Whether the collection may have that name: it has another only where all is in it."""
    free = isinstance(shape, Documents) or not shape.beside
    return free or name == (collection or shape.collection)


def _beside(shape: Documents | Gathered) -> list[str]:
    """The collections that stand beside it."""
    if isinstance(shape, Gathered):
        return [*shape.beside]
    return [shape.beside] if shape.beside else []


def _tells(shape: Documents | Gathered, document: Document) -> bool:
    try:
        return shape.tells(as_json(document))
    except MALFORMED:
        return False


def _others(shape: Documents | Gathered, documents: Sequence[Document]) -> tuple[str, ...]:
    if isinstance(shape, Gathered):
        return ()
    return tuple(sorted({key for each in documents for key in each} - shape.fields - {"_id"}))


# --- what is said where it is not clear -----------------------------------------------------


def unnamed(place: Place, fits: Sequence[Fit]) -> Unnamed:
    """What is said where none of these is named, and one must be."""
    if len(fits) == 1 and place.named is not None:
        [fit] = fits
        return naming.to_be_named(place.name, f"its collection {fit.called} is", fit.layout)
    found = ", ".join(f"{fit.called} ({fit.layout})" for fit in fits)
    ways = [_way(place, fit, len(fits)) for fit in fits]
    if place.named is None:
        ways.append(f"{naming.way(layout=LAYOUT)} (a place of our own)")
    return naming.to_be_chosen(place.name, f"conversations lie in its collections: {found}", ways)


def _way(place: Place, fit: Fit, count: int) -> str:
    """What is put behind the URL to mean it."""
    keys = {"layout": fit.layout}
    if place.named is None:
        keys["db_name"] = fit.database
    if count > 1 or fit.collection != fit.shape.collection:
        keys["collection_name"] = fit.collection
    return naming.way(**keys)


def _missing(
    place: Place,
    sketch: Sketch,
    layout: str | None,
    ours: Sequence[Document] | None,
    there: Sequence[Fit],
) -> UnknownLayout:
    """What is said where nothing fits, but what is `there` of other layouts."""
    fitting = {(fit.database, fit.collection) for fit in there}
    others = [naming.Other(fit.layout, fit.called, _way(place, fit, len(there))) for fit in there]
    like = "".join(
        f"; {database}.{each} looks like {name}'s, of a version that is not known"
        for name in registry.named("mongo")
        for each in sorted({shape.collection for shape in _shapes(name)})
        for (database, collection), documents in sketch.items()
        if collection == each and documents and (database, collection) not in fitting
    )
    known = f"its layouts: {', '.join([LAYOUT, *registry.named('mongo')])}"
    if layout is None:
        assert ours
        what = f"{not_ours(place, ours[0])}, nor another layout's that is known"
        hint = f"name another collection: collection_name, or ?collection_name=; {known}"
        return naming.not_there(what, others, like, hint)
    seen = ", ".join(".".join(where) for where in sketch) or "none"
    what = f"{place.name}: no conversations in the layout {layout} (its collections: {seen})"
    return naming.not_there(what, others, like, known)
