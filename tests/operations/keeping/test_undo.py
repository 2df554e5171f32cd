"""What undo finds, and what it does then: the cases that were seen to go wrong, stated right."""

import asyncio
import hashlib
import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from synmem import folders
from synmem.backends.inmemory import InMemoryStore
from synmem.errors import Busy, CorruptData, Refused, Rejected, StoreUnavailable, SynmemError
from synmem.messages import Conversation, Holds, Message, Unreadable
from synmem.notes import Notes
from synmem.operations.deriving.summarize import remember, replace_fronts, summarize
from synmem.operations.keeping import backups
from synmem.operations.keeping.backup import Origin, new_backup
from synmem.operations.keeping.backups import Damaged, Manifest
from synmem.operations.keeping.clear import Cleared, Trim, clear, plan
from synmem.operations.keeping.journal import Journal
from synmem.operations.keeping.undo import NotRestored, Restored, Undo, undo
from synmem.operations.listing import listing
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
        assert "message 3 differs: content" in str(outcome.error)
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
        token = backups.fates(manifest)[0].token
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
            "inserted": data + b"undone -1\n",
        }[damage])  # fmt: skip
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
            seen.append(Journal(folder).fates(1)[0].word or "")
            return await super().delete(*arguments, **named)

    async def run() -> None:
        store = Watching()
        await add(store, "c", "1")
        await cleared(store)
        assert seen == ["removing"]

    asyncio.run(run())


def test_what_a_store_has_forgotten_is_looked_for_and_never_taken_for_undone() -> None:
    """Redis may lose a token, or a journal its last line after the token was forgotten."""

    async def run(trim: Trim) -> None:
        store = InMemoryStore()
        await add(store, "c", *"0123")
        manifest = await cleared(store, trim)
        path = backups.folder_of(manifest) / "journal"
        path.write_bytes(path.read_bytes().split(b"\n")[0] + b"\n")
        assert store._steps == {}
        assert await undone(store, manifest) == [Restored("c", 4 - (trim.keep_last or 0))]
        assert await texts(store) == "0 1 2 3"

    asyncio.run(run(Trim()))
    asyncio.run(run(Trim(keep_last=1)))


def test_the_end_of_what_was_removed_brought_back_by_hand_is_named() -> None:
    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", *"012345")
        manifest = await cleared(store)
        await add(store, "c", "3", "4", "5", "new")
        assert [type(each) for each in await undone(store, manifest)] == [Restored]
        assert await texts(store) == "0 1 2 3 4 5 3 4 5 new"

    async def named(*there: str) -> None:
        store = InMemoryStore()
        await add(store, "c", *"012345")
        manifest = await cleared(store)
        await add(store, "c", *there)
        (outcome,) = await undone(store, manifest)
        assert isinstance(outcome, NotRestored)
        assert "are the last of these" in str(outcome.error)
        assert await texts(store) == " ".join(there)

    asyncio.run(named("3", "4", "5"))
    asyncio.run(named("5"))
    asyncio.run(named("2", "3", "4", "5", "new"))
    asyncio.run(run())  # three of four that are there: perhaps by chance


def test_a_dry_run_with_newer_foretells_what_the_run_does() -> None:
    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", *"0123456789")
        older = await cleared(store, Trim(keep_last=7))
        await cleared(store, Trim(keep_last=3))
        expected = [Restored("c", 4), Restored("c", 3)]
        assert await undone(store, older, with_newer=True, dry_run=True) == expected
        assert await texts(store) == "7 8 9"
        assert await undone(store, older, with_newer=True) == expected

    asyncio.run(run())


def test_a_record_behind_that_cannot_be_read_is_no_proof() -> None:
    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", *"01234")
        store._held["c"].messages[3] = Unreadable("4", "not JSON")
        manifest = await cleared(store, Trim(keep_last=2))
        await store.delete("c")
        await add(store, "c", "0", "1", "other")
        (outcome,) = await undone(store, manifest)
        assert isinstance(outcome, NotRestored)
        assert await texts(store) == "0 1 other"

    asyncio.run(run())


def test_a_note_that_is_refused_keeps_nothing_back() -> None:
    class Full(InMemoryStore):
        async def set_note(self, conversation: str, name: str, value: Any | None) -> None:
            if value == "large":
                raise Rejected([(conversation, 0, "too large")])
            await super().set_note(conversation, name, value)

    async def run() -> None:
        store = Full()
        for name in ("c", "d"):
            await add(store, name, "1")
            store._held[name].notes = {"summary": "large", "other": name}
        manifest = await cleared(store)
        assert len(await undone(store, manifest)) == 2
        assert backups.is_undone(manifest)
        assert await store.notes(["c", "d"]) == {"c": {"other": "c"}, "d": {"other": "d"}}

    asyncio.run(run())


def test_what_is_brought_to_another_store_is_due_in_its_own_all_the_same() -> None:
    async def run() -> None:
        store, other = InMemoryStore(), InMemoryStore()
        await add(store, "c", "1", "2")
        manifest = await cleared(store)
        for _ in range(2):
            await undone(other, manifest, elsewhere=True)
            assert await texts(other) == "1 2"
            assert not backups.is_undone(manifest)
        assert await undone(store, manifest) == [Restored("c", 2)]
        assert await texts(store) == "1 2"

    asyncio.run(run())


