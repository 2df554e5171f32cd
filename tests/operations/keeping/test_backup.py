"""Backups: what is about to go is on disk first, exactly, and comes back from there."""

import asyncio
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from synmem import folders
from synmem.backends.inmemory import InMemoryStore
from synmem.errors import (
    Changed,
    ConversationNotFound,
    CorruptData,
    StoreNotFound,
    SynmemError,
    UsageError,
)
from synmem.messages import Conversation, Holds, Message, Unreadable
from synmem.operations.keeping import backups
from synmem.operations.keeping.backup import NotKept, Origin, new_backup
from synmem.operations.keeping.backups import Manifest
from synmem.operations.keeping.undo import NotRestored, Restored, undo
from synmem.store import START, Part, once

ORIGIN = Origin("clear", "test", "memory:", "memory:test", "memory")
START_TIME = datetime(2026, 1, 1, 12, tzinfo=UTC)


def said(count: int, begin: int = 0) -> list[Message]:
    return [
        Message("user", f"message {i}", created_at=START_TIME + timedelta(minutes=i))
        for i in range(begin, begin + count)
    ]


async def filled(**conversations: int) -> InMemoryStore:
    store = InMemoryStore(page_size=2)
    await store.append([Part(Conversation(name), said(n)) for name, n in conversations.items()])
    return store


async def content(store: InMemoryStore, conversation: str) -> list[Message]:
    pages = store.read([conversation])
    return [item async for page in pages for item in page.items if isinstance(item, Message)]


async def remove(store: InMemoryStore, *ids: str) -> Manifest:
    """Back up and delete, as a command does."""
    with new_backup(ORIGIN) as backup:
        kept = [await backup.keep(store, Conversation(each)) for each in ids]
        manifest = backup.seal()
        for each in kept:
            await backup.delete(store, each)
        await backup.flush(store)
    return manifest


def token_of(manifest: Manifest, number: int) -> str:
    """The token of the removal that was announced."""
    return backups.fates(manifest)[number].token


async def bring_back(store: InMemoryStore, manifest: Manifest) -> list[Restored | NotRestored]:
    return [outcome async for outcome in undo(store, manifest)]


def test_what_was_removed_comes_back_exactly() -> None:
    odd = Message(
        "tool", "lone \ud800 surrogate, NUL \0, NaN", metadata={"n": float("nan"), "big": 2**70},
        created_at=START_TIME, tool_call_id="c1", name="f", parts=[{"type": "text", "text": "x"}],
        extra={"x": {"y": 1.0}},
    )  # fmt: skip

    async def run() -> None:
        store = InMemoryStore(page_size=2)
        ids = ["a", "b/\n*", "üñ\u2028"]
        conversation = [Conversation(each, f"title of {each}", {"e": [1]}) for each in ids]
        await store.append([Part(each, [odd, *said(4)]) for each in conversation])
        manifest = await remove(store, *ids)
        assert [page async for page in store.conversations()] == []
        outcomes = await bring_back(store, manifest)
        assert {each.conversation for each in outcomes} == set(ids)
        for each in ids:
            assert await content(store, each) == [odd, *said(4)]

    asyncio.run(run())


def test_title_and_extra_come_back() -> None:
    async def run() -> None:
        store = InMemoryStore()
        whole = Conversation("a", "A title", {"e": 1})
        await store.append([Part(whole, said(1))])
        with new_backup(ORIGIN) as backup:
            kept = [each async for each in backup.keep_whole(store, [whole])]
            manifest = backup.seal()
            assert not isinstance(kept[0], NotKept)
            await backup.delete(store, kept[0])
        await bring_back(store, manifest)
        (info,) = [info async for page in store.conversations(details=True) for info in page]
        assert (info.title, info.extra) == ("A title", {"e": 1})

    asyncio.run(run())


def test_a_front_comes_back_in_front() -> None:
    async def run() -> None:
        store = await filled(a=7)
        upto = await position(store, "a", 4)
        with new_backup(ORIGIN) as backup:
            kept = await backup.keep(store, Conversation("a"), upto=upto)
            assert (kept.messages, kept.upto) == (5, upto)
            manifest = backup.seal()
            await backup.delete(store, kept)
        assert await content(store, "a") == said(2, 5)
        await store.append([Part(Conversation("a"), said(1, 7))])
        assert await bring_back(store, manifest) == [Restored("a", 5)]
        assert await content(store, "a") == said(8)

    asyncio.run(run())


