"""A few hundred conversations on their way from one store to another, and their bookkeeping."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from synmem.errors import UsageError
from synmem.messages import Conversation, Holds
from synmem.operations.keeping.backup import Backup
from synmem.operations.listing import Match
from synmem.operations.moving.compare import (
    Found,
    Pair,
    State,
    own_data,
    own_line,
    own_problem,
)
from synmem.operations.moving.copying import Copy, Reject, Writer
from synmem.operations.moving.receipt import Entry
from synmem.operations.proof import Proof
from synmem.store import START, ConversationInfo, Copied, Page, Position, Store

CONFLICTS = ("skip", "stop", "replace", "rename", "extend")
"""What may be done with a conversation that is different in the destination."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What to copy and how. `label` names the source in `ID (from LABEL)`.

    With `exact` the ledger has digests for a receipt; without, it is enough for the proof.
    """

    ids: Sequence[str] | None = None
    match: Match = None
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
        self.source = source
        self.dest = dest
        self.options = options
        self.reject = reject
        self.backup = backup
        self.pair = Pair(source, dest, exact=options.exact)
        self.stopped = False
        """Set for good by the first conflict, where one is to stop the transfer."""
        self.holds = self.pair.holds


class Batch:
    """Conversations that are brought over together; those finished leave `left`."""

    def __init__(self, route: Route, left: dict[str, ConversationInfo], watch: Watch) -> None:
        self.route = route
        self.left = left
        self.watch = watch
        self.writer = Writer(route.dest, route.holds, route.reject, dry_run=route.options.dry_run)
        self.replaced = 0
        """How many messages came by the store's own copy or by `replace`: the writer, which only
        appends, does not count them."""
        self._copies: list[Copy] = []
        self._entries: list[Entry] = []

    @property
    def written(self) -> int:
        """How many messages went into the destination."""
        return self.writer.written + self.replaced

    @property
    def stayed(self) -> int:
        """How many messages stayed behind."""
        return sum(copy.left for copy in self._copies)

    def close(self) -> list[Entry]:
        """What is finished: all of it, or what was before somebody else wrote."""
        for copy in self._copies:
            over = copy.finished or copy.problem is not None
            if over and not copy.changed and not self.writer.is_waiting(copy):
                self._entries.append(self._entry(copy))
        for entry in self._entries:
            self.left.pop(entry.source, None)
        return self._entries

    def forget_gone(self) -> None:
        """Leave out what is gone from the source meanwhile: all that nobody changed."""
        changed = {copy.source for copy in self._copies if copy.changed}
        for conversation in [i for i in self.left if i not in changed]:
            del self.left[conversation]

    def copy(
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
        own = {} if described else own_data(info, self.route.holds)
        conversation = Conversation(target or info.id, own.get("title"), own.get("extra"))
        copy = Copy(info.id, conversation, action, proof, end=end)
        copy.own = own_hashes(own)
        copy.own_problem = own_problem(info, None, self.route.holds)
        self._copies.append(copy)
        return copy

    async def take(self, copy: Copy, page: Page) -> None:
        """The next page of its source."""
        copy.last = page
        await self.writer.take(copy, page.items)
        self.watch(len(page.items))

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
    ) -> None:
        """Bring over what the destination lacks: behind message `base`, compared from `after`."""
        action = action or ("copied" if found.state is State.ABSENT else "appended")
        bare = not found.rest  # only title or extra are to be set, wherever the end is
        copy = self.copy(info, action, found.proof, target=target, end=None if bare else found.end)
        if theirs is not None:
            copy.conversation = _missing(copy.conversation, theirs)
            copy.described = copy.conversation == Conversation(target)
            copy.own_problem = found.own_problem
            if theirs.unreadable is not None:
                copy.own = {}
        copy.last, copy.base, copy.at, copy.after = found.last, base, base, after
        if bare:
            self.writer.describe(copy)
        dealt = found.at + len(found.rest)
        await self.writer.take(copy, found.rest)
        self.watch(dealt)
        if found.more is not None:
            async for page in found.more:
                await self.take(copy, page)
            await self.writer.flush()
        copy.finished = True

    def book(
        self, found: Found, action: str, *, target: str | None = None, kind: str | None = None,
        problem: str | None = None, at: int = 0,
    ) -> None:  # fmt: skip
        """Remember what needs nothing, or gets nothing; it is compared from message `at` on."""
        self.watch(found.at)
        proven = kind is None
        if proven and found.own_problem is not None:
            kind, problem = "unreadable", found.own_problem
        compared = proven and kind is None and self.route.options.exact
        own = own_data(self.left[found.conversation], self.route.holds) if compared else {}
        self._entries.append(
            Entry(
                conversation=target or found.conversation,
                source=found.conversation,
                action=action,
                messages=found.at if proven else 0,
                digest=str(found.proof) if proven else None,
                at=at if proven else 0,
                own=own_hashes(own),
                source_end=self.source_end(found.last),
                verified=True,
                kind=kind,
                problem=_text(problem or found.detail) if kind else None,
            )
        )

    def source_end(self, last: Page | None) -> Position:
        """Where the source ended, if that will be needed to remove it."""
        return last.position(-1) if last is not None and self.route.options.move else START

    def _entry(self, copy: Copy) -> Entry:
        problems = [copy.problem] if copy.problem is not None else []
        if copy.own_problem is not None and (copy.proof.messages or not problems):
            problems.append(copy.own_problem)
        return Entry(
            conversation=copy.conversation.id,
            source=copy.source,
            action=copy.action if copy.written or not copy.left else "nothing",
            messages=copy.proof.messages,
            written=copy.written,
            digest=str(copy.proof) if copy.proof.messages else None,
            after=copy.after,
            at=copy.at,
            own=copy.own if copy.proof.messages else {},
            source_end=self.source_end(copy.last),
            verified=self.route.options.dry_run,
            kind=copy.kind or ("unreadable" if problems else None),
            problem=_text("; ".join(problems)) if problems else None,
        )

    def copied(self, each: Copied) -> None:
        """Remember what the destination copied by itself."""
        self.watch(each.messages)
        self.replaced += each.messages
        info = self.left[each.conversation]
        problem = own_problem(info, None, self.route.holds)
        self._entries.append(
            Entry(
                conversation=each.conversation,
                source=each.conversation,
                action="copied",
                messages=each.messages,
                written=each.messages,
                digest=each.digest,
                rows=True,
                own=own_hashes(own_data(info, self.route.holds)),
                source_end=each.source_end if self.route.options.move else START,
                kind="unreadable" if problem else None,
                problem=_text(problem) if problem else None,
            )
        )

    def record(self, entry: Entry) -> None:
        """Remember what became of a conversation that was not copied by the writer."""
        self._entries.append(entry)


def conversation_of(info: ConversationInfo, holds: Holds) -> Conversation:
    """The conversation, with as much of its title and extra as both sides hold."""
    own = own_data(info, holds)
    return Conversation(info.id, own.get("title"), own.get("extra"))


def own_hashes(own: dict[str, Any]) -> dict[str, str]:
    """A hash for the title and for the extra, where they are set."""
    return {field: hashlib.sha256(own_line(value)).hexdigest() for field, value in own.items()}


def _missing(conversation: Conversation, theirs: ConversationInfo) -> Conversation:
    """Title and extra, as far as the destination has none; neither where it is not known what it
    has."""
    if theirs.unreadable is not None:
        return Conversation(conversation.id)
    return Conversation(
        conversation.id,
        conversation.title if theirs.title is None else None,
        None if theirs.extra else conversation.extra,
    )


def _text(problem: str) -> str:
    return problem.encode("utf-8", "backslashreplace").decode()
