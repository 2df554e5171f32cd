"""Which stores there are on this machine: those of known programs, and those below folders."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from synmem.errors import AccessDenied, StoreNotFound

if TYPE_CHECKING:
    from synmem.backends import Sighting
    from synmem.profiles import Profile


class Find(NamedTuple):
    """A store that was found, under the name by which it is opened; what a profile of it would be
    called; and the patterns of what its folder holds. One that `may_be` none is perhaps only
    like one: that is seen when it is opened."""

    profile: "Profile"
    called: str
    holds: tuple[str, ...] = ()
    may_be: bool = False


class Known(NamedTuple):
    """What was found at the places of known programs, and the paths of what they had before."""

    finds: list[Find]
    older: list[Path]


def known_places() -> Known:
    """What known programs have on this machine. Where one has several stores, each is named by
    its path."""
    from synmem.places import PLACES, found, meant
    from synmem.profiles import address, of_place

    known = Known([], [])
    for name in PLACES:
        there = found(name)
        chosen = meant(there)
        known.older.extend(each.path for each in there if chosen and each not in chosen)
        for each in chosen:
            profile = of_place(name, each)
            if len(chosen) > 1:
                profile = replace(profile, name=address(profile))
            known.finds.append(Find(profile, name, each.holds))
    return known


# --- below a folder -------------------------------------------------------------------------


class Below(NamedTuple):
    """What was found below a folder, and whether there is more than was looked at."""

    finds: list[Find]
    is_cut: bool


async def below(folder: Path, most: int, known: Known) -> Below:
    """The stores below a folder, or the one that a file is. What is `known` as the place of a
    program has its name. StoreNotFound where there is no such folder."""
    from synmem.backends import survey
    from synmem.operations.discovering.walk import walk

    start, names, is_cut = folder, [folder.name], False
    try:
        if folder.is_file():
            start = folder.parent
        else:
            names, is_cut = await walk(folder, most)
    except FileNotFoundError as error:
        raise StoreNotFound(f"{folder}: no such folder", hint="check the path") from error
    except OSError as error:
        raise AccessDenied(f"{folder}: {error.strerror or error}") from error
    found = await survey(start, names)
    joined = _joined(start, found, names)
    counts = Counter(each.name for each in joined)
    finds = [_find(start, each, counts[each.name]) for each in joined]
    return Below(_named(finds, known), is_cut)


def _joined(start: Path, found: "Sequence[Sighting]", names: Sequence[str]) -> "list[Sighting]":
    """The same, with the folders of one place, or those that hold one layout alone, as one."""
    from synmem.operations.discovering.walk import together

    joined = [each for each in found if not each.is_folder]
    for layout in dict.fromkeys(each.layout for each in found if each.is_folder):
        its = {each.name: each for each in found if each.is_folder and each.layout == layout}
        roots = {name: _root(start, each.within, layout) for name, each in its.items()}
        others = together([name for name, root in roots.items() if root is None], names)
        for name in sorted({*others, *(root for root in roots.values() if root is not None)}):
            one = its.get(name)
            has_more = any(each.startswith(f"{name}/") for each in its)
            if one is not None and one.alone is not None and roots[name] is None and not has_more:
                joined.append(one._replace(name=one.alone, is_folder=False))
            else:
                joined.append(next(iter(its.values()))._replace(name=name))
    return joined


def _root(start: Path, name: str, layout: str | None) -> str | None:
    """Where a program would have the place that this folder is a part of, below the start; None
    where that cannot be told."""
    from synmem.places import root_of

    top = start.absolute()
    root = root_of(layout or "", top / name)
    if root is None:
        return None
    return root.relative_to(top).as_posix() if root.is_relative_to(top) else ""


def _find(start: Path, sighting: "Sighting", beside: int) -> Find:
    """`beside`: how many layouts lie there."""
    from synmem.profiles import PLACE, Profile, address, is_address

    path = str(start / sighting.name)
    path = path if is_address(path) else f"./{path}"
    settings = {PLACE[sighting.backend]: path}
    if sighting.layout is not None and (sighting.is_folder or beside > 1):
        settings["layout"] = sighting.layout
    profile = Profile(path, sighting.backend, settings, origins=dict.fromkeys(settings, "flag"))
    called = Path(path).resolve().name.partition(".")[0] or Path(path).name
    return Find(replace(profile, name=address(profile)), called, may_be=True)


def _named(finds: Sequence[Find], known: Known) -> list[Find]:
    """The same; what is the place of a known program has its name, and what that had before, and
    has brought over, is left out."""
    there = {find.profile.identity: find for find in known.finds}
    passed = {path.resolve() for path in known.older}
    return [
        _as_known(find, there.get(find.profile.identity))
        for find in finds
        if not _is_at(find, passed)
    ]


def _is_at(find: Find, places: Collection[Path]) -> bool:
    """Whether that is one of these places, or a file in one, of another form than the newer."""
    path = Path(str(find.profile.file)).resolve()
    return path in places or (find.profile.backend == "file" and path.parent in places)


def _as_known(find: Find, known: Find | None) -> Find:
    if known is None:
        return find
    layout = find.profile.settings.get("layout")
    return known if layout in (None, known.profile.settings["layout"]) else find
