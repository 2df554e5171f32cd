"""Timing whole commands in turn, so that a ratio holds although the machine's speed drifts."""

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil


class Spent(NamedTuple):
    """What work took: seconds on the wall, and seconds of processors, those of servers included.

    On a machine that others use too, the second is the steadier of the two.
    """

    wall_s: float
    cpu_s: float

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(self.wall_s - other.wall_s, self.cpu_s - other.cpu_s)


Work = Callable[[], Spent]
"""Does the work once; returns what it took."""


class Result(NamedTuple):
    """One row: ours against theirs (seconds, medians), and the bar that it has to meet."""

    name: str
    ours: float
    theirs: float
    ratio: float
    cpu_ratio: float | None
    first: float
    goal: float
    at_least: bool

    @property
    def met(self) -> bool:
        """Whether the bar called "first" is met."""
        return self.ratio >= self.first if self.at_least else self.ratio <= self.first


def side_by_side(
    name: str,
    ours: Work,
    theirs: Work,
    *,
    first: float,
    goal: float,
    speed: bool,
    runs: int = 5,
) -> Result:
    """Run the two in turn; `speed`: the ratio is theirs/ours (more is better), else ours/theirs."""
    ours(), theirs()  # warm the caches of both
    pairs = [(ours(), theirs()) for _ in range(runs)]
    over, under = (1, 0) if speed else (0, 1)
    return Result(
        name,
        statistics.median(a.wall_s for a, _ in pairs),
        statistics.median(b.wall_s for _, b in pairs),
        statistics.median(pair[over].wall_s / pair[under].wall_s for pair in pairs),
        statistics.median(pair[over].cpu_s / max(pair[under].cpu_s, 0.001) for pair in pairs),
        first,
        goal,
        speed,
    )


def command(arguments: Sequence[str], **options: object) -> Work:
    """A whole process, its output read to the end and thrown away."""

    def work() -> Spent:
        start = _so_far()
        subprocess.run(list(arguments), check=True, stdout=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
        return _so_far() - start

    return work


def telling(arguments: Sequence[str]) -> Work:
    """A process that prints what the part of it took that counts; servers beside it count too."""

    def work() -> Spent:
        before = _servers_cpu_s()
        done = subprocess.run(list(arguments), check=True, capture_output=True, text=True)
        wall_s, cpu_s = map(float, done.stdout.split())
        return Spent(wall_s, cpu_s + _servers_cpu_s() - before)

    return work


def prepared(prepare: Callable[[], object], work: Work) -> Work:
    """The work alone, after a preparation that is not timed."""

    def both() -> Spent:
        prepare()
        return work()

    return both


def beyond(base: Work, work: Work) -> Work:
    """What a work takes beyond the same work on next to nothing: start-up is measured by itself."""

    def difference() -> Spent:
        start = base()
        more = work() - start
        return Spent(max(more.wall_s, 0.001), max(more.cpu_s, 0.001))

    return difference


def peak_mb(arguments: Sequence[str]) -> float:
    """The peak memory of a process, in megabytes (the operating system's own account)."""
    code = (
        "import resource, subprocess, sys;"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True
    )
    return int(done.stdout) / (1024 if sys.platform != "darwin" else 1024 * 1024)


def peak_mb_together(arguments: Sequence[str]) -> float:
    """The peak memory of a process and of those that it begins, in megabytes: what is theirs alone
    and their part of what they share (looked at again and again: a short peak may be missed)."""
    peak = 0
    process = psutil.Popen(list(arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, sum(map(_memory, [process, *_begun_by(process)])))
        time.sleep(0.02)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(arguments))
    return peak / (1 << 20)


def _begun_by(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return process.children(recursive=True)
    return []


def _memory(process: psutil.Process) -> int:
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
        found = process.memory_full_info()
        return getattr(found, "pss", found.rss)
    return 0


def remove(path: Path) -> None:
    """Delete an SQLite file and what lies beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def sync() -> None:
    """Let the disk finish what others wrote before something is timed."""
    os.sync()


def _so_far() -> Spent:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(time.perf_counter(), ended.ru_utime + ended.ru_stime + _servers_cpu_s())


def _servers_cpu_s() -> float:
    """The processor time of all that runs beneath us, of what it has ended itself too."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            total += sum(process.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return total
