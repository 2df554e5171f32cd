"""Dify's `conversations` and `messages`: a row is a question and its answer, and they form a tree.

The current branch leads to the newest row; what was asked or answered anew are the others. Where no
row of a conversation says which one stands before it (by the API, and before 0.9), they are a list.
The steps of an agent lie in `message_agent_thoughts`: what it said, called and was answered,
without ids; the last one repeats the answer. Times are whole seconds, in UTC. `message`, the prompt
that was sent, is not read: it is the history again. What has no word of ours lies in
`extra["dify"]` under its own key, that of a row with its answer.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.tables import Tables, about_of, beside, objects, told_row
from synmem.layouts.foreign.trees import LOST, Branches, Node, Paths, listed, paths
from synmem.layouts.foreign.values import kept, parsed, take_time, text_of, text_or_none
from synmem.layouts.shapes import Plan, Record, Sketch, Told, Whole
from synmem.messages import Holds, JSONObject, Message

NAME: Final = "dify"
TITLE: Final = "Dify"

HOLDS: Final = Holds(fields=runs.FIELDS, own=False, extra_of=NAME)

_ROOT: Final = "00000000-0000-0000-0000-000000000000"

_BESIDE: Final = {
    "thoughts": ("message_agent_thoughts", "t.position"),
    "files": ("message_files", "t.created_at"),
    "feedback": ("message_feedbacks", "t.created_at"),
    "annotations": ("message_annotations", "t.created_at"),
}
"""What stands beside a message, where there is such a table, and its order."""


def _plan(sketch: Sketch) -> Plan:
    tables = Tables("postgres", sketch)
    deleted = tables.has("conversations", "is_deleted")
    live = "t.is_deleted IS NOT TRUE" if deleted else ""
    queries = {
        "conversations": tables.rows("conversations", "id", where=live),
        "messages": tables.rows("messages", "conversation_id", order=["t.created_at"]),
    }
    for name, (table, order) in _BESIDE.items():
        if tables.has(table, "message_id"):
            queries[name] = tables.rows(
                table, "conversation_id", owner="messages", order=[order],
                join="JOIN messages AS o ON o.id = t.message_id",
            )  # fmt: skip
    where = f" WHERE {live}" if live else ""
    return Plan(
        listing=f"SELECT t.id::text AS id FROM conversations AS t{where}",
        queries=queries,
        strays=tables.ownerless("messages", "conversation_id", "conversations"),
    )


def unfold(conversation: str, found: Mapping[str, Sequence[Record]]) -> Told:
    """What the conversation of that id says."""
    about, first = about_of(found.get("conversations", ()), "conversation", conversation)
    if about is None:
        return Told(messages=[])
    rows = objects(found.get("messages", ()))
    ways = _ways(rows)
    others = {name: beside(found.get(name, ()), "message_id") for name in _BESIDE}
    said = [told_row("message", row, _messages, others) for row in rows]
    title = text_or_none(about.pop("name", None))
    left = kept(about, {"id", "is_deleted"})
    return Told(
        messages=[*first, *(each for index in ways.current for each in said[index])],
        title=title,
        extra={NAME: left} if left else None,
        branches=Branches(ways, said.__getitem__, first),
        leaf=ways.leaf,
    )


def _ways(rows: Sequence[JSONObject | ValueError]) -> Paths:
    nodes = [_node(row) for row in rows]
    if all(node.parent in (None, LOST) for node in nodes):
        return listed(nodes)
    return paths(nodes)


def _node(row: JSONObject | ValueError) -> Node:
    if isinstance(row, ValueError):
        return Node(LOST, LOST)
    id_, parent = row.get("id"), row.get("parent_message_id")
    if parent in (None, _ROOT):
        return Node(id_ if isinstance(id_, str) else LOST, None)
    return Node(id_ if isinstance(id_, str) else LOST, parent if isinstance(parent, str) else LOST)


# --- a row ----------------------------------------------------------------------------------


def _messages(
    left: JSONObject, others: Mapping[str, Mapping[Any, Sequence[JSONObject]]]
) -> list[Message]:
    there = {name: of.get(left.get("id"), ()) for name, of in others.items()}
    question = text_of(left.pop("query", None), "its query")
    answer = text_of(left.pop("answer", None), "its answer")
    at, record = take_time(left, "created_at", utc=True), {"id": left.pop("id", None)}
    files = there["files"]
    asked = [_file(each) for each in files if each.get("belongs_to") != "assistant"]
    given = [_file(each) for each in files if each.get("belongs_to") == "assistant"]
    steps = _steps(there["thoughts"], answer)
    if answer or not any(isinstance(each, runs.Call) for each in steps):
        steps = [*steps, runs.Text(answer)]
    for key in ("message_metadata", "override_model_configs"):
        left[key] = parsed(left.get(key))
    for key in ("feedback", "annotations"):
        left[key] = [kept(each) for each in there[key]] or None
    extra = kept(left, {"message", "conversation_id"})
    return [
        *runs.messages_of(
            [runs.Text(question), *asked], NAME, role="user", created_at=at, record=record
        ),
        *runs.messages_of([*steps, *given], NAME, created_at=at, record=record, extra=extra),
    ]


def _steps(thoughts: Sequence[JSONObject], answer: str) -> list[runs.Piece]:
    """What an agent did before its answer, which its last thought repeats."""
    pieces: list[runs.Piece] = []
    for thought in thoughts:
        left = dict(thought)
        tools = text_of(left.pop("tool", None) or "", "its tool")
        if not tools and thought is thoughts[-1]:
            if left.get("thought") == answer:
                left.pop("thought")
        elif text := left.pop("thought", None):
            pieces.append(runs.Text(text_of(text, "what it thought")))
        given, seen = (left.pop(key, None) or None for key in ("tool_input", "observation"))
        pieces.append(runs.Other({"type": "agent_thought", **kept(left)}))
        for name in filter(None, tools.split(";")):
            pieces.append(runs.Call(None, name, runs.arguments_of(_of(given, name))))
            if (output := _of(seen, name)) is not None:
                pieces.append(runs.Result(None, name, runs.compact(output)))
    return pieces


def _of(said: Any, name: str) -> Any:
    """What is said of one tool, where JSON says it of each."""
    each = parsed(said)
    return each[name] if isinstance(each, dict) and name in each else said


def _file(file: JSONObject) -> runs.Piece:
    """A file of a message; an image by its URL, or by the id of what was uploaded."""
    own = {"type": "file", "file": kept(file)}
    place = file.get("url") or file.get("upload_file_id")
    if file.get("type") == "image" and isinstance(place, str):
        return runs.Image(place, own)
    return runs.File(own)


SHAPES: Final = {
    "postgres": (
        Whole(
            tables={
                "conversations": frozenset({"id", "app_id", "mode", "name"}),
                "messages": frozenset({"id", "conversation_id", "query", "answer", "created_at"}),
            },
            plan=_plan,
            unfold=unfold,
            holds=HOLDS,
        ),
    )
}
