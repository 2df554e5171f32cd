"""Where messages wait until they may be written, and nobody for them."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Final

from synmem.messages import Message, decode_line, encode_line, line_prefix
from synmem.temporary import room

_IN_MEMORY_BYTES: Final = 4_000_000


class Aside:
    """Messages laid aside until they are written: a few in memory, many in a file of no name."""

    def __init__(self) -> None:
        self.count = 0
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115

    def __enter__(self) -> "Aside":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # what did not fit before does not fit now
            self._file.close()

    def put(self, messages: Sequence[Message]) -> None:
        """Lay messages behind those that are there."""
        prefix = line_prefix("")
        with room():
            self._file.writelines(encode_line(prefix, message) for message in messages)
        self.count += len(messages)

    def messages(self) -> Iterator[Message]:
        """All of them, from the first; as often as it is asked."""
        with room():
            self._file.seek(0)
        for line in self._file:
            yield decode_line(line)[1]
