"""The backups that lie there: finding, checking and reading them; `backup.py` writes them.

A backup is a folder in the state folder, named by its id (which sorts by time), private to its
owner. `conversations.jsonl` is a sealed export of exactly what was to go, readable by any
command; `index.jsonl` says where each conversation lies in it; `manifest.json` says when, by
which command and from which store; `journal` remembers, a line each, what was removed and brought
back, so that `undo` can be run again after a crash.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from synmem import folders
from synmem.errors import CorruptData, StoreNotFound, SynmemError, UsageError
from synmem.formats import jsonl
from synmem.messages import Conversation, JSONObject, Message, decode_line, parse_json
from synmem.store import Position

OPENING = jsonl.Writer(seal=True).begin()
_SEAL = b'{"synmem": '  # no other line of ours begins like this
_HINT = "what is not in it was not removed; --no-backup does without"


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why and from where something is removed: what `undo` needs to find the store again.

    `target` is the profile's name and `where` its masked address, for people; `identity` tells
    two stores apart. `config` is the configuration file that was named. A store that no profile
    names (`named` is False) has its `settings` here, or None where they hold a secret.
    """

    command: str
    target: str
    where: str
    identity: str
    backend: str
    named: bool = True
    config: str | None = None
    settings: JSONObject | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed backup as a whole: its id, when it was made, from where, and how much it holds."""

    id: str
    at: str
    origin: Origin
    conversations: int
    messages: int
    index: str


class Replacement(msgspec.Struct, frozen=True):
    """What stands in a store in place of the messages kept: how many, and their digest."""

    messages: int
    digest: str


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a conversation's messages lie in a backup; `upto` is the position of the last."""

    number: int
    conversation: Conversation
    upto: Position
    messages: int
    offset: int
    size: int
    replacement: Replacement | None = None


# --- what was done with it ------------------------------------------------------------------


class Journal:
    """What was done with a backup's conversations, a line each: `removed 3`, `restored 3`.

    Reading takes the last word on each conversation; a last line that was cut short is passed.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "journal"
        self._file: int | None = None

    def write(self, word: str, *numbers: int, sync: bool = False) -> None:
        """Remember a word for each of these numbers (none: for the backup itself)."""
        lines = [f"{word} {number}\n" for number in numbers or (-1,)]
        with writing(None):
            if self._file is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
                self._file = os.open(self._path, flags, 0o600)
            os.write(self._file, "".join(lines).encode())
            if sync:
                os.fsync(self._file)

    def words(self) -> dict[int, str]:
        """The last word on each number; -1 is the backup itself."""
        words = {}
        if self._path.exists():
            for line in self._path.read_bytes().split(b"\n")[:-1]:
                word, _, number = line.decode("ascii", "replace").partition(" ")
                if number.lstrip("-").isdigit():
                    words[int(number)] = word
        return words

    def close(self) -> None:
        """Give the file back; twice is once."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


# --- reading --------------------------------------------------------------------------------


def backups() -> list[Manifest]:
    """Every sealed backup, newest first; a folder that is none is passed over."""
    found = []
    for folder in sorted(folders.state_folder("backups").iterdir(), reverse=True):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, CorruptData):
            found.append(_manifest(folder))
    return found


def find(backup_id: str) -> Manifest:
    """The backup of that id, or whose id alone begins like this."""
    found = [each for each in backups() if each.id.startswith(backup_id)] if backup_id else []
    exact = [each for each in found if each.id == backup_id]
    if len(exact or found) != 1:
        hint = "`synmem undo --list` lists them"
        if found:
            raise UsageError(f"{len(found)} backups begin with {backup_id!r}", hint=hint)
        raise StoreNotFound(f"there is no backup {backup_id!r}", hint=hint)
    return (exact or found)[0]


def journal(manifest: Manifest) -> Journal:
    """What was done with this backup."""
    return Journal(folder_of(manifest))


def is_undone(manifest: Manifest) -> bool:
    """Whether everything in it was brought back."""
    return journal(manifest).words().get(-1) == "undone"


def entries(manifest: Manifest) -> list[Kept]:
    """The conversations of a backup, in the order of their numbers."""
    data = (folder_of(manifest) / "index.jsonl").read_bytes()
    if sha(hashlib.sha256(data)) != manifest.index:
        raise CorruptData(f"backup {manifest.id}: its index is damaged")
    return [_entry(line) for line in data.split(b"\n")[:-1]]


def verify(manifest: Manifest) -> None:
    """CorruptData where the messages are not, byte for byte, those that were kept."""
    path = messages_file(manifest)
    left, hash_ = manifest.messages, None
    try:
        with path.open("rb") as file:
            for line in file:
                if line == OPENING and hash_ is None:
                    hash_ = hashlib.sha256()
                elif hash_ is None:
                    raise ValueError("a line stands outside of a seal")
                elif line.startswith(_SEAL):
                    seal = parse_json(line)["synmem"]
                    if seal["digest"] != sha(hash_):
                        raise ValueError("altered")
                    left, hash_ = left - seal["messages"], None
                else:
                    hash_.update(line)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptData(f"backup {manifest.id} is damaged: {error}") from error
    if hash_ is not None or left != 0:
        raise CorruptData(f"backup {manifest.id} is damaged: cut short")


Pages = Iterator[list[Message]]


def messages_file(manifest: Manifest) -> Path:
    """The sealed export that a backup is: a store that can be read."""
    return folder_of(manifest) / "conversations.jsonl"


def read(manifest: Manifest, kept: Kept, *, size: int = 1000) -> Pages:
    """The messages of a conversation in a backup, in order, `size` at a time."""
    page: list[Message] = []
    left = kept.size
    with messages_file(manifest).open("rb") as file:
        file.seek(kept.offset)
        while left > 0:
            line = file.readline()
            left -= len(line)
            if not line or left < 0:
                raise CorruptData(f"backup {manifest.id}: {kept.conversation.id!r} is damaged")
            if message := _message(line):
                page.append(message)
            if len(page) == size:
                yield page
                page = []
    if page:
        yield page


def _message(line: bytes) -> Message | None:
    """The message of a line; None where it is the title line of its conversation."""
    try:
        return decode_line(line)[1]
    except ValueError:
        if "role" not in parse_json(line):
            return None
        raise


def _manifest(folder: Path) -> Manifest:
    try:
        return _DECODER.decode((folder / "manifest.json").read_bytes())
    except msgspec.MsgspecError as error:
        raise CorruptData(f"backup {folder.name}: its manifest is damaged") from error


def _entry(line: bytes) -> Kept:
    return msgspec.convert(parse_json(line), Kept)


_DECODER = msgspec.json.Decoder(Manifest)


def folder_of(manifest: Manifest) -> Path:
    """Where the files of this backup lie."""
    return folders.state_folder("backups") / manifest.id


@contextlib.contextmanager
def writing(hint: str | None = _HINT) -> Iterator[None]:
    """An error of the disk, as one of ours."""
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        place = folders.state_path("backups")
        raise SynmemError(f"{place}: the backup cannot be written: {why}", hint=hint) from error


def sha(digest: Any) -> str:
    """A digest as it is written."""
    return f"sha256:{digest.hexdigest()}"
