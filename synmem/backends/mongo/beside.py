"""What lies beside a conversation in MongoDB: its description (title and extra), and its notes."""

import contextlib
import functools
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from synmem import messages as model
from synmem.backends.mongo.head import Head
from synmem.backends.mongo.heads import LOOKS, Heads, change, same_head
from synmem.backends.mongo.keys import IDS_A_QUERY, sessions
from synmem.backends.mongo.opening import Place
from synmem.backends.mongo.server import DUPLICATE
from synmem.layouts.own import mongo_documents as layout
from synmem.layouts.own.beside import read_beside, read_description
from synmem.messages import Conversation, JSONObject, chunks, encodable


class Beside:
    """Descriptions and notes: set where the head stays as it is meanwhile."""

    def __init__(self, place: Place, heads: Heads) -> None:
        self._place = place
        self._heads = heads

    async def descriptions(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Of each of these sessions the fields of a `ConversationInfo` that say title and extra,
        and what of these cannot be read."""
        found = await self._place.beside(ids, {"title": 1, "extra": 1})
        return {
            i: read_description(
                _raw(mine.get("title")), _raw(mine.get("extra")), self._place.remedy
            )
            for i, mine in found.items()
        }

    async def describe(self, conversations: Sequence[Conversation]) -> None:
        """Set the descriptions of these conversations, what is given of them."""
        values = {c.id: description(c) for c in conversations}
        await self._set({i: value for i, value in values.items() if value})

    async def note(self, conversation: str, name: str) -> Any | None:
        """See `SupportsNotes.note`."""
        key, session = _note_key(name), layout.session_of(conversation)
        found = await self._place.beside([session], {f"notes.{key}": 1})
        texts = found.get(session, {}).get("notes")
        text = texts.get(key) if isinstance(texts, dict) else None
        if text is None:
            return None
        try:
            return read_beside(f"note:{name}", _raw(text))
        except ValueError as error:
            raise self._place.broken(session, str(error)) from error

    async def notes(self, conversations: Sequence[str]) -> dict[str, dict[str, Any]]:
        """See `SupportsNotes.notes`."""
        found = await self._place.beside(sessions(conversations), {"notes": 1})
        notes = {layout.conversation_of(i): _notes(found[i].get("notes")) for i in found}
        return {conversation: mine for conversation, mine in notes.items() if mine}

    async def set_note(self, conversation: str, name: str, value: Any | None) -> None:
        """See `SupportsNotes.set_note`."""
        session = layout.session_of(conversation)
        if not encodable(session) or not await self._heads.existing([session]):
            return
        await self._heads.of(session)  # where it cannot be read, nothing is written
        # Notes that are no object can be made anew: none could be set beside them.
        no_notes = {"_id": session, "notes": {"$exists": True, "$not": {"$type": "object"}}}
        forget = {"$unset": {"notes": ""}}
        await self._place.ask(lambda: self._place.meta.update_one(no_notes, forget))
        text = None if value is None else model.ascii_json(value)
        await self._set({session: {f"notes.{_note_key(name)}": text}})

    async def _set(self, values: Mapping[str, JSONObject]) -> None:
        """Remember values beside conversations, in few steps; None forgets one. A conversation
        that is deleted meanwhile keeps none."""
        left = dict(values)
        for _ in range(LOOKS):
            ids = sorted(left)
            if not ids:
                return
            heads = await self._heads.sound(ids)
            for some in chunks(ids, IDS_A_QUERY):
                updates = [_update(i, heads[i], left[i]) for i in some]
                if await self._place.ask(functools.partial(self._updated, updates)):
                    for conversation in some:
                        del left[conversation]
            there = await self._heads.existing(sorted(left))
            left = {i: value for i, value in left.items() if i in there}
        raise self._place.changed(next(iter(left)))

    async def _updated(self, updates: Sequence[UpdateOne]) -> bool:
        """Whether every one of them met what it expected."""
        try:
            result = await self._place.meta.bulk_write(updates, ordered=False)
        except BulkWriteError as error:
            if any(each.get("code") != DUPLICATE for each in error.details.get("writeErrors", [])):
                raise
            return False
        except KeyError as error:  # FerretDB: its answer lacks what the driver looks for
            raise PyMongoError("the server refused an update and does not say why") from error
        return result.matched_count + result.upserted_count >= len(updates)


def description(conversation: Conversation) -> JSONObject:
    """Title and extra as they are stored, those that are given; None forgets one."""
    given = {"title": conversation.title, "extra": conversation.extra}
    return {
        key: model.ascii_json(value) if value else None
        for key, value in given.items()
        if value is not None
    }


def _update(conversation: str, head: Head, values: JSONObject) -> UpdateOne:
    return UpdateOne(same_head(conversation, head), change(values), upsert=head.version is None)


def _raw(text: Any) -> Any:
    """The bytes of a text, also of one that is not UTF-8."""
    return text.encode("utf-8", "surrogateescape") if type(text) is str else text


def _note_key(name: str) -> str:
    """A note's name as a key, which may not hold a dot or begin with a dollar."""
    return urllib.parse.quote(name, safe="", errors="surrogatepass").replace(".", "%2E")


def _notes(texts: Any) -> dict[str, Any]:
    """The notes of a document of `_meta`, those that can be read."""
    notes = {}
    for key, text in texts.items() if isinstance(texts, dict) else ():
        with contextlib.suppress(ValueError):
            name = urllib.parse.unquote(key, errors="surrogatepass")
            notes[name] = read_beside(f"note:{name}", _raw(text))
    return {name: note for name, note in notes.items() if note is not None}
