"""The interchange form, JSON Lines: what stands in such a file beside its messages.

A message is a line (`messages.encode_line`, `messages.decode_line`). A line without `role` is the
title line of its conversation, `{"conversation_id", "title", "extra"}`; it may stand anywhere and
sets what it names, so the last one wins. A sealed export begins with `OPENING` and ends with
`seal_line`, whose digest is SHA-256 over the bytes of every line between the two, newlines
included; both lines are these bytes exactly, so that a flipped bit in them shows too.

A part of an export in several files begins with the opening of `part_opening`, which says which
part of how many it is, of which set: a random name that only the parts of this one export have.
"""

import json
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import structs

from synmem.layouts.interchange.ordinary import id_of, is_finer, ordinary
from synmem.messages import (
    Conversation,
    JSONObject,
    Message,
    Unreadable,
    as_dict,
    conversation_refusal,
    decode_line,
    decode_lines,
    dump_json,
    encode_line,
    from_dict,
    is_exact,
    parse_json,
)

ORIGIN: Final = "jsonl"
"""The name in `extra` under which keys are kept that are not ours."""

OPENING: Final = b'{"synmem": {"sealed": 1}}\n'
"""The first line of a sealed export."""

_OPENING_SIZE: Final = 96
"""An opening of a part is padded to so many bytes: it is written again when `of` is known."""


class PartOf(NamedTuple):
    """Which part, from 1, of how many a file is; of an export that is called `set`.

    `of` is 0 while the export is being written.
    """

    set: str
    part: int
    of: int = 0


SHORT_ID: Final = 256
"""So many characters are at most the 1,024 bytes that an id may have."""

TORN: Final = "torn: the file ends in the middle of this line"
"""Why the last line cannot be read where it has no newline and is malformed."""

_encode_lines = msgspec.json.Encoder().encode_lines


def seal_line(conversations: int, messages: int, digest: str, part: PartOf | None = None) -> bytes:
    """The last line of a sealed export, or of a part of one; `digest` in hexadecimal."""
    counts: JSONObject = {"conversations": conversations, "messages": messages}
    counts["digest"] = f"sha256:{digest}"
    if part is not None:
        counts |= {"set": part.set, "part": part.part}
    return json.dumps({"synmem": counts}).encode() + b"\n"


def part_opening(part: PartOf) -> bytes:
    """The first line of a part of a sealed export; as long for one as for another."""
    data = {"sealed": 1, "set": part.set, "part": part.part, "of": part.of}
    return json.dumps({"synmem": data}).encode().ljust(_OPENING_SIZE - 1) + b"\n"


def opening_of(line: bytes) -> PartOf | bool:
    """What an opening says, with or without its newline: True where it is of a whole export, False
    where the line is no opening."""
    text = line.removesuffix(b"\n") + b"\n"
    if text == OPENING:
        return True
    try:
        data = parse_json(line)["synmem"]
        part = PartOf(data["set"], data["part"], data["of"])
        fits = type(part.part) is type(part.of) is int and 1 <= part.part <= part.of
        return part if fits and text == part_opening(part) else False
    except (ValueError, KeyError, TypeError):
        return False


def is_control(data: JSONObject) -> bool:
    """Whether this line is an opening or a seal, fitting or not."""
    return "synmem" in data and "conversation_id" not in data and "role" not in data


def begins_control(line: bytes) -> bool:
    """Whether a line that ends in its middle was to be an opening or a seal: no record of ours
    begins so."""
    start = OPENING[: OPENING.index(b":")]
    return line.startswith(start) or (len(line) > 2 and start.startswith(line))


def title_line(conversation: Conversation) -> bytes:
    """The title line of a conversation, its newline included; empty where it has none."""
    if conversation.title is None and not conversation.extra:
        return b""
    data: JSONObject = {"conversation_id": conversation.id}
    if conversation.title is not None:
        data["title"] = conversation.title
    if conversation.extra:
        data["extra"] = conversation.extra
    return dump_json(data) + b"\n"


def is_title(data: JSONObject) -> bool:
    """Whether this line speaks of its conversation, and not of a message that lacks its role."""
    return "role" not in data and "content" not in data and ("title" in data or "extra" in data)


