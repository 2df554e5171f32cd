"""How much room a store takes on the disk, and what changes with every write to it: by what the
file system says, without opening anything."""

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

_SETTLED_S: Final = 2.0
"""File systems tell times no finer than this: what was written so lately may be again, and the
times stay the same."""


class Footprint(NamedTuple):
    """The size in bytes, when a file of it was last written (seconds since 1970; None where there
    is none), and what is the same only where nothing was; None where that cannot be told yet."""

    size: int
    written: float | None
    signature: str | None


def footprint(path: Path, holds: Sequence[str] = ()) -> Footprint:
    """Of a file, with the log that SQLite keeps beside it; or of what a folder holds: where
    `holds` are patterns of its files, only the folders that these name."""
    size, newest, changed = 0, 0, 0
    digest = hashlib.blake2b(digest_size=16)
    for name, status in sorted(_files(path, holds), key=lambda each: each[0]):
        size += status.st_size
        newest = max(newest, status.st_mtime_ns)
        changed = max(changed, status.st_mtime_ns, status.st_ctime_ns)
        told = (name, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns,
                status.st_ctime_ns)  # fmt: skip
        digest.update(repr(told).encode("utf-8", "surrogatepass"))
    settled = abs(time.time() - changed / 1e9) >= _SETTLED_S
    return Footprint(
        size, newest / 1e9 if newest else None, digest.hexdigest() if settled else None
    )


def _files(path: Path, holds: Sequence[str]) -> Iterator[tuple[str, os.stat_result]]:
    if not path.is_dir():
        for each in (path, path.with_name(path.name + "-wal")):
            status = _status(each)
            if status is not None:
                yield each.name, status
        return
    for folder in _folders(path, holds):
        yield from _below(folder)


def _folders(path: Path, holds: Sequence[str]) -> list[Path]:
    """The folders in which such files are: each pattern up to its last plain folder. None lies in
    another."""
    found: set[Path] = set()
    for pattern in holds or ("*",):
        parts = pattern.split("/")[:-1]
        while parts and "*" in parts[-1]:
            parts.pop()
        found |= {each for each in path.glob("/".join(parts)) if each.is_dir()} if parts else {path}
    return sorted(each for each in found if found.isdisjoint(each.parents))


def _below(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """All files below a folder; no link is followed, and what we may not look into passed over."""
    waiting = [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        yield entry.path, entry.stat(follow_symlinks=False)
        except OSError:
            continue


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
