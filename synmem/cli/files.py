"""Writing a file that is there whole or not at all."""

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from synmem.errors import AccessDenied, StoreNotFound, SynmemError


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Callable[[bytes], Any]]:
    """A `write` into a file beside `path`, which takes its place when the block ends well.

    The mode of a file that is there is kept; a symbolic link stays one. What is no ordinary file
    (a pipe, /dev/null) is written directly.
    """
    with _translating(path):
        target = path.resolve()
        if target.exists() and not target.is_file():
            with target.open("wb") as file:
                yield file.write
            return
        beside = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.part")
        try:
            with _create(beside, target) as file:
                yield file.write
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)


def _create(beside: Path, target: Path) -> Any:
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0),
                         0o666)  # fmt: skip
    if os.name == "posix" and target.exists():
        os.fchmod(descriptor, target.stat().st_mode & 0o7777)
    return os.fdopen(descriptor, "wb")


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # Windows opens no folders
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _translating(path: Path) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except FileNotFoundError as error:
        raise StoreNotFound(f"{path}: its folder is not there", hint="make it first") from error
    except PermissionError as error:
        raise AccessDenied(f"{path}: {error.strerror}") from error
    except OSError as error:
        raise SynmemError(f"{path}: {error.strerror or error}") from error
