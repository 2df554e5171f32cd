"""Which of several files belong together, and in which order they are brought into a store.

The parts of one split export are one source: a conversation goes on from one to the next. A sealed
part says of which set it is and which part of how many; all others are known by the names that
`export --split` gives, `x-0001.jsonl`, `x-0002.jsonl`, ..., without a gap. Every other file is a
source by itself. Sources without a conversation in common may be brought together, as one *load*:
ten thousand files of one conversation each cost no more than one file. Those that have one come
one after the other, so that each is compared with what the one before has left.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from synmem.errors import CorruptData
from synmem.formats.endings import stem_and_ending
from synmem.store import Parts

_NAMED: Final = re.compile(r"(.+)-(\d{4,})", re.DOTALL)
HINT: Final = "name all of them and no others; or --parts joins what is named, as it is"


@dataclass(frozen=True)
class Piece:
    """An export in a file: export `number` of file `file`, and its conversations in their order.

    `apart` says that it cannot be put together with another, `own` that it is a part of none,
    whatever the file is called: it is named after its one conversation, say.
    """

    file: int
    number: int
    conversations: Sequence[str]
    parts: Parts | None = None
    apart: bool = False
    own: bool = False


Source = list[Piece]
"""What is one: a piece, or the parts of a split export."""


def plan(
    names: Sequence[str], pieces: Sequence[Piece], *, joined: bool, apart: bool
) -> list[Source]:
    """The loads, in the order in which they are to be brought; of a load all pieces are one source.

    `names` are those of the files. `joined` takes all for one, as they come; `apart` lets every
    source be a load by itself. CorruptData where parts are missing, or are not of one export.
    """
    if joined:
        return [list(pieces)] if pieces else []
    sources = _sources(names, pieces)
    return sources if len(sources) == 1 else _loads(sources, apart)


# --- what is one ----------------------------------------------------------------------------


def _sources(names: Sequence[str], pieces: Sequence[Piece]) -> list[Source]:
    """What belongs together, in the order of its first piece."""
    of_set: defaultdict[str, list[Piece]] = defaultdict(list)
    of_name: defaultdict[tuple[str, str, str], list[Piece]] = defaultdict(list)
    for piece in pieces:
        if piece.parts is not None:
            of_set[piece.parts.set].append(piece)
        if (family := _family(names[piece.file])) and not piece.own:
            of_name[family].append(piece)
    together: dict[int, Source] = {}
    for found in of_set.values():
        together |= dict.fromkeys(map(id, found), _complete(names, found))
    for found in of_name.values():
        if source := _numbered(names, found):
            together |= dict.fromkeys(map(id, found), source)
    sources = [together.get(id(piece), [piece]) for piece in pieces]
    return list({id(source): source for source in sources}.values())


def _complete(names: Sequence[str], found: list[Piece]) -> Source:
    """The parts of one sealed export in their order, each once."""
    of = _parts(found[0]).of
    source: Source = []
    end = 0
    for piece in sorted(found, key=lambda piece: _parts(piece).first):
        parts = _parts(piece)
        if parts.first == end + 1 and parts.of == of:
            source.append(piece)
            end = parts.last
    if end != of:
        raise _incomplete(names, found, of)
    return source


def _incomplete(names: Sequence[str], found: list[Piece], of: int) -> CorruptData:
    there: set[int] = set()
    for piece in found:
        there.update(range(_parts(piece).first, _parts(piece).last + 1))
    missing = _ranges(sorted({*range(1, of + 1)} - there))
    piece = found[0]
    if not missing:
        what = "the parts of its export do not fit one another"
    else:
        what = f"of the {of:,} parts of its export {missing} not here"
    return CorruptData(f"nothing was written: {names[piece.file]}: {what}", hint=HINT)


def _ranges(numbers: list[int]) -> str:
    """`part 2 is`, `parts 2, 4 to 7 are`."""
    if not numbers:
        return ""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    words = ", ".join(" to ".join(f"{number:,}" for number in run) for run in runs)
    return f"part {words} is" if len(numbers) == 1 else f"parts {words} are"


def _parts(piece: Piece) -> Parts:
    assert piece.parts is not None
    return piece.parts


def numbered(name: str) -> bool:
    """Whether a file is named as `export --split` names a part."""
    return _family(name) is not None


def _family(name: str) -> tuple[str, str, str] | None:
    """What the names of all parts of one export have in common."""
    stem, ending = stem_and_ending(name)
    found = _NAMED.fullmatch(stem)
    return (str(Path(name).absolute().parent), found[1], ending) if found else None


def _digits(name: str) -> str:
    found = _NAMED.fullmatch(stem_and_ending(name)[0])
    assert found is not None
    return found[2]


def _numbered(names: Sequence[str], found: list[Piece]) -> Source | None:
    """Files that are parts by their names, in order; None where they are each by themselves."""
    by_digits = {_digits(names[piece.file]): piece for piece in reversed(found)}
    order = sorted(by_digits, key=lambda digits: (int(digits), digits))
    if len(order) == 1 or all(by_digits[digits].parts for digits in order):
        return None
    numbers = [int(digits) for digits in order]
    if numbers[0] != 1 and not any(digits.startswith("0") for digits in order):
        return None  # the year of each, say
    first = names[by_digits[order[0]].file]
    if any(by_digits[digits].parts for digits in order):
        old = next(names[by_digits[d].file] for d in order if by_digits[d].parts is None)
        raise CorruptData(
            f"nothing was written: {old} is not of the same export as the parts that are named "
            "like it",
            hint=HINT,
        )
    if len(found) > len({piece.file for piece in found}):
        return None  # a file of several exports
    if numbers != list(range(1, len(numbers) + 1)) or len(set(map(len, order))) > 1:
        missing = _ranges(sorted({*range(1, numbers[-1] + 1)} - {*numbers}))
        what = f"{missing} not here" if missing else "other parts have the same numbers"
        raise CorruptData(
            f"nothing was written: {first} is named like a part of an export, and {what}",
            hint=HINT,
        )
    source = [by_digits[digits] for digits in order]
    _check_following(names, source)
    return source


def _check_following(names: Sequence[str], source: Source) -> None:
    """A conversation goes on in the next part only, from the end of one to the beginning."""
    part_of: dict[str, int] = {}
    for number, piece in enumerate(source):
        before = source[number - 1].conversations
        for i, conversation in enumerate(piece.conversations):
            last = part_of.get(conversation)
            part_of[conversation] = number
            if last is not None and (last < number - 1 or i or conversation != before[-1]):
                raise CorruptData(
                    f"nothing was written: {names[piece.file]} is named like a part of an export, "
                    f"but conversation {conversation!r} begins again in it",
                    hint="import the files one at a time; or --parts joins them, as they are",
                )


# --- what comes together --------------------------------------------------------------------


def _loads(sources: Iterable[Source], apart: bool) -> list[Source]:
    loads: list[Source] = []
    closed: set[int] = set()
    load_of: dict[str, int] = {}
    for source in sources:
        names = [name for piece in source for name in piece.conversations]
        first = 1 + max((load_of.get(name, -1) for name in names), default=-1)
        alone = apart or any(piece.apart for piece in source)
        number = len(loads) if alone else first
        while number in closed:
            number += 1
        if number >= len(loads):
            number = len(loads)
            loads.append([])
        if alone:
            closed.add(number)
        loads[number] += source
        load_of |= dict.fromkeys(names, number)
    return loads


def file_of(load: Source, names: Sequence[str]) -> Callable[[str], str]:
    """What tells in which of the files of a load a conversation ends."""

    def find(conversation: str) -> str:
        found = [piece for piece in load if conversation in piece.conversations]
        return names[found[-1].file] if found else ""

    return find
