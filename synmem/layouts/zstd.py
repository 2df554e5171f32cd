"""What is packed with zstd: in Python since 3.14, before that with the extra `[zstd]`."""

import sys
from typing import Any, Final

LARGEST: Final = 1 << 30
"""So many bytes a value may become."""

_UNSUSPECTED: Final = 1 << 26
_RATIO: Final = 200
"""Text packs to a tenth; nothing becomes more than `_UNSUSPECTED`, and so many times what it is,
but what was made to fill a memory."""


def unpacked(data: bytes) -> bytes:
    """What all frames of these bytes hold; ValueError where one is damaged or cut short, where it
    becomes more than a text may, or where nothing is there that unpacks them."""
    zstd = _module()
    most = min(LARGEST, max(_UNSUSPECTED, len(data) * _RATIO))
    found: list[bytes] = []
    while data:
        unpacker = zstd.ZstdDecompressor()
        try:
            some = unpacker.decompress(data, max_length=most + 1)
        except zstd.ZstdError as error:
            raise ValueError(f"it is no zstd frame, or damaged: {error}") from error
        most -= len(some)
        if most < 0:
            raise ValueError("unpacked, it is larger than a text that packs to this can be")
        if not unpacker.eof:
            raise ValueError("its zstd frame is cut short")
        found.append(some)
        data = unpacker.unused_data
    return b"".join(found)


def _module() -> Any:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ModuleNotFoundError:
        raise ValueError(
            "it is packed with zstd, which needs `pip install 'synmem-cli[zstd]'`"
        ) from None
    return zstd
