"""Notes: what was derived from a conversation (a summary), remembered with how far it reaches.

A note is JSON by conversation and name, and can be made anew at any time. It lies beside the
data where the store keeps notes (`SupportsNotes`) and the command is one that writes; else as a
file of its own in a folder, one for each store. Reading looks in both places.

How far a note reaches is a position and a digest of the last 16 messages covered. Where these
are not what they were (trimmed, replaced, another conversation of that name), the note is stale.
"""

import contextlib
import hashlib
import os
import secrets
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from synmem import folders
from synmem.errors import AccessDenied, Changed, CorruptData, SynmemError, Unsupported
from synmem.messages import JSONObject, Message, Unreadable, canonical, dump_json, parse_json
from synmem.store import START, Position, Store, SupportsNotes

SUMMARY: Final = "summary"
"""The name of the note that `summarize` makes, and that every context may use."""

COVERED: Final = 16
"""How many messages at its end tell whether a note still fits."""

NOT_BESIDE: Final = (Unsupported, AccessDenied)
"""What a store says that could keep notes, but not here: another program's file, or read-only."""


class Reach(msgspec.Struct, frozen=True):
    """How far something derived reaches into a conversation.

    `position` is that of the last message covered, `digest` of the last 16, `before` the position
    in front of these, and `messages` the number of all that were covered.
    """

    position: Position
    digest: str
    before: Position
    messages: int


class Note(msgspec.Struct, frozen=True):
    """A note: its value, and how far it reaches."""

    value: JSONObject
    reach: Reach


class Covered:
    """Counts the messages that something is derived from, and remembers its end."""

    def __init__(
        self,
        since: Reach | None = None,
        tail: Sequence[tuple[Position, Message | Unreadable]] = (),
    ) -> None:
        """From the beginning of a conversation; or on from a reach, whose tail was read again."""
        self.messages = since.messages if since else 0
        self._before = since.before if since else START
        self._tail = deque(tail, maxlen=COVERED)

    def add(self, position: Position, item: Message | Unreadable) -> None:
        """The next message is covered."""
        if len(self._tail) == COVERED:
            self._before = self._tail[0][0]
        self._tail.append((position, item))
        self.messages += 1

    @property
    def reach(self) -> Reach:
        """How far it reaches by now; at least one message was added."""
        items = [item for _, item in self._tail]
        return Reach(self._tail[-1][0], fingerprint(items), self._before, self.messages)


def fingerprint(items: Sequence[Message | Unreadable]) -> str:
    """A digest of these messages, in order."""
    lines = [b"!" if isinstance(item, Unreadable) else canonical(item) for item in items]
    return "sha256:" + hashlib.sha256(b"\n".join(lines)).hexdigest()


async def tail_of(
    store: Store, conversation: str, reach: Reach
) -> list[tuple[Position, Message | Unreadable]] | None:
    """The last messages that a reach covers, with their positions; None where it is stale."""
    count = min(COVERED, reach.messages)
    for before in dict.fromkeys((reach.before, START)):  # what was before may be trimmed by now
        with contextlib.suppress(Changed, ValueError):  # it may never have been a position
            found: list[tuple[Position, Message | Unreadable]] = []
            async for page in store.read([conversation], after=before, limit=count):
                found += [(page.position(i), item) for i, item in enumerate(page.items)]
            if fingerprint([item for _, item in found]) == reach.digest:
                return found
    return None


