"""Where `export -o` writes: one file, several parts of it, or a file for each conversation.

`{id}`, `{profile}` and `{date}` in the name stand for the conversation's id, the profile's name
and the day (local, `2026-11-21`); `{{` and `}}` for braces. A name that ends in a slash, or is that
of a folder which is there, is a folder: each conversation has a file in it. Folders that are
missing are made, and what is to end in `.gz` is compressed.

An id as a file name (`name_of`): ASCII letters, digits, `-`, `_` and `.` stay; every other byte
of its UTF-8 is `%XX`, and so is a leading `-` or `.`, a trailing `.`, and the first letter of
`index` and of the names that Windows keeps for devices. Where the id has capitals, `~` and a number
in hexadecimal follow, whose bit i stands for its i-th letter, the lowest for the first: `User-1` is
`User-1~1`. So no two ids have one name, even where the file system does not tell capitals, and
every name can be turned back: leave out what follows `~`, and decode the percents. An id that would
take more than 200 bytes is cut, and followed by `~~` and the first 32 digits of the SHA-256 of the
id, which stands in the file itself.
"""

import contextlib
import hashlib
import os
import re
import string
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from synmem.cli import render
from synmem.cli.files import file_named, is_of_store, is_special
from synmem.cli.gzipped import Gzip, stored
from synmem.cli.words import count
from synmem.errors import UsageError
from synmem.formats.endings import form_ending, is_packed, stem_and_ending

if TYPE_CHECKING:
    from synmem.cli.files import Several
    from synmem.formats import Writer
    from synmem.operations.parts import Limit
    from synmem.profiles import Profile

# --- names ----------------------------------------------------------------------------------

_KEPT: Final = frozenset((string.ascii_letters + string.digits + "-_.").encode())
# What Windows keeps for devices, and a folder of pages for their index.
_RESERVED: Final = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d|index)(?:\.|$)", re.IGNORECASE)
_LONGEST: Final = 200
_HASH: Final = 32


def escaped(text: str) -> str:
    """The text as a part of a file name, percent-encoded."""
    data = text.encode("utf-8", "surrogateescape")
    hidden = {0} if data[:1] in (b".", b"-") or _RESERVED.match(text) else set()
    hidden |= {len(data) - 1} if data[-1:] == b"." else set()
    return "".join(
        chr(byte) if byte in _KEPT and i not in hidden else f"%{byte:02X}"
        for i, byte in enumerate(data)
    )


def name_of(conversation: str) -> str:
    """The id as a file name: see above."""
    name = escaped(conversation) + _capitals(conversation)
    if len(name) <= _LONGEST:
        return name
    kept = re.sub("%.?$", "", name[: _LONGEST - _HASH - 2])
    return f"{kept}~~{hashlib.sha256(conversation.encode()).hexdigest()[:_HASH]}"


def _capitals(text: str) -> str:
    letters = [character for character in text if character.isascii() and character.isalpha()]
    bits = sum(1 << i for i, letter in enumerate(letters) if letter.isupper())
    return f"~{bits:x}" if bits else ""


# --- --split --------------------------------------------------------------------------------

_UNITS: Final = {
    "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3,
    "kib": 1024, "mib": 1024**2, "gib": 1024**3,
}  # fmt: skip


def limit_of(text: str) -> "Limit":
    """How large a part may be: `1000` messages, or `20mb`; UsageError where it is neither."""
    from synmem.operations.parts import Limit

    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip().lower(), re.ASCII)
    unit = found[2] if found else ""
    if found and unit in _UNITS:
        number = int(Decimal(found[1]) * _UNITS[unit])
    elif found and not unit and found[1].isdigit():
        number = int(found[1])
    else:
        number = 0
    if number < 1:
        raise UsageError(
            f"--split {text!r}", hint=f"a number of messages, or bytes: {', '.join(_UNITS)}"
        )
    return Limit(number, bytes=bool(unit))


# --- -o -------------------------------------------------------------------------------------


def is_folder(output: str) -> bool:
    """Whether `-o` names a folder, and not a file; the root is none to write into."""
    if not output or output.strip("/" + os.sep) == "":
        return False
    return output.endswith(("/", os.sep)) or Path(output).is_dir()


