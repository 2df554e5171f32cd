"""The JSON form: one array of `{"conversation_id", "title", "extra", "messages": [...]}`.

Read as a stream, whatever the size of the file: message by message into lines of the interchange
form. A single such object is taken too, and an array of message objects, as `show --json` prints
them. Keys that are not ours are kept in `extra["json"]`. Only where an object names its messages
before its `conversation_id` must they wait in memory. A value that is not a message becomes a
mark line (`jsonlines.mark_line`) at LINE:COLUMN of the file; what is not JSON ends the reading.
"""

from collections.abc import Iterator
from datetime import tzinfo
from typing import Any, BinaryIO, Final

from synmem.layouts.interchange import jsonl as jsonlines
from synmem.layouts.interchange.json_text import TooLarge, Window, as_text
from synmem.layouts.interchange.ordinary import id_of
from synmem.messages import (
    Conversation,
    JSONObject,
    Unreadable,
    conversation_refusal,
    line_prefix,
)

ORIGIN: Final = "json"


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
    window = Window(file)
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
    window: "Window", default: str | None, timezone: tzinfo | None
) -> Iterator[bytes]:
    """One object of the array: a conversation, or a message that names its own."""
    at = window.place()
    if window.peek() != "{":
        text = as_text(window.value())
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
        record = Unreadable(at, jsonlines.reason(error), as_text(value))
        return jsonlines.mark_line(self._name, record)


def _check_size(value: Any) -> None:
    """ValueError where a number in it is too large."""
    for each in (value, *(value.values() if isinstance(value, dict) else ())):
        if isinstance(each, TooLarge):
            raise ValueError(each.why)
