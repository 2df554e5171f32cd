"""How a conversation stands in its store, beside what a backup keeps of it: there already, gone
with what followed it at the front, replaced as it was, or something else."""

import enum
from collections.abc import Callable, Container
from itertools import chain

import msgspec

from synmem.messages import Digest, Message, Unreadable, canonical
from synmem.operations.backups import Kept, Pages
from synmem.operations.compare import differing_field
from synmem.store import START, Position, Store


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


async def standing(
    store: Store, kept: Kept, read: Callable[[], Pages], rest: Container[Position]
) -> Standing:
    """How the conversation of `kept` stands in the store; `read` reads what was kept.

    `rest` are the positions at which what followed it may begin: where a store gives each message
    one of its own, they tell more than content, which may repeat.
    """
    name = kept.conversation.id
    begins = await first_position(store, name)
    if begins == START:
        return Standing(Stands.ABSENT)
    if kept.replacement is not None:
        upto = await _ends(store, name, kept.replacement.messages, kept.replacement.digest)
        if upto is not None:
            return Standing(Stands.REPLACED, begins, upto)
    lasting = store.holds.lasting_positions
    if kept.replacement is None and kept.left is not None:
        if lasting and begins in rest:
            return Standing(Stands.BEHIND, begins)
        follows = await _ends(store, name, kept.left.messages, kept.left.digest) is not None
        if follows and not lasting:
            return Standing(Stands.BEHIND, begins)
    else:
        follows = False
    front = await _front(store, kept, read)
    if front.whole and (front.followed or not follows):
        return Standing(Stands.THERE, begins)
    if follows or (kept.replacement is None and kept.left is None and not front.same):
        return Standing(Stands.BEHIND, begins)
    return Standing(Stands.OTHER, begins, detail=front.detail)


async def first_position(store: Store, conversation: str) -> Position:
    """Where its first message stands; START where there is none."""
    return (await first_positions(store, [conversation])).get(conversation, START)


async def first_positions(store: Store, conversations: list[str]) -> dict[str, Position]:
    """Where the first message of each stands, of those that are there."""
    found: dict[str, Position] = {}
    async for page in store.read(conversations, limit=1):
        found.setdefault(page.conversation, page.position(0))
    return found


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


async def _front(store: Store, kept: Kept, read: Callable[[], Pages]) -> _Front:
    """Compare the front of the conversation with what was kept, message by message; and what
    stands behind it with what followed."""
    behind = kept.left.messages if kept.left is not None else 0
    digest = Digest(store.holds)
    ours = chain.from_iterable(read())
    same = 0
    async for page in store.read([kept.conversation.id], limit=kept.messages + behind):
        for item in page.items:
            if same < kept.messages:
                our = next(ours)
                if why := _difference(our, item, store):
                    return _Front(same, False, False, f"message {same + 1:,}: {why}")
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


async def _ends(store: Store, conversation: str, messages: int, digest: str) -> Position | None:
    """Where the first so many messages end, if they have this digest."""
    found, end = Digest(store.holds), START
    async for page in store.read([conversation], limit=messages):
        found.update([item for item in page.items if isinstance(item, Message)])
        end = page.position(-1)
    return end if (found.messages, str(found)) == (messages, digest) else None
