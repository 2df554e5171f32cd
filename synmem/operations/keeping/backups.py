"""The backups that lie there: finding, checking and reading them; `backup.py` writes them.

A backup is a folder in the state folder, private to its owner. `conversations.jsonl` is a sealed
export of exactly what was to go, readable by any command; `index.jsonl` says where each
conversation lies in it and how it stood in its store; `manifest.json` says when, by which command
and from which store, with a digest; `journal` (see `journal.py`) remembers what was removed and
brought back, so that `undo` can be run again after a crash; `lock` is held by who is at work.

Backups are ordered by a counter, in the file `sequence` beside them, and not by the clock.
"""

import contextlib
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from synmem import durable, folders
from synmem.errors import CorruptData, StoreNotFound, SynmemError, UsageError
from synmem.formats import jsonl
from synmem.locks import held, waited
from synmem.messages import Conversation, JSONObject, Message, decode_line, parse_json
from synmem.operations.keeping.journal import Fate, Journal
from synmem.store import Position

OPENING = jsonl.Writer(seal=True).begin()
_SEAL = b'{"synmem": '  # no other line of ours begins like this
_ID: Final = re.compile(r"\d{8}-\d{6}-\d{6}-[0-9a-f]{4}")
_HINT: Final = "what is not in it was not removed; --no-backup does without"


_OWN: Final = (None, "synmem", "synapsekit")
"""The layouts of our own conversations."""


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why and from where something is removed: what `undo` needs to find the store again.

    `target` is the profile's name and `where` its masked address, for people; `identity` tells
    two stores apart. `config` is the configuration file that was named. A store that no profile
    names (`named` is False) has its `settings` here, or None where they hold a secret. `within` is
    what of the place is meant: its layout, its table.
    """

    command: str
    target: str
    where: str
    identity: str
    backend: str
    named: bool = True
    config: str | None = None
    settings: JSONObject | None = None
    within: JSONObject | None = None

    @property
    def place(self) -> tuple[str, str | None]:
        """What tells its store from every other: in one place another framework's conversations
        are others than our own."""
        layout = (self.within or self.settings or {}).get("layout")
        return self.identity, None if layout in _OWN else layout

    @property
    def is_found(self) -> bool:
        """Whether `undo` finds the store by itself: a secret of its address is kept nowhere."""
        return self.named or self.settings is not None

    def undo(self, backup_id: str) -> str:
        """The command that brings back what was removed from it."""
        return f"synmem undo {backup_id}" + ("" if self.is_found else " -p ADDRESS")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed backup as a whole: its id, when it was made, from where, and how much it holds.

    `sequence` is that of its last seal; version 1 had none, nor what `Kept` says since.
    """

    id: str
    at: str
    origin: Origin
    conversations: int
    messages: int
    index: str
    version: int = 1
    sequence: int = 0


class Replacement(msgspec.Struct, frozen=True):
    """What stands in a store in place of the messages kept: how many, and their digest."""

    messages: int
    digest: str


