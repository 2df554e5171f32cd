"""Whose files lie in a place: which layout of other programs they are of."""

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from synmem.backends.file.members import Member, Place
from synmem.errors import CorruptData, Emptied, UnknownLayout
from synmem.layouts import naming, registry
from synmem.layouts.heads import SIZE, Head
from synmem.layouts.shapes import Export, Folder

_SAMPLE: Final = 20
"""So many groups of files are looked at, from both ends, to tell whether they are of a layout."""


Groups = Mapping[str, Sequence[str]]


class FilesFit(NamedTuple):
    """Files that look like those of a layout."""

    layout: str
    shape: Export | Folder
    alone: bool
    """Whether the place is one file that was named: then its name tells nothing."""

    def groups(self, names: Sequence[str]) -> Groups:
        """Which of these files are read together: see `Folder.group`. Of an export, each by
        itself."""
        return groups_of(self.shape, names, alone=self.alone)


class Found(NamedTuple):
    """What a place was found to be."""

    fits: list[FilesFit]
    almost: list[str]
    """What is like a layout's, and what it lacks: words for a person."""
    broken: list[CorruptData]
    """Why files cannot be read of which somebody might be told by how they begin."""
    is_bare: bool
    """Whether it is sure that no file that is called like a layout's has anything in it."""


def look(place: Place, layout: str | None, *, alone: bool) -> Generator[None, None, Found]:
    """The layouts of which the files of this place are: of any, or of the one that is named; in
    steps of some milliseconds."""
    members = place.members()
    names = [*members]
    heads = Heads(place)
    fits: list[FilesFit] = []
    almost: list[str] = []
    is_bare = not place.closed
    for name in registry.named("file") if layout is None else [layout]:
        for shape in registry.shapes(name, "file"):
            assert isinstance(shape, Export | Folder)
            yield
            groups = groups_of(shape, names, alone=alone)
            if any(members[file].size for files in groups.values() for file in files):
                is_bare = False
            firsts = (files[0] for files in _some(groups, members))
            said = {first: heads.misses(shape, first) for first in firsts}
            if "" in said.values():
                fits.append(FilesFit(name, shape, alone))
                break
            almost.extend(f"{file} is like {name}'s: {why}" for file, why in said.items() if why)
    return Found(fits, almost, heads.broken, is_bare)


def choose(name: str, found: Found, layout: str | None, *, is_folder: bool) -> FilesFit:
    """The one layout that fits; Unnamed where several do, UnknownLayout where none does, Emptied
    where a folder has nothing of the one that is named, and where that cannot be told CorruptData.
    """
    if len(found.fits) == 1:
        return found.fits[0]
    if found.fits:
        layouts = [fit.layout for fit in found.fits]
        why = f"files of several layouts lie in it: {', '.join(layouts)}"
        raise naming.to_be_chosen(name, why, (naming.way(layout=each) for each in layouts))
    if found.broken:
        raise found.broken[0]
    what = "a layout that synmem knows" if layout is None else f"the layout {layout}"
    like = f" ({'; '.join(found.almost[:3])})" if found.almost else ""
    hint = f"it knows, in files, {', '.join(registry.named('file'))}" if layout is None else None
    where = f"{name} is a folder with" if is_folder else f"{name}:"
    if is_folder and layout is not None and found.is_bare:
        raise Emptied(f"{where} no conversations in {what}")
    raise UnknownLayout(f"{where} no conversations in {what}{like}", hint=hint)


def groups_of(shape: Export | Folder, names: Sequence[str], *, alone: bool) -> Groups:
    """See `FilesFit.groups`."""
    if isinstance(shape, Folder):
        return shape.group(names)
    fits = re.compile(shape.names).fullmatch
    return {name: (name,) for name in names if alone or fits(name.rpartition("/")[2])}


def _some(groups: Groups, members: Mapping[str, Member]) -> Iterator[Sequence[str]]:
    """Some of the groups that begin with something, from both ends."""
    of_all = [files for files in groups.values() if files and members[files[0]].size]
    yield from (
        of_all if len(of_all) <= _SAMPLE else of_all[: _SAMPLE // 2] + of_all[-_SAMPLE // 2 :]
    )


class Heads:
    """How the files of a place begin; each is looked at once."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._known: dict[str, Head | None] = {}
        self.broken: list[CorruptData] = []

    def head(self, name: str) -> Head | None:
        """How a file begins; None where it cannot be read."""
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def misses(self, shape: Export | Folder, name: str) -> str | None:
        """What a group that is known by that file lacks to be of this shape: see
        `Folder.misses`."""
        head = self.head(name)
        return None if head is None else shape.misses(head)

    def _read(self, name: str) -> Head | None:
        with suppress(OSError):
            try:
                return head_in(self._place, name)
            except CorruptData as error:
                self.broken.append(error)
        return None


def head_in(place: Place, name: str) -> Head:
    """How a file of this place begins."""
    return Head.of(name, place.read(name, 0, SIZE + 1))
