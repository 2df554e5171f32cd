"""GitHub Copilot's command line: a file of events for each session, and `workspace.yaml` beside it.

Each prompt, each answer and each result of a tool is an event; most others (turns, usage, leave
that was asked for) say nothing of the conversation and are not listed, nor is the system prompt. A
prompt is what was typed, not what was made of it for the model. One that a skill put in is not
shown by the program and not listed here; `hidden` says how many those are. A tool that the user ran
is a message of the user's. What was said before the context was cleared or compacted is still
there.

What a sub-agent said stands in the session's file and is a conversation of its own,
`agent-ID@SESSION`; `parent` names who asked, `subagent` what it is. What has no word of ours lies
in `extra["copilot_cli"]` under its own key.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from synmem.layouts.foreign import flat_yaml, runs
from synmem.layouts.foreign.json_lines import numbered, unreadable
from synmem.layouts.foreign.named_files import stem
from synmem.layouts.foreign.values import (
    kept,
    object_of,
    objects_of,
    take_text,
    take_time,
    text_of,
    text_or_none,
)
from synmem.layouts.heads import Head
from synmem.layouts.lazy import Built
from synmem.layouts.shapes import MALFORMED, Files, Folder, Told
from synmem.messages import Holds, JSONObject, Message, Unreadable, parse_json

NAME: Final = "copilot_cli"
TITLE: Final = "Copilot CLI"

HOLDS: Final = Holds(
    fields=runs.FIELDS,
    conversation_fields=frozenset({"title", "extra"}),
    own=False,
    extra_of=NAME,
)

_EVENTS: Final = "events.jsonl"
_ABOUT: Final = "workspace.yaml"
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def group(names: Sequence[str]) -> dict[str, Sequence[str]]:
    """Each file of events, with what is known of its session where that is there."""
    there, found = {*names}, dict[str, Sequence[str]]()
    for name in names:
        folder, slash, last = name.rpartition("/")
        if last.endswith(".jsonl"):
            about = folder + slash + _ABOUT
            found[name] = (name, about) if last == _EVENTS and about in there else (name,)
    return found


# --- what tells of an event where it belongs ------------------------------------------------


class _Request(msgspec.Struct, gc=False, rename="camel"):
    tool_call_id: Any = None
    name: Any = None


class _Data(msgspec.Struct, gc=False, rename="camel"):
    session_id: Any = None
    parent_tool_call_id: Any = None
    tool_call_id: Any = None
    tool_name: Any = None
    tool_requests: list[_Request] | None = None
    source: Any = None
    title: Any = None


class _Event(msgspec.Struct, gc=False, rename="camel"):
    type: str
    data: _Data | None = None
    agent_id: Any = None


_decode: Final = msgspec.json.Decoder(_Event).decode


def _slowly(raw: bytes) -> _Event:
    """The same of a line that has what the fast reader does not bear; ValueError where it is no
    event."""
    value = object_of(parse_json(raw), "it")
    kind, data = text_of(value.get("type"), "its type"), value.get("data")
    data = dict(data) if isinstance(data, dict) else {}
    requests = data.pop("toolRequests", None)
    if isinstance(requests, list):
        data["toolRequests"] = [each for each in requests if isinstance(each, dict)]
    return _Event(kind, msgspec.convert(data, _Data), value.get("agentId"))


class _Lines(NamedTuple):
    """The lines of a file that say something."""

    raw: list[bytes]
    numbers: list[int]
    events: list[_Event | ValueError]


def _read(data: bytes) -> _Lines:
    found = _Lines([], [], [])
    for number, raw in numbered(data):
        event: _Event | ValueError
        try:
            event = _decode(raw)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            try:
                event = _slowly(raw)
            except (ValueError, RecursionError) as error:
                event = ValueError(str(error))
        if isinstance(event, ValueError) or event.type in _READ:
            found.raw.append(raw)
            found.numbers.append(number)
            found.events.append(event)
    return found


# --- a session ------------------------------------------------------------------------------


def unfold(files: Files) -> dict[str, Told]:
    """The conversations of a file of events."""
    events = _Session(files.name, _read(files.data[files.name]))
    folder, _, last = files.name.rpartition("/")
    called = folder.rpartition("/")[2] if last == _EVENTS else stem(last)
    session = called if _UUID.fullmatch(called) else events.session or called or stem(last)
    about = _about(files)
    return events.told(session, take_text(about, "name"), about)


def _about(files: Files) -> JSONObject:
    """What is known of the session beside its events."""
    found = next((data for name, data in files.data.items() if name.endswith(_ABOUT)), b"")
    return kept(flat_yaml.values(found), {"id"})


class _Session:
    """Reads the events of a file."""

    def __init__(self, name: str, lines: _Lines) -> None:
        self._name = name
        self._lines = lines
        self._tools: dict[str, str] = {}
        """By call the name of its tool."""
        self._agents: dict[str, int] = {}
        """By sub-agent the event of its beginning."""
        self._spawned: dict[str, str] = {}
        """By call the sub-agent that it began."""
        self._start: int | None = None
        self._title: str | None = None
        self.session: str | None = None
        """The session's id, as it is called at its beginning."""
        for index, event in enumerate(lines.events):
            if isinstance(event, _Event) and event.data is not None:
                self._note(index, event.type, event.agent_id, event.data)

    def _note(self, index: int, kind: str, agent: Any, data: _Data) -> None:
        call, tool = text_or_none(data.tool_call_id), text_or_none(data.tool_name)
        if call is not None and tool is not None:
            self._tools.setdefault(call, tool)
        for each in data.tool_requests or ():
            if isinstance(each.tool_call_id, str) and isinstance(each.name, str):
                self._tools[each.tool_call_id] = each.name
        if kind == "session.start" and self._start is None:
            self._start, self.session = index, text_or_none(data.session_id) or None
        if kind == "session.title_changed":
            self._title = text_or_none(data.title) or self._title
        if kind == "subagent.started" and call is not None:
            self._spawned[call] = agent if isinstance(agent, str) else call
            self._agents.setdefault(self._spawned[call], index)

    def told(self, session: str, title: str | None, about: JSONObject) -> dict[str, Told]:
        """What the session and its sub-agents say."""
        said: dict[str, list[int]] = {"": []}
        hidden: dict[str, int] = {}
        for index, event in enumerate(self._lines.events):
            owner = self._owner(event)
            if isinstance(event, _Event) and _is_hidden(event):
                hidden[owner] = hidden.get(owner, 0) + 1
            elif isinstance(event, ValueError) or event.type in _SAID:
                said.setdefault(owner, []).append(index)
        found: dict[str, Told] = {}
        for owner, indexes in said.items():
            if owner:
                name, own = self._agent(owner, session)
                id_ = f"agent-{owner}@{session}"
            else:
                start = kept(self._data(self._start), {"sessionId", "alreadyInUse"})
                name, own, id_ = title or self._title, {**start, **about}, session
            if owner in hidden:
                own["hidden"] = hidden[owner]
            messages = Built(indexes, self._made)
            found[id_] = Told(messages=messages, title=name, extra={NAME: own} if own else None)
        return found

    def _owner(self, event: _Event | ValueError) -> str:
        """Whose an event is: the session's (empty), or a sub-agent's."""
        if isinstance(event, ValueError):
            return ""
        parent = event.data.parent_tool_call_id if event.data is not None else None
        spawned = self._spawned.get(parent, parent) if isinstance(parent, str) else ""
        return event.agent_id if isinstance(event.agent_id, str) else spawned

    def _agent(self, owner: str, session: str) -> tuple[str | None, JSONObject]:
        """What a sub-agent is called, and what else is known of it."""
        known = kept(self._data(self._agents.get(owner)))
        parent = known.pop("parentId", None)
        asked = f"agent-{parent}@{session}" if isinstance(parent, str) else session
        own = {"parent": asked, **({"subagent": known} if known else {})}
        return text_or_none(known.get("agentDisplayName")) or None, own

    def _data(self, index: int | None) -> JSONObject:
        """All that an event says; nothing where there is none."""
        if index is None:
            return {}
        data = parse_json(self._lines.raw[index]).get("data")
        return dict(data) if isinstance(data, dict) else {}

    # --- an event ---

    def _made(self, index: int) -> Message | Unreadable:
        """The message of an event."""
        raw, event = self._lines.raw[index], self._lines.events[index]
        try:
            if isinstance(event, ValueError):
                raise event
            said = object_of(parse_json(raw), "it")
            data = object_of(said.pop("data", None), "its data")
            role, pieces = self._pieces(event.type, data)
            at, id_ = take_time(said, "timestamp", utc=True), said.get("id")
            own = kept(said, _ENVELOPE) | _full(kept(data, _LEFT_OUT))
            (message,) = runs.messages_of(
                pieces, NAME, role=role, created_at=at, record=kept({"id": id_}), extra=own,
                whole=True,
            )  # fmt: skip
            return message
        except MALFORMED as error:
            return unreadable(self._name, self._lines.numbers[index], raw, error)

    def _pieces(self, kind: str, data: JSONObject) -> tuple[str, list[runs.Piece]]:
        if kind == "tool.execution_complete":
            return "tool", [self._result(data)]
        if kind == "tool.user_requested":
            id_, name = take_text(data, "toolCallId"), take_text(data, "toolName")
            return "user", [runs.Call(id_, name, runs.arguments_of(data.pop("arguments", None)))]
        text = runs.Text(text_of(data.pop("content", None), "its content"))
        if kind == "user.message":
            attached = objects_of(data.pop("attachments", None), "its attachments")
            return "user", [text, *map(_attached, attached)]
        thought = take_text(data, "reasoningText")
        calls = objects_of(data.pop("toolRequests", None), "its toolRequests")
        reasoning = [runs.Reasoning({"type": "reasoning", "text": thought})] if thought else []
        return "assistant", [*reasoning, text, *map(_call, calls)]

    def _result(self, data: JSONObject) -> runs.Result:
        """What a tool answered, or why it did not."""
        id_ = take_text(data, "toolCallId")
        name = self._tools.get(id_) if id_ is not None else None
        result, error = data.pop("result", None), data.pop("error", None)
        if isinstance(result, dict):
            result = dict(result)
            text = text_of(result.pop("content", None), "the content of its result")
            if result.get("detailedContent") == text:
                del result["detailedContent"]
            own = {"result": result} if (result := kept(result)) else None
            return runs.Result(id_, name, text, own)
        said = error.get("message") if isinstance(error, dict) else None
        text = said if isinstance(said, str) else runs.compact("" if error is None else error)
        return runs.Result(id_, name, text, {"error": error} if error is not None else None)


