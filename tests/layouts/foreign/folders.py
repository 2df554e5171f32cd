"""What the tests of layouts share that are read from files."""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hypothesis import strategies as some

import synmem
from synmem.layouts import registry
from synmem.layouts.heads import Head
from synmem.layouts.shapes import MALFORMED, Files, Folder, Told
from synmem.messages import Message, Unreadable
from tests.conformance import run
from tests.layouts.foreign.wholes import FIXTURES, check_told, within

Data = Mapping[str, bytes]
"""Files, by their names."""


def files_of(fixture: str, under: str = "") -> dict[str, bytes]:
    """The files of a fixture, or of a folder in it."""
    folder = FIXTURES / fixture / under
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    return {name: p.read_bytes() for name, p in sorted(found.items()) if name != "expected.json"}


def put(folder: Path, files: Mapping[str, bytes | str | Any]) -> Path:
    """These files in a folder: bytes and text as they are, what else as JSON."""
    for name, said in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(as_bytes(said))
    return folder


def as_bytes(said: Any) -> bytes:
    """Bytes and text as they are, what else as JSON."""
    if isinstance(said, bytes):
        return said
    return (said if isinstance(said, str) else json.dumps(said)).encode()


def lines(*objects: Any) -> bytes:
    """Lines of JSON."""
    return b"".join(as_bytes(each) + b"\n" for each in objects)


def folder_of(layout: str) -> Folder:
    """The layout's shape, of which it has one."""
    (shape,) = (each for each in registry.shapes(layout, "file") if isinstance(each, Folder))
    return shape


def groups(layout: str, files: Data) -> Iterator[Files]:
    """What is read together, of what is of the layout by how it begins."""
    shape = folder_of(layout)
    for name, members in shape.group(sorted(files)).items():
        if shape.misses(Head.of(members[0], files[members[0]])) == "":
            yield Files(name, {member: files[member] for member in members})


def unfolded(layout: str, files: Mapping[str, Any]) -> dict[str, Told]:
    """What files say, by conversation; what is no bytes is taken for JSON."""
    found: dict[str, Told] = {}
    for group in groups(layout, {name: as_bytes(said) for name, said in files.items()}):
        found |= folder_of(layout).unfold(group)
    for told in found.values():
        check_told(told)
    return {id_: told for id_, told in found.items() if told.messages}


def messages(layout: str, files: Mapping[str, Any]) -> list[Any]:
    """What the one conversation in these files says."""
    (told,) = unfolded(layout, files).values()
    return [*told.messages]


def read(place: Path, conversation: str, **how: Any) -> list[Any]:
    """The messages of a conversation at a place."""

    async def main() -> list[Any]:
        async with synmem.open_store(str(place), **how) as store:
            return [item async for page in store.read([conversation]) for item in page.items]

    found: list[Any] = run(main())
    return found


def check_cuts(layout: str, files: Data, name: str) -> None:
    """Where a file ends at any byte (a large one at one of a thousand, and at the ends of lines):
    what is told is what it tells when it is whole, up to there, or that something of it cannot be
    read."""
    whole, size = unfolded(layout, files), len(files[name])
    ends = {at for at, byte in enumerate(files[name]) if byte == 10}
    for length in sorted(
        {*range(0, size, size // 1000 + 1), *ends, *(at + 1 for at in ends)} - {size}
    ):
        try:
            found = unfolded(layout, {**files, name: files[name][:length]})
        except MALFORMED:
            continue
        assert found.keys() <= whole.keys(), length
        for id_, told in found.items():
            for index, each in enumerate(told.messages):
                if isinstance(each, Unreadable):
                    assert name in each.reason, each
                else:
                    assert each == whole[id_].messages[index], length


@some.composite
def spoiled(draw: some.DrawFn, files: Data) -> dict[str, bytes]:
    """The files, in which some values are others or missing."""
    found = dict(files)
    for _ in range(draw(some.integers(1, 3))):
        name = draw(some.sampled_from(sorted(found)))
        at = draw(some.integers(0, found[name].count(b"\n")))
        parts = found[name].split(b"\n") if name.endswith("l") else [found[name]]
        index = at % len(parts)
        with contextlib.suppress(ValueError):
            parts[index] = json.dumps(draw(within(json.loads(parts[index])))).encode()
        found[name] = b"\n".join(parts)
    return found


def check_spoiled(layout: str, files: Data) -> None:
    """That files, whatever stands in them, tell messages and what cannot be read, or raise as the
    store expects it."""
    for group in groups(layout, files):
        with contextlib.suppress(*MALFORMED):
            for told in folder_of(layout).unfold(group).values():
                check_told(told)


def contents(said: Iterable[Any]) -> list[str]:
    """What messages say; `!` is what cannot be read."""
    return [each.content if isinstance(each, Message) else "!" for each in said]


def texts(said: list[Any]) -> list[tuple[str, str]]:
    """Role and content of messages; of what cannot be read, why."""
    return [(m.role, m.content) if isinstance(m, Message) else ("!", m.reason) for m in said]
