"""Tables of other frameworks in a PostgreSQL database: the shapes of `layouts/shapes.py`, for all
layouts.

A table stays as its framework made it: nothing of ours is put into the database, no column, table,
key or token. New rows are numbered by the table's own sequence; what `replace` puts in front takes
numbers below the lowest.
"""

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from synmem.backends.csv_rows import Csv
from synmem.backends.paging import Paging, storable
from synmem.backends.postgres.changes import VERSION
from synmem.backends.postgres.finding import Found, find, unnamed
from synmem.backends.postgres.foreign_csv import CsvMaker
from synmem.backends.postgres.foreign_listing import ForeignListing
from synmem.backends.postgres.foreign_reading import ForeignReader
from synmem.backends.postgres.foreign_sweep import Sweep
from synmem.backends.postgres.foreign_table import IDS_A_QUERY, ForeignTable
from synmem.backends.postgres.foreign_writing import ForeignWriter
from synmem.backends.postgres.opening import Database
from synmem.errors import Unnamed
from synmem.layouts import naming, registry
from synmem.layouts.registry import Fit, RowsFit
from synmem.messages import Conversation, Damage, Holds, Message
from synmem.store import START, ConversationInfo, Page, Part, Position, Store


async def opened(
    database: Database, settings: Mapping[str, Any], *, write: bool, page_size: int
) -> Store | None:
    """The store of another framework's that is there, or is to be made; None where there is none
    and our own may be made."""
    layout = settings.get("layout")
    if layout is not None:
        registry.check_known(database.name, layout, "postgres", ["synmem"])
    found = await find(database, layout, settings.get("table"), settings.get("schema"), write=write)
    if found is None:
        return None
    if isinstance(found.fit, RowsFit):
        table = ForeignTable(database, found.fit, found.schema)
        await table.is_made()
        return ForeignStore(table, found, write=write, page_size=page_size)
    from synmem.backends.postgres.foreign_whole import PostgresSource
    from synmem.backends.whole import WholeStore

    source = PostgresSource(database, found, found.fit, page_size=page_size)
    return WholeStore(
        source,
        found.fit.shape.holds,
        _remark(found.fit),
        branches=bool(settings.get("branches")),
        page_size=page_size,
    )


def _remark(fit: Fit) -> str:
    return naming.whose(fit.layout, fit.shape.version, f"table {fit.table}")


class ForeignStore:
    """A `Store` in a table of another framework."""

    def __init__(self, table: ForeignTable, found: Found, *, write: bool, page_size: int) -> None:
        self.name = table.database.name
        self._found = found
        self._table = table
        reader = ForeignReader(table, page_size=page_size)
        self._paging = Paging(reader, page_size, IDS_A_QUERY)
        sweep = Sweep(table)
        self._listing = ForeignListing(table, reader, self._paging, sweep, page_size=page_size)
        self._writer = ForeignWriter(table, writable=write)
        self._csv = CsvMaker(table, sweep)

    @property
    def holds(self) -> Holds:
        """What the layout does; columns that it does not know are not read."""
        return replace(
            self._table.shape.holds,
            unread=tuple(column.name for column in self._table.others),
            written=registry.is_written(self._table.shape),
        )

    def refusal(self, message: Message) -> str | None:
        """Why the framework's own reader would not read the message; no I/O."""
        return self._writer.refusal(message)

    def read(
        self,
        conversations: Sequence[str],
        *,
        after: Position = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Page]:
        """See `Store.read`."""
        return self._paging.read(sorted(storable(conversations)), after, reverse, limit)

    def remark(self) -> str:
        """See `SupportsRemark.remark`: whose table it is."""
        return _remark(self._table.fit)

    def unnamed(self) -> Unnamed:
        """See `MustBeNamed.unnamed`."""
        return unnamed(self.name, [self._found])

    def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`; in the order of the ids' bytes."""
        return self._listing.conversations(ids, details=details)

    async def damage(self) -> list[Damage]:
        """Rows that belong to no conversation."""
        return await self._listing.strays()

    async def strays(self) -> list[Damage]:
        """See `SupportsStrays.strays`."""
        return await self._listing.strays()

    async def total(self) -> int:
        """See `SupportsTotal`."""
        return await self._listing.total()

    async def version(self) -> str | None:
        """See `SupportsChanges.version`. Another table of the database is another store, whose
        positions are not these."""
        (told,) = await self._table.database.fetch(VERSION)
        return f"{told[0]} {self.remark()}"

    async def fingerprints(self, upto: Mapping[str, Position]) -> None:
        """See `SupportsChanges.fingerprints`: it cannot tell."""

    async def csv(self, conversations: Sequence[str]) -> tuple[list[Csv], list[str]]:
        """See `MakesCsv.csv`."""
        return await self._csv.csv(conversations)

    async def append(
        self, parts: Sequence[Part], *, keep: int | None = None, token: str | None = None
    ) -> list[Position]:
        """See `Store.append`: one transaction."""
        return await self._writer.append(parts, keep, token)

    async def delete(
        self,
        conversation: str,
        *,
        upto: Position | None = None,
        begins: Position | None = None,
        token: str | None = None,
    ) -> bool:
        """See `Store.delete`: one transaction."""
        return await self._writer.delete(conversation, upto, begins, token)

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
        begins: Position | None = None,
        token: str | None = None,
    ) -> None:
        """See `Store.replace`: laid aside on this side, then one transaction."""
        await self._writer.replace(conversation, messages, upto, begins, token)

    async def refuses_back(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsTrial.refuses_back`: what stands in columns that the layout does not know
        would not come back, nor what is out of its place."""
        return await self._writer.refuses_back(conversations)

    async def close(self) -> None:
        """See `Store.close`."""
        await self._table.database.close()
