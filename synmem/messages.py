"""Message and Conversation: the data, what makes two of them equal, and their JSON forms.

The interchange form is JSON Lines, one message a line (`encode_line`, `decode_line`); the
canonical line (`canonical`) is what equality and digests stand on. Both are exact: integers of
any size, floats by value, NaN and Infinity as Python writes them, lone surrogates as `\\udXXX`.
"""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from json.encoder import encode_basestring
from math import isinf
from typing import Any, Final, TypeGuard, TypeVar, cast

import msgspec

JSONObject = dict[str, Any]
T = TypeVar("T")
_Some = TypeVar("_Some", bound=Sequence[Any])

FIELDS: Final = (
    "role", "content", "metadata", "created_at", "tool_calls", "tool_call_id", "name", "parts",
    "extra",
)  # fmt: skip
"""The fields of a message, in the order in which they are written."""

ROLES: Final = ("system", "developer", "user", "assistant", "tool")
"""The roles that `add` knows; a store may hold any other."""

MAX_ID_BYTES: Final = 1024
MAX_DEPTH: Final = 100
"""Levels of JSON within a message's field: more than any framework writes, and what copies,
comparisons and the servers' own limits bear."""


class Message(msgspec.Struct, frozen=True, omit_defaults=True, eq=False, gc=False):
    """One message of a conversation.

    `role` as its writer wrote it, `content` text, `metadata` a JSON object, `created_at` aware
    UTC with microseconds, `tool_calls` `[{"id", "name", "arguments"}]`, `parts` structured
    content in the OpenAI content-part form, `extra` whatever else the source carried, under its
    layout's name. None, `{}` and `[]` mean the same: absent.
    """

    role: str
    content: str
    metadata: JSONObject | None = None
    created_at: datetime | None = None
    tool_calls: list[JSONObject] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    parts: list[JSONObject] | None = None
    extra: JSONObject | None = None

    def __eq__(self, other: object) -> bool:
        """Whether both are the same by canonical line: 1 is not 1.0, absent is `{}`."""
        if not isinstance(other, Message):
            return NotImplemented
        return canonical(self) == canonical(other)

    def __hash__(self) -> int:
        return hash(canonical(self))


class Conversation(msgspec.Struct, frozen=True, omit_defaults=True):
    """A conversation's own data: its id (1 to 1,024 bytes of UTF-8), title and extra."""

    id: str
    title: str | None = None
    extra: JSONObject | None = None


class Unreadable(msgspec.Struct, frozen=True):
    """A record that cannot be read, in its place: where it stands in its store, and why.

    `text` is the record as it stands there, where the store has it as text.
    """

    position: str
    reason: str
    text: str | None = None

    @property
    def why(self) -> str:
        """The reason, to be said behind the position: without the file and line that both name."""
        file, _, line = self.position.rpartition(":")
        return self.reason.removeprefix(f"{file}, line {line}: ")


class Damage(msgspec.Struct, frozen=True):
    """What is wrong with a store's own form: "cut short", "altered", "malformed", or a kind that
    `synmem.store` names; where; why.

    `position` names the line or row at which it begins; what is malformed comes from `read` as
    `Unreadable` too.
    """

    kind: str
    position: str
    reason: str


FINER: Final = "finer"
"""The kind of damage for times that are finer than ours, and so rounded: no fault."""

STRAY: Final = "stray"
"""The kind of damage that concerns no conversation: a record that belongs to none."""

GHOST: Final = "ghost"
"""The kind for an index that names a conversation which is not there: it expired, say."""

ORPHAN: Final = "orphan"
"""The kind for a conversation that is there, but that the store's index does not name."""

SEQUENCE: Final = "sequence"
"""The kind for a counter that is behind: what is there is whole, and nothing can be appended."""

SEVERAL: Final = "several"
"""The kind for a file of several exports that have conversations in common."""

TWICE: Final = "twice"
"""The kind for a conversation that lies in several places, of which one is read."""

HARMLESS: Final = frozenset({GHOST, ORPHAN, SEVERAL, FINER, TWICE})
"""Kinds that are worth telling, and no fault: every conversation is whole, and is listed."""


# --- JSON -----------------------------------------------------------------------------------

