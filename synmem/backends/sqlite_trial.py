"""Whether an SQLite file takes back what is taken from it, tried out and rolled back.

Its table may have columns, CHECKs, triggers and UNIQUE of somebody's own, of which one only
knows by trying.
"""

import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from synmem.backends.sqlite_file import File
from synmem.backends.sqlite_inserting import insert, last_number, lowest_number
from synmem.backends.sqlite_reading import marks
from synmem.layouts.sqlite_tables import Row, Table
from synmem.messages import Message

_REFUSALS: Final = {
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_ERROR,  # a trigger calls a function that only its program knows
}


class Trial:
    """Removing the first row of some conversations, and bringing it back; the caller has the
    connection to itself."""

    def __init__(
        self,
        file: File,
        table: Table,
        refusal: Callable[[Message], str | None],
        first_rows: Callable[[Sequence[str]], Awaitable[Sequence[Row]]],
    ) -> None:
        self._file = file
        self._table = table
        self._refusal = refusal
        self._first_rows = first_rows

    async def refusals(self, ids: Sequence[str]) -> dict[str, str]:
        """Why the file would not take these back, those it would not.

        Where SQLite refuses some together, each half is tried by itself, in a transaction of its
        own: what was refused may have ended the one before.
        """
        try:
            # Within: whoever is cut off here does not know whether it has begun.
            await self._file.execute("BEGIN IMMEDIATE")
            return await self._differences(ids)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _REFUSALS:
                raise
            why = f"{self._file.path} would not take it back: {error}"
        finally:
            await self._file.rollback()
        if len(ids) == 1:
            return {ids[0]: why}
        half = len(ids) // 2
        return {**await self.refusals(ids[:half]), **await self.refusals(ids[half:])}

    async def _differences(self, ids: Sequence[str]) -> dict[str, str]:
        """The same, of those with which SQLite has no fault; within a transaction."""
        found: dict[str, str] = {}
        before: list[Row] = []
        again: list[Row] = []
        for row in await self._first_rows(ids):
            with contextlib.suppress(ValueError):  # nobody removes what cannot be read
                message = self._table.decode(row[2:])
                if why := self._refusal(message):
                    found[row[0]] = why
                    continue
                before.append(row)
                again.append(self._table.encode(message))
        await self._delete([row[1] for row in before])
        for name in await self._still_there([row[1] for row in before]):
            found[name] = f"{self._file.path} would not let it go"
        # In front of what is there, as `replace` puts it, then behind all, as `append` does.
        for first in (await lowest_number(self._file) - len(before), None):
            start = await last_number(self._file) + 1 if first is None else first
            numbers = range(start, start + len(before))
            rows = zip(numbers, before, again, strict=True)
            await insert(self._file, self._table, [(n, row[0], *v) for n, row, v in rows])
            found |= await self._compared(start, before)
            await self._delete(numbers)
        return found

    async def _delete(self, numbers: Sequence[int]) -> None:
        await self._file.many("DELETE FROM messages WHERE id = ?", [(n,) for n in numbers])

    async def _still_there(self, numbers: Sequence[int]) -> list[str]:
        """The conversations of these rows, those that a trigger has kept."""
        where = f"WHERE id IN ({marks(numbers)})"
        rows = await self._file.rows(f"SELECT conversation_id FROM messages {where}", numbers)
        return [row[0] for row in rows]

    async def _compared(self, start: int, before: Sequence[Row]) -> dict[str, str]:
        """What came back otherwise than it had been."""
        columns = ", ".join(("id", "conversation_id", *self._table.columns))
        told = await self._file.rows(
            f"SELECT {columns} FROM messages WHERE id BETWEEN ? AND ?",
            [start, start + len(before) - 1],
        )
        there = {row[0]: row for row in told}
        found: dict[str, str] = {}
        for number, row in enumerate(before, start):
            after = there.get(number)
            if after is None or after[1] != row[0]:
                found[row[0]] = f"{self._file.path} would not take it back: the row is not there"
            elif name := self._table.differing(row[2:], after[2:]):
                found[row[0]] = (
                    f"{self._file.path} would not take it back as it is: "
                    f"column {name!r} would change"
                )
        return found
