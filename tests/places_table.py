"""The page *Known places*, made of the table of places.

`python -m tests.places_table` writes it anew.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from synmem import places
from synmem.places import BASES, PLACES, Machine, Place

PAGE: Final = Path(__file__).parent.parent / "docs" / "places.md"

HEAD: Final = """# Known places

For those who look for a program's conversations: where each that is known keeps them, on each system.

`synmem discover` lists what is there, `-p NAME` opens it, `--everywhere` takes all of them. A profile
of that name wins. They are only read. Where a program's own variable is set, its place is there;
`{editor}` is the user folder of VS Code, its Insiders and OSS builds, VSCodium, Cursor, Windsurf and
their servers. A path in brackets counts only where no other of that program is there. Where several
are there, `-p NAME` says which, and the path that chooses each.

<!-- made by tests/places_table.py -->

| name | program | Linux | macOS | Windows | moved by |
| --- | --- | --- | --- | --- | --- |
"""

_SYSTEMS: Final = (
    Machine("linux", {}, "/home/u"),
    Machine("darwin", {}, "/Users/u"),
    Machine("win32", {}, r"C:\Users\u"),
)


def page() -> str:
    """The page as it must be."""
    return HEAD + "".join(
        f"| `{name}` | {place.title} | {_cells(place)} | {_variables(place)} |\n"
        for name, place in PLACES.items()
        if place.spots
    )


def _cells(place: Place) -> str:
    return " | ".join("<br>".join(_shown(place, machine)) for machine in _SYSTEMS)


def _shown(place: Place, machine: Machine) -> list[str]:
    """Each path once, in brackets where it is only meant without the others."""
    found: dict[str, bool] = {}
    for path, is_last in _paths(place, machine):
        found.setdefault(path, is_last and len(place.spots) > 1)
    return [f"(`{path}`)" if is_last else f"`{path}`" for path, is_last in found.items()]


def _paths(place: Place, machine: Machine) -> Iterator[tuple[str, bool]]:
    for spot in place.spots:
        if machine.system != "linux" and spot.at.startswith("~/.var/"):
            continue
        if "{editors}" in spot.at:
            found = [spot.at.replace("{editors}", "{editor}")]
        else:
            paths = [str(path) for path in places.paths(spot.at, machine)]
            found = [path.replace(machine.home, "~") for path in paths]
        yield from ((path, spot.rank > 0) for path in found)


def _variables(place: Place) -> str:
    """The variables that name a folder of its paths, however far."""
    waiting = [part for spot in place.spots for part in re.findall(r"\{(\w+)\}", spot.at)]
    found: list[str] = []
    while waiting:
        part = waiting.pop(0)
        every = [BASES[part]] if part in BASES else _elsewhere(part)
        for variable, usual in every:
            found += [variable] if variable else []
            waiting += re.findall(r"\{(\w+)\}", usual or "")
    return ", ".join(f"`{each}`" for each in dict.fromkeys(found))


def _elsewhere(part: str) -> list[tuple[str, str | None]]:
    return [("", of[part]) for of in places.OF_SYSTEM.values() if part in of]


if __name__ == "__main__":
    PAGE.write_text(page())
