"""Parquet, for pandas, DuckDB and data sets: a row a message, written as it comes, never read.

Columns: `conversation_id`, `title` and `conversation_extra` in every row of a conversation;
`position`, from 1; `role`, `content`, `created_at` (UTC, in microseconds), `name`, `tool_call_id`;
as JSON `tool_calls`, `parts`, `metadata`, `extra` and `conversation_extra`. What a text cannot hold
there, a lone surrogate, is U+FFFD in its column, and `extra` has the exact text, as in CSV: by
column under `exact` in the reserved key `synmem`.
"""

import re
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final

from synmem.errors import MissingExtra
from synmem.exhaustion import exhausted
from synmem.layouts.interchange.csv_table import packed
from synmem.messages import Conversation, JSONObject, Message, dump_json

_TEXTS: Final = ("conversation_id", "title", "role", "content", "name", "tool_call_id")
_JSON: Final = ("tool_calls", "parts", "metadata", "extra", "conversation_extra")
_COLUMNS: Final = (
    "conversation_id", "title", "position", "role", "content", "created_at", "name", "tool_call_id",
    "tool_calls", "parts", "metadata", "extra", "conversation_extra",
)  # fmt: skip

_GROUP_ROWS: Final = 50_000
_GROUP_CHARACTERS: Final = 16_000_000
"""So many rows, or characters in them, are written together: what is held in memory."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class Writer:
    """A row a message, in groups that are written whenever one is full."""

    def __init__(self) -> None:
        self._arrow, parquet = _modules()
        self._schema = self._arrow.schema(
            [(column, self._type(column)) for column in _COLUMNS],
            metadata={"synmem": "1"},
        )
        self._sink = _Sink()
        self._open = parquet.ParquetWriter
        self._writer: Any = None
        self._columns: dict[str, list[Any]] = {column: [] for column in _COLUMNS}
        self._size = 0
        self._described: JSONObject = {}
        self._exact_title: JSONObject = {}
        self._position = 0

    def begin(self) -> bytes:
        """What a file of Parquet begins with."""
        file = self._arrow.PythonFile(self._sink, mode="w")
        self._writer = self._open(file, self._schema, compression="zstd")
        return self._sink.taken()

    def conversation(self, conversation: Conversation) -> bytes:
        """Nothing: each row names its conversation."""
        self._position = 0
        self._exact_title = {}
        extra = conversation.extra
        self._described = {
            "conversation_id": conversation.id,
            "title": _text("title", conversation.title, self._exact_title),
            "conversation_extra": dump_json(extra).decode() if extra else None,
        }
        return b""

    def number(self, number: int) -> None:
        """See `TakesNumbers.number`."""
        self._position = number - 1

    def messages(self, messages: Sequence[Message]) -> bytes:
        """The groups that are full by now."""
        for message in messages:
            self._position += 1
            self._add(message)
            if len(self._columns["role"]) >= _GROUP_ROWS or self._size >= _GROUP_CHARACTERS:
                self._write()
        return self._sink.taken()

    def end(self) -> bytes:
        """The last group, and what says where everything stands."""
        self._write()
        self._writer.close()
        return self._sink.taken()

    def _add(self, message: Message) -> None:
        row: JSONObject = {**self._described, "position": self._position}
        exact = dict(self._exact_title)
        for column in ("role", "content", "name", "tool_call_id"):
            row[column] = _text(column, getattr(message, column), exact)
        row["created_at"] = message.created_at
        for column in ("tool_calls", "parts", "metadata"):
            value = getattr(message, column)
            row[column] = dump_json(value).decode() if value else None
        extra = packed(message.extra, exact) if exact else message.extra
        row["extra"] = dump_json(extra).decode() if extra else None
        for column, values in self._columns.items():
            values.append(row[column])
        self._size += sum(len(row[column]) for column in (*_TEXTS, *_JSON) if row[column])

    def _write(self) -> None:
        if self._columns["role"]:
            self._writer.write_table(self._arrow.table(self._columns, self._schema))
            self._columns = {column: [] for column in _COLUMNS}
            self._size = 0

    def _type(self, column: str) -> Any:
        if column == "position":
            return self._arrow.int64()
        if column == "created_at":
            return self._arrow.timestamp("us", tz="UTC")
        return self._arrow.string()


def _text(column: str, text: str | None, exact: JSONObject) -> str | None:
    """The text as a column shows it; what it cannot hold is written down in `exact`."""
    if text is None or text.isascii() or not _SURROGATE.search(text):
        return text
    exact[column] = text
    return _SURROGATE.sub("\ufffd", text)


def _modules() -> tuple[ModuleType, ModuleType]:
    """Arrow, and its Parquet; MissingExtra where they are not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        if exhausted(error):
            raise
        raise MissingExtra(
            "-f parquet needs the package pyarrow", hint="pip install 'synmem-cli[parquet]'"
        ) from error
    return pyarrow, pyarrow.parquet


class _Sink:
    """A file that hands on what is written to it."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> int:
        """More of it."""
        self._pieces.append(bytes(data))
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        """How much was written."""
        return self._size

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """It is whole."""
        self.closed = True

    def taken(self) -> bytes:
        """What was written since this was asked last."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)
