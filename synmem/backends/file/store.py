"""Conversations in a file, read-only: JSON Lines as `export` writes it, JSON or CSV.

Data layout: that of `layouts/interchange/jsonl.py`, read where it lies. JSON and CSV are first
turned into JSON Lines in a temporary file without a name, and what cannot be sought in (a pipe) is
copied into one. A position is a line's number, from 1 (of the temporary file, where there is
one). Lines of one conversation belong together wherever they stand, in file order. A malformed
line stands as `Unreadable` in the conversation of the line before it (of the next, if it is the
first). The last title line that names a title or an extra counts.

Sealed exports in one file are each by themselves: `exports` has them, and of a conversation that
is in several the longest is shown. The parts of a split export, one behind the other, are one.

The file is read through once when it is opened, for the index of `line_index.py`. Lines
that another program appends are found at the next read; any other change is `Changed`: by its
inode, size and times before and after each page, and in the end by what was read of it.
"""

import asyncio
import hashlib
import os
import threading
import time
from array import array
from bisect import bisect_right
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar, cast

from synmem.backends.file.line_index import NONE, Index
from synmem.backends.file.opening import (
    FORMS,
    Opened,
    Reading,
    Steps,
    changed,
    indexing,
    is_json,
    opening,
    tail,
    translating,
    unchanged,
)
from synmem.errors import Changed, Unsupported, UsageError
from synmem.finishing import to_its_end
from synmem.layouts.interchange import jsonl as jsonlines
from synmem.messages import Conversation, Damage, Holds, Message, Unreadable, parse_json
from synmem.store import (
    HARMLESS,
    SEVERAL,
    START,
    ConversationInfo,
    Exported,
    Page,
    Part,
    Parts,
    Position,
    Store,
)

_LOOKED_AT: Final = 100  # conversations, before an interrupt is heard

_SLICE_S: Final = 0.1  # how long a thread works before an interrupt is heard

_T = TypeVar("_T")


async def open(
    settings: Mapping[str, Any], *, write: bool = False, page_size: int = 1000
) -> "FileStore":
    """The conversations of the file `path`.

    `format` is auto, jsonl, json or csv; `conversation` the id of messages that carry none; `raw`
    says that a CSV has no guard, `joined` that all sealed exports in the file are one; `timezone`
    is that of times without one; `name` is what the file is called in output.
    """
    path = Path(settings["path"]).expanduser()
    name = str(settings.get("name") or path)
    form = str(settings.get("format") or "auto")
    if form not in FORMS:
        raise UsageError(f"no file format is called {form!r}", hint=f"one of {', '.join(FORMS)}")
    if write and not path.is_dir():  # a folder is named as what it is when it is opened
        _refuse_writing(name)
    raw, joined = bool(settings.get("raw")), bool(settings.get("joined"))
    reading = Reading(
        form, settings.get("conversation"), raw, joined, _timezone(settings.get("timezone"))
    )
    return FileStore(path, name, await _in_slices(opening(path, name, reading)), page_size)


