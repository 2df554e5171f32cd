"""Which files of a folder may be conversations, told by how they begin: no more of any is read."""

import re
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from pathlib import Path, PurePosixPath
from posixpath import commonpath
from typing import Final

from synmem.as_read import at_once
from synmem.backends import Sighting
from synmem.backends.file.finding import Heads, groups_of, look
from synmem.backends.file.forms import GZIP, ZIP, form_of
from synmem.backends.file.members import FolderPlace
from synmem.backends.file.opening import Steps
from synmem.backends.file.slices import in_slices
from synmem.backends.file.unpacking import ZipPlace
from synmem.errors import CorruptData
from synmem.layouts import registry
from synmem.layouts.heads import SIZE, Head
from synmem.layouts.interchange import csv_table
from synmem.layouts.shapes import Export, Folder

_PACKED: Final = (".zip", ".gz")
_ENDINGS: Final = (".json", ".jsonl", ".ndjson", ".csv", ".md", *_PACKED)
"""Other files are not looked into."""

_OF_A_FOLDER: Final = 3
"""So many groups of files are looked at in each folder, where names alone tell that they are of a
layout."""


async def survey(folder: Path, names: Sequence[str]) -> list[Sighting]:
    """See `backends.survey`."""
    return await in_slices(
        _survey(folder, sorted(n for n in names if n.lower().endswith(_ENDINGS)))
    )


def _survey(folder: Path, names: Sequence[str]) -> Steps[list[Sighting]]:
    place = FolderPlace(folder, str(folder))
    heads = Heads(place)
    found: list[Sighting] = []
    left: list[str] = []
    for name in names:
        yield
        if name.lower().endswith(_PACKED):
            found += _packed(place, name)
        elif (head := heads.head(name)) is not None:
            forms = forms_in(head)
            found += [Sighting("file", name, form) for form in forms]
            left += [] if forms else [name]
    for layout, shape in _shapes():
        yield
        hits = yield from _hits(heads, layout, shape, left)
        found += hits
        if isinstance(shape, Folder) and shape.distinct:
            taken = {hit.name for hit in hits if hit.is_folder}
            left = [name for name in left if _folder(name) not in taken]
    return found


def _shapes() -> list[tuple[str, Export | Folder]]:
    """The shapes of files, those first whose names alone tell them."""
    found = []
    for layout in registry.named("file"):
        for shape in registry.shapes(layout, "file"):
            assert isinstance(shape, Export | Folder)
            found.append((layout, shape))
    return sorted(found, key=lambda each: not (isinstance(each[1], Folder) and each[1].distinct))


def _hits(
    heads: Heads, layout: str, shape: Export | Folder, names: Sequence[str]
) -> Steps[list[Sighting]]:
    if isinstance(shape, Export):
        found = []
        for name in names:
            yield
            if name.lower().endswith(".json") and heads.misses(shape, name) == "":
                found.append(name)
        return _exports(layout, shape, found)
    return (yield from _folders(heads, layout, shape, names))


def _exports(layout: str, shape: Export, names: Sequence[str]) -> list[Sighting]:
    """These files; those of a folder that are numbered parts of one export, as that."""
    parts: dict[str, list[str]] = defaultdict(list)
    is_called = re.compile(shape.names).fullmatch
    for name in names:
        called = name.rpartition("/")[2]
        alike = re.sub("[0-9]+", "#", called) if is_called(called) else called
        parts[f"{_folder(name)}/{alike}"].append(name)
    return [
        Sighting("file", _folder(its[0]), layout, is_folder=True, within=_folder(its[0]))
        if len(its) > 1
        else Sighting("file", its[0], layout)
        for its in parts.values()
    ]


def _folders(
    heads: Heads, layout: str, shape: Folder, names: Sequence[str]
) -> Steps[list[Sighting]]:
    """The folders in which files of a layout are."""
    groups: dict[str, list[Sequence[str]]] = defaultdict(list)
    for key, files in shape.group(names).items():
        folders = [_folder(key), *([commonpath(map(_folder, files))] if len(files) > 1 else [])]
        groups[min(folders, key=len)].append(files)
    found = []
    for folder, its in groups.items():
        yield
        some = its[:_OF_A_FOLDER] if shape.distinct else its
        fit = [files for files in some if heads.misses(shape, files[0]) == ""]
        if fit:
            alone = fit[0][0] if len(fit) == len(fit[0]) == 1 and len(some) == len(its) else None
            within = _folder(fit[0][0])
            found.append(Sighting("file", folder, layout, True, alone, within))
    return found


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _packed(place: FolderPlace, name: str) -> list[Sighting]:
    """What a packed file may be."""
    layouts: list[str | None] = []
    with suppress(OSError, CorruptData, zlib.error):
        data = place.read(name, 0, SIZE)
        if data.startswith(ZIP):
            layouts = [*_zipped(place.path / name, name)]
        elif data.startswith(GZIP):
            plain = zlib.decompressobj(wbits=31).decompress(data, SIZE)
            layouts = [*_layouts(Head(name.removesuffix(".gz"), plain, whole=False))]
    return [Sighting("file", name, layout) for layout in layouts]


def _zipped(path: Path, name: str) -> list[str | None]:
    """The layouts in an archive; None where it cannot be read, and may hold some: whoever opens it
    says why."""
    try:
        place = ZipPlace(path, name)
    except CorruptData:
        return [None] if name.lower().endswith(".zip") else []
    try:
        found = at_once(look(place, None, alone=False))
        if not found.fits and found.broken and any(map(_is_told_by_name, place.members())):
            return [None]
        if not found.fits and not found.almost and len(members := [*place.members()]) == 1:
            head = Heads(place).head(members[0])
            return [] if head is None else forms_in(head)
        return [fit.layout for fit in found.fits]
    finally:
        place.close()


def _is_told_by_name(name: str) -> bool:
    """Whether a file is called as those of one layout are, and not only ends so."""
    other = f"x{PurePosixPath(name).suffix}"
    return any(
        groups_of(shape, [name], alone=False) and not groups_of(shape, [other], alone=False)
        for _, shape in _shapes()
    )


def forms_in(head: Head) -> list[str | None]:
    """The form of a file that begins so, None for an export of ours; empty where it is neither."""
    form = form_of(head.data)
    return [form] if form is not None or _is_ours(head) else []


def _is_ours(head: Head) -> bool:
    """Whether a file that begins so is of one of our own forms."""
    suffix = Path(head.name).suffix.lower()
    if suffix == ".csv":
        return csv_table.is_header(head.text.partition("\n")[0])
    first = head.element if isinstance(head.value, list) else head.first
    return suffix != ".md" and isinstance(first, dict) and _speaks_of_ours(first.keys())


def _speaks_of_ours(keys: Set[str]) -> bool:
    """Whether an object is a message, a conversation or a seal as `export` writes them."""
    if "synmem" in keys or keys >= {"conversation_id", "messages"}:
        return True
    return keys >= {"conversation_id", "role"} or (
        "conversation_id" in keys and keys <= {"conversation_id", "title", "extra"}
    )


def _layouts(head: Head) -> Iterator[str | None]:
    if forms := forms_in(head):
        yield from forms
        return
    for layout, shape in _shapes():
        if shape.misses(head) == "":
            yield layout
