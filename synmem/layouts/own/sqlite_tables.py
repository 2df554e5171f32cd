"""The two layouts of a `messages` table in SQLite: SynapseKit's own, and ours.

`SynapseKitTable` is the table as SynapseKit 2.0.1 makes it (see `synapsekit.py` for what rides
in its metadata). `OwnTable` is the same table with nullable columns for the rest, so that a
SynapseKit program still reads and writes it. A row that a SynapseKit program wrote there has
NULL in them; a message with a lone surrogate is packed as in SynapseKit's table. Columns that are
in neither are somebody's own: see `sqlite_columns.py`. In somebody's table a column that we
know may be NOT NULL: metadata is then `{}` where there is none, and a message without a value for
another such column is refused.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Protocol

from synmem.layouts.own.synapsekit import (
    RESERVED,
    called,
    metadata_text,
    pack,
    parse_metadata,
    unpack,
)
from synmem.messages import (
    Holds,
    JSONObject,
    Message,
    are_objects,
    dump_json,
    encodable,
    format_time,
    parse_json,
    parse_time,
)

Row = Sequence[Any]


class Column(NamedTuple):
    """A column as SQLite describes it: its declared type ("" takes all as it is), NOT NULL, whether
    it has a default."""

    name: str
    type: str
    required: bool
    default: bool


class Table(Protocol):
    """How messages lie in the rows of a `messages` table."""

    name: str
    holds: Holds
    columns: tuple[str, ...]
    """Beside `id` and `conversation_id`."""
    common: int
    """How many of them, from the first, most rows fill: the others are NULL there."""
    time_column: str
    """The column from which `time_of` reads when a message was made."""
    schema: tuple[str, ...]
    """The statements that make the tables."""
    others: tuple[str, ...]
    """The names of the columns that this layout does not know, the last ones of `columns`, which
    has all names as SQL takes them."""

    def refusal(self, message: Message) -> str | None:
        """Why the columns of somebody's own table would not take the message, or None."""
        ...

    def encode(self, message: Message) -> Row:
        """The message as the values of `columns`."""
        ...

    def bare(self, message: Message) -> Row | None:
        """The values of the `common` columns, where the message has nothing in the others, is
        plain ASCII, and so can be in any store; else None: to be asked about, and encoded.
        (Without it an import of such messages takes 5% more of the processor.)"""
        ...

    def decode(self, values: Row) -> Message:
        """The message of a row; ValueError says why it cannot be read."""
        ...

    def decode_all(self, rows: Sequence[Row]) -> list[Message]:
        """The messages of rows that begin with conversation_id and id; ValueError where any
        cannot be read. What `decode` does, without its cost for the common row."""
        ...

    def time_of(self, value: Any) -> datetime | None:
        """`created_at`, from the value of `time_column` alone; None where it cannot be read."""
        ...

    def differing(self, before: Row, after: Row) -> str | None:
        """The name of a column in which two rows that can be read do not say the same, or None.
        JSON is compared by its value, a time by when it is."""
        ...


_MESSAGES: Final = (
    "CREATE TABLE messages (  id INTEGER PRIMARY KEY AUTOINCREMENT,  conversation_id TEXT NOT NULL,"
    "  role TEXT NOT NULL,  content TEXT NOT NULL,  metadata TEXT"
)
"""As SynapseKit 2.0.1 writes it, to the space."""


