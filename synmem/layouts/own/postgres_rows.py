"""Messages as rows of synmem's own table in PostgreSQL, both ways.

Text and jsonb hold most values exactly. What they do not hold, NUL and lone surrogates in text,
and in jsonb also NaN, the infinities, -0.0, a float that is whole from 1e15 on (jsonb gives an
integer back) and integers of thousands of digits, rides in `carried` (see `carried.py`).

A table may have columns that are not ours, `Own`: what is in them stands in the message's `extra`
under `synmem`, by the name of the column, integers and booleans as such and all else as the text
that the server casts to it. NULL is left out, but where it is not what an INSERT without the
column would give.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from synmem.layouts.own.carried import JSONS, join, plain_text, split
from synmem.messages import (
    EVERYTHING,
    Holds,
    JSONObject,
    Message,
    are_objects,
    dump_json,
    parse_json,
    parse_time,
    plain,
)

Row = Sequence[Any]

COLUMNS: Final = {
    "role": "text",
    "content": "text",
    "metadata": "jsonb",
    "created_at": "timestamp with time zone",
    "tool_calls": "jsonb",
    "tool_call_id": "text",
    "name": "text",
    "parts": "jsonb",
    "extra": "jsonb",
    "carried": "text",
}
"""The columns of a message, beside `session_id` and `id`, and their types."""

MAX_CHARACTERS: Final = 250_000_000
"""So long the texts of a message may be: PostgreSQL's limit of 1 GB, at four bytes each."""

NAME: Final = "synmem"
"""Under this name `extra` has what stands in columns that are not ours."""


class Own(NamedTuple):
    """A column that is not ours: its name, its type as a cast has it (without a length), and
    whether the server fills it where an INSERT leaves it out."""

    name: str
    type: str
    filled: bool


_OURS: Final = 2 + len(COLUMNS)
"""So many values of ours stand in what is read, before those of other columns."""

_INTEGERS: Final = ("smallint", "integer", "bigint")
_MAX_BITS: Final = 10_000  # integers of up to 3,000 digits; Python itself reads up to 4,300
_WHOLE: Final = 1e15  # from here on floats are written without a fraction
_LISTS: Final = ("tool_calls", "parts")

_NOT_AN_ID: Final = re.compile("[\x00\x10]")
_ESCAPES: Final = {"\x00": "\x10" + "0", "\x10": "\x10" + "P"}
_ESCAPED: Final = re.compile("\x10[0P]")
_UNESCAPES: Final = {escape: character for character, escape in _ESCAPES.items()}


def stored_id(conversation: str) -> str:
    """The id as `session_id` has it: itself, with NUL as U+0010 `0` and U+0010 as U+0010 `P`."""
    if "\x00" not in conversation and "\x10" not in conversation:
        return conversation
    return _NOT_AN_ID.sub(lambda match: _ESCAPES[match[0]], conversation)


def shown_id(session_id: str) -> str:
    """The id that was stored so."""
    if "\x10" not in session_id:
        return session_id
    return _ESCAPED.sub(lambda match: _UNESCAPES[match[0]], session_id)


def is_stored_id(session_id: str) -> bool:
    """Whether a conversation has it: another program may have written U+0010 otherwise."""
    return "\x10" not in session_id or stored_id(shown_id(session_id)) == session_id


def holds(own: Sequence[Own]) -> Holds:
    """All, and what columns that are not ours do."""
    if not own:
        return EVERYTHING
    return Holds(
        columns=frozenset((NAME, column.name) for column in own),
        defaults=frozenset((NAME, column.name) for column in own if column.filled),
    )


def refusal(own: Sequence[Own], message: Message) -> str | None:
    """Why a row cannot hold the message, which other stores can, or None; what only the server
    can tell is left to it."""
    return _too_long(message) or _own_refusal(own, message)


