"""A few hundred conversations on their way from one store to another, and their bookkeeping."""

from array import array
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from synmem.errors import UsageError
from synmem.messages import Conversation, Holds
from synmem.operations.keeping.backup import Backup
from synmem.operations.listing import Match
from synmem.operations.moving.compare import (
    Found,
    Pair,
    State,
    description_hashes,
    description_line,
    description_of,
    description_problem,
    whole_description_of,
)
from synmem.operations.moving.copying import Copy, Reject, Writer
from synmem.operations.moving.family import Family
from synmem.operations.moving.naming import PLAIN, Naming
from synmem.operations.moving.receipt import Entry, as_utf8
from synmem.operations.overlap import short
from synmem.operations.proof import Proof, canonical_lines, parted
from synmem.store import START, ConversationInfo, Copied, Page, Position, Store

CONFLICTS = ("skip", "stop", "replace", "rename", "extend")
"""What may be done with a conversation that is different in the destination."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What to copy and how. `label` names the source in `ID (from LABEL)`, `naming` each of its
    conversations in the destination. With `archive` that keeps what the source drops.

    With `exact` the ledger has digests for a receipt; without, it is enough for the proof.
    """

    ids: Sequence[str] | None = None
    match: Match = None
    since: datetime | None = None
    until: datetime | None = None
    on_conflict: str = "skip"
    archive: bool = False
    naming: Naming = PLAIN
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


class Route:
    """From where to where, and how: what all batches of a transfer share."""

    def __init__(
        self,
        source: Store,
        dest: Store,
        options: Options,
        reject: Reject,
        backup: Backup | None,
    ) -> None:
        if source is dest:
            raise UsageError("source and destination are the same store")
        if options.on_conflict not in CONFLICTS:
            raise UsageError(f"no such way of handling a conflict: {options.on_conflict!r}")
        if options.archive and options.on_conflict != "skip":
            raise UsageError("an archive keeps both where a conversation is different")
        self.source = source
        self.dest = dest
        self.options = options
        self.reject = reject
        self.backup = backup
        self.naming = options.naming
        self.pair = Pair(
            source, dest, exact=options.exact, newer=options.archive, naming=options.naming
        )
        self.stopped = False
        """Set for good by the first conflict, where one is to stop the transfer."""
        self.holds = self.pair.holds
        self.family: Family | None = None
        """What may be branches in an archive, once it has all that is no branch there."""

    async def lines(self, conversation: str, *, limit: int | None = None) -> AsyncIterator[bytes]:
        """The lines of a conversation of the source, up to the first record that cannot be read."""
        async for page in self.source.read([conversation], limit=limit):
            messages, rest = parted(page.items)
            for line in canonical_lines(messages, self.holds):
                yield line
            if rest:
                return

    async def hashes(self, conversation: str) -> "array[int]":
        """Short hashes of these lines."""
        return array("q", [short(line) async for line in self.lines(conversation)])


