"""How much a store holds, for the progress bar."""

import asyncio
from pathlib import Path

from synmem.backends import open_store
from synmem.store import SupportsTotal
from tests.cli.moved import lines, make

SAID = {"a": ["1", "2"], "b": ["3"]}


async def total(backend: str, **settings: str) -> int:
    async with open_store(backend, settings) as store:
        assert isinstance(store, SupportsTotal)
        return await store.total()


def test_it_is_the_number_of_messages(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(b'{"conversation_id":"a","title":"T"}\n' + lines(SAID))
    store = make(tmp_path / "x.db", SAID, title="T")
    assert asyncio.run(total("file", path=str(file))) == 3
    assert asyncio.run(total("sqlite", db_path=str(store))) == 3
    assert asyncio.run(total("memory")) == 0
