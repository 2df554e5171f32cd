"""Writing a file that is there whole or not at all."""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

from synmem import durable, leftovers
from synmem.cli import render
from synmem.cli.run import hearing_interrupts
from synmem.errors import AccessDenied, StoreNotFound, SynmemError, UsageError
from synmem.temporary import has_no_room

_SYNCED: Final = 32
"""So many files are brought to the disk one by one; for more, everything at once is cheaper."""

_CLAIMS: Final = 100
"""In so many folders files are written before they take their places."""

_LINKS: Final = 40
"""So many symbolic links may lead to one another, as in Linux."""


@contextlib.contextmanager
def writing(
    path: Path, *, folders: bool = False, gate: Callable[[bytes], bytes] | None = None
) -> Iterator[Callable[[bytes], Any]]:
    """A `write` into a file beside `path`, which takes its place when the block ends well.

    The mode of a file that is there is kept, and where the system allows it the owner; a symbolic
    link stays one. What is no ordinary file (a pipe, a terminal, /dev/null) or a descriptor that
    this process was given (/dev/stdout, /dev/fd/63) is written directly. With `folders` those it
    lies in are made. On a terminal every piece passes the `gate`.
    """
    with translating(path):
        if folders:
            _make_folder(path.parent)
        if is_special(path):
            with open_special(path) as file:
                yield gated(file.write, file, gate)
            return
        target = _target(path)
        leftovers.sweep(target.parent)
        with leftovers.Claim(target.parent) as claim:
            beside = claim.part(target.name)
            with _create(beside, target) as file:
                yield file.write
                durable.sync(file)
            beside.replace(target)
        durable.sync_folder(target.parent)


def file_named(option: str, text: str | None) -> Path | None:
    """The file that an option names, `-` for stdout; UsageError where it is a folder."""
    if text is None:
        return None
    if text == "-":
        return Path("/dev/stdout")
    if not text or text.endswith(("/", os.sep, "/.", "/..")) or _is_of(Path(text), stat.S_ISDIR):
        raise UsageError(
            f"{option} {text!r} names {'a folder, not a file' if text else 'no file'}",
            hint="name a file" + (f" in it: {option} {text.rstrip('/')}/FILE" if text else ""),
        )
    return Path(text)


# --- what is no ordinary file ---------------------------------------------------------------

_DESCRIPTOR: Final = re.compile(r"/dev/fd/(\d+)|/proc/(\d+)(?:/task/\d+)?/fd/(\d+)")


def is_special(path: Path) -> bool:
    """Whether a path names a descriptor of a process, or what is there and no ordinary file."""
    return _descriptor(path) is not None or _is_of(path, lambda mode: not stat.S_ISREG(mode))


def _is_of(path: Path, test: Callable[[int], bool]) -> bool:
    """Whether it can be looked at, and is of such a kind."""
    try:
        return test(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def open_special(path: Path) -> Any:
    """It, open for writing: what comes goes behind what was written there before."""
    found = _descriptor(path)
    if found is None:
        with hearing_interrupts():  # a FIFO is opened once somebody reads it
            return path.open("wb")
    process, descriptor = found
    if process != os.getpid():
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND), "wb")
    if descriptor == 1:
        render.flush()
    return os.fdopen(os.dup(descriptor), "wb")


def _descriptor(path: Path) -> tuple[int, int] | None:
    """The process and its descriptor that a path leads to, over links of other names too."""
    for _ in range(_LINKS):
        path = Path(os.path.realpath(path.parent), path.name)
        if found := _DESCRIPTOR.fullmatch(str(path)):
            process = int(found[2]) if found[2] else os.getpid()
            return process, int(found[1] or found[3])
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()
    return None


def gated(
    write: Callable[[bytes], Any], file: Any, gate: Callable[[bytes], bytes] | None
) -> Callable[[bytes], Any]:
    """This `write`, or where the file is a terminal one through the gate."""
    if gate is None or not file.isatty():
        return write
    return lambda piece: write(gate(piece))


