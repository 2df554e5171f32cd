"""Where new rows of another framework's table stand: their numbers, and what they are ordered by
before these; what several drivers share."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

from synmem.backends.records import Row, items_of
from synmem.errors import Rejected
from synmem.layouts.shapes import Rows, Write
from synmem.messages import Message

_PAGE: Final = 1000
"""So many rows at once are tried out."""


RowsFrom = Callable[[str, Any, bool, int], Awaitable[Sequence[Row]]]
"""Gives so many rows of a conversation, all or from the one of a number on, in reverse or not."""


class Placing:
    """Makes rows of messages, each with its place behind one row and in front of another."""

    def __init__(self, shape: Rows, write: Write) -> None:
        self._write = write
        self._unfold = shape.unfold
        self._key = shape.order[0] if write.key else None
        self._record = shape.record
        beside = (self._key,) if self._key and self._key not in shape.record else ()
        self.columns = (*shape.record, *beside)
        """What `values` gives, behind the number and the conversation."""

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
        timed = any(message.created_at is not None for message in messages)
        for index, message in enumerate(messages):
            follows = behind
            if message.created_at is None:
                # What comes in the next call may say a time that is past: it is not now there.
                follows = ahead[index] or (before if timed else ())
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

    async def misplaced(self, conversation: str, rows_from: RowsFrom) -> str | None:
        """Why the messages of a conversation, written again, would not have their places; None
        where they would."""
        if self._key is None:
            return None
        before: Sequence[Any] = ()
        async for messages in self.said(conversation, rows_from):
            try:
                placed = self.rows(conversation, messages, 0, before=before)
            except Rejected as error:
                return error.reasons[0][2]
            before = placed[-1].keys if placed else before
        return None

    async def said(self, conversation: str, rows_from: RowsFrom) -> AsyncIterator[list[Message]]:
        """The messages of a conversation that can be read, in pages."""
        rows = read = await rows_from(conversation, None, False, _PAGE)
        while rows:
            said = [item.said for item in items_of(self._unfold, rows)]
            yield [each for each in said if isinstance(each, Message)]
            if len(read) < _PAGE:
                break
            read = await rows_from(conversation, read[-1].number, False, _PAGE)
            rows = read[1:]