_fast_parse = msgspec.json.Decoder().decode
_fast_dump = msgspec.json.Encoder().encode
_canonical_dump = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
_ascii_dump = json.JSONEncoder(separators=(",", ":")).encode


def parse_json(text: str | bytes) -> Any:
    """What `json.loads` makes of it, faster; ValueError where it is not JSON, and for a number that
    is too large for a float (1e400), of which that would make Infinity."""
    try:
        return _fast_parse(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass  # NaN, 1e400, a lone surrogate, or not JSON at all: the standard library decides
    try:
        return json.loads(text, parse_float=finite, parse_int=whole)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def whole(text: str) -> int:
    """The number; ValueError where it is longer than Python reads at once (4,300 digits)."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"a number of {len(text):,} digits") from None


def finite(text: str) -> float:
    """The number that is written so in JSON; ValueError where no float is as large."""
    number = float(text)
    if isinf(number):
        raise ValueError(f"a number that is too large: {text[:30]}")
    return number


def dump_json(value: Any) -> bytes:
    """One line of JSON in UTF-8, exact; TypeError where the value is not JSON."""
    try:
        line = _fast_dump(value)
        if is_exact(line, value):
            return line
    except UnicodeEncodeError:
        pass  # a lone surrogate, which JSON carries as an escape
    return _ascii_dump(value).encode()


_pack: Final = msgspec.msgpack.Encoder().encode
_NOT_FINITE: Final = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]")
"""How NaN and Infinity begin in MessagePack, and no text in UTF-8 has these bytes."""


def is_exact(line: bytes, value: object) -> bool:
    """Whether msgspec wrote the line as it should be: it writes NaN and Infinity as null."""
    if b"null" not in line:
        return True
    try:
        return _NOT_FINITE.search(_pack(value)) is None
    except OverflowError:  # of an integer, which MessagePack has no room for
        return False


def ascii_json(value: Any) -> str:
    """JSON in ASCII, exact: what a store of text takes whatever the text is."""
    return _ascii_dump(value)


_ABSENT: Final[tuple[Any, ...]] = (None, {}, [])
"""What a message's own field holds where it has nothing to say: these are one."""


def as_dict(message: Message) -> JSONObject:
    """The message as the JSON object that the interchange form has, absent keys left out."""
    data: JSONObject = {"role": message.role, "content": message.content}
    for field in FIELDS[2:]:
        value = getattr(message, field)
        if value not in _ABSENT:
            data[field] = format_time(value) if field == "created_at" else value
    return data


def flat_call(call: JSONObject) -> JSONObject:
    """A tool call with its `name` and `arguments` at hand, also where it has them in its
    `function`, as OpenAI's messages do: it is kept as it was said, and read either way."""
    function = call.get("function")
    if not isinstance(function, dict) or "name" in call or "arguments" in call:
        return call
    rest = {key: value for key, value in call.items() if key != "function"}
    return {**rest, "name": function.get("name"), "arguments": function.get("arguments")}


def format_time(moment: datetime) -> str:
    """ISO 8601 in UTC, always with microseconds: the text sorts as the times do."""
    return moment.isoformat(timespec="microseconds")[:26] + "Z"


_LONGEST: Final = len("2026-11-21T06:00:00.123456Z")
_FINER: Final = re.compile(r"[.,]\d{6}(\d)")


def parse_time(text: str) -> datetime:
    """An aware time in UTC from ISO 8601, to the nearest microsecond; ValueError where it has no
    zone."""
    moment = datetime.fromisoformat(text)
    # It was cut, where `_fast_line` rounds: a time is read one way, in whatever form it is written.
    may_be_finer = len(text) > _LONGEST or text[4:5] != "-"
    if may_be_finer and (finer := _FINER.search(text)) and finer[1] >= "5":
        with contextlib.suppress(OverflowError):
            moment += timedelta(microseconds=1)
    if moment.tzinfo is None:
        raise ValueError(f"time without a zone: {text!r}")
    try:
        return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"outside of the years 1 to 9999: {text!r}") from error


# --- validity -------------------------------------------------------------------------------

_SPLIT_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


MAX_PLAIN: Final = 50_000
"""So many characters of content, at most, a message has that is `plain`."""


