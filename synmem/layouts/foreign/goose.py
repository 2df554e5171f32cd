"""Goose's `sessions` and `messages`, of all versions of its SQLite file, and the files of JSON
lines of before 1.10, which are still there beside it; their first line says what the session is.

A row or a line is a message whose content says all: text, images, reasoning, calls; their results
are in one of the user's. What the user was not shown, a summary for the model, is not listed, and
`hidden` says how many messages that are; what was cut off from the model is history, and is. A
sub-agent's session and a hidden one are conversations of their own, told apart by `session_type`.
What has no word of ours lies in `extra["goose"]` under its own key, that of a part in `blocks`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.json_lines import numbered, unreadable
from synmem.layouts.foreign.named_files import each_ending, stem
from synmem.layouts.foreign.tables import about_of, objects, of_owners, told_row
from synmem.layouts.foreign.values import (
    json_of,
    kept,
    object_of,
    objects_of,
    parsed,
    take_number,
    take_text,
    text_of,
)
from synmem.layouts.heads import Head
from synmem.layouts.shapes import MALFORMED, Files, Folder, Plan, Record, Sketch, Told, Whole
from synmem.messages import Holds, JSONObject, Message, Unreadable, parse_json

NAME: Final = "goose"
TITLE: Final = "Goose"

HOLDS: Final = Holds(
    fields=runs.FIELDS,
    conversation_fields=frozenset({"title", "extra"}),
    own=False,
    extra_of=NAME,
)

# --- a session, wherever it lies ------------------------------------------------------------


def session(about: JSONObject, records: Iterable[JSONObject | ValueError]) -> Told:
    """What a session says: its own object, and its messages `{id?, role, content, created,
    metadata?}`, in their order, or why one cannot be read."""
    return _told(about, ((each, told_row("message", each, _messages)) for each in records))


def _told(
    about: JSONObject,
    records: Iterable[tuple[JSONObject | ValueError | None, Sequence[Message | Unreadable]]],
) -> Told:
    """The same, where it is known of each record what it says."""
    about = dict(about)
    messages: list[Message | Unreadable] = []
    hidden = 0
    for record, said in records:
        if isinstance(record, dict) and _is_hidden(record):
            hidden += len(said)
        else:
            messages += said
    if hidden:
        about["hidden"] = hidden
    named = [key for key in ("name", "description") if about.get(key)]
    title = take_text(about, named[0]) if named else None
    left = {key: value for key, value in kept(about, {"id"}).items() if value != ""}
    return Told(messages=messages, title=title, extra={NAME: left} if left else None)


def _is_hidden(record: JSONObject) -> bool:
    metadata = record.get("metadata")
    return isinstance(metadata, dict) and metadata.get("userVisible") is False


def _messages(record: JSONObject) -> list[Message]:
    left = dict(record)
    role = text_of(left.pop("role", None), "its role")
    at = take_number(left, "created")
    content = left.pop("content", None)
    if isinstance(content, str):
        content = json_of(content, "its content")
    pieces = [_piece(dict(part)) for part in objects_of(content, "its content")]
    if pieces and all(isinstance(each, runs.Aside) for each in pieces):
        return []  # what Goose itself said: that it compacted the conversation, or asks for leave
    return runs.messages_of(
        pieces, NAME, role=role, created_at=at,
        record=kept({"id": left.pop("id", None)}), extra=kept(left, {"session_id"}),
    )  # fmt: skip


def _piece(part: JSONObject) -> runs.Piece:
    """What a part says; one of a kind that is not known is kept as it is."""
    kind = text_of(part.get("type"), "a part's type")
    if kind == "text":
        text = text_of(part.pop("text", None), "its text")
        return runs.Text(text, part if len(part) > 1 else None)
    if kind in ("thinking", "redactedThinking", "reasoning"):
        return runs.Reasoning(part)
    if kind == "image":
        return _image(part)
    if kind in ("toolRequest", "frontendToolRequest"):
        return _call(part)
    if kind == "toolResponse":
        return _result(part)
    return runs.Aside(part) if kind in _OF_PROGRAM else runs.Other(part)


_OF_PROGRAM: Final = frozenset({
    "actionRequired", "contextLengthExceeded", "conversationCompacted", "summarizationRequested",
    "systemNotification", "toolConfirmationRequest",
})  # fmt: skip


def _image(part: JSONObject) -> runs.Piece:
    mime, data = part.get("mimeType"), take_text(part, "data")
    return runs.File(part) if data is None else runs.Image(f"data:{mime};base64,{data}", part)


def _call(part: JSONObject) -> runs.Piece:
    """A call; where the model's own could not be read, `toolCall` says why."""
    id_, call = take_text(part, "id"), object_of(part.pop("toolCall", None), "its toolCall")
    value = dict(call["value"]) if isinstance(call.get("value"), dict) else {}
    name, arguments = take_text(value, "name"), value.pop("arguments", None)
    call.pop("value", None)
    own = {**part, "toolCall": call | ({"value": value} if value else {})}
    return runs.Call(id_, name, arguments, own)


