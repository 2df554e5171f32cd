"""Copying conversations from one store to another, and proving the copy.

The one engine behind `migrate` and `import`: run again at any time, after a crash, a lost
connection or new messages, it ends in an equal store without duplicates. Many small
conversations are looked up, read and appended together; of a huge one a few thousand messages are
in memory. What was written is read back at the end and compared.
"""

import asyncio
import hashlib
import random
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

import msgspec

from synmem.errors import Changed, UsageError
from synmem.messages import (
    Conversation,
    Digest,
    Holds,
    Message,
    Unreadable,
    conversation_refusal,
)
from synmem.operations.backup import Backup, Replacement
from synmem.operations.compare import (
    Found,
    Proof,
    State,
    canonical_lines,
    compare,
    compare_one,
    compared_lines,
    not_compared,
    own_data,
    own_line,
    unreadable,
)
from synmem.operations.copying import Copy, Reject, Writer
from synmem.operations.listing import listing
from synmem.operations.receipt import Entry, Ledger
from synmem.store import START, ConversationInfo, Page, Position, Store

CONFLICTS = ("skip", "stop", "replace", "rename", "extend")
"""What may be done with a conversation that is different in the destination."""

BATCH = 500
"""Conversations whose states are found together."""
ATTEMPTS = 8
"""How often a conversation that changes under our hands is looked at again."""
OVERLAP = 4
"""How many messages must be the same where `extend` goes on."""


