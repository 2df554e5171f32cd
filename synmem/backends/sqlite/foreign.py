"""Tables of other frameworks in an SQLite file, as `layouts/shapes.py` has them, for all layouts:
`Rows` here, what is a `Whole` in `foreign_whole.py`.

A table stays as its framework made it: nothing of ours is put into the file, no column, table,
key or token, and a file that is made for it has the framework's own table and nothing else. New
rows take the highest number plus one, under the write lock; what `replace` puts in front takes
numbers below the lowest.
"""

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from synmem.backends.paging import Paging, storable
from synmem.backends.sqlite.changes import version_of
from synmem.backends.sqlite.errors import translating
from synmem.backends.sqlite.file import File
from synmem.backends.sqlite.finding import find, unnamed
from synmem.backends.sqlite.foreign_listing import ForeignListing
from synmem.backends.sqlite.foreign_reading import ForeignReader
from synmem.backends.sqlite.foreign_table import IDS_A_QUERY, ForeignTable, table_of
from synmem.backends.sqlite.foreign_writing import ForeignWriter
from synmem.errors import Unnamed
from synmem.layouts import naming, registry
from synmem.layouts.registry import Fit, RowsFit
from synmem.messages import Conversation, Damage, Message
from synmem.store import START, ConversationInfo, Page, Part, Position, Store


async def open_foreign(
    file: File, settings: Mapping[str, Any], *, write: bool, page_size: int
) -> Store:
    """The store of the layout that is found in this file, in the table that it is found in, or of
    those that are named."""
    fit = await find(file, settings.get("layout"), settings.get("table"), write=write)
    if isinstance(fit, RowsFit):
        table = await table_of(file, fit)
        return ForeignStore(table, fit, write=write, page_size=page_size)
    from synmem.backends.sqlite.foreign_whole import source_of
    from synmem.backends.whole import WholeStore

    source = await source_of(file, fit, page_size=page_size)
    branches = bool(settings.get("branches"))
    holds = fit.shape.holds
    return WholeStore(source, holds, _remark(fit), branches=branches, page_size=page_size)


def _remark(fit: Fit) -> str:
    return naming.whose(fit.layout, fit.shape.version, f"table {fit.table}")


class ForeignStore:
    """A `Store` in a table of another framework."""

    def __init__(self, table: ForeignTable, fit: RowsFit, *, write: bool, page_size: int) -> None:
        self.name = table.file.name
        others = tuple(column.name for column in table.others)
        self.holds = replace(fit.shape.holds, unread=others, written=registry.is_written(fit.shape))
        self._fit = fit
        self._remark = _remark(fit)
        self._file = table.file
        self._table = table
        reader = ForeignReader(self._table, page_size=page_size)
        self._paging = Paging(reader, page_size, IDS_A_QUERY)
        self._listing = ForeignListing(self._table, reader, self._paging, page_size=page_size)
        self._writer = ForeignWriter(self._table, fit, write=write)

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
        return self._remark

    def unnamed(self) -> Unnamed:
        """See `MustBeNamed.unnamed`."""
        return unnamed(self._file, [self._fit])

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
        async with self._file.step():
            rows = await self._file.rows(f"SELECT count(*) FROM {self._table.name}")
        return int(rows[0][0]) if rows else 0

    async def version(self) -> str | None:
        """See `SupportsChanges.version`; of a private copy that cannot be told. Another table of
        the file is another store, whose positions are not these."""
        version = None if self._file.is_copied else version_of(self._file.path)
        return version and f"{version} {self._remark}"

    async def fingerprints(self, upto: Mapping[str, Position]) -> None:
        """See `SupportsChanges.fingerprints`: it cannot tell."""

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
        if not self._file.made or not storable([conversation]):
            return False
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
        """See `Store.replace`: staged in a temporary table, then one transaction."""
        await self._writer.replace(conversation, messages, upto, begins, token)

    async def refuses_back(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsTrial.refuses_back`: what stands in columns that the layout does not know
        would not come back."""
        return await self._writer.refuses_back(conversations)

    async def close(self) -> None:
        """See `Store.close`."""
        with translating(self.name):
            await self._file.end()