class Left(msgspec.Struct, frozen=True):
    """What stood behind the messages kept: where its first message was, and a digest of the first
    of them, `messages` in number."""

    position: Position
    messages: int
    digest: str


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a conversation's messages lie in a backup, and how it stood in its store.

    `first` and `upto` are the positions of the first and of the last of these messages; `left` is
    what stood behind them. `notes` are those on it (`aside`: in the state folder), with the
    positions that they name of these messages (`anchors`: position to index); `expires_s` the
    seconds that it had left, where all of it was kept.
    """

    number: int
    conversation: Conversation
    upto: Position
    messages: int
    offset: int
    size: int
    replacement: Replacement | None = None
    first: Position = ""
    left: Left | None = None
    notes: JSONObject = {}
    aside: JSONObject = {}
    anchors: dict[Position, int] = {}
    expires_s: float | None = None


class Damaged(msgspec.Struct, frozen=True):
    """A backup of which something is not as it was written."""

    id: str
    why: str
    manifest: Manifest | None = None
    """Where that can be read."""
    hides: bool = True
    """Whether something that was removed may be in it."""


# --- reading --------------------------------------------------------------------------------


def backups() -> list[Manifest]:
    """Every sealed backup of which the manifest can be read, newest first."""
    return every()[0]


def every() -> tuple[list[Manifest], list[Damaged]]:
    """Every sealed backup, newest first; and those of which the manifest cannot be read.

    What is being written, and what is no backup, is passed over.
    """
    found, damaged = [], []
    for folder in sorted(folders.state_folder("backups").iterdir()):
        if not folder.is_dir():
            continue
        try:
            found.append(_manifest(folder))
        except FileNotFoundError:
            damaged += _without_manifest(folder)
        except CorruptData as error:
            damaged.append(Damaged(folder.name, str(error)))
    found.sort(key=lambda each: (each.sequence, each.id), reverse=True)
    return found, damaged


def damaged_by(manifest: Manifest, error: CorruptData) -> Damaged:
    """A backup of which this was found out."""
    return Damaged(manifest.id, str(error).removeprefix(f"backup {manifest.id}: "), manifest)


def damage(manifest: Manifest) -> Damaged | None:
    """What is wrong with the other files of a backup; what was brought back whole is not read."""
    try:
        if not is_undone(manifest):
            entries(manifest)
            verify(manifest)
    except CorruptData as error:
        return damaged_by(manifest, error)
    return None


def find(backup_id: str) -> Manifest:
    """The backup of that id, or whose id alone begins like this."""
    sound, damaged = every()
    all_: list[Manifest | Damaged] = [*sound, *damaged]
    found = [each for each in all_ if backup_id and each.id.startswith(backup_id)]
    exact = [each for each in found if each.id == backup_id]
    if len(exact or found) != 1:
        hint = "`synmem undo --list` lists them"
        if found:
            raise UsageError(f"{len(found)} backups begin with {backup_id!r}", hint=hint)
        raise StoreNotFound(f"there is no backup {backup_id!r}", hint=hint)
    chosen = (exact or found)[0]
    if isinstance(chosen, Damaged):
        raise CorruptData(f"backup {chosen.id}: {chosen.why}", hint=by_hand(chosen.id))
    return chosen


def by_hand(backup_id: str) -> str:
    """What to do about a backup that cannot be undone."""
    folder = folders.state_path("backups") / backup_id
    path = folder / "conversations.jsonl"
    what = (
        f"its messages are in {path}: `synmem import --parts` brings them to a store; "
        * path.is_file()
    )
    return f"{what}with the folder {folder} it is gone"


def journal(manifest: Manifest) -> Journal:
    """What was done with this backup."""
    return Journal(folder_of(manifest), old=manifest.version == 1)


def fates(manifest: Manifest) -> dict[int, Fate]:
    """The last word on each conversation of a backup, -1 for the whole of it; CorruptData where
    its journal is damaged, or does not know of all."""
    try:
        found = journal(manifest).fates(manifest.conversations)
    except CorruptData as error:
        raise CorruptData(f"backup {manifest.id}: {error}", hint=by_hand(manifest.id)) from error
    if manifest.version > 1 and not found.keys() >= {*range(manifest.conversations)}:
        raise CorruptData(
            f"backup {manifest.id}: its journal does not say what was to be removed",
            hint=by_hand(manifest.id),
        )
    return found


def is_undone(manifest: Manifest) -> bool:
    """Whether everything in it was brought back; CorruptData where its journal is damaged."""
    return fates(manifest).get(-1, Fate()).word == "undone"


def entries(manifest: Manifest) -> list[Kept]:
    """The conversations of a backup, in the order of their numbers."""
    what = f"backup {manifest.id}: its index"
    try:
        data = (folder_of(manifest) / "index.jsonl").read_bytes()
        # What follows was kept, but not sealed: nothing of it was removed.
        lines = data.split(b"\n")[: manifest.conversations]
        if sha(hashlib.sha256(b"".join(line + b"\n" for line in lines))) != manifest.index:
            raise ValueError("it is not as it was written")
        found = list(map(_entry, lines))
        if [each.number for each in found] != [*range(manifest.conversations)]:
            raise ValueError("its numbers are not those of the manifest")
    except (OSError, ValueError, TypeError) as error:  # msgspec's are ValueErrors
        raise CorruptData(f"{what} is damaged: {error}", hint=by_hand(manifest.id)) from error
    return found


def verify(manifest: Manifest) -> None:
    """CorruptData where the messages are not, byte for byte, those that were kept.

    What follows the last section that was sealed is not looked at: nothing of it was removed.
    """
    path = messages_file(manifest)
    left, hash_ = manifest.messages, None
    try:
        with path.open("rb") as file:
            for line in file:
                if left == 0 and hash_ is None:
                    break
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
        raise CorruptData(
            f"backup {manifest.id}: its messages are damaged: {error}", hint=by_hand(manifest.id)
        ) from error
    if hash_ is not None or left != 0:
        raise CorruptData(
            f"backup {manifest.id}: its messages are damaged: cut short", hint=by_hand(manifest.id)
        )


def lock(manifest: Manifest) -> contextlib.AbstractContextManager[None]:
    """Hold a backup for oneself; Busy where the command that makes it still runs."""
    busy = f"backup {manifest.id}: the command that makes it is still running"
    return held(folder_of(manifest) / "lock", busy, hint="wait for it, or end it")


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
                raise CorruptData(
                    f"backup {manifest.id}: its messages of {kept.conversation.id!r} are damaged"
                )
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


def _without_manifest(folder: Path) -> list[Damaged]:
    """What is wrong with a folder that has no manifest; nothing where it is being written."""
    try:
        used = bool(Journal(folder).words() - {"removing"})
    except CorruptData:
        used = True
    if used:
        return [Damaged(folder.name, "its manifest is missing")]
    if not _ID.fullmatch(folder.name):
        return []
    try:
        with held(folder / "lock", "it is being written"):
            pass
    except SynmemError:
        return []
    why = "it was begun, and nothing removed, or its files are gone"
    return [Damaged(folder.name, why, hides=False)]


def manifest_bytes(manifest: Manifest) -> bytes:
    """What `manifest.json` holds: the manifest, and a digest of it."""
    text = msgspec.json.encode(manifest)
    return text + b"\n" + sha(hashlib.sha256(text)).encode() + b"\n"


def _manifest(folder: Path) -> Manifest:
    try:
        data = (folder / "manifest.json").read_bytes()
        text, _, digest = data.rstrip(b"\n").partition(b"\n")
        manifest = _DECODER.decode(text)
        if manifest.version > 1 and digest.decode() != sha(hashlib.sha256(text)):
            raise ValueError("it is not as it was written")
        if manifest.id != folder.name:
            raise ValueError(f"it is that of {manifest.id}")
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise CorruptData(f"its manifest is damaged: {error}") from error
    return manifest


def _entry(line: bytes) -> Kept:
    kept = msgspec.convert(parse_json(line), Kept)
    if kept.offset < 0 or kept.size < 0 or kept.messages < 1:
        raise ValueError(f"conversation {kept.number} lies nowhere")
    return kept


_DECODER = msgspec.json.Decoder(Manifest)


def folder_of(manifest: Manifest) -> Path:
    """Where the files of this backup lie."""
    return folders.state_path("backups") / manifest.id


def next_sequence(above: int) -> int:
    """The next number of the counter that orders what was removed: higher than any before, and
    than `above`, so that a file that is gone or damaged does no harm."""
    folder = folders.state_folder("backups")
    with writing(), waited(folder / "sequence.lock"):
        number = 1 + max(sequence() or 0, above)
        durable.replace(_sequence_file(), f"{number}\n".encode())
        durable.sync_folder(folder)
    return number


def highest_sequence() -> int:
    """The highest number that a backup has."""
    return max((each.sequence for each in backups()), default=0)


def sequence() -> int | None:
    """The last number of the counter; None where its file is not there, or damaged."""
    try:
        number = int(_sequence_file().read_bytes())
    except (OSError, ValueError):
        return None
    return number if 0 < number < 2**53 else None


def sequence_damage() -> str | None:
    """What is wrong with the counter's file, in words."""
    now, highest = sequence(), highest_sequence()
    if (_sequence_file().exists() or highest) and (now is None or now < highest):
        return (
            f"{_sequence_file()} is damaged: the next backup counts on behind those that are here"
        )
    return None


def _sequence_file() -> Path:
    return folders.state_path("backups") / "sequence"


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """An error of the disk, as one of ours."""
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        place = folders.state_path("backups")
        raise SynmemError(f"{place}: the backup cannot be written: {why}", hint=_HINT) from error


def sha(digest: Any) -> str:
    """A digest as it is written."""
    return f"sha256:{digest.hexdigest()}"