@runtime_checkable
class SupportsBeginning(Protocol):
    """A store whose conversations may begin in their middle: what an earlier run left behind."""

    def begins_at(self, conversation: str) -> int:
        """How many messages of the conversation stand before its first one here."""
        ...


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What to copy and how. `label` names the source in `ID (from LABEL)`.

    With `exact` the ledger has digests for a receipt; without, it is enough for the proof.
    """

    ids: Sequence[str] | None = None
    match: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    on_conflict: str = "skip"
    label: str = "source"
    jobs: int = 1
    dry_run: bool = False
    move: bool = False
    exact: bool = False

    @property
    def timed(self) -> bool:
        """Whether conversations are chosen by the time of their last message."""
        return self.since is not None or self.until is not None


Watch = Callable[[int], None]
"""Told how many more messages were dealt with."""


class Transfer:
    """One run from `source` to `dest`; the ledger says what became of each conversation."""

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
        if source is dest:
            raise UsageError("source and destination are the same store")
        if options.on_conflict not in CONFLICTS:
            raise UsageError(f"no such way of handling a conflict: {options.on_conflict!r}")
        self.conversations = self.written = self.left = self.untimed = self.removed = 0
        self.stopped = False
        self.verified: int | None = None
        self.not_compared = not_compared(source.holds, dest.holds)
        self.lost = source.holds.lacking(dest.holds)
        self.holds = source.holds.common(dest.holds)
        self._source = source
        self._dest = dest
        self._ledger = ledger
        self._options = options
        self.watch: Watch = lambda messages: None
        self._tell = tell
        self._reject = reject
        self._backup = backup

    async def copy(self) -> None:
        """Bring over what the destination lacks; the ledger then says what was done."""
        async with aclosing(self._batches()) as batches:
            taking = asyncio.Lock()

            async def work() -> None:
                while not self.stopped:
                    async with taking:
                        batch = await anext(batches, None)
                    if batch is None:
                        return
                    await self._finish(batch)

            await _together([work() for _ in range(max(1, self._options.jobs))])

    async def _batches(self) -> AsyncGenerator[list[ConversationInfo], None]:
        options = self._options
        details = options.timed or bool(self.holds.conversation_fields)
        async for page in listing(
            self._source, ids=options.ids, match=options.match, details=details
        ):
            chosen = [info for info in page if self._in_time(info)]
            for start in range(0, len(chosen), BATCH):
                yield chosen[start : start + BATCH]

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
            problem: Changed | None = None
            try:
                await _Batch(self, left).run()
            except Changed as error:
                problem = error
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

    def _record(self, entries: Sequence[Entry]) -> None:
        self._ledger.record(entries)
        self.conversations += len(entries)
        for entry in entries:
            self._tell(entry)

    # --- proving ----------------------------------------------------------------------------

    async def verify(self) -> None:
        """Read back what was written; what is not there as it was sent is recorded as failed."""
        self.verified = 0
        for entries in self._ledger.pages(unverified=True):
            found = await self._read_back(entries)
            owns = await self._own_data(entries)
            done = []
            for entry in entries:
                good = found[entry.conversation] == entry.digest or await self._is_there(entry)
                good = good and all(
                    owns.get(entry.conversation, {}).get(field) == value
                    for field, value in entry.own.items()
                )
                self.verified += good
                done.append(_verified(entry) if good else _failed(entry))
            self._ledger.record(done)
            for entry in done:
                if entry.kind == "failed":
                    self._tell(entry)

    async def _read_back(self, entries: Sequence[Entry]) -> dict[str, str]:
        """The proof of as many messages as each entry says, as they are in the destination."""
        proofs = {e.conversation: self._proof() for e in entries}
        whole = {e.conversation: e for e in entries if e.after == START}
        if whole:
            await self._take_back(self._dest.read(list(whole)), whole, proofs)
        for e in entries:
            if e.after != START:
                pages = self._dest.read([e.conversation], after=e.after, limit=e.messages)
                await self._take_back(pages, {e.conversation: e}, proofs)
        return {conversation: str(proof) for conversation, proof in proofs.items()}

    async def _take_back(
        self, pages: AsyncIterator[Page], entries: dict[str, Entry], proofs: dict[str, Proof]
    ) -> None:
        async for page in pages:
            proof = proofs[page.conversation]
            items = page.items[: entries[page.conversation].messages - proof.messages]
            if items and unreadable(items) is None:
                proof.take(items, compared_lines(items, self.holds))  # type: ignore[arg-type]
            self.watch(len(page.items))

    async def _is_there(self, entry: Entry) -> bool:
        """Whether source and destination agree after all: a proof may differ without cause."""
        if self._options.exact:
            return False
        info = ConversationInfo(id=entry.source)
        states = compare_one(
            self._source, self._dest, info, None, entry.source, entry.conversation, entry.after
        )
        async with aclosing(states) as founds:
            async for found in founds:
                return found.at >= entry.messages
        return False

    def _proof(self) -> Proof:
        return Proof(self.holds, exact=self._options.exact)

    async def _own_data(self, entries: Sequence[Entry]) -> dict[str, dict[str, str]]:
        ids = [entry.conversation for entry in entries if entry.own]
        found = await _infos(self._dest, ids, details=True)
        return {i: own_hashes(own_data(info, self.holds)) for i, info in found.items()}

    # --- moving -----------------------------------------------------------------------------

    async def remove(self) -> None:
        """Delete from the source, up to the end that was verified, what has not grown since."""
        for entries in self._ledger.pages():
            for entry in entries:
                if entry.verified and entry.kind is None and entry.source_end != START:
                    await self._remove_one(entry)

    async def _remove_one(self, entry: Entry) -> None:
        try:
            later = self._source.read([entry.source], after=entry.source_end, limit=1)
            async for _ in later:
                raise Changed("there are new messages")
            self.removed += await self._source.delete(entry.source, upto=entry.source_end)
        except Changed as error:
            problem = f"left in {self._source.name}: {error}; run again"
            changed = msgspec.structs.replace(entry, kind="changed", problem=problem)
            self._ledger.record([changed])
            self._tell(changed)


class _Batch:
    """A few hundred conversations, brought over together; those finished leave `left`."""

    def __init__(self, transfer: Transfer, left: dict[str, ConversationInfo]) -> None:
        self._transfer = transfer
        self._source = transfer._source
        self._dest = transfer._dest
        self._options = transfer._options
        self._holds = transfer.holds
        self._left = left
        self._writer = Writer(
            self._dest, self._holds, transfer._reject, dry_run=self._options.dry_run
        )
        self._copies: list[Copy] = []
        self._entries: list[Entry] = []

    async def run(self) -> None:
        """Find the states and act on them. Changed: of those in `left`, somebody else wrote."""
        wanted = bool(self._holds.conversation_fields)
        theirs = await _infos(self._dest, list(self._left), details=False)
        if theirs and wanted:
            theirs = await _infos(self._dest, list(theirs), details=True)
        begun = self._begun()
        try:
            await self._copy_absent([i for i in self._left if i not in theirs and i not in begun])
            known = {i: self._left[i] for i in theirs if i not in begun}
            async with aclosing(self._compare(known, theirs)) as states:
                async for found in states:
                    await self._settle(found, self._left[found.conversation], theirs)
                    if self._transfer.stopped:
                        break
            for conversation, number in begun.items():
                await self._go_on(conversation, number, theirs.get(conversation))
            await self._writer.flush()
        finally:
            self._close()
        changed = {copy.source for copy in self._copies if copy.changed}
        for conversation in [i for i in self._left if i not in changed]:
            del self._left[conversation]  # gone from the source meanwhile

    def _close(self) -> None:
        """Book what is finished: all of it, or what was before somebody else wrote."""
        for copy in self._copies:
            over = copy.finished or copy.problem is not None
            if over and not copy.changed and not self._writer.is_waiting(copy):
                self._entries.append(self._entry(copy))
        for entry in self._entries:
            self._left.pop(entry.source, None)
        transfer = self._transfer
        transfer.written += self._writer.written
        transfer.left += sum(copy.left for copy in self._copies)
        transfer._record(self._entries)

    def _begun(self) -> dict[str, int]:
        if not isinstance(self._source, SupportsBeginning):
            return {}
        numbers = ((i, self._source.begins_at(i)) for i in self._left)
        return {i: number for i, number in numbers if number > 0}

    def _compare(
        self, ours: dict[str, ConversationInfo], theirs: dict[str, ConversationInfo]
    ) -> AsyncGenerator[Found, None]:
        exact = self._options.exact
        return compare(self._source, self._dest, ours, theirs, exact=exact)

    def _proof(self) -> Proof:
        return Proof(self._holds, exact=self._options.exact)

    # --- absent -----------------------------------------------------------------------------

    async def _copy_absent(self, conversations: list[str]) -> None:
        copies: dict[str, Copy] = {}
        if not conversations:
            return
        async for page in self._source.read(conversations):
            copy = copies.get(page.conversation)
            if copy is None:
                copy = self._copy(self._left[page.conversation], "copied", self._proof())
                copies[page.conversation] = copy
            await self._take(copy, page)
        await self._writer.flush()
        for copy in copies.values():
            copy.finished = True

    def _copy(
        self,
        info: ConversationInfo,
        action: str,
        proof: Proof,
        *,
        target: str | None = None,
        end: Position | None = START,
        described: bool = False,
    ) -> Copy:
        """Begin to bring a conversation, or the rest of it, with its title and extra."""
        own = {} if described else own_data(info, self._holds)
        conversation = Conversation(target or info.id, own.get("title"), own.get("extra"))
        copy = Copy(info.id, conversation, action, proof, end=end)
        copy.own = own_hashes(own)
        self._copies.append(copy)
        return copy

    async def _take(self, copy: Copy, page: Page) -> None:
        copy.last = page
        await self._writer.take(copy, page.items)
        self._transfer.watch(len(page.items))

    # --- there already ----------------------------------------------------------------------

    async def _settle(
        self, found: Found, info: ConversationInfo, theirs: dict[str, ConversationInfo]
    ) -> None:
        match found.state:
            case State.ABSENT | State.BEHIND:
                await self._append_rest(found, info, theirs.get(info.id), info.id)
            case State.EQUAL | State.AHEAD:
                self._book(found, "equal" if found.state is State.EQUAL else "ahead")
            case State.UNREADABLE:
                self._book(found, "nothing", kind="unreadable")
            case _:
                await self._resolve(found, info, theirs[info.id])

    async def _append_rest(
        self,
        found: Found,
        info: ConversationInfo,
        theirs: ConversationInfo | None,
        target: str,
        action: str = "",
        *,
        base: int = 0,
        after: Position = START,
    ) -> None:
        action = action or ("copied" if found.state is State.ABSENT else "appended")
        bare = not found.rest  # only title or extra are to be set, wherever the end is
        copy = self._copy(info, action, found.proof, target=target, end=None if bare else found.end)
        if theirs is not None:
            copy.conversation = _missing(copy.conversation, theirs)
            copy.described = copy.conversation == Conversation(target)
        copy.last, copy.base, copy.after = found.last, base, after
        if bare:
            self._writer.describe(copy)
        await self._writer.take(copy, found.rest)
        self._transfer.watch(found.at)
        if found.more is not None:
            async for page in found.more:
                await self._take(copy, page)
            await self._writer.flush()
        copy.finished = True

    def _book(
        self, found: Found, action: str, *, target: str | None = None, kind: str | None = None,
        problem: str | None = None,
    ) -> None:  # fmt: skip
        """Remember what needs nothing, or gets nothing."""
        self._transfer.watch(found.at)
        proven = kind is None
        self._entries.append(
            Entry(
                conversation=target or found.conversation,
                source=found.conversation,
                action=action,
                messages=found.at if proven else 0,
                digest=str(found.proof) if proven else None,
                source_end=self._source_end(found.last),
                verified=True,
                kind=kind,
                problem=_text(problem or found.detail) if kind else None,
            )
        )

    def _source_end(self, last: Page | None) -> Position:
        return last.position(-1) if last is not None and self._options.move else START

    def _entry(self, copy: Copy) -> Entry:
        return Entry(
            conversation=copy.conversation.id,
            source=copy.source,
            action=copy.action if copy.written or not copy.left else "nothing",
            messages=copy.proof.messages,
            written=copy.written,
            digest=str(copy.proof) if copy.proof.messages else None,
            after=copy.after,
            own=copy.own if copy.proof.messages else {},
            source_end=self._source_end(copy.last),
            verified=self._options.dry_run,
            kind=copy.kind,
            problem=_text(copy.problem) if copy.problem else None,
        )

    # --- different --------------------------------------------------------------------------

    async def _resolve(
        self, found: Found, info: ConversationInfo, theirs: ConversationInfo
    ) -> None:
        match self._options.on_conflict:
            case "replace":
                await self._replace(found, info)
            case "rename":
                await self._rename(found, info)
            case "extend":
                await self._extend(found, info, theirs)
            case way:
                self._book(found, "nothing", kind="conflict")
                self._transfer.stopped |= way == "stop"

    async def _rename(self, found: Found, info: ConversationInfo) -> None:
        target = f"{info.id} (from {self._options.label})"
        if why := conversation_refusal(Conversation(target)):
            self._book(found, "nothing", kind="conflict", problem=f"{found.detail}; renamed, {why}")
            return
        await self._writer.flush()  # the source may hold a conversation of that name
        theirs = (await _infos(self._dest, [target], details=True)).get(target)
        second = compare_one(
            self._source, self._dest, info, theirs, info.id, target, exact=self._options.exact
        )
        async with aclosing(second) as states:
            async for renamed in states:
                if renamed.state in (State.ABSENT, State.BEHIND):
                    await self._append_rest(renamed, info, theirs, target, "renamed")
                elif renamed.state in (State.EQUAL, State.AHEAD):
                    self._book(renamed, "renamed", target=target)
                else:
                    problem = f"{found.detail}; and as {target!r}: {renamed.detail}"
                    self._book(found, "nothing", kind="conflict", problem=problem)
        await self._writer.flush()

    async def _replace(self, found: Found, info: ConversationInfo) -> None:
        """Let the whole conversation give way, in one step, after a backup."""
        own = own_data(info, self._holds)
        conversation = Conversation(info.id, own.get("title"), own.get("extra"))
        sight = await self._look_through(conversation)
        if sight.kind is not None:
            self._book(found, "nothing", kind=sight.kind, problem=sight.problem)
            return
        if not self._options.dry_run:
            await self._replace_now(conversation, sight)
            self._transfer.written += sight.proof.messages
        self._entries.append(
            Entry(
                conversation=info.id,
                source=info.id,
                action="replaced",
                messages=sight.proof.messages,
                written=sight.proof.messages,
                digest=str(sight.proof),
                own=own_hashes(own),
                source_end=self._source_end(sight.last),
                verified=self._options.dry_run,
            )
        )

    async def _replace_now(self, conversation: Conversation, sight: "_Sight") -> None:
        end = await _last_position(self._dest, conversation.id)
        backup = self._transfer._backup
        kept = None
        if backup is not None:
            info = (await _infos(self._dest, [conversation.id], details=True))[conversation.id]
            before = Conversation(info.id, info.title, info.extra)
            after = Replacement(sight.proof.messages, str(sight.stored))
            kept = await backup.keep(self._dest, before, upto=end, replacement=after)
            backup.seal()
        messages = _only(self._source, conversation.id, sight.proof.messages)
        await self._dest.replace(conversation, messages, upto=end)
        if backup is not None and kept is not None:
            backup.removed(kept)

    async def _look_through(self, conversation: Conversation) -> "_Sight":
        """Read a source that is to replace: nothing gives way to what cannot be written whole."""
        sight = _Sight(self._proof(), self._dest.holds)
        if why := conversation_refusal(conversation):
            sight.kind, sight.problem = "rejected", why
            return sight
        async for page in self._source.read([conversation.id]):
            sight.last = page
            for number, item in enumerate(page.items, sight.proof.messages + 1):
                if isinstance(item, Unreadable):
                    sight.kind, sight.problem = "unreadable", f"message {number:,}: {item.reason}"
                elif why := self._dest.refusal(item):
                    sight.kind, sight.problem = "rejected", f"message {number:,}: {why}"
                if sight.kind is not None:
                    return sight
            sight.proof.take(page.items, compared_lines(page.items, self._holds))  # type: ignore[arg-type]
            if self._transfer._backup is not None:
                sight.stored.take(canonical_lines(page.items, self._dest.holds))
        return sight

    async def _extend(self, found: Found, info: ConversationInfo, theirs: ConversationInfo) -> None:
        """Append what follows the longest overlap of the source with the destination's end."""
        ours = array("q")
        async for page in self._source.read([info.id]):
            bad = unreadable(page.items)
            items = page.items[: page.items.index(bad)] if bad else page.items
            ours.extend(map(_short, canonical_lines(items, self._holds)))
            if bad:
                break
        tail, end = await self._tail(info.id, len(ours))
        same = _overlap(ours, tail)
        if same < min(OVERLAP, len(ours)) or not same:
            problem = f"{found.detail}; no overlap with the end to go on from"
            self._book(found, "nothing", kind="conflict", problem=problem)
            return
        await self._append_behind(info, same, end)

    async def _append_behind(self, info: ConversationInfo, same: int, end: Position) -> None:
        copy = self._copy(info, "extended", self._proof(), end=end, described=True)
        copy.after = await _before_last(self._dest, info.id, same)
        async for page in self._source.read([info.id]):
            overlap = max(0, min(same - copy.taken, len(page.items)))
            same_items = page.items[:overlap]
            copy.proof.take(same_items, compared_lines(same_items, self._holds))  # type: ignore[arg-type]
            copy.taken += overlap
            copy.last = page
            await self._writer.take(copy, page.items[overlap:])
        await self._writer.flush()
        copy.finished = True

    async def _tail(self, conversation: str, count: int) -> "tuple[array[int], Position]":
        """Short hashes of the last `count` messages of the destination, in order; and its end."""
        tail = array("q")
        end = START
        async for page in self._dest.read([conversation], reverse=True, limit=count):
            end = end or page.position(0)
            tail.extend(map(_short, canonical_lines(page.items, self._holds)))
        tail.reverse()
        return tail, end

    # --- begun in the middle ----------------------------------------------------------------

    async def _go_on(self, conversation: str, number: int, theirs: ConversationInfo | None) -> None:
        """A conversation whose source begins behind its first `number` messages."""
        info = self._left[conversation]
        after, there = await _position_of(self._dest, conversation, number)
        if there < number:
            comparison = Found(
                conversation=conversation, state=State.DIFFERENT, proof=self._proof()
            )
            problem = f"begins behind message {number:,}, but the destination has {there:,}"
            self._book(comparison, "nothing", kind="conflict", problem=problem)
            return
        states = compare_one(
            self._source, self._dest, info, theirs, conversation, conversation, after,
            exact=self._options.exact,
        )  # fmt: skip
        async with aclosing(states) as founds:
            async for found in founds:
                if found.state in (State.ABSENT, State.BEHIND):
                    await self._append_rest(
                        found, info, theirs, conversation, "appended", base=number, after=after
                    )
                elif found.state in (State.EQUAL, State.AHEAD):
                    self._book(found, "equal" if found.state is State.EQUAL else "ahead")
                else:
                    self._book(found, "nothing", kind="conflict")


