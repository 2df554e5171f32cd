"""Copying conversations from one store to another, and proving the copy.

The one engine behind `migrate` and `import`: run again at any time, after a crash, a lost
connection or new messages, it ends in an equal store without duplicates. Many small
conversations are looked up, read and appended together; of a huge one a few thousand messages are
in memory. What was written is read back at the end and compared.
"""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from synmem.errors import Changed
from synmem.operations.keeping.backup import Backup
from synmem.operations.listing import listing
from synmem.operations.looking import check_unchanged, infos_of, position_of
from synmem.operations.moving import archive, conflicts
from synmem.operations.moving.batch import Batch, Options, Route, Watch, conversation_of
from synmem.operations.moving.compare import Found, State, not_compared
from synmem.operations.moving.copying import Copy, Reject
from synmem.operations.moving.family import Family
from synmem.operations.moving.proving import ReadingBack
from synmem.operations.moving.receipt import Entry, Ledger
from synmem.operations.moving.removing import Removing
from synmem.store import (
    START,
    ConversationInfo,
    Store,
    SupportsBeginning,
    SupportsCopy,
    SupportsExpiry,
    SupportsTotal,
)

__all__ = ["Options", "Transfer"]

ATTEMPTS = 8
"""How often a conversation that changes under our hands is looked at again."""


