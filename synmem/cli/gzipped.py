"""Files that are compressed with gzip as they are written: the same bytes for the same content,
since no header says a time."""

import zlib
from typing import Final

_GZIP: Final = 31  # zlib's word for a gzip header, of no time and no name, and the largest window


class Gzip:
    """One file, compressed piece by piece."""

    def __init__(self) -> None:
        self._packing = zlib.compressobj(6, zlib.DEFLATED, _GZIP)

    def of(self, piece: bytes) -> bytes:
        """What more there is of the compressed file once it holds this piece too."""
        return self._packing.compress(piece)

    def end(self) -> bytes:
        """The rest of it."""
        return self._packing.flush()


def stored(piece: bytes) -> bytes:
    """A member of a gzip file that holds these bytes as they are: in its place that of other bytes
    fits, which are as many."""
    packing = zlib.compressobj(0, zlib.DEFLATED, _GZIP)
    return packing.compress(piece) + packing.flush()
