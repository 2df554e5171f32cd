"""Writing a file that is there whole or not at all."""

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from synmem import durable
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
                durable.sync(file)
            beside.replace(target)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        durable.sync_folder(target.parent)


def _create(beside: Path, target: Path) -> Any:
    file = durable.create(beside, mode=0o666)
    if os.name == "posix" and target.exists():
        os.fchmod(file.fileno(), target.stat().st_mode & 0o7777)
    return file


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