# --- several --------------------------------------------------------------------------------


class Several:
    """Files that are written one after another, each whole or not at all.

    They lie beside their places until `settle`, which is called whenever there are `at_once` of
    them; what was not settled is removed at the end. The folders they lie in are made.
    """

    def __init__(self, *, at_once: int | None = None) -> None:
        self.count = 0
        self._at_once = at_once
        self._file: Any = None
        self._waiting: list[tuple[Path, Path]] = []
        self._claims: dict[Path, leftovers.Claim] = {}
        self._swept: set[Path] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # what did not fit before does not fit now
                self._file.close()
        self._release()

    def begin(self, path: Path) -> None:
        """The next file, which is to take its place at `path`."""
        with translating(path):
            _make_folder(path.parent)
            if is_special(path):
                raise SynmemError(f"{path} is there, and is not a file")
            target = _target(path)
            beside = self._claim(target.parent).part(target.name)
            self._waiting.append((beside, target))
            self._file = _create(beside, target)
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
        # A claim holds a descriptor: of those a process has only so many.
        if len(self._waiting) == self._at_once or len(self._claims) == _CLAIMS:
            self.settle()

    def begin_again(self, number: int, beginning: bytes) -> None:
        """Put these bytes in the place of as many that file `number`, from 1, begins with.

        Before it is settled, and without `at_once`.
        """
        beside, target = self._waiting[number - 1]
        with translating(target):
            mode = beside.stat().st_mode
            beside.chmod(mode | 0o200)  # it has that of the file whose place it takes
            with beside.open("r+b") as file:
                file.write(beginning)
                if len(self._waiting) <= _SYNCED or not hasattr(os, "sync"):
                    durable.sync(file)
            beside.chmod(mode)

    def settle(self, places: Sequence[Path] = ()) -> None:
        """All that are whole take their places, or rather these."""
        if len(self._waiting) > _SYNCED:
            durable.sync_all()
        folders = set()
        targets = [_target(path) for path in places] or [target for _, target in self._waiting]
        for target in targets:
            with translating(target):
                self._waiting[0][0].replace(target)
            del self._waiting[0]
            folders.add(target.parent)
        self._release()
        for folder in folders:
            durable.sync_folder(folder)

    def _claim(self, folder: Path) -> leftovers.Claim:
        if folder not in self._claims:
            if folder not in self._swept:
                leftovers.sweep(folder)
                self._swept.add(folder)
            self._claims[folder] = leftovers.Claim(folder)
        return self._claims[folder]

    def _release(self) -> None:
        for claim in self._claims.values():
            claim.release()
        self._claims.clear()


def _target(path: Path) -> Path:
    """What is to be replaced: not a link, but what it leads to."""
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return target


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise SynmemError(f"{folder}: no folder can be made where a file is") from error


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
        before = target.stat()
        mode = before.st_mode & 0o7777
        try:
            os.fchown(file.fileno(), before.st_uid, before.st_gid)
        except OSError:  # only root gives files away; the bits that lend a user's rights stay off
            with contextlib.suppress(OSError):
                os.fchown(file.fileno(), -1, before.st_gid)
            mode &= 0o777 if before.st_uid != os.geteuid() else 0o7777
        os.fchmod(file.fileno(), mode)
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
        hint = "make room, or name a file elsewhere" if has_no_room(error) else None
        raise SynmemError(f"{path}: {error.strerror or error}", hint=hint) from error


def is_of_store(path: Path, store: Path) -> bool:
    """Whether it is a store's file, or one that SQLite keeps beside that."""
    store = Path(os.path.realpath(store))
    beside = (store.with_name(store.name + suffix) for suffix in ("-wal", "-shm", "-journal"))
    return any(same_file(path, each) for each in (store, *beside))


def same_file(one: Path, other: Path) -> bool:
    """Whether both are one file, whatever links lead to it; it need not be there yet."""
    try:
        return one.samefile(other) and one.is_file()  # not where both are /dev/null
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)
