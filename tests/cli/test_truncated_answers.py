"""Answers that break off: after so many whole ones, the next comes in part, or not at all."""

import random

import pytest

from synmem.backends import open_store
from synmem.messages import Conversation
from synmem.profiles import resolve
from synmem.store import Part, Store
from tests.cli.places import BACKENDS, Places, proxied
from tests.conformance import PAGE_SIZE, contents, ids, numbered, run

SIZES = (0, 1, 10, 25, 60, 150)
"""So many bytes come: within a length, a status line, the headers."""


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_what_breaks_off_is_asked_again_and_never_taken_for_the_whole(
    places: Places, backend: str
) -> None:
    expected = [f"message {n}" for n in range(20)]

    async def used(store: Store, number: int) -> None:
        await store.append([Part(Conversation(f"c{number}"), numbered(20))])
        assert await contents(store, f"c{number}") == expected
        assert f"c{number}" in await ids(store)

    async def main() -> None:
        for number in range(12):
            proxy.truncate(after=number, size=random.choice(SIZES))
            async with open_store(backend, settings, write=True, page_size=PAGE_SIZE) as store:
                await used(store, number)
        assert proxy.cuts > 6

    with proxied(places.new(backend)) as (proxy, through):
        settings = resolve(through).connection()
        run(main())
