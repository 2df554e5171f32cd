"""Places of files: folders, archives and packed files."""

import gzip
import io
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from synmem.as_read import at_once
from synmem.backends.file import members, unpacking
from synmem.backends.file.members import FolderPlace
from synmem.backends.file.unpacking import ZipPlace, gunzipped
from synmem.errors import CorruptData, StoreError


def folder(path: Path) -> FolderPlace:
    return FolderPlace(path, str(path))


def test_a_folder_has_the_files_below_it_by_their_names(tmp_path: Path) -> None:
    for name in ("b.json", "a/x.json", "a/b/c.json", ".git/x.json", "a/node_modules/y.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    place = folder(tmp_path)
    assert [*place.members()] == ["a/b/c.json", "a/x.json", "b.json"]
    assert place.read("a/x.json") == b"a/x.json"
    assert place.member("a/x.json") == place.members()["a/x.json"]
    assert place.member("nothing") is None


def test_no_symbolic_link_is_followed_within_a_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "x.json").write_text("{}")
    place = tmp_path / "place"
    place.mkdir()
    (place / "out").symlink_to(tmp_path / "secret")
    (place / "round").symlink_to(place)
    (place / "x.json").symlink_to(tmp_path / "secret" / "x.json")
    assert folder(place).members() == {}
    assert folder(place).member("x.json") is None
    with pytest.raises(OSError):
        folder(place).read("x.json")


def test_a_folder_that_is_a_link_itself_is_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x.json").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert [*folder(tmp_path / "link").members()] == ["x.json"]


def test_a_pipe_or_a_socket_in_a_folder_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.json")
    assert folder(tmp_path).members() == {}


def test_a_folder_is_looked_into_to_a_bounded_depth_and_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path.joinpath(*["d"] * (members.DEEPEST + 1))
    deep.mkdir(parents=True)
    (deep / "x.json").write_text("{}")
    (deep.parent / "y.json").write_text("{}")
    assert [Path(name).name for name in folder(tmp_path).members()] == ["y.json"]
    monkeypatch.setattr(members, "MOST", 1)
    (tmp_path / "z.json").write_text("{}")
    with pytest.raises(CorruptData, match="more than 1 files"):
        folder(tmp_path).members()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_below_that_may_not_be_read_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    (tmp_path / "x.json").write_text("{}")
    assert [*folder(tmp_path).members()] == ["x.json"]


# --- archives -------------------------------------------------------------------------------


def archive(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return path


def zip_(path: Path) -> ZipPlace:
    return ZipPlace(path, str(path))


def test_an_archive_has_its_members_and_reads_each(tmp_path: Path) -> None:
    place = zip_(
        archive(
            tmp_path / "x.zip", **{"b.json": b"[2]", "a/c.json": b"[1]", "__MACOSX/b.json": b""}
        )
    )
    assert [*place.members()] == ["a/c.json", "b.json"]
    assert place.read("b.json") == b"[2]"
    assert place.read("b.json", 1, 1) == b"2"
    with place.open("a/c.json") as file:
        file.seek(1)
        assert place.read("a/c.json", 2, 5) == b"]"  # which seeks in it, too
        file.seek(1)
        assert file.read() == b"1]"
    place.close()


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "C:\\x", "a/../../x", "x\0y", "\u202ex"])
def test_what_a_member_is_called_leads_nowhere(tmp_path: Path, name: str) -> None:
    path = tmp_path / "in" / "x.zip"
    path.parent.mkdir()
    archive(path, **{name: b"[1]"})
    before = sorted(tmp_path.rglob("*"))
    place = zip_(path)
    (member,) = place.members()
    assert place.read(member) == b"[1]"
    place.open(member).close()
    place.close()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_member_that_unpacks_to_a_disk_full_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "_UNSUSPECTED", 1 << 20)
    place = zip_(archive(tmp_path / "x.zip", **{"x.json": b" " * (1 << 24)}))
    for read in (place.read, place.open):
        with pytest.raises(CorruptData, match="made to fill a disk"):
            read("x.json")
    place.close()


def test_a_member_that_lies_about_its_size_is_bounded_by_what_it_unpacks_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive(tmp_path / "x.zip", **{"x.json": b" " * (1 << 24)})
    data = path.read_bytes().replace(struct.pack("<I", 1 << 24), struct.pack("<I", 10))
    path.write_bytes(data)
    monkeypatch.setattr(unpacking, "_UNSUSPECTED", 1 << 20)
    with pytest.raises(CorruptData):
        assert len(zip_(path).read("x.json")) <= 10
        raise CorruptData("it was read no further than it says")


def test_a_damaged_archive_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", **{"x.json": os.urandom(5000)})
    whole = path.read_bytes()
    for cut in range(0, len(whole), 97):
        path.write_bytes(whole[:cut])
        with pytest.raises(CorruptData, match=r"x\.zip"):
            zip_(path)
    path.write_bytes(whole[:60] + b"\0" * 20 + whole[80:])
    with pytest.raises(CorruptData, match=r"x\.zip: x\.json"):
        zip_(path).read("x.json")


def test_a_member_with_a_password_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", **{"x.json": b"[1]"})
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + at] |= 1
    path.write_bytes(data)
    with pytest.raises(CorruptData, match="cannot be unpacked") as caught:
        zip_(path).read("x.json")
    assert caught.value.hint == "unpack it first"


def test_an_archive_of_too_many_members_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive(tmp_path / "x.zip", a=b"", b=b"")
    monkeypatch.setattr(unpacking, "MOST", 1)
    with pytest.raises(CorruptData, match="more than 1 files"):
        zip_(path)


# --- gzip -----------------------------------------------------------------------------------


def gunzip(data: bytes) -> bytes:
    with at_once(gunzipped(io.BytesIO(data), "x.gz", len(data))) as file:
        unpacked: bytes = file.read()
        return unpacked


def test_a_packed_file_of_several_members_is_read_to_its_end() -> None:
    assert gunzip(gzip.compress(b"one") + gzip.compress(b"two")) == b"onetwo"


def test_a_packed_file_that_is_cut_or_altered_is_an_error() -> None:
    whole = gzip.compress(os.urandom(3000))
    for cut in (5, 20, len(whole) // 2, len(whole) - 1):
        with pytest.raises(CorruptData, match=r"x\.gz is compressed, and cannot be unpacked"):
            gunzip(whole[:cut])
    with pytest.raises(CorruptData, match="cannot be unpacked"):
        gunzip(whole[:-8] + struct.pack("<I", zlib.crc32(b"")) + whole[-4:])


def test_a_packed_file_that_unpacks_to_a_disk_full_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unpacking, "_UNSUSPECTED", 1 << 20)
    with pytest.raises(CorruptData, match="made to fill a disk"):
        gunzip(gzip.compress(b" " * (1 << 24)))


def test_a_full_disk_is_told_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", lambda *a, **k: Full())
    with pytest.raises(StoreError, match="temporary file"):
        gunzip(gzip.compress(b"x"))