def _result(part: JSONObject) -> runs.Piece:
    id_, result = take_text(part, "id"), object_of(part.pop("toolResult", None), "its toolResult")
    if result.get("status") == "error" or "value" not in result:
        text = runs.compact(result.pop("error", None) or "")
        return runs.Result(id_, None, text, {**part, "toolResult": result})
    value = result["value"]
    content = objects_of(value.get("content") if isinstance(value, dict) else value, "its content")
    texts = [text_of(each.get("text"), "its text") for each in content if _is_text(each)]
    if all(_is_text(each) and len(each) == 2 for each in content):  # nothing but what is told
        if isinstance(value, dict):
            result["value"] = {key: item for key, item in value.items() if key != "content"}
        else:
            result.pop("value")
    return runs.Result(id_, None, "\n".join(texts), {**part, "toolResult": result})


def _is_text(content: JSONObject) -> bool:
    return content.get("type") == "text"


# --- where it lies in SQLite ----------------------------------------------------------------

_JSON: Final = (
    "extension_data", "recipe_json", "user_recipe_values_json", "model_config_json",
)  # fmt: skip
"""Columns of a session that are JSON."""


def _plan(sketch: Sketch) -> Plan:
    return of_owners(
        sketch, owners="sessions", records="messages", column="session_id", order=["t.id"]
    )


def unfold(conversation: str, found: Mapping[str, Sequence[Record]]) -> Told:
    """What the session of that id says, from its rows."""
    about, first = about_of(found.get("sessions", ()), "session", conversation)
    if about is None:
        return Told(messages=[])
    for key in _JSON:
        about[key] = parsed(about.get(key)) or None
    told = session(about, map(_record, objects(found.get("messages", ()))))
    return Told(messages=[*first, *told.messages], title=told.title, extra=told.extra)


def _record(row: JSONObject | ValueError) -> JSONObject | ValueError:
    """A row as the object that it was in a file."""
    if isinstance(row, ValueError):
        return row
    row["created"] = row.pop("created_timestamp", None)
    row["metadata"] = parsed(row.pop("metadata_json", None))
    row["content"] = row.pop("content_json", None)
    return row


# --- where it lies in files -----------------------------------------------------------------


def unfold_file(files: Files) -> dict[str, Told]:
    """The conversation of a file of lines."""
    lines = numbered(files.data[files.name])
    about: JSONObject = {}
    damaged: list[Unreadable] = []
    if (first := next(lines, None)) is not None:
        try:
            about = object_of(parse_json(first[1]), "what is known of the session")
        except MALFORMED as error:
            damaged.append(unreadable(files.name, *first, error))
    said = ((None, [each]) for each in damaged)
    return {stem(files.name): _told(about, chain(said, _lines(files.name, lines)))}


def _lines(
    name: str, lines: Iterable[tuple[int, bytes]]
) -> Iterator[tuple[JSONObject | None, Sequence[Message | Unreadable]]]:
    for number, line in lines:
        try:
            record = object_of(parse_json(line), "it")
            yield record, _messages(record)
        except MALFORMED as error:
            yield None, [unreadable(name, number, line, error)]


def _misses(head: Head) -> str | None:
    first = head.first
    if not isinstance(first, dict) or not {"message_count", "working_dir"} <= first.keys():
        return None
    return "" if "description" in first else "its first line has no description"


SHAPES: Final = {
    "sqlite": (
        Whole(
            tables={
                "sessions": frozenset({"id", "working_dir", "extension_data"}),
                "messages": frozenset(
                    {"id", "session_id", "role", "content_json", "created_timestamp"}
                ),
                "schema_version": frozenset({"version"}),
            },
            plan=_plan,
            unfold=unfold,
            holds=HOLDS,
        ),
    ),
    "file": (
        Folder(
            version="JSON lines, before 1.10",
            group=each_ending(".jsonl"),
            misses=_misses,
            unfold=unfold_file,
            holds=HOLDS,
        ),
    ),
}