def _too_long(message: Message) -> str | None:
    m = message
    size = len(m.content) + len(m.role) + len(m.name or "") + len(m.tool_call_id or "")
    if size > MAX_CHARACTERS:
        return f"its texts have {size:,} characters: over {MAX_CHARACTERS:,}"
    return None


def encode(own: Sequence[Own], message: Message) -> Row:
    """The message as the values of `COLUMNS`, structures as JSON text; and, where it brings
    something for columns that are not ours, behind them one value more: the texts for them by
    name, None for NULL."""
    if plain(message):
        return encode_plain(message)
    if not (brought := _brought(own, message)):
        return _encode(message)
    extra = dict(message.extra or {})
    if rest := {name: each for name, each in extra.pop(NAME).items() if name not in brought}:
        extra[NAME] = rest
    texts = {name: _own_text(value) for name, value in brought.items()}
    return (*_encode(msgspec.structs.replace(message, extra=extra or None)), texts)


def encode_plain(message: Message) -> Row:
    """What `encode` makes of a message that is `plain`, for who has asked that: 0.13 microseconds
    each, and to ask again 0.29, where all of an import takes 6."""
    m = message
    metadata = dump_json(m.metadata).decode() if m.metadata else None
    return m.role, m.content, metadata, m.created_at, None, None, None, None, None, None


def _encode(message: Message) -> Row:
    native, carried = split(message, holds_json=holds_json)
    for field in JSONS:
        if field in native:
            native[field] = dump_json(native[field]).decode()
    get = native.get
    return (
        native["role"], native["content"], get("metadata"), get("created_at"), get("tool_calls"),
        get("tool_call_id"), get("name"), get("parts"), get("extra"), carried,
    )  # fmt: skip


def _own_refusal(own: Sequence[Own], message: Message) -> str | None:
    if not own or not message.extra:
        return None
    kept = message.extra.get(NAME, {})
    if not isinstance(kept, dict):
        return f"extra.{NAME} is not an object, by which the table's own columns go"
    kinds = {column.name: _own_kind(column) for column in own}
    for name, value in _brought(own, message).items():
        if value is not None and type(value) is not kinds[name]:
            return f"extra.{NAME}.{name} is not {_WORDS[kinds[name]]}, as the column has it"
        if type(value) is str and not plain_text(value):
            return f"extra.{NAME}.{name} has NUL or a lone surrogate, which no column can hold"
    return None


def _with_own(own: Sequence[Own], message: Message, texts: Row) -> Message:
    found = {
        column.name: None if text is None else _own_value(column, text)
        for column, text in zip(own, texts, strict=True)
        if text is not None or column.filled
    }
    if not found:
        return message
    extra = message.extra or {}
    kept = extra.get(NAME, {})
    if not isinstance(kept, dict):
        raise ValueError(f"extra.{NAME} is not an object, and {', '.join(found)} not NULL")
    return msgspec.structs.replace(message, extra={**extra, NAME: {**kept, **found}})


def _brought(own: Sequence[Own], message: Message) -> JSONObject:
    """What the message brings for these columns. What they would not give back, None where an
    INSERT without the column gives NULL, is no value of theirs: it stays in `extra`."""
    kept = (message.extra or {}).get(NAME)
    if not isinstance(kept, dict):
        return {}
    return {
        column.name: kept[column.name]
        for column in own
        if column.name in kept and (column.filled or kept[column.name] is not None)
    }


_WORDS: Final = {int: "an integer", bool: "a boolean", str: "text"}


def _own_kind(column: Own) -> type:
    return int if column.type in _INTEGERS else bool if column.type == "boolean" else str


def _own_value(column: Own, text: str) -> Any:
    kind = _own_kind(column)
    return text == "true" if kind is bool else kind(text)


def _own_text(value: Any) -> str | None:
    return str(value).lower() if type(value) is bool else None if value is None else str(value)


