"""What SQLite and the file system say is the matter, as our errors, which name the right place."""

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Final

from synmem.errors import AccessDenied, CorruptData, StoreError, StoreUnavailable
from synmem.exhaustion import exhausted
from synmem.temporary import HINT


class Refused(StoreError):
    """A constraint or a trigger of the file's tables does not let that be written."""


_DENIED: Final = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
_NOT_WRITTEN: Final = {
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
}


def code_of(error: Exception) -> int:
    """SQLite's primary code; 0 where it is none of SQLite's."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_in_the_way(error: Exception) -> bool:
    """Whether a file cannot be read as it is opened: it would have to be written first."""
    return code_of(error) in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)


def is_later(error: Exception) -> bool:
    """Whether another program holds a lock, for longer than it was waited for."""
    return code_of(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_waited_for(error: sqlite3.Error) -> bool:
    """Whether the same statement may do as soon as another program lets go of its lock."""
    code = getattr(error, "sqlite_errorcode", None)
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY)


def is_undecodable(error: sqlite3.OperationalError) -> bool:
    """Whether text that was asked for is not UTF-8."""
    return "decode to UTF-8" in str(error)


@contextlib.contextmanager
def translating(store: str, *, temporary: bool = False) -> Iterator[None]:
    """SQLite's exceptions as ours. Where nothing but temporary files is written, it is them that
    there is no room for."""
    try:
        yield
    except sqlite3.Error as error:
        code = code_of(error)
        if is_later(error):
            raise StoreUnavailable(
                f"{store}: locked by another program", hint="try again later"
            ) from error
        if code in _DENIED:
            raise AccessDenied(f"{store}: {error}", hint="check the file's permissions") from error
        if code == sqlite3.SQLITE_CANTOPEN and (ran_out := exhausted(error)):
            raise StoreUnavailable(
                f"{store}: cannot be opened: {ran_out.what}", hint=ran_out.hint
            ) from error
        if code == sqlite3.SQLITE_CANTOPEN:
            raise AccessDenied(
                f"{store}: cannot be opened", hint="check the permissions of file and folder"
            ) from error
        if code == sqlite3.SQLITE_NOTADB:
            raise CorruptData(f"{store}: not an SQLite database") from error
        if code == sqlite3.SQLITE_CORRUPT:
            raise CorruptData(
                f"{store}: damaged: {error}",
                hint="`synmem export --rescue` writes what can be read",
            ) from error
        no_room = getattr(error, "sqlite_errorcode", 0) in _NOT_WRITTEN
        if temporary and (no_room or code == sqlite3.SQLITE_FULL):
            raise StoreError(
                f"{store}: SQLite needs more room for temporary files than there is ({error})",
                hint=HINT,
            ) from error
        if code == sqlite3.SQLITE_FULL:
            raise StoreError(
                f"{store}: the disk is full; nothing of this call was written",
                hint="make room, and run again",
            ) from error
        if no_room:
            raise StoreError(
                f"{store}: {error}: it cannot be written; nothing of this call was",
                hint="is the disk full, or a quota, or the limit on a file's size (ulimit -f)?",
            ) from error
        kind = Refused if isinstance(error, sqlite3.IntegrityError) else StoreError
        raise kind(f"{store}: {error}") from error
    except PermissionError as error:
        raise AccessDenied(f"{store}: {error.strerror}") from error
