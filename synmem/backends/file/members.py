"""Places of files: a folder, an archive, one file; what is in them, and how it is read.

A folder is looked through to a bounded depth and number, and no symbolic link leads out of it. An
archive is not unpacked: a member is read into memory, or where it must be sought in, into a
temporary file without a name; either is bounded, by what compressed text may become.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, Protocol, cast

from synmem.errors import CorruptData

DEEPEST: Final = 12
"""So many folders stand one in another, below the one that is named."""

MOST: Final = 500_000
"""So many files are in a place."""

LARGEST: Final = 1 << 30
"""So many bytes of a file, or of a value in it, are taken into memory at once."""

_PASSED_OVER: Final = frozenset({".git", "node_modules", "__pycache__", ".venv"})


class Member(NamedTuple):
    """A file of a place: as long as this is the same, so is what it holds."""

    size: int
    changed: int
    """When it was changed last, in nanoseconds; of an archive's member its checksum."""
    number: int
    """Its inode; of an archive's member, where it stands."""


class Anew(NamedTuple):
    """How a place is opened once more, by another process."""

    path: str
    called: str
    """What the one file is called here; empty where it is a folder."""

    def opened(self) -> "FolderPlace | FilePlace":
        """The place."""
        path = Path(self.path)
        if not self.called:
            return FolderPlace(path, self.path)
        return FilePlace(path, self.path, None, self.called)


class Place(Protocol):
    """Where files are."""

    kind: str
    """What it is, for a person: a folder, an archive, a file."""
    name: str
    """What it is called in output."""
    closed: dict[str, str]
    """What in it could not be looked into when its members were listed last: why, by name."""

    def members(self) -> dict[str, Member]:
        """All its files by their names, sorted; CorruptData where they are too many."""

    def member(self, name: str) -> Member | None:
        """One of them as it is now; None where it is not there."""

    def read(self, name: str, start: int = 0, size: int = LARGEST) -> bytes:
        """So much of a file; FileNotFoundError where it is not there."""

    def open(self, name: str) -> BinaryIO:
        """A file, to be sought in: before each read, since others may seek in the same."""

    def beside(self, name: str) -> list[str]:
        """The files in the folder of that file, and below it, by their names from there, sorted."""

    def anew(self) -> Anew | None:
        """How another process reads the same as fast; None where it cannot."""

    def close(self) -> None:
        """Give back what is held; twice is once."""


def in_its_folder(name: str, members: Iterable[str]) -> list[str]:
    """Those of the files of a place that lie in the folder of one of them: see `Place.beside`."""
    folder = name[: name.rfind("/") + 1]
    return [each.removeprefix(folder) for each in members if each.startswith(folder)]


def is_inside(name: str) -> bool:
    """Whether a name leads to nothing outside of its place, wherever it is taken for a path."""
    parts = name.replace("\\", "/").split("/")
    return not ({"", ".", ".."} & {*parts} or ":" in parts[0])


