"""Whether messages are the same: a line for each, and a hash over what was copied or compared."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import TypeGuard

import msgspec

from synmem.messages import EVERYTHING, FIELDS, Digest, Holds, Message, Unreadable, canonical


class Proof:
    """A hash over the messages that were copied or compared: equal messages, equal proof.

    An `exact` one is the digest of a receipt. The other is good within a run only, and cheaper:
    unlike the digest, it may differ for equal messages, but never agrees for different ones.
    """

    def __init__(self, holds: Holds, *, exact: bool) -> None:
        self.messages = 0
        self._digest = Digest(holds) if exact else None
        self._hash = hashlib.sha256()

    def take(self, messages: Sequence[Message], lines: Sequence[bytes]) -> None:
        """The next messages, and their `compared_lines`."""
        self.messages += len(messages)
        if self._digest is not None:
            self._digest.update(messages)
        elif lines:
            self._hash.update(b"\n".join(lines) + b"\n")

    def __str__(self) -> str:
        return self._hash.hexdigest() if self._digest is None else str(self._digest)


# Keys in order: jsonb and the other servers give them back in an order of their own.
_encode = msgspec.json.Encoder(order="deterministic").encode


def compared_lines(items: Sequence[Message | Unreadable], holds: Holds) -> list[bytes]:
    """A line for each message: where two lines are the same, so are the messages.

    The other way round it does not hold (a null, a lone surrogate): `canonical` decides.
    """
    if holds.fields is not EVERYTHING.fields or holds.time_us != 1 or holds.defaults:
        return canonical_lines(items, holds)
    if readable(items):
        try:
            lines = list(map(_encode, items))
            # msgspec writes NaN as null: a line that has a null is made the slow way.
            if b"null" in b"".join(lines):
                pairs = zip(lines, items, strict=True)
                lines = [line if b"null" not in line else canonical(i) for line, i in pairs]
            return lines
        except (UnicodeError, OverflowError, TypeError, msgspec.MsgspecError):
            pass  # a lone surrogate, which msgspec does not write
    return canonical_lines(items, holds)


def canonical_lines(items: Iterable[Message | Unreadable], holds: Holds) -> list[bytes]:
    """The canonical line of each message; a record that cannot be read equals no other."""
    return [canonical(i, holds) if type(i) is Message else b"?%d" % id(i) for i in items]


def readable(items: Sequence[Message | Unreadable]) -> TypeGuard[Sequence[Message]]:
    """Whether all of these are messages."""
    return Unreadable not in map(type, items)


def parted(
    items: Sequence[Message | Unreadable],
) -> tuple[Sequence[Message], Sequence[Message | Unreadable]]:
    """The messages before the first record that cannot be read; and the rest, from it on."""
    if readable(items):
        return items, ()
    bad = [type(item) for item in items].index(Unreadable)
    return [item for item in items[:bad] if isinstance(item, Message)], items[bad:]


def unreadable(items: Sequence[Message | Unreadable]) -> Unreadable | None:
    """The first of these records that cannot be read."""
    if readable(items):
        return None
    return next(item for item in items if isinstance(item, Unreadable))


def differing_field(our: Message, their: Message, holds: Holds) -> str:
    """The first field in which two messages differ."""
    for field in FIELDS:
        if field in holds.fields:
            one = msgspec.structs.replace(holds, fields=frozenset({field}))
            if canonical(our, one) != canonical(their, one):
                return field
    return "differs"
