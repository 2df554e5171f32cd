"""Whether a table of another framework takes back what is taken from it, tried out and rolled back:
somebody may have put conditions on it. Where there are none, nothing needs to be tried."""

from typing import Final

from synmem.backends.patience import again
from synmem.backends.placing import Placing
from synmem.backends.postgres.aside import Aside
from synmem.backends.postgres.errors import Lost, RowRefused
from synmem.backends.postgres.foreign_inserting import cut, lowest, put
from synmem.backends.postgres.foreign_table import ForeignTable
from synmem.backends.postgres.writing import locked_sql, slots_of
from synmem.errors import Rejected

_PLAIN: Final = """
SELECT c.relkind = 'r' AND NOT (c.relispartition OR c.relhassubclass OR c.relrowsecurity)
    AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conrelid = c.oid
        AND k.contype NOT IN ('p', 'n') AND NOT (k.contype = 'f' AND $2))
    AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND (NOT i.indisprimary
        AND i.indisunique OR i.indisexclusion OR i.indexprs IS NOT NULL OR i.indpred IS NOT NULL))
    AND NOT EXISTS (SELECT FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND (t.typtype = 'd' OR a.atttypmod <> -1 AND a.attname <> $3))
FROM pg_class AS c WHERE c.oid = to_regclass($1)
"""
"""Whether a table has no condition but its key, and no column that takes only some values; a column
of ids has had them."""


async def is_plain(table: ForeignTable) -> bool:
    """Whether nothing in the table can refuse what a framework writes; where there is none, too."""
    if not await table.is_made():
        return True
    write = table.shape.write
    has_beside = write is not None and "postgres" in write.beside  # its rows are made first
    rows = await table.database.fetch(_PLAIN, table.name, has_beside, table.shape.conversation)
    return any(plain for (plain,) in rows)


async def not_taken(table: ForeignTable, placing: Placing, conversation: str) -> str | None:
    """Why the table would not take the messages of a conversation back, in front of all others or
    behind them; None where it would."""
    with Aside() as aside:
        async for messages in placing.said(conversation, table.rows_from):
            aside.put(messages)

        async def step() -> None:
            async with table.database.connection() as connection:
                await connection.execute(locked_sql(table.name, slots_of([conversation])))
                first = await lowest(connection, table, aside.count)
                await cut(connection, table, conversation, None)
                await connection.execute("SAVEPOINT behind")
                await put(connection, table, placing, conversation, aside)
                await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
                await connection.execute("ROLLBACK TO SAVEPOINT behind")
                await put(connection, table, placing, conversation, aside, first)
                await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
                await connection.execute("ROLLBACK")

        try:
            if aside.count:
                await again(step, (Lost,))
        except RowRefused as error:
            return error.why
        except Rejected as error:
            return error.reasons[0][2]
    return None
