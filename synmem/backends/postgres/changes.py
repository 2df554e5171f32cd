"""Whether messages are still what they were, told sooner than they could be read again."""

from collections.abc import Mapping
from typing import Final

import asyncpg

from synmem.backends.postgres.reading import IDS_A_QUERY
from synmem.backends.postgres.table import Table, row_id
from synmem.errors import CorruptData
from synmem.messages import chunks
from synmem.store import Position

_PRINTS: Final = """
SELECT wanted.session, count(*)::text || ' ' || sum(hashint8extended(m.id, m.xmin::text::bigint))
FROM unnest($1::text[], $2::bigint[]) AS wanted(session, upto)
JOIN {rows} AS m ON {session} = wanted.session AND m.id <= wanted.upto
GROUP BY wanted.session
"""
"""`xmin` is the transaction that wrote the row as it is. It stays where the row is frozen."""


VERSION: Final = "SELECT pg_postmaster_start_time()::text || ' ' || txid_current_snapshot()::text"
"""Which transactions of the server are seen."""


async def version(table: Table) -> str | None:
    """See `SupportsChanges.version`: which transactions of the server are seen."""
    rows = await table.fetch(VERSION)
    return str(rows[0][0]) if rows else None


async def fingerprints(table: Table, upto: Mapping[str, Position]) -> dict[str, str] | None:
    """See `SupportsChanges.fingerprints`: which transaction wrote each row, which every change
    of a row changes. None where rows do not tell it: of a view, say."""
    wanted = [(table.stored_id(name), row_id(position)) for name, position in upto.items()]
    found: dict[str, str] = {}
    try:
        for some in chunks(wanted, IDS_A_QUERY) if wanted else [[]]:  # of none: can it tell?
            rows = await table.fetch(
                _PRINTS.format(rows=table.rows, session=table.session_of("m")),
                [name for name, _ in some],
                [number for _, number in some],
            )
            found.update((table.shown_id(session), told) for session, told in rows)
    except CorruptData as error:
        if isinstance(error.__cause__, asyncpg.UndefinedColumnError):
            return None
        raise
    return found
