"""Search: the messages that hold every word, the best first, from the whole store; and the
conversations whose title does.

The plain scan reads every message, in pages, and is always right. A large store gets an index
(`word_index`) which proposes the same messages sooner; each is read again before it is shown.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from synmem.errors import Changed, ConversationNotFound
from synmem.messages import Message, Unreadable
from synmem.operations.listing import listing
from synmem.operations.looking import Skipped
from synmem.operations.searching import index_file
from synmem.operations.searching.following import UNNOTICED, notices
from synmem.operations.searching.near import Near
from synmem.operations.searching.wanted import TITLE, Wanted, time_of
from synmem.operations.searching.word_index import Unusable, WordIndex, forget, open_index
from synmem.operations.searching.word_tables import Proposal
from synmem.operations.searching.words import BETWEEN, Query, normal, normal_of, tools_of
from synmem.store import ConversationInfo, Page, Store, SupportsBranches

LARGE: Final = 100_000
"""From so many messages on an index is worth its making: a scan of fewer takes a moment."""

WHOLE_LARGE: Final = 10_000
"""The same, of a store that reads conversations as a whole: it makes more work of each message."""

_NEAR_CHARACTERS: Final = 5_000_000

_REREAD: Final = 200  # more results than this are found sooner by a scan


class Hit(msgspec.Struct, frozen=True):
    """A message that was found: the `position`-th of its conversation, counted from 1.

    `title` is that of the conversation, `tools` are the names that were searched beside the
    content. Where the title itself was found, `role` is TITLE and `content` the title, and
    `position` is that of the first message.
    """

    conversation_id: str
    position: int
    role: str
    content: str
    score: float
    created_at: datetime | None = None
    title: str | None = None
    tools: list[str] = []

    @property
    def is_title(self) -> bool:
        """Whether it is no message, but the title of a conversation."""
        return self.role == TITLE and self.content == self.title


@dataclass(frozen=True)
class Found:
    """The best hits, best first, of how many (None: that says nothing); what could not be read;
    whether an index was used; how many were left out since they have no time; and where nothing was
    found, what words of the store are near those that were looked for."""

    hits: list[Hit]
    unreadable: list[Skipped]
    indexed: bool = False
    total: int | None = None
    untimed: int = 0
    near: Sequence[str] = ()


T = TypeVar("T")
_Order = tuple[float, bool, int, str, int]


class _Asked(NamedTuple):
    """What is looked for; `near`: what is near is wanted too, where there is nothing."""

    query: Query
    conversation: str | None
    k: int
    wanted: Wanted
    near: bool

    @property
    def ids(self) -> list[str] | None:
        """The conversations that are meant; None: all."""
        return None if self.conversation is None else [self.conversation]


class _Best(Generic[T]):
    """The k best of what is offered and has a time that is wanted: by score, then the newer, then
    by conversation."""

    def __init__(self, asked: _Asked) -> None:
        self._k, self._wanted = asked.k, asked.wanted
        self._kept: list[tuple[_Order, T]] = []
        self._last: _Order | None = None
        """The last of k that are better than what comes behind it."""
        self.total = 0
        self.untimed = 0

    def offer(self, score: float, name: str, number: int, at_us: int | None, what: T) -> None:
        """Keep it for as long as it is one of the best."""
        if not self._wanted.has_time(at_us):
            self.untimed += at_us is None
            return
        self.total += 1
        order = (-score, at_us is None, -(at_us or 0), name, -number)
        if self._last is not None and order > self._last:
            return
        self._kept.append((order, what))
        if len(self._kept) >= 2 * self._k + 100:
            self.sorted()

    def sorted(self) -> list[T]:
        """The best so far, best first."""
        self._kept.sort(key=lambda each: each[0])
        del self._kept[self._k :]
        self._last = self._kept[-1][0] if len(self._kept) == self._k else None
        return [what for _, what in self._kept]


async def search(
    store: Store,
    text: str,
    *,
    conversation: str | None = None,
    k: int = 5,
    wanted: Wanted | None = None,
    near: bool = False,
    index: Path | None = None,
    large: int | None = None,
    rebuild: bool = False,
    note: Callable[[str], None] = lambda text: None,
    advance: Callable[[int], object] = lambda count: None,
    expect: Callable[[int], object] | None = None,
) -> Found:
    """The k best messages for the words, beginn* and "quoted phrases" of a text, of those that are
    `wanted`; and among them titles.

    `index` is the file of the store's index, made where the store has `large` messages or more
    (without it, LARGE, or WHOLE_LARGE); `rebuild` makes it anew. What was changed since in the
    middle of a conversation is noticed where the store tells of it (`SupportsChanges`); where not,
    `note` hears so. `advance` hears how many messages were taken into the index, `expect`
    before an index is made how many there are, where all are counted. `near`: where nothing is
    found, words of the store are looked for that are near.
    UsageError where there is nothing to look for, ConversationNotFound for one that is not there.
    """
    asked = _Asked(Query(text), conversation, k, wanted or Wanted(), near)
    ids = asked.ids
    if ids and not [info async for page in store.conversations(ids) for info in page]:
        raise ConversationNotFound(ids[0], store.name)
    if index is not None and rebuild:
        with index_file.failing():
            forget(index)
    if index is not None and k <= _REREAD and await _is_worth_it(store, ids, index, large, expect):
        try:
            return await _indexed(store, asked, index, note, advance)
        except Unusable as error:
            note(f"searched without the index: {error}")
    return await _scanned(store, asked)


async def _is_worth_it(
    store: Store,
    ids: Sequence[str] | None,
    index: Path,
    large: int | None,
    expect: Callable[[int], object] | None,
) -> bool:
    """Whether the store has an index, or is large enough for one."""
    if index.exists():
        return True
    if large is None:
        large = WHOLE_LARGE if isinstance(store, SupportsBranches) else LARGE
    total, is_counted = 0, expect is not None
    async for page in store.conversations(ids, details=True):
        # A store that cannot count cheaply is taken for a large one once it has some size.
        total += sum(20 if info.messages is None else info.messages for info in page)
        is_counted = is_counted and all(info.messages is not None for info in page)
        if total >= large and not is_counted:
            return True
    if expect is not None and is_counted and total >= large:
        expect(total)
    return total >= large


# --- the scan -------------------------------------------------------------------------------


async def _scanned(store: Store, asked: _Asked) -> Found:
    scan = _Scan(asked)
    async for infos in listing(store, ids=asked.ids, details=True):
        scan.titles(infos)
        name, number = None, 0
        async for page in store.read([info.id for info in infos]):
            if page.conversation != name:
                name, number = page.conversation, 0
            scan.page(page, number)
            number += len(page.items)
    best = scan.best
    hits = [made() for made in best.sorted()]
    near = await _near_by_scan(store, asked) if asked.near and not best.total else ()
    scan.skipped.sort(key=lambda each: (each.conversation_id, each.position))
    return Found(hits, scan.skipped, total=best.total, untimed=best.untimed, near=near)


async def _near_by_scan(store: Store, asked: _Asked) -> list[str]:
    """What is near, of as many messages as are read in a moment."""
    near, left = Near(asked.query), _NEAR_CHARACTERS
    async for infos in listing(store, ids=asked.ids, details=True):
        near.take(word for info in infos for word in normal(info.title or "").split())
        async for page in store.read([info.id for info in infos]):
            for item in page.items:
                if isinstance(item, Message):
                    near.take(set(normal_of(item).replace(BETWEEN, " ").split()))
                    left -= len(item.content)
            if left < 0:
                return near.words()
    return near.words()


class _Scan:
    """What a scan has found so far."""

    def __init__(self, asked: _Asked) -> None:
        self._query, self._wanted = asked.query, asked.wanted
        self.best = _Best[Callable[[], Hit]](asked)
        self._infos: dict[str, ConversationInfo] = {}
        self.skipped: list[Skipped] = []

    def titles(self, infos: Sequence[ConversationInfo]) -> None:
        """The conversations that come next: their titles."""
        self._infos = {info.id: info for info in infos}
        if not self._wanted.has_role(TITLE):
            return
        for info in infos:
            score = self._query.score(info.title) if info.title else None
            if score is not None:
                hit = functools.partial(_title_hit, info, score)
                self.best.offer(score, info.id, 0, time_of(info.last_at), hit)

    def page(self, page: Page, number: int) -> None:
        """The messages of a page, which stand behind the `number`-th."""
        name, query, wanted = page.conversation, self._query, self._wanted
        for item in page.items:
            number += 1
            if isinstance(item, Unreadable):
                self.skipped.append(Skipped(name, number, item.reason))
                continue
            score = query.score_of(item)
            if score is not None and wanted.has_role(item.role):
                hit = functools.partial(hit_of, name, number, item, score, self._infos.get(name))
                self.best.offer(score, name, number, time_of(item.created_at), hit)


def hit_of(
    name: str, number: int, message: Message, score: float, info: ConversationInfo | None
) -> Hit:
    """A message that was found, and what a listing says of its conversation."""
    title = None if info is None else info.title
    return Hit(
        name, number, message.role, message.content, score,
        message.created_at, title, tools_of(message),
    )  # fmt: skip


def _title_hit(info: ConversationInfo, score: float) -> Hit:
    return Hit(info.id, 1, TITLE, info.title or "", score, info.last_at, info.title)


# --- with the index -------------------------------------------------------------------------


async def _indexed(
    store: Store,
    asked: _Asked,
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
            return await _from_index(store, asked, index, advance)
    except Unusable as error:
        if error.damaged:
            forget(file)
        raise


async def _from_index(
    store: Store,
    asked: _Asked,
    index: WordIndex,
    advance: Callable[[int], object],
) -> Found:
    conversation = asked.conversation
    infos = listing(store, ids=asked.ids, details=True)
    await index.update(store, infos, complete=conversation is None, advance=advance)
    best = _Best[Proposal](asked)

    def offer(found: Proposal) -> None:
        best.offer(found.score, found.conversation, found.number, found.at_us, found)

    await index.propose(asked.query, conversation, asked.wanted, offer)
    proposals = best.sorted()
    there = await described(store, {each.conversation for each in proposals})
    hits = []
    for proposal in proposals:
        hit = await _read_again(store, proposal, there.get(proposal.conversation))
        if hit is None:
            await index.drop(proposal.conversation)
            raise Unusable("the store changed meanwhile")
        hits.append(hit)
    near = await index.near(asked.query) if asked.near and not best.total else ()
    skipped = [Skipped(*row) for row in await index.unreadable(conversation)]
    return Found(hits, skipped, True, best.total, best.untimed, near)


async def described(store: Store, names: Iterable[str]) -> dict[str, ConversationInfo]:
    """What a listing says of these conversations, those that are there."""
    ids = sorted(names)
    pages = store.conversations(ids, details=True) if ids else None
    return {} if pages is None else {info.id: info async for page in pages for info in page}


async def _read_again(
    store: Store, proposal: Proposal, info: ConversationInfo | None
) -> Hit | None:
    """The message or title as the store has it; None where its words are not those that were
    proposed."""
    name, number, score = proposal.conversation, proposal.number, proposal.score
    if info is None:
        return None
    if number == 0:
        return _title_hit(info, score) if normal(info.title or "") == proposal.text else None
    try:
        async for page in store.read([name], after=proposal.before, limit=1):
            item = page.items[0]
            if isinstance(item, Message) and normal_of(item) == proposal.text:
                return hit_of(name, number, item, score, info)
    except Changed:
        pass  # what stood in front of it is gone
    return None
