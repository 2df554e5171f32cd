"""A conversation that is different in the destination: replaced, renamed, extended, or left."""

from array import array
from contextlib import aclosing

from synmem.errors import Changed, CorruptData
from synmem.messages import Conversation, Digest, Holds, Unreadable, conversation_refusal
from synmem.operations.derived import forget_beside
from synmem.operations.keeping.backup import Replacement, not_to_be_kept
from synmem.operations.looking import before_last, first_messages, infos_of, last_position
from synmem.operations.moving.batch import Batch, Route, conversation_of
from synmem.operations.moving.compare import Found, State, description_problem
from synmem.operations.overlap import enough, overlap, short
from synmem.operations.proof import Proof, canonical_lines, compared_lines, readable
from synmem.store import START, ConversationInfo, Page, Position, Store


async def resolve(batch: Batch, found: Found, info: ConversationInfo) -> None:
    """Do with it what was asked for."""
    match batch.route.options.on_conflict:
        case "replace":
            await _replace(batch, found, info)
        case "rename":
            await _rename(batch, found, info)
        case "extend":
            await _extend(batch, found, info)
        case way:
            batch.refuse(found, "conflict")
            batch.route.stopped |= way == "stop"


# --- under another name ---------------------------------------------------------------------


async def _rename(batch: Batch, found: Found, info: ConversationInfo) -> None:
    route = batch.route
    target = route.naming.there(f"{info.id} (from {route.options.label})")
    if why := conversation_refusal(Conversation(target)):
        batch.refuse(found, "conflict", f"{found.detail}; renamed, {why}")
        return
    await batch.writer.flush()  # the source may hold a conversation of that name
    theirs = (await infos_of(route.dest, [target], details=True)).get(target)
    async with aclosing(route.pair.compare_one(info, theirs, target)) as states:
        async for renamed in states:
            if renamed.state in (State.ABSENT, State.BEHIND):
                await batch.append_rest(renamed, info, theirs, target, "renamed")
            elif renamed.state in (State.EQUAL, State.AHEAD):
                batch.book(renamed, "renamed", target=target)
            else:
                problem = f"{found.detail}; and as {target!r}: {renamed.detail}"
                batch.refuse(found, "conflict", problem)
    await batch.writer.flush()


# --- in its place ---------------------------------------------------------------------------


async def _replace(batch: Batch, found: Found, info: ConversationInfo) -> None:
    """Let the whole conversation give way, in one step, after a backup; never to what cannot be
    read whole."""
    route = batch.route
    if info.unreadable is not None and route.holds.conversation_fields:
        batch.refuse(found, "unreadable", found.description_problem)
        return
    conversation = conversation_of(info, route.holds, route.naming.there(info.id))
    sight = await _look_through(route, conversation, info.id)
    if sight.kind is not None:
        batch.refuse(found, sight.kind, sight.problem)
        return
    if not route.options.dry_run:
        try:
            await _replace_now(route, conversation, info.id, sight)
        except CorruptData as error:
            if error.conversation not in (info.id, conversation.id):
                raise
            batch.refuse(found, "unreadable", str(error))
            return
    batch.replace(info, sight.proof, sight.last)


class _Sight:
    """What a look through a source that is to replace has shown."""

    def __init__(self, proof: Proof, dest: Holds) -> None:
        self.proof = proof
        self.stored = Digest(dest)
        self.last: Page | None = None
        self.kind: str | None = None
        self.problem: str | None = None


async def _look_through(route: Route, conversation: Conversation, source: str) -> _Sight:
    """Read a source that is to replace: nothing gives way to what cannot be written whole."""
    sight = _Sight(route.pair.proof(), route.dest.holds)
    if why := conversation_refusal(conversation):
        sight.kind, sight.problem = "rejected", why
        return sight
    async for page in route.source.read([source]):
        sight.last = page
        _judge(page, sight, route.dest)
        if sight.kind is not None or not readable(page.items):
            return sight
        sight.proof.take(page.items, compared_lines(page.items, route.holds))
        if route.backup is not None:
            sight.stored.take(canonical_lines(page.items, route.dest.holds))
    return sight


