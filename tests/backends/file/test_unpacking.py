"""Hostile and damaged archives: refused or borne, and nothing is written anywhere."""

import contextlib
import gzip
import io
import json
import random
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from synmem.backends.file import unpacking
from synmem.backends.file.store import open as open_file
from synmem.errors import CorruptData, SynmemError
from synmem.messages import Message
from tests.cli.moved import run as synmem
from tests.conformance import run
from tests.layouts.foreign.wholes import FIXTURES

CHATS = (FIXTURES / "chatgpt-export" / "conversations.json").read_bytes()
SHARDS = {
    path.name: path.read_bytes()
    for path in sorted((FIXTURES / "chatgpt-export" / "sharded").iterdir())
}
LINE = b'{"conversation_id": "a", "role": "user", "content": "one"}\n'

NAMES = (
    "conversations.json", "../../conversations.json", "/conversations.json", "a/../../b/x.json",
    "C:\\conversations.json", "..\\conversations.json", "conversations-000.json", "x\0y.json",
    "\u202egpj.json", "a" * 300 + ".json", "~/.bashrc", ".ssh/authorized_keys", "dir/", "a//b.json",
    "conversations.json/", "", ".", "..", "CON", "inner.zip", "x.jsonl", "messages.json",
)  # fmt: skip
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def inner() -> bytes:
    return packed({"conversations.json": CHATS})


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name) if name else zipfile.ZipInfo("x"), data, method)
    return file.getvalue()


def everything(path: Path) -> list[Any]:
    """All that is told by what lies at a path."""

    async def main() -> list[Any]:
        store = await open_file({"path": str(path)})
        try:
            ids = [info.id async for page in store.conversations() for info in page]
            return [item async for page in store.read(ids) for item in page.items]
        finally:
            await store.close()

    found: list[Any] = run(main())
    return found


