"""Deleting and replacing in MongoDB: one write of the head switches, and what it hides is deleted
then."""

import contextlib
import functools
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from datetime import UTC, datetime

import msgspec

from synmem import messages as model
from synmem.backends.mongo_head import REGION, STALE, Head
from synmem.backends.mongo_opening import token
from synmem.backends.mongo_reading import (
    IDS_A_QUERY,
    LOOKS,
    check,
    number_of,
    position_of,
)
from synmem.backends.mongo_writing import (
    MongoWriter,
    described,
    documents_of,
    renumber,
    same_head,
    stored,
)
from synmem.errors import Changed, StoreError
from synmem.layouts import mongo_documents as layout
from synmem.layouts.synapsekit import encodable
from synmem.messages import Conversation, Message
from synmem.store import START, Part, Position


class MongoReplacer(MongoWriter):
    """The half of a store in MongoDB that takes messages away."""

    async def delete(self, conversation: str, *, upto: Position | None = None) -> bool:
        """See `Store.delete`."""
        await self._make()
        conversation = layout.session_of(conversation)
        if not encodable(conversation):
            return False

        async def moved(head: Head) -> Head | None:
            if upto is not None:
                await self._find_at(conversation, head, upto)
                return head.cut(number_of(upto))
            end = await self._find({"session_id": conversation, **head.where()}, [("n", -1)], 1)
            return head.cut(end[0]["n"]) if end else None

        if upto is not None and not await self._ends([conversation]):
            return False
        deleted = await self._move(conversation, moved)
        await self._sweep()
        return deleted

    async def _trim(self, conversation: str, keep: int) -> None:
        """Let only the newest `keep` messages stay."""

        async def moved(head: Head) -> Head | None:
            where = {"session_id": conversation, **head.where()}
            last = await self._place.ask(
                lambda: self._messages.find(
                    where, {"n": 1}, sort=[("n", -1)], skip=keep, limit=1
                ).to_list()
            )
            return head.cut(last[0]["n"]) if last else None

        await self._move(conversation, moved, tidy=False)

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
    ) -> None:
        """See `Store.replace`: written hidden, then switched."""
        await self._make()
        check(model.refusals([(conversation, ())], self.refusal))
        conversation = stored(Part(conversation, ())).conversation
        front = Front(self, conversation)

        async def moved(head: Head) -> Head | None:
            if front.count and head.begins <= front.first:
                raise self._changed(conversation.id)  # somebody put others below
            cut = head
            if upto != START:
                await self._find_at(conversation.id, head, upto)
                cut = head.cut(number_of(upto))
            return cut.fronted(front.first, front.count) if front.count else cut

        try:
            async for page in messages:
                await front.take(page)
        except BaseException:
            await front.forget()
            raise
        if not front.count and upto == START:
            if await self._existing([conversation.id]):
                await self._describe([conversation])
            return
        try:
            await self._move(conversation.id, moved, naming=conversation, keeps=front.region)
        except Changed:  # after any other failure the new front may be the one that is seen
            await front.forget()
            raise

    async def _move(
        self,
        conversation: str,
        moved: Callable[[Head], Awaitable[Head | None]],
        *,
        naming: Conversation | None = None,
        keeps: tuple[int, int] = (0, 0),
        tidy: bool = True,
    ) -> bool:
        """Switch to the head that `moved` makes of the one there is, and delete what is hidden
        then; False where it makes none. `keeps`: the numbers that were set aside for this."""
        for _ in range(LOOKS):
            head = (await self._heads([conversation]))[conversation]
            new = await moved(head)
            if new is None:
                if tidy and head.version is not None and not head.is_claimed:
                    await self._clear(conversation, head, None)
                return False
            new = await self._with_its_state(conversation, head, new, keeps)
            own = described(naming) if naming is not None and new.gone is None else {}
            if await self._switch(conversation, head, new, own):
                await self._clear(conversation, new, head if new.is_claimed else None)
                return True
        raise self._changed(conversation)

    async def _with_its_state(
        self, conversation: str, head: Head, new: Head, region: tuple[int, int]
    ) -> Head:
        """The new head, saying whether anything is left, and whether somebody else claims it."""
        left = new.begins in range(*region) or bool(
            await self._find({"session_id": conversation, **new.where()}, None, 1, {"n": 1})
        )
        mine = region[0] != region[1] and head.low == region[0]
        return msgspec.structs.replace(
            new,
            gone=None if left else datetime.now(UTC),
            claimed=None if mine else head.claimed,
        )

    async def _find_at(self, conversation: str, head: Head, position: Position) -> None:
        """Changed, where no message stands there any more."""
        number = number_of(position)
        found = await self._find({"session_id": conversation, "n": number}, None, 1, {"n": 1})
        if not found or position_of(found[0]) != position or not head.shows(number):
            raise self._changed(conversation)

    async def _clear(self, conversation: str, head: Head, before: Head | None) -> None:
        """Delete the documents that this head hides; where somebody else is writing hidden ones,
        only those that `before` showed."""
        spans = [*head.skips, (-(2**63), head.begins - 1)]
        if before is not None:
            spans = [(max(low, before.begins), to) for low, to in spans]
        for low, to in spans:
            where = {"session_id": conversation, "n": {"$gte": low, "$lte": to}}
            await self._place.ask(functools.partial(self._messages.delete_many, where))

    async def _sweep(self) -> None:
        """Once a store: take away the heads of conversations that were deleted long ago."""
        if self._is_swept:
            return
        self._is_swept = True
        old = {"gone": {"$lt": datetime.now(UTC) - STALE}}
        found = await self._place.ask(
            lambda: self._place.meta.find(old, {"_id": 1}, limit=IDS_A_QUERY).to_list()
        )
        for conversation in [document["_id"] for document in found]:
            head = (await self._seen([conversation]))[conversation]
            if head.unreadable is not None or head.gone is None or head.is_claimed:
                continue
            if await self._ends([conversation]):
                continue
            await self._clear(conversation, head, None)
            where = same_head(conversation, head)
            await self._place.ask(functools.partial(self._place.meta.delete_one, where))


