"""The parts that an earlier run of `export --split` left behind the last of this run.

Only what is known as ours is taken for one: a sealed part that says its own number; else files
whose numbers follow one another without a gap, each beginning as `export` lets it begin.
"""

import gzip
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from synmem.formats.beginnings import is_ours, part_of
from synmem.formats.endings import is_packed, stem_and_ending

_NUMBER: Final = re.compile(r"-(\d{4,})$")
_HEAD: Final = 1 << 16


def left_over(strays: Sequence[Path], count: int, digits: int) -> list[Path]:
    """Those of these files, all named like a part, that are one of an earlier run; this one has
    `count` parts, with so many digits."""
    found: list[Path] = []
    following: dict[int, int] = {digits: count}
    for path in sorted(strays, key=lambda path: (len(_digits(path)), _digits(path))):
        text = _digits(path)
        head = _head(path)
        number = int(text)
        follows = number == following.get(len(text), 0) + 1
        if part_of(head) == number or (follows and is_ours(head)):
            found.append(path)
            following[len(text)] = number
    return found


def _digits(path: Path) -> str:
    match = _NUMBER.search(stem_and_ending(path.name)[0])
    assert match is not None
    return match[1]


def _head(path: Path) -> bytes:
    """How it begins; nothing where it is no ordinary file, or cannot be read."""
    try:
        if path.is_symlink() or not path.is_file():
            return b""
        with gzip.open(path) if is_packed(path.name) else path.open("rb") as file:
            return file.read(_HEAD)
    except (OSError, EOFError, zlib.error):
        return b""