@contextlib.contextmanager
def nothing_written(folder: Path) -> Iterator[None]:
    """Neither beside the archive, nor above it, nor where temporary files or the user's lie. What
    is remembered of a listing is in the state folder, which is a test's own."""

    def state() -> Any:
        places = (folder, folder.parent, Path.cwd(), Path(tempfile.gettempdir()), Path.home())
        names = [sorted(path.name for path in place.iterdir()) for place in places]
        return names, {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    before = state()
    yield
    assert state() == before


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in another, with a place for temporary files, and a home, that are nobody else's."""
    for name in ("in/deep", "temporary", "around"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("HOME", str(tmp_path / "around"))
    monkeypatch.chdir(tmp_path / "around")
    return tmp_path / "in" / "deep"


# --- anything at all ------------------------------------------------------------------------


@some.composite
def archives(draw: some.DrawFn) -> bytes:
    """An archive with odd names, which then may be cut off or altered somewhere."""
    contents = (CHATS, *SHARDS.values(), LINE, b"[]", b"", b"{", inner())
    names = draw(some.lists(some.sampled_from(NAMES) | some.text(max_size=8), max_size=5))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, contextlib.suppress(UnicodeEncodeError):
        for name in names:
            info = zipfile.ZipInfo("x")
            info.filename = name
            which = contents[draw(some.integers(0, len(contents) - 1))]
            archive.writestr(info, which, draw(some.sampled_from(METHODS)))
    data = bytearray(file.getvalue())
    for _ in range(draw(some.integers(0, 4))):
        at = draw(some.integers(0, len(data) - 1))
        data[at] = draw(some.integers(0, 255))
    if draw(some.booleans()):
        del data[draw(some.integers(0, len(data))) :]
    return bytes(data)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(archives())
def test_whatever_an_archive_holds_is_told_or_refused_and_nothing_is_written(
    place: Path, data: bytes
) -> None:
    path = place / "x.zip"
    path.write_bytes(data)
    with nothing_written(place), contextlib.suppress(SynmemError):
        everything(path)


@pytest.mark.parametrize("method", METHODS[:2])
def test_an_archive_that_is_cut_or_altered_anywhere_is_refused_or_tells_no_lie(
    place: Path, method: int
) -> None:
    whole = packed({**SHARDS, "user.json": b"{}"}, method)
    (place / "x.zip").write_bytes(whole)
    right = everything(place / "x.zip")
    choose = random.Random(method)
    for _ in range(120):
        data = bytearray(whole)
        if choose.random() < 0.5:
            del data[choose.randrange(len(data)) :]
        else:
            data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
        (place / "x.zip").write_bytes(data)
        with nothing_written(place), contextlib.suppress(SynmemError):
            found = everything(place / "x.zip")
            assert all(each in right for each in found if isinstance(each, Message))


def test_a_packed_file_that_is_cut_anywhere_is_refused(place: Path) -> None:
    whole = gzip.compress(CHATS)
    path = place / "conversations.json.gz"
    path.write_bytes(whole)
    assert len(everything(path)) == 18
    for length in range(2, len(whole), 41):
        path.write_bytes(whole[:length])
        with nothing_written(place), pytest.raises(CorruptData, match="cannot be unpacked"):
            everything(path)


# --- names ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES[1:8])
def test_a_name_that_leads_elsewhere_is_read_where_it_is_and_written_nowhere(
    place: Path, name: str
) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = name
        archive.writestr(info, CHATS)
    (place / "x.zip").write_bytes(file.getvalue())
    with nothing_written(place), contextlib.suppress(SynmemError):
        everything(place / "x.zip")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_members_that_are_called_the_same_the_last_is_read(place: Path) -> None:
    with zipfile.ZipFile(place / "x.zip", "w") as archive:
        archive.writestr("conversations.json", b"[]")
        archive.writestr("conversations.json", CHATS)
    with nothing_written(place):
        assert len(everything(place / "x.zip")) == 18


def test_an_archive_without_files_is_called_so(place: Path) -> None:
    (place / "x.zip").write_bytes(packed({}))
    with nothing_written(place), pytest.raises(CorruptData, match="ZIP archive that holds no file"):
        everything(place / "x.zip")


def test_an_archive_in_an_archive_is_not_looked_into(place: Path) -> None:
    (place / "x.zip").write_bytes(packed({"inner.zip": inner()}))
    with nothing_written(place), pytest.raises(CorruptData, match="a ZIP archive in another"):
        everything(place / "x.zip")
    (place / "x.zip").write_bytes(packed({"inner.zip": inner(), **SHARDS}))
    with nothing_written(place):
        assert len(everything(place / "x.zip")) == 18


# --- what hides no other --------------------------------------------------------------------


def with_password(data: bytes, name: str) -> bytes:
    """The same archive, in which a member says that it has a password."""
    found = bytearray(data)
    for mark, flags, size in ((b"PK\x03\x04", 6, 30), (b"PK\x01\x02", 8, 46)):
        at = -1
        while (at := found.find(mark, at + 1)) >= 0:
            if found[at + size :].startswith(name.encode()):
                found[at + flags] |= 1
    return bytes(found)


def test_a_member_with_a_password_hides_no_other(place: Path) -> None:
    first, second = SHARDS
    (place / "x.zip").write_bytes(with_password(packed(SHARDS), first))
    done = synmem("export", "-p", place / "x.zip", "--json")
    assert done.exit_code == 6
    assert first in done.stderr
    assert "encrypted" in done.stderr
    alone = json.loads(SHARDS[second])
    assert [each["conversation_id"] for each in json.loads(done.stdout)] == [each["id"] for each in alone]  # fmt: skip


def test_an_archive_of_which_all_has_a_password_says_so(place: Path) -> None:
    data = packed({"conversations.json": CHATS})
    (place / "x.zip").write_bytes(with_password(data, "conversations.json"))
    done = synmem("ls", "-p", place / "x.zip")
    assert done.exit_code == 1
    assert "conversations.json cannot be unpacked: it is encrypted" in done.stderr
    assert "unpack it first" in done.stderr


# --- what would fill a disk -----------------------------------------------------------------


def test_a_bomb_among_others_is_named_and_hides_none(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "_UNSUSPECTED", 1 << 20)
    bomb = b"[" + b" " * (1 << 24)
    (place / "x.zip").write_bytes(packed({**SHARDS, "conversations-002.json": bomb}))
    done = synmem("ls", "-p", place / "x.zip")
    assert done.exit_code == 6
    assert len(done.stdout.split()) == 7
    assert "made to fill a disk" in done.stderr


def test_many_members_that_are_small_enough_each_are_refused_together(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "_UNSUSPECTED", 1 << 20)
    chats = json.loads(CHATS)
    bombs = {
        f"conversations-{number:03}.json": json.dumps(chats[:1]).encode() + b" " * 900_000
        for number in range(60)
    }
    (place / "x.zip").write_bytes(packed(bombs))
    with nothing_written(place):
        done = synmem("ls", "-p", place / "x.zip")
    assert done.exit_code == 6
    assert "made to fill a disk" in done.stderr


@pytest.mark.parametrize("method", METHODS[2:])
def test_what_is_packed_in_a_way_that_takes_as_much_memory_as_it_likes_is_refused(
    place: Path, method: int
) -> None:
    (place / "x.zip").write_bytes(packed({"conversations.json": CHATS}, method))
    done = synmem("ls", "-p", place / "x.zip")
    assert done.exit_code == 1
    assert "neither deflated nor stored" in done.stderr
    assert "unpack it first" in done.stderr


# --- what is said ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "why", "hint"),
    [
        (
            {"a.jsonl": LINE, "b.jsonl": LINE, "README": b"x"},
            "a.jsonl and others in this archive can be read only unpacked", "unpack it first",
        ),
        (
            {"a.json": CHATS[:9], "b.csv": b"conversation_id,role,content\na,user,x\n"},
            "b.csv in this archive can be read only unpacked", "unpack it first",
        ),
        (
            {"a.json.gz": gzip.compress(LINE)},
            "a.json.gz is compressed (gzip), in an archive", "unpack the archive first",
        ),
    ],
)  # fmt: skip
def test_an_archive_that_must_be_unpacked_says_so(
    place: Path, files: dict[str, bytes], why: str, hint: str
) -> None:
    (place / "x.zip").write_bytes(packed(files))
    with pytest.raises(SynmemError) as raised:
        everything(place / "x.zip")
    assert str(raised.value) == f"{place / 'x.zip'}: {why}"
    assert raised.value.hint == hint


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda data: data + b"rest", "something else stands behind its end"),
        (lambda data: data[:-12], "it ends too early"),
        (lambda data: data[:-8] + b"\0" * 8, "what it holds is not what its checksum says"),
        (lambda data: data[:2] + b"\7" + data[3:], "its bytes are damaged"),
    ],
)
def test_what_is_wrong_with_a_packed_file_is_said_in_our_words(
    tmp_path: Path, spoil: Callable[[bytes], bytes], why: str
) -> None:
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(spoil(gzip.compress(b'{"role": "user", "content": "hello"}\n')))
    done = synmem("import", path, "-p", tmp_path / "to.db")
    assert done.exit_code == 6
    assert f"cannot be unpacked: {why} (" in done.stderr
