"""Writing a file that is there whole or not at all."""

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

from synmem import durable
from synmem.errors import AccessDenied, StoreNotFound, SynmemError

_SYNCED: Final = 32
"""So many files are brought to the disk one by one; for more, everything at once is cheaper."""

_NO_ROOM: Final = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


@contextlib.contextmanager
def writing(path: Path, *, folders: bool = False) -> Iterator[Callable[[bytes], Any]]:
    """A `write` into a file beside `path`, which takes its place when the block ends well.

    The mode of a file that is there is kept; a symbolic link stays one. What is no ordinary file
    (a pipe, /dev/null) is written directly. With `folders` those it lies in are made.
    """
    with translating(path):
        if folders:
            _make_folder(path.parent)
        target = path.resolve()
        if target.exists() and not target.is_file():
            with target.open("wb") as file:
                yield file.write
            return
        beside = _beside(target)
        try:
            with _create(beside, target) as file:
                yield file.write
                durable.sync(file)
            beside.replace(target)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        durable.sync_folder(target.parent)


class Several:
    """Files that are written one after another, each whole or not at all.

    They lie beside their places until `settle`, which is called whenever there are `at_once` of
    them; what was not settled is removed at the end. With `folders` those they lie in are made.
    """

    def __init__(self, *, at_once: int | None = None, folders: bool = False) -> None:
        self.count = 0
        self._at_once = at_once
        self._folders = folders
        self._file: Any = None
        self._waiting: list[tuple[Path, Path]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # what did not fit before does not fit now
                self._file.close()
        for beside, _ in self._waiting:
            beside.unlink(missing_ok=True)

    def begin(self, path: Path) -> None:
        """The next file, which is to take its place at `path`."""
        with translating(path):
            if self._folders:
                _make_folder(path.parent)
            target = path.resolve()
            if target.exists() and not target.is_file():
                raise SynmemError(f"{path} is there, and is not a file")
            self._waiting.append((_beside(target), target))
            self._file = _create(*self._waiting[-1])
            self.count += 1

    def write(self, piece: bytes) -> None:
        """More of it."""
        with translating(self._waiting[-1][1]):
            self._file.write(piece)

    def end(self) -> None:
        """It is whole."""
        with translating(self._waiting[-1][1]):
            if len(self._waiting) <= _SYNCED or not hasattr(os, "sync"):
                durable.sync(self._file)
            self._file.close()
        self._file = None
        if len(self._waiting) == self._at_once:
            self.settle()

    def settle(self, places: Sequence[Path] = ()) -> None:
        """All that are whole take their places, or rather these."""
        if len(self._waiting) > _SYNCED:
            durable.sync_all()
        folders = set()
        targets = [path.resolve() for path in places] or [target for _, target in self._waiting]
        for target in targets:
            with translating(target):
                self._waiting[0][0].replace(target)
            del self._waiting[0]
            folders.add(target.parent)
        for folder in folders:
            durable.sync_folder(folder)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise SynmemError(f"{folder}: no folder can be made where a file is") from error


def _beside(target: Path) -> Path:
    name = os.fsdecode(os.fsencode(target.name)[:200])
    return target.with_name(f".{name}.{secrets.token_hex(4)}.part")


def read_whole(path: Path) -> bytes:
    """All of a file that is to be held at once."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise StoreNotFound(f"{path} is not there") from error
    except PermissionError as error:
        raise AccessDenied(f"{path}: {error.strerror}") from error
    except OSError as error:
        raise SynmemError(f"{path}: {error.strerror or error}") from error


def _create(beside: Path, target: Path) -> Any:
    file = durable.create(beside, mode=0o666)
    if os.name == "posix" and target.exists():
        os.fchmod(file.fileno(), target.stat().st_mode & 0o7777)
    return file


@contextlib.contextmanager
def translating(path: Path) -> Iterator[None]:
    """What stops a file from being written, as one of ours that names it."""
    try:
        yield
    except BrokenPipeError:
        raise
    except FileNotFoundError as error:
        raise StoreNotFound(f"{path}: its folder is not there", hint="make it first") from error
    except PermissionError as error:
        raise AccessDenied(f"{path}: {error.strerror}") from error
    except OSError as error:
        hint = "make room, or name a file elsewhere" if error.errno in _NO_ROOM else None
        raise SynmemError(f"{path}: {error.strerror or error}", hint=hint) from error


def same_file(one: Path, other: Path) -> bool:
    """Whether both are one file, whatever links lead to it; it need not be there yet."""
    try:
        return one.samefile(other) and one.is_file()  # not where both are /dev/null
    except OSError:
        return one.resolve() == other.resolve()
