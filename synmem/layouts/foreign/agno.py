"""Agno's sessions: of version 2 with their runs in a column, of version 3 in a table beside.

A run has the messages that it sent and got, in which those of earlier runs stand again
(`from_history`), and most often the system message: each is told once. What a team's member said
for a run of the team is a branch, by the id of the member's run; so is a run in whose place another
one was made (`REGENERATED`), behind what was said before it.

In `extra["agno"]` lies what else a message has (`id`, `metrics`, `reasoning_content`, ...), at the
last message of a run what else the run has, and of a session its other columns. Version 2 keeps
JSON within JSON.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import Any, Final

from synmem.layouts.foreign.runs import arguments_of, compact
from synmem.layouts.foreign.sql import columns, lowered, ownerless, texts
from synmem.layouts.foreign.values import (
    image,
    json_of,
    kept,
    list_of,
    object_of,
    objects_of,
    parsed,
    take_number,
    take_text,
    text_of,
    text_or_none,
    told,
)
from synmem.layouts.lazy import Said
from synmem.layouts.shapes import Plan, Record, Sketch, Told, Whole
from synmem.messages import Holds, JSONObject, Message, are_objects

NAME: Final = "agno"
TITLE: Final = "Agno"

HOLDS: Final = Holds(
    fields=frozenset(
        {"role", "content", "created_at", "tool_calls", "tool_call_id", "name", "parts", "extra"}
    ),
    conversation_fields=frozenset({"title", "extra"}),
    own=False,
    extra_of=NAME,
)


_OF_SESSION: Final = (
    "session_type", "agent_id", "team_id", "workflow_id", "user_id", "created_at", "updated_at",
)  # fmt: skip
_JSON_OF_SESSION: Final = (
    "session_data", "agent_data", "team_data", "workflow_data", "metadata", "summary",
)  # fmt: skip


def _plan(sketch: Sketch) -> Plan:
    sketch = lowered(sketch)
    session = sketch["agno_sessions"]
    queries = {
        "session": f"SELECT s.session_id, {columns(session, _OF_SESSION, 's')}, "
        f"{texts(session, [*_JSON_OF_SESSION, 'runs'], 's')} FROM agno_sessions AS s "
        "WHERE s.session_id IN {ids}"
    }
    strays = ""
    if "agno_runs" in sketch:
        strays = ownerless("agno_runs", "session_id", "agno_sessions", "session_id")
        queries["runs"] = (
            "SELECT r.session_id, r.run_id, CAST(r.run_data AS TEXT) FROM agno_runs AS r "
            "WHERE r.session_id IN {ids} "
            "ORDER BY r.session_id, r.run_index, r.created_at, r.run_id"
        )
    return Plan(
        listing="SELECT session_id AS id FROM agno_sessions", queries=queries, strays=strays
    )


def _unfold(id_: str, rows: Mapping[str, Sequence[Record]]) -> Told:
    if not rows["session"]:
        return Told(messages=[])  # there are runs of it alone, which are strays
    if len(rows["session"]) > 1:
        raise ValueError("it is the id of several sessions")
    ((*values, before),) = rows["session"]
    about = dict(zip((*_OF_SESSION, *_JSON_OF_SESSION), values, strict=True))
    about |= {name: parsed(parsed(about[name])) for name in _JSON_OF_SESSION}
    session = about["session_data"]
    title = session.get("session_name") if isinstance(session, dict) else None
    found: list[Said] = []
    branches: dict[str, Sequence[Said]] = {}
    leaf = None
    seen = _Seen()
    for run_id, data in _runs(rows, before):
        run, parent = _run(data)
        if parent is not None:
            said = told("run", run_id, _Seen().messages, run)
            if said:
                branches[run_id] = said
        elif isinstance(run, dict) and run.get("status") == "REGENERATED":
            said = told("run", run_id, copy(seen).messages, run)
            branches[run_id] = [*found, *said]
        else:
            said = told("run", run_id, seen.messages, run)
            found += said
            leaf = run_id if said else leaf
    return Told(
        messages=found,
        title=text_or_none(title) or None,
        extra={NAME: kept(about)},
        branches=branches,
        leaf=leaf,
    )


def _runs(rows: Mapping[str, Sequence[Record]], before: Any) -> Iterator[tuple[str, Any]]:
    """The runs of a session, each with its id. One from before version 3 has them still in its own
    column where none are in the table."""
    if found := rows.get("runs"):
        yield from ((str(run_id), data) for run_id, data in found)
        return
    runs = _json(before, "its runs")
    for index, run in enumerate([] if runs is None else list_of(runs, "its runs")):
        own = run.get("run_id") if isinstance(run, dict) else None
        yield text_or_none(own) or str(index), run


def _json(value: Any, what: str) -> Any:
    """What a column of JSON says, also where it is the text of JSON once more."""
    found = json_of(value, what)
    return json_of(found, what) if isinstance(found, str) else found


def _run(data: Any) -> tuple[Any, str | None]:
    """A run, and the id of the team's run that it is a part of. One that cannot be read is none."""
    run = parsed(parsed(data))
    parent = run.get("parent_run_id") if isinstance(run, dict) else None
    return run, text_or_none(parent)


