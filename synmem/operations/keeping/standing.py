"""How a conversation stands in its store, beside what a backup keeps of it: there already, gone
with what followed it at the front, replaced as it was, or something else."""

import enum
from array import array
from collections.abc import Callable, Container
from itertools import chain

import msgspec

from synmem.errors import Changed, CorruptData
from synmem.messages import Digest, Message, Unreadable, canonical
from synmem.operations.keeping.backups import Kept, Left, Pages, Replacement
from synmem.operations.overlap import enough, overlap, short
from synmem.operations.proof import canonical_lines, differing_field
from synmem.store import START, Position, Store

Read = Callable[[], Pages]


class Stands(enum.Enum):
    """What `undo` finds."""

    ABSENT = "absent"
    THERE = "there"
    """It begins with what was kept: it was never removed, or came back by other means."""
    BEHIND = "behind"
    """It begins with what followed what was kept: that belongs in front of it."""
    REPLACED = "replaced"
    """It begins with what took the place of what was kept: that gives way."""
    OTHER = "other"


class Standing(msgspec.Struct, frozen=True):
    """How it stands; `begins` is the position of its first message, `upto` the end of what gives
    way, `detail` the first difference."""

    stands: Stands
    begins: Position = START
    upto: Position = START
    detail: str = ""


async def standing(store: Store, kept: Kept, read: Read, rest: Container[Position]) -> Standing:
    """How the conversation of `kept` stands in the store; `read` reads what was kept.

    `rest` are the positions at which what followed it may begin: where a store gives each message
    one of its own, they tell more than content, which may repeat.
    """
    begins = await first_position(store, kept.conversation.id)
    if begins == START:
        return Standing(Stands.ABSENT)
    if not kept.first:
        return await _of_version_1(store, kept, read, begins)
    if kept.replacement is not None:
        return await _where_replaced(store, kept, read, kept.replacement, begins)
    if kept.left is not None:
        return await _where_trimmed(store, kept, read, kept.left, begins, rest)
    return await _where_whole(store, kept, read, begins)


async def _of_version_1(store: Store, kept: Kept, read: Read, begins: Position) -> Standing:
    """It does not say what followed: what begins as what was removed may be just that, brought
    back by hand, or what stayed and looks the same."""
    if kept.replacement is not None:
        return await _where_replaced(store, kept, read, kept.replacement, begins)
    front = await _front(store, kept, read)
    if front.whole:
        detail = "it looks the same as these, and this old backup does not say what followed them"
        return Standing(Stands.OTHER, begins, detail=detail)
    return Standing(Stands.BEHIND, begins)


async def _where_replaced(
    store: Store, kept: Kept, read: Read, replacement: Replacement, begins: Position
) -> Standing:
    upto = await _ends(store, kept, replacement.messages, replacement.digest)
    if upto is not None:
        return Standing(Stands.REPLACED, begins, upto)
    return _there_or_other(await _front(store, kept, read), begins)


async def _where_trimmed(
    store: Store, kept: Kept, read: Read, left: Left, begins: Position, rest: Container[Position]
) -> Standing:
    lasting = store.holds.lasting_positions
    if lasting and begins in rest:
        return Standing(Stands.BEHIND, begins)
    follows = await _ends(store, kept, left.messages, left.digest) is not None
    if follows and not lasting:
        # It may look as if the front were there, too, but then nobody can have brought it back.
        return Standing(Stands.BEHIND, begins)
    front = await _front(store, kept, read)
    if follows and not (front.whole and front.followed):
        return Standing(Stands.BEHIND, begins)
    return _there_or_other(front, begins)


async def _where_whole(store: Store, kept: Kept, read: Read, begins: Position) -> Standing:
    """Nothing followed: what is there is newer, or was brought back by hand, perhaps in part."""
    front = await _front(store, kept, read)
    if front.same:
        return _there_or_other(front, begins)
    if same := await _end_at_front(store, kept, read):
        return Standing(Stands.OTHER, begins, detail=f"its first {same:,} are the last of these")
    return Standing(Stands.BEHIND, begins)


