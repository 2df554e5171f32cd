"""Notes: JSON in TABLE_meta, under a conversation's session_id and `note:NAME`."""

import contextlib
from collections.abc import Sequence
from typing import Any

from synmem.backends.paging import storable
from synmem.backends.postgres.beside import forget_beside, put_beside, remedy
from synmem.backends.postgres.reading import IDS_A_QUERY
from synmem.backends.postgres.table import Table
from synmem.backends.postgres.writing import Writer, exists
from synmem.errors import CorruptData
from synmem.layouts.own.beside import read_beside
from synmem.messages import ascii_json, chunks, encodable


async def note(table: Table, conversation: str, name: str) -> Any | None:
    """See `SupportsNotes.note`."""
    if not encodable(conversation):
        return None
    key = f"note:{name}"
    rows = await table.fetch(
        f"SELECT value FROM {table.meta} WHERE session_id = $1 AND name = $2",
        table.stored_id(conversation), key,
    )  # fmt: skip
    text = rows[0][0] if rows else None
    try:
        return None if text is None else read_beside(key, text)
    except ValueError as error:
        raise CorruptData(
            f"{table.database.name}: conversation {conversation!r}: {error}",
            hint=remedy(table),
        ) from error


async def set_note(writer: Writer, conversation: str, name: str, value: Any | None) -> None:
    """See `SupportsNotes.set_note`."""
    table = writer.table
    session, key = table.stored_id(conversation), f"note:{name}"

    async def write(connection: Any) -> None:
        if value is None:
            await forget_beside(connection, table, [(session, key)])
        elif await exists(connection, table, session):
            await put_beside(connection, table, [(session, key, ascii_json(value))])

    if await table.is_made():
        await writer.transaction([session], write)


async def notes(table: Table, conversations: Sequence[str]) -> dict[str, dict[str, Any]]:
    """See `SupportsNotes.notes`."""
    names = [table.stored_id(each) for each in storable(conversations)]
    found: dict[str, dict[str, Any]] = {}
    for some in chunks(names, IDS_A_QUERY):
        rows = await table.fetch(
            f"SELECT session_id, name, value FROM {table.meta} "
            "WHERE session_id = ANY($1::text[]) AND name LIKE 'note:%'",
            some,
        )
        for session, name, text in rows:
            with contextlib.suppress(ValueError):
                value = read_beside(name, text)
                of_one = found.setdefault(table.shown_id(session), {})
                of_one[name.removeprefix("note:")] = value
    return found
