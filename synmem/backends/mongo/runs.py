"""The documents of many conversations in a query of MongoDB's."""

import functools
import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Final

from synmem.backends.mongo.head import Head
from synmem.backends.mongo.heads import Glimpse, Heads
from synmem.backends.mongo.keys import (
    IDS_A_QUERY,
    INDEX,
    NUMBERED,
    number,
    session_of,
    sort_alike,
)
from synmem.backends.mongo.opening import Place
from synmem.backends.mongo.server import Document

ROWS_A_PAGE: Final = 5
"""Of many conversations, so many pages of messages are asked for at once."""
KEYS_A_PAGE: Final = 20
"""And so many of nothing but numbers and times."""

Run = tuple[str, list[Document] | None]
"""A conversation and all its documents; None where they are more than a query's, or where its
head cannot be read."""


class Runs:
    """Whole conversations, many in a query."""

    def __init__(self, place: Place, heads: Heads, *, page_size: int) -> None:
        self._place = place
        self._heads = heads
        self._page_size = page_size

    async def of(
        self, ids: Sequence[str], fields: dict[str, int] | None = None
    ) -> AsyncIterator[Run]:
        """The documents of these sessions, which are sorted; of those that exist. `fields`, where
        numbers and times are enough.

        Ids that lie close together in the store, as those of a listing's page do, are asked for
        as a range, which no server has to look up one by one.
        """
        left, width, dense = list(ids), IDS_A_QUERY, True
        size = self._page_size * (ROWS_A_PAGE if fields is None else KEYS_A_PAGE)
        while left:
            chunk = left[:width]
            ranged = dense and len(chunk) > 1 and sort_alike(chunk)
            among = {"$gte": chunk[0], "$lte": chunk[-1]} if ranged else {"$in": chunk}
            where = {"session_id": among, **NUMBERED}
            glimpse = Glimpse(self._heads, chunk)
            find = functools.partial(self._place.find, where, INDEX, size, fields)
            rows = await glimpse.under(find)
            wanted = set(chunk)
            mine = [row for row in rows if row["session_id"] in wanted]
            if ranged and 2 * len(mine) < len(rows):
                dense = False
                continue
            shown = [row for row in mine if _is_shown(row, glimpse[row["session_id"]])]
            runs: list[Run] = [
                (i, list(group)) for i, group in itertools.groupby(shown, session_of)
            ]
            left = left[width:]
            if len(rows) == size:
                # The last one may go on: it is asked for again, with those that follow.
                last = rows[-1]["session_id"]
                runs = [run for run in runs if run[0] != last] or [(last, None)]
                again = _not_yet(chunk, runs, last)
                left = again + left
                width = max(8, min(IDS_A_QUERY, 2 * (len(chunk) - len(again))))
            for conversation, documents in runs:
                if conversation in wanted:
                    read = glimpse[conversation].unreadable is None
                    yield conversation, documents if read else None


def _is_shown(document: Document, head: Head) -> bool:
    """Whether it is to be seen: where the head cannot be read, that there is something."""
    if head.unreadable is not None:
        return True
    at = number(document["n"])
    return at is not None and head.shows(at)


def _not_yet(chunk: Sequence[str], runs: Sequence[Run], last: str) -> list[str]:
    """What of a chunk is still to come where a query ended within conversation `last`."""
    done = {conversation for conversation, _ in runs}
    ordered = sort_alike(chunk)
    return [i for i in chunk if i not in done and (i >= last or not ordered)]
