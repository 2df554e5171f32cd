"""What is read at once of other programs' files: files that belong together, or a value in a file;
and the conversations that each tells."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from synmem.backends.file.elements import Element, elements, elements_from, starts
from synmem.backends.file.finding import FilesFit, head_in
from synmem.backends.file.members import LARGEST, Anew, Member, Place, is_inside
from synmem.backends.file.opening import Steps
from synmem.backends.file.remembered import Chapter, Entry, Listed, about
from synmem.backends.telling import info_of
from synmem.errors import CorruptData
from synmem.layouts import registry
from synmem.layouts.heads import Head, is_json
from synmem.layouts.shapes import MALFORMED, Export, Files, Folder, Told, Value, reason
from synmem.messages import Conversation, conversation_refusal, parse_json

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_LINES: Final = 20
"""So many lines are looked at, to tell a file of JSON Lines from one that is damaged."""

_AGAIN_S: Final = 0.05
"""After so long a file that was read in the middle of being written anew is read once more."""

Tellings = Mapping[str, Told]
"""What conversations say, by their ids."""

_T = TypeVar("_T")


class NotOurs(ValueError):
    """Files of which nothing is of the layout."""


class Units:
    """Reads the files of a place as one layout."""

    def __init__(self, place: Place, fit: FilesFit) -> None:
        self._place = place
        self._fit = fit
        self._neighbours: dict[str, Mapping[str, str]] = {}
        """By folder, what files in it are called by those who speak of them."""

    def anew(self) -> "UnitsAnew | None":
        """How another process reads the same as fast; None where it cannot."""
        place = self._place.anew()
        shapes = [*registry.shapes(self._fit.layout, "file")]
        index = shapes.index(self._fit.shape)
        return None if place is None else UnitsAnew(place, self._fit.layout, index)

    def groups(self) -> dict[str, tuple[Sequence[str], list[Member]]]:
        """The files that are read together, by what they are known by, and their states."""
        members = self._place.members()
        self._neighbours.clear()
        return {
            name: (files, [members[file] for file in files])
            for name, files in self._fit.groups([*members]).items()
        }

    def stamp(self, files: Sequence[str]) -> list[Member]:
        """The states of these files now, those that are there."""
        return [member for file in files if (member := self._place.member(file))]

    def chapter(self, files: Sequence[str], name: str) -> Steps[Chapter]:
        """What these files tell, as they are now."""
        stamp = self.stamp(files)
        shape = self._fit.shape
        if isinstance(shape, Folder):
            entry = Entry([])
            self._listed(entry, partial(self._unfolded, shape, files, name))
            return Chapter(stamp, [entry])
        entries: list[Entry] = []
        try:
            yield from self._entries(shape, files[0], entries)
        except (OSError, CorruptData) as error:
            entries.append(Entry([], str(error)))
        return Chapter(stamp, entries)

    def parts(self, files: Sequence[str], count: int) -> list[tuple[int, int | None]]:
        """From which byte to which these files can be read in so many parts, or less, where they
        are one file of many values; else none."""
        shape = self._fit.shape
        if not isinstance(shape, Export):
            return []
        (file,) = files
        head = head_in(self._place, file)
        member = self._place.member(file)
        if member is None or shape.misses(head) is None:
            return []
        with self._place.open(file) as opened:
            begins = starts(opened, shape.at, member.size, count)
        return [*zip([0, *begins], [*begins, None], strict=True)]

    def part(self, file: str, start: int, stop: int | None) -> Steps[Chapter]:
        """One of these parts, as it is now; ValueError where it is none."""
        shape = self._fit.shape
        assert isinstance(shape, Export)
        seen = Chapter(self.stamp([file]), [])
        yield from self._values(shape, file, seen.entries, start, stop)
        return seen

    def told(self, files: Sequence[str], name: str, entry: Entry) -> Tellings:
        """What an entry of these files says; ValueError where nothing of it can be read."""
        shape = self._fit.shape
        if isinstance(shape, Folder):
            return self._unfolded(shape, files, name)
        data = self._place.read(files[0], entry.start, entry.stop - entry.start)
        return shape.unfold(Value(parse_json(data), entry.key, self._beside(shape, files[0])))

    # --- files that belong together ---

    def _unfolded(self, shape: Folder, files: Sequence[str], name: str) -> Tellings:
        """What files tell together; once more where they seem to be written just now."""
        try:
            return self._once(shape, files, name)
        except (NotOurs, CorruptData):
            raise
        except MALFORMED:
            time.sleep(_AGAIN_S)
            return self._once(shape, files, name)

    def _once(self, shape: Folder, files: Sequence[str], name: str) -> Tellings:
        data = {}
        for file in files:
            member = self._place.member(file)
            if member is None:
                continue
            if member.size > LARGEST:
                raise CorruptData(f"it is larger than {LARGEST:,} bytes")
            data[file] = self._place.read(file)
        if files and files[0] in data:
            self._check(shape, files[0], data[files[0]])
        return shape.unfold(Files(name, data))

    def _check(self, shape: Folder, file: str, data: bytes) -> None:
        """NotOurs, or ValueError with what it lacks, where a file is not of the layout; so too
        where it is damaged, so that nobody can tell."""
        head = Head.of(file, data)
        why = shape.misses(head)
        if why is None and not shape.distinct and data.strip() and _is_damaged(head):
            raise ValueError("it is no JSON")
        if why is None and (not shape.distinct or not data.strip()):
            raise NotOurs
        if why != "":
            raise ValueError(why or f"nothing of {self._fit.layout}'s is in it")

    # --- values in a file ---

    def _entries(self, shape: Export, file: str, entries: list[Entry]) -> Steps[None]:
        """Every value in a file; where the file cannot be read on, an entry that says why."""
        head = head_in(self._place, file)
        if head.value and shape.misses(head) is None:
            return  # it is another's; what is no JSON is named
        try:
            yield from self._values(shape, file, entries)
        except MALFORMED as error:
            entries.append(Entry([], f"behind {len(entries):,} conversations: {error}"))

    def _values(
        self,
        shape: Export,
        file: str,
        entries: list[Entry],
        start: int = 0,
        stop: int | None = None,
    ) -> Steps[None]:
        """An entry for each value of a file, or of a part of it; ValueError where the file cannot
        be read on, or that is no part."""
        beside = self._beside(shape, file)
        with self._place.open(file) as opened:
            found: Iterator[Element | None] = (
                elements_from(opened, start, stop) if start else elements(opened, shape.at, stop)
            )
            for element in found:
                if element is not None:
                    entries.append(self._element(shape, element, beside))
                yield

    def _element(self, shape: Export, element: Element, beside: Mapping[str, str]) -> Entry:
        entry = Entry([], "", element.key, element.start, element.stop)
        self._listed(entry, lambda: shape.unfold(Value(element.value, element.key, beside)))
        return entry

    def _beside(self, shape: Export, file: str) -> Mapping[str, str]:
        """The files beside one of which its values speak, by what they call them."""
        if shape.beside is None:
            return {}
        folder = file.rpartition("/")[0]
        if folder not in self._neighbours:
            names = [name for name in self._place.beside(file) if is_inside(name)]
            called = ((shape.beside(name), name) for name in reversed(names))
            self._neighbours[folder] = {by: name for by, name in called if by is not None}
        return self._neighbours[folder]

    def _listed(self, entry: Entry, tell: Callable[[], Tellings]) -> None:
        """Put what a listing shows into the entry."""
        try:
            entry.listed = [*_all_listed(tell())]
        except NotOurs:
            pass
        except (*MALFORMED, OSError, CorruptData) as error:
            entry.why = reason(error)


class UnitsAnew(NamedTuple):
    """How the files of a place are read as the same layout by another process."""

    place: Anew
    layout: str
    shape: int

    def opened(self) -> Units:
        """What reads them."""
        shape = registry.shapes(self.layout, "file")[self.shape]
        assert isinstance(shape, Export | Folder)
        return Units(self.place.opened(), FilesFit(self.layout, shape, alone=False))


def _is_damaged(head: Head) -> bool:
    """Whether a file that is called as one of JSON is none, neither whole nor line by line. What
    macOS lays beside files where they have no room for it is not."""
    name = head.name.rpartition("/")[2].lower()
    if not name.endswith((".json", ".jsonl")) or name.startswith("._") or head.lines:
        return False
    lines = islice(filter(bytes.strip, head.data.split(b"\n")), _LINES)
    if name.endswith(".jsonl") and any(map(is_json, lines)):
        return False
    return not is_json(head.data) if head.whole else head.value is None


def _all_listed(tellings: Tellings) -> Iterator[Listed]:
    for id_, told in tellings.items():
        if not told.messages:
            continue
        if why := conversation_refusal(Conversation(id_, told.title, told.extra or None)):
            raise ValueError(f"{id_[:80]!r}: {why}")
        info = info_of(id_, told.messages, told)
        yield Listed(
            id_,
            len(told.messages),
            _microseconds(info.first_at),
            _microseconds(info.last_at),
            about(told.title, told.extra),
            len(told.branches),
        )


def _microseconds(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


def moment_of(microseconds: int | None) -> datetime | None:
    """The time that is so many microseconds after the beginning of 1970."""
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)
