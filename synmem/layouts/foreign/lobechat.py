"""LobeChat's server: `messages`, each a row, of a topic in `topics`, or of a session itself.

A message without a topic is of the conversation that has its session's id; those of a sub-thread
(`thread_id`) are of none. What a tool answered is a row of its own, and which call that was stands
in `message_plugins`. Of a file, `messages_files` knows the id; what is not known to be something
else is taken for an image. The system prompt is the agent's, and is not stored with what was said.
What has no word of ours lies in `extra["lobechat"]` under its own key.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.tables import Tables, about_of, beside, objects, told_row
from synmem.layouts.foreign.values import (
    kept,
    objects_of,
    take_text,
    take_time,
    text_of,
    text_or_none,
)
from synmem.layouts.shapes import Plan, Record, Sketch, Told, Whole
from synmem.messages import Holds, JSONObject, Message

NAME: Final = "lobechat"
TITLE: Final = "LobeChat"

HOLDS: Final = Holds(fields=runs.FIELDS, own=False, extra_of=NAME)

_OWNERS: Final = {"topic_id": "", "session_id": "topic_id IS NULL"}
"""Whose a message is: the column of the conversation's id, and where it is the one that counts."""


def _plan(sketch: Sketch) -> Plan:
    tables = Tables("postgres", sketch)
    queries = {"topics": tables.rows("topics", "id")}
    beside = {"plugins": ("message_plugins", "id"), "files": ("messages_files", "message_id")}
    for column, where in _OWNERS.items():
        live = " AND ".join(f"{each}" for each in (f"t.{where}" if where else "", _MAIN) if each)
        queries[f"messages of {column}"] = tables.rows(
            "messages", column, where=live, order=["t.created_at"]
        )
        for name, (table, key) in beside.items():
            if tables.has(table, key):
                queries[f"{name} of {column}"] = tables.rows(
                    table, column, owner="messages", join=f"JOIN messages AS o ON o.id = t.{key}"
                )
        if tables.has("files", "file_type"):
            queries[f"what is known of {column}"] = tables.rows(
                "files", column, owner="messages",
                join="JOIN messages_files AS b ON b.file_id = t.id "
                "JOIN messages AS o ON o.id = b.message_id",
            )  # fmt: skip
    listing = (
        "SELECT id::text AS id FROM topics UNION SELECT DISTINCT t.session_id::text "
        f"FROM messages AS t WHERE t.topic_id IS NULL AND {_MAIN}"
    )
    live = f"t.topic_id IS NOT NULL AND {_MAIN}"
    strays = tables.ownerless("messages", "topic_id", "topics", where=live)
    return Plan(listing=listing, queries=queries, strays=strays)


_MAIN: Final = "t.thread_id IS NULL"


def unfold(conversation: str, found: Mapping[str, Sequence[Record]]) -> Told:
    """What the topic, or session, of that id says."""
    about, messages = about_of(found.get("topics", ()), "topic", conversation)
    about = about or {}
    plugins, files, known = (
        beside(_both(found, name), key)
        for name, key in (("plugins", "id"), ("files", "message_id"), ("what is known", "id"))
    )
    for row in objects(_both(found, "messages")):
        messages += told_row("message", row, _messages, plugins, files, known)
    title = text_or_none(about.pop("title", None))
    left = kept(about, {"id"})
    return Told(messages=messages, title=title, extra={NAME: left} if left else None)


def _both(found: Mapping[str, Sequence[Record]], name: str) -> list[Record]:
    return [row for column in _OWNERS for row in found.get(f"{name} of {column}", ())]


# --- a message ------------------------------------------------------------------------------

_Beside = Mapping[Any, Sequence[JSONObject]]


def _messages(row: JSONObject, plugins: _Beside, files: _Beside, known: _Beside) -> list[Message]:
    theirs = [
        each | next(iter(known.get(each.get("file_id"), ())), {})
        for each in files.get(row.get("id"), ())
    ]
    return [_message(row, next(iter(plugins.get(row.get("id"), ())), {}), theirs)]


def _message(left: JSONObject, plugin: JSONObject, files: Sequence[JSONObject]) -> Message:
    role = text_of(left.pop("role", None), "its role")
    content = left.pop("content", None)
    at = take_time(left, "created_at", utc=False)
    pieces: list[runs.Piece] = [runs.Text("" if content is None else text_of(content, "its text"))]
    pieces += [_file(each) for each in files]
    pieces += [_call(dict(each)) for each in objects_of(left.pop("tools", None), "its tools")]
    [message] = runs.messages_of(
        pieces, NAME, role=role, created_at=at, record={"id": left.pop("id", None)},
        extra=kept(left, {"topic_id", "thread_id"}) | _plugin(plugin),
    )  # fmt: skip
    if role != "tool":
        return message
    return Message(
        message.role, message.content, message.metadata, at, message.tool_calls,
        text_or_none(plugin.get("tool_call_id")), text_or_none(plugin.get("api_name")),
        message.parts, message.extra,
    )  # fmt: skip


def _plugin(plugin: JSONObject) -> JSONObject:
    """What is known of a tool's run beside whose answer it is."""
    said = {"id", "tool_call_id", "api_name", "arguments"}  # the call itself has the arguments
    left = kept(plugin, said)
    return {"plugin": left} if left else {}


def _call(tool: JSONObject) -> runs.Call:
    id_, name = take_text(tool, "id"), take_text(tool, "apiName")
    return runs.Call(id_, name, runs.arguments_of(tool.pop("arguments", None)), kept(tool) or None)


def _file(file: JSONObject) -> runs.Piece:
    kind, place = file.get("file_type"), file.get("url") or file.get("file_id")
    own = {"type": "file", "file": kept(file)}
    if isinstance(place, str) and (kind is None or str(kind).startswith("image")):
        return runs.Image(place, own)
    return runs.File(own)


SHAPES: Final = {
    "postgres": (
        Whole(
            tables={
                "messages": frozenset({
                    "id", "role", "content", "tools", "topic_id", "session_id", "thread_id",
                    "created_at",
                }),
                "topics": frozenset({"id", "title"}),
            },
            plan=_plan,
            unfold=unfold,
            holds=HOLDS,
        ),
    )
}  # fmt: skip
