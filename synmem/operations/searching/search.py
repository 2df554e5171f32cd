"""Search: the messages that hold every word, the best first, from the whole store.

The plain scan reads every message, in pages, and is always right. A large store gets an index
(`word_index`) which proposes the same messages sooner; each is read again before it is shown.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from synmem.errors import Changed, ConversationNotFound
from synmem.messages import Message, Unreadable
from synmem.operations.listing import listing, select
from synmem.operations.looking import Skipped
from synmem.operations.searching import index_file
from synmem.operations.searching.following import UNNOTICED, notices
from synmem.operations.searching.word_index import (
    Unusable,
    WordIndex,
    forget,
    microseconds,
    open_index,
)
from synmem.operations.searching.word_tables import Proposal
from synmem.operations.searching.words import Query, normal
from synmem.store import Page, Store, SupportsBranches

LARGE: Final = 100_000
"""From so many messages on an index is worth its making: a scan of fewer takes a moment."""

WHOLE_LARGE: Final = 10_000
"""The same, of a store that reads conversations as a whole: it makes more work of each message."""

_REREAD: Final = 200  # more results than this are found sooner by a scan


class Hit(msgspec.Struct, frozen=True):
    """A message that was found: the `position`-th of its conversation, counted from 1."""

    conversation_id: str
    position: int
    role: str
    content: str
    score: float


@dataclass(frozen=True)
class Found:
    """The best hits, best first; what could not be read; and whether an index was used."""

    hits: list[Hit]
    unreadable: list[Skipped]
    indexed: bool = False


class _Best:
    """The k best of what is offered: by score, then the newer, then by conversation."""

    def __init__(self, k: int) -> None:
        self._k = k
        self._kept: list[tuple[tuple[float, int, int, str, int], Hit | Proposal]] = []

    def offer(self, hit: Hit | Proposal, name: str, number: int, at_us: int | None) -> None:
        """Keep it for as long as it is one of the best."""
        order = (-hit.score, at_us is None, -(at_us or 0), name, -number)
        self._kept.append((order, hit))
        if len(self._kept) >= 2 * self._k + 100:
            self.sorted()

    def propose(self, proposal: Proposal) -> None:
        """`offer`, for the index."""
        self.offer(proposal, proposal.conversation, proposal.number, proposal.at_us)

    def sorted(self) -> list[Hit | Proposal]:
        """The best so far, best first."""
        self._kept.sort(key=lambda each: each[0])
        del self._kept[self._k :]
        return [hit for _, hit in self._kept]


async def search(
    store: Store,
    text: str,
    *,
    conversation: str | None = None,
    k: int = 5,
    index: Path | None = None,
    large: int | None = None,
    rebuild: bool = False,
    note: Callable[[str], None] = lambda text: None,
    advance: Callable[[int], object] = lambda count: None,
) -> Found:
    """The k best messages for the words and "quoted phrases" of a text.

    `index` is the file of the store's index, made where the store has `large` messages or more
    (without it, LARGE, or WHOLE_LARGE); `rebuild` makes it anew. What was changed since in the
    middle of a conversation is noticed where the store tells of it (`SupportsChanges`); where not,
    `note` hears so. `advance` hears how many messages were taken into the index.
    UsageError where there is nothing to look for, ConversationNotFound for one that is not there.
    """
    query = Query(text)
    ids = None if conversation is None else [conversation]
    if ids and not [info async for page in store.conversations(ids) for info in page]:
        raise ConversationNotFound(ids[0], store.name)
    if index is not None and rebuild:
        with index_file.failing():
            forget(index)
    if index is not None and k <= _REREAD and await _is_worth_it(store, ids, index, large):
        try:
            return await _indexed(store, query, conversation, k, index, note, advance)
        except Unusable as error:
            note(f"searched without the index: {error}")
    return await _scanned(store, query, ids, k)


async def _is_worth_it(
    store: Store, ids: Sequence[str] | None, index: Path, large: int | None
) -> bool:
    """Whether the store has an index, or is large enough for one."""
    if index.exists():
        return True
    if large is None:
        large = WHOLE_LARGE if isinstance(store, SupportsBranches) else LARGE
    return await _is_large(store, ids, large)


async def _is_large(store: Store, ids: Sequence[str] | None, large: int) -> bool:
    total = 0
    async for page in store.conversations(ids, details=True):
        # A store that cannot count cheaply is taken for a large one once it has some size.
        total += sum(20 if info.messages is None else info.messages for info in page)
        if total >= large:
            return True
    return total >= large


# --- the scan -------------------------------------------------------------------------------


async def _scanned(store: Store, query: Query, ids: Sequence[str] | None, k: int) -> Found:
    best, skipped = _Best(k), list[Skipped]()
    async for batch in select(store, ids=ids):
        name, number = None, 0
        async for page in store.read(batch):
            if page.conversation != name:
                name, number = page.conversation, 0
            _scan(page, number, query, best, skipped)
            number += len(page.items)
    hits = [hit for hit in best.sorted() if isinstance(hit, Hit)]
    skipped.sort(key=lambda each: (each.conversation_id, each.position))
    return Found(hits, skipped)


def _scan(page: Page, number: int, query: Query, best: _Best, skipped: list[Skipped]) -> None:
    for item in page.items:
        number += 1
        if isinstance(item, Unreadable):
            skipped.append(Skipped(page.conversation, number, item.reason))
        elif (score := query.score(item.content)) is not None:
            at = None if item.created_at is None else microseconds(item.created_at)
            hit = Hit(page.conversation, number, item.role, item.content, score)
            best.offer(hit, page.conversation, number, at)


# --- with the index -------------------------------------------------------------------------


async def _indexed(
    store: Store,
    query: Query,
    conversation: str | None,
    k: int,
    file: Path,
    note: Callable[[str], None],
    advance: Callable[[int], object],
) -> Found:
    if file.exists():
        if not await notices(store):
            note(UNNOTICED.format(store.name, ""))
    else:
        note("indexing the words of this store, once; the next search is faster")
    try:
        async with open_index(file) as index:
            return await _from_index(store, query, conversation, k, index, advance)
    except Unusable as error:
        if error.damaged:
            forget(file)
        raise


async def _from_index(
    store: Store,
    query: Query,
    conversation: str | None,
    k: int,
    index: WordIndex,
    advance: Callable[[int], object],
) -> Found:
    ids = None if conversation is None else [conversation]
    infos = listing(store, ids=ids, details=True)
    await index.update(store, infos, complete=conversation is None, advance=advance)
    best = _Best(k)
    await index.propose(query, conversation, best.propose)
    hits = []
    for proposal in best.sorted():
        assert isinstance(proposal, Proposal)
        hit = await _read_again(store, proposal)
        if hit is None:
            await index.drop(proposal.conversation)
            raise Unusable("the store changed meanwhile")
        hits.append(hit)
    skipped = [Skipped(*row) for row in await index.unreadable(conversation)]
    return Found(hits, skipped, indexed=True)


async def _read_again(store: Store, proposal: Proposal) -> Hit | None:
    """The message as the store has it; None where its words are not those that were proposed."""
    name, number, score = proposal.conversation, proposal.number, proposal.score
    try:
        async for page in store.read([name], after=proposal.before, limit=1):
            item = page.items[0]
            if isinstance(item, Message) and normal(item.content) == proposal.text:
                return Hit(name, number, item.role, item.content, score)
    except Changed:
        pass  # what stood in front of it is gone
    return None
