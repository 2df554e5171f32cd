"""What a message has beside its text, in a line each or in full: calls, images, files, metadata."""

import json
from collections.abc import Iterator
from typing import Any, Final

from synmem.cli.render import visible, visible_line
from synmem.cli.screen.pieces import Line, Piece
from synmem.cli.screen.styles import DIM, of_role
from synmem.cli.words import count, size
from synmem.formats.parts import called, is_reasoning, thoughts, urls
from synmem.messages import (
    JSONObject,
    Message,
    dump_json,
    flat_call,
    parse_json,
    parts_beside_calls,
)

_DATA: Final = "data:"
_SHOWN: Final = 2_000  # characters of what is cut to a line anyway


def size_of(text: str) -> str:
    """`8.2 kB, 214 lines`: how much there is of a text."""
    lines = text.count("\n") + 1
    told = size(len(text.encode("utf-8", "surrogatepass")))
    return told if lines == 1 else f"{told}, {count(lines, 'line')}"


def calls_of(message: Message) -> Iterator[JSONObject]:
    """The calls, and those that a model got wrong, which LangChain keeps apart."""
    yield from map(flat_call, message.tool_calls or ())
    for kept in (message.extra or {}).values():
        invalid = kept.get("invalid_tool_calls") if isinstance(kept, dict) else None
        for each in invalid if isinstance(invalid, list) else ():
            if isinstance(each, dict):
                yield {"arguments": each.get("args"), **flat_call(each), "invalid": True}


def parts_of(message: Message) -> tuple[list[str], list[JSONObject]]:
    """What a model thought, and the other parts that are no text."""
    thought, others = [], []
    for part in parts_beside_calls(message):
        kind = part.get("type") or part.get("content_type")
        if is_reasoning(kind) and (text := thoughts(part)):
            thought.append(text)
        elif kind != "text":
            others.append(part)
    return thought, others


def call(call: JSONObject, *, full: bool) -> list[Line]:
    """`→ name(arguments)`, or the arguments below it."""
    name = Piece(visible_line(str(call.get("name") or "(no name)")), of_role("tool"))
    wrong = [Piece(" (invalid)", DIM)] if call.get("invalid") else []
    arguments = call.get("arguments")
    if not full:
        text = arguments if isinstance(arguments, str) else _dumped(arguments or {})
        inner = Piece(f"({visible_line(text[:_SHOWN])})")
        return [[Piece("→ ", DIM), name, *wrong, inner]]
    ident = Piece(f"  {visible_line(str(call.get('id') or ''))}", DIM)
    return [[Piece("→ ", DIM), name, *wrong, ident], *_pretty(_parsed(arguments))]


def part(part: JSONObject, *, full: bool) -> list[Line]:
    """`[image 34 kB png]`; of what is no data, in full, all that it says."""
    kind = str(part.get("type") or part.get("content_type") or "part")
    kind = kind.removesuffix("_url").removeprefix("input_")
    if told := _data(part) or called(part):
        return [[Piece(f"[{visible_line(f'{kind} {told}')}]", DIM)]]
    if full:
        return [[Piece(f"[{visible_line(kind)}]", DIM)], *_pretty(part)]
    return [[Piece(f"[{visible_line(kind)}] ", DIM), Piece(visible_line(_dumped(part)[:_SHOWN]))]]


def metadata(value: JSONObject) -> list[Line]:
    """All of it."""
    return [[Piece("metadata", DIM)], *_pretty(value)]


def stored(message: Message) -> list[str]:
    """The same as it is stored: a line each, however long."""
    found = [f"-> {_dumped(call)}" for call in message.tool_calls or ()]
    found += [
        f"[{part.get('type')}] {_dumped(part)}"
        for part in parts_beside_calls(message)
        if part.get("type") != "text"
    ]
    found += [f"metadata {_dumped(message.metadata)}"] if message.metadata else []
    return [visible_line(line) for line in found]


def _data(part: JSONObject) -> str:
    """`34 kB png`, where the bytes stand in the part itself."""
    for url in urls(part):
        if url.startswith(_DATA):
            kind, _, data = url.removeprefix(_DATA).partition(",")
            return f"{size(len(data) * 3 // 4)} {kind.partition(';')[0].rpartition('/')[2]}".strip()
    for value in part.values():
        if isinstance(value, dict) and isinstance(value.get("data"), str):
            return f"{size(len(value['data']) * 3 // 4)} {value.get('format') or ''}".strip()
    return ""


def _parsed(arguments: Any) -> Any:
    if not isinstance(arguments, str):
        return arguments
    try:
        return parse_json(arguments)
    except ValueError:
        return arguments


def _pretty(value: Any) -> list[Line]:
    """A value's lines as JSON, or a text's own, two columns in."""
    if value is None:
        return []
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    return [[Piece(f"  {line}")] for line in visible(text).expandtabs(4).split("\n")]


def _dumped(value: Any) -> str:
    return dump_json(value).decode()
