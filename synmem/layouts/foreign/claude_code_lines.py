"""The lines of a session of Claude Code: what of each tells its place, and which belong together.

Of a line only that is decoded which says where it stands and how many messages it is: a listing
needs no more, and most of a session is what tools have answered.

An answer of the model lies on several lines, one for each block of its content, which have the same
`message.id`; results of tools called at once stand behind different ones of them, so that the chain
of `parentUuid` forks. Such lines and the results are one record here. What is not said in the
conversation (attachments, notices, what is `isMeta`) only links.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from synmem.layouts.foreign.json_lines import spans
from synmem.layouts.foreign.trees import LOST, Node
from synmem.messages import parse_json


class Block(msgspec.Struct, gc=False):
    """A block of content."""

    type: str
    id: str | None = None
    text: str | None = None
    tool_use_id: str | None = None


class Body(msgspec.Struct, gc=False):
    """What was said."""

    content: str | list[Block]
    id: str | None = None


class Line(msgspec.Struct, gc=False, rename="camel"):
    """What of a line tells its place."""

    type: str | None = None
    uuid: str | None = None
    parent_uuid: str | None = None
    logical_parent_uuid: str | None = None
    """Of a line that begins anew behind a compaction: the one before that."""
    session_id: str | None = None
    is_sidechain: bool | None = None
    is_meta: bool | None = None
    agent_id: str | None = None
    team_name: str | None = None
    message: Body | None = None
    custom_title: str | None = None
    ai_title: str | None = None
    summary: str | None = None
    leaf_uuid: str | None = None


_decode: Final = msgspec.json.Decoder(Line).decode
_PLACE: Final = {
    field.encode_name: (field.name, bool if field.name.startswith("is_") else str)
    for field in msgspec.structs.fields(Line)
    if field.name != "message"
}
_SAID: Final = ("user", "assistant")


class Read(NamedTuple):
    """The lines of a file."""

    data: bytes
    spans: list[tuple[int, int, int]]
    """Of each line its number, and from which byte to which it stands."""
    lines: list[Line | ValueError]
    """The place of each, or why it is none."""
    whys: dict[int, str]
    """Why what was said in a line cannot be read, by its index."""

    def raw(self, index: int) -> bytes:
        """A line, whole."""
        _, start, stop = self.spans[index]
        return self.data[start:stop]


def read(data: bytes) -> Read:
    """All lines of a file, less the last one where it is being written."""
    found = Read(data, [*spans(data)], [], {})
    lines, view = found.lines, memoryview(data)
    for index, (_, start, stop) in enumerate(found.spans):
        why = ""
        try:
            line: Line | ValueError = _decode(view[start:stop])
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            line, why = _slowly(found.raw(index))
        if isinstance(line, Line) and line.type in _SAID:
            why = why or _lacks(line.message)
            if why:
                found.whys[index] = why
        lines.append(line)
    return found


def _lacks(body: Body | None) -> str:
    """Why there is nothing that could be a message; empty where there is."""
    if body is None:
        return "it has no message"
    for each in body.content if isinstance(body.content, list) else ():
        if each.text is None and each.type == "text":
            return "a block of text has no text"
    return ""


def _slowly(raw: bytes) -> tuple[Line | ValueError, str]:
    """The same of a line that has what the fast reader does not bear: half of a surrogate, say, or
    a value of another kind than is usual, without which it may still have its place; then also why
    what it says cannot be read."""
    try:
        value = parse_json(raw)
        if not isinstance(value, dict):
            return ValueError("it is no object"), ""
        return msgspec.convert(value, Line), ""
    except msgspec.ValidationError:
        pass  # of a kind that is not expected
    except (ValueError, RecursionError) as error:
        return ValueError(str(error)), ""
    place: dict[str, Any] = {
        name: value[key] for key, (name, kind) in _PLACE.items() if isinstance(value.get(key), kind)
    }
    try:
        return Line(**place, message=msgspec.convert(value.get("message"), Body | None)), ""
    except msgspec.ValidationError as error:
        return Line(**place), f"its message: {error}"


# --- records --------------------------------------------------------------------------------


class Record:
    """Lines that belong together, by their indexes; behind which other record they stand."""

    __slots__ = ("answer", "is_lost", "line", "missing", "others", "owner", "parent", "turn")

    def __init__(self, line: int, owner: str, parent: "Record | None", missing: str | None) -> None:
        self.line = line
        """The first."""
        self.others: list[int] = []
        """Those that say more of an answer, or what its tools have answered."""
        self.owner = owner
        """Who has the conversation: nobody (empty), or a sub-agent."""
        self.parent = parent
        self.missing = missing
        """The line that this stands behind, where it is not there."""
        self.answer = False
        """Whether it is an answer of the model."""
        self.is_lost = False
        """Whether it is a line that cannot be read."""
        self.turn = self
        """The user's prompt to which this belongs."""


