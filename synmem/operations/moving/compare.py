"""How a conversation stands in two stores: absent, behind, equal, ahead, different.

Equal is what `synmem.messages.canonical` says over the fields that both sides hold, message by
message, and the same title and extra. Nothing is held but a few thousand messages of the source:
many small conversations are read in one call of each store, a large one is read page by page from
both.
"""

import enum
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from synmem.messages import Holds, Message, Unreadable, canonical
from synmem.operations.looking import infos_of
from synmem.operations.moving.naming import PLAIN, Naming
from synmem.operations.moving.sides import Side, agreeing
from synmem.operations.proof import Proof, differing_field, readable, unreadable
from synmem.store import START, ConversationInfo, Page, Position, Store

HELD = 5_000
"""Messages of many small conversations that are held at once."""
LARGE = 2_000
"""From so many messages on, a conversation is compared page by page."""


class State(enum.StrEnum):
    """How a conversation of the source stands in the destination, as `check` prints it."""

    EQUAL = "="
    ABSENT = "+"
    EXTRA = "-"
    BEHIND = "<"
    AHEAD = ">"
    DIFFERENT = "*"
    UNREADABLE = "!"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one conversation, and where to go on from there.

    `proof` is over the first messages, as many as are the same on both sides. Where the
    destination is behind, `end` is its end, and what follows in the source is `rest`, then the
    pages of `more`, which must be read before the next `Found` is asked for.
    """

    conversation: str
    state: State
    detail: str = ""
    proof: Proof
    end: Position = START
    rest: Sequence[Message | Unreadable] = ()
    more: AsyncIterator[Page] | None = None
    last: Page | None = None
    """The last page of the source that was read."""
    description_problem: str | None = None
    """Why title and extra could not be compared: the state is that of the messages alone."""
    description_stays: bool = False
    """Whether the destination has another title or extra, which is not for the source to set."""

    @property
    def at(self) -> int:
        """How many messages are the same on both sides; more, once `proof` took more."""
        return self.proof.messages

    @property
    def checked(self) -> tuple[State, str]:
        """State and detail as `check` shows them: a record that cannot be read hides what is
        behind it, a title no difference."""
        if self.state in (State.BEHIND, State.ABSENT) and unreadable(self.rest[:1]):
            return State.UNREADABLE, self.detail
        if self.description_problem is None or self.state is State.UNREADABLE:
            return self.state, self.detail
        detail = (
            f"{self.detail}; {self.description_problem}"
            if self.detail
            else self.description_problem
        )
        return State.UNREADABLE if self.state is State.EQUAL else self.state, detail


def not_compared(one: Holds, other: Holds) -> list[str]:
    """What only one of two stores can hold, as words for a person."""
    both = one.common(other)
    filled = [f"extra.{layout}.{name}" for layout, name in sorted(both.defaults)]
    if "created_at" in (one.fields & other.fields) - both.fields:
        filled.append("created_at")
    return list(dict.fromkeys(one.lacking(other) + other.lacking(one) + filled))


class Pair:
    """Two stores whose conversations are compared, over the fields that both hold.

    `exact` proofs are digests as a receipt has them. `newer`: another title or extra of the source
    is one that the destination lacks, unless it is ahead. `naming` says what is called how there.
    """

    def __init__(
        self,
        source: Store,
        dest: Store,
        *,
        exact: bool = False,
        newer: bool = False,
        naming: Naming = PLAIN,
    ) -> None:
        self.source = source
        self.dest = dest
        self.holds = source.holds.common(dest.holds)
        self.newer = newer
        self.naming = naming
        self._exact = exact

    def proof(self) -> Proof:
        """A proof of nothing yet."""
        return Proof(self.holds, exact=self._exact)

    async def theirs(self, ids: Sequence[str], *, details: bool) -> dict[str, ConversationInfo]:
        """Those of these conversations that the destination has, by their ids in the source."""
        names = {self.naming.there(each): each for each in ids}
        found = await infos_of(self.dest, list(names), details=details)
        return {names[name]: info for name, info in found.items()}

    async def compare(
        self, ours: Mapping[str, ConversationInfo], theirs: Mapping[str, ConversationInfo]
    ) -> AsyncGenerator[Found, None]:
        """The state of each of these conversations, in any order; both sides are read whole.

        `ours` and `theirs` tell titles and extras. One that is gone from the source meanwhile is
        left out.
        """
        left = dict.fromkeys(ours)
        while left:
            group, large = await self._gather(list(left))
            complete = large is None and not group.stopped
            for conversation in (*group.held, *([large] if large else ())):
                left.pop(conversation, None)
            await _feed(group, self.dest, self.naming)
            for conversation, comparison in group.held.items():
                yield comparison.found(ours[conversation], theirs.get(conversation))
            if large is not None:
                target = self.naming.there(large)
                async for found in self.compare_one(ours[large], theirs.get(large), target):
                    yield found
            if complete:
                break

    async def compare_one(
        self,
        ours: ConversationInfo,
        theirs: ConversationInfo | None,
        target: str,
        after: Position = START,
        before: int = 0,
    ) -> AsyncGenerator[Found, None]:
        """The state of one conversation, of any length, against `target` of the destination.

        `after` is where in the destination the source is taken to begin; there `before` messages
        stand before.
        """
        comparison = Comparison(ours.id, self.holds, self.proof(), before, newer=self.newer)
        comparison.end = after
        async with (
            aclosing(_pages(self.source, ours.id)) as our_pages,
            aclosing(_pages(self.dest, target, after=after)) as their_pages,
        ):
            while not comparison.settled:
                if comparison.needs_source:
                    comparison.take_source(await anext(our_pages, None))
                else:
                    comparison.take_dest(await anext(their_pages, None))
            if comparison.last is not None:
                yield comparison.found(ours, theirs, our_pages)

    async def _gather(self, conversations: list[str]) -> "tuple[_Group, str | None]":
        """Read small conversations whole, as many as may be held; stop at one that is large."""
        group = _Group()
        size = 0
        async with aclosing(_pages(self.source, *conversations)) as pages:
            async for page in pages:
                held = group.held.get(page.conversation)
                if held is None:
                    if size >= HELD:
                        group.stopped = True
                        return group, None
                    held = Comparison(page.conversation, self.holds, self.proof(), newer=self.newer)
                    group.held[page.conversation] = held
                held.take_source(page)
                size += len(page.items)
                if held.taken >= LARGE:
                    del group.held[page.conversation]
                    return group, page.conversation
        return group, None


class _Group:
    """Conversations of the source that are held whole."""

    def __init__(self) -> None:
        self.held: dict[str, Comparison] = {}
        self.stopped = False


async def _feed(group: _Group, dest: Store, naming: Naming) -> None:
    there = {naming.there(conversation): each for conversation, each in group.held.items()}
    for comparison in there.values():
        comparison.take_source(None)
    if there:
        async for page in dest.read(list(there)):
            there[page.conversation].take_dest(page)
    for comparison in group.held.values():
        comparison.take_dest(None)


async def _pages(
    store: Store, *conversations: str, after: Position = START
) -> AsyncGenerator[Page, None]:
    # `read` is an AsyncIterator; what is closed early must be a generator.
    async for page in store.read(conversations, after=after):
        yield page


class Comparison:
    """One conversation from two sides, compared as far as both have come.

    Each side hands in its pages in order, then None. `before` messages stand before the first.
    """

    def __init__(
        self, conversation: str, holds: Holds, proof: Proof, before: int = 0, *, newer: bool
    ) -> None:
        self.conversation = conversation
        self._before = before
        self._newer = newer
        self.taken = 0
        self.end: Position = START
        self.last: Page | None = None
        self.proof = proof
        self._holds = holds
        self._ours = Side(holds)
        self._theirs = Side(holds)
        self._their_last: Page | None = None
        self._verdict: tuple[State, str] | None = None

    @property
    def needs_source(self) -> bool:
        """Whether the source's next page is what is waited for."""
        return not self._ours.left and not self._ours.done

    @property
    def settled(self) -> bool:
        """Whether more pages would change nothing."""
        return self._verdict is not None

    def take_source(self, page: Page | None) -> None:
        """The next page of the source."""
        if page is not None:
            self.last = page
            self.taken += len(page.items)
        self._ours.take(page)
        self._step()

    def take_dest(self, page: Page | None) -> None:
        """The next page of the destination."""
        if page is not None:
            self._their_last = page
        if self._verdict is None:
            self._theirs.take(page)
            self._step()

    def found(
        self,
        ours: ConversationInfo,
        theirs: ConversationInfo | None,
        more: AsyncIterator[Page] | None = None,
    ) -> Found:
        """What came out, title and extra included."""
        assert self._verdict is not None
        state, detail = self._verdict
        problem = description_problem(ours, theirs, self._holds)
        stays = False
        if theirs is not None and problem is None:
            description = description_state(ours, theirs, self._holds)
            if self._newer and description[0] is State.DIFFERENT:
                stays = state is State.AHEAD
                description = State.EQUAL if stays else State.BEHIND, description[1]
            state, detail = _with_description(state, detail, description)
        if self._their_last is not None and state is State.BEHIND:
            self.end = self._their_last.position(-1)
        return Found(
            conversation=self.conversation, state=state, detail=detail,
            proof=self.proof, end=self.end, rest=self._ours.items, more=more, last=self.last,
            description_problem=problem, description_stays=stays,
        )  # fmt: skip

    def _step(self) -> None:
        ours, theirs = self._ours, self._theirs
        if self._verdict is None and ours.left and theirs.left:
            same = agreeing(ours, theirs)
            messages = ours.items[:same]
            assert readable(messages)
            self.proof.take(messages, ours.lines[:same])
            ours.drop(same)
            theirs.drop(same)
            if ours.left and theirs.left:
                self._verdict = self._difference(ours.items[0], theirs.items[0])
        if self._verdict is None:
            self._verdict = self._ending()

    @property
    def _number(self) -> int:
        """The number of the message that is compared next."""
        return self._before + self.proof.messages + 1

    def _difference(
        self, our: Message | Unreadable, their: Message | Unreadable
    ) -> tuple[State, str]:
        number = self._number
        for item, where in ((our, "source"), (their, "destination")):
            if isinstance(item, Unreadable):
                return State.UNREADABLE, f"message {number:,} in the {where}: {item.reason}"
        assert isinstance(our, Message)
        assert isinstance(their, Message)
        return State.DIFFERENT, f"message {number:,}: {differing_field(our, their, self._holds)}"

    def _ending(self) -> tuple[State, str] | None:
        ours, theirs = self._ours, self._theirs
        if ours.done and theirs.done and not ours.left and not theirs.left:
            return State.EQUAL, ""
        if theirs.done and not theirs.left and ours.left:
            bad = unreadable(ours.items[:1])
            detail = f"message {self._number:,} in the source: {bad.reason}" if bad else ""
            more = detail or f"from message {self._number:,} on"
            return (State.BEHIND, more) if self.proof.messages else (State.ABSENT, detail)
        if ours.done and not ours.left and theirs.left:
            bad = unreadable(theirs.items[:1])
            if bad:
                return (
                    State.UNREADABLE,
                    f"message {self._number:,} in the destination: {bad.reason}",
                )
            return State.AHEAD, f"from message {self._number:,} on"
        return None