def _there_or_other(front: "_Front", begins: Position) -> Standing:
    stands = Stands.THERE if front.whole else Stands.OTHER
    return Standing(stands, begins, detail=front.detail)


async def first_position(store: Store, conversation: str) -> Position:
    """Where its first message stands; START where there is none."""
    return (await first_positions(store, [conversation])).get(conversation, START)


async def first_positions(store: Store, conversations: list[str]) -> dict[str, Position]:
    """Where the first message of each stands, of those that are there."""
    found: dict[str, Position] = {}
    async for page in store.read(conversations, limit=1):
        found.setdefault(page.conversation, page.position(0))
    return found


async def _end_at_front(store: Store, kept: Kept, read: Read) -> int:
    """How many messages at the end of what was kept are the first that are there now, so that
    they were brought back by hand; 0 for so few that it may be by chance."""
    ours, theirs = array("q"), array("q")
    for page in read():
        ours.extend(map(short, canonical_lines(page, store.holds)))
    async for found in store.read([kept.conversation.id], limit=kept.messages):
        theirs.extend(map(short, canonical_lines(found.items, store.holds)))
    same = overlap(theirs, ours)
    return same if enough(same, len(theirs)) else 0


async def is_whole(store: Store, kept: Kept, read: Read) -> bool:
    """Whether the conversation is still, or again, as it was when it was kept."""
    if await first_position(store, kept.conversation.id) == START:
        return False
    front = await _front(store, kept, read)
    return front.whole and front.followed


async def has_position(store: Store, conversation: str, position: Position) -> bool:
    """Whether the message at this position is there."""
    try:
        async for _ in store.read([conversation], after=position, limit=1):
            break
    except Changed:
        return False
    return await first_position(store, conversation) != START


async def last_of_front(store: Store, kept: Kept) -> Position:
    """Where the last of as many messages stands as were kept."""
    end = START
    async for page in store.read([kept.conversation.id], limit=kept.messages):
        end = page.position(-1)
    return end


class _Front(msgspec.Struct, frozen=True):
    """How far a conversation begins with what was kept."""

    same: int
    whole: bool
    followed: bool
    detail: str


async def _front(store: Store, kept: Kept, read: Read) -> _Front:
    """Compare the front of the conversation with what was kept, message by message; and what
    stands behind it with what followed."""
    behind = kept.left.messages if kept.left is not None else 0
    digest = Digest(store.holds)
    ours = chain.from_iterable(read())
    same = 0
    async for page in store.read([kept.conversation.id], limit=kept.messages + behind):
        for item in page.items:
            if same < kept.messages:
                our = next(ours, None)
                if our is None:
                    raise CorruptData(f"conversation {kept.conversation.id!r}: its backup is short")
                if why := _difference(our, item, store):
                    detail = f"message {same + 1:,} differs: {why}"
                    return _Front(same, False, False, detail)
                same += 1
            elif isinstance(item, Message):
                digest.update([item])
    if same < kept.messages:
        return _Front(same, False, False, f"from message {same + 1:,} on it is not there")
    followed = kept.left is None or str(digest) == kept.left.digest
    return _Front(same, True, followed, f"message {same + 1:,} is not the one that followed")


def _difference(our: Message, their: Message | Unreadable, store: Store) -> str | None:
    """What of theirs is not as it was kept, over what the store holds."""
    if isinstance(their, Unreadable):
        return their.reason
    same = canonical(our, store.holds) == canonical(their, store.holds)
    return None if same else differing_field(our, their, store.holds)


async def _ends(store: Store, kept: Kept, messages: int, digest: str) -> Position | None:
    """Where the first so many messages end, if they have this digest; none have none."""
    if not messages:
        return None
    found, end = Digest(store.holds), START
    async for page in store.read([kept.conversation.id], limit=messages):
        found.update([item for item in page.items if isinstance(item, Message)])
        end = page.position(-1)
    return end if (found.messages, str(found)) == (messages, digest) else None
