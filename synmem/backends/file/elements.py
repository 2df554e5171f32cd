"""Where the values of a JSON file stand that is too large to be parsed at once: each element of an
array, or member of an object, at a path of keys; in one pass, with one value in memory."""

import json
import re
from collections.abc import Generator
from typing import BinaryIO, Final, NamedTuple

import msgspec

from synmem.backends.file.members import LARGEST
from synmem.layouts.heads import BOM

_BLOCK: Final = 1 << 20

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


class _Window:
    """What of a file is in memory: from `start` on."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.start = 0
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


def elements(file: BinaryIO, at: tuple[str, ...]) -> Generator[Element | None, None, None]:
    """The values of the array, or the members of the object, that these keys lead to; None now and
    then, where others were passed over. ValueError where the file is no such JSON: what stands
    before that was given."""
    window = _Window(file)
    while len(window.data) < len(BOM) and window.more():
        pass
    if window.data.startswith(BOM):
        window.at = len(BOM)
    for key in at:
        yield from _entered(window, key)
    if window.take(b"[", b"{") == b"[":
        yield from _values(window)
    else:
        yield from _members(window)


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


def _values(window: _Window) -> Generator[Element, None, None]:
    if window.peek() == b"]":
        return
    while True:
        yield window.element("")
        if window.take(b",", b"]") == b"]":
            return


def _members(window: _Window) -> Generator[Element, None, None]:
    if window.peek() == b"}":
        return
    while True:
        key = _key(window)
        yield window.element(key)
        if window.take(b",", b"}") == b"}":
            return
