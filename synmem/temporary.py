"""Room for temporary files: where there is none, that folder is named, not what was being read."""

import contextlib
import errno
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from synmem.errors import StoreError

if TYPE_CHECKING:
    import sqlite3

HINT: Final = "make room in the folder for temporary files, or name another in TMPDIR"

_FULL: Final = {10, 13, 14}  # of SQLite: IOERR, FULL, CANTOPEN
_NO_ROOM: Final = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


def has_no_room(error: OSError) -> bool:
    """Whether the disk is full, or a quota or a limit is reached."""
    return error.errno in _NO_ROOM


def private_database() -> "sqlite3.Connection":
    """A database that nobody else sees, which SQLite spills to a temporary file: memory is flat."""
    import sqlite3

    rows = sqlite3.connect("", isolation_level=None)
    rows.execute("PRAGMA journal_mode=OFF")
    rows.execute("PRAGMA cache_size=-4000")
    return rows


@contextlib.contextmanager
def room() -> Iterator[None]:
    """While a temporary file is made or written: StoreError where the folder does not take it."""
    try:
        yield
    except Exception as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if not isinstance(error, OSError) and code not in _FULL:
            raise
        import tempfile

        why = getattr(error, "strerror", None) or str(error)
        folder = f" in {tempfile.tempdir}" if tempfile.tempdir else ""
        raise StoreError(
            f"a temporary file{folder} cannot be written: {why}",
            hint=HINT,
        ) from error