class _Seen:
    """What was told of a session so far: its system message need not come again."""

    def __init__(self) -> None:
        self._system: str | None = None

    def messages(self, run: Any) -> list[Said]:
        """The messages of a run that no earlier one had."""
        rest = object_of(run, "it")
        listed = rest.pop("messages", None)
        found: list[Said] = []
        for index, each in enumerate([] if listed is None else list_of(listed, "its messages")):
            if not (isinstance(each, dict) and each.get("from_history")):
                own = each.get("id") if isinstance(each, dict) else None
                found += told("message", own or index, self._messages, each)
        found = found or _without_messages(rest)
        for message in found:
            _take(rest, message)
        if found and isinstance(last := found[-1], Message) and (about := kept(rest)):
            own = {**(last.extra or {}).get(NAME, {}), "run": about}
            found[-1] = _with(last, own)
        return found

    def _messages(self, said: Any) -> list[Message]:
        said = object_of(said, "it")
        if results := _results(said):
            return [_message(each) for each in results]
        message = _message(said)
        if message.role == "system":
            if message.content == self._system:
                return []
            self._system = message.content
        return [message]


def _without_messages(run: JSONObject) -> list[Said]:
    """What was asked and answered, of a run that does not keep what it sent: a workflow's. Its time
    is that of both."""
    asked, answer = run.get("input"), run.get("content")
    at = take_number(run, "created_at")
    if isinstance(asked, dict):
        asked = asked.get("input_content")
    return [
        Message(role, said if isinstance(said, str) else compact(said), created_at=at)
        for role, said in (("user", asked), ("assistant", answer))
        if said is not None
    ]


def _take(run: JSONObject, message: Said) -> None:
    """Leave out of a run what the message says already."""
    if not isinstance(message, Message):
        return
    asked = run.get("input")
    if asked == message.content:
        run.pop("input")
    elif isinstance(asked, dict) and asked.get("input_content") == message.content:
        there = {"input_content", *(message.extra or {}).get(NAME, {})}
        run["input"] = {key: said for key, said in asked.items() if key not in there} or None
    if run.get("content") == message.content:
        run.pop("content")


def _with(message: Message, own: JSONObject) -> Message:
    return Message(
        message.role, message.content, None, message.created_at, message.tool_calls,
        message.tool_call_id, message.name, message.parts, {NAME: own},
    )  # fmt: skip


