"""Backends: how to talk to a store. This table and `open_store` import no driver.

Backend `x` is the package `x`: in `x/store.py` where the data lies, `open` and the store; beside it
what that holds. `inmemory` is the reference; `paging` (the order in which pages are read) and
`patience` (how long a server is waited for) are shared.
"""

import contextlib
import importlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

from synmem.errors import MissingExtra, ProfileError, Unsupported
from synmem.exhaustion import exhausted
from synmem.store import Store

BACKENDS: Final[dict[str, tuple[str, str | None]]] = {
    "memory": ("inmemory", None),
    "sqlite": ("sqlite.store", None),
    "file": ("file.store", None),
    "redis": ("redis.store", "redis"),
    "postgres": ("postgres.store", "postgres"),
    "mongo": ("mongo.store", "mongo"),
    "dynamodb": ("dynamodb.store", "aws"),
}
"""Backend -> its module in this package, and the extra that brings its driver."""

_DRIVERS: Final = {"redis": "redis", "postgres": "asyncpg", "mongo": "pymongo", "aws": "boto3"}

SCHEMES: Final = {
    "sqlite": "sqlite",
    "file": "file",
    "memory": "memory",
    "redis": "redis",
    "rediss": "redis",
    "unix": "redis",
    "postgres": "postgres",
    "postgresql": "postgres",
    "mongodb": "mongo",
    "mongodb+srv": "mongo",
    "dynamodb": "dynamodb",
}
"""A URL's scheme -> its backend. What a `file:` URL holds is decided by the file."""

_POSTGRES: Final = ("asyncpg", "psycopg", "psycopg2", "psycopg2cffi", "psycopg_async", "pg8000")

DIALECTS: Final = {
    "sqlite": ("aiosqlite", "pysqlite"),
    "postgres": _POSTGRES,
    "postgresql": _POSTGRES,
}
"""The drivers that SQLAlchemy names behind a scheme: `postgresql+asyncpg`. Ours goes there."""


def backend_of(scheme: str) -> str | None:
    """The backend of a URL's scheme, in small letters, also of one that names a driver."""
    name, _, driver = scheme.partition("+")
    return SCHEMES.get(name if driver in DIALECTS.get(name, ()) else scheme)


@contextlib.asynccontextmanager
async def open_store(
    backend: str,
    settings: Mapping[str, Any],
    *,
    write: bool = False,
    planning: bool = False,
    page_size: int = 1000,
) -> AsyncIterator[Store]:
    """The store that these settings name, closed at the end.

    `settings` are a profile's, variables expanded (`Profile.connection`). Without `write` a
    store that is not there is `StoreNotFound`, and nothing is created. `planning`: it is read to
    plan a write, and `Unnamed` now where opening it for that will be.
    """
    if backend not in BACKENDS:
        raise ProfileError(f"there is no backend {backend!r}", hint=f"one of {', '.join(BACKENDS)}")
    with _naming_the_extra(backend):
        module = _module(backend)
        store: Store = await module.open(settings, write=write, page_size=page_size)
    from synmem.finishing import to_its_end  # asyncio with it: not to know the backends by

    try:
        if planning and store.holds.written and settings.get("layout") is None:
            _check_named(store)
        yield store
    finally:
        await to_its_end(store.close())


class Sighting(NamedTuple):
    """What may be conversations below a folder: a file or, `is_folder`, a folder, by its name from
    there; in which backend; and of which layout, where it does not tell that by itself. Of a folder
    `alone` is the one file of that layout in it, where it can stand alone, and `within` where in it
    the files lie."""

    backend: str
    name: str
    layout: str | None = None
    is_folder: bool = False
    alone: str | None = None
    within: str = ""


async def survey(folder: Path, names: Sequence[str]) -> list[Sighting]:
    """What of these files (names below the folder, with `/`) may be conversations, by how they
    begin and by their tables: no more of any is read, and nothing is written."""
    found: list[Sighting] = []
    for backend in ("sqlite", "file"):
        module = importlib.import_module(f"{__name__}.{backend}.surveying")
        found += await module.survey(folder, names)
    return found


def _check_named(store: Store) -> None:
    from synmem.layouts.naming import MustBeNamed

    if isinstance(store, MustBeNamed):
        raise store.unnamed()


def check_driver(backend: str) -> None:
    """MissingExtra where the backend's driver is not installed; it is loaded."""
    extra = BACKENDS[backend][1]
    if extra is not None:
        with _naming_the_extra(backend):
            importlib.import_module(_DRIVERS[extra])


def _module(backend: str) -> ModuleType:
    name = f"{__name__}.{BACKENDS[backend][0]}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        theirs = missing.startswith(f"{__name__}.")  # not a package that holds us all
        if not (theirs and f"{name}.".startswith(f"{missing}.")):
            raise
        raise Unsupported(
            f"this version of synmem cannot open {backend} stores",
            hint="a newer one may: pip install --upgrade synmem-cli",
        ) from error


@contextlib.contextmanager
def _naming_the_extra(backend: str) -> Iterator[None]:
    extra = BACKENDS[backend][1]
    try:
        yield
    except ImportError as error:
        # An import of our own that fails is a bug, and so is a missing driver of the core.
        if extra is None or (error.name or "").partition(".")[0] == "synmem" or exhausted(error):
            raise
        raise MissingExtra(
            f"{backend} stores need a driver that is not installed",
            hint=f"pip install 'synmem-cli[{extra}]'",
        ) from error
