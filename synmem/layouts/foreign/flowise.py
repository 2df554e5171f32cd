"""Flowise's `chat_message`: a row is a message, and an answer's tools are in its `usedTools`.

A conversation is what has the same `chatflowid` and `sessionId` (where that is missing, `chatId`).
Its id is the latter; where several chatflows have that one, `CHATFLOWID/SESSIONID` for each. What
was called and answered comes before the text of the answer; calls have no ids. In SQLite times are
in UTC; in PostgreSQL in a zone that nobody tells, and so they stay in `extra["flowise"]` as they
are, where all lies that has no word of ours, under its own key.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.tables import Tables, beside, objects, told_row
from synmem.layouts.foreign.values import (
    as_json,
    kept,
    objects_of,
    parsed,
    take_time,
    text_of,
    text_or_none,
)
from synmem.layouts.shapes import Plan, Record, Sketch, Told, Whole
from synmem.messages import Holds, JSONObject, Message, Unreadable

NAME: Final = "flowise"
TITLE: Final = "Flowise"

HOLDS: Final = Holds(
    fields=runs.FIELDS,
    conversation_fields=frozenset({"extra"}),
    own=False,
    extra_of=NAME,
)

_ROLES: Final = {"userMessage": "user", "apiMessage": "assistant"}

_JSON: Final = (
    "sourceDocuments", "fileAnnotations", "agentReasoning", "action", "artifacts",
    "followUpPrompts", "reasonContent",
)  # fmt: skip
"""Columns of JSON text."""

_OF_ALL: Final = ("chatflowid", "chatId", "sessionId", "chatType", "memoryType")
"""What is said once, of the conversation, as its first row has it."""

_SESSION: Final = """COALESCE(NULLIF(t."sessionId", ''), t."chatId")"""


def _plan(backend: str, sketch: Sketch) -> Plan:
    tables = Tables(backend, sketch)
    flow, session = tables.text("t.chatflowid"), tables.text(_SESSION)
    known = f"SELECT DISTINCT {flow} AS its_flow, {session} AS its_session FROM chat_message AS t"
    number = "ctid" if backend == "postgres" else "rowid"
    # In PostgreSQL only the sessions that may be meant are looked at: a table may be large.
    meant = (
        "ANY (ARRAY(SELECT w FROM {ids} AS a(w) UNION "
        "SELECT substr(w, strpos(w, '/') + 1) FROM {ids} AS a(w)))"
    )
    some = (
        f""" WHERE (t."sessionId" = {meant} OR """
        f"""(COALESCE(t."sessionId", '') = '' AND t."chatId" = {meant}))"""
    )
    rows = (
        f"SELECT t.*, {_NAME} AS its_name FROM (SELECT t.*, t.{number} AS its_number, {flow} AS "
        f"its_flow, {session} AS its_session FROM chat_message AS t"
        f"{some if backend == 'postgres' else ''}) AS t"
    )
    queries = {
        "messages": f"SELECT t.its_name, {tables.json('chat_message')} FROM ({rows}) AS t "
        'WHERE t.its_name IN {ids} ORDER BY t."createdDate", t.its_number'
    }
    if tables.has("chat_message_feedback", "messageId"):
        of = tables.text('f."messageId"')
        queries["feedback"] = (
            f"SELECT t.its_name, {tables.json('chat_message_feedback', 'f')} FROM ({rows}) AS t "
            f"JOIN chat_message_feedback AS f ON {of} = "
            f"{tables.text('t.id')} WHERE t.its_name IN {{ids}}"
        )
    return Plan(listing=f"SELECT {_NAME} AS id FROM ({known}) AS t", queries=queries)


_NAME: Final = (
    "CASE WHEN min(t.its_flow) OVER w <> max(t.its_flow) OVER w "
    "THEN t.its_flow || '/' || t.its_session ELSE t.its_session END"
).replace(" w ", " (PARTITION BY t.its_session) ")
"""What a conversation is called."""


def unfold(conversation: str, found: Mapping[str, Sequence[Record]], *, utc: bool = False) -> Told:
    """What the session of that id says; its times are in UTC, or are not told."""
    feedback = beside(found.get("feedback", ()), "messageId")
    messages: list[Message | Unreadable] = []
    about: JSONObject = {}
    for row in objects(found.get("messages", ())):
        if isinstance(row, dict):
            about = about or {key: row[key] for key in _OF_ALL if row.get(key) is not None}
            row = {key: item for key, item in row.items() if about.get(key, ...) != item}
        messages += told_row("message", row, _messages, feedback, utc)
    return Told(messages=messages, extra={NAME: kept(about)} if about else None)


def _messages(
    left: JSONObject, feedback: Mapping[Any, Sequence[JSONObject]], utc: bool
) -> list[Message]:
    left["feedback"] = [kept(each) for each in feedback.get(left.get("id"), ())] or None
    role = text_of(left.pop("role", None), "its role")
    text = text_of(left.pop("content", None), "its content")
    at = take_time(left, "createdDate", utc=True) if utc else None
    tools = objects_of(parsed(left.pop("usedTools", None)) or None, "its usedTools")
    files = objects_of(parsed(left.pop("fileUploads", None)) or None, "its fileUploads")
    pieces = [piece for tool in tools for piece in _used(tool)]
    pieces += [runs.Text(text), *map(_file, files)]
    for key in _JSON:
        left[key] = parsed(left.get(key))
    return runs.messages_of(
        pieces, NAME, role=_ROLES.get(role, role), created_at=at,
        record={"id": left.pop("id", None)}, extra=kept(left),
    )  # fmt: skip


def _used(tool: JSONObject) -> list[runs.Piece]:
    name = text_or_none(tool.get("tool"))
    own = kept(tool, {"tool", "toolInput", "toolOutput"})
    pieces: list[runs.Piece] = [
        runs.Call(None, name, runs.arguments_of(tool.get("toolInput")), own or None)
    ]
    if tool.get("toolOutput") is not None:
        pieces.append(runs.Result(None, name, runs.compact(tool["toolOutput"])))
    return pieces


def _file(file: JSONObject) -> runs.Piece:
    """An image lies in the row as a `data:` URL, or by its name in Flowise's own storage."""
    mime, place = file.get("mime"), file.get("data") or file.get("name")
    if not (isinstance(mime, str) and mime.startswith("image/") and isinstance(place, str)):
        return runs.File({"type": "upload", "upload": as_json(file)})
    return runs.Image(place, {"type": "upload", "upload": kept(file, {"data"})})


def _shape(backend: str) -> Whole:
    return Whole(
        tables={
            "chat_message": frozenset(
                {"id", "role", "chatflowid", "content", "createdDate", "chatId", "sessionId"}
            )
        },
        plan=partial(_plan, backend),
        unfold=partial(unfold, utc=backend == "sqlite"),
        holds=HOLDS,
    )


SHAPES: Final = {"postgres": (_shape("postgres"),), "sqlite": (_shape("sqlite"),)}
