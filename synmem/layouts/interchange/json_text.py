"""JSON text of any size, read value by value as it passes by."""

import codecs
import json
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import msgspec

from synmem.messages import dump_json, finite, whole

_CHUNK: Final = 1 << 20
_LITERAL: Final = 16  # a number or word this near to the end of the window may go on behind it


class TooLarge(msgspec.Struct, frozen=True):
    """A value that holds a number which no float is as large as: how it stands there, and why."""

    text: str
    why: str


def as_text(value: Any) -> str:
    """A value as JSON."""
    if isinstance(value, TooLarge):
        return value.text
    if isinstance(value, dict):
        members = (f"{as_text(key)}: {as_text(each)}" for key, each in value.items())
        return f"{{{', '.join(members)}}}"
    return dump_json(value).decode()


class Window:
    """The part of a JSON text that is being read, which slides over the file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._too_large = ""
        self._raw_decode = json.JSONDecoder(parse_float=self._float, parse_int=self._int).raw_decode
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._whole = False  # the file's end is in the window
        self._line, self._line_start, self._counted = 1, 0, 0

    def peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            text, at = self._text, self._at
            while at < len(text) and text[at] in " \t\r\n":
                at += 1
            self._at = at
            if at < len(text):
                return text[at]
            if not self._more(_CHUNK):
                return ""

    def take(self, expected: str) -> str:
        """The next character, which must be one of these."""
        found = self.peek()
        if not found or found not in expected:
            words = " or ".join(repr(character) for character in expected)
            raise self.error(f"{words} expected" + ("" if found else ", but the file ends"))
        self._at += 1
        return found

    def items(self) -> Iterator[None]:
        """Step through an array; the caller takes each value."""
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        while True:
            yield
            if self.take(",]") == "]":
                return

    def members(self) -> Iterator[str]:
        """Step through an object; the caller takes the value of each key."""
        self.take("{")
        if self.peek() == "}":
            self.take("}")
            return
        while True:
            if self.peek() != '"':
                raise self.error("a key expected")
            key = self.value()
            self.take(":")
            yield key
            if self.take(",}") == "}":
                return

    def value(self) -> Any:
        """The next value, whole."""
        if not self.peek():
            raise self.error("a value expected, but the file ends")
        size = _CHUNK
        while True:
            try:
                self._too_large = ""
                value, end = self._raw_decode(self._text, self._at)
                if end <= len(self._text) - _LITERAL or not self._more(size):
                    start, self._at = self._at, end
                    if self._too_large:
                        return TooLarge(self._text[start:end], self._too_large)
                    return value
            except json.JSONDecodeError as error:
                if not (self._may_go_on(error) and self._more(size)):
                    self._at = error.pos
                    raise self.error(error.msg) from None
            except RecursionError:
                raise self.error("nested too deeply") from None
            size *= 2

    def _float(self, text: str) -> float:
        try:
            return finite(text)
        except ValueError as error:
            self._too_large = str(error)  # of this value: the others are read
            return 0.0

    def _int(self, text: str) -> int:
        try:
            return whole(text)
        except ValueError as error:
            self._too_large = str(error)
            return 0

    def place(self) -> str:
        """Where the next value stands, as LINE:COLUMN."""
        self.peek()
        self._count()
        return f"{self._line}:{self._at - self._line_start + 1}"

    def error(self, why: str) -> ValueError:
        """What is wrong here."""
        self._count()
        return ValueError(f"line {self._line}, column {self._at - self._line_start + 1}: {why}")

    def _may_go_on(self, error: json.JSONDecodeError) -> bool:
        return error.msg.startswith("Unterminated") or error.pos >= len(self._text) - _LITERAL

    def _count(self) -> None:
        newlines = self._text.count("\n", self._counted, self._at)
        if newlines:
            self._line += newlines
            self._line_start = self._text.rindex("\n", self._counted, self._at) + 1
        self._counted = max(self._counted, self._at)

    def _more(self, size: int) -> bool:
        """Slide on: drop what was read, take more of the file in; False at its end."""
        if self._whole:
            return False
        data = self._file.read(size)
        self._whole = not data
        self._count()
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            self._at = len(self._text)
            raise self.error(f"not UTF-8 ({error.reason})") from None
        self._text = self._text[self._at :] + text
        self._line_start -= self._at
        self._at = self._counted = 0
        return True
