"""The journal of a backup: what was about to be done with its conversations, and what was done.

A line each, with a checksum before it: `1c291ca3 {"do": "removed", "numbers": [[0, 41]]}`. What is
about to be done is on the disk before a store is touched (`removing`, `restoring`, with the token
that the store is given); what became of it follows (`removed`, `void`: it was not removed after
all; `restored`). The last word on a number counts. A last line that was cut short was never
finished, and is passed; any other that is not as it was written is damage.
"""

import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from synmem.errors import CorruptData, SynmemError
from synmem.store import Position

Word = Literal["removing", "removed", "void", "restoring", "restored", "undone"]

_OLD: Final = frozenset({"removed", "void", "restoring", "restored", "undone"})
_encode = msgspec.json.Encoder().encode


class Line(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One line: a word on the conversations of these numbers (spans, both ends included).

    `sequence` orders removals, by a counter and not by the clock. The write that a line announces
    has the token `TOKEN.NUMBER`, or where all went in one write (`together`) TOKEN. `fronts`:
    where a conversation began before it is restored, and where it begins since.
    """

    do: Word
    numbers: list[tuple[int, int]] = []
    token: str = ""
    sequence: int = 0
    together: bool = False
    fronts: dict[int, Position] = {}


class Fate(msgspec.Struct, frozen=True):
    """The last word on a conversation of a backup, and what belongs to it."""

    word: Word | None = None
    token: str = ""
    sequence: int = 0
    front: Position | None = None


_decode = msgspec.json.Decoder(Line).decode


class Journal:
    """The journal file in the folder of a backup; an `old` one may have lines without checksum."""

    def __init__(self, folder: Path, *, old: bool = False) -> None:
        self.path = folder / "journal"
        self._old = old
        self._file: int | None = None

    def write(self, line: Line) -> None:
        """Add a line; it is on the disk when this returns."""
        text = _encode(line)
        data = b"%08x %s\n" % (zlib.crc32(text), text)
        try:
            if self._file is None:
                self._file = self._opened()
            while data:  # of a long line a disk that is nearly full takes a part
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        except OSError as error:
            self.close()  # opened again, it is cut behind its last whole line
            why = error.strerror or error
            raise SynmemError(f"{self.path}: cannot be written: {why}") from error

    def note(
        self, do: Word, numbers: Iterable[int], fronts: Mapping[int, Position] | None = None
    ) -> None:
        """Add what became of these numbers; nothing for none."""
        if spans := spans_of(numbers):
            self.write(Line(do, spans, fronts=dict(fronts or {})))

    def fates(self, count: int) -> dict[int, Fate]:
        """The last word on each of so many numbers, and on the backup itself under -1; CorruptData
        where a line is damaged."""
        fates: dict[int, Fate] = {}
        for number, data in enumerate(self._lines(), 1):
            try:
                line = self._line(data)
            except ValueError as error:
                raise CorruptData(f"{self.path}: damaged at line {number}: {error}") from error
            for first, last in line.numbers or [(-1, -1)]:
                for each in range(first, min(last, count - 1) + 1):
                    fates[each] = _fate(line, each, fates.get(each, Fate()))
        return fates

    def words(self) -> set[Word]:
        """All words that were written; CorruptData where a line is damaged."""
        try:
            return {self._line(data).do for data in self._lines()}
        except ValueError as error:
            raise CorruptData(f"{self.path}: damaged: {error}") from error

    def close(self) -> None:
        """Give the file back; twice is once."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _lines(self) -> list[bytes]:
        try:
            return self.path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CorruptData(f"{self.path}: {error.strerror or error}") from error

    def _line(self, data: bytes) -> Line:
        if self._old and (old := _old_line(data)) is not None:
            return old
        check, _, text = data.partition(b" ")
        if check != b"%08x" % zlib.crc32(text):
            raise ValueError("it is not as it was written")
        return _decode(text)

    def _opened(self) -> int:
        """The file, to be written behind its last whole line."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        file = os.open(self.path, flags, 0o600)
        try:
            data = self.path.read_bytes()
            os.ftruncate(file, data.rfind(b"\n") + 1)
        except BaseException:
            os.close(file)
            raise
        return file


def spans_of(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Numbers as spans, both ends included."""
    spans: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if spans and number <= spans[-1][1] + 1:
            spans[-1] = spans[-1][0], number
        else:
            spans.append((number, number))
    return spans


def _old_line(data: bytes) -> Line | None:
    """A line as it was written without checksums: `restored 3`."""
    word, _, number = data.decode("ascii", "replace").partition(" ")
    if word not in _OLD or not number.lstrip("-").isdecimal():
        return None
    spans = [] if number == "-1" else [(int(number), int(number))]
    return msgspec.convert({"do": word, "numbers": spans}, Line)


def _fate(line: Line, number: int, before: Fate) -> Fate:
    token = before.token
    if line.token:
        token = line.token if line.together else f"{line.token}.{number}"
    return Fate(line.do, token, line.sequence or before.sequence, line.fronts.get(number))
