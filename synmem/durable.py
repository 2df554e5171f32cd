"""Files that are there whole or not at all, also after a power cut."""

import os
from pathlib import Path
from typing import Any


def create(path: Path, *, mode: int = 0o600) -> Any:
    """A new binary file, open for reading and writing; FileExistsError where there is one."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, mode), "w+b")


def replace(path: Path, data: bytes) -> None:
    """A file that has these bytes, or what it had before."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with create(fresh) as file:
        file.write(data)
        sync(file)
    fresh.replace(path)


def sync(file: Any) -> None:
    """What was written to an open file is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_all() -> None:
    """Whatever was written, to any file, is on the disk; where the system has no such call, nothing
    is done."""
    getattr(os, "sync", lambda: None)()


def sync_folder(folder: Path) -> None:
    """The names in a folder are on the disk."""
    if os.name == "nt":
        return  # Windows opens no folders
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
