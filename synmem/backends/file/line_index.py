"""Which conversation each line of a JSON Lines file belongs to, in one pass and flat memory.

Lines are kept as *runs*: neighbouring lines of one conversation, at most a block of the file, so
that a page or a position is found without reading from the start. Runs tile the file: one ends
where the next begins. A run costs 32 bytes, a conversation its id and about 40 bytes, a line
nothing.

A sealed export that stands in the file is one by itself (`Export`), whatever is before and behind
it; lines without a seal are one together, wherever they stand. A conversation that is in several
has a number in each; by its name that of the longest is meant.
"""

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from synmem.backends.file.forms import is_json
from synmem.backends.file.seals import Seals
from synmem.layouts.interchange import jsonl as jsonlines
from synmem.layouts.interchange.jsonl import PartOf
from synmem.layouts.interchange.ordinary import id_of, is_finer
from synmem.messages import (
    FINER,
    Conversation,
    Damage,
    JSONObject,
    conversation_refusal,
    parse_json,
)

NONE: Final = 0xFFFFFFFF
"""No run, no conversation."""

_PENDING: Final = NONE - 1  # malformed lines before the first conversation: they go to it
_CONTROL: Final = NONE - 2  # an opening or a seal
_NAMED_LINES: Final = 1_000
_TWO_KINDS: Final = "this conversation_id is a number here and text elsewhere: perhaps two"


class _Head(msgspec.Struct, gc=False):
    conversation_id: str | None = None
    role: str | None = None
    at: int | None = None
    reason: str | None = None


_decode_head = msgspec.json.Decoder(_Head).decode
_UNUSUAL: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)


_MAY_BE_FINER: Final = re.compile(rb"[.,]\d{7}").search
"""Cheap, of a whole block; what it finds is looked at."""


@dataclass
class Export:
    """One of the exports in a file: the numbers of its conversations.

    Of a split export: which one (`set`), which of its parts are here one behind the other, and of
    how many.
    """

    line: int = 0
    """Where it begins; 0 for all that is not sealed."""
    numbers: dict[str, int] = field(default_factory=dict)
    part: PartOf | None = None
    """The first of the parts."""
    last: int = 0
    """The number of the last of the parts."""
    spans: list[tuple[int, int]] = field(default_factory=list)
    """From which byte to which each of the parts stands."""


