"""Claude Code: a file of JSON lines for each session, below `projects`, and one for each sub-agent.

The lines form a tree (`parentUuid`): its current branch leads to the newest of the ends, the others
are what was left by going back. Where a session was compacted it goes on behind its summary, which
is one of its messages: what was said before that is still there. An answer is one message, whatever
number of lines it is on (see `claude_code_lines`); each result of a tool is one behind it. What is
`isMeta` was not said, nor was what has another type than `user` and `assistant`.

A sub-agent's conversation is one of its own, `agent-ID@SESSION`, whether it has a file or lies in
the session's (as in 2025, where it has no id but that of its first line); `parent` names who asked.
What a team's agent said in a session is called `team-NAME@SESSION` in the same way.

The title is the user's, the program's, or the last summary of a message in this file. What has no
word of ours lies in `extra["claude_code"]` under its own key: blocks of content in `blocks`, of an
answer's other lines what differs from its first in `lines`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from synmem.layouts.foreign import anthropic_blocks, runs
from synmem.layouts.foreign.claude_code_lines import (
    Block,
    Forest,
    Line,
    Read,
    Record,
    newest,
    read,
)
from synmem.layouts.foreign.json_lines import unreadable
from synmem.layouts.foreign.named_files import object_beside, stem
from synmem.layouts.foreign.trees import Branches, paths
from synmem.layouts.foreign.values import kept, object_of, objects_of, take_text, take_time
from synmem.layouts.heads import Head
from synmem.layouts.lazy import Said, WhenAsked
from synmem.layouts.shapes import MALFORMED, Files, Folder, Told
from synmem.messages import Holds, JSONObject, Unreadable, parse_json

NAME: Final = "claude_code"
TITLE: Final = "Claude Code"

HOLDS: Final = Holds(
    fields=runs.FIELDS,
    conversation_fields=frozenset({"title", "extra"}),
    own=False,
    extra_of=NAME,
)

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_ABOUT: Final = ("cwd", "gitBranch", "version", "entrypoint")
"""What a line says of the conversation; with a message only where it is otherwise there."""
_PLACE: Final = frozenset({"type", "message", "sessionId", "isSidechain", "userType"})
_ONE: Final = frozenset({"text", "image"})
"""The blocks that are one message, however many they are."""


def group(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Each file of lines by itself; with what is known of a sub-agent, where that is there."""
    there = {*names}
    found: dict[str, Sequence[str]] = {}
    for name in names:
        if name.endswith(".jsonl"):
            beside = _sidecar(name)
            found[name] = (name, beside) if beside in there else (name,)
    return found


def _sidecar(name: str) -> str:
    """The file in which is known what is known of a sub-agent."""
    return name.removesuffix(".jsonl") + ".meta.json"


def unfold(files: Files) -> dict[str, Told]:
    """The conversations of a file, by their ids."""
    lines = read(files.data[files.name])
    forest = Forest(lines)
    session = stem(files.name)
    if not _UUID.fullmatch(session):
        session = _session(lines) or session
    damaged: list[Unreadable] = []
    known = object_beside(files, _sidecar(files.name), damaged)
    told: dict[str, Told] = {}
    for owner, records in forest.owners():
        branch = _Conversation(files.name, lines, forest, records)
        if not owner:
            told[session] = branch.told(_title(lines), {}, damaged)
            continue
        about, parent = kept(known), known.get("parentAgentId")
        own = {"parent": f"agent-{parent}@{session}" if isinstance(parent, str) else session}
        title = take_text(about, "description") or None
        told[f"{owner}@{session}"] = branch.told(title, {**about, **own}, damaged)
    return told


def _session(lines: Read) -> str | None:
    """The session as its lines call it: the newest does, of one that goes on with another's."""
    named = (each.session_id for each in reversed(lines.lines) if isinstance(each, Line))
    return next((each for each in named if each), None)


