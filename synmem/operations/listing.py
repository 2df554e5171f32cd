"""Choosing conversations: those named, by a glob, by how long nothing was said."""

import fnmatch
import re
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime

from synmem.errors import ConversationNotFound
from synmem.messages import chunks
from synmem.store import ConversationInfo, Store

Match = str | Sequence[str] | None
"""A glob over ids, or several of which one must fit, or all ids."""

BATCH = 500
"""Conversations that are looked up and read together."""


async def select(
    store: Store,
    *,
    ids: Sequence[str] | None = None,
    match: Match = None,
    idle_before: datetime | None = None,
) -> AsyncIterator[list[str]]:
    """The ids of the conversations that fit all of these, in pages; see `listing`."""
    async for page in listing(store, ids=ids, match=match, idle_before=idle_before):
        yield [info.id for info in page]


async def listing(
    store: Store,
    *,
    ids: Sequence[str] | None = None,
    match: Match = None,
    idle_before: datetime | None = None,
    details: bool = False,
    untimed: Callable[[int], object] | None = None,
) -> AsyncIterator[list[ConversationInfo]]:
    """The conversations that fit all of these, in any order; no more than BATCH at a time.

    ConversationNotFound, before the first page, where one of `ids` is not there. `match` is a
    glob over the whole id, case-sensitive, whose `*` takes `/` too; of several one must fit.
    `idle_before`: the last message is older; one without a time is not known to be, and is left
    out: `untimed` is told how many, page by page.
    """
    if ids is not None:
        await _all_there(store, ids)
    fits = matcher(match)
    every = match is None and idle_before is None
    async for page in store.conversations(ids, details=details or idle_before is not None):
        found = (
            page if every else [info for info in page if fits(info.id) and _idle(info, idle_before)]
        )
        if untimed is not None and idle_before is not None:
            untimed(sum(info.last_at is None and bool(fits(info.id)) for info in page))
        for some in chunks(found, BATCH):
            yield some


def matcher(globs: Match) -> Callable[[str], object]:
    """Whether an id fits a glob, or one of several; without any every id does."""
    if globs is None:
        return lambda conversation: True
    globs = [globs] if isinstance(globs, str) else globs
    return re.compile("|".join(map(fnmatch.translate, globs))).match


def _idle(info: ConversationInfo, before: datetime | None) -> bool:
    return before is None or (info.last_at is not None and info.last_at < before)


async def _all_there(store: Store, ids: Sequence[str]) -> None:
    missing = dict.fromkeys(ids)
    async for page in store.conversations(ids):
        for info in page:
            missing.pop(info.id, None)
    if missing:
        raise ConversationNotFound(next(iter(missing)), store.name)
