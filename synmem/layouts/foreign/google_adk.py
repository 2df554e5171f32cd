"""Google ADK's sessions: SqliteSessionService, and DatabaseSessionService of both its schemas.

A session is (app_name, user_id, id). The conversation's id is the last of these where no other
session has the same, else all three, `app_name/user_id/id`. Its events come by their time, and of
one time in the order in which ADK reads them. Who speaks stands in `author`: `user`, or an agent,
which is an assistant; an answer of a function is a tool message. Of an event without content what
was heard is told, where something was said aloud; else it is a change of state, and no message.
What was said before the session was rewound is a branch, by the id of its last event.

Of the older schema, 0, the actions are pickled, and are not read; its times, whose zone cannot be
told, stay in `extra["google_adk"]`, as does what else an event and a session have.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from synmem.layouts.foreign.runs import (
    Call,
    Image,
    Other,
    Piece,
    Reasoning,
    Result,
    Text,
    compact,
    messages_of,
)
from synmem.layouts.foreign.sql import columns, lowered, texts
from synmem.layouts.foreign.values import (
    json_of,
    kept,
    object_of,
    objects_of,
    parsed,
    take_number,
    take_text,
    text_of,
    text_or_none,
    told,
)
from synmem.layouts.shapes import Plan, Record, Sketch, Told, Whole
from synmem.messages import Holds, JSONObject, Message, Unreadable

NAME: Final = "google_adk"
TITLE: Final = "Google ADK"

HOLDS: Final = Holds(
    fields=frozenset(
        {"role", "content", "created_at", "tool_calls", "tool_call_id", "name", "parts", "extra"}
    ),
    conversation_fields=frozenset({"extra"}),
    own=False,
    extra_of=NAME,
)

_KEY: Final = "(app_name || '/' || user_id || '/' || id)"

_LISTING: Final = (
    f"SELECT CASE WHEN count(*) OVER (PARTITION BY id) = 1 THEN id ELSE {_KEY} END AS id "
    "FROM sessions"
)

_WANTED: Final = (
    "(SELECT id AS name, app_name, user_id, id AS session, state, create_time, update_time "
    "FROM (SELECT t.*, count(*) OVER (PARTITION BY t.id) AS sharing FROM sessions AS t "
    "WHERE t.id IN {ids}) AS named WHERE sharing = 1 "
    f"UNION ALL SELECT {_KEY}, app_name, user_id, id, state, create_time, update_time "
    f"FROM sessions WHERE {_KEY} IN {{ids}} "
    "AND id IN (SELECT id FROM sessions GROUP BY id HAVING count(*) > 1)) AS s"
)
"""The sessions of these names, without a look at what the others are called."""

_STRAYS: Final = (
    "SELECT 'events of session ' || e.app_name || '/' || e.user_id || '/' || e.session_id, "
    "'there is no such row in sessions', count(*) FROM events AS e WHERE NOT EXISTS (SELECT 1 "
    "FROM sessions AS s WHERE s.app_name = e.app_name AND s.user_id = e.user_id "
    "AND s.id = e.session_id) GROUP BY e.app_name, e.user_id, e.session_id"
)

_OF_EVENT: Final = (
    "invocation_id", "author", "branch", "timestamp", "partial", "turn_complete", "error_code",
    "error_message", "interrupted",
)  # fmt: skip
_JSON_OF_EVENT: Final = (
    "content", "long_running_tool_ids_json", "grounding_metadata", "custom_metadata",
    "usage_metadata", "citation_metadata", "input_transcription", "output_transcription",
)  # fmt: skip
"""The columns of an event in schema 0, but `actions`."""


def _plan(sketch: Sketch) -> Plan:
    events = lowered(sketch)["events"]
    if "event_data" in events:
        record = texts(events, ["event_data"], "e")
    else:
        record = f"{columns(events, _OF_EVENT, 'e')}, {texts(events, _JSON_OF_EVENT, 'e')}"
    # SqliteSessionService keeps numbers and reads by rowid, the other one times and reads by id.
    ties = "e.rowid" if events["timestamp"].upper() == "REAL" else "e.id"
    return Plan(
        listing=_LISTING,
        queries={
            "session": "SELECT name, app_name, user_id, session, CAST(state AS TEXT), create_time, "
            f"update_time FROM {_WANTED}",
            "events": f"SELECT s.name, e.id, {record} FROM {_WANTED} JOIN events AS e ON "
            "e.app_name = s.app_name AND e.user_id = s.user_id AND e.session_id = s.session "
            f"ORDER BY s.name, e.timestamp, {ties}",
        },
        strays=_STRAYS,
    )


def _told(
    rows: Mapping[str, Sequence[Record]],
    messages: Sequence[Message | Unreadable],
    branches: Mapping[str, Sequence[Message | Unreadable]],
    leaf: str | None,
) -> Told:
    if len(rows["session"]) != 1:
        raise ValueError("it is the name of several sessions")
    ((app, user, session, state, made, changed),) = rows["session"]
    about = {
        "app_name": app, "user_id": user, "id": session, "state": parsed(state),
        "create_time": made, "update_time": changed,
    }  # fmt: skip
    return Told(messages=messages, extra={NAME: kept(about)}, branches=branches, leaf=leaf)


def _unfold(id_: str, rows: Mapping[str, Sequence[Record]]) -> Told:
    events = rows["events"]
    said = [told("event", event, _event, data) for event, data in events]
    rewinds = _rewinds([data for _, data in events])

    def live(count: int) -> list[int]:
        return [at for at in _live(count, rewinds) if said[at]]

    def messages(way: Sequence[int]) -> list[Message | Unreadable]:
        return [each for at in way for each in said[at]]

    ways = [live(len(events))]
    for at in rewinds:
        way = live(at)
        if not any(way == other[: len(way)] for other in ways):
            ways.append(way)
    current, *others = ways
    branches = {str(events[way[-1]][0]): messages(way) for way in others}
    leaf = str(events[current[-1]][0]) if current else None
    return _told(rows, messages(current), branches, leaf)


def _unfold_0(id_: str, rows: Mapping[str, Sequence[Record]]) -> Told:
    found: list[Message | Unreadable] = []
    for event, *values in rows["events"]:
        found += told("event", event, _event_0, event, values)
    leaf = str(rows["events"][-1][0]) if rows["events"] else None
    return _told(rows, found, {}, leaf)


_REWIND: Final = "rewind_before_invocation_id"


def _rewinds(events: Sequence[Any]) -> dict[int, int]:
    """Of the events that rewind their session, the first one each that is undone."""
    if not any(isinstance(data, str) and _REWIND in data for data in events):
        return {}
    first: dict[Any, int] = {}
    found: dict[int, int] = {}
    for at, event in enumerate(map(parsed, events)):
        if not isinstance(event, dict):
            continue
        actions = event.get("actions")
        target = text_or_none(actions.get(_REWIND)) if isinstance(actions, dict) else None
        if target and target in first:
            found[at] = first[target]
        if invocation := text_or_none(event.get("invocation_id")):
            first.setdefault(invocation, at)
    return found


def _live(count: int, rewinds: Mapping[int, int]) -> list[int]:
    """Which of so many events count, as ADK finds them: from the newest on, so that a rewind is
    undone too by a later one."""
    found: list[int] = []
    at = count - 1
    while at >= 0:
        found.append(at)
        at = rewinds.get(at, at) - 1
    return found[::-1]


def _event(data: Any) -> list[Message]:
    event = object_of(json_of(data, "its event_data"), "its event_data")
    return _messages(event)


def _event_0(id_: Any, values: Sequence[Any]) -> list[Message]:
    event = dict(zip((*_OF_EVENT, *_JSON_OF_EVENT), values, strict=True))
    event |= {name: parsed(event[name]) for name in _JSON_OF_EVENT if name != "content"}
    event["content"] = json_of(event["content"], "its content")
    return _messages({"id": id_, **event})


def _messages(event: JSONObject) -> list[Message]:
    """The messages of an event; each result of a function is one."""
    content = object_of(event.pop("content", None) or {}, "its content")
    pieces = [_piece(part) for part in objects_of(content.get("parts"), "its parts")]
    if not pieces:
        return _heard(event)
    author = text_of(event.get("author"), "its author")
    if all(isinstance(piece, Other) for piece in pieces):
        pieces.insert(0, Text(""))  # a message, though nothing of it can be shown
    return _said(pieces, "user" if author == "user" else "assistant", event)


_HEARD: Final = {"input_transcription": "user", "output_transcription": "assistant"}


def _heard(event: JSONObject) -> list[Message]:
    """What was said aloud, of which an event has the words alone."""
    for name, role in _HEARD.items():
        heard = event.get(name)
        if isinstance(heard, dict) and isinstance(heard.get("text"), str) and heard["text"]:
            rest = {key: value for key, value in heard.items() if key != "text"}
            return _said([Text(heard["text"])], role, {**event, name: rest or None})
    return []


def _said(pieces: Sequence[Piece], role: str, event: JSONObject) -> list[Message]:
    moment = take_number(event, "timestamp")
    ids = {name: event.pop(name, None) for name in ("id", "invocation_id", "author")}
    return messages_of(
        pieces, NAME, role=role, created_at=moment, record=kept(ids), extra=kept(event)
    )


def _piece(part: JSONObject) -> Piece:
    """A part of Gemini's content."""
    kinds = [kind for kind in _KINDS if part.get(kind) is not None]
    if len(kinds) != 1:
        return Other(part)
    kind, said = kinds[0], part[kinds[0]]
    own = {key: value for key, value in part.items() if key != kind and value is not None} or None
    if kind == "text":
        text = text_of(said, "its text")
        return Reasoning(part) if part.get("thought") else Text(text, own)
    said = object_of(said, f"its {kind}")
    if kind not in ("function_call", "function_response"):
        return _file(part, said)
    id_, name = take_text(said, "id"), take_text(said, "name")
    if kind == "function_call":
        arguments = said.pop("args", None) or {}
        return Call(id_, name, arguments, part if kept(said) else own)
    text, whole = _result(said.pop("response", None))
    return Result(id_, name, text, own if whole and not kept(said) else part)


