"""Chatbox's export: an object in which a session stands under `session:ID`, or before under
`chat-sessions` in a list.

A session's `messages` are its newest thread; each of its earlier `threads` is a conversation of its
own, whose `thread_of` is the session. What was said instead behind a message (`messageForksHash`)
are other branches. `contentParts` win over `content`. The export holds settings and keys of APIs
too: only sessions are looked at. What has no word of ours lies in `extra["chatbox"]` under its own
key, of a message's parts in `blocks`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.named_files import each_conversation, each_ending
from synmem.layouts.foreign.trees import Branches, Paths
from synmem.layouts.foreign.values import (
    id_of,
    kept,
    list_of,
    object_of,
    objects_of,
    take_number,
    take_text,
    text_of,
    text_or_none,
    told,
)
from synmem.layouts.heads import Head
from synmem.layouts.shapes import Files, Folder, Told
from synmem.messages import Holds, JSONObject, Message, parse_json

NAME: Final = "chatbox"
TITLE: Final = "Chatbox"

HOLDS: Final = Holds(
    fields=runs.FIELDS,
    conversation_fields=frozenset({"title", "extra"}),
    own=False,
    extra_of=NAME,
)

_SESSION: Final = "session:"
_SESSIONS: Final = "chat-sessions"


def unfold(files: Files) -> dict[str, Told]:
    """The conversations of a file, by their ids."""
    (data,) = files.data.values()
    value = object_of(parse_json(data), "the export")
    older = value.get(_SESSIONS)
    listed = [*enumerate(older if isinstance(older, list) else [])]
    keyed = [(key, each) for key, each in value.items() if key.startswith(_SESSION)]
    return each_conversation([*listed, *keyed], _named)


def _named(key: object, session: Any) -> Iterator[tuple[str, Told]]:
    left = object_of(session, "the session")
    return _session(str(left.get("id") or str(key).removeprefix(_SESSION)), left)


def _session(id_: str, left: JSONObject) -> Iterator[tuple[str, Told]]:
    """A session, and its earlier threads."""
    messages = list_of(left.pop("messages", None), "the messages of a session")
    threads, forks = left.pop("threads", None), left.pop("messageForksHash", None)
    left.pop("id", None)
    title = take_text(left, "name")
    all_, ways = _with_forks(messages, forks)
    said = [told("message", id_of(each, at), _messages, each) for at, each in enumerate(all_)]
    extra = kept(left)
    yield (
        id_,
        Told(
            messages=[one for at in ways.current for one in said[at]],
            title=title,
            extra={NAME: extra} if extra else None,
            branches=Branches(ways, said.__getitem__),
            leaf=id_of(messages[-1], len(messages) - 1) if messages else None,
        ),
    )
    for at, thread in enumerate(objects_of(threads, "the threads of a session")):
        own = text_or_none(thread.get("id")) or f"{id_}/thread-{at + 1}"
        yield from _session(own, {**thread, "thread_of": id_})


def _with_forks(messages: Sequence[Any], forks: Any) -> tuple[list[Any], Paths]:
    """The messages, and behind them what was said instead, also of what was; and every branch."""
    all_ = [*messages]
    parents: list[int | None] = [at - 1 if at else None for at in range(len(messages))]
    leaves: dict[str, int] = {}
    forks = dict(forks) if isinstance(forks, dict) else {}
    for at, message in enumerate(all_):  # which grows by what is found
        fork = forks.pop(id_of(message, at), None)
        lists = fork.get("lists") if isinstance(fork, dict) else None
        for one in lists if isinstance(lists, list) else []:
            others = one.get("messages") if isinstance(one, dict) else None
            if isinstance(others, list) and others:
                parents += [at, *range(len(all_), len(all_) + len(others) - 1)]
                all_ += others
                leaves[id_of(others[-1], len(all_) - 1)] = len(all_) - 1
    return all_, Paths([*range(len(messages))], leaves, parents)


# --- a message ------------------------------------------------------------------------------


def _messages(message: Any) -> list[Message]:
    left = object_of(message, "the message")
    role = text_of(left.pop("role"), "its role")
    at = take_number(left, "timestamp")
    pieces = _pieces(left)
    id_ = take_text(left, "id")
    record = {} if id_ is None else {"id": id_}
    return runs.messages_of(pieces, NAME, role=role, created_at=at, record=record, extra=kept(left))


def _pieces(left: JSONObject) -> list[runs.Piece]:
    """What a message says, taken away from it."""
    parts = left.pop("contentParts", None)
    pieces: list[runs.Piece] = []
    if isinstance(left.get("reasoningContent"), str):
        pieces.append(runs.Reasoning({"reasoning": left.pop("reasoningContent")}))
    if parts is None:
        pieces.append(runs.Text(text_of(left.pop("content", ""), "its content")))
    for part in objects_of(parts, "its parts"):
        pieces += _of_part(part)
    return pieces


def _of_part(part: JSONObject) -> list[runs.Piece]:
    """A part; one of a kind that is not known is kept as it is."""
    kind = part.get("type")
    if kind == "text" and isinstance(part.get("text"), str):
        return [runs.Text(part["text"], part if len(part) > 2 else None)]
    if kind == "reasoning":
        return [runs.Reasoning(part)]
    if kind == "image" and isinstance(place := part.get("storageKey") or part.get("url"), str):
        return [runs.Image(place, part)]
    if kind != "tool-call":
        return [runs.Other(part)]
    left = {key: value for key, value in part.items() if key != "type"}
    id_, name = take_text(left, "toolCallId"), take_text(left, "toolName")
    arguments, result = left.pop("args", None), left.pop("result", None)
    pieces: list[runs.Piece] = [runs.Call(id_, name, arguments, left or None)]
    if result is not None:
        text = runs.text_of_result(result)
        own = None if isinstance(result, str) else {"result": result}
        pieces.append(runs.Result(id_, name, text, own))
    return pieces


def _misses(head: Head) -> str | None:
    value = head.value
    if not isinstance(value, dict):
        return None
    sessions = [each for key, each in value.items() if key.startswith(_SESSION)]
    if not sessions and not isinstance(value.get(_SESSIONS), list):
        if head.whole and "__exported_items" in value:
            return "no conversations were exported"
        return None
    return ""


SHAPES: Final = {
    "file": (Folder(group=each_ending(".json"), misses=_misses, unfold=unfold, holds=HOLDS),)
}
