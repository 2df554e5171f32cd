"""Reading the messages of a file by its index: in pages, both ways, from any line on."""

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from synmem.backends.file.forms import is_json
from synmem.backends.file.held import Held
from synmem.backends.file.line_index import Index
from synmem.layouts.interchange import jsonl as jsonlines
from synmem.messages import Conversation, Message, Unreadable, parse_json
from synmem.store import START, ConversationInfo, Page, Position


class Reader:
    """Reads of one held file; a conversation is the number that the index calls it by."""

    def __init__(self, held: Held, page_size: int) -> None:
        self._held = held
        self._page_size = page_size

    def next(self, pages: Iterator[Page]) -> list[Page]:
        """So many pages as hold a page's worth of messages: small conversations come together."""
        some: list[Page] = []
        messages = 0
        with self._held.watched():
            for page in pages:
                some.append(page)
                messages += len(page.items)
                if messages >= self._page_size:
                    break
        return some

    def pages(
        self, index: Index, number: int, after: Position, *, reverse: bool, limit: int | None
    ) -> Iterator[Page]:
        """The pages of one conversation."""
        name, size = index.names[number], self._page_size
        items: list[Message | Unreadable] = []
        places = array("Q")
        left = limit
        for lines, numbers in self._stretches(index, number, after, reverse=reverse):
            if left is not None:
                lines, numbers = lines[:left], numbers[:left]
                left -= len(lines)
            items += jsonlines.read_lines(lines, name) or self._messages(index, lines, numbers)
            places.extend(numbers)
            full = len(items) - len(items) % size
            for start in range(0, full, size):
                yield _page(name, items[start : start + size], places[start : start + size])
            items, places = items[full:], places[full:]
            if left == 0:
                break
        if items:
            yield _page(name, items, places)

    def _stretches(
        self, index: Index, number: int, after: Position, *, reverse: bool
    ) -> Iterator[tuple[list[bytes], range]]:
        """A conversation's lines and their numbers, run by run, in reading direction."""
        first, anchor = self._anchor(index, number, after, reverse=reverse)
        for run in index.runs(first, reverse=reverse):
            lines, numbers = self._run_lines(index, run)
            if run == first and anchor:
                at = anchor - numbers.start
                kept = slice(0, at) if reverse else slice(at + 1, None)
                lines, numbers = lines[kept], numbers[kept]
            yield (lines[::-1], numbers[::-1]) if reverse else (lines, numbers)

    def _anchor(
        self, index: Index, number: int, after: Position, *, reverse: bool
    ) -> tuple[int, int]:
        """The run at which to begin, and the line in it behind which to; 0: at its beginning."""
        if after == START:
            return (index.last_run if reverse else index.first_run)[number], 0
        line = int(after) if after.isdecimal() else 0
        run = bisect_right(index.lines, line) - 1
        if run < 0 or index.owners[run] != number or line >= index.lines[run] + index.count(run):
            raise self._held.changed()
        return run, line

    def _run_lines(self, index: Index, run: int) -> tuple[list[bytes], range]:
        start, first = index.starts[run], index.lines[run]
        self._held.file.seek(start)
        data = self._held.file.read(index.stop(run) - start)
        lines = data.removesuffix(b"\n").split(b"\n")
        if len(lines) != index.count(run):
            raise self._held.changed()
        return lines, range(first, first + len(lines))

    def _messages(
        self, index: Index, lines: list[bytes], numbers: range
    ) -> list[Message | Unreadable]:
        try:
            return [self._read(line) for line in lines]
        except ValueError:
            return [self._message(index, *pair) for pair in zip(lines, numbers, strict=True)]

    def _message(self, index: Index, line: bytes, number: int) -> Message | Unreadable:
        try:
            return self._read(line)
        except ValueError as error:
            if self._held.reading.converted and (mark := jsonlines.mark_of(line)):
                return mark
            torn = index.torn and number == index.line_count and not is_json(line)
            why = jsonlines.TORN if torn else jsonlines.reason(error)
            return Unreadable(str(number), why, line.decode("utf-8", "surrogateescape"))

    def _read(self, line: bytes) -> Message:
        told = self._held.reading
        return jsonlines.read_line(line, conversation=told.conversation, timezone=told.timezone)

    def prints(
        self, index: Index, known: Mapping[str, int], upto: Mapping[str, int]
    ) -> dict[str, str]:
        """The digests of the lines of conversations, each up to and with a line."""
        found = {}
        with self._held.still():
            for name, last in upto.items():
                told = hashlib.sha256()
                for lines, numbers in self._stretches(index, known[name], START, reverse=False):
                    if numbers.start > last:
                        break
                    told.update(b"\n".join([*lines[: last - numbers.start + 1], b""]))
                found[name] = told.hexdigest()
        return found

    def infos(self, index: Index, numbers: Sequence[int]) -> list[ConversationInfo]:
        """What a listing shows of these."""
        with self._held.still():
            return [self._info(index, number) for number in numbers]

    def _info(self, index: Index, number: int) -> ConversationInfo:
        return ConversationInfo(
            id=index.names[number],
            messages=index.counts[number],
            first_at=self._time_at(index.starts[index.first_run[number]]),
            last_at=self._time_at(index.last_line_at[number]),
            title=self._titled(index.title_at[number]).title,
            extra=self._titled(index.extra_at[number]).extra,
        )

    def _time_at(self, start: int) -> datetime | None:
        try:
            return self._read(self._line_at(start)).created_at
        except ValueError:
            return None  # it comes from `read` as unreadable

    def _titled(self, at: int) -> Conversation:
        return jsonlines.title_of(parse_json(self._line_at(at - 1))) if at else Conversation("")

    def _line_at(self, start: int) -> bytes:
        self._held.file.seek(start)
        return self._held.file.readline()


def _page(conversation: str, items: list[Message | Unreadable], places: "array[int]") -> Page:
    return Page(conversation, items, lambda i: str(places[i]))
