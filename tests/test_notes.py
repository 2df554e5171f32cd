"""Notes: where they lie, and how far they reach."""

import asyncio
from pathlib import Path

import pytest

from synmem.backends.inmemory import InMemoryStore
from synmem.errors import Unsupported
from synmem.messages import Conversation, Message
from synmem.notes import Covered, Note, Notes, Reach, forget_files, store_folder, tail_of
from synmem.store import Part, once


def store_of(count: int) -> InMemoryStore:
    store = InMemoryStore(page_size=3)
    messages = [Message("user", f"message {n}") for n in range(count)]
    asyncio.run(store.append([Part(Conversation("c"), messages)]))
    return store


async def cover(store: InMemoryStore, count: int, *, since: Reach | None = None) -> Reach:
    covered, after = Covered(), ""
    if since is not None:
        tail = await tail_of(store, "c", since)
        assert tail is not None
        covered, after = Covered(since, tail), tail[-1][0]
    async for page in store.read(["c"], after=after, limit=count):
        for i, item in enumerate(page.items):
            covered.add(page.position(i), item)
    return covered.reach


def fits(store: InMemoryStore, reach: Reach) -> bool:
    return asyncio.run(tail_of(store, "c", reach)) is not None


@pytest.mark.parametrize("count", [1, 15, 16, 17, 40])
def test_a_reach_fits_while_its_last_16_messages_are_there(count: int) -> None:
    store = store_of(50)
    reach = asyncio.run(cover(store, count))
    assert reach.messages == count
    assert fits(store, reach)
    asyncio.run(store.append([Part(Conversation("c"), [Message("user", "more")])]))
    assert fits(store, reach)
    if count > 16:
        asyncio.run(store.delete("c", upto=str(count - 16)))
        assert fits(store, reach)
        asyncio.run(store.delete("c", upto=str(count - 15)))
    else:
        asyncio.run(store.delete("c", upto="1"))
    assert not fits(store, reach)


def test_a_reach_that_goes_on_is_one_that_went_all_the_way() -> None:
    store = store_of(50)
    for first in (3, 16, 20):
        part = asyncio.run(cover(store, first))
        whole = asyncio.run(cover(store, 40))
        assert asyncio.run(cover(store, 40 - first, since=part)) == whole


def test_a_replaced_front_makes_a_reach_stale() -> None:
    store = store_of(30)
    reach = asyncio.run(cover(store, 20))
    asyncio.run(store.replace(Conversation("c"), once([Message("system", "s")]), upto="20"))
    assert not fits(store, reach)


def test_another_conversation_of_that_name_makes_a_reach_stale() -> None:
    store = store_of(5)
    reach = asyncio.run(cover(store, 5))
    asyncio.run(store.delete("c"))
    assert not fits(store, reach)
    asyncio.run(store.append([Part(Conversation("c"), [Message("user", "other")] * 9)]))
    assert not fits(store, reach)


def note(store: InMemoryStore, count: int, text: str) -> Note:
    return Note({"text": text}, asyncio.run(cover(store, count)))


def test_notes_are_read_from_beside_the_data_and_from_the_folder(tmp_path: Path) -> None:
    store = store_of(9)
    notes = Notes(store, tmp_path / "notes")
    assert asyncio.run(notes.read("c", "summary")) is None
    asyncio.run(notes.write("c", "summary", note(store, 3, "short"), beside=False))
    assert asyncio.run(store.note("c", "summary")) is None
    read = asyncio.run(notes.read("c", "summary"))
    assert read == (note(store, 3, "short"), True)
    asyncio.run(store.set_note("c", "summary", None))
    asyncio.run(notes.write("c", "summary", note(store, 5, "longer"), beside=True))
    assert asyncio.run(notes.read("c", "summary")) == (note(store, 5, "longer"), True)
    assert not list((tmp_path / "notes").iterdir())


def test_of_two_notes_the_one_that_fits_and_reaches_further_counts(tmp_path: Path) -> None:
    store = store_of(9)
    notes = Notes(store, tmp_path)
    asyncio.run(notes.write("c", "summary", note(store, 5, "beside"), beside=True))
    asyncio.run(notes.write("c", "summary", note(store, 7, "folder"), beside=False))
    found = asyncio.run(notes.read("c", "summary"))
    assert found is not None
    assert found[0].value == {"text": "folder"}


def test_a_stale_note_is_given_as_stale(tmp_path: Path) -> None:
    store = store_of(9)
    notes = Notes(store, tmp_path)
    asyncio.run(notes.write("c", "summary", note(store, 5, "x"), beside=False))
    asyncio.run(store.delete("c", upto="1"))
    found = asyncio.run(notes.read("c", "summary"))
    assert found is not None
    assert not found[1]


def test_a_note_file_is_private_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    store = store_of(3)
    notes = Notes(store, tmp_path / "n")
    asyncio.run(notes.write("c", "summary", note(store, 3, "x"), beside=False))
    [file] = (tmp_path / "n").iterdir()
    assert file.stat().st_mode & 0o077 == 0
    file.write_bytes(b"{")
    assert asyncio.run(notes.read("c", "summary")) is None


def test_a_store_that_cannot_keep_notes_leaves_them_to_the_folder(tmp_path: Path) -> None:
    class ReadOnly(InMemoryStore):
        async def set_note(self, conversation: str, name: str, value: object) -> None:
            raise Unsupported("read-only")

    store = ReadOnly()
    asyncio.run(store.append([Part(Conversation("c"), [Message("user", "x")])]))
    notes = Notes(store, tmp_path / "n")
    asyncio.run(notes.write("c", "summary", note(store, 1, "x"), beside=True))
    assert len(list((tmp_path / "n").iterdir())) == 1
    assert asyncio.run(notes.read("c", "summary")) is not None


def test_a_forgotten_conversation_leaves_no_file(tmp_path: Path) -> None:
    store = store_of(3)
    notes = Notes(store, tmp_path / "n")
    for name in ("summary", "entities"):
        asyncio.run(notes.write("c", name, note(store, 3, "x"), beside=False))
    forget_files(tmp_path / "n", "other")
    assert len(list((tmp_path / "n").iterdir())) == 2
    forget_files(tmp_path / "n", "c")
    assert not list((tmp_path / "n").iterdir())


def test_each_store_has_a_folder_of_its_own(tmp_path: Path) -> None:
    assert store_folder(tmp_path, "sqlite:/a") != store_folder(tmp_path, "sqlite:/b")
    assert store_folder(tmp_path, "sqlite:/a/*?\ud800").parent == tmp_path
