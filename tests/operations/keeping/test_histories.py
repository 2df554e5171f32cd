"""Whatever was removed, and however that ended: undo brings back exactly what was there."""

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synmem.backends.inmemory import InMemoryStore
from synmem.messages import Holds
from synmem.operations.keeping import backups
from synmem.store import Store
from tests.histories import History, Step, set_clock, steps

_numbers = itertools.count()


class Plain(InMemoryStore):
    """A store that remembers no steps, as another program's file: positions must tell."""

    steps_done = call_off = forget_steps = None  # type: ignore[assignment]


class OneByOne(InMemoryStore):
    """A store of which an append is not one atomic step."""

    holds = Holds(atomic_messages=0)


def run(kind: type[InMemoryStore], done: Sequence[Step], *, timed: bool) -> None:
    store = kind(page_size=3)

    @contextlib.asynccontextmanager
    async def opener() -> AsyncIterator[Store]:
        yield store

    with set_clock():
        history = History(opener, f"memory:{next(_numbers)}", timed=timed)
        asyncio.run(history.run(done))


@pytest.mark.parametrize("kind", [InMemoryStore, Plain, OneByOne])
@given(done=st.lists(steps(), max_size=12), timed=st.booleans())
@settings(
    max_examples=150, deadline=None, derandomize="SYNMEM_TEST_SEED" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
def test_when_all_is_undone_each_conversation_is_what_was_said(
    kind: type[InMemoryStore], done: list[Step], timed: bool
) -> None:
    run(kind, done, timed=timed)


def test_a_history_removes_something_and_brings_it_back() -> None:
    """Else all histories could hold because nothing is ever removed."""
    commands = ("add", "trim", "add", "replace", "add", "summarize", "clear", "add", "move")
    run(InMemoryStore, [Step(do=do, name="a", count=2) for do in commands], timed=True)
    words = [
        each.word for manifest in backups.backups() for each in backups.fates(manifest).values()
    ]
    assert words.count("restored") >= 4
    assert words.count("undone") == len(backups.backups())
