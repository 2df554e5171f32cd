"""The histories of `tests/histories.py` on every store: when all is undone, each conversation is
exactly what was said in it."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from synmem.backends import open_store
from synmem.profiles import resolve
from synmem.store import Store
from tests.cli.places import EVERY, Places
from tests.histories import History, Step, set_clock, steps
from tests.services import unique

SEED = int(os.environ.get("SYNMEM_TEST_SEED", "20261128"))
"""Of the histories: a run that decides tries the same ones each time; others by this variable."""

_FEW = {"dynamodb": 6}
_EXAMPLES = 12
_MANY = {"dynamodb": 40, "mongo": 100}


def _examples(count: int) -> settings:
    return settings(
        max_examples=count, deadline=None, database=None,
        phases=[Phase.explicit, Phase.generate],  # a store is too slow to shrink on
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def _run(place: str, done: list[Step], *, timed: bool) -> None:
    profile = resolve(place)

    @contextlib.asynccontextmanager
    async def opener() -> AsyncIterator[Store]:
        opened = open_store(profile.backend, profile.connection(), write=True, page_size=3)
        async with opened as store:
            yield store

    name = unique()
    with set_clock():
        history = History(opener, f"{place}#{name}", timed=timed, prefix=f"{name}-")
        asyncio.run(history.run(done))


def _steps(places: Places, backend: str) -> st.SearchStrategy[Step]:
    """Two commands at once where the server has conditional updates: FerretDB's are not atomic."""
    behind = places.server("mongo").what if backend == "mongo" else ""
    return steps(two="FerretDB" not in behind)


@pytest.mark.parametrize("backend", EVERY)
def test_when_all_is_undone_it_is_what_was_said(places: Places, backend: str) -> None:
    @seed(SEED)
    @given(done=st.lists(_steps(places, backend), min_size=4, max_size=9), timed=st.booleans())
    @_examples(_FEW.get(backend, _EXAMPLES))
    def test(done: list[Step], timed: bool) -> None:
        # Where times order what is said, nothing old is said behind a summary of today.
        _run(places.of(backend), done, timed=timed and backend != "sqlalchemy")

    test()


@pytest.mark.real
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("backend", EVERY)
def test_in_many_histories_it_is_what_was_said(places: Places, backend: str) -> None:
    @seed(SEED)
    @given(done=st.lists(_steps(places, backend), min_size=5, max_size=14), timed=st.booleans())
    @_examples(_MANY.get(backend, 150))
    def test(done: list[Step], timed: bool) -> None:
        # Where times order what is said, nothing old is said behind a summary of today.
        _run(places.of(backend), done, timed=timed and backend != "sqlalchemy")

    test()
