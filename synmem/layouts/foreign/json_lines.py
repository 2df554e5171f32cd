"""Lines of JSON that a program appends to a file, which it may be doing right now."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from synmem.layouts.shapes import MALFORMED
from synmem.messages import Message, Unreadable, parse_json


def numbered(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, each with its number, from 1 on. A last one without an end that
    is no JSON yet is being written: it is left out."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if lines[-1] and not _is_json(lines[-1]):
        lines.pop()
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, line


def _is_json(line: bytes) -> bool:
    try:
        parse_json(line)
    except ValueError:
        return False
    return True


def unreadable(name: str, number: int, line: bytes, error: Exception) -> Unreadable:
    """What stands in the place of a line of that file."""
    why = f"no {error}" if isinstance(error, KeyError) else str(error)
    text = line.decode("utf-8", "surrogateescape")
    return Unreadable(f"{name}:{number}", f"{name}, line {number}: {why}", text)


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
