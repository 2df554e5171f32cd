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
no token. What a reader does is in `heads.py`, `reading.py`, `runs.py` and `listing.py`.

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

from collections.abc import AsyncIterable, AsyncIterator, Collection, Mapping, Sequence
from typing import Any

from synmem.backends.mongo.beside import Beside
from synmem.backends.mongo.heads import Heads
from synmem.backends.mongo.listing import Listing
from synmem.backends.mongo.odd import damage, strays
from synmem.backends.mongo.opening import LAYOUT, Place, is_ours
from synmem.backends.mongo.reading import Reader
from synmem.backends.mongo.replacing import Replacer
from synmem.backends.mongo.runs import KEYS_A_PAGE, Runs
from synmem.backends.mongo.steps import Steps
from synmem.backends.mongo.writing import Writer
from synmem.errors import Unsupported
from synmem.finishing import CANCELLED_S, to_its_end
from synmem.messages import Conversation, Damage, Holds, Message
from synmem.store import START, ConversationInfo, Page, Part, Position, Step, Store


async def open(settings: Mapping[str, Any], *, write: bool = False, page_size: int = 1000) -> Store:
    """The store that `uri` leads to; `db_name`, `collection_name`, `password` and `layout`; where
    that is another framework's, `branches`.

    A collection that is not there is empty; the first write makes it.
    """
    place, layout = Place(settings, write=write), settings.get("layout")
    try:
        # Within, since the driver leaves a connection open that is cancelled as it is made.
        if layout in (None, LAYOUT) and await to_its_end(
            is_ours(place, layout), within_s=CANCELLED_S
        ):
            return MongoStore(place, page_size=page_size)
        from synmem.backends.mongo.finding import find
        from synmem.backends.mongo.foreign import opened

        fit = await to_its_end(find(place, settings, write=write), within_s=CANCELLED_S)
        if fit is None:
            return MongoStore(place, page_size=page_size)
        return opened(
            place, fit, write=write, branches=settings.get("branches", False), page_size=page_size
        )
    except BaseException:
        await to_its_end(place.close())
        raise


class MongoStore:
    """A `Store` in MongoDB (DESIGN: `mongo`); with notes, and it remembers steps."""

    holds = Holds(call_bytes=32_000_000, atomic_messages=0)

    def __init__(self, place: Place, *, page_size: int) -> None:
        self.name = place.name
        self._place = place
        self._page_size = page_size
        self._heads = Heads(place)
        self._beside = Beside(place, self._heads)
        self._steps = Steps(place, self._heads)
        runs = Runs(place, self._heads, page_size=page_size)
        self._reader = Reader(place, self._heads, runs, page_size=page_size)
        self._listing = Listing(place, self._heads, self._beside, runs, page_size=page_size)
        self._writer = Writer(place, self._heads, self._beside)
        self._replacer = Replacer(place, self._heads, self._beside, self._writer, self._steps)

    def refusal(self, message: Message) -> str | None:
        """What no store can hold, and what is over the server's 16 MB a document."""
        return self._writer.refusal(message)

    async def append(
        self, parts: Sequence[Part], *, keep: int | None = None, token: str | None = None
    ) -> list[Position]:
        """See `Store.append`, and the end of this module's docstring."""
        if token is not None:
            raise Unsupported(f"{self.name}: an append is not one step here, and takes no token")
        self._writer.check((part.conversation, part.messages) for part in parts)
        await self._place.prepare()
        ends = await self._writer.append(parts)
        if keep is not None:
            for part, end in zip(parts, ends, strict=True):
                if end != START:
                    await self._replacer.trim(part.conversation.id, keep)
        return ends if keep != 0 else [START for _ in ends]

    def read(
        self,
        conversations: Sequence[str],
        *,
        after: Position = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Page]:
        """See `Store.read`."""
        return self._reader.read(conversations, after, reverse, limit)

    def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`; in the order of the ids' bytes."""
        return self._listing.conversations(ids, details=details)

    async def delete(
        self,
        conversation: str,
        *,
        upto: Position | None = None,
        begins: Position | None = None,
        token: str | None = None,
    ) -> bool:
        """See `Store.delete`."""
        await self._place.prepare()
        return await self._replacer.delete(conversation, upto=upto, begins=begins, token=token)

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
        begins: Position | None = None,
        token: str | None = None,
    ) -> None:
        """See `Store.replace`."""
        await self._place.prepare()
        self._writer.check([(conversation, ())])
        await self._replacer.replace(conversation, messages, upto=upto, begins=begins, token=token)

    async def note(self, conversation: str, name: str) -> Any | None:
        """See `SupportsNotes.note`."""
        return await self._beside.note(conversation, name)

    async def notes(self, conversations: Sequence[str]) -> dict[str, dict[str, Any]]:
        """See `SupportsNotes.notes`."""
        return await self._beside.notes(conversations)

    async def set_note(self, conversation: str, name: str, value: Any | None) -> None:
        """See `SupportsNotes.set_note`."""
        await self._place.prepare()
        await self._beside.set_note(conversation, name, value)

    async def steps_done(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.steps_done`."""
        return await self._steps.done(steps)

    async def call_off(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.call_off`."""
        await self._place.prepare()
        return await self._steps.call_off(steps)

    async def forget_steps(self, steps: Collection[Step]) -> None:
        """See `SupportsSteps.forget_steps`."""
        await self._place.prepare()
        await self._steps.forget(steps)

    async def strays(self) -> list[Damage]:
        """See `SupportsStrays.strays`: documents whose session_id is no text."""
        return await strays(self._place)

    async def damage(self) -> list[Damage]:
        """Documents that belong to no conversation: their session_id is no text, their n is no
        number, or one that is below the first message."""
        return await damage(self._place, self._heads, self._page_size * KEYS_A_PAGE)

    async def others(self) -> list[str]:
        """See `SupportsOthers.others`: sought where there are more collections than ours."""
        if not await self._place.has_more():
            return []
        from synmem.backends.mongo.finding import others

        return await others(self._place)

    async def close(self) -> None:
        """See `Store.close`."""
        await self._place.close()
