"""What lies beside conversations in an SQLite file, in `messages_meta`: titles, extras, notes."""

import contextlib
from collections.abc import Sequence
from typing import Any, Final

from synmem.backends.paging import storable
from synmem.backends.sqlite.file import File
from synmem.backends.sqlite.place import IDS_A_QUERY, Place, check_count, marks
from synmem.errors import CorruptData
from synmem.layouts.own.beside import read_beside
from synmem.layouts.own.sqlite_tables import Row
from synmem.messages import Conversation, ascii_json, chunks

REMEDY: Final = "mend or delete its row in the table messages_meta"


class Beside:
    """Titles, extras and notes; in a file of SynapseKit's there are none."""

    def __init__(self, place: Place) -> None:
        self._name = place.name
        self._place = place
        self._file = place.file

    async def descriptions(self, ids: Sequence[str]) -> list[Row]:
        """The titles and extras of these conversations: (conversation, name, JSON); within a
        step."""
        return await self._file.forgiving(
            "SELECT conversation_id, name, value FROM messages_meta "
            f"WHERE conversation_id COLLATE BINARY IN ({marks(ids)}) "
            "AND name IN ('title', 'extra')",
            ids,
        )

    async def all(self, ids: Sequence[str]) -> list[Row]:
        """The same with the notes, in the order of the conversations; within a step."""
        return await self._file.forgiving(
            "SELECT conversation_id, name, value FROM messages_meta "
            f"WHERE conversation_id COLLATE BINARY IN ({marks(ids)}) AND "
            "(name IN ('title', 'extra') OR name >= 'note:' AND name < 'note;') "
            "ORDER BY conversation_id",
            ids,
        )

    async def describe(self, conversations: Sequence[Conversation]) -> None:
        """Write the titles and extras that are set, where there is a place for them; within a
        transaction."""
        if not self._place.keeps_beside:
            return
        values: list[tuple[str, str, Any]] = []
        values += [(c.id, "title", c.title or None) for c in conversations if c.title is not None]
        values += [(c.id, "extra", c.extra or None) for c in conversations if c.extra is not None]
        await set_beside(self._file, values)

    async def forget(self, conversation: str) -> None:
        """Drop what lies beside a conversation that has no messages any more; within a
        transaction."""
        if not self._place.keeps_beside:
            return
        await self._file.execute(
            "DELETE FROM messages_meta "
            "WHERE conversation_id = ? COLLATE BINARY AND conversation_id <> ''",
            [conversation],
        )

    async def described(self, conversations: Sequence[str]) -> list[str]:
        """See `SupportsLines.described`."""
        if not self._place.keeps_beside:
            return []
        ids = storable(conversations)
        found: list[str] = []
        for chunk in chunks(ids, IDS_A_QUERY):
            async with self._file.step():
                rows = await self._file.rows(
                    "SELECT DISTINCT conversation_id FROM messages_meta "
                    f"WHERE conversation_id COLLATE BINARY IN ({marks(chunk)}) "
                    "AND name IN ('title', 'extra')",
                    chunk,
                )
            found += [row[0] for row in rows]
        return found

    async def note(self, conversation: str, name: str) -> Any | None:
        """See `SupportsNotes.note`."""
        async with self._file.step():
            rows = await self._file.forgiving(
                "SELECT value FROM messages_meta "
                "WHERE conversation_id = ? COLLATE BINARY AND name = ?",
                [conversation, f"note:{name}"],
            )
        return self._read(conversation, f"note:{name}", rows[0][0]) if rows else None

    async def set_note(self, conversation: str, name: str, value: Any | None) -> None:
        """See `SupportsNotes.set_note`."""
        async with self._place.transaction():
            if await self._place.ends([conversation]):
                await set_beside(self._file, [(conversation, f"note:{name}", value)])

    async def notes(self, conversations: Sequence[str]) -> dict[str, dict[str, Any]]:
        """See `SupportsNotes.notes`."""
        ids = storable(conversations)
        found: dict[str, dict[str, Any]] = {}
        for chunk in chunks(ids, IDS_A_QUERY):
            async with self._file.step():
                rows = await self._file.forgiving(
                    "SELECT conversation_id, name, value FROM messages_meta WHERE "
                    f"conversation_id COLLATE BINARY IN ({marks(chunk)}) "
                    "AND name >= 'note:' AND name < 'note;'",
                    chunk,
                )
            for conversation, name, text in rows:
                with contextlib.suppress(ValueError):  # it can be made anew
                    if (value := read_beside(name, text)) is not None:
                        found.setdefault(conversation, {})[name.removeprefix("note:")] = value
        return found

    def _read(self, conversation: str, name: str, text: Any) -> Any:
        """A note, from its JSON text, if there is one."""
        try:
            return None if text is None else read_beside(name, text)
        except ValueError as error:
            raise CorruptData(
                f"{self._name}: conversation {conversation!r}: {error}", hint=REMEDY
            ) from error


async def set_beside(
    file: File, values: Sequence[tuple[str, str, Any]], *, trial: bool = False
) -> None:
    """Remember values beside conversations, under (conversation, name); None forgets one. Refused
    where a trigger left one out, which in a `trial` the caller looks at by itself."""
    if not values:
        return
    await file.many(
        "DELETE FROM messages_meta WHERE conversation_id = ? COLLATE BINARY AND name = ?",
        [(conversation, name) for conversation, name, _ in values],
    )
    rows = [
        (conversation, name, ascii_json(value))
        for conversation, name, value in values
        if value is not None
    ]
    into = "INSERT INTO messages_meta (conversation_id, name, value) VALUES (?, ?, ?)"
    written = await file.many(into, rows)
    if not trial:
        check_count(file, written, len(rows))
