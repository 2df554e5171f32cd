"""Other processes of ours, which read files while this one does something else.

One that cannot be begun, or ends otherwise than it should, gives nothing, and leaves what it was
asked for to this process: nothing depends on it.
"""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

WORTH_IT: Final = 1 << 26
"""So many bytes take longer to read than a process to begin."""

_MOST: Final = 4
"""So many processes read at once: each takes some 60 MB, and the disk has its say, too."""

_PIPE: Final = 1 << 18
"""So many bytes a pipe holds, where that can be chosen: whoever writes seldom waits."""

Process = subprocess.Popen[bytes]


def most() -> int:
    """How many processes, this one with them, read faster than one."""
    if not sys.executable:
        return 1
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), _MOST)
    return min(os.cpu_count() or 1, _MOST)


def begin(module: str) -> Process:
    """A process that runs `main` of that module of ours; `-P`, since nothing of the folder where we
    stand is ours. OSError where it cannot be begun."""
    there = [path for path in sys.path if path and Path(path).is_absolute()]
    return subprocess.Popen(
        [sys.executable, "-P", "-c", f"from {module} import main; main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pipesize=_PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(there)},
        start_new_session=True,  # what interrupts us ends it by our hand
    )


def end(process: Process) -> None:
    """End it, whatever it is at."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
