"""What was seen in files when they were listed last, by their size and time of change: in the
state folder, private. A listing of thousands of files reads those alone that have changed.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from synmem import __version__, durable, folders
from synmem.backends.file.members import Member
from synmem.messages import JSONObject, dump_json, parse_json

_SCHEME: Final = f"1 {__version__}"
"""What is remembered by another version of synmem counts for nothing: it may read otherwise."""


class Listed(msgspec.Struct, array_like=True, gc=False):
    """What a listing shows of a conversation."""

    id: str
    messages: int
    first_us: int | None = None
    """The time of its first message, in microseconds since 1970."""
    last_us: int | None = None
    about: str = ""
    """Title and extra, as JSON, where it has any."""
    branches: int = 0
    """How many other branches it has."""


class Entry(msgspec.Struct, array_like=True, gc=False):
    """What is read at once: files together, or a value in a file, with its key and where it
    stands."""

    listed: list[Listed]
    why: str = ""
    """Why nothing of it can be read; empty where it can."""
    key: str = ""
    start: int = 0
    stop: int = 0


class Chapter(msgspec.Struct, array_like=True, gc=False):
    """Files that are read together, as they were, and what was seen in them."""

    stamp: list[Member]
    entries: list[Entry]


class _Listing(msgspec.Struct, array_like=True):
    scheme: str
    chapters: dict[str, Chapter]


_decode = msgspec.json.Decoder(_Listing).decode


class Remembered:
    """The listing of one place, as one layout; where the state folder cannot be used, nothing is
    remembered, and nothing is said."""

    def __init__(self, place: Path, layout: str) -> None:
        self._file = folders.listing_file(place, layout)

    def load(self) -> dict[str, Chapter]:
        """What is remembered, by the names of groups."""
        with suppress(OSError, msgspec.MsgspecError, UnicodeError):
            if (data := _regular(self._file)) is not None:
                found = _decode(data)
                return found.chapters if found.scheme == _SCHEME else {}
        return {}

    def save(self, chapters: dict[str, Chapter]) -> None:
        """Remember this in its place."""
        with suppress(OSError, msgspec.MsgspecError, UnicodeError):
            data = msgspec.json.encode(_Listing(_SCHEME, chapters))
            folders.private(self._file.parent)
            durable.replace(self._file, data)


def _regular(file: Path) -> bytes | None:
    """What a file holds; None where it is a pipe or a device, which nobody may wait for."""
    with open(file, "rb", opener=_at_once) as opened:
        return opened.read() if stat.S_ISREG(os.fstat(opened.fileno()).st_mode) else None


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def about(title: str | None, extra: JSONObject | None) -> str:
    """Title and extra as one text; empty where there are none."""
    said: JSONObject = {} if title is None else {"title": title}
    if extra:
        said["extra"] = extra
    return dump_json(said).decode() if said else ""


def told_about(text: str) -> tuple[str | None, JSONObject | None]:
    """Title and extra again."""
    if not text:
        return None, None
    said = parse_json(text)
    return said.get("title"), said.get("extra")