class Notes:
    """The notes on a store: beside its data, and in a folder."""

    def __init__(self, store: Store, folder: Path) -> None:
        """`folder` holds the notes on this one store; it need not exist."""
        self._store = store
        self._folder = folder

    async def read(self, conversation: str, name: str) -> tuple[Note, bool] | None:
        """The note, and whether it fits; of two the one that fits and reaches further."""
        return next(iter(await self.every(conversation, name)), None)

    async def every(self, conversation: str, name: str) -> list[tuple[Note, bool]]:
        """The notes of that name, of both places, as `read` gives them, the better one first."""
        found = []
        for note in (await self._beside(conversation, name), self._in_folder(conversation, name)):
            if note is not None:
                fits = await tail_of(self._store, conversation, note.reach) is not None
                found.append((note, fits))
        return sorted(found, key=lambda each: (each[1], each[0].reach.messages), reverse=True)

    async def write(self, conversation: str, name: str, note: Note, *, beside: bool) -> None:
        """Remember a note; `beside` the data, if the store can and the command is one that writes.

        A note that lies in the folder gives way to one beside the data. SynmemError where the
        folder cannot be written.
        """
        if beside and isinstance(self._store, SupportsNotes):
            with contextlib.suppress(*NOT_BESIDE):
                await self._store.set_note(conversation, name, msgspec.to_builtins(note))
                self._path(conversation, name).unlink(missing_ok=True)
                return
        try:
            write_file(self._folder, conversation, name, msgspec.to_builtins(note))
        except OSError as error:
            why = error.strerror or str(error)
            raise SynmemError(
                f"the {name} cannot be remembered in {self._folder}: {why}"
            ) from error

    async def forget(self, conversation: str, name: str, *, beside: bool) -> None:
        """Forget a note; one beside the data only if the command is one that writes."""
        if beside and isinstance(self._store, SupportsNotes):
            with contextlib.suppress(*NOT_BESIDE):
                await self._store.set_note(conversation, name, None)
        self._path(conversation, name).unlink(missing_ok=True)

    async def _beside(self, conversation: str, name: str) -> Note | None:
        if not isinstance(self._store, SupportsNotes):
            return None
        try:
            return _as_note(await self._store.note(conversation, name))
        except CorruptData:
            return None  # as in the folder: what cannot be read is made anew

    def _in_folder(self, conversation: str, name: str) -> Note | None:
        return _as_note(_file_data(self._path(conversation, name)).get("note"))

    def _path(self, conversation: str, name: str) -> Path:
        return note_file(self._folder, conversation, name)


def positions_in(notes: Iterable[Any]) -> set[Position]:
    """The positions that these notes (as stores have them) name in their conversation."""
    reaches = [note.reach for value in notes if (note := _as_note(value)) is not None]
    return {each for reach in reaches for each in (reach.position, reach.before)} - {START}


def moved(value: Any, positions: Mapping[Position, Position]) -> Any:
    """A note (as stores have it) on a conversation whose messages have these new positions."""
    note = _as_note(value)
    if note is None:
        return value
    reach = msgspec.structs.replace(
        note.reach,
        position=positions.get(note.reach.position, note.reach.position),
        before=positions.get(note.reach.before, note.reach.before),
    )
    return msgspec.to_builtins(msgspec.structs.replace(note, reach=reach))


def note_file(folder: Path, conversation: str, name: str) -> Path:
    """The file of a note in a store's folder; ids hold any characters, file names do not."""
    return folder / f"{hashlib.sha256(conversation.encode()).hexdigest()[:32]}-{name}.json"


def write_file(folder: Path, conversation: str, name: str, value: Any) -> None:
    """Remember a note in a store's folder; OSError where that cannot be written."""
    folders.private(folder)
    path = note_file(folder, conversation, name)
    data = {"conversation_id": conversation, "name": name, "note": value}
    fresh = path.with_suffix(f".{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(dump_json(data))
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def files_of(folder: Path, conversations: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The notes in a store's folder on these conversations, by conversation and name; one that
    cannot be read is left out."""
    begins = {note_file(folder, each, "").name.partition("-")[0]: each for each in conversations}
    found: dict[str, dict[str, Any]] = {}
    for file in folder.glob("*.json"):
        conversation = begins.get(file.name.partition("-")[0])
        data = _file_data(file) if conversation is not None else {}
        if conversation is not None and isinstance(data.get("name"), str):
            found.setdefault(conversation, {})[data["name"]] = data.get("note")
    return found


def _file_data(path: Path) -> JSONObject:
    try:
        data = parse_json(path.read_bytes())
    except (OSError, ValueError):
        return {}  # a note that cannot be read is made anew
    return data if isinstance(data, dict) else {}


def forget_files(folder: Path, conversations: Iterable[str]) -> None:
    """Remove every note on these conversations from a store's folder: they were erased."""
    begins = {note_file(folder, each, "").name.removesuffix("-.json") for each in conversations}
    for file in folder.glob("*.json") if begins else ():
        if file.name.partition("-")[0] in begins:
            file.unlink(missing_ok=True)


def store_folder(parent: Path, identity: str) -> Path:
    """The folder, below `parent`, of what is remembered about a store; it need not exist."""
    return parent / hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _as_note(data: object) -> Note | None:
    try:
        return msgspec.convert(data, Note)
    except msgspec.ValidationError:
        return None  # none, or of another version: made anew
