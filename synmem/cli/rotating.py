"""`export -o 'backups/{date}.jsonl.gz' --keep N`: once an export is written and proven, what is
older than the newest N of that template goes.

Removed is only what is certainly an export of ours with `--keep`, from the same profile and store,
and whole: an ordinary file of the very name, for another day, whose opening carries our mark, and
which was read through, to its seal (`formats/sealed.py`). The parts of one export are one, and go
from the last to the first, so that what a kill has left of them is known and goes the next time.
Everything else of that name stays, is not counted, and is named.
"""

import gzip
import re
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from stat import S_ISLNK, S_ISREG
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from synmem.cli import render
from synmem.cli.files import is_special
from synmem.cli.run import Session
from synmem.cli.words import count
from synmem.errors import SynmemError, UsageError
from synmem.formats.endings import is_packed, stem_and_ending
from synmem.formats.sealed import Part, Sealed, mark_in, part_in, read_sealed

if TYPE_CHECKING:
    from synmem.cli.outputs import Output

_DAY: Final = "\ue000"
"""Stands for the day in a name: no name has it."""
_HEAD: Final = 4096
_NAMED: Final = 3


def check_keep(keep: int, output: "Output | None", form: str) -> None:
    """UsageError where --keep makes no sense, or nothing could be told apart."""
    if keep < 1:
        raise UsageError("--keep is 1 or more", hint="the export that is written is one of them")
    if output is None or not output.dated or output.apart:
        raise UsageError(
            "--keep needs a file for each day", hint="-o 'backups/{date}.jsonl.gz', without {id}"
        )
    if form != "jsonl":
        raise UsageError(
            f"--keep does not go with {form}: only a sealed file can say whose it is",
            hint="-o 'backups/{date}.jsonl.gz'",
        )
    if _DAY in str(output.named(_DAY).parent):
        raise UsageError("--keep: {date} is in a folder's name", hint="let it be in the file's")
    if is_special(output.path()):
        raise UsageError(f"--keep is for files, and {output.path()} is none")


# --- proving --------------------------------------------------------------------------------


def prove(files: Sequence[Path], conversations: int, messages: int) -> None:
    """Read back what was written: every byte, against the seals and against what was counted while
    it was written. SynmemError where something is not as it should be."""
    held = [_proven(path) for path in files]
    whole = sum(each.messages for each in held) == messages
    if len(held) == 1:
        whole = whole and held[0].conversations == conversations
    if not whole:
        raise _unproven(files[0], "it does not hold what was written")


def _proven(path: Path) -> Sealed:
    try:
        with _opened(path) as file:
            return read_sealed(file)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise _unproven(path, str(error)) from error


def _unproven(path: Path, why: str) -> SynmemError:
    return SynmemError(
        f"{path}: read back, it is not as it was written: {why}; nothing older was removed",
        hint="look at the disk, and write it anew",
    )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with path.open("rb") as raw:
        if not is_packed(path.name):
            yield raw
            return
        with gzip.open(raw) as unpacked:
            yield unpacked


# --- what is there --------------------------------------------------------------------------


class _Backup(NamedTuple):
    """An export of ours, in one file or in its parts; `whole` is whether none is missing."""

    day: str
    files: list[Path]
    whole: bool


class _There(NamedTuple):
    backups: list[_Backup]
    others: dict[Path, str]
    """What has such a name and is none of ours, and why."""


def rotate(
    session: Session, output: "Output", mark: str, keep: int, written: Sequence[Path]
) -> None:
    """Remove what is older than the newest `keep`, of which what was `written` just now is one."""
    there = _look(output, mark, written)
    newest = sorted((each for each in there.backups if each.whole), key=lambda each: each.day)
    kept = newest[-(keep - 1) :] if keep > 1 else []
    gone = 0
    for each in sorted(there.backups, key=lambda each: each.day):
        if each not in kept if each.whole else _is_left_over(each, kept, keep):
            gone += _remove(each, mark, there.others)
    session.note(f"kept {len(kept) + 1:,} of {output.template}; {count(gone, 'older one')} removed")
    _tell(session, there.others)


def of_today(output: "Output", mark: str) -> list[_Backup]:
    """What is there of the same day and store: what is written takes its place."""
    return [each for each in _look(output, mark, []).backups if each.day == output.day]


def spare(backups: Sequence[_Backup], messages: int, why: str) -> None:
    """SynmemError where one of these holds more messages than what would take its place, which
    lacks something."""
    for backup in backups:
        held = _held(backup)
        if held > messages:
            raise SynmemError(
                f"{backup.files[0]} stays as it was: it holds {count(held, 'message')}, and in "
                f"what would take its place {why}",
                hint="look at the store; -o with another name writes what there is",
            )