async def position(store: InMemoryStore, conversation: str, index: int) -> str:
    found = [
        page.position(i)
        async for page in store.read([conversation])
        for i in range(len(page.items))
    ]
    return found[index]


def test_a_conversation_that_exists_again_gets_the_old_messages_in_front() -> None:
    async def run() -> None:
        store = await filled(a=3)
        manifest = await remove(store, "a")
        await store.append([Part(Conversation("a", "new title"), said(1, 9))])
        await bring_back(store, manifest)
        assert await content(store, "a") == [*said(3), *said(1, 9)]
        (info,) = [info async for page in store.conversations(details=True) for info in page]
        assert info.title == "new title"

    asyncio.run(run())


def test_a_summary_gives_way_to_what_it_replaced() -> None:
    async def run(changed: bool) -> None:
        store = await filled(a=6)
        summary = [Message("system", "They talked.")]
        upto = await position(store, "a", 3)
        with new_backup(ORIGIN) as backup:
            kept = await backup.keep(store, Conversation("a"), upto=upto, replacement=summary)
            manifest = backup.seal()
            await backup.replace(store, kept, Conversation("a"), once(summary))
        if changed:
            await store.delete("a", upto=await position(store, "a", 0))
        before = await content(store, "a")
        (outcome,) = await bring_back(store, manifest)
        if changed:
            assert isinstance(outcome, NotRestored)
            assert "does not begin with what replaced" in str(outcome.error)
            assert await content(store, "a") == before
            assert not backups.is_undone(manifest)
        else:
            assert outcome == Restored("a", 4)
            assert await content(store, "a") == said(6)

    asyncio.run(run(changed=False))
    asyncio.run(run(changed=True))


def test_undone_twice_is_refused() -> None:
    async def run() -> None:
        store = await filled(a=1)
        manifest = await remove(store, "a")
        await bring_back(store, manifest)
        with pytest.raises(SynmemError, match="undone already"):
            await bring_back(store, manifest)
        assert await content(store, "a") == said(1)

    asyncio.run(run())


def test_what_a_crash_left_in_the_store_is_not_doubled() -> None:
    """The backup was sealed, and the process ended before anything was removed."""

    async def run() -> None:
        store = await filled(a=3, b=2)
        with new_backup(ORIGIN) as backup:
            await backup.keep(store, Conversation("a"))
            b = await backup.keep(store, Conversation("b"))
            manifest = backup.seal()
            await store.delete("b", upto=b.upto, token=token_of(manifest, 1))  # not journalled
        outcomes = await bring_back(store, manifest)
        assert sorted(outcomes, key=str) == sorted([Restored("a", 0), Restored("b", 2)], key=str)
        assert await content(store, "a") == said(3)
        assert await content(store, "b") == said(2)

    asyncio.run(run())


def test_a_trimmed_front_that_looks_like_what_stayed_comes_back() -> None:
    async def run() -> None:
        store = InMemoryStore()
        await store.append([Part(Conversation("a"), [Message("user", "hi")] * 3)])
        with new_backup(ORIGIN) as backup:
            kept = await backup.keep(store, Conversation("a"), upto=await position(store, "a", 0))
            manifest = backup.seal()
            # And the process ended here.
            await store.delete("a", upto=kept.upto, token=token_of(manifest, 0))
        await bring_back(store, manifest)
        assert await content(store, "a") == [Message("user", "hi")] * 3

    asyncio.run(run())


class Dying(InMemoryStore):
    """Ends the process, as it were, right behind its n-th replace."""

    left = 1

    async def replace(self, *arguments: object, **named: object) -> None:  # type: ignore[override]
        await super().replace(*arguments, **named)  # type: ignore[arg-type]
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def test_an_undo_that_died_goes_on_and_doubles_nothing() -> None:
    async def run() -> None:
        store = Dying(page_size=2)
        ids = ["a", "b", "c"]
        await store.append([Part(Conversation(each), said(4)) for each in ids])
        manifest = await remove(store, *ids)
        await store.append([Part(Conversation(each), said(1, 4)) for each in ids])
        with pytest.raises(KeyboardInterrupt):
            await bring_back(store, manifest)
        store.left = 99
        await bring_back(store, manifest)
        for each in ids:
            assert await content(store, each) == said(5)
        assert backups.is_undone(manifest)

    asyncio.run(run())


