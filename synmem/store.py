"""The store contract: what every backend promises, and the only place where it is written.

Six methods and two plain facts. `tests/conformance.py` is the same text as a test suite, run for
every backend on a real server with pages of two messages.

Positions. A `Position` says where a message stands; it is opaque, a store's own, and text, so
that it can be remembered in JSON. `START` stands before the first message, and as an expected
end it means "there is no such conversation". A position stays good while its message is there;
where the message is gone, whoever relies on it gets `Changed`, and nothing is skipped.

Conversations. An id is 1 to 1,024 bytes of UTF-8 and opaque. One without messages does not exist.

Failures. No driver's exception leaves a backend: it becomes one of `synmem.errors`, with secrets
masked. A server that does not answer is `StoreUnavailable` within seconds.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

import msgspec

from synmem.messages import Conversation, Damage, Holds, Message, Unreadable

Position = str

START: Final[Position] = ""
"""Before the first message; as an expected end: the conversation is absent."""


class Page(msgspec.Struct, frozen=True):
    """Consecutive messages of one conversation, in reading order; never empty.

    `position(i)` is where `items[i]` stands (negative from the end): computed when asked, since
    few ask.
    """

    conversation: str
    items: list[Message | Unreadable]
    position: Callable[[int], Position]


class ConversationInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as a listing shows it; without details only the id is set.

    `messages` is None where the store cannot tell cheaply; `first_at` and `last_at` are the
    times of the first and of the last message, None where that one has none. `unreadable` says
    what beside the messages cannot be read (its title or extra, which is then None, or where it
    begins), why, and what to do about it.
    """

    id: str
    messages: int | None = None
    first_at: Any = None  # datetime | None: a listing need not import datetime
    last_at: Any = None
    title: str | None = None
    extra: dict[str, Any] | None = None
    unreadable: str | None = None


class Part(msgspec.Struct, frozen=True):
    """What one `append` brings to one conversation.

    A `title` or `extra` of the conversation that is not None is set; an empty one is forgotten.
    `expect` is the end that the conversation must have (START: it must not exist); None takes any.
    """

    conversation: Conversation
    messages: Sequence[Message]
    expect: Position | None = None


class Store(Protocol):
    """Conversations in one place. Made by `synmem.backends.open_store`."""

    name: str
    """How the store is called in output: a path or URL, secrets masked."""

    @property
    def holds(self) -> Holds:
        """Which fields this store can hold, and how large one append may be."""

    def refusal(self, message: Message) -> str | None:
        """Why this store cannot hold the message, or None; no I/O."""

    async def append(
        self, parts: Sequence[Part], *, keep: int | None = None, token: str | None = None
    ) -> list[Position]:
        """Add messages behind the last of each conversation; return each part's new end.

        Checked whole before the first write: `Rejected` lists every message that cannot be held,
        `Changed` says that an expected end is not the end; either way nothing was written.
        All or nothing, and visible at once, on SQLite, PostgreSQL, Redis and up to DynamoDB's
        transaction; elsewhere readers see an in-order prefix of each part at every moment.
        `keep` trims each conversation to its newest `keep` messages in the same step (where none is
        left, the end is START), also where a tool result then loses its call: `operations.groups`
        says how many parts none. A conversation stands in at most one part. Writers never take each
        other's place. A write whose answer was lost is tried again inside, and does not double.
        A part without messages sets title and extra of a conversation that exists.
        `token` (see `SupportsSteps`) goes with a call of at most `holds.atomic_messages`.
        Nothing is written to a conversation of which it cannot be read where it begins:
        `CorruptData`, which names it, and so from `delete` and `replace`.
        """

    def read(
        self,
        conversations: Sequence[str],
        *,
        after: Position = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Page]:
        """The messages of these conversations, oldest first (or newest first), in pages.

        All pages of a conversation come in one run; the runs in any order; an absent one has none.
        `after` (one conversation only) goes on behind that message, in reading direction. `limit`
        bounds the messages of each conversation. A record that cannot be read comes as `Unreadable`
        in its place, and one stands for all messages of a conversation of which it cannot be read
        where it begins: hidden ones never come. No cursor, transaction or connection is held across
        a page; where the last message read is gone when the next page is due: `Changed`.
        """

    def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """Every conversation once, or those of `ids` that exist, in pages, in any order.

        Complete, or it raises. `details` adds counts, times, titles and extra; what of these
        cannot be read is told as `unreadable`, and never hides the other conversations.
        """

    async def delete(
        self,
        conversation: str,
        *,
        upto: Position | None = None,
        begins: Position | None = None,
        token: str | None = None,
    ) -> bool:
        """Forget a conversation, or its messages up to and with `upto`; tell if there was one.

        Atomic. What arrived behind `upto` stays. `Changed` where `upto` is not there any more, or
        where its first message is not the one at `begins`. `token`: see `SupportsSteps`.
        """

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
        begins: Position | None = None,
        token: str | None = None,
    ) -> None:
        """Let the front, up to and with `upto`, give way to these messages (START: nothing of it).

        Atomic, and checked whole as `append` is: whoever reads sees the old front or the new one.
        A title or extra that is not None is set, an empty one forgotten. `Changed` where `upto` is
        not there any more, or where its first message is not the one at `begins` (START: where it
        is not absent). `token`: see `SupportsSteps`.
        """

    async def close(self) -> None:
        """Give connections and files back; twice is once."""


