"""Sealed files of ours: whose they say to be, and whether one is whole and nothing else.

A file that may be removed again one day (`export --keep`) says whose it is in the name of its set:
random digits, `-`, and the mark of the store that it is from. To every reader that
is a set's name like another.
"""

import hashlib
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from synmem.layouts.interchange import jsonl as jsonlines
from synmem.layouts.interchange.jsonl import PartOf
from synmem.messages import parse_json

Part = PartOf
"""Which part of how many a file says to be, and of which set."""

_RANDOM: Final = 12
_MARK: Final = 16
"""So many hexadecimal digits: an opening is as long with two numbers of six digits."""


def mark_of(identity: str, layout: str, choice: str = "") -> str:
    """The mark of what is exported from the store of this identity, as this layout: all of it, or
    what was chosen."""
    whole = f"{layout}\n{identity}" + (f"\n{choice}" if choice else "")
    return hashlib.sha256(whole.encode()).hexdigest()[:_MARK]


def marked(name: str, mark: str) -> str:
    """The name of a set, with a mark."""
    return f"{name[:_RANDOM]}-{mark}" if mark else name


def alone(mark: str) -> PartOf:
    """The only part of a set of its own, with this mark."""
    import secrets  # with hmac and more, which few exports need

    return PartOf(marked(secrets.token_hex(8), mark), 1, 1)


def part_in(opening: bytes) -> PartOf | None:
    """Which part a file says to be that begins with this line; None where it says none."""
    part = jsonlines.opening_of(opening)
    return part if isinstance(part, PartOf) else None


def mark_in(part: PartOf) -> str:
    """The mark that the name of a set carries; empty where it has none."""
    random, _, mark = part.set.partition("-")
    return mark if len(random) == _RANDOM and len(mark) == _MARK else ""


class Sealed(NamedTuple):
    """What a sealed file holds, as was counted, and which part it is, where it says that."""

    conversations: int
    messages: int
    part: PartOf | None


class _Line(msgspec.Struct):
    conversation_id: str
    role: str | msgspec.UnsetType = msgspec.UNSET


_decode: Final = msgspec.json.Decoder(_Line).decode


def read_sealed(lines: Iterable[bytes]) -> Sealed:
    """All of a file, of which these are the lines, newlines included. ValueError says why it is not
    one sealed export, or part of one, as it was written, with nothing before or behind it."""
    following = iter(lines)
    part = _opened(next(following, b""))
    digest = hashlib.sha256()
    conversations: set[str] = set()
    messages = 0
    before = b""
    for line in following:
        if before:
            messages += _taken(before, conversations)
            digest.update(before)
        before = line
    seal = jsonlines.seal_line(len(conversations), messages, digest.hexdigest(), part)
    if before != seal:
        raise ValueError("cut short, altered, or something follows its seal")
    return Sealed(len(conversations), messages, part)


def _opened(line: bytes) -> PartOf | None:
    if not jsonlines.opening_of(line) or not line.endswith(b"\n"):
        raise ValueError("not a sealed export")
    return part_in(line)


def _taken(line: bytes, conversations: set[str]) -> int:
    """How many messages a line is: one, or none where it is a title line."""
    try:
        data = _decode(line)
        name, is_message = data.conversation_id, data.role is not msgspec.UNSET
    except (msgspec.DecodeError, UnicodeError):  # NaN, or a lone surrogate: Python reads them
        name, is_message = _slowly(line)
    if is_message:
        conversations.add(name)
    return int(is_message)


def _slowly(line: bytes) -> tuple[str, bool]:
    try:
        data = parse_json(line)
        return data["conversation_id"], "role" in data
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError("altered: a line in it is none of an export") from error
