"""Searching a store by meaning: the messages nearest to a text, and those of one conversation.

An index of the store's meanings (`meaning_index`) proposes them; each is read again from the store
before it is shown, so that no text is stale.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from synmem.errors import Changed, ConversationNotFound, SynmemError, UsageError
from synmem.messages import Message
from synmem.operations.listing import listing
from synmem.operations.looking import Skipped
from synmem.operations.searching.following import UNNOTICED, notices
from synmem.operations.searching.index_file import Unusable, failing, forget
from synmem.operations.searching.meaning_index import MeaningIndex, open_index
from synmem.operations.searching.meaning_tables import Place, digest
from synmem.operations.searching.search import Found, described, hit_of
from synmem.operations.searching.wanted import Wanted
from synmem.store import Store
from synmem.strategies.recall import Recalled
from synmem.vectors.embedding import Embedder, embed_query, kind_of

if TYPE_CHECKING:
    from synmem.vectors.embedding import Vector

_Result = tuple[list[tuple[Place, Message]], list[Skipped], int]
"""What was found, what could not be read, and how many were left out without a time."""

_ATTEMPTS: Final = 3  # where the store changes meanwhile


def _silent(text: str) -> None:
    """What nobody wants to hear."""


def _uncounted(count: int) -> None:
    """What nobody counts."""


@dataclass(frozen=True)
class Meanings:
    """What was meant in a store, to be asked.

    `index` is the file of the store's index, made if it is missing; None: in memory, for once.
    `rebuild` makes that file anew. `note` hears what was indexed, and where the store does not tell
    what was changed in the middle of a conversation; `advance` how many messages, while it goes on.
    """

    store: Store
    embedder: Embedder
    index: Path | None
    note: Callable[[str], None] = _silent
    advance: Callable[[int], None] = _uncounted
    rebuild: bool = False

    async def search(
        self,
        text: str,
        *,
        conversation: str | None = None,
        k: int = 5,
        wanted: Wanted | None = None,
    ) -> Found:
        """The k messages nearest in meaning to a text, the nearest first, of those `wanted`.

        UsageError where there is nothing to look for, ConversationNotFound for one that is not
        there, ModelError where the embedding model fails.
        """
        found, unreadable, untimed = await self._found(text, conversation, k, wanted or Wanted())
        there = await described(self.store, {place.conversation for place, _ in found})
        hits = [
            hit_of(p.conversation, p.number, message, p.score, there.get(p.conversation))
            for p, message in found
        ]
        return Found(hits, unreadable, indexed=True, untimed=untimed)

    async def nearest(self, conversation: str, text: str, k: int) -> list[Recalled]:
        """Where the k messages of a conversation stand that are nearest to a text; as `search`."""
        found, *_ = await self._found(text, conversation, k, Wanted())
        return [
            Recalled(place.number, place.total, place.before, place.score) for place, _ in found
        ]

    async def _found(
        self, text: str, conversation: str | None, k: int, wanted: Wanted
    ) -> "_Result":
        if not text.strip():
            raise UsageError("there is nothing to look for: the query is empty")
        ids = None if conversation is None else [conversation]
        if ids and not [info async for page in self.store.conversations(ids) for info in page]:
            raise ConversationNotFound(ids[0], self.store.name)
        vector = await embed_query(self.embedder, text)
        try:
            if self.index is not None and self.rebuild:
                with failing():
                    forget(self.index)
            elif self.index is not None and self.index.exists() and not await notices(self.store):
                self.note(UNNOTICED.format(self.store.name, "--semantic "))
            return await self._indexed(vector, conversation, k, wanted, self.index)
        except Unusable as error:
            if self.index is None:
                raise SynmemError(f"the store's index cannot be made: {error}") from error
            if error.damaged:
                forget(self.index)
                return await self._indexed(vector, conversation, k, wanted, self.index)
            self.note(f"{self.index} cannot be used, all is indexed for this once: {error}")
            return await self._indexed(vector, conversation, k, wanted, None)

    async def _indexed(
        self,
        vector: "Vector",
        conversation: str | None,
        k: int,
        wanted: Wanted,
        file: Path | None,
    ) -> "_Result":
        async with open_index(file, self.embedder, kind_of(self.embedder, vector)) as index:
            for attempt in range(_ATTEMPTS):
                await self._update(index, conversation)
                places, untimed = await index.nearest(vector, conversation, k, wanted)
                found = [(place, await self._read_again(place)) for place in places]
                stale = {place.conversation for place, message in found if message is None}
                if not stale or attempt == _ATTEMPTS - 1:
                    break
                for name in stale:
                    await index.drop(name)
            skipped = [Skipped(*row) for row in await index.unreadable(conversation)]
        there = [(place, message) for place, message in found if message is not None]
        return there, skipped, untimed

    async def _update(self, index: MeaningIndex, conversation: str | None) -> None:
        ids = None if conversation is None else [conversation]
        infos = listing(self.store, ids=ids, details=True)
        count = await index.update(
            self.store, infos, complete=ids is None, note=self.note, advance=self.advance
        )
        if count:
            self.note(f"indexed {count:,} message{'' if count == 1 else 's'}")

    async def _read_again(self, place: Place) -> Message | None:
        """The message as the store has it; None where it is not the one that was indexed."""
        try:
            async for page in self.store.read([place.conversation], after=place.before, limit=1):
                item = page.items[0]
                if isinstance(item, Message) and digest(item) == place.digest:
                    return item
        except Changed:
            pass  # what stood in front of it is gone
        return None
