"""What undo finds, and what it does then: the cases that were seen to go wrong, stated right."""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from synmem import folders
from synmem.backends.inmemory import InMemoryStore
from synmem.errors import CorruptData, Refused, SynmemError
from synmem.locks import Busy
from synmem.messages import Conversation, Message
from synmem.notes import Notes
from synmem.operations import backups
from synmem.operations.backup import Origin, new_backup
from synmem.operations.backups import Damaged, Manifest
from synmem.operations.clear import Trim, clear, plan
from synmem.operations.journal import Journal
from synmem.operations.listing import listing
from synmem.operations.summarize import remember, summarize
from synmem.operations.undo import NotRestored, Restored, Undo, undo
from synmem.store import START, Part, once
from tests.histories import Clock, set_clock

ORIGIN = Origin("clear", "test", "memory:", "memory:test", "memory")


def said(*texts: str) -> list[Message]:
    return [Message("user", text) for text in texts]


async def add(store: InMemoryStore, name: str, *texts: str) -> None:
    await store.append([Part(Conversation(name), said(*texts))])


async def texts(store: InMemoryStore, name: str = "c") -> str:
    pages = store.read([name])
    return " ".join([getattr(each, "content", "?") async for page in pages for each in page.items])


async def cleared(store: InMemoryStore, trim: Trim | None = None) -> Manifest:
    """What `clear` does to everything, or to the front of everything."""
    trim = trim or Trim()
    doomed = [
        each
        async for page in listing(store, details=True)
        async for each in plan(store, page, trim)
    ]
    with new_backup(ORIGIN) as backup:
        async for _ in clear(store, doomed, trim, backup):
            pass
    return backups.backups()[0]


async def undone(store: InMemoryStore, manifest: Manifest, **how: Any) -> list[Any]:
    return [each async for each in undo(store, manifest, Undo(**how))]


def test_a_hundred_times_the_same_comes_back_though_undo_was_cut_off() -> None:
    """The first undo announces what it writes, and the store does not hear of it."""

    class Deaf(InMemoryStore):
        deaf = False

        async def replace(self, *arguments: Any, **named: Any) -> None:
            if self.deaf:
                raise KeyboardInterrupt
            await super().replace(*arguments, **named)

    async def run() -> None:
        store = Deaf()
        await add(store, "c", *["ping"] * 100)
        manifest = await cleared(store, Trim(keep_last=50))
        store.deaf = True
        with pytest.raises(KeyboardInterrupt):
            await undone(store, manifest)
        store.deaf = False
        assert await undone(store, manifest) == [Restored("c", 50)]
        assert await texts(store) == " ".join(["ping"] * 100)

    asyncio.run(run())


def test_what_came_back_by_another_way_is_there_already() -> None:
    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", "1", "2", "3")
        manifest = await cleared(store)
        await add(store, "c", "1", "2", "3", "4")
        assert await undone(store, manifest) == [Restored("c", 0)]
        assert await texts(store) == "1 2 3 4"
        assert backups.is_undone(manifest)

    asyncio.run(run())


def test_what_came_back_in_part_is_left_alone_and_named_until_it_is_forced() -> None:
    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", "1", "2", "3")
        manifest = await cleared(store)
        await add(store, "c", "1", "2", "other")
        (outcome,) = await undone(store, manifest)
        assert isinstance(outcome, NotRestored)
        assert "message 3: content" in str(outcome.error)
        assert "--force" in (outcome.error.hint or "")
        assert await texts(store) == "1 2 other"
        assert not backups.is_undone(manifest)
        assert await undone(store, manifest, force=True) == [Restored("c", 3)]
        assert await texts(store) == "1 2 3 1 2 other"

    asyncio.run(run())


def test_of_two_removals_the_newer_comes_back_first() -> None:
    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", *"0123456789")
        older = await cleared(store, Trim(keep_last=6))
        newer = await cleared(store, Trim(keep_last=3))
        with pytest.raises(Refused) as refused:
            await undone(store, older)
        assert refused.value.hint is not None
        assert refused.value.hint.index(newer.id) < refused.value.hint.index(older.id)
        assert await texts(store) == "7 8 9"
        done = await undone(store, older, with_newer=True)
        assert done == [Restored("c", 3), Restored("c", 4)]
        assert await texts(store) == "0 1 2 3 4 5 6 7 8 9"
        assert backups.is_undone(older)
        assert backups.is_undone(newer)

    asyncio.run(run())


def test_the_order_is_that_of_a_counter_and_not_of_the_clock() -> None:
    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", *"0123456789")
        with set_clock():
            older = await cleared(store, Trim(keep_last=6))
            Clock.shift -= timedelta(hours=1)
            newer = await cleared(store, Trim(keep_last=3))
        assert newer.id < older.id
        assert [each.id for each in backups.backups()] == [newer.id, older.id]
        await undone(store, newer)
        await undone(store, older)
        assert await texts(store) == "0 1 2 3 4 5 6 7 8 9"

    asyncio.run(run())


