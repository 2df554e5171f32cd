"""Whether a file still has what was read of it: by length and CRC-32, against accidents."""

import zlib
from collections.abc import Generator
from typing import BinaryIO, Final, TypeVar, cast

_BLOCK: Final = 1 << 18

_T = TypeVar("_T")


def is_as_read(file: BinaryIO, start: int, size: int, checksum: int) -> Generator[None, None, bool]:
    """Whether the `size` bytes from `start` on have that CRC-32; in steps of some milliseconds,
    between which the file may be read elsewhere."""
    found = 0
    while size:
        file.seek(start)
        data = file.read(min(size, _BLOCK))
        if not data:
            return False
        found = zlib.crc32(data, found)
        start += len(data)
        size -= len(data)
        yield
    return found == checksum


def at_once(steps: Generator[None, None, _T]) -> _T:
    """All the work of these steps."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return cast(_T, stop.value)
