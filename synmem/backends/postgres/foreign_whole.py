"""Conversations of other frameworks that lie in several tables of a PostgreSQL database: the
`Whole` of `layouts/shapes.py`, for all layouts.

What is asked together is asked in one transaction that only reads, of one moment; it ends before
anything is given out. What stands in other schemas is found by a search path of that transaction.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from synmem.backends.patience import again
from synmem.backends.postgres.changes import VERSION
from synmem.backends.postgres.encoding import is_text_sql
from synmem.backends.postgres.errors import Lost, RowRefused
from synmem.backends.postgres.finding import Found
from synmem.backends.postgres.odd import fetch_odd, has_ends, is_no_text
from synmem.backends.postgres.opening import Database
from synmem.backends.postgres.table import identifier
from synmem.backends.telling import MOST_STRAYS, by_conversation, stray, told_of
from synmem.layouts.registry import WholeFit
from synmem.layouts.shapes import Told
from synmem.messages import STRAY, Damage, chunks

_SLICE: Final = 20
"""So many pages of ids a query gives: each looks at all of them."""

_IDS_A_QUERY: Final = 1000

_WANTED: Final = "(SELECT unnest($1::text[]))"
"""What stands for `{ids}`."""

Queries = Mapping[str, tuple[str, Sequence[Any]]]


class PostgresSource:
    """The `Source` of a database."""

    def __init__(self, database: Database, found: Found, fit: WholeFit, *, page_size: int) -> None:
        self.name = database.name
        self._database = database
        self._schema = None if found.on_path else found.schema
        self._table = fit.table
        self._unfold = fit.shape.unfold
        self._plan = fit.plan
        self._page_size = page_size

    async def ids(self) -> AsyncIterator[list[str]]:
        """See `Source.ids`; in the order of their bytes."""
        size, last = self._page_size * _SLICE, ""
        sql = (
            f'SELECT DISTINCT id::text COLLATE "C" FROM ({self._plan.listing}) AS listed '
            f'WHERE id::text COLLATE "C" > $1 AND {is_text_sql("id")} ORDER BY 1 LIMIT $2'
        )
        while True:
            found = [row[0] for row in await self._rows(sql, last, size)]
            for some in chunks(found, self._page_size):
                yield some
            if len(found) < size:
                return
            last = found[-1]

    async def told(self, ids: Sequence[str]) -> dict[str, Told]:
        """See `Source.told`; of one moment. One of which no query has a row is not there."""
        found: dict[str, Told] = {}
        for some in chunks([id_ for id_ in ids if "\0" not in id_], _IDS_A_QUERY):
            found |= await self._told(some)
        return found

    async def _told(self, ids: Sequence[str]) -> dict[str, Told]:
        queries = {
            name: (sql.replace("{ids}", _WANTED), [ids]) for name, sql in self._plan.queries.items()
        }
        found = await self._at_once(queries)
        records = {name: by_conversation(rows) for name, rows in found.items()}
        return told_of(ids, records, self._unfold)

    async def _rows(self, sql: str, *values: Any) -> list[Any]:
        return (await self._at_once({"": (sql, values)}))[""]

    async def _at_once(self, queries: Queries) -> dict[str, list[Any]]:
        """The rows of these queries, by name; asked again where the server was lost, and where
        something is in them that the driver has nothing for."""
        with contextlib.suppress(OverflowError):  # of a time
            try:
                found = await self._asked(queries, odd=False)
                if not any(map(has_ends, found.values())):
                    return found
            except RowRefused as error:
                if not is_no_text(error):
                    raise
        return await self._asked(queries, odd=True)

    async def _asked(self, queries: Queries, *, odd: bool) -> dict[str, list[Any]]:
        async def step() -> dict[str, list[Any]]:
            async with (
                self._database.connection() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                if self._schema is not None:
                    await connection.execute(f"SET LOCAL search_path TO {identifier(self._schema)}")
                return {
                    name: await fetch_odd(connection, sql, values)
                    if odd
                    else list(await connection.fetch(sql, *values))
                    for name, (sql, values) in queries.items()
                }

        return await again(step, (Lost,))

    async def strays(self) -> list[Damage]:
        """See `Source.strays`: what has no id, and what the layout calls one."""
        rows = await self._rows(
            "SELECT DISTINCT CASE WHEN id IS NULL THEN 'NULL' WHEN id::text = '' THEN 'empty' "
            f"ELSE 'not UTF-8' END FROM ({self._plan.listing}) AS listed "
            f"WHERE id IS NULL OR id::text = '' OR NOT {is_text_sql('id')}"
        )
        found: list[Any] = []
        if self._plan.strays:
            found = await self._rows(
                f"SELECT * FROM ({self._plan.strays}) AS found ORDER BY 1 LIMIT {MOST_STRAYS}"
            )
        return [
            Damage(
                STRAY,
                f"table {self._table}",
                f"the id of a conversation is {what}",
            )
            for what in sorted(what for (what,) in rows)
        ] + [stray(*row) for row in found]

    async def version(self) -> str | None:
        """See `Source.version`: which transactions of the server are seen."""
        return str((await self._rows(VERSION))[0][0])

    async def close(self) -> None:
        """See `Store.close`."""
        await self._database.close()