def _title(lines: Read) -> str | None:
    said = [each for each in lines.lines if isinstance(each, Line) and each.uuid is None]
    theirs = [each for each in said if each.summary and each.type == "summary"]
    here: set[str | None] = {None}
    if theirs:  # the summaries of other sessions were written to the newest file too
        here |= {each.uuid for each in lines.lines if isinstance(each, Line)}
    for titles in (
        [each.custom_title for each in said],
        [each.ai_title for each in said],
        [each.summary for each in theirs if each.leaf_uuid in here],
    ):
        if found := [title for title in titles if title]:
            return found[-1]
    return None


class _Conversation:
    """Records of a file that are one conversation."""

    def __init__(self, name: str, lines: Read, forest: Forest, records: Sequence[Record]) -> None:
        self._name = name
        self._lines = lines
        self._forest = forest
        self._records = records
        self._about: JSONObject = {}

    def told(self, title: str | None, extra: JSONObject, damaged: Sequence[Unreadable]) -> Told:
        """What it says, and what beside it cannot be read."""
        records = self._records
        ways = paths([self._forest.node(each) for each in records], newest(records))
        first = next((each.line for each in records if not each.is_lost), None)
        if first is not None:
            self._about = _about(self._lines.raw(first))
        counts = [self._count(records[index]) for index in ways.current]
        current = WhenAsked(counts, lambda at: self._said(ways.current[at]))
        own = {**self._about, **extra}
        return Told(
            messages=[*current, *damaged] if damaged else current,
            title=title,
            extra={NAME: own} if own else None,
            branches=Branches(ways, self._said),
            leaf=ways.leaf,
        )

    # --- a record ---

    def _count(self, record: Record) -> int:
        """How many messages a record is."""
        if not record.answer:
            return self._count_one(record.line)
        count = 1
        for index in (record.line, *record.others):
            if self._line(index).type != "assistant":
                count += self._count_one(index)
            elif any(each.type.endswith("tool_result") for each in self._blocks(index)):
                return sum(len(self._made(*group)) for group in self._groups(record))
        return count

    def _count_one(self, index: int) -> int:
        """How many messages a line is that is none of an answer."""
        body = None if self._is_odd(index) else self._line(index).message
        if body is None or isinstance(body.content, str):
            return 1
        if all(each.type == "tool_result" for each in body.content):
            return len(body.content)
        if all(each.type in _ONE for each in body.content):
            return 1
        return len(self._made(False, [index]))

    def _said(self, at: int) -> Sequence[Said]:
        """What a record says."""
        return [
            each
            for answer, indexes in self._groups(self._records[at])
            for each in self._made(answer, indexes)
        ]

    def _groups(self, record: Record) -> Iterator[tuple[bool, list[int]]]:
        """Its lines: those of an answer together, and each other one by itself; whether it is an
        answer."""
        if not record.answer:
            yield False, [record.line]
            return
        more = [index for index in record.others if self._line(index).type == "assistant"]
        yield True, [record.line, *more]
        for index in record.others:
            if index not in more:
                yield False, [index]

    def _line(self, index: int) -> Line:
        line = self._lines.lines[index]
        assert isinstance(line, Line)
        return line

    def _is_odd(self, index: int) -> bool:
        return index in self._lines.whys or not isinstance(self._lines.lines[index], Line)

    def _blocks(self, index: int) -> Sequence[Block]:
        line = self._lines.lines[index]
        body = line.message if isinstance(line, Line) else None
        return body.content if body is not None and isinstance(body.content, list) else ()

    def _made(self, answer: bool, indexes: Sequence[int]) -> Sequence[Said]:
        """The messages of an answer, or of another line."""
        lines, index = self._lines, indexes[0]
        try:
            line = lines.lines[index]
            if isinstance(line, ValueError):
                raise line
            if index in lines.whys:
                raise ValueError(lines.whys[index])
            said = [object_of(parse_json(lines.raw(each)), "it") for each in indexes]
            if answer:
                return self._answer(said)
            if {each.type for each in self._blocks(index)} == {"tool_result"}:
                return self._results(said[0])
            return self._asked(said[0])
        except MALFORMED as error:
            return [unreadable(self._name, lines.spans[index][0], lines.raw(index), error)]

    def _answer(self, said: Sequence[JSONObject]) -> Sequence[Said]:
        pieces = [each for line in said for each in _pieces(line)]
        at, first = take_time(said[0], "timestamp", utc=True), self._left(said[0])
        more = [
            {k: v for k, v in self._left(line).items() if k == "uuid" or first.get(k) != v}
            for line in said[1:]
        ]
        record = {"uuid": first.pop("uuid", None)}
        extra = {**first, "message": _envelope(said[-1]), **({"lines": more} if more else {})}
        return runs.messages_of(
            pieces, NAME, created_at=at, record=kept(record), extra=kept(extra), whole=True
        )

    def _results(self, said: JSONObject) -> Sequence[Said]:
        at, record, left = self._beside(said)
        found: list[Said] = []
        for piece in _pieces(said):
            extra = None if found else left
            found += runs.messages_of([piece], NAME, created_at=at, record=record, extra=extra)
        return found

    def _asked(self, said: JSONObject) -> Sequence[Said]:
        at, record, left = self._beside(said)
        return runs.messages_of(
            _pieces(said), NAME, role="user", created_at=at, record=record, extra=left
        )

    def _beside(self, said: JSONObject) -> tuple[datetime | None, JSONObject, JSONObject]:
        """Of a line that is no answer its time, its id, and what else it says."""
        at, left = take_time(said, "timestamp", utc=True), self._left(said)
        record = kept({"uuid": left.pop("uuid", None)})
        return at, record, left | ({"message": own} if (own := _envelope(said)) else {})

    def _left(self, said: JSONObject) -> JSONObject:
        """What a line says besides, with no word of ours."""
        about = self._about
        return {k: v for k, v in kept(said, _PLACE).items() if k not in about or about[k] != v}


