"""Conversations in MongoDB, over pymongo's async client.

Data layout. One document a message, in the collection (`conversations` in the database
`synapsekit`, unless the URI or the profile say otherwise):

    {_id: "TOKEN:INDEX", session_id: "...", n: 1, role: "...", content: "...", ...}

`_id` is made of the call's random token and the message's place in the call, so that a write that
is tried again meets itself; the other fields are as in `layouts/own/mongo_documents.py`. The unique
index (session_id, n) orders a conversation: a new message takes the number of the last one plus
one, and of two writers who take the same number one is told. Numbers begin at 1 and may go below.

A document whose `n` is no number, or below 1 where no head says so, or whose `session_id` is not
text, belongs to no conversation: it is named as a stray, and not touched. One whose number is not
whole cannot be read; behind one whose number is beyond 64 bits nothing is written.

Beside it the collection `..._meta` has at most one document a conversation:

    {_id: session_id, title, extra: JSON text, notes: {NAME: JSON text},
     version, begins, low, skips: [{from, to}], gone, claimed, recent, steps: [TOKEN or -TOKEN]}

Its second line is the *head*, made when the front of a conversation first changes. Only messages
from number `begins` on are the conversation's, without those whose numbers lie in a span of
`skips`. A replace sets a region of numbers below all others aside (`low`), writes its messages
there, hidden, and then switches: one write of the head, on condition that its `version` is still
the one that was looked at. Then the old documents are deleted. A delete and a trim switch and
delete likewise. Whoever dies between two of these steps leaves the old conversation or the new
one, and perhaps hidden documents, which the next delete or replace there takes away after an
hour. Of a conversation whose head cannot be read nothing is shown, and nothing is written to it.

A token that is given to a delete or replace joins `steps` in its switch; calling it off adds it
with `-` before, under a new version, so that the switch of a writer that was killed, and that
arrives after all, finds no head like the one it looked at. An `append` has no switch, and takes
no token. What a reader does is in `reading.py` and `listing.py`.

Where MongoDB gives less than the contract, since single servers have no transactions: a call of
`append` may be seen in part, each conversation's messages from the first on; and where somebody
else writes to one of its conversations in the very moment between look and write, `Changed` is
raised though other parts of the call, and what stands before the collision, are written. Whoever
looks again finds them. A rolling window is trimmed right after its append, by a second write. A
delete takes away what it saw: a message that is appended at the same moment stays, and is behind
what a replace brings to a conversation that was absent. A deleted conversation leaves its head,
without title or notes, for an hour, with steps for 90 days, or until somebody deletes then.
FerretDB 1 does not look and write in one step: there two who change the front of a conversation
that has a head, in the same moment, may both be let in.
"""

import contextlib
import functools
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from synmem import messages as model
from synmem.backends.mongo.head import Head
from synmem.backends.mongo.opening import Document, new_token, opened
from synmem.backends.mongo.reading import (
    IDS_A_QUERY,
    LOOKS,
    check,
    position_of,
    raw,
    sessions,
)
from synmem.backends.mongo.replacing import MongoReplacer
from synmem.backends.mongo.writing import renumber, stored
from synmem.errors import Unsupported
from synmem.layouts.own import mongo_documents as layout
from synmem.layouts.own.beside import read_beside
from synmem.layouts.own.synapsekit import encodable
from synmem.store import START, Part, Position


async def open(
    settings: Mapping[str, Any], *, write: bool = False, page_size: int = 1000
) -> "MongoStore":
    """The store that `uri` leads to; `db_name`, `collection_name`, `password` and `layout`.

    A collection that is not there is empty; the first write makes it.
    """
    return MongoStore(await opened(settings), write=write, page_size=page_size)