class Forest:
    """The records of a file, in order."""

    def __init__(self, read: Read) -> None:
        lines = self._lines = read.lines
        self._whys = read.whys
        self._at = {
            line.uuid: index
            for index, line in enumerate(lines)
            if isinstance(line, Line) and line.uuid is not None
        }
        self._places: dict[int, Record | None] = {}
        """Of each line the record that it is in, or else the nearest before it."""
        self._answers: dict[tuple[Record | str, str], Record] = {}
        self._calls: dict[str, Record] = {}
        self.records: list[Record] = []
        for index, line in enumerate(lines):
            self._settle(index, line)

    def _settle(self, index: int, line: Line | ValueError) -> None:
        if not isinstance(line, Line):
            owner = self.records[-1].owner if self.records else ""
            record = Record(index, owner, None, None)
            record.is_lost = True
            self.records.append(record)
        elif line.uuid is None:
            if line.type in _SAID:
                self._places[index] = self._placed(index, line, None)
        elif index not in self._places and self._is_told(index, line):
            parent = self._before(line)
            if parent is not None and parent not in self._places:
                self._chain(index, line)
            else:
                place = None if parent is None else self._places[parent]
                self._places[index] = self._placed(index, line, place)

    def _is_told(self, index: int, line: Line) -> bool:
        """Whether a line is no earlier copy of another one of its id: what says something else, and
        is no part of the same answer, is a branch of its own."""
        last = self._line(self._at[line.uuid or ""])
        if last is line:
            return True
        one, other = line.message, last.message
        return (
            one is not None
            and one != other
            and (other is None or one.id is None or one.id != other.id)
        )

    def _chain(self, index: int, line: Line) -> None:
        """Place a line, and before it those that it stands behind: in a circle, the one that was
        come from begins."""
        waiting = {index: line}
        while (before := self._before(line)) is not None and before not in self._places:
            if before in waiting:
                waiting[before] = waiting.pop(before)
                break
            waiting[before] = line = self._line(before)
        for at in reversed(waiting):
            parent = self._before(waiting[at])
            self._places[at] = self._placed(
                at, waiting[at], None if parent is None else self._places.get(parent)
            )

    def _line(self, index: int) -> Line:
        line = self._lines[index]
        assert isinstance(line, Line)
        return line

    def _before(self, line: Line) -> int | None:
        return self._at.get(line.parent_uuid or line.logical_parent_uuid or "")

    def _placed(self, index: int, line: Line, before: Record | None) -> Record | None:
        """The record of a line that stands behind this one: a new one, or one that it belongs to;
        of a line that only links, the one before it."""
        if line.type not in _SAID or line.is_meta:
            return before
        owner = _owner(line, before)
        if before is not None and before.owner != owner:
            before = None
        body = line.message
        if body is None or index in self._whys:
            return self._new(index, line, before, owner)
        if line.type == "assistant":
            return self._answered(index, line, body, before, owner)
        blocks = body.content if isinstance(body.content, list) else []
        if not blocks or any(each.type != "tool_result" for each in blocks):
            record = self._new(index, line, before, owner)
            record.turn = record
            return record
        made = (self._calls.get(each.tool_use_id or "") for each in blocks)
        asked = next((each for each in made if each is not None and each.owner == owner), None)
        if asked is None:
            return self._new(index, line, before, owner)
        asked.others.append(index)
        return before or asked

    def _answered(
        self, index: int, line: Line, body: Body, before: Record | None, owner: str
    ) -> Record:
        turn = owner if before is None else before.turn
        record = self._answers.get((turn, body.id)) if body.id else None
        if record is None:
            record = before_or_new = self._new(index, line, before, owner)
            record.answer = True
            if body.id:
                self._answers[turn, body.id] = record
                self._answers.setdefault((record.turn, body.id), record)
        else:
            record.others.append(index)
            before_or_new = before or record
        for each in body.content if isinstance(body.content, list) else ():
            if each.id is not None:
                self._calls[each.id] = record
        return before_or_new

    def _new(self, index: int, line: Line, before: Record | None, owner: str) -> Record:
        missing = None if before is not None else line.parent_uuid
        record = Record(index, owner, before, None if missing in self._at else missing)
        if before is not None:
            record.turn = before.turn
        self.records.append(record)
        return record

    # --- what they are to a tree ---

    def owners(self) -> Iterator[tuple[str, list[Record]]]:
        """The records of each conversation."""
        found: dict[str, list[Record]] = {}
        known = {record.owner: None for record in self.records if not record.is_lost}
        for record in self.records:
            # A line of a sub-agent's file that cannot be read, before any that can.
            lost = known and record.is_lost and record.owner not in known
            found.setdefault(next(iter(known)) if lost else record.owner, []).append(record)
        yield from found.items()

    def node(self, record: Record) -> Node:
        """The record as one of a tree: it is called as its last line."""
        id_ = self._id(record)
        if id_ is None:
            return Node(LOST, LOST)
        parent = record.missing if record.parent is None else self._id(record.parent) or LOST
        return Node(id_, parent)

    def _id(self, record: Record) -> str | None:
        line = self._lines[record.others[-1] if record.others else record.line]
        return line.uuid if isinstance(line, Line) else None


def _owner(line: Line, before: Record | None) -> str:
    if line.team_name:
        return f"team-{line.team_name}"
    if not line.is_sidechain:
        return ""
    if line.agent_id:
        return f"agent-{line.agent_id}"
    return before.owner if before is not None and before.owner else f"agent-{line.uuid}"


def newest(records: Sequence[Record]) -> int | None:
    """The index of the record that was written to last, of those behind which none stands."""
    inner = {record.parent for record in records}
    ends = [
        (max([record.line, *record.others]), index)
        for index, record in enumerate(records)
        if record not in inner and not record.is_lost
    ]
    return max(ends)[1] if ends else None
