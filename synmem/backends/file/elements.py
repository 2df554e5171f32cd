"""Where the values of a JSON file stand that is too large to be parsed at once: each element of an
array, or member of an object, at a path of keys; in one pass, with one value in memory.

Where an element of an array begins is guessed, by what the first one begins with, and proved by
reading: what is before it must be a whole value. So a value is parsed once, and not passed over
first; and a large array can be read in parts, by several at once: if each is whole elements with
commas between, up to where the next part begins, then so is the array.
"""

import json
import re
from collections.abc import Generator
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from synmem.backends.file.members import LARGEST
from synmem.layouts.heads import BOM
from synmem.messages import parse_json

_BLOCK: Final = 1 << 20

_parse: Final = msgspec.json.Decoder().decode
_skip: Final = msgspec.json.Decoder(msgspec.Raw).decode
_TRAILING: Final = re.compile(r"trailing characters \(byte (\d+)\)")
"""What msgspec says where a value ends and more follows: it counts with that character."""
_BLANK: Final = re.compile(rb"[ \t\r\n]*")
_raw_decode: Final = json.JSONDecoder().raw_decode

_OF_NUMBER: Final = re.compile(r"[0-9.eE+-]*")
_ENDS: Final = (b"}", b"]", b'"')
"""With what a value ends that cannot go on."""

_CUT: Final = "the file ends in the middle of it"


class Element(NamedTuple):
    """A value: the key of a member (else empty), from which byte to which it stands, and these."""

    key: str
    start: int
    stop: int
    data: bytes
    parsed: Any = msgspec.UNSET
    """What stands there, where its end was found by parsing it; then `data` is empty."""

    @property
    def value(self) -> Any:
        """What stands there; ValueError where `parse_json` does not read it."""
        return parse_json(self.data) if self.parsed is msgspec.UNSET else self.parsed


class _Window:
    """What of a file is in memory: from `start` on."""

    def __init__(self, file: BinaryIO, start: int = 0) -> None:
        self._file = file
        self.start = start
        self.data = b""
        self.at = 0
        """Where in `data` reading stands."""
        self.ended = False

    @property
    def offset(self) -> int:
        """The byte of the file at which reading stands."""
        return self.start + self.at

    def more(self) -> bool:
        """Take in as much again, at least a block; False at the end of the file."""
        self.data, self.start, self.at = self.data[self.at :], self.offset, 0
        self._file.seek(self.start + len(self.data))
        data = self._file.read(max(_BLOCK, len(self.data)))
        self.data += data
        self.ended = not data
        return bool(data)

    def peek(self) -> bytes:
        """The next byte that is no blank; empty at the end of the file."""
        while True:
            found = _BLANK.match(self.data, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.data):
                return self.data[self.at : self.at + 1]
            if not self.more():
                return b""

    def take(self, *expected: bytes) -> bytes:
        """The next byte that is no blank, which must be one of these; ValueError else."""
        found = self.peek()
        if found not in expected:
            raise ValueError(
                f"not JSON: {found!r} at byte {self.offset:,}" if found else f"not JSON: {_CUT}"
            )
        self.at += 1
        return found

    def value(self) -> tuple[int, int]:
        """Pass over the next value; where it stands in `data`. ValueError where there is none."""
        self.peek()
        while True:
            length = self._length()
            if length is not None:
                start = self.at
                self.at += length
                return start, self.at
            if len(self.data) - self.at > LARGEST:
                raise ValueError(f"a value of more than {LARGEST:,} bytes, at byte {self.offset:,}")
            if not self.more():
                raise ValueError(f"not JSON: {_CUT}")

    def element(self, key: str) -> Element:
        """The next value, as what stands under that key."""
        start, stop = self.value()
        return Element(key, self.start + start, self.start + stop, self.data[start:stop])

    def guessed(self, begins: re.Pattern[bytes]) -> Element | None:
        """The next value of an array, if it ends where the next one seems to begin, and can be
        parsed up to there, which proves it."""
        self.peek()
        found = begins.search(self.data, self.at)
        if found is None and not self.ended:
            self.more()
            self.ended = False  # which `value` is to find by itself: what is cut there is so to it
            found = begins.search(self.data, self.at)
        if found is None:
            return None
        start, stop = self.at, found.start() + 1
        try:
            value = _parse(memoryview(self.data)[start:stop])
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None
        self.at = stop
        return Element("", self.start + start, self.start + stop, b"", value)

    def _length(self) -> int | None:
        """How long the next value is; None where more of the file must tell."""
        rest = memoryview(self.data)[self.at :]
        try:
            _skip(rest)
        except msgspec.DecodeError as error:
            if found := _TRAILING.search(str(error)):
                return len(bytes(rest[: int(found[1]) - 1]).rstrip())
            return self._length_slowly(str(error))
        return len(rest) if self.ended or bytes(rest[-1:]) in _ENDS else None

    def _length_slowly(self, why: str) -> int | None:
        """The same, where the fast reader stumbles: over NaN, Infinity, or half of a surrogate,
        which to it is a value that is cut off."""
        rest = self.data[self.at :]
        if "truncated" in why and b"\\ud" not in rest and b"\\uD" not in rest:
            return None
        text = rest.decode("utf-8", "surrogateescape")
        try:
            end = _raw_decode(text)[1]
        except json.JSONDecodeError as error:
            if not self.ended and (error.msg.startswith("Unterm") or len(text) < error.pos + 16):
                return None  # more may make it whole
            raise ValueError(f"not JSON: {error.msg} at byte {self.offset + error.pos:,}") from None
        if not self.ended and _OF_NUMBER.fullmatch(text, end):
            return None
        return len(text[:end].encode("utf-8", "surrogateescape"))


