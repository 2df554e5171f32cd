"""Deleting and replacing in MongoDB: one write of the head switches, and what it hides is deleted
then."""

import contextlib
import functools
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from datetime import UTC, datetime

import msgspec

from synmem.backends.mongo.beside import Beside, description
from synmem.backends.mongo.head import REGION, REMEMBERED, STALE, Head
from synmem.backends.mongo.heads import LOOKS, Heads, same_head
from synmem.backends.mongo.keys import IDS_A_QUERY, KEY, ONE_EACH, number_of, position_of
from synmem.backends.mongo.opening import Place
from synmem.backends.mongo.server import Document
from synmem.backends.mongo.steps import Steps
from synmem.backends.mongo.writing import Writer, new_ids, renumber, stored
from synmem.errors import Changed, StoreError
from synmem.layouts.own import mongo_documents as layout
from synmem.messages import Conversation, Message, encodable
from synmem.store import START, Part, Position


class Replacer:
    """What moves the front of a conversation: a delete, a trim, a replace."""

    def __init__(
        self, place: Place, heads: Heads, beside: Beside, writer: Writer, steps: Steps
    ) -> None:
        self._place = place
        self._heads = heads
        self._beside = beside
        self._writer = writer
        self._steps = steps
        self._is_swept = False

    async def delete(
        self,
        conversation: str,
        *,
        upto: Position | None = None,
        begins: Position | None = None,
        token: str | None = None,
    ) -> bool:
        """See `Store.delete`."""
        conversation = layout.session_of(conversation)
        if not encodable(conversation):
            return False

        async def moved(head: Head) -> Head | None:
            last = upto if upto is not None else await self._heads.last(conversation, head)
            if last == START:
                return None
            await self._check_begin(conversation, head, begins)
            if upto is not None:
                await self._find_at(conversation, head, upto)
            return head.cut(self._heads.whole(conversation, last))

        if await self._steps.is_known(conversation, token):
            return True
        if upto is not None and not await self._heads.ends([conversation]):
            return False
        deleted = await self._move(conversation, moved, token=token)
        await self._sweep()
        return deleted

    async def trim(self, conversation: str, keep: int) -> None:
        """Let only the newest `keep` messages stay."""
        conversation = layout.session_of(conversation)

        async def moved(head: Head) -> Head | None:
            last = await self._heads.last(conversation, head, before=keep)
            return head.cut(self._heads.whole(conversation, last)) if last != START else None

        await self._move(conversation, moved, tidy=False)

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
        begins: Position | None = None,
        token: str | None = None,
    ) -> None:
        """See `Store.replace`: written hidden, then switched."""
        conversation = stored(conversation)
        if await self._steps.is_known(conversation.id, token):
            return
        front = Front(self._place, self._heads, self._writer, conversation)

        async def moved(head: Head) -> Head | None:
            if front.count and head.begins <= front.first:
                raise self._place.changed(conversation.id)  # another replace was done meanwhile
            await self._check_begin(conversation.id, head, begins)
            cut = head
            if upto != START:
                await self._find_at(conversation.id, head, upto)
                cut = head.cut(self._heads.whole(conversation.id, upto))
            return cut.fronted(front.first, front.count) if front.count else cut

        try:
            async for page in messages:
                await front.take(page)
        except BaseException:
            await front.forget()
            raise
        if not front.count and upto == START and begins is None and token is None:
            if await self._heads.existing([conversation.id]):
                await self._beside.describe([conversation])
            return
        try:
            await self._move(
                conversation.id, moved, describing=conversation, keeps=front.region, token=token
            )
        except Changed:  # after any other failure the new front may be the one that is seen
            await front.forget()
            raise

    async def _move(
        self,
        conversation: str,
        moved: Callable[[Head], Awaitable[Head | None]],
        *,
        describing: Conversation | None = None,
        keeps: tuple[int, int] = (0, 0),
        tidy: bool = True,
        token: str | None = None,
    ) -> bool:
        """Switch to the head that `moved` makes of the one there is, and delete what is hidden
        then; False where it makes none. `keeps`: the numbers that were set aside for this. A
        token goes into that head, and nothing is done where it is there already."""
        for _ in range(LOOKS):
            head = await self._heads.of(conversation)
            if self._steps.is_done(head, token):
                return True
            new = await moved(head)
            if new is None:
                if tidy and head.version is not None and not head.is_claimed:
                    await self._clear(conversation, head, None)
                return False
            new = await self._with_its_state(conversation, head, new, keeps)
            says = description(describing) if describing is not None and new.gone is None else {}
            steps = () if token is None else (token,)
            if await self._heads.switch(conversation, head, new, says, steps=steps):
                await self._clear(conversation, new, head if new.is_claimed else None)
                return True
        raise self._place.changed(conversation)

    async def _with_its_state(
        self, conversation: str, head: Head, new: Head, region: tuple[int, int]
    ) -> Head:
        """The new head, saying whether anything is left, and whether somebody else claims it."""
        where = {"session_id": conversation, **new.where()}
        left = new.begins in range(*region) or bool(
            await self._place.find(where, None, 1, {"n": 1})
        )
        mine = region[0] != region[1] and head.low == region[0]
        return msgspec.structs.replace(
            new,
            gone=None if left else datetime.now(UTC),
            claimed=None if mine else head.claimed,
        )

    async def _find_at(self, conversation: str, head: Head, position: Position) -> None:
        """Changed, where no message stands there any more."""
        number, below = number_of(position), self._heads.whole(conversation, position)
        where = {"session_id": conversation, "n": {"$gte": number, "$lt": below + 1}}
        found = await self._place.find(where, [("n", 1)], 2, KEY)
        if not found or position_of(found[0]) != position or not head.shows(number):
            raise self._place.changed(conversation)
        if len(found) > 1:
            # A head names whole numbers: what somebody put between two would go with the front.
            raise self._place.broken(conversation, f"n is {found[1]['n']}, not an integer")

    async def _check_begin(self, conversation: str, head: Head, begins: Position | None) -> None:
        """Changed, where its first message is not this one."""
        if begins is not None and begins != await self._heads.first(conversation, head):
            raise self._place.changed(conversation)

    async def _clear(self, conversation: str, head: Head, before: Head | None) -> None:
        """Delete the documents that this head hides; where somebody else is writing hidden ones,
        only those that `before` showed."""
        spans = [*head.skips, (head.low, head.begins - 1)]  # below are others' documents
        if before is not None:
            spans = [(max(low, before.begins), to) for low, to in spans]
        for low, to in spans:
            where = {"session_id": conversation, "n": {"$gte": low, "$lt": to + 1}, **ONE_EACH}
            await self._place.ask(functools.partial(self._place.messages.delete_many, where))

    async def _sweep(self) -> None:
        """Once a store: take away the heads of conversations that were deleted long ago."""
        if self._is_swept:
            return
        self._is_swept = True
        now = datetime.now(UTC)
        old = {"gone": {"$lt": now - STALE}, "steps.0": {"$exists": False}}
        oldest = {"gone": {"$lt": now - REMEMBERED}}
        found = [*await self._old(old), *await self._old(oldest)]
        for conversation in dict.fromkeys(document["_id"] for document in found):
            head = (await self._heads.seen([conversation]))[conversation]
            if head.unreadable is not None or head.gone is None or head.is_claimed:
                continue
            if now - head.gone < (REMEMBERED if head.steps else STALE):
                continue
            if await self._heads.ends([conversation]):
                continue
            await self._clear(conversation, head, None)
            where = same_head(conversation, head)
            await self._place.ask(functools.partial(self._place.meta.delete_one, where))

    async def _old(self, where: Document) -> list[Document]:
        meta = self._place.meta
        return await self._place.ask(
            lambda: meta.find(where, {"_id": 1}, limit=IDS_A_QUERY).to_list()
        )


