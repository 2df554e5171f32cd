"""Conversations that come as CSV, and a digest of them that the server makes of its rows.

The digest is SHA-256 over the CSV: over the bytes that were loaded, and over those that the server
makes of what is stored. Of rows that are not in that form (another column of ours is not NULL, a
time is none) it makes what is no such CSV. None is made of a table with columns that are not ours.
"""

import hashlib
from typing import Final

from synmem.backends.csv_rows import Csv
from synmem.backends.postgres.opening import Table, identifier
from synmem.backends.postgres.reading import TIME_AS_TEXT
from synmem.layouts.own.postgres_rows import COLUMNS, stored_id
from synmem.store import Copied

MOST_MESSAGES: Final = 2_000
MOST_BYTES: Final = 1_000_000
"""Larger conversations are not copied so: the server puts all lines together to hash them."""

IDS_A_QUERY: Final = 500
"""So many digests are made in one query: done well within a timeout, however large they are."""

_HELD: Final = ("role", "content", "metadata", "created_at")
_OTHERS: Final = ", ".join(identifier(name) for name in COLUMNS if name not in _HELD)


def _quoted(text: str) -> str:
    return f"""'"' || replace({text}, '"', '""') || '"'"""


_LINE: Final = (
    f"coalesce({_quoted('session_id')} || ',' || {_quoted('role')} || ',' || "
    f"{_quoted('content')} || ',' || coalesce({_quoted('metadata::text')}, '') || ',' || "
    f"coalesce({TIME_AS_TEXT}, '') || "
    f"CASE WHEN num_nonnulls({_OTHERS}) = 0 THEN E'\\n' END, '?')"
)


def digests_sql(table: Table) -> str:
    """A query of the digests of the conversations `$1`: NULL where they have no rows, or too
    many."""
    return (
        f"SELECT session, (SELECT CASE WHEN count(*) <= {MOST_MESSAGES} THEN "
        "encode(sha256(convert_to(string_agg(line, '' ORDER BY id), 'UTF8')), 'hex') END "
        f"FROM (SELECT id, {_LINE} AS line FROM {table.rows} WHERE session_id = wanted.session "
        f"ORDER BY id LIMIT {MOST_MESSAGES} + 1) AS found) "
        "FROM unnest($1::text[]) AS wanted(session)"
    )


def can_be_copied(csv: Csv) -> bool:
    """Whether it is no larger than a digest is made of, and its id is stored as it is."""
    small = csv.messages <= MOST_MESSAGES and len(csv.data) <= MOST_BYTES
    return small and stored_id(csv.conversation) == csv.conversation


def as_copied(csv: Csv) -> Copied:
    """What is told of it, when it was loaded."""
    digest = hashlib.sha256(csv.data).hexdigest()
    return Copied(csv.conversation, csv.messages, digest, csv.end)
