"""Files of other programs: where their conversations lie, also when they change under a reader."""

import asyncio
import errno
import gzip
import json
import os
import threading
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from synmem.backends.file import foreign_source, foreign_units
from synmem.backends.file.finding import FilesFit
from synmem.backends.file.foreign_source import FilesSource
from synmem.backends.file.foreign_units import Units
from synmem.backends.file.members import FolderPlace
from synmem.backends.file.remembered import Remembered
from synmem.backends.file.store import open as open_file
from synmem.backends.whole import WholeStore
from synmem.errors import Changed, CorruptData, Unnamed, Unsupported
from synmem.layouts import registry
from synmem.layouts.foreign.named_files import each_ending, stem
from synmem.layouts.heads import Head
from synmem.layouts.shapes import Export, Files, Folder, Told, Value
from synmem.messages import STRAY, TWICE, Damage, Holds, Message
from synmem.operations.searching.word_index import open_index
from synmem.operations.show import Filter, Reading
from synmem.store import START
from tests.conformance import contents, details, ids, run

HOLDS = Holds(own=False)
SAID = {"role": "user", "meta": {}, "name": None}


def said(*texts: str) -> str:
    """A conversation as Haystack has it."""
    return json.dumps([{**SAID, "content": [{"text": text}]} for text in texts])


def store(path: Path, **settings: Any) -> WholeStore:
    found = run(open_file({"path": str(path), **settings}, page_size=2))
    assert isinstance(found, WholeStore)
    return found


