"""The CSV form: a row a message, RFC 4180, UTF-8, structured cells as JSON.

An empty cell is an absent field. `title` stands in the first row of its conversation.

*Guard.* A text cell that begins with `=`, `+`, `-`, `@`, TAB or CR, which a spreadsheet would run
or swallow, gets a `'` in front; so does one that begins with `'` before one of these or before
another `'`. Reading takes a `'` off exactly there, so nothing else is touched. A reader that splits
at `;` or TAB knows nothing of our quotes, and ends a row at each line: for it every `;`, TAB and
line break within a text is guarded in the same way, also before `"`; in JSON such a `;` is written
as `\\u003b`. `guarded` of the reserved key (below) lists the columns in which that was done: only
from these it is taken off. A file of ours without guard (`raw`) needs no word to be read back;
`raw=True` reads a table of others so.

*What a cell cannot hold* rides in the reserved key `synmem` of the `extra` cell. `exact` has, by
column, the text of a cell with a NUL or a lone surrogate (which the cell shows as U+2400 and
U+FFFD), of one that only looks guarded, and an empty name, tool_call_id or title; `guarded`, see
above; `conversation_extra`, in the first row, the conversation's own; `kept` a key `synmem` of the
message's extra. An exact text holds as long as its cell still shows it: who edits the cell wins.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Any, BinaryIO, Final

from synmem.layouts.interchange import jsonl as jsonlines
from synmem.messages import (
    Conversation,
    JSONObject,
    Message,
    Unreadable,
    conversation_refusal,
    dump_json,
    format_time,
    line_prefix,
    parse_json,
)

ORIGIN: Final = "csv"

HEADER: Final = (
    "conversation_id", "role", "content", "created_at", "metadata", "tool_calls", "tool_call_id",
    "name", "parts", "extra", "title",
)  # fmt: skip

_JSON: Final = ("metadata", "tool_calls", "parts", "extra")
_RESERVED: Final = "synmem"
_RESERVED_KEYS: Final = {"exact", "guarded", "conversation_extra", "kept"}
_DELIMITERS: Final = (",", ";", "\t")  # the first is ours; spreadsheets save the others too
_LARGEST_CELL: Final = 2**31 - 1
_UNFIT: Final = re.compile("[\0\ud800-\udfff]")
_NOT_UTF8: Final = re.compile("[\udc80-\udcff]")  # from `surrogateescape`
_RUNS: Final = re.compile("[=+\\-@\t\r]|'[=+\\-@\t\r']")
_GUARDED: Final = re.compile("'[=+\\-@\t\r']")
_RUNS_WITHIN: Final = re.compile("[;\t\r\n]\"*(?=[=+\\-@\t\r]|'[=+\\-@\t\r'])")
_GUARDED_WITHIN: Final = re.compile("([;\t\r\n]\"*)'(?=[=+\\-@\t\r'])")
_RUNS_IN_JSON: Final = re.compile(r";(?=[=+\-@])")


# --- writing --------------------------------------------------------------------------------


def row(conversation: Conversation, message: Message, *, first: bool, raw: bool) -> list[str]:
    """A message as cells; `first` says that it is the first of its conversation."""
    exact: dict[str, str] = {}
    guarded: list[str] = []

    def cell(column: str, text: str | None) -> str:
        if not text:
            if text is not None:
                exact[column] = text
            return ""
        shown = text
        if "\0" in text or not text.isascii():
            shown = _shown(text)
        # In a file without guard, what looks like one would be taken off.
        if shown != text or (raw and _GUARDED.match(text)):
            exact[column] = text
        if raw:
            return shown
        safe = _RUNS_WITHIN.sub(lambda found: found[0] + "'", shown)
        if len(safe) > len(shown):
            guarded.append(column)
        return "'" + safe if _RUNS.match(safe) else safe

    def json_cell(value: Any) -> str:
        text = dump_json(value).decode() if value else ""
        return text if raw else _RUNS_IN_JSON.sub(r"\\u003b", text)

    texts = [
        cell("conversation_id", conversation.id),
        cell("role", message.role or None),
        cell("content", message.content or None),
        "" if message.created_at is None else format_time(message.created_at),
    ]
    answers, name = cell("tool_call_id", message.tool_call_id), cell("name", message.name)
    title = cell("title", conversation.title) if first else ""
    extra = packed(message.extra, exact, guarded, conversation.extra if first else None)
    metadata, calls, parts, others = map(
        json_cell, (message.metadata, message.tool_calls, message.parts, extra)
    )
    return [*texts, metadata, calls, answers, name, parts, others, title]


def _shown(text: str) -> str:
    if not _UNFIT.search(text):
        return text
    return _UNFIT.sub(lambda found: "\u2400" if found[0] == "\0" else "\ufffd", text)


def packed(
    extra: JSONObject | None,
    exact: dict[str, str],
    guarded: Sequence[str] = (),
    conversation_extra: JSONObject | None = None,
) -> JSONObject | None:
    """The extra of a message with what its row cannot hold, if that is anything."""
    reserved: JSONObject = {}
    if exact:
        reserved["exact"] = exact
    if guarded:
        reserved["guarded"] = list(guarded)
    if conversation_extra:
        reserved["conversation_extra"] = conversation_extra
    if extra and _RESERVED in extra:
        reserved["kept"] = extra[_RESERVED]
    return {**(extra or {}), _RESERVED: reserved} if reserved else extra


# --- reading --------------------------------------------------------------------------------


def read_lines(
    file: BinaryIO,
    *,
    conversation: str | None = None,
    raw: bool = False,
    timezone: tzinfo | None = None,
) -> Iterator[bytes]:
    """The file as JSON Lines; ValueError names the line of what is not CSV.

    A row that is not a message becomes a mark line (`jsonlines.mark_line`) with its line in the
    file. `conversation` is the id of rows that carry none, `timezone` that of times without one.
    """
    csv.field_size_limit(_LARGEST_CELL)
    text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="\n")
    try:
        first = text.readline()
        if not first:
            return
        delimiter, columns = _header(first)
        if conversation is None and "conversation_id" not in columns:
            raise ValueError("line 1: no column conversation_id")
        table = _Rows(columns, conversation, raw=raw, timezone=timezone)
        rows = csv.reader(text, delimiter=delimiter, strict=True)
        while True:
            line = rows.line_num + 2  # behind the header
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                raise _malformed(line, error) from None
            if cells:
                yield table.lines(line, cells)
    finally:
        text.detach()


def is_header(line: str) -> bool:
    """Whether a file that begins with this line is a table of messages."""
    try:
        return bool(_header(line))
    except ValueError:
        return False


def _header(line: str) -> tuple[str, list[str]]:
    """Delimiter and column names."""
    for delimiter in _DELIMITERS:
        try:
            cells = next(csv.reader([line], delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            raise _malformed(1, error) from None
        names = [name.strip() for name in cells]
        if "role" in names and "content" in names:
            if len(set(names)) < len(names):
                raise ValueError("line 1: two columns have the same name")
            return delimiter, names
    raise ValueError("line 1: no columns role and content")


def _malformed(line: int, error: csv.Error) -> ValueError:
    # What follows the dash speaks to a Python programmer.
    return ValueError(f"line {line}: {str(error).partition(' - ')[0]}")


class _Rows:
    """Turns rows into lines, and remembers which title was written last."""

    def __init__(
        self,
        columns: Sequence[str],
        conversation: str | None,
        *,
        raw: bool,
        timezone: tzinfo | None = None,
    ) -> None:
        self._timezone = timezone
        self._columns = columns
        self._conversation = conversation
        self._raw = raw
        self._described: Conversation | None = None
        self._prefix_of: tuple[str, bytes] = ("", b"")

    def lines(self, at: int, cells: Sequence[str]) -> bytes:
        """The title line, where there is something new to say, and the message's line."""
        name = None
        try:
            if len(cells) != len(self._columns):
                raise ValueError(f"{len(cells)} cells, not {len(self._columns)}")
            data, reserved = self._values(cells)
            name = self._name(data)
            described = Conversation(
                name, data.pop("title", None), reserved.get("conversation_extra")
            )
            line = jsonlines.line_of(
                self._prefix(name), data, origin=ORIGIN, timezone=self._timezone
            )
            return self._title(described) + line
        except ValueError as error:
            name = name or self._shown_name(cells)
            record = Unreadable(str(at), jsonlines.reason(error), _as_text(cells))
            return jsonlines.mark_line(name, record)

    def _values(self, cells: Sequence[str]) -> tuple[JSONObject, JSONObject]:
        """The cells that hold something, and what was reserved in `extra`."""
        if any(_NOT_UTF8.search(cell) for cell in cells if not cell.isascii()):
            raise ValueError("not UTF-8")
        data: JSONObject = {"role": "", "content": ""}
        for column, cell in zip(self._columns, cells, strict=True):
            if not cell:
                continue
            if column in _JSON:
                data[column] = _parse_cell(column, cell)
            else:
                guarded = not self._raw and _GUARDED.match(cell)
                data[column] = cell[1:] if guarded else cell
        reserved = _take_reserved(data)
        for column in reserved.get("guarded", ()) if not self._raw else ():
            if column not in _JSON and isinstance(data.get(column), str):
                data[column] = _GUARDED_WITHIN.sub(r"\1", data[column])
        if exact := reserved.get("exact"):
            cell_of = dict(zip(self._columns, cells, strict=True))
            for column, text in exact.items():
                shows = (data.get(column, ""), cell_of.get(column))
                if isinstance(text, str) and _shown(text) in shows:
                    data[column] = text
        return data, reserved

    def _name(self, data: JSONObject) -> str:
        name = data.pop("conversation_id", self._conversation)
        if name is None:
            raise ValueError("no conversation_id")
        if why := conversation_refusal(Conversation(name)):
            raise ValueError(why)
        return str(name)

    def _shown_name(self, cells: Sequence[str]) -> str | None:
        """The id of a row that is wrong elsewhere, as far as it can be told."""
        cell = dict(zip(self._columns, cells, strict=False)).get("conversation_id")
        if not cell:
            return self._conversation
        name = cell[1:] if not self._raw and _GUARDED.match(cell) else cell
        return None if conversation_refusal(Conversation(name)) else name

    def _title(self, described: Conversation) -> bytes:
        line = jsonlines.title_line(described)
        if not line or described == self._described:
            return b""
        self._described = described
        return line

    def _prefix(self, name: str) -> bytes:
        if self._prefix_of[0] != name:
            self._prefix_of = (name, line_prefix(name))
        return self._prefix_of[1]


def _as_text(cells: Sequence[str]) -> str:
    """The row, as a line of a CSV file."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def _parse_cell(column: str, cell: str) -> Any:
    try:
        return parse_json(cell)
    except ValueError as error:
        raise ValueError(f"{column} is {jsonlines.reason(error)}") from None


def _take_reserved(data: JSONObject) -> JSONObject:
    """Take our key out of `extra`, and put a key of that name back that was the message's own."""
    extra = data.get("extra")
    if not isinstance(extra, dict):
        return {}
    reserved = extra.get(_RESERVED)
    if not isinstance(reserved, dict) or not reserved or reserved.keys() - _RESERVED_KEYS:
        return {}
    if not all(isinstance(reserved.get(key, {}), dict) for key in ("exact", "conversation_extra")):
        return {}
    columns = reserved.get("guarded", [])
    if not isinstance(columns, list) or not all(isinstance(each, str) for each in columns):
        return {}
    del extra[_RESERVED]
    if "kept" in reserved:
        extra[_RESERVED] = reserved["kept"]
    return reserved
