"""Files of conversations: what a file is, and how it becomes JSON Lines that can be sought in.

JSON and CSV are converted into a temporary file without a name; what cannot be sought in (a
pipe) is copied into one first. All work comes in steps of some milliseconds, as generators.

A file is opened once. That it was not written over while it was read is shown at the end: it has
the inode, size and time of change that it had, and what was read of it is what is there now
(CRC-32: against accidents). JSON and CSV are held so when they are converted, before anything is
done with them; JSON Lines, which may grow meanwhile, whenever `unchanged` is asked.
"""

import io
import os
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import tzinfo
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, TypeVar, cast, runtime_checkable

from synmem.as_read import is_as_read
from synmem.backends.file.forms import (
    FORMS,
    READABLE,
    detect,
    refuse_other_kinds,
    refuse_others,
)
from synmem.backends.file.line_index import Index
from synmem.errors import (
    AccessDenied,
    Changed,
    CorruptData,
    StoreNotFound,
    StoreUnavailable,
)
from synmem.layouts.heads import BOM, SIZE
from synmem.temporary import room

BLOCK: Final = 1 << 18  # read at once, and the most that is skipped to find a position
_TAIL: Final = 4096  # bytes that must still be the same where a file grew
_HOPELESS: Final = 1_000  # so many lines and none of them ours: another kind of file

_T = TypeVar("_T")
Steps = Generator[None, None, _T]


@runtime_checkable
class Closable(Protocol):
    """What is given back when it is closed."""

    def close(self) -> None:
        """Give it back."""


@dataclass(frozen=True)
class Reading:
    """How a file is to be read."""

    form: str
    conversation: str | None
    raw: bool
    joined: bool = False
    """Whether all exports in it are one."""
    timezone: tzinfo | None = None

    @property
    def converted(self) -> bool:
        """Whether the lines were made from another form."""
        return FORMS[self.form].module is not None

    def index(self, file: BinaryIO) -> Index:
        """An empty index for it."""
        file.seek(0)
        start = len(BOM) if file.read(len(BOM)) == BOM else 0
        return Index(
            start=start,
            conversation=self.conversation,
            marks=self.converted,
            joined=self.joined,
        )


@dataclass(frozen=True)
class Opened:
    """A file that was read through; `identity` is None where it is a copy that nobody changes."""

    file: BinaryIO
    index: Index
    reading: Reading
    identity: os.stat_result | None
    tail: bytes

    def close(self) -> None:
        """Give the file back."""
        self.file.close()


def opening(
    path: Path, name: str, reading: Reading, suffix: str, unpacked: BinaryIO | None = None
) -> Steps[Opened]:
    """Open the file, convert it where it is not JSON Lines, and read it through; of one that was
    packed, `unpacked` is what it holds. `suffix`: with what its name ends."""
    with translating(name):
        file: BinaryIO = path.open("rb") if unpacked is None else unpacked
        try:
            now = os.fstat(file.fileno()) if unpacked is None else None
            head = head_of(file)
            refuse_other_kinds(head, name)
            if reading.form == "auto":
                form = detect(head, suffix)
                refuse_others(head, form, name)
                reading = replace(reading, form=form)
            if reading.converted and now is not None:
                file, now = (yield from _watched(file, path, name, now, reading)), None
            elif reading.converted:
                file = yield from spooled(file, _converted(file, reading))
            index = reading.index(file)
            yield from indexing(index, file, name)
            return Opened(file, index, reading, now, tail(file, index.end))
        except BaseException:
            file.close()
            raise


def _watched(
    file: BinaryIO, path: Path, name: str, before: os.stat_result, reading: Reading
) -> Steps[BinaryIO]:
    """A file of another form as lines; Changed where it was written over meanwhile."""
    summed = _Summed(file)
    through = cast(BinaryIO, io.BufferedReader(summed, BLOCK))
    try:
        spool = yield from spooled(through, _converted(through, reading))
    except ValueError:
        if not (yield from _is_whole(summed, path, before)):
            raise changed(name) from None
        raise
    try:
        same = yield from _is_whole(summed, path, before)
        if not same or summed.size != before.st_size:
            raise changed(name)
    except BaseException:
        spool.close()
        raise
    finally:
        file.close()
    return spool


def _is_whole(summed: "_Summed", path: Path, before: os.stat_result) -> Steps[bool]:
    """Whether what was read of a file is what is there now."""
    if still(path, before) is None:
        return False
    return (yield from is_as_read(summed.file, 0, summed.size, summed.checksum))


