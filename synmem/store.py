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

from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from typing import Any, Final, Protocol, runtime_checkable

import msgspec

from synmem.messages import Conversation, Holds, Message, Unreadable

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
    times of the first and of the last message, None where that one has none.
    """

    id: str
    messages: int | None = None
    first_at: Any = None  # datetime | None: a listing need not import datetime
    last_at: Any = None
    title: str | None = None
    extra: dict[str, Any] | None = None


class Part(msgspec.Struct, frozen=True):
    """What one `append` brings to one conversation.

    A `title` or `extra` of the conversation that is not None is set. `expect` is the end that
    the conversation must have (START: it must not exist); None takes any.
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
        ...

    def refusal(self, message: Message) -> str | None:
        """Why this store cannot hold the message, or None; no I/O."""
        ...

    async def append(self, parts: Sequence[Part], *, keep: int | None = None) -> list[Position]:
        """Add messages behind the last of each conversation; return each part's new end.

        Checked whole before the first write: `Rejected` lists every message that cannot be held,
        `Changed` says that an expected end is not the end; either way nothing was written.
        All or nothing, and visible at once, on SQLite, PostgreSQL, Redis and up to DynamoDB's
        transaction; elsewhere readers see an in-order prefix of each part at every moment.
        `keep` trims each conversation to its newest `keep` messages in the same step.
        A conversation stands in at most one part. Writers never take each other's place. A write
        whose answer was lost is tried again inside, and does not double.
        A part without messages sets title and extra of a conversation that exists.
        """
        ...

    def read(
        self,
        conversations: Sequence[str],
        *,
        after: Position = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Page]:
        """The messages of these conversations, oldest first (or newest first), in pages.

        All pages of a conversation come in one run; the runs in any order; an absent one has
        none. `after` (one conversation only) goes on behind that message, in reading direction.
        `limit` bounds the messages of each conversation. A record that cannot be read comes as
        `Unreadable` in its place. No cursor, transaction or connection is held across a page;
        where the last message read is gone when the next page is due: `Changed`.
        """
        ...

    def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """Every conversation once, or those of `ids` that exist, in pages, in any order.

        Complete, or it raises. `details` adds counts, times, titles and extra.
        """
        ...

    async def delete(self, conversation: str, *, upto: Position | None = None) -> bool:
        """Forget a conversation, or its messages up to and with `upto`; tell if there was one.

        Atomic. What arrived behind `upto` stays. `Changed` where `upto` is not there any more.
        """
        ...

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
    ) -> None:
        """Let the front, up to and with `upto`, give way to these messages (START: nothing of it).

        Atomic, and checked whole as `append` is: whoever reads sees the old front or the new one.
        A title or extra that is not None is set. `Changed` where `upto` is not there any more.
        """
        ...

    async def close(self) -> None:
        """Give connections and files back; twice is once."""
        ...


@runtime_checkable
class SupportsNotes(Protocol):
    """A store that keeps notes (derived, rebuildable JSON) beside its conversations."""

    async def note(self, conversation: str, name: str) -> Any | None:
        """The note of that name, as it was set, or None."""
        ...

    async def set_note(self, conversation: str, name: str, value: Any | None) -> None:
        """Remember a note; None forgets it. Deleting the conversation forgets it too."""
        ...


STRAY: Final = "stray"
"""The kind of damage that concerns no conversation: a record that belongs to none."""


class Damage(msgspec.Struct, frozen=True):
    """What is wrong with a store's own form: "cut short", "altered", "malformed" or STRAY; where;
    why.

    `position` names the line or row at which it begins; what is malformed comes from `read` as
    `Unreadable` too.
    """

    kind: str
    position: str
    reason: str


@runtime_checkable
class SupportsDamage(Protocol):
    """A store that can tell what is wrong with it beyond its readable conversations: a sealed
    export that was cut or altered, rows that belong to no conversation."""

    async def damage(self) -> list[Damage]:
        """Everything that is wrong with it; empty where it is sound, or carries no proof."""
        ...


@runtime_checkable
class SupportsBeginning(Protocol):
    """A store whose conversations may begin in their middle: what an earlier run left behind."""

    def begins_at(self, conversation: str) -> int:
        """How many messages of the conversation stand before its first one here."""
        ...


async def once(messages: Sequence[Message]) -> AsyncIterator[Sequence[Message]]:
    """A list as the stream that `replace` takes."""
    yield messages