def test_notes_of_a_trimmed_or_summarized_conversation_fit_again() -> None:
    async def run(replaced: bool) -> None:
        store = InMemoryStore()
        await add(store, "c", *(f"sentence {n} of many" for n in range(60)))
        notes = Notes(store, folders.state_path("notes"))
        made = await summarize(store, "c", notes, max_messages=10)
        await remember(made, notes, beside=True)
        if replaced:
            with new_backup(ORIGIN) as backup:
                async for _ in replace_fronts(store, [made], notes, backup):
                    pass
            manifest = backups.backups()[0]
            assert await notes.read("c", "summary") is None
        else:
            manifest = await cleared(store, Trim(keep_last=20))
        await undone(store, manifest)
        again = await notes.read("c", "summary")
        assert again is not None
        assert again[1]

    asyncio.run(run(replaced=False))
    asyncio.run(run(replaced=True))


def test_a_title_that_came_with_what_replaced_goes_with_it() -> None:
    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", "1", "2")
        with new_backup(ORIGIN) as backup:
            kept = await backup.keep(store, Conversation("c"), replacement=said("theirs"))
            manifest = backup.seal()
            theirs = Conversation("c", "Theirs", {"e": 1})
            await backup.replace(store, kept, theirs, once(said("theirs")))
        await undone(store, manifest)
        (info,) = [info async for page in store.conversations(details=True) for info in page]
        assert (info.title, info.extra) == (None, None)

    asyncio.run(run())


def test_tokens_are_forgotten_however_a_removal_ends() -> None:
    class Failing(InMemoryStore):
        left = 3

        async def delete(self, *arguments: Any, **named: Any) -> bool:
            self.left -= 1
            if self.left < 0:
                raise StoreUnavailable("gone")
            return await super().delete(*arguments, **named)

    async def run() -> None:
        store = Failing()
        for name in "abcdef":
            await add(store, name, "1")
        with pytest.raises(StoreUnavailable):
            await cleared(store)
        assert store._steps == {}
        (manifest,) = backups.backups()
        assert sum(bool(each.messages) for each in await undone(store, manifest)) == 3

    asyncio.run(run())