class Front:
    """The messages of one `replace`, hidden in numbers of their own until it switches."""

    def __init__(self, store: MongoReplacer, conversation: Conversation) -> None:
        self.count = 0
        self.first = 0
        self._store = store
        self._conversation = conversation
        self._call = token()

    @property
    def region(self) -> tuple[int, int]:
        """The numbers that were set aside; none before the first message."""
        return (self.first, self.first + REGION) if self.first else (0, 0)

    async def take(self, page: Sequence[Message]) -> None:
        """The next messages."""
        refused = model.refusals([(self._conversation, page)], self._store.refusal)
        name = layout.conversation_of(self._conversation.id)
        check((name, self.count + n, why) for _, n, why in refused)
        if not page:
            return
        if not self.first:
            await self._claim()
        part = Part(self._conversation, page)
        documents = documents_of(part, self._call, self.count)
        renumber(documents, self.first + self.count)
        await self._store._insert([part], [documents])
        self.count += len(page)

    async def _claim(self) -> None:
        """Set numbers below all others aside."""
        store, conversation = self._store, self._conversation.id
        for _ in range(LOOKS):
            head = (await store._heads([conversation]))[conversation]
            low = min(head.low, head.begins) - REGION
            claimed = msgspec.structs.replace(head, low=low, claimed=datetime.now(UTC))
            if await store._switch(conversation, head, claimed):
                self.first = low
                return
        raise store._changed(conversation)

    async def forget(self) -> None:
        """Take the hidden messages away again, if the server can be reached."""
        if self.first:
            span = {"$gte": self.first, "$lt": self.first + REGION}
            where = {"session_id": self._conversation.id, "n": span}
            with contextlib.suppress(StoreError):
                await self._store._place.ask(lambda: self._store._messages.delete_many(where))