def plain(message: Message) -> bool:
    """Whether it is what most are, and any store holds it as it is: a role and a short content, in
    UTF-8 without NUL, at most a time and flat metadata. Each is asked, in every append: an import
    that looks at every value of every message takes 4% more of the processor."""
    m, at, content, role = message, message.created_at, message.content, message.role
    return (
        m.tool_calls is None and m.tool_call_id is None and m.name is None
        and m.parts is None and m.extra is None
        and type(content) is str and len(content) <= MAX_PLAIN and "\0" not in content
        and (content.isascii() or encodable(content))
        and type(role) is str and len(role) < 100 and role.isidentifier() and role.isascii()
        and (at is None or (type(at) is datetime and at.tzinfo is UTC))
        and (not m.metadata or _is_flat(m.metadata))
    )  # fmt: skip


def chunks(items: _Some, size: int) -> Iterator[_Some]:
    """The items in their order, so many at a time: what a page, a query or a call has room for."""
    for start in range(0, len(items), size):
        yield cast(_Some, items[start : start + size])


def are_objects(value: object) -> TypeGuard[list[JSONObject]]:
    """Whether it is an array of objects, as tool calls and parts are."""
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def encodable(text: str) -> bool:
    """Whether UTF-8 can carry the text: it has no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def replaced(text: str) -> str:
    """The text with `?` for each lone surrogate."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _is_flat(metadata: object) -> bool:
    if type(metadata) is not dict or len(metadata) > 20:
        return False
    for key, value in metadata.items():
        kind = type(value)
        # Such keys mean nothing of their own to any server: no dot, no dollar, not empty.
        if not (type(key) is str and len(key) < 100 and key.isidentifier() and key.isascii()):
            return False
        if kind is str:
            if len(value) > 1000 or not value.isascii() or "\0" in value:
                return False
        elif kind is int:
            if not -_SMALL < value < _SMALL:
                return False
        elif kind is not bool:
            return False
    return True


_SMALL: Final = 2**31


def refusal(message: Message) -> str | None:
    """Why no store can hold this message, or None: what JSON or its types cannot express."""
    if plain(message):
        return None
    for field in ("role", "content", "name", "tool_call_id"):
        value = getattr(message, field)
        if value is None and field in ("name", "tool_call_id"):
            continue
        if why := _text_refusal(value):
            return f"{field} {why}"
    if message.created_at is not None and (
        not isinstance(message.created_at, datetime) or message.created_at.tzinfo is not UTC
    ):
        return "created_at is not an aware time in UTC"
    for field, kind in (("metadata", dict), ("tool_calls", list), ("parts", list), ("extra", dict)):
        value = getattr(message, field)
        if value is not None:
            if type(value) is not kind:
                return f"{field} is not a JSON {'object' if kind is dict else 'array'}"
            if value and (why := _json_refusal(value)):
                return f"{field} {why}"
    return None


def conversation_refusal(conversation: Conversation) -> str | None:
    """Why no store can hold a conversation of this id, title and extra, or None."""
    try:
        size = len(conversation.id.encode())
    except UnicodeEncodeError:
        return "the id is not UTF-8"
    if not 1 <= size <= MAX_ID_BYTES:
        return f"the id has {size} bytes of UTF-8, not 1 to {MAX_ID_BYTES:,}"
    if conversation.title is not None and (why := _text_refusal(conversation.title)):
        return f"title {why}"
    if conversation.extra and (why := _json_refusal(conversation.extra)):
        return f"extra {why}"
    return None


def text_of_parts(parts: Iterable[JSONObject]) -> str:
    """The text of the parts that have one, joined by newlines: what `content` is beside them."""
    texts = (part.get("text") for part in parts if part.get("type") == "text")
    return "\n".join(text for text in texts if isinstance(text, str))


def parts_beside_calls(message: Message) -> list[JSONObject]:
    """The parts, without those that say a tool call once more, as Anthropic's `tool_use` does."""
    calls = [call.get("id") for call in message.tool_calls or ()]
    return [
        part
        for part in message.parts or ()
        if part.get("type") != "tool_use" or part.get("id") not in calls
    ]