def test_of_a_long_line_that_the_disk_takes_in_part_nothing_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    journal = Journal(tmp_path)
    journal.note("removed", [0])
    write = os.write

    def full(file: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return write(file, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(SynmemError, match="No space left"):
        journal.note("void", [1])
    monkeypatch.undo()
    journal.note("restored", [0])
    assert {number: fate.word for number, fate in journal.fates(9).items()} == {0: "restored"}
    journal.close()


def test_a_counter_that_reads_too_low_is_not_believed() -> None:
    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", *"0123")
        older = await cleared(store, Trim(keep_last=3))
        await cleared(store, Trim(keep_last=2))
        (folders.state_folder("backups") / "sequence").write_text("0\n")
        assert "sequence is damaged" in (backups.sequence_damage() or "")
        newest = await cleared(store, Trim(keep_last=1))
        assert newest.sequence > older.sequence + 1

    asyncio.run(run())


def test_a_folder_that_lost_its_files_is_named_and_hides_nothing() -> None:
    async def run() -> None:
        store = InMemoryStore()
        await add(store, "c", "1")
        manifest = await cleared(store)
        folder = backups.folder_of(manifest)
        for file in folder.iterdir():
            file.unlink()
        (lost,) = backups.every()[1]
        assert (lost.id, lost.hides) == (manifest.id, False)
        with new_backup(ORIGIN) as backup:
            assert [each.id for each in backups.every()[1]] == [manifest.id]
            assert backup.id != manifest.id

    asyncio.run(run())


async def as_version_1(manifest: Manifest, word: str) -> Manifest:
    """The backup as version 1 would have written it."""
    folder = backups.folder_of(manifest)
    lines = [
        msgspec.json.encode(msgspec.structs.replace(kept, first="", left=None)) + b"\n"
        for kept in backups.entries(manifest)
    ]
    (folder / "index.jsonl").write_bytes(b"".join(lines))
    digest = backups.sha(hashlib.sha256(b"".join(lines)))
    old = msgspec.structs.replace(manifest, version=1, sequence=0, index=digest)
    (folder / "manifest.json").write_bytes(msgspec.json.encode(old))
    (folder / "journal").write_text(f"{word} 0\n" if word else "")
    return backups.find(manifest.id)


@pytest.mark.parametrize("word", ["removed", ""])
@pytest.mark.parametrize("lasting", [True, False])
def test_an_old_backup_of_repeating_texts_says_that_it_does_not_know(
    word: str, lasting: bool
) -> None:
    class Store(InMemoryStore):
        holds = Holds(lasting_positions=lasting)

    async def run() -> None:
        store = Store()
        await add(store, "c", *["ping"] * 10)
        manifest = await as_version_1(await cleared(store, Trim(keep_last=5)), word)
        (outcome,) = await undone(store, manifest)
        assert isinstance(outcome, NotRestored)
        assert "old backup" in str(outcome.error)
        assert not backups.is_undone(manifest)
        assert await undone(store, manifest, force=True) == [Restored("c", 5)]
        assert await texts(store) == " ".join(["ping"] * 10)

    asyncio.run(run())


def test_an_undo_to_another_store_that_was_killed_is_not_doubled() -> None:
    class Dying(InMemoryStore):
        dies = True

        async def replace(self, *arguments: Any, **named: Any) -> None:
            await super().replace(*arguments, **named)
            if self.dies:
                raise KeyboardInterrupt

    async def run() -> None:
        store, other = InMemoryStore(), Dying()
        await add(store, "c", *["ping"] * 10)
        await add(other, "c", "other")
        manifest = await cleared(store, Trim(keep_last=5))
        with pytest.raises(KeyboardInterrupt):
            await undone(other, manifest, elsewhere=True)
        other.dies = False
        assert await undone(other, manifest, elsewhere=True) == [Restored("c", 0)]
        assert await texts(other) == "ping ping ping ping ping other"

    asyncio.run(run())


def test_where_the_newer_cannot_come_back_the_older_waits() -> None:
    class Full(InMemoryStore):
        full = False

        async def replace(self, conversation: Conversation, messages: Any, **named: Any) -> None:
            given = [each async for page in messages for each in page]
            if self.full and any(each.content == "3" for each in given):
                raise Rejected([(conversation.id, 0, "no room")])
            await super().replace(conversation, once(given), **named)

    async def run() -> None:
        store = Full()
        await add(store, "c", *"0123456789")
        older = await cleared(store, Trim(keep_last=7))
        await cleared(store, Trim(keep_last=4))
        store.full = True
        outcomes = await undone(store, older, with_newer=True)
        assert [type(each) for each in outcomes] == [NotRestored, NotRestored]
        assert "removed later" in str(outcomes[1].error)
        assert await texts(store) == "6 7 8 9"
        store.full = False
        await undone(store, older, with_newer=True)
        assert await texts(store) == "0 1 2 3 4 5 6 7 8 9"

    asyncio.run(run())


def test_a_title_comes_back_also_to_what_was_brought_back_by_hand() -> None:
    async def run() -> None:
        store = InMemoryStore()
        await store.append([Part(Conversation("c", "A title", {"e": 1}), said("1", "2"))])
        manifest = await cleared(store)
        await add(store, "c", "1", "2")
        assert await undone(store, manifest) == [Restored("c", 0)]
        (info,) = [info async for page in store.conversations(details=True) for info in page]
        assert (info.title, info.extra) == ("A title", {"e": 1})

    asyncio.run(run())


def test_a_title_that_comes_while_it_is_backed_up_is_backed_up() -> None:
    """An undo, say, brings it back between the look at the title and the look at the messages."""

    class Titled(InMemoryStore):
        armed = False

        def read(self, *arguments: Any, **named: Any) -> Any:
            if self.armed:
                self.armed = False
                self._held["c"].title = "A title"
            return super().read(*arguments, **named)

    async def run() -> None:
        store = Titled()
        await add(store, "c", "1", "2")
        infos = [info async for page in store.conversations(details=True) for info in page]
        doomed = [each async for each in plan(store, infos, Trim())]
        store.armed = True
        with new_backup(ORIGIN) as backup:
            outcomes = [each async for each in clear(store, doomed, Trim(), backup)]
        assert Cleared("c", 2) in outcomes
        await undone(store, backups.backups()[0])
        (info,) = [info async for page in store.conversations(details=True) for info in page]
        assert info.title == "A title"

    asyncio.run(run())


def test_a_title_comes_back_to_what_comes_back_by_hand_in_the_same_moment() -> None:
    class Raced(InMemoryStore):
        armed = False

        async def append(self, parts: Any, **named: Any) -> Any:
            if self.armed:
                self.armed = False
                await super().append([Part(Conversation("c"), said("1", "2"))])
            return await super().append(parts, **named)

    async def run() -> None:
        store = Raced()
        await store.append([Part(Conversation("c", "A title"), said("1", "2"))])
        manifest = await cleared(store)
        store.armed = True
        assert await undone(store, manifest) == [Restored("c", 0)]
        (info,) = [info async for page in store.conversations(details=True) for info in page]
        assert info.title == "A title"
        assert await texts(store) == "1 2"

    asyncio.run(run())


def test_what_is_void_before_it_was_announced_is_void_after_that() -> None:
    async def run() -> None:
        store = InMemoryStore()
        await add(store, "a", "1")
        await add(store, "b", "2")
        with new_backup(ORIGIN) as backup:
            backup.void(await backup.keep(store, Conversation("a")))
            await backup.flush(store)  # nothing was announced yet
            kept = await backup.keep(store, Conversation("b"))
            manifest = backup.seal()
            await backup.delete(store, kept)
        words = {number: fate.word for number, fate in backups.fates(manifest).items()}
        assert words == {0: "void", 1: "removed"}

    asyncio.run(run())
