"""Records of other frameworks that are rows: their messages, and where each of these stands; what
several drivers share.

A position is the number of the row, the index of the message in it, and a hash of its record and of
what it is ordered by.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import msgspec

from synmem.backends.paging import changed
from synmem.layouts.shapes import MALFORMED, Record, Rows
from synmem.messages import Message, Unreadable, parse_json, refusal
from synmem.store import Page, Position

_ENTIRE: Final = -1
"""In a `Spot`: behind all messages of its row."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """A row of a conversation: its number, by what it is ordered before that, and its record."""

    conversation: Any
    """Text, or what is the id of no conversation."""
    number: int
    keys: Sequence[Any]
    record: Record


class Spot(NamedTuple):
    """Where a message stands."""

    number: int
    nth: int
    hash: str


class Item(msgspec.Struct, frozen=True, gc=False):
    """A message, or a record that cannot be read; of which row it is, and which of it, from 0."""

    said: Message | Unreadable
    row: Row
    nth: int


def items_of(
    unfold: Callable[[Record], Sequence[Message | Unreadable]],
    rows: Sequence[Row],
    *,
    reverse: bool = False,
) -> list[Item]:
    """The messages of these rows; a row that cannot be read is one item."""
    found: list[Item] = []
    for row in rows:
        said: Sequence[Message | Unreadable]
        try:
            said = unfold(row.record)
            for each in said:
                if isinstance(each, Message) and (why := refusal(each)):
                    raise ValueError(why)
        except MALFORMED as error:
            said = [_unreadable(row, error)]
        if len(said) == 1:  # as of most rows
            found.append(Item(said[0], row, 0))
            continue
        items = [Item(each, row, index) for index, each in enumerate(said)]
        found += reversed(items) if reverse else items
    return found


def _unreadable(row: Row, error: Exception) -> Unreadable:
    number = row.number
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
    return f'[{row.number},{index},"{hash_of(row)}"]'


def spot_at(position: Position) -> Spot:
    """What a position says; ValueError where it is none of ours."""
    try:
        number, index, hash_ = parse_json(position)
    except (ValueError, TypeError) as error:
        raise ValueError(f"not a position of this store: {position!r}") from error
    return Spot(number, index, hash_)


def end_of(row: Row) -> Spot:
    """Behind all messages of a row."""
    return Spot(row.number, _ENTIRE, hash_of(row))


class Rowed(Protocol):
    """A table whose rows are asked for from one on."""

    @property
    def shape(self) -> Rows:
        """What its layout declares it as."""

    async def rows_from(
        self, conversation: str, number: int | None, reverse: bool, size: int
    ) -> Sequence[Row]:
        """So many rows of a conversation, all or from the one with this number on."""


async def items_from(
    table: Rowed, store: str, conversation: str, spot: Spot | None, *, reverse: bool, size: int
) -> list[Item]:
    """So many messages behind a spot, whose row is read along to see that it is there; on it goes
    over rows without a message."""
    found: list[Item] = []
    while len(found) < size:
        number, asked = (None, size) if spot is None else (spot.number, size + 1)
        rows = await table.rows_from(conversation, number, reverse, asked)
        items = items_of(table.shape.unfold, rows, reverse=reverse)
        if spot is not None:
            if not rows or (rows[0].number, hash_of(rows[0])) != (spot.number, spot.hash):
                raise changed(conversation, store)
            items = behind(items, rows[0], spot.nth)
        found += items
        if len(rows) < asked:
            break
        spot = end_of(rows[-1])
    return found[:size]


class Placed(Protocol):
    """A message of a record, and which of it."""

    @property
    def row(self) -> object:
        """The record."""

    @property
    def nth(self) -> int:
        """From 0 on."""


_Placed = TypeVar("_Placed", bound=Placed)


def behind(items: Sequence[_Placed], row: object, nth: int) -> list[_Placed]:
    """What stands behind the message of that number in the row."""
    for count, item in enumerate(items, 1):
        if item.row is row and item.nth == nth:
            return [*items[count:]]
    return [item for item in items if item.row is not row]


def hash_of(row: Row) -> str:
    """What is another once the record is, or what it is ordered by."""
    told = repr([*row.keys, *row.record]).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(told, digest_size=8).hexdigest()
