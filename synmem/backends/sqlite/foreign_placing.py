"""Where new rows of another framework's table stand, and what stands beside them: their numbers,
what they are ordered by before these, and a row for each conversation in a second table."""

import contextlib
import re
from collections.abc import Sequence
from typing import Any

from synmem.backends.records import Row
from synmem.backends.sqlite.foreign_table import IDS_A_QUERY, ForeignTable
from synmem.errors import Rejected
from synmem.layouts.own.sqlite_columns import quoted
from synmem.layouts.shapes import Beside, Write
from synmem.messages import Message, chunks


class Placing:
    """Makes rows of messages, each with its place behind one row and in front of another."""

    def __init__(self, table: ForeignTable, write: Write) -> None:
        shape = table.shape
        self._write = write
        self._key = shape.order[0] if write.key else None
        self._record = shape.record
        beside = (self._key,) if self._key and self._key not in shape.record else ()
        self.columns = [table.number, table.id, *map(quoted, (*shape.record, *beside))]
        """What `values` gives, beside the number and the conversation."""

    def rows(
        self,
        conversation: str,
        messages: Sequence[Message],
        number: int,
        *,
        before: Sequence[Any] = (),
        behind: Sequence[Any] = (),
        nth: int = 0,
    ) -> list[Row]:
        """The rows of messages that are not refused, numbered behind `number`, between two rows
        that are ordered by these. Rejected lists those that do not fit there, as the `nth` on."""
        found, reasons = [], []
        ahead = self._ahead(messages, behind)
        for index, message in enumerate(messages):
            follows = ahead[index] if message.created_at is None else behind
            try:
                before = self._keys(message, before, follows)
            except ValueError as error:
                reasons.append((conversation, nth + index, str(error)))
                continue
            number += 1
            found.append(Row(conversation, number, before, self._folded(message, before)))
        if reasons:
            raise Rejected(reasons)
        return found

    def _ahead(self, messages: Sequence[Message], behind: Sequence[Any]) -> list[Sequence[Any]]:
        """By what each is followed: one that says no time stands before the next one that does."""
        ahead = [behind]
        for message in messages[:0:-1]:
            keys = ahead[-1]
            if message.created_at is not None and self._write.key is not None:
                with contextlib.suppress(ValueError):  # it is told in its own place
                    keys = self._keys(message, (), behind)
            ahead.append(keys)
        return ahead[::-1]

    def _keys(
        self, message: Message, before: Sequence[Any], behind: Sequence[Any]
    ) -> Sequence[Any]:
        if self._write.key is None:
            return ()
        first, last = (keys[0] if keys else None for keys in (before, behind))
        return (self._write.key(message, first, last),)

    def _folded(self, message: Message, keys: Sequence[Any]) -> Sequence[Any]:
        record = [*self._write.fold(message)]
        if self._key in self._record:
            record[self._record.index(self._key)] = keys[0]
        return record

    def values(self, row: Row) -> tuple[Any, ...]:
        """What is written of a row."""
        keys = () if self._key in self._record else row.keys
        return (row.number, row.conversation, *row.record, *keys)


class BesideRows:
    """The rows of a second table, one a conversation, as its framework keeps them; within a step of
    a transaction."""

    def __init__(self, table: ForeignTable, beside: Beside) -> None:
        self._table = table
        self._file = table.file
        self._beside = beside

    async def name(self) -> str:
        """What the table is called: the one that the rows' own refer to, where they do."""
        shape, file = self._table.shape, self._file
        for told in await file.look(f"PRAGMA foreign_key_list({self._table.name})"):
            if told[3].lower() == shape.conversation.lower():
                return str(told[2])
        return self._beside.table

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