class _Sight:
    """What a look through a source that is to replace has shown."""

    def __init__(self, proof: Proof, dest: Holds) -> None:
        self.proof = proof
        self.stored = Digest(dest)
        self.last: Page | None = None
        self.kind: str | None = None
        self.problem: str | None = None


# --- small things ---------------------------------------------------------------------------


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


async def _infos(store: Store, ids: Sequence[str], *, details: bool) -> dict[str, ConversationInfo]:
    if not ids:
        return {}
    return {
        info.id: info async for page in store.conversations(ids, details=details) for info in page
    }


async def _last_position(store: Store, conversation: str) -> Position:
    async for page in store.read([conversation], reverse=True, limit=1):
        return page.position(0)
    raise Changed(f"conversation {conversation!r} in {store.name} is gone", hint="run again")


async def _position_of(store: Store, conversation: str, number: int) -> tuple[Position, int]:
    """Where the message of that number stands; and how many there are, up to it."""
    seen, position = 0, START
    async for page in store.read([conversation], limit=number):
        seen += len(page.items)
        position = page.position(-1)
    return position, seen


async def _before_last(store: Store, conversation: str, count: int) -> Position:
    """Behind which the last `count` messages stand."""
    seen = 0
    async for page in store.read([conversation], reverse=True, limit=count + 1):
        if seen + len(page.items) > count:
            return page.position(count - seen)
        seen += len(page.items)
    return START


