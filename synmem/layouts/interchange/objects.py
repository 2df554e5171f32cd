"""Files in which each JSON object is a conversation: a line each, or all in one array.

They are read as a stream, a conversation at a time, into lines of the interchange form. A line or
element that is no conversation is one all the same: of a single record, which cannot be read. So it
joins no other, and hides none. What is not JSON in an array, or in an object of several lines, ends
the reading.

A conversation is called by the `id` that stands in its object (of a batch its `custom_id`), where
that is text or an integer and no other had it before: else by `ID#2`, `ID#3`, ... One without is
`line-N` by the line on which it stands, in an array `item-N` by its number.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from synmem.errors import UsageError
from synmem.layouts.heads import BOM
from synmem.layouts.interchange import jsonl as jsonlines
from synmem.layouts.interchange.dialects import is_batch
from synmem.layouts.interchange.json_text import TooLarge, Window, as_text
from synmem.layouts.interchange.ordinary import id_of
from synmem.layouts.shapes import MALFORMED, Told
from synmem.messages import (
    Conversation,
    Holds,
    JSONObject,
    Message,
    Unreadable,
    canonical,
    conversation_refusal,
    dump_json,
    encode_line,
    line_prefix,
    parse_json,
    refusal,
)

Unfold = Callable[[JSONObject, str], Told]
"""The conversation that an object is, under that name; of what in it is no message, `Unreadable`
with its number."""

_HEAD: Final = 1 << 16


class _Found(NamedTuple):
    """A value of the file: where it stands, how it is called where it has no id, what it is."""

    at: str
    name: str
    value: Any
    """The value, or a ValueError that says why there is none."""
    text: str = ""
    """How it stands there, where there is none."""


def read_objects(file: BinaryIO, unfold: Unfold, *, conversation: str | None) -> Iterator[bytes]:
    """The file as JSON Lines; ValueError names line and column of what is not JSON.

    `conversation` is the name of one that has no id, of which there may be one then.
    """
    names = _Names(conversation)
    for found in _values(file):
        yield _conversation(found, unfold, names)


def _conversation(found: _Found, unfold: Unfold, names: "_Names") -> bytes:
    """The lines of a conversation; where there is none, the one that stands for it."""
    name = None
    try:
        data = _object(found.value)
        name = names.of(data, found.name)
        told = unfold(data, name)
        described = Conversation(name, told.title, told.extra)
        if why := conversation_refusal(described):
            raise ValueError(why)
    except MALFORMED as error:
        why = jsonlines.reason(error) if isinstance(error, ValueError) else str(error)
        record = Unreadable(found.at, why, found.text or as_text(found.value))
        return jsonlines.mark_line(name or names.unused(found.name), record)
    prefix = line_prefix(name)
    lines = [
        _line(prefix, name, f"{found.at}, message {number}", message)
        for number, message in enumerate(told.messages, 1)
    ]
    return b"".join([jsonlines.title_line(described), *lines])


def _object(value: Any) -> JSONObject:
    if isinstance(value, ValueError):
        raise value
    if isinstance(value, TooLarge):
        raise ValueError(value.why)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _line(prefix: bytes, name: str, at: str, message: Message | Unreadable) -> bytes:
    if isinstance(message, Unreadable):
        return jsonlines.mark_line(name, Unreadable(at, message.reason, message.text))
    if why := refusal(message):
        return jsonlines.mark_line(name, Unreadable(at, why))
    return encode_line(prefix, message)


class _Names:
    """How conversations are called, each by another name."""

    def __init__(self, conversation: str | None) -> None:
        self._conversation = conversation
        self._given: set[str] = set()

    def of(self, data: JSONObject, default: str) -> str:
        """The name of the next one: its own, or the one that was said for it."""
        own = id_of(data.get("custom_id" if is_batch(data) else "id"))
        if isinstance(own, str) and not conversation_refusal(Conversation(own)):
            return self.unused(own)
        if self._conversation is None:
            return self.unused(default)
        if self._conversation in self._given:
            raise UsageError(
                f"--conversation {self._conversation}: several conversations have no id",
                hint="leave it out: they are then called by where they stand",
            )
        return self.unused(self._conversation)

    def unused(self, wanted: str) -> str:
        """This name, or one like it that no other has."""
        name, number = wanted, 2
        while name in self._given:
            name, number = f"{wanted}#{number}", number + 1
        self._given.add(name)
        return name


# --- values ---------------------------------------------------------------------------------


def _values(file: BinaryIO) -> Iterator[_Found]:
    """The values in the file, in order."""
    head = file.read(_HEAD).removeprefix(BOM)
    head += file.readline()
    if head.lstrip()[:1] == b"[" or not _is_lines(head):
        yield from _elements(Window(_Joined(head, file)))  # type: ignore[arg-type]
    else:
        yield from _lines(head, file)


def _is_lines(head: bytes) -> bool:
    """Whether an object is a line, be the first one broken; else it has several."""
    lines = [line for line in head.split(b"\n") if line.strip()]
    return any(isinstance(_parsed(line), dict) for line in lines)


def _lines(head: bytes, file: BinaryIO) -> Iterator[_Found]:
    for number, line in enumerate(_split(head, file), 1):
        if line.strip():
            value = _parsed(line)
            if isinstance(value, ValueError) and not line.endswith(b"\n"):
                value = ValueError(jsonlines.TORN)
            text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
            yield _Found(str(number), f"line-{number}", value, text)


def _split(head: bytes, file: BinaryIO) -> Iterator[bytes]:
    lines = head.split(b"\n")
    yield from (line + b"\n" for line in lines[:-1])
    if lines[-1]:
        yield lines[-1]
    yield from file


def _parsed(line: bytes) -> Any:
    try:
        return parse_json(line)
    except ValueError as error:
        return error


def _elements(window: Window) -> Iterator[_Found]:
    """The elements of an array, or values that follow one another."""
    if not window.peek():
        return
    if window.peek() == "[":
        for number, _ in enumerate(window.items(), 1):
            yield _Found(window.place(), f"item-{number}", window.value())
    else:
        number = 0
        while window.peek():
            number += 1
            yield _Found(window.place(), f"item-{number}", window.value())
    if window.peek():
        raise window.error("something follows the end of the JSON value")


class _Joined:
    """A file of which the beginning was read already."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head = head
        self._file = file

    def read(self, size: int) -> bytes:
        """The next bytes: at first those that were read."""
        data, self._head = self._head, b""
        return data or self._file.read(size)