def _is_hidden(event: _Event) -> bool:
    """Whether it is a prompt that the program does not show."""
    source = event.data.source if event.data is not None else None
    return event.type == "user.message" and isinstance(source, str) and source.startswith("skill-")


def _attached(each: JSONObject) -> runs.Piece:
    """What was sent with a prompt: an image, where its bytes are there, or else what names it."""
    mime, data = str(each.get("mimeType")), each.get("data")
    if each.get("type") == "blob" and mime.startswith("image/") and isinstance(data, str):
        return runs.Image(f"data:{mime};base64,{data}", kept(each, {"data"}))
    return runs.File(each)


def _call(call: JSONObject) -> runs.Call:
    left = kept(call)
    id_, name = take_text(left, "toolCallId"), take_text(left, "name")
    arguments = runs.arguments_of(left.pop("arguments", None))
    return runs.Call(id_, name, arguments, left if left.keys() - {"type"} else None)


def _full(own: JSONObject) -> JSONObject:
    return {key: value for key, value in own.items() if value not in ([], {})}


_SAID: Final = frozenset({
    "user.message", "assistant.message", "tool.execution_complete", "tool.user_requested",
})  # fmt: skip
"""The events of which each is one message."""
_READ: Final = _SAID | {
    "session.start", "session.title_changed", "subagent.started", "tool.execution_start",
}  # fmt: skip
_ENVELOPE: Final = frozenset({"type", "id", "parentId", "agentId"})
_LEFT_OUT: Final = frozenset({"transformedContent"})
"""What was made of a prompt for the model."""


# --- how a file begins ----------------------------------------------------------------------


def _misses(head: Head) -> str | None:
    first = head.readable
    data = first.get("data")
    if first.get("type") == "session.start" and isinstance(data, dict):
        return "" if "producer" in data else "its session.start names no producer"
    # Its beginning may be spoilt.
    is_event = {"type", "data", "id", "timestamp", "parentId"} <= first.keys()
    return "" if is_event and head.name.rpartition("/")[2] == _EVENTS else None


SHAPES: Final = {"file": (Folder(group=group, misses=_misses, unfold=unfold, holds=HOLDS),)}
