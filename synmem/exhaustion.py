"""What a process may run out of: open files, memory, threads. Not the fault of any store."""

import errno
import os
from typing import Final, NamedTuple


class RanOut(NamedTuple):
    """What there is no more of, and what to do."""

    what: str
    hint: str


_FILES: Final = RanOut("too many open files", "raise the limit: ulimit -n 1024")
_MEMORY: Final = RanOut("out of memory", "is there a limit to it? ulimit -v tells")
_THREADS: Final = RanOut(
    "no thread can be started", "raise the limits: ulimit -u for threads, ulimit -v for memory"
)

_OF_FILES: Final = {errno.EMFILE, errno.ENFILE}
_SQLITE_CANTOPEN: Final = 14
_NOT_LOADED: Final = ("failed to map segment", "annot allocate memory")


def exhausted(error: BaseException | None) -> RanOut | None:
    """What the process ran out of, where that is why; asked while it is so."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if (found := _of(error)) is not None:
            return found
        error = error.__cause__ or error.__context__
    return None


def _of(error: BaseException) -> RanOut | None:
    if isinstance(error, MemoryError):
        return _MEMORY
    if isinstance(error, OSError):
        if error.errno in _OF_FILES:
            return _FILES
        return _MEMORY if error.errno == errno.ENOMEM else None
    if isinstance(error, ImportError) and any(each in str(error) for each in _NOT_LOADED):
        return _MEMORY
    if type(error) is RuntimeError and "start new thread" in str(error):
        return _THREADS
    # SQLite has one word for whatever keeps a file from being opened.
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(code, int) and code & 0xFF == _SQLITE_CANTOPEN and _no_file_can_be_opened():
        return _FILES
    return None


def _no_file_can_be_opened() -> bool:
    # Two: SQLite wants a second one, for what lies beside its file, or for the folder.
    held: list[int] = []
    try:
        for _ in range(2):
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in _OF_FILES
    finally:
        for each in held:
            os.close(each)
    return False