class Output:
    """What `-o` and `--split` ask for. UsageError where they make no sense.

    `ending`: that of the files in a folder.
    """

    def __init__(
        self, template: str, split: str | None, profile: "Profile", *, ending: str = ".jsonl"
    ) -> None:
        index = ""
        if is_folder(template):
            index = str(Path(template, f"index{ending}"))
            template = str(Path(template, "{id}")) + ending
        self.template = template
        self._pieces = _pieces(template)
        self.day = date.today().isoformat()
        """What `{date}` stands for."""
        self._profile = escaped(profile.name)
        self._source = profile.file
        self.limit = limit_of(split) if split is not None else None
        """How large each part may be, where it is to be in parts."""
        self.dated = any(field == "date" for _, field in self._pieces)
        """Whether each day has files of its own."""
        self.packed = is_packed(template)
        """Whether it is compressed."""
        self.apart = any(field == "id" for _, field in self._pieces)
        """Whether each conversation has a file of its own."""
        if self.limit is not None and self.apart:
            why = "--split does not go with a file for each conversation"
            raise UsageError(why, hint="-o FILE, without {id}: its parts are numbered")
        file_named("-o", template)
        if not self.apart:
            file_named("-o", str(self.path()))
        if self.limit is not None and is_special(self.path()):
            raise UsageError(f"--split makes files, and {template} is none")
        self.index: Path | None = None
        """Where a page lies that names all others, where they are pages of one folder."""
        if ending == ".html" and index and "id" not in {field for _, field in _pieces(index)}:
            self.index = self._path(_pieces(index))

    @property
    def single(self) -> bool:
        """Whether all goes into one file."""
        return self.limit is None and not self.apart

    def path(self, conversation: str = "") -> Path:
        """The file: that of this conversation, where each has one."""
        return self._path(self._pieces, conversation)

    def _path(self, pieces: list[tuple[str, str]], conversation: str = "") -> Path:
        values = {
            "id": name_of(conversation), "profile": self._profile, "date": self.day, "": "",
        }  # fmt: skip
        path = Path("".join(literal + values[field] for literal, field in pieces))
        if not path.name:
            raise UsageError(f"-o {self.template!r} names no file")
        return self._checked(path)

    def named(self, day: str) -> Path:
        """The file as it is called on that day; nothing is looked at."""
        values = {"profile": self._profile, "date": day, "": ""}
        return Path("".join(literal + values[field] for literal, field in self._pieces))

    def part(self, number: int, of: int = 0) -> Path:
        """Part `number` of so many, from 1: `chat-0001.jsonl`; more digits where they are more."""
        whole = self.path()
        digits = max(4, len(str(of)))
        stem, ending = stem_and_ending(whole.name)
        return self._checked(whole.with_name(f"{stem}-{number:0{digits}}{ending}"))

    def is_source(self, path: Path) -> bool:
        """Whether it is what is read, or may be: a file that is there in the folder that is."""
        if self._source is None:
            return False
        return is_of_store(path, self._source) or self._is_among_sources(path)

    def _is_among_sources(self, path: Path) -> bool:
        assert self._source is not None
        if form_ending(path.name) in _NEVER_READ or not self._source.is_dir():
            return False
        folder = os.path.realpath(self._source)
        return path.is_file() and Path(os.path.realpath(path)).is_relative_to(folder)

    def _checked(self, path: Path) -> Path:
        if self.is_source(path):
            assert self._source is not None
            if self._source.is_dir():
                raise UsageError(
                    f"-o {path} is there, in the folder that is read", hint="name another folder"
                )
            raise UsageError(f"-o {path} is what is read")
        return path


_NEVER_READ: Final = (".html", ".csv", ".parquet")
"""Endings of what no program keeps its conversations in."""

_FIELDS: Final = ("id", "profile", "date")


def _pieces(template: str) -> list[tuple[str, str]]:
    """Each literal and the placeholder behind it, "" where there is none."""
    try:
        found = list(string.Formatter().parse(template))
    except ValueError as error:
        raise _not_a_name(template, str(error)) from error
    for _, field, spec, conversion in found:
        if field in _FIELDS and (spec or conversion):
            raise _not_a_name(template, f"{{{field}}} has no other form")
        if field is not None and field not in _FIELDS:
            raise _not_a_name(template, f"no placeholder is called {field!r}")
    return [(literal, field or "") for literal, field, _, _ in found]


def _not_a_name(template: str, why: str) -> UsageError:
    hint = "there are {id}, {profile} and {date}; {{ and }} stand for braces"
    return UsageError(f"-o {template!r}: {why}", hint=hint)


# --- writing --------------------------------------------------------------------------------


_AT_ONCE: Final = 1000
"""So many small files take their places together."""


class Opened(NamedTuple):
    """What an `Export` writes with, where its bytes go, and in the end where they are, in words and
    as files, where these are one or parts."""

    writer: "Writer"
    write: Callable[[bytes], object]
    places: Callable[[], str]
    files: Callable[[], list[Path]]


