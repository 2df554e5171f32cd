"""Whether a collection of another framework may refuse a document that is the framework's.

Nothing is tried out: without transactions it could not be rolled back.
"""

from collections.abc import Mapping
from typing import Any, Final

from synmem.backends.mongo.foreign_documents import ForeignDocuments

INVALID: Final = 121
"""The code of a server whose collection has a validator that a document does not satisfy."""


async def conditions(documents: ForeignDocuments) -> list[str]:
    """What somebody has put on the collection by which it may refuse what is written back."""
    found = [f"a unique index ({name})" for name in await unique_indexes(documents)]
    options = await documents.server.ask(documents.collection.options)
    does_refuse = options.get("validationLevel") != "off"
    if options.get("validator") and does_refuse and options.get("validationAction") != "warn":
        found.append("a validator")
    return found


async def unique_indexes(documents: ForeignDocuments) -> list[str]:
    """The names of its indexes in which two documents of the framework's cannot be the same."""
    there = await documents.server.ask(documents.collection.index_information)
    known = documents.shape.fields
    return [name for name in sorted(there) if _sets_apart(there[name], known)]


def _sets_apart(index: Mapping[str, Any], known: frozenset[str]) -> bool:
    """Whether these documents are in a unique index, and no new `_id` makes each another."""
    fields = {field.partition(".")[0] for field, _ in index["key"]}
    is_in = not index.get("sparse") or not fields.isdisjoint(known)
    return bool(index.get("unique")) and is_in and "_id" not in fields


def said_of(wrong: Mapping[str, Any]) -> str:
    """What the server says of a document that it does not take, without what is in it."""
    text = str(wrong.get("errmsg", wrong.get("code"))).partition(" dup key: ")[0]
    return f"{text} (the collection's validator)" if wrong.get("code") == INVALID else text
