"""Files of other programs, as `layouts/shapes.py` has them, for all layouts: a folder, an archive,
or one file, packed or not. They are only read."""

import stat
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from synmem.backends.file.finding import FilesFit, Heads, choose, look
from synmem.backends.file.foreign_source import FilesSource
from synmem.backends.file.foreign_units import Units
from synmem.backends.file.forms import GZIP, ZIP, is_ours
from synmem.backends.file.lines import LinesStore
from synmem.backends.file.members import FilePlace, FolderPlace, Place
from synmem.backends.file.opening import BLOCK, Steps, head_of, spooled, translating
from synmem.backends.file.remembered import Remembered
from synmem.backends.whole import WholeStore
from synmem.errors import CorruptData, UnknownLayout
from synmem.layouts import naming, registry
from synmem.layouts.heads import SIZE, Head

_ENDINGS: Final = frozenset({".json", ".jsonl", ".md"})

_OF_OURS: Final = (".json", ".jsonl", ".ndjson", ".csv")
_SAMPLE: Final = 20
"""So many files of an archive that are called so are looked at, to tell whether they are ours."""


class Plain(NamedTuple):
    """A file of a form of our own, or of none that is known."""

    path: Path
    called: str
    """What it is called, less the ending of what it is packed in."""
    unpacked: BinaryIO | None
    """What it holds, where it was packed or came through a pipe."""

    @property
    def suffix(self) -> str:
        """With what its name ends, in small letters."""
        return Path(self.called).suffix.lower()

    def close(self) -> None:
        """Give back what is held."""
        if self.unpacked is not None:
            self.unpacked.close()


class Fitting(NamedTuple):
    """Files of another program's."""

    place: Place
    fit: FilesFit

    def close(self) -> None:
        """Give back what is held."""
        self.place.close()


def arriving(path: Path, name: str, form: str) -> Steps[Plain | Fitting]:
    """What lies at this path: of any layout and form, or of that which is named."""
    with translating(name):
        layout = form if form in registry.named("file") else None
        there = yield from _there(path, name)
        if isinstance(there, Plain):
            if layout is None and (form != "auto" or is_ours(_head(there), there.suffix)):
                return there
            place: Place = FilePlace(there.path, name, there.unpacked, _called(there))
        else:
            place = there
        try:
            return (yield from _fitting(there, place, layout))
        except BaseException:
            place.close()
            raise


def _there(path: Path, name: str) -> Steps[Plain | Place]:
    """A file, unpacked where it was packed, or a place of several."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        return FolderPlace(path, name)
    if not stat.S_ISREG(status.st_mode):
        file = path.open("rb")
        unpacked = yield from spooled(file, iter(lambda: file.read(BLOCK), b""))
        return Plain(path, path.name, unpacked)
    with path.open("rb") as file:
        head = head_of(file)
        if head.startswith((ZIP, GZIP)):
            from synmem.backends.file.unpacking import ZipPlace, gunzipped

        if head.startswith(ZIP):
            return ZipPlace(path, name)
        if head.startswith(GZIP):
            unpacked = yield from gunzipped(file, name, status.st_size)
            return Plain(path, path.stem if path.suffix.lower() == ".gz" else path.name, unpacked)
    return Plain(path, path.name, None)


def _called(plain: Plain) -> str:
    """What a file is called; with the ending of what it holds, where it has none that says it."""
    if plain.suffix in _ENDINGS:
        return plain.called
    head = Head(plain.called, (data := _head(plain)), whole=len(data) < SIZE)
    if len(head.lines) > 1 or not isinstance(head.value, dict | list | str):
        return f"{plain.called}{'.jsonl' if head.lines else '.md'}"
    return f"{plain.called}.json"


def _head(plain: Plain) -> bytes:
    if plain.unpacked is not None:
        return head_of(plain.unpacked)
    with plain.path.open("rb") as file:
        return head_of(file)


def _fitting(there: Plain | Place, place: Place, layout: str | None) -> Steps[Plain | Fitting]:
    """The layout of what lies there; where none fits, a file that may be ours, and the only one in
    an archive, is taken for one: then that says what is wrong with it."""
    found = yield from look(place, layout, alone=isinstance(there, Plain))
    if not found.fits and not found.almost and layout is None:
        if isinstance(there, Plain):
            return there
        if place.kind == "archive" and len(members := [*place.members()]) == 1:
            (member,) = members
            unpacked = place.open(member)
            if head_of(unpacked).startswith(GZIP):
                unpacked.close()
                why = f"{place.name}: {member} is compressed (gzip), in an archive"
                raise CorruptData(why, hint="unpack the archive first")
            place.close()
            return Plain(Path(place.name), member.rpartition("/")[2], unpacked)
    if not found.fits and place.kind == "archive" and layout is None:
        _refuse_several(place)
    is_folder = place.kind == "folder"
    return Fitting(place, choose(place.name, found, layout, is_folder=is_folder))


def _refuse_several(place: Place) -> None:
    """UnknownLayout, where an archive holds files that are read each by itself."""
    from synmem.backends.file.surveying import forms_in

    heads = Heads(place)
    some = islice((name for name in place.members() if name.lower().endswith(_OF_OURS)), _SAMPLE)
    found = [name for name in some if (head := heads.head(name)) and forms_in(head)]
    if found:
        others = " and others" if len(found) > 1 else ""
        why = f"{place.name}: {found[0]}{others} in this archive can be read only unpacked"
        raise UnknownLayout(why, hint="unpack it first")


def store_of(
    fitting: Fitting, path: Path, settings: Mapping[str, Any], page_size: int
) -> WholeStore:
    """The store of these files."""
    place, fit = fitting
    is_kept = place.name == str(path)  # what has another name is a copy that nobody finds again
    remembered = Remembered(path, fit.layout) if is_kept else None
    source = FilesSource(place, Units(place, fit), remembered, page_size=page_size)
    remark = naming.whose(fit.layout, fit.shape.version, place.kind)
    holds = fit.shape.holds
    if settings.get("branches"):
        return WholeStore(source, holds, remark, branches=True, page_size=page_size)
    return LinesStore(source, holds, remark, page_size=page_size)