_KINDS: Final = ("text", "function_call", "function_response", "inline_data", "file_data")


def _result(response: Any) -> tuple[str, bool]:
    """What a function answered, as text, and whether that is all."""
    if isinstance(response, dict) and response.keys() == {"result"}:
        if isinstance(response["result"], str):
            return response["result"], True
        return compact(response["result"]), False
    return compact({} if response is None else response), False


def _file(part: JSONObject, said: JSONObject) -> Piece:
    kind = text_or_none(said.get("mime_type")) or ""
    if not kind.startswith("image/"):
        return Other(part)
    if "data" in said:
        own = said.keys() - {"data", "mime_type"} or len(part) > 1
        data = text_of(said["data"], "its data").translate(_IN_URLS)
        return Image(f"data:{kind};base64,{data}", part if own else None)
    return Image(text_of(said.get("file_uri"), "its file_uri"), part)


_IN_URLS: Final = str.maketrans("-_", "+/")
"""ADK's base64 is the one for URLs; that of a `data:` URL is the usual one."""

_SESSION: Final = frozenset({"app_name", "user_id", "id", "state", "create_time", "update_time"})
_OF_SESSION: Final = frozenset({"id", "app_name", "user_id", "session_id", "timestamp"})

_1: Final = Whole(
    tables={"sessions": _SESSION, "events": _OF_SESSION | {"invocation_id", "event_data"}},
    version="1",
    plan=_plan,
    unfold=_unfold,
    holds=HOLDS,
)

_0: Final = Whole(
    tables={"sessions": _SESSION, "events": _OF_SESSION | {"author", "actions", "content"}},
    version="0",
    plan=_plan,
    unfold=_unfold_0,
    holds=HOLDS,
)

SHAPES: Final = {"sqlite": (_1, _0), "postgres": (_1, _0)}
