"""An archive that outlives its source: a run brings what is new, and keeps what the source drops.

Nothing in it is removed, and nothing gives way but an older title or extra, and the beginning of a
message to the whole of it. What becomes of a conversation, by what it is in the source now (of a
tree: its current branch):

- It is gone: deleted, or expired. The archive keeps it, and is not even asked.
- It is new, or has grown: it is copied, or its rest appended. What was being written when the
  archive got it (`growing`) is completed.
- It has another title or extra: the archive takes it. What the source has none of any more stays,
  and so does all where the archive has messages behind the last one of the source: which of the
  two is older cannot be told then.
- It says less: its end was undone, or an older export is read; or its front was removed, to the
  last message that it has in common with the archive. The archive is ahead, and stays.
- It has lost its front and has grown (a rolling window): what follows is appended, where it begins
  with at least four messages (all, where it has fewer) with which the archived one ends.
- It says something else: it was rewound and went on, a message was edited or answered anew, it was
  compacted, or cleared and begun again. The archived one stays as it is, and it is copied beside
  it, as `ID#LEAF`.

LEAF is the id of the record at which the current branch ends, where the layout has ids; else, and
where something else is called so, a digest of the messages up to the first that is nowhere in the
archive. From then on each of them, `ID` and `ID#...`, is a place where the conversation may go on:
of those that have all of it, nothing is done to the first; else the rest goes to the one with which
it has most in common. So a second run does nothing, what was interrupted goes on, a branch that
grows does so where it is, and one that is taken up again is found.

Of two runs at once neither doubles what the other has brought; where layouts have ids, and a branch
that is new to both grows between their looks, each may copy it.

None of these is a conflict. What cannot be read, on either side, is left and named.
"""

import hashlib
import itertools
from collections.abc import Sequence
from contextlib import aclosing
from typing import NamedTuple

from synmem.errors import Changed
from synmem.messages import Conversation, conversation_refusal
from synmem.operations.looking import position_of
from synmem.operations.moving.batch import Batch, Route
from synmem.operations.moving.compare import Found, State
from synmem.operations.moving.family import MARK, Family
from synmem.operations.moving.growing import complete, grown
from synmem.operations.overlap import Run, enough, short
from synmem.operations.proof import canonical_lines, unreadable
from synmem.store import START, ConversationInfo, SupportsBranches

_DIGITS = 12
"""Of a digest, in a name."""

_THERE = (State.EQUAL, State.AHEAD)


async def settle(batch: Batch, found: Found, info: ConversationInfo) -> None:
    """A conversation that is different from the archived one of its id: found in another, or copied
    beside it. It waits until all others have come: they may have the names that could be its."""
    family = batch.route.family
    if family is None:
        batch.put_off.append(info.id)
        return
    await batch.writer.flush()
    search = _Search(batch.route, family, info, found.at)
    place = await search.place()
    if place is None:
        problem = f"{found.detail}; as a branch of its own, {search.refusal}"
        batch.refuse(found, "rejected", problem)
    else:
        await _bring(batch, info, place)
        await batch.writer.flush()


class _Place(NamedTuple):
    """Where a conversation goes on: in the archived one of that name, behind its first messages."""

    name: str
    theirs: ConversationInfo | None = None
    """That one; None where there is none yet."""
    before: int = 0
    same: int = 0
    """How many messages both have from there on."""
    whole: bool = False
    """Whether it is there as far as it can be read."""
    grown: int = 0
    """How many messages that one has, where the last of them are beginnings."""


async def _bring(batch: Batch, info: ConversationInfo, place: _Place) -> None:
    route = batch.route
    target = route.naming.there(place.name)
    after, completed = START, 0
    if place.grown and not route.options.dry_run:
        await complete(route, info.id, target, place.grown)
        completed = place.grown - place.same
        batch.completed(completed)
    if place.before:
        after, _ = await position_of(route.dest, target, place.before)
    compared = route.pair.compare_one(info, place.theirs, target, after, place.before)
    async with aclosing(compared) as founds:
        async for found in founds:
            if found.state in (State.ABSENT, State.BEHIND):
                action = "extended" if place.before and found.rest else "appended"
                await batch.append_rest(
                    found, info, place.theirs, target, action if place.theirs else "branched",
                    base=place.before, after=after, written=completed,
                )  # fmt: skip
            elif found.state in (State.EQUAL, State.AHEAD):
                alike = found.state is State.EQUAL and not place.before
                action = "appended" if place.grown else "equal" if alike else "ahead"
                batch.book(found, action, target=target, at=place.before, written=completed)
            elif place.grown and route.options.dry_run:
                await batch.append_rest(found, info, place.theirs, target, "appended")
            elif found.state is State.UNREADABLE:
                batch.refuse(found, "unreadable")
            else:
                raise Changed(f"conversation {info.id!r} changed meanwhile", hint="run again")


