"""Timing whole commands in turn, so that a ratio holds although the machine's speed drifts."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Work = Callable[[], float]
"""Does the work once; returns seconds."""


@dataclass(frozen=True)
class Result:
    """One row: ours against theirs (seconds, medians), and the bar that it has to meet."""

    name: str
    ours_s: float
    theirs_s: float
    ratio: float
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
    ratios = [b / a if speed else a / b for a, b in pairs]
    return Result(
        name,
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(ratios),
        first,
        goal,
        speed,
    )


def command(arguments: Sequence[str], **options: object) -> Work:
    """The time of a whole process, its output read to the end and thrown away."""

    def work() -> float:
        start = time.perf_counter()
        subprocess.run(list(arguments), check=True, stdout=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
        return time.perf_counter() - start

    return work


def prepared(prepare: Callable[[], None], work: Work) -> Work:
    """The work alone, after a preparation that is not timed."""

    def both() -> float:
        prepare()
        return work()

    return both


def beyond(base: Work, work: Work) -> Work:
    """What a work takes beyond the same work on next to nothing: start-up is measured by itself."""

    def difference() -> float:
        start = base()
        return max(work() - start, 0.001)

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


def remove(path: Path) -> None:
    """Delete an SQLite file and what lies beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def sync() -> None:
    """Let the disk finish what others wrote before something is timed."""
    os.sync()
