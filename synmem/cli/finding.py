"""Which stores there are on this machine: those of known programs."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from synmem.profiles import Profile


class Find(NamedTuple):
    """A store that was found, under the name by which it is opened; what a profile of it would be
    called; and the patterns of what its folder holds."""

    profile: "Profile"
    called: str
    holds: tuple[str, ...] = ()


class Known(NamedTuple):
    """What was found at the places of known programs, and the paths of what they had before."""

    finds: list[Find]
    older: list[Path]


def known_places() -> Known:
    """What known programs have on this machine. Where one has several stores, each is named by
    its path."""
    from msgspec.structs import replace

    from synmem.places import PLACES, found, meant
    from synmem.profiles import address, of_place

    known = Known([], [])
    for name in PLACES:
        there = found(name)
        chosen = meant(there)
        known.older.extend(each.path for each in there if each not in chosen)
        for each in chosen:
            profile = of_place(name, each)
            if len(chosen) > 1:
                profile = replace(profile, name=address(profile))
            known.finds.append(Find(profile, name, each.holds))
    return known
