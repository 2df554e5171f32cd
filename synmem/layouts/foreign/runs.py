"""Answers of many parts: a record that holds text, reasoning, calls and results is told as several
messages, by one rule for all layouts.

Parts go to one message; a text or reasoning that comes after a call begins a new one; each result
is a tool message behind the message that made its call. It starts afresh with each record.
"""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

from synmem.messages import JSONObject, Message, parse_json

FIELDS: Final = frozenset({
    "role", "content", "created_at", "tool_calls", "tool_call_id", "name", "parts", "extra",
})  # fmt: skip
"""What a message has that is told so."""


class Text(NamedTuple):
    """A text. `own`, here and below: what else the part says, with no word of ours."""

    text: str
    own: JSONObject | None = None


class Reasoning(NamedTuple):
    """What the model thought: kept as it stands there."""

    own: JSONObject


class Image(NamedTuple):
    """An image, by its URL, or by whatever names it there."""

    url: str
    own: JSONObject | None = None


class Call(NamedTuple):
    """A call of a tool; some layouts give it no id."""

    id: str | None
    name: str | None
    arguments: Any
    own: JSONObject | None = None


class Result(NamedTuple):
    """What a tool answered, to the call of that id, or else to the last one."""

    id: str | None
    name: str | None
    text: str
    own: JSONObject | None = None


class File(NamedTuple):
    """A file that is no image: kept as it stands there; who sent it has said something."""

    own: JSONObject


class Aside(NamedTuple):
    """What the program put there of its own accord: nobody said it."""

    own: JSONObject


class Other(NamedTuple):
    """A part that is not listed: of a kind that is not known, or damaged."""

    own: JSONObject


Piece = Text | Reasoning | Image | Call | Result | File | Aside | Other


class _Turn:
    """A message as it comes to be, and the results of its calls."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.calls: list[Call] = []
        self.results: list[Result] = []

    def made(self, call: str | None) -> bool:
        return call is not None and any(each.id == call for each in self.calls)


def messages_of(
    pieces: Iterable[Piece],
    layout: str,
    *,
    role: str = "assistant",
    created_at: datetime | None = None,
    record: JSONObject | None = None,
    extra: JSONObject | None = None,
    whole: bool = False,
) -> list[Message]:
    """The messages of a record with these parts. Each has `record`, the first one also `extra`,
    under the layout's name. Where `whole`, what comes after a call stays in its message, if the
    call has no result yet. None where a user's record has no part, or only what the program put
    there; what else has no text is a message without one, and what is only results is those."""
    said = [*pieces]
    if role == "user" and all(isinstance(each, Aside) for each in said):
        return []
    messages: list[Message] = []
    for turn in _turns(said, whole):
        if turn.pieces or not turn.results:
            own = (record or {}) | ({} if messages else extra or {})
            messages.append(_message(turn, layout, role, created_at, own))
        for result in turn.results:
            own = (record or {}) | ({} if messages else extra or {})
            messages.append(_tool(result, layout, created_at, own))
    return messages


def _turns(pieces: Iterable[Piece], whole: bool) -> list[_Turn]:
    turns = [_Turn()]
    for piece in pieces:
        if isinstance(piece, Result):
            made = [turn for turn in turns if turn.made(piece.id)]
            (made or turns)[-1].results.append(piece)
            continue
        ended = turns[-1].results or (turns[-1].calls and not whole)
        if ended and isinstance(piece, Text | Reasoning):
            turns.append(_Turn())
        if isinstance(piece, Call):
            turns[-1].calls.append(piece)
        turns[-1].pieces.append(piece)
    return turns


def _message(
    turn: _Turn, layout: str, role: str, created_at: datetime | None, own: JSONObject
) -> Message:
    texts = [piece.text for piece in turn.pieces if isinstance(piece, Text)]
    parts = [part for piece in turn.pieces if (part := _part(piece))]
    blocks = [piece.own for piece in turn.pieces if piece.own]
    if blocks:
        own = {**own, "blocks": blocks}
    return Message(
        role,
        "\n".join(texts),
        created_at=created_at,
        tool_calls=[_call(each) for each in turn.calls] or None,
        parts=parts if len(parts) > 1 or len(parts) > len(texts) else None,
        extra={layout: own} if own else None,
    )


def _part(piece: Piece) -> JSONObject | None:
    if isinstance(piece, Text):
        return {"type": "text", "text": piece.text}
    if isinstance(piece, Image):
        return {"type": "image_url", "image_url": {"url": piece.url}}
    return None


def _call(call: Call) -> JSONObject:
    said = {"id": call.id, "name": call.name, "arguments": call.arguments}
    return said if call.id is not None else {k: v for k, v in said.items() if k != "id"}


def _tool(result: Result, layout: str, created_at: datetime | None, record: JSONObject) -> Message:
    own = {**record, **({"blocks": [result.own]} if result.own else {})}
    return Message(
        "tool",
        result.text,
        created_at=created_at,
        tool_call_id=result.id,
        name=result.name,
        extra={layout: own} if own else None,
    )


def arguments_of(said: Any) -> Any:
    """The arguments of a call, also where they are JSON in a text; that text where it is none."""
    if not isinstance(said, str):
        return said
    try:
        parsed = parse_json(said)
    except ValueError:
        return said
    return parsed if isinstance(parsed, dict) else said


def compact(value: Any) -> str:
    """A result that is no text, as one: JSON without blanks, letters as they are."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def text_of_result(result: Any) -> str:
    """The text of what a tool gave: of its text parts, where it is an object with such `content`,
    as tools of MCP give it; else as `compact` has it."""
    content = result.get("content") if isinstance(result, dict) else None
    parts = content if isinstance(content, list) else []
    texts = [each.get("text") for each in parts if isinstance(each, dict)]
    said = [each for each in texts if isinstance(each, str)]
    return "\n".join(said) if said and len(said) == len(texts) else compact(result)