def _results(said: JSONObject) -> list[JSONObject]:
    """The results of several tools, which older versions have as one message with Gemini; none
    where it is no such message."""
    calls, texts = said.get("tool_calls"), said.get("content") or []
    if said.get("role") != "tool" or said.get("tool_call_id") is not None:
        return []
    if not are_objects(calls) or not all("tool_call_id" in call for call in calls):
        return []
    if not isinstance(texts, list) or len(texts) > len(calls):
        return []
    own = {key: value for key, value in said.items() if key not in ("tool_calls", "content")}
    shared: JSONObject = {key: own[key] for key in ("id", "role", "created_at") if key in own}
    texts = [*texts, *(call.get("content") for call in calls[len(texts) :])]
    return [
        {**(shared if index else own), **call, "content": text}
        for index, (call, text) in enumerate(zip(calls, texts, strict=True))
    ]


def _message(said: JSONObject) -> Message:
    role = text_of(said.pop("role", None), "its role")
    said.pop("from_history", None)
    content, parts = _content(said.pop("content", None))
    images = [each for each in objects_of(said.get("images"), "its images") if _url(each)]
    if images:
        parts = parts or ([{"type": "text", "text": content}] if content else [])
        parts = parts + [image(_url(each)) for each in images]
        said["images"] = [{k: v for k, v in each.items() if k != "content"} if each in images
                          else each for each in said["images"]]  # fmt: skip
    calls = objects_of(said.get("tool_calls"), "its tool_calls")
    if all(map(_is_whole, calls)):
        said.pop("tool_calls", None)
    name = take_text(said, "name")
    if role == "tool" and name is None:
        name = take_text(said, "tool_name")
    return Message(
        role,
        content,
        created_at=take_number(said, "created_at"),
        tool_calls=[_call(call) for call in calls] or None,
        tool_call_id=take_text(said, "tool_call_id"),
        name=name,
        parts=parts,
        extra={NAME: own} if (own := kept(said)) else None,
    )


def _content(content: Any) -> tuple[str, list[JSONObject] | None]:
    """Text, and where it is a list the parts of which it is."""
    if content is None:
        return "", None
    if not isinstance(content, list):
        return content if isinstance(content, str) else compact(content), None
    parts = [each if isinstance(each, dict) else {"type": "text", "text": compact(each)}
             for each in content]  # fmt: skip
    lines = [part.get("text") for part in parts if part.get("type") == "text"]
    return "\n".join(line for line in lines if isinstance(line, str)), parts or None


def _url(said: JSONObject) -> str:
    """Where an image is, or what it is; empty where neither is said."""
    if isinstance(said.get("content"), str):
        kind = text_or_none(said.get("mime_type")) or "image/png"
        return f"data:{kind};base64,{said['content']}"
    return text_or_none(said.get("url")) or text_or_none(said.get("filepath")) or ""


def _is_whole(call: JSONObject) -> bool:
    """Whether nothing is lost of a call where its id, name and arguments are told."""
    function = call.get("function")
    return (
        call.keys() <= {"id", "type", "function"}
        and call.get("type", "function") == "function"
        and isinstance(function, dict)
        and function.keys() <= {"name", "arguments"}
    )


def _call(call: JSONObject) -> JSONObject:
    function = call.get("function")
    own = function if isinstance(function, dict) else call
    arguments = arguments_of(own.get("arguments"))
    return {"id": call.get("id"), "name": own.get("name"), "arguments": arguments}


_SESSION: Final = frozenset({"session_id", "session_type", "session_data", "created_at"})

_3: Final = Whole(
    tables={
        "agno_sessions": _SESSION,
        "agno_runs": frozenset({"run_id", "session_id", "run_index", "run_data", "created_at"}),
    },
    version="3",
    plan=_plan,
    unfold=_unfold,
    holds=HOLDS,
)

_2: Final = Whole(
    tables={"agno_sessions": _SESSION | {"runs"}},
    without=frozenset({"agno_runs"}),
    version="2",
    plan=_plan,
    unfold=_unfold,
    holds=HOLDS,
)

SHAPES: Final = {"sqlite": (_3, _2), "postgres": (_3, _2)}