def refusals(
    parts: Iterable[tuple[Conversation, Sequence[Message]]],
    refusal_of: Callable[[Message], str | None],
) -> list[tuple[str, int, str]]:
    """Everything that cannot be held: conversation, index in its messages, and why."""
    found = []
    for conversation, messages in parts:
        if why := conversation_refusal(conversation):
            found.append((conversation.id, 0, why))
        found += [
            (conversation.id, index, why)
            for index, message in enumerate(messages)
            if (why := refusal_of(message))
        ]
    return found


def encoded(
    parts: Iterable[tuple[Conversation, Sequence[Message]]],
    refusal_of: Callable[[Message], str | None],
    encode: Callable[[Message], T],
    encode_plain: Callable[[Message], T],
) -> tuple[list[list[T]], list[tuple[str, int, str]]]:
    """The messages of each part as a store has them, those that are `plain` by `encode_plain`;
    and, as `refusals`, everything that cannot be held."""
    whole: list[list[T]] = []
    reasons = []
    for conversation, messages in parts:
        if why := conversation_refusal(conversation):
            reasons.append((conversation.id, 0, why))
        whole.append(some := [])
        for index, message in enumerate(messages):
            if plain(message):
                some.append(encode_plain(message))
            elif why := refusal_of(message):
                reasons.append((conversation.id, index, why))
            elif not reasons:
                some.append(encode(message))
    return whole, reasons


def _text_refusal(value: object) -> str | None:
    if type(value) is not str:
        return f"is {type(value).__name__}, not text"
    # In JSON the two halves are the character itself: no file could tell them apart again.
    if not value.isascii() and _SPLIT_PAIR.search(value):
        return "holds a surrogate pair as two code points, which JSON cannot express"
    return None


def _json_refusal(value: object) -> str | None:
    """Why a value is no JSON that any store can hold; level by level, as fast as Python can."""
    level: list[Any] = [value]
    for depth in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is str:
                if not item.isascii() and (why := _text_refusal(item)):
                    return why
            elif kind is dict or kind is list:
                if depth == MAX_DEPTH:
                    return f"is nested more than {MAX_DEPTH} levels deep"
                below += item.values() if kind is dict else item
                if kind is dict and (why := _keys_refusal(item)):
                    return why
            elif kind not in _SCALARS:
                return f"holds a {kind.__name__}, which is not JSON"
        if not below:
            return None
        level = below
    return None


_SCALARS: Final = frozenset({int, float, bool, type(None)})


def _keys_refusal(item: dict[Any, Any]) -> str | None:
    for key in item:
        if type(key) is not str:
            return f"has a key that is not text: {key!r}"
        if not key.isascii() and (why := _text_refusal(key)):
            return why
    return None


# --- equality -------------------------------------------------------------------------------


class Holds(msgspec.Struct, frozen=True):
    """What a store can hold: message fields, how fine their times are, and of a conversation
    its `title` and `extra`.

    `call_messages` and `call_bytes` bound one `append`; a larger one is the caller's to split.
    `own` is False where the rows are shared with another program's: `add` then stamps a time only
    when it is asked to. An append of `atomic_messages`, two more counted for each part, is one
    atomic step. `lasting_positions` is False where a position may come to be that of another
    message with the same content. `columns` are somebody's own columns, as keys of `extra`: (the
    layout's name, the column's); those of `defaults` the store fills where a message says nothing.
    `extra_of` names the layout whose key of `extra` is all of it that a foreign store holds.
    `unread` are somebody's own columns that no message has, since the layout has no place for them.
    `stamps` is whether a message that says no time gets one: no time is then compared.
    `written` is False where nothing can be written at all.
    """

    fields: frozenset[str] = frozenset(FIELDS)
    conversation_fields: frozenset[str] = frozenset({"title", "extra"})
    time_us: int = 1
    call_messages: int = 10_000
    call_bytes: int = 64_000_000
    own: bool = True
    atomic_messages: int = 10_000
    lasting_positions: bool = True
    columns: frozenset[tuple[str, str]] = frozenset()
    defaults: frozenset[tuple[str, str]] = frozenset()
    extra_of: str = ""
    unread: tuple[str, ...] = ()
    stamps: bool = False
    written: bool = True

    def common(self, other: "Holds") -> "Holds":
        """What both sides hold: the ground on which they can be compared; without what the other
        fills by itself in messages of ours, which know nothing of it."""
        fields = self.fields & other.fields
        described = self.conversation_fields & other.conversation_fields
        if self.extra_of and other.extra_of and self.extra_of != other.extra_of:
            fields -= {"extra"}
            described -= {"extra"}
        if other.stamps and not self.stamps:
            fields -= {"created_at"}
        return Holds(
            fields=EVERYTHING.fields if fields == EVERYTHING.fields else fields,
            conversation_fields=described,
            time_us=max(self.time_us, other.time_us),
            defaults=other.defaults - self.columns,
            extra_of=(self.extra_of or other.extra_of) if "extra" in fields else "",
        )

    def lacking(self, other: "Holds") -> list[str]:
        """What of ours the other side cannot hold, as words for a person."""
        words: list[str] = [field for field in FIELDS if field in self.fields - other.fields]
        words += [
            f"conversation {field}"
            for field in sorted(self.conversation_fields - other.conversation_fields)
        ]
        if other.time_us > self.time_us and "created_at" in self.fields & other.fields:
            words.append(f"created_at below {other.time_us} us")
        if other.extra_of not in ("", self.extra_of) and "extra" in self.fields & other.fields:
            words.append(f"extra that is not {other.extra_of}'s")
        return words + [f"column {name}" for name in self.unread]


