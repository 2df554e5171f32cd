"""What lies beside a list in Redis: notes, and how long it has to live."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from synmem.backends.paging import storable
from synmem.backends.redis.place import IDS_A_CALL, Place
from synmem.backends.redis.scripts import EXPIRE, EXPIRING, NOTE, NOTES, SET_NOTE
from synmem.errors import CorruptData
from synmem.layouts.own.beside import read_beside
from synmem.messages import ascii_json, chunks, encodable

REMEDY: Final = "set that field of its hash, ...:synmem, to JSON, or HDEL it"
_NOTE: Final = b"note:"


class Beside:
    """Notes, and expiry."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def note(self, conversation: str, name: str) -> Any | None:
        """See `SupportsNotes.note`."""
        if not encodable(conversation):
            return None
        field = _note_field(name)
        text = await self._place.call_both(NOTE, [conversation], field)
        try:
            return None if text is None else read_beside(field.decode(), text)
        except ValueError as error:
            key = self._place.keys.beside(conversation)
            raise CorruptData(
                f"{self._place.name}: the hash {key!r}: {error}", hint=REMEDY
            ) from error

    async def notes(self, conversations: Sequence[str]) -> dict[str, dict[str, Any]]:
        """See `SupportsNotes.notes`."""
        notes: dict[str, dict[str, Any]] = {}
        for some in chunks(storable(conversations), IDS_A_CALL):
            found = await self._place.call_both(NOTES, some)
            notes.update(
                {i: mine for i, raw in zip(some, found, strict=True) if (mine := _notes(raw))}
            )
        return notes

    async def set_note(self, conversation: str, name: str, value: Any | None) -> None:
        """See `SupportsNotes.set_note`."""
        self._place.may_write()
        if encodable(conversation):
            text = as_json(value)
            answer = await self._place.call_both(SET_NOTE, [conversation], _note_field(name), text)
            self._place.returned(answer)

    async def expiring(self, conversations: Sequence[str]) -> dict[str, float]:
        """See `SupportsExpiry.expiring`."""
        left: dict[str, float] = {}
        for some in chunks(storable(conversations), IDS_A_CALL):
            found = await self._place.call(EXPIRING, some)
            left.update({i: ms / 1000 for i, ms in zip(some, found, strict=True) if ms >= 0})
        return left

    async def expire(self, left_s: Mapping[str, float]) -> None:
        """See `SupportsExpiry.expire`."""
        self._place.may_write()
        for some in chunks(storable(list(left_s)), IDS_A_CALL):
            # With none left it would not pass, but be deleted at once.
            left_ms = [max(1, int(left_s[i] * 1000)) for i in some]
            await self._place.call_both(EXPIRE, some, *left_ms)


def as_json(value: Any | None) -> bytes:
    """As a script takes what lies beside: nothing where it is None."""
    return b"" if value is None else ascii_json(value).encode()


def _note_field(name: str) -> bytes:
    """The field of a note beside its conversation."""
    return _NOTE + name.encode("utf-8", "surrogatepass")


def _notes(raw: Sequence[bytes]) -> dict[str, Any]:
    """The notes among the fields and values of what lies beside a conversation."""
    notes = {}
    for field, text in zip(raw[::2], raw[1::2], strict=True):
        if field.startswith(_NOTE):
            with contextlib.suppress(ValueError):
                name = field[len(_NOTE) :].decode("utf-8", "surrogatepass")
                notes[name] = read_beside(name, text)
    return {name: note for name, note in notes.items() if note is not None}