class Counted:
    """The shape of text files, each line of which is a message; it counts what it was given."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def unfold(self, files: Files) -> Mapping[str, Told]:
        self.read.append(files.name)
        (data,) = files.data.values()
        if b"half" in data:
            raise ValueError("it is cut off")
        title, *lines = data.decode().split("\n")
        return {
            stem(files.name): Told(messages=[Message("user", line) for line in lines], title=title)
        }

    def shape(
        self, group: Callable[[Sequence[str]], Mapping[str, Sequence[str]]] | None = None
    ) -> Folder:
        return Folder(
            group=group or each_ending(".txt"), misses=self._misses, unfold=self.unfold, holds=HOLDS
        )

    @staticmethod
    def _misses(head: Head) -> str | None:
        return None if head.data.startswith(b"#") else ""

    def store(self, path: Path, shape: Folder | Export | None = None) -> WholeStore:
        place = FolderPlace(path, str(path))
        fit = FilesFit("counted", shape or self.shape(), alone=False)
        source = FilesSource(place, Units(place, fit), Remembered(path, "x"), page_size=2)
        return WholeStore(source, HOLDS, "counted", branches=False, page_size=2)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    monkeypatch.setattr(foreign_source, "_SMALL", 0)
    return Counted()


# --- what is remembered ---------------------------------------------------------------------


def test_what_has_not_changed_is_not_read_again(tmp_path: Path, counted: Counted) -> None:
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text(f"Title {name}\none\ntwo")

    first = run(details(counted.store(tmp_path)))
    assert counted.read == ["a.txt", "b.txt", "c.txt"]
    assert {id_: (info.messages, info.title) for id_, info in first.items()} == {
        name: (2, f"Title {name}") for name in "abc"
    }
    counted.read.clear()
    assert run(details(counted.store(tmp_path))) == first
    assert counted.read == []
    (tmp_path / "b.txt").write_text("Title b\none\ntwo\nthree")
    (tmp_path / "a.txt").unlink()
    (tmp_path / "d.txt").write_text("Title d\none")
    again = run(details(counted.store(tmp_path)))
    assert counted.read == ["b.txt", "d.txt"]
    assert {id_: info.messages for id_, info in again.items()} == {"b": 3, "c": 2, "d": 1}


def test_a_change_that_keeps_size_and_time_is_seen_by_its_inode(
    tmp_path: Path, counted: Counted
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("Title\none")
    before = path.stat()
    assert run(contents(counted.store(tmp_path), "a")) == ["one"]
    fresh = tmp_path / "fresh"
    fresh.write_text("Title\ntwo")
    fresh.replace(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert run(contents(counted.store(tmp_path), "a")) == ["two"]


def test_what_is_remembered_is_private_and_of_no_use_when_it_is_damaged(
    tmp_path: Path, counted: Counted
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "a.txt").write_text("Title\none")
    first = run(details(counted.store(place)))
    [kept] = (Path(os.environ["XDG_STATE_HOME"]) / "synmem" / "listings").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    for damaged in (b"", b"[", kept.read_bytes()[:-3], b'["0", {}]', b"\xff" * 50):
        kept.write_bytes(damaged)
        assert run(details(counted.store(place))) == first
    kept.unlink()
    os.mkfifo(kept)
    assert run(details(counted.store(place))) == first
    kept.unlink()
    kept.symlink_to("/dev/zero")
    assert run(details(counted.store(place))) == first


def test_a_state_folder_that_cannot_be_written_hinders_nothing(
    tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("Title\none")
    (tmp_path / "state").write_text("a file")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert run(contents(counted.store(tmp_path), "a")) == ["one"]


def test_one_conversation_of_many_is_read_without_the_others(
    tmp_path: Path, counted: Counted
) -> None:
    for name in "abc":
        (tmp_path / f"{name}-1.txt").write_text("Title\none")
    assert run(contents(counted.store(tmp_path), "b-1")) == ["one"]
    assert counted.read == ["b-1.txt", "b-1.txt"]  # seen, and read
    assert run(contents(counted.store(tmp_path), "nothing")) == []


# --- files that change ----------------------------------------------------------------------


def test_a_file_that_grows_is_read_on_and_one_that_was_rewritten_has_changed(
    tmp_path: Path, counted: Counted
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("Title\none\ntwo")

    async def main() -> None:
        whole = counted.store(tmp_path)
        page = [page async for page in whole.read(["a"])][-1]
        position = page.position(-1)
        assert [page async for page in whole.read(["a"], after=position)] == []
        path.write_text("Title\none\ntwo\nthree\nfour")
        assert await contents(whole, "a", after=position) == ["three", "four"]
        path.write_text("Title\nnothing")
        with pytest.raises(Changed):
            await contents(whole, "a", after=position)
        path.unlink()
        with pytest.raises(Changed):
            await contents(whole, "a", after=position)
        assert await contents(whole, "a", after=START) == []

    run(main())


def test_a_file_that_is_met_half_written_is_read_once_more(
    tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("half")
    monkeypatch.setattr("time.sleep", lambda _: path.write_text("Title\none"))
    assert run(contents(counted.store(tmp_path), "a")) == ["one"]
    path.write_text("half")
    monkeypatch.setattr("time.sleep", lambda _: None)

    async def main() -> None:
        whole = counted.store(tmp_path)
        assert await ids(whole) == []
        [stray] = await whole.strays()
        assert (stray.kind, stray.position) == (STRAY, "a.txt")
        assert "it is cut off" in stray.reason

    run(main())


def test_one_file_that_cannot_be_read_hides_no_other(tmp_path: Path, counted: Counted) -> None:
    (tmp_path / "a.txt").write_text("half")
    (tmp_path / "b.txt").write_text("Title\none")
    (tmp_path / "c.txt").write_bytes(b"\xff\xff\n")
    (tmp_path / "d.txt").write_text("# another program's")

    async def main() -> None:
        whole = counted.store(tmp_path)
        assert await ids(whole) == ["b"]
        assert [each.position for each in await whole.strays()] == ["a.txt", "c.txt"]

    run(main())


def test_a_file_that_is_damaged_before_what_tells_whose_it_is_is_named(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.json").write_text(said(name))
    others = {
        "._a.json": b"\0\5\x16\7", "README": b"\0", "x.png": b"\x89PNG", "empty.json": b" \n",
        "null.json": b"null", "lines.json": b'{"a":1}\n{"a":2}\n', "other.json": b'["x"]',
        "long.json": b'{"a": "' + b"x" * 100_000 + b'"}',
    }  # fmt: skip
    damaged = {
        "cut.json": said("d")[:12].encode(), "nuls.json": b"\0" * 9 + said("d")[9:].encode(),
        "zeros.json": bytes(100_000), "text.json": b"Not found\n",
    }  # fmt: skip
    for name, data in (others | damaged).items():
        (tmp_path / name).write_bytes(data)

    async def main() -> None:
        found = await open_file({"path": str(tmp_path)})
        assert isinstance(found, WholeStore)
        assert await ids(found) == ["a", "b", "c"]
        said_of = {each.position: (each.kind, each.reason) for each in await found.strays()}
        assert said_of == dict.fromkeys(damaged, (STRAY, "it cannot be read: it is no JSON"))
        await found.close()

    run(main())


def test_a_folder_that_may_not_be_looked_into_is_named_until_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/a.json", "b/b.json", "b/node_modules/c.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(said("x"))
    scandir, errors = os.scandir, [errno.EACCES]

    def closed(path: Path) -> Any:
        if path.name == "b" and errors:
            raise OSError(errors[0], os.strerror(errors[0]))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)

    async def main() -> None:
        found = await open_file({"path": str(tmp_path)})
        assert isinstance(found, WholeStore)
        assert await ids(found) == ["a"]
        why = "it cannot be looked into: Permission denied"
        assert await found.strays() == [Damage(STRAY, "b", why)]
        errors[0] = errno.ENOENT  # it was removed meanwhile
        assert await found.strays() == []
        errors.clear()
        assert (await ids(found), await found.strays()) == (["a", "b"], [])
        await found.close()

    run(main())


def test_a_file_that_is_too_large_is_named(
    tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign_units, "LARGEST", 10)
    (tmp_path / "a.txt").write_text("Title\n" + "x" * 10)

    async def main() -> None:
        [stray] = await counted.store(tmp_path).strays()
        assert "larger than 10 bytes" in stray.reason

    run(main())
    assert counted.read == []


def test_of_a_conversation_in_several_files_the_longest_is_read_and_it_is_said(
    tmp_path: Path, counted: Counted
) -> None:
    for folder, text in (("x", "one"), ("y", "one\ntwo"), ("z", "one")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text(f"{folder}\n{text}")

    async def main() -> None:
        whole = counted.store(tmp_path)
        assert await contents(whole, "a") == ["one", "two"]
        found = await whole.strays()
        assert [(each.kind, each.position) for each in found] == [
            (TWICE, "x/a.txt"),
            (TWICE, "z/a.txt"),
        ]
        assert all("y/a.txt" in each.reason for each in found)

    run(main())


def test_of_two_that_say_different_things_the_one_that_is_not_read_is_a_fault(
    tmp_path: Path, counted: Counted
) -> None:
    for folder, text in (("x", "one\nthree\nfour"), ("y", "one\ntwo\nthree\nfive"), ("z", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text(f"{folder}\n{text}")

    async def main() -> None:
        whole = counted.store(tmp_path)
        assert await contents(whole, "a") == ["one", "two", "three", "five"]
        x, z = await whole.strays()
        assert (x.kind, x.position, z.kind, z.position) == (STRAY, "x/a.txt", TWICE, "z/a.txt")
        assert "read in y/a.txt, which lacks 1 of the messages that are here" in x.reason

    run(main())


def test_an_id_that_no_conversation_can_have_is_named(tmp_path: Path, counted: Counted) -> None:
    (tmp_path / os.fsdecode(b"\xff.txt")).write_text("Title\none")
    (tmp_path / "a.txt").write_text("Title\none")

    async def main() -> None:
        whole = counted.store(tmp_path)
        assert await ids(whole) == ["a"]
        [stray] = await whole.strays()
        assert "UTF-8" in stray.reason

    run(main())


def test_what_a_search_index_stands_on_changes_with_the_files(
    tmp_path: Path, counted: Counted
) -> None:
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("Title\none")

    async def main() -> None:
        whole = counted.store(tmp_path)
        version = await whole.version()
        prints = await whole.fingerprints({"a": START, "b": START, "c": START})
        assert prints is not None
        assert prints.keys() == {"a", "b"}
        assert (await whole.version(), await whole.fingerprints({"b": START})) == (
            version,
            {"b": prints["b"]},
        )
        (tmp_path / "a.txt").write_text("Title\nother")
        assert await whole.version() != version
        again = await whole.fingerprints({"a": START, "b": START})
        assert again is not None
        assert (again["a"] != prints["a"], again["b"]) == (True, prints["b"])

    run(main())


def test_a_store_that_was_closed_says_so(tmp_path: Path, counted: Counted) -> None:
    (tmp_path / "a.txt").write_text("Title\none")

    async def main() -> None:
        whole = counted.store(tmp_path)
        await whole.close()
        await whole.close()
        with pytest.raises(Exception, match="was closed"):
            await ids(whole)

    run(main())


def test_who_is_cancelled_while_files_are_read_waits_for_no_more_than_a_moment(
    tmp_path: Path, counted: Counted
) -> None:
    for number in range(2000):
        (tmp_path / f"{number}.txt").write_text("Title\n" + "line\n" * 200)

    begun = threading.Event()
    shape = counted.shape()

    def unfold(files: Files) -> Mapping[str, Told]:
        begun.set()
        return counted.unfold(files)

    async def main() -> None:
        whole = counted.store(tmp_path, structs.replace(shape, unfold=unfold))
        task = asyncio.ensure_future(ids(whole))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(counted.read) < 2000
        assert len(await ids(whole)) == 2000

    run(main())


# --- exports --------------------------------------------------------------------------------


def export_(data: Any, path: Path, counted: Counted, *at: str) -> WholeStore:
    path.write_text(data if isinstance(data, str) else json.dumps(data))

    def unfold(said: Value) -> dict[str, Told]:
        counted.read.append(said.key)
        value = said.said
        if value is None:
            raise ValueError("it is null")
        return {
            said.key or value["id"]: Told(
                messages=[Message("user", each) for each in value["said"]]
            )
        }

    shape = Export(
        names=r"all(-\d+)?\.json", at=at, misses=lambda head: "", unfold=unfold, holds=HOLDS
    )
    return counted.store(path.parent, shape)


def test_an_export_has_a_conversation_in_each_value(tmp_path: Path, counted: Counted) -> None:
    values = [{"id": name, "said": [name, "x"]} for name in "abc"]
    whole = export_(values, tmp_path / "all.json", counted)
    (tmp_path / "other.json").write_text("[1]")
    assert run(ids(whole)) == ["a", "b", "c"]
    assert run(contents(whole, "b")) == ["b", "x"]
    counted.read.clear()
    again = export_(values, tmp_path / "all.json", counted)
    assert run(ids(again)) == ["a", "b", "c"]


def test_a_value_that_cannot_be_read_hides_no_other(tmp_path: Path, counted: Counted) -> None:
    values = {"x": 1, "all": {"a": {"said": ["1"]}, "b": None, "c": {"said": ["3"]}, "d": 7}}
    whole = export_(values, tmp_path / "all.json", counted, "all")
    assert run(ids(whole)) == ["a", "c"]
    strays = run(whole.strays())
    assert [each.position for each in strays] == ["all.json", "all.json"]
    assert "it is null" in strays[0].reason


def test_an_export_that_is_cut_short_gives_what_is_whole_and_says_so(
    tmp_path: Path, counted: Counted
) -> None:
    text = json.dumps([{"id": name, "said": [name]} for name in "abc"])
    whole = export_(text[:-10], tmp_path / "all.json", counted)
    assert run(ids(whole)) == ["a", "b"]
    [stray] = run(whole.strays())
    assert "the file ends in the middle" in stray.reason


def test_an_export_in_several_files_is_one(tmp_path: Path, counted: Counted) -> None:
    export_([{"id": "a", "said": ["1"]}], tmp_path / "all-000.json", counted)
    whole = export_([{"id": "b", "said": ["2"]}], tmp_path / "all-001.json", counted)
    assert run(ids(whole)) == ["a", "b"]
    assert run(contents(whole, "a")) == ["1"]


# --- what lies at a path --------------------------------------------------------------------


def test_a_file_a_folder_and_what_is_packed_give_the_same(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "talk.json").write_text(said("one", "two"))
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as packed:
        packed.write(tmp_path / "in" / "talk.json", "deep/talk.json")
        packed.writestr("readme.txt", "nothing")
    (tmp_path / "talk.json.gz").write_bytes(gzip.compress(said("one", "two").encode()))
    (tmp_path / "talk").write_text(said("one", "two"))
    for name in ("in", "in/talk.json", "in.zip", "talk.json.gz", "talk"):
        whole = store(tmp_path / name)
        assert run(contents(whole, "talk")) == ["one", "two"], name
        run(whole.close())


def test_files_of_our_own_are_read_packed_too(tmp_path: Path) -> None:
    line = b'{"conversation_id": "a", "role": "user", "content": "one"}\n'
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(line))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("backup/a.jsonl", line)
    for name in ("a.jsonl.gz", "a.zip"):

        async def main(path: Path) -> list[str]:
            found = await open_file({"path": str(path)})
            try:
                return await contents(found, "a")  # type: ignore[arg-type]
            finally:
                await found.close()

        assert run(main(tmp_path / name)) == ["one"]


def test_what_is_almost_a_layouts_says_which_and_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "talk.json").write_text(json.dumps([{"role": "user", "meta": {}}]))
    with pytest.raises(CorruptData, match="is like haystack's: its messages have no content"):
        store(tmp_path / "talk.json")


def test_where_several_layouts_fit_one_must_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted()
    (tmp_path / "a.json").write_text(said("one"))
    (tmp_path / "b.txt").write_text("Title\none")
    given = registry.shapes
    monkeypatch.setitem(registry.LAYOUTS, "counted", ("file",))
    monkeypatch.setattr(
        registry,
        "shapes",
        lambda name, on: (counted.shape(),) if name == "counted" else given(name, on),
    )
    with pytest.raises(Unnamed, match="haystack, counted") as caught:
        store(tmp_path)
    assert "?layout=haystack or ?layout=counted" in str(caught.value.hint)
    assert run(ids(store(tmp_path, layout="counted"))) == ["b"]
    assert run(ids(store(tmp_path, layout="haystack"))) == ["a"]


def test_a_layout_that_is_named_and_not_there_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]")
    for path in (tmp_path, tmp_path / "a.json"):
        with pytest.raises(CorruptData, match="no conversations in the layout haystack"):
            store(path, layout="haystack")


def test_other_programs_files_are_only_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(said("one"))
    with pytest.raises(Unsupported, match="only reads"):
        run(open_file({"path": str(tmp_path / "a.json")}, write=True))
    whole = store(tmp_path / "a.json")
    with pytest.raises(Unsupported, match="can be read, not written"):
        run(whole.delete("a"))


def test_after_a_change_a_search_index_reads_that_conversation_alone(
    tmp_path: Path, counted: Counted
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    for name in "abcdef":
        (place / f"{name}.txt").write_text("Title\none\ntwo")

    async def update() -> list[str]:
        whole = counted.store(place)
        counted.read.clear()
        async with open_index(tmp_path / "index") as index:
            await index.update(whole, whole.conversations(details=True), complete=True)
        await whole.close()
        return sorted(set(counted.read))

    async def main() -> None:
        assert len(await update()) == 6
        assert await update() == []
        (place / "c.txt").write_text("Title\none\ntwo\nthree")
        assert await update() == ["c.txt"]
        (place / "d.txt").write_text("Title\none\ntwo!")
        (place / "e.txt").unlink()
        assert await update() == ["d.txt"]

    run(main())


@pytest.mark.parametrize("last", [None, 1])
def test_who_follows_is_told_again_what_the_last_message_says_when_it_has_grown(
    tmp_path: Path, counted: Counted, last: int | None
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("Title\none\ntw")

    async def main() -> None:
        reading = Reading(counted.store(tmp_path), "a", Filter())
        if last is None:
            assert [page async for page in reading.all()]
        else:
            await reading.last(last)
        new = reading.new(every_s=0)
        for text, arrived in (("two\nthree\nfo", ["two", "three"]), ("two\nthree\nfour", ["fo"])):
            path.write_text(f"Title\none\n{text}")
            assert [
                item.content for item in await anext(new) if isinstance(item, Message)
            ] == arrived
        assert [item.content for item in await anext(new) if isinstance(item, Message)] == ["four"]
        path.write_text("Title\none\ntwo!\nthree\nfour\nfive")
        with pytest.raises(Changed):
            await anext(new)

    run(main())


def test_files_in_which_nothing_is_yet_do_not_hide_whose_the_others_are(tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / f"{number:02}.json").write_text(said("a") if number == 30 else "")
    assert run(ids(store(tmp_path))) == ["30"]