EVERYTHING: Final = Holds()
_ALWAYS: Final = frozenset({"role", "content"})


def canonical(message: Message, holds: Holds = EVERYTHING) -> bytes:
    """The line that stands for a message where two are compared or a digest is made.

    Compact JSON with sorted keys of the fields that `holds` names, empty ones left out; text
    code point by code point (UTF-8, lone surrogates passed through, nothing escaped but `"`,
    `\\`, and the control characters below U+0020), numbers as Python's `repr` writes them.
    """
    fields = holds.fields
    if fields >= _ALWAYS and not (
        message.metadata or message.tool_calls or message.parts or message.extra
        or message.name is not None or message.tool_call_id is not None
    ):  # fmt: skip
        # The common message, written out: the same bytes as below (a test compares them).
        line = f'{{"content":{encode_basestring(message.content)},'
        if message.created_at is not None and "created_at" in fields and not holds.stamps:
            line += f'"created_at":"{_canonical_time(message.created_at, holds.time_us)}",'
        line += f'"role":{encode_basestring(message.role)}}}'
        return line.encode("utf-8", "surrogatepass")
    data: dict[str, Any] = {}
    for field in FIELDS:
        value = getattr(message, field)
        if field in fields and value not in _ABSENT:
            data[field] = _canonical_time(value, holds.time_us) if field == "created_at" else value
    if holds.stamps:
        data.pop("created_at", None)
    if holds.defaults and "extra" in data:
        _drop_defaults(data, holds.defaults)
    if holds.extra_of and (kept := (data.pop("extra", None) or {}).get(holds.extra_of)):
        data["extra"] = {holds.extra_of: kept}
    return _canonical_dump(data).encode("utf-8", "surrogatepass")


def _drop_defaults(data: dict[Any, Any], defaults: Iterable[tuple[str, str]]) -> None:
    """Take out of the extra what a store fills by itself."""
    extra = dict(data["extra"])
    for layout, column in defaults:
        if isinstance(extra.get(layout), dict) and column in extra[layout]:
            extra[layout] = {key: value for key, value in extra[layout].items() if key != column}
    extra = {layout: value for layout, value in extra.items() if value != {}}
    data.pop("extra")
    if extra:
        data["extra"] = extra


def _canonical_time(moment: datetime, time_us: int) -> str:
    if time_us > 1:
        # Only the part that both sides hold: whole milliseconds, or whole seconds.
        whole = moment.microsecond - moment.microsecond % time_us if time_us < 1_000_000 else 0
        moment = moment.replace(microsecond=whole)
    return format_time(moment)


