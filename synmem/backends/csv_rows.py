"""Rows as CSV, for two drivers: SQLite makes it of many at once, and PostgreSQL loads it as it is.

No message is made on the way. `migrate` of 100,000 messages, verified, takes two thirds of the CPU
time that it takes with messages: 0.55 s and 0.81 s where this was measured, its start included.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from synmem.store import Position


class Csv(msgspec.Struct, frozen=True):
    """A whole conversation as CSV in UTF-8, how many messages it has, and what tells where it ends.

    A line for each: the conversation's id, role and content in quotes, metadata (an object, in
    quotes), and the time as `messages.format_time` writes it. Where there is no metadata or no
    time, nothing stands between the commas, not even quotes: to COPY that is NULL, and "" is a
    text.
    """

    conversation: str
    messages: int
    data: bytes
    end: Callable[[], Position]


@runtime_checkable
class MakesCsv(Protocol):
    """A store that makes CSV of its rows without making messages of them."""

    async def csv(self, conversations: Sequence[str]) -> tuple[list[Csv], list[str]]:
        """Some of these conversations, as `read` would give them now, and the ids of those that
        were not looked at: for a next call.

        Left out are those with a record that cannot be read, with NUL, with other fields than
        these, with metadata that has other values than text, integers and booleans, and those of
        more messages than should be held at once. Metadata is written as jsonb is shown: shorter
        keys first, a space behind each comma and colon, no escape that JSON does not ask for.
        """
        ...
