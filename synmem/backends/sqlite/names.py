"""Where an SQLite file really lies, what lies beside it, and how it is opened to be read.

`-wal` and `-journal` belong to a name. So links are resolved before anything is looked for; of
several names that one file has in a folder (hard links) the one beside which such a file lies is
taken; and a file in WAL mode that has another name which cannot be seen from here (a hard link from
elsewhere, a file mounted by itself) is refused: what was written last may lie beside that one.

A file that may be written is opened read-write, with query_only set by whoever opens it: mode=ro
would leave an index behind where the file is in WAL mode. With a rollback journal beside it, or
something in its WAL, mode=ro, which neither rolls back nor checkpoints; so too where it may not be
written. What cannot be opened so is either in WAL mode with nothing beside it, and is read as
immutable; or must be recovered, which is done to a private copy. Neither of the two follows the
file: whoever reads them has to look whether it is still as it was.
"""

import os
import stat
import time
from pathlib import Path
from typing import Final, NamedTuple

from synmem.errors import CorruptData, StoreError

_BESIDE: Final = ("-journal", "-wal")

_YOUNG_NS: Final = 20_000_000
"""Within the same tick of a file system's clock a second change shows nowhere."""

_Status = tuple[int, int, int]
Seen = tuple[_Status | None, ...]
"""Inode, size and time of change of a file and of what lies beside it."""


class Name(NamedTuple):
    """One file, by the name beside which the rest of it lies."""

    path: Path

    def beside(self, suffix: str) -> Path:
        """What belongs to it under that suffix."""
        return self.path.with_name(self.path.name + suffix)

    def holds(self, suffix: str) -> bool:
        """Whether there is something in that."""
        seen = _seen(self.beside(suffix))
        return seen is not None and seen[1] > 0

    def seen(self) -> Seen:
        """What would be otherwise if anything were written."""
        return (_seen(self.path), *(_seen(self.beside(suffix)) for suffix in _BESIDE))

    def seen_itself(self) -> _Status | None:
        """The same of the file alone."""
        return _seen(self.path)

    def uri(self, mode: str) -> str:
        """As SQLite opens it."""
        return f"{self.path.absolute().as_uri()}?mode={mode}"

    def is_empty(self) -> bool:
        """Whether there is nothing in the file, or no file; CorruptData for a folder or a pipe."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return True
        if stat.S_ISDIR(status.st_mode):
            raise CorruptData(f"{self.path}: a folder, not an SQLite file")
        if not stat.S_ISREG(status.st_mode):
            raise CorruptData(f"{self.path}: not a regular file, so not an SQLite file")
        return status.st_size == 0 and not self.holds("-wal")

    def uri_to_read(self) -> str:
        """How to open it so that reading leaves it, and what lies beside it, as it was."""
        if self.holds("-journal") or self.holds("-wal"):
            return self.uri("ro")
        folder = self.path.parent
        if not allowed(folder, os.W_OK):
            return self.uri("ro")  # nothing can be left behind there
        if allowed(self.path, os.W_OK):
            return self.uri("rw")
        live = self.beside("-wal").exists() and self.beside("-shm").exists()
        return self.uri("ro") if live or not _is_wal(self.path) else self.uri_of_immutable()

    def uri_of_immutable(self) -> str:
        """The same where it is in WAL mode, nothing is in its WAL, and no index can be made."""
        return f"{self.uri('ro')}&immutable=1"

    def check_names(self) -> None:
        """StoreError where another name, that is not seen from here, may have the rest of it."""
        if not self.holds("-wal") and self._has_unseen_names() and _is_wal(self.path):
            raise StoreError(
                f"{self.path}: it is in WAL mode and has another name (a hard link, or it is "
                "mounted by itself): what was written last may lie in a file beside that one",
                hint="give that name, or mount its folder instead of the file; or copy the file, "
                "and read the copy as it was at its last checkpoint",
            )

    def has_other_names(self) -> bool:
        """Whether other programs may know it by another name, so that it must have no WAL."""
        status = _status(self.path)
        return status is not None and (status.st_nlink > 1 or _is_mounted(self.path))

    def _has_unseen_names(self) -> bool:
        """Whether what lies beside it may lie in another folder."""
        status = _status(self.path)
        if status is None:
            return False
        return status.st_nlink > len(_names(self.path)) or _is_mounted(self.path)


def name_of(path: Path) -> Name:
    """The name of a file that lies at this path, whatever links lead there."""
    real = Path(os.path.realpath(path))
    names = _names(real)
    beside = (name for name in names if any(map(name.holds, _BESIDE)))
    open_ = (name for name in names if name.beside("-wal").exists())
    # With nothing beside any of them the same one for everybody: two would each have a WAL.
    return next(beside, None) or next(open_, None) or min(names)


def _names(real: Path) -> list[Name]:
    """The names that a file has in its folder, first the one that was given."""
    status = _status(real)
    if status is None or status.st_nlink == 1 or not stat.S_ISREG(status.st_mode):
        return [Name(real)]
    try:
        entries = [entry.name for entry in os.scandir(real.parent) if _is(entry, status)]
    except OSError:
        return [Name(real)]
    return [Name(real), *(Name(real.with_name(name)) for name in entries if name != real.name)]


def _is(entry: os.DirEntry[str], status: os.stat_result) -> bool:
    """Whether a name is that of this file: a file mounted there has another inode, or device."""
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    return (found.st_ino, found.st_dev) == (status.st_ino, status.st_dev)


def is_young(seen: Seen) -> bool:
    """Whether any of it was written just now, so that it may change again without showing it."""
    newest = max((each[2] for each in seen if each is not None), default=0)
    return 0 <= time.time_ns() - newest < _YOUNG_NS


def allowed(path: Path, mode: int) -> bool:
    """Whether we may do that."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def copy(name: Name, folder: Path) -> Name:
    """A copy of a file with what lies beside it."""
    import shutil

    for suffix in ("", *_BESIDE):
        beside = name.beside(suffix)
        if beside.exists():
            # A hot journal names no database: the copies belong together by their names alone.
            shutil.copyfile(beside, folder / beside.name)
    return Name(folder / name.path.name)


def _seen(path: Path) -> _Status | None:
    status = _status(path)
    # Not when its inode changed: SQLite, run by root, sets the owner of a journal that it opens.
    return status and (status.st_ino, status.st_size, status.st_mtime_ns)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _is_wal(path: Path) -> bool:
    """Whether its header says so. Only asked where it must be: closing a second descriptor of a
    file drops the locks that this process has on it."""
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(20)[18:] == b"\x02\x02"
    except OSError:
        return False


def _is_mounted(path: Path) -> bool:
    """Whether the file is a mount by itself, as far as Linux tells."""
    try:
        mounts = Path("/proc/self/mountinfo").read_bytes()
    except OSError:
        return False
    name = os.fsencode(path)
    for each in (b"\\", b" ", b"\t", b"\n"):
        name = name.replace(each, b"\\%03o" % each[0])
    return b" " + name + b" " in mounts
