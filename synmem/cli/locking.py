"""`--lock NAME`: a command that must not run twice at once, for cron jobs.

The lock is one of the kernel's on a file in the state folder. The kernel frees it however the
process ends, `kill -9` too, and no program that we start has it; the file stays and says nothing.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from synmem.errors import SynmemError, UsageError

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")


@contextlib.contextmanager
def locked(name: str | None) -> Iterator[None]:
    """Hold the lock of that name, if one is named; Busy, at once, where another process has it."""
    if name is None:
        yield
        return
    from synmem.locks import held

    file = _file(name)
    busy = f"the lock {name} is held by another synmem, and nothing was done"
    hint = "it is free when that one ends; or another --lock NAME, where both may run at once"
    with held(file, busy, hint=hint):
        yield


def _file(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--lock {name!r}", hint="a name of letters, digits, '.', '_' and '-', 100 at most"
        )
    from synmem import folders

    folder = folders.state_path("locks")
    try:
        folders.private(folder)
    except OSError as error:
        why = error.strerror or error
        raise SynmemError(f"--lock {name}: {folder} cannot be made: {why}") from error
    return folder / f"{name}.lock"
