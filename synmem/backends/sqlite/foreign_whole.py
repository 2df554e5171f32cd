"""Conversations of other frameworks that lie in several tables of an SQLite file: the `Whole` of
`layouts/shapes.py`, for all layouts."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from synmem.backends.sqlite.changes import version_of
from synmem.backends.sqlite.errors import translating
from synmem.backends.sqlite.file import File
from synmem.backends.sqlite.foreign_table import IDS_A_QUERY, SWEEP, UTF8, knowing_utf8
from synmem.backends.telling import (
    MOST_STRAYS,
    Records,
    by_conversation,
    info_of,
    stray,
    told_of,
)
from synmem.backends.whole import Listed
from synmem.layouts.registry import WholeFit
from synmem.layouts.shapes import Record, Told
from synmem.messages import STRAY, Damage, chunks
from synmem.store import ConversationInfo

_ID: Final = f"{UTF8}(CAST(id AS BLOB))"
"""An id's bytes in UTF-8, by which all stores sort; NULL where it is not text that can be read."""


Unfold = Callable[[str, Mapping[str, Sequence[Record]]], Told]


_HEADS_AT_ONCE: Final = 50
"""So many heads are fetched at once: each may be a megabyte."""


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
        return await self._unfolded(ids, self._plan.queries, self._unfold)

    async def _unfolded(
        self, ids: Sequence[str], queries: Mapping[str, str], unfold: Unfold
    ) -> dict[str, Told]:
        found: dict[str, Told] = {}
        for some in chunks(ids, IDS_A_QUERY):
            async with self._file.step():
                records = await self._file.at_once(partial(self._records, some, queries))
            found |= told_of(some, records, unfold)
        return found

    async def _records(self, ids: Sequence[str], queries: Mapping[str, str]) -> Records:
        """The rows of these conversations, by query and id; where another collation than that of
        bytes counts, of others too."""
        return {name: by_conversation(await self._rows(sql, ids)) for name, sql in queries.items()}

    async def _rows(self, sql: str, ids: Sequence[str]) -> list[Any]:
        """The rows of a query on these conversations; within a step."""
        return await self._file.forgiving(on(sql, len(ids)), ids)

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


def on(sql: str, count: int) -> str:
    """A query of a plan on so many ids."""
    marks = [f"?{n + 1}" for n in range(count)]
    values = f"(VALUES {', '.join(f'({mark})' for mark in marks)})"
    return sql.replace("{ids}", f"({', '.join(marks)})").replace("{values}", values)


class HeadsSource(SqliteSource):
    """A source that lists conversations by their heads: see `ListsAlone`. How many messages they
    have it does not tell."""

    def __init__(
        self, file: File, fit: WholeFit, head: Unfold, *, encoding: str, page_size: int
    ) -> None:
        super().__init__(file, fit, encoding=encoding, page_size=page_size)
        self._head = head

    async def listed(self, ids: Sequence[str] | None) -> AsyncIterator[list[Listed]]:
        """See `ListsAlone.listed`."""
        async for page in self.ids() if ids is None else _pages(ids, self._page_size):
            for some in chunks(page, _HEADS_AT_ONCE):
                told = await self._unfolded(some, self._plan.heads, self._head)
                infos = [_info(id_, each) for id_, each in told.items() if each.messages]
                if infos:
                    yield [Listed(info, 0) for info in infos]


async def _pages(ids: Sequence[str], size: int) -> AsyncIterator[list[str]]:
    for some in chunks(ids, size):
        yield [*some]


def _info(id_: str, told: Told) -> ConversationInfo:
    return replace(info_of(id_, told.messages, told), messages=None)


async def source_of(file: File, fit: WholeFit, *, page_size: int) -> SqliteSource:
    """The source of the tables that were found."""
    encoding = await knowing_utf8(file)
    if fit.shape.head is None:
        return SqliteSource(file, fit, encoding=encoding, page_size=page_size)
    return HeadsSource(file, fit, fit.shape.head, encoding=encoding, page_size=page_size)