class _Search:
    """Where in an archive a conversation goes on that is different from the one of its id."""

    def __init__(self, route: Route, family: Family, info: ConversationInfo, same: int) -> None:
        self.refusal: str | None = None
        """Why there is no name for it."""
        self._route = route
        self._family = family
        self._info = info
        self._same = {info.id: same}
        """Of the archived ones that were looked at, how many first messages are the same."""
        self._ours: Run | None = None

    async def place(self) -> _Place | None:
        """The best there is, or a new one; None where that can have no name."""
        names = [*self._family.of(self._info.id), self._info.id]
        while True:
            if (best := await self._best(names)) is not None:
                return best
            name = await self._free_name()
            if name is None:
                return None
            if not await self._route.pair.theirs([name], details=False):
                return _Place(name)
            names = [name]  # made by another run, or by hand

    async def _best(self, names: Sequence[str]) -> _Place | None:
        """That which has all of it, or most in common with it, of those that are there."""
        theirs = await self._route.pair.theirs(names, details=True)
        found: list[_Place] = []
        different: list[str] = []
        for name in [name for name in names if name in theirs]:
            state, place = await self._look(name, theirs[name])
            if place.whole:
                return place
            found += [place] if state is State.BEHIND else []
            different += [name] if state is State.DIFFERENT else []
        for name in different:
            further = await self._grown(name, theirs[name]) or await self._further(
                name, theirs[name]
            )
            if further is not None and further.whole:
                return further
            found += [further] if further is not None else []
        return max(found, key=lambda place: (not place.before, place.same), default=None)

    async def _look(self, name: str, theirs: ConversationInfo) -> tuple[State, _Place]:
        """How it stands in this archived one, from the beginning of both."""
        if name in self._same:
            return State.DIFFERENT, _Place(name, theirs, same=self._same[name])
        state, same, whole = State.ABSENT, 0, False
        target = self._route.naming.there(name)
        compared = self._route.pair.compare_one(self._info, theirs, target)
        async with aclosing(compared) as founds:
            async for found in founds:
                state, same = found.state, found.at
                ends = not found.rest or unreadable(found.rest[:1]) is not None
                whole = ends if state in (State.BEHIND, State.UNREADABLE) else state in _THERE
        self._same[name] = same
        return state, _Place(name, theirs, same=same, whole=whole)

    async def _grown(self, name: str, theirs: ConversationInfo) -> _Place | None:
        """Where it has become of this archived one, of which the end was still being written."""
        same, target = self._same[name], self._route.naming.there(name)
        count = await grown(self._route, self._info.id, target, same)
        return _Place(name, theirs, same=same, grown=count) if count else None

    async def _further(self, name: str, theirs: ConversationInfo) -> _Place | None:
        """Where it begins further behind in this archived one: within it, or at its end."""
        run = await self._run()
        seen = 0
        run.begin()
        async for page in self._route.dest.read([self._route.naming.there(name)]):
            for line in canonical_lines(page.items, self._route.holds):
                seen += 1
                if run.take(short(line)):
                    return _Place(name, theirs, seen - run.length, run.length, whole=True)
        if not enough(run.same, run.length):
            return None
        return _Place(name, theirs, seen - run.same, run.same)

    async def _run(self) -> Run:
        if self._ours is None:
            self._ours = Run(await self._route.hashes(self._info.id))
        return self._ours

    # --- a new one ---

    async def _free_name(self) -> str | None:
        """What it can be called that nothing is called which was looked at, or is another's; None
        where it can be called nothing."""
        leaf, digest = await self._leaf(), await self._digest()
        numbered = (f"{digest}-{number}" for number in itertools.count(2))
        for tail in itertools.chain([leaf] if leaf else [], [digest], numbered):
            name = f"{self._info.id}{MARK}{tail}"
            self.refusal = conversation_refusal(Conversation(self._route.naming.there(name)))
            if self.refusal is not None:
                if tail != leaf:
                    break
            elif name not in self._same and not self._family.is_taken(name, self._info.id):
                return name
        return None

    async def _leaf(self) -> str | None:
        source = self._route.source
        return await source.leaf(self._info.id) if isinstance(source, SupportsBranches) else None

    async def _digest(self) -> str:
        """Of the messages up to the first that is nowhere: however it grows, it stays the same."""
        digest = hashlib.sha256()
        most = max(self._same.values(), default=0) + 1
        async for line in self._route.lines(self._info.id, limit=most):
            digest.update(line + b"\n")
        return digest.hexdigest()[:_DIGITS]
