"""Strands' sessions: a folder each, in which each agent has a folder of messages, a file for each.

A session of one agent is a conversation that is called as the session; of several, each is one,
called as session and agent. Messages come in the order of their numbers. Of one that a guardrail
redacted there is what stands in its place: what it was is not told, as Strands does not tell it.
System prompts are not stored. What has no word of ours lies in `extra["strands"]`: of a
conversation what the session's and the agent's file say.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.named_files import object_beside
from synmem.layouts.foreign.values import (
    filled,
    kept,
    object_of,
    objects_of,
    take_text,
    take_time,
    text_of,
    text_or_none,
    told,
)
from synmem.layouts.heads import Head
from synmem.layouts.shapes import Files, Folder, Told
from synmem.messages import Holds, JSONObject, Message, Unreadable, parse_json

NAME: Final = "strands"
TITLE: Final = "Strands"

HOLDS: Final = Holds(
    fields=runs.FIELDS, conversation_fields=frozenset({"extra"}), own=False, extra_of=NAME
)

_MESSAGE: Final = re.compile(r"(?P<agent>(?:.*/)?)(?:messages/)?message_(?P<number>\d+)\.json")
"""The folder of the agent, and the number."""
_AGENT: Final = re.compile(r"(?:(?P<session>(?:.*/)?)agents/)?agent_(?P<name>[^/]+)/")


# --- whose files they are -------------------------------------------------------------------


class _Place(NamedTuple):
    """Where a message lies: in which session's folder, in which agent's."""

    session: str
    agent: str
    name: str
    """What the agent's folder says that it is called."""
    number: int


def _place(name: str) -> _Place | None:
    """None where it is no message, by its name."""
    part = _MESSAGE.fullmatch(name)
    if part is None:
        return None
    agent = part["agent"].removesuffix("messages/")
    of_agent = _AGENT.fullmatch(agent)
    session, called = (of_agent["session"] or "", of_agent["name"]) if of_agent else (agent, "")
    return _Place(session, agent, called, int(part["number"]))


def group(names: Sequence[str]) -> dict[str, list[str]]:
    """The files of each session, messages first, in the order of their numbers; by the name of the
    first."""
    found: defaultdict[str, list[tuple[_Place, str]]] = defaultdict(list)
    for name in names:
        if place := _place(name):
            found[place.session].append((place, name))
    groups = {}
    for session, messages in found.items():
        messages.sort(key=lambda each: (each[0].agent, each[0].number))
        beside = {session + "session.json", *(place.agent + "agent.json" for place, _ in messages)}
        files = [*(name for _, name in messages), *sorted(beside & {*names})]
        groups[files[0]] = files
    return groups


def _misses(head: Head) -> str | None:
    said = head.value
    if not isinstance(said, dict) or not isinstance(said.get("message"), dict):
        return None
    return "" if "message_id" in said or not head.whole else "its message has no message_id"


# --- what they say --------------------------------------------------------------------------


def unfold(files: Files) -> dict[str, Told]:
    """The conversations of a session."""
    agents: defaultdict[str, list[str]] = defaultdict(list)
    places = {name: place for name in files.data if (place := _place(name))}
    for name, place in places.items():
        agents[place.agent].append(name)
    damaged: list[Unreadable] = []
    first, *_ = places.values()
    folder = first.session
    session = object_beside(files, folder + "session.json", damaged)
    if damaged and not folder:
        raise ValueError(damaged[0].reason)  # nothing else says which session it is
    found = {}
    for folder, names in agents.items():
        place, odd = places[names[0]], [*damaged]
        agent = object_beside(files, folder + "agent.json", odd)
        own = {"session": kept(session), "agent": kept(agent)}
        found[_called(place, session, agent, alone=len(agents) == 1)] = Told(
            messages=[*(m for name in names for m in _messages(name, files.data[name])), *odd],
            extra=filled(NAME, own),
        )
    return found


