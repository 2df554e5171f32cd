"""Conversations that come as CSV, and a digest of them that the server makes of its rows.

The digest is SHA-256 over the CSV: over the bytes that were loaded, and over those that the server
makes of what is stored. Of rows that are not in that form (another column of ours is not NULL, a
time is none) it makes what is no such CSV. None is made of a table with columns that are not ours.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from synmem import messages as model
from synmem.backends.csv_rows import Csv, MakesCsv
from synmem.backends.paging import storable
from synmem.backends.postgres.beside import describe
from synmem.backends.postgres.errors import RowRefused
from synmem.backends.postgres.inserting import copy_csv, ends_of
from synmem.backends.postgres.table import Table, identifier, time_as_text_sql
from synmem.backends.postgres.writing import Writer
from synmem.errors import StoreUnavailable
from synmem.messages import Conversation
from synmem.store import Copied, Store

MOST_MESSAGES: Final = 2_000
MOST_BYTES: Final = 1_000_000
"""Larger conversations are not copied so: the server puts all lines together to hash them."""

IDS_A_QUERY: Final = 500
"""So many digests are made in one query: done well within a timeout, however large they are."""

_HELD: Final = ("role", "content", "metadata", "created_at")


async def copy(
    writer: Writer, source: Store, conversations: Sequence[Conversation]
) -> tuple[list[Copied], list[Conversation]]:
    """See `SupportsCopy.copy`: a transaction of some thousand messages."""
    table = writer.table
    if not isinstance(source, MakesCsv) or not await _holds_nothing_else(table):
        return [], []
    known = {c.id: c for c in conversations if model.conversation_refusal(c) is None}
    try:
        found, left = await source.csv([*known])
    except StoreUnavailable:  # the ordinary way waits, and says what is locked
        return [], []
    found = [each for each in found if _can_be_copied(table, each)]
    names = [each.conversation for each in found]

    async def write(connection: Any) -> list[Csv]:
        there = await ends_of(connection, table, names)
        absent = [each for each in found if each.conversation not in there]
        if absent:
            await copy_csv(connection, table, [each.data for each in absent])
        await describe(connection, table, [known[each.conversation] for each in absent])
        return absent

    try:
        copied = await writer.transaction(names, write) if found else []
    except RowRefused:  # the ordinary way says which message it is
        return [], []
    return [_as_copied(each) for each in copied], [known[each] for each in left]


async def digests(table: Table, conversations: Sequence[str]) -> dict[str, str]:
    """See `SupportsCopy.digests`: made by the server."""
    if not await _holds_nothing_else(table):
        return {}
    names = [table.stored_id(each) for each in storable(conversations)]
    found: list[Any] = []
    for some in model.chunks(names, IDS_A_QUERY):
        found += await table.fetch(_digests_sql(table), some)
    return {table.shown_id(name): digest for name, digest in found if digest is not None}


async def _holds_nothing_else(table: Table) -> bool:
    """Whether all that a row has is in what is copied, and in its digest."""
    await table.is_made()
    return table.is_ours_alone


def _can_be_copied(table: Table, csv: Csv) -> bool:
    """Whether it is no larger than a digest is made of, and its id is stored as it is."""
    small = csv.messages <= MOST_MESSAGES and len(csv.data) <= MOST_BYTES
    return small and table.stored_id(csv.conversation) == csv.conversation


def _as_copied(csv: Csv) -> Copied:
    """What is told of it, when it was loaded."""
    digest = hashlib.sha256(csv.data).hexdigest()
    return Copied(csv.conversation, csv.messages, digest, csv.end)


def _digests_sql(table: Table) -> str:
    """A query of the digests of the conversations `$1`: NULL where they have no rows, or too
    many."""
    return (
        f"SELECT session, (SELECT CASE WHEN count(*) <= {MOST_MESSAGES} THEN "
        "encode(sha256(convert_to(string_agg(line, '' ORDER BY id), 'UTF8')), 'hex') END "
        f"FROM (SELECT id, {_line_sql(table)} AS line FROM {table.rows} "
        f"WHERE session_id = wanted.session ORDER BY id LIMIT {MOST_MESSAGES} + 1) AS found) "
        "FROM unnest($1::text[]) AS wanted(session)"
    )


def _line_sql(table: Table) -> str:
    others = ", ".join(identifier(name) for name in table.layout.columns if name not in _HELD)
    return (
        f"coalesce({_quoted('session_id')} || ',' || {_quoted('role')} || ',' || "
        f"{_quoted('content')} || ',' || coalesce({_quoted('metadata::text')}, '') || ',' || "
        f"coalesce({time_as_text_sql('created_at')}, '') || "
        f"CASE WHEN num_nonnulls({others}) = 0 THEN E'\\n' END, '?')"
    )


def _quoted(text: str) -> str:
    return f"""'"' || replace({text}, '"', '""') || '"'"""