# --- what an object has ---------------------------------------------------------------------


def list_under(data: JSONObject, key: str) -> list[Any]:
    """The list under a key; ValueError where there is none."""
    value = data.get(key)
    if not isinstance(value, list):
        raise ValueError(f"no {key}" if value is None else f"{key} is no JSON array")
    return value


def each_read(
    items: Sequence[Any], read: Callable[[Any], Sequence[Message]]
) -> list[Message | Unreadable]:
    """The messages of all items, as `read` tells them of each; where its ValueError says why there
    are none, the item's number, which counts from 1, and how it stands there."""
    found: list[Message | Unreadable] = []
    for number, item in enumerate(items, 1):
        try:
            found += read(item)
        except ValueError as error:
            found.append(unread(str(number), str(error), item))
    return found


def unread(position: str, why: str, value: Any) -> Unreadable:
    """A value that is no message."""
    return Unreadable(position, why, dump_json(value).decode())


# --- writing --------------------------------------------------------------------------------

_encode = msgspec.json.Encoder().encode


def strict(value: Any) -> bytes:
    """The value in JSON that any reader takes; ValueError where there is none: Python alone reads
    NaN, and the escape of a lone surrogate."""
    try:
        data = _encode(value)
    except UnicodeEncodeError:
        raise ValueError("it holds a lone surrogate, which is no text") from None
    if b"null" in data:  # msgspec writes NaN so
        try:
            json.dumps(value, allow_nan=False)
        except ValueError:
            raise ValueError("it holds NaN or Infinity, which is no JSON") from None
    return data


def unfit(value: Any) -> str | None:
    """Why there is no such JSON, or None."""
    try:
        strict(value)
    except ValueError as error:
        return str(error)
    return None


def own_of(extra: JSONObject | None, form: str) -> JSONObject:
    """What of an extra a file of that form put there; empty where that is nothing."""
    own = (extra or {}).get(form)
    return own if isinstance(own, dict) else {}


def says(item: Any, message: Message, message_of: Callable[[Any], Message], holds: Holds) -> bool:
    """Whether an item of a form, of which `message_of` tells the message, says what this one does,
    as far as the form holds it."""
    try:
        return canonical(message_of(item), holds) == canonical(message, holds)
    except ValueError:
        return False


def members(conversation: Conversation, form: str) -> tuple[JSONObject, list[str]]:
    """What the object of a conversation had besides, in a file of that form; and what of it no JSON
    can hold."""
    kept, lost = {}, []
    for key, value in own_of(conversation.extra, form).items():
        try:
            strict({key: value})
            kept[key] = value
        except ValueError:
            lost.append("conversation extra")
    return kept, lost


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same: 1 is not 1.0, nor true."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
