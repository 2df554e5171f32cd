"""Interchange lines of other programs' files, made by several processes of ours: reading, and
making messages and lines of it, is all that an export takes time for.

A process gets on stdin, one after another, which conversations it is to read, and gives on stdout
the lines of each; nothing of one in which something cannot be read: that comes in pages, from the
store itself, as all does until enough was asked for.
"""

import asyncio
import gc
import sys
from collections import deque
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import IO, Final, NamedTuple

import msgspec

from synmem.backends.file import processes
from synmem.backends.file.foreign_source import Asked, FilesSource
from synmem.backends.file.foreign_units import Tellings, Units, UnitsAnew
from synmem.backends.file.processes import Process
from synmem.backends.paging import storable
from synmem.backends.whole import WholeStore
from synmem.errors import CorruptData
from synmem.finishing import to_its_end
from synmem.layouts.interchange.jsonl import title_line
from synmem.layouts.shapes import MALFORMED
from synmem.messages import Conversation, Holds, Message, encode_parsed
from synmem.store import Lines, Page

_BEGIN_AT: Final = 1 << 22
"""After so many bytes of what is much altogether, processes are begun."""

_PORTION: Final = 1 << 22
"""So many bytes are asked for at once."""


_MOST: Final = 1 << 33
"""So many bytes are sent at once, at the most: those of one conversation."""


class _Part(msgspec.Struct, array_like=True):
    """How many messages a conversation has, and how many bytes of what is answered are its title
    line, if it has one, and their lines."""

    messages: int
    title: int
    lines: int


class _Answers(NamedTuple):
    """Title lines and lines of the conversations that were asked for, one behind another."""

    parts: list[_Part | None]
    """Of each: None where it must be read in pages."""
    data: bytes


_decode_units: Final = msgspec.msgpack.Decoder(UnitsAnew).decode
_decode_asked: Final = msgspec.msgpack.Decoder(list[Asked]).decode
_decode_parts: Final = msgspec.msgpack.Decoder(list[_Part | None]).decode


class LinesStore(WholeStore):
    """A `WholeStore` of files that makes lines (`SupportsLines`), without other branches."""

    def __init__(self, source: FilesSource, holds: Holds, remark: str, *, page_size: int) -> None:
        super().__init__(source, holds, remark, branches=False, page_size=page_size)
        self._files = source
        self._asked_for = 0
        """How many bytes of files lines were asked for of."""
        self._readers: _Readers | None = None
        self._coming: deque[_Portion] = deque()
        """What is asked for before it is wanted: what will be next, where all are wanted."""
        self._wasted: deque[_Portion] = deque()
        """What was asked for so, and was not wanted; then no more is."""

    async def described(self, conversations: Sequence[str]) -> list[str]:
        """See `SupportsLines.described`: none, since their title lines are made here too."""
        return []

    async def lines(
        self, conversations: Sequence[str], *, apart: Collection[str] = ()
    ) -> AsyncGenerator[Lines | Page, None]:
        """See `SupportsLines.lines`. Those that come together have their title lines."""
        wanted = await self._files.asked(storable(conversations))
        readers = await self._begun(sum(each.size for each in wanted))
        if readers is None or not wanted:
            async for page in self.read(conversations):
                yield page
            return
        queue = self._taken_up(wanted)
        rest = _portions(wanted[sum(len(each.asked) for each in queue) :])
        next_ = _portions(self._following(wanted))
        try:
            while True:
                has_room = _size(queue) < readers.room
                if has_room and (some := next(rest, None)):
                    queue.append(readers.begin(some))
                elif not queue:
                    return
                else:
                    has_room = _size(queue) + _size(self._coming) < readers.room
                    if has_room and (some := next(next_, None)):
                        self._coming.append(readers.begin(some))
                    async for each in self._given(queue.popleft(), apart):
                        yield each
        finally:
            await _stopped(queue)

    def _taken_up(self, wanted: Sequence[Asked]) -> "deque[_Portion]":
        """What was asked for already of what is wanted now."""
        taken: deque[_Portion] = deque()
        at = 0
        while self._coming and (some := self._coming[0].asked) == wanted[at : at + len(some)]:
            taken.append(self._coming.popleft())
            at += len(some)
        self._wasted += self._coming
        self._coming.clear()
        return taken

    def _following(self, wanted: Sequence[Asked]) -> list[Asked]:
        """What will be wanted next, if as many are."""
        return self._files.following(wanted[-1].id, len(wanted)) if not self._wasted else []

    async def _begun(self, size: int) -> "_Readers | None":
        """Who reads; None where that is this process, since it would not be for long."""
        self._asked_for += size
        is_much = self._asked_for >= _BEGIN_AT and self._files.size >= processes.WORTH_IT
        if self._readers is None and is_much and (count := processes.most()) > 1:
            anew = self._files.anew()
            if anew is not None:
                self._readers = await asyncio.to_thread(_Readers, anew, count)
        return self._readers if self._readers is not None and self._readers.room else None

    async def _given(
        self, portion: "_Portion", apart: Collection[str]
    ) -> AsyncGenerator[Lines | Page, None]:
        parts, data = await portion.answers
        told = [part.messages for part in parts if part is not None and part.messages]
        if len(told) == len(parts) > 1 and not apart:
            ids = [one.id for one in portion.asked]
            self._were_read.update(ids)
            yield Lines(ids, sum(told), data)
            return
        at = 0
        for one, part in zip(portion.asked, parts, strict=True):
            if part is None:
                async for page in self.read([one.id]):
                    yield page
                continue
            self._were_read.add(one.id)
            start, at = at + part.title, at + part.title + part.lines
            if part.messages:
                yield Lines([one.id], part.messages, data[start:at])

    async def close(self) -> None:
        """See `Store.close`."""
        await _stopped(self._coming)
        await _stopped(self._wasted)
        if self._readers is not None:
            await asyncio.to_thread(self._readers.close)
        await super().close()


