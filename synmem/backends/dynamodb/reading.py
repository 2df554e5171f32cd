"""Reading a DynamoDB store: one request a page, and the head before and after it.

A Query is no snapshot. What it gives counts only if the head item had the same version before it
and after it: a delete or replace changes the version first and removes hidden items later, so in
between every visible item was there. Otherwise the page is read again by the new head. Appends
change no version; an append's items lie side by side, so one that is missing between two others
was about to come, and is looked for again.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from synmem.backends.dynamodb.calls import Client, pause
from synmem.backends.dynamodb.table import Table
from synmem.backends.paging import NOT_READ, changed, not_read
from synmem.errors import Changed, CorruptData, StoreUnavailable
from synmem.layouts.own.beside import read_beside
from synmem.layouts.own.dynamodb_items import (
    CONVERSATION,
    HEAD,
    HIGHEST,
    LOWEST,
    NUMBER,
    Head,
    Item,
    Span,
    decode,
    head_of,
    key_of,
    message_refusal,
    number,
    number_of,
    position_of,
)
from synmem.messages import Holds, Message, Unreadable, encodable
from synmem.store import START, Page, Position

READ_AT_ONCE: Final = 32
"""So many conversations are asked for side by side."""

HEADS_A_CALL: Final = 100
_TRIES: Final = 20
NAMES: Final = {"#c": CONVERSATION, "#n": NUMBER}
_PLACES: Final[dict[str, Any]] = {
    "ProjectionExpression": "#n, #call, #i", "names": {"#call": "call", "#i": "i"},
}  # fmt: skip
_HEAD: Final = (
    "version", "begins", "skip_from", "skip_to", "above", "listed", "title", "extra", "steps"
)  # fmt: skip
_HEAD_NAMES: Final = {"#c": CONVERSATION, "#n": NUMBER, **{f"#{name}": name for name in _HEAD}}

REMEDY: Final = f"mend its head, the item whose {NUMBER} is {HEAD}"

T = TypeVar("T")


class DynamoDBReader:
    """The reading half of a store in a DynamoDB table."""

    holds = Holds(call_messages=5_000, call_bytes=16_000_000, atomic_messages=100)

    def __init__(self, client: Client, table: Table, *, page_size: int) -> None:
        self.client = client
        self.table = table
        self._page_size = page_size

    @property
    def name(self) -> str:
        """The region, the table and a given endpoint."""
        return self.client.name

    def refusal(self, message: Message) -> str | None:
        """What no store can hold, and what would make an item of more than 400 KB."""
        return message_refusal(message)

    # --- messages ---

    async def read(
        self,
        conversations: Sequence[str],
        *,
        after: Position = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Page]:
        """See `Store.read`."""
        ids = storable(conversations)
        if len(ids) > 1 and after != START:
            raise ValueError("after goes with one conversation")
        if limit == 0 or not await self.table.is_there():
            ids = []
        for start in range(0, len(ids), READ_AT_ONCE):
            chunk = ids[start : start + READ_AT_ONCE]
            heads = await self._seen(chunk)
            size = self._page_size if limit is None else min(limit, self._page_size)
            for run in await self._pages(chunk, heads, after, reverse, size):
                async for page in self._go_on(run, reverse, limit):
                    yield page

    async def _go_on(self, run: "_Run", reverse: bool, limit: int | None) -> AsyncIterator[Page]:
        """The page that was read, and those that follow it."""
        left = limit
        while True:
            if run.head.unreadable is not None:
                if run.rows:
                    yield not_read(run.conversation, reason(run.head))
                return
            if run.rows:
                left = None if left is None else left - len(run.rows)
                anchor = position_of(run.rows[-1])
                yield _as_page(run.conversation, run.rows)
            if not run.more or left == 0 or not run.rows:
                return
            size = self._page_size if left is None else min(left, self._page_size)
            heads = {run.conversation: run.head}
            (run,) = await self._pages([run.conversation], heads, anchor, reverse, size)

    async def _pages(
        self, ids: Sequence[str], heads: dict[str, Head], after: Position, reverse: bool, size: int
    ) -> list["_Run"]:
        """A page of each of these conversations."""

        async def page(conversation: str, head: Head) -> _Run:
            if head.unreadable is not None:
                if after not in (START, NOT_READ):
                    raise self._changed(conversation)
                rows = await self._any_of(conversation) if after == START else []
                return _Run(conversation, head, rows, more=False)
            rows, more = await self._page(conversation, head, after, reverse, size)
            return _Run(conversation, head, rows, more)

        return await self._steadily(ids, heads, page)

    async def _any_of(self, conversation: str) -> list[Item]:
        """One of a conversation's messages, hidden or not, if there is any."""
        answer = await self._query(conversation, (LOWEST, HIGHEST), Limit=1, **_PLACES)
        found: list[Item] = answer["Items"]
        return found

    async def _page(
        self, conversation: str, head: Head, after: Position, reverse: bool, size: int
    ) -> tuple[list[Item], bool]:
        if after == START:
            return await self._whole_rows(conversation, head.spans(), reverse, size)
        if after == NOT_READ:  # it can be read by now
            raise self._changed(conversation)
        anchor = number_of(after)
        spans = head.spans(high=anchor) if reverse else head.spans(low=anchor)
        rows, more = await self._whole_rows(conversation, spans, reverse, size + 1)
        if not head.shows(anchor) or not rows or position_of(rows[0]) != after:
            raise self._changed(conversation)
        return rows[1:], more

    async def _whole_rows(
        self, conversation: str, spans: Sequence[Span], reverse: bool, size: int
    ) -> tuple[list[Item], bool]:
        """Rows in which no item of an append is missing that was about to come."""
        for _ in range(3):
            rows, more = await self._rows(conversation, spans, reverse, size)
            if not _torn(rows[::-1] if reverse else rows):
                break
            await pause()
        return rows, more

    async def _rows(
        self,
        conversation: str,
        spans: Sequence[Span],
        reverse: bool,
        size: int,
        **how: Any,
    ) -> tuple[list[Item], bool]:
        """The first `size` items of these spans, or as many as an answer has room for; and
        whether there may be more."""
        found: list[Item] = []
        ordered = spans[::-1] if reverse else spans
        for index, span in enumerate(ordered):
            answer = await self._query(
                conversation, span, ScanIndexForward=not reverse, Limit=size - len(found), **how
            )
            found += answer["Items"]
            if "LastEvaluatedKey" in answer:
                return found, True
            if len(found) >= size:
                return found, index + 1 < len(ordered)
        return found, False

    async def _query(self, conversation: str, span: Span, **how: Any) -> dict[str, Any]:
        names = {**NAMES, **how.pop("names", {})}
        return await self.client.call(
            "query",
            TableName=self.client.table,
            ConsistentRead=True,
            KeyConditionExpression="#c = :c AND #n BETWEEN :low AND :high",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={
                ":c": {"S": conversation},
                ":low": {"N": str(span[0])},
                ":high": {"N": str(span[1])},
            },
            **how,
        )

    # --- heads ---

    async def _head(self, conversation: str) -> Head:
        return (await self._heads([conversation]))[conversation]

    async def _heads(self, ids: Sequence[str]) -> dict[str, Head]:
        """The heads of these conversations, for who writes; CorruptData where one cannot be
        read."""
        heads = await self._seen(ids)
        for conversation, head in heads.items():
            if head.unreadable is not None:
                raise self._broken(conversation, head.unreadable)
        return heads

    async def _seen(self, ids: Sequence[str]) -> dict[str, Head]:
        """The heads of these conversations, also those that cannot be read."""
        heads = dict.fromkeys(ids, Head())
        how = {
            "ProjectionExpression": ", ".join(_HEAD_NAMES),
            "ExpressionAttributeNames": _HEAD_NAMES,
        }
        for item in await self._head_items(list(heads), **how):
            heads[item[CONVERSATION]["S"]] = head_of(item)
        return heads

    async def _head_items(self, ids: Sequence[str], **how: Any) -> list[Item]:
        """The head items of these conversations, each named once, that are there."""
        chunks = [ids[i : i + HEADS_A_CALL] for i in range(0, len(ids), HEADS_A_CALL)]
        found = await asyncio.gather(*(self._some_heads(chunk, how) for chunk in chunks))
        return list(itertools.chain.from_iterable(found))

    async def _some_heads(self, ids: Sequence[str], how: dict[str, Any]) -> list[Item]:
        keys = [key_of(conversation, HEAD) for conversation in ids]
        asked: Any = {self.client.table: {"Keys": keys, "ConsistentRead": True, **how}}
        found: list[Item] = []
        while asked:
            answer = await self.client.call("batch_get_item", RequestItems=asked)
            found += answer["Responses"].get(self.client.table, [])
            asked = answer.get("UnprocessedKeys")
            if asked:
                await pause()
        return found

    def _note(self, conversation: str, field: str, text: str | None) -> Any:
        """A note, from its JSON text, if there is one."""
        try:
            return None if text is None else read_beside(field, text)
        except ValueError as error:
            raise self._broken(conversation, str(error)) from error

    def _broken(self, conversation: str, why: str) -> CorruptData:
        return CorruptData(
            f"{self.name}: conversation {conversation!r}: {why}",
            hint=REMEDY,
            conversation=conversation,
        )

    async def _steadily(
        self,
        ids: Sequence[str],
        heads: dict[str, Head],
        look: Callable[[str, Head], Awaitable[T]],
    ) -> list[T]:
        """What `look` makes of each conversation while its head does not change."""
        found: dict[str, Any] = {}
        left = list(ids)
        for _ in range(_TRIES):
            looks = await asyncio.gather(*(look(c, heads[c]) for c in left), return_exceptions=True)
            after = await self._seen(left)
            moved = []
            for conversation, result in zip(left, looks, strict=True):
                if after[conversation].version != heads[conversation].version:
                    moved.append(conversation)
                elif isinstance(result, BaseException):
                    raise result
                else:
                    found[conversation] = result
            if not moved:
                return [found[conversation] for conversation in ids]
            left, heads = moved, after
        raise StoreUnavailable(f"{self.name}: it changes all the time", hint="try again later")

    async def _newest(self, conversation: str, head: Head, count: int = 1) -> list[Item]:
        """The newest `count` visible messages, newest first, without what they say."""
        found: list[Item] = []
        answers = self._answers(
            conversation, head.spans()[::-1], ScanIndexForward=False, Limit=count, **_PLACES
        )
        async for answer in answers:
            found += answer["Items"]
            if len(found) >= count:
                break
        return found[:count]

    async def _answers(
        self, conversation: str, spans: Sequence[Span], **how: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """All answers about these spans, one after the other."""
        for span in spans:
            start: Any = {}
            while start is not None:
                answer = await self._query(conversation, span, **how, **start)
                yield answer
                start = following(answer)

    def _changed(self, conversation: str) -> Changed:
        return changed(conversation, self.name)

    async def close(self) -> None:
        """See `Store.close`."""
        await self.client.close()


class _Run:
    """A page of one conversation: by which head it was read, its items, and whether more follow."""

    def __init__(self, conversation: str, head: Head, rows: list[Item], more: bool) -> None:
        self.conversation = conversation
        self.head = head
        self.rows = rows
        self.more = more


def following(answer: dict[str, Any]) -> dict[str, Any] | None:
    """How to ask for what follows an answer; None where nothing does."""
    last = answer.get("LastEvaluatedKey")
    return {"ExclusiveStartKey": last} if last else None


def storable(ids: Sequence[str]) -> list[str]:
    """Those that can be in a store at all, each once."""
    return [c for c in dict.fromkeys(ids) if c and encodable(c) and len(c.encode()) <= 1024]


def _torn(rows: Sequence[Item]) -> bool:
    """Whether an item is missing right before a later one of the same append."""
    for before, item in itertools.pairwise(rows):
        gap = number(item[NUMBER]["N"]) - number(before[NUMBER]["N"]) != 1
        if gap and item.get("i", {}).get("N", "0") != "0":
            return True
    return False


def _as_page(conversation: str, rows: Sequence[Item]) -> Page:
    return Page(conversation, [_decoded(row) for row in rows], lambda i: position_of(rows[i]))


def reason(head: Head) -> str:
    """Why a head cannot be read, and what to do."""
    return f"{head.unreadable} ({REMEDY})"


def _decoded(row: Item) -> Message | Unreadable:
    try:
        return decode(row)
    except (ValueError, TypeError) as error:
        where = position_of(row)
        return Unreadable(where, f"item {row[NUMBER]['N']}: {error}")
