"""Lines of JSON that a program appends to a file, which it may be doing right now."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from synmem.layouts.heads import BOM, is_json
from synmem.layouts.shapes import MALFORMED, reason
from synmem.messages import Message, Unreadable, parse_json


def numbered(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, each with its number, from 1 on. A last one without an end that
    is no JSON yet is being written: it is left out."""
    for number, start, stop in spans(data):
        yield number, data[start:stop]


def spans(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The same: of each line its number, and from which byte to which it stands."""
    number, start = 1, len(BOM) if data.startswith(BOM) else 0
    while (stop := data.find(b"\n", start)) >= 0:
        if data[start : min(stop, start + _LOOK)].strip() or data[start:stop].strip():
            yield number, start, stop
        number, start = number + 1, stop + 1
    if data[start:].strip() and is_json(data[start:]):
        yield number, start, len(data)


_LOOK: Final = 64
"""Within so many bytes most lines are seen not to be blank."""


def unreadable(name: str, number: int, line: bytes, error: Exception) -> Unreadable:
    """What stands in the place of a line of that file."""
    text = line.decode("utf-8", "surrogateescape")
    return Unreadable(f"{name}:{number}", f"{name}, line {number}: {reason(error)}", text)


def told(
    name: str, data: bytes, make: Callable[[Any], Sequence[Message | Unreadable]]
) -> list[Message | Unreadable]:
    """What the lines of a file say, where each stands for itself."""
    found: list[Message | Unreadable] = []
    for number, line in numbered(data):
        try:
            found += make(parse_json(line))
        except MALFORMED as error:
            found.append(unreadable(name, number, line, error))
    return found