class _Portion(NamedTuple):
    """What was asked for at once, and who will have the answers."""

    asked: list[Asked]
    answers: asyncio.Task[_Answers]


def _size(portions: Iterable[_Portion]) -> int:
    return sum(each.size for portion in portions for each in portion.asked)


async def _stopped(portions: deque[_Portion]) -> None:
    """None of it is wanted."""
    tasks = [portion.answers for portion in portions]
    portions.clear()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _portions(asked: Sequence[Asked]) -> Iterator[list[Asked]]:
    """What is asked for at once."""
    some: list[Asked] = []
    size = 0
    for each in asked:
        some.append(each)
        size += each.size
        if size >= _PORTION:
            yield some
            some, size = [], 0
    if some:
        yield some


class _Readers:
    """Processes that read; each does one thing after another."""

    def __init__(self, anew: UnitsAnew, count: int) -> None:
        self._processes: list[Process] = []
        self._free: asyncio.Queue[Process] = asyncio.Queue()
        with suppress(OSError, UnicodeError):
            for _ in range(count):
                process = processes.begin(__name__)
                self._processes.append(process)
                self._free.put_nowait(process)
                assert process.stdin is not None
                _send(process.stdin, msgspec.msgpack.encode(anew))

    @property
    def room(self) -> int:
        """So many bytes are asked for before the first of them are taken, or else one conversation;
        none where there is no process."""
        return (2 * len(self._processes) + 1) * _PORTION if self._processes else 0

    def begin(self, asked: list[Asked]) -> _Portion:
        """Ask a process for these: nothing is said of them where it fails."""
        return _Portion(asked, asyncio.create_task(self._answers(asked)))

    async def _answers(self, asked: list[Asked]) -> _Answers:
        process = await self._free.get()
        try:
            return await to_its_end(asyncio.to_thread(_answers, process, asked), hurry=process.kill)
        finally:
            self._free.put_nowait(process)

    def close(self) -> None:
        """End them, whatever they are at."""
        for process in self._processes:
            processes.end(process)


def _answers(process: Process, asked: list[Asked]) -> _Answers:
    with suppress(OSError, ValueError, MemoryError, msgspec.MsgspecError):
        assert process.stdin is not None and process.stdout is not None
        _send(process.stdin, msgspec.msgpack.encode(asked))
        parts, data = _decode_parts(_received(process.stdout)), _received(process.stdout)
        if [len(parts), len(data)] == [len(asked), sum(p.title + p.lines for p in parts if p)]:
            return _Answers(parts, data)
    process.kill()  # what else it may say is no answer to what is asked next
    return _Answers([None] * len(asked), b"")


def _send(pipe: IO[bytes], data: bytes) -> None:
    pipe.write(len(data).to_bytes(8))
    pipe.write(data)
    pipe.flush()


def _received(pipe: IO[bytes]) -> bytes:
    """What was sent; empty at the end. ValueError where that cannot be: it was another's."""
    size = int.from_bytes(pipe.read(8))
    if size > _MOST:
        raise ValueError(f"{size:,} bytes")
    return pipe.read(size)


# --- in such a process ----------------------------------------------------------------------


def main() -> None:
    """Answer what is asked on stdin, as long as something is."""
    asked_for, answers = sys.stdin.buffer, sys.stdout.buffer
    units = _decode_units(_received(asked_for)).opened()
    units.groups()  # which tells what files are called by those who speak of them
    gc.set_threshold(100_000, 50, 50)
    teller = _Teller(units)
    while data := _received(asked_for):
        parts = []
        lines: list[bytes] = []
        for asked in _decode_asked(data):
            answer = teller.answer(asked)
            parts.append(answer and _Part(answer[0], len(answer[1]), len(answer[2])))
            lines += answer[1:] if answer else ()
        _send(answers, msgspec.msgpack.encode(parts))
        _send(answers, b"".join(lines))


class _Teller:
    """Makes lines; of files that tell several conversations, one after another."""

    def __init__(self, units: Units) -> None:
        self._units = units
        self._last: tuple[tuple[str, int], Tellings] | None = None

    def answer(self, asked: Asked) -> tuple[int, bytes, bytes] | None:
        """How many messages a conversation has, its title line and their lines; None where
        something of it cannot be read, or is not as it was seen."""
        try:
            told = self._tellings(asked).get(asked.id)
            said = [] if told is None else [*told.messages]
        except (*MALFORMED, OSError, CorruptData):
            return None
        messages = [each for each in said if isinstance(each, Message)]
        if len(messages) < len(said):
            return None
        lines = encode_parsed(asked.id, messages)
        if told is None or lines is None:
            return None
        conversation = Conversation(asked.id, told.title or None, told.extra or None)
        return len(messages), title_line(conversation), lines

    def _tellings(self, asked: Asked) -> Tellings:
        if self._units.stamp(asked.files) != asked.stamp:
            raise CorruptData("it was written over")
        where = (asked.group, asked.entry.start)
        if self._last is None or self._last[0] != where:
            self._last = None  # its memory is used for the next
            self._last = where, self._units.told(asked.files, asked.group, asked.entry)
        return self._last[1]