class Index:
    """The lines of a file, by conversation, and what is wrong with its seals and its lines.

    `conversation` is the id of lines that carry none; `marks` says that lines may stand for
    records of another form that could not be read (`jsonlines.mark_line`); `joined` that all
    exports are one.
    """

    def __init__(
        self,
        *,
        start: int = 0,
        conversation: str | None = None,
        marks: bool = False,
        joined: bool = False,
    ) -> None:
        self.names: list[str] = []
        self.exports = [Export()]
        self._export = self.exports[0]
        self._numbers = self._export.numbers
        self._shown: dict[str, int] = {}
        self._shown_of = 0  # how many lines there were then
        self._joined = joined
        # By run: first byte, first line (from 1), conversation, and its next and last run.
        self.starts = array("Q")
        self.lines = array("Q")
        self.owners = array("I")
        self.behind = array("I")
        self.before = array("I")
        # By conversation: first and last run, lines, where its last line and its title begin.
        self.first_run = array("I")
        self.last_run = array("I")
        self.counts = array("Q")
        self.last_line_at = array("Q")
        self.title_at = array("Q")  # plus one; 0 where there is none
        self.extra_at = array("Q")
        # Conversations that an earlier run left behind from this message on (`--rejects`).
        self.begins: dict[int, int] = {}
        self.begin = self.end = start
        self.checksum = 0
        """CRC-32 of the bytes from `begin` to `end`; whoever feeds it keeps it."""
        self.line_count = 0
        self.torn = False
        self._torn_control = False  # its last line was to be an opening or a seal
        self.malformed = 0
        self.finer = 0
        self._finer_at = 0
        self._integers: set[int] = set()
        self._conversation = conversation
        self._marks = marks
        self._latest = _PENDING
        self._named: list[Damage] = []
        self._seals = Seals()
        self._lines: list[bytes] = []
        self._block_start = start
        self._block_line = 1

    @property
    def fits(self) -> bool:
        """Whether anything was found that is ours."""
        return bool(self.names) or self._seals.seen

    @property
    def numbers(self) -> dict[str, int]:
        """The number of each conversation: in the export that has the most of it, the last such."""
        if len(self.exports) == 1:
            return self._numbers
        if self._shown_of != self.line_count:
            self._shown_of = self.line_count
            self._shown = {}
            for each in self.exports:
                for name, number in each.numbers.items():
                    shown = self._shown.setdefault(name, number)
                    if self.counts[number] >= self.counts[shown]:
                        self._shown[name] = number
        return self._shown

    def feed(self, block: bytes) -> None:
        """Take the next whole lines in; only the last of the file may lack its newline."""
        lines = self._lines = block.split(b"\n")
        self.torn = bool(lines[-1])
        if not self.torn:
            lines.pop()
        self._block_start, self._block_line = self.end, self.line_count + 1
        if _MAY_BE_FINER(block):
            self._count_finer()
        begun, owner, current = 0, NONE, None
        hashed = 0
        for i, line in enumerate(lines):
            try:
                head = _decode_head(line)
                if head.role is not None and head.conversation_id == current is not None:
                    continue
                number = self._owner(head, i)
            except _UNUSUAL:
                number = self._judge(i)
            if number == owner:
                continue
            self._run(owner, lines[begun:i])
            begun, owner = i, number
            current = self.names[number] if number < _CONTROL else None
            if number == _CONTROL:
                self._seals.take(lines[hashed:i])
                self._control(i)
                hashed, owner = i + 1, NONE
        self._run(owner, lines[begun:])
        self._seals.take(lines[hashed:])
        self.end -= self.torn

    def count(self, run: int) -> int:
        """How many lines a run has."""
        return self._after(self.lines, run, self.line_count + 1) - self.lines[run]

    def stop(self, run: int) -> int:
        """The byte behind a run."""
        return self._after(self.starts, run, self.end)

    def runs(self, run: int, *, reverse: bool = False) -> Iterator[int]:
        """This run and those of the same conversation behind it (before it)."""
        links = self.before if reverse else self.behind
        while run != NONE:
            yield run
            run = links[run]

    def damage(self) -> list[Damage]:
        """What is wrong, in order of kind: seals, then malformed lines, the first 1,000 named."""
        found = [*self._seals.damage, *self._seals.unfinished(self.line_count), *self._named]
        if self.malformed > len(self._named):
            more = self.malformed - len(self._named)
            found.append(Damage("malformed", self._named[-1].position, f"{more} more such lines"))
        if self.finer:
            times = "a time is" if self.finer == 1 else f"{self.finer:,} times are"
            why = f"{times} finer than microseconds, and rounded"
            found.append(Damage(FINER, str(self._finer_at), why))
        return found

    @staticmethod
    def _after(values: "array[int]", run: int, end: int) -> int:
        return values[run + 1] if run + 1 < len(values) else end

    def _owner(self, head: _Head, i: int) -> int:
        """The conversation of a line that parsed."""
        name = self._conversation if head.conversation_id is None else head.conversation_id
        if head.role is None or not name:
            return self._judge(i)
        number = self._numbers.get(name)
        if number is None or number in self._integers:
            if number is not None or len(name) > jsonlines.SHORT_ID:
                return self._judge(i)
            number = self._number(name)
            if head.at and head.reason is not None:
                self.begins[number] = head.at
        self._latest = number
        return number

    def _judge(self, i: int) -> int:
        """The conversation of any line, the slow way; NONE where the line is no record."""
        line = self._lines[i]
        if not line.strip():
            return NONE
        try:
            data = parse_json(line)
            if not isinstance(data, dict):
                raise ValueError("not a JSON object")
            if jsonlines.is_control(data):
                return _CONTROL
            if self._marks and "unreadable" in data:
                return self._mark(data)
            name = self._name(data)
            self._check_kind(name, data)
            number = self._number(name)
            if jsonlines.is_title(data):
                self._title(number, jsonlines.title_of({**data, "conversation_id": name}), i)
                self._latest = number
                return NONE
            self._latest = number
        except ValueError as error:
            if self.fits and self._is_torn(i) and jsonlines.begins_control(line):
                self._torn_control = True
                return _CONTROL
            self._malformed(i, error)
        return self._latest

    def _is_torn(self, i: int) -> bool:
        return self.torn and i == len(self._lines) - 1

    def _name(self, data: JSONObject) -> str:
        name = id_of(data.get("conversation_id", self._conversation))
        if name is None:
            raise ValueError("no conversation_id")
        if "conversation_id" not in data and "role" not in data:
            raise ValueError("no role")
        if not isinstance(name, str):
            raise ValueError("conversation_id is not text")
        if why := conversation_refusal(Conversation(name)):
            raise ValueError(why)
        return name

    def _check_kind(self, name: str, data: JSONObject) -> None:
        """ValueError where an id stands here as a number and there as text: perhaps two."""
        number = self._numbers.get(name)
        is_integer = type(data.get("conversation_id")) is int
        if number is None and is_integer:
            self._integers.add(len(self.names))  # which it will have
        elif number is not None and is_integer != (number in self._integers):
            raise ValueError(_TWO_KINDS)

    def _count_finer(self) -> None:
        """The times of these lines that are finer than microseconds."""
        for i, line in enumerate(self._lines):
            if not _MAY_BE_FINER(line):
                continue
            try:
                data = parse_json(line)
            except ValueError:
                continue
            if isinstance(data, dict) and is_finer(data.get("created_at")):
                self.finer += 1
                self._finer_at = self._finer_at or self._block_line + i

    def _number(self, name: str) -> int:
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self.names)
            self.names.append(name)
            for values in (self.first_run, self.last_run):
                values.append(NONE)
            for values in (self.counts, self.last_line_at, self.title_at, self.extra_at):
                values.append(0)
            self._seals.stretch_of.append(0)
            if number == 0:
                self._adopt()
        return number

    def _adopt(self) -> None:
        """Give the malformed lines before the first conversation to it."""
        for run, owner in enumerate(self.owners):
            if owner == _PENDING:
                self._link(run, 0, self.starts[run])

    def _run(self, owner: int, lines: list[bytes]) -> None:
        """Write down a run that has ended."""
        if not lines:
            return
        if owner == _PENDING and self.names:
            owner = 0
        start = self.end
        self.starts.append(start)
        self.lines.append(self.line_count + 1)
        self.owners.append(owner)
        self.behind.append(NONE)
        self.before.append(NONE)
        self.end = start + sum(map(len, lines)) + len(lines)
        self.line_count += len(lines)
        if owner < _CONTROL:
            self._link(len(self.starts) - 1, owner, self.end - len(lines[-1]) - 1)

    def _link(self, run: int, owner: int, last_line_at: int) -> None:
        """Put a run behind the others of its conversation."""
        last = self.last_run[owner]
        if last == NONE:
            self.first_run[owner] = run
        else:
            self.behind[last] = run
        self.owners[run] = owner
        self.before[run] = last
        self.last_run[owner] = run
        self.last_line_at[owner] = last_line_at
        self.counts[owner] += self.count(run)
        self._seals.count(owner, self.count(run))

    def _title(self, number: int, conversation: Conversation, i: int) -> None:
        at = self._block_start + sum(map(len, self._lines[:i])) + i + 1
        if conversation.title is not None:
            self.title_at[number] = at
        if conversation.extra is not None:
            self.extra_at[number] = at

    def _mark(self, data: JSONObject) -> int:
        position, why = data["unreadable"]
        self._name_malformed(position, why)
        name = data.get("conversation_id")
        if isinstance(name, str) and not conversation_refusal(Conversation(name)):
            self._latest = self._number(name)
        return self._latest

    def _malformed(self, i: int, error: ValueError) -> None:
        torn = self._is_torn(i) and not is_json(self._lines[i])
        why = jsonlines.TORN if torn else jsonlines.reason(error)
        self._name_malformed(str(self._block_line + i), why)

    def _name_malformed(self, position: str, why: str) -> None:
        self.malformed += 1
        if len(self._named) < _NAMED_LINES:
            self._named.append(Damage("malformed", position, why))

    def _control(self, i: int) -> None:
        line = self._lines[i]
        whole = not self._is_torn(i)
        stop = self.end + len(line) + whole
        at = self._block_line + i
        if self._torn_control:
            self._seals.torn(at)
            return
        opening = self._seals.control(line + (b"\n" if whole else b""), at)
        if self._joined:
            return
        if opening is False:
            if self._export.line and self._export.spans[-1][1] == 0:
                self._export.spans[-1] = (self._export.spans[-1][0], stop)
            self._export = self.exports[0]
        else:
            part = opening if isinstance(opening, PartOf) else None
            self._export = self._opened(part, at)
            self._export.spans.append((self.end, 0))
        self._numbers = self._export.numbers

    def _opened(self, part: PartOf | None, line: int) -> Export:
        """The export that goes on behind an opening: a new one, or that of the part before."""
        last = self.exports[-1]
        if part is not None and last.part is not None:
            following = PartOf(last.part.set, last.last + 1, last.part.of)
            if part == following:
                last.last = part.part
                return last
        self.exports.append(Export(line, part=part, last=part.part if part else 0))
        return self.exports[-1]
