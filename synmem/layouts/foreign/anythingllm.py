"""AnythingLLM's `workspace_chats`, in SQLite: a row is a question and its answer.

A conversation is a thread, called by its slug; what is in none is the workspace's own, called by
that; what came through the API is a session of that id, and so is what was said in the widget of a
website, in `embed_chats`. Where several have one name, as the workspace's own conversation has one
for each user of a server, it is `WORKSPACE/NAME`, `WORKSPACE/USER` or `embed-NUMBER/NAME`.

Rows of which `include` is 0 were cleared or answered anew, and are not listed: `excluded_rows` says
how many there are, `unfinished_rows` how many were never answered. Tools leave nothing there, and
reasoning stands in the text, within `<think>`. The workspace's prompt is not a message. What has no
word of ours lies in `extra["anythingllm"]` under its own key, that of a row with its answer.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.sql import lowered
from synmem.layouts.foreign.tables import Tables, objects
from synmem.layouts.foreign.values import (
    json_of,
    kept,
    object_of,
    objects_of,
    take_text,
    text_of,
    text_or_none,
    time_of,
    told,
)
from synmem.layouts.shapes import Plan, Record, Sketch, Told, Whole
from synmem.messages import Holds, JSONObject, Message, Unreadable

NAME: Final = "anythingllm"
TITLE: Final = "AnythingLLM"

HOLDS: Final = Holds(
    fields=runs.FIELDS,
    conversation_fields=frozenset({"title", "extra"}),
    own=False,
    extra_of=NAME,
)

_OF_WORKSPACE: Final = ("name", "slug", "openAiPrompt", "chatProvider", "chatModel", "chatMode")
"""What of its workspace is told of a conversation."""


# --- what is asked for ----------------------------------------------------------------------


def _plan(sketch: Sketch) -> Plan:
    tables, there = Tables("sqlite", sketch), lowered(sketch)
    chats = f"SELECT 'workspace_chats' AS source, {_names(there)}"
    embeds = there.get("embed_chats", {}).keys() >= {"session_id", "embed_id", "include"}
    if embeds:
        chats += f" UNION ALL SELECT 'embed_chats', {_EMBEDDED}"
    named = f"SELECT n.*, {_NAME} AS name FROM ({chats}) AS n"
    strays = [tables.ownerless("workspace_chats", "workspaceId", "workspaces")]
    if _has_threads(there):
        where = "t.thread_id IS NOT NULL"
        threads = tables.ownerless("workspace_chats", "thread_id", "workspace_threads", where=where)
        strays.append(threads)
    return Plan(
        listing=f"SELECT DISTINCT name AS id FROM ({named})",
        queries={"chats": _rows(tables, there, named, embeds=embeds)},
        strays=" UNION ALL ".join(strays),
    )


def _rows(tables: Tables, there: Sketch, named: str, *, embeds: bool) -> str:
    """A query of the rows, each with its workspace and its thread. It is one: no index knows the
    thread of a row, so each looks at all of them."""
    table = "workspace_chats"
    row = f"(SELECT {tables.json(table)} FROM {table} AS t WHERE t.id = c.number)"
    if embeds:
        other = f"(SELECT {tables.json('embed_chats')} FROM embed_chats AS t WHERE t.id = c.number)"
        row = f"CASE c.source WHEN '{table}' THEN {row} ELSE {other} END"
    thread, join = "NULL", ""
    if "workspace_threads" in there:
        thread = tables.json("workspace_threads", "h")
        join = "LEFT JOIN workspace_threads AS h ON h.id = c.thread"
        thread = f"CASE WHEN h.id IS NOT NULL THEN {thread} END"
    workspace = f"CASE WHEN w.id IS NOT NULL THEN {tables.json('workspaces', 'w')} END"
    return (
        f"SELECT c.name, {row}, {workspace}, {thread} FROM ({named}) AS c "
        f"LEFT JOIN workspaces AS w ON w.id = c.workspace {join} "
        "WHERE c.name IN {ids} ORDER BY c.source DESC, c.number"
    )


def _has_threads(there: Sketch) -> bool:
    return "thread_id" in there["workspace_chats"] and "workspace_threads" in there


def _names(there: Sketch) -> str:
    """Of each row what its conversation is called alone, and among others of that name; what tells
    it from these; the numbers of its workspace and its thread. Older versions have neither threads
    nor sessions."""
    columns = there["workspace_chats"]
    session = "NULLIF(t.api_session_id, '')" if "api_session_id" in columns else "NULL"
    user = "t.user_id" if "user_id" in columns else "NULL"
    slug, thread, join = "NULL", "NULL", ""
    if _has_threads(there):
        slug, thread = "h.slug", "t.thread_id"
        join = "LEFT JOIN workspace_threads AS h ON h.id = t.thread_id"
    key = f"t.workspaceId || ' ' || coalesce({session}, '') || ' ' || coalesce({thread}, '')"
    return (
        f"t.id AS number, t.workspaceId AS workspace, {thread} AS thread, "
        f"coalesce({session}, {slug}, w.slug) AS alone, "
        f"w.slug || coalesce('/' || coalesce({session}, {slug}, {user}), '') AS among, "
        f"CASE WHEN coalesce({session}, {slug}) IS NULL THEN {key} || ' ' || coalesce({user}, '') "
        f"ELSE {key} END AS told "
        f"FROM workspace_chats AS t JOIN workspaces AS w ON w.id = t.workspaceId {join} "
        f"WHERE {thread} IS NULL OR {slug} IS NOT NULL"
    )


_EMBEDDED: Final = (
    "t.id, NULL, NULL, t.session_id, 'embed-' || t.embed_id || '/' || t.session_id, "
    "'embed ' || t.embed_id FROM embed_chats AS t"
)

_NAME: Final = (
    "CASE WHEN min(n.told) OVER w <> max(n.told) OVER w THEN n.among ELSE n.alone END"
).replace(" w ", " (PARTITION BY n.alone) ")


# --- a conversation -------------------------------------------------------------------------


def unfold(conversation: str, found: Mapping[str, Sequence[Record]]) -> Told:
    """What the conversation of that name says."""
    messages: list[Message | Unreadable] = []
    about: JSONObject = {}
    left_out = {"excluded_rows": 0, "unfinished_rows": 0}
    title = None
    for text, workspace, thread in found.get("chats", ()):
        [row] = objects([[text]])
        if isinstance(row, ValueError):
            messages.append(Unreadable("chat", str(row)))
        elif row.get("include") in (0, "0", "false"):
            is_unfinished = row.get("response") in (None, "", "{}")
            left_out["unfinished_rows" if is_unfinished else "excluded_rows"] += 1
        else:
            messages += told("chat", row.get("id"), _messages, row)
        if not about:
            title, about = _about(workspace, thread)
    left = kept(about | {key: count or None for key, count in left_out.items()})
    return Told(messages=messages, title=title, extra={NAME: left} if left else None)


def _about(workspace: Any, thread: Any) -> tuple[str | None, JSONObject]:
    """The name of a thread, and what is told of it and of its workspace."""
    of_workspace, of_thread = (
        each if isinstance(each, dict) else {} for each in objects([[workspace], [thread]])
    )
    title = take_text(of_thread, "name") or None
    some = {key: of_workspace.get(key) for key in _OF_WORKSPACE}
    return title, {"workspace": kept(some) or None, "thread": kept(of_thread) or None}


_COLUMNS_ABOVE: Final = {"workspaceId", "thread_id", "include", "response", "prompt", "id"}
"""What of a row is told otherwise."""


def _messages(row: JSONObject) -> Sequence[Message | Unreadable]:
    """A question, with what was attached to it, and its answer."""
    at = time_of(row.get("createdAt"), utc=True)
    record = {"id": row.get("id")}
    left = kept(row, _COLUMNS_ABOVE | ({"createdAt"} if at else set()))
    prompt = text_of(row.get("prompt"), "its prompt")
    given: Any = {}
    answer: Sequence[Message | Unreadable]
    try:
        given = object_of(json_of(row.get("response"), "its response"), "its response")
        files = objects_of(given.pop("attachments", None), "its attachments")
    except ValueError as error:
        files, answer = [], [Unreadable(str(row.get("id")), f"chat {row.get('id')}: {error}")]
    else:
        answer = told("chat", row.get("id"), _answer, given, at, record, left)
    question = runs.messages_of(
        [runs.Text(prompt), *map(_file, files)], NAME, role="user", created_at=at, record=record
    )
    return [*question, *answer]


def _answer(given: JSONObject, at: Any, record: JSONObject, left: JSONObject) -> list[Message]:
    text = text_of(given.pop("text", None), "the text of its response")
    said = {key: item for key, item in given.items() if item not in ([], {})}
    return runs.messages_of(
        [runs.Text(text)], NAME, created_at=at, record=record, extra=kept(said) | left
    )


def _file(file: JSONObject) -> runs.Piece:
    """What was attached: an image by its URL, which has its bytes."""
    url = text_or_none(file.get("contentString"))
    if url is None or not str(file.get("mime")).startswith("image/"):
        return runs.File({"type": "attachment", "attachment": kept(file)})
    own = {"type": "attachment", "attachment": kept(file, {"contentString"})}
    return runs.Image(url, own)


SHAPES: Final = {
    "sqlite": (
        Whole(
            tables={
                "workspace_chats": frozenset(
                    {"id", "workspaceId", "prompt", "response", "include"}
                ),
                "workspaces": frozenset({"id", "name", "slug"}),
            },
            plan=_plan,
            unfold=unfold,
            holds=HOLDS,
        ),
    )
}