@runtime_checkable
class SupportsNotes(Protocol):
    """A store that keeps notes (derived, rebuildable JSON) beside its conversations."""

    async def note(self, conversation: str, name: str) -> Any | None:
        """The note of that name, as it was set, or None."""

    async def set_note(self, conversation: str, name: str, value: Any | None) -> None:
        """Remember a note; None forgets it. Deleting the conversation forgets it too."""

    async def notes(self, conversations: Sequence[str]) -> dict[str, dict[str, Any]]:
        """All notes of these conversations, by conversation and name, those that have any.

        One that cannot be read is left out: it can be made anew.
        """


class Step(NamedTuple):
    """One write to one conversation, by the token that it was given."""

    conversation: str
    token: str


REMEMBERED_DAYS: Final = 90
"""So long, at least, a store remembers a token that nobody tells it to forget."""


@runtime_checkable
class SupportsSteps(Protocol):
    """A store that remembers the token of a write, in the same atomic step as the write.

    `delete` and `replace` take one, and `append` where `holds.atomic_messages` allows for the call
    (else it is `Unsupported` or `Rejected`): 32 hexadecimal digits, then perhaps `.` and a number.
    A write whose token is known does nothing: where it was done it returns as if it had just been
    done (`append` the ends of then or of now), where it was called off it is `Changed`. So whoever
    died between a write and its answer asks the store, and guesses nothing from its content.
    Reading shows nothing of it.
    """

    async def steps_done(self, steps: Collection[Step]) -> set[Step]:
        """Those of these steps that were done so far; nothing is written."""

    async def call_off(self, steps: Collection[Step]) -> set[Step]:
        """Those of these steps that were done; none of the others will ever be, also where such
        a write is still on its way to the server."""

    async def forget_steps(self, steps: Collection[Step]) -> None:
        """Remember these no longer: what became of them is written down elsewhere."""


@runtime_checkable
class SupportsTrial(Protocol):
    """A store whose tables may be somebody's own: they may refuse what was taken from them."""

    async def refuses_back(self, conversations: Sequence[str]) -> dict[str, str]:
        """Why the store would not take these conversations back as they are; those it would not.

        Where nothing but our own plain table could refuse, nothing is tried. Else every record is
        tried out, in transactions that are rolled back: removed, written as `replace` and `append`
        do, read, and compared column by column.
        """


@runtime_checkable
class SupportsStrays(Protocol):
    """A store that can tell at little cost which of its records belong to no conversation, so that
    who lists all conversations names them; `damage` tells them too."""

    async def strays(self) -> list[Damage]:
        """Those records, all of kind STRAY."""


@runtime_checkable
class SupportsOrphans(Protocol):
    """A store with conversations that its own index does not name: perhaps another program's."""

    async def orphans(self) -> list[Damage]:
        """Those conversations, all of kind ORPHAN; `damage` tells them too."""


@runtime_checkable
class SupportsDamage(Protocol):
    """A store that can tell what is wrong with it beyond its readable conversations."""

    async def damage(self) -> list[Damage]:
        """Everything that is wrong with it; empty where it is sound, or carries no proof."""


class Rescue(Protocol):
    """What can be read of a damaged store: less than a `Store`, and slower."""

    name: str
    holds: Holds

    def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`: those of which anything is known."""

    def read(self, conversations: Sequence[str]) -> AsyncIterator[Page]:
        """See `Store.read`: whole conversations; what is lost is `Unreadable` in its place."""

    async def damage(self) -> list[Damage]:
        """What else is lost, or may be."""


@runtime_checkable
class SupportsRescue(Protocol):
    """A store that can be read around what is damaged."""

    def rescued(self) -> Rescue:
        """What can be read of it; it is looked for at the first call."""


@runtime_checkable
class SupportsExpiry(Protocol):
    """A store whose conversations may pass by themselves."""

    async def expiring(self, conversations: Sequence[str]) -> dict[str, float]:
        """How many seconds those of these conversations have left that expire."""

    async def expire(self, left_s: Mapping[str, float]) -> None:
        """Let these conversations pass in so many seconds from now; one that is not there, not."""


@runtime_checkable
class SupportsRemark(Protocol):
    """A store of which a person should know how it works here: what `profile test` says of it."""

    def remark(self) -> str:
        """That, in a few words, of another framework's first `layout NAME`; no I/O."""


@runtime_checkable
class SupportsBranches(Protocol):
    """A store whose conversations may be trees, of which it gives the current branch."""

    def passed_over(self, listed: Collection[str] | None = None) -> int:
        """How many other branches the conversations have that were read so far, or of those that
        were listed these; none where it was opened with `branches`, so that each is a conversation
        of its own, `ID#LEAF`. One of which that id is another conversation's is a stray then."""

    async def leaf(self, conversation: str) -> str | None:
        """The id of the record at which its branch ends; None where that is not known."""


