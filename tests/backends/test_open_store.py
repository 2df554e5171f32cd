"""`open_store`: the table of backends, loaded when they are used, closed at the end."""

import asyncio
import subprocess
import sys
import types
from typing import Any

import pytest

from synmem import backends
from synmem.backends import BACKENDS, SCHEMES, open_store
from synmem.backends.inmemory import InMemoryStore
from synmem.errors import MissingExtra, ProfileError, Unsupported
from synmem.profiles import KEYS, PLACE


def opened(backend: str, **settings: Any) -> Any:
    async def run() -> Any:
        async with open_store(backend, settings) as store:
            return store

    return asyncio.run(run())


def test_a_store_is_opened_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    async def close(self: InMemoryStore) -> None:
        closed.append(self)

    monkeypatch.setattr(InMemoryStore, "close", close)
    store = opened("memory")
    assert closed == [store]

    async def failing() -> None:
        async with open_store("memory", {}):
            raise ValueError("in the body")

    with pytest.raises(ValueError, match="in the body"):
        asyncio.run(failing())
    assert len(closed) == 2


def test_an_unknown_backend_names_the_known_ones() -> None:
    with pytest.raises(ProfileError) as caught:
        opened("oracle")
    assert "sqlite" in (caught.value.hint or "")


@pytest.mark.parametrize("module", ["later.store", "sqlite.later", "later"])
def test_a_backend_of_a_later_version_is_unsupported(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKENDS, "later", (module, None))
    with pytest.raises(Unsupported, match="cannot open later stores"):
        opened("later")


def test_a_module_of_ours_that_is_missing_in_a_backend_is_a_bug(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "synmem.backends.file.opening", None)
    monkeypatch.delitem(sys.modules, "synmem.backends.file.store", raising=False)
    with pytest.raises(ModuleNotFoundError, match="opening"):
        opened("file")


@pytest.fixture
def redis_without_driver(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A stand-in for the module of a backend, whose driver is not there."""
    module = types.ModuleType("synmem.backends.redis.store")
    monkeypatch.setitem(sys.modules, "synmem.backends.redis.store", module)
    return module


def test_a_missing_driver_names_its_extra(redis_without_driver: types.ModuleType) -> None:
    async def open(settings: Any, *, write: bool, page_size: int) -> Any:
        import no_such_driver_anywhere  # type: ignore[import-not-found] # noqa: F401

    redis_without_driver.open = open  # type: ignore[attr-defined]
    with pytest.raises(MissingExtra) as caught:
        opened("redis")
    assert caught.value.hint == "pip install 'synmem-cli[redis]'"


def test_an_import_of_our_own_that_fails_is_a_bug(redis_without_driver: types.ModuleType) -> None:
    async def open(settings: Any, *, write: bool, page_size: int) -> Any:
        import synmem.no_such_module  # type: ignore[import-not-found] # noqa: F401

    redis_without_driver.open = open  # type: ignore[attr-defined]
    with pytest.raises(ModuleNotFoundError):
        opened("redis")


def test_an_import_error_of_the_caller_is_not_taken_for_a_missing_driver() -> None:
    async def run() -> None:
        async with open_store("memory", {}):
            raise ImportError("the caller's own")

    with pytest.raises(ImportError, match="the caller's own"):
        asyncio.run(run())


def test_the_tables_know_the_same_backends() -> None:
    assert set(SCHEMES.values()) == set(BACKENDS) == set(KEYS)
    assert set(PLACE) == set(BACKENDS) - {"memory"}
    assert all(place in KEYS[backend] for backend, place in PLACE.items())


def test_the_table_loads_no_backend_and_no_driver() -> None:
    code = (
        "import sys, synmem.backends, synmem.profiles\n"
        "heavy = {'aiosqlite', 'sqlite3', 'asyncio', 'tomllib', 'tomlkit', 'subprocess',"
        " 'rich', 'typer'}\n"
        "print(sorted(heavy & set(sys.modules)),"
        " [name for name in sys.modules if name.startswith('synmem.backends.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []", done.stdout
    assert backends.__doc__