def elements(
    file: BinaryIO, at: tuple[str, ...], stop: int | None = None
) -> Generator[Element | None, None, None]:
    """The values of the array, or the members of the object, that these keys lead to; None now and
    then, where others were passed over. ValueError where the file is no such JSON: what stands
    before that was given.

    `stop`: the byte at which an element begins that is another's to read.
    """
    window = _Window(file)
    while len(window.data) < len(BOM) and window.more():
        pass
    if window.data.startswith(BOM):
        window.at = len(BOM)
    for key in at:
        yield from _entered(window, key)
    if window.take(b"[", *(() if stop else (b"{",))) == b"[":
        yield from _values(window, stop)
    else:
        yield from _members(window)


def elements_from(
    file: BinaryIO, start: int, stop: int | None = None
) -> Generator[Element, None, None]:
    """As `elements`, of an array from the element on that begins at the byte `start`."""
    yield from _values(_Window(file, start), stop)


def starts(file: BinaryIO, at: tuple[str, ...], size: int, count: int) -> list[int]:
    """Where in an array that these keys lead to, in a file of that size, its elements seem to begin
    that part it into so many parts, or less, of about one size; that is still to be proved."""
    try:
        first = next((each for each in elements(file, at) if each is not None), None)
    except ValueError:
        return []
    begins = _beginning(first) if first else None
    if first is None or begins is None:
        return []
    found: list[int] = []
    for number in range(1, count):
        near = first.stop + (size - first.stop) * number // count
        file.seek(near)
        match = begins.search(file.read(_NEAR))
        if match and (not found or near + match.end() > found[-1]):
            found.append(near + match.end())
    return found


_NEAR: Final = 1 << 22
"""So far from where a part should begin an element is looked for."""


def _beginning(first: Element) -> re.Pattern[bytes] | None:
    """What stands before and at the beginning of an object that has the keys of this one first;
    None where this is no object with several, or a member of one. Text within a string cannot look
    so: its quotes are escaped."""
    try:
        keys = [*json.loads(first.data)]
    except (ValueError, RecursionError, TypeError):
        return None
    if first.key or not first.data.startswith(b"{") or len(keys) < 2:
        return None
    names = [re.escape(json.dumps(key).encode()) for key in keys[:2]]
    return re.compile(_BEGINNING % (names[0], names[1]))


_BEGINNING: Final = (
    rb"\}\s*+,\s*+(?=\{\s*+%s\s*+:\s*+"
    rb"(?:\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\"|[^\"{}\[\],]*+)"
    rb"\s*+,\s*+%s\s*+:)"
)


def _entered(window: _Window, key: str) -> Generator[None, None, None]:
    """Go on to the value of that key in the object that follows."""
    window.take(b"{")
    is_more = window.peek() != b"}"
    while is_more:
        if _key(window) == key:
            return
        window.value()
        yield None
        is_more = window.take(b",", b"}") == b","
    raise ValueError(f"it has no {key!r}")


def _key(window: _Window) -> str:
    if window.peek() != b'"':
        window.take(b'"')  # which says what is there
    start, stop = window.value()
    key = json.loads(window.data[start:stop])
    window.take(b":")
    return str(key)


def _values(window: _Window, stop: int | None = None) -> Generator[Element, None, None]:
    if stop is None and window.peek() == b"]":
        return
    element = window.element("")
    begins = _beginning(element)
    ends = (b",", b"]") if stop is None else (b",",)
    while True:
        yield element
        if window.take(*ends) == b"]":
            return
        if stop is not None:
            window.peek()
            if window.offset >= stop:
                if window.offset > stop:
                    raise ValueError(f"no element begins at byte {stop:,}")
                return
        element = (window.guessed(begins) if begins else None) or window.element("")


def _members(window: _Window) -> Generator[Element, None, None]:
    if window.peek() == b"}":
        return
    while True:
        key = _key(window)
        yield window.element(key)
        if window.take(b",", b"}") == b"}":
            return