class Front:
    """The messages of one `replace`, hidden in numbers of their own until it switches."""

    def __init__(
        self, place: Place, heads: Heads, writer: Writer, conversation: Conversation
    ) -> None:
        self.count = 0
        self.first = 0
        self._place = place
        self._heads = heads
        self._writer = writer
        self._conversation = conversation
        self._ids = new_ids()

    @property
    def region(self) -> tuple[int, int]:
        """The numbers that were set aside; none before the first message."""
        return (self.first, self.first + REGION) if self.first else (0, 0)

    async def take(self, page: Sequence[Message]) -> None:
        """The next messages."""
        name = layout.conversation_of(self._conversation.id)
        self._writer.check([(Conversation(name), page)], before=self.count)
        if not page:
            return
        if not self.first:
            await self._claim()
        # Nobody else has these numbers: where somebody does all the same, it is not put elsewhere.
        part = Part(self._conversation, page, START)
        documents = self._writer.documents_of(part, self._ids)
        renumber(documents, self.first + self.count)
        await self._writer.insert([(part, documents)])
        self.count += len(page)

    async def _claim(self) -> None:
        """Set numbers below all others aside."""
        conversation = self._conversation.id
        for _ in range(LOOKS):
            head = await self._heads.of(conversation)
            low = min(head.low, head.begins) - REGION
            claimed = msgspec.structs.replace(head, low=low, claimed=datetime.now(UTC))
            if await self._heads.switch(conversation, head, claimed):
                self.first = low
                return
        raise self._place.changed(conversation)

    async def forget(self) -> None:
        """Take the hidden messages away again, if the server can be reached."""
        if self.first:
            span = {"$gte": self.first, "$lt": self.first + REGION}
            where = {"session_id": self._conversation.id, "n": span, **ONE_EACH}
            with contextlib.suppress(StoreError):
                await self._place.ask(lambda: self._place.messages.delete_many(where))