def _called(place: _Place, session: JSONObject, agent: JSONObject, *, alone: bool) -> str:
    """A conversation: as its session, by what that says or else its folder; where neither is there,
    as its agent."""
    folder = place.session.rstrip("/").rpartition("/")[2].removeprefix("session_")
    of_session = text_or_none(session.get("session_id")) or folder
    of_agent = place.name or text_or_none(agent.get("agent_id")) or "default"
    if not of_session:
        return of_agent
    return of_session if alone else f"{of_session}/{of_agent}"


def _messages(name: str, data: bytes) -> Sequence[Message | Unreadable]:
    return told("the message in", name, lambda: _unfold(parse_json(data)))


def _unfold(said: Any) -> list[Message]:
    left = object_of(said, "it")
    instead = left.pop("redact_message", None)
    message = object_of(left.pop("message") if instead is None else instead, "its message")
    left.pop("message", None)
    role = text_of(message.pop("role"), "its role")
    blocks = objects_of(message.pop("content"), "its contents")
    return runs.messages_of(
        [piece for block in blocks for piece in _pieces(block)],
        NAME,
        role=role,
        created_at=take_time(left, "created_at", utc=False),
        extra={
            **kept(left),
            **kept(message),
            **({"redacted": True} if instead is not None else {}),
        },
    )


_FILES: Final = frozenset({"image", "document", "video", "audio"})


def _pieces(block: JSONObject) -> Iterator[runs.Piece]:
    """What a block says, of whatever kind it is."""
    left = dict(block)
    if (text := take_text(left, "text")) is not None:
        yield runs.Text(text, left or None)
    elif isinstance(call := block.get("toolUse"), dict):
        yield _call(call)
    elif isinstance(result := block.get("toolResult"), dict):
        yield _result(result)
    elif "reasoningContent" in block:
        yield runs.Reasoning(block)
    elif isinstance(image := block.get("image"), dict) and (url := _url(image)):
        yield runs.Image(url)
    elif not block.keys().isdisjoint(_FILES):
        yield runs.File(block)
    elif isinstance(cited := block.get("citationsContent"), dict):
        own = objects_of(cited.get("content"), "the content of its citations")
        texts = [each["text"] for each in own if isinstance(each.get("text"), str)]
        yield runs.Text("".join(texts), block)
    else:
        yield runs.Aside(block) if "cachePoint" in block else runs.Other(block)


def _call(call: JSONObject) -> runs.Call:
    left = dict(call)
    id_, name = take_text(left, "toolUseId"), take_text(left, "name")
    arguments = left.pop("input", None)
    return runs.Call(id_, name, arguments, {"toolUse": left} if left else None)


def _result(result: JSONObject) -> runs.Result:
    """What a tool answered: its texts, and what is JSON as that."""
    left = dict(result)
    said = objects_of(left.get("content"), "the content of a result")
    texts = [_text(each) for each in said if _text(each) is not None]
    if len(texts) == len(said) and all(each.keys() == {"text"} for each in said):
        del left["content"]
    id_ = take_text(left, "toolUseId")
    if left.get("status") == "success":
        del left["status"]
    text = "\n".join(each for each in texts if each is not None)
    return runs.Result(id_, None, text, {"toolResult": left} if left else None)


def _text(content: Mapping[str, Any]) -> str | None:
    if "json" in content:
        return runs.compact(content["json"])
    return text_or_none(content.get("text"))


def _url(image: JSONObject) -> str | None:
    """An image, where its bytes are there."""
    source = image.get("source")
    data = source.get("bytes") if isinstance(source, dict) else None
    if not isinstance(data, dict) or not isinstance(data.get("data"), str):
        return None
    return f"data:image/{image.get('format')};base64,{data['data']}"


SHAPES: Final = {
    "file": (
        Folder(
            version="FileSessionManager", group=group, misses=_misses, unfold=unfold, holds=HOLDS
        ),
    )
}
"""What `FileSessionManager` keeps."""