class MongoStore(MongoReplacer):
    """A `Store` in MongoDB (DESIGN: `mongo`); with notes, and it remembers steps."""

    async def append(
        self, parts: Sequence[Part], *, keep: int | None = None, token: str | None = None
    ) -> list[Position]:
        """See `Store.append`, and the end of this module's docstring."""
        if token is not None:
            raise Unsupported(f"{self.name}: an append is not one step here, and takes no token")
        check(model.refusals(((p.conversation, p.messages) for p in parts), self.refusal))
        await self._make()
        parts = [stored(part) for part in parts]
        ends = await self._checked(parts)
        call = new_token()
        documents: list[list[Document]] = []
        for part in parts:
            documents.append(self._documents_of(part, call, sum(map(len, documents))))
        await self._number(parts, documents, ends)
        await self._insert(parts, documents)
        await self._uncover(parts, documents)
        found = [
            position_of(mine[-1]) if mine else ends.get(part.conversation.id, START)
            for part, mine in zip(parts, documents, strict=True)
        ]
        exist = [p.conversation for p, end in zip(parts, found, strict=True) if end != START]
        await self._describe(exist)
        if keep is not None:
            for conversation in exist:
                await self._trim(conversation.id, keep)
        return found

    async def _checked(self, parts: Sequence[Part]) -> dict[str, Position]:
        """Where the conversations of these parts end, where that is not START; Changed where it
        is not what is expected."""
        new = sorted({p.conversation.id for p in parts if p.expect == START})
        for conversation in await self._existing(new):
            raise self._changed(conversation)
        old = sorted({p.conversation.id for p in parts} - set(new))
        ends = {i: position_of(end) for i, end in (await self._ends(old)).items()}
        for part in parts:
            if part.expect not in (None, ends.get(part.conversation.id, START)):
                raise self._changed(part.conversation.id)
        return ends

    async def _number(
        self,
        parts: Sequence[Part],
        documents: Sequence[list[Document]],
        ends: Mapping[str, Position],
    ) -> None:
        """Give every document its number, behind the end that was seen."""
        heads = await self._heads(sorted({part.conversation.id for part in parts}))
        for part, mine in zip(parts, documents, strict=True):
            if not mine:
                continue
            head = heads[part.conversation.id]
            end = ends.get(part.conversation.id, START)
            if end == START and head.version is not None:
                head = await self._revive(part.conversation.id, head)
            last = self._last(part.conversation.id, end) if end != START else 0
            renumber(mine, max(head.floor, last) + 1)

    async def _revive(self, conversation: str, head: Head) -> Head:
        """Make the head of a deleted conversation one that is not swept away, unless somebody
        begins it anew meanwhile."""
        for _ in range(LOOKS):
            if head.version is None:
                return head
            revived = msgspec.structs.replace(head, gone=None)
            if await self._switch(conversation, head, revived):
                return revived
            head = (await self._heads([conversation]))[conversation]
            if await self._ends([conversation]):
                return head
        raise self._changed(conversation)

    async def _uncover(self, parts: Sequence[Part], documents: Sequence[list[Document]]) -> None:
        """Where somebody wrote and deleted between our look and our write, our numbers were free
        again, but hidden: what has them goes behind the end."""
        written = [(part, mine) for part, mine in zip(parts, documents, strict=True) if mine]
        for _ in range(LOOKS):
            heads = await self._heads(sorted(mine[0]["session_id"] for _, mine in written))
            written = [
                (p, mine)
                for p, mine in written
                if not heads[mine[0]["session_id"]].shows(mine[0]["n"])
            ]
            if not written:
                return
            for part, mine in written:
                await self._put_behind(part, mine, heads[part.conversation.id])
        raise self._changed(written[0][0].conversation.id)

    async def _put_behind(self, part: Part, mine: list[Document], head: Head) -> None:
        conversation = part.conversation.id
        for start in range(0, len(mine), IDS_A_QUERY):
            where = {"_id": {"$in": [each["_id"] for each in mine[start : start + IDS_A_QUERY]]}}
            await self._place.ask(functools.partial(self._messages.delete_many, where))
        if part.expect is not None:
            raise self._changed(conversation)
        end = (await self._ends([conversation])).get(conversation)
        if end is None:
            head = await self._revive(conversation, head)
        last = self._last(conversation, position_of(end)) if end else 0
        renumber(mine, max(head.floor, last) + 1)
        await self._insert([part], [mine])

    async def note(self, conversation: str, name: str) -> Any | None:
        """See `SupportsNotes.note`."""
        key, conversation = _note_key(name), layout.session_of(conversation)
        found = await self._documents([conversation], {f"notes.{key}": 1})
        texts = found.get(conversation, {}).get("notes")
        text = texts.get(key) if isinstance(texts, dict) else None
        return None if text is None else self._note(conversation, f"note:{name}", text)

    async def notes(self, conversations: Sequence[str]) -> dict[str, dict[str, Any]]:
        """See `SupportsNotes.notes`."""
        found = await self._documents(sessions(conversations), {"notes": 1})
        notes = {layout.conversation_of(i): _notes(found[i].get("notes")) for i in found}
        return {conversation: mine for conversation, mine in notes.items() if mine}

    async def set_note(self, conversation: str, name: str, value: Any | None) -> None:
        """See `SupportsNotes.set_note`."""
        await self._make()
        conversation = layout.session_of(conversation)
        if encodable(conversation) and await self._existing([conversation]):
            text = None if value is None else model.ascii_json(value)
            await self._set({conversation: {f"notes.{_note_key(name)}": text}})


def _note_key(name: str) -> str:
    """A note's name as a key, which may not hold a dot or begin with a dollar."""
    return urllib.parse.quote(name, safe="", errors="surrogatepass").replace(".", "%2E")


def _notes(texts: Any) -> dict[str, Any]:
    """The notes of a document of `_meta`, those that can be read."""
    notes = {}
    for key, text in texts.items() if isinstance(texts, dict) else ():
        with contextlib.suppress(ValueError):
            name = urllib.parse.unquote(key, errors="surrogatepass")
            notes[name] = read_beside(f"note:{name}", raw(text))
    return {name: note for name, note in notes.items() if note is not None}
