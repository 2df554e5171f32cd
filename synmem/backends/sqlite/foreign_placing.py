"""What stands beside the rows of another framework's table: a row for each conversation in a second
one; and what these are called."""

import re
from collections.abc import Sequence

from synmem.backends.sqlite.foreign_table import IDS_A_QUERY, ForeignTable
from synmem.errors import CorruptData
from synmem.layouts.own.sqlite_columns import quoted
from synmem.layouts.shapes import Beside
from synmem.messages import chunks


class BesideRows:
    """The rows of a second table, one a conversation, as its framework keeps them; within a step of
    a transaction."""

    def __init__(self, table: ForeignTable, beside: Beside) -> None:
        self._table = table
        self._file = table.file
        self._beside = beside

    async def name(self) -> str:
        """What the table is called: the one that the rows' own refer to, where they do. CorruptData
        where it is not there."""
        shape, file, name = self._table.shape, self._file, self._beside.table
        for told in await file.look(f"PRAGMA foreign_key_list({self._table.name})"):
            if told[3].lower() == shape.conversation.lower():
                name = str(told[2])
        if not await file.look(
            "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND lower(name) = lower(?)", [name]
        ):
            raise CorruptData(
                f"{file.path}: no table {name}, which has a row for each conversation",
                hint="its framework makes it when it opens the file",
            )
        return name

    async def open(self, conversations: Sequence[str]) -> None:
        """Before rows of these are written."""
        await self._run(self._beside.opens, conversations)

    async def settle(self, conversations: Sequence[str]) -> None:
        """After rows of these were written or removed."""
        there: set[str] = set()
        for some in chunks(conversations, IDS_A_QUERY):
            sql = f"SELECT DISTINCT {self._table.id} FROM {self._table.name} WHERE "
            rows = await self._file.rows(sql + self._table.of(len(some)), some)
            there.update(row[0] for row in rows)
        await self._run(self._beside.touches, [each for each in conversations if each in there])
        await self._run(self._beside.ends, [each for each in conversations if each not in there])

    async def _run(self, sql: str, conversations: Sequence[str]) -> None:
        if conversations:
            said = sql.format(table=quoted(await self.name()))
            await self._file.many(said, [(each,) for each in conversations])


class Named:
    """A table's name in a statement, and names that are made of it, each to the letter where it may
    be."""

    def __init__(self, table: str) -> None:
        self._table = table

    def __format__(self, form: str) -> str:
        name = (form or "*").replace("*", self._table)
        return name if re.fullmatch("[a-z_][a-z0-9_]*", name) else quoted(name)
