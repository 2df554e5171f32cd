"""What stands beside the messages in TABLE_meta: titles, extras and notes, as JSON in ASCII."""

from collections.abc import Sequence
from typing import Any

from synmem.backends.postgres.table import Table
from synmem.messages import Conversation, ascii_json


async def describe(connection: Any, table: Table, conversations: Sequence[Conversation]) -> None:
    """Write the titles and extras that are set; forget those that are empty."""
    given = [
        (table.stored_id(c.id), name, value)
        for c in conversations
        for name, value in (("title", c.title), ("extra", c.extra))
        if value is not None
    ]
    rows = [(name, key, ascii_json(value)) for name, key, value in given if value]
    await put_beside(connection, table, rows)
    empty = [(name, key) for name, key, value in given if not value]
    await forget_beside(connection, table, empty)


async def put_beside(connection: Any, table: Table, rows: Sequence[Sequence[str]]) -> None:
    """Set titles, extras and notes: session_id, name, and the value as JSON."""
    if not rows:
        return
    await connection.execute(
        f"INSERT INTO {table.meta} (session_id, name, value) "
        "SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) "
        "ON CONFLICT (session_id, name) DO UPDATE SET value = excluded.value",
        *map(list, zip(*rows, strict=True)),
    )


async def forget_beside(connection: Any, table: Table, rows: Sequence[Sequence[str]]) -> None:
    """Forget titles, extras and notes: session_id and name."""
    if not rows:
        return
    await connection.execute(
        f"DELETE FROM {table.meta} AS old USING unnest($1::text[], $2::text[]) "
        "AS given(session, name) WHERE old.session_id = given.session AND old.name = given.name",
        *map(list, zip(*rows, strict=True)),
    )


async def forget_all(connection: Any, table: Table, names: Sequence[str]) -> None:
    """Drop what lies beside those of these conversations that have no messages any more."""
    # Another program may have written rows for the session_id of the steps, and they go.
    await connection.execute(
        f"DELETE FROM {table.meta} AS beside WHERE session_id = ANY($1::text[]) "
        f"AND session_id <> '' AND NOT EXISTS (SELECT FROM {table.rows} AS m "
        f"WHERE {table.session_of('m')} = beside.session_id)",
        names,
    )


def remedy(table: Table) -> str:
    """What to do about a title, an extra or a note that cannot be read."""
    return f"mend or delete its row in {table.meta}"
