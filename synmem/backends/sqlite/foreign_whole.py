"""Conversations of other frameworks that lie in several tables of an SQLite file: the `Whole` of
`layouts/shapes.py`, for all layouts."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, Final

from synmem.backends.sqlite.changes import version_of
from synmem.backends.sqlite.errors import translating
from synmem.backends.sqlite.file import File
from synmem.backends.sqlite.foreign_table import IDS_A_QUERY, SWEEP, UTF8, knowing_utf8
from synmem.backends.telling import MOST_STRAYS, Records, by_conversation, stray, told_of
from synmem.layouts.registry import WholeFit
from synmem.layouts.shapes import Told
from synmem.messages import STRAY, Damage, chunks

_ID: Final = f"{UTF8}(CAST(id AS BLOB))"
"""An id's bytes in UTF-8, by which all stores sort; NULL where it is not text that can be read."""


class SqliteSource:
    """The `Source` of a file."""

    def __init__(self, file: File, fit: WholeFit, *, encoding: str, page_size: int) -> None:
        self.name = file.name
        self._file = file
        self._table = fit.table
        self._unfold = fit.shape.unfold
        self._plan = fit.plan
        self._codec = encoding[:6]  # UTF-16le and UTF-16be are one to a person
        self._page_size = page_size

    async def ids(self) -> AsyncIterator[list[str]]:
        """See `Source.ids`; in the order of their bytes. Each query looks at all ids, so it gives
        as many as several pages have."""
        size, last = self._page_size * SWEEP, b""
        sql = (
            f"SELECT DISTINCT {_ID} FROM ({self._plan.listing}) WHERE typeof(id) = 'text' "
            f"AND {_ID} > ? ORDER BY 1 LIMIT ?"
        )
        while True:
            async with self._file.step():
                found = [row[0] for row in await self._file.rows(sql, [last, size])]
            for some in chunks(found, self._page_size):
                yield [id_.decode() for id_ in some]
            if len(found) < size:
                return
            last = found[-1]

    async def told(self, ids: Sequence[str]) -> dict[str, Told]:
        """See `Source.told`; of one moment. One of which no query has a row is not there."""
        found: dict[str, Told] = {}
        for some in chunks(ids, IDS_A_QUERY):
            async with self._file.step():
                records = await self._file.at_once(partial(self._records, some))
            found |= told_of(some, records, self._unfold)
        return found

    async def _records(self, ids: Sequence[str]) -> Records:
        """The rows of these conversations, by query and id; where another collation than that of
        bytes counts, of others too."""
        return {
            name: by_conversation(await self._rows(sql, ids))
            for name, sql in self._plan.queries.items()
        }

    async def _rows(self, sql: str, ids: Sequence[str]) -> list[Any]:
        """The rows of a query on these conversations; within a step."""
        marks = ", ".join(f"?{n + 1}" for n in range(len(ids)))
        return await self._file.forgiving(sql.replace("{ids}", f"({marks})"), ids)

    async def strays(self) -> list[Damage]:
        """See `Source.strays`: what has no id that is text, and what the layout calls one."""
        async with self._file.step():
            rows = await self._file.rows(
                "SELECT DISTINCT CASE id WHEN '' THEN 'empty' ELSE typeof(id) END "
                f"FROM ({self._plan.listing}) WHERE typeof(id) <> 'text' OR id = '' "
                f"OR {_ID} IS NULL ORDER BY 1"
            )
        found: list[Any] = []
        if self._plan.strays:
            sql = f"SELECT * FROM ({self._plan.strays}) ORDER BY 1 LIMIT {MOST_STRAYS}"
            async with self._file.step():
                found = await self._file.forgiving(sql)
        kinds = {"text": f"not {self._codec}", "null": "NULL", "blob": "a BLOB"}
        where = f"table {self._table}"
        return [
            Damage(STRAY, where, f"the id of a conversation is {kinds.get(kind, kind)}")
            for (kind,) in rows
        ] + [stray(*row) for row in found]

    async def version(self) -> str | None:
        """See `Source.version`; of a private copy that cannot be told."""
        return None if self._file.is_copied else version_of(self._file.path)

    async def close(self) -> None:
        """See `Source.close`."""
        with translating(self.name):
            await self._file.end()


async def source_of(file: File, fit: WholeFit, *, page_size: int) -> SqliteSource:
    """The source of the tables that were found."""
    return SqliteSource(file, fit, encoding=await knowing_utf8(file), page_size=page_size)