def test_where_an_append_is_not_atomic_an_undo_that_died_goes_on() -> None:
    class Torn(Dying):
        """Writes half of what is appended, and ends the process."""

        dies = False
        holds = Holds(atomic_messages=0)

        async def append(self, parts, *, keep=None, token=None):  # type: ignore[no-untyped-def]
            if not self.dies:
                return await super().append(parts, keep=keep, token=token)
            half = [Part(each.conversation, each.messages[:2]) for each in parts[:2]]
            await super().append(half)
            raise KeyboardInterrupt

    async def run() -> None:
        store = Torn(page_size=2)
        ids = ["a", "b", "c"]
        await store.append([Part(Conversation(each, "title"), said(5)) for each in ids])
        manifest = await remove(store, *ids)
        store.dies = True
        with pytest.raises(KeyboardInterrupt):
            await bring_back(store, manifest)
        store.dies, store.left = False, 99
        await bring_back(store, manifest)
        for each in ids:
            assert await content(store, each) == said(5)

    asyncio.run(run())


def test_what_was_replaced_comes_back_where_the_conversation_is_gone_by_now() -> None:
    async def run() -> None:
        store = await filled(a=3)
        new = [Message("user", "new")]
        with new_backup(ORIGIN) as backup:
            kept = await backup.keep(store, Conversation("a"), replacement=new)
            manifest = backup.seal()
            await backup.replace(store, kept, Conversation("a"), once(new))
        await store.delete("a")
        assert await bring_back(store, manifest) == [Restored("a", 3)]
        assert await content(store, "a") == said(3)

    asyncio.run(run())


def test_a_damaged_backup_writes_nothing() -> None:
    async def run(damage: str) -> None:
        store = await filled(a=3)
        manifest = await remove(store, "a")
        file = backups.messages_file(manifest)
        data = file.read_bytes()
        file.write_bytes({
            "altered": data.replace(b"message 1", b"message 7"),
            "cut": data[:-20],
            "no seal": data[: data.rindex(b'{"synmem"')],
            "line gone": b"\n".join(data.split(b"\n")[:2] + data.split(b"\n")[3:]),
        }[damage])  # fmt: skip
        with pytest.raises(CorruptData, match=manifest.id):
            await bring_back(store, manifest)
        assert await content(store, "a") == []

    for damage in ("altered", "cut", "no seal", "line gone"):
        asyncio.run(run(damage))


def test_a_damaged_index_writes_nothing() -> None:
    async def run() -> None:
        store = await filled(a=3)
        manifest = await remove(store, "a")
        index = backups.messages_file(manifest).with_name("index.jsonl")
        index.write_bytes(index.read_bytes().replace(b'"messages":3', b'"messages":2'))
        with pytest.raises(CorruptData, match="index"):
            await bring_back(store, manifest)

    asyncio.run(run())


def test_what_cannot_be_read_is_not_kept_and_leaves_no_trace() -> None:
    async def run() -> None:
        store = await filled(a=2, bad=5, c=3)
        store._held["bad"].messages[3] = Unreadable("4", "not JSON")
        with new_backup(ORIGIN) as backup:
            with pytest.raises(CorruptData, match=r"'bad', record 4: not JSON"):
                await backup.keep(store, Conversation("bad"))
            ids = [Conversation(each) for each in ("a", "bad", "c")]
            outcomes = [each async for each in backup.keep_whole(store, ids)]
            manifest = backup.seal()
        assert [type(each).__name__ for each in outcomes] == ["Kept", "NotKept", "Kept"]
        assert (manifest.conversations, manifest.messages) == (2, 5)
        backups.verify(manifest)
        assert b'"bad"' not in backups.messages_file(manifest).read_bytes()
        read = [
            m for kept in backups.entries(manifest) for p in backups.read(manifest, kept) for m in p
        ]
        assert read == [*said(2), *said(3)]

    asyncio.run(run())


