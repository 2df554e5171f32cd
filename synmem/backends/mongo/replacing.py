"""Deleting and replacing in MongoDB: one write of the head switches, and what it hides is deleted
then."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterable, Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from pymongo import UpdateOne

from synmem import messages as model
from synmem.backends.mongo.head import REGION, REMEMBERED, STALE, Head
from synmem.backends.mongo.odd import ONE_EACH
from synmem.backends.mongo.opening import Document, new_token
from synmem.backends.mongo.reading import (
    IDS_A_QUERY,
    KEY,
    LOOKS,
    check,
    number_of,
    position_of,
)
from synmem.backends.mongo.writing import (
    MongoWriter,
    described,
    renumber,
    same_head,
    stored,
)
from synmem.backends.paging import called_off
from synmem.errors import Changed, StoreError
from synmem.layouts.own import mongo_documents as layout
from synmem.layouts.own.synapsekit import encodable
from synmem.messages import Conversation, Message
from synmem.store import START, Part, Position, Step

CALLED_OFF_AT_ONCE: Final = 16
"""So many conversations are told at a time that a write is called off."""


class MongoReplacer(MongoWriter):
    """The half of a store in MongoDB that takes messages away, and remembers that it did."""

    async def delete(
        self,
        conversation: str,
        *,
        upto: Position | None = None,
        begins: Position | None = None,
        token: str | None = None,
    ) -> bool:
        """See `Store.delete`."""
        await self._make()
        conversation = layout.session_of(conversation)
        if not encodable(conversation):
            return False

        async def moved(head: Head) -> Head | None:
            last = upto if upto is not None else await self._end_seen(conversation, head)
            if last == START:
                return None
            await self._check_begin(conversation, head, begins)
            if upto is not None:
                await self._find_at(conversation, head, upto)
            return head.cut(self._last(conversation, last))

        if await self._is_known(conversation, token):
            return True
        if upto is not None and not await self._ends([conversation]):
            return False
        deleted = await self._move(conversation, moved, token=token)
        await self._sweep()
        return deleted

    async def _end_seen(self, conversation: str, head: Head) -> Position:
        """Where the conversation ends under this head."""
        where = {"session_id": conversation, **head.where()}
        end = await self._find(where, [("n", -1)], 1, KEY)
        return position_of(end[0]) if end else START

    async def _trim(self, conversation: str, keep: int) -> None:
        """Let only the newest `keep` messages stay."""

        async def moved(head: Head) -> Head | None:
            where = {"session_id": conversation, **head.where()}
            last = await self._find(where, [("n", -1)], 1, KEY, skip=keep)
            return head.cut(self._last(conversation, position_of(last[0]))) if last else None

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
        await self._make()
        check(model.refusals([(conversation, ())], self.refusal))
        conversation = stored(Part(conversation, ())).conversation
        if await self._is_known(conversation.id, token):
            return
        front = Front(self, conversation)

        async def moved(head: Head) -> Head | None:
            if front.count and head.begins <= front.first:
                raise self._changed(conversation.id)  # somebody put others below
            await self._check_begin(conversation.id, head, begins)
            cut = head
            if upto != START:
                await self._find_at(conversation.id, head, upto)
                cut = head.cut(self._last(conversation.id, upto))
            return cut.fronted(front.first, front.count) if front.count else cut

        try:
            async for page in messages:
                await front.take(page)
        except BaseException:
            await front.forget()
            raise
        if not front.count and upto == START and begins is None and token is None:
            if await self._existing([conversation.id]):
                await self._describe([conversation])
            return
        try:
            await self._move(
                conversation.id, moved, naming=conversation, keeps=front.region, token=token
            )
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
        token: str | None = None,
    ) -> bool:
        """Switch to the head that `moved` makes of the one there is, and delete what is hidden
        then; False where it makes none. `keeps`: the numbers that were set aside for this. A
        token goes into that head, and nothing is done where it is there already."""
        for _ in range(LOOKS):
            head = (await self._heads([conversation]))[conversation]
            if self._is_done(conversation, head, token):
                return True
            new = await moved(head)
            if new is None:
                if tidy and head.version is not None and not head.is_claimed:
                    await self._clear(conversation, head, None)
                return False
            new = await self._with_its_state(conversation, head, new, keeps)
            own = described(naming) if naming is not None and new.gone is None else {}
            steps = () if token is None else (token,)
            if await self._switch(conversation, head, new, own, steps=steps):
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
        number, below = number_of(position), self._last(conversation, position)
        here = {"$gte": number, "$lt": below + 1}
        found = await self._find({"session_id": conversation, "n": here}, [("n", 1)], 2, KEY)
        if not found or position_of(found[0]) != position or not head.shows(number):
            raise self._changed(conversation)
        if len(found) > 1:
            # A head names whole numbers: what somebody put between two would go with the front.
            raise self._broken(conversation, f"n is {found[1]['n']}, not an integer")

    async def _check_begin(self, conversation: str, head: Head, begins: Position | None) -> None:
        """Changed, where its first message is not this one."""
        if begins is None:
            return
        where = {"session_id": conversation, **head.where()}
        first = await self._find(where, [("n", 1)], 1, KEY)
        if begins != (position_of(first[0]) if first else START):
            raise self._changed(conversation)

    async def _clear(self, conversation: str, head: Head, before: Head | None) -> None:
        """Delete the documents that this head hides; where somebody else is writing hidden ones,
        only those that `before` showed."""
        spans = [*head.skips, (head.low, head.begins - 1)]  # below are others' documents
        if before is not None:
            spans = [(max(low, before.begins), to) for low, to in spans]
        for low, to in spans:
            where = {"session_id": conversation, "n": {"$gte": low, "$lt": to + 1}, **ONE_EACH}
            await self._place.ask(functools.partial(self._messages.delete_many, where))

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
            head = (await self._seen([conversation]))[conversation]
            if head.unreadable is not None or head.gone is None or head.is_claimed:
                continue
            if now - head.gone < (REMEMBERED if head.steps else STALE):
                continue
            if await self._ends([conversation]):
                continue
            await self._clear(conversation, head, None)
            where = same_head(conversation, head)
            await self._place.ask(functools.partial(self._place.meta.delete_one, where))

    async def _old(self, where: Document) -> list[Document]:
        meta = self._place.meta
        return await self._place.ask(
            lambda: meta.find(where, {"_id": 1}, limit=IDS_A_QUERY).to_list()
        )

    # --- steps ------------------------------------------------------------------------------

    async def _is_known(self, conversation: str, token: str | None) -> bool:
        """Whether a write with this token was done; Changed where it was called off."""
        if token is None:
            return False
        return self._is_done(conversation, (await self._heads([conversation]))[conversation], token)

    def _is_done(self, conversation: str, head: Head, token: str | None) -> bool:
        if token is not None and _off(token) in head.steps:
            raise called_off(self.name)
        return token in head.steps

    async def call_off(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.call_off`: under a new version of the head, so that the switch of
        whoever looked at the old one fails, whenever it arrives."""
        await self._make()
        wanted = _by_session(steps)
        done: set[tuple[str, str]] = set()
        left = list(wanted)
        heads = await self._heads(left)
        for start in range(0, len(left), CALLED_OFF_AT_ONCE):
            some = left[start : start + CALLED_OFF_AT_ONCE]
            found = await asyncio.gather(*(self._call_off(i, heads[i], wanted[i]) for i in some))
            for session, tokens in zip(some, found, strict=True):
                done.update((session, token) for token in tokens)
        return {s for s in steps if (layout.session_of(s.conversation), s.token) in done}

    async def _call_off(self, conversation: str, head: Head, tokens: Collection[str]) -> set[str]:
        for _ in range(LOOKS):
            done = {token for token in tokens if token in head.steps}
            left = [_off(token) for token in tokens if token not in done]
            left = [mark for mark in left if mark not in head.steps]
            if not left:
                return done
            there = head.gone is None and (
                head.version is not None or await self._existing([conversation])
            )
            # A head that names nothing is swept away one day: counted from the last of its steps.
            new = msgspec.structs.replace(head, gone=None if there else datetime.now(UTC))
            if await self._switch(conversation, head, new, steps=left, empties=False):
                return done
            head = (await self._heads([conversation]))[conversation]
        raise self._changed(conversation)

    async def forget_steps(self, steps: Collection[Step]) -> None:
        """See `SupportsSteps.forget_steps`."""
        await self._make()
        wanted = list(_by_session(steps).items())
        for start in range(0, len(wanted), IDS_A_QUERY):
            updates = [
                UpdateOne({"_id": session}, {"$pullAll": {"steps": [*tokens, *map(_off, tokens)]}})
                for session, tokens in wanted[start : start + IDS_A_QUERY]
            ]
            bulk = functools.partial(self._place.meta.bulk_write, updates, ordered=False)
            await self._place.ask(bulk)


def _off(token: str) -> str:
    """What is remembered of a token whose write was called off."""
    return f"-{token}"


def _by_session(steps: Collection[Step]) -> dict[str, list[str]]:
    """The tokens of each session; none of those that can be in no store."""
    found: dict[str, list[str]] = {}
    for step in steps:
        if encodable(step.conversation):
            found.setdefault(layout.session_of(step.conversation), []).append(step.token)
    return found


class Front:
    """The messages of one `replace`, hidden in numbers of their own until it switches."""

    def __init__(self, store: MongoReplacer, conversation: Conversation) -> None:
        self.count = 0
        self.first = 0
        self._store = store
        self._conversation = conversation
        self._call = new_token()

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
        # Nobody else has these numbers: where somebody does all the same, it is not put elsewhere.
        part = Part(self._conversation, page, START)
        documents = self._store._documents_of(part, self._call, self.count)
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
            where = {"session_id": self._conversation.id, "n": span, **ONE_EACH}
            with contextlib.suppress(StoreError):
                await self._store._place.ask(lambda: self._store._messages.delete_many(where))
