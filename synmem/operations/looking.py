"""Looking something up in a store: which conversations are there, where a message stands."""

from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec

from synmem.errors import Changed
from synmem.messages import HARMLESS, SEQUENCE, Damage, Message
from synmem.store import START, ConversationInfo, Position, Store, SupportsDamage, SupportsUnchanged


class Skipped(msgspec.Struct, frozen=True):
    """What cannot be read: the `position`-th record of a conversation, or, without a position,
    what lies beside its messages; and why."""

    conversation_id: str
    position: int | None
    reason: str


async def infos_of(
    store: Store, ids: Sequence[str], *, details: bool
) -> dict[str, ConversationInfo]:
    """Those of these conversations that there are, by id."""
    if not ids:
        return {}
    return {
        info.id: info async for page in store.conversations(ids, details=details) for info in page
    }


async def check_unchanged(*stores: Store) -> None:
    """When all was read: Changed where a file was written over meanwhile."""
    for store in stores:
        if isinstance(store, SupportsUnchanged):
            await store.check_unchanged()


async def damage_of(store: Store) -> list[Damage]:
    """What is wrong with the store beyond its messages, or worth telling of it."""
    return await store.damage() if isinstance(store, SupportsDamage) else []


def faults(found: Iterable[Damage]) -> list[Damage]:
    """Of that, what is wrong for who reads it; not what is only worth telling."""
    readable = HARMLESS | {SEQUENCE}
    return [each for each in found if each.kind not in readable]


async def last_position(store: Store, conversation: str) -> Position:
    """Where its last message stands; Changed where it is gone."""
    async for page in store.read([conversation], reverse=True, limit=1):
        return page.position(0)
    raise Changed(f"conversation {conversation!r} in {store.name} is gone", hint="run again")


async def position_of(store: Store, conversation: str, number: int) -> tuple[Position, int]:
    """Where the message of that number stands; and how many there are, up to it."""
    seen, position = 0, START
    async for page in store.read([conversation], limit=number):
        seen += len(page.items)
        position = page.position(-1)
    return position, seen


async def before_last(store: Store, conversation: str, count: int) -> Position:
    """Behind which the last `count` messages stand; START where there are no others."""
    seen = 0
    async for page in store.read([conversation], reverse=True, limit=count + 1):
        if seen + len(page.items) > count:
            return page.position(count - seen)
        seen += len(page.items)
    return START


async def first_messages(
    store: Store, conversation: str, count: int
) -> AsyncIterator[Sequence[Message]]:
    """The first messages of a conversation; Changed where they are not so many any more."""
    async for page in store.read([conversation], limit=count):
        messages = [item for item in page.items if isinstance(item, Message)]
        count -= len(messages)
        if len(messages) == len(page.items):
            yield messages
    if count:
        raise Changed(f"conversation {conversation!r} changed meanwhile", hint="run again")
