"""The JSON form: one array of `{"conversation_id", "title", "extra", "messages": [...]}`.

Read as a stream, whatever the size of the file: message by message into lines of the interchange
form. A single such object is taken too, and an array of message objects, as `show --json` prints
them. Keys that are not ours are kept in `extra["json"]`. Only where an object names its messages
before its `conversation_id` must they wait in memory. A value that is not a message becomes a
mark line (`jsonlines.mark_line`) at LINE:COLUMN of the file; what is not JSON ends the reading.
"""

import codecs
import json
from collections.abc import Iterator
from datetime import tzinfo
from typing import Any, BinaryIO, Final

import msgspec

from synmem.layouts.interchange import jsonl as jsonlines
from synmem.layouts.interchange.ordinary import id_of
from synmem.messages import (
    Conversation,
    JSONObject,
    Unreadable,
    conversation_refusal,
    dump_json,
    finite,
    line_prefix,
    whole,
)

ORIGIN: Final = "json"

_CHUNK: Final = 1 << 20
_LITERAL: Final = 16  # a number or word this near to the end of the window may go on behind it


class _TooLarge(msgspec.Struct, frozen=True):
    """A value that holds a number which no float is as large as: how it stands there, and why."""

    text: str
    why: str


def read_lines(
    file: BinaryIO,
    *,
    conversation: str | None = None,
    raw: bool = False,
    timezone: tzinfo | None = None,
) -> Iterator[bytes]:
    """The file as JSON Lines; ValueError names line and column of what is not JSON.

    `conversation` is the id of messages that carry none, `timezone` that of times without one;
    `raw` is for tables only.
    """
    window = _Window(file)
    told = conversation, timezone
    if not window.peek():
        return
    if window.peek() == "[":
        for _ in window.items():
            yield from _conversation(window, *told)
    else:
        yield from _conversation(window, *told)
    if window.peek():
        raise window.error("something follows the end of the JSON value")


def _conversation(
    window: "_Window", default: str | None, timezone: tzinfo | None
) -> Iterator[bytes]:
    """One object of the array: a conversation, or a message that names its own."""
    at = window.place()
    if window.peek() != "{":
        text = _as_text(window.value())
        yield jsonlines.mark_line(None, Unreadable(at, "not a JSON object", text))
        return
    data: JSONObject = {}
    early: list[tuple[str, Any]] = []
    streamed = False
    for key in window.members():
        if key != "messages" or window.peek() != "[":
            data[key] = window.value()
            continue
        streamed = True
        if "conversation_id" in data or default is not None:
            writer = _Lines(data.get("conversation_id", default), timezone)
            for _ in window.items():
                yield writer.line(window.place(), window.value())
        else:
            early += [(window.place(), window.value()) for _ in window.items()]
    writer = _Lines(data.pop("conversation_id", default), timezone)
    if not streamed:
        yield writer.line(at, data)
        return
    for place, value in early:
        yield writer.line(place, value)
    yield writer.title(at, data)


class _Lines:
    """Turns the values of one conversation into lines."""

    def __init__(self, name: object, timezone: tzinfo | None) -> None:
        self._timezone = timezone
        self._name: str | None = None
        name = id_of(name)
        if name is None:
            self._refusal: str | None = "no conversation_id"
        elif not isinstance(name, str):
            self._refusal = "conversation_id is not text"
        else:
            self._refusal = conversation_refusal(Conversation(name))
            if self._refusal is None:
                self._name = name
                self._prefix = line_prefix(name)

    def line(self, at: str, value: Any) -> bytes:
        try:
            if self._refusal:
                raise ValueError(self._refusal)
            _check_size(value)
            if not isinstance(value, dict):
                raise ValueError("not a JSON object")
            if id_of(value.get("conversation_id")) == self._name:
                del value["conversation_id"]
            return jsonlines.line_of(self._prefix, value, origin=ORIGIN, timezone=self._timezone)
        except ValueError as error:
            return self._mark(at, error, value)

    def title(self, at: str, data: JSONObject) -> bytes:
        if not data or self._name is None:
            return b""
        try:
            _check_size(data)
            named = {"conversation_id": self._name, **data}
            return jsonlines.title_line(jsonlines.title_of(named, origin=ORIGIN))
        except ValueError as error:
            return self._mark(at, error, data)

    def _mark(self, at: str, error: ValueError, value: Any) -> bytes:
        record = Unreadable(at, jsonlines.reason(error), _as_text(value))
        return jsonlines.mark_line(self._name, record)


def _check_size(value: Any) -> None:
    """ValueError where a number in it is too large."""
    for each in (value, *(value.values() if isinstance(value, dict) else ())):
        if isinstance(each, _TooLarge):
            raise ValueError(each.why)


def _as_text(value: Any) -> str:
    """A value as JSON."""
    if isinstance(value, _TooLarge):
        return value.text
    if isinstance(value, dict):
        members = (f"{_as_text(key)}: {_as_text(each)}" for key, each in value.items())
        return f"{{{', '.join(members)}}}"
    return dump_json(value).decode()


class _Window:
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
                        return _TooLarge(self._text[start:end], self._too_large)
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