def test_repeating_texts_in_two_fronts_come_back_both() -> None:
    """When the newer front is back, the conversation looks as if the older were, too."""

    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", *["ping"] * 150)
        older = await cleared(store, Trim(keep_last=100))
        newer = await cleared(store, Trim(keep_last=50))
        await undone(store, newer)
        assert await undone(store, older) == [Restored("c", 50)]
        assert await texts(store) == " ".join(["ping"] * 150)

    asyncio.run(run())


def test_a_removal_that_never_happened_is_not_undone() -> None:
    """The process died between the seal and the store: of a replacement, too."""

    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", "1", "2")
        with new_backup(ORIGIN) as backup:
            await backup.keep(store, Conversation("c"), replacement=said("new"))
            manifest = backup.seal()
        assert await undone(store, manifest, dry_run=True) == [Restored("c", 0)]
        assert not backups.is_undone(manifest)
        assert await undone(store, manifest) == [Restored("c", 0)]
        assert await texts(store) == "1 2"
        assert backups.is_undone(manifest)

    asyncio.run(run())


def test_a_removal_that_is_still_on_its_way_is_called_off() -> None:
    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", "1", "2")
        with new_backup(ORIGIN) as backup:
            kept = await backup.keep(store, Conversation("c"))
            manifest = backup.seal()
        token = backups.journal(manifest).fates()[0].token
        await undone(store, manifest)
        with pytest.raises(SynmemError, match="called off"):
            await store.delete("c", upto=kept.upto, begins=kept.first, token=token)
        assert await texts(store) == "1 2"

    asyncio.run(run())


def test_a_backup_that_is_being_written_is_not_undone() -> None:
    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", "1")
        with new_backup(ORIGIN) as backup:
            await backup.keep(store, Conversation("c"))
            manifest = backup.seal()
            with pytest.raises(Busy, match="still running"):
                await undone(store, manifest)
        assert await undone(store, manifest) == [Restored("c", 0)]

    asyncio.run(run())


def test_a_second_undo_waits_for_the_first_and_finds_all_done() -> None:
    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", "1", "2")
        manifest = await cleared(store)
        waited: list[str] = []

        async def one() -> str:
            try:
                async for _ in undo(store, manifest, waiting=lambda: waited.append("waiting")):
                    await asyncio.sleep(0.2)
            except SynmemError as error:
                return str(error)
            return "done"

        both = sorted(await asyncio.gather(one(), one()))
        assert both == [f"backup {manifest.id} is undone already", "done"]
        assert waited == ["waiting"]
        assert await texts(store) == "1 2"

    asyncio.run(run())


def test_a_dry_run_tells_and_writes_nothing() -> None:
    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", "1", "2")
        manifest = await cleared(store)
        before = (backups.folder_of(manifest) / "journal").read_bytes()
        assert await undone(store, manifest, dry_run=True) == [Restored("c", 2)]
        assert await texts(store) == ""
        assert (backups.folder_of(manifest) / "journal").read_bytes() == before

    asyncio.run(run())


def test_notes_come_back_and_fit() -> None:
    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", *(f"{n}" for n in range(40)))
        notes = Notes(store, folders.state_path("notes"))
        made = await summarize(store, "c", notes, max_messages=10)
        await remember(made, notes, beside=True)
        noted = await notes.read("c", "summary")
        assert noted is not None
        assert noted[1]
        manifest = await cleared(store)
        assert await notes.read("c", "summary") is None
        await undone(store, manifest)
        again = await notes.read("c", "summary")
        assert again is not None
        note, fits = again
        assert fits
        assert note.value == noted[0].value

    asyncio.run(run())


def test_what_the_store_would_not_take_back_stays_and_is_named() -> None:
    class Picky(InMemoryStore):
        def refusal(self, message: Message) -> str | None:
            return "too odd" if message.content == "odd" else super().refusal(message)

        async def refuses_back(self, conversations: Sequence[str]) -> dict[str, str]:
            return {each: "its table refuses it" for each in conversations if each == "mine"}

    async def run() -> None:
        store = Picky()
        for name in ("c", "mine", "third"):
            await add(store, name, "1", "2", "3")
        store._held["third"].messages[1] = Message("user", "odd")
        for trim in (Trim(keep_last=1), Trim()):
            await cleared(store, trim)
            assert await texts(store, "mine") == "1 2 3"
            assert await texts(store, "third") == "1 odd 3"
        assert await texts(store, "c") == ""

    asyncio.run(run())


@pytest.mark.parametrize("damage", ["garbage", "altered", "inserted"])
def test_a_damaged_journal_is_named_and_nothing_is_written(damage: str) -> None:
    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", "1", "2")
        manifest = await cleared(store)
        path = backups.folder_of(manifest) / "journal"
        data = path.read_bytes()
        path.write_bytes({
            "garbage": b"\xff\xfe\x00garbage\n" + data,
            "altered": data.replace(b"removed", b"void"),
            "inserted": data + b"void 999999999999\n",
        }[damage])  # fmt: skip
        if damage == "inserted":
            path.write_bytes(data + b'00000000 {"do":"void"}\n')
        with pytest.raises(CorruptData, match="journal: damaged at line"):
            await undone(store, manifest)
        assert await texts(store) == ""
        assert backups.damage(manifest) is not None

    asyncio.run(run())


