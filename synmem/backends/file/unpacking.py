"""Packed files, `.gz` and `.zip`: read where they lie, within bounds.

What is unpacked goes into memory or into a temporary file without a name, never to a path: what an
archive calls its members is looked at, and made into nothing.
"""

import gzip
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, Final, Protocol

from synmem.as_read import at_once
from synmem.backends.file.members import LARGEST, MOST, Member, in_its_folder, once_more
from synmem.backends.file.opening import Steps, spooled
from synmem.errors import CorruptData

_BLOCK: Final = 1 << 20

_UNSUSPECTED: Final = 1 << 26
_RATIO: Final = 200
"""Text packs to a tenth; of what is larger than `_UNSUSPECTED`, nothing packs to so small a part
but what was made to fill a disk."""

_BROKEN: Final = (
    zlib.error, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, struct.error,
    ValueError, OverflowError,
)  # fmt: skip
"""What is raised by a file that is damaged, has a password or is packed in another way."""

_PACKED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How what is in archives is packed; other ways take as much memory as the archive says."""

_ENCRYPTED: Final = 1

_JUNK: Final = ("__MACOSX/", ".DS_Store")
_NO_FILE: Final = "/"


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def gunzipped(file: BinaryIO, name: str, size: int) -> Steps[BinaryIO]:
    """What a gzip file of so many bytes holds, in a temporary file; in steps of some milliseconds.

    CorruptData where it is damaged, or more than what text may become."""
    with gzip.GzipFile(fileobj=file) as packed:
        return (yield from spooled(packed, _unpacked(packed, name, size)))


def _unpacked(packed: _Readable, name: str, size: int) -> Iterator[bytes]:
    """What so many bytes unpack to; CorruptData where they are damaged, or made to fill a disk."""
    found = 0
    while data := _next(packed, name):
        found += len(data)
        _check_ratio(name, found, size)
        yield data


def _next(packed: _Readable, name: str) -> bytes:
    try:
        return packed.read(_BLOCK)
    except (*_BROKEN, gzip.BadGzipFile) as error:
        why = f"{name} is compressed, and cannot be unpacked: {_what_is_wrong(error)}"
        raise CorruptData(why, hint="is it all there?") from error


def _what_is_wrong(error: Exception) -> str:
    """In our words: those of Python's gzip deny that it is one, or name a marker."""
    if isinstance(error, EOFError):
        return "it ends too early"
    if isinstance(error, gzip.BadGzipFile):
        told = str(error)
        if told.startswith("Not a gzipped file"):
            return "something else stands behind its end"
        if told.startswith(("CRC", "Incorrect length")):
            return "what it holds is not what its checksum says"
    return "its bytes are damaged"


def _check_ratio(name: str, found: int, size: int) -> None:
    if found > _UNSUSPECTED and found > size * _RATIO:
        raise CorruptData(
            f"{name}: {size:,} bytes unpack to more than {found:,}: it seems made to fill a disk",
            hint="unpack it yourself, if you trust it",
        )


class ZipPlace:
    """A ZIP archive."""

    kind = "archive"

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self.closed: dict[str, str] = {}
        self._unpacked: dict[str, BinaryIO] = {}
        """Members that were sought in, each in a temporary file."""
        try:
            self._zip = zipfile.ZipFile(path)
        except _BROKEN as error:
            why = f"{name} is a ZIP archive that cannot be read: {error}"
            raise CorruptData(why, hint="is it all there?") from error
        infos = [info for info in self._zip.infolist() if not info.filename.endswith(_NO_FILE)]
        if len(infos) > MOST:
            self._zip.close()
            raise CorruptData(f"{name}: more than {MOST:,} files are in this archive")
        named = {
            info.filename: info
            for info in infos
            if info.filename and not info.filename.startswith(_JUNK)
        }
        self._infos = {name: named[name] for name in sorted(named)}
        self._size = path.stat().st_size
        self._sizes: dict[str, int] = {}
        """How much each member was found to hold, of those that were read."""
        self._held = 0
        """How much that is together."""

    def members(self) -> dict[str, Member]:
        """See `Place.members`; of two that are called the same, the last."""
        return {name: _member(info) for name, info in self._infos.items()}

    def member(self, name: str) -> Member | None:
        """See `Place.member`."""
        info = self._infos.get(name)
        return None if info is None else _member(info)

    def read(self, name: str, start: int = 0, size: int = LARGEST) -> bytes:
        """See `Place.read`."""
        info = self._infos.get(name)
        if info is None:
            raise FileNotFoundError(name)
        if start:
            with self.open(name) as file:
                file.seek(start)
                return file.read(size)
        found = bytearray()
        with self._opened(info) as packed:
            for data in _unpacked(packed, self._whole(info), info.compress_size):
                found += data
                if len(found) >= size:
                    break
        self._count(name, len(found))
        return bytes(found[:size])

    def open(self, name: str) -> BinaryIO:
        """See `Place.open`: it is unpacked once."""
        if name not in self._unpacked:
            info = self._infos[name]
            with self._opened(info) as packed:
                chunks = _unpacked(packed, self._whole(info), info.compress_size)
                self._unpacked[name] = file = at_once(spooled(packed, chunks))
            self._count(name, file.seek(0, os.SEEK_END))
        return once_more(self._unpacked[name])

    def _count(self, name: str, found: int) -> None:
        """CorruptData where members hold more together than so small an archive may: what they are
        in the file may overlap."""
        more = found - self._sizes.get(name, 0)
        if more > 0:
            self._sizes[name] = found
            self._held += more
        _check_ratio(self.name, self._held, self._size)

    def beside(self, name: str) -> list[str]:
        """See `Place.beside`."""
        return in_its_folder(name, self._infos)

    def _whole(self, info: zipfile.ZipInfo) -> str:
        """What a member is called in output."""
        return f"{self.name}: {info.filename}"

    def _opened(self, info: zipfile.ZipInfo) -> IO[bytes]:
        try:
            if info.compress_type not in _PACKED:
                raise NotImplementedError("it is neither deflated nor stored")
            if info.flag_bits & _ENCRYPTED:
                raise NotImplementedError("it is encrypted")
            return self._zip.open(info)
        except _BROKEN as error:
            is_whole = isinstance(error, NotImplementedError)
            hint = "unpack it first" if is_whole else "is it all there?"
            why = f"{self._whole(info)} cannot be unpacked: {error}"
            raise CorruptData(why, hint=hint) from error

    def anew(self) -> None:
        """See `Place.anew`: each process would have to unpack all."""

    def close(self) -> None:
        """See `Place.close`."""
        self._zip.close()
        for file in self._unpacked.values():
            file.close()
        self._unpacked.clear()


def _member(info: zipfile.ZipInfo) -> Member:
    return Member(info.file_size, info.CRC, info.header_offset)