class Digest:
    """SHA-256 over the canonical lines of a conversation's messages, in order, scheme 1.

    The hash runs over `synmem conversation 1`, then each canonical line, a newline after each.
    The id, title and extra of the conversation are not in it.
    """

    SCHEME: Final = 1

    def __init__(self, holds: Holds = EVERYTHING) -> None:
        self.messages = 0
        self._holds = holds
        import hashlib  # loads OpenSSL, which a command that proves nothing need not wait for

        self._hash = hashlib.sha256(b"synmem conversation 1\n")

    def update(self, messages: Iterable[Message]) -> None:
        """Take the next messages in."""
        holds = self._holds
        self.take([canonical(message, holds) for message in messages])

    def take(self, lines: Sequence[bytes]) -> None:
        """As `update`, of canonical lines that were made already."""
        if lines:
            self.messages += len(lines)
            self._hash.update(b"\n".join(lines) + b"\n")

    def __str__(self) -> str:
        return "sha256:" + self._hash.hexdigest()


# --- the interchange form -------------------------------------------------------------------


def line_prefix(conversation: str) -> bytes:
    """How each line of this conversation begins: made once, used by `encode_line`."""
    return b'{"conversation_id":' + _fast_dump(conversation) + b","


def encode_line(prefix: bytes, message: Message) -> bytes:
    """A message as a line of the interchange form, its newline included."""
    try:
        line = _fast_dump(message)
        if is_exact(line, message):
            return prefix + line[1:] + b"\n"
    except UnicodeEncodeError:
        pass
    return prefix + _ascii_dump(as_dict(message)).encode()[1:] + b"\n"