@runtime_checkable
class SupportsOthers(Protocol):
    """A store in a place where other layouts' conversations may lie, which it does not show."""

    async def others(self) -> list[str]:
        """Where these lie, and what chooses each, as words for a person."""


@runtime_checkable
class SupportsBeginning(Protocol):
    """A store whose conversations may begin in their middle: what an earlier run left behind."""

    def begins_at(self, conversation: str) -> int:
        """How many messages of the conversation stand before its first one here."""


@runtime_checkable
class SupportsChanges(Protocol):
    """A store that can tell, sooner than they could be read again, whether its messages are still
    what they were: an index that was made of them stands on it."""

    async def version(self) -> str | None:
        """As long as it is the same, so is all that the store holds; it may change where nothing
        has. None: that cannot be told now."""

    async def fingerprints(self, upto: Mapping[str, Position]) -> dict[str, str] | None:
        """Of each of these conversations, its messages up to and with a position (which need not be
        there any more): what is another once any of these was changed, or is gone.

        It may change where nothing has. A conversation that has no such messages is left out. None:
        this store cannot tell.
        """


class Lines(msgspec.Struct, frozen=True):
    """Whole conversations as lines of the interchange form, as `formats/jsonl.py` writes them."""

    conversations: Sequence[str]
    messages: int
    data: bytes


@runtime_checkable
class SupportsUnchanged(Protocol):
    """A store that may be written over while it is read, and can tell."""

    async def check_unchanged(self) -> None:
        """Changed where what was read since it was opened is not, or is not all, what is there."""


class Parts(NamedTuple):
    """Which parts, from `first` to `last` of `of`, of the split export that is called `set`."""

    set: str
    first: int
    last: int
    of: int


class Exported(NamedTuple):
    """One of the exports in a file, as a store that is closed with the file.

    `conversations` are its ids in order; `spans`, the bytes of its lines, are None where there are
    none to be copied; `closed`: no other file goes on with one of its conversations."""

    store: Store
    conversations: list[str]
    parts: Parts | None
    spans: list[tuple[int, int]] | None
    closed: bool = False


@runtime_checkable
class SupportsExports(Protocol):
    """A store that may hold several exports, one behind the other, of the same conversations: each
    is brought over by itself. Read as a whole, it shows the longest of each conversation."""

    async def exports(self) -> list[Exported]:
        """The exports in it, in their order; of an empty store one."""


@runtime_checkable
class SupportsLines(Protocol):
    """A store that makes interchange lines of its rows without making messages of them."""

    def lines(
        self, conversations: Sequence[str], *, apart: Collection[str] = ()
    ) -> AsyncIterator[Lines | Page]:
        """What `read` gives of these conversations, in the same order; those of `apart` each by
        itself, others together.

        A conversation of which the lines cannot be made so comes in pages, in its place.
        """

    async def described(self, conversations: Sequence[str]) -> list[str]:
        """Those that have a title or extra, readable or not, unless `lines` makes theirs too."""


@runtime_checkable
class SupportsTotal(Protocol):
    """A store that can tell cheaply how much it holds: for a person who waits."""

    async def total(self) -> int:
        """How many messages there are now, more or less: nothing is decided by it."""


class Copied(msgspec.Struct, frozen=True):
    """A conversation that a store has copied by itself: how many messages, a digest of them as
    they lie there (`SupportsCopy.digests`), and what tells where the source ended."""

    conversation: str
    messages: int
    digest: str
    source_end: Callable[[], Position]


@runtime_checkable
class SupportsCopy(Protocol):
    """A store that copies from certain others without making messages."""

    async def copy(
        self, source: Store, conversations: Sequence[Conversation]
    ) -> tuple[list[Copied], list[Conversation]]:
        """Bring over, in one atomic step, some of these conversations that are absent here, with
        these titles and extras. Returns which, and those that were not looked at: for a next call.

        Only what both hold in the same form, readable to the last record, comes so. The others
        are left to the caller, as all are where the source is of another kind, or locked.
        """

    async def digests(self, conversations: Sequence[str]) -> dict[str, str]:
        """Digests of what of these conversations is here, read now: the same as `copy` told of
        the source, where all messages are the same. Where it cannot tell, one is left out."""


async def once(messages: Sequence[Message]) -> AsyncIterator[Sequence[Message]]:
    """A list as the stream that `replace` takes."""
    yield messages