def test_a_last_line_that_was_cut_short_is_passed() -> None:
    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", "1", "2")
        manifest = await cleared(store)
        path = backups.folder_of(manifest) / "journal"
        path.write_bytes(path.read_bytes() + b'12345678 {"do": "resto')
        assert await undone(store, manifest) == [Restored("c", 2)]
        assert backups.is_undone(manifest)

    asyncio.run(run())


def test_what_was_kept_but_not_sealed_hides_nothing() -> None:
    """The process died in its second section: the first is whole."""

    async def run() -> None:
        store = InMemoryStore()
        await add(store, "a", "1", "2")
        await add(store, "b", "3")
        with new_backup(ORIGIN) as backup:
            kept = await backup.keep(store, Conversation("a"))
            manifest = backup.seal()
            await backup.delete(store, kept)
            await backup.keep(store, Conversation("b"))
            backup._data._file.flush()
        assert await undone(store, manifest) == [Restored("a", 2)]

    asyncio.run(run())


def test_another_backup_that_is_damaged_is_told() -> None:
    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", *"0123")
        older = await cleared(store, Trim(keep_last=3))
        newer = await cleared(store, Trim(keep_last=2))
        (backups.folder_of(newer) / "index.jsonl").write_bytes(b"{}\n")
        told: list[Damaged] = []
        assert [each async for each in undo(store, older, damaged=told.append)]
        assert [each.id for each in told] == [newer.id]

    asyncio.run(run())


@pytest.mark.parametrize("forged", [b"", b"null", b"[]", b'{"number": "x"}', b"\xff"])
def test_a_forged_index_is_damage_and_no_traceback(forged: bytes) -> None:
    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", "1")
        manifest = await cleared(store)
        folder = backups.folder_of(manifest)
        (folder / "index.jsonl").write_bytes(forged + b"\n")
        digest = backups.sha(hashlib.sha256(forged + b"\n"))
        changed = msgspec.structs.replace(manifest, index=digest)
        (folder / "manifest.json").write_bytes(backups.manifest_bytes(changed))
        with pytest.raises(CorruptData, match="index is damaged"):
            await undone(store, changed)

    asyncio.run(run())


def test_a_counter_that_is_damaged_goes_on_behind_the_backups() -> None:
    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", *"0123")
        older = await cleared(store, Trim(keep_last=3))
        assert backups.sequence_damage() is None
        (folders.state_folder("backups") / "sequence").write_text("nonsense")
        assert "sequence is damaged" in (backups.sequence_damage() or "")
        newer = await cleared(store, Trim(keep_last=2))
        assert newer.sequence > older.sequence
        assert backups.sequence_damage() is None

    asyncio.run(run())


def test_a_backup_of_before_has_neither_counter_nor_tokens_and_comes_back() -> None:
    """As version 1 wrote it: lines without checksums, no token, no first position."""

    async def run(word: str, removed: bool) -> None:
        store = InMemoryStore()
        await add(store, "c", "1", "2", "3")
        manifest = await cleared(store)
        if not removed:
            await store.replace(Conversation("c"), once(said("1", "2", "3")), upto=START)
        folder = backups.folder_of(manifest)
        (kept,) = backups.entries(manifest)
        upto = [page.position(-1) async for page in store.read(["c"])]
        plain = msgspec.structs.replace(kept, first="", upto=upto[0] if upto else kept.upto)
        line = msgspec.json.encode(plain) + b"\n"
        (folder / "index.jsonl").write_bytes(line)
        old = msgspec.structs.replace(
            manifest, version=1, sequence=0, index=backups.sha(hashlib.sha256(line))
        )
        (folder / "manifest.json").write_bytes(msgspec.json.encode(old))
        (folder / "journal").write_text(f"{word} 0\n" if word else "")
        assert await undone(store, backups.find(manifest.id)) == [Restored("c", 3 * removed)]
        assert await texts(store) == "1 2 3"

    for word in ("removed", ""):
        asyncio.run(run(word, removed=True))
    asyncio.run(run("", removed=False))


def test_the_journal_says_what_is_to_be_done_before_it_is_done() -> None:
    seen: list[str] = []

    class Watching(InMemoryStore):
        async def delete(self, *arguments: Any, **named: Any) -> bool:
            (folder,) = (p for p in folders.state_path("backups").iterdir() if p.is_dir())
            seen.append(Journal(folder).fates()[0].word or "")
            return await super().delete(*arguments, **named)

    async def run() -> None:
        store = Watching()
        await add(store, "c", "1")
        await cleared(store)
        assert seen == ["removing"]

    asyncio.run(run())