def title_of(data: JSONObject, *, origin: str = ORIGIN) -> Conversation:
    """The conversation that a title line speaks of; ValueError says why it is not one.

    Keys that are not ours are kept in `extra[origin]`.
    """
    known = {key: data.get(key) for key in ("title", "extra")}
    others = {k: v for k, v in data.items() if k not in known and k != "conversation_id"}
    extra: Any = known["extra"]
    if not isinstance(extra, dict | None):
        raise ValueError("extra is not a JSON object")
    if others:
        kept = (extra or {}).get(origin)
        extra = {**(extra or {}), origin: {**(kept if isinstance(kept, dict) else {}), **others}}
    conversation = Conversation(data["conversation_id"], known["title"], extra or None)
    if why := conversation_refusal(conversation):
        raise ValueError(why)
    return conversation


def object_lines(messages: Sequence[Message]) -> bytes:
    """Each message as a line without its conversation."""
    try:
        lines = _encode_lines(messages)
        if is_exact(lines, messages):
            return lines
    except UnicodeEncodeError:
        pass  # a lone surrogate somewhere: message by message
    return b"".join([encode_line(b"{", message) for message in messages])


def line_of(
    prefix: bytes, data: JSONObject, *, origin: str, timezone: tzinfo | None = None
) -> bytes:
    """The line of a message's object in another file, its newline included, as `read_line` reads
    it; a time that is finer than microseconds stays as it is there. ValueError says why it is none.
    """
    data = ordinary(data, timezone)
    message = from_dict(data, origin=origin)
    if is_finer(at := data.get("created_at")):
        return prefix + dump_json({**as_dict(message), "created_at": at})[1:] + b"\n"
    return encode_line(prefix, message)


def read_line(
    line: bytes, *, conversation: str | None = None, timezone: tzinfo | None = None
) -> Message:
    """The message of a line, which may lack its id where `conversation` is given, and its time the
    zone where `timezone` is; also as other programs write one (see `ordinary.py`).

    ValueError says why it is none. A line whose id no conversation can have is none either: it
    stands among the messages of another conversation, and must not become one of them.
    """
    try:
        name, message = decode_line(line)
    except ValueError:
        data = parse_json(line)
        if not isinstance(data, dict):
            raise
        own = id_of(data.pop("conversation_id", None))
        if not isinstance(conversation if own is None else own, str):
            raise
        message = from_dict(ordinary(data, timezone), origin=ORIGIN)
        name = conversation or "" if own is None else str(own)
    usual = 0 < len(name) <= SHORT_ID and name.isascii()
    if not usual and (why := conversation_refusal(Conversation(name))):
        raise ValueError(why)
    return message if message.extra is None else _without_reason(message)


def read_lines(lines: Sequence[bytes], conversation: str) -> list[Message] | None:
    """As `read_line` of each of these lines of one conversation, all at once; None where that does
    not do."""
    usual = 0 < len(conversation) <= SHORT_ID and conversation.isascii()
    return decode_lines(lines, conversation) if usual else None


def _without_reason(message: Message) -> Message:
    """The message without what `--rejects` wrote beside it: `reason`, and `at` (a number)."""
    extra = message.extra or {}
    others = extra.get(ORIGIN)
    if not isinstance(others, dict) or "reason" not in others or type(others.get("at")) is not int:
        return message
    kept = {key: value for key, value in others.items() if key not in ("reason", "at")}
    rest = {key: value for key, value in extra.items() if key != ORIGIN}
    if kept:
        rest[ORIGIN] = kept
    return structs.replace(message, extra=rest or None)


def mark_line(conversation: str | None, record: Unreadable) -> bytes:
    """A line that stands for a record of another form that could not be turned into one."""
    data: JSONObject = {"unreadable": [record.position, record.reason]}
    if record.text is not None:
        data["text"] = record.text
    if conversation is not None:
        data["conversation_id"] = conversation
    return dump_json(data) + b"\n"


def mark_of(line: bytes) -> Unreadable | None:
    """The record that a mark line stands for, or None where it is another line."""
    if b'"unreadable"' not in line:
        return None
    data = parse_json(line)
    if "unreadable" not in data:
        return None
    position, why = data["unreadable"]
    return Unreadable(position, why, data.get("text"))


def reason(error: ValueError) -> str:
    """Why a line cannot be read, in one line and without the parser's own line number."""
    if isinstance(error, json.JSONDecodeError):
        what = error.msg.removesuffix(" at")  # "Unterminated string starting at"
        return f"not JSON: {what} at column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start + 1}"
    return str(error)