async def _only(store: Store, conversation: str, count: int) -> AsyncIterator[Sequence[Message]]:
    """The first messages of a conversation; Changed where they are not so many any more."""
    async for page in store.read([conversation], limit=count):
        messages = [item for item in page.items if isinstance(item, Message)]
        count -= len(messages)
        if len(messages) == len(page.items):
            yield messages
    if count:
        raise Changed(f"conversation {conversation!r} changed meanwhile", hint="run again")


def own_hashes(own: dict[str, Any]) -> dict[str, str]:
    """A hash for the title and for the extra, where they are set."""
    return {field: hashlib.sha256(own_line(value)).hexdigest() for field, value in own.items()}


def _missing(conversation: Conversation, theirs: ConversationInfo) -> Conversation:
    """Title and extra, as far as the destination has none."""
    return Conversation(
        conversation.id,
        conversation.title if theirs.title is None else None,
        None if theirs.extra else conversation.extra,
    )


def _short(line: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(line, digest_size=8).digest(), "big", signed=True)


def _overlap(ours: "array[int]", tail: "array[int]") -> int:
    """The largest k where the last k of `tail` are the first k of `ours` (Knuth-Morris-Pratt)."""
    falls = array("q", [0]) * (len(ours) + 1)
    same = 0
    for i in range(1, len(ours)):
        while same and ours[i] != ours[same]:
            same = falls[same]
        same += ours[i] == ours[same]
        falls[i + 1] = same
    same = 0
    for each in tail:
        while same and (same == len(ours) or each != ours[same]):
            same = falls[same]
        same += each == ours[same]
    return same


def _verified(entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, verified=True)


def _failed(entry: Entry) -> Entry:
    problem = "verification failed: the destination does not hold what was written"
    return msgspec.structs.replace(entry, verified=False, kind="failed", problem=problem)


def _text(problem: str) -> str:
    return problem.encode("utf-8", "backslashreplace").decode()
