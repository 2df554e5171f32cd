"""Whether a row was refused for its number: then the sequence is behind its table. Any other unique
index is a condition that somebody has set, as a CHECK is."""

from typing import Final

import asyncpg

from synmem.backends.postgres.errors import RowRefused
from synmem.backends.postgres.opening import Database
from synmem.backends.postgres.table import identifier

_COLUMNS: Final = """
SELECT ARRAY(SELECT a.attname::text FROM pg_attribute AS a
    WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[]))
FROM pg_index AS i WHERE i.indexrelid = to_regclass($1) AND i.indexprs IS NULL
    AND to_regclass($2) IN (i.indrelid, pg_partition_root(i.indrelid))
"""


async def is_number_taken(
    database: Database, error: RowRefused, table: str, number: str, conversation: str
) -> bool:
    """Whether a row of the table, named as in statements, was refused since there is one of its
    number already, of all or of its conversation. An index is asked for by the name that the server
    gives: of a partition it is another one than of the table."""
    why = error.__cause__
    if not isinstance(why, asyncpg.UniqueViolationError):
        return False
    index = ".".join(identifier(part or "") for part in (why.schema_name, why.constraint_name))
    return any(
        {number} <= {*columns} <= {number, conversation}
        for (columns,) in await database.fetch(_COLUMNS, index, table)
    )