def _about(raw: bytes) -> JSONObject:
    """What a line says of the conversation."""
    try:
        said = object_of(parse_json(raw), "it")
    except MALFORMED:
        return {}
    return kept({key: said.get(key) for key in _ABOUT})


def _pieces(said: JSONObject) -> Iterator[runs.Piece]:
    """What a line says."""
    content = object_of(said.get("message"), "its message").get("content")
    if isinstance(content, str):
        yield runs.Text(content)
    else:
        yield from map(anthropic_blocks.piece, objects_of(content, "its content's blocks"))


def _envelope(said: JSONObject) -> JSONObject:
    """What a message says beside its content."""
    return kept(said["message"], ("content", "role", "type"))


# --- how a file begins ----------------------------------------------------------------------

_LINKS: Final = {"uuid", "parentUuid", "isSidechain", "sessionId"}
_OTHERS: Final = (
    {"type", "operation", "timestamp", "sessionId"},
    {"type", "summary", "leafUuid"},
    {"type", "messageId", "snapshot"},
    {"type", "aiTitle", "sessionId"},
    {"type", "customTitle", "sessionId"},
    {"type", "permissionMode", "sessionId"},
    {"type", "mode", "sessionId"},
)
"""Keys of lines that may stand before the first of the conversation."""


def _misses(head: Head) -> str | None:
    almost = None
    for line in head.each_line():
        if line.keys() >= _LINKS or any(line.keys() >= each for each in _OTHERS):
            return ""
        if line.get("type") in ("user", "assistant") and {"uuid", "message"} <= line.keys():
            almost = f"its lines have no {min(_LINKS - line.keys())}"
    return almost


SHAPES: Final = {"file": (Folder(group=group, misses=_misses, unfold=unfold, holds=HOLDS),)}
