"""The shapes that a layout declares itself in: what a driver must know to read and write it.

A layout is data and pure functions: it opens nothing and awaits nothing. Each backend's
`foreign.py` reads the shapes that its driver can hold, once for all layouts.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from synmem.messages import Holds, Message

Record = Sequence[Any]
"""The values of a row in the columns that a layout asks for."""


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """How a framework finds its rows again: each of them is one message."""

    fold: Callable[[Message], Record]
    """The values of the record's columns, from a message that is not refused."""
    refusal: Callable[[Message], str | None]
    """Why the framework's own reader would refuse or change that message, or None."""
    schema: Mapping[str, Sequence[str]]
    """By backend, the statements with which the framework makes its `{table}`, to the letter."""


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """A table of which each row is a record of one conversation."""

    table: str
    """What the framework calls the table."""
    any_name: bool = False
    """Whether its users may call it otherwise."""
    columns: frozenset[str]
    """The columns by which it is known; there may be others."""
    beside: frozenset[str] = frozenset()
    """Tables that stand beside it."""
    without: frozenset[str] = frozenset()
    """Tables that do not, or it is another layout's."""
    tells: Callable[[Record], bool] | None = None
    """Where the columns alone do not say it: whether a record is one of these. One of the first
    twenty must be, where there are any."""
    conversation: str
    """The column of the conversation's id."""
    order: tuple[str, ...]
    """The columns by which the rows of a conversation are ordered. The last one is an integer that
    the database gives, and no two have the same: a column, or `rowid` where none is. Where a user's
    table is otherwise, rows that have the same come as they were written, and the table can only be
    read. To be written, a table is ordered by that one alone."""
    record: tuple[str, ...]
    """The columns that are read."""
    live: str = ""
    """A condition, in SQL, that a row fulfils which is not archived or deleted."""
    single: bool = True
    """Whether each record is exactly one message or unreadable, so that counting rows counts
    messages."""
    unfold: Callable[[Record], Sequence[Message]]
    """The messages of a record, perhaps none; ValueError says why it cannot be read."""
    holds: Holds
    """What a message and a conversation have there."""
    write: Write | None = None
    """None where the framework would not read back what another has written."""
