"""Packing with zstd, as the programs do whose files are unpacked."""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def packed(data: bytes) -> bytes:
    """One frame."""
    return zstd.compress(data)
