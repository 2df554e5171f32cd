"""Room for temporary files: where there is none, that folder is named, not what was being read."""

import contextlib
from collections.abc import Iterator
from typing import Final

from synmem.errors import StoreError

_FULL: Final = {10, 13, 14}  # of SQLite: IOERR, FULL, CANTOPEN


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
            hint="make room there, or name another folder in TMPDIR",
        ) from error
