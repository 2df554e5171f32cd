"""The lists of another framework, as its layout declares them: their keys, the messages of their
items, and where each of these stands.

A position is that of the item in its list (`positions.py`), counted from the oldest, with the index
of the message in the item behind it where that has others behind it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from synmem.backends.redis.finding import ListsFit
from synmem.backends.redis.keys import decoded, escaped
from synmem.backends.redis.opening import Server
from synmem.backends.redis.plain import Stretch
from synmem.backends.redis.positions import checked, position_of
from synmem.layouts.shapes import MALFORMED, Lists
from synmem.messages import (
    Conversation,
    Message,
    Unreadable,
    conversation_refusal,
    encodable,
    refusal,
)
from synmem.store import Page, Position


class Item(NamedTuple):
    """A message, or a record that cannot be read; in which item of the stretch, and which of its
    messages, where it is not the last."""

    said: Message | Unreadable
    at: int
    nth: int | None


class ForeignLists:
    """The keys of the lists that were found, and their items."""

    def __init__(self, server: Server, fit: ListsFit, name: str) -> None:
        assert isinstance(fit.shape, Lists)
        self.server = server
        self.name = name
        self.layout = fit.layout
        self.shape = fit.shape
        self.prefix = fit.prefix
        self.pattern = escaped(fit.prefix.encode()) + b"*"
        self._keys: dict[str, bytes] = {}
        """Where only a look at all keys tells them."""
        self._strays: dict[bytes, str] | None = None

    def id_in(self, key: bytes) -> str | None:
        """Whose list it would be; None where it is none's."""
        id_ = self._named(key)
        return None if id_ is None or _refusal(id_) else id_

    def _named(self, key: bytes) -> str | None:
        """What its name has for an id, which none need be; None where it has none. What is not
        UTF-8 is the whole name."""
        name = key.decode("utf-8", "surrogateescape")
        if not name.startswith(self.prefix):
            return None
        id_ = self.shape.id_of(name[len(self.prefix) :])
        return id_ if id_ is None or encodable(name) else name

    async def scanned(self) -> list[bytes]:
        """The keys of all lists that may be conversations."""
        options: tuple[bytes | str, ...] = ("TYPE", "list")
        if self.prefix:
            options = ("MATCH", self.pattern, *options)
        found = await self.server.scan(self.prefix.encode(), "SCAN", options=options)
        named = [(key, id_) for key in found if (id_ := self._named(key)) is not None]
        self._strays = {key: why for key, id_ in named if (why := _refusal(id_))}
        return [key for key, _ in named if key not in self._strays]

    async def strays(self) -> dict[bytes, str]:
        """The keys of lists that have a conversation's name but for its id, and why it is none; as
        of when all were last scanned."""
        if self._strays is None:
            await self.scanned()
        return self._strays or {}

    async def all_keys(self) -> dict[str, bytes]:
        """The key of each conversation that there may be."""
        found = await self.scanned()
        if self.shape.keys_of is None:
            return {id_: key for key in found if (id_ := self.id_in(key))}
        rests = [decoded(key)[len(self.prefix) :] for key in found]
        keys = self.shape.keys_of(rests)
        self._keys = {id_: (self.prefix + rest).encode() for id_, rest in keys.items()}
        return self._keys

    async def keys(self, ids: Sequence[str]) -> dict[str, bytes]:
        """The keys of these conversations; where only all keys tell them, of those that exist."""
        if self.shape.key_of is not None:
            return {id_: (self.prefix + self.shape.key_of(id_)).encode() for id_ in ids}
        if any(id_ not in self._keys for id_ in ids):
            await self.all_keys()
        return {id_: self._keys[id_] for id_ in ids if id_ in self._keys}

    def items(self, stretch: Stretch, start: int, stop: int) -> list[Item]:
        """The messages of a part of a stretch; what cannot be read is one item."""
        found: list[Item] = []
        for at in range(start, stop):
            said = self.said(stretch.items[at], stretch.first + at)
            last = len(said) - 1
            found += [Item(each, at, n if n < last else None) for n, each in enumerate(said)]
        return found

    def said(self, item: bytes, index: int) -> Sequence[Message | Unreadable]:
        """The messages of an item; one that cannot be read is named by its index."""
        try:
            said = self.shape.unfold(item)
            if why := next(filter(None, map(refusal, said)), None):
                raise ValueError(why)
        except MALFORMED as error:
            where = -index - 1 if self.shape.newest_first else index
            text = item.decode("utf-8", "backslashreplace")
            return [Unreadable(f"item {where}", str(error), text)]
        return said


def _refusal(id_: str) -> str | None:
    return conversation_refusal(Conversation(id_))


def page_of(conversation: str, stretch: Stretch, items: Sequence[Item]) -> Page:
    """A page of these messages of a stretch."""

    def position(i: int) -> Position:
        item = items[i]
        where = position_of(stretch.items, item.at, stretch.first + item.at)
        return where if item.nth is None else f"{where}:{item.nth}"

    return Page(conversation, [item.said for item in items], position)


def parted(position: Position) -> tuple[str, int | None]:
    """The position of an item, and which of its messages; ValueError where it is none."""
    where, _, nth = position.rpartition(":")
    if position.count(":") != 4:
        return checked(position).decode(), None
    if not nth.isdecimal():
        raise ValueError(f"not a position of this store: {position!r}")
    return checked(where).decode(), int(nth)