# --- title and extra ------------------------------------------------------------------------


def description_of(info: ConversationInfo, holds: Holds) -> dict[str, Any]:
    """Title and extra of a conversation, as far as both sides can hold them and they are set: what
    is compared."""
    said = whole_description_of(info, holds)
    if holds.extra_of and (kept := said.pop("extra", {}).get(holds.extra_of)):
        said["extra"] = {holds.extra_of: kept}
    return said


def whole_description_of(info: ConversationInfo, holds: Holds) -> dict[str, Any]:
    """The same with all of the extra, whichever layouts' it is: what is written. An empty title,
    which a file may hold and `append` takes as none, is none."""
    return {
        field: value
        for field in ("title", "extra")
        if field in holds.conversation_fields
        and (value := getattr(info, field)) not in (None, "", {})
    }


def description_line(value: Any) -> bytes:
    """A line that is the same for the same title, or the same extra."""
    return canonical(Message("", "", {"own": value}))


def description_hashes(said: dict[str, Any]) -> dict[str, str]:
    """A hash for the title and for the extra, where they are set."""
    return {
        field: hashlib.sha256(description_line(value)).hexdigest() for field, value in said.items()
    }


def description_problem(
    ours: ConversationInfo, theirs: ConversationInfo | None, holds: Holds
) -> str | None:
    """Why title and extra cannot be compared, where both sides can hold them."""
    if holds.conversation_fields:
        for info, where in ((ours, "source"), (theirs, "destination")):
            if info is not None and info.unreadable is not None:
                return f"in the {where}: {info.unreadable}"
    return None


def description_state(
    ours: ConversationInfo, theirs: ConversationInfo, holds: Holds
) -> tuple[State, str]:
    """How title and extra stand: behind where the destination lacks one that the source has."""
    our, their = description_of(ours, holds), description_of(theirs, holds)
    for field in ("title", "extra"):
        both = field in our and field in their
        if both and description_line(our[field]) != description_line(their[field]):
            return State.DIFFERENT, field
    for field in our:
        if field not in their:
            return State.BEHIND, field
    for field in their:
        if field not in our:
            return State.AHEAD, field
    return State.EQUAL, ""


def _with_description(
    state: State, detail: str, description: tuple[State, str]
) -> tuple[State, str]:
    """The state of messages and of title and extra together.

    Where the destination is ahead in one and behind in the other it counts as behind: there is
    something to bring.
    """
    if state in (State.DIFFERENT, State.UNREADABLE) or description[0] is State.EQUAL:
        return state, detail
    if description[0] is State.DIFFERENT:
        return description
    if state is State.EQUAL:
        return description
    if description[0] is State.BEHIND and state is State.AHEAD:
        return description
    return state, detail