class Transfer:
    """One run from `source` to `dest`; the ledger says what became of each conversation.

    `tell` hears of every entry, `reject` of every message that stays behind. With a `backup`
    nothing in the destination gives way that is not in it.
    """

    def __init__(
        self,
        source: Store,
        dest: Store,
        ledger: Ledger,
        options: Options,
        *,
        tell: Callable[[Entry], None] = lambda entry: None,
        reject: Reject = lambda conversation, at, item, reason: None,
        backup: Backup | None = None,
    ) -> None:
        self.conversations = self.written = self.left = self.untimed = self.removed = 0
        self.expiring = 0
        self.verified: int | None = None
        self.watch: Watch = lambda messages: None
        self.not_compared = not_compared(source.holds, dest.holds)
        self.lost = source.holds.lacking(dest.holds)
        self._route = Route(source, dest, options, reject, backup)
        self.holds = self._route.holds
        self._source = source
        self._dest = dest
        self._ledger = ledger
        self._options = options
        self._tell = tell

    @property
    def stopped(self) -> bool:
        """Whether it ended at the first conflict."""
        return self._route.stopped

    async def expected(self) -> int | None:
        """How many messages will be looked at, where the source can tell cheaply."""
        chosen = self._options.ids is not None or self._options.match or self._options.timed
        if chosen or not isinstance(self._source, SupportsTotal):
            return None
        return await self._source.total()

    async def copy(self) -> None:
        """Bring over what the destination lacks; the ledger then says what was done.

        Changed where the source is a file that was written over while it was read: what was
        written then may be of before and of after.
        """
        backup = self._route.backup
        saved = backup.removing(self._dest) if backup else contextlib.nullcontext()
        async with saved, aclosing(self._batches()) as batches:
            taking = asyncio.Lock()

            async def work() -> None:
                while not self.stopped:
                    async with taking:
                        batch = await anext(batches, None)
                    if batch is None:
                        return
                    await self._finish(batch)

            await _together([work() for _ in range(max(1, self._options.jobs))])
            if not self.stopped:
                await self._settle_moved()
        await check_unchanged(self._source)

    async def _settle_moved(self) -> None:
        """Those of an archive that are different, one by one: each may be found in another."""
        pages = self._ledger.later()
        if (first := next(pages, None)) is None:
            return
        with Family(self._options.naming, self._ledger) as family:
            await family.look(self._dest)
            self._route.family = family
            for ids in itertools.chain([first], pages):
                infos = await infos_of(self._source, ids, details=self._details)
                for info in infos.values():
                    await self._finish([info])

    @property
    def _details(self) -> bool:
        return self._options.timed or bool(self.holds.conversation_fields)

    async def _batches(self) -> AsyncGenerator[list[ConversationInfo], None]:
        options = self._options
        async for page in listing(
            self._source, ids=options.ids, match=options.match, details=self._details
        ):
            if chosen := [info for info in page if self._in_time(info)]:
                if isinstance(self._source, SupportsExpiry):
                    expiring = await self._source.expiring([info.id for info in chosen])
                    self.expiring += len(expiring)
                yield chosen

    def _in_time(self, info: ConversationInfo) -> bool:
        since, until = self._options.since, self._options.until
        if not self._options.timed:
            return True
        if info.last_at is None:
            self.untimed += 1
            return False
        return (since is None or info.last_at >= since) and (until is None or info.last_at < until)

    # --- copying ----------------------------------------------------------------------------

    async def _finish(self, infos: Sequence[ConversationInfo]) -> None:
        """Bring these conversations over, looking again at those that change meanwhile."""
        left = {info.id: info for info in infos}
        attempt = 0
        while True:
            before = self.written
            problem = await self._bring(left)
            if not left or self.stopped:
                return
            attempt = 0 if self.written > before else attempt + 1
            if attempt == ATTEMPTS:
                raise problem or Changed(
                    f"conversation {next(iter(left))!r} in {self._dest.name} keeps changing",
                    hint="run again",
                )
            # Whoever else writes here should get on: the two take turns.
            await asyncio.sleep(random.uniform(0, 0.02) * (attempt + 1))

    async def _bring(self, left: dict[str, ConversationInfo]) -> Changed | None:
        """Bring over what can be, which leaves `left`; what was changed by somebody else stays."""
        batch = Batch(self._route, left, self.watch)
        problem: Changed | None = None
        try:
            await _Round(batch).run()
        except Changed as error:
            problem = error
        finally:
            self._record(batch.close())
            self._ledger.put_off(batch.put_off)
            self.written += batch.written
            self.left += batch.stayed
        if problem is None:
            batch.forget_gone()
        return problem

    def _record(self, entries: Sequence[Entry]) -> None:
        self._ledger.record(entries)
        self.conversations += len(entries)
        for entry in entries:
            self._tell(entry)

    # --- proving ----------------------------------------------------------------------------

    async def verify(self) -> None:
        """Read back what was written; what is not there as it was sent is recorded as failed."""
        self.verified = 0
        back = ReadingBack(self._route, self.watch)
        pages = self._ledger.pages(unverified=True)

        async def work() -> None:
            for entries in pages:  # each page is one task's
                await self._verify(back, entries)

        await _together([work() for _ in range(max(1, self._options.jobs))])

    async def _verify(self, back: ReadingBack, entries: Sequence[Entry]) -> None:
        proven = await back.proven(entries)
        done = [_verified(e) if e.conversation in proven else _failed(e) for e in entries]
        self.verified = (self.verified or 0) + len(proven)
        self._ledger.record(done)
        for entry in done:
            if entry.kind == "failed":
                self._tell(entry)

    # --- moving -----------------------------------------------------------------------------

    async def remove(self, backup: Backup | None = None) -> None:
        """Delete from the source what was verified whole, after a `backup` of it.

        What grew since stays, and so does what the destination holds only in part.
        """
        removing = Removing(self._route, backup)
        for page in self._ledger.pages():
            proven = [e for e in page if e.verified and e.kind is None and e.source_end != START]
            try:
                async for left in removing.remove(proven):
                    self._ledger.record([left])
                    self._tell(left)
            finally:
                self.removed = removing.removed