def decode(own: Sequence[Own], rows: Sequence[Row]) -> list[Message]:
    """The messages of rows as they are read: session_id, id, `COLUMNS` with structures as JSON
    text, and what stands in columns that are not ours as text. ValueError says why any is none.

    `created_at` may be text too, in rows whose time no datetime can be.
    """
    if own:
        ours = decode((), [row[:_OURS] for row in rows])
        both = zip(ours, rows, strict=True)
        return [_with_own(own, message, row[_OURS:]) for message, row in both]
    messages = []
    for row in rows:
        (
            _, _, role, content, metadata, at, calls, call_id, name, parts, extra, carried,
        ) = row  # fmt: skip
        if (
            calls is None and call_id is None and name is None
            and parts is None and extra is None and carried is None
            and (at is None or (type(at) is datetime and at.tzinfo is UTC))
            and role is not None and content is not None
        ):  # fmt: skip
            # What most are, in a third of the time.
            known = None if metadata is None else _structure("metadata", metadata)
            messages.append(Message(role, content, known, at))
        else:
            messages.append(_unusual(row))
    return messages


def _unusual(row: Row) -> Message:
    _, _, role, content, metadata, at, calls, call_id, name, parts, extra, carried = row
    if role is None or content is None:
        raise ValueError(f"{'role' if role is None else 'content'} is NULL")
    native: JSONObject = {"role": role, "content": content}
    if call_id is not None:
        native["tool_call_id"] = call_id
    if name is not None:
        native["name"] = name
    for field, text in (
        ("metadata", metadata), ("tool_calls", calls), ("parts", parts), ("extra", extra),
    ):  # fmt: skip
        if text is not None:
            native[field] = _structure(field, text)
    if at is not None:
        native["created_at"] = _time(at)
    return join(native, carried)


def holds_json(value: Any) -> bool:
    """Whether jsonb gives this value back: the same text, the same numbers of the same kind."""
    kind = type(value)
    if kind is str:
        return plain_text(value)
    if kind is float:
        return math.isfinite(value) and abs(value) < _WHOLE and not _minus_zero(value)
    if kind is int:
        return value.bit_length() < _MAX_BITS  # type: ignore[no-any-return]
    if kind is dict:
        return all(plain_text(key) and holds_json(item) for key, item in value.items())
    if kind is list:
        return all(map(holds_json, value))
    return value is None or kind is bool


def _minus_zero(value: float) -> bool:
    return value == 0 and math.copysign(1, value) < 0


def _structure(field: str, text: str) -> Any:
    value = parse_json(text)
    if field not in _LISTS:
        if not isinstance(value, dict):
            raise ValueError(f"{field} is JSON, but not an object")
    elif not are_objects(value):
        raise ValueError(f"{field} is JSON, but not an array of objects")
    return value


def _time(at: datetime | str) -> datetime:
    if isinstance(at, datetime) and at.tzinfo is UTC:  # asyncpg gives the infinities without one
        return at
    try:
        return parse_time(str(at))
    except ValueError as error:
        raise ValueError("created_at is infinite, or outside of the years 1 to 9999") from error


class Layout(NamedTuple):
    """A table of messages as the driver must know it: what is in its rows, and how what stands
    beside it is called."""

    table: str
    """Its name where none is given; those beside it have the same, with an ending."""
    meta: str
    calls: str
    sequence: str
    columns: Mapping[str, str]
    """Of a message, and their types; `session_id` and `id` stand before them."""
    encode: Callable[[Sequence[Own], Message], Row]
    encode_plain: Callable[[Message], Row]
    decode: Callable[[Sequence[Own], Sequence[Row]], list[Message]]
    refusal: Callable[[Sequence[Own], Message], str | None]
    holds: Callable[[Sequence[Own]], Holds]
    stored_id: Callable[[str], str]
    shown_id: Callable[[str], str]
    is_stored_id: Callable[[str], bool]


SYNMEM: Final = Layout(
    "synapsekit_conversations", "_meta", "_calls", "_seq", COLUMNS,
    encode, encode_plain, decode, refusal, holds, stored_id, shown_id, is_stored_id,
)  # fmt: skip
