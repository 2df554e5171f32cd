"""How a file begins: what tells whose it is."""

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Final, Self

from synmem.messages import JSONObject, parse_json

SIZE: Final = 1 << 16
"""So many bytes of a file are looked at."""

_LINES: Final = 20
"""So many of its lines, or of the elements of an array, are."""

BOM: Final = b"\xef\xbb\xbf"

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*("|\\?\Z)|[{}\[\],]', re.DOTALL)
_CLOSING: Final = {"{": "}", "[": "]"}


class Head:
    """The beginning of a file, in the forms in which it may be looked at; what is not of a form is
    None or empty there."""

    def __init__(self, name: str, data: bytes, *, whole: bool) -> None:
        self.name = name
        """The file's name, as `shapes.Files` has it."""
        self.data = data.removeprefix(BOM)
        self.whole = whole
        """Whether this is all of the file."""

    @classmethod
    def of(cls, name: str, data: bytes) -> Self:
        """The head of a file that begins so: with more than `SIZE` bytes, if it has more."""
        return cls(name, data[:SIZE], whole=len(data) <= SIZE)

    @cached_property
    def text(self) -> str:
        """As text; a character that is cut off at the end is left out, others are replaced."""
        return self.data.decode("utf-8", "ignore" if not self.whole else "replace")

    @cached_property
    def lines(self) -> list[JSONObject]:
        """The JSON objects of its first lines, up to the first line that is none."""
        found: list[JSONObject] = []
        for value in self._lines():
            if value is None:
                break
            found.append(value)
        return found

    def each_line(self) -> Iterator[JSONObject]:
        """The JSON objects among its first lines, for who needs few of them; where the first line
        is cut off, what stands before that."""
        found = False
        for value in self._lines():
            if value is not None:
                found = True
                yield value
        if not found and isinstance(self.value, dict):
            yield self.value

    def _lines(self) -> Iterator[JSONObject | None]:
        lines = self.data.split(b"\n")
        if not self.whole:
            lines.pop()
        for line in filter(bytes.strip, lines[:_LINES]):
            value = parsed(line)
            yield value if isinstance(value, dict) else None

    @cached_property
    def value(self) -> Any:
        """The JSON value that it begins with: where it is cut off, with what stands before that."""
        if self.whole and (value := parsed(self.data)) is not None:
            return value
        return parsed(_closed(self.text).encode("utf-8", "surrogatepass"))

    @cached_property
    def first(self) -> Any:
        """The value of its first line, or what all of it begins with."""
        return self.lines[0] if self.lines else self.value

    @cached_property
    def readable(self) -> JSONObject:
        """The first of its lines that is an object, for who goes on where one is spoilt; empty
        where none is."""
        return next(self.each_line(), {})

    @cached_property
    def element(self) -> Any:
        """The first element of the array that it begins with."""
        return self.value[0] if isinstance(self.value, list) and self.value else None


def least(lacks: Callable[[Any], str | None], values: object) -> str | None:
    """What the first elements of an array lack, by the one that lacks least, since others may be
    spoilt: see `Folder.misses`."""
    found = [lacks(each) for each in values[:_LINES]] if isinstance(values, list) else []
    return "" if "" in found else next(filter(None, found), None)


def is_json(data: bytes) -> bool:
    """Whether it is a JSON value."""
    try:
        parse_json(data)
    except ValueError:
        return False
    return True


def parsed(data: bytes) -> Any:
    """The JSON value, where it is one; else None."""
    try:
        return parse_json(data)
    except ValueError:
        return None


def _closed(text: str) -> str:
    """The longest beginning of a JSON value that becomes one when all that it opens is closed."""
    open_: list[str] = []
    end = 0
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark[0] == '"':
            if token[1] != '"':
                break  # a text that is cut off: what stands in it is none of these
            continue
        if mark in _CLOSING:
            open_.append(_CLOSING[mark])
        elif mark != ",":
            if not open_ or open_[-1] != mark:
                break
            open_.pop()
        end = token.start() if mark == "," else token.end()
        if not open_:
            break
    return text[:end] + "".join(reversed(open_))