def _judge(page: Page, sight: _Sight, dest: Store) -> None:
    """Note the first message of a page that cannot be read, or not be written."""
    for number, item in enumerate(page.items, sight.proof.messages + 1):
        if isinstance(item, Unreadable):
            sight.kind, sight.problem = "unreadable", f"message {number:,}: {item.reason}"
        elif why := dest.refusal(item):
            sight.kind, sight.problem = "rejected", f"message {number:,}: {why}"
        if sight.kind is not None:
            return


async def _replace_now(
    route: Route, conversation: Conversation, source: str, sight: _Sight
) -> None:
    end = await last_position(route.dest, conversation.id)
    messages = first_messages(route.source, source, sight.proof.messages)
    if route.backup is None:
        await forget_beside(route.dest, conversation.id)
        await route.dest.replace(conversation, messages, upto=end)
        return
    there = await infos_of(route.dest, [conversation.id], details=True)
    if conversation.id not in there:
        raise Changed(f"conversation {conversation.id!r} changed meanwhile", hint="run again")
    info = there[conversation.id]
    if info.unreadable is not None:
        raise not_to_be_kept(info.id, f"in the destination: {info.unreadable}")
    before = Conversation(info.id, info.title, info.extra)
    after = Replacement(sight.proof.messages, str(sight.stored))
    kept = await route.backup.keep_sealed(route.dest, before, upto=end, replacement=after)
    await route.backup.replace(route.dest, kept, conversation, messages)


# --- behind its end -------------------------------------------------------------------------


async def _extend(batch: Batch, found: Found, info: ConversationInfo) -> None:
    """Append what follows the longest overlap of the source with the destination's end."""
    route = batch.route
    ours = await route.hashes(info.id)
    tail, end = await _tail(route, route.naming.there(info.id), len(ours))
    same = overlap(ours, tail)
    if not enough(same, len(ours)):
        problem = f"{found.detail}; no overlap with the end to go on from"
        batch.refuse(found, "conflict", problem)
        return
    await _append_behind(batch, info, same, end)


async def _append_behind(batch: Batch, info: ConversationInfo, same: int, end: Position) -> None:
    """Append the source from its message `same` on; those before it are there already."""
    route = batch.route
    target = route.naming.there(info.id)
    entry = batch.entry(
        info, "extended", description={}, after=await before_last(route.dest, target, same),
        at=await _count(route.dest, target, less=same) if route.options.exact else None,
    )  # fmt: skip
    copy = batch.begin(
        entry,
        Conversation(target),
        route.pair.proof(),
        end=end,
        description_problem=description_problem(info, None, route.holds),
    )
    async for page in route.source.read([info.id]):
        overlap = max(0, min(same - copy.taken, len(page.items)))
        there = page.items[:overlap]
        if not readable(there):
            raise Changed(f"conversation {info.id!r} changed meanwhile", hint="run again")
        copy.is_there(there, compared_lines(there, route.holds))
        copy.last = page
        await batch.writer.take(copy, page.items[overlap:])
    await batch.writer.flush()
    copy.finish()


async def _count(store: Store, conversation: str, *, less: int) -> int | None:
    """How many messages it has before its last few, where the store can tell cheaply.

    One that somebody adds right now makes the append that follows `Changed`.
    """
    infos = await infos_of(store, [conversation], details=True)
    count = infos[conversation].messages if conversation in infos else None
    return None if count is None else count - less


async def _tail(route: Route, conversation: str, count: int) -> "tuple[array[int], Position]":
    """Short hashes of the last `count` messages of the destination, in order; and its end."""
    tail = array("q")
    end = START
    async for page in route.dest.read([conversation], reverse=True, limit=count):
        end = end or page.position(0)
        tail.extend(map(short, canonical_lines(page.items, route.holds)))
    tail.reverse()
    return tail, end