class _Summed(io.RawIOBase):
    """A file that is read from its beginning, with the number of its bytes and their checksum."""

    def __init__(self, file: BinaryIO) -> None:
        self.size = self.checksum = 0
        self.file = file
        file.seek(0)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes."""
        data = self.file.read(len(buffer))
        buffer[: len(data)] = data
        self.size += len(data)
        self.checksum = zlib.crc32(data, self.checksum)
        return len(data)


def unchanged(file: BinaryIO, path: Path, before: os.stat_result, index: Index) -> Steps[bool]:
    """Whether a file of JSON Lines is still what the index read; it may have grown."""
    if still(path, before) is None:
        return False
    return (yield from is_as_read(file, index.begin, index.end - index.begin, index.checksum))


def still(path: Path, before: os.stat_result) -> os.stat_result | None:
    """The state of the file at that path; None where it is not the one it was `before`, only
    perhaps grown."""
    try:
        now = path.stat()
    except OSError:
        return None
    grew = now.st_size > before.st_size
    same = now.st_size == before.st_size and now.st_mtime_ns == before.st_mtime_ns
    ours = (now.st_dev, now.st_ino) == (before.st_dev, before.st_ino)
    return now if ours and (grew or same) else None


def changed(name: str) -> Changed:
    """What is said of a file that was written over."""
    return Changed(f"{name} changed while it was read", hint="run again")


def spooled(file: Closable, chunks: Iterator[bytes]) -> Steps[BinaryIO]:
    """A temporary file of these chunks, in the place of the file that they come from."""
    import tempfile  # only what is converted pays for it

    with room():
        spool = cast(BinaryIO, tempfile.TemporaryFile(buffering=BLOCK))  # noqa: SIM115
    try:
        for chunk in chunks:
            with room():
                spool.write(chunk)
            yield
        with room():
            spool.seek(0)
    except BaseException:
        if isinstance(chunks, Generator):
            chunks.close()  # while the file that it reads is open
        with suppress(OSError):  # what did not fit before does not fit now
            spool.close()
        raise
    file.close()
    return spool


def _converted(file: BinaryIO, reading: Reading) -> Iterator[bytes]:
    return FORMS[reading.form].read_lines(
        file, conversation=reading.conversation, raw=reading.raw, timezone=reading.timezone
    )


def indexing(index: Index, file: BinaryIO, name: str) -> Steps[None]:
    """Let the index take in what it has not seen of the file."""
    for block in _blocks(file, index.end):
        index.feed(block)
        index.checksum = zlib.crc32(block, index.checksum)
        if not index.fits and index.malformed >= _HOPELESS:
            break
        yield
    if not index.fits and index.malformed:
        first = index.damage()[0]
        what = f" has {first.reason}" if first.reason.startswith("no ") else f": {first.reason}"
        hint = "`import --conversation ID` takes lines that have a role and content but no id"
        raise CorruptData(
            f"{name} is not a synmem export: line {first.position}{what}",
            hint=hint if first.reason == "no conversation_id" else READABLE,
        )


def _blocks(file: BinaryIO, start: int) -> Iterator[bytes]:
    """The file from there in blocks of whole lines; only the last may lack its newline."""
    pieces: list[bytes] = []
    while file.seek(start) == start and (data := file.read(BLOCK)):
        start += len(data)
        cut = data.rfind(b"\n") + 1
        if cut:
            yield b"".join([*pieces, data[:cut]])
            pieces = []
        if cut < len(data):
            pieces.append(data[cut:])
    if pieces:
        yield b"".join(pieces)


def head_of(file: BinaryIO) -> bytes:
    """The first bytes of a file, which then stands at its beginning."""
    file.seek(0)
    head = file.read(SIZE)
    file.seek(0)
    return head


def tail(file: BinaryIO, end: int) -> bytes:
    """The last bytes in front of `end`."""
    start = max(0, end - _TAIL)
    file.seek(start)
    return file.read(end - start)


@contextmanager
def translating(name: str) -> Iterator[None]:
    """Every exception of the file system and of the converters becomes one of ours."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreNotFound(f"no file {name}", hint="check the path") from error
    except PermissionError as error:
        raise AccessDenied(f"{name}: {error.strerror}") from error
    except IsADirectoryError as error:
        raise CorruptData(f"{name} is a folder, not a file", hint=READABLE) from error
    except OSError as error:
        raise StoreUnavailable(f"{name}: {error.strerror or error}") from error
    except ValueError as error:
        raise CorruptData(f"{name}: {error}") from error
