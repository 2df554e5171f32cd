"""What is looked at for the first time, by as many processes as there are processors: the files of
a folder, and the parts of a large one.

A process of ours gets on stdin what it is to look at, and gives on stdout what it has seen there.
"""

import gc
import os
import selectors
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import chain
from operator import itemgetter
from typing import Final

import msgspec

from synmem.as_read import at_once
from synmem.backends.file import processes
from synmem.backends.file.foreign_units import Units, UnitsAnew
from synmem.backends.file.members import Member
from synmem.backends.file.opening import Steps
from synmem.backends.file.processes import Process
from synmem.backends.file.remembered import Chapter
from synmem.errors import CorruptData
from synmem.layouts.shapes import MALFORMED

_WAIT_S: Final = 0.1

Stale = Mapping[str, tuple[Sequence[str], Sequence[Member]]]
"""Files that are looked at, by the groups that they are read in, and their states."""


class _Task(msgspec.Struct, array_like=True, frozen=True):
    """Files that are read together, or a part of one: from which byte to which."""

    group: str
    files: Sequence[str]
    size: int
    part: tuple[int, int | None] | None = None

    def done(self, units: Units) -> Steps[Chapter | None]:
        """What is seen there; None where it is no part."""
        if self.part is None:
            return (yield from units.chapter(self.files, self.group))
        try:
            return (yield from units.part(self.files[0], *self.part))
        except (*MALFORMED, OSError, CorruptData):
            return None


class _Job(msgspec.Struct, array_like=True):
    """What a process looks at."""

    units: UnitsAnew
    tasks: list[_Task]


_decode_job: Final = msgspec.msgpack.Decoder(_Job).decode
_decode_seen: Final = msgspec.msgpack.Decoder(list[Chapter | None]).decode


def chapters(units: Units, stale: Stale) -> Steps[dict[str, Chapter]]:
    """What these files tell, as they are now, by group."""
    own, *others = _shares(units, stale)
    found: list[tuple[_Task, Chapter | None]] = []
    with ExitStack() as ending:
        begun = [(share, _begun(units, share, ending)) for share in others]
        for task in own:
            found.append((task, (yield from task.done(units))))
            yield
        for share, process in begun:
            seen = yield from _result(process)
            found += zip(share, seen or [None] * len(share), strict=True)
    whole = _joined(found)
    for name, (files, _) in stale.items():
        if name not in whole:
            whole[name] = yield from units.chapter(files, name)
            yield
    return whole


def _shares(units: Units, stale: Stale) -> list[list[_Task]]:
    """The tasks, parted by how much there is to read: the first share is this process's own."""
    tasks = [
        _Task(name, files, sum(each.size for each in stamp))
        for name, (files, stamp) in stale.items()
    ]
    count = processes.most()
    if sum(task.size for task in tasks) < processes.WORTH_IT or count == 1 or not units.anew():
        return [tasks]
    tasks = [part for task in tasks for part in _parts(units, task, count)]
    shares: list[list[_Task]] = [[] for _ in range(min(count, len(tasks)))]
    sums = [0] * len(shares)
    for task in sorted(tasks, key=lambda task: -task.size):
        least = sums.index(min(sums))
        shares[least].append(task)
        sums[least] += task.size
    return shares


def _parts(units: Units, task: _Task, count: int) -> list[_Task]:
    """The same in as many parts as it can be read in, where it is large."""
    parts = units.parts(task.files, count) if task.size >= processes.WORTH_IT else []
    if not parts:
        return [task]
    return [_Task(task.group, task.files, task.size // len(parts), part) for part in parts]


def _joined(found: Iterable[tuple[_Task, Chapter | None]]) -> dict[str, Chapter]:
    """What was seen of those groups of which all was seen, and at the same state."""
    groups: defaultdict[str, list[tuple[int, Chapter | None]]] = defaultdict(list)
    for task, chapter in found:
        groups[task.group].append((task.part[0] if task.part else 0, chapter))
    whole = {}
    for name, parts in groups.items():
        chapters = [each for _, each in sorted(parts, key=itemgetter(0)) if each is not None]
        if len(chapters) == len(parts) and all(
            each.stamp == chapters[0].stamp for each in chapters
        ):
            entries = [*chain.from_iterable(each.entries for each in chapters)]
            whole[name] = Chapter(chapters[0].stamp, entries)
    return whole


def _begun(units: Units, share: list[_Task], ending: ExitStack) -> Process | None:
    """A process at this share; None where none can be begun."""
    with suppress(OSError, UnicodeError):
        anew = units.anew()
        assert anew is not None
        job = msgspec.msgpack.encode(_Job(anew, share))
        process = processes.begin(__name__)
        ending.callback(processes.end, process)
        assert process.stdin is not None
        process.stdin.write(job)
        process.stdin.close()
        return process
    return None


def _result(process: Process | None) -> Steps[list[Chapter | None]]:
    """What a process has seen, by task; nothing where it failed."""
    if process is None or process.stdout is None:
        return []
    found = bytearray()
    # Where no pipe can be waited for, as on Windows, nothing of it is known.
    with suppress(OSError, msgspec.MsgspecError, UnicodeError):
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                yield
                if selector.select(_WAIT_S):
                    data = os.read(process.stdout.fileno(), 1 << 20)
                    if not data:
                        break
                    found += data
        return _decode_seen(found)
    return []


def main() -> None:
    """In such a process: do the job that stands on stdin."""
    job = _decode_job(sys.stdin.buffer.read())
    units = job.units.opened()
    units.groups()  # which tells what files are called by those who speak of them
    gc.set_threshold(100_000, 50, 50)  # most of what is made here is for long
    sys.stdout.buffer.write(
        msgspec.msgpack.encode([at_once(task.done(units)) for task in job.tasks])
    )