class _Round:
    """One look at the conversations of a batch: their states, and what follows from these."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._route = batch.route
        self._source = batch.route.source
        self._dest = batch.route.dest
        self._left = batch.left

    async def run(self) -> None:
        """Find the states and act on them. Changed: somebody else wrote."""
        named = await self._named()
        theirs = await self._route.pair.theirs(named, details=False)
        if theirs and self._route.holds.conversation_fields:
            theirs = await self._route.pair.theirs(list(theirs), details=True)
        begun = self._begun(named)
        await self._copy_absent([i for i in named if i not in theirs and i not in begun])
        known = {i: self._left[i] for i in theirs if i not in begun}
        async with aclosing(self._route.pair.compare(known, theirs)) as founds:
            async for found in founds:
                await self._settle(found, theirs)
                if self._route.stopped:
                    break
        for conversation, number in begun.items():
            await self._go_on(conversation, number, theirs.get(conversation))
        await self._batch.writer.flush()

    async def _named(self) -> list[str]:
        """Those of which the name in the destination is one; the others stay behind."""
        named = []
        for conversation, info in self._left.items():
            if why := self._route.naming.refusal(conversation):
                await self._batch.leave(info, why)
            else:
                named.append(conversation)
        return named

    def _begun(self, conversations: list[str]) -> dict[str, int]:
        if not isinstance(self._source, SupportsBeginning):
            return {}
        numbers = ((i, self._source.begins_at(i)) for i in conversations)
        return {i: number for i, number in numbers if number > 0}

    async def _copy_absent(self, conversations: list[str]) -> None:
        conversations = await self._left_to_us(conversations)
        if not conversations:
            return
        copies: dict[str, Copy] = {}
        async for page in self._source.read(conversations):
            copy = copies.get(page.conversation)
            if copy is None:
                copy = self._batch.copy(self._left[page.conversation])
                copies[page.conversation] = copy
            await self._batch.take(copy, page)
        await self._batch.writer.flush()
        for copy in copies.values():
            copy.finish()

    async def _left_to_us(self, conversations: list[str]) -> list[str]:
        """Let the destination copy by itself what it can; the others."""
        options, naming = self._route.options, self._route.naming
        alike = naming.plain and not options.exact and not options.dry_run
        if not alike or not conversations or not isinstance(self._dest, SupportsCopy):
            return conversations
        waiting = [conversation_of(self._left[i], self._route.holds) for i in conversations]
        done: set[str] = set()
        while waiting:
            copied, waiting = await self._dest.copy(self._source, waiting)
            for each in copied:
                self._batch.copied(each)
                done.add(each.conversation)
        return [i for i in conversations if i not in done]

    async def _settle(self, found: Found, theirs: dict[str, ConversationInfo]) -> None:
        info = self._left[found.conversation]
        match found.state:
            case State.ABSENT | State.BEHIND:
                target = self._route.naming.there(info.id)
                await self._batch.append_rest(found, info, theirs.get(info.id), target)
            case State.EQUAL | State.AHEAD:
                self._batch.book(found, "equal" if found.state is State.EQUAL else "ahead")
            case State.UNREADABLE:
                self._batch.refuse(found, "unreadable")
            case _ if self._route.options.archive:
                await archive.settle(self._batch, found, info)
            case _:
                await conflicts.resolve(self._batch, found, info)

    async def _go_on(self, conversation: str, number: int, theirs: ConversationInfo | None) -> None:
        """A conversation whose source begins behind its first `number` messages."""
        info, target = self._left[conversation], self._route.naming.there(conversation)
        after, there = await position_of(self._dest, target, number)
        if there < number:
            found = Found(
                conversation=conversation, state=State.DIFFERENT, proof=self._route.pair.proof()
            )
            problem = f"begins behind message {number:,}, but the destination has {there:,}"
            self._batch.refuse(found, "conflict", problem)
            return
        compared = self._route.pair.compare_one(info, theirs, target, after, before=number)
        async with aclosing(compared) as founds:
            async for found in founds:
                if found.state in (State.ABSENT, State.BEHIND):
                    await self._batch.append_rest(
                        found, info, theirs, target, "appended", base=number, after=after
                    )
                elif found.state in (State.EQUAL, State.AHEAD):
                    action = "equal" if found.state is State.EQUAL else "ahead"
                    self._batch.book(found, action, at=number)
                else:
                    self._batch.refuse(found, "conflict")


async def _together(work: list[Coroutine[Any, Any, None]]) -> None:
    """All at once; the first that fails ends the others, and is what is raised."""
    if len(work) == 1:
        return await work[0]
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors


def _verified(entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, verified=True)


def _failed(entry: Entry) -> Entry:
    problem = "verification failed: the destination does not hold what was written"
    return msgspec.structs.replace(entry, verified=False, kind="failed", problem=problem)