def _held(backup: _Backup) -> int:
    """How many messages it holds; 0 where it is damaged: that is no loss."""
    try:
        return sum(_proven(path).messages for path in backup.files)
    except SynmemError:
        return 0


def _is_left_over(backup: _Backup, kept: Sequence[_Backup], keep: int) -> bool:
    """Whether what has lost its last parts is older than enough whole ones: it was being removed
    when a run was killed. Else it may be all that somebody has of that day."""
    return len(kept) == keep - 1 and all(backup.day < each.day for each in kept)


def _tell(session: Session, others: dict[Path, str]) -> None:
    named = [render.visible_line(f"{path} ({why})") for path, why in sorted(others.items())]
    if named:
        more = f", and {len(named) - _NAMED:,} more" if len(named) > _NAMED else ""
        session.note(f"not counted, and left alone: {', '.join(named[:_NAMED])}{more}")


def _look(output: "Output", mark: str, written: Sequence[Path]) -> _There:
    """What lies there under such a name, but what was written just now."""
    ours: defaultdict[tuple[str, bool, str], dict[int, Path]] = defaultdict(dict)
    of: dict[tuple[str, bool, str], int] = {}
    others: dict[Path, str] = {}
    for path, day, number in _named(output, written):
        part = "what is read" if output.is_source(path) else _part(path, mark)
        if isinstance(part, str) or part.part != (number or 1):
            others[path] = part if isinstance(part, str) else "another part than its name says"
            continue
        key = (day, number is not None, part.set)
        ours[key][part.part] = path
        of[key] = part.of
    backups = []
    for key, parts in ours.items():
        files = [parts[number] for number in sorted(parts)]
        if sorted(parts) == [*range(1, len(parts) + 1)]:
            backups.append(_Backup(key[0], files, whole=len(parts) == of[key]))
        else:
            others |= dict.fromkeys(files, "the first parts of its export are not there")
    return _There(backups, others)


def _named(output: "Output", written: Sequence[Path]) -> Iterator[tuple[Path, str, int | None]]:
    """What has such a name, for which day, and as which part."""
    named = output.named(_DAY)
    stem, ending = stem_and_ending(named.name)
    name = re.compile(
        f"(?:{_pattern(named.name)})|(?:{_pattern(stem)}-(?P<number>\\d{{4,}}){_pattern(ending)})"
    )
    just_now = {path.name for path in written}
    for path in sorted(named.parent.iterdir()):
        found = name.fullmatch(path.name)
        days = {day for day in (found.groups() if found else ()) if day and "-" in day}
        if found and path.name not in just_now and len(days) == 1 and _is_day(day := days.pop()):
            yield path, day, int(found["number"]) if found["number"] else None


def _pattern(name: str) -> str:
    return r"(\d{4}-\d\d-\d\d)".join(map(re.escape, name.split(_DAY)))


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _part(path: Path, mark: str) -> Part | str:
    """Which part of an export with this mark a file says to be; or why it is none."""
    try:
        mode = path.lstat().st_mode
        if not S_ISREG(mode):
            return "a link" if S_ISLNK(mode) else "no ordinary file"
        with _opened(path) as file:
            part = part_in(file.readline(_HEAD))
    except (OSError, EOFError, zlib.error) as error:
        return f"cannot be read: {error}"
    if part is None or not mark_in(part):
        return "not written with --keep"
    return part if mark_in(part) == mark else "from another profile or store, or of another choice"


# --- removing -------------------------------------------------------------------------------


def _remove(backup: _Backup, mark: str, others: dict[Path, str]) -> bool:
    """Remove it, the last part first, where each of its files is whole; whether it is gone."""
    before = []
    for path in backup.files:
        try:
            seen = path.lstat()
            with _opened(path) as file:
                part = read_sealed(file).part
        except (OSError, EOFError, zlib.error, ValueError) as error:
            others[path] = str(error)
            return False
        if part is None or mark_in(part) != mark:
            others[path] = "written anew meanwhile"
            return False
        before.append((path, (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns)))
    for path, was in reversed(before):
        try:
            now = path.lstat()
            if (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns) != was:
                others[path] = "written anew meanwhile"
                return False
            path.unlink()
        except OSError as error:
            others[path] = f"cannot be removed: {error.strerror or error}"
            return False
    return True