class FolderPlace:
    """A folder, and the folders in it."""

    kind = "folder"

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self.path = path
        self.closed: dict[str, str] = {}

    def members(self) -> dict[str, Member]:
        """See `Place.members`; a name that is no UTF-8 keeps its bytes as lone surrogates."""
        found = {}
        self.closed = {}
        for name, status in self._below("", 0):
            found[name] = Member(status.st_size, status.st_mtime_ns, status.st_ino)
            if len(found) > MOST:
                raise CorruptData(
                    f"{self.name}: more than {MOST:,} files are in this folder",
                    hint="name one of the folders in it",
                )
        return dict(sorted(found.items()))

    def _below(self, folder: str, depth: int) -> Iterator[tuple[str, os.stat_result]]:
        try:
            entries = [*os.scandir(self.path / folder if folder else self.path)]
        except OSError as error:
            if not folder:
                raise
            self._pass_over(folder, error)
            return
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError as error:
                self._pass_over(name, error)
                continue
            if stat.S_ISDIR(status.st_mode):
                if depth < DEEPEST and entry.name not in _PASSED_OVER:
                    yield from self._below(name, depth + 1)
            elif stat.S_ISREG(status.st_mode):
                yield name, status

    def _pass_over(self, name: str, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):  # it was removed just now
            self.closed[name] = error.strerror or str(error)

    def member(self, name: str) -> Member | None:
        """See `Place.member`."""
        try:
            status = (self.path / name).lstat()
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return Member(status.st_size, status.st_mtime_ns, status.st_ino)

    def read(self, name: str, start: int = 0, size: int = LARGEST) -> bytes:
        """See `Place.read`."""
        with self.open(name) as file:
            return _part(file, start, size)

    def open(self, name: str) -> BinaryIO:
        """See `Place.open`; a symbolic link that took the place of the file is not followed."""
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        return os.fdopen(os.open(self.path / name, flags), "rb")

    def beside(self, name: str) -> list[str]:
        """See `Place.beside`."""
        return in_its_folder(name, self.members())

    def anew(self) -> Anew | None:
        """See `Place.anew`."""
        return Anew(str(self.path), "")

    def close(self) -> None:
        """Nothing is held."""


class FilePlace:
    """One file: at its path, or, of a packed one, in the temporary file that it was unpacked to."""

    kind = "file"

    def __init__(self, path: Path, name: str, unpacked: BinaryIO | None, called: str) -> None:
        """`called`: what the file is called here."""
        self.name = name
        self._path = path
        self._unpacked = unpacked
        self._member = called
        self.closed: dict[str, str] = {}

    def members(self) -> dict[str, Member]:
        """See `Place.members`."""
        member = self.member(self._member)
        return {self._member: member} if member else {}

    def member(self, name: str) -> Member | None:
        """See `Place.member`: the size is that of what is read, the time that of the file."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        size = status.st_size
        if self._unpacked is not None:
            size = self._unpacked.seek(0, os.SEEK_END)
        return Member(size, status.st_mtime_ns, status.st_ino)

    def read(self, name: str, start: int = 0, size: int = LARGEST) -> bytes:
        """See `Place.read`."""
        with self.open(name) as file:
            return _part(file, start, size)

    def open(self, name: str) -> BinaryIO:
        """See `Place.open`."""
        return self._path.open("rb") if self._unpacked is None else once_more(self._unpacked)

    def beside(self, name: str) -> list[str]:
        """See `Place.beside`; below the folder, which may be anybody's, one deep."""
        folder = self._path.parent
        found = []
        for inner in ("", *sorted(_names(folder, stat.S_ISDIR))):
            start = f"{inner}/" if inner else ""
            found += [start + each for each in _names(folder / inner, stat.S_ISREG)]
        return sorted(found)

    def anew(self) -> Anew | None:
        """See `Place.anew`: what was unpacked is nowhere where another would find it."""
        return Anew(str(self._path), self._member) if self._unpacked is None else None

    def close(self) -> None:
        """See `Place.close`."""
        if self._unpacked is not None:
            self._unpacked.close()


def once_more(file: BinaryIO) -> BinaryIO:
    """The same open file, which the caller closes; without a buffer, since where one of the two
    reads is where the other does."""
    return cast(BinaryIO, os.fdopen(os.dup(file.fileno()), "rb", buffering=0))


def _names(folder: Path, is_kind: Callable[[int], bool]) -> Iterator[str]:
    """What is of a kind in a folder; nothing where that may not be looked into."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if is_kind(entry.stat(follow_symlinks=False).st_mode):
                yield entry.name


def _part(file: BinaryIO, start: int, size: int) -> bytes:
    """So much of a file, as it is now."""
    there = os.fstat(file.fileno()).st_size
    file.seek(start)
    # A read of more than there is takes memory for all that it asks for, which is then given back.
    return file.read(min(size, max(there - start, 0)) if there else size)