class Batch:
    """Conversations that are brought over together; those finished leave `left`."""

    def __init__(self, route: Route, left: dict[str, ConversationInfo], watch: Watch) -> None:
        self.route = route
        self.left = left
        self.watch = watch
        self.writer = Writer(route.dest, route.holds, route.reject, dry_run=route.options.dry_run)
        self.put_off: list[str] = []
        """Those to which an archive comes back when it has all others."""
        self._copies: list[Copy] = []
        self._entries: list[Entry] = []
        self._beside = 0  # messages that came by a copy of the store itself, or by `replace`

    @property
    def written(self) -> int:
        """How many messages went into the destination."""
        return self.writer.written + self._beside

    @property
    def stayed(self) -> int:
        """How many messages stayed behind."""
        return sum(copy.left for copy in self._copies)

    def close(self) -> list[Entry]:
        """What is finished: all of it, or what was before somebody else wrote."""
        for copy in self._copies:
            if copy.over and not self.writer.is_waiting(copy):
                entry = copy.done()
                self.record(replace(entry, source_end=self._source_end(copy.last)))
        for conversation in (*self.put_off, *(entry.source for entry in self._entries)):
            self.left.pop(conversation, None)
        return self._entries

    def forget_gone(self) -> None:
        """Leave out what is gone from the source meanwhile: all that nobody changed."""
        changed = {copy.entry.source for copy in self._copies if copy.changed}
        for conversation in [i for i in self.left if i not in changed]:
            del self.left[conversation]

    def begin(self, entry: Entry, conversation: Conversation, proof: Proof, **where: Any) -> Copy:
        """Begin to bring a conversation, or the rest of it; see `Copy`."""
        self._copies.append(copy := Copy(entry, conversation, proof, **where))
        return copy

    def copy(self, info: ConversationInfo) -> Copy:
        """Begin to bring a conversation that the destination does not have."""
        return self.begin(
            self.entry(info, "copied"),
            conversation_of(info, self.route.holds, self.route.naming.there(info.id)),
            self.route.pair.proof(),
            description_problem=description_problem(info, None, self.route.holds),
        )

    async def take(self, copy: Copy, page: Page) -> None:
        """The next page of its source."""
        copy.last = page
        await self.writer.take(copy, page.items)
        self.watch(len(page.items))

    async def leave(self, info: ConversationInfo, why: str) -> None:
        """Leave behind all of one that cannot be brought."""
        target = self.route.naming.there(info.id)
        entry = self.entry(info, "nothing", description={})
        copy = self.begin(entry, Conversation(target), self.route.pair.proof())
        copy.stop("rejected", why)
        async for page in self.route.source.read([info.id]):
            await self.take(copy, page)

    async def append_rest(
        self,
        found: Found,
        info: ConversationInfo,
        theirs: ConversationInfo | None,
        target: str,
        action: str = "",
        *,
        base: int = 0,
        after: Position = START,
        written: int = 0,
    ) -> None:
        """Bring over what the destination lacks: behind message `base`, compared from `after`; so
        many were written already."""
        action = action or ("copied" if found.state is State.ABSENT else "appended")
        entry = self.entry(info, action, conversation=target, after=after, at=base, written=written)
        if theirs is not None and theirs.unreadable is not None:
            entry = replace(entry, description={})
        copy = self.begin(
            entry,
            _missing(
                conversation_of(info, self.route.holds, target), theirs, newer=self.route.pair.newer
            ),
            found.proof,
            end=found.end if found.rest else None,  # else only title and extra: wherever that is
            base=base,
            description_problem=found.description_problem,
        )
        copy.last = found.last
        if not found.rest:
            self.writer.describe(copy)
        dealt = found.at + len(found.rest)
        await self.writer.take(copy, found.rest)
        self.watch(dealt)
        if found.more is not None:
            async for page in found.more:
                await self.take(copy, page)
            await self.writer.flush()
        copy.finish()

    def book(
        self,
        found: Found,
        action: str,
        *,
        target: str | None = None,
        at: int = 0,
        written: int = 0,
    ) -> None:
        """Remember what needs nothing more; it is compared from message `at` on."""
        self.watch(found.at)
        problem = found.description_problem
        compared = self.route.options.exact and problem is None and not found.description_stays
        entry = self.entry(
            self.left[found.conversation], action,
            conversation=target or self.route.naming.there(found.conversation),
            messages=found.at, written=written, digest=str(found.proof), at=at, verified=True,
            source_end=self._source_end(found.last), **({} if compared else {"description": {}}),
        )  # fmt: skip
        self.record(_unreadable(entry, problem) if problem else entry)

    def refuse(self, found: Found, kind: str, problem: str | None = None) -> None:
        """Remember what gets nothing, and why: what was found, where no other problem is named."""
        self.watch(found.at)
        name, problem = found.conversation, as_utf8(problem or found.detail)
        self.record(
            Entry(
                conversation=self.route.naming.there(name), source=name, action="nothing",
                verified=True, kind=kind, problem=problem,
            )
        )  # fmt: skip

    def replace(self, info: ConversationInfo, proof: Proof, last: Page | None) -> None:
        """Remember what took the place of another."""
        if not self.route.options.dry_run:
            self._beside += proof.messages
        entry = self.entry(
            info, "replaced", messages=proof.messages, written=proof.messages, digest=str(proof),
            source_end=self._source_end(last),
        )  # fmt: skip
        self.record(entry)

    def completed(self, messages: int) -> None:
        """Remember that so many took the place of their beginnings."""
        self._beside += messages

    def copied(self, each: Copied) -> None:
        """Remember what the destination copied by itself."""
        self.watch(each.messages)
        self._beside += each.messages
        info = self.left[each.conversation]
        entry = self.entry(
            info, "copied", messages=each.messages, written=each.messages, digest=each.digest,
            rows=True, source_end=each.source_end() if self.route.options.move else START,
        )  # fmt: skip
        problem = description_problem(info, None, self.route.holds)
        self.record(_unreadable(entry, problem) if problem else entry)

    def record(self, entry: Entry) -> None:
        """Remember what became of a conversation."""
        self._entries.append(entry)

    def entry(self, info: ConversationInfo, action: str, **known: Any) -> Entry:
        """What is known of a conversation whose title and extra come along; nothing is read back
        that was not written."""
        known.setdefault("conversation", self.route.naming.there(info.id))
        known.setdefault("verified", self.route.options.dry_run)
        if "description" not in known:
            known["description"] = description_hashes(description_of(info, self.route.holds))
        return Entry(source=info.id, action=action, **known)

    def _source_end(self, last: Page | None) -> Position:
        """Where the source ended, if that will be needed to remove it."""
        return last.position(-1) if last is not None and self.route.options.move else START


def conversation_of(info: ConversationInfo, holds: Holds, name: str = "") -> Conversation:
    """The conversation, with as much of its title and extra as both sides hold; or one of another
    name."""
    said = whole_description_of(info, holds)
    return Conversation(name or info.id, said.get("title"), said.get("extra"))


def _missing(
    conversation: Conversation, theirs: ConversationInfo | None, *, newer: bool
) -> Conversation:
    """Title and extra, as far as the destination has none, or an older one; neither where it is not
    known what it has."""
    if theirs is None:
        return conversation
    if theirs.unreadable is not None:
        return Conversation(conversation.id)

    def lacks(there: Any, ours: Any) -> bool:
        return newer and description_line(there) != description_line(ours)

    title, extra = conversation.title, conversation.extra
    return Conversation(
        conversation.id,
        title if theirs.title is None or lacks(theirs.title, title) else None,
        extra if not theirs.extra or lacks(theirs.extra, extra) else None,
    )


def _unreadable(entry: Entry, problem: str) -> Entry:
    return replace(entry, kind="unreadable", problem=as_utf8(problem))
