"""A collection of another framework, as its layout declares it: its documents, their messages, and
where each of these stands.

A position is what a document is ordered by, the index of the message in it, and a hash of the
document: who writes it anew, or changes it, gives it another.

Values of one kind are compared with values of that kind alone; where an order goes over several
kinds, a filter names those that come behind, in the order in which MongoDB has them.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

from bson.binary import Binary
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from bson.timestamp import Timestamp

from synmem.backends.mongo.finding import Fit
from synmem.backends.mongo.foreign_values import as_json, extended, original
from synmem.backends.mongo.server import OPTIONS, Document, Server
from synmem.backends.paging import changed
from synmem.errors import Changed, CorruptData
from synmem.layouts.shapes import MALFORMED, Documents
from synmem.messages import Message, Unreadable, ascii_json, encodable, parse_json, refusal
from synmem.store import Page, Position

IDS_A_QUERY: Final = 500

_ENTIRE: Final = -1
"""In a `Spot`: behind all messages of its document."""

_KINDS: Final[tuple[tuple[tuple[type, ...], str], ...]] = (
    ((int, float, Int64, Decimal128), "number"),
    ((str,), "string"),
    ((dict,), "object"),
    ((bytes, Binary), "binData"),
    ((ObjectId,), "objectId"),
    ((bool,), "bool"),
    ((DatetimeMS,), "date"),
    ((Timestamp,), "timestamp"),
    ((), "regex"),
)
"""Kinds of values in their order, behind null, and what a filter calls each; an array is ordered
by one of its elements, and has no place. With a regular expression nothing is compared."""


class Row(NamedTuple):
    """A document, and by what it is ordered."""

    conversation: Any
    """Text, or what is the id of no conversation."""
    keys: tuple[Any, ...]
    document: Document


class Spot(NamedTuple):
    """Where a message stands."""

    keys: tuple[Any, ...]
    nth: int
    hash: str


class Item(NamedTuple):
    """A message, or a document that cannot be read; of which row it is, and which of it, from 0."""

    said: Message | Unreadable
    row: Row
    nth: int


class ForeignDocuments:
    """The documents of the collection that was found; queries for them."""

    def __init__(self, server: Server, fit: Fit) -> None:
        assert isinstance(fit.shape, Documents)
        self.server = server
        self.fit = fit
        self.shape = fit.shape
        self.id = fit.shape.conversation
        self.fields = fit.shape.order
        if self.fields[-1] != "_id":
            self.fields += ("_id",)
        database = server.client[fit.database]
        self.collection = database.get_collection(fit.collection, OPTIONS)
        self._beside = database.get_collection(fit.shape.beside or fit.collection, OPTIONS)

    def order(self, *, reverse: bool = False) -> list[tuple[str, int]]:
        """What the documents of a conversation are sorted by."""
        return [(field, -1 if reverse else 1) for field in self.fields]

    async def of(self, ids: Sequence[str]) -> Document:
        """The filter of the live documents of these conversations."""
        ids = [id_ for id_ in ids if await self.server.holds(id_)]
        if not ids:
            return {"_id": {"$in": []}}
        among: Document = {self.id: ids[0] if len(ids) == 1 else {"$in": ids}}
        # A filter for a value takes a list that holds it as well.
        lists = [{field: {"$type": "array"}} for field in (self.id, *self.fields[:-1])]
        if self.shape.live is None:
            return {**among, "$nor": lists}
        found = await self.server.found(self._beside, among, None)
        beside = {each.get(self.id): each for each in found if type(each.get(self.id)) is str}
        ways = [{self.id: id_, **self.shape.live(_told(beside.get(id_)))} for id_ in ids]
        return {**(ways[0] if len(ids) == 1 else {"$or": ways}), "$nor": lists}

    async def rows(self, where: Document, order: list[tuple[str, int]], size: int) -> list[Row]:
        """So many documents, at most, in this order; also those of nobody."""
        found = await self.server.found(
            self.collection, where, None, sort=order, limit=size, batch_size=size
        )
        return [self.row(document) for document in found]

    def row(self, document: Document) -> Row:
        """The document as a row."""
        keys = tuple(document.get(field) for field in self.fields)
        return Row(document.get(self.id), keys, document)

    async def rows_from(
        self, conversation: str, keys: Sequence[Any] | None, reverse: bool, size: int
    ) -> list[Row]:
        """So many documents of a conversation, all or from the one that has these keys on."""
        where, order = await self.of([conversation]), self.order(reverse=reverse)
        if keys is None:
            return await self.rows(where, order, size)
        rows: list[Row] = []
        for bound in self.bounds(keys, reverse=reverse):
            if len(rows) < size:
                rows += await self.rows({**where, "$and": [bound]}, order, size - len(rows))
        return rows

    def from_keys(self, keys: Sequence[Any], *, reverse: bool = False) -> Document:
        """The filter of what does not come before the document that has these keys."""
        return {"$or": self.bounds(keys, reverse=reverse)}

    def bounds(self, keys: Sequence[Any], *, reverse: bool) -> list[Document]:
        """The same in parts that follow one another, each such that an index can go by it."""
        found: list[Document] = []
        for index in reversed(range(len(keys))):
            same = [{self.fields[n]: {"$eq": keys[n]}} for n in range(index)]
            is_last = index == len(keys) - 1
            for bound in self._from(self.fields[index], keys[index], reverse, is_last):
                found.append({"$and": [*same, bound]} if same else bound)
        return found

    def _from(self, field: str, key: Any, reverse: bool, itself: bool) -> list[Document]:
        """The filters of what comes behind a value, in their order; before that of `itself`."""
        if key is None:
            same: list[Document] = [{field: None}] if itself else []
            return same if reverse else [*same, {field: {"$ne": None}}]
        at = next((i for i, (kinds, _) in enumerate(_KINDS) if type(key) in kinds), None)
        if at is None:
            raise CorruptData(
                f"{self.server.name}: in {self.fit.called} a document's {field} is a "
                f"{type(key).__name__}: what comes behind it cannot be asked for"
            )
        ways: list[Document] = []
        if isinstance(key, float) and math.isnan(key):  # the lowest number, and never compared
            ways += [{field: {"$eq": key}}] if itself else []
            ways += [] if reverse else [{field: {"$gte": -math.inf}}]
        elif reverse and at == 0:
            ways.append({field: {"$type": "number", "$not": {"$gt" if itself else "$gte": key}}})
        else:
            ways.append({field: {f"${'lt' if reverse else 'gt'}{'e' if itself else ''}": key}})
        if others := [name for _, name in (_KINDS[:at] if reverse else _KINDS[at + 1 :])]:
            ways.append({field: {"$type": others}})
        return [*ways, {field: None}] if reverse else ways

    def items(self, rows: Sequence[Row], *, reverse: bool = False) -> list[Item]:
        """The messages of these rows; a document that cannot be read is one item."""
        found: list[Item] = []
        for row in rows:
            items = [Item(each, row, index) for index, each in enumerate(self._said(row))]
            found += reversed(items) if reverse else items
        return found

    def _said(self, row: Row) -> list[Message | Unreadable]:
        try:
            said = self.shape.unfold(as_json(row.document))
            return [_readable(each, row) for each in said]
        except MALFORMED as error:
            return [unreadable(row, str(error))]

    def changed(self, conversation: str) -> Changed:
        """What whoever relies on a position of this conversation is told."""
        return changed(conversation, self.server.name)


def _told(document: Document | None) -> Document | None:
    """The document beside, as a layout gets it; None where it cannot be read."""
    try:
        told: Document | None = as_json(document)
    except ValueError:
        return None
    return told


def runs_of(rows: Sequence[Row]) -> list[tuple[Any, list[Row]]]:
    """Rows that are sorted by conversation, of each those that follow each other."""
    return [(name, [*run]) for name, run in groupby(rows, lambda row: row.conversation)]


def is_id(value: Any) -> bool:
    """Whether it is the id of a conversation."""
    return type(value) is str and value != "" and encodable(value)


def named(row: Row) -> str:
    """What a document is called, for a person."""
    id_ = row.document.get("_id")
    return str(id_) if isinstance(id_, ObjectId) else repr(id_)


def unreadable(row: Row, why: str) -> Unreadable:
    """What stands for a document that cannot be read."""
    name = named(row)
    return Unreadable(name, f"document {name}: {why}", ascii_json(extended(row.document)))


def _readable(said: Message | Unreadable, row: Row) -> Message | Unreadable:
    """The same, or why it is no message."""
    if isinstance(said, Message):
        return said if (why := refusal(said)) is None else unreadable(row, why)
    place = f"{named(row)}, {said.position}"
    return Unreadable(place, f"document {place}: {said.reason}", said.text)


def page_of(items: Sequence[Item]) -> Page:
    """A page of these, which are of one conversation."""
    said = [item.said for item in items]
    return Page(items[0].row.conversation, said, lambda i: position_at(items[i].row, items[i].nth))


def position_at(row: Row, index: int = 0) -> Position:
    """Where a message of that row stands."""
    return ascii_json([extended([*row.keys]), index, hash_of(row)])


def spot_at(position: Position) -> Spot:
    """What a position says; ValueError where it is none of ours."""
    try:
        keys, index, hash_ = parse_json(position)
        return Spot(tuple(original(keys)), index, hash_)
    except (ValueError, TypeError) as error:
        raise ValueError(f"not a position of this store: {position!r}") from error


def end_of(row: Row) -> Spot:
    """Behind all messages of a row."""
    return Spot(row.keys, _ENTIRE, hash_of(row))


def hash_of(row: Row) -> str:
    """What is another once the document is."""
    told: Mapping[str, Any] = row.document
    text = repr(sorted(told.items(), key=lambda item: item[0]))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
