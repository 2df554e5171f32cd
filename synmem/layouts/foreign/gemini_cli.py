"""Gemini CLI: a file of JSON lines for each session, in `tmp/*/chats`; before 2026 one JSON object.

The lines are what was done: a record is added, or takes the place of one with its id and type;
`$set` with `messages` puts a list in the place of all; `$rewindTo` takes a record away and all
behind it, which are then another branch. Of several files of a session, which resuming leaves
behind, the one with most messages is read.

A record of type `gemini` has its calls and their results; a `user` record that has only such
results again says nothing, nor does one of the context that the program sends first; other types
are notices. Where `displayContent` is, that was typed. The title is the `summary`, if any. What has
no word of ours lies in `extra["gemini_cli"]`: of a session's first line under its own key.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import structs

from synmem.layouts.foreign import gemini_parts, runs
from synmem.layouts.foreign.json_lines import numbered, unreadable
from synmem.layouts.foreign.named_files import stem
from synmem.layouts.foreign.values import (
    kept,
    list_of,
    object_of,
    objects_of,
    take_text,
    take_time,
    told,
)
from synmem.layouts.heads import Head
from synmem.layouts.lazy import Said
from synmem.layouts.shapes import MALFORMED, Files, Folder, Told
from synmem.messages import Holds, JSONObject, Message, Unreadable, parse_json

NAME: Final = "gemini_cli"
TITLE: Final = "Gemini CLI"

HOLDS: Final = Holds(
    fields=runs.FIELDS,
    conversation_fields=frozenset({"title", "extra"}),
    own=False,
    extra_of=NAME,
)

_Record = JSONObject | Unreadable

_FILE: Final = re.compile(r"((?:.*/)?)session-[^/]*?([0-9a-f]{8})\.jsonl?")
_OTHERS: Final = re.compile(r"(?:.*/)?(?:logs|projects|checkpoint-[^/]*)\.json")
_CONTEXT: Final = "<session_context>"
_TURNS: Final = ("user", "gemini")
_ABOUT: Final = {"sessionId", "projectHash"}
"""What tells a session."""


def group(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """The files of a session together, as their names begin its id; others each by itself."""
    found: dict[str, list[str]] = {}
    for name in names:
        if name.endswith((".jsonl", ".json")) and not _OTHERS.fullmatch(name):
            parts = _FILE.fullmatch(name)
            found.setdefault(f"{parts[1]}{parts[2]}" if parts else name, []).append(name)
    return {files[0]: tuple(files) for files in found.values()}


def unfold(files: Files) -> dict[str, Told]:
    """The conversations of these files, by their ids."""
    found: dict[str, Told] = {}
    errors: dict[str, ValueError] = {}
    for name, data in files.data.items():
        try:
            session = _read(name, data)
        except ValueError as error:
            errors[name] = error
            continue
        id_ = session.about.get("sessionId")
        id_ = id_ if isinstance(id_, str) and id_ else stem(name)
        told_ = session.told(name)
        if id_ not in found or len(told_.messages) >= len(found[id_].messages):
            found[id_] = told_
    if errors and not found:
        raise next(iter(errors.values()))
    if not errors:
        return found
    damaged = [Unreadable(name, f"{name}: {error}") for name, error in errors.items()]
    return {
        id_: structs.replace(each, messages=[*each.messages, *damaged])
        for id_, each in found.items()
    }


class _Session:
    """A session as its file tells it, step by step."""

    def __init__(self) -> None:
        self.about: JSONObject = {}
        self.records: list[_Record] = []
        self._places: dict[tuple[str, str], int] = {}
        self.left: list[list[_Record]] = []
        """What there was before each going back."""

    def put(self, record: _Record) -> None:
        """A record, new or in the place of the same one."""
        key = _key(record)
        if key in self._places:
            self.records[self._places[key]] = record
            return
        if key is not None:
            self._places[key] = len(self.records)
        self.records.append(record)

    def set(self, said: JSONObject) -> None:
        """What is known of the session is this from now on; its messages, where they are named,
        but for lines that cannot be read."""
        if "messages" in said:
            self.records = [each for each in self.records if isinstance(each, Unreadable)]
            self._places = {}
            listed = said["messages"]
            listed = [] if listed is None else list_of(listed, "the messages that are set")
            for at, each in enumerate(listed):
                odd = Unreadable(str(at), f"record {at}: it is no object")
                self.put(each if isinstance(each, dict) else odd)
        self.about |= {key: value for key, value in said.items() if key != "messages"}

    def rewind(self, id_: Any) -> None:
        """Back to before the record of that id; where there is none, to the beginning."""
        ids = [each.get("id") if isinstance(each, dict) else None for each in self.records]
        at = ids.index(id_) if id_ in ids else 0
        self.left.append(self.records)
        self.records = self.records[:at]
        self._places = {key: place for key, place in self._places.items() if place < at}

    def told(self, name: str) -> Told:
        """What it says."""
        about = dict(self.about)
        title = take_text(about, "summary")
        folder = name.split("/")[-2:-1]
        if about.get("kind") == "subagent" and folder not in ([], ["chats"]):
            about["parent"] = folder[0]
        branches = {leaf: said for leaf, said in map(_branch, self.left) if said}
        leaf, said = _branch(self.records)
        if not said and branches:  # all was taken back: the newest branch is what there is
            leaf, said = list(branches.items())[-1]
        left = kept(about, {"sessionId"})
        return Told(
            messages=said,
            title=title or None,
            extra={NAME: left} if left else None,
            branches={id_: each for id_, each in branches.items() if id_ != leaf},
            leaf=leaf or None,
        )


def _key(record: _Record) -> tuple[str, str] | None:
    """By what a record is known: resuming writes two with one id."""
    if isinstance(record, dict):
        id_, kind = record.get("id"), record.get("type")
        return (id_, kind) if isinstance(id_, str) and isinstance(kind, str) else None
    return None


def _read(name: str, data: bytes) -> _Session:
    session = _Session()
    if name.endswith(".json"):
        session.set(object_of(parse_json(data), "the session"))
        return session
    for number, line in numbered(data):
        try:
            _step(session, object_of(parse_json(line), "the line"))
        except MALFORMED as error:
            session.put(unreadable(name, number, line, error))
    return session


def _step(session: _Session, said: JSONObject) -> None:
    if "$set" in said:
        session.set(object_of(said["$set"], "what is set"))
    elif "$rewindTo" in said:
        session.rewind(said["$rewindTo"])
    elif "type" in said:
        session.put(said)
    elif "sessionId" in said:
        session.set({key: value for key, value in said.items() if key != "messages"})


# --- records --------------------------------------------------------------------------------


def _branch(records: Sequence[_Record]) -> tuple[str, list[Said]]:
    """The id of the last record that says something, and what all say."""
    known: set[str] = set()
    leaf, messages = "", list[Said]()
    for index, record in enumerate(records):
        if isinstance(record, Unreadable):
            messages.append(record)
            continue
        said = told("record", record.get("id", index), _messages, record, known)
        if said and isinstance(record.get("id"), str):
            leaf = record["id"]
        messages += said
    return leaf, messages


def _messages(record: JSONObject, known: set[str]) -> list[Message]:
    """The messages of a record; `known` are the calls whose results were told."""
    left = dict(record)
    kind = left.pop("type")
    if kind not in _TURNS:
        return []
    at = take_time(left, "timestamp", utc=False)
    pieces = _pieces(left)
    if kind == "user" and _is_context(pieces):
        return []
    pieces = [each for each in pieces if _is_new(each, known)]
    if kind == "user" and not pieces:
        return []
    id_ = take_text(left, "id")
    role = gemini_parts.ROLES.get(kind, kind)
    record = {} if id_ is None else {"id": id_}
    return runs.messages_of(
        pieces, NAME, role=role, created_at=at, record=record, extra=_left(left)
    )


def _is_new(piece: runs.Piece, known: set[str]) -> bool:
    """Whether it is no result of a call that is known; from now on it is."""
    if not isinstance(piece, runs.Result) or piece.id is None:
        return True
    is_new = piece.id not in known
    known.add(piece.id)
    return is_new


def _left(left: JSONObject) -> JSONObject:
    return {key: value for key, value in kept(left).items() if value not in ([], {})}


def _is_context(pieces: Sequence[runs.Piece]) -> bool:
    first = pieces[0] if pieces else None
    return isinstance(first, runs.Text) and first.text.startswith(_CONTEXT)


def _pieces(left: JSONObject) -> list[runs.Piece]:
    """What a record says, taken away from it."""
    pieces: list[runs.Piece] = [
        runs.Reasoning(each) for each in objects_of(left.pop("thoughts", None), "its thoughts")
    ]
    calls = objects_of(left.pop("toolCalls", None), "its calls")
    content = left.pop("content", None)
    sent = [] if content == "" and (calls or pieces) else gemini_parts.pieces(content)
    if left.get("displayContent") is not None:
        sent = [*gemini_parts.as_typed(gemini_parts.pieces(left.pop("displayContent")), sent)]
    pieces += sent
    made = {each.id for each in pieces if isinstance(each, runs.Call)}
    for call in calls:
        pieces += _call(dict(call), made)
    return pieces


def _call(call: JSONObject, made: set[str | None]) -> list[runs.Piece]:
    """A call, unless the content has it, and what it gave."""
    id_, name = take_text(call, "id"), take_text(call, "name")
    arguments, result = call.pop("args", {}), call.pop("result", None)
    pieces: list[runs.Piece] = []
    if id_ is None or id_ not in made:
        pieces.append(runs.Call(id_, name, arguments, kept(call) or None))
    given = [] if result is None else gemini_parts.pieces(result)
    texts = [each for each in given if isinstance(each, runs.Result | runs.Text)]
    if given:
        others = [each.own for each in given if each not in texts]
        others += [each.own for each in texts if each.own]
        own = {"result": [each for each in others if each]} if any(others) else None
        pieces.append(runs.Result(id_, name, "\n".join(each.text for each in texts), own))
    return pieces


def _misses(head: Head) -> str | None:
    if head.name.endswith(".jsonl"):
        return "" if any(_tells(line, head.name) for line in head.each_line()) else None
    first = head.value
    if not isinstance(first, dict) or not first.keys() >= _ABOUT:
        return None
    return "it has no messages" if "messages" not in first and head.whole else ""


def _tells(line: JSONObject, name: str) -> bool:
    """Whether a line is one of these: by itself, or, where the first is spoilt, with the name."""
    if line.keys() >= _ABOUT:
        return True
    is_turn = line.get("type") in _TURNS and line.keys() >= {"id", "timestamp", "content"}
    return is_turn and _FILE.fullmatch(name) is not None


SHAPES: Final = {
    "file": (Folder(group=group, misses=_misses, unfold=unfold, holds=HOLDS),),
}
