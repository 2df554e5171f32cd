"""SQLite files that other programs write while they are read, behind links, and on mounts that
cannot be written: what is there now is read, and nothing is left behind."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synmem.errors import Changed, StoreError, StoreUnavailable
from synmem.messages import Conversation
from synmem.store import Part
from tests.backends.sqlite.test_store import fingerprint, opened, read, run, write
from tests.cli.processes import PROGRAM
from tests.conformance import contents, ids, items, numbered
from tests.nobody import as_nobody

_INSERT = "INSERT INTO messages (conversation_id, role, content) VALUES ('c', 'user', ?)"


def filled(path: Path, journal: str, count: int = 3) -> Path:
    """A file of that mode, closed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, "c", numbered(count))
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute(f"PRAGMA journal_mode={journal}").fetchall() == [(journal,)]
    return path


@contextlib.contextmanager
def program(path: Path, *texts: str) -> Iterator[sqlite3.Connection]:
    """Another program, which has it open and appended these; it does not checkpoint."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA wal_autocheckpoint=0")
        for text in texts:
            db.execute(_INSERT, [text])
        yield db


@contextlib.contextmanager
def writable(path: Path) -> Iterator[None]:
    """The other program may write what the reader may not."""
    for each in path.parent.iterdir():
        each.chmod(0o644)
    path.parent.chmod(0o755)
    try:
        yield
    finally:
        for each in path.parent.iterdir():
            each.chmod(0o444)
        path.parent.chmod(0o555)


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[None]:
    """The reader may write neither the file nor its folder, but where `writable` lets go."""
    with writable(path):
        pass
    try:
        yield
    finally:
        path.parent.chmod(0o755)


def hot(folder: Path, scratch: Path) -> Path:
    """A file beside which the journal of a killed writer lies."""
    live = filled(scratch / "live.db", "delete")
    folder.mkdir(exist_ok=True)
    with contextlib.closing(sqlite3.connect(live, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size=1")
        db.execute("BEGIN IMMEDIATE")
        for _ in range(50):
            db.execute(_INSERT, ["x" * 5000])
        for suffix in ("", "-journal"):
            shutil.copy(f"{live}{suffix}", folder / f"chat.db{suffix}")
        db.execute("ROLLBACK")
    return folder / "chat.db"


# --- what is appended is seen ---


@pytest.mark.parametrize("stays", [True, False], ids=["open", "closed"])
@pytest.mark.parametrize("journal", ["delete", "wal", "truncate", "persist"])
def test_a_reader_that_may_not_write_sees_what_is_appended(journal: str, *, stays: bool) -> None:
    async def main(path: Path) -> None:
        async with opened(path) as store:
            end = [page async for page in store.read(["c"])][-1].position(-1)
            with contextlib.ExitStack() as stack:
                for n in range(3):
                    with writable(path):
                        live = program(path, f"new {n}")
                        if stays:
                            stack.enter_context(live)
                        else:
                            with live:
                                pass
                    new = [page async for page in store.read(["c"], after=end)]
                    assert [m.content for page in new for m in page.items] == [f"new {n}"]
                    end = new[-1].position(-1)
                with writable(path):
                    pass

    with as_nobody() as folder:
        path = filled(folder / "f" / "chat.db", journal)
        with read_only(path):
            run(main(path))


def test_a_reader_of_a_copy_sees_what_is_appended(tmp_path: Path) -> None:
    path = hot(tmp_path / "f", tmp_path)

    async def main() -> None:
        async with opened(path) as store:
            assert len(await items(store, "c")) == 3
            with program(path, "new"):
                assert (await contents(store, "c"))[-1] == "new"

    run(main())


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_file_that_may_not_be_written_in_a_folder_that_may_leaves_nothing(journal: str) -> None:
    with as_nobody() as folder:
        path = filled(folder / "f" / "chat.db", journal)
        path.chmod(0o444)
        before = fingerprint(path.parent)
        assert len(read(path, "c")) == 3
        assert fingerprint(path.parent) == before


# --- never half of a transaction ---


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_query_during_which_a_program_rewrites_all_gives_all_old_or_all_new(journal: str) -> None:
    count = 40

    async def main(path: Path, rewrite: Callable[[], None]) -> None:
        async with opened(path, page_size=1000) as store:
            await store.place.file.connection.set_progress_handler(rewrite, 200)
            [page] = [page async for page in store.read(["c"])]
            assert len(page.items) == count
            found = {message.content[:3] for message in page.items}
            assert found in ({"old"}, {"new"})

    rewritten: list[int] = []

    with as_nobody() as folder:
        path = filled(folder / "f" / "chat.db", "delete", count=0)
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.executemany(_INSERT, [("old" + "x" * 3000,)] * count)
            db.commit()
            db.execute(f"PRAGMA journal_mode={journal}")

        def rewrite() -> None:
            if rewritten:
                return
            rewritten.append(1)
            with writable(path), contextlib.closing(sqlite3.connect(path, timeout=0)) as db:
                try:
                    db.execute("UPDATE messages SET content = 'new' || substr(content, 4)")
                    db.commit()
                except sqlite3.OperationalError as error:
                    assert journal == "delete" and "locked" in str(error)

        with read_only(path):
            run(main(path, rewrite))
        assert rewritten


def test_a_file_that_changes_all_the_time_is_said_to() -> None:
    async def main(path: Path) -> None:
        async with opened(path) as store:
            store.place.file._name = Restless(store.place.file._name)
            with pytest.raises(StoreUnavailable, match="another program is writing it all"):
                await items(store, "c")

    with as_nobody() as folder:
        path = filled(folder / "f" / "chat.db", "wal")
        with read_only(path):
            run(main(path))


class Restless:
    """A name whose file is never twice the same."""

    def __init__(self, name: Any) -> None:
        self._name = name
        self._looks = 0

    def __getattr__(self, what: str) -> Any:
        return getattr(self._name, what)

    def seen(self) -> Any:
        self._looks += 1
        return (*self._name.seen(), (self._looks, 0, 0))


@pytest.mark.parametrize("goes", [True, False], ids=["removed", "replaced"])
def test_a_file_that_gives_way_to_another_is_not_read_on(tmp_path: Path, *, goes: bool) -> None:
    path = filled(tmp_path / "f" / "chat.db", "delete")
    other = filled(tmp_path / "other.db", "delete", 5)

    async def main() -> None:
        async with opened(path) as store:
            assert await ids(store) == ["c"]
            if goes:
                path.unlink()
            else:
                other.replace(path)
            with pytest.raises(Changed, match="took its place"):
                await items(store, "c")

    run(main())


# --- links ---


@pytest.fixture(params=["relative", "absolute", "twice", "folder"])
def link(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """What leads to f/chat.db."""
    (tmp_path / "f").mkdir()
    (tmp_path / "links").mkdir()
    place = tmp_path / "links" / "my.db"
    if request.param == "relative":
        place.symlink_to("../f/chat.db")
    elif request.param == "absolute":
        place.symlink_to(tmp_path / "f" / "chat.db")
    elif request.param == "twice":
        (tmp_path / "links" / "other.db").symlink_to("../f/chat.db")
        place.symlink_to("other.db")
    else:
        (tmp_path / "links" / "g").symlink_to("../f")
        return tmp_path / "links" / "g" / "chat.db"
    return place


def test_behind_a_link_what_lies_in_the_wal_is_read_and_stays(link: Path, tmp_path: Path) -> None:
    live = filled(tmp_path / "live.db", "wal")
    with program(live, "in the WAL"):
        for suffix in ("", "-wal"):  # as after a kill -9
            shutil.copy(f"{live}{suffix}", tmp_path / "f" / f"chat.db{suffix}")
    before = fingerprint(tmp_path / "f")
    assert [m.content for m in read(link, "c")][-1] == "in the WAL"
    after = fingerprint(tmp_path / "f")
    assert {name: after[name] for name in before} == before
    assert not [p for p in (tmp_path / "links").iterdir() if not p.is_symlink()]


def test_behind_a_link_a_hot_journal_is_heeded(link: Path, tmp_path: Path) -> None:
    hot(tmp_path / "f", tmp_path)
    before = fingerprint(tmp_path / "f")
    assert len(read(link, "c")) == 3
    assert fingerprint(tmp_path / "f") == before


def test_what_is_written_through_a_link_lies_at_its_target(link: Path, tmp_path: Path) -> None:
    write(link, "c", numbered(2))
    assert len(read(tmp_path / "f" / "chat.db", "c")) == 2
    assert not [p for p in (tmp_path / "links").iterdir() if not p.is_symlink()]


def test_a_copy_from_behind_a_link_has_what_lies_in_the_wal(link: Path, tmp_path: Path) -> None:
    path = filled(tmp_path / "f" / "chat.db", "wal")
    with program(path, "in the WAL"):

        async def main() -> list[str]:
            async with opened(link) as ours, opened(tmp_path / "to.db", write=True) as theirs:
                await theirs.copy(ours, [Conversation("c")])
                return await contents(theirs, "c")

        assert run(main())[-1] == "in the WAL"


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_of_two_names_in_a_folder_the_one_with_the_rest_is_taken(
    tmp_path: Path, journal: str
) -> None:
    if journal == "delete":
        path = hot(tmp_path / "f", tmp_path)
        expected = 3
    else:
        path = filled(tmp_path / "f" / "chat.db", "wal")
        expected = 4
    other = path.with_name("other.db")
    os.link(path, other)
    with program(path, "in the WAL") if journal == "wal" else contextlib.nullcontext():
        assert len(read(other, "c")) == expected
    assert not {each.name for each in path.parent.glob("other.db-*")}


def test_a_name_beside_which_the_wal_cannot_be_is_refused(tmp_path: Path) -> None:
    path = filled(tmp_path / "f" / "chat.db", "wal")
    (tmp_path / "g").mkdir()
    other = tmp_path / "g" / "chat.db"
    os.link(path, other)
    with program(path, "in the WAL"):
        assert len(read(path, "c")) == 4
        for how in (lambda: read(other, "c"), lambda: write(other, "c", numbered(1))):
            with pytest.raises(StoreError, match="another name") as raised:
                how()
            assert "copy the file" in str(raised.value.hint)
        assert [each.name for each in other.parent.iterdir()] == ["chat.db"]


def test_names_in_one_folder_share_one_wal(tmp_path: Path) -> None:
    path = filled(tmp_path / "f" / "chat.db", "wal")
    other = path.with_name("a.db")
    os.link(path, other)

    async def both() -> None:
        async with opened(path, write=True) as one, opened(other, write=True) as two:
            await one.append([Part(Conversation("c"), numbered(1))])
            await two.append([Part(Conversation("c"), numbered(1))])
            assert len({each.name for each in path.parent.glob("*-wal")}) == 1

    run(both())
    assert len(read(path, "c")) == len(read(other, "c")) == 5


def test_a_new_file_with_two_names_is_made_without_a_wal(tmp_path: Path) -> None:
    (tmp_path / "chat.db").touch()
    (tmp_path / "g").mkdir()
    os.link(tmp_path / "chat.db", tmp_path / "g" / "chat.db")
    write(tmp_path / "chat.db", "c", numbered(2))
    assert len(read(tmp_path / "g" / "chat.db", "c")) == 2


# --- mounts ---


def in_mounts(script: str, *arguments: Any) -> list[str]:
    """A command that mounts as the script says, and then runs synmem with the arguments."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare here")
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("nothing may be mounted here")
    return ["unshare", "-m", "sh", "-ec", f'{script}; exec "$@"', "sh", *map(str, arguments)]


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_follow_on_a_read_only_mount_shows_what_is_appended(tmp_path: Path, journal: str) -> None:
    path = filled(tmp_path / "f" / "chat.db", journal)
    mount = f"mount --bind {path.parent} {path.parent} && mount -o remount,ro,bind {path.parent}"
    command = in_mounts(mount, *PROGRAM, "show", "c", "--last", "1", "--follow", "-p", path)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    patience = threading.Timer(60, process.kill)
    patience.start()
    try:
        assert process.stdout.readline() == b"User: message 2\n"
        for n in range(2):
            with program(path, f"new {n}"):
                assert process.stdout.readline() == f"User: new {n}\n".encode()
    finally:
        patience.cancel()
        process.kill()
        process.communicate()


def test_what_is_behind_a_read_only_mount_is_left_as_it_was(tmp_path: Path) -> None:
    path = hot(tmp_path / "f", tmp_path)
    mount = f"mount --bind {path.parent} {path.parent} && mount -o remount,ro,bind {path.parent}"
    command = in_mounts(mount, *PROGRAM, "show", "c", "-p", path)
    before = fingerprint(path.parent)
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout.count("User: message")) == (0, 3), done.stderr
    assert fingerprint(path.parent) == before


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_file_that_is_mounted_by_itself(tmp_path: Path, journal: str) -> None:
    path = filled(tmp_path / "f" / "chat.db", journal)
    (tmp_path / "a b").mkdir()
    other = tmp_path / "a b" / "chat.db"
    other.touch()
    command = in_mounts(f"mount --bind {path} '{other}'", *PROGRAM, "ls", "-p", other)
    with program(path, "in the WAL"):
        done = subprocess.run(command, capture_output=True, text=True)
    if journal == "wal":
        assert done.returncode == 1
        assert "mount its folder instead of the file" in done.stderr
    else:
        assert (done.returncode, done.stdout) == (0, "c\n")
