"""An export in several files."""

import asyncio
import itertools
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synmem.backends import open_store
from synmem.backends.inmemory import InMemoryStore
from synmem.formats import open_writer
from synmem.messages import Conversation, Message
from synmem.operations.export import Export
from synmem.operations.parts import Apart, Cut, Limit
from synmem.store import Part


class Kept:
    """Files in memory."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.files: list[bytes] = []
        self.whole = 0

    def begin(self, conversation: str) -> None:
        assert self.whole == len(self.files)
        self.names.append(conversation)
        self.files.append(b"")

    def write(self, piece: bytes) -> None:
        self.files[-1] += piece

    def end(self) -> None:
        self.whole += 1

    def begin_again(self, number: int, beginning: bytes) -> None:
        assert self.whole == len(self.files)
        self.files[number - 1] = beginning + self.files[number - 1][len(beginning) :]


def message(text: str) -> Message:
    return Message("user", text, {"n": len(text)})


async def filled(said: dict[str, list[str]]) -> InMemoryStore:
    store = InMemoryStore(page_size=3)
    for name, texts in said.items():
        title = f"title of {name}"
        await store.append([Part(Conversation(name, title), [message(text) for text in texts])])
    return store


async def cut(store: Any, form: str, limit: Limit, **options: Any) -> list[bytes]:
    kept = Kept()
    job = Export(store, Cut(partial(open_writer, form, **options), kept, limit))
    assert b"".join([piece async for piece in job.pieces()]) == b""
    assert kept.whole == len(kept.files)
    return kept.files


SAID = {"a": [str(i) for i in range(10)], "b": ["x"], "c": ["é" * 50] * 4}


@pytest.mark.parametrize(("form", "counts"), [("jsonl", 4), ("json", 4), ("csv", 4), ("markdown", 4)])  # fmt: skip
def test_so_many_messages_a_file(form: str, counts: int) -> None:
    async def main() -> None:
        files = await cut(await filled(SAID), form, Limit(4, bytes=False))
        assert len(files) == counts
        if form == "json":
            held = [[len(c["messages"]) for c in json.loads(file)] for file in files]
            assert held == [[4], [4], [2, 1, 1], [3]]
            ids = [[(c["conversation_id"], c["title"][-1]) for c in json.loads(f)] for f in files]
            assert ids[2] == [("a", "a"), ("b", "b"), ("c", "c")]

    asyncio.run(main())


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "markdown"])
def test_a_part_is_no_larger_than_it_may_be_unless_one_message_is(form: str) -> None:
    async def main() -> None:
        store = await filled({**SAID, "d": ["y" * 900]})
        for size in (1, 300, 700, 2_000, 100_000):
            files = await cut(store, form, Limit(size, bytes=True))
            small = [file for file in files if len(file) <= size]
            if size >= 700:
                assert len(files) - len(small) <= (size < 900)
            if size == 1:
                assert len(files) == 16
            # Room is used: no two that follow one another would have fitted into one.
            for one, other in itertools.pairwise(files):
                assert len(one) + len(other) > size * 0.7

    asyncio.run(main())


def test_nothing_is_one_empty_file() -> None:
    async def main() -> None:
        assert await cut(InMemoryStore(), "json", Limit(5, bytes=False)) == [b"[]\n"]

    asyncio.run(main())


async def _read(form: str, files: list[bytes], folder: Path) -> list[tuple[str, Any]]:
    """All messages of the files in order, each file opened by itself."""
    found = []
    for file in files:
        path = folder / f"part.{form}"
        path.write_bytes(file)
        async with open_store("file", {"path": str(path)}) as store:
            assert await store.damage() == []
            async for infos in store.conversations(details=True):
                assert all(info.title == f"title of {info.id}" for info in infos)
                async for page in store.read([info.id for info in infos]):
                    found += [(page.conversation, item) for item in page.items]
    return found


@settings(max_examples=60, deadline=None)
@given(
    said=st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=5),
        st.lists(st.text(max_size=40), min_size=1, max_size=12),
        max_size=6,
    ),
    limit=st.builds(Limit, st.integers(1, 1_500), bytes=st.booleans()),
    form=st.sampled_from(["jsonl", "json", "csv", "sealed"]),
)
def test_all_parts_together_are_the_whole(
    tmp_path_factory: pytest.TempPathFactory, said: dict[str, list[str]], limit: Limit, form: str
) -> None:
    async def main() -> None:
        store = await filled(said)
        options = {"seal": True} if form == "sealed" else {}
        form_ = "jsonl" if form == "sealed" else form
        files = await cut(store, form_, limit, **options)
        found = await _read(form_, files if said else [], tmp_path_factory.mktemp("parts"))
        assert found == [(name, message(text)) for name, texts in said.items() for text in texts]

    asyncio.run(main())


def test_each_conversation_in_a_file_of_its_own() -> None:
    async def main() -> None:
        for form in ("jsonl", "json", "csv", "markdown"):
            kept = Kept()
            make = partial(open_writer, form)
            job = Export(await filled(SAID), Apart(make, kept))
            assert b"".join([piece async for piece in job.pieces()]) == b""
            assert (kept.names, kept.whole) == (["a", "b", "c"], 3)
            for name, file in zip(kept.names, kept.files, strict=True):
                alone = Export(await filled({name: SAID[name]}), make())
                assert b"".join([piece async for piece in alone.pieces()]) == file

    asyncio.run(main())