def test_keep_says_what_is_not_there() -> None:
    async def run() -> None:
        store = await filled(a=2)
        gone = await position(store, "a", 0)
        await store.delete("a", upto=gone)
        with new_backup(ORIGIN) as backup:
            with pytest.raises(ConversationNotFound):
                await backup.keep(store, Conversation("b"))
            with pytest.raises(Changed):
                await backup.keep(store, Conversation("a"), upto=gone)
        assert backups.backups() == []

    asyncio.run(run())


def test_a_second_seal_adds_a_section() -> None:
    async def run() -> None:
        store = await filled(a=2, b=3)
        with new_backup(ORIGIN) as backup:
            first = await backup.keep(store, Conversation("a"))
            backup.seal()
            await store.replace(Conversation("a"), once(said(3)), upto=first.upto)
            with pytest.raises(Changed):
                await backup.delete(store, first)
            again = await backup.keep(store, Conversation("a"))
            manifest = backup.seal()
            await backup.delete(store, again)
        assert await bring_back(store, manifest) == [Restored("a", 3)]
        assert await content(store, "a") == said(3)

    asyncio.run(run())


def test_without_a_seal_nothing_is_left() -> None:
    async def run() -> None:
        store = await filled(a=1)
        with new_backup(ORIGIN) as backup:
            await backup.keep(store, Conversation("a"))
            folder = backup.folder
            assert folder.exists()
        assert not folder.exists()

    asyncio.run(run())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_backup_is_private() -> None:
    async def run() -> None:
        manifest = await remove(await filled(a=1), "a")
        folder = backups.messages_file(manifest).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}

    asyncio.run(run())


def test_backups_are_listed_newest_first_and_found_by_a_beginning() -> None:
    async def run() -> None:
        store = await filled(a=1, b=1)
        old = await remove(store, "a")
        new = await remove(store, "b")
        assert backups.backups() == [new, old]
        assert backups.find(old.id) == old
        assert backups.find(new.id[:-1]) == new
        with pytest.raises(UsageError):
            backups.find("2")
        for wrong in ("", "nonsense"):
            with pytest.raises(StoreNotFound):
                backups.find(wrong)

    asyncio.run(run())


def test_other_things_in_the_folder_are_passed_over_and_what_is_damaged_is_named() -> None:
    folder = folders.state_folder("backups")
    (folder / "note.txt").write_text("mine")
    (folder / "unfinished").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "manifest.json").write_text("{")
    assert backups.backups() == []
    assert [each.id for each in backups.every()[1]] == ["broken"]


def test_a_disk_that_is_full_stops_before_anything_is_removed(tmp_path: Path) -> None:
    blocked = folders.state_folder() / "backups"
    blocked.write_text("a file where the folder should be")
    with pytest.raises(SynmemError, match="cannot be written"), new_backup(ORIGIN):
        pass


def test_many_small_conversations_come_back_in_few_writes() -> None:
    class Counting(InMemoryStore):
        calls = 0

        async def append(self, parts, *, keep=None, token=None):  # type: ignore[no-untyped-def]
            self.calls += 1
            return await super().append(parts, keep=keep, token=token)

    async def run() -> None:
        store = Counting()
        ids = [f"c{i}" for i in range(1200)]
        await store.append([Part(Conversation(each), said(1)) for each in ids])
        manifest = await remove(store, *ids)
        store.calls = 0
        assert len(await bring_back(store, manifest)) == 1200
        assert store.calls == 3

    asyncio.run(run())


def test_start_is_no_position_to_keep_up_to() -> None:
    async def run() -> None:
        store = await filled(a=1)
        with new_backup(ORIGIN) as backup, pytest.raises(Changed):
            await backup.keep(store, Conversation("a"), upto=START)

    asyncio.run(run())


def test_a_full_disk_is_said_of_the_backup_and_of_its_folder() -> None:
    resource = pytest.importorskip("resource")

    async def main() -> None:
        store = InMemoryStore()
        await store.append([Part(Conversation("a"), [Message("user", "x" * 300_000)])])
        _, most = before = resource.getrlimit(resource.RLIMIT_FSIZE)
        with new_backup(ORIGIN) as backup:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, most))
            try:
                with pytest.raises(SynmemError, match=r"backups: the backup .* File too large"):
                    await backup.keep(store, Conversation("a"))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)

    asyncio.run(main())
