"""Vercel's AI SDK, as its chat template has it in PostgreSQL: `"Chat"` and `"Message_v2"`, before
2025 `"Message"`; or a copy of these under any name, of which the rows alone are read.

A row is a message of which `parts` (`content` before) says all: text, reasoning, files, calls and
their results, of SDK 4, 5 and 6. Rows come by `createdAt`, which is in UTC. A result that is no
text is told as compact JSON, and is beside it as it was. What was answered anew took the place of
what was there. What has no word of ours lies in `extra["vercel_ai"]` under its own key.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.tables import Tables, about_of, beside, objects, quoted, told_row
from synmem.layouts.foreign.values import (
    as_json,
    kept,
    object_of,
    objects_of,
    parsed,
    take_time,
    text_of,
    text_or_none,
)
from synmem.layouts.shapes import Plan, Record, Rows, Sketch, Told, Whole
from synmem.messages import Holds, JSONObject, Message

NAME: Final = "vercel_ai"
TITLE: Final = "Vercel AI SDK"

HOLDS: Final = Holds(fields=runs.FIELDS, own=False, extra_of=NAME)


def _plan(messages: str, votes: str, sketch: Sketch) -> Plan:
    tables = Tables("postgres", sketch)
    queries = {"messages": tables.rows(messages, "chatId", order=['t."createdAt"'])}
    listing = f'SELECT DISTINCT "chatId"::text AS id FROM {quoted(messages)}'
    strays = ""
    if tables.has("Chat", "title"):
        strays = tables.ownerless(messages, "chatId", "Chat")
        queries["chats"] = tables.rows("Chat", "id")
        listing = 'SELECT id::text AS id FROM "Chat"'
    if tables.has(votes, "messageId") and tables.has(votes, "chatId"):
        queries["votes"] = tables.rows(votes, "chatId")
    return Plan(listing=listing, queries=queries, strays=strays)


def unfold(conversation: str, found: Mapping[str, Sequence[Record]]) -> Told:
    """What the chat of that id says."""
    about, messages = about_of(found.get("chats", ()), "chat", conversation)
    about = about or {}
    votes = beside(found.get("votes", ()), "messageId")
    for row in objects(found.get("messages", ())):
        messages += told_row("message", row, _messages, votes)
    title = text_or_none(about.pop("title", None))
    left = kept(about, {"id"})
    return Told(messages=messages, title=title, extra={NAME: left} if left else None)


def _messages(left: JSONObject, votes: Mapping[Any, Sequence[JSONObject]]) -> list[Message]:
    left["votes"] = [kept(each, {"chatId"}) for each in votes.get(left.get("id"), ())] or None
    role = text_of(left.pop("role", None), "its role")
    at = take_time(left, "createdAt", utc=True)
    pieces = _pieces(left)
    attachments = objects_of(parsed(left.pop("attachments", None)), "its attachments")
    pieces += [_file(as_json(each)) for each in attachments]
    return runs.messages_of(
        pieces, NAME, role=role, created_at=at, record=as_json({"id": left.pop("id", None)}),
        extra=kept(left, {"chatId"}),
    )  # fmt: skip


def _pieces(left: JSONObject) -> list[runs.Piece]:
    """What a row says. `content` may be a text, and only looks like JSON where it is no parts."""
    if "parts" in left:
        said = parsed(left.pop("parts"))
    else:
        said = left.pop("content", None)
        if _are_parts(parsed(said)):
            said = parsed(said)
        elif isinstance(said, str):
            return [runs.Text(said)]
    if said is None:
        raise ValueError("it has no parts")
    parts = objects_of(said, "its parts")
    return [piece for part in parts for piece in _of_part(as_json(part))]


def _are_parts(said: Any) -> bool:
    return isinstance(said, list) and any(
        isinstance(part, dict) and isinstance(part.get("type"), str) for part in said
    )


# --- a part ---------------------------------------------------------------------------------


def _of_part(part: JSONObject) -> list[runs.Piece]:
    """What a part says; one of a kind that is not known is kept as it is."""
    kind = text_of(part.get("type"), "a part's type")
    if kind == "text":
        text = text_of(part.get("text"), "a part's text")
        own = {key: item for key, item in part.items() if key not in ("text", "state")}
        return [runs.Text(text, own if len(own) > 1 else None)]
    if kind == "reasoning":
        return [runs.Reasoning(part)]
    if kind in ("file", "image"):
        return [_file(part)]
    if kind in ("tool-call", "tool-result"):
        return _of_core(kind, part)
    if kind == "tool-invocation":
        return _invoked(part, object_of(part.get("toolInvocation"), "its toolInvocation"))
    if kind == "dynamic-tool":
        return _used(part, text_or_none(part.pop("toolName", None)))
    if kind.startswith("tool-"):
        return _used(part, kind.removeprefix("tool-"))
    return [runs.Other(part)]


def _used(part: JSONObject, name: str | None) -> list[runs.Piece]:
    """A call with its result, of SDK 5 and 6."""
    id_, state = text_or_none(part.pop("toolCallId", None)), part.get("state")
    call = runs.Call(id_, name, part.pop("input", None), part)
    if state == "output-available":
        return [call, _result(id_, name, part.pop("output", None))]
    if state == "output-error":
        error = part.pop("errorText", None)
        return [call, runs.Result(id_, name, runs.compact(error), {"state": state})]
    return [call]


def _invoked(part: JSONObject, said: JSONObject) -> list[runs.Piece]:
    """A call with its result, of SDK 4."""
    id_, name = text_or_none(said.pop("toolCallId", None)), text_or_none(said.pop("toolName", None))
    call = runs.Call(id_, name, said.pop("args", None), {**part, "toolInvocation": said})
    if said.get("state") == "result":
        return [call, _result(id_, name, said.pop("result", None))]
    return [call]


def _of_core(kind: str, part: JSONObject) -> list[runs.Piece]:
    """A call, or its result, of a row before there were parts."""
    id_, name = text_or_none(part.pop("toolCallId", None)), text_or_none(part.pop("toolName", None))
    if kind == "tool-call":
        return [runs.Call(id_, name, part.pop("args", None), part if len(part) > 1 else None)]
    return [_result(id_, name, part.pop("result", None), part)]


def _result(
    id_: str | None, name: str | None, output: Any, more: JSONObject | None = None
) -> runs.Result:
    own = more if more and len(more) > 1 else {}
    if not isinstance(output, str):
        own = {**own, "output": output}
    return runs.Result(id_, name, runs.compact(output), own or None)


def _file(part: JSONObject) -> runs.Piece:
    """A file, or an attachment, of any version; an image by its URL."""
    mime = part.get("mediaType") or part.get("mimeType") or part.get("contentType")
    url, key = next(
        ((part[key], key) for key in ("url", "image", "data") if isinstance(part.get(key), str)),
        (None, ""),
    )
    if url is None or not (part.get("type") == "image" or str(mime).startswith("image/")):
        return runs.File({**part, "type": "file"})
    if ":" not in url[:10] and not url.startswith("/"):  # bare base64, as SDK 4 may have it
        url = f"data:{mime or 'image/png'};base64,{url}"
    return runs.Image(url, {item: value for item, value in part.items() if item != key})


# --- where it lies --------------------------------------------------------------------------


def _whole(messages: str, said: str, votes: str, **settings: Any) -> Whole:
    return Whole(
        tables={messages: frozenset({"id", "chatId", "role", said, "createdAt"})},
        plan=partial(_plan, messages, votes),
        unfold=unfold,
        holds=HOLDS,
        **settings,
    )


def _rows(chat: str, created: str) -> Rows:
    """A table of another name, which may have its words written otherwise."""
    record = ("id", "role", "parts", created)

    def unfold_row(row: Record) -> list[Message]:
        return _messages(dict(zip(("id", "role", "parts", "createdAt"), row, strict=True)), {})

    def tells(row: Record) -> bool:
        return _are_parts(parsed(row[2]))

    return Rows(
        table="messages",
        any_name=True,
        version="a copy under another name",
        columns=frozenset({chat, *record}),
        without=frozenset({"Message_v2"}),
        tells=tells,
        conversation=chat,
        order=(created, "rowid"),
        record=record,
        single=False,
        unfold=unfold_row,
        holds=HOLDS,
    )


SHAPES: Final = {
    "postgres": (
        _whole("Message_v2", "parts", "Vote_v2", version="Message_v2"),
        _whole(
            "Message", "content", "Vote", without=frozenset({"Message_v2"}),
            version="Message before SDK 5",
        ),
        _rows("chatId", "createdAt"),
        _rows("chat_id", "created_at"),
    )
}  # fmt: skip
