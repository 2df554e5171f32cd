"""A table of another framework, as its layout declares it: its rows, their messages, and where each
of these stands.

A position is the values by which the row is ordered, the index of the message in it, and a hash of
its record: without AUTOINCREMENT the number of the newest row of all is given again once that row
is deleted. Only who then says the same again, in its place, gets the same position.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from synmem.backends.sqlite.file import File
from synmem.backends.sqlite.place import marks
from synmem.layouts.own.sqlite_columns import quoted
from synmem.layouts.registry import Fit
from synmem.messages import Message, Unreadable, ascii_json, parse_json
from synmem.store import Page, Position

IDS_A_QUERY: Final = 500  # SQLite before 3.32 takes 999 parameters

SWEEP: Final = 20
"""So many pages are fetched at once, where each fetch looks through the whole table."""


class Row(NamedTuple):
    """A row of a conversation: by what it is ordered, and its record."""

    conversation: Any
    """Text, or what is the id of no conversation."""
    keys: list[Any]
    record: Sequence[Any]


class Place(NamedTuple):
    """Where a message stands."""

    keys: list[Any]
    nth: int
    hash: str


class Item(NamedTuple):
    """A message, or a record that cannot be read; of which row it is, and which of it, from 0."""

    said: Message | Unreadable
    row: Row
    nth: int


class ForeignTable:
    """The rows of the table that was found; queries on them."""

    def __init__(self, file: File, fit: Fit) -> None:
        self.file = file
        self.shape = shape = fit.shape
        self.name = quoted(fit.table)
        self.id = quoted(shape.conversation)
        *others, self.number = map(quoted, shape.order)
        # Behind a NULL nobody could go on.
        self.keys = [*(f"coalesce({each}, '')" for each in others), self.number]
        self.live = f" AND ({shape.live})" if shape.live else ""
        self._columns = ", ".join((self.id, *self.keys, *map(quoted, shape.record)))
        self._sought: bool | None = None

    def order(self, *, reverse: bool = False) -> str:
        """What the rows of a conversation are sorted by."""
        return ", ".join(f"{key} {'DESC' if reverse else 'ASC'}" for key in self.keys)

    def of(self, count: int = 1) -> str:
        """The condition that a row is of one of so many conversations, and live."""
        return f"{self.id} COLLATE BINARY IN ({marks(range(count))}){self.live}"

    async def rows(
        self, where: str, values: Sequence[Any], *, source: str | None = None
    ) -> list[Row]:
        """Rows of the table, or of a query on it; within a step."""
        sql = f"SELECT {self._columns} FROM {source or self.name} WHERE {where}"
        width = 1 + len(self.keys)
        return [
            Row(row[0], [*row[1:width]], row[width:])
            for row in await self.file.forgiving(sql, values)
        ]

    async def rows_from(
        self, conversation: str, place: Sequence[Any] | None, reverse: bool, size: int, *, at: bool
    ) -> list[Row]:
        """So many rows of a conversation, behind a row with these keys or from the one at it on."""
        where, values = self.of(), [conversation]
        if place is not None:
            than = ("<" if reverse else ">") + ("=" if at else "")
            where += f" AND ({', '.join(self.keys)}) {than} ({marks(place)})"
            values += place
        async with self.file.step():
            return await self.rows(
                f"{where} ORDER BY {self.order(reverse=reverse)} LIMIT ?", [*values, size]
            )

    async def is_sought(self) -> bool:
        """Whether an index finds the rows of a conversation: else each look is through them all."""
        if self._sought is None:
            sql = f"EXPLAIN QUERY PLAN SELECT 1 FROM {self.name} WHERE {self.of()}"
            async with self.file.step():
                plan = await self.file.rows(sql, [""])
            self._sought = any(step[3].startswith("SEARCH") for step in plan)
        return self._sought

    def items(self, rows: Sequence[Row], *, reverse: bool = False) -> list[Item]:
        """The messages of these rows; a row that cannot be read is one item."""
        unfold = self.shape.unfold
        found: list[Item] = []
        for row in rows:
            said: Sequence[Message | Unreadable]
            try:
                said = unfold(row.record)
            except ValueError as error:
                said = [unreadable(row, error)]
            items = [Item(each, row, index) for index, each in enumerate(said)]
            found += reversed(items) if reverse else items
        return found


def unreadable(row: Row, error: ValueError) -> Unreadable:
    """What stands for a row that cannot be read."""
    number = row.keys[-1]
    text = row.record[0] if len(row.record) == 1 and isinstance(row.record[0], str) else None
    return Unreadable(str(number), f"row {number}: {error}", text)


def page_of(items: Sequence[Item]) -> Page:
    """A page of these, which are of one conversation."""
    said = [item.said for item in items]
    return Page(items[0].row.conversation, said, lambda i: position_of(items[i]))


def position_of(item: Item) -> Position:
    """Where a message stands, as text."""
    return position_at(item.row, item.nth)


def position_at(row: Row, index: int = 0) -> Position:
    """Where a message of that row stands."""
    return ascii_json([*row.keys, index, hash_of(row)])


def place_at(position: Position) -> Place:
    """What a position says; ValueError where it is none of ours."""
    try:
        *keys, index, hash_ = parse_json(position)
    except (ValueError, TypeError) as error:
        raise ValueError(f"not a position of this store: {position!r}") from error
    return Place(keys, index, hash_)


def hash_of(row: Row) -> str:
    """What is another once the record is."""
    told = repr([*row.record]).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(told, digest_size=8).hexdigest()