class SynapseKitTable:
    """messages(id, conversation_id, role, content, metadata): shared with SynapseKit."""

    name: str = "synapsekit"
    holds = Holds(conversation_fields=frozenset(), own=False)
    columns: tuple[str, ...] = ("role", "content", "metadata")
    common: int = 3
    time_column = "metadata"
    schema: tuple[str, ...] = (
        _MESSAGES + ")",
        "CREATE INDEX idx_conv_id ON messages(conversation_id)",
    )
    others: tuple[str, ...] = ()

    def __init__(self, known: Sequence[Column] = ()) -> None:
        """With the columns of the layout as they are in the file."""
        self._no_metadata = _no_metadata(known)

    def refusal(self, message: Message) -> str | None:
        """See `Table.refusal`."""
        return None

    def encode(self, message: Message) -> Row:
        """See `Table.encode`."""
        role, content, metadata = pack(message, utf8=True)
        return role, content, metadata_text(metadata) or self._no_metadata

    def bare(self, message: Message) -> Row | None:
        """See `Table.bare`."""
        m = message
        if m.created_at is None and _is_bare(m):
            return m.role, m.content, self._no_metadata
        return None

    def decode(self, values: Row) -> Message:
        """See `Table.decode`."""
        role, content, metadata = values
        _check_text(role, content)
        parsed = parse_metadata(metadata) if metadata is not None else None
        return unpack(role, content, parsed) if parsed else Message(role, content)

    def decode_all(self, rows: Sequence[Row]) -> list[Message]:
        """See `Table.decode_all`."""
        decode = self.decode
        return [
            Message(role, content)
            if metadata is None and type(content) is str and type(role) is str
            else decode((role, content, metadata))
            for _, _, role, content, metadata in rows
        ]

    def time_of(self, value: Any) -> datetime | None:
        """See `Table.time_of`."""
        try:
            return unpack("", "", parse_metadata(value) or {}).created_at
        except ValueError:
            return None

    def differing(self, before: Row, after: Row) -> str | None:
        """See `Table.differing`."""
        return _differing(self.columns, before, after)


class OwnTable:
    """The same with created_at, tool_calls, tool_call_id, name, parts and extra as columns.

    Times are ISO 8601 text in UTC with microseconds and `Z`, structures JSON text.
    """

    name: str = "synmem"
    holds = Holds()
    columns: tuple[str, ...] = (
        "role", "content", "metadata", "created_at", "tool_calls", "tool_call_id", "name",
        "parts", "extra",
    )  # fmt: skip
    common: int = 4
    time_column = "created_at"
    schema: tuple[str, ...] = (
        _MESSAGES + ", created_at TEXT, tool_calls TEXT, tool_call_id TEXT, name TEXT,"
        " parts TEXT, extra TEXT)",
        "CREATE INDEX idx_conv_id ON messages(conversation_id)",
        "CREATE TABLE messages_meta (conversation_id TEXT NOT NULL, name TEXT NOT NULL,"
        " value TEXT NOT NULL, PRIMARY KEY (conversation_id, name)) WITHOUT ROWID",
    )
    others: tuple[str, ...] = ()

    def __init__(self, known: Sequence[Column] = ()) -> None:
        """With the columns of the layout as they are in the file."""
        self._no_metadata = _no_metadata(known)
        must = {column.name for column in known if column.required} - _ALWAYS
        self._must = [(n, name) for n, name in enumerate(self.columns) if name in must]
        given = {column.name for column in known if column.default} - {*self.columns[: self.common]}
        self._binds_all = bool(self._must or given)
        if self._binds_all:  # what is left out would be the default, or be refused
            self.common = len(self.columns)

    def refusal(self, message: Message) -> str | None:
        """See `Table.refusal`: a column that must have a value has none."""
        if not self._must:
            return None
        values = self.encode(message)
        for n, name in self._must:
            if values[n] is None:
                return f"the table's column {name!r} must have a value, and the message has none"
        return None

    def encode(self, message: Message) -> Row:
        """See `Table.encode`."""
        m = message
        time = None if m.created_at is None else format_time(m.created_at)
        values = (
            m.role, m.content, _json(m.metadata) if m.metadata else self._no_metadata, time,
            _json(m.tool_calls) if m.tool_calls else None, m.tool_call_id, m.name,
            _json(m.parts) if m.parts else None, _json(m.extra) if m.extra else None,
        )  # fmt: skip
        packed = m.metadata is not None and RESERVED in m.metadata
        texts = (m.role, m.content, m.tool_call_id or "", m.name or "")
        if not packed and all(map(encodable, texts)):
            return values
        role, content, metadata = pack(message, utf8=True)
        # Beside the packed copy only the time stays a column: listings read it there.
        return role, content, metadata_text(metadata), time, None, None, None, None, None

    def bare(self, message: Message) -> Row | None:
        """See `Table.bare`."""
        m, at = message, message.created_at
        if self._binds_all or not _is_bare(m):
            return None
        if at is None:
            return m.role, m.content, self._no_metadata, None
        plain = type(at) is datetime and at.tzinfo is UTC
        return (m.role, m.content, self._no_metadata, format_time(at)) if plain else None

    def decode(self, values: Row) -> Message:
        """See `Table.decode`."""
        role, content, metadata, at, calls, call_id, name, parts, extra = values
        if type(role) is not str or type(content) is not str:
            _check_text(role, content)
        for column, value in (("tool_call_id", call_id), ("name", name)):
            if value is not None and type(value) is not str:
                raise ValueError(f"{column} is {called(value)}, not text")
        parsed = None if metadata is None else parse_metadata(metadata)
        if parsed and RESERVED in parsed:
            message = unpack(role, content, parsed)
            if message.metadata is not parsed:
                return message
        return Message(
            role,
            content,
            parsed,
            None if at is None else _time(at),
            None if calls is None else _objects("tool_calls", calls),
            call_id,
            name,
            None if parts is None else _objects("parts", parts),
            None if extra is None else _object("extra", extra),
        )

    def decode_all(self, rows: Sequence[Row]) -> list[Message]:
        """See `Table.decode_all`."""
        decode, nothing = self.decode, (None,) * 5
        return [
            Message(row[2], row[3], None, None if row[5] is None else _time(row[5]))
            if row[6:] == nothing and row[4] is None and type(row[3]) is str and type(row[2]) is str
            else decode(row[2:])
            for row in rows
        ]

    def time_of(self, value: Any) -> datetime | None:
        """See `Table.time_of`."""
        try:
            return None if value is None else _time(value)
        except ValueError:
            return None

    def differing(self, before: Row, after: Row) -> str | None:
        """See `Table.differing`."""
        return _differing(self.columns, before, after)