@contextlib.contextmanager
def opened(
    output: Output,
    make: "Callable[[], Writer]",
    watch: Callable[[], object],
    *,
    gate: Callable[[bytes], bytes],
    note: Callable[[str], object],
) -> Iterator[Opened]:
    """Where an export goes; `watch` hears of every piece. In place when the block ends well.

    On a terminal every piece passes the `gate`; what became of earlier parts is told to `note`.
    """
    from synmem.cli.files import Several, writing
    from synmem.leftovers import sweep_temporary

    sweep_temporary()
    if output.packed:
        gate = _noise
    if output.single:
        path = output.path()
        with writing(path, folders=True, gate=gate) as write:
            packing = Gzip() if output.packed else None
            of = packing.of if packing is not None else lambda piece: piece
            yield Opened(
                make(), lambda piece: (write(of(piece)), watch()), lambda: str(path), lambda: [path]
            )
            if packing is not None:
                write(packing.end())
        return
    at_once = _AT_ONCE if output.apart else None
    with Several(at_once=at_once) as files, contextlib.ExitStack() as stack:
        parts = _Parts(output, files, watch)
        writer = parts.writer(make, stack)
        yield Opened(writer, lambda piece: None, parts.places, parts.final)
        files.settle(parts.final())
    parts.tidy(note)
    if strays := parts.strays():
        more = f" and {len(strays) - 1:,} more" if strays[1:] else ""
        note(f"{strays[0]}{more}: there from before, no part of this export")


def _noise(piece: bytes) -> bytes:
    """What a terminal may be shown of what is compressed."""
    return render.visible(piece.decode("latin-1")).encode()


class _Parts:
    """The files of an export in their places: what `operations.parts.Files` asks for."""

    def __init__(self, output: Output, files: "Several", watch: Callable[[], object]) -> None:
        self._output = output
        self._files = files
        self._watch = watch
        self._packing: Gzip | None = None
        self._at_beginning = False

    def begin(self, conversation: str) -> None:
        """The next file."""
        output = self._output
        path = output.path(conversation) if output.apart else output.part(self._files.count + 1)
        self._files.begin(path)
        self._packing = Gzip() if output.packed else None
        self._at_beginning = not output.apart

    def write(self, piece: bytes) -> None:
        """More of it."""
        at_beginning, self._at_beginning = self._at_beginning, False
        if self._packing is not None:  # what a part begins with may have to begin again
            piece = stored(piece) if at_beginning else self._packing.of(piece)
        self._files.write(piece)
        self._watch()

    def end(self) -> None:
        """It is whole."""
        if self._packing is not None:
            self._files.write(self._packing.end())
        self._files.end()

    def begin_again(self, number: int, beginning: bytes) -> None:
        """See `operations.parts.Files`."""
        self._files.begin_again(number, stored(beginning) if self._output.packed else beginning)

    def writer(self, make: "Callable[[], Writer]", stack: contextlib.ExitStack) -> "Writer":
        """What cuts an export, or takes its conversations apart."""
        from synmem.operations.parts import Apart, cutting

        limit = self._output.limit
        if limit is not None:
            return cutting(make, self, limit)
        if self._output.index is None:
            return Apart(make, self)
        from synmem.cli.indexing import Indexed

        return Indexed(Apart(make, self), self._output.index, self._output.path, stack)

    def final(self) -> list[Path]:
        """Where the parts belong, now that it is known how many they are."""
        if self._output.apart:
            return []
        count = self._files.count
        return [self._output.part(number, count) for number in range(1, count + 1)]

    def places(self) -> str:
        """`3 files, chat-0001.jsonl to chat-0003.jsonl`."""
        text = f"{count(self._files.count, 'file')}, "
        if self._output.apart:
            return text + self._output.template
        first, *others = self.final()
        return f"{text}{first}" + (f" to {others[-1].name}" if others else "")

    def tidy(self, note: Callable[[str], object]) -> None:
        """Remove what an earlier, longer run left: whoever reads all parts would read that too."""
        from synmem.cli.earlier_parts import left_over

        strays = self.strays()
        digits = max(4, len(str(self._files.count)))
        surplus = left_over(strays, self._files.count, digits) if strays else []
        removed = 0
        for path in surplus:
            if self._output.is_source(path):
                continue
            with contextlib.suppress(OSError):  # then it is named
                path.unlink()
                removed += 1
        if removed:
            note(f"{count(removed, 'part')} of an earlier, longer export removed")

    def strays(self) -> list[Path]:
        """What is named like a part, and is none of this export: who reads all parts reads it."""
        final = self.final()
        if not final:
            return []
        whole = self._output.path()
        stem, ending = stem_and_ending(whole.name)
        part = re.compile(re.escape(stem) + r"-\d{4,}" + re.escape(ending))
        ours = {path.name for path in final}
        there = final[0].parent.iterdir()
        return sorted(p for p in there if part.fullmatch(p.name) and p.name not in ours)
