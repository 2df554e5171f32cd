"""Temporary files that lie beside others: whose they are, and what becomes of those whose program
was killed.

A `Claim` on a folder is a lock file in it, `.synmem-TOKEN.lock`, whose lock the kernel frees when
its process ends, however that is. What is made under the claim has the token in its name. `sweep`
removes what belongs to a claim that nobody holds.
"""

import atexit
import contextlib
import os
import re
from pathlib import Path
from typing import Final, Self

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there, and nothing swept
    fcntl = None  # type: ignore[assignment]

_LOCK: Final = re.compile(r"\.synmem-([0-9a-f]{16})\.lock")
_OURS: Final = re.compile(r".*\.synmem-([0-9a-f]{16})\.(?:part|folder)", re.DOTALL)
_LONGEST: Final = 200
_held: "set[Claim]" = set()


class Claim:
    """The right to a token in a folder; given back, with what was made under it, at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        while True:
            self._token = os.urandom(8).hex()
            self._lock = folder / f".synmem-{self._token}.lock"
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
            self._descriptor = os.open(self._lock, flags, 0o600)
            _locked(self._descriptor, wait=True)
            if fcntl is None or os.fstat(self._descriptor).st_nlink:
                break
            os.close(self._descriptor)  # swept in the moment between its making and its locking
        self._made: list[Path] = []
        _held.add(self)

    def part(self, name: str) -> Path:
        """Where a file is to be written that gets another name once it is whole: this one."""
        kept = os.fsdecode(os.fsencode(name)[:_LONGEST])
        return self._named(f".{kept}.{len(self._made)}.synmem-{self._token}.part")

    def subfolder(self) -> Path:
        """A new folder that only this user may look into."""
        folder = self._named(f".synmem-{self._token}.folder")
        folder.mkdir(mode=0o700)
        return folder

    def _named(self, name: str) -> Path:
        self._made.append(self.folder / name)
        return self._made[-1]

    def release(self) -> None:
        """Remove what is left of it; twice is once."""
        if self not in _held:
            return
        _held.discard(self)
        try:
            for path in self._made:
                _remove(path)
            if fcntl is None:
                os.close(self._descriptor)
            self._lock.unlink(missing_ok=True)
        finally:
            if fcntl is not None:
                os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


def temporary() -> Claim:
    """A claim on the folder for temporary files, which is swept first."""
    import tempfile

    folder = Path(tempfile.gettempdir())
    sweep(folder)
    return Claim(folder)


def sweep_temporary() -> None:
    """Sweep the folder for temporary files, if there is one."""
    import tempfile

    with contextlib.suppress(OSError):
        sweep(Path(tempfile.gettempdir()))


def release_all() -> None:
    """Give up every claim of this process: it ends now, and nobody else will."""
    for claim in list(_held):
        with contextlib.suppress(OSError):
            claim.release()


atexit.register(release_all)


def sweep(folder: Path) -> None:
    """Remove from a folder what a killed program of this user left under a claim.

    A file stays that is somebody else's, or whose claim is held or cannot be tried.
    """
    if fcntl is None:
        return
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if ".synmem-" in entry.name and _mine(entry)]
    except OSError:
        return
    tokens = {match[1] for entry in found if (match := _OURS.fullmatch(entry.name))}
    tokens |= {match[1] for entry in found if (match := _LOCK.fullmatch(entry.name))}
    for token in tokens:
        with contextlib.suppress(OSError):
            _sweep(folder, token)


def _sweep(folder: Path, token: str) -> None:
    lock = folder / f".synmem-{token}.lock"
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        # The lock file is made before all else of a claim and removed after it.
        _remove_all(folder, token)
        return
    try:
        if _locked(descriptor, wait=False):
            _remove_all(folder, token)
            lock.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, *, wait: bool) -> bool:
    """Whether the lock is held now; not where the file system knows no locks."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _remove_all(folder: Path, token: str) -> None:
    with os.scandir(folder) as entries:
        ours = [
            entry
            for entry in entries
            if (match := _OURS.fullmatch(entry.name)) and match[1] == token and _mine(entry)
        ]
    for entry in ours:
        _remove(Path(entry.path))


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except (IsADirectoryError, PermissionError):  # which of the two, for a folder, is the system's
        import shutil

        shutil.rmtree(path)


def _mine(entry: "os.DirEntry[str]") -> bool:
    """Whether it is a file or a folder, no link, of the user that we run as."""
    if entry.is_symlink():
        return False
    try:
        owner = entry.stat(follow_symlinks=False).st_uid
    except FileNotFoundError:
        return False
    return not hasattr(os, "geteuid") or owner == os.geteuid()