_ALWAYS: Final = frozenset({"id", "conversation_id", "role", "content", "metadata"})
"""Columns that we give a value where they must have one."""


def _no_metadata(known: Sequence[Column]) -> str | None:
    """What stands in the column metadata where there is none: read, both are the same."""
    return "{}" if any(each.name == "metadata" and each.required for each in known) else None


_JSON: Final = frozenset({"metadata", "tool_calls", "parts", "extra"})


def _differing(columns: Sequence[str], before: Row, after: Row) -> str | None:
    for name, one, other in zip(columns, before, after, strict=True):
        if (type(one) is not type(other) or one != other) and _said(name, one) != _said(
            name, other
        ):
            return name
    return None


def _said(column: str, value: Any) -> Any:
    """What a value says, to be compared."""
    if column in _JSON:
        parsed = parse_json(value) if value else None
        return json.dumps(parsed, sort_keys=True) if parsed else None
    if column == "created_at":
        return None if value is None else _time(value)
    return type(value), value


def _is_bare(m: Message) -> bool:
    """Whether it is role and content, in ASCII, and at most a time."""
    return (
        m.metadata is None and m.tool_calls is None and m.parts is None and m.extra is None
        and m.tool_call_id is None and m.name is None
        and type(m.content) is str and m.content.isascii()
        and type(m.role) is str and m.role.isascii()
    )  # fmt: skip


def _json(value: Any) -> str:
    return dump_json(value).decode()


def _check_text(role: Any, content: Any) -> None:
    for column, value in (("role", role), ("content", content)):
        if not isinstance(value, str):
            raise ValueError(f"{column} is {called(value)}, not text")


def _time(value: Any) -> datetime:
    if not isinstance(value, str):
        raise ValueError(f"created_at is {called(value)}, not text")
    try:
        return parse_time(value)
    except ValueError as error:
        raise ValueError(f"created_at is not a time: {value!r}") from error


def _parsed(column: str, value: Any) -> Any:
    if type(value) is not str:
        raise ValueError(f"{column} is {called(value)}, not JSON text")
    try:
        return parse_json(value)
    except ValueError as error:
        raise ValueError(f"{column} is not JSON: {error}") from error


def _object(column: str, value: Any) -> JSONObject:
    parsed = _parsed(column, value)
    if not isinstance(parsed, dict):
        raise ValueError(f"{column} is JSON, but not an object")
    return parsed


def _objects(column: str, value: Any) -> list[JSONObject]:
    parsed = _parsed(column, value)
    if not are_objects(parsed):
        raise ValueError(f"{column} is JSON, but not an array of objects")
    return parsed
