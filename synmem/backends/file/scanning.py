"""Many files looked at for the first time: by as many processes as there are processors.

A process of ours gets the names of files on stdin, and gives on stdout what it has seen in them.
One that cannot be begun, or ends otherwise, leaves its share to this one: nothing depends on it.
"""

import gc
import os
import selectors
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from synmem.as_read import at_once
from synmem.backends.file.finding import FilesFit
from synmem.backends.file.foreign_units import Units
from synmem.backends.file.members import FolderPlace, Member
from synmem.backends.file.opening import Steps
from synmem.backends.file.remembered import Chapter
from synmem.layouts import registry
from synmem.layouts.shapes import Export, Folder

WORTH_IT: Final = 1 << 26
"""So many bytes take longer to look at than a process to begin."""

_MOST: Final = 8
"""So many processes read at once; the disk has its say, too."""

_WAIT_S: Final = 0.1
_BEGIN: Final = "from synmem.backends.file.scanning import main; main()"

Stale = Mapping[str, tuple[Sequence[str], Sequence[Member]]]
"""Files that are looked at, by the groups that they are read in, and their states."""


class _Job(msgspec.Struct, array_like=True):
    """What a process looks at."""

    path: str
    layout: str
    shape: int
    groups: list[tuple[str, Sequence[str]]]


_decode_job: Final = msgspec.msgpack.Decoder(_Job).decode
_decode_seen: Final = msgspec.msgpack.Decoder(dict[str, Chapter]).decode


def chapters(units: Units, stale: Stale) -> Steps[dict[str, Chapter]]:
    """What these files tell, as they are now, by group."""
    own, *others = _shares(units, stale)
    seen: dict[str, Chapter] = {}
    with _begun(units, stale, others) as processes:
        for name in own:
            seen[name] = yield from units.chapter(stale[name][0], name)
            yield
        for process in processes:
            seen |= yield from _result(process)
    for name in stale:
        if name not in seen:
            seen[name] = yield from units.chapter(stale[name][0], name)
            yield
    return seen


def _shares(units: Units, stale: Stale) -> list[list[str]]:
    """The groups, parted by how much there is to read: the first share is this process's own."""
    sizes = {name: sum(each.size for each in stamp) for name, (_, stamp) in stale.items()}
    count = 1
    if units.folder is not None and sys.executable and sum(sizes.values()) >= WORTH_IT:
        count = min(_processors(), _MOST, len(sizes))
    shares: list[list[str]] = [[] for _ in range(count)]
    sums = [0] * count
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True) if count > 1 else sizes:
        least = sums.index(min(sums))
        shares[least].append(name)
        sums[least] += sizes[name]
    return shares


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _begun(
    units: Units, stale: Stale, shares: Sequence[Sequence[str]]
) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """A process for each share; in the end none is left."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for share in shares:
            assert units.folder is not None
            job = _Job(str(units.folder), *units.named, [(name, stale[name][0]) for name in share])
            with suppress(OSError, UnicodeError):
                processes.append(_process(msgspec.msgpack.encode(job)))
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()


def _process(job: bytes) -> "subprocess.Popen[bytes]":
    """A process at this job: `-P`, since nothing of the folder where we stand is ours."""
    there = [path for path in sys.path if path and Path(path).is_absolute()]
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _BEGIN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(there)},
        start_new_session=True,  # what interrupts us ends it by our hand
    )
    assert process.stdin is not None
    with suppress(OSError):  # it has ended already
        process.stdin.write(job)
        process.stdin.close()
    return process


def _result(process: "subprocess.Popen[bytes]") -> Steps[dict[str, Chapter]]:
    """What a process has seen; nothing where it failed."""
    assert process.stdout is not None
    found = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            yield
            if selector.select(_WAIT_S):
                data = os.read(process.stdout.fileno(), 1 << 20)
                if not data:
                    break
                found += data
    with suppress(msgspec.MsgspecError, UnicodeError):
        return _decode_seen(found)
    return {}


def main() -> None:
    """In such a process: do the job that stands on stdin."""
    job = _decode_job(sys.stdin.buffer.read())
    shape = registry.shapes(job.layout, "file")[job.shape]
    assert isinstance(shape, Export | Folder)
    place = FolderPlace(Path(job.path), job.path)
    units = Units(place, FilesFit(job.layout, shape, alone=False))
    units.groups()  # which tells what files are called by those who speak of them
    gc.set_threshold(100_000, 50, 50)  # most of what is made here is for long
    seen = {name: at_once(units.chapter(files, name)) for name, files in job.groups}
    sys.stdout.buffer.write(msgspec.msgpack.encode(seen))