class _Line(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    conversation_id: str
    role: str
    content: str
    metadata: JSONObject | None = None
    created_at: datetime | None = None
    tool_calls: list[JSONObject] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    parts: list[JSONObject] | None = None
    extra: JSONObject | None = None


_fast_line = msgspec.json.Decoder(_Line).decode
_dump_lines = msgspec.json.Encoder().encode_lines


def encode_lines(conversation: str, messages: Sequence[Message]) -> bytes:
    """A page of messages of that conversation: what `encode_line` makes of each."""
    lines = _lines_of(conversation, messages)
    try:
        data = _dump_lines(lines)
        if is_exact(data, lines):
            return data
    except UnicodeEncodeError:
        pass  # a lone surrogate somewhere: message by message
    prefix = line_prefix(conversation)
    return b"".join([encode_line(prefix, message) for message in messages])


def _lines_of(conversation: str, messages: Sequence[Message]) -> list[_Line]:
    return [
        _Line(
            conversation, m.role, m.content, m.metadata, m.created_at, m.tool_calls,
            m.tool_call_id, m.name, m.parts, m.extra,
        )
        for m in messages
    ]  # fmt: skip


def encode_parsed(conversation: str, messages: Sequence[Message]) -> bytes | None:
    """What `encode_lines` makes of messages whose JSON was parsed, so that it is of no other types;
    None where `refusal` may refuse one. Such JSON is wrong only where it cannot be written, as half
    of a surrogate pair cannot, or where it is too deep, as it is not where there are few objects
    and arrays: so who has written a message knows nearly all that `refusal` looks for."""
    if not all(map(_has_own_types, messages)):
        return None
    lines = _lines_of(conversation, messages)
    try:
        data = _dump_lines(lines)
    except UnicodeEncodeError:
        return None
    end = 0
    for message in messages:
        behind = end + len(message.content)  # of its line that much, or more, is content
        end = data.index(b"\n", behind) + 1
        is_shallow = data.count(b"{", behind, end) + data.count(b"[", behind, end) <= MAX_DEPTH
        if not is_shallow and refusal(message):
            return None
    return data if is_exact(data, lines) else None


def _has_own_types(m: Message) -> bool:
    at = m.created_at
    return (
        type(m.role) is str and type(m.content) is str
        and (m.name is None or type(m.name) is str)
        and (m.tool_call_id is None or type(m.tool_call_id) is str)
        and (at is None or (type(at) is datetime and at.tzinfo is UTC))
        and (not m.metadata or type(m.metadata) is dict)
        and (not m.tool_calls or type(m.tool_calls) is list)
        and (not m.parts or type(m.parts) is list)
        and (not m.extra or type(m.extra) is dict)
    )  # fmt: skip


_BETWEEN: Final = os.urandom(16).hex()
_COMMAS: Final = f',"{_BETWEEN}",'
_fast_lines = msgspec.json.Decoder(list[_Line | str]).decode
_fast_objects = msgspec.json.Decoder(list[JSONObject | str]).decode


def _all_at_once(
    joined: bytes, count: int, decode: Callable[[bytes], list[Any]]
) -> list[Any] | None:
    """What each of so many texts, joined by `_COMMAS`, is in JSON; None where any is text or none.

    They are parsed as one array with a word between that nobody can guess: where it stands between
    any two values, each text was a value, and none went over into the next.
    """
    try:
        found = decode(b"[" + joined + b"]")
    except (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError):
        return None
    values, between = found[::2], found[1::2]
    fits = len(values) == count and between == [_BETWEEN] * (count - 1)
    return values if fits and str not in map(type, values) else None


def decode_objects(texts: Sequence[str]) -> list[JSONObject] | None:
    """The JSON objects of these texts, all at once; None where any is not plainly one."""
    try:
        return _all_at_once(_COMMAS.join(texts).encode(), len(texts), _fast_objects)
    except UnicodeEncodeError:
        return None


def decode_lines(lines: Sequence[bytes], conversation: str) -> list[Message] | None:
    """The messages of lines of one conversation, all at once; None where any is not the usual
    line: wrong, of another conversation, with an `extra`, or with a time that is not in UTC."""
    joined = _COMMAS.encode().join(lines)
    found: list[_Line] | None = _all_at_once(joined, len(lines), _fast_lines)
    if found is None or not all(
        line.conversation_id == conversation
        and line.extra is None
        and (line.created_at is None or line.created_at.tzinfo is UTC)
        for line in found
    ):
        return None
    return [
        Message(
            line.role, line.content, line.metadata or None, line.created_at,
            line.tool_calls or None, line.tool_call_id, line.name, line.parts or None,
        )
        for line in found
    ]  # fmt: skip


def decode_line(line: bytes) -> tuple[str, Message]:
    """Conversation id and message of a line; ValueError says why it is not one."""
    try:
        fast = _fast_line(line)
        at = fast.created_at
        if at is not None and at.tzinfo is not UTC:
            at = parse_time(at.isoformat())
        return fast.conversation_id, Message(
            fast.role, fast.content, fast.metadata or None, at, fast.tool_calls or None,
            fast.tool_call_id, fast.name, fast.parts or None, fast.extra or None,
        )  # fmt: skip
    except (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError):
        pass  # unusual or wrong: the slow way takes every exact form, or says what is wrong
    data = parse_json(line)
    if not isinstance(data, dict):
        raise ValueError(f"a JSON {_kind(data)}, not an object")
    conversation = data.pop("conversation_id", None)
    if not isinstance(conversation, str):
        raise ValueError("no conversation_id")
    return conversation, from_dict(data, origin="jsonl")


_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "role": (str,),
    "content": (str,),
    "metadata": (dict, type(None)),
    "created_at": (str, type(None)),
    "tool_calls": (list, type(None)),
    "tool_call_id": (str, type(None)),
    "name": (str, type(None)),
    "parts": (list, type(None)),
    "extra": (dict, type(None)),
}


def from_dict(data: JSONObject, *, origin: str) -> Message:
    """A message from its JSON object; keys that are not ours are kept in `extra[origin]`."""
    values: JSONObject = {}
    others: JSONObject = {}
    for key, value in data.items():
        if key not in _KINDS:
            others[key] = value
        elif not isinstance(value, _KINDS[key]):
            raise ValueError(f"{key} is a JSON {_kind(value)}")
        elif value not in _ABSENT:
            values[key] = parse_time(str(value)) if key == "created_at" else value
    for key in ("role", "content"):
        if key not in values:
            raise ValueError(f"no {key}")
    for key in ("tool_calls", "parts"):
        if not are_objects(values.get(key, [])):
            raise ValueError(f"{key} holds something that is not a JSON object")
    if others:
        # Nothing is dropped: what an earlier reader kept under the same name stays beside it.
        extra = values.get("extra", {})
        kept = extra.get(origin)
        values["extra"] = {**extra, origin: {**(kept if isinstance(kept, dict) else {}), **others}}
    message = Message(**values)
    if why := refusal(message):
        raise ValueError(why)
    return message


def _kind(value: object) -> str:
    return {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}.get(
        type(value), "number"
    )