def _timezone(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    from synmem.layouts.interchange.ordinary import zone

    try:
        return zone(name)
    except ValueError as error:
        raise UsageError(str(error), hint="Europe/Berlin, +02:00, UTC or local") from error


class _Shared:
    """What the stores of all exports in one file have together."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.seeking = threading.Lock()
        self.looking = asyncio.Lock()


class FileStore:
    """A `Store` over one file, which it never writes; it can tell whether a seal fits."""

    holds = Holds()

    def __init__(self, path: Path, name: str, opened: Opened, page_size: int) -> None:
        self.name = name
        self._path = path
        self._file = opened.file
        self._page_size = page_size
        self._shared = _Shared(opened)
        self._only: int | None = None
        """Which of the exports in the file it is; None: all of them."""

    def refusal(self, message: Message) -> str | None:
        """It holds no new message."""
        return "a file is only read"

    async def append(self, parts: Sequence[Part], *, keep: int | None = None) -> list[Position]:
        """Unsupported."""
        _refuse_writing(self.name)

    async def delete(self, conversation: str, *, upto: Position | None = None) -> bool:
        """Unsupported."""
        _refuse_writing(self.name)

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
    ) -> None:
        """Unsupported."""
        _refuse_writing(self.name)

    async def read(
        self,
        conversations: Sequence[str],
        *,
        after: Position = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Page]:
        """See `Store.read`; conversations come in the order in which they begin."""
        index = await self._look()
        known = self._numbers(index)
        numbers = [known.get(name, NONE) for name in dict.fromkeys(conversations)]
        if after != START and NONE in numbers:
            raise self._changed()
        found = sorted((n for n in numbers if n != NONE), key=index.first_run.__getitem__)
        pages = (
            page
            for number in found
            for page in self._pages(index, number, after, reverse=reverse, limit=limit)
        )
        while some := await asyncio.to_thread(self._next, pages):
            for page in some:
                yield page

    async def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`; in the order in which they are first named."""
        index = await self._look()
        known = self._numbers(index)
        chosen: Iterable[int] = known.values()
        if ids is not None:
            chosen = [known[name] for name in dict.fromkeys(ids) if name in known]
        there = [number for number in chosen if index.counts[number]]
        for start in range(0, len(there), self._page_size):
            page = there[start : start + self._page_size]
            if details:
                yield await asyncio.to_thread(self._infos, index, page)
            else:
                yield [ConversationInfo(id=index.names[number]) for number in page]

    async def damage(self) -> list[Damage]:
        """What is wrong with seals ("cut short", "altered") and lines ("malformed").

        Of malformed lines the first 1,000 are named. Here a line counts as malformed where its
        conversation cannot be told; one that is no message otherwise comes from `read`.
        """
        index = await self._look()
        found = index.damage()
        held = [each for each in index.exports if each.numbers]
        broken = any(each.kind not in HARMLESS for each in found)
        if broken or len(index.numbers) == sum(len(each.numbers) for each in held):
            return found
        why = (
            f"{len(held)} exports stand in it, one behind the other: of a conversation that is in "
            "several the longest is read; `import` and `migrate` bring each by itself"
        )
        return [*found, Damage(SEVERAL, str(held[-1].line), why)]

    def begins_at(self, conversation: str) -> int:
        """How many messages stand before its first one here; more than 0 in a rejects file."""
        index = self._shared.opened.index
        return index.begins.get(self._numbers(index).get(conversation, NONE), 0)

    async def exports(self) -> list[Exported]:
        """See `SupportsExports`."""
        index = await self._look()
        held = [i for i, each in enumerate(index.exports) if each.line or each.numbers]
        return [self._exported(index, number, len(held) == 1) for number in held or [0]]

    async def check_unchanged(self) -> None:
        """See `SupportsUnchanged`: of JSON Lines; other forms were held against the file when it
        was opened."""
        opened = self._shared.opened
        if opened.identity is not None:
            same = unchanged(self._file, self._path, opened.identity, opened.index)
            if not await _in_slices(self._alone(same)):
                raise self._changed()

    def _alone(self, steps: Steps[_T]) -> Steps[_T]:
        """These steps, each while nobody else seeks in the file."""
        while True:
            with self._shared.seeking, translating(self.name):
                try:
                    next(steps)
                except StopIteration as stop:
                    return cast(_T, stop.value)
            yield

    async def total(self) -> int:
        """See `SupportsTotal`: the index has counted them."""
        index = await self._look()
        if len(index.exports) == 1:
            return sum(index.counts)
        return sum(index.counts[number] for number in self._numbers(index).values())

    async def version(self) -> str | None:
        """See `SupportsChanges.version`; it tells none."""
        return None

    async def fingerprints(self, upto: Mapping[str, Position]) -> dict[str, str]:
        """See `SupportsChanges.fingerprints`: digests of the lines, read again."""
        index = await self._look()
        known = self._numbers(index)
        there = [name for name in upto if name in known]
        found: dict[str, str] = {}
        for start in range(0, len(there), _LOOKED_AT):
            some = {name: int(upto[name]) for name in there[start : start + _LOOKED_AT]}
            found.update(await asyncio.to_thread(self._prints, index, some))
        return found

    def _prints(self, index: Index, upto: Mapping[str, int]) -> dict[str, str]:
        found = {}
        known = self._numbers(index)
        with self._shared.seeking, translating(self.name):
            if self._shared.opened.identity is not None:
                self._still()
            for name, last in upto.items():
                told = hashlib.sha256()
                for lines, numbers in self._stretches(index, known[name], START, reverse=False):
                    if numbers.start > last:
                        break
                    told.update(b"\n".join([*lines[: last - numbers.start + 1], b""]))
                found[name] = told.hexdigest()
        return found

    async def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def _exported(self, index: Index, number: int, alone: bool) -> Exported:
        export = index.exports[number]
        store = copy(self)
        store._only = number
        first = export.part
        parts = Parts(first.set, first.part, export.last, first.of) if first else None
        spans: list[tuple[int, int]] | None = export.spans if export.line else None
        if self._shared.opened.reading.converted:
            spans = None
        elif alone:
            spans = [(index.begin, index.end)]
        return Exported(cast(Store, store), list(export.numbers), parts, spans)

    def _numbers(self, index: Index) -> dict[str, int]:
        """The conversations, and what the index calls them."""
        return index.numbers if self._only is None else index.exports[self._only].numbers

    async def _look(self) -> Index:
        """The index, with what was appended to the file since."""
        async with self._shared.looking:
            opened = self._shared.opened
            if opened.identity is not None:
                now = self._still()
                if now.st_size > opened.identity.st_size:
                    await _in_slices(self._grow(opened, now))
            return self._shared.opened.index

    def _still(self) -> os.stat_result:
        """The file's state, which may have grown but not changed otherwise."""
        before = cast(os.stat_result, self._shared.opened.identity)
        try:
            now = self._path.stat()
        except OSError:
            raise self._changed() from None
        grew = now.st_size > before.st_size
        same = now.st_size == before.st_size and now.st_mtime_ns == before.st_mtime_ns
        if (now.st_dev, now.st_ino) != (before.st_dev, before.st_ino) or not (grew or same):
            raise self._changed()
        return now

    def _hold(self, now: os.stat_result) -> None:
        """The file is read again where only its own clock says that it was written to: a time of
        change can be set back, and a mere `chmod` is no harm."""
        opened = self._shared.opened
        before = cast(os.stat_result, opened.identity)
        if now.st_size == before.st_size and now.st_ctime_ns != before.st_ctime_ns:
            if not _ended(unchanged(self._file, self._path, before, opened.index)):
                raise self._changed()
            self._shared.opened = replace(opened, identity=now)

    def _grow(self, opened: Opened, now: os.stat_result) -> Steps[None]:
        with self._shared.seeking, translating(self.name):
            if tail(self._file, opened.index.end) != opened.tail:
                raise self._changed()
        index = opened.index
        if index.torn:  # its last line may have gone on
            index = opened.reading.index(self._file)
        yield from self._alone(indexing(index, self._file, self.name))
        self._shared.opened = Opened(
            self._file, index, opened.reading, now, tail(self._file, index.end)
        )

    def _next(self, pages: Iterator[Page]) -> list[Page]:
        """So many pages as hold a page's worth of messages: small conversations come together."""
        some: list[Page] = []
        messages = 0
        with self._shared.seeking, translating(self.name):
            if self._shared.opened.identity is not None:
                self._hold(self._still())
            for page in pages:
                some.append(page)
                messages += len(page.items)
                if messages >= self._page_size:
                    break
            if self._shared.opened.identity is not None:
                self._still()
        return some

    def _pages(
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
            raise self._changed()
        return run, line

    def _run_lines(self, index: Index, run: int) -> tuple[list[bytes], range]:
        start, first = index.starts[run], index.lines[run]
        self._file.seek(start)
        data = self._file.read(index.stop(run) - start)
        lines = data.removesuffix(b"\n").split(b"\n")
        if len(lines) != index.count(run):
            raise self._changed()
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
            if self._shared.opened.reading.converted and (mark := jsonlines.mark_of(line)):
                return mark
            torn = index.torn and number == index.line_count and not is_json(line)
            why = jsonlines.TORN if torn else jsonlines.reason(error)
            return Unreadable(str(number), why, line.decode("utf-8", "surrogateescape"))

    def _read(self, line: bytes) -> Message:
        told = self._shared.opened.reading
        return jsonlines.read_line(line, conversation=told.conversation, timezone=told.timezone)

    def _infos(self, index: Index, numbers: Sequence[int]) -> list[ConversationInfo]:
        with self._shared.seeking, translating(self.name):
            if self._shared.opened.identity is not None:
                self._still()
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
        self._file.seek(start)
        return self._file.readline()

    def _changed(self) -> Changed:
        return changed(self.name)


def _page(conversation: str, items: list[Message | Unreadable], places: "array[int]") -> Page:
    return Page(conversation, items, lambda i: str(places[i]))


async def _in_slices(steps: Steps[_T]) -> _T:
    """Do the work in threads, a slice after another, so that an interrupt is heard."""
    try:
        while True:
            work = asyncio.ensure_future(asyncio.to_thread(_advance, steps))
            try:
                done = await asyncio.shield(work)
            except asyncio.CancelledError:
                await to_its_end(asyncio.wait([work]))
                if work.exception() is None and (done := work.result()) is not None:
                    _close(done[0])  # it came to its end just then
                raise
            if done is not None:
                return done[0]
    finally:
        steps.close()


def _ended(steps: Steps[_T]) -> _T:
    """All the work at once."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return cast(_T, stop.value)


def _close(result: object) -> None:
    if isinstance(result, Opened):
        result.file.close()


def _advance(steps: Steps[_T]) -> tuple[_T] | None:
    """Work for a while; the result, in a tuple, when it is there."""
    until = time.monotonic() + _SLICE_S
    while time.monotonic() < until:
        try:
            next(steps)
        except StopIteration as stop:
            return (stop.value,)
    return None


def _refuse_writing(name: str) -> NoReturn:
    raise Unsupported(
        f"{name} is a file, which synmem only reads",
        hint="`synmem export -o FILE` writes such a file anew",
    )
